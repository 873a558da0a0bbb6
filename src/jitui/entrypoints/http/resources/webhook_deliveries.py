"""Deliveries of a webhook endpoint: what became of each event, and sending it again."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Annotated
from uuid import UUID

from litestar.params import FromPath
from msgspec import Meta

from jitui.entrypoints.http.cursors import FeedPlace, page_of, read_cursor
from jitui.entrypoints.http.fields import Cursor, PageLimit, Time
from jitui.entrypoints.http.operation import get, operation, post
from jitui.entrypoints.http.problems import FaultCollector, not_found, refuse
from jitui.entrypoints.http.read_body import read_body
from jitui.entrypoints.http.read_query import read_query
from jitui.entrypoints.http.reply import Reply, answer
from jitui.entrypoints.http.request import RequestContext
from jitui.entrypoints.http.resources import sample
from jitui.entrypoints.http.resources.shared import Sent, Shown
from jitui.entrypoints.http.resources.webhook_endpoints import known_endpoint
from jitui.identity.access import Permission
from jitui.webhooks.model import Delivery, DeliveryState, Redelivery


class RedeliverySent(Sent, frozen=True, kw_only=True):
    """One event, or those since a time: exactly one of the two."""

    event_id: Annotated[str, Meta(max_length=128)] | None = None
    since: Time | None = None
    delivered: bool = False


class DeliveryQuery(Sent, frozen=True, kw_only=True):
    """A page of deliveries, newest event first."""

    state: DeliveryState | None = None
    cursor: Cursor | None = None
    limit: PageLimit = 50


class DeliveryAnswer(Shown, frozen=True, kw_only=True):
    """What became of an event for an endpoint."""

    event_id: str
    kind: str
    at: datetime
    order_id: str
    ticket_id: UUID | None
    state: DeliveryState
    tries: int
    queued_at: datetime
    tried_at: datetime | None
    closed_at: datetime | None
    status: int | None
    failure: str


class DeliveryPage(Shown, frozen=True, kw_only=True):
    """A page of deliveries, newest event first; `next` is null on the last one."""

    deliveries: tuple[DeliveryAnswer, ...]
    next: str | None


class RedeliveryAnswer(Shown, frozen=True, kw_only=True):
    """How many events are sent again."""

    redelivered: int


_TAG = ["Webhooks"]


@get(
    "/v1/webhook-endpoints/{endpoint_id:str}/deliveries",
    tags=_TAG,
    summary="List an endpoint's deliveries",
    description="Newest event first. `pending` ones wait or are tried again, `dead` ones were given up.",
    opt=operation({200: DeliveryPage}, Permission.WEBHOOKS_READ, query=DeliveryQuery),
)
async def list_webhook_deliveries(request: RequestContext, endpoint_id: FromPath[str]) -> Reply:
    """What became of its events."""
    query = read_query(request, DeliveryQuery)
    place = read_cursor(query.cursor, FeedPlace)
    known = await known_endpoint(request, endpoint_id)
    if known is None:
        return not_found()
    before = place.position if place is not None else None
    found = await request.service.webhooks.endpoints.deliveries(
        known.endpoint_id, state=query.state, before=before, limit=query.limit + 1
    )
    rows, following = page_of(found, query.limit, lambda one: (one.event.position,))
    return answer(DeliveryPage(deliveries=tuple(map(_delivery, rows)), next=following))


@post(
    "/v1/webhook-endpoints/{endpoint_id:str}/redeliver",
    tags=_TAG,
    summary="Send events again",
    description="One event by its id, or the dead ones since a time, with `delivered` those that were taken too. They "
    "have the same ids, and all their attempts anew. 404 when the endpoint never had the event, or it is not kept any "
    "more.",
    opt=operation({200: RedeliveryAnswer}, Permission.WEBHOOKS_WRITE, body=RedeliverySent),
)
async def redeliver_webhooks(request: RequestContext, endpoint_id: FromPath[str]) -> Reply:
    """Send again what is wanted."""
    sent = await read_body(request, RedeliverySent)
    if (sent.event_id is None) == (sent.since is None):
        raise refuse("event_id", "Expected either event_id or since.")
    faults = FaultCollector()
    faults.time("since", sent.since)
    faults.settle()
    wanted = Redelivery(since=sent.since, delivered=sent.delivered)
    if sent.event_id is not None:
        named = Redelivery.of_event(sent.event_id)
        if named is None:
            raise refuse("event_id", "Expected an event's id, as webhook-id has it.")
        wanted = named
    known = await known_endpoint(request, endpoint_id)
    if known is None:
        return not_found()
    service = request.service
    count = await service.webhooks.endpoints.redeliver(known.endpoint_id, wanted, service.clock())
    return not_found() if count == 0 and sent.event_id is not None else answer(RedeliveryAnswer(redelivered=count))


def _delivery(delivery: Delivery) -> DeliveryAnswer:
    event = delivery.event
    return DeliveryAnswer(
        event_id=event.event_id,
        kind=event.kind,
        at=event.at,
        order_id=event.order_id,
        ticket_id=event.ticket_id,
        state=delivery.state,
        tries=delivery.tries,
        queued_at=delivery.queued_at,
        tried_at=delivery.tried_at,
        closed_at=delivery.closed_at,
        status=delivery.status,
        failure=delivery.failure,
    )


HANDLERS = (list_webhook_deliveries, redeliver_webhooks)

_DELIVERY = DeliveryAnswer(
    event_id="evt_42_5b3c0f0e7f1a4b0c9d2e6a7b8c9d0e1f",
    kind="ticket.refunded",
    at=sample.REFUNDED_AT,
    order_id="o-1001",
    ticket_id=sample.TICKET_ID,
    state=DeliveryState.PENDING,
    tries=2,
    queued_at=sample.REFUNDED_AT,
    tried_at=sample.REFUNDED_AT + timedelta(seconds=8),
    closed_at=None,
    status=503,
    failure="It answered 503.",
)
EXAMPLES = (
    RedeliverySent(since=sample.PAID_AT),
    DeliveryPage(deliveries=(_DELIVERY,), next=None),
    RedeliveryAnswer(redelivered=3),
)
