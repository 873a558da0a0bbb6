"""The rows that people set and decisions read, without a database (see `governance.registry`).

Shops' descriptions and the publication log are not here: no decision reads them.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import fields, replace
from datetime import datetime
from typing import TypeVar
from uuid import UUID

from jitui.aftersales.changes import RecordBuyerEvent
from jitui.aftersales.governance.registry import (
    Category,
    Coverage,
    Pause,
    RefusedEvent,
    Restriction,
    Scope,
    Selection,
    contradicting,
    later_pause,
)
from jitui.aftersales.memory_store.tables import MemoryTables
from jitui.aftersales.model.order import Buyer
from jitui.aftersales.ports import HistoryRecord

_Row = TypeVar("_Row", Buyer, Category, HistoryRecord)


class MemoryRegistry:
    """What is set counts from the next request on."""

    def __init__(self, tables: MemoryTables) -> None:
        self._tables = tables

    async def put_buyer(self, buyer: Buyer, now: datetime, *, kept: Collection[str] = ()) -> Buyer:
        """Create or replace a buyer; with `attributes` in `kept`, only the given attributes are replaced."""
        known = self._tables.buyers.get(buyer.buyer_id)
        row = _kept(buyer, known, set(kept) - {"attributes"})
        if known is not None and "attributes" in kept:
            row = replace(row, attributes={**known.attributes, **buyer.attributes})
        self._tables.buyers[buyer.buyer_id] = row
        return row

    async def get_buyer(self, buyer_id: str) -> Buyer | None:
        """The buyer's row; None when there is none."""
        return self._tables.buyers.get(buyer_id)

    async def put_category(self, category: Category, now: datetime, *, kept: Collection[str] = ()) -> Category:
        """Create or replace a category."""
        row = _kept(category, self._tables.categories.get(category.category_id), kept)
        self._tables.categories[category.category_id] = row
        return row

    async def set_coverage(self, coverage: Coverage) -> None:
        """Set whether a place is covered."""
        self._tables.coverage[coverage.scope, coverage.ref] = coverage

    async def find_coverage(self, scope: Scope, ref: str) -> Coverage | None:
        """The row of a place itself."""
        return self._tables.coverage.get((scope, ref))

    async def unset_coverage(self, scope: Scope, ref: str, *, by: str, now: datetime) -> bool:
        """Whether a person had set it."""
        known = self._tables.coverage.get((scope, ref))
        if known is None or known.by_gate is not None:
            return False
        del self._tables.coverage[scope, ref]
        return True

    async def set_pause(self, pause: Pause) -> Pause:
        """Stop instant approvals for a place."""
        stands = later_pause(self._tables.pauses.get((pause.scope, pause.ref)), pause)
        self._tables.pauses[pause.scope, pause.ref] = stands
        return stands

    async def lift_pause(self, scope: Scope, ref: str, *, by: str, now: datetime) -> bool:
        """Whether there was a pause to lift."""
        if await self.find_pause(scope, ref, now) is None:
            return False
        del self._tables.pauses[scope, ref]
        return True

    async def find_pause(self, scope: Scope, ref: str, now: datetime) -> Pause | None:
        """The pause that stands for a place."""
        found = self._tables.pauses.get((scope, ref))
        return found if found is not None and found.stands(now) else None

    async def pauses(self, now: datetime) -> Sequence[Pause]:
        """All pauses that stand."""
        standing = (pause for pause in self._tables.pauses.values() if pause.stands(now))
        return sorted(standing, key=lambda pause: pause.set_at)

    async def restrict(self, restriction: Restriction) -> bool:
        """Withdraw the service from a buyer; False, without a change, when the restriction's id exists."""
        return self._tables.restrictions.setdefault(restriction.restriction_id, restriction) is restriction

    async def lift_restriction(self, restriction_id: UUID, now: datetime, *, by: str, reason: str = "") -> bool:
        """Whether there was a standing restriction to lift."""
        known = self._tables.restrictions.get(restriction_id)
        if known is None or not known.stands(now):
            return False
        self._tables.restrictions[restriction_id] = replace(known, lifted_at=now, lifted_by=by, lift_reason=reason)
        return True

    async def restriction(self, restriction_id: UUID) -> Restriction | None:
        """One restriction."""
        return self._tables.restrictions.get(restriction_id)

    async def restrictions_of(self, buyer_id: str) -> Sequence[Restriction]:
        """The buyer's restrictions, newest first, also past ones."""
        theirs = [one for one in self._tables.restrictions.values() if one.buyer_id == buyer_id]
        return sorted(theirs, key=lambda one: (one.starts_at, one.restriction_id), reverse=True)

    async def select(self, selection: Selection) -> UUID:
        """Put a buyer on the allow or deny list; the entry's id, which stays when the list changes."""
        known = self._tables.selections.get(selection.buyer_id, selection)
        self._tables.selections[selection.buyer_id] = replace(selection, selection_id=known.selection_id)
        return known.selection_id

    async def propose_selection(self, selection: Selection) -> UUID:
        """Keep whom a proposal would put on the allow list; proposed again the id stays."""
        known = self._tables.selections_proposed.setdefault(selection.buyer_id, replace(selection, proposed=True))
        return known.selection_id

    async def selection_of(self, buyer_id: str) -> Selection | None:
        """On which list a buyer is."""
        return self._tables.selections.get(buyer_id)

    async def selection_entry(self, selection_id: UUID) -> Selection | None:
        """One entry, also one that is only proposed."""
        entries = (*self._tables.selections.values(), *self._tables.selections_proposed.values())
        return next((one for one in entries if one.selection_id == selection_id), None)

    async def record_history(
        self, records: Sequence[HistoryRecord], *, kept: Collection[str] = ()
    ) -> Sequence[HistoryRecord]:
        """Record from when on kinds of events are complete."""
        history = self._tables.history
        for record in records:
            history[record.kind] = _kept(record, history.get(record.kind), set(kept) & {"fresh_until"})
        return [history[record.kind] for record in records]

    async def history_records(self) -> Sequence[HistoryRecord]:
        """The kinds of events that are complete, and from when on."""
        return [record for _, record in sorted(self._tables.history.items())]

    async def refused_events(self, events: Sequence[RecordBuyerEvent]) -> Sequence[RefusedEvent]:
        """Events that name another buyer's order, and retractions in the future or of another kind than their event."""
        of_others = {place for place, event in enumerate(events) if self._is_of_another(event)}
        of_another_kind = {place for place, event in enumerate(events) if self._is_of_another_kind(event)}
        return contradicting(events, of_others, of_another_kind)

    async def record_buyer_events(self, events: Sequence[RecordBuyerEvent]) -> int:
        """Append to buyers' histories; returns how many events were new."""
        refused = {one.event for one in await self.refused_events(events)}
        new = 0
        for event in events:
            if event not in refused:
                self._tables.buyer(event.buyer_id)
                new += self._tables.record_event(event)
        return new

    def _is_of_another(self, event: RecordBuyerEvent) -> bool:
        named = self._tables.snapshots.get(event.order_id or "")
        return named is not None and named.order.buyer_id != event.buyer_id

    def _is_of_another_kind(self, event: RecordBuyerEvent) -> bool:
        """Whether the event and the one that it retracts differ in kind, in whichever order they came."""
        known = self._tables.events.get(event.buyer_id, {})
        if event.retracts is not None:
            return event.retracts in known and known[event.retracts].kind != event.kind
        return any(one.retracts == event.event_id and one.kind != event.kind for one in known.values())


def _kept(row: _Row, known: _Row | None, kept: Collection[str]) -> _Row:
    """The row with the `kept` fields of the known row."""
    if known is None:
        return row
    return replace(row, **{field.name: getattr(known, field.name) for field in fields(row) if field.name in kept})
