"""Writing an order as a platform puts it: directory first, then buyer, order, lines and funding in the buyer's lane."""

from __future__ import annotations

from datetime import datetime

import msgspec

from jitui.adapters.postgres.batch import BEGIN, COMMIT, Value, run_batch, statement
from jitui.adapters.postgres.pool import Connection
from jitui.aftersales.outcomes import Refusal, RefusalCode
from jitui.aftersales.ports import NewOrder, OrderRef, OrderTaken

_DIRECTORY = statement("""
WITH put AS (
    INSERT INTO order_directory (order_id, lane, buyer_id) VALUES (%(order_id)s, %(lane)s, %(buyer_id)s)
    ON CONFLICT (order_id) DO NOTHING RETURNING buyer_id)
SELECT buyer_id FROM put UNION ALL SELECT buyer_id FROM order_directory WHERE order_id = %(order_id)s LIMIT 1
""")

_BUYER = statement("""
INSERT INTO buyer (lane, buyer_id, updated_at) VALUES (%(lane)s, %(buyer_id)s, %(now)s)
ON CONFLICT (lane, buyer_id) DO NOTHING
""")

_LOCK_BUYER = statement("SELECT 1 FROM buyer WHERE lane = %(lane)s AND buyer_id = %(buyer_id)s FOR UPDATE")

_STANDING = statement("""
SELECT EXISTS (SELECT 1 FROM tender WHERE lane = %(lane)s AND order_id = %(order_id)s)
    OR EXISTS (SELECT 1 FROM shipment WHERE lane = %(lane)s AND order_id = %(order_id)s), json_build_object(
    'shop_id', o.shop_id, 'currency', o.currency, 'freight_minor', o.freight_minor,
    'lines', (SELECT json_agg(json_build_array(line_id, quantity, paid_minor) ORDER BY position) FROM order_line l
              WHERE l.lane = o.lane AND l.order_id = o.order_id))::text
FROM orders o WHERE o.lane = %(lane)s AND o.order_id = %(order_id)s FOR UPDATE
""")

_CLEAR = statement("""
WITH lines AS (DELETE FROM order_line WHERE lane = %(lane)s AND order_id = %(order_id)s)
DELETE FROM funding WHERE lane = %(lane)s AND order_id = %(order_id)s
""")

_ORDER = statement("""
INSERT INTO orders (lane, order_id, buyer_id, shop_id, currency, freight_minor, hold, placed_at, ship_by)
VALUES (%(lane)s, %(order_id)s, %(buyer_id)s, %(shop_id)s, %(currency)s, %(freight_minor)s, %(hold)s, %(placed_at)s,
        %(ship_by)s)
ON CONFLICT (lane, order_id) DO UPDATE
SET shop_id = excluded.shop_id, currency = excluded.currency, freight_minor = excluded.freight_minor,
    hold = excluded.hold, placed_at = excluded.placed_at, ship_by = excluded.ship_by
""")

# Customised and virtual come from the line, else from the platform's category table, else stay unknown (R2, I5).
_LINES = statement("""
INSERT INTO order_line (lane, order_id, line_id, position, sku, item_id, category_id, title, quantity, paid_minor,
                        customised, virtual)
SELECT %(lane)s, %(order_id)s, l.line_id, r.position, l.sku, l.item_id, l.category_id, l.title, l.quantity,
       l.paid_minor, coalesce(l.customised, c.customised), coalesce(l.virtual, c.virtual)
FROM jsonb_array_elements(%(lines)s::jsonb) WITH ORDINALITY AS r (line, position),
     jsonb_populate_record(NULL::order_line, r.line) l
     LEFT JOIN category c ON c.category_id = l.category_id
""")

_FUNDING = statement("""
INSERT INTO funding (lane, order_id, funder, amount_minor)
SELECT %(lane)s, %(order_id)s, f.funder, f.amount_minor
FROM jsonb_to_recordset(%(funding)s::jsonb) AS f (funder text, amount_minor bigint)
""")

_HOLD = statement("""
UPDATE orders SET hold = %(hold)s, ship_by = %(ship_by)s WHERE lane = %(lane)s AND order_id = %(order_id)s
""")


async def put_order(connection: Connection, ref: OrderRef, new: NewOrder, now: datetime) -> OrderTaken | Refusal:
    """Create, replace while nothing is paid, or accept the same order again; hold and ship-by may always change."""
    params = _params(ref, new, now)
    steps = (BEGIN, _DIRECTORY, _BUYER, _LOCK_BUYER, _STANDING)
    _, owner, _, _, standing = await run_batch(connection, [(step, params) for step in steps])
    if not owner:  # another transaction put this id while we waited: it is committed now, so look again
        await connection.rollback()
        return await put_order(connection, ref, new, now)
    if owner[0][0] != new.buyer_id.encode():
        await connection.rollback()
        return Refusal(
            RefusalCode.ORDER_BELONGS_TO_ANOTHER, "An order with this id belongs to another buyer.", "buyer_id"
        )
    if standing and standing[0][0] == b"t":
        return await _accept_again(connection, ref, new, standing[0][1] or b"", params)
    writes = ([_CLEAR] if standing else []) + [_ORDER, _LINES] + ([_FUNDING] if new.funding else []) + [COMMIT]
    await run_batch(connection, [(step, params) for step in writes])
    return OrderTaken(ref, created=not standing)


async def _accept_again(
    connection: Connection, ref: OrderRef, new: NewOrder, standing: bytes, params: dict[str, Value]
) -> OrderTaken | Refusal:
    """A paid or shipped order keeps its money and goods; only what the warehouse needs may change."""
    same = {
        "shop_id": new.shop_id,
        "currency": new.currency,
        "freight_minor": new.freight_minor,
        "lines": [[line.line_id, line.quantity, line.paid_minor] for line in new.lines],
    }
    if msgspec.json.decode(standing) != same:
        await connection.rollback()
        return Refusal(RefusalCode.ORDER_ALREADY_PAID, "The order is paid; its goods and amounts cannot be replaced.")
    await run_batch(connection, [(_HOLD, params), (COMMIT, params)])
    return OrderTaken(ref, created=False)


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
        "lines": msgspec.json.encode(new.lines).decode(),
        "funding": msgspec.json.encode(new.funding).decode(),
    }
