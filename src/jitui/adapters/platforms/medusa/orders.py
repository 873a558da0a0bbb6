"""Reads a shop's orders on Medusa: the source of orders, payments and shipments."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import TypeVar
from urllib.parse import quote

from jitui.adapters.platforms.medusa.client import MedusaClient, Query, Refusal
from jitui.adapters.platforms.medusa.forms import (
    NUMBER_FIELDS,
    ORDER_FIELDS,
    PLACED_FIELDS,
    Contact,
    Numbers,
    OneOrder,
    Order,
    Orders,
    Placed,
    PlacedLines,
)
from jitui.adapters.platforms.medusa.mapping import DRAFT, NAME, number_of, order_of
from jitui.adapters.platforms.shop_client import sentence
from jitui.adapters.platforms.signatures import NO_WEBHOOKS
from jitui.aftersales.platform import CallFailed, PlatformOrder, UnreadableOrder
from jitui.aftersales.provider import CallTrouble, NotificationRefused
from jitui.errors import Unavailable

PAGE = 50
SEARCHED_PAGES = 4
MOST_REMEMBERED = 10_000
_A_MOMENT = timedelta(milliseconds=1)
_NOT_FOUND = 404

Value = TypeVar("Value")


class MedusaOrders:
    """See `jitui.aftersales.platform.Platform`; an order's id here is its number there, which buyers know.

    Medusa finds no order by its number, and an order that was edited tells its first lines in a call of its own. Both
    never change, and are remembered.
    """

    def __init__(self, client: MedusaClient) -> None:
        self._client = client
        self._ids: dict[str, str] = {}  # by number
        self._placed: dict[str, tuple[Placed, ...]] = {}  # by id

    @property
    def name(self) -> str:
        return NAME

    async def find_order(self, order_id: str) -> PlatformOrder | UnreadableOrder | CallFailed | None:
        """The order now; None when it has none of this number, or it is still a draft."""
        there = await self._id_of(order_id)
        if there is None or isinstance(there, CallFailed):
            return there
        answer = await self._client.get(f"orders/{quote(there, safe='')}", OneOrder, [("fields", ORDER_FIELDS)])
        if isinstance(answer, Refusal) and answer.status == _NOT_FOUND:
            return None
        found = _told(answer)
        return found if isinstance(found, CallFailed) else await self._read(found.order)

    async def contact_address(self, order_id: str) -> str | None:
        """The e-mail address that the shop has for the order. Raises Unavailable."""
        there = _or_raise(await self._id_of(order_id))
        if there is None:
            return None
        answer = await self._client.get(f"orders/{quote(there, safe='')}", Contact, [("fields", "id,email")])
        if isinstance(answer, Refusal) and answer.status == _NOT_FOUND:
            return None
        return _or_raise(_told(answer)).order.email

    async def read_orders(self, order_ids: Sequence[str]) -> list[PlatformOrder | UnreadableOrder]:
        """The orders of these numbers; those that do not exist are left out."""
        ids = [there for number in order_ids if (there := _or_raise(await self._id_of(number))) is not None]
        found: list[PlatformOrder | UnreadableOrder] = []
        for first in range(0, len(ids), PAGE):
            some = ids[first : first + PAGE]
            found += await self._orders([*(("id[]", there) for there in some), ("limit", str(PAGE))])
        return found

    async def changed_since(
        self, cursor: datetime | None, overlap: timedelta
    ) -> AsyncIterator[list[PlatformOrder | UnreadableOrder]]:
        """By `updated_at`, from each page's last time on: an order that changes meanwhile moves to the end."""
        after = None if cursor is None else cursor - overlap
        seen: set[tuple[str, datetime]] = set()
        skip = 0
        while True:
            found = _or_raise(_told(await self._client.get("orders", Orders, _changed_after(after, skip)))).orders
            new = [order for order in found if (order.id, order.updated_at) not in seen]
            seen |= {(order.id, order.updated_at) for order in new}
            if placed := [read for order in new if (read := _or_raise(await self._read(order))) is not None]:
                yield placed
            if len(found) < PAGE:
                return
            after, skip = (found[-1].updated_at - _A_MOMENT, 0) if new else (after, skip + PAGE)

    async def read_hint(self, headers: Mapping[str, str], body: bytes) -> NotificationRefused:
        """There are none."""
        return NO_WEBHOOKS

    async def check(self) -> str | None:
        """Why the shop cannot be read; None when it can."""
        query = [("fields", ORDER_FIELDS), ("limit", "1")]
        found = _told(await self._client.get("orders", Orders, query))
        return problem_of(found) if isinstance(found, CallFailed) else None

    # One order --------------------------------------------------------------------------------------------------------

    async def _orders(self, query: Query) -> list[PlatformOrder | UnreadableOrder]:
        found = _or_raise(_told(await self._client.get("orders", Orders, [*query, ("fields", ORDER_FIELDS)])))
        return [read for order in found.orders if (read := _or_raise(await self._read(order))) is not None]

    async def _read(self, order: Order) -> PlatformOrder | UnreadableOrder | CallFailed | None:
        if order.is_draft_order or order.status == DRAFT:
            return None
        _remember(self._ids, number_of(order), order.id)
        placed = await self._first_lines(order)
        return placed if isinstance(placed, CallFailed) else order_of(order, placed)

    async def _first_lines(self, order: Order) -> tuple[Placed, ...] | CallFailed:
        """The lines as they were placed, of an order that was changed since."""
        if order.version == 1:
            return ()
        if order.id not in self._placed:
            query = [("version", "1"), ("fields", PLACED_FIELDS)]
            found = _told(await self._client.get(f"orders/{quote(order.id, safe='')}/line-items", PlacedLines, query))
            if isinstance(found, CallFailed):
                return found
            _remember(self._placed, order.id, found.order_items)
        return self._placed[order.id]

    # Its number -------------------------------------------------------------------------------------------------------

    async def _id_of(self, number: str) -> str | CallFailed | None:
        """The id of the order with this number, from memory or by the search, which finds parts of addresses too."""
        if number in self._ids:
            return self._ids[number]
        there = await self._search(number) if number.strip() else None
        if isinstance(there, str):
            _remember(self._ids, number, there)
        return there

    async def _search(self, number: str) -> str | CallFailed | None:
        for page in range(SEARCHED_PAGES):
            query = [("q", number), ("order", "display_id"), ("limit", str(PAGE)), ("offset", str(page * PAGE))]
            found = await self._numbers(query)
            if isinstance(found, CallFailed):
                return found
            for order in found.orders:
                if number == (order.custom_display_id or str(order.display_id)):
                    return order.id
            if found.count <= (page + 1) * PAGE:
                return None
        if number.isdecimal():
            return await self._bisect(int(number))
        return CallFailed("too many orders are found by this number", CallTrouble.FAILING)

    async def _bisect(self, number: int) -> str | CallFailed | None:
        """Medusa numbers orders one after the other, with gaps: where many orders contain a number, look in between."""
        first, end = 0, number
        while first < end:
            middle = (first + end) // 2
            found = await self._numbers([("order", "display_id"), ("limit", "1"), ("offset", str(middle))])
            if isinstance(found, CallFailed):
                return found
            if not found.orders or found.orders[0].display_id > number:
                end = middle
            elif found.orders[0].display_id < number:
                first = middle + 1
            else:
                return None if found.orders[0].custom_display_id else found.orders[0].id
        return None

    async def _numbers(self, query: Query) -> Numbers | CallFailed:
        return _told(await self._client.get("orders", Numbers, [*query, ("fields", NUMBER_FIELDS)]))


def _changed_after(after: datetime | None, skip: int) -> Query:
    """Medusa sorts by one field alone; orders of one time come in any order, and are seen only once."""
    since = [] if after is None else [("updated_at[$gte]", after.isoformat())]
    return [*since, ("order", "updated_at"), ("limit", str(PAGE)), ("offset", str(skip)), ("fields", ORDER_FIELDS)]


def _remember(known: dict[str, Value], key: str, value: Value) -> None:
    """The oldest is forgotten first."""
    if key not in known and len(known) >= MOST_REMEMBERED:
        del known[next(iter(known))]
    known[key] = value


def _told(answer: Value | Refusal | CallFailed) -> Value | CallFailed:
    """Reading is never refused by a Medusa that has what is read."""
    if isinstance(answer, Refusal):
        return CallFailed(f"answered {answer.status}: {answer.reason}", CallTrouble.UNREADABLE)
    return answer


def _or_raise(answer: Value | CallFailed) -> Value:
    if isinstance(answer, CallFailed):
        raise Unavailable(problem_of(answer))
    return answer


def problem_of(failed: CallFailed) -> str:
    """What to do about a call that came to nothing."""
    said = sentence(failed.reason)
    match failed.trouble:
        case CallTrouble.UNAUTHORISED:
            return (
                "Medusa does not take the key. It needs a secret API key that is not revoked (Settings, Secret API "
                f"Keys). It says: {said}"
            )
        case CallTrouble.UNREADABLE:
            return f"What answers there is not the admin interface of a Medusa of version 2.12 or newer: {said}"
    return f"Medusa does not answer: {said} Check the address, and that it runs."
