"""Tasks: differences and double payments that a person must look at; nothing here moves money."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Protocol
from uuid import UUID, uuid5

_NAMES = UUID("6a697475-6900-5000-8000-7461736b7300")


class TaskKind(StrEnum):
    """What is wrong."""

    OURS_ONLY = "ours_only"
    THEIRS_ONLY = "theirs_only"
    AMOUNT_DIFFERS = "amount_differs"
    CURRENCY_DIFFERS = "currency_differs"
    PAID_TWICE = "paid_twice"
    UNREADABLE_ROW = "unreadable_row"
    CAPTURED_AFTER_REFUND = "captured_after_refund"
    ANSWER_DIFFERS = "answer_differs"
    PAYMENT_DIFFERS = "payment_differs"
    DISPUTE_DIFFERS = "dispute_differs"
    DISPUTE_OVERLAPS = "dispute_overlaps"
    WEBHOOK_DEAD_LETTER = "webhook_dead_letter"
    WEBHOOK_ENDPOINT_PAUSED = "webhook_endpoint_paused"


class TaskState(StrEnum):
    """A task is open until a person says what became of it."""

    OPEN = "open"
    RESOLVED = "resolved"


@dataclass(frozen=True, slots=True)
class NewTask:
    """A task to open; `name` is its cause: the same cause again opens nothing, also when it was resolved."""

    name: str
    kind: TaskKind
    provider: str
    evidence: Mapping[str, object]
    opened_at: datetime
    order_id: str | None = None
    amount_minor: int | None = None
    currency: str | None = None

    @property
    def task_id(self) -> UUID:
        """The id follows from the name."""
        return uuid5(_NAMES, self.name)


@dataclass(frozen=True, slots=True)
class OperatorTask:
    """A task's row; `amount_minor` is what the matter is about, where that is known."""

    task_id: UUID
    kind: TaskKind
    provider: str
    state: TaskState
    evidence: Mapping[str, object]
    opened_at: datetime
    order_id: str | None = None
    amount_minor: int | None = None
    currency: str | None = None
    resolved_at: datetime | None = None
    resolved_by: str | None = None
    note: str | None = None


@dataclass(frozen=True, slots=True)
class TaskFilter:
    """A page of tasks, newest first; `after` is the last row of the page before."""

    state: TaskState | None = None
    provider: str | None = None
    kind: TaskKind | None = None
    after: tuple[datetime, UUID] | None = None
    limit: int = 50


class Tasks(Protocol):
    """What opens, lists and resolves tasks."""

    async def open(self, tasks: Sequence[NewTask]) -> Sequence[TaskState]:
        """The state in which each task now stands: a known one keeps its own."""
        ...

    async def list(self, wanted: TaskFilter) -> Sequence[OperatorTask]: ...

    async def resolve(self, task_id: UUID, *, note: str, by: str, now: datetime) -> OperatorTask | None:
        """The task as it stands; a resolved one keeps its first note. None where there is none."""
        ...
