"""What Saleor's webhooks may tell: which order to read again. Nothing else of their body is believed."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec
from msgspec import Struct

from jitui.adapters.platforms.signatures import header
from jitui.aftersales.platform import OrderHint
from jitui.aftersales.provider import NotificationIgnored, NotificationRefused

ALGORITHM = "RS256"


class _Order(Struct, frozen=True):
    number: str = ""


class _Event(Struct, frozen=True):
    """What a subscription that asks for `order { number }` is sent."""

    order: _Order = _Order()


def read_webhook(
    headers: Mapping[str, str], body: bytes, key_set: Mapping[str, object]
) -> OrderHint | NotificationIgnored | NotificationRefused:
    """The number of the order that a delivery is about, if the shop whose keys these are signed it."""
    if not is_from_saleor(headers, body, key_set):
        return NotificationRefused("The signature is missing or wrong")
    try:
        number = msgspec.json.decode(body, type=_Event).order.number
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return NotificationRefused("The body has another form", signed=True)
    return OrderHint(number) if number else NotificationIgnored("It names no order")


def is_from_saleor(headers: Mapping[str, str], body: bytes, key_set: Mapping[str, object]) -> bool:
    """Whether one of these keys (`/.well-known/jwks.json`) signed the exact bytes, which the signature leaves out."""
    from joserfc.errors import JoseError
    from joserfc.jwk import KeySet
    from joserfc.jws import deserialize_compact

    token = header(headers, "saleor-signature")
    if not token:
        return False
    try:
        keys = KeySet.import_key_set(dict(key_set))  # type: ignore[arg-type]  # what is no key set is refused below
        signed = deserialize_compact(token, keys, algorithms=[ALGORITHM], payload=body)
    except (JoseError, ValueError, KeyError, TypeError):
        return False
    return signed.headers().get("b64") is False and signed.payload == body
