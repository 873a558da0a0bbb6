"""Reads a shop's orders on Vendure: the source of orders, payments and shipments."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import datetime, timedelta

import msgspec

from jitui.adapters.platforms.shop_client import sentence
from jitui.adapters.platforms.signatures import NO_WEBHOOKS
from jitui.adapters.platforms.vendure.client import VendureClient
from jitui.adapters.platforms.vendure.mapping import order_of
from jitui.adapters.platforms.vendure.queries import CHECK, CONTACT, ORDERS, ContactAnswer, Order, OrdersAnswer
from jitui.aftersales.platform import CallFailed, PlatformOrder, UnreadableOrder
from jitui.aftersales.provider import CallTrouble, NotificationRefused
from jitui.errors import Unavailable

NAME = "vendure"
PAGE = 50
_A_MOMENT = timedelta(milliseconds=1)


class VendureOrders:
    """See `jitui.aftersales.platform.Platform`; an order's id here is its code there, which buyers know."""

    def __init__(self, client: VendureClient) -> None:
        self._client = client

    @property
    def name(self) -> str:
        return NAME

    async def find_order(self, order_id: str) -> PlatformOrder | UnreadableOrder | CallFailed | None:
        """The order now; None when it has none of this code, or it is still a cart."""
        found = await self._find({"take": 1, "filter": {"code": {"eq": order_id}}})
        if isinstance(found, CallFailed):
            return found
        return next((order_of(order) for order in found if not order.active), None)

    async def read_orders(self, order_ids: Sequence[str]) -> list[PlatformOrder | UnreadableOrder]:
        """The orders of these codes; those that do not exist are left out."""
        found = await self._orders({"take": len(order_ids), "filter": {"code": {"in": list(order_ids)}}})
        return [order_of(order) for order in found if not order.active]

    async def contact_address(self, order_id: str) -> str | None:
        """The customer's address, asked for alone, so that it is in no answer that is read for anything else."""
        answer = await self._client.ask(CONTACT, {"options": {"take": 1, "filter": {"code": {"eq": order_id}}}})
        if isinstance(answer, CallFailed):
            raise Unavailable(problem_of(answer))
        try:
            found = msgspec.convert(answer, ContactAnswer).orders.items
        except msgspec.ValidationError:  # without its words, which may repeat the address
            raise Unavailable(problem_of(CallFailed("unreadable answer", CallTrouble.UNREADABLE))) from None
        if not found or found[0].active or found[0].customer is None:
            return None
        return found[0].customer.email_address or None

    async def changed_since(
        self, cursor: datetime | None, overlap: timedelta
    ) -> AsyncIterator[list[PlatformOrder | UnreadableOrder]]:
        """By `updatedAt`, from each page's last time on: an order that changes meanwhile moves to the end."""
        after = None if cursor is None else cursor - overlap
        seen: set[tuple[str, datetime]] = set()
        skip = 0
        while True:
            found = await self._orders(_changed_after(after, skip))
            new = [order for order in found if (order.id, order.updated_at) not in seen]
            seen |= {(order.id, order.updated_at) for order in new}
            if placed := [order_of(order) for order in new if order.order_placed_at is not None]:
                yield placed
            if len(found) < PAGE:
                return
            after, skip = (found[-1].updated_at - _A_MOMENT, 0) if new else (after, skip + PAGE)

    async def read_hint(self, headers: Mapping[str, str], body: bytes) -> NotificationRefused:
        """There are none."""
        return NO_WEBHOOKS

    async def check(self) -> str | None:
        """Why the shop cannot be read; None when it can."""
        answer = await self._client.ask(CHECK, {})
        return problem_of(answer) if isinstance(answer, CallFailed) else None

    async def _orders(self, options: Mapping[str, object]) -> list[Order]:
        found = await self._find(options)
        if isinstance(found, CallFailed):
            raise Unavailable(problem_of(found))
        return found

    async def _find(self, options: Mapping[str, object]) -> list[Order] | CallFailed:
        answer = await self._client.ask(ORDERS, {"options": options})
        if isinstance(answer, CallFailed):
            return answer
        try:
            return list(msgspec.convert(answer, OrdersAnswer).orders.items)
        except msgspec.ValidationError as error:
            return CallFailed(f"unreadable answer: {error}", CallTrouble.UNREADABLE)


def _changed_after(after: datetime | None, skip: int) -> dict[str, object]:
    wanted: dict[str, object] = {"active": {"eq": False}}
    if after is not None:
        wanted["updatedAt"] = {"after": after.isoformat()}
    return {"take": PAGE, "skip": skip, "sort": {"updatedAt": "ASC", "id": "ASC"}, "filter": wanted}


def problem_of(failed: CallFailed) -> str:
    """What to do about a call that came to nothing."""
    said = sentence(failed.reason)
    match failed.trouble:
        case CallTrouble.UNAUTHORISED:
            return (
                "Vendure does not take the key, or it lacks rights: it needs ReadOrder, UpdateOrder and ReadCustomer. "
                f"It says: {said}"
            )
        case CallTrouble.UNREADABLE:
            return f"What answers at this address is not the admin API of a Vendure of version 3.7: {said}"
    return f"Vendure does not answer at this address: {said} Check the address, and that it runs."
