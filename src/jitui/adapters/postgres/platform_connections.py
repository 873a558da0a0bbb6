"""See `jitui.aftersales.operations.platform_connections.PlatformConnections`."""

from __future__ import annotations

from dataclasses import asdict
from datetime import datetime
from typing import LiteralString

from jitui.adapters.postgres.audit import AuditEntry, fetch_audited
from jitui.adapters.postgres.pool import Pool, fetch, read_rows
from jitui.aftersales.operations.platform_connections import PlatformConnection
from jitui.aftersales.queries import PlatformSeen
from jitui.identity.audit import AuditAction

_ALL: LiteralString = "SELECT to_json(c)::text FROM platform_connection c ORDER BY platform"

_SEEN: LiteralString = """
SELECT json_build_object('platform', c.platform, 'url', c.url, 'shop_id', c.shop_id, 'connected_at', c.connected_at,
    'read_at', s.synced_at, 'problem', coalesce(s.problem, ''), 'began', s.cursor_at IS NOT NULL)::text
FROM platform_connection c LEFT JOIN platform_state s ON s.platform = c.platform ORDER BY c.platform
"""

_PUT: LiteralString = """
INSERT INTO platform_connection (platform, url, secret_file, shop_id, settles, connected_at, connected_by)
VALUES (%(platform)s, %(url)s, %(secret_file)s, %(shop_id)s, %(settles)s, %(connected_at)s, %(connected_by)s)
ON CONFLICT (platform) DO UPDATE
SET url = excluded.url, secret_file = excluded.secret_file, shop_id = excluded.shop_id, settles = excluded.settles,
    connected_at = excluded.connected_at, connected_by = excluded.connected_by
"""

# How far it was read goes with it: the next shop on this platform is read from its beginning.
_REMOVE: LiteralString = """
WITH read_so_far AS (DELETE FROM platform_state WHERE platform = %(platform)s),
    to_read AS (DELETE FROM platform_hint WHERE platform = %(platform)s)
DELETE FROM platform_connection WHERE platform = %(platform)s RETURNING platform
"""

_UNPAID: LiteralString = """
SELECT count(*) FROM refund WHERE provider = %(platform)s AND state IN ('queued', 'sending', 'pending', 'unknown')
"""


class PostgresPlatformConnections:
    """A row for each connected platform; it never has the secret."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def all(self) -> list[PlatformConnection]:
        """Every connection."""
        return await read_rows(self._pool, _ALL, {}, PlatformConnection)

    async def seen(self) -> list[PlatformSeen]:
        """Every connection, with how far it was read."""
        return await read_rows(self._pool, _SEEN, {}, PlatformSeen)

    async def put(self, connection: PlatformConnection) -> None:
        """Keep it, with a row in the audit log."""
        detail = {"url": connection.url, "shop_id": connection.shop_id, "settles": connection.settles}
        entry = AuditEntry(
            AuditAction.PLATFORM_CONNECTED,
            connection.platform,
            connection.connected_by,
            connection.connected_at,
            detail,
        )
        await fetch_audited(self._pool, _PUT, asdict(connection), entry)

    async def remove(self, platform: str, *, by: str, now: datetime) -> bool:
        """Forget it, with a row in the audit log; False where there was none."""
        entry = AuditEntry(AuditAction.PLATFORM_DISCONNECTED, platform, by, now)
        return bool(await fetch_audited(self._pool, _REMOVE, {"platform": platform}, entry))

    async def unpaid(self, platform: str) -> int:
        """Counted over every lane."""
        found = await fetch(self._pool, _UNPAID, {"platform": platform})
        return int(str(found[0][0]))
