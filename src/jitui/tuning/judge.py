"""Judges a few settings on requests that nothing was learnt from: later days, other buyers.

Buyers are drawn, not requests, so buyers are the units: one who asks ten times is not ten witnesses.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import ceil, log
from typing import Any

import duckdb

from jitui.errors import NotConfigured
from jitui.tuning.scan import JUDGE, LEARN, Tried

RESAMPLES = 1_999
SEED = 20_250_126
_PER_BUYER = ("instant", "incidents", "money_minor", "loss_minor")


@dataclass(frozen=True, slots=True)
class Bounds:
    """What a setting must keep to, surely enough: `confidence_percent`.

    `incident_percent`: of the buyers refunded at once, those with an incident. `loss_percent`: of the money refunded at
    once, what is lost; None is no bound.
    """

    incident_percent: float = 1.0
    loss_percent: float | None = None
    confidence_percent: float = 95.0

    @property
    def fewest_buyers(self) -> int:
        """How many buyers without any incident it takes to show that the bound on incidents is kept."""
        return ceil(log(self.error) / log(1 - self.incident_percent / 100))

    @property
    def error(self) -> float:
        """How probable it may be that a setting passes that does not keep to a bound."""
        return 1 - self.confidence_percent / 100


@dataclass(frozen=True, slots=True)
class Range:
    """A figure with its interval."""

    value: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Judged:
    """One setting on the requests that judge; money and loss are means in minor units.

    `p_value`: how probable so few buyers with an incident are if the bound is not kept. `loss_bound_percent`: what the
    loss, in percent of the money, surely does not exceed; None without money. `share_gained` and `loss_gained`
    are the differences from the policy's own setting, per request. `holds`: both bounds hold by themselves.
    """

    requests: int
    instant: int
    incidents: int
    buyers: int
    buyers_with_incident: int
    buyers_with_incident_at_most_percent: float
    p_value: float
    share_instant: Range
    money_per_request: Range
    loss_per_request: Range
    loss_bound_percent: float | None
    share_gained: Range
    loss_gained: Range
    holds: bool


def statistics() -> Any:
    """`scipy.stats`; raises NotConfigured where it is not installed."""
    try:
        from scipy import stats
    except ImportError:
        raise NotConfigured("Tuning needs SciPy: pip install 'jitui[tune]'.") from None
    return stats


def judge(connection: duckdb.DuckDBPyConnection, tried: Tried, settings: Sequence[int], bounds: Bounds) -> list[Judged]:
    """Each setting on the requests that judge, with intervals clustered by buyer; the first is the policy's own."""
    sums = _sums_by_bucket(connection, tried, settings, JUDGE)
    resampled = _resampled(sums)
    return [_judged(sums, resampled, place, bounds) for place in range(len(settings))]


def surest_first(
    connection: duckdb.DuckDBPyConnection, tried: Tried, settings: Sequence[int], bounds: Bounds
) -> list[int]:
    """The settings in the order in which they are tested: how sure the requests that are learnt from are of each."""
    sums = _sums_by_bucket(connection, tried, settings, LEARN)
    p_values = [
        _p_value(int(sums[f"with_incident_{place}"].sum()), int(sums[f"buyers_{place}"].sum()), bounds)
        for place in range(len(settings))
    ]
    return [settings[place] for place in sorted(range(len(settings)), key=lambda place: (p_values[place], place))]


def passed(order: Sequence[int], holds: Callable[[int], bool]) -> list[int]:
    """The settings that pass: in this order up to the first that does not hold.

    The order comes from other requests, so at most `Bounds.error` of such runs pass a setting that they should not,
    however many are tested (learn-then-test by a fixed sequence, arXiv 2110.01052).
    """
    through = []
    for one in order:
        if not holds(one):
            break
        through.append(one)
    return through


# Sums ------------------------------------------------------------------------------------------------------------


def _sums_by_bucket(
    connection: duckdb.DuckDBPyConnection, tried: Tried, settings: Sequence[int], half: str
) -> dict[str, Any]:
    """The sums of each setting by buyer, and these by bucket: a bucket is a few buyers whom chance put together."""
    inner, outer = [], []
    for place, setting in enumerate(settings):
        approves = f"FILTER ({approving(tried, setting)})"
        inner += [
            f"count(*) {approves} AS instant_{place}",
            f"count(*) FILTER (incident AND {approving(tried, setting)}) AS incidents_{place}",
            f"coalesce(sum(amount_minor) {approves}, 0) AS money_minor_{place}",
            f"coalesce(sum(loss_minor) {approves}, 0) AS loss_minor_{place}",
        ]
        outer += [f"sum({name}_{place})::DOUBLE AS {name}_{place}" for name in _PER_BUYER]
        outer += [
            f"count(*) FILTER (instant_{place} > 0) AS buyers_{place}",
            f"count(*) FILTER (incidents_{place} > 0) AS with_incident_{place}",
        ]
    found: dict[str, Any] = connection.execute(
        f"""WITH by_buyer AS (
              SELECT bucket, buyer_id, count(*) AS requests, {", ".join(inner)}
              FROM read_parquet($source) WHERE half = '{half}' GROUP BY ALL)
            SELECT bucket, sum(requests)::DOUBLE AS requests, {", ".join(outer)} FROM by_buyer GROUP BY bucket
            ORDER BY bucket""",
        {"source": tried.source},
    ).fetchnumpy()
    return found


def approving(tried: Tried, setting: int) -> str:
    """The SQL test whether a setting approves a request, caps aside."""
    values = tried.grid.setting(setting)
    bits = [group.bit(values) for group in tried.groups]
    return " AND ".join(f"({column} >> {bit}) & 1 = 1" for column, bit in bits)


# Statistics ------------------------------------------------------------------------------------------------------


def _resampled(sums: dict[str, Any]) -> dict[str, Any]:
    """The sums of samples of as many buckets, drawn with replacement."""
    import numpy as np

    names = [name for name in sums if name != "bucket"]
    buckets = len(sums["requests"])
    if not buckets:
        return {name: np.zeros(1) for name in names}
    drawn = np.random.default_rng(SEED).multinomial(buckets, np.full(buckets, 1 / buckets), size=RESAMPLES)
    totals = drawn.astype(np.float64) @ np.stack([np.asarray(sums[name], np.float64) for name in names], axis=1)
    return dict(zip(names, totals.T, strict=True))


def _judged(sums: dict[str, Any], resampled: dict[str, Any], place: int, bounds: Bounds) -> Judged:
    of = {name: float(sums[f"{name}_{place}"].sum()) for name in (*_PER_BUYER, "buyers", "with_incident")}
    buyers, with_incident = int(of["buyers"]), int(of["with_incident"])
    p_value = _p_value(with_incident, buyers, bounds)
    loss_bound = _loss_bound(resampled, of, place, bounds)
    loss_holds = bounds.loss_percent is None or (loss_bound is not None and loss_bound <= bounds.loss_percent)
    return Judged(
        requests=int(sums["requests"].sum()),
        instant=int(of["instant"]),
        incidents=int(of["incidents"]),
        buyers=buyers,
        buyers_with_incident=with_incident,
        buyers_with_incident_at_most_percent=_at_most_percent(with_incident, buyers, bounds),
        p_value=p_value,
        share_instant=_ratio(sums, resampled, f"instant_{place}", bounds),
        money_per_request=_ratio(sums, resampled, f"money_minor_{place}", bounds),
        loss_per_request=_ratio(sums, resampled, f"loss_minor_{place}", bounds),
        loss_bound_percent=loss_bound,
        share_gained=_ratio(sums, resampled, f"instant_{place}", bounds, beyond="instant_0"),
        loss_gained=_ratio(sums, resampled, f"loss_minor_{place}", bounds, beyond="loss_minor_0"),
        holds=p_value <= bounds.error and loss_holds,
    )


def _p_value(with_incident: int, buyers: int, bounds: Bounds) -> float:
    """Exact: each buyer has an incident or has none."""
    if not buyers:
        return 1.0
    share = bounds.incident_percent / 100
    return float(statistics().binomtest(with_incident, buyers, share, alternative="less").pvalue)


def _at_most_percent(with_incident: int, buyers: int, bounds: Bounds) -> float:
    """The exact upper bound (Clopper and Pearson) of the share of buyers with an incident."""
    if not buyers:
        return 100.0
    found = statistics().binomtest(with_incident, buyers, alternative="less")
    return float(found.proportion_ci(bounds.confidence_percent / 100, "exact").high * 100)


def _loss_bound(resampled: dict[str, Any], of: dict[str, float], place: int, bounds: Bounds) -> float | None:
    import numpy as np

    if not of["money_minor"]:
        return None
    money, loss = resampled[f"money_minor_{place}"], resampled[f"loss_minor_{place}"]
    ratios = loss[money > 0] / money[money > 0] * 100
    return float(np.quantile(ratios, bounds.confidence_percent / 100))


def _ratio(sums: dict[str, Any], resampled: dict[str, Any], name: str, bounds: Bounds, beyond: str = "") -> Range:
    """A sum per request, or how far it lies above another one, with the interval of the resampled ones."""
    import numpy as np

    requests = float(sums["requests"].sum())
    if not requests:
        return Range(0.0, 0.0, 0.0)
    value, drawn = float(sums[name].sum()), resampled[name]
    if beyond:
        value, drawn = value - float(sums[beyond].sum()), drawn - resampled[beyond]
    low, high = np.quantile(drawn / resampled["requests"], [bounds.error / 2, 1 - bounds.error / 2])
    return Range(value / requests, float(low), float(high))
