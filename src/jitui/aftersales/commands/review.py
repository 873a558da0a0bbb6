"""The ordinary review: the merchant approves or rejects, the buyer withdraws, or the deadline passes (R4)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime

from jitui.aftersales.apply import apply_all
from jitui.aftersales.changes import (
    AddTimeline,
    Announce,
    Change,
    ClaimFreight,
    ClaimUnits,
    OutgoingEventKind,
    move_ticket,
)
from jitui.aftersales.commands.allocation import refundable_minor
from jitui.aftersales.commands.approval import amount_now, approve_ticket
from jitui.aftersales.commands.execute import Plan
from jitui.aftersales.commands.on_ticket import Acting, Done, in_review, not_assigned, on_ticket
from jitui.aftersales.commands.ship import ShipmentUpdate, goods_with_carrier, plan_shipment
from jitui.aftersales.commands.withdrawal import rejection_refused
from jitui.aftersales.model.review import MOST_EVIDENCE, EvidenceItem, RejectionCode
from jitui.aftersales.model.snapshot import OrderSnapshot, transition
from jitui.aftersales.model.ticket import SYSTEM, Actor, ApprovedBy, Ticket, TicketState, approver
from jitui.aftersales.outcomes import Refusal, RefusalCode
from jitui.aftersales.ports import Store, TicketRef


@dataclass(frozen=True, slots=True)
class Rejection:
    """Why a merchant rejects, in a code and in words that the buyer reads, and what shows it.

    With a shipment, which is evidence too, the released units are shipped in the same step.
    """

    code: RejectionCode
    reason: str
    evidence: tuple[EvidenceItem, ...] = ()
    shipment: ShipmentUpdate | None = None

    @property
    def detail(self) -> dict[str, object]:
        """The rejection as it stands in the ticket's timeline."""
        told: dict[str, object] = {"reason_code": self.code.value, "reason": self.reason}
        if self.evidence:
            told["evidence"] = [{"text": piece.text, "url": piece.url} for piece in self.evidence]
        return told

    def refusal(self) -> Refusal | None:
        """What is missing of it; None when it is complete."""
        if not self.reason.strip():
            return Refusal(RefusalCode.EVIDENCE_MISSING, "Say why: the buyer reads it.", "reason")
        if self.code is RejectionCode.ALREADY_SHIPPED and self.shipment is None:
            return Refusal(RefusalCode.EVIDENCE_MISSING, "Goods that have left have a tracking number.", "shipment")
        if self.shipment is None and not any(piece.text.strip() for piece in self.evidence):
            return Refusal(
                RefusalCode.EVIDENCE_MISSING, "Show it: name what proves the reason, such as a message.", "evidence"
            )
        if len(self.evidence) > MOST_EVIDENCE:
            return Refusal(RefusalCode.EVIDENCE_MISSING, f"At most {MOST_EVIDENCE} pieces of evidence.", "evidence")
        return None


async def approve(store: Store, ref: TicketRef, acting: Acting) -> Done:
    """Approve as the merchant, or as an operator for the merchant; the refunds are queued in the same transaction."""

    def plan(snapshot: OrderSnapshot, ticket: Ticket) -> Plan | Refusal:
        return plan_approval(snapshot, ticket, approver(acting.by), acting.by, acting.now)

    return await on_ticket(store, ref, acting, plan, in_review, not_assigned)


async def reject(store: Store, ref: TicketRef, rejection: Rejection, acting: Acting) -> Done:
    """Reject as the merchant, with a reason and evidence; with a shipment the released units are shipped at once."""

    def plan(snapshot: OrderSnapshot, ticket: Ticket) -> Plan | Refusal:
        return plan_rejection(snapshot, ticket, rejection, acting.by, acting.now)

    return await on_ticket(store, ref, acting, plan, in_review, not_assigned)


async def withdraw(store: Store, ref: TicketRef, acting: Acting) -> Done:
    """Withdraw the request as the buyer, while it is in review."""

    def plan(snapshot: OrderSnapshot, ticket: Ticket) -> Plan | Refusal:
        return plan_closing(
            snapshot,
            ticket,
            TicketState.WITHDRAWN,
            "withdrawn",
            acting.by,
            acting.now,
            OutgoingEventKind.TICKET_WITHDRAWN,
        )

    return await on_ticket(store, ref, acting, plan, in_review)


async def expire(store: Store, ref: TicketRef, *, now: datetime) -> Done:
    """Apply the policy's `on_timeout` when the deadline has passed; goods with the carrier are never approved."""

    def plan(snapshot: OrderSnapshot, ticket: Ticket) -> Plan | Refusal:
        if ticket.expires_at is None or now < ticket.expires_at:
            return Refusal(RefusalCode.TICKET_NOT_EXPIRED, "The ticket's deadline has not passed.")
        return plan_expiry(snapshot, ticket, now)

    return await on_ticket(store, ref, Acting(SYSTEM, now), plan, in_review)


def plan_approval(
    snapshot: OrderSnapshot,
    ticket: Ticket,
    approved_by: ApprovedBy,
    by: Actor,
    now: datetime,
    *,
    detail: Mapping[str, object] | None = None,
) -> Plan | Refusal:
    """Plan an approval, which checks shipment again, under the same locks as a request.

    `detail` is added to the row of the timeline.
    """
    goods = [snapshot.line(line.line_id) for line in snapshot.lines_of(ticket.ticket_id)]
    left = any(line.left_quantity + line.claimed_quantity > line.quantity for line in goods)
    if left or snapshot.is_completed:
        return Refusal(RefusalCode.ORDER_ALREADY_SHIPPED, "These goods have left; this refund is for unshipped goods.")
    amount_minor = amount_now(snapshot, ticket).amount_minor
    if amount_minor == 0 and not snapshot.order.free_of_charge:
        return Refusal(
            RefusalCode.NOTHING_TO_REFUND,
            "Only freight was asked for, and freight goes back with the last unshipped goods.",
        )
    if amount_minor > refundable_minor(snapshot.tenders):
        return Refusal(
            RefusalCode.AMOUNT_EXCEEDS_REFUNDABLE,
            "Less than the ticket's amount can still be refunded on this order.",
        )
    if amount_minor > refundable_minor(snapshot.undisputed_tenders):
        return Refusal(
            RefusalCode.DISPUTE_OPEN,
            "The buyer's bank is asked for the same money: wait until it has decided, or reject the ticket.",
        )
    approved = approve_ticket(snapshot, ticket, approved_by=approved_by, by=by, now=now, detail=detail)
    return Plan(approved, ticket.ticket_id)


def plan_expiry(snapshot: OrderSnapshot, ticket: Ticket, now: datetime) -> Plan:
    """Plan the end of the deadline; a shipment that has left, or is with the carrier, is never refunded by it."""
    if snapshot.is_completed or goods_with_carrier(snapshot, ticket.ticket_id):
        return plan_closing(
            snapshot, ticket, TicketState.CLOSED, "goods_left", SYSTEM, now, OutgoingEventKind.TICKET_REJECTED
        )
    if snapshot.is_disputed:  # the bank may return the money too: a person decides, or the buyer asks again
        return plan_closing(
            snapshot, ticket, TicketState.CLOSED, "dispute_open", SYSTEM, now, OutgoingEventKind.TICKET_REJECTED
        )
    if ticket.on_timeout == "reject":
        return plan_closing(
            snapshot, ticket, TicketState.REJECTED, "timeout", SYSTEM, now, OutgoingEventKind.TICKET_REJECTED
        )
    approved = plan_approval(snapshot, ticket, ApprovedBy.MERCHANT_TIMEOUT, SYSTEM, now)
    if isinstance(approved, Refusal):  # there is no caller who could be told, so the ticket is closed with the reason
        return plan_closing(
            snapshot, ticket, TicketState.CLOSED, approved.code.value, SYSTEM, now, OutgoingEventKind.TICKET_REJECTED
        )
    return approved


def plan_rejection(
    snapshot: OrderSnapshot, ticket: Ticket, rejection: Rejection, by: Actor, now: datetime
) -> Plan | Refusal:
    """Reject, release the units, and ship them in the same step when a shipment is given."""
    refused = rejection.refusal() or rejection_refused(snapshot, ticket, with_shipment=rejection.shipment is not None)
    if refused is not None:
        return refused
    closed = plan_closing(
        snapshot,
        ticket,
        TicketState.REJECTED,
        "rejected",
        by,
        now,
        OutgoingEventKind.TICKET_REJECTED,
        detail=rejection.detail,
        tracking=rejection.shipment,
    )
    if rejection.shipment is None:
        return closed
    shipped = plan_shipment(apply_all(snapshot, closed.changes), rejection.shipment, by, now)
    if isinstance(shipped, Refusal):
        return shipped
    return Plan((*closed.changes, *shipped.changes), ticket.ticket_id)


def plan_closing(
    snapshot: OrderSnapshot,
    ticket: Ticket,
    state: TicketState,
    why: str,
    by: Actor,
    now: datetime,
    kind: OutgoingEventKind,
    *,
    detail: dict[str, object] | None = None,
    tracking: ShipmentUpdate | None = None,
) -> Plan:
    """Close a ticket without a refund, and release its units and freight."""
    facts = dict(detail or {})
    if tracking is not None:
        facts |= {"carrier": tracking.carrier, "tracking_no": tracking.tracking_no}
    closed = replace(ticket, state=state, version=ticket.version + 1, closed_at=now, expires_at=None)
    event = transition(snapshot, ticket, state, by=by, why=why, now=now, detail=facts)
    lines = snapshot.lines_of(ticket.ticket_id)
    body = {"state": state.value, "why": why, "version": closed.version, **facts}
    changes: tuple[Change, ...] = (
        move_ticket(closed),
        *(ClaimUnits(line.line_id, -line.quantity, -line.amount_minor) for line in lines),
        *((ClaimFreight(-ticket.freight_minor),) if ticket.freight_minor else ()),
        AddTimeline((event,)),
        Announce(kind, now, ticket.shop_id, body, ticket.ticket_id),
    )
    return Plan(changes, ticket.ticket_id)
