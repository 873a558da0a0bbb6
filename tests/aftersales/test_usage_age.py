"""The usage of shop and platform caps: how old it may be, by which clock, and by how much a cap can be exceeded."""

from __future__ import annotations

import asyncio
from datetime import datetime, timedelta
from pathlib import Path
from typing import LiteralString

import psycopg
import pytest

from jitui.adapters.postgres import feed as postgres_feed
from jitui.adapters.postgres import migrate
from jitui.adapters.postgres.pool import Connection
from jitui.aftersales.commands.cap_usage import USAGE_MAX_AGE
from jitui.aftersales.model.ticket import ApprovedBy
from jitui.bootstrap import utc_now
from tests.aftersales.market import NOW, Market
from tests.aftersales.test_stages import edited

AN_INSTANT = timedelta(microseconds=1)
SHOP_CAP_MINOR = 2_000_000
LONGEST = timedelta(hours=17_520)


async def instant(market: Market, name: str, now: datetime, *, amount: int = 10_000) -> bool:
    buyer = await market.premium_buyer(f"b-{name}", now)
    await market.paid_order(buyer, f"o-{name}", amounts=(amount,), now=now)
    return (await market.asked(buyer, f"o-{name}", now=now)).approved_by is ApprovedBy.INSTANT_REFUND


async def set_usage(market: Market, as_of: str) -> None:
    """Usage by the database's clock; `as_of` is SQL."""
    async with market.pool.connection() as connection:
        await connection.execute(f"UPDATE roll_up SET by_database_clock = true, as_of = {as_of} WHERE name = 'usage'")


@pytest.mark.parametrize(
    ("age", "approved"),
    [
        (timedelta(0), True),
        (USAGE_MAX_AGE, True),
        (USAGE_MAX_AGE + AN_INSTANT, False),
        (-AN_INSTANT, False),  # a time to come is some clock's mistake
        (-timedelta(hours=1), False),
    ],
)
async def test_usage_is_known_from_its_moment_until_it_is_as_old_as_it_may_be(
    market: Market, age: timedelta, approved: bool
) -> None:
    assert await instant(market, "1", NOW + age) is approved


@pytest.mark.parametrize("ahead", [timedelta(minutes=-5), timedelta(0), timedelta(minutes=5)])
async def test_no_clock_of_ours_makes_old_usage_look_fresh_or_fresh_usage_old(market: Market, ahead: timedelta) -> None:
    """The API's machine is ahead or behind; the age of usage is the database's own."""
    now = utc_now() + ahead
    await market.feed.roll_up()
    assert await instant(market, "fresh", now)
    await set_usage(market, "clock_timestamp() - interval '11 seconds'")
    assert not await instant(market, "old", now)
    await set_usage(market, "clock_timestamp() + interval '1 minute'")  # it was set back since, by a failover
    assert not await instant(market, "future", now)
    await market.feed.roll_up()
    assert await instant(market, "again", now), "the next roll-up mends it"


async def moment_of(connection: Connection, query: LiteralString) -> datetime:
    row = await (await connection.execute(query)).fetchone()
    assert row is not None and isinstance(row[0], datetime)
    return row[0]


async def test_a_roll_up_is_as_old_as_its_begin_since_later_approvals_may_be_missing(market: Market) -> None:
    async with market.pool.connection() as connection:
        before = await moment_of(connection, "SELECT clock_timestamp()")
        await connection.execute("SELECT pg_advisory_xact_lock(%s)", (postgres_feed.ROLL_UP_LOCK,))
        waiting = asyncio.create_task(market.feed.roll_up())
        await asyncio.sleep(0.3)
        await connection.execute("UPDATE roll_up SET as_of = as_of")  # still in this transaction
        waited_until = await moment_of(connection, "SELECT clock_timestamp()")
    await waiting
    async with market.pool.connection() as connection:
        as_of = await moment_of(connection, "SELECT as_of FROM roll_up WHERE name = 'usage'")
    assert before <= as_of < waited_until


async def test_without_a_worker_a_shops_cap_is_exceeded_by_ten_seconds_of_approvals_at_most(market: Market) -> None:
    """Four requests of 299.00 a second for 30 s, and usage that stands still just below the cap."""
    async with market.pool.connection() as connection:
        await connection.execute(
            "INSERT INTO usage_bucket (scope, ref, bucket_seconds, bucket, currency, approvals, amount_minor) "
            "VALUES ('shop', 'shop-1', 60, date_trunc('minute', %s), 'CNY', 60, %s)",
            (NOW, SHOP_CAP_MINOR - 30_000),
        )
    approved = []
    for number in range(120):
        at = NOW + timedelta(seconds=number / 4)
        if await instant(market, str(number), at, amount=29_900):
            approved.append(at)
    rate_a_second = 4
    within = USAGE_MAX_AGE.total_seconds() * rate_a_second
    assert max(approved) == NOW + USAGE_MAX_AGE
    assert len(approved) == within + 1  # both ends count
    overshoot_minor = len(approved) * 29_900 - 30_000
    assert overshoot_minor <= within * 29_900


async def test_a_worker_that_stands_still_with_the_roll_ups_lock_is_put_out_and_another_goes_on(
    market: Market, database_url: str
) -> None:
    still = await psycopg.AsyncConnection.connect(database_url)
    await still.execute(postgres_feed.LOCK_FOR_THE_TRANSACTION, {"lock": postgres_feed.ROLL_UP_LOCK})
    await still.execute(postgres_feed.LOCK_FOR_THE_TRANSACTION, {"lock": postgres_feed.PUBLISHER_LOCK})
    await asyncio.wait_for(market.feed.roll_up(), 60)
    with pytest.raises(psycopg.Error):
        await still.execute("SELECT 1")


async def test_usage_is_kept_as_long_as_the_longest_cap_looks_back(market: Market) -> None:
    """A cap over 17520h counts an approval until its bucket has left the window, and not longer."""
    cap = ("per_shop: {amount_minor: 2000000, over: 1h}", "per_shop: {count: 1, over: 17520h}")
    market = market.deciding_by(edited(cap))
    begins = NOW.replace(minute=0, second=0, microsecond=0)
    for number, bucket in enumerate((begins - LONGEST, begins)):
        async with market.pool.connection() as connection:
            await connection.execute("DELETE FROM usage_bucket")
            await connection.execute(
                "INSERT INTO usage_bucket (scope, ref, bucket_seconds, bucket, currency, approvals, amount_minor)"
                " SELECT 'shop', 'shop-1', seconds, %s, 'CNY', 1, 1 FROM (VALUES (60), (3600)) AS s (seconds)",
                [bucket],
            )
        await market.feed.roll_up(NOW)
        assert not await instant(market, str(number), NOW)
    async with market.pool.connection() as connection:
        await connection.execute(
            "UPDATE usage_bucket SET bucket = bucket - interval '17522 hours' WHERE scope = 'shop'"
        )
    await market.feed.roll_up(NOW)
    async with market.pool.connection() as connection:
        rows = await connection.execute("SELECT count(*) FROM usage_bucket WHERE scope = 'shop'")
        assert await rows.fetchall() == [(0,)]


async def test_the_upgrade_counts_again_what_was_forgotten_and_nothing_twice(market: Market) -> None:
    """Releases before kept buckets of an hour for 2,000 hours."""
    migration = (Path(migrate.__file__).parent / "migrations" / "versions" / "0028_caps_of_clusters.sql").read_text(
        "utf-8"
    )
    again = migration[migration.index("WITH approved") : migration.index("ON CONFLICT DO NOTHING") + 22]
    assert await instant(market, "1", NOW)
    await market.feed.roll_up(NOW)
    async with market.pool.connection() as connection:
        await connection.execute("DELETE FROM usage_bucket")
        await connection.execute("UPDATE change SET at = now() - interval '100 days'")
        for _ in range(2):
            await connection.execute(again.encode())
        rows = await connection.execute(
            "SELECT scope, bucket_seconds, approvals, amount_minor, now() - bucket BETWEEN interval '100 days' AND"
            " interval '2401 hours' FROM usage_bucket ORDER BY scope"
        )
        found = await rows.fetchall()
    assert found == [(scope, 3600, 1, 10_000, True) for scope in ("category", "platform", "shop")]
