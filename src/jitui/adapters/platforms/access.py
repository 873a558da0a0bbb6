"""What every adapter of a platform needs to call it."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class PlatformAccess:
    """Where a shop's platform is, and what opens it.

    `secret`: what its file holds; how many keys that is, and in which form, is the adapter's matter. `timeout_seconds`:
    for one call.
    """

    url: str
    secret: str = field(repr=False)
    timeout_seconds: float
