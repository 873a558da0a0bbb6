"""The session of a buyer without an account: a signed cookie that opens one order for half an hour."""

from __future__ import annotations

from uuid import UUID

from litestar.datastructures import Cookie
from litestar.exceptions import NotFoundException
from litestar.response import Response

from jitui.aftersales.model.snapshot import OrderSnapshot
from jitui.aftersales.outcomes import Refusal, RefusalCode
from jitui.aftersales.ports import TicketRef, read_order_by_id
from jitui.entrypoints.console.page.origin import is_tls
from jitui.entrypoints.console.page.visit import ConsoleRequest, Page, Visit, go_to, show
from jitui.errors import Unavailable
from jitui.identity.shopper import CODE_LASTS, SESSION_LASTS, order_of_session, session_for, signer_of
from jitui.ids import lane_of_id
from jitui.platform_syncing import take_in_now

SESSION_COOKIE = "jitui_shop"
BROWSER_COOKIE = "jitui_shop_browser"
"""What the browser has that asked for a code."""
AREA = "/shop"
ORDER = "/shop/order"


def shop_cookie(request: ConsoleRequest, key: str, value: str, seconds: float) -> Cookie:
    """A cookie for these pages alone, which no script reads."""
    return Cookie(
        key=key, value=value, path=AREA, max_age=int(seconds), httponly=True, samesite="lax", secure=is_tls(request)
    )


def browser_cookie(request: ConsoleRequest, value: str) -> Cookie:
    """As long as the code is valid."""
    return shop_cookie(request, BROWSER_COOKIE, value, CODE_LASTS.total_seconds())


async def open_session(visit: Visit, request: ConsoleRequest, order_id: str) -> Page:
    """Lead to the order, as its platform has it now; while that does not answer, as it was recorded."""
    service = visit.service
    await take_in_now(service, order_id)
    session = session_for(await signer_of(service.people), order_id, service.clock() + SESSION_LASTS)
    response = go_to(ORDER)
    response.set_cookie(shop_cookie(request, SESSION_COOKIE, session, SESSION_LASTS.total_seconds()))
    response.delete_cookie(BROWSER_COOKIE, path=AREA)
    return response


async def order_of(visit: Visit, request: ConsoleRequest) -> OrderSnapshot | None:
    """The order of the session; None without a session that is valid now. Raises Unavailable, NotFoundException."""
    service, session = visit.service, request.cookies.get(SESSION_COOKIE, "")
    order_id = order_of_session(await signer_of(service.people), session, now=service.clock())
    if order_id is None:
        return None
    found = await read_order_by_id(service.store, order_id)
    if found is None:
        done = await take_in_now(service, order_id)
        if isinstance(done, Refusal) and done.code is RefusalCode.PLATFORM_UNAVAILABLE:
            raise Unavailable(done.message)
        found = await read_order_by_id(service.store, order_id)
    if found is None:
        raise NotFoundException
    return found


async def ticket_of(visit: Visit, request: ConsoleRequest, ticket_id: UUID) -> OrderSnapshot | None:
    """The order of a ticket that is on the session's order; None without a session, NotFoundException for any other."""
    order = await order_of(visit, request)
    if order is None:
        return None
    found = await visit.service.store.read_order(TicketRef(lane_of_id(ticket_id), ticket_id))
    if found is None or found.order.order_id != order.order.order_id:
        raise NotFoundException
    return found


def session_over(visit: Visit, request: ConsoleRequest) -> Response[str]:
    """The page that says so, with the ways back."""
    if "hx-request" in request.headers:  # a part of a page was requested: lead the whole page there
        return Response("", status_code=403, headers={"hx-redirect": AREA})
    return show(visit, "shopper/over.html", status_code=403, link=False)
