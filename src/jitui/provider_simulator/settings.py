"""How one simulator behaves; the caller reads the environment or the command line, never this package."""

from __future__ import annotations

from dataclasses import dataclass, field

from jitui.errors import NotConfigured
from jitui.provider_simulator.faults import Faults
from jitui.provider_simulator.signature import signing_key


@dataclass(frozen=True, slots=True)
class SimulatorSettings:
    """Webhooks are sent only where both a URL and a secret (`whsec_…`, Standard Webhooks) are given."""

    api_key: str
    webhook_url: str | None = None
    webhook_secret: str | None = None
    latency_ms: float = 0.0  # mean, spent before paying
    latency_jitter_ms: float = 0.0  # uniform, to either side of the mean
    rate_limit_per_second: float | None = None  # of POST /refunds
    key_life_seconds: float | None = 86_400.0  # of an idempotency key; None never forgets
    faults: Faults = field(default_factory=Faults)
    webhook_timeout_seconds: float = 5.0
    webhook_retry_seconds: float = 0.5  # doubles with every failure, up to a minute
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
