"""Carries out what is due: planned changes of refunds, and webhooks until they are accepted or given up."""

from __future__ import annotations

import asyncio
import contextlib
import heapq
import time
from typing import TYPE_CHECKING

from jitui.provider_simulator.books import Books, Notice
from jitui.provider_simulator.settings import SimulatorSettings
from jitui.provider_simulator.signature import sign, signing_key
from jitui.provider_simulator.views import event_body

if TYPE_CHECKING:
    import aiohttp

_LONGEST_PAUSE_SECONDS = 60.0


class Agenda:
    """The tasks that run by the real time; set `wake` when something was planned."""

    def __init__(self, books: Books, settings: SimulatorSettings) -> None:
        self.books = books
        self.settings = settings
        self.wake = asyncio.Event()
        self._queue: asyncio.Queue[Notice] = asyncio.Queue()
        self._tasks: list[asyncio.Task[None]] = []

    def start(self) -> None:
        """Start, beginning with what was left from an earlier run on these books."""
        loop = asyncio.get_running_loop()
        self._tasks = [loop.create_task(self._keep_time())]
        if self.settings.webhook_url is not None and self.settings.webhook_secret is not None:
            self._tasks.append(
                loop.create_task(self._send_all(self.settings.webhook_url, self.settings.webhook_secret))
            )

    async def stop(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _keep_time(self) -> None:
        while True:
            self.wake.clear()
            now_ms = time.time_ns() // 1_000_000
            self.books.change_due(now_ms)
            self._queue_due(now_ms)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self.wake.wait(), self._seconds_to_next(now_ms))

    def _queue_due(self, now_ms: int) -> None:
        due = self.books.notices_due
        while due and due[0][0] <= now_ms:
            _, event_id = heapq.heappop(due)
            if (notice := self.books.notices.get(event_id)) is not None:
                self._queue.put_nowait(notice)

    def _seconds_to_next(self, now_ms: int) -> float | None:
        nexts = [heap[0][0] for heap in (self.books.changes_due, self.books.notices_due) if heap]
        return max(0.0, (min(nexts) - now_ms) / 1000) if nexts else None

    async def _send_all(self, url: str, secret: str) -> None:
        import aiohttp  # imported here: it takes half a second, and most simulators send no webhooks

        timeout = aiohttp.ClientTimeout(total=self.settings.webhook_timeout_seconds)
        async with aiohttp.ClientSession(timeout=timeout) as client:
            key = signing_key(secret)
            senders = [self._send_from_queue(client, url, key) for _ in range(self.settings.webhook_senders)]
            await asyncio.gather(*senders)

    async def _send_from_queue(self, client: aiohttp.ClientSession, url: str, key: bytes) -> None:
        while True:
            notice = await self._queue.get()
            await self.books.durable()
            taken = True
            for _ in range(notice.refund.made.notify_times):
                taken = await _post(client, url, key, notice) and taken
            self._note(notice, taken=taken)

    def _note(self, notice: Notice, *, taken: bool) -> None:
        notice.tries += 1
        if taken or notice.tries >= self.settings.webhook_tries:
            self.books.notice_done(notice.event_id, delivered=taken)
            return
        doubled_seconds = self.settings.webhook_retry_seconds * 2 ** (notice.tries - 1)
        pause_seconds = min(_LONGEST_PAUSE_SECONDS, doubled_seconds)
        again_at_ms = time.time_ns() // 1_000_000 + int(pause_seconds * 1000)
        heapq.heappush(self.books.notices_due, (again_at_ms, notice.event_id))
        self.wake.set()


def signed_message(key: bytes, notice: Notice, sent_at_seconds: int) -> tuple[dict[str, str], bytes]:
    """A delivery of an event: its headers, signed at the given time, and its body."""
    body = event_body(notice)
    headers = {
        "content-type": "application/json",
        "webhook-id": notice.event_id,
        "webhook-timestamp": str(sent_at_seconds),
        "webhook-signature": sign(key, notice.event_id, sent_at_seconds, body),
    }
    return headers, body


async def _post(client: aiohttp.ClientSession, url: str, key: bytes, notice: Notice) -> bool:
    from aiohttp import ClientError

    headers, body = signed_message(key, notice, int(time.time()))
    try:
        async with client.post(url, data=body, headers=headers, allow_redirects=False) as response:
            await response.read()
            return 200 <= response.status < 300
    except (ClientError, TimeoutError, OSError):
        return False
