"""A webhook names an order to read again, if its signature holds; its body is believed in nothing else."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json

import pytest

from jitui.adapters.platforms.shopify.webhooks import read_webhook
from jitui.aftersales.platform import OrderHint
from jitui.aftersales.provider import NotificationIgnored, NotificationRefused

SECRET = "shpss_secret"


def signed(body: bytes, topic: str = "orders/updated", secret: str = SECRET) -> dict[str, str]:
    made = hmac.new(secret.encode(), body, hashlib.sha256).digest()
    return {"X-Shopify-Topic": topic, "X-Shopify-Hmac-Sha256": base64.b64encode(made).decode()}


@pytest.mark.parametrize(
    ("topic", "told"),
    [
        ("orders/updated", {"id": 450789469, "order_id": 1, "total_price": "0.01"}),
        ("refunds/create", {"id": 1, "order_id": 450789469}),
        ("fulfillments/create", {"id": 1, "order_id": 450789469}),
    ],
)
def test_a_signed_delivery_names_an_order(topic: str, told: object) -> None:
    body = json.dumps(told).encode()
    assert read_webhook(signed(body, topic), body, SECRET) == OrderHint("gid://shopify/Order/450789469")
    lower = {name.lower(): value for name, value in signed(body, topic).items()}
    assert read_webhook(lower, body, SECRET) == OrderHint("gid://shopify/Order/450789469")


def test_a_wrong_signature() -> None:
    body = b'{"id":1}'
    for headers, read in (
        ({}, body),
        (signed(body, secret="another"), body),
        (signed(body), body + b" "),
        ({**signed(body), "X-Shopify-Hmac-Sha256": "ü"}, body),
    ):
        answer = read_webhook(headers, read, SECRET)
        assert isinstance(answer, NotificationRefused) and not answer.signed


def test_without_the_apps_secret_nobody_signs() -> None:
    """A token alone is no secret to check with."""
    body = b'{"id":1}'
    assert isinstance(read_webhook(signed(body, secret=""), body, ""), NotificationRefused)


def test_other_topics_and_other_forms() -> None:
    for topic, body in (("products/update", b'{"id":1}'), ("refunds/create", b'{"id":1}')):
        assert isinstance(read_webhook(signed(body, topic), body, SECRET), NotificationIgnored)
    for body in (b"[]", b"not json", b"\xff", b'{"id":"x"}'):
        answer = read_webhook(signed(body), body, SECRET)
        assert isinstance(answer, NotificationRefused) and answer.signed
