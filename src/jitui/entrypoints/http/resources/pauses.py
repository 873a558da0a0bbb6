"""Pauses: instant approvals are stopped for a place."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

from litestar.params import FromPath
from msgspec import Meta

from jitui.aftersales.governance.pauses import Lifter, LiftRefusal, propose_lift
from jitui.aftersales.governance.pauses import lift_pause as lift_at_once
from jitui.aftersales.governance.proposals import Proposal
from jitui.aftersales.governance.refusals import refusal_of
from jitui.aftersales.governance.registry import Pause, Scope
from jitui.aftersales.outcomes import RefusalCode
from jitui.entrypoints.http.fields import IdOrNone, Time, Why, may_name
from jitui.entrypoints.http.mapping import shown
from jitui.entrypoints.http.operation import delete, get, operation, post
from jitui.entrypoints.http.problems import not_found, refuse
from jitui.entrypoints.http.read_body import read_body
from jitui.entrypoints.http.reply import NO_CONTENT, Reply, answer
from jitui.entrypoints.http.request import RequestContext
from jitui.entrypoints.http.resources import sample
from jitui.entrypoints.http.resources.proposals import PolicyProposal, proposal_answer
from jitui.entrypoints.http.resources.shared import Sent, Shown, check_place
from jitui.identity.access import Permission


class PauseSent(Sent, frozen=True, kw_only=True):
    """Stops instant approvals for a place; `ref` is empty for the platform."""

    scope: Scope
    reason: Why
    ref: Annotated[IdOrNone, Meta(description="The shop, category, item or region; empty for the platform.")] = ""
    ends_at: Time | None = None
    lift_by: Annotated[
        Literal["risk", "operator"] | None, Meta(description="Only people of this role lift it; null: all who may.")
    ] = None


class PauseLiftSent(Sent, frozen=True, kw_only=True):
    """The place whose pause is to be lifted, and why."""

    scope: Scope
    reason: Why
    ref: Annotated[IdOrNone, Meta(description="The shop, category, item or region; empty for the platform.")] = ""


class PauseAnswer(Shown, frozen=True, kw_only=True):
    """A pause in force."""

    scope: Scope
    ref: str
    reason: str
    set_by: str
    set_at: datetime
    ends_at: datetime | None
    lift_by: str | None


class PauseList(Shown, frozen=True, kw_only=True):
    """All pauses in force."""

    pauses: tuple[PauseAnswer, ...]


_TAG = ["Pauses"]
_LIFTING = (RefusalCode.SECOND_PERSON_NEEDED, RefusalCode.STEP_NOT_POSSIBLE)


@post(
    "/v1/pauses",
    tags=_TAG,
    summary="Pause instant refunds for a place",
    description="Every request there goes to review from the next one on. Idempotent by nature: a place is paused "
    "or it is not; pausing again replaces the reason, and never brings the end forward. A second person confirms it "
    "within a day.",
    opt=operation({200: PauseAnswer}, Permission.PAUSES_WRITE, body=PauseSent),
)
async def set_pause(request: RequestContext) -> Reply:
    """Stop instant approvals for a place."""
    sent = await read_body(request, PauseSent)
    check_place(sent.scope.value, sent.ref)
    service = request.service
    now = service.clock()
    if sent.ends_at is not None and sent.ends_at <= now:
        raise refuse("ends_at", "Expected a time that is still to come.")
    pause = Pause(sent.scope, sent.ref, sent.reason, request.actor.id, now, sent.ends_at, sent.lift_by)
    return answer(shown(PauseAnswer, await service.registry.set_pause(pause)))


@get("/v1/pauses", tags=_TAG, summary="List pauses", opt=operation({200: PauseList}, Permission.PAUSES_READ))
async def list_pauses(request: RequestContext) -> Reply:
    """Return the pauses in force."""
    pauses = await request.service.registry.pauses(request.service.clock())
    return answer(PauseList(pauses=tuple(shown(PauseAnswer, pause) for pause in pauses)))


@delete(
    "/v1/pauses/{place:str}/{ref:str}",
    tags=_TAG,
    summary="Lift a pause",
    description="`place` is the scope: shop, category, item or region. 404 when nothing is paused there. Where two "
    "people approve it is refused: propose it.",
    opt=operation({204: None}, Permission.PAUSES_WRITE, refusals=_LIFTING),
)
async def lift_pause(request: RequestContext, place: FromPath[str], ref: FromPath[str]) -> Reply:
    """End the pause of a shop, category, item or region."""
    if place not in set(Scope) - {Scope.PLATFORM} or not may_name(ref):
        return not_found()
    return await _lift(request, Scope(place), ref)


@delete(
    "/v1/pauses/platform",
    tags=_TAG,
    summary="Lift the pause of the whole platform",
    description="As the pause of any other place.",
    opt=operation({204: None}, Permission.PAUSES_WRITE, refusals=_LIFTING),
)
async def lift_platform_pause(request: RequestContext) -> Reply:
    """Let instant approvals go on everywhere."""
    return await _lift(request, Scope.PLATFORM, "")


async def _lift(request: RequestContext, scope: Scope, ref: str) -> Reply:
    service = request.service
    done = await lift_at_once(
        service.registry, service.policies, (scope, ref), by=_lifter(request), now=service.clock()
    )
    if done is None:
        return NO_CONTENT
    return not_found() if done is LiftRefusal.NOT_PAUSED else refusal_of(done)


@post(
    "/v1/pauses/proposed-lifts",
    tags=_TAG,
    summary="Propose to lift a pause",
    description="A second person's approval of the proposal lifts it. Proposed again it is the same proposal.",
    opt=operation(
        {201: PolicyProposal},
        Permission.POLICIES_STOP,
        body=PauseLiftSent,
        refusals=(RefusalCode.STEP_NOT_POSSIBLE,),
    ),
)
async def propose_pause_lift(request: RequestContext) -> Reply:
    """Propose that instant approvals go on in a place."""
    sent = await read_body(request, PauseLiftSent)
    check_place(sent.scope.value, sent.ref)
    service = request.service
    done = await propose_lift(
        service.registry,
        service.proposals,
        (sent.scope, sent.ref),
        by=_lifter(request),
        now=service.clock(),
        reason=sent.reason,
    )
    if isinstance(done, Proposal):
        return answer(proposal_answer(done), 201)
    return not_found() if done is LiftRefusal.NOT_PAUSED else refusal_of(done)


def _lifter(request: RequestContext) -> Lifter:
    role = request.key.role if request.key is not None else None
    return Lifter(request.actor.id, role.value if role is not None else None)


HANDLERS = (set_pause, list_pauses, lift_pause, lift_platform_pause, propose_pause_lift)

_PAUSE = PauseAnswer(
    scope=Scope.SHOP,
    ref="s-1",
    reason="Stock system is being moved.",
    set_by="shop desk",
    set_at=sample.PAID_AT,
    ends_at=None,
    lift_by=None,
)
EXAMPLES = (
    PauseLiftSent(scope=Scope.SHOP, ref="s-1", reason="The stock system has been moved."),
    PauseSent(scope=Scope.SHOP, ref="s-1", reason="Stock system is being moved."),
    _PAUSE,
    PauseList(pauses=(_PAUSE,)),
)
