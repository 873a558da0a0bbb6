"""The Litestar application: every row of the operation table becomes a route; all are read, run and answered alike."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from time import monotonic
from typing import Any

import psycopg
from litestar import HttpMethod, Litestar, Request
from litestar.exceptions import HTTPException
from litestar.handlers import HTTPRouteHandler
from litestar.response.base import ASGIResponse
from litestar.types import (
    ControllerRouterHandler,
    HTTPResponseBodyEvent,
    HTTPResponseStartEvent,
    Receive,
    Scope,
    Send,
)

from jitui.aftersales.outcomes import Refusal
from jitui.entrypoints.http.access import KnownKeys, Meters, is_monitoring, refuse_access, refuse_rate
from jitui.entrypoints.http.headers import guard_answer
from jitui.entrypoints.http.limits import Rate, Readers, rate_a_minute, rate_of
from jitui.entrypoints.http.metrics import Metrics
from jitui.entrypoints.http.operation import (
    NOTHING,
    Answer,
    Call,
    Done,
    Headers,
    HttpRequest,
    Nothing,
    Operation,
    Stopping,
)
from jitui.entrypoints.http.pages import pages
from jitui.entrypoints.http.problems import (
    INTERNAL_ERROR,
    INVALID_REQUEST,
    MEDIA_TYPE,
    METHOD_NOT_ALLOWED,
    UNAVAILABLE,
    Problem,
    body_of,
    not_found,
    of_refusal,
)
from jitui.entrypoints.http.reading import (
    Malformed,
    read_all,
    read_body,
    read_headers,
    read_idempotency_key,
    read_query,
)
from jitui.entrypoints.http.routes import OPERATIONS
from jitui.entrypoints.logs import get_logger
from jitui.errors import NotConfigured, Unavailable
from jitui.ids import new_id
from jitui.settings import Settings
from jitui.wiring import App

log = get_logger("jitui.http")

Opener = Callable[[], AbstractAsyncContextManager[App]]


class Api:
    """What the operations of one process share; `app` is there from start-up to shutdown."""

    def __init__(self, settings: Settings, rate: Rate | None = None, app: App | None = None) -> None:
        self.opened = app
        self.keys = KnownKeys(rate_a_minute(settings.wrong_keys_per_minute))
        self.meters = Meters(rate or rate_of(settings.rate_per_key), rate_of(settings.rate_per_address))
        self.readers = Readers()
        self.worker_beside: Callable[[], bool] | None = None
        self.metrics = Metrics()
        self.stopping = Stopping()

    @property
    def app(self) -> App:
        """The service with its parts in place."""
        if self.opened is None:
            raise Unavailable("The service is starting.")
        return self.opened


def create_app(
    app: App,
    *,
    extra_handlers: Sequence[ControllerRouterHandler] = (),
    rate: Rate | None = None,
) -> Litestar:
    """The HTTP application over an open service; `extra_handlers` (the console) stand beside the API.

    Handlers find the service as `request.app.state.jitui`.
    """
    return _litestar(Api(app.settings, rate, app), extra_handlers, ())


def create_opening_app(
    opener: Opener,
    settings: Settings,
    *,
    extra_handlers: Sequence[ControllerRouterHandler] = (),
    worker: Callable[[], bool] | None = None,
) -> Litestar:
    """The HTTP application that opens its own service at start-up: one per process."""
    api = Api(settings)
    api.worker_beside = worker

    @asynccontextmanager
    async def lifespan(litestar: Litestar) -> AsyncIterator[None]:
        async with opener() as opened:
            api.opened = litestar.state.jitui = opened
            try:
                yield
            finally:
                api.opened = None

    return _litestar(api, extra_handlers, (lifespan,))


def _litestar(
    api: Api,
    extra_handlers: Sequence[ControllerRouterHandler],
    lifespan: Sequence[Callable[[Litestar], AbstractAsyncContextManager[None]]],
) -> Litestar:
    litestar = Litestar(
        route_handlers=[
            *_options(),
            *(_route(api, operation) for operation in OPERATIONS),
            *pages(),
            *extra_handlers,
        ],
        exception_handlers={HTTPException: _on_http_exception, Exception: _on_exception},
        lifespan=list(lifespan),
        before_send=[guard_answer],
        openapi_config=None,
        logging_config=None,
    )
    litestar.state.jitui = api.opened
    litestar.state.stopping = api.stopping
    return litestar


def _route(api: Api, operation: Operation) -> HTTPRouteHandler:
    async def endpoint(request: Request[Any, Any, Any]) -> Rendered:
        arrived_at = monotonic()
        metered = _Metered()
        done = await _answer(api, operation, request, arrived_at, metered)
        response = _response(done, metered.headers)
        api.metrics.answered(operation.operation_id, response.status_code, monotonic() - arrived_at)
        return response

    handler = HTTPRouteHandler(
        operation.path.replace("}", ":str}"),
        http_method=HttpMethod(operation.method),
        name=operation.operation_id,
        status_code=200,
    )
    return handler(endpoint)


def _options() -> list[HTTPRouteHandler]:
    """What each address takes, said for all its operations together."""
    methods: dict[str, list[str]] = {}
    for operation in OPERATIONS:
        methods.setdefault(operation.path, ["OPTIONS"]).append(operation.method)
    return [_options_of(path, ", ".join(sorted(allowed))) for path, allowed in methods.items()]


def _options_of(path: str, allowed: str) -> HTTPRouteHandler:
    async def options(request: Request[Any, Any, Any]) -> ASGIResponse:
        return ASGIResponse(status_code=204, headers={"allow": allowed})

    handler = HTTPRouteHandler(path.replace("}", ":str}"), http_method=HttpMethod.OPTIONS, status_code=200)
    return handler(options)


class _Metered:
    """What the answer tells of the caller's rate; empty where nothing was counted."""

    __slots__ = ("headers",)

    def __init__(self) -> None:
        self.headers: Headers = ()


async def _answer(
    api: Api, operation: Operation, request: HttpRequest, arrived_at: float, metered: _Metered
) -> Answer | Problem:
    """Read, admit, run; whatever goes wrong on the way is a problem, never a trace."""
    try:
        done = await _admitted(api, operation, request, arrived_at, metered)
    except Malformed as malformed:
        return malformed.problem
    except HTTPException as error:
        return _of_http_exception(error)
    except (psycopg.OperationalError, Unavailable, NotConfigured) as error:
        return _unavailable(error)
    except Exception as error:
        return _broke(error)
    return of_refusal(done) if isinstance(done, Refusal) else done


async def _admitted(api: Api, operation: Operation, request: HttpRequest, arrived_at: float, metered: _Metered) -> Done:
    sent = read_headers(request.scope["headers"])
    authorization = sent.get(b"authorization")
    app = api.app
    key = None
    if not operation.signed and not (operation.for_monitoring and is_monitoring(app.settings, authorization)):
        found = await api.keys.find(app, authorization, request) if authorization is not None else None
        if isinstance(found, Problem):
            return found
        key = found
        if not operation.unmetered:
            taken = api.meters.take(app, key, request)
            metered.headers = taken.headers
            if not taken.within:
                return refuse_rate(taken)
        refused = refuse_access(operation, key)
        if refused is not None:
            return refused
    call = Call(app, api.metrics, api.stopping, operation, request, key, NOTHING, NOTHING, arrived_at)
    call.readers, call.worker_beside = api.readers, api.worker_beside
    if operation.query is not Nothing or request.scope["query_string"]:
        call.query = read_query(operation.query, request.scope["query_string"])
    if operation.keyed:
        call.idempotency_key = read_idempotency_key(sent.get(b"idempotency-key"))
    if operation.takes_body:
        raw = await read_all(request)
        if raw or not operation.body_optional:
            call.body = read_body(operation.body, raw, sent.get(b"content-type"))
        else:
            call.body = operation.body()
    return await operation.run(call)


class Rendered(ASGIResponse):
    """A finished answer, sent as it is: without the header dictionaries and cookies that nothing here needs."""

    __slots__ = ("_messages",)

    def __init__(self, status: int, body: bytes, media_type: str, headers: Headers) -> None:
        self.status_code = status
        encoded = [(name.encode(), value.encode("latin-1")) for name, value in headers]
        if status != 204:
            encoded += ((b"content-type", media_type.encode()), (b"content-length", str(len(body)).encode()))
        start: HTTPResponseStartEvent = {"type": "http.response.start", "status": status, "headers": encoded}
        end: HTTPResponseBodyEvent = {"type": "http.response.body", "body": body, "more_body": False}
        self._messages = (start, end)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        for message in self._messages:
            await send(message)

    def to_asgi_response(self, **_: object) -> Rendered:
        """Litestar asks this of what an exception handler made."""
        return self


def _response(done: Answer | Problem, more: Headers = ()) -> Rendered:
    headers = (*done.headers, *more)
    if isinstance(done, Answer):
        return Rendered(done.status, done.body, done.media_type, headers)
    if done.retry_after_seconds is not None:
        headers = (*headers, ("retry-after", str(done.retry_after_seconds)))
    return Rendered(done.kind.status, body_of(done), MEDIA_TYPE, headers)


# What nobody planned ---------------------------------------------------------------------------------------------


def _on_http_exception(_: HttpRequest, error: HTTPException) -> Any:
    return _response(_of_http_exception(error))


def _on_exception(_: HttpRequest, error: Exception) -> Any:
    return _response(_broke(error))


def _of_http_exception(error: HTTPException) -> Problem:
    headers = tuple((error.headers or {}).items())
    match error.status_code:
        case 404:
            return not_found()
        case 405:
            return Problem(METHOD_NOT_ALLOWED, "This address exists, and takes other methods.", headers=headers)
        case status if 400 <= status < 500:
            return Problem(INVALID_REQUEST, "The request cannot be read.")
    return _broke(error)


def _unavailable(error: Exception) -> Problem:
    log.warning("unavailable", error=type(error).__name__, reason=str(error).partition("\n")[0])
    return Problem(UNAVAILABLE, "A part that this needs does not answer; try again shortly.", retry_after_seconds=1)


def _broke(error: Exception) -> Problem:
    """The caller gets a number to ask with, the log gets the trace: without local values, which hold keys."""
    request_id = str(new_id(0))
    log.error("request_failed", request_id=request_id, exc_info=error)
    return Problem(
        INTERNAL_ERROR,
        "The fault is ours and is logged under the request id; nothing was half-written.",
        headers=(("x-request-id", request_id),),
        request_id=request_id,
    )
