"""See `jitui.aftersales.governance.canary_guard.CanaryGuards`."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import LiteralString

import msgspec

from jitui.adapters.postgres.pool import Pool, read_rows
from jitui.aftersales.governance.canary_guard import REPEAT_WITHIN, Compared, Counted, GuardSeen
from jitui.aftersales.governance.guard import Evidence, GuardMetric, Observation

_BEGIN: LiteralString = """
INSERT INTO canary_guard (publication, metric, requested_at, ticket_id, evidence, crossed, updated_at)
VALUES (%(publication)s, %(metric)s, %(requested_at)s, %(ticket_id)s, %(evidence)s::jsonb, false, %(now)s)
ON CONFLICT DO NOTHING
"""

_LOCK: LiteralString = """
SELECT json_build_object('requested_at', requested_at, 'ticket_id', ticket_id)::text, evidence::text
FROM canary_guard WHERE publication = %(publication)s AND metric = %(metric)s FOR UPDATE
"""

_ADVANCE: LiteralString = """
UPDATE canary_guard SET requested_at = %(requested_at)s, ticket_id = %(ticket_id)s, evidence = %(evidence)s::jsonb,
    crossed = %(crossed)s, updated_at = %(now)s
WHERE publication = %(publication)s AND metric = %(metric)s
"""

_SEEN: LiteralString = """
SELECT json_build_object('metric', metric, 'evidence', evidence, 'crossed', crossed, 'counted_until', requested_at,
    'updated_at', updated_at)::text
FROM canary_guard WHERE publication = %(publication)s ORDER BY metric
"""

_AT_ONCE: LiteralString = "t.approved_by = 'instant_refund'"

# Which requests count, and their value. What is counted follows one rule in both arms.
_VALUES: Mapping[GuardMetric, tuple[LiteralString, LiteralString]] = {
    GuardMetric.INCIDENT_RATE: (
        _AT_ONCE,
        """EXISTS (SELECT 1 FROM incident i WHERE i.lane = t.lane AND i.ticket_id = t.ticket_id
               AND i.kind = 'goods_left_after_refund' AND i.opened_at <= t.requested_at + %(counts_after)s)::int""",
    ),
    GuardMetric.REFUND_FAILURES: (
        _AT_ONCE,
        """EXISTS (SELECT 1 FROM ticket_event e WHERE e.lane = t.lane AND e.ticket_id = t.ticket_id
               AND e.to_state = 'refund_failed' AND e.at <= t.requested_at + %(counts_after)s)::int""",
    ),
    GuardMetric.MONEY_OUT: (
        "true",
        f"CASE WHEN {_AT_ONCE} AND t.currency = %(currency)s THEN t.amount_minor ELSE 0 END",
    ),
    GuardMetric.SHARE_INSTANT: ("true", f"coalesce({_AT_ONCE}, false)::int"),
    GuardMetric.REPEAT_REQUESTS: (
        "true",
        """EXISTS (SELECT 1 FROM ticket b WHERE b.lane = t.lane AND b.buyer_id = t.buyer_id
               AND b.requested_at >= t.requested_at - %(repeat_within)s
               AND (b.requested_at, b.ticket_id) < (t.requested_at, t.ticket_id))::int""",
    ),
}


def _requests(metric: GuardMetric) -> LiteralString:
    counts, value = _VALUES[metric]
    return f"""
SELECT json_build_object('requested_at', t.requested_at, 'ticket_id', t.ticket_id)::text, t.arm = 'canary', {value}
FROM ticket t JOIN decision d USING (lane, ticket_id)
WHERE (t.requested_at, t.ticket_id) > (%(after_at)s, %(after_id)s::uuid) AND t.requested_at <= %(until)s
  AND ((t.arm = 'canary' AND d.policy_sha256 = %(canary_sha256)s)
       OR (t.arm = 'live' AND d.policy_sha256 = %(live_sha256)s))
  AND {counts}
ORDER BY t.requested_at, t.ticket_id LIMIT %(limit)s
"""


class PostgresCanaryGuards:
    """A row for each metric of each canary."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def advance(
        self,
        compared: Compared,
        beginning: Evidence,
        fold: Callable[[Evidence, Sequence[Observation]], Evidence],
        crossed: Callable[[Evidence], bool],
        *,
        limit: int,
        now: datetime,
    ) -> tuple[Evidence, bool]:
        """Count a batch in one transaction; whoever comes at the same time waits and goes on from there."""
        row: dict[str, object] = {"publication": compared.publication, "metric": compared.metric.value, "now": now}
        async with self._pool.connection() as connection:
            first = Counted(compared.begin_at)
            await connection.execute(_BEGIN, row | _row(first, beginning))
            (locked,) = await (await connection.execute(_LOCK, row)).fetchall()
            counted = msgspec.json.decode(str(locked[0]), type=Counted)
            evidence = msgspec.json.decode(str(locked[1]), type=Evidence)
            params = _params(compared, counted, limit)
            found = await (await connection.execute(_requests(compared.metric), params)).fetchall()
            if found:
                seen = [Observation(bool(is_canary), msgspec.convert(value, int)) for _, is_canary, value in found]
                evidence = fold(evidence, seen)
                last = msgspec.json.decode(str(found[-1][0]), type=Counted)
                await connection.execute(_ADVANCE, row | _row(last, evidence) | {"crossed": crossed(evidence)})
        return evidence, len(found) == limit

    async def seen(self, publication: int) -> Sequence[GuardSeen]:
        """The rows of a canary."""
        return await read_rows(self._pool, _SEEN, {"publication": publication}, GuardSeen)


def _row(counted: Counted, evidence: Evidence) -> dict[str, object]:
    return {
        "requested_at": counted.requested_at,
        "ticket_id": counted.ticket_id,
        "evidence": msgspec.json.encode(evidence).decode(),
    }


def _params(compared: Compared, counted: Counted, limit: int) -> dict[str, object]:
    return {
        "after_at": counted.requested_at,
        "after_id": counted.ticket_id,
        "until": compared.until,
        "counts_after": compared.counts_after,
        "repeat_within": REPEAT_WITHIN,
        "canary_sha256": compared.canary_sha256,
        "live_sha256": compared.live_sha256,
        "currency": compared.currency,
        "limit": limit,
    }
