"""The refund queue and the deadlines: find the lanes in which something is due, then go through them.

`architecture.md` describes the order of the steps.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from random import randrange
from typing import LiteralString
from uuid import UUID

import msgspec

from jitui.adapters.postgres.batch import BEGIN, COMMIT, BatchCall, Row, Statement, Value, run_batch, statement
from jitui.adapters.postgres.pool import Connection
from jitui.aftersales.commands.claim import claimed
from jitui.aftersales.model.refund import Attempt, Refund
from jitui.aftersales.ports import AttemptRef, ClaimedRefund, IncidentRef, RefundRef, TicketRef
from jitui.ids import LANES, new_id

LANES_AT_ONCE = 16
"""A claim starts at a random lane and stops when this many lanes have something due."""

# Without locks: it says where to look and how much is due there, but claims nothing.
DUE_LANES = statement("""
SELECT current_system_id(), current_timeline_id(), (pg_current_wal_flush_lsn() - '0/0'::pg_lsn)::bigint, x.lane, x.due
FROM (VALUES (1)) AS one (n) LEFT JOIN LATERAL (
    SELECT l.lane, d.due FROM (
        SELECT (place + %(from_lane)s::integer) %% 256 AS lane FROM generate_series(0, 255) AS s (place)) l
    CROSS JOIN LATERAL (
        SELECT count(*) AS due FROM (
            SELECT 1 FROM refund r
            WHERE r.lane = l.lane AND r.due_at <= %(now)s::timestamptz
              AND (%(provider)s::text IS NULL OR r.provider = %(provider)s::text)
            LIMIT %(limit)s::bigint) y) d
    WHERE d.due > 0
    LIMIT %(lanes)s::bigint) x ON true
""")


def _claim(which: LiteralString) -> Statement:
    """`aftersales.commands.claim.plan_claim` as SQL, for many refunds; new attempts get the given ids."""
    return statement(f"""
WITH due AS MATERIALIZED (
    SELECT r.refund_id, r.state, r.attempt_no FROM refund r
    WHERE r.lane = %(lane)s AND {which} FOR UPDATE SKIP LOCKED),
numbered AS (
    SELECT refund_id, state = 'queued' OR attempt_no = 0 AS is_new, row_number() OVER () AS place FROM due),
claimed AS (
    UPDATE refund r SET state = CASE WHEN n.is_new THEN 'sending' ELSE r.state END,
        attempt_no = r.attempt_no + n.is_new::int, tries = CASE WHEN n.is_new THEN 1 ELSE r.tries + 1 END,
        leased_until = %(lease_until)s::timestamptz, due_at = %(lease_until)s::timestamptz
    FROM numbered n WHERE r.lane = %(lane)s AND r.refund_id = n.refund_id
    RETURNING r.*, n.is_new, n.place),
started AS (
    INSERT INTO refund_attempt (lane, attempt_id, refund_id, order_id, attempt_no, state, started_at)
    SELECT %(lane)s, i.id::uuid, c.refund_id, c.order_id, c.attempt_no, 'sending', %(now)s::timestamptz
    FROM claimed c JOIN jsonb_array_elements_text(%(new_ids)s::jsonb) WITH ORDINALITY AS i (id, place) USING (place)
    WHERE c.is_new
    RETURNING *)
SELECT c.is_new, to_json(c)::text, to_json(s)::text, c.trace_parent
FROM claimed c JOIN started s USING (refund_id) WHERE c.is_new
UNION ALL
SELECT c.is_new, to_json(c)::text, to_json(a)::text, c.trace_parent FROM claimed c
JOIN refund_attempt a ON a.lane = %(lane)s AND a.refund_id = c.refund_id AND a.attempt_no = c.attempt_no
WHERE NOT c.is_new
""")


# Nothing is claimed on a restored database that nobody has accepted, nor for an order with an unexplained refund at its
# provider (`aftersales.reconciliation.restore`).
CLAIM = _claim("""r.due_at <= %(now)s::timestamptz
      AND (%(provider)s::text IS NULL OR r.provider = %(provider)s::text)
      AND payouts_allowed()
      AND NOT EXISTS (SELECT 1 FROM task k WHERE k.order_id = r.order_id
                        AND k.kind = 'refund_not_in_books' AND k.state = 'open')
    ORDER BY r.due_at LIMIT %(limit)s::bigint""")

CLAIM_QUEUED = _claim("r.refund_id = %(refund_id)s::uuid AND r.state = 'queued'")

RESTORED = "the database is older than a worker has seen it: it was restored"

# An existing hold keeps its reason. A database without a row of its own is held already: it is another system.
HOLD = statement("""
UPDATE accepted_database
SET held_since = %(now)s::timestamptz, held_by = %(by)s::text, held_reason = %(reason)s::text
WHERE system_id = current_system_id() AND held_since IS NULL
""")

# Silence approves nothing while payouts are held: what the merchant said may be lost.
EXPIRED = statement("""
SELECT t.lane, t.ticket_id FROM generate_series(0, 255) AS l (lane)
CROSS JOIN LATERAL (
    SELECT lane, ticket_id FROM ticket
    WHERE lane = l.lane AND state = 'awaiting_merchant' AND expires_at <= %(now)s::timestamptz AND payouts_allowed()
    ORDER BY expires_at LIMIT %(limit)s::bigint) t
LIMIT %(limit)s::bigint
""")

TO_REMIND = statement("""
SELECT t.lane, t.ticket_id FROM generate_series(0, 255) AS l (lane)
CROSS JOIN LATERAL (
    SELECT lane, ticket_id FROM ticket
    WHERE lane = l.lane AND state = 'awaiting_merchant' AND remind_at <= %(now)s::timestamptz
    ORDER BY remind_at LIMIT %(limit)s::bigint) t
LIMIT %(limit)s::bigint
""")


DUE_INCIDENTS = statement("""
SELECT i.lane, i.incident_id FROM generate_series(0, 255) AS l (lane)
CROSS JOIN LATERAL (
    SELECT lane, incident_id FROM incident
    WHERE lane = l.lane AND due_at <= %(now)s::timestamptz ORDER BY due_at LIMIT %(limit)s::bigint) i
LIMIT %(limit)s::bigint
""")


@dataclass(frozen=True, slots=True)
class LogPosition:
    """A position in the write-ahead log of a database system: the number of bytes that are safe on disk."""

    system_id: int
    timeline_id: int
    position: int

    def is_behind(self, seen: LogPosition | None) -> bool:
        """Whether the same log was longer when it was last seen."""
        if seen is None or (self.system_id, self.timeline_id) != (seen.system_id, seen.timeline_id):
            return False
        return self.position < seen.position


@dataclass(slots=True)
class SeenLog:
    """The furthest position that this process has seen; a backup that replaced the database is behind it."""

    latest: LogPosition | None = None
    last_claim: AttemptRef | None = None
    """The newest attempt that this process has claimed: whatever was written before it is where it is."""

    def advance(self, found: LogPosition) -> None:
        """Keep the further one of two positions that were read at the same time."""
        if not found.is_behind(self.latest):
            self.latest = found


_REFUND = msgspec.json.Decoder(Refund)
_ATTEMPT = msgspec.json.Decoder(Attempt)


async def claim_refunds(
    connection: Connection,
    seen: SeenLog,
    *,
    now: datetime,
    lease_until: datetime,
    limit: int,
    provider: str | None = None,
) -> list[ClaimedRefund]:
    """Claim up to `limit` due refunds, and commit `sending` before any of them is sent (`architecture.md`).

    Two round trips for up to LANES_AT_ONCE lanes, each in a transaction of its own. Nothing is returned only when
    nothing could be claimed. When the database is older than it was before, payouts are held and nothing is claimed.
    """
    seen_before = seen.latest  # read first: a concurrent call may see a later position than this call gets
    look: dict[str, Value] = {"from_lane": randrange(LANES), "lanes": LANES_AT_ONCE, "limit": limit}
    (rows,) = await run_batch(connection, [(DUE_LANES, {**look, "now": now, "provider": provider})])
    shares = _shares([(int(lane), int(due or 0)) for *_, lane, due in rows if lane is not None], limit)
    found = LogPosition(*(int(value or 0) for value in rows[0][:3]))
    if found.is_behind(seen_before):
        await run_batch(connection, [(HOLD, {"now": now, "by": "worker", "reason": RESTORED})])
        return []
    seen.advance(found)
    if not shares:
        return []
    common: dict[str, Value] = {"now": now, "lease_until": lease_until, "provider": provider}
    calls: list[BatchCall] = []
    for lane, share in shares:
        new_ids = msgspec.json.encode([new_id(lane) for _ in range(share)]).decode()
        calls += [(BEGIN, {}), (CLAIM, {**common, "lane": lane, "limit": share, "new_ids": new_ids}), (COMMIT, {})]
    answers = await run_batch(connection, calls)
    claims = [_claimed(lane, row) for (lane, _), rows in zip(shares, answers[1::3], strict=True) for row in rows]
    if claims:
        seen.last_claim = AttemptRef(claims[-1].lane, claims[-1].attempt.attempt_id)
    return claims


async def claim_queued(
    connection: Connection, ref: RefundRef, attempt_id: UUID, *, now: datetime, lease_until: datetime
) -> ClaimedRefund | None:
    """Begin an attempt whose id the provider already knows; None when the refund is not queued any more."""
    call: dict[str, Value] = {"lane": ref.lane, "refund_id": ref.refund_id, "now": now, "lease_until": lease_until}
    new_ids = msgspec.json.encode([attempt_id]).decode()
    answers = await run_batch(connection, [(BEGIN, {}), (CLAIM_QUEUED, {**call, "new_ids": new_ids}), (COMMIT, {})])
    return next((_claimed(ref.lane, row) for row in answers[1]), None)


def _shares(due: Sequence[tuple[int, int]], limit: int) -> list[tuple[int, int]]:
    """How many refunds to claim in each lane, `limit` at most in all."""
    shares: list[tuple[int, int]] = []
    left = limit
    for lane, count in due:
        if left <= 0:
            break
        shares.append((lane, min(count, left)))
        left -= min(count, left)
    return shares


def _claimed(lane: int, row: Row) -> ClaimedRefund:
    is_new, refund_text, attempt_text, trace_parent = row
    refund, attempt = _REFUND.decode(refund_text or b""), _ATTEMPT.decode(attempt_text or b"")
    made = claimed(lane, refund, attempt, is_new=is_new == b"t")
    return made if trace_parent is None else replace(made, trace_parent=trace_parent.decode())


async def expired_tickets(connection: Connection, now: datetime, limit: int) -> list[TicketRef]:
    """Tickets whose deadline has passed, in any lane; each is then decided under its own locks."""
    (rows,) = await run_batch(connection, [(EXPIRED, {"now": now, "limit": limit})])
    return [_ticket_ref(row) for row in rows]


async def tickets_to_remind(connection: Connection, now: datetime, limit: int) -> list[TicketRef]:
    """Tickets whose reminder is due, in any lane; each is then announced under its own locks."""
    (rows,) = await run_batch(connection, [(TO_REMIND, {"now": now, "limit": limit})])
    return [_ticket_ref(row) for row in rows]


def _ticket_ref(row: Row) -> TicketRef:
    lane, ticket_id = row
    return TicketRef(int(lane or 0), UUID((ticket_id or b"").decode()))


async def due_incidents(connection: Connection, now: datetime, limit: int) -> list[IncidentRef]:
    """Incidents with a deadline or a reminder that is due, in any lane."""
    (rows,) = await run_batch(connection, [(DUE_INCIDENTS, {"now": now, "limit": limit})])
    return [IncidentRef(int(lane or 0), UUID((incident_id or b"").decode())) for lane, incident_id in rows]
