"""The buyer's pages: orders and a refund request; the ticket and restrictions have modules of their own."""

from __future__ import annotations

import asyncio

from litestar import Router, get, post
from litestar.exceptions import NotFoundException
from litestar.response import Response

from jitui.aftersales.commands.request_refund import RefundRequest
from jitui.aftersales.model.order import captured_minor
from jitui.aftersales.model.snapshot import OrderSnapshot
from jitui.aftersales.outcomes import Refusal, RefusalCode
from jitui.aftersales.ports import OrderFilter, OrderRef
from jitui.entrypoints.console.buyer.restrictions import open_appeal, restrictions_page
from jitui.entrypoints.console.buyer.ticket import (
    accept_part,
    add_to_arbitration,
    ask_platform,
    decline_part,
    stop_asking_platform,
    ticket_news,
    ticket_page,
    withdraw_ticket,
)
from jitui.entrypoints.console.page.access import known_text, needs, own_order, pages_of
from jitui.entrypoints.console.page.cursor import read_place
from jitui.entrypoints.console.page.form import Form
from jitui.entrypoints.console.page.visit import ConsoleRequest, Page, Visit, Visiting, go_to, show
from jitui.entrypoints.console.ticket.asking import (
    askable,
    check_again,
    check_values,
    everything,
    form_values,
    read_ask,
    send_ask,
    status_of,
)
from jitui.entrypoints.console.ticket.why import shop_name
from jitui.entrypoints.cursor import to_cursor
from jitui.identity.access import Permission, Role

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
        shops={shop_id: await shop_name(visit, shop_id) for shop_id in {order.shop_id for order in shown}},
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
    checked = chosen if isinstance(chosen, Refusal) else await check_again(visit, chosen)
    return show(visit, "ticket/_check.html", **await check_values(visit, visit.reader.subject_id, checked))


@post("/ask", opt=needs(Permission.REFUND_REQUESTS_WRITE), status_code=303)
async def ask(visit: Visiting, data: Form) -> Response[str]:
    """Open the ticket; sending the same form again leads to the same ticket."""
    buyer_id = visit.reader.subject_id
    snapshot = await own_order(visit, data.get("order", ""))
    chosen = read_ask(buyer_id, snapshot.order.order_id, data)
    if isinstance(chosen, Refusal):
        return await _ask_page(visit, snapshot, everything(buyer_id, snapshot), refusal=chosen)
    done = await send_ask(visit, chosen, visit.reader.name, data.get("nonce", ""))
    if isinstance(done, Refusal):
        return await _ask_page(visit, snapshot, chosen, refusal=done)
    return go_to(f"/buyer/tickets/{done}")


async def _ask_page(
    visit: Visit, snapshot: OrderSnapshot, chosen: RefundRequest, *, refusal: Refusal | None = None
) -> Page:
    if refusal is not None and refusal.code is RefusalCode.NOT_FOUND:
        raise NotFoundException
    return show(
        visit,
        "buyer/ask.html",
        status_code=status_of(refusal),
        **await form_values(visit, snapshot, chosen, refusal),
    )


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
        accept_part,
        decline_part,
        ask_platform,
        stop_asking_platform,
        add_to_arbitration,
        restrictions_page,
        open_appeal,
    ],
    guards=[pages_of(Role.BUYER)],
)
