"""The feed on PostgreSQL; the port is `jitui.aftersales.feed.Feed`."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import LiteralString

import msgspec

from jitui.adapters.postgres.pool import Connection, Pool
from jitui.aftersales.ports import OutgoingEvent
from jitui.policy.loading.caps_format import MAX_WINDOW_DAYS

PUBLISHER_LOCK = 7405102
KEEP_HOURS = MAX_WINDOW_DAYS * 24 + 1
"""A bucket of an hour counts until all of it has left the longest window of a cap."""
ROLL_UP_LOCK = 7405103

# One publisher at a time gives positions to committed rows only, so no position appears later than a higher one. The
# changes of one ticket get identities in the order of their commits, because they hold the same locks.
_PUBLISH: LiteralString = """
WITH fresh AS (
    SELECT lane, change_id FROM change WHERE position IS NULL ORDER BY change_id LIMIT %(limit)s),
numbered AS (
    SELECT lane, change_id, nextval('change_position') AS position FROM (SELECT * FROM fresh ORDER BY change_id) f)
UPDATE change c SET position = n.position FROM numbered n WHERE c.lane = n.lane AND c.change_id = n.change_id
"""

# An earlier release that runs beside this one writes the buyer's id, and may publish it too. It never leaves here.
_PSEUDONYMISE: LiteralString = """
UPDATE change SET buyer_pseudonym = make_pseudonym(lane, buyer_id), buyer_id = '' WHERE buyer_id <> ''
"""

EVENT: LiteralString = """
to_jsonb(c) - 'buyer_id'
    || jsonb_build_object('buyer_pseudonym', coalesce(c.buyer_pseudonym, make_pseudonym(c.lane, c.buyer_id)))
"""
"""An event of the feed, of a row `c` of `change`."""

_CHANGES: LiteralString = f"""
SELECT ({EVENT})::text FROM change c
WHERE c.position > %(after)s
  AND (%(shop_id)s::text IS NULL OR c.shop_id = %(shop_id)s)
ORDER BY c.position LIMIT %(limit)s
"""

_POSITION: LiteralString = "SELECT position FROM roll_up WHERE name = %(name)s"

# An advisory lock ends with its session, but a process that hangs, or whose machine is gone, could hold it for hours.
# So the server ends a session that leaves the transaction idle, and another worker takes over.
LOCK_FOR_THE_TRANSACTION: LiteralString = """
SELECT pg_advisory_xact_lock(%(lock)s), set_config('idle_in_transaction_session_timeout', '5s', true)
"""

# The time of usage by the database's clock may go back, after a failover for example. Shop days never go back: a day
# that was closed stays closed.
_ADVANCE: LiteralString = """
INSERT INTO roll_up (name, position, as_of, by_database_clock)
VALUES (%(name)s, %(position)s, %(as_of)s, %(by_database_clock)s)
ON CONFLICT (name) DO UPDATE
SET position = excluded.position, by_database_clock = excluded.by_database_clock,
    as_of = CASE WHEN roll_up.name = 'usage' AND (excluded.by_database_clock OR roll_up.by_database_clock)
                 THEN excluded.as_of ELSE greatest(roll_up.as_of, excluded.as_of) END
"""

_NEWEST: LiteralString = "SELECT coalesce(max(position), 0) FROM change"

# An approval that an earlier release wrote beside this one does not tell its categories: its lines do.
_USAGE: LiteralString = """
WITH approved AS (
    SELECT c.lane, c.order_id, c.ticket_id, c.shop_id, c.at, (c.kind = 'ticket.approved')::int AS approvals,
        (c.body ->> CASE c.kind WHEN 'ticket.approved' THEN 'amount_minor' ELSE 'more_minor' END)::bigint
            AS amount_minor,
        coalesce(c.body ->> 'currency', '') AS currency, c.body -> 'categories' AS categories
    FROM change c
    WHERE c.position > %(after)s AND c.position <= %(upto)s
      AND c.kind IN ('ticket.approved', 'ticket.amount_raised') AND c.body ->> 'approved_by' = 'instant_refund'),
used AS (
    SELECT 'shop' AS scope, shop_id AS ref, at, currency, approvals, amount_minor FROM approved
    UNION ALL SELECT 'platform', '', at, currency, approvals, amount_minor FROM approved
    UNION ALL
    SELECT 'category', k.key, a.at, a.currency, a.approvals, k.value::bigint
    FROM approved a CROSS JOIN LATERAL jsonb_each_text(coalesce(a.categories, CASE WHEN a.approvals = 1 THEN (
        SELECT jsonb_object_agg(l.category_id, l.amount_minor) FROM lines_by_category(a.lane, a.ticket_id) l)
        END)) k
    UNION ALL
    SELECT 'cluster', m.cluster_id::text, a.at, a.currency, a.approvals, a.amount_minor
    FROM approved a JOIN ticket t ON t.lane = a.lane AND t.ticket_id = a.ticket_id
        JOIN cluster_member m ON m.lane = t.lane AND m.buyer_id = t.buyer_id AND m.until_at IS NULL),
counted AS (
    SELECT u.scope, u.ref, g.bucket_seconds, u.currency,
        to_timestamp(floor(extract(epoch FROM u.at) / g.bucket_seconds) * g.bucket_seconds) AS bucket,
        sum(u.approvals) AS approvals, sum(u.amount_minor) AS amount_minor
    FROM used u CROSS JOIN (VALUES (60), (3600)) AS g (bucket_seconds)
    GROUP BY 1, 2, 3, 4, 5)
INSERT INTO usage_bucket (scope, ref, bucket_seconds, bucket, currency, approvals, amount_minor)
SELECT scope, ref, bucket_seconds, bucket, currency, approvals, amount_minor FROM counted
ON CONFLICT (scope, ref, bucket_seconds, bucket, currency) DO UPDATE
SET approvals = usage_bucket.approvals + excluded.approvals,
    amount_minor = usage_bucket.amount_minor + excluded.amount_minor
"""

# A decision may have read a day once the roll-up has closed it, so a closed day never changes (I4): a late event counts
# on the day on which it becomes known.
_SHOP_DAYS: LiteralString = """
WITH events AS (
    SELECT c.shop_id, k.kind, greatest((c.at AT TIME ZONE %(time_zone)s)::date,
            (SELECT (as_of AT TIME ZONE %(time_zone)s)::date FROM roll_up WHERE name = 'shop_day')) AS day,
        coalesce((c.body ->> 'amount_minor')::bigint, 0) AS amount_minor,
        coalesce(c.body ->> 'currency', '') AS currency
    FROM change c CROSS JOIN LATERAL (VALUES
        ('shipped', c.kind = 'shipment.recorded' AND (c.body ->> 'left')::boolean),
        ('shipped_on_time', c.kind = 'shipment.recorded' AND (c.body ->> 'on_time')::boolean),
        ('order_paid', c.kind = 'order.paid'),
        ('refund_before_shipment', c.kind = 'ticket.refunded'),
        ('incident', c.kind = 'incident.opened')) AS k (kind, counts)
    WHERE c.position > %(after)s AND c.position <= %(upto)s AND k.counts
      AND NOT coalesce((c.body ->> 'free_of_charge')::boolean, false))
INSERT INTO shop_day (shop_id, kind, day, currency, events, amount_minor)
SELECT shop_id, kind, day, currency, count(*), sum(amount_minor) FROM events GROUP BY 1, 2, 3, 4
ON CONFLICT (shop_id, kind, day, currency) DO UPDATE
SET events = shop_day.events + excluded.events, amount_minor = shop_day.amount_minor + excluded.amount_minor
"""

# Of the tickets that these events are about, those that are watched as they stand now; what changes later is an event
# of its own. Where no label was printed nothing has to be stopped, so no answer is waited for.
_SHIPPING_WATCH: LiteralString = """
WITH touched AS (
    SELECT c.lane, c.ticket_id,
        min(c.at) FILTER (WHERE c.kind = 'stop_ship' AND c.body -> 'labels_printed' <> '[]') AS stop_at
    FROM change c
    WHERE c.position > %(after)s AND c.position <= %(upto)s AND c.ticket_id IS NOT NULL
      AND (c.kind IN ('stop_ship', 'stop_ship.acknowledged', 'incident.opened') OR c.kind LIKE 'ticket.%%')
    GROUP BY c.lane, c.ticket_id),
now_so AS (
    SELECT t.lane, t.ticket_id, t.order_id, t.shop_id, t.requested_at, x.stop_at, t.state = 'awaiting_merchant' AS open,
        EXISTS (SELECT 1 FROM incident i WHERE i.lane = t.lane AND i.ticket_id = t.ticket_id
            AND i.kind = 'goods_left_after_refund')
        OR EXISTS (SELECT 1 FROM ticket_event e WHERE e.lane = t.lane AND e.ticket_id = t.ticket_id
                   AND e.why IN ('stop_ship_held', 'stop_ship_already_gone')) AS answered
    FROM touched x JOIN ticket t ON t.lane = x.lane AND t.ticket_id = x.ticket_id),
ended AS (
    DELETE FROM shipping_watch w USING now_so n
    WHERE w.lane = n.lane AND w.ticket_id = n.ticket_id
      AND CASE w.risk WHEN 'open_ticket' THEN NOT n.open ELSE n.answered END)
INSERT INTO shipping_watch (lane, ticket_id, risk, order_id, shop_id, since)
SELECT lane, ticket_id, 'open_ticket', order_id, shop_id, requested_at FROM now_so WHERE open
UNION ALL
SELECT lane, ticket_id, 'stop_ship_unanswered', order_id, shop_id, stop_at FROM now_so
WHERE stop_at IS NOT NULL AND NOT answered
ON CONFLICT (lane, ticket_id, risk) DO NOTHING
"""

# What nobody looks at any more: see `jitui.aftersales.shipping_risks.LOOK_BACK`.
_FORGET_WATCH: LiteralString = """
DELETE FROM shipping_watch
WHERE risk = 'stop_ship_unanswered' AND since < %(now)s::timestamptz - interval '31 days'
"""

# A policy that is published tomorrow may look back as far as any may: what it would count is not to be gone by then.
_FORGET: LiteralString = """
DELETE FROM usage_bucket
WHERE (bucket_seconds = 60 AND bucket < %(now)s::timestamptz - interval '2000 minutes')
   OR (bucket_seconds = 3600 AND bucket < %(now)s::timestamptz - make_interval(hours => %(keep_hours)s))
"""


class PostgresFeed:
    """Publishes, reads and rolls up the feed in the database."""

    def __init__(self, pool: Pool, time_zone: str) -> None:
        self._pool = pool
        self._time_zone = time_zone

    async def publish(self, limit: int = 10_000) -> int:
        """Give positions to committed changes; returns how many. Publishers run one after another."""
        async with self._pool.connection() as connection:
            return await publish_changes(connection, limit)

    async def events(self, after: int, limit: int, *, shop_id: str | None = None) -> Sequence[OutgoingEvent]:
        """Published rows after a position; committed changes are published first."""
        async with self._pool.connection() as connection:
            await publish_changes(connection, 10_000)
            cursor = await connection.execute(_CHANGES, {"after": after, "limit": limit, "shop_id": shop_id})
            return [msgspec.json.decode(str(row[0]), type=OutgoingEvent) for row in await cursor.fetchall()]

    async def roll_up(self, now: datetime | None = None) -> None:
        """Add what was published since the last time to cap usage, shop days and what is watched; one at a time."""
        async with self._pool.connection() as connection:
            # Read before publishing: changes that are committed after this time may not be counted yet.
            as_of = now or await database_time(connection)
            while await publish_changes(connection, 10_000) == 10_000:
                pass
            await connection.execute(LOCK_FOR_THE_TRANSACTION, {"lock": ROLL_UP_LOCK})
            upto = await _number(connection, _NEWEST, {})
            rolled = (("usage", _USAGE), ("shop_day", _SHOP_DAYS), ("shipping_watch", _SHIPPING_WATCH))
            for name, statement in rolled:
                after = await _number(connection, _POSITION, {"name": name})
                params = {"after": after, "upto": upto, "time_zone": self._time_zone}
                if upto > after:
                    await connection.execute(statement, params)
                moved = {"name": name, "position": upto, "as_of": as_of, "by_database_clock": now is None}
                await connection.execute(_ADVANCE, moved)
            await connection.execute(_FORGET, {"now": as_of, "keep_hours": KEEP_HOURS})
            await connection.execute(_FORGET_WATCH, {"now": as_of})


async def publish_changes(connection: Connection, limit: int) -> int:
    """Publish and commit, so that the publisher's lock is held until the positions are visible."""
    await connection.execute(LOCK_FOR_THE_TRANSACTION, {"lock": PUBLISHER_LOCK})
    await connection.execute(_PSEUDONYMISE)
    cursor = await connection.execute(_PUBLISH, {"limit": limit})
    await connection.commit()
    return cursor.rowcount


async def database_time(connection: Connection) -> datetime:
    """The time by the database's clock."""
    row = await (await connection.execute("SELECT clock_timestamp()")).fetchone()
    assert row is not None
    return msgspec.convert(row[0], datetime)


async def _number(connection: Connection, query: LiteralString, params: dict[str, object]) -> int:
    row = await (await connection.execute(query, params)).fetchone()
    return msgspec.convert(row[0], int) if row else 0
