"""What is Kuaishou's alone: signatures, the secret file, messages, and its orders as ours."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import logging
from contextlib import AsyncExitStack
from datetime import UTC, datetime

import msgspec
import pytest
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.padding import PKCS7

from jitui.adapters.platforms.access import PlatformAccess
from jitui.adapters.platforms.kuaishou.answers import Order
from jitui.adapters.platforms.kuaishou.credentials import credentials_in, signature
from jitui.adapters.platforms.kuaishou.mapping import order_of
from jitui.adapters.platforms.kuaishou.opening import open_kuaishou, renewed_secret
from jitui.aftersales.model.order import ShipmentStatus
from jitui.aftersales.platform import PlatformOrder, UnreadableOrder
from jitui.aftersales.provider import NotificationIgnored, NotificationRefused
from jitui.errors import NotConfigured, Unavailable
from tests.platforms.kuaishou.server import (
    APP_KEY,
    APP_SECRET,
    REFRESH_TOKEN,
    SECRET,
    SIGN_SECRET,
    TOKEN,
    KuaishouServer,
)

NOW = datetime(2026, 6, 1, tzinfo=UTC)
KEY = base64.b64encode(b"0123456789abcdef").decode()
WHOLE = f"{SECRET}app secret: {APP_SECRET}\nrefresh token: {REFRESH_TOKEN}\nmessage secret: {KEY}\n"


# Signatures -----------------------------------------------------------------------------------------------------------


def test_a_signature_is_that_of_another_program() -> None:
    """The one published vector that could be reproduced; its `signMethod` is written with a dash, which MD5 is not."""
    params = {
        "method": "open.item.category",
        "appkey": "ks-app",
        "access_token": "token-abc",
        "version": "1",
        "signMethod": "HMAC_SHA256",
        "timestamp": "1790899200000",
    }
    text = (
        "access_token=token-abc&appkey=ks-app&method=open.item.category&signMethod=HMAC-SHA256"
        "&timestamp=1790899200000&version=1&signSecret=ks-secret"
    )
    dashed = base64.b64encode(hmac.digest(b"ks-secret", text.encode(), "sha256")).decode()
    assert dashed == "9lT8m0NV1NiJRlNH4T8PwK1sEutLkIOt2fHP55PMFeo="
    ours = base64.b64encode(
        hmac.digest(b"ks-secret", text.replace("HMAC-SHA256", "HMAC_SHA256").encode(), "sha256")
    ).decode()
    assert signature(params, "ks-secret") == ours


def test_md5_is_in_lower_case_and_over_what_is_not_encoded() -> None:
    params = {
        "access_token": "xxx",
        "appkey": "ks123",
        "method": "open.xxx.xxx",
        "param": '{"title":"短袖","relItemId":123456}',
        "signMethod": "MD5",
        "timestamp": "1583271919000",
        "version": "1",
    }
    text = (
        'access_token=xxx&appkey=ks123&method=open.xxx.xxx&param={"title":"短袖","relItemId":123456}'
        "&signMethod=MD5&timestamp=1583271919000&version=1&signSecret=s"
    )
    assert signature(params, "s") == hashlib.md5(text.encode()).hexdigest()


# The secret file ------------------------------------------------------------------------------------------------------


def test_the_secret_file_has_lines() -> None:
    found = credentials_in("# of the shop\n\nApp-Key: ks1\nsign_secret:  s:1 \nACCESS TOKEN: t\n")
    assert (found.app_key, found.sign_secret, found.access_token, found.refresh_token) == ("ks1", "s:1", "t", "")
    assert credentials_in(found.text()) == found
    assert credentials_in(credentials_in(WHOLE).text()) == credentials_in(WHOLE)


@pytest.mark.parametrize("missing", ["app key", "sign secret", "access token"])
def test_a_secret_file_that_lacks_a_line_says_which(missing: str) -> None:
    lines = [line for line in SECRET.splitlines() if not line.startswith(missing)]
    with pytest.raises(NotConfigured, match=missing):
        credentials_in("\n".join(lines))
    with pytest.raises(NotConfigured, match=missing):
        credentials_in("\n".join([*lines, f"{missing}:"]))


def test_a_line_that_is_none_is_told_without_its_words() -> None:
    with pytest.raises(NotConfigured, match="Line 1") as told:
        credentials_in("very-secret-thing\n")
    assert "very-secret-thing" not in str(told.value)


async def test_no_secret_is_shown_or_logged(there: KuaishouServer, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    async with AsyncExitStack() as stack:
        access = PlatformAccess(there.url, WHOLE, 5)
        source = await open_kuaishou(access, stack)
        assert await source.check() is None
        there.tokens.clear()
        problem = await source.check()
    told = f"{credentials_in(WHOLE)!r} {access!r} {problem} {caplog.text}"
    for secret in (SIGN_SECRET, TOKEN, APP_SECRET, REFRESH_TOKEN, KEY):
        assert secret not in told


async def test_a_token_is_renewed_once(there: KuaishouServer) -> None:
    there.tokens[TOKEN] = {"merchant_order", "merchant_refund"}
    text = await renewed_secret(PlatformAccess(there.url, WHOLE, 5))
    found = credentials_in(text)
    assert (found.access_token, found.refresh_token) == ("token-2", "fresh-2")
    assert (found.app_key, found.sign_secret, found.message_secret) == (APP_KEY, SIGN_SECRET, KEY)
    async with AsyncExitStack() as stack:
        assert await (await open_kuaishou(PlatformAccess(there.url, text, 5), stack)).check() is None
    with pytest.raises(Unavailable, match="authorise"):
        await renewed_secret(PlatformAccess(there.url, WHOLE, 5))
    with pytest.raises(NotConfigured, match="refresh token"):
        await renewed_secret(PlatformAccess(there.url, SECRET, 5))


# Messages -------------------------------------------------------------------------------------------------------------


def message(key: str = KEY, app_key: str = APP_KEY) -> bytes:
    told = {"eventId": "e", "event": "kwaishop_aftersales_addRefund", "appKey": app_key, "info": '{"refundId":1}'}
    padder = PKCS7(128).padder()
    padded = padder.update(json.dumps(told).encode()) + padder.finalize()
    encryptor = Cipher(algorithms.AES(base64.b64decode(key)), modes.CBC(bytes(16))).encryptor()
    return base64.b64encode(encryptor.update(padded) + encryptor.finalize())


async def test_a_message_is_a_hint(there: KuaishouServer) -> None:
    async with AsyncExitStack() as stack:
        source = await open_kuaishou(PlatformAccess(there.url, WHOLE, 5), stack)
        told = source.read_hint({}, message(), NOW)
        assert isinstance(told, NotificationIgnored)
        assert told.acknowledgement == '{"result":1}'
        other = base64.b64encode(b"fedcba9876543210").decode()
        for body in (message(other), message(app_key="ks-other"), b"", b"{}", message()[:-4], b"A" * 70_000):
            assert isinstance(source.read_hint({}, body, NOW), NotificationRefused), body[:20]
        bare = await open_kuaishou(PlatformAccess(there.url, SECRET, 5), stack)
        assert isinstance(bare.read_hint({}, message(), NOW), NotificationRefused)
    assert there.seen == [], "nobody is called for a message"


# Orders ---------------------------------------------------------------------------------------------------------------


def order(there: KuaishouServer, **base: object) -> PlatformOrder | UnreadableOrder:
    oid = there.place(fen=10_000, freight=800, num=3)
    there.orders[oid]["orderBaseInfo"] |= base
    return order_of(msgspec.convert(there.orders[oid], Order, strict=False))


def test_an_order_is_one_line_with_its_freight() -> None:
    there = KuaishouServer()
    found = order(there)
    assert isinstance(found, PlatformOrder)
    (line,) = found.lines
    assert (line.quantity, line.paid_minor, line.category_id, line.item_id, line.sku) == (
        3,
        10_000,
        "kuaishou-1107",
        "77",
        "cup",
    )
    assert (found.buyer_id, found.currency, found.freight_minor) == ("kuaishou-ann", "CNY", 800)
    (paid,) = found.payments
    assert (paid.payment_id, paid.amount_minor) == (found.order_id, 10_800)
    assert (found.shipments, found.delivered_at) == ((), None)


@pytest.mark.parametrize(
    "base",
    [
        {"status": 10},
        {"status": 80},
        {"payTime": 0},
        {"buyerOpenId": ""},
        {"totalFee": -1},
        {"expressFee": -1},
        {"totalFee": 0, "expressFee": 0},
    ],
)
def test_an_order_that_cannot_be_one_here_says_why(base: dict[str, object]) -> None:
    assert isinstance(order(KuaishouServer(), **base), UnreadableOrder)


@pytest.mark.parametrize(
    ("base", "degree"),
    [
        ({"status": 40}, ShipmentStatus.SHIPPED),
        ({"status": 50}, ShipmentStatus.DELIVERED),
        ({"status": 70}, ShipmentStatus.DELIVERED),
        ({"status": 0}, ShipmentStatus.PICKED_UP),
        ({"status": 31}, ShipmentStatus.PICKED_UP),
        ({"status": 30, "sendTime": 1}, ShipmentStatus.PICKED_UP),
    ],
)
def test_any_sign_of_a_shipment_is_one(base: dict[str, object], degree: ShipmentStatus) -> None:
    found = order(KuaishouServer(), **base)
    assert isinstance(found, PlatformOrder)
    assert [sent.status for sent in found.shipments] == [degree]
    assert found.shipments[0].lines[0].quantity == 3
    assert (found.delivered_at is not None) is (degree is ShipmentStatus.DELIVERED)


@pytest.mark.parametrize("delivery", [{"deliveryNum": 1}, {"packageNum": 1}])
def test_a_part_that_was_delivered_is_a_shipment(delivery: dict[str, int]) -> None:
    there = KuaishouServer()
    oid = there.place(num=2)
    there.orders[oid]["orderDeliveryInfo"] = delivery
    found = order_of(msgspec.convert(there.orders[oid], Order))
    assert isinstance(found, PlatformOrder)
    assert [sent.status for sent in found.shipments] == [ShipmentStatus.PICKED_UP]
