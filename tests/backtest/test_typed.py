"""Histories and imports read cells equally: what SQL casts is what `jitui.tabular.cells` reads."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jitui.backtest.schema import Column, ColumnType
from jitui.backtest.source import prepare
from jitui.backtest.typed import filled, teach, typed
from jitui.tabular import cells
from jitui.tabular.cells import Unreadable
from tests.backtest.histories import request, small_history, write_csv

READERS: dict[str, tuple[Column, Callable[[str], Any]]] = {
    "id": (Column("order_id", ColumnType.TEXT, ""), cells.read_id),
    "text": (Column("tier", ColumnType.TEXT, ""), cells.read_text),
    "whole": (Column("quantity", ColumnType.INT, ""), cells.read_whole),
    "flag": (Column("virtual", ColumnType.BOOL, ""), cells.read_flag),
    "moment": (Column("at", ColumnType.MOMENT, ""), lambda text: cells.read_moment(text, UTC)),
}
DAMAGED = [
    "", " ", "3", "03", "-3", "+3",
    "'5", "`5", '="3"', '=""', "''5", "3\t\t", "\t3", "\u30003\u00a0", "３", "1.0", "1.300",
    "1_300", "1,300", "1e3", "6.92E+18", "1e1000000", "NaN", "inf", "-Infinity", "#N/A", "9" * 18, "9" * 19, "9" * 40,
    "true", "TRUE", "t", "yes", "Y", "0", "1", "2", "no", "falsch", "o-17", "o 17", "o17\n", "订单1", "1e5", "12e34567",
    "2026-02-30T00:00:00Z", "2026-03-02", "2026-03-02T10:15", "2026-03-02 10:15:00 +0100", "2026-03-02t09:15:00z",
    "2026-03-02T24:00:00Z", "2026-03-02T09:15:60Z", "0001-01-01T00:00:00Z", "9999-12-31T23:59:59Z", "infinity", "epoch",
    "2026-03-02T09:15:00.123456789Z", "2026-03-02T09:15:00+99:00", "2026-03-02T09:15:00+14:30", "now", "today",
]  # fmt: skip
ANYTHING = st.one_of(
    st.sampled_from(DAMAGED),
    st.text(st.characters(exclude_categories=["Cs"]), max_size=8),
    st.from_regex(r"[-+0-9eE.,_ '`=\"aｎ１]{1,10}", fullmatch=True),
    st.datetimes().map(lambda at: at.isoformat()),
    st.datetimes(timezones=st.just(UTC)).map(lambda at: at.isoformat(" ")),
    st.integers(-(2**70), 2**70).map(str),
)


@pytest.fixture(scope="module")
def connection() -> Iterator[duckdb.DuckDBPyConnection]:
    with duckdb.connect() as opened:
        opened.execute("SET TimeZone = 'UTC'")
        teach(opened)
        yield opened


def read_by_reader(name: str, text: str) -> tuple[Any, bool]:
    if cells.is_empty(text):
        return None, False
    found = READERS[name][1](text)
    if isinstance(found, datetime):
        if found.utcoffset() is not None:
            found = found.astimezone(UTC).replace(tzinfo=None)
        return found, True
    return (None if isinstance(found, Unreadable) else found), True


def read_by_history(connection: duckdb.DuckDBPyConnection, name: str, text: str) -> tuple[Any, bool]:
    column = READERS[name][0]
    query = (
        f"SELECT {typed(column, 'VARCHAR')}, {filled(column.name, 'VARCHAR')}"
        f' FROM (SELECT $1::VARCHAR AS "{column.name}", $1::VARCHAR AS "raw {column.name}")'
    )
    row = connection.execute(query, [text]).fetchone()
    assert row is not None
    return row


@pytest.mark.parametrize("name", READERS)
def test_damaged_cells_are_read_as_an_import_reads_them(connection: duckdb.DuckDBPyConnection, name: str) -> None:
    for text in DAMAGED:
        assert read_by_history(connection, name, text) == read_by_reader(name, text), text


@settings(deadline=None, max_examples=60)
@given(st.sampled_from(sorted(READERS)), ANYTHING)
def test_any_cell_is_read_as_an_import_reads_it(connection: duckdb.DuckDBPyConnection, name: str, text: str) -> None:
    if "\0" not in text:
        assert read_by_history(connection, name, text) == read_by_reader(name, text)


def typed_value(connection: duckdb.DuckDBPyConnection, name: str, kind: str, literal: str) -> Any:
    column = READERS[name][0]
    row = connection.execute(f'SELECT {typed(column, kind)} FROM (SELECT {literal} AS "{column.name}")').fetchone()
    assert row is not None
    return row[0]


@pytest.mark.parametrize(
    ("name", "kind", "literal", "cell"),
    [
        ("id", "DOUBLE", "3.0::DOUBLE", 3.0),
        ("id", "DECIMAL(18,2)", "3.00::DECIMAL(18,2)", Decimal("3.00")),
        ("id", "DECIMAL(18,2)", "3.50::DECIMAL(18,2)", Decimal("3.50")),
        ("id", "BIGINT", "3::BIGINT", 3),
        ("id", "HUGEINT", "170141183460469231731687303715884105727::HUGEINT", 2**127 - 1),
        ("id", "BOOLEAN", "true", True),
        ("text", "DOUBLE", "1.0::DOUBLE", 1.0),
        ("whole", "DOUBLE", "7.0::DOUBLE", 7.0),
        ("whole", "DOUBLE", "7.5::DOUBLE", 7.5),
        ("whole", "DOUBLE", "'nan'::DOUBLE", float("nan")),
        ("whole", "DOUBLE", "'infinity'::DOUBLE", float("inf")),
        ("whole", "DOUBLE", "9007199254740993::DOUBLE * 2", 2.0**54),
        ("whole", "DECIMAL(18,2)", "12.50::DECIMAL(18,2)", Decimal("12.50")),
        ("whole", "DECIMAL(18,2)", "12.00::DECIMAL(18,2)", Decimal("12.00")),
        ("whole", "BOOLEAN", "true", True),
        ("flag", "BOOLEAN", "true", True),
        ("flag", "INTEGER", "0", 0),
        ("flag", "INTEGER", "5", 5),
        ("moment", "DATE", "DATE '2026-03-02'", date(2026, 3, 2)),
    ],
)
def test_typed_cells_are_read_as_an_import_reads_them(
    connection: duckdb.DuckDBPyConnection, name: str, kind: str, literal: str, cell: Any
) -> None:
    found = READERS[name][1](cell)
    assert typed_value(connection, name, kind, literal) == (None if isinstance(found, Unreadable) else found)


def test_marks_of_spreadsheets_in_cells_and_headers_of_a_history_are_taken_off(tmp_path: Path) -> None:
    folder = small_history(tmp_path / "h", requests=[request(1, "2025-06-01T12:00:00+08:00")])
    write_csv(
        folder,
        "order_lines",
        "order_id\t, line_id,'quantity,customised",
        ["o1\t,1\t\t,'5,false", '"=""o2""",`1,3\t,TRUE'],
    )
    prepared = prepare(folder, tmp_path / "w")
    rows = pq.read_table(prepared.paths["order_lines"]).sort_by("order_id").to_pylist()
    assert [(one["order_id"], one["line_id"], one["quantity"], one["customised"]) for one in rows] == [
        ("o1", "1", 5, False),
        ("o2", "1", 3, True),
    ]


def test_marks_of_spreadsheets_in_text_of_parquet_are_taken_off_too(tmp_path: Path) -> None:
    folder = small_history(tmp_path / "h", requests=[request(1, "2025-06-01T12:00:00+08:00")])
    (folder / "buyers.csv").unlink()
    table = pa.table({"buyer_id": ["good\t", "'new"], "registered_at": pa.array([None, None], pa.timestamp("us"))})
    pq.write_table(table, folder / "buyers.parquet")
    found = pq.read_table(prepare(folder, tmp_path / "w").paths["buyers"])
    assert sorted(str(buyer) for buyer in found["buyer_id"].to_pylist()) == ["good", "new"]


def test_a_column_that_nothing_reads_sets_no_row_aside(tmp_path: Path) -> None:
    folder = small_history(tmp_path / "h", requests=[request(1, "2025-06-01T12:00:00+08:00")])
    (folder / "buyers.csv").unlink()
    table = pa.table({"buyer_id": ["good"], "registered_at": pa.array([None], pa.timestamp("us")), 'sco"re': [0.5]})
    pq.write_table(table, folder / "buyers.parquet")
    assert prepare(folder, tmp_path / "w").set_aside == ()


def test_what_was_set_aside_says_where_it_stands_and_why(tmp_path: Path) -> None:
    folder = small_history(tmp_path / "h", requests=[request(1, "2025-06-01T12:00:00+08:00")])
    with (folder / "order_lines.csv").open("a") as file:
        file.write("o1,2,12.50,10000,false,false\no1,3\n")
    prepare(folder, tmp_path / "w")
    misfit, broken = pq.read_table(tmp_path / "w" / "set_aside" / "order_lines.parquet").sort_by("line").to_pylist()
    assert (misfit["reason"], misfit["column"], misfit["line"]) == ("misfit", "quantity", 11)
    assert misfit["why"] == "expected a whole number in digits, not '12.50'"
    assert (broken["reason"], broken["line"], broken["row"]) == ("broken", 12, "o1,3")
    assert Path(broken["file"]).name == "order_lines.csv"
