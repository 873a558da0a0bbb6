"""A small marketplace for tests: real store, real policy, and helpers to place, pay and request a refund."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from jitui.adapters.postgres.feed import PostgresFeed
from jitui.adapters.postgres.policies import PostgresPolicies
from jitui.adapters.postgres.pool import Pool, make_pool
from jitui.adapters.postgres.queries import PostgresQueries
from jitui.adapters.postgres.refund_list import PostgresRefundList
from jitui.adapters.postgres.registry import PostgresRegistry
from jitui.adapters.postgres.store import PostgresStore
from jitui.adapters.postgres.ticket_list import PostgresTicketList
from jitui.aftersales.changes import RecordBuyerEvent
from jitui.aftersales.commands.execute import Executed
from jitui.aftersales.commands.intake import capture_payment, put_order
from jitui.aftersales.commands.request_refund import DecisionSettings, RefundRequest, request_refund
from jitui.aftersales.commands.review import Rejection
from jitui.aftersales.commands.settle_refund import ManualPaymentRules
from jitui.aftersales.commands.ship import ShipmentUpdate, record_shipment
from jitui.aftersales.deciding import Canary, Deciding
from jitui.aftersales.governance.registry import new_selection
from jitui.aftersales.memory_store import MemoryStore
from jitui.aftersales.model.order import Buyer, Funding, LineUnits, OrderLine, ShipmentSource, ShipmentStatus, Tender
from jitui.aftersales.model.review import EvidenceItem, RejectionCode
from jitui.aftersales.model.ticket import Actor, ActorKind, Ticket
from jitui.aftersales.outcomes import Refusal, StoredResponse
from jitui.aftersales.ports import HistoryRecord, NewOrder, OrderRef
from jitui.ids import lane_of
from jitui.policy import Policy
from tests.aftersales.watched import WatchedStore

TIME_ZONE = "Asia/Shanghai"
PROVIDERS = frozenset({"simulator", "stripe", "wechat_pay", "alipay"})
RULES = ManualPaymentRules(PROVIDERS, {"CNY": 100_000})
NOW = datetime(2026, 6, 1, 12, 0, tzinfo=UTC)
POLICY_FILE = Path(__file__).parents[2] / "policies" / "unshipped-instant-refund.yaml"
DEFAULT_POLICY = Policy.from_file(POLICY_FILE)
HISTORY_KINDS = (
    "order_paid",
    "order_completed",
    "refund_before_shipment",
    "dispute_lost",
    "shipped",
    "shipped_on_time",
)


def beside(buyer_id: str) -> str:
    """Another buyer of the same lane: what is read of a lane alone is everybody's there."""
    return next(other for n in count(1) if lane_of(other := f"{buyer_id}-{n}") == lane_of(buyer_id))


def rejection(reason: str = "no", shipment: ShipmentUpdate | None = None) -> Rejection:
    """A complete rejection."""
    code = RejectionCode.OTHER if shipment is None else RejectionCode.ALREADY_SHIPPED
    return Rejection(code, reason, (EvidenceItem("a message"),), shipment)


@dataclass(frozen=True)
class Market:
    """One database with everything in place; `policy` decides."""

    pool: Pool
    store: PostgresStore
    registry: PostgresRegistry
    policies: PostgresPolicies
    feed: PostgresFeed
    queries: PostgresQueries
    policy: Policy = DEFAULT_POLICY
    canary: Canary | None = None
    shadow: Policy | None = None

    @property
    def decision_settings(self) -> DecisionSettings:
        return DecisionSettings(Deciding(self.policy, self.canary, self.shadow), ZoneInfo(TIME_ZONE), PROVIDERS)

    async def settings(self) -> DecisionSettings:
        """The same, as a service reads them."""
        return self.decision_settings

    @property
    def ticket_list(self) -> PostgresTicketList:
        return PostgresTicketList(self.pool)

    @property
    def refund_list(self) -> PostgresRefundList:
        return PostgresRefundList(self.pool)

    async def premium_buyer(self, buyer_id: str, now: datetime = NOW) -> str:
        """A buyer for whom every condition of the default policy on history holds, taken on the allow list."""
        await self.registry.put_buyer(Buyer(lane_of(buyer_id), buyer_id, now - timedelta(days=400)), now)
        await self.registry.record_buyer_events(
            [
                RecordBuyerEvent(buyer_id, f"{kind}-{index}", kind, now - timedelta(days=index + 5), now)
                for kind in ("order_paid", "order_completed")
                for index in range(8)
            ]
        )
        await self.registry.select(new_selection(buyer_id, "allow", "", "test", now))
        return buyer_id

    async def paid_order(
        self,
        buyer_id: str,
        order_id: str,
        *,
        amounts: Sequence[int] = (12900,),
        quantities: Sequence[int] | None = None,
        freight_minor: int = 0,
        shop_id: str = "shop-1",
        tenders: Sequence[int] | None = None,
        funding: tuple[Funding, ...] = (),
        customised: bool | None = False,
        now: datetime = NOW,
    ) -> OrderRef:
        """An order of lines l1, l2, … paid in full by the tenders given (one by default; none: not paid yet)."""
        counts = quantities or [1] * len(amounts)
        lines = tuple(
            OrderLine(
                f"l{index}",
                f"sku-{index}",
                f"item-{index}",
                count,
                amount,
                "apparel",
                customised=customised,
                virtual=False,
            )
            for index, (amount, count) in enumerate(zip(amounts, counts, strict=True), start=1)
        )
        new = NewOrder(order_id, buyer_id, shop_id, "CNY", now - timedelta(hours=1), lines, funding, freight_minor)
        taken = await put_order(self.store, new, now=now)
        assert not isinstance(taken, Refusal), taken
        for index, captured in enumerate([sum(amounts) + freight_minor] if tenders is None else tenders, start=1):
            tender = Tender(f"t{index}", "simulator", f"pay-{order_id}-{index}", "CNY", captured, now)
            paid = await capture_payment(self.store, taken.ref, tender, self.decision_settings, now=now)
            assert isinstance(paid, Executed), paid
        return taken.ref

    async def ask(
        self, buyer_id: str, order_id: str, *, lines: Sequence[tuple[str, int]] = (), now: datetime = NOW
    ) -> Executed | Refusal | StoredResponse:
        """The buyer asks."""
        request = RefundRequest(buyer_id, order_id, lines=tuple(LineUnits(*line) for line in lines))
        return await request_refund(self.store, self.decision_settings, request, now=now)

    async def asked(
        self, buyer_id: str, order_id: str, *, lines: Sequence[tuple[str, int]] = (), now: datetime = NOW
    ) -> Ticket:
        """The buyer asks and gets a ticket."""
        return ticket_of(await self.ask(buyer_id, order_id, lines=lines, now=now))

    async def ship(
        self,
        ref: OrderRef,
        *,
        status: ShipmentStatus = ShipmentStatus.SHIPPED,
        source: ShipmentSource = ShipmentSource.MERCHANT,
        tracking_no: str | None = None,
        lines: Sequence[tuple[str, int]] = (),
        now: datetime = NOW,
    ) -> Executed | Refusal | StoredResponse:
        """Somebody says something of a shipment."""
        number = tracking_no or f"SF{ref.order_id.removeprefix('o-')}"
        update = ShipmentUpdate(status, "sf", number, source, now, tuple(LineUnits(*line) for line in lines))
        kind = ActorKind.MERCHANT if source is ShipmentSource.MERCHANT else ActorKind.CARRIER
        return await record_shipment(self.store, ref, update, by=Actor(kind, "somebody"), now=now)

    def deciding_by(self, policy: Policy) -> Market:
        """The same market under another policy."""
        return replace(self, policy=policy)

    def with_beside(self, *, canary: Canary | None = None, shadow: Policy | None = None) -> Market:
        """The same market with a canary or a shadow beside its policy."""
        return replace(self, canary=canary, shadow=shadow)


def ticket_of(done: Executed | Refusal | StoredResponse) -> Ticket:
    """The ticket that a command is about; fails the test on a refusal."""
    assert isinstance(done, Executed), done
    assert done.ticket_id is not None
    return done.snapshot.ticket(done.ticket_id)


async def memory_market(now: datetime = NOW) -> Market:
    """The same market without a database."""
    store = MemoryStore(ZoneInfo(TIME_ZONE))
    since = now - timedelta(days=3650)
    await store.registry.record_history([HistoryRecord(kind, since) for kind in HISTORY_KINDS])
    return Market(None, store, store.registry, None, store, store)  # type: ignore[arg-type]  # the memory stands in for the parts of PostgreSQL


@asynccontextmanager
async def open_market(
    database_url: str, *, now: datetime = NOW, pool_size: int = 8, watched: bool = False
) -> AsyncIterator[Market]:
    """A market on a migrated database, its history complete for ten years and its roll-ups fresh.

    `watched`: every commit is held against `jitui.aftersales.apply`.
    """
    async with make_pool(database_url, max_size=pool_size) as pool:
        market = Market(
            pool,
            (WatchedStore if watched else PostgresStore)(pool, TIME_ZONE),
            PostgresRegistry(pool, TIME_ZONE),
            PostgresPolicies(pool),
            PostgresFeed(pool, TIME_ZONE),
            PostgresQueries(pool),
        )
        since = now - timedelta(days=3650)
        await market.registry.record_history([HistoryRecord(kind, since) for kind in HISTORY_KINDS])
        await market.feed.roll_up(now)
        yield market


on_both_stores = pytest.mark.parametrize("market", ["postgresql", "memory"], indirect=True)
"""A test of behaviour: it runs on PostgreSQL and on the store in memory."""
