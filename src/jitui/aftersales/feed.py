"""The feed of what happened, and what is rolled up from it: cap usage and shop features (`architecture.md`)."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Protocol

from jitui.aftersales.ports import OutgoingEvent


class Feed(Protocol):
    """Publishing is serial, so a reader that remembers its position misses nothing and sees nothing twice."""

    async def publish(self, limit: int = 10_000) -> int: ...

    async def events(
        self, after: int, limit: int, *, shop_id: str | None = None, buyer_id: str | None = None
    ) -> Sequence[OutgoingEvent]: ...

    async def roll_up(self, now: datetime | None = None) -> None:
        """Count cap usage as of `now`, a clock of the caller's own; without, as of the database's clock."""
