"""Google's CEL run time: one environment that checks, one that evaluates, and verdicts of three values.

Both environments compile the same text. In the checking one a line is a message with typed fields, so a
misspelt or mistyped field is refused. In the evaluating one a line is a map, because a field that a message does
not carry reads as zero, "" or null, and `l.quantity != 0` would then be true of a line whose quantity nobody knows.
A key that a map does not carry is an error, which `&&`, `||`, all() and exists() absorb by Kleene's rules.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

from cel_expr_python import cel  # type: ignore[import-untyped]

from jitui.policy.facts import LINE_FIELDS, FactType
from jitui.policy.problems import did_you_mean
from jitui.policy.syntax import SUPPORTED, Fault, Names, Node, read_tree, start_of_name

if TYPE_CHECKING:
    from cel_expr_python.cel import Env, Expression, Type  # type: ignore[import-untyped]
    from google.protobuf.descriptor_pool import DescriptorPool

MAX_CHARACTERS = 8_000
_LINE = "jitui.Line"
_SCALAR_TYPES = {FactType.INT: cel.Type.INT, FactType.BOOL: cel.Type.BOOL, FactType.STRING: cel.Type.STRING}
_PROTO_TYPES = {FactType.INT: 3, FactType.BOOL: 8, FactType.STRING: 9}
_CEL_ERROR = re.compile(r"ERROR: <input>:(-?\d+):(-?\d+): (.*)")
_TOO_DEEP = "too long or too deep for CEL: split it into definitions"
_WORDS = {"int": "a whole number", "bool": "true or false", "string": "text", "double": "a decimal number"}


@dataclass(frozen=True, slots=True)
class Checked:
    """An expression of the supported subset, with its type and its tree."""

    text: str
    type: FactType
    tree: Node


@cache
def engine_name() -> str:
    """Name and version of the run time that evaluates; stored with every decision."""
    from importlib.metadata import version

    return f"cel-expr-python {version('cel-expr-python')}"


def check(text: str, names: Names) -> Checked | tuple[Fault, ...]:
    """The checked expression, or every fault that was found in it."""
    if len(text) > MAX_CHARACTERS:
        return (Fault(0, f"over {MAX_CHARACTERS} characters: split the expression into definitions"),)
    try:
        compiled = _checking_env(names).compile(text)
    except RuntimeError as error:  # the binding raises this one class for every compile error
        return _faults(str(error), text, names)
    tree = read_tree(compiled.serialize(), text, names)
    if isinstance(tree, tuple):
        return tree
    if tree.type is FactType.LINES:
        return (Fault(tree.at, "order.lines is a list: ask for all() or exists() of its lines"),)
    return Checked(text, tree.type, tree)


def evaluating_env(names: Names) -> Env:
    """The environment in which checked expressions are compiled for evaluation."""
    line = cel.Type.Map(cel.Type.STRING, cel.Type.DYN)
    return cel.NewEnv(_line_pool(), variables=_variables(names, cel.Type.List(line)))


def value_of(program: Expression, data: Any, kind: FactType) -> bool | int | str | None:
    """The value of an expression on the known facts, None when it is unknown; never raises for data."""
    # A run-time error is a value of type ERROR (its text is a str): the type decides, not the value.
    result = program.eval(data)
    value = result.value()
    if kind is FactType.BOOL:
        return value if value is True or value is False else None
    return value if result.type() == _SCALAR_TYPES[kind] else None


def _checking_env(names: Names) -> Env:
    return cel.NewEnv(_line_pool(), variables=_variables(names, cel.Type.List(cel.Type(_LINE))))


def _variables(names: Names, lines: Type) -> Mapping[str, Type]:
    facts = {name: _SCALAR_TYPES.get(spec.type, lines) for name, spec in names.facts.items()}
    # A definition that is wrong itself fits everywhere: one fault is not reported twice.
    definitions = {name: _SCALAR_TYPES[kind] if kind else cel.Type.DYN for name, kind in names.definitions.items()}
    return facts | definitions


@cache
def _line_pool() -> DescriptorPool:
    from google.protobuf import descriptor_pb2, descriptor_pool  # slow to import, and only loading needs it

    file = descriptor_pb2.FileDescriptorProto(name="jitui/line.proto", package="jitui", syntax="proto2")
    message = file.message_type.add(name="Line")
    for number, spec in enumerate(LINE_FIELDS.values(), 1):
        message.field.add(name=spec.name, number=number, type=_PROTO_TYPES[spec.type], label=1)
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return pool


def _faults(message: str, text: str, names: Names) -> tuple[Fault, ...]:
    found = _CEL_ERROR.findall(message)
    if not found:
        return (Fault(0, _TOO_DEEP),)
    lines = text.split("\n")
    faults = []
    for line, column, words in found:
        row = max(int(line) - 1, 0)
        at = sum(len(earlier) + 1 for earlier in lines[:row]) + max(int(column) - 1, 0)
        faults.append(_in_our_words(at, words.removesuffix(" [INVALID_ARGUMENT]"), text, names))
    return tuple(dict.fromkeys(faults))


def _in_our_words(at: int, words: str, text: str, names: Names) -> Fault:
    if match := re.match(r"undeclared reference to '([^']*)'", words):
        name = match[1]
        known = [*names.facts, *names.definitions]
        return Fault(start_of_name(text, at, name), f"there is no fact {name}{did_you_mean(name, known)}")
    if match := re.match(r"undefined field '([^']*)' not found in struct", words):
        return Fault(at + 1, f"a line has no field {match[1]}{did_you_mean(match[1], list(LINE_FIELDS))}")
    if match := re.match(r"found no matching overload for '([^']*)' applied to '(.*)'", words):
        return Fault(at, f"{match[1].strip('_@').replace('_', ' ')} does not fit {_types(match[2])}")
    if "recursion depth" in words:
        return Fault(at, _TOO_DEEP)
    if words.startswith("Syntax error: ") and "<EOF>" in words.split(" expecting ")[0]:
        return Fault(at, "the expression ends too early")
    if words.startswith("Syntax error: "):
        return Fault(at, f"this is not CEL: {words.removeprefix('Syntax error: ').split(' expecting ')[0]}")
    return Fault(at, f"{words}; {SUPPORTED}")


def _types(signature: str) -> str:
    parts = re.sub(r"^[^(]*\.\(|[()]", "", signature).split(", ")
    return " and ".join(_WORDS.get(part, "a line" if part == _LINE else part) for part in parts)
