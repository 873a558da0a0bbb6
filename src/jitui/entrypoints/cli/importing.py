"""`jitui import`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from jitui.entrypoints.cli.exits import FAILED
from jitui.entrypoints.cli.output import Json, echo, print_json, progress, say

if TYPE_CHECKING:
    from zoneinfo import ZoneInfo

    from jitui.entrypoints.cli.cells import Fault
    from jitui.entrypoints.cli.kinds import Item, Kind
    from jitui.entrypoints.cli.loading import Loaded, Refused
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
    complete_from: Annotated[
        str | None, typer.Option(help="History only: from this time on the kinds in the files are complete.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Load files; each bad row is reported with its number, the field and the reason, the good ones are loaded.

    Fields and what they take: docs/reference/command-line.md. Importing the same file again changes nothing.
    Exit code 1 when a row was bad, 2 when a file cannot be read (then nothing is loaded).
    """
    from jitui.entrypoints.cli.kinds import KINDS

    kind = KINDS[what]
    wanted = _mapping(kind, what, columns or [])
    since = _complete_from(what, complete_from)
    read = _read(kind, files, wanted, currency, _zone(time_zone), encoding)
    for name in read.ignored:
        say(f"Column {name!r} is ignored; --map {name}=FIELD says what it is.")
    done = _load(read, atomic=atomic, complete_from=since)
    _report(what, read, done, atomic=atomic, as_json=as_json)
    if done.bad:
        raise typer.Exit(FAILED)


@dataclass(frozen=True, slots=True)
class _Read:
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

    def __str__(self) -> str:
        place = f"{self.file}:{self.line}: row {self.row}" if self.line else f"{self.file}: row {self.row}"
        return f"{place}, {self.field}: {self.reason}" if self.field else f"{place}: {self.reason}"


@dataclass(frozen=True, slots=True)
class _Done:
    loaded: int
    loaded_rows: int
    bad: list[_Bad]
    became: Counter[Loaded] = field(default_factory=Counter)


# What the columns mean --------------------------------------------------------------------------------------------


def _mapping(kind: Kind, what: What, pairs: Sequence[str]) -> dict[str, str]:
    """Their column for our field, as --map says it."""
    from jitui.entrypoints.cli.kinds import ATTRIBUTE
    from jitui.errors import BadInput
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
    from jitui.entrypoints.cli.kinds import ATTRIBUTE
    from jitui.errors import BadInput

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
    return since


# Reading and loading ----------------------------------------------------------------------------------------------


def _read(
    kind: Kind,
    files: Sequence[Path],
    wanted: dict[str, str],
    currency: str | None,
    zone: ZoneInfo | None,
    encoding: str,
) -> _Read:
    from jitui.entrypoints.cli.cells import Cells
    from jitui.entrypoints.cli.kinds import Defaults, Item, items_of
    from jitui.entrypoints.cli.tables import open_table
    from jitui.wiring import utc_now

    defaults = Defaults(currency, utc_now())
    items: list[Item] = []
    faults: list[Fault] = []
    ignored: dict[str, None] = {}
    cells: list[Cells] = []
    with progress() as bar:
        for file in files:
            table = open_table(file, encoding)
            theirs = _columns(kind, file, table.columns, wanted)
            ignored |= dict.fromkeys(name for name in table.columns if name not in theirs.values())
            rows = bar.track(table.rows, total=table.total, description=f"Reading {file.name}")
            cells += [Cells(row, theirs, zone) for row in rows]
    for made in items_of(kind, cells, defaults):
        if isinstance(made, Item):
            items.append(made)
        else:
            faults += made
    return _Read(items, faults, len(cells), tuple(ignored))


def _load(read: _Read, *, atomic: bool, complete_from: datetime | None) -> _Done:
    from jitui.entrypoints.cli.loading import check, load
    from jitui.entrypoints.cli.running import with_app

    bad = [_Bad(f.row.file, f.row.number, f.row.line, f.field, f.reason) for f in read.faults]
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
        if complete_from is not None:
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
            }
        )
        return
    for bad in done.bad:
        say(str(bad))
    beside = read.rows - done.loaded_rows - bad_rows
    nothing = " Nothing was loaded (--atomic)." if atomic and done.bad else ""
    others = f", {beside} rows left out with them" if beside and not nothing else ""
    bad_part = f"; {bad_rows} bad rows{others}" if bad_rows else ""
    parts = ", ".join(f"{number} {became}" for became, number in sorted(done.became.items()))
    became = f" ({parts})" if parts else ""
    echo(f"{read.rows} rows read, {done.loaded} {what} loaded{became}{bad_part}.{nothing}")
