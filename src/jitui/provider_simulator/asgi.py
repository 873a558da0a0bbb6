"""The part of HTTP that the simulator needs, directly on ASGI.

It takes a third of the CPU time of a framework's route. Measurements that run through the simulator would otherwise
include that time (docs/decisions/0003).
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping, MutableMapping
from dataclasses import dataclass
from typing import TypeAlias, TypeVar, cast
from urllib.parse import parse_qsl

import msgspec

Message: TypeAlias = MutableMapping[str, object]
Scope: TypeAlias = MutableMapping[str, object]
Receive: TypeAlias = Callable[[], Awaitable[Message]]
Send: TypeAlias = Callable[[Message], Awaitable[None]]
ASGIApp: TypeAlias = Callable[[Scope, Receive, Send], Awaitable[None]]

CLOSE_EXTENSION = "jitui.connection"
"""The key under which the server passes `close`, which ends the connection; see `jitui.provider_simulator.server`."""

_encode = msgspec.json.Encoder().encode
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Request:
    method: str
    path: str
    query: bytes
    headers: Iterable[tuple[bytes, bytes]]
    body: bytes

    def header(self, name: bytes) -> str | None:
        for known, value in self.headers:
            if known == name:
                return value.decode("latin-1")
        return None

    def parameter(self, name: str) -> str | None:
        return dict(parse_qsl(self.query.decode("latin-1"))).get(name)


@dataclass(frozen=True, slots=True)
class Response:
    status: int
    body: bytes = b""
    headers: tuple[tuple[bytes, bytes], ...] = ()
    content_type: bytes = b"application/json"


@dataclass(frozen=True, slots=True)
class Stream:
    """A long response, sent in pieces."""

    pieces: AsyncIterator[bytes]
    content_type: bytes


@dataclass(frozen=True, slots=True)
class Hangup:
    """No response: the connection is closed."""


Reply: TypeAlias = Response | Stream | Hangup


@dataclass(frozen=True, slots=True)
class TooLarge:
    """The body is longer than its route allows."""


class ErrorDetail(msgspec.Struct, frozen=True):
    code: str
    message: str


class ErrorBody(msgspec.Struct, frozen=True):
    error: ErrorDetail


def json_reply(status: int, value: object, headers: Mapping[str, str] | None = None) -> Response:
    extra = tuple((name.encode(), text.encode()) for name, text in (headers or {}).items())
    return Response(status, _encode(value), extra)


def error_reply(status: int, code: str, message: str, headers: Mapping[str, str] | None = None) -> Response:
    return json_reply(status, ErrorBody(ErrorDetail(code, message)), headers)


def body_reader(kind: type[T]) -> Callable[[bytes], T | Response]:
    """A function that decodes bodies of one type; for a body that does not fit it returns the error response."""
    decoder = msgspec.json.Decoder(kind)

    def read(body: bytes) -> T | Response:
        try:
            return decoder.decode(body)
        except (msgspec.MsgspecError, UnicodeDecodeError) as error:
            return error_reply(400, "malformed_request", str(error))

    return read


async def read_body(receive: Receive, limit: int) -> bytes | TooLarge:
    """The whole body, or TooLarge as soon as it exceeds the limit."""
    message = await receive()
    body = cast(bytes, message.get("body", b""))
    while message.get("more_body"):
        if len(body) > limit:
            return TooLarge()
        message = await receive()
        body += cast(bytes, message.get("body", b""))
    return body if len(body) <= limit else TooLarge()


async def send_reply(reply: Reply, scope: Scope, receive: Receive, send: Send) -> None:
    match reply:
        case Response():
            length = str(len(reply.body)).encode()
            headers = [(b"content-type", reply.content_type), (b"content-length", length), *reply.headers]
            await send({"type": "http.response.start", "status": reply.status, "headers": headers})
            await send({"type": "http.response.body", "body": reply.body})
        case Stream():
            headers = [(b"content-type", reply.content_type)]
            await send({"type": "http.response.start", "status": 200, "headers": headers})
            async for piece in reply.pieces:
                await send({"type": "http.response.body", "body": piece, "more_body": True})
            await send({"type": "http.response.body", "body": b""})
        case Hangup():
            await _hang_up(scope, receive, send)


async def _hang_up(scope: Scope, receive: Receive, send: Send) -> None:
    extensions = cast(Mapping[str, Mapping[str, Callable[[], None]]], scope.get("extensions") or {})
    if (connection := extensions.get(CLOSE_EXTENSION)) is None:
        # on another ASGI server the response breaks off, which leaves the caller equally uncertain
        headers = [(b"content-length", b"1")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        return
    connection["close"]()
    while (await receive())["type"] != "http.disconnect":
        pass


async def serve_lifespan(
    receive: Receive, send: Send, start: Callable[[], Awaitable[None]], stop: Callable[[], Awaitable[None]]
) -> None:
    while True:
        message = await receive()
        if message["type"] == "lifespan.startup":
            await start()
            await send({"type": "lifespan.startup.complete"})
        else:
            await stop()
            await send({"type": "lifespan.shutdown.complete"})
            return
