"""The guard of every operation: who calls, how often, and whether the key's scope may call it at all (I8).

The one place where that is decided. Whose things a key sees within an operation is `RequestContext.may_see`,
`own_shop` and `own_buyer`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from litestar.connection import ASGIConnection
from litestar.handlers import BaseRouteHandler
from litestar.types import AsyncAnyCallable

from jitui.entrypoints.http.client import client_of
from jitui.entrypoints.http.exchange import exchange_of
from jitui.entrypoints.http.keys import is_monitoring, unauthenticated
from jitui.entrypoints.http.limits import Taken
from jitui.entrypoints.http.operation import Nothing, Operation, operation_of
from jitui.entrypoints.http.problems import (
    PERMISSION_MISSING,
    RATE_LIMITED,
    SCOPE_NOT_ALLOWED,
    Problem,
    ProblemRaised,
)
from jitui.entrypoints.http.read_headers import read_headers, read_idempotency_key
from jitui.entrypoints.http.read_query import refuse_query
from jitui.entrypoints.http.request import Api, RequestContext
from jitui.identity.keys import ApiKey, grants_of, key_may, retired_permissions


def admission(api: Api) -> AsyncAnyCallable:
    """The guard for the operations of one process; what it refuses is raised as a problem."""

    async def admit(request: ASGIConnection[Any, Any, Any, Any], handler: BaseRouteHandler) -> None:
        operation = operation_of(handler)
        if operation is None:
            return  # OPTIONS, and the pages of the description
        assert isinstance(request, RequestContext)
        request.api, request.service, request.operation = api, api.service, operation
        sent = request.sent_headers = read_headers(request.scope["headers"])
        authorization = sent.get(b"authorization")
        monitoring = operation.for_monitoring and is_monitoring(request.service.settings, authorization)
        if not operation.signed and not monitoring:
            await _admit_caller(request, authorization)
        if operation.query is Nothing and request.scope["query_string"]:
            refuse_query(request.scope["query_string"])
        if operation.idempotent:
            request.idempotency_key = read_idempotency_key(sent.get(b"idempotency-key"))

    return admit


async def _admit_caller(request: RequestContext, authorization: str | None) -> None:
    api, service = request.api, request.service
    if authorization is not None:
        found = await api.keys.find(service, authorization, request.scope)
        if isinstance(found, Problem):
            raise ProblemRaised(found)
        request.key = found
        exchange_of(request.scope).key_id = found.key_id
        api.used_keys.note(service, found)
    if request.operation.rate_limited:
        taken = api.meters.take(
            request.key.key_id if request.key is not None else None,
            lambda: client_of(request.scope, service.settings.trusted_proxies).counted_as,
        )
        exchange_of(request.scope).headers = taken.headers
        if not taken.within:
            raise ProblemRaised(refuse_rate(taken))
    refused = refuse_access(request.operation, request.key)
    if refused is not None:
        api.metrics.key_refused(refused.reason)
        raise ProblemRaised(refused.problem)


@dataclass(frozen=True, slots=True)
class AccessRefused:
    """What the caller is told, and the word by which it is counted."""

    problem: Problem
    reason: str


def refuse_access(operation: Operation, key: ApiKey | None) -> AccessRefused | None:
    """Every operation names its permission; public ones take no key or a good one."""
    needed = operation.permission
    if needed is None:
        return None
    if key is None:
        return AccessRefused(unauthenticated(), "missing")
    if key.scope not in operation.scopes:
        allowed = " and ".join(sorted(scope.value for scope in operation.scopes))
        detail = f"This takes a key of scope {allowed}; yours is of scope {key.scope.value}."
        return AccessRefused(Problem(SCOPE_NOT_ALLOWED, detail), "scope")
    if key.role is None and not operation.people_only:
        admitted = key.permissions is None or needed.value in key.permissions
    else:
        admitted = key_may(key, needed)
    if admitted:
        return None
    if key.role is not None and needed not in grants_of(key):
        detail = f"This takes the permission {needed}, which the role {key.role} does not have."
        return AccessRefused(Problem(PERMISSION_MISSING, detail), "permission")
    if operation.people_only and key.person is None:
        detail = "Only a person does this: in the console, or with a personal token (`jitui people token`)."
        return AccessRefused(Problem(PERMISSION_MISSING, detail), "permission")
    retired = ", ".join(retired_permissions(key))
    if retired:
        detail = f"This takes the permission {needed}; this key's {retired} was retired, so issue a new key."
        return AccessRefused(Problem(PERMISSION_MISSING, detail), "retired_permission")
    detail = f"This takes the permission {needed}, which this key was not issued with."
    return AccessRefused(Problem(PERMISSION_MISSING, detail), "permission")


def refuse_rate(taken: Taken) -> Problem:
    """Too fast."""
    who = "this key" if taken.policy == "key" else "your address without a key"
    detail = f"More requests than {who} may make; slow down."
    return Problem(RATE_LIMITED, detail, retry_after_seconds=taken.next_seconds)
