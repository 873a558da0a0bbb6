"""Reads a text file as records, with one encoding, delimiter and quote for the whole file."""

from __future__ import annotations

import csv
import gzip
import io
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, cast

from jitui.errors import BadInput
from jitui.tabular.shown import shown

DELIMITERS = {"comma": ",", "semicolon": ";", "tab": "\t", "pipe": "|"}
LONGEST_CELL = 1_000_000
BLOCK_BYTES = 4 << 20
_UTF16 = (b"\xff\xfe", b"\xfe\xff")


@dataclass(frozen=True, slots=True)
class Layout:
    """The encoding, delimiter and quote of a file. A quote inside a quoted cell is doubled; there are no escapes."""

    encoding: str
    delimiter: str
    quote: str = '"'

    def __str__(self) -> str:
        named = {sign: name for name, sign in DELIMITERS.items()}
        return f"{self.encoding}, {named.get(self.delimiter, self.delimiter)} between cells, {self.quote} around them"


@dataclass(frozen=True, slots=True)
class Record:
    """The cells of one row, and its first and last line in the file."""

    line: int
    last_line: int
    cells: list[str]


def delimiter_named(text: str) -> str:
    """A delimiter, given by its name or as itself. Raises BadInput for any other text."""
    sign = DELIMITERS.get(text, "\t" if text == "\\t" else text)
    if sign not in DELIMITERS.values():
        raise BadInput(f"--delimiter is one of {', '.join(DELIMITERS)}, not {shown(text)}.", path="--delimiter")
    return sign


def found_delimiter(header: str) -> str:
    """The delimiter that splits the header into the most columns; quotes are respected."""
    return max(DELIMITERS.values(), key=lambda sign: _cells_of(header, sign))


def _cells_of(header: str, delimiter: str) -> int:
    try:
        return len(next(csv.reader([header], delimiter=delimiter), []))
    except csv.Error:  # `read_records` says what is wrong with it
        return 0


def first_bytes(file: Path) -> bytes:
    """By which a file is told apart. Raises BadInput where it cannot be read."""
    try:
        with file.open("rb") as opened:
            return opened.read(4)
    except OSError as error:
        raise _unreadable(file, error) from None


def open_binary(file: Path) -> BinaryIO:
    """The bytes of a file, unpacked where it is gzip, whatever its name. Raises BadInput where it cannot be read."""
    packed = first_bytes(file).startswith(b"\x1f\x8b")
    return cast("BinaryIO", gzip.open(file, "rb")) if packed else file.open("rb")


def decoded_blocks(file: Path, opened: BinaryIO, encoding: str, block_bytes: int = BLOCK_BYTES) -> Iterator[str]:
    """The text of whole lines, a few megabytes at a time; UTF-16 and UTF-32 line by line, and all in memory.

    Decoded strictly: raises BadInput with the line of a wrong byte, and for a file that breaks off.
    """
    try:
        "".encode(encoding)
    except LookupError:
        raise BadInput(f"There is no encoding {shown(encoding)}.", path="--encoding") from None
    try:
        with opened:
            rest, line = opened.read(2), 1
            if rest in _UTF16 or "16" in encoding or "32" in encoding:
                yield from _wide_lines(file, rest + opened.read(), encoding)
                return
            while piece := opened.read(block_bytes):
                whole, sign, rest = (rest + piece).rpartition(b"\n")
                if sign:
                    text = _decoded(file, whole + sign, encoding, line)
                    yield text
                    line += text.count("\n")
            if rest:
                yield _decoded(file, rest, encoding, line)
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise BadInput(f"{file} is packed and breaks off: {error}.", path=str(file)) from None
    except OSError as error:
        raise _unreadable(file, error) from None


def _unreadable(file: Path, error: OSError) -> BadInput:
    return BadInput(f"{file}: {error.strerror or error}.", path=str(file))


def _wide_lines(file: Path, raw: bytes, encoding: str) -> Iterator[str]:
    if "16" not in encoding and "32" not in encoding:
        raise BadInput(f"{file}: this is UTF-16; save it as UTF-8, or say --encoding utf-16.", path=str(file))
    yield from io.StringIO(_decoded_line(file, raw, encoding, 1).removeprefix("\ufeff"), newline="")


def _decoded(file: Path, raw: bytes, encoding: str, line: int) -> str:
    try:
        text = raw.decode(encoding)
    except UnicodeDecodeError:
        for number, one in enumerate(io.BytesIO(raw), start=line):
            _decoded_line(file, one, encoding, number)
        raise BadInput(f"{file}:{line}: not {encoding} text.", path=str(file)) from None
    if "\0" in text:
        at = line + text[: text.index("\0")].count("\n")
        raise BadInput(f"{file}:{at}: there is a NUL character; this is no text.", path=str(file))
    return text.removeprefix("\ufeff") if line == 1 else text


def _decoded_line(file: Path, raw: bytes, encoding: str, line: int) -> str:
    """Raises BadInput with the line and what to do."""
    try:
        return raw.decode(encoding)
    except UnicodeDecodeError as error:
        wrong = f"0x{raw[error.start]:02x} at byte {error.start + 1} of the line"
        hint = "say which --encoding it is (gb18030 for many Chinese files)"
        raise BadInput(f"{file}:{line}: not {encoding} text ({wrong}); {hint}.", path=str(file)) from None


def read_records(
    file: Path, lines: Iterable[str], layout: Layout, last_line: Callable[[], int] | None = None
) -> Iterator[Record]:
    """The records of a text; empty ones are left out.

    `last_line` returns the number, in the file, of the line that was read last; it is needed when lines were left out
    before. Raises BadInput for a quote that is not closed. Raises it too for a quoted cell over several lines when each
    of these lines alone is a complete row: a stray quote would move cells from one row into another.
    """
    csv.field_size_limit(LONGEST_CELL)
    taken: list[str] = []
    reader = csv.reader(_kept(lines, taken), delimiter=layout.delimiter, quotechar=layout.quote, strict=True)
    width = 0
    try:
        for cells in reader:
            last = last_line() if last_line is not None else reader.line_num
            width = width or len(cells)
            line = last
            if len(taken) > 1:
                line -= len(taken) - 1
                if width > 1 and all(text.count(layout.delimiter) >= width - 1 for text in taken):
                    raise BadInput(
                        f"{file}:{line}: a quote opens here and ends in line {last}, and each of these lines is a whole"
                        " row by itself; take the stray quote out.",
                        path=str(file),
                    )
            taken.clear()
            if cells and (cells[0].strip() or any(cell.strip() for cell in cells)):
                yield Record(line, last, cells)
    except csv.Error as error:
        last = last_line() if last_line is not None else reader.line_num
        place = f"{file}:{last - max(len(taken), 1) + 1}"
        raise BadInput(f"{place}: broken CSV: {_what_to_mend(error, layout.quote)}.", path=str(file)) from None


def _what_to_mend(error: csv.Error, quote: str) -> str:
    said = str(error)
    if said.startswith("unexpected end"):
        return "a quote opens here and never ends; take it out, or put the other one"
    if "expected after" in said:
        return f"there is text after a quote that ends; take the stray quote out, or write one in a cell as {quote * 2}"
    if said.startswith("field larger"):
        return f"a cell has more than {LONGEST_CELL:,} characters; a quote that opens here may have no end"
    if said.startswith("new-line"):
        return "a carriage return alone stands in it; save the file with other ends of lines"
    return said


def _kept(lines: Iterable[str], taken: list[str]) -> Iterator[str]:
    for line in lines:
        taken.append(line)
        yield line


def check_columns(file: Path, columns: tuple[str, ...]) -> None:
    """Raises BadInput for a column name that occurs twice."""
    named = [name for name in columns if name]
    for name in named:
        if named.count(name) > 1:
            raise BadInput(f"{file}:1: the column {shown(name)} is there twice.", path=str(file))


def keys(columns: Sequence[str]) -> tuple[str, ...]:
    """A key for each column: its name, or its position for one without a name, of which a file may have several.

    A position is written with a space in front, and no name begins with a space, so the keys are different.
    """
    return tuple(name or f" {place}" for place, name in enumerate(columns, start=1))


def check_same_columns(first: Path, columns: Sequence[str], other: Path, others: Sequence[str]) -> None:
    """Raises BadInput when two files of one table have different columns."""
    if list(columns) != list(others):
        differing = [name for name in (*columns, *others) if (name in columns) != (name in others)]
        what = f"only one of them has {shown(differing[0])}" if differing else "they stand in another order"
        raise BadInput(
            f"{other} and {first} are parts of one table and their columns differ: {what}; give them one header.",
            path=str(other),
        )
