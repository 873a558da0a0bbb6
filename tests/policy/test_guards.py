"""The guards of a policy: what a canary of it is watched by."""

from __future__ import annotations

import pytest

from jitui.policy import GuardBound, Guards, Policy, PolicyRefused
from jitui.policy.difference import differences
from tests.policy.policy_samples import SMALL

DAY = 86_400


def with_guards(text: str) -> Policy:
    return Policy.from_text(SMALL.replace("review:", f"guards: {text}\nreview:"))


def test_without_the_section_the_defaults_hold() -> None:
    assert Policy.from_text(SMALL).guards == Guards()
    assert Guards() == Guards(
        incident_rate=GuardBound(0, 2 * DAY),
        refund_failures=GuardBound(0, 3600),
        money_out=GuardBound(25),
        share_instant=GuardBound(50),
        repeat_requests=GuardBound(25),
        false_alarm_percent=5,
    )


def test_what_is_given_replaces_the_default_and_the_rest_stays() -> None:
    policy = with_guards("{incident_rate: {counts_after: 72h}, money_out: {above_live_percent: 40}}")
    assert policy.guards.incident_rate == GuardBound(0, 3 * DAY)
    assert policy.guards.money_out == GuardBound(40)
    assert policy.guards.refund_failures == Guards().refund_failures
    assert with_guards("{false_alarm_percent: 1}").guards.false_alarm_percent == 1


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("{incidents: {}}", "guards has no key incidents"),
        ("{money_out: {counts_after: 1h}}", "money_out has no key counts_after"),
        ("{incident_rate: {above_live_percent: -1}}", "above_live_percent is a whole number from 0 to 1000"),
        ("{incident_rate: {counts_after: 31d}}", "counts_after is a number of hours"),
        ("{false_alarm_percent: 0}", "false_alarm_percent is a whole number from 1 to 20"),
        ("{false_alarm_percent: 21}", "false_alarm_percent is a whole number from 1 to 20"),
    ],
)
def test_what_no_guard_can_be_is_refused(text: str, says: str) -> None:
    with pytest.raises(PolicyRefused) as refused:
        with_guards(text)
    assert any(says in problem.message for problem in refused.value.problems), refused.value.problems


def test_a_changed_bound_is_a_difference_that_decides_no_request() -> None:
    old = Policy.from_text(SMALL)
    new = with_guards("{incident_rate: {above_live_percent: 10, counts_after: 3d}, false_alarm_percent: 2}")
    assert [(one.name, one.what, one.decides) for one in differences(old, new)] == [
        ("guards.incident_rate.above_live_percent", "0 → 10", False),
        ("guards.incident_rate.counts_after", "2d → 3d", False),
        ("guards.false_alarm_percent", "5 → 2", False),
    ]
