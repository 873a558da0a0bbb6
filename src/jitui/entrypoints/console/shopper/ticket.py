"""A ticket on the session's order: until it is refunded, taken back, or settled by the shop's offer."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from uuid import UUID

from litestar import get, post
from litestar.params import FromPath
from litestar.response import Response

from jitui.aftersales.commands.offer import accept_offer, decline_offer
from jitui.aftersales.commands.on_ticket import Acting, Done
from jitui.aftersales.commands.review import withdraw
from jitui.aftersales.model.snapshot import OrderSnapshot
from jitui.aftersales.model.ticket import Actor, ActorKind
from jitui.aftersales.model.view import view_ticket
from jitui.aftersales.outcomes import Refusal
from jitui.aftersales.ports import TicketRef
from jitui.entrypoints.console.page.form import Form, seen_version
from jitui.entrypoints.console.page.visit import ConsoleRequest, Page, Visit, Visiting, go_to, show
from jitui.entrypoints.console.shopper.session import AREA, session_over, ticket_of
from jitui.entrypoints.console.ticket.buyers_view import ticket_values
from jitui.entrypoints.console.ticket.why import version_of
from jitui.ids import lane_of_id

BASE = f"{AREA}/tickets"
Command = Callable[[TicketRef, Acting], Awaitable[Done]]


@get("/tickets/{ticket_id:uuid}")
async def ticket_page(visit: Visiting, request: ConsoleRequest, ticket_id: FromPath[UUID]) -> Page:
    """The ticket, on a page that updates itself until the ticket is final."""
    snapshot = await ticket_of(visit, request, ticket_id)
    return session_over(visit, request) if snapshot is None else await _page(visit, snapshot, ticket_id)


@get("/tickets/{ticket_id:uuid}/news")
async def ticket_news(visit: Visiting, request: ConsoleRequest, ticket_id: FromPath[UUID]) -> Response[str]:
    """The changing part of the page, or 204 when it has not changed."""
    snapshot = await ticket_of(visit, request, ticket_id)
    if snapshot is None:
        return session_over(visit, request)
    if request.query_params.get("seen") == version_of(view_ticket(snapshot, ticket_id)):
        return Response("", status_code=204)
    values = await ticket_values(visit, snapshot, ticket_id, base=BASE, arbitrates=False)
    return show(visit, "ticket/_buyers_ticket.html", **values)


@post("/tickets/{ticket_id:uuid}/withdraw", status_code=303)
async def withdraw_ticket(
    visit: Visiting, request: ConsoleRequest, ticket_id: FromPath[UUID], data: Form
) -> Response[str]:
    """Take the request back while the shop has not decided."""
    store = visit.service.store
    return await _run(visit, request, ticket_id, lambda ref, acting: withdraw(store, ref, acting), data)


@post("/tickets/{ticket_id:uuid}/offer/accept", status_code=303)
async def accept_part(visit: Visiting, request: ConsoleRequest, ticket_id: FromPath[UUID], data: Form) -> Response[str]:
    """Accept the offer that was read."""
    store = visit.service.store
    return await _run(visit, request, ticket_id, lambda ref, acting: accept_offer(store, ref, acting), data)


@post("/tickets/{ticket_id:uuid}/offer/decline", status_code=303)
async def decline_part(
    visit: Visiting, request: ConsoleRequest, ticket_id: FromPath[UUID], data: Form
) -> Response[str]:
    """Decline the offer that was read."""
    store = visit.service.store
    return await _run(visit, request, ticket_id, lambda ref, acting: decline_offer(store, ref, acting), data)


@get([f"/tickets/{{ticket_id:uuid}}/{form}" for form in ("withdraw", "offer/accept", "offer/decline")])
async def back_to_ticket(ticket_id: FromPath[UUID]) -> Page:
    """The address of a form that is asked for as a page: after a refusal the browser shows it."""
    return go_to(f"{BASE}/{ticket_id}")


async def _run(visit: Visit, request: ConsoleRequest, ticket_id: UUID, command: Command, data: Form) -> Response[str]:
    """Run it on the version that was read; after a refusal show the ticket as it is now."""
    snapshot = await ticket_of(visit, request, ticket_id)
    if snapshot is None:
        return session_over(visit, request)
    buyer_id = snapshot.order.buyer_id
    acting = Acting(Actor(ActorKind.BUYER, buyer_id), visit.service.clock(), seen_version(data), buyer_id=buyer_id)
    done = await command(TicketRef(lane_of_id(ticket_id), ticket_id), acting)
    if not isinstance(done, Refusal):
        return go_to(f"{BASE}/{ticket_id}")
    now = await ticket_of(visit, request, ticket_id) or snapshot
    return await _page(visit, now, ticket_id, problem=visit.speech.word(done.code), status_code=409)


async def _page(
    visit: Visit, snapshot: OrderSnapshot, ticket_id: UUID, *, problem: str | None = None, status_code: int = 200
) -> Page:
    values = await ticket_values(visit, snapshot, ticket_id, base=BASE, arbitrates=False)
    return show(visit, "shopper/ticket.html", status_code=status_code, problem=problem, **values)
