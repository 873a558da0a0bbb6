"""Appeals: a buyer contests a restriction, and another person than the one who set it answers."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Annotated
from uuid import UUID

from litestar.params import FromPath
from msgspec import Meta

from jitui.aftersales.governance.appeals import (
    BY_BUYER,
    LONGEST_ANSWER,
    LONGEST_APPEAL,
    Appeal,
    AppealDecision,
    AppealFilter,
    AppealState,
    new_appeal,
)
from jitui.aftersales.governance.complaint import ContestOutcome
from jitui.aftersales.outcomes import Refusal, RefusalCode
from jitui.entrypoints.http.cursors import TimePlace, page_of, read_cursor
from jitui.entrypoints.http.fields import Cursor, Id, PageLimit, Words, read_uuid
from jitui.entrypoints.http.mapping import shown
from jitui.entrypoints.http.operation import BUYER, PLATFORM, get, operation, post
from jitui.entrypoints.http.problems import not_found
from jitui.entrypoints.http.read_body import read_body
from jitui.entrypoints.http.read_query import read_query
from jitui.entrypoints.http.reply import Reply, answer
from jitui.entrypoints.http.request import RequestContext
from jitui.entrypoints.http.resources import sample
from jitui.entrypoints.http.resources.shared import BuyerIdOfKey, Sent, Shown, buyer_meant
from jitui.identity.access import Permission

AppealText = Annotated[Words, Meta(max_length=LONGEST_APPEAL)]
AppealReason = Annotated[Words, Meta(max_length=LONGEST_ANSWER)]


class AppealSent(Sent, frozen=True, kw_only=True):
    """Contest a restriction, in the buyer's words."""

    restriction_id: UUID
    buyer_id: BuyerIdOfKey = None
    text: AppealText


class AppealDecisionSent(Sent, frozen=True, kw_only=True):
    """Decide an appeal, with a reason in words that the buyer reads."""

    verdict: ContestOutcome
    reason: AppealReason


class AppealQuery(Sent, frozen=True, kw_only=True):
    """A page of appeals, those first whose answer is due first."""

    state: AppealState | None = None
    buyer_id: Id | None = None
    cursor: Cursor | None = None
    limit: PageLimit = 50


class AppealAnswer(Shown, frozen=True, kw_only=True):
    """An appeal against a restriction."""

    appeal_id: UUID
    restriction_id: UUID
    buyer_id: str
    text: str
    state: AppealState
    opened_at: datetime
    opened_by: str
    answer_by: datetime
    answer: str | None
    decided_at: datetime | None
    decided_by: str | None


class AppealPage(Shown, frozen=True, kw_only=True):
    """A page of appeals; `next` is null on the last one."""

    appeals: tuple[AppealAnswer, ...]
    next: str | None


_TAG = ["Restrictions and lists"]


@post(
    "/v1/appeals",
    tags=_TAG,
    summary="Appeal against a restriction",
    description="By the buyer, or by the platform for the buyer, while the restriction stands. The answer is due by "
    "`answer_by`. The same text again is the same appeal; another one while it is open is a conflict.",
    opt=operation(
        {201: AppealAnswer},
        Permission.APPEALS_WRITE,
        body=AppealSent,
        refusals=(RefusalCode.RESTRICTION_OVER, RefusalCode.APPEAL_OPEN),
    ),
)
async def open_appeal(request: RequestContext) -> Reply:
    """Contest a restriction."""
    sent, service = await read_body(request, AppealSent), request.service
    buyer_id = buyer_meant(sent.buyer_id, request.own_buyer)
    if not request.may_see(buyer_id=buyer_id):
        return not_found()
    appeal = new_appeal(
        sent.restriction_id,
        buyer_id,
        sent.text.strip(),
        now=service.clock(),
        answer_days=service.settings.appeal_answer_days,
        by=BY_BUYER if request.key_scope is BUYER else request.actor.id,
    )
    opened = await service.appeals.open(appeal)
    return opened if isinstance(opened, Refusal) else answer(_shown(request, opened), 201)


@get(
    "/v1/appeals",
    tags=_TAG,
    summary="List appeals",
    description="Those first whose answer is due first. A buyer reads their own, without the names of staff.",
    opt=operation({200: AppealPage}, Permission.APPEALS_READ, query=AppealQuery),
)
async def list_appeals(request: RequestContext) -> Reply:
    """Return appeals."""
    query = read_query(request, AppealQuery)
    if not request.may_filter(shop_id=None, buyer_id=query.buyer_id):
        return not_found()
    place = read_cursor(query.cursor, TimePlace)
    after = (place.at, place.id) if place is not None else None
    wanted = AppealFilter(query.state, request.own_buyer or query.buyer_id, after, query.limit + 1)
    found = await request.service.appeals.list(wanted)
    rows, following = page_of(found, query.limit, lambda row: (row.answer_by, row.appeal_id))
    return answer(AppealPage(appeals=tuple(_shown(request, row) for row in rows), next=following))


@get(
    "/v1/appeals/{appeal_id:str}",
    tags=_TAG,
    summary="Read an appeal",
    opt=operation({200: AppealAnswer}, Permission.APPEALS_READ),
)
async def get_appeal(request: RequestContext, appeal_id: FromPath[str]) -> Reply:
    """Return one appeal."""
    known_id = read_uuid(appeal_id)
    found = None if known_id is None else await request.service.appeals.get(known_id)
    if found is None or not request.may_see(buyer_id=found.buyer_id):
        return not_found()
    return answer(_shown(request, found))


@post(
    "/v1/appeals/{appeal_id:str}/decide",
    tags=_TAG,
    summary="Decide an appeal",
    description="`upheld` lifts the restriction in the same transaction. The buyer reads the reason. Whoever set the "
    "restriction does not decide, and a decision is not changed.",
    opt=operation(
        {200: AppealAnswer},
        Permission.RESTRICTIONS_WRITE,
        body=AppealDecisionSent,
        refusals=(RefusalCode.APPEAL_DECIDED, RefusalCode.SECOND_PERSON_NEEDED),
    ),
)
async def decide_appeal(request: RequestContext, appeal_id: FromPath[str]) -> Reply:
    """Uphold or reject an appeal."""
    sent, known_id = await read_body(request, AppealDecisionSent), read_uuid(appeal_id)
    if known_id is None:
        return not_found()
    decision = AppealDecision(
        upheld=sent.verdict is ContestOutcome.UPHELD,
        answer=sent.reason.strip(),
        by=request.actor.id,
        at=request.service.clock(),
    )
    decided = await request.service.appeals.decide(known_id, decision)
    return decided if isinstance(decided, Refusal) else answer(_shown(request, decided))


def _shown(request: RequestContext, row: Appeal) -> AppealAnswer:
    """The appeal as the platform sees it, or as its buyer does."""
    if request.key_scope is PLATFORM:
        return shown(AppealAnswer, row)
    return shown(AppealAnswer, row, opened_by=row.opened_by if row.opened_by == BY_BUYER else "", decided_by=None)


HANDLERS = (open_appeal, list_appeals, get_appeal, decide_appeal)

_APPEAL = AppealAnswer(
    appeal_id=sample.APPEAL_ID,
    restriction_id=sample.RESTRICTION_ID,
    buyer_id="b-9",
    text="The shop asked me to cancel: it had sold out.",
    state=AppealState.UPHELD,
    opened_at=sample.ASKED_AT,
    opened_by=BY_BUYER,
    answer_by=sample.ASKED_AT + timedelta(days=15),
    answer="The cancellations were asked for by the shop.",
    decided_at=sample.ASKED_AT + timedelta(days=2),
    decided_by="second desk",
)
EXAMPLES = (
    AppealSent(restriction_id=sample.RESTRICTION_ID, buyer_id="b-9", text=_APPEAL.text),
    AppealDecisionSent(verdict=ContestOutcome.UPHELD, reason="The cancellations were asked for by the shop."),
    _APPEAL,
    AppealPage(appeals=(_APPEAL,), next=None),
)
