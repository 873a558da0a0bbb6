"""The cap on a cluster of linked accounts: rolled up like a shop's, whoever joins brings what was used before."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest

from jitui.adapters.postgres import feed
from jitui.adapters.postgres.cap_usages import PostgresCapUsages
from jitui.aftersales.commands.cap_usage import usages_of
from jitui.aftersales.governance.cap_usage import CapScope, cap_limits, look_at_caps
from jitui.aftersales.model.cluster import ClusterSeen
from jitui.aftersales.model.usage import Usage
from jitui.aftersales.ports import DecisionInputs
from jitui.backtest.caps import Asked, CapsReplay
from jitui.policy import Cap, Caps, CapUsage, Policy
from tests.aftersales.market import DEFAULT_POLICY, NOW, Market, on_both_stores
from tests.governance.test_linked_accounts import accounts, instant, link, linked

LATE = timedelta(seconds=11)
FRESH = timedelta(seconds=10)
HOUR_US = 3_600_000_000


def capped(cap: str = "{count: 2, over: 24h}") -> Policy:
    text = DEFAULT_POLICY.text.replace("caps.shop_ok &&", "caps.shop_ok && caps.cluster_ok &&", 1)
    text = text.replace('version: "2"', 'version: "capped"', 1)
    return Policy.from_text(text.replace("\ncaps:\n", f"\ncaps:\n  per_cluster: {cap}\n", 1))


async def got(market: Market, buyer_id: str, order_id: str) -> bool:
    """Whether a request is approved at once; usage is rolled up afterwards."""
    done = await instant(market, buyer_id, order_id)
    await market.feed.roll_up(NOW)
    return done


async def used(market: Market) -> list[tuple[str, int]]:
    """Approvals of each cluster in the buckets of an hour; each is rolled up in those of a minute, too."""
    async with market.pool.connection() as connection:
        rows = await connection.execute(
            "SELECT bucket_seconds, ref, sum(approvals)::int FROM usage_bucket WHERE scope = 'cluster'"
            " GROUP BY 1, 2 ORDER BY 1, 2"
        )
        found = await rows.fetchall()
    hours, minutes = ([(str(ref), int(str(n))) for seconds, ref, n in found if seconds == size] for size in (3600, 60))
    assert hours == minutes
    return hours


async def test_a_cluster_is_one_buyer_for_its_cap(market: Market) -> None:
    market = market.deciding_by(capped())
    await linked(market, link("a", "phone"), link("b", "phone"))
    assert [await got(market, buyer, f"o-{buyer}") for buyer in ("a", "b", "c")] == [True, True, True]
    assert not await got(market, "a", "o-4"), "two of the cluster had their refunds"
    assert await got(market, "c", "o-5") and not await got(market, "c", "o-6"), "who is linked with nobody is alone"
    [(ref, approvals)] = await used(market)
    assert (ref, approvals) == (str((await accounts(market).of_buyer("a")).cluster_id), 2)


async def test_who_joins_a_cluster_brings_what_was_used_before_once(market: Market) -> None:
    market = market.deciding_by(capped("{count: 3, over: 24h}"))
    assert await got(market, "a", "o-1")
    await linked(market, link("c", "card"), link("d", "card"))
    assert await got(market, "c", "o-2")
    await linked(market, link("a", "phone"), link("b", "phone"))
    assert sorted(n for _, n in await used(market)) == [1, 1]
    assert await instant(market, "b", "o-3")  # not rolled up yet when the clusters are joined
    await linked(market, link("b", "card"))
    assert sorted(n for _, n in await used(market)) == [2]
    await market.feed.roll_up(NOW)
    assert sorted(n for _, n in await used(market)) == [3]
    assert not await got(market, "d", "o-4")


async def test_joining_and_rolling_up_at_once_count_each_approval_once(market: Market) -> None:
    market = market.deciding_by(DEFAULT_POLICY)
    for number in range(6):
        assert await instant(market, f"b-{number}", f"o-{number}")
    await accounts(market).add([link(f"b-{number}", "phone") for number in range(6)], NOW)
    await asyncio.gather(market.feed.roll_up(NOW), accounts(market).join_new(NOW), market.feed.roll_up(NOW))
    await market.feed.roll_up(NOW)
    [(_, approvals)] = await used(market)
    assert approvals == 6


async def test_membership_changes_only_under_the_lock_of_the_roll_up(market: Market) -> None:
    await accounts(market).add([link("a", "phone"), link("b", "phone")], NOW)
    async with market.pool.connection() as connection:
        await connection.execute("SELECT pg_advisory_xact_lock(%s)", [feed.ROLL_UP_LOCK])
        joining = asyncio.create_task(accounts(market).join_new(NOW))
        await asyncio.sleep(0.3)
        assert not joining.done()
        assert (await accounts(market).of_buyer("a")).members == ("a",)
    assert await joining == 2


async def test_while_a_link_waits_the_cap_is_unknown(market: Market) -> None:
    market = market.deciding_by(capped())
    await accounts(market).add([link("a", "phone")], NOW)
    assert not await got(market, "a", "o-1")


@pytest.mark.parametrize(
    ("cluster", "usage", "usage_age", "known"),
    [
        (ClusterSeen(), Usage(1, 5), LATE, True),  # without links: counted as the buyer asks
        (ClusterSeen(2, False, NOW), Usage(1, 5), FRESH, True),
        (ClusterSeen(2, False, NOW), Usage(1, 5), LATE, False),
        (ClusterSeen(2, False, NOW - LATE), Usage(1, 5), FRESH, False),
        (None, Usage(1, 5), FRESH, False),
        (ClusterSeen(), None, FRESH, False),  # an erasure took approvals away
    ],
)
def test_what_is_stale_or_unknown_of_a_cluster_is_unknown(
    cluster: ClusterSeen | None, usage: Usage | None, usage_age: timedelta, known: bool
) -> None:
    inputs = DecisionInputs(cluster=cluster, cluster_usage=usage, usage_as_of=NOW - usage_age)
    found = usages_of(inputs, NOW, FRESH).cluster
    assert found == (CapUsage(1, 5) if known else None)


@on_both_stores
async def test_both_stores_count_who_is_alone(market: Market) -> None:
    market = market.deciding_by(capped("{count: 1, over: 24h}"))
    assert [await got(market, "a", f"o-{n}") for n in (1, 2)] == [True, False]


async def test_a_share_of_a_clusters_cap_is_told(market: Market) -> None:
    policy = capped()
    assert [limit.key for limit in cap_limits(policy, NOW)] == ["platform", "per_shop", "per_cluster"]
    market = market.deciding_by(policy)
    await linked(market, link("a", "phone"), link("b", "phone"))
    assert await got(market, "a", "o-1") and await got(market, "b", "o-2")
    told = await look_at_caps(PostgresCapUsages(market.pool), policy, NOW)
    assert [(one.scope, one.percent, one.used, one.cap) for one in told] == [
        (CapScope.CLUSTER, percent, 2, 2) for percent in (80, 100)
    ]


# In bulk ---------------------------------------------------------------------------------------------------------


def replayed(over_seconds: int = 3600) -> CapsReplay:
    return CapsReplay(Caps(per_cluster=Cap(2, None, over_seconds)))


def ok(caps: CapsReplay, buyer_id: str, cluster_id: str | None, at: int = 1) -> object:
    return caps.facts(Asked(buyer_id, "s", cluster_id), at, None)["caps.cluster_ok"]


def test_in_bulk_a_cluster_is_one_buyer_and_an_unknown_one_is_unknown() -> None:
    caps = replayed()
    for buyer_id in ("a", "b"):
        assert ok(caps, buyer_id, "c-1") is True
        caps.approve(Asked(buyer_id, "s", "c-1"), 1, None)
    assert [ok(caps, "a", "c-1"), ok(caps, "d", "d"), ok(caps, "d", None)] == [False, True, None]
    assert CapsReplay(Caps()).facts(Asked("a", "s"), 1, None)["caps.cluster_ok"] is True


def test_in_bulk_who_joins_brings_what_was_used_before() -> None:
    caps = replayed()
    caps.approve(Asked("a", "s", "a"), 1, None)
    caps.approve(Asked("b", "s", "c-1"), 1, None)
    assert ok(caps, "a", "c-1") is False
    caps.approve(Asked("e", "s", "c-2"), 1, None)
    assert [ok(caps, "e", "c-1"), ok(caps, "b", "c-1")] == [False, False]
    assert caps.facts(Asked("b", "s", "c-1"), 1, None)["caps.cluster_used_count"] == 3


def test_in_bulk_who_is_alone_is_exact_and_a_cluster_counts_whole_buckets() -> None:
    caps = CapsReplay(Caps(per_cluster=Cap(1, None, 3600)))
    caps.approve(Asked("a", "s", "a"), 1, None)
    caps.approve(Asked("b", "s", "c-1"), 1, None)
    left, bucket_left = 1 + HOUR_US, 60_000_000 + HOUR_US
    assert [ok(caps, "a", "a", at) for at in (left - 1, left)] == [False, True]
    assert [ok(caps, "b", "c-1", at) for at in (left, bucket_left - 1, bucket_left)] == [False, False, True]
    joined = CapsReplay(Caps(per_cluster=Cap(1, None, 3600)))
    joined.approve(Asked("a", "s", "a"), 1, None)
    assert [ok(joined, "a", "c-1", at) for at in (left, bucket_left)] == [False, True]


def test_in_bulk_a_lost_request_leaves_the_cluster_of_its_buyer_unknown() -> None:
    caps = replayed()
    assert ok(caps, "a", "c-1") is True
    assert caps.is_of_cluster(Asked("b", "s", "c-1"), frozenset({"a"}))
    assert not caps.is_of_cluster(Asked("b", "s", "c-2"), frozenset({"a"}))
