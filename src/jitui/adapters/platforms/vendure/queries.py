"""What is asked of Vendure's admin API, and the form of its answers."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from msgspec import Meta, Struct

_Time = Annotated[datetime, Meta(tz=True)]

_ORDER = """
  id code state active updatedAt orderPlacedAt currencyCode totalWithTax
  customer { id }
  lines { id quantity orderPlacedQuantity proratedUnitPriceWithTax proratedLinePriceWithTax
    productVariant { id sku name product { id } } }
  payments { id createdAt state amount refunds { id createdAt updatedAt total state reason transactionId paymentId } }
  fulfillments { id createdAt updatedAt state method trackingCode lines { orderLineId quantity } }
"""

ORDERS = f"query Orders($options: OrderListOptions) {{ orders(options: $options) {{ items {{ {_ORDER} }} }} }}"

CONTACT = """query Contact($options: OrderListOptions) { orders(options: $options) { items {
  active customer { emailAddress } } } }"""

CANCEL = """mutation Cancel($input: CancelOrderInput!) { cancelOrder(input: $input) {
  __typename ... on ErrorResult { errorCode message } } }"""

REFUND = """mutation Refund($input: RefundOrderInput!) { refundOrder(input: $input) {
  __typename
  ... on Refund { id createdAt updatedAt total state reason transactionId paymentId }
  ... on ErrorResult { errorCode message } } }"""

SETTLE = """mutation Settle($input: SettleRefundInput!) { settleRefund(input: $input) {
  __typename ... on Refund { id createdAt updatedAt total state reason transactionId paymentId }
  ... on ErrorResult { errorCode message } } }"""

CHECK = "query Check { activeChannel { code defaultCurrencyCode } orders(options: { take: 1 }) { totalItems } }"


class Named(Struct, frozen=True):
    id: str


class Variant(Struct, frozen=True):
    id: str
    sku: str
    name: str
    product: Named


class Line(Struct, frozen=True, rename="camel"):
    id: str
    quantity: int
    order_placed_quantity: int
    prorated_unit_price_with_tax: int
    prorated_line_price_with_tax: int
    product_variant: Variant


class Refund(Struct, frozen=True, rename="camel"):
    id: str
    created_at: _Time
    updated_at: _Time
    total: int
    state: str
    reason: str | None = None
    transaction_id: str | None = None
    payment_id: str = ""


class Payment(Struct, frozen=True, rename="camel"):
    id: str
    created_at: _Time
    state: str
    amount: int
    refunds: tuple[Refund, ...] = ()


class FulfillmentLine(Struct, frozen=True, rename="camel"):
    order_line_id: str
    quantity: int


class Fulfillment(Struct, frozen=True, rename="camel"):
    id: str
    created_at: _Time
    updated_at: _Time
    state: str
    method: str = ""
    tracking_code: str | None = None
    lines: tuple[FulfillmentLine, ...] = ()


class Order(Struct, frozen=True, rename="camel"):
    id: str
    code: str
    state: str
    active: bool
    updated_at: _Time
    currency_code: str
    total_with_tax: int
    order_placed_at: _Time | None = None
    customer: Named | None = None
    lines: tuple[Line, ...] = ()
    payments: tuple[Payment, ...] | None = ()
    fulfillments: tuple[Fulfillment, ...] | None = ()


class _Page(Struct, frozen=True):
    items: tuple[Order, ...]


class OrdersAnswer(Struct, frozen=True):
    orders: _Page


class Customer(Struct, frozen=True, rename="camel"):
    email_address: str = ""


class Contact(Struct, frozen=True):
    active: bool
    customer: Customer | None = None


class _ContactPage(Struct, frozen=True):
    items: tuple[Contact, ...]


class ContactAnswer(Struct, frozen=True):
    orders: _ContactPage
