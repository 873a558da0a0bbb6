"""What a buyer asks for: which units, whether they can be asked for now, and what they are worth (R4, T30)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from jitui.aftersales.commands.allocation import net_paid, refundable_minor, units_due_minor
from jitui.aftersales.commands.execute import not_found
from jitui.aftersales.model.order import FulfillmentStatus, LineUnits, OrderLine
from jitui.aftersales.model.snapshot import OrderSnapshot
from jitui.aftersales.model.ticket import Basis, TicketState
from jitui.aftersales.outcomes import Refusal, RefusalCode
from jitui.money import split_by_weight

BETWEEN_REQUESTS = timedelta(minutes=1)
REQUESTS_PER_LINE = 5
"""The most requests per line; besides, an order has at most one request a minute (WeChat shop)."""


@dataclass(frozen=True, slots=True)
class RequestedLine:
    """Units of a line, and what they are worth."""

    line_id: str
    quantity: int
    amount_minor: int


@dataclass(frozen=True, slots=True)
class RequestedLines:
    """All that one request asks for, freight included where it goes with the last units."""

    lines: tuple[RequestedLine, ...]
    freight_minor: int

    @property
    def amount_minor(self) -> int:
        """The sum of it."""
        return sum(line.amount_minor for line in self.lines) + self.freight_minor

    @property
    def amounts(self) -> dict[str, int]:
        """What each line is worth, freight not included."""
        return {line.line_id: line.amount_minor for line in self.lines}

    @property
    def units(self) -> tuple[LineUnits, ...]:
        """The units without their worth."""
        return tuple(LineUnits(line.line_id, line.quantity) for line in self.lines)


def requested_lines(
    snapshot: OrderSnapshot,
    buyer_id: str,
    asked: tuple[LineUnits, ...],
    now: datetime,
    *,
    basis: Basis = Basis.GOODWILL,
) -> RequestedLines | Refusal:
    """What a buyer would get for these units now; without units, for all that can be refunded."""
    if snapshot.order.buyer_id != buyer_id:
        return not_found()
    if snapshot.order.paid_at is None:
        return Refusal(RefusalCode.ORDER_NOT_PAID, "Nothing has been paid on this order yet.")
    if snapshot.fulfillment in (FulfillmentStatus.SHIPPED, FulfillmentStatus.DELIVERED):
        return Refusal(
            RefusalCode.ORDER_ALREADY_SHIPPED, "All goods have left; ask for a refund after shipment instead."
        )
    units = _requested_units(snapshot, asked)
    if isinstance(units, Refusal):
        return units
    limit = _request_limits(snapshot, units, now, basis)
    if limit is not None:
        return limit
    return price(snapshot, units)


def _requested_units(snapshot: OrderSnapshot, asked: tuple[LineUnits, ...]) -> tuple[LineUnits, ...] | Refusal:
    lines = {line.line_id: line for line in snapshot.lines}
    busy = {line.line_id for line in snapshot.ticket_lines if line.open}
    if not asked:
        return _everything_free(snapshot.lines, busy)
    for index, wanted in enumerate(asked):
        if any(earlier.line_id == wanted.line_id for earlier in asked[:index]):
            return Refusal(RefusalCode.UNKNOWN_LINE, "A line is named twice.", f"lines[{index}].line_id")
        refused = _check_units(lines.get(wanted.line_id), wanted, busy, path=f"lines[{index}]")
        if refused is not None:
            return refused
    return asked


def _everything_free(lines: Sequence[OrderLine], busy: set[str]) -> tuple[LineUnits, ...] | Refusal:
    free = tuple(
        LineUnits(line.line_id, line.free_quantity) for line in lines if line.free_quantity and line.line_id not in busy
    )
    if free:
        return free
    if busy:
        return _in_progress("")
    return Refusal(RefusalCode.NOTHING_TO_REFUND, "Everything on this order has been refunded or has left.")


def _check_units(line: OrderLine | None, wanted: LineUnits, busy: set[str], *, path: str) -> Refusal | None:
    if line is None:
        return Refusal(RefusalCode.UNKNOWN_LINE, f"The order has no line {wanted.line_id!r}.", f"{path}.line_id")
    if line.line_id in busy:
        return _in_progress(f"{path}.line_id")
    if not 1 <= wanted.quantity <= line.free_quantity:
        return Refusal(
            RefusalCode.UNITS_NOT_AVAILABLE,
            f"Of line {line.line_id!r}, {line.free_quantity} of {line.quantity} units can still be refunded.",
            f"{path}.quantity",
        )
    return None


def _in_progress(path: str) -> Refusal:
    return Refusal(RefusalCode.REFUND_IN_PROGRESS, "There is an open refund ticket on these goods already.", path)


def _request_limits(snapshot: OrderSnapshot, units: Sequence[LineUnits], now: datetime, basis: Basis) -> Refusal | None:
    """Too soon, or too often: the number of requests does not use up a right, so only the pace limits withdrawals."""
    latest = max((ticket.requested_at for ticket in snapshot.tickets), default=None)
    if latest is not None and now < latest + BETWEEN_REQUESTS:
        wait_seconds = max(1, int((latest + BETWEEN_REQUESTS - now).total_seconds()))
        return Refusal(
            RefusalCode.TOO_MANY_REQUESTS,
            f"One refund request a minute per order; try again in {wait_seconds} s.",
            retry_after_seconds=wait_seconds,
        )
    for wanted in units:
        asked = sum(line.line_id == wanted.line_id and line.quantity > 0 for line in snapshot.ticket_lines)
        if asked >= REQUESTS_PER_LINE and basis is not Basis.WITHDRAWAL:
            return Refusal(
                RefusalCode.LINE_REQUEST_LIMIT,
                f"Line {wanted.line_id!r} was asked for {REQUESTS_PER_LINE} times; ask the shop or support.",
            )
    return None


def price(snapshot: OrderSnapshot, units: Sequence[LineUnits]) -> RequestedLines | Refusal:
    """The share of each unit, with freight when these are the last and nothing has left; at most what was captured."""
    wanted = {unit.line_id: unit.quantity for unit in units}
    asked = [line for line in snapshot.lines if line.line_id in wanted]
    paid = net_paid(snapshot)
    due_minor = [units_due_minor(line, paid.lines[line.line_id], wanted[line.line_id]) for line in asked]
    due_minor.append(_freight_with(snapshot, wanted, paid.freight_minor, alone=not any(due_minor)))
    payable_minor = min(sum(due_minor), refundable_minor(snapshot.tenders))
    if payable_minor <= 0 and not snapshot.order.free_of_charge:
        return _nothing_due(snapshot)
    *line_amounts, freight_minor = split_by_weight(payable_minor, due_minor)
    lines = tuple(
        RequestedLine(line.line_id, wanted[line.line_id], amount)
        for line, amount in zip(asked, line_amounts, strict=True)
    )
    return RequestedLines(lines, freight_minor)


def _nothing_due(snapshot: OrderSnapshot) -> Refusal:
    if refundable_minor(snapshot.tenders):
        message = "These units alone bring nothing back; ask for them together with the rest of the order."
    else:
        message = "What was paid on this order has been refunded already."
    return Refusal(RefusalCode.NOTHING_TO_REFUND, message)


def _freight_with(snapshot: OrderSnapshot, wanted: dict[str, int], net_paid_minor: int, *, alone: bool) -> int:
    """The rest of the freight, for a request after which no unit is free.

    Freight alone waits until no ticket is in review.
    """
    last = all(line.claimed_quantity + wanted.get(line.line_id, 0) == line.quantity for line in snapshot.lines)
    shipped = any(line.left_quantity for line in snapshot.lines)
    waiting = alone and any(ticket.state is TicketState.AWAITING_MERCHANT for ticket in snapshot.tickets)
    return max(0, net_paid_minor - snapshot.order.freight_claimed_minor) if last and not shipped and not waiting else 0
