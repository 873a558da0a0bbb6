"""Evaluates checked expressions over columns with three truth values, where NULL means unknown.

The trees that were checked at load become Ibis expressions, so one policy text decides a single request and a whole
history alike. SQL differs from CEL in some places, which are handled here: an overflow raises or wraps where CEL is
unknown; `CASE WHEN NULL` takes the else branch; a quantifier over no lines is NULL; Ibis compiles the null test of a
negation wrongly, so a negation is written as a comparison with false.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from string import ascii_lowercase, ascii_uppercase
from typing import Any

import ibis

from jitui.backtest.engine import Engine
from jitui.policy import LINE_FIELDS, FactSpec, FactType, Policy
from jitui.policy.facts import LINES, NUL
from jitui.policy.language.syntax import (
    Call,
    DefinitionRef,
    Fact,
    Fold,
    FoldKind,
    InList,
    Known,
    LineField,
    Literal,
    Matches,
    Node,
    Operator,
    Quantifier,
)
from jitui.policy.program import Program

Value = Any
"""An Ibis expression; Ibis has no types that a checker could follow through operators."""

INT64_MIN, INT64_MAX = -(2**63), 2**63 - 1
_SQL_TYPES = {FactType.INT: "int64", FactType.BOOL: "boolean", FactType.STRING: "string"}
_WIDE = "decimal(19,0)"  # holds every int64; sums and products of two of them fit into 38 digits
_WIDEST = "decimal(38,0)"  # holds the sum of as many int64 as a list can have
LINES_TYPE = "array<struct<" + ",".join(f"{name}:{_SQL_TYPES[spec.type]}" for name, spec in LINE_FIELDS.items()) + ">>"


def condition_column(condition_id: str) -> str:
    """The column with the truth values of a condition."""
    return f"condition.{condition_id}"


def definition_column(name: str) -> str:
    """The column with the values of a definition."""
    return f"definition.{name}"


def with_definitions(engine: Engine, policy: Policy, facts: ibis.Table, needed: Iterable[Program]) -> ibis.Table:
    """The facts with a column for each definition that is needed, in the order of their dependencies."""
    trees = {definition.name: definition.tree for definition in policy.definitions}
    for program in needed:
        reader = Reading(engine, facts, policy.facts)
        facts = facts.mutate(**{definition_column(program.id): reader.value(trees[program.id])})
    return facts


class Reading:
    """Evaluates trees on a table whose columns are named like facts."""

    def __init__(self, engine: Engine, table: ibis.Table, specs: Mapping[str, FactSpec]) -> None:
        self.engine = engine
        self.table = table
        self.specs = specs

    def value(self, node: Node, line: Value = None) -> Value:
        """The value of a tree in each row; `line` is the line that a macro visits."""
        match node:
            case Literal(value=value, type=kind):
                return ibis.literal(value, _SQL_TYPES[kind])
            case Fact(name=name):
                return self._fact(name)
            case DefinitionRef(name=name):
                return self.table[definition_column(name)]
            case LineField(name=name, type=kind):
                return _text(line[name], kind) if name in line.type().names else _unknown(kind)
            case Known(of=LineField(name=name)) if name not in line.type().names:
                return ibis.literal(False)
            case Known(of=Fact(type=FactType.LINES)):
                return _is_known(self._lines())
            case Known(of=of):
                return _is_known(self.value(of, line))
            case InList(value=inner, words=words):
                return _comparable(self.value(inner, line).isin([self.value(word) for word in words]))
            case Matches(value=inner, portable=pattern):
                return _comparable(self.value(inner, line).re_search(pattern))
            case Quantifier():
                return self._quantifier(node)
            case Fold():
                return self._fold(node)
            case Call(operator=Operator.SIZE, args=(Fact(type=FactType.LINES),)):
                lines = self._lines()
                return _when((lines.notnull(), lines.length().cast("int64")), kind="int64")
            case Call():
                return self._call(node, line)

    def _fact(self, name: str) -> Value:
        spec = self.specs[name]
        if name not in self.table.columns:
            return _unknown(spec.type)
        column = self.table[name]
        # a word that is not in the fact's enum is unknown, as online
        return _when((column.isin(spec.enum), column), kind="string") if spec.enum else _text(column, spec.type)

    def _lines(self) -> Value:
        return self.table[LINES] if LINES in self.table.columns else ibis.null(LINES_TYPE)

    def _quantifier(self, node: Quantifier) -> Value:
        """Score each line 1, 0 or -1 for true, unknown and false: all() is the lowest score, exists() the highest."""
        lines = self._lines()
        scores = lines.map(lambda line: (self.value(node.body, line).cast("int64") * 2 - 1).fill_null(0))
        extreme = scores.mins() if node.every else scores.maxs()
        return ibis.cases(
            (lines.isnull(), ibis.null("boolean")),
            (lines.length() == 0, ibis.literal(node.every)),
            else_=extreme.nullif(0) == 1,
        )

    def _fold(self, node: Fold) -> Value:
        """What the lines that count add up to, 1 for each where nothing is summed; NULL when any of them is NULL."""
        lines = self._lines()
        none, one = (ibis.literal(number, "int64").cast(_WIDEST) for number in (0, 1))

        def added(line: Value) -> Value:
            value = one if node.body is None else self.value(node.body, line).cast(_WIDEST)
            if node.where is None:
                return value
            return self.value(node.where, line).cases((True, value), (False, none), else_=ibis.null(_WIDEST))

        total = _let(lines.map(added), _sum_of)
        result = total == 1 if node.kind is FoldKind.EXACTLY_ONE else total
        of_none = ibis.literal(False) if node.kind is FoldKind.EXACTLY_ONE else ibis.literal(0, "int64")
        unknown = ibis.null(_SQL_TYPES[node.type])
        return ibis.cases((lines.isnull(), unknown), (lines.length() == 0, of_none), else_=result)

    def _call(self, node: Call, line: Value) -> Value:
        args = [self.value(arg, line) for arg in node.args]
        match node.operator, args:
            case Operator.AND, [left, right]:
                return left & right
            case Operator.OR, [left, right]:
                return left | right
            case Operator.NOT, [value]:
                return value == False  # noqa: E712 — an Ibis comparison
            case Operator.CONDITIONAL, [test, yes, no]:
                return test.cases((True, yes), (False, no), else_=ibis.null(_SQL_TYPES[node.type]))
            case Operator.SIZE, [text]:
                return text.length().cast("int64")
            case Operator.LOWER_ASCII, [text]:
                return text.translate(ascii_uppercase, ascii_lowercase)
            case ((Operator.GREATEST | Operator.LEAST), values):
                return _bound(node.args, values, lambda *all_of: _extreme(node.operator, all_of))
            case Operator.NEGATE, [value]:
                return _negated(value)
            case ((Operator.DIVIDE | Operator.REMAINDER), [left, right]):
                return self._division(node, left, right)
            case ((Operator.ADD | Operator.SUBTRACT | Operator.MULTIPLY), [left, right]):
                return _arithmetic(node.operator, node.args, left, right)
            case _, [left, right]:
                return _comparison(node.operator, left, right)
        raise AssertionError(node)

    def _division(self, node: Call, left: Value, right: Value) -> Value:
        match node.args[1]:
            case Literal(value=0):
                return _unknown(FactType.INT)
            case Literal(value=-1):
                return _negated(left) if node.operator is Operator.DIVIDE else (left.nullif(INT64_MIN) * 0)
            case Literal():
                return self.engine.divide(left, right) if node.operator is Operator.DIVIDE else left % right
        return _bound(node.args, (left, right), lambda left, right: self._quotient(node.operator, left, right))

    def _quotient(self, operator: Operator, left: Value, right: Value) -> Value:
        # The divisor is never 0 or -1 where the engine divides, because some engines evaluate both branches.
        divisor = _when(((right != 0) & (right != -1), right))
        if operator is Operator.DIVIDE:
            return _when((right == -1, _negated(left)), (right != 0, self.engine.divide(left, divisor)))
        return _when((right == -1, left.nullif(INT64_MIN) * 0), (right != 0, left % divisor))


def _comparable(test: Value) -> Value:
    """A test by IN or RLIKE as a case expression: Spark's grammar compares a bare one with nothing."""
    return test.cases((True, True), (False, False), else_=ibis.null("boolean"))


def _is_known(value: Value) -> Value:
    # as a case expression: a bare test for NULL is no operand that every engine compares
    return ibis.cases((value.notnull(), ibis.literal(True)), else_=ibis.literal(False))


def _text(column: Value, kind: FactType) -> Value:
    """A text; one with NUL is unknown, as online."""
    return _when((column.contains(NUL) == False, column), kind="string") if kind is FactType.STRING else column  # noqa: E712


def _extreme(operator: Operator, values: Sequence[Value]) -> Value:
    """The greatest or least value; an engine's own function leaves out what is NULL."""
    if len(values) == 1:
        return values[0]  # Spark's function takes two at least
    known = values[0].notnull()
    for value in values[1:]:
        known &= value.notnull()
    return _when((known, ibis.greatest(*values) if operator is Operator.GREATEST else ibis.least(*values)))


def _negated(value: Value) -> Value:
    return -value.nullif(INT64_MIN)


def _is_leaf(node: Node) -> bool:
    return isinstance(node, (Literal, Fact, DefinitionRef, LineField))


def _bound(nodes: Sequence[Node], values: Sequence[Value], build: Callable[..., Value]) -> Value:
    """The result of `build` on values that it uses more than once.

    SQL has no variables: an operand that is written twice doubles everything below it, at each level again. So a value
    that is more than a column is first put into a list with one item, and that item is used.
    """
    if all(_is_leaf(node) for node in nodes):
        return build(*values)
    packed = ibis.array([ibis.struct({f"v{place}": value for place, value in enumerate(values)})])
    return packed.map(lambda item: build(*(item[f"v{place}"] for place in range(len(values)))))[0]


def _let(value: Value, build: Callable[[Value], Value]) -> Value:
    """The result of `build` on a value that it uses more than once; as in `_bound`."""
    return ibis.array([ibis.struct({"v": value})]).map(lambda item: build(item["v"]))[0]


def _sum_of(numbers: Value) -> Value:
    """The exact sum of a list that is not empty; NULL when a number is NULL or the sum is outside of int64."""
    unknown = numbers.filter(lambda number: number.isnull()).length()
    return ibis.cases((unknown == 0, numbers.sums().try_cast("int64")), else_=ibis.null("int64"))


def _unknown(kind: FactType) -> Value:
    """A NULL that is not a literal: Ibis turns `x == NULL` into `x IS NULL`, and an unknown could then approve (I5)."""
    something = ibis.literal({FactType.INT: 0, FactType.BOOL: True}.get(kind, ""), _SQL_TYPES[kind])
    return something.nullif(something)


def _when(*branches: tuple[Value, Value], kind: str = "int64") -> Value:
    """The value of the first branch whose test is true; unknown when none is."""
    return ibis.cases(*branches, else_=ibis.null(kind))


def _comparison(operator: Operator, left: Value, right: Value) -> Value:
    match operator:
        case Operator.EQUAL:
            return left == right
        case Operator.NOT_EQUAL:
            return left != right
        case Operator.LESS:
            return left < right
        case Operator.LESS_OR_EQUAL:
            return left <= right
        case Operator.GREATER:
            return left > right
        case Operator.GREATER_OR_EQUAL:
            return left >= right
        case Operator.STARTS_WITH:
            return left.startswith(right)
        case Operator.ENDS_WITH:
            return left.endswith(right)
        case Operator.CONTAINS:
            return left.contains(right)
    raise AssertionError(operator)


def _arithmetic(operator: Operator, nodes: tuple[Node, ...], left: Value, right: Value) -> Value:
    """Arithmetic, unknown outside int64; with a column and a constant the guard is a cheap range test."""
    if isinstance(nodes[1], Literal) and _is_leaf(nodes[0]):
        return _guarded(operator, left, int(nodes[1].value))
    if isinstance(nodes[0], Literal) and _is_leaf(nodes[1]) and operator is not Operator.SUBTRACT:
        return _guarded(operator, right, int(nodes[0].value))
    left, right = left.cast(_WIDE), right.cast(_WIDE)
    if operator is Operator.ADD:
        return (left + right).try_cast("int64")
    if operator is Operator.SUBTRACT:
        return (left - right).try_cast("int64")
    return (left * right).try_cast("int64")


def _guarded(operator: Operator, value: Value, constant: int) -> Value:
    least, most = _safe_range(operator, constant)
    number = ibis.literal(constant, "int64")
    inside = value.between(ibis.literal(least, "int64"), ibis.literal(most, "int64"))
    # Clamp to the safe range first, because an engine may compute the result before it tests the guard.
    safe = _when((inside, value))
    if operator is Operator.ADD:
        return safe + number
    return safe - number if operator is Operator.SUBTRACT else safe * number


def _safe_range(operator: Operator, constant: int) -> tuple[int, int]:
    """The values for which the operation with this constant stays within int64."""
    if operator is Operator.ADD:
        least, most = INT64_MIN - constant, INT64_MAX - constant
    elif operator is Operator.SUBTRACT:
        least, most = INT64_MIN + constant, INT64_MAX + constant
    elif constant == 0:
        least, most = INT64_MIN, INT64_MAX
    else:
        bounds = (-(-INT64_MIN // constant), INT64_MAX // constant) if constant > 0 else _negative_range(constant)
        least, most = bounds
    return max(least, INT64_MIN), min(most, INT64_MAX)


def _negative_range(constant: int) -> tuple[int, int]:
    # value * constant <= INT64_MAX  and  value * constant >= INT64_MIN, for a negative constant
    return -(INT64_MAX // -constant), INT64_MIN // constant
