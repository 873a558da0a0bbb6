"""Alerts at shares of a cap: once for each window and share, by whoever looks, and told on the feed."""

from __future__ import annotations

import asyncio
from datetime import datetime, timedelta

import psycopg
import pytest

from jitui.adapters.postgres.cap_usages import PostgresCapUsages
from jitui.aftersales.cloud_events import event_json
from jitui.aftersales.governance.cap_usage import CapAlert, CapMeasure, CapScope, cap_limits, look_at_caps
from jitui.policy import Cap, Policy
from tests.aftersales.market import NOW, Market
from tests.aftersales.test_category_caps import capped

HOUR = timedelta(hours=1)
POLICY = capped("per_category: {count: 10, over: 1h}")


async def use(market: Market, approvals: int, at: datetime = NOW, *, ref: str = "toys", amount_minor: int = 0) -> None:
    """The roll-up has so many approvals of a category more."""
    async with market.pool.connection() as connection:
        await connection.execute(
            "INSERT INTO usage_bucket AS u (scope, ref, bucket_seconds, bucket, currency, approvals, amount_minor) "
            "VALUES ('category', %s, 60, date_trunc('minute', %s::timestamptz), 'CNY', %s, %s) "
            "ON CONFLICT (scope, ref, bucket_seconds, bucket, currency) "
            "DO UPDATE SET approvals = u.approvals + excluded.approvals",
            (ref, at, approvals, amount_minor),
        )


async def look(market: Market, now: datetime = NOW, policy: Policy = POLICY) -> list[tuple[str, int]]:
    return [(one.ref, one.percent) for one in await look_at_caps(PostgresCapUsages(market.pool), policy, now)]


async def standing(market: Market) -> list[CapAlert]:
    return list(await PostgresCapUsages(market.pool).alerts(standing=True, limit=50))


async def test_a_share_is_told_when_it_is_reached_and_not_again(market: Market) -> None:
    await use(market, 7)
    assert await look(market) == []
    await use(market, 1)
    assert await look(market) == [("toys", 80)]
    assert await look(market) == []
    await use(market, 2)
    assert await look(market) == [("toys", 100)]
    found = {one.percent: one for one in await standing(market)}
    told = found[100]
    assert (told.scope, told.measure, told.used, told.cap) == (CapScope.CATEGORY, CapMeasure.COUNT, 10, 10)
    assert told.over_seconds == 3600


async def test_the_alert_is_an_event_for_the_platform_and_for_no_shop(market: Market) -> None:
    await use(market, 8)
    await look(market)
    (event,) = [one for one in await market.feed.events(0, 50) if one.kind == "cap.share_passed"]
    assert (event.order_id, event.buyer_pseudonym, event.shop_id) == ("", "", "")
    assert (event.body["ref"], event.body["percent"], event.body["used"]) == ("toys", 80, 8)
    assert b'"subject":"caps/category/toys"' in event_json(event, for_platform=True).replace(b'": "', b'":"')
    assert await market.feed.events(0, 50, shop_id="shop-1") == []
    async with market.pool.connection() as connection:
        found = await connection.execute("SELECT count(*) FROM buyer_pseudonym WHERE buyer_id = ''")
        assert await found.fetchone() == (0,)


async def test_of_several_who_look_at_once_one_tells_it(market: Market) -> None:
    await use(market, 8)
    looks = await asyncio.gather(*(look(market) for _ in range(6)))
    assert sorted(looks) == [[]] * 5 + [[("toys", 80)]]
    assert len([one for one in await market.feed.events(0, 50) if one.kind == "cap.share_passed"]) == 1


async def test_a_second_connection_cannot_open_the_alert_that_stands(market: Market, database_url: str) -> None:
    insert = (
        "INSERT INTO cap_alert (scope, ref, measure, percent, used, cap, currency, over_seconds, opened_at) "
        "VALUES ('category', 'toys', 'count', 80, 8, 10, 'CNY', 3600, now())"
    )
    first = await psycopg.AsyncConnection.connect(database_url)
    second = await psycopg.AsyncConnection.connect(database_url)
    try:
        await first.execute(insert)
        waiting = asyncio.create_task(second.execute(insert))
        await asyncio.sleep(0.2)
        assert not waiting.done()
        await first.commit()
        with pytest.raises(psycopg.errors.UniqueViolation):
            await waiting
    finally:
        await first.close()
        await second.close()


async def test_usage_that_moves_about_a_share_tells_it_once_and_a_window_later_again(market: Market) -> None:
    await use(market, 8)
    assert await look(market) == [("toys", 80)]
    async with market.pool.connection() as connection:  # the first approvals have left the window
        await connection.execute("UPDATE usage_bucket SET approvals = 0")
    almost = NOW + HOUR - timedelta(seconds=1)
    await look(market, almost)
    assert len(await standing(market)) == 1, "a window has not passed since it began"
    later = NOW + HOUR
    await use(market, 8, later)
    await look(market, later)
    assert len(await standing(market)) == 1, "it never fell by ten hundredths"
    async with market.pool.connection() as connection:
        await connection.execute("UPDATE usage_bucket SET approvals = 7 WHERE approvals > 0")
    assert await look(market, later) == []
    assert await standing(market) == [], "seven of ten is ten hundredths below"
    await use(market, 1, later)
    assert await look(market, later) == [("toys", 80)]


async def test_an_alert_ends_by_the_usage_that_it_is_about(market: Market) -> None:
    """Another category that is full, and the other measure of the same one, keep none standing."""
    policy = capped("per_category: {count: 10, amount_minor: 1000, over: 1h}")
    await use(market, 8, amount_minor=900)
    await use(market, 8, ref="books")
    found = sorted(await look(market, policy=policy))
    assert found == [("books", 80), ("toys", 80), ("toys", 80)]
    later = NOW + HOUR
    async with market.pool.connection() as connection:
        await connection.execute("UPDATE usage_bucket SET approvals = 0, amount_minor = 0")
    await use(market, 1, later, amount_minor=900)
    await use(market, 8, later, ref="books")
    assert await look(market, later, policy) == []
    assert sorted((one.ref, one.measure) for one in await standing(market)) == [
        ("books", CapMeasure.COUNT),
        ("toys", CapMeasure.AMOUNT),
    ]


async def test_an_alert_cannot_end_within_its_window(market: Market) -> None:
    await use(market, 8)
    await look(market)
    async with market.pool.connection() as connection:
        with pytest.raises(psycopg.errors.CheckViolation):
            await connection.execute("UPDATE cap_alert SET closed_at = opened_at + interval '59 minutes'")
        await connection.rollback()


async def test_money_counts_in_the_policys_currency_and_large_caps_do_not_overflow(market: Market) -> None:
    policy = capped("per_category: {amount_minor: 1000000000000000, over: 1h}")
    await use(market, 1, amount_minor=800_000_000_000_000)
    await use(market, 1, ref="books", amount_minor=799_999_999_999_999)
    assert await look(market, policy=policy) == [("toys", 80)]


async def test_no_share_tells_nothing_and_other_shares_tell_theirs(market: Market) -> None:
    await use(market, 5)
    assert await look(market, policy=capped("per_category: {count: 10, over: 1h}\n  alerts_at_percent: []")) == []
    half = capped("per_category: {count: 10, over: 1h}\n  alerts_at_percent: [50, 51]")
    assert await look(market, policy=half) == [("toys", 50)]


async def test_those_that_have_used_most_come_first(market: Market) -> None:
    for ref, approvals in (("toys", 3), ("books", 9), ("shoes", 5)):
        await use(market, approvals, ref=ref)
    used = await PostgresCapUsages(market.pool).used(cap_limits(POLICY, NOW), "CNY", 2)
    assert [(one.ref, one.percent) for one in used if one.scope is CapScope.CATEGORY] == [("books", 90), ("shoes", 50)]


def test_only_caps_that_are_rolled_up_are_watched() -> None:
    assert {limit.key for limit in cap_limits(POLICY, NOW)} == {"platform", "per_shop", "per_category"}
    assert POLICY.caps.per_category == Cap(10, None, 3600)
