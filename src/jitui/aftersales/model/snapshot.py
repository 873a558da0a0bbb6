"""The order snapshot: an order with everything that belongs to it, read under its locks."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from uuid import UUID

from jitui.aftersales.model.incident import Incident
from jitui.aftersales.model.order import (
    Buyer,
    Dispute,
    DisputeState,
    FulfillmentStatus,
    Funding,
    Order,
    OrderLine,
    Shipment,
    Tender,
    fulfillment_status_of,
)
from jitui.aftersales.model.refund import Attempt, Refund
from jitui.aftersales.model.ticket import Actor, Ticket, TicketEvent, TicketLine, TicketState


@dataclass(frozen=True, slots=True)
class OrderSnapshot:
    """A consistent state of one order. A command is a pure function from a snapshot to a plan."""

    order: Order
    buyer: Buyer
    lines: tuple[OrderLine, ...] = ()
    tenders: tuple[Tender, ...] = ()
    funding: tuple[Funding, ...] = ()
    shipments: tuple[Shipment, ...] = ()
    tickets: tuple[Ticket, ...] = ()
    ticket_lines: tuple[TicketLine, ...] = ()
    timeline: tuple[TicketEvent, ...] = ()
    refunds: tuple[Refund, ...] = ()
    attempts: tuple[Attempt, ...] = ()
    disputes: tuple[Dispute, ...] = ()
    completed_by_event: bool = False  # the buyer's history has a completion of this order that was not taken back
    incident: Incident | None = None  # read for a command that is about an incident, and for no other

    @property
    def is_completed(self) -> bool:
        """Whether the buyer has the goods, by a call or by an event; taking the event back does not undo a call."""
        return self.order.completed_at is not None or self.completed_by_event

    @property
    def fulfillment(self) -> FulfillmentStatus:
        """How far the order has gone."""
        return fulfillment_status_of(self.lines, self.shipments, completed=self.is_completed)

    @property
    def is_disputed(self) -> bool:
        """Whether a card dispute about this order is open."""
        return any(dispute.state is DisputeState.OPEN for dispute in self.disputes)

    @property
    def undisputed_tenders(self) -> tuple[Tender, ...]:
        """The tenders as if every open dispute were lost. A refund of what then remains cannot be paid twice."""
        if not self.disputes:
            return self.tenders
        return tuple(
            replace(tender, lost_minor=tender.lost_minor + min(self.disputed_minor(tender), tender.remaining_minor))
            for tender in self.tenders
        )

    def disputed_minor(self, tender: Tender) -> int:
        """The sum of a tender's open disputes."""
        ours = (dispute for dispute in self.disputes if dispute.tender_id == tender.tender_id)
        return sum(dispute.amount_minor for dispute in ours if dispute.state is DisputeState.OPEN)

    def ticket(self, ticket_id: UUID) -> Ticket:
        """The ticket with this id; raises StopIteration when the snapshot does not have it."""
        return next(ticket for ticket in self.tickets if ticket.ticket_id == ticket_id)

    def line(self, line_id: str) -> OrderLine:
        """The order line with this id."""
        return next(line for line in self.lines if line.line_id == line_id)

    def lines_of(self, ticket_id: UUID) -> tuple[TicketLine, ...]:
        """The ticket's lines."""
        return tuple(line for line in self.ticket_lines if line.ticket_id == ticket_id)

    def refunds_of(self, ticket_id: UUID) -> tuple[Refund, ...]:
        """The ticket's refunds, one per tender."""
        return tuple(refund for refund in self.refunds if refund.ticket_id == ticket_id)

    def timeline_of(self, ticket_id: UUID) -> tuple[TicketEvent, ...]:
        """The ticket's timeline, oldest first."""
        return tuple(event for event in self.timeline if event.ticket_id == ticket_id)


def transition(
    snapshot: OrderSnapshot,
    ticket: Ticket,
    to_state: TicketState,
    *,
    by: Actor,
    why: str,
    now: datetime,
    detail: Mapping[str, object] | None = None,
) -> TicketEvent:
    """The timeline row of a transition, numbered after the rows in the snapshot."""
    return TicketEvent(
        ticket_id=ticket.ticket_id,
        seq=len(snapshot.timeline_of(ticket.ticket_id)) + 1,
        at=now,
        actor_kind=by.kind,
        actor_id=by.id,
        from_state=ticket.state,
        to_state=to_state,
        why=why,
        detail={**(detail or {}), **({"through": by.through} if by.through else {})},
    )
