"""Everything that is stored about one buyer, as JSON values that a person can read."""

from __future__ import annotations

from base64 import b64decode
from collections.abc import Mapping
from typing import LiteralString

import msgspec

from jitui.adapters.postgres.answers import restored
from jitui.adapters.postgres.pool import Connection
from jitui.ids import lane_of


def _of_order(table: LiteralString, order: LiteralString) -> LiteralString:
    return f"""
(SELECT coalesce(jsonb_agg(to_jsonb(x) - '{{lane,order_id}}'::text[] ORDER BY {order}), '[]') FROM {table} x
 WHERE x.lane = o.lane AND x.order_id = o.order_id)
"""


def _of_ticket(table: LiteralString, order: LiteralString) -> LiteralString:
    return f"""
(SELECT coalesce(jsonb_agg(to_jsonb(x) - '{{lane,order_id,ticket_id}}'::text[] ORDER BY {order}), '[]') FROM {table} x
 WHERE x.lane = t.lane AND x.ticket_id = t.ticket_id)
"""


_REFUNDS: LiteralString = """
(SELECT coalesce(jsonb_agg(to_jsonb(r) - '{lane,order_id,ticket_id,leased_until}'::text[] || jsonb_build_object(
        'attempts', (SELECT coalesce(jsonb_agg(to_jsonb(a) - '{lane,order_id,refund_id}'::text[]
                                               ORDER BY a.attempt_no), '[]')
                     FROM refund_attempt a WHERE a.lane = r.lane AND a.refund_id = r.refund_id))
    ORDER BY r.queued_at, r.refund_id), '[]')
 FROM refund r WHERE r.lane = t.lane AND r.ticket_id = t.ticket_id)
"""

_TICKETS: LiteralString = f"""
(SELECT coalesce(jsonb_agg(to_jsonb(t) - '{{lane,order_id,buyer_id}}'::text[] || jsonb_build_object(
        'lines', {_of_ticket("ticket_line", "x.line_id")},
        'timeline', {_of_ticket("ticket_event", "x.seq")},
        'decisions', {_of_ticket("decision", "x.decided_at")},
        'later_decisions', {_of_ticket("later_decision", "x.decided_at")},
        'incidents', {_of_ticket("incident", "x.opened_at")},
        'incident_log', (
            SELECT coalesce(jsonb_agg(to_jsonb(e) - '{{lane,order_id}}'::text[] ORDER BY e.incident_id, e.seq), '[]')
            FROM incident_entry e JOIN incident i ON i.lane = e.lane AND i.incident_id = e.incident_id
            WHERE i.lane = t.lane AND i.ticket_id = t.ticket_id),
        'refunds', {_REFUNDS})
    ORDER BY t.requested_at, t.ticket_id), '[]')
 FROM ticket t WHERE t.lane = o.lane AND t.order_id = o.order_id)
"""

_ORDERS: LiteralString = f"""
SELECT coalesce(jsonb_agg(to_jsonb(o) - '{{lane,buyer_id}}'::text[] || jsonb_build_object(
        'lines', {_of_order("order_line", "x.position")},
        'payments', {_of_order("tender", "x.tender_id")},
        'funding', {_of_order("funding", "x.funder")},
        'shipments', {_of_order("shipment", "x.recorded_at")},
        'disputes', {_of_order("dispute", "x.opened_at")},
        'ledger', {_of_order("ledger", "x.posted_at, x.posting")},
        'events', (
            SELECT coalesce(jsonb_agg(to_jsonb(x) - '{{lane,order_id,buyer_id,change_id}}'::text[]
                                      ORDER BY x.change_id), '[]')
            FROM change x WHERE x.lane = o.lane AND x.order_id = o.order_id),
        'tasks', (SELECT coalesce(jsonb_agg(to_jsonb(x) - 'order_id' ORDER BY x.opened_at), '[]')
                  FROM task x WHERE x.order_id = o.order_id),
        'tickets', {_TICKETS})
    ORDER BY o.placed_at, o.order_id), '[]')
FROM orders o WHERE o.lane = %(lane)s AND o.buyer_id = %(buyer_id)s
"""

_PARTS: Mapping[str, LiteralString] = {
    "buyer": """
SELECT to_jsonb(b) - '{lane,erased}'::text[] FROM buyer b WHERE lane = %(lane)s AND buyer_id = %(buyer_id)s
""",
    "pseudonym": """
SELECT to_jsonb(pseudonym) FROM buyer_pseudonym WHERE lane = %(lane)s AND buyer_id = %(buyer_id)s
""",
    "list": """
SELECT to_jsonb(s) - '{lane,buyer_id}'::text[] FROM selection s WHERE lane = %(lane)s AND buyer_id = %(buyer_id)s
""",
    "list_proposed": """
SELECT to_jsonb(s) - '{lane,buyer_id}'::text[] FROM selection_proposed s
WHERE lane = %(lane)s AND buyer_id = %(buyer_id)s
""",
    "restrictions": """
SELECT coalesce(jsonb_agg(to_jsonb(r) - '{lane,buyer_id}'::text[] ORDER BY starts_at), '[]')
FROM restriction r WHERE lane = %(lane)s AND buyer_id = %(buyer_id)s
""",
    "appeals": """
SELECT coalesce(jsonb_agg(to_jsonb(a) - '{lane,buyer_id}'::text[] ORDER BY opened_at), '[]')
FROM appeal a WHERE lane = %(lane)s AND buyer_id = %(buyer_id)s
""",
    "notices": """
SELECT coalesce(jsonb_agg(to_jsonb(n) - '{lane,recipient,recipient_id,claim_id}'::text[] ORDER BY queued_at), '[]')
FROM notice n WHERE lane = %(lane)s AND recipient = 'buyer' AND recipient_id = %(buyer_id)s
""",
    "notice_preferences": """
SELECT to_jsonb(p) - '{lane,recipient,recipient_id}'::text[] FROM notice_preference p
WHERE lane = %(lane)s AND recipient = 'buyer' AND recipient_id = %(buyer_id)s
""",
    "history": """
SELECT coalesce(jsonb_agg(to_jsonb(e) - '{lane,buyer_id,entry,counts_for_order}'::text[] ORDER BY entry), '[]')
FROM buyer_event e WHERE lane = %(lane)s AND buyer_id = %(buyer_id)s
""",
    "history_by_day": """
SELECT coalesce(jsonb_agg(to_jsonb(d) - '{lane,buyer_id}'::text[] ORDER BY day, kind), '[]')
FROM buyer_day d WHERE lane = %(lane)s AND buyer_id = %(buyer_id)s
""",
    "identity_links": """
SELECT coalesce(jsonb_agg(to_jsonb(i) - '{lane,buyer_id,linked}'::text[] ORDER BY kind, hash), '[]')
FROM identity_link i WHERE lane = %(lane)s AND buyer_id = %(buyer_id)s
""",
    "cluster": """
SELECT coalesce(jsonb_agg(to_jsonb(m) - '{lane,buyer_id}'::text[] ORDER BY from_at), '[]')
FROM cluster_member m WHERE lane = %(lane)s AND buyer_id = %(buyer_id)s
""",
    "event_names": """
SELECT coalesce(jsonb_agg(event_name ORDER BY event_name), '[]') FROM event_directory WHERE buyer_id = %(buyer_id)s
""",
    "orders": _ORDERS,
    "stored_responses": """
SELECT coalesce(jsonb_agg(jsonb_build_object('route', route, 'key', key, 'status', status, 'answered_at', answered_at,
        'answer', translate(encode(answer, 'base64'), E'\\n', ''), 'dictionary', (
            SELECT translate(encode(d.content, 'base64'), E'\\n', '') FROM answer_dictionary d
            WHERE d.dictionary_id = i.dictionary_id)) ORDER BY answered_at), '[]')
FROM idempotency i WHERE lane = %(lane)s AND buyer_id = %(buyer_id)s
""",
    "accounts": """
SELECT coalesce(jsonb_agg(jsonb_build_object('name', p.name, 'display_name', p.display_name, 'about', p.about,
        'email', p.email, 'openid_issuer', p.openid_issuer, 'openid_subject', p.openid_subject,
        'created_at', p.created_at, 'disabled_at', p.disabled_at, 'last_signed_in_at', p.last_signed_in_at,
        'second_factor', p.totp_seed IS NOT NULL, 'sessions', (
            SELECT coalesce(jsonb_agg(jsonb_build_object('started_at', s.started_at, 'expires_at', s.expires_at,
                                                         'address', s.address, 'browser', s.agent)), '[]')
            FROM console_session s WHERE s.name = p.name)) ORDER BY p.name), '[]')
FROM console_person p WHERE role = 'buyer' AND subject_id = %(buyer_id)s
""",
    "api_keys": """
SELECT coalesce(jsonb_agg(to_jsonb(k) - '{secret_hash,subject_id}'::text[] ORDER BY created_at), '[]')
FROM api_key k WHERE scope = 'buyer' AND subject_id = %(buyer_id)s
""",
    "audit_log": """
SELECT coalesce(jsonb_agg(jsonb_build_object('number', e.number, 'at', e.at, 'actor', e.actor, 'action', e.action,
        'subject', e.subject, 'detail', e.detail::jsonb) ORDER BY e.number), '[]')
FROM audit_event e WHERE EXISTS (
    SELECT 1 FROM (
        SELECT pseudonym FROM buyer_pseudonym WHERE lane = %(lane)s AND buyer_id = %(buyer_id)s
        UNION SELECT name FROM console_person WHERE role = 'buyer' AND subject_id = %(buyer_id)s
        UNION SELECT key_id FROM api_key WHERE scope = 'buyer' AND subject_id = %(buyer_id)s
        UNION SELECT restriction_id::text FROM restriction WHERE lane = %(lane)s AND buyer_id = %(buyer_id)s
        UNION SELECT appeal_id::text FROM appeal WHERE lane = %(lane)s AND buyer_id = %(buyer_id)s
        UNION SELECT %(buyer_id)s) told (name)
    WHERE told.name IN (e.actor, e.subject)
       OR jsonb_path_exists(e.detail::jsonb, '$.** ? (@ == $name)', jsonb_build_object('name', told.name)))
""",
}


async def read_all(connection: Connection, buyer_id: str) -> Mapping[str, object]:
    """Each part by its name; what there is none of is an empty list, or null."""
    params = {"lane": lane_of(buyer_id), "buyer_id": buyer_id}
    found: dict[str, object] = {"buyer_id": buyer_id}
    for name, query in _PARTS.items():
        rows = await (await connection.execute(f"SELECT x::text FROM ({query}) AS part (x)", params)).fetchall()
        found[name] = msgspec.json.decode(str(rows[0][0])) if rows and rows[0][0] is not None else None
    stored = msgspec.convert(found["stored_responses"], list[dict[str, object]])
    return {**found, "stored_responses": [_readable(one) for one in stored]}


def _readable(stored: dict[str, object]) -> dict[str, object]:
    """A stored response with its answer as it was sent."""
    packed, dictionary = str(stored["answer"]), stored.pop("dictionary")
    body = restored(b64decode(packed), None if dictionary is None else b64decode(str(dictionary)))
    return {**stored, "answer": body.decode()}
