"""Verdicts on sums of two arms, and the laws of the sums."""

from __future__ import annotations

from dataclasses import replace

import pytest
from benchmarks.experiment_verdicts import NOTHING_DIFFERS, TWICE_THE_DISPUTES, read_daily

from jitui.experiment.compare import ExperimentVerdict, compare, sample_ratio
from jitui.experiment.exposures import HOLD_OUT, LIVE, BothArms, Sums
from jitui.experiment.metrics import FEWEST_EVENTS, METRICS, MetricId

SHARE = 0.02
DISPUTES = METRICS[MetricId.DISPUTES]


def rates(held: tuple[int, int], live: tuple[int, int]) -> BothArms:
    """Events of units in each arm, one request a unit."""
    return {
        arm: Sums(n, x=float(x), y=float(n), xx=float(x), yy=float(n), xy=float(x))
        for arm, (x, n) in ((HOLD_OUT, held), (LIVE, live))
    }


def verdict(held: tuple[int, int], live: tuple[int, int], metric: MetricId = MetricId.DISPUTES) -> ExperimentVerdict:
    return compare(METRICS[metric], rates(held, live), SHARE).verdict


def test_fewer_disputes_are_better_and_more_orders_are_better() -> None:
    assert verdict((160, 2_000), (2_000, 98_000)) is ExperimentVerdict.BETTER
    assert verdict((40, 2_000), (9_800, 98_000)) is ExperimentVerdict.WORSE
    assert verdict((1_600, 2_000), (49_000, 98_000), MetricId.ORDERS_AFTERWARDS) is ExperimentVerdict.WORSE
    assert verdict((400, 2_000), (49_000, 98_000), MetricId.ORDERS_AFTERWARDS) is ExperimentVerdict.BETTER


def test_more_requests_are_neither_better_nor_worse() -> None:
    assert verdict((400, 2_000), (49_000, 98_000), MetricId.REQUESTS) is ExperimentVerdict.HIGHER
    assert verdict((1_600, 2_000), (49_000, 98_000), MetricId.REQUESTS) is ExperimentVerdict.LOWER


def test_no_verdict_before_thirty_events_in_the_hold_out() -> None:
    assert verdict((FEWEST_EVENTS - 1, 200), (980, 98_000)) is ExperimentVerdict.TOO_FEW
    assert verdict((FEWEST_EVENTS, 200), (980, 98_000)) is ExperimentVerdict.BETTER


def test_an_arm_without_people_or_without_any_difference_has_no_effect() -> None:
    empty = compare(DISPUTES, rates((0, 0), (10, 100)), SHARE)
    assert (empty.effect, empty.verdict, empty.hold_out) == (None, ExperimentVerdict.TOO_FEW, None)
    assert compare(DISPUTES, rates((0, 50), (0, 100)), SHARE).verdict is ExperimentVerdict.TOO_FEW


def test_what_is_not_comparable_gets_no_verdict() -> None:
    found = compare(DISPUTES, rates((160, 2_000), (2_000, 98_000)), SHARE, is_comparable=False)
    assert found.verdict is ExperimentVerdict.NOT_COMPARABLE


def test_a_buyer_who_asks_often_is_one_buyer() -> None:
    """Ten requests of one buyer with ten disputes say less than ten buyers with one each."""
    alone = compare(DISPUTES, rates((80, 2_000), (2_000, 98_000)), SHARE)
    held = Sums(200, x=80.0, y=2_000.0, xx=800.0, yy=20_000.0, xy=800.0)
    together = compare(DISPUTES, {**rates((0, 0), (2_000, 98_000)), HOLD_OUT: held}, SHARE)
    assert alone.effect == pytest.approx(together.effect)
    assert alone.standard_error is not None and together.standard_error is not None
    assert together.standard_error > 2 * alone.standard_error


def test_what_buyers_did_before_narrows_the_interval() -> None:
    orders = METRICS[MetricId.ORDERS_AFTERWARDS]
    plain = Sums(1_000, x=2_000.0, y=1_000.0, c=2_000.0, xx=8_000.0, yy=1_000.0, cc=8_000.0, xy=2_000.0, xc=7_800.0)
    with_covariate = compare(orders, {HOLD_OUT: plain, LIVE: plain}, 0.5)
    without = {arm: replace(plain, c=0.0, cc=0.0, xc=0.0) for arm in (HOLD_OUT, LIVE)}
    alone = compare(orders, without, 0.5)
    assert with_covariate.standard_error is not None and alone.standard_error is not None
    assert with_covariate.standard_error < alone.standard_error / 2


def test_a_split_that_chance_does_not_make() -> None:
    assert sample_ratio({HOLD_OUT: 2_000, LIVE: 98_000}, SHARE) == pytest.approx(1.0, abs=0.05)
    lost = sample_ratio({HOLD_OUT: 1_700, LIVE: 98_000}, SHARE)
    assert lost is not None and lost < 0.001
    assert sample_ratio({HOLD_OUT: 0, LIVE: 0}, SHARE) is None


def test_verdicts_read_daily_are_seldom_wrong_and_find_a_real_difference() -> None:
    """A small sample of `python -m benchmarks.experiment_verdicts`."""
    assert sum(read_daily(NOTHING_DIFFERS, seed).day is not None for seed in range(20)) <= 1
    found = [read_daily(TWICE_THE_DISPUTES, 100_000 + seed).verdict for seed in range(10)]
    assert found.count(ExperimentVerdict.BETTER) >= 8
