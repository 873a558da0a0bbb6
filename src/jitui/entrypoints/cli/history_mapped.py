"""`jitui history import csv|parquet|xlsx`: runs the import and prints the result."""

from __future__ import annotations

from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING

import typer

from jitui.entrypoints.cli.exits import FAILED
from jitui.entrypoints.cli.output import echo, print_json, progress, say
from jitui.tabular.shown import shown

if TYPE_CHECKING:
    from collections.abc import Sequence

    from jitui.backtest.history.import_mapped import MappedImport, MappedImportSpec
    from jitui.backtest.history.staging import Staged
    from jitui.tabular.mapping import FileMap

MOST_SHOWN = 20


def maps_of(names: Sequence[str]) -> list[FileMap]:
    """The maps of --map-file; without it an empty map, for --map to fill."""
    from jitui.tabular.mapping import FileMap, RowMap, read_map

    return [read_map(name) for name in names] or [FileMap("--map", (RowMap({}),))]


def run(spec: MappedImportSpec, out: Path, *, as_json: bool) -> None:
    """Import and print the result; exit code 1 when a row was bad or a table is empty."""
    from jitui.backtest.history.import_mapped import import_mapped
    from jitui.backtest.run import peak_memory_mib

    begun = perf_counter()
    with progress() as bar:
        task = bar.add_task("", total=None)
        done = import_mapped(
            spec, out, lambda what, n, of: bar.update(task, description=what, completed=n, total=of or None)
        )
    seconds, peak = round(perf_counter() - begun, 1), peak_memory_mib()
    if as_json:
        print_json(_document(done, seconds, peak))
    else:
        _print(done, out, seconds, peak)
    if not done.holds:
        raise typer.Exit(FAILED)


def _document(done: MappedImport, seconds: float, peak: int) -> dict[str, object]:
    from dataclasses import asdict

    document = asdict(done)
    return {**document, "folder": str(done.folder), "holds": done.holds, "seconds": seconds, "peak_memory_mib": peak}


def _print(done: MappedImport, out: Path, seconds: float, peak: int) -> None:
    if done.unchanged:
        echo(f"{out} is of these files and this map already: nothing was changed.")
        if not done.holds:
            say(f"Rows of these files were bad when it was written: mend them, remove {out} and import again.")
        return
    for one in done.files:
        _print_file(one)
    for text in (*done.same_files, *(f"{name} is left out: an import wrote it" for name in done.left_files)):
        say(f"{text}.")
    echo("Written")
    for name, count in done.rows.items():
        echo(f"  {name:<46}{count:>12,}")
    for found in (*done.joins, *done.found):
        echo(str(found))
    for table in done.empty:
        echo(f"No row of {table} could be used.")
    if done.complete_kinds:
        echo(f"Declared complete: {', '.join(done.complete_kinds)}.")
    if not done.holds:
        say(
            f"Mend the rows in the files, remove {out} and import again; what they would have said is unknown in this"
            " history."
        )
    echo(f"In {out}: {seconds} s, peak memory {peak:,} MiB.")


def _print_file(one: Staged) -> None:
    say(f"{one.file}: {one.layout}; {one.columns} columns.")
    if one.ignored:
        say(
            f"  Columns that nothing reads: {', '.join(map(shown, one.ignored[:MOST_SHOWN]))}{_more(len(one.ignored))}."
        )
    if one.unmapped:
        say(f"  Fields without a column, so unknown: {', '.join(one.unmapped)}.")
    for bad in one.bad[:MOST_SHOWN]:
        say(str(bad))
    if one.bad_rows > MOST_SHOWN or len(one.bad) > MOST_SHOWN:
        for kind, count in one.reasons.most_common():
            say(f"  {count:,} × {kind}")
    if one.unwritten:
        say(one.unwritten)
    elif one.rejected is not None:
        say(f"The bad rows are in {one.rejected}, each with its reason.")
    resumed = f", {one.resumed_rows:,} of them before the interruption" if one.resumed_rows else ""
    left = f", {one.left_out:,} that the map does not take" if one.left_out else ""
    bad_part = f", {one.bad_rows:,} bad" if one.bad_rows else ""
    echo(f"{Path(one.file).name}: {one.rows:,} rows read{resumed}{left}{bad_part}.")


def _more(count: int) -> str:
    return f" and {count - MOST_SHOWN} more" if count > MOST_SHOWN else ""
