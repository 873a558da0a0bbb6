"""`jitui import`."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Annotated

import typer

from jitui.entrypoints.cli.exits import FAILED
from jitui.entrypoints.cli.file_options import Columns, TimeZone
from jitui.entrypoints.cli.output import Json, echo, print_json, progress, say
from jitui.entrypoints.cli.words import moment_of

if TYPE_CHECKING:
    from zoneinfo import ZoneInfo

    from jitui.importing.field_columns import SaidOfColumns
    from jitui.importing.intake import Done, ImportSpec, Read
    from jitui.tabular.bad_rows import BadRow
    from jitui.tabular.batches import ReadOptions


class What(StrEnum):
    ORDERS = "orders"
    PAYMENTS = "payments"
    SHIPMENTS = "shipments"
    BUYERS = "buyers"
    HISTORY = "history"


_Kind = Annotated[What, typer.Argument(help="What the files contain.", show_default=False)]
_Files = Annotated[list[Path], typer.Argument(metavar="FILE...", help="CSV, Parquet or Excel.", show_default=False)]
_MapFile = Annotated[str | None, typer.Option("--map-file", help="A map as TOML or YAML, or the name of a ready one.")]
_Constants = Annotated[
    list[str] | None, typer.Option("--set", metavar="OURS=VALUE", help="OURS is this in every row; may be repeated.")
]
_Atomic = Annotated[bool, typer.Option("--atomic", help="Load nothing when any row is bad.")]
_Check = Annotated[bool, typer.Option("--check", help="Load nothing; show what would be refused, and why.")]
_Currency = Annotated[str | None, typer.Option(help="For a file without this column.")]
_Encoding = Annotated[str | None, typer.Option(help="Of CSV files, utf-8 by default; gb18030 for many Chinese ones.")]
_Delimiter = Annotated[
    str | None, typer.Option(help="Of CSV files: comma, semicolon, tab, pipe; by default as the header has it.")
]
_CompleteFrom = Annotated[
    str | None, typer.Option(help="History only: from this time on the kinds in the files are complete.")
]


def importing(
    what: _Kind,
    files: _Files,
    columns: Columns = None,
    map_file: _MapFile = None,
    constants: _Constants = None,
    atomic: _Atomic = False,
    check: _Check = False,
    currency: _Currency = None,
    time_zone: TimeZone = None,
    encoding: _Encoding = None,
    delimiter: _Delimiter = None,
    complete_from: _CompleteFrom = None,
    as_json: Json = False,
) -> None:
    """Load files; a bad row is reported with its number, column, value and reason, the good ones are loaded.

    docs/reference/command-line.md lists the fields. Importing the same file again changes nothing. Exit code 1 when a
    row was bad, 2 when a file cannot be read (then nothing is loaded).
    """
    from jitui.importing.build_values import KINDS
    from jitui.importing.field_columns import check_fields
    from jitui.importing.intake import ImportSpec

    said = _said(columns or [], constants or [], map_file)
    check_fields(KINDS[what], what, said)
    since = _complete_from(what, complete_from)
    zone = time_zone or (said.file_map.rules.time_zone if said.file_map is not None else None)
    spec = ImportSpec(
        what, KINDS[what], files, said, _reading(said, encoding, delimiter), _zone(zone), currency, atomic, check, since
    )
    with TemporaryDirectory(prefix="jitui-import-") as folder:
        read, done = _run(spec, Path(folder))
    for layout in read.layouts:
        say(f"{layout.file}: {layout.layout}; {layout.columns} columns.")
    for name in read.ignored:
        say(f"Column {name!r} is ignored; --map {name}=FIELD says what it is.")
    _report(spec, read, done, as_json=as_json)
    if since is not None and done.bad_rows and not check:
        say("Rows are missing, so no kind was recorded as complete; import them whole with --complete-from.")
    if done.bad_rows:
        raise typer.Exit(FAILED)


def _run(spec: ImportSpec, folder: Path) -> tuple[Read, Done]:
    from jitui.entrypoints.cli.running import with_app
    from jitui.importing.intake import read_files, take

    with progress() as bar:
        task = bar.add_task("Reading", total=None)

        def advance(text: str, done: int, of: int) -> None:
            bar.update(task, description=text, completed=done, total=of or None)

        read = read_files(spec, folder, advance)
        return read, with_app(lambda service: take(service, spec, read, advance))


# The columns ------------------------------------------------------------------------------------------------------


def _said(columns: Sequence[str], constants: Sequence[str], map_file: str | None) -> SaidOfColumns:
    from jitui.importing.field_columns import SaidOfColumns
    from jitui.tabular.mapping import pairs, read_map

    return SaidOfColumns(
        pairs(columns, "--map", "THEIRS=OURS"),
        pairs(constants, "--set", "OURS=VALUE"),
        None if map_file is None else read_map(map_file),
    )


def _reading(said: SaidOfColumns, encoding: str | None, delimiter: str | None) -> ReadOptions:
    from dataclasses import replace

    from jitui.tabular.batches import ReadOptions, reading_by

    known = said.file_map
    if known is None:
        return ReadOptions((encoding or "utf-8",), delimiter)
    return reading_by(replace(known, encodings=(encoding,)) if encoding else known, delimiter)


def _zone(name: str | None) -> ZoneInfo | None:
    from jitui.errors import BadInput
    from jitui.time_zones import named_zone

    zone = None if name is None else named_zone(name)
    if name is not None and zone is None:
        raise BadInput(f"{name!r} is not a zone of the IANA database, such as Asia/Shanghai.", path="--time-zone")
    return zone


def _complete_from(what: What, text: str | None) -> datetime | None:
    from jitui.errors import BadInput

    if text is None:
        return None
    if what is not What.HISTORY:
        raise BadInput("--complete-from is about history.", path="--complete-from")
    return moment_of(text, "--complete-from")


# The result -------------------------------------------------------------------------------------------------------


def _report(spec: ImportSpec, read: Read, done: Done, *, as_json: bool) -> None:
    if as_json:
        print_json(
            {
                "kind": spec.name,
                "rows": read.rows,
                **({"left_out": read.left_out} if read.left_out else {}),
                "loaded": done.loaded,
                "loaded_rows": done.loaded_rows,
                **({"became": done.became} if done.became else {}),
                "bad_rows": done.bad_rows,
                "bad": done.bad,
                "rejected_files": done.rejected,
                "ignored_columns": tuple(read.ignored),
                "files": read.layouts,
            }
        )
        return
    if spec.check_only:
        _report_check(spec, read, done)
        return
    for bad in done.bad:
        say(str(bad))
    told = len({(bad.file, bad.row) for bad in done.bad})
    if done.bad_rows > told:
        say(f"… and {done.bad_rows - told:,} more bad rows.")
    for text in dict.fromkeys(done.unwritten):
        say(text)
    for name in done.rejected:
        say(f"The rows that were not taken are in {name}, each with its reason.")
    if done.bad:
        say("Correct these rows (a row of more cells than the header has a stray delimiter) and import the file again.")
    _report_counts(spec, read, done)


def _report_counts(spec: ImportSpec, read: Read, done: Done) -> None:
    beside = read.rows - read.left_out - done.loaded_rows - done.bad_rows
    nothing = " Nothing was loaded (--atomic)." if spec.atomic and done.bad_rows else ""
    others = f", {beside} rows left out with them" if beside and not nothing else ""
    bad_part = f"; {done.bad_rows} bad rows{others}" if done.bad_rows else ""
    parts = ", ".join(f"{number} {became}" for became, number in sorted(done.became.items()))
    became = f" ({parts})" if parts else ""
    left = f", {read.left_out} that the map does not take" if read.left_out else ""
    echo(f"{read.rows} rows read{left}, {done.loaded} {spec.name} loaded{became}{bad_part}.{nothing}")


FIRST_OF_A_KIND = 3


def _report_check(spec: ImportSpec, read: Read, done: Done) -> None:
    """Show what would be refused: for each kind the number of rows, and the first of them."""
    kinds: dict[str, list[BadRow]] = {}
    for bad in done.bad:
        kinds.setdefault(bad.kind, []).append(bad)
    for kind, count in done.reasons.most_common():
        echo(f"{count} × {kind}")
        for bad in kinds.get(kind, [])[:FIRST_OF_A_KIND]:
            say(f"  {bad}")
    echo(f"{read.rows} rows read, {done.rejected_rows} of them would be refused; no {spec.name} were loaded (--check).")
