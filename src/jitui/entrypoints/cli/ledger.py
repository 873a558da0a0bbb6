"""`jitui ledger`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from jitui.entrypoints.cli.exits import FAILED
from jitui.entrypoints.cli.output import Json, echo, print_json

if TYPE_CHECKING:
    from jitui.aftersales.changes import LedgerEntry
    from jitui.aftersales.queries import UnbalancedOrder
    from jitui.bootstrap import Service
    from jitui.client import Client

MOST_SHOWN = 1_000


def ledger(
    order: Annotated[str, typer.Argument(metavar="[ORDER]", help="The platform's order id.", show_default=False)] = "",
    check: Annotated[bool, typer.Option("--check", help="Every order's ledger against its payments.")] = False,
    as_json: Json = False,
) -> None:
    """An order's story in accounts: when, what happened, debit, credit, amount; and what each account holds now.

    --check reads all orders: exit code 1 when the ledger of one differs from what its payments say.
    """
    from jitui.entrypoints.cli.running import on_service, with_app
    from jitui.errors import BadInput

    if check == bool(order):
        raise BadInput("Name an order, or --check all of them.", path="order")
    if check:
        _report(with_app(lambda service: service.queries.unbalanced_orders(None, MOST_SHOWN)), as_json=as_json)
        return
    entries = on_service(lambda service: _read(service, order), lambda client: _read_remotely(client, order))
    if as_json:
        from jitui.aftersales.ledger import balances

        held = [
            {"account": account, "balance_minor": minor, "currency": currency}
            for (account, currency), minor in balances(entries).items()
        ]
        print_json({"order_id": order, "postings": entries, "balances": held})
    else:
        _show(order, entries)


def _report(found: Sequence[UnbalancedOrder], *, as_json: bool) -> None:
    from jitui.money import to_decimal_text

    if as_json:
        print_json({"balanced": not found, "differences": found})
    for one in () if as_json else found:
        by_ledger = to_decimal_text(one.ledger_minor, one.currency)
        by_order = to_decimal_text(one.order_minor, one.currency)
        echo(f"order {one.order_id}: {one.what} is {by_ledger} {one.currency} by the ledger, {by_order} by the order")
    if found:
        raise typer.Exit(FAILED)
    if not as_json:
        echo("Every order's ledger agrees with its payments.")


async def _read(service: Service, order: str) -> Sequence[LedgerEntry]:
    from jitui.errors import BadInput

    ref = await service.store.find_order(order)
    if ref is None:
        raise BadInput(f"There is no order {order!r} in this database.", path="order")
    return await service.queries.ledger(ref)


def _read_remotely(client: Client, order: str) -> Sequence[LedgerEntry]:
    from jitui.aftersales.changes import LedgerEntry
    from jitui.client import api
    from jitui.entrypoints.cli.remote import found_or_none
    from jitui.errors import BadInput

    found = found_or_none(client, api.get_ledger(order))
    if found is None:
        raise BadInput(f"There is no order {order!r} at this service.", path="order")
    return [
        LedgerEntry(row.posting, row.debit, row.credit, row.amount.amount_minor, row.amount.currency, row.posted_at)
        for row in found.postings
    ]


def _show(order: str, entries: Sequence[LedgerEntry]) -> None:
    from datetime import UTC

    from jitui.aftersales.ledger import FLOWS, balances, cause_of
    from jitui.money import to_decimal_text

    if not entries:
        echo(f"No money has moved for order {order}.")
        return
    for entry in entries:
        at = entry.posted_at.astimezone(UTC).isoformat(sep=" ", timespec="seconds").replace("+00:00", "Z")
        amount = f"{to_decimal_text(entry.amount_minor, entry.currency)} {entry.currency}"
        echo(f"{at}  {FLOWS[cause_of(entry)].meaning:<36} {amount:>19}")
        echo(f"    debit {entry.debit}, credit {entry.credit}")
    echo("\nBalances, debits less credits")
    for (account, currency), minor in balances(entries).items():
        echo(f"  {account:<55} {to_decimal_text(minor, currency):>17} {currency}")
