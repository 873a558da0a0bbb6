"""What is learned of an attempt becomes state here: answer, webhook, look-up and statement alike (I2)."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
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
from jitui.aftersales.commands.execute import Executed, Plan, execute, not_found
from jitui.aftersales.commands.failed_refund import paid_twice_name, with_failure_tasks
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
"""How soon an accepted refund is looked up when no webhook has come."""

KEY_EXPIRED = (
    "the provider's books have no refund of this attempt, and its idempotency key has expired, so that a repeat could"
    " pay twice: check the payment at the provider, then retry"
)
"""Past the life of a key: look up, else the operator, whose retry is a new attempt with a new key."""

FIRST_BACKOFF_SECONDS, LONGEST_BACKOFF_SECONDS = 1.0, 600.0
REOPENINGS = 3
"""How often a refund that failed after it had succeeded is attempted anew before an operator must look."""


@dataclass(frozen=True, slots=True)
class RefundUpdate:
    """What somebody says of an attempt; `looked_up`: the provider's own books said so just now.

    `provider`: who says so unasked; a provider has nothing to say of another's attempts. `lease`: under which the
    books were asked; when it is no longer the refund's, there was news since, and the look-up may be older than that.
    """

    result: RefundResult
    looked_up: bool = False
    provider: str | None = None
    lease: datetime | None = None


async def confirm(
    store: Store, ref: AttemptRef, update: RefundUpdate, *, now: datetime
) -> Executed | Refusal | StoredResponse:
    """The one place where news about money becomes state: answer, webhook, poll and reconciliation alike.

    Idempotent; takes the locks of every other command (buyer, order); ignores leases. One transaction moves the
    attempt, the refund, the tender, the ledger, the ticket and the feed.
    """

    def plan(snapshot: OrderSnapshot, _: DecisionInputs) -> Plan | Refusal:
        return plan_refund_update(snapshot, ref.attempt_id, update, now)

    return await execute(store, ref, plan)


_FINAL = frozenset({AttemptState.SUCCEEDED, AttemptState.DECLINED})


def plan_refund_update(
    snapshot: OrderSnapshot, attempt_id: UUID, update: RefundUpdate, now: datetime
) -> Plan | Refusal:
    """Order late, repeated and conflicting news: knowledge only grows, and a conflict is looked up before it counts."""
    attempt = next(attempt for attempt in snapshot.attempts if attempt.attempt_id == attempt_id)
    refund = next(refund for refund in snapshot.refunds if refund.refund_id == attempt.refund_id)
    if update.provider not in (None, refund.provider):
        return not_found()
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
            return _nothing_new(refund) if looked_up else Plan(ticket_id=refund.ticket_id)
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
            return _look_up(snapshot, refund, "accepted, although its books had nothing when its key expired", now)
        case RefundResultKind.PENDING, state if state not in _FINAL or (latest and looked_up and _in_doubt(refund)):
            if result.stuck and latest:
                return _stuck(snapshot, refund, attempt, result, now)
            return _waiting(snapshot, refund, attempt, result, AttemptState.PENDING, now)
        case _, state if state not in _FINAL and latest and refund.state is not RefundState.FAILED:
            return _waiting(snapshot, refund, attempt, result, _unless_pending(attempt), now)
    return Plan(ticket_id=refund.ticket_id)


def _in_doubt(refund: Refund) -> bool:
    """A finished attempt whose refund waits for the provider's books to settle a conflict."""
    return refund.state is RefundState.UNKNOWN


def _settles(update: RefundUpdate, refund: Refund, latest: bool) -> bool:
    """Whether a decline ends such a doubt: not a notification, and not what became of an earlier attempt."""
    return latest and _in_doubt(refund) and update.provider is None


def _ours_alone(attempt: Attempt) -> bool:
    """Closed by us because its key had expired: the provider itself never declined it."""
    return attempt.reason == KEY_EXPIRED


def _nothing_new(refund: Refund) -> Plan:
    """Known already, and the provider's books say so too: a look-up that was due is done."""
    if refund.due_at is None:
        return Plan(ticket_id=refund.ticket_id)
    return Plan((_due(refund, None),), refund.ticket_id)


def _unless_pending(attempt: Attempt) -> AttemptState:
    return AttemptState.PENDING if attempt.state is AttemptState.PENDING else AttemptState.UNKNOWN


def _succeeded(snapshot: OrderSnapshot, refund: Refund, attempt: Attempt, result: RefundResult, now: datetime) -> Plan:
    changes: tuple[Change, ...] = (
        _attempt_moved(attempt, AttemptState.SUCCEEDED, result, now),
        move_refund(refund, RefundState.SUCCEEDED, due_at=None, reason="", closed_at=now),
        HoldTender(refund.tender_id, pending_minor=-refund.amount_minor, refunded_minor=refund.amount_minor),
        ledger.at_provider(Cause.PAID, refund, attempt, now),
    )
    return with_ticket_following(snapshot, changes, refund.ticket_id, by_provider(refund), "paid", now)


def _reversed(snapshot: OrderSnapshot, refund: Refund, attempt: Attempt, result: RefundResult, now: datetime) -> Plan:
    """Succeeded, later failed: the amount is owed again and a new attempt is queued (T12), a few times at most."""
    again = refund.attempt_no <= REOPENINGS
    state = RefundState.QUEUED if again else RefundState.FAILED
    changes: tuple[Change, ...] = (
        _attempt_moved(attempt, AttemptState.DECLINED, result, now),
        move_refund(refund, state, due_at=now if again else None, reason=result.reason),
        HoldTender(refund.tender_id, pending_minor=refund.amount_minor, refunded_minor=-refund.amount_minor),
        ledger.at_provider(Cause.UNPAID, refund, attempt, now),
    )
    return with_ticket_following(snapshot, changes, refund.ticket_id, by_provider(refund), "failed_after_success", now)


def _declined(snapshot: OrderSnapshot, refund: Refund, attempt: Attempt, result: RefundResult, now: datetime) -> Plan:
    """Refused for good: the hold stays, because the money is still owed; the ticket goes on the operator's list."""
    failed = move_refund(refund, RefundState.FAILED, due_at=None, reason=result.reason)
    changes = (_attempt_moved(attempt, AttemptState.DECLINED, result, now), failed)
    return with_ticket_following(snapshot, changes, refund.ticket_id, by_provider(refund), "declined", now)


def _stuck(snapshot: OrderSnapshot, refund: Refund, attempt: Attempt, result: RefundResult, now: datetime) -> Plan:
    """Accepted, not paid, and waiting for a person: on the operator's list, while the attempt stays open.

    An open attempt says that the money may still arrive: later news of it counts, and `retry` refuses a second one.
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
    """Two pieces of news conflict: the worker asks the provider's books at once.

    The state does not move before that look-up.
    """
    state = RefundState.SUCCEEDED if refund.state is RefundState.SUCCEEDED else RefundState.UNKNOWN
    asked = move_refund(refund, state, due_at=now, reason=reason, closed_at=refund.closed_at)
    return with_ticket_following(snapshot, (asked,), refund.ticket_id, by_provider(refund), "conflicting_news", now)


def _backoff_seconds(attempt: Attempt, tries: int) -> float:
    """Exponential with jitter; the jitter comes from the attempt's id, so that a replay waits the same."""
    jitter = hashlib.sha256(attempt.attempt_id.bytes + bytes([tries & 0xFF])).digest()[0] / 255
    exponential: float = min(LONGEST_BACKOFF_SECONDS, FIRST_BACKOFF_SECONDS * 2 ** min(tries, 16))
    return exponential * (0.5 + 0.5 * jitter)


# Paid twice -----------------------------------------------------------------------------------------------------


def _after_settlement(
    snapshot: OrderSnapshot, refund: Refund, attempt: Attempt, result: RefundResult, looked_up: bool, now: datetime
) -> Plan:
    """News of a refund that was settled by hand: it stays settled, and a payment at the provider is a second one.

    A look-up that is due is called off by the provider's books alone.
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
    """The provider paid an attempt beside the payment that counts: a task for a person, and the ledger shows it.

    A provider that takes its own "declined" back is asked first where that can be done; where it cannot (an earlier
    attempt), its word opens the task, and only its books make a posting.
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
    """A refund has at most one attempt that is not declined: the database holds to it (I2)."""
    return any(
        other.refund_id == attempt.refund_id
        and other.attempt_id != attempt.attempt_id
        and other.state is not AttemptState.DECLINED
        for other in snapshot.attempts
    )


def _paid_back(refund: Refund, attempt: Attempt, result: RefundResult, now: datetime) -> Plan:
    """The second payment failed after all; the task stays for a person to close."""
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
    """The refund stays as it is, and is looked at again at this time, or never."""
    return move_refund(refund, refund.state, due_at=due_at, reason=refund.reason, closed_at=refund.closed_at)


def _attempt_moved(attempt: Attempt, state: AttemptState, result: RefundResult, now: datetime) -> MoveAttempt:
    return MoveAttempt(
        attempt_id=attempt.attempt_id,
        state=state,
        provider_refund_id=result.provider_refund_id or attempt.provider_refund_id,
        reason=result.reason,
        news_at=now,
    )
