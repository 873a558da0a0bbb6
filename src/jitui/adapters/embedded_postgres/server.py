"""Starts a server or joins a running one, and leaves it; the last process to leave stops it."""

from __future__ import annotations

import fcntl
import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO
from urllib.parse import quote

from jitui.adapters.embedded_postgres.cluster import DATABASE, SUPERUSER, make_cluster, make_database
from jitui.adapters.embedded_postgres.place import Place, settle
from jitui.adapters.embedded_postgres.postmaster import (
    Postmaster,
    ServerOptions,
    find_postmaster,
    is_alive,
    launch_postmaster,
    stop_postmaster,
)


@dataclass(frozen=True, slots=True)
class EmbeddedServer:
    """This process's use of a running server; `url` is its database, `bin_folder` has psql and pgbench."""

    url: str
    pid: int
    folder: Path
    bin_folder: Path
    _place: Place = field(repr=False)
    _hold: BinaryIO = field(repr=False, compare=False)


DURABLE = ServerOptions()


def start(folder: Path, options: ServerOptions = DURABLE) -> EmbeddedServer:
    """Start the server of this folder, or join the running one; the folder and the cluster are created when missing.

    Raises NotConfigured for a folder that cannot be used (another major version, not ours, not writable) and
    Unavailable, with the end of the server's log, when the server is not ready within `start_seconds`.
    """
    place = settle(folder)
    with locked(place):
        hold = _hold(place)
        try:
            make_cluster(place)
            deadline = time.monotonic() + options.start_seconds
            postmaster = find_postmaster(place, deadline) or launch_postmaster(place, options, deadline)
            url = url_of(postmaster)
            make_database(url)
        except BaseException:
            hold.close()
            raise
    return EmbeddedServer(url, postmaster.pid, place.folder, place.bin_folder, place, hold)


def stop(server: EmbeddedServer) -> bool:
    """Leave the server, and stop it when no other process uses it; returns whether it was stopped."""
    if server._hold.closed:
        return False
    with locked(server._place):
        # Closing, not unlocking: a forked child that shares the descriptor still uses the server.
        server._hold.close()
        return not is_held(server._place) and stop_postmaster(server._place)


def crash(server: EmbeddedServer) -> None:
    """SIGKILL the server's first process and leave: the next start recovers. For those who test what survives it."""
    with locked(server._place):
        if is_alive(server.pid, server._place):
            os.kill(server.pid, signal.SIGKILL)
        server._hold.close()


def shut_down(folder: Path) -> bool:
    """Stop the server of this folder even while it is used; returns whether one ran."""
    if not (folder / "start.lock").exists():
        return False
    place = settle(folder)
    with locked(place):
        return stop_postmaster(place)


@contextmanager
def running(folder: Path, options: ServerOptions = DURABLE) -> Iterator[EmbeddedServer]:
    """Start the server, or join it, for the time of a `with` block."""
    server = start(folder, options)
    try:
        yield server
    finally:
        stop(server)


@contextmanager
def locked(place: Place) -> Iterator[None]:
    """One process at a time starts or stops the server; the others wait for it to finish."""
    with (place.folder / "start.lock").open("ab") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _hold(place: Place) -> BinaryIO:
    users = (place.folder / "users.lock").open("ab")
    fcntl.flock(users, fcntl.LOCK_SH)
    return users


def is_held(place: Place) -> bool:
    """Whether a living process uses the server."""
    with (place.folder / "users.lock").open("ab") as users:
        try:
            fcntl.flock(users, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False


def url_of(postmaster: Postmaster) -> str:
    """The address of our database on it."""
    host = quote(postmaster.socket_folder, safe="")
    return f"postgresql://{SUPERUSER}@/{DATABASE}?host={host}&port={postmaster.port}"
