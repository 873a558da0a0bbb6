"""Buyers with events that no restriction rule has looked at yet, without a database."""

from __future__ import annotations

from collections.abc import Sequence

from jitui.aftersales.commands.restriction_rules import BuyerChecked, Judge
from jitui.aftersales.governance.registry import restriction_by_rule
from jitui.aftersales.memory_store.inputs import buyer_inputs
from jitui.aftersales.memory_store.tables import MemoryTables
from jitui.aftersales.ports import DecisionQuery
from jitui.ids import lane_of


class MemoryRestrictionChecks:
    """A `jitui.aftersales.commands.restriction_rules.RestrictionChecks`."""

    def __init__(self, tables: MemoryTables) -> None:
        self._tables = tables

    async def lanes_due(self) -> Sequence[int]:
        """The lanes with buyers who are due."""
        return sorted({lane_of(buyer_id) for buyer_id in self._tables.restriction_checks})

    async def check(self, lane: int, query: DecisionQuery, judge: Judge, *, limit: int) -> int:
        """Judge up to `limit` buyers of a lane."""
        tables = self._tables
        due = sorted(one for one in tables.restriction_checks if lane_of(one) == lane)[:limit]
        for buyer_id in due:
            for told in judge(BuyerChecked(tables.buyer(buyer_id), buyer_inputs(tables, buyer_id, query))):
                tables.restrictions[told.restriction_id] = restriction_by_rule(buyer_id, told)
            tables.restriction_checks.discard(buyer_id)
        return len(due)

    async def drop(self) -> int:
        """Strike out everybody."""
        dropped = len(self._tables.restriction_checks)
        self._tables.restriction_checks.clear()
        return dropped
