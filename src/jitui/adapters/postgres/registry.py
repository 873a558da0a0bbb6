"""The rows that people set, on PostgreSQL; the port is `jitui.aftersales.governance.registry.Registry`."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import LiteralString, TypeVar
from uuid import UUID

import msgspec

from jitui.adapters.postgres import restrictions, selections
from jitui.adapters.postgres.audit import AuditEntry, write_audit
from jitui.adapters.postgres.confirmations import ask_confirmation, drop_confirmations
from jitui.adapters.postgres.coverage import (
    COVERAGE_OF,
    COVERAGE_ROWS,
    FIND_COVERAGE,
    KNOWS_PLACE,
    set_coverage,
    unset_coverage,
)
from jitui.adapters.postgres.pool import Connection, Pool, read_rows
from jitui.adapters.postgres.writing import BEGIN_HISTORY, record_buyer_events
from jitui.aftersales.changes import RecordBuyerEvent
from jitui.aftersales.governance.gates import Place
from jitui.aftersales.governance.registry import (
    Category,
    Coverage,
    CoverageFilter,
    NamedEvent,
    Pause,
    RefusedEvent,
    Restriction,
    RestrictionFilter,
    Scope,
    Selection,
    Shop,
    contradicting,
    place_name,
)
from jitui.aftersales.model.order import Buyer
from jitui.aftersales.ports import HistoryRecord
from jitui.identity.audit import AuditAction
from jitui.ids import lane_of

_Row = TypeVar("_Row")

# The fields in `kept` stay as they are.
_PUT_SHOP: LiteralString = """
INSERT INTO shop AS s (shop_id, name, attributes, updated_at)
VALUES (%(shop_id)s, %(name)s, %(attributes)s::jsonb, %(now)s)
ON CONFLICT (shop_id) DO UPDATE
SET name = CASE WHEN 'name' = ANY(%(kept)s::text[]) THEN s.name ELSE excluded.name END,
    attributes = CASE WHEN 'attributes' = ANY(%(kept)s::text[]) THEN s.attributes ELSE '{}' END || excluded.attributes,
    updated_at = excluded.updated_at
RETURNING to_json(s)::text
"""

_PUT_BUYER: LiteralString = """
INSERT INTO buyer AS b (lane, buyer_id, registered_at, region, attributes, updated_at)
VALUES (%(lane)s, %(buyer_id)s, %(registered_at)s, %(region)s, %(attributes)s::jsonb, %(now)s)
ON CONFLICT (lane, buyer_id) DO UPDATE
SET registered_at = CASE WHEN 'registered_at' = ANY(%(kept)s::text[]) THEN b.registered_at
                         ELSE excluded.registered_at END,
    region = CASE WHEN 'region' = ANY(%(kept)s::text[]) THEN b.region ELSE excluded.region END,
    attributes = CASE WHEN 'attributes' = ANY(%(kept)s::text[]) THEN b.attributes ELSE '{}' END || excluded.attributes,
    updated_at = excluded.updated_at
RETURNING to_json(b)::text
"""

_PUT_CATEGORY: LiteralString = """
INSERT INTO category AS c (category_id, title, customised, virtual, updated_at)
VALUES (%(category_id)s, %(title)s, %(customised)s, %(virtual)s, %(now)s)
ON CONFLICT (category_id) DO UPDATE
SET title = CASE WHEN 'title' = ANY(%(kept)s::text[]) THEN c.title ELSE excluded.title END,
    customised = CASE WHEN 'customised' = ANY(%(kept)s::text[]) THEN c.customised ELSE excluded.customised END,
    virtual = CASE WHEN 'virtual' = ANY(%(kept)s::text[]) THEN c.virtual ELSE excluded.virtual END,
    updated_at = excluded.updated_at
RETURNING to_json(c)::text
"""

# `governance.registry.later_pause` in one statement: greatest() ignores NULL, which has no end.
_SET_PAUSE: LiteralString = """
INSERT INTO pause AS p (scope, ref, reason, set_by, set_at, ends_at, lift_by)
VALUES (%(scope)s, %(ref)s, %(reason)s, %(set_by)s, %(set_at)s, %(ends_at)s, %(lift_by)s)
ON CONFLICT (scope, ref) DO UPDATE
SET reason = excluded.reason, set_by = excluded.set_by, set_at = excluded.set_at,
    ends_at = CASE WHEN p.ends_at <= excluded.set_at THEN excluded.ends_at
                   WHEN p.ends_at IS NULL OR excluded.ends_at IS NULL THEN NULL
                   ELSE greatest(p.ends_at, excluded.ends_at) END,
    lift_by = CASE WHEN p.ends_at <= excluded.set_at THEN excluded.lift_by
                   ELSE coalesce(p.lift_by, excluded.lift_by) END
RETURNING to_json(p)::text
"""

_PAUSES: LiteralString = """
SELECT to_json(p)::text FROM pause p WHERE ends_at IS NULL OR ends_at > %(now)s ORDER BY set_at
"""

_FIND_PAUSE: LiteralString = """
SELECT to_json(p)::text FROM pause p
WHERE scope = %(scope)s AND ref = %(ref)s AND (ends_at IS NULL OR ends_at > %(now)s)
"""

_LIFT_PAUSE: LiteralString = """
DELETE FROM pause WHERE scope = %(scope)s AND ref = %(ref)s AND (ends_at IS NULL OR ends_at > %(now)s)
  AND (%(set_at)s::timestamptz IS NULL OR set_at = %(set_at)s)
"""

_HISTORY: LiteralString = """
INSERT INTO history_record AS h (kind, complete_from, fresh_until)
VALUES (%(kind)s, %(complete_from)s, %(fresh_until)s)
ON CONFLICT (kind) DO UPDATE
SET complete_from = excluded.complete_from,
    fresh_until = CASE WHEN 'fresh_until' = ANY(%(kept)s::text[]) THEN h.fresh_until ELSE excluded.fresh_until END
RETURNING to_json(h)::text
"""

# Events that contradict the history, by their place in the rows: one of another buyer's order, and a retraction of
# another kind than its event, whichever came first. And those of which an erasure took away what they belong to.
_CONTRADICTED: LiteralString = """
WITH told AS (SELECT * FROM jsonb_to_recordset(%(rows)s::jsonb)
    AS t (place int, lane smallint, buyer_id text, event_id text, kind text, order_id text, retracts text,
          at timestamptz))
SELECT t.place, 'erased' FROM told t
WHERE (was_erased(t.lane, t.buyer_id)
       AND NOT EXISTS (SELECT 1 FROM buyer b WHERE b.lane = t.lane AND b.buyer_id = t.buyer_id))
   OR EXISTS (SELECT 1 FROM buyer b WHERE b.lane = t.lane AND b.buyer_id = t.buyer_id AND b.history_from > t.at)
   OR EXISTS (SELECT 1 FROM order_directory d JOIN buyer b ON b.lane = d.lane AND b.buyer_id = d.buyer_id
              WHERE d.order_id = t.order_id AND d.buyer_id <> t.buyer_id AND b.erased)
UNION ALL
SELECT t.place, 'order' FROM told t JOIN order_directory d ON d.order_id = t.order_id AND d.buyer_id <> t.buyer_id
UNION ALL
SELECT t.place, 'kind' FROM told t JOIN buyer_event e
    ON e.lane = t.lane AND e.buyer_id = t.buyer_id AND e.event_id = t.retracts AND e.kind <> t.kind
UNION ALL
SELECT t.place, 'kind' FROM told t JOIN buyer_event e
    ON e.lane = t.lane AND e.buyer_id = t.buyer_id AND e.retracts = t.event_id AND e.kind <> t.kind
WHERE t.retracts IS NULL
"""

# In the order of the names, so that two batches of the same events take turns.
_NAME_EVENTS: LiteralString = """
INSERT INTO event_directory (event_name, buyer_id)
SELECT t.name, t.buyer_id FROM unnest(%(names)s::text[], %(buyers)s::text[]) AS t (name, buyer_id) ORDER BY t.name
ON CONFLICT (event_name) DO NOTHING
RETURNING event_name
"""

_NAMED_EVENTS: LiteralString = """
SELECT event_name, buyer_id FROM event_directory WHERE event_name = ANY (%(names)s)
"""


class PostgresRegistry:
    """Plain rows; the newest value counts."""

    def __init__(self, pool: Pool, time_zone: str) -> None:
        self._pool = pool
        self._time_zone = time_zone

    async def put_shop(self, shop: Shop, now: datetime, *, kept: Collection[str] = ()) -> Shop:
        """Create or replace a shop; returns it as stored."""
        params = {**_values(shop), "attributes": _json(shop.attributes), "now": now, "kept": list(kept)}
        return await self._put(_PUT_SHOP, params, Shop)

    async def get_shop(self, shop_id: str) -> Shop | None:
        """The shop's row; None when the platform never described the shop."""
        return await self._one("SELECT to_json(s)::text FROM shop s WHERE shop_id = %(id)s", {"id": shop_id}, Shop)

    async def put_buyer(self, buyer: Buyer, now: datetime, *, kept: Collection[str] = ()) -> Buyer:
        """Create or replace a buyer; returns the buyer as stored."""
        params = {**_values(buyer), "attributes": _json(buyer.attributes), "now": now, "kept": list(kept)}
        async with self._pool.connection() as connection:
            rows = await (await connection.execute(_PUT_BUYER, params)).fetchall()
            await connection.execute(BEGIN_HISTORY, params)
        return msgspec.json.decode(str(rows[0][0]), type=Buyer)

    async def get_buyer(self, buyer_id: str) -> Buyer | None:
        """The buyer's row; None when there is none."""
        query: LiteralString = "SELECT to_json(b)::text FROM buyer b WHERE lane = %(lane)s AND buyer_id = %(id)s"
        return await self._one(query, {"lane": lane_of(buyer_id), "id": buyer_id}, Buyer)

    async def put_category(self, category: Category, now: datetime, *, kept: Collection[str] = ()) -> Category:
        """Create or replace a category; returns it as stored. Decisions use it from the next request on."""
        return await self._put(_PUT_CATEGORY, {**_values(category), "now": now, "kept": list(kept)}, Category)

    async def set_coverage(self, coverage: Coverage) -> None:
        """Decisions read it from the next request on."""
        async with self._pool.connection() as connection:
            await set_coverage(connection, coverage)

    async def unset_coverage(self, scope: Scope, ref: str, *, by: str, now: datetime) -> bool:
        """The gates decide from the next request on: what they come to is written in the same transaction."""
        async with self._pool.connection() as connection:
            return await unset_coverage(connection, Place(scope, ref), by=by, now=now)

    async def find_coverage(self, scope: Scope, ref: str) -> Coverage | None:
        """The row of a place itself."""
        return await self._one(FIND_COVERAGE, {"scope": scope.value, "ref": ref}, Coverage)

    async def knows_place(self, scope: Scope, ref: str, *, seller: str = "") -> bool:
        """Whether there is a row that names it."""
        params = {"scope": scope.value, "ref": ref, "seller": seller}
        async with self._pool.connection() as connection:
            rows = await (await connection.execute(KNOWS_PLACE, params)).fetchall()
        return bool(rows[0][0])

    async def coverage_of(self, shop_id: str) -> Sequence[Coverage]:
        """Every coverage row that applies to the shop."""
        return await read_rows(self._pool, COVERAGE_OF, {"shop_id": shop_id}, Coverage)

    async def coverage_rows(self, wanted: CoverageFilter) -> Sequence[Coverage]:
        """The places that have a row, by scope and id."""
        scope, ref = wanted.after or (None, None)
        params = {"scope": None if scope is None else scope.value, "ref": ref, "limit": wanted.limit}
        return await read_rows(self._pool, COVERAGE_ROWS, params, Coverage)

    async def set_pause(self, pause: Pause) -> Pause:
        """Stops instant approvals from the next request on."""
        told = {"reason": pause.reason}
        entry = AuditEntry(AuditAction.PAUSE_SET, place_name(pause.scope, pause.ref), pause.set_by, pause.set_at, told)
        async with self._pool.connection() as connection:
            rows = await (await connection.execute(_SET_PAUSE, _values(pause))).fetchall()
            await write_audit(connection, entry)
            await ask_confirmation(connection, entry, pause.reason)
        return msgspec.json.decode(str(rows[0][0]), type=Pause)

    async def lift_pause(self, scope: Scope, ref: str, *, by: str, now: datetime) -> bool:
        """Whether there was a pause to lift."""
        entry = AuditEntry(AuditAction.PAUSE_LIFTED, place_name(scope, ref), by, now)
        async with self._pool.connection() as connection:
            return await lift_pause(connection, scope.value, ref, entry)

    async def find_pause(self, scope: Scope, ref: str, now: datetime) -> Pause | None:
        """The pause that stands for a place."""
        return await self._one(_FIND_PAUSE, {"scope": scope.value, "ref": ref, "now": now}, Pause)

    async def pauses(self, now: datetime) -> Sequence[Pause]:
        """All pauses that stand."""
        return await read_rows(self._pool, _PAUSES, {"now": now}, Pause)

    async def restrict(self, restriction: Restriction) -> bool:
        """Withdraw the service from a buyer; False, and nothing changed, where the restriction's id is taken."""
        async with self._pool.connection() as connection:
            return await restrictions.restrict(connection, restriction)

    async def lift_restriction(self, restriction_id: UUID, now: datetime, *, by: str, reason: str = "") -> bool:
        """Whether there was a standing restriction to lift."""
        async with self._pool.connection() as connection:
            return await restrictions.lift(connection, restriction_id, now, by=by, reason=reason)

    async def restriction(self, restriction_id: UUID) -> Restriction | None:
        """One restriction."""
        return await restrictions.restriction(self._pool, restriction_id)

    async def restrictions_of(self, buyer_id: str) -> Sequence[Restriction]:
        """The buyer's restrictions, newest first, also past ones."""
        return await restrictions.restrictions_of(self._pool, buyer_id)

    async def standing_restrictions(self, wanted: RestrictionFilter) -> Sequence[Restriction]:
        """Those of all buyers that can have an effect, newest first."""
        return await restrictions.standing_restrictions(self._pool, wanted)

    async def select(self, selection: Selection) -> UUID:
        """Put a buyer on the allow or deny list; the entry's id, which stays when the list changes."""
        async with self._pool.connection() as connection:
            return await selections.select(connection, selection)

    async def propose_selection(self, selection: Selection) -> UUID:
        """Keep whom a proposal would put on the allow list."""
        async with self._pool.connection() as connection:
            return await selections.propose_selection(connection, selection)

    async def selection_of(self, buyer_id: str) -> Selection | None:
        """On which list a buyer is."""
        return await selections.selection_of(self._pool, buyer_id)

    async def selection_entry(self, selection_id: UUID) -> Selection | None:
        """One entry, also one that is only proposed."""
        return await selections.selection_entry(self._pool, selection_id)

    async def record_history(
        self, records: Sequence[HistoryRecord], *, kept: Collection[str] = ()
    ) -> Sequence[HistoryRecord]:
        """Record from when on kinds of events are complete; returns the records as stored."""
        made = [{**_values(record), "kept": list(kept)} for record in records]
        return [await self._put(_HISTORY, params, HistoryRecord) for params in made]

    async def history_records(self) -> Sequence[HistoryRecord]:
        """The kinds of events that are complete, and from when on."""
        return await read_rows(
            self._pool, "SELECT to_json(h)::text FROM history_record h ORDER BY kind", {}, HistoryRecord
        )

    async def refused_events(self, events: Sequence[RecordBuyerEvent]) -> Sequence[RefusedEvent]:
        """Events that name another buyer's order, and retractions in the future or of another kind than their event."""
        async with self._pool.connection() as connection:
            rows = await (await connection.execute(_CONTRADICTED, {"rows": _event_names(events)})).fetchall()
        places = {
            what: {int(str(place)) for place, said in rows if said == what} for what in ("order", "kind", "erased")
        }
        return contradicting(events, places["order"], places["kind"], places["erased"])

    async def record_buyer_events(self, events: Sequence[RecordBuyerEvent]) -> int:
        """Append to buyers' histories; returns how many were new."""
        return len(await self.new_buyer_events(events))

    async def new_buyer_events(self, events: Sequence[RecordBuyerEvent]) -> Collection[tuple[str, str]]:
        """Append to buyers' histories, each buyer in its own transaction; the buyers and ids of those that were new."""
        refused = {one.event for one in await self.refused_events(events)}
        by_buyer: dict[str, list[RecordBuyerEvent]] = {}
        for event in events:
            if event not in refused:
                by_buyer.setdefault(event.buyer_id, []).append(event)
        new: set[tuple[str, str]] = set()
        async with self._pool.connection() as connection:
            for buyer_id, theirs in sorted(by_buyer.items()):
                ids = await record_buyer_events(connection, buyer_id, theirs, self._time_zone)
                new |= {(buyer_id, event_id) for event_id in ids}
        return new

    async def name_events(self, told: Mapping[str, str]) -> Mapping[str, NamedEvent]:
        """Keep whose events these are; what is known of each name."""
        params = {"names": list(told), "buyers": list(told.values())}
        async with self._pool.connection() as connection:
            new = {str(name) for (name,) in await (await connection.execute(_NAME_EVENTS, params)).fetchall()}
            rows = await (await connection.execute(_NAMED_EVENTS, params)).fetchall()
        return {str(name): NamedEvent(str(buyer_id), name in new) for name, buyer_id in rows}

    async def _put(self, statement: LiteralString, params: Mapping[str, object], kind: type[_Row]) -> _Row:
        return (await read_rows(self._pool, statement, params, kind))[0]

    async def _one(self, query: LiteralString, params: Mapping[str, object], kind: type[_Row]) -> _Row | None:
        found = await read_rows(self._pool, query, params, kind)
        return found[0] if found else None


async def lift_pause(
    connection: Connection, scope: str, ref: str, entry: AuditEntry, *, set_at: datetime | None = None
) -> bool:
    """Lift the pause of a place (with `set_at` that very pause); whether there was one that stood."""
    params = {"scope": scope, "ref": ref, "now": entry.at, "set_at": set_at}
    if not (await connection.execute(_LIFT_PAUSE, params)).rowcount:
        return False
    await write_audit(connection, entry)
    await drop_confirmations(connection, AuditAction.PAUSE_SET, entry.subject)
    return True


def _values(row: object) -> dict[str, object]:
    plain = msgspec.to_builtins(row, builtin_types=(datetime, UUID, bytes))
    return {str(name): value for name, value in plain.items()}


def _json(value: object) -> str:
    return msgspec.json.encode(value).decode()


def _event_names(events: Sequence[RecordBuyerEvent]) -> str:
    names = (
        {
            "place": place,
            "lane": lane_of(event.buyer_id),
            "buyer_id": event.buyer_id,
            "event_id": event.event_id,
            "kind": event.kind,
            "order_id": event.order_id,
            "retracts": event.retracts,
            "at": event.at,
        }
        for place, event in enumerate(events)
    )
    return msgspec.json.encode(list(names)).decode()
