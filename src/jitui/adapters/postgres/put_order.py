"""Writes an order as a platform sends it: directory first, then buyer, order, lines and funding in the buyer's lane."""

from __future__ import annotations

from datetime import datetime

import msgspec

from jitui.adapters.postgres.batch import BEGIN, COMMIT, BatchCall, Value, run_batch, statement
from jitui.adapters.postgres.pool import Connection
from jitui.adapters.postgres.reading import COMPLETED_BY_EVENT
from jitui.adapters.postgres.writing import (
    BEGIN_HISTORY_OF_BUYER,
    ENSURE_BUYER,
    LOCK_KNOWN_BUYER,
    PSEUDONYM,
    STATEMENTS,
)
from jitui.aftersales.changes import LedgerEntry
from jitui.aftersales.commands.put_order import OrderPut, StandingOrder, is_free, plan_order
from jitui.aftersales.outcomes import Refusal, RefusalCode, buyer_erased
from jitui.aftersales.ports import NewOrder, OrderRef, OrderTaken

_STANDING_ORDER = msgspec.json.Decoder(StandingOrder)

_DIRECTORY = statement("""
WITH put AS (
    INSERT INTO order_directory (order_id, lane, buyer_id) VALUES (%(order_id)s, %(lane)s, %(buyer_id)s)
    ON CONFLICT (order_id) DO NOTHING RETURNING buyer_id)
SELECT buyer_id FROM put UNION ALL SELECT buyer_id FROM order_directory WHERE order_id = %(order_id)s LIMIT 1
""")

# Read again under the locks: the order's buyer may have been erased while we waited for the buyer.
_OWNER = statement("""
SELECT d.buyer_id, coalesce(b.erased, false) FROM order_directory d
LEFT JOIN buyer b ON b.lane = d.lane AND b.buyer_id = d.buyer_id WHERE d.order_id = %(order_id)s
""")

# Everything that the plan compares, and the posted funding. INVARIANT: the buyer is locked before the order.
_STANDING = statement(
    """
SELECT json_build_object(
    'shop_id', o.shop_id, 'currency', o.currency, 'placed_at', o.placed_at, 'freight_minor', o.freight_minor,
    'paid', EXISTS (SELECT 1 FROM tender t WHERE t.lane = o.lane AND t.order_id = o.order_id),
    'captured_minor', (SELECT coalesce(sum(t.captured_minor), 0)::bigint FROM tender t
                       WHERE t.lane = o.lane AND t.order_id = o.order_id),
    'stands_on_it', CASE
        WHEN EXISTS (SELECT 1 FROM ticket t WHERE t.lane = o.lane AND t.order_id = o.order_id) THEN 'a ticket'
        WHEN EXISTS (SELECT 1 FROM shipment s WHERE s.lane = o.lane AND s.order_id = o.order_id) THEN 'a shipment'
        WHEN o.completed_at IS NOT NULL OR """
    + COMPLETED_BY_EVENT
    + """ THEN 'the completion' END,
    'lines', (SELECT coalesce(json_agg(to_json(l) ORDER BY l.position), '[]') FROM order_line l
              WHERE l.lane = o.lane AND l.order_id = o.order_id),
    'funding', (SELECT coalesce(json_agg(to_json(f)), '[]') FROM funding f
                WHERE f.lane = o.lane AND f.order_id = o.order_id),
    'booked_minor', (
        SELECT coalesce(json_object_agg(funder, amount_minor), '{}') FROM (
            SELECT substr(CASE WHEN debit LIKE 'subsidy:%%' THEN debit ELSE credit END, 9) AS funder,
                   sum(CASE WHEN debit LIKE 'subsidy:%%' THEN p.amount_minor ELSE -p.amount_minor END) AS amount_minor
            FROM ledger p WHERE p.lane = o.lane AND p.order_id = o.order_id AND p.posting LIKE 'funded%%'
            GROUP BY 1) booked),
    'bookings', (SELECT count(*) FROM ledger p
                 WHERE p.lane = o.lane AND p.order_id = o.order_id AND p.posting LIKE 'funded%%'),
    'categories', (SELECT coalesce(json_object_agg(c.category_id, to_json(c)), '{}') FROM category c
                   WHERE c.category_id IN (SELECT l.category_id FROM order_line l
                                           WHERE l.lane = o.lane AND l.order_id = o.order_id)))::text
FROM orders o WHERE o.lane = %(lane)s AND o.order_id = %(order_id)s
"""
)

_LOCK_ORDER = statement("SELECT 1 FROM orders WHERE lane = %(lane)s AND order_id = %(order_id)s FOR UPDATE")

_CLEAR = statement("""
WITH lines AS (DELETE FROM order_line WHERE lane = %(lane)s AND order_id = %(order_id)s)
DELETE FROM funding WHERE lane = %(lane)s AND order_id = %(order_id)s
""")

_ORDER = statement("""
INSERT INTO orders (lane, order_id, buyer_id, shop_id, currency, freight_minor, hold, placed_at, ship_by,
                    free_of_charge, paid_at)
VALUES (%(lane)s, %(order_id)s, %(buyer_id)s, %(shop_id)s, %(currency)s, %(freight_minor)s, %(hold)s, %(placed_at)s,
        %(ship_by)s, %(free)s::boolean, CASE WHEN %(free)s::boolean THEN %(placed_at)s::timestamptz END)
ON CONFLICT (lane, order_id) DO UPDATE
SET shop_id = excluded.shop_id, currency = excluded.currency, freight_minor = excluded.freight_minor,
    hold = excluded.hold, placed_at = excluded.placed_at, ship_by = excluded.ship_by,
    free_of_charge = excluded.free_of_charge AND NOT EXISTS (
        SELECT 1 FROM tender t WHERE t.lane = orders.lane AND t.order_id = orders.order_id),
    paid_at = coalesce((SELECT min(t.captured_at) FROM tender t
                        WHERE t.lane = orders.lane AND t.order_id = orders.order_id), excluded.paid_at)
""")

# `customised` and `virtual` as the order has them; those of the category are looked up when lines are read (R2).
_LINES = statement("""
INSERT INTO order_line (lane, order_id, line_id, position, sku, item_id, category_id, title, quantity, paid_minor,
                        customised, virtual)
SELECT %(lane)s, %(order_id)s, l.line_id, r.position, l.sku, l.item_id, l.category_id, l.title, l.quantity,
       l.paid_minor, l.customised, l.virtual
FROM jsonb_array_elements(%(lines)s::jsonb) WITH ORDINALITY AS r (line, position),
     jsonb_populate_record(NULL::order_line, r.line) l
""")

_FUNDING = statement("""
INSERT INTO funding (lane, order_id, funder, amount_minor)
SELECT %(lane)s, %(order_id)s, f.funder, f.amount_minor
FROM jsonb_to_recordset(%(funding)s::jsonb) AS f (funder text, amount_minor bigint)
""")

# An order that costs nothing is paid when it is placed, so the feed gets the event that consumers wait for.
_FREE_ORDER_PAID = statement(
    """
INSERT INTO change (lane, kind, order_id, buyer_pseudonym, shop_id, at, body)
VALUES (%(lane)s, 'order.paid', %(order_id)s, """
    + PSEUDONYM
    + """, %(shop_id)s, %(now)s,
        jsonb_build_object('amount_minor', 0, 'currency', %(currency)s::text, 'free_of_charge', true))
"""
)

_HOLD = statement("""
UPDATE orders SET hold = %(hold)s, ship_by = %(ship_by)s WHERE lane = %(lane)s AND order_id = %(order_id)s
""")


async def put_order(connection: Connection, ref: OrderRef, new: NewOrder, now: datetime) -> OrderTaken | Refusal:
    """Lock buyer and order, and write what `plan_order` says; hold and ship-by may always change."""
    params = _params(ref, new, now)
    steps = (BEGIN, _DIRECTORY, ENSURE_BUYER, LOCK_KNOWN_BUYER, BEGIN_HISTORY_OF_BUYER, _LOCK_ORDER, _OWNER, _STANDING)
    _, told, _, _, _, _, owner, found = await run_batch(connection, [(step, params) for step in steps])
    if not told:  # another transaction recorded this id while we waited, and has committed: read again
        await connection.rollback()
        return await put_order(connection, ref, new, now)
    if owner[0][0] != new.buyer_id.encode():
        await connection.rollback()
        if owner[0][1] == b"t":
            return buyer_erased()
        return Refusal(
            RefusalCode.ORDER_BELONGS_TO_ANOTHER, "An order with this id belongs to another buyer.", "buyer_id"
        )
    planned = plan_order(_STANDING_ORDER.decode(found[0][0] or b"") if found else None, new, now)
    if isinstance(planned, Refusal):
        await connection.rollback()
        return planned
    await run_batch(connection, [*_calls(planned, new, params, standing=bool(found)), (COMMIT, {})])
    return OrderTaken(ref, created=not found, changed=planned.replaces)


def _calls(planned: OrderPut, new: NewOrder, params: dict[str, Value], *, standing: bool) -> list[BatchCall]:
    if not planned.replaces:
        return [(_HOLD, params)]
    steps = ([_CLEAR] if standing else []) + [_ORDER, _LINES] + ([_FUNDING] if new.funding else [])
    if planned.paid_now:
        steps.append(_FREE_ORDER_PAID)
    calls: list[BatchCall] = [(step, params) for step in steps]
    if planned.entries:
        rows = msgspec.json.encode(planned.entries).decode()
        calls.append((STATEMENTS[LedgerEntry], {**params, "rows": rows}))
    return calls


def _params(ref: OrderRef, new: NewOrder, now: datetime) -> dict[str, Value]:
    return {
        "lane": ref.lane,
        "order_id": new.order_id,
        "buyer_id": new.buyer_id,
        "shop_id": new.shop_id,
        "currency": new.currency,
        "freight_minor": new.freight_minor,
        "hold": new.hold.value,
        "placed_at": new.placed_at,
        "ship_by": new.ship_by,
        "now": now,
        "free": is_free(new),
        "lines": msgspec.json.encode(new.lines).decode(),
        "funding": msgspec.json.encode(new.funding).decode(),
    }
