"""Closed periods: the sums and hashes by which a later change of the ledger is found.

A period is closed once, and no entry is booked in it afterwards: a correction is an entry of its own in the open one.
"""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from enum import StrEnum

from jitui.aftersales.outcomes import Refusal, RefusalCode

CLOSED_AFTER = timedelta(minutes=10)
"""How long a day is over before it is closed: a standby that takes over may have a clock that is behind."""
FIRST_HASH = hashlib.sha256(b"jitui accounting periods").digest()
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class PeriodBalance:
    """An account in a currency over a closed period, with the hash of its entries."""

    account: str
    currency: str
    opening_minor: int
    debit_minor: int
    credit_minor: int
    closing_minor: int
    entries: int
    hash: str


@dataclass(frozen=True, slots=True)
class Period:
    """A closed period; `from_at` is None for the first one, which begins with the ledger.

    `hash` is over the period's balances and the hash of the period before, so it stands for all that was closed.
    """

    period: int
    from_at: datetime | None
    until_at: datetime
    last_day: date
    time_zone: str
    closed_by: str
    closed_at: datetime
    entries: int
    hash: str
    balances: tuple[PeriodBalance, ...] = ()


class FaultIn(StrEnum):
    """What differs."""

    BALANCE = "balance"
    ENTRIES = "entries"
    HASH = "hash"
    TRIAL_BALANCE = "trial_balance"
    CONSTRAINT = "constraint"


@dataclass(frozen=True, slots=True)
class BookFault:
    """A closed period of which the ledger says something else now."""

    period: int
    what: FaultIn
    account: str
    currency: str
    sentence: str


@dataclass(frozen=True, slots=True)
class HashedEntry:
    """What of an entry goes into a hash."""

    booked_at: datetime
    posted_at: datetime
    lane: int
    order_id: str
    posting: str
    debit: str
    credit: str
    amount_minor: int
    currency: str


@dataclass(slots=True)
class _Sums:
    debit_minor: int = 0
    credit_minor: int = 0
    entries: int = 0
    digest: hashlib._Hash = field(default_factory=hashlib.sha256)


async def balances_of(
    entries: AsyncIterator[HashedEntry], openings: Mapping[tuple[str, str], int]
) -> tuple[tuple[PeriodBalance, ...], int]:
    """The balances of a period, and its number of entries, read once in order of booking.

    An account without an entry in the period keeps its line, so the closing balances of a period are all there are.
    """
    sums: dict[tuple[str, str], _Sums] = {name: _Sums() for name, minor in openings.items() if minor}
    count = 0
    async for entry in entries:
        count += 1
        framed = _framed(entry)
        for account, debit_minor, credit_minor in (
            (entry.debit, entry.amount_minor, 0),
            (entry.credit, 0, entry.amount_minor),
        ):
            one = sums.setdefault((account, entry.currency), _Sums())
            one.debit_minor += debit_minor
            one.credit_minor += credit_minor
            one.entries += 1
            one.digest.update(framed)
    return tuple(_balance(name, one, openings.get(name, 0)) for name, one in sorted(sums.items())), count


def _balance(name: tuple[str, str], sums: _Sums, opening_minor: int) -> PeriodBalance:
    closing_minor = opening_minor + sums.debit_minor - sums.credit_minor
    return PeriodBalance(
        *name,
        opening_minor,
        sums.debit_minor,
        sums.credit_minor,
        closing_minor,
        sums.entries,
        sums.digest.hexdigest(),
    )


def _framed(entry: HashedEntry) -> bytes:
    fields = (
        _microseconds(entry.booked_at),
        _microseconds(entry.posted_at),
        entry.lane,
        entry.order_id,
        entry.posting,
        entry.debit,
        entry.credit,
        entry.amount_minor,
        entry.currency,
    )
    return _frame(fields)


def _microseconds(at: datetime) -> int:
    return (at - _EPOCH) // timedelta(microseconds=1)


def _frame(fields: Iterable[object]) -> bytes:
    """Each field behind its length in bytes, so that no two rows give the same."""
    return "".join(f"{len(str(value).encode())}:{value}" for value in fields).encode()


def period_hash(before: str, balances: Sequence[PeriodBalance]) -> str:
    """The hash of a period: over the one before it (of `FIRST_HASH` for the first one) and its balances."""
    digest = hashlib.sha256(before.encode())
    for one in balances:
        digest.update(
            _frame(
                (
                    one.account,
                    one.currency,
                    one.opening_minor,
                    one.debit_minor,
                    one.credit_minor,
                    one.closing_minor,
                    one.entries,
                    one.hash,
                )
            )
        )
    return digest.hexdigest()


def faults_of(period: Period, found: Sequence[PeriodBalance], before: str) -> list[BookFault]:
    """What is otherwise now than when the period was closed."""
    then, now = ({(one.account, one.currency): one for one in rows} for rows in (period.balances, found))
    faults = []
    for name in sorted({*then, *now}):
        old, new = then.get(name), now.get(name)
        if old == new:
            continue
        if old is None or new is None or (old.debit_minor, old.credit_minor) != (new.debit_minor, new.credit_minor):
            what, told = FaultIn.BALANCE, f"{_moved(old)} when it was closed, and {_moved(new)} now"
        elif old.entries != new.entries:
            what, told = FaultIn.ENTRIES, f"{old.entries} entries when it was closed, and {new.entries} now"
        else:
            what, told = FaultIn.HASH, "the same sums, and entries that say something else now"
        faults.append(BookFault(period.period, what, *name, f"Period {period.period}, {name[0]} {name[1]}: {told}."))
    if not faults and period_hash(before, period.balances) != period.hash:
        sentence = f"Period {period.period}: its recorded balances do not give its hash."
        faults.append(BookFault(period.period, FaultIn.HASH, "", "", sentence))
    for currency in sorted({one.currency for one in period.balances}):
        if sum(one.closing_minor for one in period.balances if one.currency == currency):
            sentence = f"Period {period.period}: the closing balances in {currency} do not sum to zero."
            faults.append(BookFault(period.period, FaultIn.TRIAL_BALANCE, "", currency, sentence))
    return faults


def _moved(one: PeriodBalance | None) -> str:
    return "nothing" if one is None else f"debits of {one.debit_minor} and credits of {one.credit_minor}"


def not_over(last_day: date) -> Refusal:
    """The refusal of a day that is not over."""
    return Refusal(
        RefusalCode.PERIOD_NOT_OVER,
        f"{last_day} is not over, or not for ten minutes yet: only what is over is closed.",
        "last_day",
    )


def closed_before(last: Period) -> Refusal:
    """The refusal of a day within a closed period."""
    return Refusal(
        RefusalCode.PERIOD_CLOSED,
        f"The books are closed up to {last.last_day} already; a period that is closed stays closed.",
        "last_day",
    )


def busy() -> Refusal:
    """The refusal while a long transaction holds the ledger."""
    return Refusal(
        RefusalCode.LEDGER_BUSY,
        "A transaction that has used the ledger is still running (a backup, or a long report). Nothing was closed; try "
        "again when it has ended.",
        retry_after_seconds=30,
    )
