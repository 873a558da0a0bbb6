"""Back-tests that run in processes of their own: begun, watched and stopped through the files of one folder.

The server may have several processes, and each may be asked about a run that another one began, so what is known of a
run lies in its folder. Two locks say the rest: that of the folder is held by the one process that runs, and that of a
run by its process, so that a run without an end whose lock is free was cut off.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import stat
import subprocess
import tempfile
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from pathlib import Path
from typing import TypeVar
from uuid import UUID

from msgspec import DecodeError, json

from jitui.child import command_of
from jitui.ids import new_id

KEPT_FOR = timedelta(hours=24)
MOST_KEPT = 10
CHILD = "jitui.entrypoints.console.risk.back_test_child"

_Kind = TypeVar("_Kind")


class Against(StrEnum):
    """What a back-test is compared with."""

    LIVE = "live"
    DECIDED = "decided"


class End(StrEnum):
    """How a back-test ended."""

    DONE = "done"
    STOPPED = "stopped"
    TOO_LONG = "too_long"
    TOO_LARGE = "too_large"
    FAILED = "failed"
    CUT_OFF = "cut_off"
    """Its process is gone and said nothing: the server was restarted, or the system ended it."""


@dataclass(frozen=True, slots=True)
class Wish:
    """What to do: the text, the live text if it is compared with it, and the days; 0: the whole history."""

    policy_id: str
    version: str
    sha256: str
    document: str
    live_document: str
    live_version: str
    against: Against
    days: int
    since: datetime | None
    time_zone: str
    begun_by: str
    begun_at: datetime


@dataclass(frozen=True, slots=True)
class Progress:
    """What is being done, and how many requests of how many; 0 of 0 when that is not known."""

    what: str = ""
    done: int = 0
    of: int = 0


@dataclass(frozen=True, slots=True)
class Ended:
    """How it ended; `said` is what the back-test itself says against it."""

    end: End
    said: str = ""


@dataclass(frozen=True, slots=True)
class Run:
    """A back-test; `ended` None: it runs."""

    run_id: UUID
    folder: Path
    wish: Wish
    progress: Progress
    ended: Ended | None


class NotBegun(StrEnum):
    """Why none was begun."""

    ANOTHER_RUNS = "another_runs"
    LIVE_CHANGED = "live_changed"
    NO_FOLDER = "no_folder"


def folder_of(database_url: str, *, make: bool = False) -> Path | None:
    """The folder of the service on this database, which only the own user of the system can read.

    None: there is none and none can be made, or it is somebody else's.
    """
    name = hashlib.sha256(database_url.encode()).hexdigest()[:16]
    folder = Path(tempfile.gettempdir()) / f"jitui-back-tests-{os.getuid()}-{name}"
    try:
        if make:
            folder.mkdir(mode=0o700, exist_ok=True)
        found = folder.lstat()
    except OSError:
        return None
    is_own = stat.S_ISDIR(found.st_mode) and found.st_uid == os.getuid() and not found.st_mode & 0o077
    return folder if is_own else None


def begin(folder: Path, wish: Wish, database_url: str) -> UUID | NotBegun:
    """Start a process for it, unless one runs: another one would take memory and processors from the service."""
    with (folder / "lock").open("ab") as only:
        if not _locked(only.fileno(), fcntl.LOCK_EX):
            return NotBegun.ANOTHER_RUNS
        tidy(folder, wish.begun_at, most=MOST_KEPT - 1)
        run_id = new_id(0)
        place = folder / str(run_id)
        place.mkdir(mode=0o700)
        with (place / "lock").open("ab") as own:
            fcntl.flock(own, fcntl.LOCK_EX)
            write(place / "wish.json", wish)
            _start(place, (only.fileno(), own.fileno()), database_url)
    return run_id


def _start(place: Path, locks: tuple[int, int], database_url: str) -> None:
    process = subprocess.Popen(
        command_of(CHILD, str(place)),
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        pass_fds=locks,  # the locks stay with the process until it ends, however it ends
        start_new_session=True,
    )
    assert process.stdin is not None
    with process.stdin as told:  # the address may have a password, which others could read among a command's words
        told.write(database_url.encode())
    threading.Thread(target=process.wait, name="back-test", daemon=True).start()


def stop(run: Run) -> None:
    """Ask its process to end, which it does within a second."""
    (run.folder / "stop").touch()


def find(folder: Path, run_id: UUID, now: datetime) -> Run | None:
    """The back-test with this id, if it is still kept."""
    run = _read(folder / str(run_id))
    return None if run is None or _is_over(run, now) else run


def runs(folder: Path, now: datetime) -> Iterator[Run]:
    """Those that are kept, the newest first."""
    for place in sorted(folder.iterdir(), key=lambda one: one.name, reverse=True):
        run = _read(place)
        if run is not None and not _is_over(run, now):
            yield run


def tidy(folder: Path, now: datetime, *, most: int = MOST_KEPT) -> None:
    """Remove what is not kept any longer; only called by who holds the folder's lock, so none of them runs."""
    kept = [run.folder for run in runs(folder, now)][:most]
    for place in folder.iterdir():
        if place.is_dir() and place not in kept:
            shutil.rmtree(place, ignore_errors=True)


def write(path: Path, value: object) -> None:
    """Write a value so that nobody reads half of it."""
    half = path.with_suffix(".half")
    half.write_bytes(json.encode(value))
    half.replace(path)


def _read(place: Path) -> Run | None:
    if not (place / "wish.json").is_file():
        return None
    try:
        wish = json.decode((place / "wish.json").read_bytes(), type=Wish)
        runs_now = _is_running(place)
        ended = _optional(place / "ended.json", Ended)
        progress = _optional(place / "progress.json", Progress) or Progress()
        run_id = UUID(place.name)
    except (OSError, ValueError, DecodeError):  # removed meanwhile
        return None
    return Run(run_id, place, wish, progress, ended or (None if runs_now else Ended(End.CUT_OFF)))


def _optional(path: Path, kind: type[_Kind]) -> _Kind | None:
    return json.decode(path.read_bytes(), type=kind) if path.is_file() else None


def _is_running(place: Path) -> bool:
    """Asked before the end is read: a process writes its end, and lets its lock go after that."""
    with (place / "lock").open("rb") as lock:
        return not _locked(lock.fileno(), fcntl.LOCK_SH)


def _is_over(run: Run, now: datetime) -> bool:
    return run.ended is not None and now - run.wish.begun_at > KEPT_FOR


def _locked(fd: int, kind: int) -> bool:
    try:
        fcntl.flock(fd, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
