"""The section `stop_ship`: one more condition, which alone may be in the way when the warehouse is asked."""

from __future__ import annotations

import pytest

from jitui.policy import Outcome, Policy, PolicyRefused, Verdict, decide, explain, waits_for_warehouse
from jitui.policy.cases import read_cases, run_case
from jitui.policy.difference import differences
from jitui.policy.public import PublicChangeKind, public_changes, public_view
from jitui.policy.sections import HELD_BY_WAREHOUSE
from tests.policy.policy_samples import DEFAULT, GOOD_FACTS, SMALL, default_policy

TEXT = DEFAULT.read_text(encoding="utf-8")


def asking(minutes: int | str = 30, text: str = TEXT) -> Policy:
    return Policy.from_text(f"{text}\nstop_ship: {{approve_when_held_within_minutes: {minutes}}}\n")


@pytest.mark.parametrize(
    ("shipment", "outcome", "verdict", "asks"),
    [
        ("unshipped", Outcome.INSTANT, Verdict.TRUE, False),
        ("label_printed", Outcome.REVIEW, Verdict.FALSE, True),
        ("picked_up", Outcome.REVIEW, Verdict.TRUE, False),
        (None, Outcome.REVIEW, Verdict.UNKNOWN, False),
    ],
)
def test_only_a_label_that_is_known_to_be_printed_asks(
    shipment: str | None, outcome: Outcome, verdict: Verdict, asks: bool
) -> None:
    decided = decide(asking(), {**GOOD_FACTS, "order.shipment": shipment})
    assert (decided.outcome, decided.conditions[-1].id) == (outcome, HELD_BY_WAREHOUSE)
    assert decided.conditions[-1].verdict is verdict
    assert waits_for_warehouse(asking(), decided) is asks


@pytest.mark.parametrize("missing", [{"service.paused": True}, {"buyer.restricted": None}])
def test_another_condition_that_is_not_true_asks_nobody(missing: dict[str, bool | None]) -> None:
    decided = decide(asking(), {**GOOD_FACTS, "order.shipment": "label_printed", **missing})
    assert not waits_for_warehouse(asking(), decided)


def test_without_the_section_nothing_is_asked_and_nothing_decided_otherwise() -> None:
    plain = default_policy()
    for shipment in ("unshipped", "label_printed", "picked_up"):
        facts = {**GOOD_FACTS, "order.shipment": shipment}
        decided, with_section = decide(plain, facts), decide(asking(), facts)
        assert not waits_for_warehouse(plain, decided)
        assert decided.conditions == with_section.conditions[:-1]
    own = SMALL.replace("id: a", f"id: {HELD_BY_WAREHOUSE}")
    policy = Policy.from_text(own)
    assert not waits_for_warehouse(policy, decide(policy, {"buyer.orders": 1})), "its own condition of that name"


def test_people_read_why_in_both_languages() -> None:
    decided = decide(asking(), {**GOOD_FACTS, "order.shipment": "label_printed"})
    for language, says in (
        ("zh", "仓库须在 30 分钟内确认拦下商品"),
        ("en", "within 30 minutes, that it holds the goods"),
    ):
        for audience in ("buyer", "merchant"):
            row = explain(decided, language, audience).rows[-1]  # type: ignore[arg-type]
            assert row.id == HELD_BY_WAREHOUSE and says in row.sentence
            assert row.facts == {"order.shipment": "label_printed"}
    assert "within 1 minute," in asking(1).conditions[-1].text["en"]


@pytest.mark.parametrize(
    ("minutes", "says"), [(0, "from 1 to 1440"), (1441, "from 1 to 1440"), ("soon", "from 1 to 1440")]
)
def test_the_minutes_are_within_a_day(minutes: int | str, says: str) -> None:
    with pytest.raises(PolicyRefused, match=says):
        asking(minutes)


def test_the_merchant_has_longer_than_the_warehouse() -> None:
    short = TEXT.replace("deadline: 48h", "deadline: 1h")
    assert short != TEXT
    assert asking(59, short).stop_ship is not None
    with pytest.raises(PolicyRefused, match="less than the deadline of review"):
        asking(60, short)


def test_the_id_of_the_condition_is_taken() -> None:
    with pytest.raises(PolicyRefused, match="give yours another id"):
        asking(text=SMALL.replace("id: a", f"id: {HELD_BY_WAREHOUSE}"))


def test_a_policy_that_looks_at_no_shipment_is_still_advised_to() -> None:
    for policy in (Policy.from_text(SMALL), asking(text=SMALL)):
        assert any("order.shipment: it can refund what has left" in one.message for one in policy.advice)


def test_cases_name_the_condition() -> None:
    text = (
        "cases:\n  - name: a label\n    facts: {order.shipment: label_printed, buyer.level: 1}\n"
        "    expect: {outcome: review, conditions: {held_by_warehouse: false}}\n"
    )
    policy = asking(text=SMALL)
    (case,) = read_cases(policy, text.encode(), "c.yaml")
    assert run_case(policy, case).mismatches == ()


def test_a_comparison_says_what_the_section_changes() -> None:
    name = "stop_ship.approve_when_held_within_minutes"
    for old, new, says in (
        (default_policy(), asking(), "added"),
        (asking(), default_policy(), "removed"),
        (asking(30), asking(60), "30 → 60: the warehouse has longer"),
        (asking(60), asking(30), "60 → 30: the warehouse has less long"),
    ):
        (change,) = differences(old, new)
        assert (change.name, change.decides) == (name, True) and says in change.what
    assert differences(asking(), asking()) == ()


def test_the_published_conditions_have_it() -> None:
    (change,) = public_changes(public_view(default_policy()), public_view(asking()))
    assert (change.kind, change.condition) == (PublicChangeKind.CONDITION_ADDED, HELD_BY_WAREHOUSE)
