"""Stripe's balance transactions: the itemised activity report (CSV), or objects of the API (JSON, or one per line).

The report has major units, the API Stripe's own minor units; refunds are negative in both. A balance transaction is in
the currency of the balance. When the payment has another, the report's `customer_facing_*` columns or an expanded
`source` have the buyer's amount and currency. Source: docs.stripe.com, *Balance report*, *Reporting categories* and
*The Balance Transaction object*, as of November 2026.
"""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, tzinfo
from pathlib import Path
from typing import IO

import msgspec
from msgspec import Struct

from jitui.adapters.payments.statements import tables
from jitui.adapters.payments.statements.tables import Cells
from jitui.adapters.payments.stripe.amounts import from_stripe_amount
from jitui.adapters.payments.stripe.answers import ATTEMPT
from jitui.aftersales.reconciliation.statement import AnyRow, OtherRow, RowKind, StatementRow
from jitui.errors import BadInput
from jitui.money import MAX_AMOUNT_MINOR
from jitui.text import sentence

_KINDS = {
    "charge": RowKind.PAYMENT,
    "payment": RowKind.PAYMENT,
    "refund": RowKind.REFUND,
    "payment_refund": RowKind.REFUND,
    "refund_failure": RowKind.REFUND_RETURNED,
    "payment_failure_refund": RowKind.REFUND_RETURNED,
    "payment_refund_failure": RowKind.REFUND_RETURNED,
}
"""The kinds of rows, by the report's `reporting_category` and the API's `type`; others are not a buyer's payments."""
_COLUMNS = {"balance_transaction_id", "created_utc", "currency", "gross", "reporting_category"}


class _Source(Struct, frozen=True):
    id: str
    amount: int | None = None
    currency: str | None = None
    charge: str | None = None
    payment_intent: str | None = None
    metadata: dict[str, str] = {}


class _Transaction(Struct, frozen=True):
    id: str
    type: str
    amount: int
    currency: str
    created: int
    source: str | _Source | None = None
    exchange_rate: float | None = None


class _List(Struct, frozen=True):
    data: list[msgspec.Raw]


_read_list = msgspec.json.Decoder(_List | list[msgspec.Raw]).decode
_read_transaction = msgspec.json.Decoder(_Transaction).decode


class StripeStatements:
    """A `jitui.aftersales.reconciliation.statement.StatementFormat` for Stripe."""

    whole_days_in: tzinfo | None = None
    tells_its_end = False

    def read(self, path: Path) -> Iterable[AnyRow]:
        """The rows. A JSON document is read into memory as a whole; CSV and JSON lines are not."""
        with tables.opened(path, "utf-8-sig") as text:
            first = text.readline()
            if first.lstrip().startswith(("{", "[")):
                yield from _objects(path, first, text)
            else:
                yield from _report(path, first, text)


# The report --------------------------------------------------------------------------------------------------------


def _report(path: Path, first: str, text: IO[str]) -> Iterator[AnyRow]:
    names = next(csv.reader([first]), [])
    missing = _COLUMNS - set(names)
    if missing:
        raise tables.not_this(
            path,
            sentence("an itemised balance report of Stripe"),
            sentence("no column %(name)s", name=repr(sorted(missing)[0])),
        )
    lines = csv.reader(text)
    last = 1
    for values in lines:
        number, last = last + 1, lines.line_num + 1
        if not any(values):
            continue
        cells = dict(zip(names, values, strict=False))
        short = len(values) < len(names)
        yield tables.read_row(number, ",".join(values), lambda n=number, c=cells, s=short: _of_report(n, c, s))  # type: ignore[misc]


def _of_report(line: int, cells: Cells, short: bool) -> AnyRow:
    if short:
        raise tables.CellFault(sentence("the line has fewer values than the header"))
    kind = _KINDS.get(cells["reporting_category"])
    if kind is None:
        return OtherRow(line)
    facing = bool(cells.get("customer_facing_amount") and cells.get("customer_facing_currency"))
    currency = tables.currency(cells["customer_facing_currency" if facing else "currency"])
    source = cells.get("refund_id") or cells.get("source_id") or ""
    return tables.checked(
        StatementRow(
            line=line,
            kind=kind,
            at=tables.moment(tables.cell(cells, "created_utc"), UTC),
            amount_minor=tables.amount(cells["customer_facing_amount" if facing else "gross"], currency),
            currency=currency,
            reference=cells.get(f"refund_metadata[{ATTEMPT}]") or None,
            provider_refund_id=None if kind is RowKind.PAYMENT else source or None,
            payment_ids=_payments(kind, source, cells.get("charge_id"), cells.get("payment_intent_id"))
            # a charge alone is not the payment's name for all refunds
            if kind is RowKind.PAYMENT or "payment_intent_id" in cells
            else (),
        )
    )


def _payments(kind: RowKind, source: str, charge: str | None, intent: str | None) -> tuple[str, ...]:
    own = source if kind is RowKind.PAYMENT else None
    return tuple(dict.fromkeys(filter(None, (intent, charge, own))))


# The objects -------------------------------------------------------------------------------------------------------


def _objects(path: Path, first: str, text: IO[str]) -> Iterator[AnyRow]:
    for number, raw in enumerate(_raw_objects(path, first, text), start=1):
        if raw.strip():
            shown = raw.decode("utf-8", "replace")
            yield tables.read_row(number, shown, lambda n=number, r=raw: _of_object(n, r))  # type: ignore[misc]


def _raw_objects(path: Path, first: str, text: IO[str]) -> Iterator[bytes]:
    if _is_transaction(first):
        yield first.encode()
        yield from (line.encode() for line in text)
        return
    try:
        found = _read_list((first + text.read()).encode())
    except msgspec.MsgspecError as error:
        said = sentence("%(file)s is no list of balance transactions: %(why)s.", file=path.name, why=error)
        raise BadInput(said, path=str(path)) from None
    yield from (bytes(raw) for raw in (found.data if isinstance(found, _List) else found))


def _is_transaction(line: str) -> bool:
    try:
        _read_transaction(line)
    except msgspec.MsgspecError:
        return False
    return True


def _of_object(line: int, raw: bytes) -> AnyRow:
    try:
        found = _read_transaction(raw)
    except msgspec.MsgspecError as error:
        raise tables.CellFault(sentence("no balance transaction: %(why)s", why=error)) from None
    kind = _KINDS.get(found.type)
    if kind is None:
        return OtherRow(line)
    source = found.source if isinstance(found.source, _Source) else _Source(found.source or "")
    amount, currency = source.amount, source.currency
    if amount is None or currency is None:
        if found.exchange_rate is not None:
            raise tables.CellFault(
                sentence("its amount was converted: list the transactions with expand[]=data.source")
            )
        amount, currency = found.amount, found.currency
    code = tables.currency(currency)
    minor = from_stripe_amount(abs(amount), code)
    if minor is None or not 0 < minor <= MAX_AMOUNT_MINOR or not 0 <= found.created <= 7 * 10**9:
        what = {"amount": amount, "currency": currency, "time": found.created}
        raise tables.CellFault(sentence("%(amount)s %(currency)s at %(time)s is no payment", **what))
    return tables.checked(
        StatementRow(
            line=line,
            kind=kind,
            at=datetime.fromtimestamp(found.created, UTC),
            amount_minor=minor,
            currency=code,
            reference=source.metadata.get(ATTEMPT),
            provider_refund_id=None if kind is RowKind.PAYMENT else source.id or None,
            payment_ids=_payments(kind, source.id, source.charge, source.payment_intent),
        )
    )
