"""See `jitui.webhooks.model.DeliveryQueue`.

Who holds an order's row in `webhook_queue` sends that order's oldest pending event; the row goes when nothing is left.
It is locked before what is pending is read, in a statement of its own: a statement that had waited would still see what
was pending before.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from random import randrange
from typing import LiteralString
from uuid import UUID

import msgspec
from uuid_utils.compat import uuid7

from jitui.adapters.postgres.batch import BEGIN, COMMIT, BatchCall, Row, Statement, Value, run_batch, statement
from jitui.adapters.postgres.feed import EVENT, publish_changes
from jitui.adapters.postgres.pool import Pool, read_rows
from jitui.aftersales.ports import OutgoingEvent
from jitui.ids import LANES
from jitui.webhooks.model import Attempted, ClaimedDelivery, EndpointHealth, WebhookEndpoint

WEBHOOKS_LOCK = 7405104
"""Held while the feed is queued and while endpoints change, so that neither sees half of the other."""
LANES_AT_ONCE = 32
"""A claim looks no further than it needs: from a lane drawn at random, until so many have something due."""

# Fan-out ----------------------------------------------------------------------------------------------------------

_ANY_ENDPOINT: LiteralString = "SELECT EXISTS (SELECT 1 FROM webhook_endpoint)"

_TRY_LOCK: LiteralString = """
SELECT pg_try_advisory_xact_lock(%(lock)s), set_config('idle_in_transaction_session_timeout', '5s', true)
"""

_REACH: LiteralString = """
SELECT w.position, least(w.position + %(limit)s, (SELECT coalesce(max(position), 0) FROM change)) FROM webhook_cursor w
"""

_WANTED: LiteralString = """
FROM change c JOIN webhook_endpoint e ON c.position > e.after_position
    AND (e.shop_id = '' OR e.shop_id = c.shop_id) AND (e.kinds = '{}' OR c.kind = ANY (e.kinds))
WHERE c.position > %(after)s AND c.position <= %(upto)s
"""

_QUEUE_EVENTS: LiteralString = (
    """
INSERT INTO webhook_delivery (lane, endpoint_id, position, change_id, order_id, queued_at)
SELECT c.lane, e.endpoint_id, c.position, c.change_id, c.order_id, %(now)s::timestamptz
"""
    + _WANTED
    + "ON CONFLICT (lane, endpoint_id, position) DO NOTHING"
)

# The update locks rows that are there already, so that nobody who finishes with one takes it away meanwhile.
_QUEUE_ORDERS: LiteralString = (
    """
INSERT INTO webhook_queue (lane, endpoint_id, order_id, due_at)
SELECT DISTINCT c.lane, e.endpoint_id, c.order_id, CASE WHEN e.state = 'active' THEN %(now)s::timestamptz END
"""
    + _WANTED
    + """
ON CONFLICT (lane, endpoint_id, order_id) DO UPDATE SET due_at = coalesce(webhook_queue.due_at, excluded.due_at)
"""
)

_REACHED: LiteralString = "UPDATE webhook_cursor SET position = %(upto)s"

# Claiming ---------------------------------------------------------------------------------------------------------

# Without locks: a hint of where to look and how much is there, not a claim.
DUE = statement("""
SELECT l.lane, d.endpoint_id, d.due FROM (
    SELECT (place + %(from_lane)s::integer) %% 256 AS lane FROM generate_series(0, 255) AS s (place)) l
CROSS JOIN LATERAL (
    SELECT x.endpoint_id, count(*) AS due FROM (
        SELECT q.endpoint_id FROM webhook_queue q
        WHERE q.lane = l.lane AND q.due_at <= %(now)s::timestamptz AND q.endpoint_id <> ALL (%(full)s::uuid[])
        LIMIT %(limit)s::bigint) x
    GROUP BY x.endpoint_id) d
LIMIT %(lanes)s::bigint
""")

CLAIM = statement("""
WITH due AS MATERIALIZED (
    SELECT q.order_id FROM webhook_queue q
    WHERE q.lane = %(lane)s AND q.endpoint_id = %(endpoint_id)s::uuid AND q.due_at <= %(now)s::timestamptz
      AND EXISTS (
        SELECT 1 FROM webhook_endpoint e WHERE e.endpoint_id = %(endpoint_id)s::uuid AND e.state = 'active')
    ORDER BY q.due_at LIMIT %(limit)s::bigint FOR UPDATE OF q SKIP LOCKED)
UPDATE webhook_queue q SET claim_id = %(claim_id)s::uuid, due_at = %(lease_until)s::timestamptz
FROM due d WHERE q.lane = %(lane)s AND q.endpoint_id = %(endpoint_id)s::uuid AND q.order_id = d.order_id
""")

NEXT_EVENTS = statement(
    """
SELECT json_build_object('order_id', q.order_id, 'position', d.position, 'tries', d.tries, 'queued_at', d.queued_at,
    'event', """
    + EVENT
    + """)::text
FROM webhook_queue q
CROSS JOIN LATERAL (
    SELECT w.position, w.change_id, w.tries, w.queued_at FROM webhook_delivery w
    WHERE w.lane = %(lane)s AND w.endpoint_id = %(endpoint_id)s::uuid AND w.order_id = q.order_id
      AND w.state = 'pending'
    ORDER BY w.position LIMIT 1) d
LEFT JOIN change c ON c.lane = %(lane)s AND c.change_id = d.change_id
WHERE q.lane = %(lane)s AND q.endpoint_id = %(endpoint_id)s::uuid AND q.claim_id = %(claim_id)s::uuid
"""
)

LEAVE_EMPTY = statement("""
DELETE FROM webhook_queue q
WHERE q.lane = %(lane)s AND q.endpoint_id = %(endpoint_id)s::uuid AND q.claim_id = %(claim_id)s::uuid
  AND NOT EXISTS (
    SELECT 1 FROM webhook_delivery d WHERE d.lane = %(lane)s AND d.endpoint_id = %(endpoint_id)s::uuid
      AND d.order_id = q.order_id AND d.state = 'pending')
""")

ENDPOINTS = statement("""
SELECT to_json(e)::text, coalesce((
    SELECT json_agg(s.encrypted ORDER BY s.secret_no DESC) FROM webhook_secret s
    WHERE s.endpoint_id = e.endpoint_id AND (s.ends_at IS NULL OR s.ends_at > %(now)s::timestamptz)), '[]')::text
FROM webhook_endpoint e WHERE e.endpoint_id = ANY (%(endpoint_ids)s::uuid[])
""")

# Closing ----------------------------------------------------------------------------------------------------------

LOCK_ORDER = statement("""
SELECT 1 FROM webhook_queue
WHERE lane = %(lane)s AND endpoint_id = %(endpoint_id)s::uuid AND order_id = %(order_id)s FOR UPDATE
""")

# That an event was taken is true whoever has the order by now; that it was not counts for who has it.
CLOSE = statement("""
UPDATE webhook_delivery d SET state = %(state)s, tries = d.tries + 1, tried_at = %(at)s::timestamptz,
    closed_at = CASE WHEN %(state)s = 'pending' THEN NULL ELSE %(at)s::timestamptz END,
    status = %(status)s::smallint, failure = %(failure)s
WHERE d.lane = %(lane)s AND d.endpoint_id = %(endpoint_id)s::uuid AND d.position = %(position)s::bigint
  AND d.state = 'pending' AND (%(state)s = 'delivered' OR EXISTS (
    SELECT 1 FROM webhook_queue q WHERE q.lane = %(lane)s AND q.endpoint_id = %(endpoint_id)s::uuid
      AND q.order_id = %(order_id)s AND q.claim_id = %(claim_id)s::uuid))
""")

RELEASE = statement("""
UPDATE webhook_queue q SET claim_id = NULL, due_at = (
    SELECT %(due_at)s::timestamptz FROM webhook_endpoint e
    WHERE e.endpoint_id = %(endpoint_id)s::uuid AND e.state = 'active')
WHERE q.lane = %(lane)s AND q.endpoint_id = %(endpoint_id)s::uuid AND q.order_id = %(order_id)s
  AND q.claim_id = %(claim_id)s::uuid
""")

LEAVE = statement("""
DELETE FROM webhook_queue q
WHERE q.lane = %(lane)s AND q.endpoint_id = %(endpoint_id)s::uuid AND q.order_id = %(order_id)s
  AND NOT EXISTS (
    SELECT 1 FROM webhook_delivery d WHERE d.lane = %(lane)s AND d.endpoint_id = %(endpoint_id)s::uuid
      AND d.order_id = %(order_id)s AND d.state = 'pending')
""")

# Health and age ---------------------------------------------------------------------------------------------------

_NOTE: LiteralString = """
UPDATE webhook_endpoint SET
    last_success_at = greatest(last_success_at, %(success_at)s::timestamptz),
    last_failure_at = greatest(last_failure_at, %(failure_at)s::timestamptz),
    last_failure = CASE WHEN %(failure)s = '' THEN last_failure ELSE %(failure)s END,
    failing_since = CASE WHEN %(success_at)s::timestamptz IS NULL
        THEN coalesce(failing_since, %(failing_since)s::timestamptz) ELSE %(failing_since)s::timestamptz END
WHERE endpoint_id = %(endpoint_id)s
"""

_FAILING: LiteralString = """
SELECT to_json(e)::text FROM webhook_endpoint e WHERE state = 'active' AND failing_since <= %(since)s
"""

_PURGE: LiteralString = """
DELETE FROM webhook_delivery d USING (
    SELECT lane, endpoint_id, position FROM webhook_delivery WHERE closed_at < %(before)s LIMIT %(limit)s) old
WHERE d.lane = old.lane AND d.endpoint_id = old.endpoint_id AND d.position = old.position
  AND d.closed_at < %(before)s
"""

_ENDED_SECRETS: LiteralString = "DELETE FROM webhook_secret WHERE ends_at <= %(now)s"

_ENDPOINT = msgspec.json.Decoder(WebhookEndpoint)
_SECRETS = msgspec.json.Decoder(tuple[str, ...])


class PostgresDeliveryQueue:
    """Orders with events for an endpoint, claimed lane by lane."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def fan_out(self, now: datetime, limit: int = 5_000) -> int:
        """Queue what is published next for the endpoints that want it; one worker at a time, the others go on."""
        async with self._pool.connection() as connection:
            if (await (await connection.execute(_ANY_ENDPOINT)).fetchone()) != (True,):
                return 0
            await publish_changes(connection, 10_000)
            locked = await (await connection.execute(_TRY_LOCK, {"lock": WEBHOOKS_LOCK})).fetchone()
            if locked is None or locked[0] is not True:
                return 0
            row = await (await connection.execute(_REACH, {"limit": limit})).fetchone()
            after, upto = msgspec.convert(row, tuple[int, int])
            if upto <= after:
                return 0
            for made in (_QUEUE_EVENTS, _QUEUE_ORDERS, _REACHED):
                await connection.execute(made, {"after": after, "upto": upto, "now": now})
            return upto - after

    async def claim(
        self, *, now: datetime, lease_until: datetime, limit: int, places: int, taken: Mapping[UUID, int]
    ) -> Sequence[ClaimedDelivery]:
        """Two round trips: where something is due, then a transaction for each lane and endpoint."""
        full = "{" + ",".join(str(one) for one, count in taken.items() if count >= places) + "}"
        look: dict[str, Value] = {"from_lane": randrange(LANES), "lanes": LANES_AT_ONCE, "limit": limit}
        async with self._pool.connection() as connection:
            (rows,) = await run_batch(connection, [(DUE, {**look, "now": now, "full": full})])
            shares = _shares(rows, limit, places, taken)
            if not shares:
                return []
            common: dict[str, Value] = {"now": now, "lease_until": lease_until}
            calls: list[BatchCall] = []
            for share in shares:
                params = {**common, **share}
                calls += [(BEGIN, {}), (CLAIM, params), (NEXT_EVENTS, params), (LEAVE_EMPTY, params), (COMMIT, {})]
            wanted = "{" + ",".join({str(share["endpoint_id"]) for share in shares}) + "}"
            *answers, endpoints = await run_batch(
                connection, [*calls, (ENDPOINTS, {"now": now, "endpoint_ids": wanted})]
            )
        known = {endpoint.endpoint_id: (endpoint, secrets) for endpoint, secrets in map(_endpoint, endpoints)}
        found = ((share, row) for share, rows in zip(shares, answers[2::5], strict=True) for row in rows)
        return [_claimed(share, row, known) for share, row in found if share["endpoint_id"] in known]

    async def close(self, claimed: ClaimedDelivery, attempted: Attempted) -> None:
        """One transaction in one round trip."""
        params: dict[str, Value] = {
            **_named(claimed),
            "position": claimed.position,
            "state": attempted.state.value,
            "at": attempted.at,
            "due_at": attempted.due_at,
            "status": attempted.status,
            "failure": attempted.failure,
        }
        await self._run([LOCK_ORDER, CLOSE, LEAVE, RELEASE], params)

    async def put_back(self, claimed: ClaimedDelivery, due_at: datetime) -> None:
        """As it was, and due later."""
        await self._run([LOCK_ORDER, RELEASE], {**_named(claimed), "due_at": due_at})

    async def note_health(self, seen: Mapping[UUID, EndpointHealth]) -> None:
        """One endpoint after the other, in the order of their ids, so that two workers take turns."""
        async with self._pool.connection() as connection:
            for endpoint_id in sorted(seen):
                params = {**msgspec.to_builtins(seen[endpoint_id], builtin_types=(datetime,))}
                await connection.execute(_NOTE, {**params, "endpoint_id": endpoint_id})

    async def failing_endpoints(self, since: datetime) -> Sequence[WebhookEndpoint]:
        """Those that are active."""
        return await read_rows(self._pool, _FAILING, {"since": since}, WebhookEndpoint)

    async def purge(self, before: datetime, now: datetime, limit: int = 10_000) -> int:
        """A part at a time."""
        async with self._pool.connection() as connection:
            await connection.execute(_ENDED_SECRETS, {"now": now})
            return (await connection.execute(_PURGE, {"before": before, "limit": limit})).rowcount

    async def _run(self, statements: Sequence[Statement], params: Mapping[str, Value]) -> None:
        async with self._pool.connection() as connection:
            await run_batch(connection, [(step, params) for step in (BEGIN, *statements, COMMIT)])


class _Next(msgspec.Struct, frozen=True):
    """What an order waits for next."""

    order_id: str
    position: int
    tries: int
    queued_at: datetime
    event: OutgoingEvent | None


_NEXT = msgspec.json.Decoder(_Next)


def _shares(rows: Sequence[Row], limit: int, places: int, taken: Mapping[UUID, int]) -> list[dict[str, Value]]:
    """How many to claim of each lane and endpoint: `limit` together at most, of an endpoint what it has room for."""
    left = limit
    room: dict[UUID, int] = {}
    shares: list[dict[str, Value]] = []
    for lane, endpoint, due in rows:
        endpoint_id = UUID((endpoint or b"").decode())
        free = room.setdefault(endpoint_id, places - taken.get(endpoint_id, 0))
        count = min(int(due or 0), left, free)
        if count > 0:
            shares.append({"lane": int(lane or 0), "endpoint_id": endpoint_id, "limit": count, "claim_id": uuid7()})
            room[endpoint_id] -= count
            left -= count
    return shares


def _endpoint(row: Row) -> tuple[WebhookEndpoint, tuple[str, ...]]:
    endpoint, secrets = row
    return _ENDPOINT.decode(endpoint or b""), _SECRETS.decode(secrets or b"")


def _claimed(
    share: Mapping[str, Value], row: Row, known: Mapping[UUID, tuple[WebhookEndpoint, tuple[str, ...]]]
) -> ClaimedDelivery:
    following = _NEXT.decode(row[0] or b"")
    lane, endpoint_id, claim_id = share["lane"], share["endpoint_id"], share["claim_id"]
    assert isinstance(lane, int) and isinstance(endpoint_id, UUID) and isinstance(claim_id, UUID)
    endpoint, encrypted = known[endpoint_id]
    return ClaimedDelivery(
        lane=lane,
        endpoint=endpoint,
        encrypted=encrypted,
        claim_id=claim_id,
        order_id=following.order_id,
        position=following.position,
        tries=following.tries,
        queued_at=following.queued_at,
        event=following.event,
    )


def _named(claimed: ClaimedDelivery) -> dict[str, Value]:
    return {
        "lane": claimed.lane,
        "endpoint_id": claimed.endpoint.endpoint_id,
        "order_id": claimed.order_id,
        "claim_id": claimed.claim_id,
    }
