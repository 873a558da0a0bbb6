"""Translates Stripe's responses: a refund, or an error."""

from __future__ import annotations

from datetime import UTC, datetime
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

from msgspec import Meta, Struct

from jitui.adapters.payments.calls import doubted, no_answer, trouble_of, unknown
from jitui.adapters.payments.stripe.amounts import from_stripe_amount, to_stripe_amount
from jitui.aftersales.provider import CallTrouble, RefundInstruction, RefundResult, RefundResultKind
from jitui.aftersales.reconciliation.restore import ProviderRefund
from jitui.errors import Unavailable

if TYPE_CHECKING:
    from stripe import StripeError

ATTEMPT, ORDER = "jitui_attempt", "jitui_order"
"""Our keys in a refund's metadata."""

_REASON_LENGTH = 300

Timestamp = Annotated[int, Meta(ge=0, le=10**11)]
"""Seconds since 1970."""


class _Status(StrEnum):
    PENDING = "pending"
    REQUIRES_ACTION = "requires_action"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELED = "canceled"


_KINDS = {
    _Status.PENDING: RefundResultKind.PENDING,
    _Status.REQUIRES_ACTION: RefundResultKind.PENDING,
    _Status.SUCCEEDED: RefundResultKind.SUCCEEDED,
    _Status.FAILED: RefundResultKind.DECLINED,
    _Status.CANCELED: RefundResultKind.DECLINED,
}


class RefundObject(Struct, frozen=True):
    """A refund, as in responses and events."""

    id: str
    amount: int
    currency: str
    status: _Status
    created: Timestamp
    charge: str | None = None
    payment_intent: str | None = None
    metadata: dict[str, str] | None = None
    failure_reason: str | None = None
    pending_reason: str | None = None


def result_about(instruction: RefundInstruction, refund: RefundObject) -> RefundResult:
    """The refund as a result; UNKNOWN unless it is about this attempt, payment, currency and amount."""
    payment_id = refund.payment_intent if instruction.payment_id.startswith("pi_") else refund.charge
    asked = (
        ("attempt", str(instruction.attempt_id), (refund.metadata or {}).get(ATTEMPT)),
        ("payment", instruction.payment_id, payment_id),
        ("currency", instruction.currency, refund.currency.upper()),
        ("amount", to_stripe_amount(instruction.amount_minor, instruction.currency), refund.amount),
    )
    return doubted(result_from(refund, datetime.fromtimestamp(refund.created, UTC)), asked)


def result_from(refund: RefundObject, at: datetime) -> RefundResult:
    """A refund as a result at this time; it is not compared with a request."""
    currency = refund.currency.upper()
    payment_ids = tuple(filter(None, (refund.payment_intent, refund.charge)))
    amount_minor = from_stripe_amount(refund.amount, currency)
    if not payment_ids:
        return unknown(f"Stripe does not say of which payment {refund.id} is")
    if amount_minor is None:
        return unknown(f"Stripe reports {refund.amount} {currency}, which is not a whole number of our minor units")
    return RefundResult(
        _KINDS[refund.status],
        _reason(refund),
        provider_refund_id=refund.id,
        payment_ids=payment_ids,
        amount_minor=amount_minor,
        currency=currency,
        occurred_at=at,
    )


def listed_refund(refund: RefundObject) -> ProviderRefund:
    """A refund from the account's list. Raises Unavailable when its amount cannot be expressed in our units."""
    at = datetime.fromtimestamp(refund.created, UTC)
    told = result_from(refund, at)
    if told.amount_minor is None or told.currency is None:
        raise Unavailable(f"Stripe's list of refunds cannot be read: {told.reason}.")
    return ProviderRefund(
        advanced=False,
        provider="stripe",
        provider_refund_id=refund.id,
        payment_ids=told.payment_ids,
        amount_minor=told.amount_minor,
        currency=told.currency,
        at=at,
        kind=told.kind,
        reference=(refund.metadata or {}).get(ATTEMPT),
    )


def _reason(refund: RefundObject) -> str:
    match refund.status:
        case _Status.FAILED:
            return refund.failure_reason or "failed"
        case _Status.PENDING:
            return refund.pending_reason or ""
        case _Status.REQUIRES_ACTION | _Status.CANCELED:
            return refund.status.value
        case _Status.SUCCEEDED:
            return ""


def result_to_error(error: StripeError) -> RefundResult:
    """The result of an error. DECLINED only for Stripe's own errors about the request, the rate or our key.

    A 5xx status, a key that is in use or was used for another request, and a proxy's page are UNKNOWN.
    """
    import stripe

    retry_after = _seconds((error.headers or {}).get("retry-after"))
    code = error.code or (error.error.code if error.error is not None else None)
    reason = ": ".join(filter(None, (code, error.user_message)))[:_REASON_LENGTH]
    match error:
        case stripe.APIConnectionError():
            return no_answer(error.__cause__ or error)
        case stripe.RateLimitError():  # lock_timeout too: another call held the payment, and nothing was done
            return RefundResult(
                RefundResultKind.DECLINED, code or "rate_limit", final=False, retry_after_seconds=retry_after
            )
        case stripe.AuthenticationError() | stripe.PermissionError():
            refused = code or type(error).__name__
            return RefundResult(RefundResultKind.DECLINED, refused, final=False, trouble=CallTrouble.UNAUTHORISED)
        case stripe.InvalidRequestError() | stripe.CardError():
            return RefundResult(RefundResultKind.DECLINED, reason or f"refused with {error.http_status}")
        case stripe.IdempotencyError():
            return unknown("idempotency_error: the attempt's key was used for another refund; look at both in Stripe")
    told = code or f"Stripe answered {error.http_status}"
    return unknown(told, retry_after, trouble=trouble_of(error.http_status or 0, code))


def _seconds(retry_after: str | None) -> float | None:
    return float(retry_after) if retry_after is not None and retry_after.isdecimal() else None
