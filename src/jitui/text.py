"""Text from outside: how it is shown, and which characters an id may have.

Text of a buyer, a shop, a file or a provider must not move a terminal's cursor, reverse a line or hide characters.
Every terminal, log and page shows such text through this module.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass

FIRST_STRONG_ISOLATE, POP_ISOLATE = "\u2068", "\u2069"

_NAMED = {"\t": "\\t", "\n": "\\n", "\r": "\\r"}
_JOINERS = "\u200c\u200d"
"""Zero-width joiners, which Persian and Indic words and many emoji need."""

_HIDDEN_CATEGORIES = ("Cc", "Cf", "Cs", "Zl", "Zp")

_RIGHT_TO_LEFT = "\u0590-\u08ff\ufb1d-\ufdff\ufe70-\ufefc\U00010800-\U00010fff\U0001e800-\U0001efff"
_TURNING = re.compile(f"[{_RIGHT_TO_LEFT}]+(?:[ '-]?[{_RIGHT_TO_LEFT}]+)*")

# Invisible characters, which an id may not have: controls, spaces of every width, marks that join, hide or reverse
# text, letters without a shape (Hangul fillers, the Braille blank), and noncharacters. This is the inside of a regular
# expression class. The published schemas contain it too, so characters above U+FFFF are written as themselves.
UNSEEN = (
    r"\x00-\x20\x7f-\xa0\u00ad\u034f\u0600-\u0605\u061c\u06dd\u070f\u0890\u0891\u08e2\u115f\u1160\u1680\u17b4\u17b5"
    r"\u180b-\u180f\u2000-\u200f\u2028-\u202f\u205f-\u206f\u2800\u3000\u3164\ufdd0-\ufdef\ufe00-\ufe0f"
    r"\ufeff\uffa0\ufff0-\uffff"
    + "".join(f"{chr(first)}-{chr(last)}" for first, last in ((0x1BCA0, 0x1BCA3), (0x1D173, 0x1D17A)))
    + f"{chr(0x13430)}-{chr(0x1343F)}{chr(0xE0000)}-{chr(0xE0FFF)}"
)
END = r"$(?!\n)"
"""The end of a text: Python's `$` also matches before a final line feed. The published schema uses a plain `$`."""

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
"""With surrogates, which can come only from the command line."""


@dataclass(frozen=True, slots=True)
class Sentence:
    """An English sentence, and the values in it, so that a page can say it in its own language."""

    template: str
    values: Mapping[str, str | Sentence]

    def __str__(self) -> str:
        return self.template % {name: str(value) for name, value in self.values.items()}


def sentence(template: str, **values: object) -> Sentence:
    """A sentence of the core, written as `%(name)s` where a value stands. The catalogues find it by this call."""
    told = {name: value if isinstance(value, Sentence) else str(value) for name, value in values.items()}
    return Sentence(template, told)


def spelled_alike(one: str, other: str) -> bool:
    """Whether two ids are equal apart from letter case and full-width or half-width letters."""
    return one == other or folded(one) == folded(other)


def folded(text: str) -> str:
    """The form in which ids are compared by `spelled_alike`."""
    return unicodedata.normalize("NFKC", text).lower()


def visible(text: str) -> str:
    """The text on one line, with escapes for invisible characters and for those that would steer a terminal.

    Words that run from right to left are isolated, so that the text beside them keeps its place.
    """
    if text.isascii() and text.isprintable():
        return text
    return _TURNING.sub(rf"{FIRST_STRONG_ISOLATE}\g<0>{POP_ISOLATE}", "".join(map(_shown, text)))


def visible_lines(text: str) -> str:
    """As `visible`, but line breaks are kept."""
    return text if text.isascii() and text.isprintable() else "\n".join(map(visible, text.split("\n")))


def escaped_in_json(document: str) -> str:
    """An equal JSON document in which invisible and terminal-steering characters are JSON escapes."""
    return document if document.isascii() and "\x7f" not in document else "".join(map(_json_escape, document))


def for_spreadsheet(text: str) -> str:
    """The text as a CSV cell that a spreadsheet shows unchanged.

    Spreadsheets keep 15 digits of a number, drop leading zeros and run formulas. A leading apostrophe makes such a cell
    plain text. The first sign of a formula may also be full-width.
    """
    formula = text[:1] in _FORMULA or text.lstrip()[:1] in _FORMULA
    return f"'{text}" if formula or _NUMBER_THAT_CHANGES.fullmatch(text.strip()) else text


_FORMULA = tuple("=+-@\t\r\n|＝＋－＠")
_NUMBER_THAT_CHANGES = re.compile(r"\d{16,}|0\d+|[\d.,]*\d{16,}[\d.,]*|\d+(?:\.\d*)?[eE][+-]?\d+", re.ASCII)


def why_no_id(text: str, *, slashes: bool = False) -> str | None:
    """Why a text is not an id, as the end of a sentence ("it is empty"); None when it is one.

    `slashes` allows them, for SKUs, waybills and payments.
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
