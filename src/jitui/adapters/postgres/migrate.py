"""Runs the SQL files of `migrations/versions` with Alembic, forward only.

A migration expands what the tables hold, so that the version before works on them too. One that takes something away
says which revision a program must know from then on, as its last statement: `COMMENT ON TABLE alembic_version IS
'0021'`. A program that is older than that refuses the database (docs/how-to/upgrade.md).

Alembic and SQLAlchemy take more than a second to import, so they are imported where there is something to migrate.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import psycopg

from jitui.adapters.postgres.pool import unavailable
from jitui.errors import BadInput, NotConfigured

if TYPE_CHECKING:
    from alembic.config import Config

_FOLDER = Path(__file__).parent / "migrations"
_NEWEST = "head"
READS_COMPRESSED = "0045"
"""From this revision on, programs read compressed answers. They are written where every program must know it."""
_STANDING = """
SELECT version_num, coalesce(obj_description('alembic_version'::regclass, 'pg_class'), '') FROM alembic_version
"""


@dataclass(frozen=True, slots=True)
class Standing:
    """Where a database is: its revision, None when it was never migrated, and the one that a program must know."""

    revision: str | None
    needs: str = ""

    @property
    def usable(self) -> bool:
        """Whether this version of the code can work on it, as it is."""
        return self.revision is not None and self.needs <= newest_revision() <= self.revision

    @property
    def too_new(self) -> bool:
        """Whether it lacks what this version of the code still uses."""
        return self.needs > newest_revision()


def upgrade(
    database_url: str,
    revision: str = _NEWEST,
    *,
    time_zone: str = "Asia/Shanghai",
    iso_amounts: Sequence[str] = (),
    single_person: bool = False,
) -> None:
    """Migrate a database to a revision; running it again changes nothing. A lock lets one process migrate at a time.

    One that a newer version has expanded stays as it is.

    `time_zone`: in which the buyers' days were counted, for migrations that count some of them again.
    `iso_amounts`: currencies whose stored amounts the operator says are in ISO 4217's minor units (revision 0006).
    `single_person`: one person may publish alone (revision 0019); said once, and only switched off afterwards.
    Raises Unavailable when the database cannot be reached, BadInput where a migration refuses the rows that it finds,
    NotConfigured where a newer version has taken away what this one uses.
    """
    wanted = newest_revision() if revision == _NEWEST else revision
    found = standing(database_url)
    if found.too_new:
        raise NotConfigured(
            f"A newer version of Jitui has changed this database: it needs a program that knows revision {found.needs},"
            f" and this one ends at {newest_revision()}. Install the newer version."
        )
    if found.revision is not None and found.revision >= wanted:
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
            alone = ("yes" if single_person else "no",)
            connection.exec_driver_sql("SELECT set_config('jitui.single_person', %s, true)", alone)
            config.attributes["connection"] = connection
            command.upgrade(config, revision)
            if found.revision is None and wanted >= READS_COMPRESSED:  # no earlier program was ever here
                connection.exec_driver_sql(f"COMMENT ON TABLE alembic_version IS '{READS_COMPRESSED}'")
    except DBAPIError as error:
        if isinstance(error.orig, psycopg.errors.RaiseException):
            raise BadInput(error.orig.diag.message_primary or str(error.orig)) from None
        raise


def current_revision(database_url: str) -> str | None:
    """The revision that a database is at; None when it was never migrated. Raises as `standing` does."""
    return standing(database_url).revision


def standing(database_url: str) -> Standing:
    """Where a database is.

    Raises Unavailable as `upgrade` does, and NotConfigured for a database in another encoding than UTF8.
    """
    with unavailable():
        connection = psycopg.connect(database_url)
    with connection:
        _refuse_encoding(connection)
        return standing_of(connection)


def standing_of(connection: psycopg.Connection) -> Standing:
    """The same of a connection."""
    known = connection.execute("SELECT to_regclass('alembic_version') IS NOT NULL").fetchone()
    row = connection.execute(_STANDING).fetchone() if known == (True,) else None
    return Standing(str(row[0]), str(row[1])) if row else Standing(None)


def _refuse_encoding(connection: psycopg.Connection) -> None:
    """In SQL_ASCII text comes back as bytes, and in others names of shops and buyers cannot be stored."""
    found = connection.info.parameter_status("server_encoding")
    if found != "UTF8":
        raise NotConfigured(
            f"The database {connection.info.dbname} has the encoding {found}, and Jitui needs UTF8:"
            f" CREATE DATABASE {connection.info.dbname} TEMPLATE template0 ENCODING 'UTF8'."
        )


def needs_two_people(database_url: str) -> bool:
    """Whether an installation is there, and is not for one person. Raises Unavailable."""
    with unavailable(), psycopg.connect(database_url) as connection:
        known = connection.execute("SELECT to_regclass('approval_mode') IS NOT NULL").fetchone()
        if known != (True,):
            return False
        return connection.execute("SELECT single_person FROM approval_mode").fetchone() == (False,)


def server_version(database_url: str) -> int:
    """PostgreSQL's version number, `170_002` for 17.2. Raises Unavailable."""
    with unavailable(), psycopg.connect(database_url, connect_timeout=10) as connection:
        return connection.info.server_version


@cache
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
