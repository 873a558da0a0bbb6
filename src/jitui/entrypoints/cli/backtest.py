"""`jitui backtest`: what a policy would have decided over a history."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date, datetime, time, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Annotated

import typer

from jitui.entrypoints.cli.exits import FAILED
from jitui.entrypoints.cli.output import Json, print_json, progress, results, say
from jitui.entrypoints.cli.policy_files import load_policy

if TYPE_CHECKING:
    from zoneinfo import ZoneInfo

    from jitui.backtest.engine import EngineName
    from jitui.backtest.replay import Progress
    from jitui.backtest.run import Backtest, BacktestSpec


_PolicyFile = Annotated[Path, typer.Argument(metavar="POLICY", help="Policy file (YAML).", show_default=False)]
_HistoryLocation = Annotated[
    str,
    typer.Option(
        help="A folder of Parquet or CSV, a DuckDB file, a database's URL; service or demo: their own tables.",
        show_default=False,
    ),
]
_Against = Annotated[str, typer.Option(metavar="FILE|decided", help="Another policy; decided: the real decisions.")]
_Engine = Annotated[str, typer.Option(help="duckdb, or spark.")]
_Master = Annotated[str, typer.Option(help="Spark's master URL.")]
_MemoryMib = Annotated[int, typer.Option(min=512, help="What the engine may keep in memory.")]
_Out = Annotated[
    Path | None, typer.Option(help="Keep decisions (Parquet), summary.json and report.html in this folder.")
]
_Language = Annotated[str, typer.Option(help="Of the report: zh or en.")]
_ReviewMinutes = Annotated[
    float, typer.Option("--review-minutes", "--minutes-a-review", min=0, help="A merchant's time for one request.")
]
_IncidentPercent = Annotated[
    float, typer.Option(min=0, max=100, help="Instant refunds that become an incident: the goods had left already.")
]
_IncidentCostPercent = Annotated[
    float | None,
    typer.Option(min=0, help="What an incident costs, in percent of the refund; the policy's own, else 100."),
]
_Segment = Annotated[
    list[str] | None,
    typer.Option(
        metavar="NAME=SOURCE",
        help="A further segment of the report: a fact of the policy, or a column of the table requests. Repeatable.",
        show_default=False,
    ),
]
DaysIn = Annotated[str, typer.Option(help="The zone of days; the service's by default.")]
_RecomputeFeatures = Annotated[
    bool, typer.Option("--recompute-features", help="Compute features anew where they were logged.")
]
_LoggedCaps = Annotated[bool, typer.Option("--logged-caps", help="Use logged caps instead of replaying them.")]
_Verify = Annotated[int, typer.Option(min=0, help="Replay this many logged decisions and their features.")]
_Encoding = Annotated[str, typer.Option(help="Of CSV files; gb18030 for many Chinese ones.")]


def backtest(
    policy: _PolicyFile,
    history: _HistoryLocation,
    against: _Against = "",
    engine: _Engine = "duckdb",
    master: _Master = "local[2]",
    memory_mib: _MemoryMib = 4096,
    out: _Out = None,
    language: _Language = "en",
    review_minutes: _ReviewMinutes = 4.0,
    incident_percent: _IncidentPercent = 0.5,
    incident_cost_percent: _IncidentCostPercent = None,
    segment: _Segment = None,
    time_zone: DaysIn = "",
    recompute_features: _RecomputeFeatures = False,
    logged_caps: _LoggedCaps = False,
    verify: _Verify = 0,
    encoding: _Encoding = "utf-8",
    as_json: Json = False,
) -> None:
    """Replay a history with a policy: what would be refunded at once, what would stop the rest, and the amounts.

    Exit code 1 when --verify finds a logged decision that the replay does not confirm.
    """
    from jitui.backtest.incident_cost import rates_of
    from jitui.backtest.run import BacktestSpec
    from jitui.backtest.segments import read_segments

    decided_by = load_policy(policy)
    spec = BacktestSpec(
        time_zone=zone_of(time_zone),
        engine=engine_of(engine),
        policy=decided_by,
        history=history,
        against=load_policy(Path(against)) if against not in ("", "decided") else None,
        decided=against == "decided",
        master=master,
        memory_mib=memory_mib,
        rates=rates_of(decided_by, incident_percent, incident_cost_percent, review_minutes),
        segments=read_segments(segment or (), decided_by.facts),
        findings=True,
        recompute_features=recompute_features,
        replay_caps=not logged_caps,
        verify=verify,
        encoding=encoding,
    )
    done = _run(spec, out, language)
    _tell(done, out, as_json=as_json)
    if not _holds(done):
        raise typer.Exit(FAILED)


def _tell(done: Backtest, out: Path | None, *, as_json: bool) -> None:
    if as_json:
        print_json(_document(done))
    else:
        _print(done)
    if out is not None:
        say(f"Decisions, summary.json and report.html are in {out}.")


def _run(spec: BacktestSpec, out: Path | None, language: str) -> Backtest:
    from dataclasses import replace

    from jitui.backtest.run import run_backtest
    from jitui.backtest.words import check_language

    check_language(language)
    with work_folder(out) as work, reporting() as report:
        report("reading the history", 0, 0)
        with reads_from(spec.history, spec.time_zone, work) as place:
            done = run_backtest(replace(spec, history=place), work, report)
        if out is not None:
            _write_report(done, work, language)
    return done


def _holds(done: Backtest) -> bool:
    """Whether every table has rows left (otherwise it says so), and every logged decision was confirmed."""
    tables = dict.fromkeys(one.table for one in done.prepared.set_aside)
    empty = [table for table in tables if done.prepared.rows[table] == 0]
    if empty:
        say(f"Every row was set aside of: {', '.join(empty)}. Their content is unknown.")
    return not empty and (done.verification is None or done.verification.holds)


def engine_of(name: str) -> EngineName:
    """The engine with this name; raises BadInput."""
    from jitui.backtest.engine import EngineName
    from jitui.errors import BadInput

    if name not in list(EngineName):
        raise BadInput(f"There is no engine {name!r}: it is duckdb or spark.", path="--engine")
    return EngineName(name)


def zone_of(name: str) -> ZoneInfo:
    """The time zone with this name, by default the service's; raises BadInput."""
    from jitui.errors import BadInput
    from jitui.settings import read_settings
    from jitui.time_zones import named_zone

    zone = named_zone(name) if name else read_settings().time_zone
    if zone is None:
        raise BadInput(f"There is no time zone {name!r}; name one as Asia/Shanghai.", path="--time-zone")
    return zone


def midnight(text: str, zone: ZoneInfo, option: str, days_later: int = 0) -> datetime | None:
    """The moment at which a day begins; raises BadInput for what is no date."""
    from jitui.errors import BadInput

    if not text:
        return None
    try:
        day = date.fromisoformat(text)
    except ValueError:
        raise BadInput(f"{text!r} is no date; write it as 2026-11-30.", path=option) from None
    return datetime.combine(day + timedelta(days=days_later), time(), zone)


@contextmanager
def reads_from(history: str, time_zone: ZoneInfo, work: Path) -> Iterator[str]:
    """The place from which a history is read; the service's own tables are exported to the work folder."""
    from dataclasses import replace

    from jitui.bootstrap import own_history, server
    from jitui.demo.home import own_database
    from jitui.settings import read_settings

    settings = read_settings()
    if history == "demo":
        with server(settings) as url:
            settings = replace(settings, database_url=own_database(url, fresh=False))
            with own_history("service", settings, time_zone, work) as place:
                yield place
        return
    with own_history(history, settings, time_zone, work) as place:
        yield place


@contextmanager
def work_folder(out: Path | None) -> Iterator[Path]:
    """The requested folder, or a temporary one that is deleted at the end."""
    if out is not None:
        from jitui.backtest.new_folder import can_be_made

        with can_be_made(out):
            out.mkdir(parents=True, exist_ok=True)
        yield out
        return
    with TemporaryDirectory(prefix="jitui-backtest-") as folder:
        yield Path(folder)


@contextmanager
def reporting() -> Iterator[Progress]:
    """Show what is being done, as a bar when its length is known."""
    with progress() as bar:
        task = bar.add_task("", total=None)

        def report(what: str, done: int, of: int) -> None:
            bar.update(task, description=what, completed=done, total=of or None)

        yield report


def _document(done: Backtest) -> dict[str, object]:
    return {
        "summary": done.summary,
        "against": done.against,
        "comparison": done.comparison,
        "verification": done.verification,
        "rows": dict(done.prepared.rows),
        "set_aside": done.prepared.set_aside,
        "moved_to_review": done.moved_to_review,
        "engine": done.engine,
        "findings": done.findings,
        "seconds": done.seconds,
        "peak_memory_mib": done.peak_memory_mib,
        "memory_cap_mib": done.memory_cap_mib,
    }


def _write_report(done: Backtest, folder: Path, language: str) -> None:
    import msgspec

    from jitui.backtest.report_page import render_html

    encoded = msgspec.json.format(msgspec.json.encode(_document(done), enc_hook=str), indent=2)
    (folder / "summary.json").write_bytes(encoded + b"\n")
    (folder / "report.html").write_text(render_html(done, language), encoding="utf-8")


def _print(done: Backtest) -> None:
    from jitui.backtest.report import terminal_tables
    from jitui.backtest.words import WORDS

    if not done.summary.requests:
        say(WORDS["en"]["none"])
    console = results()
    for table in terminal_tables(done):
        console.print(table)
