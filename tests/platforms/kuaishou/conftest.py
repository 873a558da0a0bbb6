from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from tests.platforms.kuaishou.market import KuaishouMarket, open_kuaishou_market
from tests.platforms.kuaishou.server import KuaishouServer, open_server


@pytest.fixture
async def there() -> AsyncIterator[KuaishouServer]:
    async with open_server() as server:
        yield server


@pytest.fixture
async def market(database_url: str, there: KuaishouServer) -> AsyncIterator[KuaishouMarket]:
    """Jitui beside the shop, on a database of this test's own."""
    async with open_kuaishou_market(database_url, there) as opened:
        yield opened
