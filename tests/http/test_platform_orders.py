"""The API on orders that live on a commerce platform: they are read there before anything is decided."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import datetime, timedelta
from urllib.parse import parse_qsl, urlsplit

import httpx
import pytest

from jitui.aftersales.model.order import LineUnits, ShipmentStatus
from jitui.aftersales.platform import PlatformShipment
from jitui.entrypoints.http.app import create_app
from jitui.identity.shopper import order_of_link, signer_of
from tests.aftersales.market import NOW
from tests.aftersales.test_platform_orders import ORDER
from tests.asgi import transport_to
from tests.http.api import SHOP, Api
from tests.platforms.fake import FakePlatform, with_platform

ASKED = {"order_id": "V-1", "buyer_id": "vendure-1"}
SENT = PlatformShipment("vendure-9", "SF1", "sf", ShipmentStatus.SHIPPED, NOW, (LineUnits("l1", 3),))


@pytest.fixture
def platform() -> FakePlatform:
    made = FakePlatform()
    made.orders["V-1"] = ORDER
    return made


@pytest.fixture
async def beside(api: Api, platform: FakePlatform) -> AsyncIterator[Api]:
    """The API of a service with the platform connected."""
    service = with_platform(api.service, platform, SHOP)
    litestar = create_app(service)
    async with httpx.AsyncClient(transport=transport_to(litestar), base_url="http://jitui") as client:
        yield replace(api, service=service, litestar=litestar, client=client)


async def test_an_order_that_is_there_is_taken_in(beside: Api) -> None:
    got = await beside.post("/v1/after-sales", ASKED)
    assert got.status_code == 201, got.text
    assert got.json()["ticket"]["amount"] == {"amount_minor": 3500, "currency": "CNY"}


async def test_what_shipped_there_is_not_approved(beside: Api, platform: FakePlatform) -> None:
    platform.orders["V-1"] = replace(ORDER, shipments=(SENT,))
    for path in ("/v1/after-sales", "/v1/eligibility"):
        got = await beside.post(path, ASKED)
        assert (got.status_code, got.json()["type"]) == (409, "/problems/order-already-shipped")
    assert await beside.count("ticket") == 0


async def test_while_it_is_down_nothing_is_decided(beside: Api, platform: FakePlatform) -> None:
    platform.down = True
    for path in ("/v1/after-sales", "/v1/eligibility"):
        got = await beside.post(path, ASKED, headers={"idempotency-key": "once"} if "after" in path else None)
        assert (got.status_code, got.json()["type"]) == (503, "/problems/platform-unavailable")
        assert got.headers["retry-after"] == "30"
    assert await beside.count("orders") + await beside.count("ticket") == 0
    platform.down = False
    again = await beside.post("/v1/after-sales", ASKED, headers={"idempotency-key": "once"})
    assert again.status_code == 201, again.text


async def test_a_repeated_key_is_one_request(beside: Api, platform: FakePlatform) -> None:
    first = await beside.post("/v1/after-sales", ASKED, headers={"idempotency-key": "once"})
    platform.down = True
    again = await beside.post("/v1/after-sales", ASKED, headers={"idempotency-key": "once"})
    assert again.content == first.content
    assert again.headers["idempotency-replayed"] == "true"


LINK = "/v1/orders/V-1/refund-link"


@pytest.mark.parametrize(("body", "hours"), [(None, 168), ({}, 168), ({"valid_hours": 2}, 2)])
async def test_a_link_opens_its_order_until_it_ends(beside: Api, body: object, hours: int) -> None:
    """With the shop's key, and of an order that nobody has read yet."""
    got = await beside.post(LINK, body, key=beside.shop)
    assert got.status_code == 200, got.text
    made, signer = got.json(), await signer_of(beside.service.people)
    ends = datetime.fromisoformat(made["expires_at"])
    assert ends == beside.now.at + timedelta(hours=hours)
    query = dict(parse_qsl(urlsplit(made["url"]).query))
    assert made["url"].startswith(f"{beside.service.settings.console_url}/shop/link?")
    assert order_of_link(signer, query, now=ends - timedelta(seconds=1)) == "V-1"
    assert order_of_link(signer, query, now=ends) is None


async def test_no_link_for_what_is_not_the_shops(beside: Api, platform: FakePlatform) -> None:
    await beside.paid_order("o-1", shop_id="shop-2")
    for path in ("/v1/orders/o-1/refund-link", "/v1/orders/V-9/refund-link"):
        hidden = await beside.post(path, key=beside.shop)
        assert (hidden.status_code, hidden.json()["type"]) == (404, "/problems/not-found")
    assert (await beside.post(LINK, key=beside.buyer)).status_code == 403
    for hours in (0, 2161):
        assert (await beside.post(LINK, {"valid_hours": hours})).status_code == 400
    platform.down = True
    assert (await beside.post(LINK, key=beside.shop)).status_code == 503


async def test_a_webhook_says_at_most_which_order_to_read(beside: Api, platform: FakePlatform) -> None:
    """It needs no key of ours, and nobody waits at the platform while its orders are read."""
    states = beside.service.platforms.states

    async def told(body: bytes, signature: str = "signed") -> int:
        headers = {"x-signature": signature}
        return (await beside.client.post("/v1/notifications/vendure", content=body, headers=headers)).status_code

    assert await told(b"V-1", "forged") == 401
    assert await told(b"") == 204
    assert await states.hints("vendure", beside.now.at, 9) == []
    assert await told(b"V-1") == 204
    assert [hint.order_id for hint in await states.hints("vendure", beside.now.at, 9)] == ["V-1"]
    assert platform.reads == []
