"""The HTTP application with one key of each kind, and the calls with which most tests begin."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import msgspec
from litestar import Litestar

from jitui.bootstrap import Service, install_policy, open_service
from jitui.encryption import new_key
from jitui.entrypoints.http.app import create_app
from jitui.identity.access import KeyScope
from jitui.identity.keys import issue_key
from jitui.settings import Settings
from tests.aftersales.market import NOW, Market, open_market
from tests.asgi import transport_to
from tests.provider_simulator.server import SIMULATOR_AWAY

BUYER, SHOP = "buyer-1", "shop-1"
MISSING_BODY = b"There is no such thing here"


def with_key(home: Path) -> Path:
    """A file with a key for stored secrets."""
    home.mkdir(parents=True, exist_ok=True)
    file = home / "encryption.key"
    if not file.exists():
        file.write_text(new_key())
    return file


@dataclass
class Now:
    """The service's clock in a test; it stands until the test moves it."""

    at: datetime = NOW

    def __call__(self) -> datetime:
        return self.at

    def later(self, **span: float) -> None:
        self.at += timedelta(**span)


@dataclass
class Api:
    """The application over a real database; `platform`, `shop` and `buyer` are keys."""

    service: Service
    litestar: Litestar
    client: httpx.AsyncClient
    market: Market
    now: Now
    platform: str
    shop: str
    buyer: str

    async def call(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        key: str | None = None,
        headers: dict[str, str] | None = None,
        content: bytes | None = None,
        params: dict[str, Any] | None = None,
    ) -> httpx.Response:
        sent = dict(headers or {})
        if key is not None:
            sent["authorization"] = f"Bearer {key}"
        if content is None and body is not None:
            content = msgspec.json.encode(body)
        if content is not None:
            sent.setdefault("content-type", "application/json")
        encoded = [(name.encode(), value.encode()) for name, value in sent.items()]
        return await self.client.request(method, path, content=content, headers=encoded, params=params)

    async def get(self, path: str, **more: Any) -> httpx.Response:
        return await self.call("GET", path, key=more.pop("key", self.platform), **more)

    async def post(self, path: str, body: Any = None, **more: Any) -> httpx.Response:
        return await self.call("POST", path, body, key=more.pop("key", self.platform), **more)

    async def put(self, path: str, body: Any = None, **more: Any) -> httpx.Response:
        return await self.call("PUT", path, body, key=more.pop("key", self.platform), **more)

    async def delete(self, path: str, **more: Any) -> httpx.Response:
        return await self.call("DELETE", path, key=more.pop("key", self.platform), **more)

    async def paid_order(self, order_id: str, *, buyer_id: str = BUYER, shop_id: str = SHOP, paid: int = 12900) -> None:
        """An order through the API, paid."""
        taken = await self.put(f"/v1/orders/{order_id}", order(buyer_id=buyer_id, shop_id=shop_id, paid=paid))
        assert taken.status_code == 201, taken.text
        got = await self.post(f"/v1/orders/{order_id}/payments", payment(order_id, paid))
        assert got.status_code == 201, got.text

    async def ask(self, order_id: str, *, buyer_id: str = BUYER, **more: Any) -> Any:
        """A refund request of a platform; the whole answer."""
        got = await self.post("/v1/after-sales", {"order_id": order_id, "buyer_id": buyer_id}, **more)
        assert got.status_code == 201, got.text
        return got.json()

    async def reviewed(self, order_id: str, *, buyer_id: str = "buyer-plain", shop_id: str = SHOP) -> Any:
        """A ticket that waits for the merchant: nothing is known of its buyer."""
        await self.paid_order(order_id, buyer_id=buyer_id, shop_id=shop_id)
        ticket = (await self.ask(order_id, buyer_id=buyer_id))["ticket"]
        assert ticket["state"] == "awaiting_merchant"
        return ticket

    async def count(self, table: str) -> int:
        """Rows of a table."""
        async with self.market.pool.connection() as connection:
            row = await (await connection.execute(f"SELECT count(*) FROM {table}")).fetchone()
        assert row is not None
        return int(str(row[0]))


NO: dict[str, Any] = {"reason_code": "other", "reason": "No.", "evidence": [{"text": "A message."}]}
"""A complete rejection."""


def money(amount_minor: int, currency: str = "CNY") -> dict[str, Any]:
    return {"amount_minor": amount_minor, "currency": currency}


def order(*, buyer_id: str = BUYER, shop_id: str = SHOP, paid: int = 12900, **more: Any) -> dict[str, Any]:
    line = {
        "line_id": "l1",
        "sku": "sku-1",
        "item_id": "item-1",
        "quantity": 1,
        "paid": money(paid),
        "category_id": "apparel",
        "customised": False,
        "virtual": False,
    }
    base = {
        "buyer_id": buyer_id,
        "shop_id": shop_id,
        "currency": "CNY",
        "placed_at": "2026-06-01T11:00:00Z",
        "lines": [line],
    }
    return {**base, **more}


def payment(order_id: str, paid: int = 12900, **more: Any) -> dict[str, Any]:
    base = {
        "tender_id": "t1",
        "provider": "simulator",
        "payment_id": f"pay-{order_id}",
        "amount": money(paid),
        "captured_at": "2026-06-01T11:01:00+00:00",
    }
    return {**base, **more}


def shipment(degree: str = "shipped", **more: Any) -> dict[str, Any]:
    return {
        "degree": degree,
        "carrier": "sf",
        "tracking_no": "SF1",
        "happened_at": "2026-06-01T20:00:00+08:00",
        **more,
    }


@asynccontextmanager
async def open_api(database_url: str, *, home: Path, pool_size: int = 8, settings: Any = None) -> AsyncIterator[Api]:
    """Everything open; `buyer-1` is premium, so that its requests on small orders are refunded at once."""
    now = Now()
    wanted = settings or Settings(home=home, pool_size=pool_size, encryption_key_file=with_key(home), **SIMULATOR_AWAY)
    async with (
        open_market(database_url, pool_size=4) as market,
        open_service(wanted, database_url, clock=now) as service,
    ):
        await install_policy(service)
        await market.premium_buyer(BUYER)
        keys = {
            "platform": (await issue_key(service.keys, KeyScope.PLATFORM, "", label="tests", now=now.at)).secret,
            "shop": (await issue_key(service.keys, KeyScope.SHOP, SHOP, label="tests", now=now.at)).secret,
            "buyer": (await issue_key(service.keys, KeyScope.BUYER, BUYER, label="tests", now=now.at)).secret,
        }
        litestar = create_app(service)
        transport = transport_to(litestar)
        async with httpx.AsyncClient(transport=transport, base_url="http://jitui") as client:
            yield Api(service, litestar, client, market, now, keys["platform"], keys["shop"], keys["buyer"])


def with_providers(api: Api, **providers: Any) -> Api:
    """The same service with other payment providers."""
    litestar = create_app(replace(api.service, providers=providers))
    transport = transport_to(litestar)
    client = httpx.AsyncClient(transport=transport, base_url="http://jitui")
    return replace(api, litestar=litestar, client=client)
