"""The supported part of CEL as a small typed tree, for checks at load and for back-tests over columns.

The tree is built from CEL's checked expression, so names are resolved, types are known and macros are recognised. A
construct that could evaluate differently in CEL and over columns has no node here; it is a fault with its position.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum

from jitui.policy.facts import FactSpec, FactType, ScalarValue


class Operator(StrEnum):
    """The operator of a Call, by CEL's own name."""

    AND = "&&"
    OR = "||"
    NOT = "!"
    CONDITIONAL = "?:"
    EQUAL = "=="
    NOT_EQUAL = "!="
    LESS = "<"
    LESS_OR_EQUAL = "<="
    GREATER = ">"
    GREATER_OR_EQUAL = ">="
    ADD = "+"
    SUBTRACT = "-"
    MULTIPLY = "*"
    DIVIDE = "/"
    REMAINDER = "%"
    NEGATE = "negate"
    SIZE = "size"
    STARTS_WITH = "startsWith"
    ENDS_WITH = "endsWith"
    CONTAINS = "contains"
    GREATEST = "math.greatest"
    LEAST = "math.least"
    LOWER_ASCII = "lowerAscii"


@dataclass(frozen=True, slots=True)
class Literal:
    """A constant; `at`, here and below, is the offset of its first character in the expression.

    `parameter` is the name under which it is written, when it is the value of a parameter.
    """

    value: ScalarValue
    type: FactType
    at: int
    parameter: str | None = None


@dataclass(frozen=True, slots=True)
class Fact:
    """A fact: of the table, or a declared feature or attribute. `order.lines` occurs only under SIZE."""

    name: str
    type: FactType
    at: int


@dataclass(frozen=True, slots=True)
class DefinitionRef:
    """The value of a named definition; unknown when the definition is."""

    name: str
    type: FactType
    at: int


@dataclass(frozen=True, slots=True)
class LineField:
    """A field of the line that the surrounding Quantifier or Fold visits."""

    name: str
    type: FactType
    at: int


@dataclass(frozen=True, slots=True)
class Known:
    """Whether a fact has a value, or a field of the line that is visited; never unknown itself."""

    of: Fact | LineField
    at: int
    type: FactType = FactType.BOOL


@dataclass(frozen=True, slots=True)
class Call:
    """An operator and its operands; division and remainder truncate towards zero, and an overflow is unknown."""

    operator: Operator
    args: tuple[Node, ...]
    type: FactType
    at: int


@dataclass(frozen=True, slots=True)
class InList:
    """Whether a value is one of some literals; unknown when the value is unknown.

    `name` is that of the list, when the words are those of a named list.
    """

    value: Node
    words: tuple[Literal, ...]
    at: int
    type: FactType = FactType.BOOL
    name: str | None = None


@dataclass(frozen=True, slots=True)
class Matches:
    """Whether a part of a text matches a pattern, or the whole between `^` and `$`.

    `pattern` is as it was written, `portable` in signs that mean the same in every engine.
    """

    value: Node
    pattern: str
    portable: str
    at: int
    type: FactType = FactType.BOOL


@dataclass(frozen=True, slots=True)
class Quantifier:
    """`order.lines.all(...)`, true for no lines, or `order.lines.exists(...)`, false for no lines."""

    every: bool
    body: Node
    at: int
    type: FactType = FactType.BOOL


class FoldKind(StrEnum):
    """What a Fold makes of the lines; the words are those of CEL, but for `count`: `filter(…).size()`."""

    SUM = "sum"
    COUNT = "count"
    EXACTLY_ONE = "exists_one"


@dataclass(frozen=True, slots=True)
class Fold:
    """One value of all lines: a sum, a number of lines, or whether it is exactly one.

    `where`: only lines of which it is true count; None: every line. `body`: what SUM adds up, None for the others. The
    sum of no lines is 0. Unknown when `where` is unknown of one line, when `body` is unknown of one that counts, and
    when the sum overflows: other than in all() and exists(), no line absorbs what is unknown of another.
    """

    kind: FoldKind
    where: Node | None
    body: Node | None
    at: int
    type: FactType


Node = Literal | Fact | DefinitionRef | LineField | Known | Call | InList | Matches | Quantifier | Fold


@dataclass(frozen=True, slots=True)
class ExpressionFault:
    """A fault in an expression, at an offset in its text."""

    at: int
    message: str


class Unsupported(Exception):
    """A construct outside the supported subset; raised and caught while a node is read."""

    def __init__(self, at: int, message: str) -> None:
        super().__init__(message)
        self.fault = ExpressionFault(at, message)


SUPPORTED = (
    "supported are comparisons, integer arithmetic, && || ! ?:, in, startsWith, endsWith, contains, matches, size, "
    "lowerAscii, math.least, math.greatest, "
    "all, exists, exists_one, filter(…).size() and map(…).sum() of order.lines, known, definitions, parameters, lists"
)
STRING_OR_COMMENT = r"""r?'''.*?'''|r?\"\"\".*?\"\"\"|r'[^']*'|r"[^"]*"|'(?:\\.|[^'\\])*'|"(?:\\.|[^"\\])*"|//[^\n]*"""
"""Matches strings and comments; it is tried first, so that their content is not read as a part of the expression."""
NO_CLOCK = (
    "a condition has no clock: compare an age, as in order.age_seconds < 3600 or buyer.account_age_days >= 90 "
    "(an hour is 3600 seconds), or the moment of the request: request.hour, request.weekday (0 is Sunday) and "
    "request.date, as in request.date >= '2025-01-26'"
)
MAX_DEPTH = 60


def children(node: Node) -> tuple[Node, ...]:
    """The operands of a node, from left to right."""
    match node:
        case Call(args=args):
            return args
        case InList(value=value) | Matches(value=value):
            return (value,)
        case Quantifier(body=body):
            return (body,)
        case Fold(where=where, body=of_each):
            return tuple(one for one in (where, of_each) if one is not None)
    return ()


def with_children(node: Node, change: Callable[[Node], Node]) -> Node:
    """The node with each of its operands changed."""
    match node:
        case Call(args=args):
            return replace(node, args=tuple(change(one) for one in args))
        case InList(value=value) | Matches(value=value):
            return replace(node, value=change(value))
        case Quantifier(body=body):
            return replace(node, body=change(body))
        case Fold(where=where, body=of_each):
            kept = where if where is None else change(where)
            return replace(node, where=kept, body=of_each if of_each is None else change(of_each))
    return node


def walk(node: Node) -> Iterator[Node]:
    """The node and all nodes below it."""
    yield node
    for child in children(node):
        yield from walk(child)


@dataclass(frozen=True, slots=True)
class Names:
    """The names that an expression may use.

    A definition with a fault has no type; a parameter is its value, and a list its words, all of one type.
    """

    facts: Mapping[str, FactSpec]
    definitions: Mapping[str, FactType | None]
    parameters: Mapping[str, int] = field(default_factory=dict)
    lists: Mapping[str, tuple[ScalarValue, ...]] = field(default_factory=dict)

    def reserved(self, variable: str) -> bool:
        """Whether a line variable with this name would hide a fact, a definition, a parameter or a list."""
        roots = {name.split(".", 1)[0] for name in self.facts}
        return any(variable in names for names in (roots, self.definitions, self.parameters, self.lists))

    def type_of_list(self, name: str) -> FactType:
        """The type of a list's words; text for a list all of whose words have faults."""
        words = self.lists[name]
        return FactType.INT if words and isinstance(words[0], int) else FactType.STRING


def start_of_name(text: str, at: int, name: str) -> int:
    """The offset where a dotted name begins; CEL reports one of its dots."""
    start = text.rfind(name.split(".", 1)[0], 0, at + 1)
    return start if start >= 0 and text.startswith(name, start) and start + len(name) > at else at
