"""Arbitration: the buyer asks the platform to decide on a rejected request."""

from __future__ import annotations

from collections.abc import Awaitable
from datetime import datetime
from functools import partial
from typing import Annotated, Literal
from uuid import UUID

from litestar.params import FromPath
from msgspec import Meta, field

from jitui.aftersales.commands.arbitration import (
    ArbitrationDecision,
    add_evidence,
    decide_arbitration,
    escalate,
    withdraw_arbitration,
)
from jitui.aftersales.commands.on_ticket import Acting, Done
from jitui.aftersales.model.review import MOST_EVIDENCE, AtFault, RefundBorneBy
from jitui.aftersales.model.view import Amount, TicketView
from jitui.aftersales.outcomes import RefusalCode
from jitui.aftersales.ports import TicketRef
from jitui.aftersales.queries import ArbitrationFilter
from jitui.entrypoints.http.cursors import TimePlace, page_of, read_cursor
from jitui.entrypoints.http.fields import Cursor, Id, PageLimit, Why, Words
from jitui.entrypoints.http.mapping import shown
from jitui.entrypoints.http.operation import NOTHING, get, operation, post
from jitui.entrypoints.http.problems import VERSION_REQUIRED, not_found, refuse
from jitui.entrypoints.http.read_body import read_body
from jitui.entrypoints.http.read_query import read_query
from jitui.entrypoints.http.reply import Reply, answer
from jitui.entrypoints.http.request import RequestContext
from jitui.entrypoints.http.resources import sample
from jitui.entrypoints.http.resources.rejections import EvidencePieces
from jitui.entrypoints.http.resources.shared import ActingSent, Sent, Shown
from jitui.entrypoints.http.resources.ticket_commands import (
    APPROVAL_REFUSALS,
    EvidenceSent,
    evidence_of,
    on_ticket,
    required_version,
    sent_version,
)
from jitui.entrypoints.http.resources.ticket_view import TICKET_TAG
from jitui.identity.access import Permission

LongReason = Annotated[Words, Meta(max_length=2_000)]


class ArbitrationSent(Sent, frozen=True, kw_only=True):
    """Why the buyer asks the platform, and what shows it."""

    reason: LongReason
    evidence: EvidencePieces = field(default_factory=list)


class MoreEvidenceSent(ActingSent, frozen=True, kw_only=True):
    """Further evidence of one party."""

    evidence: Annotated[list[EvidenceSent], Meta(min_length=1, max_length=MOST_EVIDENCE)]


class ArbitrationDecisionSent(Sent, frozen=True, kw_only=True):
    """The platform's decision; `borne_by` is needed with `approve`, and only with it."""

    verdict: Literal["approve", "deny"]
    at_fault: AtFault
    borne_by: Annotated[
        RefundBorneBy | None, Meta(description="Who bears the refund; `platform`: it owes the shop the amount.")
    ] = None
    reason: Annotated[Why, Meta(description="In words that both parties read.")]


class ArbitrationQuery(Sent, frozen=True, kw_only=True):
    """A page of open arbitrations, those first whose answer is due first."""

    shop_id: Id | None = None
    cursor: Cursor | None = None
    limit: PageLimit = 50


class ArbitrationRow(Shown, frozen=True, kw_only=True):
    """An open arbitration in a list."""

    ticket_id: UUID
    order_id: str
    shop_id: str
    version: int
    amount: Amount
    reason: str
    opened_at: datetime
    answer_by: datetime


class ArbitrationPage(Shown, frozen=True, kw_only=True):
    """A page of open arbitrations; `next` is null on the last one."""

    arbitrations: tuple[ArbitrationRow, ...]
    next: str | None


@get(
    "/v1/arbitrations",
    tags=TICKET_TAG,
    summary="List open arbitrations",
    description="Those first whose answer is due first. A shop or buyer key lists its own.",
    opt=operation({200: ArbitrationPage}, Permission.TICKETS_READ, query=ArbitrationQuery),
)
async def list_arbitrations(request: RequestContext) -> Reply:
    """Return open arbitrations."""
    query = read_query(request, ArbitrationQuery)
    if not request.may_filter(shop_id=query.shop_id, buyer_id=None):
        return not_found()
    place = read_cursor(query.cursor, TimePlace)
    after = (place.at, place.id) if place is not None else None
    wanted = ArbitrationFilter(request.own_shop or query.shop_id, request.own_buyer, after, query.limit + 1)
    found = await request.service.queries.arbitrations(wanted)
    rows, following = page_of(found, query.limit, lambda row: (row.answer_by, row.ticket_id))
    shown_rows = tuple(shown(ArbitrationRow, row, amount=Amount(row.amount_minor, row.currency)) for row in rows)
    return answer(ArbitrationPage(arbitrations=shown_rows, next=following))


@post(
    "/v1/after-sales/{ticket_id:str}/arbitration",
    tags=TICKET_TAG,
    summary="Ask for arbitration",
    description="By the buyer, or by the platform for the buyer, within seven days after the rejection. The answer is "
    "due by `answer_by`. If-Match is optional here.",
    opt=operation(
        {200: TicketView},
        Permission.REFUND_REQUESTS_WRITE,
        body=ArbitrationSent,
        idempotent=True,
        refusals=(
            RefusalCode.TICKET_STALE,
            RefusalCode.TICKET_NOT_REJECTED,
            RefusalCode.ARBITRATION_TOO_LATE,
            RefusalCode.ARBITRATION_OPEN,
            RefusalCode.ARBITRATION_DECIDED,
        ),
        headers=("If-Match",),
    ),
)
async def open_arbitration(request: RequestContext, ticket_id: FromPath[str]) -> Reply:
    """Escalate a rejection to the platform."""
    sent = await read_body(request, ArbitrationSent)
    reason = sent.reason.strip()

    def command(ref: TicketRef, acting: Acting) -> Awaitable[Done]:
        days = request.service.settings.arbitration_answer_days
        return escalate(request.service.store, ref, reason, evidence_of(sent.evidence), acting, answer_days=days)

    return await on_ticket(request, ticket_id, sent, command, version=sent_version(request), by=request.actor)


@post(
    "/v1/after-sales/{ticket_id:str}/arbitration/withdraw",
    tags=TICKET_TAG,
    summary="Withdraw an arbitration",
    description="Within the seven days it can be asked for again. If-Match is optional here.",
    opt=operation(
        {200: TicketView},
        Permission.REFUND_REQUESTS_WRITE,
        idempotent=True,
        refusals=(RefusalCode.TICKET_STALE, RefusalCode.ARBITRATION_NOT_OPEN, RefusalCode.ARBITRATION_DECIDED),
        headers=("If-Match",),
    ),
)
async def withdraw_an_arbitration(request: RequestContext, ticket_id: FromPath[str]) -> Reply:
    """Take it back as the buyer."""
    command = partial(withdraw_arbitration, request.service.store)
    return await on_ticket(request, ticket_id, NOTHING, command, version=sent_version(request), by=request.actor)


@post(
    "/v1/after-sales/{ticket_id:str}/arbitration/evidence",
    tags=TICKET_TAG,
    summary="Add evidence to an arbitration",
    description="By either party. If-Match is optional here.",
    opt=operation(
        {200: TicketView},
        Permission.ARBITRATIONS_WRITE,
        body=MoreEvidenceSent,
        idempotent=True,
        refusals=(
            RefusalCode.TICKET_STALE,
            RefusalCode.ARBITRATION_NOT_OPEN,
            RefusalCode.ARBITRATION_DECIDED,
            RefusalCode.EVIDENCE_MISSING,
        ),
        headers=("If-Match",),
    ),
)
async def add_arbitration_evidence(request: RequestContext, ticket_id: FromPath[str]) -> Reply:
    """Add evidence."""
    sent = await read_body(request, MoreEvidenceSent)
    by = request.actor_for(sent.acting_for, sent.person)

    def command(ref: TicketRef, acting: Acting) -> Awaitable[Done]:
        return add_evidence(request.service.store, ref, evidence_of(sent.evidence), acting)

    return await on_ticket(request, ticket_id, sent, command, version=sent_version(request), by=by)


@post(
    "/v1/after-sales/{ticket_id:str}/arbitration/decide",
    tags=TICKET_TAG,
    summary="Decide an arbitration",
    description="`approve`: the units are taken again and the money is queued in the same transaction; refused when "
    "they have left or are asked for by another ticket. `deny`: the ticket is closed. A decision is not changed, and "
    "whoever rejected the request does not decide.",
    opt=operation(
        {200: TicketView},
        Permission.ARBITRATIONS_DECIDE,
        body=ArbitrationDecisionSent,
        idempotent=True,
        problems=(VERSION_REQUIRED,),
        refusals=(
            RefusalCode.TICKET_STALE,
            RefusalCode.ARBITRATION_NOT_OPEN,
            RefusalCode.ARBITRATION_DECIDED,
            RefusalCode.SECOND_PERSON_NEEDED,
            RefusalCode.REFUND_IN_PROGRESS,
            *APPROVAL_REFUSALS,
        ),
        needed_headers=("If-Match",),
    ),
)
async def decide_an_arbitration(request: RequestContext, ticket_id: FromPath[str]) -> Reply:
    """Approve or deny, with fault and who bears it."""
    sent = await read_body(request, ArbitrationDecisionSent)
    if (sent.verdict == "approve") != (sent.borne_by is not None):
        raise refuse("borne_by", "Expected with the verdict `approve`, and with no other.")
    decision = ArbitrationDecision(sent.at_fault, sent.borne_by, sent.reason.strip())
    version = required_version(request)

    def command(ref: TicketRef, acting: Acting) -> Awaitable[Done]:
        return decide_arbitration(request.service.store, ref, decision, acting)

    return await on_ticket(request, ticket_id, sent, command, version=version, by=request.actor)


HANDLERS = (
    list_arbitrations,
    open_arbitration,
    withdraw_an_arbitration,
    add_arbitration_evidence,
    decide_an_arbitration,
)

EXAMPLES = (
    ArbitrationSent(
        reason="The shop says that it has shipped; the carrier knows no such parcel.",
        evidence=[EvidenceSent(text="The carrier's page.", url="https://carrier.example/SF1000000001")],
    ),
    MoreEvidenceSent(evidence=[EvidenceSent(text="The chat of 1 June.")]),
    ArbitrationDecisionSent(
        verdict="approve", at_fault=AtFault.MERCHANT, borne_by=RefundBorneBy.MERCHANT, reason="Nothing was handed over."
    ),
    ArbitrationPage(
        arbitrations=(
            ArbitrationRow(
                ticket_id=sample.TICKET_ID,
                order_id="o-1001",
                shop_id="s-1",
                version=3,
                amount=sample.FULL,
                reason="The carrier knows no such parcel.",
                opened_at=sample.ASKED_AT,
                answer_by=sample.ASKED_AT,
            ),
        ),
        next=None,
    ),
)
