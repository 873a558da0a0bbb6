"""Calls Medusa's admin interface: one time-out and one size limit for every call, and no redirects."""

from __future__ import annotations

import asyncio
from base64 import b64encode
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Self, TypeVar

import httpx
import msgspec
from msgspec import Struct

from jitui.aftersales.platform import CallFailed
from jitui.aftersales.provider import CallTrouble

MOST_BYTES = 16 * 1024 * 1024
"""A page of orders has every line's taxes and product: some 300 kilobytes for fifty orders of a few lines."""
MOST_SAID = 200
"""How much of an error's text is kept."""

Form = TypeVar("Form")
Query = Sequence[tuple[str, str]]

_write = msgspec.json.Encoder(decimal_format="number").encode
"""Amounts are numbers in Medusa's JSON; a decimal is written with its own digits."""


class Refusal(Struct, frozen=True):
    """Medusa's own form for a call that it does not carry out; `status` is that of the answer."""

    status: int
    kind: str
    reason: str


class _Error(Struct, frozen=True):
    message: str
    type: str = ""


_read_error = msgspec.json.Decoder(_Error).decode


class MedusaClient:
    """One shop's admin interface; a context manager that closes its connections."""

    def __init__(self, *, base_url: str, token: str, timeout_seconds: float) -> None:
        self._url = f"{base_url.rstrip('/')}/admin"
        self._headers = {"authorization": f"Basic {b64encode(f'{token.strip()}:'.encode()).decode()}"}
        self._timeout_seconds = timeout_seconds
        self._client: httpx.AsyncClient | None = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Close the connections; the next call opens new ones."""
        if self._client is not None:
            await self._client.aclose()
            self._client = None

    async def get(self, path: str, form: type[Form], query: Query = ()) -> Form | Refusal | CallFailed:
        """Read."""
        return await self._ask("GET", path, form, query, b"")

    async def post(
        self, path: str, form: type[Form], body: Mapping[str, object], query: Query = ()
    ) -> Form | Refusal | CallFailed:
        """Change something."""
        return await self._ask("POST", path, form, query, _write(body))

    async def delete(self, path: str, form: type[Form]) -> Form | Refusal | CallFailed:
        """Take something back."""
        return await self._ask("DELETE", path, form, (), b"")

    async def _ask(
        self, method: str, path: str, form: type[Form], query: Query, content: bytes
    ) -> Form | Refusal | CallFailed:
        try:
            async with asyncio.timeout(self._timeout_seconds):
                status, body = await self._send(method, path, query, content)
        except (TimeoutError, httpx.TimeoutException):
            return CallFailed("no answer in time", CallTrouble.TIMED_OUT)
        except (httpx.ConnectError, httpx.InvalidURL, httpx.UnsupportedProtocol) as error:
            return CallFailed(f"no connection: {type(error).__name__}", CallTrouble.UNREACHABLE, reached=False)
        except httpx.HTTPError as error:
            return CallFailed(f"connection broken: {type(error).__name__}", CallTrouble.UNREACHABLE)
        return _answer_of(status, body, form)

    async def _send(self, method: str, path: str, query: Query, content: bytes) -> tuple[int, bytes | None]:
        """The status and body; None for a body that is too long."""
        if self._client is None:
            self._client = httpx.AsyncClient(timeout=None, follow_redirects=False)
        headers = {**self._headers, "content-type": "application/json"} if content else self._headers
        url, body = f"{self._url}/{path}", b""
        params = httpx.QueryParams(list(query))
        async with self._client.stream(method, url, params=params, content=content, headers=headers) as response:
            async for part in response.aiter_bytes():
                body += part
                if len(body) > MOST_BYTES:
                    return response.status_code, None
            return response.status_code, body


def _answer_of(status: int, body: bytes | None, form: type[Form]) -> Form | Refusal | CallFailed:
    """What was answered, in its form; an error has Medusa's form, and what has another is not Medusa's."""
    if body is None:
        return CallFailed("unreadable answer: it is too long", CallTrouble.UNREADABLE)
    if status in (200, 201):
        try:
            return msgspec.json.decode(body, type=form)
        except (msgspec.MsgspecError, UnicodeDecodeError) as error:
            return CallFailed(f"unreadable answer: {str(error)[:MOST_SAID]}", CallTrouble.UNREADABLE)
    if status in (401, 403):
        return CallFailed(f"answered {status}", CallTrouble.UNAUTHORISED, reached=False)
    if status >= 500 or status in (409, 429):  # 409: two calls at once, of which the database took one
        return CallFailed(f"answered {status}", CallTrouble.FAILING)
    try:
        told = _read_error(body)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return CallFailed(f"answered {status} with what is no Medusa's", CallTrouble.UNREADABLE)
    return Refusal(status, told.type, told.message[:MOST_SAID])
