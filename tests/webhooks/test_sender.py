"""What is sent over the network, and what becomes of receivers that answer nonsense or nothing."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from ipaddress import ip_network
from pathlib import Path

import pytest
from aiohttp import web

from jitui.adapters.webhooks import HttpSender, LookUp
from jitui.webhooks.addresses import AddressRules
from jitui.webhooks.model import SendResult
from tests.certificates import certificate
from tests.webhooks.receiver import Arrived, receiving

HERE = AddressRules((ip_network("127.0.0.0/8"), ip_network("::1/128")), allow_http=True)
EVENT = b'{"data": {"order_id": "o-1"}}'

Talk = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


async def sent(
    url: str, rules: AddressRules = HERE, *, look_up: LookUp | None = None, seconds: float = 5
) -> SendResult:
    async with HttpSender(rules, timeout_seconds=seconds, look_up=look_up) as sender:
        return await sender.send(url, {"webhook-id": "evt_1", "content-type": "application/json"}, EVENT)


@asynccontextmanager
async def talking(talk: Talk, host: str = "127.0.0.1", context: ssl.SSLContext | None = None) -> AsyncIterator[int]:
    """A server that says what it likes."""
    server = await asyncio.start_server(talk, host, 0, ssl=context)
    async with server:
        yield server.sockets[0].getsockname()[1]


def saying(answer: bytes) -> Talk:
    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(answer)
        await writer.drain()
        writer.close()

    return talk


async def test_a_request_arrives_as_it_was_made() -> None:
    async with receiving() as receiver:
        result = await sent(f"{receiver.url}?a=b%20c")
    assert result == SendResult(204) and result.taken
    (one,) = receiver.arrived
    assert (one.path, one.body, one.headers["webhook-id"]) == ("/hook?a=b%20c", EVENT, "evt_1")
    assert "cookie" not in one.headers and "authorization" not in one.headers


@pytest.mark.parametrize(
    ("status", "taken"), [(200, True), (201, True), (299, True), (400, False), (404, False), (500, False)]
)
async def test_only_success_counts_as_taken(status: int, taken: bool) -> None:
    async with receiving(lambda _: status) as receiver:
        result = await sent(receiver.url)
    assert result.taken is taken
    assert result == SendResult(status, "" if taken else f"It answered {status}.")


@pytest.mark.parametrize(
    ("said", "understood"),
    [("120", 120.0), (" 7 ", 7.0), ("Fri, 31 Dec 1999 23:59:59 GMT", None), ("-1", None), ("9" * 12, None)],
)
async def test_a_receiver_may_ask_for_a_pause(said: str, understood: float | None) -> None:
    async with receiving(lambda _: web.Response(status=503, headers={"retry-after": said})) as receiver:
        assert (await sent(receiver.url)).retry_after_seconds == understood


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_a_redirect_is_not_followed(status: int) -> None:
    async with receiving() as other:
        answer = web.Response(status=status, headers={"location": other.url})
        async with receiving(lambda _: answer) as receiver:
            result = await sent(receiver.url)
    assert (result.taken, result.status) == (False, status)
    assert "redirect, which is not followed" in result.failure
    assert other.arrived == []


async def test_cookies_are_not_kept() -> None:
    def answer(_: Arrived) -> web.Response:
        return web.Response(status=204, headers={"set-cookie": "a=b"})

    async with receiving(answer) as receiver, HttpSender(HERE, timeout_seconds=5) as sender:
        for _ in range(2):
            assert (await sender.send(receiver.url, {}, EVENT)).taken
    assert all("cookie" not in one.headers for one in receiver.arrived)


# Addresses ---------------------------------------------------------------------------------------------------------


async def test_a_name_that_stands_for_a_private_address_is_not_called() -> None:
    only_http = AddressRules(allow_http=True)
    async with receiving() as receiver:
        for address in ("127.0.0.1", "::ffff:127.0.0.1"):
            result = await sent(
                f"http://shop.example:{receiver.port}/",
                only_http,
                look_up=lambda _, __, found=address: [found],  # type: ignore[misc]
            )
            assert result.status is None and f"{address} is not a public address" in result.failure
        result = await sent(
            f"http://shop.example:{receiver.port}/", only_http, look_up=lambda _, __: ["127.0.0.1", "10.0.0.1"]
        )
        assert "10.0.0.1 is not a public address" in result.failure
        assert "is not a public address" in (await sent(f"http://127.0.0.1:{receiver.port}/", only_http)).failure
        assert "is not a public address" in (await sent(f"http://localhost:{receiver.port}/", only_http)).failure
        for odd in (
            "2130706433",
            "0x7f.1",
            "0x7f000001",
            "017700000001",
            "127.1",
            "[::ffff:7f00:1]",
            "[0:0:0:0:0:0:0:1]",
        ):
            assert (await sent(f"http://{odd}:{receiver.port}/", only_http)).status is None
    assert receiver.arrived == []


async def test_a_name_is_looked_up_and_judged_for_each_sending() -> None:
    """It stands for an address that may be called, and a moment later for one that may not (DNS rebinding)."""
    rules = AddressRules((ip_network("127.0.0.2/32"),), allow_http=True)
    answers = iter(["127.0.0.2", "127.0.0.1", "127.0.0.2"])
    asked: list[str] = []

    def look_up(host: str, port: int) -> list[str]:
        asked.append(host)
        return [next(answers)]

    reached: list[str] = []

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        reached.append(writer.get_extra_info("sockname")[0])
        await saying(b"HTTP/1.1 204 No Content\r\nconnection: keep-alive\r\n\r\n")(reader, writer)

    async with talking(talk, "0.0.0.0") as port, HttpSender(rules, timeout_seconds=5, look_up=look_up) as sender:
        results = [await sender.send(f"http://shop.example:{port}/", {}, EVENT) for _ in range(3)]
    assert [result.taken for result in results] == [True, False, True]
    assert reached == ["127.0.0.2", "127.0.0.2"]
    assert asked == ["shop.example"] * 3


async def test_of_several_addresses_only_those_that_may_be_called_are() -> None:
    rules = AddressRules((ip_network("127.0.0.2/32"),), allow_http=True)
    reached: list[str] = []

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        reached.append(writer.get_extra_info("sockname")[0])
        await saying(b"HTTP/1.1 204 No Content\r\n\r\n")(reader, writer)

    async with talking(talk, "0.0.0.0") as port:
        result = await sent(f"http://shop.example:{port}/", rules, look_up=lambda _, __: ["127.0.0.1", "127.0.0.2"])
    assert result.taken and reached == ["127.0.0.2"]


async def test_a_rule_that_came_after_the_endpoint_counts() -> None:
    async with receiving() as receiver:
        result = await sent(receiver.url, AddressRules((ip_network("127.0.0.0/8"),)))
    assert "Expected an https address" in result.failure and receiver.arrived == []


async def test_a_name_that_is_not_known_is_said() -> None:
    def look_up(host: str, port: int) -> list[str]:
        raise OSError("no such name")

    assert (await sent("http://shop.example/", look_up=look_up)).failure == "Its host name is not known."
    nothing = await sent("http://shop.example/", look_up=lambda _, __: [])
    assert nothing == SendResult(None, "Its host name is not known.")


# Nonsense ----------------------------------------------------------------------------------------------------------


async def test_nobody_there_is_said() -> None:
    async with receiving() as receiver:
        pass
    assert (await sent(receiver.url)).failure == "It cannot be connected to."


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"SSH-2.0-OpenSSH_9.2\r\n",
        b"HTTP/1.1 two hundred\r\n\r\n",
        b"HTTP/1.1 204 No Content\r\nx: " + b"a" * 20_000 + b"\r\n\r\n",
        b"HTTP/1.1 204\r\n" + b"a" * 20_000,
        b"\x16\x03\x01\x00\x05" * 5,
        b"HTTP/1.1 204 No Content\r\nno colon\r\n\r\n",
    ],
)
async def test_an_answer_that_is_no_http_is_a_failure(answer: bytes) -> None:
    async with talking(saying(answer)) as port:
        result = await sent(f"http://127.0.0.1:{port}/")
    assert result.status is None
    assert result.failure in ("It did not answer as HTTP wants it.", "The connection ended without an answer.")


async def test_what_a_receiver_says_beside_its_status_is_not_read() -> None:
    """It never ends, and is more than any memory holds when unpacked."""
    said = 0

    async def endless(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal said
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\ntransfer-encoding: chunked\r\n\r\n")
        try:
            while True:
                writer.write(b"10000\r\n" + b"\0" * 0x10000 + b"\r\n")
                await writer.drain()
                said += 0x10000
        except ConnectionError:
            writer.close()

    async with talking(endless) as port:
        assert (await sent(f"http://127.0.0.1:{port}/")).taken
    assert said < 64 * 1024 * 1024


@pytest.mark.parametrize("answer", [b"", b"HTTP/1.1 204 No Con", b"HTTP/1.1 100 Continue\r\n\r\n"])
async def test_a_receiver_that_does_not_finish_has_its_time(answer: bytes) -> None:
    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(answer)
        await reader.read()
        writer.close()

    async with talking(silent) as port:
        result = await sent(f"http://127.0.0.1:{port}/", seconds=1)
    assert result == SendResult(None, "No answer within 1 seconds.")


async def test_a_name_server_that_does_not_answer_has_the_same_time() -> None:
    done = asyncio.Event()
    loop = asyncio.get_running_loop()

    def look_up(host: str, port: int) -> list[str]:
        asyncio.run_coroutine_threadsafe(done.wait(), loop).result()
        return []

    try:
        assert (await sent("http://shop.example/", look_up=look_up, seconds=1)).failure == "No answer within 1 seconds."
    finally:
        done.set()


async def test_a_certificate_of_nobody_is_not_trusted(tmp_path: Path) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate(tmp_path))
    async with talking(saying(b"HTTP/1.1 204 No Content\r\n\r\n"), context=context) as port:
        result = await sent(f"https://127.0.0.1:{port}/")
    assert result == SendResult(None, "Its certificate is not one to trust.")


async def test_what_speaks_no_tls_gets_nothing() -> None:
    read: list[bytes] = []

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        read.append(await reader.read(4096))
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        writer.close()

    async with talking(talk) as port:
        result = await sent(f"https://127.0.0.1:{port}/")
    assert result.status is None and result.failure == "It does not speak TLS as it should."
    assert EVENT not in b"".join(read)
