"""Base backups of a running server, and standbys that follow one: for tests and for the simulation of a failover."""

from __future__ import annotations

from pathlib import Path

import psycopg
from psycopg import sql

from jitui.adapters.embedded_postgres.place import run_as, settle
from jitui.adapters.embedded_postgres.postmaster import ServerOptions
from jitui.adapters.embedded_postgres.server import DURABLE, EmbeddedServer, locked, start
from jitui.errors import Unavailable

STANDBY = "standby"


def base_backup(server: EmbeddedServer, folder: Path, *options: str) -> None:
    """A copy of the server's files as of now; `start` on the folder starts it. Raises Unavailable."""
    place = settle(folder)
    with locked(place):
        tool = str(place.bin_folder / "pg_basebackup")
        source = f"{server.url}&application_name={STANDBY}"
        done = run_as(place.account, [tool, "--checkpoint=fast", "-D", str(place.data), "-d", source, *options])
    if done.returncode:
        raise Unavailable(f"pg_basebackup failed: {done.stderr.strip()}")


def start_standby(primary: EmbeddedServer, folder: Path, options: ServerOptions = DURABLE) -> EmbeddedServer:
    """A second server that follows the first; from now on the first waits for it at every commit."""
    base_backup(primary, folder, "--write-recovery-conf")
    standby = start(folder, options)
    with psycopg.connect(primary.url, autocommit=True) as connection:
        name = sql.Literal(STANDBY)
        connection.execute(sql.SQL("ALTER SYSTEM SET synchronous_standby_names = {}").format(name))
        connection.execute("SELECT pg_reload_conf()")
    return standby


def promote(standby: EmbeddedServer) -> None:
    """The standby becomes a primary, with a timeline of its own."""
    with psycopg.connect(standby.url, autocommit=True) as connection:
        connection.execute("ALTER SYSTEM RESET synchronous_standby_names")  # it has no standby of its own
        connection.execute("SELECT pg_promote()")
