"""A shop on WooCommerce, its server, and Jitui beside it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack

import pytest

from jitui.adapters.platforms.access import PlatformAccess
from jitui.adapters.platforms.woocommerce.opening import open_woocommerce
from jitui.adapters.platforms.woocommerce.orders import WooCommerceOrders
from jitui.adapters.platforms.woocommerce.writer import WooCommerceWriter
from tests.platforms.market import ShopMarket, open_shop_market
from tests.platforms.wire_server import WireServer
from tests.platforms.woocommerce.server import serving
from tests.platforms.woocommerce.shop import KEY, SECRET, Shop

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


def access_to(server: WireServer, secret: str = f"{KEY}:{SECRET}", timeout: float = TIMEOUT_SECONDS) -> PlatformAccess:
    """As the settings give it."""
    return PlatformAccess(server.url, secret, timeout)


@pytest.fixture
async def ports(server: WireServer) -> AsyncIterator[tuple[WooCommerceOrders, WooCommerceWriter]]:
    """Reader and writer."""
    async with AsyncExitStack() as stack:
        yield await open_woocommerce(access_to(server), stack)


@pytest.fixture
def orders(ports: tuple[WooCommerceOrders, WooCommerceWriter]) -> WooCommerceOrders:
    """The reader alone."""
    return ports[0]


@pytest.fixture
def writer(ports: tuple[WooCommerceOrders, WooCommerceWriter]) -> WooCommerceWriter:
    """The writer alone."""
    return ports[1]


@pytest.fixture
async def market(database_url: str, server: WireServer) -> AsyncIterator[ShopMarket]:
    """Jitui beside the shop, on a database of this test's own."""
    async with open_shop_market(open_woocommerce, database_url, access_to(server)) as opened:
        yield opened
