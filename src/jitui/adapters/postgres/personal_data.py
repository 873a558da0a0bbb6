"""See `jitui.aftersales.governance.erasure.PersonalData`."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from datetime import date, datetime
from typing import LiteralString

import msgspec
from psycopg import errors

from jitui.adapters.postgres import erasure_statements as steps
from jitui.adapters.postgres.audit import AuditEntry, pseudonym_of, write_audit
from jitui.adapters.postgres.feed import LOCK_FOR_THE_TRANSACTION, PUBLISHER_LOCK
from jitui.adapters.postgres.personal_data_export import read_all
from jitui.adapters.postgres.pool import Connection, Pool, fetch
from jitui.adapters.postgres.writing import LOCK_BUYER
from jitui.aftersales.governance.erasure import (
    INCIDENT_OPEN,
    UNFINISHED,
    Erased,
    ErasureMark,
    ErasurePending,
    Pending,
    PendingKind,
    new_buyer_id,
)
from jitui.errors import Unavailable
from jitui.identity.audit import AuditAction
from jitui.ids import lane_of, new_id

_TRIES = 3

_PSEUDONYM: LiteralString = """
SELECT pseudonym FROM buyer_pseudonym WHERE lane = %(lane)s AND buyer_id = %(buyer_id)s
"""

_MARKS: LiteralString = "SELECT lane, digest, keep_until FROM erased_buyer ORDER BY lane, digest"

_TAKE_MARKS: LiteralString = """
INSERT INTO erased_buyer (lane, digest, keep_until)
SELECT * FROM unnest(%(lanes)s::smallint[], %(digests)s::bytea[], %(until)s::date[])
ON CONFLICT (lane, digest) DO UPDATE SET keep_until = greatest(erased_buyer.keep_until, excluded.keep_until)
"""

_FORGET_MARKS: LiteralString = "DELETE FROM erased_buyer WHERE keep_until <= %(today)s"

# Every place that can name a buyer of this lane.
_MARKED: LiteralString = """
SELECT id FROM (
    SELECT buyer_id AS id FROM buyer WHERE lane = %(lane)s
    UNION SELECT buyer_id FROM selection WHERE lane = %(lane)s
    UNION SELECT buyer_id FROM selection_proposed WHERE lane = %(lane)s
    UNION SELECT buyer_id FROM restriction WHERE lane = %(lane)s
    UNION SELECT buyer_id FROM buyer_pseudonym WHERE lane = %(lane)s
    UNION SELECT subject_id FROM console_person WHERE role = 'buyer'
    UNION SELECT subject_id FROM api_key WHERE scope = 'buyer') named
WHERE erasure_digest(id) = ANY (%(digests)s::bytea[]) ORDER BY id
"""

_SECRET: LiteralString = "SELECT secret FROM installation_secret WHERE name = 'erasure digest'"


class PostgresPersonalData:
    """One buyer, one lane; all in one transaction."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def pseudonym_of(self, buyer_id: str) -> str | None:
        """What stands for the buyer on the feed; None while nothing was said there."""
        rows = await fetch(self._pool, _PSEUDONYM, {"lane": lane_of(buyer_id), "buyer_id": buyer_id})
        return str(rows[0][0]) if rows else None

    async def export(self, buyer_id: str, *, by: str, now: datetime) -> Mapping[str, object] | None:
        """From one snapshot. Who took it is written down before it is handed out."""
        params: dict[str, object] = {"lane": lane_of(buyer_id), "buyer_id": buyer_id}
        async with self._pool.connection() as connection:
            await connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")
            if not (await _known(connection, params))[0]:
                return None
            found = await read_all(connection, buyer_id)
        async with self._pool.connection() as connection:
            name = await pseudonym_of(connection, buyer_id)
            await write_audit(connection, AuditEntry(AuditAction.BUYER_EXPORTED, name, by, now))
        return found

    async def erase(self, buyer_id: str, *, by: str, now: datetime, keep_until: date) -> Erased | ErasurePending | None:
        """Again, where the database broke a deadlock with others who use the buyer's rows."""
        for left in reversed(range(_TRIES)):
            try:
                async with self._pool.connection() as connection:
                    return await _erase(connection, buyer_id, by, now, keep_until)
            except Unavailable as error:
                if not isinstance(error.__cause__, errors.DeadlockDetected) or not left:
                    raise
        raise AssertionError("unreachable")

    async def marks(self) -> Sequence[ErasureMark]:
        """All that are kept."""
        return [
            msgspec.convert(dict(zip(("lane", "digest", "keep_until"), row, strict=True)), ErasureMark)
            for row in await fetch(self._pool, _MARKS, {})
        ]

    async def take_marks(self, marks: Sequence[ErasureMark]) -> None:
        """Those that a restored database has lost."""
        params = {
            "lanes": [mark.lane for mark in marks],
            "digests": [mark.digest for mark in marks],
            "until": [mark.keep_until for mark in marks],
        }
        await fetch(self._pool, _TAKE_MARKS, params)

    async def forget_marks(self, today: date) -> int:
        """Those whose time is over; how many."""
        async with self._pool.connection() as connection:
            return (await connection.execute(_FORGET_MARKS, {"today": today})).rowcount

    async def buyers_marked(self, marks: Sequence[ErasureMark]) -> Sequence[str]:
        """Lane by lane."""
        by_lane: dict[int, list[bytes]] = {}
        for mark in marks:
            by_lane.setdefault(mark.lane, []).append(mark.digest)
        found: list[str] = []
        for lane, digests in sorted(by_lane.items()):
            rows = await fetch(self._pool, _MARKED, {"lane": lane, "digests": digests})
            found += [str(name) for (name,) in rows if lane_of(str(name)) == lane]
        return found

    async def fingerprint(self) -> str:
        """Of the secret that digests are made with."""
        rows = await fetch(self._pool, _SECRET, {})
        return hashlib.sha256(str(rows[0][0]).encode()).hexdigest()[:16]


async def _erase(
    connection: Connection, buyer_id: str, by: str, now: datetime, keep_until: date
) -> Erased | ErasurePending | None:
    lane = lane_of(buyer_id)
    params: dict[str, object] = {
        "lane": lane,
        "buyer_id": buyer_id,
        "new_id": new_buyer_id(lane),
        "now": now,
        "keep_until": keep_until,
        "incident_open": INCIDENT_OPEN,
        "unfinished": UNFINISHED,
    }
    # Reading is a statement of its own after the locks.
    await connection.execute(steps.LOCK_ERASURE, params)
    await connection.execute(LOCK_BUYER, params)
    locked = await (await connection.execute(steps.LOCK_ORDERS, params)).fetchall()
    params["orders"] = orders = [str(order_id) for (order_id,) in locked]
    known, before = await _known(connection, params)
    if not known:
        return Erased(None) if before else None
    found = await (await connection.execute(steps.PENDING, params)).fetchall()
    if found:
        return ErasurePending(tuple(_pending(row) for row in found))
    tickets = await _count(connection, steps.TICKETS, params)
    for step in steps.BEFORE_THE_LOG:
        await connection.execute(step, params)
    await connection.execute(LOCK_FOR_THE_TRANSACTION, {"lock": PUBLISHER_LOCK})
    for step in (*steps.IN_THE_FEED, *steps.LOCK_SIGNING_IN):
        await connection.execute(step, params)
    erasure_id = new_id(0)
    params["number"] = await _count(connection, "SELECT number + 1 FROM audit_head FOR UPDATE", params)
    await connection.execute("SET LOCAL jitui.redacting = on")
    redacted = await (await connection.execute(steps.REDACT, params)).fetchall()
    for step in steps.AFTER_THE_LOG:
        await connection.execute(step, params)
    # By a number of its own: neither the id nor the pseudonym, which would lead from the digest's month to the orders.
    told = {"redacted": {str(number): digest for number, digest in redacted}}
    await write_audit(connection, AuditEntry(AuditAction.BUYER_ERASED, str(erasure_id), by, now, told))
    return Erased(erasure_id, len(orders), tickets)


async def _known(connection: Connection, params: Mapping[str, object]) -> tuple[bool, bool]:
    """Whether anything is stored, and whether the buyer was erased before."""
    known, before = (await (await connection.execute(steps.KNOWN, params)).fetchall())[0]
    return bool(known), bool(before)


async def _count(connection: Connection, statement: LiteralString, params: Mapping[str, object]) -> int:
    return int(str((await (await connection.execute(statement, params)).fetchall())[0][0]))


def _pending(row: Sequence[object]) -> Pending:
    kind, name, order_id, until = row
    return Pending(PendingKind(str(kind)), str(name), str(order_id), msgspec.convert(until, datetime | None))
