"""Recognises CEL's macros in a checked expression, where they stand as the loops that they are expanded to."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal


@dataclass(frozen=True, slots=True)
class Macro:
    """A macro with one variable: what it goes through, what it asks of each item, and what map() makes of it.

    `source`, `where` and `body` are checked expressions. `where` is None only for map() with two arguments, and `body`
    for all macros but map().
    """

    name: Literal["all", "exists", "exists_one", "filter", "map"]
    source: Any
    variable: str
    where: Any
    body: Any = None


def macro_of(loop: Any) -> Macro | None:
    """The macro that a comprehension came from; None for one of an extension, such as one with two variables."""
    if loop.iter_var2:
        return None
    if loop.accu_init.const_expr.HasField("bool_value"):
        return _quantifier(loop)
    if loop.accu_init.const_expr.HasField("int64_value"):
        return _exists_one(loop)
    if loop.accu_init.HasField("list_expr") and not loop.accu_init.list_expr.elements:
        return _list(loop)
    return None


def _quantifier(loop: Any) -> Macro | None:
    step, start = loop.loop_step.call_expr, loop.accu_init.const_expr.bool_value
    if (
        len(step.args) == 2
        and _is_accumulator(step.args[0], loop)
        and _is_accumulator(loop.result, loop)
        and loop.loop_condition.call_expr.function == "@not_strictly_false"
        and step.function == ("_&&_" if start else "_||_")
    ):
        return Macro("all" if start else "exists", loop.iter_range, loop.iter_var, step.args[1])
    return None


def _exists_one(loop: Any) -> Macro | None:
    """`where ? count + 1 : count` for each, and `count == 1` in the end."""
    counted, result = _conditional(loop), loop.result.call_expr
    if (
        counted is not None
        and _is_loop_over_all(loop)
        and loop.accu_init.const_expr.int64_value == 0
        and counted[1].const_expr.int64_value == 1
        and result.function == "_==_"
        and _is_accumulator(result.args[0], loop)
        and result.args[1].const_expr.int64_value == 1
    ):
        return Macro("exists_one", loop.iter_range, loop.iter_var, counted[0])
    return None


def _list(loop: Any) -> Macro | None:
    """`where ? list + [item] : list` for filter(); for map() the item is an expression, and `where` can be missing."""
    if not _is_loop_over_all(loop) or not _is_accumulator(loop.result, loop):
        return None
    step = loop.loop_step.call_expr
    found: tuple[Any, Any] | None = _conditional(loop)
    where, added = found if found is not None else (None, _added(step, loop))
    items: Any = added.list_expr.elements if added is not None else ()
    if len(items) != 1:
        return None
    if where is not None and items[0].ident_expr.name == loop.iter_var:
        return Macro("filter", loop.iter_range, loop.iter_var, where)
    return Macro("map", loop.iter_range, loop.iter_var, where, items[0])


def _conditional(loop: Any) -> tuple[Any, Any] | None:
    """Of `where ? accumulator + added : accumulator`, the test and what is added."""
    step = loop.loop_step.call_expr
    if step.function != "_?_:_" or len(step.args) != 3 or not _is_accumulator(step.args[2], loop):
        return None
    added = _added(step.args[1].call_expr, loop)
    return None if added is None else (step.args[0], added)


def _added(call: Any, loop: Any) -> Any:
    if call.function != "_+_" or len(call.args) != 2 or not _is_accumulator(call.args[0], loop):
        return None
    return call.args[1]


def _is_accumulator(expr: Any, loop: Any) -> bool:
    return bool(expr.ident_expr.name == loop.accu_var)


def _is_loop_over_all(loop: Any) -> bool:
    return bool(loop.loop_condition.const_expr.bool_value)
