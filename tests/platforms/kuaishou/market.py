"""Jitui beside a merchant's shop on Kuaishou: the store, the source, the money queue and the steps of a worker."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial

from jitui.adapters.platforms.access import PlatformAccess
from jitui.adapters.platforms.kuaishou.opening import open_kuaishou
from jitui.adapters.platforms.kuaishou.requests import NAME, KuaishouOptions, KuaishouRequests
from jitui.adapters.postgres.platform_calls import PostgresPlatformCalls
from jitui.adapters.postgres.platform_requests import PostgresKnownRequests
from jitui.adapters.postgres.platform_states import PostgresPlatformStates
from jitui.aftersales.commands.pay import pay_claimed
from jitui.aftersales.commands.request_refund import DecisionSettings
from jitui.aftersales.deciding import Deciding
from jitui.aftersales.model.snapshot import OrderSnapshot
from jitui.aftersales.model.ticket import Ticket
from jitui.aftersales.operations.platform_approvals import ApprovalProvider, read_asked
from jitui.aftersales.operations.request_sync import RequestParts, RequestsRead, sync_requests
from jitui.aftersales.ports import ClaimedRefund
from tests.aftersales.market import Market, open_market
from tests.platforms.kuaishou.server import SECRET, KuaishouServer
from tests.platforms.market import POLICY

SHOP = "shop-on-kuaishou"
LEASE = timedelta(seconds=60)
PROVIDERS = frozenset({NAME})


@dataclass
class Clock:
    """Our clock, which a test sets on."""

    later: timedelta = timedelta()

    def now(self) -> datetime:
        return datetime.now(UTC) + self.later


@dataclass(frozen=True)
class KuaishouMarket:
    """Everything in place."""

    jitui: Market
    there: KuaishouServer
    source: KuaishouRequests
    parts: RequestParts
    provider: ApprovalProvider
    ours: Clock

    @property
    def deciding(self) -> DecisionSettings:
        return DecisionSettings(Deciding(self.jitui.policy), self.jitui.decision_settings.time_zone, PROVIDERS)

    async def settings(self) -> DecisionSettings:
        """As a service reads them."""
        return self.deciding

    def clock(self) -> datetime:
        return self.ours.now()

    def after(self, later: timedelta) -> KuaishouMarket:
        """The same market, later by our clock and by theirs."""
        self.there.ahead += later
        self.ours.later += later
        return self

    async def sync(self) -> RequestsRead:
        """The worker's periodic step."""
        return await sync_requests(self.parts, self.settings, now=self.clock())

    async def order(self, oid: int) -> OrderSnapshot:
        """The order as it is known here."""
        ref = await self.jitui.store.find_order(str(oid))
        assert ref is not None, f"{oid} was not taken in"
        found = await self.jitui.store.read_order(ref)
        assert found is not None
        return found

    async def ticket(self, oid: int) -> Ticket:
        """The order's newest ticket."""
        return (await self.order(oid)).tickets[-1]

    async def claim(self) -> list[ClaimedRefund]:
        """A worker's claim."""
        now = self.clock()
        return await self.jitui.store.claim_refunds(now=now, lease_until=now + LEASE, limit=100, provider=NAME)

    async def pay(self) -> int:
        """Claim what is due and pay it; how many."""
        claimed = await self.claim()
        for refund in claimed:
            await pay_claimed(self.jitui.store, {NAME: self.provider}, refund, clock=self.clock)
        return len(claimed)

    async def why(self, oid: int) -> list[str]:
        """The timeline of the order's newest ticket, in words."""
        found = await self.order(oid)
        return [event.why for event in found.timeline_of(found.tickets[-1].ticket_id)]

    async def balanced(self) -> bool:
        """Whether the ledger and the order say the same money."""
        return await self.jitui.queries.unbalanced_orders(None, 10) == []


@asynccontextmanager
async def open_kuaishou_market(
    database_url: str,
    there: KuaishouServer,
    *,
    window: timedelta = timedelta(days=1),
    timeout_seconds: float = 5,
    secret: str = SECRET,
) -> AsyncIterator[KuaishouMarket]:
    """A market whose one provider is the merchant's shop on Kuaishou."""
    async with (
        open_market(database_url, now=datetime.now(UTC), watched=True) as opened,
        AsyncExitStack() as stack,
    ):
        jitui = opened.deciding_by(POLICY)
        access = PlatformAccess(there.url, secret, timeout_seconds)
        ours = Clock()
        source = await open_kuaishou(access, stack, KuaishouOptions(window), ours.now)
        states, known = PostgresPlatformStates(jitui.pool), PostgresKnownRequests(jitui.pool)
        parts = RequestParts(jitui.store, states, known, source, SHOP)
        calls, asked = PostgresPlatformCalls(jitui.pool), partial(read_asked, jitui.store)
        provider = ApprovalProvider(source, asked, calls, 2 * timeout_seconds, ours.now)
        yield KuaishouMarket(jitui, there, source, parts, provider, ours)
