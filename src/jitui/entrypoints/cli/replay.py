"""`jitui replay`."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from datetime import datetime
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING, Annotated

import typer

from jitui.entrypoints.cli.exits import FAILED
from jitui.entrypoints.cli.output import Json, print_json, remarks, results, say
from jitui.entrypoints.cli.policy_files import load_policy

if TYPE_CHECKING:
    from rich.table import Table

    from jitui.backtest.history import History, Unmatched
    from jitui.demo.replay import Progress, ReplayAssumptions, ReplayReport
    from jitui.policy import Policy


_HistoryFile = Annotated[Path, typer.Argument(help="Parquet or CSV.", show_default=False)]
_PolicyFile = Annotated[Path, typer.Option(help="The policy that decides, in the currency of the file.")]
_FormatName = Annotated[str, typer.Option("--format", help="What the columns mean.")]
_DispatchHours = Annotated[int, typer.Option(min=0, max=2_160, help="From order to dispatch.")]
_CompleteDays = Annotated[int, typer.Option(min=1, max=365, help="From dispatch to a completed order.")]
_MerchantHours = Annotated[int, typer.Option(min=0, max=2_160, help="From a request in review to the approval.")]
_Since = Annotated[datetime | None, typer.Option("--from", formats=["%Y-%m-%d"], help="First day.")]
_Until = Annotated[datetime | None, typer.Option(formats=["%Y-%m-%d"], help="The day after the last one.")]
_LimitOrders = Annotated[int | None, typer.Option(min=1, help="Stop reading after this many orders.")]
_DatabaseUrl = Annotated[
    str | None, typer.Option(help="An empty PostgreSQL database; by default jitui_replay, created when missing.")
]
_Fresh = Annotated[bool, typer.Option("--fresh", help="Delete what an earlier replay left, and start again.")]
_UnmatchedFile = Annotated[Path | None, typer.Option(help="Write every unmatched cancellation row to this CSV file.")]
_Show = Annotated[int, typer.Option(min=0, help="How many unmatched and broken rows --json lists.")]


def replay(
    file: _HistoryFile,
    policy: _PolicyFile,
    format_name: _FormatName = "online-retail",
    dispatch_hours: _DispatchHours = 24,
    complete_days: _CompleteDays = 7,
    merchant_hours: _MerchantHours = 24,
    since: _Since = None,
    until: _Until = None,
    limit_orders: _LimitOrders = None,
    database_url: _DatabaseUrl = None,
    fresh: _Fresh = False,
    unmatched: _UnmatchedFile = None,
    show: _Show = 20,
    as_json: Json = False,
) -> None:
    """Replay real orders and cancellations through the service, in time order, and print the results.

    Running it again changes nothing and prints the same numbers; a run that was stopped is finished by running it
    again. Exit code 1 when the database and the provider's books do not agree.
    """
    from jitui.backtest.history import open_history
    from jitui.demo.replay import ReplayAssumptions

    begun = monotonic()
    chosen = load_policy(policy)
    with open_history(file, format_name) as history:
        _check_currency(policy, chosen, history)
        assumptions = ReplayAssumptions(
            history_sha256=_sha256(file),
            format_name=format_name,
            policy_sha256=chosen.sha256,
            dispatch_hours=dispatch_hours,
            complete_days=complete_days,
            merchant_hours=merchant_hours,
            since=since.date() if since else None,
            until=until.date() if until else None,
            limit_orders=limit_orders,
        )
        report = _run(
            history, chosen, assumptions, database_url=database_url, fresh=fresh, unmatched=unmatched, show=show
        )
    seconds = round(monotonic() - begun, 1)
    if as_json:
        print_json({"file": str(file), **_document(report), "seconds": seconds})
    else:
        _print_tables(report, seconds)
    if not report.check.holds:
        raise typer.Exit(FAILED)


def _check_currency(file: Path, policy: Policy, history: History) -> None:
    from jitui.errors import BadInput

    if policy.currency != history.currency:
        raise BadInput(f"{file} decides in {policy.currency}, {history.format_name} is in {history.currency}.")


def _run(
    history: History,
    policy: Policy,
    assumptions: ReplayAssumptions,
    *,
    database_url: str | None,
    fresh: bool,
    unmatched: Path | None,
    show: int,
) -> ReplayReport:
    import uvloop

    from jitui.demo.replay import open_environment, replay_history
    from jitui.settings import read_settings

    with ExitStack() as open_here:
        on_unmatched = open_here.enter_context(_unmatched_file(unmatched))
        environment = open_here.enter_context(open_environment(read_settings(), database_url=database_url, fresh=fresh))
        watch = open_here.enter_context(_progress(_orders_in(history, assumptions)))
        work = replay_history(
            environment, history, policy, assumptions, watch=watch, on_unmatched=on_unmatched, keep_first=show
        )
        try:
            return uvloop.run(work)
        except KeyboardInterrupt:
            say("Stopped. The same command, without --fresh, goes on from here.")
            raise


def _orders_in(history: History, assumptions: ReplayAssumptions) -> int:
    from jitui.backtest.history import Span

    orders = history.count(Span(assumptions.since, assumptions.until)).orders
    return min(orders, assumptions.limit_orders or orders)


@contextmanager
def _progress(orders: int) -> Iterator[Callable[[Progress], None]]:
    """A progress bar with the current day of the replay and the remaining time; silent when nobody watches."""
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn
    from rich.progress import Progress as Bar

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("orders,"),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
    )
    console = remarks()
    with Bar(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task("starting", total=orders)

        def watch(progress: Progress) -> None:
            day = f"{progress.day:%Y-%m-%d}" if progress.day else ""
            bar.update(task, completed=min(progress.orders, orders), description=day)

        yield watch


@contextmanager
def _unmatched_file(path: Path | None) -> Iterator[Callable[[Unmatched], None]]:
    """Write a row for every unmatched cancellation row to a file."""
    if path is None:
        yield lambda _: None
        return
    import csv
    from dataclasses import astuple, fields

    from jitui.backtest.history import Unmatched
    from jitui.errors import BadInput
    from jitui.text import for_spreadsheet

    try:
        file = path.open("w", newline="", encoding="utf-8")
    except OSError as error:
        raise BadInput(f"{path} cannot be written: {error.strerror}.", path=str(path)) from None
    with file:
        writer = csv.writer(file)
        writer.writerow(field.name for field in fields(Unmatched))
        yield lambda unmatched: writer.writerow(
            for_spreadsheet(cell) if isinstance(cell, str) else cell for cell in astuple(unmatched)
        )


def _sha256(path: Path) -> str:
    import hashlib

    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


# Output ----------------------------------------------------------------------------------------------------------


def _document(report: ReplayReport) -> dict[str, object]:
    from dataclasses import asdict

    return asdict(report)


def _print_tables(report: ReplayReport, seconds: float) -> None:
    from jitui.money import to_decimal_text

    def money(amount_minor: int) -> str:
        return f"{to_decimal_text(amount_minor, report.amounts.currency)} {report.amounts.currency}"

    console = results()
    assumed = report.assumed
    console.print(
        f"{report.file.orders} orders of {report.file.order_lines} lines, {money(report.amounts.paid_minor)}."
        f" Assumed: dispatch after {assumed['dispatch_hours']} h, completed {assumed['complete_days']} days later,"
        f" reviewed requests approved after {assumed['merchant_hours']} h."
    )
    for table in (_requests(report, money), _conditions(report), _cancellations(report, money), _delays(report)):
        console.print(table)
    _print_check(report, money, seconds)


def _table(title: str, *columns: str) -> Table:
    from rich.table import Table

    table = Table(title=title, title_justify="left")
    for index, column in enumerate(columns):
        table.add_column(column, justify="right" if index else "left", no_wrap=True)
    return table


def _requests(report: ReplayReport, money: Callable[[int], str]) -> Table:
    table = _table("Requests", "", "before dispatch", "after", "all", "amount")
    before, after, amounts = report.before_dispatch, report.after_dispatch, report.amounts
    rows = [
        ("asked", before.requests, after.requests, report.requests, ""),
        ("instant", before.instant, after.instant, report.instant, money(amounts.instant_minor)),
        ("reviewed", before.reviewed, after.reviewed, report.reviewed, money(amounts.reviewed_minor)),
        ("refused", before.refused, after.refused, report.refused, ""),
    ]
    for code in sorted({*before.refused_by_code, *after.refused_by_code}):
        counts = before.refused_by_code.get(code, 0), after.refused_by_code.get(code, 0)
        rows.append((f"  {code}", *counts, sum(counts), ""))
    for name, early, late, every, amount in rows:
        table.add_row(name, str(early), str(late), str(every), amount)
    table.add_row("refunded", "", "", str(report.refunded), money(amounts.refunded_minor))
    return table


def _conditions(report: ReplayReport) -> Table:
    table = _table("What sent requests to review", "condition", "in all", "alone", "first", "of these unknown")
    for name, stopped in report.reviewed_by_condition.items():
        table.add_row(name, str(stopped.requests), str(stopped.alone), str(stopped.first), str(stopped.unknown))
    for name, count in report.reviewed_by_guard.items():
        table.add_row(f"({name})", str(count), "", "", "")
    return table


def _cancellations(report: ReplayReport, money: Callable[[int], str]) -> Table:
    table = _table("Cancelled goods, and rows that are neither", "", "rows", "units", "credited")
    matched = report.matching
    table.add_row("matched: requests", str(matched.requests), "", money(matched.credited_minor))
    for reason, units in matched.unmatched_by_reason.items():
        table.add_row(f"unmatched: {reason}", str(units.rows), str(units.units), money(units.credited_minor))
    for reason, rows in report.file.rows_set_aside.items():
        table.add_row(f"set aside: {reason}", str(rows), "", "")
    return table


def _delays(report: ReplayReport) -> Table:
    table = _table("From order to cancellation", "", "requests")
    for name, count in report.cancel_delays.requests.items():
        table.add_row(name.replace("_", " "), str(count))
    return table


def _print_check(report: ReplayReport, money: Callable[[int], str], seconds: float) -> None:
    console, check, new = results(), report.check, report.new
    verdict = "agree" if check.holds else "DO NOT AGREE"
    console.print(
        f"Database and provider's books {verdict}: paid twice {check.paid_twice}, over-refunded {check.over_refunded},"
        f" approved but unpaid {check.approved_but_unpaid}, shipped and refunded {check.shipped_and_refunded};"
        f" {money(check.refunded_by_database_minor)} here, {money(check.refunded_by_provider_minor)} there."
    )
    for finding in check.findings:
        console.print(f"  {finding}")
    console.print(f"New in this run: {new.orders} orders, {new.tickets} tickets. {seconds} seconds.")
