"""The pages of a buyer without an account: a code or the shop's link opens one order; then as for every buyer."""

from __future__ import annotations

from urllib.parse import quote

from litestar import Router, get, post
from litestar.background_tasks import BackgroundTask
from litestar.response import Response

from jitui.aftersales.model.ticket import Actor, ActorKind
from jitui.aftersales.outcomes import Refusal
from jitui.entrypoints.console.page.form import Form
from jitui.entrypoints.console.page.visit import STATIC, ConsoleRequest, Page, Visit, Visiting, go_to, show
from jitui.entrypoints.console.shopper.sending import send_if_theirs, sends_codes
from jitui.entrypoints.console.shopper.session import (
    AREA,
    BROWSER_COOKIE,
    SESSION_COOKIE,
    browser_cookie,
    open_session,
    order_of,
    session_over,
)
from jitui.entrypoints.console.shopper.ticket import (
    accept_part,
    back_to_ticket,
    decline_part,
    ticket_news,
    ticket_page,
    withdraw_ticket,
)
from jitui.entrypoints.console.ticket.asking import (
    check_again,
    check_values,
    everything,
    form_values,
    read_ask,
    send_ask,
    status_of,
)
from jitui.entrypoints.http.client import client_of
from jitui.identity.shopper import CODE_LENGTH, new_browser, order_of_link, signer_of, use_code

LONGEST = 300
BUTTON_SECONDS = 3600
"""For how long a browser may use the button without asking for it anew."""


def _client(visit: Visit, request: ConsoleRequest) -> str:
    return client_of(request.scope, visit.service.settings.trusted_proxies).counted_as


# The way in ------------------------------------------------------------------------------------------------------


@get("/")
async def start(visit: Visiting, request: ConsoleRequest) -> Page:
    """The form for order number and address; where no code can be sent, what to do instead."""
    order_id = request.query_params.get("order", "")[:LONGEST]
    return show(visit, "shopper/start.html", sends=sends_codes(visit.service), order_id=order_id, too_many=False)


@post("/code", status_code=303)
async def ask_for_code(visit: Visiting, request: ConsoleRequest, data: Form) -> Response[str]:
    """Always the same answer, at once; whether a code goes out is found out after it."""
    order_id, address = data.get("order", "").strip()[:LONGEST], data.get("address", "").strip()[:LONGEST]
    if not sends_codes(visit.service):
        return show(visit, "shopper/start.html", status_code=409, sends=False, order_id="", too_many=False)
    if not visit.options.code_limits.may_ask(_client(visit, request)):
        return show(visit, "shopper/start.html", status_code=429, sends=True, order_id=order_id, too_many=True)
    browser, response = new_browser(), go_to(f"{AREA}/code?order={quote(order_id, safe='')}")
    response.set_cookie(browser_cookie(request, browser))
    response.background = BackgroundTask(send_if_theirs, visit, order_id, address, browser)
    return response


@get("/code")
async def code_page(visit: Visiting, request: ConsoleRequest) -> Page:
    """The form for the code, in the browser that asked for it."""
    order_id = request.query_params.get("order", "")
    return go_to(AREA) if BROWSER_COOKIE not in request.cookies else _code_page(visit, order_id)


@post("/open", status_code=303)
async def open_by_code(visit: Visiting, request: ConsoleRequest, data: Form) -> Response[str]:
    """Open the order, or say that the code is not right: a wrong, an old, a used one, and one that never was, alike."""
    if not visit.options.code_limits.may_type(_client(visit, request)):
        return _code_page(visit, data.get("order", ""), status_code=429)
    service, browser = visit.service, request.cookies.get(BROWSER_COOKIE, "")
    order_id = await use_code(service.platforms.codes, browser, data.get("code", ""), now=service.clock())
    if order_id is None:
        return _code_page(visit, data.get("order", ""), status_code=403)
    return await open_session(visit, request, order_id)


@get("/link")
async def open_by_link(visit: Visiting, request: ConsoleRequest) -> Page:
    """The shop's own link: its signature says that the shop knows this buyer."""
    signer, now = await signer_of(visit.service.people), visit.service.clock()
    order_id = order_of_link(signer, dict(request.query_params), now=now)
    if order_id is None:
        return show(visit, "shopper/over.html", status_code=403, link=True)
    return await open_session(visit, request, order_id)


@post("/leave", status_code=303)
async def leave() -> Page:
    """End the session, on a computer that others use."""
    response = go_to(AREA)
    response.delete_cookie(SESSION_COOKIE, path=AREA)
    return response


@get("/jitui-button.js")
async def button() -> Response[bytes]:
    """The script that a shop puts into its own pages; other sites may load it."""
    headers = {
        "cache-control": f"public, max-age={BUTTON_SECONDS}",
        "cross-origin-resource-policy": "cross-origin",
    }
    content = (STATIC / "jitui-button.js").read_bytes()
    return Response(content, media_type="text/javascript", headers=headers)


@get("/open")
async def back_to_code() -> Page:
    """The address of a form that is asked for as a page."""
    return go_to(f"{AREA}/code")


@get("/leave")
async def back_to_start() -> Page:
    """The address of the form that ends a session, asked for as a page."""
    return go_to(AREA)


def _code_page(visit: Visit, typed: str, *, status_code: int = 200) -> Page:
    """`typed`: the order number as it was typed, for those who ask again; nothing is looked up by it."""
    shown = {"length": CODE_LENGTH, "status": status_code, "order_id": typed[:LONGEST]}
    return show(visit, "shopper/code.html", status_code=status_code, **shown)


# The order -------------------------------------------------------------------------------------------------------


@get("/order")
async def order_page(visit: Visiting, request: ConsoleRequest) -> Page:
    """What can be asked for, and what was."""
    snapshot = await order_of(visit, request)
    if snapshot is None:
        return session_over(visit, request)
    chosen = everything(snapshot.order.buyer_id, snapshot)
    return show(visit, "shopper/order.html", **await form_values(visit, snapshot, chosen, None))


@get("/order/check")
async def check_choice(visit: Visiting, request: ConsoleRequest) -> Page:
    """The part of the form that depends on what is chosen."""
    snapshot = await order_of(visit, request)
    if snapshot is None:
        return session_over(visit, request)
    buyer_id = snapshot.order.buyer_id
    chosen = read_ask(buyer_id, snapshot.order.order_id, dict(request.query_params))
    checked = chosen if isinstance(chosen, Refusal) else await check_again(visit, chosen)
    return show(visit, "ticket/_check.html", **await check_values(visit, buyer_id, checked))


@post("/order", status_code=303)
async def ask(visit: Visiting, request: ConsoleRequest, data: Form) -> Response[str]:
    """Open the ticket on the session's order, whatever the form names."""
    snapshot = await order_of(visit, request)
    if snapshot is None:
        return session_over(visit, request)
    buyer_id, order_id = snapshot.order.buyer_id, snapshot.order.order_id
    chosen = read_ask(buyer_id, order_id, data)
    if isinstance(chosen, Refusal):
        shown, refusal = everything(buyer_id, snapshot), chosen
    else:
        done = await send_ask(
            visit, chosen, f"shop:{order_id}", data.get("nonce", ""), by=Actor(ActorKind.BUYER, buyer_id)
        )
        if not isinstance(done, Refusal):
            return go_to(f"{AREA}/tickets/{done}")
        shown, refusal = chosen, done
        snapshot = await order_of(visit, request) or snapshot
    values = await form_values(visit, snapshot, shown, refusal)
    return show(visit, "shopper/order.html", status_code=status_of(refusal), **values)


ROUTER = Router(
    AREA,
    route_handlers=[
        start,
        ask_for_code,
        code_page,
        open_by_code,
        open_by_link,
        leave,
        back_to_code,
        back_to_start,
        button,
        order_page,
        check_choice,
        ask,
        ticket_page,
        back_to_ticket,
        ticket_news,
        withdraw_ticket,
        accept_part,
        decline_part,
    ],
)
