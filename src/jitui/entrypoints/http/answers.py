"""What the API answers, one struct per shape; tickets are the core's own `TicketView`."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from uuid import UUID

from msgspec import Struct

from jitui.aftersales.ledger import Cause
from jitui.aftersales.order import DisputeState, Funder, Hold, ParcelDegree, ShipmentDegree, ShipmentSource
from jitui.aftersales.refund import AttemptState, RefundState
from jitui.aftersales.registry import Scope
from jitui.aftersales.task import TaskKind, TaskState
from jitui.aftersales.ticket import ApprovedBy, Reason, TicketState
from jitui.aftersales.view import Amount, TicketView
from jitui.entrypoints.http.fields import Whole
from jitui.policy import Outcome, Verdict

AttributeValues = Mapping[str, Whole | str | bool]


class _Shown(Struct, frozen=True, kw_only=True):
    pass


# Orders ----------------------------------------------------------------------------------------------------------


class OrderTakenAnswer(_Shown, frozen=True, kw_only=True):
    """The order stands as it was put."""

    order_id: str
    created: bool


class LineAnswer(_Shown, frozen=True, kw_only=True):
    """A line, and where its units are."""

    line_id: str
    sku: str
    item_id: str
    category_id: str | None
    title: str
    customised: bool | None
    virtual: bool | None
    quantity: int
    claimed_quantity: int
    left_quantity: int
    free_quantity: int
    paid: Amount
    claimed: Amount


class UnitsAnswer(_Shown, frozen=True, kw_only=True):
    """So many units of one line."""

    line_id: str
    quantity: int


class ParcelAnswer(_Shown, frozen=True, kw_only=True):
    """A parcel as it is known."""

    degree: ParcelDegree
    carrier: str
    tracking_no: str
    source: ShipmentSource
    lines: tuple[UnitsAnswer, ...]
    happened_at: datetime
    recorded_at: datetime


class TenderAnswer(_Shown, frozen=True, kw_only=True):
    """A captured payment, what is promised back from it and what went back; not shown to the shop."""

    tender_id: str
    provider: str
    payment_id: str
    captured: Amount
    pending: Amount
    refunded: Amount
    lost: Amount
    captured_at: datetime


class FundingAnswer(_Shown, frozen=True, kw_only=True):
    """A funder's share, and how much of it went back."""

    funder: Funder
    amount: Amount
    returned: Amount


class DisputeAnswer(_Shown, frozen=True, kw_only=True):
    """A card dispute; `lost` is what it took of what could still be refunded."""

    dispute_id: str
    tender_id: str
    state: DisputeState
    amount: Amount
    lost: Amount
    opened_at: datetime
    closed_at: datetime | None


class OrderAnswer(_Shown, frozen=True, kw_only=True):
    """An order with everything that belongs to it."""

    order_id: str
    buyer_id: str
    shop_id: str
    shipment: ShipmentDegree
    hold: Hold
    placed_at: datetime
    paid_at: datetime | None
    completed_at: datetime | None
    ship_by: datetime | None
    paid: Amount
    freight: Amount
    lines: tuple[LineAnswer, ...]
    shipments: tuple[ParcelAnswer, ...]
    tenders: tuple[TenderAnswer, ...]
    funding: tuple[FundingAnswer, ...]
    disputes: tuple[DisputeAnswer, ...]
    ticket_ids: tuple[UUID, ...]


class OrderRow(_Shown, frozen=True, kw_only=True):
    """An order in a list."""

    order_id: str
    buyer_id: str
    shop_id: str
    currency: str
    hold: Hold
    placed_at: datetime
    paid_at: datetime | None
    completed_at: datetime | None


class OrderPage(_Shown, frozen=True, kw_only=True):
    """A page of orders, newest first; `next` is null on the last one."""

    orders: tuple[OrderRow, ...]
    next: str | None


# After-sales -----------------------------------------------------------------------------------------------------


class ConditionAnswer(_Shown, frozen=True, kw_only=True, omit_defaults=True):
    """One condition: whether it held, and a sentence; `facts` only for the platform."""

    id: str
    verdict: Verdict
    sentence: Mapping[str, str]
    facts: Mapping[str, object] = {}


class PolicyName(_Shown, frozen=True, kw_only=True):
    """Which policy decided."""

    policy_id: str
    version: str


class DecisionAnswer(_Shown, frozen=True, kw_only=True, omit_defaults=True):
    """Why a request was or was not refunded at once; `facts` and `unknown` only for the platform."""

    outcome: Outcome
    policy: PolicyName
    decided_at: datetime
    conditions: tuple[ConditionAnswer, ...]
    unknown: tuple[str, ...] = ()
    facts: Mapping[str, object] = {}


class TicketDecided(_Shown, frozen=True, kw_only=True):
    """The new ticket and the decision on it."""

    ticket: TicketView
    decision: DecisionAnswer


class EligibilityAnswer(_Shown, frozen=True, kw_only=True, omit_defaults=True):
    """What a request would be decided now, and for how much; nothing was written."""

    outcome: Outcome
    amount: Amount
    policy: PolicyName
    conditions: tuple[ConditionAnswer, ...]
    review_reason: str | None = None
    unknown: tuple[str, ...] = ()


class TicketRow(_Shown, frozen=True, kw_only=True):
    """A ticket in a list."""

    ticket_id: UUID
    order_id: str
    buyer_id: str
    shop_id: str
    state: TicketState
    version: int
    reason: Reason
    amount: Amount
    approved_by: ApprovedBy | None
    notice: Mapping[str, str] | None
    requested_at: datetime
    expires_at: datetime | None
    approved_at: datetime | None
    closed_at: datetime | None


class TicketPage(_Shown, frozen=True, kw_only=True):
    """A page of tickets, newest first; `next` is null on the last one."""

    tickets: tuple[TicketRow, ...]
    next: str | None


# Money -----------------------------------------------------------------------------------------------------------


class AttemptAnswer(_Shown, frozen=True, kw_only=True):
    """One call to the provider."""

    attempt_id: UUID
    attempt_no: int
    state: AttemptState
    started_at: datetime
    news_at: datetime | None
    provider_refund_id: str | None
    reason: str


class SettlementAnswer(_Shown, frozen=True, kw_only=True):
    """How an operator paid a failed refund outside its provider."""

    reference: str
    note: str
    by: str
    at: datetime


class RefundAnswer(_Shown, frozen=True, kw_only=True):
    """One tender's share of a ticket on its way back; attempts, reasons and settlement only for the platform."""

    refund_id: UUID
    ticket_id: UUID
    order_id: str
    tender_id: str
    provider: str
    state: RefundState
    amount: Amount
    queued_at: datetime
    closed_at: datetime | None
    reason: str
    attempts: tuple[AttemptAnswer, ...]
    settlement: SettlementAnswer | None = None


class PostingAnswer(_Shown, frozen=True, kw_only=True):
    """An amount moved from `credit` to `debit`."""

    posted_at: datetime
    cause: Cause
    meaning: str
    debit: str
    credit: str
    amount: Amount
    posting: str


class BalanceAnswer(_Shown, frozen=True, kw_only=True):
    """An account's debits less its credits."""

    account: str
    balance_minor: int
    currency: str


class LedgerAnswer(_Shown, frozen=True, kw_only=True):
    """An order's story in accounts; balances of a currency sum to zero."""

    order_id: str
    postings: tuple[PostingAnswer, ...]
    balances: tuple[BalanceAnswer, ...]


class TaskAnswer(_Shown, frozen=True, kw_only=True):
    """Something that a person must look at, with its evidence."""

    task_id: UUID
    kind: TaskKind
    provider: str
    state: TaskState
    order_id: str | None
    amount: Amount | None
    evidence: Mapping[str, object]
    opened_at: datetime
    resolved_at: datetime | None
    resolved_by: str | None
    note: str | None


class TaskPage(_Shown, frozen=True, kw_only=True):
    """A page of tasks, newest first; `next` is null on the last one."""

    tasks: tuple[TaskAnswer, ...]
    next: str | None


class IncidentAnswer(_Shown, frozen=True, kw_only=True):
    """Goods that left although they were refunded."""

    incident_id: UUID
    order_id: str
    ticket_id: UUID
    shop_id: str
    kind: str
    state: str
    amount: Amount
    evidence: tuple[Mapping[str, object], ...]
    opened_at: datetime


class IncidentPage(_Shown, frozen=True, kw_only=True):
    """A page of incidents, newest first; `next` is null on the last one."""

    incidents: tuple[IncidentAnswer, ...]
    next: str | None


class ChangeAnswer(_Shown, frozen=True, kw_only=True):
    """Something that happened; positions only grow."""

    position: int
    kind: str
    at: datetime
    order_id: str
    buyer_id: str
    shop_id: str
    ticket_id: UUID | None
    body: Mapping[str, object]


class ChangePage(_Shown, frozen=True, kw_only=True):
    """A page of the feed, oldest first; `next` is where the next page begins, also when this one is empty."""

    changes: tuple[ChangeAnswer, ...]
    next: str


# Buyers, shops, governance ---------------------------------------------------------------------------------------


class BuyerAnswer(_Shown, frozen=True, kw_only=True):
    """What the platform told of a buyer; attributes only for the platform."""

    buyer_id: str
    registered_at: datetime | None
    region: str | None
    attributes: AttributeValues


class EventsTaken(_Shown, frozen=True, kw_only=True):
    """How many events of the batch were new."""

    recorded: int
    known_already: int


class ShopAnswer(_Shown, frozen=True, kw_only=True):
    """What the platform told of a shop; attributes only for the platform."""

    shop_id: str
    name: str
    attributes: AttributeValues


class CategoryAnswer(_Shown, frozen=True, kw_only=True):
    """A row of the category table."""

    category_id: str
    title: str
    customised: bool
    virtual: bool


class CoverageRow(_Shown, frozen=True, kw_only=True):
    """One place's coverage, and why."""

    scope: Scope
    ref: str
    covered: bool
    reason: str
    set_at: datetime


class ShopCoverageAnswer(_Shown, frozen=True, kw_only=True):
    """Whether the shop is covered, and why; then every row that touches it, its categories and its items."""

    shop_id: str
    covered: bool
    reason: str
    rows: tuple[CoverageRow, ...]


class BenefitAnswer(_Shown, frozen=True, kw_only=True):
    """What the service did for a shop: requests handled, and how long money took."""

    shop_id: str
    since: datetime | None
    requests: int
    instant: int
    refunded: int
    awaiting: int
    instant_median_seconds: float | None
    instant_p99_seconds: float | None
    reviewed_median_seconds: float | None
    reviewed_p99_seconds: float | None


class HistoryAnswer(_Shown, frozen=True, kw_only=True):
    """From when on a kind of event is complete."""

    kind: str
    complete_from: datetime
    fresh_until: datetime | None


class HistoryList(_Shown, frozen=True, kw_only=True):
    """All kinds that were ever declared; of others, history is unknown, not zero."""

    history: tuple[HistoryAnswer, ...]


class PauseAnswer(_Shown, frozen=True, kw_only=True):
    """A pause that stands."""

    scope: Scope
    ref: str
    reason: str
    set_by: str
    set_at: datetime


class PauseList(_Shown, frozen=True, kw_only=True):
    """All pauses that stand."""

    pauses: tuple[PauseAnswer, ...]


class RestrictionAnswer(_Shown, frozen=True, kw_only=True):
    """The service withdrawn from a buyer."""

    restriction_id: UUID
    buyer_id: str
    reason: str
    starts_at: datetime
    ends_at: datetime | None
    lifted_at: datetime | None
    set_by: str


class RestrictionList(_Shown, frozen=True, kw_only=True):
    """A buyer's restrictions, standing and past, newest first."""

    restrictions: tuple[RestrictionAnswer, ...]


class SelectionAnswer(_Shown, frozen=True, kw_only=True):
    """A buyer on one of the platform's lists."""

    buyer_id: str
    verdict: str
    reason: str
    set_by: str
    set_at: datetime


class PublicCondition(_Shown, frozen=True, kw_only=True):
    """A published condition."""

    id: str
    text: Mapping[str, str]


class PolicyAnswer(_Shown, frozen=True, kw_only=True, omit_defaults=True):
    """A published policy: its public conditions; the document only for the platform."""

    policy_id: str
    version: str
    title: Mapping[str, str]
    legal_basis: Mapping[str, str]
    effective_from: datetime
    published_at: datetime
    conditions: tuple[PublicCondition, ...]
    notice: Mapping[str, str]
    document: str | None = None


class PolicyList(_Shown, frozen=True, kw_only=True):
    """A page of published versions, newest first, the first of all is in force; `next` is null on the last one."""

    policies: tuple[PolicyAnswer, ...]
    next: str | None


class ReadyAnswer(_Shown, frozen=True, kw_only=True):
    """Whether requests can be served, and whether a worker works for them.

    `degraded`: `worker_ended` or `usage_unknown`. `roll_up_age_seconds`: how fresh the usage of the caps is.
    """

    ready: bool
    database: bool
    migrated: bool
    worker: bool
    degraded: tuple[str, ...]
    roll_up_age_seconds: float | None


class AliveAnswer(_Shown, frozen=True, kw_only=True):
    """The process answers."""

    status: str
