"""The simulator's HTTP interface; docs/reference/provider-simulator.md describes it."""

from __future__ import annotations

import asyncio
import hmac
import random
import time
from collections.abc import Awaitable, Callable, Iterable
from datetime import date, datetime
from itertools import islice
from math import ceil
from typing import Annotated, TypeAlias, TypeVar, cast

from msgspec import Meta, Struct

from jitui.errors import BadInput, Unavailable
from jitui.provider_simulator.asgi import (
    ASGIApp,
    Hangup,
    Receive,
    Reply,
    Request,
    Response,
    Scope,
    Send,
    Stream,
    TooLarge,
    body_reader,
    error_reply,
    json_reply,
    read_body,
    send_reply,
    serve_lifespan,
)
from jitui.provider_simulator.books import Books
from jitui.provider_simulator.entries import (
    BalanceRequest,
    BookRefusal,
    PaymentRequest,
    RefundMade,
    RefundRefused,
    SimulatedRefundRequest,
)
from jitui.provider_simulator.faults import FaultPlan, FaultTiming, OutcomeFault, parse_faults, plan_for
from jitui.provider_simulator.rate_limit import RateLimit
from jitui.provider_simulator.settings import SimulatorSettings
from jitui.provider_simulator.views import (
    Lookup,
    RefundPage,
    attempt_view,
    books_view,
    first_answer,
    json_lines,
    payment_view,
    refund_view,
    statement_lines,
)
from jitui.provider_simulator.webhooks import Agenda

MAX_BODY_BYTES = 64 * 1024
MAX_BATCH_BYTES = 16 * 1024 * 1024
LISTED = 100
"""The most refunds on one page of the list."""
MAX_BATCH_PAYMENTS = 10_000
MAX_KEY_LENGTH = 255

_REFUSALS: dict[BookRefusal, tuple[int, str]] = {
    BookRefusal.UNKNOWN_PAYMENT: (404, "no payment has this id"),
    BookRefusal.AMOUNT_NOT_POSITIVE: (422, "amounts are more than zero"),
    BookRefusal.CURRENCY_DIFFERS: (422, "a refund is in the currency of its payment"),
    BookRefusal.AMOUNT_EXCEEDS_REFUNDABLE: (422, "the payment has less than this left to refund"),
    BookRefusal.IDEMPOTENCY_KEY_REUSED: (422, "this key was used with another request"),
    BookRefusal.PAYMENT_DIFFERS: (422, "another payment has this id"),
    BookRefusal.INSUFFICIENT_BALANCE: (422, "the merchant's balance is less than this, and no advance was asked for"),
}


class PaymentBatch(Struct, frozen=True, forbid_unknown_fields=True):
    payments: Annotated[list[PaymentRequest], Meta(max_length=MAX_BATCH_PAYMENTS)]


class BatchAnswer(Struct, frozen=True):
    created: int
    existing: int


_read_payment = body_reader(PaymentRequest)
_read_batch = body_reader(PaymentBatch)
_read_refund = body_reader(SimulatedRefundRequest)
_read_balance = body_reader(BalanceRequest)

T = TypeVar("T")
NowMs: TypeAlias = Callable[[], int]
Planner: TypeAlias = Callable[[SimulatedRefundRequest], tuple[FaultPlan, FaultTiming]]


class Simulator:
    """The state of a running simulator outside its books; a restart may lose it."""

    def __init__(self, books: Books, settings: SimulatorSettings, now_ms: NowMs, planner: Planner | None) -> None:
        self.books = books
        self.settings = settings
        self.faults = settings.faults
        self.now_ms = now_ms
        self.planner = planner or self._plan_of_settings
        self.agenda = Agenda(books, settings)
        self.authorization = f"Bearer {settings.api_key}".encode()
        self.rate_limit = RateLimit(settings.rate_limit_per_second, lambda: now_ms() / 1000)
        self.keys_in_use: set[str] = set()
        self.stalled_once: set[str] = set()
        self.latencies = random.Random(settings.faults.seed)

    def _plan_of_settings(self, refund: SimulatedRefundRequest) -> tuple[FaultPlan, FaultTiming]:
        faults = self.faults
        return plan_for(faults, refund.reference, refund.amount_minor), faults.timing

    async def start(self) -> None:
        self.agenda.start()

    async def stop(self) -> None:
        await self.agenda.stop()
        await self.books.journal.close()


Handler: TypeAlias = Callable[[Simulator, Request], Awaitable[Reply]]


def create_app(
    books: Books, settings: SimulatorSettings, *, now_ms: NowMs | None = None, planner: Planner | None = None
) -> ASGIApp:
    """The ASGI application over open books; its shutdown writes and closes them.

    A simulation passes its own clock, and a planner that chooses the faults of each new refund. It must then carry out
    planned changes and webhooks itself, because the agenda that runs with the application goes by the real time.
    """
    simulator = Simulator(books, settings, now_ms or _now_ms, planner)

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await serve_lifespan(receive, send, simulator.start, simulator.stop)
        elif scope["type"] == "http":
            await send_reply(await _reply(simulator, scope, receive), scope, receive, send)

    return app


async def _reply(simulator: Simulator, scope: Scope, receive: Receive) -> Reply:
    method, path = cast(str, scope["method"]), cast(str, scope["path"])
    headers = cast("list[tuple[bytes, bytes]]", scope["headers"])
    if path == "/health":
        return json_reply(200, {"status": "ok"})
    if not _authorised(simulator, headers):
        return error_reply(401, "unauthorised", "send the API key as a bearer token")
    handler, limit = _route(method, path)
    if handler is None:
        return error_reply(404, "unknown_route", f"there is no {method} {path}")
    body = await read_body(receive, limit)
    if isinstance(body, TooLarge):
        return error_reply(413, "too_large", f"at most {limit} bytes", {"connection": "close"})
    request = Request(method, path, cast(bytes, scope["query_string"]), headers, body)
    try:
        reply = await handler(simulator, request)
        # No response is sent before everything that it is based on is on disk, so that a crash cannot undo it.
        await simulator.books.durable()
    except Unavailable as error:
        return error_reply(503, "books_unavailable", str(error))
    return reply


def _authorised(simulator: Simulator, headers: Iterable[tuple[bytes, bytes]]) -> bool:
    given = next((value for name, value in headers if name == b"authorization"), b"")
    return hmac.compare_digest(given, simulator.authorization)


def _route(method: str, path: str) -> tuple[Handler | None, int]:
    """The handler, and the largest body that it accepts."""
    if (handler := _EXACT.get((method, path))) is not None:
        return handler, MAX_BATCH_BYTES if path == "/payments/batch" else MAX_BODY_BYTES
    if method == "GET":
        for prefix, by_name in _BY_NAME.items():
            if path.startswith(prefix) and len(path) > len(prefix):
                return by_name, MAX_BODY_BYTES
    return None, 0


# --- payments --------------------------------------------------------------------------------------------


async def _create_payment(simulator: Simulator, request: Request) -> Reply:
    payment = _read_payment(request.body)
    if isinstance(payment, Response):
        return payment
    known = payment.id in simulator.books.accounts
    captured = simulator.books.capture(payment, simulator.now_ms())
    if isinstance(captured, BookRefusal):
        return _refuse(captured)
    return json_reply(200 if known else 201, payment_view(simulator.books.accounts[payment.id]))


async def _create_payments(simulator: Simulator, request: Request) -> Reply:
    """Record all payments or none; a payment that cannot be recorded is named with its position."""
    batch = _read_batch(request.body)
    if isinstance(batch, Response):
        return batch
    books = simulator.books
    first_of: dict[str, PaymentRequest] = {}
    for position, payment in enumerate(batch.payments):
        refusal = books.check_capture(payment)
        if first_of.setdefault(payment.id, payment) != payment:
            refusal = BookRefusal.PAYMENT_DIFFERS
        if refusal is not None:
            status, message = _REFUSALS[refusal]
            return error_reply(status, refusal, f"payments[{position}]: {message}")
    before = len(books.accounts)
    now_ms = simulator.now_ms()
    for payment in batch.payments:
        books.capture(payment, now_ms)
    created = len(books.accounts) - before
    return json_reply(200, BatchAnswer(created, len(batch.payments) - created))


async def _set_balance(simulator: Simulator, request: Request) -> Reply:
    balance = _read_balance(request.body)
    if isinstance(balance, Response):
        return balance
    simulator.books.set_balance(balance.currency, balance.amount_minor, simulator.now_ms())
    return json_reply(200, balance)


class FaultsRequest(Struct, frozen=True, forbid_unknown_fields=True):
    """Faults as the command line writes them; None: those of the start."""

    faults: str | None


class FaultsAnswer(Struct, frozen=True):
    changed: bool


async def _show_faults(simulator: Simulator, _: Request) -> Reply:
    return json_reply(200, FaultsAnswer(simulator.faults is not simulator.settings.faults))


async def _set_faults(simulator: Simulator, request: Request) -> Reply:
    wanted = _read_faults(request.body)
    if isinstance(wanted, Response):
        return wanted
    started = simulator.settings.faults
    try:
        simulator.faults = started if wanted.faults is None else parse_faults(wanted.faults, started.timing)
    except BadInput as error:
        return error_reply(422, "faults_unreadable", str(error))
    return await _show_faults(simulator, request)


_read_faults = body_reader(FaultsRequest)


async def _show_payment(simulator: Simulator, request: Request) -> Reply:
    account = simulator.books.accounts.get(_last_part(request.path))
    if account is None:
        return _refuse(BookRefusal.UNKNOWN_PAYMENT)
    return json_reply(200, payment_view(account))


# --- refunds ---------------------------------------------------------------------------------------------


async def _create_refund(simulator: Simulator, request: Request) -> Reply:
    wait_seconds = simulator.rate_limit.seconds_to_wait()
    if wait_seconds > 0:
        after = {"retry-after": str(ceil(wait_seconds))}
        return error_reply(429, "rate_limited", "too many refunds a second", after)
    key = request.header(b"idempotency-key")
    if not key or len(key) > MAX_KEY_LENGTH:
        message = f"send an Idempotency-Key of at most {MAX_KEY_LENGTH} characters"
        return error_reply(400, "idempotency_key_missing", message)
    refund = _read_refund(request.body)
    if isinstance(refund, Response):
        return refund
    if key in simulator.keys_in_use:
        return error_reply(409, "idempotency_key_in_use", "a request with this key is still running")
    if (earlier := _answer_again(simulator, key, refund)) is not None:
        return earlier
    simulator.keys_in_use.add(key)
    try:
        return await _pay(simulator, key, refund)
    finally:
        simulator.keys_in_use.discard(key)


def _answer_again(simulator: Simulator, key: str, refund: SimulatedRefundRequest) -> Response | None:
    life_seconds = simulator.settings.key_life_seconds
    life_ms = None if life_seconds is None else life_seconds * 1000
    replayed = {"idempotent-replayed": "true"}
    match simulator.books.remembered(key, refund, simulator.now_ms(), life_ms):
        case RefundMade() as made:
            return json_reply(201, first_answer(made), replayed)
        case RefundRefused() as refused:
            return _refuse(refused.refusal, replayed)
        case BookRefusal() as mismatch:
            return _refuse(mismatch)
        case None:
            return None


async def _pay(simulator: Simulator, key: str, refund: SimulatedRefundRequest) -> Reply:
    settings, books = simulator.settings, simulator.books
    plan, timing = simulator.planner(refund)
    await _spend_latency(simulator)
    if plan.outcome is OutcomeFault.STALLED_BEFORE_PAYING and refund.reference not in simulator.stalled_once:
        simulator.stalled_once.add(refund.reference)
        await asyncio.sleep(timing.hold_ms / 1000)
        return error_reply(504, "upstream_timeout", "the bank did not answer; nothing was paid")
    notify = settings.webhook_url is not None
    made = books.refund(refund, key, simulator.now_ms(), plan, timing, notify=notify)
    if isinstance(made, BookRefusal):
        return _refuse(made)
    if notify or made.then_status is not None:
        simulator.agenda.wake.set()
    return _answer_to_paid(plan, made)


def _answer_to_paid(plan: FaultPlan, made: RefundMade) -> Reply:
    """The response after the refund was recorded, as the plan's faults say."""
    match plan.outcome:
        case OutcomeFault.PAID_THEN_CLOSED:
            return Hangup()
        case OutcomeFault.PAID_THEN_500:
            return error_reply(500, "internal_error", "something went wrong")
        case OutcomeFault.PAID_THEN_504:
            return error_reply(504, "upstream_timeout", "no answer in time")
        case _:
            return json_reply(201, first_answer(made))


async def _spend_latency(simulator: Simulator) -> None:
    settings = simulator.settings
    jitter_ms = simulator.latencies.uniform(-1.0, 1.0) * settings.latency_jitter_ms
    if (latency_ms := settings.latency_ms + jitter_ms) > 0:
        await asyncio.sleep(latency_ms / 1000)


async def _show_refunds(simulator: Simulator, request: Request) -> Reply:
    reference = _last_part(request.path)
    refunds = simulator.books.by_reference.get(reference)
    if refunds is None:
        return error_reply(404, "unknown_reference", "no refund has this reference")
    return json_reply(200, Lookup(reference, [refund_view(refund) for refund in refunds]))


async def _list_refunds_since(simulator: Simulator, request: Request) -> Reply:
    """A page of the refunds since a time, oldest first; `offset` is the number of refunds before the page."""
    try:
        since = datetime.fromisoformat(request.parameter("since") or "")
        offset = int(request.parameter("offset") or 0)
    except ValueError:
        return error_reply(400, "malformed_request", "since is a time like 2026-11-23T08:00:00+00:00")
    if since.tzinfo is None or offset < 0:
        return error_reply(400, "malformed_request", "since has a zone, and offset is a whole number from 0")
    since_ms = since.timestamp() * 1000
    found = (refund for refund in simulator.books.refunds if refund.made.at_ms >= since_ms)
    page = list(islice(found, offset, offset + LISTED + 1))
    return json_reply(200, RefundPage([refund_view(refund) for refund in page[:LISTED]], len(page) > LISTED))


# --- books and statement ---------------------------------------------------------------------------------


async def _show_books(simulator: Simulator, request: Request) -> Reply:
    return json_reply(200, books_view(simulator.books))


async def _list_refunds(simulator: Simulator, request: Request) -> Reply:
    page = _page(request, simulator.books.refunds)
    return page if isinstance(page, Response) else _json_lines(refund_view(refund) for refund in page)


async def _list_attempts(simulator: Simulator, request: Request) -> Reply:
    page = _page(request, simulator.books.by_reference.items())
    if isinstance(page, Response):
        return page
    return _json_lines(attempt_view(reference, refunds) for reference, refunds in page)


async def _list_payments(simulator: Simulator, request: Request) -> Reply:
    page = _page(request, simulator.books.accounts.values())
    return page if isinstance(page, Response) else _json_lines(payment_view(account) for account in page)


async def _show_statement(simulator: Simulator, request: Request) -> Reply:
    try:
        day = date.fromisoformat(request.parameter("day") or "")
    except ValueError:
        return error_reply(400, "malformed_request", "day is a date (UTC) like 2026-11-23")
    return Stream(statement_lines(simulator.books, day), b"text/csv; charset=utf-8")


def _page(request: Request, rows: Iterable[T]) -> list[T] | Response:
    """The rows from `offset`, `limit` at most, in the order of arrival; by default all of them."""
    try:
        offset = int(request.parameter("offset") or 0)
        limit_text = request.parameter("limit")
        limit = None if limit_text is None else int(limit_text)
        return list(islice(rows, offset, None if limit is None else offset + limit))
    except ValueError:
        return error_reply(400, "malformed_request", "offset and limit are whole numbers from 0")


def _json_lines(views: Iterable[Struct]) -> Stream:
    return Stream(json_lines(views), b"application/x-ndjson")


# --- small things ----------------------------------------------------------------------------------------


def _refuse(refusal: BookRefusal, headers: dict[str, str] | None = None) -> Response:
    status, message = _REFUSALS[refusal]
    return error_reply(status, refusal, message, headers)


def _last_part(path: str) -> str:
    return path.rpartition("/")[2]


def _now_ms() -> int:
    return time.time_ns() // 1_000_000


_EXACT: dict[tuple[str, str], Handler] = {
    ("POST", "/payments"): _create_payment,
    ("POST", "/payments/batch"): _create_payments,
    ("PUT", "/balance"): _set_balance,
    ("GET", "/faults"): _show_faults,
    ("PUT", "/faults"): _set_faults,
    ("POST", "/refunds"): _create_refund,
    ("GET", "/refunds"): _list_refunds_since,
    ("GET", "/books"): _show_books,
    ("GET", "/books/refunds"): _list_refunds,
    ("GET", "/books/attempts"): _list_attempts,
    ("GET", "/books/payments"): _list_payments,
    ("GET", "/statement.csv"): _show_statement,
}
_BY_NAME: dict[str, Handler] = {"/payments/": _show_payment, "/refunds/": _show_refunds}

ROUTES: tuple[tuple[str, str], ...] = (*_EXACT, *(("GET", prefix) for prefix in _BY_NAME), ("GET", "/health"))
"""Every method and path (or its prefix) that is served; a test compares them with the reference page."""
