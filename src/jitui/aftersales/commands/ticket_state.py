"""Derives a ticket's state from its refunds, and the changes when that state moves."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from uuid import UUID

from jitui.aftersales.apply import apply_all
from jitui.aftersales.changes import (
    AddTimeline,
    Announce,
    BuyerEventKind,
    Change,
    OutgoingEventKind,
    RecordBuyerEvent,
    move_ticket,
)
from jitui.aftersales.commands.execute import Plan
from jitui.aftersales.model.refund import Refund, RefundState
from jitui.aftersales.model.snapshot import OrderSnapshot, transition
from jitui.aftersales.model.ticket import Actor, Ticket, TicketEvent, TicketState


def with_ticket_following(
    snapshot: OrderSnapshot,
    changes: tuple[Change, ...],
    ticket_id: UUID,
    by: Actor,
    why: str,
    now: datetime,
    *,
    detail: Mapping[str, object] | None = None,
) -> Plan:
    """The plan with the ticket's new state added, when the changes of its refunds move it."""
    ticket = snapshot.ticket(ticket_id)
    state = state_from(apply_all(snapshot, changes).refunds_of(ticket_id))
    if state is ticket.state:
        return Plan(changes, ticket_id)
    closed_at = now if state is TicketState.REFUNDED else None
    moved = replace(ticket, state=state, version=ticket.version + 1, closed_at=closed_at)
    event = transition(snapshot, ticket, state, by=by, why=why, now=now, detail=detail)
    return Plan((*changes, *ticket_changes(moved, event, now)), ticket_id)


def state_from(refunds: tuple[Refund, ...]) -> TicketState:
    """The state of an approved ticket: refunded when all refunds succeeded, failed when one failed, else refunding."""
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
    """The changes when a ticket's state moved: its row, timeline, feed, and the buyer's history."""
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
    """Count a refund before shipment in the buyer's history; one that is undone is retracted by an event of its own."""
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
