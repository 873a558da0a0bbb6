"""The shipped policy decides as the notice says (R3, R4, R14)."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from typing import Any

import pytest

from jitui.policy import Decision, FactValue, Outcome, Policy, Verdict, decide, restriction_hits
from tests.policy.policy_samples import GOOD_FACTS, PLAIN_LINE, RETAIL, default_policy


def decided(**changes: FactValue | None) -> Decision:
    """The default policy on facts that all hold, with changes; `__` stands for the dot of a name."""
    return decide(default_policy(), GOOD_FACTS | {name.replace("__", "."): value for name, value in changes.items()})


def stopped_by(decision: Decision) -> dict[str, Verdict]:
    return {result.id: result.verdict for result in decision.conditions if result.verdict is not Verdict.TRUE}


def test_all_conditions_together_refund_at_once() -> None:
    decision = decided()
    assert decision.outcome is Outcome.INSTANT
    assert stopped_by(decision) == {}
    assert decision.unknown == ()
    assert (decision.policy_id, decision.policy_version) == ("unshipped-instant-refund", "2")
    assert decision.engine.startswith("cel-expr-python ")


@pytest.mark.parametrize(("paid_minor", "instant"), [(0, True), (29_999, True), (30_000, False), (30_001, False)])
def test_300_yuan_itself_is_not_under_300_yuan(paid_minor: int, instant: bool) -> None:
    assert (decided(order__paid_minor=paid_minor).outcome is Outcome.INSTANT) == instant


@pytest.mark.parametrize(
    ("shipment", "instant"),
    [
        ("unshipped", True),
        ("label_printed", True),
        ("picked_up", False),
        ("partly_shipped", False),
        ("shipped", False),
        ("delivered", False),
    ],
)
def test_a_printed_label_is_unshipped_and_a_pick_up_is_not(shipment: str, instant: bool) -> None:
    assert (decided(order__shipment=shipment).outcome is Outcome.INSTANT) == instant


def test_a_customised_line_among_others_goes_to_review() -> None:
    mug = replace(PLAIN_LINE, line_id="2", customised=True)
    decision = decided(order__lines=[PLAIN_LINE, mug])
    assert stopped_by(decision) == {"goods_supported": Verdict.FALSE}
    assert decision.conditions[3].facts["order.lines"] == (
        {"line_id": "1", "customised": False, "virtual": False},
        {"line_id": "2", "customised": True, "virtual": False},
    )


def test_a_virtual_line_goes_to_review() -> None:
    assert stopped_by(decided(order__lines=[replace(PLAIN_LINE, virtual=True)])) == {"goods_supported": Verdict.FALSE}


def test_an_item_that_is_not_covered_goes_to_review() -> None:
    assert stopped_by(decided(order__lines=[replace(PLAIN_LINE, covered=False)])) == {"covered": Verdict.FALSE}


def test_no_lines_hold_vacuously_as_in_cel() -> None:
    # Orders without lines are refused before anything is decided.
    assert decided(order__lines=[]).outcome is Outcome.INSTANT


def test_an_unknown_line_field_never_approves_and_is_named() -> None:
    decision = decided(order__lines=[PLAIN_LINE, replace(PLAIN_LINE, customised=None)])
    assert stopped_by(decision) == {"goods_supported": Verdict.UNKNOWN}
    assert decision.unknown == ("order.lines.customised",)


@pytest.mark.parametrize("name", list(GOOD_FACTS))
@pytest.mark.parametrize("missing", ["left out", "None"])
def test_every_fact_that_is_missing_sends_to_review_and_is_named(name: str, missing: str) -> None:
    facts: dict[str, FactValue | None] = {key: value for key, value in GOOD_FACTS.items() if key != name}
    if missing == "None":
        facts[name] = None
    decision = decide(default_policy(), facts)
    assert decision.outcome is Outcome.REVIEW
    assert decision.unknown == (name,)
    assert set(stopped_by(decision).values()) == {Verdict.UNKNOWN}


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("order.shipment", "teleported"),
        ("order.paid_minor", "100"),
        ("order.paid_minor", True),
        ("order.paid_minor", 2**63),
        ("order.paid_minor", 99.5),
        ("buyer.restricted", 0),
        ("order.lines", "abc"),
        ("order.lines", 7),
    ],
)
def test_a_value_that_does_not_fit_its_fact_is_unknown(name: str, value: object) -> None:
    facts: dict[str, Any] = GOOD_FACTS | {name: value}
    decision = decide(default_policy(), facts)
    assert decision.outcome is Outcome.REVIEW
    assert decision.unknown == (name,)


def test_a_false_condition_needs_no_missing_fact() -> None:
    decision = decided(buyer__account_age_days=3, buyer__paid_orders_90d=None)
    assert stopped_by(decision) == {"premium_buyer": Verdict.FALSE}
    assert decision.unknown == ()


def test_one_refund_in_five_is_still_premium_and_more_is_not() -> None:
    assert decided(buyer__refunds_before_shipment_90d=2, buyer__paid_orders_90d=10).outcome is Outcome.INSTANT
    assert decided(buyer__refunds_before_shipment_90d=2, buyer__paid_orders_90d=9).outcome is Outcome.REVIEW


def test_the_notice_and_the_numbers_of_the_policy() -> None:
    policy = default_policy()
    assert policy.notice["zh"] == ("该用户为平台优质用户且订单满足极速退款条件，平台已自动审核通过卖家发货前仅退款申请")
    assert policy.effective_from == datetime.fromisoformat("2025-01-26T00:00:00+08:00")
    assert (policy.currency, policy.selection.hold_out_percent) == ("CNY", 2)
    assert policy.caps.per_buyer is not None
    assert policy.caps.platform is not None
    assert (policy.caps.per_buyer.count, policy.caps.per_buyer.amount_minor) == (3, 60_000)
    assert policy.caps.platform.over_seconds == 86_400
    assert (policy.review.deadline_seconds, policy.review.on_timeout) == (172_800, "approve")
    assert {feature.name: feature.days for feature in policy.features}["shop.shipped_30d"] == 30
    assert policy.attributes == {}
    assert policy.advice == ()


def test_what_is_announced_is_public_and_the_rest_is_not() -> None:
    public = {condition.id: (condition.public, condition.detail_public) for condition in default_policy().conditions}
    assert public == {
        "premium_buyer": (True, False),
        "selected": (False, False),
        "paid_under_300": (True, True),
        "goods_supported": (True, True),
        "unshipped": (True, True),
        "covered": (True, True),
        "not_restricted": (True, True),
        "within_caps": (False, False),
        "not_paused": (False, False),
    }


@pytest.mark.parametrize(("refunds", "orders", "hit"), [(10, 20, True), (10, 21, False), (9, 9, False)])
def test_a_serial_canceller_is_restricted(refunds: int, orders: int, hit: bool) -> None:
    facts = {"buyer.refunds_before_shipment_90d": refunds, "buyer.paid_orders_90d": orders}
    assert [rule.id for rule in restriction_hits(default_policy(), facts)] == (["serial_canceller"] if hit else [])


def test_an_unknown_history_restricts_nobody() -> None:
    assert restriction_hits(default_policy(), {"buyer.refunds_before_shipment_90d": 50}) == ()


def test_the_retail_example_loads_and_decides() -> None:
    policy = Policy.from_file(RETAIL)
    assert policy.currency == "GBP"
    assert policy.advice == ()
    facts = GOOD_FACTS | {
        "buyer.orders_90d": 4,
        "buyer.paid_minor_90d": 200_000,
        "buyer.refunds_before_shipment_90d": 1,
        "request.amount_minor": 90_000,
        "order.paid_minor": 99_999,
    }
    assert decide(policy, facts).outcome is Outcome.INSTANT
    assert decide(policy, facts | {"buyer.refunds_before_shipment_90d": 2}).outcome is Outcome.REVIEW
    assert decide(policy, facts | {"request.amount_minor": 100_001}).outcome is Outcome.REVIEW
