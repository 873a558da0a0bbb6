"""Calls Vendure's admin API: GraphQL as text, one time-out and one size limit for every call."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from types import TracebackType
from typing import Any, Self

import httpx
import msgspec
from msgspec import Struct, field

from jitui.aftersales.platform import CallFailed
from jitui.aftersales.provider import CallTrouble

MOST_BYTES = 8 * 1024 * 1024
MOST_SAID = 200
"""How much of an error's text is kept."""


class _Extensions(Struct, frozen=True):
    code: str = ""


class _Error(Struct, frozen=True):
    message: str = ""
    extensions: _Extensions = field(default_factory=_Extensions)


class _Answer(Struct, frozen=True):
    data: dict[str, Any] | None = None
    errors: tuple[_Error, ...] = ()


_read_answer = msgspec.json.Decoder(_Answer).decode
_UNAUTHORISED = frozenset({"FORBIDDEN", "UNAUTHORIZED", "UNAUTHENTICATED"})


class VendureClient:
    """One shop's admin API; a context manager that closes its connections."""

    def __init__(self, *, base_url: str, token: str, timeout_seconds: float) -> None:
        self._url = f"{base_url.rstrip('/')}/admin-api"
        self._headers = {"vendure-api-key": token}
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

    async def ask(
        self, query: str, variables: Mapping[str, object], *, timeout_seconds: float | None = None
    ) -> dict[str, Any] | CallFailed:
        """The data of an answer without errors."""
        try:
            async with asyncio.timeout(timeout_seconds or self._timeout_seconds):
                status, body = await self._post({"query": query, "variables": variables})
        except (TimeoutError, httpx.TimeoutException):
            return CallFailed("no answer in time", CallTrouble.TIMED_OUT)
        except (httpx.ConnectError, httpx.InvalidURL, httpx.UnsupportedProtocol) as error:
            return CallFailed(f"no connection: {type(error).__name__}", CallTrouble.UNREACHABLE, reached=False)
        except httpx.HTTPError as error:
            return CallFailed(f"connection broken: {type(error).__name__}", CallTrouble.UNREACHABLE)
        return _data_of(status, body)

    async def _post(self, asked: Mapping[str, object]) -> tuple[int, bytes | None]:
        """The status and body; None for a body that is too long."""
        if self._client is None:
            self._client = httpx.AsyncClient(timeout=None, follow_redirects=False)
        body, content = msgspec.json.encode(asked), b""
        headers = {**self._headers, "content-type": "application/json"}
        async with self._client.stream("POST", self._url, content=body, headers=headers) as response:
            async for part in response.aiter_bytes():
                content += part
                if len(content) > MOST_BYTES:
                    return response.status_code, None
            return response.status_code, content


def _data_of(status: int, body: bytes | None) -> dict[str, Any] | CallFailed:
    """GraphQL answers 200, 400 or 500 with the same form; what has another form is not Vendure's."""
    if body is None:
        return CallFailed("unreadable answer: it is too long", CallTrouble.UNREADABLE)
    try:
        answer = _read_answer(body)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        trouble = CallTrouble.FAILING if status >= 500 else CallTrouble.UNREADABLE
        return CallFailed(f"answered {status} with what is no GraphQL", trouble)
    codes = {error.extensions.code for error in answer.errors}
    said = "; ".join(error.message for error in answer.errors)[:MOST_SAID]
    if codes & _UNAUTHORISED or status in (401, 403):
        return CallFailed(said or f"answered {status}", CallTrouble.UNAUTHORISED, reached=False)
    if answer.errors or status >= 500:
        return CallFailed(said or f"answered {status}", CallTrouble.FAILING)
    if answer.data is None or status != 200:
        return CallFailed(f"answered {status} without data", CallTrouble.UNREADABLE)
    return answer.data
