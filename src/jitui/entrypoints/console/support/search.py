"""One search field for whatever somebody has in hand: order, ticket, refund, incident, waybill, buyer or shop."""

from __future__ import annotations

from litestar import Router, get
from litestar.exceptions import ValidationException

from jitui.aftersales.lookup import MOST_ORDERS, IdKind, Sources, look_up
from jitui.aftersales.model.order import captured_minor
from jitui.entrypoints.console.page.access import STAFF, needs, pages_of
from jitui.entrypoints.console.page.visit import ConsoleRequest, Page, Visiting, show
from jitui.entrypoints.console.ticket.why import shop_name
from jitui.identity.access import Permission, Role

LONGEST_SEARCH = 200
_CASES = {Role.MERCHANT: "/merchant/tickets/"}
"""Where a ticket of the result is read; staff read the whole case."""


@get("/search", opt=needs(Permission.TICKETS_READ))
async def search(visit: Visiting, request: ConsoleRequest) -> Page:
    """What has exactly this id; a merchant finds what is on the own shop's orders (I8)."""
    wanted = request.query_params.get("q", "").strip()
    if not wanted.isprintable() or len(wanted) > LONGEST_SEARCH:
        raise ValidationException
    service, reader = visit.service, visit.reader
    own_shop = reader.subject_id if reader.role is Role.MERCHANT else None
    sources = Sources(service.store, service.queries, service.registry)
    matches = await look_up(sources, wanted, shop_id=own_shop) if wanted else ()
    shops = {snapshot.order.shop_id for match in matches for snapshot in match.orders}
    return show(
        visit,
        "support/search.html",
        wanted=wanted,
        matches=matches,
        kinds=tuple(IdKind),
        most=MOST_ORDERS,
        own_shop=own_shop,
        shops={shop_id: await shop_name(visit, shop_id) for shop_id in shops},
        paid=lambda snapshot: captured_minor(snapshot.tenders),
        case=_CASES.get(reader.role, "/support/tickets/"),
    )


ROUTER = Router("/", route_handlers=[search], guards=[pages_of(*STAFF, Role.MERCHANT)])
