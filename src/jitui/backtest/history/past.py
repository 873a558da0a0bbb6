"""What a history consists of, in whatever file it was kept: orders, refund requests, and rows that are neither."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import date, datetime
from enum import StrEnum
from zoneinfo import ZoneInfo


@dataclass(frozen=True, slots=True)
class PastLine:
    """One line as it was bought; `paid_minor` is for all its units. `row` is where it stands in the file, from 1."""

    line_id: str
    sku: str
    title: str
    category: str
    quantity: int
    paid_minor: int
    row: int


@dataclass(frozen=True, slots=True)
class PastOrder:
    """An order, paid in full when it was placed."""

    order_id: str
    buyer_id: str
    placed_at: datetime
    lines: tuple[PastLine, ...]

    @property
    def paid_minor(self) -> int:
        """What the buyer paid for the whole order."""
        return sum(line.paid_minor for line in self.lines)


@dataclass(frozen=True, slots=True)
class CancelledGoods:
    """Units of one stock code taken back by one row of a cancellation, and the credit that the file gives for them."""

    sku: str
    quantity: int
    credited_minor: int
    row: int


@dataclass(frozen=True, slots=True)
class PastCancellation:
    """A cancellation as the file has it: it names goods and a buyer, not the order that they came from."""

    cancellation_id: str
    buyer_id: str
    asked_at: datetime
    goods: tuple[CancelledGoods, ...]


@dataclass(frozen=True, slots=True)
class AskedUnits:
    """So many units of one line of one order."""

    line_id: str
    quantity: int


@dataclass(frozen=True, slots=True)
class PastRequest:
    """The part of a cancellation that falls on one order; `credited_minor` is what the file gave back for it."""

    request_id: str
    cancellation_id: str
    order_id: str
    buyer_id: str
    placed_at: datetime
    asked_at: datetime
    units: tuple[AskedUnits, ...]
    credited_minor: int


class SetAsideReason(StrEnum):
    """Why a row is no part of an order or of a cancellation."""

    BROKEN = "broken"  # a field is missing or cannot be read
    NO_CUSTOMER = "no_customer"
    BAD_DEBT = "bad_debt"
    NOT_A_SALE = "not_a_sale"  # a negative quantity outside a cancellation: a correction of the stock
    NEGATIVE_PRICE = "negative_price"
    NOT_A_CANCELLATION = "not_a_cancellation"  # a cancelling invoice that takes nothing back
    NOTHING_PAID = "nothing_paid"  # all lines of its order were free: nothing can be refunded


@dataclass(frozen=True, slots=True)
class SetAside:
    """A row that was left out, with the sentence that says what was wrong with it."""

    row: int
    invoice: str
    reason: SetAsideReason
    detail: str


class UnmatchedReason(StrEnum):
    """Why cancelled units could not be put to an earlier order of the same customer."""

    NO_CUSTOMER = "no_customer"
    NOT_GOODS = "not_goods"  # a discount, a fee, a commission: a credit, not goods that come back
    NEVER_BOUGHT = "never_bought"  # not in this record: bought before it begins, or never
    TAKEN_BACK_ALREADY = "taken_back_already"  # more cancelled than bought


@dataclass(frozen=True, slots=True)
class Unmatched:
    """Cancelled units without an order; `quantity` is what was left over of the row."""

    row: int
    cancellation_id: str
    buyer_id: str
    sku: str
    quantity: int
    credited_minor: int
    reason: UnmatchedReason


PastEvent = PastOrder | PastRequest | SetAside | Unmatched


@dataclass(frozen=True, slots=True)
class Span:
    """Days to read, in the history's own time zone: `since` is in it, `until` is not; None is open."""

    since: date | None = None
    until: date | None = None


@dataclass(frozen=True, slots=True)
class FileCounts:
    """How much there is to read in a span, for a progress bar."""

    rows: int
    orders: int
    first_day: date | None


@dataclass(frozen=True, slots=True)
class History:
    """An open history; `events` come in time order, an order before what is asked for on it."""

    format_name: str
    currency: str
    time_zone: ZoneInfo
    shop_id: str
    count: Callable[[Span], FileCounts]
    events: Callable[[Span], Iterator[PastEvent]]
