"""Splits an order's money over lines, units, freight, tenders and funders (docs/reference/refund-split.md).

Every total depends on *which* units were refunded and on the sum so far, never on the sequence of the requests. Each
function computes what should have been refunded in all, and subtracts what has been.
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
    """What the buyer really paid for each line, and for the freight, in minor units."""

    lines: dict[str, int]
    freight_minor: int

    @property
    def goods_minor(self) -> int:
        """The sum over all lines."""
        return sum(self.lines.values())


def net_paid(snapshot: OrderSnapshot) -> NetPaid:
    """The amounts of lines and freight; when less was captured, the captured amount in proportion to them.

    Less was captured when the order was paid by a deposit, or when a discount was not deducted from the lines. The
    captured money then belongs to all goods, not to the line that is refunded first (T3, T23).
    """
    stated = [line.paid_minor for line in snapshot.lines] + [snapshot.order.freight_minor]
    *lines, freight_minor = split_by_weight(min(sum(stated), captured_minor(snapshot.tenders)), stated)
    return NetPaid({line.line_id: part for line, part in zip(snapshot.lines, lines, strict=True)}, freight_minor)


def refundable_minor(tenders: Sequence[Tender]) -> int:
    """What can still be refunded on this order; pending refunds count as refunded (I1, T8, T9)."""
    return sum(tender.remaining_minor for tender in tenders)


def units_due_minor(line: OrderLine, net_paid_minor: int, quantity: int) -> int:
    """The refund for `quantity` more units of a line.

    It is the floor of the share of all claimed units together, less what was claimed before (T26).
    """
    return max(0, net_paid_minor * (line.claimed_quantity + quantity) // line.quantity - line.claimed_minor)


def over_tenders(tenders: Sequence[Tender], amount_minor: int) -> tuple[int, ...]:
    """Split an amount over the payments, so that the refunds of each are in proportion to what it captured."""
    gone = [tender.captured_minor - tender.remaining_minor for tender in tenders]
    return split_further(amount_minor, [tender.captured_minor for tender in tenders], gone)


def is_last(snapshot: OrderSnapshot, ticket: Ticket) -> bool:
    """Whether all units of the order are refunded with this ticket, and none has left; freight is then refunded too."""
    return _all_units_under(APPROVED_STATES, snapshot, ticket)


def leaves_no_unit_free(snapshot: OrderSnapshot, ticket: Ticket) -> bool:
    """Whether all units are refunded or requested with this ticket, and none has left."""
    return _all_units_under(APPROVED_STATES | OPEN_STATES, snapshot, ticket)


def _all_units_under(states: Set[TicketState], snapshot: OrderSnapshot, ticket: Ticket) -> bool:
    rows = _lines_under(states, snapshot, ticket)
    return not any(line.left_quantity for line in snapshot.lines) and all(
        sum(row.quantity for row in rows if row.line_id == line.line_id) == line.quantity for line in snapshot.lines
    )


def over_funders(snapshot: OrderSnapshot, ticket: Ticket) -> dict[Funder, int]:
    """Each funder's share of the goods that are refunded with this ticket, less what went back to it before; none is 0.

    Only approved tickets count: a request in review may still be withdrawn.
    """
    approved = _lines_under(APPROVED_STATES, snapshot, ticket)
    whole_minor = net_paid(snapshot).goods_minor
    goods_minor = min(whole_minor, sum(row.amount_minor for row in approved))
    everything = sum(row.quantity for row in approved) == sum(line.quantity for line in snapshot.lines)
    due = {}
    if snapshot.order.free_of_charge:  # no line has a price, so each unit has the same weight
        goods_minor, whole_minor = sum(row.quantity for row in approved), sum(line.quantity for line in snapshot.lines)
    for fund in snapshot.funding:
        share = fund.amount_minor * goods_minor // whole_minor if whole_minor else 0
        due[fund.funder] = (fund.amount_minor if everything else share) - fund.returned_minor
    return {funder: amount for funder, amount in due.items() if amount > 0}


def _lines_under(states: Set[TicketState], snapshot: OrderSnapshot, ticket: Ticket) -> tuple[TicketLine, ...]:
    """The lines of this ticket and of the other tickets in `states`."""
    found = {other.ticket_id for other in snapshot.tickets if other.state in states} | {ticket.ticket_id}
    return tuple(row for row in snapshot.ticket_lines if row.ticket_id in found)
