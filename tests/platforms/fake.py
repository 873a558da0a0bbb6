"""A commerce platform in memory, by the port: orders are put in and changed, and it can be down."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from jitui.aftersales.memory_store.provider import MemoryProvider
from jitui.aftersales.platform import CallFailed, OrderHint, PlatformOrder, UnreadableOrder
from jitui.aftersales.provider import CallTrouble, NotificationIgnored, NotificationRefused
from jitui.bootstrap import Service
from jitui.bootstrap_platforms import Connected
from jitui.errors import Unavailable
from jitui.notices.model import Mailer


class FakePlatform:
    """See `jitui.aftersales.platform.Platform`; `reads` are the ids that were asked for, in order."""

    def __init__(self, name: str = "vendure") -> None:
        self._name = name
        self.orders: dict[str, PlatformOrder | UnreadableOrder] = {}
        self.addresses: dict[str, str] = {}
        self.down = False
        self.reads: list[str] = []
        self.before_reading: Callable[[], Awaitable[None]] | None = None

    @property
    def name(self) -> str:
        return self._name

    async def check(self) -> str | None:
        return "It is down." if self.down else None

    async def find_order(self, order_id: str) -> PlatformOrder | UnreadableOrder | CallFailed | None:
        self.reads.append(order_id)
        if self.before_reading is not None:
            await self.before_reading()
        return CallFailed("no answer in time", CallTrouble.TIMED_OUT) if self.down else self.orders.get(order_id)

    async def read_orders(self, order_ids: Sequence[str]) -> list[PlatformOrder | UnreadableOrder]:
        self._answer()
        return [self.orders[order_id] for order_id in order_ids if order_id in self.orders]

    async def contact_address(self, order_id: str) -> str | None:
        self._answer()
        return self.addresses.get(order_id)

    async def changed_since(
        self, cursor: datetime | None, overlap: timedelta
    ) -> AsyncIterator[list[PlatformOrder | UnreadableOrder]]:
        self._answer()
        yield sorted(self.orders.values(), key=lambda order: order.changed_at)

    async def read_hint(
        self, headers: Mapping[str, str], body: bytes
    ) -> OrderHint | NotificationIgnored | NotificationRefused:
        """The body is the order's id, signed by the word `signed`."""
        if headers.get("x-signature") != "signed":
            return NotificationRefused("The signature is wrong")
        return OrderHint(body.decode()) if body else NotificationIgnored("It names no order")

    def _answer(self) -> None:
        if self.down:
            raise Unavailable("The platform does not answer.")


def with_platform(service: Service, platform: FakePlatform, shop_id: str, mailer: Mailer | None = None) -> Service:
    """The same service with this platform connected; its refunds go to a provider that pays at once."""
    provider = MemoryProvider(platform.name)
    one = Connected(platform, provider, shop_id)
    platforms = replace(service.platforms, connected=(one,), mailer=mailer)
    return replace(service, platforms=platforms, providers={**service.providers, platform.name: provider})
