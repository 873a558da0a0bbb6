"""Kuaishou's gateway on this machine: signatures, tokens and lists checked, requests and orders kept.

Shapes and meanings are those of its pages and of the SDKs that repeat them (`errors.py` names the sources). The buyer,
the merchant in Kuaishou's own console and the platform act by methods of `KuaishouServer`; faults are set for coming
calls.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Any

from aiohttp import web

APP_KEY, APP_SECRET, SIGN_SECRET, TOKEN, REFRESH_TOKEN = "ks701", "app-secret-1", "sign-secret-1", "token-1", "fresh-1"
SECRET = f"app key: {APP_KEY}\nsign secret: {SIGN_SECRET}\naccess token: {TOKEN}\n"
DAY, MOST_IN_A_PAGE, DAYS_BACK = timedelta(days=1), 100, 90
TIMESTAMP_TOLERANCE = timedelta(minutes=10)
LIST, DETAIL = "open.seller.order.refund.pcursor.list", "open.seller.order.refund.detail"
ORDER, ORDERS = "open.order.detail", "open.order.cursor.list"
APPROVE, REFUSE, REASONS = "open.seller.order.refund.approve", "open.refund.reject", "open.refund.reject.reason"
SCOPES = dict.fromkeys((LIST, DETAIL, APPROVE, REFUSE, REASONS), "merchant_refund") | {
    ORDER: "merchant_order",
    ORDERS: "merchant_order",
}
POSTED = frozenset({APPROVE, REFUSE})


class Fault(StrEnum):
    """What goes wrong with one call."""

    DROPPED_BEFORE = "the connection breaks before anything is done"
    DROPPED_AFTER = "the connection breaks after it is done"
    HANG = "done, and no answer for a long time"
    PAGE = "a page of a gateway in between"
    BROKEN = "half an answer"
    LONG = "an answer without end"
    REDIRECT = "the address has moved"


class Refused(Exception):
    """An answer with another `result` than 1."""

    def __init__(self, result: int, message: str) -> None:
        super().__init__(message)
        self.result = result


@dataclass
class KuaishouServer:
    """The books, the clock, and how the next calls go wrong."""

    url: str = ""
    orders: dict[int, dict[str, Any]] = field(default_factory=dict)
    requests: dict[int, dict[str, Any]] = field(default_factory=dict)
    tokens: dict[str, set[str]] = field(default_factory=lambda: {TOKEN: {"merchant_order", "merchant_refund"}})
    refresh_tokens: set[str] = field(default_factory=lambda: {REFRESH_TOKEN})
    faults: dict[str, list[Fault | Refused]] = field(default_factory=dict)
    before: dict[str, list[Callable[[], object]]] = field(default_factory=dict)
    seen: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    approvals: list[int] = field(default_factory=list)
    longest_window: timedelta = DAY
    slow: dict[str, float] = field(default_factory=dict)  # by method: seconds between what is done and its answer
    stuck: bool = False  # the list gives the same cursor again and again
    ahead: timedelta = timedelta()
    reasons: list[dict[str, Any]] = field(default_factory=lambda: [{"reasonCode": 7, "requiredRejectDesc": True}])
    released: asyncio.Event = field(default_factory=asyncio.Event)
    _ticks: int = -5_000

    # Who acts there -------------------------------------------------------------------------------------------------

    def now(self) -> int:
        """The platform's own clock in milliseconds: a little behind ours, and never twice the same."""
        self._ticks += 1
        return round((datetime.now(UTC) + self.ahead).timestamp() * 1000) + self._ticks

    def place(self, *, fen: int = 12_900, freight: int = 0, num: int = 1, buyer: str = "ann", **base: Any) -> int:
        """A paid order of one item; its number."""
        oid, now = 2_307_500_074_108_000 + len(self.orders), self.now()
        placed = now - 3_600_000
        self.orders[oid] = {
            "orderBaseInfo": {
                "oid": oid,
                "status": 30,
                "buyerOpenId": buyer,
                "createTime": placed,
                "payTime": placed,
                "updateTime": now,
                "totalFee": fen,
                "expressFee": freight,
                "sendTime": 0,
                **base,
            },
            "orderItemInfo": {
                "num": num,
                "itemId": 77,
                "skuId": 88,
                "skuNick": "cup",
                "itemTitle": "Cup",
                "orderItemId": oid + 1,
                "itemExtra": {"categoryInfo": {"itemCid": 1107, "categoryName": "Home"}},
            },
            "orderRefundList": [],
            "orderLogisticsInfo": [],
        }
        return oid

    def ask(self, oid: int, *, fen: int | None = None, way: int = 10, **fields: Any) -> int:
        """The buyer asks for a refund; the request's number."""
        base = self.orders[oid]["orderBaseInfo"]
        refund_id, now = 2_500_000_000_000 + len(self.requests), self.now()
        self.requests[refund_id] = {
            "refundId": refund_id,
            "oid": oid,
            "status": 10,
            "negotiateStatus": 1,
            "handlingWay": way,
            "refundFee": base["totalFee"] + base["expressFee"] if fen is None else fen,
            "refundReason": 6,
            "refundReasonDesc": "no longer wanted",
            "createTime": now,
            "updateTime": now,
            "submitTime": now,
            **fields,
        }
        # an order tells the newest of its requests alone
        self.orders[oid]["orderRefundList"] = [{"refundId": refund_id, "refundStatus": 10}]
        return refund_id

    def change(self, refund_id: int, **fields: Any) -> None:
        """Something about a request changes, and with it the time of its change."""
        self.requests[refund_id] |= {"updateTime": self.now(), **fields}

    def withdraw(self, refund_id: int) -> None:
        self.change(refund_id, status=70)

    def refuse_by_hand(self, refund_id: int) -> None:
        self.change(refund_id, status=12, negotiateStatus=3)

    def approve_by_hand(self, refund_id: int) -> None:
        self.change(refund_id, status=50, negotiateStatus=2)

    def pay(self, refund_id: int) -> None:
        """The platform pays what was approved, and the order ends."""
        assert self.requests[refund_id]["status"] == 50
        self.change(refund_id, status=60)
        self.orders[self.requests[refund_id]["oid"]]["orderBaseInfo"] |= {"status": 80, "updateTime": self.now()}

    def ship(self, oid: int, number: str = "SF1", status: int = 40) -> None:
        """The goods leave, whatever waits."""
        order = self.orders[oid]
        order["orderBaseInfo"] |= {"status": status, "sendTime": self.now(), "updateTime": self.now()}
        order["orderLogisticsInfo"] = [{"logisticsId": 1, "expressNo": number, "expressCode": 4}]

    # How it answers -------------------------------------------------------------------------------------------------

    async def answer(self, http: web.Request) -> web.StreamResponse:
        form = dict(await http.post()) if http.method == "POST" else {}
        params = {**http.query, **{name: str(value) for name, value in form.items()}}
        method = params.get("method", "")
        faults = self.faults.get(method) or self.faults.get("")
        fault = faults.pop(0) if faults else None
        if fault is Fault.DROPPED_BEFORE:
            return _drop(http)
        if fault is Fault.PAGE:
            return web.Response(status=502, text="<html>Bad Gateway</html>", content_type="text/html")
        if fault is Fault.REDIRECT:
            return web.Response(status=302, headers={"Location": f"{self.url}/elsewhere"})
        _run(self.before, method)
        try:
            if isinstance(fault, Refused):
                raise fault
            data = self._done(http, method, params)
            told: dict[str, Any] = {"result": 1, "error_msg": "SUCCESS", "data": data, "requestId": "r-1"}
        except Refused as refused:
            told = {"result": refused.result, "error_msg": str(refused), "requestId": "r-1"}
        await asyncio.sleep(self.slow.get(method, 0))
        if fault is Fault.HANG:
            await self.released.wait()
        if fault in (Fault.DROPPED_AFTER, Fault.HANG):
            return _drop(http)
        return _answered(told, fault, self.ahead)

    def _done(self, http: web.Request, method: str, params: dict[str, str]) -> Any:
        self._let_in(http, method, params)
        param = json.loads(params["param"])
        self.seen.append((method, param))
        match method:
            case "open.seller.order.refund.pcursor.list":
                return self._listed(param)
            case "open.order.cursor.list":
                return {"cursor": "nomore", "orderList": []}
            case "open.seller.order.refund.detail":
                return self._request(param)
            case "open.order.detail":
                if param["oid"] not in self.orders:
                    raise Refused(100, "order not exist")
                return self.orders[param["oid"]]
            case "open.seller.order.refund.approve":
                return self._approved(param)
            case "open.refund.reject.reason":
                self._request(param)
                return self.reasons
            case "open.refund.reject":
                return self._rejected(param)
        raise Refused(100, f"no such method {method}")

    def _let_in(self, http: web.Request, method: str, params: dict[str, str]) -> None:
        """The order of these checks is ours; each is in the sources."""
        if method not in SCOPES or http.path != f"/{method.replace('.', '/')}" or params.get("version") != "1":
            raise Refused(100, "no such api")
        if http.method != ("POST" if method in POSTED else "GET"):
            raise Refused(100, "wrong verb")
        if params.get("appkey") != APP_KEY:
            raise Refused(100200101, "unauthorized_client")
        if params.get("sign") != expected_signature(params, SIGN_SECRET):
            raise Refused(28, "sign error")
        if abs(int(params["timestamp"]) - self.now()) > TIMESTAMP_TOLERANCE.total_seconds() * 1000:
            raise Refused(27, "timestamp expired")
        scopes = self.tokens.get(params["access_token"])
        if scopes is None:
            raise Refused(24, "AUTHORIZATION_REVOKED")
        if SCOPES[method] not in scopes:
            raise Refused(26, "token中无scope权限")

    def _request(self, param: dict[str, Any]) -> dict[str, Any]:
        if param["refundId"] not in self.requests:
            raise Refused(100, "refund order not exist")
        return self.requests[param["refundId"]]

    def _listed(self, param: dict[str, Any]) -> dict[str, Any]:
        begin, end = param["beginTime"], param["endTime"]
        oldest = self.now() - DAYS_BACK * 86_400_000
        if not begin < end or end - begin > self.longest_window.total_seconds() * 1000 or begin < oldest:
            raise Refused(100, "time range is illegal")
        if not 1 <= param["pageSize"] <= MOST_IN_A_PAGE or param["type"] not in (8, 9) or "pcursor" not in param:
            raise Refused(100, "param is illegal")
        by = "updateTime" if param["queryType"] == 2 else "createTime"
        rows = sorted(
            (row for row in self.requests.values() if begin <= row[by] <= end),
            key=lambda row: (row[by], row["refundId"]),
            reverse=param["sort"] == 1,
        )
        skip = int(param["pcursor"] or 0)
        page = rows[skip : skip + param["pageSize"]]
        more = skip + len(page) < len(rows)
        totals = {"totalSize": len(rows), "currentPage": 1} if not param["pcursor"] else {}
        if self.stuck:
            return {"pcursor": "7", "refundOrderInfoList": []}
        return {"pcursor": str(skip + len(page)) if more else "nomore", "refundOrderInfoList": page, **totals}

    def _approved(self, param: dict[str, Any]) -> None:
        """No version is asked for: the amount and both states guard the call."""
        row = self._request(param)
        said = (param["status"], param["negotiateStatus"], param["refundHandingWay"], param["refundAmount"])
        if said != (row["status"], row["negotiateStatus"], row["handlingWay"], row["refundFee"]) or said[0] != 10:
            raise Refused(100, "the request is in another state")
        self.approvals.append(row["refundId"])
        self.approve_by_hand(row["refundId"])

    def _rejected(self, param: dict[str, Any]) -> None:
        row = self._request(param)
        if param["refundVersion"] != row["updateTime"] or row["status"] != 10:
            raise Refused(100, "the request has changed")
        if param["reasonCode"] not in {one["reasonCode"] for one in self.reasons} or not param["rejectDesc"]:
            raise Refused(100, "reason is illegal")
        self.refuse_by_hand(row["refundId"])

    async def refresh(self, http: web.Request) -> web.StreamResponse:
        """A refresh token ends when it is used."""
        form = await http.post()
        if (form.get("app_id"), form.get("app_secret")) != (APP_KEY, APP_SECRET):
            return web.json_response({"result": 100200101, "error": "unauthorized_client", "error_msg": "app"})
        if form.get("refresh_token") not in self.refresh_tokens:
            return web.json_response({"result": 100200102, "error": "access_denied", "error_msg": "discarded"})
        number = len(self.tokens) + 1
        self.tokens[f"token-{number}"] = set(self.tokens[TOKEN])
        self.refresh_tokens = {f"fresh-{number}"}
        return web.json_response(
            {
                "result": 1,
                "access_token": f"token-{number}",
                "refresh_token": f"fresh-{number}",
                "expires_in": 172_800,
                "scopes": sorted(self.tokens[TOKEN]),
            }
        )

    def calls(self, method: str) -> list[dict[str, Any]]:
        """What was asked by a method and let in."""
        return [param for name, param in self.seen if name == method]


def expected_signature(params: dict[str, str], secret: str) -> str:
    """By the text of the gateway's page, written a second time."""
    signed = {"access_token", "appkey", "method", "param", "signMethod", "timestamp", "version"}
    text = "&".join(f"{name}={params[name]}" for name in sorted(signed & set(params))) + f"&signSecret={secret}"
    if params.get("signMethod") == "HMAC_SHA256":
        return base64.b64encode(hmac.new(secret.encode(), text.encode(), hashlib.sha256).digest()).decode()
    return hashlib.md5(text.encode()).hexdigest()


def _run(hooks: dict[str, list[Callable[[], object]]], method: str) -> None:
    waiting = hooks.get(method)
    if waiting:
        waiting.pop(0)()


def _drop(http: web.Request) -> web.Response:
    assert http.transport is not None
    http.transport.close()
    return web.Response()


def _answered(told: dict[str, Any], fault: Fault | Refused | None, ahead: timedelta) -> web.Response:
    text = json.dumps(told, ensure_ascii=False)
    if fault is Fault.BROKEN:
        text = text[: len(text) // 2]
    if fault is Fault.LONG:
        text = text[:-1] + " " * (9 * 1024 * 1024) + "}"
    date = (datetime.now(UTC) + ahead).strftime("%a, %d %b %Y %H:%M:%S GMT")
    return web.Response(text=text, content_type="application/json", headers={"Date": date})


@asynccontextmanager
async def open_server() -> AsyncIterator[KuaishouServer]:
    """A gateway on a free port of this machine."""
    server = KuaishouServer()
    app = web.Application()
    app.router.add_post("/oauth2/refresh_token", server.refresh)
    app.router.add_route("*", "/{path:.*}", server.answer)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    server.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    try:
        yield server
    finally:
        server.released.set()
        await runner.cleanup()
