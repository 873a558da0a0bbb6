"""Approves a ticket. Only here does an approval become refunds, holds on tenders and a stop-ship event."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime

from jitui.aftersales import ledger
from jitui.aftersales.apply import apply
from jitui.aftersales.changes import (
    AddTimeline,
    Announce,
    Change,
    ClaimFreight,
    HoldTender,
    LedgerEntry,
    OutgoingEventKind,
    QueueRefund,
    ReturnFunding,
    move_ticket,
)
from jitui.aftersales.commands.allocation import is_last, leaves_no_unit_free, over_funders, over_tenders
from jitui.aftersales.commands.cap_usage import told_categories
from jitui.aftersales.model.order import ShipmentStatus
from jitui.aftersales.model.refund import Refund, RefundState
from jitui.aftersales.model.snapshot import OrderSnapshot, transition
from jitui.aftersales.model.ticket import SYSTEM, Actor, ApprovedBy, Ticket, TicketEvent, TicketState
from jitui.ids import new_id


def approve_ticket(
    snapshot: OrderSnapshot,
    ticket: Ticket,
    *,
    approved_by: ApprovedBy,
    by: Actor,
    now: datetime,
    detail: Mapping[str, object] | None = None,
) -> tuple[Change, ...]:
    """Approve a ticket whose amount is within what can be refunded; `detail` is added to its timeline.

    Two transitions are recorded: approved (by whom), and refunding (queued for payment). The amounts are split now,
    from what has been approved and what has left by now. The database checks the hold on every tender (I1).
    """
    approved = replace(
        amount_now(snapshot, ticket),
        state=TicketState.REFUNDING,
        version=ticket.version + 1,
        approved_by=approved_by,
        approved_at=now,
        expires_at=None,
    )
    why = {"approved_by": approved_by.value, "amount_minor": approved.amount_minor, **(detail or {})}
    event = transition(
        snapshot, ticket, TicketState.REFUNDING, by=by, why=f"approved_{approved_by.value}", now=now, detail=why
    )
    refunds = queue_refunds(snapshot, approved, approved.amount_minor, now)
    ended = () if refunds else _nothing_to_pay(snapshot, approved, event, now)
    return (
        *(() if ended else (move_ticket(approved),)),
        AddTimeline((event,)),
        *(
            change
            for refund in refunds
            for change in (QueueRefund(refund), HoldTender(refund.tender_id, refund.amount_minor))
        ),
        *(ReturnFunding(funder, amount) for funder, amount in approved.funding_returns.items()),
        *_freight_elsewhere(snapshot, ticket, ticket.freight_minor - approved.freight_minor, now),
        *_entries(approved, refunds, now),
        *_announcements(snapshot, approved, now),
        *ended,
    )


def _nothing_to_pay(
    snapshot: OrderSnapshot, ticket: Ticket, approved: TicketEvent, now: datetime
) -> tuple[Change, ...]:
    """The end of a ticket on an order that cost nothing: its approval makes it refunded at once."""
    noted = apply(snapshot, AddTimeline((approved,)))
    paid = transition(noted, ticket, TicketState.REFUNDED, by=SYSTEM, why="paid", now=now)
    ended = replace(ticket, state=TicketState.REFUNDED, version=ticket.version + 1, closed_at=now)
    return move_ticket(ended), AddTimeline((paid,)), _refunded(ended, now)


def _refunded(ticket: Ticket, now: datetime) -> Announce:
    body = {
        "state": ticket.state.value,
        "version": ticket.version,
        "amount_minor": ticket.amount_minor,
        "currency": ticket.currency,
        "approved_by": ticket.approved_by.value if ticket.approved_by else None,
    }
    return Announce(OutgoingEventKind.TICKET_REFUNDED, now, ticket.shop_id, body, ticket.ticket_id)


def amount_now(snapshot: OrderSnapshot, ticket: Ticket) -> Ticket:
    """The ticket with the amounts that an approval refunds now; they are never more than was requested.

    Freight that was requested with the last goods is left out while other goods of the order are not refunded, or when
    any have left (`refund-split.md`).
    """
    freight_minor = ticket.freight_minor if is_last(snapshot, ticket) else 0
    return replace(
        ticket,
        amount_minor=ticket.amount_minor - ticket.freight_minor + freight_minor,
        freight_minor=freight_minor,
        funding_returns=over_funders(snapshot, ticket),
    )


def _freight_elsewhere(
    snapshot: OrderSnapshot, ticket: Ticket, freight_minor: int, now: datetime
) -> tuple[Change, ...]:
    """Move freight that this approval leaves out to the latest request that waits, or release it when there is none."""
    if not freight_minor:
        return ()
    waiting = [
        other
        for other in snapshot.tickets
        if other.state is TicketState.AWAITING_MERCHANT and other.ticket_id != ticket.ticket_id
    ]
    if not waiting or not leaves_no_unit_free(snapshot, ticket):
        return (ClaimFreight(-freight_minor),)
    other = max(waiting, key=lambda waiter: waiter.requested_at)
    moved = replace(
        other,
        amount_minor=other.amount_minor + freight_minor,
        freight_minor=other.freight_minor + freight_minor,
        version=other.version + 1,
    )
    event = transition(
        snapshot,
        other,
        other.state,
        by=SYSTEM,
        why="freight_moved",
        now=now,
        detail={"freight_minor": freight_minor, "amount_minor": moved.amount_minor},
    )
    return move_ticket(moved), AddTimeline((event,))


def queue_refunds(snapshot: OrderSnapshot, ticket: Ticket, amount_minor: int, now: datetime) -> tuple[Refund, ...]:
    """One refund for each payment that pays a part of the amount; money that an open dispute may take is not used.

    The ticket's own amount, which may be more, says whether the platform's account may pay them.
    """
    may_advance = ticket.advance_up_to_minor is not None and ticket.amount_minor <= ticket.advance_up_to_minor
    tenders = snapshot.undisputed_tenders
    parts = over_tenders(tenders, amount_minor)
    return tuple(
        Refund(
            refund_id=new_id(ticket.lane),
            ticket_id=ticket.ticket_id,
            order_id=ticket.order_id,
            tender_id=tender.tender_id,
            provider=tender.provider,
            payment_id=tender.payment_id,
            amount_minor=part,
            captured_minor=tender.payment_minor,
            currency=tender.currency,
            state=RefundState.QUEUED,
            queued_at=now,
            due_at=now,
            may_advance=may_advance,
        )
        for tender, part in zip(tenders, parts, strict=True)
        if part
    )


def _entries(ticket: Ticket, refunds: Sequence[Refund], now: datetime) -> tuple[LedgerEntry, ...]:
    """The postings of the refunds, and of each funder's share that is returned."""
    to_buyer = (ledger.granted(refund, now) for refund in refunds)
    to_funders = (
        ledger.returned(ticket.ticket_id, funder, amount, ticket.currency, now)
        for funder, amount in ticket.funding_returns.items()
    )
    return (*to_buyer, *to_funders)


def _announcements(snapshot: OrderSnapshot, ticket: Ticket, now: datetime) -> tuple[Announce, ...]:
    """The events for the feed, which tell the warehouse what units to hold back and what labels to void (T19)."""
    assert ticket.approved_by is not None
    lines = snapshot.lines_of(ticket.ticket_id)
    approved = {
        "approved_by": ticket.approved_by.value,
        "amount_minor": ticket.amount_minor,
        "currency": ticket.currency,
        "version": ticket.version,
        "categories": told_categories(snapshot.lines, {line.line_id: line.amount_minor for line in lines}),
    }
    return (
        Announce(OutgoingEventKind.TICKET_APPROVED, now, ticket.shop_id, approved, ticket.ticket_id),
        Announce(
            OutgoingEventKind.STOP_SHIP,
            now,
            ticket.shop_id,
            goods_to_stop(snapshot, ticket),
            ticket.ticket_id,
        ),
    )


def goods_to_stop(snapshot: OrderSnapshot, ticket: Ticket) -> dict[str, object]:
    """The ticket's units, and the printed labels of parcels that they may be in, as the feed tells them."""
    goods = {line.line_id: line for line in snapshot.lines}
    rows = [row for row in snapshot.lines_of(ticket.ticket_id) if row.quantity]
    ours = {row.line_id for row in rows}
    labels = [
        {"carrier": shipment.carrier, "tracking_no": shipment.tracking_no}
        for shipment in snapshot.shipments
        if shipment.degree is ShipmentStatus.LABEL_PRINTED and ours & {unit.line_id for unit in shipment.lines}
    ]
    units = [
        {
            "line_id": row.line_id,
            "sku": goods[row.line_id].sku,
            "item_id": goods[row.line_id].item_id,
            "quantity": row.quantity,
        }
        for row in rows
    ]
    return {"lines": units, "labels_printed": labels}
