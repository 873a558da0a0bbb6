"""Rows that an import refuses are reported beforehand, written to a file, and keep a history from being complete."""

from __future__ import annotations

from pathlib import Path

import psycopg
import pyarrow as pa
import pyarrow.parquet as pq

from jitui.tabular.batches import ReadOptions
from jitui.tabular.rejected import RejectedRows, rejected_beside
from jitui.tabular.table import open_table
from tests.cli.conftest import Jitui
from tests.cli.test_import import GOOD, csv_file

HISTORY = "buyer_id,event_id,kind,at"


def stored(database_url: str, query: str) -> list[tuple[object, ...]]:
    with psycopg.connect(database_url) as connection:
        return connection.execute(query.encode()).fetchall()


def test_a_check_tells_everything_by_kind_and_loads_nothing(jitui: Jitui, database_url: str, tmp_path: Path) -> None:
    bad = [row.replace("o1,", f"o{n},").replace(",2,", ",zwei,") for n in range(2, 8) for row in GOOD[:1]]
    file = csv_file(tmp_path, [*GOOD, *bad])
    done = jitui("import", "orders", file, "--check")
    assert done.code == 1
    assert done.out.splitlines()[-1].endswith("of them would be refused; no orders were loaded (--check).")
    assert stored(database_url, "SELECT count(*) FROM orders") == [(0,)]
    assert not rejected_beside(Path(file)).exists()


def test_refused_rows_are_written_beside_the_file_and_load_when_they_are_mended(
    jitui: Jitui, database_url: str, tmp_path: Path
) -> None:
    rows = ["b1,e1,dispute_lost,2026-11-01T10:00:00Z", "b2,e2,dispute_lost,gestern"]
    file = csv_file(tmp_path, rows, HISTORY, "history.csv")
    assert jitui("import", "history", file).code == 1
    beside = tmp_path / "history.rejected.csv"
    head, row = beside.read_text().splitlines()
    assert head == f"{HISTORY},reason"
    assert row.startswith('b2,e2,dispute_lost,gestern,"at: expected a time such as')
    beside.write_text(f"{head}\n{row.replace('gestern', '2026-11-02T10:00:00Z')}\n")
    assert jitui("import", "history", str(beside)).code == 0
    assert stored(database_url, "SELECT buyer_id FROM buyer_event ORDER BY 1") == [("b1",), ("b2",)]


def test_a_history_of_which_rows_were_refused_is_not_complete(jitui: Jitui, database_url: str, tmp_path: Path) -> None:
    rows = ["b1,e1,dispute_lost,2026-11-01T10:00:00Z", "b1,e2,dispute_lost,gestern"]
    file = csv_file(tmp_path, rows, HISTORY, "history.csv")
    done = jitui("import", "history", file, "--complete-from", "2026-01-01T00:00:00Z")
    assert done.code == 1 and "no kind was recorded as complete" in done.err
    assert stored(database_url, "SELECT kind FROM history_record") == []
    file = csv_file(tmp_path, rows[:1], HISTORY, "history.csv")
    assert jitui("import", "history", file, "--complete-from", "2026-01-01T00:00:00Z").code == 0
    assert stored(database_url, "SELECT kind FROM history_record") == [("dispute_lost",)]


def written(file: Path, encoding: str = "utf-8") -> Path:
    table = open_table(file, ReadOptions((encoding,)))
    with RejectedRows(file, table.columns, table.layout, table.schema) as rejected:
        for row in table.rows:
            rejected.add(list(row.cells.values()), "why" if row.number == 1 else "other")
    assert rejected.path is not None
    return rejected.path


def test_refused_rows_keep_the_delimiter_the_encoding_and_what_cannot_be_cut(tmp_path: Path) -> None:
    file = tmp_path / "订单.csv"
    file.write_bytes("编号;名称\n1;杯子\n2;杯;子\n3\n".encode("gb18030"))
    beside = written(file, "gb18030")
    assert beside.name == "订单.rejected.csv"
    lines = beside.read_bytes().decode("gb18030").splitlines()
    other = "other"
    assert lines == ["编号;名称;reason", "1;杯子;why", f"2;杯;子;{other}", f"3;;{other}"]


def test_refused_rows_that_are_refused_again_have_one_reason(tmp_path: Path) -> None:
    file = tmp_path / "a.rejected.csv"
    file.write_text("id,reason\n1,old\n")
    assert written(file).read_text().splitlines() == ["id,reason", "1,why"]


def test_refused_rows_of_parquet_keep_their_types(tmp_path: Path) -> None:
    file = tmp_path / "a.parquet"
    pq.write_table(pa.table({"id": pa.array([7], pa.int16()), "reason": ["old"]}), file)
    table = pq.read_table(written(file))
    assert table.schema.field("id").type == pa.int16()
    assert table.to_pylist() == [{"id": 7, "reason": "why"}]
