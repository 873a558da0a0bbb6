"""Reads a shop's orders on Saleor: the source of orders, payments and shipments."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from datetime import datetime, timedelta

from jitui.adapters.platforms.saleor.client import SaleorClient
from jitui.adapters.platforms.saleor.mapping import NOT_PLACED, order_of
from jitui.adapters.platforms.saleor.queries import CHECK, ORDERS, CheckAnswer, Connection, Order, OrdersAnswer
from jitui.adapters.platforms.saleor.webhooks import read_webhook
from jitui.adapters.platforms.shop_client import sentence
from jitui.aftersales.platform import CallFailed, OrderHint, PlatformOrder, UnreadableOrder
from jitui.aftersales.provider import CallTrouble, NotificationIgnored, NotificationRefused
from jitui.errors import Unavailable

NAME = "saleor"
PAGE, MOST_PAGES = 50, 2000
KEYS_FOR_SECONDS = 60.0
OLDEST = (3, 22)
RIGHTS = ("HANDLE_PAYMENTS", "MANAGE_ORDERS")


class SaleorOrders:
    """See `jitui.aftersales.platform.Platform`; an order's id here is its number there, which buyers know."""

    def __init__(self, client: SaleorClient, clock: Callable[[], float] = time.monotonic) -> None:
        self._client = client
        self._clock = clock
        self._keys: Mapping[str, object] | CallFailed | None = None
        self._keys_until = 0.0

    @property
    def name(self) -> str:
        return NAME

    async def read_hint(
        self, headers: Mapping[str, str], body: bytes
    ) -> OrderHint | NotificationIgnored | NotificationRefused:
        """Signed with one of the shop's keys, which are read at most once a minute."""
        now = self._clock()
        if self._keys is None or now >= self._keys_until:
            self._keys, self._keys_until = await self._client.key_set(), now + KEYS_FOR_SECONDS
        if isinstance(self._keys, CallFailed):
            return NotificationRefused(f"Saleor's keys cannot be read: {self._keys.reason}")
        return read_webhook(headers, body, self._keys)

    async def check(self) -> str | None:
        """Why the shop cannot be read or refunded; its version and the app's rights are looked at."""
        answer = await self._client.ask(CHECK, {}, CheckAnswer)
        if isinstance(answer, CallFailed):
            return problem_of(answer)
        if _version(answer.shop.version) < OLDEST:
            return f"This Saleor is {answer.shop.version}; versions from 3.22 on can be connected."
        if answer.app is None:
            return "The token is no app's: create an app in Saleor, and take its token."
        held = {one.code for one in answer.app.permissions or ()}
        missing = [right for right in RIGHTS if right not in held]
        return f"The app lacks permissions: give it {' and '.join(missing)}." if missing else None

    async def find_order(self, order_id: str) -> PlatformOrder | UnreadableOrder | CallFailed | None:
        """The order now; None when it has none of this number, or it was not placed yet."""
        order = await self._one(order_id)
        return order if order is None or isinstance(order, CallFailed) else order_of(order)

    async def contact_address(self, order_id: str) -> str | None:
        """The e-mail that Saleor has for the order. Raises Unavailable."""
        order = await self._one(order_id)
        if isinstance(order, CallFailed):
            raise Unavailable(problem_of(order))
        return None if order is None else order.user_email or None

    async def read_orders(self, order_ids: Sequence[str]) -> list[PlatformOrder | UnreadableOrder]:
        """The orders of these numbers; those that do not exist are left out."""
        numbers = [int(number) for number in order_ids if number.isdecimal()]
        found: list[PlatformOrder | UnreadableOrder] = []
        for start in range(0, len(numbers), PAGE):
            part = numbers[start : start + PAGE]
            page = await self._page({"number": {"oneOf": part}}, None)
            if isinstance(page, CallFailed):
                raise Unavailable(problem_of(page))
            found += _placed(page)
        return found

    async def changed_since(
        self, cursor: datetime | None, overlap: timedelta
    ) -> AsyncIterator[list[PlatformOrder | UnreadableOrder]]:
        """By `updatedAt`, oldest first; an order that changes meanwhile comes again at the end."""
        where = {} if cursor is None else {"updatedAt": {"gte": (cursor - overlap).isoformat()}}
        after: str | None = None
        for _ in range(MOST_PAGES):
            page = await self._page(where, after)
            if isinstance(page, CallFailed):
                raise Unavailable(problem_of(page))
            if placed := _placed(page):
                yield placed
            if not page.page_info.has_next_page:
                return
            if page.page_info.end_cursor in (None, after):
                raise Unavailable("Saleor's list of orders does not go on: it gave the same cursor again.")
            after = page.page_info.end_cursor
        raise Unavailable(f"Saleor's list of orders has more than {MOST_PAGES} pages.")

    async def _one(self, order_id: str) -> Order | CallFailed | None:
        if not order_id.isdecimal():
            return None
        page = await self._page({"number": {"eq": int(order_id)}}, None)
        if isinstance(page, CallFailed):
            return page
        nodes = (edge.node for edge in page.edges)
        return next((node for node in nodes if node.number == order_id and node.status not in NOT_PLACED), None)

    async def _page(self, where: Mapping[str, object], after: str | None) -> Connection | CallFailed:
        answer = await self._client.ask(ORDERS, {"where": where, "first": PAGE, "after": after}, OrdersAnswer)
        return answer if isinstance(answer, CallFailed) else answer.orders


def _placed(page: Connection) -> list[PlatformOrder | UnreadableOrder]:
    return [order_of(edge.node) for edge in page.edges if edge.node.status not in NOT_PLACED]


def _version(told: str) -> tuple[int, ...]:
    parts = told.partition("-")[0].split(".")[:2]
    return tuple(int(part) for part in parts if part.isdecimal())


def problem_of(failed: CallFailed) -> str:
    """What to do about a call that came to nothing."""
    said = sentence(failed.reason)
    match failed.trouble:
        case CallTrouble.UNAUTHORISED:
            lacks = f"the app lacks {' or '.join(RIGHTS)}"
            return f"Saleor does not take the token, or {lacks}. It says: {said}"
        case CallTrouble.UNREADABLE:
            return f"What answers is not the API of a Saleor from 3.22 on: {said} Check the address."
    return f"Saleor does not answer: {said} Check the address, and that it runs."
