"""Stripe's refunds: requested, and looked up among the payment's refunds."""

from __future__ import annotations

from collections.abc import Awaitable, Mapping
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

import msgspec

from jitui.adapters.payments.calls import Closing, in_time, unknown, unreadable
from jitui.adapters.payments.stripe.amounts import to_stripe_amount
from jitui.adapters.payments.stripe.answers import (
    ATTEMPT,
    ORDER,
    RefundObject,
    listed_refund,
    result_about,
    result_to_error,
)
from jitui.adapters.payments.stripe.notifications import NAME, read_notification
from jitui.aftersales.provider import (
    Capabilities,
    DisputeNotification,
    Notification,
    NotificationIgnored,
    NotificationRefused,
    RefundInstruction,
    RefundResult,
    RefundResultKind,
)
from jitui.aftersales.reconciliation.restore import ProviderRefund
from jitui.errors import NotConfigured, Unavailable

if TYPE_CHECKING:
    from stripe import Refund
    from stripe.params import RefundCreateParams, RefundListParams

KEY_LIFE = timedelta(hours=23)
"""Stripe may forget a key after 24 hours; one hour is left for differing clocks and running calls."""

_CAPABILITIES = Capabilities(keys=True, look_up=True, paid_within=timedelta(days=5))
"""A card's refund succeeds at once; one to a bank account may be `pending` for days."""

_PAGE = 100
_METADATA_LENGTH = 500


class StripeProvider(Closing):
    """Stripe as a provider. One per event loop; a context manager that owns its HTTP client."""

    def __init__(
        self,
        *,
        secret_key: str,
        webhook_secret: str,
        api_base: str | None = None,
        timeout_seconds: float = 10.0,
    ) -> None:
        """Raises NotConfigured for a secret that cannot be used; opens no connection."""
        import stripe  # takes half a second, so it is imported only where Stripe is configured

        if not secret_key.startswith(("sk_", "rk_")) or len(secret_key.split()) > 1:
            raise NotConfigured("The secret key of Stripe is one word that begins with 'sk_' or 'rk_'.")
        self._webhook_secrets = tuple(webhook_secret.split())  # two while a secret changes; both are accepted
        if not self._webhook_secrets or not all(secret.startswith("whsec_") for secret in self._webhook_secrets):
            raise NotConfigured("The webhook secret of Stripe begins with 'whsec_'; several have spaces between them.")
        self._timeout_seconds = timeout_seconds
        # it would write a file into the user's home folder and report the time of each call
        stripe.enable_telemetry = False
        self._http = stripe.HTTPXClient(timeout=timeout_seconds)
        # Our queue retries, after a look-up; retries by the library would only make a call longer than its time-out.
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
        return _CAPABILITIES

    async def close(self) -> None:
        """Close the HTTP client."""
        await self._http.close_async()  # type: ignore[no-untyped-call]

    async def send(self, instruction: RefundInstruction) -> RefundResult:
        """POST /v1/refunds with the attempt's id as idempotency key and in the metadata.

        A final refusal counts only when the payment has no refund of this attempt, because such a refund may be the
        very reason that nothing is left to refund.
        """
        return await in_time(self._send(instruction), self._timeout_seconds)

    async def look_up(self, instruction: RefundInstruction) -> RefundResult:
        """Read all refunds of the payment; NOT_FOUND only when the list was read to its end."""
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
            return unknown(f"look-up: {result.reason}", result.retry_after_seconds, trouble=result.trouble)
        return result

    async def _found(self, payment: RefundListParams, instruction: RefundInstruction) -> object:
        """The one refund of this attempt; a RefundResult when there is none, or more than one."""
        listed = await self._listed(payment)
        if listed is None:
            return unknown("the list of the payment's refunds breaks off")
        ours = [one for one in listed if _attempt_in(one) == str(instruction.attempt_id)]
        if not ours:
            return RefundResult(RefundResultKind.NOT_FOUND, "not among the payment's refunds", key_life=KEY_LIFE)
        if len(ours) > 1:
            return unknown(f"Stripe has {len(ours)} refunds of this attempt: {', '.join(one.id for one in ours)}")
        return ours[0]

    async def _listed(self, which: RefundListParams) -> list[Refund] | None:
        """All pages of a list; None when a page is missing, which the library would take as the end."""
        page = await self._client.v1.refunds.list_async({**which, "limit": _PAGE})
        listed = list(page.data)
        while page.has_more:
            page = await page.next_page_async()
            if not page.data:
                return None
            listed += page.data
        return listed

    async def refunds_since(self, since: datetime) -> list[ProviderRefund]:
        """The account's refunds, in our minor units; see `jitui.aftersales.reconciliation.restore.RefundListing`."""
        from stripe import StripeError

        try:
            listed = await self._listed({"created": {"gte": int(since.timestamp())}})
            if listed is None:
                raise Unavailable("Stripe's list of refunds breaks off.")
            return [listed_refund(msgspec.convert(one.to_dict(), RefundObject)) for one in listed]
        except StripeError as error:
            raise Unavailable(f"Stripe did not list its refunds: {result_to_error(error).reason}.") from error
        except msgspec.ValidationError as error:
            raise Unavailable(f"Stripe's list of refunds cannot be read: {error}.") from error

    async def _answered(self, call: Awaitable[Any], instruction: RefundInstruction) -> RefundResult:
        """The result of a call; UNKNOWN when the response cannot be read."""
        from stripe import StripeError

        try:
            got = await call
            if isinstance(got, RefundResult):
                return got
            return result_about(instruction, msgspec.convert(got.to_dict(), RefundObject))
        except StripeError as error:
            return result_to_error(error)
        except Exception as error:  # the library trips over bodies that are not of Stripe's making
            return unreadable(f"{error or type(error).__name__}")

    def read_notification(
        self, headers: Mapping[str, str], body: bytes, now: datetime
    ) -> Notification | DisputeNotification | NotificationIgnored | NotificationRefused:
        """Read an event, signed with the endpoint's secret, at most five minutes old or ahead.

        Events about other things, and about refunds that others made, are ignored (T13).
        """
        return read_notification(self._webhook_secrets, headers, body, now)


def _payment_of(payment_id: str) -> RefundListParams | None:
    """The parameter for the payment: a refund is made on a PaymentIntent or on a charge."""
    if payment_id.startswith("pi_"):
        return {"payment_intent": payment_id}
    if payment_id.startswith(("ch_", "py_")):
        return {"charge": payment_id}
    return None


def _attempt_in(refund: Refund) -> str | None:
    """The attempt in a refund's metadata; None for a refund that a person made, which is not ours."""
    return None if refund.metadata is None else refund.metadata.to_dict().get(ATTEMPT)
