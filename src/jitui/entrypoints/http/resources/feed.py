"""The feed: one ordered list of events, for consumers that follow it."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from datetime import datetime
from time import monotonic
from typing import Annotated
from uuid import UUID

from msgspec import Meta

from jitui.aftersales.cloud_events import BATCH_MEDIA_TYPE, event_json, visible_body
from jitui.aftersales.ports import OutgoingEvent
from jitui.entrypoints.cursor import to_cursor
from jitui.entrypoints.http.cursors import FeedPlace, read_cursor
from jitui.entrypoints.http.fields import Cursor, PageLimit
from jitui.entrypoints.http.limits import READERS_PER_KEY
from jitui.entrypoints.http.mapping import shown
from jitui.entrypoints.http.operation import JSON, PLATFORM, get, operation
from jitui.entrypoints.http.problems import RATE_LIMITED, Problem
from jitui.entrypoints.http.read_headers import read_accept
from jitui.entrypoints.http.read_query import read_query
from jitui.entrypoints.http.reply import Answer, Reply, answer
from jitui.entrypoints.http.request import RequestContext
from jitui.entrypoints.http.resources import sample
from jitui.entrypoints.http.resources.cloud_events import CloudEventAnswer
from jitui.entrypoints.http.resources.shared import Sent, Shown
from jitui.identity.access import Permission

POLL_SECONDS = 0.5
"""How often a waiting reader of the feed looks for new events."""
READER_RETRY_SECONDS = 5
_VARIES = (("vary", "Accept"),)


class ChangeQuery(Sent, frozen=True, kw_only=True):
    """A page of the feed."""

    after: Annotated[Cursor | None, Meta(description="`next` of the previous page; not sent: from the beginning.")] = (
        None
    )
    limit: PageLimit = 50
    wait_seconds: Annotated[
        int, Meta(ge=0, le=30, description="How long to wait for a new event when there is none yet.")
    ] = 0


class ChangeAnswer(Shown, frozen=True, kw_only=True):
    """An event; positions only grow."""

    position: int
    kind: str
    at: datetime
    order_id: str
    buyer_pseudonym: str
    shop_id: str
    ticket_id: UUID | None
    body: Mapping[str, object]


class ChangePage(Shown, frozen=True, kw_only=True):
    """A page of the feed, oldest first; `next` is where the next page begins, also when this one is empty."""

    changes: tuple[ChangeAnswer, ...]
    next: str


@get(
    "/v1/changes",
    tags=["Feed"],
    summary="Read the feed",
    description="One ordered feed of what happened; a reader that remembers `next` misses nothing and sees nothing "
    "twice. Warehouses act on `stop_ship` and `stop_ship.requested`. A shop key reads its own. With "
    "`Accept: application/cloudevents-batch+json` the answer is a list of CloudEvents, and `Link` leads to the next "
    "page.",
    opt=operation(
        {200: ChangePage}, Permission.CHANGES_READ, query=ChangeQuery, other_media={BATCH_MEDIA_TYPE: CloudEventAnswer}
    ),
)
async def list_changes(request: RequestContext) -> Reply:
    """Return the events after a position; it waits for new ones when asked to."""
    query = read_query(request, ChangeQuery)
    place = read_cursor(query.after, FeedPlace, "after")
    after = place.position if place is not None else 0
    found = await request.service.feed.events(after, query.limit, shop_id=request.own_shop)
    if not found and query.wait_seconds > 0:
        assert request.key is not None
        with request.api.readers.place(request.key.key_id) as has_place:
            if not has_place:
                return Problem(
                    RATE_LIMITED,
                    f"{READERS_PER_KEY} readers with this key are waiting already; ask later, or without waiting.",
                    retry_after_seconds=READER_RETRY_SECONDS,
                )
            found = await _wait_for_news(request, query, after)
    following = to_cursor(found[-1].position if found else after)
    if read_accept(request.scope["headers"], (JSON, BATCH_MEDIA_TYPE)) == BATCH_MEDIA_TYPE:
        return _batch(request, found, following, query.limit)
    rows = tuple(_change(request, row) for row in found)
    return answer(ChangePage(changes=rows, next=following), headers=_VARIES)


def _batch(request: RequestContext, found: Sequence[OutgoingEvent], following: str, limit: int) -> Answer:
    events = (event_json(row, for_platform=request.key_scope is PLATFORM) for row in found)
    following_page = f'</v1/changes?after={following}&limit={limit}>; rel="next"'
    headers = (*_VARIES, ("link", following_page))
    return Answer(200, b"[" + b",".join(events) + b"]", headers, f"{BATCH_MEDIA_TYPE}; charset=utf-8")


async def _wait_for_news(request: RequestContext, query: ChangeQuery, after: int) -> Sequence[OutgoingEvent]:
    """Wait until there is an event, the time is over, the process stops, or the reader has gone."""
    until = request.arrived_at + query.wait_seconds
    gone = asyncio.create_task(_gone(request))
    try:
        while not gone.done():
            left_seconds = until - monotonic()
            if left_seconds <= 0 or await request.api.stopping.within(min(POLL_SECONDS, left_seconds)):
                break
            await request.check_key_again()
            found = await request.service.feed.events(after, query.limit, shop_id=request.own_shop)
            if found:
                return found
    finally:
        gone.cancel()
    return ()


async def _gone(request: RequestContext) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass


def _change(request: RequestContext, row: OutgoingEvent) -> ChangeAnswer:
    return shown(ChangeAnswer, row, body=visible_body(row, for_platform=request.key_scope is PLATFORM))


HANDLERS = (list_changes,)

EXAMPLES = (
    ChangePage(
        changes=(
            ChangeAnswer(
                position=42,
                kind="stop_ship",
                at=sample.ASKED_AT,
                order_id="o-1001",
                buyer_pseudonym=sample.PSEUDONYM,
                shop_id="s-1",
                ticket_id=sample.TICKET_ID,
                body={
                    "lines": [{"line_id": "l1", "sku": "sku-1", "item_id": "i-1", "quantity": 1}],
                    "labels_printed": [{"carrier": "sf", "tracking_no": "SF1000000001"}],
                },
            ),
        ),
        next="WzQyXQ",
    ),
)
