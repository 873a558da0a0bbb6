"""Pauses: instant approvals are stopped for a place."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from litestar.params import FromPath
from msgspec import Meta

from jitui.aftersales.governance.registry import Pause, Scope
from jitui.entrypoints.http.fields import IdOrNone, Why, may_name
from jitui.entrypoints.http.mapping import shown
from jitui.entrypoints.http.operation import delete, get, operation, post
from jitui.entrypoints.http.problems import not_found
from jitui.entrypoints.http.read_body import read_body
from jitui.entrypoints.http.reply import NO_CONTENT, Reply, answer
from jitui.entrypoints.http.request import RequestContext
from jitui.entrypoints.http.resources import sample
from jitui.entrypoints.http.resources.shared import Sent, Shown, check_place
from jitui.identity.access import Permission


class PauseSent(Sent, frozen=True, kw_only=True):
    """Stops instant approvals for a place; `ref` is empty for the platform."""

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


class PauseList(Shown, frozen=True, kw_only=True):
    """All pauses in force."""

    pauses: tuple[PauseAnswer, ...]


_TAG = ["Pauses"]


@post(
    "/v1/pauses",
    tags=_TAG,
    summary="Pause instant refunds for a place",
    description="Every request there goes to review from the next one on. Idempotent by nature: a place is paused "
    "or it is not; pausing again replaces the reason.",
    opt=operation({200: PauseAnswer}, Permission.PAUSES_WRITE, body=PauseSent),
)
async def set_pause(request: RequestContext) -> Reply:
    """Stop instant approvals for a place."""
    sent = await read_body(request, PauseSent)
    check_place(sent.scope.value, sent.ref)
    service = request.service
    pause = Pause(sent.scope, sent.ref, sent.reason, request.actor.id, service.clock())
    await service.registry.set_pause(pause)
    return answer(shown(PauseAnswer, pause))


@get("/v1/pauses", tags=_TAG, summary="List pauses", opt=operation({200: PauseList}, Permission.PAUSES_READ))
async def list_pauses(request: RequestContext) -> Reply:
    """Return the pauses in force."""
    pauses = await request.service.registry.pauses()
    return answer(PauseList(pauses=tuple(shown(PauseAnswer, pause) for pause in pauses)))


@delete(
    "/v1/pauses/{place:str}/{ref:str}",
    tags=_TAG,
    summary="Lift a pause",
    description="`place` is the scope: shop, category, item or region. 404 when nothing is paused there.",
    opt=operation({204: None}, Permission.PAUSES_WRITE),
)
async def lift_pause(request: RequestContext, place: FromPath[str], ref: FromPath[str]) -> Reply:
    """End the pause of a shop, category, item or region."""
    if place not in set(Scope) - {Scope.PLATFORM} or not may_name(ref):
        return not_found()
    return NO_CONTENT if await _lift(request, Scope(place), ref) else not_found()


@delete(
    "/v1/pauses/platform",
    tags=_TAG,
    summary="Lift the pause of the whole platform",
    opt=operation({204: None}, Permission.PAUSES_WRITE),
)
async def lift_platform_pause(request: RequestContext) -> Reply:
    """Let instant approvals go on everywhere."""
    return NO_CONTENT if await _lift(request, Scope.PLATFORM, "") else not_found()


async def _lift(request: RequestContext, scope: Scope, ref: str) -> bool:
    service = request.service
    return await service.registry.lift_pause(scope, ref, by=request.actor.id, now=service.clock())


HANDLERS = (set_pause, list_pauses, lift_pause, lift_platform_pause)

_PAUSE = PauseAnswer(
    scope=Scope.SHOP, ref="s-1", reason="Stock system is being moved.", set_by="shop desk", set_at=sample.PAID_AT
)
EXAMPLES = (
    PauseSent(scope=Scope.SHOP, ref="s-1", reason="Stock system is being moved."),
    _PAUSE,
    PauseList(pauses=(_PAUSE,)),
)
