"""The steps in a policy's life that one person takes at once: roll back, stop, call off, shadow, retire."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

from msgspec import Meta

from jitui.aftersales.governance.proposals import ProposalRefusal
from jitui.aftersales.governance.publication import LogEntry, Stage
from jitui.aftersales.governance.refusals import refusal_of
from jitui.aftersales.governance.rollout import StepRefusal, cancel, retire, roll_back, start_shadow, stop
from jitui.aftersales.outcomes import RefusalCode
from jitui.entrypoints.http.fields import Id, Why
from jitui.entrypoints.http.mapping import shown
from jitui.entrypoints.http.operation import operation, post
from jitui.entrypoints.http.problems import not_found
from jitui.entrypoints.http.read_body import read_body
from jitui.entrypoints.http.reply import Reply, answer
from jitui.entrypoints.http.request import RequestContext
from jitui.entrypoints.http.resources.policy_texts import TEXT, TextAnswer, Version, find_text
from jitui.entrypoints.http.resources.shared import Sent, Shown
from jitui.identity.access import Permission


class TextNamed(Sent, frozen=True, kw_only=True):
    """A text by policy and version, and why."""

    policy_id: Id
    version: Version
    reason: Why


class RollBackSent(Sent, frozen=True, kw_only=True):
    """The version that is live and has to go, and why."""

    version: Version
    reason: Why


class StopSent(Sent, frozen=True, kw_only=True):
    """The stage to end, and why."""

    stage: Literal["shadow", "canary"]
    reason: Why


class CancelSent(Sent, frozen=True, kw_only=True):
    """The number of a scheduled publication, and why it is called off."""

    publication: Annotated[int, Meta(ge=1, le=2**62)]
    reason: Why


class StepAnswer(Shown, frozen=True, kw_only=True):
    """The row that a step appended to the publication log."""

    publication: int
    action: str
    stage: str
    policy_id: str
    version: str
    sha256: str
    effective_at: datetime | None
    canary_percent: int | None


_TAG = ["Policies"]
_STEP = (RefusalCode.STEP_NOT_POSSIBLE,)


@post(
    "/v1/policies/roll-back",
    tags=_TAG,
    summary="Bring back the text that was live before",
    description="At once, by one person; a second one confirms it within a day. Sent again it finds another version "
    "live and is refused.",
    opt=operation({200: StepAnswer}, Permission.POLICIES_STOP, body=RollBackSent, refusals=_STEP),
)
async def roll_back_policy(request: RequestContext) -> Reply:
    """Bring back the text that was live before the live one."""
    sent = await read_body(request, RollBackSent)
    service = request.service
    done = await roll_back(
        service.policies, by=request.actor.id, now=service.clock(), reason=sent.reason, version=sent.version
    )
    return step_answer(done)


@post(
    "/v1/policies/stop",
    tags=_TAG,
    summary="End the canary or the shadow",
    description="At once, by one person: the live policy decides for its buyers again.",
    opt=operation({200: StepAnswer}, Permission.POLICIES_STOP, body=StopSent, refusals=_STEP),
)
async def stop_policy(request: RequestContext) -> Reply:
    """End a stage."""
    sent = await read_body(request, StopSent)
    service = request.service
    done = await stop(service.policies, Stage(sent.stage), by=request.actor.id, now=service.clock(), reason=sent.reason)
    return step_answer(done)


@post(
    "/v1/policies/cancel",
    tags=_TAG,
    summary="Call a scheduled publication off",
    opt=operation({200: StepAnswer}, Permission.POLICIES_STOP, body=CancelSent, refusals=_STEP),
)
async def cancel_publication(request: RequestContext) -> Reply:
    """Call a publication off before its moment."""
    sent = await read_body(request, CancelSent)
    service = request.service
    done = await cancel(
        service.policies, sent.publication, by=request.actor.id, now=service.clock(), reason=sent.reason
    )
    return step_answer(done)


@post(
    "/v1/policies/shadow",
    tags=_TAG,
    summary="Let a text decide beside the live policy",
    description="What it decides is recorded and has no effect.",
    opt=operation({200: StepAnswer}, Permission.POLICIES_PROPOSE, body=TextNamed, refusals=_STEP),
)
async def shadow_policy(request: RequestContext) -> Reply:
    """Start a shadow."""
    sent = await read_body(request, TextNamed)
    text = await find_text(request, sent.policy_id, sent.version)
    if text is None:
        return not_found()
    service = request.service
    done = await start_shadow(service.policies, text, by=request.actor.id, now=service.clock(), reason=sent.reason)
    return step_answer(done)


@post(
    "/v1/policies/retire",
    tags=_TAG,
    summary="Retire a text",
    description="It can neither be proposed nor brought back any more. What is in force or scheduled is refused.",
    opt=operation({200: TextAnswer}, Permission.POLICIES_PROPOSE, body=TextNamed, refusals=_STEP),
)
async def retire_policy(request: RequestContext) -> Reply:
    """Retire a text."""
    sent = await read_body(request, TextNamed)
    service = request.service
    text = await find_text(request, sent.policy_id, sent.version)
    if text is None:
        return not_found()
    done = await retire(service.policies, text, by=request.actor.id, now=service.clock(), reason=sent.reason)
    return refusal_of(done) if isinstance(done, StepRefusal) else answer(shown(TextAnswer, done))


def step_answer(done: LogEntry | StepRefusal | ProposalRefusal) -> Reply:
    """The row of a step, or why it was not taken."""
    return answer(shown(StepAnswer, done)) if isinstance(done, LogEntry) else refusal_of(done)


HANDLERS = (roll_back_policy, stop_policy, cancel_publication, shadow_policy, retire_policy)

STEP = StepAnswer(
    publication=2,
    action="publish",
    stage="canary",
    policy_id=TEXT.policy_id,
    version="2",
    sha256=TEXT.sha256,
    effective_at=None,
    canary_percent=5,
)
EXAMPLES = (
    TextNamed(policy_id=TEXT.policy_id, version="2", reason="To see what it would decide."),
    RollBackSent(version="2", reason="More incidents than planned."),
    StopSent(stage="canary", reason="More incidents than planned."),
    CancelSent(publication=3, reason="The consultation goes on."),
    STEP,
)
