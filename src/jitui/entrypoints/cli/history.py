"""`jitui history`: foreign sets of orders into the tables that a back-test reads."""

from __future__ import annotations

from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Annotated

import typer

from jitui.entrypoints.cli.output import Json, echo, print_json, progress, say

if TYPE_CHECKING:
    from jitui.backtest.history.imported import Imported

history = typer.Typer(
    help="Bring real sets of orders into the tables that a back-test reads.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
)


@history.callback()
def _group() -> None:
    """Bring real sets of orders into the tables that a back-test reads."""


@history.command("import")
def import_(
    format_name: Annotated[str, typer.Argument(metavar="FORMAT", help="online-retail, or olist.", show_default=False)],
    path: Annotated[Path, typer.Argument(help="The file, or the folder of files.", show_default=False)],
    out: Annotated[Path, typer.Option(help="A new folder for the Parquet files.", show_default=False)],
    settings: Annotated[
        list[str] | None, typer.Option("--set", metavar="NAME=VALUE", help="Change an assumption.", show_default=False)
    ] = None,
    as_json: Json = False,
) -> None:
    """Write a set of orders as a history, and print what was assumed and what was set aside.

    docs/how-to/back-test-real-orders.md lists the assumptions. The folder appears when it is complete.
    """
    from dataclasses import asdict

    from jitui.backtest.history.importing import import_history
    from jitui.backtest.run import peak_memory_mib

    begun = perf_counter()
    with progress() as bar:
        task = bar.add_task(f"reading {path.name}", total=None)
        done = import_history(
            format_name, path, out, settings or [], lambda n, of: bar.update(task, completed=n, total=of)
        )
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
