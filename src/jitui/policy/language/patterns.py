"""The patterns of `matches`: the part of regular expressions that means the same in RE2 and in Java.

CEL and DuckDB have RE2, Spark has Java's engine. Where the two differ in what a sign means, as in `$` before a last
line break, `.` and `\\s`, a pattern is written for both in signs in which they do not. What cannot be written so is
refused. A pattern is also bounded by the number of ways in which it can match: Java tries them one after another.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

MOST_CHARACTERS = 200
MOST_REPEATED = 100
MOST_WAYS = 2**24
_UNBOUNDED_WAYS = 64
_SETS = {"d": "0-9", "w": "0-9A-Za-z_", "s": "\t\n\f\r "}
_CONTROLS = {"t": "\t", "n": "\n", "r": "\r", "f": "\f"}
_META = frozenset("\\.+*?()|[]{}^$")


class PatternRefused(ValueError):
    """A pattern outside of the subset; `at` is the offset in it."""

    def __init__(self, at: int, message: str) -> None:
        super().__init__(message)
        self.at = at


@dataclass(frozen=True, slots=True)
class _Part:
    """A part of a pattern for both engines, in how many ways it can match, and whether nothing can match it."""

    written: str
    ways: int = 1
    can_be_empty: bool = False


def for_engines(pattern: str) -> str:
    """The pattern in signs that mean the same in RE2 and in Java; raises PatternRefused."""
    if len(pattern) > MOST_CHARACTERS:
        raise PatternRefused(0, f"a pattern has at most {MOST_CHARACTERS} characters")
    reader = _Reader(pattern)
    found = reader.alternatives()
    if not reader.is_at_end:
        raise PatternRefused(reader.at, "this ) closes nothing: a bracket itself is \\)")
    if found.ways > MOST_WAYS:
        raise PatternRefused(
            0,
            "this can match in too many ways: at most 4 of *, + and {n,}, the others with a bound as in {1,9}",
        )
    return found.written


class _Reader:
    def __init__(self, pattern: str) -> None:
        self.pattern = pattern
        self.at = 0

    @property
    def is_at_end(self) -> bool:
        return self.at == len(self.pattern)

    def next_is(self, text: str) -> bool:
        return self.pattern.startswith(text, self.at)

    def take(self) -> str:
        self.at += 1
        return self.pattern[self.at - 1]

    def alternatives(self) -> _Part:
        parts = [self.sequence()]
        while self.next_is("|"):
            self.take()
            parts.append(self.sequence())
        can_be_empty = any(one.can_be_empty for one in parts)
        return _Part("|".join(one.written for one in parts), sum(one.ways for one in parts), can_be_empty)

    def sequence(self) -> _Part:
        written, ways, can_be_empty = "", 1, True
        while not self.is_at_end and self.pattern[self.at] not in "|)":
            part = self.repeated()
            written, ways = written + part.written, min(ways * part.ways, MOST_WAYS + 1)
            can_be_empty = can_be_empty and part.can_be_empty
        return _Part(written, ways, can_be_empty)

    def repeated(self) -> _Part:
        begin = self.at
        anchor, group = self.pattern[begin] in "^$", self.pattern[begin] == "("
        part = self.item()
        if self.is_at_end or self.pattern[self.at] not in "*+?{":
            return part
        place = self.at
        least, most = self.bounds()
        if not self.is_at_end and self.pattern[self.at] in "*+?{":
            raise PatternRefused(self.at, "one sign says how often: whether a text matches does not depend on greed")
        if anchor:
            raise PatternRefused(place, "^ and $ stand once: there is nothing to repeat")
        return self.with_bounds(part, least, most, place if group else None)

    def with_bounds(self, part: _Part, least: int, most: int | None, group: int | None) -> _Part:
        """A part that is repeated; `group` is the place of the sign that repeats a group."""
        if group is not None and most is None and (part.ways > 1 or part.can_be_empty):
            raise PatternRefused(
                group, "a group with a choice in it is repeated with a bound, as in (a|b){1,9}: or repeat one [class]"
            )
        if (least, most) == (0, 1):
            return _Part(f"{part.written}?", part.ways + 1, True)
        ways = _UNBOUNDED_WAYS if most is None else part.ways**most * (most - least + 1)
        written = f"{part.written}{{{least},{'' if most is None else most}}}"
        return _Part(written, min(ways, MOST_WAYS + 1), part.can_be_empty or least == 0)

    def bounds(self) -> tuple[int, int | None]:
        """How often at least, and at most; None for any number."""
        begin = self.at
        sign = self.take()
        if sign != "{":
            return {"*": (0, None), "+": (1, None), "?": (0, 1)}[sign]
        end = self.pattern.find("}", self.at)
        numbers = self.pattern[self.at : end].split(",") if end >= 0 else [""]
        if len(numbers) > 2 or not all(one.isascii() and one.isdigit() for one in numbers if one) or not numbers[0]:
            raise PatternRefused(begin, "{ says how often, as in {3}, {3,} or {3,5}: a brace itself is \\{")
        self.at = end + 1
        least = int(numbers[0])
        most = (int(numbers[1]) if numbers[1] else None) if len(numbers) == 2 else least
        if max(least, most or 0) > MOST_REPEATED or (most is not None and most < least):
            raise PatternRefused(begin, f"so often is a range from 0 to {MOST_REPEATED}, the smaller number first")
        return least, most

    def item(self) -> _Part:
        at = self.at
        sign = self.take()
        match sign:
            case "(":
                return self.group(at)
            case "[":
                return _Part(self.class_(at))
            case "\\":
                return _Part(_set(*self.escape()))
            case ".":
                return _Part("[^\\x{a}]")  # everything but a line feed; Java's own . leaves out more
            case "^":
                return _Part("\\A", can_be_empty=True)
            case "$":
                return _Part("\\z", can_be_empty=True)  # Java's own $ is also before a last line break
        if sign in _META:
            raise PatternRefused(at, f"{sign} has nothing to stand for here: the sign itself is \\{sign}")
        return _Part(_character(sign))

    def group(self, at: int) -> _Part:
        if self.next_is("?:"):
            self.at += 2
        elif self.next_is("?"):
            raise PatternRefused(
                at, "of the groups only (…) and (?:…) mean the same in every engine: no flags, names and look-arounds"
            )
        inner = self.alternatives()
        if not self.next_is(")"):
            raise PatternRefused(at, "this ( is not closed: a bracket itself is \\(")
        self.take()
        return _Part(f"(?:{inner.written})", inner.ways, inner.can_be_empty)

    def escape(self) -> tuple[str, bool]:
        """The characters of an escape as the inside of a class, and whether it is all others that are meant."""
        at = self.at - 1
        if self.is_at_end:
            raise PatternRefused(at, "a \\ stands before a sign: \\\\ is itself")
        sign = self.take()
        if sign.lower() in _SETS:
            return _inside(_SETS[sign.lower()]), sign.isupper()
        if sign in _CONTROLS or (sign.isascii() and not sign.isalnum() and sign.isprintable()):
            return _character(_CONTROLS.get(sign, sign)), False
        raise PatternRefused(
            at,
            f"\\{sign} does not mean the same in every engine: write \\d, \\w, \\s, \\n, a [class], ^ or $",
        )

    def class_(self, at: int) -> str:
        negated = self.next_is("^")
        if negated:
            self.take()
        inside = "".join(self.class_parts(at))
        return f"[{'^' if negated else ''}{inside}]"

    def class_parts(self, at: int) -> Iterator[str]:
        first = self.at
        while True:
            if self.is_at_end:
                raise PatternRefused(at, "this [ is not closed: a bracket itself is \\[")
            here = self.at
            if self.next_is("]"):
                if here == first:
                    raise PatternRefused(here, "a [class] names at least one character: ] itself is \\]")
                self.take()
                return
            low, is_set = self.class_character()
            if is_set or not self.next_is("-") or self.pattern.startswith("-]", self.at):
                yield low
                continue
            self.take()
            high, is_set = self.class_character() if not self.is_at_end else ("", True)
            if is_set or _code(high) < _code(low):
                raise PatternRefused(here, "a range goes from a smaller character to a greater one, as in a-z")
            yield f"{low}-{high}"

    def class_character(self) -> tuple[str, bool]:
        """One character of a class, and whether it is several."""
        at = self.at
        sign = self.take()
        if sign == "[":
            raise PatternRefused(at, "a class holds no class: [ itself is \\[")
        if sign != "\\":
            return _character(sign), False
        inside, negated = self.escape()
        if negated:
            raise PatternRefused(at, "\\D, \\W and \\S do not stand in a [class]: write what is meant")
        return inside, "-" in inside or inside.count("\\x") > 1


def _character(sign: str) -> str:
    """A character in a sign of no other meaning, in a class or outside."""
    return sign if sign.isascii() and sign.isalnum() else f"\\x{{{ord(sign):x}}}"


def _code(written: str) -> int:
    return int(written[3:-1], 16) if written.startswith("\\x") else ord(written)


def _inside(listed: str) -> str:
    """`0-9A-Za-z_` with every sign but the ranges' - written for the engines."""
    return "".join(sign if sign == "-" else _character(sign) for sign in listed)


def _set(inside: str, negated: bool) -> str:
    single = inside.count("\\x") <= 1 and "-" not in inside
    return inside if single and not negated else f"[{'^' if negated else ''}{inside}]"
