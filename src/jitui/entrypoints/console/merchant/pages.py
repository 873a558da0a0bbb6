"""The merchant's pages: the list of tickets; one ticket, the review and the others have modules of their own."""

from __future__ import annotations

from datetime import timedelta

from litestar import Router, get
from litestar.response import Stream

from jitui.aftersales.model.ticket import ApprovedBy, TicketState
from jitui.entrypoints.console.benefit import shop_benefit
from jitui.entrypoints.console.incidents import pages as incidents
from jitui.entrypoints.console.merchant.coverage import complain, coverage
from jitui.entrypoints.console.merchant.review import decide_many, drop_template, put_template, review, templates
from jitui.entrypoints.console.merchant.shipping import answer_stop_ship, record_parcel, shipping
from jitui.entrypoints.console.merchant.shipping_file import check_file, record_file
from jitui.entrypoints.console.merchant.ticket import (
    add_to_arbitration,
    approve_ticket,
    assign_ticket,
    offer_part,
    reject_ticket,
    release_ticket,
    ticket_page,
)
from jitui.entrypoints.console.merchant.ticket_list import COLUMN_NAMES, TABS, csv_of, page_of, read_query
from jitui.entrypoints.console.page.access import needs, pages_of
from jitui.entrypoints.console.page.visit import ConsoleRequest, Page, Visiting, show
from jitui.entrypoints.console.ticket.rows import SORTS
from jitui.entrypoints.console.ticket.why import shop_name
from jitui.identity.access import Permission, Role

BENEFIT_DAYS = 30


@get("/tickets", opt=needs(Permission.TICKETS_READ))
async def tickets(visit: Visiting, request: ConsoleRequest) -> Page:
    """The shop's tickets, newest first, and the benefit of the guarantee for the shop (R6 to R8, R15)."""
    query = read_query(request.query_params)
    shown, next_page = await page_of(visit, query)
    since = visit.service.clock() - timedelta(days=BENEFIT_DAYS)
    return show(
        visit,
        "merchant/tickets.html",
        query=query,
        tabs=TABS,
        column_names=COLUMN_NAMES,
        sorts=SORTS,
        tickets=shown,
        next_page=next_page,
        states=tuple(TicketState),
        approvers=tuple(ApprovedBy),
        benefit=await visit.service.queries.benefit(shop_id=visit.reader.subject_id, since=since),
        benefit_days=BENEFIT_DAYS,
        shop=await shop_name(visit, visit.reader.subject_id),
        now=visit.service.clock(),
    )


@get("/tickets.csv", opt=needs(Permission.TICKETS_READ))
async def tickets_csv(visit: Visiting, request: ConsoleRequest) -> Stream:
    """The list of tickets as a CSV file."""
    return csv_of(visit, read_query(request.query_params))


ROUTER = Router(
    "/merchant",
    route_handlers=[
        tickets,
        tickets_csv,
        ticket_page,
        approve_ticket,
        reject_ticket,
        assign_ticket,
        release_ticket,
        offer_part,
        add_to_arbitration,
        review,
        decide_many,
        templates,
        put_template,
        drop_template,
        *incidents.HANDLERS,
        shipping,
        record_parcel,
        answer_stop_ship,
        check_file,
        record_file,
        coverage,
        complain,
        shop_benefit,
    ],
    guards=[pages_of(Role.MERCHANT)],
)
