"""Any history into the schema: rows that fit are taken, others are counted and set aside."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from jitui.backtest.schema import TABLES, ColumnType
from jitui.backtest.source import Prepared, RowsSetAsideReason, prepare
from jitui.errors import BadInput
from tests.backtest.histories import REQUESTS, request, small_history, write_csv

NOON = datetime.fromisoformat("2025-06-01T12:00:00")
ASKED = "2025-06-01T12:00:00+08:00"


def rows_of(prepared: Prepared, table: str) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = pq.read_table(prepared.paths[table]).to_pylist()
    return rows


def reasons(prepared: Prepared) -> dict[tuple[str, str, str], int]:
    return {(one.table, one.reason.value, one.column): one.rows for one in prepared.set_aside}


def test_csv_is_typed_and_its_times_become_utc(tmp_path: Path) -> None:
    prepared = prepare(small_history(tmp_path / "h", requests=[request(1, ASKED)]), tmp_path / "work")
    [row] = rows_of(prepared, "requests")
    assert row["asked_at"] == datetime.fromisoformat("2025-06-01T04:00:00")
    assert (row["amount_minor"], row["whole_order"], row["tier"]) == (10_000, True, None)
    assert prepared.rows["orders"] == 9
    assert prepared.set_aside == ()


def test_each_broken_row_is_counted_with_its_reason_and_kept_aside(tmp_path: Path) -> None:
    write_csv(
        tmp_path / "h",
        "requests",
        REQUESTS,
        [
            request(1, ASKED),
            request(1, ASKED),  # the same key again
            request(2, "yesterday"),
            ",o3,good,s1,2025-06-01T12:00:00Z,1,true,c1,",
            "r4,o4,good,s1,2025-06-01T12:00:00Z,12.50,true,c1,",
            "r5,o5,good,s1,2025-06-01T12:00:00Z,1,maybe,c1,",
            "r6,o6,good",
            request(7, ASKED),
        ],
    )
    write_csv(tmp_path / "h", "events", "subject,subject_id,kind,at", ["buyers,good,order_paid,2025-01-01T00:00:00Z"])
    prepared = prepare(tmp_path / "h", tmp_path / "work")
    assert {row["request_id"] for row in rows_of(prepared, "requests")} == {"r1", "r7"}
    assert reasons(prepared) == {
        ("requests", "broken", ""): 1,
        ("requests", "misfit", "asked_at"): 1,
        ("requests", "misfit", "amount_minor"): 1,
        ("requests", "misfit", "whole_order"): 1,
        ("requests", "missing", "request_id"): 1,
        ("requests", "repeated", "request_id"): 1,
        ("events", "unknown_word", "subject"): 1,
    }
    kept = pq.read_table(tmp_path / "work" / "set_aside" / "requests.parquet").to_pylist()
    assert len(kept) == 6
    assert any("yesterday" in row["row"] for row in kept)
    assert sum(prepared.rows.values()) + sum(one.rows for one in prepared.set_aside) == 9


def test_the_same_event_twice_is_one_event_and_events_without_an_id_are_all_different(tmp_path: Path) -> None:
    folder = small_history(tmp_path / "h", requests=[request(1, ASKED)])
    header = "subject,subject_id,kind,at,recorded_at,event_id,amount_minor"
    at = "2025-05-01T00:00:00Z"
    rows = [
        f"buyer,good,order_completed,{at},2025-05-03T00:00:00Z,e1,300",
        f"buyer,good,order_completed,{at},2025-05-02T00:00:00Z,e1,200",
        f"buyer,other,order_completed,{at},{at},e1,1",
        f"shop,good,order_paid,{at},{at},e1,1",
        *[f"buyer,good,order_completed,{at},{at},,7"] * 3,
    ]
    write_csv(folder, "events", header, rows)
    prepared = prepare(folder, tmp_path / "work")
    assert reasons(prepared) == {("events", "repeated", "subject, subject_id, event_id"): 1}
    kept = [row["amount_minor"] for row in rows_of(prepared, "events") if row["subject_id"] == "good"]
    assert sorted(kept, key=str) == [1, 200, 7, 7, 7], "of one event, what was known first"


def test_a_parquet_table_that_fits_is_used_where_it_is(tmp_path: Path) -> None:
    first = prepare(small_history(tmp_path / "h", requests=[request(1, ASKED)]), tmp_path / "work")
    folder = tmp_path / "parquet"
    folder.mkdir()
    for name, path in first.paths.items():
        path.rename(folder / f"{name}.parquet")
    again = prepare(folder, tmp_path / "again")
    assert again.paths == {name: folder / f"{name}.parquet" for name in first.paths}
    assert again.rows == first.rows


def test_parquet_with_times_of_a_zone_and_other_integers_is_converted(tmp_path: Path) -> None:
    folder = tmp_path / "h"
    folder.mkdir()
    moment = pa.array([NOON], pa.timestamp("ms", tz="Asia/Shanghai"))
    columns = {name: ["x"] for name in ("request_id", "order_id", "buyer_id", "shop_id")}
    table = pa.table({**columns, "asked_at": moment, "amount_minor": pa.array([7], pa.int32())})
    pq.write_table(table, folder / "requests.parquet")
    [row] = rows_of(prepare(folder, tmp_path / "work"), "requests")
    assert row["asked_at"] == NOON  # pyarrow takes the naive value as UTC
    assert row["amount_minor"] == 7


def test_a_duckdb_file_and_a_url_are_read_alike(tmp_path: Path) -> None:
    folder = small_history(tmp_path / "h", requests=[request(1, ASKED)])
    file = tmp_path / "history.duckdb"
    with duckdb.connect(str(file)) as connection:
        for path in folder.glob("*.csv"):
            connection.execute(f"CREATE TABLE {path.stem} AS SELECT * FROM read_csv('{path}', all_varchar = true)")
    by_file = prepare(file, tmp_path / "work")
    by_url = prepare(f"duckdb://{file}", tmp_path / "work2")
    assert by_file.rows == by_url.rows
    assert rows_of(by_file, "requests") == rows_of(by_url, "requests")


def test_logged_facts_have_the_types_of_the_table_of_facts(tmp_path: Path) -> None:
    folder = small_history(tmp_path / "h", requests=[request(1, ASKED)])
    lines = '"[{""line_id"": ""1"", ""virtual"": false, ""quantity"": 2}]"'
    header = "request_id,order.paid_minor,buyer.selected,order.lines,buyer.paid_orders_90d"
    write_csv(folder, "facts", header, [f"r1,29999,true,{lines},5"])
    [row] = rows_of(prepare(folder, tmp_path / "work"), "facts")
    assert (row["order.paid_minor"], row["buyer.selected"], row["buyer.paid_orders_90d"]) == (29_999, True, 5)
    [line] = row["order.lines"]
    assert (line["virtual"], line["quantity"], line["customised"]) == (False, 2, None)


@pytest.mark.parametrize(
    ("location", "sentence"),
    [
        ("nowhere", "There is no history at"),
        ("empty", "has no table requests"),
        ("file", "is neither a folder nor a DuckDB file"),
        ("nonsense://user:secret@host/db", "cannot be read"),
    ],
)
def test_what_is_no_history_is_said_in_a_sentence(tmp_path: Path, location: str, sentence: str) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "file").write_text("no database")
    where = location if "://" in location else str(tmp_path / location)
    with pytest.raises(BadInput, match=sentence) as refused:
        prepare(where, tmp_path / "work")
    assert "secret" not in str(refused.value)


def test_a_missing_column_is_named_with_what_it_may_be(tmp_path: Path) -> None:
    write_csv(tmp_path / "h", "requests", REQUESTS.replace("asked_at", "askedat"), [])
    with pytest.raises(BadInput, match=r"requests has no column asked_at\. Is it askedat\?"):
        prepare(tmp_path / "h", tmp_path / "work")


def test_the_schema_is_whole() -> None:
    assert {column.type for spec in TABLES.values() for column in spec.columns} == set(ColumnType)
    assert all(spec.column(key) for spec in TABLES.values() for key in spec.key)
    assert len(RowsSetAsideReason) == 5


def test_every_table_and_column_is_on_the_page() -> None:
    page = (Path(__file__).parents[2] / "docs" / "reference" / "history.md").read_text(encoding="utf-8")
    for spec in TABLES.values():
        assert f"## `{spec.name}`" in page
        section = page.split(f"## `{spec.name}`")[1].split("\n## ")[0]
        for column in spec.columns:
            assert f"| `{column.name}` | {column.type}" in section, f"{spec.name}.{column.name}"
