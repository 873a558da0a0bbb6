"""See `jitui.aftersales.queries.Queries`."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import LiteralString

from msgspec import Struct

from jitui.adapters.postgres.benefits import EVERY_TICKET, read_benefit, read_dispute_rate
from jitui.adapters.postgres.incident_list import read_incidents
from jitui.adapters.postgres.migrate import newest_revision
from jitui.adapters.postgres.pool import Pool, read_rows
from jitui.adapters.postgres.reading import INCIDENT_ROW
from jitui.adapters.postgres.refund_list import read_refunds
from jitui.adapters.postgres.ticket_list import read_tickets
from jitui.aftersales.changes import LedgerEntry
from jitui.aftersales.incident_list import IncidentFilter
from jitui.aftersales.ledger import story
from jitui.aftersales.model.incident import Incident
from jitui.aftersales.model.order import Order
from jitui.aftersales.ports import (
    DecisionQuery,
    IncidentRef,
    OrderFilter,
    OrderRef,
    StoredDecision,
    TicketFilter,
    TicketRef,
)
from jitui.aftersales.queries import (
    ArbitrationFilter,
    ArmFigures,
    Benefit,
    CapsUsed,
    DisputeRate,
    Health,
    IncidentDetails,
    OpenArbitration,
    OperationsState,
    ShadowReport,
    UnbalancedOrder,
)
from jitui.aftersales.refund_list import ListedRefunds, RefundFilter
from jitui.aftersales.ticket_list import ListedTickets
from jitui.ids import lane_of

# Few are open at a time, and these have an index.
_ARBITRATIONS: LiteralString = """
SELECT to_json(x)::text FROM (
    SELECT t.ticket_id, t.order_id, t.shop_id, t.version, t.amount_minor, t.currency,
        t.arbitration ->> 'reason' AS reason,
        (t.arbitration ->> 'opened_at')::timestamptz AS opened_at,
        (t.arbitration ->> 'answer_by')::timestamptz AS answer_by
    FROM ticket t
    WHERE t.arbitration ->> 'state' = 'open'
      AND (%(lane)s::smallint IS NULL OR t.lane = %(lane)s)
      AND (%(buyer_id)s::text IS NULL OR t.buyer_id = %(buyer_id)s)
      AND (%(shop_id)s::text IS NULL OR t.shop_id = %(shop_id)s)) x
WHERE (%(after_at)s::timestamptz IS NULL OR (x.answer_by, x.ticket_id) > (%(after_at)s, %(after_id)s::uuid))
ORDER BY x.answer_by, x.ticket_id LIMIT %(limit)s
"""

_ORDERS: LiteralString = """
SELECT to_json(o)::text FROM orders o
WHERE (%(lane)s::smallint IS NULL OR o.lane = %(lane)s)
  AND (%(buyer_id)s::text IS NULL OR o.buyer_id = %(buyer_id)s)
  AND (%(shop_id)s::text IS NULL OR o.shop_id = %(shop_id)s)
  AND (%(after_at)s::timestamptz IS NULL OR (o.placed_at, o.order_id) < (%(after_at)s, %(after_id)s::text))
ORDER BY o.placed_at DESC, o.order_id DESC LIMIT %(limit)s
"""

# The directory names the buyer; the buyer's orders have an index, and a parcel is found by its order and waybill.
_OWNER_OF_WAYBILL: LiteralString = """
SELECT json_build_object('lane', lane, 'buyer_id', buyer_id)::text FROM waybill_directory WHERE waybill = %(waybill)s
"""
_ORDERS_OF_WAYBILL: LiteralString = """
SELECT json_build_object('lane', o.lane, 'order_id', o.order_id)::text FROM orders o
JOIN shipment s ON s.lane = o.lane AND s.order_id = o.order_id AND s.waybill = %(waybill)s
WHERE o.lane = %(lane)s AND o.buyer_id = %(buyer_id)s
ORDER BY o.placed_at DESC, o.order_id DESC
"""

_INCIDENT_DETAILS: LiteralString = f"""
SELECT json_build_object('incident', {INCIDENT_ROW}, 'log', (
    SELECT coalesce(json_agg(to_json(e) ORDER BY e.seq), '[]') FROM incident_entry e
    WHERE e.lane = i.lane AND e.incident_id = i.incident_id))::text
FROM incident i WHERE i.lane = %(lane)s AND i.incident_id = %(id)s
"""

_HEALTH: LiteralString = """
SELECT json_build_object(
    'migrated', EXISTS (SELECT 1 FROM alembic_version WHERE version_num >= %(revision)s
        AND coalesce(obj_description('alembic_version'::regclass, 'pg_class'), '') <= %(revision)s),
    'usage_as_of', (
        SELECT CASE WHEN r.by_database_clock THEN %(now)s::timestamptz - (clock_timestamp() - r.as_of) ELSE r.as_of END
        FROM roll_up r WHERE r.name = 'usage'),
    'refund_queue', (SELECT coalesce(json_object_agg(state, depth), '{}') FROM (
        SELECT state, count(*) AS depth FROM refund WHERE due_at IS NOT NULL GROUP BY state) q)
)::text
"""


# What a refund waits for decides since when it stands so.
_OPERATIONS: LiteralString = """
SELECT json_build_object(
    'refunds', (SELECT coalesce(json_agg(to_json(x)), '[]') FROM (
        SELECT r.provider, r.state, count(*) AS count,
            min(CASE WHEN r.state = 'queued' THEN coalesce(r.due_at, r.queued_at)
                     WHEN r.state = 'failed' THEN coalesce(a.news_at, r.queued_at)
                     ELSE coalesce(a.started_at, r.queued_at) END) AS oldest_at,
            min(r.due_at) FILTER (WHERE r.due_at <= %(now)s::timestamptz) AS due_since
        FROM refund r LEFT JOIN refund_attempt a
            ON a.lane = r.lane AND a.refund_id = r.refund_id AND a.attempt_no = r.attempt_no
        WHERE r.state <> 'succeeded' GROUP BY r.provider, r.state ORDER BY r.provider, r.state) x),
    'workers', (SELECT coalesce(json_agg(json_build_object(
            'name', w.name, 'started_at', w.started_at, 'providers', w.providers, 'trouble', w.trouble,
            'seen_seconds_ago', greatest(0, extract(epoch FROM clock_timestamp() - w.seen_at))::float8)
        ORDER BY w.name), '[]') FROM worker w),
    'usage_as_of', (
        SELECT CASE WHEN r.by_database_clock THEN %(now)s::timestamptz - (clock_timestamp() - r.as_of) ELSE r.as_of END
        FROM roll_up r WHERE r.name = 'usage'),
    'open_tasks', (SELECT coalesce(json_object_agg(kind, open), '{}') FROM (
        SELECT kind, count(*) AS open FROM task WHERE state = 'open' GROUP BY kind) t),
    'open_incidents', (SELECT count(*) FROM incident
        WHERE state = 'open' AND kind = 'goods_left_after_refund'),
    'imbalances', (SELECT coalesce(json_agg(to_json(x)), '[]') FROM (
        SELECT currency, count(DISTINCT order_id) AS orders, sum(amount_minor)::bigint AS amount_minor FROM task
        WHERE kind = 'ledger_unbalanced' AND state = 'open' GROUP BY currency ORDER BY currency) x),
    'overdue_arbitrations', (
        SELECT CASE WHEN count(*) > 0
               THEN json_build_object('count', count(*), 'oldest_answer_by', min(x.answer_by)) END
        FROM (SELECT (arbitration ->> 'answer_by')::timestamptz AS answer_by FROM ticket
              WHERE arbitration ->> 'state' = 'open') x
        WHERE x.answer_by <= %(now)s::timestamptz),
    'overdue_appeals', (
        SELECT CASE WHEN count(*) > 0 THEN json_build_object('count', count(*), 'oldest_answer_by', min(answer_by)) END
        FROM appeal WHERE state = 'open' AND answer_by <= %(now)s::timestamptz),
    'overdue_complaints', (SELECT coalesce(json_agg(to_json(x)), '[]') FROM (
        SELECT complaint_id, shop_id, answer_by FROM complaint
        WHERE state = 'open' AND answer_by < %(now)s::timestamptz ORDER BY answer_by LIMIT 100) x),
    'unconfirmed', (SELECT coalesce(json_agg(to_json(x)), '[]') FROM (
        SELECT confirmation_id, action, subject, done_by, confirm_by FROM confirmation
        WHERE confirmed_at IS NULL AND confirm_by < %(now)s::timestamptz ORDER BY confirm_by LIMIT 100) x),
    'platforms', (SELECT coalesce(json_agg(json_build_object('platform', c.platform, 'url', c.url,
            'shop_id', c.shop_id, 'connected_at', c.connected_at, 'read_at', s.synced_at,
            'problem', coalesce(s.problem, ''), 'began', s.cursor_at IS NOT NULL) ORDER BY c.platform), '[]')
        FROM platform_connection c LEFT JOIN platform_state s ON s.platform = c.platform),
    'canary', (
        SELECT json_build_object('publication', p.publication, 'version', p.version,
            'ended_for', CASE WHEN p.action = 'stop' THEN p.reason END,
            'signals', (SELECT coalesce(json_agg(g.metric ORDER BY g.metric), '[]') FROM canary_guard g
                        WHERE g.publication = p.publication AND g.crossed
                          AND g.metric IN ('share_instant', 'repeat_requests')))
        FROM policy p JOIN policy_text t USING (sha256)
        WHERE p.publication = (SELECT max(n.publication) FROM policy n
                               WHERE n.stage IN ('canary', 'live') AND n.action <> 'cancel')
          AND p.stage = 'canary' AND t.retired_at IS NULL AND (p.action <> 'stop' OR p.authority = 'guard'))
)::text
"""

# By every state and every approver, so that the list's indexes find the tickets since a time.
_ARMS: LiteralString = """
SELECT json_build_object('arm', arm, 'currency', currency, 'requests', count(*),
    'instant', count(*) FILTER (WHERE approved_by = 'instant_refund'),
    'instant_minor', coalesce(sum(amount_minor) FILTER (WHERE approved_by = 'instant_refund'), 0)::bigint)::text
FROM ticket_list
WHERE requested_at >= %(since)s
  AND state = ANY (%(states)s::text[]) AND approved_by = ANY (%(approvers)s::text[])
GROUP BY arm, currency ORDER BY arm, currency
"""

# Grouped once for the outcomes and once for each condition that differs; a group's newest tickets are its examples.
_SHADOW: LiteralString = """
WITH compared AS (
    SELECT d.ticket_id, d.decided_at, d.outcome AS live, d.shadow ->> 'outcome' AS shadow,
           d.shadow -> 'differs' AS differs
    FROM decision d
    WHERE d.shadow IS NOT NULL AND d.shadow ->> 'policy_sha256' = %(sha256)s
      AND (%(since)s::timestamptz IS NULL OR d.decided_at >= %(since)s)),
numbered AS (
    SELECT *, row_number() OVER (PARTITION BY live, shadow ORDER BY decided_at DESC, ticket_id) AS place FROM compared),
differing AS (
    SELECT c.ticket_id, w.condition,
           row_number() OVER (PARTITION BY w.condition ORDER BY c.decided_at DESC, c.ticket_id) AS place
    FROM compared c CROSS JOIN LATERAL jsonb_array_elements_text(c.differs) AS w (condition))
SELECT json_build_object(
    'cells', (SELECT coalesce(json_agg(to_json(x)), '[]') FROM (
        SELECT live, shadow, count(*) AS requests, coalesce(
            json_agg(ticket_id ORDER BY place) FILTER (WHERE place <= %(examples)s), '[]') AS examples
        FROM numbered GROUP BY live, shadow ORDER BY live, shadow) x),
    'conditions', (SELECT coalesce(json_agg(to_json(x)), '[]') FROM (
        SELECT condition, count(*) AS requests, coalesce(
            json_agg(ticket_id ORDER BY place) FILTER (WHERE place <= %(examples)s), '[]') AS examples
        FROM differing GROUP BY condition ORDER BY count(*) DESC, condition) x),
    'first_at', (SELECT min(decided_at) FROM compared), 'last_at', (SELECT max(decided_at) FROM compared))::text
"""

# As the deciding statement reads it (`reading`), for the platform and for all shops and categories at once.
_CAPS_USED: LiteralString = """
WITH used AS (
    SELECT u.scope, sum(u.approvals) AS approvals,
        sum(u.amount_minor) FILTER (WHERE u.currency = %(currency)s::text) AS amount_minor
    FROM usage_bucket u JOIN (VALUES
        ('platform', %(platform_bucket_seconds)s::integer, %(platform_cap_from)s::timestamptz),
        ('category', %(category_bucket_seconds)s::integer, %(category_cap_from)s::timestamptz),
        ('cluster', %(cluster_bucket_seconds)s::integer, %(cluster_cap_from)s::timestamptz),
        ('shop', %(shop_bucket_seconds)s::integer, %(shop_cap_from)s::timestamptz)) w (scope, seconds, since)
        ON u.scope = w.scope AND u.bucket_seconds = w.seconds AND u.bucket > w.since - make_interval(secs => w.seconds)
    GROUP BY u.scope, u.ref)
SELECT json_object_agg(s.scope, json_build_object('approvals', coalesce(m.approvals, 0)::bigint,
    'amount_minor', coalesce(m.amount_minor, 0)::bigint))::text
FROM (VALUES ('platform'), ('shop'), ('category'), ('cluster')) s (scope) LEFT JOIN (
    SELECT scope, max(approvals) AS approvals, max(amount_minor) AS amount_minor FROM used GROUP BY scope) m
    USING (scope)
"""

# What the ledger says of an order against what its payments say. Both are written by the same plan, so they differ only
# when somebody or something else has written.
_UNBALANCED: LiteralString = """
WITH checked AS (
    SELECT DISTINCT lane, order_id FROM ledger WHERE %(since)s::timestamptz IS NULL OR posted_at >= %(since)s
    UNION SELECT d.lane, d.order_id FROM task t JOIN order_directory d USING (order_id)
        WHERE t.kind = 'ledger_unbalanced' AND t.state = 'open'
    UNION SELECT lane, order_id FROM tender WHERE %(since)s::timestamptz IS NULL),
posted AS (
    SELECT c.lane, c.order_id, coalesce(max(l.currency), '') AS currency,
        coalesce(sum(amount_minor) FILTER (WHERE cause IN ('captured', 'captured_more')), 0) AS captured,
        coalesce(sum(CASE 'buyer_payable' WHEN credit THEN amount_minor WHEN debit THEN -amount_minor END), 0)
            AS promised,
        coalesce(sum(CASE WHEN cause IN ('paid', 'settled', 'refunded_elsewhere') THEN amount_minor
                 WHEN cause = 'unpaid' THEN -amount_minor END), 0) AS paid_back,
        coalesce(sum(amount_minor) FILTER (WHERE cause = 'charged_back'), 0) AS charged_back,
        coalesce(sum(CASE 'escrow' WHEN debit THEN amount_minor WHEN credit THEN -amount_minor END), 0) AS escrow
    FROM checked c LEFT JOIN (SELECT *, split_part(posting, ':', 1) AS cause FROM ledger) l
        ON l.lane = c.lane AND l.order_id = c.order_id
    GROUP BY c.lane, c.order_id),
held AS (
    SELECT c.lane, c.order_id, coalesce(max(t.currency), '') AS currency,
        coalesce(sum(captured_minor), 0) AS captured, coalesce(sum(pending_minor), 0) AS promised,
        coalesce(sum(refunded_minor), 0) AS paid_back, coalesce(sum(lost_minor), 0) AS charged_back
    FROM checked c LEFT JOIN tender t ON t.lane = c.lane AND t.order_id = c.order_id
    GROUP BY c.lane, c.order_id)
SELECT json_build_object('order_id', p.order_id, 'currency', greatest(p.currency, h.currency), 'what', d.what,
    'ledger_minor', d.ledger_minor::bigint, 'order_minor', d.order_minor::bigint)::text
FROM posted p JOIN held h USING (lane, order_id) CROSS JOIN LATERAL (VALUES
    ('captured', p.captured, h.captured), ('promised', p.promised, h.promised), ('paid_back', p.paid_back, h.paid_back),
    ('charged_back', p.charged_back, h.charged_back), ('escrow', greatest(p.escrow, 0), 0)
    ) d (what, ledger_minor, order_minor)
WHERE d.ledger_minor <> d.order_minor
ORDER BY p.order_id, d.what LIMIT %(limit)s
"""


class _Owner(Struct, frozen=True):
    lane: int
    buyer_id: str


class PostgresQueries:
    """Lists by index, newest first."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def tickets(self, wanted: TicketFilter) -> ListedTickets:
        """A page of tickets."""
        return await read_tickets(self._pool, wanted)

    async def arbitrations(self, wanted: ArbitrationFilter) -> Sequence[OpenArbitration]:
        """A page of open arbitrations."""
        at, ticket_id = wanted.after or (None, None)
        params = {
            "lane": lane_of(wanted.buyer_id) if wanted.buyer_id is not None else None,
            "buyer_id": wanted.buyer_id,
            "shop_id": wanted.shop_id,
            "after_at": at,
            "after_id": ticket_id,
            "limit": wanted.limit,
        }
        return await read_rows(self._pool, _ARBITRATIONS, params, OpenArbitration)

    async def orders(self, wanted: OrderFilter) -> Sequence[Order]:
        """A page of orders."""
        at, order_id = wanted.after or (None, None)
        params = {
            "lane": lane_of(wanted.buyer_id) if wanted.buyer_id is not None else None,
            "buyer_id": wanted.buyer_id,
            "shop_id": wanted.shop_id,
            "after_at": at,
            "after_id": order_id,
            "limit": wanted.limit,
        }
        return await read_rows(self._pool, _ORDERS, params, Order)

    async def decision(self, ref: TicketRef) -> StoredDecision | None:
        """The decision that was stored with a ticket."""
        query: LiteralString = "SELECT to_json(d)::text FROM decision d WHERE lane = %(lane)s AND ticket_id = %(id)s"
        found = await read_rows(self._pool, query, {"lane": ref.lane, "id": ref.ticket_id}, StoredDecision)
        return found[0] if found else None

    async def refunds(self, wanted: RefundFilter) -> ListedRefunds:
        """A page of refunds."""
        return await read_refunds(self._pool, wanted)

    async def incidents(self, wanted: IncidentFilter) -> Sequence[Incident]:
        """A page of incidents."""
        return await read_incidents(self._pool, wanted)

    async def orders_of_waybill(self, waybill: str) -> Sequence[OrderRef]:
        """Of the buyer who has the number now."""
        owner = await read_rows(self._pool, _OWNER_OF_WAYBILL, {"waybill": waybill}, _Owner)
        if not owner:
            return ()
        params = {"waybill": waybill, "lane": owner[0].lane, "buyer_id": owner[0].buyer_id}
        return await read_rows(self._pool, _ORDERS_OF_WAYBILL, params, OrderRef)

    async def incident(self, ref: IncidentRef) -> IncidentDetails | None:
        """An incident and its log."""
        found = await read_rows(
            self._pool, _INCIDENT_DETAILS, {"lane": ref.lane, "id": ref.incident_id}, IncidentDetails
        )
        return found[0] if found else None

    async def ledger(self, ref: OrderRef) -> Sequence[LedgerEntry]:
        """The order's postings as they happened."""
        query: LiteralString = "SELECT to_json(l)::text FROM ledger l WHERE lane = %(lane)s AND order_id = %(id)s"
        return story(await read_rows(self._pool, query, {"lane": ref.lane, "id": ref.order_id}, LedgerEntry))

    async def benefit(self, *, shop_id: str | None, since: datetime | None) -> Benefit:
        """What the service did since a time."""
        return await read_benefit(self._pool, shop_id, since)

    async def dispute_rate(self, *, shop_id: str | None, since: datetime | None) -> DisputeRate:
        """Disputes before shipment, and the paid orders."""
        return await read_dispute_rate(self._pool, shop_id, since)

    async def health(self, now: datetime) -> Health:
        """Raises a ProgrammingError of psycopg's on a database that was never migrated, or is at an earlier release."""
        params = {"revision": newest_revision(), "now": now}
        return (await read_rows(self._pool, _HEALTH, params, Health))[0]

    async def operations(self, now: datetime) -> OperationsState:
        """What an operator must see."""
        return (await read_rows(self._pool, _OPERATIONS, {"now": now}, OperationsState))[0]

    async def arms(self, since: datetime) -> Sequence[ArmFigures]:
        """The requests since then, by arm."""
        return await read_rows(self._pool, _ARMS, {**EVERY_TICKET, "since": since}, ArmFigures)

    async def shadow_report(self, sha256: str, *, since: datetime | None, examples: int) -> ShadowReport:
        """Four-way table, conditions and examples."""
        params = {"sha256": sha256, "since": since, "examples": examples}
        return (await read_rows(self._pool, _SHADOW, params, ShadowReport))[0]

    async def caps_used(self, query: DecisionQuery) -> CapsUsed:
        """How much of the caps is used."""
        params = {
            "currency": query.currency,
            "platform_cap_from": query.platform_cap_from,
            "platform_bucket_seconds": query.platform_cap_bucket_seconds,
            "category_cap_from": query.category_cap_from,
            "category_bucket_seconds": query.category_cap_bucket_seconds,
            "cluster_cap_from": query.cluster_cap_from,
            "cluster_bucket_seconds": query.cluster_cap_bucket_seconds,
            "shop_cap_from": query.shop_cap_from,
            "shop_bucket_seconds": query.shop_cap_bucket_seconds,
        }
        return (await read_rows(self._pool, _CAPS_USED, params, CapsUsed))[0]

    async def unbalanced_orders(self, since: datetime | None, limit: int) -> Sequence[UnbalancedOrder]:
        """Where ledger and payments say different amounts."""
        return await read_rows(self._pool, _UNBALANCED, {"since": since, "limit": limit}, UnbalancedOrder)
