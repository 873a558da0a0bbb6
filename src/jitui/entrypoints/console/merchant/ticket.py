"""One ticket as its merchant sees and decides it: approve, reject, offer a part, take it on, add evidence."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any
from uuid import UUID

from litestar import get, post
from litestar.exceptions import NotFoundException
from litestar.params import FromPath
from litestar.response import Response

from jitui.aftersales.commands.arbitration import add_evidence
from jitui.aftersales.commands.assignment import assign, release
from jitui.aftersales.commands.offer import offer
from jitui.aftersales.commands.on_ticket import Acting, Done
from jitui.aftersales.commands.review import approve, reject
from jitui.aftersales.commands.ship import ShipmentUpdate, goods_with_carrier
from jitui.aftersales.commands.stop_ship import answers_of
from jitui.aftersales.incident_list import IncidentFilter
from jitui.aftersales.model.order import LineUnits, ShipmentSource, ShipmentStatus, captured_minor
from jitui.aftersales.model.review import RejectionCode
from jitui.aftersales.model.snapshot import OrderSnapshot
from jitui.aftersales.model.ticket import APPROVED_STATES, Actor, ActorKind
from jitui.aftersales.model.view import view_ticket, without_staff
from jitui.aftersales.outcomes import Refusal, RefusalCode
from jitui.aftersales.ports import OrderRef, TicketRef
from jitui.entrypoints.console.merchant.forms import (
    OfferForm,
    RejectForm,
    from_template,
    read_offer,
    read_rejection,
)
from jitui.entrypoints.console.page.access import needs, own_ticket
from jitui.entrypoints.console.page.form import Form, seen_version
from jitui.entrypoints.console.page.visit import ConsoleRequest, Page, Visit, Visiting, go_to, show
from jitui.entrypoints.console.ticket.evidence import NO_EVIDENCE, EvidenceForm, read_evidence
from jitui.entrypoints.console.ticket.progress import steps_of
from jitui.entrypoints.console.ticket.why import explained
from jitui.entrypoints.console.words.codes import REVIEW_REASONS
from jitui.identity.access import Permission
from jitui.ids import lane_of_id

Command = Callable[[TicketRef, Acting], Awaitable[Done]]


@get("/tickets/{ticket_id:uuid}", opt=needs(Permission.TICKETS_READ))
async def ticket_page(visit: Visiting, request: ConsoleRequest, ticket_id: FromPath[UUID]) -> Page:
    """The ticket with its notice (R14), its timeline and the reasons for the decision."""
    snapshot, named = await own_ticket(visit, ticket_id), request.query_params.get("template")
    template = await visit.service.review_templates.get(visit.reader.subject_id, named) if named else None
    return await _page(visit, snapshot, ticket_id, form=from_template(template) if template else None)


@post("/tickets/{ticket_id:uuid}/approve", opt=needs(Permission.TICKETS_WRITE), status_code=303)
async def approve_ticket(visit: Visiting, ticket_id: FromPath[UUID], data: Form) -> Response[str]:
    """Approve the ticket."""
    store = visit.service.store
    return await _run(visit, ticket_id, lambda ref, acting: approve(store, ref, acting), version=seen_version(data))


@post("/tickets/{ticket_id:uuid}/reject", opt=needs(Permission.TICKETS_WRITE), status_code=303)
async def reject_ticket(visit: Visiting, ticket_id: FromPath[UUID], data: Form) -> Response[str]:
    """Reject the ticket with a reason; with a tracking number the goods are recorded as shipped in the same step."""
    form, snapshot = read_rejection(data), await own_ticket(visit, ticket_id)
    problem = form.problem()
    if problem is not None:
        return await _page(visit, snapshot, ticket_id, form=form, problem=problem, status_code=422)
    rejection = form.rejection(_shipment(visit, snapshot, ticket_id, form))
    store = visit.service.store
    return await _run(
        visit,
        ticket_id,
        lambda ref, acting: reject(store, ref, rejection, acting),
        version=seen_version(data),
        form=form,
    )


@post("/tickets/{ticket_id:uuid}/offer", opt=needs(Permission.TICKETS_WRITE), status_code=303)
async def offer_part(visit: Visiting, ticket_id: FromPath[UUID], data: Form) -> Response[str]:
    """Offer to refund some of the units; the buyer accepts or declines."""
    form, snapshot = read_offer(data), await own_ticket(visit, ticket_id)
    problem = form.problem(snapshot.lines_of(ticket_id))
    if problem is not None:
        return await _page(visit, snapshot, ticket_id, offered=form, problem=problem, status_code=422)
    store = visit.service.store
    return await _run(
        visit,
        ticket_id,
        lambda ref, acting: offer(store, ref, form.lines, form.reason, acting),
        version=seen_version(data),
        offered=form,
    )


@post("/tickets/{ticket_id:uuid}/assign", opt=needs(Permission.TICKETS_WRITE), status_code=303)
async def assign_ticket(visit: Visiting, ticket_id: FromPath[UUID], data: Form) -> Response[str]:
    """Work on the ticket, so that no colleague decides it meanwhile."""
    store, take_over = visit.service.store, data.get("take_over") == "yes"
    return await _run(visit, ticket_id, lambda ref, acting: assign(store, ref, acting, take_over=take_over))


@post("/tickets/{ticket_id:uuid}/release", opt=needs(Permission.TICKETS_WRITE), status_code=303)
async def release_ticket(visit: Visiting, ticket_id: FromPath[UUID]) -> Response[str]:
    """Work on it no longer."""
    store = visit.service.store
    return await _run(visit, ticket_id, lambda ref, acting: release(store, ref, acting))


@post("/tickets/{ticket_id:uuid}/arbitration/evidence", opt=needs(Permission.ARBITRATIONS_WRITE), status_code=303)
async def add_to_arbitration(visit: Visiting, ticket_id: FromPath[UUID], data: Form) -> Response[str]:
    """Add evidence while the platform looks at the request."""
    form, snapshot = read_evidence(data), await own_ticket(visit, ticket_id)
    problem = form.problem() or (None if form.items else NO_EVIDENCE)
    if problem is not None:
        return await _page(visit, snapshot, ticket_id, added=form, problem=problem, status_code=422)
    store = visit.service.store
    return await _run(visit, ticket_id, lambda ref, acting: add_evidence(store, ref, form.items, acting), added=form)


def _(message: str) -> str:
    return message


async def _run(
    visit: Visit, ticket_id: UUID, command: Command, *, version: int | None = None, **typed: Any
) -> Response[str]:
    """Run it and go to the ticket; after a refusal show the ticket as it is now, because that must be decided on."""
    by = Actor(ActorKind.MERCHANT, visit.reader.name)
    acting = Acting(by, visit.service.clock(), version, shop_id=visit.reader.subject_id)
    done = await command(TicketRef(lane_of_id(ticket_id), ticket_id), acting)
    if not isinstance(done, Refusal):
        return go_to(f"/merchant/tickets/{ticket_id}")
    if done.code is RefusalCode.NOT_FOUND:
        raise NotFoundException
    snapshot, problem = await own_ticket(visit, ticket_id), visit.speech.word(done.code)
    return await _page(visit, snapshot, ticket_id, problem=problem, status_code=409, **typed)


async def _page(
    visit: Visit,
    snapshot: OrderSnapshot,
    ticket_id: UUID,
    *,
    form: RejectForm | None = None,
    offered: OfferForm | None = None,
    added: EvidenceForm | None = None,
    problem: str | None = None,
    status_code: int = 200,
) -> Page:
    view = without_staff(view_ticket(snapshot, ticket_id), shop=True)
    assignment = view.review.assignment if view.review is not None else None
    now = visit.service.clock()
    return show(
        visit,
        "merchant/ticket.html",
        status_code=status_code,
        view=view,
        order=snapshot.order,
        degree=snapshot.fulfillment,
        labels=[shipment for shipment in snapshot.shipments if shipment.degree is ShipmentStatus.LABEL_PRINTED],
        paid_minor=captured_minor(snapshot.tenders),
        granted=view.state in APPROVED_STATES,
        stop_answered=bool(answers_of(snapshot, snapshot.ticket(ticket_id))),
        goods_left=goods_with_carrier(snapshot, ticket_id),
        steps=steps_of(view),
        explanation=await explained(visit, ticket_id, "merchant"),
        review_reasons=REVIEW_REASONS,
        on_timeout=snapshot.ticket(ticket_id).on_timeout,
        form=form or RejectForm(),
        offered=offered or OfferForm({}),
        added=added or EvidenceForm(),
        titles={line.line_id: line.title or line.sku for line in snapshot.lines},
        templates=await visit.service.review_templates.list(visit.reader.subject_id),
        assignment=assignment if assignment is not None and now < assignment.until else None,
        incident=await _incident(visit, snapshot, ticket_id),
        rejection_codes=tuple(RejectionCode),
        problem=visit.speech.say(problem) if problem else None,
        now=now,
    )


async def _incident(visit: Visit, snapshot: OrderSnapshot, ticket_id: UUID) -> UUID | None:
    """The incident of the ticket, if its goods left all the same."""
    ref = OrderRef(snapshot.order.lane, snapshot.order.order_id)
    found = await visit.service.queries.incidents(
        IncidentFilter(shop_id=visit.reader.subject_id, order_id=ref.order_id)
    )
    return next((incident.incident_id for incident in found if incident.ticket_id == ticket_id), None)


def _shipment(visit: Visit, snapshot: OrderSnapshot, ticket_id: UUID, form: RejectForm) -> ShipmentUpdate | None:
    if not form.tracking_no:
        return None
    return ShipmentUpdate(
        degree=ShipmentStatus.SHIPPED,
        carrier=form.carrier,
        tracking_no=form.tracking_no,
        source=ShipmentSource.MERCHANT,
        happened_at=visit.service.clock(),
        lines=tuple(LineUnits(line.line_id, line.quantity) for line in snapshot.lines_of(ticket_id)),
    )
