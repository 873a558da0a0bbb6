"""Handles results about another payment, amount or currency than the refund's: they settle nothing, and open a task.

An attempt's id alone is not enough evidence: the provider may have it on a refund that is not ours. So `confirm`
compares every result with the refund, whatever its source, and treats a different one as unknown.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from jitui.aftersales.apply import apply_all
from jitui.aftersales.changes import AddTimeline, Change, OpenTask
from jitui.aftersales.commands.execute import Plan
from jitui.aftersales.model.refund import Attempt, Refund
from jitui.aftersales.model.snapshot import OrderSnapshot, transition
from jitui.aftersales.model.task import NewTask, TaskKind
from jitui.aftersales.model.ticket import Actor, ActorKind
from jitui.aftersales.provider import RefundResult, RefundResultKind


@dataclass(frozen=True, slots=True)
class ResultMismatch:
    """How a result differs from the refund."""

    what: str  # payment | currency | amount
    told: str
    ours: str

    @property
    def sentence(self) -> str:
        """The difference as the reason of the refund; only the platform reads it."""
        return f"the provider reports {self.what} {self.told}, the refund has {self.ours}"


def find_mismatch(result: RefundResult, refund: Refund) -> ResultMismatch | None:
    """The first difference between a result and its refund; what the provider does not tell is not compared."""
    if result.payment_ids and refund.payment_id not in result.payment_ids:
        return ResultMismatch("payment", ", ".join(result.payment_ids), refund.payment_id)
    if result.currency is not None and result.currency.upper() != refund.currency:
        return ResultMismatch("currency", result.currency, refund.currency)
    if result.amount_minor is not None and result.amount_minor != refund.amount_minor:
        return ResultMismatch("amount", str(result.amount_minor), str(refund.amount_minor))
    if result.refunds_in_all_minor is not None and result.refunds_in_all_minor < refund.amount_minor:
        return ResultMismatch("amount", f"{result.refunds_in_all_minor} in all", str(refund.amount_minor))
    return None


def as_unknown(found: ResultMismatch, refund: Refund, now: datetime, *, unasked: bool) -> RefundResult:
    """The result that counts instead: unknown. After a notification it waits until the current lease has ended."""
    lease = refund.leased_until if unasked else None
    wait_seconds = (lease - now).total_seconds() if lease is not None and lease > now else None
    return RefundResult(RefundResultKind.UNKNOWN, found.sentence, retry_after_seconds=wait_seconds)


def with_mismatch_task(
    snapshot: OrderSnapshot,
    plan: Plan,
    found: ResultMismatch,
    result: RefundResult,
    refund: Refund,
    attempt: Attempt,
    now: datetime,
    *,
    looked_up: bool,
) -> Plan:
    """The plan with a task and a timeline row about the difference; a repeated difference adds nothing."""
    name = f"answer_differs:{attempt.attempt_id}:{found.what}:{found.told}"
    evidence = {"differs": found.what, "told": found.told, "ours": found.ours, "looked_up": looked_up}
    task = task_about(refund, attempt, result, TaskKind.ANSWER_DIFFERS, name, evidence, now)
    known = str(task.task_id)
    after = apply_all(snapshot, plan.changes)
    if any(event.detail.get("task_id") == known for event in after.timeline_of(refund.ticket_id)):
        return plan
    ticket = after.ticket(refund.ticket_id)
    event = transition(
        after,
        ticket,
        ticket.state,
        by=Actor(ActorKind.PROVIDER, refund.provider),
        why="answer_differs",
        now=now,
        detail={"differs": found.what, "task_id": known},
    )
    told: tuple[Change, ...] = (OpenTask(task.task_id, task), AddTimeline((event,)))
    return Plan((*plan.changes, *told), plan.ticket_id)


def task_about(
    refund: Refund,
    attempt: Attempt,
    result: RefundResult,
    kind: TaskKind,
    name: str,
    evidence: Mapping[str, object],
    now: datetime,
) -> NewTask:
    """A task about what a provider said of an attempt."""
    about = {
        "refund_id": str(refund.refund_id),
        "attempt_id": str(attempt.attempt_id),
        "provider_refund_id": result.provider_refund_id or attempt.provider_refund_id,
    }
    return NewTask(
        name=name,
        kind=kind,
        provider=refund.provider,
        order_id=refund.order_id,
        amount_minor=refund.amount_minor,
        currency=refund.currency,
        evidence={**about, **evidence},
        opened_at=now,
    )
