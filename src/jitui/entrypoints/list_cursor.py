"""Cursors of lists that are sorted in several ways: the place of the last row, and the order in which it stands."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Annotated, Any, Generic, TypeVar
from uuid import UUID

from msgspec import Meta

from jitui.aftersales.incident_list import IncidentSort
from jitui.aftersales.model.incident import IncidentState
from jitui.aftersales.model.refund import RefundState
from jitui.aftersales.model.sorting import Place, SortOrder
from jitui.aftersales.model.task import TaskSort, TaskState
from jitui.aftersales.model.ticket import TicketState
from jitui.aftersales.refund_list import RefundSort
from jitui.aftersales.ticket_list import TicketSort
from jitui.entrypoints.cursor import from_cursor, to_cursor
from jitui.money import MAX_AMOUNT_MINOR

_Sort = TypeVar("_Sort", bound=StrEnum)

_Time = Annotated[datetime, Meta(tz=True)]
_Amount = Annotated[int, Meta(ge=0, le=MAX_AMOUNT_MINOR)]
_Currency = Annotated[str, Meta(pattern="^[A-Z]{3}$")]


@dataclass(frozen=True, slots=True)
class ListCursors(Generic[_Sort]):
    """The cursors of one list: the type of a place in each order. `first`: what it is sorted by when nobody says."""

    first: _Sort
    places: Mapping[_Sort, Any]

    def after(self, place: Place, sort: _Sort, order: SortOrder) -> str:
        """The cursor of the page that begins after this place."""
        return to_cursor(*place) if self._is_default(sort, order) else to_cursor(sort, order, place)

    def place(self, cursor: str, sort: _Sort, order: SortOrder) -> Place:
        """Where the page begins. Raises ValueError for any text that is no cursor of a list with this order."""
        if self._is_default(sort, order):  # as cursors were before lists had other orders
            first: Place = from_cursor(cursor, self.places[sort])
            return first
        kind: Any = tuple[type(self.first), SortOrder, self.places[sort]]  # type: ignore[misc]
        in_sort, in_order, place = from_cursor(cursor, kind)
        if (in_sort, in_order) != (sort, order):
            raise ValueError("This is a cursor of a list in another order.")
        found: Place = place
        return found

    def _is_default(self, sort: _Sort, order: SortOrder) -> bool:
        return (sort, order) == (self.first, SortOrder.DESC)


TICKETS = ListCursors(
    TicketSort.REQUESTED_AT,
    {
        TicketSort.REQUESTED_AT: tuple[_Time, UUID],
        TicketSort.EXPIRES_AT: tuple[_Time | None, UUID],
        TicketSort.AMOUNT: tuple[_Currency, _Amount, UUID],
        TicketSort.STATE: tuple[TicketState, _Time, UUID],
    },
)
REFUNDS = ListCursors(
    RefundSort.QUEUED_AT,
    {
        RefundSort.QUEUED_AT: tuple[_Time, UUID],
        RefundSort.AMOUNT: tuple[_Currency, _Amount, UUID],
        RefundSort.STATE: tuple[RefundState, _Time, UUID],
    },
)
INCIDENTS = ListCursors(
    IncidentSort.OPENED_AT,
    {
        IncidentSort.OPENED_AT: tuple[_Time, UUID],
        IncidentSort.DUE_AT: tuple[_Time | None, UUID],
        IncidentSort.AMOUNT: tuple[_Currency, _Amount, UUID],
        IncidentSort.STATE: tuple[IncidentState, _Time, UUID],
    },
)
TASKS = ListCursors(
    TaskSort.OPENED_AT,
    {
        TaskSort.OPENED_AT: tuple[_Time, UUID],
        TaskSort.AMOUNT: tuple[
            Annotated[str, Meta(pattern="^[ -~]{0,16}$")], Annotated[int, Meta(ge=-(2**63), le=2**63 - 1)], UUID
        ],
        TaskSort.STATE: tuple[TaskState, _Time, UUID],
    },
)
