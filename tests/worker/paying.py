"""A market for the worker's tests: approved refunds, a simulator with their payments, and workers."""

from __future__ import annotations

import asyncio
import json
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from jitui.aftersales.model.refund import RefundState
from jitui.aftersales.model.snapshot import OrderSnapshot
from jitui.aftersales.model.ticket import TicketState
from jitui.aftersales.ports import OrderRef
from jitui.bootstrap import Service, open_service, utc_now
from jitui.settings import Settings
from jitui.worker import run_worker
from tests.aftersales.market import Market
from tests.provider_simulator.server import API_KEY, WEBHOOK_SECRET, SimulatorProcess, client_of

# A worker in a process of its own that tells when it is up; its settings come on stdin.
_PROGRAM = """
import asyncio, json, signal, sys
from pathlib import Path
from jitui.worker import run_worker
from jitui.settings import Settings
from jitui.bootstrap import open_service

async def main():
    given = json.load(sys.stdin)
    settings = Settings(home=Path(given.pop("home")), **given)
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    async with open_service(settings, settings.database_url) as app:
        print("up", flush=True)
        await run_worker(app, stop)

asyncio.run(main())
"""


@dataclass(frozen=True)
class PaidMarket:
    """Everything a worker works on."""

    service: Service
    market: Market
    orders: list[OrderRef]

    async def snapshots(self) -> list[OrderSnapshot]:
        found = [await self.service.store.read_order(ref) for ref in self.orders]
        return [snapshot for snapshot in found if snapshot is not None]

    async def tickets(self) -> list[TicketState]:
        return [ticket.state for snapshot in await self.snapshots() for ticket in snapshot.tickets]

    async def refunds(self) -> list[RefundState]:
        return [refund.state for snapshot in await self.snapshots() for refund in snapshot.refunds]

    async def sending(self) -> int:
        """How many refunds are being sent, at one moment: orders that are read in turn are not."""
        async with self.market.pool.connection() as connection:
            found = await connection.execute("SELECT count(*) FROM refund WHERE state = 'sending'")
            ((count,),) = await found.fetchall()
        return int(str(count))

    async def all_refunded(self) -> bool:
        return set(await self.tickets()) == {TicketState.REFUNDED}

    async def refunded_at_least(self, count: int) -> bool:
        return (await self.tickets()).count(TicketState.REFUNDED) >= count

    async def any_sending(self) -> bool:
        return RefundState.SENDING in await self.refunds()

    async def all_unknown(self) -> bool:
        return set(await self.refunds()) == {RefundState.UNKNOWN}


async def approve(market: Market, names: list[str], *, now: datetime, provider: str = "simulator") -> list[OrderRef]:
    """Instantly approved refunds of orders that were paid just now, one for each name."""
    refs = []
    for name in names:
        buyer = await market.premium_buyer(f"b-{name}", now)
        refs.append(await market.paid_order(buyer, f"o-{name}", amounts=(10_000,), now=now))
        ticket = await market.asked(buyer, f"o-{name}", now=now)
        assert ticket.state is TicketState.REFUNDING, "the refund was not approved"
    if provider != "simulator":
        async with market.pool.connection() as connection:
            await connection.execute(
                "UPDATE refund SET provider = %s WHERE order_id = ANY (%s)", (provider, [r.order_id for r in refs])
            )
    return refs


async def tell(simulator: SimulatorProcess, refs: list[OrderRef]) -> None:
    """The simulator has captured these orders' payments."""
    async with client_of(simulator) as client:
        for ref in refs:
            await client.pay(10_000, payment_id=f"pay-{ref.order_id}-1")


async def books(simulator: SimulatorProcess) -> dict[str, object]:
    """What the simulator itself says that it paid."""
    async with client_of(simulator) as client:
        return (await client.call("GET", "/books")).json


def settings_of(url: str, simulator: SimulatorProcess, home: Path, **changed: Any) -> Settings:
    return Settings(
        home=home,
        database_url=url,
        simulator_url=simulator.url,
        simulator_key=API_KEY,
        simulator_webhook_secret=WEBHOOK_SECRET,
        **changed,
    )


@asynccontextmanager
async def working(service: Service) -> AsyncIterator[None]:
    """A worker in this event loop, told to stop and waited for at the end."""
    stop = asyncio.Event()
    task = asyncio.create_task(run_worker(service, stop))
    try:
        yield
    finally:
        stop.set()
        await task


@contextmanager
def worker_process(settings: Settings) -> Iterator[subprocess.Popen[bytes]]:
    """A worker that can be killed; it is stopped at the end in any case."""
    process = subprocess.Popen([sys.executable, "-c", _PROGRAM], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert process.stdin is not None and process.stdout is not None
    names = ("database_url", "simulator_url", "simulator_key", "simulator_webhook_secret")
    numbers = ("worker_batch", "worker_lease_seconds", "provider_timeout_seconds")
    given = {name: getattr(settings, name) for name in (*names, *numbers)} | {"home": str(settings.home)}
    process.stdin.write(json.dumps(given).encode())
    process.stdin.close()
    try:
        assert process.stdout.readline() == b"up\n", "the worker did not start"
        yield process
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
        process.wait(timeout=30)
        process.stdout.close()


async def until(holds: Callable[[], Awaitable[bool]], *, seconds: float = 60.0) -> None:
    """Wait until something holds; fails the test when it never does."""
    async with asyncio.timeout(seconds):
        while True:
            if await holds():
                return
            await asyncio.sleep(0.05)


@asynccontextmanager
async def paid_market_with(
    market: Market, settings: Settings, simulator: SimulatorProcess, count: int
) -> AsyncIterator[PaidMarket]:
    """`count` approved refunds whose payments the simulator knows."""
    assert settings.database_url is not None
    await market.feed.roll_up()
    refs = await approve(market, [str(index) for index in range(count)], now=utc_now())
    await tell(simulator, refs)
    async with open_service(settings, settings.database_url) as service:
        yield PaidMarket(service, market, refs)
