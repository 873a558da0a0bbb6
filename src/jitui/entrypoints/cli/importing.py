"""`jitui import`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from jitui.entrypoints.cli.exits import FAILED
from jitui.entrypoints.cli.output import Json, echo, print_json, progress, say
from jitui.tabular.shown import shown

if TYPE_CHECKING:
    from zoneinfo import ZoneInfo

    from jitui.importing.fields import Fault
    from jitui.importing.kinds import Item, Kind
    from jitui.importing.loading import Loaded, Refused
    from jitui.policy import FactType
    from jitui.wiring import App


class What(StrEnum):
    ORDERS = "orders"
    PAYMENTS = "payments"
    SHIPMENTS = "shipments"
    BUYERS = "buyers"
    HISTORY = "history"


def importing(
    what: Annotated[What, typer.Argument(help="What the files hold.", show_default=False)],
    files: Annotated[list[Path], typer.Argument(metavar="FILE...", help="CSV or Parquet.", show_default=False)],
    columns: Annotated[
        list[str] | None, typer.Option("--map", metavar="THEIRS=OURS", help="Their column is our field; repeat it.")
    ] = None,
    atomic: Annotated[bool, typer.Option("--atomic", help="Load nothing when a single row is bad.")] = False,
    currency: Annotated[str | None, typer.Option(help="Where the file has no such column.")] = None,
    time_zone: Annotated[str | None, typer.Option(help="Of times that say none, such as Asia/Shanghai.")] = None,
    encoding: Annotated[str, typer.Option(help="Of CSV files; gb18030 for many Chinese ones.")] = "utf-8",
    delimiter: Annotated[
        str | None, typer.Option(help="Of CSV files: comma, semicolon, tab, pipe; by default as the header has it.")
    ] = None,
    complete_from: Annotated[
        str | None, typer.Option(help="History only: from this time on the kinds in the files are complete.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Load files; each bad row is named with its number, column, value and reason, the good ones are loaded.

    Fields and what they take: docs/reference/command-line.md. Importing the same file again changes nothing.
    Exit code 1 when a row was bad, 2 when a file cannot be read (then nothing is loaded).
    """
    from jitui.importing.kinds import KINDS

    kind = KINDS[what]
    wanted = _mapping(kind, what, columns or [])
    since = _complete_from(what, complete_from)
    reading = _Reading(files, wanted, _zone(time_zone), encoding, delimiter)
    read = _read(kind, reading, currency)
    for layout in read.layouts:
        say(f"{layout.file}: {layout.layout}; {layout.columns} columns.")
    for name in read.ignored:
        say(f"Column {name!r} is ignored; --map {name}=FIELD says what it is.")
    done = _load(read, atomic=atomic, complete_from=since)
    if since is not None and done.bad:
        say("Nothing is declared complete: what the bad rows tell is missing.")
    _report(what, read, done, atomic=atomic, as_json=as_json)
    if done.bad:
        raise typer.Exit(FAILED)


@dataclass(frozen=True, slots=True)
class _Reading:
    """How the files are to be read."""

    files: Sequence[Path]
    wanted: dict[str, str]
    zone: ZoneInfo | None
    encoding: str
    delimiter: str | None


@dataclass(frozen=True, slots=True)
class _Layout:
    file: str
    layout: str
    columns: int


@dataclass(frozen=True, slots=True)
class _Read:
    layouts: list[_Layout]
    items: list[Item]
    faults: list[Fault]
    rows: int
    ignored: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Bad:
    file: str
    row: int
    line: int | None
    field: str
    reason: str
    column: str = ""
    value: str | None = None

    def __str__(self) -> str:
        place = f"{self.file}:{self.line}: row {self.row}" if self.line else f"{self.file}: row {self.row}"
        if not self.field:
            return f"{place}: {self.reason}"
        named = self.field if self.column in ("", self.field) else f"{self.field} (column {shown(self.column)})"
        value = "" if self.value is None or self.value in self.reason else f" (it is {self.value})"
        return f"{place}, {named}: {self.reason}{value}"


@dataclass(frozen=True, slots=True)
class _Done:
    loaded: int
    loaded_rows: int
    bad: list[_Bad]
    became: Counter[Loaded] = field(default_factory=Counter)


# What the columns mean --------------------------------------------------------------------------------------------


def _mapping(kind: Kind, what: What, pairs: Sequence[str]) -> dict[str, str]:
    """Their column for our field, as --map says it."""
    from jitui.errors import BadInput
    from jitui.importing.kinds import ATTRIBUTE
    from jitui.policy.problems import did_you_mean

    wanted: dict[str, str] = {}
    for pair in pairs:
        theirs, sign, ours = pair.rpartition("=")
        if not sign or not theirs or not ours:
            raise BadInput(f"--map takes THEIRS=OURS, not {pair!r}.", path="--map")
        if ours not in kind.fields and not (what is What.BUYERS and ours.startswith(ATTRIBUTE)):
            known = sorted(kind.fields)
            hint = did_you_mean(ours, known) or f"; there are {', '.join(known)}"
            raise BadInput(f"{what} have no field {ours!r}{hint}", path="--map")
        if ours in wanted:
            raise BadInput(f"--map names {ours!r} twice.", path="--map")
        wanted[ours] = theirs
    return wanted


def _columns(kind: Kind, file: Path, columns: Sequence[str], wanted: dict[str, str]) -> dict[str, str]:
    """Their column for each of our fields in this file. Raises BadInput for a field that must be there."""
    from jitui.errors import BadInput
    from jitui.importing.kinds import ATTRIBUTE

    absent = [theirs for theirs in wanted.values() if theirs not in columns]
    if absent:
        raise BadInput(f"{file} has no column {absent[0]!r}; it has {', '.join(columns)}.", path=str(file))
    taken = set(wanted.values())
    own = {
        name: name
        for name in columns
        if name not in taken
        and (name in kind.fields or (name.startswith(ATTRIBUTE) and "registered_at" in kind.fields))
    }
    found = own | wanted
    missing = [entry for entry in kind.required if not any(name in found for name in entry.split("|"))]
    if missing:
        named = ", ".join(entry.replace("|", " or ") for entry in missing)
        raise BadInput(
            f"{file} has no column for {named}; it has {', '.join(columns)}. --map THEIRS=OURS names them.",
            path=str(file),
        )
    return found


def _zone(name: str | None) -> ZoneInfo | None:
    from zoneinfo import ZoneInfo

    from jitui.errors import BadInput

    try:
        return None if name is None else ZoneInfo(name)
    except (KeyError, ValueError, OSError):
        raise BadInput(
            f"{name!r} is not a zone of the IANA database, such as Asia/Shanghai.", path="--time-zone"
        ) from None


def _complete_from(what: What, text: str | None) -> datetime | None:
    from jitui.errors import BadInput
    from jitui.tabular.cells import Unreadable, read_moment

    if text is None:
        return None
    if what is not What.HISTORY:
        raise BadInput("--complete-from is about history.", path="--complete-from")
    try:
        since = datetime.fromisoformat(text)
    except ValueError:
        since = None
    if since is None or since.tzinfo is None:
        raise BadInput(f"--complete-from is a time with its zone, not {text!r}.", path="--complete-from")
    found = read_moment(text, None)
    if isinstance(found, Unreadable):
        raise BadInput(f"--complete-from: {found.reason}", path="--complete-from")
    return found


# Reading and loading ----------------------------------------------------------------------------------------------


def _read(kind: Kind, reading: _Reading, currency: str | None) -> _Read:
    from jitui.importing.fields import Cells
    from jitui.importing.kinds import ATTRIBUTE, Defaults, Item, items_of
    from jitui.tabular.table import open_table
    from jitui.wiring import utc_now

    items: list[Item] = []
    faults: list[Fault] = []
    ignored: dict[str, None] = {}
    layouts: list[_Layout] = []
    cells: list[Cells] = []
    attributes = False
    with progress() as bar:
        for file in reading.files:
            table = open_table(file, reading.encoding, reading.delimiter)
            theirs = _columns(kind, file, table.columns, reading.wanted)
            attributes |= any(name.startswith(ATTRIBUTE) for name in theirs)
            layouts.append(_Layout(str(file), str(table.layout or "Parquet"), len(table.columns)))
            ignored |= dict.fromkeys(name for name in table.columns if name and name not in theirs.values())
            rows = bar.track(table.rows, total=table.total, description=f"Reading {file.name}")
            cells += [Cells(row, theirs, reading.zone) for row in rows]
    for made in items_of(kind, cells, Defaults(currency, utc_now(), _attributes() if attributes else {})):
        if isinstance(made, Item):
            items.append(made)
        else:
            faults += made
    return _Read(layouts, items, faults, len(cells), tuple(ignored))


def _attributes() -> Mapping[str, FactType]:
    """The types of buyers' attributes, which the live policy declares."""
    from jitui.entrypoints.cli.running import with_app
    from jitui.policy import Policy

    async def work(app: App) -> Mapping[str, FactType]:
        published = await app.registry.live_policy()
        declared = {} if published is None else Policy.from_text(published.document, "").attributes
        return {name.removeprefix("buyer."): spec.type for name, spec in declared.items()}

    return with_app(work)


def _load(read: _Read, *, atomic: bool, complete_from: datetime | None) -> _Done:
    from jitui.entrypoints.cli.running import with_app
    from jitui.importing.loading import check, load

    bad = [_Bad(f.row.file, f.row.number, f.row.line, f.field, f.reason, f.column, f.value) for f in read.faults]
    if (atomic and bad) or not read.items:
        return _Done(0, 0, bad)

    counts: Counter[Loaded] = Counter()

    async def work(app: App) -> list[Refused]:
        with progress() as bar:
            if atomic:
                checking = bar.add_task("Checking", total=len(read.items))
                refused = await check(app, read.items, lambda n: bar.advance(checking, n))
                if refused:
                    return refused
            loading = bar.add_task("Loading", total=len(read.items))
            refused = await load(app, read.items, lambda n: bar.advance(loading, n), counts)
        if complete_from is not None and not bad and not refused:
            await _record_history(app, read.items, complete_from)
        return refused

    refused = with_app(work)
    kept = [] if atomic and refused else _without(read.items, refused)
    for one in refused:
        row = one.item.rows[0]
        bad.append(_Bad(row.file, row.number, row.line, "", one.reason))
    rows = sum(len(item.rows) for item in kept)
    return _Done(len(kept), rows, sorted(bad, key=lambda b: (b.file, b.row)), counts)


def _without(items: list[Item], refused: list[Refused]) -> list[Item]:
    gone = {id(one.item) for one in refused}
    return [item for item in items if id(item) not in gone]


async def _record_history(app: App, items: list[Item], complete_from: datetime) -> None:
    from jitui.aftersales.ports import HistoryRecord
    from jitui.aftersales.writes import RecordBuyerEvent

    kinds = sorted({item.value.kind for item in items if isinstance(item.value, RecordBuyerEvent)})
    await app.registry.record_history([HistoryRecord(kind, complete_from) for kind in kinds], kept=["fresh_until"])


def _report(what: What, read: _Read, done: _Done, *, atomic: bool, as_json: bool) -> None:
    bad_rows = len({(bad.file, bad.row) for bad in done.bad})
    if as_json:
        print_json(
            {
                "kind": what,
                "rows": read.rows,
                "loaded": done.loaded,
                "loaded_rows": done.loaded_rows,
                **({"became": done.became} if done.became else {}),
                "bad_rows": bad_rows,
                "bad": done.bad,
                "ignored_columns": read.ignored,
                "files": read.layouts,
            }
        )
        return
    for bad in done.bad:
        say(str(bad))
    if done.bad:
        say("Mend these rows (a row of more cells than the header has a stray delimiter) and import the file again.")
    beside = read.rows - done.loaded_rows - bad_rows
    nothing = " Nothing was loaded (--atomic)." if atomic and done.bad else ""
    others = f", {beside} rows left out with them" if beside and not nothing else ""
    bad_part = f"; {bad_rows} bad rows{others}" if bad_rows else ""
    parts = ", ".join(f"{number} {became}" for became, number in sorted(done.became.items()))
    became = f" ({parts})" if parts else ""
    echo(f"{read.rows} rows read, {done.loaded} {what} loaded{became}{bad_part}.{nothing}")
