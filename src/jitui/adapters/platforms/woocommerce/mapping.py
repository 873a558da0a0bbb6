"""Turns WooCommerce's orders into ours. Its words stop here."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import msgspec

from jitui.adapters.platforms.reading import Unfit, buyer_of, minor_of, once_each, paid_for_lines
from jitui.adapters.platforms.woocommerce.answers import Fulfilment, Line, Meta, Order, Refund
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

CANCELLED, COMPLETED, REFUNDED, TRASH = "cancelled", "completed", "refunded", "trash"
CARTS = frozenset({"auto-draft", "checkout-draft"})
"""Not placed yet."""
NOT_TO_SHIP = "_jitui_not_to_ship_"
"""An order's metadata under this and an attempt's id has the units that the attempt takes out, by line."""

_ENDED = frozenset({CANCELLED, REFUNDED})
_WAITING = frozenset({"pending", "on-hold", "processing", "failed"})
_TRACKING = "_wc_shipment_tracking_items"
"""Where the shipment tracking plugins keep what was sent."""
_DRAFT, _FULFILLED = "unfulfilled", "fulfilled"
_NOT_PAID = "WooCommerce has the refund, and does not say that the payment's gateway has made it"


def order_of(
    order: Order, refunds: Sequence[Refund], fulfilments: Sequence[Fulfilment] | None
) -> PlatformOrder | UnreadableOrder:
    """The order with what happened to it since. `fulfilments`: None where the shop does not tell shipments."""
    changed_at = _utc(order.date_modified_gmt)
    try:
        return _order(order, refunds, fulfilments, changed_at)
    except Unfit as unfit:
        return UnreadableOrder(order.number, changed_at, str(unfit))


def _order(
    order: Order, refunds: Sequence[Refund], fulfilments: Sequence[Fulfilment] | None, changed_at: datetime
) -> PlatformOrder:
    if order.status == TRASH:
        raise Unfit("The order is in WooCommerce's trash.")
    if not is_currency(order.currency):
        raise Unfit(f"{order.currency} has no amounts in minor units.")
    total_minor = minor_of([order.total], order.currency)
    lines, freight_minor = _lines(order, refunds, total_minor)
    paid_at = order.date_paid_gmt
    return PlatformOrder(
        order_id=order.number,
        buyer_id=buyer_of("woocommerce", str(order.customer_id or ""), order.billing.email, str(order.id)),
        currency=order.currency,
        placed_at=_utc(order.date_created_gmt),
        changed_at=changed_at,
        lines=lines,
        freight_minor=freight_minor,
        payments=() if paid_at is None or not total_minor else (_payment(order, total_minor, paid_at, refunds),),
        shipments=tuple(_shipments(order, lines, fulfilments)),
        platform_id=str(order.id),
    )


def _utc(told: datetime) -> datetime:
    """WooCommerce writes `_gmt` times without a zone."""
    return told.replace(tzinfo=UTC) if told.tzinfo is None else told.astimezone(UTC)


# Lines ----------------------------------------------------------------------------------------------------------


def _lines(order: Order, refunds: Sequence[Refund], total_minor: int) -> tuple[tuple[PlatformLine, ...], int]:
    """The lines with what was paid for each, and what was paid beside them: shipping and fees.

    A fee below zero (a gift card, a discount of a plugin) is taken from what stands beside the lines, then from all
    lines in proportion; so is what rounding each line for itself has added.
    """
    sold = [line for line in order.line_items if line.quantity > 0]
    paid = [minor_of([line.total, line.total_tax], order.currency) for line in sold]
    if not sold:
        raise Unfit("The order has no line with units.")
    paid, beside_minor = paid_for_lines(paid, total_minor)
    gone = _taken_out(order, sold, refunds)
    lines = (
        PlatformLine(
            line_id=str(line.id),
            sku=line.sku or "",
            item_id=str(line.product_id or line.id),
            title=str(line.name),
            quantity=line.quantity,
            paid_minor=amount,
            cancelled=min(gone.get(str(line.id), 0), line.quantity),
        )
        for line, amount in zip(sold, paid, strict=True)
    )
    return tuple(lines), beside_minor


def _taken_out(order: Order, sold: Sequence[Line], refunds: Sequence[Refund]) -> dict[str, int]:
    """By line, the units that are not to be shipped: refunded by quantity, or taken out by us."""
    if order.status in _ENDED:
        return {str(line.id): line.quantity for line in sold}
    found = _marked(order)
    for line in (line for refund in refunds for line in refund.line_items):
        of = _meta(line.meta_data, "_refunded_item_id")
        if of is not None:
            found[str(of)] = found.get(str(of), 0) + abs(line.quantity)
    return found


def _marked(order: Order) -> dict[str, int]:
    """By line, the units that our attempts took out."""
    found: dict[str, int] = {}
    for units in (_units_of(meta.value) for meta in order.meta_data if meta.key.startswith(NOT_TO_SHIP)):
        for line_id, quantity in units.items():
            found[line_id] = found.get(line_id, 0) + quantity
    return found


def _units_of(value: object) -> dict[str, int]:
    """What one of our rows of metadata holds; a row that somebody has changed to something else counts for nothing."""
    try:
        return msgspec.json.decode(str(value), type=dict[str, int])
    except msgspec.MsgspecError:
        return {}


def _meta(rows: Iterable[Meta], key: str) -> Any:
    return next((row.value for row in rows if row.key == key), None)


# Money ----------------------------------------------------------------------------------------------------------


def _payment(order: Order, total_minor: int, paid_at: datetime, refunds: Sequence[Refund]) -> PlatformPayment:
    """WooCommerce has one payment an order; its transaction id may be empty, so the order's own id names it."""
    made = [refund_of(refund, order.currency) for refund in refunds]
    kept = once_each([refund for refund in made if refund.amount_minor > 0])
    return PlatformPayment(str(order.id), total_minor, _utc(paid_at), kept)


def refund_of(refund: Refund, currency: str) -> PlatformRefund:
    """A refund there. One of ours of which the gateway's answer is not recorded is neither paid nor unpaid.

    A refund of somebody else is what they say it is: they may have paid it back by other means. Raises ValueError for
    an amount that the currency cannot hold.
    """
    attempt_id = attempt_in(refund.reason or "")
    known = attempt_id is None or refund.refunded_payment
    return PlatformRefund(
        str(refund.id),
        minor_of([refund.amount], currency),
        _utc(refund.date_created_gmt),
        attempt_id,
        RefundResultKind.SUCCEEDED if known else RefundResultKind.UNKNOWN,
        "" if known else _NOT_PAID,
    )


# Shipments --------------------------------------------------------------------------------------------------------


def _shipments(
    order: Order, lines: Sequence[PlatformLine], fulfilments: Sequence[Fulfilment] | None
) -> list[PlatformShipment]:
    """What was sent, as far as the shop tells. Where it does not tell, everything counts as picked up.

    A completed order has been sent, whatever its fulfilments say.
    """
    if order.date_paid_gmt is None and order.status != COMPLETED:
        return []
    quantities = {line.line_id: line.quantity for line in lines}
    done = order.status == COMPLETED
    found = [_shipment(order, sent, quantities, done=done) for sent in fulfilments or () if not sent.date_deleted]
    for shipment in found:
        for unit in shipment.lines:
            quantities[unit.line_id] -= unit.quantity
    rest = _rest_of(order, lines, quantities, told=fulfilments is not None)
    return found if rest is None else [*found, rest]


def _shipment(order: Order, sent: Fulfilment, quantities: Mapping[str, int], *, done: bool) -> PlatformShipment:
    if sent.is_fulfilled or done:
        status = ShipmentStatus.SHIPPED
    else:
        status = ShipmentStatus.LABEL_PRINTED if sent.status in (None, "", _DRAFT) else ShipmentStatus.PICKED_UP
    own_id = f"woocommerce-fulfillment-{sent.id}"
    carrier = _meta(sent.meta_data, "_shipment_provider") or _meta(sent.meta_data, "_shipping_provider")
    told = _meta(sent.meta_data, "_date_fulfilled") or sent.date_updated
    return PlatformShipment(
        shipment_id=own_id,
        tracking_no=str(_meta(sent.meta_data, "_tracking_number") or "").strip() or own_id,
        carrier=str(carrier or ""),
        status=status,
        at=_time(told) or _utc(order.date_modified_gmt),
        lines=_items(sent, quantities),
    )


def _items(sent: Fulfilment, quantities: Mapping[str, int]) -> tuple[LineUnits, ...]:
    """The units of a fulfilment; all of the order, where it does not say which."""
    told = _meta(sent.meta_data, "_items")
    units: dict[str, int] = {}
    for item in told if isinstance(told, list) else ():
        line_id, quantity = str(item.get("item_id")), item.get("qty")
        if line_id in quantities and isinstance(quantity, int | float) and quantity > 0:
            units[line_id] = units.get(line_id, 0) + -int(-quantity // 1)
    if not units:
        units = dict(quantities)
    return tuple(LineUnits(line_id, min(units[line_id], quantities[line_id])) for line_id in units)


def _rest_of(
    order: Order, lines: Sequence[PlatformLine], left: Mapping[str, int], *, told: bool
) -> PlatformShipment | None:
    """A shipment of what no fulfilment has, where the order says that it left, or nobody can say that it did not."""
    ended = order.status in _ENDED
    if order.status == COMPLETED or (ended and order.date_completed_gmt is not None):
        status, name = ShipmentStatus.SHIPPED, "completed"
    elif ended:
        return None
    elif not told or order.status not in _WAITING or order.date_completed_gmt or _meta(order.meta_data, _TRACKING):
        status, name = ShipmentStatus.PICKED_UP, "untold"
    else:
        return None
    kept = _marked(order) if ended else {line.line_id: line.cancelled for line in lines}
    units = tuple(
        LineUnits(line.line_id, count)
        for line in lines
        if (count := min(left[line.line_id], line.quantity - kept.get(line.line_id, 0))) > 0
    )
    own_id = f"woocommerce-order-{order.id}-{name}"
    at = _utc(order.date_completed_gmt or order.date_paid_gmt or order.date_modified_gmt)
    return PlatformShipment(own_id, own_id, "", status, at, units) if units else None


def _time(told: object) -> datetime | None:
    try:
        return _utc(datetime.fromisoformat(str(told)))
    except ValueError:
        return None
