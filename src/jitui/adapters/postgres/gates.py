"""See `jitui.aftersales.governance.gates.Gates`."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime
from typing import LiteralString

import msgspec

from jitui.adapters.postgres.audit import AuditEntry, write_audit
from jitui.adapters.postgres.pool import Connection, Pool, read_rows
from jitui.aftersales.governance.gates import (
    CoverageEntry,
    GateRecord,
    Place,
    PlaceInputs,
    PlacePlan,
    PlaceQuery,
    Plan,
    Recomputing,
)
from jitui.identity.audit import AuditAction
from jitui.policy import OTHER_FACTORS_TEXT

# Every shop that the platform described, and every shop with a history; the second by steps over the index, because a
# shop has many days.
_PLACES: LiteralString = """
WITH RECURSIVE told (shop_id) AS (
    SELECT min(shop_id) FROM shop_day
    UNION ALL SELECT (SELECT min(d.shop_id) FROM shop_day d WHERE d.shop_id > t.shop_id) FROM told t
    WHERE t.shop_id IS NOT NULL),
places (scope, ref) AS (
    SELECT 'shop', shop_id FROM shop WHERE %(shops)s
    UNION SELECT 'shop', shop_id FROM told WHERE shop_id IS NOT NULL AND %(shops)s
    UNION SELECT * FROM jsonb_to_recordset(%(listed)s::jsonb) AS r (scope text, ref text))
"""

_ENROL: LiteralString = f"""
{_PLACES}
INSERT INTO gated_place (scope, ref) SELECT scope, ref FROM places ORDER BY scope, ref ON CONFLICT DO NOTHING
"""

_KNOWN: LiteralString = f"""
{_PLACES}
SELECT to_json(p)::text FROM (SELECT scope, ref FROM places UNION SELECT scope, ref FROM gated_place) p
ORDER BY p.scope DESC, p.ref
"""

_DUE: LiteralString = """
SELECT to_json(p)::text FROM (
    SELECT scope, ref FROM gated_place
    WHERE publication < %(publication)s OR (publication = %(publication)s AND computed_on IS DISTINCT FROM %(today)s)
    ORDER BY scope DESC, ref LIMIT %(limit)s) p
"""

_KNOW: LiteralString = "INSERT INTO gated_place (scope, ref) VALUES (%(scope)s, %(ref)s) ON CONFLICT DO NOTHING"

_LOCK: LiteralString = "SELECT 1 FROM gated_place WHERE scope = %(scope)s AND ref = %(ref)s FOR UPDATE"

# A statement of its own after the lock: what another worker committed meanwhile is seen.
_READ: LiteralString = """
SELECT json_build_object(
    'records', (SELECT coalesce(json_agg(to_json(g) ORDER BY g.gate_id), '[]') FROM gate_state g
                WHERE g.scope = p.scope AND g.ref = p.ref),
    'computed_on', p.computed_on,
    'publication', p.publication,
    'windows', (
        SELECT coalesce(json_agg(json_build_object(
            'name', w.name, 'events', s.events, 'amount_minor', s.amount_minor, 'last_day', s.last_day)), '[]')
        FROM jsonb_to_recordset(%(windows)s::jsonb) AS w (name text, kind text, from_day date, to_day date)
        CROSS JOIN LATERAL (
            SELECT coalesce(sum(d.events), 0)::bigint AS events,
                   -- As a decision reads it: an amount of no known currency makes the sum unknown.
                   CASE WHEN sum(d.amount_minor) FILTER (WHERE d.currency = '') <> 0 THEN NULL
                        WHEN abs(coalesce(sum(d.amount_minor) FILTER (WHERE d.currency = %(currency)s), 0))
                                < 9223372036854775808
                            THEN coalesce(sum(d.amount_minor) FILTER (WHERE d.currency = %(currency)s), 0)::bigint
                   END AS amount_minor,
                   max(d.day) FILTER (WHERE d.events > 0) AS last_day
            FROM shop_day d
            WHERE p.scope = 'shop' AND d.shop_id = p.ref AND d.kind = w.kind AND d.day BETWEEN w.from_day AND w.to_day
        ) s),
    'history', (SELECT coalesce(json_agg(to_json(h)), '[]') FROM history_record h),
    'shop_days_as_of', (SELECT as_of FROM roll_up WHERE name = 'shop_day'),
    'attributes', coalesce((SELECT attributes FROM shop WHERE p.scope = 'shop' AND shop_id = p.ref), '{}')
)::text
FROM gated_place p WHERE p.scope = %(scope)s AND p.ref = %(ref)s
"""

_WRITE: LiteralString = """
WITH told AS (SELECT g.* FROM jsonb_populate_recordset(NULL::gate_state, %(records)s::jsonb) g),
gone AS (DELETE FROM gate_state g WHERE g.scope = %(scope)s AND g.ref = %(ref)s
         AND g.gate_id NOT IN (SELECT gate_id FROM told))
INSERT INTO gate_state SELECT * FROM told
ON CONFLICT (scope, ref, gate_id) DO UPDATE SET status = excluded.status, since = excluded.since,
    row_days = excluded.row_days, leaves_on = excluded.leaves_on, computed_on = excluded.computed_on,
    rule_hash = excluded.rule_hash, verdict = excluded.verdict, facts = excluded.facts, public = excluded.public,
    texts = excluded.texts, return_texts = excluded.return_texts, leave_after_days = excluded.leave_after_days,
    return_after_days = excluded.return_after_days
"""

_MARK: LiteralString = """
UPDATE gated_place SET computed_on = coalesce(%(computed_on)s, computed_on), publication = %(publication)s
WHERE scope = %(scope)s AND ref = %(ref)s
"""

APPEND_HISTORY: LiteralString = """
INSERT INTO coverage_history (scope, ref, what, at, gate_id, from_status, to_status, leaves_on, policy_id,
                              policy_version, public, texts, facts, set_by)
SELECT scope, ref, what, at, gate_id, from_status, to_status, leaves_on, policy_id,
       policy_version, public, texts, facts, set_by
FROM jsonb_populate_recordset(NULL::coverage_history, %(entries)s::jsonb)
"""

# The row that decisions read. One that a person set stands above the gates. The gate that was first names the reason.
_COVER: LiteralString = """
INSERT INTO coverage AS c (scope, ref, covered, reason, set_by, set_at, gate_id, texts)
SELECT g.scope, g.ref, false, t.texts ->> 'en', 'gate:' || g.gate_id, %(now)s, g.gate_id, t.texts
FROM gate_state g
CROSS JOIN LATERAL (SELECT CASE WHEN g.public THEN g.texts ELSE %(other_factors)s::jsonb END AS texts) t
WHERE g.scope = %(scope)s AND g.ref = %(ref)s AND g.status = 'out'
ORDER BY g.since, g.gate_id COLLATE "C" LIMIT 1
ON CONFLICT (scope, ref) DO UPDATE
SET covered = false, reason = excluded.reason, set_by = excluded.set_by, gate_id = excluded.gate_id,
    texts = excluded.texts,
    set_at = CASE WHEN c.gate_id = excluded.gate_id THEN c.set_at ELSE excluded.set_at END
WHERE is_by_gate(c)
"""

_UNCOVER: LiteralString = """
DELETE FROM coverage c WHERE c.scope = %(scope)s AND c.ref = %(ref)s AND is_by_gate(c) AND NOT EXISTS (
    SELECT 1 FROM gate_state g WHERE g.scope = c.scope AND g.ref = c.ref AND g.status = 'out')
"""

# For a table `x` with scope and ref: the shop, and the categories and items that it sells.
_OF_SHOP: LiteralString = """
(x.scope = 'shop' AND x.ref = %(shop_id)s) OR (x.scope IN ('category', 'item') AND EXISTS (
    SELECT 1 FROM orders o JOIN order_line l ON l.lane = o.lane AND l.order_id = o.order_id
    WHERE o.shop_id = %(shop_id)s AND x.ref = CASE x.scope WHEN 'item' THEN l.item_id ELSE l.category_id END))
"""

_STATES: LiteralString = f"""
SELECT to_json(x)::text FROM gate_state x WHERE {_OF_SHOP} ORDER BY x.scope DESC, x.ref, x.gate_id
"""

_HISTORY: LiteralString = f"""
SELECT to_json(x)::text FROM coverage_history x
WHERE (x.scope = 'platform') OR {_OF_SHOP} ORDER BY x.number DESC LIMIT %(limit)s
"""


async def lock_place(connection: Connection, place: Place) -> None:
    """Whoever decides on what a place's gates come to holds this."""
    params = {"scope": place.scope.value, "ref": place.ref}
    await connection.execute(_KNOW, params)
    await connection.execute(_LOCK, params)


async def write_gates_row(connection: Connection, place: Place, now: datetime) -> None:
    """The coverage that follows from the gates, unless a person set it. Under the lock of the place."""
    params = {"scope": place.scope.value, "ref": place.ref, "now": now, "other_factors": _json(OTHER_FACTORS_TEXT)}
    await connection.execute(_COVER, params)
    await connection.execute(_UNCOVER, params)


async def append_history(connection: Connection, entries: Sequence[CoverageEntry]) -> None:
    """What happened to a place, as it is shown later."""
    if entries:
        await connection.execute(APPEND_HISTORY, {"entries": _json(entries)})


class PostgresGates:
    """Rows of reference tables; each place by itself."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def enrol(self, places: Sequence[Place], *, shops: bool) -> None:
        """Know the places."""
        async with self._pool.connection() as connection:
            await connection.execute(_ENROL, {"shops": shops, "listed": _json(places)})

    async def places(self, listed: Sequence[Place], *, shops: bool) -> Sequence[Place]:
        """Shops first."""
        return await read_rows(self._pool, _KNOWN, {"shops": shops, "listed": _json(listed)}, Place)

    async def due(self, today: date, publication: int, limit: int) -> Sequence[Place]:
        """Shops first."""
        params = {"today": today, "publication": publication, "limit": limit}
        return await read_rows(self._pool, _DUE, params, Place)

    async def shop_days_as_of(self) -> datetime | None:
        """None before the first roll-up."""
        async with self._pool.connection() as connection:
            rows = await (await connection.execute("SELECT as_of FROM roll_up WHERE name = 'shop_day'")).fetchall()
        return msgspec.convert(rows[0][0], datetime) if rows else None

    async def recompute(self, query: PlaceQuery, plan: Plan, how: Recomputing) -> PlacePlan | None:
        """One transaction: lock, read, plan, write."""
        params = {"scope": query.place.scope.value, "ref": query.place.ref, "windows": _json(query.windows)}
        async with self._pool.connection() as connection:
            if how.by is not None:  # the daily round has enrolled it
                await connection.execute(_KNOW, params)
            locked = await connection.execute(_LOCK + (" SKIP LOCKED" if how.by is None else ""), params)
            if not await locked.fetchall():
                return None
            row = await connection.execute(_READ, {**params, "currency": query.currency})
            inputs = msgspec.json.decode(str((await row.fetchall())[0][0]), type=PlaceInputs)
            planned = plan(inputs)
            if planned is not None and not how.dry_run:
                await _write(connection, planned, how)
            if how.dry_run:
                await connection.rollback()
        return planned

    async def of_shop(self, shop_id: str) -> Sequence[GateRecord]:
        """The shop's own first."""
        return await read_rows(self._pool, _STATES, {"shop_id": shop_id}, GateRecord)

    async def history(self, shop_id: str, limit: int) -> Sequence[CoverageEntry]:
        """With what a person set for the whole platform."""
        return await read_rows(self._pool, _HISTORY, {"shop_id": shop_id, "limit": limit}, CoverageEntry)


async def _write(connection: Connection, planned: PlacePlan, how: Recomputing) -> None:
    place = planned.place
    params = {"scope": place.scope.value, "ref": place.ref}
    await connection.execute(_WRITE, {**params, "records": _json(planned.records)})
    await connection.execute(_MARK, {**params, "computed_on": planned.computed_on, "publication": planned.publication})
    await append_history(connection, planned.entries)
    await write_gates_row(connection, place, how.now)
    if how.by is not None and planned.entries:
        told = {"news": [f"{entry.what} {entry.gate_id}" for entry in planned.entries]}
        subject = f"{place.scope} {place.ref}"
        await write_audit(connection, AuditEntry(AuditAction.COVERAGE_RECOMPUTED, subject, how.by, how.now, told))


def _json(value: object) -> str:
    return msgspec.json.encode(value).decode()
