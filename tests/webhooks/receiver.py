"""A receiver of webhooks on this machine: it verifies, remembers in order, and fails as a test wants it."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from aiohttp import web
from standardwebhooks import Webhook

Answer = Callable[["Arrived"], "web.Response | int"]


@dataclass(frozen=True)
class Arrived:
    """One request: what the library of Standard Webhooks read of it, and as it was."""

    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def event_id(self) -> str:
        return self.headers["webhook-id"]

    @property
    def event(self) -> dict[str, Any]:
        read: dict[str, Any] = json.loads(self.body)
        return read

    @property
    def order_id(self) -> str:
        return str(self.event["data"]["order_id"])

    @property
    def kind(self) -> str:
        return str(self.event["type"]).removeprefix("jitui.")


@dataclass
class Receiver:
    """`answer` says what each request gets; `at_once` is the largest number of requests in hand of one order."""

    port: int
    answer: Answer = lambda _: 204
    arrived: list[Arrived] = field(default_factory=list)
    taken: list[Arrived] = field(default_factory=list)
    at_once: Counter[str] = field(default_factory=Counter)
    hold: asyncio.Event = field(default_factory=asyncio.Event)
    _in_hand: Counter[str] = field(default_factory=Counter)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/hook"

    def verified(self, secret: str) -> list[dict[str, Any]]:
        """Every request that arrived; fails the test for one that the public library signs otherwise.

        The library's own verification wants the time of day, which a test's clock does not show.
        """
        for one in self.arrived:
            at = datetime.fromtimestamp(int(one.headers["webhook-timestamp"]), UTC)
            signature = Webhook(secret).sign(one.event_id, at, one.body.decode())
            assert signature in one.headers["webhook-signature"].split(" ")
        return [one.event for one in self.arrived]

    def taken_ids(self) -> list[str]:
        """The events that were taken, each once, as a receiver that remembers ids has them."""
        return list(dict.fromkeys(one.event_id for one in self.taken))

    def of_order(self, order_id: str) -> list[int]:
        """The positions of an order's events in the order in which they were first taken."""
        positions = [int(one.event["sequence"]) for one in self.taken if one.order_id == order_id]
        return list(dict.fromkeys(positions))

    async def take(self, request: web.Request) -> web.Response:
        """One request."""
        one = Arrived(
            request.path_qs, {name.lower(): value for name, value in request.headers.items()}, await request.read()
        )
        self.arrived.append(one)
        self._in_hand[one.order_id] += 1
        self.at_once[one.order_id] = max(self.at_once[one.order_id], self._in_hand[one.order_id])
        try:
            await self.hold.wait()
            answered = self.answer(one)
        finally:
            self._in_hand[one.order_id] -= 1
        response = web.Response(status=answered) if isinstance(answered, int) else answered
        if 200 <= response.status < 300:
            self.taken.append(one)
        return response


async def until(holds: Callable[[], bool], *, seconds: float = 60) -> None:
    """Wait until something holds; fails the test when it never does."""
    async with asyncio.timeout(seconds):
        while not holds():  # noqa: ASYNC110 - a receiver of a test is looked at from outside
            await asyncio.sleep(0.01)


@asynccontextmanager
async def receiving(answer: Answer = lambda _: 204) -> AsyncIterator[Receiver]:
    """A receiver on a port of its own."""
    receiver = Receiver(0, answer)
    receiver.hold.set()
    app = web.Application()
    app.router.add_post("/{path:.*}", receiver.take)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    assert site._server is not None
    receiver.port = site._server.sockets[0].getsockname()[1]  # type: ignore[attr-defined]  # of asyncio's server
    try:
        yield receiver
    finally:
        receiver.hold.set()
        await runner.cleanup()
