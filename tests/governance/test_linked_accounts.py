"""Linked accounts: who becomes one cluster, what a decision knows of it, and that nothing of it is taken back."""

from __future__ import annotations

import asyncio
import re
from datetime import datetime, timedelta

import psycopg
import pytest

from jitui.adapters.postgres.linked_accounts import PostgresLinkedAccounts
from jitui.aftersales.governance.linked_accounts import MOST_SHARING, IdentityLink, LinkKind
from jitui.aftersales.governance.registry import Restriction
from jitui.aftersales.model.ticket import ApprovedBy, Arm
from jitui.bootstrap import utc_now
from jitui.ids import lane_of, new_id
from jitui.policy import Policy
from tests.aftersales.market import DEFAULT_POLICY, NOW, Market


def link(buyer_id: str, value: str, kind: LinkKind = LinkKind.DEVICE) -> IdentityLink:
    return IdentityLink(buyer_id, kind, f"{value:-<40}", NOW)


def accounts(market: Market) -> PostgresLinkedAccounts:
    return PostgresLinkedAccounts(market.pool)


async def linked(market: Market, *links: IdentityLink) -> None:
    await accounts(market).add(links, NOW)
    while await accounts(market).join_new(NOW):
        pass


async def members(market: Market, buyer_id: str) -> set[str]:
    return set((await accounts(market).of_buyer(buyer_id)).members)


def reading(condition: str) -> Policy:
    """The default policy, and one condition of the cluster."""
    row = f'  - {{id: linked, when: "{condition}", public: true, text: {{zh: 关联, en: Linked}}}}\n'
    text = DEFAULT_POLICY.text.replace('version: "2"', 'version: "linked"', 1)
    return Policy.from_text(text.replace("  - id: within_caps\n", f"{row}  - id: within_caps\n", 1))


async def instant(market: Market, buyer_id: str, order_id: str) -> bool:
    await market.premium_buyer(buyer_id)
    await market.paid_order(buyer_id, order_id)
    return (await market.asked(buyer_id, order_id)).approved_by is ApprovedBy.INSTANT_REFUND


async def test_those_who_share_something_are_one_cluster_over_all_that_they_share(market: Market) -> None:
    await linked(market, link("a", "phone"), link("b", "phone"), link("c", "card", LinkKind.PAYMENT_INSTRUMENT))
    assert await members(market, "a") == {"a", "b"}
    assert await members(market, "c") == {"c"}
    await linked(market, link("d", "card", LinkKind.PAYMENT_INSTRUMENT), link("e", "phone", LinkKind.ADDRESS))
    assert await members(market, "d") == {"c", "d"}
    assert await members(market, "e") == {"e"}, "the same hash of another kind is another thing"
    first = (await accounts(market).of_buyer("a")).cluster_id
    await linked(market, link("b", "card", LinkKind.PAYMENT_INSTRUMENT))
    assert await members(market, "c") == {"a", "b", "c", "d"}
    assert (await accounts(market).of_buyer("d")).cluster_id == first, "the older cluster stays"


async def test_a_merge_ends_memberships_and_takes_none_back(market: Market, database_url: str) -> None:
    await linked(market, link("a", "phone"), link("b", "phone"))
    await linked(market, link("c", "card"), link("d", "card"))
    await linked(market, link("b", "card"))
    async with market.pool.connection() as connection:
        found = await connection.execute(
            "SELECT buyer_id, count(*), count(until_at) FROM cluster_member GROUP BY 1 ORDER BY 1"
        )
        assert await found.fetchall() == [("a", 1, 0), ("b", 1, 0), ("c", 2, 1), ("d", 2, 1)]
    for change in (
        "DELETE FROM cluster_member",
        "UPDATE cluster_member SET cluster_id = gen_random_uuid()",
        "UPDATE cluster_member SET from_at = from_at - interval '1 day'",
        "UPDATE cluster_member SET until_at = now() + interval '1 day' WHERE until_at IS NOT NULL",
        "UPDATE cluster_member SET until_at = NULL WHERE until_at IS NOT NULL",
    ):
        with psycopg.connect(database_url) as connection, pytest.raises(psycopg.errors.CheckViolation):
            connection.execute(change.encode())


async def test_what_too_many_share_links_nobody_more_and_is_shown(market: Market) -> None:
    for number in range(MOST_SHARING):
        await accounts(market).add([link(f"b{number}", "dormitory", LinkKind.ADDRESS)], NOW + timedelta(seconds=number))
    await accounts(market).join_new(NOW)
    assert len(await members(market, "b0")) == MOST_SHARING
    await linked(market, link("late", "dormitory", LinkKind.ADDRESS))
    assert await members(market, "late") == {"late"}
    (shown,) = (await accounts(market).of_buyer("late")).links
    assert (shown.buyers, shown.links) == (MOST_SHARING + 1, False)
    assert len(await members(market, "b0")) == MOST_SHARING, "what was recorded before stands"


async def test_a_link_counts_once_and_keeps_the_later_time(market: Market) -> None:
    later = IdentityLink("a", LinkKind.DEVICE, link("a", "phone").hash, NOW + timedelta(days=1))
    assert await accounts(market).add([link("a", "phone"), later], NOW) == 1
    assert await accounts(market).add([link("a", "phone")], NOW) == 0
    (found,) = (await accounts(market).of_buyer("a")).links
    assert found.seen_at == later.seen_at


async def test_workers_at_once_make_one_cluster_and_a_buyer_is_in_one_alone(market: Market, database_url: str) -> None:
    await accounts(market).add([link(f"b{number}", "phone") for number in range(6)], NOW)
    await asyncio.gather(*(accounts(market).join_new(NOW) for _ in range(4)))
    assert len(await members(market, "b0")) == 6
    insert = (
        "INSERT INTO cluster_member (lane, buyer_id, cluster_id, from_at) "
        "SELECT lane, buyer_id, gen_random_uuid(), now() FROM cluster_member WHERE buyer_id = 'b0'"
    )
    with psycopg.connect(database_url) as connection, pytest.raises(psycopg.errors.UniqueViolation):
        connection.execute(insert.encode())


@pytest.mark.parametrize(
    "value", ["Main Street 12, 10115 Berlin, Germany", "short", "x" * 129, "4111 1111 1111 1111 11 11 1111 11"]
)
async def test_the_database_refuses_what_is_no_hash(market: Market, value: str) -> None:
    with pytest.raises(psycopg.errors.CheckViolation):
        await accounts(market).add([IdentityLink("a", LinkKind.ADDRESS, value, NOW)], NOW)


async def test_a_condition_on_the_size_of_the_cluster(market: Market) -> None:
    market = market.deciding_by(reading("buyer.cluster_size < 3"))
    assert await instant(market, "alone", "o-1")
    await linked(market, link("a", "phone"), link("b", "phone"))
    assert await instant(market, "a", "o-2")
    await linked(market, link("c", "phone"))
    assert not await instant(market, "b", "o-3")


async def test_a_link_that_no_worker_has_looked_at_makes_the_cluster_unknown(market: Market) -> None:
    market = market.deciding_by(reading("buyer.cluster_size < 3"))
    await accounts(market).add([link("a", "phone")], NOW)
    assert not await instant(market, "a", "o-1")
    await accounts(market).join_new(NOW)
    assert await instant(market, "a", "o-2")
    async with market.pool.connection() as connection:
        await connection.execute("UPDATE roll_up SET as_of = as_of - interval '1 minute' WHERE name = 'clusters'")
    assert not await instant(market, "a", "o-3"), "too long ago"
    assert await instant(market, "b", "o-4"), "a buyer without links is alone at any time"


async def test_another_members_restriction_is_known_and_ones_own_is_not_another_members(market: Market) -> None:
    market = market.deciding_by(reading("!buyer.cluster_restricted"))
    await linked(market, link("a", "phone"), link("b", "phone"))
    row = Restriction(new_id(lane_of("b")), "b", "Fraud.", NOW, NOW + timedelta(days=9), "risk")
    await market.registry.restrict(row)
    await accounts(market).join_new(NOW)
    assert not await instant(market, "a", "o-1")
    async with market.pool.connection() as connection:
        found = await connection.execute("SELECT buyer_id, other_restricted FROM cluster_state ORDER BY 1")
        assert await found.fetchall() == [("a", True), ("b", False)]
    await accounts(market).join_new(NOW + timedelta(days=9))
    assert await instant(market, "a", "o-2"), "the restriction has ended"


def test_a_restriction_rule_reads_the_cluster() -> None:
    rule = "restrictions:\n  - {id: ring, when: buyer.cluster_size > 5, withdraw: instant_refund, for: 30d}"
    text = re.sub(r"\nrestrictions:.*?(?=\n\S)", "", DEFAULT_POLICY.text, flags=re.DOTALL)
    (read,) = Policy.from_text(text.replace("\nreview:", f"\n{rule}\nreview:", 1)).restrictions
    assert read.id == "ring"


async def test_a_rule_restricts_a_buyer_for_the_size_of_the_cluster(market: Market) -> None:
    rule = "restrictions:\n  - {id: ring, when: buyer.cluster_size > 1, withdraw: instant_refund, for: 30d}"
    text = re.sub(r"\nrestrictions:.*?(?=\n\S)", "", DEFAULT_POLICY.text, flags=re.DOTALL)
    market = market.deciding_by(Policy.from_text(text.replace("\nreview:", f"\n{rule}\nreview:", 1)))
    await linked(market, link("a", "phone"), link("b", "phone"))
    assert not await instant(market, "a", "o-1")
    assert await instant(market, "c", "o-2")
    (row,) = await market.registry.restrictions_of("a")
    assert (row.rule_id, row.facts) == ("ring", {"buyer.cluster_size": 2})


async def test_the_age_of_what_a_worker_saw_is_the_databases_own(market: Market) -> None:
    await linked(market, link("a", "phone"))
    async with market.pool.connection() as connection:
        row = await (await connection.execute("SELECT as_of FROM roll_up WHERE name = 'clusters'")).fetchone()
    assert row is not None and isinstance(row[0], datetime)
    assert abs(row[0] - utc_now()) < timedelta(minutes=5)


async def test_who_joins_a_cluster_stays_in_the_arm_that_was_drawn_before(market: Market) -> None:
    """Arms are drawn by the buyer alone, so linking accounts moves nobody between them."""
    half = DEFAULT_POLICY.text.replace("hold_out_percent: 2", "hold_out_percent: 50")
    market = market.deciding_by(Policy.from_text(half.replace('version: "2"', 'version: "half"', 1)))
    buyers = [f"b-{number}" for number in range(6)]
    before = [await arm(market, buyer, f"o-{buyer}") for buyer in buyers]
    assert set(before) == {Arm.LIVE, Arm.HOLD_OUT}
    await linked(market, *(link(buyer, "phone") for buyer in buyers))
    assert [await arm(market, buyer, f"again-{buyer}") for buyer in buyers] == before


async def arm(market: Market, buyer_id: str, order_id: str) -> Arm:
    """The arm of a request of a buyer who is on no list."""
    await market.premium_buyer(buyer_id)
    async with market.pool.connection() as connection:
        await connection.execute("DELETE FROM selection")
    await market.paid_order(buyer_id, order_id)
    return (await market.asked(buyer_id, order_id)).arm
