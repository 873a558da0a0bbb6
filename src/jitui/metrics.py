"""Counters for Prometheus: those of this process, or of all processes that serve one port together.

Processes that share a port share a folder of files (`jitui.settings.metrics_folder`), because a scrape reaches one of
them and must get the figures of all. What is shown has no label for the process.
"""

from __future__ import annotations

import hmac
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Generic, Protocol, TypeVar

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, Metric, disable_created_metrics
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector

from jitui.settings import metrics_folder, share_metrics_in

MEDIA_TYPE = CONTENT_TYPE_LATEST
_Metric = TypeVar("_Metric", Counter, Histogram)
BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)

disable_created_metrics()  # type: ignore[no-untyped-call]  # a series for each series, which nobody asks for


def is_opened_by(authorization: bytes, token: str | None) -> bool:
    """Whether the header has the token for metrics as it came; nothing opens them where no token is set."""
    word, _, presented = authorization.partition(b" ")
    same = token is not None and hmac.compare_digest(presented, token.encode())
    return same and word.lower() == b"bearer"


class Figures(Protocol):
    """What is computed for a scrape: a collector of prometheus_client's."""

    def collect(self) -> Iterator[Metric]:
        """The metrics as they stand now."""
        ...


class OwnMetrics:
    """The metrics that this process counts; two objects of one process do not share them.

    `figures` are asked at each scrape.
    """

    def __init__(self, *figures: Figures) -> None:
        self._folder = metrics_folder()
        self._registry = CollectorRegistry(auto_describe=False)
        self._counted_in = self._registry if self._folder is None else None
        if self._folder is not None:
            MultiProcessCollector(self._registry, str(self._folder))  # type: ignore[no-untyped-call]
        for one in figures:
            self._registry.register(one)

    def counter(self, name: str, meaning: str, labels: Sequence[str] = ()) -> Counters:
        """A counter; its name ends with `_total`."""
        return Counters(Counter(name, meaning, labels, registry=self._counted_in))

    def histogram(self, name: str, meaning: str, labels: Sequence[str] = ()) -> Histograms:
        """A histogram of seconds."""
        return Histograms(Histogram(name, meaning, labels, buckets=BUCKETS, registry=self._counted_in))

    def gauge(self, name: str, meaning: str, labels: Sequence[str] = ()) -> Gauge:
        """A gauge; of several processes that live the sum is shown."""
        return Gauge(name, meaning, labels, registry=self._counted_in, multiprocess_mode="livesum")

    def exposition(self) -> bytes:
        """The text for a scrape."""
        if self._folder is not None:
            _forget_gauges_of_the_dead(self._folder)
        return generate_latest(self._registry)


class _Children(Generic[_Metric]):
    """A metric's children by their label values; each is looked up once."""

    def __init__(self, metric: _Metric) -> None:
        self._metric: _Metric = metric
        self._known: dict[tuple[str, ...], _Metric] = {}

    def _child(self, labels: tuple[str, ...]) -> _Metric:
        child = self._known.get(labels)
        if child is None:
            child = self._known[labels] = self._metric.labels(*labels) if labels else self._metric
        return child


class Counters(_Children[Counter]):
    """A counter by its labels."""

    def add(self, *labels: str, by: float = 1) -> None:
        """Count."""
        self._child(labels).inc(by)


class Histograms(_Children[Histogram]):
    """A histogram by its labels."""

    def observe(self, seconds: float, *labels: str) -> None:
        """Count what took so long."""
        self._child(labels).observe(seconds)


@contextmanager
def shared_between_processes() -> Iterator[None]:
    """The processes that are started in this block count together."""
    with TemporaryDirectory(prefix="jitui-metrics-") as folder:
        share_metrics_in(Path(folder))
        try:
            yield
        finally:
            share_metrics_in(None)


def _forget_gauges_of_the_dead(folder: Path) -> None:
    """What a process that is gone counted stays counted; what it had open at the time does not."""
    for file in folder.glob("gauge_live*.db"):
        pid = file.stem.rpartition("_")[2]
        if pid.isdigit() and not _is_alive(int(pid)):
            with suppress(FileNotFoundError):
                file.unlink()


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


class PoolMetrics:
    """The connections of a process to the database, from what psycopg's pool says of itself since it was opened."""

    def __init__(self, own: OwnMetrics) -> None:
        self._before: dict[str, float] = {}
        self._connections = own.gauge("jitui_pool_connections", "Connections to the database, by state.", ["state"])
        self._waiting = own.gauge("jitui_pool_waiting", "Callers that wait for a connection.")
        self._waits = own.counter("jitui_pool_waits_total", "Callers that had to wait for a connection.")
        self._seconds = own.counter("jitui_pool_wait_seconds_total", "How long they waited, together.")
        self._refused = own.counter("jitui_pool_refused_total", "Callers that got no connection in time.")

    def sample(self, told: Mapping[str, int]) -> None:
        """Take in the pool's own figures; what is counted grows by what has come since the last time."""
        idle = told.get("pool_available", 0)
        self._connections.labels("idle").set(idle)
        self._connections.labels("in_use").set(told.get("pool_size", 0) - idle)
        self._waiting.set(told.get("requests_waiting", 0))
        for name, counters, unit in (
            ("requests_queued", self._waits, 1.0),
            ("requests_wait_ms", self._seconds, 0.001),
            ("requests_errors", self._refused, 1.0),
        ):
            now = told.get(name, 0) * unit
            counters.add(by=max(0.0, now - self._before.get(name, 0.0)))
            self._before[name] = now
