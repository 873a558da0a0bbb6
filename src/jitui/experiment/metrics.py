"""What is compared between the arms."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum


class MetricId(StrEnum):
    """The metrics, in the order in which they are shown."""

    DISPUTES = "disputes"
    RETURNS_AFTER_SHIPMENT = "returns_after_shipment"
    HOURS_TO_CLOSE = "hours_to_close"
    REQUESTS = "requests"
    ORDERS_AFTERWARDS = "orders_afterwards"


class Per(StrEnum):
    """What a metric is a mean over. Buyers are drawn, so a mean over requests is a ratio of two sums over buyers."""

    REQUEST = "request"
    BUYER = "buyer"


@dataclass(frozen=True, slots=True)
class Metric:
    """One metric; only what happens in the days of `follow` after a request, or a buyer's first one, counts.

    `counts_events`: its value is a number of rare events, of which an arm must have some before anything is said.
    `covariate`: what the buyer did before is taken into account (CUPED), which narrows the interval.
    """

    id: MetricId
    per: Per
    less_is_better: bool | None
    counts_events: bool = False
    covariate: bool = False


METRICS: Mapping[MetricId, Metric] = {
    one.id: one
    for one in (
        Metric(MetricId.DISPUTES, Per.REQUEST, less_is_better=True, counts_events=True),
        Metric(MetricId.RETURNS_AFTER_SHIPMENT, Per.REQUEST, less_is_better=True, counts_events=True),
        Metric(MetricId.HOURS_TO_CLOSE, Per.REQUEST, less_is_better=True),
        Metric(MetricId.REQUESTS, Per.BUYER, less_is_better=None),
        Metric(MetricId.ORDERS_AFTERWARDS, Per.BUYER, less_is_better=False, covariate=True),
    )
}

FEWEST_EVENTS = 30
"""Of rare events the hold-out must have so many, and of units so many, before there is a verdict: with fewer even the
sequential interval is too sure."""
