"""Calls Medusa's admin interface."""

from __future__ import annotations

import re
from base64 import b64encode
from collections.abc import Mapping, Sequence
from typing import TypeVar

import httpx
import msgspec
from msgspec import Struct

from jitui.adapters.platforms.shop_client import MOST_SAID, ShopClient, root_of
from jitui.aftersales.platform import CallFailed
from jitui.aftersales.provider import CallTrouble

MOST_BYTES = 16 * 1024 * 1024
"""A page of orders has every line's taxes and product: some 300 kilobytes for fifty orders of a few lines."""

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


_QUERY = re.compile(r"\?\S*")


def medusa_root(url: str) -> str:
    """Where the shop is, whether or not its admin interface's path was given."""
    return root_of(url, "/admin")


class MedusaClient(ShopClient):
    """One shop's admin interface."""

    def __init__(self, *, base_url: str, token: str, timeout_seconds: float) -> None:
        super().__init__(timeout_seconds=timeout_seconds, most_bytes=MOST_BYTES)
        self._url = f"{medusa_root(base_url)}/admin"
        self._headers = {"authorization": f"Basic {b64encode(f'{token.strip()}:'.encode()).decode()}"}

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
        headers = {**self._headers, "content-type": "application/json"} if content else self._headers
        params = httpx.QueryParams(list(query))
        told = await self._call(method, f"{self._url}/{path}", headers=headers, content=content, params=params)
        return told if isinstance(told, CallFailed) else _answer_of(told.status, told.body, form)


def _answer_of(status: int, body: bytes, form: type[Form]) -> Form | Refusal | CallFailed:
    """What was answered, in its form; an error has Medusa's form, and what has another is not Medusa's."""
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
    said = _QUERY.sub("", told.message)  # who asks for an address that is not there is told it whole
    return Refusal(status, told.type, said[:MOST_SAID])
