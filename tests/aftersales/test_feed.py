"""The feed has every committed change once and in order, however commits and readers interleave; and its roll-ups."""

from __future__ import annotations

import asyncio
from datetime import timedelta

from jitui.aftersales.model.ticket import ApprovedBy
from tests.aftersales.market import NOW, Market


async def test_a_reader_that_remembers_its_position_misses_nothing(market: Market) -> None:
    buyers = [await market.premium_buyer(f"b-{index}") for index in range(20)]
    for index, buyer in enumerate(buyers):
        await market.paid_order(buyer, f"o-{index}")
    seen: list[int] = []
    done = asyncio.Event()

    async def follow() -> None:
        while not done.is_set() or await read():
            await read()

    async def read() -> bool:
        page = await market.feed.events(seen[-1] if seen else 0, 7)
        seen.extend(event.position for event in page)
        return bool(page)

    reader = asyncio.create_task(follow())
    await asyncio.gather(*(market.asked(buyer, f"o-{index}") for index, buyer in enumerate(buyers)))
    done.set()
    await reader
    assert seen == sorted(set(seen))
    assert len(seen) == 20 * 4, "paid, requested, approved, stop_ship for each"
    everything = await market.feed.events(0, 1000)
    for ticket in {event.ticket_id for event in everything if event.ticket_id}:
        kinds = [event.kind for event in everything if event.ticket_id == ticket]
        assert kinds == ["ticket.requested", "ticket.approved", "stop_ship"]


async def test_a_shop_reads_only_its_own(market: Market) -> None:
    for index in (1, 2):
        await market.paid_order(await market.premium_buyer(f"b-{index}"), f"o-{index}", shop_id=f"shop-{index}")
    assert {event.shop_id for event in await market.feed.events(0, 100, shop_id="shop-2")} == {"shop-2"}


async def test_the_platforms_cap_stops_the_next_period(market: Market) -> None:
    async with market.pool.connection() as connection:
        await connection.execute(
            "INSERT INTO usage_bucket (scope, ref, bucket_seconds, bucket, currency, approvals, amount_minor) "
            "VALUES ('platform', '', 3600, date_trunc('hour', %s), 'CNY', 1, 499990000)",
            (NOW,),
        )
    first, second = [await market.premium_buyer(f"b-{index}") for index in (1, 2)]
    await market.paid_order(first, "o-1", amounts=(10000,))
    await market.paid_order(second, "o-2", amounts=(10000,))
    assert (await market.asked(first, "o-1")).approved_by is ApprovedBy.INSTANT_REFUND
    await market.feed.roll_up(NOW)
    assert (await market.asked(second, "o-2")).approved_by is None


async def test_rolling_up_twice_counts_once(market: Market) -> None:
    buyer = await market.premium_buyer("b-1")
    await market.paid_order(buyer, "o-1", amounts=(10000,))
    await market.asked(buyer, "o-1")
    await asyncio.gather(*(market.feed.roll_up(NOW) for _ in range(4)))
    async with market.pool.connection() as connection:
        cursor = await connection.execute(
            "SELECT scope, ref, bucket_seconds, currency, approvals, amount_minor FROM usage_bucket ORDER BY 1, 3"
        )
        rows = await cursor.fetchall()
    assert rows == [
        ("category", "apparel", 60, "CNY", 1, 10000),
        ("category", "apparel", 3600, "CNY", 1, 10000),
        ("platform", "", 60, "CNY", 1, 10000),
        ("platform", "", 3600, "CNY", 1, 10000),
        ("shop", "shop-1", 60, "CNY", 1, 10000),
        ("shop", "shop-1", 3600, "CNY", 1, 10000),
    ]


async def test_shop_days_count_shipments_and_whether_they_were_on_time(market: Market) -> None:
    ref = await market.paid_order(await market.premium_buyer("b-1"), "o-1")
    await market.ship(ref)
    await market.feed.roll_up(NOW + timedelta(seconds=1))
    async with market.pool.connection() as connection:
        cursor = await connection.execute("SELECT kind, events FROM shop_day WHERE shop_id = 'shop-1' ORDER BY kind")
        assert await cursor.fetchall() == [("order_paid", 1), ("shipped", 1)]
