"""Restrictions on PostgreSQL: by hand, and by the rules of the policy for buyers with new events.

See `jitui.aftersales.governance.registry.Registry` and `jitui.aftersales.commands.restriction_rules.RestrictionChecks`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import LiteralString
from uuid import UUID

import msgspec

from jitui.adapters.postgres import writing
from jitui.adapters.postgres.audit import AuditEntry, pseudonym_of, write_audit
from jitui.adapters.postgres.batch import BEGIN, COMMIT, BatchCall, Value, run_batch, statement
from jitui.adapters.postgres.buyer_history import PAST_RULES, WINDOWS
from jitui.adapters.postgres.clusters import CLUSTER
from jitui.adapters.postgres.confirmations import ask_confirmation, drop_confirmations
from jitui.adapters.postgres.pool import Connection, Pool, read_rows
from jitui.adapters.postgres.reading import history_params
from jitui.aftersales.changes import RestrictBuyer
from jitui.aftersales.commands.restriction_rules import BuyerChecked, Judge
from jitui.aftersales.governance.registry import Restriction, RestrictionFilter
from jitui.aftersales.ports import DecisionQuery
from jitui.identity.audit import AuditAction
from jitui.ids import lane_of, lane_of_id

_RESTRICT: LiteralString = """
INSERT INTO restriction (lane, restriction_id, buyer_id, reason, starts_at, ends_at, set_by, set_at, withdraw, evidence)
VALUES (%(lane)s, %(restriction_id)s, %(buyer_id)s, %(reason)s, %(starts_at)s, %(ends_at)s, %(set_by)s, %(set_at)s,
        %(withdraw)s, %(evidence)s::jsonb)
ON CONFLICT (lane, restriction_id) DO NOTHING
"""

_LIFT: LiteralString = """
UPDATE restriction SET lifted_at = %(now)s, lifted_by = %(by)s, lift_reason = %(reason)s
WHERE lane = %(lane)s AND restriction_id = %(id)s AND lifted_at IS NULL AND (ends_at IS NULL OR ends_at > %(now)s)
"""

_OF_BUYER: LiteralString = """
SELECT to_json(r)::text FROM restriction r WHERE lane = %(lane)s AND buyer_id = %(id)s
ORDER BY starts_at DESC, restriction_id DESC
"""

_STANDING: LiteralString = """
SELECT to_json(r)::text FROM restriction r
WHERE lifted_at IS NULL AND (ends_at IS NULL OR ends_at > %(at)s)
  AND (%(after_at)s::timestamptz IS NULL OR (starts_at, restriction_id) < (%(after_at)s, %(after_id)s::uuid))
ORDER BY starts_at DESC, restriction_id DESC LIMIT %(limit)s
"""

_ONE: LiteralString = "SELECT to_json(r)::text FROM restriction r WHERE lane = %(lane)s AND restriction_id = %(id)s"


async def restrict(connection: Connection, row: Restriction) -> bool:
    """Withdraw the service by hand; False, and nothing changed, where the restriction's id is taken."""
    params = {
        "lane": lane_of(row.buyer_id),
        "restriction_id": row.restriction_id,
        "buyer_id": row.buyer_id,
        "reason": row.reason,
        "starts_at": row.starts_at,
        "ends_at": row.ends_at,
        "set_by": row.set_by,
        "set_at": row.set_at or row.starts_at,
        "withdraw": row.withdraw.value,
        "evidence": msgspec.json.encode(row.evidence).decode(),
    }
    if not (await connection.execute(_RESTRICT, params)).rowcount:
        return False
    told = {"buyer": await pseudonym_of(connection, row.buyer_id), "ends_at": row.ends_at}
    entry = AuditEntry(
        AuditAction.RESTRICTION_SET, str(row.restriction_id), row.set_by, row.set_at or row.starts_at, told
    )
    await write_audit(connection, entry)
    await ask_confirmation(connection, entry, "")  # the reason is the buyer's, and an erasure takes it out
    return True


async def lift(
    connection: Connection,
    restriction_id: UUID,
    now: datetime,
    *,
    by: str,
    reason: str,
    told: Mapping[str, object] | None = None,
) -> bool:
    """Whether there was a standing restriction to lift."""
    lane = lane_of_id(restriction_id)
    params = {"now": now, "by": by, "reason": reason, "lane": lane, "id": restriction_id}
    if not (await connection.execute(_LIFT, params)).rowcount:
        return False
    await write_audit(connection, AuditEntry(AuditAction.RESTRICTION_LIFTED, str(restriction_id), by, now, told or {}))
    await drop_confirmations(connection, AuditAction.RESTRICTION_SET, str(restriction_id))
    return True


async def restrictions_of(pool: Pool, buyer_id: str) -> Sequence[Restriction]:
    """The buyer's restrictions, newest first, also past ones."""
    return await read_rows(pool, _OF_BUYER, {"lane": lane_of(buyer_id), "id": buyer_id}, Restriction)


async def standing_restrictions(pool: Pool, wanted: RestrictionFilter) -> Sequence[Restriction]:
    """Those of all buyers that were not lifted and have not ended, newest first."""
    after_at, after_id = wanted.after or (None, None)
    params = {"at": wanted.at, "after_at": after_at, "after_id": after_id, "limit": wanted.limit}
    return await read_rows(pool, _STANDING, params, Restriction)


async def restriction(pool: Pool, restriction_id: UUID) -> Restriction | None:
    """One restriction; its id contains the lane."""
    found = await read_rows(pool, _ONE, {"lane": lane_of_id(restriction_id), "id": restriction_id}, Restriction)
    return found[0] if found else None


# By the rules of the policy --------------------------------------------------------------------------------------

_LANES_DUE = statement("SELECT DISTINCT lane FROM restriction_check ORDER BY lane")

# Whoever holds a buyer's lock is deciding for the buyer, or adds to the history: the buyer stays due and is next.
_LOCK_DUE = statement("""
SELECT b.buyer_id FROM restriction_check c JOIN buyer b ON b.lane = c.lane AND b.buyer_id = c.buyer_id
WHERE c.lane = %(lane)s AND b.lane = %(lane)s
ORDER BY c.buyer_id LIMIT %(limit)s::bigint FOR UPDATE OF b SKIP LOCKED
""")

READ_DUE = statement(
    """
SELECT json_build_object('buyer', o.known, 'inputs', json_build_object(
    'windows', ("""
    + WINDOWS
    + """),
    'history', (SELECT coalesce(json_agg(to_json(h)), '[]') FROM history_record h),
    'cluster', """
    + CLUSTER
    + """,
    'past_rules', ("""
    + PAST_RULES
    + """)))::text
FROM (
    SELECT b.buyer_id, NULL::text AS shop_id, to_json(b) AS known FROM buyer b
    WHERE b.lane = %(lane)s AND b.buyer_id IN (SELECT jsonb_array_elements_text(%(buyers)s::jsonb))) o
ORDER BY o.buyer_id
"""
)

_DONE = statement("""
DELETE FROM restriction_check
WHERE lane = %(lane)s AND buyer_id IN (SELECT jsonb_array_elements_text(%(buyers)s::jsonb))
""")

_DROP: LiteralString = "DELETE FROM restriction_check"

_CHECKED = msgspec.json.Decoder(BuyerChecked)
_encode = msgspec.json.Encoder().encode


class PostgresRestrictionChecks:
    """The rows of `restriction_check`, lane by lane."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def lanes_due(self) -> Sequence[int]:
        """The lanes with buyers who are due."""
        async with self._pool.connection() as connection:
            (rows,) = await run_batch(connection, [(_LANES_DUE, {})])
        return [int(lane or 0) for (lane,) in rows]

    async def check(self, lane: int, query: DecisionQuery, judge: Judge, *, limit: int) -> int:
        """Lock, then read in a statement of its own, judge, write, and strike out, all in one transaction."""
        async with self._pool.connection() as connection:
            try:
                _, locked = await run_batch(connection, [(BEGIN, {}), (_LOCK_DUE, {"lane": lane, "limit": limit})])
                buyers = [(name or b"").decode() for (name,) in locked]
                if buyers:
                    await _check(connection, lane, buyers, query, judge)
            finally:
                if not connection.closed:
                    await connection.rollback()
        return len(buyers)

    async def drop(self) -> int:
        """Strike out everybody."""
        async with self._pool.connection() as connection:
            return (await connection.execute(_DROP)).rowcount


async def _check(connection: Connection, lane: int, buyers: Sequence[str], query: DecisionQuery, judge: Judge) -> None:
    theirs = replace(query, windows=tuple(window for window in query.windows if window.subject == "buyer"))
    params: dict[str, Value] = {**history_params(lane, theirs), "buyers": _encode(buyers).decode()}
    (rows,) = await run_batch(connection, [(READ_DUE, params)])
    calls: list[BatchCall] = []
    for (text,) in rows:
        checked = _CHECKED.decode(text or b"")
        told = judge(checked)
        if told:
            named: dict[str, Value] = {"lane": lane, "buyer_id": checked.buyer.buyer_id, "rows": _encode(told).decode()}
            calls.append((writing.STATEMENTS[RestrictBuyer], named))
    await run_batch(connection, [*calls, (_DONE, params), (COMMIT, {})])
