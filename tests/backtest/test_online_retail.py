"""How every kind of row in the public invoices is read, on generated files."""

from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import ROUND_HALF_EVEN, Decimal
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jitui.backtest.history import (
    PastOrder,
    PastRequest,
    SetAside,
    SetAsideReason,
    Span,
    Unmatched,
    UnmatchedReason,
    open_history,
)
from jitui.backtest.history.online_retail import to_pence
from jitui.errors import BadInput
from tests.backtest.invoices import HEADER, InvoiceRow, csv_row, events_of, only, write_csv, write_parquet


def test_an_invoice_is_an_order_with_a_line_for_each_row(tmp_path: Path) -> None:
    rows = [InvoiceRow(), InvoiceRow(stock="85123a", quantity=3, price=1.95), InvoiceRow()]
    (order,) = only(events_of(write_parquet(tmp_path / "f.parquet", rows)), PastOrder)
    assert (order.order_id, order.buyer_id) == ("500001-17850", "17850")
    assert order.placed_at == datetime(2011, 3, 1, 10, tzinfo=UTC)
    assert [(line.line_id, line.sku, line.quantity, line.paid_minor) for line in order.lines] == [
        ("0001", "22728", 6, 1530),
        ("0002", "85123A", 3, 585),
        ("0003", "22728", 6, 1530),
    ]
    assert order.paid_minor == 3645


def test_times_are_the_shops_own_summer_time_included(tmp_path: Path) -> None:
    rows = [InvoiceRow(at="2011-03-26 12:00"), InvoiceRow(invoice="500002", at="2011-03-28 12:00")]
    winter, summer = only(events_of(write_parquet(tmp_path / "f.parquet", rows)), PastOrder)
    assert (winter.placed_at.hour, summer.placed_at.hour) == (12, 11)


def test_one_invoice_over_two_minutes_stands_where_it_begins(tmp_path: Path) -> None:
    rows = [InvoiceRow(at="2011-03-01 10:01"), InvoiceRow(at="2011-03-01 10:00", stock="21754")]
    (order,) = only(events_of(write_parquet(tmp_path / "f.parquet", rows)), PastOrder)
    assert order.placed_at == datetime(2011, 3, 1, 10, tzinfo=UTC)
    assert len(order.lines) == 2


@pytest.mark.parametrize(
    ("price", "quantity", "pence"),
    [("2.55", 6, 1530), ("0.001", 1, 0), ("0.125", 1, 12), ("0.135", 1, 14), ("1.1", 3, 330), ("38970.0", 1, 3897000)],
)
def test_amounts_are_rounded_once_a_line_half_to_even(price: str, quantity: int, pence: int) -> None:
    assert to_pence(Decimal(price), quantity) == pence


@given(st.decimals("0", "100000", places=3), st.integers(1, 100_000))
def test_an_amount_is_never_half_a_penny_off(price: Decimal, quantity: int) -> None:
    exact = price * quantity * 100
    assert abs(to_pence(price, quantity) - exact) <= Decimal("0.5")
    assert to_pence(price, quantity) == int(exact.to_integral_value(ROUND_HALF_EVEN))


@given(st.floats(0, 50_000).map(lambda price: round(price, 2)), st.integers(1, 80_000))
def test_a_double_of_two_places_is_read_as_it_is_written(price: float, quantity: int) -> None:
    assert to_pence(Decimal(repr(price)), quantity) == round(price * 100) * quantity


def test_every_row_without_an_order_says_why(tmp_path: Path) -> None:
    rows = [
        InvoiceRow(customer=None),
        InvoiceRow(invoice="A500001", stock="B", price=-11062.06, quantity=1, customer=None),
        InvoiceRow(invoice="500003", quantity=-5),
        InvoiceRow(invoice="500004", price=-2.0),
        InvoiceRow(invoice="500005", price=0.0),
        InvoiceRow(invoice="C500006", quantity=3),
        InvoiceRow(invoice="C500007", quantity=-3, price=-1.0),
        InvoiceRow(invoice=None),
        InvoiceRow(invoice="50 0001"),
        InvoiceRow(invoice="500008", stock="  "),
        InvoiceRow(invoice="500009", quantity=None),
        InvoiceRow(invoice="500010", at=None),
        InvoiceRow(invoice="500011", price=None),
        InvoiceRow(invoice="500012", price=float("nan")),
        InvoiceRow(invoice="500013", price=1e18),
    ]
    events = events_of(write_parquet(tmp_path / "f.parquet", rows))
    found = {row.row: (row.reason, row.detail) for row in only(events, SetAside)}
    assert len(events) == len(found) == len(rows)
    assert [found[number][0] for number in range(1, 16)] == [
        SetAsideReason.NO_CUSTOMER,
        SetAsideReason.BAD_DEBT,
        SetAsideReason.NOT_A_SALE,
        SetAsideReason.NEGATIVE_PRICE,
        SetAsideReason.NOTHING_PAID,
        SetAsideReason.NOT_A_CANCELLATION,
        SetAsideReason.NEGATIVE_PRICE,
        *([SetAsideReason.BROKEN] * 8),
    ]
    assert found[8][1] == "InvoiceNo (empty) is not an invoice number"
    assert found[10][1] == "StockCode is empty"
    assert found[12][1] == "InvoiceDate (empty) is not a date and time"
    assert found[14][1] == "UnitPrice «nan» is not a number"
    assert found[15][1].endswith("is too large")


def test_a_free_line_stays_in_an_order_that_was_paid(tmp_path: Path) -> None:
    rows = [InvoiceRow(price=0.0), InvoiceRow(stock="POST", price=18.0, quantity=1)]
    (order,) = only(events_of(write_parquet(tmp_path / "f.parquet", rows)), PastOrder)
    assert [(line.category, line.paid_minor) for line in order.lines] == [("goods", 0), ("postage", 1800)]


def test_cancelled_goods_without_an_order_say_why(tmp_path: Path) -> None:
    rows = [
        InvoiceRow(quantity=5, price=1.01),
        InvoiceRow(invoice="C500002", quantity=-2, customer=None, at="2011-03-01 11:00"),
        InvoiceRow(invoice="C500003", stock="D", quantity=-1, price=27.5, at="2011-03-01 11:00"),
        InvoiceRow(invoice="C500004", stock="21754", quantity=-4, at="2011-03-01 11:00"),
        InvoiceRow(invoice="C500005", quantity=-8, price=1.0, at="2011-03-01 12:00"),
    ]
    events = events_of(write_parquet(tmp_path / "f.parquet", rows))
    assert [(row.row, row.reason, row.quantity, row.credited_minor) for row in only(events, Unmatched)] == [
        (2, UnmatchedReason.NO_CUSTOMER, 2, 510),
        (3, UnmatchedReason.NOT_GOODS, 1, 2750),
        (4, UnmatchedReason.NEVER_BOUGHT, 4, 1020),
        (5, UnmatchedReason.TAKEN_BACK_ALREADY, 3, 300),
    ]
    (request,) = only(events, PastRequest)
    assert [(unit.line_id, unit.quantity) for unit in request.units] == [("0001", 5)]
    assert request.credited_minor == 500


def test_days_are_chosen_in_the_shops_time(tmp_path: Path) -> None:
    rows = [
        InvoiceRow(at="2011-07-01 00:30"),
        InvoiceRow(invoice="500002", at="2011-07-02 00:30"),
        InvoiceRow(invoice="500003", at="2011-07-03 00:30"),
    ]
    path = write_parquet(tmp_path / "f.parquet", rows)
    chosen = only(events_of(path, Span(date(2011, 7, 2), date(2011, 7, 3))), PastOrder)
    assert [order.order_id for order in chosen] == ["500002-17850"]
    with open_history(path, "online-retail") as history:
        counted = history.count(Span(since=date(2011, 7, 2)))
    assert (counted.rows, counted.orders, counted.first_day) == (2, 2, date(2011, 7, 2))


def test_csv_reads_as_parquet_does(tmp_path: Path) -> None:
    rows = [
        InvoiceRow(description='RED "RETRO" CLOCK, LARGE'),
        InvoiceRow(invoice="C500002", quantity=-2, at="2011-03-01 12:00"),
        InvoiceRow(invoice="C500003", stock="D", quantity=-1, at="2011-03-01 12:00"),
    ]
    parquet = events_of(write_parquet(tmp_path / "f.parquet", rows))
    from_csv = events_of(write_csv(tmp_path / "f.csv", map(csv_row, rows)))
    assert only(from_csv, PastRequest) == only(parquet, PastRequest)
    (order,), (same) = only(from_csv, PastOrder), only(parquet, PastOrder)
    assert (order.placed_at, order.paid_minor, order.lines[0].title) == (
        same[0].placed_at,
        same[0].paid_minor,
        'RED "RETRO" CLOCK, LARGE',
    )
    assert order.lines[0].row == 2  # the line of the file: the header is the first


def test_csv_reads_the_dates_of_the_older_export_and_its_encoding(tmp_path: Path) -> None:
    text = ",".join(HEADER) + "\n500001,22728,CLOCK £5,6,12/1/2010 8:26,2.55,17850,United Kingdom\n"
    path = tmp_path / "f.csv"
    path.write_bytes(text.encode("cp1252"))
    (order,) = only(events_of(path), PastOrder)
    assert order.placed_at == datetime(2010, 12, 1, 8, 26, tzinfo=UTC)
    assert order.lines[0].title == "CLOCK £5"


def test_broken_csv_rows_are_named_by_line(tmp_path: Path) -> None:
    good = csv_row(InvoiceRow())
    rows: list[tuple[object, ...]] = [
        good,
        good[:5],
        (*good, "more"),
        (*good[:3], "six", *good[4:]),
        (*good[:3], "6.5", *good[4:]),
        (*good[:4], "yesterday", *good[5:]),
        (*good[:5], "2,55", *good[6:]),
        (*good[:6], "17 850", *good[7:]),
        (*good[:2], "TWO\nLINES", *good[3:]),
        (*good[:3], "x", *good[4:]),
    ]
    events = events_of(write_csv(tmp_path / "f.csv", rows))
    broken = {row.row: row.detail for row in only(events, SetAside)}
    assert broken == {
        3: "the row has 5 fields, the header 8",
        4: "the row has 9 fields, the header 8",
        5: "Quantity «six» is not a whole number",
        6: "Quantity «6.5» is not a whole number",
        7: "InvoiceDate «yesterday» is not a date and time",
        8: "UnitPrice «2,55» is not a number",
        9: "CustomerID «17 850» is not an identifier",
        12: "Quantity «x» is not a whole number",
    }
    (order,) = only(events, PastOrder)
    assert [line.row for line in order.lines] == [2, 10]


# Files that cannot be read -----------------------------------------------------------------------------------------


def refused(path: Path, format_name: str = "online-retail") -> str:
    with pytest.raises(BadInput) as caught, open_history(path, format_name):
        pass
    return str(caught.value)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    assert refused(tmp_path / "none.parquet") == f"There is no file {tmp_path / 'none.parquet'}."


def test_an_unknown_format_comes_with_the_list(tmp_path: Path) -> None:
    said = refused(tmp_path, "online-retial")
    assert "known are: online-retail" in said
    assert "Did you mean online-retail?" in said


def test_missing_columns_are_named(tmp_path: Path) -> None:
    path = write_csv(tmp_path / "f.csv", [], header=("InvoiceNo", "Quantity", "Colour"))
    said = refused(path)
    assert "lacks the columns StockCode, Description, InvoiceDate, UnitPrice, CustomerID" in said
    assert "it has InvoiceNo, Quantity, Colour" in said
    assert "it has none" in refused(_bytes(tmp_path / "empty.csv", b""))


def test_a_damaged_parquet_file_is_refused(tmp_path: Path) -> None:
    good = write_parquet(tmp_path / "f.parquet", [InvoiceRow()] * 50).read_bytes()
    assert "is damaged from the start" in refused(_bytes(tmp_path / "cut.parquet", good[: len(good) // 2]))
    assert "is damaged from the start" in refused(_bytes(tmp_path / "text.parquet", b"InvoiceNo,StockCode\n"))
    spoilt = bytearray(good)
    spoilt[8:60] = b"\xff" * 52
    assert "is damaged" in refused(_bytes(tmp_path / "spoilt.parquet", bytes(spoilt)))


def test_damaged_csv_is_refused_with_its_line(tmp_path: Path) -> None:
    text = ",".join(HEADER) + '\n1,2,3,4,5,6,7,8\n"unfinished,2,3\n'
    assert "is damaged at line 3" in refused(_bytes(tmp_path / "f.csv", text.encode()))


def _bytes(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    return path
