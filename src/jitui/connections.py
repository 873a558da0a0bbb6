"""Limits for one connection: uvicorn's HTTP/1.1 protocol with bounds on time, size and number.

uvicorn on httptools waits for ever for the rest of a header or a body, takes headers of any size into memory, and takes
connections until no descriptor is left (docs/decisions/0018).
"""

from __future__ import annotations

import json
import logging
import resource
from asyncio import AbstractEventLoop, BaseTransport
from dataclasses import dataclass
from enum import IntEnum
from http import HTTPStatus
from typing import Any, cast
from weakref import WeakKeyDictionary

import httptools
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle
from uvicorn.server import ServerState

from jitui.ids import new_id

log = logging.getLogger("jitui.http")


@dataclass(frozen=True, slots=True)
class Limits:
    """The limits of a connection; `connections` is the most that one process keeps open, None for no limit."""

    header_bytes: int = 32 * 1024
    headers: int = 100
    header_seconds: float = 10
    body_seconds: float = 30
    idle_seconds: float = 15
    unread_seconds: float = 30
    """How long a response may wait in the send buffer for a client that does not read it."""
    pipelined: int = 16
    """Requests that may wait for their responses on one connection; further ones need another connection."""
    connections: int | None = None


STANDARD = Limits()
LINGER_SECONDS = 2.0
"""After the last response, what the client still sends is dropped for this long, so that it can read the response."""
MOST_OF_A_REST_BYTES = 1024 * 1024
"""Bytes of a body that are dropped after its response has been sent; when more come, the connection is closed."""
MOST_DROPPED_BYTES = 64 * 1024 * 1024
MOST_CONNECTIONS = 10_000
SHARE_OF_DESCRIPTORS = 0.8
MADE_ROOM_SHARE = 32
"""When there is no room, one connection out of this many is closed at once, so that room is not made one by one."""
_FULL_IS_SAID_SECONDS = 60.0


def most_connections() -> int:
    """Raise this process's limit of file descriptors where possible; returns four fifths of it, 10,000 at most."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = max(soft, round(MOST_CONNECTIONS / SHARE_OF_DESCRIPTORS) + 1)
    raised = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
    if soft != resource.RLIM_INFINITY and raised > soft:
        resource.setrlimit(resource.RLIMIT_NOFILE, (raised, hard))
        soft = raised
    if soft == resource.RLIM_INFINITY:
        return MOST_CONNECTIONS
    return max(1, min(MOST_CONNECTIONS, int(soft * SHARE_OF_DESCRIPTORS)))


class Phase(IntEnum):
    """What a connection is doing. To make room the lowest is closed first, but none from ANSWERING up."""

    OPENED = 0
    IDLE = 1
    HEADER = 2
    BODY = 3
    ANSWERING = 4
    CLOSING = 5


def _answer(status: HTTPStatus, slug: str, title: str, detail: str, *more: str) -> bytes:
    """A complete response of the connection itself, with a body of problem details like every other error."""
    problem = {"type": f"/problems/{slug}", "title": title, "status": status.value, "detail": detail}
    body = json.dumps(problem, separators=(",", ":"))
    lines = (
        f"HTTP/1.1 {status.value} {status.phrase}",
        "content-type: application/problem+json",
        f"content-length: {len(body)}",
        "connection: close",
        *more,
    )
    return "\r\n".join((*lines, "", body)).encode()


def _named(answer: bytes) -> bytes:
    """The response with an `x-request-id`, which every response has."""
    return answer.replace(b"\r\n\r\n", b"\r\nx-request-id: %s\r\n\r\n" % str(new_id(0)).encode(), 1)


BAD_REQUEST = _answer(
    HTTPStatus.BAD_REQUEST, "invalid-request", "The request does not fit", "This is not a request of HTTP/1.1."
)
TOO_SLOW = _answer(
    HTTPStatus.REQUEST_TIMEOUT, "request-timeout", "The request came too slowly", "The request did not arrive in time."
)
HEADER_TOO_LARGE = _answer(
    HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE,
    "header-too-large",
    "The header is too large",
    "A header has at most 100 fields and 32 KiB, address and names included.",
)
NO_ROOM = _answer(
    HTTPStatus.SERVICE_UNAVAILABLE,
    "unavailable",
    "The service cannot answer now",
    "All connections are taken; try again shortly.",
    "retry-after: 1",
)


class _Refused(Exception):
    """Stops the parser. It is caught inside this module."""


class BoundedProtocol(HttpToolsProtocol):
    """One connection, bounded by `limits`."""

    def __init__(self, *args: Any, limits: Limits = STANDARD, **named: Any) -> None:
        super().__init__(*args, **named)
        self.limits = limits
        self.phase = Phase.OPENED
        self.since = 0.0
        self.unread_since: float | None = None
        self._running: RequestResponseCycle | None = None
        self._in_header = self._in_body = False
        self._begun = 0
        """Messages that began in the bytes that are now being parsed."""
        self._counted = self._fields = self._unread_header = self._silent = self._rest = self._dropped = 0
        self._refusal = BAD_REQUEST
        self._takes_nothing = False

    # Called by the transport ---------------------------------------------------------------------------------------

    def connection_made(self, transport: BaseTransport) -> None:
        super().connection_made(transport)  # type: ignore[arg-type]
        self._enter(Phase.OPENED)
        warden = _warden(self.server_state, self.loop, self.limits)
        if not warden.has_room(self):
            self._give_up(NO_ROOM)

    def data_received(self, data: bytes) -> None:
        if self._takes_nothing:
            self._dropped += len(data)
            if self._dropped > MOST_DROPPED_BYTES:
                self.transport.abort()
            return
        clean = not self._in_header and not self._in_body
        self._begun = 0
        self._silent += len(data)
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            self.cycle.keep_alive = False  # answered like any other request; what follows is not HTTP/1.1
            self._takes_nothing = True
        except httptools.HttpParserError:
            self._give_up(self._refusal)
        else:
            self._check_unfinished(len(data), clean=clean)

    def pause_writing(self) -> None:
        super().pause_writing()
        self.unread_since = self.loop.time()

    def resume_writing(self) -> None:
        super().resume_writing()
        self.unread_since = None

    # Called by the parser ------------------------------------------------------------------------------------------

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._begun += 1
        self._in_header = True
        self._counted = self._fields = self._unread_header = 0
        if not self._is_answering():
            self._enter(Phase.HEADER)

    def on_url(self, url: bytes) -> None:
        super().on_url(url)
        self._count(len(url))

    def on_header(self, name: bytes, value: bytes) -> None:
        """Count a header field, and keep it. Fields after a chunked body (trailers) count too."""
        self._fields += 1
        self._count(len(name) + len(value) + 4)
        name = name.lower()  # the rest is uvicorn's own code, without its extra call for every field
        if name == b"expect" and value.lower() == b"100-continue":
            self.expect_100_continue = True
        self.headers.append((name, value))

    def on_headers_complete(self) -> None:
        self._in_header, self._in_body = False, True
        self._silent = self._rest = 0
        if len(self.pipeline) >= self.limits.pipelined:
            self._in_body = False  # this request is not taken
            raise _Refused
        super().on_headers_complete()
        if self._running is self.cycle:
            self._enter(Phase.BODY)

    def on_body(self, body: bytes) -> None:
        self._silent = 0
        if self.cycle.response_complete:
            self._rest += len(body)
            if self._rest > MOST_OF_A_REST_BYTES:
                self._close_politely()
        super().on_body(body)

    def on_message_complete(self) -> None:
        super().on_message_complete()
        self._in_body = False
        self._silent = 0
        if self._running is self.cycle:
            self._after_answer() if self.cycle.response_complete else self._enter(Phase.ANSWERING)

    # Called by the application -------------------------------------------------------------------------------------

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: Any) -> None:
        self._running = cycle
        super()._start_asgi_task(cycle, app)

    def on_response_complete(self) -> None:
        """Start the next request, as uvicorn does; idle connections are closed by `look`, not by uvicorn's timer."""
        self.server_state.total_requests += 1
        if self.transport.is_closing():
            self._enter(Phase.CLOSING)
            return
        self.flow.resume_reading()
        if self.pipeline:
            cycle, app = self.pipeline.pop()
            self._start_asgi_task(cycle, app)
            self._enter(Phase.BODY if cycle is self.cycle and self._in_body else Phase.ANSWERING)
        else:
            self._after_answer()

    def _after_answer(self) -> None:
        """Wait for the next request when this one has arrived completely; else drop the rest of its body first."""
        if self._in_body:
            self._enter(Phase.BODY)
        else:
            self._enter(Phase.HEADER if self._in_header else Phase.IDLE)

    # Bounds ------------------------------------------------------------------------------------------------------

    def look(self, now: float) -> None:
        """Close the connection, or answer with a timeout, when its time is up. Called about once a second."""
        age = now - self.since
        limits = self.limits
        if self.unread_since is not None and now - self.unread_since > limits.unread_seconds:
            self.transport.abort()
        elif (self.phase is Phase.IDLE and age > limits.idle_seconds) or (
            self.phase is Phase.OPENED and age > limits.header_seconds
        ):
            self._enter(Phase.CLOSING)
            self.transport.close()
        elif self.phase is Phase.BODY and not self._is_answering():
            if age > LINGER_SECONDS:
                self._close_politely()
        elif (self.phase is Phase.HEADER and age > limits.header_seconds) or (
            self.phase is Phase.BODY and age > limits.body_seconds
        ):
            self._give_up(TOO_SLOW)
        elif self.phase is Phase.CLOSING:
            unsent = self.transport.get_write_buffer_size()
            if age > (limits.unread_seconds if unsent else LINGER_SECONDS):
                self.transport.abort()

    def drop(self) -> None:
        """Close at once, to make room for another connection."""
        self._takes_nothing = True
        self._enter(Phase.CLOSING)
        self.transport.abort()

    def _enter(self, phase: Phase) -> None:
        self.phase = phase
        self.since = self.loop.time()

    def _is_answering(self) -> bool:
        return self._running is not None and not self._running.response_complete

    def _count(self, size: int) -> None:
        self._counted += size
        if self._counted > self.limits.header_bytes or self._fields > self.limits.headers:
            self._refusal = HEADER_TOO_LARGE
            raise _Refused

    def _check_unfinished(self, size: int, *, clean: bool) -> None:
        """Bound what the parser buffers without calling us: an unfinished header field, or the extension of a chunk."""
        if self._in_header:
            if self._begun == 0:
                self._unread_header += size
            elif self._begun == 1 and clean:
                self._unread_header = size
            if self._unread_header > self.limits.header_bytes:
                self._give_up(HEADER_TOO_LARGE)
        elif self._in_body and self._silent > self.limits.header_bytes:
            self._give_up(HEADER_TOO_LARGE)

    def _give_up(self, refusal: bytes) -> None:
        """Read nothing more. Complete requests are answered first, then the connection ends."""
        if self._takes_nothing:
            return
        self._takes_nothing = True
        if self.pipeline and self._in_body:
            self.pipeline.popleft()  # the newest, which will never be complete
        if self.pipeline:
            self.pipeline[0][0].keep_alive = False
        elif self._is_answering() and not (self._in_body and self._running is self.cycle):
            cast(RequestResponseCycle, self._running).keep_alive = False
        else:
            self._refuse(refusal)

    def _refuse(self, refusal: bytes) -> None:
        running = self._running if self._is_answering() else None
        started = running is not None and running.response_started
        if running is not None:
            running.disconnected = True  # ends the wait of an application that reads the rest of the body
            running.message_event.set()
        if not started and not (self._in_body and running is None):
            self.transport.write(_named(refusal))
        self._close_politely()

    def _close_politely(self) -> None:
        """Send nothing more, and drop what still comes for a while: an immediate close would lose the response."""
        self._takes_nothing = True
        self._enter(Phase.CLOSING)
        if self.transport.is_closing():
            return
        self.flow.resume_reading()
        if self.transport.can_write_eof():
            self.transport.write_eof()
        else:
            self.transport.close()


class _Warden:
    """Counts the connections of one server and closes them when their time is up."""

    def __init__(self, state: ServerState, loop: AbstractEventLoop, limits: Limits) -> None:
        self._connections = state.connections
        self._loop = loop
        self._limits = limits
        self._looks_every = min(1.0, min(limits.header_seconds, limits.body_seconds, limits.idle_seconds) / 5)
        self._is_looking = False
        self._full_said_at: float | None = None

    def has_room(self, newcomer: BoundedProtocol) -> bool:
        """Whether `newcomer` may stay; at the limit, connections in the lowest phases are closed to make room."""
        if not self._is_looking:
            self._is_looking = True
            self._loop.call_later(self._looks_every, self._look)
        most = self._limits.connections
        if most is None or len(self._connections) <= most:
            return True
        open_ones = [one for one in self._ours() if one.phase is not Phase.CLOSING]
        if len(open_ones) <= most:
            return True
        self._say_full(len(open_ones))
        quiet = [one for one in open_ones if one is not newcomer and one.phase < Phase.ANSWERING]
        quiet.sort(key=lambda one: (max(one.phase, Phase.IDLE), one.since))
        room = max(1, len(open_ones) // MADE_ROOM_SHARE)
        for one in quiet[:room]:
            one.drop()
        return bool(quiet)

    def _ours(self) -> list[BoundedProtocol]:
        return [one for one in tuple(self._connections) if isinstance(one, BoundedProtocol)]

    def _look(self) -> None:
        now = self._loop.time()
        ours = self._ours()
        for one in ours:
            one.look(now)
        self._is_looking = bool(ours)
        if ours:
            self._loop.call_later(self._looks_every, self._look)

    def _say_full(self, count: int) -> None:
        now = self._loop.time()
        if self._full_said_at is None or now - self._full_said_at > _FULL_IS_SAID_SECONDS:
            self._full_said_at = now
            log.warning("connections_full connections=%s most=%s", count, self._limits.connections)


_wardens: WeakKeyDictionary[ServerState, _Warden] = WeakKeyDictionary()


def _warden(state: ServerState, loop: AbstractEventLoop, limits: Limits) -> _Warden:
    known = _wardens.get(state)
    if known is None:
        known = _wardens[state] = _Warden(state, loop, limits)
    return known
