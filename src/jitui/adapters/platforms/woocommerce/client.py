"""Calls WooCommerce's REST API: one time-out and one size limit for every call, no redirects, the key only over TLS."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from ipaddress import ip_address
from types import TracebackType
from typing import Any, Self

import httpx
import msgspec
from msgspec import Struct

from jitui.aftersales.platform import CallFailed
from jitui.aftersales.provider import CallTrouble

MOST_BYTES = 16 * 1024 * 1024
MOST_SAID = 200
"""How much of an error's text is kept."""
NO_ROUTE = "rest_no_route"
_MOVED = frozenset({301, 307, 308})
"""Redirects that ask for the same request at another address; after 302 and 303 something may have been done."""


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer of 200 or 201. `pages`: how many a list has."""

    body: bytes
    pages: int


@dataclass(frozen=True, slots=True)
class WooError:
    """An error in WordPress' own form: its code says what it means, its message is in the shop's language."""

    status: int
    code: str
    message: str

    def as_failed(self) -> CallFailed:
        """The same as a call that came to nothing."""
        trouble = CallTrouble.UNREADABLE if self.code == NO_ROUTE else CallTrouble.FAILING
        return CallFailed(f"{self.message} ({self.code})"[:MOST_SAID], trouble, reached=self.code != NO_ROUTE)


class _Told(Struct, frozen=True):
    """`code` is a number where a fulfilment's error comes from an exception. `data` may be a bare number."""

    code: str | int
    message: str = ""
    data: Any = None


_read_error = msgspec.json.Decoder(_Told).decode


class WooCommerceClient:
    """One shop's REST API; a context manager that closes its connections."""

    def __init__(self, *, base_url: str, key: str, secret: str, timeout_seconds: float) -> None:
        self._root = base_url.rstrip("/").removesuffix("/wp-json")
        self._auth = httpx.BasicAuth(key, secret)
        self.timeout_seconds = timeout_seconds
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

    async def get(self, path: str, **params: str | int) -> Answer | WooError | CallFailed:
        """Read `/wp-json/wc/v3/{path}`."""
        return await self._ask("GET", path, params, None)

    async def send(self, method: str, path: str, body: Mapping[str, object]) -> Answer | WooError | CallFailed:
        """Write there, by POST or PUT."""
        return await self._ask(method, path, {}, msgspec.json.encode(body))

    async def _ask(
        self, method: str, path: str, params: Mapping[str, str | int], content: bytes | None
    ) -> Answer | WooError | CallFailed:
        if not _is_private(self._root):
            why = "the address must begin with https://, because WooCommerce takes the key over TLS alone"
            return CallFailed(why, CallTrouble.UNAUTHORISED, reached=False)
        try:
            async with asyncio.timeout(self.timeout_seconds):
                response, body = await self._exchange(method, path, params, content)
        except (TimeoutError, httpx.TimeoutException):
            return CallFailed("no answer in time", CallTrouble.TIMED_OUT)
        except (httpx.ConnectError, httpx.InvalidURL, httpx.UnsupportedProtocol) as error:
            return CallFailed(f"no connection: {type(error).__name__}", CallTrouble.UNREACHABLE, reached=False)
        except httpx.HTTPError as error:
            return CallFailed(f"connection broken: {type(error).__name__}", CallTrouble.UNREACHABLE)
        return _read(response, body)

    async def _exchange(
        self, method: str, path: str, params: Mapping[str, str | int], content: bytes | None
    ) -> tuple[httpx.Response, bytes | None]:
        """The response and its body; None for a body that is too long."""
        if self._client is None:
            self._client = httpx.AsyncClient(timeout=None, follow_redirects=False, auth=self._auth)
        url, body = f"{self._root}/wp-json/wc/v3/{path}", b""
        headers = {"accept": "application/json"}
        if content is not None:
            headers["content-type"] = "application/json"
        async with self._client.stream(method, url, params=params, content=content, headers=headers) as response:
            async for part in response.aiter_bytes():
                body += part
                if len(body) > MOST_BYTES:
                    return response, None
            return response, body


def _is_private(root: str) -> bool:
    """Whether nobody on the way can read the key: TLS, or this machine alone."""
    try:
        url = httpx.URL(root)
        return url.scheme == "https" or ip_address(url.host).is_loopback
    except (httpx.InvalidURL, ValueError):
        return False


def _read(response: httpx.Response, body: bytes | None) -> Answer | WooError | CallFailed:
    status = response.status_code
    if body is None:
        return CallFailed("unreadable answer: it is too long", CallTrouble.UNREADABLE)
    if status in (200, 201):
        pages = response.headers.get("x-wp-totalpages", "1")
        return Answer(body, int(pages) if pages.isdecimal() else 1)
    if 300 <= status < 400:
        return CallFailed(
            f"answered {status}: it sends us to another address", CallTrouble.UNREADABLE, reached=status not in _MOVED
        )
    told = _error_of(status, body)
    if status in (401, 403):
        said = told.message if told is not None else "no WordPress: a firewall?"
        return CallFailed(f"answered {status}: {said}"[:MOST_SAID], CallTrouble.UNAUTHORISED, reached=False)
    if status == 429:
        return CallFailed("answered 429: too many requests", CallTrouble.FAILING, reached=False)
    if told is not None:
        return told
    trouble = CallTrouble.FAILING if status >= 500 else CallTrouble.UNREADABLE
    return CallFailed(f"answered {status} with what is no WooCommerce", trouble)


def _error_of(status: int, body: bytes) -> WooError | None:
    try:
        told = _read_error(body)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return None
    return WooError(status, str(told.code), told.message[:MOST_SAID])
