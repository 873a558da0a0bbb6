"""Test cases for a policy: read with their positions, and compared exactly."""

from __future__ import annotations

import pickle

import pytest

from jitui.policy import Policy, Verdict
from jitui.policy.cases import read_cases, run_case
from jitui.policy.problems import CasesRefused
from tests.policy.policy_samples import SMALL, default_policy

GOOD = "cases:\n  - name: a\n    facts: {}\n    expect: {outcome: review}\n"


def refused(text: str) -> list[tuple[int, int, str]]:
    with pytest.raises(CasesRefused) as caught:
        read_cases(default_policy(), text.encode(), "c.yaml")
    assert pickle.loads(pickle.dumps(caught.value)).problems == caught.value.problems
    return [(problem.line, problem.column, problem.message) for problem in caught.value.problems]


@pytest.mark.parametrize(
    ("old", "new", "line", "column", "says"),
    [
        ("facts: {}", "facts: {order.paid_mino: 1}", 3, 13, "no fact order.paid_mino; did you mean order.paid_minor?"),
        ("facts: {}", "facts: {order.paid_minor: 1.5}", 3, 31, "order.paid_minor is a whole number of minor units"),
        ("facts: {}", "facts: {order.paid_minor: '1'}", 3, 31, "is a whole number"),
        ("facts: {}", "facts: {order.shipment: unshiped}", 3, 29, "did you mean unshipped?"),
        ("facts: {}", "facts: {buyer.selected: yes}", 3, 29, "buyer.selected is true or false"),
        ("facts: {}", "facts: {order.currency: 156}", 3, 29, "put it in quotes"),
        ("facts: {}", "facts: {order.lines: 3}", 3, 26, "order.lines is a list of lines"),
        ("facts: {}", "facts: {order.lines: [{custmised: true}]}", 3, 28, "did you mean customised?"),
        ("facts: {}", "facts: {order.lines: [{virtual: 1}]}", 3, 37, "virtual is true or false"),
        ("facts: {}", "fact: {}", 3, 5, "a case has no key fact; did you mean facts?"),
        ("outcome: review", "outcome: refuse", 4, 23, "outcome is instant or review"),
        ("outcome: review", "stopped_by: []", 4, 13, "expect needs the key outcome"),
        ("review}", "review, stopped_by: [unshiped]}", 4, 44, "no condition unshiped; did you mean unshipped?"),
        ("review}", "review, conditions: {unshiped: true}}", 4, 44, "did you mean unshipped?"),
        ("review}", "review, conditions: {unshipped: perhaps}}", 4, 55, "unshipped is true or false or unknown"),
        ("review}", "review, unknown: [order.paid]}", 4, 41, "no fact order.paid; did you mean order.paid_minor?"),
        ("review}", "review, restrictions: [canceller]}", 4, 46, "there is no restriction canceller"),
        ("review}", "review, stopped_by: []}", 4, 43, "a review has at least one condition that stops it"),
        ("review}", "instant, stopped_by: [unshipped]}", 4, 44, "an instant outcome has nothing that stops it"),
        ("review}", "instant, conditions: {unshipped: false}}", 4, 44, "an instant outcome needs every condition true"),
        ("cases:", "cases:\n  - {name: a, expect: {outcome: review}}", 3, 11, "already used in line 2"),
        ("cases:", "cases: []\ncases:", 2, 1, "cases is already given in line 1"),
        ("cases:", "givn: {}\ncases:", 1, 1, "a cases file has no key givn; did you mean given?"),
        ("cases:", "given: {order.paid: 1}\ncases:", 1, 9, "there is no fact order.paid"),
        (GOOD, "", 1, 1, "the file is empty: it needs at least cases"),
        (GOOD, "# nothing\n", 1, 1, "the file is empty"),
        (GOOD, "cases: [", 1, 9, "this is not YAML"),
        (GOOD, "- a\n", 1, 1, "a cases file has the keys cases, given"),
    ],
)
def test_a_cases_file_is_refused_where_it_is_wrong(old: str, new: str, line: int, column: int, says: str) -> None:
    problems = refused(GOOD.replace(old, new, 1))
    assert any(found[:2] == (line, column) and says in found[2] for found in problems), problems


def test_null_and_absence_are_unknown_and_a_case_overrides_what_is_given() -> None:
    text = (
        "given: {order.paid_minor: 1, buyer.selected: true}\ncases:\n"
        "  - {name: a, facts: {order.paid_minor: null}, expect: {outcome: review}}\n"
        "  - {name: b, facts: {order.paid_minor: 30000}, expect: {outcome: review}}\n"
    )
    one, other = [run_case(default_policy(), case) for case in read_cases(default_policy(), text.encode(), "c.yaml")]
    paid = [{r.id: r.verdict for r in result.decision.conditions}["paid_under_300"] for result in (one, other)]
    assert paid == [Verdict.UNKNOWN, Verdict.FALSE]
    assert {r.id: r.verdict for r in one.decision.conditions}["selected"] is Verdict.TRUE
    assert "buyer.restricted" in one.decision.unknown


@pytest.mark.parametrize(
    ("expect", "wrong"),
    [
        ("outcome: review", []),
        ("outcome: instant", ["outcome"]),
        ("outcome: review, stopped_by: [unshipped]", ["stopped_by"]),
        ("outcome: review, unknown: []", ["unknown"]),
        ("outcome: review, conditions: {unshipped: false, covered: unknown}", ["condition unshipped"]),
        ("outcome: review, restrictions: []", []),
        ("outcome: review, restrictions: [serial_canceller]", ["restrictions"]),
    ],
)
def test_every_part_of_an_expectation_is_compared(expect: str, wrong: list[str]) -> None:
    text = f"cases: [{{name: nothing is known, expect: {{{expect}}}}}]"
    (case,) = read_cases(default_policy(), text.encode(), "c.yaml")
    assert [miss.what for miss in run_case(default_policy(), case).mismatches] == wrong


@pytest.mark.parametrize(("count", "named"), [(1, True), (12, True), (13, False)])
def test_up_to_twelve_names_are_named_where_another_was_written(count: int, named: bool) -> None:
    row = "  - {id: a, when: good, public: true, text: {zh: 甲, en: A}}\n"
    ids = [f"c{number:02}" for number in range(count)]
    policy = Policy.from_text(SMALL.replace(row, "".join(row.replace("id: a", f"id: {name}") for name in ids)))
    text = GOOD.replace("review}", "review, stopped_by: [something else]}")
    with pytest.raises(CasesRefused) as caught:
        read_cases(policy, text.encode(), "c.yaml")
    said = [problem.message for problem in caught.value.problems]
    hint = f": there are {', '.join(ids)}" if named else ""
    assert f"there is no condition something else{hint}" in said
