"""The access log: a line for each request, without what it asked for.

The address template instead of the address, whose parts name orders and buyers; no query, no header, no body.
"""

from __future__ import annotations

import logging
from time import monotonic

from litestar.types import HTTPScope, Scope

from jitui.entrypoints.http.exchange import exchange_of
from jitui.logs import write_event

PROBES = frozenset({"/healthz", "/readyz", "/metrics"})
"""What machines ask every few seconds; their lines are for the level `debug`."""

UNKNOWN_ROUTE = "unknown"


def route_of_scope(scope: Scope) -> str:
    """The template of the address; one word for all addresses that there are not."""
    found = scope.get("path_template")
    return found.replace(":str}", "}") if isinstance(found, str) else UNKNOWN_ROUTE


class AccessLog:
    """Writes to `jitui.access`; the id of the request stands in every line anyway."""

    def tell(self, scope: HTTPScope) -> None:
        """The request is over; a `status` of None: the caller left before there was one."""
        exchange, route = exchange_of(scope), route_of_scope(scope)
        level = logging.DEBUG if route in PROBES else logging.INFO
        if exchange.status == 503:
            level = logging.WARNING  # repeats for as long as something is away, so the log counts it
        write_event(
            "jitui.access",
            level,
            "request",
            method=scope["method"],
            route=route,
            status=exchange.status,
            ms=round(1000 * (monotonic() - exchange.arrived_at), 1),
            key_id=exchange.key_id,
        )
