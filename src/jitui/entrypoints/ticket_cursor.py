"""Cursors of lists of tickets: the place of the last row, and the order in which it stands there."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

from msgspec import Meta

from jitui.aftersales.model.ticket import Ticket, TicketState
from jitui.aftersales.ports import TicketFilter
from jitui.aftersales.ticket_list import Place, SortOrder, TicketSort, place_of
from jitui.entrypoints.cursor import from_cursor, to_cursor
from jitui.money import MAX_AMOUNT_MINOR

_Time = Annotated[datetime, Meta(tz=True)]
_PLACES: Mapping[TicketSort, Any] = {
    TicketSort.REQUESTED_AT: tuple[_Time, UUID],
    TicketSort.EXPIRES_AT: tuple[_Time | None, UUID],
    TicketSort.AMOUNT: tuple[
        Annotated[str, Meta(pattern="^[A-Z]{3}$")], Annotated[int, Meta(ge=0, le=MAX_AMOUNT_MINOR)], UUID
    ],
    TicketSort.STATE: tuple[TicketState, _Time, UUID],
}


def ticket_cursor(ticket: Ticket, wanted: TicketFilter) -> str:
    """The cursor of the page that begins after this ticket."""
    order = (wanted.sort, wanted.order)
    place = place_of(ticket, wanted.sort)
    return to_cursor(*place) if order == _DEFAULT else to_cursor(*order, place)


def place_in(cursor: str, sort: TicketSort, order: SortOrder) -> Place:
    """Where the page begins. Raises ValueError for any text that is no cursor of a list with this order."""
    if (sort, order) == _DEFAULT:  # as cursors were before lists had other orders
        first: Place = from_cursor(cursor, _PLACES[sort])
        return first
    kind: Any = tuple[TicketSort, SortOrder, _PLACES[sort]]  # type: ignore[valid-type]
    in_sort, in_order, place = from_cursor(cursor, kind)
    if (in_sort, in_order) != (sort, order):
        raise ValueError("This is a cursor of a list in another order.")
    found: Place = place
    return found


_DEFAULT = (TicketFilter().sort, TicketFilter().order)
