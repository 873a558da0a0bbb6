"""`jitui backtest`: what a policy would have done to a whole history."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Annotated

import typer

from jitui.entrypoints.cli.exits import FAILED
from jitui.entrypoints.cli.output import Json, print_json, progress, results, say
from jitui.entrypoints.cli.policy_files import load_policy

if TYPE_CHECKING:
    from zoneinfo import ZoneInfo

    from jitui.backtest.replay import Progress
    from jitui.backtest.run import Backtest, BacktestSpec


def backtest(
    policy: Annotated[Path, typer.Argument(metavar="POLICY", help="Policy file (YAML).", show_default=False)],
    history: Annotated[
        str,
        typer.Option(
            help="A folder of Parquet or CSV, a DuckDB file, a database's URL; service or demo: their own tables.",
            show_default=False,
        ),
    ],
    against: Annotated[
        str, typer.Option(metavar="FILE|decided", help="Another policy, or what was really decided.")
    ] = "",
    engine: Annotated[str, typer.Option(help="duckdb, or spark.")] = "duckdb",
    master: Annotated[str, typer.Option(help="Spark's master URL.")] = "local[2]",
    memory_mib: Annotated[int, typer.Option(min=512, help="What the engine may keep in memory.")] = 4096,
    out: Annotated[
        Path | None, typer.Option(help="Keep decisions (Parquet), summary.json and report.html in this folder.")
    ] = None,
    language: Annotated[str, typer.Option(help="Of the report: zh or en.")] = "en",
    minutes_a_review: Annotated[float, typer.Option(min=0, help="What a merchant spends on one request.")] = 4.0,
    time_zone: Annotated[str, typer.Option(help="Whose days are counted; the service's by default.")] = "",
    recompute_features: Annotated[
        bool, typer.Option("--recompute-features", help="Count features anew where they were logged.")
    ] = False,
    logged_caps: Annotated[
        bool, typer.Option("--logged-caps", help="Believe logged caps instead of replaying them.")
    ] = False,
    verify: Annotated[int, typer.Option(min=0, help="Replay so many logged decisions, and their features.")] = 0,
    encoding: Annotated[str, typer.Option(help="Of CSV files; gb18030 for many Chinese ones.")] = "utf-8",
    as_json: Json = False,
) -> None:
    """Replay a history by a policy: what would be refunded at once, what stopped the rest, and what it would cost.

    Exit code 1 when --verify finds a logged decision that does not come out again.
    """
    from dataclasses import replace

    from jitui.backtest.run import run_backtest

    spec = _spec(
        policy,
        history,
        against,
        engine,
        master=master,
        memory_mib=memory_mib,
        minutes_a_review=minutes_a_review,
        zone=zone_of(time_zone),
        recompute_features=recompute_features,
        replay_caps=not logged_caps,
        verify=verify,
    )
    _check_language(language)
    with work_folder(out) as work, reporting() as report:
        report("reading the history", 0, 0)
        with _read_from(spec, work) as place:
            done = run_backtest(replace(spec, history=place, encoding=encoding), work, report)
        if out is not None:
            _write_report(done, work, language)
    if as_json:
        print_json(_document(done))
    else:
        _print(done)
    if out is not None:
        say(f"Decisions, summary.json and report.html are in {out}.")
    if empty := _all_set_aside(done):
        say(f"Every row was set aside of: {', '.join(empty)}. What they would have said is unknown.")
        raise typer.Exit(FAILED)
    if done.verification is not None and not done.verification.holds:
        raise typer.Exit(FAILED)


def _all_set_aside(done: Backtest) -> list[str]:
    """The tables of which no row was taken, although there were some."""
    having = dict.fromkeys(one.table for one in done.prepared.set_aside)
    return [table for table in having if done.prepared.rows[table] == 0]


def _spec(
    policy: Path,
    history: str,
    against: str,
    engine: str,
    *,
    master: str,
    memory_mib: int,
    minutes_a_review: float,
    zone: ZoneInfo,
    recompute_features: bool,
    replay_caps: bool,
    verify: int,
) -> BacktestSpec:
    from jitui.backtest.engine import EngineName
    from jitui.backtest.run import BacktestSpec
    from jitui.errors import BadInput

    if engine not in list(EngineName):
        raise BadInput(f"There is no engine {engine!r}: it is duckdb or spark.", path="--engine")
    return BacktestSpec(
        policy=load_policy(policy),
        history=history,
        time_zone=zone,
        against=load_policy(Path(against)) if against not in ("", "decided") else None,
        decided=against == "decided",
        engine=EngineName(engine),
        master=master,
        memory_mib=memory_mib,
        minutes_a_review=minutes_a_review,
        recompute_features=recompute_features,
        replay_caps=replay_caps,
        verify=verify,
    )


def zone_of(name: str) -> ZoneInfo:
    """The time zone of that name, the service's without one; raises BadInput."""
    from jitui.errors import BadInput
    from jitui.settings import read_settings
    from jitui.time_zones import named_zone

    zone = named_zone(name) if name else read_settings().time_zone
    if zone is None:
        raise BadInput(f"There is no time zone {name!r}; name one as Asia/Shanghai.", path="--time-zone")
    return zone


@contextmanager
def _read_from(spec: BacktestSpec, work: Path) -> Iterator[str]:
    """The history's place as the back-test reads it: the service's own tables are exported to the work folder."""
    from dataclasses import replace

    from jitui.bootstrap import own_history, server
    from jitui.demo.home import own_database
    from jitui.settings import read_settings

    history, settings = spec.history, read_settings()
    if history == "demo":
        with server(settings) as url:
            settings = replace(settings, database_url=own_database(url, fresh=False))
            with own_history("service", settings, spec.time_zone, work) as place:
                yield place
        return
    with own_history(history, settings, spec.time_zone, work) as place:
        yield place


def _check_language(language: str) -> None:
    from jitui.errors import BadInput

    if language not in ("zh", "en"):
        raise BadInput(f"There is no report in {language!r}: it is zh or en.", path="--language")


@contextmanager
def work_folder(out: Path | None) -> Iterator[Path]:
    """The folder that was asked for, else one that is gone afterwards."""
    if out is not None:
        out.mkdir(parents=True, exist_ok=True)
        yield out
        return
    with TemporaryDirectory(prefix="jitui-backtest-") as folder:
        yield Path(folder)


@contextmanager
def reporting() -> Iterator[Progress]:
    """What is being done, as a bar where its length is known."""
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
        "seconds": done.seconds,
        "peak_memory_mib": done.peak_memory_mib,
        "memory_cap_mib": done.memory_cap_mib,
    }


def _write_report(done: Backtest, folder: Path, language: str) -> None:
    import msgspec

    from jitui.backtest.report import render_html

    encoded = msgspec.json.format(msgspec.json.encode(_document(done), enc_hook=str), indent=2)
    (folder / "summary.json").write_bytes(encoded + b"\n")
    (folder / "report.html").write_text(render_html(done, language), encoding="utf-8")


def _print(done: Backtest) -> None:
    from jitui.backtest.report import terminal_tables

    console = results()
    for table in terminal_tables(done):
        console.print(table)
