"""`jitui history`: imports orders of other systems as tables for back-tests."""

from __future__ import annotations

from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Annotated

import typer

from jitui.entrypoints.cli.file_options import Columns, TimeZone
from jitui.entrypoints.cli.main import new_typer
from jitui.entrypoints.cli.output import Json, echo, print_json, progress, say

if TYPE_CHECKING:
    from jitui.backtest.history.imported import Imported

history = new_typer("Import real orders as tables for back-tests.")


@history.callback()
def _group() -> None:
    """Import real orders as tables for back-tests."""


@history.command("maps")
def maps(as_json: Json = False) -> None:
    """List the maps that come with Jitui, by the names for --map-file."""
    from jitui.tabular.mapping import read_map, ready_maps

    if as_json:
        print_json({"maps": [{"name": name, "about": read_map(name).about} for name in ready_maps()]})
        return
    for name in ready_maps():
        echo(f"{name:<24}{read_map(name).about}")


_FormatName = Annotated[
    str, typer.Argument(metavar="FORMAT", help="csv, parquet, xlsx; online-retail, olist.", show_default=False)
]
_Paths = Annotated[
    list[Path], typer.Argument(metavar="PATH...", help="The files, or folders of files.", show_default=False)
]
_Out = Annotated[Path, typer.Option(help="A new folder for the Parquet files.", show_default=False)]
_MapFiles = Annotated[
    list[str] | None,
    typer.Option(
        "--map-file", help="A map as TOML or YAML, or the name of a ready one; may be repeated.", show_default=False
    ),
]
_Constants = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="NAME=VALUE", help="Field OURS has this value in every row; or an assumption."),
]
_Encoding = Annotated[str | None, typer.Option(help="Of CSV files; gb18030 for many Chinese ones.")]
_Delimiter = Annotated[str | None, typer.Option(help="Of CSV files: comma, semicolon, tab, pipe.")]
_CompleteFrom = Annotated[
    str | None, typer.Option(help="From this time on the events of the kinds in the files are complete.")
]


@history.command("import")
def import_(
    format_name: _FormatName,
    paths: _Paths,
    out: _Out,
    columns: Columns = None,
    map_files: _MapFiles = None,
    settings: _Constants = None,
    time_zone: TimeZone = None,
    encoding: _Encoding = None,
    delimiter: _Delimiter = None,
    complete_from: _CompleteFrom = None,
    as_json: Json = False,
) -> None:
    """Write orders of another system as a history, and print what was assumed and what was set aside.

    csv, parquet and xlsx are your own files, read by a map (docs/how-to/import-your-own-export.md); online-retail and
    olist are public data sets (docs/how-to/back-test-real-orders.md). The folder appears when it is complete; importing
    the same files again changes nothing. Exit code 1 when a row was bad, 2 when nothing could be imported.
    """
    from jitui.backtest.history.import_mapped import FORMATS, MappedImportSpec
    from jitui.entrypoints.cli import history_mapped
    from jitui.errors import BadInput
    from jitui.tabular.mapping import pairs

    if format_name in FORMATS:
        spec = MappedImportSpec(
            format_name,
            paths,
            history_mapped.maps_of(map_files or []),
            pairs(columns or [], "--map", "THEIRS=OURS"),
            pairs(settings or [], "--set", "NAME=VALUE"),
            time_zone,
            encoding,
            delimiter,
            complete_from,
        )
        history_mapped.run(spec, out, as_json=as_json)
        return
    given = {"--map": columns, "--map-file": map_files, "--encoding": encoding, "--delimiter": delimiter,
             "--time-zone": time_zone, "--complete-from": complete_from}  # fmt: skip
    for option, value in given.items():
        if value:
            raise BadInput(f"{option} is for {', '.join(FORMATS)}; {format_name} needs no map.", path=option)
    if len(paths) != 1:
        raise BadInput(f"{format_name} is one file, or one folder of files.", path="PATH")
    _import_public(format_name, paths[0], out, settings or [], as_json=as_json)


def _import_public(format_name: str, path: Path, out: Path, settings: list[str], *, as_json: bool) -> None:
    from dataclasses import asdict

    from jitui.backtest.history.importing import import_history
    from jitui.backtest.run import peak_memory_mib

    begun = perf_counter()
    with progress() as bar:
        task = bar.add_task(f"reading {path.name}", total=None)
        done = import_history(format_name, path, out, settings, lambda n, of: bar.update(task, completed=n, total=of))
    seconds, peak = round(perf_counter() - begun, 1), peak_memory_mib()
    if as_json:
        print_json({**asdict(done), "folder": str(out), "seconds": seconds, "peak_memory_mib": peak})
        return
    _print(done)
    echo(f"In {out}: {seconds} s, peak memory {peak:,} MiB.")
    say(f"jitui backtest POLICY --history {out} --time-zone {done.time_zone}")


def _print(done: Imported) -> None:
    for title, counts in (
        ("Read", done.rows_read),
        ("Written", done.rows),
        *((f"Set aside: {name}", reasons) for name, reasons in done.set_aside.items()),
        ("Of these", done.counts),
    ):
        if counts:
            echo(title)
        for name, count in counts.items():
            echo(f"  {name:<46}{count:>12,}")
    echo("Assumed")
    for name, value in done.assumptions.items():
        echo(f"  {name:<46}{value:>12}")
