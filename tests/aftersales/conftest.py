from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from tests.aftersales.market import Market, memory_market, open_market


@pytest.fixture
async def market(request: pytest.FixtureRequest) -> AsyncIterator[Market]:
    """On PostgreSQL, unless the test is marked with `on_both_stores` and this is its run in memory."""
    if getattr(request, "param", "postgresql") == "memory":
        yield await memory_market()
        return
    async with open_market(request.getfixturevalue("database_url"), watched=True) as opened:
        yield opened
