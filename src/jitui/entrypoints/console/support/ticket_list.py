"""The tickets of all shops, for the platform's people: filters in the address, pages, and a CSV file."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from litestar import get
from litestar.exceptions import ValidationException
from litestar.response import Stream

from jitui.aftersales.model.sorting import SortOrder
from jitui.aftersales.model.ticket import Ticket, TicketState
from jitui.aftersales.ports import TicketFilter
from jitui.aftersales.ticket_list import TicketSort, place_of
from jitui.entrypoints.console.page.access import needs
from jitui.entrypoints.console.page.csv_file import BATCH, CsvRow, csv_file
from jitui.entrypoints.console.page.cursor import begins
from jitui.entrypoints.console.page.list_link import list_link
from jitui.entrypoints.console.page.visit import ConsoleRequest, Page, Visit, Visiting, show
from jitui.entrypoints.console.ticket.rows import SORTS, headings, row_of
from jitui.entrypoints.console.ticket.why import shop_name
from jitui.entrypoints.list_cursor import TICKETS
from jitui.identity.access import Permission
from jitui.text import why_no_id

TICKETS_PER_PAGE = 25
PATH = "/support/tickets"
IDS = ("shop", "buyer", "order")


def _(message: str) -> str:
    return message


@dataclass(frozen=True, slots=True)
class AllTicketsQuery:
    """The filters of the list."""

    state: TicketState | None = None
    shop: str = ""
    buyer: str = ""
    order: str = ""
    sort: TicketSort = TicketSort.REQUESTED_AT
    direction: SortOrder = SortOrder.DESC
    after: str = ""

    def link(self, path: str = PATH, **changed: object) -> str:
        """The link to this list with some filters changed; then it begins with the first page."""
        return list_link(path, self, changed)


TABS = (
    (_("All"), AllTicketsQuery()),
    (
        _("To review"),
        AllTicketsQuery(TicketState.AWAITING_MERCHANT, sort=TicketSort.EXPIRES_AT, direction=SortOrder.ASC),
    ),
    (_("Refunded"), AllTicketsQuery(TicketState.REFUNDED)),
)
"""Saved filters."""


@get("/tickets", opt=needs(Permission.TICKETS_READ))
async def all_tickets(visit: Visiting, request: ConsoleRequest) -> Page:
    """The tickets of every shop, newest first."""
    query = read_query(request.query_params)
    wanted = replace(_filter(query), limit=TICKETS_PER_PAGE + 1)
    found = (await visit.service.queries.tickets(wanted)).tickets
    shown = found[:TICKETS_PER_PAGE]
    following = place_of(shown[-1], wanted.sort) if len(found) > len(shown) else None
    return show(
        visit,
        "support/tickets.html",
        query=query,
        tabs=TABS,
        tickets=shown,
        next_page=TICKETS.after(following, wanted.sort, wanted.order) if following else "",
        states=tuple(TicketState),
        sorts=SORTS,
        shops={shop_id: await shop_name(visit, shop_id) for shop_id in {ticket.shop_id for ticket in shown}},
        now=visit.service.clock(),
    )


@get("/tickets.csv", opt=needs(Permission.TICKETS_READ))
async def all_tickets_csv(visit: Visiting, request: ConsoleRequest) -> Stream:
    """The whole filtered list, with shop and buyer."""
    wanted = _filter(replace(read_query(request.query_params), after=""))
    names = [visit.speech.say(name) for name in (_("Shop"), _("Buyer"))]
    return csv_file("tickets.csv", [*names, *headings(visit.speech)], _batches(visit, wanted))


def read_query(params: Mapping[str, str]) -> AllTicketsQuery:
    """The filters in a link; empty fields are not set. Raises ValidationException for an unknown filter."""
    ids = {name: params.get(name, "").strip() for name in IDS}
    if any(value and why_no_id(value) is not None for value in ids.values()):
        raise ValidationException
    try:
        return AllTicketsQuery(
            state=TicketState(params["state"]) if params.get("state") else None,
            sort=TicketSort(params.get("sort") or TicketSort.REQUESTED_AT),
            direction=SortOrder(params.get("direction") or SortOrder.DESC),
            after=params.get("after", ""),
            **ids,
        )
    except ValueError as error:
        raise ValidationException from error


def _filter(query: AllTicketsQuery) -> TicketFilter:
    return TicketFilter(
        shop_id=query.shop or None,
        buyer_id=query.buyer or None,
        order_id=query.order or None,
        state=query.state,
        sort=query.sort,
        order=query.direction,
        after=begins(TICKETS, query.after, query.sort, query.direction),
    )


async def _batches(visit: Visit, wanted: TicketFilter) -> AsyncIterator[Iterable[CsvRow]]:
    wanted = replace(wanted, limit=BATCH)
    while batch := (await visit.service.queries.tickets(wanted)).tickets:
        yield [_csv_row(visit, ticket) for ticket in batch]
        wanted = replace(wanted, after=place_of(batch[-1], wanted.sort))


def _csv_row(visit: Visit, ticket: Ticket) -> Sequence[str]:
    return [ticket.shop_id, ticket.buyer_id, *row_of(visit.speech, ticket)]
