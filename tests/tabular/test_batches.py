"""Reading a file in blocks gives the same as reading its records one by one."""

from __future__ import annotations

import csv
import gzip
import io
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from zipfile import ZipFile

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jitui.errors import BadInput
from jitui.tabular.batches import ReadOptions, open_batches
from jitui.tabular.cells import Unreadable, read_id
from jitui.tabular.files import Layout, read_records
from tests.backtest.exports import workbook

CELLS = st.sampled_from(["a", "", " ", "1,5", 'say "hi"', "two\nlines", "杯", "\t7", "'5", 'x"y', "#1", "1e5"])

Rows = list[tuple[int, int | None, list[str]]]


def by_blocks(path: Path, reading: ReadOptions) -> Rows:
    """Number, line and cells of each row."""
    found: Rows = []
    for batch in open_batches(path, reading).batches:
        columns = [column.to_pylist() for column in batch.columns.values()]
        lines = [None] * len(batch) if batch.lines is None else batch.lines.to_pylist()
        for at, (number, line) in enumerate(zip(batch.numbers.to_pylist(), lines, strict=True)):
            found.append((number, line, [cells[at] for cells in columns]))
        found += batch.broken
    return sorted(found)


def one_by_one(path: Path) -> Rows:
    """By the reader of records alone, from the whole text."""
    raw = path.read_bytes()
    text = (gzip.decompress(raw) if raw.startswith(b"\x1f\x8b") else raw).decode()
    header, *records = read_records(path, io.StringIO(text, newline="\n"), Layout("utf-8", ","))
    for record in records:
        while len(record.cells) > len(header.cells) and not record.cells[-1].strip():
            record.cells.pop()
    return [(number, record.line, record.cells) for number, record in enumerate(records, start=1)]


def told(read: Callable[[], Rows]) -> Rows | str:
    try:
        return read()
    except BadInput as error:
        return str(error)


@settings(max_examples=150, deadline=None)
@given(
    rows=st.lists(st.lists(CELLS, min_size=2, max_size=4), max_size=12),
    end=st.sampled_from(["\n", "\r\n"]),
    raw=st.lists(st.sampled_from(["", ",,", '"open', "a,b", 'x"y,"z",1', " ,"]), max_size=2),
    block_bytes=st.sampled_from([1, 16, 64, 1 << 20]),
    packed=st.booleans(),
)
def test_blocks_are_read_as_records_are(
    tmp_path_factory: pytest.TempPathFactory,
    rows: list[list[str]],
    end: str,
    raw: list[str],
    block_bytes: int,
    packed: bool,
) -> None:
    text = io.StringIO(newline="")
    csv.writer(text, lineterminator=end).writerows([["a", "b", "c"], *rows])
    content = (text.getvalue() + "".join(line + end for line in raw)).encode()
    path = tmp_path_factory.mktemp("blocks") / "rows.csv"
    path.write_bytes(gzip.compress(content) if packed else content)
    blocks = told(lambda: by_blocks(path, ReadOptions(block_bytes=block_bytes)))
    assert blocks == told(lambda: one_by_one(path))


def test_a_cell_that_goes_over_lines_keeps_the_lines_between(tmp_path: Path) -> None:
    path = tmp_path / "rows.csv"
    path.write_text('a,b,c\n1,2,3\no1,"open\np,q,r\nclose",z\n4,5,6\n')
    wanted = [(1, 2, ["1", "2", "3"]), (2, 3, ["o1", "open\np,q,r\nclose", "z"]), (3, 6, ["4", "5", "6"])]
    assert by_blocks(path, ReadOptions()) == one_by_one(path) == wanted


def test_a_file_is_read_in_the_first_encoding_that_decodes_all_of_it(tmp_path: Path) -> None:
    path = tmp_path / "orders.csv"
    path.write_bytes("订单,标题\n1,杯子\n".encode("gb18030"))
    opened = open_batches(path, ReadOptions(("utf-8", "gb18030")))
    assert (opened.columns, str(opened.layout)[:7]) == (("订单", "标题"), "gb18030")
    with pytest.raises(BadInput, match=r"orders\.csv:2: not ascii text"):
        path.write_bytes("a\n杯\n".encode())
        list(open_batches(path, ReadOptions(("ascii",))).batches)


def test_lines_that_are_no_rows_are_skipped_and_rows_end_where_the_totals_begin(tmp_path: Path) -> None:
    path = tmp_path / "bill.csv"
    path.write_text("#bill\n#of a day\nid,amount\n1,2\n#between\n2,3\ntotals,\n9,9\n")
    assert by_blocks(path, ReadOptions(skip_lines="#", ends_at="totals")) == [(1, 4, ["1", "2"]), (2, 6, ["2", "3"])]


def test_parquet_is_read_with_its_types_and_the_numbers_of_its_rows(tmp_path: Path) -> None:
    pq.write_table(pa.table({"id": pa.array([7, None], pa.int16())}), tmp_path / "a.parquet")
    assert by_blocks(tmp_path / "a.parquet", ReadOptions()) == [(1, None, [7]), (2, None, [None])]


# Workbooks --------------------------------------------------------------------------------------------------------


def test_cells_of_a_workbook_are_text_as_it_shows_them_and_long_numbers_are_no_ids(tmp_path: Path) -> None:
    at = datetime(2026, 3, 2, 10, 15, 1, tzinfo=UTC).replace(tzinfo=None)  # a workbook knows no zones
    values = [59.9, 0.1 + 0.2, 123456789012345, 1234567890123456, 6900000000000000001, 12.0, at, True, None]
    path = workbook(
        tmp_path / "a.xlsx", ["id", "value"], [[{"id": str(n), "value": one} for n, one in enumerate(values)]]
    )
    found = [cells[1] for _, _, cells in by_blocks(path, ReadOptions())]
    assert found == [
        "59.9", "0.3", "123456789012345", "1.23456789012346E+15", "6.90000000000000E+18", "12", "2026-03-02 10:15:01",
        "true", "",
    ]  # fmt: skip
    assert read_id(found[2]) == "123456789012345"
    assert all(isinstance(read_id(one), Unreadable) for one in found[3:5]), "a spreadsheet keeps 15 digits"


def test_sheets_with_other_headers_are_refused(tmp_path: Path) -> None:
    from openpyxl import load_workbook

    path = workbook(tmp_path / "a.xlsx", ["id", "value"], [[{"id": "1"}], [{"id": "2"}]])
    assert [cells[0] for _, _, cells in by_blocks(path, ReadOptions())] == ["1", "2"]
    book = load_workbook(path)
    book.worksheets[1]["B1"] = "other"
    book.save(path)
    with pytest.raises(BadInput, match="has other columns than the first"):
        by_blocks(path, ReadOptions())
    path.write_bytes(b"PK\x03\x04 and nothing more")
    with pytest.raises(BadInput, match="broken workbook"):
        by_blocks(path, ReadOptions())


def test_files_that_look_like_a_table_and_are_none_are_refused_with_what_to_do(tmp_path: Path) -> None:
    old, packed = tmp_path / "old.xls", tmp_path / "bill.zip"
    old.write_bytes(b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + b"\0" * 512)
    with ZipFile(packed, "w") as opened:
        opened.writestr("bill.csv", "a,b\n")
    for path, said in ((old, "save it as .xlsx without one"), (packed, "is a packed folder .* unpack it")):
        with pytest.raises(BadInput, match=said):
            open_batches(path, ReadOptions())
