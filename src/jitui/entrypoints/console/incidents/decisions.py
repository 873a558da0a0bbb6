"""What the platform decides about an incident: its outcome, recovery attempts, the answer to a contest."""

from __future__ import annotations

from uuid import UUID

from litestar import post
from litestar.params import FromPath
from litestar.response import Response

from jitui.aftersales.commands.incidents import Outcome, answer_contest, decide_incident, record_recovery
from jitui.aftersales.governance.loss_terms import loss_terms
from jitui.aftersales.ports import IncidentRef
from jitui.entrypoints.console.incidents.forms import Typed, read_answer, read_outcome, read_recovery
from jitui.entrypoints.console.incidents.pages import actor, own_incident, page_of_incident, run_on_incident
from jitui.entrypoints.console.page.access import needs
from jitui.entrypoints.console.page.form import Form, seen_version
from jitui.entrypoints.console.page.visit import Visiting
from jitui.identity.access import Permission


@post("/incidents/{incident_id:uuid}/outcome", opt=needs(Permission.INCIDENTS_DECIDE), status_code=303)
async def decide_outcome(visit: Visiting, incident_id: FromPath[UUID], data: Form) -> Response[str]:
    """Decide what became of the loss, or correct it; the shop is charged no more than the policy says."""
    found, form = await own_incident(visit, incident_id), read_outcome(data, seen_version(data))
    told = form.told(found.incident.currency)
    if isinstance(told, str):
        return await page_of_incident(visit, found, Typed(outcome=form), problem=told)
    service = visit.service

    async def run(ref: IncidentRef) -> Outcome:
        terms = await loss_terms(service.queries, service.policies, ref)
        rules, now = service.incident_rules, service.clock()
        return await decide_incident(service.store, ref, told, terms, rules, by=actor(visit), now=now)

    return await run_on_incident(visit, incident_id, run, Typed(outcome=form))


@post("/incidents/{incident_id:uuid}/recoveries", opt=needs(Permission.INCIDENTS_DECIDE), status_code=303)
async def add_recovery(visit: Visiting, incident_id: FromPath[UUID], data: Form) -> Response[str]:
    """Record an attempt and what came of it."""
    found, form = await own_incident(visit, incident_id), read_recovery(data)
    tried = form.tried(found.incident.currency)
    if isinstance(tried, str):
        return await page_of_incident(visit, found, Typed(recovery=form), problem=tried)
    store, rules, now = visit.service.store, visit.service.incident_rules, visit.service.clock()
    return await run_on_incident(
        visit,
        incident_id,
        lambda ref: record_recovery(store, ref, tried, rules, by=actor(visit), now=now),
        Typed(recovery=form),
    )


@post("/incidents/{incident_id:uuid}/contest/answer", opt=needs(Permission.INCIDENTS_DECIDE), status_code=303)
async def answer_shop(visit: Visiting, incident_id: FromPath[UUID], data: Form) -> Response[str]:
    """Uphold or reject what the shop says; another person than who decided."""
    found, form = await own_incident(visit, incident_id), read_answer(data)
    said = form.said(found.incident.currency)
    if isinstance(said, str):
        return await page_of_incident(visit, found, Typed(answer=form), problem=said)
    service = visit.service

    async def run(ref: IncidentRef) -> Outcome:
        terms = await loss_terms(service.queries, service.policies, ref)
        rules, now = service.incident_rules, service.clock()
        return await answer_contest(service.store, ref, said, terms, rules, by=actor(visit), now=now)

    return await run_on_incident(visit, incident_id, run, Typed(answer=form))


HANDLERS = (decide_outcome, add_recovery, answer_shop)
