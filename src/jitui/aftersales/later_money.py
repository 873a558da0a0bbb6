"""Money that is captured after its goods were asked for or refunded: the balance of a deposit, a late capture (T33).

What the units under a ticket bring back follows from what was captured. A request in review takes the new money in.
An instant approval is decided again on the new total, caps included, and carries it where the policy still holds. All
other new money of refunded goods opens a task and goes to review, as a request of its own that stands on no units.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from jitui.aftersales import ledger
from jitui.aftersales.command import Plan
from jitui.aftersales.facts import arm_of, gather_facts, history_read
from jitui.aftersales.file import OrderFile, transition, with_refunds, with_ticket
from jitui.aftersales.grant import queue_refunds
from jitui.aftersales.order import LineUnits, OrderLine, Tender
from jitui.aftersales.pay import state_from, ticket_writes
from jitui.aftersales.ports import DecisionInputs
from jitui.aftersales.request_refund import Terms, asked_body, guard_of, record_decision
from jitui.aftersales.split import refundable_minor, worth
from jitui.aftersales.task import NewTask, TaskKind
from jitui.aftersales.ticket import (
    GRANTED_STATES,
    SYSTEM,
    ApprovedBy,
    Ticket,
    TicketEvent,
    TicketLine,
    TicketState,
)
from jitui.aftersales.writes import (
    AddTimeline,
    Announce,
    ChangeKind,
    ClaimFreight,
    ClaimUnits,
    HoldTender,
    OpenTask,
    OpenTicket,
    QueueRefund,
    RaiseTicketLine,
    RecordDecision,
    RecordLaterDecision,
    Write,
    move_ticket,
)
from jitui.ids import new_id
from jitui.money import split_by_weight
from jitui.policy import Outcome, decide

CAPTURED_LATER = "captured_later"
"""Why a ticket's amount grew, and the review reason of a request for money that came after its goods were refunded."""


@dataclass(frozen=True, slots=True)
class _More:
    """What a ticket's units bring back beyond what it has: by line, and freight."""

    ticket: Ticket
    lines: dict[str, int]
    freight_minor: int

    @property
    def amount_minor(self) -> int:
        return sum(self.lines.values()) + self.freight_minor


@dataclass(frozen=True, slots=True)
class _Again:
    """The approvals decided again: whether the policy still holds, and the decision for a ticket."""

    holds: bool
    record: Callable[[Ticket], RecordDecision]


def plan_later_money(captured: Plan, inputs: DecisionInputs, terms: Terms, tender: Tender, now: datetime) -> Plan:
    """The capture with what it does to the tickets that stand on the order's units."""
    file, writes = captured.file, list(captured.writes)
    found = [more for more in _more(file) if more.amount_minor]
    for more in found:
        if more.ticket.state is TicketState.AWAITING_MERCHANT:
            file = _raise(file, more, writes, now)
    granted = [more for more in found if more.ticket.state in GRANTED_STATES]
    instant = [more for more in granted if more.ticket.approved_by is ApprovedBy.INSTANT_REFUND]
    if granted:
        again = _decide_again(file, inputs, terms, instant or granted, now)
        extended = instant if again.holds and _fits(file, instant) else []
        for more in extended:
            file = _extend(file, more, again, writes, now)
        rest = [more for more in granted if more not in extended]
        if rest:
            again = again if rest == (instant or granted) else _decide_again(file, inputs, terms, rest, now)
            file = _review(file, rest, again, inputs, terms, tender, writes, now)
    return Plan(file, tuple(writes))


# How much more ---------------------------------------------------------------------------------------------------


def _more(file: OrderFile) -> list[_More]:
    """For each ticket on the order's units, oldest first, what it lacks; rounding as in `split.units_due_minor`."""
    standing = sorted(
        (t for t in file.tickets if t.state in GRANTED_STATES or t.state is TicketState.AWAITING_MERCHANT),
        key=lambda ticket: (ticket.requested_at, ticket.ticket_id),
    )
    paid = worth(file)
    parts: dict[object, dict[str, int]] = {ticket.ticket_id: {} for ticket in standing}
    for line in file.lines:
        lacks_minor = paid.lines[line.line_id] * line.claimed_quantity // line.quantity - line.claimed_minor
        holders = [
            row for row in file.ticket_lines if row.line_id == line.line_id and row.quantity and row.ticket_id in parts
        ]
        if lacks_minor > 0 and holders:
            shares = split_by_weight(lacks_minor, [row.quantity for row in holders])
            for row, share in zip(holders, shares, strict=True):
                if share:
                    parts[row.ticket_id][line.line_id] = share
    freight = _freight_more(file, standing, paid.freight_minor)
    return [_More(ticket, parts[ticket.ticket_id], freight.get(ticket.ticket_id, 0)) for ticket in standing]


def _freight_more(file: OrderFile, standing: Sequence[Ticket], worth_minor: int) -> dict[object, int]:
    """Freight goes with the ticket that has it, else with the last one of an order that is asked for whole."""
    lacks_minor = worth_minor - file.order.freight_claimed_minor
    whole = all(line.claimed_quantity == line.quantity and not line.left_quantity for line in file.lines)
    if lacks_minor <= 0 or not whole or not standing:
        return {}
    ticket = next((ticket for ticket in reversed(standing) if ticket.freight_minor), standing[-1])
    return {ticket.ticket_id: lacks_minor}


# In review -------------------------------------------------------------------------------------------------------


def _raise(file: OrderFile, more: _More, writes: list[Write], now: datetime) -> OrderFile:
    """A request that waits: its amount grows, and whoever has read it must read it again."""
    ticket = more.ticket
    raised = _raised(ticket, more)
    event = _event(file, ticket, raised, now)
    writes += [
        *_claims([more]),
        *_line_raises(more),
        move_ticket(raised),
        AddTimeline((event,)),
        _announce_raise(raised, more, now),
    ]
    return with_ticket(_with_claims(_with_line_raises(file, more), [more]), raised, (event,))


# Decided again ---------------------------------------------------------------------------------------------------


def _decide_again(
    file: OrderFile, inputs: DecisionInputs, terms: Terms, mores: Sequence[_More], now: datetime
) -> _Again:
    """One decision on everything that these approvals would then give back; caps count what they gave already."""
    tickets = {more.ticket.ticket_id for more in mores}
    units: dict[str, int] = {}
    for row in file.ticket_lines:
        if row.ticket_id in tickets:
            units[row.line_id] = units.get(row.line_id, 0) + row.quantity
    facts = gather_facts(
        terms.policy,
        file,
        _usage_beside(inputs, terms, mores, now),
        asked=[LineUnits(line_id, quantity) for line_id, quantity in units.items()],
        amount_minor=sum(more.ticket.amount_minor + more.amount_minor for more in mores),
        cap_amount_minor=sum(more.amount_minor for more in mores),
        now=now,
        time_zone=terms.time_zone,
        usage_max_age=terms.usage_max_age,
    )
    decision = decide(terms.policy, facts)
    read_from = history_read(terms.policy, file, inputs)
    holds = decision.outcome is Outcome.INSTANT and guard_of(file, inputs, terms) is None
    return _Again(holds, lambda ticket: record_decision(ticket.ticket_id, decision, facts, read_from, now))


def _usage_beside(inputs: DecisionInputs, terms: Terms, mores: Sequence[_More], now: datetime) -> DecisionInputs:
    """The buyer's cap counts an approval once, at its own time; one that has left the window is no longer in there."""
    cap, usage = terms.policy.caps.per_buyer, inputs.buyer_usage
    if cap is None or usage is None:
        return inputs
    since = now - timedelta(seconds=cap.over_seconds)
    if any(more.ticket.approved_at is None or more.ticket.approved_at <= since for more in mores):
        return replace(inputs, buyer_usage=None)
    return replace(inputs, buyer_usage=replace(usage, approvals=max(0, usage.approvals - 1)))


def _fits(file: OrderFile, mores: Iterable[_More]) -> bool:
    return sum(more.amount_minor for more in mores) <= refundable_minor(file.tenders)


def _extend(file: OrderFile, more: _More, again: _Again, writes: list[Write], now: datetime) -> OrderFile:
    """The same approval carries the new money: more refunds of the same ticket."""
    ticket = more.ticket
    refunds = queue_refunds(file, ticket, more.amount_minor, now)
    held = _with_held(with_refunds(file, refunds), {refund.tender_id: refund.amount_minor for refund in refunds})
    raised = replace(_raised(ticket, more), state=state_from(held.refunds_of(ticket.ticket_id)), closed_at=None)
    event = _event(file, ticket, raised, now)
    writes += [
        *_claims([more]),
        *_line_raises(more),
        *(QueueRefund(refund) for refund in refunds),
        *(HoldTender(refund.tender_id, refund.amount_minor) for refund in refunds),
        *(ledger.granted(refund, now) for refund in refunds),
        RecordLaterDecision(again.record(ticket)),
        _announce_raise(raised, more, now),
    ]
    if raised.state is ticket.state:
        writes += [move_ticket(raised), AddTimeline((event,))]
    else:  # it was refunded: the feed and the buyer's history say that it is not any more
        writes += ticket_writes(raised, event, now)
    return with_ticket(_with_claims(_with_line_raises(held, more), [more]), raised, (event,))


# To review -------------------------------------------------------------------------------------------------------


def _review(
    file: OrderFile,
    mores: Sequence[_More],
    again: _Again,
    inputs: DecisionInputs,
    terms: Terms,
    tender: Tender,
    writes: list[Write],
    now: datetime,
) -> OrderFile:
    """One request for all of it, on no units: they are their first ticket's for good."""
    ticket = _new_ticket(file, mores, inputs, terms, now)
    lines = _lines(ticket, mores)
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
    writes += [
        OpenTicket(ticket, lines),
        *_claims(mores),
        again.record(ticket),
        AddTimeline((event,)),
        OpenTask(task.task_id, task),
        Announce(ChangeKind.TICKET_REQUESTED, now, ticket.shop_id, asked_body(ticket), ticket.ticket_id),
    ]
    after = with_ticket(_with_claims(file, mores), ticket, (event,))
    return replace(after, ticket_lines=(*after.ticket_lines, *lines))


def _new_ticket(file: OrderFile, mores: Sequence[_More], inputs: DecisionInputs, terms: Terms, now: datetime) -> Ticket:
    first, review = mores[0].ticket, terms.policy.review
    return replace(
        first,
        ticket_id=new_id(file.order.lane),
        state=TicketState.AWAITING_MERCHANT,
        version=1,
        amount_minor=sum(more.amount_minor for more in mores),
        freight_minor=sum(more.freight_minor for more in mores),
        funding_returns={},
        arm=arm_of(terms.policy, first.buyer_id, inputs.selection),
        requested_at=now,
        notice=None,
        review_reason=CAPTURED_LATER,
        approved_by=None,
        on_timeout=review.on_timeout,
        expires_at=now + timedelta(seconds=review.deadline_seconds),
        approved_at=None,
        closed_at=None,
    )


def _lines(ticket: Ticket, mores: Sequence[_More]) -> tuple[TicketLine, ...]:
    amounts: dict[str, int] = {}
    for more in mores:
        for line_id, amount in more.lines.items():
            amounts[line_id] = amounts.get(line_id, 0) + amount
    return tuple(TicketLine(ticket.ticket_id, line_id, 0, amount, open=False) for line_id, amount in amounts.items())


# Small pieces ----------------------------------------------------------------------------------------------------


def _raised(ticket: Ticket, more: _More) -> Ticket:
    return replace(
        ticket,
        amount_minor=ticket.amount_minor + more.amount_minor,
        freight_minor=ticket.freight_minor + more.freight_minor,
        version=ticket.version + 1,
    )


def _event(file: OrderFile, ticket: Ticket, raised: Ticket, now: datetime) -> TicketEvent:
    detail = {"amount_minor": raised.amount_minor, "more_minor": raised.amount_minor - ticket.amount_minor}
    return transition(file, ticket, raised.state, by=SYSTEM, why=CAPTURED_LATER, now=now, detail=detail)


def _announce_raise(ticket: Ticket, more: _More, now: datetime) -> Announce:
    """The roll-up of cap usage counts the money and no further approval."""
    body = {
        "state": ticket.state.value,
        "amount_minor": ticket.amount_minor,
        "more_minor": more.amount_minor,
        "currency": ticket.currency,
        "version": ticket.version,
        "approved_by": ticket.approved_by.value if ticket.approved_by else None,
    }
    return Announce(ChangeKind.TICKET_AMOUNT_RAISED, now, ticket.shop_id, body, ticket.ticket_id)


def _claims(mores: Iterable[_More]) -> tuple[Write, ...]:
    return tuple(
        write
        for more in mores
        for write in (
            *(ClaimUnits(line_id, 0, amount) for line_id, amount in more.lines.items()),
            *((ClaimFreight(more.freight_minor),) if more.freight_minor else ()),
        )
    )


def _with_claims(file: OrderFile, mores: Iterable[_More]) -> OrderFile:
    for more in mores:
        lines = tuple(_with_claim(line, more.lines.get(line.line_id, 0)) for line in file.lines)
        freight_minor = file.order.freight_claimed_minor + more.freight_minor
        file = replace(file, lines=lines, order=replace(file.order, freight_claimed_minor=freight_minor))
    return file


def _with_claim(line: OrderLine, amount_minor: int) -> OrderLine:
    return replace(line, claimed_minor=line.claimed_minor + amount_minor) if amount_minor else line


def _line_raises(more: _More) -> tuple[RaiseTicketLine, ...]:
    return tuple(RaiseTicketLine(more.ticket.ticket_id, line_id, amount) for line_id, amount in more.lines.items())


def _with_line_raises(file: OrderFile, more: _More) -> OrderFile:
    rows = tuple(
        replace(row, amount_minor=row.amount_minor + more.lines.get(row.line_id, 0))
        if row.ticket_id == more.ticket.ticket_id
        else row
        for row in file.ticket_lines
    )
    return replace(file, ticket_lines=rows)


def _with_held(file: OrderFile, held: dict[str, int]) -> OrderFile:
    tenders = tuple(
        replace(tender, pending_minor=tender.pending_minor + held.get(tender.tender_id, 0)) for tender in file.tenders
    )
    return replace(file, tenders=tenders)
