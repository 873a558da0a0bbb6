"""`known(f)`: what it reads, what a decision says of it, and what it is no part of."""

from __future__ import annotations

from dataclasses import replace

import pytest

from jitui.policy import FactValue, Policy, Verdict, decide, explain, verdicts_beside
from jitui.policy.difference import differences
from jitui.policy.language.known import without_known
from jitui.policy.language.syntax import Names
from jitui.policy.program import union_of
from tests.policy.policy_samples import SMALL, small_text
from tests.policy.test_refusals import refused


def loaded(when: str) -> Policy:
    return Policy.from_text(small_text(when))


def test_a_fact_that_is_asked_for_is_shown_and_is_not_missing() -> None:
    policy = loaded("known(buyer.level) && order.paid_minor > 3")
    decision = decide(policy, {"buyer.level": 3})
    assert decision.unknown == ("order.paid_minor",)
    (row,) = explain(decision).rows
    assert row.verdict is Verdict.UNKNOWN
    assert dict(row.facts) == {"buyer.level": 3, "order.paid_minor": None}
    (without,) = decide(policy, {"order.paid_minor": 4}).conditions
    assert without.verdict is Verdict.FALSE
    assert dict(without.facts) == {"buyer.level": None, "order.paid_minor": 4}


def test_a_fact_that_is_asked_for_and_read_is_missing_where_its_value_is_needed() -> None:
    decision = decide(loaded("known(buyer.level) || buyer.level + order.paid_minor > 3"), {})
    assert decision.unknown == ("buyer.level", "order.paid_minor")


def test_a_field_of_a_line_that_is_only_asked_for_is_not_missing() -> None:
    policy = loaded("order.lines.all(l, known(l.sku) && l.virtual)")
    lines: FactValue = [{"sku": "a"}, {"sku": "b", "virtual": True}]
    assert decide(policy, {"order.lines": lines}).unknown == ("order.lines.virtual",)
    assert policy.programs.condition_reads.only_tested == ("order.lines.sku",)


def test_what_a_definition_asks_for_is_asked_for_by_what_uses_it() -> None:
    policy = Policy.from_text(
        small_text("asked && order.paid_minor > 3").replace("  good:", "  asked: known(buyer.level)\n  good:")
    )
    reads = policy.programs.condition_reads
    assert reads.tested == reads.only_tested == ("buyer.level",)
    both = Policy.from_text(
        small_text("asked && buyer.level > 3").replace("  good:", "  asked: known(buyer.level)\n  good:")
    )
    assert both.programs.condition_reads.only_tested == ()
    assert union_of([*policy.programs.conditions, *both.programs.conditions]).only_tested == ()


def test_to_ask_whether_a_safeguard_is_known_is_not_to_obey_it() -> None:
    messages = [one.message for one in loaded("known(service.paused)").advice]
    assert any("no condition reads service.paused" in message for message in messages)
    assert not any("no condition reads service.paused" in one.message for one in loaded("!service.paused").advice)


def test_a_feature_that_is_only_asked_for_is_counted() -> None:
    assert [one.name for one in loaded("known(buyer.orders)").deciding_features] == ["buyer.orders"]


def test_a_restriction_asks_for_nothing_of_an_order() -> None:
    rule = 'restrictions:\n  - {id: r, when: "known(order.paid_minor)", withdraw: instant_refund, for: 9d}\n'
    (problem,) = refused(SMALL + rule)
    assert "a restriction looks at the buyer's history and attributes, not at order.paid_minor" in problem[2]


def test_a_second_policy_is_asked_again_where_a_fact_came_or_went() -> None:
    policy = loaded("known(buyer.level)")
    decided = decide(policy, {"buyer.level": 3})
    again = verdicts_beside(policy, decided, loaded("known(buyer.level)"), {}, frozenset({"buyer.level"}))
    assert again == {"a": Verdict.FALSE}


def test_a_difference_says_it_as_it_is_written() -> None:
    (change,) = differences(loaded("known(buyer.level)"), loaded("known(buyer.tier)"))
    assert change.what == "`known(buyer.level)` → `known(buyer.tier)`"
    assert differences(loaded("known(buyer.level)"), loaded("known( buyer . level )")) == ()


@pytest.mark.parametrize(
    ("text", "run", "facts"),
    [
        ("known(a.b)", "known.a.b ", ("a.b",)),
        ("known ( a . b ) && known(a.b)", "known . a . b   && known.a.b ", ("a.b",)),
        ("x.all(l, known(l.f))", "x.all(l, has  (l.f))", ()),
        ("'known(a.b)' == \"known(a.b)\" // known(a.b)", "'known(a.b)' == \"known(a.b)\" // known(a.b)", ()),
        ("unknown(a.b)", "unknown(a.b)", ()),
        ("x.known(a.b)", "x.known(a.b)", ()),
        ("a.b", "a.b", ()),
    ],
)
def test_the_text_keeps_its_length(text: str, run: str, facts: tuple[str, ...]) -> None:
    spec = replace(loaded("good").facts["buyer.level"], name="a.b")
    found = without_known(text, Names({"a.b": spec}, {}))
    assert (found.text, found.facts, found.faults) == (run, facts, ())
    assert len(found.text) == len(text)


def test_a_definition_with_the_name_known_keeps_its_meaning() -> None:
    text = small_text("known && known(buyer.level)").replace("  good:", "  known: buyer.level > 3\n  good:")
    policy = Policy.from_text(text)
    facts: dict[str, FactValue] = {"buyer.level": 4}
    assert decide(policy, facts).conditions[0].verdict is Verdict.TRUE
