"""Proposals of policies and their approval by a second person."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from functools import partial
from typing import Annotated
from uuid import UUID

from litestar.params import FromPath
from msgspec import Meta

from jitui.aftersales.governance.canary_guard import signals_of
from jitui.aftersales.governance.policies import PolicyText
from jitui.aftersales.governance.proposals import (
    MOST_CANARY_PERCENT,
    NOT_CLOSED,
    PolicyContent,
    PolicyWish,
    Proposal,
    ProposalKind,
    ProposalRefusal,
    ProposalState,
    change,
    propose,
    schedule,
)
from jitui.aftersales.governance.publishing import Blocked, Candidate
from jitui.aftersales.governance.refusals import refusal_of
from jitui.aftersales.governance.rollout import publish_approved, start_canary
from jitui.aftersales.outcomes import RefusalCode
from jitui.entrypoints.http.cursors import TimePlace, page_of, read_cursor
from jitui.entrypoints.http.fields import Cursor, Id, PageLimit, Text, Time, Why, read_uuid
from jitui.entrypoints.http.mapping import shown
from jitui.entrypoints.http.operation import get, operation, post, put
from jitui.entrypoints.http.problems import not_found, refuse
from jitui.entrypoints.http.read_body import read_body
from jitui.entrypoints.http.read_query import read_query
from jitui.entrypoints.http.reply import Reply, answer
from jitui.entrypoints.http.request import RequestContext
from jitui.entrypoints.http.resources import sample
from jitui.entrypoints.http.resources.policy_steps import STEP, StepAnswer, step_answer
from jitui.entrypoints.http.resources.policy_texts import Version, blocked
from jitui.entrypoints.http.resources.shared import Sent, Shown
from jitui.identity.access import Permission

_HASH = r"^[0-9a-f]{64}$"
Percent = Annotated[int, Meta(ge=0, le=MOST_CANARY_PERCENT, description="Of the buyers; 0: no canary.")]


class ProposalSent(Sent, frozen=True, kw_only=True):
    """A text that was pushed, from when on it decides, its largest canary before that, and why."""

    policy_id: Id
    version: Version
    reason: Why
    effective_at: Time | None = None
    canary_percent: Percent = 0
    backtest: Annotated[
        Mapping[str, object] | None, Meta(description="A back-test's report, as `jitui backtest --json` prints it.")
    ] = None


class ProposalApprovalSent(Sent, frozen=True, kw_only=True):
    """What is approved, by the hash that was read, so that nothing that was changed meanwhile is approved."""

    content_hash: Annotated[str, Meta(pattern=_HASH)]
    note: Text = ""


class ClosingSent(Sent, frozen=True, kw_only=True):
    """Why a proposal is rejected or withdrawn."""

    reason: Why


class ScheduleSent(Sent, frozen=True, kw_only=True):
    """From when on the text decides; null: as soon as it is published."""

    effective_at: Time | None


class CanarySent(Sent, frozen=True, kw_only=True):
    """For how many percent of the buyers the text decides."""

    percent: Annotated[int, Meta(ge=1, le=MOST_CANARY_PERCENT)]


class ProposalQuery(Sent, frozen=True, kw_only=True):
    """A page of proposals, newest first; without a state those that are not closed."""

    state: ProposalState | None = None
    cursor: Cursor | None = None
    limit: PageLimit = 50


class ApprovalAnswer(Shown, frozen=True, kw_only=True):
    """The second person's approval."""

    approved_by: str
    approved_at: datetime
    note: str


class PolicyProposal(Shown, frozen=True, kw_only=True):
    """A proposal; an approval is bound to `content_hash`. `evidence`: cases, changes in words, advice, back-test.

    The back-test is the report that was sent; of a proposal made in the console, the headline of one that ran there.
    """

    proposal_id: UUID
    kind: ProposalKind
    subject: str
    content: Mapping[str, object]
    content_hash: str
    state: ProposalState
    reason: str
    proposed_by: str
    proposed_at: datetime
    approval: ApprovalAnswer | None
    evidence: Mapping[str, object]
    closed_at: datetime | None
    closed_by: str | None
    closed_for: str | None


class ProposalPage(Shown, frozen=True, kw_only=True):
    """A page of proposals, newest first; `next` is null on the last page."""

    proposals: tuple[PolicyProposal, ...]
    next: str | None


_TAG = ["Policies"]
_DECIDED = (RefusalCode.PROPOSAL_CLOSED, RefusalCode.PROPOSAL_CHANGED, RefusalCode.STEP_NOT_POSSIBLE)
_APPROVED = (*_DECIDED, RefusalCode.SECOND_PERSON_NEEDED, RefusalCode.POLICY_BLOCKED)


def _answer(found: Proposal, status: int = 200) -> Reply:
    return answer(proposal_answer(found), status)


def proposal_answer(found: Proposal) -> PolicyProposal:
    """A proposal as it is shown."""
    approval = None if found.approval is None else shown(ApprovalAnswer, found.approval)
    return shown(
        PolicyProposal, found, content=found.content_fields, content_hash=found.content_hash.hex(), approval=approval
    )


@post(
    "/v1/proposals",
    tags=_TAG,
    summary="Propose a text",
    description="The text was pushed before. Everything that stands against it is answered at once, and nothing is "
    "kept. Proposed again, it is the same proposal.",
    opt=operation(
        {201: PolicyProposal},
        Permission.POLICIES_PROPOSE,
        body=ProposalSent,
        refusals=(RefusalCode.POLICY_BLOCKED,),
    ),
)
async def propose_policy(request: RequestContext) -> Reply:
    """Propose a text to a second person."""
    sent = await read_body(request, ProposalSent)
    text = await _text(request, sent)
    service = request.service
    done = await propose(
        service.policies, service.proposals, _wish(sent, text), by=request.actor.id, now=service.clock()
    )
    return blocked(done) if isinstance(done, Blocked) else _answer(done, 201)


async def _text(request: RequestContext, sent: ProposalSent) -> PolicyText:
    text = await request.service.policies.find_text(sent.policy_id, sent.version)
    if text is None:
        raise refuse("version", "No text of this policy has this version; push it first.")
    return text


def _wish(sent: ProposalSent, text: PolicyText) -> PolicyWish:
    candidate = Candidate(text.document, f"{text.policy_id}.yaml", text.cases, effective_at=sent.effective_at)
    return PolicyWish(candidate, sent.reason, sent.canary_percent, sent.backtest)


@get(
    "/v1/proposals",
    tags=_TAG,
    summary="List proposals",
    opt=operation({200: ProposalPage}, Permission.POLICIES_READ, query=ProposalQuery),
)
async def list_proposals(request: RequestContext) -> Reply:
    """Return the proposals, newest first."""
    query = read_query(request, ProposalQuery)
    place = read_cursor(query.cursor, TimePlace)
    after = (place.at, place.id) if place is not None else None
    states = NOT_CLOSED if query.state is None else (query.state,)
    found = await request.service.proposals.list(states=states, limit=query.limit + 1, after=after)
    rows, following = page_of(found, query.limit, lambda one: (one.proposed_at, one.proposal_id))
    return answer(ProposalPage(proposals=tuple(proposal_answer(row) for row in rows), next=following))


@get(
    "/v1/proposals/{proposal_id:str}",
    tags=_TAG,
    summary="Read a proposal",
    opt=operation({200: PolicyProposal}, Permission.POLICIES_READ),
)
async def get_proposal(request: RequestContext, proposal_id: FromPath[str]) -> Reply:
    """Return a proposal with its evidence."""
    known_id = read_uuid(proposal_id)
    found = await request.service.proposals.find(known_id) if known_id is not None else None
    return not_found() if found is None else _answer(found)


@put(
    "/v1/proposals/{proposal_id:str}",
    tags=_TAG,
    summary="Change a proposal",
    description="Another text or schedule in place of what it proposes. An approval is void with it, and who changes "
    "a proposal becomes its proposer.",
    opt=operation(
        {200: PolicyProposal},
        Permission.POLICIES_PROPOSE,
        body=ProposalSent,
        refusals=(*_DECIDED, RefusalCode.POLICY_BLOCKED),
    ),
)
async def change_proposal(request: RequestContext, proposal_id: FromPath[str]) -> Reply:
    """Propose another content in the place of a proposal's."""
    sent = await read_body(request, ProposalSent)
    known_id = read_uuid(proposal_id)
    if known_id is None:
        return not_found()
    text, service = await _text(request, sent), request.service
    done = await change(
        service.policies,
        service.proposals,
        known_id,
        _wish(sent, text),
        by=request.actor.id,
        now=service.clock(),
    )
    return blocked(done) if isinstance(done, Blocked) else _done(done)


@post(
    "/v1/proposals/{proposal_id:str}/approve",
    tags=_TAG,
    summary="Approve a proposal",
    description="By another person than who proposed it, bound to the hash of what was read.",
    opt=operation(
        {200: PolicyProposal},
        Permission.POLICIES_APPROVE,
        body=ProposalApprovalSent,
        refusals=(*_DECIDED, RefusalCode.SECOND_PERSON_NEEDED),
    ),
)
async def approve_proposal(request: RequestContext, proposal_id: FromPath[str]) -> Reply:
    """Approve what was read."""
    sent = await read_body(request, ProposalApprovalSent)
    known_id = read_uuid(proposal_id)
    if known_id is None:
        return not_found()
    assert request.key is not None and request.key.role is not None, "the permission is a person's"
    done = await request.service.proposals.approve(
        known_id,
        bytes.fromhex(sent.content_hash),
        by=request.actor.id,
        role=request.key.role.value,
        now=request.service.clock(),
        note=sent.note,
    )
    return _done(done)


@post(
    "/v1/proposals/{proposal_id:str}/reject",
    tags=_TAG,
    summary="Reject a proposal",
    opt=operation({200: PolicyProposal}, Permission.POLICIES_APPROVE, body=ClosingSent, refusals=_DECIDED),
)
async def reject_proposal(request: RequestContext, proposal_id: FromPath[str]) -> Reply:
    """Close a proposal without doing what it proposes."""
    return await _close(request, proposal_id, ProposalState.REJECTED)


@post(
    "/v1/proposals/{proposal_id:str}/withdraw",
    tags=_TAG,
    summary="Withdraw a proposal",
    description="Only who proposed it.",
    opt=operation({200: PolicyProposal}, Permission.POLICIES_PROPOSE, body=ClosingSent, refusals=_DECIDED),
)
async def withdraw_proposal(request: RequestContext, proposal_id: FromPath[str]) -> Reply:
    """Take one's own proposal back."""
    return await _close(request, proposal_id, ProposalState.WITHDRAWN)


async def _close(request: RequestContext, proposal_id: str, state: ProposalState) -> Reply:
    sent = await read_body(request, ClosingSent)
    known_id, service = read_uuid(proposal_id), request.service
    if known_id is None:
        return not_found()
    done = await service.proposals.close(known_id, state, by=request.actor.id, now=service.clock(), reason=sent.reason)
    return _done(done)


@post(
    "/v1/proposals/{proposal_id:str}/schedule",
    tags=_TAG,
    summary="Change a proposal's schedule",
    description="An approval that it had is void with it.",
    opt=operation({200: PolicyProposal}, Permission.POLICIES_PROPOSE, body=ScheduleSent, refusals=_DECIDED),
)
async def schedule_proposal(request: RequestContext, proposal_id: FromPath[str]) -> Reply:
    """Propose another moment."""
    sent = await read_body(request, ScheduleSent)
    known_id, service = read_uuid(proposal_id), request.service
    if known_id is None:
        return not_found()
    done = await schedule(service.proposals, known_id, sent.effective_at, by=request.actor.id, now=service.clock())
    return _done(done)


@post(
    "/v1/proposals/{proposal_id:str}/canary",
    tags=_TAG,
    summary="Start the canary of an approved proposal",
    description="At most for the share that was approved. A larger share keeps the buyers of the smaller one.",
    opt=operation({200: StepAnswer}, Permission.POLICIES_PROPOSE, body=CanarySent, refusals=_APPROVED),
)
async def start_proposal_canary(request: RequestContext, proposal_id: FromPath[str]) -> Reply:
    """Let the text decide for a share of the buyers."""
    sent = await read_body(request, CanarySent)
    known_id, service = read_uuid(proposal_id), request.service
    if known_id is None:
        return not_found()
    done = await start_canary(
        service.policies,
        service.proposals,
        known_id,
        sent.percent,
        by=request.actor.id,
        now=service.clock(),
        signals=partial(signals_of, service.policies, service.canary_guards),
    )
    return blocked(done) if isinstance(done, Blocked) else step_answer(done)


@post(
    "/v1/proposals/{proposal_id:str}/publish",
    tags=_TAG,
    summary="Publish an approved proposal",
    description="Its text is the live one at once, or from the moment on that was approved. It is checked once more.",
    opt=operation({200: StepAnswer}, Permission.POLICIES_PROPOSE, refusals=_APPROVED),
)
async def publish_proposal(request: RequestContext, proposal_id: FromPath[str]) -> Reply:
    """Make the text of an approved proposal live."""
    known_id, service = read_uuid(proposal_id), request.service
    if known_id is None:
        return not_found()
    done = await publish_approved(
        service.policies, service.proposals, known_id, by=request.actor.id, now=service.clock()
    )
    return blocked(done) if isinstance(done, Blocked) else step_answer(done)


def _done(done: Proposal | ProposalRefusal) -> Reply:
    if done is ProposalRefusal.NOT_FOUND:
        return not_found()
    return refusal_of(done) if isinstance(done, ProposalRefusal) else _answer(done)


HANDLERS = (
    propose_policy,
    list_proposals,
    get_proposal,
    change_proposal,
    approve_proposal,
    reject_proposal,
    withdraw_proposal,
    schedule_proposal,
    start_proposal_canary,
    publish_proposal,
)

_CONTENT = PolicyContent(STEP.policy_id, STEP.version, STEP.sha256, None, 5)
_APPROVAL = ApprovalAnswer(approved_by="wang.wei", approved_at=sample.ASKED_AT, note="As discussed.")
_PROPOSAL = PolicyProposal(
    proposal_id=sample.PROPOSAL_ID,
    kind=ProposalKind.POLICY,
    subject=STEP.policy_id,
    content={"policy_id": STEP.policy_id, "version": STEP.version, "sha256": STEP.sha256, "canary_percent": 5},
    content_hash=STEP.sha256,
    state=ProposalState.APPROVED,
    reason="The limit follows the rule of June.",
    proposed_by="li.na",
    proposed_at=sample.PAID_AT,
    approval=_APPROVAL,
    evidence={"cases": {"passed": 14, "failed": 0}, "advice": []},
    closed_at=None,
    closed_by=None,
    closed_for=None,
)
EXAMPLES = (
    ProposalSent(
        policy_id=STEP.policy_id, version=STEP.version, reason="The limit follows the rule of June.", canary_percent=5
    ),
    ProposalApprovalSent(content_hash=STEP.sha256, note="As discussed."),
    ClosingSent(reason="The limit is not agreed yet."),
    ScheduleSent(effective_at=sample.ASKED_AT),
    CanarySent(percent=5),
    _APPROVAL,
    _PROPOSAL,
    ProposalPage(proposals=(_PROPOSAL,), next=None),
)
