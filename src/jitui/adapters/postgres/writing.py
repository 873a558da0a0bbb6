"""One statement for each kind of change; all changes of a kind in a plan are sent as one JSON array of rows.

Kinds of which nearly every plan has exactly one are in `writing_rows`.

Every statement takes the same parameters (`lane`, `order_id`, `buyer_id`, `time_zone`, `rows`) and names its lane.
Amounts and units are differences, so that the tables' CHECKs verify every result (I1, I3).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import LiteralString

import msgspec

from jitui.adapters.postgres.batch import BEGIN, COMMIT, BatchCall, Value, run_batch, statement
from jitui.adapters.postgres.pool import Connection
from jitui.adapters.postgres.shipment_statements import ALL_LEFT, CLAIM_WAYBILL, RECORD_REMINDER
from jitui.adapters.postgres.shipment_statements import ROWS as _ROWS
from jitui.adapters.postgres.writing_incidents import INCIDENT_SQL
from jitui.adapters.postgres.writing_rows import BY_ROW, call_of, plain_event
from jitui.aftersales import changes as c
from jitui.aftersales.governance.registry import BY_POLICY
from jitui.aftersales.model.snapshot import OrderSnapshot
from jitui.aftersales.model.task import BY_THE_SERVICE
from jitui.ids import lane_of
from jitui.policy import facts
from jitui.tracing import current_trace_parent

ONCE_PER_ORDER: LiteralString = "'order_paid', 'order_completed', 'order_cancelled'"
"""`jitui.policy.facts.ONCE_PER_ORDER`, as in the constraint `once_per_order`."""

PSEUDONYM: LiteralString = """
coalesce((SELECT p.pseudonym FROM buyer_pseudonym p WHERE p.lane = %(lane)s AND p.buyer_id = %(buyer_id)s),
    make_pseudonym(%(lane)s::smallint, %(buyer_id)s))"""
"""The buyer's, made at the first event."""

ENSURE_BUYER = statement("""
INSERT INTO buyer (lane, buyer_id, updated_at) VALUES (%(lane)s, %(buyer_id)s, %(now)s)
ON CONFLICT (lane, buyer_id) DO UPDATE SET updated_at = buyer.updated_at WHERE false
""")
"""A row for the buyer, or a lock on the one there is, so that a buyer who is just being erased begins anew."""

LOCK_BUYER: LiteralString = "SELECT 1 FROM buyer WHERE lane = %(lane)s AND buyer_id = %(buyer_id)s FOR UPDATE"
"""INVARIANT: a buyer is locked before any of the orders."""

LOCK_KNOWN_BUYER = statement(LOCK_BUYER)

# A statement of its own, after the one that may have waited for the erasure.
BEGIN_HISTORY: LiteralString = """
UPDATE buyer SET history_from = %(now)s
WHERE lane = %(lane)s AND buyer_id = %(buyer_id)s AND history_from IS NULL
  AND was_erased(%(lane)s::smallint, %(buyer_id)s)
"""
"""For an id that was erased and has come again: nothing from before is known."""

BEGIN_HISTORY_OF_BUYER = statement(BEGIN_HISTORY)

_SQL: dict[type, LiteralString] = {
    c.MoveTicket: f"""
        WITH rows AS (
            SELECT * FROM {_ROWS} AS r (ticket_id uuid, state text, version int, open boolean, amount_minor bigint,
                freight_minor bigint, funding_returns jsonb, expires_at timestamptz, approved_by text,
                approved_at timestamptz, closed_at timestamptz, remind_at timestamptz, assignment jsonb, offer jsonb,
                arbitration jsonb, notice jsonb)),
        moved AS (
            UPDATE ticket t SET state = r.state, version = r.version, approved_by = r.approved_by,
                approved_at = r.approved_at, closed_at = r.closed_at, expires_at = r.expires_at,
                amount_minor = r.amount_minor, freight_minor = r.freight_minor, funding_returns = r.funding_returns,
                remind_at = r.remind_at, assignment = r.assignment, offer = r.offer, arbitration = r.arbitration,
                notice = r.notice
            FROM rows r WHERE t.lane = %(lane)s AND t.ticket_id = r.ticket_id)
        UPDATE ticket_line l SET open = false
        FROM rows r WHERE l.lane = %(lane)s AND l.ticket_id = r.ticket_id AND l.open AND NOT r.open
        """,
    c.AddTimeline: f"""
        INSERT INTO ticket_event (lane, ticket_id, seq, order_id, at, actor_kind, actor_id, from_state, to_state, why,
            detail)
        SELECT %(lane)s, e.ticket_id, e.seq, %(order_id)s, e.at, e.actor_kind, e.actor_id, e.from_state, e.to_state,
            e.why, e.detail
        FROM {_ROWS} AS r (events jsonb), jsonb_populate_recordset(NULL::ticket_event, r.events) e
        """,
    c.ClaimUnits: f"""
        UPDATE order_line l SET claimed_quantity = l.claimed_quantity + r.quantity,
            claimed_minor = l.claimed_minor + r.amount_minor
        FROM (SELECT line_id, sum(quantity) AS quantity, sum(amount_minor) AS amount_minor
              FROM {_ROWS} AS r (line_id text, quantity bigint, amount_minor bigint) GROUP BY line_id) r
        WHERE l.lane = %(lane)s AND l.order_id = %(order_id)s AND l.line_id = r.line_id
        """,
    c.ClaimFreight: f"""
        UPDATE orders o SET freight_claimed_minor = o.freight_claimed_minor + r.amount_minor
        FROM (SELECT sum(amount_minor) AS amount_minor FROM {_ROWS} AS r (amount_minor bigint)) r
        WHERE o.lane = %(lane)s AND o.order_id = %(order_id)s
        """,
    c.UnitsLeft: f"""
        UPDATE order_line l SET shipped_quantity = l.shipped_quantity + r.shipped,
            scanned_quantity = l.scanned_quantity + r.scanned
        FROM (SELECT line_id, sum(shipped) AS shipped, sum(scanned) AS scanned
              FROM {_ROWS} AS r (line_id text, shipped bigint, scanned bigint) GROUP BY line_id) r
        WHERE l.lane = %(lane)s AND l.order_id = %(order_id)s AND l.line_id = r.line_id
        """,
    c.HoldTender: f"""
        UPDATE tender t SET pending_minor = t.pending_minor + r.pending_minor,
            refunded_minor = t.refunded_minor + r.refunded_minor
        FROM (SELECT tender_id, sum(pending_minor) AS pending_minor, sum(refunded_minor) AS refunded_minor
              FROM {_ROWS} AS r (tender_id text, pending_minor bigint, refunded_minor bigint) GROUP BY tender_id) r
        WHERE t.lane = %(lane)s AND t.order_id = %(order_id)s AND t.tender_id = r.tender_id
        """,
    c.ReturnFunding: f"""
        UPDATE funding f SET returned_minor = f.returned_minor + r.amount_minor
        FROM (SELECT funder, sum(amount_minor) AS amount_minor
              FROM {_ROWS} AS r (funder text, amount_minor bigint) GROUP BY funder) r
        WHERE f.lane = %(lane)s AND f.order_id = %(order_id)s AND f.funder = r.funder
        """,
    c.MoveRefund: f"""
        UPDATE refund f SET state = r.state, due_at = r.due_at, leased_until = NULL, reason = r.reason,
            closed_at = r.closed_at, tries = r.tries
        FROM {_ROWS} AS r (refund_id uuid, state text, due_at timestamptz, reason text, closed_at timestamptz,
            tries int)
        WHERE f.lane = %(lane)s AND f.refund_id = r.refund_id
        """,
    c.ProposeSettlement: f"""
        UPDATE refund f SET proposal = r.proposal
        FROM {_ROWS} AS r (refund_id uuid, proposal jsonb)
        WHERE f.lane = %(lane)s AND f.refund_id = r.refund_id
        """,
    c.SettleRefund: f"""
        UPDATE refund f SET settlement = r.settlement, proposal = NULL, state = 'succeeded', due_at = NULL
        FROM {_ROWS} AS r (refund_id uuid, settlement jsonb)
        WHERE f.lane = %(lane)s AND f.refund_id = r.refund_id AND f.settlement IS NULL
        """,
    c.MoveAttempt: f"""
        UPDATE refund_attempt a SET state = r.state, provider_refund_id = r.provider_refund_id, reason = r.reason,
            news_at = r.news_at, moves = a.moves + 1
        FROM {_ROWS} AS r (attempt_id uuid, state text, provider_refund_id text, reason text, news_at timestamptz)
        WHERE a.lane = %(lane)s AND a.attempt_id = r.attempt_id
        """,
    c.LedgerEntry: f"""
        INSERT INTO ledger (lane, order_id, posting, debit, credit, amount_minor, currency, posted_at)
        SELECT %(lane)s, %(order_id)s, r.posting, r.debit, r.credit, r.amount_minor, r.currency, r.posted_at
        FROM {_ROWS} AS r (posting text, debit text, credit text, amount_minor bigint, currency text,
            posted_at timestamptz)
        ON CONFLICT (lane, order_id, posting) DO NOTHING
        """,
    c.OpenTask: f"""
        INSERT INTO task (task_id, kind, provider, order_id, amount_minor, currency, evidence, opened_at, condition,
            shop_id)
        SELECT r.task_id, t.kind, t.provider, t.order_id, t.amount_minor, t.currency, t.evidence, t.opened_at,
            t.condition, (SELECT o.shop_id FROM orders o WHERE o.lane = %(lane)s AND o.order_id = t.order_id)
        FROM {_ROWS} AS r (task_id uuid, task jsonb), jsonb_populate_record(NULL::task, r.task) t
        ON CONFLICT DO NOTHING  -- known by its id, or one of its condition is open
        RETURNING task_id
        """,
    c.CloseTask: f"""
        UPDATE task t SET state = 'resolved', resolved_at = r.at, resolved_by = '{BY_THE_SERVICE}', note = r.note
        FROM {_ROWS} AS r (condition text, note text, at timestamptz)
        WHERE t.condition = r.condition AND t.state = 'open'
        RETURNING t.condition
        """,
    # A retracted event is subtracted from the roll-up once, by its own kind, day and amount; a retraction that arrives
    # before its event keeps the event out. So the roll-up equals a count of the events, in whatever order they arrive.
    # Events that an order has once are counted by `ONE_PER_ORDER`, which runs next. Events about an order that costs
    # nothing are not stored; the completion of such an order is recorded on the order itself.
    c.RecordBuyerEvent: f"""
        WITH new AS (
            INSERT INTO buyer_event (lane, buyer_id, event_id, kind, at, recorded_at, order_id, amount_minor, currency,
                retracts)
            SELECT %(lane)s, r.buyer_id, r.event_id, r.kind, r.at, r.recorded_at, r.order_id, r.amount_minor,
                coalesce(r.currency, (SELECT o.currency FROM orders o WHERE o.lane = %(lane)s
                    AND o.order_id = r.order_id AND o.buyer_id = r.buyer_id)), r.retracts
            FROM ROWS FROM ({_ROWS} AS (buyer_id text, event_id text, kind text, at timestamptz,
                recorded_at timestamptz, order_id text, amount_minor bigint, currency text, retracts text))
                WITH ORDINALITY
                AS r (buyer_id, event_id, kind, at, recorded_at, order_id, amount_minor, currency, retracts, place)
            WHERE NOT EXISTS (
                SELECT 1 FROM orders o WHERE o.lane = %(lane)s AND o.order_id = r.order_id AND o.free_of_charge)
              -- What happened before an erasure is not taken in again.
              AND NOT EXISTS (
                SELECT 1 FROM buyer b WHERE b.lane = %(lane)s AND b.buyer_id = r.buyer_id AND b.history_from > r.at)
            ORDER BY r.place  -- the first that was written counts
            ON CONFLICT (lane, buyer_id, event_id) DO NOTHING
            RETURNING buyer_id, event_id, kind, at, order_id, amount_minor, currency, retracts),
        completed AS (
            UPDATE orders o SET completed_at = r.at
            FROM (SELECT buyer_id, order_id, min(at) AS at
                  FROM {_ROWS} AS r (buyer_id text, order_id text, kind text, at timestamptz, retracts text)
                  WHERE kind = 'order_completed' AND retracts IS NULL GROUP BY buyer_id, order_id) r
            WHERE o.lane = %(lane)s AND o.order_id = r.order_id AND o.buyer_id = r.buyer_id AND o.free_of_charge
              AND o.completed_at IS NULL),
        plain AS (
            SELECT buyer_id, event_id, kind, at, amount_minor, currency FROM new
            WHERE retracts IS NULL AND (order_id IS NULL OR kind NOT IN ({ONCE_PER_ORDER}))),
        due AS (INSERT INTO restriction_check (lane, buyer_id) SELECT DISTINCT %(lane)s::smallint, buyer_id FROM new
            ON CONFLICT (lane, buyer_id) DO NOTHING),
        taken_back AS (SELECT DISTINCT buyer_id, retracts AS event_id FROM new WHERE retracts IS NOT NULL),
        candidates AS (
            SELECT p.buyer_id, p.event_id, p.kind, p.at, p.amount_minor, p.currency, 1 AS sign FROM plain p
            UNION ALL
            SELECT p.buyer_id, p.event_id, p.kind, p.at, p.amount_minor, p.currency, -1 FROM plain p
                JOIN taken_back t ON t.buyer_id = p.buyer_id AND t.event_id = p.event_id
            UNION ALL
            SELECT e.buyer_id, e.event_id, e.kind, e.at, e.amount_minor, e.currency, -1 FROM taken_back t
                JOIN buyer_event e ON e.lane = %(lane)s AND e.buyer_id = t.buyer_id AND e.event_id = t.event_id
                    AND e.retracts IS NULL AND (e.order_id IS NULL OR e.kind NOT IN ({ONCE_PER_ORDER}))),
        counted AS (
            SELECT c.buyer_id, c.kind, (c.at AT TIME ZONE %(time_zone)s)::date AS day, c.sign, c.amount_minor,
                coalesce(c.currency, '') AS currency
            FROM candidates c
            WHERE NOT EXISTS (SELECT 1 FROM buyer_event r WHERE r.lane = %(lane)s AND r.buyer_id = c.buyer_id
                AND r.retracts = c.event_id))
        INSERT INTO buyer_day (lane, buyer_id, kind, day, currency, events, amount_minor)
        SELECT %(lane)s, buyer_id, kind, day, currency, sum(sign), sum(sign * amount_minor)
        FROM counted GROUP BY buyer_id, kind, day, currency
        ON CONFLICT (lane, buyer_id, kind, day, currency) DO UPDATE
        SET events = buyer_day.events + excluded.events, amount_minor = buyer_day.amount_minor + excluded.amount_minor
        """,
    c.RestrictBuyer: f"""
        WITH rows AS (
            SELECT * FROM {_ROWS} AS r (restriction_id uuid, reason text, withdraw text, starts_at timestamptz,
                ends_at timestamptz, policy_id text, policy_version text, policy_sha256 text, rule_id text,
                occurrence int, facts jsonb, text jsonb)),
        restricted AS (
            INSERT INTO restriction (lane, restriction_id, buyer_id, reason, withdraw, starts_at, ends_at, set_by,
                set_at, policy_id, policy_version, policy_sha256, rule_id, occurrence, facts, text)
            SELECT %(lane)s, r.restriction_id, %(buyer_id)s, r.reason, r.withdraw, r.starts_at, r.ends_at,
                '{BY_POLICY}', r.starts_at, r.policy_id, r.policy_version, r.policy_sha256, r.rule_id, r.occurrence,
                r.facts, r.text
            FROM rows r)
        SELECT append_audit(r.starts_at, '{BY_POLICY}', 'restriction.set', r.restriction_id::text, jsonb_build_object(
            'buyer', {PSEUDONYM}, 'ends_at', r.ends_at, 'policy', r.policy_id, 'version', r.policy_version,
            'rule', r.rule_id)::text)
        FROM rows r
        """,
    c.Announce: f"""
        INSERT INTO change (lane, kind, order_id, ticket_id, buyer_pseudonym, shop_id, at, body)
        SELECT %(lane)s, r.kind, %(order_id)s, r.ticket_id, {PSEUDONYM}, r.shop_id, r.at, r.body
        FROM {_ROWS} AS r (kind text, ticket_id uuid, shop_id text, at timestamptz, body jsonb)
        """,
    c.PutShipment: f"""
        INSERT INTO shipment (lane, order_id, shipment_id, degree, carrier, tracking_no, waybill, source, commanded,
            lines, commanded_lines, happened_at, recorded_at, entered_at, shop_id)
        SELECT %(lane)s, %(order_id)s, s.shipment_id, s.degree, s.carrier, s.tracking_no, r.waybill, s.source,
            s.commanded, s.lines, s.commanded_lines, s.happened_at, s.recorded_at, s.entered_at,
            (SELECT o.shop_id FROM orders o WHERE o.lane = %(lane)s AND o.order_id = %(order_id)s)
        FROM {_ROWS} AS r (shipment jsonb, waybill text), jsonb_populate_record(NULL::shipment, r.shipment) s
        ON CONFLICT (lane, order_id, shipment_id) DO UPDATE
        SET degree = excluded.degree, carrier = excluded.carrier, source = excluded.source,
            commanded = excluded.commanded, lines = excluded.lines, commanded_lines = excluded.commanded_lines,
            happened_at = excluded.happened_at, recorded_at = excluded.recorded_at, entered_at = excluded.entered_at
        """,
    **INCIDENT_SQL,
    c.ClaimWaybill: CLAIM_WAYBILL,
    c.RecordReminder: RECORD_REMINDER,
    c.ClaimPayment: f"""
        INSERT INTO payment_directory (provider, payment_id, lane, buyer_id)
        SELECT r.provider, r.payment_id, %(lane)s, %(buyer_id)s FROM {_ROWS} AS r (provider text, payment_id text)
        """,
    c.SharePayment: f"""
        INSERT INTO shared_payment (lane, provider, payment_id, total_minor, captured_minor)
        SELECT %(lane)s, r.provider, r.payment_id, r.total_minor, r.amount_minor
        FROM {_ROWS} AS r (provider text, payment_id text, total_minor bigint, amount_minor bigint)
        ON CONFLICT (lane, provider, payment_id) DO UPDATE
        SET captured_minor = shared_payment.captured_minor + excluded.captured_minor
        """,
    c.StatePaymentTotal: f"""
        UPDATE tender t SET payment_total_minor = r.total_minor
        FROM {_ROWS} AS r (tender_id text, total_minor bigint)
        WHERE t.lane = %(lane)s AND t.order_id = %(order_id)s AND t.tender_id = r.tender_id
        """,
    c.CaptureMore: f"""
        UPDATE tender t SET captured_minor = t.captured_minor + r.amount_minor
        FROM {_ROWS} AS r (tender_id text, amount_minor bigint)
        WHERE t.lane = %(lane)s AND t.order_id = %(order_id)s AND t.tender_id = r.tender_id
        """,
    c.ChangeTicketLine: f"""
        UPDATE ticket_line l SET amount_minor = l.amount_minor + r.amount_minor, quantity = l.quantity + r.quantity,
            open = l.open AND l.quantity + r.quantity > 0
        FROM {_ROWS} AS r (ticket_id uuid, line_id text, amount_minor bigint, quantity bigint)
        WHERE l.lane = %(lane)s AND l.ticket_id = r.ticket_id AND l.line_id = r.line_id
        """,
    c.RecordLaterDecision: f"""
        INSERT INTO later_decision (lane, ticket_id, order_id, policy_id, policy_version, policy_sha256, outcome,
            decided_at, facts, decision, read_from)
        SELECT %(lane)s, d.ticket_id, %(order_id)s, d.policy_id, d.policy_version, d.policy_sha256, d.outcome,
            d.decided_at, d.facts, d.decision, d.read_from
        FROM {_ROWS} AS r (decision jsonb), jsonb_populate_record(NULL::later_decision, r.decision) d
        """,
    c.CaptureTender: f"""
        WITH captured AS (
            INSERT INTO tender (lane, order_id, tender_id, provider, payment_id, currency, captured_minor, captured_at,
                payment_total_minor)
            SELECT %(lane)s, %(order_id)s, t.tender_id, t.provider, t.payment_id, t.currency, t.captured_minor,
                t.captured_at, t.payment_total_minor
            FROM {_ROWS} AS r (tender jsonb), jsonb_populate_record(NULL::tender, r.tender) t
            RETURNING captured_at)
        UPDATE orders o SET paid_at = coalesce(o.paid_at, c.captured_at)
        FROM (SELECT min(captured_at) AS captured_at FROM captured) c
        WHERE o.lane = %(lane)s AND o.order_id = %(order_id)s
        """,
    c.PutDispute: f"""
        WITH rows AS (
            SELECT d.* FROM {_ROWS} AS r (dispute jsonb), jsonb_populate_record(NULL::dispute, r.dispute) d),
        put AS (
            INSERT INTO dispute (lane, order_id, dispute_id, tender_id, provider, state, amount_minor, currency,
                lost_minor, reason, opened_at, closed_at)
            SELECT %(lane)s, %(order_id)s, r.dispute_id, r.tender_id, r.provider, r.state, r.amount_minor, r.currency,
                r.lost_minor, r.reason, r.opened_at, r.closed_at FROM rows r
            ON CONFLICT (lane, order_id, dispute_id) DO UPDATE
            SET state = excluded.state, amount_minor = excluded.amount_minor, lost_minor = excluded.lost_minor,
                reason = excluded.reason, closed_at = excluded.closed_at)
        UPDATE tender t SET lost_minor = t.lost_minor + r.lost_minor FROM rows r
        WHERE t.lane = %(lane)s AND t.order_id = %(order_id)s AND t.tender_id = r.tender_id
        """,
    c.CompleteOrder: f"""
        UPDATE orders o SET completed_at = r.completed_at FROM {_ROWS} AS r (completed_at timestamptz)
        WHERE o.lane = %(lane)s AND o.order_id = %(order_id)s
        """,
}

STATEMENTS = {kind: statement(sql) for kind, sql in _SQL.items()} | BY_ROW

# Of the events of one kind about one order, the first that is not retracted is in the roll-up. The statement computes
# the final state, so it may run repeatedly, whatever came first: the event, another of its order, or a retraction.
ONE_PER_ORDER = statement(f"""
WITH named AS (
    SELECT r.buyer_id, r.event_id FROM {_ROWS} AS r (buyer_id text, event_id text)
    UNION SELECT r.buyer_id, r.retracts FROM {_ROWS} AS r (buyer_id text, retracts text) WHERE r.retracts IS NOT NULL),
touched AS (
    SELECT DISTINCT e.buyer_id, e.kind, e.order_id FROM named n
        JOIN buyer_event e ON e.lane = %(lane)s AND e.buyer_id = n.buyer_id AND e.event_id = n.event_id
    WHERE e.retracts IS NULL AND e.order_id IS NOT NULL AND e.kind IN ({ONCE_PER_ORDER})),
standing AS (
    SELECT e.buyer_id, e.event_id, e.counts_for_order, e.entry, t.kind, t.order_id, NOT EXISTS (
        SELECT 1 FROM buyer_event r
        WHERE r.lane = %(lane)s AND r.buyer_id = e.buyer_id AND r.retracts = e.event_id) AS stands
    FROM touched t JOIN buyer_event e ON e.lane = %(lane)s AND e.buyer_id = t.buyer_id AND e.kind = t.kind
        AND e.order_id = t.order_id AND e.retracts IS NULL AND e.kind IN ({ONCE_PER_ORDER})
        AND e.order_id IS NOT NULL),
wanted AS (
    SELECT s.*, s.stands AND row_number() OVER (
        PARTITION BY s.buyer_id, s.kind, s.order_id ORDER BY s.stands DESC, s.entry) = 1 AS counts
    FROM standing s),
moved AS (
    UPDATE buyer_event e SET counts_for_order = w.counts
    FROM wanted w
    WHERE e.lane = %(lane)s AND e.buyer_id = w.buyer_id AND e.event_id = w.event_id AND w.counts <> w.counts_for_order
    RETURNING e.buyer_id, e.kind, (e.at AT TIME ZONE %(time_zone)s)::date AS day, e.amount_minor,
        coalesce(e.currency, '') AS currency, CASE WHEN e.counts_for_order THEN 1 ELSE -1 END AS sign)
INSERT INTO buyer_day (lane, buyer_id, kind, day, currency, events, amount_minor)
SELECT %(lane)s, buyer_id, kind, day, currency, sum(sign), sum(sign * amount_minor)
FROM moved GROUP BY buyer_id, kind, day, currency
ON CONFLICT (lane, buyer_id, kind, day, currency) DO UPDATE
SET events = buyer_day.events + excluded.events, amount_minor = buyer_day.amount_minor + excluded.amount_minor
""")

_EVENTS_OF = statement("""
SELECT event_id FROM buyer_event
WHERE lane = %(lane)s AND buyer_id = %(buyer_id)s AND event_id IN (
    SELECT event_id FROM jsonb_to_recordset(%(rows)s::jsonb) AS r (event_id text))
""")

STORE_RESPONSE = statement("""
INSERT INTO idempotency (lane, key_id, route, buyer_id, key, body_hash, status, answer, dictionary_id, answered_at)
VALUES (%(lane)s, %(key_id)s, %(route)s, %(buyer_id)s, %(key)s, %(body_hash)s, %(status)s, %(answer)s,
    %(dictionary_id)s, %(answered_at)s)
""")

_encode = msgspec.json.Encoder().encode
_ONCE = frozenset(facts.ONCE_PER_ORDER)


def calls(snapshot: OrderSnapshot, changes: Sequence[c.Change], time_zone: str) -> list[BatchCall]:
    """The calls for a plan, in the order in which its kinds of change first appear."""
    by_kind: dict[type, list[c.Change]] = {}
    for change in changes:
        by_kind.setdefault(type(change), []).append(change)
    common: dict[str, Value] = {
        "lane": snapshot.order.lane,
        "order_id": snapshot.order.order_id,
        "buyer_id": snapshot.order.buyer_id,
        "time_zone": time_zone,
        "trace_parent": current_trace_parent(),
    }
    made: list[BatchCall] = []
    for kind, rows in by_kind.items():
        if kind in BY_ROW:
            made += [call_of(row, common) for row in rows]
            continue
        if isinstance(rows[0], c.RecordBuyerEvent) and len(rows) == 1 and (plain := plain_event(rows[0], common)):
            made.append(plain)
            continue
        params = {**common, "rows": _encode(rows).decode()}
        made.append((STATEMENTS[kind], params))
        if any(isinstance(row, c.RecordBuyerEvent) and row.kind in _ONCE for row in rows):
            made.append((ONE_PER_ORDER, params))
    if c.UnitsLeft in by_kind:
        made.append((ALL_LEFT, common))
    return made


async def record_buyer_events(
    connection: Connection, buyer_id: str, events: Sequence[c.RecordBuyerEvent], time_zone: str
) -> frozenset[str]:
    """Append one buyer's events under the buyer's lock and commit; returns the ids of those that were new."""
    params: dict[str, Value] = {
        "lane": lane_of(buyer_id),
        "buyer_id": buyer_id,
        "time_zone": time_zone,
        "now": events[0].recorded_at,
        "rows": _encode(events).decode(),
    }
    record = (STATEMENTS[c.RecordBuyerEvent], ONE_PER_ORDER)
    steps = (BEGIN, ENSURE_BUYER, LOCK_KNOWN_BUYER, BEGIN_HISTORY_OF_BUYER, _EVENTS_OF, *record, _EVENTS_OF, COMMIT)
    _, _, _, _, before, _, _, after, _ = await run_batch(connection, [(step, params) for step in steps])
    known, stand = (frozenset((name or b"").decode() for (name,) in rows) for rows in (before, after))
    return stand - known
