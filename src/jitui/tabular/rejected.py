"""Writes the rows that were not taken to a file beside the original, to be corrected and imported again."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Any

from jitui.tabular.files import Layout

REASON = "reason"
TEXT = Layout("utf-8-sig", ",")
"""The layout for the rows of a workbook."""


def rejected_beside(file: Path) -> Path:
    """The file for rows that were not taken: `orders.rejected.csv` beside `orders.csv`."""
    name = file.name.removesuffix(".gz")
    stem, dot, suffix = name.rpartition(".")
    suffix = "csv" if suffix.lower() in ("xlsx", "xlsm") else suffix
    return file.with_name(f"{stem}.rejected.{suffix}" if dot else f"{name}.rejected")


class RejectedRows:
    """Writes the rows of one file that were not taken, in the file's own format with a column for the reason.

    The file appears when the `with` block ends without an error and there were rows; `path` is set then. Raises OSError
    when the folder cannot be written, UnicodeEncodeError when the file's encoding cannot express a reason.
    """

    def __init__(self, file: Path, columns: Sequence[str], layout: Layout | None, schema: Any = None) -> None:
        self.path: Path | None = None
        self._out = rejected_beside(file)
        self._part = self._out.with_name(f".{self._out.name}.part")
        self._columns, self._schema = columns, schema
        self._layout = TEXT if layout is None and schema is None else layout
        self._places = [place for place, name in enumerate(columns) if name != REASON]
        self._open = ExitStack()
        self._writer: Any = None

    def add(self, cells: Sequence[object], reason: str) -> None:
        """Add a row as it is in the file."""
        if self._writer is None:
            self._begin()
        if self._layout is None:
            self._writer.write_table(self._parquet_row(cells, reason))
            return
        whole = [cells[place] for place in self._places] if len(cells) == len(self._columns) else list(cells)
        whole += [""] * (len(self._places) - len(whole))
        self._writer.writerow([*whole, reason])

    def abandon(self) -> None:
        """Leave no file: one with some of the rows would look like all of them."""
        if self._writer is not None:
            self._open.close()
            self._part.unlink(missing_ok=True)
            self._writer = None

    def _begin(self) -> None:
        if self._layout is None:
            import pyarrow as pa
            import pyarrow.parquet as pq

            kept = [field for field in self._schema if field.name != REASON]
            self._schema = pa.schema([*kept, (REASON, pa.string())])
            self._writer = self._open.enter_context(pq.ParquetWriter(self._part, self._schema))
            return
        opened = self._open.enter_context(self._part.open("w", encoding=self._layout.encoding, newline=""))
        self._writer = csv.writer(opened, delimiter=self._layout.delimiter, quotechar=self._layout.quote)
        self._writer.writerow([*(self._columns[place] for place in self._places), REASON])

    def _parquet_row(self, cells: Sequence[object], reason: str) -> Any:
        import pyarrow as pa

        values = [*(cells[place] for place in self._places), reason]
        arrays = [pa.array([value], kind.type) for value, kind in zip(values, self._schema, strict=True)]
        return pa.Table.from_arrays(arrays, schema=self._schema)

    def __enter__(self) -> RejectedRows:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._open.close()
        if self._writer is None:
            return
        if kind is None:
            self._part.replace(self._out)
            self.path = self._out
        else:
            self._part.unlink(missing_ok=True)
