"""Reads a file of any length as batches of columns; CSV text is unpacked, decoded and split once.

A block of lines in which each line is a row is split at once, by Arrow when it has no quotes. A block with line breaks
in cells, or with anything else unusual, goes through `read_records`. A test reads the same files both ways.
"""

from __future__ import annotations

import csv
import gzip
import io
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq

from jitui.errors import BadInput
from jitui.tabular.cells import bare
from jitui.tabular.files import (
    BLOCK_BYTES,
    LONGEST_CELL,
    Layout,
    Record,
    check_columns,
    decoded_blocks,
    delimiter_named,
    first_bytes,
    found_delimiter,
    keys,
    open_binary,
    read_records,
)
from jitui.tabular.mapping import FileMap
from jitui.tabular.parquet_columns import usual
from jitui.tabular.workbook import is_zip_of_others, open_workbook

_PARQUET, _ZIP, _OLD_EXCEL = b"PAR1", b"PK\x03\x04", b"\xd0\xcf\x11\xe0"
ROWS_AT_ONCE = 50_000


@dataclass(frozen=True, slots=True)
class ColumnBatch:
    """Some rows of a file, column by column.

    `columns` has the keys of `jitui.tabular.files.keys`. `lines` is None for a file without lines. `broken`: rows with
    the wrong number of cells, each with its number, line and cells.
    """

    numbers: pa.Array
    lines: pa.Array | None
    columns: dict[str, pa.Array]
    broken: Sequence[tuple[int, int, list[str]]] = ()

    def __len__(self) -> int:
        return len(self.numbers)


@dataclass(frozen=True, slots=True)
class OpenedFile:
    """A file that can be read once; `layout` of CSV, `schema` of Parquet.

    `done` gives how many of `size` bytes were read.
    """

    file: Path
    columns: tuple[str, ...]
    batches: Iterator[ColumnBatch]
    layout: Layout | None = None
    schema: pa.Schema | None = None
    size: int = 0
    done: Callable[[], int] = lambda: 0


@dataclass(frozen=True, slots=True)
class ReadOptions:
    """How to read text. The first of `encodings` that decodes the whole file is used.

    Lines that begin with `skip_lines` are left out; the rows end at one whose first cell is `ends_at`.
    """

    encodings: Sequence[str] = ("utf-8",)
    delimiter: str | None = None
    skip_lines: str = ""
    ends_at: str = ""
    block_bytes: int = BLOCK_BYTES


def reading_by(file_map: FileMap, delimiter: str | None = None) -> ReadOptions:
    """How to read the files of a map; the argument `delimiter` overrides the map's."""
    return ReadOptions(file_map.encodings, delimiter or file_map.delimiter, file_map.skip_lines, file_map.ends_at)


def open_batches(file: Path, reading: ReadOptions) -> OpenedFile:
    """A CSV, Parquet or Excel file, told apart by its first bytes. Raises BadInput, while reading too."""
    match format_of(file):
        case "parquet":
            return _parquet(file)
        case "xlsx":
            columns, records = open_workbook(file)
            return OpenedFile(file, columns, _of_records(records, columns), size=file.stat().st_size)
        case _:
            return open_csv(file, reading)


def format_of(file: Path) -> str:
    """`parquet`, `xlsx`, else `csv`, by its first bytes. Raises BadInput where it cannot be read or is none of them."""
    head = first_bytes(file)
    if head == _OLD_EXCEL:
        raise BadInput(
            f"{file} is a workbook of an old kind (.xls), or has a password: save it as .xlsx without one.",
            path=str(file),
        )
    if head == _ZIP and is_zip_of_others(file):
        raise BadInput(f"{file} is a packed folder (.zip) and no workbook: unpack it.", path=str(file))
    return {_PARQUET: "parquet", _ZIP: "xlsx"}.get(head, "csv")


# CSV --------------------------------------------------------------------------------------------------------------


@dataclass(slots=True)
class _Text:
    """The lines of a file, in blocks; `waiting` has the lines of the current block that `read_records` has not read."""

    blocks: Iterator[str]
    skip: str
    waiting: deque[tuple[int, str]] = field(default_factory=deque)
    next_line: int = 1
    """The number of the first line of the next block."""
    last_line: int = 0

    def block(self) -> tuple[int, str] | None:
        """The next block and the number of its first line."""
        block, first = next(self.blocks, None), self.next_line
        if block is None:
            return None
        self.next_line += block.count("\n")
        return first, block

    def queue(self, first: int, block: str) -> None:
        """Give the lines of a block to `read_records`, without those that begin with `skip`."""
        lines = enumerate(io.StringIO(block, newline="\n"), start=first)
        self.waiting.extend((number, line) for number, line in lines if not (self.skip and line.startswith(self.skip)))

    def put_back(self) -> None:
        """Put the lines that are still waiting back in front of the other blocks."""
        if self.waiting and not self.skip:
            self.blocks = chain(["".join(line for _, line in self.waiting)], self.blocks)
            self.next_line = self.waiting[0][0]
            self.waiting.clear()

    def pull(self) -> Iterator[str]:
        """The lines one by one; when the block ends within a record, those of the next block."""
        while True:
            while not self.waiting:
                block = self.block()
                if block is None:
                    return
                self.queue(*block)
            self.last_line, line = self.waiting.popleft()
            yield line


def open_csv(file: Path, reading: ReadOptions) -> OpenedFile:
    """The layout is fixed by the header, or as it is given. Raises BadInput, while reading too."""
    csv.field_size_limit(LONGEST_CELL)
    encoding = _encoding(file, reading.encodings)
    raw = open_binary(file)
    text = _Text(decoded_blocks(file, raw, encoding, reading.block_bytes), reading.skip_lines)
    lines = text.pull()
    first = next((line for line in lines if line.strip()), "")
    if not first:
        raise BadInput(f"{file}: there is no header line.", path=str(file))
    given = None if reading.delimiter is None else delimiter_named(reading.delimiter)
    layout = Layout(encoding, given or found_delimiter(first))
    text.waiting.appendleft((text.last_line, first))
    records = read_records(file, lines, layout, lambda: text.last_line)
    columns = tuple(bare(name) for name in next(records).cells)
    check_columns(file, columns)
    text.put_back()
    size = file.stat().st_size
    place = raw.fileobj if isinstance(raw, gzip.GzipFile) and raw.fileobj is not None else raw
    batches = _text_batches(text, records, columns, layout, reading.ends_at)
    return OpenedFile(file, columns, batches, layout, size=size, done=lambda: size if raw.closed else place.tell())


def _encoding(file: Path, encodings: Sequence[str]) -> str:
    """The first encoding that decodes the whole file.

    The last one is not tried here: reading the file will show whether it fits.
    """
    for encoding in encodings[:-1]:
        try:
            for _ in decoded_blocks(file, open_binary(file), encoding):
                pass
        except BadInput:
            continue
        return encoding
    return encodings[-1]


def _text_batches(
    text: _Text, records: Iterator[Record], columns: tuple[str, ...], layout: Layout, ends_at: str
) -> Iterator[ColumnBatch]:
    number, rows = 1, _Rows(columns)
    while True:
        if not text.waiting:
            block = text.block()
            if block is None:
                break
            cut = None if ends_at or text.skip else _cut_at_once(block[1], layout, len(columns))
            if cut is None:
                text.queue(*block)
                continue
            if len(rows):
                yield rows.taken()
            yield from _of_table(cut, columns, number, block[0])
            number += cut.num_rows
            continue
        record = next(records, None)
        if record is None or (ends_at and bare(record.cells[0]) == ends_at):
            break
        rows.add(number, record)
        number += 1
        if len(rows) == ROWS_AT_ONCE:
            yield rows.taken()
    if len(rows):
        yield rows.taken()


def _cut_at_once(block: str, layout: Layout, width: int) -> pa.Table | None:
    """The cells of a block in which each line is a row as wide as the header; None for any other block."""
    unusual = (
        "\n\n" in block
        or "\n\r" in block
        or block[:1] in "\r\n"
        or not block.endswith("\n")
        or block.count("\r") != block.count("\r\n")
    )
    if unusual:
        return None
    cut = _cut_quoted(block, layout, width) if layout.quote in block else _cut_plain(block, layout, width)
    if cut is None or cut.num_rows != block.count("\n"):
        return None
    # A row of blanks is not a row: leave the block to `read_records`, which skips it.
    blank = pc.equal(pc.utf8_trim_whitespace(cut.column(0)), "")
    return None if pc.any(blank).as_py() else cut


def _cut_quoted(block: str, layout: Layout, width: int) -> pa.Table | None:
    """Split the lines with quotes by Python's CSV reader and the others by Arrow, and restore their order."""
    lines = block.split("\n")[:-1]
    quoted = [at for at, line in enumerate(lines) if layout.quote in line]
    cut = _cut_lines([lines[at] for at in quoted], layout, width)
    if cut is None or len(quoted) == len(lines):
        return cut
    others = sorted(set(range(len(lines))) - set(quoted))
    plain = _cut_plain("".join(f"{lines[at]}\n" for at in others), layout, width)
    if plain is None or plain.num_rows != len(others):
        return None
    order = pc.sort_indices(pa.array([*quoted, *others], pa.int64()))
    return pa.concat_tables([cut, plain]).take(order)


def _cut_lines(lines: list[str], layout: Layout, width: int) -> pa.Table | None:
    """The cells of the lines; None unless there are as many rows as lines, because then a quote may span lines."""
    try:
        rows = list(csv.reader(lines, delimiter=layout.delimiter, quotechar=layout.quote, strict=True))
    except csv.Error:
        return None
    if len(rows) != len(lines) or set(map(len, rows)) != {width}:
        return None
    return pa.table({str(at): pa.array(cells, pa.string()) for at, cells in enumerate(zip(*rows, strict=True))})


def _cut_plain(block: str, layout: Layout, width: int) -> pa.Table | None:
    names = [str(place) for place in range(width)]
    try:
        return pa_csv.read_csv(
            pa.py_buffer(block.encode()),
            read_options=pa_csv.ReadOptions(column_names=names, block_size=BLOCK_BYTES * 4),
            parse_options=pa_csv.ParseOptions(delimiter=layout.delimiter, quote_char=False),
            convert_options=pa_csv.ConvertOptions(
                column_types=dict.fromkeys(names, pa.string()), strings_can_be_null=False
            ),
        )
    except pa.ArrowException:  # among others, a row of another width
        return None


def _of_table(cut: pa.Table, columns: tuple[str, ...], number: int, line: int) -> Iterator[ColumnBatch]:
    for start in range(0, cut.num_rows, ROWS_AT_ONCE):
        part = cut.slice(start, ROWS_AT_ONCE).combine_chunks()
        cells = {key: _one(part.column(place)) for place, key in enumerate(keys(columns))}
        yield ColumnBatch(_range(number + start, len(part)), _range(line + start, len(part)), cells)


def _one(column: pa.ChunkedArray) -> pa.Array:
    return column.chunk(0) if column.num_chunks == 1 else pa.concat_arrays(column.chunks)


def _range(start: int, length: int) -> pa.Array:
    return pa.arange(start, start + length)


@dataclass(slots=True)
class _Rows:
    """Collects records for a batch."""

    columns: tuple[str, ...]
    kept: list[tuple[int, Record]] = field(default_factory=list)
    broken: list[tuple[int, int, list[str]]] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.kept) + len(self.broken)

    def add(self, number: int, record: Record) -> None:
        """Add a record. Trailing empty cells beyond the header are dropped: spreadsheets pad rows to the widest."""
        cells = record.cells
        while len(cells) > len(self.columns) and not cells[-1].strip():
            cells.pop()
        if len(cells) == len(self.columns):
            self.kept.append((number, record))
        else:
            self.broken.append((number, record.line, cells))

    def taken(self) -> ColumnBatch:
        """All records so far as a batch; the collection is empty afterwards."""
        rows, broken = self.kept, self.broken
        self.kept, self.broken = [], []
        texts = zip(*(record.cells for _, record in rows), strict=True) if rows else ((),) * len(self.columns)
        return ColumnBatch(
            pa.array([number for number, _ in rows], pa.int64()),
            pa.array([record.line for _, record in rows], pa.int64()),
            {key: pa.array(text, pa.string()) for key, text in zip(keys(self.columns), texts, strict=True)},
            broken,
        )


def _of_records(records: Iterator[Record], columns: tuple[str, ...]) -> Iterator[ColumnBatch]:
    rows = _Rows(columns)
    for number, record in enumerate(records, start=1):
        rows.add(number, record)
        if len(rows) == ROWS_AT_ONCE:
            yield rows.taken()
    if len(rows):
        yield rows.taken()


# Parquet ----------------------------------------------------------------------------------------------------------


def _parquet(file: Path) -> OpenedFile:
    try:
        opened = pq.ParquetFile(file)
    except (pa.ArrowException, OSError) as error:
        raise BadInput(f"{file}: broken Parquet: {_first_line(error)}.", path=str(file)) from None
    schema = opened.schema_arrow
    check_columns(file, tuple(schema.names))
    size, rows, read = file.stat().st_size, max(opened.metadata.num_rows, 1), [0]

    def batches() -> Iterator[ColumnBatch]:
        try:
            for batch in opened.iter_batches(batch_size=ROWS_AT_ONCE):
                start = read[0] + 1
                read[0] += batch.num_rows
                cells = {key: usual(batch.column(place)) for place, key in enumerate(keys(schema.names))}
                yield ColumnBatch(_range(start, batch.num_rows), None, cells)
        except (pa.ArrowException, OSError) as error:
            raise BadInput(
                f"{file}: broken Parquet after row {read[0]}: {_first_line(error)}.", path=str(file)
            ) from None

    return OpenedFile(
        file, tuple(schema.names), batches(), schema=schema, size=size, done=lambda: size * read[0] // rows
    )


def _first_line(error: Any) -> str:
    return str(error).splitlines()[0].rstrip(".") if str(error) else type(error).__name__
