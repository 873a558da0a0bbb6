"""What is asked of Shopify's Admin API 2026-04, and the form of its answers.

A query may cost a thousand points, and a list costs what its most entries would. So an order is asked for in two
queries, and one with more lines, refunds or shipments than these is not taken in.
"""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from msgspec import Meta, Struct

_Time = Annotated[datetime, Meta(tz=True)]

_MONEY = "{ presentmentMoney { amount currencyCode } }"

ORDER = f"""query Order($id: ID!) {{ order(id: $id) {{
  id name email createdAt updatedAt cancelledAt presentmentCurrencyCode taxesIncluded
  customer {{ id }}
  totalPriceSet {_MONEY}
  lineItems(first: 50) {{ pageInfo {{ hasNextPage }} nodes {{
    id title sku quantity currentQuantity product {{ id }}
    originalTotalSet {_MONEY}
    discountAllocations {{ allocatedAmountSet {_MONEY} }}
    taxLines {{ priceSet {_MONEY} }} }} }}
  transactions(first: 30) {{ id kind status gateway manualPaymentGateway processedAt createdAt amountSet {_MONEY} }}
  refunds(first: 30) {{ id note createdAt totalRefundedSet {_MONEY}
    transactions(first: 5) {{ nodes {{
      id kind status errorCode processedAt createdAt amountSet {_MONEY} parentTransaction {{ id }} }} }} }} }} }}"""

SHIPPING = """query Shipping($id: ID!) { order(id: $id) {
  id displayFulfillmentStatus
  fulfillments(first: 20) { id status displayStatus createdAt updatedAt deliveredAt
    trackingInfo { number company }
    fulfillmentLineItems(first: 20) { pageInfo { hasNextPage } nodes { quantity lineItem { id } } } }
  fulfillmentOrders(first: 10) { pageInfo { hasNextPage } nodes { id status updatedAt
    assignedLocation { location { id } }
    fulfillmentHolds { handle heldByRequestingApp }
    lineItems(first: 30) { pageInfo { hasNextPage } nodes { id remainingQuantity lineItem { id } } } } } } }"""

FIND = "query Find($query: String!) { orders(first: 10, query: $query) { nodes { id name } } }"

CHANGED = """query Changed($query: String, $after: String) {
  orders(first: 50, after: $after, query: $query, sortKey: UPDATED_AT) {
    nodes { id name } pageInfo { hasNextPage endCursor } } }"""

CHECK = "query Check { shop { name } currentAppInstallation { accessScopes { handle } } }"

HOLD = """mutation Hold($id: ID!, $hold: FulfillmentOrderHoldInput!) {
  fulfillmentOrderHold(id: $id, fulfillmentHold: $hold) {
    fulfillmentHold { id } userErrors { code message } } }"""

REFUND = f"""mutation Refund($input: RefundInput!, $key: String!) {{
  refundCreate(input: $input) @idempotent(key: $key) {{
    refund {{ id note createdAt totalRefundedSet {_MONEY}
      transactions(first: 5) {{ nodes {{
        id kind status errorCode processedAt createdAt amountSet {_MONEY} parentTransaction {{ id }} }} }} }}
    userErrors {{ field message }} }} }}"""

MOST_TRANSACTIONS, MOST_REFUNDS, MOST_FULFILLMENTS = 30, 30, 20


class Named(Struct, frozen=True):
    id: str


class Money(Struct, frozen=True, rename="camel"):
    amount: str
    currency_code: str


class Bag(Struct, frozen=True, rename="camel"):
    """What the buyer saw and paid; the shop's own currency is another."""

    presentment_money: Money


class PageInfo(Struct, frozen=True, rename="camel"):
    has_next_page: bool = False
    end_cursor: str | None = None


class Allocation(Struct, frozen=True, rename="camel"):
    allocated_amount_set: Bag


class Tax(Struct, frozen=True, rename="camel"):
    price_set: Bag


class Line(Struct, frozen=True, rename="camel"):
    id: str
    title: str
    quantity: int
    current_quantity: int
    original_total_set: Bag
    sku: str | None = None
    product: Named | None = None
    discount_allocations: tuple[Allocation, ...] = ()
    tax_lines: tuple[Tax, ...] = ()


class Lines(Struct, frozen=True, rename="camel"):
    nodes: tuple[Line, ...]
    page_info: PageInfo = PageInfo()


class Transaction(Struct, frozen=True, rename="camel"):
    id: str
    kind: str
    status: str
    amount_set: Bag
    created_at: _Time
    processed_at: _Time | None = None
    gateway: str | None = None
    manual_payment_gateway: bool = False
    error_code: str | None = None
    parent_transaction: Named | None = None


class Transactions(Struct, frozen=True):
    nodes: tuple[Transaction, ...]


class Refund(Struct, frozen=True, rename="camel"):
    id: str
    created_at: _Time | None
    total_refunded_set: Bag
    transactions: Transactions
    note: str | None = None


class Order(Struct, frozen=True, rename="camel"):
    id: str
    name: str
    created_at: _Time
    updated_at: _Time
    presentment_currency_code: str
    total_price_set: Bag
    line_items: Lines
    taxes_included: bool = False
    email: str | None = None
    cancelled_at: _Time | None = None
    customer: Named | None = None
    transactions: tuple[Transaction, ...] = ()
    refunds: tuple[Refund, ...] = ()


class Tracking(Struct, frozen=True):
    number: str | None = None
    company: str | None = None


class SentLine(Struct, frozen=True, rename="camel"):
    quantity: int | None
    line_item: Named


class SentLines(Struct, frozen=True, rename="camel"):
    nodes: tuple[SentLine, ...]
    page_info: PageInfo = PageInfo()


class Fulfillment(Struct, frozen=True, rename="camel"):
    id: str
    status: str
    updated_at: _Time
    fulfillment_line_items: SentLines
    display_status: str | None = None
    delivered_at: _Time | None = None
    tracking_info: tuple[Tracking, ...] = ()


class WaitingLine(Struct, frozen=True, rename="camel"):
    id: str
    remaining_quantity: int
    line_item: Named


class WaitingLines(Struct, frozen=True, rename="camel"):
    nodes: tuple[WaitingLine, ...]
    page_info: PageInfo = PageInfo()


class Hold(Struct, frozen=True, rename="camel"):
    held_by_requesting_app: bool
    handle: str | None = None


class AssignedLocation(Struct, frozen=True):
    location: Named | None = None


class FulfillmentOrder(Struct, frozen=True, rename="camel"):
    id: str
    status: str
    updated_at: _Time
    line_items: WaitingLines
    assigned_location: AssignedLocation = AssignedLocation()
    fulfillment_holds: tuple[Hold, ...] = ()


class FulfillmentOrders(Struct, frozen=True, rename="camel"):
    nodes: tuple[FulfillmentOrder, ...]
    page_info: PageInfo = PageInfo()


class Shipping(Struct, frozen=True, rename="camel"):
    id: str
    display_fulfillment_status: str
    fulfillments: tuple[Fulfillment, ...]
    fulfillment_orders: FulfillmentOrders


class OrderAnswer(Struct, frozen=True):
    order: Order | None


class ShippingAnswer(Struct, frozen=True):
    order: Shipping | None


class Found(Struct, frozen=True):
    id: str
    name: str


class FoundPage(Struct, frozen=True, rename="camel"):
    nodes: tuple[Found, ...]
    page_info: PageInfo = PageInfo()


class FoundAnswer(Struct, frozen=True):
    orders: FoundPage


class Scope(Struct, frozen=True):
    handle: str


class Installation(Struct, frozen=True, rename="camel"):
    access_scopes: tuple[Scope, ...]


class CheckAnswer(Struct, frozen=True, rename="camel"):
    current_app_installation: Installation


class Said(Struct, frozen=True):
    message: str
    code: str | None = None


class HoldMade(Struct, frozen=True, rename="camel"):
    user_errors: tuple[Said, ...]


class HoldAnswer(Struct, frozen=True, rename="camel"):
    fulfillment_order_hold: HoldMade


class RefundMade(Struct, frozen=True, rename="camel"):
    user_errors: tuple[Said, ...]
    refund: Refund | None = None


class RefundAnswer(Struct, frozen=True, rename="camel"):
    refund_create: RefundMade
