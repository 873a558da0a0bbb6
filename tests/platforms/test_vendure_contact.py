"""The address of an order's buyer on Vendure: asked for alone, and in no error."""

from __future__ import annotations

from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from jitui.adapters.platforms.vendure.client import VendureClient
from jitui.adapters.platforms.vendure.orders import VendureOrders
from jitui.errors import Unavailable

ADDRESS = "ann@example.com"
THEIRS: dict[str, Any] = {"active": False, "customer": {"emailAddress": ADDRESS}}


@pytest.mark.parametrize(
    ("items", "found"),
    [
        ([THEIRS], ADDRESS),
        ([], None),
        ([{**THEIRS, "active": True}], None),
        ([{"active": False, "customer": None}], None),
        ([{"active": False, "customer": {"emailAddress": ""}}], None),
        ([{"active": False, "customer": {"emailAddress": [ADDRESS]}}], Unavailable),
    ],
    ids=str,
)
async def test_the_address_of_an_order(items: list[Any], found: object) -> None:
    asked: list[Any] = []

    async def answer(request: web.Request) -> web.Response:
        asked.append(await request.json())
        return web.json_response({"data": {"orders": {"items": items}}})

    app = web.Application()
    app.router.add_post("/admin-api", answer)
    async with (
        TestServer(app) as server,
        VendureClient(base_url=str(server.make_url("/")), token="k", timeout_seconds=5) as client,
    ):
        orders = VendureOrders(client)
        if found is Unavailable:
            with pytest.raises(Unavailable) as trouble:
                await orders.contact_address("V-1")
            assert ADDRESS not in str(trouble.value)
            assert trouble.value.__cause__ is None
        else:
            assert await orders.contact_address("V-1") == found
    assert asked[0]["variables"] == {"options": {"take": 1, "filter": {"code": {"eq": "V-1"}}}}
