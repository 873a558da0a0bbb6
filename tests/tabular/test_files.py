"""The layout of a file is determined once; a stray quote or delimiter is found, and moves nothing between rows."""

from __future__ import annotations

import csv
import io
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jitui.errors import BadInput
from jitui.tabular.batches import ReadOptions, open_csv
from jitui.tabular.files import Layout, check_same_columns, read_records


def written(folder: Path, text: str, encoding: str = "utf-8") -> Path:
    path = folder / "orders.csv"
    path.write_bytes(text.encode(encoding))
    return path


def rows(path: Path, encoding: str = "utf-8") -> list[tuple[int, list[str]]]:
    """Line and cells of each row."""
    found: list[tuple[int, list[str]]] = []
    for batch in open_csv(path, ReadOptions((encoding,))).batches:
        assert batch.lines is not None
        columns = [column.to_pylist() for column in batch.columns.values()]
        found += [(line, [column[at] for column in columns]) for at, line in enumerate(batch.lines.to_pylist())]
    return found


def cells(path: Path, encoding: str = "utf-8") -> list[list[str]]:
    return [row for _, row in rows(path, encoding)]


@given(
    st.lists(
        st.lists(st.text(st.characters(exclude_characters="\r\0", codec="utf-8")), min_size=3, max_size=3), max_size=5
    ),
    st.sampled_from(",;\t|"),
)
def test_rows_are_read_as_they_were_written_or_refused(rows: list[list[str]], delimiter: str) -> None:
    text = io.StringIO(newline="")
    csv.writer(text, delimiter=delimiter).writerows([["a", "b", "c"], *rows])
    lines = list(io.StringIO(text.getvalue(), newline=""))
    try:
        found = [record.cells for record in read_records(Path("x.csv"), lines, Layout("utf-8", delimiter))]
    except BadInput:
        return  # lines that are whole rows by themselves, inside quotes
    assert found == [["a", "b", "c"], *(row for row in rows if any(cell.strip() for cell in row))]


def test_the_delimiter_is_the_headers_and_a_given_one_wins(tmp_path: Path) -> None:
    assert cells(written(tmp_path, '"a,b";c\n1;2\n')) == [["1", "2"]]
    assert open_csv(written(tmp_path, "a|b,c\n"), ReadOptions(delimiter="pipe")).columns == ("a", "b,c")
    with pytest.raises(BadInput, match="--delimiter is one of"):
        open_csv(written(tmp_path, "a,b\n"), ReadOptions(delimiter="x"))


def test_headers_lose_what_spreadsheets_put_around_them(tmp_path: Path) -> None:
    opened = open_csv(written(tmp_path, '\ufeff order_id\t,"=""paid""",\n'), ReadOptions())
    assert opened.columns == ("order_id", "paid", "")


def test_a_stray_quote_that_would_swallow_the_next_row_is_refused_with_its_line(tmp_path: Path) -> None:
    path = written(tmp_path, 'order_id,buyer_id,title,paid\no0,b0,Mug,1\no1,b1,"Mug,5\no2,b1,Cup",7\n')
    with pytest.raises(BadInput, match=r"orders\.csv:3: a quote opens here and ends in line 4"):
        cells(path)


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ('o1,"Mug', "a quote opens here and never ends"),
        ('o1,"Mug"s,', "there is text after a quote that ends"),
        ("o1,Mug\rs,", "a carriage return alone"),
        ('o1,"' + "x" * 1_000_001, "a cell has more than 1,000,000 characters"),
    ],
)
def test_a_row_that_is_no_csv_is_refused_with_its_line_and_what_to_mend(tmp_path: Path, row: str, said: str) -> None:
    with pytest.raises(BadInput, match=rf"orders\.csv:3: broken CSV: {said}"):
        cells(written(tmp_path, f"order_id,title\no0,Cup\n{row}\no2,Cup\n"))


def test_a_header_that_is_no_csv_is_refused_in_the_same_words(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"orders\.csv:1: broken CSV: a cell has more than 1,000,000 characters"):
        cells(written(tmp_path, "x" * 1_000_001 + ",title\no0,Cup\n"))


def test_a_quoted_line_break_is_part_of_its_cell(tmp_path: Path) -> None:
    path = written(tmp_path, 'order_id,title,paid\no1,"Mug,\nred",5\n\n,,\no2,12" pipe,7\n')
    assert rows(path) == [(2, ["o1", "Mug,\nred", "5"]), (6, ["o2", '12" pipe', "7"])]


def test_a_file_of_another_encoding_is_refused_until_it_is_named(tmp_path: Path) -> None:
    path = written(tmp_path, "订单,paid\n一,1\n", "gb18030")
    with pytest.raises(BadInput, match=r"orders\.csv:1: not utf-8 text.*gb18030"):
        cells(path)
    assert cells(path, encoding="gb18030") == [["一", "1"]]
    wide = written(tmp_path, "a,b\n一,1\n", "utf-16")
    with pytest.raises(BadInput, match="UTF-16"):
        cells(wide)
    assert cells(wide, encoding="utf-16") == [["一", "1"]]
    with pytest.raises(BadInput, match="no encoding"):
        cells(path, encoding="klingon")


def test_parts_of_one_table_have_one_header() -> None:
    check_same_columns(Path("1.csv"), ["a", "b"], Path("2.csv"), ["a", "b"])
    with pytest.raises(BadInput, match="only one of them has 'b'"):
        check_same_columns(Path("1.csv"), ["a", "b"], Path("2.csv"), ["a"])
    with pytest.raises(BadInput, match="another order"):
        check_same_columns(Path("1.csv"), ["a", "b"], Path("2.csv"), ["b", "a"])
