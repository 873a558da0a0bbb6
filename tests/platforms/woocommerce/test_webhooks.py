"""A webhook names an order to read again, if its signature holds; its body is believed in nothing else."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json

import pytest

from jitui.adapters.platforms.woocommerce.webhooks import read_webhook
from jitui.aftersales.platform import OrderHint
from jitui.aftersales.provider import NotificationIgnored, NotificationRefused

SECRET = "a \"secret\" & 'quotes'"


def signed(body: bytes, topic: str = "order.updated", secret: str = SECRET) -> dict[str, str]:
    made = hmac.new(secret.encode(), body, hashlib.sha256).digest()
    return {"X-WC-Webhook-Topic": topic, "X-WC-Webhook-Signature": base64.b64encode(made).decode()}


@pytest.mark.parametrize(
    ("topic", "told", "order"),
    [
        ("order.updated", {"id": 723, "number": "WEB-1", "total": "0.01"}, "WEB-1"),
        ("order.deleted", {"id": 723}, "723"),
        ("action.woocommerce_order_refunded", {"action": "woocommerce_order_refunded", "arg": 723}, "723"),
    ],
)
def test_a_signed_delivery_names_an_order(topic: str, told: object, order: str) -> None:
    body = json.dumps(told).encode()
    assert read_webhook(signed(body, topic), body, SECRET) == OrderHint(order)
    lower = {name.lower(): value for name, value in signed(body, topic).items()}
    assert read_webhook(lower, body, SECRET) == OrderHint(order)


def test_the_ping_has_no_signature() -> None:
    assert isinstance(read_webhook({}, b"webhook_id=5", SECRET), NotificationIgnored)


@pytest.mark.parametrize("body", [b'{"id":723}', b""])
def test_without_a_signature_nothing_is_read(body: bytes) -> None:
    assert isinstance(read_webhook({"X-WC-Webhook-Topic": "order.updated"}, body, SECRET), NotificationRefused)


def test_a_wrong_signature() -> None:
    body = b'{"id":723}'
    for headers, read in (
        (signed(body, secret="another"), body),
        (signed(body), body + b" "),
        ({**signed(body), "X-WC-Webhook-Signature": ""}, body),
        ({**signed(body), "X-WC-Webhook-Signature": "ü"}, body),
    ):
        answer = read_webhook(headers, read, SECRET)
        assert isinstance(answer, NotificationRefused) and not answer.signed


def test_without_a_secret_nobody_signs() -> None:
    body = b'{"id":723}'
    assert isinstance(read_webhook(signed(body, secret=""), body, ""), NotificationRefused)


def test_other_topics_and_other_forms() -> None:
    for topic, body in (("product.updated", b'{"id":1}'), ("action.x", b'{"arg":{"id":1}}'), ("action.x", b"{}")):
        assert isinstance(read_webhook(signed(body, topic), body, SECRET), NotificationIgnored)
    for body in (b"[]", b"not json", b"\xff", b'{"id":"x"}'):
        answer = read_webhook(signed(body), body, SECRET)
        assert isinstance(answer, NotificationRefused) and answer.signed
