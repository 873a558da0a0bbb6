"""Reads the cells of one row as typed values, and collects the faults."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import TypeVar
from zoneinfo import ZoneInfo

from jitui.money import MAX_AMOUNT_MINOR
from jitui.policy import FactType
from jitui.tabular import cells
from jitui.tabular.cells import EARLIEST, Unreadable
from jitui.tabular.foreign_cells import given, plain_amount, stated_moment, unmasked
from jitui.tabular.mapping import CellRules, FieldSource
from jitui.tabular.shown import shown
from jitui.tabular.table import Row
from jitui.text import CODE_PATTERN, ID_PATTERN, KIND_PATTERN, NAME_PATTERN, SENTENCES, why_no_id

MOST_UNITS = 1_000_000_000
LONGEST_TEXT = 500
_OWNERS = ("order_id", "buyer_id", "shop_id", "payment_id")
NO_ID = " "
"""Takes the place of an id that cannot be read; no id is a space."""

_Word = TypeVar("_Word", bound=StrEnum)
_Value = TypeVar("_Value")


@dataclass(frozen=True, slots=True)
class RowFault:
    """What is wrong with a row: our field, the file's column, the value as it is in the file, and what to do."""

    row: Row
    field: str
    reason: str
    column: str = ""
    value: str | None = None


@dataclass(slots=True)
class Cells:
    """Reads the fields of one row by our names.

    After a fault a fallback value of the right type is returned, so that all faults of a row are found at once.
    """

    row: Row
    theirs: dict[str, str]
    """The file's column for each of our fields."""
    zone: ZoneInfo | None
    faults: list[RowFault] = field(default_factory=list)
    sources: Mapping[str, FieldSource] = field(default_factory=dict)
    """What the map says about our fields: constants, words, prefixes."""
    rules: CellRules = field(default_factory=CellRules)

    def fault(self, name: str, reason: str) -> None:
        """Add a fault of this row."""
        column, value = self.theirs.get(name, ""), self._raw(name)
        self.faults.append(RowFault(self.row, name, reason, column, None if value is None else shown(value)))

    def has(self, name: str) -> bool:
        """Whether the field has a value."""
        return not cells.is_empty(unmasked(self._cell(name), self.rules))

    def written(self, name: str) -> str:
        """The cell as it is in the file, without the spaces around it."""
        return cells.trimmed(str(self._cell(name)))

    def id(self, name: str) -> str:
        """A required id; `NO_ID` when it cannot be read."""
        return self._matching(name, ID_PATTERN)

    def code(self, name: str, default: str | None = None) -> str:
        """An id that may have slashes: an SKU, a waybill, a payment."""
        return default if default is not None and not self.has(name) else self._matching(name, CODE_PATTERN)

    def name(self, name: str) -> str:
        """Words with single spaces between them, such as a carrier's name; empty when the cell is empty."""
        return self._matching(name, NAME_PATTERN) if self.has(name) else ""

    def kind(self, name: str) -> str:
        """A lower-case word."""
        return self._matching(name, KIND_PATTERN)

    def optional_id(self, name: str) -> str | None:
        """An id; None when the cell is empty."""
        return self._matching(name, ID_PATTERN) if self.has(name) else None

    def text(self, name: str) -> str:
        """Free text; empty when there is none."""
        value = self._read(name, cells.read_text(self._cell(name)), "") if self.has(name) else ""
        if len(value) > LONGEST_TEXT:
            self.fault(name, f"expected at most {LONGEST_TEXT} characters")
            return ""
        return value

    def whole(self, name: str, *, least: int, most: int, default: int | None = None) -> int:
        """A whole number from `least` to `most`."""
        if not self.has(name):
            return self._missing(name, default, least)
        return self._within(name, cells.read_whole(self._cell(name)), least, most)

    def minor(self, name: str, *, least: int = 0, default: int | None = None) -> int:
        """An amount in minor units."""
        if not self.has(name):
            return self._missing(name, default, least)
        return self._within(name, cells.read_minor(self._cell(name)), least, MAX_AMOUNT_MINOR)

    def currency(self, default: str | None) -> str:
        """An ISO 4217 code."""
        value = self._cell("currency") if self.has("currency") else default
        if value is None:
            self.fault("currency", "is missing; add the column, or say --currency")
            return "CNY"
        return self._read("currency", cells.read_currency(value), "CNY")

    def amount(self, name: str, currency: str, *, least: int = 0, default: int | None = None) -> int:
        """An amount in minor units, read from `<name>_minor`, or from `<name>` in major units.

        Both columns together are a fault.
        """
        if self.has(f"{name}_minor"):
            minor = self.minor(f"{name}_minor", least=least)
            if self.has(name) and cells.read_amount(plain_amount(self._cell(name), self.rules), currency) != minor:
                self.fault(name, f"differs from {name}_minor; keep one of the two columns")
            return minor
        if not self.has(name):
            return self._missing(f"{name}_minor", default, least)
        found = cells.read_amount(plain_amount(self._cell(name), self.rules), currency)
        if isinstance(found, int) and found < least:
            found = Unreadable(f"expected an amount of at least {least} minor units")
        return self._read(name, found, least)

    def time(self, name: str) -> datetime:
        """A required time; without a time zone it is in the zone that was given for the file."""
        found = self.optional_time(name)
        if found is None and not self.has(name):
            self.fault(name, "is missing")
        return found or EARLIEST

    def optional_time(self, name: str) -> datetime | None:
        """A time (RFC 3339); None when the cell is empty."""
        if not self.has(name):
            return None
        return self._read(name, cells.read_moment(stated_moment(self._cell(name), self.rules), self.zone), EARLIEST)

    def word(self, name: str, words: type[_Word], default: _Word | None = None) -> _Word:
        """A member of an enum, by its value."""
        if default is not None and not self.has(name):
            return default
        return words(self.one_of(name, tuple(words)))

    def one_of(self, name: str, words: Sequence[str]) -> str:
        """One of the words."""
        cell = self._cell(name)
        text = cells.bare(cell) if isinstance(cell, str) else ""
        if text in words:
            return text
        self.fault(name, f"expected one of {', '.join(words)}" + (f", not {shown(cell)}" if self.has(name) else ""))
        return words[0]

    def flag(self, name: str) -> bool | None:
        """True, false, or None when the cell is empty: unknown stays unknown (I5)."""
        return self._read(name, cells.read_flag(self._cell(name)), False) if self.has(name) else None

    def attribute(self, name: str, kind: FactType | None) -> int | str | bool:
        """A buyer's attribute, of the type that the policy declares; without a declaration, of the type in the file."""
        value = self._cell(name)
        if kind is FactType.INT:
            return self.whole(name, least=-(2**53), most=2**53)
        if kind is FactType.BOOL:
            return bool(self.flag(name))
        if kind is None and isinstance(value, int) and abs(value) > 2**53:
            self.fault(name, "expected a whole number of at most 2^53")
            return 0
        if kind is None and isinstance(value, bool | int):
            return value
        return self.text(name)

    def _raw(self, name: str) -> object:
        column = self.theirs.get(name)
        return None if column is None else self.row.cells.get(column)

    def _cell(self, name: str) -> object:
        """The cell after the map's rules."""
        cell, source = self._raw(name), self.sources.get(name)
        if source is None:
            return cell
        found = given(cell, source, self.rules, name)
        if isinstance(found, Unreadable):
            self.fault(name, found.reason)
            return None
        return found

    def _read(self, name: str, found: _Value | Unreadable, fallback: _Value) -> _Value:
        if isinstance(found, Unreadable):
            self.fault(name, found.reason)
            return fallback
        return found

    def _within(self, name: str, found: int | Unreadable, least: int, most: int) -> int:
        if isinstance(found, int) and not least <= found <= most:
            found = Unreadable(f"expected a whole number from {least} to {most}, not {str(found)!r}")
        return self._read(name, found, least)

    def _missing(self, name: str, default: int | None, fallback: int) -> int:
        if default is None:
            self.fault(name, "is missing")
        return fallback if default is None else default

    def _matching(self, name: str, pattern: str) -> str:
        if not self.has(name):
            self.fault(name, "is missing")
            return NO_ID
        read = cells.read_owner if name in _OWNERS else cells.read_id
        text = self._read(name, read(self._cell(name)), NO_ID)
        if text != NO_ID and re.search(pattern, text) is None:
            self.fault(name, _expected(pattern, text))
            return NO_ID
        return text


def _expected(pattern: str, text: str) -> str:
    sentence = SENTENCES[pattern].lower()
    why = why_no_id(text, slashes=pattern == CODE_PATTERN) if pattern in (ID_PATTERN, CODE_PATTERN) else None
    return sentence if why is None else f"{sentence}; {why}"
