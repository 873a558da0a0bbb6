"""Limits of a connection: real sockets to a server with small limits, and to the service as it is run."""

from __future__ import annotations

import asyncio
import json
import resource
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from functools import partial
from typing import Any, cast

import psutil
import pytest
import uvicorn

from jitui import connections
from jitui.connections import BoundedProtocol, Limits
from jitui.entrypoints.http.problems import KINDS

QUICK = Limits(header_seconds=1.0, body_seconds=1.0, idle_seconds=1.0, unread_seconds=1.0)
PATIENT = Limits()
GET = b"GET / HTTP/1.1\r\nhost: jitui\r\n\r\n"
TWO_MB = b"x" * 2_000_000


async def answering(scope: Any, receive: Any, send: Any) -> None:
    """How much body came; `/early` before it is read, `/slow` late, `/much` with much, `/pieces` with it in pieces."""
    if scope["type"] == "lifespan":
        return
    size = 0
    while scope["path"] not in ("/early", "/much", "/pieces"):
        event = await receive()
        if event["type"] == "http.disconnect":
            return
        size += len(event["body"])
        if not event["more_body"]:
            break
    if scope["path"] == "/slow":
        await asyncio.sleep(2.5)
    body = TWO_MB * 4 if scope["path"] in ("/much", "/pieces") else f"{scope['path']} {size}".encode()
    headers = [(b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    if scope["path"] == "/pieces":
        for piece in (body[:5_000_000], body[5_000_000:]):
            await send({"type": "http.response.body", "body": piece, "more_body": True})
        body = b""
    await send({"type": "http.response.body", "body": body})


@contextmanager
def serving(limits: Limits) -> Iterator[tuple[int, uvicorn.Server]]:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        config = uvicorn.Config(
            answering,
            http=cast(Any, partial(BoundedProtocol, limits=limits)),
            loop="uvloop",
            lifespan="off",
            log_level="critical",
            timeout_graceful_shutdown=1,
        )
        server = uvicorn.Server(config)
        thread = threading.Thread(target=lambda: server.run(sockets=[listener]))
        thread.start()
        try:
            while not server.started:
                time.sleep(0.01)
            yield listener.getsockname()[1], server
        finally:
            server.should_exit = True
            thread.join(30)


@pytest.fixture
def quick() -> Iterator[int]:
    with serving(QUICK) as (port, _):
        yield port


@pytest.fixture
def patient() -> Iterator[int]:
    with serving(PATIENT) as (port, _):
        yield port


def connected(port: int, sent: bytes = b"") -> socket.socket:
    connection = socket.create_connection(("127.0.0.1", port), timeout=60)
    connection.sendall(sent)
    return connection


def everything(connection: socket.socket) -> bytes:
    """What comes until the other side closes."""
    got = b""
    with connection, suppress(ConnectionResetError):
        while piece := connection.recv(65_536):
            got += piece
    return got


def statuses(got: bytes) -> list[int]:
    return [int(part.split(b" ", 1)[0]) for part in got.split(b"HTTP/1.1 ")[1:]]


def drip(connection: socket.socket, data: Callable[[], bytes], *, every_seconds: float = 0.02) -> bytes:
    """Send a little again and again until the other side closes, and return what it said."""
    stop = threading.Event()

    def send() -> None:
        with suppress(OSError):
            while not stop.wait(every_seconds):
                connection.sendall(data())

    thread = threading.Thread(target=send)
    thread.start()
    try:
        return everything(connection)
    finally:
        stop.set()
        thread.join()


# Time -------------------------------------------------------------------------------------------------------------


def test_a_connection_that_says_nothing_is_closed(quick: int) -> None:
    assert everything(connected(quick)) == b""


def test_a_connection_that_says_nothing_more_is_closed(quick: int) -> None:
    assert statuses(everything(connected(quick, GET))) == [200]


def test_half_a_header_is_answered_408_and_closed(quick: int) -> None:
    assert statuses(everything(connected(quick, b"GET / HTTP/1.1\r\nhost: ji"))) == [408]


def test_a_header_that_comes_byte_by_byte_does_not_renew_its_time(quick: int) -> None:
    connection = connected(quick, b"GET / HTTP/1.1\r\nx: ")
    assert statuses(drip(connection, lambda: b"a")) == [408]


def test_empty_lines_before_a_request_do_not_renew_the_time_of_a_connection(quick: int) -> None:
    assert drip(connected(quick), lambda: b"\r\n") == b""
    assert statuses(drip(connected(quick, GET), lambda: b"\r\n")) == [200]


def test_half_a_body_is_answered_408_and_closed(quick: int) -> None:
    got = everything(connected(quick, b"POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 10\r\n\r\nabc"))
    assert statuses(got) == [408]


def test_a_chunked_body_without_end_is_answered_408_and_closed(quick: int) -> None:
    connection = connected(quick, b"POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n")
    assert statuses(drip(connection, lambda: b"1\r\na\r\n")) == [408]


def test_a_chunked_body_without_end_on_an_answered_request_is_closed(quick: int) -> None:
    connection = connected(quick, b"POST /early HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n")
    assert statuses(drip(connection, lambda: b"1\r\na\r\n")) == [200]


@pytest.mark.parametrize("path", [b"/much", b"/pieces"])
def test_an_answer_that_is_not_read_is_given_up(quick: int, path: bytes) -> None:
    with socket.socket() as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        connection.settimeout(60)
        connection.connect(("127.0.0.1", quick))
        connection.sendall(b"GET " + path + b" HTTP/1.1\r\nhost: a\r\n\r\n")
        time.sleep(3.5)
        got = everything(connection)
    assert len(got) < len(TWO_MB) * 4


def test_a_service_that_takes_its_time_is_waited_for(quick: int) -> None:
    got = everything(connected(quick, b"GET /slow HTTP/1.1\r\nhost: a\r\n\r\n"))
    assert got.endswith(b"/slow 0")


def test_half_a_header_behind_a_slow_request_does_not_cost_that_request_its_answer(quick: int) -> None:
    got = everything(connected(quick, b"GET /slow HTTP/1.1\r\nhost: a\r\n\r\nGET / HT"))
    assert statuses(got) == [200, 408]


# Size -------------------------------------------------------------------------------------------------------------


def fields(count: int) -> bytes:
    return b"GET / HTTP/1.1\r\n" + b"".join(b"x-%d: a\r\n" % number for number in range(count)) + b"\r\n"


def long_header(size: int) -> bytes:
    """A header that counts `size` bytes: the address, and names and values with what stands around them."""
    return b"GET / HTTP/1.1\r\nx: " + b"a" * (size - 6) + b"\r\n\r\n"


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        (fields(100), 200),
        (fields(101), 431),
        (long_header(32 * 1024), 200),
        (long_header(32 * 1024 + 1), 431),
        (b"GET /" + b"a" * 32 * 1024 + b" HTTP/1.1\r\nhost: a\r\n\r\n", 431),
        (b"GET / HTTP/1.1\r\n" + b"a" * 40_000 + b": b\r\n\r\n", 431),
        (b"GET / HTTP/1.1\r\nhost: a\r\n" + b"x-a: " + b"b" * 20_000 + b"\r\nx-b: " + b"c" * 20_000 + b"\r\n\r\n", 431),
    ],
    ids=["100 fields", "101 fields", "32 KiB", "32 KiB and a byte", "a long address", "a long name", "two long fields"],
)
def test_a_header_has_at_most_100_fields_and_32_kib(patient: int, sent: bytes, status: int) -> None:
    with connected(patient, sent) as connection:
        assert statuses(connection.recv(65_536)) == [status]


def test_a_header_within_the_limits_is_taken_in_whatever_pieces_it_comes(patient: int) -> None:
    with connected(patient) as connection:
        for byte in GET * 2:
            connection.sendall(bytes([byte]))
        got = b""
        while len(statuses(got)) < 2 or not got.endswith(b"/ 0"):
            got += connection.recv(65_536)
    assert statuses(got) == [200, 200]


@pytest.mark.parametrize(
    "before",
    [
        b"GET / HTTP/1.1\r\nx: ",
        b"GET /",
        b"GET / HTTP/1.1\r\n",
        b"POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n1\r\na\r\n0\r\nx: ",
        b"POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n1;x=",
        b"POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 3\r\n\r\nabcGET / HTTP/1.1\r\nx: ",
    ],
    ids=["a value", "an address", "a name", "a field behind the body", "an extension of a chunk", "a second request"],
)
def test_a_header_of_40_mb_is_refused_without_being_taken_into_memory(patient: int, before: bytes) -> None:
    process = psutil.Process()
    connection = connected(patient, before)
    used = process.memory_info().rss
    most = used
    with suppress(OSError):
        for _ in range(640):
            connection.sendall(b"a" * 65_536)
            most = max(most, process.memory_info().rss)
    got = everything(connection)
    assert most - used < 10_000_000
    assert 408 not in statuses(got)
    if got:  # the client may have been cut off before it could read the answer
        assert statuses(got)[-1] in (431, 400)


def test_the_fields_behind_a_body_count_with_the_others(patient: int) -> None:
    sent = b"POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n0\r\n"
    sent += b"".join(b"x-%d: a\r\n" % number for number in range(99)) + b"\r\n"
    assert statuses(everything(connected(patient, sent))) == [431]


def test_what_is_no_http_is_answered_400(patient: int) -> None:
    for sent in (
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"GET / HTTP/1.1\r\na b: c\r\n\r\n",
        b"HELO a\r\n\r\n",
    ):
        assert statuses(everything(connected(patient, sent))) == [400]


# Requests ahead of their answers ----------------------------------------------------------------------------------


def test_requests_sent_ahead_are_answered_in_their_order(patient: int) -> None:
    sent = b"".join(
        b"POST /%d HTTP/1.1\r\nhost: a\r\ncontent-length: %d\r\n\r\n%s" % (number, number, b"x" * number)
        for number in range(10)
    )
    with connected(patient, sent) as connection:
        got = b""
        while not got.endswith(b"/9 9"):
            got += connection.recv(65_536)
    assert statuses(got) == [200] * 10
    assert [part.rpartition(b"\r\n\r\n")[2].split(b"HTTP")[0] for part in got.split(b"content-length")[1:]] == [
        b"/%d %d" % (number, number) for number in range(10)
    ]


def test_no_more_than_so_many_requests_are_sent_ahead(patient: int) -> None:
    got = everything(connected(patient, b"GET /slow HTTP/1.1\r\nhost: a\r\n\r\n" + GET * 5_000))
    assert statuses(got) == [200] * (1 + PATIENT.pipelined)


def test_what_cannot_be_read_behind_a_request_does_not_answer_that_request(patient: int) -> None:
    got = everything(connected(patient, b"GET /slow HTTP/1.1\r\nhost: a\r\n\r\nnonsense\r\n\r\n"))
    assert statuses(got) == [200]
    assert got.endswith(b"/slow 0")


def test_an_answer_before_the_body_came_leaves_the_connection_usable(patient: int) -> None:
    with connected(patient, b"POST /early HTTP/1.1\r\nhost: a\r\ncontent-length: 3\r\n\r\n") as connection:
        assert statuses(connection.recv(65_536)) == [200]
        connection.sendall(b"abc" + GET)
        assert statuses(connection.recv(65_536)) == [200]


def test_an_upgrade_to_something_else_is_answered_as_a_request_and_closed(patient: int) -> None:
    sent = (
        b"GET / HTTP/1.1\r\nhost: a\r\nconnection: upgrade\r\nupgrade: h2c\r\n\r\n"
        + b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
    )
    assert statuses(everything(connected(patient, sent))) == [200]


# Number -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "sent",
    [b"", GET, b"GET / HTTP/1.1\r\nhost: ", b"POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 3\r\n\r\na"],
    ids=["silent", "idle", "half a header", "half a body"],
)
def test_there_is_always_room_for_one_more_while_the_others_only_wait(sent: bytes) -> None:
    with serving(Limits(connections=20)) as (port, server), ExitStack() as open_ones:
        for _ in range(60):
            open_ones.enter_context(connected(port, sent))
        for _ in range(3):
            with connected(port, GET) as connection:
                assert statuses(connection.recv(65_536)) == [200]
        assert len(server.server_state.connections) <= 21


def test_a_request_that_waits_for_its_answer_never_makes_room(patient: int) -> None:
    slow = b"GET /slow HTTP/1.1\r\nhost: a\r\n\r\n"
    with serving(Limits(connections=3)) as (port, _), ExitStack() as open_ones:
        waiting = [open_ones.enter_context(connected(port, slow)) for _ in range(3)]
        time.sleep(0.3)
        assert statuses(everything(connected(port, GET))) == [503]
        for connection in waiting:
            assert statuses(connection.recv(65_536)) == [200]


def test_four_fifths_of_the_descriptors_are_for_connections() -> None:
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    try:
        most = connections.most_connections()
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        assert hard == before[1] and soft >= before[0]
        assert most == min(connections.MOST_CONNECTIONS, int(0.8 * soft))
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)


def test_a_connections_own_answers_are_problems_that_the_reference_lists() -> None:
    answers = (connections.BAD_REQUEST, connections.TOO_SLOW, connections.HEADER_TOO_LARGE, connections.NO_ROOM)
    for answer in answers:
        head, _, body = answer.partition(b"\r\n\r\n")
        problem = json.loads(body)
        kind = KINDS[problem["type"].removeprefix("/problems/")]
        assert (problem["title"], problem["status"]) == (kind.title, kind.status)
        assert statuses(answer) == [kind.status] and b"content-length: %d" % len(body) in head
