"""Turns what is learned about an attempt into state: results of calls, webhooks, look-ups and statements (I2)."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from uuid import UUID

from jitui.aftersales import ledger
from jitui.aftersales.changes import (
    Change,
    HoldTender,
    MoveAttempt,
    MoveRefund,
    OpenTask,
)
from jitui.aftersales.commands.advance import open_advance, take_advance_back
from jitui.aftersales.commands.execute import Executed, Plan, execute, not_found
from jitui.aftersales.commands.failed_refund import is_taken_back, paid_twice_name, with_failure_tasks
from jitui.aftersales.commands.mismatch import as_unknown, find_mismatch, task_about, with_mismatch_task
from jitui.aftersales.commands.ticket_state import with_ticket_following
from jitui.aftersales.ledger import Cause
from jitui.aftersales.model.refund import Attempt, AttemptState, Refund, RefundState
from jitui.aftersales.model.snapshot import OrderSnapshot
from jitui.aftersales.model.task import TaskKind
from jitui.aftersales.model.ticket import Actor, ActorKind
from jitui.aftersales.outcomes import Refusal, StoredResponse
from jitui.aftersales.ports import AttemptRef, DecisionInputs, Store
from jitui.aftersales.provider import RefundResult, RefundResultKind

POLL_PENDING = timedelta(seconds=5)
"""How soon an accepted refund is looked up when no webhook has arrived."""

KEY_EXPIRED = (
    "the provider's books have no refund of this attempt, and its idempotency key has expired, so that a repeat could"
    " pay twice: check the payment at the provider, then retry"
)
"""An operator must check a refund whose key has expired; a retry is a new attempt with a new key."""

FIRST_BACKOFF_SECONDS, LONGEST_BACKOFF_SECONDS = 1.0, 600.0
REOPENINGS = 3
"""How often a refund that failed after it had succeeded is attempted again before an operator must look."""


@dataclass(frozen=True, slots=True)
class RefundUpdate:
    """A report about an attempt; `looked_up`: it was read from the provider's own records just now.

    `provider`: who sent it as a notification; a provider's reports about another provider's attempts are ignored.
    `lease`: the lease under which it was looked up; when the refund has another lease now, the look-up may be outdated.
    """

    result: RefundResult
    looked_up: bool = False
    provider: str | None = None
    lease: datetime | None = None


async def confirm(
    store: Store, ref: AttemptRef, update: RefundUpdate, *, now: datetime
) -> Executed | Refusal | StoredResponse:
    """Turn a report about money into state. All results, webhooks, polls and reconciliations go through here.

    Idempotent; takes the locks of every other command (buyer, order); ignores leases. One transaction changes the
    attempt, the refund, the tender, the ledger, the ticket and the feed.
    """

    def plan(snapshot: OrderSnapshot, _: DecisionInputs) -> Plan | Refusal:
        return plan_refund_update(snapshot, ref.attempt_id, update, now)

    return await execute(store, ref, plan)


_FINAL = frozenset({AttemptState.SUCCEEDED, AttemptState.DECLINED})


def plan_refund_update(
    snapshot: OrderSnapshot, attempt_id: UUID, update: RefundUpdate, now: datetime
) -> Plan | Refusal:
    """Plan the changes for a report, which may be late, repeated or in conflict with an earlier one.

    A final state is not left without evidence: a conflict is looked up at the provider before it counts.
    """
    attempt = next(attempt for attempt in snapshot.attempts if attempt.attempt_id == attempt_id)
    refund = next(refund for refund in snapshot.refunds if refund.refund_id == attempt.refund_id)
    if update.provider not in (None, refund.provider):
        return not_found()
    if is_taken_back(snapshot, refund):  # what its platform pays now is counted with the ticket that follows it
        return Plan(ticket_id=refund.ticket_id)
    found = find_mismatch(update.result, refund)
    if found is None:
        plan = _plan_result(snapshot, refund, attempt, update.result, update, now)
        return with_failure_tasks(snapshot, plan, now)
    nothing = as_unknown(found, refund, now, unasked=update.provider is not None)
    plan = with_failure_tasks(snapshot, _plan_result(snapshot, refund, attempt, nothing, update, now), now)
    return with_mismatch_task(snapshot, plan, found, update.result, refund, attempt, now, looked_up=update.looked_up)


def _plan_result(
    snapshot: OrderSnapshot, refund: Refund, attempt: Attempt, result: RefundResult, update: RefundUpdate, now: datetime
) -> Plan:
    latest = attempt.attempt_no == refund.attempt_no
    looked_up = update.looked_up and update.lease in (None, refund.leased_until)
    if refund.settlement is not None:
        return _after_settlement(snapshot, refund, attempt, result, looked_up, now)
    match result.kind, attempt.state:
        case RefundResultKind.SUCCEEDED, AttemptState.SUCCEEDED:
            told = open_advance(snapshot, refund, now) if result.advanced and latest else ()
            known = _nothing_new(refund) if looked_up else Plan(ticket_id=refund.ticket_id)
            return replace(known, changes=(*known.changes, *told))
        case RefundResultKind.SUCCEEDED, AttemptState.DECLINED if latest and not looked_up:
            return _look_up(snapshot, refund, "succeeded after it was declined", now)
        case RefundResultKind.SUCCEEDED, state if latest or state not in _FINAL:
            return _succeeded(snapshot, refund, attempt, result, now)
        case RefundResultKind.SUCCEEDED, _:
            return _paid_again(snapshot, refund, attempt, result, looked_up, now)
        case RefundResultKind.DECLINED, AttemptState.SUCCEEDED if result.final and latest:
            if looked_up:
                return _reversed(snapshot, refund, attempt, result, now)
            return _look_up(snapshot, refund, "declined after it had succeeded", now)
        case RefundResultKind.DECLINED, state if result.final and (
            state not in _FINAL or _settles(update, refund, latest)
        ):
            return _declined(snapshot, refund, attempt, result, now)
        case RefundResultKind.PENDING, AttemptState.DECLINED if latest and not looked_up and _ours_alone(attempt):
            return _look_up(snapshot, refund, "accepted, although it was not known when its key expired", now)
        case RefundResultKind.PENDING, state if state not in _FINAL or (latest and looked_up and _in_doubt(refund)):
            if result.stuck and latest:
                return _stuck(snapshot, refund, attempt, result, now)
            return _waiting(snapshot, refund, attempt, result, AttemptState.PENDING, now)
        case _, state if state not in _FINAL and latest and refund.state is not RefundState.FAILED:
            return _waiting(snapshot, refund, attempt, result, _unless_pending(attempt), now)
    return Plan(ticket_id=refund.ticket_id)


def _in_doubt(refund: Refund) -> bool:
    """Whether the refund waits for a look-up that settles a conflict about its finished attempt."""
    return refund.state is RefundState.UNKNOWN


def _settles(update: RefundUpdate, refund: Refund, latest: bool) -> bool:
    """Whether a decline settles such a conflict: it must be about the newest attempt, and not a notification."""
    return latest and _in_doubt(refund) and update.provider is None


def _ours_alone(attempt: Attempt) -> bool:
    """Whether we closed the attempt because its key had expired; the provider did not decline it."""
    return attempt.reason == KEY_EXPIRED


def _nothing_new(refund: Refund) -> Plan:
    """The provider's records confirm what is known: a look-up that was due is not needed any more."""
    if refund.due_at is None:
        return Plan(ticket_id=refund.ticket_id)
    return Plan((_due(refund, None),), refund.ticket_id)


def _unless_pending(attempt: Attempt) -> AttemptState:
    return AttemptState.PENDING if attempt.state is AttemptState.PENDING else AttemptState.UNKNOWN


def _succeeded(snapshot: OrderSnapshot, refund: Refund, attempt: Attempt, result: RefundResult, now: datetime) -> Plan:
    look_at = now if refund.may_advance and result.advanced is None else None  # whose account paid is not told
    changes: tuple[Change, ...] = (
        _attempt_moved(attempt, AttemptState.SUCCEEDED, result, now),
        move_refund(refund, RefundState.SUCCEEDED, due_at=look_at, reason="", closed_at=now),
        HoldTender(refund.tender_id, pending_minor=-refund.amount_minor, refunded_minor=refund.amount_minor),
        ledger.at_provider(Cause.PAID, refund, attempt, now),
        *(open_advance(snapshot, refund, now) if result.advanced else ()),
    )
    return with_ticket_following(snapshot, changes, refund.ticket_id, by_provider(refund), "paid", now)


def _reversed(snapshot: OrderSnapshot, refund: Refund, attempt: Attempt, result: RefundResult, now: datetime) -> Plan:
    """The refund failed after it had succeeded: it is owed again, and attempted again a few times (T12)."""
    again = refund.attempt_no <= REOPENINGS
    state = RefundState.QUEUED if again else RefundState.FAILED
    changes: tuple[Change, ...] = (
        _attempt_moved(attempt, AttemptState.DECLINED, result, now),
        move_refund(refund, state, due_at=now if again else None, reason=result.reason),
        HoldTender(refund.tender_id, pending_minor=refund.amount_minor, refunded_minor=-refund.amount_minor),
        ledger.at_provider(Cause.UNPAID, refund, attempt, now),
        *take_advance_back(snapshot, now),
    )
    return with_ticket_following(snapshot, changes, refund.ticket_id, by_provider(refund), "failed_after_success", now)


def _declined(snapshot: OrderSnapshot, refund: Refund, attempt: Attempt, result: RefundResult, now: datetime) -> Plan:
    """The refund was declined for good. The hold stays, because the money is owed; an operator must act."""
    failed = move_refund(refund, RefundState.FAILED, due_at=None, reason=result.reason)
    changes = (_attempt_moved(attempt, AttemptState.DECLINED, result, now), failed)
    return with_ticket_following(snapshot, changes, refund.ticket_id, by_provider(refund), "declined", now)


def _stuck(snapshot: OrderSnapshot, refund: Refund, attempt: Attempt, result: RefundResult, now: datetime) -> Plan:
    """The refund was accepted but is not paid, and an operator must act; the attempt stays open.

    Because the attempt is open, a later report that it was paid still counts, and `retry` refuses a second attempt.
    """
    failed = move_refund(refund, RefundState.FAILED, due_at=None, reason=result.reason)
    changes = (_attempt_moved(attempt, AttemptState.PENDING, result, now), failed)
    return with_ticket_following(snapshot, changes, refund.ticket_id, by_provider(refund), "stuck", now)


def _waiting(
    snapshot: OrderSnapshot, refund: Refund, attempt: Attempt, result: RefundResult, state: AttemptState, now: datetime
) -> Plan:
    """Not final: look again later, sooner for an accepted refund, with backoff and jitter for an unknown one."""
    if state is AttemptState.PENDING:
        wait = max(POLL_PENDING, timedelta(seconds=_backoff_seconds(attempt, refund.tries)))
    else:
        wait = timedelta(seconds=result.retry_after_seconds or _backoff_seconds(attempt, refund.tries))
    refund_state = RefundState.PENDING if state is AttemptState.PENDING else RefundState.UNKNOWN
    waiting = move_refund(refund, refund_state, due_at=now + wait, reason=result.reason)
    changes = (_attempt_moved(attempt, state, result, now), waiting)
    return with_ticket_following(snapshot, changes, refund.ticket_id, by_provider(refund), "under_way", now)


def _look_up(snapshot: OrderSnapshot, refund: Refund, reason: str, now: datetime) -> Plan:
    """Two reports conflict: have the worker look the attempt up at once. Until then the state stays as it is."""
    state = RefundState.SUCCEEDED if refund.state is RefundState.SUCCEEDED else RefundState.UNKNOWN
    asked = move_refund(refund, state, due_at=now, reason=reason, closed_at=refund.closed_at)
    return with_ticket_following(snapshot, (asked,), refund.ticket_id, by_provider(refund), "conflicting_news", now)


def _backoff_seconds(attempt: Attempt, tries: int) -> float:
    """Exponential backoff with jitter, which comes from the attempt's id, so that a replay waits equally long."""
    jitter = hashlib.sha256(attempt.attempt_id.bytes + bytes([tries & 0xFF])).digest()[0] / 255
    exponential: float = min(LONGEST_BACKOFF_SECONDS, FIRST_BACKOFF_SECONDS * 2 ** min(tries, 16))
    return exponential * (0.5 + 0.5 * jitter)


# Paid twice -----------------------------------------------------------------------------------------------------


def _after_settlement(
    snapshot: OrderSnapshot, refund: Refund, attempt: Attempt, result: RefundResult, looked_up: bool, now: datetime
) -> Plan:
    """Handle a report about a refund that was settled by hand: it stays settled; a payment now is a second one.

    Only the provider's own records end a look-up that is due.
    """
    match result.kind, attempt.state:
        case RefundResultKind.SUCCEEDED, state if state is not AttemptState.SUCCEEDED:
            return _paid_again(snapshot, refund, attempt, result, looked_up, now)
        case RefundResultKind.DECLINED, AttemptState.SUCCEEDED if result.final and looked_up:
            return _paid_back(refund, attempt, result, now)
        case RefundResultKind.DECLINED, AttemptState.SUCCEEDED if (
            result.final and attempt.attempt_no == refund.attempt_no
        ):
            return _look_up(snapshot, refund, "declined after it had succeeded", now)
        case RefundResultKind.DECLINED, state if result.final and state not in _FINAL:
            changes = (_attempt_moved(attempt, AttemptState.DECLINED, result, now), _due(refund, None))
            return Plan(changes, refund.ticket_id)
    if refund.due_at is None or not looked_up:
        return Plan(ticket_id=refund.ticket_id)
    if result.kind is RefundResultKind.SUCCEEDED or (result.kind is RefundResultKind.DECLINED and result.final):
        return _nothing_new(refund)
    wait = timedelta(seconds=result.retry_after_seconds or _backoff_seconds(attempt, refund.tries))
    return Plan((_due(refund, now + wait),), refund.ticket_id)


def _paid_again(
    snapshot: OrderSnapshot, refund: Refund, attempt: Attempt, result: RefundResult, looked_up: bool, now: datetime
) -> Plan:
    """The provider paid an attempt in addition to the payment that counts: open a task, and post it to the ledger.

    A provider that reports success after it declined is looked up first. For an earlier attempt that is not possible:
    its report opens the task, and only the provider's records lead to a posting.
    """
    latest = attempt.attempt_no == refund.attempt_no
    doubtful = attempt.state is AttemptState.DECLINED and not looked_up
    if doubtful and latest:
        return _look_up(snapshot, refund, "succeeded after it was declined", now)
    evidence = {"settled_by_hand": refund.settlement is not None, "looked_up": looked_up}
    name = paid_twice_name(attempt.attempt_id)
    task = task_about(refund, attempt, result, TaskKind.PAID_TWICE, name, evidence, now)
    told: tuple[Change, ...] = (OpenTask(task.task_id, task),)
    if doubtful:
        return Plan(told, refund.ticket_id)
    entry = ledger.at_provider(Cause.PAID_AGAIN, refund, attempt, now)
    if refund.settlement is None or _other_is_open(snapshot, attempt):
        return Plan((*told, entry), refund.ticket_id)
    moved = _attempt_moved(attempt, AttemptState.SUCCEEDED, result, now)
    return Plan((*told, entry, moved, _due(refund, None)), refund.ticket_id)


def _other_is_open(snapshot: OrderSnapshot, attempt: Attempt) -> bool:
    """Whether another attempt of the refund is not declined; the database allows one at most (I2)."""
    return any(
        other.refund_id == attempt.refund_id
        and other.attempt_id != attempt.attempt_id
        and other.state is not AttemptState.DECLINED
        for other in snapshot.attempts
    )


def _paid_back(refund: Refund, attempt: Attempt, result: RefundResult, now: datetime) -> Plan:
    """The second payment failed after all; a person still has to close the task."""
    changes: tuple[Change, ...] = (
        _attempt_moved(attempt, AttemptState.DECLINED, result, now),
        ledger.at_provider(Cause.PAID_BACK, refund, attempt, now),
        _due(refund, None),
    )
    return Plan(changes, refund.ticket_id)


# Small pieces --------------------------------------------------------------------------------------------------


def by_provider(refund: Refund) -> Actor:
    return Actor(ActorKind.PROVIDER, refund.provider)


def move_refund(
    refund: Refund,
    state: RefundState,
    *,
    due_at: datetime | None,
    reason: str,
    closed_at: datetime | None = None,
) -> MoveRefund:
    return MoveRefund(refund.refund_id, state, due_at, reason, closed_at, refund.tries)


def _due(refund: Refund, due_at: datetime | None) -> MoveRefund:
    """Look at the refund again at this time, or never; its state stays."""
    return move_refund(refund, refund.state, due_at=due_at, reason=refund.reason, closed_at=refund.closed_at)


def _attempt_moved(attempt: Attempt, state: AttemptState, result: RefundResult, now: datetime) -> MoveAttempt:
    return MoveAttempt(
        attempt_id=attempt.attempt_id,
        state=state,
        provider_refund_id=result.provider_refund_id or attempt.provider_refund_id,
        reason=result.reason,
        news_at=now,
    )
