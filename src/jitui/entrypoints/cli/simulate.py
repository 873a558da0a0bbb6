"""`jitui simulate`: generates a marketplace history of any size."""

from __future__ import annotations

from pathlib import Path
from time import perf_counter
from typing import Annotated

import typer

from jitui.entrypoints.cli.output import Json, echo, print_json, progress


def simulate(
    orders: Annotated[int, typer.Option(min=1, max=1_000_000_000, help="How many orders.", show_default=False)],
    out: Annotated[Path, typer.Option(help="A new folder for the Parquet files.", show_default=False)],
    seed: Annotated[int, typer.Option(min=0, max=2**31, help="The same seed gives the same rows.")] = 1,
    settings: Annotated[
        list[str] | None, typer.Option("--set", metavar="NAME=VALUE", help="Change an assumption.", show_default=False)
    ] = None,
    all_orders: Annotated[
        bool, typer.Option("--all-orders", help="Write all orders, not only those with requests.")
    ] = False,
    memory_mib: Annotated[int, typer.Option(min=256, help="The most memory for the engine.")] = 1024,
    as_json: Json = False,
) -> None:
    """Generate a marketplace history: orders, shipments, requests, abuse rings, late shippers, presales.

    docs/reference/generator.md lists the assumptions. The folder appears when it is complete.
    """
    from jitui.backtest.generator import GeneratorAssumptions, generate
    from jitui.backtest.new_folder import with_values
    from jitui.backtest.run import peak_memory_mib

    begun = perf_counter()
    assumptions = with_values(GeneratorAssumptions(), settings or [])
    with progress() as bar:
        task = bar.add_task("", total=None)

        def report(what: str, done: int, of: int) -> None:
            bar.update(task, description=what, completed=done, total=of)

        made = generate(out, orders, seed, assumptions, all_orders=all_orders, memory_mib=memory_mib, progress=report)
    seconds, peak = round(perf_counter() - begun, 1), peak_memory_mib()
    if as_json:
        print_json({"folder": str(out), "rows": made.rows, "seconds": seconds, "peak_memory_mib": peak})
        return
    for name, rows in made.rows.items():
        echo(f"{name:<14}{rows:>14,}")
    if not all_orders:
        echo(f"Of {orders:,} orders, those with refund requests are written; --all-orders writes the others too.")
    echo(f"Seed {seed}, in {out}: {seconds} s, peak memory {peak:,} MiB.")
