"""What an operation of the API says of itself beside its handler: in `opt`, where guard, description and tests read it.

Method, address, summary, description and tag are Litestar's own; a handler's name is the operation's id.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import msgspec
from litestar import HttpMethod
from litestar.connection import ASGIConnection
from litestar.handlers import BaseRouteHandler, HTTPRouteHandler

from jitui.aftersales.governance.registry import KeyScope
from jitui.aftersales.outcomes import RefusalCode
from jitui.entrypoints.http.problems import REFUSALS, ProblemKind

PLATFORM, SHOP, BUYER = KeyScope.PLATFORM, KeyScope.SHOP, KeyScope.BUYER
EVERY_SCOPE = frozenset(KeyScope)
JSON = "application/json"
_KEY = "operation"


class Nothing(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """No fields."""


NOTHING = Nothing()


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation:
    """`answers` by status; `scopes` empty means public; `idempotent` that it honours an Idempotency-Key.

    `signed`: the body itself proves who sends it, so no API key is looked for.
    `for_monitoring`: the token of the settings opens it too.
    `headers` may be sent, `needed_headers` must be; a `body_optional` may be left out.
    `body_media` are the media types of the body, `other_media` those that 200 may have beside JSON, with what is in it.
    A type that ends with `-batch+json` is a list.
    """

    answers: Mapping[int, type[Any] | None]
    scopes: frozenset[KeyScope] = frozenset()
    body: type[Any] = Nothing
    query: type[Any] = Nothing
    problems: tuple[ProblemKind, ...] = ()
    idempotent: bool = False
    signed: bool = False
    rate_limited: bool = True
    for_monitoring: bool = False
    headers: tuple[str, ...] = ()
    needed_headers: tuple[str, ...] = ()
    body_optional: bool = False
    body_media: tuple[str, ...] = (JSON,)
    other_media: Mapping[str, type[Any]] = field(default_factory=dict)

    @property
    def takes_body(self) -> bool:
        """Whether a JSON body is read."""
        return self.body is not Nothing


def operation(
    answers: Mapping[int, type[Any] | None],
    scopes: Collection[KeyScope] = (),
    *,
    refusals: Collection[RefusalCode] = (),
    problems: Collection[ProblemKind] = (),
    **more: Any,
) -> dict[str, Operation]:
    """A handler's `opt`; `refusals` are the outcomes of the core, `problems` all others that it may answer."""
    kinds = (*problems, *(REFUSALS[code] for code in refusals))
    return {_KEY: Operation(answers=answers, scopes=frozenset(scopes), problems=kinds, **more)}


class ApiHandler(HTTPRouteHandler):
    """Litestar copies a handler for every guard that looks at it, which takes as long as all else that a route does."""

    async def authorize_connection(self, connection: ASGIConnection[Any, Any, Any, Any]) -> None:
        for guard in self.resolve_guards():
            await guard(connection, self)  # type: ignore[misc]  # Litestar made it a coroutine function


# The status is the reply's; Litestar wants one all the same.
get = partial(ApiHandler, http_method=HttpMethod.GET, status_code=200)
post = partial(ApiHandler, http_method=HttpMethod.POST, status_code=200)
put = partial(ApiHandler, http_method=HttpMethod.PUT, status_code=200)
delete = partial(ApiHandler, http_method=HttpMethod.DELETE, status_code=200)


def operation_of(handler: BaseRouteHandler) -> Operation | None:
    """What a handler of the API says of itself; None for all others."""
    found = handler.opt.get(_KEY)
    return found if isinstance(found, Operation) else None


def described(handler: HTTPRouteHandler) -> Operation:
    """What a handler of the API says of itself."""
    found = operation_of(handler)
    assert found is not None, handler
    return found


def method_of(handler: HTTPRouteHandler) -> str:
    """The method that a handler of the API takes."""
    (method,) = handler.http_methods
    return method


def path_of(handler: HTTPRouteHandler) -> str:
    """The address template of a handler of the API."""
    (path,) = handler.paths
    return path.replace(":str}", "}")


def route_of(handler: HTTPRouteHandler) -> str:
    """Method and address template."""
    return f"{method_of(handler)} {path_of(handler)}"
