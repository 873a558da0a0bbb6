"""Reads one cell as a value: exactly as it is written, or refused with the reason and what to do.

Spreadsheets damage cells in known ways (`6.92E+18`, `="3"`, `'5`, a trailing tab). Marks that only keep a spreadsheet
from changing a cell are removed; a cell that may have lost digits is refused. No amount passes through a float, and an
id is never changed.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, date, datetime, tzinfo
from decimal import Decimal

from jitui.money import MAX_AMOUNT_MINOR, currency_exponent, is_currency
from jitui.tabular.shown import shown
from jitui.text import Sentence, sentence

EARLIEST, LATEST = datetime(1970, 1, 1, tzinfo=UTC), datetime(2200, 1, 1, tzinfo=UTC)
"""Times outside this range are mistakes in a file."""

WHOLE = r"[+-]?[0-9]{1,18}"
AMOUNT = r"[+-]?[0-9]{1,18}(\.[0-9]+)?"
MOMENT = (
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}[T ][0-9]{2}:[0-9]{2}(:[0-9]{2}(\.[0-9]{1,6})?)?"
    r"( ?(Z|[+-][0-9]{2}(:?[0-9]{2})?))?"
)
ROUNDED = r"[+-]?[0-9]+(\.[0-9]*[eE][+-]?|[eE][+-])[0-9]+|[+-]?[0-9]+\.0+"
"""The shape of an id that a spreadsheet or a program turned into a number."""
NO_IDS = frozenset(
    {
        "nan", "+nan", "-nan", "inf", "+inf", "-inf", "infinity", "#n/a", "#value!", "#ref!", "#name?", "n/a", "null",
        "none", "nil", "undefined", "-", "--", "—", "–", "/", "?",
    }
)  # fmt: skip
"""What programs and people write where there is no id. Taken as an id, it would join orders that are different."""
TRUE, FALSE = frozenset({"true", "1", "yes", "t", "y"}), frozenset({"false", "0", "no", "f", "n"})

_WHOLE, _AMOUNT, _MOMENT = re.compile(WHOLE), re.compile(AMOUNT), re.compile(MOMENT, re.ASCII | re.IGNORECASE)
ZEROS = re.compile("0+")
_DAY = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_FORMULA = re.compile(r'="([^"]*)"')
_UNSEEN = "\ufeff\u200b\u200e\u200f"
_FULL_WIDTH = re.compile("[\uff01-\uff5e]")
_POWER = re.compile(r"[+-]?[0-9]+(\.[0-9]*)?[eE][+-]?[0-9]+")
_POWER_OF_A_NUMBER = re.compile(r"[+-].*|.*\..*|.*[eE][+-].*|[0-9][eE][0-9]{2,3}")
_FLOAT = re.compile(r"[+-]?[0-9]+\.0+")
_GROUPED = re.compile(r"[0-9]{1,3}(,[0-9]{3})+(\.[0-9]+)?")
_EXACT_FLOAT = 2**53  # this one itself may have been one more


@dataclass(frozen=True, slots=True)
class Unreadable:
    """Why a cell could not be read, and what to do."""

    said: str | Sentence

    @property
    def reason(self) -> str:
        """The reason in English."""
        return str(self.said)


def bare(text: str) -> str:
    """The text without spaces and tabs around it, one `="…"`, and one leading apostrophe or grave accent."""
    text = trimmed(text)
    if (wrapped := _FORMULA.fullmatch(text)) is not None:
        return trimmed(wrapped[1])
    return trimmed(text[1:]) if text[:1] in ("'", "`") else text


def unreadable(template: str, **values: object) -> Unreadable:
    """Why a cell cannot be read, as a sentence that a page can say in another language."""
    return Unreadable(sentence(template, **values))


def trimmed(text: str) -> str:
    """The text without spaces of any width, tabs and invisible marks before and after it."""
    before = None
    while text != before:
        before, text = text, text.strip().strip(_UNSEEN)
    return text


def is_empty(cell: object) -> bool:
    """Whether nothing is left of the cell when `bare` has removed what surrounds it."""
    return cell is None or (isinstance(cell, str) and bare(cell) == "")


def read_text(cell: object) -> str | Unreadable:
    """Free text, without what surrounds it."""
    if isinstance(cell, str):
        text = bare(cell)
        return unreadable("has a NUL character; take it out") if "\0" in text else text
    return _number_as_text(cell)


def read_id(cell: object) -> str | Unreadable:
    """The text of an id; the caller checks its characters. A number that lost digits is refused."""
    text = read_text(cell)
    if isinstance(text, Unreadable):
        return text
    if text[:1] in ("'", "`", "="):
        return unreadable(
            "%(cell)s begins with a spreadsheet's mark twice, or is a formula; export the column as text",
            cell=shown(cell),
        )
    if _POWER.fullmatch(text) and _POWER_OF_A_NUMBER.fullmatch(text):
        return unreadable(
            "%(cell)s is a number that a spreadsheet rounded, so digits are lost; export the column as text",
            cell=shown(cell),
        )
    if _FLOAT.fullmatch(text):
        return unreadable(
            "%(cell)s is an id that became a number with a point; export the column as text", cell=shown(cell)
        )
    if _GROUPED.fullmatch(text):
        return unreadable(
            "%(cell)s is an id that became a number with thousands separators; export the column as text",
            cell=shown(cell),
        )
    if text.lower() in NO_IDS:
        return unreadable(
            "%(cell)s is what a program writes where there is no id; fill it in or leave it empty", cell=shown(cell)
        )
    if _FULL_WIDTH.search(text):
        return unreadable("%(cell)s has full-width letters or digits; write plain ones", cell=shown(cell))
    return text


def read_owner(cell: object) -> str | Unreadable:
    """The id of an order, a buyer, a shop or a payment. `0` is refused, because it stands for "none" in many files."""
    found = read_id(cell)
    if isinstance(found, str) and ZEROS.fullmatch(found):
        return unreadable(
            "%(cell)s is what a program writes where there is no id; fill it in or leave it empty", cell=shown(cell)
        )
    return found


def read_amount(cell: object, currency: str) -> int | Unreadable:
    """An amount in major units, as minor units.

    The cell has digits and one point, and no more decimals than the currency.
    """
    digits = currency_exponent(currency)
    if isinstance(cell, bool | float):
        return _no_float(cell)
    text = _plain(cell)
    if text is None or not _AMOUNT.fullmatch(text):
        return unreadable(
            "expected an amount in %(currency)s as digits and one point, without separators and signs of "
            "currencies, not %(cell)s",
            currency=currency,
            cell=shown(cell),
        )
    whole, _, decimals = text.partition(".")
    if len(decimals) > digits:
        if isinstance(cell, Decimal):  # the column has more decimals than the currency; the value may not
            decimals = decimals[:digits] + decimals[digits:].rstrip("0")
        if len(decimals) > digits:
            return unreadable(
                "expected an amount in %(currency)s with at most %(digits)s decimals, not %(cell)s",
                currency=currency,
                digits=digits,
                cell=shown(cell),
            )
    minor = int(whole + decimals.ljust(digits, "0"))
    if abs(minor) > MAX_AMOUNT_MINOR:
        return unreadable(
            "expected an amount of at most %(most)s minor units, not %(cell)s",
            most=MAX_AMOUNT_MINOR,
            cell=shown(cell),
        )
    return minor


def read_minor(cell: object) -> int | Unreadable:
    """An amount that is written in minor units."""
    if isinstance(cell, float):
        return _no_float(cell)
    found = read_whole(cell)
    if isinstance(found, int) and abs(found) > MAX_AMOUNT_MINOR:
        return unreadable(
            "expected an amount of at most %(most)s minor units, not %(cell)s",
            most=MAX_AMOUNT_MINOR,
            cell=shown(cell),
        )
    return found


def read_whole(cell: object) -> int | Unreadable:
    """A whole number; a float of a typed file is taken when it is exactly whole."""
    refused = unreadable("expected a whole number in digits, not %(cell)s", cell=shown(cell))
    if isinstance(cell, bool):
        return refused
    if isinstance(cell, float):
        return int(cell) if abs(cell) < _EXACT_FLOAT and cell.is_integer() else refused
    text = _plain(cell)
    if text is not None and isinstance(cell, Decimal) and "." in text:
        text = text.rstrip("0").removesuffix(".")
    return int(text) if text is not None and _WHOLE.fullmatch(text) else refused


def read_currency(cell: object) -> str | Unreadable:
    """An ISO 4217 code of a currency with minor units."""
    text = read_text(cell)
    if isinstance(text, Unreadable) or not is_currency(text):
        return unreadable("%(cell)s is not a currency of ISO 4217, such as CNY", cell=shown(cell))
    return text


def read_flag(cell: object) -> bool | Unreadable:
    """A truth value, written as one of `TRUE` or `FALSE`."""
    if isinstance(cell, bool):
        return cell
    text = (bare(cell) if isinstance(cell, str) else str(cell)).lower()
    if text not in TRUE | FALSE:
        return unreadable("expected true or false, not %(cell)s", cell=shown(cell))
    return text in TRUE


def read_moment(cell: object, zone: tzinfo | None) -> datetime | Unreadable:
    """A time with its time zone.

    A time without one is taken to be in `zone`, unless it happened twice or never there when clocks changed.
    """
    moment = cell if isinstance(cell, datetime) else _moment(cell)
    if moment is None:
        return unreadable("expected a time such as 2026-11-23T08:00:00+08:00, not %(cell)s", cell=shown(cell))
    if moment.tzinfo is not None:
        return _of_these_centuries(moment)
    if zone is None:
        return unreadable("the time has no zone; write +08:00 or Z, or say --time-zone for the file")
    local = moment.replace(tzinfo=zone)
    if local.utcoffset() != local.replace(fold=1).utcoffset():
        return unreadable(
            "%(cell)s happened twice or never in %(zone)s, when clocks changed; write its offset",
            cell=shown(cell),
            zone=zone,
        )
    return _of_these_centuries(local)


def read_day(cell: str, zone: tzinfo) -> datetime | Unreadable:
    """The first moment of a day such as 2026-11-23 in a zone."""
    refused = unreadable("expected a day such as 2026-11-23, not %(cell)s", cell=shown(cell))
    if not _DAY.fullmatch(bare(cell)):
        return refused
    try:
        first = datetime.fromisoformat(bare(cell))
    except ValueError:
        return refused
    return _of_these_centuries(first.replace(tzinfo=zone))


def _of_these_centuries(moment: datetime) -> datetime | Unreadable:
    if moment.year in (1, 9999) or not EARLIEST <= moment < LATEST:  # years 1 and 9999 cannot change zone
        return unreadable(
            "expected a time from %(first)s to %(last)s, not %(cell)s",
            first=EARLIEST.year,
            last=LATEST.year - 1,
            cell=moment.isoformat(),
        )
    return moment


def _moment(cell: object) -> datetime | None:
    if isinstance(cell, date) or not isinstance(cell, str):
        return None
    text = bare(cell)
    if not _MOMENT.fullmatch(text):
        return None
    try:
        return datetime.fromisoformat(re.sub(r" (?=[Z+-])", "", text.upper()).replace("Z", "+00:00"))
    except ValueError:
        return None


def _plain(cell: object) -> str | None:
    if isinstance(cell, str):
        return bare(cell)
    if isinstance(cell, Decimal):
        return format(cell, "f") if cell.is_finite() and abs(cell.adjusted()) < 40 else None
    return str(cell) if isinstance(cell, int) else None


def _number_as_text(cell: object) -> str | Unreadable:
    if isinstance(cell, float):
        return unreadable(
            "%(cell)s is a floating-point number and may have lost digits; export the column as text",
            cell=shown(cell),
        )
    if isinstance(cell, bool) or not isinstance(cell, int | Decimal):
        return unreadable("expected text, not %(cell)s", cell=shown(cell))
    if isinstance(cell, Decimal) and (not cell.is_finite() or cell != cell.to_integral_value()):
        return unreadable("%(cell)s is a number with decimals; export the column as text", cell=shown(cell))
    return str(int(cell))


def _no_float(cell: object) -> Unreadable:
    return unreadable(
        "%(cell)s is a floating-point number, which no amount is; write whole minor units or text", cell=shown(cell)
    )
