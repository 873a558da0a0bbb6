"""One request and its response: the id in responses and logs, the time of arrival, and headers for the response."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from time import monotonic
from typing import cast

from litestar.types import Scope
from uuid_utils import uuid7

from jitui.logs import name_request

Headers = tuple[tuple[str, str], ...]

REQUEST_ID = b"x-request-id"
TRACE_PARENT = b"traceparent"
_SANE = re.compile(rb"[A-Za-z0-9][A-Za-z0-9._~-]{0,127}")
"""The form of a client's request id that is used: it cannot steer a terminal, a log or a header."""
_KEY = "jitui_exchange"


@dataclass(slots=True)
class Exchange:
    """A request and its response; `headers` are added to the response, whoever makes it.

    `key_id` is that of the key that was admitted; `status` is known as soon as the response begins.
    """

    request_id: str
    arrived_at: float = field(default_factory=monotonic)
    headers: Headers = ()
    key_id: str | None = None
    status: int | None = None


def begin_exchange(scope: Scope, trace_id: str | None) -> None:
    """Give the request its id before anything else happens, so that every log line about it has it, and its trace's."""
    name_request(exchange_of(scope).request_id, trace_id)


def trace_parent_of(scope: Scope) -> str | None:
    """The `traceparent` of the caller, if it sent exactly one."""
    sent = [value for name, value in scope["headers"] if name == TRACE_PARENT]
    return sent[0].decode("latin-1") if len(sent) == 1 else None


def exchange_of(scope: Scope) -> Exchange:
    """The exchange of a request; it is created at the first call."""
    state = cast(dict[str, object], scope.setdefault("state", {}))
    found = state.get(_KEY)
    if isinstance(found, Exchange):
        return found
    begun = state[_KEY] = Exchange(_request_id(scope["headers"]))
    return begun


def _request_id(headers: Iterable[tuple[bytes, bytes]]) -> str:
    """The client's own id, if it sent exactly one in the accepted form; otherwise a new one."""
    sent = [value for name, value in headers if name == REQUEST_ID]
    if len(sent) == 1 and _SANE.fullmatch(sent[0]):
        return sent[0].decode("ascii")
    return str(uuid7())
