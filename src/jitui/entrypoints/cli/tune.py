"""`jitui tune`: which values of a policy's parameters would do better on a history."""

from __future__ import annotations

from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from jitui.entrypoints.cli.backtest import DaysIn, engine_of, midnight, reads_from, reporting, work_folder, zone_of
from jitui.entrypoints.cli.exits import FAILED
from jitui.entrypoints.cli.output import Json, print_json, results, say
from jitui.entrypoints.cli.policy_files import load_policy

if TYPE_CHECKING:
    from jitui.tuning.run import TuneReport, TuneSpec

_PolicyFile = Annotated[Path, typer.Argument(metavar="POLICY", help="Policy file (YAML).", show_default=False)]
_History = Annotated[
    str,
    typer.Option(help="service or demo: their own tables; or a folder, a file, a URL as for a back-test."),
]
_Try = Annotated[
    list[str] | None,
    typer.Option(
        "--try",
        metavar="NAME[=VALUES]",
        help="A parameter and at most 60 values: 1,2,3 or FROM:TO:STEP; none: 20, from half to twice its own.",
        show_default=False,
    ),
]
_IncidentPercent = Annotated[
    float, typer.Option(min=0.001, max=50, help="The most of the buyers refunded at once who may have an incident.")
]
_LossPercent = Annotated[
    float | None,
    typer.Option(min=0.0, max=100, help="The most of the money refunded at once that may be lost.", show_default=False),
]
_Confidence = Annotated[float, typer.Option(min=50, max=99.9, help="How surely both must hold.")]
_LearnUntil = Annotated[
    str,
    typer.Option(
        metavar="DATE", help="The first day that judges; half of the requests by default.", show_default=False
    ),
]
_NoCaps = Annotated[bool, typer.Option("--no-caps", help="Do not replay the caps of the settings found.")]
_Engine = Annotated[str, typer.Option(help="duckdb, or spark.")]
_Master = Annotated[str, typer.Option(help="Spark's master URL.")]
_MemoryMib = Annotated[int, typer.Option(min=512, help="What the engine may keep in memory.")]
_ReviewMinutes = Annotated[float, typer.Option(min=0, help="A merchant's time for one request.")]
_Out = Annotated[Path | None, typer.Option(help="A new folder for tune.json and proposed.yaml.", show_default=False)]
_Encoding = Annotated[str, typer.Option(help="Of CSV files; gb18030 for many Chinese ones.")]


def tune(
    policy: _PolicyFile,
    history: _History = "service",
    tried: _Try = None,
    incident_percent: _IncidentPercent = 1.0,
    loss_percent: _LossPercent = None,
    confidence: _Confidence = 95.0,
    learn_until: _LearnUntil = "",
    no_caps: _NoCaps = False,
    engine: _Engine = "duckdb",
    master: _Master = "local[2]",
    memory_mib: _MemoryMib = 4096,
    review_minutes: _ReviewMinutes = 4.0,
    time_zone: DaysIn = "",
    out: _Out = None,
    encoding: _Encoding = "utf-8",
    as_json: Json = False,
) -> None:
    """Find the loosest values of a policy's parameters whose losses stay within bounds.

    Learns from the earlier requests of half of the buyers, and judges by the later requests of the others.
    docs/how-to/tune-a-policy.md says how to read it. Exit code 1 when nothing can be recommended.
    """
    from jitui.tuning.judge import Bounds
    from jitui.tuning.run import TuneSpec

    zone = zone_of(time_zone)
    spec = TuneSpec(
        policy=load_policy(policy),
        history=history,
        tried=tuple(tried or ()),
        time_zone=zone,
        bounds=Bounds(incident_percent, loss_percent, confidence),
        learn_before=midnight(learn_until, zone, "--learn-until"),
        caps=not no_caps,
        engine=engine_of(engine),
        master=master,
        memory_mib=memory_mib,
        review_minutes=review_minutes,
        encoding=encoding,
    )
    done = _run(spec, out)
    if as_json:
        print_json(done)
    else:
        _print(done)
    if out is not None:
        _say_what_is_kept(done, out)
    if done.recommended is None:
        raise typer.Exit(FAILED)


def _run(spec: TuneSpec, out: Path | None) -> TuneReport:
    from dataclasses import replace

    from jitui.backtest.new_folder import new_folder
    from jitui.tuning.run import check_spec, tune

    check_spec(spec)
    with new_folder(out) if out is not None else nullcontext() as results_folder:
        with work_folder(None) as work, reporting() as report:
            report("reading the history", 0, 0)
            with reads_from(spec.history, spec.time_zone, work) as place:
                done = tune(replace(spec, history=place), work, report, say)
        if results_folder is not None:
            _keep(spec, done, results_folder)
    return done


def _keep(spec: TuneSpec, done: TuneReport, folder: Path) -> None:
    import msgspec

    encoded = msgspec.json.format(msgspec.json.encode(done), indent=2)
    (folder / "tune.json").write_bytes(encoded + b"\n")
    if _proposes(done):
        proposed = spec.policy.with_parameters(done.recommended or {})
        (folder / "proposed.yaml").write_text(proposed.text, encoding="utf-8", newline="")


def _proposes(done: TuneReport) -> bool:
    return done.recommended is not None and done.recommended != done.own.values


def _print(done: TuneReport) -> None:
    from jitui.tuning.render import sentences, terminal_tables

    console = results()
    for sentence in sentences(done):
        console.print(sentence)
    for table in terminal_tables(done):
        console.print(table)


def _say_what_is_kept(done: TuneReport, out: Path) -> None:
    say(f"tune.json is in {out}.")
    if _proposes(done):
        say(
            "proposed.yaml there is the policy with the recommended values. Give it a version of its own, then:\n"
            f'jitui policy propose {out / "proposed.yaml"} --reason "…"'
        )
