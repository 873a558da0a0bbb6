"""Tickets: read, list, and review by the merchant or the platform."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from datetime import datetime
from typing import Annotated
from uuid import UUID

from litestar.params import FromPath
from msgspec import Meta, field

from jitui.aftersales.commands.execute import Executed, IdempotentReply
from jitui.aftersales.commands.review import Rejection, approve, reject, withdraw
from jitui.aftersales.commands.ship import ShipmentUpdate
from jitui.aftersales.model.order import ShipmentSource, ShipmentStatus
from jitui.aftersales.model.ticket import ApprovedBy, Reason, TicketState
from jitui.aftersales.model.view import Amount, TicketView
from jitui.aftersales.outcomes import Refusal, RefusalCode, StoredResponse
from jitui.aftersales.ports import TicketFilter, TicketRef
from jitui.aftersales.ticket_list import Place, SortOrder, TicketSort
from jitui.entrypoints.http.fields import Code, Cursor, Id, PageLimit, Time, Why
from jitui.entrypoints.http.mapping import shown, taken
from jitui.entrypoints.http.operation import NOTHING, get, operation, post
from jitui.entrypoints.http.problems import VERSION_REQUIRED, FaultCollector, Problem, not_found, refuse
from jitui.entrypoints.http.read_body import read_body
from jitui.entrypoints.http.read_headers import read_version
from jitui.entrypoints.http.read_query import read_query
from jitui.entrypoints.http.reply import Reply, answer, respond
from jitui.entrypoints.http.request import RequestContext
from jitui.entrypoints.http.resources import sample
from jitui.entrypoints.http.resources.shared import MOST_LINES, ActingSent, Sent, Shown, UnitsSent, units
from jitui.entrypoints.http.resources.shipments import Carrier, check_shipment
from jitui.entrypoints.http.resources.ticket_view import (
    TICKET_EXAMPLE,
    find_ticket,
    headers_of_ticket,
    ticket_answer,
    ticket_ref,
)
from jitui.entrypoints.ticket_cursor import place_in, ticket_cursor
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


class EvidenceSent(Sent, frozen=True, kw_only=True):
    """The parcel that left; it is recorded together with the rejection."""

    tracking_no: Code
    happened_at: Time
    carrier: Carrier = None
    lines: Annotated[list[UnitsSent], Meta(max_length=MOST_LINES)] = field(default_factory=list)


class RejectionSent(ActingSent, frozen=True, kw_only=True):
    """Why the merchant rejects; with a shipment as evidence its units are released and shipped."""

    reason: Why
    shipment: EvidenceSent | None = None


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

_TAG = ["After-sales"]


@get(
    "/v1/after-sales",
    tags=_TAG,
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
        after=_begins(query),
        limit=query.limit + 1,
    )
    found = await request.service.queries.tickets(wanted)
    rows = found.tickets[: query.limit]
    return answer(
        TicketPage(
            tickets=tuple(shown(TicketRow, ticket) for ticket in rows),
            next=ticket_cursor(rows[-1], wanted) if len(found.tickets) > len(rows) else None,
            as_of=found.as_of(request.service.clock()),
            lag_ms=found.lag_ms,
        )
    )


def _begins(query: TicketQuery) -> Place | None:
    if query.cursor is None:
        return None
    try:
        return place_in(query.cursor, query.sort, query.order)
    except ValueError:
        raise refuse("cursor", "This is not a cursor of this list in this order.") from None


@get(
    "/v1/after-sales/{ticket_id:str}",
    tags=_TAG,
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

_STATE_REFUSALS = (
    RefusalCode.TICKET_STALE,
    RefusalCode.TICKET_ALREADY_APPROVED,
    RefusalCode.TICKET_ALREADY_CLOSED,
)


@post(
    "/v1/after-sales/{ticket_id:str}/approve",
    tags=_TAG,
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
        refusals=(
            *_STATE_REFUSALS,
            RefusalCode.ORDER_ALREADY_SHIPPED,
            RefusalCode.AMOUNT_EXCEEDS_REFUNDABLE,
            RefusalCode.DISPUTE_OPEN,
            RefusalCode.NOTHING_TO_REFUND,
        ),
        needed_headers=("If-Match",),
    ),
)
async def approve_ticket(request: RequestContext, ticket_id: FromPath[str]) -> Reply:
    """Approve as the merchant, or as the platform for the merchant."""
    sent = await read_body(request, ApprovalSent)
    version = _version(request)
    if isinstance(version, Problem):
        return version
    by, service = request.actor_for(sent.acting_for, sent.person), request.service

    def command(ref: TicketRef, reply: IdempotentReply | None) -> _Done:
        return approve(
            service.store,
            ref,
            version=version,
            by=by,
            now=service.clock(),
            shop_id=request.own_shop,
            reply=reply,
        )

    return await _on_ticket(request, ticket_id, sent, version, command)


@post(
    "/v1/after-sales/{ticket_id:str}/reject",
    tags=_TAG,
    summary="Reject a ticket",
    description="With a shipment as evidence, the rejection and the shipment are recorded in one step.",
    opt=operation(
        {200: TicketView},
        Permission.TICKETS_WRITE,
        body=RejectionSent,
        idempotent=True,
        problems=(VERSION_REQUIRED,),
        refusals=(
            *_STATE_REFUSALS,
            RefusalCode.ORDER_ALREADY_SHIPPED,
            RefusalCode.ORDER_NOT_PAID,
            RefusalCode.ORDER_HELD,
            RefusalCode.REFUND_IN_PROGRESS,
            RefusalCode.UNITS_REFUNDED,
            RefusalCode.UNITS_NOT_AVAILABLE,
            RefusalCode.UNKNOWN_LINE,
        ),
        needed_headers=("If-Match",),
    ),
)
async def reject_ticket(request: RequestContext, ticket_id: FromPath[str]) -> Reply:
    """Reject as the merchant, with a shipment as evidence or without."""
    sent = await read_body(request, RejectionSent)
    version = _version(request)
    if isinstance(version, Problem):
        return version
    rejection = _rejection(sent)
    by, service = request.actor_for(sent.acting_for, sent.person), request.service

    def command(ref: TicketRef, reply: IdempotentReply | None) -> _Done:
        return reject(
            service.store,
            ref,
            rejection,
            version=version,
            by=by,
            now=service.clock(),
            shop_id=request.own_shop,
            reply=reply,
        )

    return await _on_ticket(request, ticket_id, sent, version, command)


@post(
    "/v1/after-sales/{ticket_id:str}/withdraw",
    tags=_TAG,
    summary="Withdraw a ticket",
    description="If-Match is optional here.",
    opt=operation(
        {200: TicketView},
        Permission.REFUND_REQUESTS_WRITE,
        idempotent=True,
        refusals=_STATE_REFUSALS,
        headers=("If-Match",),
    ),
)
async def withdraw_ticket(request: RequestContext, ticket_id: FromPath[str]) -> Reply:
    """Withdraw the request as the buyer."""
    version = read_version(request.sent_headers.get(b"if-match"))
    service = request.service

    def command(ref: TicketRef, reply: IdempotentReply | None) -> _Done:
        return withdraw(
            service.store,
            ref,
            version=version,
            by=request.actor,
            now=service.clock(),
            buyer_id=request.own_buyer,
            reply=reply,
        )

    return await _on_ticket(request, ticket_id, NOTHING, version, command)


def _version(request: RequestContext) -> int | Problem:
    version = read_version(request.sent_headers.get(b"if-match"))
    if version is None:
        return Problem(VERSION_REQUIRED, 'Send the version of the ticket as If-Match: "…"; its ETag has it.')
    return version


def _rejection(sent: RejectionSent) -> Rejection:
    parcel = sent.shipment
    if parcel is None:
        return Rejection(sent.reason)
    check_shipment(parcel.lines, parcel.happened_at, "shipment.")
    update = taken(
        ShipmentUpdate,
        parcel,
        degree=ShipmentStatus.SHIPPED,
        carrier=parcel.carrier or "",
        source=ShipmentSource.MERCHANT,
        lines=units(parcel.lines),
    )
    return Rejection(sent.reason, update)


_Done = Awaitable[Executed | Refusal | StoredResponse]


async def _on_ticket(
    request: RequestContext,
    ticket_id: str,
    sent: object,
    version: int | None,
    command: Callable[[TicketRef, IdempotentReply | None], _Done],
) -> Reply:
    ref = ticket_ref(ticket_id)
    if ref is None:
        return not_found()
    return await respond(
        request,
        sent,
        lambda reply: command(ref, reply),
        lambda done: ticket_answer(request, done.snapshot, ref.ticket_id),
        headers_of_ticket,
        (str(version),),
    )


HANDLERS = (list_tickets, get_ticket, approve_ticket, reject_ticket, withdraw_ticket)

EXAMPLES = (
    ApprovalSent(acting_for="merchant", person="wang.fang"),
    RejectionSent(
        reason="The parcel is on its way.",
        shipment=EvidenceSent(tracking_no="SF1000000001", carrier="sf", happened_at=sample.ASKED_AT),
    ),
    TicketPage(
        tickets=(shown(TicketRow, TICKET_EXAMPLE, amount=sample.FULL),), next=None, as_of=sample.REFUNDED_AT, lag_ms=400
    ),
)
