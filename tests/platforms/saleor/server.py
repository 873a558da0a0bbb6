"""Saleor's API on this machine: five operations by name, tokens and permissions checked, orders and grants kept.

Shapes and refusals are those of its schema and sources (`errors.py` names them). Staff, the warehouse and the payment
app act by methods of `SaleorServer`; faults are set for coming calls.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from enum import StrEnum
from typing import Any

import msgspec
from aiohttp import web

_encode = msgspec.json.Encoder(decimal_format="number").encode
TOKEN = "app-token-1"
ORDERS, CHECK = "query Orders", "query Check"
CANCEL, GRANT, REQUEST = "mutation Cancel", "mutation Grant", "mutation Request"
RIGHTS = {CANCEL: "MANAGE_ORDERS", GRANT: "MANAGE_ORDERS", ORDERS: "MANAGE_ORDERS", REQUEST: "HANDLE_PAYMENTS"}


class Fault(StrEnum):
    """What goes wrong with one call."""

    DROPPED_BEFORE = "the connection breaks before anything is done"
    DROPPED_AFTER = "the connection breaks after it is done"
    PAGE = "a page of a gateway in between"
    REDIRECT = "the address has moved"


class Broken(Exception):
    """A GraphQL error; `code` is the exception's name there."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


@dataclass
class SaleorServer:
    """The shop, and how the next calls go wrong."""

    url: str = ""
    version: str = "3.22.1"
    orders: dict[str, dict[str, Any]] = field(default_factory=dict)
    tokens: dict[str, set[str]] = field(default_factory=lambda: {TOKEN: {"MANAGE_ORDERS", "HANDLE_PAYMENTS"}})
    has_payment_app: bool = True
    faults: dict[str, list[Fault | Broken]] = field(default_factory=dict)
    slow: dict[str, float] = field(default_factory=dict)
    seen: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    page: int = 50
    keys: dict[str, Any] = field(default_factory=dict)
    key_reads: int = 0

    # Who acts there -------------------------------------------------------------------------------------------------

    def place(
        self, *lines: tuple[str, int], freight: str = "5.00", currency: str = "CNY", user: str | None = "VXNlcjox"
    ) -> str:
        """A paid order of lines (price of all units, units); its number."""
        number = str(len(self.orders) + 1)
        wanted = lines or (("39.90", 1),)
        total = sum((Decimal(price) for price, _ in wanted), Decimal(freight))
        now = _now()
        self.orders[number] = {
            "id": f"T3JkZXI6{number}",
            "number": number,
            "status": "UNFULFILLED",
            "created": now,
            "updatedAt": now,
            "userEmail": "ann@example.com",
            "user": None if user is None else {"id": user},
            "total": {"gross": _money(total, currency)},
            "lines": [
                {
                    "id": f"line-{number}-{place}",
                    "productSku": f"sku-{place}",
                    "productName": "Cup",
                    "variantName": "blue",
                    "quantity": units,
                    "quantityFulfilled": 0,
                    "totalPrice": {"gross": _money(Decimal(price), currency)},
                    "variant": {"product": {"id": "UHJvZHVjdDox", "category": {"id": "Q2F0ZWdvcnk6MQ"}}},
                }
                for place, (price, units) in enumerate(wanted, start=1)
            ],
            "transactions": [
                {
                    "id": f"tx-{number}",
                    "createdAt": now,
                    "chargedAmount": _money(total, currency),
                    "refundedAmount": _money(Decimal(0), currency),
                    "refundPendingAmount": _money(Decimal(0), currency),
                }
            ],
            "grantedRefunds": [],
            "fulfillments": [],
        }
        return number

    def ship(self, number: str, status: str = "FULFILLED", tracking: str = "SF1") -> None:
        order = self.orders[number]
        rows = [{"quantity": line["quantity"], "orderLine": {"id": line["id"]}} for line in order["lines"]]
        sent = {"id": f"f-{number}", "created": _now(), "status": status, "trackingNumber": tracking, "lines": rows}
        order |= {"fulfillments": [sent], "status": "FULFILLED", "updatedAt": _now()}

    def app_reports(self, number: str, place: int = -1, status: str = "SUCCESS") -> None:
        """The payment app says what became of a requested grant."""
        grant, paid = self.orders[number]["grantedRefunds"][place], self.orders[number]["transactions"][0]
        assert grant["status"] == "PENDING"
        grant |= {"status": status, "updatedAt": _now()}
        _move(paid, "refundPendingAmount", -grant["amount"]["amount"])
        _move(paid, "refundedAmount" if status == "SUCCESS" else "chargedAmount", grant["amount"]["amount"])

    def refund_by_hand(self, number: str, amount: str) -> None:
        """Staff refunds the transaction without a grant."""
        paid = self.orders[number]["transactions"][0]
        _move(paid, "chargedAmount", -Decimal(amount))
        _move(paid, "refundedAmount", Decimal(amount))
        self.orders[number]["updatedAt"] = _now()

    def grants(self, number: str) -> list[dict[str, Any]]:
        return list(self.orders[number]["grantedRefunds"])

    def calls(self, operation: str) -> list[dict[str, Any]]:
        """The variables of an operation that was let in."""
        return [variables for name, variables in self.seen if name == operation]

    async def key_set(self, http: web.Request) -> web.Response:
        """The public keys of its webhooks."""
        self.key_reads += 1
        return web.json_response(self.keys)

    # How it answers -------------------------------------------------------------------------------------------------

    async def answer(self, http: web.Request) -> web.StreamResponse:
        asked = await http.json()
        operation = " ".join(asked["query"].split("(")[0].split("{")[0].split()[:2])
        faults = self.faults.get(operation) or self.faults.get("")
        fault = faults.pop(0) if faults else None
        if fault is Fault.DROPPED_BEFORE:
            return _drop(http)
        if fault is Fault.PAGE:
            return web.Response(status=502, text="<html>Bad Gateway</html>", content_type="text/html")
        if fault is Fault.REDIRECT:
            return web.Response(status=301, headers={"Location": f"{self.url}/elsewhere"})
        try:
            if isinstance(fault, Broken):
                raise fault
            data = self._done(operation, asked["variables"], http.headers.get("Authorization", ""))
        except Broken as error:
            told = {"message": str(error), "extensions": {"exception": {"code": error.code}}}
            return web.json_response({"errors": [told], "data": None}, status=200)
        await asyncio.sleep(self.slow.get(operation, 0))
        if fault is Fault.DROPPED_AFTER:
            return _drop(http)
        return web.Response(body=_encode({"data": data}), content_type="application/json")

    def _done(self, operation: str, variables: dict[str, Any], authorization: str) -> dict[str, Any]:
        held = self.tokens.get(authorization.removeprefix("Bearer "))
        if held is None:
            raise Broken("InvalidTokenError", "Invalid token")
        if RIGHTS.get(operation, "MANAGE_ORDERS") not in held and operation != CHECK:
            raise Broken("PermissionDenied", f"You need one of the following permissions: {RIGHTS[operation]}")
        self.seen.append((operation, variables))
        match operation:
            case "query Orders":
                return {"orders": self._listed(variables)}
            case "query Check":
                app = {"permissions": [{"code": code} for code in sorted(held)]}
                return {"shop": {"version": self.version}, "app": app, "orders": {"totalCount": len(self.orders)}}
            case "mutation Cancel":
                return {"orderCancel": {"errors": self._cancelled(variables["id"])}}
            case "mutation Grant":
                return {"orderGrantRefundCreate": self._granted(variables["id"], variables["input"])}
            case "mutation Request":
                return {"transactionRequestRefundForGrantedRefund": {"errors": self._requested(variables["grant"])}}
        raise Broken("GraphQLError", "Cannot query field")

    def _listed(self, variables: dict[str, Any]) -> dict[str, Any]:
        number, since = variables["where"].get("number"), variables["where"].get("updatedAt")
        found = list(self.orders.values())
        if number is not None:
            wanted = {str(one) for one in number.get("oneOf", [number.get("eq")])}
            found = [order for order in found if order["number"] in wanted]
        if since is not None:
            found = [order for order in found if _moment(order["updatedAt"]) >= _moment(since["gte"])]
        found.sort(key=lambda order: (order["updatedAt"], order["number"]))
        skip, size = int(variables["after"] or 0), min(self.page, variables["first"])
        page = found[skip : skip + size]
        more = skip + len(page) < len(found)
        end = {"hasNextPage": more, "endCursor": str(skip + len(page))}
        return {"edges": [{"node": order} for order in page], "pageInfo": end}

    def _order(self, order_id: str) -> dict[str, Any] | None:
        return next((order for order in self.orders.values() if order["id"] == order_id), None)

    def _cancelled(self, order_id: str) -> list[dict[str, str]]:
        order = self._order(order_id)
        assert order is not None
        held = any(sent["status"] in ("FULFILLED", "WAITING_FOR_APPROVAL") for sent in order["fulfillments"])
        if held or order["status"] in ("CANCELED", "DRAFT", "EXPIRED"):
            return [{"code": "CANNOT_CANCEL_ORDER", "message": "This order can't be canceled."}]
        order |= {"status": "CANCELED", "updatedAt": _now()}
        return []

    def _granted(self, order_id: str, given: dict[str, Any]) -> dict[str, Any]:
        """A grant is not idempotent: the same again makes another one."""
        order = self._order(order_id)
        if order is None:
            return {"grantedRefund": None, "errors": [{"code": "NOT_FOUND", "message": "no such order"}]}
        paid = order["transactions"][0]
        amount = Decimal(given["amount"])
        if given["transactionId"] != paid["id"]:
            return {"grantedRefund": None, "errors": [{"code": "NOT_FOUND", "message": "no such transaction"}]}
        if amount > paid["chargedAmount"]["amount"]:
            refused = {"code": "AMOUNT_GREATER_THAN_AVAILABLE", "message": "The amount is greater than charged."}
            return {"grantedRefund": None, "errors": [refused]}
        grant = {
            "id": f"grant-{order['number']}-{len(order['grantedRefunds']) + 1}",
            "createdAt": _now(),
            "updatedAt": _now(),
            "amount": _money(amount, paid["chargedAmount"]["currency"]),
            "reason": given["reason"],
            "status": "NONE",
            "transaction": {"id": paid["id"]},
        }
        order["grantedRefunds"].append(grant)
        return {"grantedRefund": grant, "errors": []}

    def _requested(self, grant_id: str) -> list[dict[str, str]]:
        """The money is asked of the payment app, which reports later; one grant is requested once."""
        for order in self.orders.values():
            for grant in order["grantedRefunds"]:
                if grant["id"] == grant_id:
                    return self._request(order, grant)
        return [{"code": "NOT_FOUND", "message": "no such grant"}]

    def _request(self, order: dict[str, Any], grant: dict[str, Any]) -> list[dict[str, str]]:
        if grant["status"] == "PENDING":
            return [{"code": "REFUND_IS_PENDING", "message": "Refund is pending"}]
        if grant["status"] == "SUCCESS":
            return [{"code": "REFUND_ALREADY_PROCESSED", "message": "Refund already processed"}]
        if not self.has_payment_app:
            return [{"code": "MISSING_TRANSACTION_ACTION_REQUEST_WEBHOOK", "message": "No app or plugin is configured"}]
        grant |= {"status": "PENDING", "updatedAt": _now()}
        _move(order["transactions"][0], "chargedAmount", -grant["amount"]["amount"])
        _move(order["transactions"][0], "refundPendingAmount", grant["amount"]["amount"])
        return []


def _now() -> str:
    return (datetime.now(UTC) - timedelta(seconds=1)).isoformat()


def _moment(text: str) -> datetime:
    return datetime.fromisoformat(text)


def _money(amount: Decimal, currency: str) -> dict[str, Any]:
    return {"amount": amount, "currency": currency}


def _move(paid: dict[str, Any], name: str, amount: Decimal) -> None:
    paid[name] = {**paid[name], "amount": paid[name]["amount"] + amount}


def _drop(http: web.Request) -> web.Response:
    assert http.transport is not None
    http.transport.close()
    return web.Response()


@asynccontextmanager
async def open_server() -> AsyncIterator[SaleorServer]:
    """A shop on a free port of this machine."""
    server = SaleorServer()
    app = web.Application()
    app.router.add_post("/graphql/", server.answer)
    app.router.add_get("/.well-known/jwks.json", server.key_set)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    server.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    try:
        yield server
    finally:
        await runner.cleanup()
