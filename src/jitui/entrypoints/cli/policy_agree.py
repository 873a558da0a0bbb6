"""`jitui policy agree`: compares CEL's run time and the query engines on random policies."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory
from time import perf_counter
from typing import TYPE_CHECKING, Annotated

import typer

from jitui.entrypoints.cli.exits import FAILED
from jitui.entrypoints.cli.output import Json, echo, print_json, progress

if TYPE_CHECKING:
    from jitui.backtest.engine import EngineName

_SHOWN = 3


def agree(
    cases: Annotated[int, typer.Option(min=1, help="How many policies, each on forty rows.")] = 1000,
    seed: Annotated[int, typer.Option(min=0, help="The same seed makes the same cases.")] = 1,
    engine: Annotated[str, typer.Option(help="duckdb; both: Spark too, when DuckDB agreed.")] = "duckdb",
    as_json: Json = False,
) -> None:
    """Check that CEL's run time and the engines agree. Exit code 1 when they do not, with the shortest cases."""
    from jitui.backtest.agreement import run_agreement
    from jitui.backtest.engine import open_engine

    names = engine_names(engine)
    begun = perf_counter()
    with TemporaryDirectory(prefix="jitui-agree-") as folder, ExitStack() as stack:
        engines = [stack.enter_context(open_engine(name, Path(folder))) for name in names]
        bar = stack.enter_context(progress())
        task = bar.add_task("comparing", total=cases)
        found = run_agreement(
            cases, Random(seed), engines, Path(folder), progress=lambda done: bar.update(task, completed=done)
        )
    shortest = sorted(found.disagreements, key=lambda one: len(one.expression))[:_SHOWN]
    if as_json:
        counted = {"cases": found.cases, "seed": seed, "verdicts": found.verdicts, "true": found.true}
        counted |= {"false": found.false, "unknown": found.unknown}
        seconds = round(perf_counter() - begun, 1)
        document = {**counted, "engines": found.engines, "disagreements": len(found.disagreements)}
        print_json({**document, "examples": shortest, "seconds": seconds})
    else:
        compared = ", ".join(f"{count:,} with {name}" for name, count in found.engines.items())
        echo(f"{found.cases:,} policies; verdicts compared: {compared}; {len(found.disagreements)} differ.")
        echo(f"Of CEL's verdicts {found.true:,} are true, {found.false:,} false, {found.unknown:,} unknown.")
        for one in shortest:
            echo(str(one))
    if found.disagreements:
        raise typer.Exit(FAILED)


def engine_names(text: str) -> list[EngineName]:
    """The engines for `duckdb` or `both`; raises BadInput for any other word."""
    from jitui.backtest.engine import EngineName
    from jitui.errors import BadInput

    names = {"duckdb": [EngineName.DUCKDB], "both": [EngineName.DUCKDB, EngineName.SPARK]}.get(text)
    if names is None:
        raise BadInput(f"There is no engine {text!r}: it is duckdb or both.", path="--engine")
    return names
