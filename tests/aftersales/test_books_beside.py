"""Sums of days, periods and shops are their own: an entry at the very moment between two is in one of them."""

from __future__ import annotations

import asyncio
from datetime import date, timedelta

from jitui.adapters.postgres.accounting import PostgresBooks
from jitui.aftersales.accounting.journal import Days
from jitui.aftersales.accounting.periods import Period
from jitui.aftersales.accounting.shop_statement import CauseSum
from jitui.aftersales.ledger import Cause
from jitui.aftersales.ports import OrderRef
from jitui.ids import lane_of
from tests.aftersales.market import NOW, Market, beside
from tests.aftersales.test_books import INSERT, SHANGHAI, WHOLE, closed, lines, shown, three_days
from tests.race.locks import wait_for_a_lock

DAY = Days(date(2026, 3, 1), date(2026, 3, 1), SHANGHAI)
MOMENT = timedelta(microseconds=1)


async def run(market: Market, *statements: str) -> None:
    async with market.pool.connection() as connection:
        for statement in statements:
            await connection.execute(statement.encode())


BEGUN = (
    "SELECT close_ledger_until('2026-03-03T00:00:00+08:00')",
    "INSERT INTO accounting_period (period, from_at, until_at, last_day, time_zone, state, closed_by, closed_at)"
    " SELECT 2, until_at, '2026-03-03T00:00:00+08:00', '2026-03-02', time_zone, 'closing', 'x', now()"
    " FROM accounting_period",
)
"""What a process left that began to close a second period and ended."""


async def test_balances_begin_with_a_closed_period_and_not_with_one_that_is_being_closed(market: Market) -> None:
    books = await three_days(market)
    await closed(books, "2026-03-01")
    assert shown(await lines(books, "2026-03-01", "2026-03-01")) == WHOLE[:3], "what was closed later is no beginning"
    await run(market, *BEGUN)
    assert shown(await lines(books, "2026-03-03", "2026-03-03")) == WHOLE[5:]
    assert shown(await lines(books, "2026-03-02", "2026-03-03")) == WHOLE[3:]
    async with books.journal(Days(date(2026, 3, 3), date(2026, 3, 3), SHANGHAI)) as reading:
        assert {(name.partition(":")[0], currency): minor for (name, currency), minor in reading.openings.items()} == {
            ("escrow", "CNY"): -300,
            ("provider_clearing", "CNY"): 300,
        }
    await closed(books, "2026-03-03")
    async with books.journal(Days(date(2026, 3, 4), date(2026, 3, 4), SHANGHAI)) as reading:
        assert sorted(reading.openings.values()) == [-300, -7, 7, 300]


async def test_whoever_finishes_a_closing_beside_another_waits_and_writes_nothing_more(
    market: Market, database_url: str
) -> None:
    books = await three_days(market)
    await closed(books, "2026-03-01")
    await run(market, *BEGUN)
    async with market.pool.connection() as other:
        await other.execute("SELECT 1 FROM accounting_period WHERE state = 'closing' FOR UPDATE")
        closing = asyncio.create_task(books.close(date(2026, 3, 2), SHANGHAI, by="finance", now=NOW))
        assert await wait_for_a_lock(database_url, closing)
        await other.execute(
            "UPDATE accounting_period SET state = 'closed', entries = 1, hash = decode('00', 'hex') WHERE period = 2"
        )
        await other.commit()
        found = await closing
    assert isinstance(found, Period)
    assert (found.period, found.entries, found.hash, found.balances) == (2, 1, "00", ())


async def test_books_are_read_the_same_from_rows_that_lie_in_another_order(market: Market) -> None:
    """As a restored database may have them. Two entries were booked at one moment."""
    books = await three_days(market)
    async with market.pool.connection() as connection:
        for lane, order_id in ((7, "o-a"), (0, "o-b"), (0, "o-A")):
            moment = "2026-03-01T10:00:00+08:00"
            row = (lane, order_id, "granted:1", "escrow", "buyer_payable", 1, "CNY", moment, moment)
            await connection.execute(INSERT, row)
    await closed(books, "2026-03-01")
    await closed(books, "2026-03-02")
    before = await everything(books)
    async with books.entries(DAY) as found:
        entries = [one async for one in found]
    assert [(one.order_id, one.posting) for one in entries] == [
        ("o-A", "granted:1"),
        ("o-b", "granted:1"),
        ("o-books", "captured:1"),
        ("o-a", "granted:1"),
        ("o-books", "granted:1"),
    ]
    sorted_by = {"ledger": "posting DESC, lane", "accounting_balance": "account", "accounting_period": "period"}
    await run(
        market,
        "ALTER TABLE ledger DROP CONSTRAINT booked_in_open_period",
        *(f"CREATE TABLE kept_{name} AS SELECT * FROM {name}" for name in sorted_by),
        "TRUNCATE ledger, accounting_balance, accounting_period",
        *(f"INSERT INTO {one} SELECT * FROM kept_{one} ORDER BY {by} DESC" for one, by in reversed(sorted_by.items())),
        "ALTER TABLE ledger ADD CONSTRAINT booked_in_open_period"
        " CHECK (booked_at >= '2026-03-03T00:00:00+08:00') NOT VALID",
    )
    assert await everything(books) == before
    assert await books.verify() == []


async def everything(books: PostgresBooks) -> tuple[object, ...]:
    async with books.entries(DAY) as found:
        entries = [one async for one in found]
    return entries, await lines(books, "2026-03-01", "2026-03-03"), await books.periods()


async def test_the_entries_of_a_day_are_those_from_its_first_moment_until_the_next_days(market: Market) -> None:
    async with market.pool.connection() as connection:
        for number, at in enumerate((DAY.from_at - MOMENT, DAY.from_at, DAY.until_at - MOMENT, DAY.until_at)):
            row = (1, "o-1", f"granted:{number}", "escrow", "buyer_payable", 1, "CNY", at, at)
            await connection.execute(INSERT, row)
    books = PostgresBooks(market.pool)
    async with books.entries(DAY) as found:
        assert [one.posting async for one in found] == ["granted:1", "granted:2"]
    assert {one.debit_minor + one.credit_minor for one in await lines(books, "2026-03-01", "2026-03-01")} == {2}


async def test_a_shops_sums_are_of_its_own_orders_before_and_within_the_days(market: Market) -> None:
    """Another shop's order is in the same lane, and has the same entries."""
    buyer = await market.premium_buyer("b-1")
    mine = await market.paid_order(buyer, "o-1", tenders=())
    other = await market.paid_order(await market.premium_buyer(beside(buyer)), "o-2", shop_id="shop-2", tenders=())
    assert mine.lane == other.lane == lane_of(buyer)
    times = (DAY.from_at - MOMENT, DAY.from_at, DAY.until_at - MOMENT, DAY.until_at)

    async def book(ref: OrderRef, posting: str, debit: str, credit: str, factor: int = 1) -> None:
        async with market.pool.connection() as connection:
            for number, at in enumerate(times):
                amount = factor * 10**number
                row = (ref.lane, ref.order_id, f"{posting}:{number}", debit, credit, amount, "CNY", at, at)
                await connection.execute(INSERT, row)

    for ref in (other, mine):
        await book(ref, "paid", "buyer_payable", "provider_clearing:simulator")
        await book(ref, "granted", "escrow", "buyer_payable", factor=2)
    assert await PostgresBooks(market.pool).of_shop("shop-1", DAY) == [
        CauseSum(Cause.GRANTED, "escrow", "buyer_payable", "CNY", 2, 220, 2),
        CauseSum(Cause.PAID, "buyer_payable", "provider_clearing:simulator", "CNY", 1, 110, 2),
    ]


async def test_another_tables_constraint_of_that_name_does_not_close_the_ledger(market: Market) -> None:
    books = await three_days(market)
    await closed(books, "2026-03-01")
    await run(
        market,
        "ALTER TABLE ledger DROP CONSTRAINT booked_in_open_period",
        "CREATE TABLE a_copy (booked_at timestamptz CONSTRAINT booked_in_open_period"
        " CHECK (booked_at >= '2026-03-02T00:00:00+08:00'))",
    )
    assert [one.what.value for one in await books.verify()] == ["constraint"]
