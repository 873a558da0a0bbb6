"""A shop on Shopify, its server, and Jitui beside it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack

import pytest

from jitui.adapters.platforms.access import PlatformAccess
from jitui.adapters.platforms.shopify.opening import open_shopify
from jitui.adapters.platforms.shopify.orders import ShopifyOrders
from jitui.adapters.platforms.shopify.writer import ShopifyWriter
from tests.platforms.market import ShopMarket, open_shop_market
from tests.platforms.shopify.server import serving
from tests.platforms.shopify.shop import TOKEN, Shop
from tests.platforms.wire_server import WireServer

TIMEOUT_SECONDS = 10.0


@pytest.fixture
def shop() -> Shop:
    """Its books."""
    return Shop()


@pytest.fixture
async def server(shop: Shop) -> AsyncIterator[WireServer]:
    """What answers for it."""
    async with serving(shop) as started:
        yield started


def access_to(server: WireServer, secret: str = TOKEN, timeout: float = TIMEOUT_SECONDS) -> PlatformAccess:
    """As the settings give it."""
    return PlatformAccess(server.url, secret, timeout)


@pytest.fixture
async def ports(server: WireServer) -> AsyncIterator[tuple[ShopifyOrders, ShopifyWriter]]:
    """Reader and writer."""
    async with AsyncExitStack() as stack:
        yield await open_shopify(access_to(server), stack)


@pytest.fixture
def orders(ports: tuple[ShopifyOrders, ShopifyWriter]) -> ShopifyOrders:
    """The reader alone."""
    return ports[0]


@pytest.fixture
def writer(ports: tuple[ShopifyOrders, ShopifyWriter]) -> ShopifyWriter:
    """The writer alone."""
    return ports[1]


@pytest.fixture
async def market(database_url: str, server: WireServer) -> AsyncIterator[ShopMarket]:
    """Jitui beside the shop, on a database of this test's own."""
    async with open_shop_market(open_shopify, database_url, access_to(server)) as opened:
        yield opened
