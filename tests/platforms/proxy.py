"""A small proxy: it can answer 500, or break the connection, before or after a platform has acted."""

from __future__ import annotations

from collections.abc import Sequence

import httpx
from aiohttp import web

from tests.platforms.wire_server import Fault, WireServer

__all__ = ["Fault", "Proxy"]

_NOT_PASSED = ("host", "content-length")


class Proxy(WireServer):
    """Passes calls on to a platform. `words`: those by which calls are told apart, in the path or the body.

    A call with none of them has the label "".
    """

    def __init__(self, target: str, words: Sequence[str]) -> None:
        super().__init__(self._pass_on, self._word_of)
        self._target = target
        self._words = words

    def failing_before(self) -> web.Response:
        return web.json_response({"errors": [{"message": "try later"}]}, status=500)

    def _word_of(self, request: web.Request, body: bytes) -> str:
        told = f"{request.method} {request.path_qs} ".encode() + body
        return next((word for word in self._words if word.encode() in told), "")

    async def _pass_on(self, request: web.Request, body: bytes) -> web.Response:
        passed = {name: value for name, value in request.headers.items() if name.lower() not in _NOT_PASSED}
        async with httpx.AsyncClient(timeout=60) as client:
            url = f"{self._target}{request.raw_path}"
            answer = await client.request(request.method, url, content=body, headers=passed)
        return web.Response(status=answer.status_code, body=answer.content, content_type="application/json")
