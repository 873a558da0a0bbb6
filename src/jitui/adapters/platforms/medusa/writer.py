"""Changes a shop's orders on Medusa: taking units out by an order edit, and refunds."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from urllib.parse import quote

from jitui.adapters.platforms.medusa.client import MedusaClient, Refusal
from jitui.adapters.platforms.medusa.forms import REFUND_FIELDS, Changes, Done, Refunded
from jitui.adapters.platforms.medusa.mapping import refund_of
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

_BEFORE_THE_GATEWAY = (
    "You are not allowed to refund more than the captured amount",
    "You cannot refund more than what is captured on the payment",
    "Payment id not found",
    "Invalid request",
)
"""How refusals of a refund begin that come before the payment's gateway is asked; its own errors look the same."""

_OPEN_CHANGES = [("status[]", "pending"), ("status[]", "requested"), ("fields", "id,status,internal_note")]


class MedusaWriter:
    """See `jitui.aftersales.platform.PlatformWriter`.

    Units are taken out by an order edit, never by cancelling the order, which refunds every payment. While an edit is
    open Medusa takes no fulfilment, and no edit below what is fulfilled; afterwards no fulfilment of the units.
    """

    def __init__(self, client: MedusaClient) -> None:
        self._client = client

    async def cancel(
        self, order: PlatformOrder, units: Mapping[str, int], *, freight: bool, reference: str
    ) -> CallFailed | CallRefused | None:
        """Begin an edit, lower the quantities, confirm. Shipping costs stay: Medusa books them when it refunds."""
        there = quote(order.platform_id, safe="")
        begun = await self._client.post(
            "order-edits", Done, {"order_id": order.platform_id, "internal_note": reference}
        )
        if isinstance(begun, Refusal):
            return await self._in_the_way(there, begun)
        if isinstance(begun, CallFailed):
            return begun
        left = {line.line_id: line.quantity - line.cancelled for line in order.lines}
        for line_id, quantity in units.items():
            path = f"order-edits/{there}/items/item/{quote(line_id, safe='')}"
            lowered = await self._client.post(path, Done, {"quantity": left[line_id] - quantity})
            if isinstance(lowered, Refusal):
                return await self._withdraw(there, lowered)
            if isinstance(lowered, CallFailed):
                return lowered
        confirmed = await self._client.post(f"order-edits/{there}/confirm", Done, {})
        if isinstance(confirmed, Refusal):
            return await self._withdraw(there, confirmed)
        return confirmed if isinstance(confirmed, CallFailed) else None

    async def _withdraw(self, there: str, why: Refusal) -> CallFailed | CallRefused:
        """Take the edit back that cannot be carried out: as long as it is open nobody can ship."""
        done = await self._client.delete(f"order-edits/{there}", Done)
        return done if isinstance(done, CallFailed) else CallRefused(why.reason)

    async def _in_the_way(self, there: str, why: Refusal) -> CallFailed | CallRefused:
        """An open edit keeps ours from beginning. One that a broken call of ours has left is taken back."""
        found = await self._client.get(f"orders/{there}/changes", Changes, _OPEN_CHANGES)
        if isinstance(found, CallFailed):
            return found
        changes = () if isinstance(found, Refusal) else found.order_changes
        if changes and all(attempt_in(change.internal_note or "") for change in changes):
            return await self._withdraw(there, Refusal(why.status, why.kind, "an edit of ours was left open there"))
        return CallRefused(why.reason)

    async def refund(self, order: PlatformOrder, wanted: WantedRefund) -> PlatformRefund | CallFailed | CallRefused:
        """Refund an amount of a payment, which Medusa answers when the payment's gateway has paid it."""
        # INVARIANT: with an amount. Without one Medusa refunds the whole payment.
        body = {"amount": Decimal(to_decimal_text(wanted.amount_minor, wanted.currency)), "note": wanted.reference}
        path = f"payments/{quote(wanted.payment_id, safe='')}/refund"
        answer = await self._client.post(path, Refunded, body, [("fields", f"id,{REFUND_FIELDS}")])
        if isinstance(answer, Refusal):
            before = answer.reason.startswith(_BEFORE_THE_GATEWAY)
            return CallRefused(answer.reason) if before else CallFailed(answer.reason, CallTrouble.FAILING)
        if isinstance(answer, CallFailed):
            return answer
        ours = (one for one in answer.payment.refunds if attempt_in(one.note or "") == wanted.attempt_id)
        found = next(ours, None)
        if found is None:
            return CallFailed("unreadable answer: it does not have our refund", CallTrouble.UNREADABLE)
        return refund_of(found, wanted.currency, done=True)

    async def settle(self, order: PlatformOrder, refund: PlatformRefund) -> PlatformRefund | CallFailed | CallRefused:
        """Nothing waits for a person in Medusa: who pays refunds by hand does so before they are entered there."""
        return CallRefused("Medusa has no refund that waits to be settled")
