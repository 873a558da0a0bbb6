"""Whether a process can work with its payment providers: trouble is told when it begins and when it has ended.

One call that fails is no trouble: networks lose packets. Three in a row are, and a key that is not taken is at once.
Trouble has ended when a call went well and none has failed for half a minute, so that a provider that answers every
second call does not fill the log.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from jitui.aftersales.provider import (
    CallTrouble,
    Capabilities,
    DisputeNotification,
    Notification,
    NotificationIgnored,
    NotificationRefused,
    PaymentProvider,
    RefundInstruction,
    RefundResult,
)
from jitui.aftersales.queries import ProviderTroubleSeen

BEGINS_AFTER = 3
QUIET = timedelta(seconds=30)


@dataclass(frozen=True, slots=True)
class TroubleBegan:
    """From now on the provider cannot be worked with; `kind` may follow another one."""

    provider: str
    trouble: CallTrouble
    reason: str


@dataclass(frozen=True, slots=True)
class TroubleEnded:
    """The provider can be worked with again."""

    provider: str
    trouble: CallTrouble
    lasted: timedelta


TroubleNews = TroubleBegan | TroubleEnded


@dataclass(slots=True)
class ProviderHealth:
    """What the calls to one provider came to."""

    provider: str
    trouble: CallTrouble | None = None
    reason: str = ""
    since: datetime | None = None
    failed_in_row: int = 0
    failed_at: datetime | None = None

    def called(self, result: RefundResult, now: datetime) -> TroubleBegan | None:
        """Take in what a call came to; whether trouble begins, or becomes another."""
        if result.trouble is None:
            self.failed_in_row = 0
            return None
        self.failed_in_row += 1
        self.failed_at = now
        is_refused = result.trouble is CallTrouble.UNAUTHORISED
        begins = self.trouble is None and (is_refused or self.failed_in_row >= BEGINS_AFTER)
        worsens = self.trouble is not None and is_refused and self.trouble is not CallTrouble.UNAUTHORISED
        if not (begins or worsens):
            return None
        self.trouble, self.reason = result.trouble, result.reason
        self.since = self.since if worsens else now
        return TroubleBegan(self.provider, result.trouble, result.reason)

    def look(self, now: datetime) -> TroubleEnded | None:
        """Whether trouble has ended; asked from time to time."""
        if self.trouble is None or self.since is None or self.failed_at is None:
            return None
        if self.failed_in_row or now - self.failed_at < QUIET:
            return None
        ended = TroubleEnded(self.provider, self.trouble, now - self.since)
        self.trouble, self.reason, self.since = None, "", None
        return ended

    @property
    def seen(self) -> ProviderTroubleSeen | None:
        """The trouble as others are told of it."""
        if self.trouble is None or self.since is None:
            return None
        return ProviderTroubleSeen(self.trouble.value, self.reason, self.since)


@dataclass(frozen=True, slots=True)
class ProvidersHealth:
    """All providers of a process; `tell` hears the news."""

    clock: Callable[[], datetime]
    tell: Callable[[TroubleNews], None]
    known: dict[str, ProviderHealth] = field(default_factory=dict)

    def watching(self, providers: Mapping[str, PaymentProvider]) -> dict[str, PaymentProvider]:
        """The same providers, whose calls are taken in."""
        return {name: WatchedProvider(provider, self) for name, provider in providers.items()}

    def called(self, provider: str, result: RefundResult) -> None:
        """A call has come to its end."""
        health = self.known.setdefault(provider, ProviderHealth(provider))
        news = health.called(result, self.clock())
        if news is not None:
            self.tell(news)

    def look(self) -> None:
        """See what has ended."""
        for health in self.known.values():
            news = health.look(self.clock())
            if news is not None:
                self.tell(news)

    @property
    def trouble(self) -> dict[str, ProviderTroubleSeen]:
        """What stands now, by provider."""
        return {name: seen for name, health in self.known.items() if (seen := health.seen) is not None}


@dataclass(frozen=True, slots=True)
class WatchedProvider:
    """A provider whose calls are taken in; see `jitui.aftersales.provider.PaymentProvider`."""

    provider: PaymentProvider
    health: ProvidersHealth

    @property
    def name(self) -> str:
        return self.provider.name

    @property
    def capabilities(self) -> Capabilities:
        return self.provider.capabilities

    async def send(self, instruction: RefundInstruction) -> RefundResult:
        """As the provider's own."""
        return self._called(await self.provider.send(instruction))

    async def look_up(self, instruction: RefundInstruction) -> RefundResult:
        """As the provider's own."""
        return self._called(await self.provider.look_up(instruction))

    def read_notification(
        self, headers: Mapping[str, str], body: bytes, now: datetime
    ) -> Notification | DisputeNotification | NotificationIgnored | NotificationRefused:
        """As the provider's own; a notification is no call."""
        return self.provider.read_notification(headers, body, now)

    def _called(self, result: RefundResult) -> RefundResult:
        self.health.called(self.name, result)
        return result
