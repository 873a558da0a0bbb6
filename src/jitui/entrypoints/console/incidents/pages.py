"""Incidents for merchants and the platform: what has to be made good, and what becomes of the loss (R9)."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any
from uuid import UUID

from litestar import get, post
from litestar.exceptions import NotFoundException, ValidationException
from litestar.params import FromPath
from litestar.response import Response

from jitui.aftersales.commands.incidents import Outcome, add_evidence, contest_incident, record_contact
from jitui.aftersales.governance.loss_terms import loss_terms
from jitui.aftersales.governance.statement_of_reasons import statement_of_charge
from jitui.aftersales.incident_list import IncidentFilter, IncidentSort, place_of_incident
from jitui.aftersales.model.incident import OUTCOMES, ContactChannel, IncidentEntry, IncidentState
from jitui.aftersales.model.sorting import SortOrder
from jitui.aftersales.model.ticket import Actor, ActorKind
from jitui.aftersales.outcomes import Refusal, RefusalCode
from jitui.aftersales.ports import IncidentRef
from jitui.aftersales.queries import IncidentDetails
from jitui.entrypoints.console.incidents.forms import (
    ContactForm,
    Typed,
    read_contact,
    read_evidence,
    words_in,
)
from jitui.entrypoints.console.page.access import may, needs
from jitui.entrypoints.console.page.cursor import begins
from jitui.entrypoints.console.page.form import Form
from jitui.entrypoints.console.page.visit import ConsoleRequest, Page, Visit, Visiting, go_to, show
from jitui.entrypoints.console.ticket.why import shop_name
from jitui.entrypoints.list_cursor import INCIDENTS
from jitui.identity.access import ROLE_GRANTS, Permission, Role, allows
from jitui.ids import lane_of_id

INCIDENTS_PER_PAGE = 25
Command = Callable[[IncidentRef], Awaitable[Outcome]]


@get("/incidents", opt=needs(Permission.INCIDENTS_READ))
async def incidents(visit: Visiting, request: ConsoleRequest) -> Page:
    """Newest first; a merchant's own, or everybody's."""
    state = _state(request.query_params.get("state", ""))
    place = begins(INCIDENTS, request.query_params.get("after", ""), IncidentSort.OPENED_AT, SortOrder.DESC)
    wanted = IncidentFilter(shop_id=_own_shop(visit), limit=INCIDENTS_PER_PAGE + 1, after=place, state=state)
    found = await visit.service.queries.incidents(wanted)
    rows = found[:INCIDENTS_PER_PAGE]
    last = rows[-1] if len(found) > len(rows) else None
    return show(
        visit,
        "incidents/incidents.html",
        home=_home(visit),
        rows=rows,
        shops={shop_id: await shop_name(visit, shop_id) for shop_id in {row.shop_id for row in rows}},
        state=state,
        states=tuple(IncidentState),
        is_first=place is None,
        next_page=INCIDENTS.after(place_of_incident(last, wanted.sort), wanted.sort, wanted.order) if last else "",
    )


@get("/incidents/{incident_id:uuid}", opt=needs(Permission.INCIDENTS_READ))
async def incident_page(visit: Visiting, incident_id: FromPath[UUID]) -> Page:
    """Scans, evidence, contacts, shares of the loss, contest and log."""
    return await page_of_incident(visit, await own_incident(visit, incident_id))


@post("/incidents/{incident_id:uuid}/evidence", opt=needs(Permission.INCIDENTS_WRITE), status_code=303)
async def add_incident_evidence(visit: Visiting, incident_id: FromPath[UUID], data: Form) -> Response[str]:
    """Add words and references."""
    found, form = await own_incident(visit, incident_id), read_evidence(data)
    problem = form.problem()
    if problem is not None:
        return await page_of_incident(visit, found, Typed(evidence=form), problem=problem)
    store, shop_id, now = visit.service.store, _own_shop(visit), visit.service.clock()
    return await run_on_incident(
        visit,
        incident_id,
        lambda ref: add_evidence(store, ref, form.evidence, by=actor(visit), now=now, shop_id=shop_id),
        Typed(evidence=form),
    )


@post("/incidents/{incident_id:uuid}/contacts", opt=needs(Permission.INCIDENTS_WRITE), status_code=303)
async def add_contact(visit: Visiting, incident_id: FromPath[UUID], data: Form) -> Response[str]:
    """Record that the buyer was spoken to."""
    found, form = await own_incident(visit, incident_id), read_contact(data)
    now, zone = visit.service.clock(), visit.service.settings.time_zone
    contact = form.contact(now, zone)
    if isinstance(contact, str):
        return await page_of_incident(visit, found, Typed(contact=form), problem=contact)
    store, shop_id = visit.service.store, _own_shop(visit)
    return await run_on_incident(
        visit,
        incident_id,
        lambda ref: record_contact(store, ref, contact, by=actor(visit), now=now, shop_id=shop_id),
        Typed(contact=form),
    )


@post("/incidents/{incident_id:uuid}/contest", opt=needs(Permission.INCIDENTS_WRITE), status_code=303)
async def contest(visit: Visiting, incident_id: FromPath[UUID], data: Form) -> Response[str]:
    """The shop contests what it is charged."""
    found, reason = await own_incident(visit, incident_id), words_in(data, "reason")
    if not reason:
        return await page_of_incident(visit, found, Typed(contest=reason), problem=NO_WORDS)
    service, shop_id, now = visit.service, _own_shop(visit), visit.service.clock()
    return await run_on_incident(
        visit,
        incident_id,
        lambda ref: contest_incident(
            service.store, ref, reason, service.incident_rules, by=actor(visit), now=now, shop_id=shop_id
        ),
        Typed(contest=reason),
    )


def _(message: str) -> str:
    return message


NO_WORDS = _("Please write why, in up to 2,000 characters.")


# Shared with `incident_decisions` --------------------------------------------------------------------------------


async def own_incident(visit: Visit, incident_id: UUID) -> IncidentDetails:
    """An incident that the reader may see; raises NotFoundException otherwise (I8)."""
    found = await visit.service.queries.incident(_ref(incident_id))
    own = found is not None and found.incident.shop_id == visit.reader.subject_id
    if found is None or not allows(ROLE_GRANTS[visit.reader.role], Permission.INCIDENTS_READ, own=own):
        raise NotFoundException
    return found


def actor(visit: Visit) -> Actor:
    """Who acts: the shop, as with its key, or a person of the platform under the own name."""
    reader = visit.reader
    if reader.role is Role.MERCHANT:
        return Actor(ActorKind.MERCHANT, reader.subject_id)
    return Actor(ActorKind.OPERATOR, reader.name)


async def run_on_incident(visit: Visit, incident_id: UUID, command: Command, typed: Typed) -> Response[str]:
    """Run it and go to the incident; after a refusal show it as it is now, with what was typed."""
    done = await command(_ref(incident_id))
    if not isinstance(done, Refusal):
        return go_to(f"{_home(visit)}/{incident_id}")
    if done.code is RefusalCode.NOT_FOUND:
        raise NotFoundException
    found, problem = await own_incident(visit, incident_id), visit.speech.word(done.code)
    return await page_of_incident(visit, found, typed, problem=problem, status_code=409)


async def page_of_incident(
    visit: Visit,
    found: IncidentDetails,
    typed: Typed | None = None,
    *,
    problem: str | None = None,
    status_code: int = 200,
) -> Page:
    """The incident; a problem with what was typed is 422 unless it is said otherwise."""
    incident, service, now = found.incident, visit.service, visit.service.clock()
    settings = service.settings
    statement = statement_of_charge(incident, time_zone=settings.time_zone, answer_days=settings.complaints_answer_days)
    default = ContactForm(at=f"{now.astimezone(settings.time_zone):%Y-%m-%dT%H:%M}")
    typed = typed or Typed(contact=default)
    return show(
        visit,
        "incidents/incident.html",
        status_code=422 if problem and status_code == 200 else status_code,
        home=_home(visit),
        case="/merchant/tickets" if _own_shop(visit) else "/support/tickets",
        incident=incident,
        shop=await shop_name(visit, incident.shop_id),
        log=[_entry(visit, entry) for entry in reversed(found.log)],
        statement=statement[visit.speech.texts] if statement is not None else None,
        terms=await loss_terms(service.queries, service.policies, _ref(incident.incident_id)),
        may_write=may(visit, Permission.INCIDENTS_WRITE),
        may_decide=may(visit, Permission.INCIDENTS_DECIDE),
        may_contest=_may_contest(visit, found),
        channels=tuple(ContactChannel),
        channel_words={one.value: visit.speech.word(one) for one in ContactChannel},
        outcomes=OUTCOMES[incident.kind],
        may_see_refund=_own_shop(visit) is None and may(visit, Permission.REFUNDS_READ),
        typed=typed if typed.contact is not None else replace(typed, contact=default),
        zone=settings.time_zone.key,
        problem=visit.speech.say(problem) if problem else None,
        now=now,
    )


def _may_contest(visit: Visit, found: IncidentDetails) -> bool:
    """Whether the form is shown to the shop; the command decides again."""
    incident = found.incident
    open_until = incident.contest_until is not None and visit.service.clock() < incident.contest_until
    return bool(_own_shop(visit) and open_until and incident.shop_minor and not incident.is_contested)


def _entry(visit: Visit, entry: IncidentEntry) -> dict[str, Any]:
    """An entry of the log; a shop does not read the names of the platform's people (R16)."""
    own_shop = _own_shop(visit)
    by = entry.by
    if own_shop is not None and by not in ("", own_shop):
        by = visit.speech.say(_("The platform"))
    elif not by:
        by = visit.speech.say(_("Automatically"))
    return {"entry": entry, "by": by, "detail": entry.detail}


def _own_shop(visit: Visit) -> str | None:
    return visit.reader.subject_id if visit.reader.role is Role.MERCHANT else None


def _home(visit: Visit) -> str:
    return "/merchant/incidents" if visit.reader.role is Role.MERCHANT else "/support/incidents"


def _state(text: str) -> IncidentState | None:
    try:
        return IncidentState(text) if text else None
    except ValueError as error:
        raise ValidationException from error


def _ref(incident_id: UUID) -> IncidentRef:
    return IncidentRef(lane_of_id(incident_id), incident_id)


HANDLERS = (incidents, incident_page, add_incident_evidence, add_contact, contest)
