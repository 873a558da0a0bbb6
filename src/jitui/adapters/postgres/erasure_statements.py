"""The statements of an erasure, in their order. Each names its lane, and takes the same parameters."""

from __future__ import annotations

from typing import LiteralString

from jitui.adapters.postgres.reading import COMPLETED_BY_EVENT

# Two erasures of one buyer take turns, also where the buyer has no row.
LOCK_ERASURE: LiteralString = "SELECT pg_advisory_xact_lock(hashtextextended(%(buyer_id)s, 7405105))"

LOCK_ORDERS: LiteralString = """
SELECT order_id FROM orders WHERE lane = %(lane)s AND buyer_id = %(buyer_id)s ORDER BY order_id FOR UPDATE
"""

KNOWN: LiteralString = """
SELECT EXISTS (SELECT 1 FROM buyer WHERE lane = %(lane)s AND buyer_id = %(buyer_id)s)
    OR EXISTS (SELECT 1 FROM orders WHERE lane = %(lane)s AND buyer_id = %(buyer_id)s)
    OR EXISTS (SELECT 1 FROM selection WHERE lane = %(lane)s AND buyer_id = %(buyer_id)s)
    OR EXISTS (SELECT 1 FROM selection_proposed WHERE lane = %(lane)s AND buyer_id = %(buyer_id)s)
    OR EXISTS (SELECT 1 FROM restriction WHERE lane = %(lane)s AND buyer_id = %(buyer_id)s)
    OR EXISTS (SELECT 1 FROM idempotency WHERE lane = %(lane)s AND buyer_id = %(buyer_id)s)
    OR EXISTS (SELECT 1 FROM identity_link WHERE lane = %(lane)s AND buyer_id = %(buyer_id)s)
    OR EXISTS (SELECT 1 FROM buyer_pseudonym WHERE lane = %(lane)s AND buyer_id = %(buyer_id)s)
    OR EXISTS (SELECT 1 FROM console_person WHERE role = 'buyer' AND subject_id = %(buyer_id)s)
    OR EXISTS (SELECT 1 FROM api_key WHERE scope = 'buyer' AND subject_id = %(buyer_id)s),
    was_erased(%(lane)s::smallint, %(buyer_id)s)
"""

_OURS: LiteralString = "x.lane = %(lane)s AND x.order_id = ANY (%(orders)s::text[])"

# Tasks about webhooks name an order and say nothing of it.
PENDING: LiteralString = f"""
SELECT 'ticket', x.ticket_id::text, x.order_id, x.expires_at FROM ticket x
WHERE {_OURS} AND (x.state = 'awaiting_merchant' OR x.arbitration ->> 'state' = 'open')
UNION ALL
SELECT 'refund', x.refund_id::text, x.order_id, NULL FROM refund x
WHERE {_OURS} AND x.state <> 'succeeded'
UNION ALL
SELECT 'dispute', x.dispute_id, x.order_id, NULL FROM dispute x
WHERE {_OURS} AND x.state = 'open'
UNION ALL
SELECT 'incident', x.incident_id::text, x.order_id, x.opened_at + %(incident_open)s::interval FROM incident x
WHERE {_OURS} AND x.state = 'open' AND x.opened_at > %(now)s::timestamptz - %(incident_open)s::interval
UNION ALL
SELECT 'incident', x.incident_id::text, x.order_id, greatest(x.contest_until, x.recover_until) FROM incident x
WHERE {_OURS} AND x.state IN ('contested', 'recovering', 'decided')
UNION ALL
SELECT 'task', t.task_id::text, t.order_id, NULL FROM task t
WHERE t.order_id = ANY (%(orders)s::text[]) AND t.state = 'open'
  AND t.kind NOT IN ('webhook_dead_letter', 'webhook_endpoint_paused')
UNION ALL
SELECT 'parcel', x.shipment_id::text, x.order_id, x.recorded_at + %(unfinished)s::interval
FROM shipment x JOIN orders o ON o.lane = x.lane AND o.order_id = x.order_id
WHERE {_OURS} AND x.degree <> 'delivered' AND x.recorded_at > %(now)s::timestamptz - %(unfinished)s::interval
  AND o.completed_at IS NULL AND NOT {COMPLETED_BY_EVENT}
UNION ALL
SELECT 'order', o.order_id, o.order_id, o.placed_at + %(unfinished)s::interval FROM orders o
WHERE o.lane = %(lane)s AND o.order_id = ANY (%(orders)s::text[]) AND o.paid_at IS NOT NULL
  AND o.placed_at > %(now)s::timestamptz - %(unfinished)s::interval
  AND o.completed_at IS NULL AND NOT {COMPLETED_BY_EVENT}
  AND EXISTS (SELECT 1 FROM order_line l WHERE l.lane = o.lane AND l.order_id = o.order_id
              AND l.claimed_quantity + l.shipped_quantity + l.scanned_quantity < l.quantity)
ORDER BY 3, 1, 2
"""

# What makes an order completed is a row of the buyer's history, which goes.
_COMPLETE: LiteralString = f"""
UPDATE orders o SET completed_at = (
    SELECT min(e.at) FROM buyer_event e
    WHERE e.lane = %(lane)s AND e.buyer_id = o.buyer_id AND e.order_id = o.order_id AND e.kind = 'order_completed'
      AND e.retracts IS NULL)
WHERE o.lane = %(lane)s AND o.order_id = ANY (%(orders)s::text[]) AND o.completed_at IS NULL AND {COMPLETED_BY_EVENT}
"""

_NEW_BUYER: LiteralString = """
INSERT INTO buyer (lane, buyer_id, erased, history_from, updated_at)
SELECT %(lane)s, %(new_id)s, true, '9999-01-01T00:00:00Z', coalesce(
    (SELECT updated_at FROM buyer WHERE lane = %(lane)s AND buyer_id = %(buyer_id)s), 'epoch')
"""

_MOVED: tuple[LiteralString, ...] = (
    "UPDATE orders SET buyer_id = %(new_id)s WHERE lane = %(lane)s AND order_id = ANY (%(orders)s::text[])",
    "UPDATE order_directory SET buyer_id = %(new_id)s WHERE order_id = ANY (%(orders)s::text[])",
    """
UPDATE payment_directory d SET buyer_id = %(new_id)s FROM tender t
WHERE t.lane = %(lane)s AND t.order_id = ANY (%(orders)s::text[])
  AND d.provider = t.provider AND d.payment_id = t.payment_id
""",
    "UPDATE cluster_member SET buyer_id = %(new_id)s WHERE lane = %(lane)s AND buyer_id = %(buyer_id)s",
    "UPDATE ticket SET buyer_id = %(new_id)s WHERE lane = %(lane)s AND buyer_id = %(buyer_id)s",
    """
UPDATE ticket_list l SET buyer_id = %(new_id)s FROM ticket t
WHERE t.lane = %(lane)s AND t.buyer_id = %(new_id)s AND l.lane = t.lane AND l.ticket_id = t.ticket_id
""",
    """
UPDATE restriction SET buyer_id = %(new_id)s, reason = '', lift_reason = '', evidence = '{}', text = '{}',
    facts = without_buyers_texts(facts)
WHERE lane = %(lane)s AND buyer_id = %(buyer_id)s
""",
)
"""What stays, under the new id."""

# Before the shipments lose the numbers by which it is found.
_WAYBILLS: LiteralString = f"""
DELETE FROM waybill_directory d USING shipment x
WHERE {_OURS} AND d.waybill = x.waybill AND d.buyer_id = %(buyer_id)s
"""

_DROPPED: tuple[LiteralString, ...] = (
    "DELETE FROM event_directory WHERE buyer_id = %(buyer_id)s",
    "DELETE FROM appeal WHERE lane = %(lane)s AND buyer_id = %(buyer_id)s",
    "DELETE FROM identity_link WHERE lane = %(lane)s AND buyer_id = %(buyer_id)s",
    "DELETE FROM cluster_state WHERE lane = %(lane)s AND buyer_id = %(buyer_id)s",
    "DELETE FROM restriction_check WHERE lane = %(lane)s AND buyer_id = %(buyer_id)s",
    "DELETE FROM buyer_event WHERE lane = %(lane)s AND buyer_id = %(buyer_id)s",
    "DELETE FROM buyer_day WHERE lane = %(lane)s AND buyer_id = %(buyer_id)s",
    "DELETE FROM selection WHERE lane = %(lane)s AND buyer_id = %(buyer_id)s",
    "DELETE FROM selection_proposed WHERE lane = %(lane)s AND buyer_id = %(buyer_id)s",
    "DELETE FROM idempotency WHERE lane = %(lane)s AND buyer_id = %(buyer_id)s",
    """
DELETE FROM webhook_delivery
WHERE lane = %(lane)s AND order_id = ANY (%(orders)s::text[]) AND closed_at IS NOT NULL
""",
    "DELETE FROM notice WHERE lane = %(lane)s AND recipient = 'buyer' AND recipient_id = %(buyer_id)s",
    "DELETE FROM notice_preference WHERE lane = %(lane)s AND recipient = 'buyer' AND recipient_id = %(buyer_id)s",
    "DELETE FROM buyer WHERE lane = %(lane)s AND buyer_id = %(buyer_id)s",
)
"""What goes."""

_EMPTIED: tuple[LiteralString, ...] = (
    f"""
UPDATE ticket_event x SET detail = without_free_text(x.detail),
    actor_id = CASE WHEN x.actor_kind = 'buyer' THEN %(new_id)s ELSE x.actor_id END
WHERE {_OURS}
""",
    f"""
UPDATE ticket x SET assignment = NULL, offer = NULL,
    arbitration = without_free_text(x.arbitration) || '{{"reason": "", "opened_by": ""}}'
        || CASE WHEN x.arbitration ->> 'note' = '' THEN '{{}}' ELSE '{{"note": "Erased."}}'::jsonb END
WHERE {_OURS}
""",
    f"""
UPDATE ticket_list l SET assignment = x.assignment, offer = x.offer, arbitration = x.arbitration FROM ticket x
WHERE {_OURS} AND l.lane = x.lane AND l.ticket_id = x.ticket_id
""",
    f"UPDATE order_line x SET title = '' WHERE {_OURS}",
    f"UPDATE shipment x SET tracking_no = 'erased', waybill = 'erased ' || x.shipment_id WHERE {_OURS}",
    f"""
UPDATE incident x SET evidence = without_free_text(x.evidence), reason = '', reference = '' WHERE {_OURS}
""",
    f"UPDATE incident_entry x SET detail = without_free_text(x.detail) WHERE {_OURS}",
    f"""
UPDATE complaint c SET reason = 'Erased.', answer = CASE WHEN c.answer IS NOT NULL THEN 'Erased.' END
FROM incident x WHERE {_OURS} AND c.incident_id = x.incident_id
""",
    f"UPDATE dispute x SET reason = '' WHERE {_OURS}",
    f"""
UPDATE refund x SET reason = '', settlement = x.settlement || '{{"note": ""}}' WHERE {_OURS}
""",
    f"UPDATE refund_attempt x SET reason = '' WHERE {_OURS}",
    """
UPDATE task SET evidence = without_free_text(evidence), note = CASE WHEN state = 'resolved' THEN 'Erased.' ELSE note END
WHERE order_id = ANY (%(orders)s::text[])
""",
)
"""Free text, and the numbers by which a carrier finds an address."""

# The texts that a platform had sent about the buyer go out of facts and of what was shown of them. Where any went, the
# decision cannot be made again, and says so.
_DECISIONS: tuple[LiteralString, ...] = (
    f"""
UPDATE decision x SET facts = without_buyers_texts(x.facts), read_from = x.read_from - 'registered_at',
    decision = without_buyers_texts(x.decision) || CASE
        WHEN without_buyers_texts(x.facts) = x.facts THEN '{{}}' ELSE '{{"erased": true}}'::jsonb END
WHERE {_OURS}
""",
    # The goods' titles are free text. The hash stays: whoever has kept a copy can show that it is the one.
    f"UPDATE decision x SET receipt = NULL WHERE {_OURS}",
    f"""
UPDATE later_decision x SET facts = without_buyers_texts(x.facts), read_from = x.read_from - 'registered_at',
    decision = without_buyers_texts(x.decision) || CASE
        WHEN without_buyers_texts(x.facts) = x.facts THEN '{{}}' ELSE '{{"erased": true}}'::jsonb END
WHERE {_OURS}
""",
)

# Under the publisher's lock, which gives rows their positions: two who update the same rows would wait for one another.
LOCK_FEED: LiteralString = "SELECT pg_advisory_xact_lock(%(publisher_lock)s)"

_FEED: tuple[LiteralString, ...] = (
    """
UPDATE change SET buyer_pseudonym = make_pseudonym(lane, buyer_id), buyer_id = ''
WHERE lane = %(lane)s AND buyer_id = %(buyer_id)s AND buyer_id <> ''
""",
    f"UPDATE change x SET body = without_free_text(x.body) WHERE {_OURS}",
)

# Keys stay for those that they were rolled from and to, and open nothing.
_SIGNING_IN: tuple[LiteralString, ...] = (
    "DELETE FROM console_person WHERE role = 'buyer' AND subject_id = %(buyer_id)s",
    """
UPDATE api_key SET subject_id = %(new_id)s, label = '', last_used_at = NULL,
    revoked_at = coalesce(revoked_at, %(now)s), revoked_by = coalesce(revoked_by, 'erasure')
WHERE scope = 'buyer' AND subject_id = %(buyer_id)s
""",
)

# Before the log's end, as everybody who signs in or changes a key.
LOCK_SIGNING_IN: tuple[LiteralString, ...] = (
    "SELECT 1 FROM console_person WHERE role = 'buyer' AND subject_id = %(buyer_id)s ORDER BY name FOR UPDATE",
    "SELECT 1 FROM api_key WHERE scope = 'buyer' AND subject_id = %(buyer_id)s ORDER BY key_id FOR UPDATE",
)

_LAST: tuple[LiteralString, ...] = (
    "DELETE FROM buyer_pseudonym WHERE lane = %(lane)s AND buyer_id = %(buyer_id)s",
    """
INSERT INTO erased_buyer (lane, digest, keep_until)
VALUES (%(lane)s, erasure_digest(%(buyer_id)s), %(keep_until)s::date)
ON CONFLICT (lane, digest) DO UPDATE SET keep_until = greatest(erased_buyer.keep_until, excluded.keep_until)
""",
)

# A worker that joins clusters would write the id again that it had read before.
_LOCK_CLUSTERS: LiteralString = "SELECT pg_advisory_xact_lock(7405106)"

# A worker that copies tickets into the list would write the id again that it had read before.
_LOCK_TICKET_LIST: LiteralString = "SELECT pg_advisory_xact_lock(7405107)"

BEFORE_THE_LOG: tuple[LiteralString, ...] = (
    _LOCK_CLUSTERS,
    _LOCK_TICKET_LIST,
    _COMPLETE,
    _NEW_BUYER,
    *_MOVED,
    _WAYBILLS,
    *_EMPTIED,
    *_DECISIONS,
    *_DROPPED,
)
IN_THE_FEED = _FEED
AFTER_THE_LOG = (*_SIGNING_IN, *_LAST)

TICKETS: LiteralString = """
SELECT count(*) FROM ticket WHERE lane = %(lane)s AND buyer_id = %(buyer_id)s
"""

# Rows from before pseudonyms: those that name who signs in as the buyer, the buyer, or one of the buyer's keys with its
# label. What is left has the hash that the erasure's row vouches for.
REDACT: LiteralString = """
WITH theirs AS (
    SELECT name FROM console_person WHERE role = 'buyer' AND subject_id = %(buyer_id)s
    UNION SELECT %(buyer_id)s),
labels AS (SELECT key_id FROM api_key WHERE scope = 'buyer' AND subject_id = %(buyer_id)s),
found AS (
    SELECT e.number FROM audit_event e
    WHERE e.actor IN (SELECT name FROM theirs) OR e.subject IN (SELECT name FROM theirs)
       OR (e.subject IN (SELECT key_id FROM labels) AND e.detail::jsonb ? 'label')
       OR jsonb_path_exists(e.detail::jsonb, '$.** ? (@ == $id)', jsonb_build_object('id', %(buyer_id)s::text)))
UPDATE audit_event e SET detail = '{}', redacted_in = %(number)s,
    actor = CASE WHEN e.actor IN (SELECT name FROM theirs) THEN 'erased' ELSE e.actor END,
    subject = CASE WHEN e.subject IN (SELECT name FROM theirs) THEN 'erased' ELSE e.subject END
FROM found f WHERE e.number = f.number
RETURNING e.number, encode(audit_hash(e.number, e.at, e.actor, e.action, e.subject, e.detail, e.previous_hash), 'hex')
"""
