"""Turns Saleor's orders into ours. Its words stop here."""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal

from jitui.adapters.platforms.saleor.queries import Fulfillment, Grant, Line, Money, Order, Transaction
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
from jitui.money import from_decimal_text, is_currency

NOT_PLACED = frozenset({"DRAFT", "UNCONFIRMED", "EXPIRED"})
CANCELED = "CANCELED"
NOT_ASKED = "granted, and not requested yet"
"""What is said of a grant whose money nobody has requested: `settle` requests it."""

_GRANTS = {
    "NONE": RefundResultKind.PENDING,
    "PENDING": RefundResultKind.PENDING,
    "SUCCESS": RefundResultKind.SUCCEEDED,
    "FAILURE": RefundResultKind.DECLINED,
}
_SHIPMENTS = {
    "WAITING_FOR_APPROVAL": ShipmentStatus.LABEL_PRINTED,
    "FULFILLED": ShipmentStatus.SHIPPED,
    "RETURNED": ShipmentStatus.DELIVERED,
    "REPLACED": ShipmentStatus.DELIVERED,
    "REFUNDED_AND_RETURNED": ShipmentStatus.DELIVERED,
}
"""Any other state counts as picked up: nobody knows that the goods are still there."""


class _NoAmount(Exception):
    """An amount that is not exact in minor units of the order's currency."""


def order_of(order: Order) -> PlatformOrder | UnreadableOrder:
    """The order as it was placed, with what happened to it since."""
    currency = order.total.gross.currency
    if not is_currency(currency):
        return UnreadableOrder(order.number, order.updated_at, f"{currency} has no amounts in minor units.")
    buyer = order.user.id if order.user is not None else order.user_email
    if not buyer:
        return UnreadableOrder(order.number, order.updated_at, "The order has no customer.")
    try:
        return _order(order, currency, f"saleor-{buyer}")
    except _NoAmount as error:
        return UnreadableOrder(order.number, order.updated_at, str(error))


def _order(order: Order, currency: str, buyer_id: str) -> PlatformOrder | UnreadableOrder:
    lines = tuple(_line(line, order, currency) for line in order.lines if line.quantity)
    freight_minor = _minor(order.total.gross, currency) - sum(line.paid_minor for line in lines)
    if not lines or freight_minor < 0 or any(line.paid_minor < 0 for line in lines):
        return UnreadableOrder(order.number, order.updated_at, "A discount makes the order less than its lines.")
    payments = (_payment(paid, order.granted_refunds, currency) for paid in order.transactions)
    return PlatformOrder(
        order_id=order.number,
        buyer_id=buyer_id,
        currency=currency,
        placed_at=order.created,
        changed_at=order.updated_at,
        lines=lines,
        freight_minor=freight_minor,
        payments=tuple(paid for paid in payments if paid.amount_minor > 0),
        shipments=tuple(_shipment(sent) for sent in order.fulfillments if sent.status != CANCELED),
        platform_id=order.id,
    )


def _line(line: Line, order: Order, currency: str) -> PlatformLine:
    product = line.variant.product if line.variant is not None else None
    category = product.category if product is not None else None
    return PlatformLine(
        line_id=line.id,
        sku=line.product_sku or line.id,
        item_id=product.id if product is not None else line.id,
        title=f"{line.product_name} {line.variant_name}".strip(),
        quantity=line.quantity,
        paid_minor=_minor(line.total_price.gross, currency),
        cancelled=line.quantity - line.quantity_fulfilled if order.status == CANCELED else 0,
        category_id=None if category is None else f"saleor-{category.id}",
    )


def _payment(paid: Transaction, grants: Iterable[Grant], currency: str) -> PlatformPayment:
    """What was captured is what is charged still, with what went back and what is on its way back."""
    back_minor = _minor(paid.refunded_amount, currency) + _minor(paid.refund_pending_amount, currency)
    ours = tuple(
        refund_of(grant, currency)
        for grant in grants
        if grant.transaction is not None and grant.transaction.id == paid.id and attempt_in(grant.reason or "")
    )
    moving = (RefundResultKind.SUCCEEDED, RefundResultKind.PENDING)
    known_minor = sum(one.amount_minor for one in ours if one.state in moving and one.said != NOT_ASKED)
    other_minor = back_minor - known_minor
    others = (PlatformRefund(f"{paid.id}-elsewhere", other_minor, paid.created_at),) if other_minor > 0 else ()
    return PlatformPayment(
        paid.id, _minor(paid.charged_amount, currency) + back_minor, paid.created_at, (*ours, *others)
    )


def refund_of(grant: Grant, currency: str) -> PlatformRefund:
    """A granted refund as it is now."""
    state = _GRANTS.get(grant.status, RefundResultKind.UNKNOWN)
    said = "" if state is RefundResultKind.SUCCEEDED else f"Saleor says {grant.status}"
    return PlatformRefund(
        grant.id,
        _minor(grant.amount, currency),
        grant.updated_at,
        attempt_in(grant.reason or ""),
        state,
        NOT_ASKED if grant.status == "NONE" else said,
    )


def _shipment(sent: Fulfillment) -> PlatformShipment:
    number = sent.tracking_number.strip()
    return PlatformShipment(
        shipment_id=f"saleor-{sent.id}",
        tracking_no=number or f"saleor-{sent.id}",
        carrier="",
        status=_SHIPMENTS.get(sent.status, ShipmentStatus.PICKED_UP),
        at=sent.created,
        lines=tuple(LineUnits(line.order_line.id, line.quantity) for line in sent.lines or () if line.order_line),
    )


def _minor(money: Money, currency: str) -> int:
    """Exact, or no amount: a decimal in another currency or with too many digits is none."""
    minor = from_decimal_text(str(Decimal(money.amount)), currency)
    if minor is None or money.currency != currency:
        raise _NoAmount(f"{money.amount} {money.currency} is no exact amount in minor units of {currency}.")
    return minor
