"""The complete service on this machine: console on uvicorn, worker, provider simulator, database."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import uvicorn
from litestar import Litestar

from jitui.encryption import new_key
from jitui.entrypoints.console.mount import console_app
from jitui.settings import Settings
from jitui.worker import run_worker
from tests.console.marketplace import Marketplace, open_marketplace
from tests.provider_simulator.server import SimulatorProcess, client_of


@dataclass(frozen=True)
class Site:
    """Its address, and the marketplace behind it."""

    url: str
    market: Marketplace


@asynccontextmanager
async def running_site(home: Path, database_url: str, simulator: SimulatorProcess) -> AsyncIterator[Site]:
    keys = home / "encryption-keys"
    keys.write_text(new_key())
    settings = Settings(
        home=home,
        encryption_key_file=keys,
        simulator_url=simulator.url,
        simulator_key=simulator.api_key,
        simulator_webhook_secret=simulator.webhook_secret,
    )

    async def pay(payment_id: str, amount_minor: int) -> None:
        async with client_of(simulator) as client:
            await client.pay(amount_minor, payment_id=payment_id)

    async with open_marketplace(settings, database_url, pay) as market:
        stop = asyncio.Event()
        worker = asyncio.create_task(run_worker(market.service, stop))
        try:
            async with served(console_app(market.service, one_click=True)) as url:
                yield Site(url, market)
        finally:
            stop.set()
            await worker


def free_address() -> tuple[socket.socket, str]:
    """A free port for an application that has to know its own address."""
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    return listener, f"http://127.0.0.1:{listener.getsockname()[1]}"


@asynccontextmanager
async def served(app: Litestar, listener: socket.socket | None = None) -> AsyncIterator[str]:
    """The address of an application on a free port."""
    listener = listener or free_address()[0]
    server = uvicorn.Server(uvicorn.Config(app, log_level="warning", lifespan="on"))
    task = asyncio.create_task(server.serve(sockets=[listener]))
    while not server.started:
        await asyncio.sleep(0.01)
        if task.done():
            await task
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        server.should_exit = True
        with suppress(asyncio.CancelledError):
            await task
        listener.close()
