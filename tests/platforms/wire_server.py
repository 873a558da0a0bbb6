"""A server of this machine that speaks a platform's wire format, and loses answers where a test says so."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from enum import StrEnum
from types import TracebackType
from typing import Self

from aiohttp import web


class Fault(StrEnum):
    """What happens to one call."""

    ERROR_AFTER = "answers 500 after it acted"
    ERROR_BEFORE = "answers 500 and does not act"
    CUT_AFTER = "breaks the connection after it acted"
    CUT_BEFORE = "breaks the connection and does not act"
    NEVER = "acts and never answers"


AFTER = (Fault.ERROR_AFTER, Fault.CUT_AFTER, Fault.NEVER)
BEFORE = (Fault.ERROR_BEFORE, Fault.CUT_BEFORE)

Answering = Callable[[web.Request, bytes], Awaitable[web.Response]]
Labelling = Callable[[web.Request, bytes], str]


class WireServer:
    """Serves on 127.0.0.1 while it is entered.

    `calls`: the labels of all calls. `faults`: what happens to the next call of a label; `answers`: what the next call
    of a label is answered with instead; `before`: what is done first.
    """

    def __init__(self, answering: Answering, labelling: Labelling) -> None:
        self._answering = answering
        self._labelling = labelling
        self.calls: list[str] = []
        self.faults: dict[str, Fault] = {}
        self.answers: dict[str, web.Response] = {}
        self.before: dict[str, Callable[[], Awaitable[object]]] = {}
        self.url = ""
        self._runner: web.AppRunner | None = None

    async def __aenter__(self) -> Self:
        app = web.Application(client_max_size=2**24)
        app.router.add_route("*", "/{path:.*}", self._serve)
        self._runner = web.AppRunner(app, shutdown_timeout=0.1)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        self.url = f"http://127.0.0.1:{self._runner.addresses[0][1]}"
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._runner is not None
        await self._runner.cleanup()

    def failing_before(self) -> web.Response:
        """What a call that is not carried out is answered."""
        return web.Response(status=500, text="<html>Bad luck</html>", content_type="text/html")

    async def _serve(self, request: web.Request) -> web.StreamResponse:
        body = await request.read()
        label = self._labelling(request, body)
        self.calls.append(label)
        if label in self.before:
            await self.before.pop(label)()
        if label in self.answers:
            return self.answers.pop(label)
        fault = self.faults.pop(label, None)
        if fault is Fault.ERROR_BEFORE:
            return self.failing_before()
        if fault is Fault.CUT_BEFORE:
            return _cut(request)
        # What the platform has begun goes on, also where the caller hangs up.
        answer = await asyncio.shield(asyncio.ensure_future(self._answering(request, body)))
        match fault:
            case Fault.ERROR_AFTER:
                return web.Response(status=500, text="<html>Bad luck</html>", content_type="text/html")
            case Fault.CUT_AFTER:
                return _cut(request)
            case Fault.NEVER:
                await asyncio.sleep(30)
        return answer


def _cut(request: web.Request) -> web.Response:
    if request.transport is not None:
        request.transport.abort()
    return web.Response()
