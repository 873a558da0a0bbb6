"""The settings of a simulator. This package reads neither the environment nor the command line."""

from __future__ import annotations

from dataclasses import dataclass, field

from jitui.errors import NotConfigured
from jitui.provider_simulator.faults import Faults
from jitui.provider_simulator.signature import signing_key


@dataclass(frozen=True, slots=True)
class SimulatorSettings:
    """The settings; webhooks are sent only with both a URL and a secret (`whsec_…`, Standard Webhooks)."""

    api_key: str
    webhook_url: str | None = None
    webhook_secret: str | None = None
    latency_ms: float = 0.0  # the mean, spent before the refund is made
    latency_jitter_ms: float = 0.0  # uniform, to both sides of the mean
    rate_limit_per_second: float | None = None  # of POST /refunds
    key_life_seconds: float | None = 86_400.0  # of an idempotency key; None: keys never expire
    faults: Faults = field(default_factory=Faults)
    webhook_timeout_seconds: float = 5.0
    webhook_retry_seconds: float = 0.5  # doubled after each failure, up to a minute
    webhook_tries: int = 14
    webhook_senders: int = 8

    def __post_init__(self) -> None:
        if not self.api_key:
            raise NotConfigured("the simulator needs an API key")
        if self.webhook_url is not None:
            if not self.webhook_secret:
                raise NotConfigured("webhooks need a secret to sign with")
            signing_key(self.webhook_secret)
        if self.rate_limit_per_second is not None and self.rate_limit_per_second <= 0:
            raise NotConfigured("a rate limit is more than zero refunds a second")
