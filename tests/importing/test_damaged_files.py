"""Damaged files: an order is imported as it was written, or refused completely and reported; others are imported."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from jitui.aftersales.model.order import Buyer, Hold
from jitui.aftersales.ports import NewOrder
from jitui.importing.build_values import KINDS, Defaults, Item, Parcel, items_of
from jitui.importing.fields import Cells, RowFault
from jitui.policy import FactType
from jitui.tabular.table import open_table

HEADER = "order_id,buyer_id,shop_id,placed_at,item_id,title,paid"
DEFAULTS = Defaults("CNY", datetime(2026, 11, 2, tzinfo=UTC), {"level": FactType.INT, "code": FactType.STRING})


def row(order_id: str, item: str = "i1", paid: str = "5.00", title: str = "Mug") -> str:
    return f"{order_id},b1,s1,2026-11-01T10:00:00+08:00,{item},{title},{paid}"


def read(*files: Path, kind: str = "orders") -> tuple[list[Item], list[RowFault]]:
    cells = []
    for file in files:
        table = open_table(file)
        cells += [Cells(one, {name: name for name in table.columns}, None) for one in table.rows]
    made = list(items_of(KINDS[kind], cells, DEFAULTS))
    faults = [fault for one in made if not isinstance(one, Item) for fault in one.faults]
    return [one for one in made if isinstance(one, Item)], faults


def orders(*files: Path) -> tuple[dict[str, NewOrder], list[RowFault]]:
    items, faults = read(*files)
    return {one.value.order_id: one.value for one in items if isinstance(one.value, NewOrder)}, faults


def csv(folder: Path, rows: Sequence[str], header: str = HEADER, name: str = "orders.csv") -> Path:
    (folder / name).write_text("\n".join([header, *rows]) + "\n", encoding="utf-8")
    return folder / name


def test_ids_that_a_spreadsheet_rounded_do_not_merge_two_orders(tmp_path: Path) -> None:
    found, faults = orders(csv(tmp_path, [row("6.92E+18"), row("6.92E+18", "i2"), row("o1")]))
    assert list(found) == ["o1"]
    assert [(fault.row.number, fault.column, fault.value) for fault in faults] == [
        (number, "order_id", "'6.92E+18'") for number in (1, 2)
    ]
    assert all("text" in fault.reason for fault in faults)


def test_marks_of_spreadsheets_are_taken_off_ids_and_amounts(tmp_path: Path) -> None:
    found, faults = orders(csv(tmp_path, [row('="3"', paid="'5.00"), row("\t4\t", paid="`5\t")]))
    assert (list(found), faults) == (["3", "4"], [])
    assert [one.lines[0].paid_minor for one in found.values()] == [500, 500]


def test_one_id_in_two_spellings_is_not_one_order(tmp_path: Path) -> None:
    found, faults = orders(csv(tmp_path, [row("'5"), row("5", "i2")]))
    assert not found and faults[0].field == "order_id" and "row 1" in faults[0].reason


def test_a_placeholder_for_a_bad_id_is_no_id(tmp_path: Path) -> None:
    found, faults = orders(csv(tmp_path, [row("missing"), row("wrong"), row("a b"), row("a/b", "i3")]))
    assert list(found) == ["missing", "wrong"]
    assert all(len(one.lines) == 1 for one in found.values())
    assert {fault.row.number for fault in faults} == {3, 4}


def test_orders_whose_id_is_a_placeholder_are_not_one_order(tmp_path: Path) -> None:
    rows = [row(name, f"i{n}") for name in ("N/A", "-", "null", "0", "nan") for n in (1, 2)]
    found, faults = orders(csv(tmp_path, [*rows, row("o1")]))
    assert list(found) == ["o1"]
    assert {fault.row.number for fault in faults} == set(range(1, 11))
    assert all("fill it in or leave it empty" in fault.reason for fault in faults)


def test_the_same_row_twice_without_line_ids_is_refused_with_both_places(tmp_path: Path) -> None:
    found, faults = orders(csv(tmp_path, [row("o1"), row("o2"), row("o1")]))
    assert list(found) == ["o2"]
    [fault] = faults
    assert (fault.row.number, "orders.csv, row 1" in fault.reason, "line_id" in fault.reason) == (3, True, True)


def test_an_order_in_two_files_is_refused_with_both_places(tmp_path: Path) -> None:
    first = csv(tmp_path, [row("o1"), row("o2")])
    found, faults = orders(first, csv(tmp_path, [row("o1", "i2")], name="more.csv"))
    assert list(found) == ["o2"]
    assert faults[0].row.file.endswith("more.csv") and "orders.csv, row 1" in faults[0].reason


def test_lines_with_ids_of_their_own_may_be_in_two_files_once(tmp_path: Path) -> None:
    header = f"{HEADER},line_id"
    first = csv(tmp_path, [f"{row('o1')},1"], header)
    other = csv(tmp_path, [f"{row('o1', 'i2')},2"], header, "more.csv")
    assert len(orders(first, other)[0]["o1"].lines) == 2
    assert not orders(first, other, first)[0]


@pytest.mark.parametrize("spoiling", ["red,o1,b1,s1,2026-11-01T10:00:00+08:00,i2,Mug,5.00", "o1,b1", row("", "i2")])
def test_a_row_that_may_be_part_of_an_order_takes_it_along(tmp_path: Path, spoiling: str) -> None:
    found, faults = orders(csv(tmp_path, [row("o2"), row("o1"), spoiling, row("o3")]))
    assert list(found) == ["o2", "o3"]
    assert {fault.row.number for fault in faults} == {3}


def test_a_float_is_no_id_and_no_amount(tmp_path: Path) -> None:
    columns = dict(zip(HEADER.split(","), ([value] for value in row("1").split(",")), strict=True))
    for name, value in (("order_id", 6.92e18), ("paid", 12.3), ("paid", float("nan"))):
        pq.write_table(pa.table({**columns, name: [value]}), tmp_path / "orders.parquet")
        found, faults = orders(tmp_path / "orders.parquet")
        assert not found and [fault.field for fault in faults] == [name]


def test_attributes_have_the_type_of_the_policy_and_others_stay_as_they_stand(tmp_path: Path) -> None:
    header = "buyer_id,attribute.level,attribute.code,attribute.other"
    items, faults = read(csv(tmp_path, ["b1,007,007,007", "b2,gold,1,1", "b3,1.5,1,1"], header), kind="buyers")
    [buyer] = [one.value for one in items if isinstance(one.value, Buyer)]
    assert buyer.attributes == {"level": 7, "code": "007", "other": "007"}
    assert [(fault.row.number, fault.field) for fault in faults] == [(2, "attribute.level"), (3, "attribute.level")]


def test_an_amount_in_two_columns_that_differ_is_refused(tmp_path: Path) -> None:
    _, faults = orders(csv(tmp_path, [f"{row('o1')},501", f"{row('o2')},500"], f"{HEADER},paid_minor"))
    assert [(fault.row.number, fault.field) for fault in faults] == [(1, "paid")]


def test_what_rows_of_one_order_say_of_the_order_agrees_or_the_order_is_refused(tmp_path: Path) -> None:
    header = HEADER + ",freight,hold,ship_by,platform_subsidy"
    rows = [
        row("same") + ",1.00,none,2026-11-03T00:00:00Z,0.50",
        row("same", "i2") + ",1.00,none,2026-11-03T08:00:00+08:00,0.50",
        row("first") + ",1.00,presale,,",
        row("first", "i2") + ",,,,",
        row("freight") + ",,,,",
        row("freight", "i2") + ",1.00,,,",
        row("hold") + ",1.00,none,,",
        row("hold", "i2") + ",1.00,presale,,",
        row("ship_by") + ",,,2026-11-03T00:00:00Z,",
        row("ship_by", "i2") + ",,,2026-11-04T00:00:00Z,",
        row("subsidy") + ",,,,0.50",
        row("subsidy", "i2") + ",,,,0.51",
        row("placed") + ",,,,",
        row("placed", "i2").replace("10:00", "10:01") + ",,,,",
    ]
    found, faults = orders(csv(tmp_path, rows, header))
    assert list(found) == ["same", "first"]
    assert (found["first"].freight_minor, found["first"].hold) == (100, Hold.PRESALE)
    assert [fault.field for fault in faults] == ["freight", "hold", "ship_by", "platform_subsidy", "placed_at"]
    assert all("make them the same" in fault.reason for fault in faults)


def test_a_scan_that_is_in_the_file_twice_is_one_scan(tmp_path: Path) -> None:
    header = "order_id,degree,tracking_no,happened_at,carrier,source,line_id,quantity"
    scan = "o1,picked_up,SF1,2026-11-01T10:00:00Z,SF Express,carrier,,"
    items, faults = read(csv(tmp_path, [scan, scan], header), kind="shipments")
    assert faults == []
    (parcel,) = [one.value for one in items]
    assert isinstance(parcel, Parcel)
    assert (parcel.update.lines, parcel.update.carrier) == ((), "SF Express")
    units = "o1,picked_up,SF1,2026-11-01T10:00:00Z,SF Express,carrier,l1,1"
    _, faults = read(csv(tmp_path, [scan, units], header), kind="shipments")
    assert [fault.field for fault in faults] == ["line_id", "quantity"], "some units named, others not"
