"""The supported part of CEL as a small typed tree, for checks at load and for back-tests over columns.

The tree is built from CEL's checked expression, so names are resolved, types are known and macros are recognised. A
construct that could evaluate differently in CEL and over columns has no node here; it is a fault with its position.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from jitui.policy.facts import LINE_FIELDS, LINES, NUL, FactSpec, FactType, ScalarValue
from jitui.policy.problems import did_you_mean


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
    """A field of the line that the surrounding Quantifier visits."""

    name: str
    type: FactType
    at: int


@dataclass(frozen=True, slots=True)
class Call:
    """An operator and its operands; division and remainder truncate towards zero, and an overflow is unknown."""

    operator: Operator
    args: tuple[Node, ...]
    type: FactType
    at: int


@dataclass(frozen=True, slots=True)
class InList:
    """Whether a value is one of some literals; unknown when the value is unknown."""

    value: Node
    words: tuple[Literal, ...]
    at: int
    type: FactType = FactType.BOOL


@dataclass(frozen=True, slots=True)
class Quantifier:
    """`order.lines.all(...)`, true for no lines, or `order.lines.exists(...)`, false for no lines."""

    every: bool
    body: Node
    at: int
    type: FactType = FactType.BOOL


Node = Literal | Fact | DefinitionRef | LineField | Call | InList | Quantifier


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
    "supported are comparisons, integer arithmetic, && || ! ?:, in, startsWith, endsWith, contains, size, "
    "order.lines.all, order.lines.exists, definitions and parameters"
)
STRING_OR_COMMENT = r"""r?'''.*?'''|r?\"\"\".*?\"\"\"|r'[^']*'|r"[^"]*"|'(?:\\.|[^'\\])*'|"(?:\\.|[^"\\])*"|//[^\n]*"""
"""Matches strings and comments; it is tried first, so that their content is not read as a part of the expression."""
NO_CLOCK = (
    "a condition has no clock: compare an age, as in order.age_seconds < 3600 or buyer.account_age_days >= 90 "
    "(an hour is 3600 seconds)"
)
MAX_DEPTH = 60
_PRIMITIVES = {1: FactType.BOOL, 2: FactType.INT, 5: FactType.STRING}
_CALLS = {
    f"_{word}_": Operator(word) for word in ("&&", "||", "==", "!=", "<", "<=", ">", ">=", "+", "-", "*", "/", "%")
}
_CALLS |= {"!_": Operator.NOT, "-_": Operator.NEGATE, "_?_:_": Operator.CONDITIONAL}
_CALLS |= {word: Operator(word) for word in ("size", "startsWith", "endsWith", "contains")}
_EQUALITY = (Operator.EQUAL, Operator.NOT_EQUAL)
_ORDERING = (Operator.LESS, Operator.LESS_OR_EQUAL, Operator.GREATER, Operator.GREATER_OR_EQUAL)
_ARITHMETIC = (
    Operator.ADD,
    Operator.SUBTRACT,
    Operator.MULTIPLY,
    Operator.DIVIDE,
    Operator.REMAINDER,
    Operator.NEGATE,
)


def children(node: Node) -> tuple[Node, ...]:
    """The operands of a node, from left to right."""
    match node:
        case Call(args=args):
            return args
        case InList(value=value):
            return (value,)
        case Quantifier(body=body):
            return (body,)
    return ()


def walk(node: Node) -> Iterator[Node]:
    """The node and all nodes below it."""
    yield node
    for child in children(node):
        yield from walk(child)


@dataclass(frozen=True, slots=True)
class Names:
    """The names that an expression may use; a definition with a fault has no type, and a parameter is its value."""

    facts: Mapping[str, FactSpec]
    definitions: Mapping[str, FactType | None]
    parameters: Mapping[str, int] = field(default_factory=dict)

    def reserved(self, variable: str) -> bool:
        """Whether a line variable with this name would hide a fact, a definition or a parameter."""
        roots = {name.split(".", 1)[0] for name in self.facts}
        return variable in roots or variable in self.definitions or variable in self.parameters


def read_tree(serialized: bytes, text: str, names: Names) -> Node | tuple[ExpressionFault, ...]:
    """The tree of a checked expression, or a fault for everything in it that is not supported."""
    from jitui.policy.language.checked_expr import (
        parse_checked,  # protobuf is slow to import, and needed only when a policy is loaded
    )

    message = parse_checked(serialized)
    reader = _Reader(message, text, names)
    node = reader.node(message.expr, None, 0)
    return tuple(reader.faults) or node or ()


class _Reader:
    def __init__(self, checked: Any, text: str, names: Names) -> None:
        self.types = checked.type_map
        self.references = checked.reference_map
        self.positions = checked.source_info.positions
        self.text = text
        self.names = names
        self.faults: list[ExpressionFault] = []

    def node(self, expr: Any, variable: str | None, depth: int) -> Node | None:
        """The node of one expression; None after noting a fault.

        `variable` is the line variable of a quantifier around it.
        """
        try:
            node = self.supported(expr, variable, depth)
        except Unsupported as unsupported:
            self.faults.append(unsupported.fault)
            return None
        self.faults += _enum_faults(node, self.names) if node else ()
        return node

    def supported(self, expr: Any, variable: str | None, depth: int) -> Node | None:
        if depth > MAX_DEPTH:
            raise Unsupported(self.at(expr), "the expression is nested too deeply: split it into definitions")
        if expr.HasField("const_expr"):
            return self.literal(expr)
        if expr.HasField("ident_expr"):
            return self.name(expr, variable)
        if expr.HasField("select_expr"):
            return self.select(expr, variable)
        if expr.HasField("call_expr"):
            return self.call(expr, variable, depth)
        if expr.HasField("comprehension_expr"):
            return self.quantifier(expr, variable, depth)
        what = "a list outside of `in`" if expr.HasField("list_expr") else "a map or a message"
        raise Unsupported(self.at(expr), f"{what} is not supported; {SUPPORTED}")

    def at(self, expr: Any) -> int:
        position = max(int(self.positions.get(expr.id, 0)), 0)
        if expr.HasField("ident_expr"):
            return start_of_name(self.text, position, expr.ident_expr.name)
        return position

    def type(self, expr: Any) -> FactType | None:
        found = self.types.get(expr.id)
        if found is None:
            return None
        if found.HasField("list_type") and found.list_type.elem_type.message_type:
            return FactType.LINES
        return _PRIMITIVES.get(found.primitive)

    def literal(self, expr: Any) -> Literal:
        kind = self.type(expr)
        if kind is None:
            raise Unsupported(
                self.at(expr),
                "only whole numbers, true, false and text are supported here: no decimals, bytes, null or 1u "
                "(amounts are whole minor units: 30000 for 300.00)",
            )
        constant = expr.const_expr
        value = {
            FactType.BOOL: constant.bool_value,
            FactType.INT: constant.int64_value,
            FactType.STRING: constant.string_value,
        }[kind]
        if kind is FactType.STRING and NUL in value:
            raise Unsupported(self.at(expr), "no text holds the character NUL: leave it out")
        return Literal(value, kind, self.at(expr))

    def name(self, expr: Any, variable: str | None) -> Node:
        name = expr.ident_expr.name
        at = self.at(expr)
        if name == variable:
            raise Unsupported(at, f"a line as a whole has no value: name one of its fields, as in {name}.virtual")
        if name in self.names.definitions:
            kind = self.names.definitions[name]
            if kind is None:
                raise Unsupported(at, f"the definition {name} has a fault of its own")
            return DefinitionRef(name, kind, at)
        if name in self.names.parameters:
            return Literal(self.names.parameters[name], FactType.INT, at, name)
        if name in self.names.facts:
            return Fact(name, self.names.facts[name].type, at)
        raise Unsupported(at, f"{name} is not a fact; {SUPPORTED}")

    def select(self, expr: Any, variable: str | None) -> LineField:
        selected = expr.select_expr
        at = self.at(expr)
        if selected.test_only:
            raise Unsupported(at, f"has() is not supported: an unknown field makes the condition unknown; {SUPPORTED}")
        if variable is None or selected.operand.ident_expr.name != variable:
            raise Unsupported(at, f"fields are read only from a line inside all() or exists(); {SUPPORTED}")
        spec = LINE_FIELDS[selected.field]
        return LineField(spec.name, spec.type, at)

    def call(self, expr: Any, variable: str | None, depth: int) -> Node | None:
        call = expr.call_expr
        at = self.at(expr)
        operands = [call.target] if call.HasField("target") else []
        operands += call.args
        if call.function == "@in":
            return self.in_list(at, operands, variable, depth)
        operator = _CALLS.get(call.function)
        if operator is None or (operator is Operator.SIZE and len(operands) != 1):
            instead = NO_CLOCK if call.function in ("timestamp", "duration") else SUPPORTED
            raise Unsupported(at, f"{call.function.strip('_@')} is not supported; {instead}")
        nodes = [self.node(operand, variable, depth + 1) for operand in operands]
        args = tuple(node for node in nodes if node is not None)
        if len(args) < len(nodes):
            return None
        kind = self.type(expr)
        _check_operands(operator, args, at)
        if kind is None:
            raise Unsupported(at, f"{operator} here gives a value that no condition can use; {SUPPORTED}")
        return Call(operator, args, kind, at)

    def in_list(self, at: int, operands: list[Any], variable: str | None, depth: int) -> InList | None:
        value, words = operands
        if not words.HasField("list_expr") or not words.list_expr.elements:
            raise Unsupported(at, "the right side of `in` is a list of values, as in ['a', 'b']")
        left = self.node(value, variable, depth + 1)
        elements = words.list_expr.elements
        literals = [word for element in elements if (word := self.word(element)) is not None]
        if left is None or len(literals) < len(elements):
            return None
        _check_operands(Operator.EQUAL, (left, *literals), at)
        return InList(left, tuple(literals), at)

    def word(self, expr: Any) -> Literal | None:
        if expr.HasField("const_expr"):
            return self.literal(expr)
        name, at = expr.ident_expr.name, self.at(expr)
        if name in self.names.parameters:
            return Literal(self.names.parameters[name], FactType.INT, at, name)
        self.faults.append(ExpressionFault(at, "the list of `in` holds only constants; write == and || for others"))
        return None

    def quantifier(self, expr: Any, variable: str | None, depth: int) -> Quantifier | None:
        loop = expr.comprehension_expr
        at = self.at(expr)
        source = loop.iter_range
        if source.ident_expr.name != LINES:
            raise Unsupported(at, f"all() and exists() work on order.lines only; {SUPPORTED}")
        if variable is not None:
            raise Unsupported(at, "all() and exists() inside one another are not supported: write a definition for one")
        if self.names.reserved(loop.iter_var):
            taken = "the name of a fact, a definition or a parameter"
            raise Unsupported(at, f"{loop.iter_var} is {taken}: give the line another name")
        every, body = _macro(loop)
        if body is None or loop.iter_var2:
            raise Unsupported(at, f"of the macros only all() and exists() are supported; {SUPPORTED}")
        predicate = self.node(body, loop.iter_var, depth + 1)
        return Quantifier(every, predicate, at) if predicate else None


def _macro(loop: Any) -> tuple[bool, Any]:
    """Which macro a comprehension came from: (whether it is all(), its predicate).

    The predicate is None for other macros.
    """
    step = loop.loop_step.call_expr
    accumulates = (
        len(step.args) == 2
        and step.args[0].ident_expr.name == loop.accu_var
        and loop.result.ident_expr.name == loop.accu_var
        and loop.accu_init.const_expr.HasField("bool_value")
        and loop.loop_condition.call_expr.function == "@not_strictly_false"
    )
    start = loop.accu_init.const_expr.bool_value
    if accumulates and step.function == ("_&&_" if start else "_||_"):
        return start, step.args[1]
    return False, None


def _check_operands(operator: Operator, args: tuple[Node, ...], at: int) -> None:
    types = {arg.type for arg in args}
    if FactType.LINES in types and operator is not Operator.SIZE:
        raise Unsupported(at, f"order.lines as a whole cannot be compared or chosen; {SUPPORTED}")
    if operator in _ARITHMETIC and types != {FactType.INT}:
        raise Unsupported(at, f"arithmetic is for whole numbers; {SUPPORTED}")
    if operator in _ORDERING and types not in ({FactType.INT}, {FactType.STRING}):
        raise Unsupported(at, f"{operator} orders whole numbers or text, not {' and '.join(sorted(types))}")
    if operator in _EQUALITY and len(types) != 1:
        raise Unsupported(at, f"{operator} compares values of one type, not {' and '.join(sorted(types))}")


def _enum_faults(node: Node, names: Names) -> Iterator[ExpressionFault]:
    """Faults for words that an enum does not have, and for comparisons that order enum words."""
    match node:
        case InList(value=value, words=words):
            yield from _word_faults(_enum_of(value, names), words)
        case Call(operator=operator, args=(left, right)) if operator in _EQUALITY:
            for side, other in ((left, right), (right, left)):
                if isinstance(other, Literal):
                    yield from _word_faults(_enum_of(side, names), (other,))
        case Call(operator=operator, args=args) if operator in _ORDERING:
            if enum := next((found for arg in args if (found := _enum_of(arg, names))), ()):
                yield ExpressionFault(node.at, f"{', '.join(enum)} have no order: use == or in")


def _word_faults(enum: tuple[str, ...], words: tuple[Literal, ...]) -> Iterator[ExpressionFault]:
    for word in words:
        if enum and word.value not in enum:
            hint = did_you_mean(str(word.value), enum)
            yield ExpressionFault(word.at, f"'{word.value}' is none of {', '.join(enum)}{hint}")


def _enum_of(node: Node, names: Names) -> tuple[str, ...]:
    return names.facts[node.name].enum if isinstance(node, Fact) else ()


def start_of_name(text: str, at: int, name: str) -> int:
    """The offset where a dotted name begins; CEL reports one of its dots."""
    start = text.rfind(name.split(".", 1)[0], 0, at + 1)
    return start if start >= 0 and text.startswith(name, start) and start + len(name) > at else at
