"""`jitui reconcile`."""

from __future__ import annotations

from pathlib import Path
from textwrap import fill
from typing import TYPE_CHECKING, Annotated

import typer

from jitui.entrypoints.cli.exits import FAILED
from jitui.entrypoints.cli.output import Json, echo, print_json, results
from jitui.entrypoints.cli.words import moment_of

if TYPE_CHECKING:
    from datetime import datetime, tzinfo

    from rich.table import Table

    from jitui.aftersales.reconciliation.reconcile import Count, ReconciliationReport
    from jitui.bootstrap import Service


def reconcile(
    provider: Annotated[
        str, typer.Argument(metavar="PROVIDER", help="simulator, wechat_pay, alipay, stripe.", show_default=False)
    ],
    statement: Annotated[Path, typer.Argument(metavar="STATEMENT", help="The provider's file.", show_default=False)],
    since: Annotated[
        str | None, typer.Option("--from", metavar="TIME", help="The start of what it covers.", show_default=False)
    ] = None,
    until: Annotated[
        str | None, typer.Option("--until", metavar="TIME", help="And before here.", show_default=False)
    ] = None,
    as_json: Json = False,
) -> None:
    """Compare a provider's statement with the ledger: matched, ours only, theirs only, amount differs.

    Each difference becomes a task with its evidence; the same statement again adds none. It never pays. A refund that
    we did not know to be paid is looked up and confirmed. Without --from and --until the rows define the time that is
    covered, in whole days if the provider's statements have those. Exit code 1 when a difference is open.
    """
    from jitui.bootstrap_reconciling import reconcile_file, statement_format
    from jitui.entrypoints.cli.running import with_app

    zone = statement_format(provider).whole_days_in
    window = (_time("--from", since, zone), _time("--until", until, zone))

    async def work(service: Service) -> ReconciliationReport:
        return await reconcile_file(service, provider, statement, *window)

    report = with_app(work)
    if as_json:
        print_json(_document(report))
    else:
        _show(report)
    if report.open:
        raise typer.Exit(FAILED)


def _time(name: str, text: str | None, zone: tzinfo | None) -> datetime | None:
    """A day in the zone of the provider's days, or a time with its zone."""
    from datetime import UTC

    return None if text is None else moment_of(text, name, zone or UTC)


# Showing -----------------------------------------------------------------------------------------------------------


def _document(report: ReconciliationReport) -> dict[str, object]:
    return {
        "provider": report.provider,
        "from": report.window.since,
        "until": report.window.until,
        "rows": {kind.value: count for kind, count in sorted(report.rows.items())},
        "other_rows": report.others,
        "unreadable_rows": report.unreadable,
        "counts": [
            {
                "kind": kind,
                "verdict": verdict,
                "ours": count.ours,
                "theirs": count.theirs,
                "ours_minor": count.ours_minor,
                "theirs_minor": count.theirs_minor,
            }
            for (kind, verdict), count in sorted(report.counts.items())
        ],
        "learned": report.learned,
        "open_differences": report.open,
        "resolved_before": report.resolved_before,
        "first_differences": [
            {
                "task_id": difference.task.task_id,
                "kind": difference.task.kind,
                "order_id": difference.task.order_id,
                "amount_minor": difference.task.amount_minor,
                "currency": difference.task.currency,
                "evidence": difference.task.evidence,
            }
            for difference in report.first
        ],
    }


def _show(report: ReconciliationReport) -> None:
    covered = [at.isoformat(timespec="seconds") for at in (report.window.since, report.window.until)]
    echo(f"{report.provider}, {covered[0]} to {covered[1]}")
    results().print(_table(report))
    if not any(kind == "payment" for kind, _ in report.counts):
        echo("The statement lists no payments; refunds alone were compared.")
    echo(f"{report.others} other rows, {report.unreadable} that cannot be read.")
    if report.learned:
        echo(f"{report.learned} were not known before and are confirmed now.")
    if report.resolved_before:
        echo(f"{report.resolved_before} differences were resolved before.")
    if report.open:
        echo(f"{report.open} differences; jitui tasks lists them all. The first:")
    for difference in report.first:
        task = difference.task
        echo(f"  {task.task_id}  {task.kind}")
        about = f"{(task.order_id and f'order {task.order_id}') or 'no order of ours'}: {_evidence(task.evidence)}"
        echo(fill(about, 80, initial_indent="    ", subsequent_indent="      "))


def _evidence(evidence: object) -> str:
    """Both sides of a difference, or why a row cannot be read."""
    if isinstance(evidence, dict) and "count" in evidence:
        return (
            f"{evidence['count']} of ours are not in the statement, and nothing says which period it covers."
            " With --from and --until each is a task of its own"
        )
    if not isinstance(evidence, dict) or "reason" in evidence:
        found = evidence if isinstance(evidence, dict) else {}
        return f"line {found.get('line')}: {found.get('reason')}"
    sides = (f"{name} {_money(evidence.get(name))}" for name in ("ours", "theirs"))
    return f"{evidence.get('movement')}, {', '.join(sides)}"


def _money(side: object) -> str:
    from jitui.money import to_decimal_text

    if not isinstance(side, dict):
        return "nothing"
    return f"{to_decimal_text(int(side['amount_minor']), str(side['currency']))} {side['currency']}"


def _table(report: ReconciliationReport) -> Table:
    from rich.table import Table

    table = Table(box=None, pad_edge=False)
    for name in ("what", "verdict"):
        table.add_column(name)
    for name in ("ours", "theirs", "our money", "their money"):
        table.add_column(name, justify="right")
    for (kind, verdict), count in sorted(report.counts.items()):
        table.add_row(kind, verdict, f"{count.ours:,}", f"{count.theirs:,}", *_sums(count))
    return table


def _sums(count: Count) -> tuple[str, str]:
    from jitui.money import to_decimal_text

    sides = (count.ours_minor, count.theirs_minor)
    texts = ["\n".join(f"{to_decimal_text(m, c)} {c}" for c, m in sorted(side.items())) for side in sides]
    return texts[0], texts[1]
