"""Tasks: differences and double payments that a person must look at. A task moves no money."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Protocol
from uuid import UUID, uuid5

_NAMES = UUID("6a697475-6900-5000-8000-7461736b7300")


class TaskKind(StrEnum):
    """What the task is about."""

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
    REFUND_NOT_IN_BOOKS = "refund_not_in_books"


class TaskState(StrEnum):
    """A task is open until a person resolves it."""

    OPEN = "open"
    RESOLVED = "resolved"


@dataclass(frozen=True, slots=True)
class NewTask:
    """A task to open.

    `name` is its cause: a second task with the same cause is not opened, even after the first is resolved.
    """

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
        """The id, which is derived from the name."""
        return uuid5(_NAMES, self.name)


@dataclass(frozen=True, slots=True)
class OperatorTask:
    """A task's row; `amount_minor` is the amount in question, if known."""

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
    """A page of tasks, newest first; `after` is the last row of the previous page."""

    state: TaskState | None = None
    provider: str | None = None
    kind: TaskKind | None = None
    after: tuple[datetime, UUID] | None = None
    limit: int = 50


class Tasks(Protocol):
    """Opens, lists and resolves tasks."""

    async def open(self, tasks: Sequence[NewTask]) -> Sequence[TaskState]:
        """Open the tasks; returns the state of each. A task that exists keeps its state."""
        ...

    async def list(self, wanted: TaskFilter) -> Sequence[OperatorTask]: ...

    async def resolve(self, task_id: UUID, *, note: str, by: str, now: datetime) -> OperatorTask | None:
        """Resolve the task and return it; None when there is none. A resolved task keeps its first note."""
        ...
