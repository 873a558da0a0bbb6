"""What Shopify's webhooks may tell: which order to read again. Nothing else of their body is believed."""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Mapping

import msgspec
from msgspec import Struct

from jitui.aftersales.provider import NotificationIgnored, NotificationRefused

_OF_ORDERS = ("orders/", "refunds/", "fulfillments/", "order_transactions/")


class _Order(Struct, frozen=True):
    """`orders/…` are about the order of this id; other topics name it by `order_id`."""

    id: int | None = None
    order_id: int | None = None


def order_to_read(
    headers: Mapping[str, str], body: bytes, secret: str
) -> str | NotificationIgnored | NotificationRefused:
    """The platform's own id (`gid://…`) of the order that a delivery is about; the secret is the app's.

    Deliveries repeat, and come in no order: an order that is read again is as it is now.
    """
    told = {name.lower(): value for name, value in headers.items()}
    given = told.get("x-shopify-hmac-sha256")
    if given is None:
        return NotificationRefused("The signature is missing")
    made = base64.b64encode(hmac.new(secret.encode(), body, hashlib.sha256).digest())
    if not hmac.compare_digest(made, given.strip().encode()):
        return NotificationRefused("The signature is wrong")
    topic = told.get("x-shopify-topic", "")
    if not topic.startswith(_OF_ORDERS):
        return NotificationIgnored("It is not about an order")
    try:
        order = msgspec.json.decode(body, type=_Order)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return NotificationRefused("The body has another form", signed=True)
    number = order.id if topic.startswith("orders/") else order.order_id
    return NotificationIgnored("It names no order") if number is None else f"gid://shopify/Order/{number}"
