"""Who lifts a pause: where two people approve, one proposes it and another one approves."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from jitui.aftersales.governance.policies import Policies
from jitui.aftersales.governance.proposals import (
    LiftPauseContent,
    Proposal,
    ProposalKind,
    Proposals,
    Proposed,
    propose_once,
)
from jitui.aftersales.governance.publishing import NotAlone
from jitui.aftersales.governance.registry import Registry, Scope


class LiftRefusal(StrEnum):
    """Why a pause was not lifted."""

    NOT_PAUSED = "not_paused"
    ANOTHER_ROLE = "another_role"


@dataclass(frozen=True, slots=True)
class Lifter:
    """Who wants to lift a pause. `role` is None for a key and for the command line, which are nobody's own."""

    name: str
    role: str | None = None


async def lift_pause(
    registry: Registry, policies: Policies, place: tuple[Scope, str], *, by: Lifter, now: datetime
) -> LiftRefusal | NotAlone | None:
    """Lift a pause where one person is enough; None: it was lifted."""
    scope, ref = place
    pause = await registry.find_pause(scope, ref, now)
    if pause is None:
        return LiftRefusal.NOT_PAUSED
    if not await policies.single_person():
        return NotAlone.NEEDS_SECOND_PERSON
    if pause.lift_by is not None and by.role not in (None, pause.lift_by):
        return LiftRefusal.ANOTHER_ROLE
    return None if await registry.lift_pause(scope, ref, by=by.name, now=now) else LiftRefusal.NOT_PAUSED


async def propose_lift(
    registry: Registry, proposals: Proposals, place: tuple[Scope, str], *, by: Lifter, now: datetime, reason: str
) -> Proposal | LiftRefusal:
    """Propose that a pause is lifted; a second person's approval lifts it. Who says it again gets what is open."""
    scope, ref = place
    pause = await registry.find_pause(scope, ref, now)
    if pause is None:
        return LiftRefusal.NOT_PAUSED
    if pause.lift_by is not None and by.role != pause.lift_by:
        return LiftRefusal.ANOTHER_ROLE
    what = Proposed(
        kind=ProposalKind.LIFT_PAUSE,
        subject=f"{scope} {ref}".strip(),
        content=LiftPauseContent(scope.value, ref, pause.set_at),
        evidence={"paused_by": pause.set_by, "paused_for": pause.reason},
    )
    return await propose_once(proposals, what, by=by.name, now=now, reason=reason)
