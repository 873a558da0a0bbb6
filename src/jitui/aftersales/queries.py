"""Reads tickets, orders, decisions and incidents for lists and pages, newest first."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol
from uuid import UUID

from jitui.aftersales.changes import LedgerEntry
from jitui.aftersales.incident_list import IncidentFilter
from jitui.aftersales.model.incident import Incident, IncidentEntry
from jitui.aftersales.model.order import Order
from jitui.aftersales.model.receipt import Receipt
from jitui.aftersales.model.refund import RefundState
from jitui.aftersales.model.ticket import Arm
from jitui.aftersales.ports import (
    DecisionQuery,
    IncidentRef,
    OrderFilter,
    OrderRef,
    StoredDecision,
    TicketFilter,
    TicketRef,
)
from jitui.aftersales.refund_list import ListedRefunds, RefundFilter
from jitui.aftersales.ticket_list import ListedTickets

TIME_BOUNDS_SECONDS = (10, 60, 600, 3_600, 86_400, 259_200)
"""Where the intervals of the times to a refund end: 10 s, a minute, 10 minutes, an hour, a day, three days."""


@dataclass(frozen=True, slots=True)
class TimeInterval:
    """How many refunds took less than `below_seconds`, and no less than the interval before; None: however long."""

    below_seconds: int | None
    instant: int
    reviewed: int


@dataclass(frozen=True, slots=True)
class DisputeRate:
    """Card disputes that were opened before anything of their order was with a carrier, and all paid orders."""

    disputes: int
    orders: int

    @property
    def per_1000_orders(self) -> float | None:
        """Disputes per 1,000 paid orders, to two decimals; None without orders."""
        return round(1_000 * self.disputes / self.orders, 2) if self.orders else None


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
    times: tuple[TimeInterval, ...] = ()


@dataclass(frozen=True, slots=True)
class Health:
    """The state of the service for an operator.

    `migrated`: the schema is the one that this version needs. `usage_as_of`: the age of the cap usage, by the clock of
    the caller's `now`. `refund_queue`: the refunds that are not paid yet, by state.
    """

    migrated: bool
    usage_as_of: datetime | None
    refund_queue: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class OpenRefunds:
    """Refunds of one provider in one state, those aside that are paid.

    `oldest_at`: since when the oldest stands so: sent, failed, or due. `due_since`: since when one waits that a worker
    could take; None while nobody has to.
    """

    provider: str
    state: RefundState
    count: int
    oldest_at: datetime
    due_since: datetime | None = None


@dataclass(frozen=True, slots=True)
class ProviderTroubleSeen:
    """That a worker cannot work with a provider, why, and since when."""

    kind: str
    reason: str
    since: datetime


@dataclass(frozen=True, slots=True)
class WorkerSeen:
    """A worker that has not said that it stops; `seen_seconds_ago` by the database's clock."""

    name: str
    started_at: datetime
    seen_seconds_ago: float
    providers: tuple[str, ...]
    trouble: Mapping[str, ProviderTroubleSeen] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class OverdueComplaint:
    """A merchant's complaint that was to be answered by now."""

    complaint_id: UUID
    shop_id: str
    answer_by: datetime


@dataclass(frozen=True, slots=True)
class UnconfirmedChange:
    """What one person did at once and nobody confirmed in time."""

    confirmation_id: UUID
    action: str
    subject: str
    done_by: str
    confirm_by: datetime


@dataclass(frozen=True, slots=True)
class Imbalance:
    """Orders of one currency whose ledger and payments differ, and by how much together; see `UnbalancedOrder`."""

    currency: str
    orders: int
    amount_minor: int


@dataclass(frozen=True, slots=True)
class CapUse:
    """What was approved at once within a cap's window; `amount_minor` is in the policy's currency alone."""

    approvals: int
    amount_minor: int


@dataclass(frozen=True, slots=True)
class CapsUsed:
    """Usage as it was rolled up last; `shop` has the most approvals and the highest amount that any shop has.

    So have `category` of any category and `cluster` of any cluster.
    """

    platform: CapUse
    shop: CapUse
    category: CapUse
    cluster: CapUse


@dataclass(frozen=True, slots=True)
class ArbitrationFilter:
    """A page of open arbitrations by the day of the answer; `after` is the last row of the page before."""

    shop_id: str | None = None
    buyer_id: str | None = None
    after: tuple[datetime, UUID] | None = None
    limit: int = 50


@dataclass(frozen=True, slots=True)
class OpenArbitration:
    """A ticket on which the platform is asked to decide; amounts are those of the request."""

    ticket_id: UUID
    order_id: str
    shop_id: str
    version: int
    amount_minor: int
    currency: str
    reason: str
    opened_at: datetime
    answer_by: datetime


@dataclass(frozen=True, slots=True)
class OverdueAnswers:
    """Open appeals or arbitrations whose answer was promised by now, and the earliest of the days."""

    count: int
    oldest_answer_by: datetime


@dataclass(frozen=True, slots=True)
class CanaryTrouble:
    """What is the matter with the newest canary.

    `ended_for`: why a guard ended it, until something else is published or its text is retired. `signals`: the metrics
    for which its share is not raised.
    """

    publication: int
    version: str
    ended_for: str | None = None
    signals: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class PlatformSeen:
    """A connected commerce platform as it stands.

    `read_at`: when it was last read to its end; `problem`: why not since. `began`: some of it was read. The first
    reading of a large shop takes hours.
    """

    platform: str
    url: str
    shop_id: str
    connected_at: datetime
    read_at: datetime | None
    problem: str
    began: bool = False

    @property
    def unread_since(self) -> datetime:
        """Since when nothing is known for certain; since it was connected, where it never was read."""
        return self.read_at or self.connected_at

    def unread_seconds(self, now: datetime) -> float:
        """For how long it was not read."""
        return max(0.0, (now - self.unread_since).total_seconds())


@dataclass(frozen=True, slots=True)
class OperationsState:
    """What an operator must see: refunds that are not paid, workers, the age of the cap usage, open tasks by kind.

    `usage_as_of` is on the clock of the caller's `now`.
    """

    refunds: tuple[OpenRefunds, ...] = ()
    workers: tuple[WorkerSeen, ...] = ()
    usage_as_of: datetime | None = None
    open_tasks: Mapping[str, int] = field(default_factory=dict)
    open_incidents: int = 0
    imbalances: tuple[Imbalance, ...] = ()
    overdue_appeals: OverdueAnswers | None = None
    overdue_arbitrations: OverdueAnswers | None = None
    overdue_complaints: tuple[OverdueComplaint, ...] = ()
    canary: CanaryTrouble | None = None
    unconfirmed: tuple[UnconfirmedChange, ...] = ()
    platforms: tuple[PlatformSeen, ...] = ()


@dataclass(frozen=True, slots=True)
class ArmFigures:
    """The requests of an arm in one currency, how many were approved at once, and for how much."""

    arm: Arm
    currency: str
    requests: int
    instant: int
    instant_minor: int


@dataclass(frozen=True, slots=True)
class ShadowCell:
    """Requests on which the live policy and the shadow came to these outcomes; `shadow` None: it could not decide.

    `examples`: tickets, the newest first.
    """

    live: str
    shadow: str | None
    requests: int
    examples: tuple[UUID, ...] = ()


@dataclass(frozen=True, slots=True)
class ShadowCondition:
    """A condition with another verdict, or that only one of the two policies has: on how many requests."""

    condition: str
    requests: int
    examples: tuple[UUID, ...] = ()


@dataclass(frozen=True, slots=True)
class ShadowReport:
    """What a policy in shadow decided beside the live one: the cells of the four-way table that have requests."""

    cells: tuple[ShadowCell, ...] = ()
    conditions: tuple[ShadowCondition, ...] = ()
    first_at: datetime | None = None
    last_at: datetime | None = None

    @property
    def requests(self) -> int:
        """How many were compared."""
        return sum(cell.requests for cell in self.cells)

    @property
    def differ(self) -> int:
        """On how many the outcomes differ."""
        return sum(cell.requests for cell in self.cells if cell.live != cell.shadow)


@dataclass(frozen=True, slots=True)
class UnbalancedOrder:
    """An order whose ledger and payments say different amounts of one thing (I7)."""

    order_id: str
    currency: str
    what: str  # captured | promised | paid_back | charged_back | escrow
    ledger_minor: int
    order_minor: int


@dataclass(frozen=True, slots=True)
class IncidentDetails:
    """An incident with its log, oldest entry first."""

    incident: Incident
    log: tuple[IncidentEntry, ...]


class Receipts(Protocol):
    """Reads what was acknowledged to buyers."""

    async def receipt(self, ref: TicketRef) -> Receipt | None:
        """The receipt of a ticket; None for one that no request of the buyer's opened, or an earlier release."""
        ...


class Queries(Protocol):
    """Reads without locks; the caller sets the filter for a shop or a buyer (I8)."""

    async def tickets(self, wanted: TicketFilter) -> ListedTickets:
        """A page; exact for a buyer or an order, otherwise at most a second late while a worker works."""
        ...

    async def arbitrations(self, wanted: ArbitrationFilter) -> Sequence[OpenArbitration]: ...

    async def orders(self, wanted: OrderFilter) -> Sequence[Order]: ...

    async def decision(self, ref: TicketRef) -> StoredDecision | None: ...

    async def refunds(self, wanted: RefundFilter) -> ListedRefunds:
        """A page; exact for a buyer or an order, otherwise at most a second late while a worker works."""
        ...

    async def incidents(self, wanted: IncidentFilter) -> Sequence[Incident]: ...

    async def orders_of_waybill(self, waybill: str) -> Sequence[OrderRef]:
        """The orders whose goods travel under a number, as `waybill_of` writes it; of the buyer who has it now."""
        ...

    async def incident(self, ref: IncidentRef) -> IncidentDetails | None: ...

    async def ledger(self, ref: OrderRef) -> Sequence[LedgerEntry]: ...

    async def benefit(self, *, shop_id: str | None, since: datetime | None) -> Benefit: ...

    async def dispute_rate(self, *, shop_id: str | None, since: datetime | None) -> DisputeRate: ...

    async def health(self, now: datetime) -> Health: ...

    async def operations(self, now: datetime) -> OperationsState: ...

    async def arms(self, since: datetime) -> Sequence[ArmFigures]:
        """What was requested in each arm since then."""
        ...

    async def shadow_report(self, sha256: str, *, since: datetime | None, examples: int) -> ShadowReport:
        """What the shadow with this text decided beside the live policy."""
        ...

    async def caps_used(self, query: DecisionQuery) -> CapsUsed:
        """How much of the caps of shops and the platform is used, over the windows that the query names."""
        ...

    async def unbalanced_orders(self, since: datetime | None, limit: int) -> Sequence[UnbalancedOrder]:
        """Of orders with a posting since then, and of those with an open task about it; None: of all orders."""
        ...
