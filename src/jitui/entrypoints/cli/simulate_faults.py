"""`jitui simulate-faults`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from jitui.entrypoints.cli.exits import FAILED
from jitui.entrypoints.cli.output import Json, echo, print_json, progress, say

if TYPE_CHECKING:
    from jitui.demo.simulation import SimulationOptions, SimulationReport


def simulate_faults(
    seeds: Annotated[int, typer.Option(min=1, max=10_000_000, help="How many simulated runs (worlds).")] = 50,
    first_seed: Annotated[int, typer.Option(min=0, max=2**31, help="The first one; each has its own seed.")] = 1,
    restart_database: Annotated[
        bool, typer.Option("--restart-database", help="Kill the database server once in each world.")
    ] = False,
    failover: Annotated[
        bool, typer.Option("--failover", help="Kill a primary under load and promote its standby, once for each seed.")
    ] = False,
    trace: Annotated[bool, typer.Option("--trace", help="Show the schedule of every world that fails.")] = False,
    as_json: Json = False,
) -> None:
    """Run the service under simulated faults, and compare the results with the provider's own books.

    docs/reference/fault-simulation.md says what is injected and what is checked. Exit code 1 when anything was lost,
    paid twice or paid over; each failing seed prints the command that runs it again.
    """
    from jitui.demo.simulation import SimulationOptions

    if failover:
        _fail_over(range(first_seed, first_seed + seeds), as_json=as_json)
        return
    report = _run(SimulationOptions(seeds, first_seed, restart_database=restart_database))
    if trace:
        for failure in report.failures:
            say("\n".join((f"Schedule of seed {failure.seed}:", *failure.trace)))
    if as_json:
        print_json(_document(report))
    else:
        _print(report)
    if not report.holds:
        raise typer.Exit(FAILED)


def _run(options: SimulationOptions) -> SimulationReport:
    from jitui.demo.simulation import open_stage, run_seeds

    with open_stage(restarts=options.restart_database) as stage, progress() as bar:
        task = bar.add_task("worlds", total=options.seeds)

        def advance(failures: int) -> None:
            bar.update(task, advance=1, description=f"worlds, {failures} failed" if failures else "worlds")

        return run_seeds(stage, options, advance)


def _fail_over(seeds: range, *, as_json: bool) -> None:
    from jitui.demo.failover import FailoverReport, run_failover

    reports: list[FailoverReport] = []
    with progress() as bar:
        task = bar.add_task("failovers", total=len(seeds))
        for seed in seeds:
            reports.append(run_failover(seed))
            bar.update(task, advance=1)
    if as_json:
        print_json({"holds": all(one.holds for one in reports), "seeds": reports})
    for one in [] if as_json else reports:
        again, paid = (
            "never" if seconds is None else f"after {seconds:.1f} s"
            for seconds in (one.seconds_to_answer, one.seconds_to_pay)
        )
        echo(f"Seed {one.seed}: {one.answered:,} of {one.asked:,} asked, {one.approved:,} approved, {one.paid:,} paid;")
        echo(f"  answered again {again}, all paid {paid} from the kill.")
        for name, wrong in (("missing", one.missing), ("unpaid", one.unpaid), ("paid twice", one.paid_twice)):
            if wrong:
                echo(f"  {name}: {', '.join(wrong)}")
        for fault in one.faults:
            echo(f"  {fault}")
    if not all(one.holds for one in reports):
        raise typer.Exit(FAILED)


def _document(report: SimulationReport) -> dict[str, object]:
    return {
        "holds": report.holds,
        "seeds": report.seeds,
        "first_seed": report.first_seed,
        "refunds": report.refunds,
        "tickets": report.tickets,
        "attempts": report.attempts,
        "paid": report.paid,
        "paid_minor": report.paid_minor,
        "injected": report.counts,
        "seconds": report.seconds,
        "failures": [
            {"seed": failure.seed, "wrong": failure.wrong, "command": failure.command} for failure in report.failures
        ],
    }


def _print(report: SimulationReport) -> None:
    for name, count in report.counts.items():
        echo(f"{name:<44}{count:>12,}")
    echo(
        f"\n{report.seeds:,} worlds, {report.tickets:,} tickets, {report.refunds:,} refunds, {report.attempts:,} "
        f"attempts; {report.paid:,} paid\nby the provider's books, in {report.seconds} s."
    )
    for failure in report.failures:
        echo(f"\nSeed {failure.seed} failed:")
        for sentence in failure.wrong:
            echo(f"  {sentence}")
        echo(f"Replay it with: {failure.command}")
    if report.holds:
        echo("Nothing was lost, paid twice, or paid over.")
