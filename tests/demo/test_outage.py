"""The switch of the demo's provider, on a running simulator."""

from __future__ import annotations

from jitui.demo.outage import SimulatorOutage
from tests.provider_simulator.server import SimulatorProcess, client_of, simulator, start_simulator

__all__ = ["simulator", "start_simulator"]


async def test_the_provider_refuses_until_it_is_mended(simulator: SimulatorProcess) -> None:
    outage = SimulatorOutage(simulator.url, simulator.api_key)
    async with client_of(simulator) as client:

        async def status() -> object:
            return (await client.refund(await client.pay(100), 100)).json["status"]

        assert (await outage.is_on(), await status()) == (False, "succeeded")
        assert await outage.turn(on=True)
        assert (await outage.is_on(), await status()) == (True, "failed")
        assert await outage.turn(on=False)
        assert (await outage.is_on(), await status()) == (False, "succeeded")


async def test_a_provider_that_cannot_be_asked_is_neither_on_nor_off(simulator: SimulatorProcess) -> None:
    for outage in (SimulatorOutage(simulator.url, "wrong"), SimulatorOutage("http://127.0.0.1:9", "key")):
        assert (await outage.is_on(), await outage.turn(on=True)) == (None, False)
