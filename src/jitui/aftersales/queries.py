"""Reading tickets, orders, decisions and incidents for lists and pages; newest first, by cursor."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol
from uuid import UUID

from jitui.aftersales.changes import LedgerEntry
from jitui.aftersales.model.order import Order
from jitui.aftersales.model.refund import Refund
from jitui.aftersales.model.ticket import Ticket
from jitui.aftersales.ports import (
    Incident,
    OrderFilter,
    OrderRef,
    RefundFilter,
    StoredDecision,
    TicketFilter,
    TicketRef,
)


@dataclass(frozen=True, slots=True)
class Benefit:
    """R6 to R8 for a shop or the platform: what was handled, and how long money took, instant against reviewed."""

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
    """What an operator looks at first: is the schema ours, how old is the cap usage, what waits to be paid.

    `usage_as_of` is on the clock of `now`, whatever clock rolled the usage up.
    """

    migrated: bool
    usage_as_of: datetime | None
    refund_queue: Mapping[str, int]


class Queries(Protocol):
    """Reads without locks; a shop's or buyer's own filter is set by the caller (I8)."""

    async def tickets(self, wanted: TicketFilter) -> Sequence[Ticket]: ...

    async def orders(self, wanted: OrderFilter) -> Sequence[Order]: ...

    async def decision(self, ref: TicketRef) -> StoredDecision | None: ...

    async def refunds(self, wanted: RefundFilter) -> Sequence[Refund]: ...

    async def incidents(
        self, *, shop_id: str | None, limit: int, after: tuple[datetime, UUID] | None = None
    ) -> Sequence[Incident]: ...

    async def ledger(self, ref: OrderRef) -> Sequence[LedgerEntry]: ...

    async def benefit(self, *, shop_id: str | None, since: datetime | None) -> Benefit: ...

    async def health(self, now: datetime) -> Health: ...
