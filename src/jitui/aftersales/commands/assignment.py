"""Who works on a ticket in review, so that two people do not answer it, and the reminders before its deadline (R4)."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

from jitui.aftersales.changes import AddTimeline, Announce, OutgoingEventKind, move_ticket
from jitui.aftersales.commands.execute import Plan
from jitui.aftersales.commands.on_ticket import Acting, Done, in_review, not_assigned, on_ticket
from jitui.aftersales.model.review import Assignment, next_reminder
from jitui.aftersales.model.snapshot import OrderSnapshot, transition
from jitui.aftersales.model.ticket import SYSTEM, Ticket, TicketState
from jitui.aftersales.outcomes import Refusal
from jitui.aftersales.ports import Store, TicketRef

ASSIGNED_FOR = timedelta(minutes=30)
"""How long an assignment lasts, unless it is made anew: whoever was called away does not keep the ticket."""


async def assign(
    store: Store, ref: TicketRef, acting: Acting, *, take_over: bool = False, lasts: timedelta = ASSIGNED_FOR
) -> Done:
    """Work on a ticket; again prolongs it. Somebody else's ticket is refused, unless it is taken over."""

    def plan(snapshot: OrderSnapshot, ticket: Ticket) -> Plan | Refusal:
        taken = None if take_over else not_assigned(ticket, acting)
        if taken is not None:
            return taken
        assigned = replace(ticket, assignment=Assignment(acting.by.id, acting.by.kind.value, until=acting.now + lasts))
        told = _told(assigned, OutgoingEventKind.TICKET_ASSIGNED, acting)
        return Plan((move_ticket(assigned), *_noted(snapshot, ticket, acting), told), ticket.ticket_id)

    return await on_ticket(store, ref, acting, plan, in_review)


async def release(store: Store, ref: TicketRef, acting: Acting) -> Done:
    """Work on it no longer; a ticket on which nobody works stays as it is."""

    def plan(_: OrderSnapshot, ticket: Ticket) -> Plan | Refusal:
        if ticket.assignment is None:
            return Plan((), ticket.ticket_id)
        told = _told(ticket, OutgoingEventKind.TICKET_RELEASED, acting)
        return Plan((move_ticket(replace(ticket, assignment=None)), told), ticket.ticket_id)

    return await on_ticket(store, ref, acting, plan, in_review, not_assigned)


def _noted(snapshot: OrderSnapshot, ticket: Ticket, acting: Acting) -> tuple[AddTimeline, ...]:
    """A timeline row when the ticket changes hands; working on longer is not told."""
    before = ticket.assignment
    if before is not None and before.person == acting.by.id:
        return ()
    return (AddTimeline((transition(snapshot, ticket, ticket.state, by=acting.by, why="assigned", now=acting.now),)),)


def _told(ticket: Ticket, kind: OutgoingEventKind, acting: Acting) -> Announce:
    """The event, which names nobody."""
    body = {"state": ticket.state.value, "version": ticket.version}
    return Announce(kind, acting.now, ticket.shop_id, body, ticket.ticket_id)


# Reminders ---------------------------------------------------------------------------------------------------------


async def remind(store: Store, ref: TicketRef, *, now: datetime) -> Done:
    """Announce the deadline of a ticket once more, when that is due; two workers announce it once."""

    def plan(snapshot: OrderSnapshot, ticket: Ticket) -> Plan | Refusal:
        return plan_reminder(snapshot, ticket, now)

    return await on_ticket(store, ref, Acting(SYSTEM, now), plan)


def plan_reminder(snapshot: OrderSnapshot, ticket: Ticket, now: datetime) -> Plan:
    """The event and the next reminder; nothing where none is due. The version stays: nothing is decided by it."""
    expires_at = ticket.expires_at
    due = ticket.state is TicketState.AWAITING_MERCHANT and ticket.remind_at is not None and ticket.remind_at <= now
    if not due or expires_at is None:
        return Plan((), ticket.ticket_id)
    body = {
        "state": ticket.state.value,
        "expires_at": expires_at.isoformat(),
        "on_timeout": ticket.on_timeout,
        "amount_minor": ticket.amount_minor,
        "currency": ticket.currency,
        "version": ticket.version,
    }
    event = transition(snapshot, ticket, ticket.state, by=SYSTEM, why="review_due", now=now)
    return Plan(
        (
            move_ticket(replace(ticket, remind_at=next_reminder(expires_at, now))),
            AddTimeline((event,)),
            Announce(OutgoingEventKind.TICKET_REVIEW_DUE, now, ticket.shop_id, body, ticket.ticket_id),
        ),
        ticket.ticket_id,
    )
