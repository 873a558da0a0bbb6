"""Calls WooCommerce's REST API, with the key only over TLS."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import httpx
import msgspec
from msgspec import Struct

from jitui.adapters.platforms.shop_client import (
    MOST_SAID,
    NOT_PRIVATE,
    Answered,
    ShopClient,
    is_private,
    redirected,
    root_of,
)
from jitui.aftersales.platform import CallFailed
from jitui.aftersales.provider import CallTrouble

MOST_BYTES = 16 * 1024 * 1024
NO_ROUTE = "rest_no_route"


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


def woocommerce_root(url: str) -> str:
    """Where the shop is, whether or not its REST API's path was given."""
    return root_of(url, "/wp-json", "/wp-json/wc/v3")


class WooCommerceClient(ShopClient):
    """One shop's REST API."""

    def __init__(self, *, base_url: str, key: str, secret: str, timeout_seconds: float) -> None:
        super().__init__(timeout_seconds=timeout_seconds, most_bytes=MOST_BYTES, auth=httpx.BasicAuth(key, secret))
        self._root = woocommerce_root(base_url)

    async def get(self, path: str, **params: str | int) -> Answer | WooError | CallFailed:
        """Read `/wp-json/wc/v3/{path}`."""
        return await self._ask("GET", path, params, None)

    async def send(self, method: str, path: str, body: Mapping[str, object]) -> Answer | WooError | CallFailed:
        """Write there, by POST or PUT."""
        return await self._ask(method, path, {}, msgspec.json.encode(body))

    async def _ask(
        self, method: str, path: str, params: Mapping[str, str | int], content: bytes | None
    ) -> Answer | WooError | CallFailed:
        if not is_private(self._root):
            return NOT_PRIVATE
        headers = {"accept": "application/json"}
        if content is not None:
            headers["content-type"] = "application/json"
        url, query = f"{self._root}/wp-json/wc/v3/{path}", httpx.QueryParams(dict(params))
        told = await self._call(method, url, headers=headers, content=content, params=query)
        return told if isinstance(told, CallFailed) else _read(told)


def _read(told: Answered) -> Answer | WooError | CallFailed:
    status = told.status
    if status in (200, 201):
        pages = told.headers.get("x-wp-totalpages", "1")
        return Answer(told.body, int(pages) if pages.isdecimal() else 1)
    if (moved := redirected(status)) is not None:
        return moved
    error = _error_of(status, told.body)
    if status in (401, 403):
        said = error.message if error is not None else "no WordPress: a firewall?"
        return CallFailed(f"answered {status}: {said}"[:MOST_SAID], CallTrouble.UNAUTHORISED, reached=False)
    if status == 429:
        return CallFailed("answered 429: too many requests", CallTrouble.FAILING, reached=False)
    if error is not None:
        return error
    trouble = CallTrouble.FAILING if status >= 500 else CallTrouble.UNREADABLE
    return CallFailed(f"answered {status} with what is no WooCommerce", trouble)


def _error_of(status: int, body: bytes) -> WooError | None:
    try:
        told = _read_error(body)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return None
    return WooError(status, str(told.code), told.message[:MOST_SAID])
