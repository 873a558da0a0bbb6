"""Generated invoice files in the form of the public one."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Sequence
from datetime import datetime
from pathlib import Path
from typing import NamedTuple, TypeVar

import pyarrow as pa
import pyarrow.parquet as pq

from jitui.backtest.history import PastEvent, Span, open_history

HEADER = ("InvoiceNo", "StockCode", "Description", "Quantity", "InvoiceDate", "UnitPrice", "CustomerID", "Country")
_Event = TypeVar("_Event")


class InvoiceRow(NamedTuple):
    """One row as the public file has it; the defaults are an ordinary sale."""

    invoice: str | None = "500001"
    stock: str | None = "22728"
    quantity: int | None = 6
    at: str | None = "2011-03-01 10:00"
    price: float | None = 2.55
    customer: float | None = 17850.0
    description: str | None = "ALARM CLOCK"


def write_parquet(path: Path, rows: Iterable[InvoiceRow]) -> Path:
    """With the column types of the public file."""
    known = list(rows)
    columns = {
        "InvoiceNo": pa.array([row.invoice for row in known], pa.string()),
        "StockCode": pa.array([row.stock for row in known], pa.string()),
        "Description": pa.array([row.description for row in known], pa.string()),
        "Quantity": pa.array([row.quantity for row in known], pa.int32()),
        "InvoiceDate": pa.array([_moment(row.at) for row in known], pa.timestamp("us")),
        "UnitPrice": pa.array([row.price for row in known], pa.float64()),
        "CustomerID": pa.array([row.customer for row in known], pa.float64()),
        "Country": pa.array(["United Kingdom"] * len(known), pa.string()),
    }
    pq.write_table(pa.table(columns), path)
    return path


def write_csv(path: Path, rows: Iterable[Sequence[object]], header: Sequence[str] = HEADER) -> Path:
    """Any rows at all, also such that no spreadsheet would write."""
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(header)
        writer.writerows(rows)
    return path


def csv_row(row: InvoiceRow) -> tuple[object, ...]:
    """The row as the public CSV has it."""
    return (row.invoice, row.stock, row.description, row.quantity, row.at, row.price, row.customer, "United Kingdom")


def events_of(path: Path, span: Span | None = None) -> list[PastEvent]:
    """Everything in the file."""
    with open_history(path, "online-retail") as history:
        return list(history.events(span or Span()))


def only(events: Iterable[PastEvent], kind: type[_Event]) -> list[_Event]:
    """The events of one kind."""
    return [event for event in events if isinstance(event, kind)]


def _moment(text: str | None) -> datetime | None:
    return None if text is None else datetime.fromisoformat(text)
