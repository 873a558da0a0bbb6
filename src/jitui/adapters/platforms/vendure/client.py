"""Calls Vendure's admin API: GraphQL as text."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec
from msgspec import Struct, field

from jitui.adapters.platforms.shop_client import MOST_SAID, ShopClient, root_of
from jitui.aftersales.platform import CallFailed
from jitui.aftersales.provider import CallTrouble


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


def vendure_root(url: str) -> str:
    """Where the shop is, whether or not its admin API's path was given."""
    return root_of(url, "/admin-api")


class VendureClient(ShopClient):
    """One shop's admin API."""

    def __init__(self, *, base_url: str, token: str, timeout_seconds: float) -> None:
        super().__init__(timeout_seconds=timeout_seconds)
        self._url = f"{vendure_root(base_url)}/admin-api"
        self._headers = {"vendure-api-key": token, "content-type": "application/json"}

    async def ask(self, query: str, variables: Mapping[str, object]) -> dict[str, Any] | CallFailed:
        """The data of an answer without errors."""
        content = msgspec.json.encode({"query": query, "variables": variables})
        told = await self._call("POST", self._url, headers=self._headers, content=content)
        return told if isinstance(told, CallFailed) else _data_of(told.status, told.body)


def _data_of(status: int, body: bytes) -> dict[str, Any] | CallFailed:
    """GraphQL answers 200, 400 or 500 with the same form; what has another form is not Vendure's."""
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
