"""`jitui history import csv|parquet|xlsx`: turns files of other systems into the tables of a history, by a map."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from shutil import rmtree
from zoneinfo import ZoneInfo

import duckdb

from jitui.backtest.history import assemble, derived_events
from jitui.backtest.history.joins import Join, check_joins
from jitui.backtest.history.mapped_fields import SHARED, check_fields, full_name, tables_of, with_full_names
from jitui.backtest.history.staged_tables import Found, Rows, Work, absent_fields, rows_of_tables
from jitui.backtest.history.staging import Source, Staged, stage
from jitui.backtest.new_folder import new_folder, write_assumptions
from jitui.errors import BadInput
from jitui.tabular.batches import ReadOptions, format_of, open_batches, reading_by
from jitui.tabular.cells import Unreadable, read_moment
from jitui.tabular.mapping import FileMap, RowMap, with_changes
from jitui.tabular.shown import shown
from jitui.time_zones import named_zone

FORMATS = ("csv", "parquet", "xlsx")
_SUFFIXES = {"csv": (".csv", ".csv.gz", ".tsv", ".txt"), "parquet": (".parquet", ".pq"), "xlsx": (".xlsx", ".xlsm")}
MEMORY_MIB = 384
_VERSION = "1"
"""The version of staged files; after a change they are staged again."""

Progress = Callable[[str, int, int], None]


@dataclass(frozen=True, slots=True)
class MappedImportSpec:
    """What to import: files or folders of one format, the maps that may read them, and the options of the command."""

    format_name: str
    paths: Sequence[Path]
    maps: Sequence[FileMap]
    columns: dict[str, str] = field(default_factory=dict)
    constants: dict[str, str] = field(default_factory=dict)
    time_zone: str | None = None
    encoding: str | None = None
    delimiter: str | None = None
    complete_from: str | None = None


@dataclass(frozen=True, slots=True)
class MappedImport:
    """What came of it. `empty`: tables of which no row could be taken; `unchanged`: it was there already.

    `held`: whether it held when it was written, where it was there already.
    """

    folder: Path
    files: tuple[Staged, ...] = ()
    rows: dict[str, int] = field(default_factory=dict)
    found: tuple[Found, ...] = ()
    joins: tuple[Join, ...] = ()
    complete_kinds: tuple[str, ...] = ()
    empty: tuple[str, ...] = ()
    left_files: tuple[str, ...] = ()
    same_files: tuple[str, ...] = ()
    unchanged: bool = False
    held: bool = True

    @property
    def bad_rows(self) -> int:
        """The rows of all files that could not be read completely."""
        return sum(one.bad_rows for one in self.files)

    @property
    def holds(self) -> bool:
        """Whether every row was taken, no two contradict each other, and each table has some."""
        return self.held and not (self.bad_rows or self.empty or any(one.is_fault for one in self.found))


def import_mapped(
    spec: MappedImportSpec, out: Path, progress: Progress = lambda _what, _done, _of: None
) -> MappedImport:
    """Write the folder `out`, which appears only when it is complete; the same files and maps again change nothing.

    What an interrupted import has read is in `.NAME.staged` beside it, and is not read again. Raises BadInput for maps
    and files that do not fit, and for tables that share no key.
    """
    complete_from = _complete_from(spec)
    files, left = _files(spec)
    sources, same = _sources(spec, files)
    asked = _fingerprint(spec, sources)
    there = _assumptions_in(out)
    if there.get("of_these_files") == asked:
        return MappedImport(out, unchanged=True, held=there.get("holds") is True)
    with new_folder(out) as folder:
        staging = out.with_name(f".{out.name}.staged")
        _begin_staging(staging, asked)
        try:
            staged = []
            for number, source in enumerate(sources):
                name = f"Reading {source.path.name}"
                staged.append(stage(source, number, staging, partial(progress, name)))
            progress("Writing tables", 0, 0)
            done = _assembled(sources, staged, staging, folder, complete_from)
        except BadInput:  # other files or maps are needed, for which what was read is of no use
            rmtree(staging, ignore_errors=True)
            raise
        done = replace(done, folder=out, left_files=left, same_files=same)
        write_assumptions(folder, _about(spec, sources, done, asked))
    rmtree(staging, ignore_errors=True)
    return done


def _complete_from(spec: MappedImportSpec) -> datetime | None:
    if spec.complete_from is None:
        return None
    found = read_moment(spec.complete_from, _zone(spec.time_zone))
    if isinstance(found, Unreadable):
        raise BadInput(f"--complete-from: {found.reason}.", path="--complete-from")
    return found.astimezone(UTC)


# Which files, by which map ----------------------------------------------------------------------------------------


def _files(spec: MappedImportSpec) -> tuple[dict[Path, dict[str, str]], tuple[str, ...]]:
    """The files with the partition columns of their folders; and the files that an import wrote, which are ignored."""
    files: dict[Path, dict[str, str]] = {}
    left: list[str] = []
    for path in spec.paths:
        if not path.is_dir():
            files[path] = {}
            continue
        inside = sorted(one for one in path.rglob("*") if one.is_file() and one.name[0] not in "._")
        rejected = [one for one in inside if ".rejected." in one.name]
        left += map(str, rejected)
        taken = [one for one in inside if one not in rejected]
        other = next((one for one in taken if not one.name.lower().endswith(_SUFFIXES[spec.format_name])), None)
        if other is not None:
            raise BadInput(
                f"{path} has {other.name}, which is not {spec.format_name}: name the files, or keep each format in a"
                " folder of its own.",
                path=str(other),
            )
        if not taken:
            raise BadInput(f"{path} has no file.", path=str(path))
        files |= {one: _partitions(path, one) for one in taken}
    for file in files:
        found = format_of(file)
        if found != spec.format_name:
            raise BadInput(
                f"{file} is {found}, not {spec.format_name}: say `jitui history import {found}`.", path=str(file)
            )
    return files, tuple(left)


def _partitions(folder: Path, file: Path) -> dict[str, str]:
    pairs = (part.partition("=") for part in file.relative_to(folder).parts[:-1])
    return {name: value for name, sign, value in pairs if sign}


def _sources(spec: MappedImportSpec, files: Mapping[Path, dict[str, str]]) -> tuple[list[Source], tuple[str, ...]]:
    """Every file with its map, each content once, and which are copies."""
    said, maps = _said(spec)
    found = [_source(spec, said, maps, file, partitions) for file, partitions in files.items()]
    there = {name for _, columns in found for name in columns}
    absent = next((column for column in spec.columns.values() if column not in there), None)
    if absent is not None:
        raise BadInput(f"No file has the column {shown(absent)} of --map.", path="--map")
    return _without_copies([source for source, _ in found])


@dataclass(frozen=True, slots=True)
class _Said:
    """What --map and --set say by our full names, and the row maps for which each of them is said."""

    columns: Mapping[str, str]
    constants: Mapping[str, str]
    where: Mapping[str, Sequence[RowMap]]

    def changed(self, row: RowMap, columns: Sequence[str]) -> RowMap:
        """The row map of a file with these columns; a column of --map may be another file's."""
        here = {name for name, rows in self.where.items() if row in rows}
        return with_changes(
            row,
            {name: column for name, column in self.columns.items() if name in here and column in columns},
            {name: value for name, value in self.constants.items() if name in here},
        )


def _said(spec: MappedImportSpec) -> tuple[_Said, list[FileMap]]:
    """What is said beside the maps, and these with full names; one map alone needs the columns of --map."""
    columns = {full_name(name): column for name, column in spec.columns.items()}
    constants = {full_name(name): value for name, value in spec.constants.items()}
    maps = [with_full_names(one) for one in spec.maps]
    if spec.encoding:
        maps = [replace(one, encodings=(spec.encoding,)) for one in maps]
    if len(maps) == 1:
        maps = [replace(maps[0], needs=(*maps[0].needs, *columns.values()))]
    rows = [row for one in maps for row in one.rows]
    return _Said(columns, constants, {name: _telling(name, rows) for name in (*columns, *constants)}), maps


def _telling(name: str, rows: Sequence[RowMap]) -> Sequence[RowMap]:
    """The row maps that have the field, else those that have its table, else all; all for a field of every row."""
    if name in SHARED:
        return rows
    having = [row for row in rows if name in row.fields]
    return having or [row for row in rows if name.partition(".")[0] in tables_of(row.fields)] or rows


def _source(
    spec: MappedImportSpec, said: _Said, maps: Sequence[FileMap], file: Path, partitions: dict[str, str]
) -> tuple[Source, tuple[str, ...]]:
    """The file with the one map that fits its columns, and these."""
    fitting: list[tuple[FileMap, tuple[str, ...]]] = []
    columns_by: dict[ReadOptions, tuple[str, ...]] = {}
    for one in maps:
        reading = reading_by(one, spec.delimiter)
        if reading not in columns_by:
            columns_by[reading] = _columns(file, reading, partitions)
        columns = columns_by[reading]
        if one.fits(columns):
            fitting.append((one, columns))
        elif len(maps) == 1:
            raise BadInput(
                f"{file} has no column {' and no column '.join(map(repr, one.missing(columns)))}; it has"
                f" {', '.join(name for name in columns if name)}.",
                path=str(file),
            )
    if len(fitting) != 1:
        names = ", ".join(one.name for one in ([one for one, _ in fitting] or maps))
        what = "fits several maps" if fitting else "fits none of the maps"
        raise BadInput(f"{file} {what}: {names}. A map names the columns that it needs in `needs`.", path=str(file))
    found, columns = fitting[0]
    found = replace(found, rows=tuple(said.changed(row, columns) for row in found.rows))
    check_fields(found)
    zone = _zone(spec.time_zone or found.rules.time_zone)
    with file.open("rb") as opened:
        sha256 = hashlib.file_digest(opened, "sha256").hexdigest()
    return Source(file, found, zone, spec.delimiter, sha256, partitions), columns


def _columns(file: Path, reading: ReadOptions, partitions: dict[str, str]) -> tuple[str, ...]:
    columns = open_batches(file, reading).columns
    twice = next((name for name in partitions if name in columns), None)
    if twice is not None:
        raise BadInput(f"{file}: {twice!r} is a column and a folder's name too.", path=str(file))
    return (*columns, *partitions)


def _zone(name: str | None) -> ZoneInfo | None:
    if not name:
        return None
    zone = named_zone(name)
    if zone is None:
        raise BadInput(f"There is no time zone {name!r}; name one as Asia/Shanghai.", path="--time-zone")
    return zone


def _without_copies(sources: Sequence[Source]) -> tuple[list[Source], tuple[str, ...]]:
    """The files with different content; a file that was given twice, or a copy, adds nothing."""
    first: dict[str, Source] = {}
    for source in sources:
        first.setdefault(source.sha256, source)
    same = tuple(
        f"{one.path} is the same as {first[one.sha256].path}" for one in sources if first[one.sha256] is not one
    )
    return list(first.values()), same


# Repetition and interruption ---------------------------------------------------------------------------------------


def _fingerprint(spec: MappedImportSpec, sources: Sequence[Source]) -> str:
    parts = [_VERSION, duckdb.__version__, spec.time_zone, spec.encoding, spec.delimiter, spec.complete_from]
    for source in sources:
        parts += [source.path.name, source.sha256, source.file_map.fingerprint(), repr(source.partitions)]
    return hashlib.sha256(repr(parts).encode()).hexdigest()


def _assumptions_in(out: Path) -> dict[str, object]:
    """What an import into this folder has noted; nothing where there was none."""
    try:
        about = json.loads((out / "assumptions.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return about if isinstance(about, dict) else {}


def _begin_staging(staging: Path, asked: str) -> None:
    """Use the staging folder of an interrupted import of the same files, or make a new one."""
    note = staging / "of_these_files"
    if not note.is_file() or note.read_text() != asked:
        rmtree(staging, ignore_errors=True)
        staging.mkdir(parents=True)
        note.write_text(asked)


def _about(spec: MappedImportSpec, sources: Sequence[Source], done: MappedImport, asked: str) -> dict[str, object]:
    return {
        "of_these_files": asked,
        "holds": done.holds,
        "files": {
            source.path.name: {
                "map": source.file_map.name,
                "rows": one.rows,
                "bad_rows": one.bad_rows,
                "sha256": source.sha256,
            }
            for source, one in zip(sources, done.files, strict=True)
        },
        "constants": spec.constants,
        "time_zone": spec.time_zone,
        "rows": done.rows,
        "found": [asdict(one) for one in done.found],
        "complete_from": spec.complete_from if done.complete_kinds else None,
        "complete_kinds": done.complete_kinds,
    }


# Tables -----------------------------------------------------------------------------------------------------------


def _assembled(
    sources: Sequence[Source], staged: Sequence[Staged], staging: Path, folder: Path, complete_from: datetime | None
) -> MappedImport:
    maps = [source.file_map.rows for source in sources]
    rows = rows_of_tables(staging, maps)
    if not rows:
        raise BadInput(f"There is no row in {', '.join(str(one.path) for one in sources)}.", path="FILE")
    spill = staging / "spill"
    rmtree(spill, ignore_errors=True)
    (staging / "assembly.duckdb").unlink(missing_ok=True)
    config: dict[str, str | bool | int | float | list[str]] = {
        "memory_limit": f"{MEMORY_MIB}MiB",
        "temp_directory": str(spill),
        "preserve_insertion_order": False,
    }
    with closing(duckdb.connect(str(staging / "assembly.duckdb"), config=config)) as connection:
        connection.execute("SET TimeZone = 'UTC'")
        work = Work(connection, rows, [one.file for one in staged], folder, absent_fields(staging, maps))
        assemble.gather_orders(work)
        assemble.gather_payments(work)
        derived_events.gather_refunds(work)
        joins = check_joins(work)
        kinds = _write(work, complete_from)
        empty = tuple(table for table in rows if work.written.get(table) == 0 and work.number(_told_of(rows[table])))
        if not any(work.written.values()) and any(one.left_out for one in staged):
            raise BadInput(
                "No row matches the conditions of a map ([[rows]], where), so nothing is written.", path="FILE"
            )
        if not work.written:
            raise BadInput("A payment bill alone makes no history: give the orders that it is about too.", path="FILE")
    return MappedImport(
        folder, tuple(staged), work.written, tuple(work.found), tuple(joins), tuple(sorted(kinds)), empty
    )


def _told_of(rows: Rows) -> str:
    return f"SELECT count(*) FROM (SELECT 1 FROM {rows.relation} WHERE {rows.any_told()} LIMIT 1)"


def _write(work: Work, complete_from: datetime | None) -> frozenset[str]:
    """Write every table; returns the kinds of events that are complete from `complete_from` on."""
    timed = assemble.gather_shipments(work)
    if "orders" in work.rows:
        work.copy("orders", assemble.orders_query(work))
    if "order_lines" in work.rows:
        work.copy("order_lines", assemble.lines_query(work))
    if timed:
        work.copy("shipments", 'SELECT order_id, degree, happened_at AS "at", recorded_at FROM s')
    if "requests" in work.rows:
        work.db.execute(f"CREATE TABLE asked AS {assemble.requests_query(work)}")
        work.copy("requests", "SELECT * FROM asked ORDER BY asked_at, request_id")
    if "buyers" in work.rows:
        work.copy("buyers", assemble.buyers_query(work))
    events = derived_events.events_of(work, timed_shipments=timed)
    if events.query is not None:
        work.copy("events", events.query)
    if complete_from is None or not events.kinds:
        return frozenset()
    work.copy("event_records", derived_events.event_records_query(events.kinds, complete_from))
    return events.kinds
