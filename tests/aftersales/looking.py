"""What the watch of the worker reads, for tests of what becomes a task by looking."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from jitui.adapters.postgres.tasks import PostgresTasks
from jitui.aftersales.model.task import OperatorTask, TaskFilter, TaskKind
from jitui.aftersales.operations.conditions import Expected
from jitui.aftersales.operations.watch import Watch
from tests.aftersales.market import Market


@dataclass
class Looking:
    """Looks again and again at a market, as the worker does."""

    market: Market
    watch: Watch = field(default_factory=lambda: Watch(reads_ledger=False))

    @property
    def queries(self) -> Any:
        return self.market.queries

    @property
    def tasks(self) -> PostgresTasks:
        return PostgresTasks(self.market.pool)

    @property
    def expected(self) -> Expected:
        return Expected({}, timedelta(days=9))

    async def look(self, at: datetime, kind: TaskKind) -> list[OperatorTask]:
        """The tasks of a kind after a look at this moment."""
        await self.watch.look(self, at)
        return list(await self.tasks.list(TaskFilter(kind=kind)))
