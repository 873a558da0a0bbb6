"""Tickets in lists: what they are sorted by, and their rows in a CSV file."""

from __future__ import annotations

from jitui.aftersales.model.ticket import Ticket, TicketState
from jitui.aftersales.ticket_list import TicketSort
from jitui.entrypoints.console.page.language import Speech
from jitui.money import to_decimal_text


def _(message: str) -> str:
    return message


SORTS = {
    TicketSort.REQUESTED_AT: _("When it was requested"),
    TicketSort.EXPIRES_AT: _("Deadline"),
    TicketSort.AMOUNT: _("Amount"),
    TicketSort.STATE: _("State"),
}
"""What a list of tickets can be sorted by."""


def headings(speech: Speech) -> list[str]:
    """The columns of a CSV file of tickets."""
    names = (
        _("Ticket"),
        _("Order"),
        _("State"),
        _("Approved by"),
        _("Reason"),
        _("Amount"),
        _("Currency"),
        _("Requested"),
        _("Approved at"),
        _("Closed at"),
        _("Seconds to refund"),
    )
    return [speech.say(name) for name in names]


def row_of(speech: Speech, ticket: Ticket) -> list[str]:
    """A ticket under these columns."""
    refunded = ticket.state is TicketState.REFUNDED and ticket.closed_at is not None
    seconds = (ticket.closed_at - ticket.requested_at).total_seconds() if refunded and ticket.closed_at else None
    return [
        str(ticket.ticket_id),
        ticket.order_id,
        speech.word(ticket.state),
        speech.word(ticket.approved_by) if ticket.approved_by else "",
        speech.word(ticket.reason),
        to_decimal_text(ticket.amount_minor, ticket.currency),
        ticket.currency,
        *(
            at.astimezone(speech.zone).isoformat() if at else ""
            for at in (ticket.requested_at, ticket.approved_at, ticket.closed_at)
        ),
        f"{seconds:.3f}" if seconds is not None else "",
    ]
