"""A real PostgreSQL for the tests: one server per run, one fresh database per test.

The server is the embedded one, shared by all xdist workers, unless JITUI_TEST_DATABASE_URL names another (its
user must be allowed to create databases). A fresh database is a copy of a template that was migrated once.
"""

from __future__ import annotations

import itertools
import logging
import os
import shutil
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from uuid import uuid4

import psycopg
import pytest
from psycopg import sql

from jitui import logs
from jitui.adapters import embedded_postgres
from jitui.adapters.embedded_postgres import ServerOptions, with_database
from jitui.settings import Settings

RUN = pytest.StashKey[str]()
"""The folder of this run's server; its name also prefixes this run's databases."""

_numbers = itertools.count()

# Spark's process lives for minutes here: it translates little of itself, and so takes half of the processor time.
os.environ.setdefault("SPARK_SUBMIT_OPTS", "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC")


MEMORY_FOLDER = Path("/dev/shm")  # Linux has it
MEMORY_NEEDED_BYTES = 2 << 30


def _memory_folder() -> Path | None:
    """A file system in memory with enough room, if there is one: to make a database takes a tenth of the time there."""
    roomy = MEMORY_FOLDER.is_dir() and shutil.disk_usage(MEMORY_FOLDER).free >= MEMORY_NEEDED_BYTES
    return MEMORY_FOLDER if roomy and os.access(MEMORY_FOLDER, os.W_OK) else None


def pytest_configure(config: pytest.Config) -> None:
    handed_over: dict[str, str] | None = getattr(config, "workerinput", None)
    if handed_over is None:
        config.stash[RUN] = tempfile.mkdtemp(prefix=f"jitui_{uuid4().hex[:8]}_", dir=_memory_folder())
    else:
        config.stash[RUN] = handed_over["jitui_run"]


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: pytest.Session) -> None:
    node.workerinput["jitui_run"] = node.config.stash[RUN]  # type: ignore[attr-defined]  # of xdist


def pytest_unconfigure(config: pytest.Config) -> None:
    """The main process clears up, also after a worker that died; workers only leave."""
    if hasattr(config, "workerinput") or RUN not in config.stash:
        return
    folder = Path(config.stash[RUN])
    embedded_postgres.shut_down(folder)
    shutil.rmtree(folder, ignore_errors=True)
    if given := os.environ.get("JITUI_TEST_DATABASE_URL"):
        with psycopg.connect(given, autocommit=True) as connection:
            left = connection.execute("SELECT datname FROM pg_database WHERE starts_with(datname, %s)", [folder.name])
            for (name,) in left.fetchall():
                _drop(connection, name)


@pytest.fixture(autouse=True)
def fresh_log() -> None:
    """The log as it is before anything configures it: what an earlier test set or logged does not count in this one."""
    logs.configure(Settings(home=Path("/")))
    for name in ("uvicorn", "uvicorn.error", "uvicorn.access"):  # a server in this process gives them its own
        logger = logging.getLogger(name)
        logger.handlers.clear()
        logger.setLevel(logging.NOTSET)
        logger.propagate = True


@pytest.fixture(scope="session")
def server_url(request: pytest.FixtureRequest) -> Iterator[str]:
    """A database of a running server from which others can be created."""
    if given := os.environ.get("JITUI_TEST_DATABASE_URL"):
        yield given
        return
    options = ServerOptions(durable=False, shared_buffers_mb=128)
    with embedded_postgres.running(Path(request.config.stash[RUN]), options) as server:
        yield server.url


@pytest.fixture(scope="session")
def server_connection(server_url: str) -> Iterator[psycopg.Connection]:
    """One connection for all that makes and drops databases."""
    with psycopg.connect(server_url, autocommit=True) as connection:
        yield connection


@pytest.fixture(scope="session")
def migrated_template(server_url: str, request: pytest.FixtureRequest) -> str:
    """The name of a migrated database that nobody may connect to, made by whichever worker comes first."""
    from jitui.adapters.postgres.migrate import upgrade

    name = f"{Path(request.config.stash[RUN]).name}_template"
    with psycopg.connect(server_url, autocommit=True) as connection:
        connection.execute("SELECT pg_advisory_lock(hashtext(%s))", [name])
        done = connection.execute("SELECT datistemplate FROM pg_database WHERE datname = %s", [name]).fetchone()
        if done != (True,):
            _drop(connection, name)
            connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
            upgrade(with_database(server_url, name), single_person=True)
            close = "ALTER DATABASE {} WITH IS_TEMPLATE true ALLOW_CONNECTIONS false"
            connection.execute(sql.SQL(close).format(sql.Identifier(name)))
    return name


@pytest.fixture
def database_url(server_url: str, migrated_template: str, request: pytest.FixtureRequest) -> Iterator[str]:
    """A migrated database of this test's own."""
    with _fresh_database(server_url, migrated_template, request) as url:
        yield url


@pytest.fixture(scope="module")
def module_database_url(server_url: str, migrated_template: str, request: pytest.FixtureRequest) -> Iterator[str]:
    """A migrated database that the tests of one module share."""
    with _fresh_database(server_url, migrated_template, request) as url:
        yield url


@pytest.fixture
def empty_database_url(server_url: str, request: pytest.FixtureRequest) -> Iterator[str]:
    """A database of this test's own, without any migration."""
    with _fresh_database(server_url, "template0", request) as url:
        yield url


@pytest.fixture
def new_database(
    server_url: str, migrated_template: str, request: pytest.FixtureRequest
) -> Iterator[Callable[[], str]]:
    """Makes migrated databases, for a test that needs several or one per Hypothesis example."""
    with ExitStack() as opened:
        yield lambda: opened.enter_context(_fresh_database(server_url, migrated_template, request))


@contextmanager
def _fresh_database(server_url: str, template: str, request: pytest.FixtureRequest) -> Iterator[str]:
    """FILE_COPY copies the template's files; the other way writes each of their pages to the log too."""
    worker = os.environ.get("PYTEST_XDIST_WORKER", "main")
    name = f"{Path(request.config.stash[RUN]).name}_{worker}_{next(_numbers)}"
    create = sql.SQL("CREATE DATABASE {} TEMPLATE {} STRATEGY FILE_COPY")
    connection: psycopg.Connection = request.getfixturevalue("server_connection")
    connection.execute(create.format(sql.Identifier(name), sql.Identifier(template)))
    try:
        yield with_database(server_url, name)
    finally:
        _drop(connection, name)


def _drop(connection: psycopg.Connection, name: str) -> None:
    """FORCE ends what a failed test left connected."""
    known = connection.execute("SELECT datistemplate FROM pg_database WHERE datname = %s", [name]).fetchone()
    if known == (True,):
        connection.execute(sql.SQL("ALTER DATABASE {} WITH IS_TEMPLATE false").format(sql.Identifier(name)))
    connection.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name)))


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Every test has a name of its own, and in a worker the name says its group.

    Of several tests with one name, as Schemathesis makes them, parallel workers would run a single one. And pytest 9.2
    no longer looks where xdist 3.8 writes the group.
    """
    seen: Counter[str] = Counter()
    for item in items:
        name = item.nodeid
        seen[name] += 1
        if seen[name] > 1:
            name = f"{name}[{seen[name]}]"
        group = item.get_closest_marker("xdist_group")
        if group is not None and hasattr(config, "workerinput"):
            name = f"{name}@{group.args[0]}"
        if name != item.nodeid:
            item._id = type(item._id).parse(name)
