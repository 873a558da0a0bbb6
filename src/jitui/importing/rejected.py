"""Rows that were not taken, written beside the file that they came from, so that they can be mended and given again."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from jitui.tabular.files import Layout
from jitui.tabular.table import Row

REASON = "reason"


def rejected_beside(file: Path) -> Path:
    """Where the rows of a file go that were not taken: `orders.rejected.csv` beside `orders.csv`."""
    name = file.name.removesuffix(".gz")
    stem, dot, suffix = name.rpartition(".")
    return file.with_name(f"{stem}.rejected.{suffix}" if dot else f"{name}.rejected")


def write_rejected(
    file: Path, columns: Sequence[str], layout: Layout | None, rows: Sequence[Row], reasons: Mapping[int, str]
) -> Path:
    """Write rows as they were in the file, in their order, and beside each why it was not taken (`reasons`, by number).

    A row without a reason of its own belongs with one that has. Raises OSError where the folder takes no file.
    """
    out = rejected_beside(file)
    part = out.with_name(f".{out.name}.part")
    ordered = sorted({row.number: row for row in rows}.values(), key=lambda row: row.number)
    beside = "belongs with a row that was not taken"
    if layout is None:
        _write_parquet(file, part, ordered, [reasons.get(row.number, beside) for row in ordered])
    else:
        with part.open("w", encoding=layout.encoding, newline="") as opened:
            writer = csv.writer(opened, delimiter=layout.delimiter, quotechar=layout.quote)
            writer.writerow([*(name for name in columns if name != REASON), REASON])
            for row in ordered:
                writer.writerow([*_cells(row, columns), reasons.get(row.number, beside)])
    part.replace(out)
    return out


def _cells(row: Row, columns: Sequence[str]) -> list[object]:
    """In the order of the file; of a row that cannot be cut into columns, what there is."""
    if row.fault:
        return [*row.cells.values(), *[""] * (len(columns) - len(row.cells))]
    return [row.cells[name] for name in columns if name != REASON]


def _write_parquet(file: Path, out: Path, rows: Sequence[Row], reasons: Sequence[str]) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    schema = pq.read_schema(file)
    kept = [field for field in schema if field.name != REASON]
    cells: list[Any] = [pa.array([row.cells[field.name] for row in rows], field.type) for field in kept]
    table = pa.Table.from_arrays(
        [*cells, pa.array(reasons, pa.string())], schema=pa.schema([*kept, pa.field(REASON, pa.string())])
    )
    pq.write_table(table, out)
