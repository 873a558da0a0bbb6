from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from tests.aftersales.market import Market, open_market


@pytest.fixture
async def market(database_url: str) -> AsyncIterator[Market]:
    async with open_market(database_url) as opened:
        yield opened
