"""Advice about numbers that are written twice: in two expressions, or in an expression and a sentence about it.

Whoever changes one of them can forget the other, and then people read another limit than the one that decides. What
is often equal by chance is left alone: 0 and 1, factors as in `refunds * 5 <= orders`, the windows of features, small
numbers in two expressions, and numbers in addresses, dates and names.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction

from jitui.money import currency_exponent
from jitui.policy.facts import LINE_FIELDS, MONEY, FactSpec, FactType
from jitui.policy.language.syntax import (
    Call,
    DefinitionRef,
    Fact,
    Fold,
    FoldKind,
    InList,
    LineField,
    Literal,
    Node,
    Operator,
    children,
)
from jitui.policy.loading.parameters import Parameters
from jitui.policy.loading.written import PERCENT, Written, WrittenExpression, WrittenSentence
from jitui.policy.loading.yaml_document import Place
from jitui.policy.program import Reads, reads_of

_LEAST_IN_ITS_SENTENCE = 2
_LEAST_ELSEWHERE = 10
_COMPARISONS = (
    Operator.LESS,
    Operator.LESS_OR_EQUAL,
    Operator.GREATER,
    Operator.GREATER_OR_EQUAL,
    Operator.EQUAL,
    Operator.NOT_EQUAL,
)
_FACTORS = (Operator.MULTIPLY, Operator.DIVIDE, Operator.REMAINDER)
_SHARED_UNITS = (MONEY, "seconds", "approvals", PERCENT)
"""Units in which equal numbers mean the same; in other units only numbers that are compared with the same facts do."""

_DAYS = ("days", "calendar days")
_DAY_SECONDS = 86_400
_WORDS: tuple[tuple[str, int | str], ...] = (
    (r"%|％|percent\b|per cent\b", PERCENT),
    (r"天|日|days?\b", _DAY_SECONDS),
    (r"小时|hours?\b", 3_600),
    (r"分钟|minutes?\b", 60),
    (r"秒|seconds?\b", 1),
    (r"周|星期|weeks?\b", 7 * _DAY_SECONDS),
    (r"个?月|年|months?\b|years?\b", "calendar"),
)
_MYRIADS = {"万": 10**4, "亿": 10**8}
_LIMITS = {
    "caps.buyer_": "caps.per_buyer.",
    "caps.shop_": "caps.per_shop.",
    "caps.platform_": "caps.platform.",
    "caps.category_": "caps.per_category.",
    "caps.cluster_": "caps.per_cluster.",
    "buyer.selected": "selection.",
}
"""The limits that a sentence about a condition with this fact may speak of."""
_UNITS_IN_WORDS = "|".join(f"(?P<w{at}>{word})" for at, (word, _) in enumerate(_WORDS))
_ADDRESS = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://[!-~]+")
_NUMBER = re.compile(
    r"(?<![A-Za-z0-9_.,/:#&=?+第-])(?P<digits>[0-9]{1,3}(?:,[0-9]{3})+(?:\.[0-9]+)?|[0-9]+(?:\.[0-9]+)?)"
    rf"(?:\s?(?P<myriad>[万亿]))?(?:[\s-]?(?:{_UNITS_IN_WORDS}))?"
    r"(?![A-Za-z0-9_]|[-/:.,][A-Za-z0-9])"
)


@dataclass(frozen=True, slots=True)
class _Occurrence:
    """A number that decides something; `subject` is what it is a number of, so that equal ones mean the same."""

    key: str
    place: Place
    value: int
    unit: str
    subject: str
    parameter: str | None
    is_limit: bool = False


@dataclass(frozen=True, slots=True)
class _Shown:
    """A number in a sentence, with what follows it: seconds of a unit of time, PERCENT, or None."""

    text: str
    at: int
    value: Fraction
    word: int | str | None


@dataclass(frozen=True, slots=True)
class Meaning:
    """What names mean in a policy: its facts, what each definition reads, its parameters, and its currency."""

    facts: Mapping[str, FactSpec]
    definitions: Mapping[str, Reads]
    parameters: Parameters
    currency: str


def repeated_numbers(found: Written, meaning: Meaning) -> Iterator[tuple[Place, str]]:
    """The places of numbers that are written twice, each with advice."""
    occurrences = [one for expression in found.expressions for one in _in_expression(expression, meaning)]
    occurrences += _in_limits(found, meaning.parameters)
    yield from _between_expressions(occurrences)
    reads = {one.key: reads_of(one.tree, meaning.definitions) for one in found.expressions}
    for sentence in found.sentences:
        about = _about(sentence, occurrences, reads)
        for number in _shown(sentence, meaning.parameters):
            same = next((one for one in about if _is_same(one, number, meaning.currency)), None)
            if same is not None:
                yield sentence.leaf.place_of(number.at), _said(number, same)


# Numbers that decide ----------------------------------------------------------------------------------------------


def _in_expression(expression: WrittenExpression, meaning: Meaning) -> Iterator[_Occurrence]:
    for literal, compared in _measured(expression.tree, expression.tree):
        if type(literal.value) is int:
            unit, names = _unit(compared, meaning)
            subject = unit if unit in _SHARED_UNITS else " ".join(names)
            place = expression.leaf.place_of(literal.at)
            yield _Occurrence(expression.key, place, literal.value, unit, subject, literal.parameter)


def _measured(node: Node, compared: Node) -> Iterator[tuple[Literal, Node]]:
    """The constants of a tree, each with the comparison around it; a factor is left out unless it has a name."""
    if isinstance(node, Literal):
        yield node, compared
        return
    if isinstance(node, InList) and node.name is None:
        yield from ((word, node.value) for word in node.words)
    is_comparison = isinstance(node, Call) and node.operator in _COMPARISONS
    is_product = isinstance(node, Call) and node.operator in _FACTORS
    for child in children(node):
        if not is_product or not isinstance(child, Literal):
            yield from _measured(child, node if is_comparison else compared)
        elif child.parameter is not None:
            yield child, child


def _unit(compared: Node, meaning: Meaning) -> tuple[str, tuple[str, ...]]:
    """The unit of the whole numbers in a comparison, empty when they have several, and their names."""
    names: dict[str, str] = {}
    for node in _numbers(compared):
        match node:
            case Fold(kind=FoldKind.COUNT):
                names["lines"] = "lines"
            case Fact(name=name, type=FactType.INT):
                names[name] = meaning.facts[name].unit
            case LineField(name=name, type=FactType.INT):
                names[f"line {name}"] = LINE_FIELDS[name].unit
            case DefinitionRef(name=name, type=FactType.INT):
                specs = (meaning.facts[fact] for fact in meaning.definitions[name].facts)
                names |= {spec.name: spec.unit for spec in specs if spec.type is FactType.INT}
    units = set(names.values())
    return (units.pop() if len(units) == 1 else ""), tuple(sorted(names))


def _numbers(node: Node) -> Iterator[Node]:
    """The node and those below it that are part of its number: not what filter() asks of a line."""
    yield node
    for child in children(node):
        if not isinstance(node, Fold) or child is node.body:
            yield from _numbers(child)


def _in_limits(found: Written, parameters: Parameters) -> Iterator[_Occurrence]:
    for limit in found.limits:
        named = limit.leaf.value if limit.leaf.value in parameters.values else None
        value = parameters.values[named] if named else int(limit.leaf.value)
        yield _Occurrence(limit.key, limit.leaf.place, value, limit.unit, limit.unit, named, is_limit=True)


def _between_expressions(occurrences: Sequence[_Occurrence]) -> Iterator[tuple[Place, str]]:
    for at, one in enumerate(occurrences):
        if one.parameter is not None or abs(one.value) < _LEAST_ELSEWHERE:
            continue
        alike = [
            other
            for place, other in enumerate(occurrences)
            if (other.value, other.subject) == (one.value, one.subject)
            and other.key != one.key
            and not (other.is_limit and one.is_limit)
            and (place < at or other.parameter is not None)
        ]
        named = next((other for other in alike if other.parameter is not None), None)
        if named is not None:
            yield one.place, f"{one.value} is the parameter {named.parameter}: write its name here"
        elif alike:
            where = f"{alike[0].key} in line {alike[0].place.line}"
            yield one.place, f"{one.value} is written twice, here and for {where}: a parameter keeps both the same"


# Numbers in sentences ---------------------------------------------------------------------------------------------


def _about(
    sentence: WrittenSentence, occurrences: Sequence[_Occurrence], reads: Mapping[str, Reads]
) -> list[_Occurrence]:
    """The numbers that a sentence may speak of: of its condition, or of the whole policy for the title and notice."""
    if sentence.condition is None:
        return [one for one in occurrences if abs(one.value) >= _LEAST_ELSEWHERE]
    key = f"conditions.{sentence.condition}"
    read = reads[key]
    keys = {key, *(f"definitions.{name}" for name in read.definitions)}
    limits = tuple(limit for fact, limit in _LIMITS.items() if any(name.startswith(fact) for name in read.facts))
    return [
        one
        for one in occurrences
        if abs(one.value) >= _LEAST_IN_ITS_SENTENCE and (one.key in keys or (limits and one.key.startswith(limits)))
    ]


def _shown(sentence: WrittenSentence, parameters: Parameters) -> Iterator[_Shown]:
    text = sentence.leaf.value
    if parameters.given:
        for reference in sentence.references():
            text = text[: reference.at] + " " * (reference.end - reference.at) + text[reference.end :]
    text = _ADDRESS.sub(lambda found: " " * len(found[0]), text)
    for found in _NUMBER.finditer(text):
        word = next((what for at, (_, what) in enumerate(_WORDS) if found[f"w{at}"]), None)
        value = Fraction(found["digits"].replace(",", "")) * _MYRIADS.get(found["myriad"], 1)
        yield _Shown(found["digits"] + (found["myriad"] or ""), found.start(), value, word)


def _is_same(one: _Occurrence, number: _Shown, currency: str) -> bool:
    """Whether a number in a sentence is the number that decides: 300 and 300.00 are 30000 minor units of CNY."""
    word, value = number.word, number.value
    if word == PERCENT or one.unit == PERCENT:
        return word == one.unit == PERCENT and value == one.value
    if isinstance(word, int) and one.unit == "seconds":
        return value * word == one.value
    if isinstance(word, int) and one.unit in _DAYS:
        return value * word == one.value * _DAY_SECONDS
    if one.unit == MONEY:
        return word is None and value > 1 and value * 10 ** currency_exponent(currency) == one.value
    return value == one.value and "." not in number.text and (word is None or not one.unit)


def _said(number: _Shown, same: _Occurrence) -> str:
    form = "|money" if same.unit == MONEY else ""
    if same.parameter is not None:
        shown = f"{{{same.parameter}{form}}}"
        return f"{number.text} is the parameter {same.parameter}: {shown} changes with it"
    decided = "" if str(same.value) == number.text else f" ({same.value})"
    example = f", as in name * {number.word}," if decided and same.unit == "seconds" else ""
    return (
        f"{number.text} is written twice, here and for {same.key} in line {same.place.line}{decided}: "
        f"a parameter{example} keeps both the same, and a sentence shows it as {{name{form}}}"
    )
