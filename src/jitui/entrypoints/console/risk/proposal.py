"""One proposal: what is approved, what the second person reads, and the steps under its approval."""

from __future__ import annotations

import re
from asyncio import to_thread
from datetime import datetime
from enum import StrEnum
from functools import partial
from uuid import UUID

from litestar import get, post
from litestar.exceptions import NotFoundException, ValidationException
from litestar.params import FromPath
from litestar.response import Response

from jitui.aftersales.governance.canary_guard import signals_of
from jitui.aftersales.governance.proposals import (
    MOST_CANARY_PERCENT,
    PolicyContent,
    Proposal,
    ProposalKind,
    ProposalRefusal,
    ProposalState,
    schedule,
)
from jitui.aftersales.governance.publishing import Blocked, Blocker
from jitui.aftersales.governance.rollout import publish_approved, start_canary
from jitui.aftersales.model.refund import same_person
from jitui.entrypoints.console.page.access import may, needs
from jitui.entrypoints.console.page.form import Form
from jitui.entrypoints.console.page.typed import one_line
from jitui.entrypoints.console.page.visit import Page, Visit, Visiting, go_to, show
from jitui.entrypoints.console.risk.back_test_list import is_kept, read_headline
from jitui.entrypoints.console.risk.back_test_runs import Against
from jitui.entrypoints.console.risk.policies import LONGEST_REASON, PATH, REASON_NEEDED, Tried, path_of_proposal
from jitui.identity.access import Permission

_HASH = re.compile(r"[0-9a-f]{64}")


def _(message: str) -> str:
    return message


MOMENT_NEEDED = _("Please enter a day and a time that are still to come, or leave them empty.")
PERCENT_NEEDED = _("Please enter a whole number of percent, from 1 to 99.")


@get("/policies/proposals/{proposal_id:uuid}", opt=needs(Permission.POLICIES_READ))
async def proposal(visit: Visiting, proposal_id: FromPath[UUID]) -> Page:
    """What is proposed, with what the second person reads."""
    return await _page(visit, await _found(visit, proposal_id))


@post("/policies/proposals/{proposal_id:uuid}/approve", opt=needs(Permission.POLICIES_APPROVE), status_code=303)
async def approve(visit: Visiting, proposal_id: FromPath[UUID], data: Form) -> Response[str]:
    """Approve what was read: the page's form has its hash."""
    note, seen, service = one_line(data.get("note", "")), data.get("content_hash", ""), visit.service
    if not _HASH.fullmatch(seen) or len(note) > LONGEST_REASON:
        raise ValidationException
    done = await service.proposals.approve(
        proposal_id,
        bytes.fromhex(seen),
        by=visit.reader.name,
        role=visit.reader.role.value,
        now=service.clock(),
        note=note,
    )
    return await _after(visit, proposal_id, "approve", note, done)


@post("/policies/proposals/{proposal_id:uuid}/reject", opt=needs(Permission.POLICIES_APPROVE), status_code=303)
async def reject(visit: Visiting, proposal_id: FromPath[UUID], data: Form) -> Response[str]:
    """Close it without doing what it proposes."""
    return await _close(visit, proposal_id, ProposalState.REJECTED, one_line(data.get("reason", "")))


@post("/policies/proposals/{proposal_id:uuid}/withdraw", opt=needs(Permission.POLICIES_PROPOSE), status_code=303)
async def withdraw(visit: Visiting, proposal_id: FromPath[UUID], data: Form) -> Response[str]:
    """Take one's own proposal back."""
    return await _close(visit, proposal_id, ProposalState.WITHDRAWN, one_line(data.get("reason", "")))


@post("/policies/proposals/{proposal_id:uuid}/schedule", opt=needs(Permission.POLICIES_PROPOSE), status_code=303)
async def reschedule(visit: Visiting, proposal_id: FromPath[UUID], data: Form) -> Response[str]:
    """Propose another moment; an approval that it had is void."""
    service, text = visit.service, data.get("effective_at", "")
    moment = moment_in(visit, text)
    if text and (moment is None or moment <= service.clock()):
        return await _refused(visit, proposal_id, "schedule", text, MOMENT_NEEDED)
    done = await schedule(service.proposals, proposal_id, moment, by=visit.reader.name, now=service.clock())
    return await _after(visit, proposal_id, "schedule", text, done)


@post("/policies/proposals/{proposal_id:uuid}/canary", opt=needs(Permission.POLICIES_PROPOSE), status_code=303)
async def canary(visit: Visiting, proposal_id: FromPath[UUID], data: Form) -> Response[str]:
    """Let the approved text decide for a share of the buyers."""
    service, text = visit.service, data.get("percent", "").strip()
    percent = percent_in(text)
    if not percent:
        return await _refused(visit, proposal_id, "canary", text, PERCENT_NEEDED)
    done = await start_canary(
        service.policies,
        service.proposals,
        proposal_id,
        percent,
        by=visit.reader.name,
        now=service.clock(),
        signals=partial(signals_of, service.policies, service.canary_guards),
    )
    return await _after(visit, proposal_id, "canary", text, done)


@post("/policies/proposals/{proposal_id:uuid}/publish", opt=needs(Permission.POLICIES_PROPOSE), status_code=303)
async def publish(visit: Visiting, proposal_id: FromPath[UUID]) -> Response[str]:
    """Make the approved text the live one, at once or from the moment on that was approved."""
    service = visit.service
    done = await publish_approved(
        service.policies, service.proposals, proposal_id, by=visit.reader.name, now=service.clock()
    )
    return await _after(visit, proposal_id, "publish", "", done)


async def _close(visit: Visit, proposal_id: UUID, state: ProposalState, reason: str) -> Response[str]:
    service = visit.service
    if not 0 < len(reason) <= LONGEST_REASON:
        return await _refused(visit, proposal_id, state.value, reason, REASON_NEEDED)
    done = await service.proposals.close(proposal_id, state, by=visit.reader.name, now=service.clock(), reason=reason)
    return await _after(visit, proposal_id, state.value, reason, done)


async def _after(visit: Visit, proposal_id: UUID, step: str, text: str, done: object) -> Response[str]:
    if done is ProposalRefusal.NOT_FOUND:
        raise NotFoundException
    if isinstance(done, Blocked):
        tried = Tried(step, text, visit.speech.say(_("This stands against it; nothing was done.")))
        return await _page(visit, await _found(visit, proposal_id), tried, done.blockers, status_code=409)
    if isinstance(done, StrEnum):
        tried = Tried(step, text, visit.speech.word(done))
        return await _page(visit, await _found(visit, proposal_id), tried, status_code=409)
    return go_to(path_of_proposal(proposal_id))


async def _refused(visit: Visit, proposal_id: UUID, step: str, text: str, problem: str) -> Page:
    tried = Tried(step, text, visit.speech.say(problem))
    return await _page(visit, await _found(visit, proposal_id), tried, status_code=422)


async def _found(visit: Visit, proposal_id: UUID) -> Proposal:
    found = await visit.service.proposals.find(proposal_id)
    if found is None:
        raise NotFoundException
    return found


async def _page(
    visit: Visit,
    found: Proposal,
    tried: Tried | None = None,
    blockers: tuple[Blocker, ...] = (),
    *,
    status_code: int = 200,
) -> Page:
    content: PolicyContent | None = found.policy if found.kind is ProposalKind.POLICY else None
    is_own = same_person(found.proposed_by, visit.reader.name)
    headline = read_headline(found.evidence.get("backtest"))
    return show(
        visit,
        "risk/proposal.html",
        status_code=status_code,
        proposal=found,
        content=content,
        other_content={} if content is not None else found.content_fields,
        tried=tried,
        blockers=blockers,
        is_own=is_own,
        headline=headline,
        is_kept=headline is not None and await to_thread(is_kept, visit, headline.run_id),
        Against=Against,
        may_approve=may(visit, Permission.POLICIES_APPROVE),
        may_propose=may(visit, Permission.POLICIES_PROPOSE),
        policies_path=PATH,
        now=visit.service.clock(),
    )


def moment_in(visit: Visit, text: str) -> datetime | None:
    """The moment of a field for day and time, in the page's zone; None for another text."""
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        return None
    return found.replace(tzinfo=visit.speech.zone) if found.tzinfo is None else None


def percent_in(text: str) -> int | None:
    """A share in whole percent; None for another text."""
    known = text.isascii() and text.isdigit() and len(text) < 3
    return int(text) if known and int(text) <= MOST_CANARY_PERCENT else None


HANDLERS = (proposal, approve, reject, withdraw, reschedule, canary, publish)
