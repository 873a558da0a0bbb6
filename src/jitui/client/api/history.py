"""History: values and calls. Written by scripts/client_api.py."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Literal

from msgspec import UNSET, UnsetType

from jitui.client.call import Call, Sent, Shown


class CloudEventSent(Sent, frozen=True, kw_only=True):
    """An event of a buyer's history as a CloudEvent 1.0; other attributes may be there and are not read."""

    specversion: Literal["1.0"]
    id: str
    source: str
    type: str
    time: datetime
    data: HistoryData


class EventResult(Shown, frozen=True, kw_only=True):
    """What became of one event; `path` and `reason` are empty unless it was refused."""

    source: str | None
    id: str | None
    outcome: Literal["accepted", "refused", "repeated"]
    path: str = ""
    reason: str = ""


class EventResults(Shown, frozen=True, kw_only=True):
    """What became of the events, in the order in which they were sent."""

    accepted: int
    repeated: int
    refused: int
    results: tuple[EventResult, ...]


class HistoryAnswer(Shown, frozen=True, kw_only=True):
    """From when on a kind of event is complete."""

    kind: str
    complete_from: datetime
    fresh_until: datetime | None


class HistoryData(Sent, frozen=True, kw_only=True):
    """Whose history it is, and what belongs to the event."""

    buyer_id: str
    order_id: str | None = None
    amount_minor: int = 0
    currency: str | None = None
    retracts: str | None = None


class HistoryList(Shown, frozen=True, kw_only=True):
    """All kinds that were ever declared; the history of other kinds is unknown, not zero."""

    history: tuple[HistoryAnswer, ...]


class HistorySent(Sent, frozen=True, kw_only=True):
    """From when on a kind of event is complete; fields that are not sent stay.

    Up to when it is fresh; null (the default): fed as it happens. ||| Up to when it is fresh; null (the default): fed
    as it happens.
    """

    complete_from: datetime
    fresh_until: datetime | UnsetType | None = UNSET


def put_history(kind: str, sent: HistorySent) -> Call[HistoryAnswer]:
    """Declare a kind of history complete.

    History that was never declared is unknown, and unknown never approves. Keys of scope: platform. Permission:
    `history:write`.
    """
    return Call(
        operation="put_history",
        method="PUT",
        path="/v1/history/{kind}",
        answer=HistoryAnswer,
        statuses=(200,),
        places={"kind": kind},
        body=sent,
        may_repeat=True,
    )


def list_history() -> Call[HistoryList]:
    """List what is declared complete. Keys of scope: platform. Permission: `history:read`."""
    return Call(
        operation="list_history",
        method="GET",
        path="/v1/history",
        answer=HistoryList,
        statuses=(200,),
        may_repeat=True,
    )


def take_events(sent: Sequence[CloudEventSent]) -> Call[EventResults]:
    """Take in history as CloudEvents.

    One event (`application/cloudevents+json`) or up to 1,000 (`application/cloudevents-batch+json`), in structured
    mode. `source` and `id` name an event: it counts once, however often it is sent. Each event of a batch is accepted,
    known already or refused by itself; a single one that is refused is 400. Keys of scope: platform. Permission:
    `history:write`.
    """
    return Call(
        operation="take_events",
        method="POST",
        path="/v1/events",
        answer=EventResults,
        statuses=(200,),
        body=sent,
        media_type="application/cloudevents-batch+json",
        may_repeat=True,
    )
