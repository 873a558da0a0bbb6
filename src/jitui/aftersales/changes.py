"""What a plan writes, one value per kind of row; the PostgreSQL adapter has one statement for each.

Deltas, not totals, so that the database's own CHECKs stand guard over every amount and unit (I1, I3).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from uuid import UUID

from jitui.aftersales.model.order import Dispute, Funder, Shipment, Tender
from jitui.aftersales.model.refund import Attempt, AttemptState, Refund, RefundState, Settlement, SettlementProposal
from jitui.aftersales.model.task import NewTask
from jitui.aftersales.model.ticket import OPEN_STATES, ApprovedBy, Ticket, TicketEvent, TicketLine, TicketState


@dataclass(frozen=True, slots=True)
class OpenTicket:
    """A new ticket with its lines; a second open ticket on a line is refused by the database."""

    ticket: Ticket
    lines: tuple[TicketLine, ...]


@dataclass(frozen=True, slots=True)
class MoveTicket:
    """A ticket's next state; not `open` closes the ticket's lines, for good. An approval's split is that moment's."""

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


def move_ticket(ticket: Ticket) -> MoveTicket:
    """The change that brings a ticket's row to where the ticket stands now."""
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
    )


@dataclass(frozen=True, slots=True)
class RecordDecision:
    """The decision whole: outcome, policy version, facts and conditions (I4); JSON-ready values.

    `read_from` says how much history there was to count the features from.
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


@dataclass(frozen=True, slots=True)
class AddTimeline:
    """Timeline rows."""

    events: tuple[TicketEvent, ...]


@dataclass(frozen=True, slots=True)
class ClaimUnits:
    """Units and money of a line that come under a ticket (positive) or are set free (negative)."""

    line_id: str
    quantity: int
    amount_minor: int


@dataclass(frozen=True, slots=True)
class ClaimFreight:
    """Freight that goes with the last refunded line (positive) or is set free."""

    amount_minor: int


@dataclass(frozen=True, slots=True)
class UnitsLeft:
    """Units that left by a ship command, or by a carrier's word alone."""

    line_id: str
    shipped: int = 0
    scanned: int = 0


@dataclass(frozen=True, slots=True)
class QueueRefund:
    """A new refund, queued."""

    refund: Refund


@dataclass(frozen=True, slots=True)
class HoldTender:
    """Moves between a tender's pending and refunded amounts."""

    tender_id: str
    pending_minor: int = 0
    refunded_minor: int = 0


@dataclass(frozen=True, slots=True)
class ReturnFunding:
    """A funder's share on its way back."""

    funder: Funder
    amount_minor: int


@dataclass(frozen=True, slots=True)
class MoveRefund:
    """A refund's next state and when the worker looks at it again (`due_at` None: nothing to do)."""

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
    """The evidence of a payment by hand joins the refund, once."""

    refund_id: UUID
    settlement: Settlement


@dataclass(frozen=True, slots=True)
class MoveAttempt:
    """What has become known of an attempt."""

    attempt_id: UUID
    state: AttemptState
    provider_refund_id: str | None
    reason: str
    news_at: datetime


@dataclass(frozen=True, slots=True)
class LedgerEntry:
    """One ledger row; the same posting twice is one row (I7)."""

    posting: str
    debit: str
    credit: str
    amount_minor: int
    currency: str
    posted_at: datetime


@dataclass(frozen=True, slots=True)
class OpenTask:
    """A task for a person; the same task twice is one row."""

    task_id: UUID
    task: NewTask


@dataclass(frozen=True, slots=True)
class CloseTask:
    """What a task was open for has ended; without an open task of the condition nothing changes."""

    condition: str
    note: str
    at: datetime


class BuyerEventKind(StrEnum):
    """Kinds of a buyer's history that this service records itself."""

    ORDER_PAID = "order_paid"
    ORDER_COMPLETED = "order_completed"
    REFUND_REQUESTED = "refund_requested"
    REFUND_BEFORE_SHIPMENT = "refund_before_shipment"


@dataclass(frozen=True, slots=True)
class RecordBuyerEvent:
    """An event of the buyer's history; the same event id twice counts once. `retracts` names an event it takes back.

    Without a `currency` the amount is in that of the order which the event names; else the currency is unknown.
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


class OutgoingEventKind(StrEnum):
    """Kinds on the feed; warehouses act on `stop_ship`."""

    ORDER_PAID = "order.paid"
    SHIPMENT_RECORDED = "shipment.recorded"
    ORDER_COMPLETED = "order.completed"
    TICKET_REQUESTED = "ticket.requested"
    TICKET_APPROVED = "ticket.approved"
    TICKET_AMOUNT_RAISED = "ticket.amount_raised"
    STOP_SHIP = "stop_ship"
    TICKET_REJECTED = "ticket.rejected"
    TICKET_WITHDRAWN = "ticket.withdrawn"
    TICKET_REFUNDED = "ticket.refunded"
    TICKET_REFUND_FAILED = "ticket.refund_failed"
    TICKET_REOPENED = "ticket.reopened"
    INCIDENT_OPENED = "incident.opened"
    DISPUTE_RECORDED = "dispute.recorded"


@dataclass(frozen=True, slots=True)
class Announce:
    """One event on the feed behind /v1/changes, roll-ups and webhooks."""

    kind: OutgoingEventKind
    at: datetime
    shop_id: str
    body: Mapping[str, object]
    ticket_id: UUID | None = None


@dataclass(frozen=True, slots=True)
class PutShipment:
    """A new shipment, or more about a known one; a second shipment of one `waybill` is refused by the database."""

    shipment: Shipment
    waybill: str


@dataclass(frozen=True, slots=True)
class OpenIncident:
    """Goods left although they were refunded (R9)."""

    incident_id: UUID
    ticket_id: UUID
    shop_id: str
    amount_minor: int
    currency: str
    evidence: Mapping[str, object]
    opened_at: datetime


@dataclass(frozen=True, slots=True)
class CaptureTender:
    """A captured payment; the first one makes the order paid."""

    tender: Tender


@dataclass(frozen=True, slots=True)
class CaptureMore:
    """A later capture of a payment that is known: so much more."""

    tender_id: str
    amount_minor: int


@dataclass(frozen=True, slots=True)
class ClaimPayment:
    """A payment belongs to this buyer from now on; another buyer's is refused by the database."""

    provider: str
    payment_id: str


@dataclass(frozen=True, slots=True)
class SharePayment:
    """A part of a payment for several orders; all parts together stay within the total, which never changes."""

    provider: str
    payment_id: str
    total_minor: int
    amount_minor: int


@dataclass(frozen=True, slots=True)
class StatePaymentTotal:
    """The total of a payment that was told for one order and turns out to be for several."""

    tender_id: str
    total_minor: int


@dataclass(frozen=True, slots=True)
class RaiseTicketLine:
    """More money for the same units of a ticket."""

    ticket_id: UUID
    line_id: str
    amount_minor: int


@dataclass(frozen=True, slots=True)
class RecordLaterDecision:
    """An approval that was decided again, on more money."""

    decision: RecordDecision


@dataclass(frozen=True, slots=True)
class PutDispute:
    """A card dispute, new or moved; `lost_minor` goes off what the tender can still give."""

    dispute: Dispute


@dataclass(frozen=True, slots=True)
class CompleteOrder:
    """The buyer has the goods and the order is closed well."""

    completed_at: datetime


@dataclass(frozen=True, slots=True)
class ClaimRefund:
    """A worker has a due refund until its lease ends: with a new attempt, or None, the same attempt once more.

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
    | Announce
    | PutShipment
    | OpenIncident
    | ClaimPayment
    | SharePayment
    | StatePaymentTotal
    | CaptureTender
    | CaptureMore
    | RaiseTicketLine
    | RecordLaterDecision
    | PutDispute
    | CompleteOrder
)
