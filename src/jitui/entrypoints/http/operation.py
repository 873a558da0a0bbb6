"""Describes the operations of the API in `opt` of their handlers, from where guard, documentation and tests read them.

Method, address, summary, description and tag are Litestar's own; the handler's name is the operation's id.
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

from jitui.aftersales.outcomes import RefusalCode
from jitui.entrypoints.http.problems import REFUSALS, ProblemKind
from jitui.identity.access import PEOPLE_ONLY, KeyScope, Permission, scopes_with

PLATFORM, SHOP, BUYER = KeyScope.PLATFORM, KeyScope.SHOP, KeyScope.BUYER
JSON = "application/json"
_KEY = "operation"


class Nothing(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A body or query without fields."""


NOTHING = Nothing()


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation:
    """`answers` by status; without a `permission` it is public; `idempotent`: it honours an Idempotency-Key.

    `scopes` are those that may have the permission, and those whose keys the handler itself refuses with a reason.
    `signed`: the body itself proves who sends it, so no API key is looked for.
    `for_monitoring`: the token of the settings opens it too.
    `headers` may be sent, `needed_headers` must be; a `body_optional` may be left out.
    `body_media` are the media types of the body, `other_media` those that 200 may have beside JSON, with what is in it.
    A type that ends with `-batch+json` is a list.
    """

    answers: Mapping[int, type[Any] | None]
    permission: Permission | None = None
    scopes: frozenset[KeyScope] = frozenset()
    refused_by_handler: frozenset[KeyScope] = frozenset()
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
    def people_only(self) -> bool:
        """Whether it takes a personal token."""
        return self.permission in PEOPLE_ONLY

    @property
    def takes_body(self) -> bool:
        """Whether the operation reads a JSON body."""
        return self.body is not Nothing


def operation(
    answers: Mapping[int, type[Any] | None],
    permission: Permission | None = None,
    *,
    refused_by_handler: Collection[KeyScope] = (),
    refusals: Collection[RefusalCode] = (),
    problems: Collection[ProblemKind] = (),
    **more: Any,
) -> dict[str, Operation]:
    """A handler's `opt`; `refusals` are the possible outcomes of the core, `problems` all other possible problems."""
    kinds = (*problems, *(REFUSALS[code] for code in refusals))
    refused = frozenset(refused_by_handler)
    scopes = frozenset() if permission is None else scopes_with(permission) | refused
    if permission in PEOPLE_ONLY:  # a personal token sees what its person sees, which is the platform's
        scopes = frozenset({PLATFORM})
    return {
        _KEY: Operation(
            answers=answers,
            permission=permission,
            scopes=scopes,
            refused_by_handler=refused,
            problems=kinds,
            **more,
        )
    }


class ApiHandler(HTTPRouteHandler):
    """A handler that is not copied.

    Litestar copies handlers for every guard, which takes as long as the rest of a route.
    """

    async def authorize_connection(self, connection: ASGIConnection[Any, Any, Any, Any]) -> None:
        for guard in self.resolve_guards():
            await guard(connection, self)  # type: ignore[misc]  # Litestar made it a coroutine function


# Litestar needs a status here; the reply's is used.
get = partial(ApiHandler, http_method=HttpMethod.GET, status_code=200)
post = partial(ApiHandler, http_method=HttpMethod.POST, status_code=200)
put = partial(ApiHandler, http_method=HttpMethod.PUT, status_code=200)
delete = partial(ApiHandler, http_method=HttpMethod.DELETE, status_code=200)


def operation_of(handler: BaseRouteHandler) -> Operation | None:
    """The operation of a handler of the API; None for other handlers."""
    found = handler.opt.get(_KEY)
    return found if isinstance(found, Operation) else None


def described(handler: HTTPRouteHandler) -> Operation:
    """The operation of a handler of the API."""
    found = operation_of(handler)
    assert found is not None, handler
    return found


def method_of(handler: HTTPRouteHandler) -> str:
    """The method of a handler of the API."""
    (method,) = handler.http_methods
    return method


def path_of(handler: HTTPRouteHandler) -> str:
    """The address template of a handler of the API."""
    (path,) = handler.paths
    return path.replace(":str}", "}")


def route_of(handler: HTTPRouteHandler) -> str:
    """The method and address template of a handler of the API."""
    return f"{method_of(handler)} {path_of(handler)}"
