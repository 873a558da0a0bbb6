"""See `jitui.aftersales.governance.linked_accounts.LinkedAccounts`."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import LiteralString
from uuid import UUID

import msgspec
from uuid_utils.compat import uuid7

from jitui.adapters.postgres.feed import LOCK_FOR_THE_TRANSACTION, ROLL_UP_LOCK
from jitui.adapters.postgres.pool import Connection, Pool, read_rows
from jitui.aftersales.governance.linked_accounts import MOST_SHARING, BuyerCluster, IdentityLink
from jitui.ids import lane_of

CLUSTERS_LOCK = 7405106
_AT_ONCE = 500

# An erasure holds the same lock alone: what comes at that moment waits, and is then of an erased buyer.
_LOCK_BUYERS: LiteralString = """
SELECT pg_advisory_xact_lock_shared(hashtextextended(b.buyer_id, 7405105))
FROM (SELECT DISTINCT r.buyer_id FROM jsonb_to_recordset(%(links)s::jsonb) AS r (buyer_id text) ORDER BY 1) b
"""

_ADD: LiteralString = """
INSERT INTO identity_link AS i (lane, buyer_id, kind, hash, seen_at, recorded_at)
SELECT r.lane, r.buyer_id, r.kind, r.hash, max(r.seen_at), %(now)s
FROM jsonb_to_recordset(%(links)s::jsonb) AS r (lane smallint, buyer_id text, kind text, hash text, seen_at timestamptz)
WHERE NOT was_erased(r.lane, r.buyer_id)
GROUP BY 1, 2, 3, 4 ORDER BY 1, 2, 3, 4
ON CONFLICT (lane, buyer_id, kind, hash) DO UPDATE SET seen_at = greatest(i.seen_at, excluded.seen_at)
RETURNING (xmax = 0)
"""

_OF_BUYER: LiteralString = f"""
WITH mine AS (
    SELECT cluster_id FROM cluster_member
    WHERE lane = %(lane)s AND buyer_id = %(buyer_id)s AND until_at IS NULL)
SELECT json_build_object('buyer_id', %(buyer_id)s::text, 'cluster_id', (SELECT cluster_id FROM mine),
    'members', coalesce((SELECT json_agg(m.buyer_id ORDER BY m.from_at, m.buyer_id) FROM cluster_member m
                         WHERE m.cluster_id = (SELECT cluster_id FROM mine) AND m.until_at IS NULL),
                        json_build_array(%(buyer_id)s::text)),
    'links', (
        SELECT coalesce(json_agg(json_build_object('kind', i.kind, 'hash', i.hash, 'seen_at', i.seen_at,
            'buyers', s.buyers, 'links', s.buyers <= {MOST_SHARING}) ORDER BY i.kind, i.hash), '[]')
        FROM identity_link i CROSS JOIN LATERAL (
            SELECT count(*) AS buyers FROM identity_link o WHERE o.kind = i.kind AND o.hash = i.hash) s
        WHERE i.lane = %(lane)s AND i.buyer_id = %(buyer_id)s))::text
"""

_NEW: LiteralString = """
SELECT lane, buyer_id, kind, hash FROM identity_link WHERE NOT linked
ORDER BY recorded_at, lane, buyer_id, kind, hash LIMIT %(limit)s
"""

# One more than may be linked, so that it shows.
_SHARING: LiteralString = f"""
SELECT i.lane, i.buyer_id, m.cluster_id,
    (SELECT min(x.from_at) FROM cluster_member x WHERE x.cluster_id = m.cluster_id AND x.until_at IS NULL)
FROM identity_link i LEFT JOIN cluster_member m ON m.lane = i.lane AND m.buyer_id = i.buyer_id AND m.until_at IS NULL
WHERE i.kind = %(kind)s AND i.hash = %(hash)s ORDER BY i.lane, i.buyer_id LIMIT {MOST_SHARING + 1}
"""

# The statement's own time, so that a buyer who is moved twice in one transaction has two rows.
_JOIN: LiteralString = """
WITH at AS (SELECT clock_timestamp() AS moment),
moved AS (
    UPDATE cluster_member m SET until_at = at.moment FROM at
    WHERE m.cluster_id = ANY (%(others)s::uuid[]) AND m.until_at IS NULL RETURNING m.lane, m.buyer_id)
SELECT lane, buyer_id FROM moved
"""

_BEGIN_MEMBERSHIP: LiteralString = """
INSERT INTO cluster_member (lane, buyer_id, cluster_id, from_at)
VALUES (%(lane)s, %(buyer_id)s, %(cluster_id)s, clock_timestamp())
"""

# What the members of clusters that have changed used before is their cluster's now. It is counted anew from what was
# rolled up already; the roll-up's lock is held since before the membership changed, so nothing counts twice or never.
_USED_BEFORE: LiteralString = "DELETE FROM usage_bucket WHERE scope = 'cluster' AND ref = ANY (%(refs)s)"

_USED_NOW: LiteralString = "SELECT count_cluster_usage(%(targets)s::uuid[])"

_LINKED: LiteralString = """
UPDATE identity_link SET linked = true
WHERE lane = %(lane)s AND buyer_id = %(buyer_id)s AND kind = %(kind)s AND hash = %(hash)s
"""

_ALONE: LiteralString = """
INSERT INTO cluster_state (lane, buyer_id, size, other_restricted) VALUES (%(lane)s, %(buyer_id)s, 1, false)
ON CONFLICT (lane, buyer_id) DO NOTHING
"""

_STATES: LiteralString = """
WITH member AS (
    SELECT m.lane, m.buyer_id, m.cluster_id, EXISTS (
        SELECT 1 FROM restriction r
        WHERE r.lane = m.lane AND r.buyer_id = m.buyer_id AND r.lifted_at IS NULL AND r.starts_at <= %(now)s
          AND (r.ends_at IS NULL OR r.ends_at > %(now)s)) AS restricted
    FROM cluster_member m WHERE m.until_at IS NULL),
found AS (
    SELECT lane, buyer_id, cluster_id, count(*) OVER w AS size,
        count(*) FILTER (WHERE restricted) OVER w - restricted::integer > 0 AS other_restricted
    FROM member WINDOW w AS (PARTITION BY cluster_id))
INSERT INTO cluster_state AS c (lane, buyer_id, cluster_id, size, other_restricted)
SELECT lane, buyer_id, cluster_id, size, other_restricted FROM found ORDER BY lane, buyer_id
ON CONFLICT (lane, buyer_id) DO UPDATE
SET cluster_id = excluded.cluster_id, size = excluded.size, other_restricted = excluded.other_restricted
WHERE (c.cluster_id, c.size, c.other_restricted)
      IS DISTINCT FROM (excluded.cluster_id, excluded.size, excluded.other_restricted)
"""

_LOOKED: LiteralString = """
INSERT INTO roll_up (name, position, as_of, by_database_clock) VALUES ('clusters', 0, %(as_of)s, true)
ON CONFLICT (name) DO UPDATE SET as_of = excluded.as_of
"""


class PostgresLinkedAccounts:
    """Links in their buyers' lanes; clusters, which span lanes, are written by a worker alone."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def add(self, links: Sequence[IdentityLink], now: datetime) -> int:
        """Take links in; a worker looks at those that are new."""
        rows = [{**msgspec.to_builtins(link), "lane": lane_of(link.buyer_id)} for link in links]
        params = {"links": msgspec.json.encode(rows).decode(), "now": now}
        async with self._pool.connection() as connection:
            await connection.execute(_LOCK_BUYERS, params)
            cursor = await connection.execute(_ADD, params)
            return sum(bool(new) for (new,) in await cursor.fetchall())

    async def of_buyer(self, buyer_id: str) -> BuyerCluster:
        """The buyer's links and cluster as they are now."""
        params = {"lane": lane_of(buyer_id), "buyer_id": buyer_id}
        return (await read_rows(self._pool, _OF_BUYER, params, BuyerCluster))[0]

    async def join_new(self, now: datetime) -> int:
        """One transaction for a batch; what decisions read is as old as the last look that left nothing."""
        async with self._pool.connection() as connection:
            await connection.execute(LOCK_FOR_THE_TRANSACTION, {"lock": CLUSTERS_LOCK})
            row = await (await connection.execute("SELECT clock_timestamp()")).fetchone()
            new = await (await connection.execute(_NEW, {"limit": _AT_ONCE})).fetchall()
            if new:
                await connection.execute(LOCK_FOR_THE_TRANSACTION, {"lock": ROLL_UP_LOCK})
            grown: set[UUID] = set()
            merged: set[UUID] = set()
            for lane, buyer_id, kind, link_hash in new:
                link = {"lane": lane, "buyer_id": buyer_id, "kind": kind, "hash": link_hash}
                target, others = await _join(connection, link)
                grown |= {target} if target is not None else set()
                merged |= set(others)
            if grown:
                await connection.execute(_USED_BEFORE, {"refs": [str(one) for one in (*grown, *merged)]})
                await connection.execute(_USED_NOW, {"targets": sorted(grown)})
            await connection.execute(_STATES, {"now": now})
            if len(new) < _AT_ONCE and row is not None:
                await connection.execute(_LOOKED, {"as_of": row[0]})
        return len(new)


async def _join(connection: Connection, link: dict[str, object]) -> tuple[UUID | None, Sequence[UUID]]:
    """Make everybody who shares this one cluster: the oldest of theirs, by who has been a member longest.

    Returns the cluster that grew, and those that are part of it now.
    """
    grown: UUID | None = None
    merged: Sequence[UUID] = ()
    sharing = await (await connection.execute(_SHARING, link)).fetchall()
    if 1 < len(sharing) <= MOST_SHARING:
        known = {cluster: since for _, _, cluster, since in sharing if cluster is not None}
        clusters = sorted(known, key=lambda cluster: (known[cluster], cluster))
        target = clusters[0] if clusters else uuid7()
        joining = [(lane, buyer_id) for lane, buyer_id, cluster, _ in sharing if cluster is None]
        if clusters[1:]:
            merged = msgspec.convert(clusters[1:], list[UUID])
            moved = await connection.execute(_JOIN, {"others": clusters[1:]})
            joining += [(lane, buyer_id) for lane, buyer_id in await moved.fetchall()]
        grown = msgspec.convert(target, UUID) if joining else None
        for lane, buyer_id in joining:
            member = {"lane": lane, "buyer_id": buyer_id, "cluster_id": target}
            await connection.execute(_BEGIN_MEMBERSHIP, member)
    await connection.execute(_ALONE, link)
    await connection.execute(_LINKED, link)
    return grown, merged
