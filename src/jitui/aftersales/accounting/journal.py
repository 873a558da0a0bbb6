"""The journal: what each account and currency had on a day of booking, in the platform's time zone.

An entry has two times. `posted_at` is its value date: when the thing happened. `booked_at` is when it came into the
books, by the database's clock; days and periods are of that one, so what arrives late stands on the day it was booked.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from typing import Protocol
from zoneinfo import ZoneInfo

from jitui.aftersales.accounting.periods import BookFault, Period
from jitui.aftersales.accounting.shop_statement import CauseSum
from jitui.aftersales.outcomes import Refusal

AccountName = tuple[str, str]
"""An account and a currency."""


@dataclass(frozen=True, slots=True)
class DaySum:
    """What was booked on one account in one currency on one day."""

    day: date
    account: str
    currency: str
    debit_minor: int
    credit_minor: int
    entries: int


@dataclass(frozen=True, slots=True)
class JournalLine:
    """A day of an account in a currency; a balance is debits less credits. Days without an entry have no line."""

    day: date
    account: str
    currency: str
    opening_minor: int
    debit_minor: int
    credit_minor: int
    closing_minor: int
    entries: int


@dataclass(frozen=True, slots=True)
class BookedEntry:
    """A ledger entry as it stands in the books: when it happened, and when it was booked."""

    booked_at: datetime
    posted_at: datetime
    order_id: str
    posting: str
    debit: str
    credit: str
    amount_minor: int
    currency: str


@dataclass(frozen=True, slots=True)
class JournalReading:
    """The balances at the beginning, and what follows, in one snapshot of the database."""

    openings: Mapping[AccountName, int]
    days: AsyncIterator[DaySum]


@dataclass(frozen=True, slots=True)
class Days:
    """Whole days of a time zone, from the first to the last, both included."""

    first: date
    last: date
    time_zone: ZoneInfo

    @property
    def from_at(self) -> datetime:
        """The first moment."""
        return midnight(self.first, self.time_zone)

    @property
    def until_at(self) -> datetime:
        """The first moment that is not of them."""
        return midnight(self.last + timedelta(days=1), self.time_zone)


class Books(Protocol):
    """Reads the ledger as finance does, and closes it. Nothing here is on the way of a request."""

    def journal(self, days: Days) -> AbstractAsyncContextManager[JournalReading]: ...

    def entries(self, days: Days) -> AbstractAsyncContextManager[AsyncIterator[BookedEntry]]: ...

    async def of_shop(self, shop_id: str, days: Days) -> Sequence[CauseSum]: ...

    async def close(self, last_day: date, time_zone: ZoneInfo, *, by: str, now: datetime) -> Period | Refusal:
        """Close the books up to the end of a day. The same day again gives the period that was closed."""
        ...

    async def periods(self) -> Sequence[Period]: ...

    async def verify(self) -> Sequence[BookFault]:
        """What the ledger says otherwise now of closed periods than when they were closed."""
        ...


def midnight(day: date, time_zone: ZoneInfo) -> datetime:
    """When a day begins."""
    return datetime.combine(day, time.min, tzinfo=time_zone)


async def journal_lines(reading: JournalReading) -> AsyncIterator[JournalLine]:
    """The lines of a reading, by day, account and currency; it keeps one balance for each account."""
    held = dict(reading.openings)
    async for day in reading.days:
        name = day.account, day.currency
        opening_minor = held.get(name, 0)
        held[name] = opening_minor + day.debit_minor - day.credit_minor
        yield JournalLine(
            day.day,
            day.account,
            day.currency,
            opening_minor,
            day.debit_minor,
            day.credit_minor,
            held[name],
            day.entries,
        )
