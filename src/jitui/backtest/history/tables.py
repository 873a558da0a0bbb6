"""Reads Parquet and CSV files as batches of text columns, with the number of each row."""

from __future__ import annotations

import codecs
import csv
from collections.abc import Iterator, Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from jitui.errors import BadInput

_ROWS_A_BATCH = 50_000
_PARQUET_MAGIC = b"PAR1"


def read_text_columns(path: Path, columns: Sequence[str]) -> Iterator[pa.Table]:
    """Batches of `row`, `fault` and the named columns, every value as text or null.

    `row` counts from 1 in Parquet and is the line number in CSV; `fault` is set for a row with the wrong number of
    fields. Raises BadInput, naming the file, when it is missing, damaged, or lacks a column.
    """
    if not path.is_file():
        raise BadInput(f"There is no file {path}.", path=str(path))
    try:
        with path.open("rb") as file:
            is_parquet = file.read(4) == _PARQUET_MAGIC or path.suffix.lower() in (".parquet", ".pq")
    except OSError as error:
        raise BadInput(f"{path} cannot be read: {error.strerror}.", path=str(path)) from None
    yield from (_parquet if is_parquet else _csv)(path, columns)


def _require(path: Path, columns: Sequence[str], found: Sequence[str]) -> None:
    missing = [name for name in columns if name not in found]
    if missing:
        raise BadInput(
            f"{path} lacks the columns {', '.join(missing)}; it has {', '.join(found) or 'none'}.", path=str(path)
        )


# Parquet -------------------------------------------------------------------------------------------------------


def _parquet(path: Path, columns: Sequence[str]) -> Iterator[pa.Table]:
    read = 0
    try:
        with pq.ParquetFile(path) as file:
            _require(path, columns, file.schema_arrow.names)
            for batch in file.iter_batches(batch_size=_ROWS_A_BATCH, columns=list(columns)):
                yield _numbered(path, batch, columns, read)
                read += batch.num_rows
    except (pa.ArrowException, OSError) as error:
        where = f"after row {read}" if read else "from the start"
        reason = str(error).splitlines()[0].rstrip(".")
        raise BadInput(f"{path} is damaged {where}: {reason}.", path=str(path)) from None


def _numbered(path: Path, batch: pa.RecordBatch, columns: Sequence[str], read: int) -> pa.Table:
    values = {
        "row": pa.array(range(read + 1, read + batch.num_rows + 1), pa.int64()),
        "fault": pa.nulls(batch.num_rows, pa.string()),
    }
    for name in columns:
        try:
            values[name] = batch.column(name).cast(pa.string())
        except pa.ArrowException:
            kind = batch.schema.field(name).type
            raise BadInput(f"Column {name} of {path} is of type {kind}, which has no text form.", path=name) from None
    return pa.table(values)


# CSV -----------------------------------------------------------------------------------------------------------


def _csv(path: Path, columns: Sequence[str]) -> Iterator[pa.Table]:
    with path.open(encoding=_encoding(path), newline="") as file:
        reader = csv.reader(file, strict=True)
        line = 1
        try:
            header = [name.strip() for name in next(reader, [])]
            _require(path, columns, header)
            places = [header.index(name) for name in columns]
            rows: list[list[str | int | None]] = []
            line = reader.line_num + 1
            for fields in reader:
                if fields:
                    rows.append(_cut(line, fields, len(header), places))
                line = reader.line_num + 1
                if len(rows) == _ROWS_A_BATCH:
                    yield _table(rows, columns)
                    rows = []
            yield _table(rows, columns)
        except csv.Error as error:
            raise BadInput(f"{path} is damaged at line {line}: {error}.", path=f"line {line}") from None


def _cut(line: int, fields: list[str], width: int, places: list[int]) -> list[str | int | None]:
    if len(fields) != width:
        return [line, f"the row has {len(fields)} fields, the header {width}", *(None for _ in places)]
    return [line, None, *(fields[place] for place in places)]


def _table(rows: list[list[str | int | None]], columns: Sequence[str]) -> pa.Table:
    names = ["row", "fault", *columns]
    kinds = [pa.int64(), *(pa.string() for _ in names[1:])]
    values = [pa.array([row[place] for row in rows], kind) for place, kind in enumerate(kinds)]
    return pa.table(values, names=names)


def _encoding(path: Path) -> str:
    """UTF-8 when the whole file is; otherwise Windows-1252, which older exports use."""
    decoder = codecs.getincrementaldecoder("utf-8")()
    try:
        with path.open("rb") as file:
            while piece := file.read(1 << 20):
                decoder.decode(piece)
            decoder.decode(b"", final=True)
    except UnicodeDecodeError:
        return "cp1252"
    return "utf-8-sig"
