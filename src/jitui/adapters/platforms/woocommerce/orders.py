"""Reads a shop's orders on WooCommerce: the source of orders, payments and shipments."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import TypeVar

import msgspec

from jitui.adapters.platforms.shop_client import NOT_PRIVATE, sentence
from jitui.adapters.platforms.woocommerce.answers import Fulfilment, Order, Refund, Stub
from jitui.adapters.platforms.woocommerce.client import NO_ROUTE, Answer, WooCommerceClient, WooError
from jitui.adapters.platforms.woocommerce.mapping import CARTS, order_of
from jitui.adapters.platforms.woocommerce.webhooks import read_webhook
from jitui.aftersales.platform import CallFailed, OrderHint, PlatformOrder, UnreadableOrder
from jitui.aftersales.provider import CallTrouble, NotificationIgnored, NotificationRefused
from jitui.errors import Unavailable

NAME = "woocommerce"
PAGE = 50
MOST_REFUNDS = 100
AT_ONCE = 2
"""How many orders' refunds and fulfilments are read at the same time."""
_A_SECOND = timedelta(seconds=1)
"""Times there have whole seconds."""
_NO_ORDER = frozenset({"woocommerce_rest_shop_order_invalid_id", "woocommerce_rest_invalid_order_id"})

_T = TypeVar("_T")


class WooCommerceOrders:
    """See `jitui.aftersales.platform.Platform`; an order's id here is its number there."""

    def __init__(self, client: WooCommerceClient, webhook_secret: str) -> None:
        self._client = client
        self._webhook_secret = webhook_secret

    @property
    def name(self) -> str:
        return NAME

    async def find_order(self, order_id: str) -> PlatformOrder | UnreadableOrder | CallFailed | None:
        """The order now; None when there is none of this number, or it is still a cart."""
        found = await self._raw(order_id)
        return await self._whole(found) if isinstance(found, Order) else found

    async def contact_address(self, order_id: str) -> str | None:
        """The e-mail address that the order was placed with. Raises Unavailable."""
        found = await self._raw(order_id)
        if isinstance(found, UnreadableOrder):  # without its words, which may repeat the address
            raise Unavailable(problem_of(CallFailed("an order has another form", CallTrouble.UNREADABLE)))
        if isinstance(found, CallFailed):
            raise Unavailable(problem_of(found))
        return None if found is None else found.billing.email or None

    async def read_orders(self, order_ids: Sequence[str]) -> list[PlatformOrder | UnreadableOrder]:
        """The orders of these numbers; those that do not exist are left out."""
        wanted = [order_id for order_id in order_ids if order_id.isdecimal()]
        listed = await self._list(include=",".join(wanted), per_page=100) if wanted else ([], 1)
        by_number = {_number(one): one for one in listed[0]}
        found: list[PlatformOrder | UnreadableOrder] = []
        known = [by_number[order_id] for order_id in order_ids if order_id in by_number]
        found += await self._wholes(known)
        for order_id in order_ids:
            if order_id not in by_number:
                one = await self.find_order(order_id)
                if isinstance(one, CallFailed):
                    raise Unavailable(problem_of(one))
                found += [] if one is None else [one]
        return found

    async def changed_since(
        self, cursor: datetime | None, overlap: timedelta
    ) -> AsyncIterator[list[PlatformOrder | UnreadableOrder]]:
        """By the time of the last change, from each page's last time on: what changes meanwhile moves to the end."""
        after = None if cursor is None else cursor - overlap
        seen: set[tuple[str, datetime]] = set()
        page = 1
        while True:
            params = {} if after is None else {"modified_after": f"{after.astimezone(UTC):%Y-%m-%dT%H:%M:%S}"}
            listed, pages = await self._list(
                orderby="modified", order="asc", dates_are_gmt="true", per_page=PAGE, page=page, **params
            )
            new = [one for one in listed if (_number(one), _changed_at(one)) not in seen]
            seen |= {(_number(one), _changed_at(one)) for one in new}
            if found := await self._wholes(new):
                yield found
            if page >= pages:
                return
            after, page = (_changed_at(listed[-1]) - _A_SECOND, 1) if new else (after, page + 1)

    async def read_hint(
        self, headers: Mapping[str, str], body: bytes
    ) -> OrderHint | NotificationIgnored | NotificationRefused:
        """Signed with the secret that the connection has."""
        return read_webhook(headers, body, self._webhook_secret)

    async def check(self) -> str | None:
        """Why the shop cannot be read and written; None when it can."""
        told = await self._client.get("orders", per_page=1, orderby="modified")
        if isinstance(told, WooError):
            told = told.as_failed()
        if isinstance(told, CallFailed):
            return problem_of(told)
        if isinstance(_decoded(told, list[msgspec.Raw]), CallFailed):
            return problem_of(CallFailed("answers with no list of orders", CallTrouble.UNREADABLE))
        told = await self._client.send("POST", "orders/batch", {})  # with no order in it: it changes nothing
        if isinstance(told, CallFailed):
            return problem_of(told)
        told = await self._client.get("orders/0/fulfillments")
        if isinstance(told, CallFailed):
            return problem_of(told)
        return _TELLS_NOTHING if isinstance(told, WooError) and told.code == NO_ROUTE else None

    # One order ------------------------------------------------------------------------------------------------------

    async def _raw(self, order_id: str) -> Order | UnreadableOrder | CallFailed | None:
        """By its id, where that is its number, else by the shop's search."""
        if order_id.isdecimal():
            told = await self._client.get(f"orders/{int(order_id)}")
            found = [_order(msgspec.Raw(told.body))] if isinstance(told, Answer) else _nothing_or_failed(told)
            if isinstance(found, CallFailed):
                return found
            if one := _placed(found, order_id):
                return one
        told = await self._client.get("orders", search=order_id, per_page=100)
        if not isinstance(told, Answer):
            return told.as_failed() if isinstance(told, WooError) else told
        rows = _decoded(told, list[msgspec.Raw])
        return rows if isinstance(rows, CallFailed) else _placed([_order(row) for row in rows], order_id)

    async def _whole(self, order: Order) -> PlatformOrder | UnreadableOrder | CallFailed:
        """The order with its refunds and fulfilments, which are read side by side."""
        refunds, told = await asyncio.gather(self._refunds(order), self._client.get(f"orders/{order.id}/fulfillments"))
        if isinstance(refunds, CallFailed):
            return refunds
        if len(refunds) >= MOST_REFUNDS:
            changed_at = _changed_at(order)
            return UnreadableOrder(order.number, changed_at, f"The order has {MOST_REFUNDS} refunds or more.")
        if {one.id for one in order.refunds} - {one.id for one in refunds}:
            return CallFailed("the order's refunds changed while they were read", CallTrouble.FAILING, reached=False)
        if isinstance(told, WooError) and told.code == NO_ROUTE:
            return order_of(order, refunds, None)
        fulfilments = _decoded(told, list[Fulfilment])
        return fulfilments if isinstance(fulfilments, CallFailed) else order_of(order, refunds, fulfilments)

    async def _refunds(self, order: Order) -> list[Refund] | CallFailed:
        """Asked for only where the order names one."""
        if not order.refunds:
            return []
        return _decoded(await self._client.get(f"orders/{order.id}/refunds", per_page=MOST_REFUNDS), list[Refund])

    async def _wholes(self, listed: Sequence[Order | UnreadableOrder]) -> list[PlatformOrder | UnreadableOrder]:
        """Those that were placed, with their refunds and fulfilments. Raises Unavailable."""
        limit = asyncio.Semaphore(AT_ONCE)

        async def read(one: Order | UnreadableOrder) -> PlatformOrder | UnreadableOrder | CallFailed:
            if isinstance(one, UnreadableOrder):
                return one
            async with limit:
                return await self._whole(one)

        placed = [one for one in listed if isinstance(one, UnreadableOrder) or one.status not in CARTS]
        found: list[PlatformOrder | UnreadableOrder] = []
        for one in await asyncio.gather(*(read(one) for one in placed)):
            if isinstance(one, CallFailed):
                raise Unavailable(problem_of(one))
            found.append(one)
        return found

    # Calls ----------------------------------------------------------------------------------------------------------

    async def _list(self, **params: str | int) -> tuple[list[Order | UnreadableOrder], int]:
        """A page of orders, and how many pages there are. Raises Unavailable."""
        told = await self._client.get("orders", **params)
        rows = _decoded(told, list[msgspec.Raw])
        if isinstance(rows, CallFailed) or not isinstance(told, Answer):
            raise Unavailable(problem_of(rows if isinstance(rows, CallFailed) else CallFailed("", CallTrouble.FAILING)))
        return [_order(row) for row in rows], told.pages


def _decoded(told: Answer | WooError | CallFailed, form: type[_T]) -> _T | CallFailed:
    if isinstance(told, WooError):
        return told.as_failed()
    if isinstance(told, CallFailed):
        return told
    try:
        return msgspec.json.decode(told.body, type=form)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        return CallFailed(f"unreadable answer: {error}", CallTrouble.UNREADABLE)


def _order(row: msgspec.Raw) -> Order | UnreadableOrder:
    """An order of a list; one that has another form hides no other."""
    try:
        return msgspec.json.decode(row, type=Order)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        try:
            stub = msgspec.json.decode(row, type=Stub)
        except (msgspec.MsgspecError, UnicodeDecodeError):
            raise Unavailable(problem_of(CallFailed("answers with what is no order", CallTrouble.UNREADABLE))) from None
        number = stub.number or str(stub.id)
        return UnreadableOrder(number, stub.date_modified_gmt.replace(tzinfo=UTC), f"It has another form: {error}.")


def _number(one: Order | UnreadableOrder) -> str:
    return one.number if isinstance(one, Order) else one.order_id


def _changed_at(one: Order | UnreadableOrder) -> datetime:
    return one.date_modified_gmt.replace(tzinfo=UTC) if isinstance(one, Order) else one.changed_at


def _placed(found: Sequence[Order | UnreadableOrder], order_id: str) -> Order | UnreadableOrder | None:
    """The order of this number among them, unless it is a cart."""
    named = (one for one in found if _number(one) == order_id)
    return next((one for one in named if not (isinstance(one, Order) and one.status in CARTS)), None)


def _nothing_or_failed(told: WooError | CallFailed) -> list[Order | UnreadableOrder] | CallFailed:
    if isinstance(told, CallFailed):
        return told
    return [] if told.code in _NO_ORDER else told.as_failed()


_TELLS_NOTHING = (
    "WooCommerce does not tell what was shipped, so every order counts as picked up and no refund goes out by itself. "
    "Switch on its feature Order fulfillments: set the option woocommerce_feature_fulfillments_enabled to yes "
    "(WooCommerce 10.1 or newer)."
)


def problem_of(failed: CallFailed) -> str:
    """What to do about a call that came to nothing."""
    said = sentence(failed.reason)
    if failed == NOT_PRIVATE:
        return "The address must begin with https://: WooCommerce takes the key over TLS alone. Nothing was sent."
    match failed.trouble:
        case CallTrouble.UNAUTHORISED:
            return (
                "WooCommerce does not take the key, or it lacks rights: the file must hold ck_…:cs_…, the key needs "
                f"Read/Write, and its user the role Shop manager. It says: {said}"
            )
        case CallTrouble.UNREADABLE:
            return (
                "What answers at this address is not the REST API v3 of WooCommerce. Check the address, and that "
                f"permalinks are not Plain: {said}"
            )
    return f"WooCommerce does not answer: {said} Check the address, and that the shop runs."
