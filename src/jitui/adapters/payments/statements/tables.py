"""What the formats share: opening a file in its encoding, and cells that become amounts and times."""

from __future__ import annotations

import csv
import gzip
import io
import zipfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime, tzinfo
from pathlib import Path
from typing import IO
from zoneinfo import ZoneInfo

from jitui.aftersales.reconcile import AnyRow, StatementRow, UnreadableRow
from jitui.errors import BadInput
from jitui.money import MAX_AMOUNT_MINOR, from_decimal_text, is_currency

BEIJING = ZoneInfo("Asia/Shanghai")
_SHOWN = 500
_GZIP, _ZIP = b"\x1f\x8b", b"PK\x03\x04"

Cells = Mapping[str, str]


class CellFault(Exception):
    """A cell that cannot be read; raised and caught within the formats."""


@contextmanager
def opened(path: Path, encoding: str, *, member: Callable[[str], bool] = lambda _: True) -> Iterator[IO[str]]:
    """The text of a statement: plain, gzip, or the first file of a zip that `member` accepts.

    Raises BadInput for what cannot be opened or is not in this encoding.
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
        raise BadInput(
            f"{path.name} is not {encoding}: {error.reason} at byte {error.start}.", path=str(path)
        ) from None
    except csv.Error as error:
        raise BadInput(f"{path.name} is no CSV: {error}.", path=str(path)) from None
    except (EOFError, zipfile.BadZipFile) as error:
        raise BadInput(f"{path.name} is packed and breaks off: {error}.", path=str(path)) from None
    except OSError as error:
        raise BadInput(f"{path} cannot be read: {error.strerror or error}.", path=str(path)) from None


def _chosen(packed: zipfile.ZipFile, member: Callable[[str], bool]) -> zipfile.ZipInfo:
    for info in packed.infolist():
        if not info.is_dir() and member(info.filename):
            return info
    raise BadInput(f"The zip holds no statement, only {', '.join(packed.namelist()) or 'nothing'}.")


def broken_off(path: Path, missing: str) -> BadInput:
    """A statement without its end would make a difference of every payment that was cut off."""
    return BadInput(f"{path.name} breaks off: {missing}. Download it again.", path=str(path))


def not_this(path: Path, what: str, missing: str) -> BadInput:
    """A file of another kind."""
    return BadInput(f"{path.name} is not {what}: {missing}.", path=str(path))


def read_row(line: int, text: str, read: Callable[[], AnyRow]) -> AnyRow:
    """A row, or why it is none; what cannot be read is kept with its text."""
    try:
        return read()
    except CellFault as fault:
        return UnreadableRow(line, str(fault), text.replace("\x00", "")[:_SHOWN])


def cell(cells: Cells, name: str) -> str:
    """A cell that must be there. Raises CellFault."""
    text = cells.get(name, "")
    if not text:
        raise CellFault(f"{name} is missing")
    return text


def amount(text: str, currency: str) -> int:
    """Minor units of an amount in major units, its sign taken off. Raises CellFault."""
    minor = from_decimal_text(text, currency)
    if minor is None or not 0 < abs(minor) <= MAX_AMOUNT_MINOR:
        raise CellFault(f"{text!r} is no amount in {currency}")
    return abs(minor)


def currency(text: str) -> str:
    """An ISO 4217 code. Raises CellFault."""
    code = text.upper()
    if not is_currency(code):
        raise CellFault(f"{text!r} is no currency with minor units")
    return code


def moment(text: str, zone: tzinfo) -> datetime:
    """A time; without a zone of its own it is in `zone`. Raises CellFault."""
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        raise CellFault(f"{text!r} is no time") from None
    return at if at.tzinfo is not None else at.replace(tzinfo=zone)


def optional(text: str) -> str | None:
    """None for what a statement writes where there is nothing."""
    return None if text in ("", "0") else text


def checked(row: StatementRow) -> StatementRow:
    """Raises CellFault for what no row may hold."""
    if not 1970 <= row.at.year < 2200:
        raise CellFault(f"{row.at.isoformat()} is no time of a payment")
    if "\x00" in f"{row.reference}{row.provider_refund_id}{row.payment_ids}":
        raise CellFault("a NUL character cannot be stored")
    return row
