"""One buyer: what decisions read, cap, restrictions and appeals, linked accounts, tickets; and what is decided."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from typing import Any
from uuid import UUID

from litestar import get, post
from litestar.exceptions import NotFoundException, ValidationException
from litestar.params import FromPath
from litestar.response import Response

from jitui.aftersales.governance.appeals import (
    LONGEST_ANSWER,
    LONGEST_APPEAL,
    Appeal,
    AppealDecision,
    AppealFilter,
    AppealState,
    new_appeal,
)
from jitui.aftersales.governance.buyer_profile import OF_BUYER, BuyerProfile, read_profile
from jitui.aftersales.governance.complaint import ContestOutcome
from jitui.aftersales.governance.loosening import lift_restriction, propose_lifting
from jitui.aftersales.governance.proposals import MOST_OPEN, NOT_CLOSED, Proposal, ProposalKind
from jitui.aftersales.governance.registry import Evidence, Restriction
from jitui.aftersales.governance.statement_of_reasons import statement_of
from jitui.aftersales.model.refund import same_person
from jitui.aftersales.outcomes import Refusal, RefusalCode
from jitui.entrypoints.console.page.access import may, needs
from jitui.entrypoints.console.page.form import Form
from jitui.entrypoints.console.page.typed import one_line, several_lines
from jitui.entrypoints.console.page.visit import Page, Visit, Visiting, go_to, show
from jitui.entrypoints.console.risk.buyers import PATH, STATE_WORDS, confirmations_of, is_known, path_of_buyer
from jitui.entrypoints.console.risk.form import Refused
from jitui.entrypoints.console.risk.policies import LONGEST_REASON, REASON_NEEDED, path_of_proposal
from jitui.entrypoints.console.risk.proposal import MOMENT_NEEDED, moment_in
from jitui.identity.access import Permission
from jitui.identity.audit import AuditAction
from jitui.ids import lane_of, lane_of_id, new_id
from jitui.policy import decision_from_json, explain
from jitui.text import why_no_id

TICKETS, DECISIONS, MOST_APPEALS, MOST_EVIDENCE = 10, 3, 200, 100
USUAL_DAYS = 90
"""How long a restriction is at first in the form."""


def _(message: str) -> str:
    return message


_CHANGED = _("A restriction of this buyer was set or lifted since you opened this page. This is how it stands now.")
_OWN = _("You set this restriction. Another person decides the appeal against it.")
_OPEN_ALREADY = _("An appeal against this restriction is open already. It is answered first.")
_OVER = _("This restriction is over, so that nothing is left to contest.")
_DECIDED = _("Somebody has decided this appeal already. This is how it stands now.")
_ORDERS_NEEDED = _("Please enter at most 100 order ids, each on a line of its own and without spaces.")
_ORDERS_UNKNOWN = _(
    "No order has this id: %(ids)s. Please correct it, or take it out; the note can say what else there is."
)
_ANSWER_NEEDED = _("Please choose a verdict, and write your reason in up to 500 characters. The buyer reads it.")
_APPEAL_NEEDED = _("Please write what the buyer says, in up to 2,000 characters.")


@get("/buyers/{buyer_id:str}", opt=needs(Permission.BUYERS_READ))
async def buyer_page(visit: Visiting, buyer_id: FromPath[str]) -> Page:
    """The buyer's profile."""
    return await _page(visit, await _known(visit, buyer_id))


@post("/buyers/{buyer_id:str}/restrictions", opt=needs(Permission.RESTRICTIONS_WRITE), status_code=303)
async def restrict(visit: Visiting, buyer_id: FromPath[str], data: Form) -> Response[str]:
    """Withdraw the service at once; the same form sent again is the same restriction."""
    await _known(visit, buyer_id)
    service, restriction_id = visit.service, _id_of_form(data, buyer_id)
    typed = {
        "reason": one_line(data.get("reason", "")),
        "ends_at": data.get("ends_at", "").strip(),
        "orders": several_lines(data.get("orders", "")),
        "note": one_line(data.get("note", "")),
    }
    rows = await service.registry.restrictions_of(buyer_id)
    if any(row.restriction_id == restriction_id for row in rows):
        return go_to(path_of_buyer(buyer_id))
    made = _restriction(visit, buyer_id, restriction_id, typed)
    if isinstance(made, str):
        return await _refused(visit, buyer_id, "restrict", typed, made)
    if unknown := [one for one in made.evidence.order_ids if await service.store.find_order(one) is None]:
        problem = visit.speech.say(_ORDERS_UNKNOWN) % {"ids": ", ".join(unknown)}
        return await _page(visit, buyer_id, Refused("restrict", typed, problem), status_code=422)
    if data.get("seen") != version_of(rows):
        return await _refused(visit, buyer_id, "restrict", typed, _CHANGED, status_code=409)
    await service.registry.restrict(made)
    return go_to(path_of_buyer(buyer_id))


@post(
    "/buyers/{buyer_id:str}/restrictions/{restriction_id:uuid}/lift",
    opt=needs(Permission.RESTRICTIONS_WRITE),
    status_code=303,
)
async def lift(visit: Visiting, buyer_id: FromPath[str], restriction_id: FromPath[UUID], data: Form) -> Response[str]:
    """Lift a restriction where one person is enough."""
    service, by, now = visit.service, visit.reader.name, visit.service.clock()

    async def run(reason: str) -> Proposal | StrEnum | None:
        return await lift_restriction(service.registry, service.policies, restriction_id, by=by, now=now, reason=reason)

    return await _loosen(visit, buyer_id, restriction_id, data, run)


@post(
    "/buyers/{buyer_id:str}/restrictions/{restriction_id:uuid}/propose-lift",
    opt=needs(Permission.POLICIES_STOP),
    status_code=303,
)
async def propose_lift(
    visit: Visiting, buyer_id: FromPath[str], restriction_id: FromPath[UUID], data: Form
) -> Response[str]:
    """Propose that a restriction is lifted: a second person's approval lifts it."""
    service, by, now = visit.service, visit.reader.name, visit.service.clock()

    async def run(reason: str) -> Proposal | StrEnum | None:
        return await propose_lifting(service.registry, service.proposals, restriction_id, by=by, now=now, reason=reason)

    return await _loosen(visit, buyer_id, restriction_id, data, run)


@post(
    "/buyers/{buyer_id:str}/restrictions/{restriction_id:uuid}/appeal",
    opt=needs(Permission.APPEALS_WRITE),
    status_code=303,
)
async def open_appeal(
    visit: Visiting, buyer_id: FromPath[str], restriction_id: FromPath[UUID], data: Form
) -> Response[str]:
    """Open an appeal for a buyer who wrote or called."""
    service, typed = visit.service, {"text": several_lines(data.get("text", ""))}
    await _own_restriction(visit, buyer_id, restriction_id)
    step, days = f"appeal-{restriction_id}", service.settings.appeal_answer_days
    if not 0 < len(typed["text"]) <= LONGEST_APPEAL:
        return await _refused(visit, buyer_id, step, typed, _APPEAL_NEEDED)
    by, now = visit.reader.name, service.clock()
    done = await service.appeals.open(
        new_appeal(restriction_id, buyer_id, typed["text"], now=now, answer_days=days, by=by)
    )
    if isinstance(done, Refusal):
        problem = _OVER if done.code is RefusalCode.RESTRICTION_OVER else _OPEN_ALREADY
        return await _refused(visit, buyer_id, step, typed, problem, status_code=409)
    return go_to(path_of_buyer(buyer_id))


@post(
    "/buyers/{buyer_id:str}/appeals/{appeal_id:uuid}/decide",
    opt=needs(Permission.RESTRICTIONS_WRITE),
    status_code=303,
)
async def decide_appeal(
    visit: Visiting, buyer_id: FromPath[str], appeal_id: FromPath[UUID], data: Form
) -> Response[str]:
    """Uphold an appeal, which lifts the restriction, or reject it; another person than who set the restriction."""
    service, verdict = visit.service, data.get("verdict", "")
    typed = {"verdict": verdict, "answer": one_line(data.get("answer", ""))}
    found, step = await service.appeals.get(appeal_id), f"decide-{appeal_id}"
    if found is None or found.buyer_id != buyer_id:
        raise NotFoundException
    if verdict not in tuple(ContestOutcome) or not 0 < len(typed["answer"]) <= LONGEST_ANSWER:
        return await _refused(visit, buyer_id, step, typed, _ANSWER_NEEDED)
    decision = AppealDecision(verdict == ContestOutcome.UPHELD, typed["answer"], visit.reader.name, service.clock())
    done = await service.appeals.decide(appeal_id, decision)
    if isinstance(done, Refusal):
        problem = _OWN if done.code is RefusalCode.SECOND_PERSON_NEEDED else _DECIDED
        return await _refused(visit, buyer_id, step, typed, problem, status_code=409)
    return go_to(path_of_buyer(buyer_id))


def version_of(rows: Sequence[Restriction]) -> str:
    """Changes whenever a restriction is set or lifted."""
    return f"{len(rows)}.{sum(row.lifted_at is not None for row in rows)}"


def _id_of_form(data: Mapping[str, str], buyer_id: str) -> UUID:
    """The id that the form has for its restriction, so that a form sent twice restricts once."""
    try:
        found = UUID(data.get("restriction_id", ""))
    except ValueError as error:
        raise ValidationException from error
    if lane_of_id(found) != lane_of(buyer_id):
        raise ValidationException
    return found


def _restriction(visit: Visit, buyer_id: str, restriction_id: UUID, typed: Mapping[str, str]) -> Restriction | str:
    """The restriction that was typed, or what is wrong as an English text of the catalogues."""
    now, reason = visit.service.clock(), typed["reason"]
    if not 0 < len(reason) <= LONGEST_REASON or len(typed["note"]) > LONGEST_REASON:
        return REASON_NEEDED
    ends_at = moment_in(visit, typed["ends_at"])
    if typed["ends_at"] and (ends_at is None or ends_at <= now):
        return MOMENT_NEEDED
    orders = tuple(dict.fromkeys(line.strip() for line in typed["orders"].split("\n") if line.strip()))
    if len(orders) > MOST_EVIDENCE or any(why_no_id(one) is not None for one in orders):
        return _ORDERS_NEEDED
    evidence = Evidence(orders, (), typed["note"])
    by = visit.reader.name
    return Restriction(restriction_id, buyer_id, reason, now, ends_at, by, set_at=now, evidence=evidence)


async def _known(visit: Visit, buyer_id: str) -> str:
    if why_no_id(buyer_id) is not None or not await is_known(visit, buyer_id):
        raise NotFoundException
    return buyer_id


async def _own_restriction(visit: Visit, buyer_id: str, restriction_id: UUID) -> None:
    found = await visit.service.registry.restriction(restriction_id)
    if found is None or found.buyer_id != buyer_id:
        raise NotFoundException


async def _loosen(
    visit: Visit,
    buyer_id: str,
    restriction_id: UUID,
    data: Mapping[str, str],
    run: Callable[[str], Awaitable[Proposal | StrEnum | None]],
) -> Response[str]:
    """Lift it, or propose to, for the reason that was written; go to the proposal, or to the buyer."""
    typed, step = {"reason": one_line(data.get("reason", ""))}, f"lift-{restriction_id}"
    await _own_restriction(visit, buyer_id, restriction_id)
    if not 0 < len(typed["reason"]) <= LONGEST_REASON:
        return await _refused(visit, buyer_id, step, typed, REASON_NEEDED)
    done = await run(typed["reason"])
    if isinstance(done, Proposal):
        return go_to(path_of_proposal(done.proposal_id))
    if done is None:
        return go_to(path_of_buyer(buyer_id))
    return await _page(visit, buyer_id, Refused(step, typed, visit.speech.word(done)), status_code=409)


async def _refused(
    visit: Visit, buyer_id: str, step: str, typed: Mapping[str, str], problem: str, *, status_code: int = 422
) -> Page:
    return await _page(visit, buyer_id, Refused(step, typed, visit.speech.say(problem)), status_code=status_code)


# The page -------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class RestrictionShown:
    """A restriction with its appeals, and what waits about it.

    `statement`: what the buyer reads of it. `lifting`: by which form the reader may end it; empty: by none.
    """

    row: Restriction
    stands: bool
    statement: str
    appeals: Sequence[Appeal]
    confirmation: Any
    proposal: Proposal | None
    is_own: bool
    lifting: str

    @property
    def has_open_appeal(self) -> bool:
        """Whether an appeal is to be answered first."""
        return any(one.state is AppealState.OPEN for one in self.appeals)

    def forms(self) -> set[str]:
        """The names of the forms about it, each for those who may use it."""
        found = {f"lift-{self.row.restriction_id}"} if self.lifting else set()
        if self.stands and not self.has_open_appeal:
            found.add(f"appeal-{self.row.restriction_id}")
        is_open = (one for one in self.appeals if one.state is AppealState.OPEN and not self.is_own)
        return found | {f"decide-{one.appeal_id}" for one in is_open}


async def _page(visit: Visit, buyer_id: str, refused: Refused | None = None, *, status_code: int = 200) -> Page:
    service, now = visit.service, visit.service.clock()
    rows = await service.registry.restrictions_of(buyer_id)
    restrictions = await _restrictions(visit, buyer_id, rows)
    return show(
        visit,
        "risk/buyer.html",
        status_code=status_code,
        buyer_id=buyer_id,
        **await _read(visit, buyer_id),
        restrictions=restrictions,
        seen=version_of(rows),
        new_restriction_id=new_id(lane_of(buyer_id)),
        usual_end=(now + timedelta(days=USUAL_DAYS)).astimezone(visit.speech.zone).strftime("%Y-%m-%dT%H:%M"),
        single_person=await service.policies.single_person(),
        may_restrict=may(visit, Permission.RESTRICTIONS_WRITE),
        may_confirm=may(visit, Permission.POLICIES_APPROVE),
        may_appeal=may(visit, Permission.APPEALS_WRITE),
        outcomes=tuple(ContestOutcome),
        state_words=STATE_WORDS,
        path=path_of_buyer(buyer_id),
        path_of_buyer=path_of_buyer,
        buyers_path=PATH,
        refused=refused,
        is_step_shown=refused is None
        or refused.step in {"restrict", *(form for one in restrictions for form in one.forms())},
        now=now,
    )


async def _read(visit: Visit, buyer_id: str) -> dict[str, Any]:
    """What is known of the buyer apart from restrictions."""
    service, may_link = visit.service, may(visit, Permission.IDENTITY_LINKS_READ)
    selection = await service.registry.selection_of(buyer_id)
    profile = await read_profile(
        service.store,
        service.queries,
        await service.decision_settings(),
        buyer_id,
        selection,
        now=service.clock(),
        tickets=TICKETS,
        decisions=DECISIONS,
    )
    return {
        "buyer": await service.registry.get_buyer(buyer_id),
        "profile": profile,
        "money_facts": {name for name, fact in profile.policy.facts.items() if fact.is_money},
        "about_buyer": _about_buyer(visit, profile),
        "selection": selection,
        "cluster": await service.linked_accounts.of_buyer(buyer_id) if may_link else None,
    }


async def _restrictions(visit: Visit, buyer_id: str, rows: Sequence[Restriction]) -> list[RestrictionShown]:
    service, now, settings = visit.service, visit.service.clock(), visit.service.settings
    appeals = await service.appeals.list(AppealFilter(buyer_id=buyer_id, limit=MOST_APPEALS))
    unconfirmed = await confirmations_of(visit, AuditAction.RESTRICTION_SET)
    waiting = await service.proposals.list(states=NOT_CLOSED, limit=MOST_OPEN)
    proposals = {
        one.lift_restriction.restriction_id: one for one in waiting if one.kind is ProposalKind.LIFT_RESTRICTION
    }
    language, days, way = visit.speech.texts, settings.appeal_answer_days, await _way_to_lift(visit)
    shown = [
        RestrictionShown(
            row=row,
            stands=row.stands(now),
            statement=statement_of(row, time_zone=settings.time_zone, answer_days=days)[language],
            appeals=[one for one in appeals if one.restriction_id == row.restriction_id],
            confirmation=unconfirmed.get(str(row.restriction_id)),
            proposal=proposals.get(row.restriction_id),
            lifting="" if row.restriction_id in proposals or not row.stands(now) else way,
            is_own=row.rule_id is None and same_person(row.set_by, visit.reader.name),
        )
        for row in rows
    ]
    return sorted(shown, key=lambda one: not one.stands)


async def _way_to_lift(visit: Visit) -> str:
    """The form by which the reader ends a restriction: alone where one person is enough, or else by a proposal."""
    if await visit.service.policies.single_person():
        return "lift" if may(visit, Permission.RESTRICTIONS_WRITE) else ""
    return "propose-lift" if may(visit, Permission.POLICIES_STOP) else ""


def _about_buyer(visit: Visit, profile: BuyerProfile) -> list[Any]:
    """The conditions of the last decision that read facts about the buyer, with sentence and verdict."""
    if not profile.decisions:
        return []
    explained = explain(decision_from_json(profile.decisions[0].decision), visit.speech.texts, "platform")
    return [row for row in explained.rows if any(name.startswith(OF_BUYER) for name in row.facts)]


HANDLERS = (buyer_page, restrict, lift, propose_lift, open_appeal, decide_appeal)
