"""A desk for each test."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest_asyncio

from tests.aftersales.conftest import market as market
from tests.governance.desk import Desk, open_desk


@pytest_asyncio.fixture
async def desk(database_url: str) -> AsyncIterator[Desk]:
    async with open_desk(database_url) as opened:
        yield opened


@pytest_asyncio.fixture
async def desk_alone(database_url: str) -> AsyncIterator[Desk]:
    """In an installation for one person."""
    async with open_desk(database_url, two_people=False) as opened:
        yield opened
