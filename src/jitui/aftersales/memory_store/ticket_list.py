"""Lists of tickets in memory, which are never late."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime

from jitui.aftersales.model.ticket import Ticket
from jitui.aftersales.ports import TicketFilter
from jitui.aftersales.ticket_list import ListedTickets, Place, SortOrder, place_of

_NEVER = datetime.max.replace(tzinfo=UTC)


def list_tickets(tickets: Iterable[Ticket], wanted: TicketFilter) -> ListedTickets:
    """The page of these tickets, as `PostgresQueries.tickets` has it."""
    down = wanted.order is SortOrder.DESC
    begins = None if wanted.after is None else _comparable(wanted.after)
    found = [
        (place, ticket)
        for ticket in tickets
        if _fits(ticket, wanted)
        for place in [_comparable(place_of(ticket, wanted.sort))]
        if begins is None or (place < begins if down else place > begins)
    ]
    found.sort(key=lambda pair: pair[0], reverse=down)
    return ListedTickets([ticket for _, ticket in found[: wanted.limit]])


def _comparable(place: Place) -> Place:
    return tuple(_NEVER if value is None else value for value in place)


def _fits(ticket: Ticket, wanted: TicketFilter) -> bool:
    return (
        wanted.shop_id in (None, ticket.shop_id)
        and wanted.buyer_id in (None, ticket.buyer_id)
        and wanted.order_id in (None, ticket.order_id)
        and wanted.state in (None, ticket.state)
        and wanted.approved_by in (None, ticket.approved_by)
        and (wanted.requested_from is None or ticket.requested_at >= wanted.requested_from)
        and (wanted.requested_until is None or ticket.requested_at < wanted.requested_until)
    )
