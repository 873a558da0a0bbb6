"""Turns files of other systems into typed Parquet files beside the history, in parts of bounded size.

A complete part is kept until the import is finished, so after an interruption it is not read again.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field
from functools import partial
from itertools import groupby
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import duckdb
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from jitui.backtest.history.mapped_fields import CellType, tables_of, type_of
from jitui.backtest.history.read_columns import Field, Reader, read_column
from jitui.errors import BadInput
from jitui.tabular.bad_rows import MOST_KEPT, BadRow
from jitui.tabular.batches import ColumnBatch, open_batches, reading_by
from jitui.tabular.cells import Unreadable
from jitui.tabular.mapping import FileMap, RowMap, column_in, is_taken
from jitui.tabular.parquet_columns import distinct
from jitui.tabular.rejected import RejectedRows
from jitui.tabular.shown import shown

BATCHES_A_PART = 20
SOURCE, ROW, BAD, SAME = "source", "row", "bad", "same"
"""Columns of staged rows besides the fields: the file, the row, whether it is bad, and a hash of its cells."""
_NEEDED = {
    "orders": ("order_id",),
    "order_lines": ("order_id",),
    "shipments": ("order_id",),
    "requests": ("order_id",),
    "payments": ("order_id", "payment_id"),
    "refunds": ("order_id", "payment_id"),
    "events": ("events.subject_id", "buyer_id"),
}
"""For each table: the fields of which a row must have one, so that it is known whose it is."""


@dataclass(frozen=True, slots=True)
class Source:
    """A file, and the map that reads it, with full names."""

    path: Path
    file_map: FileMap
    zone: ZoneInfo | None
    delimiter: str | None = None
    sha256: str = ""
    partitions: Mapping[str, str] = field(default_factory=dict)
    """Columns from the folders' names: `year` with `2026` in every row for a folder `year=2026`."""


@dataclass(slots=True)
class Staged:
    """The result for a file: its rows, how many were bad or match no condition of its map, and the first bad ones."""

    file: str
    layout: str = ""
    columns: int = 0
    rows: int = 0
    bad_rows: int = 0
    left_out: int = 0
    bad: list[BadRow] = field(default_factory=list)
    reasons: Counter[str] = field(default_factory=Counter)
    ignored: tuple[str, ...] = ()
    unmapped: tuple[str, ...] = ()
    """Fields of the map whose columns the file does not have."""
    resumed_rows: int = 0
    rejected: str | None = None
    unwritten: str = ""
    """Why the bad rows could not be written beside the file."""


Progress = Callable[[int, int], None]


@dataclass(slots=True)
class _Part:
    """The counts of a part of a file, stored in the marker that the part is complete."""

    rows: int = 0
    left_out: int = 0
    bad_rows: int = 0


def stage(source: Source, number: int, folder: Path, progress: Progress) -> Staged:
    """Write a file to the folder as `NUMBER.MAP.PART.parquet`. Raises BadInput when it cannot be read."""
    opened = open_batches(source.path, reading_by(source.file_map, source.delimiter))
    done = Staged(str(source.path), str(opened.layout or opened.file.suffix.lstrip(".")), len(opened.columns))
    columns = (*opened.columns, *source.partitions)
    readers = [_RowReader.of(source, row, columns) for row in source.file_map.rows]
    used = {one.column for reader in readers for one in reader.fields} | {
        n for row in source.file_map.rows for n in row.where
    }
    done.ignored = tuple(name for name in opened.columns if name and name not in used)
    done.unmapped = tuple(dict.fromkeys(name for reader in readers for name in reader.unmapped))
    with (
        duckdb.connect() as hasher,
        RejectedRows(source.path, opened.columns, opened.layout, opened.schema) as rejected,
    ):
        staging = _Staging(source, number, folder, hasher, rejected, readers)
        whole = (_with_partitions(batch, source.partitions) for batch in opened.batches)
        for place, batches in groupby(enumerate(whole), key=lambda one: one[0] // BATCHES_A_PART):
            _stage_part(
                staging, place, (batch for _, batch in batches), done, lambda: progress(opened.done(), opened.size)
            )
    done.rejected = None if rejected.path is None else str(rejected.path)
    return done


@dataclass(frozen=True, slots=True)
class _Staging:
    source: Source
    number: int
    folder: Path
    hasher: duckdb.DuckDBPyConnection
    rejected: RejectedRows
    readers: Sequence[_RowReader]


def _stage_part(
    staging: _Staging, place: int, batches: Iterable[ColumnBatch], done: Staged, advance: Callable[[], None]
) -> None:
    marker = staging.folder / f"{staging.number}.{place}.done"
    if marker.exists():
        part = _Part(**json.loads(marker.read_text()))
        done.resumed_rows += part.rows
        for _ in batches:
            advance()
    else:
        part = _Part()
        with ExitStack() as stack:
            writers: dict[int, Any] = {}

            def writer(at: int, schema: pa.Schema) -> Any:
                if at not in writers:
                    path = staging.folder / f"{staging.number}.{at}.{place}.parquet"
                    writers[at] = stack.enter_context(pq.ParquetWriter(path, schema, compression="lz4"))
                return writers[at]

            for batch in batches:
                _stage_batch(staging, batch, part, done, writer)
                advance()
        if part.bad_rows == 0:  # bad rows are read again each time, so that their reasons are reported
            marker.with_suffix(".tmp").write_text(json.dumps(asdict(part)))
            marker.with_suffix(".tmp").replace(marker)
    done.rows += part.rows
    done.left_out += part.left_out
    done.bad_rows += part.bad_rows


def _stage_batch(
    staging: _Staging, batch: ColumnBatch, part: _Part, done: Staged, writer: Callable[[int, pa.Schema], Any]
) -> None:
    faults: dict[int, list[BadRow]] = {}
    taken = pa.repeat(False, len(batch))
    for at, reader in enumerate(staging.readers):
        mask = _taken(batch, staging.source.file_map.rows[at])
        taken = pc.or_(taken, mask)
        some = batch if pc.all(mask).as_py() or not len(batch) else _filtered(batch, mask)
        table = reader.read(some, staging, done.file, faults)
        writer(at, table.schema).write_table(table)
    part.rows += len(batch) + len(batch.broken)
    part.left_out += len(batch) - (pc.sum(taken).as_py() or 0)
    for number, line, cells in batch.broken:
        mend = "put a stray delimiter in quotes" if len(cells) > done.columns else "fill it up"
        reason = f"the row has {len(cells)} cells, the header {done.columns}; {mend}"
        faults.setdefault(number, []).append(BadRow(done.file, number, line, "", reason))
    if faults:
        part.bad_rows += len(faults)
        _reject(batch, faults, staging, done)
        for row in sorted(faults):
            done.reasons.update(one.kind for one in faults[row])
            done.bad.extend(faults[row][: max(MOST_KEPT - len(done.bad), 0)])


def _reject(batch: ColumnBatch, faults: Mapping[int, Sequence[BadRow]], staging: _Staging, done: Staged) -> None:
    """The bad rows, beside the file; where they cannot be written there, that is told once."""
    broken = {number: cells for number, _, cells in batch.broken}
    whole = sorted(set(faults) - set(broken))
    places = pc.index_in(pa.array(whole, pa.int64()), batch.numbers) if whole else pa.array([], pa.int32())
    own = [column for name, column in batch.columns.items() if name not in staging.source.partitions]
    columns = [column.take(places).to_pylist() for column in own]
    cells = {number: [column[at] for column in columns] for at, number in enumerate(whole)}
    for number in sorted(faults):
        told = "; ".join(one.told for one in faults[number])
        if done.unwritten:
            return
        try:
            staging.rejected.add(broken[number] if number in broken else cells[number], told)
        except (OSError, UnicodeEncodeError) as error:
            done.unwritten = f"The bad rows of {done.file} cannot be written beside it: {error}."
            staging.rejected.abandon()


def _taken(batch: ColumnBatch, row: RowMap) -> pa.Array:
    """Which rows match the conditions of a map."""
    mask = pa.repeat(True, len(batch))
    for name, patterns in row.where.items():
        column = batch.columns.get(name)
        if column is None:
            mask = pc.and_(mask, pa.repeat(is_taken({name: patterns}, lambda _: None), len(batch)))
            continue
        different, which = distinct(column)
        known = [is_taken({name: patterns}, partial(_same, cell)) for cell in different]
        mask = pc.and_(mask, pa.array(known, pa.bool_()).take(which))
    return mask


def _same(cell: object, _name: str) -> object:
    return cell


def _with_partitions(batch: ColumnBatch, partitions: Mapping[str, str]) -> ColumnBatch:
    if not partitions:
        return batch
    same = {name: pa.repeat(value, len(batch)) for name, value in partitions.items()}
    return ColumnBatch(batch.numbers, batch.lines, {**batch.columns, **same}, batch.broken)


def _filtered(batch: ColumnBatch, mask: pa.Array) -> ColumnBatch:
    lines = None if batch.lines is None else batch.lines.filter(mask)
    columns = {name: column.filter(mask) for name, column in batch.columns.items()}
    return ColumnBatch(batch.numbers.filter(mask), lines, columns, batch.broken)


@dataclass(frozen=True, slots=True)
class _RowReader:
    """One row map, applied to the columns of one file."""

    reader: Reader
    fields: tuple[Field, ...]
    needed: tuple[tuple[str, ...], ...]
    unmapped: tuple[str, ...]
    hashed: bool

    @classmethod
    def of(cls, source: Source, row: RowMap, columns: Sequence[str]) -> _RowReader:
        fields, unmapped = [], []
        reader = Reader(source.file_map.rules, source.zone)
        for name, origin in row.fields.items():
            column = column_in(origin, columns)
            if column is None and origin.constant is None:
                unmapped.append(name)
                continue
            fields.append(Field(name, type_of(name), origin, column))
            if column is None:
                _check_constant(reader, fields[-1])
        fields.sort(key=lambda one: one.name != "currency")
        tables = tables_of(one.name for one in fields if one.column is not None)
        needed = tuple(dict.fromkeys(_NEEDED[table] for table in tables if table in _NEEDED))
        hashed = "order_lines" in tables and not any(one.name == "order_lines.line_id" for one in fields)
        return cls(reader, tuple(fields), needed, tuple(unmapped), hashed)

    def read(self, batch: ColumnBatch, staging: _Staging, file: str, faults: dict[int, list[BadRow]]) -> pa.Table:
        """The typed rows; those with the wrong number of cells are bad and have no values.

        `faults` is by row number.
        """
        rows = len(batch)
        currency, bad = pa.nulls(rows, pa.string()), pa.repeat(False, rows)
        values: dict[str, pa.Array] = {}
        for one in self.fields:
            column = None if one.column is None else batch.columns[one.column]
            values[one.name], faulty = read_column(self.reader, one, column, currency, rows)
            currency = values[one.name] if one.name == "currency" else currency
            if pc.any(faulty).as_py():
                bad = pc.or_(bad, faulty)
                self._tell(one, batch, faulty, currency, file, faults)
        bad = pc.or_(bad, self._without_a_name(batch, values, file, faults))
        columns = {
            SOURCE: pa.repeat(pa.scalar(staging.number, pa.int32()), rows),
            ROW: batch.numbers,
            BAD: bad,
            **values,
        }
        if self.hashed:
            columns[SAME] = _hashes(staging.hasher, batch)
        table = pa.table(columns)
        return pa.concat_tables([table, self._broken(batch, staging, table.schema)]) if batch.broken else table

    def _tell(
        self,
        one: Field,
        batch: ColumnBatch,
        faulty: pa.Array,
        currency: pa.Array,
        file: str,
        faults: dict[int, list[BadRow]],
    ) -> None:
        for at in pc.indices_nonzero(faulty).to_pylist():
            cell = one.source.constant if one.column is None else batch.columns[one.column][at].as_py()
            why = self.reader.cell(one, cell, currency[at].as_py())
            assert isinstance(why, Unreadable), (one.name, cell)
            number, line = _place(batch, at)
            found = BadRow(file, number, line, one.name, why.reason, one.column or "", shown(cell))
            faults.setdefault(number, []).append(found)

    def _without_a_name(
        self, batch: ColumnBatch, values: Mapping[str, pa.Array], file: str, faults: dict[int, list[BadRow]]
    ) -> pa.Array:
        """Which rows do not name their order, payment or subject."""
        bad = pa.repeat(False, len(batch))
        for names in self.needed:
            there = [values[name] for name in names if name in values]
            missing = pc.is_null(pc.coalesce(*there)) if there else pa.repeat(True, len(batch))
            if not pc.any(missing).as_py():
                continue
            bad = pc.or_(bad, missing)
            for at in pc.indices_nonzero(missing).to_pylist():
                number, line = _place(batch, at)
                if not any(one.field in names for one in faults.get(number, ())):
                    column = next((one.column for one in self.fields if one.name == names[0] and one.column), "")
                    found = BadRow(file, number, line, names[0], "is missing; fill it in", column or "")
                    faults.setdefault(number, []).append(found)
        return bad

    def _broken(self, batch: ColumnBatch, staging: _Staging, schema: pa.Schema) -> pa.Table:
        numbers = [number for number, _, _ in batch.broken]
        known = {SOURCE: [staging.number] * len(numbers), ROW: numbers, BAD: [True] * len(numbers)}
        return pa.table({one.name: pa.array(known.get(one.name, [None] * len(numbers)), one.type) for one in schema})


def _check_constant(reader: Reader, field: Field) -> None:
    """Raises BadInput for a constant that cannot be read; of an amount the currency of the row says."""
    why = None if field.type is CellType.AMOUNT else reader.cell(field, field.source.constant, None)
    if isinstance(why, Unreadable):
        raise BadInput(f"The value that is set for {field.name} cannot be used: {why.reason}.", path="--set")


def _place(batch: ColumnBatch, at: int) -> tuple[int, int | None]:
    """The number of a row, and its line; None for a file without lines."""
    return batch.numbers[at].as_py(), None if batch.lines is None else batch.lines[at].as_py()


def _hashes(hasher: duckdb.DuckDBPyConnection, batch: ColumnBatch) -> pa.Array:
    """The same number for rows of the same cells."""
    cells = pa.table({f"c{place}": _hashable(column) for place, column in enumerate(batch.columns.values())})
    names = ", ".join(cells.column_names)
    found = hasher.from_arrow(cells).project(f"hash({names}) AS same").to_arrow_table().column("same")
    return pa.concat_arrays(found.chunks) if found.num_chunks else pa.array([], pa.uint64())


def _hashable(column: pa.Array) -> pa.Array:
    """As text where it is of a type that DuckDB lacks."""
    foreign = pa.types.is_decimal256(column.type) or pa.types.is_float16(column.type)
    return column if not foreign else pa.array([None if one is None else str(one) for one in column.to_pylist()])
