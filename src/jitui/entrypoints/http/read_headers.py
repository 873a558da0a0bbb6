"""Reads the headers of a request."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from litestar.datastructures.headers import Accept

from jitui.entrypoints.http.problems import refuse

IDEMPOTENCY_KEY = re.compile(r"[!-~]{1,255}")
IF_MATCH = re.compile(r'"([0-9]{1,9})"')
MAX_DEADLINE_MS = 600_000

_SINGLE = frozenset({b"authorization", b"content-type", b"idempotency-key", b"if-match", b"jitui-deadline-ms"})
"""The headers that this API reads. Each may be sent once: a proxy in front may use another one of two than we do."""


def read_headers(headers: Iterable[tuple[bytes, bytes]]) -> dict[bytes, str]:
    """The headers that this API reads, by lower-case name. Raises a problem for one that is sent twice."""
    found: dict[bytes, str] = {}
    for name, value in headers:
        if name in _SINGLE:
            if name in found:
                raise refuse(name.decode().title(), "This header is sent twice.")
            found[name] = value.decode("latin-1")
    return found


def read_accept(headers: Iterable[tuple[bytes, bytes]], offered: Sequence[str]) -> str:
    """Which of the media types offered the caller likes best: the first one, where it does not say."""
    said = ",".join(value.decode("latin-1") for name, value in headers if name == b"accept")
    if not said:
        return offered[0]
    try:
        return Accept(said).best_match(list(offered), offered[0])
    except OverflowError:  # q=inf
        return offered[0]


def read_idempotency_key(text: str | None) -> str | None:
    """The Idempotency-Key: 1 to 255 visible ASCII characters; None when it is not sent."""
    if text is not None and IDEMPOTENCY_KEY.fullmatch(text) is None:
        raise refuse("Idempotency-Key", "Expected 1 to 255 visible ASCII characters.")
    return text


def read_version(text: str | None) -> int | None:
    """The ticket's version from If-Match, in the form of the ETag: a number in quotes."""
    if text is None:
        return None
    found = IF_MATCH.fullmatch(text.strip())
    if found is None:
        raise refuse("If-Match", 'Expected the version of the ticket in quotes, as its ETag has it: "3".')
    return int(found[1])


def read_deadline_ms(text: str | None) -> int | None:
    """The deadline, in milliseconds from the arrival of the request."""
    if text is None:
        return None
    if not (text.isascii() and text.isdigit() and len(text) <= 6 and int(text) <= MAX_DEADLINE_MS):
        raise refuse("Jitui-Deadline-Ms", f"Expected whole milliseconds, 0 to {MAX_DEADLINE_MS}.")
    return int(text)
