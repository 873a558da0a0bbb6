"""A refund of goods with a printed label waits for the warehouse, where the policy says so (R9). Pure.

The question stands on the ticket's timeline with the moment until which an answer approves, so that no step is needed
when the time is over: the ticket is in review all the while, with the merchant's own deadline.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from jitui.aftersales.changes import AddTimeline, Announce, Change, OutgoingEventKind
from jitui.aftersales.commands.approval import goods_to_stop
from jitui.aftersales.model.snapshot import OrderSnapshot, transition
from jitui.aftersales.model.ticket import SYSTEM, Ticket, TicketState

ASKED = "stop_ship_asked"
"""The `why` of the timeline row by which a question is known."""


def ask_warehouse(snapshot: OrderSnapshot, ticket: Ticket, minutes: int, now: datetime) -> tuple[Change, ...]:
    """Ask whether the goods of a ticket in review are held; `snapshot` has the ticket and its timeline already."""
    until = (now + timedelta(minutes=minutes)).isoformat()
    event = transition(
        snapshot, ticket, ticket.state, by=SYSTEM, why=ASKED, now=now, detail={"answer_by": until, "minutes": minutes}
    )
    body = {
        **goods_to_stop(snapshot, ticket),
        "answer_by": until,
        "amount_minor": ticket.amount_minor,
        "currency": ticket.currency,
    }
    news = Announce(OutgoingEventKind.STOP_SHIP_REQUESTED, now, ticket.shop_id, body, ticket.ticket_id)
    return AddTimeline((event,)), news


def answer_by(snapshot: OrderSnapshot, ticket: Ticket) -> datetime | None:
    """Before when an answer approves the ticket; None: the warehouse was not asked, or the ticket is decided."""
    if ticket.state is not TicketState.AWAITING_MERCHANT:
        return None
    asked = next((event for event in snapshot.timeline_of(ticket.ticket_id) if event.why == ASKED), None)
    return None if asked is None else datetime.fromisoformat(str(asked.detail["answer_by"]))
