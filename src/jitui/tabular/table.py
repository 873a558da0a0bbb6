"""Rows of CSV, Parquet and Excel files, with the row and line numbers that are shown to people."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jitui.errors import BadInput
from jitui.tabular.batches import OpenedFile, ReadOptions, open_batches
from jitui.tabular.files import Layout, keys


@dataclass(frozen=True, slots=True)
class Row:
    """A data row, counted from 1 after the header; `line` is None for a file without lines.

    `fault` is set when the row has more or fewer cells than the header; then `cells` has positions as keys.
    """

    file: str
    number: int
    line: int | None
    cells: Mapping[str, object]
    fault: str = ""


@dataclass(frozen=True, slots=True)
class Table:
    """A file's columns and rows; `rows` can be read once and raises BadInput when the file is broken.

    `schema` is that of a Parquet file; `opened` tells how much of the file was read.
    """

    columns: tuple[str, ...]
    rows: Iterator[Row]
    layout: Layout | None
    schema: Any
    opened: OpenedFile


def open_table(file: Path, reading: ReadOptions | None = None) -> Table:
    """Open a CSV file with a header (comma, semicolon, tab or pipe), a Parquet file or a workbook.

    The format is recognised by the first bytes. Raises BadInput when the file is missing or cannot be read.
    """
    opened = open_batches(file, reading or ReadOptions())
    return Table(opened.columns, _rows(opened), opened.layout, opened.schema, opened)


def _rows(opened: OpenedFile) -> Iterator[Row]:
    file, width, names = str(opened.file), len(opened.columns), keys(opened.columns)
    for batch in opened.batches:
        numbers = batch.numbers.to_pylist()
        lines = [None] * len(numbers) if batch.lines is None else batch.lines.to_pylist()
        try:
            cells = [column.to_pylist() for column in batch.columns.values()]
        except (ValueError, OverflowError) as error:  # for example a time outside Python's range
            last = numbers[0] - 1
            raise BadInput(f"{file}: broken Parquet after row {last}: {error}.", path=file) from None
        values = zip(*cells, strict=True) if cells else ()
        whole = (
            Row(file, number, line, dict(zip(names, row, strict=True)))
            for number, line, row in zip(numbers, lines, values, strict=True)
        )
        broken = (
            Row(
                file,
                number,
                line,
                {str(place): cell for place, cell in enumerate(found)},
                f"the row has {len(found)} cells, the header {width}",
            )
            for number, line, found in batch.broken
        )
        yield from sorted([*whole, *broken], key=lambda row: row.number) if batch.broken else whole
