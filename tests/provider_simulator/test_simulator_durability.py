"""What the simulator has answered survives SIGKILL, and planned changes happen after a restart."""

from __future__ import annotations

import asyncio
from uuid import uuid4

import aiohttp

from tests.provider_simulator.server import Client, SimulatorProcess, StartSimulator, client_of, webhook_inbox


async def test_sigkill_amid_refunds_loses_nothing_answered(simulator: SimulatorProcess) -> None:
    answered: dict[str, object] = {}
    asked: set[str] = set()
    for _ in range(3):
        await refund_until_killed(simulator, answered, asked)
        simulator.restart()
    async with client_of(simulator) as client:
        kept = {row["reference"]: row["id"] for row in (await client.call("GET", "/books/refunds")).lines}
        assert len(answered) > 100
        assert {reference: kept.get(reference) for reference in answered} == answered
        assert set(kept) <= asked
        assert (await client.call("GET", "/books")).json["paid_twice"] == []


async def refund_until_killed(simulator: SimulatorProcess, answered: dict[str, object], asked: set[str]) -> None:
    """Sixteen clients at once; the kill comes while they are all waiting for answers."""
    async with client_of(simulator) as client:
        paid = await client.pay(10**9)
        goal = len(answered) + 200
        enough = asyncio.Event()

        async def keep_refunding() -> None:
            try:
                while True:
                    reference = str(uuid4())
                    asked.add(reference)
                    reply = await client.refund(paid, 1, reference=reference)
                    answered[reference] = reply.json["id"]
                    if len(answered) >= goal:
                        enough.set()
            except (aiohttp.ClientError, OSError):
                return

        clients = [asyncio.create_task(keep_refunding()) for _ in range(16)]
        await enough.wait()
        await asyncio.to_thread(simulator.kill)
        await asyncio.gather(*clients)


async def test_after_sigkill_the_key_still_gets_its_first_answer(simulator: SimulatorProcess) -> None:
    async with client_of(simulator) as client:
        paid = await client.pay(100)
        first = await client.refund(paid, 60, key="k1")
        refused = await client.refund(paid, 60, key="k2")
    simulator.restart()
    async with client_of(simulator) as client:
        assert (await client.refund(paid, 60, key="k1")).text == first.text
        assert (await client.refund(paid, 60, key="k2")).text == refused.text
        assert (await client.refund(paid, 60, key="k3")).code == "amount_exceeds_refundable"


async def test_a_pending_refund_settles_although_its_process_was_killed(
    start_simulator: StartSimulator,
) -> None:
    simulator = start_simulator(faults="amounts", timing={"settle_ms": 300})
    async with client_of(simulator) as client:
        paid = await client.pay(1_000)
        assert (await client.refund(paid, 102, key="k1")).json["status"] == "pending"
    simulator.restart()
    async with client_of(simulator) as client:
        await until_nothing_is_pending(client)
        assert (await client.call("GET", f"/payments/{paid}")).json["refunded_minor"] == 102


async def until_nothing_is_pending(client: Client) -> None:
    async with asyncio.timeout(20):
        while True:
            by_status = (await client.call("GET", "/books")).json["refunds_by_status"]
            assert isinstance(by_status, dict)
            if not by_status["pending"]:
                return
            await asyncio.sleep(0.02)


async def test_webhooks_not_yet_taken_are_sent_by_the_next_process(start_simulator: StartSimulator) -> None:
    async with webhook_inbox() as inbox:
        simulator = start_simulator(webhook_url="http://127.0.0.1:9/nobody", webhook_retry_seconds=60)
        async with client_of(simulator) as client:
            paid = await client.pay(1_000)
            refunds = [(await client.refund(paid, 10)).json["id"] for _ in range(3)]
            assert (await client.call("GET", "/books")).json["webhooks_waiting"] == 3
        simulator.restart(webhook_url=inbox.url)
        received = await inbox.wait_for(3)
        assert {one.event_id for one in received} == {f"evt_{refund}_succeeded" for refund in refunds}
