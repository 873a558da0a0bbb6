"""`jitui demo`."""

from __future__ import annotations

import shlex
import shutil
import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from jitui.entrypoints.cli.exits import FAILED
from jitui.entrypoints.cli.output import Json, echo, print_json, progress, results, say

if TYPE_CHECKING:
    from rich.table import Table

    from jitui.demo.home import DemoProcesses
    from jitui.demo.run import Played
    from jitui.demo.summary import Times


def demo(
    orders: Annotated[
        int, typer.Option(min=20, max=200_000, help="Orders of the day; refunds are requested for a fifth.")
    ] = (2_000),
    seed: Annotated[int | None, typer.Option(min=0, help="Another marketplace.", show_default=False)] = None,
    once: Annotated[bool, typer.Option("--once", help="Play the day, check it, and stop.")] = False,
    fresh: Annotated[bool, typer.Option("--fresh", help="Delete the earlier days.")] = False,
    as_json: Json = False,
) -> None:
    """A sample marketplace: database, provider simulator, API, console and worker, and a day of requests.

    It then stays up until Ctrl-C, so that you can try it. It has a database of its own; a second run adds the next day.
    With --once the exit code is 0 only when, by the provider's own books, nobody was paid twice or too much, nothing
    was both shipped and refunded, and every approved refund was paid.
    """
    from jitui.demo.run import DemoOptions, running_demo
    from jitui.settings import read_settings

    _stop_with_the_terminal()
    settings = read_settings()
    with running_demo(settings, DemoOptions(orders, seed, fresh), _Watcher()) as (played, children):
        if as_json:
            print_json(_document(played))
        else:
            _show(played)
        if not once:
            _stay(played, children)
    if not once:
        say("Everything is stopped.")
    for finding in _all_findings(played):
        say(finding)
    if not played.findings.clean:
        raise typer.Exit(FAILED)


def _stop_with_the_terminal() -> None:
    """Stop the demo when the terminal is closed, as SIGTERM does; under nohup it goes on."""
    if signal.getsignal(signal.SIGHUP) is signal.SIG_DFL:
        signal.signal(signal.SIGHUP, signal.getsignal(signal.SIGTERM))


class _Watcher:
    """Shows progress on standard error."""

    def say(self, text: str) -> None:
        say(text)

    @contextmanager
    def counting(self, what: str, total: int) -> Iterator[Callable[[int], None]]:
        with progress() as bar:
            task = bar.add_task(what, total=total)
            yield lambda count: bar.advance(task, count)


def _stay(played: Played, children: DemoProcesses) -> None:
    """Until Ctrl-C, which is how a demo ends and no failure."""
    say("Ctrl-C stops everything.")
    try:
        while True:
            children.check()
            time.sleep(0.5)
    except KeyboardInterrupt:
        say("Stopping…")


def _all_findings(played: Played) -> list[str]:
    found = played.findings
    problems = [*found.paid_twice, *found.over_refunded, *found.shipped_and_refunded, *found.approved_but_unpaid]
    return problems + [f"unexpected: {text}" for text in played.unexpected]


def _document(played: Played) -> dict[str, object]:
    summary, found = played.summary, played.findings
    return {
        "requests": summary.requests,
        "instant": summary.instant,
        "reviewed": summary.reviewed,
        "reviewed_by_condition": summary.reviewed_by_condition,
        "refunded": summary.refunded,
        "awaiting": summary.awaiting,
        "rejected": summary.rejected,
        "incidents": summary.incidents,
        "paid_twice": len(found.paid_twice),
        "over_refunded": len(found.over_refunded),
        "shipped_and_refunded": len(found.shipped_and_refunded),
        "approved_but_unpaid": len(found.approved_but_unpaid),
        "amounts": summary.amounts,
        "median_seconds_to_refund": summary.seconds_to_refund.median,
        "p99_seconds_to_refund": summary.seconds_to_refund.p99,
        "instant_seconds_to_refund": summary.instant_seconds_to_refund,
        "reviewed_seconds_to_refund": summary.reviewed_seconds_to_refund,
        "outcomes": played.outcomes,
        "unexpected": played.unexpected,
        "seed": played.seed,
        "day": played.day,
        "orders": played.orders,
        "seconds": played.seconds,
        "address": played.base_url,
    }


# Output for people ------------------------------------------------------------------------------------------------


def _show(played: Played) -> None:
    console = results()
    console.print(f"\nDay {played.day} of marketplace {played.seed}, {played.orders} orders, in {played.seconds} s")
    console.print(_figures(played))
    found = played.findings
    counts = (
        f"{len(found.paid_twice)} paid twice, {len(found.over_refunded)} refunded too much,"
        f" {len(found.shipped_and_refunded)} shipped by command and refunded,"
        f" {len(found.approved_but_unpaid)} unpaid"
    )
    console.print(f"By the provider's own books: {counts}.")
    console.print(
        "An incident is a parcel whose label was printed before the request and that the\n"
        "carrier scanned after the refund: nothing in the service can stop that.\n"
    )
    _show_how_to_go_on(played)


def _show_how_to_go_on(played: Played) -> None:
    sample = played.sample
    echo(f"Start page    {played.base_url}/")
    echo(f"API           {played.base_url}/docs")
    echo(f"Platform key  {sample.platform_key}")
    echo(f"Shop key      {sample.shop_key}")
    echo(f"              of shop {sample.shop_id}")
    echo(f"Buyer key     {sample.buyer_key}")
    echo(f"              of buyer {sample.buyer_id}")
    echo("\nIn another terminal, the same as variables:")
    echo(f"  . {_short(played.session)}")
    echo("\nRequest a refund as this buyer:")
    echo('  curl -s $JITUI/v1/after-sales -H "Authorization: Bearer $BUYER_KEY" \\')
    echo("    -H 'Content-Type: application/json' -H 'Idempotency-Key: try-1' \\")
    echo('    -d "{\\"order_id\\": \\"$ORDER\\"}"')
    echo("\nWhy a ticket was decided as it was:")
    echo("  JITUI_DATABASE_URL=$DEMO_DATABASE_URL \\")
    echo(f"    {_short(_this_program())} explain $TICKET --language en\n")


def _this_program() -> Path:
    """`jitui` of the installation that runs; in a checkout it is on no search path."""
    beside = Path(sys.executable).with_name("jitui")
    on_path = shutil.which("jitui")
    is_same = on_path is not None and beside.exists() and Path(on_path).samefile(beside)
    return Path("jitui") if is_same else beside


def _short(path: Path) -> str:
    """The path for a shell: from this folder or from the home folder where it lies in one of them."""
    if path.is_relative_to(Path.cwd()):
        return shlex.quote(str(path.relative_to(Path.cwd())))
    if path.is_relative_to(Path.home()):
        return f"~/{shlex.quote(str(path.relative_to(Path.home())))}"
    return shlex.quote(str(path))


def _figures(played: Played) -> Table:
    from rich.table import Table

    from jitui.money import to_decimal_text

    summary = played.summary
    table = Table(box=None, show_header=False, padding=(0, 2, 0, 2))
    table.add_column(justify="left")
    table.add_column(justify="right")
    table.add_row("refund requests", str(summary.requests))
    table.add_row("approved at once", f"{summary.instant} ({_percent(summary.instant, summary.requests)})")
    table.add_row("to the merchant's review", str(summary.reviewed))
    for condition, count in summary.reviewed_by_condition.items():
        table.add_row(f"  because of {condition}", str(count))
    table.add_row("refunded by now", str(summary.refunded))
    table.add_row("incidents: the carrier took goods already refunded", str(summary.incidents))
    table.add_row("seconds to the money, at once", _times(summary.instant_seconds_to_refund))
    table.add_row("seconds to the money, reviewed", _times(summary.reviewed_seconds_to_refund))
    amounts = summary.amounts
    for what, minor in (("asked for", amounts.requested_minor), ("refunded", amounts.refunded_minor)):
        table.add_row(what, f"{to_decimal_text(minor, amounts.currency)} {amounts.currency}")
    return table


def _percent(part: int, whole: int) -> str:
    return f"{100 * part // whole} %" if whole else "0 %"


def _times(times: Times) -> str:
    return "none" if times.median is None else f"median {times.median}, p99 {times.p99}"
