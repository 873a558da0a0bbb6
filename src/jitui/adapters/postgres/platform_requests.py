"""See `jitui.aftersales.platform_requests.KnownRequests`."""

from __future__ import annotations

from datetime import datetime
from typing import LiteralString

from jitui.adapters.postgres.pool import Pool, fetch

_UNFINISHED: LiteralString = """
SELECT DISTINCT e.detail ->> 'platform_request' AS request_id
FROM ticket t JOIN ticket_event e ON e.lane = t.lane AND e.ticket_id = t.ticket_id AND e.seq = 1
WHERE t.shop_id = %(shop_id)s AND t.requested_at >= %(since)s
    AND e.detail ->> 'platform' = %(platform)s AND e.detail ->> 'platform_request' > %(after)s
    AND (t.state = 'refund_failed' OR t.state = 'rejected' AND (
        SELECT x.why FROM ticket_event x WHERE x.lane = t.lane AND x.ticket_id = t.ticket_id
        ORDER BY x.seq DESC LIMIT 1) = 'rejected')
ORDER BY request_id LIMIT %(limit)s
"""


class PostgresKnownRequests:
    """Read from the timelines of the shop's tickets."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def unfinished(self, platform: str, shop_id: str, since: datetime, after: str, limit: int) -> list[str]:
        """The requests that have to be read again."""
        params = {"platform": platform, "shop_id": shop_id, "since": since, "after": after, "limit": limit}
        return [str(row[0]) for row in await fetch(self._pool, _UNFINISHED, params)]
