"""See `jitui.aftersales.operations.platform_sync.PlatformStates`."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import LiteralString

from jitui.adapters.postgres.pool import Pool, read_rows
from jitui.aftersales.operations.platform_sync import NotedHint, SyncState

_STATE: LiteralString = """
SELECT json_build_object('cursor', cursor_at, 'synced_at', synced_at, 'problem', problem,
    'watched_at', watched_at)::text
FROM platform_state WHERE platform = %(platform)s
"""

_NOTE: LiteralString = """
INSERT INTO platform_state (platform, cursor_at, synced_at, problem, watched_at)
VALUES (%(platform)s, %(cursor_at)s, %(synced_at)s, %(problem)s, %(watched_at)s)
ON CONFLICT (platform) DO UPDATE
SET cursor_at = excluded.cursor_at, synced_at = excluded.synced_at, problem = excluded.problem,
    watched_at = excluded.watched_at
"""

_NOTE_PROBLEM: LiteralString = """
INSERT INTO platform_state (platform, problem)
SELECT c.platform, %(problem)s FROM platform_connection c WHERE c.platform = %(platform)s
ON CONFLICT (platform) DO UPDATE SET problem = excluded.problem
"""

_WATCHED: LiteralString = """
SELECT o.order_id FROM orders o
WHERE o.order_id > %(after)s AND o.completed_at IS NULL
    AND EXISTS (SELECT FROM tender t
        WHERE t.lane = o.lane AND t.order_id = o.order_id AND t.provider = %(provider)s)
    AND (o.placed_at >= %(since)s OR EXISTS (SELECT FROM refund r
        WHERE r.lane = o.lane AND r.order_id = o.order_id AND r.queued_at >= %(since)s))
ORDER BY o.order_id LIMIT %(limit)s
"""


_NOTE_HINT: LiteralString = """
INSERT INTO platform_hint (platform, order_id, hinted_at) VALUES (%(platform)s, %(order_id)s, %(now)s)
ON CONFLICT (platform, order_id) DO UPDATE SET hinted_at = greatest(platform_hint.hinted_at, excluded.hinted_at)
"""

_HINTS: LiteralString = """
SELECT json_build_object('order_id', order_id, 'hinted_at', hinted_at)::text FROM platform_hint
WHERE platform = %(platform)s AND hinted_at <= %(until)s
ORDER BY hinted_at, order_id LIMIT %(limit)s
"""

_DROP_HINTS: LiteralString = """
DELETE FROM platform_hint h USING unnest(%(order_ids)s::text[], %(times)s::timestamptz[]) AS read (order_id, hinted_at)
WHERE h.platform = %(platform)s AND h.order_id = read.order_id AND h.hinted_at = read.hinted_at
"""


class PostgresPlatformStates:
    """A row for each platform; what is watched is read from the orders themselves."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def state(self, platform: str) -> SyncState:
        """How far it was read; nothing yet: an empty state."""
        found = await read_rows(self._pool, _STATE, {"platform": platform}, SyncState)
        return found[0] if found else SyncState()

    async def note(self, platform: str, state: SyncState) -> None:
        """Keep how far it was read."""
        params = {
            "platform": platform,
            "cursor_at": state.cursor,
            "synced_at": state.synced_at,
            "problem": state.problem,
            "watched_at": state.watched_at,
        }
        async with self._pool.connection() as connection:
            await connection.execute(_NOTE, params)

    async def note_problem(self, platform: str, problem: str) -> None:
        """Keep why it cannot be read; nothing of one that is disconnected."""
        async with self._pool.connection() as connection:
            await connection.execute(_NOTE_PROBLEM, {"platform": platform, "problem": problem})

    async def watched(self, provider: str, since: datetime, after: str, limit: int) -> list[str]:
        """The orders to read again."""
        params = {"provider": provider, "since": since, "after": after, "limit": limit}
        async with self._pool.connection() as connection:
            rows = await (await connection.execute(_WATCHED, params)).fetchall()
        return [str(row[0]) for row in rows]

    async def note_hint(self, platform: str, order_id: str, now: datetime) -> None:
        """One row for each order."""
        params = {"platform": platform, "order_id": order_id, "now": now}
        async with self._pool.connection() as connection:
            await connection.execute(_NOTE_HINT, params)

    async def hints(self, platform: str, until: datetime, limit: int) -> list[NotedHint]:
        """The orders that were named, oldest first."""
        return await read_rows(self._pool, _HINTS, {"platform": platform, "until": until, "limit": limit}, NotedHint)

    async def drop_hints(self, platform: str, read: Sequence[NotedHint]) -> None:
        """Delete those that are as they were read."""
        params = {
            "platform": platform,
            "order_ids": [hint.order_id for hint in read],
            "times": [hint.hinted_at for hint in read],
        }
        async with self._pool.connection() as connection:
            await connection.execute(_DROP_HINTS, params)

    async def forget(self, platform: str) -> None:
        """Begin anew: the next reading takes in every order."""
        async with self._pool.connection() as connection:
            await connection.execute("DELETE FROM platform_state WHERE platform = %(platform)s", {"platform": platform})
