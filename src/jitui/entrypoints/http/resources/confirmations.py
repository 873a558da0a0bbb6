"""What one person did at once to stop or narrow payments, and a second person confirms."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from litestar.params import FromPath

from jitui.aftersales.governance.confirmations import Confirmation, ConfirmRefusal
from jitui.aftersales.governance.refusals import refusal_of
from jitui.aftersales.outcomes import RefusalCode
from jitui.entrypoints.http.fields import read_uuid
from jitui.entrypoints.http.mapping import shown
from jitui.entrypoints.http.operation import get, operation, post
from jitui.entrypoints.http.problems import not_found
from jitui.entrypoints.http.reply import Reply, answer
from jitui.entrypoints.http.request import RequestContext
from jitui.entrypoints.http.resources import sample
from jitui.entrypoints.http.resources.shared import Shown
from jitui.identity.access import Permission

MOST_CONFIRMATIONS = 200


class ConfirmationAnswer(Shown, frozen=True, kw_only=True):
    """What one person did at once, and who confirmed it; `confirm_by` is when that is due."""

    confirmation_id: UUID
    action: str
    subject: str
    reason: str
    done_by: str
    done_at: datetime
    confirm_by: datetime
    confirmed_by: str | None
    confirmed_at: datetime | None


class ConfirmationList(Shown, frozen=True, kw_only=True):
    """What nobody confirmed yet, the first that is due first."""

    confirmations: tuple[ConfirmationAnswer, ...]


_TAG = ["Policies"]


@get(
    "/v1/confirmations",
    tags=_TAG,
    summary="List what is to be confirmed",
    description=f"What one person did at once to stop or narrow payments; at most {MOST_CONFIRMATIONS}.",
    opt=operation({200: ConfirmationList}, Permission.POLICIES_READ),
)
async def list_confirmations(request: RequestContext) -> Reply:
    """Return what nobody confirmed yet."""
    found = await request.service.confirmations.open(limit=MOST_CONFIRMATIONS)
    return answer(ConfirmationList(confirmations=tuple(shown(ConfirmationAnswer, row) for row in found)))


@post(
    "/v1/confirmations/{confirmation_id:str}/confirm",
    tags=_TAG,
    summary="Confirm what somebody else did",
    opt=operation(
        {200: ConfirmationAnswer},
        Permission.POLICIES_APPROVE,
        refusals=(RefusalCode.SECOND_PERSON_NEEDED, RefusalCode.PROPOSAL_CLOSED),
    ),
)
async def confirm_change(request: RequestContext, confirmation_id: FromPath[str]) -> Reply:
    """Confirm as the second person."""
    known_id, service = read_uuid(confirmation_id), request.service
    if known_id is None:
        return not_found()
    done = await service.confirmations.confirm(known_id, by=request.actor.id, now=service.clock())
    if done is ConfirmRefusal.NOTHING_TO_CONFIRM:
        return not_found()
    return answer(shown(ConfirmationAnswer, done)) if isinstance(done, Confirmation) else refusal_of(done)


HANDLERS = (list_confirmations, confirm_change)

_CONFIRMATION = ConfirmationAnswer(
    confirmation_id=sample.CONFIRMATION_ID,
    action="pause.set",
    subject="platform",
    reason="More incidents than planned.",
    done_by="li.na",
    done_at=sample.PAID_AT,
    confirm_by=sample.ASKED_AT,
    confirmed_by=None,
    confirmed_at=None,
)
EXAMPLES = (_CONFIRMATION, ConfirmationList(confirmations=(_CONFIRMATION,)))
