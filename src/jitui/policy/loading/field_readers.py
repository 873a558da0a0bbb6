"""Readers for the values of a policy file: each returns the value, or notes a problem and returns None."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime
from typing import TypeVar

from jitui.policy.loading.file_kinds import (
    IDENTIFIER,
    LANGUAGES,
    MAX_ENTRIES,
    SLUG,
    DurationKind,
    IntegerKind,
    in_words,
)
from jitui.policy.loading.yaml_document import Listing, Mapped, Node, Place, Scalar
from jitui.policy.problems import PolicyProblem, did_you_mean

_UNITS = {"h": 3_600, "d": 86_400}
_DURATION = re.compile(r"(0|[1-9][0-9]{0,5})([a-z]+)")
_IDENTIFIER = re.compile(IDENTIFIER)
_INTEGER = re.compile(r"-?[0-9]{1,18}")
_DATE = re.compile(r"\d{4}-\d{2}-\d{2}[Tt ]\d{2}:\d{2}(:\d{2})?([Zz]|[+-]\d{2}:\d{2})")
_WHY_NEEDED = {
    "currency": ": without one, order.paid_minor and every other amount has no meaning",
    "public": ": whether buyers and merchants may see the condition",
    "over": ": the window, as in 90d",
}
T = TypeVar("T")


class Notes:
    """The problems found so far in one file."""

    def __init__(self, file: str) -> None:
        self.file = file
        self.problems: list[PolicyProblem] = []

    def add(self, place: Place, message: str) -> None:
        """Add a problem."""
        self.problems.append(PolicyProblem(self.file, place.line, place.column, message))


def fields(
    notes: Notes, node: Node, what: str, required: Sequence[str], optional: Sequence[str] = ()
) -> dict[str, Node]:
    """The values of a mapping, by key; unknown and missing keys are noted."""
    if not isinstance(node, Mapped):
        notes.add(node.place, f"{what} has the keys {', '.join((*required, *optional))}")
        return {}
    known = (*required, *optional)
    found: dict[str, Node] = {}
    for key, value in node.entries:
        if key.value in known:
            found[key.value] = value
        else:
            hint = did_you_mean(key.value, known) or f": it has {', '.join(known)}"
            notes.add(key.place, f"{what} has no key {key.value}{hint}")
    for name in required:
        if name not in found:
            notes.add(node.place, f"{what} needs the key {name}{_WHY_NEEDED.get(name, '')}")
    return found


def entries(notes: Notes, node: Node | None, what: str) -> Iterator[tuple[Scalar, Node]]:
    """The keys and values of a mapping whose keys the author chooses."""
    if isinstance(node, Mapped):
        if len(node.entries) > MAX_ENTRIES:
            notes.add(node.place, f"{what} has more than {MAX_ENTRIES} entries")
        yield from node.entries[:MAX_ENTRIES]
    elif node is not None:
        notes.add(node.place, f"{what} is a mapping from a name to its value")


def items(notes: Notes, node: Node | None, what: str, most: int = MAX_ENTRIES) -> tuple[Node, ...]:
    """The items of a list."""
    if isinstance(node, Listing):
        if len(node.items) > most:
            notes.add(node.place, f"{what} has more than {most} entries")
        return node.items[:most]
    if node is not None:
        notes.add(node.place, f"{what} is a list")
    return ()


def read(notes: Notes, found: dict[str, Node], key: str, reader: Callable[[Notes, Node, str], T | None]) -> T | None:
    """The value of a key, read by `reader`; None when the key is missing."""
    return reader(notes, found[key], key) if key in found else None


def scalar(notes: Notes, node: Node, what: str) -> Scalar | None:
    """A single value that is not empty."""
    if isinstance(node, Scalar) and node.value.strip() and not (node.plain and node.value in ("null", "~")):
        return node
    notes.add(node.place, f"{what} is one value, and not an empty one")
    return None


def string(notes: Notes, node: Node, what: str) -> str | None:
    """A text. A bare number is refused, because 1.10 and 1.1 are the same number and different texts."""
    leaf = scalar(notes, node, what)
    if leaf is not None and leaf.plain and re.fullmatch(r"[-+.]?[0-9][-+.0-9a-fA-FxX_]*", leaf.value):
        notes.add(leaf.place, f'{what} is text: put it in quotes, as in "{leaf.value}"')
        return None
    return leaf.value.strip() if leaf else None


def identifier(notes: Notes, node: Node, what: str) -> str | None:
    """A name of small letters, digits and underscores."""
    text = string(notes, node, what)
    if text is not None and not _IDENTIFIER.fullmatch(text):
        notes.add(node.place, f"{what} is a name of small letters, digits and _, as in paid_under_300")
        return None
    return text


def slug(notes: Notes, node: Node, what: str) -> str | None:
    """A name that may have hyphens, such as a policy's id."""
    text = string(notes, node, what)
    if text is not None and not re.fullmatch(SLUG, text):
        notes.add(node.place, f"{what} is a name of small letters, digits, - and _, as in instant-refund")
        return None
    return text


def boolean(notes: Notes, node: Node, what: str) -> bool | None:
    """`true` or `false`; YAML's other spellings (yes, on) are refused."""
    if isinstance(node, Scalar) and node.plain and node.value in ("true", "false"):
        return node.value == "true"
    notes.add(node.place, f"{what} is true or false")
    return None


def integer(least: int, most: int) -> Callable[[Notes, Node, str], int | None]:
    """A reader of whole numbers from `least` to `most`."""

    def reader(notes: Notes, node: Node, what: str) -> int | None:
        if isinstance(node, Scalar) and node.plain and _INTEGER.fullmatch(node.value):
            number = int(node.value)
            if least <= number <= most:
                return number
        notes.add(node.place, f"{what} is {in_words(IntegerKind(least, most))}")
        return None

    return reader


def choice(*words: str) -> Callable[[Notes, Node, str], str | None]:
    """A reader of one of the words."""

    def reader(notes: Notes, node: Node, what: str) -> str | None:
        if isinstance(node, Scalar) and node.value in words:
            return node.value
        hint = did_you_mean(node.value, words) if isinstance(node, Scalar) else ""
        notes.add(node.place, f"{what} is {' or '.join(words)}{hint}")
        return None

    return reader


def duration(units: str, most_days: int, *, may_be_none: bool = False) -> Callable[[Notes, Node, str], int | None]:
    """A reader of durations, which returns seconds; `units` are "h", "d" or both."""

    def reader(notes: Notes, node: Node, what: str) -> int | None:
        match = _DURATION.fullmatch(node.value) if isinstance(node, Scalar) else None
        if match and match[2] in units:
            seconds = int(match[1]) * _UNITS[match[2]]
            if seconds <= most_days * _UNITS["d"] and (seconds or may_be_none):
                return seconds
        notes.add(node.place, f"{what} is {in_words(DurationKind(units, most_days, may_be_none))}")
        return None

    return reader


def date(notes: Notes, node: Node, what: str) -> datetime | None:
    """A date and time with its offset; without one it would mean another time on another machine."""
    leaf = scalar(notes, node, what)
    if leaf is None:
        return None
    if _DATE.fullmatch(leaf.value):
        try:
            return datetime.fromisoformat(leaf.value.upper())
        except ValueError:
            pass  # a date that does not exist gets the same message as an unreadable one
    notes.add(leaf.place, f"{what} is a date and time with an offset, as in 2025-01-26T00:00:00+08:00")
    return None


def bilingual(notes: Notes, node: Node, what: str) -> dict[str, str] | None:
    """A sentence in every language; each is required, so that every reader learns the reason."""
    if not isinstance(node, Mapped):
        notes.add(node.place, f"{what} is given in each language, as in {{zh: …, en: …}}")
        return None
    before = len(notes.problems)
    found = fields(notes, node, what, LANGUAGES)
    texts = {language: read(notes, found, language, string) for language in LANGUAGES if language in found}
    return None if len(notes.problems) > before else {key: text for key, text in texts.items() if text is not None}
