"""Incidents: goods that left although they were refunded, and what is done about them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Annotated

from litestar.params import FromPath
from msgspec import Meta

from jitui.aftersales.commands.execute import IdempotentReply
from jitui.aftersales.commands.incidents import (
    BuyerContact,
    ContestAnswer,
    Evidence,
    Outcome,
    OutcomeTold,
    RecoveryTried,
    add_evidence,
    answer_contest,
    contest_incident,
    decide_incident,
    record_contact,
    record_recovery,
)
from jitui.aftersales.governance.complaint import ContestOutcome
from jitui.aftersales.governance.loss_terms import loss_terms
from jitui.aftersales.incident_list import IncidentFilter, IncidentSort, place_of_incident
from jitui.aftersales.model.incident import (
    LONGEST_REFERENCE,
    LONGEST_TEXT,
    MOST_REFERENCES,
    ContactChannel,
    IncidentOutcome,
    IncidentState,
    is_reference,
)
from jitui.aftersales.model.sorting import SortOrder
from jitui.aftersales.outcomes import RefusalCode
from jitui.aftersales.ports import IncidentRef
from jitui.entrypoints.http.cursors import place_in, sorted_page
from jitui.entrypoints.http.fields import (
    AmountMinor,
    Cursor,
    Id,
    PageLimit,
    PositiveMinor,
    Time,
    Words,
    WordsOrNone,
    read_uuid,
)
from jitui.entrypoints.http.mapping import taken
from jitui.entrypoints.http.operation import get, operation, post
from jitui.entrypoints.http.problems import FaultCollector, not_found
from jitui.entrypoints.http.read_body import read_body
from jitui.entrypoints.http.read_query import read_query
from jitui.entrypoints.http.reply import Reply, answer, respond
from jitui.entrypoints.http.request import RequestContext
from jitui.entrypoints.http.resources import incident_view, sample
from jitui.entrypoints.http.resources.incident_view import IncidentAnswer, IncidentDetailsAnswer
from jitui.entrypoints.http.resources.shared import ActingSent, Sent, Shown
from jitui.entrypoints.list_cursor import INCIDENTS
from jitui.identity.access import Permission
from jitui.ids import lane_of_id

LongWords = Annotated[Words, Meta(max_length=LONGEST_TEXT)]
Note = Annotated[WordsOrNone, Meta(max_length=LONGEST_TEXT)]
Reference = Annotated[Words, Meta(max_length=LONGEST_REFERENCE)]
ReferenceOrNone = Annotated[WordsOrNone, Meta(max_length=LONGEST_REFERENCE)]


_SORTS = "In one state by time. An incident that is never due is the last. Amounts are sorted by currency first."


class IncidentQuery(Sent, frozen=True, kw_only=True):
    """Filters of the list of incidents."""

    shop_id: Id | None = None
    buyer_id: Id | None = None
    order_id: Id | None = None
    state: IncidentState | None = None
    sort: Annotated[IncidentSort, Meta(description=_SORTS)] = IncidentSort.OPENED_AT
    order: SortOrder = SortOrder.DESC
    cursor: Cursor | None = None
    limit: PageLimit = 50


class IncidentEvidenceSent(ActingSent, frozen=True, kw_only=True):
    """Evidence about an incident: words, and references such as waybills or addresses of pages; never files."""

    text: LongWords
    references: Annotated[tuple[Reference, ...], Meta(max_length=MOST_REFERENCES)] = ()


class IncidentContactSent(ActingSent, frozen=True, kw_only=True):
    """The buyer was spoken to."""

    channel: ContactChannel
    note: LongWords
    contacted_at: Time


class IncidentOutcomeSent(Sent, frozen=True, kw_only=True):
    """What became of the loss. A later outcome corrects an earlier one by postings of its own."""

    version: Annotated[int, Meta(ge=1, le=2**31 - 1)]
    outcome: IncidentOutcome
    reason: LongWords
    repaid_minor: PositiveMinor | None = None
    reference: ReferenceOrNone = ""


class IncidentRecoverySent(Sent, frozen=True, kw_only=True):
    """An attempt to recover what the shop owes; an amount of 0 says that nothing came."""

    amount_minor: AmountMinor
    reference: ReferenceOrNone = ""
    note: Note = ""


class IncidentContestSent(ActingSent, frozen=True, kw_only=True):
    """Why the shop should not be charged."""

    reason: LongWords


class CorrectedOutcomeSent(Sent, frozen=True, kw_only=True):
    """The outcome that holds from now on, in place of the contested one."""

    outcome: IncidentOutcome
    reason: LongWords
    repaid_minor: PositiveMinor | None = None
    reference: ReferenceOrNone = ""


class IncidentContestAnswerSent(Sent, frozen=True, kw_only=True):
    """The answer to a contest; upheld comes with the corrected outcome, rejected without one."""

    verdict: ContestOutcome
    answer: LongWords
    corrected: CorrectedOutcomeSent | None = None


class IncidentPage(Shown, frozen=True, kw_only=True):
    """A page of incidents; `next` is null on the last one."""

    incidents: tuple[IncidentAnswer, ...]
    next: str | None


_TAG = ["Incidents"]
_OUTCOME_REFUSALS = (
    RefusalCode.LOSS_TERMS_DIFFER,
    RefusalCode.AMOUNT_EXCEEDS_INCIDENT,
    RefusalCode.INCIDENT_REFERENCE_MISSING,
)


@get(
    "/v1/incidents",
    tags=_TAG,
    summary="List incidents",
    description="Newest first, unless `sort` and `order` say otherwise. A shop key lists its own.",
    opt=operation({200: IncidentPage}, Permission.INCIDENTS_READ, query=IncidentQuery),
)
async def list_incidents(request: RequestContext) -> Reply:
    """Return incidents in the order that is asked for."""
    query = read_query(request, IncidentQuery)
    if not request.may_filter(shop_id=query.shop_id, buyer_id=None):
        return not_found()
    after = place_in(INCIDENTS, query.cursor, query.sort, query.order)
    shop_id = request.own_shop or query.shop_id
    wanted = taken(IncidentFilter, query, shop_id=shop_id, after=after, limit=query.limit + 1)
    found = await request.service.queries.incidents(wanted)
    rows, following = sorted_page(INCIDENTS, found, query.limit, query.sort, query.order, place_of_incident)
    shown_rows = tuple(incident_view.incident_answer(request, row) for row in rows)
    return answer(IncidentPage(incidents=shown_rows, next=following))


@get(
    "/v1/incidents/{incident_id:str}",
    tags=_TAG,
    summary="Read an incident",
    description="With its contest, its log, and the statement of reasons where the shop is charged.",
    opt=operation({200: IncidentDetailsAnswer}, Permission.INCIDENTS_READ),
)
async def get_incident(request: RequestContext, incident_id: FromPath[str]) -> Reply:
    """Return one incident."""
    ref = _ref(incident_id)
    found = await request.service.queries.incident(ref) if ref is not None else None
    if found is None or not request.may_see(shop_id=found.incident.shop_id):
        return not_found()
    return answer(incident_view.details_answer(request, found))


@post(
    "/v1/incidents/{incident_id:str}/evidence",
    tags=_TAG,
    summary="Add evidence to an incident",
    description="At any time, by the shop or the platform. What was added is never changed.",
    opt=operation(
        {200: IncidentAnswer},
        Permission.INCIDENTS_WRITE,
        body=IncidentEvidenceSent,
        idempotent=True,
        refusals=(RefusalCode.INCIDENT_FULL,),
    ),
)
async def add_incident_evidence(request: RequestContext, incident_id: FromPath[str]) -> Reply:
    """Add words and references."""
    sent, service = await read_body(request, IncidentEvidenceSent), request.service
    faults = FaultCollector()
    for place, reference in enumerate(sent.references):
        if not is_reference(reference):
            faults.add(f"references[{place}]", "Expected a number, or an address that begins with https:// or http://")
    faults.settle()
    by = request.actor_for(sent.acting_for, sent.person)
    told = Evidence(sent.text, sent.references)
    return await _done(
        request,
        incident_id,
        sent,
        lambda ref, reply: add_evidence(
            service.store, ref, told, by=by, now=service.clock(), shop_id=request.own_shop, reply=reply
        ),
    )


@post(
    "/v1/incidents/{incident_id:str}/contacts",
    tags=_TAG,
    summary="Record a contact with the buyer",
    description="When the buyer was spoken to, through what, and what came of it.",
    opt=operation(
        {200: IncidentAnswer},
        Permission.INCIDENTS_WRITE,
        body=IncidentContactSent,
        idempotent=True,
        refusals=(RefusalCode.INCIDENT_FULL,),
    ),
)
async def record_incident_contact(request: RequestContext, incident_id: FromPath[str]) -> Reply:
    """Record that the buyer was spoken to."""
    sent, service = await read_body(request, IncidentContactSent), request.service
    faults = FaultCollector()
    faults.time("contacted_at", sent.contacted_at)
    faults.settle()
    by = request.actor_for(sent.acting_for, sent.person)
    told = BuyerContact(sent.channel, sent.note, sent.contacted_at)
    return await _done(
        request,
        incident_id,
        sent,
        lambda ref, reply: record_contact(
            service.store, ref, told, by=by, now=service.clock(), shop_id=request.own_shop, reply=reply
        ),
    )


@post(
    "/v1/incidents/{incident_id:str}/outcome",
    tags=_TAG,
    summary="Decide an incident",
    description="On the version that was read; of two at once one decides. The shop is charged no more than the "
    "policy says that approved the refund. `repaid_minor` left out with `repaid`: the buyer paid all of it again; what "
    "is left is borne as the policy says.",
    opt=operation(
        {200: IncidentAnswer},
        Permission.INCIDENTS_DECIDE,
        body=IncidentOutcomeSent,
        idempotent=True,
        refusals=(RefusalCode.INCIDENT_STALE, RefusalCode.INCIDENT_CONTESTED, *_OUTCOME_REFUSALS),
    ),
)
async def set_incident_outcome(request: RequestContext, incident_id: FromPath[str]) -> Reply:
    """Decide what became of the loss, or correct it."""
    sent, service, by = await read_body(request, IncidentOutcomeSent), request.service, request.actor
    told = OutcomeTold(sent.outcome, sent.version, sent.reason, sent.repaid_minor, sent.reference)

    async def run(ref: IncidentRef, reply: IdempotentReply | None) -> Outcome:
        terms = await loss_terms(service.queries, service.policies, ref)
        rules, now = service.incident_rules, service.clock()
        return await decide_incident(service.store, ref, told, terms, rules, by=by, now=now, reply=reply)

    return await _done(request, incident_id, sent, run)


@post(
    "/v1/incidents/{incident_id:str}/recoveries",
    tags=_TAG,
    summary="Record a recovery attempt",
    description="What came of an attempt to get back what the shop owes. Attempts have an end, by days and by number; "
    "the last one writes off what it leaves. Money that comes later is recorded too.",
    opt=operation(
        {200: IncidentAnswer},
        Permission.INCIDENTS_DECIDE,
        body=IncidentRecoverySent,
        idempotent=True,
        refusals=(
            RefusalCode.NOTHING_TO_RECOVER,
            RefusalCode.RECOVERY_EXCEEDS_RECEIVABLE,
            RefusalCode.INCIDENT_CONTESTED,
        ),
    ),
)
async def record_incident_recovery(request: RequestContext, incident_id: FromPath[str]) -> Reply:
    """Record an attempt and what came of it."""
    sent, service, by = await read_body(request, IncidentRecoverySent), request.service, request.actor
    tried = RecoveryTried(sent.amount_minor, sent.reference, sent.note)
    return await _done(
        request,
        incident_id,
        sent,
        lambda ref, reply: record_recovery(
            service.store, ref, tried, service.incident_rules, by=by, now=service.clock(), reply=reply
        ),
    )


@post(
    "/v1/incidents/{incident_id:str}/contest",
    tags=_TAG,
    summary="Contest an incident",
    description="By the shop that is charged, until `contest_until`. Somebody who did not decide it answers; recovery "
    "rests until then. It is listed with the shop's complaints.",
    opt=operation(
        {200: IncidentAnswer},
        Permission.INCIDENTS_WRITE,
        body=IncidentContestSent,
        idempotent=True,
        refusals=(RefusalCode.INCIDENT_CONTESTED, RefusalCode.INCIDENT_NOT_CONTESTABLE),
    ),
)
async def contest_an_incident(request: RequestContext, incident_id: FromPath[str]) -> Reply:
    """Contest what the shop is charged."""
    sent, service = await read_body(request, IncidentContestSent), request.service
    by = request.actor_for(sent.acting_for, sent.person)
    return await _done(
        request,
        incident_id,
        sent,
        lambda ref, reply: contest_incident(
            service.store,
            ref,
            sent.reason,
            service.incident_rules,
            by=by,
            now=service.clock(),
            shop_id=request.own_shop,
            reply=reply,
        ),
    )


@post(
    "/v1/incidents/{incident_id:str}/contest/answer",
    tags=_TAG,
    summary="Answer the contest of an incident",
    description="By another person than who decided. `upheld` comes with the outcome that holds from now on, which "
    "charges the shop less; it is posted as a correction. The answer is final.",
    opt=operation(
        {200: IncidentAnswer},
        Permission.INCIDENTS_DECIDE,
        body=IncidentContestAnswerSent,
        idempotent=True,
        refusals=(
            RefusalCode.INCIDENT_NOT_CONTESTED,
            RefusalCode.SECOND_PERSON_NEEDED,
            RefusalCode.INCIDENT_ANSWER_INCOMPLETE,
            *_OUTCOME_REFUSALS,
        ),
    ),
)
async def answer_incident_contest(request: RequestContext, incident_id: FromPath[str]) -> Reply:
    """Uphold or reject what the shop says."""
    sent, service, by = await read_body(request, IncidentContestAnswerSent), request.service, request.actor
    told = None
    if (to := sent.corrected) is not None:
        told = OutcomeTold(to.outcome, 0, to.reason, to.repaid_minor, to.reference)
    said = ContestAnswer(sent.verdict is ContestOutcome.UPHELD, sent.answer, told)

    async def run(ref: IncidentRef, reply: IdempotentReply | None) -> Outcome:
        terms = await loss_terms(service.queries, service.policies, ref)
        rules, now = service.incident_rules, service.clock()
        return await answer_contest(service.store, ref, said, terms, rules, by=by, now=now, reply=reply)

    return await _done(request, incident_id, sent, run)


_Command = Callable[[IncidentRef, IdempotentReply | None], Awaitable[Outcome]]


async def _done(request: RequestContext, incident_id: str, sent: object, command: _Command) -> Reply:
    ref = _ref(incident_id)
    if ref is None:
        return not_found()
    return await respond(
        request,
        sent,
        lambda reply: command(ref, reply),
        lambda done: incident_view.rendered(request, done),
        shaping=(incident_id,),
    )


def _ref(incident_id: str) -> IncidentRef | None:
    known = read_uuid(incident_id)
    return IncidentRef(lane_of_id(known), known) if known is not None else None


HANDLERS = (
    list_incidents,
    get_incident,
    add_incident_evidence,
    record_incident_contact,
    set_incident_outcome,
    record_incident_recovery,
    contest_an_incident,
    answer_incident_contest,
)
_CORRECTED = CorrectedOutcomeSent(outcome=IncidentOutcome.BORNE_BY_PLATFORM, reason="The signal came late.")
EXAMPLES = (
    IncidentEvidenceSent(text="The depot says that it stopped the parcel.", references=("https://carrier.example/42",)),
    IncidentContactSent(channel=ContactChannel.PHONE, note="Will send it back.", contacted_at=sample.REFUNDED_AT),
    IncidentOutcomeSent(version=1, outcome=IncidentOutcome.BORNE_BY_SHOP, reason="The signal was an hour old."),
    IncidentRecoverySent(amount_minor=9000, reference="SETTLEMENT-7", note="Kept back."),
    IncidentContestSent(reason="The depot had stopped the parcel."),
    _CORRECTED,
    IncidentContestAnswerSent(verdict=ContestOutcome.UPHELD, answer="The depot confirms it.", corrected=_CORRECTED),
    IncidentPage(incidents=(incident_view.INCIDENT,), next=None),
    *incident_view.EXAMPLES,
)
