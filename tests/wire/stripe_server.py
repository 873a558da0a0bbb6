"""A server that speaks Stripe's documented wire format for refunds, with books, keys, faults and events of its own.

Written from docs.stripe.com: *Refunds*, *Idempotent requests*, *Advanced error handling*, *Rate limits*, *Pagination*,
*Webhooks*. What it refunded is the truth that the tests compare with.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Any

from aiohttp import web

SECRET_KEY = "sk_test_jitui"
WEBHOOK_SECRET = "whsec_jitui_test_secret"
KEY_LIFE = timedelta(hours=24)
RETRY_AFTER_SECONDS = 2


class Fault(StrEnum):
    """What goes wrong with one POST; each is used up by it."""

    LOSE_REQUEST = "the connection breaks before anything is done"
    LOSE_ANSWER = "the connection breaks after it is done"
    FAIL_UNDONE = "500 with nothing done, and kept under the key"
    FAIL_DONE = "500 after it was done, and kept under the key"
    RATE_LIMIT = "429 before the idempotency layer"
    LOCK_TIMEOUT = "429 because another call holds the charge"
    HANG = "waits until it is released, then does it"


@dataclass
class Payment:
    intent: str
    charge: str
    amount: int
    currency: str
    disputed: bool = False


@dataclass
class Kept:
    """What is kept under an idempotency key; no answer while the first request is under way."""

    at: datetime
    request: str
    first_request_id: str
    answer: tuple[int, dict[str, Any]] | None = None


@dataclass
class StripeServer:
    """`becomes` are the fields that the next refunds begin with; `refusals` are errors for the next POSTs."""

    clock: Callable[[], datetime] = lambda: datetime.now(UTC)
    url: str = ""
    payments: list[Payment] = field(default_factory=list)
    refunds: list[dict[str, Any]] = field(default_factory=list)
    keys: dict[str, Kept] = field(default_factory=dict)
    faults: list[Fault] = field(default_factory=list)
    refusals: list[tuple[int, dict[str, Any]]] = field(default_factory=list)
    becomes: list[dict[str, Any]] = field(default_factory=list)
    events: list[bytes] = field(default_factory=list)
    calls: list[str] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    released: asyncio.Event = field(default_factory=asyncio.Event)
    list_answers: list[tuple[int, dict[str, Any]]] = field(default_factory=list)
    raw: list[tuple[int, bytes]] = field(default_factory=list)  # the next answers, whatever is asked
    page: int = 100
    secret_key: str = SECRET_KEY

    def pay(self, amount: int = 10_000, currency: str = "cny", *, name: str = "") -> Payment:
        """A captured payment."""
        number = name or str(len(self.payments) + 1)
        payment = Payment(f"pi_{number}", f"ch_{number}", amount, currency)
        self.payments.append(payment)
        return payment

    def refund(self, payment: Payment, amount: int, **changed: Any) -> dict[str, Any]:
        """A refund in the books, with its events; without metadata it is one that a person made in the Dashboard."""
        made = {
            "id": f"re_{len(self.refunds) + 1}",
            "object": "refund",
            "amount": amount,
            "balance_transaction": None,
            "charge": payment.charge,
            "created": int(self.clock().timestamp()),
            "currency": payment.currency,
            "metadata": {},
            "payment_intent": payment.intent,
            "reason": None,
            "receipt_number": None,
            "source_transfer_reversal": None,
            "status": "succeeded",
            "transfer_reversal": None,
            **changed,
        }
        self.refunds.insert(0, made)  # lists begin with the newest
        self._tell("refund.created", made)
        charge = {"id": payment.charge, "object": "charge", "amount_refunded": self.refunded(payment)}
        self._tell("charge.refunded", charge)
        return made

    def move(self, refund_id: str, status: str, **changed: Any) -> None:
        """A refund gets another status, and Stripe tells so."""
        (refund,) = (one for one in self.refunds if one["id"] == refund_id)
        refund |= {"status": status, **changed}
        for kind in ("refund.updated", "charge.refund.updated", *(["refund.failed"] if status == "failed" else [])):
            self._tell(kind, refund)

    def refunded(self, payment: Payment) -> int:
        """What went back or is on its way; failed and canceled refunds give their amount free again."""
        return sum(
            one["amount"]
            for one in self.refunds
            if one["charge"] == payment.charge and one["status"] not in ("failed", "canceled")
        )

    def _tell(self, kind: str, thing: dict[str, Any]) -> None:
        event = {
            "id": f"evt_{len(self.events) + 1}",
            "object": "event",
            "api_version": "2026-09-30.dahlia",
            "created": int(self.clock().timestamp()),
            "data": {"object": thing},
            "livemode": False,
            "pending_webhooks": 1,
            "request": {"id": None, "idempotency_key": None},
            "type": kind,
        }
        self.events.append(json.dumps(event, indent=2).encode())

    def told(self, kind: str) -> list[bytes]:
        """The events of a type, oldest first."""
        return [event for event in self.events if json.loads(event)["type"] == kind]

    def signed(self, body: bytes, *, secret: str = WEBHOOK_SECRET, at: datetime | None = None) -> dict[str, str]:
        """The header with which Stripe signs a webhook."""
        seconds = int((at or self.clock()).timestamp())
        mac = hmac.digest(secret.encode(), f"{seconds}.".encode() + body, hashlib.sha256).hex()
        return {"Stripe-Signature": f"t={seconds},v1={mac},v0=0123"}

    # What comes over the wire -------------------------------------------------------------------------------------

    async def take(self, request: web.Request) -> web.StreamResponse:
        self.calls.append(f"{request.method} {request.path}")
        self.headers.append({name.lower(): value for name, value in request.headers.items()})
        request_id = f"req_{len(self.calls)}"
        if self.raw:
            status, body = self.raw.pop(0)
            return web.Response(status=status, body=body, headers={"Location": "/v1/refunds"})
        given = request.headers.get("authorization", "")
        if given != f"Bearer {self.secret_key}":
            error = _error("invalid_request_error", f"Invalid API Key provided: {given[7:14]}****")
            return _reply(401, error, request_id)
        if request.path != "/v1/refunds":
            return _reply(
                404, _error("invalid_request_error", f"Unrecognized request URL ({request.path})"), request_id
            )
        if request.method == "GET":
            return _reply(*self._list(request), request_id)
        return await self._post(request, request_id)

    def _list(self, request: web.Request) -> tuple[int, dict[str, Any]]:
        if self.list_answers:
            return self.list_answers.pop(0)
        query = request.query
        for name in ("payment_intent", "charge"):
            if name in query and self._payment(query[name]) is None:
                return 404, _no_such(name, query[name])
        found = [
            one for one in self.refunds if all(one[n] == query[n] for n in ("payment_intent", "charge") if n in query)
        ]
        if "created[gte]" in query:
            found = [one for one in found if one["created"] >= int(query["created[gte]"])]
        if "starting_after" in query:
            place = [one["id"] for one in found].index(query["starting_after"])
            found = found[place + 1 :]
        limit = min(int(query.get("limit", "10")), self.page)
        return 200, {"object": "list", "url": "/v1/refunds", "has_more": len(found) > limit, "data": found[:limit]}

    async def _post(self, request: web.Request, request_id: str) -> web.StreamResponse:
        form = {name: str(value) for name, value in (await request.post()).items()}
        fault = self.faults.pop(0) if self.faults else None
        if fault is Fault.LOSE_REQUEST:
            return _broken(request)
        if fault is Fault.RATE_LIMIT:
            error = _error("invalid_request_error", "Too many requests", code="rate_limit")
            return _reply(429, error, request_id, {"Retry-After": str(RETRY_AFTER_SECONDS)})
        key = request.headers.get("idempotency-key", request_id)
        described = json.dumps([request.path, form], sort_keys=True)
        kept = self.keys.get(key)
        if kept is not None and self.clock() - kept.at < KEY_LIFE:
            return self._again(kept, described, request_id)
        first = Kept(self.clock(), described, request_id)
        self.keys[key] = first
        if fault is Fault.HANG:
            await self.released.wait()
        if fault is Fault.LOCK_TIMEOUT:
            del self.keys[key]
            error = _error("invalid_request_error", "This object cannot be accessed right now", code="lock_timeout")
            return _reply(429, error, request_id)
        failed = 500, _error("api_error", "An unknown error occurred")
        first.answer = failed if fault is Fault.FAIL_UNDONE else self._create(form)
        if fault is Fault.FAIL_DONE:
            first.answer = failed
        if fault is Fault.LOSE_ANSWER:
            return _broken(request)
        return _reply(*first.answer, request_id, {"Idempotency-Key": key, "Original-Request": request_id})

    def _again(self, kept: Kept, described: str, request_id: str) -> web.Response:
        if kept.request != described:
            message = "Keys for idempotent requests can only be used with the same parameters"
            return _reply(400, _error("idempotency_error", message), request_id)
        if kept.answer is None:
            error = _error("invalid_request_error", "Another request is in progress", code="idempotency_key_in_use")
            return _reply(409, error, request_id)
        status, body = kept.answer
        return _reply(
            status, body, request_id, {"Idempotent-Replayed": "true", "Original-Request": kept.first_request_id}
        )

    def _create(self, form: dict[str, str]) -> tuple[int, dict[str, Any]]:
        if self.refusals:
            return self.refusals.pop(0)
        name = "payment_intent" if "payment_intent" in form else "charge"
        payment = self._payment(form.get(name, ""))
        if payment is None:
            return 404, _no_such(name, form.get(name, ""))
        amount = int(form["amount"])
        left = payment.amount - self.refunded(payment)
        if payment.disputed:
            return 400, _error("invalid_request_error", "The charge has been charged back", code="charge_disputed")
        if left == 0:
            message = f"Charge {payment.charge} has already been refunded."
            return 400, _error("invalid_request_error", message, code="charge_already_refunded")
        if amount > left:
            message = f"Refund amount ({amount}) is greater than unrefunded amount on charge ({left})"
            return 400, _error("invalid_request_error", message, param="amount")
        metadata = {n[len("metadata[") : -1]: v for n, v in form.items() if n.startswith("metadata[")}
        begins = self.becomes.pop(0) if self.becomes else {}
        return 200, dict(self.refund(payment, amount, metadata=metadata, reason=form.get("reason"), **begins))

    def _payment(self, name: str) -> Payment | None:
        return next((one for one in self.payments if name in (one.intent, one.charge)), None)


def _error(kind: str, message: str, *, code: str | None = None, param: str | None = None) -> dict[str, Any]:
    error: dict[str, Any] = {"type": kind, "message": message}
    if code:
        error |= {"code": code, "doc_url": f"https://stripe.com/docs/error-codes/{code.replace('_', '-')}"}
    if param:
        error["param"] = param
    return {"error": error}


def refusal(status: int, code: str | None, *, kind: str = "invalid_request_error") -> tuple[int, dict[str, Any]]:
    """An error of the documented shape, for `refusals`."""
    return status, _error(kind, "A sentence of Stripe.", code=code)


def _no_such(name: str, given: str) -> dict[str, Any]:
    return _error("invalid_request_error", f"No such {name}: '{given}'", code="resource_missing", param=name)


def _reply(status: int, body: dict[str, Any], request_id: str, headers: dict[str, str] | None = None) -> web.Response:
    # A real "yes" tempts the library into retries of its own, which our queue must not have.
    should_retry = {"Stripe-Should-Retry": "true"} if status in (409, 429) or status >= 500 else {}
    return web.json_response(body, status=status, headers={"Request-Id": request_id, **should_retry, **(headers or {})})


def _broken(request: web.Request) -> web.Response:
    if request.transport is not None:
        request.transport.close()
    return web.Response()


@asynccontextmanager
async def stripe_server(clock: Callable[[], datetime] = lambda: datetime.now(UTC)) -> AsyncIterator[StripeServer]:
    """A server on this machine for the length of a test."""
    server = StripeServer(clock)
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", server.take)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    host, port = runner.addresses[0][:2]
    server.url = f"http://{host}:{port}"
    try:
        yield server
    finally:
        server.released.set()
        await runner.cleanup()
