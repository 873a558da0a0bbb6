"""`jitui finance`: the journal by days, a shop's statement, and closed periods."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from jitui.entrypoints.cli.exits import FAILED
from jitui.entrypoints.cli.main import new_typer
from jitui.entrypoints.cli.output import Json, echo, print_json, say

if TYPE_CHECKING:
    from datetime import date

    from jitui.aftersales.accounting.journal import Days
    from jitui.aftersales.accounting.periods import BookFault, Period
    from jitui.aftersales.accounting.shop_statement import CurrencyStatement
    from jitui.aftersales.outcomes import Refusal
    from jitui.bootstrap import Service
    from jitui.client import Client

finance = new_typer("The books for finance: journal, shops' statements, closed periods.")

First = Annotated[str, typer.Argument(metavar="FIRST", help="The first day, such as 2026-06-01.")]
Last = Annotated[str, typer.Argument(metavar="[LAST]", help="The last day; left out: the first.", show_default=False)]
_LINE = ("day", "account", "currency", "opening_minor", "debit_minor", "credit_minor", "closing_minor", "entries")
_ENTRY = ("booked_at", "posted_at", "order_id", "posting", "debit", "credit", "amount_minor", "currency")


@finance.command("journal")
def journal(
    first: First,
    last: Last = "",
    entries: Annotated[bool, typer.Option("--entries", help="Every entry, with both its times.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON document; else CSV.")] = False,
) -> None:
    """The journal by day of booking, account and currency, in the platform's time zone. Amounts are in minor units.

    It is written as it is read, so any number of days needs the same memory.
    """
    from jitui.entrypoints.cli.running import on_service
    from jitui.errors import BadInput

    days = _days(first, last)
    columns, rows = (_ENTRY, "entries") if entries else (_LINE, "lines")

    async def work(service: Service) -> None:
        within = _in_zone(days, service)
        if entries:
            async with service.books.entries(within) as found:
                await _write(found, columns, rows, as_json=as_json)
            return
        from jitui.aftersales.accounting.journal import journal_lines

        async with service.books.journal(within) as reading:
            await _write(journal_lines(reading), columns, rows, as_json=as_json)

    def remote(client: Client) -> None:
        import asyncio

        from jitui.client import api

        if entries:
            raise BadInput("Single entries are read beside the database, not over HTTP.", path="--entries")
        found = client.send(api.get_journal(first_day=days[0].isoformat(), last_day=days[1].isoformat()))
        asyncio.run(_write(_each(found.lines), columns, rows, as_json=as_json))

    on_service(work, remote)


@finance.command("statement")
def statement(
    shop: Annotated[str, typer.Argument(metavar="SHOP", help="The shop's id.")],
    first: First,
    last: Last = "",
    as_json: Json = False,
) -> None:
    """What a shop is told of its money: refunds by who paid them, incidents, what it owes, the accounts."""
    from jitui.entrypoints.cli.running import on_service

    days = _days(first, last)

    async def work(service: Service) -> Sequence[CurrencyStatement]:
        from jitui.aftersales.accounting.shop_statement import shop_statement

        return shop_statement(await service.books.of_shop(shop, _in_zone(days, service)))

    def remote(client: Client) -> Sequence[CurrencyStatement]:
        from jitui.aftersales.accounting.shop_statement import CurrencyStatement
        from jitui.client import api
        from jitui.entrypoints.cli.remote import our_value

        call = api.get_shop_statement(shop, first_day=days[0].isoformat(), last_day=days[1].isoformat())
        return [our_value(CurrencyStatement, one) for one in client.send(call).currencies]

    found = on_service(work, remote)
    if as_json:
        print_json({"shop_id": shop, "first_day": days[0], "last_day": days[1], "currencies": found})
        return
    for one in found:
        _show_statement(one)
    if not found:
        echo(f"No money of shop {shop}'s orders has moved until {days[1]}.")


@finance.command("close")
def close(
    day: Annotated[str, typer.Argument(metavar="DAY", help="The last day of the period, such as 2026-05-31.")],
    by: Annotated[str, typer.Option(help="Who does this; needed, except over HTTP.", show_default=False)] = "",
    as_json: Json = False,
) -> None:
    """Close the books up to the end of a day. Nothing is booked before it afterwards; it cannot be opened again."""
    from jitui.aftersales.outcomes import Refusal
    from jitui.entrypoints.cli.running import on_service
    from jitui.errors import BadInput

    last = _day(day, "DAY")

    def work(service: Service) -> Awaitable[Period | Refusal]:
        if not by.strip():
            raise BadInput("Who does this? Give --by.", path="--by")
        return service.books.close(last, service.settings.time_zone, by=by.strip(), now=service.clock())

    def remote(client: Client) -> Period:
        from jitui.client import api
        from jitui.entrypoints.cli.remote import only_by_key

        only_by_key(by)
        return _period(client.send(api.close_period(api.PeriodSent(last_day=last.isoformat()))))

    done = on_service(work, remote)
    if isinstance(done, Refusal):
        say(done.message)
        raise typer.Exit(FAILED)
    if as_json:
        print_json(done)
    else:
        _show_period(done)


@finance.command("periods")
def periods(as_json: Json = False) -> None:
    """The closed periods, with what each account had."""
    from jitui.entrypoints.cli.running import on_service

    def work(service: Service) -> Awaitable[Sequence[Period]]:
        return service.books.periods()

    def remote(client: Client) -> Sequence[Period]:
        from jitui.client import api

        return [_period(one) for one in client.send(api.list_periods()).periods]

    found = on_service(work, remote)
    if as_json:
        print_json({"periods": found})
        return
    for one in found:
        _show_period(one)
    if not found:
        echo("No period was closed yet.")


@finance.command("verify")
def verify(as_json: Json = False) -> None:
    """Whether the ledger still says of every closed period what it said when it was closed; exit code 1 when not."""
    from jitui.entrypoints.cli.running import on_service

    def work(service: Service) -> Awaitable[Sequence[BookFault]]:
        return service.books.verify()

    def remote(client: Client) -> Sequence[BookFault]:
        from jitui.aftersales.accounting.periods import BookFault
        from jitui.client import api
        from jitui.entrypoints.cli.remote import our_value

        return [our_value(BookFault, one) for one in client.send(api.verify_periods()).faults]

    found = on_service(work, remote)
    if as_json:
        print_json({"unchanged": not found, "faults": found})
    for fault in () if as_json else found:
        echo(fault.sentence)
    if found:
        raise typer.Exit(FAILED)
    if not as_json:
        echo("The ledger says of every closed period what it said when it was closed.")


# Helpers -----------------------------------------------------------------------------------------------------------


async def _write(found: AsyncIterator[Any], columns: Sequence[str], rows: str, *, as_json: bool) -> None:
    """Rows as CSV or as one JSON document, each written when it is read."""
    import csv
    import io

    import msgspec

    from jitui.entrypoints.cli.output import print_to_the_letter

    def line(values: Sequence[object]) -> str:
        text = io.StringIO()
        csv.writer(text, lineterminator="\n").writerow(values)
        return text.getvalue()

    print_to_the_letter(f'{{"{rows}": [' if as_json else line(columns))
    comma = "\n  "
    async for one in found:
        values = [getattr(one, name) for name in columns]
        if as_json:
            document = msgspec.json.encode(dict(zip(columns, values, strict=True))).decode()
            print_to_the_letter(comma + document)
            comma = ",\n  "
        else:
            print_to_the_letter(line(values))
    if as_json:
        print_to_the_letter("\n]}\n")


async def _each(rows: Sequence[Any]) -> AsyncIterator[Any]:
    for row in rows:
        yield row


def _days(first: str, last: str) -> tuple[date, date]:
    from jitui.errors import BadInput

    begins = _day(first, "FIRST")
    ends = _day(last, "LAST") if last else begins
    if ends < begins:
        raise BadInput(f"{last} is before {first}.", path="LAST")
    return begins, ends


def _day(text: str, what: str) -> date:
    from datetime import date

    from jitui.errors import BadInput

    try:
        day = date.fromisoformat(text)
    except ValueError:
        day = None
    if day is None or not 1970 <= day.year < 9999:
        raise BadInput(f"{what} is a day such as 2026-06-01, not {text!r}.", path=what)
    return day


def _in_zone(days: tuple[date, date], service: Service) -> Days:
    from jitui.aftersales.accounting.journal import Days

    return Days(*days, service.settings.time_zone)


def _period(row: object) -> Period:
    from jitui.aftersales.accounting.periods import Period
    from jitui.entrypoints.cli.remote import our_value

    found: Period = our_value(Period, row)
    return found


def _show_period(period: Period) -> None:
    echo(f"{period.period}  up to {period.last_day} ({period.time_zone}), {period.entries} entries")
    echo(f"  closed by {period.closed_by} at {period.closed_at.isoformat(timespec='seconds')}")
    echo(f"  {period.hash or 'being closed: run the closing of that day again'}")
    from jitui.money import to_decimal_text

    for one in period.balances:
        echo(f"  {one.account:<40} {to_decimal_text(one.closing_minor, one.currency):>17} {one.currency}")


def _show_statement(found: CurrencyStatement) -> None:
    from jitui.entrypoints.cli.speaking import amount

    def line(name: str, minor: int) -> None:
        echo(f"  {name:<34} {amount(minor, found.currency):>20}")

    echo(found.currency)
    for funder, minor in sorted(found.refunds_minor.items()):
        line(f"refunded to {funder}", minor)
    line("fees", found.fees_minor)
    line("incidents: goods came back", found.incidents.returned_minor)
    line("incidents: buyers paid again", found.incidents.repaid_minor)
    line("incidents: borne by the platform", found.incidents.borne_by_platform_minor)
    owing = found.receivable
    line("owed for incidents before", owing.opening_minor)
    line("  charged", owing.charged_minor)
    line("  recovered", -owing.recovered_minor)
    line("  written off", -owing.written_off_minor)
    line("  overpaid, owed back from now on", owing.moved_to_owed_back_minor)
    line("owed for incidents after", owing.closing_minor)
    line("owed back to the shop after", owing.owed_back_minor)
