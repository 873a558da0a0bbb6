"""Alipay's gateway on this machine: requests checked, answers signed, refunds kept by trade and request number.

Shapes and meanings are those of the provider's pages. Keys are made for the test run; faults are set for coming calls.
"""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from functools import cache
from typing import Any
from urllib.parse import urlencode
from zoneinfo import ZoneInfo

from aiohttp import web
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from jitui.adapters.payments.alipay.provider import AlipayProvider

APP_ID = "2021000000000001"
BEIJING = ZoneInfo("Asia/Shanghai")
NOTIFY_PATH = "/v1/notifications/alipay"


@cache
def key(whose: str) -> rsa.RSAPrivateKey:
    """One key for each name and test run."""
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


def private_pem(whose: str) -> str:
    form = serialization.PrivateFormat.PKCS8
    return key(whose).private_bytes(serialization.Encoding.PEM, form, serialization.NoEncryption()).decode()


def private_bare(whose: str) -> str:
    """As Alipay's key tool writes it: PKCS#1 in base64 without lines around it."""
    form = serialization.PrivateFormat.TraditionalOpenSSL
    return base64.b64encode(
        key(whose).private_bytes(serialization.Encoding.DER, form, serialization.NoEncryption())
    ).decode()


def public_pem(whose: str) -> str:
    form = serialization.PublicFormat.SubjectPublicKeyInfo
    return key(whose).public_key().public_bytes(serialization.Encoding.PEM, form).decode()


def public_bare(whose: str) -> str:
    return "".join(public_pem(whose).splitlines()[1:-1])


def sign(text: str, *, whose: str = "platform") -> str:
    return base64.b64encode(key(whose).sign(text.encode(), padding.PKCS1v15(), hashes.SHA256())).decode()


class Fault(StrEnum):
    """What goes wrong with one call."""

    DROPPED_BEFORE = "the connection breaks before anything is done"
    DROPPED_AFTER = "the connection breaks after it is done"
    ERROR_AFTER = "a system error after it is done"
    HANG = "no answer for a long time, nothing done"
    DRIP = "an answer that comes one byte at a time and does not end"
    UNSIGNED = "done, and the answer has no signature"
    FORGED = "done, and the answer is signed with another key"
    CHANGED = "done, and the signed amount was changed on the way"
    PAGE = "a page of a gateway in between"
    BROKEN = "half an answer"
    LONG = "an answer without end"


@dataclass
class Trade:
    """One captured payment, known by two numbers."""

    trade_no: str
    out_trade_no: str
    captured: int
    refunds: dict[str, int] = field(default_factory=dict)

    @property
    def refunded(self) -> int:
        return sum(self.refunds.values())


@dataclass
class AlipayServer:
    """The books, and how the next calls go wrong."""

    url: str = ""
    trades: list[Trade] = field(default_factory=list)
    faults: dict[str, list[Fault]] = field(default_factory=dict)
    says: dict[str, list[dict[str, Any] | Callable[[dict[str, Any]], dict[str, Any]]]] = field(default_factory=dict)
    seen: list[dict[str, Any]] = field(default_factory=list)
    released: asyncio.Event = field(default_factory=asyncio.Event)

    def capture(self, out_trade_no: str, captured: int = 10_000) -> Trade:
        trade = Trade(f"20261123220014{len(self.trades):014d}", out_trade_no, captured)
        self.trades.append(trade)
        return trade

    def methods(self) -> list[str]:
        return [params["method"].removeprefix("alipay.trade.") for params in self.seen]

    async def answer(self, request: web.Request) -> web.StreamResponse:
        params = dict(request.query)
        method = params.get("method", "")
        self.seen.append({**params, "biz": json.loads(params["biz_content"])})
        fault = self._next(self.faults, method)
        if fault is Fault.HANG:
            await self.released.wait()
        if fault is Fault.DROPPED_BEFORE or fault is Fault.HANG:
            return _drop(request)
        if fault is Fault.DRIP:
            return await self._drip(request)
        if fault is Fault.PAGE:
            return web.Response(status=502, text="<html>Bad Gateway</html>", content_type="text/html")
        refused = self._refused_at_the_door(params)
        node = refused or self._done(method, json.loads(params["biz_content"]))
        if fault is Fault.DROPPED_AFTER:
            return _drop(request)
        if fault is Fault.ERROR_AFTER:
            node = {"code": "20000", "msg": "Service Currently Unavailable", "sub_code": "aop.ACQ.SYSTEM_ERROR"}
        said = self._next(self.says, method)
        if said is not None:
            node = said(node) if callable(said) else said
        signed = refused is None and not (said is not None and str(node.get("code")) in UNSIGNED_CODES)
        return _answer(method, node, fault, signed=signed)

    async def _drip(self, request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        with suppress(ConnectionError):
            while not self.released.is_set():
                await response.write(b" ")
                await asyncio.sleep(0.02)
        return response

    @staticmethod
    def _next(queues: dict[str, list[Any]], method: str) -> Any:
        queue = queues.get(method.removeprefix("alipay.trade."), [])
        return queue.pop(0) if queue else None

    def _refused_at_the_door(self, params: dict[str, str]) -> dict[str, Any] | None:
        """Without a signature, as the real gateway does it."""
        if params.get("app_id") != APP_ID:
            return {"code": "40002", "msg": "Invalid Arguments", "sub_code": "isv.invalid-app-id"}
        stamp = datetime.strptime(params["timestamp"], "%Y-%m-%d %H:%M:%S").replace(tzinfo=BEIJING)
        if abs(datetime.now(UTC) - stamp) > timedelta(minutes=10):
            return {"code": "40002", "msg": "Invalid Arguments", "sub_code": "isv.invalid-timestamp"}
        text = "&".join(f"{name}={value}" for name, value in sorted(params.items()) if name != "sign" and value)
        try:
            key("app").public_key().verify(
                base64.b64decode(params["sign"]), text.encode(), padding.PKCS1v15(), hashes.SHA256()
            )
        except (InvalidSignature, KeyError):
            return {"code": "40002", "msg": "Invalid Arguments", "sub_code": "isv.invalid-signature"}
        return None

    def _done(self, method: str, biz: dict[str, Any]) -> dict[str, Any]:
        asked = biz.get("trade_no"), biz.get("out_trade_no")
        trade = next((one for one in self.trades if one.trade_no == asked[0] or one.out_trade_no == asked[1]), None)
        if trade is None:
            return business_error("ACQ.TRADE_NOT_EXIST")
        numbers = {"trade_no": trade.trade_no, "out_trade_no": trade.out_trade_no}
        if method == "alipay.trade.refund":
            return self._refund(trade, numbers, biz)
        amount = trade.refunds.get(biz["out_request_no"])
        if amount is None:
            return {"code": "10000", "msg": "Success"}
        found = {
            "code": "10000",
            "msg": "Success",
            **numbers,
            "out_request_no": biz["out_request_no"],
            "refund_amount": yuan(amount),
            "total_amount": yuan(trade.captured),
            "refund_status": "REFUND_SUCCESS",
        }
        return found | (
            {"gmt_refund_pay": "2026-11-23 18:00:00"} if "gmt_refund_pay" in biz.get("query_options", []) else {}
        )

    def _refund(self, trade: Trade, numbers: dict[str, str], biz: dict[str, Any]) -> dict[str, Any]:
        number, amount = biz["out_request_no"], minor(biz["refund_amount"])
        again = number in trade.refunds
        if again and trade.refunds[number] != amount:
            return business_error("ACQ.DISCORDANT_REPEAT_REQUEST")
        if not again and trade.refunded == trade.captured:
            return business_error("ACQ.TRADE_HAS_CLOSE")
        if not again and trade.refunded + amount > trade.captured:
            return business_error("ACQ.REASON_TRADE_REFUND_FEE_ERR")
        trade.refunds[number] = amount
        return {
            "code": "10000",
            "msg": "Success",
            **numbers,
            "buyer_logon_id": "a{b***@example.com",
            "fund_change": "N" if again else "Y",
            "refund_fee": yuan(trade.refunded),
            "refund_detail_item_list": [{"fund_channel": "ALIPAYACCOUNT", "amount": yuan(amount)}],
        }

    def notification(self, trade: Trade, out_request_no: str, **changed: str) -> dict[str, str]:
        """The parameters of the news of one refund, without signature."""
        now = datetime.now(BEIJING).strftime("%Y-%m-%d %H:%M:%S")
        closed = trade.refunded == trade.captured
        return {
            "notify_time": now,
            "notify_type": "trade_status_sync",
            "notify_id": "2026112300222180000000000000000001",
            "app_id": APP_ID,
            "charset": "utf-8",
            "version": "1.0",
            "trade_no": trade.trade_no,
            "out_trade_no": trade.out_trade_no,
            "out_biz_no": out_request_no,
            "buyer_logon_id": "张***",
            "trade_status": "TRADE_CLOSED" if closed else "TRADE_SUCCESS",
            "total_amount": yuan(trade.captured),
            "refund_fee": yuan(trade.refunded),
            "gmt_refund": f"{now}.123",
            **changed,
        }


UNSIGNED_CODES = frozenset({"40001", "40002", "40003", "40005", "40006", "20001"})


def business_error(sub_code: str) -> dict[str, Any]:
    return {"code": "40004", "msg": "Business Failed", "sub_code": sub_code, "sub_msg": "说明"}


def yuan(amount_minor: int) -> str:
    return f"{amount_minor // 100}.{amount_minor % 100:02d}"


def minor(text: object) -> int:
    assert isinstance(text, str), "an amount is text: a JSON number would have gone through a float"
    whole, _, rest = text.partition(".")
    assert len(rest) == 2
    return int(whole + rest)


def signed_form(told: dict[str, str], *, whose: str = "platform", encoding: str = "utf-8") -> bytes:
    """A notification's body."""
    text = "&".join(f"{name}={value}" for name, value in sorted(told.items()))
    signature = base64.b64encode(key(whose).sign(text.encode(encoding), padding.PKCS1v15(), hashes.SHA256())).decode()
    return urlencode({**told, "sign": signature, "sign_type": "RSA2"}, encoding=encoding).encode()


def _answer(method: str, node: dict[str, Any], fault: Fault | None, *, signed: bool) -> web.Response:
    raw = json.dumps(node, ensure_ascii=False, separators=(",", ":"))
    signature = sign(raw, whose="stranger" if fault is Fault.FORGED else "platform")
    if fault is Fault.CHANGED:
        raw = raw.replace('"code":"10000"', '"code":"10000","padding":""')
    tail = f',"sign":"{signature}"' if signed and fault is not Fault.UNSIGNED else ""
    text = f'{{"{method.replace(".", "_")}_response":{raw}{tail}}}'
    if fault is Fault.BROKEN:
        text = text[: len(text) // 2]
    if fault is Fault.LONG:
        text += " " * 2_000_000
    return web.Response(text=text, content_type="text/html", charset="utf-8")


def _drop(request: web.Request) -> web.Response:
    assert request.transport is not None
    request.transport.close()
    return web.Response()


def provider_at(url: str, *, timeout_seconds: float = 10.0, **changed: Any) -> AlipayProvider:
    given = {"app_id": APP_ID, "private_key": private_pem("app"), "public_key": public_pem("platform"), **changed}
    return AlipayProvider(gateway=url, timeout_seconds=timeout_seconds, **given)


@asynccontextmanager
async def alipay_running() -> AsyncIterator[AlipayServer]:
    """The gateway on a free port of this machine."""
    server = AlipayServer()
    app = web.Application()
    app.router.add_get("/gateway.do", server.answer)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    try:
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        port = runner.addresses[0][1]
        server.url = f"http://127.0.0.1:{port}/gateway.do"
        yield server
    finally:
        server.released.set()
        await runner.cleanup()
