"""Restrictions, which withdraw the service from a buyer."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Annotated
from uuid import UUID
from zoneinfo import ZoneInfo

from litestar.params import FromPath
from msgspec import Meta

from jitui.aftersales.governance.loosening import LoosenRefusal, propose_lifting
from jitui.aftersales.governance.loosening import lift_restriction as lift_by_hand
from jitui.aftersales.governance.proposals import Proposal
from jitui.aftersales.governance.refusals import refusal_of
from jitui.aftersales.governance.registry import Evidence, Restriction, Withdrawn
from jitui.aftersales.governance.statement_of_reasons import statement_of
from jitui.aftersales.outcomes import Refusal, RefusalCode
from jitui.entrypoints.http.fields import Id, Text, Time, Why, read_uuid
from jitui.entrypoints.http.mapping import shown, taken
from jitui.entrypoints.http.operation import PLATFORM, get, operation, post
from jitui.entrypoints.http.problems import FaultCollector, not_found
from jitui.entrypoints.http.read_body import read_body
from jitui.entrypoints.http.read_query import read_query
from jitui.entrypoints.http.reply import NO_CONTENT, Reply, answer
from jitui.entrypoints.http.request import RequestContext
from jitui.entrypoints.http.resources import sample
from jitui.entrypoints.http.resources.proposals import PolicyProposal, proposal_answer
from jitui.entrypoints.http.resources.shared import BuyerIdOfKey, Sent, Shown, buyer_meant
from jitui.identity.access import Permission
from jitui.ids import lane_of, new_id

MostNamed = Annotated[tuple[Id, ...], Meta(max_length=100)]


class RestrictionEvidenceSent(Sent, frozen=True, kw_only=True):
    """What a restriction by hand rests on; the buyer never sees it."""

    order_ids: MostNamed = ()
    event_ids: MostNamed = ()
    note: Text = ""


class RestrictionSent(Sent, frozen=True, kw_only=True):
    """Withdraw the service from a buyer; without `ends_at` until it is lifted."""

    buyer_id: Id
    reason: Why
    starts_at: Time | None = None
    ends_at: Time | None = None
    withdraw: Withdrawn = Withdrawn.INSTANT_REFUND
    evidence: RestrictionEvidenceSent | None = None


class LiftSent(Sent, frozen=True, kw_only=True):
    """Why a restriction is lifted."""

    reason: Text = ""


class RestrictionQuery(Sent, frozen=True, kw_only=True):
    """The buyer whose restrictions are listed."""

    buyer_id: BuyerIdOfKey = None


class LiftProposalSent(Sent, frozen=True, kw_only=True):
    """The restriction that is to be lifted, and why."""

    restriction_id: UUID
    reason: Why


class RestrictionEvidence(Shown, frozen=True, kw_only=True):
    """What a restriction by hand rests on."""

    order_ids: tuple[str, ...]
    event_ids: tuple[str, ...]
    note: str


class RestrictionRuleAnswer(Shown, frozen=True, kw_only=True):
    """The rule of a policy that set a restriction, and what it read."""

    policy_id: str
    version: str
    rule_id: str
    facts: Mapping[str, object]


class RestrictionAnswer(Shown, frozen=True, kw_only=True):
    """A restriction of a buyer."""

    restriction_id: UUID
    buyer_id: str
    reason: str
    statement: Mapping[str, str]
    withdraw: Withdrawn
    starts_at: datetime
    ends_at: datetime | None
    lifted_at: datetime | None
    set_by: str
    set_at: datetime
    lifted_by: str | None
    lift_reason: str
    evidence: RestrictionEvidence | None
    rule: RestrictionRuleAnswer | None


class RestrictionList(Shown, frozen=True, kw_only=True):
    """A buyer's restrictions, newest first, also past ones."""

    restrictions: tuple[RestrictionAnswer, ...]


_TAG = ["Restrictions and lists"]


@post(
    "/v1/restrictions",
    tags=_TAG,
    summary="Restrict a buyer",
    description="Done at once. The buyer reads the reason in the statement of reasons, and not the evidence. "
    "With an Idempotency-Key the restriction's id follows from the key and the buyer.",
    opt=operation({201: RestrictionAnswer}, Permission.RESTRICTIONS_WRITE, body=RestrictionSent, idempotent=True),
)
async def restrict_buyer(request: RequestContext) -> Reply:
    """Withdraw the service from a buyer."""
    sent = await read_body(request, RestrictionSent)
    starts_at = sent.starts_at or request.service.clock()
    faults = FaultCollector()
    faults.time("starts_at", sent.starts_at)
    faults.time("ends_at", sent.ends_at)
    if sent.ends_at is not None and sent.ends_at <= starts_at:
        faults.add("ends_at", "Expected a time after the start")
    faults.settle()
    restriction_id = _restriction_id(request, sent.buyer_id)
    known = await _known_restriction(request, sent, restriction_id)
    if known is not None:
        return known
    restriction = Restriction(
        restriction_id=restriction_id,
        buyer_id=sent.buyer_id,
        reason=sent.reason,
        starts_at=starts_at,
        ends_at=sent.ends_at,
        set_by=request.actor.id,
        set_at=request.service.clock(),
        withdraw=sent.withdraw,
        evidence=_evidence(sent),
    )
    if not await request.service.registry.restrict(restriction):  # the same key at the same time
        return await _known_restriction(request, sent, restriction_id) or not_found()
    return answer(_shown(request, restriction), 201)


def _evidence(sent: RestrictionSent) -> Evidence:
    return Evidence() if sent.evidence is None else taken(Evidence, sent.evidence)


def _restriction_id(request: RequestContext, buyer_id: str) -> UUID:
    """The id of a restriction. With an Idempotency-Key it follows from key and buyer, so that a repetition finds it."""
    lane = lane_of(buyer_id)
    if request.idempotency_key is None or request.key is None:
        return new_id(lane)
    digest = hashlib.sha256(f"{request.key.client} {request.idempotency_key} {buyer_id}".encode()).digest()
    return UUID(bytes=digest[:15] + bytes([lane]), version=5)


def _former_id(request: RequestContext, buyer_id: str) -> UUID | None:
    """The id that earlier releases derived from the key alone: a request may be repeated after an upgrade."""
    if request.idempotency_key is None or request.key is None:
        return None
    digest = hashlib.sha256(f"{request.key.client} {request.idempotency_key}".encode()).digest()
    return UUID(bytes=digest[:15] + bytes([lane_of(buyer_id)]), version=5)


async def _known_restriction(request: RequestContext, sent: RestrictionSent, restriction_id: UUID) -> Reply | None:
    if request.idempotency_key is None:
        return None
    for known in await request.service.registry.restrictions_of(sent.buyer_id):
        if known.restriction_id in (restriction_id, _former_id(request, sent.buyer_id)):
            told = (sent.reason, sent.ends_at, sent.withdraw, _evidence(sent))
            same = (known.reason, known.ends_at, known.withdraw, known.evidence) == told
            if same and sent.starts_at in (None, known.starts_at):
                return answer(_shown(request, known), 201, (("idempotency-replayed", "true"),))
            return Refusal(
                RefusalCode.IDEMPOTENCY_KEY_REUSED,
                "This Idempotency-Key was used with another body; use a new key for a new request.",
            )
    return None


@get(
    "/v1/restrictions",
    tags=_TAG,
    summary="List a buyer's restrictions",
    description="Also past ones. A buyer reads their own, with the statement of reasons in each language, and without "
    "the names of staff, the evidence and what rules read.",
    opt=operation({200: RestrictionList}, Permission.RESTRICTIONS_READ, query=RestrictionQuery),
)
async def list_restrictions(request: RequestContext) -> Reply:
    """Return a buyer's restrictions."""
    query = read_query(request, RestrictionQuery)
    buyer_id = buyer_meant(query.buyer_id, request.own_buyer)
    if not request.may_see(buyer_id=buyer_id):
        return not_found()
    found = await request.service.registry.restrictions_of(buyer_id)
    return answer(RestrictionList(restrictions=tuple(_shown(request, row) for row in found)))


def _shown(request: RequestContext, row: Restriction) -> RestrictionAnswer:
    """The restriction as the platform sees it, or as its buyer does (R16)."""
    settings, platform = request.service.settings, request.key_scope is PLATFORM
    statement = statement_of(row, time_zone=settings.time_zone, answer_days=settings.appeal_answer_days)
    by_rule = row.rule_id is not None
    return RestrictionAnswer(
        restriction_id=row.restriction_id,
        buyer_id=row.buyer_id,
        reason=row.reason if platform or not by_rule else "",
        statement=statement,
        withdraw=row.withdraw,
        starts_at=row.starts_at,
        ends_at=row.ends_at,
        lifted_at=row.lifted_at,
        set_by=row.set_by if platform else "",
        set_at=row.set_at or row.starts_at,
        lifted_by=row.lifted_by if platform else None,
        lift_reason=row.lift_reason if platform else "",
        evidence=shown(RestrictionEvidence, row.evidence) if platform and not by_rule else None,
        rule=_rule(row) if platform and by_rule else None,
    )


def _rule(row: Restriction) -> RestrictionRuleAnswer:
    return RestrictionRuleAnswer(
        policy_id=row.policy_id or "",
        version=row.policy_version or "",
        rule_id=row.rule_id or "",
        facts=row.facts or {},
    )


@get(
    "/v1/restrictions/{restriction_id:str}",
    tags=_TAG,
    summary="Read a restriction",
    description="Who approves that it is lifted reads here whom it restricts and why.",
    opt=operation({200: RestrictionAnswer}, Permission.RESTRICTIONS_READ),
)
async def get_restriction(request: RequestContext, restriction_id: FromPath[str]) -> Reply:
    """Return one restriction."""
    known_id = read_uuid(restriction_id)
    found = None if known_id is None else await request.service.registry.restriction(known_id)
    if found is None or not request.may_see(buyer_id=found.buyer_id):
        return not_found()
    return answer(_shown(request, found))


@post(
    "/v1/restrictions/{restriction_id:str}/lift",
    tags=_TAG,
    summary="Lift a restriction",
    description="404 when no such restriction stands, also when it was lifted already. Where two people approve it is "
    "refused: propose it.",
    opt=operation(
        {204: None},
        Permission.RESTRICTIONS_WRITE,
        body=LiftSent,
        body_optional=True,
        refusals=(RefusalCode.SECOND_PERSON_NEEDED,),
    ),
)
async def lift_restriction(request: RequestContext, restriction_id: FromPath[str]) -> Reply:
    """Lift a restriction."""
    sent = await read_body(request, LiftSent)
    known_id = read_uuid(restriction_id)
    if known_id is None:
        return not_found()
    service = request.service
    refused = await lift_by_hand(
        service.registry,
        service.policies,
        known_id,
        by=request.actor.id,
        now=service.clock(),
        reason=sent.reason.strip(),
    )
    if refused is None:
        return NO_CONTENT
    return not_found() if refused is LoosenRefusal.NOT_RESTRICTED else refusal_of(refused)


@post(
    "/v1/restrictions/proposed-lifts",
    tags=_TAG,
    summary="Propose to lift a restriction",
    description="A second person's approval of the proposal lifts it. Proposed again it is the same proposal.",
    opt=operation({201: PolicyProposal}, Permission.POLICIES_STOP, body=LiftProposalSent),
)
async def propose_restriction_lift(request: RequestContext) -> Reply:
    """Propose that a restriction is lifted."""
    sent = await read_body(request, LiftProposalSent)
    service = request.service
    done = await propose_lifting(
        service.registry,
        service.proposals,
        sent.restriction_id,
        by=request.actor.id,
        now=service.clock(),
        reason=sent.reason,
    )
    return answer(proposal_answer(done), 201) if isinstance(done, Proposal) else not_found()


HANDLERS = (
    restrict_buyer,
    list_restrictions,
    get_restriction,
    lift_restriction,
    propose_restriction_lift,
)

_ENDS_AT = sample.ASKED_AT + timedelta(days=90)
_STATEMENT = statement_of(
    Restriction(sample.RESTRICTION_ID, "b-9", "Cancels in series.", sample.ASKED_AT, _ENDS_AT, "risk desk"),
    time_zone=ZoneInfo("Asia/Shanghai"),
    answer_days=15,
)
_RULE = RestrictionRuleAnswer(
    policy_id="unshipped-instant-refund",
    version="1",
    rule_id="serial_canceller",
    facts={"buyer.refunds_before_shipment_90d": 11, "buyer.paid_orders_90d": 14},
)
_RESTRICTION = RestrictionAnswer(
    restriction_id=sample.RESTRICTION_ID,
    buyer_id="b-9",
    reason="Cancels in series.",
    starts_at=sample.ASKED_AT,
    ends_at=_ENDS_AT,
    lifted_at=None,
    set_by="risk desk",
    statement=_STATEMENT,
    withdraw=Withdrawn.INSTANT_REFUND,
    set_at=sample.ASKED_AT,
    lifted_by=None,
    lift_reason="",
    evidence=RestrictionEvidence(order_ids=("o-901", "o-902"), event_ids=(), note="Eleven within a week."),
    rule=None,
)
EXAMPLES = (
    RestrictionEvidenceSent(order_ids=("o-901", "o-902"), note="Eleven within a week."),
    RestrictionSent(
        buyer_id="b-9",
        reason="Cancels in series.",
        ends_at=_ENDS_AT,
        evidence=RestrictionEvidenceSent(order_ids=("o-901", "o-902"), note="Eleven within a week."),
    ),
    LiftSent(reason="The orders were the warehouse's fault."),
    LiftProposalSent(restriction_id=sample.RESTRICTION_ID, reason="The orders were the warehouse's fault."),
    RestrictionEvidence(order_ids=("o-901", "o-902"), event_ids=(), note="Eleven within a week."),
    _RULE,
    _RESTRICTION,
    RestrictionList(restrictions=(_RESTRICTION,)),
)
