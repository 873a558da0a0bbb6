"""Asks over HTTP as fast as the answers come, or at a given pace; a process of its own that costs little.

`python -m benchmarks.load` reads a `Load` as JSON on stdin and prints a `Loaded`. Bare sockets and prepared bytes: a
general HTTP client would take as much of the machine as the service that it measures.
"""

from __future__ import annotations

import asyncio
import sys
from collections import deque
from dataclasses import dataclass, field
from time import perf_counter, process_time
from typing import cast

import msgspec
import uvloop


class Load(msgspec.Struct, frozen=True):
    """`per_second` None: every client asks again as soon as it is answered. Ends after `seconds` or `count`."""

    host: str
    port: int
    key: str
    first: int
    count: int
    clients: int
    seconds: float
    per_second: float | None = None


class Loaded(msgspec.Struct, frozen=True):
    """`answered` were refunded at once; anything else is `other`. Paced latencies count from when a request was due."""

    answered: int
    other: int
    sent: int
    elapsed_seconds: float
    p50_ms: float
    p99_ms: float
    most_ms: float
    cpu_seconds: float

    @property
    def per_second(self) -> float:
        """Answered requests a second."""
        return self.answered / self.elapsed_seconds if self.elapsed_seconds else 0.0


@dataclass
class _Run:
    """The state that all connections of a run share."""

    load: Load
    loop: asyncio.AbstractEventLoop
    ended: asyncio.Event
    started_at: float
    head: bytes
    sent: int = 0
    answered: int = 0
    other: int = 0
    last_at: float = 0.0
    waiting: deque[float] = field(default_factory=deque)
    idle: list[_Connection] = field(default_factory=list)
    latencies: list[float] = field(default_factory=list)
    oddity: bytes = b""

    @property
    def over(self) -> bool:
        return self.sent >= self.load.count or perf_counter() - self.started_at >= self.load.seconds

    def request(self) -> bytes:
        number = self.load.first + self.sent
        self.sent += 1
        body = b'{"order_id":"%d","buyer_id":"%d","reason":"no_longer_wanted"}' % (number, number)
        return self.head % (number, len(body), body)

    def end_if_done(self) -> None:
        if self.answered + self.other == self.sent:
            self.ended.set()


class _Connection(asyncio.Protocol):
    def __init__(self, run: _Run) -> None:
        self.run, self.buffer, self.asked_at = run, b"", 0.0
        self.transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)

    def ask(self, since: float | None = None) -> None:
        assert self.transport is not None
        self.asked_at = since or perf_counter()
        self.transport.write(self.run.request())

    def data_received(self, data: bytes) -> None:
        self.buffer += data
        head, gap, body = self.buffer.partition(b"\r\n\r\n")
        if not gap:
            return
        at = head.lower().find(b"content-length:")
        if len(body) < int(head[at + 15 :].split(b"\r\n", 1)[0]):
            return
        run, now = self.run, perf_counter()
        run.latencies.append(now - self.asked_at)
        run.last_at = now
        if head.startswith(b"HTTP/1.1 201") and b'"approved_by":"instant_refund"' in body:
            run.answered += 1
        else:
            run.other, run.oddity = run.other + 1, self.buffer
        self.buffer = b""
        self.go_on()

    def go_on(self) -> None:
        run = self.run
        if run.load.per_second is not None and run.waiting:
            self.ask(run.waiting.popleft())
        elif run.load.per_second is not None:
            run.idle.append(self)
            if run.over:
                run.end_if_done()
        elif run.over:
            run.end_if_done()
        else:
            self.ask()

    def connection_lost(self, error: Exception | None) -> None:
        self.run.ended.set()


async def _pace(run: _Run) -> None:
    """Open loop: requests fall due by the clock, whether or not the earlier ones are answered."""
    assert run.load.per_second is not None
    due = run.started_at
    while not run.over:
        await asyncio.sleep(max(0.0, due - perf_counter()))
        while due <= perf_counter() and not run.over:
            if run.idle:
                run.idle.pop().ask(due)
            else:
                run.waiting.append(due)
            due += 1 / run.load.per_second
    run.end_if_done()


async def drive(load: Load) -> Loaded:
    """Run one load to its end."""
    loop = asyncio.get_running_loop()
    head = (
        f"POST /v1/after-sales HTTP/1.1\r\nHost: {load.host}:{load.port}\r\nAuthorization: Bearer {load.key}\r\n"
        "Content-Type: application/json\r\nIdempotency-Key: ask-%d\r\nContent-Length: %d\r\n\r\n%b"
    ).encode()
    run = _Run(load, loop, asyncio.Event(), perf_counter(), head)
    connections = []
    for _ in range(load.clients):
        _, connection = await loop.create_connection(lambda: _Connection(run), load.host, load.port)
        connections.append(connection)
    cpu_before, run.started_at = process_time(), perf_counter()
    pacing = None
    if load.per_second is None:
        for connection in connections:
            connection.ask()
    else:
        run.idle = list(connections)
        pacing = asyncio.create_task(_pace(run))
    await asyncio.wait_for(run.ended.wait(), load.seconds + 30)
    if pacing is not None:
        pacing.cancel()
    if run.oddity:
        print(run.oddity[:600].decode(errors="replace"), file=sys.stderr)
    return _loaded(run, process_time() - cpu_before)


def _loaded(run: _Run, cpu_seconds: float) -> Loaded:
    ordered = sorted(run.latencies) or [0.0]
    return Loaded(
        answered=run.answered,
        other=run.sent - run.answered,
        sent=run.sent,
        elapsed_seconds=run.last_at - run.started_at,
        p50_ms=ordered[len(ordered) // 2] * 1000,
        p99_ms=ordered[min(len(ordered) - 1, len(ordered) * 99 // 100)] * 1000,
        most_ms=ordered[-1] * 1000,
        cpu_seconds=cpu_seconds,
    )


def main() -> None:
    load = msgspec.json.decode(sys.stdin.buffer.read(), type=Load)
    sys.stdout.buffer.write(msgspec.json.encode(uvloop.run(drive(load))))


if __name__ == "__main__":
    main()
