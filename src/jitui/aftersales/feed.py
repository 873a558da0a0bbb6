"""The feed of events, and what is rolled up from it: cap usage and shop features (`architecture.md`)."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Protocol

from jitui.aftersales.ports import OutgoingEvent


class Feed(Protocol):
    """Reads and publishes the feed.

    Events are published one after another, so a reader that remembers its position misses none and reads none twice.
    """

    async def publish(self, limit: int = 10_000) -> int: ...

    async def events(self, after: int, limit: int, *, shop_id: str | None = None) -> Sequence[OutgoingEvent]: ...

    async def roll_up(self, now: datetime | None = None) -> None:
        """Roll up cap usage as of `now`, by the caller's clock; without `now`, by the database's clock."""
