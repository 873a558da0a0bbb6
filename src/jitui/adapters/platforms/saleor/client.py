"""Calls Saleor's API: GraphQL as text, one time-out and one size limit for every call; amounts stay decimals."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from types import TracebackType
from typing import Self, TypeVar

import httpx
import msgspec
from msgspec import Raw, Struct, field

from jitui.aftersales.platform import CallFailed
from jitui.aftersales.provider import CallTrouble

MOST_BYTES = 8 * 1024 * 1024
MOST_SAID = 200
"""How much of an error's text is kept."""
_Data = TypeVar("_Data")


class _Exception(Struct, frozen=True):
    code: str = ""


class _Extensions(Struct, frozen=True):
    exception: _Exception = field(default_factory=_Exception)


class _Error(Struct, frozen=True):
    message: str = ""
    extensions: _Extensions = field(default_factory=_Extensions)


class _Answer(Struct, frozen=True):
    data: Raw = Raw(b"null")
    errors: tuple[_Error, ...] = ()


_read_answer = msgspec.json.Decoder(_Answer).decode
_UNAUTHORISED = frozenset({"PermissionDenied", "InvalidTokenError", "ExpiredSignatureError", "DecodeError"})
_NOT_DONE = frozenset({"QueryCostError", "GraphQLError", "ValidationError"})
"""Errors by which the query was not begun: it costs too much, or this version does not know it."""


class SaleorClient:
    """One shop's API; a context manager that closes its connections."""

    def __init__(self, *, base_url: str, token: str, timeout_seconds: float) -> None:
        self._url = f"{base_url.rstrip('/').removesuffix('/graphql')}/graphql/"
        self._headers = {"authorization": f"Bearer {token}", "content-type": "application/json"}
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

    async def ask(self, query: str, variables: Mapping[str, object], form: type[_Data]) -> _Data | CallFailed:
        """The data of an answer without errors, in this form."""
        try:
            async with asyncio.timeout(self._timeout_seconds):
                status, body = await self._post({"query": query, "variables": variables})
        except (TimeoutError, httpx.TimeoutException):
            return CallFailed("no answer in time", CallTrouble.TIMED_OUT)
        except (httpx.ConnectError, httpx.InvalidURL, httpx.UnsupportedProtocol) as error:
            return CallFailed(f"no connection: {type(error).__name__}", CallTrouble.UNREACHABLE, reached=False)
        except httpx.HTTPError as error:
            return CallFailed(f"connection broken: {type(error).__name__}", CallTrouble.UNREACHABLE)
        data = _data_of(status, body)
        if isinstance(data, CallFailed):
            return data
        try:
            return msgspec.json.decode(data, type=form)
        except msgspec.MsgspecError as error:
            return CallFailed(f"unreadable answer: {error}", CallTrouble.UNREADABLE)

    async def _post(self, asked: Mapping[str, object]) -> tuple[int, bytes | None]:
        """The status and body; None for a body that is too long."""
        if self._client is None:
            self._client = httpx.AsyncClient(timeout=None, follow_redirects=False)
        body, content = msgspec.json.encode(asked), b""
        async with self._client.stream("POST", self._url, content=body, headers=self._headers) as response:
            async for part in response.aiter_bytes():
                content += part
                if len(content) > MOST_BYTES:
                    return response.status_code, None
            return response.status_code, content


def _data_of(status: int, body: bytes | None) -> Raw | CallFailed:
    if body is None:
        return CallFailed("unreadable answer: it is too long", CallTrouble.UNREADABLE)
    try:
        answer = _read_answer(body)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        trouble = CallTrouble.FAILING if status >= 500 or status == 429 else CallTrouble.UNREADABLE
        return CallFailed(f"answered {status} with what is no GraphQL", trouble)
    codes = {error.extensions.exception.code for error in answer.errors}
    said = "; ".join(error.message for error in answer.errors)[:MOST_SAID]
    if codes & _UNAUTHORISED or status in (401, 403):
        return CallFailed(said or f"answered {status}", CallTrouble.UNAUTHORISED, reached=False)
    if answer.errors and codes <= _NOT_DONE:
        return CallFailed(said, CallTrouble.UNREADABLE, reached=False)
    if answer.errors or status >= 500:
        return CallFailed(said or f"answered {status}", CallTrouble.FAILING)
    if status != 200 or bytes(answer.data) == b"null":
        return CallFailed(f"answered {status} without data", CallTrouble.UNREADABLE)
    return answer.data
