"""Decisions are pure, monotone in what is known, and stored exactly; only `true` approves."""

from __future__ import annotations

import json
import pickle
from collections.abc import Mapping
from dataclasses import replace
from types import MappingProxyType

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jitui.policy import (
    FACTS,
    FactValue,
    Line,
    Outcome,
    Policy,
    PolicyRefused,
    Verdict,
    decide,
    decision_from_json,
    decision_to_json,
    facts_to_json,
)
from jitui.policy.facts import ScalarValue
from tests.policy.policy_samples import GOOD_FACTS, PLAIN_LINE, SMALL, default_policy, small_policy

flags = st.sampled_from([True, True, True, False, None])
lines = st.builds(
    Line,
    line_id=st.sampled_from(["1", "2", None]),
    customised=flags.map(lambda x: x and False),
    virtual=flags,
    covered=flags,
) | st.just(PLAIN_LINE)
counts = st.integers(0, 12) | st.none()
facts_drawn: st.SearchStrategy[dict[str, FactValue | None]] = st.fixed_dictionaries(
    {
        "buyer.account_age_days": st.sampled_from([None, 89, 90, 400]),
        "buyer.completed_orders_365d": counts,
        "buyer.disputes_lost_365d": st.sampled_from([0, 0, 0, 1, None]),
        "buyer.refunds_before_shipment_90d": counts,
        "buyer.paid_orders_90d": counts,
        "order.paid_minor": st.sampled_from([0, 29_999, 30_000, 2**62, None]),
        "order.shipment": st.sampled_from(["unshipped", "label_printed", "shipped", "nonsense", None]),
        "order.lines": st.lists(lines, max_size=3) | st.none(),
        "shop.covered": flags,
        "buyer.selected": flags,
        "buyer.restricted": flags.map(lambda flag: None if flag is None else not flag),
        "service.paused": flags.map(lambda flag: None if flag is None else not flag),
        "caps.buyer_ok": flags,
        "caps.shop_ok": flags,
        "caps.platform_ok": flags,
    }
)
nearly_good: st.SearchStrategy[dict[str, FactValue | None]] = st.builds(
    lambda drawn, names: GOOD_FACTS | {name: drawn[name] for name in names},
    facts_drawn,
    st.sets(st.sampled_from(sorted(GOOD_FACTS)), max_size=3),
)


@settings(deadline=None)
@given(facts_drawn | nearly_good)
def test_only_true_holds_and_all_must(facts: Mapping[str, FactValue | None]) -> None:
    decision = decide(default_policy(), facts)
    verdicts = [result.verdict for result in decision.conditions]
    assert (decision.outcome is Outcome.INSTANT) == all(verdict is Verdict.TRUE for verdict in verdicts)
    assert bool(decision.unknown) == (Verdict.UNKNOWN in verdicts)


@settings(deadline=None)
@given(facts_drawn | nearly_good, st.sets(st.sampled_from(sorted(GOOD_FACTS))))
def test_forgetting_a_fact_never_turns_review_into_instant(
    facts: Mapping[str, FactValue | None], forgotten: set[str]
) -> None:
    before = decide(default_policy(), facts)
    after = decide(default_policy(), {name: value for name, value in facts.items() if name not in forgotten})
    assert before.outcome is Outcome.INSTANT or after.outcome is Outcome.REVIEW
    for old, new in zip(before.conditions, after.conditions, strict=True):
        assert new.verdict in (old.verdict, Verdict.UNKNOWN)


@settings(deadline=None)
@given(facts_drawn | nearly_good)
def test_a_decision_is_a_pure_function_that_can_be_stored(facts: Mapping[str, FactValue | None]) -> None:
    given_facts = dict(facts)
    decision = decide(default_policy(), facts)
    assert facts == given_facts
    assert decide(default_policy(), dict(reversed(dict(facts).items()))) == decision
    assert decide(default_policy(), json.loads(json.dumps(facts_to_json(facts)))) == decision
    assert decision_from_json(json.loads(json.dumps(decision_to_json(decision)))) == decision


def test_a_policy_comes_back_from_pickle_and_decides_the_same() -> None:
    policy = default_policy()
    again = pickle.loads(pickle.dumps(policy))
    assert (again.sha256, again.id, again.conditions) == (policy.sha256, policy.id, policy.conditions)
    assert decide(again, GOOD_FACTS) == decide(policy, GOOD_FACTS)


def test_a_refusal_comes_back_from_pickle() -> None:
    with pytest.raises(PolicyRefused, match="needs the key") as caught:
        Policy.from_text("policy: p\n")
    assert pickle.loads(pickle.dumps(caught.value)).problems == caught.value.problems


@pytest.mark.parametrize(
    ("orders", "level", "verdict"),
    [
        (4, None, Verdict.TRUE),
        (3, 5, Verdict.TRUE),
        (3, 1, Verdict.FALSE),
        (3, None, Verdict.UNKNOWN),
        (None, 5, Verdict.TRUE),
        (None, 1, Verdict.UNKNOWN),
    ],
)
def test_an_unknown_definition_is_absorbed_like_an_unknown_fact(
    orders: int | None, level: int | None, verdict: Verdict
) -> None:
    result = decide(small_policy("good || buyer.level > 3"), {"buyer.orders": orders, "buyer.level": level})
    assert result.conditions[0].verdict is verdict
    missing = {"buyer.orders": orders, "buyer.level": level}
    named = tuple(name for name, value in missing.items() if value is None)
    assert result.unknown == (named if verdict is Verdict.UNKNOWN else ())


def test_definitions_may_be_numbers_and_use_one_another() -> None:
    text = SMALL.replace(
        "good: buyer.orders > 3", "good: spent > limit\n  limit: 3 * base\n  base: 2\n  spent: buyer.orders * 2"
    )
    policy = Policy.from_text(text)
    assert [definition.name for definition in policy.definitions] == ["spent", "base", "limit", "good"]
    assert decide(policy, {"buyer.orders": 4}).outcome is Outcome.INSTANT
    assert decide(policy, {"buyer.orders": 3}).outcome is Outcome.REVIEW
    assert decide(policy, {}).unknown == ("buyer.orders",)
    assert decide(policy, {"buyer.orders": 4}).conditions[0].facts == {"buyer.orders": 4}


def test_overflow_and_division_by_zero_are_unknown() -> None:
    for when in ("order.paid_minor * 4 > 0", "order.paid_minor / (order.paid_minor - order.paid_minor) > 0"):
        decision = decide(small_policy(when), {"order.paid_minor": 2**62})
        assert decision.conditions[0].verdict is Verdict.UNKNOWN
        assert decision.outcome is Outcome.REVIEW


def test_attributes_are_facts_with_their_type_and_enum() -> None:
    policy = small_policy("buyer.tier in ['gold'] && buyer.level >= 2")
    assert decide(policy, {"buyer.tier": "gold", "buyer.level": 2}).outcome is Outcome.INSTANT
    assert decide(policy, {"buyer.tier": "iron", "buyer.level": 2}).unknown == ("buyer.tier",)
    assert decide(policy, {"buyer.tier": "gold", "buyer.level": "2"}).unknown == ("buyer.level",)


def test_lines_may_be_mappings_and_carry_more_than_is_read() -> None:
    policy = small_policy("order.lines.all(l, l.quantity > 0)")
    decision = decide(policy, {"order.lines": [{"line_id": "7", "quantity": 2, "colour": "red"}]})
    assert decision.outcome is Outcome.INSTANT
    assert decision.conditions[0].facts == {"order.lines": ({"line_id": "7", "quantity": 2},)}
    kept: Mapping[str, ScalarValue | None] = MappingProxyType({"line_id": "7", "quantity": 2})
    for same in (replace(PLAIN_LINE, line_id="7", quantity=2), kept):
        assert decide(policy, {"order.lines": [same]}) == decision


def test_the_table_names_every_fact_with_its_type_and_meaning() -> None:
    for name, spec in FACTS.items():
        assert spec.name == name
        assert spec.source
        assert spec.meaning
        assert spec.unit == "minor units" or not name.endswith("_minor")
        assert spec.unit == "seconds" or not name.endswith("_seconds")
