"""See `jitui.webhooks.model.Sender`: one HTTP request to an address that was checked, and nothing beyond it.

The rules are asked of the very address that a connection is made to, after its name was looked up, and a connection is
used once: a name that stands for another address a moment later gains nothing (DNS rebinding).
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from types import TracebackType
from typing import TYPE_CHECKING, Self

from jitui.webhooks.addresses import AddressRules
from jitui.webhooks.model import SendResult

if TYPE_CHECKING:
    from aiohttp import ClientResponse, ClientSession
    from aiohttp.abc import AbstractResolver
    from aiohttp.typedefs import LooseHeaders

THREADS = 32
LONGEST_HEADER = 8_190

LookUp = Callable[[str, int], list[str]]
"""The IP addresses of a host name."""

AddressInfo = tuple[int, int, int, str, tuple[object, ...]]


class AddressRefused(OSError):
    """The address that a name stands for may not be called; the text is a sentence."""


class HttpSender:
    """Posts to receivers, each time over a connection of its own: without redirects, cookies and proxies.

    The receiver's status is all that is read of its answer. `timeout_seconds` bounds the whole: look-up, connection,
    TLS and answer. `look_up` is the system's own unless a test gives another one.
    """

    def __init__(self, rules: AddressRules, *, timeout_seconds: float, look_up: LookUp | None = None) -> None:
        self._rules = rules
        self._timeout_seconds = timeout_seconds
        self._look_up = look_up or _addresses_of
        self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="webhook-names")
        self._session: ClientSession | None = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._session is not None:
            await self._session.close()
        self._threads.shutdown(wait=False, cancel_futures=True)

    async def send(self, url: str, headers: Mapping[str, str], body: bytes) -> SendResult:
        """One request; whatever goes wrong is told in the result."""
        refused = self._rules.why_url_refused(url)
        if refused is not None:
            return SendResult(None, refused)
        try:
            async with asyncio.timeout(self._timeout_seconds):
                return await self._post(url, headers, body)
        except TimeoutError:
            return SendResult(None, f"No answer within {self._timeout_seconds:g} seconds.")

    async def _post(self, url: str, headers: LooseHeaders, body: bytes) -> SendResult:
        from aiohttp import ClientError

        session = self._opened()
        try:
            async with session.post(url, data=body, headers=headers, allow_redirects=False) as response:
                result = _result_of(response)
                response.close()  # what else it says is not read
                return result
        except TimeoutError:  # which is an OSError too
            raise
        except (ClientError, OSError, ValueError) as error:
            return SendResult(None, _sentence(error))

    def _opened(self) -> ClientSession:
        """Made when something is first sent: the library takes half a second to import."""
        if self._session is None:
            from aiohttp import ClientSession, ClientTimeout, DummyCookieJar, TCPConnector

            connector = TCPConnector(
                limit=0,
                force_close=True,
                use_dns_cache=False,
                resolver=_resolver(self._look_up, self._threads),
                socket_factory=self._socket_for,
            )
            self._session = ClientSession(
                connector=connector,
                timeout=ClientTimeout(total=None),  # the caller's is over everything
                cookie_jar=DummyCookieJar(),
                auto_decompress=False,
                max_line_size=LONGEST_HEADER,
                max_field_size=LONGEST_HEADER,
            )
        return self._session

    def _socket_for(self, info: AddressInfo) -> socket.socket:
        """The socket for an address that is about to be called. Raises AddressRefused for one that may not be."""
        family, kind, protocol, _, address = info
        refused = self._rules.why_address_refused(str(address[0]))
        if refused is not None:
            raise AddressRefused(refused)
        return socket.socket(family, kind, protocol)


def _result_of(response: ClientResponse) -> SendResult:
    status = response.status
    if 200 <= status < 300:
        return SendResult(status)
    if 300 <= status < 400:
        return SendResult(status, f"It answered {status}, a redirect, which is not followed.")
    return SendResult(status, f"It answered {status}.", _seconds(response.headers.get("retry-after", "")))


def _seconds(retry_after: str) -> float | None:
    """As seconds; a date is not read, since our own pauses do then."""
    text = retry_after.strip()
    return float(text) if text.isascii() and text.isdigit() and len(text) < 10 else None


def _sentence(error: Exception) -> str:
    from aiohttp import (
        ClientConnectorCertificateError,
        ClientConnectorDNSError,
        ClientConnectorError,
        ClientConnectorSSLError,
        ServerDisconnectedError,
    )

    if isinstance(error, ClientConnectorError) and isinstance(error.os_error, AddressRefused):
        return str(error.os_error)
    match error:
        case ClientConnectorCertificateError():
            return "Its certificate is not one to trust."
        case ClientConnectorSSLError():
            return "It does not speak TLS as it should."
        case ClientConnectorDNSError():
            return "Its host name is not known."
        case ClientConnectorError() | ConnectionRefusedError():
            return "It cannot be connected to."
        case ServerDisconnectedError() | OSError():
            return "The connection ended without an answer."
    return "It did not answer as HTTP wants it."


def _addresses_of(host: str, port: int) -> list[str]:
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(address[0]) for *_, address in found))


def _resolver(look_up: LookUp, threads: ThreadPoolExecutor) -> AbstractResolver:
    from aiohttp.abc import AbstractResolver as Base
    from aiohttp.abc import ResolveResult

    class Resolver(Base):
        """Looks names up in threads of its own: a name server that does not answer holds up no other work."""

        async def resolve(
            self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
        ) -> list[ResolveResult]:
            found = await asyncio.get_running_loop().run_in_executor(threads, look_up, host, port)
            if not found:
                raise OSError(f"{host} stands for no address")
            return [
                ResolveResult(
                    hostname=host,
                    host=address,
                    port=port,
                    family=socket.AF_INET6 if ":" in address else socket.AF_INET,
                    proto=socket.IPPROTO_TCP,
                    flags=socket.AI_NUMERICHOST | socket.AI_NUMERICSERV,
                )
                for address in found
            ]

        async def close(self) -> None:
            """Nothing to close."""

    return Resolver()
