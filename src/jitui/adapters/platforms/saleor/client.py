"""Calls Saleor's API: GraphQL as text; amounts stay decimals."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeVar

import msgspec
from msgspec import Raw, Struct, field

from jitui.adapters.platforms.shop_client import MOST_SAID, ShopClient, root_of
from jitui.aftersales.platform import CallFailed
from jitui.aftersales.provider import CallTrouble

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


def saleor_root(url: str) -> str:
    """Where the shop is, whether or not its API's path was given."""
    return root_of(url, "/graphql")


class SaleorClient(ShopClient):
    """One shop's API."""

    def __init__(self, *, base_url: str, token: str, timeout_seconds: float) -> None:
        super().__init__(timeout_seconds=timeout_seconds)
        self._root = saleor_root(base_url)
        self._url = f"{self._root}/graphql/"
        self._headers = {"authorization": f"Bearer {token}", "content-type": "application/json"}

    async def ask(self, query: str, variables: Mapping[str, object], form: type[_Data]) -> _Data | CallFailed:
        """The data of an answer without errors, in this form."""
        content = msgspec.json.encode({"query": query, "variables": variables})
        told = await self._call("POST", self._url, headers=self._headers, content=content)
        data = told if isinstance(told, CallFailed) else _data_of(told.status, told.body)
        if isinstance(data, CallFailed):
            return data
        try:
            return msgspec.json.decode(data, type=form)
        except msgspec.MsgspecError as error:
            return CallFailed(f"unreadable answer: {error}", CallTrouble.UNREADABLE)

    async def key_set(self) -> dict[str, object] | CallFailed:
        """The public keys that its webhooks are signed with."""
        told = await self._call("GET", f"{self._root}/.well-known/jwks.json", headers={"accept": "application/json"})
        if isinstance(told, CallFailed):
            return told
        if told.status != 200:
            return CallFailed(f"answered {told.status}", CallTrouble.UNREADABLE)
        try:
            return msgspec.json.decode(told.body, type=dict[str, object])
        except msgspec.MsgspecError as error:
            return CallFailed(f"unreadable answer: {error}", CallTrouble.UNREADABLE)


def _data_of(status: int, body: bytes) -> Raw | CallFailed:
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
