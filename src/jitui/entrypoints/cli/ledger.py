"""`jitui ledger`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from jitui.entrypoints.cli.output import Json, echo, print_json

if TYPE_CHECKING:
    from jitui.aftersales.changes import LedgerEntry
    from jitui.bootstrap import Service


def ledger(
    order: Annotated[str, typer.Argument(metavar="ORDER", help="The platform's order id.", show_default=False)],
    as_json: Json = False,
) -> None:
    """An order's ledger: when, what happened, debit, credit, amount; and the balance of each account."""
    from jitui.aftersales.ledger import balances
    from jitui.entrypoints.cli.running import with_app

    entries = with_app(lambda service: _read(service, order))
    if as_json:
        held = [
            {"account": account, "balance_minor": minor, "currency": currency}
            for (account, currency), minor in balances(entries).items()
        ]
        print_json({"order_id": order, "postings": entries, "balances": held})
    else:
        _show(order, entries)


async def _read(service: Service, order: str) -> Sequence[LedgerEntry]:
    from jitui.errors import BadInput

    ref = await service.store.find_order(order)
    if ref is None:
        raise BadInput(f"There is no order {order!r} in this database.", path="order")
    return await service.queries.ledger(ref)


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
