"""The feed's positions: one publisher at a time, and each change counted once by the roll-ups."""

from __future__ import annotations

import asyncio
from datetime import timedelta

from jitui.aftersales.model.ticket import ApprovedBy
from tests.aftersales.market import NOW, Market
from tests.race.locks import another, wait_for_a_lock


async def test_two_publishers_give_each_change_one_position(market: Market, database_url: str) -> None:
    """A second publisher, let in beside the first, would number the same rows again, after readers saw them."""
    buyer = await market.premium_buyer("b-1")
    await market.paid_order(buyer, "o-1")
    await market.asked(buyer, "o-1")
    async with another(database_url) as other:
        last = "SELECT 1 FROM change WHERE change_id = (SELECT max(change_id) FROM change) FOR UPDATE"
        await other.execute(last)
        first = asyncio.create_task(market.feed.publish())
        assert await wait_for_a_lock(database_url, first), "it did not meet the row that is locked"
        second = asyncio.create_task(market.feed.publish())
        await wait_for_a_lock(database_url, first, second)
        await other.rollback()
        assert [await first, await second] == [4, 0], "paid, requested, approved, stop_ship"
    assert [event.position for event in await market.feed.events(0, 10)] == [1, 2, 3, 4]


async def test_the_change_at_which_the_last_roll_up_ended_is_not_counted_again(market: Market) -> None:
    """For both roll-ups: the last change is an approval, then a shipment."""
    for number in (1, 2):
        now = NOW + timedelta(minutes=number)
        buyer = await market.premium_buyer(f"b-{number}")
        await market.paid_order(buyer, f"o-{number}", amounts=(10000,))
        await market.feed.roll_up(now)  # usage is known for some seconds only
        ticket = await market.asked(buyer, f"o-{number}", now=now)
        assert ticket.approved_by is ApprovedBy.INSTANT_REFUND
        async with market.pool.connection() as connection:  # so that the approval itself is the last change
            await connection.execute("DELETE FROM change WHERE kind = 'stop_ship'")
        await market.feed.roll_up(now)
        await market.feed.roll_up(now)
    assert await _usage(market) == (2, 20000)
    for number in (3, 4):
        await market.ship(await market.paid_order(f"b-{number}", f"o-{number}"), tracking_no=f"SF{number}")
        await market.feed.roll_up(NOW + timedelta(minutes=number))
    async with market.pool.connection() as connection:
        row = await connection.execute("SELECT sum(events) FROM shop_day WHERE kind = 'shipped'")
        assert await row.fetchone() == (2,)


async def test_the_roll_up_that_waited_for_another_counts_nothing_twice(market: Market, database_url: str) -> None:
    buyer = await market.premium_buyer("b-1")
    await market.paid_order(buyer, "o-1", amounts=(10000,))
    await market.asked(buyer, "o-1")
    async with another(database_url) as other:
        await other.execute("SELECT 1 FROM roll_up WHERE name = 'usage' FOR UPDATE")
        both = [asyncio.create_task(market.feed.roll_up(NOW)) for _ in range(2)]
        assert await wait_for_a_lock(database_url, *both)
        await other.rollback()
        await asyncio.gather(*both)
    assert await _usage(market) == (1, 10000)


async def _usage(market: Market) -> object:
    async with market.pool.connection() as connection:
        rows = await connection.execute(
            "SELECT sum(approvals)::int, sum(amount_minor)::int FROM usage_bucket WHERE scope = 'shop' "
            "AND bucket_seconds = 60"
        )
        return await rows.fetchone()
