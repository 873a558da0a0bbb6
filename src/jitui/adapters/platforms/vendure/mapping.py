"""Turns Vendure's orders into ours. Its words stop here."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from jitui.adapters.platforms.vendure.queries import Fulfillment, Line, Order, Payment, Refund
from jitui.aftersales.model.order import LineUnits, ShipmentStatus
from jitui.aftersales.platform import (
    PlatformLine,
    PlatformOrder,
    PlatformPayment,
    PlatformRefund,
    PlatformShipment,
    UnreadableOrder,
    attempt_in,
)
from jitui.aftersales.provider import RefundResultKind
from jitui.money import is_currency

SETTLED, CANCELLED = "Settled", "Cancelled"

_REFUNDS = {
    SETTLED: RefundResultKind.SUCCEEDED,
    "Failed": RefundResultKind.DECLINED,
    "Pending": RefundResultKind.PENDING,
}
_SHIPMENTS = {
    "Created": ShipmentStatus.LABEL_PRINTED,
    "Pending": ShipmentStatus.LABEL_PRINTED,
    "Shipped": ShipmentStatus.SHIPPED,
    "Delivered": ShipmentStatus.DELIVERED,
}
"""A state that a shop has made up counts as picked up: nobody knows that the goods are still there."""


def order_of(order: Order) -> PlatformOrder | UnreadableOrder:
    """The order as it was placed, with what happened to it since."""
    if order.order_placed_at is None or order.customer is None:
        return UnreadableOrder(order.code, order.updated_at, "The order has no customer, or was not placed.")
    if not is_currency(order.currency_code):
        return UnreadableOrder(order.code, order.updated_at, f"{order.currency_code} has no amounts in minor units.")
    lines = tuple(_line(line) for line in order.lines if line.order_placed_quantity or line.quantity)
    freight_minor = _beside_lines(order, lines)
    if not lines or freight_minor < 0 or any(line.paid_minor < 0 for line in lines):
        return UnreadableOrder(
            order.code, order.updated_at, "A discount or a surcharge makes the order less than its lines."
        )
    return PlatformOrder(
        order_id=order.code,
        buyer_id=f"vendure-{order.customer.id}",
        currency=order.currency_code,
        placed_at=order.order_placed_at,
        changed_at=order.updated_at,
        lines=lines,
        freight_minor=freight_minor,
        payments=tuple(_payment(paid) for paid in order.payments or () if paid.state == SETTLED),
        shipments=tuple(_shipment(sent) for sent in order.fulfillments or () if sent.state != CANCELLED),
        delivered_at=_delivered_at(order),
        platform_id=order.id,
    )


def _line(line: Line) -> PlatformLine:
    placed = max(line.order_placed_quantity, line.quantity)
    whole = line.quantity == placed
    return PlatformLine(
        line_id=line.id,
        sku=line.product_variant.sku,
        item_id=line.product_variant.product.id,
        title=line.product_variant.name,
        quantity=placed,
        paid_minor=line.prorated_line_price_with_tax if whole else line.prorated_unit_price_with_tax * placed,
        cancelled=placed - line.quantity,
    )


def _beside_lines(order: Order, lines: Iterable[PlatformLine]) -> int:
    """Shipping and surcharges: of an intact order by its total, of another by what was paid."""
    lines_minor = sum(line.paid_minor for line in lines)
    if not any(line.cancelled for line in lines):
        return order.total_with_tax - lines_minor
    settled = sum(paid.amount for paid in order.payments or () if paid.state == SETTLED)
    return max(0, settled - lines_minor)


def _payment(paid: Payment) -> PlatformPayment:
    refunds = (refund_of(refund) for refund in paid.refunds if refund.total > 0)
    return PlatformPayment(paid.id, paid.amount, paid.created_at, tuple(refunds))


def refund_of(refund: Refund) -> PlatformRefund:
    """A refund as it is now; a state that a shop has made up is UNKNOWN."""
    state = _REFUNDS.get(refund.state, RefundResultKind.UNKNOWN)
    return PlatformRefund(
        refund.id,
        refund.total,
        refund.updated_at,
        attempt_in(refund.reason or ""),
        state,
        "" if state is RefundResultKind.SUCCEEDED else f"Vendure says {refund.state}",
    )


def _shipment(sent: Fulfillment) -> PlatformShipment:
    return PlatformShipment(
        shipment_id=f"vendure-{sent.id}",
        tracking_no=(sent.tracking_code or "").strip() or f"vendure-{sent.id}",
        carrier=sent.method,
        status=_SHIPMENTS.get(sent.state, ShipmentStatus.PICKED_UP),
        at=sent.updated_at,
        lines=tuple(LineUnits(line.order_line_id, line.quantity) for line in sent.lines),
    )


def _delivered_at(order: Order) -> datetime | None:
    """When the last shipment was delivered, of an order of which everything was."""
    if order.state != "Delivered":
        return None
    return max((sent.updated_at for sent in order.fulfillments or ()), default=order.updated_at)
