"""What Prometheus reads of the API: what its processes counted, and the figures of the whole service."""

from __future__ import annotations

from jitui.metrics import OwnMetrics, PoolMetrics
from jitui.monitoring.figures import ServiceFigures


class Metrics:
    """The metrics of one application object; two applications in one process do not share them."""

    def __init__(self, figures: ServiceFigures | None = None) -> None:
        self.figures = figures or ServiceFigures()
        own = self._own = OwnMetrics(self.figures)
        self.pool = PoolMetrics(own)
        route = ["method", "route"]
        self._requests = own.counter("jitui_http_requests_total", "Requests answered.", [*route, "status"])
        self._seconds = own.histogram(
            "jitui_http_request_seconds", "From the arrival of a request to the beginning of its answer.", route
        )
        self._decisions = own.counter(
            "jitui_decisions_total",
            "Refund requests decided, by outcome and the first condition that did not hold.",
            ["outcome", "first_failing"],
        )
        self._refused_keys = own.counter(
            "jitui_api_key_refusals_total", "Requests refused for their API key, by the reason.", ["reason"]
        )
        self._refused_sign_ins = own.counter(
            "jitui_sign_in_refusals_total", "Sign-ins to the console that were refused, by the reason.", ["reason"]
        )

    def answered(self, method: str, route: str, status: int, seconds: float) -> None:
        """Count a request; `route` is the template of its address."""
        self._requests.add(method, route, str(status))
        self._seconds.observe(seconds, method, route)

    def decided(self, outcome: str, first_failing: str) -> None:
        """Count a decision."""
        self._decisions.add(outcome, first_failing)

    def key_refused(self, reason: str) -> None:
        """Count one request whose key, or the lack of one, opened nothing."""
        self._refused_keys.add(reason)

    def sign_in_refused(self, reason: str) -> None:
        """Count one sign-in to the console that was refused."""
        self._refused_sign_ins.add(reason)

    def exposition(self) -> bytes:
        """The text for a scrape."""
        return self._own.exposition()
