"""Vendure as a process of its own, on a database of the tests' PostgreSQL."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

import psycopg
import pytest
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict

from tests.platforms import node
from tests.platforms.market import ShopMarket
from tests.platforms.proxy import Proxy
from tests.platforms.vendure.market import open_shop_market
from tests.platforms.vendure.shop import Vendure, set_up

HERE = Path(__file__).parent
PASSWORD = "not-a-secret-of-anybody"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """One process has Vendure: to start it takes longer than most tests."""
    for item in items:
        if HERE in item.path.parents:
            item.add_marker(pytest.mark.xdist_group("vendure"))
            item.add_marker(pytest.mark.timeout(600))


@pytest.fixture(scope="session")
def vendure(server_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Vendure]:
    """A shop that is set up; the tests of a session share it, each with orders of its own."""
    name, modules = f"vendure_{uuid4().hex[:8]}", node.installed(HERE)
    with psycopg.connect(server_url, autocommit=True) as connection:
        connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
        log = tmp_path_factory.mktemp("vendure") / "server.log"
        with _running({**conninfo_to_dict(server_url), "dbname": name}, modules, log) as url:
            yield asyncio.run(set_up(url, PASSWORD))
        connection.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))


@contextmanager
def _running(database: dict[str, object], modules: Path, log: Path) -> Iterator[str]:
    port = node.free_port()
    variables = {
        "PGHOST": str(database.get("host", "")),
        "PGPORT": str(database.get("port", "5432")),
        "PGUSER": str(database.get("user", "")),
        "PGPASSWORD": str(database.get("password", "")),
        "PGDATABASE": str(database["dbname"]),
        "VENDURE_DISABLE_TELEMETRY": "true",
        "VENDURE_KEYS": os.environ.get("VENDURE_KEYS", ""),
        "VENDURE_MODULES": str(modules),
        "VENDURE_PASSWORD": PASSWORD,
        "VENDURE_PORT": str(port),
    }
    url = f"http://127.0.0.1:{port}"
    with node.running([str(HERE / "server.cjs")], variables, url, log):
        yield url


@pytest.fixture
async def market(database_url: str, vendure: Vendure) -> AsyncIterator[ShopMarket]:
    """Jitui beside the shop, on a database of this test's own."""
    async with open_shop_market(database_url, vendure.url, vendure.token) as opened:
        yield opened


@pytest.fixture
async def proxy(vendure: Vendure) -> AsyncIterator[Proxy]:
    """What stands between Jitui and Vendure, and answers wrongly where a test says so."""
    async with Proxy(vendure.url, ["cancelOrder(", "refundOrder(", "settleRefund("]) as started:
        yield started
