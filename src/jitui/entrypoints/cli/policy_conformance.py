"""`jitui policy conformance`: runs CEL's public cases in CEL's run time and the query engines."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated

import typer

from jitui.entrypoints.cli.exits import FAILED
from jitui.entrypoints.cli.output import Json, echo, print_json
from jitui.entrypoints.cli.policy_agree import engine_names


def conformance(
    engine: Annotated[str, typer.Option(help="duckdb, or both: Spark too.")] = "duckdb",
    left_out: Annotated[bool, typer.Option("--left-out", help="Only list the cases left out, with reasons.")] = False,
    as_json: Json = False,
) -> None:
    """Check the values of CEL's public cases. Exit code 1 when one differs from the specification.

    It needs a checkout, whose set-up installs the cases.
    """
    from jitui.backtest.conformance import LeftOut, classify, left_out_text, load_cases, run_conformance
    from jitui.backtest.engine import open_engine

    names = engine_names(engine)
    cases = load_cases()
    if left_out:
        echo(left_out_text(one for one in map(classify, cases) if isinstance(one, LeftOut)), newline=False)
        return
    with TemporaryDirectory(prefix="jitui-conformance-") as folder, ExitStack() as stack:
        engines = [stack.enter_context(open_engine(name, Path(folder))) for name in names]
        found = run_conformance(cases, engines, Path(folder))
    if as_json:
        print_json(found)
    else:
        echo(f"{found.cases:,} public cases: {found.included:,} in the supported subset; left out:")
        for reason, count in found.left_out.items():
            echo(f"{count:>7,}  {reason}")
        echo(f"Values compared: {', '.join(f'{count:,} by {name}' for name, count in found.read.items())};")
        echo(f"{len(found.wrong):,} are not the specification's.")
        for one in found.wrong:
            echo(f"{one.name}: {one.text}: expected {one.expected}, {one.reading} gives {one.found}")
    if found.wrong:
        raise typer.Exit(FAILED)
