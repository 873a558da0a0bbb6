"""History from other systems as CloudEvents: one, or a batch of which each is judged by itself."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Annotated, Literal, cast

import msgspec
from cloudevents.core.exceptions import CloudEventValidationError
from cloudevents.core.formats.json import JSONFormat
from cloudevents.core.v1.event import CloudEvent
from msgspec import Meta

from jitui.aftersales.changes import RecordBuyerEvent
from jitui.aftersales.cloud_events import BATCH_MEDIA_TYPE, MEDIA_TYPE
from jitui.aftersales.governance.registry import Registry
from jitui.entrypoints.http.fields import AmountMinor, Currency, Id, Time
from jitui.entrypoints.http.misfits import misfits
from jitui.entrypoints.http.operation import operation, post
from jitui.entrypoints.http.problems import (
    UNSUPPORTED_MEDIA_TYPE,
    Fault,
    FaultCollector,
    Problem,
    ProblemRaised,
    of_faults,
    refuse,
)
from jitui.entrypoints.http.read_body import decode_json, read_all
from jitui.entrypoints.http.reply import Reply, answer
from jitui.entrypoints.http.request import RequestContext
from jitui.entrypoints.http.resources import sample
from jitui.entrypoints.http.resources.buyers import MOST_EVENTS
from jitui.entrypoints.http.resources.shared import Sent, Shown, check_event_kind
from jitui.identity.access import Permission
from jitui.policy.facts import BUYER_EVENTS

OF_ANOTHER_BUYER = "An event of this source and id was told of another buyer."
NO_CLOUD_EVENT = "Expected an attribute as CloudEvents 1.0 has them: a name of lower-case letters and digits, a text."

Name = Annotated[str, Meta(min_length=1, max_length=1024, pattern=r"^[^\x00]*$")]


class HistoryData(Sent, frozen=True, kw_only=True):
    """Whose history it is, and what belongs to the event."""

    buyer_id: Id
    order_id: Id | None = None
    amount_minor: AmountMinor = 0
    currency: Annotated[
        Currency | None, Meta(description="Of the amount. Not given: that of the order, where it is known here.")
    ] = None
    retracts: Annotated[
        Name | None, Meta(description="The id of an event of the same source that this one takes back.")
    ] = None


class CloudEventSent(msgspec.Struct, frozen=True, kw_only=True):
    """An event of a buyer's history as a CloudEvent 1.0; other attributes may be there and are not read."""

    specversion: Literal["1.0"]
    id: Name
    source: Name
    type: Annotated[
        Name,
        Meta(description="Ends with the kind of event, such as `order_completed`; the part before a last dot is free."),
    ]
    time: Time
    data: HistoryData


class EventResult(Shown, frozen=True, kw_only=True):
    """What became of one event; `path` and `reason` are empty unless it was refused."""

    source: str | None
    id: str | None
    outcome: Literal["accepted", "repeated", "refused"]
    path: str = ""
    reason: str = ""


class EventResults(Shown, frozen=True, kw_only=True):
    """What became of the events, in the order in which they were sent."""

    accepted: int
    repeated: int
    refused: int
    results: tuple[EventResult, ...]


@post(
    "/v1/events",
    tags=["History"],
    summary="Take in history as CloudEvents",
    description="One event (`application/cloudevents+json`) or up to 1,000 (`application/cloudevents-batch+json`), "
    "in structured mode. `source` and `id` name an event: it counts once, however often it is sent. Each event of a "
    "batch is accepted, known already or refused by itself; a single one that is refused is 400.",
    opt=operation(
        {200: EventResults}, Permission.HISTORY_WRITE, body=CloudEventSent, body_media=(MEDIA_TYPE, BATCH_MEDIA_TYPE)
    ),
)
async def take_events(request: RequestContext) -> Reply:
    """Append to buyers' histories."""
    is_batch = _is_batch(request.sent_headers.get(b"content-type"))
    sent = decode_json(await read_all(request))
    if is_batch and not (isinstance(sent, list) and 0 < len(sent) <= MOST_EVENTS):
        raise refuse("", f"Expected a list of 1 to {MOST_EVENTS} events.")
    items = cast(list[object], sent) if is_batch else [sent]
    now = request.service.clock()
    read = [_read(item, now) for item in items]
    if not is_batch and isinstance(read[0], Problem):
        return read[0]
    told = {event.event_id: event for event in reversed(read) if isinstance(event, RecordBuyerEvent)}
    outcomes = await _record(request.service.registry, list(told.values()))
    results = tuple(_results(items, read, outcomes))
    (first, *more) = results
    if not more and not is_batch and first.outcome == "refused":
        return of_faults((Fault(first.path, first.reason),))
    count = {word: sum(one.outcome == word for one in results) for word in ("accepted", "repeated", "refused")}
    return answer(EventResults(**count, results=results))


def _is_batch(content_type: str | None) -> bool:
    media_type = (content_type or "").partition(";")[0].strip().lower()
    if media_type not in (MEDIA_TYPE, BATCH_MEDIA_TYPE):
        raise ProblemRaised(
            Problem(UNSUPPORTED_MEDIA_TYPE, f"Send one event as {MEDIA_TYPE}, or a list as {BATCH_MEDIA_TYPE}.")
        )
    return media_type == BATCH_MEDIA_TYPE


def _read(item: object, now: datetime) -> RecordBuyerEvent | Problem:
    """The event as the buyer's history takes it, or what is wrong with it."""
    try:
        return _event(item, now)
    except ProblemRaised as raised:
        return raised.problem


def _event(item: object, now: datetime) -> RecordBuyerEvent:
    if not isinstance(item, dict):
        raise refuse("", "Expected a CloudEvent, a JSON object.")
    known = {name: item[name] for name in CloudEventSent.__struct_fields__ if name in item}
    faults = tuple(misfits(CloudEventSent, known))
    if faults:
        raise ProblemRaised(of_faults(faults))
    sent = msgspec.convert(known, CloudEventSent)
    _check_attributes(item)
    kind = sent.type.rpartition(".")[2]
    wrong = FaultCollector()
    check_event_kind(wrong, "type", kind, BUYER_EVENTS)
    wrong.time("time", sent.time)
    wrong.settle()
    data = sent.data
    return RecordBuyerEvent(
        buyer_id=data.buyer_id,
        event_id=event_name(sent.source, sent.id),
        kind=kind,
        at=sent.time,
        recorded_at=now,
        order_id=data.order_id,
        amount_minor=data.amount_minor,
        retracts=event_name(sent.source, data.retracts) if data.retracts is not None else None,
        currency=data.currency,
    )


def _check_attributes(item: Mapping[str, object]) -> None:
    """The library's own judgment, of extension attributes too."""
    try:
        JSONFormat().read(CloudEvent, msgspec.json.encode(item))
    except CloudEventValidationError as error:
        raise refuse(next(iter(error.errors), ""), NO_CLOUD_EVENT) from None
    except (ValueError, TypeError):
        raise refuse("", NO_CLOUD_EVENT) from None


def event_name(source: str, event_id: str) -> str:
    """The event's id in the buyer's history, where ids of other sources are too."""
    return "ce:" + hashlib.sha256(msgspec.json.encode([source, event_id])).hexdigest()


_Outcomes = Mapping[str, Literal["accepted", "repeated"] | Fault]


async def _record(registry: Registry, told: Sequence[RecordBuyerEvent]) -> _Outcomes:
    """What becomes of each event, by its name."""
    outcomes: dict[str, Literal["accepted", "repeated"] | Fault] = await _contradictions(registry, told)
    left = [event for event in told if event.event_id not in outcomes]
    named = await registry.name_events({event.event_id: event.buyer_id for event in left}) if left else {}
    for event in left:
        if named[event.event_id].buyer_id != event.buyer_id:
            outcomes[event.event_id] = Fault("data.buyer_id", OF_ANOTHER_BUYER)
    left = [event for event in left if event.event_id not in outcomes]
    new = await registry.new_buyer_events(left) if left else ()
    for event in left:
        is_new = (event.buyer_id, event.event_id) in new or named[event.event_id].is_new
        outcomes[event.event_id] = "accepted" if is_new else "repeated"
    unrecorded = [one for one in left if (one.buyer_id, one.event_id) not in new and named[one.event_id].is_new]
    return {**outcomes, **(await _contradictions(registry, unrecorded))}  # what came to contradict them meanwhile


async def _contradictions(
    registry: Registry, told: Sequence[RecordBuyerEvent]
) -> dict[str, Literal["accepted", "repeated"] | Fault]:
    refused = await registry.refused_events(told) if told else ()
    return {one.event.event_id: Fault(_PATHS.get(one.field, one.field), one.reason) for one in refused}


_PATHS = {"order_id": "data.order_id", "retracts": "data.retracts", "kind": "type", "at": "time"}


def _results(
    items: Sequence[object], read: Sequence[RecordBuyerEvent | Problem], outcomes: _Outcomes
) -> Sequence[EventResult]:
    """The first of those that are the same is accepted, the others are known then."""
    results: list[EventResult] = []
    seen: set[str] = set()
    for item, event in zip(items, read, strict=True):
        source, event_id = (_text(item, name) for name in ("source", "id"))
        outcome = Fault(event.path, event.detail) if isinstance(event, Problem) else outcomes[event.event_id]
        if isinstance(outcome, Fault):
            refused = EventResult(
                source=source, id=event_id, outcome="refused", path=outcome.path, reason=outcome.detail
            )
            results.append(refused)
            continue
        assert isinstance(event, RecordBuyerEvent)
        again = event.event_id in seen
        seen.add(event.event_id)
        results.append(EventResult(source=source, id=event_id, outcome="repeated" if again else outcome))
    return results


def _text(item: object, name: str) -> str | None:
    value = item.get(name) if isinstance(item, dict) else None
    return value if isinstance(value, str) else None


HANDLERS = (take_events,)

_COMPLETED = CloudEventSent(
    specversion="1.0",
    id="o-900",
    source="/warehouse/7",
    type="example.shop.order_completed",
    time=sample.PAID_AT - timedelta(days=9),
    data=HistoryData(buyer_id="b-1", order_id="o-900", amount_minor=5900, currency="CNY"),
)
EXAMPLES = (
    _COMPLETED,
    EventResults(
        accepted=1,
        repeated=0,
        refused=1,
        results=(
            EventResult(source="/warehouse/7", id="o-900", outcome="accepted"),
            EventResult(
                source="/warehouse/7",
                id="o-901",
                outcome="refused",
                path="data.order_id",
                reason="This order belongs to another buyer.",
            ),
        ),
    ),
)
