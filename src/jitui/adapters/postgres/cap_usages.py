"""See `jitui.aftersales.governance.cap_usage.CapUsages`."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import LiteralString

import msgspec

from jitui.adapters.postgres.pool import Pool, read_rows
from jitui.aftersales.changes import OutgoingEventKind
from jitui.aftersales.governance.cap_usage import FALLS_BY_PERCENT, CapAlert, CapLimit, CapUse, StandingAlerts

# As the deciding statement reads it (`reading`).
_USED: LiteralString = """
WITH cap AS (
    SELECT * FROM jsonb_to_recordset(%(limits)s::jsonb) AS c (scope text, count bigint, amount_minor bigint,
        over_seconds bigint, since timestamptz, bucket_seconds integer)),
used AS (
    SELECT u.scope, u.ref, sum(u.approvals)::bigint AS approvals,
        coalesce(sum(u.amount_minor) FILTER (WHERE u.currency = %(currency)s), 0)::bigint AS amount_minor
    FROM usage_bucket u JOIN cap c ON c.scope = u.scope AND c.bucket_seconds = u.bucket_seconds
        AND u.bucket > c.since - make_interval(secs => c.bucket_seconds)
    GROUP BY u.scope, u.ref),
measured AS (
    SELECT u.scope, u.ref, m.measure, m.used, m.cap, c.over_seconds
    FROM used u JOIN cap c USING (scope) CROSS JOIN LATERAL (VALUES
        ('count', u.approvals, c.count), ('amount_minor', u.amount_minor, c.amount_minor)) AS m (measure, used, cap)
    WHERE m.cap > 0)
"""

_MOST: LiteralString = (
    _USED
    + """
SELECT to_json(x)::text FROM (
    SELECT u.scope, u.ref, u.approvals, u.amount_minor, s.percent,
        row_number() OVER (PARTITION BY u.scope ORDER BY s.percent DESC NULLS LAST, u.approvals DESC, u.ref) AS place
    FROM used u LEFT JOIN LATERAL (
        SELECT max(m.used::numeric * 100 / m.cap)::bigint AS percent FROM measured m
        WHERE m.scope = u.scope AND m.ref = u.ref) s ON true) x
WHERE x.place <= %(most)s ORDER BY x.scope, x.place
"""
)

# Of several who look at once, the unique index lets one open an alert, and only that one tells it. Usage is compared as
# numeric: a cap times a hundred does not fit into 64 bits.
_LOOK: LiteralString = (
    _USED
    + f""",
ended AS (
    UPDATE cap_alert a SET closed_at = %(now)s::timestamptz
    WHERE a.closed_at IS NULL AND %(now)s::timestamptz >= a.opened_at + make_interval(secs => a.over_seconds)
      AND NOT EXISTS (
        SELECT 1 FROM measured m
        WHERE m.scope = a.scope AND m.ref = a.ref AND m.measure = a.measure
          AND m.used::numeric * 100 > (a.percent - {FALLS_BY_PERCENT})::numeric * m.cap)),
opened AS (
    INSERT INTO cap_alert (scope, ref, measure, percent, used, cap, currency, over_seconds, opened_at)
    SELECT m.scope, m.ref, m.measure, p.percent, m.used, m.cap, %(currency)s, m.over_seconds, %(now)s::timestamptz
    FROM measured m CROSS JOIN unnest(%(percents)s::integer[]) AS p (percent)
    WHERE m.used::numeric * 100 >= p.percent::numeric * m.cap
    ORDER BY m.scope, m.ref, m.measure, p.percent
    ON CONFLICT (scope, ref, measure, percent) WHERE closed_at IS NULL DO NOTHING
    RETURNING *),
told AS (
    INSERT INTO change (lane, kind, order_id, buyer_pseudonym, buyer_id, shop_id, at, body)
    SELECT 0, '{OutgoingEventKind.CAP_SHARE_PASSED.value}', '', '', '', '', o.opened_at,
        to_jsonb(o) - 'opened_at' - 'closed_at'
    FROM opened o ORDER BY o.alert_id)
SELECT to_json(o)::text FROM opened o ORDER BY o.alert_id
"""
)

_ALERTS: LiteralString = """
SELECT to_json(a)::text FROM cap_alert a WHERE NOT %(standing)s OR a.closed_at IS NULL
ORDER BY a.opened_at DESC, a.alert_id DESC LIMIT %(limit)s
"""

_STANDING: LiteralString = """
SELECT json_build_object('scope', scope, 'percent', percent, 'alerts', count(*))::text
FROM cap_alert WHERE closed_at IS NULL GROUP BY scope, percent ORDER BY scope, percent
"""


class PostgresCapUsages:
    """Usage and alerts of caps, in small tables that no deciding transaction locks."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def used(self, limits: Sequence[CapLimit], currency: str, most: int) -> Sequence[CapUse]:
        """Those that have used most, by cap."""
        params = {"limits": msgspec.json.encode(limits).decode(), "currency": currency, "most": most}
        return await read_rows(self._pool, _MOST, params, CapUse)

    async def look(
        self, limits: Sequence[CapLimit], currency: str, percents: Sequence[int], now: datetime
    ) -> Sequence[CapAlert]:
        """The alerts that this look opened."""
        params = {
            "limits": msgspec.json.encode(limits).decode(),
            "currency": currency,
            "percents": list(percents),
            "now": now,
        }
        return await read_rows(self._pool, _LOOK, params, CapAlert)

    async def alerts(self, *, standing: bool, limit: int) -> Sequence[CapAlert]:
        """A page, newest first."""
        return await read_rows(self._pool, _ALERTS, {"standing": standing, "limit": limit}, CapAlert)

    async def standing(self) -> Sequence[StandingAlerts]:
        """How many stand, by scope and share."""
        return await read_rows(self._pool, _STANDING, {}, StandingAlerts)
