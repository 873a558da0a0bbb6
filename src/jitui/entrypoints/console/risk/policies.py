"""Policies for the people who publish them: what is in force, what waits for somebody, and the steps taken at once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from enum import StrEnum
from urllib.parse import quote
from uuid import UUID

from litestar import get, post
from litestar.exceptions import NotFoundException, ValidationException
from litestar.params import FromPath
from litestar.response import Response

from jitui.aftersales.governance import rollout
from jitui.aftersales.governance.confirmations import Confirmation, ConfirmRefusal
from jitui.aftersales.governance.pauses import Lifter, LiftRefusal, lift_pause, propose_lift
from jitui.aftersales.governance.policies import PolicyText
from jitui.aftersales.governance.proposals import MOST_OPEN, NOT_CLOSED, Proposal
from jitui.aftersales.governance.publication import Authority, InForce, LogAction, Stage, in_force, once_live
from jitui.aftersales.governance.publishing import NotAlone
from jitui.aftersales.governance.registry import Pause, Scope
from jitui.aftersales.governance.shadowing import ShadowNow, shadow_now
from jitui.aftersales.governance.text_states import TextState, state_of
from jitui.entrypoints.console.page.access import may, needs
from jitui.entrypoints.console.page.form import Form
from jitui.entrypoints.console.page.typed import one_line
from jitui.entrypoints.console.page.visit import Page, Visit, Visiting, go_to, show
from jitui.entrypoints.console.words.audit import ACTION_WORDS
from jitui.identity.access import Permission
from jitui.text import why_no_id

PATH = "/risk/policies"
LONGEST_REASON = 500
ROWS = 50
PAUSE_HOURS = (0, 1, 4, 24, 72)
"""The lengths that a pause can have on the page; 0: until it is lifted."""


def _(message: str) -> str:
    return message


REASON_NEEDED = _("Please write why, in up to 500 characters, for the people who will ask.")
_PLACE_NEEDED = _("Please enter which shop, category, item or region, without spaces; the platform has no number.")
_PLACE_UNKNOWN = _("Nothing here has this number. Please check it, or tick that it is to be paused all the same.")
_CHECKED = (Scope.SHOP, Scope.CATEGORY)
"""Which places are described here; an item or a region is known by orders and buyers alone."""


@dataclass(frozen=True, slots=True)
class Tried:
    """A step that was not taken: which one, the words that were written, and why not."""

    step: str
    reason: str
    problem: str
    sent: Mapping[str, str] = field(default_factory=dict)
    """The fields of its form beside the reason, where the form is filled in again."""


def path_of_text(text: PolicyText) -> str:
    """The address of a text's page."""
    return f"{PATH}/texts/{quote(text.policy_id, safe='')}/{quote(text.version, safe='')}"


def path_of_proposal(proposal_id: UUID) -> str:
    """The address of a proposal's page."""
    return f"{PATH}/proposals/{proposal_id}"


@get("/policies", opt=needs(Permission.POLICIES_READ))
async def policies(visit: Visiting) -> Page:
    """What is in force, what waits for somebody, the texts and the log."""
    return await _page(visit)


@post("/policies/roll-back", opt=needs(Permission.POLICIES_STOP), status_code=303)
async def roll_back(visit: Visiting, data: Form) -> Response[str]:
    """Bring back the text that was live before the one that was seen live."""
    service, reason = visit.service, one_line(data.get("reason", ""))
    if not _is_reason(reason):
        return await _refused(visit, "roll_back", reason, REASON_NEEDED)
    done = await rollout.roll_back(
        service.policies, by=visit.reader.name, now=service.clock(), reason=reason, version=data.get("version", "")
    )
    return await _after(visit, "roll_back", reason, done)


@post("/policies/stop", opt=needs(Permission.POLICIES_STOP), status_code=303)
async def stop(visit: Visiting, data: Form) -> Response[str]:
    """End the canary or the shadow that was seen."""
    service, reason = visit.service, one_line(data.get("reason", ""))
    stage, publication = _stage(data.get("stage", "")), _number(data.get("publication", ""))
    if not _is_reason(reason):
        return await _refused(visit, stage.value, reason, REASON_NEEDED)
    done = await rollout.stop(
        service.policies,
        stage,
        by=visit.reader.name,
        now=service.clock(),
        reason=reason,
        publication=publication,
    )
    return await _after(visit, stage.value, reason, done)


@post("/policies/cancel", opt=needs(Permission.POLICIES_STOP), status_code=303)
async def cancel(visit: Visiting, data: Form) -> Response[str]:
    """Call a scheduled publication off."""
    service, reason, number = visit.service, one_line(data.get("reason", "")), _number(data.get("publication", ""))
    if not _is_reason(reason):
        return await _refused(visit, f"cancel-{number}", reason, REASON_NEEDED)
    done = await rollout.cancel(service.policies, number, by=visit.reader.name, now=service.clock(), reason=reason)
    return await _after(visit, f"cancel-{number}", reason, done)


@post("/policies/confirmations/{confirmation_id:uuid}", opt=needs(Permission.POLICIES_APPROVE), status_code=303)
async def confirm(visit: Visiting, confirmation_id: FromPath[UUID], data: Form) -> Response[str]:
    """Confirm, as the second person, what somebody did at once; back to the page that it was confirmed on."""
    service = visit.service
    done = await service.confirmations.confirm(confirmation_id, by=visit.reader.name, now=service.clock())
    if done is ConfirmRefusal.NOTHING_TO_CONFIRM:
        raise NotFoundException
    if isinstance(done, Confirmation):
        return go_to(data.get("back", PATH), otherwise=PATH)
    return await _after(visit, "confirm", "", done)


@post("/policies/pauses", opt=needs(Permission.PAUSES_WRITE), status_code=303)
async def set_pause(visit: Visiting, data: Form) -> Response[str]:
    """Stop instant refunds for a place, at once."""
    service, reason = visit.service, one_line(data.get("reason", ""))
    scope, ref = _scope(data), data.get("ref", "").strip()
    if not _is_reason(reason):
        return await _refused(visit, "pause", reason, REASON_NEEDED, sent=data)
    if (scope is Scope.PLATFORM) != (ref == "") or (ref and why_no_id(ref) is not None):
        return await _refused(visit, "pause", reason, _PLACE_NEEDED, sent=data)
    if scope in _CHECKED and data.get("anyway") != "yes" and not await service.registry.knows_place(scope, ref):
        return await _refused(visit, "pause", reason, _PLACE_UNKNOWN, sent={**data, "may_tick": "yes"})
    now, hours = service.clock(), _number(data.get("hours", "0"))
    ends_at = now + timedelta(hours=hours) if 0 < hours <= max(PAUSE_HOURS) else None
    await service.registry.set_pause(Pause(scope, ref, reason, visit.reader.name, now, ends_at))
    return go_to(PATH)


@post("/policies/pauses/lift", opt=needs(Permission.PAUSES_WRITE), status_code=303)
async def end_pause(visit: Visiting, data: Form) -> Response[str]:
    """Lift a pause where one person may, and propose to lift it where two people approve."""
    service, reason, place = visit.service, one_line(data.get("reason", "")), (_scope(data), data.get("ref", ""))
    step = f"lift-{place[0].value}-{place[1]}"
    if not _is_reason(reason):
        return await _refused(visit, step, reason, REASON_NEEDED)
    by, now = Lifter(visit.reader.name, visit.reader.role.value), service.clock()
    done: Proposal | LiftRefusal | NotAlone | None
    done = await lift_pause(service.registry, service.policies, place, by=by, now=now)
    if done is NotAlone.NEEDS_SECOND_PERSON:
        done = await propose_lift(service.registry, service.proposals, place, by=by, now=now, reason=reason)
    if isinstance(done, Proposal):
        return go_to(path_of_proposal(done.proposal_id))
    return await _after(visit, step, reason, done)


async def _after(visit: Visit, step: str, reason: str, done: object) -> Response[str]:
    """Back to the page, which says why where nothing was done."""
    if isinstance(done, StrEnum):
        return await _page(visit, Tried(step, reason, visit.speech.word(done)), status_code=409)
    return go_to(PATH)


async def _refused(
    visit: Visit, step: str, reason: str, problem: str, *, sent: Mapping[str, str] | None = None
) -> Page:
    return await _page(visit, Tried(step, reason, visit.speech.say(problem), sent or {}), status_code=422)


@dataclass(frozen=True, slots=True)
class PolicyLog:
    """What decides now and what was live, by the database's clock, and the proposals that are not closed."""

    standing: InForce | None
    were_live: frozenset[str]
    waiting: Sequence[Proposal]

    def state_of(self, text: PolicyText) -> TextState:
        """Where a text is in its life."""
        return state_of(text, self.standing, self.were_live, self.waiting)


async def read_log(visit: Visit) -> PolicyLog:
    """Read the log and the proposals once, for all texts of a page."""
    policies, read_at = visit.service.policies, (await visit.service.policies.standing()).read_at
    log = tuple(await policies.log())
    waiting = await visit.service.proposals.list(states=NOT_CLOSED, limit=MOST_OPEN)
    return PolicyLog(in_force(log, read_at), once_live(log, read_at), waiting)


async def _page(visit: Visit, tried: Tried | None = None, *, status_code: int = 200) -> Page:
    service, now = visit.service, visit.service.clock()
    known = await read_log(visit)
    found = known.standing
    shadow: ShadowNow | None = None
    if found is not None and found.shadow is not None:
        shadow = await shadow_now(service.policies, service.queries)
    guards = () if found is None or found.canary is None else await service.canary_guards.seen(found.canary.publication)
    return show(
        visit,
        "risk/policies.html",
        status_code=status_code,
        standing=found,
        shadow=shadow,
        guards=guards,
        proposals=known.waiting[:ROWS],
        confirmations=await service.confirmations.open(limit=ROWS),
        pauses=await service.registry.pauses(now),
        texts=await service.policies.texts(limit=ROWS),
        state_of=known.state_of,
        log=await service.policies.publications(before=None, limit=ROWS),
        tried=tried,
        scopes=tuple(Scope),
        pause_hours=PAUSE_HOURS,
        action_words=ACTION_WORDS,
        LogAction=LogAction,
        Stage=Stage,
        Authority=Authority,
        may_stop=may(visit, Permission.POLICIES_STOP),
        may_write=may(visit, Permission.POLICIES_WRITE),
        may_confirm=may(visit, Permission.POLICIES_APPROVE),
        may_read_tickets=may(visit, Permission.TICKETS_READ),
        may_pause=may(visit, Permission.PAUSES_WRITE),
        path_of_text=path_of_text,
        now=now,
    )


def _is_reason(reason: str) -> bool:
    return 0 < len(reason) <= LONGEST_REASON


def _stage(text: str) -> Stage:
    if text not in (Stage.SHADOW, Stage.CANARY):
        raise ValidationException
    return Stage(text)


def _scope(data: dict[str, str]) -> Scope:
    try:
        return Scope(data.get("scope", ""))
    except ValueError as error:
        raise ValidationException from error


def _number(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) < 19):
        raise ValidationException
    return int(text)


HANDLERS = (policies, roll_back, stop, cancel, confirm, set_pause, end_pause)
