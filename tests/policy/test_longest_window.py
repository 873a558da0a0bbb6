"""The longest windows that a policy may name: exactly 730 days."""

from __future__ import annotations

import pytest

from jitui.policy import Policy, PolicyRefused
from tests.policy.policy_samples import SMALL

FEATURE = "over: 90d"
CAPS = "caps: {{per_shop: {{count: 1, over: {}}}}}\nreview:"
RESTRICTION = "restrictions: [{{id: r, when: buyer.orders > 3, withdraw: instant_refund, for: {}}}]\nreview:"


def with_(section: str, over: str) -> str:
    if section == "feature":
        return SMALL.replace(FEATURE, f"over: {over}")
    return SMALL.replace("review:", (CAPS if section == "cap" else RESTRICTION).format(over))


def test_a_window_of_exactly_730_days_is_taken_and_says_so() -> None:
    assert Policy.from_text(with_("feature", "730d")).features[0].days == 730
    cap = Policy.from_text(with_("cap", "730d")).caps.per_shop
    assert cap is not None and cap.over_seconds == 730 * 86_400
    assert Policy.from_text(with_("cap", "17520h")).caps.per_shop == cap
    assert Policy.from_text(with_("restriction", "730d")).restrictions[0].for_days == 730


@pytest.mark.parametrize(
    ("section", "over"), [("feature", "731d"), ("cap", "731d"), ("cap", "17521h"), ("restriction", "731d")]
)
def test_a_longer_one_is_refused(section: str, over: str) -> None:
    with pytest.raises(PolicyRefused, match="up to 730d"):
        Policy.from_text(with_(section, over))
