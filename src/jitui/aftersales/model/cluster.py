"""What a decision knows of the accounts that are linked with the buyer's."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True)
class ClusterSeen:
    """The size of the buyer's cluster, and whether another member is restricted.

    `as_of`: when a worker looked last; None for a buyer without links, of whom that is known at any time.
    """

    size: int = 1
    other_restricted: bool = False
    as_of: datetime | None = None

    def is_known(self, is_fresh: Callable[[datetime], bool]) -> bool:
        """Whether it still holds; of a buyer without links it holds at any time."""
        return self.as_of is None or is_fresh(self.as_of)
