"""After-sales: values and calls. Written by scripts/client_api.py."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Literal
from uuid import UUID

from msgspec import UNSET, UnsetType

from jitui.client.api.shared import Amount, ApprovedBy, Reason, TicketState, TicketView, UnitsSent
from jitui.client.call import Call, ListCall, Sent, Shown, Word, if_match, new_idempotency_key


class Outcome(Word):
    """Instant: refund at once. Review: ask the merchant. A condition that is not true never refuses a request."""

    INSTANT = "instant"
    REVIEW = "review"


class Verdict(Word):
    """Whether a condition holds; only `true` does."""

    FALSE = "false"
    TRUE = "true"
    UNKNOWN = "unknown"


class ApprovalSent(Sent, frozen=True, kw_only=True):
    """For whom it is approved; the body may be left out."""

    acting_for: Literal["merchant"] | UnsetType = UNSET
    person: str | UnsetType = UNSET


class ConditionAnswer(Shown, frozen=True, kw_only=True):
    """One condition: whether it held, and a sentence; `facts` only for the platform."""

    id: str
    verdict: Verdict
    sentence: Mapping[str, str]
    facts: Mapping[str, object] = {}


class DecisionAnswer(Shown, frozen=True, kw_only=True):
    """Why a request was or was not refunded at once; `facts` and `unknown` only for the platform."""

    outcome: Outcome
    policy: PolicyName
    decided_at: datetime
    conditions: tuple[ConditionAnswer, ...]
    unknown: tuple[str, ...] = ()
    facts: Mapping[str, object] = {}


class EligibilityAnswer(Shown, frozen=True, kw_only=True):
    """What would be decided now, and for how much; nothing was written."""

    outcome: Outcome
    amount: Amount
    policy: PolicyName
    conditions: tuple[ConditionAnswer, ...]
    review_reason: str | None = None
    unknown: tuple[str, ...] = ()


class EvidenceSent(Sent, frozen=True, kw_only=True):
    """The parcel that left; it is recorded together with the rejection."""

    tracking_no: str
    happened_at: datetime
    carrier: str | None = None
    lines: Sequence[UnitsSent] = ()


class PolicyName(Shown, frozen=True, kw_only=True):
    """The policy that decided; `sha256` only for the platform."""

    policy_id: str
    version: str
    sha256: str = ""


class RefundRequestSent(Sent, frozen=True, kw_only=True):
    """A buyer's request for a refund; without lines: of everything that can be refunded. It never has amounts."""

    order_id: str
    buyer_id: str | None = None
    reason: Reason = Reason.OTHER
    lines: Sequence[UnitsSent] = ()


class RejectionSent(Sent, frozen=True, kw_only=True):
    """Why the merchant rejects; with a shipment as evidence its units are released and shipped."""

    acting_for: Literal["merchant"] | UnsetType = UNSET
    person: str | UnsetType = UNSET
    reason: str
    shipment: EvidenceSent | None = None


class TicketDecided(Shown, frozen=True, kw_only=True):
    """The new ticket and the decision on it."""

    ticket: TicketView
    decision: DecisionAnswer


class TicketPage(Shown, frozen=True, kw_only=True):
    """A page of tickets, newest first; `next` is null on the last one."""

    tickets: tuple[TicketRow, ...]
    next: str | None


class TicketRow(Shown, frozen=True, kw_only=True):
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


def ask_for_a_refund(
    sent: RefundRequestSent, *, idempotency_key: str | None = None, deadline_ms: int | None = None
) -> Call[TicketDecided]:
    """Ask for a refund.

    Opens a ticket and decides it: refunded at once, or awaiting the merchant. The answer explains the decision as far
    as the key's scope may know it. Keys of scope: buyer, platform. Permission: `refund_requests:write`.
    """
    return Call(
        operation="ask_for_a_refund",
        method="POST",
        path="/v1/after-sales",
        answer=TicketDecided,
        statuses=(201,),
        headers={"Jitui-Deadline-Ms": deadline_ms},
        body=sent,
        idempotency_key=idempotency_key or new_idempotency_key(),
        may_repeat=True,
    )


def list_tickets(
    *,
    shop_id: str | None = None,
    buyer_id: str | None = None,
    order_id: str | None = None,
    state: TicketState | None = None,
    approved_by: ApprovedBy | None = None,
    requested_from: datetime | None = None,
    requested_until: datetime | None = None,
    cursor: str | None = None,
    limit: int | None = None,
) -> ListCall[TicketPage, TicketRow]:
    """List tickets.

    Newest first. A shop or buyer key lists its own. Keys of scope: buyer, platform, shop. Permission: `tickets:read`.
    """
    return ListCall(
        operation="list_tickets",
        method="GET",
        path="/v1/after-sales",
        answer=TicketPage,
        statuses=(200,),
        query={
            "shop_id": shop_id,
            "buyer_id": buyer_id,
            "order_id": order_id,
            "state": state,
            "approved_by": approved_by,
            "requested_from": requested_from,
            "requested_until": requested_until,
            "cursor": cursor,
            "limit": limit,
        },
        may_repeat=True,
        rows="tickets",
    )


def check_if_eligible(sent: RefundRequestSent) -> Call[EligibilityAnswer]:
    """Ask whether a refund would be given at once.

    A dry run of the same decision: nothing is written and no lock is taken. Keys of scope: buyer, platform. Permission:
    `refund_requests:read`.
    """
    return Call(
        operation="check_if_eligible",
        method="POST",
        path="/v1/eligibility",
        answer=EligibilityAnswer,
        statuses=(200,),
        body=sent,
        may_repeat=True,
    )


def get_ticket(ticket_id: UUID) -> Call[TicketView]:
    """Read a ticket. Keys of scope: buyer, platform, shop. Permission: `tickets:read`."""
    return Call(
        operation="get_ticket",
        method="GET",
        path="/v1/after-sales/{ticket_id}",
        answer=TicketView,
        statuses=(200,),
        places={"ticket_id": ticket_id},
        may_repeat=True,
    )


def approve_ticket(
    ticket_id: UUID, sent: ApprovalSent | None = None, *, idempotency_key: str | None = None, version: int
) -> Call[TicketView]:
    """Approve a ticket.

    The money is queued in the same transaction. A platform key approves as `operator`, or as `merchant` where it says
    `acting_for` and `person`. Keys of scope: platform, shop. Permission: `tickets:write`.
    """
    return Call(
        operation="approve_ticket",
        method="POST",
        path="/v1/after-sales/{ticket_id}/approve",
        answer=TicketView,
        statuses=(200,),
        places={"ticket_id": ticket_id},
        headers={"If-Match": if_match(version)},
        body=sent,
        idempotency_key=idempotency_key or new_idempotency_key(),
        may_repeat=True,
    )


def reject_ticket(
    ticket_id: UUID, sent: RejectionSent, *, idempotency_key: str | None = None, version: int
) -> Call[TicketView]:
    """Reject a ticket.

    With a shipment as evidence, the rejection and the shipment are recorded in one step. Keys of scope: platform, shop.
    Permission: `tickets:write`.
    """
    return Call(
        operation="reject_ticket",
        method="POST",
        path="/v1/after-sales/{ticket_id}/reject",
        answer=TicketView,
        statuses=(200,),
        places={"ticket_id": ticket_id},
        headers={"If-Match": if_match(version)},
        body=sent,
        idempotency_key=idempotency_key or new_idempotency_key(),
        may_repeat=True,
    )


def withdraw_ticket(
    ticket_id: UUID, *, idempotency_key: str | None = None, version: int | None = None
) -> Call[TicketView]:
    """Withdraw a ticket.

    If-Match is optional here. Keys of scope: buyer, platform. Permission: `refund_requests:write`.
    """
    return Call(
        operation="withdraw_ticket",
        method="POST",
        path="/v1/after-sales/{ticket_id}/withdraw",
        answer=TicketView,
        statuses=(200,),
        places={"ticket_id": ticket_id},
        headers={"If-Match": if_match(version)},
        idempotency_key=idempotency_key or new_idempotency_key(),
        may_repeat=True,
    )


def get_decision(ticket_id: UUID) -> Call[DecisionAnswer]:
    """Read the decision on a ticket. Keys of scope: buyer, platform, shop. Permission: `tickets:read`."""
    return Call(
        operation="get_decision",
        method="GET",
        path="/v1/after-sales/{ticket_id}/decision",
        answer=DecisionAnswer,
        statuses=(200,),
        places={"ticket_id": ticket_id},
        may_repeat=True,
    )
