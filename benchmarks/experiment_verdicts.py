"""How often the experiment's verdict is wrong when it is read every day, and how soon a real difference is found.

`python -m benchmarks.experiment_verdicts`: experiments in which nothing differs, read daily for 60 days, and
experiments with 2 % against 4 % of disputes on 100,000 requests in 30 days. Every reading is the report's own.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from time import perf_counter

import numpy as np
from scipy.stats import binomtest

from jitui.experiment.compare import ExperimentVerdict, compare
from jitui.experiment.exposures import HOLD_OUT, LIVE, Sums
from jitui.experiment.metrics import METRICS, MetricId

CERTAIN = (ExperimentVerdict.BETTER, ExperimentVerdict.WORSE)


@dataclass(frozen=True, slots=True)
class Planted:
    """An experiment with known rates; each unit makes one request."""

    requests_a_day: int
    days: int
    held_out_percent: int
    held_out_rate: float
    live_rate: float


NOTHING_DIFFERS = Planted(3_333, 60, 2, 0.02, 0.02)
TWICE_THE_DISPUTES = Planted(3_334, 30, 2, 0.04, 0.02)


@dataclass(frozen=True, slots=True)
class Readings:
    """The first day on which a daily reading says better or worse, which of the two, and whether it ever does.

    `usual_alarm`: whether the usual interval would have said it on a day with as many events.
    """

    day: int | None
    verdict: ExperimentVerdict | None
    usual_alarm: bool


def read_daily(planted: Planted, seed: int) -> Readings:
    """The readings of one simulated experiment."""
    draw = np.random.default_rng(seed)
    held = draw.binomial(planted.requests_a_day, planted.held_out_percent / 100, planted.days)
    live = planted.requests_a_day - held
    held_events = draw.binomial(held, planted.held_out_rate).cumsum()
    live_events = draw.binomial(live, planted.live_rate).cumsum()
    held_units, live_units = held.cumsum(), live.cumsum()
    usual_alarm = False
    for day in range(planted.days):
        both = {HOLD_OUT: _sums(held_units[day], held_events[day]), LIVE: _sums(live_units[day], live_events[day])}
        seen = compare(METRICS[MetricId.DISPUTES], both, planted.held_out_percent / 100)
        if seen.verdict in CERTAIN:
            return Readings(day + 1, seen.verdict, usual_alarm=True)
        if seen.verdict is ExperimentVerdict.CANNOT_TELL and seen.usual is not None:
            usual_alarm |= seen.usual.excludes_zero
    return Readings(None, None, usual_alarm)


def _sums(units: int, events: int) -> Sums:
    n, x = int(units), float(events)
    return Sums(n, x=x, y=n, xx=x, yy=n, xy=x)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--nulls", type=int, default=1_000)
    parser.add_argument("--planted", type=int, default=100)
    given = parser.parse_args()
    begun = perf_counter()
    nulls = [read_daily(NOTHING_DIFFERS, seed) for seed in range(given.nulls)]
    wrong = sum(one.day is not None for one in nulls)
    bound = binomtest(wrong, given.nulls).proportion_ci(0.95).high
    print(f"nothing differs: {wrong} of {given.nulls} said that something does; 95 % bound {100 * bound:.2f} %")
    print(f"by the usual interval, looked at as often: {sum(one.usual_alarm for one in nulls)} of {given.nulls}")
    found = [read_daily(TWICE_THE_DISPUTES, 100_000 + seed) for seed in range(given.planted)]
    right = [one.day for one in found if one.day is not None and one.verdict is ExperimentVerdict.BETTER]
    median = _median(right)
    print(f"2 % against 4 % in 30 days: found in {len(right)} of {given.planted}, on day {median} in the median")
    print(f"{perf_counter() - begun:.0f} s")


def _median(days: Sequence[int]) -> int | None:
    return sorted(days)[len(days) // 2] if days else None


if __name__ == "__main__":
    main()
