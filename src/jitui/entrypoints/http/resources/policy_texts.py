"""Policy texts: check, push and read them; and the publication log."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from litestar.params import FromPath
from msgspec import Meta

from jitui.aftersales.governance.policies import PolicyText
from jitui.aftersales.governance.publishing import (
    Blocked,
    Blocker,
    BlockerCode,
    Candidate,
    check_candidate,
    keep_draft,
)
from jitui.aftersales.outcomes import RefusalCode
from jitui.aftersales.ports import Publication
from jitui.entrypoints.http.cursors import NamedPlace, PublicationPlace, page_of, read_cursor
from jitui.entrypoints.http.fields import Cursor, PageLimit, Time
from jitui.entrypoints.http.mapping import shown
from jitui.entrypoints.http.operation import get, operation, post
from jitui.entrypoints.http.problems import REFUSALS, Fault, Problem, not_found
from jitui.entrypoints.http.read_body import read_body
from jitui.entrypoints.http.read_query import read_query
from jitui.entrypoints.http.reply import Reply, answer
from jitui.entrypoints.http.request import RequestContext
from jitui.entrypoints.http.resources import sample
from jitui.entrypoints.http.resources.shared import Sent, Shown
from jitui.identity.access import Permission

Document = Annotated[str, Meta(min_length=1, max_length=500_000, description="The policy file, as it is.")]
Cases = Annotated[str, Meta(max_length=500_000, description="The file of its test cases; empty: none.")]
Version = Annotated[str, Meta(min_length=1, max_length=200)]


class CandidateSent(Sent, frozen=True, kw_only=True):
    """A text with its cases, and from when on it shall decide; without a time at once, or as the text says."""

    document: Document
    cases: Cases = ""
    effective_at: Time | None = None

    @property
    def candidate(self) -> Candidate:
        """The value of the core."""
        return Candidate(self.document, "policy.yaml", self.cases, effective_at=self.effective_at)


class TextSent(Sent, frozen=True, kw_only=True):
    """A text to keep as a draft, with its cases."""

    document: Document
    cases: Cases = ""


class TextQuery(Sent, frozen=True, kw_only=True):
    """A page of texts, newest first."""

    cursor: Cursor | None = None
    limit: PageLimit = 50


class LogQuery(Sent, frozen=True, kw_only=True):
    """A page of the publication log, newest first."""

    cursor: Cursor | None = None
    limit: PageLimit = 50


class BlockerRow(Shown, frozen=True, kw_only=True):
    """One reason against a text; `line` and `column` are 0 where it is not about a place in a file."""

    code: BlockerCode
    message: str
    file: str
    line: int
    column: int


class CheckAnswer(Shown, frozen=True, kw_only=True):
    """What stands against a text now; nothing was kept."""

    publishable: bool
    policy_id: str | None
    version: str | None
    sha256: str | None
    effective_at: datetime | None
    cases: int
    blockers: tuple[BlockerRow, ...]
    advice: tuple[str, ...]


class TextRow(Shown, frozen=True, kw_only=True):
    """A text that is kept."""

    policy_id: str
    version: str
    sha256: str
    pushed_by: str
    pushed_at: datetime
    retired_at: datetime | None


class TextAnswer(TextRow, frozen=True, kw_only=True):
    """A text that is kept, whole."""

    document: str
    cases: str


class TextList(Shown, frozen=True, kw_only=True):
    """A page of texts, newest first; `next` is null on the last page."""

    texts: tuple[TextRow, ...]
    next: str | None


class LogRow(Shown, frozen=True, kw_only=True):
    """A row of the publication log; `authority` says by what it was allowed."""

    publication: int
    action: str
    stage: str
    policy_id: str
    version: str
    sha256: str
    published_by: str
    published_at: datetime
    effective_at: datetime | None
    approved_by: str | None
    authority: str
    canary_percent: int | None
    cancels: int | None
    reason: str


class LogPage(Shown, frozen=True, kw_only=True):
    """A page of the publication log, newest first; `next` is null on the last page."""

    log: tuple[LogRow, ...]
    next: str | None


_TAG = ["Policies"]


@post(
    "/v1/policies/check",
    tags=_TAG,
    summary="Check a text",
    description="Everything that stands against publishing it now, at once. Nothing is kept.",
    opt=operation({200: CheckAnswer}, Permission.POLICIES_WRITE, body=CandidateSent),
)
async def check_policy(request: RequestContext) -> Reply:
    """Say what stands against a text."""
    sent = await read_body(request, CandidateSent)
    service = request.service
    found = await check_candidate(service.policies, sent.candidate, now=service.clock())
    if isinstance(found, Blocked):
        return answer(
            CheckAnswer(
                publishable=False,
                policy_id=None,
                version=None,
                sha256=None,
                effective_at=None,
                cases=0,
                blockers=_rows(found.blockers),
                advice=(),
            )
        )
    checked, _ = found
    policy = checked.policy
    return answer(
        CheckAnswer(
            publishable=not checked.blockers,
            policy_id=policy.id,
            version=policy.version,
            sha256=policy.sha256,
            effective_at=checked.effective_at,
            cases=len(checked.cases),
            blockers=_rows(checked.blockers),
            advice=tuple(str(one) for one in policy.advice),
        )
    )


def _rows(blockers: tuple[Blocker, ...]) -> tuple[BlockerRow, ...]:
    return tuple(shown(BlockerRow, one) for one in blockers)


def blocked(found: Blocked) -> Problem:
    """Every reason against a text, each a fault with its place."""
    faults = tuple(Fault(_place(one), one.message) for one in found.blockers)
    return Problem(REFUSALS[RefusalCode.POLICY_BLOCKED], str(found.blockers[0]), errors=faults)


def _place(one: Blocker) -> str:
    return ":".join(str(part) for part in (one.file, one.line, one.column) if part)


@post(
    "/v1/policies/texts",
    tags=_TAG,
    summary="Keep a text",
    description="As a draft, by which nothing is decided. A version names one text for ever: sent again it is the "
    "same draft, and another text under its version is refused.",
    opt=operation({201: TextAnswer}, Permission.POLICIES_WRITE, body=TextSent, refusals=(RefusalCode.POLICY_BLOCKED,)),
)
async def push_policy(request: RequestContext) -> Reply:
    """Keep a text as a draft."""
    sent = await read_body(request, TextSent)
    service = request.service
    candidate = Candidate(sent.document, "policy.yaml", sent.cases)
    done = await keep_draft(service.policies, candidate, by=request.actor.id, now=service.clock())
    return blocked(done) if isinstance(done, Blocked) else answer(shown(TextAnswer, done), 201)


@get(
    "/v1/policies/texts",
    tags=_TAG,
    summary="List texts",
    opt=operation({200: TextList}, Permission.POLICIES_READ, query=TextQuery),
)
async def list_policy_texts(request: RequestContext) -> Reply:
    """Return the texts that are kept, newest first."""
    query = read_query(request, TextQuery)
    place = read_cursor(query.cursor, NamedPlace)
    after = (place.at, place.id) if place is not None else None
    found = await request.service.policies.texts(limit=query.limit + 1, after=after)
    rows, following = page_of(found, query.limit, lambda text: (text.pushed_at, text.sha256))
    return answer(TextList(texts=tuple(shown(TextRow, row) for row in rows), next=following))


@get(
    "/v1/policies/texts/{policy_id:str}/{version:str}",
    tags=_TAG,
    summary="Read a text",
    opt=operation({200: TextAnswer}, Permission.POLICIES_READ),
)
async def get_policy_text(request: RequestContext, policy_id: FromPath[str], version: FromPath[str]) -> Reply:
    """Return a text with its cases."""
    text = await find_text(request, policy_id, version)
    return not_found() if text is None else answer(shown(TextAnswer, text))


async def find_text(request: RequestContext, policy_id: str, version: str) -> PolicyText | None:
    """The text with the names of an address or a body."""
    if "\x00" in policy_id + version:
        return None
    return await request.service.policies.find_text(policy_id, version)


@get(
    "/v1/policies/log",
    tags=_TAG,
    summary="Read the publication log",
    description="Every row, newest first: what was published in which stage, rolled back, stopped or called off.",
    opt=operation({200: LogPage}, Permission.POLICIES_READ, query=LogQuery),
)
async def list_publications(request: RequestContext) -> Reply:
    """Return the publication log."""
    query = read_query(request, LogQuery)
    place = read_cursor(query.cursor, PublicationPlace)
    found = await request.service.policies.publications(
        before=place.publication if place is not None else None, limit=query.limit + 1
    )
    rows, following = page_of(found, query.limit, lambda row: (row.publication,))
    return answer(LogPage(log=tuple(_log_row(row) for row in rows), next=following))


def _log_row(row: Publication) -> LogRow:
    return shown(LogRow, row)


HANDLERS = (
    check_policy,
    push_policy,
    list_policy_texts,
    get_policy_text,
    list_publications,
)

_SHA256 = "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824"
_POLICY_ID = "unshipped-instant-refund"
_DOCUMENT = 'policy: unshipped-instant-refund\nversion: "2"\n…\n'
_BLOCKER = BlockerRow(
    code=BlockerCode.CASE_FAILS,
    message="the case 'paid 300.00' fails: outcome is instant, expected review",
    file="cases.yaml",
    line=12,
    column=0,
)
TEXT = TextRow(
    policy_id=_POLICY_ID,
    version="2",
    sha256=_SHA256,
    pushed_by="li.na",
    pushed_at=sample.PAID_AT,
    retired_at=None,
)
_LOG_ROW = LogRow(
    publication=2,
    action="publish",
    stage="canary",
    policy_id=_POLICY_ID,
    version="2",
    sha256=_SHA256,
    published_by="li.na",
    published_at=sample.PAID_AT,
    effective_at=None,
    approved_by="wang.wei",
    authority="two_people",
    canary_percent=5,
    cancels=None,
    reason="The limit follows the rule of June.",
)
EXAMPLES = (
    CandidateSent(document=_DOCUMENT, effective_at=sample.ASKED_AT),
    TextSent(document=_DOCUMENT),
    CheckAnswer(
        publishable=False,
        policy_id=_POLICY_ID,
        version="2",
        sha256=_SHA256,
        effective_at=None,
        cases=14,
        blockers=(_BLOCKER,),
        advice=(),
    ),
    TextAnswer(document=_DOCUMENT, cases="", **{name: getattr(TEXT, name) for name in TEXT.__struct_fields__}),
    TextList(texts=(TEXT,), next=None),
    LogPage(log=(_LOG_ROW,), next=None),
    TEXT,
    _LOG_ROW,
    _BLOCKER,
)
