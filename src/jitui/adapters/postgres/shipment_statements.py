"""The statements of changes about parcels, beside `writing`: waybills, reminders, and orders of which all has left."""

from __future__ import annotations

from typing import LiteralString

from jitui.adapters.postgres.batch import statement

ROWS: LiteralString = "jsonb_to_recordset(%(rows)s::jsonb)"
"""The changes of one kind, as rows."""

# Of another buyer's claim from the same half year nothing is written for a carrier. For a merchant the row would break
# `waybill_of_one_buyer`, so that everything else of the plan is undone too.
CLAIM_WAYBILL: LiteralString = f"""
INSERT INTO waybill_directory AS d (waybill, lane, buyer_id, told_by, claimed_at)
SELECT r.waybill, %(lane)s, %(buyer_id)s, r.told_by, r.at
FROM {ROWS} AS r (waybill text, told_by text, at timestamptz)
ON CONFLICT (waybill) DO UPDATE
SET lane = excluded.lane, buyer_id = excluded.buyer_id, told_by = excluded.told_by,
    claimed_at = greatest(d.claimed_at, excluded.claimed_at),
    replaced_claim_at = CASE WHEN d.buyer_id = excluded.buyer_id THEN d.replaced_claim_at ELSE d.claimed_at END
WHERE d.buyer_id = excluded.buyer_id
   OR (excluded.claimed_at > d.claimed_at - interval '4320 hours'
       AND (excluded.told_by = 'merchant' OR excluded.claimed_at >= d.claimed_at + interval '4320 hours'))
"""

RECORD_REMINDER: LiteralString = f"""
INSERT INTO shipping_reminder (lane, order_id, risk, subject, stage, told_at)
SELECT %(lane)s, %(order_id)s, r.risk, r.subject, r.stage, r.told_at
FROM {ROWS} AS r (risk text, subject text, stage smallint, told_at timestamptz)
"""

# In a statement of its own, which sees what `UnitsLeft` has written.
ALL_LEFT = statement("""
UPDATE orders o SET all_left = true
WHERE o.lane = %(lane)s AND o.order_id = %(order_id)s AND NOT EXISTS (
    SELECT 1 FROM order_line l
    WHERE l.lane = %(lane)s AND l.order_id = %(order_id)s AND l.shipped_quantity + l.scanned_quantity < l.quantity)
""")
