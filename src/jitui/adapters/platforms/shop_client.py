"""How the adapters of platforms call a shop over HTTP: one time-out and one size limit for every call, no redirects."""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from ipaddress import ip_address
from types import TracebackType
from typing import Self

import httpx

from jitui.adapters.platforms.no_connection import why_no_connection
from jitui.aftersales.platform import CallFailed
from jitui.aftersales.provider import CallTrouble

MOST_BYTES = 8 * 1024 * 1024
MOST_SAID = 200
"""How much of an error's text is kept."""
_MOVED = frozenset({301, 307, 308})
"""Redirects that ask for the same request at another address; after 302 and 303 something may have been done."""


@dataclass(frozen=True, slots=True)
class Answered:
    """What came back of a call; names of headers are in any case."""

    status: int
    headers: httpx.Headers
    body: bytes


class Closing(ABC):
    """Closes its connections at the end of `async with client:`."""

    @abstractmethod
    async def close(self) -> None: ...

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()


class ShopClient(Closing):
    """The connections to one shop."""

    def __init__(self, *, timeout_seconds: float, most_bytes: int = MOST_BYTES, auth: httpx.Auth | None = None) -> None:
        self.timeout_seconds = timeout_seconds
        self._most_bytes = most_bytes
        self._auth = auth
        self._client: httpx.AsyncClient | None = None

    async def close(self) -> None:
        """Close the connections; the next call opens new ones."""
        if self._client is not None:
            await self._client.aclose()
            self._client = None

    async def _call(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str],
        content: bytes | None = None,
        params: httpx.QueryParams | None = None,
    ) -> Answered | CallFailed:
        """Whatever was answered, of any status; CallFailed where nothing readable came in time."""
        try:
            async with asyncio.timeout(self.timeout_seconds):
                return await self._exchange(method, url, headers, content, params)
        except (TimeoutError, httpx.TimeoutException):
            return CallFailed("no answer in time", CallTrouble.TIMED_OUT)
        except (httpx.ConnectError, httpx.InvalidURL, httpx.UnsupportedProtocol) as error:
            return CallFailed(f"no connection: {why_no_connection(error)}", CallTrouble.UNREACHABLE, reached=False)
        except httpx.HTTPError as error:
            return CallFailed(f"connection broken: {type(error).__name__}", CallTrouble.UNREACHABLE)

    async def _exchange(
        self,
        method: str,
        url: str,
        headers: Mapping[str, str],
        content: bytes | None,
        params: httpx.QueryParams | None,
    ) -> Answered | CallFailed:
        if self._client is None:
            self._client = httpx.AsyncClient(timeout=None, follow_redirects=False, auth=self._auth)
        body = b""
        async with self._client.stream(method, url, params=params, content=content, headers=headers) as response:
            async for part in response.aiter_bytes():
                body += part
                if len(body) > self._most_bytes:
                    return CallFailed("unreadable answer: it is too long", CallTrouble.UNREADABLE)
            return Answered(response.status_code, response.headers, body)


def redirected(status: int) -> CallFailed | None:
    """What a redirect means; None for any other status."""
    if not 300 <= status < 400:
        return None
    reached = status not in _MOVED
    return CallFailed(f"answered {status}: it sends us to another address", CallTrouble.UNREADABLE, reached=reached)


def root_of(url: str, *endings: str) -> str:
    """Where a shop's API begins, the same for every way to write it; `endings`: paths that its calls begin with."""
    scheme, _, rest = url.strip().partition("://")
    host, slash, path = rest.partition("/")
    scheme, path = scheme.lower(), f"{slash}{path}".rstrip("/")
    host = host.lower().removesuffix({"https": ":443", "http": ":80"}.get(scheme, "/"))
    while ending := next((ending for ending in endings if path.endswith(ending)), ""):
        path = path.removesuffix(ending).rstrip("/")
    return f"{scheme}://{host}{path}" if rest else url


def sentence(text: str) -> str:
    """The text with one full stop behind it; what a platform says ends with one, or does not."""
    return text.rstrip(" .") + "."


NOT_PRIVATE = CallFailed(
    "the address begins with http://, where others could read the key", CallTrouble.UNREACHABLE, reached=False
)
"""What a client says that sends its key by TLS alone. It has sent nothing."""


def is_private(root: str) -> bool:
    """Whether nobody on the way can read a key: TLS, or this machine alone."""
    try:
        url = httpx.URL(root)
        return url.scheme == "https" or ip_address(url.host).is_loopback
    except (httpx.InvalidURL, ValueError):
        return False
