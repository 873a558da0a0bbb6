"""The database's constraints on one order, for a store without a database. Pure.

Each rule has the name of the constraint in PostgreSQL. States, funders and other enums need no rule, because their
types hold them. Constraints across orders (a payment's buyer and total, one task per cause) are in `memory_store`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from jitui.aftersales.model.order import Dispute, DisputeState, OrderLine, Tender, waybill_of
from jitui.aftersales.model.refund import AttemptState, Refund, RefundState, same_person
from jitui.aftersales.model.snapshot import OrderSnapshot

Rule = tuple[str, bool]


def broken_constraint(snapshot: OrderSnapshot) -> str | None:
    """The name of the first constraint that the snapshot breaks; None when it breaks none."""
    return next((name for name, holds in _rules(snapshot) if not holds), None)


def _rules(snapshot: OrderSnapshot) -> Iterator[Rule]:
    order = snapshot.order
    yield "orders_currency_check", len(order.currency) == 3
    yield "orders_freight_minor_check", order.freight_minor >= 0
    yield "orders_check", 0 <= order.freight_claimed_minor <= order.freight_minor
    yield "order_line_pkey", _unique([line.line_id for line in snapshot.lines])
    for line in snapshot.lines:
        yield from _line_rules(line)
    yield "funding_pkey", _unique([fund.funder for fund in snapshot.funding])
    for fund in snapshot.funding:
        yield "funding_amount_minor_check", fund.amount_minor > 0
        yield "returned_within_funding", 0 <= fund.returned_minor <= fund.amount_minor
    waybills = [waybill_of(shipment.tracking_no) for shipment in snapshot.shipments]
    yield "shipment_lane_order_id_waybill_key", _unique(waybills)
    yield from _tender_rules(snapshot)
    yield from _ticket_rules(snapshot)
    yield from _refund_rules(snapshot)


def _line_rules(line: OrderLine) -> Iterator[Rule]:
    yield "order_line_quantity_check", line.quantity > 0
    yield "order_line_paid_minor_check", line.paid_minor >= 0
    yield "order_line_claimed_quantity_check", line.claimed_quantity >= 0
    yield "order_line_shipped_quantity_check", line.shipped_quantity >= 0
    yield "order_line_scanned_quantity_check", line.scanned_quantity >= 0
    yield "unit_refunded_or_shipped", line.claimed_quantity + line.shipped_quantity <= line.quantity
    yield "line_refund_within_paid", 0 <= line.claimed_minor <= line.paid_minor


def _tender_rules(snapshot: OrderSnapshot) -> Iterator[Rule]:
    yield "tender_pkey", _unique([tender.tender_id for tender in snapshot.tenders])
    yield "one_tender_per_payment", _unique([(tender.provider, tender.payment_id) for tender in snapshot.tenders])
    for tender in snapshot.tenders:
        yield "tender_captured_minor_check", tender.captured_minor > 0
        yield "tender_pending_minor_check", tender.pending_minor >= 0
        yield "tender_refunded_minor_check", tender.refunded_minor >= 0
        yield "tender_lost_minor_check", tender.lost_minor >= 0
        yield "refund_within_captured", tender.remaining_minor >= 0
    for dispute in snapshot.disputes:
        yield from _dispute_rules(dispute, snapshot.tenders)


def _dispute_rules(dispute: Dispute, tenders: Sequence[Tender]) -> Iterator[Rule]:
    yield "dispute_tender_fkey", any(tender.tender_id == dispute.tender_id for tender in tenders)
    yield "dispute_amount_minor_check", dispute.amount_minor > 0
    yield "dispute_check", 0 <= dispute.lost_minor <= dispute.amount_minor
    yield "dispute_check1", dispute.state is DisputeState.LOST or dispute.lost_minor == 0
    yield "dispute_check2", (dispute.state is DisputeState.OPEN) == (dispute.closed_at is None)


def _ticket_rules(snapshot: OrderSnapshot) -> Iterator[Rule]:
    yield "ticket_pkey", _unique([ticket.ticket_id for ticket in snapshot.tickets])
    for ticket in snapshot.tickets:
        yield "ticket_amount_minor_check", ticket.amount_minor >= 0
        yield "ticket_freight_minor_check", ticket.freight_minor >= 0
    yield "ticket_line_pkey", _unique([(line.ticket_id, line.line_id) for line in snapshot.ticket_lines])
    yield "one_open_ticket_per_line", _unique([line.line_id for line in snapshot.ticket_lines if line.open])
    for line in snapshot.ticket_lines:
        yield "ticket_line_quantity_check", line.quantity >= 0
        yield "ticket_line_amount_minor_check", line.amount_minor >= 0
    yield "ticket_event_pkey", _unique([(event.ticket_id, event.seq) for event in snapshot.timeline])


def _refund_rules(snapshot: OrderSnapshot) -> Iterator[Rule]:
    tender_ids = {tender.tender_id for tender in snapshot.tenders}
    refund_ids = [refund.refund_id for refund in snapshot.refunds]
    yield "refund_pkey", _unique(refund_ids)
    for refund in snapshot.refunds:
        yield "refund_tender_fkey", refund.tender_id in tender_ids
        yield "refund_amount_minor_check", refund.amount_minor > 0
        yield "settled_is_not_sent", _is_settled_or_none(refund)
        yield "settled_by_two_persons", _is_by_two_persons(refund)
        yield "proposed_or_settled", refund.proposal is None or refund.settlement is None
    live = [attempt.refund_id for attempt in snapshot.attempts if attempt.state is not AttemptState.DECLINED]
    yield "refund_attempt_pkey", _unique([attempt.attempt_id for attempt in snapshot.attempts])
    yield "refund_attempt_refund_fkey", {attempt.refund_id for attempt in snapshot.attempts} <= set(refund_ids)
    yield "one_attempt_per_number", _unique([(attempt.refund_id, attempt.attempt_no) for attempt in snapshot.attempts])
    yield "one_live_attempt_per_refund", _unique(live)


def _is_settled_or_none(refund: Refund) -> bool:
    """Settled as it was seen, and in no queue from which it would be sent."""
    if refund.settlement is None:
        return True
    as_seen = refund.settlement.attempts in (None, refund.attempt_no)
    return as_seen and refund.state is RefundState.SUCCEEDED and (refund.attempt_no > 0 or refund.due_at is None)


def _is_by_two_persons(refund: Refund) -> bool:
    settlement = refund.settlement
    confirmed_by = settlement.confirmed_by if settlement is not None else None
    return settlement is None or confirmed_by is None or not same_person(settlement.by, confirmed_by)


def _unique(keys: Sequence[object]) -> bool:
    return len(set(keys)) == len(keys)
