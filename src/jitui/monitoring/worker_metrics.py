"""What is measured of a worker itself: its calls to providers, its steps, its connections, its heartbeat."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from time import monotonic

from jitui.aftersales.provider import (
    Capabilities,
    DisputeNotification,
    Notification,
    NotificationIgnored,
    NotificationRefused,
    PaymentProvider,
    RefundInstruction,
    RefundResult,
)
from jitui.metrics import OwnMetrics, PoolMetrics
from jitui.tracing import span


class WorkerMetrics:
    """The metrics of one worker."""

    def __init__(self) -> None:
        own = self._own = OwnMetrics()
        self.pool = PoolMetrics(own)
        call = ["provider", "call"]
        self._calls = own.counter("jitui_provider_calls_total", "Calls to payment providers.", [*call, "outcome"])
        self._seconds = own.histogram("jitui_provider_call_seconds", "How long a provider took.", call)
        self._claimed = own.counter("jitui_refunds_claimed_total", "Refunds that this worker took.", ["provider"])
        self._failed = own.counter("jitui_worker_step_failures_total", "Steps of the worker that failed.", ["step"])
        self._beat = own.gauge("jitui_worker_beat_timestamp_seconds", "When this worker last said that it lives.")

    def called(self, provider: str, call: str, result: RefundResult, seconds: float) -> None:
        """Count a call."""
        self._calls.add(provider, call, outcome_of(result))
        self._seconds.observe(seconds, provider, call)

    def claimed(self, provider: str, count: int) -> None:
        """Count refunds that were claimed."""
        self._claimed.add(provider, by=count)

    def step_failed(self, step: str) -> None:
        """Count a step that failed; it is done again."""
        self._failed.add(step)

    def beat(self, now: datetime) -> None:
        """The worker has said that it lives."""
        self._beat.set(now.timestamp())

    def exposition(self) -> bytes:
        """The text for a scrape."""
        return self._own.exposition()

    def counting(self, providers: Mapping[str, PaymentProvider]) -> dict[str, PaymentProvider]:
        """The same providers, whose calls are counted."""
        return {name: CountedProvider(provider, self) for name, provider in providers.items()}


@dataclass(frozen=True, slots=True)
class CountedProvider:
    """A provider whose calls are counted, timed and traced; see `jitui.aftersales.provider.PaymentProvider`."""

    provider: PaymentProvider
    metrics: WorkerMetrics
    seconds: Callable[[], float] = monotonic

    @property
    def name(self) -> str:
        return self.provider.name

    @property
    def capabilities(self) -> Capabilities:
        return self.provider.capabilities

    async def send(self, instruction: RefundInstruction) -> RefundResult:
        """As the provider's own."""
        return await self._called("send", self.provider.send(instruction))

    async def look_up(self, instruction: RefundInstruction) -> RefundResult:
        """As the provider's own."""
        return await self._called("look_up", self.provider.look_up(instruction))

    def read_notification(
        self, headers: Mapping[str, str], body: bytes, now: datetime
    ) -> Notification | DisputeNotification | NotificationIgnored | NotificationRefused:
        """As the provider's own; a notification is no call."""
        return self.provider.read_notification(headers, body, now)

    async def _called(self, call: str, asking: Awaitable[RefundResult]) -> RefundResult:
        began = self.seconds()
        with span(f"provider {call}", {"jitui.provider": self.name}, calls_out=True) as spanned:
            result = await asking
            spanned.set({"jitui.outcome": outcome_of(result)})
        self.metrics.called(self.name, call, result, self.seconds() - began)
        return result


def outcome_of(result: RefundResult) -> str:
    """What a call came to: the provider's trouble where there was one, otherwise what it said of the refund."""
    return result.kind.value if result.trouble is None else result.trouble.value
