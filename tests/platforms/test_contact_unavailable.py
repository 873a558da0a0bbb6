"""Every adapter says by Unavailable that it cannot find out an order's address: None means that there is none."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import pytest
from aiohttp import web

from jitui.adapters.platforms.access import PlatformAccess
from jitui.aftersales.platform import PLATFORMS
from jitui.bootstrap_platforms import open_adapter
from jitui.errors import Unavailable
from tests.platforms.node import free_port
from tests.platforms.wire_server import WireServer

ADDRESS = "ann@example.com"
SECRETS = {"vendure": "k", "medusa": "sk_k", "woocommerce": "ck_k:cs_k", "saleor": "k", "shopify": "shpat_k"}
"""All but Kuaishou, whose buyers ask there and have no address."""
PAGES: dict[str, Callable[[], web.Response]] = {
    "error": lambda: web.Response(status=500, text="<html>Bad luck</html>", content_type="text/html"),
    "busy": lambda: web.Response(status=429, text="Too many"),
    "key": lambda: web.json_response({"message": "no"}, status=401),
    "elsewhere": lambda: web.Response(text="<html>A shop</html>", content_type="text/html"),
}


def test_every_platform_with_orders_is_here() -> None:
    assert {one.name for one in PLATFORMS if one.adapter} == {*SECRETS, "kuaishou"}


@asynccontextmanager
async def reader(platform: str, url: str) -> AsyncIterator[Any]:
    async with AsyncExitStack() as stack:
        opened = await open_adapter(platform, PlatformAccess(url, SECRETS[platform], 5), stack)
        assert isinstance(opened, tuple)
        yield opened[0]


@asynccontextmanager
async def saying(answers: Sequence[web.Response | None]) -> AsyncIterator[WireServer]:
    """Gives these answers one after the other, the last again and again; None breaks the connection."""
    left = list(answers)

    async def answering(request: web.Request, body: bytes) -> web.Response:
        now = left.pop(0) if len(left) > 1 else left[0]
        if now is None:
            assert request.transport is not None
            request.transport.abort()
            return web.Response()
        return web.Response(status=now.status, body=now.body, headers={"content-type": now.content_type})

    async with WireServer(answering, lambda request, body: request.path) as server:
        yield server


@pytest.mark.parametrize("page", [*PAGES, "cut"])
@pytest.mark.parametrize("platform", SECRETS)
async def test_a_platform_that_is_down_is_no_order_without_address(platform: str, page: str) -> None:
    async with saying([PAGES[page]() if page in PAGES else None]) as server, reader(platform, server.url) as orders:
        with pytest.raises(Unavailable) as trouble:
            await orders.contact_address("1001")
    assert "1001" not in str(trouble.value)


@pytest.mark.parametrize("platform", SECRETS)
async def test_nobody_listens(platform: str) -> None:
    async with reader(platform, f"http://127.0.0.1:{free_port()}") as orders:
        with pytest.raises(Unavailable, match="does not answer"):
            await orders.contact_address("1001")


FIRST: dict[str, Callable[[], web.Response]] = {
    "medusa": lambda: web.json_response(
        {"orders": [{"id": "order_1", "display_id": 1001, "custom_display_id": None}], "count": 1}
    ),
    "shopify": lambda: web.json_response(
        {
            "data": {
                "orders": {
                    "nodes": [{"id": "gid://shopify/Order/1", "name": "#1001"}],
                    "pageInfo": {"hasNextPage": False, "endCursor": None},
                }
            }
        }
    ),
    "woocommerce": lambda: web.json_response(
        {"code": "woocommerce_rest_shop_order_invalid_id", "message": "Invalid ID."}, status=404
    ),
}
"""What those answer first that need two calls."""


@pytest.mark.parametrize("platform", FIRST)
async def test_a_platform_that_goes_down_meanwhile(platform: str) -> None:
    async with saying([FIRST[platform](), PAGES["error"]()]) as server, reader(platform, server.url) as orders:
        with pytest.raises(Unavailable):
            await orders.contact_address("1001")
        assert len(server.calls) == 2


async def test_an_order_that_cannot_be_read_is_not_without_address() -> None:
    """And nothing of it is repeated."""
    row = {"id": 1001, "number": "1001", "date_modified_gmt": "2026-11-28T12:00:00", "billing": {"email": [ADDRESS]}}
    async with saying([web.json_response(row)]) as server, reader("woocommerce", server.url) as orders:
        with pytest.raises(Unavailable) as trouble:
            await orders.contact_address("1001")
    assert ADDRESS not in str(trouble.value)


async def test_an_order_that_medusa_does_not_have_any_more() -> None:
    gone = web.json_response({"type": "not_found", "message": "Order id not found"}, status=404)
    async with saying([FIRST["medusa"](), gone]) as server, reader("medusa", server.url) as orders:
        assert await orders.contact_address("1001") is None
