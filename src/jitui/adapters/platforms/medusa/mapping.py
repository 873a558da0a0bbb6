"""Turns Medusa's orders into ours. Its words stop here.

Medusa computes discounts and taxes with more digits than a currency has, rounds nothing, and lets a refund be off by
less than the smallest unit. Payment gateways round to the nearest unit, as its own adapter of Stripe does; so do we.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import ROUND_HALF_UP, Decimal

from jitui.adapters.platforms.medusa.forms import Fulfillment, Item, Order, Payment, Placed, Refund
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
from jitui.money import MAX_AMOUNT_MINOR, currency_exponent, is_currency

NAME = "medusa"
CANCELLED, DRAFT = "canceled", "draft"
_FIRST_VERSION = 1
_HUNDRED = Decimal(100)


class Unreadable(ValueError):
    """Something of an order that cannot be something here, and why."""


@dataclass(frozen=True, slots=True)
class _Line:
    """A line with what was paid for its units as they were placed, before rounding."""

    line_id: str
    sku: str
    item_id: str
    title: str
    quantity: int
    left: int
    paid: Decimal


def number_of(order: Order) -> str:
    """The number that buyers know: the shop's own where it gives one, else Medusa's."""
    return order.custom_display_id or str(order.display_id)


def order_of(order: Order, placed: Sequence[Placed]) -> PlatformOrder | UnreadableOrder:
    """The order as it was placed, with what happened to it since; `placed`: its first lines, where it was changed."""
    try:
        return _order_of(order, placed)
    except Unreadable as error:
        return UnreadableOrder(number_of(order), order.updated_at, str(error))
    except (ArithmeticError, ValueError):  # decimals that are no numbers cannot be compared, nor turned into integers
        return UnreadableOrder(number_of(order), order.updated_at, "An amount of the order is no number.")


def _order_of(order: Order, placed: Sequence[Placed]) -> PlatformOrder:
    currency = order.currency_code.upper()
    if not is_currency(currency):
        raise Unreadable(f"{currency} has no amounts in minor units.")
    if order.customer_id is None:
        raise Unreadable("The order has no customer.")
    lines = [line for line in _lines(order, placed) if line.quantity]
    freight = order.raw_shipping_total.value
    if not lines or freight < 0 or any(line.paid < 0 for line in lines):
        raise Unreadable("The order has no lines, or a discount makes a line less than nothing.")
    steps = _rounded_steps([*(line.paid for line in lines), freight], currency)
    done = {one.reference_id for one in order.transactions if one.reference == "refund" and one.reference_id}
    captured = (paid for one in order.payment_collections for paid in one.payments if paid.captures)
    return PlatformOrder(
        order_id=number_of(order),
        buyer_id=f"{NAME}-{order.customer_id}",
        currency=currency,
        placed_at=order.created_at,
        changed_at=order.updated_at,
        lines=tuple(_line(line, paid, order.status) for line, paid in zip(lines, steps, strict=False)),
        freight_minor=steps[-1],
        payments=tuple(_payment(paid, done, currency) for paid in captured),
        shipments=tuple(_shipments(order.fulfillments, {line.line_id: line.quantity for line in lines})),
        delivered_at=_delivered_at(order),
        platform_id=order.id,
    )


# Lines ------------------------------------------------------------------------------------------------------------


def _lines(order: Order, placed: Sequence[Placed]) -> Iterable[_Line]:
    """By id, which is by age: Medusa gives lines in any order, and leaves out those of which no unit is left."""
    first = {line.item_id: line for line in placed}
    now = {item.id: item for item in order.items}
    for line_id in sorted({*first, *now}):
        item, was = now.get(line_id), first.get(line_id)
        if was is None or (item is not None and item.raw_quantity.value >= was.raw_quantity.value):
            assert item is not None
            yield _line_of(item)
        else:
            yield _shortened(was, 0 if item is None else _units(item.raw_quantity.value))


def _line_of(item: Item) -> _Line:
    quantity = _units(item.raw_quantity.value)
    return _named(item.id, item.variant_sku, item.product_id, item.title, quantity, quantity, item.raw_total.value)


def _shortened(placed: Placed, left: int) -> _Line:
    """A line of which an order edit took units: what was paid is computed as Medusa does, from its first version."""
    item, quantity = placed.item, _units(placed.raw_quantity.value)
    taxed = 1 + sum((line.raw_rate.value for line in item.tax_lines), Decimal(0)) / _HUNDRED
    paid = quantity * item.raw_unit_price.value * (1 if item.is_tax_inclusive else taxed)
    for discount in item.adjustments:
        if discount.version == _FIRST_VERSION:
            paid -= discount.raw_amount.value * (1 if discount.is_tax_inclusive else taxed)
    return _named(placed.item_id, item.variant_sku, item.product_id, item.title, quantity, left, paid)


def _named(
    line_id: str, sku: str | None, product_id: str | None, title: str, quantity: int, left: int, paid: Decimal
) -> _Line:
    """A line that somebody wrote by hand has neither variant nor product."""
    return _Line(line_id, sku or line_id, product_id or line_id, title, quantity, left, paid)


def _line(line: _Line, paid_minor: int, status: str) -> PlatformLine:
    left = 0 if status == CANCELLED else line.left
    return PlatformLine(
        line.line_id, line.sku, line.item_id, line.title, line.quantity, paid_minor, line.quantity - left
    )


def _units(quantity: Decimal) -> int:
    if quantity != quantity.to_integral_value() or not 0 <= quantity < MAX_AMOUNT_MINOR:
        raise Unreadable(f"The order has {quantity} units of a line.")
    return int(quantity)


# Money ------------------------------------------------------------------------------------------------------------


def to_minor(amount: Decimal, currency: str) -> int:
    """The amount in minor units, a half of one rounded up. Raises Unreadable, and what `int` raises for no number."""
    minor = int(amount.scaleb(currency_exponent(currency)).to_integral_value(ROUND_HALF_UP))
    if abs(minor) > MAX_AMOUNT_MINOR:
        raise Unreadable(f"{amount} is too large.")
    return minor


def _rounded_steps(amounts: Iterable[Decimal], currency: str) -> list[int]:
    """Amounts that are not negative, rounded so that their sum is the rounded sum."""
    steps, total, before = [], Decimal(0), 0
    for amount in amounts:
        total += amount
        rounded = to_minor(total, currency)
        steps.append(rounded - before)
        before = rounded
    return steps


def _payment(paid: Payment, done: set[str], currency: str) -> PlatformPayment:
    captured = sum((capture.raw_amount.value for capture in paid.captures), Decimal(0))
    refunds = (refund_of(refund, currency, done=refund.id in done) for refund in paid.refunds)
    return PlatformPayment(
        paid.id,
        to_minor(captured, currency),
        min(capture.created_at for capture in paid.captures),
        tuple(refund for refund in refunds if refund.amount_minor > 0),
    )


def refund_of(refund: Refund, currency: str, *, done: bool) -> PlatformRefund:
    """A refund; `done`: the payment's gateway has paid it.

    Medusa writes the refund, asks the gateway, and writes a transaction of the order when that has paid. It deletes the
    refund when the gateway fails. So of a refund without a transaction nobody knows whether it was paid. (Where
    somebody refunds the same payment at the same moment, the transaction of one may come with the other's.)
    """
    return PlatformRefund(
        refund.id,
        to_minor(refund.raw_amount.value, currency),
        refund.created_at,
        attempt_in(refund.note or ""),
        RefundResultKind.SUCCEEDED if done else RefundResultKind.UNKNOWN,
        "" if done else "Medusa has the refund and does not say that the payment's gateway paid it",
    )


# Shipments --------------------------------------------------------------------------------------------------------


def _shipments(fulfillments: Iterable[Fulfillment], quantities: dict[str, int]) -> Iterable[PlatformShipment]:
    for sent in fulfillments:
        if sent.canceled_at is None:
            yield _shipment(sent, quantities)


def _shipment(sent: Fulfillment, quantities: dict[str, int]) -> PlatformShipment:
    shipment_id = f"{NAME}-{sent.id}"
    numbers = [label.tracking_number.strip() for label in sent.labels]
    return PlatformShipment(
        shipment_id=shipment_id,
        tracking_no=next((number for number in numbers if number), shipment_id),
        carrier=sent.provider_id or NAME,
        status=_status(sent),
        at=sent.delivered_at or sent.shipped_at or sent.packed_at or sent.created_at,
        lines=tuple(_sent_lines(sent, quantities)),
    )


def _status(sent: Fulfillment) -> ShipmentStatus:
    """A fulfilment has no state, only the times of its steps."""
    if sent.delivered_at is not None:
        return ShipmentStatus.DELIVERED
    return ShipmentStatus.LABEL_PRINTED if sent.shipped_at is None else ShipmentStatus.SHIPPED


def _sent_lines(sent: Fulfillment, quantities: dict[str, int]) -> Iterable[LineUnits]:
    """Units by line. A line that is a kit has one row for each part, with the number of parts: the least is nearest."""
    found: dict[str, int] = {}
    for row in sent.items:
        if row.line_item_id in quantities:
            units = _units(row.raw_quantity.value)
            found[row.line_item_id] = min(found.get(row.line_item_id, units), units)
    for line_id, units in found.items():
        yield LineUnits(line_id, min(units, quantities[line_id]))


def _delivered_at(order: Order) -> datetime | None:
    """When the last shipment was delivered, of an order of which everything was."""
    if order.fulfillment_status != "delivered":
        return None
    times = [sent.delivered_at for sent in order.fulfillments if sent.delivered_at and sent.canceled_at is None]
    return max(times, default=order.updated_at)
