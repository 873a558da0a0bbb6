"""A real simulator in a process of its own, and a receiver for its webhooks."""

from __future__ import annotations

import asyncio
import json
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import uuid4

import aiohttp
import pytest
from aiohttp import web

API_KEY = "sim_key_for_tests"
WEBHOOK_SECRET = "whsec_dGhlIHNpbXVsYXRvcidzIHRlc3Qgc2VjcmV0"
SIMULATOR_AWAY: dict[str, Any] = {
    "simulator_url": "http://127.0.0.1:9",
    "simulator_key": API_KEY,
    "simulator_webhook_secret": WEBHOOK_SECRET,
}
"""Settings of an installation whose simulator is configured and does not answer."""


@dataclass
class SimulatorProcess:
    """`settings` are those of `python -m jitui.provider_simulator`; books and port outlive `kill` and `restart`."""

    books_path: Path
    settings: dict[str, object] = field(default_factory=dict)
    api_key: str = API_KEY
    webhook_secret: str = WEBHOOK_SECRET
    url: str = ""
    process: subprocess.Popen[bytes] | None = None

    def start(self) -> SimulatorProcess:
        port = int(self.url.rpartition(":")[2]) if self.url else 0
        start = {
            "books": str(self.books_path),
            "api_key": self.api_key,
            "webhook_secret": self.webhook_secret,
            "port": port,
            **self.settings,
        }
        self.process = subprocess.Popen(
            [sys.executable, "-m", "jitui.provider_simulator"], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(json.dumps(start).encode())
        self.process.stdin.close()
        self.url = self.process.stdout.readline().decode().strip()
        assert self.url, f"the simulator did not start (exit code {self.process.wait()})"
        return self

    def stop(self, how: signal.Signals = signal.SIGTERM) -> None:
        if self.process is not None:
            self.process.send_signal(how)
            self.process.wait(timeout=20)
            assert self.process.stdout is not None
            self.process.stdout.close()
            self.process = None

    def kill(self) -> None:
        """SIGKILL: no handler runs, nothing in the process's memory is written."""
        self.stop(signal.SIGKILL)

    def restart(self, **changed: object) -> SimulatorProcess:
        """Start again on the same books and port, after `kill` or instead of it."""
        self.kill()
        self.settings.update(changed)
        return self.start()


StartSimulator = Callable[..., SimulatorProcess]


@pytest.fixture
def start_simulator(tmp_path: Path) -> Iterator[StartSimulator]:
    """Starts simulators with settings of the test's choice, each with books of its own."""
    started: list[SimulatorProcess] = []

    def start(**settings: object) -> SimulatorProcess:
        process = SimulatorProcess(tmp_path / f"books-{len(started)}.journal", dict(settings))
        started.append(process)
        return process.start()

    yield start
    for process in started:
        process.kill()


@pytest.fixture
def simulator(start_simulator: StartSimulator) -> SimulatorProcess:
    """A simulator where everything goes well."""
    return start_simulator()


@dataclass(frozen=True)
class Reply:
    status: int
    headers: Mapping[str, str]
    text: str

    @property
    def json(self) -> dict[str, object]:
        value = json.loads(self.text)
        assert isinstance(value, dict)
        return value

    @property
    def code(self) -> object:
        error = self.json["error"]
        assert isinstance(error, dict)
        return error["code"]

    @property
    def lines(self) -> list[dict[str, object]]:
        return [json.loads(line) for line in self.text.splitlines()]


@dataclass(frozen=True)
class Client:
    """The simulator's HTTP interface in bare words, for tests that look at the wire."""

    http: aiohttp.ClientSession
    url: str

    async def call(self, method: str, path: str, body: object = None, **headers: str) -> Reply:
        data = body if isinstance(body, bytes) else None if body is None else json.dumps(body)
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        async with self.http.request(method, self.url + path, data=data, headers=sent) as response:
            return Reply(response.status, response.headers, await response.text())

    async def pay(self, amount_minor: int = 10_000, currency: str = "CNY", payment_id: str = "") -> str:
        """A captured payment; its id."""
        name = payment_id or f"pay_{uuid4().hex}"
        body = {"id": name, "order_id": f"order-{name}", "amount_minor": amount_minor, "currency": currency}
        assert (await self.call("POST", "/payments", body)).status in (200, 201)
        return name

    async def refund(
        self, payment_id: str, amount_minor: int, *, key: str = "", reference: str = "", currency: str = "CNY"
    ) -> Reply:
        name = reference or key or str(uuid4())
        body = {
            "reference": name,
            "payment_id": payment_id,
            "amount_minor": amount_minor,
            "currency": currency,
        }
        return await self.call("POST", "/refunds", body, idempotency_key=key or name)


@asynccontextmanager
async def client_of(simulator: SimulatorProcess) -> AsyncIterator[Client]:
    headers = {"authorization": f"Bearer {simulator.api_key}"}
    async with aiohttp.ClientSession(headers=headers) as http:
        yield Client(http, simulator.url)


@dataclass(frozen=True)
class Received:
    headers: dict[str, str]
    body: bytes

    @property
    def event_id(self) -> str:
        return self.headers["webhook-id"]

    @property
    def type(self) -> str:
        return str(json.loads(self.body)["type"])


@dataclass
class WebhookInbox:
    """Takes webhooks at `url`; the first answers can be set, all others are 204."""

    url: str = ""
    received: list[Received] = field(default_factory=list)
    answers: list[int] = field(default_factory=list)
    arrived: asyncio.Event = field(default_factory=asyncio.Event)

    async def take(self, request: web.Request) -> web.Response:
        headers = {name.lower(): value for name, value in request.headers.items()}
        self.received.append(Received(headers, await request.read()))
        self.arrived.set()
        return web.Response(status=self.answers.pop(0) if self.answers else 204)

    async def wait_for(self, count: int) -> list[Received]:
        """The first `count` messages, as soon as they are there."""
        async with asyncio.timeout(20):
            while len(self.received) < count:
                self.arrived.clear()
                await self.arrived.wait()
        return self.received[:count]


@asynccontextmanager
async def webhook_inbox(*answers: int) -> AsyncIterator[WebhookInbox]:
    inbox = WebhookInbox(answers=list(answers))
    app = web.Application()
    app.router.add_post("/webhooks", inbox.take)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    host, port = runner.addresses[0][:2]
    inbox.url = f"http://{host}:{port}/webhooks"
    try:
        yield inbox
    finally:
        await runner.cleanup()
