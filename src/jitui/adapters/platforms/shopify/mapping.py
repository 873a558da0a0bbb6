"""Turns Shopify's orders into ours. Its words stop here."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from uuid import UUID

from jitui.adapters.platforms.reading import Unfit, buyer_of, minor_of, once_each, paid_for_lines
from jitui.adapters.platforms.shopify.queries import (
    MOST_FULFILLMENTS,
    MOST_REFUNDS,
    MOST_TRANSACTIONS,
    Bag,
    Fulfillment,
    FulfillmentOrder,
    Line,
    Order,
    Refund,
    Shipping,
    Transaction,
    WaitingLine,
)
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

HOLDABLE = frozenset({"OPEN", "SCHEDULED"})
ON_HOLD = "ON_HOLD"
_UNKNOWN = RefundResultKind.UNKNOWN
_STILL_THERE = HOLDABLE | {ON_HOLD, "CANCELLED", "CLOSED"}
"""A fulfilment order in another state is being worked on, and counts as picked up."""
_CAPTURED = frozenset({"SALE", "CAPTURE"})
_REFUNDS = {
    "SUCCESS": RefundResultKind.SUCCEEDED,
    "PENDING": RefundResultKind.PENDING,
    "AWAITING_RESPONSE": RefundResultKind.PENDING,
    "FAILURE": RefundResultKind.DECLINED,
    "ERROR": RefundResultKind.DECLINED,
}
_SENT = {
    "LABEL_PRINTED": ShipmentStatus.LABEL_PRINTED,
    "LABEL_PURCHASED": ShipmentStatus.LABEL_PRINTED,
    "CARRIER_PICKED_UP": ShipmentStatus.PICKED_UP,
    "DELIVERED": ShipmentStatus.DELIVERED,
    **dict.fromkeys(
        (
            "ATTEMPTED_DELIVERY",
            "DELAYED",
            "FAILURE",
            "FULFILLED",
            "IN_TRANSIT",
            "MARKED_AS_FULFILLED",
            "NOT_DELIVERED",
            "OUT_FOR_DELIVERY",
            "PICKED_UP",
        ),
        ShipmentStatus.SHIPPED,
    ),
}
"""Any other state of a shipment counts as picked up."""
_UNSENT = frozenset(
    {"UNFULFILLED", "RESTOCKED", "PENDING_FULFILLMENT", "OPEN", "IN_PROGRESS", "ON_HOLD", "SCHEDULED"}
    | {"REQUEST_DECLINED", "PARTIALLY_FULFILLED"}
)
"""States of an order in which its fulfilments say all that was sent."""


def tail(gid: str) -> str:
    """`12` of `gid://shopify/Order/12`."""
    return gid.rpartition("/")[2].partition("?")[0]


def number_of(name: str) -> str:
    """The number that buyers know: `1001` of an order named `#1001`."""
    return name.removeprefix("#")


def handle_of(attempt_id: UUID | None) -> str:
    """By which a hold of ours is known; `jitui-` and the attempt."""
    return f"jitui-{attempt_id}"


def held_by_us(waiting: FulfillmentOrder) -> bool:
    """Whether one of our attempts holds it."""
    return any(
        hold.held_by_requesting_app and (hold.handle or "").startswith("jitui-") for hold in waiting.fulfillment_holds
    )


def order_of(order: Order, shipping: Shipping) -> PlatformOrder | UnreadableOrder:
    """The order with what happened to it since; amounts are those that the buyer saw and paid."""
    number = number_of(order.name)
    if (too_many := _too_many(order, shipping)) or not is_currency(order.presentment_currency_code):
        reason = too_many or f"{order.presentment_currency_code} has no amounts in minor units."
        return UnreadableOrder(number, order.updated_at, reason)
    try:
        return _order(order, shipping, number)
    except Unfit as unfit:
        return UnreadableOrder(number, order.updated_at, str(unfit))


def _order(order: Order, shipping: Shipping, number: str) -> PlatformOrder:
    currency = order.presentment_currency_code
    sold = [line for line in order.line_items.nodes if line.quantity > 0]
    if not sold:
        raise Unfit("The order has no line with units.")
    total_minor = amount_of(order.total_price_set, currency)
    paid, freight_minor = paid_for_lines([_paid(line, order, currency) for line in sold], total_minor)
    held = _held(shipping)
    lines = tuple(_line(line, amount, order, held) for line, amount in zip(sold, paid, strict=True))
    shipments = _shipments(order, shipping, lines)
    customer = tail(order.customer.id) if order.customer is not None else None
    return PlatformOrder(
        order_id=number,
        buyer_id=buyer_of("shopify", customer, order.email, tail(order.id)),
        currency=currency,
        placed_at=order.created_at,
        changed_at=order.updated_at,
        lines=lines,
        freight_minor=freight_minor,
        payments=_payments(order, currency),
        shipments=shipments,
        delivered_at=_delivered_at(shipping, shipments),
        platform_id=order.id,
    )


def _too_many(order: Order, shipping: Shipping) -> str:
    """What an order has more of than a query may ask for; empty when it has not."""
    lists = {
        "lines": order.line_items.page_info.has_next_page,
        "transactions": len(order.transactions) >= MOST_TRANSACTIONS,
        "refunds": len(order.refunds) >= MOST_REFUNDS,
        "fulfilments": len(shipping.fulfillments) >= MOST_FULFILLMENTS,
        "fulfilment orders": shipping.fulfillment_orders.page_info.has_next_page,
        "lines in a fulfilment": any(
            one.fulfillment_line_items.page_info.has_next_page for one in shipping.fulfillments
        ),
        "lines in a fulfilment order": any(
            one.line_items.page_info.has_next_page for one in shipping.fulfillment_orders.nodes
        ),
    }
    return next((f"The order has more {name} than are read." for name, more in lists.items() if more), "")


# Money ----------------------------------------------------------------------------------------------------------


def amount_of(bag: Bag, currency: str) -> int:
    """In minor units of the currency that the buyer paid in; raises Unfit for another one."""
    money = bag.presentment_money
    if money.currency_code != currency:
        raise Unfit(f"An amount in {money.currency_code} on an order in {currency}.")
    return minor_of([money.amount], currency)


def _paid(line: Line, order: Order, currency: str) -> int:
    """The price of all units less what discounts take off, with the tax that is not in the price."""
    discounts = sum(amount_of(one.allocated_amount_set, currency) for one in line.discount_allocations)
    taxes = 0 if order.taxes_included else sum(amount_of(tax.price_set, currency) for tax in line.tax_lines)
    return amount_of(line.original_total_set, currency) - discounts + taxes


def _payments(order: Order, currency: str) -> tuple[PlatformPayment, ...]:
    captured = [one for one in order.transactions if one.kind in _CAPTURED and one.status == "SUCCESS"]
    if not captured:
        return ()
    made: dict[str, list[PlatformRefund]] = {one.id: [] for one in captured}
    for refund in order.refunds:
        for parent, row in refunds_of(refund, currency):
            made[parent if parent in made else captured[0].id].append(row)
    return tuple(
        PlatformPayment(
            tail(one.id),
            amount_of(one.amount_set, currency),
            one.processed_at or one.created_at,
            once_each(made[one.id]),
        )
        for one in captured
    )


def refunds_of(refund: Refund, currency: str) -> list[tuple[str, PlatformRefund]]:
    """The transactions of a refund with the payments that they pay back; raises Unfit.

    A refund is only as good as its transactions: one of ours without any is neither paid nor unpaid.
    """
    attempt_id = attempt_in(refund.note or "")
    rows = [one for one in refund.transactions.nodes if one.kind == "REFUND"]
    if rows:
        return [(_parent(one), _row(one, attempt_id, currency)) for one in rows]
    if attempt_id is None or refund.created_at is None:
        return []
    amount_minor = amount_of(refund.total_refunded_set, currency)
    said = "Shopify has the refund, and no transaction that pays it"
    return [("", PlatformRefund(tail(refund.id), amount_minor, refund.created_at, attempt_id, _UNKNOWN, said))]


def _parent(row: Transaction) -> str:
    return row.parent_transaction.id if row.parent_transaction is not None else ""


def _row(row: Transaction, attempt_id: UUID | None, currency: str) -> PlatformRefund:
    state = _REFUNDS.get(row.status, _UNKNOWN)
    said = "" if state is RefundResultKind.SUCCEEDED else f"Shopify says {row.status} {row.error_code or ''}".strip()
    at = row.processed_at or row.created_at
    return PlatformRefund(tail(row.id), amount_of(row.amount_set, currency), at, attempt_id, state, said)


# Units ------------------------------------------------------------------------------------------------------------


def _line(line: Line, paid_minor: int, order: Order, held: Mapping[str, int]) -> PlatformLine:
    gone = line.quantity - line.current_quantity + held.get(line.id, 0)
    return PlatformLine(
        line_id=tail(line.id),
        sku=line.sku or "",
        item_id=tail(line.product.id if line.product is not None else line.id),
        title=line.title,
        quantity=line.quantity,
        paid_minor=paid_minor,
        cancelled=line.quantity if order.cancelled_at is not None else min(gone, line.quantity),
    )


def _held(shipping: Shipping) -> dict[str, int]:
    """By line, the units that a hold of ours keeps from being shipped."""
    return _units((line.line_item.id, line.remaining_quantity) for line in waiting_lines(shipping, held_by_us))


def waiting_lines(shipping: Shipping, which: Callable[[FulfillmentOrder], bool]) -> list[WaitingLine]:
    """The lines of the fulfilment orders that `which` takes."""
    return [line for one in shipping.fulfillment_orders.nodes if which(one) for line in one.line_items.nodes]


def _units(told: Iterable[tuple[str, int]]) -> dict[str, int]:
    found: dict[str, int] = {}
    for line_id, quantity in told:
        found[line_id] = found.get(line_id, 0) + quantity
    return found


# Shipments --------------------------------------------------------------------------------------------------------


def _shipments(order: Order, shipping: Shipping, lines: Sequence[PlatformLine]) -> tuple[PlatformShipment, ...]:
    """What was sent, what is being worked on, and what an order says was sent although no fulfilment does."""
    found = [_shipment(sent) for sent in shipping.fulfillments if sent.status != "CANCELLED"]
    found += [_working(one) for one in shipping.fulfillment_orders.nodes if one.status not in _STILL_THERE]
    status = shipping.display_fulfillment_status
    if status not in _UNSENT or (status == "PARTIALLY_FULFILLED" and not found):
        found.append(_untold(order, lines, found))
    known = {line.line_id for line in lines}
    kept = (_within(shipment, known) for shipment in found)
    return tuple(shipment for shipment in kept if shipment.lines)


def _shipment(sent: Fulfillment) -> PlatformShipment:
    own_id = f"shopify-{tail(sent.id)}"
    number = next((text for track in sent.tracking_info if (text := (track.number or "").strip())), "")
    told = _SENT.get(sent.display_status or "", ShipmentStatus.PICKED_UP)
    units = _units((line.line_item.id, line.quantity or 0) for line in sent.fulfillment_line_items.nodes)
    return PlatformShipment(
        shipment_id=own_id,
        tracking_no=number or own_id,
        carrier=next((track.company for track in sent.tracking_info if track.company), ""),
        status=told if sent.status == "SUCCESS" else ShipmentStatus.PICKED_UP,
        at=sent.delivered_at if sent.delivered_at and told is ShipmentStatus.DELIVERED else sent.updated_at,
        lines=tuple(LineUnits(tail(line_id), quantity) for line_id, quantity in units.items()),
    )


def _working(waiting: FulfillmentOrder) -> PlatformShipment:
    own_id = f"shopify-order-{tail(waiting.id)}"
    units = _units((line.line_item.id, line.remaining_quantity) for line in waiting.line_items.nodes)
    lines = tuple(LineUnits(tail(line_id), quantity) for line_id, quantity in units.items() if quantity)
    return PlatformShipment(own_id, own_id, "", ShipmentStatus.PICKED_UP, waiting.updated_at, lines)


def _untold(order: Order, lines: Sequence[PlatformLine], found: Sequence[PlatformShipment]) -> PlatformShipment:
    sent = _units((unit.line_id, unit.quantity) for shipment in found for unit in shipment.lines)
    rest = ((line.line_id, line.quantity - line.cancelled - sent.get(line.line_id, 0)) for line in lines)
    own_id = f"shopify-{tail(order.id)}-untold"
    units = tuple(LineUnits(line_id, quantity) for line_id, quantity in rest if quantity > 0)
    return PlatformShipment(own_id, own_id, "", ShipmentStatus.PICKED_UP, order.updated_at, units)


def _within(shipment: PlatformShipment, known: set[str]) -> PlatformShipment:
    """Without units of lines that the order has not."""
    lines = tuple(unit for unit in shipment.lines if unit.line_id in known and unit.quantity > 0)
    return PlatformShipment(
        shipment.shipment_id, shipment.tracking_no, shipment.carrier, shipment.status, shipment.at, lines
    )


def _delivered_at(shipping: Shipping, shipments: Sequence[PlatformShipment]) -> datetime | None:
    """When the last shipment was delivered, of an order of which everything was sent."""
    whole = shipping.display_fulfillment_status == "FULFILLED" and bool(shipments)
    delivered = whole and all(shipment.status is ShipmentStatus.DELIVERED for shipment in shipments)
    return max(shipment.at for shipment in shipments) if delivered else None
