"""The changes that a plan writes, one class per kind; the PostgreSQL adapter has one statement for each.

Amounts and units are differences, not totals, so the database's CHECK constraints verify every result (I1, I3).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from jitui.aftersales.model.events import BuyerEventKind as BuyerEventKind
from jitui.aftersales.model.events import OutgoingEventKind as OutgoingEventKind
from jitui.aftersales.model.incident import Contest, Incident, IncidentEntry, IncidentKind
from jitui.aftersales.model.order import Dispute, Funder, Shipment, ShipmentSource, Tender
from jitui.aftersales.model.receipt import Receipt
from jitui.aftersales.model.refund import Attempt, AttemptState, Refund, RefundState, Settlement, SettlementProposal
from jitui.aftersales.model.review import Arbitration, Assignment, Offer
from jitui.aftersales.model.task import NewTask
from jitui.aftersales.model.ticket import OPEN_STATES, ApprovedBy, Ticket, TicketEvent, TicketLine, TicketState


@dataclass(frozen=True, slots=True)
class OpenTicket:
    """A new ticket with its lines; the database refuses a second open ticket on a line."""

    ticket: Ticket
    lines: tuple[TicketLine, ...]


@dataclass(frozen=True, slots=True)
class MoveTicket:
    """A ticket's new state, with the amounts and split of an approval; `open` false closes its lines for good."""

    ticket_id: UUID
    state: TicketState
    version: int
    open: bool
    amount_minor: int
    freight_minor: int
    funding_returns: Mapping[Funder, int]
    expires_at: datetime | None
    approved_by: ApprovedBy | None
    approved_at: datetime | None
    closed_at: datetime | None
    remind_at: datetime | None = None
    assignment: Assignment | None = None
    offer: Offer | None = None
    arbitration: Arbitration | None = None
    notice: Mapping[str, str] | None = None


def move_ticket(ticket: Ticket) -> MoveTicket:
    """The change that writes the ticket as it is now."""
    return MoveTicket(
        ticket_id=ticket.ticket_id,
        state=ticket.state,
        version=ticket.version,
        open=ticket.state in OPEN_STATES,
        amount_minor=ticket.amount_minor,
        freight_minor=ticket.freight_minor,
        funding_returns=ticket.funding_returns,
        expires_at=ticket.expires_at if ticket.state is TicketState.AWAITING_MERCHANT else None,
        approved_by=ticket.approved_by,
        approved_at=ticket.approved_at,
        closed_at=ticket.closed_at,
        remind_at=ticket.remind_at if ticket.state is TicketState.AWAITING_MERCHANT else None,
        assignment=ticket.assignment,
        offer=ticket.offer,
        arbitration=ticket.arbitration,
        notice=ticket.notice,
    )


@dataclass(frozen=True, slots=True)
class RecordDecision:
    """A complete decision as JSON values: outcome, policy version, facts and conditions (I4).

    `read_from`: how much history was available for the features. `shadow`: what a policy in shadow decided beside it.
    `receipt`: what the buyer is acknowledged; a second decision on a ticket has none.
    """

    ticket_id: UUID
    policy_id: str
    policy_version: str
    policy_sha256: str
    outcome: str
    decided_at: datetime
    facts: Mapping[str, object]
    decision: Mapping[str, object]
    read_from: Mapping[str, object] | None = None
    shadow: Mapping[str, object] | None = None
    receipt: Receipt | None = None


@dataclass(frozen=True, slots=True)
class AddTimeline:
    """Timeline rows to add."""

    events: tuple[TicketEvent, ...]


@dataclass(frozen=True, slots=True)
class ClaimUnits:
    """Units and money of a line: positive when a ticket claims them, negative when it releases them."""

    line_id: str
    quantity: int
    amount_minor: int


@dataclass(frozen=True, slots=True)
class ClaimFreight:
    """Freight: positive when the ticket of the last refunded line claims it, negative when it is released."""

    amount_minor: int


@dataclass(frozen=True, slots=True)
class UnitsLeft:
    """Units that left: `shipped` by a ship command, `scanned` only by a carrier's scan."""

    line_id: str
    shipped: int = 0
    scanned: int = 0


@dataclass(frozen=True, slots=True)
class QueueRefund:
    """A new refund in the queue."""

    refund: Refund


@dataclass(frozen=True, slots=True)
class HoldTender:
    """Amounts to add to what is pending and what is refunded of a tender; both may be negative."""

    tender_id: str
    pending_minor: int = 0
    refunded_minor: int = 0


@dataclass(frozen=True, slots=True)
class ReturnFunding:
    """A part of a funder's share that is returned to the funder."""

    funder: Funder
    amount_minor: int


@dataclass(frozen=True, slots=True)
class MoveRefund:
    """A refund's new state, and when the worker looks at it again (`due_at` None: never)."""

    refund_id: UUID
    state: RefundState
    due_at: datetime | None
    reason: str
    closed_at: datetime | None
    tries: int


@dataclass(frozen=True, slots=True)
class ProposeSettlement:
    """A payment by hand waits for a second person; None: not any more."""

    refund_id: UUID
    proposal: SettlementProposal | None


@dataclass(frozen=True, slots=True)
class SettleRefund:
    """The evidence that a refund was paid by hand; only the first is kept."""

    refund_id: UUID
    settlement: Settlement


@dataclass(frozen=True, slots=True)
class MoveAttempt:
    """The new state of an attempt."""

    attempt_id: UUID
    state: AttemptState
    provider_refund_id: str | None
    reason: str
    news_at: datetime


@dataclass(frozen=True, slots=True)
class LedgerEntry:
    """A ledger row; the same posting written twice is one row (I7)."""

    posting: str
    debit: str
    credit: str
    amount_minor: int
    currency: str
    posted_at: datetime


@dataclass(frozen=True, slots=True)
class OpenTask:
    """A task for a person; the same task opened twice is one row."""

    task_id: UUID
    task: NewTask


@dataclass(frozen=True, slots=True)
class CloseTask:
    """What a task was open for has ended; without an open task of the condition nothing changes."""

    condition: str
    note: str
    at: datetime


@dataclass(frozen=True, slots=True)
class RecordBuyerEvent:
    """An event in the buyer's history; the same event id counts once.

    `retracts`: an event that is taken back. Without `currency` the amount is in the order's, without an order unknown.
    """

    buyer_id: str
    event_id: str
    kind: str
    at: datetime
    recorded_at: datetime
    order_id: str | None = None
    amount_minor: int = 0
    retracts: str | None = None
    currency: str | None = None


@dataclass(frozen=True, slots=True)
class RestrictBuyer:
    """The service is withdrawn from the buyer because a rule of the policy is true (R11).

    `facts` are those that the rule read. `occurrence` counts the rule's restrictions of this buyer from 1; the database
    takes each number once. `reason` is for staff; `text` is what the buyer is told, empty: in general words.
    """

    restriction_id: UUID
    reason: str
    withdraw: str
    starts_at: datetime
    ends_at: datetime
    policy_id: str
    policy_version: str
    policy_sha256: str
    rule_id: str
    occurrence: int
    facts: Mapping[str, object]
    text: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Announce:
    """An event on the feed, from which /v1/changes, roll-ups and webhooks read."""

    kind: OutgoingEventKind
    at: datetime
    shop_id: str
    body: Mapping[str, object]
    ticket_id: UUID | None = None


@dataclass(frozen=True, slots=True)
class PutShipment:
    """A new or updated shipment; the database refuses a second shipment with the same `waybill`."""

    shipment: Shipment
    waybill: str


@dataclass(frozen=True, slots=True)
class ClaimWaybill:
    """A waybill is this buyer's, as told at `at`; the database refuses a merchant's while it is another buyer's."""

    waybill: str
    told_by: ShipmentSource
    at: datetime


@dataclass(frozen=True, slots=True)
class RecordReminder:
    """Somebody is reminded of a shipping risk; the database takes each stage of it once."""

    risk: str
    subject: str
    stage: int
    told_at: datetime


@dataclass(frozen=True, slots=True)
class OpenIncident:
    """Goods left although they were refunded, once a ticket (R9), or the platform's account paid, once a refund."""

    incident_id: UUID
    ticket_id: UUID
    shop_id: str
    amount_minor: int
    currency: str
    evidence: Mapping[str, object]
    opened_at: datetime
    kind: IncidentKind = IncidentKind.GOODS_LEFT
    refund_id: UUID | None = None


@dataclass(frozen=True, slots=True)
class MoveIncident:
    """An incident as it is now, and the entry of its log that tells why; None where only a worker's moment is set."""

    incident: Incident
    entry: IncidentEntry | None


@dataclass(frozen=True, slots=True)
class PutContest:
    """A new or answered contest of an incident; who decided the incident does not answer, says the database too."""

    incident_id: UUID
    contest: Contest


@dataclass(frozen=True, slots=True)
class CaptureTender:
    """A captured payment; the first one makes the order paid."""

    tender: Tender


@dataclass(frozen=True, slots=True)
class CaptureMore:
    """A further captured amount of a known payment."""

    tender_id: str
    amount_minor: int


@dataclass(frozen=True, slots=True)
class ClaimPayment:
    """Records that a payment belongs to this buyer; the database refuses it when it is another buyer's."""

    provider: str
    payment_id: str


@dataclass(frozen=True, slots=True)
class SharePayment:
    """A part of a payment for several orders. All parts together stay within the total, which never changes."""

    provider: str
    payment_id: str
    total_minor: int
    amount_minor: int


@dataclass(frozen=True, slots=True)
class StatePaymentTotal:
    """The total of a payment that was first reported for one order, and pays for several."""

    tender_id: str
    total_minor: int


@dataclass(frozen=True, slots=True)
class ChangeTicketLine:
    """Units and money to add to a line of a ticket; both may be negative. A line without units is closed."""

    ticket_id: UUID
    line_id: str
    amount_minor: int
    quantity: int = 0


@dataclass(frozen=True, slots=True)
class RecordLaterDecision:
    """A second decision on a ticket: more money was captured, or the warehouse holds the goods."""

    decision: RecordDecision


@dataclass(frozen=True, slots=True)
class PutDispute:
    """A new or updated card dispute; `lost_minor` is deducted from what the tender can still refund."""

    dispute: Dispute


@dataclass(frozen=True, slots=True)
class CompleteOrder:
    """The buyer has received the goods."""

    completed_at: datetime


@dataclass(frozen=True, slots=True)
class ClaimRefund:
    """A worker's lease on a due refund: with a new attempt, or, when `attempt` is None, to repeat the same one.

    No plan writes it: a store claims what is due (`commands.claim`), PostgreSQL many refunds at a time.
    """

    refund_id: UUID
    lease_until: datetime
    attempt: Attempt | None = None


Change = (
    OpenTicket
    | MoveTicket
    | RecordDecision
    | AddTimeline
    | ClaimUnits
    | ClaimFreight
    | UnitsLeft
    | QueueRefund
    | HoldTender
    | ReturnFunding
    | MoveRefund
    | ProposeSettlement
    | SettleRefund
    | MoveAttempt
    | LedgerEntry
    | OpenTask
    | CloseTask
    | RecordBuyerEvent
    | RestrictBuyer
    | Announce
    | PutShipment
    | ClaimWaybill
    | RecordReminder
    | OpenIncident
    | MoveIncident
    | PutContest
    | ClaimPayment
    | SharePayment
    | StatePaymentTotal
    | CaptureTender
    | CaptureMore
    | ChangeTicketLine
    | RecordLaterDecision
    | PutDispute
    | CompleteOrder
)
