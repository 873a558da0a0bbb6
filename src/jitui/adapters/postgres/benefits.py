"""What the service did for a shop or the platform; see `jitui.aftersales.queries.Benefit`."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import LiteralString

from jitui.adapters.postgres.pool import Pool, read_rows
from jitui.aftersales.model.ticket import ApprovedBy, TicketState
from jitui.aftersales.queries import TIME_BOUNDS_SECONDS, Benefit, DisputeRate

EVERY_TICKET: Mapping[str, object] = {
    "states": [state.value for state in TicketState],
    "approvers": ["", *(one.value for one in ApprovedBy)],
}
"""All states and approvers, as the indexes of the list want them named."""

_BENEFIT: LiteralString = """
WITH t AS MATERIALIZED (
    SELECT approved_by, state, approved_by = 'instant_refund' AS is_instant,
        approved_by NOT IN ('instant_refund', 'withdrawal') AS is_reviewed,  -- a right is no benefit of the service's
        CASE WHEN state = 'refunded' THEN extract(epoch FROM closed_at - requested_at)::float8 END AS seconds
    FROM ticket_list t
    WHERE (%(shop_id)s::text IS NULL OR t.shop_id = %(shop_id)s)
      AND (%(since)s::timestamptz IS NULL OR t.requested_at >= %(since)s)
      AND t.state = ANY (%(states)s::text[]) AND t.approved_by = ANY (%(approvers)s::text[])),
times AS (
    SELECT width_bucket(seconds, %(bounds)s::float8[]) AS place, count(*) FILTER (WHERE is_instant) AS instant,
        count(*) FILTER (WHERE is_reviewed) AS reviewed
    FROM t WHERE seconds IS NOT NULL GROUP BY 1)
SELECT json_build_object(
    'requests', count(*),
    'instant', count(*) FILTER (WHERE approved_by = 'instant_refund'),
    'refunded', count(*) FILTER (WHERE state = 'refunded'),
    'awaiting', count(*) FILTER (WHERE state = 'awaiting_merchant'),
    'instant_median_seconds', percentile_cont(0.5) WITHIN GROUP (ORDER BY seconds) FILTER (WHERE is_instant),
    'instant_p99_seconds', percentile_cont(0.99) WITHIN GROUP (ORDER BY seconds) FILTER (WHERE is_instant),
    'reviewed_median_seconds', percentile_cont(0.5) WITHIN GROUP (ORDER BY seconds) FILTER (WHERE is_reviewed),
    'reviewed_p99_seconds', percentile_cont(0.99) WITHIN GROUP (ORDER BY seconds) FILTER (WHERE is_reviewed),
    'times', (
        SELECT json_agg(json_build_object('below_seconds', (%(bounds)s::int[])[p + 1],
                'instant', coalesce(x.instant, 0), 'reviewed', coalesce(x.reviewed, 0)) ORDER BY p)
        FROM generate_series(0, cardinality(%(bounds)s::int[])) p LEFT JOIN times x ON x.place = p)
)::text
FROM t
"""

# Before shipment: nothing of the order was with a carrier when the bank was asked.
_DISPUTES: LiteralString = """
SELECT json_build_object(
    'orders', (SELECT count(*) FROM orders o
               WHERE (%(shop_id)s::text IS NULL OR o.shop_id = %(shop_id)s)
                 AND (%(since)s::timestamptz IS NULL OR o.placed_at >= %(since)s) AND o.paid_at IS NOT NULL),
    'disputes', (SELECT count(*) FROM dispute d JOIN orders o ON o.lane = d.lane AND o.order_id = d.order_id
               WHERE (%(shop_id)s::text IS NULL OR o.shop_id = %(shop_id)s)
                 AND (%(since)s::timestamptz IS NULL OR o.placed_at >= %(since)s) AND o.paid_at IS NOT NULL
                 AND NOT EXISTS (
                     SELECT 1 FROM shipment s WHERE s.lane = o.lane AND s.order_id = o.order_id
                       AND s.degree <> 'label_printed' AND s.happened_at <= d.opened_at)))::text
"""


async def read_benefit(pool: Pool, shop_id: str | None, since: datetime | None) -> Benefit:
    """From the list of tickets."""
    params = {**EVERY_TICKET, "shop_id": shop_id, "since": since, "bounds": list(TIME_BOUNDS_SECONDS)}
    return (await read_rows(pool, _BENEFIT, params, Benefit))[0]


async def read_dispute_rate(pool: Pool, shop_id: str | None, since: datetime | None) -> DisputeRate:
    """From orders and disputes themselves."""
    return (await read_rows(pool, _DISPUTES, {"shop_id": shop_id, "since": since}, DisputeRate))[0]
