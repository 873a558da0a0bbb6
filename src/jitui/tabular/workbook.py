"""Reads a workbook (.xlsx) as rows of text; all sheets have the same header, and cells are as a spreadsheet shows them.

A workbook stores numbers as binary fractions, of which 15 digits are exact. A whole number with more digits was rounded
when it was typed; it is written with an exponent here, and `jitui.tabular.cells` refuses that as an id.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import closing
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from pathlib import Path
from zipfile import BadZipFile, ZipFile

from jitui.errors import BadInput
from jitui.tabular.cells import bare
from jitui.tabular.files import Record, check_columns
from jitui.tabular.shown import shown

EXACT_DIGITS = 15


def open_workbook(file: Path) -> tuple[tuple[str, ...], Iterator[Record]]:
    """The columns, and the records of every sheet; a record's line counts within its sheet.

    Raises BadInput for a file that is not a workbook, and for sheets with different headers.
    """
    records = _records(file)
    columns = tuple(bare(name) for name in next(records).cells)
    check_columns(file, columns)
    return columns, records


def is_zip_of_others(file: Path) -> bool:
    """Whether the packed file lacks what every workbook has."""
    try:
        with ZipFile(file) as packed:
            return "[Content_Types].xml" not in packed.namelist()
    except (BadZipFile, OSError):
        return False


def _records(file: Path) -> Iterator[Record]:
    from openpyxl import load_workbook
    from openpyxl.utils.exceptions import InvalidFileException

    try:
        book = load_workbook(file, read_only=True, data_only=True)
    except (BadZipFile, InvalidFileException, KeyError, OSError, ValueError) as error:
        raise BadInput(f"{file}: broken workbook: {error}.", path=str(file)) from None
    with closing(book):
        header: list[str] | None = None
        for sheet in book.worksheets:
            sheet.reset_dimensions()
            for record in _sheet(sheet.iter_rows(values_only=True)):
                if record.line != 1 and header is not None:
                    yield Record(record.line, record.last_line, _fitted(record.cells, len(header)))
                elif header is None:
                    header = record.cells
                    yield record
                elif record.cells != header:
                    raise BadInput(
                        f"{file}: the sheet {shown(sheet.title)} has other columns than the first; save it as a file"
                        " of its own.",
                        path=str(file),
                    )
    if header is None:
        raise BadInput(f"{file}: there is no header line.", path=str(file))


def _sheet(rows: Iterator[Sequence[object]]) -> Iterator[Record]:
    """The rows that are not empty; the first of them counts as row 1, the header."""
    first = True
    for number, row in enumerate(rows, start=1):
        cells = [as_text(value) for value in row]
        while cells and not cells[-1].strip():
            cells.pop()
        if cells:
            yield Record(1 if first else max(number, 2), number, cells)
            first = False


def _fitted(cells: list[str], width: int) -> list[str]:
    return cells + [""] * (width - len(cells))


def as_text(value: object) -> str:
    """The text that a spreadsheet shows for the value: `59.9`, not `59.899999999999999`."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(value) if len(str(abs(value))) <= EXACT_DIGITS else f"{value:.14E}"
    if isinstance(value, float):
        rounded = Decimal(format(value, f".{EXACT_DIGITS}g"))
        return format(rounded, "f") if abs(rounded.adjusted()) < EXACT_DIGITS else f"{value:.14E}"
    if isinstance(value, datetime):
        return f"{(value + timedelta(milliseconds=500)).replace(microsecond=0):%Y-%m-%d %H:%M:%S}"
    return value.isoformat() if isinstance(value, date | time) else str(value)
