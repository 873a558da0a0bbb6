"""Migrations: Alembic runs the SQL files of `migrations/versions`, forward only."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, create_engine, pool
from sqlalchemy.exc import OperationalError

from jitui.errors import Unavailable

_FOLDER = Path(__file__).parent / "migrations"


def upgrade(database_url: str, revision: str = "head") -> None:
    """Bring a database to a revision; running it again changes nothing. Holds a lock, so two starters take turns.

    Raises Unavailable when the database cannot be reached.
    """
    config = _config()
    with _connected(database_url) as connection, connection.begin():
        connection.exec_driver_sql("SELECT pg_advisory_xact_lock(7405101)")
        config.attributes["connection"] = connection
        command.upgrade(config, revision)


def current_revision(database_url: str) -> str | None:
    """The revision that a database is at; None when it was never migrated."""
    with _connected(database_url) as connection:
        return MigrationContext.configure(connection).get_current_revision()


def newest_revision() -> str:
    """The revision that this version of the code needs."""
    head = ScriptDirectory.from_config(_config()).get_current_head()
    assert head is not None
    return head


@contextmanager
def _connected(database_url: str) -> Iterator[Connection]:
    try:
        connection = create_engine(_driver_url(database_url), poolclass=pool.NullPool).connect()
    except OperationalError as error:
        raise Unavailable(f"The database does not answer: {str(error.orig).strip()}") from error
    with connection:
        yield connection


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(_FOLDER))
    return config


def _driver_url(database_url: str) -> str:
    scheme, _, rest = database_url.partition("://")
    return f"postgresql+psycopg://{rest}" if scheme in ("postgresql", "postgres") else database_url
