"""The buyer's pages: orders, a refund request, and a ticket until it is refunded."""

from __future__ import annotations

import asyncio
from typing import Any
from uuid import UUID

from litestar import Router, get, post
from litestar.exceptions import NotFoundException
from litestar.params import FromPath
from litestar.response import Response

from jitui.aftersales.commands.execute import Executed, IdempotentReply
from jitui.aftersales.commands.on_ticket import Acting
from jitui.aftersales.commands.request_refund import RefundRequest, request_refund
from jitui.aftersales.commands.review import withdraw
from jitui.aftersales.model.order import captured_minor
from jitui.aftersales.model.snapshot import OrderSnapshot
from jitui.aftersales.model.ticket import Actor, ActorKind, Reason
from jitui.aftersales.model.view import TicketView, view_ticket, without_staff
from jitui.aftersales.outcomes import Refusal, RefusalCode, StoredResponse
from jitui.aftersales.ports import OrderFilter, OrderRef, TicketRef
from jitui.entrypoints.console.access import known_text, needs, own_order, own_ticket, pages_of
from jitui.entrypoints.console.ask import askable, check, everything, new_nonce, read_ask, sent_once
from jitui.entrypoints.console.buyer_restrictions import open_appeal, restrictions_page
from jitui.entrypoints.console.cursor import read_place
from jitui.entrypoints.console.progress import FINAL_STATES, steps_of
from jitui.entrypoints.console.start import Form, seen_version
from jitui.entrypoints.console.visit import ConsoleRequest, Page, Visit, Visiting, go_to, show
from jitui.entrypoints.console.why import explained, shop_name, version_of
from jitui.entrypoints.console.words import REVIEW_REASONS
from jitui.entrypoints.cursor import to_cursor
from jitui.identity.access import Permission, Role
from jitui.ids import lane_of_id

ORDERS_PER_PAGE = 10


@get("/orders", opt=needs(Permission.ORDERS_READ))
async def orders(visit: Visiting, request: ConsoleRequest) -> Page:
    """The buyer's orders, newest first."""
    after = read_place(request.query_params["after"]) if request.query_params.get("after") else None
    wanted = OrderFilter(buyer_id=visit.reader.subject_id, after=after, limit=ORDERS_PER_PAGE + 1)
    found = await visit.service.queries.orders(wanted)
    shown = found[:ORDERS_PER_PAGE]
    snapshots = await asyncio.gather(
        *(visit.service.store.read_order(OrderRef(order.lane, order.order_id)) for order in shown)
    )
    restrictions = await visit.service.registry.restrictions_of(visit.reader.subject_id)
    last = shown[-1] if len(found) > len(shown) else None
    return show(
        visit,
        "buyer/orders.html",
        snapshots=[snapshot for snapshot in snapshots if snapshot is not None],
        shops={order.shop_id: await shop_name(visit, order.shop_id) for order in shown},
        askable=askable,
        restrictions=len(restrictions),
        restricted=any(row.stands(visit.service.clock()) for row in restrictions),
        paid=lambda snapshot: captured_minor(snapshot.tenders),
        first_page=after is None,
        next_page=to_cursor(last.placed_at, last.order_id) if last else None,
    )


@get("/ask", opt=needs(Permission.REFUND_REQUESTS_READ))
async def ask_page(visit: Visiting, request: ConsoleRequest) -> Page:
    """The form for units and a reason; the amount is computed."""
    snapshot = await own_order(visit, request.query_params.get("order", ""))
    return await _ask_page(visit, snapshot, everything(visit.reader.subject_id, snapshot))


@get("/ask/check", opt=needs(Permission.REFUND_REQUESTS_READ))
async def check_choice(visit: Visiting, request: ConsoleRequest) -> Page:
    """The part of the form that depends on what is chosen."""
    order_id = known_text(request.query_params.get("order", ""))
    chosen = read_ask(visit.reader.subject_id, order_id, dict(request.query_params))
    checked = chosen if isinstance(chosen, Refusal) else await check(visit, chosen)
    return await _check_part(visit, checked)


@post("/ask", opt=needs(Permission.REFUND_REQUESTS_WRITE), status_code=303)
async def ask(visit: Visiting, data: Form) -> Response[str]:
    """Open the ticket; sending the same form again leads to the same ticket."""
    service, buyer_id = visit.service, visit.reader.subject_id
    snapshot = await own_order(visit, data.get("order", ""))
    chosen = read_ask(buyer_id, snapshot.order.order_id, data)
    if isinstance(chosen, Refusal):
        return await _ask_page(visit, snapshot, everything(buyer_id, snapshot), refusal=chosen)
    reply = IdempotentReply(
        sent_once(visit, chosen, data.get("nonce", "")),
        lambda done: StoredResponse(303, str(done.ticket_id).encode(), service.clock()),
    )
    done = await request_refund(
        service.store,
        await service.decision_settings(),
        chosen,
        now=service.clock(),
        reply=reply,
    )
    if isinstance(done, Refusal):
        return await _ask_page(visit, snapshot, chosen, refusal=done)
    ticket_id = done.ticket_id if isinstance(done, Executed) else UUID(done.body.decode())
    return go_to(f"/buyer/tickets/{ticket_id}")


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
    return show(visit, "buyer/_ticket.html", **await _ticket_values(visit, snapshot, ticket_id))


@post("/tickets/{ticket_id:uuid}/withdraw", opt=needs(Permission.REFUND_REQUESTS_WRITE), status_code=303)
async def withdraw_ticket(visit: Visiting, ticket_id: FromPath[UUID], data: Form) -> Response[str]:
    """Withdraw the request while the shop has not decided."""
    snapshot = await own_ticket(visit, ticket_id)
    reader, now = visit.reader, visit.service.clock()
    done = await withdraw(
        visit.service.store,
        TicketRef(lane_of_id(ticket_id), ticket_id),
        Acting(
            Actor(ActorKind.BUYER, reader.subject_id),
            now,
            seen_version(data) if data.get("version") else None,
            buyer_id=reader.subject_id,
        ),
    )
    if isinstance(done, Refusal):
        snapshot = await own_ticket(visit, ticket_id)
        return await _ticket_page(visit, snapshot, ticket_id, refusal=done)
    return go_to(f"/buyer/tickets/{ticket_id}")


async def _ask_page(
    visit: Visit, snapshot: OrderSnapshot, chosen: RefundRequest, *, refusal: Refusal | None = None
) -> Page:
    if refusal is not None and refusal.code is RefusalCode.NOT_FOUND:
        raise NotFoundException
    lines = askable(snapshot)
    policy = (await visit.service.policy_in_force.deciding()).for_buyer(visit.reader.subject_id).policy
    return show(
        visit,
        "buyer/ask.html",
        status_code=200 if refusal is None else 409,
        snapshot=snapshot,
        shop=await shop_name(visit, snapshot.order.shop_id),
        lines=lines,
        chosen={units.line_id: units.quantity for units in chosen.lines},
        reason=chosen.reason,
        reasons=tuple(Reason),
        checked=await check(visit, chosen) if lines else None,
        deadline_seconds=policy.review.deadline_seconds,
        on_timeout=policy.review.on_timeout,
        review_reasons=REVIEW_REASONS,
        nonce=new_nonce(),
        refusal=refusal,
    )


async def _check_part(visit: Visit, checked: object) -> Page:
    policy = (await visit.service.policy_in_force.deciding()).for_buyer(visit.reader.subject_id).policy
    return show(
        visit,
        "buyer/_check.html",
        checked=checked,
        deadline_seconds=policy.review.deadline_seconds,
        on_timeout=policy.review.on_timeout,
        review_reasons=REVIEW_REASONS,
    )


async def _ticket_page(
    visit: Visit, snapshot: OrderSnapshot, ticket_id: UUID, *, refusal: Refusal | None = None
) -> Page:
    values = await _ticket_values(visit, snapshot, ticket_id)
    status_code = 200 if refusal is None else 409
    return show(visit, "buyer/ticket.html", status_code=status_code, refusal=refusal, **values)


async def _ticket_values(visit: Visit, snapshot: OrderSnapshot, ticket_id: UUID) -> dict[str, Any]:
    view = without_staff(view_ticket(snapshot, ticket_id), shop=False)
    return {
        "view": view,
        "shop": await shop_name(visit, view.shop_id),
        "steps": steps_of(view),
        "explanation": await explained(visit, ticket_id),
        "review_reasons": REVIEW_REASONS,
        "rejection": _rejection(view),
        "seen": version_of(view),
        "final": view.state in FINAL_STATES,
        "now": visit.service.clock(),
        "on_timeout": snapshot.ticket(ticket_id).on_timeout,
    }


def _rejection(view: TicketView) -> str:
    """The shop's reason for the rejection."""
    return next((str(event.detail.get("reason", "")) for event in view.timeline if event.why == "rejected"), "")


ROUTER = Router(
    "/buyer",
    route_handlers=[
        orders,
        ask_page,
        check_choice,
        ask,
        ticket_page,
        ticket_news,
        withdraw_ticket,
        restrictions_page,
        open_appeal,
    ],
    guards=[pages_of(Role.BUYER)],
)
