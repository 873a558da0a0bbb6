"""What is asked of Medusa's admin interface, and the form of its answers."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Annotated

from msgspec import Meta, Struct

_Time = Annotated[datetime, Meta(tz=True)]


def _fields(text: str) -> str:
    return ",".join(text.split())


REFUND_FIELDS = _fields("refunds.id refunds.raw_amount refunds.note refunds.created_at")

# `total` is asked for because Medusa computes the totals of lines only together with it.
ORDER_FIELDS = _fields(
    """
    id display_id custom_display_id status version currency_code customer_id created_at updated_at is_draft_order
    total raw_shipping_total fulfillment_status
    items.id items.title items.product_id items.variant_sku items.raw_quantity items.raw_total
    transactions.reference transactions.reference_id
    payment_collections.payments.id
    payment_collections.payments.captures.raw_amount payment_collections.payments.captures.created_at
    payment_collections.payments.refunds.id payment_collections.payments.refunds.raw_amount
    payment_collections.payments.refunds.note payment_collections.payments.refunds.created_at
    fulfillments.id fulfillments.created_at fulfillments.provider_id fulfillments.packed_at fulfillments.shipped_at
    fulfillments.delivered_at fulfillments.canceled_at
    fulfillments.items.line_item_id fulfillments.items.raw_quantity fulfillments.labels.tracking_number
    """
)

PLACED_FIELDS = _fields(
    """
    item_id raw_quantity
    item.title item.product_id item.variant_sku item.raw_unit_price item.is_tax_inclusive item.tax_lines.raw_rate
    item.adjustments.raw_amount item.adjustments.version item.adjustments.is_tax_inclusive
    """
)

NUMBER_FIELDS = "id,display_id,custom_display_id"


class Amount(Struct, frozen=True):
    """Medusa's exact number: a decimal as text."""

    value: Decimal


_NOTHING = Amount(Decimal(0))


class Item(Struct, frozen=True):
    id: str
    raw_quantity: Amount
    raw_total: Amount
    title: str = ""
    product_id: str | None = None
    variant_sku: str | None = None


class Transaction(Struct, frozen=True):
    reference: str | None = None
    reference_id: str | None = None


class Capture(Struct, frozen=True):
    raw_amount: Amount
    created_at: _Time


class Refund(Struct, frozen=True):
    id: str
    raw_amount: Amount
    created_at: _Time
    note: str | None = None


class Payment(Struct, frozen=True):
    id: str
    captures: tuple[Capture, ...] = ()
    refunds: tuple[Refund, ...] = ()


class Collection(Struct, frozen=True):
    payments: tuple[Payment, ...] = ()


class FulfilledItem(Struct, frozen=True):
    raw_quantity: Amount
    line_item_id: str | None = None


class Label(Struct, frozen=True):
    tracking_number: str = ""


class Fulfillment(Struct, frozen=True):
    id: str
    created_at: _Time
    provider_id: str | None = None
    packed_at: _Time | None = None
    shipped_at: _Time | None = None
    delivered_at: _Time | None = None
    canceled_at: _Time | None = None
    items: tuple[FulfilledItem, ...] = ()
    labels: tuple[Label, ...] = ()


class Numbered(Struct, frozen=True):
    """An order's id and its numbers; a version that knows no custom number is too old."""

    id: str
    display_id: int
    custom_display_id: str | None


class Order(Struct, frozen=True):
    id: str
    display_id: int
    custom_display_id: str | None
    status: str
    version: int
    currency_code: str
    created_at: _Time
    updated_at: _Time
    raw_shipping_total: Amount = _NOTHING
    fulfillment_status: str = ""
    is_draft_order: bool = False
    customer_id: str | None = None
    items: tuple[Item, ...] = ()
    transactions: tuple[Transaction, ...] = ()
    payment_collections: tuple[Collection, ...] = ()
    fulfillments: tuple[Fulfillment, ...] = ()


class TaxLine(Struct, frozen=True):
    raw_rate: Amount


class Adjustment(Struct, frozen=True):
    raw_amount: Amount
    version: int = 1
    is_tax_inclusive: bool = False


class PlacedItem(Struct, frozen=True):
    raw_unit_price: Amount
    is_tax_inclusive: bool
    title: str = ""
    product_id: str | None = None
    variant_sku: str | None = None
    tax_lines: tuple[TaxLine, ...] = ()
    adjustments: tuple[Adjustment, ...] = ()


class Placed(Struct, frozen=True):
    """A line of the order's first version, which stays as it is."""

    item_id: str
    raw_quantity: Amount
    item: PlacedItem


class OneOrder(Struct, frozen=True):
    order: Order


class Orders(Struct, frozen=True):
    orders: tuple[Order, ...]


class Numbers(Struct, frozen=True):
    orders: tuple[Numbered, ...]
    count: int


class PlacedLines(Struct, frozen=True):
    order_items: tuple[Placed, ...]


class _Email(Struct, frozen=True):
    email: str | None = None


class Contact(Struct, frozen=True):
    order: _Email


class Change(Struct, frozen=True):
    status: str
    internal_note: str | None = None


class Changes(Struct, frozen=True):
    order_changes: tuple[Change, ...]


class Refunded(Struct, frozen=True):
    payment: Payment


class Done(Struct, frozen=True):
    """An answer of which nothing is read."""
