"""Runs CEL's public conformance cases of the supported subset, in CEL's run time and in query engines.

The cases are those of the CEL specification, in the npm package @bufbuild/cel-spec; `make setup` puts them beside the
environment, and none is committed. A case is included when `check` accepts its expression and its value is a whole
number, true, false or text. An expected error (overflow, division by zero, a variable without a value) is *unknown*
here. Engines evaluate each case twice: as written, and with its constants as columns, because an engine may compute
constants when it plans a query, and columns only when it runs it.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from jitui.backtest.columns import Reading
from jitui.backtest.engine import Engine
from jitui.errors import NotConfigured
from jitui.policy import FactSpec, FactType
from jitui.policy.facts import ScalarValue
from jitui.policy.language.expression import Checked, check, evaluating_env, value_of
from jitui.policy.language.syntax import Call, Fact, InList, Literal, Matches, Names, Node

CASES_FILE = Path(__file__).resolve().parents[3] / ".venv" / "frontend" / "cel-conformance.json"
"""Where `make setup` puts the cases."""
EXPRESSIONS_A_QUERY = 150

_VALUES = {"boolValue": FactType.BOOL, "int64Value": FactType.INT, "stringValue": FactType.STRING}
_PRIMITIVES = {"BOOL": FactType.BOOL, "INT64": FactType.INT, "STRING": FactType.STRING}
_ARROW = {FactType.INT: pa.int64(), FactType.BOOL: pa.bool_(), FactType.STRING: pa.string()}


class LeftOutReason(StrEnum):
    """Why a case is left out."""

    ONLY_CHECKED = "the case has no value, only a type"
    VARIABLE = "a variable that is no whole number, truth or text"
    FUNCTION_DECLARED = "the case declares a function of its own"
    VALUE = "a value that is no whole number, truth or text"
    NUMBER = "unsigned or decimal numbers, bytes or null"
    LIST = "lists, other than order.lines and the right side of `in`"
    MAP_OR_MESSAGE = "maps and messages"
    MACRO = "a macro on anything but order.lines"
    HAS = "has()"
    FUNCTION = "functions and conversions that are not supported"
    OPERATOR = "an operator on types for which it is not supported"
    NAME = "names that are no facts: types, enums, containers, what nothing declares"
    NUL = "text with the character NUL"
    SYNTAX = "syntax of an extension"


_BY_REFUSAL = (
    (r"only whole numbers", LeftOutReason.NUMBER),
    (r"does not fit .*(decimal|uint|bytes|null)", LeftOutReason.NUMBER),
    (r"does not fit .*list", LeftOutReason.LIST),
    (r"does not fit .*map", LeftOutReason.MAP_OR_MESSAGE),
    (r"does not fit|arithmetic is for|orders whole numbers|compares values", LeftOutReason.OPERATOR),
    (r"a list outside|right side of `in`", LeftOutReason.LIST),
    (r"a map or|\[_\] is not|fields are read only|operand of a select", LeftOutReason.MAP_OR_MESSAGE),
    (r"has\(\)", LeftOutReason.HAS),
    (r"order\.lines only|only order.lines|of the macros|variable name must be", LeftOutReason.MACRO),
    (r"unsupported syntax", LeftOutReason.SYNTAX),
    (r"character NUL", LeftOutReason.NUL),
    (r"^(all|exists|exists_one|existsOne|map|filter|transform\w+)\(\) is not supported", LeftOutReason.MACRO),
    (r"[\w)] is not supported", LeftOutReason.FUNCTION),
)
_MACRO_CALL = re.compile(r"\.\s*(all|exists|exists_one|existsOne|map|filter|transform\w+)\s*\(")


@dataclass(frozen=True, slots=True)
class ConformanceCase:
    """A public case. A variable's type is None when Jitui has no such type; `expected` None is an error."""

    name: str
    text: str
    variables: Mapping[str, FactType | None]
    bindings: Mapping[str, ScalarValue]
    expected: ScalarValue | None
    left_out: LeftOutReason | None


@dataclass(frozen=True, slots=True)
class LeftOut:
    """A case that is not run; `detail` is the message with which its expression is refused."""

    name: str
    reason: LeftOutReason
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Included:
    """A case of the supported subset."""

    case: ConformanceCase
    checked: Checked


@dataclass(frozen=True, slots=True)
class Wrong:
    """A case whose value differs from the specification's; None is an error or unknown."""

    name: str
    text: str
    reading: str
    expected: ScalarValue | None
    found: ScalarValue | None


@dataclass(frozen=True, slots=True)
class Conformance:
    """The result of a run; `read` counts the values per evaluator."""

    cases: int
    included: int
    left_out: Mapping[LeftOutReason, int]
    read: Mapping[str, int]
    wrong: tuple[Wrong, ...]


# The cases ---------------------------------------------------------------------------------------------------------


def load_cases(path: Path = CASES_FILE) -> tuple[ConformanceCase, ...]:
    """Every case, named `file/section/name`; a second case with the same name is `name#2`.

    Raises NotConfigured when set-up has not installed the file.
    """
    if not path.exists():
        raise NotConfigured(f"CEL's conformance cases are not in {path}: run make setup in a checkout.")
    seen: Counter[str] = Counter()
    cases = []
    for place, original in _tests(json.loads(path.read_text(encoding="utf-8")), ()):
        name = "/".join((*place, original["name"]))
        seen[name] += 1
        cases.append(_case(f"{name}#{seen[name]}" if seen[name] > 1 else name, original))
    return tuple(cases)


def _tests(suite: Mapping[str, Any], place: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], Mapping[str, Any]]]:
    for test in suite.get("tests", ()):
        yield place, test["original"]
    for inner in suite.get("suites", ()):
        yield from _tests(inner, (*place, inner["name"]))


def _case(name: str, original: Mapping[str, Any]) -> ConformanceCase:
    declared = original.get("typeEnv", ())
    bindings = {key: _scalar(bound.get("value", {})) for key, bound in original.get("bindings", {}).items()}
    variables = {key: _type_of(value) for key, value in bindings.items()}
    identifiers = {one["name"]: one["ident"]["type"] for one in declared if "ident" in one}
    variables |= {key: _PRIMITIVES.get(kind.get("primitive")) for key, kind in identifiers.items()}
    known = {key: value for key, value in bindings.items() if value is not None}
    reason = _left_out_by_form(original, variables)
    return ConformanceCase(name, original["expr"], variables, known, _expected(original), reason)


def _expected(original: Mapping[str, Any]) -> ScalarValue | None:
    if "evalError" in original:
        return None
    value = original.get("value", original.get("typedResult", {}).get("result"))
    return _scalar(value) if value else True  # the specification: a case without a value expects true


def _left_out_by_form(original: Mapping[str, Any], variables: Mapping[str, FactType | None]) -> LeftOutReason | None:
    """Why a case is left out independent of its expression; None when it is not."""
    if any("function" in one for one in original.get("typeEnv", ())):
        return LeftOutReason.FUNCTION_DECLARED
    if None in variables.values():
        return LeftOutReason.VARIABLE
    if variables and original.get("container"):
        return LeftOutReason.NAME
    if original.get("checkOnly"):
        return LeftOutReason.ONLY_CHECKED
    return LeftOutReason.VALUE if "evalError" not in original and _expected(original) is None else None


def _scalar(value: Mapping[str, Any]) -> ScalarValue | None:
    """A value from protobuf's JSON; None when it has another type."""
    for field, kind in _VALUES.items():
        if field in value:
            return int(value[field]) if kind is FactType.INT else value[field]
    return None


def _type_of(value: ScalarValue | None) -> FactType | None:
    if value is None:
        return None
    return {bool: FactType.BOOL, int: FactType.INT, str: FactType.STRING}[type(value)]


# Which are in ------------------------------------------------------------------------------------------------------


def classify(case: ConformanceCase) -> Included | LeftOut:
    """Include the case when Jitui's own check accepts its expression."""
    if case.left_out:
        return LeftOut(case.name, case.left_out)
    checked = check(case.text, _names(case))
    if isinstance(checked, Checked):
        return Included(case, checked)
    refusal = checked[0].message.split("; supported are ")[0]
    return LeftOut(case.name, _reason(refusal, case.text), refusal)


def _reason(refusal: str, text: str) -> LeftOutReason:
    if match := re.match(r"there is no fact (\S+)", refusal):
        name = r"\s*\.\s*".join(re.escape(part) for part in match[1].strip(".").split("."))
        if _MACRO_CALL.search(text):
            return LeftOutReason.MACRO
        if re.search(rf"{name}\s*(\.\s*\w+\s*)*\{{", text):
            return LeftOutReason.MAP_OR_MESSAGE
        return LeftOutReason.FUNCTION if re.search(rf"{name}\s*(\.\s*\w+\s*)*\(", text) else LeftOutReason.NAME
    return next((reason for pattern, reason in _BY_REFUSAL if re.search(pattern, refusal)), LeftOutReason.NAME)


def _names(case: ConformanceCase) -> Names:
    specs = {name: FactSpec(name, kind, "", "") for name, kind in case.variables.items() if kind}
    return Names(specs, {})


def left_out_text(left_out: Iterable[LeftOut]) -> str:
    """One line for each case that is left out, `name: reason`, ordered by name."""
    return "".join(sorted(f"{one.name}: {one.reason}\n" for one in left_out))


# Evaluation --------------------------------------------------------------------------------------------------------


def run_conformance(cases: Sequence[ConformanceCase], engines: Sequence[Engine], work: Path) -> Conformance:
    """Evaluate each case in CEL's run time, and in each engine as written and with its constants as columns."""
    sorted_out = [classify(case) for case in cases]
    included = [one for one in sorted_out if isinstance(one, Included)]
    left_out = Counter(one.reason for one in sorted_out if isinstance(one, LeftOut))
    answers = {"CEL": [read_online(one) for one in included]}
    for engine in engines:
        answers[engine.name] = read_in_bulk(engine, included, work)
        answers[f"{engine.name}, constants as columns"] = read_in_bulk(engine, included, work, lifted=True)
    wrong = tuple(
        Wrong(one.case.name, one.case.text, reading, one.case.expected, found)
        for reading, values in answers.items()
        for one, found in zip(included, values, strict=True)
        if not _same(found, one.case.expected)
    )
    read = {reading: len(values) for reading, values in answers.items()}
    return Conformance(len(cases), len(included), dict(left_out.most_common()), read, wrong)


def _same(one: object, other: object) -> bool:
    return type(one) is type(other) and one == other  # 1 is not true


def read_online(one: Included) -> ScalarValue | None:
    """The value that CEL's run time gives; None for an error."""
    env = evaluating_env(_names(one.case), one.case.text)
    return value_of(env.compile(one.case.text), env.Activation(dict(one.case.bindings)), one.checked.type)


def read_in_bulk(
    engine: Engine, included: Sequence[Included], work: Path, *, lifted: bool = False
) -> list[ScalarValue | None]:
    """The values that an engine gives, from a table with one row; `lifted` turns constants into columns."""
    columns = _Columns()
    trees = [columns.renamed(one.checked.tree, f"case{place}", lifted) for place, one in enumerate(included)]
    for place, one in enumerate(included):
        for name, kind in one.case.variables.items():
            if kind:
                columns.add(f"case{place}.{name}", kind, one.case.bindings.get(name))
    path = work / "conformance.parquet"
    pq.write_table(columns.table(), path)
    table = engine.read(path)
    reading = Reading(engine, table, columns.specs)
    values: list[ScalarValue | None] = []
    for first in range(0, len(trees), EXPRESSIONS_A_QUERY):
        asked = {f"value{n}": reading.value(tree) for n, tree in enumerate(trees[first : first + EXPRESSIONS_A_QUERY])}
        row = engine.connection.to_pyarrow(table.select(**asked)).to_pylist()[0]
        values += (row[name] for name in asked)
    return values


class _Columns:
    """The table with one row: a column for each variable of each case."""

    def __init__(self) -> None:
        self.specs: dict[str, FactSpec] = {}
        self.values: dict[str, ScalarValue | None] = {"row": 0}

    def add(self, name: str, kind: FactType, value: ScalarValue | None) -> None:
        self.specs[name] = FactSpec(name, kind, "", "")
        self.values[name] = value

    def renamed(self, node: Node, case: str, lifted: bool) -> Node:
        """The tree with the columns of its case as facts; `lifted` also replaces constants outside `in` lists."""
        match node:
            case Fact(name=name):
                return replace(node, name=f"{case}.{name}")
            case Literal(value=value, type=kind) if lifted:
                name = f"{case}.constant{len(self.specs)}"
                self.add(name, kind, value)
                return Fact(name, kind, node.at)
            case Call(args=args):
                return replace(node, args=tuple(self.renamed(arg, case, lifted) for arg in args))
            case InList(value=value) | Matches(value=value):
                return replace(node, value=self.renamed(value, case, lifted))
        return node

    def table(self) -> pa.Table:
        kinds = {name: _ARROW[spec.type] for name, spec in self.specs.items()} | {"row": pa.int64()}
        return pa.table({name: pa.array([value], kinds[name]) for name, value in self.values.items()})
