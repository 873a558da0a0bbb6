"""The Litestar application: the handlers of all resources behind one guard, and the responses to all other errors."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, nullcontext
from time import monotonic
from typing import Any, cast

from litestar import HttpMethod, Litestar, Request, Router, route
from litestar.enums import ScopeType
from litestar.exceptions import HTTPException
from litestar.handlers import HTTPRouteHandler
from litestar.response import Response
from litestar.types import (
    BeforeMessageSendHookHandler,
    ControllerRouterHandler,
    HTTPScope,
    LifeSpanReceive,
    LifeSpanScope,
    LifeSpanSend,
    Message,
    Receive,
    Scope,
    Send,
)

from jitui.bootstrap import Service
from jitui.entrypoints.http.access_log import PROBES, AccessLog, route_of_scope
from jitui.entrypoints.http.auth import admission
from jitui.entrypoints.http.exchange import begin_exchange, exchange_of, trace_parent_of
from jitui.entrypoints.http.headers import guarded
from jitui.entrypoints.http.limits import Rate
from jitui.entrypoints.http.operation import method_of
from jitui.entrypoints.http.pages import pages
from jitui.entrypoints.http.problems import (
    INTERNAL_ERROR,
    INVALID_REQUEST,
    METHOD_NOT_ALLOWED,
    UNAVAILABLE,
    Problem,
    ProblemRaised,
    not_found,
)
from jitui.entrypoints.http.reply import Answer, ApiResponse, Reply, response_of
from jitui.entrypoints.http.request import Api, RequestContext
from jitui.entrypoints.http.resources import HANDLERS
from jitui.errors import NotConfigured, Unavailable
from jitui.logs import get_logger
from jitui.settings import Settings, YesOrNo
from jitui.tracing import Span, request_span, trace_id_of

POOL_SECONDS = 5.0
_METHODS = frozenset({*HttpMethod, "HEAD", "OPTIONS"})
"""A caller may send any word; only these are labels of metrics."""

log = get_logger("jitui.http")

Opener = Callable[[], AbstractAsyncContextManager[Service]]
AnyRequest = Request[Any, Any, Any]


class Application(Litestar):
    """Litestar, which gives each request its id before anything else happens, and a line of the access log after it."""

    access_log: AccessLog | None = None

    async def __call__(
        self, scope: Scope | LifeSpanScope, receive: Receive | LifeSpanReceive, send: Send | LifeSpanSend
    ) -> None:
        if scope["type"] != ScopeType.HTTP:
            await super().__call__(scope, receive, send)
            return
        http = cast(HTTPScope, scope)
        trace_parent = trace_parent_of(http)
        with nullcontext(None) if http["path"] in PROBES else request_span(trace_parent) as spanned:
            begin_exchange(http, (spanned.trace_id if spanned else None) or trace_id_of(trace_parent))
            try:
                await super().__call__(scope, receive, send)
            finally:
                if spanned is not None:
                    _describe(spanned, http)
                if self.access_log is not None:
                    self.access_log.tell(http)


def _describe(spanned: Span, scope: HTTPScope) -> None:
    """The route instead of the address, whose parts name orders and buyers."""
    exchange, route = exchange_of(scope), route_of_scope(scope)
    spanned.rename(f"{scope['method']} {route}")
    about = {"http.request.method": scope["method"], "http.route": route, "jitui.request_id": exchange.request_id}
    spanned.set({**about, "http.response.status_code": exchange.status or 0, "jitui.key_id": exchange.key_id or ""})


def create_app(
    service: Service,
    *,
    extra_handlers: Sequence[ControllerRouterHandler] = (),
    rate: Rate | None = None,
    seconds: Callable[[], float] = monotonic,
) -> Litestar:
    """The HTTP application over an open service; `extra_handlers` (the console) are served beside the API.

    Handlers find the service as `request.app.state.jitui`. `seconds` is the clock by which known keys grow old.
    """
    return _litestar(Api(service.settings, rate, service, seconds), extra_handlers, ())


def create_opening_app(
    opener: Opener,
    settings: Settings,
    *,
    extra_handlers: Sequence[ControllerRouterHandler] = (),
    worker: Callable[[], bool] | None = None,
) -> Litestar:
    """The HTTP application that opens its own service at start-up; each process has one."""
    api = Api(settings)
    api.worker_beside = worker

    @asynccontextmanager
    async def lifespan(litestar: Litestar) -> AsyncIterator[None]:
        async with opener() as opened:
            api.opened = litestar.state.jitui = opened
            sampling = asyncio.create_task(_sample_pool(api, opened))
            try:
                yield
            finally:
                sampling.cancel()
                await api.used_keys.close(opened)
                api.opened = None

    return _litestar(api, extra_handlers, (lifespan,))


async def _sample_pool(api: Api, service: Service) -> None:
    """A scrape reaches one of several processes, so each notes from time to time how its connections stand."""
    while True:
        api.metrics.pool.sample(service.pool_figures())
        await asyncio.sleep(POOL_SECONDS)


def _litestar(
    api: Api,
    extra_handlers: Sequence[ControllerRouterHandler],
    lifespan: Sequence[Callable[[Litestar], AbstractAsyncContextManager[None]]],
) -> Litestar:
    litestar = Application(
        route_handlers=[_router(api), *extra_handlers],
        exception_handlers={HTTPException: _on_http_exception, Exception: _on_exception},
        lifespan=list(lifespan),
        before_send=[_finishing(api)],
        openapi_config=None,
        logging_config=None,
    )
    if api.settings.access_log is YesOrNo.YES:
        litestar.access_log = AccessLog()
    litestar.state.jitui = api.opened
    litestar.state.stopping = api.stopping
    litestar.state.used_keys = api.used_keys
    litestar.state.metrics = api.metrics
    return litestar


def _router(api: Api) -> Router:
    return Router(
        "/",
        route_handlers=[*_options(), *HANDLERS, *pages()],
        guards=[admission(api)],
        request_class=RequestContext,
        response_class=ApiResponse,
        exception_handlers={
            ProblemRaised: _on_problem,
            Unavailable: _on_unavailable,
            NotConfigured: _on_unavailable,
        },
    )


def _options() -> list[HTTPRouteHandler]:
    """An OPTIONS handler for each address with all its methods; Litestar's own names those of one handler only."""
    methods: dict[str, list[str]] = {}
    for handler in HANDLERS:
        (path,) = handler.paths
        methods.setdefault(path, ["OPTIONS"]).append(method_of(handler))
    return [_options_of(path, ", ".join(sorted(allowed))) for path, allowed in methods.items()]


def _options_of(path: str, allowed: str) -> HTTPRouteHandler:
    @route(path, http_method=HttpMethod.OPTIONS, status_code=200)
    async def options() -> Reply:
        return Answer(204, b"", (("allow", allowed),))

    return options


def _finishing(api: Api) -> BeforeMessageSendHookHandler:
    async def finish(message: Message, scope: Scope) -> None:
        """Add the headers that every response has, and count the responses of operations, also those of the guard."""
        if message["type"] != "http.response.start":
            return
        exchange = exchange_of(scope)
        exchange.status = message["status"]
        message["headers"] = guarded(message["headers"], exchange)
        method = str(scope.get("method"))
        api.metrics.answered(
            method if method in _METHODS else "other",
            route_of_scope(scope),
            exchange.status,
            monotonic() - exchange.arrived_at,
        )

    return finish


# Errors -----------------------------------------------------------------------------------------------------------


def _on_problem(_: AnyRequest, error: ProblemRaised) -> Response[Any]:
    return response_of(error.problem)


def _on_unavailable(_: AnyRequest, error: Exception) -> Response[Any]:
    log.warning("unavailable", error=type(error).__name__, reason=str(error).partition("\n")[0])
    detail = "A part of the service does not answer; try again shortly."
    return response_of(Problem(UNAVAILABLE, detail, retry_after_seconds=1))


def _on_http_exception(request: AnyRequest, error: HTTPException) -> Response[Any]:
    headers = tuple((error.headers or {}).items())
    match error.status_code:
        case 404:
            return response_of(not_found())
        case 405:
            detail = "This address does not take this method; `Allow` lists the methods that it takes."
            return response_of(Problem(METHOD_NOT_ALLOWED, detail, headers=headers))
        case status if 400 <= status < 500:
            return response_of(Problem(INVALID_REQUEST, "The request cannot be read."))
    return _on_exception(request, error)


def _on_exception(request: AnyRequest, error: Exception) -> Response[Any]:
    """Return the request's id to the caller, and log the error; local variables are not logged, as they have keys."""
    request_id = exchange_of(request.scope).request_id
    log.error("request_failed", request_id=request_id, exc_info=error)
    detail = "The service failed; the request id finds the error in its log. Nothing was written in part."
    return response_of(Problem(INTERNAL_ERROR, detail, request_id=request_id))
