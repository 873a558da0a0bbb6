"""Which parts of a decision each audience may read (R14, R16)."""

from __future__ import annotations

from typing import Any

import pytest

from jitui.policy import FactValue, Outcome, Policy, Verdict, decide, explain
from jitui.policy.explain import Audience
from jitui.policy.sections import OTHER_FACTORS
from tests.policy.policy_samples import GOOD_FACTS, PLAIN_LINE, SMALL, default_policy


def explained(audience: Audience, **changes: FactValue | None) -> dict[str, Any]:
    facts = GOOD_FACTS | {name.replace("__", "."): value for name, value in changes.items()}
    explanation = explain(decide(default_policy(), facts), "en", audience)
    return {row.id: row for row in explanation.rows}


PUBLIC = ["premium_buyer", "paid_under_300", "goods_supported", "unshipped", "covered", "not_restricted"]


def test_the_platform_sees_every_condition_with_its_figures() -> None:
    rows = explained("platform")
    assert len(rows) == 9
    assert rows["premium_buyer"].facts["buyer.account_age_days"] == 400
    assert rows["within_caps"].sentence == "The request fits the caps for the buyer, the shop and the platform"


@pytest.mark.parametrize("audience", ["merchant", "buyer"])
def test_others_see_the_public_conditions_only(audience: Audience) -> None:
    rows = explained(audience)
    assert list(rows) == PUBLIC
    assert rows["premium_buyer"].facts == {}
    assert rows["paid_under_300"].facts == {"order.paid_minor": 29_999}


@pytest.mark.parametrize("audience", ["merchant", "buyer"])
@pytest.mark.parametrize(
    "changes",
    [{"buyer__selected": False}, {"caps__shop_ok": None}, {"service__paused": True}, {"caps__buyer_ok": False}],
)
def test_private_conditions_that_stopped_it_are_one_neutral_row(
    audience: Audience, changes: dict[str, FactValue | None]
) -> None:
    rows = explained(audience, **changes)
    assert list(rows) == [*PUBLIC, OTHER_FACTORS]
    assert rows[OTHER_FACTORS].verdict is Verdict.FALSE
    assert rows[OTHER_FACTORS].facts == {}
    assert rows == explained(audience, buyer__selected=False)


def test_a_merchant_sees_no_figure_of_the_buyer_and_a_buyer_none_of_the_shop() -> None:
    assert explained("merchant")["not_restricted"].facts == {}
    assert explained("buyer")["not_restricted"].facts == {"buyer.restricted": False}
    assert list(explained("merchant")["covered"].facts) == ["shop.covered", "order.lines"]
    assert list(explained("buyer")["covered"].facts) == ["order.lines"]


def test_the_merchant_sees_that_the_buyer_is_not_premium_and_no_figure() -> None:
    rows = explained("merchant", buyer__disputes_lost_365d=1)
    assert (rows["premium_buyer"].verdict, rows["premium_buyer"].facts) == (Verdict.FALSE, {})
    assert OTHER_FACTORS not in rows


def test_an_unknown_public_condition_says_unknown() -> None:
    rows = explained("buyer", order__lines=[PLAIN_LINE, {"line_id": "2"}])
    assert rows["goods_supported"].verdict is Verdict.UNKNOWN


def test_sentences_come_in_the_readers_language() -> None:
    decision = decide(default_policy(), GOOD_FACTS | {"buyer.selected": None})
    assert decision.outcome is Outcome.REVIEW
    chinese = explain(decision, "zh", "buyer")
    assert chinese.outcome is Outcome.REVIEW
    assert chinese.rows[1].sentence == "订单实付金额低于 ¥300.00"
    assert "等因素" in chinese.rows[-1].sentence
    assert explain(decision).rows[0].sentence == "买家为平台优质用户"


def test_caps_in_a_public_condition_keep_the_others_usage_private() -> None:
    when = "caps.buyer_used_count + caps.shop_used_count + caps.platform_used_count < 99"
    policy = Policy.from_text(SMALL.replace("when: good", f"when: {when}"))
    used: dict[str, FactValue] = {f"caps.{scope}_used_count": 1 for scope in ("buyer", "shop", "platform")}
    decision = decide(policy, used)
    assert list(explain(decision, "en", "merchant").rows[0].facts) == ["caps.shop_used_count"]
    assert list(explain(decision, "en", "buyer").rows[0].facts) == ["caps.buyer_used_count"]


@pytest.mark.parametrize("audience", ["merchant", "buyer"])
def test_the_platforms_own_attributes_and_features_are_shown_to_nobody_else(audience: Audience) -> None:
    """R16: a risk score stays with the platform, also in a condition whose figures are public."""
    text = default_policy().text.replace("features: #", "attributes:\n  buyer.risk_score: int\n\nfeatures: #", 1)
    text = text.replace('when: "!buyer.restricted"', 'when: "!buyer.restricted && buyer.risk_score < 50"')
    text = text.replace("when: shop.covered &&", "when: shop.shipped_30d >= 0 && shop.covered &&")
    policy = Policy.from_text(text)
    decision = decide(policy, GOOD_FACTS | {"buyer.risk_score": 87, "shop.shipped_30d": 5})
    shown = {row.id: row.facts for row in explain(decision, "en", audience).rows}
    assert not {"buyer.risk_score", "shop.shipped_30d"} & {name for facts in shown.values() for name in facts}
    whole = {row.id: row.facts for row in explain(decision, "en", "platform").rows}
    assert whole["not_restricted"]["buyer.risk_score"] == 87
