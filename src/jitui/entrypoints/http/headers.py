"""The headers that every response of the service has."""

from __future__ import annotations

from collections.abc import Iterable

from litestar.types import Message, Scope

from jitui.entrypoints.http.exchange import REQUEST_ID, Exchange, exchange_of

_NOSNIFF = (b"x-content-type-options", b"nosniff")
_NO_STORE = (b"cache-control", b"no-store")


async def guard_answer(message: Message, scope: Scope) -> None:
    """Add the headers to a response; a hook for applications."""
    if message["type"] == "http.response.start":
        message["headers"] = guarded(message["headers"], exchange_of(scope))


def guarded(sent: Iterable[tuple[bytes, bytes]], exchange: Exchange) -> list[tuple[bytes, bytes]]:
    """The headers of a response: no content sniffing, no caching unless the response allows it, as static files do.

    The request's id is added, and the state of the caller's rate limit.
    """
    headers = list(sent)
    names = {name.lower() for name, _ in headers}
    headers += [header for header in (_NOSNIFF, _NO_STORE) if header[0] not in names]
    headers += [(name.encode(), value.encode("latin-1")) for name, value in exchange.headers]
    headers.append((REQUEST_ID, exchange.request_id.encode("ascii")))
    return headers
