"""Calls Shopify's GraphQL Admin API: one version, one time-out and one size limit for every call, no redirects."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from ipaddress import ip_address
from types import TracebackType
from typing import Any, Self

import httpx
import msgspec
from msgspec import Struct

from jitui.adapters.platforms.shopify.pace import Pace
from jitui.adapters.platforms.shopify.tokens import Granted, Tokens
from jitui.aftersales.platform import CallFailed
from jitui.aftersales.provider import CallTrouble

VERSION = "2026-04"
MOST_BYTES = 8 * 1024 * 1024
MOST_SAID = 200
"""How much of an error's text is kept."""
_MOVED = frozenset({301, 307, 308})
"""Redirects that ask for the same request at another address; after 302 and 303 something may have been done."""
_NOT_TAKEN = {
    400: CallTrouble.UNREADABLE,
    401: CallTrouble.UNAUTHORISED,
    402: CallTrouble.FAILING,  # the shop is frozen
    403: CallTrouble.UNAUTHORISED,
    404: CallTrouble.UNREADABLE,
    423: CallTrouble.FAILING,  # the shop is locked
    429: CallTrouble.FAILING,
    430: CallTrouble.FAILING,
}
"""Statuses by which Shopify turns a request away before it does anything."""
_BEFORE = {
    "THROTTLED": CallTrouble.FAILING,
    "ACCESS_DENIED": CallTrouble.UNAUTHORISED,
    "SHOP_INACTIVE": CallTrouble.FAILING,
    "MAX_COST_EXCEEDED": CallTrouble.UNREADABLE,
}
"""Codes of GraphQL errors by which nothing was executed."""


class _Answer(Struct, frozen=True):
    """`errors`: a list of errors, or a text where the request did not come as far as GraphQL."""

    data: dict[str, Any] | None = None
    errors: Any = None
    extensions: Any = None


_read_answer = msgspec.json.Decoder(_Answer).decode


class ShopifyClient:
    """One shop's Admin API; a context manager that closes its connections. `told_version`: what answered last."""

    def __init__(self, *, base_url: str, secret: str, timeout_seconds: float) -> None:
        self._root = base_url.rstrip("/").removesuffix("/admin")
        self._tokens = Tokens(secret)
        self._pace = Pace()
        self.timeout_seconds = timeout_seconds
        self.told_version = VERSION
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

    async def ask(self, query: str, variables: Mapping[str, object]) -> dict[str, Any] | CallFailed:
        """The data of an answer without errors. It waits for the bucket, at most for half of the time-out."""
        token = await self._token()
        if isinstance(token, CallFailed):
            return token
        await asyncio.sleep(min(self._pace.wait_seconds(query), self.timeout_seconds / 2))
        content = msgspec.json.encode({"query": query, "variables": variables})
        headers = {"content-type": "application/json", "x-shopify-access-token": token}
        told = await self._post(f"/admin/api/{VERSION}/graphql.json", content, headers)
        if isinstance(told, CallFailed):
            return told
        response, body = told
        if response.status_code == 401:
            self._tokens.drop()
        self.told_version = response.headers.get("x-shopify-api-version", VERSION)
        answer = _decoded(response, body)
        if isinstance(answer, CallFailed):
            return answer
        self._pace.note(query, answer.extensions)
        return _data_of(response.status_code, answer)

    async def _token(self) -> str | CallFailed:
        if not _is_private(self._root):
            why = "the address must begin with https://"
            return CallFailed(why, CallTrouble.UNAUTHORISED, reached=False)
        grant = self._tokens.grant
        if self._tokens.current is not None or grant is None:
            return self._tokens.current or ""
        told = await self._post(
            "/admin/oauth/access_token", msgspec.json.encode(grant), {"content-type": "application/json"}
        )
        if isinstance(told, CallFailed):
            return CallFailed(told.reason, told.trouble, reached=False)
        response, body = told
        try:
            self._tokens.take(msgspec.json.decode(body or b"", type=Granted))
        except (msgspec.MsgspecError, UnicodeDecodeError):
            trouble = CallTrouble.UNAUTHORISED if response.status_code < 500 else CallTrouble.FAILING
            return CallFailed(f"answered {response.status_code} and gave no token", trouble, reached=False)
        return self._tokens.current or ""

    async def _post(
        self, path: str, content: bytes, headers: Mapping[str, str]
    ) -> tuple[httpx.Response, bytes | None] | CallFailed:
        """The response and its body; None for a body that is too long."""
        if self._client is None:
            self._client = httpx.AsyncClient(timeout=None, follow_redirects=False)
        body = b""
        try:
            async with (
                asyncio.timeout(self.timeout_seconds),
                self._client.stream("POST", f"{self._root}{path}", content=content, headers=headers) as response,
            ):
                async for part in response.aiter_bytes():
                    body += part
                    if len(body) > MOST_BYTES:
                        return response, None
                return response, body
        except (TimeoutError, httpx.TimeoutException):
            return CallFailed("no answer in time", CallTrouble.TIMED_OUT)
        except (httpx.ConnectError, httpx.InvalidURL, httpx.UnsupportedProtocol) as error:
            return CallFailed(f"no connection: {type(error).__name__}", CallTrouble.UNREACHABLE, reached=False)
        except httpx.HTTPError as error:
            return CallFailed(f"connection broken: {type(error).__name__}", CallTrouble.UNREACHABLE)


def _is_private(root: str) -> bool:
    """Whether nobody on the way can read the token: TLS, or this machine alone."""
    try:
        url = httpx.URL(root)
        return url.scheme == "https" or ip_address(url.host).is_loopback
    except (httpx.InvalidURL, ValueError):
        return False


def _decoded(response: httpx.Response, body: bytes | None) -> _Answer | CallFailed:
    status = response.status_code
    if body is None:
        return CallFailed("unreadable answer: it is too long", CallTrouble.UNREADABLE)
    if 300 <= status < 400:
        reached = status not in _MOVED
        return CallFailed(f"answered {status}: it sends us to another address", CallTrouble.UNREADABLE, reached=reached)
    try:
        answer = _read_answer(body)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        answer = None
    if status in _NOT_TAKEN:
        said = "" if answer is None else _said(answer.errors)
        reason = f"answered {status}: {said}".removesuffix(": ")[:MOST_SAID]
        return CallFailed(reason, _NOT_TAKEN[status], reached=False)
    if answer is None:
        trouble = CallTrouble.FAILING if status >= 500 else CallTrouble.UNREADABLE
        return CallFailed(f"answered {status} with what is no GraphQL", trouble)
    return answer


def _data_of(status: int, answer: _Answer) -> dict[str, Any] | CallFailed:
    """An error beside data makes the data a part: it is never taken for the whole."""
    if answer.errors:
        codes = _codes(answer.errors)
        before = next((_BEFORE[code] for code in codes if code in _BEFORE), None)
        if before is None and codes and all(code[:1].islower() for code in codes):
            before = CallTrouble.UNREADABLE  # `undefinedField` and its kind: the query did not pass the schema
        return CallFailed(_said(answer.errors)[:MOST_SAID], before or CallTrouble.FAILING, reached=before is None)
    if status >= 500:
        return CallFailed(f"answered {status}", CallTrouble.FAILING)
    if answer.data is None or status != 200:
        return CallFailed(f"answered {status} without data", CallTrouble.UNREADABLE)
    return answer.data


def _codes(errors: Any) -> list[str]:
    found: list[str] = []
    for error in errors if isinstance(errors, list) else ():
        told = error.get("extensions") if isinstance(error, dict) else None
        code = told.get("code") if isinstance(told, dict) else None
        found += [code] if isinstance(code, str) else []
    return found


def _said(errors: Any) -> str:
    if isinstance(errors, list):
        return "; ".join(str(error.get("message") if isinstance(error, dict) else error) for error in errors)
    return str(errors or "")
