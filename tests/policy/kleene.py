"""A second evaluator of the expression tree in plain Python, with None for unknown."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from functools import reduce
from string import ascii_lowercase, ascii_uppercase

from jitui.policy.facts import FactType, ScalarValue
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

Value = ScalarValue | None
LineValues = Mapping[str, ScalarValue]
Facts = Mapping[str, ScalarValue | Sequence[LineValues]]


def both(left: Value, right: Value) -> Value:
    """Kleene's and."""
    if left is False or right is False:
        return False
    return None if left is None or right is None else True


def either(left: Value, right: Value) -> Value:
    """Kleene's or."""
    if left is True or right is True:
        return True
    return None if left is None or right is None else False


def read(node: Node, facts: Facts, line: LineValues | None = None) -> Value:
    """The value of a tree; None when it is unknown."""
    match node:
        case Literal(value=value):
            return value
        case Fact(name=name, type=kind):
            known = facts.get(name)
            return known if kind is not FactType.LINES and isinstance(known, (bool, int, str)) else None
        case DefinitionRef():
            raise AssertionError("no definitions here")
        case LineField(name=name):
            assert line is not None
            return line.get(name)
        case Known(of=LineField(name=name)):
            assert line is not None
            return line.get(name) is not None
        case Known(of=of):
            return facts.get(of.name) is not None
        case InList(value=inner, words=words):
            found = read(inner, facts, line)
            return None if found is None else any(found == word.value for word in words)
        case Matches(value=inner, portable=pattern):
            text = read(inner, facts, line)
            # the portable signs are those of Python too, but for a character by its number and for the end of the text
            python = re.sub(r"\\x\{([0-9a-f]+)\}", lambda found: f"\\U{int(found[1], 16):08x}", pattern)
            return None if text is None else re.search(python.replace(r"\z", r"\Z"), str(text)) is not None
        case Quantifier(every=every, body=body):
            lines = facts.get("order.lines")
            if not isinstance(lines, (list, tuple)):
                return None
            start: Value = every
            return reduce(both if every else either, (read(body, facts, each) for each in lines), start)
        case Fold():
            return _fold(node, facts)
        case Call():
            return _call(node, facts, line)


def _fold(node: Fold, facts: Facts) -> Value:
    lines = facts.get("order.lines")
    if not isinstance(lines, (list, tuple)):
        return None
    total = 0
    for each in lines:
        counts = True if node.where is None else read(node.where, facts, each)
        added = 1 if node.body is None else read(node.body, facts, each) if counts is True else 0
        if counts is None or added is None:
            return None
        total += int(added) if counts else 0
    return total == 1 if node.kind is FoldKind.EXACTLY_ONE else _int64(total)


def _call(node: Call, facts: Facts, line: LineValues | None) -> Value:
    if node.operator is Operator.SIZE and node.args[0].type is FactType.LINES:
        lines = facts.get("order.lines")
        return len(lines) if isinstance(lines, (list, tuple)) else None
    args = [read(arg, facts, line) for arg in node.args]
    if node.operator is Operator.AND:
        return both(*args)
    if node.operator is Operator.OR:
        return either(*args)
    if node.operator is Operator.CONDITIONAL:
        return None if args[0] is None else args[1] if args[0] else args[2]
    known = [arg for arg in args if arg is not None]
    return _strict(node.operator, known) if len(known) == len(args) else None


def _strict(operator: Operator, args: list[ScalarValue]) -> Value:
    if operator is Operator.NOT:
        return not args[0]
    if operator is Operator.SIZE:
        return len(str(args[0]))
    if operator is Operator.LOWER_ASCII:
        return str(args[0]).translate(dict(zip(map(ord, ascii_uppercase), ascii_lowercase, strict=True)))
    if operator in (Operator.GREATEST, Operator.LEAST):
        numbers = [int(arg) for arg in args]
        return max(numbers) if operator is Operator.GREATEST else min(numbers)
    if operator is Operator.NEGATE:
        return _int64(-int(args[0]))
    left, right = args
    match operator:
        case Operator.EQUAL:
            return left == right
        case Operator.NOT_EQUAL:
            return left != right
        case Operator.STARTS_WITH:
            return str(left).startswith(str(right))
        case Operator.ENDS_WITH:
            return str(left).endswith(str(right))
        case Operator.CONTAINS:
            return str(right) in str(left)
    if isinstance(left, str) and isinstance(right, str):
        return _ordered(operator, left.encode() < right.encode(), left == right)
    a, b = int(left), int(right)
    if operator in (Operator.LESS, Operator.LESS_OR_EQUAL, Operator.GREATER, Operator.GREATER_OR_EQUAL):
        return _ordered(operator, a < b, a == b)
    return _arithmetic(operator, a, b)


def _ordered(operator: Operator, less: bool, equal: bool) -> bool:
    return {
        Operator.LESS: less,
        Operator.LESS_OR_EQUAL: less or equal,
        Operator.GREATER: not less and not equal,
        Operator.GREATER_OR_EQUAL: not less,
    }[operator]


def _arithmetic(operator: Operator, a: int, b: int) -> int | None:
    if operator is Operator.ADD:
        return _int64(a + b)
    if operator is Operator.SUBTRACT:
        return _int64(a - b)
    if operator is Operator.MULTIPLY:
        return _int64(a * b)
    if b == 0:
        return None
    quotient = abs(a) // abs(b) * (1 if (a < 0) == (b < 0) else -1)
    if _int64(quotient) is None:
        return None
    return quotient if operator is Operator.DIVIDE else a - quotient * b


def _int64(value: int) -> int | None:
    return value if -(2**63) <= value < 2**63 else None
