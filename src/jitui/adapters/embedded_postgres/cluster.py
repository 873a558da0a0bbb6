"""The cluster in the data folder, which initdb makes once, and the database in it."""

from __future__ import annotations

import shutil
from importlib import metadata
from urllib.parse import quote, urlsplit

import psycopg

from jitui.adapters.embedded_postgres.place import PACKAGE, Place, run_as, tail
from jitui.errors import NotConfigured, Unavailable

SUPERUSER = "jitui"
DATABASE = "jitui"


def make_cluster(place: Place) -> None:
    """Run initdb in a temporary folder, then rename it: a killed initdb leaves nothing that looks like a cluster."""
    if place.data.exists():
        _check_version(place)
        return
    fresh = place.folder / "data.new"
    if fresh.exists():
        shutil.rmtree(fresh)
    locale = ["--encoding=UTF8", "--locale-provider=builtin", "--builtin-locale=C.UTF-8", "--locale=C"]
    access = [f"--username={SUPERUSER}", "--auth-local=trust", "--auth-host=reject"]
    command = [str(place.bin_folder / "initdb"), "--no-instructions", *locale, *access, "-D", str(fresh)]
    done = run_as(place.account, command)
    if done.returncode:
        raise Unavailable(f"PostgreSQL could not make its data folder {fresh}:\n{tail(done.stdout + done.stderr)}")
    fresh.rename(place.data)


def _check_version(place: Place) -> None:
    ours = metadata.version(PACKAGE).split(".")[0]
    try:
        found = (place.data / "PG_VERSION").read_text().strip()
    except FileNotFoundError:
        raise NotConfigured(f"{place.data} is not a PostgreSQL data folder; move it away to begin anew.") from None
    if found != ours:
        raise NotConfigured(
            f"{place.data} was made by PostgreSQL {found}, and this Jitui carries PostgreSQL {ours}."
            f" Keep the data: dump it with the Jitui that made it (its pg_dump), move {place.folder} away,"
            f" start this one and load the dump; or serve it from a PostgreSQL {found} and set"
            " JITUI_DATABASE_URL."
            f" Begin anew: move {place.folder} away."
        )


def make_database(url: str) -> None:
    """Create DATABASE on the server at this URL, unless it exists."""
    with psycopg.connect(with_database(url, "postgres"), autocommit=True) as connection:
        if connection.execute("SELECT FROM pg_database WHERE datname = %s", [DATABASE]).fetchone() is None:
            connection.execute(f'CREATE DATABASE "{DATABASE}"')


def with_database(url: str, database: str) -> str:
    """The URL of another database on the same server."""
    return urlsplit(url)._replace(path=f"/{quote(database, safe='')}").geturl()
