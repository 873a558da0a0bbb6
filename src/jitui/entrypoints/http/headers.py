"""What every answer of the service carries, whoever made it."""

from __future__ import annotations

from litestar.types import Message, Scope

_NOSNIFF = (b"x-content-type-options", b"nosniff")
_NO_STORE = (b"cache-control", b"no-store")


async def guard_answer(message: Message, _: Scope) -> None:
    """Nothing is guessed from content, and nothing is kept unless it says itself that it may be, as static files do."""
    if message["type"] != "http.response.start":
        return
    headers = list(message["headers"])
    names = {name.lower() for name, _ in headers}
    missing = [header for header in (_NOSNIFF, _NO_STORE) if header[0] not in names]
    message["headers"] = [*headers, *missing]
