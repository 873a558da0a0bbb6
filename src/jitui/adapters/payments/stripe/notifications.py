"""Stripe's events about refunds and disputes, signed with the endpoint's secret."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from uuid import UUID

import msgspec
from msgspec import Struct

from jitui.adapters.payments.stripe.amounts import from_stripe_amount
from jitui.adapters.payments.stripe.answers import ATTEMPT, RefundObject, Timestamp, result_from
from jitui.aftersales.model.order import DisputeState
from jitui.aftersales.provider import (
    DisputeNotification,
    Notification,
    NotificationIgnored,
    NotificationRefused,
    ToldDispute,
)

NAME = "stripe"
NOTIFICATION_TOLERANCE = timedelta(minutes=5)

_DISPUTE_EVENTS = frozenset({"charge.dispute.created", "charge.dispute.updated", "charge.dispute.closed"})
_DISPUTE_STATES = {
    "won": DisputeState.WON,
    "warning_closed": DisputeState.WON,
    "prevented": DisputeState.WON,
    "lost": DisputeState.LOST,
}
"""Any other status, including future ones, is an open dispute, because what is unknown must not pay."""

_REFUND_EVENTS = frozenset({"refund.created", "refund.updated", "refund.failed", "charge.refund.updated"})


class _DisputeObject(Struct, frozen=True):
    id: str
    amount: int
    currency: str
    status: str
    charge: str | None = None
    payment_intent: str | None = None
    reason: str = ""


class _EventData(Struct, frozen=True):
    object: msgspec.Raw


class _Event(Struct, frozen=True):
    id: str
    type: str
    created: Timestamp
    data: _EventData


_read_event = msgspec.json.Decoder(_Event).decode
_read_refund = msgspec.json.Decoder(RefundObject).decode
_read_dispute = msgspec.json.Decoder(_DisputeObject).decode


def read_notification(
    secrets: Sequence[str], headers: Mapping[str, str], body: bytes, now: datetime
) -> Notification | DisputeNotification | NotificationIgnored | NotificationRefused:
    """An event that is signed with one of the secrets; see `StripeProvider.read_notification`."""
    refused = [_why_not_signed(secret, headers, body, now) for secret in secrets]
    if all(refused):
        return NotificationRefused(refused[0])
    try:
        event = _read_event(body)
        if event.type in _DISPUTE_EVENTS:
            return _dispute_told(event)
        if event.type not in _REFUND_EVENTS:
            return NotificationIgnored(f"{event.type} is not about one refund")
        refund = _read_refund(event.data.object)
    except msgspec.MsgspecError as error:
        return NotificationRefused(f"unreadable body: {error}", signed=True)
    reference = (refund.metadata or {}).get(ATTEMPT)
    if reference is None:
        return NotificationIgnored(f"{refund.id} was not made by us")
    try:
        attempt_id = UUID(reference)
    except ValueError:
        return NotificationRefused(f"{ATTEMPT} is not one of our attempts", signed=True)
    result = result_from(refund, datetime.fromtimestamp(event.created, UTC))
    return Notification(NAME, event.id, attempt_id, result)


def _dispute_told(event: _Event) -> DisputeNotification | NotificationRefused:
    """The dispute in an event. Raises MsgspecError when it has none."""
    dispute = _read_dispute(event.data.object)
    currency = dispute.currency.upper()
    amount_minor = from_stripe_amount(dispute.amount, currency)
    payment_ids = tuple(filter(None, (dispute.payment_intent, dispute.charge)))
    if amount_minor is None or amount_minor <= 0 or not payment_ids:
        return NotificationRefused(f"{dispute.id} names no payment, or no amount of it", signed=True)
    told = ToldDispute(
        provider=NAME,
        dispute_id=dispute.id,
        payment_ids=payment_ids,
        state=_DISPUTE_STATES.get(dispute.status, DisputeState.OPEN),
        amount_minor=amount_minor,
        currency=currency,
        at=datetime.fromtimestamp(event.created, UTC),
        reason=dispute.reason,
    )
    return DisputeNotification(event.id, told)


def _why_not_signed(secret: str, headers: Mapping[str, str], body: bytes, now: datetime) -> str:
    """Why the signature or the age is refused; empty when both are good.

    The library compares the age with the machine's clock and accepts times in the future, so the age is checked here
    too.
    """
    from stripe import SignatureVerificationError, WebhookSignature

    header = next((value for name, value in headers.items() if name.lower() == "stripe-signature"), "")
    try:
        WebhookSignature.verify_header(body, header, secret)
    except SignatureVerificationError as error:
        return str(error).partition("\n")[0]
    except (UnicodeError, TypeError):  # the body is not UTF-8, or the signature is not ASCII
        return "the signature does not match"
    sent_at = next(int(part.split("=")[1]) for part in header.split(",") if part.startswith("t="))
    age_seconds = now.timestamp() - sent_at
    if abs(age_seconds) > NOTIFICATION_TOLERANCE.total_seconds():
        return f"sent {age_seconds:.0f} seconds ago, five minutes are allowed"
    return ""
