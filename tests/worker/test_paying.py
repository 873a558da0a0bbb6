"""The worker with a real provider in a process of its own: every refund is paid once, whatever fails or is slow."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import AsyncIterator, Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path

import pytest

from jitui.aftersales.model.refund import RefundState
from jitui.aftersales.model.ticket import TicketState
from jitui.aftersales.provider import (
    BOTH,
    Notification,
    NotificationRefused,
    RefundInstruction,
    RefundResult,
    RefundResultKind,
)
from jitui.bootstrap import utc_now
from jitui.worker import pay_due
from tests.aftersales.market import Market, open_market
from tests.provider_simulator.server import SimulatorProcess, StartSimulator, client_of
from tests.worker.paying import approve, books, paid_market_with, settings_of, tell, until, worker_process, working

MANY = 40


@pytest.fixture
async def market(database_url: str) -> AsyncIterator[Market]:
    async with open_market(database_url, now=utc_now()) as opened:
        yield opened


async def paid_once(simulator: SimulatorProcess, count: int) -> bool:
    """By the provider's own books: this many refunds, none of them twice, none over what was captured."""
    found = await books(simulator)
    assert found["paid_twice"] == [] and found["over_refunded"] == []
    by_status = found["refunds_by_status"]
    assert isinstance(by_status, dict)
    return {status: number for status, number in by_status.items() if number} == {"succeeded": count}


async def test_approved_refunds_are_paid_confirmed_and_posted(
    market: Market, database_url: str, simulator: SimulatorProcess, tmp_path: Path
) -> None:
    async with paid_market_with(market, settings_of(database_url, simulator, tmp_path), simulator, MANY) as paid_market:
        async with working(paid_market.service):
            await until(paid_market.all_refunded)
        assert await paid_once(simulator, MANY)
        for snapshot in await paid_market.snapshots():
            assert [refund.state for refund in snapshot.refunds] == [RefundState.SUCCEEDED]
            assert snapshot.tenders[0].refunded_minor == 10_000 and snapshot.tenders[0].pending_minor == 0


async def test_one_pass_pays_what_is_due(
    market: Market, database_url: str, simulator: SimulatorProcess, tmp_path: Path
) -> None:
    async with paid_market_with(market, settings_of(database_url, simulator, tmp_path), simulator, 5) as paid_market:
        assert await pay_due(paid_market.service) == 5
        assert await paid_market.all_refunded()
        assert await pay_due(paid_market.service) == 0


async def test_no_more_are_claimed_than_can_be_called_for_now(
    market: Market, database_url: str, start_simulator: StartSimulator, tmp_path: Path
) -> None:
    """What is claimed and waits in line would be in doubt when its worker dies, and nobody else could pay it."""
    simulator = start_simulator(latency_ms=300)
    async with paid_market_with(
        market, settings_of(database_url, simulator, tmp_path, worker_batch=4), simulator, 12
    ) as paid_market:
        async with working(paid_market.service):
            for _ in range(10):
                assert await paid_market.sending() <= 4
                await asyncio.sleep(0.05)
            await until(paid_market.all_refunded)
        assert await paid_once(simulator, 12)


async def test_a_killed_workers_refunds_are_finished_by_another_and_paid_once(
    market: Market, database_url: str, start_simulator: StartSimulator, tmp_path: Path
) -> None:
    simulator = start_simulator(latency_ms=100, latency_jitter_ms=100)
    settings = settings_of(
        database_url, simulator, tmp_path, worker_batch=8, worker_lease_seconds=3, provider_timeout_seconds=1
    )
    async with paid_market_with(market, settings, simulator, MANY) as paid_market:
        with worker_process(settings) as first:
            await until(lambda: paid_market.refunded_at_least(5))
            first.send_signal(signal.SIGKILL)
            first.wait()
        left = (await paid_market.tickets()).count(TicketState.REFUNDING)
        assert left > 0, "the worker was done before it was killed"
        with worker_process(settings):
            await until(paid_market.all_refunded)
        assert await paid_once(simulator, MANY)


async def test_a_worker_that_is_told_to_stop_finishes_the_calls_in_hand(
    market: Market, database_url: str, start_simulator: StartSimulator, tmp_path: Path
) -> None:
    simulator = start_simulator(latency_ms=500)
    settings = settings_of(database_url, simulator, tmp_path, worker_batch=4)
    async with paid_market_with(market, settings, simulator, 12) as paid_market:
        with worker_process(settings) as process:
            await until(paid_market.any_sending)
            process.send_signal(signal.SIGTERM)
            assert process.wait(timeout=30) == 0
        assert set(await paid_market.refunds()) == {RefundState.QUEUED, RefundState.SUCCEEDED}


async def test_two_workers_share_the_queue(
    market: Market, database_url: str, start_simulator: StartSimulator, tmp_path: Path
) -> None:
    simulator = start_simulator(latency_ms=50)
    settings = settings_of(database_url, simulator, tmp_path, worker_batch=4)
    async with paid_market_with(market, settings, simulator, MANY) as paid_market:
        with worker_process(settings), worker_process(settings):
            await until(paid_market.all_refunded)
        assert await paid_once(simulator, MANY)


async def test_a_provider_that_was_down_is_paid_through_once_it_is_up_again(
    market: Market, database_url: str, simulator: SimulatorProcess, tmp_path: Path
) -> None:
    async with paid_market_with(market, settings_of(database_url, simulator, tmp_path), simulator, 5) as paid_market:
        simulator.kill()
        async with working(paid_market.service):
            await until(paid_market.all_unknown)
            assert set(await paid_market.tickets()) == {TicketState.REFUNDING}, (
                "down is unknown, and unknown is not failed"
            )
            simulator.start()
            await until(paid_market.all_refunded)
        assert await paid_once(simulator, 5)


class Stuck:
    """A provider whose calls do not end before they are freed."""

    name = "stuck"
    capabilities = BOTH

    def __init__(self) -> None:
        self.freed = asyncio.Event()

    async def send(self, instruction: RefundInstruction) -> RefundResult:
        await self.freed.wait()
        return RefundResult(RefundResultKind.UNKNOWN)

    look_up = send

    def read_notification(
        self, headers: Mapping[str, str], body: bytes, now: datetime
    ) -> Notification | NotificationRefused:
        return NotificationRefused("it sends none")


async def test_a_provider_that_hangs_holds_up_only_its_own_refunds(
    market: Market, database_url: str, simulator: SimulatorProcess, tmp_path: Path
) -> None:
    await approve(market, [f"stuck-{index}" for index in range(8)], now=utc_now(), provider="stuck")
    settings = settings_of(database_url, simulator, tmp_path, worker_batch=4)
    async with paid_market_with(market, settings, simulator, 12) as paid_market:
        stuck = Stuck()
        async with working(
            replace(paid_market.service, providers={**paid_market.service.providers, stuck.name: stuck})
        ):
            await until(paid_market.all_refunded)
            stuck.freed.set()
    assert await paid_once(simulator, 12)


async def test_a_lease_that_ran_out_is_looked_up_before_anything_is_sent(
    market: Market, database_url: str, simulator: SimulatorProcess, tmp_path: Path
) -> None:
    """The call went out and paid; its worker died before it could say so."""
    async with paid_market_with(market, settings_of(database_url, simulator, tmp_path), simulator, 1) as paid_market:
        now = utc_now()
        (claimed,) = await paid_market.service.store.claim_refunds(
            now=now, lease_until=now + timedelta(seconds=1), limit=10
        )
        async with client_of(simulator) as client:
            key = str(claimed.attempt.attempt_id)
            await client.refund(claimed.refund.payment_id, 10_000, key=key, reference=key)
        async with working(paid_market.service):
            await until(paid_market.all_refunded)
        assert await paid_once(simulator, 1)


async def test_refunds_of_a_provider_that_is_not_configured_here_are_left_alone(
    market: Market, database_url: str, simulator: SimulatorProcess, tmp_path: Path
) -> None:
    refs = await approve(market, ["elsewhere"], now=utc_now(), provider="elsewhere")
    await tell(simulator, refs)
    async with paid_market_with(market, settings_of(database_url, simulator, tmp_path), simulator, 1) as paid_market:
        async with working(paid_market.service):
            await until(paid_market.all_refunded)
        snapshot = await paid_market.service.store.read_order(refs[0])
        assert snapshot is not None and snapshot.refunds[0].state is RefundState.QUEUED


async def test_when_the_worker_that_rolls_up_is_killed_or_stopped_another_goes_on(
    market: Market, database_url: str, simulator: SimulatorProcess, tmp_path: Path
) -> None:
    """Any number of workers: usage stays fresh as long as one of them lives."""
    settings = settings_of(database_url, simulator, tmp_path)

    async def rolled_up_since(moment: datetime) -> bool:
        as_of = (await market.queries.health(utc_now())).usage_as_of
        return as_of is not None and as_of > moment

    with worker_process(settings) as first, worker_process(settings) as second, worker_process(settings) as third:
        await until(lambda: rolled_up_since(utc_now() - timedelta(seconds=2)))
        for worker, how in ((first, signal.SIGKILL), (second, signal.SIGSTOP)):
            worker.send_signal(how)
            gone_at = utc_now()
            await until(partial(rolled_up_since, gone_at + timedelta(seconds=2)))
        second.send_signal(signal.SIGCONT)
        third.send_signal(signal.SIGKILL)
