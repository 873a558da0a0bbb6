"""The ticket as it is shown: API, console, command line and feed all render this value."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from uuid import UUID

import msgspec

from jitui.aftersales.model.refund import Refund, RefundState
from jitui.aftersales.model.review import (
    ARBITRATION_WINDOW,
    Arbitration,
    Assignment,
    EvidenceItem,
    Offer,
    RejectionCode,
)
from jitui.aftersales.model.snapshot import OrderSnapshot
from jitui.aftersales.model.ticket import ActorKind, ApprovedBy, Basis, Reason, Ticket, TicketEvent, TicketState


@dataclass(frozen=True, slots=True)
class Amount:
    """An amount, as the API writes it."""

    amount_minor: int
    currency: str


@dataclass(frozen=True, slots=True)
class TicketLineView:
    """Units of one line, and the money that is refunded for them."""

    line_id: str
    sku: str
    title: str
    quantity: int
    amount: Amount


@dataclass(frozen=True, slots=True)
class RefundView:
    """The refund from one tender."""

    refund_id: UUID
    tender_id: str
    provider: str
    state: RefundState
    amount: Amount
    queued_at: datetime
    closed_at: datetime | None
    reason: str


@dataclass(frozen=True, slots=True)
class TimelineView:
    """One transition: when, who, from, to, why."""

    at: datetime
    actor: ActorKind
    actor_id: str
    from_state: TicketState | None
    to_state: TicketState
    why: str
    detail: Mapping[str, object]


@dataclass(frozen=True, slots=True)
class RejectionView:
    """Why the request was rejected; until when the buyer can ask for arbitration."""

    reason_code: RejectionCode | None
    reason: str
    evidence: tuple[EvidenceItem, ...]
    rejected_at: datetime
    arbitration_until: datetime


@dataclass(frozen=True, slots=True)
class ReviewView:
    """What a review has come to: who works on it, what the shop offers, the rejection, the arbitration."""

    assignment: Assignment | None
    offer: Offer | None
    rejection: RejectionView | None
    arbitration: Arbitration | None


@dataclass(frozen=True, slots=True)
class TicketView:
    """A ticket with its lines, refunds and timeline; `notice` says that the service decided, if it did.

    `review`: None while nobody has done anything in its review, so on every ticket that was approved at once.
    """

    ticket_id: UUID
    order_id: str
    buyer_id: str
    shop_id: str
    state: TicketState
    version: int
    reason: Reason
    amount: Amount
    freight: Amount
    approved_by: ApprovedBy | None
    notice: Mapping[str, str] | None
    review_reason: str | None
    requested_at: datetime
    expires_at: datetime | None
    approved_at: datetime | None
    closed_at: datetime | None
    seconds_to_refund: float | None
    lines: tuple[TicketLineView, ...]
    refunds: tuple[RefundView, ...]
    timeline: tuple[TimelineView, ...]
    review: ReviewView | None = None
    basis: Basis = Basis.GOODWILL


_OWN_STAFF = frozenset({ActorKind.PLATFORM, ActorKind.OPERATOR})


def without_staff(view: TicketView, *, shop: bool) -> TicketView:
    """The view without the names of staff, for a buyer or (`shop`) for the shop (R16).

    Of the shop's people a buyer reads the shop's id, of the platform's nobody reads a name or what they noted.
    """
    timeline = tuple(_without_staff(event, view, shop=shop) for event in view.timeline)
    review = None if view.review is None else _review_without_staff(view.review, shop=shop)
    return replace(view, timeline=timeline, review=review)


def _without_staff(event: TimelineView, view: TicketView, *, shop: bool) -> TimelineView:
    actor_id = event.actor_id
    if event.actor in _OWN_STAFF:
        actor_id = ""
    elif event.actor is ActorKind.MERCHANT and not shop:
        actor_id = view.shop_id
    detail = {name: value for name, value in event.detail.items() if name != "note"}
    return replace(event, actor_id=actor_id, detail=detail)


def _review_without_staff(review: ReviewView, *, shop: bool) -> ReviewView:
    assignment, offer, arbitration = review.assignment, review.offer, review.arbitration
    if assignment is not None and not (shop and assignment.kind == ActorKind.MERCHANT):
        assignment = replace(assignment, person="") if shop else None
    if offer is not None and not shop:
        offer = replace(offer, offered_by="")
    if arbitration is not None:
        arbitration = replace(arbitration, opened_by="", decided_by="")
    return replace(review, assignment=assignment, offer=offer, arbitration=arbitration)


def _review(snapshot: OrderSnapshot, ticket: Ticket) -> ReviewView | None:
    rejection = _rejection(snapshot, ticket)
    found = (ticket.assignment, ticket.offer, rejection, ticket.arbitration)
    return None if found == (None, None, None, None) else ReviewView(*found)


def _rejection(snapshot: OrderSnapshot, ticket: Ticket) -> RejectionView | None:
    """From the timeline; rejections of earlier releases have no code and no evidence."""
    told = [event for event in snapshot.timeline_of(ticket.ticket_id) if event.why == "rejected"]
    if not told:
        return None
    detail = msgspec.convert(told[-1].detail, _RejectionDetail)
    return RejectionView(
        detail.reason_code, detail.reason, detail.evidence, told[-1].at, told[-1].at + ARBITRATION_WINDOW
    )


class _RejectionDetail(msgspec.Struct, frozen=True):
    reason: str = ""
    reason_code: RejectionCode | None = None
    evidence: tuple[EvidenceItem, ...] = ()


def view_ticket(snapshot: OrderSnapshot, ticket_id: UUID) -> TicketView:
    """The view of a ticket in its order snapshot."""
    ticket = snapshot.ticket(ticket_id)
    currency = ticket.currency
    refunded_at = ticket.closed_at if ticket.state is TicketState.REFUNDED else None
    return TicketView(
        ticket_id=ticket.ticket_id,
        order_id=ticket.order_id,
        buyer_id=ticket.buyer_id,
        shop_id=ticket.shop_id,
        state=ticket.state,
        version=ticket.version,
        reason=ticket.reason,
        amount=Amount(ticket.amount_minor, currency),
        freight=Amount(ticket.freight_minor, currency),
        approved_by=ticket.approved_by,
        notice=ticket.notice,
        review_reason=ticket.review_reason,
        requested_at=ticket.requested_at,
        expires_at=ticket.expires_at,
        approved_at=ticket.approved_at,
        closed_at=ticket.closed_at,
        seconds_to_refund=None if refunded_at is None else (refunded_at - ticket.requested_at).total_seconds(),
        lines=_lines(snapshot, ticket_id, currency),
        refunds=tuple(_refund(refund) for refund in snapshot.refunds_of(ticket_id)),
        timeline=tuple(_event(event) for event in snapshot.timeline_of(ticket_id)),
        review=_review(snapshot, ticket),
        basis=ticket.basis,
    )


def _lines(snapshot: OrderSnapshot, ticket_id: UUID, currency: str) -> tuple[TicketLineView, ...]:
    goods = {line.line_id: line for line in snapshot.lines}
    return tuple(
        TicketLineView(
            line_id=line.line_id,
            sku=goods[line.line_id].sku,
            title=goods[line.line_id].title,
            quantity=line.quantity,
            amount=Amount(line.amount_minor, currency),
        )
        for line in snapshot.lines_of(ticket_id)
    )


def _refund(refund: Refund) -> RefundView:
    return RefundView(
        refund_id=refund.refund_id,
        tender_id=refund.tender_id,
        provider=refund.provider,
        state=refund.state,
        amount=Amount(refund.amount_minor, refund.currency),
        queued_at=refund.queued_at,
        closed_at=refund.closed_at,
        reason=refund.reason,
    )


def _event(event: TicketEvent) -> TimelineView:
    return TimelineView(
        at=event.at,
        actor=event.actor_kind,
        actor_id=event.actor_id,
        from_state=event.from_state,
        to_state=event.to_state,
        why=event.why,
        detail=event.detail,
    )
