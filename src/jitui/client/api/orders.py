"""Orders: values and calls. Written by scripts/client_api.py."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Literal
from uuid import UUID

from msgspec import UNSET, UnsetType

from jitui.client.api.shared import Amount, PositiveMoney, UnitsSent
from jitui.client.call import Call, ListCall, Sent, Shown, Word, new_idempotency_key


class DisputeState(Word):
    """A card dispute is open until the bank decides. Won: we keep the money. Lost: the bank gives it to the buyer."""

    LOST = "lost"
    OPEN = "open"
    WON = "won"


class FulfillmentStatus(Word):
    """How far the whole order has gone, as decisions read it."""

    DELIVERED = "delivered"
    LABEL_PRINTED = "label_printed"
    PARTLY_SHIPPED = "partly_shipped"
    PICKED_UP = "picked_up"
    SHIPPED = "shipped"
    UNSHIPPED = "unshipped"


class Funder(Word):
    """Who paid a share of the price besides the buyer."""

    MERCHANT_COUPON = "merchant_coupon"
    PLATFORM_SUBSIDY = "platform_subsidy"
    TALENT_SUBSIDY = "talent_subsidy"


class Hold(Word):
    """Why an order may not be shipped yet; a held order is unshipped."""

    GROUP_BUY = "group_buy"
    NONE = "none"
    PRESALE = "presale"
    RISK_REVIEW = "risk_review"


class ShipmentSource(Word):
    """Who reported the shipment.

    A merchant's ship command may conflict with a refund; a carrier's scan is always recorded.
    """

    CARRIER = "carrier"
    MERCHANT = "merchant"


class ShipmentStatus(Word):
    """How far one shipment has gone; with a printed label it is not yet on its way."""

    DELIVERED = "delivered"
    LABEL_PRINTED = "label_printed"
    PICKED_UP = "picked_up"
    SHIPPED = "shipped"


class CompletionSent(Sent, frozen=True, kw_only=True):
    """The buyer has received the goods."""

    completed_at: datetime


class DisputeAnswer(Shown, frozen=True, kw_only=True):
    """A card dispute; `lost` is the part of the loss that could still be refunded."""

    dispute_id: str
    tender_id: str
    state: DisputeState
    amount: Amount
    lost: Amount
    opened_at: datetime
    closed_at: datetime | None


class DisputeSent(Sent, frozen=True, kw_only=True):
    """A card dispute on a payment of the order; `amount` is what the buyer claims from the bank."""

    dispute_id: str
    tender_id: str
    state: DisputeState
    amount: PositiveMoney
    happened_at: datetime
    reason: str = ""


class FundingAnswer(Shown, frozen=True, kw_only=True):
    """A funder's share, and how much of it was returned."""

    funder: Funder
    amount: Amount
    returned: Amount


class FundingSent(Sent, frozen=True, kw_only=True):
    """A share of the price that was paid by somebody other than the buyer."""

    funder: Funder
    amount: PositiveMoney


class LineAnswer(Shown, frozen=True, kw_only=True):
    """A line, and the state of its units."""

    line_id: str
    sku: str
    item_id: str
    category_id: str | None
    title: str
    customised: bool | None
    virtual: bool | None
    quantity: int
    claimed_quantity: int
    left_quantity: int
    free_quantity: int
    paid: Amount
    claimed: Amount


class LineSent(Sent, frozen=True, kw_only=True):
    """A line of an order; `paid` is what the buyer paid for all its units, after discounts."""

    line_id: str
    sku: str
    item_id: str
    quantity: int
    paid: Money
    category_id: str | None = None
    title: str = ""
    customised: bool | None = None
    virtual: bool | None = None


class Money(Sent, frozen=True):
    """An amount in minor units of a currency."""

    amount_minor: int
    currency: str


class OrderAnswer(Shown, frozen=True, kw_only=True):
    """An order with everything that belongs to it."""

    order_id: str
    buyer_id: str
    shop_id: str
    shipment: FulfillmentStatus
    hold: Hold
    placed_at: datetime
    paid_at: datetime | None
    completed_at: datetime | None
    ship_by: datetime | None
    paid: Amount
    freight: Amount
    lines: tuple[LineAnswer, ...]
    shipments: tuple[ParcelAnswer, ...]
    tenders: tuple[TenderAnswer, ...]
    funding: tuple[FundingAnswer, ...]
    disputes: tuple[DisputeAnswer, ...]
    ticket_ids: tuple[UUID, ...]


class OrderPage(Shown, frozen=True, kw_only=True):
    """A page of orders, newest first; `next` is null on the last one."""

    orders: tuple[OrderRow, ...]
    next: str | None


class OrderRow(Shown, frozen=True, kw_only=True):
    """An order in a list."""

    order_id: str
    buyer_id: str
    shop_id: str
    currency: str
    hold: Hold
    placed_at: datetime
    paid_at: datetime | None
    completed_at: datetime | None


class OrderSent(Sent, frozen=True, kw_only=True):
    """An order as the platform has it; it can be replaced until it is paid or shipped."""

    buyer_id: str
    shop_id: str
    currency: str
    placed_at: datetime
    lines: Sequence[LineSent]
    freight: Money | None = None
    funding: Sequence[FundingSent] = ()
    hold: Hold = Hold.NONE
    ship_by: datetime | None = None


class OrderTakenAnswer(Shown, frozen=True, kw_only=True):
    """The result: the order was created, replaced or unchanged."""

    order_id: str
    created: bool


class ParcelAnswer(Shown, frozen=True, kw_only=True):
    """A parcel."""

    degree: ShipmentStatus
    carrier: str
    tracking_no: str
    source: ShipmentSource
    lines: tuple[UnitsAnswer, ...]
    happened_at: datetime
    recorded_at: datetime


class PaymentSent(Sent, frozen=True, kw_only=True):
    """A captured payment: `provider` and `payment_id` name it; `amount` is what was captured with it so far."""

    tender_id: str
    provider: str
    payment_id: str
    amount: PositiveMoney
    captured_at: datetime
    payment_total_minor: int | None = None


class ShipmentSent(Sent, frozen=True, kw_only=True):
    """An update about a parcel; the same waybill is the same parcel. No lines: everything not in another parcel."""

    acting_for: Literal["merchant"] | UnsetType = UNSET
    person: str | UnsetType = UNSET
    degree: ShipmentStatus
    tracking_no: str
    happened_at: datetime
    carrier: str | None = None
    source: ShipmentSource = ShipmentSource.MERCHANT
    lines: Sequence[UnitsSent] = ()


class TenderAnswer(Shown, frozen=True, kw_only=True):
    """A captured payment, what is being refunded and what was; not shown to the shop."""

    tender_id: str
    provider: str
    payment_id: str
    captured: Amount
    pending: Amount
    refunded: Amount
    lost: Amount
    captured_at: datetime


class UnitsAnswer(Shown, frozen=True, kw_only=True):
    """A number of units of one line."""

    line_id: str
    quantity: int


def put_an_order(order_id: str, sent: OrderSent) -> Call[OrderTakenAnswer]:
    """Put an order.

    Creates the order, or replaces it until it is paid or ships. Putting the same paid order again changes nothing; its
    hold and `ship_by` may change at any time. Keys of scope: platform. Permission: `orders:write`.
    """
    return Call(
        operation="put_an_order",
        method="PUT",
        path="/v1/orders/{order_id}",
        answer=OrderTakenAnswer,
        statuses=(200, 201),
        places={"order_id": order_id},
        body=sent,
        may_repeat=True,
    )


def get_order(order_id: str) -> Call[OrderAnswer]:
    """Read an order. Keys of scope: buyer, platform, shop. Permission: `orders:read`."""
    return Call(
        operation="get_order",
        method="GET",
        path="/v1/orders/{order_id}",
        answer=OrderAnswer,
        statuses=(200,),
        places={"order_id": order_id},
        may_repeat=True,
    )


def list_orders(
    *, shop_id: str | None = None, buyer_id: str | None = None, cursor: str | None = None, limit: int | None = None
) -> ListCall[OrderPage, OrderRow]:
    """List orders.

    Newest first. A shop or buyer key lists its own. Keys of scope: buyer, platform, shop. Permission: `orders:read`.
    """
    return ListCall(
        operation="list_orders",
        method="GET",
        path="/v1/orders",
        answer=OrderPage,
        statuses=(200,),
        query={"shop_id": shop_id, "buyer_id": buyer_id, "cursor": cursor, "limit": limit},
        may_repeat=True,
        rows="orders",
    )


def record_payment(order_id: str, sent: PaymentSent, *, idempotency_key: str | None = None) -> Call[OrderAnswer]:
    """Record a captured payment.

    201 for new money, 200 for what is known already. Within an order a provider's payment is one tender: the amount is
    what was captured with it so far, and a larger one is a later capture. Money for goods that were refunded already is
    decided again, and goes back at once or to review. Keys of scope: platform. Permission: `payments:write`.
    """
    return Call(
        operation="record_payment",
        method="POST",
        path="/v1/orders/{order_id}/payments",
        answer=OrderAnswer,
        statuses=(200, 201),
        places={"order_id": order_id},
        body=sent,
        idempotency_key=idempotency_key or new_idempotency_key(),
        may_repeat=True,
    )


def record_a_dispute(order_id: str, sent: DisputeSent, *, idempotency_key: str | None = None) -> Call[OrderAnswer]:
    """Record a card dispute.

    While it is `open`, nothing of the order is refunded at once. `lost` lowers what its payment can still give by the
    dispute's amount, and opens a task where that was refunded already; `won` frees the order. The same again changes
    nothing (200). Stripe tells of its disputes itself. Keys of scope: platform. Permission: `disputes:write`.
    """
    return Call(
        operation="record_a_dispute",
        method="POST",
        path="/v1/orders/{order_id}/disputes",
        answer=OrderAnswer,
        statuses=(200, 201),
        places={"order_id": order_id},
        body=sent,
        idempotency_key=idempotency_key or new_idempotency_key(),
        may_repeat=True,
    )


def record_a_shipment(order_id: str, sent: ShipmentSent, *, idempotency_key: str | None = None) -> Call[OrderAnswer]:
    """Record what became of a parcel.

    A merchant's word is a command and meets a conflict where units were refunded or are being asked for; a carrier's
    scan is a fact, always recorded, and opens an incident where units were refunded. The same waybill is the same
    parcel, however carrier and number are spelled; what is known of it already changes nothing (200). Keys of scope:
    platform, shop. Permission: `shipments:write`.
    """
    return Call(
        operation="record_a_shipment",
        method="POST",
        path="/v1/orders/{order_id}/shipments",
        answer=OrderAnswer,
        statuses=(200, 201),
        places={"order_id": order_id},
        body=sent,
        idempotency_key=idempotency_key or new_idempotency_key(),
        may_repeat=True,
    )


def record_completion(order_id: str, sent: CompletionSent, *, idempotency_key: str | None = None) -> Call[OrderAnswer]:
    """Complete an order.

    From then on it counts in the buyer's history. Keys of scope: platform. Permission: `orders:write`.
    """
    return Call(
        operation="record_completion",
        method="POST",
        path="/v1/orders/{order_id}/completion",
        answer=OrderAnswer,
        statuses=(200, 201),
        places={"order_id": order_id},
        body=sent,
        idempotency_key=idempotency_key or new_idempotency_key(),
        may_repeat=True,
    )
