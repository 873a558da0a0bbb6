"""The books for finance: the journal by days, closed periods that the database holds, a shop's statement."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import psycopg
import pytest

from jitui.adapters.postgres.accounting import PostgresBooks
from jitui.aftersales.accounting.journal import Days, JournalLine, journal_lines
from jitui.aftersales.accounting.periods import Period
from jitui.aftersales.accounting.shop_statement import shop_statement
from jitui.aftersales.commands.incidents import RecoveryTried, record_recovery
from jitui.aftersales.model.incident import IncidentOutcome
from jitui.aftersales.outcomes import Refusal, RefusalCode
from tests.aftersales.incidents import DESK, LATER, RULES, an_incident, decide, done
from tests.aftersales.market import Market

SHANGHAI = ZoneInfo("Asia/Shanghai")
NOW = datetime(2026, 6, 1, 12, 0, tzinfo=UTC)
INSERT = (
    "INSERT INTO ledger (lane, order_id, posting, debit, credit, amount_minor, currency, posted_at, booked_at)"
    " VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s)"
)


async def book(
    market: Market, posting: str, debit: str, credit: str, amount_minor: int, booked_at: str, currency: str = "CNY"
) -> None:
    async with market.pool.connection() as connection:
        values = (1, "o-books", posting, debit, credit, amount_minor, currency, booked_at, booked_at)
        await connection.execute(INSERT, values)


async def three_days(market: Market) -> PostgresBooks:
    await book(market, "captured:1", "provider_clearing:simulator", "escrow", 500, "2026-03-01T10:00:00+08:00")
    await book(market, "granted:1", "escrow", "buyer_payable", 200, "2026-03-01T23:59:59.999999+08:00")
    await book(market, "paid:1:0", "buyer_payable", "provider_clearing:simulator", 200, "2026-03-02T00:00:00+08:00")
    await book(market, "captured:2", "provider_clearing:simulator", "escrow", 7, "2026-03-03T09:00:00+08:00", "USD")
    return PostgresBooks(market.pool)


async def lines(books: PostgresBooks, first: str, last: str) -> list[JournalLine]:
    days = Days(date.fromisoformat(first), date.fromisoformat(last), SHANGHAI)
    async with books.journal(days) as reading:
        return [line async for line in journal_lines(reading)]


def shown(found: list[JournalLine]) -> list[tuple[object, ...]]:
    return [
        (one.day.day, one.account.partition(":")[0], one.currency, one.opening_minor, one.debit_minor, one.credit_minor,
         one.closing_minor)
        for one in found
    ]  # fmt: skip


WHOLE = [
    (1, "buyer_payable", "CNY", 0, 0, 200, -200),
    (1, "escrow", "CNY", 0, 200, 500, -300),
    (1, "provider_clearing", "CNY", 0, 500, 0, 500),
    (2, "buyer_payable", "CNY", -200, 200, 0, 0),
    (2, "provider_clearing", "CNY", 500, 0, 200, 300),
    (3, "escrow", "USD", 0, 0, 7, -7),
    (3, "provider_clearing", "USD", 0, 7, 0, 7),
]


async def closed(books: PostgresBooks, day: str) -> Period:
    found = await books.close(date.fromisoformat(day), SHANGHAI, by="finance", now=NOW)
    assert isinstance(found, Period), found
    return found


async def test_the_journal_of_days_begins_with_what_was_before(market: Market) -> None:
    books = await three_days(market)
    assert shown(await lines(books, "2026-03-01", "2026-03-03")) == WHOLE
    assert shown(await lines(books, "2026-03-02", "2026-03-02")) == WHOLE[3:5]
    await closed(books, "2026-03-01")
    assert shown(await lines(books, "2026-03-01", "2026-03-03")) == WHOLE
    assert shown(await lines(books, "2026-03-02", "2026-03-03")) == WHOLE[3:]


async def test_a_closed_period_has_the_balances_of_its_accounts(market: Market) -> None:
    books = await three_days(market)
    first = await closed(books, "2026-03-01")
    second = await closed(books, "2026-03-03")
    assert [(one.period, one.entries, one.last_day.day) for one in (first, second)] == [(1, 2, 1), (2, 2, 3)]
    assert first.from_at is None and second.from_at == first.until_at
    found = {(one.account.partition(":")[0], one.currency): one for one in second.balances}
    assert {name: (one.opening_minor, one.closing_minor) for name, one in found.items()} == {
        ("buyer_payable", "CNY"): (-200, 0),
        ("escrow", "CNY"): (-300, -300),
        ("escrow", "USD"): (0, -7),
        ("provider_clearing", "CNY"): (500, 300),
        ("provider_clearing", "USD"): (0, 7),
    }
    assert await books.verify() == []
    assert await closed(books, "2026-03-01") == first, "the same day again is the same period"


async def test_nothing_is_booked_in_a_closed_period_and_a_correction_is_booked_when_it_is_made(
    market: Market,
) -> None:
    books = await three_days(market)
    await closed(books, "2026-03-01")
    with pytest.raises(psycopg.errors.CheckViolation, match="booked_in_open_period"):
        await book(market, "granted:late", "escrow", "buyer_payable", 1, "2026-03-01T23:59:59.999999+08:00")
    await book(market, "granted:first", "escrow", "buyer_payable", 1, "2026-03-02T00:00:00+08:00")
    # what arrives late says which day it belongs to, and is booked when it comes
    async with market.pool.connection() as connection:
        await connection.execute(
            "INSERT INTO ledger (lane, order_id, posting, debit, credit, amount_minor, currency, posted_at)"
            " VALUES (1, 'o-late', 'captured:late', 'provider_clearing:x', 'escrow', 5, 'CNY', '2026-02-28T12:00Z')"
        )
        row = await (
            await connection.execute(
                "SELECT posted_at < '2026-03-01', booked_at BETWEEN now() AND clock_timestamp() FROM ledger"
                " WHERE order_id = 'o-late'"
            )
        ).fetchone()
    assert row == (True, True)
    assert await books.verify() == []


async def test_what_was_changed_behind_a_closing_is_found(market: Market) -> None:
    books = await three_days(market)
    await closed(books, "2026-03-02")
    changes = {
        "UPDATE ledger SET amount_minor = 201 WHERE posting = 'paid:1:0'": "balance",
        "UPDATE ledger SET posting = 'granted:2' WHERE posting = 'granted:1'": "hash",
        "DELETE FROM ledger WHERE posting = 'granted:1'": "balance",
        "UPDATE ledger SET posted_at = posted_at - interval '1 microsecond' WHERE posting = 'granted:1'": "hash",
        "ALTER TABLE ledger DROP CONSTRAINT booked_in_open_period": "constraint",
    }
    for change, what in changes.items():
        async with market.pool.connection() as connection:
            if change.startswith(("UPDATE", "DELETE")):
                await connection.execute("ALTER TABLE ledger DROP CONSTRAINT booked_in_open_period")
            await connection.execute(change)
            await connection.commit()
        faults = [one for one in await books.verify() if what == "constraint" or one.what != "constraint"]
        assert {one.what.value for one in faults} == {what}, change
        async with market.pool.connection() as connection:
            await connection.execute("TRUNCATE ledger")
            await connection.commit()
        await three_days(market)
        async with market.pool.connection() as connection:
            await connection.execute(
                "ALTER TABLE ledger ADD CONSTRAINT booked_in_open_period"
                " CHECK (booked_at >= '2026-03-03T00:00:00+08:00') NOT VALID"
            )
        assert await books.verify() == []


async def test_closed_rows_stay_as_they_are(market: Market) -> None:
    books = await three_days(market)
    await closed(books, "2026-03-02")
    for change in (
        "UPDATE accounting_period SET hash = decode('00', 'hex')",
        "DELETE FROM accounting_balance",
        "UPDATE accounting_balance SET debit_minor = debit_minor + 1, closing_minor = closing_minor + 1",
    ):
        async with market.pool.connection() as connection:
            with pytest.raises(psycopg.errors.CheckViolation, match="stays as it was closed"):
                await connection.execute(change)
            await connection.rollback()


async def test_only_what_is_over_is_closed_and_forward_only(market: Market) -> None:
    books = await three_days(market)
    today = datetime.now(SHANGHAI).date()
    for day in (today, today + timedelta(days=1)):
        refused = await books.close(day, SHANGHAI, by="finance", now=NOW)
        assert isinstance(refused, Refusal) and refused.code is RefusalCode.PERIOD_NOT_OVER
    await closed(books, "2026-03-02")
    refused = await books.close(date(2026, 3, 1), SHANGHAI, by="finance", now=NOW)
    assert isinstance(refused, Refusal) and refused.code is RefusalCode.PERIOD_CLOSED
    assert len(await books.periods()) == 1


async def test_a_closing_waits_for_who_has_written_and_gives_up_with_words(market: Market) -> None:
    books = await three_days(market)
    async with market.pool.connection() as writing:
        values = (1, "o-books", "granted:3", "escrow", "buyer_payable", 1, "CNY", NOW, "2026-03-01T12:00:00+08:00")
        await writing.execute(INSERT, values)
        refused = await books.close(date(2026, 3, 1), SHANGHAI, by="finance", now=NOW)
        assert isinstance(refused, Refusal) and refused.code is RefusalCode.LEDGER_BUSY
        assert await books.periods() == []
        closing = asyncio.create_task(books.close(date(2026, 3, 1), SHANGHAI, by="finance", now=NOW))
        await asyncio.sleep(0.3)
        assert not closing.done()
        await writing.commit()
        period = await closing
    assert isinstance(period, Period) and period.entries == 3, "what was in flight is in the sums"
    assert await books.verify() == []


async def test_a_closing_that_was_interrupted_is_finished_by_the_next_one(market: Market) -> None:
    books = await three_days(market)
    async with market.pool.connection() as connection:
        await connection.execute("SELECT close_ledger_until('2026-03-02T00:00:00+08:00')")
        await connection.execute(
            "INSERT INTO accounting_period (period, from_at, until_at, last_day, time_zone, state, closed_by,"
            " closed_at) VALUES (1, '-infinity', '2026-03-02T00:00:00+08:00', '2026-03-01', 'Asia/Shanghai',"
            " 'closing', 'x', now())"
        )
    second = await closed(books, "2026-03-02")
    first, _ = await books.periods()
    assert (first.entries, second.entries) == (2, 1) and first.hash
    assert await books.verify() == []


async def test_two_who_close_at_once_close_once(market: Market) -> None:
    books = await three_days(market)
    found = await asyncio.gather(*(closed(books, "2026-03-02") for _ in range(4)))
    assert len(await books.periods()) == 1 and len({one.hash for one in found}) == 1


async def test_the_entries_of_a_day_have_both_their_times(market: Market) -> None:
    books = await three_days(market)
    async with books.entries(Days(date(2026, 3, 1), date(2026, 3, 1), SHANGHAI)) as found:
        entries = [one async for one in found]
    assert [one.posting for one in entries] == ["captured:1", "granted:1"]
    assert entries[0].booked_at == entries[0].posted_at == datetime(2026, 3, 1, 2, tzinfo=UTC)


async def test_a_shops_statement_has_its_incident_from_charge_to_recovery(market: Market) -> None:
    _, ref = await an_incident(market)
    _, other = await an_incident(market, "o-2", buyer_id="b-2")
    done(await decide(market, ref, IncidentOutcome.BORNE_BY_SHOP))
    done(await decide(market, other, IncidentOutcome.BORNE_BY_PLATFORM))
    tried = RecoveryTried(900, "SET-1")
    done(await record_recovery(market.store, ref, tried, RULES, by=DESK, now=LATER))
    books, today = PostgresBooks(market.pool), datetime.now(SHANGHAI).date()
    days = Days(today - timedelta(days=1), today + timedelta(days=1), SHANGHAI)
    (statement,) = shop_statement(await books.of_shop("shop-1", days))
    assert statement.currency == "CNY" and statement.fees_minor == 0
    assert statement.refunds_minor == {"buyer": 0}, "granted, and not paid yet"
    assert (statement.incidents.charged_minor, statement.incidents.borne_by_platform_minor) == (12900, 12900)
    owing = statement.receivable
    assert (owing.opening_minor, owing.charged_minor, owing.recovered_minor, owing.closing_minor) == (
        0,
        12900,
        900,
        12000,
    )
    sums: defaultdict[str, int] = defaultdict(int)
    for account in statement.accounts:
        sums["closing"] += account.closing_minor
        assert account.closing_minor == account.opening_minor + account.debit_minor - account.credit_minor
    assert sums["closing"] == 0
    assert shop_statement(await books.of_shop("shop-2", days)) == ()
    after = Days(today + timedelta(days=2), today + timedelta(days=2), SHANGHAI)
    (later,) = shop_statement(await books.of_shop("shop-1", after))
    assert (later.receivable.opening_minor, later.receivable.charged_minor) == (12000, 0)
