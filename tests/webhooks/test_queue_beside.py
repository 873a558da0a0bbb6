"""What is queued, claimed, closed and deleted is one order's at one endpoint, and nothing of those beside them."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from uuid import UUID

import pytest

from jitui.adapters.postgres.webhook_queue import PostgresDeliveryQueue
from jitui.ids import lane_of
from jitui.webhooks.model import Attempted, ClaimedDelivery, DeliveryState, EndpointHealth
from tests.aftersales.market import NOW, Market
from tests.race.locks import another, wait_for_a_lock

MOMENT = timedelta(microseconds=1)
HOUR = timedelta(hours=1)
LEASE = NOW + HOUR
ONE, TWO = UUID(int=1), UUID(int=2)
PAUSE = "UPDATE webhook_endpoint SET state = 'paused', paused_because = 'x' WHERE endpoint_id = %s"
DELIVERED, DEAD = DeliveryState.DELIVERED, DeliveryState.DEAD


async def execute(market: Market, sql: str, *values: object) -> list[tuple[object, ...]]:
    async with market.pool.connection() as connection:
        cursor = await connection.execute(sql.encode(), values)
        return list(await cursor.fetchall()) if cursor.description else []


async def endpoint(
    market: Market, endpoint_id: UUID, *, shop: str = "", kinds: Sequence[str] = (), after: int = 0,
    state: str = "active",
) -> None:  # fmt: skip
    await execute(
        market,
        "INSERT INTO webhook_endpoint (endpoint_id, shop_id, url, description, kinds, state, paused_because,"
        " after_position, created_at, created_by) VALUES (%s, %s, %s, '', %s, %s, %s, %s, %s, 'tests')",
        endpoint_id, shop, str(endpoint_id), list(kinds), state, "" if state == "active" else "by hand", after, NOW,
    )  # fmt: skip


async def happen(
    market: Market, order_id: str, *, buyer: str = "b-1", shop: str = "s-1", kind: str = "order.paid"
) -> None:
    await execute(
        market,
        "INSERT INTO change (lane, kind, order_id, buyer_id, shop_id, at, body) VALUES (%s, %s, %s, %s, %s, %s, '{}')",
        lane_of(buyer), kind, order_id, buyer, shop, NOW,
    )  # fmt: skip


async def queued(market: Market, *orders: str) -> PostgresDeliveryQueue:
    """Two endpoints, and an event of each of these orders for both; all are in one lane."""
    for one in (ONE, TWO):
        await endpoint(market, one)
    for order_id in orders:
        await happen(market, order_id)
    queue = PostgresDeliveryQueue(market.pool)
    await queue.fan_out(NOW)
    return queue


async def claim(
    queue: PostgresDeliveryQueue, *, now: datetime = NOW, limit: int = 64, taken: Mapping[UUID, int] | None = None
) -> list[ClaimedDelivery]:
    found = await queue.claim(now=now, lease_until=LEASE, limit=limit, places=9, taken=taken or {})
    return sorted(found, key=lambda one: (one.endpoint.endpoint_id, one.order_id))


def shown(found: Sequence[ClaimedDelivery]) -> list[tuple[int, str, int]]:
    for one in found:
        assert one.event is None or (one.event.order_id, one.event.position) == (one.order_id, one.position)
    return [(one.endpoint.endpoint_id.int, one.order_id, one.position) for one in found]


async def waiting(market: Market) -> list[tuple[int, str, object, bool]]:
    """The queue: endpoint, order, when it is due, whether a worker has it."""
    rows = await execute(
        market, "SELECT endpoint_id, order_id, due_at, claim_id IS NOT NULL FROM webhook_queue ORDER BY 1, 2"
    )
    return [(UUID(str(one)).int, str(order), due, bool(has)) for one, order, due, has in rows]


async def deliveries(market: Market) -> list[tuple[int, int, str]]:
    rows = await execute(market, "SELECT endpoint_id, position, state FROM webhook_delivery ORDER BY 1, 2")
    return [(UUID(str(one)).int, int(str(position)), str(state)) for one, position, state in rows]


# Queueing ----------------------------------------------------------------------------------------------------------


async def test_an_endpoint_is_queued_what_is_of_its_shop_and_kinds_after_it_began(market: Market) -> None:
    wanted = {"shop": {"shop": "s-2"}, "kinds": {"kinds": ["stop_ship"]}, "after": {"after": 2}, "paused": {}}
    for number, (name, more) in enumerate(wanted.items(), start=1):
        await endpoint(market, UUID(int=number), state="paused" if name == "paused" else "active", **more)  # type: ignore[arg-type]
    for order_id, shop, kind in (
        ("o-1", "s-1", "order.paid"),
        ("o-2", "s-2", "order.paid"),
        ("o-3", "s-1", "stop_ship"),
        ("o-3", "s-1", "order.paid"),
    ):
        await happen(market, order_id, shop=shop, kind=kind)
    queue = PostgresDeliveryQueue(market.pool)
    assert [await queue.fan_out(NOW, 3), await queue.fan_out(NOW, 3), await queue.fan_out(NOW, 3)] == [3, 1, 0]
    expected = [
        (1, 2, "pending"),
        (2, 3, "pending"),
        (3, 3, "pending"),
        (3, 4, "pending"),
        *((4, position, "pending") for position in (1, 2, 3, 4)),
    ]
    assert await deliveries(market) == expected
    orders: list[tuple[int, str, object, bool]] = [
        (1, "o-2", NOW, False),
        (2, "o-3", NOW, False),
        (3, "o-3", NOW, False),
        *((4, order_id, None, False) for order_id in ("o-1", "o-2", "o-3")),
    ]
    assert await waiting(market) == orders
    await execute(market, "UPDATE webhook_cursor SET position = 1")
    assert await queue.fan_out(NOW + HOUR) == 3, "as after a worker that was stopped: nothing is queued twice"
    assert (await deliveries(market), await waiting(market)) == (expected, orders)
    await happen(market, "o-1")
    assert await queue.fan_out(NOW) == 1


async def test_what_was_delivered_and_deleted_long_ago_is_not_queued_again(market: Market) -> None:
    queue = await queued(market, "o-1", "o-2")
    await execute(market, "DELETE FROM webhook_delivery")
    await execute(market, "DELETE FROM webhook_queue")
    await happen(market, "o-3")
    assert await queue.fan_out(NOW) == 1
    assert await deliveries(market) == [(1, 3, "pending"), (2, 3, "pending")]
    assert [row[:2] for row in await waiting(market)] == [(1, "o-3"), (2, "o-3")]


# Claiming ----------------------------------------------------------------------------------------------------------


async def test_of_each_order_and_endpoint_the_next_event_that_waits_is_claimed_once(market: Market) -> None:
    queue = await queued(market, "o-1", "o-1", "o-2", "o-1")
    await happen(market, "o-3", buyer="b-2")
    await queue.fan_out(NOW)
    done = "UPDATE webhook_delivery SET state = 'delivered', closed_at = %s WHERE endpoint_id = %s AND position = 1"
    await execute(market, done, NOW, ONE)
    await execute(market, "UPDATE webhook_delivery SET tries = 0 WHERE position = 2")  # its row lies behind later ones
    assert shown(await claim(queue)) == [(1, "o-1", 2), (1, "o-2", 3), (1, "o-3", 5), (2, "o-1", 1), (2, "o-2", 3),
                                         (2, "o-3", 5)]  # fmt: skip
    assert await claim(queue) == []
    assert {row[2:] for row in await waiting(market)} == {(LEASE, True)}


async def test_the_order_that_is_due_longest_is_claimed_first_when_it_is_due_and_alone(market: Market) -> None:
    queue = await queued(market, "o-1", "o-2", "o-3")
    for order_id, due in (("o-1", NOW + MOMENT), ("o-2", NOW), ("o-3", NOW - HOUR)):
        await execute(market, "UPDATE webhook_queue SET due_at = %s WHERE order_id = %s", due, order_id)
    found = [shown(await claim(queue, limit=1, taken={TWO: 9})) for _ in range(3)]
    assert found == [[(1, "o-3", 3)], [(1, "o-2", 2)], []]
    assert [row[3] for row in await waiting(market)] == [False, True, True, False, False, False]
    assert shown(await claim(queue, now=NOW + MOMENT, taken={TWO: 9})) == [(1, "o-1", 1)]


async def test_what_is_due_is_found_among_lanes_where_nothing_is(market: Market) -> None:
    """A claim looks into 32 lanes, of those that have something due."""
    queue = await queued(market, "o-1")
    await execute(
        market,
        "INSERT INTO webhook_queue (lane, endpoint_id, order_id, due_at)"
        " SELECT lane, %s, 'o-2', %s FROM generate_series(0, 255) AS l (lane)",
        ONE, NOW + MOMENT,
    )  # fmt: skip
    assert shown(await claim(queue, taken={TWO: 9})) == [(1, "o-1", 1)]


async def test_what_is_due_at_a_paused_endpoint_is_not_claimed_though_another_is_active(market: Market) -> None:
    queue = await queued(market, "o-1")
    await execute(
        market, "UPDATE webhook_endpoint SET state = 'paused', paused_because = 'x' WHERE endpoint_id = %s", ONE
    )
    assert shown(await claim(queue)) == [(2, "o-1", 1)]
    assert await waiting(market) == [(1, "o-1", NOW, False), (2, "o-1", LEASE, True)]


async def test_a_claimed_order_without_an_event_leaves_the_queue_and_no_other_does(market: Market) -> None:
    queue = await queued(market, "o-1", "o-2", "o-3")
    await execute(
        market,
        "UPDATE webhook_delivery SET state = 'delivered', closed_at = %s WHERE endpoint_id = %s AND position >= 2",
        NOW, ONE,
    )  # fmt: skip
    await execute(market, "UPDATE webhook_queue SET due_at = NULL WHERE endpoint_id = %s AND order_id = 'o-3'", ONE)
    assert shown(await claim(queue)) == [(1, "o-1", 1), (2, "o-1", 1), (2, "o-2", 2), (2, "o-3", 3)]
    assert await waiting(market) == [
        (1, "o-1", LEASE, True),
        (1, "o-3", None, False),
        *((2, order_id, LEASE, True) for order_id in ("o-1", "o-2", "o-3")),
    ]


async def test_an_order_that_another_claims_at_this_moment_is_passed_over(market: Market) -> None:
    queue = await queued(market, "o-1", "o-2")
    async with market.pool.connection() as holding:
        await holding.execute("SELECT 1 FROM webhook_queue WHERE order_id = 'o-1' FOR UPDATE")
        async with asyncio.timeout(20):
            assert shown(await claim(queue)) == [(1, "o-2", 2), (2, "o-2", 2)]


async def test_two_who_claim_at_once_have_an_order_once(market: Market, database_url: str) -> None:
    queue = await queued(market, "o-1")
    async with another(database_url) as holding:
        await holding.execute("LOCK TABLE webhook_queue IN EXCLUSIVE MODE")  # both look, and neither claims yet
        claiming = [asyncio.create_task(claim(queue)) for _ in range(2)]
        assert await wait_for_a_lock(database_url, *claiming)
        await holding.commit()
    found = [one for claimed in await asyncio.gather(*claiming) for one in claimed]
    assert sorted(shown(found)) == [(1, "o-1", 1), (2, "o-1", 1)]


async def test_an_endpoints_events_are_signed_with_its_own_secrets_that_have_not_ended(market: Market) -> None:
    queue = await queued(market, "o-1")
    for endpoint_id, secret, ends in (
        (ONE, "lasting", None),
        (ONE, "ended", NOW),
        (ONE, "newest", NOW + MOMENT),
        (TWO, "another's", None),
    ):
        await execute(
            market,
            "INSERT INTO webhook_secret (endpoint_id, encrypted, created_at, ends_at) VALUES (%s, %s, %s, %s)",
            endpoint_id, secret, NOW, ends,
        )  # fmt: skip
    await execute(market, "UPDATE webhook_secret SET encrypted = encrypted WHERE encrypted = 'newest'")
    await execute(market, "UPDATE webhook_secret SET encrypted = encrypted WHERE encrypted = 'lasting'")
    assert [one.encrypted for one in await claim(queue)] == [("newest", "lasting"), ("another's",)]
    assert await queue.purge(NOW, NOW) == 0
    left = await execute(market, "SELECT encrypted FROM webhook_secret ORDER BY 1")
    assert left == [("another's",), ("lasting",), ("newest",)]
    await queue.purge(NOW, NOW + MOMENT)
    assert await execute(market, "SELECT encrypted FROM webhook_secret ORDER BY 1") == [("another's",), ("lasting",)]


# Closing -----------------------------------------------------------------------------------------------------------


async def test_an_attempt_is_of_one_event_of_one_order_at_one_endpoint(market: Market) -> None:
    """Both orders of an endpoint were claimed together."""
    queue = await queued(market, "o-1", "o-1", "o-2")
    first, second, *_ = await claim(queue)
    assert first.claim_id == second.claim_id
    await queue.close(first, Attempted(DELIVERED, NOW, NOW + 2 * HOUR, 204))
    states = ["delivered", *["pending"] * 5]
    assert [row[2] for row in await deliveries(market)] == states
    held = [(1, "o-2", LEASE, True), (2, "o-1", LEASE, True), (2, "o-2", LEASE, True)]
    assert await waiting(market) == [(1, "o-1", NOW + 2 * HOUR, False), *held]
    await queue.close(second, Attempted(DELIVERED, NOW, NOW, 204))
    states[2] = "delivered"
    assert [row[2] for row in await deliveries(market)] == states
    assert await waiting(market) == [(1, "o-1", NOW + 2 * HOUR, False), *held[1:]], "it leaves with its last event"
    await queue.close(replace(second, position=2, order_id="o-1"), Attempted(DEAD, NOW, NOW, 500))
    assert [row[2] for row in await deliveries(market)] == states, "nobody has that order now"


async def test_an_order_that_another_has_by_now_is_left_to_it(market: Market) -> None:
    queue = await queued(market, "o-1", "o-2")
    first, *_ = await claim(queue)
    await execute(
        market, "UPDATE webhook_queue SET claim_id = %s WHERE endpoint_id = %s AND order_id = 'o-1'", TWO, ONE
    )
    before = await waiting(market)
    await queue.put_back(first, NOW)
    await queue.close(first, Attempted(DEAD, NOW, NOW, 500))
    assert (await waiting(market), {row[2] for row in await deliveries(market)}) == (before, {"pending"})
    await queue.close(first, Attempted(DELIVERED, NOW, NOW, 204))
    await queue.close(first, Attempted(DELIVERED, NOW + HOUR, NOW, 205))
    found = await execute(market, "SELECT tries, status, closed_at FROM webhook_delivery WHERE state = 'delivered'")
    assert found == [(1, 204, NOW)]


async def test_whoever_closes_waits_for_the_order_and_for_none_beside_it(market: Market, database_url: str) -> None:
    queue = await queued(market, "o-1", "o-2")
    first, *_ = await claim(queue)
    for order_id, waits in (("o-2", False), ("o-1", True)):
        async with market.pool.connection() as holding:
            others = "SELECT 1 FROM webhook_queue WHERE order_id = %s OR endpoint_id = %s FOR UPDATE"
            await holding.execute(others.encode(), (order_id, TWO))
            closing = asyncio.create_task(queue.put_back(first, LEASE))
            assert await wait_for_a_lock(database_url, closing) is waits
        await closing


# Health and age ----------------------------------------------------------------------------------------------------


async def test_what_was_seen_of_an_endpoint_is_noted_for_it_and_goes_forward_only(market: Market) -> None:
    queue = await queued(market)
    before = await execute(market, "SELECT to_jsonb(e) FROM webhook_endpoint e WHERE endpoint_id = %s", TWO)
    seen = EndpointHealth(success_at=NOW, failure_at=NOW, failure="500", failing_since=NOW)
    await queue.note_health({ONE: seen})
    await queue.note_health({ONE: replace(seen, success_at=NOW - HOUR, failure_at=NOW - HOUR)})
    read = "SELECT last_success_at, last_failure_at, failing_since FROM webhook_endpoint WHERE endpoint_id = %s"
    assert await execute(market, read, ONE) == [(NOW, NOW, NOW)]
    assert await execute(market, "SELECT to_jsonb(e) FROM webhook_endpoint e WHERE endpoint_id = %s", TWO) == before
    await queue.note_health({TWO: replace(seen, failing_since=NOW + MOMENT)})
    assert [one.endpoint_id for one in await queue.failing_endpoints(NOW)] == [ONE]
    await execute(
        market, "UPDATE webhook_endpoint SET state = 'paused', paused_because = 'x' WHERE endpoint_id = %s", ONE
    )
    assert [one.endpoint_id for one in await queue.failing_endpoints(NOW + MOMENT)] == [TWO]


async def close_all(market: Market, at: datetime) -> None:
    await execute(market, "UPDATE webhook_delivery SET state = 'delivered', closed_at = %s", at)


async def test_deliveries_are_deleted_a_part_at_a_time_once_they_are_old(market: Market) -> None:
    queue = await queued(market, "o-1", "o-2")
    await close_all(market, NOW)
    await execute(market, "UPDATE webhook_delivery SET closed_at = %s WHERE position = 2", NOW - MOMENT)
    left = []
    for _ in range(3):
        left.append((await queue.purge(NOW, NOW, limit=1), len(await deliveries(market))))
    assert left == [(1, 3), (1, 2), (0, 2)]
    await execute(market, "UPDATE webhook_delivery SET closed_at = %s WHERE endpoint_id = %s", NOW - HOUR, ONE)
    await queued_more(market, queue)
    assert await queue.purge(NOW, NOW, limit=1) == 1


async def queued_more(market: Market, queue: PostgresDeliveryQueue) -> None:
    for _ in range(3):
        await happen(market, "o-3")
    await queue.fan_out(NOW)
    await close_all(market, NOW - HOUR)


async def test_an_event_that_is_sent_again_while_old_ones_are_deleted_stays(market: Market, database_url: str) -> None:
    queue = await queued(market, "o-1")
    await close_all(market, NOW - HOUR)
    async with market.pool.connection() as sending:
        again = "UPDATE webhook_delivery SET state = 'pending', closed_at = NULL WHERE endpoint_id = %s"
        await sending.execute(again.encode(), (ONE,))
        purging = asyncio.create_task(queue.purge(NOW, NOW))
        assert await wait_for_a_lock(database_url, purging)
        await sending.commit()
    assert await purging == 1
    assert await deliveries(market) == [(1, 1, "pending")]


@pytest.mark.parametrize("count", [2, 3])
async def test_an_order_with_several_new_events_is_queued_once(market: Market, count: int) -> None:
    queue = await queued(market, *["o-1"] * count)
    assert await waiting(market) == [(1, "o-1", NOW, False), (2, "o-1", NOW, False)]
    await claim(queue)
    await happen(market, "o-1")
    await queue.fan_out(NOW + HOUR)
    assert {row[2:] for row in await waiting(market)} == {(LEASE, True)}, "whoever has it keeps it until then"
