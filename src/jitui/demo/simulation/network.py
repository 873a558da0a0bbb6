"""The network between the processes and the provider: real HTTP on 127.0.0.1; every request waits for the driver."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from enum import StrEnum

from aiohttp import web

from jitui.demo.simulation.process import PROCESS_HEADER
from jitui.provider_simulator.asgi import ASGIApp, Message

ALONE_HEADER = "x-simulated-audit"
"""The header of requests by the checks at the end, which meet no faults."""


class Fate(StrEnum):
    """What happens to a request and its response."""

    SMOOTH = "smooth"
    LOST_BEFORE = "request_lost"
    LOST_AFTER = "answer_lost"
    CUT_OFF = "answer_cut_off"
    TIMED_OUT_BEFORE = "timed_out_never_arrived"
    TIMED_OUT_AFTER = "timed_out_after_doing"
    TIMED_OUT_LATE = "timed_out_arrives_later"
    GATEWAY_BEFORE = "gateway_error_before"
    GATEWAY_AFTER = "gateway_error_after"
    RATE_LIMITED = "rate_limited"
    STRANGE_404 = "strange_404"
    TWICE = "request_delivered_twice"


IMPATIENT = frozenset({Fate.TIMED_OUT_BEFORE, Fate.TIMED_OUT_AFTER, Fate.TIMED_OUT_LATE})
"""The fates in which the caller gives up before a response arrives."""
_NEVER_ARRIVES = frozenset(
    {Fate.LOST_BEFORE, Fate.TIMED_OUT_BEFORE, Fate.GATEWAY_BEFORE, Fate.RATE_LIMITED, Fate.STRANGE_404}
)


@dataclass(frozen=True, slots=True)
class Answered:
    """The provider's response; with `hung_up` there is none."""

    status: int = 0
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes = b""
    hung_up: bool = False


@dataclass(eq=False)
class Flight:
    """A request under way; the response is set on `caller`, unless the caller has given up."""

    number: int
    process: int
    method: str
    path: str
    headers: tuple[tuple[bytes, bytes], ...]
    body: bytes
    fate: Fate = Fate.SMOOTH
    left_at: float = 0.0
    answered: Answered | None = None
    caller: asyncio.Future[Answered] = field(default_factory=lambda: asyncio.get_running_loop().create_future())

    @property
    def arrives(self) -> bool:
        """Whether the request reaches the provider."""
        return self.fate not in _NEVER_ARRIVES


class Network:
    """One server for all worlds; `flew` is called with each new request, `app` is the provider of the current world."""

    def __init__(self) -> None:
        self.url = ""
        self.app: ASGIApp | None = None
        self.flew: Callable[[Flight], None] = lambda flight: flight.caller.set_result(Answered(hung_up=True))
        self._count = 0

    async def deliver(self, flight: Flight) -> Answered:
        """Pass the request to the provider; returns its response."""
        assert self.app is not None
        return await call_app(self.app, flight.method, flight.path, flight.headers, flight.body)

    async def take(self, request: web.BaseRequest) -> web.StreamResponse:
        """Handle one HTTP request from one of our processes."""
        body = await request.read()
        headers = tuple((name.lower(), value) for name, value in request.raw_headers)
        self._count += 1
        process = int(request.headers.get(PROCESS_HEADER, "0"))
        flight = Flight(self._count, process, request.method, request.path_qs, headers, body)
        if ALONE_HEADER in request.headers or process == 0:
            return _response(await self.deliver(flight))
        self.flew(flight)
        answered = await flight.caller
        if answered.hung_up or request.transport is None:
            return _hang_up(request)
        if flight.fate is Fate.CUT_OFF:
            return await _cut_off(request, answered)
        return _response(answered)


def _response(answered: Answered) -> web.Response:
    return web.Response(status=answered.status, headers=list(answered.headers), body=answered.body)


def _hang_up(request: web.BaseRequest) -> web.Response:
    if request.transport is not None:
        request.transport.abort()
    return web.Response(status=500)


async def _cut_off(request: web.BaseRequest, answered: Answered) -> web.StreamResponse:
    """Send the headers and half of the body, then close the connection."""
    response = web.StreamResponse(status=answered.status, headers={"content-length": str(len(answered.body) + 1)})
    await response.prepare(request)
    await response.write(answered.body[: len(answered.body) // 2])
    if request.transport is not None:
        request.transport.abort()
    return response


async def call_app(
    app: ASGIApp, method: str, path: str, headers: tuple[tuple[bytes, bytes], ...], body: bytes
) -> Answered:
    """Call an ASGI application directly, without a connection."""
    path_only, _, query = path.partition("?")
    closed = False

    def close() -> None:
        nonlocal closed
        closed = True

    scope: Message = {
        "type": "http",
        "method": method,
        "path": path_only,
        "query_string": query.encode(),
        "headers": headers,
        "extensions": {"jitui.connection": {"close": close}},
    }
    received: Iterator[Message] = iter([{"type": "http.request", "body": body}])
    sent: list[Message] = []

    async def receive() -> Message:
        return next(received, {"type": "http.disconnect"})

    async def send(message: Message) -> None:
        sent.append(message)

    await app(scope, receive, send)
    if closed or not sent:
        return Answered(hung_up=True)
    status, raw = sent[0]["status"], sent[0]["headers"]
    assert isinstance(status, int)
    assert isinstance(raw, list)
    kept = tuple((name.decode(), value.decode()) for name, value in raw if name != b"content-length")
    return Answered(status, kept, b"".join(_body(message) for message in sent[1:]))


def _body(message: Message) -> bytes:
    body = message.get("body", b"")
    assert isinstance(body, bytes)
    return body


@asynccontextmanager
async def open_network() -> AsyncIterator[Network]:
    """Start the server on a free port of 127.0.0.1."""
    network = Network()
    runner = web.ServerRunner(web.Server(network.take), shutdown_timeout=0.1)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        host, port = runner.addresses[0][:2]
        network.url = f"http://{host}:{port}"
        yield network
    finally:
        await runner.cleanup()
