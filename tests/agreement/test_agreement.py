"""CEL's run time and the query engines evaluate one policy text equally."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from random import Random
from typing import Any

import ibis
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from jitui.backtest.agreement import Agreement, Batch, compare_batch, draw_batch, draw_row, policy_text, run_agreement
from jitui.backtest.columns import Reading
from jitui.backtest.engine import Engine
from jitui.policy import Policy, decide
from jitui.policy.language.syntax import Call, Literal, Node, Operator, Quantifier


@given(random=st.randoms(use_true_random=False))
@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
def test_cel_and_duckdb_agree_on_whatever_hypothesis_writes(
    duckdb_engine: Engine, tmp_path: Path, random: Random
) -> None:
    found = Agreement()
    compare_batch(draw_batch(random, 1, found), [duckdb_engine], tmp_path, found)
    assert not found.disagreements, str(min(found.disagreements, key=lambda one: len(one.expression)))


def test_cel_and_duckdb_agree_on_many_policies(duckdb_engine: Engine, tmp_path: Path) -> None:
    found = run_agreement(160, Random(20_250_126), [duckdb_engine], tmp_path)
    assert not found.disagreements, str(found.disagreements[0])
    # A run in which everything is unknown would agree too.
    assert min(found.true, found.false, found.unknown) > found.verdicts // 10


@pytest.mark.xdist_group("spark")
def test_spark_agrees_where_cel_and_duckdb_do(duckdb_engine: Engine, spark_engine: Engine, tmp_path: Path) -> None:
    found = run_agreement(48, Random(7), [duckdb_engine, spark_engine], tmp_path, policies_a_batch=16)
    assert not found.disagreements, str(found.disagreements[0])
    assert found.engines == {"duckdb": found.verdicts, "spark": found.verdicts}


# Counter-examples that were found, each with its name ----------------------------------------------------------


def _deep(levels: int) -> dict[str, str]:
    """Expressions of so many levels; Spark takes minutes to plan fourteen of them."""
    return {
        "a_deep_choice": "(shop.covered ? " * levels + "buyer.vip" + " : false)" * levels,
        "a_deep_test": "(" * levels + "shop.covered" + " ? buyer.vip : buyer.selected)" * levels,
        "a_deep_negation": "-(" * levels + "order.paid_minor + 1" + ")" * levels + " > 1",
    }


REGRESSIONS = {
    # Spark's grammar cannot compare the result of IN with anything: `x IN ('a') = FALSE` does not parse.
    "an_in_that_is_negated": "!(order.shipment in ['unshipped'])",
    "an_in_that_is_compared": "(buyer.nick in ['a', '文']) == buyer.vip",
    # `x <> y RLIKE 'a'` is `(x <> y) RLIKE 'a'` in Spark.
    "a_pattern_that_is_compared": "known(order.currency) != buyer.nick.matches('[^a]$')",
    # Spark's greatest() takes two values at least.
    "the_greatest_of_one": "math.greatest(order.paid_minor) > 3 || math.least(request.amount_minor) < 0",
    # A comparison with a NULL literal becomes IS NULL in Ibis: a fact that no row has could have approved.
    "a_fact_that_no_row_has": "order.freight_minor != 0",
    "a_line_field_that_no_line_has": "order.lines.all(l, l.item_id != 'x')",
    # CEL's run time took a text to end at NUL: 'a' and 'a\\0b' were one word online and two in bulk.
    "a_text_with_nul": "buyer.nick.startsWith(order.currency) || order.lines.exists(l, l.sku == 'a')",
    # SQL is a tree: each of these was written twice or more at each level, and twelve levels were a megabyte of SQL.
    "a_long_sum": "order.paid_minor" + " + 3" * 24 + " > 100",
    "a_long_product": "order.paid_minor" + " * 4 / 4" * 12 + " > 100",
    "a_long_remainder": "order.paid_minor" + " % 1000 % request.amount_minor" * 8 + " > 1",
    **_deep(8),
    "divisions_in_a_line": "order.lines.all(l, l.quantity % (l.quantity / (l.quantity + 2)) > 1)",
}


@pytest.mark.parametrize("name", REGRESSIONS)
def test_a_counter_example_stays_mended(duckdb_engine: Engine, tmp_path: Path, name: str) -> None:
    _agree_on(REGRESSIONS[name], [duckdb_engine], tmp_path)


@pytest.mark.xdist_group("spark")
@pytest.mark.parametrize("name", REGRESSIONS)
def test_a_counter_example_stays_mended_in_spark(spark_engine: Engine, tmp_path: Path, name: str) -> None:
    _agree_on(REGRESSIONS[name], [spark_engine], tmp_path)


def _agree_on(expression: str, engines: list[Engine], work: Path) -> None:
    found = Agreement()
    policy = Policy.from_text(policy_text([expression], {}))
    rows = tuple(draw_row(Random(place)) for place in range(80))
    compare_batch(Batch((policy,), rows), engines, work, found)
    assert not found.disagreements, str(found.disagreements[0])


@pytest.mark.parametrize("name", REGRESSIONS)
def test_the_query_grows_with_the_expression_and_not_with_its_powers(duckdb_engine: Engine, name: str) -> None:
    expression = {**REGRESSIONS, **_deep(14)}[name]
    policy = Policy.from_text(policy_text([expression], {}))
    table = ibis.table({"order.paid_minor": "int64", "request.amount_minor": "int64", "shop.covered": "boolean"}, "t")
    compiled = Reading(duckdb_engine, table, policy.facts).value(policy.conditions[0].tree)
    assert len(str(ibis.to_sql(table.select(verdict=compiled), dialect="duckdb"))) < 400 * len(expression)


WITH_A_PARAMETER = (
    "order.paid_minor < p",
    "order.paid_minor in [7, p] || request.amount_minor in [p]",
    "order.paid_minor / p < 3",
    "p / order.paid_minor < 3",
    "order.paid_minor % p == 1",
    "order.paid_minor * p - p > -p",
    "order.lines.all(l, l.quantity + p > p)",
    "(buyer.vip ? p : order.paid_minor) == p",
    "d > p",
)


@pytest.mark.parametrize("value", [0, 1, -1, 2, 7, -7, 30_000, 10**15, -(10**15)])
def test_a_parameter_is_its_value_in_both_readings(duckdb_engine: Engine, tmp_path: Path, value: int) -> None:
    found = Agreement()
    named = Policy.from_text(policy_text(WITH_A_PARAMETER, {"d": "order.age_seconds * p"}, {"p": value}))
    spelled = [re.sub(r"\bp\b", f"({value})" if value < 0 else str(value), text) for text in WITH_A_PARAMETER]
    in_lists = [text.replace("[7, (", "[7, ").replace("[(", "[").replace(")]", "]") for text in spelled]
    written_out = Policy.from_text(policy_text(in_lists, {"d": f"order.age_seconds * ({value})"}))
    rows = tuple(draw_row(Random(place)) for place in range(80))
    compare_batch(Batch((named,), rows), [duckdb_engine], tmp_path, found)
    assert not found.disagreements, str(found.disagreements[0])
    for row in rows:
        one, other = decide(named, row), decide(written_out, row)
        assert [r.verdict for r in one.conditions] == [r.verdict for r in other.conditions]


def test_random_policies_have_parameters_in_their_conditions() -> None:
    batch = draw_batch(Random(3), 20, Agreement())
    assert sum(bool(policy.programs.condition_reads.parameters) for policy in batch.policies) >= 8


# The gate can fail ---------------------------------------------------------------------------------------------


class ElseOnUnknown(Reading):
    """`?:` as SQL's CASE has it: an unknown test takes the else branch."""

    def value(self, node: Node, line: Any = None) -> Any:
        if isinstance(node, Call) and node.operator is Operator.CONDITIONAL:
            test, yes, no = (self.value(arg, line) for arg in node.args)
            return ibis.cases((test, yes), else_=no)
        return super().value(node, line)


class AllIgnoresUnknown(Reading):
    """all() as list_bool_and has it: unknown lines do not count."""

    def value(self, node: Node, line: Any = None) -> Any:
        truth = super().value(node, line)
        if isinstance(node, Quantifier) and node.every:
            return ibis.cases((self._lines().notnull(), truth.fill_null(True)), else_=truth)
        return truth


class ZeroOnOverflow(Reading):
    """Sums in floating point."""

    def value(self, node: Node, line: Any = None) -> Any:
        if isinstance(node, Call) and node.operator is Operator.ADD:
            left, right = (self.value(arg, line).cast("float64") for arg in node.args)
            return (left + right).try_cast("int64")
        return super().value(node, line)


class ParameterOfAnotherVersion(Reading):
    """A parameter by a value that it had before."""

    def value(self, node: Node, line: Any = None) -> Any:
        if isinstance(node, Literal) and node.parameter:
            node = replace(node, value=int(node.value) + 1)
        return super().value(node, line)


@pytest.mark.parametrize("wrong", [ElseOnUnknown, AllIgnoresUnknown, ZeroOnOverflow, ParameterOfAnotherVersion])
def test_a_wrong_reading_is_caught(duckdb_engine: Engine, tmp_path: Path, wrong: type[Reading]) -> None:
    found = run_agreement(160, Random(1), [duckdb_engine], tmp_path, reading=wrong)
    assert found.disagreements
