"""Coverage by hand on PostgreSQL: what a person sets stands above the gates. See `governance.registry.Registry`."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import LiteralString

from jitui.adapters.postgres.audit import AuditEntry, write_audit
from jitui.adapters.postgres.confirmations import ask_confirmation, drop_confirmations
from jitui.adapters.postgres.gates import append_history, lock_place, write_gates_row
from jitui.adapters.postgres.pool import Connection
from jitui.aftersales.governance.gates import GATED, CoverageEntry, Place
from jitui.aftersales.governance.registry import Coverage, place_name
from jitui.identity.audit import AuditAction

_SET: LiteralString = """
INSERT INTO coverage (scope, ref, covered, reason, set_by, set_at)
VALUES (%(scope)s, %(ref)s, %(covered)s, %(reason)s, %(set_by)s, %(set_at)s)
ON CONFLICT (scope, ref) DO UPDATE
SET covered = excluded.covered, reason = excluded.reason, set_by = excluded.set_by, set_at = excluded.set_at,
    gate_id = NULL, texts = NULL
RETURNING coalesce((SELECT NOT o.covered AND NOT is_by_gate(o) FROM coverage o
                    WHERE o.scope = %(scope)s AND o.ref = %(ref)s), false)
"""

# Under an approval: only while the place is as it was when it was proposed, without a row or with this one.
_COVER_AS_APPROVED: LiteralString = """
INSERT INTO coverage AS c (scope, ref, covered, reason, set_by, set_at)
SELECT %(scope)s, %(ref)s, true, %(reason)s, %(by)s, %(now)s
WHERE %(stands_since)s::timestamptz IS NULL
   OR EXISTS (SELECT 1 FROM coverage o WHERE o.scope = %(scope)s AND o.ref = %(ref)s AND o.set_at = %(stands_since)s)
ON CONFLICT (scope, ref) DO UPDATE
SET covered = excluded.covered, reason = excluded.reason, set_by = excluded.set_by, set_at = excluded.set_at,
    gate_id = NULL, texts = NULL
WHERE c.set_at = %(stands_since)s
"""

FIND_COVERAGE: LiteralString = "SELECT to_json(c)::text FROM coverage c WHERE scope = %(scope)s AND ref = %(ref)s"

_UNSET: LiteralString = """
DELETE FROM coverage c WHERE c.scope = %(scope)s AND c.ref = %(ref)s AND NOT is_by_gate(c)
  AND (%(stands_since)s::timestamptz IS NULL OR c.set_at = %(stands_since)s)
RETURNING c.covered
"""

# Items are described nowhere but on orders, of which those of one shop can be searched.
KNOWS_PLACE: LiteralString = """
SELECT EXISTS (SELECT 1 FROM coverage WHERE scope = %(scope)s AND ref = %(ref)s)
    OR (%(scope)s = 'shop' AND (EXISTS (SELECT 1 FROM shop WHERE shop_id = %(ref)s)
                                OR EXISTS (SELECT 1 FROM orders WHERE shop_id = %(ref)s)))
    OR (%(scope)s = 'category' AND EXISTS (SELECT 1 FROM category WHERE category_id = %(ref)s))
    OR (%(scope)s IN ('category', 'item') AND EXISTS (
        SELECT 1 FROM orders o JOIN order_line l ON l.lane = o.lane AND l.order_id = o.order_id
        WHERE o.shop_id = %(seller)s AND %(ref)s = CASE %(scope)s WHEN 'item' THEN l.item_id ELSE l.category_id END))
"""

# What a merchant sees: the rows of the platform, of the shop, and of the categories and items that it sells (R13).
COVERAGE_OF: LiteralString = """
SELECT to_json(c)::text FROM coverage c
WHERE c.scope = 'platform' OR (c.scope = 'shop' AND c.ref = %(shop_id)s)
   OR (c.scope IN ('category', 'item') AND EXISTS (
        SELECT 1 FROM orders o JOIN order_line l ON l.lane = o.lane AND l.order_id = o.order_id
        WHERE o.shop_id = %(shop_id)s AND c.ref = CASE c.scope WHEN 'item' THEN l.item_id ELSE l.category_id END))
ORDER BY c.scope, c.ref
"""

COVERAGE_ROWS: LiteralString = """
SELECT to_json(c)::text FROM coverage c
WHERE %(scope)s::text IS NULL OR (c.scope, c.ref) > (%(scope)s, %(ref)s)
ORDER BY c.scope, c.ref LIMIT %(limit)s
"""


async def set_coverage(connection: Connection, row: Coverage) -> None:
    """Cover a place, or take it out."""
    params = {name: getattr(row, name) for name in ("ref", "covered", "reason", "set_by", "set_at")}
    cursor = await connection.execute(_SET, {"scope": row.scope.value, **params})
    was_out_by_hand = (await cursor.fetchall())[0][0]
    entry = await _was_set(connection, row, {})
    if not row.covered and not was_out_by_hand:
        await ask_confirmation(connection, entry, row.reason)


async def cover_as_approved(
    connection: Connection, row: Coverage, *, stands_since: datetime | None, told: Mapping[str, object]
) -> bool:
    """Cover a place; False, and nothing changed, where it is not as it was when it was proposed."""
    params = {
        "scope": row.scope.value,
        "ref": row.ref,
        "reason": row.reason,
        "by": row.set_by,
        "now": row.set_at,
        "stands_since": stands_since,
    }
    if not (await connection.execute(_COVER_AS_APPROVED, params)).rowcount:
        return False
    entry = await _was_set(connection, row, told)
    await drop_confirmations(connection, AuditAction.COVERAGE_SET, entry.subject)
    return True


async def _was_set(connection: Connection, row: Coverage, told: Mapping[str, object]) -> AuditEntry:
    """The history that merchants read, and the audit log."""
    place = place_name(row.scope, row.ref)
    texts = {"zh": row.reason, "en": row.reason} if row.reason else {}
    status = "in" if row.covered else "out"
    happened = CoverageEntry(row.scope, row.ref, "set", row.set_at, to_status=status, texts=texts, set_by=row.set_by)
    await append_history(connection, [happened])
    known = {"covered": row.covered, "reason": row.reason, **told}
    entry = AuditEntry(AuditAction.COVERAGE_SET, place, row.set_by, row.set_at, known)
    await write_audit(connection, entry)
    return entry


async def unset_coverage(
    connection: Connection,
    place: Place,
    *,
    by: str,
    now: datetime,
    stands_since: datetime | None = None,
    told: Mapping[str, object] | None = None,
) -> bool:
    """Let the gates decide on a place again; whether a person had set a row there (at `stands_since`, if given)."""
    scope, ref = place.scope, place.ref
    if scope in GATED:
        await lock_place(connection, place)
    params = {"scope": scope.value, "ref": ref, "stands_since": stands_since}
    rows = await (await connection.execute(_UNSET, params)).fetchall()
    if not rows:
        return False
    status = "in" if rows[0][0] else "out"
    await append_history(connection, [CoverageEntry(scope, ref, "unset", now, from_status=status, set_by=by)])
    if scope in GATED:
        await write_gates_row(connection, place, now)
    await write_audit(connection, AuditEntry(AuditAction.COVERAGE_UNSET, place_name(scope, ref), by, now, told or {}))
    await drop_confirmations(connection, AuditAction.COVERAGE_SET, place_name(scope, ref))
    return True
