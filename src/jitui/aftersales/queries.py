"""Reads tickets, orders, decisions and incidents for lists and pages, newest first."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol
from uuid import UUID

from jitui.aftersales.changes import LedgerEntry
from jitui.aftersales.model.order import Order
from jitui.aftersales.model.refund import Attempt, Refund
from jitui.aftersales.model.ticket import Ticket
from jitui.aftersales.ports import Incident, OrderFilter, OrderRef, RefundRef, StoredDecision, TicketFilter, TicketRef


@dataclass(frozen=True, slots=True)
class Benefit:
    """The benefit for a shop or the platform (R6 to R8): counts, and how long instant and reviewed refunds took."""

    requests: int
    instant: int
    refunded: int
    awaiting: int
    instant_median_seconds: float | None
    instant_p99_seconds: float | None
    reviewed_median_seconds: float | None
    reviewed_p99_seconds: float | None


@dataclass(frozen=True, slots=True)
class Health:
    """The state of the service for an operator.

    `migrated`: the schema is the one that this version needs. `usage_as_of`: the age of the cap usage, by the clock of
    the caller's `now`. `refund_queue`: the refunds that are not paid yet, by state.
    """

    migrated: bool
    usage_as_of: datetime | None
    refund_queue: Mapping[str, int]


class Queries(Protocol):
    """Reads without locks; the caller sets the filter for a shop or a buyer (I8)."""

    async def tickets(self, wanted: TicketFilter) -> Sequence[Ticket]: ...

    async def orders(self, wanted: OrderFilter) -> Sequence[Order]: ...

    async def decision(self, ref: TicketRef) -> StoredDecision | None: ...

    async def refund(self, ref: RefundRef) -> tuple[Refund, Sequence[Attempt]] | None: ...

    async def incidents(
        self, *, shop_id: str | None, limit: int, after: tuple[datetime, UUID] | None = None
    ) -> Sequence[Incident]: ...

    async def ledger(self, ref: OrderRef) -> Sequence[LedgerEntry]: ...

    async def benefit(self, *, shop_id: str | None, since: datetime | None) -> Benefit: ...

    async def health(self, now: datetime) -> Health: ...
