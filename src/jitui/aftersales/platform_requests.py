"""The port to a commerce platform that owns refund requests: the buyer asks there, and the platform pays.

An adapter implements `RequestSource`. What is decided and carried out, and when, is the core's:
`operations.request_sync` takes requests in, `platform_approvals` carries an approval out.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Protocol

from jitui.aftersales.model.platform_request import PlatformRequestRef
from jitui.aftersales.model.ticket import Reason
from jitui.aftersales.platform import CallFailed, CallRefused, PlatformOrder, UnreadableOrder
from jitui.aftersales.provider import NotificationIgnored, NotificationRefused

# What is read there ------------------------------------------------------------------------------------------------


class RequestState(StrEnum):
    """How far a request there is. UNKNOWN: its words are none that we know, and nothing is done about it."""

    WAITING = "waiting"  # for the merchant's answer
    REFUSED = "refused"  # by the merchant; the buyer may change it
    DISPUTED = "disputed"  # the platform decides
    APPROVED = "approved"  # the platform is going to pay
    REFUNDED = "refunded"
    CLOSED = "closed"  # without a refund: the buyer has withdrawn it, or let it lapse
    RETURNING = "returning"  # the goods come back first
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class PlatformRequest:
    """A request as the platform has it now; another `version` is another request to decide.

    `refund_only`: it is for goods that have not been shipped, and is about nothing else, such as a price difference.
    """

    request_id: str
    order_id: str
    state: RequestState
    version: str
    amount_minor: int
    currency: str
    refund_only: bool
    requested_at: datetime
    changed_at: datetime
    reason: Reason = Reason.OTHER
    said: str = ""  # the platform's own words about its state

    def ref(self, platform: str) -> PlatformRequestRef:
        """What a ticket remembers of it."""
        return PlatformRequestRef(platform, self.request_id, self.version, self.amount_minor)


@dataclass(frozen=True, slots=True)
class UnreadableRequest:
    """A request there that cannot be decided here, and why."""

    request_id: str
    changed_at: datetime
    reason: str


@dataclass(frozen=True, slots=True)
class Window:
    """From a moment to another one, by the time of the change there."""

    begins_at: datetime
    ends_at: datetime


@dataclass(frozen=True, slots=True)
class ListRules:
    """How requests are listed: the longest window, and how far back the platform lists at all."""

    window: timedelta
    furthest_back: timedelta


class RequestSource(Protocol):
    """A platform whose requests a merchant answers; none of the calls repeats itself."""

    @property
    def name(self) -> str: ...

    @property
    def lists(self) -> ListRules: ...

    async def check(self) -> str | None:
        """Why the platform cannot be read, and what to do; None when it can."""
        ...

    def requests_since(self, window: Window) -> AsyncIterator[list[PlatformRequest | UnreadableRequest]]:
        """Pages of the requests that changed in the window, oldest change first. Raises Unavailable."""
        ...

    async def read_request(self, request_id: str) -> PlatformRequest | UnreadableRequest | CallFailed | None:
        """The request now; None when there is none."""
        ...

    async def find_order(self, order_id: str) -> PlatformOrder | UnreadableOrder | CallFailed | None:
        """The order now; None when there is none."""
        ...

    async def approve(self, request: PlatformRequest) -> CallFailed | CallRefused | None:
        """Approve the request as it was read; None when the platform took it, which is not yet paid."""
        ...

    async def refuse(self, request: PlatformRequest, why: str) -> CallFailed | CallRefused | None:
        """Refuse the request as it was read, with words for the buyer."""
        ...

    def read_hint(
        self, headers: Mapping[str, str], body: bytes, now: datetime
    ) -> NotificationIgnored | NotificationRefused:
        """Whether a message is the platform's; it is a hint that something changed, and never a proof of what."""
        ...


# What is known here --------------------------------------------------------------------------------------------------


class KnownRequests(Protocol):
    """Which requests there have tickets here that the platform does not follow yet."""

    async def unfinished(self, platform: str, shop_id: str, since: datetime, after: str, limit: int) -> list[str]:
        """Requests asked for since, by id and after this one: their ticket's approval failed, or it was rejected here
        and the platform was not told.
        """
        ...


# Windows ------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Gap:
    """A time whose changes cannot be listed any more."""

    begins_at: datetime
    ends_at: datetime


def windows_of(begins_at: datetime, ends_at: datetime, lists: ListRules) -> tuple[Gap | None, Iterator[Window]]:
    """The windows that cover the time without a hole, and what of it is too long ago to be listed."""
    earliest = ends_at - lists.furthest_back
    gap = Gap(begins_at, earliest) if begins_at < earliest else None
    return gap, _windows(max(begins_at, earliest), ends_at, lists.window)


def _windows(begins_at: datetime, ends_at: datetime, longest: timedelta) -> Iterator[Window]:
    while begins_at < ends_at:
        until = min(begins_at + longest, ends_at)
        yield Window(begins_at, until)
        begins_at = until
