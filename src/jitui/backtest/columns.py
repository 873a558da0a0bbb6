"""The bulk reading of a policy: checked expressions as columns of three truth values, NULL for unknown.

The same trees that are checked at load become Ibis expressions, so that one policy text decides a request and a
whole history alike. SQL differs from CEL in places, each guarded here: an overflow raises or wraps where CEL is
unknown; `CASE WHEN NULL` takes the else branch; a quantifier over no lines is NULL; Ibis compiles the null test of a
negation wrongly, so a negation is written as a comparison with false.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import ibis

from jitui.backtest.engine import Engine
from jitui.policy import LINE_FIELDS, FactSpec, FactType, Policy
from jitui.policy.facts import LINES
from jitui.policy.program import Program
from jitui.policy.syntax import Call, DefinitionRef, Fact, InList, LineField, Literal, Node, Operator, Quantifier

Value = Any
"""An Ibis expression; Ibis has no types that a checker could follow through operators."""

INT64_MIN, INT64_MAX = -(2**63), 2**63 - 1
_SQL_TYPES = {FactType.INT: "int64", FactType.BOOL: "boolean", FactType.STRING: "string"}
_WIDE = "decimal(19,0)"  # holds every int64; sums and products of two of them fit 38 digits
LINES_TYPE = "array<struct<" + ",".join(f"{name}:{_SQL_TYPES[spec.type]}" for name, spec in LINE_FIELDS.items()) + ">>"


def condition_column(condition_id: str) -> str:
    """The column that holds a condition's truth."""
    return f"condition.{condition_id}"


def definition_column(name: str) -> str:
    """The column that holds a definition's value."""
    return f"definition.{name}"


def with_definitions(engine: Engine, policy: Policy, facts: ibis.Table, needed: Iterable[Program]) -> ibis.Table:
    """The facts and, beside them, the value of each definition that is needed, in dependency order."""
    trees = {definition.name: definition.tree for definition in policy.definitions}
    for program in needed:
        reader = Reading(engine, facts, policy.facts)
        facts = facts.mutate(**{definition_column(program.id): reader.value(trees[program.id])})
    return facts


class Reading:
    """One table whose columns are named as facts, read through expression trees."""

    def __init__(self, engine: Engine, table: ibis.Table, specs: Mapping[str, FactSpec]) -> None:
        self.engine = engine
        self.table = table
        self.specs = specs

    def value(self, node: Node, line: Value = None) -> Value:
        """The value of a tree in each row; `line` is the line that a quantifier is at."""
        match node:
            case Literal(value=value, type=kind):
                return ibis.literal(value, _SQL_TYPES[kind])
            case Fact(name=name):
                return self._fact(name)
            case DefinitionRef(name=name):
                return self.table[definition_column(name)]
            case LineField(name=name, type=kind):
                return line[name] if name in line.type().names else _unknown(kind)
            case InList(value=inner, words=words):
                found = self.value(inner, line)
                # A case, not a bare IN: in Spark's grammar an IN cannot be compared with anything.
                among = (found.isin([self.value(word) for word in words]), ibis.literal(True))
                return _when(among, (found.notnull(), ibis.literal(False)), kind="boolean")
            case Quantifier():
                return self._quantifier(node)
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
        # A word that the table of facts does not list is unknown, as it is online.
        return _when((column.isin(spec.enum), column), kind="string") if spec.enum else column

    def _lines(self) -> Value:
        return self.table[LINES] if LINES in self.table.columns else ibis.null(LINES_TYPE)

    def _quantifier(self, node: Quantifier) -> Value:
        """Each line scores 1, 0 or -1 for true, unknown and false: all() is the least score, exists() the greatest."""
        lines = self._lines()
        scores = lines.map(lambda line: _score(self.value(node.body, line)))
        extreme = scores.mins() if node.every else scores.maxs()
        return _when(
            (lines.isnull(), ibis.null("boolean")),
            (lines.length() == 0, ibis.literal(node.every)),
            (extreme == 1, ibis.literal(True)),
            (extreme == -1, ibis.literal(False)),
            kind="boolean",
        )

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
                return _when((test, yes), (test == False, no), kind=_SQL_TYPES[node.type])  # noqa: E712
            case Operator.SIZE, [text]:
                return text.length().cast("int64")
            case Operator.NEGATE, [value]:
                return _when((value != INT64_MIN, -value), kind="int64")
            case ((Operator.DIVIDE | Operator.REMAINDER), [left, right]):
                return self._quotient(node.operator, left, right)
            case ((Operator.ADD | Operator.SUBTRACT | Operator.MULTIPLY), [left, right]):
                return _arithmetic(node.operator, node.args, left, right)
            case _, [left, right]:
                return _comparison(node.operator, left, right)
        raise AssertionError(node)

    def _quotient(self, operator: Operator, left: Value, right: Value) -> Value:
        exact = (right != 0) & ((left != INT64_MIN) | (right != -1))
        # The divisor is never zero and never -1 where the engine divides: some engines look at both branches.
        divisor = _when(((right != 0) & (right != -1), right), kind="int64")
        quotient = self.engine.divide(left, divisor)
        if operator is Operator.DIVIDE:
            return _when((exact & (right == -1), _when((left != INT64_MIN, -left), kind="int64")), (exact, quotient))
        return _when((exact & (right == -1), _zero_of(left)), (exact, left - quotient * divisor))


def _unknown(kind: FactType) -> Value:
    """A NULL that is no literal: `x == NULL` would become `x IS NULL` in Ibis, and an unknown could approve (I5)."""
    something = ibis.literal({FactType.INT: 0, FactType.BOOL: True}.get(kind, ""), _SQL_TYPES[kind])
    return something.nullif(something)


def _when(*branches: tuple[Value, Value], kind: str = "int64") -> Value:
    """The first branch whose test is true; unknown when none is."""
    return ibis.cases(*branches, else_=ibis.null(kind))


def _score(truth: Value) -> Value:
    return ibis.cases((truth, 1), (truth == False, -1), else_=0)  # noqa: E712


def _zero_of(value: Value) -> Value:
    return _when((value.notnull(), ibis.literal(0, "int64")))


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
    """Unknown outside int64. With a constant the guard is a range of the other side, which costs next to nothing."""
    if isinstance(nodes[1], Literal):
        return _guarded(operator, left, int(nodes[1].value))
    if isinstance(nodes[0], Literal) and operator is not Operator.SUBTRACT:
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
    # Clamped to the safe range first: an engine may compute the result before it looks at the guard.
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
