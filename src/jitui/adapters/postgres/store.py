"""The store on PostgreSQL: transactions of two round trips, orders, and the refund queue."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import replace
from datetime import datetime

import msgspec
import psycopg
from psycopg import errors

from jitui.adapters.postgres import queue, reading, writing
from jitui.adapters.postgres.answers import AnswerCompression, restored
from jitui.adapters.postgres.batch import BEGIN, COMMIT, BatchCall, Row, Value, run_batch, statement
from jitui.adapters.postgres.pool import Connection, Pool
from jitui.adapters.postgres.put_order import put_order
from jitui.adapters.postgres.task_log import log_committed
from jitui.aftersales.changes import Change
from jitui.aftersales.model.snapshot import OrderSnapshot
from jitui.aftersales.outcomes import IdempotencyKey, Refusal, StoredResponse
from jitui.aftersales.ports import (
    ClaimedRefund,
    DecisionInputs,
    DecisionQuery,
    IncidentRef,
    KnownPayment,
    NewOrder,
    Opened,
    OrderRef,
    OrderTaken,
    Ref,
    TicketRef,
)
from jitui.errors import InvariantBroken, Overtaken, WaybillTaken
from jitui.tracing import span

_FIND_ORDER = statement("SELECT lane FROM order_directory WHERE order_id = %(order_id)s")

_OVERTAKEN = {
    "payment_directory_pkey": "Another transaction recorded this payment first; read again.",
    "settled_is_not_sent": "A worker took this refund first; read again.",
    "shipping_reminder_pkey": "Another worker told this reminder first.",
}
"""Where the order's lock does not reach: of two at once the database takes one.

A payment has one buyer in all lanes, workers claim refunds without the order's lock, and what was reminded of is not in
the snapshot.
"""

_WAYBILL_OF_ONE_BUYER = "waybill_of_one_buyer"

_PURGE_RESPONSES = statement(
    "WITH old AS (DELETE FROM idempotency WHERE answered_at < %(before)s::timestamptz RETURNING 1) "
    "SELECT count(*) FROM old"
)


@contextmanager
def refusals() -> Iterator[None]:
    """Raise the core's exceptions for writes that the database refuses: Overtaken, WaybillTaken or InvariantBroken."""
    try:
        yield
    except errors.IntegrityError as error:
        if error.diag.constraint_name == _WAYBILL_OF_ONE_BUYER:
            raise WaybillTaken("This tracking number is on another buyer's order.") from error
        if (overtaken := _OVERTAKEN.get(error.diag.constraint_name or "")) is not None:
            raise Overtaken(overtaken) from error
        raise InvariantBroken(f"The database refused a write: {error.diag.message_primary}") from error


class PostgresTransaction:
    """Implements `jitui.aftersales.ports.Transaction`."""

    def __init__(self, connection: Connection, time_zone: str, answers: AnswerCompression | None = None) -> None:
        self._connection = connection
        self._time_zone = time_zone
        self._answers = answers or AnswerCompression()

    async def open(
        self, ref: Ref, *, idempotency_key: IdempotencyKey | None = None, query: DecisionQuery | None = None
    ) -> Opened:
        """The first round trip: claim the key, lock the buyer, then the order, then read, each in its own statement.

        When the buyer was erased while we waited for the lock, the order has another buyer, who is locked the same way.
        """
        kind, params = type(ref), reading.ref_params(ref)
        calls: list[BatchCall] = [(BEGIN, {})]
        if idempotency_key is not None:
            named = {**params, **_key_params(idempotency_key), "lock": _lock_number(idempotency_key)}
            calls += [(reading.TRY_KEY[kind], named), (reading.STORED_RESPONSE[kind], named)]
        buyers_lock = len(calls)
        calls += [(locked[kind], params) for locked in (reading.LOCK_BUYER, reading.LOCK_ORDER, reading.READ_ORDER)]
        if query is not None:
            assert isinstance(ref, OrderRef)
            calls.append(reading.read_inputs(ref.lane, ref.order_id, query))
            if query.payment is not None:
                calls.append((reading.READ_PAYMENT, reading.payment_params(ref.lane, ref.order_id, query.payment)))
        answers = await run_batch(self._connection, calls)
        if idempotency_key is not None:
            early = _key_state(answers[1], answers[2], idempotency_key)
            if early is not None:
                return early
        if not answers[buyers_lock] and answers[buyers_lock + 2]:
            await self._connection.rollback()
            return await self.open(ref, idempotency_key=idempotency_key, query=query)
        payment = _payment(answers.pop()) if query is not None and query.payment is not None else None
        inputs = _inputs(answers.pop()) if query is not None else None
        if inputs is not None and payment is not None:
            inputs = replace(inputs, payment=payment)
        return Opened(_snapshot(answers.pop()), inputs=inputs)

    async def commit(
        self,
        snapshot: OrderSnapshot,
        changes: Sequence[Change],
        *,
        idempotency_key: IdempotencyKey | None = None,
        response: StoredResponse | None = None,
    ) -> None:
        """The second round trip: write the changes and the stored response, and commit."""
        calls = writing.calls(snapshot, changes, self._time_zone)
        if idempotency_key is not None and response is not None:
            stored = self._answers.stored(changes, response.body)
            calls.append((writing.STORE_RESPONSE, _response_params(snapshot, idempotency_key, response, *stored)))
        with refusals():
            answers = await run_batch(self._connection, [*calls, (COMMIT, {})])
        log_committed(changes, calls, answers)


class PostgresStore:
    """Implements `jitui.aftersales.ports.Store`."""

    def __init__(self, pool: Pool, time_zone: str, seen: queue.SeenLog | None = None) -> None:
        self._pool = pool
        self._time_zone = time_zone
        self._seen = seen or queue.SeenLog()
        self._answers = AnswerCompression()

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[PostgresTransaction]:
        """A transaction; it is rolled back unless `commit` is called."""
        with span("transaction"):
            async with self._pool.connection() as connection:
                try:
                    yield PostgresTransaction(connection, self._time_zone, self._answers)
                finally:
                    if not connection.closed:
                        await connection.rollback()
                with suppress(psycopg.Error):  # the request is committed; a later one tries again
                    await self._answers.learn(connection)

    async def find_order(self, order_id: str) -> OrderRef | None:
        """The order, from the directory, for callers that know its id but not its buyer."""
        async with self._pool.connection() as connection:
            (rows,) = await run_batch(connection, [(_FIND_ORDER, {"order_id": order_id})])
        return OrderRef(int(rows[0][0] or 0), order_id) if rows else None

    async def read_order(self, ref: Ref) -> OrderSnapshot | None:
        """The snapshot as it is now, read without locks."""
        async with self._pool.connection() as connection:
            (rows,) = await run_batch(connection, [(reading.READ_ORDER[type(ref)], reading.ref_params(ref))])
        return _snapshot(rows)

    async def read_inputs(self, ref: OrderRef, query: DecisionQuery) -> tuple[OrderSnapshot, DecisionInputs] | None:
        """The snapshot and the decision inputs, read without locks, for a dry run."""
        async with self._pool.connection() as connection:
            rows, inputs = await run_batch(
                connection,
                [
                    (reading.READ_ORDER[OrderRef], reading.ref_params(ref)),
                    reading.read_inputs(ref.lane, ref.order_id, query),
                ],
            )
        snapshot = _snapshot(rows)
        return None if snapshot is None else (snapshot, _inputs(inputs))

    async def put_order(self, ref: OrderRef, new: NewOrder, now: datetime) -> OrderTaken | Refusal:
        """Create or replace the order as `plan_order` says."""
        async with self._pool.connection() as connection:
            return await put_order(connection, ref, new, now)

    async def claim_refunds(
        self, *, now: datetime, lease_until: datetime, limit: int, provider: str | None = None
    ) -> list[ClaimedRefund]:
        """Claim up to `limit` due refunds; `sending` is committed before any of them is sent."""
        async with self._pool.connection() as connection:
            return await queue.claim_refunds(
                connection, self._seen, now=now, lease_until=lease_until, limit=limit, provider=provider
            )

    async def expired_tickets(self, now: datetime, limit: int) -> list[TicketRef]:
        """Tickets whose deadline has passed."""
        async with self._pool.connection() as connection:
            return await queue.expired_tickets(connection, now, limit)

    async def tickets_to_remind(self, now: datetime, limit: int) -> list[TicketRef]:
        """Tickets in review whose reminder is due."""
        async with self._pool.connection() as connection:
            return await queue.tickets_to_remind(connection, now, limit)

    async def due_incidents(self, now: datetime, limit: int) -> list[IncidentRef]:
        """Incidents with a deadline or a reminder that is due."""
        async with self._pool.connection() as connection:
            return await queue.due_incidents(connection, now, limit)

    async def purge_responses(self, before: datetime) -> int:
        """Delete responses to Idempotency-Keys that need not be kept any more; returns how many."""
        async with self._pool.connection() as connection:
            (rows,) = await run_batch(connection, [(_PURGE_RESPONSES, {"before": before})])
        return int(rows[0][0] or 0)


class _StoredRow(msgspec.Struct):
    status: int
    answer: bytes
    body_hash: bytes
    answered_at: datetime
    dictionary: bytes | None


_STORED_ROW = msgspec.json.Decoder(_StoredRow)


def _snapshot(rows: list[Row]) -> OrderSnapshot | None:
    return reading.decode_snapshot(rows[0][0] or b"") if rows else None


def _payment(rows: list[Row]) -> KnownPayment:
    return reading.decode_payment(rows[0][0] or b"")


def _inputs(rows: list[Row]) -> DecisionInputs:
    return reading.decode_inputs(rows[0][0] or b"") if rows else DecisionInputs()


def _key_state(tried: list[Row], stored_rows: list[Row], idempotency_key: IdempotencyKey) -> Opened | None:
    """What was found for the key: in use, used for another request, or answered; None for a new key."""
    if tried[0][0] == b"false":
        return Opened(None, in_flight=True)
    if not stored_rows:
        return None
    stored = _STORED_ROW.decode((stored_rows[0][0] or b"").replace(b"\\n", b""))
    if stored.body_hash != idempotency_key.body_hash:
        return Opened(None, key_reused=True)
    body = restored(stored.answer, stored.dictionary)
    return Opened(None, stored=StoredResponse(stored.status, body, stored.answered_at))


def _lock_number(idempotency_key: IdempotencyKey) -> int:
    """The lock's number for API key, route and key; the statement adds the buyer."""
    digest = hashlib.sha256(
        "\x00".join((idempotency_key.key_id, idempotency_key.route, idempotency_key.key)).encode()
    ).digest()
    return int.from_bytes(digest[:8], "big", signed=True)


def _key_params(idempotency_key: IdempotencyKey) -> dict[str, Value]:
    return {"key_id": idempotency_key.key_id, "route": idempotency_key.route, "key": idempotency_key.key}


def _response_params(
    snapshot: OrderSnapshot,
    idempotency_key: IdempotencyKey,
    response: StoredResponse,
    answer: bytes,
    dictionary_id: int | None,
) -> dict[str, Value]:
    # in the lane of the buyer, like everything that the transaction writes (decision 0017)
    return {
        **_key_params(idempotency_key),
        "lane": snapshot.order.lane,
        "buyer_id": snapshot.order.buyer_id,
        "body_hash": idempotency_key.body_hash,
        "status": response.status,
        "answer": answer,
        "dictionary_id": dictionary_id,
        "answered_at": response.answered_at,
    }
