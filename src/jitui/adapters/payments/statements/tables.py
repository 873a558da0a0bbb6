"""Shared by the formats: opens a file in its encoding, cuts it into rows, and reads amounts and times.

Cells are read by `jitui.tabular`, like those of any other file.
"""

from __future__ import annotations

import csv
import gzip
import io
import re
import zipfile
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime, tzinfo
from itertools import islice
from pathlib import Path
from typing import IO
from zoneinfo import ZoneInfo

from jitui.aftersales.reconciliation.statement import AnyRow, StatementRow, UnreadableRow
from jitui.errors import BadInput
from jitui.tabular import cells as reading
from jitui.tabular.cells import Unreadable
from jitui.tabular.shown import shown
from jitui.text import Sentence, sentence

BEIJING = ZoneInfo("Asia/Shanghai")
_SHOWN = 500
_LONGEST_ROW = 20
"""The most lines of one row of a bill."""
_RESAVED = re.compile(r"([0-9]{4})/([0-9]{1,2})/([0-9]{1,2}) ([0-9]{1,2}):([0-9]{2}(?::[0-9]{2})?)", re.ASCII)
_GZIP, _ZIP = b"\x1f\x8b", b"PK\x03\x04"

Cells = Mapping[str, str]


class CellFault(Exception):
    """A cell that cannot be read; raised and caught within the formats."""

    def __init__(self, said: str | Sentence) -> None:
        super().__init__(str(said))
        self.said = said


@contextmanager
def opened(path: Path, encoding: str, *, member: Callable[[str], bool] = lambda _: True) -> Iterator[IO[str]]:
    """The text of a statement: plain, gzip, or the first file of a zip that `member` accepts.

    Raises BadInput when it cannot be opened or is not in this encoding.
    """
    try:
        with path.open("rb") as raw:
            head = raw.read(4)
            raw.seek(0)
            if head.startswith(_ZIP):
                with (
                    zipfile.ZipFile(raw, metadata_encoding=encoding) as packed,
                    packed.open(_chosen(packed, member)) as one,
                ):
                    yield io.TextIOWrapper(one, encoding, newline="")
            elif head.startswith(_GZIP):
                yield io.TextIOWrapper(gzip.GzipFile(fileobj=raw), encoding, newline="")
            else:
                yield io.TextIOWrapper(raw, encoding, newline="")
    except UnicodeDecodeError as error:
        name = encoding.removesuffix("-sig").upper()
        where = {"file": path.name, "encoding": name, "why": error.reason, "byte": error.start}
        said = sentence("%(file)s is not text in %(encoding)s: %(why)s at byte %(byte)s.", **where)
        raise BadInput(said, path=str(path)) from None
    except csv.Error as error:
        raise BadInput(sentence("%(file)s is no CSV: %(why)s.", file=path.name, why=error), path=str(path)) from None
    except (EOFError, zipfile.BadZipFile) as error:
        said = sentence("%(file)s is packed and breaks off: %(why)s.", file=path.name, why=error)
        raise BadInput(said, path=str(path)) from None
    except OSError as error:
        said = sentence("%(file)s cannot be read: %(why)s.", file=path, why=error.strerror or error)
        raise BadInput(said, path=str(path)) from None


def _chosen(packed: zipfile.ZipFile, member: Callable[[str], bool]) -> zipfile.ZipInfo:
    for info in packed.infolist():
        if not info.is_dir() and member(info.filename):
            return info
    if names := ", ".join(packed.namelist()):
        raise BadInput(sentence("The zip holds no statement, only %(names)s.", names=names))
    raise BadInput(sentence("The zip holds no statement, only nothing."))


def broken_off(path: Path, missing: Sentence) -> BadInput:
    """The error for a statement without its end: every payment after the cut would be reported as a difference."""
    said = sentence("%(file)s breaks off: %(missing)s. Download it again.", file=path.name, missing=missing)
    return BadInput(said, path=str(path))


def not_this(path: Path, what: Sentence, missing: Sentence) -> BadInput:
    """The error for a file of another kind."""
    return BadInput(
        sentence("%(file)s is not %(what)s: %(missing)s.", file=path.name, what=what, missing=missing), path=str(path)
    )


def joined(
    lines: Iterable[str], cut: Callable[[str], list[str]], starts: Callable[[str], bool]
) -> Iterator[tuple[int, str, list[str]]]:
    """Line number, text and values of each row; empty rows are left out. The first row defines the number of values.

    A row with fewer values continues on the next lines, up to exactly that number, because names may have line breaks.
    A line that `starts` a row is never such a continuation. Empty values beyond the header's are dropped: spreadsheets
    pad rows to the widest.
    """
    numbered = ((number, line.rstrip("\r\n")) for number, line in enumerate(lines, start=1))
    ahead: deque[tuple[int, str]] = deque(islice(numbered, _LONGEST_ROW))
    width = 0
    while ahead:
        number, text = ahead.popleft()
        ahead.extend(islice(numbered, 1))
        values = _padded(cut(text), width)
        if not any(values):
            continue
        width = width or len(values)
        for count in range(1, len(ahead) + 1):
            if len(values) >= width or starts(ahead[count - 1][1]):
                break
            whole = "\n".join([text, *(line for _, line in islice(ahead, count))])
            if len(found := _padded(cut(whole), width)) == width:
                for _ in range(count):
                    ahead.popleft()
                ahead.extend(islice(numbered, count))
                text, values = whole, found
                break
        yield number, text, values


def _padded(values: list[str], width: int) -> list[str]:
    while len(values) > max(width, 1) and not values[-1]:
        values.pop()
    return values


def encoding_of(path: Path, encodings: Iterable[str], *, member: Callable[[str], bool] = lambda _: True) -> str:
    """The first encoding that fits the whole file; a spreadsheet may have saved it in another one.

    Raises BadInput when none fits.
    """
    refused: BadInput | None = None
    for encoding in encodings:
        try:
            with opened(path, encoding, member=member) as text:
                while text.read(1 << 20):
                    pass
            return encoding
        except BadInput as error:
            refused = refused or error
    assert refused is not None
    raise refused


def check_count(path: Path, what: Sentence, stated: str, least: int, most: int) -> None:
    """Raises BadInput when a bill states another number of rows than it has."""
    count = reading.read_whole(stated)
    if isinstance(count, Unreadable) or not least <= count <= most:
        has = str(least) if least == most else sentence("%(least)s to %(most)s", least=least, most=most)
        said = sentence(
            "%(file)s states %(stated)s %(what)s and has %(has)s: rows are missing or twice. Download it again.",
            file=path.name,
            stated=shown(stated),
            what=what,
            has=has,
        )
        raise BadInput(said, path=str(path))


def read_row(line: int, text: str, read: Callable[[], AnyRow]) -> AnyRow:
    """The row, or an UnreadableRow with its text and the reason."""
    try:
        return read()
    except CellFault as fault:
        return UnreadableRow(line, fault.said, text.replace("\x00", "")[:_SHOWN])


def cell(cells: Cells, name: str) -> str:
    """The text of a cell that may not be missing or empty. Raises CellFault."""
    text = cells.get(name, "")
    if not text:
        raise CellFault(sentence("%(name)s is missing", name=name))
    return text


def amount(text: str, currency: str) -> int:
    """An amount in major units as positive minor units. Raises CellFault."""
    minor = reading.read_amount(text, currency)
    if isinstance(minor, Unreadable):
        raise CellFault(minor.said)
    if minor == 0:
        raise CellFault(sentence("%(cell)s is no amount in %(currency)s", cell=shown(text), currency=currency))
    return abs(minor)


def currency(text: str) -> str:
    """An ISO 4217 code. Raises CellFault."""
    code = reading.read_currency(text.upper())
    if isinstance(code, Unreadable):
        raise CellFault(code.said)
    return code


def moment(text: str, zone: tzinfo) -> datetime:
    """A time; without a time zone it is in `zone`. Raises CellFault."""
    at = reading.read_moment(_resaved(text), zone)
    if isinstance(at, Unreadable):
        raise CellFault(at.said)
    return at


def _resaved(text: str) -> str:
    """`2026/3/2 9:05` as `2026-03-02 09:05`: Chinese spreadsheets write times like this, always in this order."""
    found = _RESAVED.fullmatch(text)
    if found is None:
        return text
    year, month, day, hour, rest = found.groups()
    return f"{year}-{int(month):02}-{int(day):02} {int(hour):02}:{rest}"


def identifier(text: str | None) -> str | None:
    """An id; None for what a statement writes when there is none. Raises CellFault for an id that lost digits."""
    if text is None or reading.is_empty(text) or reading.bare(text) == "0":
        return None
    found = reading.read_id(text)
    if isinstance(found, Unreadable):
        raise CellFault(found.said)
    return found


def identifiers(cells: Cells, *names: str) -> tuple[str, ...]:
    """The ids in these cells, without empty ones. Raises CellFault."""
    return tuple(found for name in names if (found := identifier(cells.get(name))) is not None)


def checked(row: StatementRow) -> StatementRow:
    """The row. Raises CellFault for a time that cannot be a payment's, and for NUL characters."""
    if not 1970 <= row.at.year < 2200:
        raise CellFault(sentence("%(cell)s is no time of a payment", cell=row.at.isoformat()))
    if "\x00" in f"{row.reference}{row.provider_refund_id}{row.payment_ids}":
        raise CellFault(sentence("a NUL character cannot be stored"))
    return row
