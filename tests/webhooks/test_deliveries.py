"""Deliveries on a real database to a real receiver: in order, none lost, each of them found again."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from cryptography.fernet import Fernet

from jitui.aftersales.changes import OutgoingEventKind
from jitui.aftersales.cloud_events import event_json
from jitui.aftersales.model.task import TaskKind, TaskState
from jitui.encryption import new_key
from jitui.webhooks.dispatcher import PLACES_OF_AN_ENDPOINT
from jitui.webhooks.endpoints import (
    MOST_ENDPOINTS,
    NewEndpoint,
    create_endpoint,
    decrypted,
    renew_secrets,
    rotate_secret,
)
from jitui.webhooks.model import Attempted, DeliveryState, EndpointChange, EndpointState, Redelivery
from tests.webhooks.receiver import Arrived, Receiver, receiving, until
from tests.webhooks.world import RULES, World, half_of_the_time


async def in_order(world: World, receiver: Receiver, orders: Sequence[str], count: int) -> None:
    """Every event of every order was taken, the first time in its order, and one at a time."""
    feed = await world.market.feed.events(0, 10_000)
    for order_id in orders:
        told = [event.position for event in feed if event.order_id == order_id]
        assert len(told) == count
        assert receiver.of_order(order_id) == told
    assert set(receiver.at_once.values()) <= {1}


# What is sent ------------------------------------------------------------------------------------------------------


async def test_what_happens_arrives_signed_and_as_the_feed_has_it(world: World) -> None:
    async with receiving() as receiver:
        made = await world.endpoint(receiver.url)
        buyer = await world.market.premium_buyer("b-1")
        await world.market.paid_order(buyer, "o-1")
        ticket = await world.market.asked(buyer, "o-1")
        assert await world.sent() == 4
        assert await world.sent() == 0
    feed = await world.market.feed.events(0, 100)
    assert [one.kind for one in receiver.arrived] == ["order.paid", "ticket.requested", "ticket.approved", "stop_ship"]
    assert [one.body for one in receiver.arrived] == [event_json(event, for_platform=True) for event in feed]
    assert [event["data"]["ticket_id"] for event in receiver.verified(made.secret)][1:] == [str(ticket.ticket_id)] * 3
    assert {one.headers["user-agent"] for one in receiver.arrived} == {"Jitui/tests"}
    (_, *_, last) = await world.deliveries(made.endpoint.endpoint_id)
    assert (last.state, last.tries, last.status, last.failure) == (DeliveryState.DELIVERED, 1, 204, "")
    assert last.closed_at == last.tried_at == world.now()
    assert last.event.event_id == receiver.arrived[-1].event_id
    assert await world.waiting() == 0


async def test_an_endpoint_gets_its_shops_events_of_its_kinds(world: World) -> None:
    async with receiving() as everything, receiving() as own, receiving() as some:
        await world.endpoint(everything.url)
        await world.endpoint(own.url, shop_id="shop-2")
        await world.endpoint(some.url, kinds=[OutgoingEventKind.STOP_SHIP, OutgoingEventKind.TICKET_REFUNDED])
        await world.happen("o-1", shop_id="shop-1")
        await world.happen("o-2", shop_id="shop-2")
        await world.happen("o-1", shop_id="shop-1", kind="stop_ship")
        await world.sent()
    assert [one.order_id for one in own.arrived] == ["o-2"]
    assert [(one.order_id, one.kind) for one in some.arrived] == [("o-1", "stop_ship")]
    assert sorted(one.order_id for one in everything.arrived) == ["o-1", "o-1", "o-2"]


async def test_an_endpoint_gets_what_happens_after_it_was_created(world: World) -> None:
    await world.happen("o-1", 3)
    async with receiving() as receiver, receiving() as second:
        await world.endpoint(receiver.url)
        await world.happen("o-1")
        await world.endpoint(second.url)
        await world.happen("o-1")
        await world.sent()
    assert [int(one.event["sequence"]) for one in receiver.arrived] == [4, 5]
    assert [int(one.event["sequence"]) for one in second.arrived] == [5]


async def test_where_nobody_listens_nothing_is_queued_and_a_later_endpoint_begins_at_the_end(world: World) -> None:
    await world.happen("o-1", 3)
    assert not await world.dispatcher().fan_out()
    async with receiving() as receiver:
        await world.endpoint(receiver.url)
        assert await world.rows("SELECT position FROM webhook_cursor") == [(3,)]


async def test_a_long_feed_is_queued_in_parts(world: World) -> None:
    async with receiving() as receiver:
        made = await world.endpoint(receiver.url)
        await world.happen("o-1", 25)
        steps = []
        while step := await world.service.webhooks.queue.fan_out(world.now(), limit=10):
            steps.append((step, len(await world.deliveries(made.endpoint.endpoint_id))))
        assert steps == [(10, 10), (10, 20), (5, 25)]
        await world.sent()
        await in_order(world, receiver, ["o-1"], 25)


async def test_a_changed_endpoint_gets_what_waits_at_its_new_address(world: World) -> None:
    async with receiving(lambda _: 500) as old, receiving() as new:
        made = await world.endpoint(old.url)
        await world.happen("o-1")
        await world.sent()
        change = EndpointChange(url=new.url, kinds=("stop_ship",))
        await world.service.webhooks.endpoints.change(made.endpoint.endpoint_id, change)
        await world.happen("o-2")
        world.now.later(minutes=5)
        await world.sent()
    assert [one.order_id for one in new.arrived] == ["o-1"]
    assert old.arrived[0].event_id == new.arrived[0].event_id


# Order, and nothing lost -------------------------------------------------------------------------------------------


async def test_a_receiver_that_fails_half_of_the_time_gets_everything_in_order(world: World) -> None:
    orders = [f"o-{number}" for number in range(30)]
    async with receiving(half_of_the_time()) as receiver:
        made = await world.endpoint(receiver.url)
        for order_id in orders:
            await world.happen(order_id, 5)
        attempts = await world.until_empty(world.dispatcher())
        await in_order(world, receiver, orders, 5)
        assert attempts == len(receiver.arrived) > 200
        assert len(receiver.taken) == 150, "what was taken is not sent again"
        receiver.verified(made.secret)
    states = [one.state for one in await world.deliveries(made.endpoint.endpoint_id)]
    assert states == [DeliveryState.DELIVERED] * 150


async def test_the_next_event_of_an_order_waits_and_other_orders_go_on(world: World) -> None:
    def answer(one: Arrived) -> int:
        return 500 if one.order_id == "o-1" else 204

    async with receiving(answer) as receiver:
        await world.endpoint(receiver.url)
        await world.happen("o-1", 3)
        await world.happen("o-2", 3)
        await world.sent()
        await world.happen("o-1")
        world.now.later(hours=2)
        await world.sent()
        assert receiver.of_order("o-2") == [4, 5, 6]
        assert {int(one.event["sequence"]) for one in receiver.arrived if one.order_id == "o-1"} == {1}
        receiver.answer = lambda _: 204
        world.now.later(hours=2)
        await world.sent()
        assert receiver.of_order("o-1") == [1, 2, 3, 7]


async def test_one_endpoint_does_not_wait_for_another(world: World) -> None:
    async with receiving(lambda _: 500) as failing, receiving() as good:
        await world.endpoint(failing.url)
        await world.endpoint(good.url)
        await world.happen("o-1", 3)
        await world.sent()
    assert good.of_order("o-1") == [1, 2, 3]


async def test_an_attempt_is_made_when_it_is_due_and_not_before(world: World) -> None:
    async with receiving(lambda _: 500) as receiver:
        made = await world.endpoint(receiver.url)
        await world.happen("o-1")
        for attempts in range(1, 6):
            await world.sent()
            assert len(receiver.arrived) == attempts
            ((due_at,),) = await world.rows("SELECT due_at FROM webhook_queue")
            assert isinstance(due_at, datetime)
            world.now.at = due_at - timedelta(microseconds=1)
            assert await world.sent() == 0
            world.now.at = due_at
        (one,) = await world.deliveries(made.endpoint.endpoint_id)
        assert (one.state, one.tries, one.status, one.failure) == (DeliveryState.PENDING, 5, 500, "It answered 500.")
        assert len({one.event_id for one in receiver.arrived}) == 1


async def test_two_workers_send_each_event_once_and_in_order(world: World) -> None:
    orders = [f"o-{number}" for number in range(20)]
    async with receiving() as receiver:
        await world.endpoint(receiver.url)
        workers = [world.dispatcher() for _ in range(3)]

        async def happening() -> None:
            for _ in range(6):
                for order_id in orders:
                    await world.happen(order_id)

        async def working(number: int) -> None:
            while not done.done() or await world.waiting():
                await world.sent(workers[number])

        done = asyncio.ensure_future(happening())
        await asyncio.gather(done, *(working(number) for number in range(3)))
        for worker in workers:
            await world.sent(worker)
        await in_order(world, receiver, orders, 6)
        assert len(receiver.arrived) == 120


async def test_an_event_that_a_worker_has_is_not_sent_by_another(world: World) -> None:
    async with receiving() as receiver:
        await world.endpoint(receiver.url)
        await world.happen("o-1", 2)
        first, second = world.dispatcher(), world.dispatcher()
        receiver.hold.clear()
        await first.fan_out()
        slow = asyncio.create_task(first.send_due())
        await until(lambda: bool(receiver.arrived))
        assert await second.send_due() == 0, "neither the same event nor the next one of the order"
        receiver.hold.set()
        await slow
        assert receiver.of_order("o-1") == [1, 2] and len(receiver.arrived) == 2


async def test_what_a_dead_worker_had_is_sent_when_its_lease_ends(world: World) -> None:
    async with receiving() as receiver:
        await world.endpoint(receiver.url)
        await world.happen("o-1", 2)
        await world.dispatcher().fan_out()
        (claimed,) = await claim(world)
        assert await world.sent() == 0
        world.now.later(seconds=59)
        assert await world.sent() == 0
        world.now.later(seconds=1)
        assert await world.sent() == 2
        assert receiver.of_order("o-1") == [1, 2]
        assert claimed.position == 1


async def test_a_worker_that_comes_back_late_neither_repeats_nor_holds_up(world: World) -> None:
    """Its success is true; its failure counts for nothing, since another one has the order by then."""
    made = await world.endpoint("http://127.0.0.1:9/")
    endpoint_id = made.endpoint.endpoint_id
    queue, now = world.service.webhooks.queue, world.now
    await world.happen("o-1", 2)
    await world.dispatcher().fan_out()
    (late,) = await claim(world)
    now.later(seconds=60)
    (current,) = await claim(world)
    assert (late.position, current.position) == (1, 1) and late.claim_id != current.claim_id
    await queue.close(late, Attempted(DeliveryState.PENDING, now(), now(), 500, "late"))
    await queue.close(late, Attempted(DeliveryState.DEAD, now(), now(), 500, "late"))
    (first, _) = await world.deliveries(endpoint_id)
    assert (first.state, first.tries) == (DeliveryState.PENDING, 0)
    assert await claim(world) == [], "the order is still the other one's"
    await queue.close(late, Attempted(DeliveryState.DELIVERED, now(), now(), 204))
    (first, _) = await world.deliveries(endpoint_id)
    assert first.state is DeliveryState.DELIVERED
    assert await claim(world) == []
    await queue.close(current, Attempted(DeliveryState.PENDING, now(), now() + timedelta(hours=1), 500, "no"))
    (first, _) = await world.deliveries(endpoint_id)
    assert first.state is DeliveryState.DELIVERED, "what was taken stays taken"
    now.later(hours=1)
    (following,) = await claim(world)
    assert following.position == 2


async def test_an_event_that_is_queued_while_its_order_is_finished_is_not_forgotten(world: World) -> None:
    """Whoever finishes with an order waits for who queues, and sees what was queued."""
    await world.endpoint("http://127.0.0.1:9/")
    now = world.now
    await world.happen("o-1")
    await world.dispatcher().fan_out()
    (claimed,) = await claim(world)
    await world.happen("o-1")
    delivered = Attempted(DeliveryState.DELIVERED, now(), now(), 204)
    async with world.market.pool.connection() as connection:
        await connection.execute("SELECT 1 FROM webhook_cursor FOR UPDATE")  # where queueing ends, it waits
        queueing = asyncio.create_task(world.service.webhooks.queue.fan_out(now()))
        await waits_for_a_lock(world)
        closing = asyncio.create_task(world.service.webhooks.queue.close(claimed, delivered))
        await waits_for_a_lock(world, 2)
    await asyncio.gather(queueing, closing)
    (following,) = await claim(world)
    assert (claimed.position, following.position) == (1, 2)


async def waits_for_a_lock(world: World, count: int = 1) -> None:
    query = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
    async with asyncio.timeout(30):
        while await world.rows(query) != [(count,)]:  # noqa: ASYNC110 - of the database, from outside
            await asyncio.sleep(0.01)


async def test_what_a_full_endpoint_waits_for_hides_nobody_elses(world: World) -> None:
    """All in one lane, and the full one's events came first."""
    full = await world.endpoint("http://127.0.0.1:9/full")
    for number in range(20):
        await world.happen(f"o-{number}", buyer_id="b-1")
    await world.dispatcher().fan_out()
    other = await world.endpoint("http://127.0.0.1:9/other")
    world.now.later(seconds=1)
    await world.happen("o-99", buyer_id="b-1", kind="stop_ship")
    await world.dispatcher().fan_out()
    found = await claim(world, limit=1, taken={full.endpoint.endpoint_id: PLACES_OF_AN_ENDPOINT})
    assert [one.endpoint.endpoint_id for one in found] == [other.endpoint.endpoint_id]


async def test_what_a_dead_worker_had_of_a_paused_endpoint_stays(world: World) -> None:
    made = await world.endpoint("http://127.0.0.1:9/")
    await world.happen("o-1")
    await world.dispatcher().fan_out()
    await claim(world)
    await world.service.webhooks.endpoints.pause(made.endpoint.endpoint_id, "by hand")
    world.now.later(hours=1)
    assert await claim(world) == []
    await world.service.webhooks.endpoints.resume(made.endpoint.endpoint_id, world.now())
    assert len(await claim(world)) == 1


async def test_a_slow_receiver_takes_no_more_than_its_places(world: World) -> None:
    async with receiving() as slow, receiving() as quick:
        slow.hold.clear()
        await world.endpoint(slow.url)
        await world.endpoint(quick.url)
        for number in range(40):
            await world.happen(f"o-{number}")
        stop = asyncio.Event()
        worker = world.dispatcher()
        while await worker.fan_out():
            pass
        running = asyncio.create_task(worker.run(stop))
        await until(lambda: len(quick.taken) == 40)
        assert len(slow.arrived) == PLACES_OF_AN_ENDPOINT
        slow.hold.set()
        await until(lambda: len(slow.taken) == 40)
        stop.set()
        await running


async def test_a_worker_that_is_told_to_stop_finishes_what_is_on_its_way(world: World) -> None:
    async with receiving() as receiver:
        receiver.hold.clear()
        made = await world.endpoint(receiver.url)
        await world.happen("o-1", 2)
        stop, worker = asyncio.Event(), world.dispatcher()
        await worker.fan_out()
        running = asyncio.create_task(worker.run(stop))
        await until(lambda: bool(receiver.arrived))
        stop.set()
        await asyncio.sleep(0.1)
        assert not running.done()
        receiver.hold.set()
        await running
        states = [one.state for one in await world.deliveries(made.endpoint.endpoint_id)]
        assert states == [DeliveryState.DELIVERED, DeliveryState.PENDING]


# Dead letters and redelivery ----------------------------------------------------------------------------------------


async def test_an_event_is_given_up_after_its_time_and_the_next_one_goes(
    world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    def answer(one: Arrived) -> int:
        return 500 if int(one.event["sequence"]) == 1 else 204

    async with receiving(answer) as receiver:
        made = await world.endpoint(receiver.url)
        await world.happen("o-1", 2)
        worker = world.dispatcher()
        began = world.now()
        await world.until_empty(worker)
        assert receiver.of_order("o-1") == [2]
        first, second = await world.deliveries(made.endpoint.endpoint_id)
        assert (first.state, second.state) == (DeliveryState.DEAD, DeliveryState.DELIVERED)
        assert first.closed_at is not None
        assert timedelta(0) <= first.closed_at - began - RULES.dead_after < timedelta(hours=1)
        assert first.tries == len(receiver.arrived) - 1 > 70
        (task,) = await world.tasks()
        assert (task.kind, task.state, task.order_id) == (TaskKind.WEBHOOK_DEAD_LETTER, TaskState.OPEN, "o-1")
        assert task.evidence["url"] == receiver.url and task.evidence["failure"] == "It answered 500."
        assert task.evidence["event_id"] == first.event.event_id
        said = capsys.readouterr().err
        assert said.count("webhook_dead_letter") == 1
        assert receiver.url not in said, "an address may hold a secret"


async def dead(world: World, receiver: Receiver, orders: int = 3) -> NewEndpoint:
    """An endpoint whose first event of each order is dead."""
    made = await world.endpoint(receiver.url)
    for number in range(orders):
        await world.happen(f"o-{number}")
    receiver.answer = lambda _: 500
    await world.until_empty(world.dispatcher())
    assert {one.state for one in await world.deliveries(made.endpoint.endpoint_id)} == {DeliveryState.DEAD}
    receiver.answer = lambda _: 204
    receiver.arrived.clear()
    return made


async def test_many_dead_letters_of_a_day_are_one_task(world: World) -> None:
    async with receiving() as receiver:
        await dead(world, receiver, 5)
        assert [task.kind for task in await world.tasks()] == [TaskKind.WEBHOOK_DEAD_LETTER]


async def test_one_dead_letter_is_sent_again_on_demand(world: World) -> None:
    async with receiving() as receiver:
        made = await dead(world, receiver)
        _, wanted, _ = await world.deliveries(made.endpoint.endpoint_id)
        endpoints = world.service.webhooks.endpoints
        assert await endpoints.redeliver(made.endpoint.endpoint_id, named(wanted.event.event_id), world.now()) == 1
        assert await world.sent() == 1
        assert [one.event_id for one in receiver.arrived] == [wanted.event.event_id]
        states = [one.state for one in await world.deliveries(made.endpoint.endpoint_id)]
        assert states == [DeliveryState.DEAD, DeliveryState.DELIVERED, DeliveryState.DEAD]
        assert await endpoints.redeliver(made.endpoint.endpoint_id, named("evt_999"), world.now()) == 0


async def test_what_was_delivered_is_sent_again_only_when_it_is_named_or_wanted(world: World) -> None:
    async with receiving() as receiver:
        made = await world.endpoint(receiver.url)
        endpoint_id, endpoints = made.endpoint.endpoint_id, world.service.webhooks.endpoints
        await world.happen("o-1", 2)
        await world.sent()
        since = world.now()
        world.now.later(hours=1)
        await world.happen("o-2")
        await world.sent()
        assert await endpoints.redeliver(endpoint_id, Redelivery(since=since), world.now()) == 0
        assert await endpoints.redeliver(endpoint_id, Redelivery(since=world.now(), delivered=True), world.now()) == 1
        assert await world.sent() == 1
        assert await endpoints.redeliver(endpoint_id, Redelivery(since=since, delivered=True), world.now()) == 3
        assert await world.sent() == 3
        assert await endpoints.redeliver(endpoint_id, named(receiver.arrived[0].event_id), world.now()) == 1
        assert await world.sent() == 1
        assert [int(one.event["sequence"]) for one in receiver.arrived[-1:]] == [1]
        again = [int(one.event["sequence"]) for one in receiver.arrived if one.order_id == "o-1"]
        assert again == [1, 2, 1, 2, 1], "in order, however often"


async def test_all_dead_letters_since_a_time_are_sent_again_and_have_all_their_time_anew(world: World) -> None:
    async with receiving() as receiver:
        made = await dead(world, receiver)
        since = world.now()
        await world.happen("o-9")
        receiver.answer = lambda _: 500
        await world.until_empty(world.dispatcher())
        endpoint_id, endpoints = made.endpoint.endpoint_id, world.service.webhooks.endpoints
        assert await endpoints.redeliver(endpoint_id, Redelivery(since=since), world.now()) == 1
        assert await endpoints.redeliver(endpoint_id, Redelivery(since=since - timedelta(days=30)), world.now()) == 3
        receiver.arrived.clear()
        await world.sent()
        assert {one.state for one in await world.deliveries(endpoint_id)} == {DeliveryState.PENDING}
        world.now.later(hours=71)
        await world.sent()
        receiver.answer = lambda _: 204
        world.now.later(hours=2)
        await world.sent()
        assert {one.state for one in await world.deliveries(endpoint_id)} == {DeliveryState.DELIVERED}


async def test_a_redelivery_does_not_take_an_order_from_the_worker_that_has_it(world: World) -> None:
    made = await world.endpoint("http://127.0.0.1:9/")
    await world.happen("o-1", 2)
    await world.dispatcher().fan_out()
    await claim(world)
    endpoints = world.service.webhooks.endpoints
    _, second = await world.deliveries(made.endpoint.endpoint_id)
    await endpoints.redeliver(made.endpoint.endpoint_id, named(second.event.event_id), world.now())
    await endpoints.pause(made.endpoint.endpoint_id, "by hand")
    await endpoints.resume(made.endpoint.endpoint_id, world.now())
    assert await claim(world) == []
    world.now.later(seconds=60)
    assert [one.position for one in await claim(world)] == [1]


async def test_the_text_of_an_event_that_is_gone_is_a_dead_letter(world: World) -> None:
    async with receiving() as receiver:
        await world.endpoint(receiver.url)
        await world.happen("o-1")
        await world.dispatcher().fan_out()
        await world.rows("WITH gone AS (DELETE FROM change RETURNING 1) SELECT count(*) FROM gone")
        await world.sent()
        assert receiver.arrived == []
        assert await world.rows("SELECT state, failure FROM webhook_delivery") == [
            ("dead", "The event is not kept any more.")
        ]
        assert [task.kind for task in await world.tasks()] == [TaskKind.WEBHOOK_DEAD_LETTER]


# Pausing -----------------------------------------------------------------------------------------------------------


async def test_a_paused_endpoint_gets_nothing_and_loses_nothing(world: World) -> None:
    async with receiving() as receiver:
        made = await world.endpoint(receiver.url)
        endpoint_id, endpoints = made.endpoint.endpoint_id, world.service.webhooks.endpoints
        await world.happen("o-1")
        await world.dispatcher().fan_out()
        assert await endpoints.pause(endpoint_id, "we move")
        assert not await endpoints.pause(endpoint_id, "again")
        await world.happen("o-1", 2)
        await world.happen("o-2")
        world.now.later(days=9)
        assert await world.sent() == 0 and receiver.arrived == []
        assert await world.rows("SELECT count(*) FROM webhook_queue WHERE due_at IS NOT NULL") == [(0,)]
        assert (await world.stands(endpoint_id)).paused_because == "we move"
        assert await endpoints.resume(endpoint_id, world.now())
        assert not await endpoints.resume(endpoint_id, world.now())
        assert await world.sent() == 4
        assert receiver.of_order("o-1") == [1, 2, 3] and receiver.of_order("o-2") == [4]


async def test_an_endpoint_that_is_paused_while_an_event_is_on_its_way_gets_no_other(world: World) -> None:
    made = await world.endpoint("http://127.0.0.1:9/")
    endpoint_id, endpoints = made.endpoint.endpoint_id, world.service.webhooks.endpoints
    await world.happen("o-1", 2)
    await world.dispatcher().fan_out()
    (claimed,) = await claim(world)
    await endpoints.pause(endpoint_id, "by hand")
    await world.service.webhooks.queue.close(claimed, Attempted(DeliveryState.DELIVERED, world.now(), world.now(), 204))
    assert await world.rows("SELECT due_at, claim_id FROM webhook_queue") == [(None, None)]
    await endpoints.resume(endpoint_id, world.now())
    assert [one.position for one in await claim(world)] == [2]


async def test_an_endpoint_that_fails_for_days_is_paused_with_a_task(world: World) -> None:
    async with receiving(lambda _: 500) as receiver:
        made = await world.endpoint(receiver.url)
        endpoint_id = made.endpoint.endpoint_id
        worker = world.dispatcher()
        await world.happen("o-1")
        await world.sent(worker)
        assert (await world.stands(endpoint_id)).failing_since == world.now()
        began = world.now()
        world.now.at = began + RULES.pause_after - timedelta(microseconds=1)
        await world.happen("o-2")
        await world.sent(worker)
        await worker.look_after()
        assert (await world.stands(endpoint_id)).state is EndpointState.ACTIVE
        world.now.at = began + RULES.pause_after
        await worker.look_after()
        assert await world.service.webhooks.queue.failing_endpoints(world.now()) == []
        stands = await world.stands(endpoint_id)
        assert stands.state is EndpointState.PAUSED
        assert stands.paused_because == "It has not taken a single event for 120 hours: It answered 500."
        (task,) = [task for task in await world.tasks() if task.kind is TaskKind.WEBHOOK_ENDPOINT_PAUSED]
        assert task.evidence["endpoint"] == str(endpoint_id) and task.evidence["url"] == receiver.url
        await world.service.webhooks.endpoints.resume(endpoint_id, world.now())
        assert (await world.stands(endpoint_id)).failing_since is None
        await worker.look_after()
        assert (await world.stands(endpoint_id)).state is EndpointState.ACTIVE


async def test_an_endpoint_that_takes_an_event_now_and_then_is_not_paused(world: World) -> None:
    async with receiving(half_of_the_time()) as receiver:
        made = await world.endpoint(receiver.url)
        worker = world.dispatcher()
        for day in range(8):
            await world.happen(f"o-{day}", 4)
            for _ in range(8):
                await world.sent(worker)
                world.now.later(hours=3)
            await worker.look_after()
        stands = await world.stands(made.endpoint.endpoint_id)
        assert stands.state is EndpointState.ACTIVE
        assert stands.last_success_at is not None and stands.last_failure.startswith("It answered")


async def test_an_endpoint_that_says_it_is_gone_is_paused_at_once(world: World) -> None:
    async with receiving(lambda _: 410) as receiver:
        made = await world.endpoint(receiver.url)
        for number in range(3):
            await world.happen(f"o-{number}", 2)
        await world.sent()
        arrived = len(receiver.arrived)
        stands = await world.stands(made.endpoint.endpoint_id)
        assert (stands.state, stands.paused_because) == (EndpointState.PAUSED, "It answered 410: it is gone for good.")
        assert [task.kind for task in await world.tasks()] == [TaskKind.WEBHOOK_ENDPOINT_PAUSED]
        world.now.later(hours=5)
        assert await world.sent() == 0 and len(receiver.arrived) == arrived <= 3
        receiver.answer = lambda _: 204
        await world.service.webhooks.endpoints.resume(made.endpoint.endpoint_id, world.now())
        await world.sent()
        assert [receiver.of_order(f"o-{number}") for number in range(3)] == [[1, 2], [3, 4], [5, 6]]


# Secrets -----------------------------------------------------------------------------------------------------------


async def test_while_secrets_overlap_both_sign_and_then_the_new_one_alone(world: World) -> None:
    async with receiving() as receiver:
        made = await world.endpoint(receiver.url)
        endpoint_id, keeping = made.endpoint.endpoint_id, world.service.webhook_keeping
        overlap = timedelta(hours=24)
        rotated = await rotate_secret(keeping, endpoint_id, overlap=overlap, now=world.now())
        assert isinstance(rotated, NewEndpoint) and rotated.secret != made.secret
        counts = []
        for moment in (timedelta(0), overlap - timedelta(microseconds=1), overlap):
            world.now.at = made.endpoint.created_at + moment
            await world.happen("o-1")
            await world.sent()
            counts.append(len(receiver.arrived[-1].headers["webhook-signature"].split(" ")))
        assert counts == [2, 2, 1]
        again = await rotate_secret(keeping, endpoint_id, overlap=timedelta(0), now=world.now())
        assert isinstance(again, NewEndpoint)
        await world.happen("o-1")
        await world.sent()
        assert len(receiver.arrived[-1].headers["webhook-signature"].split(" ")) == 1
        assert await world.service.webhooks.queue.purge(made.endpoint.created_at, world.now()) == 0
        assert await world.rows("SELECT count(*) FROM webhook_secret") == [(1,)]


async def test_no_secret_is_stored_as_it_is(world: World) -> None:
    made = await world.endpoint("http://127.0.0.1:9/")
    ((stored,),) = await world.rows("SELECT encrypted FROM webhook_secret")
    assert made.secret not in str(stored) and made.secret.removeprefix("whsec_") not in str(stored)
    assert decrypted(world.service.encryption, made.endpoint.endpoint_id, str(stored)) == made.secret
    ((everything,),) = await world.rows(
        "SELECT string_agg(e::text, '') || string_agg(s::text, '') FROM webhook_endpoint e, webhook_secret s"
    )
    assert made.secret not in str(everything)


async def test_a_secret_from_before_it_carried_its_endpoint_signs_on_and_gets_its_endpoint(world: World) -> None:
    async with receiving() as receiver:
        made = await world.endpoint(receiver.url)
        unbound = Fernet(world.service.settings.encryption_keys()[0]).encrypt(made.secret.encode()).decode()
        await world.rows(f"UPDATE webhook_secret SET encrypted = '{unbound}' RETURNING 1")
        await world.happen("o-1")
        assert await world.sent() == 1
        receiver.verified(made.secret)
        assert await renew_secrets(world.service.webhooks.endpoints, world.service.encryption) == 1
        ((stored,),) = await world.rows("SELECT encrypted FROM webhook_secret")
        assert stored != unbound
        await world.happen("o-2")
        assert await world.sent() == 1
        receiver.verified(made.secret)


async def test_a_secret_that_was_moved_to_another_endpoint_signs_nothing(world: World) -> None:
    async with receiving() as receiver:
        await world.endpoint(receiver.url)
        other = await world.endpoint("http://127.0.0.1:9/")
        await world.rows(
            "UPDATE webhook_secret SET encrypted = (SELECT encrypted FROM webhook_secret "
            f"WHERE endpoint_id = '{other.endpoint.endpoint_id}') RETURNING 1"
        )
        await world.happen("o-1")
        await world.sent()
        assert receiver.arrived == []


async def test_a_new_encryption_key_takes_over(world: World) -> None:
    async with receiving() as receiver:
        made = await world.endpoint(receiver.url)
        old, new = world.service.settings.encryption_keys()[0], new_key()
        both = world.with_keys(new, old)
        assert await renew_secrets(both.webhooks.endpoints, both.encryption) == 1
        assert await renew_secrets(both.webhooks.endpoints, both.encryption) == 0
        only_new = world.with_keys(new)
        await world.happen("o-1")
        assert await world.sent(world.dispatcher(service=only_new)) == 1
        receiver.verified(made.secret)


async def test_where_the_key_is_missing_events_wait_and_the_receiver_is_not_blamed(
    world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    async with receiving() as receiver:
        made = await world.endpoint(receiver.url)
        await world.happen("o-1")
        worker = world.dispatcher(service=world.with_keys(new_key()))
        for _ in range(3):
            await world.sent(worker)
            world.now.later(hours=40)
        (one,) = await world.deliveries(made.endpoint.endpoint_id)
        assert (one.state, one.tries) == (DeliveryState.PENDING, 0)
        assert (await world.stands(made.endpoint.endpoint_id)).failing_since is None
        assert capsys.readouterr().err.count("webhook_secret_unreadable") == 1
        assert await world.sent() == 1 and len(receiver.taken) == 1


# Trouble is said ---------------------------------------------------------------------------------------------------


async def test_trouble_is_said_when_it_begins_and_when_it_ends(
    world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    async with receiving(lambda _: 500) as receiver:
        await world.endpoint(receiver.url)
        worker = world.dispatcher()
        for number in range(5):
            await world.happen(f"o-{number}")
        for _ in range(4):
            await world.sent(worker)
            world.now.later(hours=1)
        receiver.answer = lambda _: 204
        await world.sent(worker)
    said = capsys.readouterr().err
    assert said.count("webhook_endpoint_failing") == 1 and said.count("webhook_endpoint_recovered") == 1
    assert "It answered 500." in said and "whsec_" not in said


async def test_a_fault_of_one_delivery_leaves_it_to_its_lease(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    class Broken:
        async def send(self, url: str, headers: Any, body: bytes) -> Any:
            raise RuntimeError("broken")

    async with receiving() as receiver:
        await world.endpoint(receiver.url)
        await world.happen("o-1")
        assert await world.sent(world.dispatcher(sender=Broken())) == 1
        assert "webhook_not_recorded" in capsys.readouterr().err
        world.now.later(seconds=60)
        assert await world.sent() == 1 and len(receiver.taken) == 1


# Rows --------------------------------------------------------------------------------------------------------------


async def test_what_was_closed_long_ago_is_forgotten(world: World) -> None:
    async with receiving() as receiver:
        made = await world.endpoint(receiver.url)
        await world.happen("o-1")
        await world.sent()
        closed_at = world.now()
        receiver.answer = lambda _: 500
        await world.happen("o-2")
        await world.sent()
        queue = world.service.webhooks.queue
        assert await queue.purge(closed_at, world.now()) == 0
        assert await queue.purge(closed_at + timedelta(microseconds=1), world.now()) == 1
        assert [one.event.order_id for one in await world.deliveries(made.endpoint.endpoint_id)] == ["o-2"]


async def test_a_deleted_endpoint_leaves_nothing(world: World) -> None:
    async with receiving() as receiver, receiving() as other:
        made = await world.endpoint(receiver.url)
        await world.endpoint(other.url)
        await world.happen("o-1", 2)
        await world.dispatcher().fan_out()
        endpoints = world.service.webhooks.endpoints
        assert await endpoints.delete(made.endpoint.endpoint_id)
        assert not await endpoints.delete(made.endpoint.endpoint_id)
        await world.sent()
        assert receiver.arrived == [] and len(other.arrived) == 2
        for table in ("webhook_secret", "webhook_delivery", "webhook_endpoint"):
            mine = f"SELECT count(*) FROM {table} WHERE endpoint_id = '{made.endpoint.endpoint_id}'"
            assert await world.rows(mine) == [(0,)]


async def test_an_owner_has_an_address_once_and_not_too_many(world: World) -> None:
    keeping = world.service.webhook_keeping

    async def created(url: str, shop_id: str = "") -> str:
        made = await create_endpoint(
            keeping, shop_id=shop_id, url=url, description="", kinds=(), by="tests", now=world.now()
        )
        return "created" if isinstance(made, NewEndpoint) else made.code.value

    many = await asyncio.gather(*(created(f"https://shop.example/{number % 15}") for number in range(30)))
    assert (many.count("created"), many.count("webhook-endpoint-exists")) == (15, 15)
    more = await asyncio.gather(*(created(f"https://shop.example/more/{number}") for number in range(10)))
    assert more.count("created") == MOST_ENDPOINTS - 15 and more.count("too-many-webhook-endpoints") == 15 - 10
    assert await created("https://shop.example/0", "shop-1") == "created"


async def test_the_backlog_says_what_waits_and_what_was_given_up(world: World) -> None:
    endpoints = world.service.webhooks.endpoints
    nothing = await endpoints.backlog()
    assert (nothing.pending, nothing.dead, nothing.oldest_pending_at, nothing.paused_endpoints) == (0, 0, None, 0)
    async with receiving() as receiver:
        made = await dead(world, receiver, 2)
        began = world.now()
        await world.happen("o-1", 3)
        await world.dispatcher().fan_out()
        world.now.later(hours=1)
        await endpoints.pause(made.endpoint.endpoint_id, "by hand")
        backlog = await endpoints.backlog()
    assert (backlog.pending, backlog.dead, backlog.oldest_pending_at, backlog.paused_endpoints) == (3, 2, began, 1)


def named(event_id: str) -> Redelivery:
    found = Redelivery.of_event(event_id)
    assert found is not None
    return found


async def claim(world: World, *, limit: int = 64, taken: Mapping[UUID, int] | None = None) -> Sequence[Any]:
    return await world.service.webhooks.queue.claim(
        now=world.now(),
        lease_until=world.now() + RULES.lease,
        limit=limit,
        places=PLACES_OF_AN_ENDPOINT,
        taken=taken or {},
    )
