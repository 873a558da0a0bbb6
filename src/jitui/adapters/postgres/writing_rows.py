"""Changes that are written one by one, each value as a parameter of its own, because nearly every plan has one of them.

PostgreSQL takes longer to turn a JSON object into a row than to insert it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import LiteralString

import msgspec

from jitui.adapters.postgres.batch import BatchCall, Statement, Value, statement
from jitui.aftersales import changes as c
from jitui.aftersales.changes import Change
from jitui.policy import facts

_TICKET: tuple[LiteralString, ...] = (
    *("lane", "ticket_id", "order_id", "buyer_id", "shop_id", "state", "version", "reason", "currency", "amount_minor"),
    *("freight_minor", "funding_returns", "notice", "approved_by", "review_reason", "arm", "on_timeout"),
    *("requested_at", "expires_at", "approved_at", "closed_at", "remind_at", "basis", "advance_up_to_minor"),
)
_DECISION: tuple[LiteralString, ...] = (
    *("ticket_id", "policy_id", "policy_version", "policy_sha256", "outcome", "decided_at", "facts", "decision"),
    *("read_from", "shadow"),
)
_REFUND: tuple[LiteralString, ...] = (
    *("refund_id", "ticket_id", "tender_id", "provider", "payment_id", "amount_minor", "captured_minor", "currency"),
    *("state", "attempt_no", "tries", "due_at", "leased_until", "reason", "queued_at", "closed_at", "may_advance"),
)
_EVENT: tuple[LiteralString, ...] = ("buyer_id", "event_id", "kind", "at", "recorded_at", "amount_minor", "currency")

_CASTS: Mapping[LiteralString, LiteralString] = dict.fromkeys(("ticket_id", "refund_id"), "::uuid") | dict.fromkeys(
    ("funding_returns", "notice", "facts", "decision", "read_from", "shadow"), "::jsonb"
)


def _insert(table: LiteralString, *columns: LiteralString) -> LiteralString:
    named: LiteralString = ", ".join(columns)
    values: LiteralString = ", ".join(f"%({column})s" + _CASTS.get(column, "") for column in columns)
    return f"INSERT INTO {table} ({named}) VALUES ({values})"


OPEN_TICKET = statement(f"""
WITH opened AS ({_insert("ticket", *_TICKET)})
INSERT INTO ticket_line (lane, ticket_id, order_id, line_id, quantity, amount_minor, open)
SELECT %(lane)s, l.ticket_id, %(order_id)s, l.line_id, l.quantity, l.amount_minor, l.open
FROM jsonb_to_recordset(%(lines)s::jsonb)
    AS l (ticket_id uuid, line_id text, quantity bigint, amount_minor bigint, open boolean)
""")

RECORD_DECISION = statement(_insert("decision", "lane", "order_id", *_DECISION, "receipt", "receipt_sha256"))

QUEUE_REFUND = statement(_insert("refund", "lane", "order_id", *_REFUND, "trace_parent"))

# What `writing` does for an event that takes nothing back and that an order may have several times. A retraction that
# arrived before it keeps it out of the roll-up.
RECORD_PLAIN_EVENT = statement("""
WITH new AS (
    INSERT INTO buyer_event (lane, buyer_id, event_id, kind, at, recorded_at, order_id, amount_minor, currency)
    SELECT %(lane)s, e.buyer_id, e.event_id, e.kind, e.at, e.recorded_at, e.order_id, e.amount_minor,
        coalesce(e.currency, CASE WHEN o.buyer_id = e.buyer_id THEN o.currency END)
    FROM (VALUES (%(buyer_id)s::text, %(event_id)s::text, %(kind)s::text, %(at)s::timestamptz,
                  %(recorded_at)s::timestamptz, %(about_order)s::text, %(amount_minor)s::bigint, %(currency)s::text))
            AS e (buyer_id, event_id, kind, at, recorded_at, order_id, amount_minor, currency)
        LEFT JOIN orders o ON o.lane = %(lane)s AND o.order_id = %(about_order)s
        LEFT JOIN buyer b ON b.lane = %(lane)s AND b.buyer_id = %(buyer_id)s
    WHERE o.free_of_charge IS NOT TRUE
      AND (b.history_from > %(at)s::timestamptz) IS NOT TRUE  -- what was before an erasure is not taken in again
    ON CONFLICT (lane, buyer_id, event_id) DO NOTHING
    RETURNING buyer_id, event_id, kind, at, amount_minor, currency),
due AS (INSERT INTO restriction_check (lane, buyer_id) SELECT %(lane)s, buyer_id FROM new
    ON CONFLICT (lane, buyer_id) DO NOTHING)
INSERT INTO buyer_day (lane, buyer_id, kind, day, currency, events, amount_minor)
SELECT %(lane)s, buyer_id, kind, (at AT TIME ZONE %(time_zone)s)::date, coalesce(currency, ''), 1, amount_minor
FROM new
WHERE NOT EXISTS (SELECT 1 FROM buyer_event r
                  WHERE r.lane = %(lane)s AND r.buyer_id = %(buyer_id)s AND r.retracts = %(event_id)s)
ON CONFLICT (lane, buyer_id, kind, day, currency) DO UPDATE
SET events = buyer_day.events + excluded.events, amount_minor = buyer_day.amount_minor + excluded.amount_minor
""")

_ONCE = frozenset(facts.ONCE_PER_ORDER)
_encode = msgspec.json.Encoder().encode


def _values(row: object, columns: tuple[LiteralString, ...]) -> dict[str, Value]:
    return {column: _value(getattr(row, column)) for column in columns}


def _value(value: object) -> Value:
    return _encode(value).decode() if isinstance(value, Mapping) else value  # type: ignore[return-value]  # a column's


def _open_ticket(change: c.OpenTicket) -> dict[str, Value]:
    return {**_values(change.ticket, _TICKET), "lines": _encode(change.lines).decode()}


def _record_decision(change: c.RecordDecision) -> dict[str, Value]:
    receipt = change.receipt
    sent = (None, None) if receipt is None else (receipt.content, receipt.sha256)
    return {**_values(change, _DECISION), "receipt": sent[0], "receipt_sha256": sent[1]}


def _queue_refund(change: c.QueueRefund) -> dict[str, Value]:
    return _values(change.refund, _REFUND)


_ROWS: Mapping[type, tuple[Statement, Callable[..., dict[str, Value]]]] = {
    c.OpenTicket: (OPEN_TICKET, _open_ticket),
    c.RecordDecision: (RECORD_DECISION, _record_decision),
    c.QueueRefund: (QUEUE_REFUND, _queue_refund),
}
BY_ROW = {kind: made for kind, (made, _) in _ROWS.items()}


def call_of(change: Change, common: Mapping[str, Value]) -> BatchCall:
    """The call for a change of one of the kinds in BY_ROW."""
    made, values = _ROWS[type(change)]
    return made, {**common, **values(change)}


def plain_event(change: c.RecordBuyerEvent, common: Mapping[str, Value]) -> BatchCall | None:
    """The call for an event alone; None for one that takes another back, or counts once for its order."""
    if change.retracts is not None or change.kind in _ONCE:
        return None
    return RECORD_PLAIN_EVENT, {**common, **_values(change, _EVENT), "about_order": change.order_id}
