"""What WooCommerce's webhooks may tell: which order to read again. Nothing else of their body is believed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec
from msgspec import Struct

from jitui.adapters.platforms.signatures import header, why_unsigned
from jitui.aftersales.platform import OrderHint
from jitui.aftersales.provider import NotificationIgnored, NotificationRefused


class _Order(Struct, frozen=True):
    id: int
    number: str = ""


class _Action(Struct, frozen=True):
    arg: Any = None


def read_webhook(
    headers: Mapping[str, str], body: bytes, secret: str
) -> OrderHint | NotificationIgnored | NotificationRefused:
    """The number of the order that a delivery is about.

    The first delivery of a webhook is a form without a signature, and says nothing. The signature carries no time, so
    an old delivery may come again: an order that is read again is as it is now.
    """
    given = header(headers, "x-wc-webhook-signature")
    if given is None and body.startswith(b"webhook_id="):
        return NotificationIgnored("The webhook was set up")
    if (refused := why_unsigned(given, body, secret)) is not None:
        return refused
    topic = header(headers, "x-wc-webhook-topic") or ""
    if not topic.startswith(("order.", "action.")):
        return NotificationIgnored("It is not about an order")
    return _named(topic, body)


def _named(topic: str, body: bytes) -> OrderHint | NotificationIgnored | NotificationRefused:
    try:
        if topic.startswith("order."):
            order = msgspec.json.decode(body, type=_Order)
            return OrderHint(order.number or str(order.id))
        arg = msgspec.json.decode(body, type=_Action).arg
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return NotificationRefused("The body has another form", signed=True)
    is_id = isinstance(arg, int | str) and str(arg).isdecimal()
    return OrderHint(str(arg)) if is_id else NotificationIgnored("The action names no order")
