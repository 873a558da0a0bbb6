"""The cluster in the data folder, which initdb makes once, and the database in it."""

from __future__ import annotations

import shutil
from importlib import metadata
from pathlib import Path
from urllib.parse import quote, urlsplit

import psycopg

from jitui.adapters.embedded_postgres.place import PACKAGE, Place, run_as, tail
from jitui.errors import NotConfigured, Unavailable

SUPERUSER = "jitui"
DATABASE = "jitui"
UPGRADED = "data.upgraded"
"""Data of an upgrade that is complete but for its name."""


def make_cluster(place: Place) -> None:
    """Run initdb in a temporary folder, then rename it: a killed initdb leaves nothing that looks like a cluster."""
    if place.data.exists():
        _check_version(place)
        return
    if unfinished_upgrade(place) is not None:
        raise NotConfigured(
            f"An upgrade of {place.folder} was interrupted at its end."
            " Run the same `jitui upgrade-database` again: it goes on where it was."
        )
    fresh = place.folder / "data.new"
    if fresh.exists():
        shutil.rmtree(fresh)
    initdb(place, fresh)
    fresh.rename(place.data)


def initdb(place: Place, fresh: Path, *, checksums: bool = True) -> None:
    """A new data folder. Raises Unavailable with what initdb said."""
    locale = ["--encoding=UTF8", "--locale-provider=builtin", "--builtin-locale=C.UTF-8", "--locale=C"]
    access = [f"--username={SUPERUSER}", "--auth-local=trust", "--auth-host=reject"]
    pages = "--data-checksums" if checksums else "--no-data-checksums"
    command = [str(place.bin_folder / "initdb"), "--no-instructions", *locale, *access, pages, "-D", str(fresh)]
    done = run_as(place.account, command)
    if done.returncode:
        raise Unavailable(f"PostgreSQL could not make its data folder {fresh}:\n{tail(done.stdout + done.stderr)}")


def unfinished_upgrade(place: Place) -> Path | None:
    """The old data of an upgrade that was killed when only the new data's name was missing."""
    if place.data.exists() or not (place.folder / UPGRADED).exists():
        return None
    return next((path for path in place.folder.glob("data.*") if path.suffix[1:].isdigit()), None)


def carried_version() -> str:
    """The major version of the PostgreSQL that comes with Jitui."""
    return metadata.version(PACKAGE).split(".")[0]


def data_version(place: Place) -> str:
    """The major version that made the data. Raises NotConfigured for a folder that is no cluster."""
    try:
        return (place.data / "PG_VERSION").read_text().strip()
    except FileNotFoundError:
        raise NotConfigured(f"{place.data} is not a PostgreSQL data folder; move it away to begin anew.") from None


def _check_version(place: Place) -> None:
    ours, found = carried_version(), data_version(place)
    if found != ours:
        raise NotConfigured(
            f"{place.data} was made by PostgreSQL {found}, and this Jitui carries PostgreSQL {ours}."
            f" Install the programs of PostgreSQL {found} and run `jitui upgrade-database --old-bin FOLDER`,"
            f" such as /usr/lib/postgresql/{found}/bin; or serve the data from a PostgreSQL {found} and set"
            f" JITUI_DATABASE_URL. Begin anew: move {place.folder} away."
        )


def make_database(url: str) -> None:
    """Create DATABASE on the server at this URL, unless it exists."""
    with psycopg.connect(with_database(url, "postgres"), autocommit=True) as connection:
        if connection.execute("SELECT FROM pg_database WHERE datname = %s", [DATABASE]).fetchone() is None:
            connection.execute(f'CREATE DATABASE "{DATABASE}"')


def with_database(url: str, database: str) -> str:
    """The URL of another database on the same server."""
    return urlsplit(url)._replace(path=f"/{quote(database, safe='')}").geturl()
