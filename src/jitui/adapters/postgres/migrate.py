"""Runs the SQL files of `migrations/versions` with Alembic, forward only.

Alembic and SQLAlchemy take more than a second to import, so they are imported only when there is something to migrate.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import psycopg

from jitui.adapters.postgres.pool import unavailable
from jitui.errors import BadInput

if TYPE_CHECKING:
    from alembic.config import Config

_FOLDER = Path(__file__).parent / "migrations"
_NEWEST = "head"


def upgrade(
    database_url: str,
    revision: str = _NEWEST,
    *,
    time_zone: str = "Asia/Shanghai",
    iso_amounts: Sequence[str] = (),
) -> None:
    """Migrate a database to a revision; running it again changes nothing. A lock lets one process migrate at a time.

    `time_zone`: the zone of the buyers' days, for migrations that count days again. `iso_amounts`: currencies whose
    stored amounts the operator declares to be in ISO 4217's minor units (revision 0006). Raises Unavailable when the
    database cannot be reached, BadInput when a migration refuses existing rows.
    """
    wanted = newest_revision() if revision == _NEWEST else revision
    if current_revision(database_url) == wanted:
        return
    from alembic import command
    from sqlalchemy import create_engine, pool
    from sqlalchemy.exc import DBAPIError

    config = _config()
    engine = create_engine(_driver_url(database_url), poolclass=pool.NullPool)
    try:
        with engine.begin() as connection:
            connection.exec_driver_sql("SELECT pg_advisory_xact_lock(7405101)")
            connection.exec_driver_sql("SELECT set_config('jitui.time_zone', %s, true)", (time_zone,))
            said = (",".join(iso_amounts),)
            connection.exec_driver_sql("SELECT set_config('jitui.iso_amounts', %s, true)", said)
            config.attributes["connection"] = connection
            command.upgrade(config, revision)
    except DBAPIError as error:
        if isinstance(error.orig, psycopg.errors.RaiseException):
            raise BadInput(error.orig.diag.message_primary or str(error.orig)) from None
        raise


def current_revision(database_url: str) -> str | None:
    """The revision of a database; None when it was never migrated. Raises Unavailable like `upgrade`."""
    with unavailable():
        connection = psycopg.connect(database_url)
    with connection:
        known = connection.execute("SELECT to_regclass('alembic_version') IS NOT NULL").fetchone()
        row = connection.execute("SELECT version_num FROM alembic_version").fetchone() if known == (True,) else None
    return str(row[0]) if row else None


def server_version(database_url: str) -> int:
    """PostgreSQL's version number, `170_002` for 17.2. Raises Unavailable."""
    with unavailable(), psycopg.connect(database_url, connect_timeout=10) as connection:
        return connection.info.server_version


def newest_revision() -> str:
    """The revision that this version of the code needs, from the file names of the migrations."""
    return max(path.name for path in (_FOLDER / "versions").glob("*.py")).partition("_")[0]


def _config() -> Config:
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(_FOLDER))
    return config


def _driver_url(database_url: str) -> str:
    scheme, _, rest = database_url.partition("://")
    return f"postgresql+psycopg://{rest}" if scheme in ("postgresql", "postgres") else database_url
