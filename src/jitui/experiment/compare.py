"""Compares the two arms of one metric. The estimates are tea-tasting's; the sequential interval is ours."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from math import isfinite
from typing import Any

from jitui.errors import NotConfigured
from jitui.experiment.exposures import ARMS, HOLD_OUT, LIVE, BothArms, Sums
from jitui.experiment.intervals import (
    FALSE_ALARM,
    Interval,
    around,
    sequential_steps,
    smallest_effect,
    usual_steps,
)
from jitui.experiment.metrics import FEWEST_EVENTS, Metric, Per

UNEQUAL_BELOW = 0.001
"""A number of held-out buyers less probable than this, by the share that should be, means that the draw went wrong."""


class ExperimentVerdict(StrEnum):
    """What can be said about one metric."""

    BETTER = "better"
    WORSE = "worse"
    HIGHER = "higher"
    LOWER = "lower"
    CANNOT_TELL = "cannot_tell"
    TOO_FEW = "too_few"
    NOT_COMPARABLE = "not_comparable"


@dataclass(frozen=True, slots=True)
class Comparison:
    """One metric with and without the service. `effect` is live minus hold-out, in the metric's unit.

    The verdict is by the sequential interval, which may be looked at every day; the usual one is what a single look at
    the end would give. `smallest_effect` is what four of five such experiments would have shown by now. None where an
    arm has too little to compute it.
    """

    hold_out: float | None
    live: float | None
    hold_out_units: int
    live_units: int
    hold_out_events: int
    effect: float | None
    standard_error: float | None
    usual: Interval | None
    sequential: Interval | None
    smallest_effect: float | None
    verdict: ExperimentVerdict


def library() -> Any:
    """The package tea_tasting. Raises NotConfigured, with what to install, when it is missing."""
    try:
        import tea_tasting
    except ImportError:
        raise NotConfigured("The experiment's figures need tea-tasting: install jitui[experiment].") from None
    return tea_tasting


def compare(
    metric: Metric,
    sums: BothArms,
    held_out_share: float,
    *,
    is_comparable: bool = True,
    false_alarm: float = FALSE_ALARM,
) -> Comparison:
    """Estimate the effect and say what can be said. `held_out_share` is between 0 and 1."""
    held, live = sums[HOLD_OUT], sums[LIVE]
    estimate = _estimate(metric, sums)
    events = round(held.x) if metric.counts_events else held.units
    common = (held.units, live.units, events)
    if estimate is None:
        return Comparison(_mean(held), _mean(live), *common, None, None, None, None, None, ExperimentVerdict.TOO_FEW)
    effect, error = estimate
    units = held.units + live.units
    sequential = around(effect, sequential_steps(units, held_out_share, false_alarm), error)
    if not is_comparable:
        verdict = ExperimentVerdict.NOT_COMPARABLE
    elif min(events, live.units) < FEWEST_EVENTS:
        verdict = ExperimentVerdict.TOO_FEW
    else:
        verdict = _verdict(metric, sequential)
    return Comparison(
        _mean(held),
        _mean(live),
        *common,
        effect,
        error,
        around(effect, usual_steps(false_alarm), error),
        sequential,
        smallest_effect(error, units, held_out_share, false_alarm),
        verdict,
    )


def _mean(sums: Sums) -> float | None:
    return sums.x / sums.y if sums.y else None


def _verdict(metric: Metric, interval: Interval) -> ExperimentVerdict:
    if not interval.excludes_zero:
        return ExperimentVerdict.CANNOT_TELL
    is_lower = interval.upper < 0
    if metric.less_is_better is None:
        return ExperimentVerdict.LOWER if is_lower else ExperimentVerdict.HIGHER
    return ExperimentVerdict.BETTER if is_lower == metric.less_is_better else ExperimentVerdict.WORSE


def _estimate(metric: Metric, sums: BothArms) -> tuple[float, float] | None:
    """The effect and its standard error; None when an arm has fewer than two units or no spread at all."""
    if min(sums[arm].units for arm in ARMS) < 2:
        return None
    if not any(_variance(sums[arm].units, sums[arm].x, sums[arm].xx) for arm in ARMS):
        return None
    tt = library()
    covariate = (
        "c" if metric.covariate and all(_variance(sums[arm].units, sums[arm].c, sums[arm].cc) for arm in ARMS) else None
    )
    if metric.per is Per.REQUEST:
        how = tt.RatioOfMeans(numer="x", denom="y", use_t=False, equal_var=False)
    else:
        how = tt.Mean("x", covariate=covariate, use_t=False, equal_var=False)
    found = tt.Experiment(compared=how).analyze({arm: _aggregates(sums[arm]) for arm in ARMS}, control=HOLD_OUT)
    result = found["compared"]
    error = (result.effect_size_ci_upper - result.effect_size_ci_lower) / (2 * usual_steps())
    return (float(result.effect_size), float(error)) if isfinite(error) and error > 0 else None


def _aggregates(sums: Sums) -> Any:
    from tea_tasting.aggr import Aggregates

    n = sums.units
    return Aggregates(
        count_=n,
        mean_={"x": sums.x / n, "y": sums.y / n, "c": sums.c / n},
        var_={
            "x": _variance(n, sums.x, sums.xx),
            "y": _variance(n, sums.y, sums.yy),
            "c": _variance(n, sums.c, sums.cc),
        },
        cov_={
            ("x", "y"): _covariance(n, sums.x, sums.y, sums.xy),
            ("c", "x"): _covariance(n, sums.c, sums.x, sums.xc),
            ("c", "y"): 0.0,
        },
    )


def _variance(units: int, total: float, squares: float) -> float:
    return max(0.0, _covariance(units, total, total, squares))


def _covariance(units: int, left: float, right: float, products: float) -> float:
    return (products - left * right / units) / (units - 1)


def sample_ratio(units: Mapping[str, int], held_out_share: float) -> float | None:
    """How probable a split at least as uneven is, if chance drew with this share; None without units."""
    total = sum(units.values())
    if total == 0:
        return None
    tt = library()
    ratio = tt.SampleRatio({HOLD_OUT: held_out_share, LIVE: 1 - held_out_share})
    from tea_tasting.aggr import Aggregates

    counts = {arm: Aggregates(count_=units[arm]) for arm in ARMS}
    return float(tt.Experiment(split=ratio).analyze(counts, control=HOLD_OUT)["split"].pvalue)
