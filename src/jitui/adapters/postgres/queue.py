"""The refund queue and the deadlines: which lanes have something due, then lane by lane (05, Lanes)."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from uuid import UUID

import msgspec

from jitui.adapters.postgres.batch import BEGIN, COMMIT, Value, run_batch, statement
from jitui.adapters.postgres.pool import Connection
from jitui.aftersales.ports import ClaimedRefund, TicketRef
from jitui.aftersales.refund import Attempt, AttemptState, Refund, RefundState
from jitui.ids import new_id

# Without locks and without order: a hint of where to look, not a claim.
DUE_LANES = statement("""
SELECT l.lane FROM generate_series(0, 255) AS l (lane)
WHERE EXISTS (SELECT 1 FROM refund r WHERE r.lane = l.lane AND r.due_at <= %(now)s::timestamptz)
ORDER BY random()
""")

LOCK_DUE = statement("""
SELECT to_json(r)::text FROM refund r
WHERE r.lane = %(lane)s AND r.due_at <= %(now)s::timestamptz
ORDER BY r.due_at LIMIT %(limit)s::bigint FOR UPDATE SKIP LOCKED
""")

ATTEMPTS_OF = statement("""
SELECT to_json(a)::text FROM refund_attempt a
WHERE a.lane = %(lane)s AND a.refund_id IN (SELECT jsonb_array_elements_text(%(refund_ids)s::jsonb)::uuid)
ORDER BY a.attempt_no
""")

LEASE = statement("""
WITH claimed AS (
    SELECT * FROM jsonb_to_recordset(%(rows)s::jsonb)
    AS c (refund_id uuid, state text, attempt_no int, tries int, attempt_id uuid, is_new boolean)),
leased AS (
    UPDATE refund r SET state = c.state, attempt_no = c.attempt_no, tries = c.tries,
        leased_until = %(lease_until)s::timestamptz,
        due_at = %(lease_until)s::timestamptz
    FROM claimed c WHERE r.lane = %(lane)s AND r.refund_id = c.refund_id
    RETURNING r.refund_id, r.order_id)
INSERT INTO refund_attempt (lane, attempt_id, refund_id, order_id, attempt_no, state, started_at)
SELECT %(lane)s, c.attempt_id, c.refund_id, l.order_id, c.attempt_no, 'sending', %(now)s::timestamptz
FROM claimed c JOIN leased l USING (refund_id) WHERE c.is_new
""")

EXPIRED = statement("""
SELECT t.lane, t.ticket_id FROM generate_series(0, 255) AS l (lane)
CROSS JOIN LATERAL (
    SELECT lane, ticket_id FROM ticket
    WHERE lane = l.lane AND state = 'awaiting_merchant' AND expires_at <= %(now)s::timestamptz
    ORDER BY expires_at LIMIT %(limit)s::bigint) t
LIMIT %(limit)s::bigint
""")

_REFUND = msgspec.json.Decoder(Refund)
_ATTEMPT = msgspec.json.Decoder(Attempt)


async def claim_refunds(
    connection: Connection, *, now: datetime, lease_until: datetime, limit: int
) -> list[ClaimedRefund]:
    """Claim up to `limit` due refunds and commit `sending` for them before any call goes out (03, step 2).

    The due time becomes the end of the lease, so a dead worker's refunds come back by themselves.
    """
    (rows,) = await run_batch(connection, [(DUE_LANES, {"now": now})])
    lanes = [int(row[0] or 0) for row in rows]
    claimed: list[ClaimedRefund] = []
    for lane in lanes:
        if len(claimed) >= limit:
            break
        claimed += await _claim_lane(connection, lane, now, lease_until, limit - len(claimed))
    return claimed


async def _claim_lane(
    connection: Connection, lane: int, now: datetime, lease_until: datetime, limit: int
) -> list[ClaimedRefund]:
    _, rows = await run_batch(connection, [(BEGIN, {}), (LOCK_DUE, {"lane": lane, "now": now, "limit": limit})])
    refunds = [_REFUND.decode(row[0] or b"") for row in rows]
    if not refunds:
        await connection.rollback()
        return []
    attempts = await _latest_attempts(connection, lane, refunds)
    claimed = [_claim(lane, refund, attempts.get(refund.refund_id), now, lease_until) for refund in refunds]
    leases = [
        {
            "refund_id": claim.refund.refund_id,
            "state": claim.refund.state,
            "attempt_no": claim.refund.attempt_no,
            "tries": claim.refund.tries,
            "attempt_id": claim.attempt.attempt_id,
            "is_new": not claim.look_up_first,
        }
        for claim in claimed
    ]
    params: dict[str, Value] = {
        "lane": lane,
        "now": now,
        "lease_until": lease_until,
        "rows": msgspec.json.encode(leases).decode(),
    }
    await run_batch(connection, [(LEASE, params), (COMMIT, {})])
    return claimed


async def _latest_attempts(connection: Connection, lane: int, refunds: list[Refund]) -> dict[UUID, Attempt]:
    known = [refund.refund_id for refund in refunds if refund.attempt_no]
    if not known:
        return {}
    refund_ids = msgspec.json.encode(known).decode()
    (rows,) = await run_batch(connection, [(ATTEMPTS_OF, {"lane": lane, "refund_ids": refund_ids})])
    attempts = [_ATTEMPT.decode(row[0] or b"") for row in rows]
    return {attempt.refund_id: attempt for attempt in attempts}


def _claim(lane: int, refund: Refund, latest: Attempt | None, now: datetime, lease_until: datetime) -> ClaimedRefund:
    """A queued refund gets a new attempt; anything else is the same attempt again, looked up first."""
    if refund.state is RefundState.QUEUED or latest is None:
        attempt = Attempt(new_id(lane), refund.refund_id, refund.attempt_no + 1, AttemptState.SENDING, started_at=now)
        leased = _leased(refund, RefundState.SENDING, attempt.attempt_no, 1, lease_until)
        return ClaimedRefund(lane, leased, attempt, look_up_first=False)
    accepted = refund.state in (RefundState.PENDING, RefundState.SUCCEEDED)
    leased = _leased(refund, refund.state, refund.attempt_no, refund.tries + 1, lease_until)
    return ClaimedRefund(lane, leased, latest, look_up_first=True, may_send=not accepted)


def _leased(refund: Refund, state: RefundState, attempt_no: int, tries: int, until: datetime) -> Refund:
    return replace(refund, state=state, attempt_no=attempt_no, tries=tries, leased_until=until, due_at=until)


async def expired_tickets(connection: Connection, now: datetime, limit: int) -> list[TicketRef]:
    """Tickets whose deadline has passed, from any lane; each is then decided under its own locks."""
    (rows,) = await run_batch(connection, [(EXPIRED, {"now": now, "limit": limit})])
    return [TicketRef(int(lane or 0), UUID((ticket_id or b"").decode())) for lane, ticket_id in rows]
