"""Writes a tree as text, and compares two trees."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

from jitui.policy.facts import LINES, FactType
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
    children,
    walk,
)

_CALLED = (Operator.SIZE, Operator.GREATEST, Operator.LEAST, Operator.LOWER_ASCII)
_METHODS = (Operator.STARTS_WITH, Operator.ENDS_WITH, Operator.CONTAINS)
_RISING_RIGHT = {Operator.LESS: 1, Operator.LESS_OR_EQUAL: 1, Operator.GREATER: -1, Operator.GREATER_OR_EQUAL: -1}


def unparse(node: Node) -> str:
    """The expression in CEL, with parentheses around every operand that has operands."""
    match node:
        case Literal(parameter=str(name)):
            return name
        case Literal(value=value):
            escaped = str(value).replace("\\", "\\\\").replace("'", "\\'").replace("\n", "\\n")
            return f"'{escaped}'" if isinstance(value, str) else str(value).lower()
        case Fact(name=name) | DefinitionRef(name=name):
            return name
        case LineField(name=name):
            return f"l.{name}"
        case Known(of=of):
            return f"known({unparse(of)})"
        case Matches(value=value, pattern=pattern):
            return f"{_operand(value)}.matches({unparse(Literal(pattern, FactType.STRING, 0))})"
        case InList(value=value, name=str(name)):
            return f"{_operand(value)} in {name}"
        case InList(value=value, words=words):
            return f"{_operand(value)} in [{', '.join(unparse(word) for word in words)}]"
        case Quantifier(every=every, body=body):
            return f"{LINES}.{'all' if every else 'exists'}(l, {unparse(body)})"
        case Fold():
            return _fold(node)
    return _call(node)


def _fold(fold: Fold) -> str:
    where = unparse(fold.where) if fold.where is not None else ""
    if fold.kind is FoldKind.EXACTLY_ONE:
        return f"{LINES}.exists_one(l, {where})"
    counted = f"{LINES}.filter(l, {where})" if where else LINES
    if fold.body is None:
        return f"{counted}.size()"
    return f"{counted}.map(l, {unparse(fold.body)}).sum()"


def _call(call: Call) -> str:
    match call.operator:
        case Operator.NOT:
            return f"!{_operand(call.args[0])}"
        case Operator.NEGATE:
            return f"-{_operand(call.args[0])}"
        case Operator.SIZE:
            return f"size({unparse(call.args[0])})"
        case Operator.CONDITIONAL:
            return "{} ? {} : {}".format(*(_operand(arg) for arg in call.args))
        case Operator.GREATEST | Operator.LEAST:
            return f"{call.operator}({', '.join(unparse(arg) for arg in call.args)})"
        case Operator.LOWER_ASCII:
            return f"{_operand(call.args[0])}.lowerAscii()"
        case operator if operator in _METHODS:
            return f"{_operand(call.args[0])}.{operator}({unparse(call.args[1])})"
    return f" {call.operator} ".join(_operand(arg) for arg in call.args)


def _operand(node: Node) -> str:
    simple = not isinstance(node, Call | InList) or (isinstance(node, Call) and node.operator in _CALLED)
    return unparse(node) if simple else f"({unparse(node)})"


def expanded(node: Node, definitions: Mapping[str, Node]) -> Node:
    """The tree with all definitions replaced by their trees, parameters by their values, and without positions.

    Equal trees decide equally."""
    match node:
        case DefinitionRef(name=name) if name in definitions:
            return expanded(definitions[name], definitions)
        case Call(args=args):
            return replace(node, args=tuple(expanded(arg, definitions) for arg in args), at=0)
        case InList(value=value, words=words):
            bare = tuple(sorted({_bare(word) for word in words}, key=lambda word: (str(word.type), word.value)))
            return replace(node, value=expanded(value, definitions), words=bare, at=0, name=None)
        case Matches(value=value):
            return replace(node, value=expanded(value, definitions), at=0)
        case Quantifier(body=body):
            return replace(node, body=expanded(body, definitions), at=0)
        case Fold(where=where, body=of_each):
            parts = (None if one is None else expanded(one, definitions) for one in (where, of_each))
            return replace(node, where=next(parts), body=next(parts), at=0)
        case Literal():
            return _bare(node)
        case Known(of=of):
            return replace(node, of=replace(of, at=0), at=0)
    return replace(node, at=0)


def _bare(literal: Literal) -> Literal:
    return replace(literal, at=0, parameter=None)


def lists_in(node: Node) -> tuple[str, ...]:
    """The lists that a tree names, in the order of appearance, without those of its definitions."""
    return tuple(one.name for one in walk(node) if isinstance(one, InList) and one.name is not None)


def parameters_in(node: Node) -> tuple[str, ...]:
    """The parameters that a tree names, in the order of appearance, without those of its definitions."""
    constants = [leaf for one in walk(node) for leaf in (one, *(one.words if isinstance(one, InList) else ()))]
    return tuple(one.parameter for one in constants if isinstance(one, Literal) and one.parameter)


@dataclass(frozen=True, slots=True)
class Moved:
    """One difference between two trees: a constant, or the words of one `in`.

    `old` and `new` are the comparisons that contain it. `sign` is 1 when the whole expression becomes true more often,
    -1 when less often, and 0 when the operators alone do not tell.
    """

    old: Node
    new: Node
    sign: int


def moved_constants(old: Node, new: Node) -> tuple[Moved, ...] | None:
    """The constants that differ between two trees without positions; None when other parts differ too."""
    found = list(_moved(old, new, 1))
    return None if None in found else tuple(one for one in found if one is not None)


def _moved(old: Node, new: Node, sign: int) -> Iterator[Moved | None]:
    if old == new:
        return
    if not _alike(old, new):
        yield None
        return
    if isinstance(old, InList) and isinstance(new, InList):
        if old.value != new.value:
            yield None
            return
        grown, shrunk = set(new.words) >= set(old.words), set(old.words) >= set(new.words)
        yield Moved(old, new, sign * (grown - shrunk))
        return
    pairs = list(zip(children(old), children(new), strict=True))
    for place, (one, other) in enumerate(pairs):
        if isinstance(one, Literal) and isinstance(other, Literal) and one != other:
            yield Moved(old, new, sign * _rising(old, place, one, other))
        else:
            yield from _moved(one, other, sign * _passed_on(old, place))


def _alike(old: Node, new: Node) -> bool:
    """Whether two nodes are equal, apart from their operands."""
    match old, new:
        case Call(operator=one, args=those), Call(operator=other, args=these):
            return one is other and len(those) == len(these)
        case Quantifier(every=first), Quantifier(every=second):
            return first is second
        case Fold(kind=kind), Fold(kind=another):
            return kind is another and len(children(old)) == len(children(new))
        case InList(), InList():
            return True
    return False


def _passed_on(parent: Node, place: int) -> int:
    """How a child affects its parent when it is true more often: 1 for more often, -1 for less often, 0 for unknown."""
    if isinstance(parent, Quantifier):
        return 1
    if not isinstance(parent, Call) or parent.type is not FactType.BOOL:
        return 0
    if parent.operator in (Operator.AND, Operator.OR):
        return 1
    if parent.operator is Operator.CONDITIONAL:
        return 1 if place > 0 else 0
    return -1 if parent.operator is Operator.NOT else 0


def _rising(parent: Node, place: int, old: Literal, new: Literal) -> int:
    """How a comparison changes when its constant goes from `old` to `new`: as in `_passed_on`."""
    if not isinstance(parent, Call) or parent.operator not in _RISING_RIGHT:
        return 0
    if type(old.value) is not int or type(new.value) is not int:
        return 0
    direction = 1 if new.value > old.value else -1
    return direction * _RISING_RIGHT[parent.operator] * (1 if place == 1 else -1)
