"""Jitui beside a shop on a platform: the store, both ports of its adapter, and the steps of a worker."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from uuid import uuid4

from jitui.adapters.platforms.access import PlatformAccess
from jitui.adapters.postgres.platform_calls import PostgresPlatformCalls
from jitui.adapters.postgres.platform_connections import PostgresPlatformConnections
from jitui.adapters.postgres.platform_states import PostgresPlatformStates
from jitui.adapters.postgres.pool import make_pool
from jitui.aftersales.commands.execute import Executed
from jitui.aftersales.commands.pay import pay_claimed, refund_instruction
from jitui.aftersales.commands.platform_orders import PlatformReading
from jitui.aftersales.commands.request_refund import DecisionSettings, RefundRequest, request_refund
from jitui.aftersales.deciding import Deciding
from jitui.aftersales.governance.policies import install
from jitui.aftersales.model.order import LineUnits
from jitui.aftersales.model.snapshot import OrderSnapshot
from jitui.aftersales.model.ticket import Ticket
from jitui.aftersales.operations.platform_connections import PlatformConnection
from jitui.aftersales.operations.platform_refunds import PlatformProvider, PlatformRules
from jitui.aftersales.operations.platform_sync import OVERLAP, Synced, SyncState, sync_platform
from jitui.aftersales.outcomes import Refusal, StoredResponse
from jitui.aftersales.platform import (
    Platform,
    PlatformOrder,
    PlatformWriter,
    WantedRefund,
    read_refunded_units,
    reference_of,
)
from jitui.aftersales.ports import ClaimedRefund
from jitui.aftersales.provider import RefundInstruction
from jitui.bootstrap import Service, open_service, utc_now
from jitui.policy import Policy
from jitui.settings import read_settings
from tests.aftersales.market import Market, open_market
from tests.platforms.wire_server import WireServer

LEASE = timedelta(seconds=60)
LATER = timedelta(hours=1)
_POLICY = """
policy: everything-unshipped
version: "1"
effective_from: 2025-01-01T00:00:00+08:00
currency: CURRENCY
title: {zh: 未发货即退款, en: Refund of what has not shipped}
conditions:
  - id: unshipped
    when: "order.shipment in ['unshipped', 'label_printed']"
    public: true
    text: {zh: 未发货, en: It has not shipped}
review: {deadline: 48h, on_timeout: approve}
notice: {zh: 已自动退款, en: It was refunded at once}
"""

POLICY = Policy.from_text(_POLICY.replace("CURRENCY", "CNY"))

Opening = Callable[[PlatformAccess, AsyncExitStack], Awaitable[tuple[Platform, PlatformWriter]]]


@dataclass(frozen=True)
class ShopMarket:
    """Everything in place."""

    jitui: Market
    orders: Platform
    writer: PlatformWriter
    provider: PlatformProvider
    states: PostgresPlatformStates
    policy: Policy

    @property
    def name(self) -> str:
        """The platform's."""
        return self.orders.name

    @property
    def deciding(self) -> DecisionSettings:
        """The order was read by `sync`, and that counts as the reading for a decision."""
        zone, providers = self.jitui.decision_settings.time_zone, frozenset({self.name})
        return DecisionSettings(Deciding(self.policy), zone, providers, reading=PlatformReading.AGREES)

    async def settings(self) -> DecisionSettings:
        """As a service reads them."""
        return self.deciding

    async def sync(self) -> Synced:
        """The worker's periodic step."""
        shop, now = f"shop-on-{self.name}", datetime.now(UTC)
        return await sync_platform(self.jitui.store, self.states, self.orders, self.settings, shop, now=now, whole=True)

    async def order(self, order_id: str) -> OrderSnapshot:
        """The order as it is known here."""
        ref = await self.jitui.store.find_order(order_id)
        assert ref is not None, f"{order_id} was not taken in"
        found = await self.jitui.store.read_order(ref)
        assert found is not None
        return found

    async def ask(
        self, order_id: str, *lines: tuple[str, int], after: timedelta = timedelta(0)
    ) -> Executed | Refusal | StoredResponse:
        """The buyer asks."""
        buyer = (await self.order(order_id)).order.buyer_id
        request = RefundRequest(buyer, order_id, lines=tuple(LineUnits(*line) for line in lines))
        return await request_refund(self.jitui.store, self.deciding, request, now=datetime.now(UTC) + after)

    async def asked(self, order_id: str, *lines: tuple[str, int], after: timedelta = timedelta(0)) -> Ticket:
        """The buyer asks and gets a ticket."""
        done = await self.ask(order_id, *lines, after=after)
        assert isinstance(done, Executed), done
        return done.ticket

    async def claim(self, *, after: timedelta = timedelta(0)) -> list[ClaimedRefund]:
        """A worker's claim, at once or later."""
        now = datetime.now(UTC) + after
        return await self.jitui.store.claim_refunds(now=now, lease_until=now + LEASE, limit=100, provider=self.name)

    async def pay(self, *, after: timedelta = timedelta(0)) -> int:
        """Claim what is due then and pay it; how many."""
        claimed = await self.claim(after=after)
        for refund in claimed:
            await pay_claimed(self.jitui.store, {self.name: self.provider}, refund, clock=partial(_later, after))
        return len(claimed)


def _later(after: timedelta) -> datetime:
    return datetime.now(UTC) + after


def instruction_of(claimed: ClaimedRefund) -> RefundInstruction:
    """What a worker asks for the claimed refund."""
    return refund_instruction(claimed.refund, claimed.attempt)


def wanted_refund(order: PlatformOrder, amount_minor: int = 3990) -> WantedRefund:
    """A refund of the order's first payment, for an attempt of its own."""
    attempt_id, payment_id = uuid4(), order.payments[0].payment_id
    return WantedRefund(payment_id, amount_minor, order.currency, attempt_id, reference_of(attempt_id))


async def send_and_die(market: ShopMarket, server: WireServer, call: str) -> None:
    """A worker takes the refund that is due, and dies when this call of it arrives, which goes no further."""
    (claimed,) = await market.claim()
    reached = asyncio.Event()

    async def hang() -> None:
        reached.set()
        await asyncio.sleep(60)

    server.before[call] = hang
    dying = asyncio.create_task(market.provider.send(instruction_of(claimed)))
    await asyncio.wait_for(reached.wait(), 20)
    dying.cancel()
    await asyncio.gather(dying, return_exceptions=True)


async def incidents_of(market: ShopMarket, order_id: str) -> int:
    """The incidents of the order's tickets."""
    async with market.jitui.pool.connection() as connection:
        asked = "SELECT count(*) FROM incident i JOIN ticket t USING (lane, ticket_id) WHERE t.order_id = %s"
        row = await (await connection.execute(asked, [order_id])).fetchone()
    assert row is not None
    return int(str(row[0]))


@asynccontextmanager
async def open_shop_market(
    opening: Opening,
    database_url: str,
    access: PlatformAccess,
    *,
    settles: bool = False,
    currency: str = "CNY",
    read_from: datetime | None = None,
    pause_seconds: float = 0.0,
) -> AsyncIterator[ShopMarket]:
    """A market whose one provider is the shop's platform; `read_from`: what changed before is not read."""
    async with (
        open_market(database_url, now=datetime.now(UTC), watched=True) as jitui,
        AsyncExitStack() as stack,
    ):
        orders, writer = await opening(access, stack)
        units, calls = partial(read_refunded_units, jitui.store), PostgresPlatformCalls(jitui.pool)
        rules = PlatformRules(settles, access.timeout_seconds, pause_seconds)
        provider = PlatformProvider(orders, writer, units, calls, rules, utc_now)
        policy, states = Policy.from_text(_POLICY.replace("CURRENCY", currency)), PostgresPlatformStates(jitui.pool)
        if read_from is not None:
            await states.note(orders.name, SyncState(cursor=read_from + OVERLAP))
        yield ShopMarket(jitui, orders, writer, provider, states, policy)


@asynccontextmanager
async def open_shop_service(
    platform: str, url: str, secret: str, database_url: str, home: Path
) -> AsyncIterator[Service]:
    """A service as it is configured, with this platform connected and a policy in force."""
    key = home / "key"
    key.write_text(secret)
    key.chmod(0o600)
    new = PlatformConnection(platform, url, str(key), "my-shop", True, utc_now(), "test")
    async with make_pool(database_url, max_size=1) as pool:
        await PostgresPlatformConnections(pool).put(new)
    async with open_service(read_settings({"JITUI_HOME": str(home)}), database_url) as service:
        await install(service.policies, POLICY, by="test", now=service.clock())
        yield service
