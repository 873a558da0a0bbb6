"""CEL's public conformance cases of the supported subset have the specification's value in every evaluator."""

from __future__ import annotations

from pathlib import Path

import pytest

from jitui.backtest.conformance import (
    CASES_FILE,
    ConformanceCase,
    Included,
    LeftOut,
    LeftOutReason,
    classify,
    left_out_text,
    load_cases,
    run_conformance,
)
from jitui.backtest.engine import Engine
from jitui.errors import NotConfigured
from jitui.policy import FactType
from jitui.policy.facts import ScalarValue

LEFT_OUT = Path(__file__).with_name("conformance_left_out.txt")
REWRITE = f"jitui policy conformance --left-out > tests/agreement/{LEFT_OUT.name}"


@pytest.fixture(scope="module")
def cases() -> tuple[ConformanceCase, ...]:
    return load_cases(CASES_FILE)


def test_the_cases_left_out_are_those_of_the_list_each_with_its_reason(cases: tuple[ConformanceCase, ...]) -> None:
    found = left_out_text(one for one in map(classify, cases) if isinstance(one, LeftOut))
    assert found == LEFT_OUT.read_text(encoding="utf-8"), f"Look at the difference, then: {REWRITE}"


def test_cel_and_duckdb_give_the_values_of_the_specification(
    cases: tuple[ConformanceCase, ...], duckdb_engine: Engine, tmp_path: Path
) -> None:
    found = run_conformance(cases, [duckdb_engine], tmp_path)
    assert found.wrong == ()
    assert found.included + sum(found.left_out.values()) == found.cases == len(cases)
    assert set(found.read.values()) == {found.included}
    assert found.included >= 292, "the subset covers the public cases of its operators"


@pytest.mark.xdist_group("spark")
def test_spark_gives_the_values_of_the_specification(
    cases: tuple[ConformanceCase, ...], spark_engine: Engine, tmp_path: Path
) -> None:
    assert run_conformance(cases, [spark_engine], tmp_path).wrong == ()


@pytest.mark.parametrize("expected", [3, True, "2", None])
def test_a_wrong_value_is_told_from_the_right_one(
    duckdb_engine: Engine, tmp_path: Path, expected: ScalarValue | None
) -> None:
    case = ConformanceCase("x", "n + 1", {"n": FactType.INT}, {"n": 1}, expected, None)
    found = run_conformance([case], [duckdb_engine], tmp_path)
    assert {one.reading for one in found.wrong} == set(found.read)
    assert {one.found for one in found.wrong} == {2}


def test_a_case_outside_the_subset_says_why() -> None:
    judged = [
        classify(ConformanceCase("x", text, {}, {}, True, None)) for text in ("1 + 1 == 2", "1.5 < 2.0", "[1] == [1]")
    ]
    reasons = [one.reason if isinstance(one, LeftOut) else one.checked.type for one in judged]
    assert isinstance(judged[0], Included)
    assert reasons == [FactType.BOOL, LeftOutReason.NUMBER, LeftOutReason.LIST]


def test_without_the_cases_the_way_to_them_is_said(tmp_path: Path) -> None:
    with pytest.raises(NotConfigured, match="run make setup"):
        load_cases(tmp_path / "none.json")
