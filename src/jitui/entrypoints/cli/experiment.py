"""`jitui experiment`: what the service changes, by the buyers whom chance held out."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from jitui.entrypoints.cli.backtest import DaysIn, midnight, reads_from, reporting, work_folder, zone_of
from jitui.entrypoints.cli.main import new_typer
from jitui.entrypoints.cli.output import Json, print_json, results, say

if TYPE_CHECKING:
    from zoneinfo import ZoneInfo

    from jitui.experiment.report import ExperimentReport, ExperimentSpec

experiment = new_typer("What the service changes: the buyers held out for comparison against all others.")

_History = Annotated[
    str, typer.Option(help="service or demo: their own tables; or a folder, a file, a URL as for a back-test.")
]
_From = Annotated[str, typer.Option("--from", metavar="DATE", help="The first day of requests.", show_default=False)]
_Until = Annotated[str, typer.Option(metavar="DATE", help="The last day of requests.", show_default=False)]
_Follow = Annotated[int, typer.Option(min=1, max=365, help="What happens within so many days counts.")]
_Shop = Annotated[str, typer.Option(help="Only the requests of this shop.", show_default=False)]
_Percent = Annotated[
    int | None, typer.Option(min=1, max=99, help="The share held out, if no policy says it.", show_default=False)
]
_Change = Annotated[int, typer.Option(min=1, max=100, help="The change worth seeing, in percent.")]
_Out = Annotated[Path | None, typer.Option(help="Keep report.json and report.html in this folder.", show_default=False)]
_Language = Annotated[str, typer.Option(help="Of the report: zh or en.")]
_MemoryMib = Annotated[int, typer.Option(min=256, help="What the engine may keep in memory.")]
_Encoding = Annotated[str, typer.Option(help="Of CSV files; gb18030 for many Chinese ones.")]


@experiment.callback()
def _group() -> None:
    """Keeps `report` a command of its own."""


@experiment.command("report")
def report(
    history: _History = "service",
    begin: _From = "",
    until: _Until = "",
    follow_days: _Follow = 14,
    shop: _Shop = "",
    hold_out_percent: _Percent = None,
    smallest_change: _Change = 25,
    out: _Out = None,
    language: _Language = "en",
    time_zone: DaysIn = "",
    memory_mib: _MemoryMib = 2048,
    encoding: _Encoding = "utf-8",
    as_json: Json = False,
) -> None:
    """Compare buyers with and without instant refunds, by the arm that chance drew for them.

    docs/how-to/measure-the-effect.md says how to read it.
    """
    from jitui.backtest.words import check_language
    from jitui.experiment.exposures import Window
    from jitui.experiment.report import ExperimentSpec

    check_language(language)
    zone = zone_of(time_zone)
    window = Window(
        zone,
        timedelta(days=follow_days),
        midnight(begin, zone, "--from"),
        midnight(until, zone, "--until", days_later=1),
        shop,
    )
    spec = ExperimentSpec(history, window, hold_out_percent, smallest_change, memory_mib, encoding)
    done = _run(spec, zone, out, language)
    if as_json:
        print_json(done)
    else:
        _print(done, language)
    if out is not None:
        say(f"report.json and report.html are in {out}.")


def _run(spec: ExperimentSpec, zone: ZoneInfo, out: Path | None, language: str) -> ExperimentReport:
    from dataclasses import replace

    import msgspec

    from jitui.experiment.compare import library
    from jitui.experiment.render import render_html
    from jitui.experiment.report import run_experiment

    library()
    with work_folder(out) as work, reporting() as tell:
        tell("reading the history", 0, 0)
        with reads_from(spec.history, zone, work) as place:
            done = run_experiment(replace(spec, history=place), work)
        if out is not None:
            encoded = msgspec.json.format(msgspec.json.encode(done), indent=2)
            (work / "report.json").write_bytes(encoded + b"\n")
            (work / "report.html").write_text(render_html(done, language), encoding="utf-8")
    return done


def _print(done: ExperimentReport, language: str) -> None:
    from jitui.experiment.render import cost_lines, remarks, terminal_tables
    from jitui.experiment.words import WORDS

    console, words = results(), WORDS[language]
    for line in remarks(done, words):
        console.print(line)
    for table in terminal_tables(done, language):
        console.print(table)
    console.print(words["cost"] + ":")
    for line in cost_lines(done, words):
        console.print(f"  {line}")
