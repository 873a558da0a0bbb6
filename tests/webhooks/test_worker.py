"""Real workers in processes of their own, killed in the middle: everything arrives, in order, verified."""

from __future__ import annotations

import asyncio
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from standardwebhooks import Webhook

from jitui.bootstrap import Service, open_service, utc_now
from jitui.settings import Settings, environment_for
from jitui.webhooks.endpoints import NewEndpoint, create_endpoint
from tests.aftersales.market import Market, open_market
from tests.webhooks.receiver import Answer, Arrived, Receiver, receiving, until
from tests.webhooks.world import settings_of

ORDERS = 20


def every_second_time() -> Answer:
    """Fails half of the time: for the first time that an event comes."""
    seen: set[str] = set()

    def answer(one: Arrived) -> int:
        if one.event_id in seen:
            return 204
        seen.add(one.event_id)
        return 503

    return answer


@contextmanager
def worker(settings: Settings, log: Path) -> Iterator[subprocess.Popen[bytes]]:
    command = [sys.executable, "-m", "jitui.entrypoints.cli", "worker"]
    with log.open("ab") as out:
        process = subprocess.Popen(command, env=environment_for(settings), stdout=out, stderr=out)
    try:
        yield process
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
        process.wait(timeout=30)


@pytest.fixture
async def service(database_url: str, tmp_path: Path) -> AsyncIterator[Service]:
    settings = settings_of(
        tmp_path, database_url, worker_lease_seconds=3, provider_timeout_seconds=1, webhook_timeout_seconds=1
    )
    async with open_service(settings, database_url) as opened:
        yield opened


async def listening(service: Service, receiver: Receiver) -> NewEndpoint:
    made = await create_endpoint(
        service.webhook_keeping, shop_id="", url=receiver.url, description="", kinds=(), by="tests", now=utc_now()
    )
    assert isinstance(made, NewEndpoint)
    return made


async def ask(market: Market, number: int) -> None:
    now = utc_now()
    buyer = await market.premium_buyer(f"b-{number}", now)
    await market.paid_order(buyer, f"o-{number}", now=now)
    await market.asked(buyer, f"o-{number}", now=now)


async def everything_arrived(market: Market, receiver: Receiver, secret: str) -> None:
    """Each event of each order, the first time in its order, and each request with a signature that verifies."""
    feed = await market.feed.events(0, 10_000)
    assert len(feed) == ORDERS * 4
    for number in range(ORDERS):
        told = [event.position for event in feed if event.order_id == f"o-{number}"]
        assert receiver.of_order(f"o-{number}") == told
    for one in receiver.arrived:
        Webhook(secret).verify(one.body, one.headers)


async def test_killed_workers_lose_nothing_and_keep_the_order(
    service: Service, database_url: str, tmp_path: Path
) -> None:
    async with open_market(database_url, now=utc_now()) as market, receiving(every_second_time()) as receiver:
        made = await listening(service, receiver)
        log = tmp_path / "worker.log"
        for number in range(ORDERS // 2):
            await ask(market, number)
        with worker(service.settings, log) as first:
            await until(lambda: len(receiver.taken) > ORDERS // 2)
            first.kill()
            first.wait(timeout=30)
        with worker(service.settings, log) as second, worker(service.settings, log):
            for number in range(ORDERS // 2, ORDERS):
                await ask(market, number)
            await until(lambda: len(receiver.taken_ids()) > ORDERS * 2)
            second.kill()
            await until(lambda: len(receiver.taken_ids()) == ORDERS * 4)
            await asyncio.sleep(1)
        await everything_arrived(market, receiver, made.secret)
        assert len(receiver.arrived) > len(receiver.taken), "it did fail"
        assert "Traceback" not in log.read_text()
        assert "whsec_" not in log.read_text()


async def test_an_event_that_was_taken_when_the_worker_died_comes_again_with_the_same_id(
    service: Service, database_url: str, tmp_path: Path
) -> None:
    async with open_market(database_url, now=utc_now()) as market, receiving() as receiver:
        await listening(service, receiver)
        receiver.hold.clear()
        await ask(market, 0)
        log = tmp_path / "worker.log"
        with worker(service.settings, log) as first:
            await until(lambda: bool(receiver.arrived))
            first.kill()
            first.wait(timeout=30)
        receiver.hold.set()
        await until(lambda: bool(receiver.taken))
        with worker(service.settings, log):
            await until(lambda: len(receiver.taken_ids()) == 4)
        ids = [one.event_id for one in receiver.taken]
        assert ids[0] == ids[1] and len(ids) == 5
        assert [one.kind for one in receiver.taken][1:] == [
            "order.paid",
            "ticket.requested",
            "ticket.approved",
            "stop_ship",
        ]
