"""Changes a shop's orders on Shopify: holds, and refunds that take units out of what is to be shipped."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass

from jitui.adapters.platforms.reading import Unfit
from jitui.adapters.platforms.shopify.client import ShopifyClient
from jitui.adapters.platforms.shopify.mapping import (
    HOLDABLE,
    ON_HOLD,
    handle_of,
    held_by_us,
    refunds_of,
    tail,
)
from jitui.adapters.platforms.shopify.orders import converted, read_order, read_shipping
from jitui.adapters.platforms.shopify.queries import (
    HOLD,
    REFUND,
    FulfillmentOrder,
    HoldAnswer,
    Order,
    RefundAnswer,
    Said,
    Shipping,
    Transaction,
)
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

_HELD_ALREADY = "DUPLICATE_FULFILLMENT_HOLD_HANDLE"
_KEY_WORDS = ("idempoten", "in progress", "previous attempt")
"""In a message about the key: another call with it is under way, or was. Errors of `refundCreate` have no codes."""


@dataclass(frozen=True, slots=True)
class _Hold:
    """A hold to place; without items, on the whole fulfilment order."""

    gid: str
    items: tuple[tuple[str, int], ...] = ()


class ShopifyWriter:
    """See `jitui.aftersales.platform.PlatformWriter`; a fulfilment order on hold cannot be fulfilled."""

    def __init__(self, client: ShopifyClient) -> None:
        self._client = client

    async def cancel(
        self, order: PlatformOrder, units: Mapping[str, int], *, freight: bool, reference: str
    ) -> CallFailed | CallRefused | None:
        """Put the units on hold. Nothing is held unless all of them can be."""
        shipping = await read_shipping(self._client, order.platform_id)
        if not isinstance(shipping, Shipping):
            return _unsent(shipping)
        holds = _holds(shipping, units)
        if isinstance(holds, CallRefused):
            return holds
        for hold in holds:
            failed = await self._hold(hold, reference)
            if failed is not None:
                return failed
        return None

    async def refund(self, order: PlatformOrder, wanted: WantedRefund) -> PlatformRefund | CallFailed | CallRefused:
        """Pay back by the payment's gateway, and take out the units that this attempt holds, in one call.

        Shopify refuses the whole of it where these units were sent meanwhile. The attempt is the key of the call.
        """
        try:
            async with asyncio.timeout(self._client.timeout_seconds):
                read = await read_order(self._client, order.platform_id)
                shipping = await read_shipping(self._client, order.platform_id)
        except TimeoutError:
            return CallFailed("no answer in time", CallTrouble.TIMED_OUT, reached=False)
        if not isinstance(read, Order):
            return _unsent(read)
        if not isinstance(shipping, Shipping):
            return _unsent(shipping)
        payment = next((one for one in read.transactions if tail(one.id) == wanted.payment_id), None)
        if payment is None or payment.gateway is None:
            return CallRefused(f"Shopify has no payment {wanted.payment_id} that names its gateway")
        if payment.manual_payment_gateway:
            return CallRefused(f"Shopify cannot pay back by {payment.gateway}: refund it by hand, outside of Shopify")
        asked = _asked(order, wanted, payment, shipping)
        made = converted(await self._client.ask(REFUND, {"input": asked, "key": str(wanted.attempt_id)}), RefundAnswer)
        return made if isinstance(made, CallFailed) else _made(made, wanted)

    async def settle(self, order: PlatformOrder, refund: PlatformRefund) -> PlatformRefund | CallFailed | CallRefused:
        """What is pending in Shopify waits for a gateway, and not for a person."""
        return CallRefused("Shopify settles refunds itself")

    async def _hold(self, hold: _Hold, reference: str) -> CallFailed | CallRefused | None:
        details: dict[str, object] = {
            "reason": "OTHER",
            "reasonNotes": f"{reference} refunds these units: do not ship them",
            "handle": handle_of(attempt_in(reference)),
        }
        if hold.items:
            details["fulfillmentOrderLineItems"] = [{"id": gid, "quantity": units} for gid, units in hold.items]
        made = converted(await self._client.ask(HOLD, {"id": hold.gid, "hold": details}), HoldAnswer)
        if isinstance(made, CallFailed):
            return made
        errors = [error for error in made.fulfillment_order_hold.user_errors if error.code != _HELD_ALREADY]
        return CallRefused(_words(errors)) if errors else None


def _holds(shipping: Shipping, units: Mapping[str, int]) -> list[_Hold] | CallRefused:
    """The holds that cover the units. One that somebody else has placed can be added to, but not split."""
    left = dict(units)
    found: list[_Hold] = []
    for waiting in shipping.fulfillment_orders.nodes:
        if waiting.status not in HOLDABLE and (waiting.status != ON_HOLD or held_by_us(waiting)):
            continue
        items, whole = _wanted_of(waiting, left)
        if not items or (waiting.status == ON_HOLD and not whole):
            continue
        for line, quantity in items:
            left[line] -= quantity
        found.append(_Hold(waiting.id, () if whole else _items(waiting, dict(items))))
    missing = {line_id: quantity for line_id, quantity in left.items() if quantity > 0}
    if missing:
        return CallRefused(f"no open fulfilment order has {sum(missing.values())} of the units, or it is held already")
    return found


def _wanted_of(waiting: FulfillmentOrder, left: Mapping[str, int]) -> tuple[list[tuple[str, int]], bool]:
    """By line, the units of a fulfilment order that are wanted, and whether that is all it has."""
    items: list[tuple[str, int]] = []
    for line in waiting.line_items.nodes:
        line_id = tail(line.line_item.id)
        taken = min(line.remaining_quantity, left.get(line_id, 0))
        items += [(line_id, taken)] if taken > 0 else []
    whole = sum(quantity for _, quantity in items) == sum(line.remaining_quantity for line in waiting.line_items.nodes)
    return items, whole


def _items(waiting: FulfillmentOrder, units: Mapping[str, int]) -> tuple[tuple[str, int], ...]:
    return tuple(
        (line.id, units[tail(line.line_item.id)])
        for line in waiting.line_items.nodes
        if units.get(tail(line.line_item.id))
    )


def _asked(order: PlatformOrder, wanted: WantedRefund, payment: Transaction, shipping: Shipping) -> dict[str, object]:
    """The input of `refundCreate`; amounts are in the currency that the buyer paid in."""
    handle = handle_of(wanted.attempt_id)
    removed: list[dict[str, object]] = []
    for waiting in shipping.fulfillment_orders.nodes:
        if not any(hold.held_by_requesting_app and hold.handle == handle for hold in waiting.fulfillment_holds):
            continue
        location = waiting.assigned_location.location
        for line in waiting.line_items.nodes:
            if line.remaining_quantity > 0:
                row: dict[str, object] = {
                    "lineItemId": line.line_item.id,
                    "quantity": line.remaining_quantity,
                    "restockType": "CANCEL",
                }
                removed.append(row if location is None else {**row, "locationId": location.id})
    return {
        "orderId": order.platform_id,
        "note": wanted.reference,
        "currency": wanted.currency,
        "refundLineItems": removed,
        "transactions": [
            {
                "orderId": order.platform_id,
                "parentId": payment.id,
                "gateway": payment.gateway,
                "kind": "REFUND",
                "amount": to_decimal_text(wanted.amount_minor, wanted.currency),
            }
        ],
    }


def _made(made: RefundAnswer, wanted: WantedRefund) -> PlatformRefund | CallFailed | CallRefused:
    """A refund that is there counts, whatever is said beside it; an error without one has kept it from being made."""
    told = made.refund_create
    if told.refund is not None:
        try:
            rows = [row for _, row in refunds_of(told.refund, wanted.currency) if row.attempt_id == wanted.attempt_id]
        except Unfit as unfit:
            return CallFailed(f"unreadable answer: {unfit}", CallTrouble.UNREADABLE)
        if rows:
            return rows[0]
        return CallFailed("answers with a refund that is not the one asked for", CallTrouble.UNREADABLE)
    said = _words(told.user_errors)
    if not said or any(word in said.lower() for word in _KEY_WORDS):
        return CallFailed(said or "answers with neither a refund nor an error", CallTrouble.FAILING)
    return CallRefused(said)


def _words(errors: tuple[Said, ...] | list[Said]) -> str:
    return "; ".join(error.message for error in errors)


def _unsent(failed: CallFailed | None) -> CallFailed | CallRefused:
    """A call before the change came to nothing: nothing was asked for."""
    if failed is None:
        return CallRefused("the order is not in Shopify any more")
    return CallFailed(failed.reason, failed.trouble, reached=False)
