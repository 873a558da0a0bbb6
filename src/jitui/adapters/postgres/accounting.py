"""See `jitui.aftersales.accounting.journal.Books`."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import date, datetime
from typing import LiteralString
from zoneinfo import ZoneInfo

import msgspec
from psycopg import errors

from jitui.adapters.postgres.audit import AuditEntry, write_audit
from jitui.adapters.postgres.pool import Connection, Pool
from jitui.aftersales.accounting.journal import BookedEntry, Days, DaySum, JournalReading
from jitui.aftersales.accounting.periods import (
    CLOSED_AFTER,
    FIRST_HASH,
    BookFault,
    FaultIn,
    HashedEntry,
    Period,
    PeriodBalance,
    balances_of,
    busy,
    closed_before,
    faults_of,
    not_over,
    period_hash,
)
from jitui.aftersales.accounting.shop_statement import CauseSum
from jitui.aftersales.outcomes import Refusal
from jitui.identity.audit import AuditAction

CLOSING_LOCK = 7405110
LOCK_WAIT: LiteralString = "2s"
"""How long a closing waits for the ledger. Whoever writes to it waits for that long at most."""

_BOTH_SIDES: LiteralString = """
CROSS JOIN LATERAL (VALUES (l.debit, l.amount_minor, 0), (l.credit, 0, l.amount_minor))
    AS a (account, debit_minor, credit_minor)
"""

# From the closing balances of the last period that ends before, so that a long ledger is not read from its beginning.
_OPENINGS: LiteralString = f"""
WITH last AS (
    SELECT period, until_at FROM accounting_period WHERE state = 'closed' AND until_at <= %(from_at)s::timestamptz
    ORDER BY until_at DESC LIMIT 1)
SELECT account, currency, sum(minor)::bigint FROM (
    SELECT account, currency, closing_minor AS minor FROM accounting_balance WHERE period = (SELECT period FROM last)
    UNION ALL
    SELECT a.account, l.currency, a.debit_minor - a.credit_minor FROM ledger l {_BOTH_SIDES}
    WHERE l.booked_at < %(from_at)s::timestamptz
      AND l.booked_at >= coalesce((SELECT until_at FROM last), '-infinity')) x
GROUP BY account, currency HAVING sum(minor) <> 0
"""

_DAYS: LiteralString = f"""
SELECT (l.booked_at AT TIME ZONE %(time_zone)s)::date, a.account, l.currency, sum(a.debit_minor)::bigint,
    sum(a.credit_minor)::bigint, count(*)
FROM ledger l {_BOTH_SIDES}
WHERE l.booked_at >= %(from_at)s::timestamptz AND l.booked_at < %(until_at)s::timestamptz
GROUP BY 1, 2, 3 ORDER BY 1, a.account COLLATE "C", 3
"""

_ENTRIES: LiteralString = """
SELECT booked_at, posted_at, order_id, posting, debit, credit, amount_minor, currency FROM ledger
WHERE booked_at >= %(from_at)s::timestamptz AND booked_at < %(until_at)s::timestamptz
ORDER BY booked_at, lane, order_id COLLATE "C", posting COLLATE "C"
"""

_HASHED: LiteralString = """
SELECT booked_at, posted_at, lane, order_id, posting, debit, credit, amount_minor, currency FROM ledger
WHERE booked_at >= coalesce(%(from_at)s::timestamptz, '-infinity') AND booked_at < %(until_at)s::timestamptz
ORDER BY booked_at, lane, order_id COLLATE "C", posting COLLATE "C"
"""

_OF_SHOP: LiteralString = """
SELECT json_build_object('cause', split_part(l.posting, ':', 1), 'debit', l.debit, 'credit', l.credit,
    'currency', l.currency,
    'before_minor', coalesce(sum(l.amount_minor) FILTER (WHERE l.booked_at < %(from_at)s::timestamptz), 0)::bigint,
    'within_minor', coalesce(sum(l.amount_minor) FILTER (WHERE l.booked_at >= %(from_at)s::timestamptz), 0)::bigint,
    'entries', count(*) FILTER (WHERE l.booked_at >= %(from_at)s::timestamptz))::text
FROM orders o JOIN ledger l ON l.lane = o.lane AND l.order_id = o.order_id
WHERE o.shop_id = %(shop_id)s AND l.booked_at < %(until_at)s::timestamptz
GROUP BY split_part(l.posting, ':', 1), l.debit, l.credit, l.currency ORDER BY 1
"""

_PERIODS: LiteralString = """
SELECT json_build_object('period', p.period, 'until_at', p.until_at, 'last_day', p.last_day, 'time_zone', p.time_zone,
    'from_at', CASE WHEN p.from_at = '-infinity' THEN NULL ELSE p.from_at END, 'closed_by', p.closed_by,
    'closed_at', p.closed_at, 'entries', p.entries, 'hash', coalesce(encode(p.hash, 'hex'), ''),
    'balances', (SELECT coalesce(json_agg(json_build_object('account', b.account, 'currency', b.currency,
            'opening_minor', b.opening_minor::bigint, 'debit_minor', b.debit_minor::bigint,
            'credit_minor', b.credit_minor::bigint, 'closing_minor', b.closing_minor::bigint, 'entries', b.entries,
            'hash', encode(b.hash, 'hex')) ORDER BY b.account COLLATE "C", b.currency), '[]')
        FROM accounting_balance b WHERE b.period = p.period))::text
FROM accounting_period p ORDER BY p.period
"""

_BEGIN_CLOSING: LiteralString = """
INSERT INTO accounting_period (period, from_at, until_at, last_day, time_zone, state, closed_by, closed_at)
SELECT coalesce(max(period), 0) + 1, coalesce(max(until_at), '-infinity'), %(until_at)s, %(last_day)s, %(time_zone)s,
    'closing', %(by)s, %(now)s
FROM accounting_period
"""

_KEEP_BALANCE: LiteralString = """
INSERT INTO accounting_balance (period, account, currency, opening_minor, debit_minor, credit_minor, closing_minor,
    entries, hash)
VALUES (%(period)s, %(account)s, %(currency)s, %(opening_minor)s, %(debit_minor)s, %(credit_minor)s, %(closing_minor)s,
    %(entries)s, decode(%(hash)s, 'hex'))
"""

_CONSTRAINT: LiteralString = """
SELECT pg_get_constraintdef(oid) FROM pg_constraint
WHERE conrelid = 'ledger'::regclass AND conname = 'booked_in_open_period'
"""


class PostgresBooks:
    """Everything is read through cursors of the server: its memory does not grow with the ledger."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    @asynccontextmanager
    async def journal(self, days: Days) -> AsyncIterator[JournalReading]:
        """Balances and days in one snapshot."""
        params = _params(days)
        async with self._pool.connection() as connection:
            await connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")
            openings = await _openings(connection, days.from_at)
            async with connection.cursor("journal") as cursor:
                await cursor.execute(_DAYS, params)
                yield JournalReading(openings, (msgspec.convert(_named(DaySum, row), DaySum) async for row in cursor))

    @asynccontextmanager
    async def entries(self, days: Days) -> AsyncIterator[AsyncIterator[BookedEntry]]:
        """The entries of days, in the order of their booking."""
        async with self._pool.connection() as connection, connection.cursor("entries") as cursor:
            await cursor.execute(_ENTRIES, _params(days))
            yield (msgspec.convert(_named(BookedEntry, row), BookedEntry) async for row in cursor)

    async def of_shop(self, shop_id: str, days: Days) -> Sequence[CauseSum]:
        """Sums over the ledgers of a shop's orders."""
        async with self._pool.connection() as connection:
            cursor = await connection.execute(_OF_SHOP, {**_params(days), "shop_id": shop_id})
            return [msgspec.json.decode(str(row[0]), type=CauseSum) for row in await cursor.fetchall()]

    async def close(self, last_day: date, time_zone: ZoneInfo, *, by: str, now: datetime) -> Period | Refusal:
        """First the moment, which takes milliseconds under the ledger's lock; then the sums, which take none.

        A closing whose sums were not written, because the process ended, is finished by the next one.
        """
        days = Days(last_day, last_day, time_zone)
        async with self._pool.connection() as connection:
            begun = await _begin(connection, days, by=by, now=now)
        if isinstance(begun, Refusal):
            return begun
        async with self._pool.connection() as connection:
            await _finish(connection)
        return next(one for one in await self.periods() if one.last_day == last_day)

    async def periods(self) -> Sequence[Period]:
        """All of them, oldest first; one that is being closed has no hash yet."""
        async with self._pool.connection() as connection:
            return await _periods(connection)

    async def verify(self) -> Sequence[BookFault]:
        """Read every closed period again."""
        found: list[BookFault] = []
        async with self._pool.connection() as connection:
            await connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")
            periods = [one for one in await _periods(connection) if one.hash]
            before, openings = FIRST_HASH.hex(), dict[tuple[str, str], int]()
            for one in periods:
                balances, _ = await _read_balances(connection, one.from_at, one.until_at, openings)
                found += faults_of(one, balances, before)
                before = one.hash
                openings = {(row.account, row.currency): row.closing_minor for row in one.balances}
            if periods and not await _is_held(connection, periods[-1].until_at):
                sentence = "The ledger's constraint `booked_in_open_period` is gone or says another moment."
                found.append(BookFault(periods[-1].period, FaultIn.CONSTRAINT, "", "", sentence))
        return found


async def _begin(connection: Connection, days: Days, *, by: str, now: datetime) -> Refusal | None:
    await connection.execute("SELECT pg_advisory_xact_lock(%(lock)s)", {"lock": CLOSING_LOCK})
    await _finish(connection)
    periods, until_at = await _periods(connection), days.until_at
    if periods and until_at <= periods[-1].until_at:
        return None if any(one.last_day == days.last for one in periods) else closed_before(periods[-1])
    over = await connection.execute(
        "SELECT %(until_at)s + %(margin)s::interval <= clock_timestamp()",
        {"until_at": until_at, "margin": CLOSED_AFTER},
    )
    if not (await over.fetchall())[0][0]:
        return not_over(days.last)
    try:
        await connection.execute("SELECT set_config('lock_timeout', %(wait)s, true)", {"wait": LOCK_WAIT})
        await connection.execute("SELECT close_ledger_until(%(until_at)s)", {"until_at": until_at})
    except errors.LockNotAvailable:
        await connection.rollback()
        return busy()
    params = {"until_at": until_at, "last_day": days.last, "time_zone": days.time_zone.key, "by": by, "now": now}
    await connection.execute(_BEGIN_CLOSING, params)
    detail = {"last_day": days.last.isoformat(), "until_at": until_at}
    await write_audit(connection, AuditEntry(AuditAction.PERIOD_CLOSED, "ledger", by, now, detail))
    return None


async def _finish(connection: Connection) -> None:
    """Write the sums of the period that is being closed, if there is one; nothing is booked in it any more."""
    locked = await connection.execute("SELECT period FROM accounting_period WHERE state = 'closing' FOR UPDATE")
    if not await locked.fetchall():
        return
    *closed, open_one = await _periods(connection)
    openings = {(row.account, row.currency): row.closing_minor for row in closed[-1].balances} if closed else {}
    balances, entries = await _read_balances(connection, open_one.from_at, open_one.until_at, openings)
    for one in balances:
        await connection.execute(_KEEP_BALANCE, {"period": open_one.period, **msgspec.to_builtins(one)})
    digest = period_hash(closed[-1].hash if closed else FIRST_HASH.hex(), balances)
    await connection.execute(
        "UPDATE accounting_period SET state = 'closed', entries = %(entries)s, hash = decode(%(hash)s, 'hex') "
        "WHERE period = %(period)s",
        {"period": open_one.period, "entries": entries, "hash": digest},
    )


async def _read_balances(
    connection: Connection, from_at: datetime | None, until_at: datetime, openings: Mapping[tuple[str, str], int]
) -> tuple[tuple[PeriodBalance, ...], int]:
    async with connection.cursor("period") as cursor:
        await cursor.execute(_HASHED, {"from_at": from_at, "until_at": until_at})
        return await balances_of(
            (msgspec.convert(_named(HashedEntry, row), HashedEntry) async for row in cursor), openings
        )


async def _openings(connection: Connection, from_at: datetime) -> dict[tuple[str, str], int]:
    rows = await (await connection.execute(_OPENINGS, {"from_at": from_at})).fetchall()
    return {(str(account), str(currency)): int(str(minor)) for account, currency, minor in rows}


async def _periods(connection: Connection) -> list[Period]:
    rows = await (await connection.execute(_PERIODS)).fetchall()
    return [msgspec.json.decode(str(row[0]), type=Period) for row in rows]


async def _is_held(connection: Connection, until_at: datetime) -> bool:
    """Whether the ledger refuses what would be booked before a moment."""
    rows = await (await connection.execute(_CONSTRAINT)).fetchall()
    if not rows:
        return False
    said = str(rows[0][0]).split("'")[1]
    same = await connection.execute("SELECT %(said)s::timestamptz = %(at)s", {"said": said, "at": until_at})
    return bool((await same.fetchall())[0][0])


def _params(days: Days) -> dict[str, object]:
    return {"from_at": days.from_at, "until_at": days.until_at, "time_zone": days.time_zone.key}


def _named(kind: type, row: Sequence[object]) -> dict[str, object]:
    names: Sequence[str] = kind.__slots__  # type: ignore[attr-defined]
    return dict(zip(names, row, strict=True))
