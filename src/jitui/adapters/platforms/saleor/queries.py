"""What is asked of Saleor, and the form of its answers."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Annotated

from msgspec import Meta, Struct

_Time = Annotated[datetime, Meta(tz=True)]

_MONEY = "{ amount currency }"
_GRANT = f"{{ id createdAt updatedAt amount {_MONEY} reason status transaction {{ id }} }}"
_ORDER = f"""
  id number status created updatedAt userEmail user {{ id }}
  total {{ gross {_MONEY} }}
  lines {{ id productSku productName variantName quantity quantityFulfilled totalPrice {{ gross {_MONEY} }}
    variant {{ product {{ id category {{ id }} }} }} }}
  transactions {{ id createdAt chargedAmount {_MONEY} refundedAmount {_MONEY} refundPendingAmount {_MONEY} }}
  grantedRefunds {_GRANT}
  fulfillments {{ id created status trackingNumber lines {{ quantity orderLine {{ id }} }} }}
"""

ORDERS = f"""query Orders($where: OrderWhereInput, $first: Int!, $after: String) {{
  orders(first: $first, after: $after, where: $where, sortBy: {{ field: LAST_MODIFIED_AT, direction: ASC }}) {{
    edges {{ node {{ {_ORDER} }} }} pageInfo {{ hasNextPage endCursor }} }} }}"""

CANCEL = "mutation Cancel($id: ID!) { orderCancel(id: $id) { errors { code message } } }"

GRANT = f"""mutation Grant($id: ID!, $input: OrderGrantRefundCreateInput!) {{
  orderGrantRefundCreate(id: $id, input: $input) {{ grantedRefund {_GRANT} errors {{ code message }} }} }}"""

REQUEST = """mutation Request($grant: ID!) {
  transactionRequestRefundForGrantedRefund(grantedRefundId: $grant) { errors { code message } } }"""

CHECK = "query Check { shop { version } app { permissions { code } } orders(first: 1) { totalCount } }"


class Money(Struct, frozen=True):
    """In major units of its currency."""

    amount: Decimal
    currency: str


class Taxed(Struct, frozen=True):
    gross: Money


class Named(Struct, frozen=True):
    id: str


class Product(Struct, frozen=True):
    id: str
    category: Named | None = None


class Variant(Struct, frozen=True):
    product: Product


class Line(Struct, frozen=True, rename="camel"):
    id: str
    product_name: str
    quantity: int
    quantity_fulfilled: int
    total_price: Taxed
    variant_name: str = ""
    product_sku: str | None = None
    variant: Variant | None = None


class Transaction(Struct, frozen=True, rename="camel"):
    id: str
    created_at: _Time
    charged_amount: Money
    refunded_amount: Money
    refund_pending_amount: Money


class Grant(Struct, frozen=True, rename="camel"):
    """A granted refund: money that may be requested of its transaction."""

    id: str
    created_at: _Time
    updated_at: _Time
    amount: Money
    status: str
    reason: str | None = None
    transaction: Named | None = None


class FulfillmentLine(Struct, frozen=True, rename="camel"):
    quantity: int
    order_line: Named | None = None


class Fulfillment(Struct, frozen=True, rename="camel"):
    id: str
    created: _Time
    status: str
    tracking_number: str = ""
    lines: tuple[FulfillmentLine, ...] | None = None


class Order(Struct, frozen=True, rename="camel"):
    id: str
    number: str
    status: str
    created: _Time
    updated_at: _Time
    total: Taxed
    user_email: str | None = None
    user: Named | None = None
    lines: tuple[Line, ...] = ()
    transactions: tuple[Transaction, ...] = ()
    granted_refunds: tuple[Grant, ...] = ()
    fulfillments: tuple[Fulfillment, ...] = ()


class _Edge(Struct, frozen=True):
    node: Order


class PageInfo(Struct, frozen=True, rename="camel"):
    has_next_page: bool
    end_cursor: str | None = None


class Connection(Struct, frozen=True, rename="camel"):
    edges: tuple[_Edge, ...]
    page_info: PageInfo


class OrdersAnswer(Struct, frozen=True):
    orders: Connection


class Problem(Struct, frozen=True):
    """A refusal by the business, as data."""

    code: str
    message: str | None = None


class Refused(Struct, frozen=True):
    errors: tuple[Problem, ...] = ()


class CancelAnswer(Struct, frozen=True, rename="camel"):
    order_cancel: Refused


class Granted(Struct, frozen=True, rename="camel"):
    granted_refund: Grant | None = None
    errors: tuple[Problem, ...] = ()


class GrantAnswer(Struct, frozen=True, rename="camel"):
    order_grant_refund_create: Granted


class RequestAnswer(Struct, frozen=True, rename="camel"):
    transaction_request_refund_for_granted_refund: Refused


class Permission(Struct, frozen=True):
    code: str


class App(Struct, frozen=True):
    permissions: tuple[Permission, ...] | None = None


class Shop(Struct, frozen=True):
    version: str


class CheckAnswer(Struct, frozen=True):
    shop: Shop
    app: App | None = None
