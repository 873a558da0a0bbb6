"""Refunds: values and calls. Written by scripts/client_api.py."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from jitui.client.api.shared import Amount, PositiveMoney, RefundState, TicketView
from jitui.client.call import Call, ListCall, Sent, Shown, Word, new_idempotency_key


class AttemptState(Word):
    """What is known of one call to a provider."""

    DECLINED = "declined"
    PENDING = "pending"
    SENDING = "sending"
    SUCCEEDED = "succeeded"
    UNKNOWN = "unknown"


class RefundAction(Word):
    """What an operator can do about a refund."""

    CONFIRM = "confirm"
    REJECT = "reject"
    RETRY = "retry"
    SETTLE = "settle"


class AttemptAnswer(Shown, frozen=True, kw_only=True):
    """One call to the provider."""

    attempt_id: UUID
    attempt_no: int
    state: AttemptState
    started_at: datetime
    news_at: datetime | None
    provider_refund_id: str | None
    reason: str


class ConfirmationSent(Sent, frozen=True, kw_only=True):
    """Which proposed payment by hand is confirmed."""

    reference: str


class ManualPayoutSent(Sent, frozen=True, kw_only=True):
    """A refund was paid outside the provider: the evidence. The amount must be the refund's."""

    reference: str
    note: str
    amount: PositiveMoney


class ProposalAnswer(Shown, frozen=True, kw_only=True):
    """A payment by hand that waits for a second person."""

    reference: str
    note: str
    by: str
    at: datetime


class RefundAnswer(Shown, frozen=True, kw_only=True):
    """One tender's share of a ticket on its way back; what follows `closed_at` is for the platform alone."""

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
    proposal: ProposalAnswer | None = None
    actions: tuple[RefundAction, ...] = ()


class RefundPage(Shown, frozen=True, kw_only=True):
    """A page of refunds, newest first; `next` is null on the last one."""

    refunds: tuple[RefundRow, ...]
    next: str | None


class RefundRow(Shown, frozen=True, kw_only=True):
    """A refund in a list; `reason` and `proposal` are for the platform alone."""

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
    proposal: ProposalAnswer | None = None


class SettlementAnswer(Shown, frozen=True, kw_only=True):
    """How a refund was paid outside its provider."""

    reference: str
    note: str
    by: str
    at: datetime
    confirmed_by: str | None = None


class SettlementRejectionSent(Sent, frozen=True, kw_only=True):
    """Why a proposed payment by hand is rejected."""

    note: str


def list_refunds(
    *,
    state: RefundState | None = None,
    provider: str | None = None,
    order_id: str | None = None,
    buyer_id: str | None = None,
    shop_id: str | None = None,
    queued_before: datetime | None = None,
    cursor: str | None = None,
    limit: int | None = None,
) -> ListCall[RefundPage, RefundRow]:
    """List refunds.

    Newest first. `queued_before`: those that are older. A shop's or buyer's key lists its own, without reasons. Keys of
    scope: buyer, platform, shop. Permission: `refunds:read`.
    """
    return ListCall(
        operation="list_refunds",
        method="GET",
        path="/v1/refunds",
        answer=RefundPage,
        statuses=(200,),
        query={
            "state": state,
            "provider": provider,
            "order_id": order_id,
            "buyer_id": buyer_id,
            "shop_id": shop_id,
            "queued_before": queued_before,
            "cursor": cursor,
            "limit": limit,
        },
        may_repeat=True,
        rows="refunds",
    )


def get_refund(refund_id: UUID) -> Call[RefundAnswer]:
    """Read a refund.

    Attempts, reasons, settlement and what can be done now (`actions`) are shown to the platform alone. Keys of scope:
    buyer, platform, shop. Permission: `refunds:read`.
    """
    return Call(
        operation="get_refund",
        method="GET",
        path="/v1/refunds/{refund_id}",
        answer=RefundAnswer,
        statuses=(200,),
        places={"refund_id": refund_id},
        may_repeat=True,
    )


def retry_refund(refund_id: UUID, *, idempotency_key: str | None = None) -> Call[TicketView]:
    """Retry a failed refund.

    A new attempt with a new key; the answer is the ticket. Keys of scope: platform. Permission: `refunds:write`.
    """
    return Call(
        operation="retry_refund",
        method="POST",
        path="/v1/refunds/{refund_id}/retry",
        answer=TicketView,
        statuses=(200,),
        places={"refund_id": refund_id},
        idempotency_key=idempotency_key or new_idempotency_key(),
        may_repeat=True,
    )


def settle_refund(refund_id: UUID, sent: ManualPayoutSent, *, idempotency_key: str | None = None) -> Call[TicketView]:
    """Settle a failed refund by hand.

    The refund was paid outside its provider: it counts as paid, with the evidence, and is never sent again. Should the
    provider pay it after all, a task says so. Above the amount that one person may settle (a setting) the answer is
    202: it waits for another person, and nothing moves. The answer is the ticket. Keys of scope: platform. Permission:
    `refunds:write`.
    """
    return Call(
        operation="settle_refund",
        method="POST",
        path="/v1/refunds/{refund_id}/settle-manually",
        answer=TicketView,
        statuses=(200, 202),
        places={"refund_id": refund_id},
        body=sent,
        idempotency_key=idempotency_key or new_idempotency_key(),
        may_repeat=True,
    )


def confirm_refund_settlement(
    refund_id: UUID, sent: ConfirmationSent, *, idempotency_key: str | None = None
) -> Call[TicketView]:
    """Confirm a payment by hand.

    By another person (another key) than the one who proposed it: the refund is settled. The answer is the ticket. Keys
    of scope: platform. Permission: `refunds:write`.
    """
    return Call(
        operation="confirm_refund_settlement",
        method="POST",
        path="/v1/refunds/{refund_id}/confirm-settlement",
        answer=TicketView,
        statuses=(200,),
        places={"refund_id": refund_id},
        body=sent,
        idempotency_key=idempotency_key or new_idempotency_key(),
        may_repeat=True,
    )


def reject_refund_settlement(
    refund_id: UUID, sent: SettlementRejectionSent, *, idempotency_key: str | None = None
) -> Call[TicketView]:
    """Reject a payment by hand.

    A proposed payment by hand is taken back, by who proposed it or by another person; the refund stays as it was. The
    answer is the ticket. Keys of scope: platform. Permission: `refunds:write`.
    """
    return Call(
        operation="reject_refund_settlement",
        method="POST",
        path="/v1/refunds/{refund_id}/reject-settlement",
        answer=TicketView,
        statuses=(200,),
        places={"refund_id": refund_id},
        body=sent,
        idempotency_key=idempotency_key or new_idempotency_key(),
        may_repeat=True,
    )
