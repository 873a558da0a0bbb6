from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.aftersales.market import Market, open_market
from tests.http.api import Api, open_api


@pytest.fixture
async def market(database_url: str) -> AsyncIterator[Market]:
    async with open_market(database_url) as opened:
        yield opened


@pytest.fixture
async def api(database_url: str, tmp_path: Path) -> AsyncIterator[Api]:
    async with open_api(database_url, home=tmp_path) as opened:
        yield opened
