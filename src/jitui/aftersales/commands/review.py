"""The ordinary review: the merchant approves or rejects, the buyer withdraws, or the deadline passes."""

from __future__ import annotations

from collections.abc import Callable
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
from jitui.aftersales.commands.execute import Executed, IdempotentReply, Plan, execute, not_found
from jitui.aftersales.commands.ship import ShipmentUpdate, goods_with_carrier, plan_shipment
from jitui.aftersales.commands.withdrawal import rejection_refused
from jitui.aftersales.model.snapshot import OrderSnapshot, transition
from jitui.aftersales.model.ticket import APPROVED_STATES, SYSTEM, Actor, ApprovedBy, Ticket, TicketState, approver
from jitui.aftersales.outcomes import Refusal, RefusalCode, StoredResponse
from jitui.aftersales.ports import DecisionInputs, Store, TicketRef


@dataclass(frozen=True, slots=True)
class Rejection:
    """Why a merchant rejects; with tracking details as evidence, the shipment is recorded in the same step."""

    reason: str
    shipment: ShipmentUpdate | None = None


async def approve(
    store: Store,
    ref: TicketRef,
    *,
    version: int | None,
    by: Actor,
    now: datetime,
    shop_id: str | None = None,
    reply: IdempotentReply | None = None,
) -> Executed | Refusal | StoredResponse:
    """Approve as the merchant, or as an operator for the merchant; the refunds are queued in the same transaction.

    `version` None skips the check that the caller has read the newest version.
    """

    def plan(snapshot: OrderSnapshot, ticket: Ticket) -> Plan | Refusal:
        return plan_approval(snapshot, ticket, approver(by), by, now)

    return await _on_ticket(store, ref, plan, version=version, shop_id=shop_id, reply=reply)


async def reject(
    store: Store,
    ref: TicketRef,
    rejection: Rejection,
    *,
    version: int | None,
    by: Actor,
    now: datetime,
    shop_id: str | None = None,
    reply: IdempotentReply | None = None,
) -> Executed | Refusal | StoredResponse:
    """Reject as the merchant, with a reason; with tracking details the released units are shipped at once."""

    def plan(snapshot: OrderSnapshot, ticket: Ticket) -> Plan | Refusal:
        return plan_rejection(snapshot, ticket, rejection, by, now)

    return await _on_ticket(store, ref, plan, version=version, shop_id=shop_id, reply=reply)


async def withdraw(
    store: Store,
    ref: TicketRef,
    *,
    version: int | None,
    by: Actor,
    now: datetime,
    buyer_id: str | None = None,
    reply: IdempotentReply | None = None,
) -> Executed | Refusal | StoredResponse:
    """Withdraw the request as the buyer, while it is in review."""

    def plan(snapshot: OrderSnapshot, ticket: Ticket) -> Plan | Refusal:
        return _plan_closing(
            snapshot, ticket, TicketState.WITHDRAWN, "withdrawn", by, now, OutgoingEventKind.TICKET_WITHDRAWN
        )

    return await _on_ticket(store, ref, plan, version=version, buyer_id=buyer_id, reply=reply)


async def expire(store: Store, ref: TicketRef, *, now: datetime) -> Executed | Refusal | StoredResponse:
    """Apply the policy's `on_timeout` when the deadline has passed; goods with the carrier are never approved."""

    def plan(snapshot: OrderSnapshot, ticket: Ticket) -> Plan | Refusal:
        if ticket.expires_at is None or now < ticket.expires_at:
            return Refusal(RefusalCode.TICKET_NOT_EXPIRED, "The ticket's deadline has not passed.")
        return plan_expiry(snapshot, ticket, now)

    return await _on_ticket(store, ref, plan, version=None)


def plan_approval(
    snapshot: OrderSnapshot, ticket: Ticket, approved_by: ApprovedBy, by: Actor, now: datetime
) -> Plan | Refusal:
    """Plan an approval, which checks shipment again, under the same locks as a request."""
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
    return Plan(approve_ticket(snapshot, ticket, approved_by=approved_by, by=by, now=now), ticket.ticket_id)


def plan_expiry(snapshot: OrderSnapshot, ticket: Ticket, now: datetime) -> Plan:
    """Plan the end of the deadline; a shipment that has left, or is with the carrier, is never refunded by it."""
    if snapshot.is_completed or goods_with_carrier(snapshot, ticket.ticket_id):
        return _plan_closing(
            snapshot, ticket, TicketState.CLOSED, "goods_left", SYSTEM, now, OutgoingEventKind.TICKET_REJECTED
        )
    if snapshot.is_disputed:  # the bank may return the money too: a person decides, or the buyer asks again
        return _plan_closing(
            snapshot, ticket, TicketState.CLOSED, "dispute_open", SYSTEM, now, OutgoingEventKind.TICKET_REJECTED
        )
    if ticket.on_timeout == "reject":
        return _plan_closing(
            snapshot, ticket, TicketState.REJECTED, "timeout", SYSTEM, now, OutgoingEventKind.TICKET_REJECTED
        )
    approved = plan_approval(snapshot, ticket, ApprovedBy.MERCHANT_TIMEOUT, SYSTEM, now)
    if isinstance(approved, Refusal):  # there is no caller who could be told, so the ticket is closed with the reason
        return _plan_closing(
            snapshot, ticket, TicketState.CLOSED, approved.code.value, SYSTEM, now, OutgoingEventKind.TICKET_REJECTED
        )
    return approved


def plan_rejection(
    snapshot: OrderSnapshot, ticket: Ticket, rejection: Rejection, by: Actor, now: datetime
) -> Plan | Refusal:
    """Reject, release the units, and ship them in the same step when a shipment is given."""
    refused = rejection_refused(snapshot, ticket, with_shipment=rejection.shipment is not None)
    if refused is not None:
        return refused
    closed = _plan_closing(
        snapshot,
        ticket,
        TicketState.REJECTED,
        "rejected",
        by,
        now,
        OutgoingEventKind.TICKET_REJECTED,
        detail={"reason": rejection.reason},
        tracking=rejection.shipment,
    )
    if rejection.shipment is None:
        return closed
    shipped = plan_shipment(apply_all(snapshot, closed.changes), rejection.shipment, by, now)
    if isinstance(shipped, Refusal):
        return shipped
    return Plan((*closed.changes, *shipped.changes), ticket.ticket_id)


def _plan_closing(
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


async def _on_ticket(
    store: Store,
    ref: TicketRef,
    plan: Callable[[OrderSnapshot, Ticket], Plan | Refusal],
    *,
    version: int | None,
    shop_id: str | None = None,
    buyer_id: str | None = None,
    reply: IdempotentReply | None = None,
) -> Executed | Refusal | StoredResponse:
    def on_file(snapshot: OrderSnapshot, _: DecisionInputs) -> Plan | Refusal:
        ticket = snapshot.ticket(ref.ticket_id)
        refused = _may_act(ticket, version, shop_id, buyer_id)
        return refused if refused is not None else plan(snapshot, ticket)

    return await execute(store, ref, on_file, reply=reply)


def _may_act(ticket: Ticket, version: int | None, shop_id: str | None, buyer_id: str | None) -> Refusal | None:
    if (shop_id is not None and ticket.shop_id != shop_id) or (buyer_id is not None and ticket.buyer_id != buyer_id):
        return not_found()
    if ticket.state in APPROVED_STATES:
        return Refusal(
            RefusalCode.TICKET_ALREADY_APPROVED, f"The ticket was approved already, by {ticket.approved_by}."
        )
    if ticket.state is not TicketState.AWAITING_MERCHANT:
        return Refusal(RefusalCode.TICKET_ALREADY_CLOSED, f"The ticket is {ticket.state.value} already.")
    if version is not None and version != ticket.version:
        return Refusal(
            RefusalCode.TICKET_STALE,
            f"The ticket is at version {ticket.version}; read it again before you decide.",
        )
    return None
