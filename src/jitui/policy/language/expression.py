"""Checks and evaluates expressions with Google's CEL run time; a condition is true, false or unknown.

Two environments compile the same text. In the checking environment a line is a message with typed fields, so a misspelt
or mistyped field is refused. In the evaluating environment a line is a map. In a message a missing field reads as zero,
"" or null, so `l.quantity == 0` would be true for a line whose quantity is unknown. In a map a missing key is an
error, which `&&`, `||`, all() and exists() absorb by Kleene's rules.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

from cel_expr_python import cel

from jitui.policy.facts import LINE_FIELDS, FactType
from jitui.policy.language.functions import functions
from jitui.policy.language.known import PREFIX, Rewritten, without_known
from jitui.policy.language.syntax import ExpressionFault, Names, Node
from jitui.policy.language.tree import read_tree
from jitui.policy.language.wording import compile_faults, written_wrongly

if TYPE_CHECKING:
    from cel_expr_python.cel import Env, Expression, Type
    from google.protobuf.descriptor_pool import DescriptorPool

MAX_CHARACTERS = 8_000
_LINE = "jitui.Line"
_SCALAR_TYPES = {FactType.INT: cel.Type.INT, FactType.BOOL: cel.Type.BOOL, FactType.STRING: cel.Type.STRING}
_PROTO_TYPES = {FactType.INT: 3, FactType.BOOL: 8, FactType.STRING: 9}


@dataclass(frozen=True, slots=True)
class Checked:
    """An expression of the supported subset, with its type and its syntax tree."""

    text: str
    type: FactType
    tree: Node


@cache
def engine_name() -> str:
    """The name and version of the run time, which are stored with every decision."""
    from importlib.metadata import version

    return f"cel-expr-python {version('cel-expr-python')}"


def check(text: str, names: Names) -> Checked | tuple[ExpressionFault, ...]:
    """The checked expression, or every fault in it."""
    if len(text) > MAX_CHARACTERS:
        return (ExpressionFault(0, f"over {MAX_CHARACTERS} characters: split the expression into definitions"),)
    if wrong := written_wrongly(text):
        return wrong
    run = without_known(text, names)
    if run.faults:
        return run.faults
    try:
        compiled = _checking_env(names, run).compile(run.text)
    except RuntimeError as error:  # the binding raises RuntimeError for every compile error
        return compile_faults(str(error), run.text, names)
    tree = read_tree(compiled.serialize(), run.text, names)
    if isinstance(tree, tuple):
        return tree
    if tree.type is FactType.LINES:
        return (ExpressionFault(tree.at, "order.lines is a list: ask for all() or exists() of its lines"),)
    return Checked(text, tree.type, tree)


def evaluating_env(names: Names, text: str, tested: Iterable[str] = ()) -> Env:
    """The environment in which checked expressions are compiled for evaluation.

    `text` has all of them, and `tested` are the facts of their `known()`.
    """
    line = cel.Type.Map(cel.Type.STRING, cel.Type.DYN)
    variables = _variables(names, cel.Type.List(line), tested)
    return cel.NewEnv(_line_pool(), variables=variables, extensions=functions(text))


def value_of(program: Expression, data: Any, kind: FactType) -> bool | int | str | None:
    """The value of an expression on the known facts; None when it is unknown. Raises nothing, whatever the data."""
    # A run-time error is a value of type ERROR whose text is a str, so the type must be checked, not the value.
    result = program.eval(data)
    value = result.value()
    if kind is FactType.BOOL:
        return value if value is True or value is False else None
    return value if result.type() == _SCALAR_TYPES[kind] else None


def _checking_env(names: Names, run: Rewritten) -> Env:
    lines = cel.Type.List(cel.Type(_LINE))
    return cel.NewEnv(_line_pool(), variables=_variables(names, lines, run.facts), extensions=functions(run.text))


def _variables(names: Names, lines: Type, tested: Iterable[str]) -> Mapping[str, Type]:
    facts = {name: _SCALAR_TYPES.get(spec.type, lines) for name, spec in names.facts.items()}
    # A definition with a fault gets the type DYN, which fits everywhere, so its fault is reported only once.
    definitions = {name: _SCALAR_TYPES[kind] if kind else cel.Type.DYN for name, kind in names.definitions.items()}
    lists = {name: cel.Type.List(_SCALAR_TYPES[names.type_of_list(name)]) for name in names.lists}
    known = dict.fromkeys((PREFIX + name for name in tested), cel.Type.BOOL)
    return facts | definitions | dict.fromkeys(names.parameters, cel.Type.INT) | lists | known


@cache
def _line_pool() -> DescriptorPool:
    # slow to import, and needed only when a policy is loaded
    from google.protobuf import descriptor_pb2, descriptor_pool

    file = descriptor_pb2.FileDescriptorProto(name="jitui/line.proto", package="jitui", syntax="proto2")
    message = file.message_type.add(name="Line")
    for number, spec in enumerate(LINE_FIELDS.values(), 1):
        message.field.add(name=spec.name, number=number, type=_PROTO_TYPES[spec.type], label=1)
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return pool
