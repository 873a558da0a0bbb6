"""Stores on PostgreSQL which database is accepted for payouts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from uuid import UUID, uuid4

import msgspec

from jitui.adapters.postgres.batch import run_batch
from jitui.adapters.postgres.pool import Pool, read_rows
from jitui.adapters.postgres.queue import HOLD, RESTORED, SeenLog, claim_queued
from jitui.aftersales.ports import AttemptRef, OrderRef, RefundRef
from jitui.aftersales.reconciliation.restore import PayoutStatus

_STATUS = """
SELECT json_build_object(
    'allowed', payouts_allowed(), 'timeline_id', current_timeline_id(), 'accepted_timeline_id', d.timeline_id,
    'accepted_at', d.accepted_at, 'accepted_by', d.accepted_by, 'held_since', d.held_since, 'held_by', d.held_by,
    'held_reason', d.held_reason,
    'last_seen_at', (SELECT max(at) FROM worker_mark),
    'open_refunds', (SELECT count(*) FROM refund WHERE state NOT IN ('succeeded', 'failed')),
    'unexplained', (SELECT count(*) FROM task WHERE kind = 'refund_not_in_books' AND state = 'open'))::text
FROM (VALUES (current_system_id())) AS here (system_id) LEFT JOIN accepted_database d USING (system_id)
"""

_ACCEPT = """
INSERT INTO accepted_database (system_id, timeline_id, accepted_at, accepted_by, note)
VALUES (current_system_id(), current_timeline_id(), %(now)s, %(by)s, %(note)s)
ON CONFLICT (system_id) DO UPDATE SET timeline_id = EXCLUDED.timeline_id, acceptance_id = EXCLUDED.acceptance_id,
    accepted_at = EXCLUDED.accepted_at, accepted_by = EXCLUDED.accepted_by, note = EXCLUDED.note,
    held_since = NULL, held_by = NULL, held_reason = NULL
"""

_MARK = """
INSERT INTO worker_mark AS w (acceptance_id, home_id, marks, at)
SELECT d.acceptance_id, %(home_id)s, 1, %(now)s FROM accepted_database d
WHERE d.system_id = current_system_id() AND payouts_allowed()
ON CONFLICT (acceptance_id, home_id) DO UPDATE SET marks = w.marks + 1, at = EXCLUDED.at
RETURNING acceptance_id, marks
"""

_SYNCHRONOUS = """
UPDATE accepted_database d SET synchronous = s.now
FROM (SELECT current_setting('synchronous_standby_names') <> ''
          AND current_setting('synchronous_commit') IN ('on', 'remote_apply')) AS s (now)
WHERE d.system_id = current_system_id() AND payouts_allowed() AND d.synchronous IS DISTINCT FROM s.now
"""

# A standby for which every commit waited has all that was answered. That it did is known from before the promotion;
# that it is so is seen in what this worker itself did last: its marks, and the last refund that it claimed.
_ACCEPT_PROMOTION = """
UPDATE accepted_database d SET timeline_id = current_timeline_id(), accepted_at = %(now)s, accepted_by = 'worker',
    note = 'a standby was promoted that has everything'
WHERE d.system_id = current_system_id() AND d.timeline_id + 1 = current_timeline_id()
  AND d.held_since IS NULL AND d.synchronous
  AND EXISTS (SELECT 1 FROM worker_mark w WHERE w.acceptance_id = d.acceptance_id AND w.home_id = %(home_id)s
                AND w.marks >= (%(marks)s::jsonb ->> d.acceptance_id::text)::bigint)
  AND (%(attempt_id)s::uuid IS NULL OR EXISTS (
        SELECT 1 FROM refund_attempt a WHERE a.lane = %(lane)s AND a.attempt_id = %(attempt_id)s::uuid))
RETURNING timeline_id
"""

_OPEN_ATTEMPTS = """
SELECT a.lane, a.attempt_id FROM refund r
JOIN refund_attempt a ON a.lane = r.lane AND a.refund_id = r.refund_id AND a.attempt_no = r.attempt_no
WHERE r.state IN ('sending', 'pending', 'unknown') ORDER BY a.started_at, a.attempt_id
"""

_PROVIDERS = "SELECT DISTINCT provider FROM tender ORDER BY provider"

_ORDERS = """
SELECT t.lane, t.order_id FROM generate_series(0, 255) AS l (lane) CROSS JOIN LATERAL (
    SELECT lane, order_id FROM tender
    WHERE lane = l.lane AND provider = %(provider)s AND payment_id = ANY (%(payment_ids)s)) t
GROUP BY t.lane, t.order_id ORDER BY t.order_id
"""


@dataclass(frozen=True, slots=True)
class _Marks:
    """The content of the file in the home folder: how often this worker has marked each accepted database."""

    home_id: UUID = field(default_factory=uuid4)
    marks: Mapping[str, int] = field(default_factory=dict)


def _read(path: Path) -> _Marks:
    """The marks in the file; new ones when it is missing or incomplete."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=_Marks)
    except (OSError, msgspec.MsgspecError):
        return _Marks()


def _write(path: Path, marks: _Marks) -> None:
    """Replace the file as a whole; when the folder cannot be written, nothing is stored."""
    beside = path.with_name(f"{path.name}.{uuid4().hex}")
    with suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True)
        beside.write_bytes(msgspec.json.encode(marks))
        beside.replace(path)


class PostgresPayoutHold:
    """Implements `jitui.aftersales.reconciliation.restore.PayoutHold`."""

    def __init__(self, pool: Pool, marks: Path, seen: SeenLog | None = None) -> None:
        self._pool = pool
        self._marks = marks
        self._seen = seen or SeenLog()

    async def status(self) -> PayoutStatus:
        """The status now."""
        (found,) = await read_rows(self._pool, _STATUS, {}, PayoutStatus)
        return found

    async def hold(self, *, reason: str, by: str, now: datetime) -> None:
        """Hold payouts; an existing hold keeps its reason."""
        async with self._pool.connection() as connection:
            await run_batch(connection, [(HOLD, {"reason": reason, "by": by, "now": now})])

    async def accept(self, *, note: str, by: str, now: datetime) -> None:
        """Accept this database, and end a hold."""
        async with self._pool.connection() as connection:
            await connection.execute(_ACCEPT, {"note": note, "by": by, "now": now})

    async def mark(self, now: datetime) -> None:
        """Mark the database, and compare the marks with those in the home folder.

        Nothing is marked while payouts are held, so that a restored database keeps the last time at which a worker ran.
        """
        kept = _read(self._marks)
        async with self._pool.connection() as connection:
            await connection.execute(_SYNCHRONOUS)
            rows = await (await connection.execute(_MARK, {"home_id": kept.home_id, "now": now})).fetchall()
        for acceptance_id, marks in rows:
            if int(str(marks)) <= kept.marks.get(str(acceptance_id), 0):
                await self.hold(reason=RESTORED, by="worker", now=now)
            else:  # written after the database, so the file is never ahead of a database that was not restored
                _write(self._marks, replace(kept, marks={**kept.marks, str(acceptance_id): int(str(marks))}))

    async def accept_promotion(self, now: datetime) -> bool:
        """Two workers at once: the second finds it accepted."""
        kept, last = _read(self._marks), self._seen.last_claim
        named = {
            "now": now,
            "home_id": kept.home_id,
            "marks": msgspec.json.encode(kept.marks).decode(),
            "attempt_id": None if last is None else last.attempt_id,
            "lane": None if last is None else last.lane,
        }
        async with self._pool.connection() as connection:
            rows = await (await connection.execute(_ACCEPT_PROMOTION, named)).fetchall()
        return bool(rows)

    async def open_attempts(self) -> Sequence[AttemptRef]:
        """The newest attempts of unfinished refunds, oldest first."""
        async with self._pool.connection() as connection:
            rows = await (await connection.execute(_OPEN_ATTEMPTS)).fetchall()
        return [AttemptRef(int(str(lane)), UUID(str(attempt_id))) for lane, attempt_id in rows]

    async def providers(self) -> Sequence[str]:
        """The providers of all tenders, by name."""
        async with self._pool.connection() as connection:
            return [str(name) for (name,) in await (await connection.execute(_PROVIDERS)).fetchall()]

    async def begin_attempt(self, ref: RefundRef, attempt_id: UUID, *, now: datetime, lease_until: datetime) -> bool:
        """Begin the attempt under the row's lock; a second caller finds that it has begun."""
        async with self._pool.connection() as connection:
            begun = await claim_queued(connection, ref, attempt_id, now=now, lease_until=lease_until)
        return begun is not None

    async def orders_paid_by(self, provider: str, payment_ids: Sequence[str]) -> Sequence[OrderRef]:
        """The orders that a payment pays for; several may share it."""
        async with self._pool.connection() as connection:
            found = await connection.execute(_ORDERS, {"provider": provider, "payment_ids": list(payment_ids)})
            return [OrderRef(int(str(lane)), str(order_id)) for lane, order_id in await found.fetchall()]
