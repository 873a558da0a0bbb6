"""The merchant's list of tickets: its filters in links, its pages, and its CSV file."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, time, timedelta
from enum import StrEnum
from urllib.parse import urlencode

from litestar.exceptions import ValidationException
from litestar.response import Stream

from jitui.aftersales.model.sorting import SortOrder
from jitui.aftersales.model.ticket import ApprovedBy, Ticket, TicketState
from jitui.aftersales.ports import TicketFilter
from jitui.aftersales.ticket_list import TicketSort, place_of
from jitui.entrypoints.console.page.csv_file import BATCH, CsvRow, csv_file
from jitui.entrypoints.console.page.cursor import begins
from jitui.entrypoints.console.page.visit import Visit
from jitui.entrypoints.console.ticket.rows import headings, row_of
from jitui.entrypoints.list_cursor import TICKETS

TICKETS_PER_PAGE = 25


def _(message: str) -> str:
    return message


class Column(StrEnum):
    """A column of the list that can be left out; when it was requested and the order are always shown."""

    STATE = "state"
    APPROVED_BY = "approved_by"
    REASON = "reason"
    AMOUNT = "amount"
    TIME = "time"
    DEADLINE = "deadline"
    BUYER = "buyer"
    TICKET = "ticket"


USUAL_COLUMNS = (Column.STATE, Column.APPROVED_BY, Column.REASON, Column.AMOUNT, Column.TIME)
COLUMN_NAMES = {
    Column.STATE: _("State"),
    Column.APPROVED_BY: _("Approved by"),
    Column.REASON: _("Reason"),
    Column.AMOUNT: _("Amount"),
    Column.TIME: _("Time to refund"),
    Column.DEADLINE: _("Deadline"),
    Column.BUYER: _("Buyer"),
    Column.TICKET: _("Ticket"),
}
NO_COLUMNS = "-"
COLUMN_FIELD = "column."
CHOOSING = "choose"
"""A form that chooses columns says so, because a box that is not ticked is not sent."""


@dataclass(frozen=True, slots=True)
class ListQuery:
    """The filters of a merchant's list; days are calendar days in the platform's time zone."""

    state: TicketState | None = None
    approved_by: ApprovedBy | None = None
    since: date | None = None
    until: date | None = None
    order_id: str = ""
    sort: TicketSort = TicketSort.REQUESTED_AT
    direction: SortOrder = SortOrder.DESC
    columns: tuple[Column, ...] = USUAL_COLUMNS
    after: str = ""

    def has(self, column: str) -> bool:
        """Whether the list shows a column."""
        return column in self.columns

    def sorted_by(self, sort: str) -> str:
        """The link that sorts by a column: the other way round where the list is sorted by it already."""
        other = SortOrder.ASC if self.direction is SortOrder.DESC else SortOrder.DESC
        direction = other if self.sort == sort else SortOrder.DESC
        return self.link(sort=TicketSort(sort), direction=direction)

    def aria_sort(self, sort: str) -> str:
        """How a screen reader says that the list is sorted by a column."""
        return (
            {SortOrder.ASC: "ascending", SortOrder.DESC: "descending"}[self.direction] if self.sort == sort else "none"
        )

    def link(self, path: str = "/merchant/tickets", **changed: object) -> str:
        """The link to this list with some filters changed; then it begins with the first page."""
        wanted = replace(self, **{"after": "", **changed})  # type: ignore[arg-type]
        pairs = {
            "state": wanted.state,
            "approved_by": wanted.approved_by,
            "since": wanted.since,
            "until": wanted.until,
            "order": wanted.order_id,
            "sort": wanted.sort if wanted.sort is not TicketSort.REQUESTED_AT else "",
            "direction": wanted.direction if wanted.direction is not SortOrder.DESC else "",
            "columns": (",".join(wanted.columns) or NO_COLUMNS) if wanted.columns != USUAL_COLUMNS else "",
            "after": wanted.after,
        }
        query = urlencode({name: str(value) for name, value in pairs.items() if value})
        return f"{path}?{query}" if query else path


ALL = ListQuery()
BY_GUARANTEE = ListQuery(approved_by=ApprovedBy.INSTANT_REFUND)
TO_REVIEW = ListQuery(state=TicketState.AWAITING_MERCHANT)
TABS = (
    (_("All"), ALL),
    (_("Decided by the platform guarantee"), BY_GUARANTEE),
    (_("To review"), TO_REVIEW),
)
"""Saved filters; the second is the one of R15."""


def read_query(params: Mapping[str, str]) -> ListQuery:
    """The filters in a link; empty fields are not set. Raises ValidationException for an unknown filter."""
    order_id = params.get("order", "").strip()
    if not order_id.isprintable():
        raise ValidationException
    try:
        return ListQuery(
            state=TicketState(params["state"]) if params.get("state") else None,
            approved_by=ApprovedBy(params["approved_by"]) if params.get("approved_by") else None,
            since=_day(params.get("since", "")),
            until=_day(params.get("until", "")),
            order_id=order_id[:200],
            sort=TicketSort(params.get("sort") or TicketSort.REQUESTED_AT),
            direction=SortOrder(params.get("direction") or SortOrder.DESC),
            columns=_columns(params),
            after=params.get("after", ""),
        )
    except ValueError as error:
        raise ValidationException from error


def _columns(params: Mapping[str, str]) -> tuple[Column, ...]:
    """Those of the link or of the form, in the list's own order. Raises ValueError for one that there is not."""
    if params.get(CHOOSING):
        return tuple(column for column in Column if params.get(COLUMN_FIELD + column))
    if not params.get("columns"):
        return USUAL_COLUMNS
    named = params["columns"]
    chosen = {Column(name) for name in named.split(",")} if named != NO_COLUMNS else set()
    return tuple(column for column in Column if column in chosen)


def _day(text: str) -> date | None:
    if not text:
        return None
    day = date.fromisoformat(text)
    if not 1970 <= day.year < 9999:  # the day after it must exist too
        raise ValueError(text)
    return day


async def page_of(visit: Visit, query: ListQuery) -> tuple[Sequence[Ticket], str]:
    """A page of the shop's tickets, and the cursor of the next page; empty on the last page."""
    wanted = replace(_filter(visit, query), limit=TICKETS_PER_PAGE + 1)
    found = (await visit.service.queries.tickets(wanted)).tickets
    shown = found[:TICKETS_PER_PAGE]
    if len(found) == len(shown):
        return shown, ""
    return shown, TICKETS.after(place_of(shown[-1], wanted.sort), wanted.sort, wanted.order)


def csv_of(visit: Visit, query: ListQuery) -> Stream:
    """The whole filtered list as a CSV file."""
    wanted = _filter(visit, replace(query, after=""))
    return csv_file("tickets.csv", headings(visit.speech), _batches(visit, wanted))


async def _batches(visit: Visit, wanted: TicketFilter) -> AsyncIterator[Iterable[CsvRow]]:
    wanted = replace(wanted, limit=BATCH)
    while batch := (await visit.service.queries.tickets(wanted)).tickets:
        yield [row_of(visit.speech, ticket) for ticket in batch]
        wanted = replace(wanted, after=place_of(batch[-1], wanted.sort))


def _filter(visit: Visit, query: ListQuery) -> TicketFilter:
    return TicketFilter(
        shop_id=visit.reader.subject_id,
        order_id=query.order_id or None,
        state=query.state,
        approved_by=query.approved_by,
        requested_from=_midnight(visit, query.since) if query.since else None,
        requested_until=_midnight(visit, query.until + timedelta(days=1)) if query.until else None,
        sort=query.sort,
        order=query.direction,
        after=begins(TICKETS, query.after, query.sort, query.direction),
    )


def _midnight(visit: Visit, day: date) -> datetime:
    return datetime.combine(day, time.min, visit.service.settings.time_zone)
