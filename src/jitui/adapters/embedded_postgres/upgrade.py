"""The data of an older major version brought to this one's by pg_upgrade, which needs the programs of both.

`data` stays as it is until everything has been copied into `data.upgrading`. Then `data.upgrading` becomes
`data.upgraded`, `data` becomes `data.NN`, and `data.upgraded` becomes `data`: a process that is killed between any two
of these steps leaves data that the next call finishes or begins anew. Reasons: docs/decisions/0026.
"""

from __future__ import annotations

import re
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar

import psycopg

from jitui.adapters.embedded_postgres.cluster import (
    DATABASE,
    SUPERUSER,
    UPGRADED,
    carried_version,
    data_version,
    initdb,
    unfinished_upgrade,
    with_database,
)
from jitui.adapters.embedded_postgres.place import Place, run_as, settle, tail
from jitui.adapters.embedded_postgres.postmaster import (
    ServerOptions,
    launch_postmaster,
    socket_folder,
    stop_postmaster,
)
from jitui.adapters.embedded_postgres.server import is_held, locked, url_of
from jitui.errors import NotConfigured, Unavailable

UPGRADING = "data.upgrading"
_Seen = TypeVar("_Seen")


@dataclass(frozen=True, slots=True)
class Upgraded:
    """From which version to which, and where the old data lie now."""

    old: str
    new: str
    kept: Path


def upgrade_data(
    folder: Path,
    old_bin: Path,
    options: ServerOptions,
    *,
    look: Callable[[str], _Seen],
    finish: Callable[[str, _Seen], None],
) -> Upgraded | None:
    """Upgrade the data in this folder; None when there is nothing to do.

    `look` gets the address of the old server while nobody else uses it. `finish` gets the address of the new one, and
    what `look` returned, before the new data take the old ones' place.
    Raises NotConfigured for programs of another version and Unavailable for a server that is in use, does not come up,
    or could not be copied; the old data are as they were then.
    """
    if not folder.exists():
        return None
    place = settle(folder)
    with locked(place):
        if is_held(place):
            raise Unavailable(f"The server in {place.folder} is in use; stop everything of Jitui first.")
        if (kept := unfinished_upgrade(place)) is not None:
            (place.folder / UPGRADED).rename(place.data)
            return Upgraded(kept.suffix.lstrip("."), carried_version(), kept)
        if not place.data.exists() or data_version(place) == carried_version():
            return None
        return _upgrade(place, old_bin.absolute(), options, look, finish)


def _upgrade(
    place: Place,
    old_bin: Path,
    options: ServerOptions,
    look: Callable[[str], _Seen],
    finish: Callable[[str, _Seen], None],
) -> Upgraded:
    found = data_version(place)
    kept = place.folder / f"data.{found}"
    if kept.exists():
        raise NotConfigured(f"{kept} is there already, from an earlier upgrade; delete it or move it away.")
    old = replace(place, bin_folder=_programs_of(found, old_bin, place))
    fresh = replace(place, data_name=UPGRADING)
    for left in (place, fresh):
        stop_postmaster(left)  # of a call that was killed
    with _running(old, options) as url:  # it recovers what a crash left, which pg_upgrade would refuse
        seen, counted = look(url), _count(url)
    _copy(old, fresh, durable=options.durable)
    with _running(fresh, options) as url:
        _analyze(url)
        _compare(_count(url), counted)
        finish(url, seen)
    upgraded = fresh.data.rename(place.folder / UPGRADED)
    place.data.rename(kept)
    upgraded.rename(place.data)
    return Upgraded(found, carried_version(), kept)


@contextmanager
def _running(place: Place, options: ServerOptions) -> Iterator[str]:
    """Its server, for us alone: whoever wants to join waits for the start lock."""
    postmaster = launch_postmaster(place, options, time.monotonic() + options.start_seconds)
    try:
        yield url_of(postmaster)
    finally:
        stop_postmaster(place)


def _programs_of(version: str, old_bin: Path, place: Place) -> Path:
    """The folder, when what is in it runs and is of the version that made the data."""
    try:
        said = run_as(place.account, [str(old_bin / "postgres"), "--version"]).stdout
    except OSError:
        said = ""
    found = re.search(r"\b(\d+)[.\d]*", said)
    if found is None or not (old_bin / "pg_ctl").exists():
        raise NotConfigured(f"{old_bin} has no programs of PostgreSQL that the server's account can run.")
    if found[1] != version:
        raise NotConfigured(f"{old_bin} has PostgreSQL {found[1]}, and the data were made by PostgreSQL {version}.")
    return old_bin


def _copy(old: Place, fresh: Place, *, durable: bool) -> None:
    """Make `fresh` by pg_upgrade, with everything of the old data."""
    work = old.folder / "upgrade"
    for left in (fresh.data, old.folder / UPGRADED, work):
        if left.exists():
            shutil.rmtree(left)
    initdb(fresh, fresh.data, checksums=_has_checksums(old))
    work.mkdir(mode=0o700)
    if old.account is not None:
        shutil.chown(work, old.account.uid, old.account.gid)
    command = [str(fresh.bin_folder / "pg_upgrade"), f"--username={SUPERUSER}", f"--socketdir={socket_folder(old)}"]
    command += ["--old-bindir", str(old.bin_folder), "--new-bindir", str(fresh.bin_folder)]
    command += ["--old-datadir", str(old.data), "--new-datadir", str(fresh.data)]
    done = run_as(old.account, command if durable else [*command, "--no-sync"], folder=work)
    if done.returncode:
        raise Unavailable(f"pg_upgrade left with {done.returncode}:\n{tail(done.stdout + done.stderr)}")
    shutil.rmtree(work)


def _has_checksums(old: Place) -> bool:
    """pg_upgrade takes data with checksums to data with checksums, and without to without."""
    said = run_as(old.account, [str(old.bin_folder / "pg_controldata"), str(old.data)]).stdout
    found = re.search(r"^Data page checksum version: +(\d+)$", said, flags=re.MULTILINE)
    if found is None:
        raise Unavailable(f"pg_controldata does not say whether {old.data} has checksums:\n{tail(said)}")
    return found[1] != "0"


def _analyze(url: str) -> None:
    """Planning needs figures of the tables, which older versions do not hand over."""
    with psycopg.connect(with_database(url, DATABASE), autocommit=True) as connection:
        connection.execute("ANALYZE")


def _compare(found: dict[str, int], counted: dict[str, int]) -> None:
    """Every table of our database has as many rows as before. Raises Unavailable, naming the tables, otherwise."""
    differ = sorted(name for name in found.keys() | counted.keys() if found.get(name) != counted.get(name))
    if differ:
        raise Unavailable(f"The upgraded data differ in {', '.join(differ)}; the old data are as they were.")


def _count(url: str) -> dict[str, int]:
    """Rows of each table of our database; none where it has no tables."""
    with psycopg.connect(with_database(url, DATABASE)) as connection:
        names = connection.execute(
            "SELECT oid::regclass::text FROM pg_class WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace"
        ).fetchall()
        counts = [connection.execute(f"SELECT count(*) FROM {name}".encode()).fetchone() for (name,) in names]
    return {str(name): int(row[0]) for (name,), row in zip(names, counts, strict=True) if row}
