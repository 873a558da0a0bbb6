"""A list as a CSV file, row by row, so that a list of any length needs little memory."""

from __future__ import annotations

import csv
import io
from collections.abc import AsyncIterator, Iterable, Sequence

from litestar.response import Stream

from jitui.entrypoints.console.page.language import Speech
from jitui.text import for_spreadsheet

BATCH = 500
"""How many rows are read at once."""

CsvRow = Sequence[str]


def csv_file(name: str, headings: CsvRow, batches: AsyncIterator[Iterable[CsvRow]]) -> Stream:
    """The answer with this file; cells that a spreadsheet would change or run stay text."""
    return Stream(
        _bytes_of(headings, batches),
        media_type="text/csv",
        headers={
            "content-disposition": f'attachment; filename="{name}"',
            "cache-control": "no-store",
            "x-content-type-options": "nosniff",
        },
    )


def headings(speech: Speech, names: Iterable[str]) -> CsvRow:
    """The names of the columns in the reader's language."""
    return [speech.say(name) for name in names]


async def _bytes_of(headings: CsvRow, batches: AsyncIterator[Iterable[CsvRow]]) -> AsyncIterator[bytes]:
    yield "\ufeff".encode() + _rows((headings,))  # by the byte order mark spreadsheets know UTF-8
    async for batch in batches:
        yield _rows(batch)


def _rows(rows: Iterable[CsvRow]) -> bytes:
    text = io.StringIO()
    csv.writer(text).writerows([[for_spreadsheet(cell) for cell in row] for row in rows])
    return text.getvalue().encode()
