"""`jitui restore`: checks a restored backup, and lets it pay again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from jitui.entrypoints.cli.exits import FAILED
from jitui.entrypoints.cli.main import new_typer
from jitui.entrypoints.cli.output import Json, echo, print_json, say

if TYPE_CHECKING:
    from datetime import datetime

    from jitui.aftersales.reconciliation.restore import PayoutStatus, ProviderRefund, RestoreReport
    from jitui.bootstrap import Service

restore = new_typer(
    "From a restored backup to paying again.\n\n"
    "A backup is older than the money: a refund that was paid after it stands as queued again. So a restored database"
    " pays nothing, and approves nothing at once, until it is accepted here."
)

By = Annotated[str, typer.Option(help="Who does this, for the record.")]
Since = Annotated[
    str | None,
    typer.Option(
        metavar="TIME",
        help="Compare refunds at the providers from here on; else from an hour before the last mark of a worker.",
        show_default=False,
    ),
]
Statements = Annotated[
    list[str] | None,
    typer.Option(
        "--statement",
        metavar="PROVIDER=FILE",
        help="A statement from that time until now, for a provider that lists no refunds; may be repeated.",
        show_default=False,
    ),
]


@restore.command("status")
def status(as_json: Json = False) -> None:
    """Show whether refunds are paid. Exit code 1 while payouts are held."""
    from jitui.entrypoints.cli.running import with_app

    async def work(service: Service) -> PayoutStatus:
        return await service.payouts.status()

    found = with_app(work)
    if as_json:
        print_json(found)
    else:
        _show_status(found)
    if not found.allowed:
        raise typer.Exit(FAILED)


@restore.command("hold")
def hold(
    reason: Annotated[str, typer.Option(help="Why; operators read it.", show_default=False)] = "",
    by: By = "command line",
) -> None:
    """Hold payouts and instant approvals, after a restore that PostgreSQL itself does not show.

    A copy of the disk that is started again keeps its timeline, so it must be held by hand before a worker starts.
    """
    from jitui.entrypoints.cli.running import with_app
    from jitui.errors import BadInput

    if not reason.strip():
        raise BadInput("A hold needs a --reason.", path="--reason")

    async def work(service: Service) -> PayoutStatus:
        await service.payouts.hold(reason=reason, by=by, now=service.clock())
        return await service.payouts.status()

    _show_status(with_app(work))


@restore.command("check")
def check(since: Since = None, statement: Statements = None, as_json: Json = False) -> None:
    """Compare with the providers' refunds and record what was paid since the backup; payouts stay held.

    Exit code 1 when a provider was not checked or a refund has no explanation.
    """
    from jitui.entrypoints.cli.running import with_app

    lists = _statements(statement)

    async def work(service: Service) -> RestoreReport:
        return await _checked(service, since, lists)

    report = with_app(work)
    if as_json:
        print_json(report)
    else:
        _show(report)
    if report.unchecked or report.unexplained:
        raise typer.Exit(FAILED)


@restore.command("accept")
def accept(
    since: Since = None,
    statement: Statements = None,
    fed_again: Annotated[
        bool,
        typer.Option("--fed-again", help="Orders, payments, shipments and events since the backup were sent again."),
    ] = False,
    without: Annotated[
        list[str] | None,
        typer.Option(
            metavar="PROVIDER", help="Accept although nobody listed this provider's refunds.", show_default=False
        ),
    ] = None,
    note: Annotated[str, typer.Option(help="For the record.")] = "",
    by: By = "command line",
) -> None:
    """Check as `check` does, then pay again from this database.

    What was sent to us after the backup is lost: a parcel that has left looks unshipped, and would be refunded at once.
    So the platform first sends it again; --fed-again confirms that.
    """
    from jitui.entrypoints.cli.running import with_app

    lists = _statements(statement)

    async def work(service: Service) -> tuple[RestoreReport, list[str]]:
        report = await _checked(service, since, lists)
        missing = [name for name in report.unchecked if name not in (without or [])]
        if fed_again and not missing:
            await service.payouts.accept(note=note, by=by, now=service.clock())
        return report, missing

    report, missing = with_app(work)
    _show(report)
    if missing:
        say(f"Not accepted: give a --statement of {', '.join(missing)}, or --without it.")
    elif not fed_again:
        say("Not accepted: send orders, payments, shipments and events since the backup again, then use --fed-again.")
    if missing or not fed_again:
        raise typer.Exit(FAILED)
    echo("Accepted: refunds are paid again.")


async def _checked(
    service: Service, since: str | None, statements: Mapping[str, Sequence[ProviderRefund]]
) -> RestoreReport:
    from jitui.aftersales.reconciliation.restore import check_restore

    return await check_restore(service.restoring(), await _since(service, since), statements)


async def _since(service: Service, text: str | None) -> datetime:
    from datetime import UTC, timedelta

    from jitui.entrypoints.cli.words import moment_of
    from jitui.errors import BadInput

    if text is not None:
        return moment_of(text, "--since", UTC)
    seen = (await service.payouts.status()).last_seen_at
    if seen is None:
        raise BadInput("Nothing says how old this backup is: give its time with --since.", path="--since")
    return seen - timedelta(hours=1)


def _statements(given: Sequence[str] | None) -> dict[str, list[ProviderRefund]]:
    from jitui.bootstrap_providers import statement_formats
    from jitui.errors import BadInput

    formats = statement_formats()
    found: dict[str, list[ProviderRefund]] = {}
    for text in given or ():
        provider, separator, path = text.partition("=")
        if not separator or provider not in formats:
            raise BadInput(
                f"A statement is PROVIDER=FILE with a provider of {', '.join(formats)}, not {text!r}.",
                path="--statement",
            )
        found.setdefault(provider, []).extend(_refunds_in(provider, Path(path)))
    return found


def _refunds_in(provider: str, path: Path) -> list[ProviderRefund]:
    """The refunds of a statement; one that came back is declined. Raises BadInput for an unreadable row."""
    from jitui.aftersales.provider import RefundResultKind
    from jitui.aftersales.reconciliation.restore import ProviderRefund
    from jitui.aftersales.reconciliation.statement import RowKind, StatementRow, UnreadableRow
    from jitui.bootstrap_providers import statement_formats
    from jitui.errors import BadInput

    rows = list(statement_formats()[provider].read(path))
    for row in rows:
        if isinstance(row, UnreadableRow):
            raise BadInput(f"{path}, line {row.line}: {row.reason}.", path="--statement")
    moved = [row for row in rows if isinstance(row, StatementRow) and row.kind is not RowKind.PAYMENT]
    returned = {row.provider_refund_id for row in moved if row.kind is RowKind.REFUND_RETURNED}

    def kind_of(row: StatementRow) -> RefundResultKind:
        if row.provider_refund_id in returned:
            return RefundResultKind.DECLINED
        return RefundResultKind.SUCCEEDED if row.final else RefundResultKind.PENDING

    return [
        ProviderRefund(
            provider=provider,
            provider_refund_id=row.provider_refund_id or f"line {row.line}",
            payment_ids=row.payment_ids,
            amount_minor=row.amount_minor,
            currency=row.currency,
            at=row.at,
            kind=kind_of(row),
            reference=row.reference,
        )
        for row in moved
        if row.kind is RowKind.REFUND
    ]


# Showing -----------------------------------------------------------------------------------------------------------


def _show_status(found: PayoutStatus) -> None:
    if found.allowed:
        echo(f"Refunds are paid. Accepted {_at(found.accepted_at)} by {found.accepted_by}.")
    elif found.held_since is not None:
        echo(f"Payouts are held since {_at(found.held_since)} by {found.held_by}: {found.held_reason}")
    else:
        echo(f"Payouts are held: this database was restored or promoted (timeline {found.timeline_id}).")
        echo("docs/how-to/restore-a-backup.md says what to do; it ends with `jitui restore accept`.")
    echo(f"{found.open_refunds} refunds are open; a worker was last at work {_at(found.last_seen_at)}.")
    if found.unexplained:
        echo(f"{found.unexplained} refunds at providers have no explanation; the refunds of their orders wait:")
        echo("`jitui tasks` lists them, and closing a task lets its order go on.")


def _show(report: RestoreReport) -> None:
    echo(f"Compared from {_at(report.since)} on.")
    echo(f"{report.looked_up} open refunds were known to their provider.")
    echo(f"{report.listed} refunds listed: {report.known} known here, {report.adopted} paid after the backup.")
    for name in report.unchecked:
        echo(f"{name} lists no refunds here: give a --statement from that time until now.")
    if report.unexplained:
        echo(f"{len(report.unexplained)} have no explanation; the refunds of their orders wait: `jitui tasks`.")


def _at(moment: datetime | None) -> str:
    return "never" if moment is None else moment.isoformat(timespec="seconds")
