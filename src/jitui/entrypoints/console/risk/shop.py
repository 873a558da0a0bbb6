"""One shop: its coverage by places and gates, taking a place out or putting it back, and its complaints."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from uuid import UUID

from litestar import get, post
from litestar.exceptions import NotFoundException, ValidationException
from litestar.params import FromPath
from litestar.response import Response

from jitui.aftersales.governance.complaint import (
    Complaint,
    ComplaintAnswer,
    ComplaintFilter,
    ComplaintState,
    ContestOutcome,
)
from jitui.aftersales.governance.confirmations import Confirmation
from jitui.aftersales.governance.loosening import CoverWish, propose_cover, set_coverage, unset_coverage
from jitui.aftersales.governance.proposals import MOST_OPEN, NOT_CLOSED, Proposal, ProposalKind
from jitui.aftersales.governance.registry import Coverage, Scope, place_name, row_of_shop
from jitui.aftersales.outcomes import Refusal
from jitui.entrypoints.console.page.access import may, needs
from jitui.entrypoints.console.page.form import Form
from jitui.entrypoints.console.page.typed import one_line, several_lines
from jitui.entrypoints.console.page.visit import Page, Visit, Visiting, go_to, show
from jitui.entrypoints.console.risk.buyers import confirmations_of
from jitui.entrypoints.console.risk.form import Refused
from jitui.entrypoints.console.risk.policies import LONGEST_REASON, REASON_NEEDED, path_of_proposal
from jitui.entrypoints.console.risk.shops import PATH, is_known, path_of_shop
from jitui.entrypoints.console.ticket.why import shop_name
from jitui.entrypoints.console.words.risk import COVERAGE_NEWS
from jitui.identity.access import Permission
from jitui.identity.audit import AuditAction
from jitui.text import why_no_id

MOST_HISTORY, MOST_COMPLAINTS, LONGEST_ANSWER = 50, 50, 2_000
PLACES = (Scope.CATEGORY, Scope.ITEM)
"""What can be taken out beside the shop itself; it then is out for every shop that sells it."""
ANOTHER = "another"
"""The form in which a place is typed."""


def _(message: str) -> str:
    return message


_CHANGED = _("Somebody has set this place since you opened the page. This is how it stands now.")
_PLACE_NEEDED = _("Please enter the id of the category or item, without spaces.")
_CATEGORY_UNKNOWN = _("No category has this id. Please check it, or tick that it is to be set all the same.")
_ITEM_UNKNOWN = _("This shop has sold no item of this id. Please check it, or tick that it is to be set all the same.")
_ANSWER_NEEDED = _("Please choose a verdict, and write the answer in up to 2,000 characters. The shop reads it.")
_ANSWERED = _("Somebody has answered this complaint already. This is how it stands now.")
_OF_INCIDENT = _("This complaint is about an incident. It is answered on the incident's page.")


class Step(StrEnum):
    """What is done with a place."""

    OUT = "out"
    COVER = "cover"
    UNSET = "unset"


@dataclass(frozen=True, slots=True)
class Wish:
    """What was sent about a place; `seen`: the row that its sender saw there, by when it was set."""

    step: Step
    scope: Scope
    ref: str
    reason: str
    seen: str
    is_typed: bool  # the place was typed, and not chosen from those that the page shows
    anyway: bool

    @property
    def typed(self) -> Mapping[str, str]:
        """What is shown again when it is refused."""
        return {"scope": self.scope, "ref": self.ref, "reason": self.reason}

    @property
    def name(self) -> str:
        """The form that is about it on the page."""
        return f"{self.step}-{self.scope}-{self.ref}"


@get("/shops/{shop_id:str}", opt=needs(Permission.COVERAGE_READ))
async def shop_page(visit: Visiting, shop_id: FromPath[str]) -> Page:
    """Coverage, gates with their figures, history and complaints."""
    return await _page(visit, await _known(visit, shop_id))


@post("/shops/{shop_id:str}/coverage", opt=needs(Permission.COVERAGE_WRITE), status_code=303)
async def set_place(visit: Visiting, shop_id: FromPath[str], data: Form) -> Response[str]:
    """Take a place out at once; cover it, or let the gates decide again, where one person is enough."""
    wish = _wish(data, await _known(visit, shop_id))
    refused = await _against(visit, shop_id, wish)
    if refused is not None:
        return refused
    service, by, now = visit.service, visit.reader.name, visit.service.clock()
    if wish.step is Step.UNSET:
        place = (wish.scope, wish.ref)
        done: StrEnum | None = await unset_coverage(service.registry, service.policies, place, by=by, now=now)
    else:
        row = Coverage(wish.scope, wish.ref, wish.step is Step.COVER, wish.reason, by, now)
        done = await set_coverage(service.registry, service.policies, row)
    return go_to(path_of_shop(shop_id)) if done is None else await _not_done(visit, shop_id, wish, done)


@post("/shops/{shop_id:str}/coverage/propose", opt=needs(Permission.POLICIES_STOP), status_code=303)
async def propose_place(visit: Visiting, shop_id: FromPath[str], data: Form) -> Response[str]:
    """Propose that a place is covered, or that the gates decide on it again: a second person's approval does it."""
    wish = _wish(data, await _known(visit, shop_id))
    if wish.step is Step.OUT:
        raise ValidationException
    refused = await _against(visit, shop_id, wish)
    if refused is not None:
        return refused
    service = visit.service
    done = await propose_cover(
        service.registry,
        service.proposals,
        CoverWish(wish.scope, wish.ref, wish.step is Step.UNSET),
        by=visit.reader.name,
        now=service.clock(),
        reason=wish.reason,
    )
    if isinstance(done, Proposal):
        return go_to(path_of_proposal(done.proposal_id))
    return await _not_done(visit, shop_id, wish, done)


@post(
    "/shops/{shop_id:str}/complaints/{complaint_id:uuid}/answer",
    opt=needs(Permission.COMPLAINTS_ANSWER),
    status_code=303,
)
async def answer_complaint(
    visit: Visiting, shop_id: FromPath[str], complaint_id: FromPath[UUID], data: Form
) -> Response[str]:
    """Answer a complaint in words; it changes no coverage."""
    service, outcome = visit.service, data.get("outcome", "")
    typed = {"outcome": outcome, "answer": several_lines(data.get("answer", ""))}
    found = await service.complaints.get(complaint_id)
    if found is None or found.shop_id != shop_id:
        raise NotFoundException
    problem, status_code = None, 409
    if found.incident_id is not None:
        problem = _OF_INCIDENT
    elif outcome not in tuple(ContestOutcome) or not 0 < len(typed["answer"]) <= LONGEST_ANSWER:
        problem, status_code = _ANSWER_NEEDED, 422
    else:
        said = ComplaintAnswer(ContestOutcome(outcome), typed["answer"], visit.reader.name, service.clock())
        if isinstance(await service.complaints.answer(complaint_id, said), Refusal):
            problem = _ANSWERED
    if problem is None:
        return go_to(path_of_shop(shop_id))
    refused = Refused(f"answer-{complaint_id}", typed, visit.speech.say(problem))
    return await _page(visit, shop_id, refused, status_code=status_code)


def version_of(row: Coverage | None) -> str:
    """Changes whenever somebody, or a gate, sets a place; empty for one that nobody has set."""
    return "" if row is None else row.set_at.isoformat()


def _wish(data: Mapping[str, str], shop_id: str) -> Wish:
    """What was sent; the place is this shop, a category or an item. Raises ValidationException for anything else."""
    try:
        step, scope = Step(data.get("step", "")), Scope(data.get("scope", ""))
    except ValueError as error:
        raise ValidationException from error
    ref = shop_id if scope is Scope.SHOP else one_line(data.get("ref", ""))
    if scope not in (Scope.SHOP, *PLACES):
        raise ValidationException
    is_typed, anyway = data.get("form") == ANOTHER, data.get("anyway") == "yes"
    return Wish(step, scope, ref, one_line(data.get("reason", "")), data.get("seen", ""), is_typed, anyway)


async def _against(visit: Visit, shop_id: str, wish: Wish) -> Page | None:
    """The page that says what stands against a wish; None: nothing does."""
    problem, status_code = None, 422
    if why_no_id(wish.ref) is not None:
        return await _another(visit, shop_id, wish, _PLACE_NEEDED)
    if wish.is_typed and not wish.anyway and not await _is_place(visit, shop_id, wish):
        unknown = _ITEM_UNKNOWN if wish.scope is Scope.ITEM else _CATEGORY_UNKNOWN
        return await _another(visit, shop_id, wish, unknown, may_tick="yes")
    if not 0 < len(wish.reason) <= LONGEST_REASON:
        problem = REASON_NEEDED
    elif wish.seen != version_of(await visit.service.registry.find_coverage(wish.scope, wish.ref)):
        problem, status_code = _CHANGED, 409
    if problem is None:
        return None
    refused = Refused(wish.name, wish.typed, visit.speech.say(problem))
    return await _page(visit, shop_id, refused, status_code=status_code)


async def _is_place(visit: Visit, shop_id: str, wish: Wish) -> bool:
    return await visit.service.registry.knows_place(wish.scope, wish.ref, seller=shop_id)


async def _another(visit: Visit, shop_id: str, wish: Wish, problem: str, *, may_tick: str = "") -> Page:
    """The page with the form for another place as it was filled in; `may_tick`: whether it may be set all the same."""
    refused = Refused(ANOTHER, {**wish.typed, "may_tick": may_tick}, visit.speech.say(problem))
    return await _page(visit, shop_id, refused, status_code=422)


async def _not_done(visit: Visit, shop_id: str, wish: Wish, why: StrEnum) -> Page:
    refused = Refused(wish.name, wish.typed, visit.speech.word(why))
    return await _page(visit, shop_id, refused, status_code=409)


async def _known(visit: Visit, shop_id: str) -> str:
    if why_no_id(shop_id) is not None or not await is_known(visit, shop_id):
        raise NotFoundException
    return shop_id


# The page -------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Offered:
    """A step that the reader may take with a place, and where its form is sent."""

    step: Step
    action: str
    name: str


@dataclass(frozen=True, slots=True)
class PlaceShown:
    """A place with its row, if it has one, what waits about it, and what the reader may do with it."""

    scope: Scope
    ref: str
    row: Coverage | None
    confirmation: Confirmation | None
    proposal: Proposal | None
    offered: Sequence[Offered]

    @property
    def seen(self) -> str:
        """What a form about it carries."""
        return version_of(self.row)

    def forms(self) -> set[str]:
        """The names of the forms about it."""
        return {f"{one.step}-{self.scope}-{self.ref}" for one in self.offered}


async def _page(visit: Visit, shop_id: str, refused: Refused | None = None, *, status_code: int = 200) -> Page:
    service = visit.service
    rows = await service.registry.coverage_of(shop_id)
    places = await _places(visit, shop_id, rows, refused)
    complaints = await service.complaints.list(ComplaintFilter(shop_id, limit=MOST_COMPLAINTS))
    steps = {form for one in places for form in one.forms()}
    steps |= {ANOTHER, *(f"answer-{one.complaint_id}" for one in complaints if one.state is ComplaintState.OPEN)}
    return show(
        visit,
        "risk/shop.html",
        status_code=status_code,
        shop_id=shop_id,
        shop=await shop_name(visit, shop_id),
        attributes=await _attributes(visit, shop_id),
        goes_by=row_of_shop(rows),
        places=places,
        gates=await service.gates.of_shop(shop_id),
        history=await service.gates.history(shop_id, MOST_HISTORY),
        complaints=_open_first(complaints),
        news=COVERAGE_NEWS,
        language=visit.speech.texts,
        single_person=await service.policies.single_person(),
        may_write=may(visit, Permission.COVERAGE_WRITE),
        may_confirm=may(visit, Permission.POLICIES_APPROVE),
        may_answer=may(visit, Permission.COMPLAINTS_ANSWER),
        may_read_incidents=may(visit, Permission.INCIDENTS_READ),
        outcomes=tuple(ContestOutcome),
        scopes=PLACES,
        path=path_of_shop(shop_id),
        shops_path=PATH,
        refused=refused,
        is_step_shown=refused is None or refused.step in steps,
        now=service.clock(),
    )


async def _attributes(visit: Visit, shop_id: str) -> Mapping[str, object]:
    found = await visit.service.registry.get_shop(shop_id)
    return {} if found is None else found.attributes


async def _places(
    visit: Visit, shop_id: str, rows: Sequence[Coverage], refused: Refused | None
) -> Sequence[PlaceShown]:
    """The shop itself, and the categories and items that it sells and that have a row.

    With them the one that a refused form is about, so that it is seen how that stands.
    """
    known: dict[tuple[Scope, str], Coverage | None] = {(Scope.SHOP, shop_id): None}
    if refused is not None and refused.step != ANOTHER and "ref" in refused.typed:
        place = (Scope(refused.typed["scope"]), refused.typed["ref"])
        known[place] = await visit.service.registry.find_coverage(*place)
    known |= {(row.scope, row.ref): row for row in rows if row.scope is not Scope.PLATFORM}
    unconfirmed = await confirmations_of(visit, AuditAction.COVERAGE_SET)
    waiting = await visit.service.proposals.list(states=NOT_CLOSED, limit=MOST_OPEN)
    proposals = {(one.cover.scope, one.cover.ref): one for one in waiting if one.kind is ProposalKind.COVER}
    alone = await visit.service.policies.single_person()
    return [
        PlaceShown(
            scope,
            ref,
            row,
            unconfirmed.get(place_name(scope, ref)),
            (proposal := proposals.get((scope.value, ref))),
            _offered(visit, row, row_of_shop(rows) if scope is Scope.SHOP else row, proposal, alone=alone),
        )
        for (scope, ref), row in known.items()
    ]


def _offered(
    visit: Visit, row: Coverage | None, goes_by: Coverage | None, proposal: Proposal | None, *, alone: bool
) -> Sequence[Offered]:
    """What the reader may do: take out at once, and loosen where one person is enough, or else propose to.

    `goes_by`: the row that says whether it is covered; a shop without one goes by the platform's.
    """
    covered = goes_by is None or goes_by.covered
    by_hand = row is not None and row.by_gate is None
    may_write, may_propose = may(visit, Permission.COVERAGE_WRITE), may(visit, Permission.POLICIES_STOP)
    found = [Offered(Step.OUT, "coverage", _("Take it out"))] if covered and may_write else []
    if proposal is not None or not (may_write if alone else may_propose):
        return found
    action = "coverage" if alone else "coverage/propose"
    if not covered:
        found.append(Offered(Step.COVER, action, _("Cover it") if alone else _("Propose to cover it")))
    if by_hand:
        unset = _("Let the gates decide again") if alone else _("Propose that the gates decide again")
        found.append(Offered(Step.UNSET, action, unset))
    return found


def _open_first(complaints: Sequence[Complaint]) -> Sequence[Complaint]:
    return sorted(complaints, key=lambda one: (one.state is not ComplaintState.OPEN, one.answer_by))


HANDLERS = (shop_page, set_place, propose_place, answer_complaint)
