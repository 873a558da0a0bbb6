from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.browser.site import Site, running_site
from tests.provider_simulator.server import SimulatorProcess, simulator, start_simulator

__all__ = ["simulator", "site", "start_simulator"]


@pytest.fixture
async def site(tmp_path: Path, database_url: str, simulator: SimulatorProcess) -> AsyncIterator[Site]:
    async with running_site(tmp_path, database_url, simulator) as running:
        yield running
