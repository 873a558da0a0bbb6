"""Changes a shop's orders on Saleor: cancelling whole orders, granting refunds, and requesting granted ones."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from jitui.adapters.platforms.saleor.client import SaleorClient
from jitui.adapters.platforms.saleor.mapping import NOT_ASKED, refund_of
from jitui.adapters.platforms.saleor.queries import (
    CANCEL,
    GRANT,
    REQUEST,
    CancelAnswer,
    GrantAnswer,
    Problem,
    RequestAnswer,
)
from jitui.aftersales.platform import CallFailed, CallRefused, PlatformOrder, PlatformRefund, WantedRefund
from jitui.aftersales.provider import CallTrouble, RefundResultKind
from jitui.money import to_decimal_text

_REFUSED_GRANT = frozenset(
    {"AMOUNT_GREATER_THAN_AVAILABLE", "INVALID", "NOT_FOUND", "REQUIRED", "SHIPPING_COSTS_ALREADY_GRANTED"}
)
_REQUESTED = {"REFUND_IS_PENDING": RefundResultKind.PENDING, "REFUND_ALREADY_PROCESSED": RefundResultKind.PENDING}
"""Refusals of a second request: the first one counts, and the next look-up says what became of it."""


class SaleorWriter:
    """See `jitui.aftersales.platform.PlatformWriter`."""

    def __init__(self, client: SaleorClient) -> None:
        self._client = client

    async def cancel(
        self, order: PlatformOrder, units: Mapping[str, int], *, freight: bool, reference: str
    ) -> CallFailed | CallRefused | None:
        """Cancel the order where nothing of it stays; Saleor cannot cancel a part, so a part is only refunded."""
        if any(line.quantity - line.cancelled != units.get(line.line_id, 0) for line in order.lines):
            return None
        answer = await self._client.ask(CANCEL, {"id": order.platform_id}, CancelAnswer)
        if isinstance(answer, CallFailed):
            return answer
        return CallRefused(_said(answer.order_cancel.errors)) if answer.order_cancel.errors else None

    async def refund(self, order: PlatformOrder, wanted: WantedRefund) -> PlatformRefund | CallFailed | CallRefused:
        """Grant the refund with our reference, then request it; a grant whose request is lost is requested later."""
        given = {
            "amount": to_decimal_text(wanted.amount_minor, wanted.currency),
            "reason": wanted.reference,
            "transactionId": wanted.payment_id,
        }
        answer = await self._client.ask(GRANT, {"id": order.platform_id, "input": given}, GrantAnswer)
        if isinstance(answer, CallFailed):
            return answer
        granted = answer.order_grant_refund_create
        if granted.errors:
            said = _said(granted.errors)
            final = all(error.code in _REFUSED_GRANT for error in granted.errors)
            return CallRefused(said) if final else CallFailed(said, CallTrouble.FAILING)
        if granted.granted_refund is None:
            return CallFailed("a grant without an id", CallTrouble.UNREADABLE)
        asked = await self.settle(order, refund_of(granted.granted_refund, order.currency))
        # The grant stays, and somebody may request it there: no second one is made while it is not known what became.
        return CallFailed(asked.reason, CallTrouble.FAILING) if isinstance(asked, CallRefused) else asked

    async def settle(self, order: PlatformOrder, refund: PlatformRefund) -> PlatformRefund | CallFailed | CallRefused:
        """Request a grant that nobody has requested; of any other one nothing is asked. Saleor takes a grant once."""
        if refund.said != NOT_ASKED:
            return refund
        answer = await self._client.ask(REQUEST, {"grant": refund.refund_id}, RequestAnswer)
        if isinstance(answer, CallFailed):
            return answer
        errors = answer.transaction_request_refund_for_granted_refund.errors
        if any(error.code not in _REQUESTED for error in errors):
            return CallRefused(_said(errors))
        return replace(refund, state=RefundResultKind.PENDING, said="requested")


def _said(errors: Sequence[Problem]) -> str:
    return "; ".join(f"{error.message or 'no words'} ({error.code})" for error in errors)
