"""Feed: values and calls. Written by scripts/client_api.py."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Literal
from uuid import UUID

from jitui.client.call import ListCall, Shown


class ChangeAnswer(Shown, frozen=True, kw_only=True):
    """An event; positions only grow."""

    position: int
    kind: str
    at: datetime
    order_id: str
    buyer_id: str
    shop_id: str
    ticket_id: UUID | None
    body: Mapping[str, object]


class ChangeData(Shown, frozen=True, kw_only=True):
    """What happened, without what the event's attributes say."""

    order_id: str
    buyer_id: str
    shop_id: str
    ticket_id: UUID | None
    body: Mapping[str, object]


class ChangePage(Shown, frozen=True, kw_only=True):
    """A page of the feed, oldest first; `next` is where the next page begins, also when this one is empty."""

    changes: tuple[ChangeAnswer, ...]
    next: str


class CloudEventAnswer(Shown, frozen=True, kw_only=True):
    """An event of the feed as a CloudEvent 1.0 (structured mode, JSON)."""

    specversion: Literal["1.0"]
    id: str
    source: str
    type: str
    subject: str
    time: datetime
    datacontenttype: Literal["application/json"]
    sequence: str
    partitionkey: str
    data: ChangeData


def list_changes(
    *, after: str | None = None, limit: int | None = None, wait_seconds: int | None = None
) -> ListCall[ChangePage, ChangeAnswer]:
    """Read the feed.

    One ordered feed of what happened; a reader that remembers `next` misses nothing and sees nothing twice. Warehouses
    act on `stop_ship`. A shop key reads its own. Keys of scope: platform, shop. Permission: `changes:read`.
    """
    return ListCall(
        operation="list_changes",
        method="GET",
        path="/v1/changes",
        answer=ChangePage,
        statuses=(200,),
        query={"after": after, "limit": limit, "wait_seconds": wait_seconds},
        may_repeat=True,
        rows="changes",
        cursor="after",
        ends=False,
    )
