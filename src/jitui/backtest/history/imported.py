"""The result of an import, and a writer of the schema's Parquet tables."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from jitui.backtest.schema import TABLES, ColumnType

ROWS_AT_ONCE = 20_000

_TYPES: dict[ColumnType, pa.DataType] = {
    ColumnType.TEXT: pa.string(),
    ColumnType.INT: pa.int64(),
    ColumnType.BOOL: pa.bool_(),
    ColumnType.MOMENT: pa.timestamp("us"),
}


@dataclass(frozen=True, slots=True)
class Imported:
    """What was written and left out: `rows_read` by file, `set_aside` by file and reason, `counts` by name."""

    folder: Path
    format_name: str
    currency: str
    time_zone: str
    assumptions: Mapping[str, float | int]
    rows_read: Mapping[str, int]
    rows: Mapping[str, int]
    set_aside: Mapping[str, Mapping[str, int]]
    counts: Mapping[str, int] = field(default_factory=dict)


class Tables:
    """Writes rows, given as mappings, to Parquet files in batches; a column that a row does not name is empty."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._open = ExitStack()
        self._writers: dict[str, Any] = {}
        self._schemas: dict[str, Any] = {}
        self._waiting: dict[str, list[Mapping[str, object]]] = {}
        self.rows: dict[str, int] = {}

    def __enter__(self) -> Tables:
        return self

    def __exit__(self, *failure: object) -> None:
        if failure[0] is None:
            for name in self._waiting:
                self._flush(name)
        self._open.close()

    def begin(self, name: str, schema: Any = None) -> None:
        """Start a table of the schema, or one with its own schema; its file is written even when it stays empty."""
        spec_schema = schema or pa.schema([(column.name, _TYPES[column.type]) for column in TABLES[name].columns])
        path = self._folder / f"{name}.parquet"
        path.parent.mkdir(exist_ok=True)
        self._schemas[name] = spec_schema
        self._writers[name] = self._open.enter_context(pq.ParquetWriter(path, spec_schema, compression="zstd"))
        self._waiting[name] = []
        self.rows[name] = 0

    def add(self, name: str, row: Mapping[str, object]) -> None:
        """Add a row to a table."""
        waiting = self._waiting[name]
        waiting.append(row)
        self.rows[name] += 1
        if len(waiting) == ROWS_AT_ONCE:
            self._flush(name)

    def _flush(self, name: str) -> None:
        schema = self._schemas[name]
        self._writers[name].write_table(pa.Table.from_pylist(list(self._waiting[name]), schema=schema))
        self._waiting[name].clear()
