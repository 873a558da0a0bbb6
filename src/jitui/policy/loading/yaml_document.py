"""Reads YAML as values that know their position in the file.

Only mappings, lists and scalars are read. Anchors, aliases, tags and a second document are refused, so a small file
cannot expand into a large one, and a reader sees the values that the program sees.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING

from jitui.policy.problems import PolicyProblem

if TYPE_CHECKING:
    from ruamel.yaml.events import Event

MAX_BYTES = 256 * 1024
MAX_DEPTH = 12
MAX_EVENTS = 20_000
_ESCAPES_BY_LENGTH = {"x": 2, "u": 4, "U": 8}


@dataclass(frozen=True, slots=True)
class Place:
    """A line and column, counted from 1."""

    line: int
    column: int


@dataclass(frozen=True)
class Scalar:
    """A leaf; `value` is its text as YAML reads it, `raw` is the file's text from its first character on.

    `offset` is where that is, in characters, without a byte order mark and with line feeds alone as line ends.
    """

    place: Place
    value: str
    raw: str
    plain: bool
    offset: int = 0

    def place_of(self, offset: int) -> Place:
        """Where the character at `offset` of `value` is written.

        For white space that YAML folded: the next character.
        """
        while offset < len(self.value) and self.value[offset].isspace():
            offset += 1
        if offset >= len(self.value):
            return self._place_at(self._raw_offsets[-1] + 1 if self._raw_offsets else 0)
        visible = sum(not char.isspace() for char in self.value[:offset])
        return self._place_at(self._raw_offsets[visible]) if visible < len(self._raw_offsets) else self.place

    @cached_property
    def _raw_offsets(self) -> list[int]:
        # Folding and indentation change only white space, so the visible characters of both texts correspond one to
        # one.
        return list(_visible_offsets(self.raw))

    def _place_at(self, raw_offset: int) -> Place:
        before = self.raw[:raw_offset]
        if "\n" not in before:
            return Place(self.place.line, self.place.column + raw_offset)
        return Place(self.place.line + before.count("\n"), raw_offset - before.rindex("\n"))


@dataclass(frozen=True, slots=True)
class Listing:
    """A list."""

    place: Place
    items: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Mapped:
    """A mapping; its keys are scalars and all different."""

    place: Place
    entries: tuple[tuple[Scalar, Node], ...]


Node = Scalar | Listing | Mapped


@dataclass(frozen=True, slots=True)
class Genre:
    """The name of a kind of file, for error messages."""

    name: str
    needs: str


POLICY = Genre("a policy", "policy, version and conditions")


class _Refused(Exception):
    def __init__(self, place: Place, message: str) -> None:
        super().__init__(message)
        self.place = place
        self.message = message


def decoded(data: bytes, file: str, genre: Genre = POLICY) -> str | PolicyProblem:
    """The text of a file, or the problem that keeps it from being read."""
    if len(data) > MAX_BYTES:
        return _too_large(file, genre)
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        column = error.start - data.rfind(b"\n", 0, error.start)
        return PolicyProblem(file, line, column, "this is not UTF-8 text")


def _too_large(file: str, genre: Genre) -> PolicyProblem:
    return PolicyProblem(file, 1, 1, f"the file is over {MAX_BYTES // 1024} KiB: {genre.name} is a short text")


def parse(text: str, file: str, genre: Genre = POLICY) -> tuple[Node | None, list[PolicyProblem]]:
    """The root of the document and its YAML faults; the root is None when reading had to stop."""
    if len(text.encode("utf-8", "surrogatepass")) > MAX_BYTES:
        return None, [_too_large(file, genre)]
    from ruamel.yaml.error import MarkedYAMLError, YAMLError

    composer = _Composer(text, file, genre)
    try:
        return composer.document(), composer.problems
    except _Refused as refused:
        problem = PolicyProblem(file, refused.place.line, refused.place.column, refused.message)
    except MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        place = Place(mark.line + 1, mark.column + 1) if mark else Place(1, 1)
        problem = PolicyProblem(file, place.line, place.column, f"this is not YAML: {error.problem or error.context}")
    except YAMLError as error:
        position = getattr(error, "position", 0)
        line_start = text.rfind("\n", 0, position) + 1
        line = text.count("\n", 0, position) + 1
        problem = PolicyProblem(
            file, line, position - line_start + 1, "this is not YAML: a character it does not allow"
        )
    return None, [*composer.problems, problem]


class _Composer:
    """Builds the tree from the parser's events; it continues after duplicate keys and stops at faults of structure."""

    def __init__(self, text: str, file: str, genre: Genre) -> None:
        from ruamel.yaml import YAML

        self.text = text.removeprefix("\ufeff").replace("\r\n", "\n")
        self.file = file
        self.genre = genre
        self.problems: list[PolicyProblem] = []
        self.events: Iterator[Event] = YAML(typ="safe", pure=True).parse(self.text)
        self.seen = 0

    def document(self) -> Node | None:
        root: Node | None = None
        for event in self.events:
            if type(event).__name__ == "DocumentStartEvent":
                if root is not None:
                    raise _Refused(_place(event), f"the file of {self.genre.name} holds one document")
                root = self.node(next(self.events), 0)
        if root is None:
            raise _Refused(Place(1, 1), f"the file is empty: it needs at least {self.genre.needs}")
        return root

    def node(self, event: Event, depth: int) -> Node:
        place = _place(event)
        self.seen += 1
        if self.seen > MAX_EVENTS or depth > MAX_DEPTH:
            raise _Refused(place, f"too deep or too many entries: {self.genre.name} is a short, flat text")
        kind = type(event).__name__
        if kind == "AliasEvent" or getattr(event, "anchor", None):
            raise _Refused(place, "anchors and aliases are not read: write the value out where it is used")
        if getattr(event, "tag", None):
            raise _Refused(place, "YAML tags are not read: leave the tag out")
        if kind == "ScalarEvent":
            return self._scalar(event, place)
        if kind == "SequenceStartEvent":
            return Listing(place, tuple(self.node(item, depth + 1) for item in self._until("SequenceEndEvent")))
        return Mapped(place, tuple(self._entries(depth)))

    def _scalar(self, event: Event, place: Place) -> Scalar:
        start = event.start_mark.index
        raw = self.text[start : event.end_mark.index]
        return Scalar(place, getattr(event, "value", ""), raw, raw[:1] not in ("'", '"', "|", ">"), start)

    def _until(self, end: str) -> Iterator[Event]:
        while type(event := next(self.events)).__name__ != end:
            yield event

    def _entries(self, depth: int) -> Iterator[tuple[Scalar, Node]]:
        seen: dict[str, Place] = {}
        for event in self._until("MappingEndEvent"):
            key = self.node(event, depth + 1)
            value = self.node(next(self.events), depth + 1)
            if not isinstance(key, Scalar):
                raise _Refused(key.place, "a key is one word, not a list or a mapping")
            if key.value in seen:
                message = f"{key.value} is already given in line {seen[key.value].line}"
                self.problems.append(PolicyProblem(self.file, key.place.line, key.place.column, message))
                continue
            seen[key.value] = key.place
            if isinstance(value, Scalar) and not value.raw:  # YAML places a missing value at the next token
                value = replace(value, place=Place(key.place.line, key.place.column + len(key.raw) + 1))
            yield key, value


def _place(event: Event) -> Place:
    return Place(event.start_mark.line + 1, event.start_mark.column + 1)


def _visible_offsets(raw: str) -> Iterator[int]:
    """The offsets in `raw` of the value's characters that are not white space, in order."""
    style = raw[:1]
    if style in ("|", ">"):
        start = raw.find("\n") + 1
        yield from (i for i in range(start, len(raw)) if not raw[i].isspace())
    elif style == "'":
        yield from _single_quoted(raw)
    elif style == '"':
        yield from _double_quoted(raw)
    else:
        yield from (i for i, char in enumerate(raw) if not char.isspace())


def _single_quoted(raw: str) -> Iterator[int]:
    i = 1
    while i < len(raw) - 1:
        if not raw[i].isspace():
            yield i
        i += 2 if raw[i] == "'" else 1


def _double_quoted(raw: str) -> Iterator[int]:
    i = 1
    while i < len(raw) - 1:
        if raw[i] != "\\":
            if not raw[i].isspace():
                yield i
            i += 1
            continue
        code = raw[i + 1]
        length = _ESCAPES_BY_LENGTH.get(code, 0)
        visible = code not in "abtnvfre0 \t\nN_LP" and not (
            length and chr(int(raw[i + 2 : i + 2 + length], 16)).isspace()
        )
        if visible or code in "abe0":  # str.isspace is false for control characters
            yield i
        i += 2 + length
