"""Rows of CSV and Parquet files, with the numbers by which people find them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from jitui.errors import BadInput
from jitui.tabular.files import CsvFile, Layout, open_csv

if TYPE_CHECKING:
    import pyarrow.parquet as pq

_PARQUET = b"PAR1"
_PARQUET_BATCH = 10_000


@dataclass(frozen=True, slots=True)
class Row:
    """A data row, counted from 1 after the header; `line` only where the file has lines.

    `fault`: its cells do not fit the columns, so that it is not known which of them is what.
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
    layout: Layout | None


def open_table(file: Path, encoding: str = "utf-8", delimiter: str | None = None) -> Table:
    """A CSV file (comma, semicolon, tab or pipe, with a header) or a Parquet file, told apart by its first bytes.

    Raises BadInput for a file that is not there, not readable, or neither.
    """
    try:
        with file.open("rb") as opened:
            head = opened.read(4)
    except OSError as error:
        raise BadInput(f"{file}: {error.strerror or error}.", path=str(file)) from None
    if head == _PARQUET:
        return _open_parquet(file)
    found = open_csv(file, encoding, delimiter)
    return Table(found.columns, _csv_rows(str(file), found), None, found.layout)


def _csv_rows(file: str, found: CsvFile) -> Iterator[Row]:
    columns = found.columns
    for number, record in enumerate(found.records, start=1):
        cells, fault = record.cells, ""
        if len(cells) != len(columns):
            fault = f"the row has {len(cells)} cells, the header {len(columns)}"
            named = {str(place): cell for place, cell in enumerate(cells)}
        else:
            named = dict(zip(columns, cells, strict=True))
        yield Row(file, number, record.line, named, fault)


def _open_parquet(file: Path) -> Table:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        opened = pq.ParquetFile(file)
    except (pa.ArrowException, OSError) as error:
        raise BadInput(f"{file}: broken Parquet: {_first_line(error)}.", path=str(file)) from None
    columns = tuple(opened.schema_arrow.names)
    for name in columns:
        if columns.count(name) > 1:
            raise BadInput(f"{file}: the column {name!r} is there twice.", path=str(file))
    return Table(columns, _parquet_rows(file, opened), opened.metadata.num_rows, None)


def _parquet_rows(file: Path, opened: pq.ParquetFile) -> Iterator[Row]:
    import pyarrow as pa

    number = 0
    try:
        for batch in opened.iter_batches(batch_size=_PARQUET_BATCH):
            for cells in batch.to_pylist():
                number += 1
                yield Row(str(file), number, None, cells)
    except (pa.ArrowException, OSError, ValueError, OverflowError) as error:  # a time beyond Python's, among others
        raise BadInput(f"{file}: broken Parquet after row {number}: {_first_line(error)}.", path=str(file)) from None


def _first_line(error: Exception) -> str:
    return str(error).splitlines()[0].rstrip(".") if str(error) else type(error).__name__
