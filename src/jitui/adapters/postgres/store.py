"""The after-sales core's store on PostgreSQL: a transaction of two round trips, order intake, and the refund queue."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import datetime

import msgspec
from psycopg import errors

from jitui.adapters.postgres import queue, reading, writing
from jitui.adapters.postgres.intake import put_order
from jitui.adapters.postgres.pool import Connection, Cursor, Pool
from jitui.aftersales.file import OrderFile
from jitui.aftersales.outcomes import KeptAnswer, Once, Refusal
from jitui.aftersales.ports import (
    ClaimedRefund,
    DecisionInputs,
    DecisionQuery,
    NewOrder,
    Opened,
    OrderRef,
    OrderTaken,
    Ref,
    TicketRef,
)
from jitui.aftersales.writes import Write
from jitui.errors import InvariantBroken


class PostgresTransaction:
    """See `jitui.aftersales.ports.Transaction`."""

    def __init__(self, connection: Connection, time_zone: str) -> None:
        self._connection = connection
        self._time_zone = time_zone

    async def open(self, ref: Ref, *, once: Once | None = None, query: DecisionQuery | None = None) -> Opened:
        """First round trip: claim the key, lock buyer then order, and only then read, each a statement of its own."""
        connection = self._connection
        params = reading.ref_params(ref)
        tried = kept = inputs = None
        async with connection.pipeline():
            if once is not None:
                tried = await connection.execute(reading.TRY_KEY, {"lock": _lock_number(once)})
                kept = await connection.execute(reading.KEPT_ANSWER, _key_params(once))
            await connection.execute(reading.lock_buyer(ref), params)
            await connection.execute(reading.lock_order(ref), params)
            file = await connection.execute(reading.read_file(ref), params)
            if query is not None:
                assert isinstance(ref, OrderRef)
                inputs = await connection.execute(
                    reading.READ_INPUTS, reading.input_params(ref.lane, ref.order_id, query)
                )
        if tried is not None and (await tried.fetchone() or ("false",))[0] == "false":
            return Opened(None, in_flight=True)
        if kept is not None and once is not None:
            answered = await _kept_answer(kept, once)
            if answered is not None:
                return answered
        return Opened(await _file(file), inputs=await _inputs(inputs) if inputs is not None else None)

    async def commit(
        self, file: OrderFile, writes: Sequence[Write], *, once: Once | None = None, answer: KeptAnswer | None = None
    ) -> None:
        """Second round trip: everything the plan writes, the kept answer, and the commit, in one pipeline."""
        connection = self._connection
        try:
            async with connection.pipeline():
                for statement, params in writing.statements(file, writes, self._time_zone):
                    await connection.execute(statement, params)
                if once is not None and answer is not None:
                    await connection.execute(writing.KEEP_ANSWER, _answer_params(once, answer))
                await connection.commit()
        except errors.IntegrityError as error:
            raise InvariantBroken(f"The database refused a write: {error.diag.message_primary}") from error


class PostgresStore:
    """See `jitui.aftersales.ports.Store`."""

    def __init__(self, pool: Pool, time_zone: str) -> None:
        self._pool = pool
        self._time_zone = time_zone

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[PostgresTransaction]:
        """A transaction that is rolled back unless its `commit` ran."""
        async with self._pool.connection() as connection:
            try:
                yield PostgresTransaction(connection, self._time_zone)
            finally:
                await connection.rollback()

    async def find_order(self, order_id: str) -> OrderRef | None:
        """Through the directory, for callers that know a platform's order id and not its buyer."""
        async with self._pool.connection() as connection:
            cursor = await connection.execute(
                "SELECT lane, order_id FROM order_directory WHERE order_id = %s", (order_id,)
            )
            row = await cursor.fetchone()
        return OrderRef(*msgspec.convert(row, tuple[int, str])) if row else None

    async def read_file(self, ref: Ref) -> OrderFile | None:
        """The file as it is now, without locks."""
        async with self._pool.connection() as connection:
            return await _file(await connection.execute(reading.read_file(ref), reading.ref_params(ref)))

    async def read_inputs(self, ref: OrderRef, query: DecisionQuery) -> tuple[OrderFile, DecisionInputs] | None:
        """File and decision inputs without locks, for a dry run."""
        async with self._pool.connection() as connection, connection.pipeline():
            file = await connection.execute(reading.read_file(ref), reading.ref_params(ref))
            inputs = await connection.execute(reading.READ_INPUTS, reading.input_params(ref.lane, ref.order_id, query))
            found = await _file(file)
            return None if found is None else (found, await _inputs(inputs))

    async def put_order(self, ref: OrderRef, new: NewOrder, now: datetime) -> OrderTaken | Refusal:
        """See `jitui.adapters.postgres.intake`."""
        async with self._pool.connection() as connection:
            return await put_order(connection, ref, new, now)

    async def claim_refunds(self, *, now: datetime, lease_until: datetime, limit: int) -> list[ClaimedRefund]:
        """See `jitui.adapters.postgres.queue`."""
        async with self._pool.connection() as connection:
            return await queue.claim_refunds(connection, now=now, lease_until=lease_until, limit=limit)

    async def expired_tickets(self, now: datetime, limit: int) -> list[TicketRef]:
        """See `jitui.adapters.postgres.queue`."""
        async with self._pool.connection() as connection:
            return await queue.expired_tickets(connection, now, limit)


async def _file(cursor: Cursor) -> OrderFile | None:
    row = await cursor.fetchone()
    return reading.decode_file(str(row[0])) if row else None


async def _inputs(cursor: Cursor) -> DecisionInputs:
    row = await cursor.fetchone()
    return reading.decode_inputs(str(row[0])) if row else DecisionInputs()


async def _kept_answer(cursor: Cursor, once: Once) -> Opened | None:
    row = await cursor.fetchone()
    if row is None:
        return None
    status, answer, body_hash, answered_at = msgspec.convert(row, tuple[int, bytes, bytes, datetime])
    if body_hash != once.body_hash:
        return Opened(None, key_reused=True)
    return Opened(None, kept=KeptAnswer(status, answer, answered_at))


def _digest(once: Once) -> bytes:
    return hashlib.sha256("\x00".join((once.key_id, once.route, once.key)).encode()).digest()


def _lock_number(once: Once) -> int:
    return int.from_bytes(_digest(once)[1:9], "big", signed=True)


def _key_params(once: Once) -> dict[str, object]:
    # The lane is the key's own: a key used for two buyers must meet itself (decision 0004).
    return {"key_lane": _digest(once)[0], "key_id": once.key_id, "route": once.route, "key": once.key}


def _answer_params(once: Once, answer: KeptAnswer) -> dict[str, object]:
    return {
        **_key_params(once),
        "body_hash": once.body_hash,
        "status": answer.status,
        "answer": answer.body,
        "answered_at": answer.answered_at,
    }
