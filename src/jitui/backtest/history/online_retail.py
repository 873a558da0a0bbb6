"""Reads the public invoice lines of a British wholesaler of gifts, 2010 to 2011 (UCI "Online Retail", CC BY).

One row is one line of an invoice. A number that begins with C is a cancelling invoice: it names goods and the customer,
not the original invoice. docs/how-to/replay-real-orders.md tells how irregular rows are handled.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from decimal import ROUND_HALF_EVEN, Decimal
from functools import lru_cache
from itertools import groupby
from pathlib import Path
from typing import NamedTuple
from zoneinfo import ZoneInfo

import duckdb

from jitui.backtest.history.matching import Goods, match_cancellations
from jitui.backtest.history.past import (
    CancelledGoods,
    FileCounts,
    History,
    PastCancellation,
    PastEvent,
    PastLine,
    PastOrder,
    SetAside,
    SetAsideReason,
    Span,
    Unmatched,
    UnmatchedReason,
)
from jitui.backtest.history.tables import read_text_columns
from jitui.money import MAX_AMOUNT_MINOR

COLUMNS = ("InvoiceNo", "StockCode", "Description", "Quantity", "InvoiceDate", "UnitPrice", "CustomerID")
"""The columns that are read; a file may have others, such as Country."""

CURRENCY = "GBP"
TIME_ZONE = ZoneInfo("Europe/London")
SHOP_ID = "online-retail"

NOT_GOODS = frozenset({"D", "CRUK", "AMAZONFEE", "BANK CHARGES", "B", "S"})
"""Codes of discounts, commissions, fees, bad debt and samples; a cancellation of these is not one of goods."""

_ROWS_AT_ONCE = 20_000

_PARSE = r"""
CREATE MACRO shown(field) AS CASE WHEN coalesce(field, '') = '' THEN '(empty)' ELSE '«' || left(field, 40) || '»' END;
CREATE TABLE line AS
WITH field AS (
    SELECT row, fault, nullif(trim(InvoiceNo), '') AS invoice, upper(nullif(trim(StockCode), '')) AS sku,
        coalesce(trim(Description), '') AS title, trim(Quantity) AS quantity, trim(UnitPrice) AS price,
        nullif(regexp_replace(trim(CustomerID), '\.0+$', ''), '') AS customer, trim(InvoiceDate) AS date,
        coalesce(try_cast(trim(InvoiceDate) AS TIMESTAMP),
                 try_strptime(trim(InvoiceDate), ['%m/%d/%Y %H:%M', '%m/%d/%Y %H:%M:%S'])) AS local_time
    FROM raw)
SELECT row, invoice, sku, title, CASE WHEN regexp_full_match(quantity, '[+-]?[0-9]{1,12}(\.0+)?')
        THEN cast(quantity AS BIGINT) END AS quantity, price, customer, local_time,
    CASE
    WHEN fault IS NOT NULL THEN fault
    WHEN NOT coalesce(regexp_full_match(invoice, '[0-9A-Za-z]{1,32}'), false)
        THEN 'InvoiceNo ' || shown(invoice) || ' is not an invoice number'
    WHEN sku IS NULL THEN 'StockCode is empty'
    WHEN local_time IS NULL THEN 'InvoiceDate ' || shown(date) || ' is not a date and time'
    WHEN NOT coalesce(regexp_full_match(quantity, '[+-]?[0-9]{1,12}(\.0+)?'), false)
        THEN 'Quantity ' || shown(quantity) || ' is not a whole number'
    WHEN NOT coalesce(regexp_full_match(price, '[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]{1,2})?'), false)
        THEN 'UnitPrice ' || shown(price) || ' is not a number'
    WHEN abs(cast(price AS DOUBLE) * cast(quantity AS DOUBLE)) > $largest
        THEN 'UnitPrice ' || price || ' times Quantity ' || quantity || ' is too large'
    WHEN NOT coalesce(regexp_full_match(customer, '[!-~]{1,60}'), true)
        THEN 'CustomerID ' || shown(customer) || ' is not an identifier'
    END AS fault
FROM field;
"""

# Some invoices were written over two minutes; they are sorted by their first row.
_IN_TIME_ORDER = """
SELECT row, fault, invoice, sku, title, quantity, price, customer, placed
FROM (SELECT *, min(local_time) OVER (PARTITION BY invoice, customer) AS placed FROM line)
WHERE placed IS NULL OR local_time IS NULL OR (placed >= $since AND placed < $until)
ORDER BY placed NULLS FIRST, invoice NULLS FIRST, customer NULLS FIRST, row
"""

_COUNT = """
SELECT count(*), count(DISTINCT (invoice, customer)) FILTER (WHERE customer IS NOT NULL AND invoice NOT LIKE 'C%'),
    min(local_time)::date
FROM line WHERE local_time IS NULL OR (local_time >= $since AND local_time < $until)
"""

_CANCELLED = """
SELECT DISTINCT customer, sku FROM line WHERE invoice LIKE 'C%' AND customer IS NOT NULL AND sku IS NOT NULL
"""


@contextmanager
def open_online_retail(path: Path) -> Iterator[History]:
    """Load a Parquet or CSV file into a working table, which goes to disk when it is large, and yield its history.

    Raises BadInput for a missing file, missing columns (named) and a damaged file.
    """
    with (
        tempfile.TemporaryDirectory(prefix="jitui-history-") as folder,
        duckdb.connect(config={"temp_directory": folder, "memory_limit": "512MB"}) as table,
    ):
        table.execute(f"CREATE TABLE raw (row BIGINT, fault VARCHAR, {', '.join(f'{c} VARCHAR' for c in COLUMNS)})")
        for batch in read_text_columns(path, COLUMNS):
            table.register("batch", batch)
            table.execute("INSERT INTO raw SELECT * FROM batch")
            table.unregister("batch")
        table.execute(_PARSE, {"largest": MAX_AMOUNT_MINOR / 100})
        table.execute("DROP TABLE raw")
        yield History(
            format_name="online-retail",
            currency=CURRENCY,
            time_zone=TIME_ZONE,
            shop_id=SHOP_ID,
            count=lambda span: _count(table, span),
            events=lambda span: _events(table, span),
        )


def _count(table: duckdb.DuckDBPyConnection, span: Span) -> FileCounts:
    found = table.cursor().execute(_COUNT, _limits(span)).fetchone()
    return FileCounts(*found) if found else FileCounts(0, 0, None)


def _events(table: duckdb.DuckDBPyConnection, span: Span) -> Iterator[PastEvent]:
    cancelled: set[Goods] = set(table.cursor().execute(_CANCELLED).fetchall())
    return match_cancellations(_documents(_rows(table, span)), cancelled=cancelled, not_goods=NOT_GOODS)


def _limits(span: Span) -> dict[str, datetime]:
    midnight = datetime.min.time()
    return {
        "since": datetime.combine(span.since, midnight) if span.since else datetime.min,  # noqa: DTZ901
        "until": datetime.combine(span.until, midnight) if span.until else datetime.max,  # noqa: DTZ901
    }


# Rows ----------------------------------------------------------------------------------------------------------


class _Row(NamedTuple):
    """One row of the table; `placed` is when its invoice begins, in the shop's local time."""

    row: int
    fault: str | None
    invoice: str | None
    sku: str
    title: str
    quantity: int
    price: str
    customer: str | None
    placed: datetime | None

    @property
    def amount_minor(self) -> int:
        return to_pence(_price(self.price), self.quantity)


def _rows(table: duckdb.DuckDBPyConnection, span: Span) -> Iterator[_Row]:
    cursor = table.cursor().execute(_IN_TIME_ORDER, _limits(span))
    while rows := cursor.fetchmany(_ROWS_AT_ONCE):
        yield from map(_Row._make, rows)


def to_pence(price: Decimal, quantity: int) -> int:
    """Price times quantity in whole pence, rounded half to even once per line, from the decimal text of the price."""
    return int((price * quantity * 100).quantize(_ONE, rounding=ROUND_HALF_EVEN))


@lru_cache(maxsize=4096)
def _price(text: str) -> Decimal:
    return Decimal(text)


_ONE = Decimal(1)


def _aside(row: _Row, reason: SetAsideReason, detail: str) -> SetAside:
    return SetAside(row.row, row.invoice or "", reason, detail)


# Invoices: the rows with one number and customer -----------------------------------------------------------------


def _documents(rows: Iterable[_Row]) -> Iterator[PastOrder | PastCancellation | SetAside | Unmatched]:
    for (invoice, customer, placed), group in groupby(rows, key=lambda row: (row.invoice, row.customer, row.placed)):
        if invoice is not None and invoice.startswith("C"):
            yield from _cancellation(group, invoice, customer, placed)
        else:
            yield from _order(group, invoice or "", customer, placed)


def _cancellation(
    rows: Iterable[_Row], invoice: str, customer: str | None, placed: datetime | None
) -> Iterator[PastCancellation | SetAside | Unmatched]:
    goods: list[CancelledGoods] = []
    for row in rows:
        if (aside := _takes_nothing_back(row)) is not None:
            yield aside
        elif customer is None:
            reason = UnmatchedReason.NO_CUSTOMER
            yield Unmatched(row.row, invoice, "", row.sku, -row.quantity, -row.amount_minor, reason)
        else:
            goods.append(CancelledGoods(row.sku, -row.quantity, -row.amount_minor, row.row))
    if goods and customer is not None and placed is not None:
        yield PastCancellation(f"{invoice}-{customer}", customer, _utc(placed), tuple(goods))


def _takes_nothing_back(row: _Row) -> SetAside | None:
    if row.fault is not None:
        return _aside(row, SetAsideReason.BROKEN, row.fault)
    if row.quantity >= 0:
        return _aside(row, SetAsideReason.NOT_A_CANCELLATION, f"Quantity {row.quantity} takes nothing back")
    if row.price.startswith("-"):
        return _aside(row, SetAsideReason.NEGATIVE_PRICE, f"UnitPrice {row.price} is negative")
    return None


def _order(
    rows: Iterable[_Row], invoice: str, customer: str | None, placed: datetime | None
) -> Iterator[PastOrder | SetAside]:
    bought: list[_Row] = []
    for row in rows:
        if (aside := _no_sale(row)) is not None:
            yield aside
        else:
            bought.append(row)
    if customer is None or placed is None or not bought:
        return
    lines = tuple(_past_line(number, row) for number, row in enumerate(bought, start=1))
    if any(line.paid_minor for line in lines):
        yield PastOrder(f"{invoice}-{customer}", customer, _utc(placed), lines)
    else:
        yield from (_aside(row, SetAsideReason.NOTHING_PAID, "every line of the order was free") for row in bought)


def _no_sale(row: _Row) -> SetAside | None:
    if row.fault is not None:
        return _aside(row, SetAsideReason.BROKEN, row.fault)
    if row.invoice is not None and row.invoice.startswith("A"):
        return _aside(row, SetAsideReason.BAD_DEBT, "an adjustment of bad debt")
    if row.customer is None:
        return _aside(row, SetAsideReason.NO_CUSTOMER, "CustomerID is empty")
    if row.quantity <= 0:
        return _aside(row, SetAsideReason.NOT_A_SALE, f"Quantity {row.quantity} outside a cancelling invoice")
    if row.price.startswith("-"):
        return _aside(row, SetAsideReason.NEGATIVE_PRICE, f"UnitPrice {row.price} is negative")
    return None


def _past_line(number: int, row: _Row) -> PastLine:
    return PastLine(
        line_id=f"{number:04d}",
        sku=row.sku,
        title=row.title,
        category=_category(row.sku),
        quantity=row.quantity,
        paid_minor=row.amount_minor,
        row=row.row,
    )


@lru_cache(maxsize=8192)
def _category(sku: str) -> str:
    """The category of a code: goods, except for a few named codes."""
    if sku in ("POST", "DOT", "C2"):
        return "postage"
    if sku == "M":
        return "manual"
    if sku.startswith("GIFT_"):
        return "gift-voucher"
    return "fee" if sku in NOT_GOODS else "goods"


@lru_cache(maxsize=64)
def _utc(local: datetime) -> datetime:
    return local.replace(tzinfo=TIME_ZONE).astimezone(UTC)
