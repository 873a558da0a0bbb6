"""How an order's money is split over its lines, units, freight, tenders and funders (docs/reference/refund-split.md).

Every total is a function of *which* units went back and of how much in all, never of the sequence of the requests: each
function says what should have gone back by now, less what has.
"""

from __future__ import annotations

from collections.abc import Sequence, Set
from dataclasses import dataclass

from jitui.aftersales.model.order import Funder, OrderLine, Tender, captured_minor
from jitui.aftersales.model.snapshot import OrderSnapshot
from jitui.aftersales.model.ticket import APPROVED_STATES, OPEN_STATES, Ticket, TicketLine, TicketState
from jitui.money import split_by_weight, split_further


@dataclass(frozen=True, slots=True)
class NetPaid:
    """What the buyer really paid for each line, and for the freight."""

    lines: dict[str, int]
    freight_minor: int

    @property
    def goods_minor(self) -> int:
        """All lines together."""
        return sum(self.lines.values())


def net_paid(snapshot: OrderSnapshot) -> NetPaid:
    """The lines' own amounts; where less was captured than they sum to, everything is worth its part of that.

    Such an order was paid by a deposit, or its discount was not taken off its lines: the money that is there belongs to
    all its goods, not to the line that happens to be asked for first (T3, T23).
    """
    stated = [line.paid_minor for line in snapshot.lines] + [snapshot.order.freight_minor]
    *lines, freight_minor = split_by_weight(min(sum(stated), captured_minor(snapshot.tenders)), stated)
    return NetPaid({line.line_id: part for line, part in zip(snapshot.lines, lines, strict=True)}, freight_minor)


def refundable_minor(tenders: Sequence[Tender]) -> int:
    """What can still go back on this order, pending refunds counted as gone (I1, T8, T9)."""
    return sum(tender.remaining_minor for tender in tenders)


def units_due_minor(line: OrderLine, net_paid_minor: int, quantity: int) -> int:
    """What so many more units of a line bring back: the floor of their share together with all earlier units (T26)."""
    return max(0, net_paid_minor * (line.claimed_quantity + quantity) // line.quantity - line.claimed_minor)


def over_tenders(tenders: Sequence[Tender], amount_minor: int) -> tuple[int, ...]:
    """An amount over the payments, in proportion to what each captured and in step with what each gave before."""
    gone = [tender.captured_minor - tender.remaining_minor for tender in tenders]
    return split_further(amount_minor, [tender.captured_minor for tender in tenders], gone)


def is_last(snapshot: OrderSnapshot, ticket: Ticket) -> bool:
    """Whether with this ticket every unit of the order is refunded, and none has left: freight goes with it."""
    return _all_units_under(APPROVED_STATES, snapshot, ticket)


def leaves_no_unit_free(snapshot: OrderSnapshot, ticket: Ticket) -> bool:
    """Whether with this ticket every unit is refunded or asked for, and none has left."""
    return _all_units_under(APPROVED_STATES | OPEN_STATES, snapshot, ticket)


def _all_units_under(states: Set[TicketState], snapshot: OrderSnapshot, ticket: Ticket) -> bool:
    rows = _lines_under(states, snapshot, ticket)
    return not any(line.left_quantity for line in snapshot.lines) and all(
        sum(row.quantity for row in rows if row.line_id == line.line_id) == line.quantity for line in snapshot.lines
    )


def over_funders(snapshot: OrderSnapshot, ticket: Ticket) -> dict[Funder, int]:
    """Each funder's share of the goods that are refunded with this ticket, less what went back to it before; none is 0.

    Only what was granted counts: a request in review may yet be withdrawn.
    """
    approved = _lines_under(APPROVED_STATES, snapshot, ticket)
    whole_minor = net_paid(snapshot).goods_minor
    goods_minor = min(whole_minor, sum(row.amount_minor for row in approved))
    everything = sum(row.quantity for row in approved) == sum(line.quantity for line in snapshot.lines)
    due = {}
    if snapshot.order.free_of_charge:  # no line has a price to go by: each unit weighs the same
        goods_minor, whole_minor = sum(row.quantity for row in approved), sum(line.quantity for line in snapshot.lines)
    for fund in snapshot.funding:
        share = fund.amount_minor * goods_minor // whole_minor if whole_minor else 0
        due[fund.funder] = (fund.amount_minor if everything else share) - fund.returned_minor
    return {funder: amount for funder, amount in due.items() if amount > 0}


def _lines_under(states: Set[TicketState], snapshot: OrderSnapshot, ticket: Ticket) -> tuple[TicketLine, ...]:
    """Of the tickets in one of these states, and of this one, whatever its own is."""
    found = {other.ticket_id for other in snapshot.tickets if other.state in states} | {ticket.ticket_id}
    return tuple(row for row in snapshot.ticket_lines if row.ticket_id in found)
