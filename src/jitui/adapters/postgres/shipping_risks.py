"""See `jitui.aftersales.shipping_risks`: what is a risk, in one statement for each kind."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import LiteralString

from jitui.adapters.postgres.pool import Pool, read_rows
from jitui.aftersales.commands.stop_ship import WHY
from jitui.aftersales.shipping_risks import (
    LOOK_BACK,
    DueReminder,
    RiskFilter,
    RiskKind,
    RiskTimes,
    ShippingRisk,
    reminder_stages,
)

# For an order as row `o`, across lanes: completed by a call, or by an event that was not taken back.
_NOT_COMPLETED: LiteralString = """
o.completed_at IS NULL AND NOT EXISTS (
    SELECT 1 FROM buyer_event e
    WHERE e.lane = o.lane AND e.buyer_id = o.buyer_id AND e.order_id = o.order_id AND e.kind = 'order_completed'
      AND e.retracts IS NULL AND NOT EXISTS (
        SELECT 1 FROM buyer_event r WHERE r.lane = e.lane AND r.buyer_id = e.buyer_id AND r.retracts = e.event_id))
"""

_FREE: LiteralString = "greatest(l.quantity - l.claimed_quantity - l.shipped_quantity - l.scanned_quantity, 0)"

# What the buyer paid for units of lines, down to whole minor units.
_FREE_OF_ORDER: LiteralString = f"""
CROSS JOIN LATERAL (
    SELECT sum({_FREE}) AS units, coalesce(sum(floor(l.paid_minor::numeric * {_FREE} / l.quantity)), 0) AS minor
    FROM order_line l WHERE l.lane = o.lane AND l.order_id = o.order_id) goods
"""

_FREE_OF_PARCEL: LiteralString = f"""
CROSS JOIN LATERAL (
    SELECT sum(least(u.quantity, {_FREE})) AS units,
        coalesce(sum(floor(l.paid_minor::numeric * least(u.quantity, {_FREE}) / l.quantity)), 0) AS minor
    FROM jsonb_to_recordset(s.lines) AS u (line_id text, quantity bigint)
        JOIN order_line l ON l.lane = s.lane AND l.order_id = s.order_id AND l.line_id = u.line_id) goods
"""

_ALL_OF_PARCEL: LiteralString = """
CROSS JOIN LATERAL (
    SELECT coalesce(sum(floor(l.paid_minor::numeric * least(u.quantity, l.quantity) / l.quantity)), 0) AS minor
    FROM jsonb_to_recordset(s.lines) AS u (line_id text, quantity bigint)
        JOIN order_line l ON l.lane = s.lane AND l.order_id = s.order_id AND l.line_id = u.line_id) goods
"""

_OF_PARCEL: LiteralString = """
s.shipment_id::text AS subject, s.lane, s.order_id, o.shop_id, s.happened_at AS since,
    goods.minor::bigint AS amount_minor, o.currency, s.carrier, s.tracking_no, NULL::uuid AS ticket_id
"""
_OF_ORDER: LiteralString = """
o.order_id AS subject, o.lane, o.order_id, o.shop_id, o.ship_by AS since, goods.minor::bigint AS amount_minor,
    o.currency, NULL::text AS carrier, NULL::text AS tracking_no, NULL::uuid AS ticket_id
"""
_OF_TICKET: LiteralString = """
w.ticket_id::text AS subject, w.lane, w.order_id, w.shop_id, w.since, t.amount_minor, t.currency,
    NULL::text AS carrier, NULL::text AS tracking_no, w.ticket_id
"""

_ANSWERED: LiteralString = ", ".join(f"'{why}'" for why in WHY.values())

_SHIP_BY: LiteralString = f"""
FROM orders o {_FREE_OF_ORDER}
WHERE o.ship_by IS NOT NULL AND NOT o.all_left AND o.paid_at IS NOT NULL AND o.hold = 'none' AND goods.units > 0
  AND {_NOT_COMPLETED}
"""

_TICKET: LiteralString = "FROM shipping_watch w JOIN ticket t ON t.lane = w.lane AND t.ticket_id = w.ticket_id"

# Each has the columns of `ShippingRisk` without the kind; `_WITHIN` bounds `since` by its first column.
_KINDS: Mapping[RiskKind, tuple[LiteralString, LiteralString, LiteralString]] = {
    RiskKind.LABEL_NOT_HANDED_OVER: (
        f"""SELECT {_OF_PARCEL}
FROM shipment s JOIN orders o ON o.lane = s.lane AND o.order_id = s.order_id {_FREE_OF_PARCEL}
WHERE s.degree = 'label_printed' AND goods.units > 0 AND {_NOT_COMPLETED}""",
        "s.happened_at",
        "s.shop_id",
    ),
    RiskKind.SHIP_BY_NEAR: (f"SELECT {_OF_ORDER} {_SHIP_BY}", "o.ship_by", "o.shop_id"),
    RiskKind.SHIP_BY_PASSED: (f"SELECT {_OF_ORDER} {_SHIP_BY}", "o.ship_by", "o.shop_id"),
    RiskKind.SCAN_WITHOUT_TRACKING: (
        f"""SELECT {_OF_PARCEL}
FROM shipment s JOIN orders o ON o.lane = s.lane AND o.order_id = s.order_id {_ALL_OF_PARCEL}
WHERE s.entered_at IS NULL AND s.degree IN ('picked_up', 'shipped') AND {_NOT_COMPLETED}""",
        "s.happened_at",
        "s.shop_id",
    ),
    RiskKind.OPEN_TICKET: (
        f"""SELECT {_OF_TICKET} {_TICKET}
WHERE w.risk = 'open_ticket' AND t.state = 'awaiting_merchant'""",
        "w.since",
        "w.shop_id",
    ),
    RiskKind.STOP_SHIP_UNANSWERED: (
        f"""SELECT {_OF_TICKET} {_TICKET}
WHERE w.risk = 'stop_ship_unanswered' AND t.state IN ('refunding', 'refunded', 'refund_failed')
  AND NOT EXISTS (SELECT 1 FROM incident i WHERE i.lane = w.lane AND i.ticket_id = w.ticket_id
                  AND i.kind = 'goods_left_after_refund')
  AND NOT EXISTS (
    SELECT 1 FROM ticket_event e
    WHERE e.lane = w.lane AND e.ticket_id = w.ticket_id AND e.why IN ({_ANSWERED}))""",
        "w.since",
        "w.shop_id",
    ),
}

_EVER = datetime(1970, 1, 1, tzinfo=UTC)

_COLUMNS: LiteralString = (
    "subject, lane, order_id, shop_id, since, amount_minor, currency, carrier, tracking_no, ticket_id"
)


def _found(kind: RiskKind, *, of_shop: bool) -> LiteralString:
    """A page of one kind, by index; the bounds are the kind's own parameters."""
    select, since, shop = _KINDS[kind]
    within: LiteralString = f"{since} >= %(from_{kind})s::timestamptz AND {since} <= %(until_{kind})s::timestamptz"
    of_whom: LiteralString = f" AND {shop} = %(shop_id)s" if of_shop else ""
    return f"""
(SELECT '{kind}' AS risk, {_COLUMNS} FROM ({select} AND {within}{of_whom}) r
 WHERE %(after_at)s::timestamptz IS NULL
    OR (r.since, '{kind}' COLLATE "C", r.subject COLLATE "C")
       > (%(after_at)s::timestamptz, %(after_risk)s::text COLLATE "C", %(after_subject)s::text COLLATE "C")
 ORDER BY since, subject COLLATE "C" LIMIT %(limit)s)"""


def _page(kinds: Sequence[RiskKind], *, of_shop: bool) -> LiteralString:
    found: LiteralString = " UNION ALL ".join(_found(kind, of_shop=of_shop) for kind in kinds)
    return f"""
SELECT to_json(x)::text FROM ({found}) x
ORDER BY x.since, x.risk COLLATE "C", x.subject COLLATE "C" LIMIT %(limit)s
"""


def _due(kind: RiskKind, stages: int) -> LiteralString:
    """Of one kind, those that stand at a stage that was not told; a later one that was told is enough."""
    select, since, _ = _KINDS[kind]
    cases: LiteralString = " ".join(
        f"WHEN r.since <= %(until_{kind}_{stage})s::timestamptz THEN {stage}" for stage in range(stages, 0, -1)
    )
    return f"""
SELECT d.* FROM (
    SELECT '{kind}' AS risk, r.*, CASE {cases} END AS stage
    FROM ({select} AND {since} >= %(from)s::timestamptz AND {since} <= %(until_{kind}_1)s::timestamptz) r) d
WHERE NOT EXISTS (
    SELECT 1 FROM shipping_reminder m
    WHERE m.lane = d.lane AND m.order_id = d.order_id AND m.risk = d.risk AND m.subject = d.subject
      AND m.stage >= d.stage)"""


class PostgresShippingRisks:
    """Reads by the partial indexes of shipments and orders, and by `shipping_watch`, which the roll-up writes."""

    def __init__(self, pool: Pool, times: RiskTimes) -> None:
        self._pool = pool
        self._times = times

    async def risks(self, wanted: RiskFilter, now: datetime) -> Sequence[ShippingRisk]:
        """A page, oldest first."""
        at, risk, subject = wanted.after or (None, "", "")
        params: dict[str, object] = {
            "shop_id": wanted.shop_id,
            "after_at": at,
            "after_risk": risk,
            "after_subject": subject,
            "limit": wanted.limit,
        }
        for kind in wanted.kinds:
            since, until = _bounds(kind, self._times, now)
            params |= {f"from_{kind}": since if at is None else max(since, at), f"until_{kind}": until}
        query = _page(wanted.kinds, of_shop=wanted.shop_id is not None)
        return await read_rows(self._pool, query, params, ShippingRisk)

    async def due_reminders(self, now: datetime, limit: int) -> Sequence[DueReminder]:
        """The oldest first."""
        params: dict[str, object] = {"from": now - LOOK_BACK, "limit": limit}
        found = []
        for kind, ages in reminder_stages(self._times).items():
            params |= {f"until_{kind}_{stage}": now - age for stage, age in enumerate(ages, start=1)}
            found.append(_due(kind, len(ages)))
        query: LiteralString = f"""
SELECT json_build_object('stage', x.stage, 'risk', to_json(x))::text FROM ({" UNION ALL ".join(found)}) x
ORDER BY x.since, x.risk, x.subject LIMIT %(limit)s"""
        return await read_rows(self._pool, query, params, DueReminder)


def _bounds(kind: RiskKind, times: RiskTimes, now: datetime) -> tuple[datetime, datetime]:
    """From and until when something of this kind has begun that is a risk now."""
    moment = timedelta(microseconds=1)
    match kind:
        case RiskKind.LABEL_NOT_HANDED_OVER:
            return now - LOOK_BACK, now - times.label_late_after
        case RiskKind.SHIP_BY_NEAR:
            return now + moment, now + times.ship_by_near
        case RiskKind.STOP_SHIP_UNANSWERED:
            return now - LOOK_BACK, now - times.stop_ship_answer_within
        case RiskKind.OPEN_TICKET:
            return _EVER, now  # however long it is open, nothing is shipped
        case RiskKind.SHIP_BY_PASSED | RiskKind.SCAN_WITHOUT_TRACKING:
            return now - LOOK_BACK, now
