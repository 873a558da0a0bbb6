"""How a list of tickets is sorted, where a page of it begins, and how late it is (decision 0041)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Protocol

from jitui.aftersales.model.sorting import Place
from jitui.aftersales.model.ticket import Ticket


class TicketSort(StrEnum):
    """What a list of tickets is sorted by; equal ones by the ticket's id, and those in one state by their time first.

    A ticket without a deadline counts as one whose deadline never comes. Amounts of different currencies do not
    compare: they are sorted by the currency's code first.
    """

    REQUESTED_AT = "requested_at"
    EXPIRES_AT = "expires_at"
    AMOUNT = "amount"
    STATE = "state"


def place_of(ticket: Ticket, sort: TicketSort) -> Place:
    """Where a ticket stands in a list with this order."""
    match sort:
        case TicketSort.REQUESTED_AT:
            return ticket.requested_at, ticket.ticket_id
        case TicketSort.EXPIRES_AT:
            return ticket.expires_at, ticket.ticket_id
        case TicketSort.AMOUNT:
            return ticket.currency, ticket.amount_minor, ticket.ticket_id
        case TicketSort.STATE:
            return ticket.state, ticket.requested_at, ticket.ticket_id


@dataclass(frozen=True, slots=True)
class ListedTickets:
    """A page of a list, and how many milliseconds ago everything that was committed by then was in it; 0: exact."""

    tickets: Sequence[Ticket]
    lag_ms: int = 0

    def as_of(self, now: datetime) -> datetime:
        """The moment up to which the list is complete, by the clock that says `now`."""
        return now - timedelta(milliseconds=self.lag_ms)


class TicketList(Protocol):
    """The copy of the tickets that lists are read from."""

    async def fill(self) -> None:
        """Bring in every ticket that changed since the last time; whoever else does so waits or has done it."""
