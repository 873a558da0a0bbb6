"""Buyers: values and calls. Written by scripts/client_api.py."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime

from msgspec import UNSET, UnsetType

from jitui.client.call import Call, Sent, Shown


class BuyerAnswer(Shown, frozen=True, kw_only=True):
    """What the platform sent about a buyer; attributes only for the platform."""

    buyer_id: str
    registered_at: datetime | None
    region: str | None
    attributes: Mapping[str, int | str | bool]


class BuyerSent(Sent, frozen=True, kw_only=True):
    """What the platform knows of a buyer.

    Fields that are not sent stay; null and {} make them unknown. All attributes: others are deleted. ||| All
    attributes: others are deleted.
    """

    registered_at: datetime | UnsetType | None = UNSET
    region: str | UnsetType | None = UNSET
    attributes: Mapping[str, int | str | bool] | UnsetType = UNSET


class EventSent(Sent, frozen=True, kw_only=True):
    """An event of a buyer's history; the same id counts once."""

    event_id: str
    kind: str
    at: datetime
    order_id: str | None = None
    amount_minor: int = 0
    currency: str | None = None
    retracts: str | None = None


class EventsSent(Sent, frozen=True, kw_only=True):
    """A batch of events of one buyer."""

    events: Sequence[EventSent]


class EventsTaken(Shown, frozen=True, kw_only=True):
    """How many events of the batch were new."""

    recorded: int
    known_already: int


def put_buyer(buyer_id: str, sent: BuyerSent) -> Call[BuyerAnswer]:
    """Put a buyer.

    Replaces the fields that are sent; the others stay; `null` makes a field unknown. Ids may be pseudonyms. Keys of
    scope: platform. Permission: `buyers:write`.
    """
    return Call(
        operation="put_buyer",
        method="PUT",
        path="/v1/buyers/{buyer_id}",
        answer=BuyerAnswer,
        statuses=(200,),
        places={"buyer_id": buyer_id},
        body=sent,
        may_repeat=True,
    )


def get_buyer(buyer_id: str) -> Call[BuyerAnswer]:
    """Read a buyer.

    `attributes` are the platform's own and empty for others. Keys of scope: buyer, platform. Permission: `buyers:read`.
    """
    return Call(
        operation="get_buyer",
        method="GET",
        path="/v1/buyers/{buyer_id}",
        answer=BuyerAnswer,
        statuses=(200,),
        places={"buyer_id": buyer_id},
        may_repeat=True,
    )


def record_events(buyer_id: str, sent: EventsSent) -> Call[EventsTaken]:
    """Append to a buyer's history.

    Idempotent by nature: an `event_id` counts once, however often it is sent, and so do the payment, the completion and
    the cancellation of one order, whatever named them. Keys of scope: platform. Permission: `buyers:write`.
    """
    return Call(
        operation="record_events",
        method="POST",
        path="/v1/buyers/{buyer_id}/events",
        answer=EventsTaken,
        statuses=(200,),
        places={"buyer_id": buyer_id},
        body=sent,
        may_repeat=True,
    )
