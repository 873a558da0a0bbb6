"""Sends calls over HTTP: one client that blocks, and one for asyncio. Both do what `jitui.client.exchange` says."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import AsyncIterator, Iterator
from ipaddress import ip_address
from types import TracebackType
from typing import Any, NoReturn
from urllib.parse import urlsplit
from uuid import uuid4

import httpx

from jitui.client.call import Call, ListCall, Row, Value
from jitui.client.exchange import (
    LARGEST_ANSWER_BYTES,
    Answered,
    Limits,
    Lost,
    Pause,
    Received,
    Send,
    Steps,
    exchange,
)
from jitui.client.problem import Problem, Refused, WrongAnswer
from jitui.errors import BadInput

_NOT_SENT = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout, httpx.ProxyError)
_CONNECT_SECONDS = 5.0


class Client:
    """Calls the service and waits for the answer. Usable from several threads.

    `url` is the service's address, `key` an API key. An address without TLS of another machine is refused unless
    `allow_http`, because the key could be read on the way. `transport` is httpx's, for a proxy or certificates of one's
    own. Raises BadInput for an address or a key that cannot be used.
    """

    def __init__(
        self,
        url: str,
        key: str = "",
        *,
        limits: Limits = Limits(),  # noqa: B008  # frozen
        allow_http: bool = False,
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        self._limits = limits
        self._http = httpx.Client(**_http_options(url, key, allow_http=allow_http), transport=transport)

    def send(self, call: Call[Value]) -> Value:
        """The answer. Raises Refused with the problem that the service named, NoAnswer, WrongAnswer."""
        return _value(self.outcome(call))

    def outcome(self, call: Call[Value]) -> Answered[Value] | Problem:
        """The answer with its status and request id, or the problem as a value. Raises NoAnswer, WrongAnswer."""
        steps = _steps(call, self._limits)
        came: Received | Lost | None = None
        while True:
            try:
                step = steps.send(came)
            except StopIteration as done:
                outcome: Answered[Value] | Problem = done.value
                return outcome
            if isinstance(step, Pause):
                time.sleep(step.seconds)
                came = None
            else:
                came = self._try(step)

    def pages(self, call: ListCall[Value, Row]) -> Iterator[Value]:
        """Every page of a list, each asked for when it is needed."""
        following: ListCall[Value, Row] | None = call
        while following is not None:
            page = self.send(following)
            yield page
            following = following.following(page)

    def each(self, call: ListCall[Value, Row]) -> Iterator[Row]:
        """Every row of a list, page by page."""
        for page in self.pages(call):
            yield from call.rows_of(page)

    def follow(self, call: ListCall[Value, Row]) -> Iterator[Value]:
        """Pages of the feed without end, as events come. `next` of a page is where to go on, when its events are done.

        Ask with `wait_seconds`, or it asks again at once.
        """
        while True:
            page = self.send(call)
            if call.rows_of(page):
                yield page
            call = call.beginning_at(page.next)  # type: ignore[attr-defined]

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _try(self, step: Send) -> Received | Lost:
        ends_at = time.monotonic() + step.timeout_seconds
        try:
            with self._http.stream(**_request(step)) as response:
                body = _Body(step, ends_at)
                for part in response.iter_bytes():
                    body.take(part)
                return _received(response, body)
        except (httpx.TransportError, _TooSlow) as error:
            return _lost(error)
        except httpx.DecodingError as error:
            _refuse_answer(error, step)


class AsyncClient:
    """Calls the service from asyncio; the same as `Client` otherwise."""

    def __init__(
        self,
        url: str,
        key: str = "",
        *,
        limits: Limits = Limits(),  # noqa: B008  # frozen
        allow_http: bool = False,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        self._limits = limits
        self._http = httpx.AsyncClient(**_http_options(url, key, allow_http=allow_http), transport=transport)

    async def send(self, call: Call[Value]) -> Value:
        """The answer. Raises Refused with the problem that the service named, NoAnswer, WrongAnswer."""
        return _value(await self.outcome(call))

    async def outcome(self, call: Call[Value]) -> Answered[Value] | Problem:
        """The answer with its status and request id, or the problem as a value. Raises NoAnswer, WrongAnswer."""
        steps = _steps(call, self._limits)
        came: Received | Lost | None = None
        while True:
            try:
                step = steps.send(came)
            except StopIteration as done:
                outcome: Answered[Value] | Problem = done.value
                return outcome
            if isinstance(step, Pause):
                await asyncio.sleep(step.seconds)
                came = None
            else:
                came = await self._try(step)

    async def pages(self, call: ListCall[Value, Row]) -> AsyncIterator[Value]:
        """Every page of a list, each asked for when it is needed."""
        following: ListCall[Value, Row] | None = call
        while following is not None:
            page = await self.send(following)
            yield page
            following = following.following(page)

    async def each(self, call: ListCall[Value, Row]) -> AsyncIterator[Row]:
        """Every row of a list, page by page."""
        async for page in self.pages(call):
            for row in call.rows_of(page):
                yield row

    async def follow(self, call: ListCall[Value, Row]) -> AsyncIterator[Value]:
        """Pages of the feed without end, as events come. `next` of a page is where to go on, when its events are done.

        Ask with `wait_seconds`, or it asks again at once.
        """
        while True:
            page = await self.send(call)
            if call.rows_of(page):
                yield page
            call = call.beginning_at(page.next)  # type: ignore[attr-defined]

    async def close(self) -> None:
        """Close the connections."""
        await self._http.aclose()

    async def __aenter__(self) -> AsyncClient:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def _try(self, step: Send) -> Received | Lost:
        ends_at = time.monotonic() + step.timeout_seconds
        try:
            async with self._http.stream(**_request(step)) as response:
                body = _Body(step, ends_at)
                async for part in response.aiter_bytes():
                    body.take(part)
                return _received(response, body)
        except (httpx.TransportError, _TooSlow) as error:
            return _lost(error)
        except httpx.DecodingError as error:
            _refuse_answer(error, step)


# Shared ------------------------------------------------------------------------------------------------------------


def _steps(call: Call[Value], limits: Limits) -> Steps[Value]:
    return exchange(call, limits, request_id=str(uuid4()), clock=time.monotonic, share=random.random)


def _value(outcome: Answered[Value] | Problem) -> Value:
    if isinstance(outcome, Problem):
        raise Refused(outcome)
    return outcome.value


def _request(step: Send) -> dict[str, Any]:
    """What httpx is to send."""
    call, content = step.call, step.call.content
    headers = {**call.header_fields, "X-Request-Id": step.request_id}
    if content is not None:
        headers["Content-Type"] = call.media_type
    return {
        "method": call.method,
        "url": call.address.removeprefix("/"),
        "params": call.parameters or None,
        "content": content,
        "headers": headers,
        "timeout": httpx.Timeout(step.timeout_seconds, connect=min(_CONNECT_SECONDS, step.timeout_seconds)),
    }


class _TooSlow(Exception):
    """The answer has begun, and does not end in time."""


class _Body:
    """The body of an answer while it comes, within its limits."""

    def __init__(self, step: Send, ends_at: float) -> None:
        self._step, self._ends_at, self._size = step, ends_at, 0
        self.parts: list[bytes] = []

    def take(self, part: bytes) -> None:
        """Take what came. Raises WrongAnswer for too much, and _TooSlow."""
        self.parts.append(part)
        self._size += len(part)
        if self._size > LARGEST_ANSWER_BYTES:
            raise WrongAnswer(
                f"The answer has more than {LARGEST_ANSWER_BYTES:,} bytes (request {self._step.request_id}).",
                request_id=self._step.request_id,
            )
        if time.monotonic() > self._ends_at:
            raise _TooSlow(f"the answer did not end within {self._step.timeout_seconds:g} seconds")


def _received(response: httpx.Response, body: _Body) -> Received:
    headers = {name.lower(): value for name, value in response.headers.items()}
    return Received(response.status_code, headers, b"".join(body.parts))


def _lost(error: httpx.TransportError | _TooSlow) -> Lost:
    if isinstance(error, httpx.UnsupportedProtocol):
        raise BadInput(f"The service's address cannot be called: {error}", path="url")
    if isinstance(error, httpx.TimeoutException):
        why = "no connection in time" if isinstance(error, _NOT_SENT) else "no answer in time"
    else:
        why = str(error).rstrip(".") or type(error).__name__
    return Lost(why, sent=not isinstance(error, _NOT_SENT))


def _refuse_answer(error: Exception, step: Send) -> NoReturn:
    raise WrongAnswer(f"The answer cannot be decoded: {error} (request {step.request_id}).", request_id=step.request_id)


def _http_options(url: str, key: str, *, allow_http: bool) -> dict[str, Any]:
    check_address(url, allow_http=allow_http)
    headers = {"Accept": "application/json", "User-Agent": "jitui-client"}
    if key:
        if not (key.isascii() and key.isprintable() and " " not in key):
            raise BadInput("The API key is no key: it holds characters that a key does not have.", path="key")
        headers["Authorization"] = f"Bearer {key}"
    return {"base_url": url.rstrip("/") + "/", "headers": headers, "follow_redirects": False}


def check_address(url: str, *, allow_http: bool = False) -> None:
    """Check the address of a service. Raises BadInput with the reason why it cannot be used."""
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError as error:
        raise BadInput(f"The service's address cannot be read: {error}.", path="url") from None
    plain = bool(host) and port != 0 and url.isprintable() and " " not in url
    if parts.scheme not in ("http", "https") or not plain or parts.query or parts.fragment:
        raise BadInput("The service's address is such as https://refunds.example.com.", path="url")
    if parts.username is not None or parts.password is not None:
        raise BadInput("The service's address holds a name or a password; give the API key by itself.", path="url")
    if parts.scheme == "http" and not allow_http and not _is_loopback(host or ""):
        raise BadInput(
            f"The key could be read on the way to {host}: use https, or allow_http in a network that you trust.",
            path="allow_http",
        )


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False
