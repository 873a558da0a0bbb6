"""Positions, usage and shop days are of the events that count, once each, and of nothing that stands beside them."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from datetime import datetime, timedelta
from uuid import UUID

import msgspec

from jitui.adapters.postgres.feed import KEEP_HOURS
from jitui.aftersales.commands.execute import Executed
from jitui.aftersales.commands.on_ticket import Acting
from jitui.aftersales.commands.review import approve
from jitui.aftersales.commands.stop_ship import StopShipAnswer, StopShipOutcome, acknowledge_stop_ship
from jitui.aftersales.model.order import ShipmentSource, ShipmentStatus
from jitui.aftersales.model.ticket import Actor, ActorKind
from jitui.aftersales.ports import OrderRef, TicketRef
from jitui.ids import lane_of
from tests.aftersales.market import NOW, Market, beside
from tests.race.locks import another, wait_for_a_lock

MOMENT = timedelta(microseconds=1)
HOUR = timedelta(hours=1)
MERCHANT = Actor(ActorKind.MERCHANT, "somebody")
AT_ONCE = {"approved_by": "instant_refund", "amount_minor": 100, "more_minor": 7, "currency": "CNY", "categories": {}}


async def execute(market: Market, sql: str, *values: object) -> list[tuple[object, ...]]:
    async with market.pool.connection() as connection:
        cursor = await connection.execute(sql.encode(), values)
        return list(await cursor.fetchall()) if cursor.description else []


async def told(
    market: Market, kind: str, body: Mapping[str, object], *, shop: str = "s-1", at: datetime = NOW,
    buyer: str = "b-1", ticket: UUID | None = None,
) -> None:  # fmt: skip
    """An event, as any command announces it."""
    await execute(
        market,
        "INSERT INTO change (lane, kind, order_id, ticket_id, buyer_id, shop_id, at, body)"
        " VALUES (%s, %s, 'o-1', %s, %s, %s, %s, %s)",
        lane_of(buyer), kind, ticket, buyer, shop, at, msgspec.json.encode(body).decode(),
    )  # fmt: skip


async def used(market: Market, scope: str) -> list[tuple[object, ...]]:
    return await execute(
        market,
        "SELECT ref, sum(approvals)::int, sum(amount_minor)::int FROM usage_bucket WHERE scope = %s"
        " AND bucket_seconds = 60 GROUP BY ref ORDER BY ref",
        scope,
    )


async def days(market: Market) -> list[tuple[object, ...]]:
    return await execute(
        market,
        "SELECT shop_id, kind, day::text, events::int, amount_minor::int FROM shop_day ORDER BY shop_id, kind, day",
    )


# Positions ---------------------------------------------------------------------------------------------------------


async def test_events_get_positions_in_the_order_in_which_they_were_made_and_keep_them(market: Market) -> None:
    """The first one's row lies behind the others', as an update leaves it."""
    for number in range(4):
        await told(market, "order.paid", {"number": number})
    for number in (1, 0):
        await execute(market, "UPDATE change SET at = at WHERE body ->> 'number' = %s", str(number))
    assert [await market.feed.publish(limit=1), await market.feed.publish(limit=2)] == [1, 2]
    numbered = "SELECT position, (body ->> 'number')::int FROM change ORDER BY position"
    assert await execute(market, numbered) == [(1, 0), (2, 1), (3, 2), (None, 3)]
    before = await market.feed.events(0, 9)
    assert [one.body["number"] for one in before] == [0, 1, 2, 3]
    pseudonyms = [str(name) for (name,) in await execute(market, "SELECT pseudonym FROM buyer_pseudonym")]
    assert [one.buyer_pseudonym for one in before] == pseudonyms * 4, "of the buyer, and of nobody else"
    for number in (2, 0):
        await execute(market, "UPDATE change SET at = at WHERE body ->> 'number' = %s", str(number))
    assert await market.feed.publish() == 0
    assert await market.feed.events(0, 9) == before
    assert await market.feed.events(1, 2) == before[1:3]
    assert await market.feed.events(0, 9, shop_id="s-1") == before
    assert await market.feed.events(0, 9, shop_id="s-2") == []


# Usage -------------------------------------------------------------------------------------------------------------


async def test_usage_counts_what_was_approved_at_once_and_nothing_else_that_an_event_says(market: Market) -> None:
    for shop in ("s-1", "s-2"):
        await told(market, "ticket.approved", AT_ONCE, shop=shop)
        await told(market, "ticket.approved", {**AT_ONCE, "approved_by": "merchant"}, shop=shop)
        await told(market, "ticket.requested", AT_ONCE, shop=shop)
        await told(market, "ticket.amount_raised", AT_ONCE, shop=shop)
        await market.feed.roll_up(NOW)
    assert await used(market, "shop") == [("s-1", 1, 107), ("s-2", 1, 107)]
    assert await used(market, "platform") == [("", 2, 214)]


async def test_a_cluster_has_the_approvals_of_who_is_in_it_now(market: Market) -> None:
    """A buyer of its lane is in another cluster, another one has left it, and one is in none."""
    buyer = await market.premium_buyer("b-1")
    neighbour = await market.premium_buyer(beside(buyer))
    left = await market.premium_buyer(beside(neighbour))
    own, other = UUID(int=1), UUID(int=2)
    for who, cluster, until_at in ((buyer, own, None), (neighbour, other, None), (left, own, NOW)):
        await execute(
            market,
            "INSERT INTO cluster_member (lane, buyer_id, cluster_id, from_at, until_at) VALUES (%s, %s, %s, %s, %s)",
            lane_of(who), who, cluster, NOW - HOUR, until_at,
        )  # fmt: skip
    for number, who in enumerate((buyer, neighbour, left), start=1):
        await market.paid_order(who, f"o-{number}", amounts=(100 * number,))
        await market.asked(who, f"o-{number}")
    await market.feed.roll_up(NOW)
    assert await used(market, "cluster") == [(str(own), 1, 100), (str(other), 1, 200)]


async def test_what_is_published_while_a_roll_up_counts_is_left_to_the_next_one(
    market: Market, database_url: str
) -> None:
    await told(market, "ticket.approved", AT_ONCE)
    await told(market, "order.paid", {})
    async with another(database_url) as holding:
        await holding.execute("LOCK TABLE roll_up IN ACCESS EXCLUSIVE MODE")  # it has read how far it counts
        rolling = asyncio.create_task(market.feed.roll_up(NOW))
        assert await wait_for_a_lock(database_url, rolling)
        await told(market, "ticket.approved", AT_ONCE)
        await told(market, "order.paid", {})
        assert await market.feed.publish() == 2
        await holding.commit()
        await rolling
    assert (await used(market, "shop"), [row[3] for row in await days(market)]) == ([("s-1", 1, 100)], [1])
    await market.feed.roll_up(NOW)
    assert (await used(market, "shop"), [row[3] for row in await days(market)]) == ([("s-1", 2, 200)], [2])


async def test_usage_is_as_old_as_the_newest_roll_up_of_one_clock_and_as_the_latest_of_two(market: Market) -> None:
    async def as_of() -> dict[object, object]:
        found = await execute(market, "SELECT name, as_of FROM roll_up WHERE name IN ('usage', 'shop_day')")
        return {row[0]: row[1] for row in found}

    assert await as_of() == {"usage": NOW, "shop_day": NOW}
    await market.feed.roll_up(NOW - HOUR)
    assert await as_of() == {"usage": NOW, "shop_day": NOW}, "a clock of ours that is behind takes nothing back"
    await market.feed.roll_up()
    by_database = await as_of()
    assert by_database["usage"] == by_database["shop_day"] != NOW
    await market.feed.roll_up(NOW - HOUR)
    assert await as_of() == {"usage": NOW - HOUR, "shop_day": by_database["shop_day"]}


async def test_usage_is_kept_until_no_window_of_a_cap_can_reach_it(market: Market) -> None:
    minutes, hours = timedelta(minutes=2000), timedelta(hours=KEEP_HOURS)
    for seconds, age in ((60, minutes), (60, minutes + MOMENT), (3600, hours), (3600, hours + MOMENT)):
        await execute(
            market,
            "INSERT INTO usage_bucket (scope, ref, bucket_seconds, bucket, currency, approvals, amount_minor)"
            " VALUES ('shop', 's-1', %s, %s, 'CNY', 1, 1)",
            seconds, NOW - age,
        )  # fmt: skip
    await market.feed.roll_up(NOW)
    left = await execute(market, "SELECT bucket_seconds, bucket FROM usage_bucket ORDER BY 1")
    assert left == [(60, NOW - minutes), (3600, NOW - hours)]


# Shop days ---------------------------------------------------------------------------------------------------------


async def test_a_shops_days_count_what_left_what_was_paid_and_what_was_on_time(market: Market) -> None:
    for shop in ("s-1", "s-1", "s-2"):
        await told(market, "shipment.recorded", {"left": True, "on_time": False}, shop=shop)
        await told(market, "shipment.recorded", {"left": False, "on_time": True}, shop=shop)
        await told(market, "order.paid", {"left": True, "on_time": True, "amount_minor": 5}, shop=shop)
        await told(market, "order.paid", {"free_of_charge": True, "amount_minor": 9}, shop=shop)
        await told(market, "ticket.requested", {"left": True, "on_time": True}, shop=shop)
        await market.feed.roll_up(NOW)
    day = "2026-06-01"
    assert await days(market) == [
        ("s-1", "order_paid", day, 2, 10),
        ("s-1", "shipped", day, 2, 0),
        ("s-1", "shipped_on_time", day, 2, 0),
        ("s-2", "order_paid", day, 1, 5),
        ("s-2", "shipped", day, 1, 0),
        ("s-2", "shipped_on_time", day, 1, 0),
    ]


async def test_what_is_told_late_counts_on_the_day_that_is_not_closed_yet(market: Market) -> None:
    later = NOW + timedelta(days=2)
    await told(market, "order.paid", {}, at=NOW - timedelta(days=3))
    await told(market, "order.paid", {}, at=later)
    await market.feed.roll_up(NOW)
    assert [(row[2], row[3]) for row in await days(market)] == [("2026-06-01", 1), ("2026-06-03", 1)]


# What is watched ---------------------------------------------------------------------------------------------------


async def test_an_unanswered_stop_ship_is_forgotten_after_its_days_and_an_open_ticket_is_not(market: Market) -> None:
    age = timedelta(days=31)
    for number, (risk, since) in enumerate(
        [("stop_ship_unanswered", age), ("stop_ship_unanswered", age + MOMENT), ("open_ticket", age + MOMENT)]
    ):
        await execute(
            market,
            "INSERT INTO shipping_watch (lane, ticket_id, risk, order_id, shop_id, since)"
            " VALUES (1, %s, %s, 'o', 's', %s)",
            UUID(int=number), risk, NOW - since,
        )  # fmt: skip
    await market.feed.roll_up(NOW)
    assert await execute(market, "SELECT ticket_id FROM shipping_watch ORDER BY 1") == [(UUID(int=0),), (UUID(int=2),)]


async def watched(market: Market) -> list[tuple[object, ...]]:
    await market.feed.roll_up(NOW)
    return await execute(market, "SELECT order_id, risk FROM shipping_watch ORDER BY 1, 2")


async def test_each_ticket_is_watched_by_what_was_said_of_it_and_not_of_those_beside_it(market: Market) -> None:
    """All in one lane: answered, gone all the same, advanced by the platform, without a label, and open."""
    buyers = [await market.premium_buyer("b-1")]
    while len(buyers) < 5:
        buyers.append(await market.premium_buyer(beside(buyers[-1])))
    buyers.append(beside(buyers[-1]))
    tickets = []
    for number, buyer in enumerate(buyers):
        order = await market.paid_order(buyer, f"o-{number}")
        if number < 4:
            await market.ship(order, status=ShipmentStatus.LABEL_PRINTED)
        ticket = await market.asked(buyer, f"o-{number}")
        tickets.append(TicketRef(ticket.lane, ticket.ticket_id))
    unanswered, held, gone, advanced, _, open_one = tickets

    async def answer(ref: TicketRef) -> None:
        done = await acknowledge_stop_ship(
            market.store, market.settings, ref, StopShipAnswer(StopShipOutcome.HELD), by=MERCHANT, now=NOW
        )
        assert isinstance(done, Executed), done

    await answer(held)
    await market.ship(OrderRef(gone.lane, "o-2"), source=ShipmentSource.CARRIER)
    await execute(
        market,
        "INSERT INTO incident (lane, incident_id, order_id, ticket_id, shop_id, kind, state, amount_minor, currency,"
        " evidence, opened_at, refund_id) SELECT lane, gen_random_uuid(), order_id, ticket_id, shop_id,"
        " 'platform_advance', 'open', 1, 'CNY', '[]', requested_at, gen_random_uuid() FROM ticket WHERE ticket_id = %s",
        advanced.ticket_id,
    )
    still = [("o-3", "stop_ship_unanswered"), ("o-5", "open_ticket")]
    assert await watched(market) == [("o-0", "stop_ship_unanswered"), *still]
    for ref in tickets:
        await told(market, "ticket.said", {}, buyer=buyers[0], ticket=ref.ticket_id)
    assert await watched(market) == [("o-0", "stop_ship_unanswered"), *still]
    await answer(unanswered)
    assert await watched(market) == still
    assert isinstance(await approve(market.store, open_one, Acting(MERCHANT, NOW)), Executed)
    assert await watched(market) == still[:1]
