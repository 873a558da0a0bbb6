"""A worker, a provider whose merchant has too little, and the platform's account: once paid, once charged."""

from __future__ import annotations

import signal
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from jitui.aftersales.incident_list import IncidentFilter
from jitui.aftersales.model.incident import Incident, IncidentKind, IncidentOutcome
from jitui.bootstrap import utc_now
from jitui.policy import Policy
from tests.aftersales.market import DEFAULT_POLICY, Market, open_market
from tests.provider_simulator.server import SimulatorProcess, StartSimulator, client_of
from tests.worker.paying import PaidMarket, books, paid_market_with, settings_of, until, worker_process, working

ADVANCES = Policy.from_text(DEFAULT_POLICY.text + "\nadvance: {at_most_minor: 10000}\n")
MANY, FROM_THE_SHOP = 12, 3


@pytest.fixture
async def market(database_url: str) -> AsyncIterator[Market]:
    async with open_market(database_url, now=utc_now()) as opened:
        yield opened


async def balance(simulator: SimulatorProcess, amount_minor: int) -> None:
    async with client_of(simulator) as client:
        await client.call("PUT", "/balance", {"currency": "CNY", "amount_minor": amount_minor})


async def charged(paid_market: PaidMarket) -> list[Incident]:
    found = await paid_market.service.queries.incidents(IncidentFilter(shop_id="shop-1", limit=100))
    return [one for one in found if one.outcome is IncidentOutcome.BORNE_BY_SHOP]


async def test_a_killed_worker_advances_and_charges_each_refund_once(
    market: Market, database_url: str, start_simulator: StartSimulator, tmp_path: Path
) -> None:
    """By the provider's own books: what its platform account paid is what the shop is charged."""
    simulator = start_simulator(latency_ms=100, latency_jitter_ms=100)
    await balance(simulator, FROM_THE_SHOP * 10_000)
    settings = settings_of(
        database_url, simulator, tmp_path, worker_batch=4, worker_lease_seconds=3, provider_timeout_seconds=1
    )
    advancing = market.deciding_by(ADVANCES)
    async with paid_market_with(advancing, settings, simulator, MANY) as paid_market:
        with worker_process(settings) as first:
            await until(lambda: paid_market.refunded_at_least(3))
            first.send_signal(signal.SIGKILL)
            first.wait()
        with worker_process(settings):
            await until(paid_market.all_refunded)

            async def all_charged() -> bool:
                return len(await charged(paid_market)) == MANY - FROM_THE_SHOP

            await until(all_charged)
        found = await books(simulator)
        assert found["paid_twice"] == [] and found["over_refunded"] == []
        assert found["balances"] == {"CNY": 0}
        incidents = await charged(paid_market)
        assert {one.kind for one in incidents} == {IncidentKind.PLATFORM_ADVANCE}
        assert found["advanced_minor"] == {"CNY": sum(one.receivable_minor for one in incidents)}
        assert len({one.refund_id for one in incidents}) == MANY - FROM_THE_SHOP


async def test_without_an_advance_a_refund_waits_for_the_shops_balance(
    market: Market, database_url: str, simulator: SimulatorProcess, tmp_path: Path
) -> None:
    await balance(simulator, 0)
    async with paid_market_with(market, settings_of(database_url, simulator, tmp_path), simulator, 2) as paid_market:
        async with working(paid_market.service):
            await until(paid_market.all_unknown)
            await balance(simulator, 20_000)
            await until(paid_market.all_refunded)
        assert await charged(paid_market) == []
        assert (await books(simulator))["advanced_minor"] == {}
