"""Announcements of changed policies, for everybody to read, and what people said of them."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated
from uuid import UUID

from litestar.params import FromPath
from msgspec import Meta

from jitui.aftersales.governance.announcing import (
    Announcement,
    AnnouncementState,
    AnnounceRefusal,
    Opinion,
    OpinionOf,
)
from jitui.aftersales.governance.policies import with_public_view
from jitui.aftersales.governance.publishing import Blocked
from jitui.aftersales.governance.refusals import refusal_of
from jitui.aftersales.governance.rollout import announce
from jitui.aftersales.outcomes import RefusalCode
from jitui.entrypoints.http.cursors import TimePlace, page_of, read_cursor
from jitui.entrypoints.http.fields import Cursor, Id, PageLimit, Time, Why, Words, read_uuid
from jitui.entrypoints.http.mapping import shown
from jitui.entrypoints.http.operation import get, operation, post
from jitui.entrypoints.http.problems import not_found
from jitui.entrypoints.http.read_body import read_body
from jitui.entrypoints.http.read_query import read_query
from jitui.entrypoints.http.reply import Reply, answer
from jitui.entrypoints.http.request import RequestContext
from jitui.entrypoints.http.resources import sample
from jitui.entrypoints.http.resources.policies import PublicChangeRow, PublicCondition
from jitui.entrypoints.http.resources.policy_texts import TEXT, Version, blocked, find_text
from jitui.entrypoints.http.resources.shared import Sent, Shown
from jitui.identity.access import Permission
from jitui.ids import new_id
from jitui.policy import PublicChangeKind, PublicPolicy, public_changes

LongWords = Annotated[Words, Meta(max_length=4000)]


class AnnouncementSent(Sent, frozen=True, kw_only=True):
    """A text that was pushed, and from when on it decides; null: as soon as its notice period is over."""

    policy_id: Id
    version: Version
    effective_at: Time | None = None


class WithdrawalSent(Sent, frozen=True, kw_only=True):
    """Why an announcement is withdrawn."""

    reason: Why


class OpinionSent(Sent, frozen=True, kw_only=True):
    """What somebody said of an announced text. Everybody reads it, so it names no person."""

    said_by: OpinionOf
    said: LongWords
    reference: Id | None = None


class OpinionAnswerSent(Sent, frozen=True, kw_only=True):
    """What the platform answers; everybody reads it."""

    answer: LongWords


class AnnouncementQuery(Sent, frozen=True, kw_only=True):
    """A page of announcements, newest first."""

    cursor: Cursor | None = None
    limit: PageLimit = 50


class OpinionQuery(Sent, frozen=True, kw_only=True):
    """A page of opinions, newest first."""

    cursor: Cursor | None = None
    limit: PageLimit = 50


class AnnouncementAnswer(Shown, frozen=True, kw_only=True):
    """An announced text: its public conditions, and what they change of the version in force."""

    announcement_id: UUID
    policy_id: str
    version: str
    state: AnnouncementState
    announced_at: datetime
    takes_effect_at: datetime
    conditions: tuple[PublicCondition, ...]
    changes: tuple[PublicChangeRow, ...]
    opinions: int


class AnnouncementPage(Shown, frozen=True, kw_only=True):
    """A page of announcements, newest first; `next` is null on the last page."""

    announcements: tuple[AnnouncementAnswer, ...]
    next: str | None


class OpinionAnswer(Shown, frozen=True, kw_only=True):
    """An opinion as everybody reads it: who recorded or answered it is not said."""

    opinion_id: UUID
    said_by: OpinionOf
    said: str
    recorded_at: datetime
    answer: str | None
    answered_at: datetime | None


class OpinionPage(Shown, frozen=True, kw_only=True):
    """A page of opinions, newest first; `next` is null on the last page."""

    opinions: tuple[OpinionAnswer, ...]
    next: str | None


_TAG = ["Policies"]
_STEP = (RefusalCode.STEP_NOT_POSSIBLE,)


@post(
    "/v1/policies/announcements",
    tags=_TAG,
    summary="Announce a text",
    description="Everybody reads from then on that it takes effect, from when on, and what it changes. The notice "
    "period of the policy in force is held. Announced again, it is the same announcement.",
    opt=operation(
        {201: AnnouncementAnswer},
        Permission.POLICIES_PROPOSE,
        body=AnnouncementSent,
        refusals=(*_STEP, RefusalCode.SECOND_PERSON_NEEDED, RefusalCode.POLICY_BLOCKED),
    ),
)
async def announce_policy(request: RequestContext) -> Reply:
    """Announce an approved text."""
    sent = await read_body(request, AnnouncementSent)
    text = await find_text(request, sent.policy_id, sent.version)
    if text is None:
        return not_found()
    service, now = request.service, request.service.clock()
    done = await announce(service.policies, service.proposals, text, sent.effective_at, by=request.actor.id, now=now)
    if isinstance(done, Blocked):
        return blocked(done)
    return _refused(done) if isinstance(done, AnnounceRefusal) else answer(await _one(request, done), 201)


@post(
    "/v1/policies/announcements/{announcement_id:str}/withdraw",
    tags=_TAG,
    summary="Withdraw an announcement",
    description="The text has to be announced again before it decides. What is scheduled is called off by its "
    "publication.",
    opt=operation({200: AnnouncementAnswer}, Permission.POLICIES_STOP, body=WithdrawalSent, refusals=_STEP),
)
async def withdraw_announcement(request: RequestContext, announcement_id: FromPath[str]) -> Reply:
    """Take an announcement back."""
    sent = await read_body(request, WithdrawalSent)
    known_id, service = read_uuid(announcement_id), request.service
    if known_id is None:
        return not_found()
    done = await service.policies.withdraw_announcement(
        known_id, by=request.actor.id, now=service.clock(), reason=sent.reason
    )
    return _refused(done) if isinstance(done, AnnounceRefusal) else answer(await _one(request, done))


@get(
    "/v1/policies/announcements",
    tags=_TAG,
    summary="List announcements",
    description="Public: every announced text with its moment and what it changes, newest first.",
    opt=operation({200: AnnouncementPage}, query=AnnouncementQuery),
)
async def list_announcements(request: RequestContext) -> Reply:
    """Return what was announced."""
    query = read_query(request, AnnouncementQuery)
    place = read_cursor(query.cursor, TimePlace)
    after = (place.at, place.id) if place is not None else None
    found = await request.service.policies.announcements(limit=query.limit + 1, after=after)
    rows, following = page_of(found, query.limit, lambda row: (row.announced_at, row.announcement_id))
    live = await _in_force(request)
    return answer(AnnouncementPage(announcements=tuple(_answer(row, live) for row in rows), next=following))


@post(
    "/v1/policies/announcements/{announcement_id:str}/opinions",
    tags=_TAG,
    summary="Record an opinion on an announced text",
    description="It stays as it was recorded, and everybody reads it. Recorded again under the same `reference` it is "
    "the same one.",
    opt=operation({201: OpinionAnswer}, Permission.COMPLAINTS_ANSWER, body=OpinionSent),
)
async def record_opinion(request: RequestContext, announcement_id: FromPath[str]) -> Reply:
    """Keep what somebody said of an announced text."""
    sent = await read_body(request, OpinionSent)
    known_id, service = read_uuid(announcement_id), request.service
    if known_id is None:
        return not_found()
    done = await service.policies.record_opinion(
        Opinion(
            new_id(0), known_id, sent.said_by, sent.said, request.actor.id, service.clock(), reference=sent.reference
        )
    )
    return _refused(done) if isinstance(done, AnnounceRefusal) else answer(shown(OpinionAnswer, done), 201)


@post(
    "/v1/policies/opinions/{opinion_id:str}/answer",
    tags=_TAG,
    summary="Answer an opinion",
    description="Once; the same answer again changes nothing, another one is refused.",
    opt=operation({200: OpinionAnswer}, Permission.COMPLAINTS_ANSWER, body=OpinionAnswerSent, refusals=_STEP),
)
async def answer_opinion(request: RequestContext, opinion_id: FromPath[str]) -> Reply:
    """Answer an opinion for everybody."""
    sent = await read_body(request, OpinionAnswerSent)
    known_id, service = read_uuid(opinion_id), request.service
    if known_id is None:
        return not_found()
    done = await service.policies.answer_opinion(known_id, sent.answer, by=request.actor.id, now=service.clock())
    return _refused(done) if isinstance(done, AnnounceRefusal) else answer(shown(OpinionAnswer, done))


@get(
    "/v1/policies/announcements/{announcement_id:str}/opinions",
    tags=_TAG,
    summary="List the opinions on an announced text",
    description="Public: what was said and answered, newest first, without who recorded it.",
    opt=operation({200: OpinionPage}, query=OpinionQuery),
)
async def list_opinions(request: RequestContext, announcement_id: FromPath[str]) -> Reply:
    """Return the opinions on an announcement."""
    query = read_query(request, OpinionQuery)
    place = read_cursor(query.cursor, TimePlace)
    after = (place.at, place.id) if place is not None else None
    known_id = read_uuid(announcement_id)
    if known_id is None:
        return not_found()
    found = await request.service.policies.opinions(known_id, limit=query.limit + 1, after=after)
    rows, following = page_of(found, query.limit, lambda row: (row.recorded_at, row.opinion_id))
    return answer(OpinionPage(opinions=tuple(shown(OpinionAnswer, row) for row in rows), next=following))


def _refused(reason: AnnounceRefusal) -> Reply:
    absent = (AnnounceRefusal.NOT_ANNOUNCED, AnnounceRefusal.NO_OPINION)
    return not_found() if reason in absent else refusal_of(reason)


async def _in_force(request: RequestContext) -> PublicPolicy | None:
    policies = request.service.policies
    live = await policies.publication(None)
    return (await with_public_view(policies, live)).public_view if live is not None else None


async def _one(request: RequestContext, row: Announcement) -> AnnouncementAnswer:
    return _answer(row, await _in_force(request))


def _answer(row: Announcement, live: PublicPolicy | None) -> AnnouncementAnswer:
    view = row.public_view
    changes = public_changes(live, view) if live is not None and view is not None else ()
    return shown(
        AnnouncementAnswer,
        row,
        conditions=tuple(shown(PublicCondition, one) for one in view.conditions) if view is not None else (),
        changes=tuple(shown(PublicChangeRow, one) for one in changes),
    )


HANDLERS = (
    announce_policy,
    withdraw_announcement,
    list_announcements,
    record_opinion,
    answer_opinion,
    list_opinions,
)

_CHANGE = PublicChangeRow(
    kind=PublicChangeKind.CONDITION_ADDED,
    condition="paid_under_300",
    text={
        name: f"{words}{sample.UNDER_300[name]}" for name, words in (("zh", "新增条件："), ("en", "New condition: "))
    },
)
_ANNOUNCEMENT = AnnouncementAnswer(
    announcement_id=sample.PROPOSAL_ID,
    policy_id=TEXT.policy_id,
    version="2",
    state=AnnouncementState.ANNOUNCED,
    announced_at=sample.PAID_AT,
    takes_effect_at=sample.ASKED_AT,
    conditions=(PublicCondition(id="paid_under_300", text=sample.UNDER_300),),
    changes=(_CHANGE,),
    opinions=1,
)
_OPINION = OpinionAnswer(
    opinion_id=sample.COMPLAINT_ID,
    said_by=OpinionOf.MERCHANT,
    said="The limit is too high for fresh food.",
    recorded_at=sample.PAID_AT,
    answer="Fresh food keeps the old limit.",
    answered_at=sample.ASKED_AT,
)
EXAMPLES = (
    AnnouncementSent(policy_id=TEXT.policy_id, version="2", effective_at=sample.ASKED_AT),
    WithdrawalSent(reason="The text is written anew."),
    OpinionSent(said_by=OpinionOf.MERCHANT, said="The limit is too high for fresh food.", reference="form-1208"),
    OpinionAnswerSent(answer="Fresh food keeps the old limit."),
    AnnouncementPage(announcements=(_ANNOUNCEMENT,), next=None),
    OpinionPage(opinions=(_OPINION,), next=None),
    _ANNOUNCEMENT,
    _OPINION,
)
