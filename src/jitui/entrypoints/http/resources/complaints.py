"""Complaints of merchants about the coverage of their shops, and the platform's answers."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Annotated
from uuid import UUID

from litestar.params import FromPath
from msgspec import Meta

from jitui.aftersales.governance.complaint import (
    Complaint,
    ComplaintAnswer,
    ComplaintFilter,
    ComplaintState,
    ContestOutcome,
)
from jitui.aftersales.outcomes import Refusal, RefusalCode
from jitui.entrypoints.http.cursors import TimePlace, page_of, read_cursor
from jitui.entrypoints.http.fields import Cursor, Id, PageLimit, Words, may_name, read_uuid
from jitui.entrypoints.http.mapping import shown
from jitui.entrypoints.http.operation import PLATFORM, get, operation, post
from jitui.entrypoints.http.problems import not_found
from jitui.entrypoints.http.read_body import read_body
from jitui.entrypoints.http.read_query import read_query
from jitui.entrypoints.http.reply import Reply, answer
from jitui.entrypoints.http.request import RequestContext
from jitui.entrypoints.http.resources import sample
from jitui.entrypoints.http.resources.shared import Sent, Shown, id_of_address
from jitui.identity.access import Permission
from jitui.ids import lane_of, new_id


class ComplaintSent(Sent, frozen=True, kw_only=True):
    """What a merchant says about the coverage of its shop."""

    reason: Annotated[Words, Meta(max_length=2000, description="Why the coverage should be another.")]


class ComplaintAnswerSent(Sent, frozen=True, kw_only=True):
    """What the platform answers; the merchant reads the words."""

    outcome: ContestOutcome
    answer: Annotated[Words, Meta(max_length=2000, description="The answer in words.")]


class ShopComplaintQuery(Sent, frozen=True, kw_only=True):
    """A page of a shop's complaints, the earliest deadline first."""

    state: ComplaintState | None = None
    cursor: Cursor | None = None
    limit: PageLimit = 50


class ComplaintQuery(Sent, frozen=True, kw_only=True):
    """A page of complaints, the earliest deadline first."""

    shop_id: Id | None = None
    state: ComplaintState | None = None
    cursor: Cursor | None = None
    limit: PageLimit = 50


class ComplaintView(Shown, frozen=True, kw_only=True):
    """A complaint and its answer; who wrote them only for the platform."""

    complaint_id: UUID
    shop_id: str
    reason: str
    state: ComplaintState
    made_at: datetime
    made_by: str
    answer_by: datetime
    outcome: ContestOutcome | None
    answer: str | None
    answered_at: datetime | None
    answered_by: str | None
    incident_id: UUID | None = None


class ComplaintPage(Shown, frozen=True, kw_only=True):
    """A page of complaints, the earliest deadline first; `next` is null on the last one."""

    complaints: tuple[ComplaintView, ...]
    next: str | None


_TAG = ["Shops and coverage"]


@post(
    "/v1/shops/{shop_id:str}/complaints",
    tags=_TAG,
    summary="Complain about a shop's coverage",
    description="One is open at a time; the platform answers by `answer_by`. Idempotent by nature: the same words "
    "again give the complaint that is open, other words are refused until it is answered.",
    opt=operation(
        {200: ComplaintView}, Permission.COMPLAINTS_WRITE, body=ComplaintSent, refusals=(RefusalCode.COMPLAINT_OPEN,)
    ),
)
async def make_complaint(request: RequestContext, shop_id: FromPath[str]) -> Reply:
    """Open a complaint, which the platform answers by a deadline."""
    sent = await read_body(request, ComplaintSent)
    if not request.may_see(shop_id=shop_id):
        return not_found()
    service = request.service
    shop_id, now = id_of_address("shop_id", shop_id), service.clock()
    answer_by = now + service.settings.complaints_answer_within
    complaint = Complaint(new_id(lane_of(shop_id)), shop_id, sent.reason, request.actor.id, now, answer_by)
    return _reply(request, await service.complaints.make(complaint))


@get(
    "/v1/shops/{shop_id:str}/complaints",
    tags=_TAG,
    summary="List a shop's complaints",
    description="With the answers, the earliest deadline first.",
    opt=operation({200: ComplaintPage}, Permission.COMPLAINTS_READ, query=ShopComplaintQuery),
)
async def list_shop_complaints(request: RequestContext, shop_id: FromPath[str]) -> Reply:
    """Return the complaints of a shop."""
    query = read_query(request, ShopComplaintQuery)
    if not request.may_see(shop_id=shop_id) or not may_name(shop_id):
        return not_found()
    return await _page(request, query, shop_id)


@get(
    "/v1/complaints",
    tags=_TAG,
    summary="List complaints",
    description="The earliest deadline first. A shop key lists its own.",
    opt=operation({200: ComplaintPage}, Permission.COMPLAINTS_READ, query=ComplaintQuery),
)
async def list_complaints(request: RequestContext) -> Reply:
    """Return the complaints, the earliest deadline first."""
    query = read_query(request, ComplaintQuery)
    if not request.may_filter(shop_id=query.shop_id, buyer_id=None):
        return not_found()
    return await _page(request, query, request.own_shop or query.shop_id)


@post(
    "/v1/complaints/{complaint_id:str}/answer",
    tags=_TAG,
    summary="Answer a complaint",
    description="The merchant reads the words. The answer changes no coverage. Idempotent by nature: the same answer "
    "again changes nothing, another one is refused.",
    opt=operation(
        {200: ComplaintView},
        Permission.COMPLAINTS_ANSWER,
        body=ComplaintAnswerSent,
        refusals=(RefusalCode.COMPLAINT_ANSWERED, RefusalCode.INCIDENT_CONTESTED),
    ),
)
async def answer_complaint(request: RequestContext, complaint_id: FromPath[str]) -> Reply:
    """Answer a complaint in words."""
    sent = await read_body(request, ComplaintAnswerSent)
    known_id = read_uuid(complaint_id)
    if known_id is None:
        return not_found()
    service = request.service
    said = ComplaintAnswer(sent.outcome, sent.answer, request.actor.id, service.clock())
    answered = await service.complaints.answer(known_id, said)
    return not_found() if answered is None else _reply(request, answered)


async def _page(request: RequestContext, query: ComplaintQuery | ShopComplaintQuery, shop_id: str | None) -> Reply:
    place = read_cursor(query.cursor, TimePlace)
    after = (place.at, place.id) if place is not None else None
    wanted = ComplaintFilter(shop_id, query.state, after, query.limit + 1)
    found = await request.service.complaints.list(wanted)
    rows, following = page_of(found, query.limit, lambda row: (row.answer_by, row.complaint_id))
    return answer(ComplaintPage(complaints=tuple(_view(request, row) for row in rows), next=following))


def _reply(request: RequestContext, done: Complaint | Refusal) -> Reply:
    return done if isinstance(done, Refusal) else answer(_view(request, done))


def _view(request: RequestContext, complaint: Complaint) -> ComplaintView:
    read = complaint if request.key_scope is PLATFORM else replace(complaint, made_by="", answered_by=None)
    return shown(ComplaintView, read)


HANDLERS = (make_complaint, list_shop_complaints, list_complaints, answer_complaint)

_REASON = "The carrier's strike in May is counted as our lateness."
_OPEN = ComplaintView(
    complaint_id=sample.COMPLAINT_ID,
    shop_id="s-1",
    reason=_REASON,
    state=ComplaintState.OPEN,
    made_at=sample.ASKED_AT,
    made_by="shop desk",
    answer_by=sample.ASKED_AT + timedelta(days=15),
    outcome=None,
    answer=None,
    answered_at=None,
    answered_by=None,
)
EXAMPLES = (
    ComplaintSent(reason=_REASON),
    ComplaintAnswerSent(outcome=ContestOutcome.UPHELD, answer="The strike is left out from now on."),
    _OPEN,
    ComplaintPage(complaints=(_OPEN,), next=None),
)
