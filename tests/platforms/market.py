"""Jitui beside a shop's platform: the store, both ports, and the steps of a worker."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial

from jitui.adapters.platforms.access import PlatformAccess
from jitui.adapters.postgres.platform_calls import PostgresPlatformCalls
from jitui.adapters.postgres.platform_states import PostgresPlatformStates
from jitui.aftersales.commands.execute import Executed
from jitui.aftersales.commands.pay import pay_claimed
from jitui.aftersales.commands.request_refund import DecisionSettings, RefundRequest, request_refund
from jitui.aftersales.deciding import Deciding
from jitui.aftersales.model.order import LineUnits
from jitui.aftersales.model.snapshot import OrderSnapshot
from jitui.aftersales.model.ticket import Ticket
from jitui.aftersales.operations.platform_refunds import PlatformProvider, PlatformRules
from jitui.aftersales.operations.platform_sync import Synced, sync_platform
from jitui.aftersales.outcomes import Refusal, StoredResponse
from jitui.aftersales.platform import Platform, PlatformWriter, read_refunded_units
from jitui.aftersales.ports import ClaimedRefund
from jitui.bootstrap import utc_now
from jitui.policy import Policy
from tests.aftersales.market import Market, open_market

Opening = Callable[[PlatformAccess, AsyncExitStack], Awaitable[tuple[Platform, PlatformWriter]]]

LEASE = timedelta(seconds=60)
POLICY = Policy.from_text(
    """
policy: everything-unshipped
version: "1"
effective_from: 2025-01-01T00:00:00+08:00
currency: CNY
title: {zh: 未发货即退款, en: Refund of what has not shipped}
conditions:
  - id: unshipped
    when: "order.shipment in ['unshipped', 'label_printed']"
    public: true
    text: {zh: 未发货, en: It has not shipped}
review: {deadline: 48h, on_timeout: approve}
notice: {zh: 已自动退款, en: It was refunded at once}
"""
)


@dataclass(frozen=True)
class ShopMarket:
    """Everything in place."""

    jitui: Market
    orders: Platform
    provider: PlatformProvider
    states: PostgresPlatformStates

    @property
    def name(self) -> str:
        """The platform's."""
        return self.orders.name

    @property
    def deciding(self) -> DecisionSettings:
        return DecisionSettings(Deciding(POLICY), self.jitui.decision_settings.time_zone, frozenset({self.name}))

    async def settings(self) -> DecisionSettings:
        """As a service reads them."""
        return self.deciding

    async def sync(self) -> Synced:
        """The worker's periodic step."""
        now = datetime.now(UTC)
        return await sync_platform(
            self.jitui.store, self.states, self.orders, self.settings, f"shop-on-{self.name}", now=now, whole=True
        )

    async def order(self, code: str) -> OrderSnapshot:
        """The order as it is known here."""
        ref = await self.jitui.store.find_order(code)
        assert ref is not None, f"{code} was not taken in"
        found = await self.jitui.store.read_order(ref)
        assert found is not None
        return found

    async def ask(
        self, code: str, *lines: tuple[str, int], after: timedelta = timedelta(0)
    ) -> Executed | Refusal | StoredResponse:
        """The buyer asks."""
        buyer = (await self.order(code)).order.buyer_id
        request = RefundRequest(buyer, code, lines=tuple(LineUnits(*line) for line in lines))
        return await request_refund(self.jitui.store, self.deciding, request, now=datetime.now(UTC) + after)

    async def asked(self, code: str, *lines: tuple[str, int], after: timedelta = timedelta(0)) -> Ticket:
        """The buyer asks and gets a ticket."""
        done = await self.ask(code, *lines, after=after)
        assert isinstance(done, Executed), done
        return done.ticket

    async def claim(self, *, after: timedelta = timedelta(0)) -> list[ClaimedRefund]:
        """A worker's claim, at once or later."""
        now = datetime.now(UTC) + after
        return await self.jitui.store.claim_refunds(now=now, lease_until=now + LEASE, limit=100, provider=self.name)

    async def pay(self, *, after: timedelta = timedelta(0)) -> int:
        """Claim what is due then and pay it; how many."""
        claimed = await self.claim(after=after)
        clock = partial(_later, after)
        for refund in claimed:
            await pay_claimed(self.jitui.store, {self.name: self.provider}, refund, clock=clock)
        return len(claimed)


def _later(after: timedelta) -> datetime:
    return datetime.now(UTC) + after


@asynccontextmanager
async def open_shop_market(
    opening: Opening,
    database_url: str,
    url: str,
    token: str,
    *,
    settles: bool = True,
    timeout_seconds: float = 20,
) -> AsyncIterator[ShopMarket]:
    """A market whose one provider is the platform at this address."""
    async with open_market(database_url, now=datetime.now(UTC), watched=True) as jitui, AsyncExitStack() as stack:
        orders, writer = await opening(PlatformAccess(url, token, timeout_seconds), stack)
        units, calls = partial(read_refunded_units, jitui.store), PostgresPlatformCalls(jitui.pool)
        rules = PlatformRules(settles=settles, timeout_seconds=timeout_seconds)
        provider = PlatformProvider(orders, writer, units, calls, rules, utc_now)
        yield ShopMarket(jitui, orders, provider, PostgresPlatformStates(jitui.pool))
