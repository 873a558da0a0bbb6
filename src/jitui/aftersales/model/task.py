"""Tasks: what a person must look at; nothing here moves money.

Most tasks are about something that happened (a double payment) and stay until a person says what became of it. A task
with a `condition` is about something that goes on (a failed refund, no worker): one is open as long as it does, and the
service closes it when it has ended.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Protocol
from uuid import UUID, uuid5

from jitui.aftersales.model.sorting import Place, SortOrder

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
    REFUND_FAILED = "refund_failed"
    OUTCOME_OVERDUE = "outcome_overdue"
    PROVIDER_NOT_CONFIGURED = "provider_not_configured"
    PROVIDER_TROUBLE = "provider_trouble"
    LEDGER_UNBALANCED = "ledger_unbalanced"
    ROLL_UP_STALE = "roll_up_stale"
    WORKER_SILENT = "worker_silent"
    NO_WORKER = "no_worker"
    APPEAL_OVERDUE = "appeal_overdue"
    ARBITRATION_OVERDUE = "arbitration_overdue"
    COMPLAINT_OVERDUE = "complaint_overdue"
    WEBHOOK_DEAD_LETTER = "webhook_dead_letter"
    WEBHOOK_ENDPOINT_PAUSED = "webhook_endpoint_paused"
    NOTICE_DEAD = "notice_dead"
    NOTICE_UNKNOWN = "notice_unknown"
    CANARY_ENDED = "canary_ended"
    CANARY_SIGNAL = "canary_signal"
    CHANGE_UNCONFIRMED = "change_unconfirmed"
    PLATFORM_UNREAD = "platform_unread"


class TaskState(StrEnum):
    """A task is open until a person resolves it."""

    OPEN = "open"
    RESOLVED = "resolved"


@dataclass(frozen=True, slots=True)
class NewTask:
    """A task to open; `name` is its cause: the same cause again opens nothing, also when it was resolved.

    Of a `condition` at most one task is open. When the condition comes back, it is another cause and another task.
    """

    name: str
    kind: TaskKind
    provider: str
    evidence: Mapping[str, object]
    opened_at: datetime
    order_id: str | None = None
    amount_minor: int | None = None
    currency: str | None = None
    condition: str | None = None

    @property
    def task_id(self) -> UUID:
        """The id, which is derived from the name."""
        return uuid5(_NAMES, self.name)


@dataclass(frozen=True, slots=True)
class OperatorTask:
    """A task's row; `amount_minor` is the amount in question, if known, and `shop_id` the shop of the order."""

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
    condition: str | None = None
    shop_id: str | None = None


BY_THE_SERVICE = "jitui"
"""Who closes the task of a condition that has ended."""


def task_of_condition(
    condition: str,
    kind: TaskKind,
    evidence: Mapping[str, object],
    now: datetime,
    *,
    provider: str = "",
    order_id: str | None = None,
    amount_minor: int | None = None,
    currency: str | None = None,
) -> NewTask:
    """A task about something that goes on; each time that it begins has a name of its own."""
    return NewTask(
        name=f"{condition}@{now.isoformat()}",
        kind=kind,
        provider=provider,
        evidence=evidence,
        opened_at=now,
        order_id=order_id,
        amount_minor=amount_minor,
        currency=currency,
        condition=condition,
    )


class TaskSort(StrEnum):
    """What a list of tasks is sorted by; equal ones by the task's id, and those in one state by their time first.

    A task without an amount counts as one of 0. Amounts of different currencies do not compare: they are sorted by the
    currency's code first, and those without one before all.
    """

    OPENED_AT = "opened_at"
    AMOUNT = "amount"
    STATE = "state"


@dataclass(frozen=True, slots=True)
class TaskFilter:
    """A page of tasks; `after` is the place of the previous page's last row in this order (`place_of_task`).

    `shop_id`, `buyer_id`: of the order that the task is about.
    """

    state: TaskState | None = None
    provider: str | None = None
    kind: TaskKind | None = None
    order_id: str | None = None
    shop_id: str | None = None
    buyer_id: str | None = None
    sort: TaskSort = TaskSort.OPENED_AT
    order: SortOrder = SortOrder.DESC
    after: Place | None = None
    limit: int = 50


def place_of_task(task: OperatorTask, sort: TaskSort) -> Place:
    """Where a task stands in a list with this order."""
    match sort:
        case TaskSort.OPENED_AT:
            return task.opened_at, task.task_id
        case TaskSort.AMOUNT:
            return task.currency or "", task.amount_minor or 0, task.task_id
        case TaskSort.STATE:
            return task.state, task.opened_at, task.task_id


@dataclass(frozen=True, slots=True)
class TasksObserved:
    """What a look at the conditions changed; of several who look at once, one is told."""

    opened: tuple[OperatorTask, ...] = ()
    ended: tuple[OperatorTask, ...] = ()


class Tasks(Protocol):
    """Opens, lists and resolves tasks."""

    async def open(self, tasks: Sequence[NewTask]) -> Sequence[TaskState]:
        """Open the tasks; returns the state of each. A task that exists keeps its state."""
        ...

    async def observe(self, standing: Sequence[NewTask], kinds: Collection[TaskKind], now: datetime) -> TasksObserved:
        """Open a task for each condition that stands and has none, and close those of `kinds` whose condition ended."""
        ...

    async def list(self, wanted: TaskFilter) -> Sequence[OperatorTask]: ...

    async def get(self, task_id: UUID) -> OperatorTask | None: ...

    async def resolve(self, task_id: UUID, *, note: str, by: str, now: datetime) -> OperatorTask | None:
        """Resolve the task and return it; None when there is none. A resolved task keeps its first note."""
        ...
