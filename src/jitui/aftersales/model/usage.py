"""What counts against caps."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Usage:
    """Instant approvals that count against a cap: in all currencies, and the amount in the policy's currency."""

    approvals: int = 0
    amount_minor: int = 0


@dataclass(frozen=True, slots=True)
class UsageBeside:
    """Usage within the caps of a second policy; None for a buyer whose earlier approvals an erasure took away."""

    buyer: Usage | None = field(default_factory=Usage)
    shop: Usage = field(default_factory=Usage)
    platform: Usage = field(default_factory=Usage)
    categories: dict[str, Usage] = field(default_factory=dict)
    cluster: Usage | None = field(default_factory=Usage)
