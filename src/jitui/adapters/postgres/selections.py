"""The allow and the deny list on PostgreSQL; see `jitui.aftersales.governance.registry.Registry`."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import LiteralString
from uuid import UUID

import msgspec

from jitui.adapters.postgres.audit import AuditEntry, write_audit
from jitui.adapters.postgres.confirmations import ask_confirmation, drop_confirmations
from jitui.adapters.postgres.pool import Connection, Pool, read_rows
from jitui.aftersales.governance.registry import Selection
from jitui.identity.audit import AuditAction
from jitui.ids import lane_of, lane_of_id

# What was there before the statement is what its subquery sees.
_SELECT: LiteralString = """
INSERT INTO selection AS s (lane, buyer_id, verdict, reason, set_by, set_at, selection_id)
VALUES (%(lane)s, %(buyer_id)s, %(verdict)s, %(reason)s, %(set_by)s, %(set_at)s, %(selection_id)s)
ON CONFLICT (lane, buyer_id) DO UPDATE SET verdict = excluded.verdict, reason = excluded.reason,
    set_by = excluded.set_by, set_at = excluded.set_at
RETURNING s.selection_id, (
    SELECT o.verdict FROM selection o WHERE o.lane = %(lane)s AND o.buyer_id = %(buyer_id)s)
"""

_OF_BUYER: LiteralString = """
SELECT to_json(s)::text FROM selection s WHERE lane = %(lane)s AND buyer_id = %(buyer_id)s
"""

# An entry of an earlier release has an id without a lane.
_ENTRY: LiteralString = """
SELECT to_json(s)::text FROM selection s WHERE selection_id = %(id)s
UNION ALL
SELECT (to_jsonb(p) || '{"proposed": true}')::text FROM selection_proposed p
WHERE lane = %(lane)s AND selection_id = %(id)s
"""

# Proposed again it keeps its id, so that it is the same proposal.
_PROPOSE: LiteralString = """
INSERT INTO selection_proposed (lane, buyer_id, selection_id, verdict, reason, set_by, set_at)
VALUES (%(lane)s, %(buyer_id)s, %(selection_id)s, %(verdict)s, %(reason)s, %(set_by)s, %(set_at)s)
ON CONFLICT (lane, buyer_id) DO UPDATE SET verdict = excluded.verdict
RETURNING selection_id
"""

# Under an approval: only while the buyer stands on the lists as when it was proposed.
_ALLOW: LiteralString = """
INSERT INTO selection AS s (lane, buyer_id, verdict, reason, set_by, set_at, selection_id)
SELECT lane, buyer_id, verdict, %(reason)s, %(by)s, %(now)s, selection_id
FROM selection_proposed p WHERE lane = %(lane)s AND selection_id = %(id)s AND (
    %(stands_since)s::timestamptz IS NULL
    OR EXISTS (SELECT 1 FROM selection o
               WHERE o.lane = p.lane AND o.buyer_id = p.buyer_id AND o.set_at = %(stands_since)s))
ON CONFLICT (lane, buyer_id) DO UPDATE SET verdict = excluded.verdict, reason = excluded.reason,
    set_by = excluded.set_by, set_at = excluded.set_at
WHERE s.set_at = %(stands_since)s
RETURNING s.selection_id
"""

_PROPOSED_NO_MORE: LiteralString = "DELETE FROM selection_proposed WHERE lane = %(lane)s AND selection_id = %(id)s"


async def select(connection: Connection, row: Selection) -> UUID:
    """Put a buyer on a list; whoever is denied newly waits for a second person's confirmation."""
    cursor = await connection.execute(_SELECT, _params(row))
    found, before = (await cursor.fetchall())[0]
    selection_id: UUID = msgspec.convert(found, UUID)
    entry = AuditEntry(AuditAction.SELECTION_SET, str(selection_id), row.set_by, row.set_at, {"verdict": row.verdict})
    await write_audit(connection, entry)
    if row.verdict == "deny" and before != "deny":
        await ask_confirmation(connection, entry, "")  # the reason is the buyer's, and an erasure takes it out
    return selection_id


async def propose_selection(connection: Connection, row: Selection) -> UUID:
    """Keep whom a proposal would put on the allow list; the id that the proposal names."""
    cursor = await connection.execute(_PROPOSE, _params(row))
    found: UUID = msgspec.convert((await cursor.fetchall())[0][0], UUID)
    return found


async def allow_as_approved(
    connection: Connection,
    selection_id: UUID,
    *,
    stands_since: datetime | None,
    by: str,
    now: datetime,
    reason: str,
    told: Mapping[str, object],
) -> bool:
    """Put a buyer on the allow list; False, and nothing changed, where the lists are not as when it was proposed."""
    params = {"lane": lane_of_id(selection_id), "id": selection_id, "stands_since": stands_since}
    rows = await (await connection.execute(_ALLOW, {**params, "by": by, "now": now, "reason": reason})).fetchall()
    if not rows:
        return False
    await connection.execute(_PROPOSED_NO_MORE, params)
    detail = {"verdict": "allow", **told}
    await write_audit(connection, AuditEntry(AuditAction.SELECTION_SET, str(rows[0][0]), by, now, detail))
    await drop_confirmations(connection, AuditAction.SELECTION_SET, str(rows[0][0]))
    return True


async def selection_of(pool: Pool, buyer_id: str) -> Selection | None:
    """On which list a buyer is."""
    found = await read_rows(pool, _OF_BUYER, {"lane": lane_of(buyer_id), "buyer_id": buyer_id}, Selection)
    return found[0] if found else None


async def selection_entry(pool: Pool, selection_id: UUID) -> Selection | None:
    """One entry, also one that is only proposed."""
    found = await read_rows(pool, _ENTRY, {"lane": lane_of_id(selection_id), "id": selection_id}, Selection)
    return found[0] if found else None


def _params(row: Selection) -> dict[str, object]:
    fields = ("buyer_id", "verdict", "reason", "set_by", "set_at", "selection_id")
    return {**{name: getattr(row, name) for name in fields}, "lane": lane_of(row.buyer_id)}
