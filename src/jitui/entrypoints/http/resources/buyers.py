"""Buyers, and their history, which the platform feeds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Annotated

from litestar.params import FromPath
from msgspec import UNSET, Meta, UnsetType

from jitui.aftersales.changes import RecordBuyerEvent
from jitui.aftersales.model.order import Buyer
from jitui.entrypoints.http.fields import (
    AmountMinor,
    Attributes,
    AttributeValues,
    Code,
    Currency,
    Id,
    Kind,
    Time,
    may_name,
)
from jitui.entrypoints.http.mapping import shown, taken
from jitui.entrypoints.http.operation import PLATFORM, get, operation, post, put
from jitui.entrypoints.http.problems import FaultCollector, not_found
from jitui.entrypoints.http.read_body import read_body
from jitui.entrypoints.http.reply import Reply, answer
from jitui.entrypoints.http.request import RequestContext
from jitui.entrypoints.http.resources import sample
from jitui.entrypoints.http.resources.shared import Sent, Shown, check_event_kind, id_of_address, left_out, said
from jitui.identity.access import Permission
from jitui.ids import lane_of
from jitui.policy.facts import BUYER_EVENTS

MOST_EVENTS = 1_000


class BuyerSent(Sent, frozen=True, kw_only=True):
    """What the platform knows of a buyer. Fields that are not sent stay; null and {} make them unknown.

    All attributes: others are deleted. ||| All attributes: others are deleted.
    """

    registered_at: Time | UnsetType | None = UNSET
    region: Id | UnsetType | None = UNSET
    attributes: Annotated[Attributes | UnsetType, Meta(description="All of them: others are forgotten.")] = UNSET


class EventSent(Sent, frozen=True, kw_only=True):
    """An event of a buyer's history; the same id counts once."""

    event_id: Code
    kind: Kind
    at: Time
    order_id: Id | None = None
    amount_minor: AmountMinor = 0
    currency: Annotated[
        Currency | None, Meta(description="The currency of the amount. Not sent: that of the order, if it is known.")
    ] = None
    retracts: Annotated[Code | None, Meta(description="The id of an event that this one takes back.")] = None


class EventsSent(Sent, frozen=True, kw_only=True):
    """A batch of events of one buyer."""

    events: Annotated[list[EventSent], Meta(min_length=1, max_length=MOST_EVENTS)]


class BuyerAnswer(Shown, frozen=True, kw_only=True):
    """What the platform sent about a buyer; attributes and pseudonym only for the platform."""

    buyer_id: str
    registered_at: datetime | None
    region: str | None
    attributes: AttributeValues
    pseudonym: str | None


class EventsTaken(Shown, frozen=True, kw_only=True):
    """How many events of the batch were new; `left_out`: how many are about what was erased."""

    recorded: int
    known_already: int
    left_out: int


_TAG = ["Buyers"]


@put(
    "/v1/buyers/{buyer_id:str}",
    tags=_TAG,
    summary="Put a buyer",
    description="Replaces the fields that are sent; the others stay; `null` makes a field unknown. Ids may be "
    "pseudonyms.",
    opt=operation({200: BuyerAnswer}, Permission.BUYERS_WRITE, body=BuyerSent),
)
async def put_buyer(request: RequestContext, buyer_id: FromPath[str]) -> Reply:
    """Create or replace the fields of a buyer that are sent."""
    sent = await read_body(request, BuyerSent)
    buyer_id = id_of_address("buyer_id", buyer_id)
    registered_at = said(sent.registered_at, None)
    faults = FaultCollector()
    faults.time("registered_at", registered_at)
    faults.settle()
    attributes = dict(said(sent.attributes, {}))
    buyer = Buyer(lane_of(buyer_id), buyer_id, registered_at, said(sent.region, None), attributes)
    service = request.service
    stands = await service.registry.put_buyer(buyer, service.clock(), kept=left_out(sent))
    pseudonym = await service.personal_data.pseudonym_of(buyer_id)
    return answer(shown(BuyerAnswer, stands, pseudonym=pseudonym))


@get(
    "/v1/buyers/{buyer_id:str}",
    tags=_TAG,
    summary="Read a buyer",
    description="`attributes` and `pseudonym` are the platform's own.",
    opt=operation({200: BuyerAnswer}, Permission.BUYERS_READ),
)
async def get_buyer(request: RequestContext, buyer_id: FromPath[str]) -> Reply:
    """Return what is known of a buyer."""
    if not request.may_see(buyer_id=buyer_id) or not may_name(buyer_id):
        return not_found()
    buyer = await request.service.registry.get_buyer(buyer_id)
    if buyer is None:
        return not_found()
    if request.key_scope is not PLATFORM:
        return answer(shown(BuyerAnswer, replace(buyer, attributes={}), pseudonym=None))
    pseudonym = await request.service.personal_data.pseudonym_of(buyer_id)
    return answer(shown(BuyerAnswer, buyer, pseudonym=pseudonym))


@post(
    "/v1/buyers/{buyer_id:str}/events",
    tags=_TAG,
    summary="Append to a buyer's history",
    description="Idempotent by nature: an `event_id` counts once, however often it is sent, and so do the payment, "
    "the completion and the cancellation of one order, whatever named them. What is about an erased buyer is left out.",
    opt=operation({200: EventsTaken}, Permission.BUYERS_WRITE, body=EventsSent),
)
async def record_events(request: RequestContext, buyer_id: FromPath[str]) -> Reply:
    """Append to a buyer's history."""
    events = (await read_body(request, EventsSent)).events
    buyer_id, now = id_of_address("buyer_id", buyer_id), request.service.clock()
    faults = FaultCollector()
    faults.unique("events", "event_id", (event.event_id for event in events))
    for index, event in enumerate(events):
        faults.time(f"events[{index}].at", event.at)
        check_event_kind(faults, f"events[{index}].kind", event.kind, BUYER_EVENTS)
    faults.settle()
    told = [taken(RecordBuyerEvent, event, buyer_id=buyer_id, recorded_at=now) for event in events]
    refused = await request.service.registry.refused_events(told)
    for one in (one for one in refused if not one.erased):
        faults.add(f"events[{told.index(one.event)}].{one.field}", one.reason)
    faults.settle()
    left_out = len(refused)
    recorded = await request.service.registry.record_buyer_events(told)
    return answer(EventsTaken(recorded=recorded, known_already=len(events) - recorded - left_out, left_out=left_out))


HANDLERS = (put_buyer, get_buyer, record_events)

_REGISTERED_AT = sample.PAID_AT - timedelta(days=400)
_ATTRIBUTES: Mapping[str, int | str | bool] = {"member_level": 4}
EXAMPLES = (
    BuyerSent(registered_at=_REGISTERED_AT, region="CN-33", attributes=dict(_ATTRIBUTES)),
    EventsSent(
        events=[EventSent(event_id="completed:o-900", kind="order_completed", at=sample.PAID_AT, amount_minor=5900)]
    ),
    BuyerAnswer(
        buyer_id="b-1", registered_at=_REGISTERED_AT, region="CN-33", attributes=_ATTRIBUTES, pseudonym=sample.PSEUDONYM
    ),
    EventsTaken(recorded=1, known_already=0, left_out=0),
)
