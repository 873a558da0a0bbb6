"""Incidents: goods that left although they were refunded."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from uuid import UUID

from jitui.aftersales.model.view import Amount
from jitui.entrypoints.http.cursors import TimePlace, page_of, read_cursor
from jitui.entrypoints.http.fields import Cursor, Id, PageLimit
from jitui.entrypoints.http.mapping import shown
from jitui.entrypoints.http.operation import get, operation
from jitui.entrypoints.http.problems import not_found
from jitui.entrypoints.http.read_query import read_query
from jitui.entrypoints.http.reply import Reply, answer
from jitui.entrypoints.http.request import RequestContext
from jitui.entrypoints.http.resources import sample
from jitui.entrypoints.http.resources.shared import Sent, Shown
from jitui.identity.access import Permission


class IncidentQuery(Sent, frozen=True, kw_only=True):
    """Filters of the list of incidents."""

    shop_id: Id | None = None
    cursor: Cursor | None = None
    limit: PageLimit = 50


class IncidentAnswer(Shown, frozen=True, kw_only=True):
    """Goods that left although they were refunded."""

    incident_id: UUID
    order_id: str
    ticket_id: UUID
    shop_id: str
    kind: str
    state: str
    amount: Amount
    evidence: tuple[Mapping[str, object], ...]
    opened_at: datetime


class IncidentPage(Shown, frozen=True, kw_only=True):
    """A page of incidents, newest first; `next` is null on the last one."""

    incidents: tuple[IncidentAnswer, ...]
    next: str | None


@get(
    "/v1/incidents",
    tags=["Incidents"],
    summary="List incidents",
    description="Newest first. A shop key lists its own.",
    opt=operation({200: IncidentPage}, Permission.INCIDENTS_READ, query=IncidentQuery),
)
async def list_incidents(request: RequestContext) -> Reply:
    """Return the incidents, newest first."""
    query = read_query(request, IncidentQuery)
    if not request.may_filter(shop_id=query.shop_id, buyer_id=None):
        return not_found()
    place = read_cursor(query.cursor, TimePlace)
    found = await request.service.queries.incidents(
        shop_id=request.own_shop or query.shop_id,
        limit=query.limit + 1,
        after=(place.at, place.id) if place is not None else None,
    )
    rows, following = page_of(found, query.limit, lambda row: (row.opened_at, row.incident_id))
    return answer(IncidentPage(incidents=tuple(shown(IncidentAnswer, row) for row in rows), next=following))


HANDLERS = (list_incidents,)

EXAMPLES = (
    IncidentPage(
        incidents=(
            IncidentAnswer(
                incident_id=sample.INCIDENT_ID,
                order_id="o-1001",
                ticket_id=sample.TICKET_ID,
                shop_id="s-1",
                kind="goods_left_after_refund",
                state="open",
                amount=sample.FULL,
                evidence=({"carrier": "sf", "tracking_no": "SF1000000001", "degree": "picked_up", "lines": ["l1"]},),
                opened_at=sample.REFUNDED_AT,
            ),
        ),
        next=None,
    ),
)
