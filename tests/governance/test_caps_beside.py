"""What is used of one cap is counted for that cap, and other scopes, windows, currencies and alerts stand beside it."""

from __future__ import annotations

from datetime import timedelta

from jitui.adapters.postgres.cap_usages import PostgresCapUsages
from jitui.aftersales.governance.cap_usage import CapLimit, CapMeasure, CapScope, CapUse, StandingAlerts
from tests.aftersales.market import NOW, Market

HOUR = timedelta(hours=1)
A_MINUTE = timedelta(minutes=1)
COUNT = CapMeasure.COUNT
CATEGORY = CapLimit("per_category", CapScope.CATEGORY, 10, None, 3600, NOW - HOUR, 60)
SHOP = CapLimit("per_shop", CapScope.SHOP, 10, 1000, 3600, NOW - HOUR, 60)


async def use(
    market: Market, scope: str, ref: str, approvals: int, amount_minor: int = 0, *, at: timedelta = timedelta(0),
    seconds: int = 60, currency: str = "CNY",
) -> None:  # fmt: skip
    """A row of the roll-up."""
    async with market.pool.connection() as connection:
        await connection.execute(
            "INSERT INTO usage_bucket (scope, ref, bucket_seconds, bucket, currency, approvals, amount_minor)"
            " VALUES (%s, %s, %s, %s, %s, %s, %s)",
            (scope, ref, seconds, NOW + at, currency, approvals, amount_minor),
        )


async def test_usage_counts_within_its_window_its_buckets_and_its_currency(market: Market) -> None:
    usages = PostgresCapUsages(market.pool)
    await use(market, "shop", "s-1", 1, 100)
    await use(market, "shop", "s-1", 2, 700, currency="USD")
    await use(market, "shop", "s-1", 4, 40, seconds=3600)
    await use(market, "shop", "s-1", 8, 80, at=-HOUR - A_MINUTE)
    assert await usages.used([SHOP], "CNY", 9) == [CapUse(CapScope.SHOP, "s-1", 3, 100, 30)]
    await use(market, "shop", "s-1", 16, 160, at=-HOUR - A_MINUTE + timedelta(seconds=1))
    assert await usages.used([SHOP], "CNY", 9) == [CapUse(CapScope.SHOP, "s-1", 19, 260, 190)]


async def test_a_cap_of_nothing_has_no_share_and_tells_none(market: Market) -> None:
    usages = PostgresCapUsages(market.pool)
    nothing = CapLimit("per_shop", CapScope.SHOP, 0, None, 3600, NOW - HOUR, 60)
    await use(market, "shop", "s-1", 1)
    assert await usages.used([nothing], "CNY", 9) == [CapUse(CapScope.SHOP, "s-1", 1, 0, None)]
    assert await usages.look([nothing], "CNY", [80, 100], NOW) == []


async def test_the_most_used_are_listed_by_scope_and_measured_by_the_cap_of_their_own(market: Market) -> None:
    """A category and a shop have the same name."""
    usages = PostgresCapUsages(market.pool)
    for scope, ref, approvals in (
        ("shop", "a", 1),
        ("shop", "b", 9),
        ("shop", "c", 9),
        ("shop", "d", 5),
        ("category", "b", 2),
        ("category", "x", 3),
    ):
        await use(market, scope, ref, approvals)
    used = await usages.used([SHOP, CATEGORY], "CNY", 3)
    assert [(one.scope.value, one.ref, one.percent) for one in used] == [
        ("category", "x", 30),
        ("category", "b", 20),
        ("shop", "b", 90),
        ("shop", "c", 90),
        ("shop", "d", 50),
    ]


async def test_an_alert_ends_when_its_own_scope_fell_and_one_that_ended_stays_as_it_ended(market: Market) -> None:
    usages = PostgresCapUsages(market.pool)
    later, latest = NOW + HOUR, NOW + 2 * HOUR
    await use(market, "category", "b", 9)
    assert [one.ref for one in await usages.look([CATEGORY], "CNY", [80], NOW)] == ["b"]
    await use(market, "shop", "b", 9, at=2 * HOUR)
    limits = [
        CapLimit("per_category", CapScope.CATEGORY, 10, None, 3600, later, 60),
        CapLimit("per_shop", CapScope.SHOP, 10, None, 3600, later, 60),
    ]
    assert [one.scope.value for one in await usages.look(limits, "CNY", [80], later)] == ["shop"]
    newest, ended = await usages.alerts(standing=False, limit=9)
    assert (newest.scope, newest.closed_at) == (CapScope.SHOP, None)
    assert (ended.scope, ended.closed_at) == (CapScope.CATEGORY, later)
    await usages.look(limits, "CNY", [80], latest)
    assert (await usages.alerts(standing=False, limit=9))[1] == ended
    assert await usages.alerts(standing=False, limit=1) == [newest]
    assert await usages.standing() == [StandingAlerts(CapScope.SHOP, 80, 1)]


async def test_alerts_of_one_look_are_opened_told_and_counted_in_the_order_of_their_names(market: Market) -> None:
    """Of several who look at once, each opens them in this order, so no two wait for one another."""
    usages = PostgresCapUsages(market.pool)
    for ref in ("z", "m", "a"):
        await use(market, "shop", ref, 10)
        await use(market, "category", ref, 10)
    opened = await usages.look([SHOP, CATEGORY], "CNY", [100, 50, 80], NOW)
    names = [(one.scope.value, one.ref, one.percent) for one in opened]
    assert names == sorted(names) and len(names) == 18
    assert [one.alert_id for one in opened] == sorted(one.alert_id for one in opened)
    assert await usages.alerts(standing=True, limit=2) == [opened[-1], opened[-2]]
    told = [one.body for one in await market.feed.events(0, 50)]
    assert [(one["scope"], one["ref"], one["percent"]) for one in told] == names
    assert await usages.standing() == [
        StandingAlerts(scope, percent, 3) for scope in (CapScope.CATEGORY, CapScope.SHOP) for percent in (50, 80, 100)
    ]
