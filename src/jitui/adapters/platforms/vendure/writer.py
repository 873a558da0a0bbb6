"""Changes a shop's orders on Vendure: cancelling units, refunds, and settling them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from jitui.adapters.platforms.vendure.client import VendureClient
from jitui.adapters.platforms.vendure.mapping import refund_of
from jitui.adapters.platforms.vendure.queries import CANCEL, REFUND, SETTLE, Refund
from jitui.aftersales.platform import CallFailed, CallRefused, PlatformOrder, PlatformRefund, WantedRefund
from jitui.aftersales.provider import CallTrouble

_FINAL = frozenset(
    {
        "ALREADY_REFUNDED_ERROR",
        "NOTHING_TO_REFUND_ERROR",
        "PAYMENT_ORDER_MISMATCH_ERROR",
        "QUANTITY_TOO_GREAT_ERROR",
        "REFUND_AMOUNT_ERROR",
        "REFUND_ORDER_STATE_ERROR",
    }
)
"""Refusals of `refundOrder` that come before the payment handler is asked."""


class VendureWriter:
    """See `jitui.aftersales.platform.PlatformWriter`; units that are cancelled cannot be shipped there."""

    def __init__(self, client: VendureClient) -> None:
        self._client = client

    async def cancel(
        self, order: PlatformOrder, units: Mapping[str, int], *, freight: bool, reference: str
    ) -> CallFailed | CallRefused | None:
        """Cancel units, and the shipping costs with the last of them."""
        asked = {
            "orderId": order.platform_id,
            "lines": [{"orderLineId": line_id, "quantity": quantity} for line_id, quantity in units.items()],
            "cancelShipping": freight,
            "reason": reference,
        }
        answer = await self._client.ask(CANCEL, {"input": asked})
        if isinstance(answer, CallFailed):
            return answer
        told = answer["cancelOrder"]
        return None if told["__typename"] == "Order" else CallRefused(_message(told))

    async def refund(self, order: PlatformOrder, wanted: WantedRefund) -> PlatformRefund | CallFailed | CallRefused:
        """Refund an amount of a payment; a refusal by the payment handler leaves a failed refund with our reference."""
        asked = {
            "paymentId": wanted.payment_id,
            "amount": wanted.amount_minor,
            "reason": wanted.reference,
            # Vendure 3.7 calls these deprecated, and breaks without them after its payment handler has paid.
            "lines": [],
            "shipping": 0,
            "adjustment": 0,
        }
        answer = await self._client.ask(REFUND, {"input": asked})
        return answer if isinstance(answer, CallFailed) else _made(answer["refundOrder"])

    async def settle(self, order: PlatformOrder, refund: PlatformRefund) -> PlatformRefund | CallFailed | CallRefused:
        """Settle a pending refund, with its attempt as the transaction's reference."""
        reference = str(refund.attempt_id or refund.refund_id)
        answer = await self._client.ask(SETTLE, {"input": {"id": refund.refund_id, "transactionId": reference}})
        if isinstance(answer, CallFailed):
            return answer
        told = answer["settleRefund"]
        return _made(told) if told["__typename"] == "Refund" else CallRefused(_message(told))


def _made(told: dict[str, Any]) -> PlatformRefund | CallFailed | CallRefused:
    if told["__typename"] != "Refund":
        final = told.get("errorCode") in _FINAL
        return CallRefused(_message(told)) if final else CallFailed(_message(told), CallTrouble.FAILING)
    try:
        return refund_of(msgspec.convert(told, Refund))
    except msgspec.ValidationError as error:
        return CallFailed(f"unreadable answer: {error}", CallTrouble.UNREADABLE)


def _message(told: dict[str, Any]) -> str:
    return str(told.get("message") or told["__typename"])
