"""The statements that lock and read an order snapshot and the decision inputs.

Every statement names its lane. A row is one JSON value that is decoded directly into the values of the core, whose
fields have the names of the columns.
"""

from __future__ import annotations

from typing import LiteralString
from uuid import UUID

import msgspec

from jitui.adapters.postgres.batch import BatchCall, Value, statement
from jitui.adapters.postgres.buyer_history import PAST_RULES, WINDOWS
from jitui.adapters.postgres.clusters import CLUSTER_OF_ROW
from jitui.aftersales.model.snapshot import OrderSnapshot
from jitui.aftersales.ports import (
    AttemptRef,
    DecisionInputs,
    DecisionQuery,
    IncidentRef,
    KnownPayment,
    OrderRef,
    PaymentName,
    Ref,
    RefundRef,
    TicketRef,
)

# How each kind of reference finds its order: by columns that never change, so they can be read without a lock.
_BY_ORDER: LiteralString = "%(id)s"
_BY_TICKET: LiteralString = "(SELECT order_id FROM ticket WHERE lane = %(lane)s AND ticket_id = %(id)s)"
_BY_REFUND: LiteralString = "(SELECT order_id FROM refund WHERE lane = %(lane)s AND refund_id = %(id)s)"
_BY_INCIDENT: LiteralString = "(SELECT order_id FROM incident WHERE lane = %(lane)s AND incident_id = %(id)s)"
_BY_ATTEMPT: LiteralString = "(SELECT order_id FROM refund_attempt WHERE lane = %(lane)s AND attempt_id = %(id)s)"

# A request whose Idempotency-Key is in use by another request must not wait for that request's locks. The lock includes
# the buyer: the same key for another buyer is another key.
_UNLESS_IN_FLIGHT: LiteralString = "current_setting('jitui.key_is_mine', true) IS DISTINCT FROM 'false'"


def _buyer_of(locator: LiteralString) -> LiteralString:
    return f"(SELECT buyer_id FROM orders WHERE lane = %(lane)s AND order_id = {locator})"


def _try_key(locator: LiteralString) -> LiteralString:
    return f"""
SELECT set_config('jitui.key_is_mine', coalesce(
    pg_try_advisory_xact_lock(hashtextextended({_buyer_of(locator)}, %(lock)s::bigint)), true)::text, true)
"""


def _stored_response(locator: LiteralString) -> LiteralString:
    return f"""
SELECT json_build_object('status', status, 'answer', encode(answer, 'base64'), 'body_hash', encode(body_hash, 'base64'),
                         'answered_at', answered_at, 'dictionary', (
    SELECT encode(d.content, 'base64') FROM answer_dictionary d WHERE d.dictionary_id = i.dictionary_id))::text
FROM idempotency i
WHERE lane = %(lane)s AND key_id = %(key_id)s AND route = %(route)s AND buyer_id = {_buyer_of(locator)}
  AND key = %(key)s
"""


def _lock_buyer(locator: LiteralString) -> LiteralString:
    return (
        f"SELECT 1 FROM buyer WHERE lane = %(lane)s AND buyer_id = {_buyer_of(locator)} "
        f"AND {_UNLESS_IN_FLIGHT} FOR UPDATE"
    )


def _lock_order(locator: LiteralString) -> LiteralString:
    return f"SELECT 1 FROM orders WHERE lane = %(lane)s AND order_id = {locator} AND {_UNLESS_IN_FLIGHT} FOR UPDATE"


# The line or its category as it is now, one that says *customised* or *virtual* overrides the other. False requires
# that one says no and neither says yes (R2, I5).
_LINES: LiteralString = """
(SELECT coalesce(json_agg(to_jsonb(x) || jsonb_build_object(
    'customised', CASE WHEN x.customised OR c.customised THEN true ELSE coalesce(x.customised, c.customised) END,
    'virtual', CASE WHEN x.virtual OR c.virtual THEN true ELSE coalesce(x.virtual, c.virtual) END
    ) ORDER BY x.position), '[]')
FROM order_line x LEFT JOIN category c ON c.category_id = x.category_id
WHERE x.lane = o.lane AND x.order_id = o.order_id)
"""


# For an order as row `o`: the buyer's history has a completion of it that was not taken back.
COMPLETED_BY_EVENT: LiteralString = """
EXISTS (
    SELECT 1 FROM buyer_event e
    WHERE e.lane = %(lane)s AND e.buyer_id = o.buyer_id AND e.order_id = o.order_id AND e.kind = 'order_completed'
      AND e.retracts IS NULL
      AND NOT EXISTS (SELECT 1 FROM buyer_event r
                      WHERE r.lane = %(lane)s AND r.buyer_id = o.buyer_id AND r.retracts = e.event_id))
"""


INCIDENT_ROW: LiteralString = """
to_jsonb(i) || jsonb_build_object('contest', (
    SELECT to_jsonb(k) FROM complaint k WHERE k.incident_id = i.incident_id ORDER BY k.made_at DESC LIMIT 1))
"""
"""An incident as row `i`, with its latest contest."""

# Only a command that is about an incident reads it.
_INCIDENT: LiteralString = f"""
(SELECT {INCIDENT_ROW} FROM incident i WHERE i.lane = %(lane)s AND i.incident_id = %(id)s)
"""

# What is learnt of an attempt may open, or end, the advance of its refund.
_ADVANCE: LiteralString = f"""
(SELECT {INCIDENT_ROW} FROM refund_attempt a
 JOIN incident i ON i.lane = a.lane AND i.refund_id = a.refund_id AND i.kind = 'platform_advance'
 WHERE a.lane = %(lane)s AND a.attempt_id = %(id)s)
"""


# The order of rows does not depend on the database's locale, and is that of `aftersales.apply`.
def _read_order(locator: LiteralString, beside: LiteralString = "") -> LiteralString:
    return f"""
SELECT json_build_object(
    'order', to_json(o),
    'buyer', to_json(b),
    'lines', {_LINES},
    'tenders', {_rows("tender", 'x.tender_id COLLATE "C"')},
    'funding', {_rows("funding", "x.funder")},
    'shipments', {_rows("shipment", "x.recorded_at, x.shipment_id")},
    'tickets', {_rows("ticket", "x.requested_at, x.ticket_id")},
    'ticket_lines', {_rows("ticket_line", 'x.ticket_id, x.line_id COLLATE "C"')},
    'timeline', {_rows("ticket_event", "x.ticket_id, x.seq")},
    'refunds', {_rows("refund", "x.queued_at, x.refund_id")},
    'attempts', {_rows("refund_attempt", "x.refund_id, x.attempt_no")},
    'disputes', {_rows("dispute", 'x.opened_at, x.dispute_id COLLATE "C"')},
    'completed_by_event', {COMPLETED_BY_EVENT}{beside}
)::text
FROM orders o JOIN buyer b ON b.lane = o.lane AND b.buyer_id = o.buyer_id
WHERE o.lane = %(lane)s AND o.order_id = {locator}
"""


def _own_usage(cap: LiteralString, of: LiteralString) -> LiteralString:
    return f"""(
        SELECT CASE WHEN NOT o.forgotten THEN json_build_object('approvals', count(*), 'amount_minor',
                                 coalesce(sum(t.amount_minor) FILTER (WHERE t.currency = %({of}currency)s), 0)::bigint)
               END
        FROM ticket t
        WHERE t.lane = %(lane)s AND t.buyer_id = o.buyer_id AND t.approved_by = 'instant_refund'
          AND t.approved_at > %({of}{cap}_cap_from)s::timestamptz)"""


# Approvals count in whatever currency they were, amounts in the policy's alone. `of` begins the parameters' names.
def _usage(
    buyer: LiteralString,
    shop: LiteralString,
    platform: LiteralString,
    categories: LiteralString,
    cluster: LiteralString,
    of: LiteralString = "",
) -> LiteralString:
    return f"""
    '{buyer}', {_own_usage("buyer", of)},
    '{cluster}', CASE WHEN o.cluster_id IS NULL THEN {_own_usage("cluster", of)}
                      ELSE {_bucket_usage("'cluster'", "o.cluster_id::text", "cluster", of)} END,
    '{shop}', {_bucket_usage("'shop'", "o.shop_id", "shop", of)},
    '{platform}', {_bucket_usage("'platform'", "''", "platform", of)},
    '{categories}', (
        SELECT coalesce(json_object_agg(x.ref, json_build_object('approvals', x.approvals,
                                                                 'amount_minor', x.amount_minor)), '{{}}')
        FROM (
            SELECT u.ref, sum(u.approvals)::bigint AS approvals,
                coalesce(sum(u.amount_minor) FILTER (WHERE u.currency = %({of}currency)s), 0)::bigint AS amount_minor
            FROM usage_bucket u
            WHERE u.scope = 'category' AND u.ref IN (SELECT p.ref FROM places p WHERE p.scope = 'category')
              AND u.bucket_seconds = %({of}category_bucket_seconds)s::integer
              AND u.bucket > %({of}category_cap_from)s::timestamptz - make_interval(secs => u.bucket_seconds)
            GROUP BY u.ref) x
        WHERE x.approvals <> 0 OR x.amount_minor <> 0)"""


def _bucket_usage(scope: LiteralString, ref: LiteralString, cap: LiteralString, of: LiteralString) -> LiteralString:
    return f"""(
        SELECT json_build_object('approvals', coalesce(sum(u.approvals), 0)::bigint,
                                 'amount_minor', coalesce(sum(u.amount_minor)
                                     FILTER (WHERE u.currency = %({of}currency)s), 0)::bigint)
        FROM usage_bucket u
        WHERE u.scope = {scope} AND u.ref = {ref} AND u.bucket_seconds = %({of}{cap}_bucket_seconds)s::integer
          AND u.bucket > %({of}{cap}_cap_from)s::timestamptz - make_interval(secs => u.bucket_seconds))"""


# The age of usage is measured by the database's clock alone, and converted to the caller's clock: no other machine's
# clock can make old usage look fresh.
_INPUTS_OF: LiteralString = (
    """
SELECT json_build_object(
    'windows', (
"""
    + WINDOWS
    + """),
    'history', (SELECT coalesce(json_agg(to_json(h)), '[]') FROM history_record h),
    'past_rules', ("""
    + PAST_RULES
    + """),
    'restricted', CASE WHEN EXISTS (
        SELECT 1 FROM restriction r
        WHERE r.lane = %(lane)s AND r.buyer_id = o.buyer_id AND r.lifted_at IS NULL
          AND r.starts_at <= %(now)s::timestamptz
          AND (r.ends_at IS NULL OR r.ends_at > %(now)s::timestamptz)) THEN true
        WHEN NOT o.forgotten THEN false END,
    'cluster', """
    + CLUSTER_OF_ROW
    + """,
    'selection', (SELECT verdict FROM selection s WHERE s.lane = %(lane)s AND s.buyer_id = o.buyer_id),
    'coverage', (
        SELECT coalesce(json_agg(to_json(c)), '[]') FROM coverage c
        WHERE (c.scope, lower(normalize(c.ref, NFKC))) IN (
            SELECT p.scope, lower(normalize(p.ref, NFKC)) FROM places p)),
    'pauses', (
        SELECT coalesce(json_agg(to_json(c)), '[]') FROM (
            SELECT scope, ref, reason FROM pause c
            WHERE (c.scope, lower(normalize(c.ref, NFKC))) IN (
                SELECT p.scope, lower(normalize(p.ref, NFKC)) FROM places p)
              AND (c.ends_at IS NULL OR c.ends_at > %(now)s::timestamptz)
            UNION ALL
            -- A restored database has lost shipments and history: nothing is approved at once until it is accepted.
            SELECT 'platform', '', 'payouts are held' WHERE NOT payouts_allowed()) c),
    'paused_scopes', (
        SELECT coalesce(json_agg(s.scope), '[]') FROM (VALUES ('region'), ('category')) s (scope)
        WHERE EXISTS (SELECT 1 FROM pause c WHERE c.scope = s.scope
                        AND (c.ends_at IS NULL OR c.ends_at > %(now)s::timestamptz))),
    'uncovered_scopes', (
        SELECT coalesce(json_agg(s.scope), '[]') FROM (VALUES ('category')) s (scope)
        WHERE EXISTS (SELECT 1 FROM coverage c WHERE c.scope = s.scope AND NOT c.covered)),
    """
    + _usage("buyer_usage", "shop_usage", "platform_usage", "category_usage", "cluster_usage")
    + """,
    'usage_as_of', (
        SELECT CASE WHEN r.by_database_clock THEN %(now)s::timestamptz - (clock_timestamp() - r.as_of) ELSE r.as_of END
        FROM roll_up r WHERE r.name = 'usage'),
    'shop_days_as_of', (SELECT as_of FROM roll_up WHERE name = 'shop_day')"""
)

_OF_ORDER: LiteralString = """
)::text
FROM asked o
"""

# The parts of a payment on other orders; all orders of a buyer are in one lane, under the buyer's lock.
READ_PAYMENT = statement("""
SELECT json_build_object(
    'buyer_id', (SELECT buyer_id FROM payment_directory
                 WHERE provider = %(provider)s AND payment_id = %(payment_id)s),
    'parts', count(*), 'parts_minor', coalesce(sum(captured_minor), 0)::bigint,
    'total_minor', max(payment_total_minor), 'currency', min(currency))::text
FROM tender
WHERE lane = %(lane)s AND provider = %(provider)s AND payment_id = %(payment_id)s AND order_id <> %(order_id)s
""")

# One row, so that nothing of the order, the buyer and the cluster is looked up twice. `forgotten`: an erasure took
# restrictions and requests away that may still count: unknown (I5). `cluster_id`: NULL for who is in none.
_ASKED: LiteralString = """
WITH asked AS MATERIALIZED (
    SELECT o.buyer_id, o.shop_id, b.region,
        coalesce(b.history_from > %(now)s::timestamptz - interval '365 days', false) AS forgotten,
        s.cluster_id, s.size AS cluster_size, s.other_restricted
    FROM orders o
        LEFT JOIN buyer b ON b.lane = %(lane)s AND b.buyer_id = o.buyer_id
        LEFT JOIN cluster_state s ON s.lane = %(lane)s AND s.buyer_id = o.buyer_id
    WHERE o.lane = %(lane)s AND o.order_id = %(order_id)s),
places (scope, ref) AS (
    SELECT 'platform', ''
    UNION ALL SELECT 'shop', shop_id FROM asked
    UNION ALL SELECT 'region', region FROM asked
    UNION ALL SELECT p.scope, p.ref
              FROM order_line l,
                  LATERAL (VALUES ('item', l.item_id), ('category', l.category_id)) AS p (scope, ref)
              WHERE l.lane = %(lane)s AND l.order_id = %(order_id)s
)
"""
READ_INPUTS = statement(_ASKED + _INPUTS_OF + _OF_ORDER)

READ_INPUTS_BESIDE = statement(
    _ASKED
    + _INPUTS_OF
    + ", 'usage_beside', json_build_object("
    + _usage("buyer", "shop", "platform", "categories", "cluster", "beside_")
    + ")"
    + _OF_ORDER
)
"""Reads the usage within the caps of a second policy too."""

_FILE = msgspec.json.Decoder(OrderSnapshot)
_INPUTS = msgspec.json.Decoder(DecisionInputs)
_PAYMENT = msgspec.json.Decoder(KnownPayment)


def decode_snapshot(text: bytes) -> OrderSnapshot:
    """The snapshot from its JSON."""
    return _FILE.decode(text)


def decode_inputs(text: bytes) -> DecisionInputs:
    """The decision inputs from their JSON."""
    return _INPUTS.decode(text)


def decode_payment(text: bytes) -> KnownPayment:
    """The payment on other orders, from its JSON."""
    return _PAYMENT.decode(text)


def payment_params(lane: int, order_id: str, payment: PaymentName) -> dict[str, Value]:
    """The parameters of READ_PAYMENT."""
    return {"lane": lane, "order_id": order_id, "provider": payment.provider, "payment_id": payment.payment_id}


def ref_params(ref: Ref) -> dict[str, Value]:
    """The parameters of the locking and reading statements."""
    return {"lane": ref.lane, "id": _identity(ref)}


def history_params(lane: int, query: DecisionQuery) -> dict[str, Value]:
    """The parameters of the fragments in `buyer_history`."""
    return {
        "lane": lane,
        "now": query.now,
        "ahead_from": query.ahead_from,
        "currency": query.currency,
        "windows": msgspec.json.encode(query.windows).decode(),
        "policy_id": query.policy_id,
        "rule_windows": msgspec.json.encode(query.rule_windows).decode(),
        "time_zone": query.time_zone,
    }


def read_inputs(lane: int, order_id: str, query: DecisionQuery) -> BatchCall:
    """The statement that reads the decision inputs; for a cap that the policy does not set, nothing is read."""
    params = {**history_params(lane, query), "order_id": order_id, **_cap_params(query, "")}
    if query.beside is None:
        return READ_INPUTS, params
    return READ_INPUTS_BESIDE, params | _cap_params(query.beside, "beside_")


def _cap_params(query: DecisionQuery, of: str) -> dict[str, Value]:
    return {
        f"{of}currency": query.currency,
        f"{of}buyer_cap_from": query.buyer_cap_from or query.now,
        f"{of}shop_cap_from": query.shop_cap_from or query.now,
        f"{of}shop_bucket_seconds": query.shop_cap_bucket_seconds,
        f"{of}category_cap_from": query.category_cap_from or query.now,
        f"{of}category_bucket_seconds": query.category_cap_bucket_seconds,
        f"{of}cluster_cap_from": query.cluster_cap_from or query.now,
        f"{of}cluster_bucket_seconds": query.cluster_cap_bucket_seconds,
        f"{of}platform_cap_from": query.platform_cap_from or query.now,
        f"{of}platform_bucket_seconds": query.platform_cap_bucket_seconds,
    }


def _identity(ref: Ref) -> str | UUID:
    match ref:
        case OrderRef():
            return ref.order_id
        case TicketRef():
            return ref.ticket_id
        case RefundRef():
            return ref.refund_id
        case AttemptRef():
            return ref.attempt_id
        case IncidentRef():
            return ref.incident_id


def _rows(table: LiteralString, order: LiteralString) -> LiteralString:
    return (
        f"(SELECT coalesce(json_agg(to_json(x) ORDER BY {order}), '[]') FROM {table} x "
        "WHERE x.lane = o.lane AND x.order_id = o.order_id)"
    )


_LOCATORS: dict[type, LiteralString] = {
    OrderRef: _BY_ORDER,
    TicketRef: _BY_TICKET,
    RefundRef: _BY_REFUND,
    AttemptRef: _BY_ATTEMPT,
    IncidentRef: _BY_INCIDENT,
}
_BESIDE: dict[type, LiteralString] = {
    IncidentRef: f", 'incident', {_INCIDENT}",
    AttemptRef: f", 'incident', {_ADVANCE}",
}

TRY_KEY = {kind: statement(_try_key(locator)) for kind, locator in _LOCATORS.items()}
"""Takes the lock of an Idempotency-Key, without waiting when another request has it; by the kind of reference."""

STORED_RESPONSE = {kind: statement(_stored_response(locator)) for kind, locator in _LOCATORS.items()}

LOCK_BUYER = {kind: statement(_lock_buyer(locator)) for kind, locator in _LOCATORS.items()}
"""The first lock of every transaction, by the kind of reference."""

LOCK_ORDER = {kind: statement(_lock_order(locator)) for kind, locator in _LOCATORS.items()}
"""The second lock, without which no ticket or refund of the order changes."""

READ_ORDER = {kind: statement(_read_order(locator, _BESIDE.get(kind, ""))) for kind, locator in _LOCATORS.items()}
"""The order snapshot, read in its own statement, so that it sees what was committed while we waited for the locks."""
