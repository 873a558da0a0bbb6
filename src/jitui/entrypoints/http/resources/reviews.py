"""The review of a ticket: who works on it, what the shop offers, and many tickets at once."""

from __future__ import annotations

from collections.abc import Awaitable
from dataclasses import replace
from datetime import timedelta
from functools import partial
from typing import Annotated, Literal
from uuid import UUID

import msgspec
from litestar.params import FromPath
from msgspec import UNSET, Meta, UnsetType

from jitui.aftersales.commands.assignment import ASSIGNED_FOR, assign, release
from jitui.aftersales.commands.execute import Executed, IdempotentReply
from jitui.aftersales.commands.offer import accept_offer, decline_offer, offer
from jitui.aftersales.commands.on_ticket import Acting, Done
from jitui.aftersales.commands.review import approve, reject
from jitui.aftersales.model.ticket import Actor, TicketState
from jitui.aftersales.model.view import TicketView
from jitui.aftersales.outcomes import Refusal, RefusalCode, StoredResponse
from jitui.aftersales.ports import TicketRef
from jitui.entrypoints.http.fields import Why
from jitui.entrypoints.http.operation import NOTHING, operation, post
from jitui.entrypoints.http.problems import VERSION_REQUIRED, FaultCollector
from jitui.entrypoints.http.read_body import read_body
from jitui.entrypoints.http.reply import Reply, answer, encode
from jitui.entrypoints.http.request import RequestContext
from jitui.entrypoints.http.resources import sample
from jitui.entrypoints.http.resources.rejections import RejectionSent, rejection_of
from jitui.entrypoints.http.resources.shared import MOST_LINES, ActingSent, Sent, Shown, UnitsSent, said, units
from jitui.entrypoints.http.resources.ticket_commands import (
    APPROVAL_REFUSALS,
    STATE_REFUSALS,
    Command,
    on_ticket,
    required_version,
    sent_version,
)
from jitui.entrypoints.http.resources.ticket_view import TICKET_TAG
from jitui.identity.access import Permission
from jitui.ids import lane_of_id

MOST_TICKETS = 100
LONGEST_ASSIGNMENT_MINUTES = 24 * 60
_ASSIGNED_MINUTES = int(ASSIGNED_FOR.total_seconds()) // 60

# Assignment ------------------------------------------------------------------------------------------------------


class AssignmentSent(ActingSent, frozen=True, kw_only=True):
    """Work on a ticket, for so many minutes; `take_over`: also when somebody else does."""

    minutes: Annotated[int, Meta(ge=1, le=LONGEST_ASSIGNMENT_MINUTES)] = _ASSIGNED_MINUTES
    take_over: bool = False


class ReleaseSent(ActingSent, frozen=True, kw_only=True):
    """For whom the ticket is released; the body may be left out."""


@post(
    "/v1/after-sales/{ticket_id:str}/assign",
    tags=TICKET_TAG,
    summary="Work on a ticket",
    description="Until the assignment ends nobody else decides the ticket, unless they take it over. If-Match is "
    "optional here.",
    opt=operation(
        {200: TicketView},
        Permission.TICKETS_WRITE,
        body=AssignmentSent,
        body_optional=True,
        idempotent=True,
        refusals=(*STATE_REFUSALS, RefusalCode.TICKET_ASSIGNED),
        headers=("If-Match",),
    ),
)
async def assign_ticket(request: RequestContext, ticket_id: FromPath[str]) -> Reply:
    """Assign the ticket to whoever asks."""
    sent = await read_body(request, AssignmentSent)
    by, lasts = request.actor_for(sent.acting_for, sent.person), timedelta(minutes=sent.minutes)
    command = partial(assign, request.service.store, take_over=sent.take_over, lasts=lasts)
    return await on_ticket(request, ticket_id, sent, command, version=sent_version(request), by=by)


@post(
    "/v1/after-sales/{ticket_id:str}/release",
    tags=TICKET_TAG,
    summary="Stop to work on a ticket",
    description="If-Match is optional here.",
    opt=operation(
        {200: TicketView},
        Permission.TICKETS_WRITE,
        body=ReleaseSent,
        body_optional=True,
        idempotent=True,
        refusals=(*STATE_REFUSALS, RefusalCode.TICKET_ASSIGNED),
        headers=("If-Match",),
    ),
)
async def release_ticket(request: RequestContext, ticket_id: FromPath[str]) -> Reply:
    """End the assignment."""
    sent = await read_body(request, ReleaseSent)
    by, command = request.actor_for(sent.acting_for, sent.person), partial(release, request.service.store)
    return await on_ticket(request, ticket_id, sent, command, version=sent_version(request), by=by)


# Offers ----------------------------------------------------------------------------------------------------------


class OfferSent(ActingSent, frozen=True, kw_only=True):
    """The units of the request that the shop would refund, and why not all of them."""

    lines: Annotated[list[UnitsSent], Meta(min_length=1, max_length=MOST_LINES)]
    reason: Why


@post(
    "/v1/after-sales/{ticket_id:str}/offer",
    tags=TICKET_TAG,
    summary="Offer to refund a part",
    description="With the buyer's consent the offered units are refunded and the others are free to be shipped. What "
    "they are worth follows from the order. The deadline stays; a later offer replaces this one.",
    opt=operation(
        {200: TicketView},
        Permission.TICKETS_WRITE,
        body=OfferSent,
        idempotent=True,
        problems=(VERSION_REQUIRED,),
        refusals=(
            *STATE_REFUSALS,
            RefusalCode.TICKET_ASSIGNED,
            RefusalCode.UNKNOWN_LINE,
            RefusalCode.UNITS_NOT_AVAILABLE,
        ),
        needed_headers=("If-Match",),
    ),
)
async def offer_part(request: RequestContext, ticket_id: FromPath[str]) -> Reply:
    """Offer to refund some of the units."""
    sent = await read_body(request, OfferSent)
    version, by = required_version(request), request.actor_for(sent.acting_for, sent.person)

    def command(ref: TicketRef, acting: Acting) -> Awaitable[Done]:
        return offer(request.service.store, ref, units(sent.lines), sent.reason, acting)

    return await on_ticket(request, ticket_id, sent, command, version=version, by=by)


@post(
    "/v1/after-sales/{ticket_id:str}/offer/accept",
    tags=TICKET_TAG,
    summary="Accept the shop's offer",
    description="As the buyer, or by the platform for the buyer: the offered units are refunded, as approved by the "
    "merchant.",
    opt=operation(
        {200: TicketView},
        Permission.REFUND_REQUESTS_WRITE,
        idempotent=True,
        problems=(VERSION_REQUIRED,),
        refusals=(*STATE_REFUSALS, RefusalCode.OFFER_NOT_OPEN, *APPROVAL_REFUSALS),
        needed_headers=("If-Match",),
    ),
)
async def accept_part(request: RequestContext, ticket_id: FromPath[str]) -> Reply:
    """Accept the offer that was read."""
    version, command = required_version(request), partial(accept_offer, request.service.store)
    return await on_ticket(request, ticket_id, NOTHING, command, version=version, by=request.actor)


@post(
    "/v1/after-sales/{ticket_id:str}/offer/decline",
    tags=TICKET_TAG,
    summary="Decline the shop's offer",
    description="The request stays in review, whole.",
    opt=operation(
        {200: TicketView},
        Permission.REFUND_REQUESTS_WRITE,
        idempotent=True,
        problems=(VERSION_REQUIRED,),
        refusals=(*STATE_REFUSALS, RefusalCode.OFFER_NOT_OPEN),
        needed_headers=("If-Match",),
    ),
)
async def decline_part(request: RequestContext, ticket_id: FromPath[str]) -> Reply:
    """Decline the offer that was read."""
    version, command = required_version(request), partial(decline_offer, request.service.store)
    return await on_ticket(request, ticket_id, NOTHING, command, version=version, by=request.actor)


# Many at once ----------------------------------------------------------------------------------------------------


class TicketRead(Sent, frozen=True, kw_only=True):
    """A ticket, and the version of it that was read."""

    ticket_id: UUID
    version: Annotated[int, Meta(ge=1)]


class BulkSent(ActingSent, frozen=True, kw_only=True):
    """One decision for many tickets, each with the version that was read."""

    action: Literal["approve", "reject", "assign"]
    tickets: Annotated[list[TicketRead], Meta(min_length=1, max_length=MOST_TICKETS)]
    rejection: Annotated[
        RejectionSent | UnsetType, Meta(description="Why they are rejected, without a shipment; only to reject.")
    ] = UNSET
    take_over: bool = False


class BulkRow(Shown, frozen=True, kw_only=True):
    """What became of one ticket: its new state and version, or the code and the words of what stood against it."""

    ticket_id: UUID
    done: bool
    state: TicketState | None = None
    version: int | None = None
    code: str | None = None
    detail: str | None = None


class BulkAnswer(Shown, frozen=True, kw_only=True):
    """What became of each ticket, in the order in which they were sent."""

    done: int
    refused: int
    tickets: tuple[BulkRow, ...]


@post(
    "/v1/after-sales/bulk",
    tags=TICKET_TAG,
    summary="Decide many tickets",
    description="Each ticket is a transaction of its own: those that have changed meanwhile are named with what stood "
    "against them, the others are done. Repeated with the same Idempotency-Key, what was done is not done again, and "
    "what was refused is tried again.",
    opt=operation({200: BulkAnswer}, Permission.TICKETS_WRITE, body=BulkSent, idempotent=True),
)
async def decide_tickets(request: RequestContext) -> Reply:
    """Approve, reject or take on many tickets."""
    sent = await read_body(request, BulkSent)
    _check_bulk(sent)
    by = request.actor_for(sent.acting_for, sent.person)
    rows = [await _decide_one(request, sent, row, by) for row in sent.tickets]
    done = sum(row.done for row in rows)
    return answer(BulkAnswer(done=done, refused=len(rows) - done, tickets=tuple(rows)))


def _check_bulk(sent: BulkSent) -> None:
    faults = FaultCollector()
    faults.unique("tickets", "ticket_id", (str(row.ticket_id) for row in sent.tickets))
    rejection = said(sent.rejection, None)
    if (sent.action == "reject") != (rejection is not None):
        faults.add("rejection", "Expected with the action `reject`, and with no other")
    elif rejection is not None and rejection.shipment is not None:
        faults.add("rejection.shipment", "A parcel belongs to one order: reject these tickets one by one")
    faults.settle()


async def _decide_one(request: RequestContext, sent: BulkSent, row: TicketRead, by: Actor) -> BulkRow:
    ref = TicketRef(lane_of_id(row.ticket_id), row.ticket_id)
    key = request.idempotency_key_for(sent, str(row.ticket_id))

    def keep(done: Executed) -> StoredResponse:
        return StoredResponse(200, encode(_row_done(row, done)), request.service.clock())

    # Two tickets of one buyer are two keys.
    named = None if key is None else IdempotentReply(replace(key, key=f"{key.key} {row.ticket_id}"), keep)
    acting = Acting(by, request.service.clock(), row.version, request.own_shop, reply=named)
    command = await _command(request, sent, str(row.ticket_id))
    done = await command(ref, acting)
    if isinstance(done, StoredResponse):
        return msgspec.json.decode(done.body, type=BulkRow)
    if isinstance(done, Refusal):
        return BulkRow(ticket_id=row.ticket_id, done=False, code=done.code.value, detail=done.message)
    return _row_done(row, done)


async def _command(request: RequestContext, sent: BulkSent, ticket_id: str) -> Command:
    store = request.service.store
    if sent.action == "approve":
        return partial(approve, store)
    if sent.action == "assign":
        return partial(assign, store, take_over=sent.take_over)
    assert not isinstance(sent.rejection, UnsetType)
    rejection = await rejection_of(request, sent.rejection, ticket_id)

    def rejecting(ref: TicketRef, acting: Acting) -> Awaitable[Done]:
        return reject(store, ref, rejection, acting)

    return rejecting


def _row_done(row: TicketRead, done: Executed) -> BulkRow:
    ticket = done.snapshot.ticket(row.ticket_id)
    return BulkRow(ticket_id=row.ticket_id, done=True, state=ticket.state, version=ticket.version)


HANDLERS = (assign_ticket, release_ticket, offer_part, accept_part, decline_part, decide_tickets)

EXAMPLES = (
    AssignmentSent(acting_for="merchant", person="wang.fang"),
    ReleaseSent(acting_for="merchant", person="wang.fang"),
    OfferSent(lines=[UnitsSent(line_id="l1", quantity=1)], reason="The other one is made already."),
    BulkSent(action="approve", tickets=[TicketRead(ticket_id=sample.TICKET_ID, version=1)]),
    BulkAnswer(
        done=1,
        refused=0,
        tickets=(BulkRow(ticket_id=sample.TICKET_ID, done=True, state=TicketState.REFUNDING, version=2),),
    ),
)
