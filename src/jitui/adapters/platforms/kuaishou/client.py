"""Calls Kuaishou's gateway: signed parameters, one time-out and one size limit for every call."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Any

import aiohttp
import msgspec
from msgspec import Struct

from jitui.adapters.platforms.kuaishou.credentials import Credentials, SignMethod, signature
from jitui.adapters.platforms.no_connection import why_no_connection
from jitui.adapters.platforms.shop_client import Closing
from jitui.aftersales.platform import CallFailed, CallRefused
from jitui.aftersales.provider import CallTrouble

MOST_BYTES = 8 * 1024 * 1024
MOST_SAID = 200
"""How much of an error's text is kept."""
SUCCESS = 1
RIGHTS = "merchant_order and merchant_refund"

_REVOKED = "the authorisation has ended or the token has expired: let the merchant authorise the app again, or renew it"
_LACKS_RIGHTS = f"the token lacks rights: let the merchant authorise the app again with {RIGHTS}"
_WRONG_SIGNATURE = (
    "it does not take our signature: compare `app key` and `sign secret` with the app's page, and set this clock"
)
UNAUTHORISED: Mapping[int, str] = {
    21: "the token is not of the shop that this order or request belongs to, or is no token",
    22: _LACKS_RIGHTS,
    24: _REVOKED,
    25: _LACKS_RIGHTS,
    26: _LACKS_RIGHTS,
    27: _WRONG_SIGNATURE,
    28: _WRONG_SIGNATURE,
    100200101: "it does not know the app: compare `app key` with the app's page",
    100200102: _REVOKED,
    100200106: _LACKS_RIGHTS,
}
"""What to do about codes of the gateway by which it did nothing."""
BUSY = frozenset({15, 16, 17, 1016, 1017, 802000})
"""Codes by which it says that there are too many calls."""
BROKEN = frozenset({100200500})
"""Codes by which it says that it is broken itself."""


class Answer(Struct, frozen=True):
    """The envelope of every answer; 200 says nothing, `result` does."""

    result: int
    data: Any = None
    error_msg: str | None = None
    msg: str | None = None
    sub_msg: str | None = None


_read_answer = msgspec.json.Decoder(Answer).decode
Told = CallFailed | CallRefused


class KuaishouClient(Closing):
    """One merchant's shop; a context manager that closes its connections.

    It speaks by aiohttp: httpx logs the address of every call, and a token is in it.
    """

    def __init__(
        self,
        *,
        base_url: str,
        credentials: Credentials,
        timeout_seconds: float,
        clock: Callable[[], datetime],
    ) -> None:
        self._base_url = base_url.rstrip("/")
        self._credentials = credentials
        self._timeout_seconds = timeout_seconds
        self._clock = clock
        self._session: aiohttp.ClientSession | None = None
        self.ahead: timedelta | None = None
        """How far our clock was ahead of the gateway's at the last answer."""

    def now(self) -> datetime:
        """The time by which calls are signed."""
        return self._clock()

    async def close(self) -> None:
        """Close the connections; the next call opens new ones."""
        if self._session is not None:
            await self._session.close()
            self._session = None

    async def read(self, method: str, param: Mapping[str, object]) -> Any | Told:
        """The data of an answer to a call that changes nothing."""
        return await self._call("GET", method, param)

    async def write(self, method: str, param: Mapping[str, object]) -> Any | Told:
        """The data of an answer to a call that changes something."""
        return await self._call("POST", method, param)

    async def renewed(self) -> Any | Told:
        """New tokens for the refresh token, which ends with that."""
        asked = {
            "grant_type": "refresh_token",
            "refresh_token": self._credentials.refresh_token,
            "app_id": self._credentials.app_key,
            "app_secret": self._credentials.app_secret,
        }
        return await self._in_time("POST", f"{self._base_url}/oauth2/refresh_token", {}, asked, whole=True)

    async def _call(self, verb: str, method: str, param: Mapping[str, object]) -> Any | Told:
        params = {
            "access_token": self._credentials.access_token,
            "appkey": self._credentials.app_key,
            "method": method,
            "param": msgspec.json.encode(param).decode(),
            "signMethod": SignMethod.HMAC_SHA256.value,
            "timestamp": str(int(self._clock().timestamp() * 1000)),
            "version": "1",
        }
        params["sign"] = signature(params, self._credentials.sign_secret)
        url = f"{self._base_url}/{method.replace('.', '/')}"
        if verb == "GET":
            return await self._in_time(verb, url, params, None)
        return await self._in_time(verb, url, {"appkey": params.pop("appkey")}, params)

    async def _in_time(
        self, verb: str, url: str, query: Mapping[str, str], form: Mapping[str, str] | None, *, whole: bool = False
    ) -> Any | Told:
        try:
            async with asyncio.timeout(self._timeout_seconds):
                status, body = await self._send(verb, url, query, form)
        except TimeoutError:
            return CallFailed("no answer in time", CallTrouble.TIMED_OUT)
        except (aiohttp.ClientConnectorError, aiohttp.InvalidURL, aiohttp.NonHttpUrlClientError) as error:
            return CallFailed(f"no connection: {why_no_connection(error)}", CallTrouble.UNREACHABLE, reached=False)
        except (aiohttp.ClientError, OSError) as error:
            return CallFailed(f"connection broken: {type(error).__name__}", CallTrouble.UNREACHABLE)
        return _data_of(status, body, whole=whole)

    async def _send(
        self, verb: str, url: str, query: Mapping[str, str], form: Mapping[str, str] | None
    ) -> tuple[int, bytes | None]:
        """The status and body; None for a body that is too long."""
        if self._session is None:
            self._session = aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=None))
        content = b""
        async with self._session.request(verb, url, params=query, data=form, allow_redirects=False) as response:
            self._note_clock(response.headers.get("Date", ""))
            async for part in response.content.iter_any():
                content += part
                if len(content) > MOST_BYTES:
                    return response.status, None
            return response.status, content

    def _note_clock(self, told: str) -> None:
        try:
            self.ahead = self._clock() - parsedate_to_datetime(told)
        except (TypeError, ValueError):
            self.ahead = None


def _data_of(status: int, body: bytes | None, *, whole: bool) -> Any | Told:
    """The answer's data, or `whole` of it; a refusal by the business itself did nothing."""
    if body is None:
        return CallFailed("unreadable answer: it is too long", CallTrouble.UNREADABLE)
    try:
        answer = _read_answer(body)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        trouble = CallTrouble.FAILING if status >= 500 or status == 429 else CallTrouble.UNREADABLE
        return CallFailed(f"answered {status} with what is none of Kuaishou's answers", trouble)
    if answer.result == SUCCESS and status == 200:
        return msgspec.json.decode(body) if whole else answer.data
    return _told(status, answer)


def _told(status: int, answer: Answer) -> Told:
    said = (answer.sub_msg or answer.error_msg or answer.msg or "no words")[:MOST_SAID]
    named = f"{said} (result {answer.result})"
    if answer.result in UNAUTHORISED:
        reason = f"{UNAUTHORISED[answer.result]}. It says: {named}"
        return CallFailed(reason, CallTrouble.UNAUTHORISED, reached=False)
    if answer.result in BUSY:
        return CallFailed(f"too many calls: {named}", CallTrouble.FAILING, reached=False)
    if answer.result in BROKEN or answer.result == SUCCESS or status != 200:
        return CallFailed(named, CallTrouble.FAILING)
    return CallRefused(named)
