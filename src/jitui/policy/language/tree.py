"""Reads the tree of a checked expression: what is outside the supported subset is a fault with its position."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from jitui.policy.facts import LINE_FIELDS, LINES, NUL, FactType
from jitui.policy.language.known import PREFIX
from jitui.policy.language.macros import Macro, macro_of
from jitui.policy.language.moment_faults import moment_faults
from jitui.policy.language.patterns import PatternRefused, for_engines
from jitui.policy.language.syntax import (
    MAX_DEPTH,
    NO_CLOCK,
    SUPPORTED,
    Call,
    DefinitionRef,
    ExpressionFault,
    Fact,
    Fold,
    FoldKind,
    InList,
    Known,
    LineField,
    Literal,
    Matches,
    Names,
    Node,
    Operator,
    Quantifier,
    Unsupported,
    start_of_name,
)
from jitui.policy.problems import did_you_mean

_OPENING = re.compile(r"""(?P<raw>[rR])?('{3}|"{3}|'|")""")
_PRIMITIVES = {1: FactType.BOOL, 2: FactType.INT, 5: FactType.STRING}
_CALLS = {
    f"_{word}_": Operator(word) for word in ("&&", "||", "==", "!=", "<", "<=", ">", ">=", "+", "-", "*", "/", "%")
}
_CALLS |= {"!_": Operator.NOT, "-_": Operator.NEGATE, "_?_:_": Operator.CONDITIONAL}
_CALLS |= {word: Operator(word) for word in ("size", "startsWith", "endsWith", "contains")}
_CALLS["lowerAscii"] = Operator.LOWER_ASCII
_EXTREMES = {"math.@max": Operator.GREATEST, "math.@min": Operator.LEAST}
_INSTEAD_OF_EXTREME = "ask all() or exists() of them, as in order.lines.all(l, l.paid_minor <= 30000)"
_STANDARD = re.compile(r"_.*|u?int|double|string|bytes|bool|dyn|type|get[A-Z]\w*")
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

        `variable` is the line variable of a macro around it.
        """
        try:
            node = self.supported(expr, variable, depth)
        except Unsupported as unsupported:
            self.faults.append(unsupported.fault)
            return None
        self.faults += (*_enum_faults(node, self.names), *moment_faults(node)) if node else ()
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
            return self.of_lines(expr, variable, depth)
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
        if name in self.names.lists:
            raise Unsupported(at, f"{name} is a list: it stands on the right of `in`, as in order.currency in {name}")
        if name.startswith(PREFIX) and (of := name.removeprefix(PREFIX)) in self.names.facts:
            return Known(Fact(of, self.names.facts[of].type, at), at)
        if name in self.names.facts:
            return Fact(name, self.names.facts[name].type, at)
        raise Unsupported(at, f"{name} is not a fact; {SUPPORTED}")

    def select(self, expr: Any, variable: str | None) -> LineField | Known:
        selected = expr.select_expr
        at = self.at(expr)
        if variable is None or selected.operand.ident_expr.name != variable:
            raise Unsupported(at, f"fields are read only from a line, inside a macro of order.lines; {SUPPORTED}")
        spec = LINE_FIELDS[selected.field]
        field = LineField(spec.name, spec.type, at)
        # only known() can have made a test of it: has() itself is refused where it is written
        return Known(field, at) if selected.test_only else field

    def call(self, expr: Any, variable: str | None, depth: int) -> Node | None:
        call = expr.call_expr
        at = self.at(expr)
        operands = [call.target] if call.HasField("target") else []
        operands += call.args
        if call.function == "@in":
            return self.in_list(at, operands, variable, depth)
        if call.function in _EXTREMES:
            return self.extreme(at, _EXTREMES[call.function], operands, variable, depth)
        if call.function == "matches":
            return self.matches(at, operands, variable, depth)
        if call.function == "sum":
            return self.fold(FoldKind.SUM, operands[0], variable, depth + 1)
        if call.function == "size" and operands[0].HasField("comprehension_expr"):
            return self.fold(FoldKind.COUNT, operands[0], variable, depth + 1)
        operator = _CALLS.get(call.function)
        if operator is None or (operator is Operator.SIZE and len(operands) != 1):
            raise Unsupported(at, _not_supported(call.function))
        nodes = [self.node(operand, variable, depth + 1) for operand in operands]
        args = tuple(node for node in nodes if node is not None)
        if len(args) < len(nodes):
            return None
        kind = self.type(expr)
        _check_operands(operator, args, at)
        if kind is None:
            raise Unsupported(at, f"{operator} here gives a value that no condition can use; {SUPPORTED}")
        return Call(operator, args, kind, at)

    def extreme(
        self, at: int, operator: Operator, operands: list[Any], variable: str | None, depth: int
    ) -> Call | None:
        """The greatest or the least of one or more numbers; several of them arrive as one list."""
        if operands[0].HasField("list_expr"):
            operands = operands[0].list_expr.elements
        if operands[0].HasField("comprehension_expr"):
            raise Unsupported(at, f"of no lines there is no number to give: {_INSTEAD_OF_EXTREME}")
        args = [node for operand in operands if (node := self.node(operand, variable, depth + 1)) is not None]
        if len(args) < len(operands):
            return None
        if {arg.type for arg in args} != {FactType.INT}:
            raise Unsupported(at, f"{operator}() takes whole numbers, as in {operator}(order.paid_minor, 0)")
        return Call(operator, tuple(args), FactType.INT, at)

    def matches(self, at: int, operands: list[Any], variable: str | None, depth: int) -> Matches | None:
        value, pattern = operands
        if not pattern.HasField("const_expr"):
            raise Unsupported(
                self.at(pattern), "matches() takes a pattern that is written out, as in order.currency.matches('^C')"
            )
        left, written = self.node(value, variable, depth + 1), self.node(pattern, variable, depth + 1)
        if left is None or not isinstance(written, Literal):
            return None
        text = str(written.value)
        try:
            return Matches(left, text, for_engines(text), at)
        except PatternRefused as refused:
            raise Unsupported(self.in_literal(written.at, refused.at), str(refused)) from None

    def in_literal(self, at: int, offset: int) -> int:
        """The place of a character of a text; that of the text itself where escapes come before it."""
        opening = _OPENING.match(self.text, at)
        before = self.text[opening.end() : opening.end() + offset] if opening else ""
        return opening.end() + offset if opening and (opening["raw"] or "\\" not in before) else at

    def in_list(self, at: int, operands: list[Any], variable: str | None, depth: int) -> InList | None:
        value, words = operands
        if words.ident_expr.name in self.names.lists:
            return self.in_named_list(at, value, words, variable, depth)
        if not words.HasField("list_expr") or not words.list_expr.elements:
            raise Unsupported(at, "the right side of `in` is a list of values, as in ['a', 'b'], or the name of a list")
        left = self.node(value, variable, depth + 1)
        elements = words.list_expr.elements
        literals = [word for element in elements if (word := self.word(element)) is not None]
        if left is None or len(literals) < len(elements):
            return None
        _check_operands(Operator.EQUAL, (left, *literals), at)
        return InList(left, tuple(literals), at)

    def in_named_list(self, at: int, value: Any, words: Any, variable: str | None, depth: int) -> InList | None:
        name, place = words.ident_expr.name, self.at(words)
        left = self.node(value, variable, depth + 1)
        if left is None or not self.names.lists[name]:
            return None
        kind = self.names.type_of_list(name)
        literals = tuple(Literal(word, kind, place) for word in self.names.lists[name])
        _check_operands(Operator.EQUAL, (left, literals[0]), at)
        return InList(left, literals, at, name=name)

    def word(self, expr: Any) -> Literal | None:
        if expr.HasField("const_expr"):
            return self.literal(expr)
        name, at = expr.ident_expr.name, self.at(expr)
        if name in self.names.parameters:
            return Literal(self.names.parameters[name], FactType.INT, at, name)
        self.faults.append(ExpressionFault(at, "the list of `in` holds only constants; write == and || for others"))
        return None

    def of_lines(self, expr: Any, variable: str | None, depth: int) -> Quantifier | Fold | None:
        """A macro whose value is true or false."""
        macro, at = self.macro(expr, variable), self.at(expr)
        if macro.name in ("filter", "map"):
            then = ".size() after filter()" if macro.name == "filter" else ".sum() after map()"
            raise Unsupported(at, f"a list has no value of its own in a condition: write {then}")
        if macro.source.ident_expr.name != LINES:
            raise Unsupported(
                at, f"{macro.name}() works on order.lines itself: put what filter() asks into {macro.name}()"
            )
        predicate = self.node(macro.where, macro.variable, depth + 1)
        if predicate is None:
            return None
        if macro.name == "exists_one":
            return Fold(FoldKind.EXACTLY_ONE, predicate, None, at, FactType.BOOL)
        return Quantifier(macro.name == "all", predicate, at)

    def fold(self, kind: FoldKind, listed: Any, variable: str | None, depth: int) -> Fold | None:
        """`filter(…).size()` or `map(…).sum()`, with any number of filter() before either."""
        at = self.at(listed)
        wanted = "map" if kind is FoldKind.SUM else "filter"
        macro = self.macro(listed, variable)
        if macro.name != wanted:
            raise Unsupported(at, _INSTEAD_OF_FOLD[kind])
        body = self.node(macro.body, macro.variable, depth + 1) if kind is FoldKind.SUM else None
        asked = [(macro.where, macro.variable)] if macro.where is not None else []
        while macro.source.ident_expr.name != LINES:
            macro = self.macro(macro.source, variable)
            if macro.name != "filter":
                raise Unsupported(at, _INSTEAD_OF_FOLD[kind])
            asked.append((macro.where, macro.variable))
        wheres = [self.node(where, name, depth + 1) for where, name in reversed(asked)]
        if None in wheres or (body is None and kind is FoldKind.SUM):
            return None
        if body is not None and body.type is not FactType.INT:
            raise Unsupported(at, _INSTEAD_OF_FOLD[kind])
        return Fold(kind, _all_of([one for one in wheres if one is not None]), body, at, FactType.INT)

    def macro(self, expr: Any, variable: str | None) -> Macro:
        """The macro of a comprehension over order.lines, or over a macro over them."""
        at = self.at(expr)
        macro = macro_of(expr.comprehension_expr) if expr.HasField("comprehension_expr") else None
        if expr.HasField("comprehension_expr") and macro is None:
            raise Unsupported(at, f"of the macros only {_MACROS} are supported; {SUPPORTED}")
        if macro is None or not (macro.source.ident_expr.name == LINES or macro.source.HasField("comprehension_expr")):
            raise Unsupported(at, f"{_MACROS} work on order.lines only; {SUPPORTED}")
        if variable is not None:
            raise Unsupported(at, f"{_MACROS} inside one another are not supported: write a definition for one")
        if self.names.reserved(macro.variable):
            taken = "the name of a fact, a definition, a parameter or a list"
            raise Unsupported(at, f"{macro.variable} is {taken}: give the line another name")
        return macro


_MACROS = "all(), exists(), exists_one(), filter() and map()"
_INSTEAD_OF_FOLD = {
    FoldKind.SUM: "sum() adds up a whole number of each line, as in order.lines.map(l, l.paid_minor).sum()",
    FoldKind.COUNT: "size() counts the lines of a filter(), as in order.lines.filter(l, l.virtual).size()",
}


def _all_of(wheres: list[Node]) -> Node | None:
    """One test for several filters in a row: a later one asks only the lines that the earlier ones let through."""
    if not wheres:
        return None
    first, *others = wheres
    for other in others:
        no = Literal(False, FactType.BOOL, other.at)
        first = Call(Operator.CONDITIONAL, (first, other, no), FactType.BOOL, other.at)
    return first


def _not_supported(function: str) -> str:
    name = function.replace("@", "").strip("_")
    if function in ("timestamp", "duration") or function.startswith("get"):
        return f"{name} is not supported; {NO_CLOCK}"
    if _STANDARD.fullmatch(function):
        return f"{name} is not supported; {SUPPORTED}"
    return (
        f"{name} is not supported: of CEL's extensions there are math.least, math.greatest and lowerAscii; {SUPPORTED}"
    )


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
        case InList(value=value, words=words, name=name):
            yield from _word_faults(_enum_of(value, names), words, f"the list {name} has " if name else "")
        case Call(operator=operator, args=(left, right)) if operator in _EQUALITY:
            for side, other in ((left, right), (right, left)):
                if isinstance(other, Literal):
                    yield from _word_faults(_enum_of(side, names), (other,))
        case Call(operator=operator, args=args) if operator in _ORDERING:
            if enum := next((found for arg in args if (found := _enum_of(arg, names))), ()):
                yield ExpressionFault(node.at, f"{', '.join(enum)} have no order: use == or in")


def _word_faults(enum: tuple[str, ...], words: tuple[Literal, ...], listed: str = "") -> Iterator[ExpressionFault]:
    for word in words:
        if enum and word.value not in enum:
            hint = did_you_mean(str(word.value), enum)
            is_none = f"{listed}'{word.value}', which" if listed else f"'{word.value}'"
            yield ExpressionFault(word.at, f"{is_none} is none of {', '.join(enum)}{hint}")


def _enum_of(node: Node, names: Names) -> tuple[str, ...]:
    return names.facts[node.name].enum if isinstance(node, Fact) else ()
