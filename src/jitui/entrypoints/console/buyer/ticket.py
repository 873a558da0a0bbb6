"""One ticket as its buyer sees it: until it is refunded, the shop's offer, and the platform asked to decide."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any
from uuid import UUID

from litestar import get, post
from litestar.exceptions import NotFoundException
from litestar.params import FromPath
from litestar.response import Response

from jitui.aftersales.commands.arbitration import add_evidence, escalate, withdraw_arbitration
from jitui.aftersales.commands.offer import accept_offer, decline_offer
from jitui.aftersales.commands.on_ticket import Acting, Done
from jitui.aftersales.commands.review import withdraw
from jitui.aftersales.model.snapshot import OrderSnapshot
from jitui.aftersales.model.ticket import Actor, ActorKind
from jitui.aftersales.model.view import view_ticket
from jitui.aftersales.outcomes import Refusal, RefusalCode
from jitui.aftersales.ports import TicketRef
from jitui.entrypoints.console.page.access import needs, own_ticket
from jitui.entrypoints.console.page.form import Form, seen_version
from jitui.entrypoints.console.page.typed import one_line
from jitui.entrypoints.console.page.visit import ConsoleRequest, Page, Visit, Visiting, go_to, show
from jitui.entrypoints.console.ticket.buyers_view import ticket_values
from jitui.entrypoints.console.ticket.evidence import LONGEST_REASON, NO_EVIDENCE, EvidenceForm, read_evidence
from jitui.entrypoints.console.ticket.why import version_of
from jitui.identity.access import Permission
from jitui.ids import lane_of_id

Command = Callable[[TicketRef, Acting], Awaitable[Done]]


def _(message: str) -> str:
    return message


@get("/tickets/{ticket_id:uuid}", opt=needs(Permission.TICKETS_READ))
async def ticket_page(visit: Visiting, ticket_id: FromPath[UUID]) -> Page:
    """The ticket, on a page that updates itself until the ticket is final."""
    return await _ticket_page(visit, await own_ticket(visit, ticket_id), ticket_id)


@get("/tickets/{ticket_id:uuid}/news", opt=needs(Permission.TICKETS_READ))
async def ticket_news(visit: Visiting, request: ConsoleRequest, ticket_id: FromPath[UUID]) -> Response[str]:
    """The changing part of the page, or 204 when it has not changed."""
    snapshot = await own_ticket(visit, ticket_id)
    if request.query_params.get("seen") == version_of(view_ticket(snapshot, ticket_id)):
        return Response("", status_code=204)
    return show(
        visit, "ticket/_buyers_ticket.html", **await ticket_values(visit, snapshot, ticket_id, base="/buyer/tickets")
    )


@post("/tickets/{ticket_id:uuid}/withdraw", opt=needs(Permission.REFUND_REQUESTS_WRITE), status_code=303)
async def withdraw_ticket(visit: Visiting, ticket_id: FromPath[UUID], data: Form) -> Response[str]:
    """Withdraw the request while the shop has not decided."""
    version = seen_version(data) if data.get("version") else None
    store = visit.service.store
    return await _run(visit, ticket_id, lambda ref, acting: withdraw(store, ref, acting), version=version)


@post("/tickets/{ticket_id:uuid}/offer/accept", opt=needs(Permission.REFUND_REQUESTS_WRITE), status_code=303)
async def accept_part(visit: Visiting, ticket_id: FromPath[UUID], data: Form) -> Response[str]:
    """Accept the offer that was read: a part is refunded, the rest is shipped."""
    store = visit.service.store
    return await _run(
        visit, ticket_id, lambda ref, acting: accept_offer(store, ref, acting), version=seen_version(data)
    )


@post("/tickets/{ticket_id:uuid}/offer/decline", opt=needs(Permission.REFUND_REQUESTS_WRITE), status_code=303)
async def decline_part(visit: Visiting, ticket_id: FromPath[UUID], data: Form) -> Response[str]:
    """Decline the offer that was read: the request stays with the shop, whole."""
    store = visit.service.store
    return await _run(
        visit, ticket_id, lambda ref, acting: decline_offer(store, ref, acting), version=seen_version(data)
    )


@post("/tickets/{ticket_id:uuid}/arbitration", opt=needs(Permission.REFUND_REQUESTS_WRITE), status_code=303)
async def ask_platform(visit: Visiting, ticket_id: FromPath[UUID], data: Form) -> Response[str]:
    """Ask the platform to decide, after a rejection."""
    snapshot, reason, form = await own_ticket(visit, ticket_id), one_line(data.get("reason", "")), read_evidence(data)
    problem = form.problem()
    if not 0 < len(reason) <= LONGEST_REASON:
        problem = _("Please write in up to 500 characters why the shop is wrong.")
    if problem is not None:
        said = visit.speech.say(problem)
        return await _ticket_page(visit, snapshot, ticket_id, problem=said, status_code=422, asked=reason, added=form)
    store, days = visit.service.store, visit.service.settings.arbitration_answer_days
    return await _run(
        visit,
        ticket_id,
        lambda ref, acting: escalate(store, ref, reason, form.items, acting, answer_days=days),
        asked=reason,
        added=form,
    )


@post("/tickets/{ticket_id:uuid}/arbitration/withdraw", opt=needs(Permission.REFUND_REQUESTS_WRITE), status_code=303)
async def stop_asking_platform(visit: Visiting, ticket_id: FromPath[UUID]) -> Response[str]:
    """Take it back; within the seven days it can be asked for again."""
    store = visit.service.store
    return await _run(visit, ticket_id, lambda ref, acting: withdraw_arbitration(store, ref, acting))


@post("/tickets/{ticket_id:uuid}/arbitration/evidence", opt=needs(Permission.ARBITRATIONS_WRITE), status_code=303)
async def add_to_arbitration(visit: Visiting, ticket_id: FromPath[UUID], data: Form) -> Response[str]:
    """Add evidence while the platform looks at the request."""
    form, snapshot = read_evidence(data), await own_ticket(visit, ticket_id)
    problem = form.problem() or (None if form.items else NO_EVIDENCE)
    if problem is not None:
        said = visit.speech.say(problem)
        return await _ticket_page(visit, snapshot, ticket_id, problem=said, status_code=422, added=form)
    store = visit.service.store
    return await _run(visit, ticket_id, lambda ref, acting: add_evidence(store, ref, form.items, acting), added=form)


async def _run(
    visit: Visit, ticket_id: UUID, command: Command, *, version: int | None = None, **typed: Any
) -> Response[str]:
    """Run it and go to the ticket; after a refusal show the ticket as it is now, with what was typed."""
    buyer_id = visit.reader.subject_id
    acting = Acting(Actor(ActorKind.BUYER, buyer_id), visit.service.clock(), version, buyer_id=buyer_id)
    done = await command(TicketRef(lane_of_id(ticket_id), ticket_id), acting)
    if not isinstance(done, Refusal):
        return go_to(f"/buyer/tickets/{ticket_id}")
    if done.code is RefusalCode.NOT_FOUND:
        raise NotFoundException
    snapshot, problem = await own_ticket(visit, ticket_id), visit.speech.word(done.code)
    return await _ticket_page(visit, snapshot, ticket_id, problem=problem, status_code=409, **typed)


async def _ticket_page(
    visit: Visit,
    snapshot: OrderSnapshot,
    ticket_id: UUID,
    *,
    problem: str | None = None,
    status_code: int = 200,
    asked: str = "",
    added: EvidenceForm | None = None,
) -> Page:
    values = await ticket_values(visit, snapshot, ticket_id, base="/buyer/tickets")
    typed = {"asked": asked, "added": added or EvidenceForm()}
    return show(visit, "buyer/ticket.html", status_code=status_code, problem=problem, **{**values, **typed})
