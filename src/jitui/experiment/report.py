"""The report of an experiment: from a history to figures and verdicts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import date
from math import ceil
from pathlib import Path

import duckdb

from jitui.backtest.source import Prepared, prepare
from jitui.errors import BadInput
from jitui.experiment.compare import (
    UNEQUAL_BELOW,
    Comparison,
    ExperimentVerdict,
    compare,
    library,
    sample_ratio,
)
from jitui.experiment.exposures import (
    HOLD_OUT,
    LIVE,
    Exposed,
    Window,
    expose,
    known_metrics,
    sums,
    sums_by_day,
    sums_by_shop,
)
from jitui.experiment.intervals import FALSE_ALARM, Interval, units_until
from jitui.experiment.metrics import METRICS, Metric, MetricId

MOST_SHOPS = 20
SMALLEST_CHANGE_PERCENT = 25


@dataclass(frozen=True, slots=True)
class ExperimentSpec:
    """What to report. `hold_out_percent` is needed when the history has no policies that say it.

    `smallest_change_percent`: for the days until a verdict, the change of the hold-out's value that is worth seeing.
    """

    history: str
    window: Window
    hold_out_percent: int | None = None
    smallest_change_percent: int = SMALLEST_CHANGE_PERCENT
    memory_mib: int = 2048
    encoding: str = "utf-8"


@dataclass(frozen=True, slots=True)
class DayReading:
    """What a reading of the report on this day would have said of one metric."""

    day: date
    effect: float
    sequential: Interval


@dataclass(frozen=True, slots=True)
class MetricReport:
    """One metric: all shops together, by day, and the shops with the most held-out buyers.

    `days_left`: how many more days until a change of `smallest_change` would show; 0 when it shows already, None when
    that cannot be said.
    """

    id: MetricId
    all: Comparison
    smallest_change: float | None
    days_left: int | None
    by_day: Sequence[DayReading]
    by_shop: Sequence[tuple[str, Comparison]]


@dataclass(frozen=True, slots=True)
class HoldOutCost:
    """What the hold-out costs the buyers in it: requests not approved at once, and hours that they waited longer."""

    requests: int
    hours: float | None


@dataclass(frozen=True, slots=True)
class ExperimentReport:
    """The whole report. `missing` metrics have nothing recorded in the history.

    `sample_ratio` is how probable so uneven a split is; None when the share changed in the time that is reported, or
    is not known. `hold_out_percents` has every share that was in force.
    """

    exposed: Exposed
    hold_out_percents: tuple[int, ...]
    follow_days: int
    smallest_change_percent: int
    sample_ratio: float | None
    is_comparable: bool
    cost: HoldOutCost
    metrics: Sequence[MetricReport]
    missing: Sequence[MetricId]
    set_aside: Mapping[str, int]

    def metric(self, wanted: MetricId) -> MetricReport | None:
        """The report of one metric; None when nothing is recorded of it."""
        return next((one for one in self.metrics if one.id is wanted), None)


def run_experiment(spec: ExperimentSpec, work: Path) -> ExperimentReport:
    """Read the history and compare its arms; `work` has what was rewritten.

    Raises BadInput for a history without arms or without a known share, NotConfigured without tea-tasting.
    """
    library()
    prepared = prepare(spec.history, work, memory_mib=spec.memory_mib, encoding=spec.encoding)
    config: dict[str, str | bool | int | float | list[str]] = {
        "memory_limit": f"{spec.memory_mib}MiB",
        "temp_directory": str(work / "spill"),
    }
    with closing(duckdb.connect(config=config)) as connection:
        exposed = expose(connection, prepared, spec.window)
        return _reported(connection, prepared, spec, exposed)


def _reported(
    connection: duckdb.DuckDBPyConnection, prepared: Prepared, spec: ExperimentSpec, exposed: Exposed
) -> ExperimentReport:
    percents = _percents(spec, exposed)
    share = percents[-1] / 100
    probable = sample_ratio(exposed.units, share) if len(percents) == 1 else None
    is_comparable = probable is None or probable >= UNEQUAL_BELOW
    known = known_metrics(connection)
    metrics = [_metric(connection, METRICS[one], spec, share, is_comparable, exposed) for one in known]
    return ExperimentReport(
        exposed,
        percents,
        spec.window.follow.days,
        spec.smallest_change_percent,
        probable,
        is_comparable,
        _cost(exposed, metrics),
        metrics,
        [one for one in METRICS if one not in known],
        {one.table: one.rows for one in prepared.set_aside},
    )


def _percents(spec: ExperimentSpec, exposed: Exposed) -> tuple[int, ...]:
    """The shares that were held out: as given, or as the policies say."""
    if spec.hold_out_percent is not None:
        return (spec.hold_out_percent,)
    known = tuple(one for one in exposed.shares if 0 < one < 100)
    if known:
        return known
    if exposed.shares:
        raise BadInput("The policies of this history hold nobody out: there is nothing to compare.", path="--history")
    raise BadInput(
        "This history has no policies that say which share is held out; name it with --hold-out-percent.",
        path="--hold-out-percent",
    )


def _metric(
    connection: duckdb.DuckDBPyConnection,
    metric: Metric,
    spec: ExperimentSpec,
    share: float,
    is_comparable: bool,
    exposed: Exposed,
) -> MetricReport:
    whole = compare(metric, sums(connection, metric.id), share, is_comparable=is_comparable)
    shops = sums_by_shop(connection, metric.id, MOST_SHOPS)
    # With many shops one of them is extreme by chance: all of them together keep to the probability of a false alarm.
    alarm = FALSE_ALARM / max(1, len(shops))
    days = []
    for day, both in sums_by_day(connection, metric.id):
        seen = compare(metric, both, share)
        if seen.effect is not None and seen.sequential is not None and seen.verdict is not ExperimentVerdict.TOO_FEW:
            days.append(DayReading(day, seen.effect, seen.sequential))
    change = None if whole.hold_out is None else abs(whole.hold_out) * spec.smallest_change_percent / 100
    return MetricReport(
        metric.id,
        whole,
        change,
        _days_left(whole, change, share, exposed),
        days,
        [(shop, compare(metric, both, share, is_comparable=is_comparable, false_alarm=alarm)) for shop, both in shops],
    )


def _days_left(whole: Comparison, change: float | None, share: float, exposed: Exposed) -> int | None:
    units = whole.hold_out_units + whole.live_units
    if not change or whole.standard_error is None or exposed.first_day is None or exposed.last_day is None:
        return None
    needed = units_until(change, whole.standard_error, units, share)
    a_day = units / ((exposed.last_day - exposed.first_day).days + 1)
    return None if needed is None else max(0, ceil((needed - units) / a_day))


def _cost(exposed: Exposed, metrics: Sequence[MetricReport]) -> HoldOutCost:
    waited = next((one.all for one in metrics if one.id is MetricId.HOURS_TO_CLOSE), None)
    hours = None if waited is None or waited.effect is None else -waited.effect * exposed.requests[HOLD_OUT]
    return HoldOutCost(exposed.would_have_been, hours)


def arms_without_people(report: ExperimentReport) -> list[str]:
    """The arms in which nobody is."""
    return [arm for arm in (HOLD_OUT, LIVE) if not report.exposed.units[arm]]
