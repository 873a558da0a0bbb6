"""A ticket as the API shows it to each kind of reader."""

from __future__ import annotations

from dataclasses import replace
from uuid import UUID

import msgspec

from jitui.aftersales.model.refund import RefundState
from jitui.aftersales.model.snapshot import OrderSnapshot
from jitui.aftersales.model.ticket import ActorKind, ApprovedBy, Reason, Ticket, TicketState
from jitui.aftersales.model.view import RefundView, TicketLineView, TicketView, TimelineView, view_ticket, without_staff
from jitui.aftersales.ports import TicketRef
from jitui.entrypoints.http.exchange import Headers
from jitui.entrypoints.http.fields import read_uuid
from jitui.entrypoints.http.operation import PLATFORM, SHOP
from jitui.entrypoints.http.reply import Answer, answer
from jitui.entrypoints.http.request import RequestContext
from jitui.entrypoints.http.resources import sample
from jitui.ids import lane_of_id

TICKET_TAG = ["After-sales"]
_PUBLIC_REVIEW_REASONS = frozenset({"partly_shipped", "captured_later"})


def ticket_ref(ticket_id: str) -> TicketRef | None:
    """The ticket in an address; its id contains the lane."""
    known = read_uuid(ticket_id)
    return TicketRef(lane_of_id(known), known) if known is not None else None


async def find_ticket(request: RequestContext, ticket_id: str) -> tuple[OrderSnapshot, Ticket] | None:
    """The ticket in an address with its order; None when the caller may not see it."""
    ref = ticket_ref(ticket_id)
    snapshot = await request.service.store.read_order(ref) if ref is not None else None
    if ref is None or snapshot is None:
        return None
    ticket = snapshot.ticket(ref.ticket_id)
    return (snapshot, ticket) if request.may_see(shop_id=ticket.shop_id, buyer_id=ticket.buyer_id) else None


def ticket_for(request: RequestContext, snapshot: OrderSnapshot, ticket_id: UUID) -> TicketView:
    """The ticket's view, without what only the platform may see when the caller is not the platform."""
    view = view_ticket(snapshot, ticket_id)
    if request.key_scope is PLATFORM:
        return view
    view = without_staff(view, shop=request.key_scope is SHOP)
    refunds = tuple(replace(refund, reason="") for refund in view.refunds)
    return replace(view, refunds=refunds, review_reason=public_review_reason(request, view.review_reason))


def ticket_answer(request: RequestContext, snapshot: OrderSnapshot, ticket_id: UUID, status: int = 200) -> Answer:
    """The ticket as an answer, its version as the ETag."""
    view = ticket_for(request, snapshot, ticket_id)
    return answer(view, status, headers=(_etag(view.version),))


def public_review_reason(request: RequestContext, reason: str | None) -> str | None:
    """The review reason, as far as the caller may know it."""
    return reason if request.key_scope is PLATFORM or reason in _PUBLIC_REVIEW_REASONS else None


# Headers, computed from the body, so that a stored response gets the same ones ----------------------------------------


class _Named(msgspec.Struct):
    ticket_id: UUID
    version: int


class _NamedInside(msgspec.Struct):
    ticket: _Named


_read_ticket = msgspec.json.Decoder(_Named).decode
_read_new = msgspec.json.Decoder(_NamedInside).decode


def headers_of_ticket(body: bytes) -> Headers:
    """The ticket's version as ETag, from a stored response."""
    return (_etag(_read_ticket(body).version),)


def headers_of_new(body: bytes) -> Headers:
    """The version and address of a new ticket, from a stored response."""
    return headers_for_new(_read_new(body).ticket)


def headers_for_new(ticket: Ticket | TicketView | _Named) -> Headers:
    """The version and address of a new ticket."""
    return _etag(ticket.version), ("location", f"/v1/after-sales/{ticket.ticket_id}")


def _etag(version: int) -> tuple[str, str]:
    return "etag", f'"{version}"'


# Example ---------------------------------------------------------------------------------------------------------

TICKET_EXAMPLE = TicketView(
    ticket_id=sample.TICKET_ID,
    order_id="o-1001",
    buyer_id="b-1",
    shop_id="s-1",
    state=TicketState.REFUNDED,
    version=3,
    reason=Reason.NO_LONGER_WANTED,
    amount=sample.FULL,
    freight=sample.ZERO,
    approved_by=ApprovedBy.INSTANT_REFUND,
    notice=sample.NOTICE,
    review_reason=None,
    requested_at=sample.ASKED_AT,
    expires_at=None,
    approved_at=sample.ASKED_AT,
    closed_at=sample.REFUNDED_AT,
    seconds_to_refund=2.0,
    lines=(TicketLineView("l1", "sku-1", "Cotton shirt, white", 1, sample.FULL),),
    refunds=(
        RefundView(
            sample.REFUND_ID,
            "t1",
            "simulator",
            RefundState.SUCCEEDED,
            sample.FULL,
            sample.ASKED_AT,
            sample.REFUNDED_AT,
            "",
        ),
    ),
    timeline=(
        TimelineView(
            sample.ASKED_AT,
            ActorKind.BUYER,
            "b-1",
            None,
            TicketState.AWAITING_MERCHANT,
            "requested",
            {"amount_minor": 12900},
        ),
        TimelineView(
            sample.ASKED_AT,
            ActorKind.SYSTEM,
            "jitui",
            TicketState.AWAITING_MERCHANT,
            TicketState.REFUNDING,
            "approved_instant_refund",
            {"approved_by": "instant_refund"},
        ),
        TimelineView(
            sample.REFUNDED_AT,
            ActorKind.PROVIDER,
            "simulator",
            TicketState.REFUNDING,
            TicketState.REFUNDED,
            "paid",
            {},
        ),
    ),
)
EXAMPLES = (TICKET_EXAMPLE,)
