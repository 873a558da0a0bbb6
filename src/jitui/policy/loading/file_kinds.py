"""The kinds of values in a policy file, with which `file_format` describes the file."""

from __future__ import annotations

from dataclasses import dataclass

LANGUAGES = ("zh", "en")
MAX_ENTRIES = 200
"""The most entries of a list or mapping in a policy."""

SLUG = r"[a-z][a-z0-9_-]{0,62}"
IDENTIFIER = r"[a-z][a-z0-9_]{0,62}"


@dataclass(frozen=True, slots=True)
class TextKind:
    """Text that is not empty; text that looks like a number is written in quotes."""


@dataclass(frozen=True, slots=True)
class NameKind:
    """A name that matches `pattern`, is not in `taken`, and whose part after the last dot is not in `taken_endings`."""

    pattern: str
    shape: str
    taken: tuple[str, ...] = ()
    taken_endings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class MomentKind:
    """A date and time with an offset."""


@dataclass(frozen=True, slots=True)
class CurrencyKind:
    """An ISO 4217 code that has minor units."""


@dataclass(frozen=True, slots=True)
class BooleanKind:
    """`true` or `false`, without quotes."""


@dataclass(frozen=True, slots=True)
class WordsKind:
    """One of a set of words."""

    words: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class IntegerKind:
    """A whole number from `least` to `most`."""

    least: int
    most: int


@dataclass(frozen=True, slots=True)
class DurationKind:
    """A whole number of hours (`h`) or days (`d`), from one hour or day (or from none) to a number of days."""

    units: str
    most_days: int
    may_be_none: bool = False


@dataclass(frozen=True, slots=True)
class ExpressionKind:
    """A CEL expression; a condition's value is true or false, a definition's may have any type."""

    condition: bool


@dataclass(frozen=True, slots=True)
class ListKind:
    """A list."""

    item: ValueKind
    least: int = 0


@dataclass(frozen=True, slots=True)
class MapKind:
    """A mapping whose keys the author chooses: the kind of value for each pattern of names."""

    values: tuple[tuple[NameKind, ValueKind], ...]


@dataclass(frozen=True, slots=True)
class EitherKind:
    """A value of one kind or of another."""

    kinds: tuple[ValueKind, ...]


@dataclass(frozen=True, slots=True)
class PolicyField:
    """One key of a section. `default` describes what holds without it; `example` is a value in YAML."""

    name: str
    kind: ValueKind
    meaning: str
    example: str
    default: str | None = None

    @property
    def required(self) -> bool:
        """Whether a file without it is refused."""
        return self.default is None


@dataclass(frozen=True, slots=True)
class PolicySection:
    """A mapping with fixed keys; `what` names it in error messages."""

    what: str
    fields: tuple[PolicyField, ...]
    exactly_one_of: tuple[str, ...] = ()
    at_least_one_of: tuple[str, ...] = ()

    @property
    def required(self) -> tuple[str, ...]:
        """The keys that must be there."""
        return tuple(field.name for field in self.fields if field.required)

    @property
    def optional(self) -> tuple[str, ...]:
        """The keys that may be left out."""
        return tuple(field.name for field in self.fields if not field.required)


def texts(what: str, example: dict[str, str]) -> PolicySection:
    """A sentence in every language."""
    languages = {"zh": "In Chinese.", "en": "In English."}
    return PolicySection(what, tuple(PolicyField(one, TextKind(), languages[one], example[one]) for one in LANGUAGES))


ValueKind = (
    TextKind
    | NameKind
    | MomentKind
    | CurrencyKind
    | BooleanKind
    | WordsKind
    | IntegerKind
    | DurationKind
    | ExpressionKind
    | ListKind
    | MapKind
    | EitherKind
    | PolicySection
)


_DURATION_WORDS = {"h": "hours, as in 48h", "d": "whole days, as in 90d"}


def in_words(kind: ValueKind) -> str:
    """The values of a kind, for people, as in `a whole number from 0 to 100`."""
    match kind:
        case TextKind():
            return "text, in quotes where it looks like a number"
        case NameKind(shape=shape):
            return shape
        case MomentKind():
            return "a date and time with its offset, as in 2025-01-26T00:00:00+08:00"
        case CurrencyKind():
            return "an ISO 4217 code that has minor units, in capitals"
        case BooleanKind():
            return "true or false"
        case WordsKind(words):
            return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} or {words[-1]}"
        case IntegerKind(least, most):
            return f"a whole number from {least} to {most}"
        case DurationKind(units, most_days, may_be_none):
            none = f"from 0{units[0]} " if may_be_none else ""
            return f"a number of {' or '.join(_DURATION_WORDS[unit] for unit in units)}, {none}up to {most_days}d"
        case ExpressionKind(condition):
            return "a CEL expression that is true or false" if condition else "a CEL expression"
        case EitherKind(kinds):
            return ", or ".join(in_words(one) for one in kinds)
        case ListKind(_, least):
            return f"a list of {f'{least} to' if least else 'at most'} {MAX_ENTRIES} entries"
        case MapKind():
            return f"a mapping of at most {MAX_ENTRIES} names"
        case PolicySection(what):
            return f"a mapping with the keys of {what}"
