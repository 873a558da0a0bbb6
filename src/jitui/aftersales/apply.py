"""What an order file is after a change: the one place that says so. Pure.

A planner returns changes; the answer that a caller is shown and the next step of the same plan take the file that
`apply` makes of them. PostgreSQL says the same with its statements (`adapters.postgres.writing` and `queue`), and a
property test holds the two together over every kind of change.

Rows stand in the order in which the database reads them. What is written beside the file (ledger, feed, tasks, the
buyer's history, decisions) leaves it as it is.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from functools import reduce
from typing import assert_never

from jitui.aftersales import writes as w
from jitui.aftersales.file import OrderFile
from jitui.aftersales.order import Order, OrderLine, Tender
from jitui.aftersales.refund import Refund, RefundState
from jitui.aftersales.ticket import Ticket


def apply_all(file: OrderFile, changes: Iterable[w.Write | w.ClaimRefund]) -> OrderFile:
    """The file after several changes, in their sequence."""
    return reduce(apply, changes, file)


def apply(file: OrderFile, change: w.Write | w.ClaimRefund) -> OrderFile:
    """The file after one change. A change of a row that is not there changes nothing, as in the database."""
    match change:
        case (
            w.RecordDecision()
            | w.RecordLaterDecision()
            | w.Announce()
            | w.RecordBuyerEvent()
            | w.Post()
            | w.OpenTask()
            | w.OpenIncident()
            | w.ClaimPayment()
            | w.SharePayment()
        ):
            return file
        case w.OpenTicket():
            return _open_ticket(file, change)
        case w.MoveTicket():
            return _move_ticket(file, change)
        case w.RaiseTicketLine():
            return _raise_ticket_line(file, change)
        case w.AddTimeline():
            timeline = sorted((*file.timeline, *change.events), key=lambda event: (event.ticket_id, event.seq))
            return replace(file, timeline=tuple(timeline))
        case w.ClaimFreight() | w.CompleteOrder():
            return replace(file, order=_order_after(file.order, change))
        case w.ClaimUnits() | w.UnitsLeft():
            return _change_line(file, change)
        case w.CaptureTender():
            return _capture_tender(file, change)
        case w.HoldTender() | w.CaptureMore() | w.StatePaymentTotal():
            return _change_tender(file, change)
        case w.ReturnFunding():
            return _return_funding(file, change)
        case w.QueueRefund():
            refunds = sorted((*file.refunds, change.refund), key=lambda refund: (refund.queued_at, refund.refund_id))
            return replace(file, refunds=tuple(refunds))
        case w.MoveRefund() | w.SettleRefund() | w.ClaimRefund():
            return _change_refund(file, change)
        case w.MoveAttempt():
            return _move_attempt(file, change)
        case w.PutShipment():
            return _put_shipment(file, change)
        case w.PutDispute():
            return _put_dispute(file, change)
        case _:
            assert_never(change)


# Tickets ---------------------------------------------------------------------------------------------------------


def _open_ticket(file: OrderFile, change: w.OpenTicket) -> OrderFile:
    tickets = sorted((*file.tickets, change.ticket), key=lambda ticket: (ticket.requested_at, ticket.ticket_id))
    lines = sorted((*file.ticket_lines, *change.lines), key=lambda line: (line.ticket_id, line.line_id))
    return replace(file, tickets=tuple(tickets), ticket_lines=tuple(lines))


def _move_ticket(file: OrderFile, change: w.MoveTicket) -> OrderFile:
    tickets = tuple(
        _ticket_after(ticket, change) if ticket.ticket_id == change.ticket_id else ticket for ticket in file.tickets
    )
    if change.open:
        return replace(file, tickets=tickets)
    lines = tuple(
        replace(line, open=False) if line.open and line.ticket_id == change.ticket_id else line
        for line in file.ticket_lines
    )
    return replace(file, tickets=tickets, ticket_lines=lines)


def _ticket_after(ticket: Ticket, change: w.MoveTicket) -> Ticket:
    return replace(
        ticket,
        state=change.state,
        version=change.version,
        amount_minor=change.amount_minor,
        freight_minor=change.freight_minor,
        funding_returns=dict(change.funding_returns),
        expires_at=change.expires_at,
        approved_by=change.approved_by,
        approved_at=change.approved_at,
        closed_at=change.closed_at,
    )


def _raise_ticket_line(file: OrderFile, change: w.RaiseTicketLine) -> OrderFile:
    lines = tuple(
        replace(line, amount_minor=line.amount_minor + change.amount_minor)
        if (line.ticket_id, line.line_id) == (change.ticket_id, change.line_id)
        else line
        for line in file.ticket_lines
    )
    return replace(file, ticket_lines=lines)


# The order, its goods and its money ------------------------------------------------------------------------------


def _order_after(order: Order, change: w.ClaimFreight | w.CompleteOrder) -> Order:
    match change:
        case w.ClaimFreight():
            return replace(order, freight_claimed_minor=order.freight_claimed_minor + change.amount_minor)
        case w.CompleteOrder():
            return replace(order, completed_at=change.completed_at)


def _change_line(file: OrderFile, change: w.ClaimUnits | w.UnitsLeft) -> OrderFile:
    lines = tuple(_line_after(line, change) if line.line_id == change.line_id else line for line in file.lines)
    return replace(file, lines=lines)


def _line_after(line: OrderLine, change: w.ClaimUnits | w.UnitsLeft) -> OrderLine:
    match change:
        case w.ClaimUnits():
            return replace(
                line,
                claimed_quantity=line.claimed_quantity + change.quantity,
                claimed_minor=line.claimed_minor + change.amount_minor,
            )
        case w.UnitsLeft():
            return replace(
                line,
                shipped_quantity=line.shipped_quantity + change.shipped,
                scanned_quantity=line.scanned_quantity + change.scanned,
            )


def _capture_tender(file: OrderFile, change: w.CaptureTender) -> OrderFile:
    """The first payment makes the order paid."""
    tenders = sorted((*file.tenders, change.tender), key=lambda tender: tender.tender_id)
    order = file.order if file.order.paid_at else replace(file.order, paid_at=change.tender.captured_at)
    return replace(file, tenders=tuple(tenders), order=order)


def _change_tender(file: OrderFile, change: w.HoldTender | w.CaptureMore | w.StatePaymentTotal) -> OrderFile:
    tenders = tuple(
        _tender_after(tender, change) if tender.tender_id == change.tender_id else tender for tender in file.tenders
    )
    return replace(file, tenders=tenders)


def _tender_after(tender: Tender, change: w.HoldTender | w.CaptureMore | w.StatePaymentTotal) -> Tender:
    match change:
        case w.HoldTender():
            return replace(
                tender,
                pending_minor=tender.pending_minor + change.pending_minor,
                refunded_minor=tender.refunded_minor + change.refunded_minor,
            )
        case w.CaptureMore():
            return replace(tender, captured_minor=tender.captured_minor + change.amount_minor)
        case w.StatePaymentTotal():
            return replace(tender, payment_total_minor=change.total_minor)


def _return_funding(file: OrderFile, change: w.ReturnFunding) -> OrderFile:
    funding = tuple(
        replace(fund, returned_minor=fund.returned_minor + change.amount_minor)
        if fund.funder is change.funder
        else fund
        for fund in file.funding
    )
    return replace(file, funding=funding)


# Refunds ---------------------------------------------------------------------------------------------------------


def _change_refund(file: OrderFile, change: w.MoveRefund | w.SettleRefund | w.ClaimRefund) -> OrderFile:
    refunds = tuple(
        _refund_after(refund, change) if refund.refund_id == change.refund_id else refund for refund in file.refunds
    )
    if not isinstance(change, w.ClaimRefund) or change.attempt is None:
        return replace(file, refunds=refunds)
    attempts = sorted((*file.attempts, change.attempt), key=lambda attempt: (attempt.refund_id, attempt.attempt_no))
    return replace(file, refunds=refunds, attempts=tuple(attempts))


def _refund_after(refund: Refund, change: w.MoveRefund | w.SettleRefund | w.ClaimRefund) -> Refund:
    match change:
        case w.MoveRefund():
            return replace(
                refund,
                state=change.state,
                due_at=change.due_at,
                leased_until=None,
                reason=change.reason,
                closed_at=change.closed_at,
                tries=change.tries,
            )
        case w.SettleRefund():
            if refund.settlement is not None:
                return refund
            return replace(refund, settlement=change.settlement, state=RefundState.SUCCEEDED, due_at=None)
        case w.ClaimRefund():
            leased = replace(refund, leased_until=change.lease_until, due_at=change.lease_until)
            if change.attempt is None:
                return replace(leased, tries=refund.tries + 1)
            return replace(leased, state=RefundState.SENDING, attempt_no=change.attempt.attempt_no, tries=1)


def _move_attempt(file: OrderFile, change: w.MoveAttempt) -> OrderFile:
    attempts = tuple(
        replace(
            attempt,
            state=change.state,
            provider_refund_id=change.provider_refund_id,
            reason=change.reason,
            news_at=change.news_at,
            moves=attempt.moves + 1,
        )
        if attempt.attempt_id == change.attempt_id
        else attempt
        for attempt in file.attempts
    )
    return replace(file, attempts=attempts)


# Parcels and disputes --------------------------------------------------------------------------------------------


def _put_shipment(file: OrderFile, change: w.PutShipment) -> OrderFile:
    """A known parcel keeps the number that it was first told with."""
    told = change.shipment
    known = next((parcel for parcel in file.shipments if parcel.shipment_id == told.shipment_id), None)
    parcel = told if known is None else replace(told, tracking_no=known.tracking_no)
    shipments = (*(other for other in file.shipments if other is not known), parcel)
    return replace(
        file, shipments=tuple(sorted(shipments, key=lambda parcel: (parcel.recorded_at, parcel.shipment_id)))
    )


def _put_dispute(file: OrderFile, change: w.PutDispute) -> OrderFile:
    """A known dispute keeps its payment, and since when it is open; what was lost goes off the tender."""
    told = change.dispute
    known = next((dispute for dispute in file.disputes if dispute.dispute_id == told.dispute_id), None)
    dispute = told
    if known is not None:
        dispute = replace(
            known,
            state=told.state,
            amount_minor=told.amount_minor,
            lost_minor=told.lost_minor,
            reason=told.reason,
            closed_at=told.closed_at,
        )
    disputes = (*(other for other in file.disputes if other is not known), dispute)
    tenders = tuple(
        replace(tender, lost_minor=tender.lost_minor + told.lost_minor)
        if tender.tender_id == told.tender_id
        else tender
        for tender in file.tenders
    )
    ordered = sorted(disputes, key=lambda dispute: (dispute.opened_at, dispute.dispute_id))
    return replace(file, disputes=tuple(ordered), tenders=tenders)
