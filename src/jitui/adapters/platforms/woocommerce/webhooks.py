"""What WooCommerce's webhooks may tell: which order to read again. Nothing else of their body is believed."""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Mapping
from typing import Any

import msgspec
from msgspec import Struct

from jitui.aftersales.provider import NotificationIgnored, NotificationRefused


class _Order(Struct, frozen=True):
    id: int
    number: str = ""


class _Action(Struct, frozen=True):
    arg: Any = None


def order_to_read(
    headers: Mapping[str, str], body: bytes, secret: str
) -> str | NotificationIgnored | NotificationRefused:
    """The number of the order that a delivery is about.

    The first delivery of a webhook is a form without a signature, and says nothing. The signature carries no time, so
    an old delivery may come again: an order that is read again is as it is now.
    """
    told = {name.lower(): value for name, value in headers.items()}
    given = told.get("x-wc-webhook-signature")
    if given is None:
        if body.startswith(b"webhook_id="):
            return NotificationIgnored("The webhook was set up")
        return NotificationRefused("The signature is missing")
    made = base64.b64encode(hmac.new(secret.encode(), body, hashlib.sha256).digest())
    if not hmac.compare_digest(made, given.strip().encode()):
        return NotificationRefused("The signature is wrong")
    topic = told.get("x-wc-webhook-topic", "")
    if not topic.startswith(("order.", "action.")):
        return NotificationIgnored("It is not about an order")
    return _named(topic, body)


def _named(topic: str, body: bytes) -> str | NotificationIgnored | NotificationRefused:
    try:
        if topic.startswith("order."):
            order = msgspec.json.decode(body, type=_Order)
            return order.number or str(order.id)
        arg = msgspec.json.decode(body, type=_Action).arg
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return NotificationRefused("The body has another form", signed=True)
    is_id = isinstance(arg, int | str) and str(arg).isdecimal()
    return str(arg) if is_id else NotificationIgnored("The action names no order")
