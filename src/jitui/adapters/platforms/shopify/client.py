"""Calls Shopify's GraphQL Admin API, of one version."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

import msgspec
from msgspec import Struct

from jitui.adapters.platforms.shop_client import MOST_SAID, NOT_PRIVATE, ShopClient, is_private, redirected, root_of
from jitui.adapters.platforms.shopify.pace import Pace
from jitui.adapters.platforms.shopify.tokens import Granted, Tokens
from jitui.aftersales.platform import CallFailed
from jitui.aftersales.provider import CallTrouble

VERSION = "2026-04"
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


def shopify_root(url: str) -> str:
    """Where the shop is, whether or not its admin's path was given."""
    return root_of(url, "/admin")


class ShopifyClient(ShopClient):
    """One shop's Admin API. `told_version`: what answered last."""

    def __init__(self, *, base_url: str, secret: str, timeout_seconds: float) -> None:
        super().__init__(timeout_seconds=timeout_seconds)
        self._root = shopify_root(base_url)
        self._tokens = Tokens(secret)
        self._pace = Pace()
        self.told_version = VERSION

    @property
    def webhook_secret(self) -> str:
        """What the app's webhooks are signed with; empty where only a token is known."""
        grant = self._tokens.grant
        return "" if grant is None else grant["client_secret"]

    async def ask(self, query: str, variables: Mapping[str, object]) -> dict[str, Any] | CallFailed:
        """The data of an answer without errors. It waits for the bucket, at most for half of the time-out."""
        token = await self._token()
        if isinstance(token, CallFailed):
            return token
        await asyncio.sleep(min(self._pace.wait_seconds(query), self.timeout_seconds / 2))
        content = msgspec.json.encode({"query": query, "variables": variables})
        headers = {"content-type": "application/json", "x-shopify-access-token": token}
        told = await self._call(
            "POST", f"{self._root}/admin/api/{VERSION}/graphql.json", headers=headers, content=content
        )
        if isinstance(told, CallFailed):
            return told
        if told.status == 401:
            self._tokens.drop()
        self.told_version = told.headers.get("x-shopify-api-version", VERSION)
        answer = _decoded(told.status, told.body)
        if isinstance(answer, CallFailed):
            return answer
        self._pace.note(query, answer.extensions)
        return _data_of(told.status, answer)

    async def _token(self) -> str | CallFailed:
        if not is_private(self._root):
            return NOT_PRIVATE
        grant = self._tokens.grant
        if self._tokens.current is not None or grant is None:
            return self._tokens.current or ""
        headers, content = {"content-type": "application/json"}, msgspec.json.encode(grant)
        told = await self._call("POST", f"{self._root}/admin/oauth/access_token", headers=headers, content=content)
        if isinstance(told, CallFailed):
            return CallFailed(told.reason, told.trouble, reached=False)
        try:
            self._tokens.take(msgspec.json.decode(told.body, type=Granted))
        except (msgspec.MsgspecError, UnicodeDecodeError):
            trouble = CallTrouble.UNAUTHORISED if told.status < 500 else CallTrouble.FAILING
            return CallFailed(f"answered {told.status} and gave no token", trouble, reached=False)
        return self._tokens.current or ""


def _decoded(status: int, body: bytes) -> _Answer | CallFailed:
    if (moved := redirected(status)) is not None:
        return moved
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
