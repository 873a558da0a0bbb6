"""Webhook endpoints and deliveries, and the ports of what keeps them."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Protocol
from uuid import UUID

from jitui.aftersales.ports import OutgoingEvent

_EVENT_ID = re.compile(r"evt_([0-9]{1,18})(?:_([0-9a-f]{32}))?")


class EndpointState(StrEnum):
    """Whether events are sent to an endpoint; while it is paused they wait for it."""

    ACTIVE = "active"
    PAUSED = "paused"


class DeliveryState(StrEnum):
    """Pending until the receiver took the event, or until it is given up: a dead letter."""

    PENDING = "pending"
    DELIVERED = "delivered"
    DEAD = "dead"


@dataclass(frozen=True, slots=True)
class WebhookEndpoint:
    """An address that gets events: of one shop, or (`shop_id` empty) of the whole platform.

    `kinds` empty: every kind. `failing_since`: the first failure since an event was last taken.
    """

    endpoint_id: UUID
    shop_id: str
    url: str
    description: str
    kinds: tuple[str, ...]
    state: EndpointState
    created_at: datetime
    created_by: str
    paused_because: str = ""
    failing_since: datetime | None = None
    last_success_at: datetime | None = None
    last_failure_at: datetime | None = None
    last_failure: str = ""

    @property
    def for_platform(self) -> bool:
        """Whether it is the platform's own."""
        return self.shop_id == ""


@dataclass(frozen=True, slots=True)
class Delivery:
    """An event for an endpoint; `status` is what the receiver answered last, `failure` why that was not enough."""

    event: OutgoingEvent
    state: DeliveryState
    tries: int
    queued_at: datetime
    tried_at: datetime | None
    closed_at: datetime | None
    status: int | None
    failure: str


@dataclass(frozen=True, slots=True)
class EndpointChange:
    """What becomes of an endpoint's description; None: it stays."""

    url: str | None = None
    description: str | None = None
    kinds: tuple[str, ...] | None = None


@dataclass(frozen=True, slots=True)
class Redelivery:
    """Which events are sent again: the one at a position, or the dead since a time, with `delivered` all since then."""

    position: int | None = None
    event_uuid: UUID | None = None
    since: datetime | None = None
    delivered: bool = False

    @classmethod
    def of_event(cls, event_id: str) -> Redelivery | None:
        """Of the event of this id; None for what is none."""
        found = _EVENT_ID.fullmatch(event_id)
        if found is None:
            return None
        return cls(int(found[1]), UUID(found[2]) if found[2] is not None else None)


@dataclass(frozen=True, slots=True)
class Backlog:
    """What waits, and what was given up, over all endpoints."""

    pending: int
    dead: int
    oldest_pending_at: datetime | None
    paused_endpoints: int


class Written(StrEnum):
    """What became of a new or changed endpoint."""

    DONE = "done"
    NOT_FOUND = "not_found"
    URL_TAKEN = "url_taken"
    TOO_MANY = "too_many"


class WebhookEndpoints(Protocol):
    """What people do with endpoints."""

    async def create(self, endpoint: WebhookEndpoint, encrypted: str, *, most: int) -> Written: ...

    async def get(self, endpoint_id: UUID) -> WebhookEndpoint | None: ...

    async def list(
        self, *, shop_id: str | None, after: tuple[datetime, UUID] | None = None, limit: int = 50
    ) -> Sequence[WebhookEndpoint]:
        """Newest first; `shop_id` None: of all shops and the platform."""
        ...

    async def change(self, endpoint_id: UUID, change: EndpointChange) -> Written: ...

    async def pause(self, endpoint_id: UUID, because: str) -> bool: ...

    async def resume(self, endpoint_id: UUID, now: datetime) -> bool: ...

    async def delete(self, endpoint_id: UUID) -> bool: ...

    async def rotate_secret(self, endpoint_id: UUID, encrypted: str, *, now: datetime, old_until: datetime) -> bool:
        """The new secret signs from now on, and those before beside it until `old_until`."""
        ...

    async def stored_secrets(self) -> Sequence[tuple[UUID, str]]:
        """Every secret as it is stored."""
        ...

    async def renew_secrets(self, renew: Callable[[UUID, str], str]) -> int:
        """Store every secret as `renew` gives it; how many there are."""
        ...

    async def deliveries(
        self, endpoint_id: UUID, *, state: DeliveryState | None, before: int | None, limit: int
    ) -> Sequence[Delivery]:
        """Newest first."""
        ...

    async def redeliver(self, endpoint_id: UUID, wanted: Redelivery, now: datetime) -> int:
        """Send again; how many events."""
        ...

    async def backlog(self) -> Backlog: ...


# What the worker does ---------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class ClaimedDelivery:
    """An order's next event for an endpoint, which this worker may send until its lease ends.

    `event` is None where its text is not kept any more. `encrypted` are the secrets that sign now, the newest first.
    """

    lane: int
    endpoint: WebhookEndpoint
    encrypted: tuple[str, ...]
    claim_id: UUID
    order_id: str
    position: int
    tries: int
    queued_at: datetime
    event: OutgoingEvent | None


@dataclass(frozen=True, slots=True)
class Attempted:
    """What is written of an attempt: the state of the delivery after it, and when its order's next event is due."""

    state: DeliveryState
    at: datetime
    due_at: datetime
    status: int | None = None
    failure: str = ""


@dataclass(frozen=True, slots=True)
class EndpointHealth:
    """What a worker saw of an endpoint for a while; `failing_since`: the first failure after the last success."""

    success_at: datetime | None = None
    failure_at: datetime | None = None
    failing_since: datetime | None = None
    failure: str = ""


@dataclass(frozen=True, slots=True)
class SendResult:
    """What came of sending: the receiver's status, or why there is none."""

    status: int | None
    failure: str = ""
    retry_after_seconds: float | None = None

    @property
    def taken(self) -> bool:
        """Whether the receiver has the event."""
        return self.status is not None and 200 <= self.status < 300


class DeliveryQueue(Protocol):
    """The events that wait: for each endpoint and order one after the other."""

    async def fan_out(self, now: datetime, limit: int = 5_000) -> int:
        """Queue what was published since the last time for who wants it; how many positions on, 0 at the end."""
        ...

    async def claim(
        self, *, now: datetime, lease_until: datetime, limit: int, places: int, taken: Mapping[UUID, int]
    ) -> Sequence[ClaimedDelivery]:
        """Up to `limit` orders' next events, of one endpoint no more than `places` less what it has `taken`."""
        ...

    async def close(self, claimed: ClaimedDelivery, attempted: Attempted) -> None:
        """Write what came of it, and let the next event of the order go."""
        ...

    async def put_back(self, claimed: ClaimedDelivery, due_at: datetime) -> None:
        """It was not tried: the same event is due again."""
        ...

    async def note_health(self, seen: Mapping[UUID, EndpointHealth]) -> None: ...

    async def failing_endpoints(self, since: datetime) -> Sequence[WebhookEndpoint]:
        """Those that are active and have not taken a single event since then."""
        ...

    async def purge(self, before: datetime, now: datetime, limit: int = 10_000) -> int:
        """Forget deliveries that were closed before a time, and secrets that have ended."""
        ...


class Sender(Protocol):
    """What speaks to receivers."""

    async def send(self, url: str, headers: Mapping[str, str], body: bytes) -> SendResult: ...


@dataclass(frozen=True, slots=True)
class Webhooks:
    """What is kept of webhooks."""

    endpoints: WebhookEndpoints
    queue: DeliveryQueue
