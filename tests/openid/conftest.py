from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.console.pages import Visitor, visiting
from tests.openid.issuer import TestIssuer, running_issuer
from tests.openid.site import Site, open_site


@pytest.fixture
async def issuer() -> AsyncIterator[TestIssuer]:
    async with running_issuer() as running:
        yield running


@pytest.fixture
async def site(database_url: str, tmp_path: Path, issuer: TestIssuer) -> AsyncIterator[Site]:
    async with open_site(database_url, tmp_path, issuer) as opened:
        yield opened


@pytest.fixture
async def visitor(site: Site) -> AsyncIterator[Visitor]:
    async with visiting(site.console) as opened:
        yield opened
