"""Computes an order snapshot after a change. Pure, and the only place that does it.

A planner returns changes. The response to the caller and the next step of the same plan use the snapshot that `apply`
computes. PostgreSQL makes the same changes with its statements (`adapters.postgres.writing` and `queue`); a property
test compares the two for every kind of change.

Rows are in the order in which the database reads them. Changes outside the snapshot leave it as it is: ledger, feed,
tasks, decisions, and the buyer's history except for this order's completion.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, fields, replace
from operator import attrgetter
from typing import Any, TypeVar, assert_never

from jitui.aftersales import changes as c
from jitui.aftersales.model.incident import Incident
from jitui.aftersales.model.order import Buyer, Dispute, Funding, Order, OrderLine, Shipment, Tender
from jitui.aftersales.model.refund import Attempt, Refund, RefundState
from jitui.aftersales.model.snapshot import OrderSnapshot
from jitui.aftersales.model.ticket import Ticket, TicketEvent, TicketLine


def apply(snapshot: OrderSnapshot, change: c.Change | c.ClaimRefund) -> OrderSnapshot:
    """The snapshot after one change. A change of a row that does not exist changes nothing, as in the database."""
    return apply_all(snapshot, (change,))


def apply_all(snapshot: OrderSnapshot, changes: Iterable[c.Change | c.ClaimRefund]) -> OrderSnapshot:
    """The snapshot after all changes, one after the other."""
    draft = _Draft(*_read_snapshot(snapshot))
    for change in changes:
        _apply(draft, change)
    return OrderSnapshot(*_read_snapshot(draft))


@dataclass(slots=True)
class _Draft:
    """A mutable snapshot, so that a plan of twenty changes copies the snapshot once."""

    order: Order
    buyer: Buyer
    lines: tuple[OrderLine, ...]
    tenders: tuple[Tender, ...]
    funding: tuple[Funding, ...]
    shipments: tuple[Shipment, ...]
    tickets: tuple[Ticket, ...]
    ticket_lines: tuple[TicketLine, ...]
    timeline: tuple[TicketEvent, ...]
    refunds: tuple[Refund, ...]
    attempts: tuple[Attempt, ...]
    disputes: tuple[Dispute, ...]
    completed_by_event: bool
    incident: Incident | None


_read_snapshot = attrgetter(*(field.name for field in fields(OrderSnapshot)))


def _apply(draft: _Draft, change: c.Change | c.ClaimRefund) -> None:
    match change:  # what an instant approval changes comes first: every request runs through here eighteen times
        case c.Announce() | c.LedgerEntry() | c.RecordDecision():
            pass
        case c.ClaimUnits() | c.UnitsLeft():
            draft.lines = tuple(_line_after(x, change) if x.line_id == change.line_id else x for x in draft.lines)
        case c.OpenTicket():
            _open_ticket(draft, change)
        case c.MoveTicket():
            _move_ticket(draft, change)
        case c.RecordBuyerEvent():
            draft.completed_by_event |= _completes(draft.order, change)
        case c.ChangeTicketLine():
            _change_ticket_line(draft, change)
        case c.AddTimeline():
            timeline = (*draft.timeline, *change.events)
            draft.timeline = tuple(sorted(timeline, key=lambda event: (event.ticket_id, event.seq)))
        case c.ClaimFreight():
            freight_minor = draft.order.freight_claimed_minor + change.amount_minor
            draft.order = _changed(draft.order, freight_claimed_minor=freight_minor)
        case c.CompleteOrder():
            draft.order = _changed(draft.order, completed_at=change.completed_at)
        case c.CaptureTender():
            _capture_tender(draft, change)
        case c.HoldTender() | c.CaptureMore() | c.StatePaymentTotal():
            draft.tenders = tuple(
                _tender_after(x, change) if x.tender_id == change.tender_id else x for x in draft.tenders
            )
        case c.ReturnFunding():
            draft.funding = tuple(_fund_after(x, change) if x.funder is change.funder else x for x in draft.funding)
        case c.QueueRefund():
            draft.refunds = tuple(sorted((*draft.refunds, change.refund), key=lambda x: (x.queued_at, x.refund_id)))
        case c.MoveRefund() | c.ProposeSettlement() | c.SettleRefund() | c.ClaimRefund():
            _change_refund(draft, change)
        case c.MoveAttempt():
            _move_attempt(draft, change)
        case c.PutShipment():
            _put_shipment(draft, change)
        case c.PutDispute():
            _put_dispute(draft, change)
        case c.RecordLaterDecision() | c.OpenTask() | c.CloseTask() | c.OpenIncident():
            pass
        case c.ClaimPayment() | c.SharePayment() | c.RestrictBuyer() | c.ClaimWaybill() | c.RecordReminder():
            pass
        case c.MoveIncident() | c.PutContest():
            _move_incident(draft, change)
        case _:
            assert_never(change)


def _completes(order: Order, event: c.RecordBuyerEvent) -> bool:
    """Whether the event records that the buyer has received this order."""
    completion = event.kind == c.BuyerEventKind.ORDER_COMPLETED and event.retracts is None
    return completion and event.order_id == order.order_id


_Row = TypeVar("_Row")


def _changed(row: _Row, **values: object) -> _Row:
    """`dataclasses.replace`, three times as fast; a transaction that decides calls it about ten times."""
    kind: type[Any] = type(row)
    found = list(_READ[kind](row))
    for name, value in values.items():
        found[_PLACES[kind][name]] = value
    changed: _Row = kind(*found)
    return changed


_ROWS = (Order, OrderLine, Tender, Funding, Shipment, Dispute, Ticket, TicketLine, Refund, Attempt)
_NAMES = {kind: [field.name for field in fields(kind)] for kind in _ROWS}
_PLACES = {kind: {name: place for place, name in enumerate(names)} for kind, names in _NAMES.items()}
_READ = {kind: attrgetter(*names) for kind, names in _NAMES.items()}


# Tickets ---------------------------------------------------------------------------------------------------------


def _open_ticket(draft: _Draft, change: c.OpenTicket) -> None:
    draft.tickets = tuple(sorted((*draft.tickets, change.ticket), key=lambda x: (x.requested_at, x.ticket_id)))
    draft.ticket_lines = tuple(sorted((*draft.ticket_lines, *change.lines), key=lambda x: (x.ticket_id, x.line_id)))


def _move_ticket(draft: _Draft, change: c.MoveTicket) -> None:
    draft.tickets = tuple(_ticket_after(x, change) if x.ticket_id == change.ticket_id else x for x in draft.tickets)
    if not change.open:
        draft.ticket_lines = tuple(
            _changed(line, open=False) if line.open and line.ticket_id == change.ticket_id else line
            for line in draft.ticket_lines
        )


def _ticket_after(ticket: Ticket, change: c.MoveTicket) -> Ticket:
    return _changed(
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
        remind_at=change.remind_at,
        assignment=change.assignment,
        offer=change.offer,
        arbitration=change.arbitration,
        notice=None if change.notice is None else dict(change.notice),
    )


def _change_ticket_line(draft: _Draft, change: c.ChangeTicketLine) -> None:
    draft.ticket_lines = tuple(
        _ticket_line_after(line, change)
        if (line.ticket_id, line.line_id) == (change.ticket_id, change.line_id)
        else line
        for line in draft.ticket_lines
    )


def _ticket_line_after(line: TicketLine, change: c.ChangeTicketLine) -> TicketLine:
    return _changed(
        line,
        quantity=line.quantity + change.quantity,
        amount_minor=line.amount_minor + change.amount_minor,
        open=line.open and line.quantity + change.quantity > 0,
    )


# The order, its goods and its money ------------------------------------------------------------------------------


def _line_after(line: OrderLine, change: c.ClaimUnits | c.UnitsLeft) -> OrderLine:
    match change:
        case c.ClaimUnits():
            return _changed(
                line,
                claimed_quantity=line.claimed_quantity + change.quantity,
                claimed_minor=line.claimed_minor + change.amount_minor,
            )
        case c.UnitsLeft():
            return _changed(
                line,
                shipped_quantity=line.shipped_quantity + change.shipped,
                scanned_quantity=line.scanned_quantity + change.scanned,
            )


def _capture_tender(draft: _Draft, change: c.CaptureTender) -> None:
    """Add the tender. The first payment makes the order paid."""
    draft.tenders = tuple(sorted((*draft.tenders, change.tender), key=lambda x: x.tender_id))
    if draft.order.paid_at is None:
        draft.order = _changed(draft.order, paid_at=change.tender.captured_at)


def _tender_after(tender: Tender, change: c.HoldTender | c.CaptureMore | c.StatePaymentTotal) -> Tender:
    match change:
        case c.HoldTender():
            return _changed(
                tender,
                pending_minor=tender.pending_minor + change.pending_minor,
                refunded_minor=tender.refunded_minor + change.refunded_minor,
            )
        case c.CaptureMore():
            return _changed(tender, captured_minor=tender.captured_minor + change.amount_minor)
        case c.StatePaymentTotal():
            return _changed(tender, payment_total_minor=change.total_minor)


def _fund_after(fund: Funding, change: c.ReturnFunding) -> Funding:
    return _changed(fund, returned_minor=fund.returned_minor + change.amount_minor)


# Refunds ---------------------------------------------------------------------------------------------------------


_RefundChange = c.MoveRefund | c.ProposeSettlement | c.SettleRefund | c.ClaimRefund


def _change_refund(draft: _Draft, change: _RefundChange) -> None:
    draft.refunds = tuple(_refund_after(x, change) if x.refund_id == change.refund_id else x for x in draft.refunds)
    if isinstance(change, c.ClaimRefund) and change.attempt is not None:
        draft.attempts = tuple(sorted((*draft.attempts, change.attempt), key=lambda x: (x.refund_id, x.attempt_no)))


def _refund_after(refund: Refund, change: _RefundChange) -> Refund:
    match change:
        case c.MoveRefund():
            return _changed(
                refund,
                state=change.state,
                due_at=change.due_at,
                leased_until=None,
                reason=change.reason,
                closed_at=change.closed_at,
                tries=change.tries,
            )
        case c.ProposeSettlement():
            return _changed(refund, proposal=change.proposal)
        case c.SettleRefund():
            if refund.settlement is not None:
                return refund
            settled = _changed(refund, settlement=change.settlement, proposal=None)
            return _changed(settled, state=RefundState.SUCCEEDED, due_at=None)
        case c.ClaimRefund():
            leased = _changed(refund, leased_until=change.lease_until, due_at=change.lease_until)
            if change.attempt is None:
                return _changed(leased, tries=refund.tries + 1)
            return _changed(leased, state=RefundState.SENDING, attempt_no=change.attempt.attempt_no, tries=1)


def _move_attempt(draft: _Draft, change: c.MoveAttempt) -> None:
    draft.attempts = tuple(
        _changed(
            attempt,
            state=change.state,
            provider_refund_id=change.provider_refund_id,
            reason=change.reason,
            news_at=change.news_at,
            moves=attempt.moves + 1,
        )
        if attempt.attempt_id == change.attempt_id
        else attempt
        for attempt in draft.attempts
    )


# Shipments and disputes --------------------------------------------------------------------------------------------


def _put_shipment(draft: _Draft, change: c.PutShipment) -> None:
    """Add or update a shipment; a known one keeps its first tracking number."""
    told = change.shipment
    known = next((shipment for shipment in draft.shipments if shipment.shipment_id == told.shipment_id), None)
    shipment = told if known is None else _changed(told, tracking_no=known.tracking_no)
    shipments = (*(other for other in draft.shipments if other is not known), shipment)
    draft.shipments = tuple(sorted(shipments, key=lambda x: (x.recorded_at, x.shipment_id)))


def _put_dispute(draft: _Draft, change: c.PutDispute) -> None:
    """Add or update a dispute, and deduct a loss from the tender.

    A known one keeps its payment and its opening time.
    """
    told = change.dispute
    known = next((dispute for dispute in draft.disputes if dispute.dispute_id == told.dispute_id), None)
    dispute = told
    if known is not None:
        dispute = _changed(
            known,
            state=told.state,
            amount_minor=told.amount_minor,
            lost_minor=told.lost_minor,
            reason=told.reason,
            closed_at=told.closed_at,
        )
    disputes = (*(other for other in draft.disputes if other is not known), dispute)
    draft.disputes = tuple(sorted(disputes, key=lambda x: (x.opened_at, x.dispute_id)))
    draft.tenders = tuple(
        _changed(tender, lost_minor=tender.lost_minor + told.lost_minor)
        if tender.tender_id == told.tender_id
        else tender
        for tender in draft.tenders
    )


def _move_incident(draft: _Draft, change: c.MoveIncident | c.PutContest) -> None:
    """The incident's new row; its contest is a row of its own."""
    known = draft.incident
    if known is None:
        return
    match change:
        case c.MoveIncident():
            draft.incident = replace(change.incident, contest=known.contest)
        case c.PutContest():
            draft.incident = replace(known, contest=change.contest)
