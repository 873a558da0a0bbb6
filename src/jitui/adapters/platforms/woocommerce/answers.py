"""The form of WooCommerce's answers, as far as they are read. Times ending in `_gmt` name no zone and are UTC."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from msgspec import Struct


class Meta(Struct, frozen=True):
    key: str
    value: Any = None


class Billing(Struct, frozen=True):
    email: str | None = None


class Line(Struct, frozen=True):
    """An item of an order or, with a negative quantity, of a refund; amounts are texts in major units, without tax."""

    id: int
    name: Any
    quantity: int
    total: str
    total_tax: str
    product_id: int | None = 0
    sku: str | None = None
    meta_data: tuple[Meta, ...] = ()


class RefundSummary(Struct, frozen=True):
    id: int


class Refund(Struct, frozen=True):
    """`refunded_payment`: the gateway was asked for the money, and said yes."""

    id: int
    date_created_gmt: datetime
    amount: str
    reason: str | None = None
    refunded_payment: bool = False
    line_items: tuple[Line, ...] = ()


class Fulfilment(Struct, frozen=True):
    id: int
    status: str | None = None
    is_fulfilled: bool = False
    date_updated: str | None = None
    date_deleted: str | None = None
    meta_data: tuple[Meta, ...] = ()


class Order(Struct, frozen=True):
    id: int
    number: str
    status: str
    currency: str
    total: str
    date_created_gmt: datetime
    date_modified_gmt: datetime
    customer_id: int = 0
    payment_method: str = ""
    date_paid_gmt: datetime | None = None
    date_completed_gmt: datetime | None = None
    billing: Billing = Billing()
    meta_data: tuple[Meta, ...] = ()
    line_items: tuple[Line, ...] = ()
    refunds: tuple[RefundSummary, ...] = ()


class Stub(Struct, frozen=True):
    """Of an order that cannot be read, what tells which it is."""

    id: int
    date_modified_gmt: datetime
    number: str = ""


class Gateway(Struct, frozen=True):
    method_supports: tuple[str, ...] = ()


class PaidBy(Struct, frozen=True):
    payment_method: str = ""
