"""What is ours, and what the public cases do not ask: one value for each case, in CEL's run time and both engines."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from jitui.backtest.agreement import Agreement, Batch, compare_batch, policy_text
from jitui.backtest.engine import Engine
from jitui.policy import Policy, Verdict, decide

MOST, LEAST = 2**63 - 1, -(2**63)
Case = tuple[str, Mapping[str, Any], bool | None]


def lines(*paid: int | None, **fields: Any) -> Mapping[str, Any]:
    """An order whose lines have these amounts; None for a line without one."""
    return {"order.lines": [fields if one is None else {"paid_minor": one, **fields} for one in paid]}


def virtual(*flags: bool | None) -> Mapping[str, Any]:
    """An order with one line for each flag; None for a line of which it is not known. The amounts are 1, 10, 100, …"""
    return {
        "order.lines": [
            {"paid_minor": 10**place} | ({} if one is None else {"virtual": one}) for place, one in enumerate(flags)
        ]
    }


SUM = "order.lines.map(l, l.paid_minor).sum()"
SUM_OF_VIRTUAL = "order.lines.filter(l, l.virtual).map(l, l.paid_minor).sum()"
COUNT = "order.lines.filter(l, l.virtual).size()"
ONE = "order.lines.exists_one(l, l.virtual)"

SUMS: Sequence[Case] = (
    (f"{SUM} == 6", lines(1, 2, 3), True),
    (f"{SUM} == 0", lines(), True),
    (f"{SUM} == 0", {}, None),
    (f"{SUM} == 3", lines(1, 2, None), None),
    (f"{SUM} == 3 || true", lines(1, 2, None), True),
    (f"{SUM} == {MOST}", lines(MOST), True),
    (f"{SUM} > 0", lines(MOST, 1), None),
    (f"{SUM} < 0", lines(LEAST, -1), None),
    (f"{SUM} == {MOST}", lines(MOST, 1, -1), True),
    (f"{SUM} == -2", lines(*[MOST, LEAST] * 2), True),
    ("order.lines.map(l, l.paid_minor + 1).sum() > 0", lines(MOST, 0), None),
    ("order.lines.map(l, l.paid_minor / (l.paid_minor - 1)).sum() == 2", lines(2, 1), None),
    ("order.lines.map(l, order.paid_minor).sum() == 10", {**lines(1, 2), "order.paid_minor": 5}, True),
    ("order.lines.map(l, order.paid_minor).sum() == 10", lines(1, 2), None),
    ("order.lines.map(l, order.paid_minor).sum() == 0", lines(), True),
    ("order.lines.map(l, 1).sum() == order.lines.size()", lines(None, None), True),
    (f"{SUM_OF_VIRTUAL} == 101", virtual(True, False, True), True),
    (f"{SUM_OF_VIRTUAL} == 0", virtual(False, False), True),
    (f"{SUM_OF_VIRTUAL} == 1", virtual(True, None), None),
    (f"{SUM_OF_VIRTUAL} == 0", {"order.lines": [{"virtual": False}]}, True),
    (f"{SUM_OF_VIRTUAL} == 0", {"order.lines": [{"virtual": True}]}, None),
    ("order.lines.map(l, l.virtual, l.paid_minor).sum() == 10", virtual(False, True), True),
    ("order.lines.filter(l, l.virtual).filter(m, m.paid_minor > 5).map(k, k.paid_minor).sum() == 10",
     virtual(True, True), True),
    (f"{SUM} == {SUM_OF_VIRTUAL} * 2", virtual(False, False), False),
)  # fmt: skip

COUNTS: Sequence[Case] = (
    (f"{COUNT} <= 1", virtual(True, False), True),
    (f"{COUNT} <= 1", virtual(True, True), False),
    (f"{COUNT} == 0", virtual(), True),
    (f"{COUNT} == 0", {}, None),
    (f"size({COUNT.removesuffix('.size()')}) == 1", virtual(True, False), True),
    # Other than exists(), one line of which it is not known is not absorbed, whatever the others say.
    (f"{COUNT} >= 1", virtual(True, None), None),
    (f"{COUNT} >= 1", virtual(None, True, True), None),
    ("order.lines.exists(l, l.virtual)", virtual(True, None), True),
    ("order.lines.filter(l, l.virtual && l.paid_minor > 5).size() == 1", virtual(True, True), True),
    # The second filter asks nothing of a line that the first one left out.
    ("order.lines.filter(l, l.virtual).filter(m, m.quantity > 1).size() == 0", virtual(False), True),
    ("order.lines.filter(l, l.virtual).filter(m, m.quantity > 1).size() == 0", virtual(True), None),
    (ONE, virtual(True, False), True),
    (ONE, virtual(True, True), False),
    (ONE, virtual(False), False),
    (ONE, virtual(), False),
    (ONE, {}, None),
    (ONE, virtual(True, None), None),
    (ONE, virtual(True, True, None), None),
    (f"!{ONE}", virtual(True, True), True),
)

KNOWN: Sequence[Case] = (
    ("known(order.currency)", {"order.currency": "CNY"}, True),
    ("known(order.currency)", {"order.currency": ""}, True),
    ("known(order.currency)", {}, False),
    ("known(order.currency)", {"order.currency": "a\0b"}, False),
    ("known(order.shipment)", {"order.shipment": "shipped"}, True),
    ("known(order.shipment)", {"order.shipment": "elsewhere"}, False),
    ("known(buyer.vip)", {"buyer.vip": False}, True),
    ("known(order.paid_minor)", {"order.paid_minor": 0}, True),
    ("!known(order.paid_minor)", {}, True),
    ("known(order.paid_minor) == known(buyer.vip)", {"buyer.vip": True}, False),
    ("known(order.paid_minor) in [true]", {}, False),
    ("known(order.lines)", lines(), True),
    ("known(order.lines)", {}, False),
    ("known(buyer.level) ? buyer.level > 3 : true", {}, True),
    ("known(buyer.level) ? buyer.level > 3 : true", {"buyer.level": 2}, False),
    ("known(buyer.level) && buyer.level > 3", {}, False),
    # of a row of which no one has it, and of a field that no line has
    ("known(request.whole_order)", {}, False),
    ("order.lines.exists(l, known(l.item_id))", lines(1), False),
    ("order.lines.all(l, known(l.virtual))", virtual(True, False), True),
    ("order.lines.all(l, known(l.virtual))", virtual(True, None), False),
    ("order.lines.all(l, known(l.virtual))", virtual(), True),
    ("order.lines.all(l, known(l.virtual))", {}, None),
    ("order.lines.all(l, known(l.sku))", {"order.lines": [{"sku": "a\0b"}]}, False),
    ("order.lines.filter(l, known(l.virtual) && l.virtual).size() == 1", virtual(True, None), True),
    ("order.lines.map(l, known(l.virtual) ? l.paid_minor : 0).sum() == 1", virtual(True, None), True),
)

EXTREMES: Sequence[Case] = (
    ("math.greatest(order.paid_minor, buyer.level) == 5", {"order.paid_minor": 5, "buyer.level": -7}, True),
    ("math.least(order.paid_minor, buyer.level) == -7", {"order.paid_minor": 5, "buyer.level": -7}, True),
    ("math.greatest(order.paid_minor, 3, 9, -1) == 9", {"order.paid_minor": 5}, True),
    (f"math.least(order.paid_minor, 3) == {LEAST}", {"order.paid_minor": LEAST}, True),
    ("math.greatest(order.paid_minor) == 5", {"order.paid_minor": 5}, True),
    # Other than in SQL, where the greatest of 5 and NULL is 5.
    ("math.greatest(order.paid_minor, buyer.level) == 5", {"order.paid_minor": 5}, None),
    ("math.least(order.paid_minor, buyer.level, 0) == 0", {"buyer.level": 7}, None),
    ("math.greatest(order.paid_minor + 1, 3) > 0", {"order.paid_minor": MOST}, None),
    ("order.lines.all(l, math.least(l.paid_minor, 2) == 2)", lines(2, 3), True),
    ("order.lines.map(l, math.greatest(l.paid_minor, 0)).sum() == 3", lines(-5, 3), True),
    ("buyer.nick.lowerAscii() == 'abz'", {"buyer.nick": "AbZ"}, True),
    # Only the letters of ASCII become others: not É, not the sign of Kelvin, nor an I with a dot.
    ("buyer.nick.lowerAscii() == 'É\u212aİß@['", {"buyer.nick": "É\u212aİß@["}, True),
    ("buyer.nick.lowerAscii() == ''", {"buyer.nick": ""}, True),
    ("buyer.nick.lowerAscii() == ''", {}, None),
    ("buyer.nick.lowerAscii().contains('vip')", {"buyer.nick": "A VIP 文"}, True),
    ("buyer.nick.lowerAscii() in ['a', 'b']", {"buyer.nick": "B"}, True),
)

CASES = (*SUMS, *COUNTS, *KNOWN, *EXTREMES)


@pytest.mark.parametrize(("expression", "row", "expected"), CASES)
def test_the_run_time_has_the_value(expression: str, row: Mapping[str, Any], expected: bool | None) -> None:
    (found,) = decide(_policy([expression]), row).conditions
    assert found.verdict is {True: Verdict.TRUE, False: Verdict.FALSE, None: Verdict.UNKNOWN}[expected]


def test_duckdb_has_the_values(duckdb_engine: Engine, tmp_path: Path) -> None:
    _agrees(duckdb_engine, tmp_path)


@pytest.mark.xdist_group("spark")
def test_spark_has_the_values(spark_engine: Engine, tmp_path: Path) -> None:
    _agrees(spark_engine, tmp_path)


def _agrees(engine: Engine, work: Path) -> None:
    """Every expression on every row is what the run time says, which the test above holds to the cases."""
    expressions = list(dict.fromkeys(expression for expression, _, _ in CASES))
    found = Agreement()
    compare_batch(Batch((_policy(expressions),), tuple(row for _, row, _ in CASES)), [engine], work, found)
    assert not found.disagreements, str(found.disagreements[0])


def _policy(expressions: Sequence[str]) -> Policy:
    return Policy.from_text(policy_text(expressions, {}))
