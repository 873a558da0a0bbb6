"""Runs an import in bounded memory: reads the files, groups their rows on disk, checks and loads them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from zoneinfo import ZoneInfo

from jitui.aftersales.changes import RecordBuyerEvent
from jitui.aftersales.ports import HistoryRecord
from jitui.importing.build_values import ATTRIBUTE, Defaults, Item, Kind, items_of, named_rows
from jitui.importing.field_columns import FieldColumns, SaidOfColumns, field_columns
from jitui.importing.fields import NO_ID, Cells, RowFault
from jitui.importing.load_values import Advance, App, Loaded, Refused, check, load
from jitui.importing.row_spool import Part, RowSpool
from jitui.policy import FactType, Policy
from jitui.tabular.bad_rows import MOST_KEPT, BadRow
from jitui.tabular.batches import ReadOptions
from jitui.tabular.rejected import RejectedRows
from jitui.tabular.table import Row, Table, open_table

Progress = Callable[[str, int, int], None]


@dataclass(frozen=True, slots=True)
class ImportSpec:
    """Files of one kind, how to read them, and how to import them."""

    name: str
    kind: Kind
    files: Sequence[Path]
    said: SaidOfColumns
    reading: ReadOptions
    zone: ZoneInfo | None
    currency: str | None
    atomic: bool = False
    check_only: bool = False
    complete_from: datetime | None = None


@dataclass(frozen=True, slots=True)
class FileLayout:
    """The encoding and delimiter of a file, for the report."""

    file: str
    layout: str
    columns: int


@dataclass(slots=True)
class Read:
    """The rows of all files, grouped on disk, and what was found out about the files."""

    spool: RowSpool
    columns: list[FieldColumns] = field(default_factory=list)
    tables: list[Table] = field(default_factory=list)
    layouts: list[FileLayout] = field(default_factory=list)
    ignored: dict[str, None] = field(default_factory=dict)
    rows: int = 0
    left_out: int = 0


@dataclass(slots=True)
class Done:
    """The result of an import.

    `bad` has the first bad rows, `reasons` counts all of them, `rejected` names the files of rows that were not taken.
    """

    loaded: int = 0
    loaded_rows: int = 0
    bad: list[BadRow] = field(default_factory=list)
    bad_rows: int = 0
    rejected_rows: int = 0
    reasons: Counter[str] = field(default_factory=Counter)
    rejected: list[str] = field(default_factory=list)
    unwritten: list[str] = field(default_factory=list)
    became: Counter[Loaded] = field(default_factory=Counter)
    kinds: set[str] = field(default_factory=set)


def read_files(spec: ImportSpec, folder: Path, progress: Progress) -> Read:
    """Read every file to its end before anything is loaded. Raises BadInput for a file that cannot be read."""
    read = Read(RowSpool(folder, sum(_size(file) for file in spec.files)))
    for number, file in enumerate(spec.files):
        table = open_table(file, spec.reading)
        columns = field_columns(spec.kind, spec.name, file, table.columns, spec.said, spec.zone)
        read.tables.append(table)
        read.columns.append(columns)
        read.layouts.append(FileLayout(str(file), str(table.layout or _named(file)), len(table.columns)))
        used = {*columns.theirs.values(), *columns.where}
        read.ignored |= dict.fromkeys(name for name in table.columns if name and name not in used)
        read.spool.files.append((str(file), table.columns))
        _spool(spec, read, number, table, progress)
    return read


def _size(file: Path) -> int:
    try:
        return file.stat().st_size * (6 if file.suffix == ".gz" else 1)
    except OSError:
        return 0


def _named(file: Path) -> str:
    return "Excel" if file.suffix.lower() in (".xlsx", ".xlsm") else "Parquet"


def _spool(spec: ImportSpec, read: Read, number: int, table: Table, progress: Progress) -> None:
    columns = read.columns[number]

    def taken(row: Row) -> bool:
        read.rows += 1
        read.left_out += not columns.takes(row)
        if read.rows % 10_000 == 0:
            progress(f"Reading {Path(row.file).name}", table.opened.done(), table.opened.size)
        return columns.takes(row)

    rows = (columns.cells(row) for row in table.rows if taken(row))
    if spec.kind.group is None:
        for cells in rows:
            read.spool.add(_subject(spec.kind, cells), number, cells.row, frozenset())
        return
    for cells, name, of in named_rows(spec.kind, rows):
        read.spool.add("" if NO_ID in name else name[0], number, cells.row, of)


def _subject(kind: Kind, cells: Cells) -> str:
    return "" if cells.row.fault or not cells.has(kind.subject) else cells.written(kind.subject)


# Taking what was read ---------------------------------------------------------------------------------------------


async def take(app: App, spec: ImportSpec, read: Read, progress: Progress) -> Done:
    """Check the rows where `atomic` or `check_only` asks for it, then load them, one part after another.

    All rows of an order are in one part.
    """
    attributes = await _attributes(app) if _has_attributes(read) else {}
    defaults = Defaults(spec.currency, app.clock(), attributes)
    done = Done()
    if spec.atomic or spec.check_only:
        await _pass(app, spec, read, defaults, done, progress, loading=False)
        if spec.check_only or done.bad_rows:
            return done
        done = Done()
    await _pass(app, spec, read, defaults, done, progress, loading=True)
    # INVARIANT: a history of which rows were refused is never said to be complete (I5).
    if spec.complete_from is not None and not done.bad_rows:
        records = [HistoryRecord(kind, spec.complete_from) for kind in sorted(done.kinds)]
        await app.registry.record_history(records, kept=["fresh_until"])
    return done


def _has_attributes(read: Read) -> bool:
    return any(name.startswith(ATTRIBUTE) for one in read.columns for name in (*one.theirs, *one.sources))


async def _attributes(app: App) -> Mapping[str, FactType]:
    """The types of the buyers' attributes that the live policy declares."""
    live = await app.policies.publication(None, documents=True)
    declared = {} if live is None else Policy.from_text(live.document, "").attributes
    return {name.removeprefix("buyer."): spec.type for name, spec in declared.items()}


async def _pass(
    app: App, spec: ImportSpec, read: Read, defaults: Defaults, done: Done, progress: Progress, *, loading: bool
) -> None:
    what, seen = ("Loading" if loading else "Checking"), 0
    total = read.rows - read.left_out
    with ExitStack() as stack:
        writers = [] if spec.check_only else [_rejected(stack, table) for table in read.tables]
        for part in read.spool.parts():
            await _take_part(app, spec, (read, part), defaults, done, writers, loading=loading)
            seen += len(part.rows)
            progress(what, seen, total)
    done.rejected += [str(one.path) for one in writers if one.path is not None]


def _rejected(stack: ExitStack, table: Table) -> RejectedRows:
    writer = RejectedRows(table.opened.file, table.columns, table.layout, table.schema)
    return stack.enter_context(writer)


async def _take_part(
    app: App,
    spec: ImportSpec,
    where: tuple[Read, Part],
    defaults: Defaults,
    done: Done,
    writers: Sequence[RejectedRows],
    *,
    loading: bool,
) -> None:
    read, part = where
    cells = [read.columns[number].cells(row) for number, row in part.rows]
    items: list[Item] = []
    faults: list[RowFault] = []
    rejected: list[Row] = []
    for made in items_of(spec.kind, cells, defaults, part.spoiled):
        if isinstance(made, Item):
            items.append(made)
        else:
            faults += made.faults
            rejected += made.rows
    nothing: Advance = lambda _: None  # noqa: E731
    refused = await load(app, items, nothing, done.became) if loading else await check(app, items, nothing)
    rejected += [row for one in refused for row in one.item.rows]
    kept = _without(items, refused)
    if loading:
        done.loaded += len(kept)
        done.loaded_rows += sum(len(item.rows) for item in kept)
        done.kinds |= {item.value.kind for item in kept if isinstance(item.value, RecordBuyerEvent)}
    bad = [BadRow(f.row.file, f.row.number, f.row.line, f.field, f.reason, f.column, f.value) for f in faults]
    bad += [BadRow(row.file, row.number, row.line, "", one.reason) for one in refused for row in one.item.rows[:1]]
    _tell(done, sorted(bad, key=lambda one: (one.file, one.row)), rejected)
    _write_rejected(read, done, rejected, bad, writers)


def _without(items: Sequence[Item], refused: Sequence[Refused]) -> list[Item]:
    gone = {id(one.item) for one in refused}
    return [item for item in items if id(item) not in gone]


def _tell(done: Done, bad: Sequence[BadRow], rejected: Sequence[Row]) -> None:
    """Count the bad rows and keep the first for the report.

    Only rows of this part are counted here; a fault may name a row of another part, which is counted there.
    """
    here = {(row.file, row.number) for row in rejected}
    done.rejected_rows += len(here)
    done.bad_rows += len({(one.file, one.row) for one in bad} & here)
    done.reasons.update(one.kind for one in bad)
    done.bad += bad[: max(MOST_KEPT - len(done.bad), 0)]


def _write_rejected(
    read: Read, done: Done, rejected: Sequence[Row], bad: Sequence[BadRow], writers: Sequence[RejectedRows]
) -> None:
    """Write the rows that were not taken to a file beside each original; when that fails, the report says so."""
    reasons: dict[tuple[str, int], str] = {}
    for one in bad:
        key = (one.file, one.row)
        reasons[key] = f"{reasons[key]}; {one.told}" if key in reasons else one.told
    numbers = {name: number for number, (name, _) in enumerate(read.spool.files)}
    for row in sorted({(row.file, row.number): row for row in rejected}.values(), key=lambda row: row.number):
        reason = reasons.get((row.file, row.number), "belongs with a row that was not taken")
        try:
            if writers:
                writers[numbers[row.file]].add(list(row.cells.values()), reason)
        except (OSError, UnicodeEncodeError) as error:
            done.unwritten.append(f"The rows of {row.file} that were not taken cannot be written beside it: {error}.")
            writers = ()
