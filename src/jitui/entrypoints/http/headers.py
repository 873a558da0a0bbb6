"""What every answer of the service carries, whoever made it."""

from __future__ import annotations

from collections.abc import Iterable

from litestar.types import Message, Scope

from jitui.entrypoints.http.exchange import REQUEST_ID, Exchange, exchange_of

_NOSNIFF = (b"x-content-type-options", b"nosniff")
_NO_STORE = (b"cache-control", b"no-store")


async def guard_answer(message: Message, scope: Scope) -> None:
    """The hook of an application that adds what every answer carries."""
    if message["type"] == "http.response.start":
        message["headers"] = guarded(message["headers"], exchange_of(scope))


def guarded(sent: Iterable[tuple[bytes, bytes]], exchange: Exchange) -> list[tuple[bytes, bytes]]:
    """Nothing is guessed from content; nothing is kept unless the answer itself allows it, as static files do.

    The request's id goes back with every answer, and so does what admission found of the caller's rate.
    """
    headers = list(sent)
    names = {name.lower() for name, _ in headers}
    headers += [header for header in (_NOSNIFF, _NO_STORE) if header[0] not in names]
    headers += [(name.encode(), value.encode("latin-1")) for name, value in exchange.headers]
    headers.append((REQUEST_ID, exchange.request_id.encode("ascii")))
    return headers
