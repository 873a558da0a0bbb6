"""Tickets: read, list, and review by the merchant or the platform."""

from __future__ import annotations

from collections.abc import Awaitable, Mapping
from datetime import datetime
from functools import partial
from typing import Annotated
from uuid import UUID

from litestar.params import FromPath
from msgspec import Meta

from jitui.aftersales.commands.on_ticket import Acting, Done
from jitui.aftersales.commands.review import approve, reject, withdraw
from jitui.aftersales.model.sorting import SortOrder
from jitui.aftersales.model.ticket import ApprovedBy, Reason, TicketState
from jitui.aftersales.model.view import Amount, TicketView
from jitui.aftersales.outcomes import RefusalCode
from jitui.aftersales.ports import TicketFilter, TicketRef
from jitui.aftersales.ticket_list import TicketSort, place_of
from jitui.entrypoints.http.cursors import place_in, sorted_page
from jitui.entrypoints.http.fields import Cursor, Id, PageLimit, Time
from jitui.entrypoints.http.mapping import shown, taken
from jitui.entrypoints.http.operation import NOTHING, get, operation, post
from jitui.entrypoints.http.problems import VERSION_REQUIRED, FaultCollector, not_found
from jitui.entrypoints.http.read_body import read_body
from jitui.entrypoints.http.read_query import read_query
from jitui.entrypoints.http.reply import Reply, answer
from jitui.entrypoints.http.request import RequestContext
from jitui.entrypoints.http.resources import sample
from jitui.entrypoints.http.resources.rejections import REJECTION_REFUSALS, RejectionSent, rejection_of
from jitui.entrypoints.http.resources.shared import ActingSent, Sent, Shown
from jitui.entrypoints.http.resources.ticket_commands import (
    APPROVAL_REFUSALS,
    STATE_REFUSALS,
    on_ticket,
    required_version,
    sent_version,
)
from jitui.entrypoints.http.resources.ticket_view import TICKET_EXAMPLE, TICKET_TAG, find_ticket, ticket_answer
from jitui.entrypoints.list_cursor import TICKETS
from jitui.identity.access import Permission

# Sent ------------------------------------------------------------------------------------------------------------


class TicketQuery(Sent, frozen=True, kw_only=True):
    """Filters of the list of tickets."""

    shop_id: Id | None = None
    buyer_id: Id | None = None
    order_id: Id | None = None
    state: TicketState | None = None
    approved_by: Annotated[ApprovedBy | None, Meta(description="`instant_refund`: decided by the service.")] = None
    requested_from: Time | None = None
    requested_until: Time | None = None
    sort: Annotated[
        TicketSort,
        Meta(
            description="In one state by time. No deadline counts as one that never comes. Amounts are sorted by "
            "currency first."
        ),
    ] = TicketSort.REQUESTED_AT
    order: SortOrder = SortOrder.DESC
    cursor: Cursor | None = None
    limit: PageLimit = 50


class ApprovalSent(ActingSent, frozen=True, kw_only=True):
    """For whom it is approved; the body may be left out."""


# Shown -----------------------------------------------------------------------------------------------------------


class TicketRow(Shown, frozen=True, kw_only=True):
    """A ticket in a list."""

    ticket_id: UUID
    order_id: str
    buyer_id: str
    shop_id: str
    state: TicketState
    version: int
    reason: Reason
    amount: Amount
    approved_by: ApprovedBy | None
    notice: Mapping[str, str] | None
    requested_at: datetime
    expires_at: datetime | None
    approved_at: datetime | None
    closed_at: datetime | None


class TicketPage(Shown, frozen=True, kw_only=True):
    """A page of tickets; `next` is null on the last one. Everything that was committed at `as_of` is in it."""

    tickets: tuple[TicketRow, ...]
    next: str | None
    as_of: datetime
    lag_ms: int


# Reading ---------------------------------------------------------------------------------------------------------


@get(
    "/v1/after-sales",
    tags=TICKET_TAG,
    summary="List tickets",
    description="Newest first, unless `sort` and `order` say otherwise. A shop or buyer key lists its own. The list of "
    "a buyer or of an order is exact; any other is a moment late, and says by how much: what changed since `as_of` may "
    "be missing or stand where it was. A ticket that is read by its id is always exact.",
    opt=operation({200: TicketPage}, Permission.TICKETS_READ, query=TicketQuery),
)
async def list_tickets(request: RequestContext) -> Reply:
    """Return tickets in the order that is asked for."""
    query = read_query(request, TicketQuery)
    faults = FaultCollector()
    faults.time("requested_from", query.requested_from)
    faults.time("requested_until", query.requested_until)
    faults.settle()
    if not request.may_filter(shop_id=query.shop_id, buyer_id=query.buyer_id):
        return not_found()
    wanted = taken(
        TicketFilter,
        query,
        shop_id=request.own_shop or query.shop_id,
        buyer_id=request.own_buyer or query.buyer_id,
        after=place_in(TICKETS, query.cursor, query.sort, query.order),
        limit=query.limit + 1,
    )
    found = await request.service.queries.tickets(wanted)
    rows, following = sorted_page(TICKETS, found.tickets, query.limit, query.sort, query.order, place_of)
    return answer(
        TicketPage(
            tickets=tuple(shown(TicketRow, ticket) for ticket in rows),
            next=following,
            as_of=found.as_of(request.service.clock()),
            lag_ms=found.lag_ms,
        )
    )


@get(
    "/v1/after-sales/{ticket_id:str}",
    tags=TICKET_TAG,
    summary="Read a ticket",
    opt=operation({200: TicketView}, Permission.TICKETS_READ),
)
async def get_ticket(request: RequestContext, ticket_id: FromPath[str]) -> Reply:
    """Return a ticket with its lines, refunds and timeline."""
    found = await find_ticket(request, ticket_id)
    if found is None:
        return not_found()
    snapshot, ticket = found
    return ticket_answer(request, snapshot, ticket.ticket_id)


# Reviewing -------------------------------------------------------------------------------------------------------


@post(
    "/v1/after-sales/{ticket_id:str}/approve",
    tags=TICKET_TAG,
    summary="Approve a ticket",
    description="The money is queued in the same transaction. A platform key approves as `operator`, or as "
    "`merchant` where it says `acting_for` and `person`.",
    opt=operation(
        {200: TicketView},
        Permission.TICKETS_WRITE,
        body=ApprovalSent,
        body_optional=True,
        idempotent=True,
        problems=(VERSION_REQUIRED,),
        refusals=(*STATE_REFUSALS, RefusalCode.TICKET_ASSIGNED, *APPROVAL_REFUSALS),
        needed_headers=("If-Match",),
    ),
)
async def approve_ticket(request: RequestContext, ticket_id: FromPath[str]) -> Reply:
    """Approve as the merchant, or as the platform for the merchant."""
    sent = await read_body(request, ApprovalSent)
    version, by = required_version(request), request.actor_for(sent.acting_for, sent.person)
    return await on_ticket(request, ticket_id, sent, partial(approve, request.service.store), version=version, by=by)


@post(
    "/v1/after-sales/{ticket_id:str}/reject",
    tags=TICKET_TAG,
    summary="Reject a ticket",
    description="With a reason, and evidence of it. With a shipment as evidence, the rejection and the shipment are "
    "recorded in one step. A `template` of the shop brings code and words.",
    opt=operation(
        {200: TicketView},
        Permission.TICKETS_WRITE,
        body=RejectionSent,
        idempotent=True,
        problems=(VERSION_REQUIRED,),
        refusals=(*STATE_REFUSALS, *REJECTION_REFUSALS),
        needed_headers=("If-Match",),
    ),
)
async def reject_ticket(request: RequestContext, ticket_id: FromPath[str]) -> Reply:
    """Reject as the merchant, with a shipment as evidence or with other evidence."""
    sent = await read_body(request, RejectionSent)
    version, by = required_version(request), request.actor_for(sent.acting_for, sent.person)
    rejection = await rejection_of(request, sent, ticket_id)

    def command(ref: TicketRef, acting: Acting) -> Awaitable[Done]:
        return reject(request.service.store, ref, rejection, acting)

    return await on_ticket(request, ticket_id, sent, command, version=version, by=by)


@post(
    "/v1/after-sales/{ticket_id:str}/withdraw",
    tags=TICKET_TAG,
    summary="Withdraw a ticket",
    description="If-Match is optional here.",
    opt=operation(
        {200: TicketView},
        Permission.REFUND_REQUESTS_WRITE,
        idempotent=True,
        refusals=STATE_REFUSALS,
        headers=("If-Match",),
    ),
)
async def withdraw_ticket(request: RequestContext, ticket_id: FromPath[str]) -> Reply:
    """Withdraw the request as the buyer."""
    command = partial(withdraw, request.service.store)
    return await on_ticket(request, ticket_id, NOTHING, command, version=sent_version(request), by=request.actor)


HANDLERS = (list_tickets, get_ticket, approve_ticket, reject_ticket, withdraw_ticket)

EXAMPLES = (
    ApprovalSent(acting_for="merchant", person="wang.fang"),
    TicketPage(
        tickets=(shown(TicketRow, TICKET_EXAMPLE, amount=sample.FULL),), next=None, as_of=sample.REFUNDED_AT, lag_ms=400
    ),
)
