"""A refund that finally failed is a person's matter: one task is open as long as it stays failed.

The task is opened and closed by the plan that moves the refund, so in the same transaction.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime
from uuid import UUID

from jitui.aftersales.changes import Change, CloseTask, MoveRefund, OpenTask, ProposeSettlement, SettleRefund
from jitui.aftersales.commands.execute import Plan
from jitui.aftersales.model.refund import Attempt, AttemptState, Refund, RefundState
from jitui.aftersales.model.snapshot import OrderSnapshot
from jitui.aftersales.model.task import NewTask, TaskKind, task_of_condition
from jitui.aftersales.model.ticket import APPROVED_STATES

_ENDED_BY = {
    RefundState.QUEUED: "sent again",
    RefundState.SENDING: "sent again",
    RefundState.PENDING: "on its way at the provider again",
    RefundState.UNKNOWN: "being asked for at the provider",
    RefundState.SUCCEEDED: "paid",
}


def condition_of(refund_id: UUID) -> str:
    """What a failed refund's task is named by."""
    return f"{TaskKind.REFUND_FAILED}:{refund_id}"


def with_failure_tasks(snapshot: OrderSnapshot, plan: Plan, now: datetime) -> Plan:
    """The plan, with a task for each refund that it fails; the task is closed when a plan takes it out of failure."""
    settled = {change.refund_id for change in plan.changes if isinstance(change, SettleRefund)}
    told: list[Change] = []
    for change in plan.changes:
        if isinstance(change, MoveRefund):
            refund = next(one for one in snapshot.refunds if one.refund_id == change.refund_id)
            told += _told(snapshot, refund, change, now, by_hand=refund.refund_id in settled)
    return replace(plan, changes=(*plan.changes, *told)) if told else plan


def _told(
    snapshot: OrderSnapshot, refund: Refund, moved: MoveRefund, now: datetime, *, by_hand: bool
) -> Iterator[Change]:
    was, becomes = refund.state is RefundState.FAILED, moved.state is RefundState.FAILED
    if becomes and not was:
        task = _failure_task(snapshot, refund, moved.reason, now)
        yield OpenTask(task.task_id, task)
    elif was and not becomes:
        yield CloseTask(condition_of(refund.refund_id), "settled by hand" if by_hand else _ENDED_BY[moved.state], now)
    if refund.proposal is not None and moved.state is RefundState.SUCCEEDED and not by_hand:
        yield from _paid_beside_proposal(snapshot, refund, now)


def _failure_task(snapshot: OrderSnapshot, refund: Refund, reason: str, now: datetime) -> NewTask:
    attempt = latest_attempt(snapshot, refund)
    evidence = {
        "refund_id": str(refund.refund_id),
        "attempt_id": str(attempt.attempt_id) if attempt is not None else None,
        "reason": reason,
    }
    return task_of_condition(
        condition_of(refund.refund_id),
        TaskKind.REFUND_FAILED,
        evidence,
        now,
        provider=refund.provider,
        order_id=refund.order_id,
        amount_minor=refund.amount_minor,
        currency=refund.currency,
    )


def _paid_beside_proposal(snapshot: OrderSnapshot, refund: Refund, now: datetime) -> Iterator[Change]:
    """The provider pays after all while a payment by hand waits to be confirmed: it may have been made already."""
    attempt, proposal = latest_attempt(snapshot, refund), refund.proposal
    assert attempt is not None and proposal is not None
    task = NewTask(
        name=paid_twice_name(attempt.attempt_id),
        kind=TaskKind.PAID_TWICE,
        provider=refund.provider,
        evidence={
            "refund_id": str(refund.refund_id),
            "attempt_id": str(attempt.attempt_id),
            "settled_by_hand": False,
            "proposed_by_hand": {"reference": proposal.reference, "by": proposal.by, "at": proposal.at.isoformat()},
        },
        opened_at=now,
        order_id=refund.order_id,
        amount_minor=refund.amount_minor,
        currency=refund.currency,
    )
    yield OpenTask(task.task_id, task)
    yield ProposeSettlement(refund.refund_id, None)


def paid_twice_name(attempt_id: UUID) -> str:
    """One task for a second payment, whoever hears of it."""
    return f"paid_twice:{attempt_id}"


def latest_attempt(snapshot: OrderSnapshot, refund: Refund) -> Attempt | None:
    """The refund's newest attempt; None before it was ever sent."""
    ours = (attempt for attempt in snapshot.attempts if attempt.refund_id == refund.refund_id)
    return max(ours, key=lambda attempt: attempt.attempt_no, default=None)


def may_still_be_paid(snapshot: OrderSnapshot, refund: Refund) -> bool:
    """Whether any attempt is not declined: a refund has one such attempt at most (I2)."""
    return any(
        attempt.refund_id == refund.refund_id and attempt.state is not AttemptState.DECLINED
        for attempt in snapshot.attempts
    )


def is_taken_back(snapshot: OrderSnapshot, refund: Refund) -> bool:
    """Whether the approval that the refund carries out was taken back: nothing is owed for it any more."""
    return snapshot.ticket(refund.ticket_id).state not in APPROVED_STATES
