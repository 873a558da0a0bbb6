"""A partial approval: the shop offers to refund some of the units, and with the buyer's consent they are approved (R4).

An offer names units, never an amount: what they are worth follows from the order, as for a request (T30).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from jitui.aftersales.apply import apply_all
from jitui.aftersales.changes import (
    AddTimeline,
    Announce,
    Change,
    ChangeTicketLine,
    ClaimUnits,
    OutgoingEventKind,
    move_ticket,
)
from jitui.aftersales.commands.allocation import net_paid, units_due_minor
from jitui.aftersales.commands.execute import Plan
from jitui.aftersales.commands.on_ticket import Acting, Done, in_review, not_assigned, on_ticket
from jitui.aftersales.commands.review import plan_approval
from jitui.aftersales.model.order import LineUnits
from jitui.aftersales.model.review import Offer
from jitui.aftersales.model.snapshot import OrderSnapshot, transition
from jitui.aftersales.model.ticket import ApprovedBy, Ticket, TicketLine
from jitui.aftersales.outcomes import Refusal, RefusalCode
from jitui.aftersales.ports import Store, TicketRef


async def offer(store: Store, ref: TicketRef, lines: tuple[LineUnits, ...], reason: str, acting: Acting) -> Done:
    """Offer to refund these units of the request. A later offer replaces it; the deadline stays."""

    def plan(snapshot: OrderSnapshot, ticket: Ticket) -> Plan | Refusal:
        wrong = _check_offer(snapshot.lines_of(ticket.ticket_id), lines)
        if wrong is not None:
            return wrong
        made = Offer(lines, reason, acting.by.id, acting.now)
        return _changed(snapshot, replace(ticket, offer=made), acting, OutgoingEventKind.TICKET_OFFERED, "offered")

    return await on_ticket(store, ref, acting, plan, in_review, not_assigned)


async def decline_offer(store: Store, ref: TicketRef, acting: Acting) -> Done:
    """Decline as the buyer: the request stays in review, whole."""

    def plan(snapshot: OrderSnapshot, ticket: Ticket) -> Plan | Refusal:
        if ticket.offer is None:
            return _no_offer()
        declined = replace(ticket, offer=None)
        return _changed(snapshot, declined, acting, OutgoingEventKind.TICKET_OFFER_DECLINED, "offer_declined")

    return await on_ticket(store, ref, acting, plan, in_review)


async def accept_offer(store: Store, ref: TicketRef, acting: Acting) -> Done:
    """Accept as the buyer: the offered units are approved, the others are released in the same transaction."""

    def plan(snapshot: OrderSnapshot, ticket: Ticket) -> Plan | Refusal:
        return plan_acceptance(snapshot, ticket, acting)

    return await on_ticket(store, ref, acting, plan, in_review)


def plan_acceptance(snapshot: OrderSnapshot, ticket: Ticket, acting: Acting) -> Plan | Refusal:
    """Take the units that were not offered out of the ticket, and approve the rest as the shop's approval."""
    if ticket.offer is None:
        return _no_offer()
    kept = {unit.line_id: unit.quantity for unit in ticket.offer.lines}
    reduced = _reduction(snapshot, ticket, kept)
    accepted = AddTimeline(
        (transition(snapshot, ticket, ticket.state, by=acting.by, why="offer_accepted", now=acting.now),)
    )
    after = apply_all(snapshot, (*reduced, accepted))
    goods_minor = sum(line.amount_minor for line in after.lines_of(ticket.ticket_id))
    smaller = replace(ticket, amount_minor=goods_minor + ticket.freight_minor)
    approved = plan_approval(after, smaller, ApprovedBy.MERCHANT, acting.by, acting.now)
    if isinstance(approved, Refusal):
        return approved
    return Plan((*reduced, accepted, *approved.changes), ticket.ticket_id)


def _reduction(snapshot: OrderSnapshot, ticket: Ticket, kept: Mapping[str, int]) -> tuple[Change, ...]:
    """The units and amounts that leave the ticket; what stays is worth what these units alone would have been."""
    paid = net_paid(snapshot)
    changes: list[Change] = []
    for row in snapshot.lines_of(ticket.ticket_id):
        line = snapshot.line(row.line_id)
        without = replace(
            line,
            claimed_quantity=line.claimed_quantity - row.quantity,
            claimed_minor=line.claimed_minor - row.amount_minor,
        )
        quantity = kept.get(row.line_id, 0)
        amount_minor = min(row.amount_minor, units_due_minor(without, paid.lines[row.line_id], quantity))
        less, less_minor = quantity - row.quantity, amount_minor - row.amount_minor
        if less or less_minor:
            changes += [
                ClaimUnits(row.line_id, less, less_minor),
                ChangeTicketLine(ticket.ticket_id, row.line_id, less_minor, less),
            ]
    return tuple(changes)


def _check_offer(rows: tuple[TicketLine, ...], offered: tuple[LineUnits, ...]) -> Refusal | None:
    """The units are some of the request's, and not all of them: all is an approval."""
    requested = {row.line_id: row.quantity for row in rows}
    for index, unit in enumerate(offered):
        if unit.line_id in {earlier.line_id for earlier in offered[:index]}:
            return Refusal(RefusalCode.UNKNOWN_LINE, "A line is named twice.", f"lines[{index}].line_id")
        if unit.line_id not in requested:
            return Refusal(
                RefusalCode.UNKNOWN_LINE, f"The request has no line {unit.line_id!r}.", f"lines[{index}].line_id"
            )
        if not 1 <= unit.quantity <= requested[unit.line_id]:
            return Refusal(
                RefusalCode.UNITS_NOT_AVAILABLE,
                f"The request has {requested[unit.line_id]} units of line {unit.line_id!r}.",
                f"lines[{index}].quantity",
            )
    if not offered:
        return Refusal(RefusalCode.UNITS_NOT_AVAILABLE, "Name the units that you would refund.", "lines")
    if sum(unit.quantity for unit in offered) == sum(requested.values()):
        return Refusal(RefusalCode.UNITS_NOT_AVAILABLE, "These are all units of the request: approve it.", "lines")
    return None


def _no_offer() -> Refusal:
    return Refusal(RefusalCode.OFFER_NOT_OPEN, "The shop offers nothing on this ticket now; read it again.")


def _changed(snapshot: OrderSnapshot, ticket: Ticket, acting: Acting, kind: OutgoingEventKind, why: str) -> Plan:
    """The ticket with another offer: a new version, a timeline row and an event."""
    moved = replace(ticket, version=ticket.version + 1)
    units = [] if moved.offer is None else [{"line_id": u.line_id, "quantity": u.quantity} for u in moved.offer.lines]
    detail: dict[str, object] = {} if moved.offer is None else {"units": units, "reason": moved.offer.reason}
    event = transition(snapshot, ticket, ticket.state, by=acting.by, why=why, now=acting.now, detail=detail)
    body = {"state": ticket.state.value, "version": moved.version, **detail}
    return Plan(
        (
            move_ticket(moved),
            AddTimeline((event,)),
            Announce(kind, acting.now, ticket.shop_id, body, ticket.ticket_id),
        ),
        ticket.ticket_id,
    )
