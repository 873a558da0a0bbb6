"""The form of Kuaishou's answers: the fields that are read, under the platform's own names."""

from __future__ import annotations

from typing import Any

from msgspec import Struct, field

END_OF_LIST = "nomore"


class RefundRow(Struct, frozen=True, rename="camel"):
    """A refund request, in a list and alone; times in milliseconds, amounts in fen."""

    refund_id: int
    oid: int
    status: int
    handling_way: int
    refund_fee: int
    create_time: int
    update_time: int
    negotiate_status: int = 0
    special_refund_type: int = 0
    refund_reason_desc: str | None = None


class RefundPage(Struct, frozen=True, rename="camel"):
    pcursor: str
    refund_order_info_list: list[dict[str, Any]] | None = None  # each row is read by itself


class OrderBase(Struct, frozen=True, rename="camel"):
    oid: int
    status: int
    buyer_open_id: str
    create_time: int
    update_time: int
    total_fee: int
    express_fee: int = 0
    pay_time: int = 0
    send_time: int = 0
    recv_time: int = 0


class Category(Struct, frozen=True, rename="camel"):
    item_cid: int = 0


class ItemExtra(Struct, frozen=True, rename="camel"):
    category_info: Category | None = None


class OrderItem(Struct, frozen=True, rename="camel"):
    num: int
    item_id: int
    sku_id: int = 0
    sku_nick: str | None = None
    item_title: str = ""
    order_item_id: int = 0
    item_extra: ItemExtra | None = None


class Parcel(Struct, frozen=True, rename="camel"):
    express_no: str | None = None
    express_code: int = 0


class Delivery(Struct, frozen=True, rename="camel"):
    delivery_num: int = 0
    package_num: int = 0


class Order(Struct, frozen=True, rename="camel"):
    """An order: one item, in one or more units."""

    order_base_info: OrderBase
    order_item_info: OrderItem
    order_logistics_info: list[Parcel] | None = None
    order_delivery_info: Delivery | None = None


class RejectReason(Struct, frozen=True, rename="camel"):
    """A reason for a refusal; whether it needs words or pictures."""

    reason_code: int
    required_reject_desc: bool = False
    required_reject_image: bool = False


class Message(Struct, frozen=True, rename="camel"):
    """A message, decrypted; `info` is JSON in a text."""

    event: str
    app_key: str
    info: str
    event_id: str = ""
    test: bool = False


class Tokens(Struct, frozen=True):
    """What a refresh token brings."""

    access_token: str
    refresh_token: str = ""
    expires_in: int = 0
    scopes: list[str] = field(default_factory=list)
