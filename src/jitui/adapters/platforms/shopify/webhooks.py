"""What Shopify's webhooks may tell: which order to read again. Nothing else of their body is believed."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec
from msgspec import Struct

from jitui.adapters.platforms.signatures import header, why_unsigned
from jitui.aftersales.platform import OrderHint
from jitui.aftersales.provider import NotificationIgnored, NotificationRefused

_OF_ORDERS = ("orders/", "refunds/", "fulfillments/", "order_transactions/")


class _Order(Struct, frozen=True):
    """`orders/…` are about the order of this id; other topics name it by `order_id`."""

    id: int | None = None
    order_id: int | None = None


def read_webhook(
    headers: Mapping[str, str], body: bytes, secret: str
) -> OrderHint | NotificationIgnored | NotificationRefused:
    """The platform's own id (`gid://…`) of the order that a delivery is about; the secret is the app's.

    Deliveries repeat, and come in no order: an order that is read again is as it is now.
    """
    if (refused := why_unsigned(header(headers, "x-shopify-hmac-sha256"), body, secret)) is not None:
        return refused
    topic = header(headers, "x-shopify-topic") or ""
    if not topic.startswith(_OF_ORDERS):
        return NotificationIgnored("It is not about an order")
    try:
        order = msgspec.json.decode(body, type=_Order)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return NotificationRefused("The body has another form", signed=True)
    number = order.id if topic.startswith("orders/") else order.order_id
    return NotificationIgnored("It names no order") if number is None else OrderHint(f"gid://shopify/Order/{number}")
