"""A look at the whole service: tasks are opened for what needs a person, and closed when it has ended."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol

from jitui.aftersales.model.task import NewTask, Tasks, TasksObserved
from jitui.aftersales.operations.conditions import WATCHED, Expected, standing_tasks
from jitui.aftersales.queries import Queries

FIRST_LOOK = timedelta(days=1)
"""How far back the first look at the ledger goes."""
OVERLAP = timedelta(minutes=5)
"""For postings that are committed late, and clocks that differ."""
MOST_UNBALANCED = 100


class Watched(Protocol):
    """What of the service is looked at."""

    @property
    def queries(self) -> Queries: ...

    @property
    def tasks(self) -> Tasks: ...

    @property
    def expected(self) -> Expected: ...


@dataclass(slots=True)
class Watch:
    """One watcher; it remembers up to when it has checked the ledger."""

    checked_until: datetime | None = None

    async def look(self, service: Watched, now: datetime) -> TasksObserved:
        """Open and close what has begun and ended since anybody looked; the log has a line for each."""
        standing = await self.standing(service.queries, service.expected, now)
        observed = await service.tasks.observe(standing, sorted(WATCHED), now)
        self.checked_until = now
        return observed

    async def standing(self, queries: Queries, expected: Expected, now: datetime) -> tuple[NewTask, ...]:
        """The tasks that must stand open now; nothing is written."""
        since = (self.checked_until - OVERLAP) if self.checked_until is not None else now - FIRST_LOOK
        unbalanced = await queries.unbalanced_orders(since, MOST_UNBALANCED)
        return standing_tasks(await queries.operations(now), unbalanced, expected, now)
