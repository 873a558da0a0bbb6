"""What every reading of a buyer's history says the same way: sums of windows, and the rules that restricted before.

Each fragment is about a row `o` with `buyer_id` and `shop_id`, in the lane of the statement.
"""

from __future__ import annotations

from typing import LiteralString


def _window_values(windows: LiteralString, order: LiteralString = "") -> LiteralString:
    """The sums of windows `w`, as a JSON list of `jitui.aftersales.ports.WindowValue`."""
    return f"""
SELECT coalesce(json_agg(json_build_object(
    'name', w.name, 'events', s.events, 'amount_minor', s.amount_minor, 'last_day', s.last_day,
    'ahead', EXISTS (
        SELECT 1 FROM buyer_event e
        WHERE w.subject = 'buyer' AND e.lane = %(lane)s AND e.buyer_id = o.buyer_id AND e.kind = w.kind
          AND e.at > e.recorded_at AND e.at > %(ahead_from)s::timestamptz AND e.retracts IS NULL
          -- Of several that say the same of an order, the one that counts.
          AND (e.counts_for_order OR e.order_id IS NULL
               OR e.kind NOT IN ('order_paid', 'order_completed', 'order_cancelled'))
          AND NOT EXISTS (SELECT 1 FROM buyer_event r WHERE r.lane = %(lane)s AND r.buyer_id = o.buyer_id
                            AND r.retracts = e.event_id))){order}), '[]')
FROM {windows}
CROSS JOIN LATERAL (
    SELECT coalesce(sum(d.events), 0)::bigint AS events,
           -- Amounts of no known currency make a sum unknown; those in other currencies are no part of it.
           CASE WHEN sum(d.amount_minor) FILTER (WHERE d.currency = '') <> 0 THEN NULL
                WHEN abs(coalesce(sum(d.amount_minor) FILTER (WHERE d.currency = w.currency), 0))
                        < 9223372036854775808
                    THEN coalesce(sum(d.amount_minor) FILTER (WHERE d.currency = w.currency), 0)::bigint
           END AS amount_minor,
           max(d.day) FILTER (WHERE d.events > 0) AS last_day
    FROM (
        SELECT events, amount_minor, currency, day FROM buyer_day
        WHERE w.subject = 'buyer' AND lane = %(lane)s AND buyer_id = o.buyer_id AND kind = w.kind
          AND day BETWEEN w.from_day AND w.to_day
        UNION ALL
        SELECT events, amount_minor, currency, day FROM shop_day
        WHERE w.subject = 'shop' AND shop_id = o.shop_id AND kind = w.kind
          AND day BETWEEN w.from_day AND w.to_day
    ) d
) s
"""


WINDOWS: LiteralString = _window_values("""jsonb_to_recordset(%(windows)s::jsonb)
        AS w (name text, subject text, kind text, from_day date, to_day date, currency text)""")
"""The windows that were asked for."""

_SINCE: LiteralString = _window_values(
    """(
    SELECT f.name, 'buyer' AS subject, f.kind, greatest(f.from_day, p.used_until + 1) AS from_day, f.to_day,
           %(currency)s::text AS currency
    FROM jsonb_to_recordset(%(rule_windows)s::jsonb)
        AS f (rule_id text, name text, kind text, from_day date, to_day date)
    WHERE f.rule_id = p.rule_id) w""",
    " ORDER BY w.name",
)

# A restriction that a late clock has not seen begin stands all the same: there is no second one.
PAST_RULES: LiteralString = (
    """
SELECT coalesce(json_agg(json_build_object(
    'rule_id', p.rule_id, 'times', p.times, 'stands', p.stands, 'windows', ("""
    + _SINCE
    + """)) ORDER BY p.rule_id), '[]')
FROM (
    SELECT r.rule_id, max(r.occurrence) AS times,
        bool_or(r.lifted_at IS NULL AND r.ends_at > %(now)s::timestamptz) AS stands,
        max((coalesce(r.lifted_at, r.starts_at) AT TIME ZONE %(time_zone)s::text)::date) AS used_until
    FROM restriction r
    WHERE r.lane = %(lane)s AND r.buyer_id = o.buyer_id AND r.policy_id = %(policy_id)s::text
    GROUP BY r.rule_id) p
"""
)
"""The rules of the policy that restricted the buyer before; see `jitui.aftersales.ports.PastRule`."""
