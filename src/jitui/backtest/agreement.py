"""Checks that a condition evaluates equally in CEL's run time and in a query engine, on random policies and rows.

Everything comes from one `random.Random`, so a seed identifies a run, and a property test can shrink it. Policies use
the whole supported subset; rows have unknowns, empty lists, the limits of int64, Chinese text, quotes and backslashes.
Each policy is loaded from its text, as a real one is.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from jitui.backtest.columns import Reading, with_definitions
from jitui.backtest.engine import Engine
from jitui.policy import LINE_FIELDS, FactType, Policy, PolicyRefused
from jitui.policy.facts import LINES
from jitui.policy.program import evaluate, known_facts

CONDITIONS_A_POLICY = 6
ROWS_A_BATCH = 40
POLICIES_A_BATCH = 8
MAX_DEPTH = 4

_ATTRIBUTES = {"buyer.level": "int", "buyer.nick": "string", "buyer.vip": "bool", "buyer.tier": "{enum: [gold, 银]}"}
_FEATURES = {"buyer.orders_9d": "{count: order_paid, over: 9d}"}
_INTS = ("order.paid_minor", "request.amount_minor", "order.age_seconds", "buyer.level", "buyer.orders_9d")
_BOOLS = ("buyer.selected", "shop.covered", "buyer.vip", "caps.buyer_ok")
_STRINGS = ("order.currency", "buyer.nick")
_ENUMS = {"order.shipment": ("unshipped", "shipped"), "buyer.tier": ("gold", "银")}
_EDGES = (0, 1, -1, 2, 3, 7, 100, 30_000, 2**31, 2**53 + 1, 2**62, -(2**62), 2**63 - 1, -(2**63), 2**63 - 2)
_PARAMETERS = (0, 1, -1, 2, 7, 100, 30_000, 10**15, -(10**15))
_LISTS = {"few": "[' a', CNY, 中文, 'a''b', 'a\\b']", "numbers": "[0, 7, -1, 30000, 9007199254740993]"}
_LISTS |= {"words": "[unshipped, shipped]"}
_TEXTS: tuple[str, ...] = ("", "a", "ab", " a", "CNY", "cny", "中文", "文", "é", "e\u0301", "🤦🏼")
_TEXTS += ("a'b", 'a"b', "a\\b", "\\", "%", "_", "x\ny")
_PATTERNS = ("", "a$", "^.$", "^[A-Z]{3}$", "\\s", "\\W", "(文|b)?y", "^(ab)+$", "[^a]$", "[🤐-🤦]")
# In UTF-16 order the last of these comes before the second, in code point order after it.
_TEXTS += ("\x7f", "～", "a\x00b", "ß", "SS", "🤦")


@dataclass(frozen=True, slots=True)
class Batch:
    """Policies that are evaluated on the same rows; a row has only the facts that are known."""

    policies: tuple[Policy, ...]
    rows: tuple[Mapping[str, Any], ...]


@dataclass(frozen=True, slots=True)
class Disagreement:
    """A condition that differs between CEL and an engine on one row; None is unknown."""

    expression: str
    definitions: Mapping[str, str]
    parameters: Mapping[str, int]
    row: Mapping[str, Any]
    cel: bool | None
    engine: str
    bulk: bool | None

    def __str__(self) -> str:
        named = {**self.parameters, **self.definitions}
        where = "".join(f"\n  {name}: {text}" for name, text in named.items())
        return f"{self.expression}{where}\n  on {dict(self.row)}\n  CEL {self.cel}, {self.engine} {self.bulk}"


@dataclass(slots=True)
class Agreement:
    """What a run compared, and what differed."""

    cases: int = 0
    refused: int = 0
    verdicts: int = 0
    true: int = 0
    false: int = 0
    unknown: int = 0
    engines: dict[str, int] = field(default_factory=dict)
    disagreements: list[Disagreement] = field(default_factory=list)


ReadingOf = Callable[..., Reading]


def run_agreement(
    cases: int,
    random: Random,
    engines: Sequence[Engine],
    work: Path,
    *,
    reading: ReadingOf = Reading,
    progress: Callable[[int], None] = lambda _done: None,
    policies_a_batch: int = POLICIES_A_BATCH,
) -> Agreement:
    """Compare this many policies; it stops after the first batch with a disagreement.

    A later engine evaluates a batch only when the earlier ones agreed.
    """
    found = Agreement()
    while found.cases < cases and not found.disagreements:
        batch = draw_batch(random, min(policies_a_batch, cases - found.cases), found)
        compare_batch(batch, engines, work, found, reading=reading)
        progress(found.cases)
    return found


def compare_batch(
    batch: Batch, engines: Sequence[Engine], work: Path, found: Agreement, *, reading: ReadingOf = Reading
) -> None:
    """Evaluate a batch with every engine, and add what differs from CEL to `found`."""
    online = [_online(policy, row) for row in batch.rows for policy in batch.policies]
    found.cases += len(batch.policies)
    for verdicts in online:
        found.verdicts += len(verdicts)
        found.true += verdicts.count(True)
        found.false += verdicts.count(False)
        found.unknown += verdicts.count(None)
    path = work / "agreement.parquet"
    pq.write_table(rows_table(batch.rows), path)
    for engine in engines:
        bulk = _in_bulk(engine, batch, path, reading)
        differing = list(_differing(batch, online, bulk, engine))
        found.engines[engine.name] = found.engines.get(engine.name, 0) + sum(len(verdicts) for verdicts in online)
        found.disagreements += differing
        if differing:
            return


def _online(policy: Policy, row: Mapping[str, Any]) -> tuple[bool | None, ...]:
    programs = policy.programs
    known = known_facts(programs.specs, programs.condition_reads, row)
    return evaluate(programs, known, programs.condition_definitions, programs.conditions)


def _in_bulk(engine: Engine, batch: Batch, path: Path, reading: ReadingOf) -> list[Mapping[str, bool | None]]:
    """The results of an engine for a whole batch, from one query; each policy's definitions get names of their own."""
    table = engine.read(path)
    for policy in batch.policies:
        table = with_definitions(engine, policy, table, policy.programs.condition_definitions)
    columns = {}
    for place, policy in enumerate(batch.policies):
        compiled = reading(engine, table, policy.facts)
        for condition in policy.conditions:
            columns[f"p{place}.{condition.id}"] = compiled.value(condition.tree)
    rows = engine.connection.to_pyarrow(table.select("row", **columns)).to_pylist()
    return sorted(rows, key=lambda row: int(row["row"]))


def _differing(
    batch: Batch,
    online: Sequence[tuple[bool | None, ...]],
    bulk: Sequence[Mapping[str, bool | None]],
    engine: Engine,
) -> Iterator[Disagreement]:
    verdicts = iter(online)
    for row, answers in zip(batch.rows, bulk, strict=True):
        for place, policy in enumerate(batch.policies):
            for condition, cel in zip(policy.conditions, next(verdicts), strict=True):
                answer = answers[f"p{place}.{condition.id}"]
                if answer is not cel:
                    named = {one.name: one.when for one in policy.definitions}
                    values = {one.name: one.value for one in policy.parameters}
                    yield Disagreement(condition.when, named, values, row, cel, engine.name, answer)


# Policies --------------------------------------------------------------------------------------------------------


def draw_batch(random: Random, policies: int, found: Agreement) -> Batch:
    """Random policies that load, and rows for them."""
    drawn: list[Policy] = []
    while len(drawn) < policies:
        try:
            drawn.append(Policy.from_text(_policy_text(random, f"n{found.cases}x{len(drawn)}")))
        except PolicyRefused:
            found.refused += 1
    # no row has these facts, as in a history without such a column
    absent = {name for name in (*_INTS, *_BOOLS, *_STRINGS, *_ENUMS, LINES) if random.random() < 0.1}
    rows = (draw_row(random) for _ in range(ROWS_A_BATCH))
    return Batch(tuple(drawn), tuple({name: row[name] for name in row if name not in absent} for row in rows))


def _policy_text(random: Random, suffix: str) -> str:
    writer = _Writer(random, {})
    parameters = {f"p{n}": random.choice(_PARAMETERS) for n in range(random.randint(0, 3))}
    writer.parameters += parameters
    definitions: dict[str, str] = {}
    for kind in random.choices(("bool", "int", "string"), k=random.randint(0, 2)):
        name = f"d{len(definitions)}{suffix}"
        definitions[name] = writer.expression(kind, random.randint(1, MAX_DEPTH))
        writer.definitions[name] = kind
    conditions = [writer.expression("bool", random.randint(1, MAX_DEPTH)) for _ in range(CONDITIONS_A_POLICY)]
    return policy_text(conditions, definitions, parameters)


def policy_text(
    conditions: Sequence[str], definitions: Mapping[str, str], parameters: Mapping[str, int] | None = None
) -> str:
    """A policy with these conditions (c0, c1, …), and with the attributes and features of the rows in `rows_table`."""
    lines = [
        "policy: agreement",
        'version: "1"',
        "effective_from: 2025-01-26T00:00:00+08:00",
        "currency: CNY",
        "title: {zh: 题, en: Title}",
        "notice: {zh: 知, en: Notice}",
        "review: {deadline: 48h, on_timeout: approve}",
        "features:",
        *(f"  {name}: {text}" for name, text in _FEATURES.items()),
        "attributes:",
        *(f"  {name}: {text}" for name, text in _ATTRIBUTES.items()),
        "lists:",
        *(f"  {name}: {words}" for name, words in _LISTS.items()),
    ]
    if parameters:
        lines += ["parameters:", *(f"  {name}: {value}" for name, value in parameters.items())]
    if definitions:
        lines += ["definitions:", *(f"  {name}: {_quoted(text)}" for name, text in definitions.items())]
    lines.append("conditions:")
    for place, text in enumerate(conditions):
        lines.append(f"  - {{id: c{place}, when: {_quoted(text)}, public: true, text: {{zh: 甲, en: A}}}}")
    return "\n".join(lines) + "\n"


def _quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)


class _Writer:
    """Writes random expressions of a given type as CEL text."""

    def __init__(self, random: Random, definitions: dict[str, str]) -> None:
        self.random = random
        self.definitions = definitions
        self.parameters: list[str] = []
        self.in_lines = False

    def expression(self, kind: str, depth: int) -> str:
        return {"bool": self.truth, "int": self.number, "string": self.text}[kind](depth)

    def truth(self, depth: int) -> str:
        pick = self.random.choice
        if depth <= 0:
            return pick([self._truth_name(), pick(["true", "false"]), self._among(0)])
        options: list[Callable[[], str]] = [
            lambda: f"({self.truth(depth - 1)} && {self.truth(depth - 1)})",
            lambda: f"({self.truth(depth - 1)} || {self.truth(depth - 1)})",
            lambda: f"!({self.truth(depth - 1)})",
            lambda: f"({self.truth(depth - 1)} ? {self.truth(depth - 1)} : {self.truth(depth - 1)})",
            lambda: self._compared("int", depth),
            lambda: self._compared("int", depth),
            lambda: self._compared("string", depth),
            lambda: f"({self.truth(depth - 1)} {pick(['==', '!='])} {self.truth(depth - 1)})",
            lambda: self._among(depth),
            lambda: self._searched(depth),
            lambda: self._quantified(depth),
            lambda: self._of_lines("exists_one", depth) or self._truth_name(),
            self._known,
            self._truth_name,
        ]
        return pick(options)()

    def number(self, depth: int) -> str:
        pick = self.random.choice
        if depth <= 0:
            return pick([self._number_name(), self._number_name(), self._edge()])
        options: list[Callable[[], str]] = [
            lambda: f"({self.number(depth - 1)} {pick('+-*/%')} {self.number(depth - 1)})",
            lambda: f"({self.number(depth - 1)} {pick('+-*/%')} {self._edge()})",
            lambda: f"-({self.number(depth - 1)})",
            lambda: self._extreme(depth),
            lambda: f"({self.truth(depth - 1)} ? {self.number(depth - 1)} : {self.number(depth - 1)})",
            lambda: f"size({self.text(depth - 1)})",
            lambda: f"size({LINES})",
            lambda: self._of_lines("filter", depth, ".size()") or self._number_name(),
            lambda: self._summed(depth) or self._number_name(),
            self._number_name,
        ]
        return pick(options)()

    def text(self, depth: int) -> str:
        if depth > 0 and self.random.random() < 0.3:
            chosen = f"({self.truth(depth - 1)} ? {self.text(depth - 1)} : {self.text(depth - 1)})"
            return self.random.choice([chosen, f"{self.text(depth - 1)}.lowerAscii()"])
        names = [*_STRINGS, *self._defined("string"), *(["l.sku", "l.category_id"] if self.in_lines else [])]
        return self.random.choice(names) if self.random.random() < 0.7 else self._literal()

    def _extreme(self, depth: int) -> str:
        numbers = [self.number(depth - 1) for _ in range(self.random.randint(1, 3))]
        return f"math.{self.random.choice(['least', 'greatest'])}({', '.join(numbers)})"

    def _compared(self, kind: str, depth: int) -> str:
        operator = self.random.choice(["==", "!=", "<", "<=", ">", ">="])
        return f"({self.expression(kind, depth - 1)} {operator} {self.expression(kind, depth - 1)})"

    def _among(self, depth: int) -> str:
        name, words = self.random.choice(list(_ENUMS.items()))
        if self.random.random() < 0.25:
            named = [f"({self.number(depth - 1)} in numbers)", f"({self.text(depth - 1)} in few)"]
            return self.random.choice([*named, "(order.shipment in words)"])
        if self.random.random() < 0.4:
            listed = ", ".join(_cel_text(word) for word in words[: self.random.randint(1, 2)])
            return f"({name} in [{listed}])"
        if self.random.random() < 0.5:
            return f"({self.number(depth - 1)} in [{self._edge()}, {self._edge()}])"
        return f"({self.text(depth - 1)} in [{self._literal()}, {self._literal()}])"

    def _searched(self, depth: int) -> str:
        if self.random.random() < 0.25:
            return f"{self.text(depth - 1)}.matches({_cel_text(self.random.choice(_PATTERNS))})"
        function = self.random.choice(["startsWith", "endsWith", "contains"])
        return f"{self.text(depth - 1)}.{function}({self.text(depth - 1)})"

    def _quantified(self, depth: int) -> str:
        return self._of_lines(self.random.choice(["all", "exists"]), depth) or self._truth_name()

    def _of_lines(self, macro: str, depth: int, then: str = "") -> str:
        """A macro over the lines, empty within another one."""
        if self.in_lines:
            return ""
        self.in_lines = True
        source = f"{LINES}.filter(m, m.virtual)" if then and self.random.random() < 0.2 else LINES
        body = self.number(depth - 1) if macro == "map" else self.truth(depth - 1)
        if macro == "map" and self.random.random() < 0.2:
            body = f"{self.truth(depth - 1)}, {body}"
        self.in_lines = False
        return f"{source}.{macro}(l, {body}){then}"

    def _summed(self, depth: int) -> str:
        return self._of_lines("map", depth, ".sum()")

    def _known(self) -> str:
        fields = ["l.sku", "l.quantity", "l.item_id", "l.virtual"] * 2 if self.in_lines else []
        return f"known({self.random.choice([*_INTS, *_BOOLS, *_STRINGS, *_ENUMS, LINES, *fields])})"

    def _truth_name(self) -> str:
        lines = ["l.customised", "l.virtual"] * 2 if self.in_lines else []
        return self.random.choice([*_BOOLS, *self._defined("bool"), *lines])

    def _number_name(self) -> str:
        lines = ["l.quantity", "l.paid_minor"] * 2 if self.in_lines else []
        return self.random.choice([*_INTS, *self._defined("int"), *lines])

    def _defined(self, kind: str) -> list[str]:
        return [name for name, defined in self.definitions.items() if defined == kind] * 2

    def _edge(self) -> str:
        if self.parameters and self.random.random() < 0.4:
            return self.random.choice(self.parameters)
        return str(self.random.choice(_EDGES))

    def _literal(self) -> str:
        return _cel_text(self.random.choice(_TEXTS))


def _cel_text(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace("'", "\\'").replace("\n", "\\n")
    return f"'{escaped}'"


# Rows ------------------------------------------------------------------------------------------------------------


def draw_row(random: Random) -> dict[str, Any]:
    """The facts of one random request: a quarter is unknown, and some words are not in their enum."""
    pools: dict[str, Sequence[Any]] = dict.fromkeys(_INTS, _EDGES)
    pools |= dict.fromkeys(_BOOLS, (True, False)) | dict.fromkeys(_STRINGS, _TEXTS)
    pools |= {name: (*words, "elsewhere") for name, words in _ENUMS.items()}
    row = {name: random.choice(pool) for name, pool in pools.items() if random.random() < 0.75}
    if random.random() < 0.9:
        row[LINES] = [_draw_line(random) for _ in range(random.choice([0, 1, 1, 2, 3]))]
    return row


def _draw_line(random: Random) -> dict[str, Any]:
    pools: dict[str, Sequence[Any]] = {"quantity": _EDGES, "paid_minor": _EDGES, "sku": _TEXTS, "category_id": _TEXTS}
    pools |= {"customised": (True, False), "virtual": (True, False)}
    return {name: random.choice(pool) for name, pool in pools.items() if random.random() < 0.8}


def rows_table(rows: Sequence[Mapping[str, Any]]) -> pa.Table:
    """The rows as a table for an engine: a column for each fact that some row has, and `row` with their number."""
    kinds: dict[FactType, pa.DataType] = {
        FactType.INT: pa.int64(),
        FactType.BOOL: pa.bool_(),
        FactType.STRING: pa.string(),
    }
    fields = sorted({name for row in rows for line in row.get(LINES, ()) for name in line} | {"line_id"})
    line = pa.struct([(name, kinds[LINE_FIELDS[name].type]) for name in fields])
    types: dict[str, pa.DataType] = {name: pa.int64() for name in _INTS} | {name: pa.bool_() for name in _BOOLS}
    types |= {name: pa.string() for name in (*_STRINGS, *_ENUMS)} | {LINES: pa.list_(line)}
    present = {name: kind for name, kind in types.items() if any(name in row for row in rows)}
    columns = {name: pa.array([row.get(name) for row in rows], kind) for name, kind in present.items()}
    return pa.table({"row": pa.array(range(len(rows)), pa.int64()), **columns})
