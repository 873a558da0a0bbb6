"""Changes a shop's orders on WooCommerce: what is not to be shipped, and refunds."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Mapping
from typing import TypeVar

import msgspec

from jitui.adapters.platforms.woocommerce.answers import Gateway, PaidBy, Refund
from jitui.adapters.platforms.woocommerce.client import Answer, WooCommerceClient, WooError
from jitui.adapters.platforms.woocommerce.mapping import CANCELLED, NOT_TO_SHIP, refund_of
from jitui.aftersales.platform import (
    CallFailed,
    CallRefused,
    PlatformOrder,
    PlatformRefund,
    WantedRefund,
    attempt_in,
)
from jitui.aftersales.provider import CallTrouble
from jitui.money import to_decimal_text

_FINAL_CODES = frozenset(
    {
        "rest_invalid_json",
        "rest_invalid_param",
        "rest_missing_callback_param",
        "woocommerce_rest_invalid_order_id",
        "woocommerce_rest_invalid_order_refund",
        "woocommerce_rest_shop_order_invalid_id",
    }
)
"""Refusals that come before anything is done, whatever the status: some of them are answered as 500."""
_NOT_MADE = "woocommerce_rest_cannot_create_order_refund"
_FINAL_WORDS = (
    "Invalid refund amount",
    "Invalid order ID",
    "The payment gateway for this order does not exist",
    "The payment gateway for this order does not support automatic refunds",
)
"""Of a refund that was not made, what WooCommerce says before it asks the gateway, in English.

After any other message the gateway may have paid: it was asked and its answer was lost or taken for a failure.
"""

_T = TypeVar("_T")


class WooCommerceWriter:
    """See `jitui.aftersales.platform.PlatformWriter`."""

    def __init__(self, client: WooCommerceClient) -> None:
        self._client = client

    async def cancel(
        self, order: PlatformOrder, units: Mapping[str, int], *, freight: bool, reference: str
    ) -> CallFailed | CallRefused | None:
        """Cancel the order, if these are its last units; else name them in a note and in the order's metadata.

        WooCommerce cannot take out single units. The note comes first: it is what the merchant sees, and once the
        metadata is there nobody writes it any more.
        """
        if all(line.quantity - line.cancelled <= units.get(line.line_id, 0) for line in order.lines):
            return _done(await self._client.send("PUT", f"orders/{order.platform_id}", {"status": CANCELLED}))
        note = {"note": _note(order, units, reference), "customer_note": False}
        noted = _done(await self._client.send("POST", f"orders/{order.platform_id}/notes", note))
        if noted is not None:
            return noted
        mark = {"key": _mark_of(order, units, reference), "value": msgspec.json.encode(dict(units)).decode()}
        return _done(await self._client.send("PUT", f"orders/{order.platform_id}", {"meta_data": [mark]}))

    async def refund(self, order: PlatformOrder, wanted: WantedRefund) -> PlatformRefund | CallFailed | CallRefused:
        """Have the payment's gateway refund an amount; no record is made where it cannot."""
        refused = await self._cannot_refund(order)
        if refused is not None:
            return refused
        asked = {
            "amount": to_decimal_text(wanted.amount_minor, wanted.currency),
            "reason": wanted.reference,
            "api_refund": True,
        }
        told = await self._client.send("POST", f"orders/{order.platform_id}/refunds", asked)
        if isinstance(told, WooError):
            return _refused(told)
        if isinstance(told, CallFailed):
            return told
        try:
            return refund_of(msgspec.json.decode(told.body, type=Refund), wanted.currency)
        except (msgspec.MsgspecError, UnicodeDecodeError, ValueError) as error:
            return CallFailed(f"unreadable answer: {error}", CallTrouble.UNREADABLE)

    async def settle(self, order: PlatformOrder, refund: PlatformRefund) -> PlatformRefund | CallFailed | CallRefused:
        """Nothing waits for a person in WooCommerce: a gateway refunds, or the refund is not made."""
        return CallRefused("WooCommerce has no refund that waits to be settled")

    async def _cannot_refund(self, order: PlatformOrder) -> CallRefused | CallFailed | None:
        """Why the order's gateway pays nothing back by itself, before anything is asked of it.

        WooCommerce would say it too, but in the shop's language, and with the code of every other failure.
        """
        try:
            async with asyncio.timeout(self._client.timeout_seconds):
                told = await self._client.get(f"orders/{order.platform_id}", _fields="id,payment_method")
                if not isinstance(told, Answer):
                    return _unsent(told)
                method = _decoded(told, PaidBy, PaidBy()).payment_method
                if not method:
                    return None
                told = await self._client.get(f"payment_gateways/{method}")
        except TimeoutError:
            return CallFailed("no answer in time", CallTrouble.TIMED_OUT, reached=False)
        if isinstance(told, CallFailed):
            return _unsent(told)
        # A gateway that is not there any more, or that may not be looked at: WooCommerce decides.
        told_of = (
            Gateway(("refunds",)) if isinstance(told, WooError) else _decoded(told, Gateway, Gateway(("refunds",)))
        )
        if "refunds" in told_of.method_supports:
            return None
        return CallRefused(f"WooCommerce cannot pay back by {method}: refund it by hand, outside of WooCommerce")


def _decoded(told: Answer, form: type[_T], unreadable: _T) -> _T:
    try:
        return msgspec.json.decode(told.body, type=form)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return unreadable


def _unsent(told: WooError | CallFailed) -> CallFailed:
    """A call before the refund came to nothing: no refund was asked for."""
    failed = told.as_failed() if isinstance(told, WooError) else told
    return CallFailed(failed.reason, failed.trouble, reached=False)


def _done(told: Answer | WooError | CallFailed) -> CallFailed | CallRefused | None:
    if isinstance(told, WooError):
        return _refused(told)
    return told if isinstance(told, CallFailed) else None


def _refused(told: WooError) -> CallFailed | CallRefused:
    """Whether the refusal came before anything was done; a status of 500 alone says nothing of it."""
    before = told.code in _FINAL_CODES or (told.code == _NOT_MADE and told.message.startswith(_FINAL_WORDS))
    return CallRefused(f"{told.message} ({told.code})") if before else told.as_failed()


def _mark_of(order: PlatformOrder, units: Mapping[str, int], reference: str) -> str:
    """The key of the metadata: the same step of an attempt that comes twice writes the same row."""
    before = sorted((line.line_id, line.cancelled, units.get(line.line_id, 0)) for line in order.lines)
    step = hashlib.sha256(repr(before).encode()).hexdigest()[:8]
    return f"{NOT_TO_SHIP}{attempt_in(reference) or 'other'}_{step}"


def _note(order: PlatformOrder, units: Mapping[str, int], reference: str) -> str:
    """What the merchant reads at the order."""
    named = ", ".join(f"{units[line.line_id]} × {line.title}" for line in order.lines if units.get(line.line_id))
    return f"Do not ship: {named}. {reference} refunds it."
