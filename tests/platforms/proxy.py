"""A small proxy: it can answer 500, or break the connection, before or after a platform has acted."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from enum import StrEnum
from types import TracebackType
from typing import Self

import httpx
from aiohttp import web


class Fault(StrEnum):
    """What happens to one call."""

    ERROR_AFTER = "answers 500 after it acted"
    ERROR_BEFORE = "answers 500 and does not act"
    CUT_AFTER = "breaks the connection after it acted"
    CUT_BEFORE = "breaks the connection and does not act"
    NEVER = "acts and never answers"


class Proxy:
    """Passes calls on to a platform. `faults`: by a word of a call's path or body, what happens to the next such call.

    `words`: those by which calls are told apart; `calls` has them, and "" for a call with none.
    """

    def __init__(self, target: str, words: Sequence[str]) -> None:
        self._target = target
        self._words = words
        self.faults: dict[str, Fault] = {}
        self.before: dict[str, Callable[[], Awaitable[object]]] = {}
        self.calls: list[str] = []
        self.url = ""
        self._runner: web.AppRunner | None = None

    async def __aenter__(self) -> Self:
        app = web.Application()
        app.router.add_route("*", "/{path:.*}", self._pass_on)
        self._runner = web.AppRunner(app, shutdown_timeout=0.1)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        port = self._runner.addresses[0][1]
        self.url = f"http://127.0.0.1:{port}"
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._runner is not None
        await self._runner.cleanup()

    async def _pass_on(self, request: web.Request) -> web.StreamResponse:
        body = await request.read()
        told = f"{request.method} {request.path_qs} ".encode() + body
        word = next((word for word in self._words if word.encode() in told), "")
        self.calls.append(word)
        if word in self.before:
            await self.before.pop(word)()
        fault = self.faults.pop(word, None)
        if fault is Fault.ERROR_BEFORE:
            return web.json_response({"errors": [{"message": "try later"}]}, status=500)
        if fault is Fault.CUT_BEFORE:
            return _cut(request)
        async with httpx.AsyncClient(timeout=60) as client:
            passed = {
                name: value for name, value in request.headers.items() if name.lower() not in ("host", "content-length")
            }
            url = f"{self._target}{request.raw_path}"
            answer = await client.request(request.method, url, content=body, headers=passed)
        match fault:
            case Fault.ERROR_AFTER:
                return web.Response(status=500, text="<html>Bad luck</html>")
            case Fault.CUT_AFTER:
                return _cut(request)
            case Fault.NEVER:
                await asyncio.sleep(30)
        return web.Response(status=answer.status_code, body=answer.content, content_type="application/json")


def _cut(request: web.Request) -> web.Response:
    if request.transport is not None:
        request.transport.abort()
    return web.Response()
