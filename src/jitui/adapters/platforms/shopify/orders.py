"""Reads a shop's orders on Shopify: the source of orders, payments and shipments."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import TypeVar

import msgspec

from jitui.adapters.platforms.shop_client import NOT_PRIVATE, sentence
from jitui.adapters.platforms.shopify.client import VERSION, ShopifyClient
from jitui.adapters.platforms.shopify.mapping import number_of, order_of
from jitui.adapters.platforms.shopify.queries import (
    CHANGED,
    CHECK,
    FIND,
    ORDER,
    SHIPPING,
    CheckAnswer,
    Found,
    FoundAnswer,
    Order,
    OrderAnswer,
    Shipping,
    ShippingAnswer,
)
from jitui.adapters.platforms.shopify.webhooks import read_webhook
from jitui.aftersales.platform import CallFailed, OrderHint, PlatformOrder, UnreadableOrder
from jitui.aftersales.provider import CallTrouble, NotificationIgnored, NotificationRefused
from jitui.errors import Unavailable

NAME = "shopify"
NEEDED = (
    "read_orders",
    "write_orders",
    "read_customers",
    "read_merchant_managed_fulfillment_orders",
    "write_merchant_managed_fulfillment_orders",
    "read_third_party_fulfillment_orders",
    "write_third_party_fulfillment_orders",
)
"""Access scopes; `write_…` includes `read_…`."""

_T = TypeVar("_T")


class ShopifyOrders:
    """See `jitui.aftersales.platform.Platform`; an order's id here is its name there, without the `#`."""

    def __init__(self, client: ShopifyClient, webhook_secret: str) -> None:
        self._client = client
        self._webhook_secret = webhook_secret

    @property
    def name(self) -> str:
        return NAME

    async def find_order(self, order_id: str) -> PlatformOrder | UnreadableOrder | CallFailed | None:
        """The order now: its name is searched for, what it has is read from the order itself."""
        found = await self._found(order_id)
        return await self._whole(found) if isinstance(found, Found) else found

    async def contact_address(self, order_id: str) -> str | None:
        """The e-mail address that the order was placed with. Raises Unavailable."""
        found = await self._found(order_id)
        order = await read_order(self._client, found.id) if isinstance(found, Found) else found
        if isinstance(order, CallFailed):
            raise Unavailable(problem_of(order))
        return None if order is None else order.email or None

    async def read_orders(self, order_ids: Sequence[str]) -> list[PlatformOrder | UnreadableOrder]:
        """The orders of these names; those that do not exist are left out."""
        read = [await self.find_order(order_id) for order_id in order_ids]
        return [_available(one) for one in read if one is not None]

    async def changed_since(
        self, cursor: datetime | None, overlap: timedelta
    ) -> AsyncIterator[list[PlatformOrder | UnreadableOrder]]:
        """By `updatedAt`; Shopify's cursor names a place in time, so what changes meanwhile comes once more."""
        query = "" if cursor is None else f"updated_at:>='{(cursor - overlap).astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}'"
        after: str | None = None
        while True:
            answer = await self._client.ask(CHANGED, {"query": query or None, "after": after})
            page = converted(answer, FoundAnswer)
            if isinstance(page, CallFailed):
                raise Unavailable(problem_of(page))
            read = [await self._whole(found) for found in page.orders.nodes]
            if placed := [_available(one) for one in read if one is not None]:
                yield placed
            after = page.orders.page_info.end_cursor
            if not page.orders.page_info.has_next_page or after is None:
                return

    async def read_hint(
        self, headers: Mapping[str, str], body: bytes
    ) -> OrderHint | NotificationIgnored | NotificationRefused:
        """Signed with the secret that the connection has."""
        return read_webhook(headers, body, self._webhook_secret)

    async def check(self) -> str | None:
        """Why the shop cannot be read and written; None when it can."""
        answer = await self._client.ask(CHECK, {})
        told = converted(answer, CheckAnswer)
        if isinstance(told, CallFailed):
            return problem_of(told)
        if self._client.told_version != VERSION:
            return (
                f"Shopify answers with version {self._client.told_version} of its API and not {VERSION}, which is no "
                "longer supported: a newer Jitui is needed."
            )
        granted = {scope.handle for scope in told.current_app_installation.access_scopes}
        granted |= {scope.replace("write_", "read_", 1) for scope in granted}
        missing = [scope for scope in NEEDED if scope not in granted]
        return f"The app lacks access scopes: {', '.join(missing)}." if missing else None

    async def _found(self, order_id: str) -> Found | CallFailed | None:
        """By the name; a webhook has Shopify's own id, and that is taken too."""
        if order_id.startswith("gid://shopify/Order/"):
            return Found(order_id, "")
        number = number_of(order_id)
        quoted = number.replace("\\", "\\\\").replace('"', '\\"')
        answer = converted(await self._client.ask(FIND, {"query": f'name:"{quoted}"'}), FoundAnswer)
        if isinstance(answer, CallFailed):
            return answer
        return next((found for found in answer.orders.nodes if number_of(found.name) == number), None)

    async def _whole(self, found: Found) -> PlatformOrder | UnreadableOrder | CallFailed | None:
        """The order, then its shipments: what was sent is the fresher of the two."""
        order = await read_order(self._client, found.id)
        if not isinstance(order, Order):
            return order
        shipping = await read_shipping(self._client, found.id)
        return order_of(order, shipping) if isinstance(shipping, Shipping) else shipping


async def read_order(client: ShopifyClient, gid: str) -> Order | CallFailed | None:
    """What was bought and paid; None when there is no such order."""
    told = converted(await client.ask(ORDER, {"id": gid}), OrderAnswer)
    return told if isinstance(told, CallFailed) else told.order


async def read_shipping(client: ShopifyClient, gid: str) -> Shipping | CallFailed | None:
    """What was sent and what waits; None when there is no such order."""
    told = converted(await client.ask(SHIPPING, {"id": gid}), ShippingAnswer)
    return told if isinstance(told, CallFailed) else told.order


def converted(answer: Mapping[str, object] | CallFailed, form: type[_T]) -> _T | CallFailed:
    """An answer's data in its form."""
    if isinstance(answer, CallFailed):
        return answer
    try:
        return msgspec.convert(answer, form)
    except msgspec.ValidationError as error:
        return CallFailed(f"unreadable answer: {error}", CallTrouble.UNREADABLE)


def _available(one: PlatformOrder | UnreadableOrder | CallFailed) -> PlatformOrder | UnreadableOrder:
    if isinstance(one, CallFailed):
        raise Unavailable(problem_of(one))
    return one


def problem_of(failed: CallFailed) -> str:
    """What to do about a call that came to nothing."""
    said = sentence(failed.reason)
    if failed == NOT_PRIVATE:
        return "The address must begin with https://: the token is sent over TLS alone. Nothing was sent."
    match failed.trouble:
        case CallTrouble.UNAUTHORISED:
            return (
                "Shopify does not take the token, or the app lacks access scopes: the file must hold an Admin API "
                f"access token, or client_id:client_secret of an app that is installed. It says: {said}"
            )
        case CallTrouble.UNREADABLE:
            return (
                "What answers at this address is not the Admin API of a Shopify shop; the address is that of "
                f"admin, https://….myshopify.com: {said}"
            )
    return f"Shopify does not answer: {said} Check the address, and that the shop is open."
