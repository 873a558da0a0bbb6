"""Medusa as a process of its own, on a database of the tests' PostgreSQL.

The list of its packages has tabs and no `funding`: otherwise it were larger than a file may be here.
"""

from __future__ import annotations

import asyncio
import shutil
import subprocess
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from urllib.parse import quote
from uuid import uuid4

import psycopg
import pytest
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict

from tests.platforms import node
from tests.platforms.market import ShopMarket
from tests.platforms.medusa.market import open_shop_market
from tests.platforms.medusa.shop import EMAIL, Medusa, set_up
from tests.platforms.proxy import Proxy

HERE = Path(__file__).parent
PASSWORD = "not-a-secret-of-anybody"
BEGIN, LOWER, CONFIRM, REFUND = "POST /admin/order-edits ", "/items/item/", "/confirm ", "/refund?"
"""The calls that change something, by a word of each."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """One process has Medusa: to start it takes longer than most tests."""
    for item in items:
        if HERE in item.path.parents:
            item.add_marker(pytest.mark.xdist_group("medusa"))
            item.add_marker(pytest.mark.timeout(600))


@pytest.fixture(scope="session")
def medusa(server_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Medusa]:
    """A shop that is set up; the tests of a session share it, each with orders of its own."""
    began = time.monotonic()
    modules = node.installed(HERE)
    project, name = _project(tmp_path_factory.mktemp("medusa"), modules), f"medusa_{uuid4().hex[:8]}"
    port = node.free_port()
    url, seconds = f"http://127.0.0.1:{port}", [time.monotonic() - began]
    with psycopg.connect(server_url, autocommit=True) as connection:
        connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
        variables = _variables(_url_of({**conninfo_to_dict(server_url), "dbname": name}))
        command = str(modules / "@medusajs" / "cli" / "cli.js")
        for arguments in (["db:migrate", "--execute-all-links"], ["user", "-e", EMAIL, "-p", PASSWORD]):
            _run([command, *arguments], variables, project)
        start = [command, "start", "--host", "127.0.0.1", "--port", str(port)]
        with node.running(start, variables, url, project / "server.log", folder=project):
            seconds.append(time.monotonic() - began)
            shop = asyncio.run(set_up(url, PASSWORD))
            seconds.append(time.monotonic() - began)
            print("\nMedusa is installed, started and set up after {:.1f}, {:.1f} and {:.1f} seconds".format(*seconds))
            yield shop
        connection.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))


def _project(folder: Path, modules: Path) -> Path:
    """A project as Medusa's commands want one: its packages beside its configuration."""
    for file in ("package.json", "medusa-config.js", "gateway.js"):
        shutil.copy(HERE / file, folder / file)
    (folder / "node_modules").symlink_to(modules, target_is_directory=True)
    return folder


def _url_of(database: dict[str, object]) -> str:
    """Medusa wants a URL; a socket's folder is the host in it."""
    user, password = (quote(str(database.get(name) or ""), safe="") for name in ("user", "password"))
    host = quote(str(database.get("host") or "127.0.0.1"), safe="")
    who = f"{user}:{password}" if password else user
    return f"postgresql://{who}@{host}:{database.get('port') or 5432}/{database['dbname']}"


def _variables(database: str) -> dict[str, str]:
    return {"DATABASE_URL": database, "MEDUSA_DISABLE_TELEMETRY": "true", "NODE_ENV": "production"}


def _run(arguments: list[str], variables: dict[str, str], folder: Path) -> None:
    told = {**node.environment(), **variables}
    done = subprocess.run([node.program("node"), *arguments], cwd=folder, env=told, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-4000:]


@pytest.fixture
async def market(database_url: str, medusa: Medusa) -> AsyncIterator[ShopMarket]:
    """Jitui beside the shop, on a database of this test's own."""
    async with open_shop_market(database_url, medusa.url, medusa.token) as opened:
        yield opened


@pytest.fixture
async def proxy(medusa: Medusa) -> AsyncIterator[Proxy]:
    """What stands between Jitui and Medusa, and answers wrongly where a test says so."""
    async with Proxy(medusa.url, [BEGIN, LOWER, CONFIRM, REFUND]) as started:
        yield started
