"""Starts, finds and stops the server's processes, and cleans up after a crash; every caller holds the start lock."""

from __future__ import annotations

import os
import shlex
import stat
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

import psutil

from jitui.adapters.embedded_postgres.place import Place, run_as, short_hash, tail
from jitui.errors import Unavailable

_SOCKET_NAME = ".s.PGSQL.5432"
_SOCKET_PATH_BYTES = 103  # 107 on Linux, 103 on macOS
_STOP_SECONDS = 60
_LOG_BYTES = 16 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class ServerOptions:
    """How the server is run by the process that starts it; processes that join a running server cannot change this."""

    durable: bool = True
    """False is faster, but a power cut may lose data; it is meant for tests."""
    start_seconds: float = 120.0
    """How long to wait for a server that is still recovering."""
    shared_buffers_mb: int = 256
    max_connections: int = 200


@dataclass(frozen=True, slots=True)
class Postmaster:
    """What postmaster.pid says about the running server."""

    pid: int
    port: int
    socket_folder: str
    ready: bool


def find_postmaster(place: Place, deadline: float) -> Postmaster | None:
    """The running server, once it is ready; None when there is none, or when it ended meanwhile."""
    while (postmaster := _alive_postmaster(place)) is not None and not postmaster.ready:
        if time.monotonic() > deadline:
            raise _too_slow(place)
        time.sleep(0.05)
    return postmaster


def launch_postmaster(place: Place, options: ServerOptions, deadline: float) -> Postmaster:
    """Start the server where none runs. Raises Unavailable when it is not ready by the deadline."""
    sockets = socket_folder(place)
    _clear_remains(place, sockets, deadline)
    if place.log.exists() and place.log.stat().st_size > _LOG_BYTES:
        place.log.replace(place.log.with_suffix(".log.1"))
    settings = _server_settings(options, sockets)
    server_options = shlex.join(word for name, value in settings.items() for word in ("-c", f"{name}={value}"))
    seconds = max(1, round(deadline - time.monotonic()))
    command = ["start", "--wait", f"--timeout={seconds}", f"--log={place.log}", f"--options={server_options}"]
    done = _pg_ctl(place, command)
    postmaster = _alive_postmaster(place)
    if postmaster is None:
        raise Unavailable(f"PostgreSQL did not start in {place.folder}. {_end_of_log(place)}")
    if done.returncode or not postmaster.ready:
        raise _too_slow(place)
    return postmaster


def stop_postmaster(place: Place) -> bool:
    """Stop the server even while it is used; returns whether one ran. Raises Unavailable when it does not stop."""
    postmaster = _alive_postmaster(place)
    if postmaster is None:
        return False
    wait = ["--wait", f"--timeout={_STOP_SECONDS}"]
    # 'immediate' loses nothing that was committed: the next start recovers from the log.
    for mode in ("fast", "immediate"):
        if _pg_ctl(place, ["stop", f"--mode={mode}", *wait]).returncode == 0:
            return True
    raise Unavailable(f"PostgreSQL (process {postmaster.pid}) does not stop. {_end_of_log(place)}")


def _server_settings(options: ServerOptions, socket_folder: Path) -> dict[str, str]:
    quoted = str(socket_folder).replace('"', '""')
    settings = {
        "listen_addresses": "",
        "port": "5432",  # only a part of the socket's name: the server does not listen on the network
        "unix_socket_directories": f'"{quoted}"',
        "unix_socket_permissions": "0700",
        "max_connections": str(options.max_connections),
        "shared_buffers": f"{options.shared_buffers_mb}MB",
        "max_wal_size": "2GB",
        "jit": "off",
        "timezone": "UTC",
        "log_timezone": "UTC",
        "log_line_prefix": "%m [%p] ",
    }
    if not options.durable:
        settings |= {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}
    return settings


def socket_folder(place: Place) -> Path:
    """Its socket's: the server's own, or a short private one in /tmp where that path is too long for a socket."""
    if len(os.fsencode(place.folder / _SOCKET_NAME)) <= _SOCKET_PATH_BYTES:
        return place.folder
    short = Path("/tmp") / f"jitui-{short_hash(place.folder)}"
    owner = place.account.uid if place.account else os.geteuid()
    try:
        short.mkdir(mode=0o700)
        if place.account:
            os.chown(short, place.account.uid, place.account.gid)
    except FileExistsError:
        found = short.lstat()  # anybody can make a folder in /tmp, so it must be ours and private
        if not stat.S_ISDIR(found.st_mode) or found.st_uid != owner or found.st_mode & 0o077:
            raise Unavailable(f"{short} is not ours, and PostgreSQL needs it for its socket; remove it.") from None
    return short


def _clear_remains(place: Place, socket_folder: Path, deadline: float) -> None:
    """Clean up after a crash: wait until orphaned back ends have ended, and delete lock files with a reused process id.

    PostgreSQL deletes a stale lock file itself, unless a process has the id in it: another program (after a restart of
    a container), or the dead server while it is a zombie. Then PostgreSQL would never start again.
    """
    while _read_postmaster(place) and _orphans(place) and time.monotonic() < deadline:
        time.sleep(0.05)
    for lock_file in (place.data / "postmaster.pid", socket_folder / f"{_SOCKET_NAME}.lock"):
        pid = _pid_in(_lines(lock_file))
        if pid is not None and psutil.pid_exists(pid) and not is_alive(pid, place):
            lock_file.unlink()


def _orphans(place: Place) -> bool:
    return any(_works_in(process, place.data) for process in psutil.process_iter())


def is_alive(pid: int, place: Place) -> bool:
    """Whether the process is our server; ids are reused, but only our server works in this data folder."""
    try:
        return _works_in(psutil.Process(pid), place.data)
    except psutil.NoSuchProcess:
        return False


def _works_in(process: psutil.Process, data: Path) -> bool:
    try:
        return process.name() == "postgres" and Path(process.cwd()).samefile(data)
    except (psutil.Error, OSError):  # ended, a zombie, or another user's
        return False


def _alive_postmaster(place: Place) -> Postmaster | None:
    postmaster = _read_postmaster(place)
    return postmaster if postmaster is not None and is_alive(postmaster.pid, place) else None


def _read_postmaster(place: Place) -> Postmaster | None:
    lines = _lines(place.data / "postmaster.pid")
    pid = _pid_in(lines)
    if pid is None:
        return None
    if len(lines) < 8:  # it is written line by line while the server starts
        return Postmaster(pid, 0, "", ready=False)
    return Postmaster(pid, int(lines[3]), lines[4], ready=lines[7].strip() == "ready")


def _lines(lock_file: Path) -> list[str]:
    try:
        return lock_file.read_text().splitlines()
    except FileNotFoundError:
        return []


def _pid_in(lines: list[str]) -> int | None:
    return int(lines[0]) if lines and lines[0].strip().isdigit() else None


def _pg_ctl(place: Place, words: list[str]) -> subprocess.CompletedProcess[str]:
    return run_as(place.account, [str(place.bin_folder / "pg_ctl"), "-D", str(place.data), "--silent", *words])


def _too_slow(place: Place) -> Unavailable:
    return Unavailable(
        f"PostgreSQL in {place.folder} is not ready yet. It goes on recovering; start again to wait for it,"
        f" or allow more time with JITUI_EMBEDDED_START_SECONDS. {_end_of_log(place)}"
    )


def _end_of_log(place: Place) -> str:
    try:
        text = place.log.read_text(errors="replace")
    except OSError as error:
        return f"Its log cannot be read ({error})."
    return f"The end of its log, {place.log}:\n{tail(text)}"
