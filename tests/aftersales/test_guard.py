"""The guards of a canary: a test by betting that may be looked at all the time."""

from __future__ import annotations

from math import exp, log
from random import Random

import pytest
from benchmarks.canary_guard import World, ended_after
from hypothesis import given
from hypothesis import strategies as st

from jitui.aftersales.governance.guard import (
    ENDING,
    ArmSums,
    Evidence,
    GuardMetric,
    Observation,
    begin,
    bound_of,
    is_crossed,
    numbers_seen,
    observe,
    wealth_needed,
)
from jitui.policy import GuardBound, Guards

NO_WORSE = GuardBound(0)
SEEN = st.lists(st.builds(Observation, st.booleans(), st.integers(0, 10**9)), max_size=60)


def rare(random: Random, requests: int, *, canary: float, live: float, share: float = 0.2) -> list[Observation]:
    made = []
    for _ in range(requests):
        is_canary = random.random() < share
        made.append(Observation(is_canary, int(random.random() < (canary if is_canary else live))))
    return made


@given(SEEN, st.integers(0, 1000), st.sampled_from(GuardMetric), st.data())
def test_counting_in_several_steps_is_counting_at_once(
    seen: list[Observation], above: int, metric: GuardMetric, data: st.DataObject
) -> None:
    cut = data.draw(st.integers(0, len(seen)))
    bound = GuardBound(above)
    at_once = observe(begin(metric), seen, bound)
    assert observe(observe(begin(metric), seen[:cut], bound), seen[cut:], bound) == at_once
    for arm, sums in ((True, at_once.canary), (False, at_once.live)):
        assert sums == ArmSums(
            sum(one.is_canary is arm for one in seen), sum(one.value for one in seen if one.is_canary is arm)
        )


@given(SEEN, st.integers(0, 1000))
def test_no_bet_loses_everything_and_the_peak_is_the_most_that_there_was(seen: list[Observation], above: int) -> None:
    evidence, most = begin(GuardMetric.MONEY_OUT), 0.0
    for one in seen:
        evidence = observe(evidence, (one,), GuardBound(above))
        most = max(most, evidence.wealth_log)
        assert all(has > -1e9 for has in evidence.log_wealth)
    assert evidence.peak_log == most


@given(st.integers(1, 1000), st.integers(0, 30))
def test_one_comparison_is_a_fair_game_at_the_bound(live_percent: int, above: int) -> None:
    """Values are 0 or 1: the expected wealth after a comparison is 1 when the canary lies exactly at its bound."""
    live = live_percent / 1001 / (1 + above / 100)
    canary = live * (1 + above / 100)
    expected = 0.0
    for value, of_live in ((0, 0), (0, 1), (1, 0), (1, 1)):
        evidence = observe(
            begin(GuardMetric.INCIDENT_RATE), [Observation(False, of_live), Observation(True, value)], GuardBound(above)
        )
        chance = (canary if value else 1 - canary) * (live if of_live else 1 - live)
        expected += chance * exp(evidence.wealth_log)
    assert expected == pytest.approx(1.0)


def test_what_is_compared_are_the_canarys_requests_with_the_live_ones_around_them() -> None:
    seen = [Observation(False, 1), Observation(False, 0), Observation(True, 1)]
    evidence = observe(begin(GuardMetric.INCIDENT_RATE), seen, NO_WORSE)
    assert evidence.log_wealth == pytest.approx([log(1 + bet * 0.5) for bet in (0.4, 0.95)])
    # Without a live request since, the canary's wait for the next one.
    waiting = observe(evidence, [Observation(True, 1), Observation(True, 0)], NO_WORSE)
    assert (waiting.log_wealth, waiting.waiting_canary) == (evidence.log_wealth, ArmSums(2, 1))
    assert observe(waiting, [Observation(False, 0)], NO_WORSE).log_wealth[1] == pytest.approx(2 * log(1.475))


def test_an_amount_counts_as_at_most_the_largest_that_was_there_before() -> None:
    seen = [Observation(False, 100), Observation(True, 10**9), Observation(False, 100), Observation(True, 10**12)]
    first = observe(begin(GuardMetric.MONEY_OUT), seen[:2], NO_WORSE)
    assert (first.scale, first.log_wealth) == (10**9, (0.0, 0.0))
    second = observe(first, seen[2:], NO_WORSE)
    assert second.log_wealth == pytest.approx([log(1 + bet * (1 - 1e-7)) for bet in (0.4, 0.95)])


def test_a_canary_that_is_worse_is_found_and_one_that_is_not_is_left() -> None:
    guards = Guards()
    found = dict.fromkeys(("worse", "same", "better"), 0)
    for seed in range(10):
        for name, rate in (("worse", 0.15), ("same", 0.05), ("better", 0.02)):
            seen = rare(Random(seed), 2500, canary=rate, live=0.05)
            evidence = observe(begin(GuardMetric.INCIDENT_RATE), seen, guards.incident_rate)
            found[name] += is_crossed(GuardMetric.INCIDENT_RATE, evidence, guards)
    assert found == {"worse": 10, "same": 0, "better": 0}


def test_what_lies_within_the_tolerance_is_left() -> None:
    guards = Guards(incident_rate=GuardBound(200))
    for seed in range(10):
        evidence = observe(
            begin(GuardMetric.INCIDENT_RATE), rare(Random(seed), 2500, canary=0.14, live=0.05), guards.incident_rate
        )
        assert not is_crossed(GuardMetric.INCIDENT_RATE, evidence, guards)


def test_the_false_alarms_of_the_guards_that_end_a_canary_are_as_stated_together() -> None:
    for percent in (1, 5, 20):
        guards = Guards(false_alarm_percent=percent)
        assert sum(1 / wealth_needed(metric, guards) for metric in ENDING) == pytest.approx(percent / 100)


def test_a_canary_that_crossed_once_has_crossed_and_a_signal_stands_only_while_it_does() -> None:
    guards = Guards()
    for metric, still in ((GuardMetric.INCIDENT_RATE, True), (GuardMetric.REPEAT_REQUESTS, False)):
        bound = bound_of(metric, guards)
        bad = [Observation(one, int(one)) for _ in range(30) for one in (False, True)]
        good = [Observation(one, int(not one)) for _ in range(200) for one in (False, True)]
        crossed = observe(begin(metric), bad, bound)
        assert is_crossed(metric, crossed, guards)
        assert is_crossed(metric, observe(crossed, good, bound), guards) is still


def test_the_numbers_are_said() -> None:
    evidence = Evidence(ArmSums(812, 24), ArmSums(15600, 160), peak_log=log(61.2))
    assert numbers_seen(GuardMetric.INCIDENT_RATE, evidence, Guards()) == (
        "incident_rate: 24 of 812 (2.96%) in the canary against 160 of 15600 (1.03%) live; at most 0 % above live is "
        "allowed, and the evidence is 61.2 to 1, with 33 to 1 as the limit"
    )
    money = numbers_seen(GuardMetric.MONEY_OUT, Evidence(ArmSums(4, 1000), ArmSums(2, 300)), Guards())
    assert money.startswith("money_out: 250 minor units a request over 4 requests in the canary against 150 minor")


def test_simulated_canaries() -> None:
    """A few seeds of `python -m benchmarks.canary_guard`, with more incidents in both arms so that it is quick."""
    guards = Guards()
    worse = World(canary_percent=20, incidents=0.05, incidents_in_canary=0.2, requests_a_day=1000)
    same = World(canary_percent=20, incidents=0.05, incidents_in_canary=0.05, requests_a_day=1000)
    assert all(ended_after(worse, seed, guards, 900) for seed in range(3))
    assert not any(ended_after(same, seed, guards, 900) for seed in range(3))
