"""Rows that are stored on disk in parts give the same values as rows in memory."""

from __future__ import annotations

import tempfile
from datetime import UTC, datetime
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from jitui.importing.build_values import KINDS, Defaults, Item, items_of, named_rows
from jitui.importing.fields import NO_ID, Cells
from jitui.importing.row_spool import BYTES_A_PART, RowSpool
from jitui.tabular.table import Row

COLUMNS = ("order_id", "buyer_id", "shop_id", "placed_at", "item_id", "paid", "line_id")
DEFAULTS = Defaults("CNY", datetime(2026, 11, 2, tzinfo=UTC))
ORDERS = KINDS["orders"]

CUT = st.tuples(
    st.sampled_from(["o1", "o2", "o3", "o4", "6.9E+18", ""]),
    st.just("b1"),
    st.just("s1"),
    st.sampled_from(["2026-11-01T10:00:00Z", "yesterday"]),
    st.sampled_from(["i1", "i2"]),
    st.just("5.00"),
    st.sampled_from(["", "1", "2"]),
)
UNCUT = st.sampled_from([("o1", "b1"), ("x", "o2", "b"), ("o3", "o4")])


def cells(row: Row) -> Cells:
    return Cells(row, {name: name for name in COLUMNS}, None)


def as_rows(values: list[tuple[str, ...]]) -> list[Row]:
    found = []
    for number, value in enumerate(values, start=1):
        fault = "" if len(value) == len(COLUMNS) else "too few cells"
        names = COLUMNS if not fault else tuple(map(str, range(len(value))))
        found.append(Row("orders.csv", number, number + 1, dict(zip(names, value, strict=True)), fault))
    return found


def told(made: list[object]) -> set[object]:
    """What came of the rows: the orders, and which rows are left out with which row numbers to blame."""
    return {
        (one.value.order_id, tuple(row.number for row in one.rows))  # type: ignore[union-attr]
        if isinstance(one, Item)
        else (None, tuple(row.number for row in one.rows))  # type: ignore[attr-defined]
        for one in made
    }


@settings(max_examples=150, deadline=None)
@given(values=st.lists(st.one_of(CUT, UNCUT), max_size=14), parts=st.sampled_from([1, 2, 7]))
def test_rows_in_parts_make_the_same_orders_as_rows_together(values: list[tuple[str, ...]], parts: int) -> None:
    rows = as_rows(values)
    whole = list(items_of(ORDERS, map(cells, rows), DEFAULTS))
    with tempfile.TemporaryDirectory() as folder:
        spool = RowSpool(Path(folder), BYTES_A_PART * parts, [("orders.csv", COLUMNS)])
        for one, name, of in named_rows(ORDERS, map(cells, rows)):
            spool.add("" if NO_ID in name else name[0], 0, one.row, of)
        several = [
            made
            for part in spool.parts()
            for made in items_of(ORDERS, [cells(row) for _, row in part.rows], DEFAULTS, part.spoiled)
        ]
        again = [len(part.rows) for part in spool.parts()]
    assert told(several) == told(whole)  # type: ignore[arg-type]
    assert sum(again) == len(rows), "parts can be read twice"
