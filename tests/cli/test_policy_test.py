"""`jitui policy test`: the shipped cases pass, and a failing case is reported."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.aftersales.market import POLICY_FILE
from tests.cli.conftest import Result, in_a_process
from tests.policy.policy_samples import GOOD_FACTS, RETAIL

GIVEN = "given:\n" + "".join(
    f"  {name}: {str(value).lower() if isinstance(value, bool) else value}\n"
    for name, value in GOOD_FACTS.items()
    if name != "order.lines"
)
LINES = "  order.lines: [{line_id: '1', customised: false, virtual: false, covered: true}]\n"


def outcome_of(folder: Path, cases: str, *words: str) -> Result:
    (folder / "my.cases.yaml").write_text(cases, encoding="utf-8")
    return in_a_process("policy", "test", str(POLICY_FILE), "my.cases.yaml", *words, settings={}, cwd=folder)


@pytest.mark.parametrize("policy", [POLICY_FILE, RETAIL])
def test_the_cases_that_are_shipped_hold_and_show_every_condition_both_ways(policy: Path) -> None:
    done = in_a_process("policy", "test", str(policy), "--require-coverage", "--json", settings={})
    assert (done.code, done.json["failed"], done.json["never_seen"]) == (0, 0, [])
    verdicts = {pair for case in done.json["cases"] for pair in case["conditions"].items()}
    assert {name for name, verdict in verdicts if verdict == "unknown"} == {name for name, _ in verdicts}


def test_a_case_that_fails_says_what_was_expected_what_came_and_why(tmp_path: Path) -> None:
    case = "cases:\n  - name: dear\n    facts: {order.paid_minor: 30000}\n    expect: {outcome: instant}\n"
    done = outcome_of(tmp_path, GIVEN + LINES + case)
    line = len((GIVEN + LINES).splitlines()) + 2
    assert done.code == 1
    first, why, figures, summary = [row.strip() for row in done.out.splitlines()]
    assert first == f"my.cases.yaml:{line}: dear: outcome is review, expected instant"
    assert why == "paid_under_300 is false: The order's paid amount is under CN¥300.00"
    assert figures == "(order.paid_minor = 30000)"
    assert summary.startswith("unshipped-instant-refund, version 2: 0 good, 1 failed")


def test_coverage_is_a_remark_or_a_failure(tmp_path: Path) -> None:
    cases = GIVEN + LINES + "cases:\n  - {name: good, expect: {outcome: instant}}\n"
    remarked = outcome_of(tmp_path, cases)
    assert remarked.code == 0
    assert "condition unshipped was never false in any case" in remarked.err
    assert "unshipped was never true" not in remarked.err
    assert outcome_of(tmp_path, cases, "--require-coverage").code == 1


def test_nothing_tested_is_a_failure_and_a_broken_file_is_bad_input(tmp_path: Path) -> None:
    assert outcome_of(tmp_path, "cases: []\n").code == 1
    (tmp_path / "alone.yaml").write_bytes(POLICY_FILE.read_bytes())
    alone = in_a_process("policy", "test", "alone.yaml", settings={}, cwd=tmp_path)
    assert (alone.code, "alone.cases.yaml" in alone.err) == (1, True)
    broken = outcome_of(tmp_path, "cases:\n  - {name: a, facts: {order.paid: 1}, expect: {outcome: review}}\n")
    assert (broken.code, broken.err.startswith("my.cases.yaml:2:")) == (2, True), broken.err
    assert in_a_process("policy", "test", str(POLICY_FILE), "gone.yaml", settings={}, cwd=tmp_path).code == 2
