"""Notices: to whom, about what, and how they fare; what one would say now; sending one again."""

from __future__ import annotations

from datetime import datetime, timedelta
from uuid import UUID

from litestar.params import FromPath

from jitui.bootstrap_sending import preview
from jitui.entrypoints.http.cursors import TimePlace, page_of, read_cursor
from jitui.entrypoints.http.fields import Cursor, Id, PageLimit, read_uuid
from jitui.entrypoints.http.mapping import shown
from jitui.entrypoints.http.operation import get, operation, post
from jitui.entrypoints.http.problems import not_found, refuse
from jitui.entrypoints.http.read_query import read_query
from jitui.entrypoints.http.reply import Reply, answer
from jitui.entrypoints.http.request import RequestContext
from jitui.entrypoints.http.resources import sample
from jitui.entrypoints.http.resources.shared import Sent, Shown
from jitui.identity.access import Permission
from jitui.notices.model import (
    MailLanguage,
    Notice,
    NoticeFilter,
    NoticeKind,
    NoticeState,
    Recipient,
    RecipientKind,
)


class NoticeQuery(Sent, frozen=True, kw_only=True):
    """A page of notices, newest first; of one recipient at most."""

    state: NoticeState | None = None
    buyer_id: Id | None = None
    shop_id: Id | None = None
    operator: Id | None = None
    cursor: Cursor | None = None
    limit: PageLimit = 50


class NoticePreviewQuery(Sent, frozen=True, kw_only=True):
    """In which language."""

    language: MailLanguage | None = None


class NoticeAnswer(Shown, frozen=True, kw_only=True):
    """A notice. Neither its text nor an address is stored."""

    notice_id: UUID
    recipient: RecipientKind
    recipient_id: str
    kind: NoticeKind
    subject: str
    state: NoticeState
    tries: int
    queued_at: datetime
    due_at: datetime | None
    handed_over_at: datetime | None
    tried_at: datetime | None
    closed_at: datetime | None
    failure: str


class NoticePage(Shown, frozen=True, kw_only=True):
    """A page of notices, newest first; `next` is null on the last one."""

    notices: tuple[NoticeAnswer, ...]
    next: str | None


class NoticeMail(Shown, frozen=True, kw_only=True):
    """What a notice says."""

    subject: str
    text: str
    html: str


class NoticePreview(Shown, frozen=True, kw_only=True):
    """What a notice would say now."""

    mail: NoticeMail | None


_TAG = ["Notices"]


@get(
    "/v1/notices",
    tags=_TAG,
    summary="List notices",
    description="Newest first; filtered by `state` and by one recipient: `buyer_id`, `shop_id` or `operator`.",
    opt=operation({200: NoticePage}, Permission.NOTICES_READ, query=NoticeQuery),
)
async def list_notices(request: RequestContext) -> Reply:
    """Return the notices."""
    query = read_query(request, NoticeQuery)
    place = read_cursor(query.cursor, TimePlace)
    after = (place.at, place.id) if place is not None else None
    wanted = NoticeFilter(query.state, _recipient(query), query.limit + 1, after)
    found = await request.service.notices.queue.list(wanted)
    rows, following = page_of(found, query.limit, lambda notice: (notice.queued_at, notice.notice_id))
    return answer(NoticePage(notices=tuple(shown(NoticeAnswer, row) for row in rows), next=following))


@get(
    "/v1/notices/{notice_id:str}/preview",
    tags=_TAG,
    summary="Preview a notice",
    description="What it would say if it were sent now; `mail` is null when there is nothing to say any more. Nobody "
    "is asked for an address, and nothing is sent.",
    opt=operation({200: NoticePreview}, Permission.NOTICES_READ, query=NoticePreviewQuery),
)
async def preview_notice(request: RequestContext, notice_id: FromPath[str]) -> Reply:
    """Return the text."""
    query = read_query(request, NoticePreviewQuery)
    notice = await _named(request, notice_id)
    if notice is None:
        return not_found()
    mail = await preview(request.service, notice, query.language)
    return answer(NoticePreview(mail=None if mail is None else shown(NoticeMail, mail)))


@post(
    "/v1/notices/{notice_id:str}/retry",
    tags=_TAG,
    summary="Send a notice again",
    description="One that was given up (`dead`), or of which nobody knows whether it was sent (`unknown`); any other "
    "is not found. Of an unknown one the recipient may get a second copy, under the same Message-ID.",
    opt=operation({200: NoticeAnswer}, Permission.NOTICES_WRITE),
)
async def retry_notice(request: RequestContext, notice_id: FromPath[str]) -> Reply:
    """Put it into the queue again."""
    known_id, queue = read_uuid(notice_id), request.service.notices.queue
    if known_id is None or not await queue.retry(known_id, request.service.clock()):
        return not_found()
    notice = await queue.get(known_id)
    return not_found() if notice is None else answer(shown(NoticeAnswer, notice))


async def _named(request: RequestContext, notice_id: str) -> Notice | None:
    known_id = read_uuid(notice_id)
    return None if known_id is None else await request.service.notices.queue.get(known_id)


def _recipient(query: NoticeQuery) -> Recipient | None:
    asked = {"buyer_id": query.buyer_id, "shop_id": query.shop_id, "operator": query.operator}
    given = [name for name, value in asked.items() if value is not None]
    if len(given) > 1:
        raise refuse(given[1], f"Expected no other recipient beside {given[0]}.")
    if not given:
        return None
    kind = {"buyer_id": RecipientKind.BUYER, "shop_id": RecipientKind.SHOP, "operator": RecipientKind.OPERATOR}
    return Recipient(kind[given[0]], asked[given[0]] or "")


HANDLERS = (list_notices, preview_notice, retry_notice)

_SHOWN = NoticeAnswer(
    notice_id=sample.NOTICE_ID,
    recipient=RecipientKind.SHOP,
    recipient_id="s-1",
    kind=NoticeKind.REVIEW_ASKED,
    subject=str(sample.TICKET_ID),
    state=NoticeState.DEAD,
    tries=1,
    queued_at=sample.ASKED_AT,
    due_at=None,
    handed_over_at=None,
    tried_at=sample.ASKED_AT + timedelta(seconds=2),
    closed_at=sample.ASKED_AT + timedelta(seconds=2),
    failure="The mail server answered 550 5.1.1 to the recipient.",
)
EXAMPLES = (
    _SHOWN,
    NoticePage(notices=(_SHOWN,), next=None),
    NoticePreview(
        mail=NoticeMail(
            subject="A refund request waits for you: order o-1001",
            text="A buyer asks for CN¥129.00 (CNY) back on order o-1001.\n",
            html="<p>A buyer asks for CN¥129.00 (CNY) back on order o-1001.</p>",
        )
    ),
)
