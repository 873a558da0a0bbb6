"""Handles money that is captured after its goods were requested or refunded: a balance, or a late capture (T33).

The refund for units under a ticket depends on what was captured. A request in review takes the new money in. An instant
approval is decided again on the new total, caps included, and is extended when the policy still approves. All other new
money for refunded goods opens a task, and goes to review as a new request without units.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from jitui.aftersales import ledger
from jitui.aftersales.apply import apply_all
from jitui.aftersales.changes import (
    AddTimeline,
    Announce,
    Change,
    ChangeTicketLine,
    ClaimFreight,
    ClaimUnits,
    HoldTender,
    OpenTask,
    OpenTicket,
    OutgoingEventKind,
    QueueRefund,
    RecordDecision,
    RecordLaterDecision,
    RestrictBuyer,
    move_ticket,
)
from jitui.aftersales.commands.allocation import net_paid, refundable_minor
from jitui.aftersales.commands.approval import queue_refunds
from jitui.aftersales.commands.cap_usage import told_categories
from jitui.aftersales.commands.decision_record import record_decision
from jitui.aftersales.commands.facts import arm_of, decision_query, gather_facts, history_read, inputs_beside
from jitui.aftersales.commands.request_refund import DecisionSettings, guard_of, requested_body
from jitui.aftersales.commands.restriction_rules import decide_under_rules
from jitui.aftersales.commands.ticket_state import state_from, ticket_changes
from jitui.aftersales.commands.withdrawal import answer_by, withdrawal_policy
from jitui.aftersales.model.order import LineUnits, Tender
from jitui.aftersales.model.review import next_reminder
from jitui.aftersales.model.snapshot import OrderSnapshot, transition
from jitui.aftersales.model.task import NewTask, TaskKind
from jitui.aftersales.model.ticket import (
    APPROVED_STATES,
    SYSTEM,
    ApprovedBy,
    Arm,
    Basis,
    Ticket,
    TicketEvent,
    TicketLine,
    TicketState,
)
from jitui.aftersales.ports import DecisionInputs, DecisionQuery
from jitui.ids import new_id
from jitui.money import split_by_weight
from jitui.policy import Outcome, Policy

CAPTURED_LATER = "captured_later"
"""Why a ticket's amount grew, and the review reason of a request for money captured after its goods were refunded."""


@dataclass(frozen=True, slots=True)
class _More:
    """What a ticket's units are worth beyond the ticket's amount: by line, and freight."""

    ticket: Ticket
    lines: dict[str, int]
    freight_minor: int

    @property
    def amount_minor(self) -> int:
        return sum(self.lines.values()) + self.freight_minor


@dataclass(frozen=True, slots=True)
class _Again:
    """The second decision on approvals: whether the policy still approves, and the decision to store with a ticket.

    `restrictions`: what the policy's rules set because of it, once for all of them.
    """

    holds: bool
    record: Callable[[Ticket], RecordDecision]
    restrictions: tuple[RestrictBuyer, ...]


def capture_query(decision_settings: DecisionSettings, now: datetime) -> DecisionQuery:
    """What is read for a capture. The order says whose it is only then, so it is read for the canary's policy too."""
    deciding = decision_settings.deciding
    beside = deciding.canary.policy if deciding.canary is not None else None
    return decision_query(deciding.live, now, decision_settings.time_zone, beside=beside)


def plan_later_money(
    snapshot: OrderSnapshot, read: DecisionInputs, decision_settings: DecisionSettings, tender: Tender, now: datetime
) -> tuple[Change, ...]:
    """What a capture changes for the tickets that have the order's units; the snapshot includes the capture already.

    `read` is what `capture_query` asked for.
    """
    inputs = inputs_of(snapshot, read, decision_settings, now)
    changes: tuple[Change, ...] = ()
    found = [more for more in _more(snapshot) if more.amount_minor]
    for more in found:
        if more.ticket.state is TicketState.AWAITING_MERCHANT:
            changes += _raise(snapshot, more, now)
    approved = [more for more in found if more.ticket.state in APPROVED_STATES]
    instant = [more for more in approved if more.ticket.approved_by is ApprovedBy.INSTANT_REFUND]
    if not approved:
        return changes
    again = _decide_again(apply_all(snapshot, changes), inputs, decision_settings, instant or approved, now)
    changes += again.restrictions
    extended = instant if again.holds and _fits(snapshot, instant) else []
    for more in extended:
        changes += _extend(apply_all(snapshot, changes), more, again, now)
    rest = [more for more in approved if more not in extended]
    if rest:
        after = apply_all(snapshot, changes)
        again = again if rest == (instant or approved) else _decide_again(after, inputs, decision_settings, rest, now)
        changes += _review(after, rest, again, inputs, decision_settings, tender, now)
    return changes


# How much more ---------------------------------------------------------------------------------------------------


def _more(snapshot: OrderSnapshot) -> list[_More]:
    """The amount that each ticket lacks, oldest ticket first; rounding as in `allocation.units_due_minor`."""
    standing = sorted(
        (t for t in snapshot.tickets if t.state in APPROVED_STATES or t.state is TicketState.AWAITING_MERCHANT),
        key=lambda ticket: (ticket.requested_at, ticket.ticket_id),
    )
    paid = net_paid(snapshot)
    parts: dict[object, dict[str, int]] = {ticket.ticket_id: {} for ticket in standing}
    for line in snapshot.lines:
        lacks_minor = paid.lines[line.line_id] * line.claimed_quantity // line.quantity - line.claimed_minor
        holders = [
            row
            for row in snapshot.ticket_lines
            if row.line_id == line.line_id and row.quantity and row.ticket_id in parts
        ]
        if lacks_minor > 0 and holders:
            shares = split_by_weight(lacks_minor, [row.quantity for row in holders])
            for row, share in zip(holders, shares, strict=True):
                if share:
                    parts[row.ticket_id][line.line_id] = share
    freight = _freight_more(snapshot, standing, paid.freight_minor)
    return [_More(ticket, parts[ticket.ticket_id], freight.get(ticket.ticket_id, 0)) for ticket in standing]


def _freight_more(snapshot: OrderSnapshot, standing: Sequence[Ticket], net_paid_minor: int) -> dict[object, int]:
    """The missing freight, for the ticket that has freight, or else the last one when the whole order is requested."""
    lacks_minor = net_paid_minor - snapshot.order.freight_claimed_minor
    whole = all(line.claimed_quantity == line.quantity and not line.left_quantity for line in snapshot.lines)
    if lacks_minor <= 0 or not whole or not standing:
        return {}
    ticket = next((ticket for ticket in reversed(standing) if ticket.freight_minor), standing[-1])
    return {ticket.ticket_id: lacks_minor}


# In review -------------------------------------------------------------------------------------------------------


def _raise(snapshot: OrderSnapshot, more: _More, now: datetime) -> tuple[Change, ...]:
    """Increase the amount of a request in review; its version grows, so that whoever read it must read it again."""
    raised = _raised(more.ticket, more)
    return (
        *_claims([more]),
        *_line_raises(more),
        move_ticket(raised),
        AddTimeline((_event(snapshot, more.ticket, raised, now),)),
        _announce_raise(snapshot, raised, more, now),
    )


# Decided again ---------------------------------------------------------------------------------------------------


def inputs_of(
    snapshot: OrderSnapshot, read: DecisionInputs, decision_settings: DecisionSettings, now: datetime
) -> DecisionInputs:
    """The inputs of the policy that decides for the buyer."""
    deciding = decision_settings.deciding
    decides = deciding.for_buyer(snapshot.order.buyer_id)
    if not decides.in_canary:
        return read
    return inputs_beside(deciding.live, decides.policy, read, now, decision_settings.time_zone)


def _decide_again(
    snapshot: OrderSnapshot,
    inputs: DecisionInputs,
    decision_settings: DecisionSettings,
    mores: Sequence[_More],
    now: datetime,
) -> _Again:
    """One decision on the new total of these approvals; the caps count only the money that is new."""
    tickets = {more.ticket.ticket_id for more in mores}
    units: dict[str, int] = {}
    for row in snapshot.ticket_lines:
        if row.ticket_id in tickets:
            units[row.line_id] = units.get(row.line_id, 0) + row.quantity
    policy = decision_settings.deciding.for_buyer(snapshot.order.buyer_id).policy
    facts = gather_facts(
        policy,
        snapshot,
        _usage_without(inputs, policy, mores, now),
        asked=[LineUnits(line_id, quantity) for line_id, quantity in units.items()],
        amount_minor=sum(more.ticket.amount_minor + more.amount_minor for more in mores),
        cap_amount_minor=sum(more.amount_minor for more in mores),
        line_amounts=_line_amounts(mores),
        now=now,
        time_zone=decision_settings.time_zone,
        usage_max_age=decision_settings.usage_max_age,
    )
    ruled = decide_under_rules(policy, facts, inputs, snapshot.order.lane, now, decision_settings.time_zone)
    decision, facts = ruled.decision, ruled.facts
    read_from = history_read(policy, snapshot, inputs)
    holds = decision.outcome is Outcome.INSTANT and guard_of(snapshot, inputs, decision_settings) is None
    return _Again(
        holds,
        lambda ticket: record_decision(ticket.ticket_id, decision, facts, read_from, now),
        ruled.restrictions,
    )


def _usage_without(inputs: DecisionInputs, policy: Policy, mores: Sequence[_More], now: datetime) -> DecisionInputs:
    """The decision inputs with the buyer's usage less these approvals, whose number must count only once.

    When one of them is older than the cap's window, the usage is unknown.
    """
    cap, usage = policy.caps.per_buyer, inputs.buyer_usage
    if cap is None or usage is None:
        return inputs
    since = now - timedelta(seconds=cap.over_seconds)
    if any(more.ticket.approved_at is None or more.ticket.approved_at <= since for more in mores):
        return replace(inputs, buyer_usage=None)
    return replace(inputs, buyer_usage=replace(usage, approvals=max(0, usage.approvals - 1)))


def _fits(snapshot: OrderSnapshot, mores: Iterable[_More]) -> bool:
    return sum(more.amount_minor for more in mores) <= refundable_minor(snapshot.tenders)


def _extend(snapshot: OrderSnapshot, more: _More, again: _Again, now: datetime) -> tuple[Change, ...]:
    """Extend an approval with the new money: more refunds of the same ticket."""
    ticket = more.ticket
    refunds = queue_refunds(snapshot, _raised(ticket, more), more.amount_minor, now)
    changes: tuple[Change, ...] = (
        *_claims([more]),
        *_line_raises(more),
        *(QueueRefund(refund) for refund in refunds),
        *(HoldTender(refund.tender_id, refund.amount_minor) for refund in refunds),
        *(ledger.granted(refund, now) for refund in refunds),
        RecordLaterDecision(again.record(ticket)),
    )
    state = state_from(apply_all(snapshot, changes).refunds_of(ticket.ticket_id))
    raised = replace(_raised(ticket, more), state=state, closed_at=None)
    event = _event(snapshot, ticket, raised, now)
    told = (_announce_raise(snapshot, raised, more, now),)
    if raised.state is ticket.state:
        return (*changes, *told, move_ticket(raised), AddTimeline((event,)))
    # The ticket was refunded before; the feed and the buyer's history now say that it is not.
    return (*changes, *told, *ticket_changes(raised, event, now))


# To review -------------------------------------------------------------------------------------------------------


def _review(
    snapshot: OrderSnapshot,
    mores: Sequence[_More],
    again: _Again,
    inputs: DecisionInputs,
    decision_settings: DecisionSettings,
    tender: Tender,
    now: datetime,
) -> tuple[Change, ...]:
    """One new request for all of it, without units: the units belong to the earlier tickets for good."""
    ticket = _new_ticket(snapshot, mores, inputs, decision_settings, now)
    event = TicketEvent(
        ticket_id=ticket.ticket_id,
        seq=1,
        at=now,
        actor_kind=SYSTEM.kind,
        actor_id=SYSTEM.id,
        from_state=None,
        to_state=ticket.state,
        why=CAPTURED_LATER,
        detail={"amount_minor": ticket.amount_minor, "ticket_ids": [str(more.ticket.ticket_id) for more in mores]},
    )
    task = NewTask(
        name=f"{TaskKind.CAPTURED_AFTER_REFUND}:{ticket.order_id}:{tender.provider}:{tender.payment_id}:"
        f"{tender.captured_minor}",
        kind=TaskKind.CAPTURED_AFTER_REFUND,
        provider=tender.provider,
        order_id=ticket.order_id,
        amount_minor=ticket.amount_minor,
        currency=ticket.currency,
        evidence={"ticket_id": str(ticket.ticket_id), "payment_id": tender.payment_id, **event.detail},
        opened_at=now,
    )
    return (
        OpenTicket(ticket, _lines(ticket, mores)),
        *_claims(mores),
        again.record(ticket),
        AddTimeline((event,)),
        OpenTask(task.task_id, task),
        Announce(OutgoingEventKind.TICKET_REQUESTED, now, ticket.shop_id, requested_body(ticket), ticket.ticket_id),
    )


def _new_ticket(
    snapshot: OrderSnapshot,
    mores: Sequence[_More],
    inputs: DecisionInputs,
    decision_settings: DecisionSettings,
    now: datetime,
) -> Ticket:
    first = mores[0].ticket
    decides = decision_settings.deciding.for_buyer(first.buyer_id)
    review = decides.policy.review
    by_right = any(more.ticket.basis is Basis.WITHDRAWAL for more in mores)
    deadline = now + timedelta(seconds=review.deadline_seconds)
    expires_at = answer_by(deadline, now) if by_right else deadline
    return replace(
        first,
        ticket_id=new_id(snapshot.order.lane),
        state=TicketState.AWAITING_MERCHANT,
        version=1,
        amount_minor=sum(more.amount_minor for more in mores),
        freight_minor=sum(more.freight_minor for more in mores),
        funding_returns={},
        arm=Arm.NONE if by_right else arm_of(decides, first.buyer_id, inputs.selection),
        requested_at=now,
        basis=Basis.WITHDRAWAL if by_right else Basis.GOODWILL,
        notice=None,
        review_reason=CAPTURED_LATER,
        approved_by=None,
        on_timeout=withdrawal_policy().review.on_timeout if by_right else review.on_timeout,
        expires_at=expires_at,
        approved_at=None,
        closed_at=None,
        remind_at=next_reminder(expires_at, now),
        assignment=None,
        offer=None,
        arbitration=None,
    )


def _lines(ticket: Ticket, mores: Sequence[_More]) -> tuple[TicketLine, ...]:
    amounts = _line_amounts(mores)
    return tuple(TicketLine(ticket.ticket_id, line_id, 0, amount, open=False) for line_id, amount in amounts.items())


def _line_amounts(mores: Iterable[_More]) -> dict[str, int]:
    amounts: dict[str, int] = {}
    for more in mores:
        for line_id, amount in more.lines.items():
            amounts[line_id] = amounts.get(line_id, 0) + amount
    return amounts


# Small pieces ----------------------------------------------------------------------------------------------------


def _raised(ticket: Ticket, more: _More) -> Ticket:
    return replace(
        ticket,
        amount_minor=ticket.amount_minor + more.amount_minor,
        freight_minor=ticket.freight_minor + more.freight_minor,
        version=ticket.version + 1,
    )


def _event(snapshot: OrderSnapshot, ticket: Ticket, raised: Ticket, now: datetime) -> TicketEvent:
    detail = {"amount_minor": raised.amount_minor, "more_minor": raised.amount_minor - ticket.amount_minor}
    return transition(snapshot, ticket, raised.state, by=SYSTEM, why=CAPTURED_LATER, now=now, detail=detail)


def _announce_raise(snapshot: OrderSnapshot, ticket: Ticket, more: _More, now: datetime) -> Announce:
    """The event for the feed; from it the roll-up of cap usage counts the money, but no further approval."""
    body = {
        "state": ticket.state.value,
        "amount_minor": ticket.amount_minor,
        "more_minor": more.amount_minor,
        "currency": ticket.currency,
        "version": ticket.version,
        "approved_by": ticket.approved_by.value if ticket.approved_by else None,
        "categories": told_categories(snapshot.lines, more.lines),
    }
    return Announce(OutgoingEventKind.TICKET_AMOUNT_RAISED, now, ticket.shop_id, body, ticket.ticket_id)


def _claims(mores: Iterable[_More]) -> tuple[Change, ...]:
    return tuple(
        write
        for more in mores
        for write in (
            *(ClaimUnits(line_id, 0, amount) for line_id, amount in more.lines.items()),
            *((ClaimFreight(more.freight_minor),) if more.freight_minor else ()),
        )
    )


def _line_raises(more: _More) -> tuple[ChangeTicketLine, ...]:
    return tuple(ChangeTicketLine(more.ticket.ticket_id, line_id, amount) for line_id, amount in more.lines.items())
