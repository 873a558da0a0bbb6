"""A local server that speaks WeChat Pay's documented wire format for domestic refunds (API v3).

Requests must be signed by the merchant, answers are signed by the platform, notifications are encrypted and signed. Its
books are what tests compare with. Sources: the pages of the refund, query and notification calls of the API v3, and
its pages on signatures and on public keys.
"""

from __future__ import annotations

import asyncio
import json
import re
import time
from base64 import b64decode, b64encode
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any
from uuid import uuid4

from aiohttp import web
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from jitui.adapters.payments.wechat_pay import WeChatPayProvider

MERCHANT = "1900000109"
CERTIFICATE = "444F4864EA9B34415"
PUBLIC_KEY_ID = "PUB_KEY_ID_0119000001092026112500000000000001"
API_V3_KEY = "0123456789abcdef0123456789abcdef"
NOTIFY_URL = "https://shop.example/v1/notifications/wechat_pay"
SCHEME = "WECHATPAY2-SHA256-RSA2048"
REFUNDS = "/v3/refund/domestic/refunds"


@dataclass(frozen=True)
class Keys:
    """Both sides' keys, made for this test run."""

    merchant: rsa.RSAPrivateKey
    platform: rsa.RSAPrivateKey

    @property
    def merchant_pem(self) -> str:
        return self.merchant.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()

    @property
    def platform_pem(self) -> str:
        return self.platform.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()


@cache
def keys() -> Keys:
    return Keys(rsa.generate_private_key(65537, 2048), rsa.generate_private_key(65537, 2048))


def signature_of(key: rsa.RSAPrivateKey, *parts: str) -> str:
    text = "".join(f"{part}\n" for part in parts)
    return b64encode(key.sign(text.encode(), PKCS1v15(), SHA256())).decode()


def signed_headers(body: str, *, sent_at: datetime | None = None, nonce: str | None = None) -> dict[str, str]:
    """What WeChat Pay puts above an answer or a notification."""
    at = str(int((sent_at or datetime.now(UTC)).timestamp()))
    nonce = nonce or uuid4().hex
    return {
        "Wechatpay-Timestamp": at,
        "Wechatpay-Nonce": nonce,
        "Wechatpay-Signature": signature_of(keys().platform, at, nonce, body),
        "Wechatpay-Serial": PUBLIC_KEY_ID,
        "Wechatpay-Signature-Type": SCHEME,
        "Request-ID": uuid4().hex,
    }


def notification(refund: Mapping[str, object], **changed: object) -> str:
    """The body of a notification about a refund of the books; `changed` replaces fields of its envelope."""
    amount = refund["amount"]
    assert isinstance(amount, dict)
    told = {
        "mchid": MERCHANT,
        **{name: refund[name] for name in ("transaction_id", "out_trade_no", "refund_id", "out_refund_no")},
        "refund_status": refund["status"],
        "user_received_account": refund["user_received_account"],
        "amount": {name: amount[name] for name in ("total", "refund", "payer_total", "payer_refund")},
        **({"success_time": refund["success_time"]} if "success_time" in refund else {}),
    }
    fields = {"event_type": f"REFUND.{refund['status']}", **changed}
    return envelope(json.dumps(told), key=API_V3_KEY, **fields)


def envelope(resource: str, /, *, key: str = API_V3_KEY, **changed: object) -> str:
    """An encrypted notification of a refund's success, with these fields changed."""
    nonce = uuid4().hex[:12]
    ciphertext = AESGCM(key.encode()).encrypt(nonce.encode(), resource.encode(), b"refund")
    event = {
        "id": str(uuid4()),
        "create_time": datetime.now(UTC).isoformat(timespec="seconds"),
        "resource_type": "encrypt-resource",
        "event_type": "REFUND.SUCCESS",
        "summary": "退款",
        "resource": {
            "original_type": "refund",
            "algorithm": "AEAD_AES_256_GCM",
            "ciphertext": b64encode(ciphertext).decode(),
            "associated_data": "refund",
            "nonce": nonce,
        },
    }
    return json.dumps({**event, **changed}, ensure_ascii=False)


def secrets_in(folder: Path, url: str) -> dict[str, Any]:
    """The settings of WeChat Pay for this server, with their secrets files written to a folder."""
    texts = {
        "private_key": keys().merchant_pem,
        "api_v3_key": f"{API_V3_KEY}\n",
        "public_key": keys().platform_pem,
    }
    for name, text in texts.items():
        (folder / name).write_text(text, encoding="utf-8")
    return {
        "wechat_pay_merchant_id": MERCHANT,
        "wechat_pay_certificate_serial": CERTIFICATE,
        **{f"wechat_pay_{name}_file": folder / name for name in texts},
        "wechat_pay_public_key_id": PUBLIC_KEY_ID,
        "wechat_pay_notify_url": NOTIFY_URL,
        "wechat_pay_api_base": url,
    }


@dataclass
class Payment:
    out_trade_no: str
    transaction_id: str
    total: int


Answer = tuple[int, Mapping[str, object]]


def error(status: int, code: str, message: str = "说明") -> Answer:
    return status, {"code": code, "message": message}


@dataclass
class WeChatPayServer:
    """`faults` are used up one a refund call: `drop_before`, `drop_after`, `hang`, `bad_signature`, or an answer."""

    url: str = ""
    payments: list[Payment] = field(default_factory=list)
    refunds: dict[str, dict[str, Any]] = field(default_factory=dict)
    faults: list[str | Answer] = field(default_factory=list)
    look_up_faults: list[str | Answer] = field(default_factory=list)
    next_status: str = "SUCCESS"
    calls: list[tuple[str, str]] = field(default_factory=list)
    bodies: list[dict[str, object]] = field(default_factory=list)
    released: asyncio.Event = field(default_factory=asyncio.Event)

    def pay(self, total: int = 10_000, out_trade_no: str | None = None) -> Payment:
        payment = Payment(out_trade_no or f"o{uuid4().hex[:20]}", f"42{uuid4().int % 10**26:026}", total)
        self.payments.append(payment)
        return payment

    def move(self, number: str, status: str) -> dict[str, object]:
        """The refund becomes this; as in the provider's books, only success has a time."""
        refund = self.refunds[number]
        refund["status"] = status
        if status == "SUCCESS":
            refund["success_time"] = "2026-11-25T11:20:00+08:00"
        return refund

    def paid_out(self, payment: Payment) -> int:
        amounts = [self.refunds[number]["amount"] for number in self.refunds_of(payment, {"SUCCESS"})]
        return sum(amount["refund"] for amount in amounts if isinstance(amount, dict))

    def refunds_of(self, payment: Payment, states: set[str]) -> list[str]:
        return [
            number
            for number, refund in self.refunds.items()
            if refund["transaction_id"] == payment.transaction_id and refund["status"] in states
        ]

    # The wire ---------------------------------------------------------------------------------------------------

    async def handle(self, request: web.Request) -> web.StreamResponse:
        body = await request.text()
        self.calls.append((request.method, request.path))
        faults = self.faults if request.method == "POST" else self.look_up_faults
        fault = faults.pop(0) if faults else ""
        if fault == "hang":
            await self.released.wait()
        if fault == "drop_before":
            return _dropped(request)
        status, answer = fault if isinstance(fault, tuple) else self._answer(request, body)
        if fault == "drop_after":
            return _dropped(request)
        return self._signed(status, json.dumps(answer, ensure_ascii=False), bad=fault == "bad_signature")

    def _signed(self, status: int, body: str, *, bad: bool) -> web.Response:
        headers = signed_headers("other" if bad else body)
        return web.Response(status=status, text=body, content_type="application/json", headers=headers)

    def _answer(self, request: web.Request, body: str) -> Answer:
        if not self._is_signed(request, body):
            return error(401, "SIGN_ERROR")
        if request.method == "GET":
            refund = self.refunds.get(request.path.removeprefix(f"{REFUNDS}/"))
            return (200, refund) if refund else error(404, "RESOURCE_NOT_EXISTS", "退款单不存在")
        asked = json.loads(body)
        self.bodies.append(asked)
        return self._refund(asked)

    def _is_signed(self, request: web.Request, body: str) -> bool:
        scheme, _, rest = request.headers.get("Authorization", "").partition(" ")
        told = dict(re.findall(r'(\w+)="([^"]*)"', rest))
        wanted = {"mchid": MERCHANT, "serial_no": CERTIFICATE}
        if scheme != SCHEME or any(told.get(name) != value for name, value in wanted.items()):
            return False
        if request.headers.get("Wechatpay-Serial") != PUBLIC_KEY_ID or abs(time.time() - int(told["timestamp"])) > 300:
            return False
        parts = (request.method, request.path_qs, told["timestamp"], told["nonce_str"], body)
        text = "".join(f"{part}\n" for part in parts).encode()
        try:
            keys().merchant.public_key().verify(b64decode(told["signature"]), text, PKCS1v15(), SHA256())
        except InvalidSignature:
            return False
        return True

    # The books --------------------------------------------------------------------------------------------------

    def _refund(self, asked: dict[str, object]) -> Answer:
        number, amount = asked["out_refund_no"], asked["amount"]
        assert isinstance(number, str) and isinstance(amount, dict)
        if not re.fullmatch(r"[0-9A-Za-z_\-|*@]{1,64}", number) or amount["currency"] != "CNY" or amount["refund"] <= 0:
            return error(400, "PARAM_ERROR")
        theirs, ours = asked.get("transaction_id"), asked.get("out_trade_no")
        payment = next((p for p in self.payments if theirs == p.transaction_id or ours == p.out_trade_no), None)
        if payment is None:
            return error(404, "RESOURCE_NOT_EXISTS", "订单不存在")
        known = self.refunds.get(number)
        if known is not None:
            same = known["amount"] == _amount(amount) and known["transaction_id"] == payment.transaction_id
            closed = known["status"] == "CLOSED"
            return (200, known) if same and not closed else error(400, "INVALID_REQUEST", "与之前请求不一致")
        if amount["total"] != payment.total:
            return error(400, "INVALID_REQUEST", "订单金额不一致")
        return self._new_refund(number, amount, payment)

    def _new_refund(self, number: str, amount: dict[str, object], payment: Payment) -> Answer:
        open_ones = self.refunds_of(payment, {"SUCCESS", "PROCESSING", "ABNORMAL"})
        taken = sum(refund["amount"]["refund"] for refund in map(self.refunds.__getitem__, open_ones))
        if taken == payment.total:
            return error(400, "INVALID_REQUEST", "订单已全额退款")
        if taken + int(str(amount["refund"])) > payment.total:
            return error(400, "INVALID_REQUEST", "退款金额大于可退金额")
        if len(open_ones) >= 50:
            return error(400, "INVALID_REQUEST", "部分退款次数超过上限")
        self.refunds[number] = {
            "refund_id": f"503{uuid4().int % 10**26:026}",
            "out_refund_no": number,
            "transaction_id": payment.transaction_id,
            "out_trade_no": payment.out_trade_no,
            "channel": "ORIGINAL",
            "user_received_account": "支付用户零钱",
            "create_time": "2026-11-25T11:19:59+08:00",
            "funds_account": "AVAILABLE",
            "amount": _amount(amount),
            "promotion_detail": [],
        }
        return 200, self.move(number, self.next_status)


def _amount(asked: Mapping[str, object]) -> dict[str, object]:
    refund, total = asked["refund"], asked["total"]
    ours = {"refund": refund, "payer_refund": refund, "settlement_refund": refund, "discount_refund": 0}
    return {**ours, "total": total, "payer_total": total, "settlement_total": total, "currency": "CNY"}


def _dropped(request: web.Request) -> web.Response:
    assert request.transport is not None
    request.transport.abort()
    return web.Response()


@asynccontextmanager
async def wechat_pay_server() -> AsyncIterator[WeChatPayServer]:
    server = WeChatPayServer()
    app = web.Application()
    app.router.add_post(REFUNDS, server.handle)
    app.router.add_get(REFUNDS + "/{number}", server.handle)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    host, port = runner.addresses[0][:2]
    server.url = f"http://{host}:{port}"
    try:
        yield server
    finally:
        server.released.set()
        await runner.cleanup()


@dataclass
class Seconds:
    """A clock that stands until a test moves it."""

    now: float = 1000.0

    def __call__(self) -> float:
        return self.now


def provider_at(url: str, **changed: Any) -> WeChatPayProvider:
    given: dict[str, Any] = {
        "merchant_id": MERCHANT,
        "certificate_serial": CERTIFICATE,
        "private_key": keys().merchant_pem,
        "api_v3_key": API_V3_KEY,
        "public_key": keys().platform_pem,
        "public_key_id": PUBLIC_KEY_ID,
        "notify_url": NOTIFY_URL,
        "api_base": url,
    }
    return WeChatPayProvider(**{**given, **changed})
