"""The metrics for Prometheus: requests of this process, and figures of the whole service from the database.

Counters are per process and have its id as a label, because several processes share one port and a scrape reaches one
of them. Queue depth and times to refund come from the database and are the same in every process.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from datetime import datetime

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest

from jitui.aftersales.queries import Benefit, Health
from jitui.entrypoints.http.operations_metrics import OperationsMetrics
from jitui.webhooks.model import Backlog

MEDIA_TYPE = CONTENT_TYPE_LATEST
_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)


class Metrics:
    """The metrics of one application object; two applications in one process do not share them."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        self._make_counters(str(os.getpid()))
        self._make_gauges()
        self.operations = OperationsMetrics(self._registry)

    def _make_counters(self, process: str) -> None:
        requests = Counter(
            "jitui_http_requests_total",
            "Requests answered.",
            ["process", "operation", "status"],
            registry=self._registry,
        )
        seconds = Histogram(
            "jitui_http_request_seconds",
            "From the arrival of a request to its answer.",
            ["process", "operation"],
            buckets=_BUCKETS,
            registry=self._registry,
        )
        decisions = Counter(
            "jitui_decisions_total",
            "Refund requests decided, by outcome and the first condition that did not hold.",
            ["process", "outcome", "first_failing"],
            registry=self._registry,
        )
        refused_keys = Counter(
            "jitui_api_key_refusals_total",
            "Requests refused for their API key, by the reason.",
            ["process", "reason"],
            registry=self._registry,
        )
        refused_sign_ins = Counter(
            "jitui_sign_in_refusals_total",
            "Sign-ins to the console that were refused, by the reason.",
            ["process", "reason"],
            registry=self._registry,
        )
        self._requests = Children(requests, process)
        self._refused_sign_ins = Children(refused_sign_ins, process)
        self._refused_keys = Children(refused_keys, process)
        self._seconds = Children(seconds, process)
        self._decisions = Children(decisions, process)

    def _make_gauges(self) -> None:
        self._queue = Gauge("jitui_refund_queue", "Refunds that wait for work.", ["state"], registry=self._registry)
        self._lag = Gauge(
            "jitui_roll_up_age_seconds", "Age of the cap usage that is rolled up.", registry=self._registry
        )
        self._keys_ending = Gauge(
            "jitui_api_keys_ending_soon",
            "API keys that work, end within 30 days and were not rolled.",
            registry=self._registry,
        )
        self._first_end = Gauge(
            "jitui_api_key_first_end_timestamp_seconds",
            "When the first of the API keys ends that end soon.",
            registry=self._registry,
        )
        self._refund_time = Gauge(
            "jitui_time_to_refund_seconds",
            "From request to refunded, over the last hour.",
            ["path", "quantile"],
            registry=self._registry,
        )

        self._webhooks = Gauge(
            "jitui_webhook_deliveries",
            "Events that wait for a webhook endpoint, and those that were given up.",
            ["state"],
            registry=self._registry,
        )
        self._webhook_age = Gauge(
            "jitui_webhook_oldest_pending_seconds",
            "For how long the oldest event waits for a webhook endpoint.",
            registry=self._registry,
        )
        self._webhooks_paused = Gauge(
            "jitui_webhook_endpoints_paused", "Webhook endpoints that are paused.", registry=self._registry
        )

    def answered(self, operation: str, status: int, seconds: float) -> None:
        """Count a request."""
        self._requests.counter(operation, str(status)).inc()
        self._seconds.histogram(operation).observe(seconds)

    def decided(self, outcome: str, first_failing: str) -> None:
        """Count a decision."""
        self._decisions.counter(outcome, first_failing).inc()

    def key_refused(self, reason: str) -> None:
        """Count one request whose key, or the lack of one, opened nothing."""
        self._refused_keys.counter(reason).inc()

    def sign_in_refused(self, reason: str) -> None:
        """Count one sign-in to the console that was refused."""
        self._refused_sign_ins.counter(reason).inc()

    def keys_end_soon(self, ends: Sequence[datetime] | None) -> None:
        """When the keys end that end soon, the first one first; None when the database did not answer."""
        unknown = float("nan")
        self._keys_ending.set(unknown if ends is None else len(ends))
        self._first_end.set(ends[0].timestamp() if ends else unknown)

    def note_webhooks(self, backlog: Backlog | None, now: datetime) -> None:
        """What waits for webhook endpoints; what the database did not answer is left out."""
        self._webhooks.clear()
        if backlog is None:
            self._webhook_age.set(float("nan"))
            self._webhooks_paused.set(float("nan"))
            return
        self._webhooks.labels("pending").set(backlog.pending)
        self._webhooks.labels("dead").set(backlog.dead)
        self._webhook_age.set(max(0.0, (now - (backlog.oldest_pending_at or now)).total_seconds()))
        self._webhooks_paused.set(backlog.paused_endpoints)

    def exposition(self, health: Health | None, age_seconds: float | None, benefit: Benefit | None) -> bytes:
        """The text for a scrape; figures that the database did not deliver are left out."""
        self._queue.clear()
        self._refund_time.clear()
        for state, depth in (health.refund_queue if health else {}).items():
            self._queue.labels(state).set(depth)
        self._lag.set(age_seconds if age_seconds is not None else float("nan"))
        if benefit is not None:
            for path, quantile, value in (
                ("instant", "0.5", benefit.instant_median_seconds),
                ("instant", "0.99", benefit.instant_p99_seconds),
                ("reviewed", "0.5", benefit.reviewed_median_seconds),
                ("reviewed", "0.99", benefit.reviewed_p99_seconds),
            ):
                if value is not None:
                    self._refund_time.labels(path, quantile).set(value)
        return generate_latest(self._registry)


class Children:
    """A metric's children by their label values; each is looked up once."""

    def __init__(self, metric: Counter | Histogram, process: str) -> None:
        self._metric = metric
        self._process = process
        self._known: dict[tuple[str, ...], Counter | Histogram] = {}

    def counter(self, *labels: str) -> Counter:
        """The counter with these labels."""
        child = self._child(labels)
        assert isinstance(child, Counter)
        return child

    def histogram(self, *labels: str) -> Histogram:
        """The histogram with these labels."""
        child = self._child(labels)
        assert isinstance(child, Histogram)
        return child

    def _child(self, labels: tuple[str, ...]) -> Counter | Histogram:
        child = self._known.get(labels)
        if child is None:
            child = self._known[labels] = self._metric.labels(self._process, *labels)
        return child
