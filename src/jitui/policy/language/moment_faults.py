"""Constants that the facts of a moment never are: `request.hour == 24`, `request.date < '26.1.2025'`."""

from __future__ import annotations

from collections.abc import Iterator

from jitui.policy.language.syntax import Call, ExpressionFault, Fact, InList, Literal, Node, Operator
from jitui.policy.moments import DATE, HOUR, WEEKDAY, is_date

_LAST = {HOUR: 23, WEEKDAY: 6}
_EQUALITY = (Operator.EQUAL, Operator.NOT_EQUAL)
_ORDERING = (Operator.LESS, Operator.LESS_OR_EQUAL, Operator.GREATER, Operator.GREATER_OR_EQUAL)


def moment_faults(node: Node) -> Iterator[ExpressionFault]:
    """Faults for constants that are compared with a fact of a moment and are no such value."""
    match node:
        case InList(value=Fact(name=name), words=words):
            for word in words:
                yield from _fault(name, word, 0)
        case (
            Call(operator=operator, args=(Fact(name=name), Literal() as other))
            | Call(operator=operator, args=(Literal() as other, Fact(name=name)))
        ):
            if operator in (*_EQUALITY, *_ORDERING):
                # the hour 24 is no hour, but a bound that one may write, as in request.hour < 24
                yield from _fault(name, other, 1 if operator in _ORDERING else 0)


def _fault(name: str, literal: Literal, beyond: int) -> Iterator[ExpressionFault]:
    if name == DATE and not is_date(str(literal.value)):
        yield ExpressionFault(literal.at, f"{name} is a date as in '2025-01-26', and '{literal.value}' is none")
    elif name in _LAST and not 0 <= int(literal.value) <= _LAST[name] + beyond:
        first, last = ("0 for Sunday", "6 for Saturday") if name == WEEKDAY else ("0", "23")
        yield ExpressionFault(literal.at, f"{name} is a number from {first} to {last}, and never {literal.value}")
