"""One row's cells as typed values; every fault is kept with the field it is about."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import Decimal
from enum import StrEnum
from typing import TypeVar
from zoneinfo import ZoneInfo

from jitui.entrypoints.cli.tables import Row
from jitui.entrypoints.http.fields import CODE_PATTERN, EARLIEST, KIND_PATTERN, LATEST, SENTENCES
from jitui.money import MAX_AMOUNT_MINOR, currency_exponent, from_decimal_text, is_currency
from jitui.text import ID_PATTERN, why_no_id

MOST_UNITS = 1_000_000_000
LONGEST_TEXT = 500

_Word = TypeVar("_Word", bound=StrEnum)
_TRUE, _FALSE = frozenset({"true", "1", "yes", "t", "y"}), frozenset({"false", "0", "no", "f", "n"})
_WHOLE = re.compile(r"[+-]?[0-9]{1,18}")


@dataclass(frozen=True, slots=True)
class Fault:
    """What is wrong with a row, and in which field (ours); no field: the row as a whole."""

    row: Row
    field: str
    reason: str


@dataclass(slots=True)
class Cells:
    """Reads fields by our names; after a fault a value of the right type goes on, so that all faults are found."""

    row: Row
    theirs: dict[str, str]
    """The file's column for each of our fields."""
    zone: ZoneInfo | None
    faults: list[Fault] = field(default_factory=list)

    def fault(self, name: str, reason: str) -> None:
        """Keep one more fault."""
        self.faults.append(Fault(self.row, name, reason))

    def has(self, name: str) -> bool:
        """Whether the field is there and not empty."""
        return self._cell(name) not in (None, "")

    def id(self, name: str) -> str:
        """A required id."""
        return self._matching(name, ID_PATTERN)

    def code(self, name: str, default: str | None = None) -> str:
        """An id that may hold slashes: an SKU, a waybill, a payment."""
        return default if default is not None and not self.has(name) else self._matching(name, CODE_PATTERN)

    def kind(self, name: str) -> str:
        """A lower-case word."""
        return self._matching(name, KIND_PATTERN)

    def optional_id(self, name: str) -> str | None:
        """An id, or None where the cell is empty."""
        return self._matching(name, ID_PATTERN) if self.has(name) else None

    def text(self, name: str) -> str:
        """Free text, empty where there is none."""
        value = "" if not self.has(name) else str(self._cell(name))
        if len(value) > LONGEST_TEXT or "\0" in value:
            self.fault(name, f"expected at most {LONGEST_TEXT} characters, without NUL")
            return ""
        return value

    def whole(self, name: str, *, least: int, most: int, default: int | None = None) -> int:
        """A whole number within bounds."""
        if not self.has(name):
            return self._missing(name, default, least)
        value = self._cell(name)
        if isinstance(value, float | Decimal) and value == int(value):
            value = int(value)
        text = str(value)
        if isinstance(value, bool) or not _WHOLE.fullmatch(text) or not least <= int(text) <= most:
            self.fault(name, f"expected a whole number from {least} to {most}, not {text!r}")
            return least
        return int(text)

    def currency(self, default: str | None) -> str:
        """An ISO 4217 code that has minor units."""
        value = str(self._cell("currency")) if self.has("currency") else default
        if value is None:
            self.fault("currency", "is missing; add the column, or say --currency")
            return "CNY"
        if not is_currency(value):
            self.fault("currency", f"{value!r} is not a currency of ISO 4217 with minor units")
            return "CNY"
        return value

    def amount(self, name: str, currency: str, *, least: int = 0, default: int | None = None) -> int:
        """Minor units: from `<name>_minor` as they are, or from `<name>` in major units, exactly."""
        if self.has(f"{name}_minor"):
            return self.whole(f"{name}_minor", least=least, most=MAX_AMOUNT_MINOR)
        if not self.has(name):
            return self._missing(f"{name}_minor", default, least)
        minor = from_decimal_text(str(self._cell(name)), currency)
        if minor is None or not least <= minor <= MAX_AMOUNT_MINOR:
            digits = currency_exponent(currency)
            self.fault(
                name, f"expected an amount in {currency} with at most {digits} decimals, from {least} minor units"
            )
            return least
        return minor

    def time(self, name: str) -> datetime:
        """A required time with its zone (or in the zone that was given for the file)."""
        found = self.optional_time(name)
        if found is None and not self.has(name):
            self.fault(name, "is missing")
        return found or EARLIEST

    def optional_time(self, name: str) -> datetime | None:
        """RFC 3339, or None where the cell is empty."""
        if not self.has(name):
            return None
        moment = _moment(self._cell(name))
        if moment is None:
            self.fault(name, f"expected a time such as 2026-11-23T08:00:00+08:00, not {self._cell(name)!r}")
            return None
        if moment.tzinfo is None:
            if self.zone is None:
                self.fault(name, "the time has no zone; write +08:00 or Z, or say --time-zone for the file")
                return None
            moment = moment.replace(tzinfo=self.zone)
        if not EARLIEST <= moment < LATEST:
            self.fault(name, f"expected a time from {EARLIEST.year} to {LATEST.year - 1}")
            return None
        return moment

    def word(self, name: str, words: type[_Word], default: _Word | None = None) -> _Word:
        """One of an enum's words."""
        if default is not None and not self.has(name):
            return default
        return words(self.one_of(name, tuple(words)))

    def one_of(self, name: str, words: Sequence[str]) -> str:
        """One of some words."""
        text = str(self._cell(name)) if self.has(name) else ""
        if text in words:
            return text
        self.fault(name, f"expected one of {', '.join(words)}, not {text!r}")
        return words[0]

    def flag(self, name: str) -> bool | None:
        """True, false, or None where the cell is empty: unknown stays unknown (I5)."""
        if not self.has(name):
            return None
        text = str(self._cell(name)).lower()
        if text not in _TRUE | _FALSE:
            self.fault(name, f"expected true or false, not {text!r}")
        return text in _TRUE

    def attribute(self, name: str) -> int | str | bool:
        """A platform's own attribute: a number or a truth where it reads as one, else text."""
        value = self._cell(name)
        if isinstance(value, bool):
            return value
        if isinstance(value, int) and abs(value) > 2**53:
            self.fault(name, "expected a whole number of at most 2^53")
            return 0
        if isinstance(value, int):
            return value
        text = self.text(name)
        if text.lower() in ("true", "false"):
            return text.lower() == "true"
        return int(text) if _WHOLE.fullmatch(text) and abs(int(text)) <= 2**53 else text

    def _cell(self, name: str) -> object:
        column = self.theirs.get(name)
        return None if column is None else self.row.cells.get(column)

    def _missing(self, name: str, default: int | None, fallback: int) -> int:
        if default is None:
            self.fault(name, "is missing")
        return fallback if default is None else default

    def _matching(self, name: str, pattern: str) -> str:
        if not self.has(name):
            self.fault(name, "is missing")
            return "missing"
        text = str(self._cell(name))
        if re.search(pattern, text) is None:
            self.fault(name, _expected(pattern, text))
            return "wrong"
        return text


def _expected(pattern: str, text: str) -> str:
    sentence = SENTENCES[pattern].lower().replace("iso", "ISO")
    why = why_no_id(text, slashes=pattern == CODE_PATTERN) if pattern in (ID_PATTERN, CODE_PATTERN) else None
    return sentence if why is None else f"{sentence}; {why}"


def _moment(cell: object) -> datetime | None:
    if isinstance(cell, datetime):
        return cell
    if isinstance(cell, date):
        return None
    text = str(cell)
    if len(text) < len("2026-11-23T08:00"):
        return None
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        return None
