"""The database and the provider simulator of a replay."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from urllib.parse import urlsplit

import psycopg
from psycopg import errors, sql

from jitui.adapters.embedded_postgres import with_database
from jitui.adapters.postgres.migrate import upgrade
from jitui.bootstrap import database
from jitui.demo.replay.provider import RunningSimulator, running_simulator
from jitui.errors import BadInput, Unavailable
from jitui.settings import Settings

DATABASE = "jitui_replay"


@dataclass(frozen=True, slots=True)
class ReplayEnvironment:
    """A migrated database and a running simulator; `settings` has both."""

    settings: Settings
    database_url: str
    simulator: RunningSimulator


@contextmanager
def open_environment(
    settings: Settings, *, database_url: str | None = None, fresh: bool = False
) -> Iterator[ReplayEnvironment]:
    """The named database, or `jitui_replay` on the configured or embedded server, created when it is missing.

    `fresh` deletes what an earlier replay left, database and books. Raises BadInput for `fresh` with a named database,
    Unavailable when the database cannot be created or another replay is using it.
    """
    if database_url is not None:
        if fresh:
            raise BadInput("--fresh drops only the replay's own database; empty the one that you name yourself.")
        with _on(settings, database_url) as environment:
            yield environment
        return
    with database(settings) as server_url:
        url = with_database(server_url, DATABASE)
        if fresh:
            _drop(server_url)
            _books_of(settings, url).unlink(missing_ok=True)
        _make(server_url)
        with _on(settings, url) as environment:
            yield environment


@contextmanager
def _on(settings: Settings, database_url: str) -> Iterator[ReplayEnvironment]:
    on_it = replace(settings, database_url=database_url)
    upgrade(database_url, time_zone=settings.time_zone.key, single_person=True)
    with database(on_it) as url, running_simulator(_books_of(settings, url)) as simulator:
        paid = replace(
            on_it,
            simulator_url=simulator.url,
            simulator_key=simulator.api_key,
            simulator_webhook_secret=simulator.webhook_secret,
        )
        yield ReplayEnvironment(paid, url, simulator)


def _books_of(settings: Settings, database_url: str) -> Path:
    """The file with the books for this database; they belong together, because both must know the same refunds."""
    parts = urlsplit(database_url)
    place = f"{parts.hostname or ''}:{parts.port or ''}?{parts.query}"
    name = f"{parts.path.strip('/') or DATABASE}-{hashlib.sha256(place.encode()).hexdigest()[:8]}.books"
    folder = settings.home / "replay"
    folder.mkdir(parents=True, exist_ok=True)
    return folder / name


def _make(server_url: str) -> None:
    with _connected(server_url) as connection:
        known = connection.execute("SELECT FROM pg_database WHERE datname = %s", [DATABASE]).fetchone()
        if known is None:
            connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(DATABASE)))


def _drop(server_url: str) -> None:
    with _connected(server_url) as connection:
        connection.execute(sql.SQL("DROP DATABASE IF EXISTS {}").format(sql.Identifier(DATABASE)))


@contextmanager
def _connected(server_url: str) -> Iterator[psycopg.Connection]:
    try:
        with psycopg.connect(server_url, autocommit=True) as connection:
            yield connection
    except errors.ObjectInUse:
        raise Unavailable(f"Another replay is at work on the database {DATABASE}; wait for it, or stop it.") from None
    except errors.InsufficientPrivilege:
        raise Unavailable(
            f"This server does not let us make the database {DATABASE}; name one that is there with --database-url."
        ) from None
