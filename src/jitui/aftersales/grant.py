"""Granting a ticket: the one place where an approval turns into refunds, holds and a stop-ship signal."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from jitui.aftersales import ledger
from jitui.aftersales.file import OrderFile, transition, with_refunds, with_ticket
from jitui.aftersales.order import ParcelDegree, Tender
from jitui.aftersales.refund import Refund, RefundState
from jitui.aftersales.ticket import Actor, ApprovedBy, Ticket, TicketEvent, TicketLine, TicketState
from jitui.aftersales.writes import Announce, ChangeKind, HoldTender, Post, QueueRefund, ReturnFunding, Write
from jitui.ids import new_id
from jitui.money import split_by_weight


@dataclass(frozen=True, slots=True)
class Granted:
    """The ticket as it stands after the approval, the file with it, and what to write beside the ticket's own row."""

    ticket: Ticket
    file: OrderFile
    events: tuple[TicketEvent, ...]
    writes: tuple[Write, ...]


def refundable_minor(tenders: Sequence[Tender]) -> int:
    """What can still go back on this order, pending refunds counted as gone (I1, T8, T9)."""
    return sum(tender.remaining_minor for tender in tenders)


def grant(
    file: OrderFile,
    ticket: Ticket,
    lines: Sequence[TicketLine],
    *,
    approved_by: ApprovedBy,
    by: Actor,
    now: datetime,
) -> Granted:
    """Approve a ticket whose amount is within what is refundable.

    Two transitions are recorded at once: approved (by whom), and refunding (queued for payment). The refunds are
    split over the tenders by what each still has; the hold on every tender is the database's to check (I1).
    """
    granted = replace(
        ticket,
        state=TicketState.REFUNDING,
        version=ticket.version + 1,
        approved_by=approved_by,
        approved_at=now,
        expires_at=None,
    )
    why = {"approved_by": approved_by.value, "amount_minor": ticket.amount_minor}
    event = transition(
        file, ticket, TicketState.REFUNDING, by=by, why=f"approved_{approved_by.value}", now=now, detail=why
    )
    refunds = _queue_refunds(file, granted, now)
    after = with_refunds(with_ticket(file, granted, (event,)), refunds)
    writes: tuple[Write, ...] = (
        *(
            write
            for refund in refunds
            for write in (QueueRefund(refund), HoldTender(refund.tender_id, refund.amount_minor))
        ),
        *(ReturnFunding(funder, amount) for funder, amount in ticket.funding_returns.items() if amount),
        *_postings(granted, refunds, now),
        *_announcements(file, granted, lines, now),
    )
    return Granted(granted, after, (event,), writes)


def _queue_refunds(file: OrderFile, ticket: Ticket, now: datetime) -> tuple[Refund, ...]:
    tenders = file.tenders
    parts = split_by_weight(ticket.amount_minor, [tender.remaining_minor for tender in tenders])
    return tuple(
        Refund(
            refund_id=new_id(ticket.lane),
            ticket_id=ticket.ticket_id,
            order_id=ticket.order_id,
            tender_id=tender.tender_id,
            provider=tender.provider,
            payment_id=tender.payment_id,
            amount_minor=part,
            captured_minor=tender.captured_minor,
            currency=tender.currency,
            state=RefundState.QUEUED,
            queued_at=now,
            due_at=now,
        )
        for tender, part in zip(tenders, parts, strict=True)
        if part
    )


def _postings(ticket: Ticket, refunds: Sequence[Refund], now: datetime) -> tuple[Post, ...]:
    """The order's escrow now owes the buyer; a funder's share goes straight back to it."""
    to_buyer = (ledger.granted(refund, now) for refund in refunds)
    to_funders = (
        ledger.returned(ticket.ticket_id, funder, amount, ticket.currency, now)
        for funder, amount in ticket.funding_returns.items()
        if amount
    )
    return (*to_buyer, *to_funders)


def _announcements(
    file: OrderFile, ticket: Ticket, lines: Sequence[TicketLine], now: datetime
) -> tuple[Announce, Announce]:
    """The approval itself tells the warehouse which units to hold back and which printed labels to void (T19)."""
    assert ticket.approved_by is not None
    goods = {line.line_id: line for line in file.lines}
    labels = [
        {"carrier": parcel.carrier, "tracking_no": parcel.tracking_no}
        for parcel in file.shipments
        if parcel.degree is ParcelDegree.LABEL_PRINTED
    ]
    units = [
        {
            "line_id": line.line_id,
            "sku": goods[line.line_id].sku,
            "item_id": goods[line.line_id].item_id,
            "quantity": line.quantity,
        }
        for line in lines
    ]
    approved = {
        "approved_by": ticket.approved_by.value,
        "amount_minor": ticket.amount_minor,
        "currency": ticket.currency,
        "version": ticket.version,
    }
    return (
        Announce(ChangeKind.TICKET_APPROVED, now, ticket.shop_id, approved, ticket.ticket_id),
        Announce(
            ChangeKind.STOP_SHIP,
            now,
            ticket.shop_id,
            {"lines": units, "labels_printed": labels},
            ticket.ticket_id,
        ),
    )
