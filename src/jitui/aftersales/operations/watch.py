"""A look at the whole service: tasks are opened for what needs a person, and closed when it has ended."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol

from jitui.aftersales.model.task import NewTask, TaskKind, Tasks, TasksObserved
from jitui.aftersales.operations.conditions import WATCHED, Expected, standing_tasks
from jitui.aftersales.queries import Queries

FIRST_LOOK = timedelta(hours=1)
"""How far back the first look at the ledger goes."""
LEDGER_EVERY = timedelta(minutes=5)
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
    """One watcher. `reads_ledger`: it costs more than the rest, so not everybody does, and not at every look."""

    reads_ledger: bool = True
    checked_until: datetime | None = None

    async def look(self, service: Watched, now: datetime) -> TasksObserved:
        """Open and close what has begun and ended since anybody looked; the log has a line for each."""
        since = self._ledger_since(now)
        standing = await standing_now(service.queries, service.expected, now, ledger_since=since)
        kinds = WATCHED if since is not None else WATCHED - {TaskKind.LEDGER_UNBALANCED}
        observed = await service.tasks.observe(standing, sorted(kinds), now)
        if since is not None:
            self.checked_until = now
        return observed

    def _ledger_since(self, now: datetime) -> datetime | None:
        if not self.reads_ledger:
            return None
        if self.checked_until is None:
            return now - FIRST_LOOK
        return None if now - self.checked_until < LEDGER_EVERY else self.checked_until - OVERLAP


async def standing_now(
    queries: Queries, expected: Expected, now: datetime, *, ledger_since: datetime | None
) -> tuple[NewTask, ...]:
    """The tasks that must stand open now; the ledger of orders with a posting since then. Nothing is written."""
    unbalanced = () if ledger_since is None else await queries.unbalanced_orders(ledger_since, MOST_UNBALANCED)
    return standing_tasks(await queries.operations(now), unbalanced, expected, now)
