"""Foreign files as a history: read correctly or reported, nothing merged, and what is unknown stays unknown."""

from __future__ import annotations

import gzip
import json
import shutil
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, time, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jitui.backtest.history.import_mapped import MappedImport, MappedImportSpec, import_mapped
from jitui.backtest.history.mapped_fields import CellType
from jitui.backtest.history.read_columns import ARROW_TYPES, Field, Reader, read_column
from jitui.backtest.run import BacktestSpec, run_backtest
from jitui.errors import BadInput
from jitui.policy import Policy
from jitui.tabular.cells import Unreadable
from jitui.tabular.mapping import CellRules, FieldSource, FileMap, RowMap, read_map

HEADER = "id,buyer,shop,placed,sku,units,shipped,asked"
COLUMNS = {
    "order_id": "id", "buyer_id": "buyer", "shop_id": "shop", "placed_at": "placed", "sku": "sku", "quantity": "units",
    "shipped_at": "shipped", "asked_at": "asked",
}  # fmt: skip
POLICY = """
policy: trial
version: "1"
effective_from: 2026-01-01T00:00:00+08:00
currency: CNY
title: {zh: 试, en: A trial}
legal_basis: {zh: 试, en: A trial}
features:
  buyer.refunds_before_shipment_90d: {count: refund_before_shipment, over: 90d}
conditions:
  - {id: paid, when: order.paid_minor < 30000, public: true, text: {zh: 付, en: paid}}
  - {id: unshipped, when: order.shipment == 'unshipped', public: true, text: {zh: 未, en: unshipped}}
  - {id: goods, when: "order.lines.all(l, !l.customised && !l.virtual)", public: true, text: {zh: 物, en: goods}}
  - {id: calm, when: buyer.refunds_before_shipment_90d == 0, public: true, text: {zh: 少, en: calm}}
review: {deadline: 48h, on_timeout: approve}
notice: {zh: 过, en: Approved}
"""


def row(order: str, sku: str = "A", units: str = "1", shipped: str = "", asked: str = "", buyer: str = "b1") -> str:
    return f"{order},{buyer},s1,2026-03-01 10:00:00,{sku},{units},{shipped},{asked}"


def csv(path: Path, rows: Sequence[str], header: str = HEADER, encoding: str = "utf-8") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes("\n".join([header, *rows, ""]).encode(encoding))
    return path


def spec(*files: Path, maps: Sequence[FileMap] = (), format_name: str = "csv", **more: Any) -> MappedImportSpec:
    given_columns = {"columns": {} if maps else COLUMNS, "constants": {} if maps else {"currency": "CNY"}}
    filled = {"time_zone": "Asia/Shanghai", **given_columns, **more}
    return MappedImportSpec(format_name, files, maps or (FileMap("--map", (RowMap({}),)),), **filled)


def imported(folder: Path, *files: Path, **more: Any) -> MappedImport:
    return import_mapped(spec(*files, **more), folder / "history")


def rows(folder: Path, table: str, columns: str = "*") -> list[Any]:
    with duckdb.connect() as connection:
        return connection.execute(f"SELECT {columns} FROM '{folder}/history/{table}.parquet' ORDER BY ALL").fetchall()


def outcomes(folder: Path) -> dict[str, str]:
    """What the trial policy decides of each request in the history."""
    policy = Policy.from_text(POLICY, "trial.yaml")
    work = folder / "work"
    shutil.rmtree(work, ignore_errors=True)
    run_backtest(BacktestSpec(policy, str(folder / "history"), ZoneInfo("Asia/Shanghai")), work)
    with duckdb.connect() as connection:
        found = connection.execute(f"SELECT request_id, outcome FROM '{work}/decisions.parquet'").fetchall()
    return dict(found)


# Cells ------------------------------------------------------------------------------------------------------------

_TEXTS = [
    "", " ", "-", "0", "7", "07", "12.5", "12.345", "1.234.567", "1,299.90", "¥3", "-3", "1e3", "6.92E+18", '="3"',
    "'5", "a-1",
    "ab**", "N/A", "true", "否", "no", "shipped", "2026-03-02 10:15:01", "2026-03-02T10:15:01+08:00",
    "2026/3/2 9:05", "2026-02-31 10:00:00", "2250-01-01 00:00:00", "2026-03-08 02:30:00", "CNY", "cny", "１２",
    "a\nb", "杯子", "2026-03-02 10:15:01.123456", None,
    "2026-11-01 01:30:00",
]  # fmt: skip
_SPECIAL = CellRules(None, ("%Y/%m/%d %H:%M",), frozenset({"-", "7"}), ("*", "a-"), ("¥",), ",")
_DAY_FIRST = CellRules(None, ("%Y-%d-%m %H:%M:%S",))
_POINTS = CellRules(thousands=".")
_KINDS = sorted(set(CellType) - {CellType.WORD})
_ZONES = [None, "Asia/Shanghai", "America/New_York"]


def check_column(
    column: list[str | None],
    kind: CellType,
    name: str,
    currencies: list[str | None],
    rules: CellRules,
    zone: str | None,
) -> None:
    """A column is read as its cells are one by one."""
    reader = Reader(rules, None if zone is None else ZoneInfo(zone))
    field = Field(name, kind, FieldSource(("x",)), "x")
    values, bad = read_column(
        reader, field, pa.array(column, pa.string()), pa.array(currencies, pa.string()), len(column)
    )
    found = [reader.cell(field, cell, currency) for cell, currency in zip(column, currencies, strict=True)]
    assert bad.to_pylist() == [isinstance(one, Unreadable) for one in found]
    wanted = pa.array([None if isinstance(one, Unreadable) else one for one in found], ARROW_TYPES[kind])
    assert values.to_pylist() == wanted.to_pylist()


@pytest.mark.parametrize("rules", [CellRules(), _SPECIAL, _DAY_FIRST, _POINTS])
@pytest.mark.parametrize("kind", _KINDS)
def test_a_cell_is_read_alike_alone_and_in_a_column(kind: CellType, rules: CellRules) -> None:
    for text in _TEXTS:
        for zone in _ZONES if kind is CellType.MOMENT else _ZONES[:1]:
            for name in ("order_lines.sku", "order_id"):
                for currency in ("CNY", "KWD"):
                    check_column([text], kind, name, [currency], rules, zone)


@settings(max_examples=100, deadline=None)
@given(
    column=st.lists(st.one_of(st.sampled_from(_TEXTS), st.text(max_size=6)), min_size=1, max_size=8),
    kind=st.sampled_from(_KINDS),
    currencies=st.lists(st.sampled_from(["CNY", "JPY", None]), min_size=8, max_size=8),
    rules=st.sampled_from([CellRules(), _SPECIAL, _DAY_FIRST, _POINTS]),
    zone=st.sampled_from(_ZONES),
)
def test_a_column_is_read_as_its_cells_are(
    column: list[str | None], kind: CellType, currencies: list[str | None], rules: CellRules, zone: str | None
) -> None:
    check_column(column, kind, "order_lines.sku", currencies[: len(column)], rules, zone)


def test_floats_of_parquet_are_no_ids_and_no_amounts_and_whole_numbers_are_ids(tmp_path: Path) -> None:
    table = {
        "id": [1, 2], "buyer": ["b1", "b2"], "shop": ["s", "s"], "placed": [datetime(2026, 3, 1, tzinfo=UTC)] * 2,
        "sku": ["A", None], "units": [1.0, float("nan")], "shipped": [None, None], "asked": [None, None],
    }  # fmt: skip
    pq.write_table(pa.table(table), tmp_path / "o.parquet")
    done = imported(tmp_path, tmp_path / "o.parquet", format_name="parquet")
    assert done.holds
    assert rows(tmp_path, "order_lines", "order_id, sku, quantity") == [("1", "A", 1)]
    for name, value in (("id", 1.0), ("paid", 12.5)):
        pq.write_table(pa.table({**table, "paid": ["1", "2"], name: [value, value]}), tmp_path / "o.parquet")
        shutil.rmtree(tmp_path / "history", ignore_errors=True)
        columns = {**COLUMNS, "order_lines.paid": "paid"}
        done = imported(tmp_path, tmp_path / "o.parquet", format_name="parquet", columns=columns)
        assert {(bad.column, "float" in bad.reason) for bad in done.files[0].bad} == {(name, True)}
        assert pq.read_table(tmp_path / "o.rejected.parquet").column(name).to_pylist() == [value, value]


_TEXT_TYPES = [pa.string(), pa.large_string(), pa.string_view(), pa.dictionary(pa.int8(), pa.string())]


@pytest.mark.parametrize("kind", _TEXT_TYPES)
def test_text_of_parquet_is_read_alike_whatever_its_type(tmp_path: Path, kind: pa.DataType) -> None:
    texts = [row("o1"), row("o2", asked="soon")]
    cells = zip(*(text.split(",") for text in texts), strict=True)
    columns = {name: pa.array(column).cast(kind) for name, column in zip(HEADER.split(","), cells, strict=True)}
    pq.write_table(pa.table(columns), tmp_path / "o.parquet")
    done = imported(tmp_path, tmp_path / "o.parquet", format_name="parquet")
    assert [bad.row for bad in done.files[0].bad] == [2]
    assert rows(tmp_path, "order_lines", "order_id, sku, quantity") == [("o1", "A", 1), ("o2", None, None)]
    assert pq.read_table(tmp_path / "o.rejected.parquet").column("id").to_pylist() == ["o2"]


@pytest.mark.parametrize(
    "value",
    [
        ["o1"], {"a": 1}, b"o1", 1.5, True, timedelta(1), time(1), Decimal("1.5"),
        pa.scalar(Decimal("12.5"), pa.decimal256(60, 2)), pa.scalar(1.5, pa.float16()),
        pa.scalar([("a", 1)], pa.map_(pa.string(), pa.int8())),
    ],
)  # fmt: skip
def test_what_no_id_can_be_is_a_bad_row_whatever_its_type(tmp_path: Path, value: object) -> None:
    kind = value.type if isinstance(value, pa.Scalar) else None
    cell = value.as_py() if isinstance(value, pa.Scalar) else value
    table = {"id": pa.array([cell, cell], kind), "sku": ["A", "A"], "placed": ["2026-03-01 10:00:00Z"] * 2}
    pq.write_table(pa.table(table), tmp_path / "o.parquet")
    columns = {"order_id": "id", "sku": "sku", "placed_at": "placed"}
    done = imported(tmp_path, tmp_path / "o.parquet", format_name="parquet", columns=columns)
    assert [(bad.row, bad.field) for bad in done.files[0].bad] == [(1, "order_id"), (2, "order_id")]


# Bad rows ---------------------------------------------------------------------------------------------------------

BILL = "order,no,at,amount"
BILL_MAP = FileMap(
    "bill",
    (
        RowMap(
            {
                "order_id": FieldSource(("order",)), "payment_id": FieldSource(("no",)),
                "captured_at": FieldSource(("at",)), "payments.amount": FieldSource(("amount",)),
                "currency": FieldSource(constant="CNY"),
            }
        ),
    ),
    needs=("order", "no"),
)  # fmt: skip
ORDERS_MAP = FileMap(
    "orders",
    (
        RowMap(
            {
                **{name: FieldSource((column,)) for name, column in COLUMNS.items()},
                "currency": FieldSource(constant="CNY"), "customised": FieldSource(constant="false"),
                "virtual": FieldSource(constant="false"), "whole_order": FieldSource(constant="true"),
            }
        ),
    ),
    needs=("id", "placed"),
)  # fmt: skip
REFUNDS = "order_id,refund,when,sum"
REFUNDS_MAP = FileMap(
    "refunds",
    (
        RowMap(
            {
                "order_id": FieldSource(("order_id",)), "refund_id": FieldSource(("refund",)),
                "refunded_at": FieldSource(("when",)), "refunds.amount": FieldSource(("sum",)),
                "currency": FieldSource(constant="CNY"),
            }
        ),
    ),
    needs=("refund",),
)  # fmt: skip
ASKED = "2026-03-02 09:00:00"


def whole(folder: Path, orders: Sequence[str], bill: Sequence[str], refunds: Sequence[str]) -> MappedImport:
    """Orders, payments and refunds, said to be complete."""
    files = [
        csv(folder / "orders.csv", orders),
        csv(folder / "bill.csv", bill, BILL),
        csv(folder / "refunds.csv", refunds, REFUNDS),
    ]
    maps = (ORDERS_MAP, BILL_MAP, REFUNDS_MAP)
    return imported(folder, *files, maps=maps, complete_from="2025-01-01T00:00:00+08:00")


GOOD = [row("o1", asked=ASKED, buyer="b1"), row("o2", asked=ASKED, buyer="b2"), row("o9", buyer="b9")]
PAID = [f"o{n},p{n},2026-03-01 10:01:00,12.50" for n in (1, 2, 9)]
OTHERS = ["o9,r9,2026-03-01 11:00:00,12.50"]


def test_a_whole_history_approves(tmp_path: Path) -> None:
    done = whole(tmp_path, GOOD, PAID, OTHERS)
    assert done.holds, done
    assert outcomes(tmp_path) == {"o1": "instant", "o2": "instant"}


@pytest.mark.parametrize(
    ("orders", "bill", "refunds", "expected"),
    [
        # a line that cannot be read: the goods of the order are unknown
        ([*GOOD, row("o1", units="x", asked=ASKED)], PAID, OTHERS, {"o1": "review", "o2": "instant"}),
        # the same row twice
        ([*GOOD, GOOD[0]], PAID, OTHERS, {"o1": "review", "o2": "instant"}),
        # a time of shipment that cannot be read
        ([row("o1", asked=ASKED, shipped="gone"), *GOOD[1:]], PAID, OTHERS, {"o1": "review", "o2": "instant"}),
        # a payment of the order that cannot be read: more may have been paid
        (GOOD, [*PAID, "o1,p7,2026-03-01 10:01:00,much"], OTHERS, {"o1": "review", "o2": "instant"}),
        # a payment that says two things
        (GOOD, [*PAID, "o1,p1,2026-03-01 10:01:00,13.50"], OTHERS, {"o1": "review", "o2": "instant"}),
        # the same payment in two rows is one
        (GOOD, [*PAID, PAID[0]], OTHERS, {"o1": "instant", "o2": "instant"}),
        # a payment that does not say of which order: any order may have paid more
        (GOOD, [*PAID, "1.5E+20,p8,2026-03-01 10:01:00,400.00"], OTHERS, {"o1": "review", "o2": "review"}),
        # a refund of a buyer, before the parcel left
        (GOOD, PAID, [*OTHERS, "o1,r1,2026-03-01 11:00:00,1.00"], {"o1": "review", "o2": "instant"}),
        # rows of one order that contradict each other
        ([*GOOD, row("o1", "B", asked="", buyer="b7")], PAID, OTHERS, {"o1": "review", "o2": "instant"}),
        # a row that cannot be cut into cells: it may be of any order
        ([*GOOD, "o1,b1"], PAID, OTHERS, {"o1": "review", "o2": "review"}),
        # a refund of a buyer that cannot be read
        (GOOD, PAID, [*OTHERS, "o1,r1,yesterday,1.00"], {"o1": "review", "o2": "instant"}),
        # a refund whose order cannot be read: it may be of any buyer
        (GOOD, PAID, [*OTHERS, ",r1,2026-03-01 11:00:00,1.00"], {"o1": "review", "o2": "review"}),
    ],
)  # fmt: skip
def test_what_a_row_lost_never_approves(
    tmp_path: Path, orders: list[str], bill: list[str], refunds: list[str], expected: dict[str, str]
) -> None:
    whole(tmp_path, orders, bill, refunds)
    assert {name: found for name, found in outcomes(tmp_path).items() if name in expected} == expected


def test_a_payment_that_names_no_order_leaves_every_amount_and_every_history_unknown(tmp_path: Path) -> None:
    whole(tmp_path, GOOD, [*PAID, "1.5E+20,p8,2026-03-01 10:01:00,400.00"], OTHERS)
    assert rows(tmp_path, "orders", "order_id, paid_minor") == [("o1", None), ("o2", None), ("o9", None)]
    nobody = [one for one in rows(tmp_path, "events", 'subject, subject_id, kind, "at"') if one[0] is None]
    assert nobody == [(None, None, None, None)], "a back-test sets it aside, and takes every buyer's events for unknown"


def test_a_refund_of_an_unknown_order_leaves_no_kind_of_refund_complete(tmp_path: Path) -> None:
    done = whole(tmp_path, GOOD, PAID, [*OTHERS, "o77,r77,2026-03-01 11:00:00,1.00"])
    assert not {"refund_before_shipment", "refund_after_shipment"} & set(done.complete_kinds)
    assert outcomes(tmp_path) == {"o1": "review", "o2": "review"}


def test_a_refund_at_the_moment_of_leaving_is_one_after_shipment(tmp_path: Path) -> None:
    sent = "2026-03-01 11:00:00"
    refunds = [f"o1,r1,{sent},1.00", "o2,r2,2026-03-01 10:59:59,1.00"]
    whole(tmp_path, [row("o1", shipped=sent), row("o2", shipped=sent)], PAID[:2], refunds)
    kinds = rows(tmp_path, "events", "order_id, kind")
    assert [kind for order, kind in kinds if "refund" in kind and order == "o1"] == ["refund_after_shipment"]
    assert {kind for order, kind in kinds if "refund" in kind and order == "o2"} == {"refund_before_shipment"}


def test_a_status_that_tells_of_a_parcel_without_its_time_leaves_the_shipment_unknown(tmp_path: Path) -> None:
    header = f"{HEADER},status"
    files = csv(
        tmp_path / "o.csv", [f"{row('o1')},sent", f"{row('o2')},new", f"{row('o3', shipped=ASKED)},sent"], header
    )
    words = {"sent": "shipped", "new": "unshipped"}
    fields = {**ORDERS_MAP.rows[0].fields, "orders.state": FieldSource(("status",), words=words)}
    imported(tmp_path, files, maps=[FileMap("m", (RowMap(fields),))])
    assert [(order, at is None) for order, at in rows(tmp_path, "shipments", 'order_id, "at"')] == [
        ("o1", True),
        ("o3", False),
    ]


def test_bad_rows_are_told_with_their_place_and_written_beside_the_file(tmp_path: Path) -> None:
    file = csv(tmp_path / "o.csv", [row("o1"), row("6.92E+18", units="一"), "too,few", row("")], encoding="gb18030")
    done = imported(tmp_path, file, encoding="gb18030")
    told = [(bad.row, bad.line, bad.field, bad.column, bad.value) for bad in done.files[0].bad]
    assert told == [
        (2, 3, "order_id", "id", "'6.92E+18'"),
        (2, 3, "order_lines.quantity", "units", "'一'"),
        (3, 4, "", "", None),
        (4, 5, "order_id", "id", None),
    ]
    assert done.bad_rows == 3 and not done.holds
    lines = (tmp_path / "o.rejected.csv").read_bytes().decode("gb18030").splitlines()
    assert lines[0] == f"{HEADER},reason"
    assert lines[1].startswith(row("6.92E+18", units="一")) and "export the column as text" in lines[1]
    assert lines[2].startswith("too,few,,,,,,,") and len(lines) == 4


# Joins and doubles ------------------------------------------------------------------------------------------------


def test_a_row_of_other_width_says_what_to_do_about_it(tmp_path: Path) -> None:
    done = imported(tmp_path, csv(tmp_path / "o.csv", [row("o1"), row("o2") + ",more", "o3,b1"]))
    assert [(bad.row, bad.reason) for bad in done.files[0].bad] == [
        (2, "the row has 9 cells, the header 8; put a stray delimiter in quotes"),
        (3, "the row has 2 cells, the header 8; fill it up"),
    ]


def test_ids_that_are_written_differently_join_nothing_and_nothing_is_written(tmp_path: Path) -> None:
    orders = csv(tmp_path / "orders.csv", [row("1"), row("2")])
    bill = csv(tmp_path / "bill.csv", [f"#{n},p{n},2026-03-01 10:01:00,1" for n in (1, 2, 3)], BILL)
    with pytest.raises(BadInput) as refused:
        imported(tmp_path, orders, bill, maps=(ORDERS_MAP, BILL_MAP))
    assert "None of the 3 values of order_id in payments is among the 2 of orders" in str(refused.value)
    assert "payments has '#1', '#2', '#3'; orders has '1', '2'" in str(refused.value)
    assert not (tmp_path / "history").exists()


def test_a_join_that_finds_some_says_how_many_and_which_not(tmp_path: Path) -> None:
    orders = csv(tmp_path / "orders.csv", [row("1"), row("2")])
    bill = csv(tmp_path / "bill.csv", ["1,p1,2026-03-01 10:01:00,1", "9,p2,2026-03-01 10:01:00,1"], BILL)
    (join,) = imported(tmp_path, orders, bill, maps=(ORDERS_MAP, BILL_MAP)).joins
    assert str(join) == "1 of the 2 values of order_id in payments are in orders. Not there are '9' …"


def test_an_order_in_two_files_is_told_with_both_places(tmp_path: Path) -> None:
    one = csv(tmp_path / "one.csv", [row("o1"), row("o2")])
    two = csv(tmp_path / "two.csv", [row("o3"), row("o2", "B")])
    done = imported(tmp_path, one, two)
    (found,) = [found for found in done.found if found.is_fault]
    assert (found.count, found.examples) == (1, ("o2 (one.csv, row 2 and two.csv, row 2)",))
    assert not done.holds
    assert rows(tmp_path, "order_lines", "order_id, line_id") == [("o1", "1"), ("o2", None), ("o3", "1")]


def test_rows_that_differ_about_their_order_are_told_with_both_places(tmp_path: Path) -> None:
    file = csv(tmp_path / "o.csv", [row("o1"), row("o2"), row("o1", "B", buyer="b9")])
    (found,) = imported(tmp_path, file).found
    assert "differ in buyer_id" in found.what and found.examples == ("o1 (o.csv, row 1 to o.csv, row 3)",)


# Which files ------------------------------------------------------------------------------------------------------


def test_packed_files_and_folders_in_folders_are_read_and_a_folder_of_two_formats_is_refused(tmp_path: Path) -> None:
    csv(tmp_path / "in" / "shop=s1" / "1.csv", [row("o1")])
    (tmp_path / "in" / "shop=s2").mkdir()
    (tmp_path / "in" / "shop=s2" / "2.csv.gz").write_bytes(
        gzip.compress(f"{HEADER.replace(',shop', '')}\n{row('o2').replace(',s1', '')}\n".encode())
    )
    csv(tmp_path / "in" / "shop=s1" / "1.csv", [row("o1").replace(",s1", "")], HEADER.replace(",shop", ""))
    done = imported(tmp_path, tmp_path / "in")
    assert rows(tmp_path, "orders", "order_id, shop_id") == [("o1", "s1"), ("o2", "s2")]
    csv(tmp_path / "in" / "1.rejected.csv", ["x"], "id")
    assert imported(tmp_path, tmp_path / "in").unchanged and done.holds
    pq.write_table(pa.table({"id": ["o3"]}), tmp_path / "in" / "3.parquet")
    with pytest.raises(BadInput, match=r"has 3\.parquet, which is not csv"):
        imported(tmp_path, tmp_path / "in")
    with pytest.raises(BadInput, match=r"3\.parquet is parquet, not csv"):
        imported(tmp_path, tmp_path / "in" / "3.parquet")


def test_one_file_may_lack_an_optional_column_and_that_is_told(tmp_path: Path) -> None:
    known = FileMap("m", ORDERS_MAP.rows, needs=("id", "placed"))
    one = csv(tmp_path / "1.csv", [row("o1")])
    two = csv(tmp_path / "2.csv", [",".join(row("o2").split(",")[:6])], ",".join(HEADER.split(",")[:6]))
    done = imported(tmp_path, one, two, maps=[known])
    assert [file.unmapped for file in done.files] == [(), ("shipments.shipped_at", "requests.asked_at")]
    assert rows(tmp_path, "orders", "order_id") == [("o1",), ("o2",)]
    with pytest.raises(BadInput, match="has no column 'placed'"):
        imported(tmp_path, csv(tmp_path / "3.csv", ["o3"], "id"), maps=[known])


def test_a_file_that_fits_several_maps_or_none_is_refused(tmp_path: Path) -> None:
    file = csv(tmp_path / "1.csv", [row("o1")])
    with pytest.raises(BadInput, match="fits several maps: orders, other"):
        imported(tmp_path, file, maps=[ORDERS_MAP, FileMap("other", ORDERS_MAP.rows, needs=("id",))])
    with pytest.raises(BadInput, match="fits none of the maps: bill, refunds"):
        imported(tmp_path, file, maps=[BILL_MAP, REFUNDS_MAP])


def test_of_several_maps_each_takes_what_is_said_of_its_own_fields(tmp_path: Path) -> None:
    """--map names a column of one of the files, and --set a field of one of the maps."""
    orders = csv(tmp_path / "orders.csv", [row("o1", asked=ASKED)], HEADER.replace("buyer", "member"))
    bill = csv(tmp_path / "bill.csv", [",p1,2026-03-01 10:01:00,12.50"], BILL)
    by_payment = {**ORDERS_MAP.rows[0].fields, "payment_id": FieldSource(constant="p1")}
    maps = (replace(ORDERS_MAP, rows=(RowMap(by_payment),)), BILL_MAP)
    done = imported(tmp_path, orders, bill, maps=maps, columns={"buyer_id": "member"}, constants={"customised": "true"})
    assert done.bad_rows == 0
    assert rows(tmp_path, "orders", "order_id, buyer_id, paid_minor") == [("o1", "b1", 1250)]
    assert rows(tmp_path, "order_lines", "order_id, customised") == [("o1", True)]
    with pytest.raises(BadInput, match="No file has the column 'membr' of --map"):
        imported(tmp_path, orders, bill, maps=maps, columns={"buyer_id": "membr"})


def test_a_field_of_no_map_is_taken_of_the_file_that_has_its_column(tmp_path: Path) -> None:
    orders = csv(tmp_path / "orders.csv", [row("o1") + ",9.00"], HEADER + ",freight")
    bill = csv(tmp_path / "bill.csv", PAID[:1], BILL)
    done = imported(tmp_path, orders, bill, maps=(ORDERS_MAP, BILL_MAP), columns={"freight": "freight"})
    assert [one.unmapped for one in done.files] == [(), ()]
    assert rows(tmp_path, "orders", "freight_minor") == [(900,)]


def test_rows_of_several_kinds_each_take_what_is_said_of_their_own_fields(tmp_path: Path) -> None:
    """The amount of a payment in another column: a refund's row has it too, and is no payment."""
    kinds = tuple(
        RowMap(
            {
                "order_id": FieldSource(("order",)), "payment_id": FieldSource(("no",)), at: FieldSource(("at",)),
                f"{table}.amount": FieldSource(("amount",)), "currency": FieldSource(constant="CNY"),
            },
            {"what": (what,)},
        )
        for what, table, at in (("in", "payments", "captured_at"), ("out", "refunds", "refunded_at"))
    )  # fmt: skip
    bill = csv(
        tmp_path / "bill.csv",
        ["o1,p1,2026-03-01 10:01:00,,in,12.50", "o1,p1,2026-03-01 11:00:00,1.00,out,12.50"],
        f"{BILL},what,gross",
    )
    orders = csv(tmp_path / "orders.csv", [row("o1")])
    maps = (ORDERS_MAP, FileMap("bill", kinds, needs=("no",)))
    assert imported(tmp_path, orders, bill, maps=maps, columns={"payments.amount": "gross"}).holds
    assert rows(tmp_path, "orders", "paid_minor") == [(1250,)]


def test_a_map_that_names_a_field_twice_or_one_that_is_none_is_refused_with_its_name(tmp_path: Path) -> None:
    file = csv(tmp_path / "o.csv", [row("o1")])
    for name, said in (("orders.placed_at", "mine: orders.placed_at is named twice"), ("placed", "mine: .*placed_at")):
        fields = {
            "order_id": FieldSource(("id",)),
            "placed_at": FieldSource(("placed",)),
            name: FieldSource(("asked",)),
        }
        with pytest.raises(BadInput, match=said):
            imported(tmp_path, file, maps=[FileMap("mine", (RowMap(fields),))])


def test_a_file_of_which_no_row_matches_a_condition_is_refused(tmp_path: Path) -> None:
    file = csv(tmp_path / "o.csv", [row("o1"), row("o2")])
    for where, taken in (({"kind": ("sale",)}, False), ({"sku": ("B",)}, False), ({"sku": ("A",)}, True)):
        maps = (replace(ORDERS_MAP, rows=(RowMap(ORDERS_MAP.rows[0].fields, where),)),)
        if taken:
            assert imported(tmp_path, file, maps=maps).holds
            continue
        with pytest.raises(BadInput, match="No row matches the conditions of a map"):
            imported(tmp_path, file, maps=maps)


def test_a_copy_of_a_file_says_nothing_new(tmp_path: Path) -> None:
    one = csv(tmp_path / "1.csv", [row("o1")])
    shutil.copy(one, tmp_path / "2.csv")
    done = imported(tmp_path, one, tmp_path / "2.csv")
    assert done.holds and len(done.files) == 1 and done.same_files[0].endswith("1.csv")


# Again ------------------------------------------------------------------------------------------------------------


def test_the_same_again_changes_nothing_and_something_else_is_refused(tmp_path: Path) -> None:
    file = csv(tmp_path / "o.csv", [row("o1")])
    imported(tmp_path, file)
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "history").iterdir()}
    assert imported(tmp_path, file).unchanged
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "history").iterdir()} == before
    with pytest.raises(BadInput, match="is there already"):
        imported(tmp_path, csv(tmp_path / "o.csv", [row("o2")]))
    with pytest.raises(BadInput, match="is there already"):
        imported(tmp_path, csv(tmp_path / "o.csv", [row("o1")]), constants={"currency": "USD"})


class Interrupted(Exception):
    pass


def test_an_interrupted_import_goes_on_where_it_was(tmp_path: Path) -> None:
    one, two = (csv(tmp_path / f"{n}.csv", [row(f"o{n}{at}") for at in range(3)]) for n in (1, 2))

    def interrupt(what: str, _done: int, _of: int) -> None:
        if "2.csv" in what:
            raise Interrupted

    with pytest.raises(Interrupted):
        import_mapped(spec(one, two), tmp_path / "history", interrupt)
    assert not (tmp_path / "history").exists()
    done = import_mapped(spec(one, two), tmp_path / "history")
    assert [(file.rows, file.resumed_rows) for file in done.files] == [(3, 3), (3, 0)]
    assert len(rows(tmp_path, "orders")) == 6
    assert not (tmp_path / ".history.staged").exists()


def test_bad_rows_are_told_and_written_again_after_an_interruption(tmp_path: Path) -> None:
    one, two = csv(tmp_path / "1.csv", [row("6E+9"), row("o1")]), csv(tmp_path / "2.csv", [row("o2")])

    def interrupt(what: str, _done: int, _of: int) -> None:
        if "2.csv" in what:
            raise Interrupted

    with pytest.raises(Interrupted):
        import_mapped(spec(one, two), tmp_path / "history", interrupt)
    (tmp_path / "1.rejected.csv").unlink()
    done = import_mapped(spec(one, two), tmp_path / "history")
    assert [bad.row for bad in done.files[0].bad] == [1]
    assert (tmp_path / "1.rejected.csv").exists()


def test_the_same_again_holds_no_better_than_before(tmp_path: Path) -> None:
    file = csv(tmp_path / "o.csv", [row("o1"), row("6E+9")])
    assert not imported(tmp_path, file).holds
    again = imported(tmp_path, file)
    assert (again.unchanged, again.holds) == (True, False)


def test_what_was_read_for_an_import_that_was_refused_is_gone(tmp_path: Path) -> None:
    good = csv(tmp_path / "1.csv", [row("o1")])
    for broken in (csv(tmp_path / "2.csv", ['"o2']), csv(tmp_path / "3.csv", [])):
        files = [good, broken] if broken.name == "2.csv" else [broken]
        with pytest.raises(BadInput):
            imported(tmp_path, *files)
        assert [path.name for path in tmp_path.glob(".*")] == []


def test_bad_rows_that_cannot_be_written_beside_the_file_are_told_all_the_same(tmp_path: Path) -> None:
    file = csv(tmp_path / "in" / "o.csv", [row("6E+9"), row("o1"), row("7E+9")])
    (tmp_path / "in" / ".o.rejected.csv.part").mkdir()
    done = imported(tmp_path, file)
    assert (done.bad_rows, len(done.files[0].bad), done.files[0].rejected) == (2, 2, None)
    assert "o.csv cannot be written beside it: " in done.files[0].unwritten
    assert len(rows(tmp_path, "orders")) == 2


def test_rows_of_which_some_cannot_be_written_beside_the_file_leave_no_part_of_it(tmp_path: Path) -> None:
    """The reason of the second has a sign that the file's encoding lacks."""
    text = "\n".join([HEADER, row("6E+9"), row("7E+9" + "x" * 90)]) + "\n"
    (tmp_path / "o.csv").write_bytes(text.encode("latin-1"))
    done = imported(tmp_path, tmp_path / "o.csv", encoding="latin-1", columns={**COLUMNS, "quantity": "id"})
    assert done.bad_rows == 2 and "cannot be written" in done.files[0].unwritten
    assert [path.name for path in tmp_path.iterdir() if "rejected" in path.name] == []


def test_what_was_read_of_a_file_that_changed_since_is_read_again(tmp_path: Path) -> None:
    one, two = (csv(tmp_path / f"{n}.csv", [row(f"o{n}")]) for n in (1, 2))

    def interrupt(what: str, _done: int, _of: int) -> None:
        if "2.csv" in what:
            raise Interrupted

    with pytest.raises(Interrupted):
        import_mapped(spec(one, two), tmp_path / "history", interrupt)
    csv(one, [row("other")])
    done = import_mapped(spec(one, two), tmp_path / "history")
    assert done.files[0].resumed_rows == 0
    assert rows(tmp_path, "orders", "order_id") == [("o2",), ("other",)]


# Map files --------------------------------------------------------------------------------------------------------


def test_a_map_may_be_yaml(tmp_path: Path) -> None:
    (tmp_path / "m.yaml").write_text(
        "needs: [id]\nread: {time_zone: Asia/Shanghai, empty: ['-']}\nset: {currency: CNY, customised: false}\n"
        "columns: {order_id: id, buyer_id: buyer, placed_at: placed, quantity: units}\n"
    )
    file = csv(tmp_path / "o.csv", [row("o1", units="-")])
    assert imported(tmp_path, file, maps=[read_map(str(tmp_path / "m.yaml"))], time_zone=None).holds
    assert rows(tmp_path, "order_lines") == []
    assert json.loads((tmp_path / "history" / "assumptions.json").read_text())["files"]["o.csv"]["map"] == "m"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("columns = 7", r"columns: expected names with values"),
        ("colums = {}", r"colums: there is no such key"),
        ("[read]\nencodng = 'x'", r"read\.encodng: there is no such key"),
        ("[columns]\norder_id = 7", r"columns\.order_id: expected a text in quotes"),
        ("is = 'proof'", r"is: expected 'order export' or 'payment bill'"),
        ("[words.hold]\nx = 'none'", r"words\.hold: no column is mapped to this field"),
        ("rows = []", r"rows: expected tables"),
        ("[columns", r"no map file of TOML or YAML"),
        *(
            (f"[read]\ntime_formats = ['%d.%m.%Y %H:%M', '{form}']", rf"read\.time_formats: '{form}' does not say year")
            for form in ("%Q", "%d/%m %H:%M", "%Y-%M-%d %H:%M", "%Y-%m %H:%M", "%d/%m/%Y %I:%M", "%-d/%m/%Y", "")
        ),
    ],
)
def test_a_wrong_map_file_is_refused_with_its_key(tmp_path: Path, text: str, said: str) -> None:
    (tmp_path / "m.toml").write_text(text)
    with pytest.raises(BadInput, match=said):
        read_map(str(tmp_path / "m.toml"))


@pytest.mark.parametrize(
    "form", ["%d/%m/%y %I:%M %p", "%Y年%m月%d日 %H:%M", "%b %d, %Y %H:%M:%S %z", "%Y%m%d", "%Y-%m-%dT%H:%M:%S.%f"]
)
def test_a_format_that_says_a_whole_day_is_taken(tmp_path: Path, form: str) -> None:
    (tmp_path / "m.toml").write_text(f"[read]\ntime_formats = '{form}'", encoding="utf-8")
    assert read_map(str(tmp_path / "m.toml")).rules.time_formats == (form,)


def test_fields_that_are_none_or_several_are_refused_with_a_hint(tmp_path: Path) -> None:
    file = csv(tmp_path / "o.csv", [row("o1")])
    for columns, said in (
        ({"orderid": "id"}, "order_id"),
        ({"amount": "id"}, r"requests\.amount or events\.amount"),
        ({"order_id": "id"}, "no column is mapped to a field of a table"),
    ):
        with pytest.raises(BadInput, match=said):
            imported(tmp_path, file, columns=columns, constants={})
    with pytest.raises(BadInput, match="There is no map file nowhere; ready ones are alipay-bill"):
        read_map("nowhere")


def test_events_are_taken_as_a_file_lists_them(tmp_path: Path) -> None:
    file = csv(
        tmp_path / "e.csv",
        ["e1,b1,退款,2026-03-01 10:00:00,12.50", "e2,b1,other,2026-03-01 10:00:00,1", "e3,b2,退款,soon,1"],
        "no,buyer,what,when,money",
    )
    words = {"退款": "refund_before_shipment"}
    fields = {
        "buyer_id": FieldSource(("buyer",)), "event_id": FieldSource(("no",)),
        "events.kind": FieldSource(("what",), words=words), "events.at": FieldSource(("when",)),
        "events.amount": FieldSource(("money",)), "currency": FieldSource(constant="CNY"),
    }  # fmt: skip
    done = imported(tmp_path, file, maps=[FileMap("m", (RowMap(fields),))])
    assert done.bad_rows == 2
    assert rows(tmp_path, "events", 'subject, subject_id, kind, "at" IS NULL, amount_minor') == [
        ("buyer", "b1", "refund_before_shipment", False, 1250),
        ("buyer", "b1", None, True, 100),
        ("buyer", "b2", "refund_before_shipment", True, 100),
    ]
