"""The platform's allow and deny lists of buyers."""

from __future__ import annotations

from datetime import datetime
from typing import Literal
from uuid import UUID

from litestar.params import FromPath

from jitui.aftersales.governance.loosening import propose_allowing
from jitui.aftersales.governance.loosening import select_buyer as put_on_list
from jitui.aftersales.governance.proposals import Proposal
from jitui.aftersales.governance.publishing import NotAlone
from jitui.aftersales.governance.refusals import refusal_of
from jitui.aftersales.governance.registry import new_selection
from jitui.aftersales.outcomes import RefusalCode
from jitui.entrypoints.http.fields import Id, Text, Why, read_uuid
from jitui.entrypoints.http.mapping import shown
from jitui.entrypoints.http.operation import get, operation, post, put
from jitui.entrypoints.http.problems import not_found
from jitui.entrypoints.http.read_body import read_body
from jitui.entrypoints.http.reply import Reply, answer
from jitui.entrypoints.http.request import RequestContext
from jitui.entrypoints.http.resources import sample
from jitui.entrypoints.http.resources.proposals import PolicyProposal, proposal_answer
from jitui.entrypoints.http.resources.shared import Sent, Shown, id_of_address
from jitui.identity.access import Permission


class SelectionSent(Sent, frozen=True, kw_only=True):
    """Put a buyer on the allow or the deny list."""

    verdict: Literal["allow", "deny"]
    reason: Text = ""


class AllowProposalSent(Sent, frozen=True, kw_only=True):
    """The buyer who is to be put on the allow list, and why."""

    buyer_id: Id
    reason: Why


class SelectionAnswer(Shown, frozen=True, kw_only=True):
    """A buyer on one of the platform's lists."""

    selection_id: UUID
    buyer_id: str
    verdict: str
    reason: str
    set_by: str
    set_at: datetime
    proposed: bool = False


_TAG = ["Restrictions and lists"]


@put(
    "/v1/selection/{buyer_id:str}",
    tags=_TAG,
    summary="Put a buyer on a list",
    description="`allow` overrides the hold-out, `deny` sends every request to review; a second person confirms `deny` "
    "within a day. Where two people approve, `allow` is refused: propose it.",
    opt=operation(
        {200: SelectionAnswer},
        Permission.RESTRICTIONS_WRITE,
        body=SelectionSent,
        refusals=(RefusalCode.SECOND_PERSON_NEEDED,),
    ),
)
async def select_buyer(request: RequestContext, buyer_id: FromPath[str]) -> Reply:
    """Put a buyer on the allow or the deny list."""
    sent = await read_body(request, SelectionSent)
    buyer_id, service = id_of_address("buyer_id", buyer_id), request.service
    row = new_selection(buyer_id, sent.verdict, sent.reason, request.actor.id, service.clock())
    done = await put_on_list(service.registry, service.policies, row)
    return refusal_of(done) if isinstance(done, NotAlone) else answer(shown(SelectionAnswer, row, selection_id=done))


@get(
    "/v1/selection-entries/{selection_id:str}",
    tags=_TAG,
    summary="Read an entry of a list",
    description="Who approves that a buyer is allowed, or confirms that one is denied, reads here whom it is about.",
    opt=operation({200: SelectionAnswer}, Permission.POLICIES_READ),
)
async def get_selection_entry(request: RequestContext, selection_id: FromPath[str]) -> Reply:
    """Return one entry, also one that is only proposed."""
    known_id = read_uuid(selection_id)
    found = None if known_id is None else await request.service.registry.selection_entry(known_id)
    return not_found() if found is None else answer(shown(SelectionAnswer, found))


@post(
    "/v1/selection/proposed-allows",
    tags=_TAG,
    summary="Propose to allow a buyer",
    description="A second person's approval of the proposal puts the buyer on the allow list. Proposed again it is the "
    "same proposal.",
    opt=operation(
        {201: PolicyProposal},
        Permission.POLICIES_STOP,
        body=AllowProposalSent,
        refusals=(RefusalCode.STEP_NOT_POSSIBLE,),
    ),
)
async def propose_allow(request: RequestContext) -> Reply:
    """Propose that a buyer is put on the allow list."""
    sent = await read_body(request, AllowProposalSent)
    service, now = request.service, request.service.clock()
    row = new_selection(sent.buyer_id, "allow", sent.reason, request.actor.id, now)
    done = await propose_allowing(service.registry, service.proposals, row, by=request.actor.id, now=now)
    return answer(proposal_answer(done), 201) if isinstance(done, Proposal) else refusal_of(done)


HANDLERS = (select_buyer, get_selection_entry, propose_allow)

EXAMPLES = (
    AllowProposalSent(buyer_id="b-1", reason="Invited."),
    SelectionSent(verdict="allow", reason="Invited."),
    SelectionAnswer(
        selection_id=sample.RESTRICTION_ID,
        buyer_id="b-1",
        verdict="allow",
        reason="Invited.",
        set_by="risk desk",
        set_at=sample.PAID_AT,
    ),
)
