"""Books: values and calls. Written by scripts/client_api.py."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from uuid import UUID

from jitui.client.api.shared import Amount
from jitui.client.call import Call, ListCall, Sent, Shown, Word


class Cause(Word):
    """Why money moved; it is the first word of a posting's name."""

    CAPTURED = "captured"
    CAPTURED_MORE = "captured_more"
    CHARGED_BACK = "charged_back"
    CHARGED_BACK_TOO = "charged_back_too"
    FUNDED = "funded"
    FUNDED_LESS = "funded_less"
    FUNDED_MORE = "funded_more"
    GRANTED = "granted"
    PAID = "paid"
    PAID_AGAIN = "paid_again"
    PAID_BACK = "paid_back"
    RETURNED = "returned"
    SETTLED = "settled"
    UNPAID = "unpaid"


class TaskKind(Word):
    """What the task is about."""

    AMOUNT_DIFFERS = "amount_differs"
    ANSWER_DIFFERS = "answer_differs"
    CAPTURED_AFTER_REFUND = "captured_after_refund"
    CURRENCY_DIFFERS = "currency_differs"
    DISPUTE_DIFFERS = "dispute_differs"
    DISPUTE_OVERLAPS = "dispute_overlaps"
    LEDGER_UNBALANCED = "ledger_unbalanced"
    NO_WORKER = "no_worker"
    OURS_ONLY = "ours_only"
    OUTCOME_OVERDUE = "outcome_overdue"
    PAID_TWICE = "paid_twice"
    PAYMENT_DIFFERS = "payment_differs"
    PROVIDER_NOT_CONFIGURED = "provider_not_configured"
    PROVIDER_TROUBLE = "provider_trouble"
    REFUND_FAILED = "refund_failed"
    REFUND_NOT_IN_BOOKS = "refund_not_in_books"
    ROLL_UP_STALE = "roll_up_stale"
    THEIRS_ONLY = "theirs_only"
    UNREADABLE_ROW = "unreadable_row"
    WEBHOOK_DEAD_LETTER = "webhook_dead_letter"
    WEBHOOK_ENDPOINT_PAUSED = "webhook_endpoint_paused"
    WORKER_SILENT = "worker_silent"


class TaskState(Word):
    """A task is open until a person resolves it."""

    OPEN = "open"
    RESOLVED = "resolved"


class BalanceAnswer(Shown, frozen=True, kw_only=True):
    """An account's debits less its credits."""

    account: str
    balance_minor: int
    currency: str


class LedgerAnswer(Shown, frozen=True, kw_only=True):
    """The postings of an order, and the balances, which sum to zero per currency."""

    order_id: str
    postings: tuple[PostingAnswer, ...]
    balances: tuple[BalanceAnswer, ...]


class PostingAnswer(Shown, frozen=True, kw_only=True):
    """An amount moved from `credit` to `debit`."""

    posted_at: datetime
    cause: Cause
    meaning: str
    debit: str
    credit: str
    amount: Amount
    posting: str


class ResolutionSent(Sent, frozen=True, kw_only=True):
    """How a person resolved a task."""

    note: str


class TaskAnswer(Shown, frozen=True, kw_only=True):
    """Something that a person must look at, with its evidence."""

    task_id: UUID
    kind: TaskKind
    provider: str
    state: TaskState
    order_id: str | None
    amount: Amount | None
    evidence: Mapping[str, object]
    condition: str | None
    opened_at: datetime
    resolved_at: datetime | None
    resolved_by: str | None
    note: str | None


class TaskPage(Shown, frozen=True, kw_only=True):
    """A page of tasks, newest first; `next` is null on the last one."""

    tasks: tuple[TaskAnswer, ...]
    next: str | None


def get_ledger(order_id: str) -> Call[LedgerAnswer]:
    """Read an order's ledger.

    Double entry: each posting moves a positive amount from `credit` to `debit`. Keys of scope: platform. Permission:
    `ledger:read`.
    """
    return Call(
        operation="get_ledger",
        method="GET",
        path="/v1/orders/{order_id}/ledger",
        answer=LedgerAnswer,
        statuses=(200,),
        places={"order_id": order_id},
        may_repeat=True,
    )


def list_tasks(
    *,
    state: TaskState | None = None,
    provider: str | None = None,
    kind: TaskKind | None = None,
    cursor: str | None = None,
    limit: int | None = None,
) -> ListCall[TaskPage, TaskAnswer]:
    """List tasks.

    Differences from statements, double payments, refunds that failed, and what goes wrong in the service, newest first.
    A task with a `condition` closes itself when that has ended. Keys of scope: platform. Permission: `tasks:read`.
    """
    return ListCall(
        operation="list_tasks",
        method="GET",
        path="/v1/tasks",
        answer=TaskPage,
        statuses=(200,),
        query={"state": state, "provider": provider, "kind": kind, "cursor": cursor, "limit": limit},
        may_repeat=True,
        rows="tasks",
    )


def resolve_task(task_id: UUID, sent: ResolutionSent) -> Call[TaskAnswer]:
    """Resolve a task.

    Idempotent by nature: a task that was resolved keeps its first note. No money moves. Keys of scope: platform.
    Permission: `tasks:write`.
    """
    return Call(
        operation="resolve_task",
        method="POST",
        path="/v1/tasks/{task_id}/resolve",
        answer=TaskAnswer,
        statuses=(200,),
        places={"task_id": task_id},
        body=sent,
        may_repeat=True,
    )
