"""What Prometheus reads of the whole service, from the database: refunds that are not paid, workers, open tasks.

The same whichever process answers.
"""

from __future__ import annotations

from datetime import datetime

from prometheus_client import CollectorRegistry, Gauge

from jitui.aftersales.model.task import TaskKind
from jitui.aftersales.operations.conditions import is_alive
from jitui.aftersales.queries import OperationsState


class OperationsMetrics:
    """Gauges that are set anew for each scrape; what the database did not answer is left out."""

    def __init__(self, registry: CollectorRegistry) -> None:
        def gauge(name: str, meaning: str, labels: tuple[str, ...] = ()) -> Gauge:
            return Gauge(name, meaning, labels, registry=registry)

        of_refunds = ("provider", "state")
        self._refunds = gauge("jitui_refunds", "Refunds that are not paid.", of_refunds)
        self._oldest = gauge("jitui_refund_oldest_seconds", "Since when the oldest stands in its state.", of_refunds)
        self._tasks = gauge("jitui_open_tasks", "Tasks that a person must look at.", ("kind",))
        self._workers = gauge("jitui_workers", "Workers that were heard of in time.")
        self._seen = gauge("jitui_worker_seen_seconds", "Since when a worker was not heard of.", ("worker",))
        self._trouble = gauge("jitui_provider_trouble", "Workers that cannot work with it.", ("provider", "trouble"))

    def set(self, state: OperationsState | None, now: datetime) -> None:
        """What the next scrape gets."""
        for metric in (self._refunds, self._oldest, self._tasks, self._seen, self._trouble):
            metric.clear()
        if state is None:
            self._workers.set(float("nan"))
            return
        for found in state.refunds:
            labels = (found.provider, found.state.value)
            self._refunds.labels(*labels).set(found.count)
            self._oldest.labels(*labels).set(max(0.0, (now - found.oldest_at).total_seconds()))
        for kind in TaskKind:
            self._tasks.labels(kind.value).set(state.open_tasks.get(kind.value, 0))
        self._workers.set(sum(is_alive(worker) for worker in state.workers))
        for worker in state.workers:
            self._seen.labels(worker.name).set(worker.seen_seconds_ago)
            for provider, seen in worker.trouble.items() if is_alive(worker) else ():
                self._trouble.labels(provider, seen.kind).inc()
