"""Paying approved refunds exactly once (`architecture.md`, *The way of a refund*; I2).

claim (commits `sending`) → call the provider with the attempt's id as its key → `confirm`. Answers, webhooks, polls and
reconciliation all enter at `confirm`, which is idempotent and orders late and repeated news.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from uuid import UUID

from jitui.aftersales import ledger
from jitui.aftersales.apply import apply_all
from jitui.aftersales.changes import (
    AddTimeline,
    Announce,
    BuyerEventKind,
    Change,
    HoldTender,
    MoveAttempt,
    MoveRefund,
    OpenTask,
    OutgoingEventKind,
    RecordBuyerEvent,
    SettleRefund,
    move_ticket,
)
from jitui.aftersales.command import Executed, IdempotentReply, Plan, execute, not_found
from jitui.aftersales.ledger import Cause
from jitui.aftersales.mismatch import as_unknown, find_mismatch, with_mismatch_task
from jitui.aftersales.outcomes import Refusal, RefusalCode, StoredResponse
from jitui.aftersales.ports import AttemptRef, ClaimedRefund, DecisionInputs, RefundRef, Store
from jitui.aftersales.provider import PaymentProvider, RefundInstruction, RefundResult, RefundResultKind
from jitui.aftersales.refund import Attempt, AttemptState, Refund, RefundState, Settlement
from jitui.aftersales.snapshot import OrderSnapshot, transition
from jitui.aftersales.task import NewTask, TaskKind
from jitui.aftersales.ticket import Actor, ActorKind, Ticket, TicketEvent, TicketState

Clock = Callable[[], datetime]

POLL_PENDING = timedelta(seconds=5)
"""How soon an accepted refund is looked up when no webhook has come."""

KEY_EXPIRED = (
    "the provider's books have no refund of this attempt, and its idempotency key has expired, so that a repeat could"
    " pay twice: check the payment at the provider, then retry"
)
"""Past the life of a key: look up, else the operator, whose retry is a new attempt with a new key."""

NO_WAY_TO_ASK = "the provider cannot say what became of it: the next statement will, by jitui reconcile"
NO_WAY_TO_REPEAT = (
    "the provider says that it has no such refund, and no key would keep a repeat from paying twice:"
    " the next statement decides, by jitui reconcile"
)
A_DAY_SECONDS = 86_400.0
"""How soon a refund is looked at again that only a statement can settle."""

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


async def pay_claimed(
    store: Store, providers: Mapping[str, PaymentProvider], claimed: ClaimedRefund, *, clock: Clock
) -> Executed | Refusal | StoredResponse:
    """Call the provider for one claimed refund and confirm its answer; never raises for what a provider does."""
    provider = providers[claimed.refund.provider]
    update = await _call(provider, claimed, clock)
    return await confirm(store, AttemptRef(claimed.lane, claimed.attempt.attempt_id), update, now=clock())


async def _call(provider: PaymentProvider, claimed: ClaimedRefund, clock: Clock) -> RefundUpdate:
    instruction = refund_instruction(claimed.refund, claimed.attempt)
    if claimed.look_up_first and not provider.capabilities.look_up:
        if not (provider.capabilities.keys and claimed.may_send):
            return RefundUpdate(
                RefundResult(RefundResultKind.UNKNOWN, reason=NO_WAY_TO_ASK, retry_after_seconds=A_DAY_SECONDS)
            )
    elif claimed.look_up_first:
        found = await provider.look_up(instruction)
        if found.kind is not RefundResultKind.NOT_FOUND:
            return RefundUpdate(found, looked_up=True, lease=claimed.refund.leased_until)
        if not claimed.may_send:
            return RefundUpdate(
                RefundResult(
                    RefundResultKind.UNKNOWN, reason="the provider no longer knows an attempt that it had accepted"
                )
            )
        if not provider.capabilities.keys:
            return RefundUpdate(
                RefundResult(RefundResultKind.UNKNOWN, reason=NO_WAY_TO_REPEAT, retry_after_seconds=A_DAY_SECONDS)
            )
        if found.key_life is not None and clock() - claimed.attempt.started_at >= found.key_life:
            gone = RefundResult(RefundResultKind.DECLINED, reason=KEY_EXPIRED)
            return RefundUpdate(gone, looked_up=True, lease=claimed.refund.leased_until)
    lease = claimed.refund.leased_until
    if lease is not None and clock() > lease:
        # Held up for so long that another worker may be at it, or the provider has forgotten the key.
        return RefundUpdate(
            RefundResult(RefundResultKind.UNKNOWN, reason="the lease ran out before the refund was sent")
        )
    # Never heard of, or never sent: the same attempt with the same key is safe (T5, T15, T27).
    return RefundUpdate(await provider.send(instruction))


def refund_instruction(refund: Refund, attempt: Attempt) -> RefundInstruction:
    """What the provider is asked to do; the attempt's id is the idempotency key."""
    return RefundInstruction(
        attempt_id=attempt.attempt_id,
        provider=refund.provider,
        payment_id=refund.payment_id,
        order_id=refund.order_id,
        amount_minor=refund.amount_minor,
        currency=refund.currency,
        captured_minor=refund.captured_minor,
    )


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


async def retry(
    store: Store,
    ref: RefundRef,
    *,
    by: Actor,
    now: datetime,
    reply: IdempotentReply | None = None,
) -> Executed | Refusal | StoredResponse:
    """An operator sends a finally failed refund again, as a new attempt with a new key."""

    def plan(snapshot: OrderSnapshot, _: DecisionInputs) -> Plan | Refusal:
        refund = next(refund for refund in snapshot.refunds if refund.refund_id == ref.refund_id)
        if refund.state is not RefundState.FAILED:
            return Refusal(
                RefusalCode.REFUND_NOT_FAILED,
                f"The refund is {refund.state.value}; only a failed one is retried.",
            )
        if _may_still_be_paid(snapshot, refund):
            return Refusal(
                RefusalCode.REFUND_NOT_FAILED,
                f"{refund.provider} still holds this refund and may pay it: act there, a new attempt could pay twice.",
            )
        if _is_disputed(snapshot, refund):
            return Refusal(
                RefusalCode.DISPUTE_OPEN,
                "The buyer's bank is asked for the same money: wait until it has decided before you send it again.",
            )
        queued = _moved(refund, RefundState.QUEUED, due_at=now, reason="retried")
        return _with_ticket_following(snapshot, (queued,), refund.ticket_id, by, "retried", now)

    return await execute(store, ref, plan, reply=reply)


def _is_disputed(snapshot: OrderSnapshot, refund: Refund) -> bool:
    """Whether the payment's open disputes are about more than it has left beside what is promised of it."""
    tender = next(tender for tender in snapshot.tenders if tender.tender_id == refund.tender_id)
    return snapshot.disputed_minor(tender) > tender.remaining_minor


@dataclass(frozen=True, slots=True)
class ManualPayout:
    """What an operator shows of a payment outside the provider; the amount must be the refund's."""

    reference: str
    note: str
    amount_minor: int
    currency: str


async def settle(
    store: Store,
    ref: RefundRef,
    payout: ManualPayout,
    *,
    by: Actor,
    now: datetime,
    reply: IdempotentReply | None = None,
) -> Executed | Refusal | StoredResponse:
    """An operator has paid a finally failed refund by hand: it is settled with evidence and never sent again."""

    def plan(snapshot: OrderSnapshot, _: DecisionInputs) -> Plan | Refusal:
        refund = next(refund for refund in snapshot.refunds if refund.refund_id == ref.refund_id)
        return plan_settlement(snapshot, refund, payout, by, now)

    return await execute(store, ref, plan, reply=reply)


def plan_settlement(
    snapshot: OrderSnapshot, refund: Refund, payout: ManualPayout, by: Actor, now: datetime
) -> Plan | Refusal:
    """Only FAILED: in every other state the provider may still pay, or has paid."""
    if refund.state is not RefundState.FAILED:
        return Refusal(
            RefusalCode.REFUND_NOT_FAILED,
            f"The refund is {refund.state.value}; only a failed one is settled by hand.",
        )
    if (payout.amount_minor, payout.currency) != (refund.amount_minor, refund.currency):
        return Refusal(
            RefusalCode.SETTLEMENT_DIFFERS,
            f"The refund is {refund.amount_minor} minor units of {refund.currency}; it is settled whole or not at all.",
            "amount",
        )
    settlement = Settlement(payout.reference, payout.note, by.id, now)
    changes: tuple[Change, ...] = (
        SettleRefund(refund.refund_id, settlement),
        _moved(refund, RefundState.SUCCEEDED, due_at=None, reason="settled by hand", closed_at=now),
        HoldTender(refund.tender_id, pending_minor=-refund.amount_minor, refunded_minor=refund.amount_minor),
        ledger.settled(refund, now),
    )
    evidence = {"reference": payout.reference, "refund_id": str(refund.refund_id), "amount_minor": refund.amount_minor}
    done = _with_ticket_following(snapshot, changes, refund.ticket_id, by, "settled_by_hand", now, detail=evidence)
    if done.changes == changes:  # another refund of the ticket is not paid yet: the ticket stays, its timeline tells
        ticket = snapshot.ticket(refund.ticket_id)
        event = transition(snapshot, ticket, ticket.state, by=by, why="settled_by_hand", now=now, detail=evidence)
        return Plan((*changes, AddTimeline((event,))), refund.ticket_id)
    return done


# The lattice of news -------------------------------------------------------------------------------------------

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
        return _plan_result(snapshot, refund, attempt, update.result, update, now)
    nothing = as_unknown(found, refund, now, unasked=update.provider is not None)
    plan = _plan_result(snapshot, refund, attempt, nothing, update, now)
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
        _moved(refund, RefundState.SUCCEEDED, due_at=None, reason="", closed_at=now),
        HoldTender(refund.tender_id, pending_minor=-refund.amount_minor, refunded_minor=refund.amount_minor),
        ledger.at_provider(Cause.PAID, refund, attempt, now),
    )
    return _with_ticket_following(snapshot, changes, refund.ticket_id, _provider(refund), "paid", now)


def _reversed(snapshot: OrderSnapshot, refund: Refund, attempt: Attempt, result: RefundResult, now: datetime) -> Plan:
    """Succeeded, later failed: the amount is owed again and a new attempt is queued (T12), a few times at most."""
    again = refund.attempt_no <= REOPENINGS
    state = RefundState.QUEUED if again else RefundState.FAILED
    changes: tuple[Change, ...] = (
        _attempt_moved(attempt, AttemptState.DECLINED, result, now),
        _moved(refund, state, due_at=now if again else None, reason=result.reason),
        HoldTender(refund.tender_id, pending_minor=refund.amount_minor, refunded_minor=-refund.amount_minor),
        ledger.at_provider(Cause.UNPAID, refund, attempt, now),
    )
    return _with_ticket_following(snapshot, changes, refund.ticket_id, _provider(refund), "failed_after_success", now)


def _declined(snapshot: OrderSnapshot, refund: Refund, attempt: Attempt, result: RefundResult, now: datetime) -> Plan:
    """Refused for good: the hold stays, because the money is still owed; the ticket goes on the operator's list."""
    failed = _moved(refund, RefundState.FAILED, due_at=None, reason=result.reason)
    changes = (_attempt_moved(attempt, AttemptState.DECLINED, result, now), failed)
    return _with_ticket_following(snapshot, changes, refund.ticket_id, _provider(refund), "declined", now)


def _stuck(snapshot: OrderSnapshot, refund: Refund, attempt: Attempt, result: RefundResult, now: datetime) -> Plan:
    """Accepted, not paid, and waiting for a person: on the operator's list, while the attempt stays open.

    An open attempt says that the money may still arrive: later news of it counts, and `retry` refuses a second one.
    """
    failed = _moved(refund, RefundState.FAILED, due_at=None, reason=result.reason)
    changes = (_attempt_moved(attempt, AttemptState.PENDING, result, now), failed)
    return _with_ticket_following(snapshot, changes, refund.ticket_id, _provider(refund), "stuck", now)


def _may_still_be_paid(snapshot: OrderSnapshot, refund: Refund) -> bool:
    """Whether any attempt is not declined: a refund has one such attempt at most (I2)."""
    return any(
        attempt.refund_id == refund.refund_id and attempt.state is not AttemptState.DECLINED
        for attempt in snapshot.attempts
    )


def _waiting(
    snapshot: OrderSnapshot, refund: Refund, attempt: Attempt, result: RefundResult, state: AttemptState, now: datetime
) -> Plan:
    """Not final: look again later, sooner for an accepted refund, with backoff and jitter for an unknown one."""
    if state is AttemptState.PENDING:
        wait = max(POLL_PENDING, timedelta(seconds=_backoff_seconds(attempt, refund.tries)))
    else:
        wait = timedelta(seconds=result.retry_after_seconds or _backoff_seconds(attempt, refund.tries))
    refund_state = RefundState.PENDING if state is AttemptState.PENDING else RefundState.UNKNOWN
    waiting = _moved(refund, refund_state, due_at=now + wait, reason=result.reason)
    changes = (_attempt_moved(attempt, state, result, now), waiting)
    return _with_ticket_following(snapshot, changes, refund.ticket_id, _provider(refund), "under_way", now)


def _look_up(snapshot: OrderSnapshot, refund: Refund, reason: str, now: datetime) -> Plan:
    """Two pieces of news conflict: the worker asks the provider's books at once.

    The state does not move before that look-up.
    """
    state = RefundState.SUCCEEDED if refund.state is RefundState.SUCCEEDED else RefundState.UNKNOWN
    asked = _moved(refund, state, due_at=now, reason=reason, closed_at=refund.closed_at)
    return _with_ticket_following(snapshot, (asked,), refund.ticket_id, _provider(refund), "conflicting_news", now)


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
    task = NewTask(
        name=paid_twice_name(attempt.attempt_id),
        kind=TaskKind.PAID_TWICE,
        provider=refund.provider,
        order_id=refund.order_id,
        amount_minor=refund.amount_minor,
        currency=refund.currency,
        evidence={
            "refund_id": str(refund.refund_id),
            "attempt_id": str(attempt.attempt_id),
            "provider_refund_id": result.provider_refund_id or attempt.provider_refund_id,
            "settled_by_hand": refund.settlement is not None,
            "looked_up": looked_up,
        },
        opened_at=now,
    )
    told: tuple[Change, ...] = (OpenTask(task.task_id, task),)
    if doubtful:
        return Plan(told, refund.ticket_id)
    entry = ledger.at_provider(Cause.PAID_AGAIN, refund, attempt, now)
    if refund.settlement is None or _other_is_open(snapshot, attempt):
        return Plan((*told, entry), refund.ticket_id)
    moved = _attempt_moved(attempt, AttemptState.SUCCEEDED, result, now)
    return Plan((*told, entry, moved, _due(refund, None)), refund.ticket_id)


def paid_twice_name(attempt_id: UUID) -> str:
    """One task for a second payment, whoever hears of it."""
    return f"paid_twice:{attempt_id}"


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


# Moving the ticket with its refunds ----------------------------------------------------------------------------


def _with_ticket_following(
    snapshot: OrderSnapshot,
    changes: tuple[Change, ...],
    ticket_id: UUID,
    by: Actor,
    why: str,
    now: datetime,
    *,
    detail: Mapping[str, object] | None = None,
) -> Plan:
    """A ticket over several tenders is refunded when all are, failed when one is final, refunding otherwise."""
    ticket = snapshot.ticket(ticket_id)
    state = state_from(apply_all(snapshot, changes).refunds_of(ticket_id))
    if state is ticket.state:
        return Plan(changes, ticket_id)
    closed_at = now if state is TicketState.REFUNDED else None
    moved = replace(ticket, state=state, version=ticket.version + 1, closed_at=closed_at)
    event = transition(snapshot, ticket, state, by=by, why=why, now=now, detail=detail)
    return Plan((*changes, *ticket_changes(moved, event, now)), ticket_id)


def state_from(refunds: tuple[Refund, ...]) -> TicketState:
    """What a granted ticket's refunds make of it."""
    states = {refund.state for refund in refunds}
    if states == {RefundState.SUCCEEDED}:
        return TicketState.REFUNDED
    return TicketState.REFUND_FAILED if RefundState.FAILED in states else TicketState.REFUNDING


_ANNOUNCED = {
    TicketState.REFUNDED: OutgoingEventKind.TICKET_REFUNDED,
    TicketState.REFUND_FAILED: OutgoingEventKind.TICKET_REFUND_FAILED,
    TicketState.REFUNDING: OutgoingEventKind.TICKET_REOPENED,
}


def ticket_changes(ticket: Ticket, event: TicketEvent, now: datetime) -> tuple[Change, ...]:
    """A ticket that moved with its refunds: its row, timeline, feed, and the buyer's history."""
    body = {
        "state": ticket.state.value,
        "version": ticket.version,
        "amount_minor": ticket.amount_minor,
        "currency": ticket.currency,
        "approved_by": ticket.approved_by.value if ticket.approved_by else None,
    }
    return (
        move_ticket(ticket),
        AddTimeline((event,)),
        Announce(_ANNOUNCED[ticket.state], now, ticket.shop_id, body, ticket.ticket_id),
        *_history(ticket, event, now),
    )


def _history(ticket: Ticket, event: TicketEvent, now: datetime) -> tuple[RecordBuyerEvent, ...]:
    """A refund before shipment counts in the buyer's history; one that is undone is retracted by its own event."""
    undone = event.from_state is TicketState.REFUNDED
    if ticket.state is not TicketState.REFUNDED and not undone:
        return ()
    name = f"refunded:{ticket.ticket_id}:{ticket.version - 1 if undone else ticket.version}"
    return (
        RecordBuyerEvent(
            buyer_id=ticket.buyer_id,
            event_id=f"retracted:{name}" if undone else name,
            kind=BuyerEventKind.REFUND_BEFORE_SHIPMENT,
            at=now,
            recorded_at=now,
            order_id=ticket.order_id,
            amount_minor=ticket.amount_minor,
            retracts=name if undone else None,
        ),
    )


# Small pieces --------------------------------------------------------------------------------------------------


def _provider(refund: Refund) -> Actor:
    return Actor(ActorKind.PROVIDER, refund.provider)


def _moved(
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
    return _moved(refund, refund.state, due_at=due_at, reason=refund.reason, closed_at=refund.closed_at)


def _attempt_moved(attempt: Attempt, state: AttemptState, result: RefundResult, now: datetime) -> MoveAttempt:
    return MoveAttempt(
        attempt_id=attempt.attempt_id,
        state=state,
        provider_refund_id=result.provider_refund_id or attempt.provider_refund_id,
        reason=result.reason,
        news_at=now,
    )
