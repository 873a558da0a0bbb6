"""What a history consists of, in any format: orders, refund requests, and rows that are neither."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import date, datetime
from enum import StrEnum
from zoneinfo import ZoneInfo


@dataclass(frozen=True, slots=True)
class PastLine:
    """One line as it was bought; `paid_minor` is for all its units. `row` counts from 1 in the file."""

    line_id: str
    sku: str
    title: str
    category: str
    quantity: int
    paid_minor: int
    row: int


@dataclass(frozen=True, slots=True)
class PastOrder:
    """An order, which was paid completely when it was placed."""

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
    """Units of one stock code that one row of a cancellation takes back, and their credit in the file."""

    sku: str
    quantity: int
    credited_minor: int
    row: int


@dataclass(frozen=True, slots=True)
class PastCancellation:
    """A cancellation as it is in the file: it names goods and a buyer, but no order."""

    cancellation_id: str
    buyer_id: str
    asked_at: datetime
    goods: tuple[CancelledGoods, ...]


@dataclass(frozen=True, slots=True)
class AskedUnits:
    """A number of units of one line of an order."""

    line_id: str
    quantity: int


@dataclass(frozen=True, slots=True)
class PastRequest:
    """The part of a cancellation for one order; `credited_minor` is the credit that the file gives for it."""

    request_id: str
    cancellation_id: str
    order_id: str
    buyer_id: str
    placed_at: datetime
    asked_at: datetime
    units: tuple[AskedUnits, ...]
    credited_minor: int


class SetAsideReason(StrEnum):
    """Why a row belongs to no order and no cancellation."""

    BROKEN = "broken"  # a field is missing or cannot be read
    NO_CUSTOMER = "no_customer"
    BAD_DEBT = "bad_debt"
    NOT_A_SALE = "not_a_sale"  # a negative quantity outside a cancellation: a stock correction
    NEGATIVE_PRICE = "negative_price"
    NOT_A_CANCELLATION = "not_a_cancellation"  # a cancelling invoice that takes nothing back
    NOTHING_PAID = "nothing_paid"  # all lines of its order were free: nothing can be refunded


@dataclass(frozen=True, slots=True)
class SetAside:
    """A row that was left out, with a sentence about what is wrong with it."""

    row: int
    invoice: str
    reason: SetAsideReason
    detail: str


class UnmatchedReason(StrEnum):
    """Why cancelled units could not be assigned to an earlier order of the customer."""

    NO_CUSTOMER = "no_customer"
    NOT_GOODS = "not_goods"  # a discount, a fee or a commission: a credit without goods
    NEVER_BOUGHT = "never_bought"  # not in this data: bought before it begins, or never
    TAKEN_BACK_ALREADY = "taken_back_already"  # more cancelled than bought


@dataclass(frozen=True, slots=True)
class Unmatched:
    """Cancelled units without an order; `quantity` is the number of the row's units that could not be assigned."""

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
    """Days to read, in the history's time zone: from `since`, before `until`; None is open."""

    since: date | None = None
    until: date | None = None


@dataclass(frozen=True, slots=True)
class FileCounts:
    """How much there is to read in a span, for the progress bar."""

    rows: int
    orders: int
    first_day: date | None


@dataclass(frozen=True, slots=True)
class History:
    """An open history; `events` are ordered by time, an order before the requests for it."""

    format_name: str
    currency: str
    time_zone: ZoneInfo
    shop_id: str
    count: Callable[[Span], FileCounts]
    events: Callable[[Span], Iterator[PastEvent]]
