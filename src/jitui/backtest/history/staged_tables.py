"""The staged rows, by the table to which they contribute, as relations of DuckDB."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import duckdb
import pyarrow.parquet as pq

from jitui.backtest.found import named, quoted
from jitui.backtest.history.mapped_fields import CellType, tables_of, type_of
from jitui.backtest.history.staging import BAD, ROW, SAME, SOURCE
from jitui.tabular.mapping import RowMap

_SQL = {
    CellType.WHOLE: "BIGINT",
    CellType.AMOUNT: "BIGINT",
    CellType.MINOR: "BIGINT",
    CellType.FLAG: "BOOLEAN",
    CellType.MOMENT: "TIMESTAMP",
}
_BESIDE = (SOURCE, ROW, BAD, SAME)


@dataclass(frozen=True, slots=True)
class Rows:
    """The staged rows that contribute to one table.

    `fields` exist in any of its files; `told` are those that come from a column, not only from a constant. `sources`
    are the numbers of the files.
    """

    table: str
    files: tuple[Path, ...] = ()
    fields: frozenset[str] = frozenset()
    told: frozenset[str] = frozenset()
    sources: frozenset[int] = frozenset()
    told_by: Mapping[int, frozenset[str]] = field(default_factory=dict)
    """What is told by each file."""

    @property
    def relation(self) -> str:
        """The relation to select from."""
        listed = ", ".join(f"'{quoted(str(path))}'" for path in self.files)
        return f"read_parquet([{listed}], union_by_name = true, hive_partitioning = false)"

    def full(self, name: str) -> str:
        """The full name of a field of this table, or of a field that all tables share."""
        return name if name in self.fields or name in _BESIDE else f"{self.table}.{name}"

    def has(self, name: str) -> bool:
        """Whether any row has the field."""
        return self.full(name) in self.fields

    def column(self, name: str) -> str:
        """A field in SQL; NULL when no row has it."""
        full = self.full(name)
        return named(full) if self.has(name) else f"NULL::{_SQL.get(type_of(full), 'VARCHAR')}"

    def amount(self, name: str) -> str:
        """An amount in minor units, from major or minor units in the file."""
        return f"coalesce({self.column(f'{name}_minor')}, {self.column(name)})"

    def any_told(self, names: Sequence[str] | None = None) -> str:
        """A test in SQL: whether a row has one of these fields, or any of this table; constants do not count."""
        wanted = (
            [one for one in self.told if one.startswith(f"{self.table}.")] if names is None else map(self.full, names)
        )
        tests = [f"{named(one)} IS NOT NULL" for one in sorted(wanted) if one in self.told]
        return f"({' OR '.join(tests) or 'false'})"


def rows_of_tables(folder: Path, sources: Sequence[Sequence[RowMap]]) -> dict[str, Rows]:
    """The staged rows of each table; `sources` are the row maps of each file.

    A table of whose columns a file has none gets nothing from it: that it says nothing is not that there was nothing.
    """
    found: dict[str, Rows] = {}
    for number, row, files, there in _staged(folder, sources):
        told = there & _told(row)
        for table in tables_of(there & {*row.fields}):
            before = found.get(table, Rows(table))
            found[table] = Rows(
                table,
                before.files + files,
                before.fields | (there & {*row.fields, SAME}),
                before.told | told,
                before.sources | {number},
                {**before.told_by, number: before.told_by.get(number, frozenset()) | told},
            )
    return found


def absent_fields(folder: Path, sources: Sequence[Sequence[RowMap]]) -> dict[int, frozenset[str]]:
    """The fields of which a file should have a column by its map and has none, by the number of the file."""
    found: dict[int, frozenset[str]] = {}
    for number, row, files, there in _staged(folder, sources):
        if files:
            found[number] = found.get(number, frozenset()) | (_told(row) - there)
    return found


def _staged(
    folder: Path, sources: Sequence[Sequence[RowMap]]
) -> Iterator[tuple[int, RowMap, tuple[Path, ...], frozenset[str]]]:
    """For each row map of each file: the file's number, the map, what was staged by it, and the fields in that."""
    for number, maps in enumerate(sources):
        for at, row in enumerate(maps):
            files = tuple(sorted(folder.glob(f"{number}.{at}.*.parquet")))
            yield number, row, files, frozenset(name for path in files[:1] for name in pq.read_schema(path).names)


def _told(row: RowMap) -> frozenset[str]:
    return frozenset(name for name, source in row.fields.items() if source.columns)


@dataclass(frozen=True, slots=True)
class Found:
    """An observation about the rows: the number of orders or rows concerned, and the first of them.

    `is_fault`: the rows contradict one another, so the files must be corrected.
    """

    what: str
    count: int
    examples: tuple[str, ...] = ()
    is_fault: bool = False

    def __str__(self) -> str:
        return f"{self.count:,} × {self.what}" + (f": {', '.join(self.examples)}" if self.examples else "")


@dataclass(slots=True)
class Work:
    """A connection, the staged rows, the names of the files by number, and the folder to write."""

    db: duckdb.DuckDBPyConnection
    rows: Mapping[str, Rows]
    files: Sequence[str]
    folder: Path
    absent: Mapping[int, frozenset[str]] = field(default_factory=dict)
    """The fields of which each file should have a column and has none."""
    written: dict[str, int] = field(default_factory=dict)
    found: list[Found] = field(default_factory=list)

    def of(self, table: str) -> Rows:
        """The rows of a table; an empty relation when there are none."""
        return self.rows.get(table, Rows(table))

    def fetch(self, query: str) -> list[tuple[Any, ...]]:
        """All rows of a short result."""
        return self.db.execute(query).fetchall()

    def number(self, query: str) -> int:
        """The single number that a query returns."""
        return int(self.fetch(query)[0][0])

    def copy(self, table: str, query: str) -> None:
        """Write a table of the history."""
        path = quoted(str(self.folder / f"{table}.parquet"))
        done = self.db.execute(f"COPY ({query}) TO '{path}' (FORMAT parquet, COMPRESSION zstd)").fetchone()
        self.written[table] = int(done[0]) if done else 0

    def place(self, source: int, row: int) -> str:
        """The place of a row: `orders.csv, row 3`."""
        return f"{Path(self.files[source]).name}, row {row}"
