"""Jitui beside a shop on Saleor: the store, the port in both shapes, and the steps of a worker."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial

from jitui.adapters.platforms.access import PlatformAccess
from jitui.adapters.platforms.saleor.opening import open_saleor
from jitui.adapters.platforms.saleor.orders import NAME, SaleorOrders
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
from jitui.aftersales.platform import read_refunded_units
from jitui.aftersales.ports import ClaimedRefund
from jitui.bootstrap import utc_now
from tests.aftersales.market import Market, open_market
from tests.platforms.saleor.server import TOKEN, SaleorServer
from tests.platforms.vendure.market import POLICY

SHOP = "shop-on-saleor"
LEASE = timedelta(seconds=60)


@dataclass(frozen=True)
class SaleorMarket:
    """Everything in place."""

    jitui: Market
    there: SaleorServer
    orders: SaleorOrders
    provider: PlatformProvider
    states: PostgresPlatformStates

    @property
    def deciding(self) -> DecisionSettings:
        return DecisionSettings(Deciding(POLICY), self.jitui.decision_settings.time_zone, frozenset({NAME}))

    async def settings(self) -> DecisionSettings:
        """As a service reads them."""
        return self.deciding

    async def sync(self) -> Synced:
        """The worker's periodic step."""
        now = datetime.now(UTC)
        return await sync_platform(self.jitui.store, self.states, self.orders, self.settings, SHOP, now=now)

    async def order(self, number: str) -> OrderSnapshot:
        """The order as it is known here."""
        ref = await self.jitui.store.find_order(number)
        assert ref is not None, f"{number} was not taken in"
        found = await self.jitui.store.read_order(ref)
        assert found is not None
        return found

    async def ask(self, number: str, *lines: tuple[str, int]) -> Executed | Refusal | StoredResponse:
        """The buyer asks."""
        buyer = (await self.order(number)).order.buyer_id
        request = RefundRequest(buyer, number, lines=tuple(LineUnits(*line) for line in lines))
        return await request_refund(self.jitui.store, self.deciding, request, now=datetime.now(UTC))

    async def asked(self, number: str, *lines: tuple[str, int]) -> Ticket:
        """The buyer asks and gets a ticket."""
        done = await self.ask(number, *lines)
        assert isinstance(done, Executed), done
        return done.ticket

    async def claim(self, *, after: timedelta = timedelta(0)) -> list[ClaimedRefund]:
        """A worker's claim, at once or later."""
        now = datetime.now(UTC) + after
        return await self.jitui.store.claim_refunds(now=now, lease_until=now + LEASE, limit=100, provider=NAME)

    async def pay(self, *, after: timedelta = timedelta(0)) -> int:
        """Claim what is due then and pay it; how many."""
        claimed = await self.claim(after=after)
        for refund in claimed:
            clock = partial(_later, after)
            await pay_claimed(self.jitui.store, {NAME: self.provider}, refund, clock=clock)
        return len(claimed)


def _later(after: timedelta) -> datetime:
    return datetime.now(UTC) + after


@asynccontextmanager
async def open_saleor_market(
    database_url: str, there: SaleorServer, *, timeout_seconds: float = 5
) -> AsyncIterator[SaleorMarket]:
    """A market whose one provider is the shop's Saleor."""
    async with open_market(database_url, now=datetime.now(UTC), watched=True) as jitui, AsyncExitStack() as stack:
        orders, writer = await open_saleor(PlatformAccess(there.url, TOKEN, timeout_seconds), stack)
        units = partial(read_refunded_units, jitui.store)
        rules = PlatformRules(settles=True, timeout_seconds=2 * timeout_seconds)
        provider = PlatformProvider(orders, writer, units, PostgresPlatformCalls(jitui.pool), rules, utc_now)
        yield SaleorMarket(jitui, there, orders, provider, PostgresPlatformStates(jitui.pool))
