"""Text that others wrote: how it is shown, and what an id may be made of.

Nothing that a buyer, a shop, a file or a provider sends may move a cursor, turn a line around or be invisible where
a person reads it. Every terminal, log and page asks here.
"""

from __future__ import annotations

import re
import unicodedata

FIRST_STRONG_ISOLATE, POP_ISOLATE = "\u2068", "\u2069"

_NAMED = {"\t": "\\t", "\n": "\\n", "\r": "\\r"}
_JOINERS = "\u200c\u200d"
"""Persian and Indic words and many emoji need them."""

_HIDDEN_CATEGORIES = ("Cc", "Cf", "Cs", "Zl", "Zp")

_RIGHT_TO_LEFT = "\u0590-\u08ff\ufb1d-\ufdff\ufe70-\ufefc\U00010800-\U00010fff\U0001e800-\U0001efff"
_TURNING = re.compile(f"[{_RIGHT_TO_LEFT}]+(?:[ '-]?[{_RIGHT_TO_LEFT}]+)*")

# What cannot be seen in an id: controls, spaces of every width, marks that join, hide or turn text, letters without a
# shape (Hangul fillers, the blank of Braille), and what is no character. A class of a regular expression, for the
# published schemas too: the planes above the first are written as themselves.
UNSEEN = (
    r"\x00-\x20\x7f-\xa0\u00ad\u034f\u0600-\u0605\u061c\u06dd\u070f\u0890\u0891\u08e2\u115f\u1160\u1680\u17b4\u17b5"
    r"\u180b-\u180f\u2000-\u200f\u2028-\u202f\u205f-\u206f\u2800\u3000\u3164\ufdd0-\ufdef\ufe00-\ufe0f"
    r"\ufeff\uffa0\ufff0-\uffff"
    + "".join(f"{chr(first)}-{chr(last)}" for first, last in ((0x1BCA0, 0x1BCA3), (0x1D173, 0x1D17A)))
    + f"{chr(0x13430)}-{chr(0x1343F)}{chr(0xE0000)}-{chr(0xE0FFF)}"
)
END = r"$(?!\n)"
"""Python's `$` also matches before a last line feed; the published schema leaves this out."""

LONGEST_ID = 128
ID_PATTERN = rf"^[^/{UNSEEN}]{{1,{LONGEST_ID}}}" + END
CODE_PATTERN = rf"^[^{UNSEEN}]{{1,{LONGEST_ID}}}" + END
NAME_PATTERN = rf"^(?=.{{1,{LONGEST_ID}}}$)[^{UNSEEN}]+(?: [^{UNSEEN}]+)*" + END
KIND_PATTERN = r"^[a-z][a-z0-9_]{0,63}" + END

SENTENCES = {
    ID_PATTERN: "Expected 1 to 128 visible characters, without spaces or slashes",
    CODE_PATTERN: "Expected 1 to 128 visible characters, without spaces",
    NAME_PATTERN: "Expected 1 to 128 visible characters, with single spaces between words",
    KIND_PATTERN: "Expected 1 to 64 lower-case letters, digits and underscores, a letter first",
}

_UNSEEN_IN_ID = re.compile(f"[/{UNSEEN}\\ud800-\\udfff]")
_UNSEEN_AT_ALL = re.compile(f"[{UNSEEN}\\ud800-\\udfff]")
"""With the halves of surrogate pairs, which only the command line can bring."""


def spelled_alike(one: str, other: str) -> bool:
    """Whether two ids differ in letter case or in the width of their letters at most."""
    return one == other or folded(one) == folded(other)


def folded(text: str) -> str:
    """What is the same of ids that are spelled alike."""
    return unicodedata.normalize("NFKC", text).lower()


def visible(text: str) -> str:
    """The text on one line, as it can be read: what would steer a terminal or hide is shown as an escape.

    Words that run from right to left are isolated, so that what stands beside them keeps its place.
    """
    if text.isascii() and text.isprintable():
        return text
    return _TURNING.sub(rf"{FIRST_STRONG_ISOLATE}\g<0>{POP_ISOLATE}", "".join(map(_shown, text)))


def visible_lines(text: str) -> str:
    """As `visible`, for text whose line breaks are kept: each line by itself."""
    return text if text.isascii() and text.isprintable() else "\n".join(map(visible, text.split("\n")))


def escaped_in_json(document: str) -> str:
    """A JSON document that means the same, with JSON's own escapes for what would steer a terminal or hide."""
    return document if document.isascii() and "\x7f" not in document else "".join(map(_json_escape, document))


def for_spreadsheet(text: str) -> str:
    """A cell of a CSV file that a spreadsheet shows as it is: never a formula, and no number that it would round.

    Spreadsheets keep 15 digits and drop leading zeros; an apostrophe in front makes the cell a text. So does it for
    what would be read as a formula, in Latin or full-width signs.
    """
    formula = text[:1] in _FORMULA or text.lstrip()[:1] in _FORMULA
    return f"'{text}" if formula or _NUMBER_THAT_CHANGES.fullmatch(text.strip()) else text


_FORMULA = tuple("=+-@\t\r\n|＝＋－＠")
_NUMBER_THAT_CHANGES = re.compile(r"\d{16,}|0\d+|[\d.,]*\d{16,}[\d.,]*|\d+(?:\.\d*)?[eE][+-]?\d+", re.ASCII)


def why_no_id(text: str, *, slashes: bool = False) -> str | None:
    """What keeps a text from being an id, as the end of a sentence about it; None for one that is.

    With `slashes` it may hold those too: an SKU, a waybill, a payment.
    """
    found = (_UNSEEN_AT_ALL if slashes else _UNSEEN_IN_ID).search(text)
    if found is None and 0 < len(text) <= LONGEST_ID:
        return None
    if found is not None:
        return f"it has {_name(found[0])} at character {found.start() + 1}"
    return "it is empty" if not text else f"it has {len(text)} characters, {LONGEST_ID} at most are taken"


def _shown(sign: str) -> str:
    if sign in _NAMED:
        return _NAMED[sign]
    if unicodedata.category(sign) not in _HIDDEN_CATEGORIES or sign in _JOINERS:
        return sign
    code = ord(sign)
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def _json_escape(sign: str) -> str:
    hidden = unicodedata.category(sign) in _HIDDEN_CATEGORIES and sign not in _JOINERS and sign != "\n"
    if not hidden:
        return sign
    units = sign.encode("utf-16-be", "surrogatepass")
    return "".join(f"\\u{units[at]:02x}{units[at + 1]:02x}" for at in range(0, len(units), 2))


def _name(sign: str) -> str:
    name = "SOLIDUS" if sign == "/" else unicodedata.name(sign, "a control character" if sign < " " else "")
    return f"U+{ord(sign):04X}" + (f" ({name.lower()})" if name else "")
