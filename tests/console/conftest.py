from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
from litestar import Litestar

from jitui.entrypoints.console.mount import console_app
from jitui.identity.people import Person
from tests.console.marketplace import Marketplace, open_marketplace, plain_settings
from tests.console.pages import Visitor, visiting

Visit = Callable[..., Awaitable[Visitor]]


@pytest.fixture
async def market(database_url: str, tmp_path: Path) -> AsyncIterator[Marketplace]:
    async with open_marketplace(plain_settings(tmp_path), database_url) as opened:
        yield opened


@pytest.fixture
def console(market: Marketplace) -> Litestar:
    return console_app(market.service, one_click=True)


@pytest.fixture
async def visit(console: Litestar) -> AsyncIterator[Visit]:
    """Opens browsers; `await visit(PREMIUM)` is one in which that person is signed in."""
    async with AsyncExitStack() as stack:

        async def open_browser(person: Person | None = None, language: str = "en") -> Visitor:
            return await stack.enter_async_context(visiting(console, person, language))

        yield open_browser
