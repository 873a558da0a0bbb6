"""What the provider's books are made of: requests, refusals, and the entries of the journal."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, TypeAlias

from msgspec import Meta, Struct

from jitui.money import MAX_AMOUNT_MINOR

Name: TypeAlias = Annotated[str, Meta(min_length=1, max_length=128, pattern=r"^[\x21-\x7e]+$")]
Amount: TypeAlias = Annotated[int, Meta(ge=-MAX_AMOUNT_MINOR, le=MAX_AMOUNT_MINOR)]
Currency: TypeAlias = Annotated[str, Meta(pattern="^[A-Z]{3}$")]


class Status(StrEnum):
    """A refund's state at the provider; FAILED returns the amount to the payment."""

    PENDING = "pending"
    SUCCEEDED = "succeeded"
    FAILED = "failed"


class BookRefusal(StrEnum):
    """Why nothing was done; the HTTP layer has a status code and a sentence for each."""

    UNKNOWN_PAYMENT = "unknown_payment"
    AMOUNT_NOT_POSITIVE = "amount_not_positive"
    CURRENCY_DIFFERS = "currency_differs"
    AMOUNT_EXCEEDS_REFUNDABLE = "amount_exceeds_refundable"
    IDEMPOTENCY_KEY_REUSED = "idempotency_key_reused"
    PAYMENT_DIFFERS = "payment_differs"
    INSUFFICIENT_BALANCE = "insufficient_balance"


class PaymentRequest(Struct, frozen=True, forbid_unknown_fields=True):
    id: Name
    order_id: Name
    amount_minor: Amount
    currency: Currency


class SimulatedRefundRequest(Struct, frozen=True, forbid_unknown_fields=True):
    reference: Name
    payment_id: Name
    amount_minor: Amount
    currency: Currency
    advance: bool = False
    """Where the merchant's balance is short, the platform's account may pay."""


class BalanceRequest(Struct, frozen=True, forbid_unknown_fields=True):
    """What the merchant's balance in a currency is from now on; None: refunds are not bounded by it."""

    currency: Currency
    amount_minor: Annotated[int, Meta(ge=0, le=MAX_AMOUNT_MINOR)] | None


class BalanceSet(Struct, tag="balance", tag_field="entry", frozen=True, gc=False):
    currency: str
    amount_minor: int | None
    at_ms: int


class PaymentCaptured(Struct, tag="payment", tag_field="entry", frozen=True, gc=False):
    request: PaymentRequest
    at_ms: int


class RefundMade(Struct, tag="refund", tag_field="entry", frozen=True, omit_defaults=True):
    """A refund with everything that was planned for it when it was made, so that a restart changes nothing."""

    request: SimulatedRefundRequest
    id: str
    status: Status
    at_ms: int
    key: str = ""  # empty when it equals the reference
    failure: str = ""
    then_status: Status | None = None
    then_at_ms: int = 0
    notify_at_ms: int | None = None  # of the first notification; None: none is sent
    then_notify_delay_ms: int = 0
    notify_times: int = 1
    advanced: bool = False  # the platform's account pays, not the merchant's balance


class RefundChanged(Struct, tag="change", tag_field="entry", frozen=True, omit_defaults=True, gc=False):
    id: str
    status: Status
    at_ms: int
    failure: str = ""


class RefundRefused(Struct, tag="refusal", tag_field="entry", frozen=True):
    """A refusal that is stored with its key: repeating the request gets the same response, as at Stripe."""

    request: SimulatedRefundRequest
    key: str
    refusal: BookRefusal
    at_ms: int


class NoticeDone(Struct, tag="notice", tag_field="entry", frozen=True, gc=False):
    event_id: str
    delivered: bool  # False: given up after the last attempt


Entry: TypeAlias = PaymentCaptured | BalanceSet | RefundMade | RefundChanged | RefundRefused | NoticeDone
