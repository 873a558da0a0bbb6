"""Rows of CSV and Parquet files, with the numbers by which people find them."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from jitui.errors import BadInput

if TYPE_CHECKING:
    import pyarrow.parquet as pq  # type: ignore[import-untyped]

_PARQUET = b"PAR1"
_UTF16 = (b"\xff\xfe", b"\xfe\xff")
_LONGEST_CELL = 1_000_000
_PARQUET_BATCH = 10_000


@dataclass(frozen=True, slots=True)
class Row:
    """A data row, counted from 1 after the header; `line` only where the file has lines.

    `fault`: its cells do not fit the columns, and only tell which order or parcel it spoils.
    """

    file: str
    number: int
    line: int | None
    cells: Mapping[str, object]
    fault: str = ""


@dataclass(frozen=True, slots=True)
class Table:
    """A file's columns and rows; `rows` can be read once and raises BadInput where the file itself is broken."""

    columns: tuple[str, ...]
    rows: Iterator[Row]
    total: int | None


def open_table(file: Path, encoding: str = "utf-8") -> Table:
    """A CSV file (comma, semicolon or tab, with a header) or a Parquet file, told apart by its first bytes.

    Raises BadInput for a file that is not there, not readable, or neither.
    """
    try:
        with file.open("rb") as opened:
            head = opened.read(4)
    except OSError as error:
        raise BadInput(f"{file}: {error.strerror or error}.", path=str(file)) from None
    return _open_parquet(file) if head == _PARQUET else _open_csv(file, encoding, head)


# CSV -------------------------------------------------------------------------------------------------------------


def _open_csv(file: Path, encoding: str, head: bytes) -> Table:
    if head.startswith(_UTF16):
        raise BadInput(f"{file}: this is UTF-16; save it as UTF-8.", path=str(file))
    lines = _lines(file, encoding)
    first = next(lines, "")
    if not first.strip():
        raise BadInput(f"{file}: there is no header line.", path=str(file))
    delimiter = max(",;\t", key=first.count)
    try:
        columns = tuple(name.strip() for name in next(csv.reader([first], delimiter=delimiter, strict=True)))
    except csv.Error as error:
        raise BadInput(f"{file}:1: broken CSV: {error}.", path=str(file)) from None
    for name in columns:
        if columns.count(name) > 1:
            raise BadInput(f"{file}:1: the column {name!r} is there twice.", path=str(file))
    return Table(columns, _csv_rows(file, lines, columns, delimiter), None)


def _lines(file: Path, encoding: str) -> Iterator[str]:
    """Decoded line by line, so that the line of a wrong byte is known."""
    try:
        "".encode(encoding)
    except LookupError:
        raise BadInput(f"There is no encoding {encoding!r}.", path="--encoding") from None
    with file.open("rb") as opened:
        for number, raw in enumerate(opened, start=1):
            try:
                text = raw.decode(encoding)
            except UnicodeDecodeError as error:
                wrong = f"0x{raw[error.start]:02x} at byte {error.start + 1} of the line"
                hint = "say which --encoding it is (gb18030 for many Chinese files)"
                raise BadInput(f"{file}:{number}: not {encoding} text ({wrong}); {hint}.", path=str(file)) from None
            yield text.removeprefix("\ufeff") if number == 1 else text


def _csv_rows(file: Path, lines: Iterator[str], columns: tuple[str, ...], delimiter: str) -> Iterator[Row]:
    csv.field_size_limit(_LONGEST_CELL)
    reader = csv.reader(lines, delimiter=delimiter, strict=True)
    number, line = 0, 2
    try:
        for cells in reader:
            if cells:
                number += 1
                yield _csv_row(str(file), number, line, columns, cells)
            line = reader.line_num + 2
    except csv.Error as error:
        raise BadInput(f"{file}:{line}: broken CSV: {error}.", path=str(file)) from None


def _csv_row(file: str, number: int, line: int, columns: tuple[str, ...], cells: list[str]) -> Row:
    if len(cells) != len(columns):
        fault = f"the row has {len(cells)} cells, the header {len(columns)}"
        return Row(file, number, line, dict(zip(columns, cells, strict=False)), fault)
    return Row(file, number, line, dict(zip(columns, (cell.strip() for cell in cells), strict=True)))


# Parquet ---------------------------------------------------------------------------------------------------------


def _open_parquet(file: Path) -> Table:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        opened = pq.ParquetFile(file)
    except (pa.ArrowException, OSError) as error:
        raise BadInput(f"{file}: broken Parquet: {_first_line(error)}.", path=str(file)) from None
    columns = tuple(opened.schema_arrow.names)
    return Table(columns, _parquet_rows(file, opened), opened.metadata.num_rows)


def _parquet_rows(file: Path, opened: pq.ParquetFile) -> Iterator[Row]:
    import pyarrow as pa

    number = 0
    try:
        for batch in opened.iter_batches(batch_size=_PARQUET_BATCH):
            for cells in batch.to_pylist():
                number += 1
                yield Row(str(file), number, None, cells)
    except (pa.ArrowException, OSError) as error:
        raise BadInput(f"{file}: broken Parquet after row {number}: {_first_line(error)}.", path=str(file)) from None


def _first_line(error: Exception) -> str:
    return str(error).splitlines()[0].rstrip(".") if str(error) else type(error).__name__
