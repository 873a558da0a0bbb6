"""Stripe behind the port, through its own client library.

Source of the rules: docs.stripe.com, *Refunds*, *Idempotent requests*, *Advanced error handling*, *Error codes*,
*Currencies* and *Webhook signatures*, as of November 2026.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Mapping
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any
from uuid import UUID

import msgspec
from msgspec import Meta, Struct

from jitui.adapters.payments.calls import Closing, doubted, in_time, unknown
from jitui.aftersales.model.order import DisputeState
from jitui.aftersales.provider import (
    BOTH,
    Capabilities,
    DisputeNotification,
    Notification,
    NotificationIgnored,
    NotificationRefused,
    RefundInstruction,
    RefundResult,
    RefundResultKind,
    ToldDispute,
)
from jitui.errors import NotConfigured
from jitui.money import currency_exponent

if TYPE_CHECKING:
    from stripe import Refund, StripeError
    from stripe.params import RefundCreateParams, RefundListParams

NAME = "stripe"
NOTIFICATION_TOLERANCE = timedelta(minutes=5)
KEY_LIFE = timedelta(hours=23)
"""Stripe may forget a key once it is 24 hours old; an hour is left for clocks and for calls under way."""

ATTEMPT, ORDER = "jitui_attempt", "jitui_order"
"""Our names in a refund's metadata."""

_PAGE = 100
_METADATA_LENGTH = 500
_REASON_LENGTH = 300


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

_DISPUTE_EVENTS = frozenset({"charge.dispute.created", "charge.dispute.updated", "charge.dispute.closed"})
_DISPUTE_STATES = {
    "won": DisputeState.WON,
    "warning_closed": DisputeState.WON,
    "prevented": DisputeState.WON,
    "lost": DisputeState.LOST,
}
"""Every other status, also one that Stripe may add, is an open dispute: what is not known must not pay."""

_REFUND_EVENTS = frozenset({"refund.created", "refund.updated", "refund.failed", "charge.refund.updated"})


class _Refund(Struct, frozen=True):
    id: str
    amount: int
    currency: str
    status: _Status
    created: Annotated[int, Meta(ge=0, le=10**11)]
    charge: str | None = None
    payment_intent: str | None = None
    metadata: dict[str, str] | None = None
    failure_reason: str | None = None
    pending_reason: str | None = None


class _Dispute(Struct, frozen=True):
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
    created: Annotated[int, Meta(ge=0, le=10**11)]
    data: _EventData


_read_event = msgspec.json.Decoder(_Event).decode
_read_refund = msgspec.json.Decoder(_Refund).decode
_read_dispute = msgspec.json.Decoder(_Dispute).decode


class StripeProvider(Closing):
    """One per event loop; a context manager that owns its HTTP client."""

    def __init__(
        self,
        *,
        secret_key: str,
        webhook_secret: str,
        api_base: str | None = None,
        timeout_seconds: float = 10.0,
    ) -> None:
        """Raises NotConfigured for a secret that cannot be used; opens no connection."""
        import stripe  # half a second: only where Stripe is configured

        if not secret_key.startswith(("sk_", "rk_")) or len(secret_key.split()) > 1:
            raise NotConfigured("The secret key of Stripe is one word that begins with 'sk_' or 'rk_'.")
        self._webhook_secrets = tuple(webhook_secret.split())  # two while one changes: what either signed is good
        if not self._webhook_secrets or not all(secret.startswith("whsec_") for secret in self._webhook_secrets):
            raise NotConfigured("The webhook secret of Stripe begins with 'whsec_'; several have spaces between them.")
        self._timeout_seconds = timeout_seconds
        stripe.enable_telemetry = False  # it would leave a file in the user's home and report each call's latency
        self._http = stripe.HTTPXClient(timeout=timeout_seconds)
        # Our queue retries, after a look-up; the library's own retries would only lengthen a call past its time-out.
        self._client = stripe.StripeClient(
            secret_key,
            http_client=self._http,
            base_addresses={"api": api_base} if api_base else {},
            max_network_retries=0,
        )

    @property
    def name(self) -> str:
        return NAME

    @property
    def capabilities(self) -> Capabilities:
        return BOTH

    async def close(self) -> None:
        """Close the HTTP client."""
        await self._http.close_async()  # type: ignore[no-untyped-call]

    async def send(self, instruction: RefundInstruction) -> RefundResult:
        """POST /v1/refunds with the attempt's id as key and in the metadata.

        A refusal for good counts only once the payment's books have no refund of this attempt: it may itself be what
        left nothing to refund.
        """
        return await in_time(self._send(instruction), self._timeout_seconds)

    async def look_up(self, instruction: RefundInstruction) -> RefundResult:
        """Read all refunds of the payment; NOT_FOUND only from a listing that was read to its end."""
        return await in_time(self._look_up(instruction), self._timeout_seconds)

    async def _send(self, instruction: RefundInstruction) -> RefundResult:
        amount = to_stripe_amount(instruction.amount_minor, instruction.currency)
        payment = _payment_of(instruction.payment_id)
        if amount is None:
            return RefundResult(
                RefundResultKind.DECLINED,
                f"Stripe cannot refund {instruction.amount_minor} minor {instruction.currency}",
            )
        if payment is None:
            return RefundResult(
                RefundResultKind.DECLINED, f"{instruction.payment_id!r} is no payment of Stripe (pi_…, ch_… or py_…)"
            )
        params: RefundCreateParams = {
            "amount": amount,
            "reason": "requested_by_customer",
            "metadata": {ATTEMPT: str(instruction.attempt_id), ORDER: instruction.order_id[:_METADATA_LENGTH]},
        }
        params.update(payment)  # type: ignore[typeddict-item]
        result = await self._answered(
            self._client.v1.refunds.create_async(params, {"idempotency_key": str(instruction.attempt_id)}), instruction
        )
        if result.kind is RefundResultKind.DECLINED and result.final and result.provider_refund_id is None:
            return await self._unless_in_the_books(result, instruction)
        return result

    async def _unless_in_the_books(self, refused: RefundResult, instruction: RefundInstruction) -> RefundResult:
        if refused.reason.startswith("resource_missing"):
            return refused
        found = await self._look_up(instruction)
        return refused if found.kind is RefundResultKind.NOT_FOUND else found

    async def _look_up(self, instruction: RefundInstruction) -> RefundResult:
        payment = _payment_of(instruction.payment_id)
        if payment is None:
            return RefundResult(RefundResultKind.NOT_FOUND, "no payment of Stripe")
        result = await self._answered(self._found(payment, instruction), instruction)
        if result.kind is RefundResultKind.DECLINED and result.provider_refund_id is None:
            return unknown(f"look-up: {result.reason}", result.retry_after_seconds)
        return result

    async def _found(self, payment: RefundListParams, instruction: RefundInstruction) -> object:
        """The one refund that carries this attempt; a RefundResult where there is none, or more than one."""
        page = await self._client.v1.refunds.list_async({**payment, "limit": _PAGE})
        listed = list(page.data)
        while page.has_more:
            page = await page.next_page_async()
            if not page.data:  # the library would take this for the end
                return unknown("the list of the payment's refunds breaks off")
            listed += page.data
        ours = [one for one in listed if _attempt_in(one) == str(instruction.attempt_id)]
        if not ours:
            return RefundResult(RefundResultKind.NOT_FOUND, "not among the payment's refunds", key_life=KEY_LIFE)
        if len(ours) > 1:
            return unknown(f"Stripe has {len(ours)} refunds of this attempt: {', '.join(one.id for one in ours)}")
        return ours[0]

    async def _answered(self, call: Awaitable[Any], instruction: RefundInstruction) -> RefundResult:
        """What the call says of the refund; whatever keeps us from reading it is UNKNOWN."""
        from stripe import StripeError

        try:
            got = await call
            if isinstance(got, RefundResult):
                return got
            return _result_about(instruction, msgspec.convert(got.to_dict(), _Refund))
        except StripeError as error:
            return _result_to_error(error)
        except Exception as error:  # the library trips over bodies that are not of Stripe's making
            return unknown(f"unreadable answer: {error or type(error).__name__}")

    async def problem(self) -> str:
        """Why Stripe does not take our key, or does not answer; empty when it does. Reads, never writes."""
        from stripe import StripeError

        try:
            async with asyncio.timeout(self._timeout_seconds):
                await self._client.v1.refunds.list_async({"limit": 1})
        except TimeoutError:
            return "no answer in time"
        except StripeError as error:
            return _result_to_error(error).reason
        except Exception as error:
            return f"unreadable answer: {error or type(error).__name__}"
        return ""

    def read_notification(
        self, headers: Mapping[str, str], body: bytes, now: datetime
    ) -> Notification | DisputeNotification | NotificationIgnored | NotificationRefused:
        """An event of Stripe, signed with the endpoint's secret, at most five minutes old or ahead.

        Events about other things, and about refunds that others made, are ignored (T13).
        """
        refused = [_why_not_signed(secret, headers, body, now) for secret in self._webhook_secrets]
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
        result = _result_from(refund, datetime.fromtimestamp(event.created, UTC))
        return Notification(NAME, event.id, attempt_id, result)


# Amounts ----------------------------------------------------------------------------------------------------------

_NO_DECIMALS = frozenset(
    ["BIF", "CLP", "DJF", "GNF", "JPY", "KMF", "KRW", "MGA", "PYG", "RWF", "VND", "VUV", "XAF", "XOF", "XPF"]
)
_THREE_DECIMALS = frozenset(["BHD", "JOD", "KWD", "OMR", "TND"])
_TWO_DECIMALS_WITHOUT_PARTS = frozenset(["ISK", "UGX"])
"""Stripe counts 5 ISK as 500, although neither it nor ISO 4217 knows a part of one."""


def _stripe_exponent(currency: str) -> int | None:
    """Stripe's digits; None for a currency of which its documents say nothing and ISO 4217 has other than two."""
    if currency in _NO_DECIMALS:
        return 0
    if currency in _THREE_DECIMALS:
        return 3
    return 2 if currency in _TWO_DECIMALS_WITHOUT_PARTS or currency_exponent(currency) == 2 else None


def to_stripe_amount(amount_minor: int, currency: str) -> int | None:
    """Our minor units as Stripe counts them; None where Stripe cannot say this amount, or it is not positive."""
    digits = _stripe_exponent(currency)
    amount = None if digits is None else _rescaled(amount_minor, digits - currency_exponent(currency))
    if amount is None or amount <= 0 or (currency in _THREE_DECIMALS and amount % 10):
        return None
    return amount


def from_stripe_amount(amount: int, currency: str) -> int | None:
    """Stripe's count in our minor units; None where ours are too coarse for it."""
    digits = _stripe_exponent(currency)
    return None if digits is None else _rescaled(amount, currency_exponent(currency) - digits)


def _rescaled(amount: int, digits: int) -> int | None:
    """The amount with so many more digits, or fewer; None where a digit that is not zero would be lost."""
    scale: int = 10 ** abs(digits)
    if digits >= 0:
        return amount * scale
    return None if amount % scale else amount // scale


# Answers ----------------------------------------------------------------------------------------------------------


def _payment_of(payment_id: str) -> RefundListParams | None:
    """The parameter that names the payment: refunds are made on a PaymentIntent or on a charge."""
    if payment_id.startswith("pi_"):
        return {"payment_intent": payment_id}
    if payment_id.startswith(("ch_", "py_")):
        return {"charge": payment_id}
    return None


def _attempt_in(refund: Refund) -> str | None:
    """A refund that a person made, or that has a status unknown to us, is not in the way of ours."""
    return None if refund.metadata is None else refund.metadata.to_dict().get(ATTEMPT)


def _result_about(instruction: RefundInstruction, refund: _Refund) -> RefundResult:
    """Believed only where it speaks of this attempt, this payment and this amount."""
    payment_id = refund.payment_intent if instruction.payment_id.startswith("pi_") else refund.charge
    asked = (
        ("attempt", str(instruction.attempt_id), (refund.metadata or {}).get(ATTEMPT)),
        ("payment", instruction.payment_id, payment_id),
        ("currency", instruction.currency, refund.currency.upper()),
        ("amount", to_stripe_amount(instruction.amount_minor, instruction.currency), refund.amount),
    )
    return doubted(_result_from(refund, datetime.fromtimestamp(refund.created, UTC)), asked)


def _result_from(refund: _Refund, at: datetime) -> RefundResult:
    currency = refund.currency.upper()
    payment_ids = tuple(filter(None, (refund.payment_intent, refund.charge)))
    amount_minor = from_stripe_amount(refund.amount, currency)
    if not payment_ids:
        return unknown(f"Stripe does not say of which payment {refund.id} is")
    if amount_minor is None:
        return unknown(f"Stripe speaks of {refund.amount} {currency}, which is no whole number of our units")
    return RefundResult(
        _KINDS[refund.status],
        _reason(refund),
        provider_refund_id=refund.id,
        payment_ids=payment_ids,
        amount_minor=amount_minor,
        currency=currency,
        occurred_at=at,
    )


def _dispute_told(event: _Event) -> DisputeNotification | NotificationRefused:
    """Raises MsgspecError for what is no dispute."""
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


def _reason(refund: _Refund) -> str:
    match refund.status:
        case _Status.FAILED:
            return refund.failure_reason or "failed"
        case _Status.PENDING:
            return refund.pending_reason or ""
        case _Status.REQUIRES_ACTION | _Status.CANCELED:
            return refund.status.value
        case _Status.SUCCEEDED:
            return ""


def _result_to_error(error: StripeError) -> RefundResult:
    """DECLINED only in Stripe's own words; a 5xx, a key in use or used otherwise, and a proxy's page leave doubt."""
    import stripe

    retry_after = _seconds((error.headers or {}).get("retry-after"))
    code = error.code or (error.error.code if error.error is not None else None)
    reason = ": ".join(filter(None, (code, error.user_message)))[:_REASON_LENGTH]
    match error:
        case stripe.APIConnectionError():
            return unknown(f"connection broken: {type(error.__cause__).__name__}")
        case stripe.RateLimitError():  # lock_timeout too: another call held the payment, and nothing was done
            return RefundResult(
                RefundResultKind.DECLINED, code or "rate_limit", final=False, retry_after_seconds=retry_after
            )
        case stripe.AuthenticationError() | stripe.PermissionError():
            return RefundResult(RefundResultKind.DECLINED, code or type(error).__name__, final=False)
        case stripe.InvalidRequestError() | stripe.CardError():
            return RefundResult(RefundResultKind.DECLINED, reason or f"refused with {error.http_status}")
        case stripe.IdempotencyError():
            return unknown("idempotency_error: the attempt's key was used for another refund; look at both in Stripe")
    return unknown(code or f"Stripe answered {error.http_status}", retry_after)


def _seconds(retry_after: str | None) -> float | None:
    return float(retry_after) if retry_after is not None and retry_after.isdecimal() else None


# Signatures -------------------------------------------------------------------------------------------------------


def _why_not_signed(secret: str, headers: Mapping[str, str], body: bytes, now: datetime) -> str:
    """Why signature or age are not good; empty when they are.

    The library holds the age against the machine's clock and lets the future pass, so we hold it against ours.
    """
    from stripe import SignatureVerificationError, WebhookSignature

    header = next((value for name, value in headers.items() if name.lower() == "stripe-signature"), "")
    try:
        WebhookSignature.verify_header(body, header, secret)
    except SignatureVerificationError as error:
        return str(error).partition("\n")[0]
    except (UnicodeError, TypeError):  # a body that is not UTF-8, a signature that is not ASCII
        return "the signature does not match"
    sent_at = next(int(part.split("=")[1]) for part in header.split(",") if part.startswith("t="))
    age_seconds = now.timestamp() - sent_at
    if abs(age_seconds) > NOTIFICATION_TOLERANCE.total_seconds():
        return f"sent {age_seconds:.0f} seconds ago, five minutes are allowed"
    return ""
