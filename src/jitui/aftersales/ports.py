"""The ports of the after-sales core, which PostgreSQL implements (`jitui.adapters.postgres`)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Protocol
from uuid import UUID

from jitui.aftersales.changes import Change
from jitui.aftersales.model.cluster import ClusterSeen
from jitui.aftersales.model.order import Funding, Hold, OrderLine
from jitui.aftersales.model.refund import Attempt, Refund
from jitui.aftersales.model.snapshot import OrderSnapshot
from jitui.aftersales.model.sorting import Place, SortOrder
from jitui.aftersales.model.ticket import ApprovedBy, TicketState
from jitui.aftersales.model.usage import Usage, UsageBeside
from jitui.aftersales.outcomes import IdempotencyKey, Refusal, StoredResponse
from jitui.aftersales.ticket_list import TicketSort
from jitui.policy import PublicPolicy

# References: how a command names the order that it works on -----------------------------------------------------


@dataclass(frozen=True, slots=True)
class OrderRef:
    """An order with the lane of its buyer, so that no look-up is needed."""

    lane: int
    order_id: str


@dataclass(frozen=True, slots=True)
class TicketRef:
    """A ticket; its id contains the lane."""

    lane: int
    ticket_id: UUID


@dataclass(frozen=True, slots=True)
class RefundRef:
    """A refund; its id contains the lane."""

    lane: int
    refund_id: UUID


@dataclass(frozen=True, slots=True)
class AttemptRef:
    """An attempt, by the id that providers send back; the id contains the lane."""

    lane: int
    attempt_id: UUID


@dataclass(frozen=True, slots=True)
class IncidentRef:
    """An incident; its id contains the lane. A snapshot that it names has the incident."""

    lane: int
    incident_id: UUID


Ref = OrderRef | TicketRef | RefundRef | AttemptRef | IncidentRef

# Recording an order ----------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class NewOrder:
    """An order as the platform sends it; the lane, and what follows from payments and shipments, are added here."""

    order_id: str
    buyer_id: str
    shop_id: str
    currency: str
    placed_at: datetime
    lines: tuple[OrderLine, ...]
    funding: tuple[Funding, ...] = ()
    freight_minor: int = 0
    hold: Hold = Hold.NONE
    ship_by: datetime | None = None


@dataclass(frozen=True, slots=True)
class OrderTaken:
    """The result of recording an order: created, changed, or (neither) equal to the recorded one."""

    ref: OrderRef
    created: bool
    changed: bool = True


# What a decision reads in addition to the order snapshot -------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class FeatureWindow:
    """A feature to look up: events of one kind, of the buyer or the shop, from the day `from_day` to `to_day`.

    Amounts are summed in `currency`, which is that of the policy.
    """

    name: str
    subject: str
    function: str
    kind: str
    from_day: date
    to_day: date
    currency: str


@dataclass(frozen=True, slots=True)
class RuleWindow:
    """A buyer feature that a restriction rule reads, to be counted anew for a buyer whom the rule restricted before."""

    rule_id: str
    name: str
    function: str
    kind: str
    from_day: date
    to_day: date


@dataclass(frozen=True, slots=True)
class PaymentName:
    """A payment, by the provider's id."""

    provider: str
    payment_id: str


@dataclass(frozen=True, slots=True)
class DecisionQuery:
    """What the deciding statement reads: windows of the policy's features, and the starts of its caps.

    Amounts are summed in `currency`, which is the policy's. Events later than `ahead_from` are too far ahead of `now`.
    `payment`: for a capture, the payment to look up on other orders. `policy_id`: whose rules restricted the buyer
    before; empty when the policy has no rules. `time_zone`: in which days begin. `beside`: the caps of a second policy
    that decides on the same snapshot, where they differ; its windows are among these.
    """

    windows: tuple[FeatureWindow, ...]
    now: datetime
    ahead_from: datetime
    currency: str
    buyer_cap_from: datetime | None = None
    shop_cap_from: datetime | None = None
    shop_cap_bucket_seconds: int = 60
    category_cap_from: datetime | None = None
    category_cap_bucket_seconds: int = 3600
    cluster_cap_from: datetime | None = None
    cluster_cap_bucket_seconds: int = 3600
    platform_cap_from: datetime | None = None
    platform_cap_bucket_seconds: int = 3600
    payment: PaymentName | None = None
    policy_id: str = ""
    rule_windows: tuple[RuleWindow, ...] = ()
    time_zone: str = "UTC"
    beside: DecisionQuery | None = None


@dataclass(frozen=True, slots=True)
class WindowValue:
    """The sums of one window; `last_day` is None when the window has no event.

    `amount_minor` is None when it exceeds 64 bits, and when the currency of an amount is unknown. `ahead`: an event of
    the kind has a time later than now.
    """

    name: str
    events: int
    amount_minor: int | None
    last_day: date | None
    ahead: bool = False


@dataclass(frozen=True, slots=True)
class HistoryRecord:
    """From when on a kind of event is complete, and until when it is fresh (None: it is fed as it happens)."""

    kind: str
    complete_from: datetime
    fresh_until: datetime | None = None


@dataclass(frozen=True, slots=True)
class ScopedRow:
    """A coverage or pause row that applies to this order."""

    scope: str
    ref: str
    covered: bool = True
    reason: str = ""


@dataclass(frozen=True, slots=True)
class KnownPayment:
    """A payment on orders other than this one: whose it is, its number of parts and their sum there, and its total."""

    buyer_id: str | None = None
    parts: int = 0
    parts_minor: int = 0
    total_minor: int | None = None
    currency: str | None = None


@dataclass(frozen=True, slots=True)
class PastRule:
    """A restriction rule of the policy that restricted this buyer before: how often, and whether one stands now.

    `windows`: the features that the rule reads, counted from the day after the one up to which an earlier restriction
    of the rule has used events up: the day on which it began, or was lifted.
    """

    rule_id: str
    times: int
    stands: bool
    windows: tuple[WindowValue, ...] = ()


@dataclass(frozen=True, slots=True)
class DecisionInputs:
    """Everything that decides in addition to the order snapshot, read under the buyer's lock.

    `paused_scopes`, `uncovered_scopes`: those of the scopes *region* and *category* that have a paused (or not covered)
    region or category. An order whose own region or category is unknown may be in it. `category_usage`: of the order's
    categories; one that is missing has used nothing. `cluster`: None while a link of the buyer waits for a worker.
    `cluster_usage`: rolled up of a cluster, counted of a buyer who is in none.
    """

    windows: tuple[WindowValue, ...] = ()
    history: tuple[HistoryRecord, ...] = ()
    restricted: bool | None = False
    past_rules: tuple[PastRule, ...] = ()
    selection: str | None = None
    coverage: tuple[ScopedRow, ...] = ()
    pauses: tuple[ScopedRow, ...] = ()
    paused_scopes: tuple[str, ...] = ()
    uncovered_scopes: tuple[str, ...] = ()
    buyer_usage: Usage | None = field(default_factory=Usage)
    shop_usage: Usage = field(default_factory=Usage)
    platform_usage: Usage = field(default_factory=Usage)
    category_usage: dict[str, Usage] = field(default_factory=dict)
    cluster_usage: Usage | None = field(default_factory=Usage)
    cluster: ClusterSeen | None = field(default_factory=ClusterSeen)
    usage_as_of: datetime | None = None
    shop_days_as_of: datetime | None = None
    payment: KnownPayment = field(default_factory=KnownPayment)
    usage_beside: UsageBeside | None = None


# The transaction ------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Opened:
    """What the first round trip read: the snapshot (None: no such order), the state of the key, and decision inputs."""

    snapshot: OrderSnapshot | None
    in_flight: bool = False
    stored: StoredResponse | None = None
    key_reused: bool = False
    inputs: DecisionInputs | None = None


class Transaction(Protocol):
    """A transaction of two round trips.

    `open` locks the buyer, then the order, and reads; `commit` writes and commits.
    """

    async def open(
        self, ref: Ref, *, idempotency_key: IdempotencyKey | None = None, query: DecisionQuery | None = None
    ) -> Opened: ...

    async def commit(
        self,
        snapshot: OrderSnapshot,
        changes: Sequence[Change],
        *,
        idempotency_key: IdempotencyKey | None = None,
        response: StoredResponse | None = None,
    ) -> None: ...


# Reading without locks ------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class TicketFilter:
    """A page of tickets; `after` is the place of the previous page's last row in this order (`place_of`)."""

    shop_id: str | None = None
    buyer_id: str | None = None
    order_id: str | None = None
    state: TicketState | None = None
    approved_by: ApprovedBy | None = None
    requested_from: datetime | None = None
    requested_until: datetime | None = None
    sort: TicketSort = TicketSort.REQUESTED_AT
    order: SortOrder = SortOrder.DESC
    after: Place | None = None
    limit: int = 50


@dataclass(frozen=True, slots=True)
class OrderFilter:
    """A page of orders, newest first."""

    buyer_id: str | None = None
    shop_id: str | None = None
    after: tuple[datetime, str] | None = None
    limit: int = 50


@dataclass(frozen=True, slots=True)
class StoredDecision:
    """A decision, as it was stored with its ticket; `shadow` as in `RecordDecision`."""

    ticket_id: UUID
    policy_id: str
    policy_version: str
    policy_sha256: str
    outcome: str
    decided_at: datetime
    facts: Mapping[str, object]
    decision: Mapping[str, object]
    shadow: Mapping[str, object] | None = None


@dataclass(frozen=True, slots=True)
class OutgoingEvent:
    """A published event of the feed; nobody who has read it forgets it, so it names the buyer by a pseudonym."""

    position: int
    kind: str
    at: datetime
    order_id: str
    buyer_pseudonym: str
    shop_id: str
    ticket_id: UUID | None
    body: Mapping[str, object]
    event_uuid: UUID | None = field(default=None, compare=False)

    @property
    def event_id(self) -> str:
        """The event's name for others: its position finds it, the UUID keeps it unique where positions come again."""
        return f"evt_{self.position}" + (f"_{self.event_uuid.hex}" if self.event_uuid is not None else "")


@dataclass(frozen=True, slots=True)
class ClaimedRefund:
    """A refund for which this worker may call the provider until the lease ends.

    `look_up_first`: an earlier call for this attempt may have reached the provider (`architecture.md`). `may_send`: as
    far as we know the provider has not accepted the attempt, so it may be sent again. `trace_parent`: the trace of the
    transaction that queued the refund, as W3C's `traceparent`; None where traces are off.
    """

    lane: int
    refund: Refund
    attempt: Attempt
    look_up_first: bool
    may_send: bool = True
    trace_parent: str | None = None


@dataclass(frozen=True, slots=True)
class Publication:
    """A row of the publication log, as it is shown; `public_view` is None for a text that can no longer be read.

    `viewed`: the public view was made. `document` is empty unless it was asked for, or the view still has to be made.
    `replaced_at`: when another text became the live one, also of a moment that is still to come.
    """

    publication: int
    published_at: datetime
    replaced_at: datetime | None
    document: str
    viewed: bool
    public_view: PublicPolicy | None
    policy_id: str
    version: str
    sha256: str
    action: str
    stage: str
    effective_at: datetime | None
    published_by: str
    authority: str
    approved_by: str | None
    reason: str
    canary_percent: int | None = None
    cancels: int | None = None

    @property
    def takes_effect_at(self) -> datetime:
        """From when on it counts."""
        return self.effective_at or self.published_at


class Store(Protocol):
    """What the core needs of its database. Tickets, refunds and shipments are written through `transaction` alone."""

    def transaction(self) -> AbstractAsyncContextManager[Transaction]: ...

    async def find_order(self, order_id: str) -> OrderRef | None: ...

    async def read_order(self, ref: Ref) -> OrderSnapshot | None: ...

    async def read_inputs(self, ref: OrderRef, query: DecisionQuery) -> tuple[OrderSnapshot, DecisionInputs] | None: ...

    async def put_order(self, ref: OrderRef, new: NewOrder, now: datetime) -> OrderTaken | Refusal: ...

    async def claim_refunds(
        self, *, now: datetime, lease_until: datetime, limit: int, provider: str | None = None
    ) -> list[ClaimedRefund]: ...

    async def expired_tickets(self, now: datetime, limit: int) -> list[TicketRef]: ...

    async def tickets_to_remind(self, now: datetime, limit: int) -> list[TicketRef]:
        """Tickets in review whose reminder is due."""
        ...

    async def due_incidents(self, now: datetime, limit: int) -> list[IncidentRef]: ...

    async def purge_responses(self, before: datetime) -> int: ...


async def read_order_by_id(store: Store, order_id: str) -> OrderSnapshot | None:
    """The order of this id as it is now, for callers that do not know its buyer."""
    ref = await store.find_order(order_id)
    return None if ref is None else await store.read_order(ref)
