from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from tests.platforms.market import ShopMarket
from tests.platforms.saleor.market import open_saleor_market
from tests.platforms.saleor.server import SaleorServer, open_server


@pytest.fixture
async def there() -> AsyncIterator[SaleorServer]:
    async with open_server() as server:
        yield server


@pytest.fixture
async def market(database_url: str, there: SaleorServer) -> AsyncIterator[ShopMarket]:
    """Jitui beside the shop, on a database of this test's own."""
    async with open_saleor_market(database_url, there) as opened:
        yield opened
