"""Requests decided by the real service in all circumstances in which a replay could decide differently."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from random import Random
from zoneinfo import ZoneInfo

from jitui.aftersales.changes import RecordBuyerEvent
from jitui.aftersales.commands.execute import Executed
from jitui.aftersales.commands.request_refund import DecisionSettings, RefundRequest, request_refund
from jitui.aftersales.deciding import Deciding
from jitui.aftersales.governance.registry import Coverage, Pause, Restriction, Scope, new_selection
from jitui.aftersales.model.order import Buyer, LineUnits, ShipmentSource, ShipmentStatus
from jitui.aftersales.ports import HistoryRecord, OrderRef
from jitui.ids import lane_of, new_id
from jitui.policy import Policy
from tests.aftersales.market import NOW, PROVIDERS, TIME_ZONE, Market
from tests.publishing import put_in_force

MICROSECOND = timedelta(microseconds=1)
KINDS = ("order_paid", "order_completed", "refund_before_shipment", "dispute_lost")
BUYERS = [f"b{number}" for number in range(12)]
SHOPS = ("s1", "s2")

POLICY = """\
policy: awkward
version: "1"
effective_from: 2025-01-26T00:00:00+08:00
currency: CNY
title: {zh: 题, en: Title}
features:
  buyer.paid_3d: {count: order_paid, over: 3d}
  buyer.paid_minor_3d: {sum: order_paid, over: 3d}
  buyer.completed_365d: {count: order_completed, over: 365d}
  buyer.cancelled_2d: {count: refund_before_shipment, over: 2d}
  buyer.dispute_age_days: {last_age_days: dispute_lost, over: 30d}
  buyer.asked_1d: {count: refund_requested, over: 1d}
  buyer.disputes_won_30d: {count: dispute_won, over: 30d}
  shop.shipped_2d: {count: shipped, over: 2d}
  shop.paid_minor_2d: {sum: order_paid, over: 2d}
attributes: {buyer.level: int, buyer.tier: {enum: [gold, silver]}}
conditions:
  - {id: known, when: buyer.paid_3d >= 1 && buyer.paid_minor_3d < 90000, public: true, text: {zh: 甲, en: A}}
  - {id: calm, when: buyer.asked_1d < 3 && buyer.cancelled_2d < 2, public: true, text: {zh: 乙, en: B}}
  - {id: lost, when: buyer.dispute_age_days > 1 || buyer.completed_365d > 2, public: true, text: {zh: 丙, en: C}}
  - {id: shop, when: shop.shipped_2d >= 0 && shop.paid_minor_2d >= 0, public: true, text: {zh: 丁, en: D}}
  - {id: tier, when: "buyer.level > 1 || buyer.tier == 'gold'", public: false, text: {zh: 戊, en: E}}
  - {id: lines, when: "order.lines.all(l, l.covered && !l.virtual)", public: true, text: {zh: 己, en: F}}
  - {id: rest, when: buyer.selected && !buyer.restricted && caps.buyer_ok, public: false, text: {zh: 庚, en: G}}
selection: {hold_out_percent: 50}
caps:
  per_buyer: {count: 3, amount_minor: 60000, over: 2d}
restrictions:
  - {id: many, when: buyer.cancelled_2d >= 2 && buyer.asked_1d >= 2, withdraw: instant_refund, for: 1d}
  - {id: much, when: buyer.paid_minor_3d > 90000, withdraw: instant_refund, for: 2d}
review: {deadline: 48h, on_timeout: approve}
notice: {zh: 知, en: N}
"""
FIRST = Policy.from_text(POLICY)
SECOND = Policy.from_text(POLICY.replace('"1"', '"2"').replace("buyer.asked_1d < 3", "buyer.asked_1d < 2"))


@dataclass
class Day:
    """Some days of a marketplace, one step after the other; `asked` counts decided requests."""

    market: Market
    random: Random
    now: datetime = NOW
    policy: Policy = FIRST
    orders: list[tuple[str, OrderRef]] = field(default_factory=list)
    events: list[tuple[str, str]] = field(default_factory=list)
    asked: int = 0
    number: int = 0

    async def open(self) -> None:
        """Two texts in the log, buyers of whom more or less is known, history that was fed for some kinds only."""
        await put_in_force(self.market.policies, SECOND, by="test", now=self.now)
        await put_in_force(self.market.policies, FIRST, by="test", now=self.now)
        await self.market.registry.record_history([HistoryRecord("refund_requested", self.now - timedelta(days=1))])
        for index, buyer_id in enumerate(BUYERS):
            await self.describe(buyer_id)
            if index % 4 == 0:
                await self.market.registry.select(
                    new_selection(buyer_id, "deny" if index else "allow", "", "t", self.now)
                )

    async def step(self) -> None:
        """One thing happens, at a moment that is seldom much later, sometimes the same, sometimes a little earlier."""
        self.now += self.random.choice(
            [timedelta(0), MICROSECOND, -3 * MICROSECOND, timedelta(seconds=40), timedelta(minutes=25)]
        )
        if self.random.random() < 0.03:  # to the edge of a local day
            local = self.now.astimezone(ZoneInfo(TIME_ZONE)).replace(hour=0, minute=0, second=0, microsecond=0)
            self.now = (local + timedelta(days=1)).astimezone(NOW.tzinfo) + self.random.choice(
                [-MICROSECOND, 0 * MICROSECOND]
            )
        happens: list[tuple[Callable[[], Awaitable[object]], int]] = [
            (self.ask, 40),
            (self.order, 25),
            (self.feed, 20),
            (self.take_back, 8),
            (self.roll_up, 10),
            (self.ship, 6),
            (self.describe, 4),
            (self.govern, 6),
            (self.record, 3),
        ]
        [what] = self.random.choices([one for one, _ in happens], [weight for _, weight in happens])
        await what()

    async def order(self) -> None:
        self.number += 1
        buyer_id, amount = self.random.choice(BUYERS), self.random.choice([900, 12_900, 40_000])
        shop_id = self.random.choice(SHOPS)
        amounts, counts = ([amount, 500], [2, 1]) if self.random.random() < 0.3 else ([amount], [2])
        ref = await self.market.paid_order(
            buyer_id, f"o{self.number}", amounts=amounts, quantities=counts, shop_id=shop_id, now=self.now
        )
        self.orders.append((buyer_id, ref))

    async def ask(self) -> None:
        """Often two orders of one buyer within a microsecond, the later moment first."""
        if not self.orders:
            return
        buyer_id, ref = self.random.choice(self.orders[-25:])
        terms = self.market.deciding_by(self.policy)
        late = self.random.random() < 0.1
        for one in [ref, *(other for owner, other in self.orders[-25:] if owner == buyer_id and other != ref)][:2]:
            lines = [("l1", 1)] if self.random.random() < 0.5 else []
            done = await (self.ask_late if late else terms.ask)(buyer_id, one.order_id, lines=lines, now=self.now)
            self.asked += isinstance(done, Executed)
            self.now -= MICROSECOND

    async def ask_late(self, buyer_id: str, order_id: str, *, lines: list[tuple[str, int]], now: datetime) -> object:
        """The platform's deadline has passed: the policy's outcome is stored, the ticket goes to review."""
        request = RefundRequest(buyer_id, order_id, lines=tuple(LineUnits(*line) for line in lines))
        decision_settings = DecisionSettings(Deciding(self.policy), ZoneInfo(TIME_ZONE), PROVIDERS, lambda: True)
        return await request_refund(self.market.store, decision_settings, request, now=now)

    async def feed(self) -> None:
        """Events of today, of the edge of a window, of tomorrow; recorded now, or said to be recorded long ago."""
        buyer_id = self.random.choice(BUYERS)
        at = self.now - self.random.choice(
            [timedelta(0), timedelta(days=2), timedelta(days=3, hours=4), timedelta(days=30), -timedelta(hours=9)]
        )
        recorded = self.random.choice([self.now, self.now + MICROSECOND, min(at, self.now)])
        events = []
        for _ in range(self.random.choice([1, 1, 3])):
            self.number += 1
            kind = self.random.choice(KINDS)
            events.append(RecordBuyerEvent(buyer_id, f"e{self.number}", kind, at, recorded, None, 700))
            self.events.append((buyer_id, f"e{self.number}"))
        await self.market.registry.record_buyer_events(events)

    async def take_back(self) -> None:
        """An event that is known, one that is not yet, one twice, one within its own batch, one by other words."""
        buyer_id, event_id = self.random.choice([*self.events[-30:], (self.random.choice(BUYERS), "never")])
        kind = self.random.choice(KINDS)
        self.number += 1
        case = self.random.choice(["known", "early", "batch"])
        target = event_id if case == "known" else f"later{self.number}"
        back = RecordBuyerEvent(buyer_id, f"back{self.number}", kind, self.now, self.now, None, 5, target)
        event = RecordBuyerEvent(buyer_id, target, kind, self.now - timedelta(days=1), self.now, None, 300)
        batch = {"known": [back], "early": [back], "batch": self.random.choice([[event, back], [back, event]])}[case]
        await self.market.registry.record_buyer_events(batch)
        if case == "early":
            await self.market.registry.record_buyer_events([event])

    async def roll_up(self) -> None:
        await self.market.feed.roll_up(self.now)

    async def ship(self) -> None:
        if self.orders:
            _, ref = self.random.choice(self.orders[-15:])
            self.number += 1
            status = self.random.choice(
                [ShipmentStatus.LABEL_PRINTED, ShipmentStatus.PICKED_UP, ShipmentStatus.SHIPPED]
            )
            source = ShipmentSource.CARRIER if self.random.random() < 0.5 else ShipmentSource.MERCHANT
            number = f"SF{self.number}"
            await self.market.ship(ref, status=status, source=source, tracking_no=number, now=self.now)

    async def describe(self, buyer_id: str = "") -> None:
        """What the platform says of a buyer changes, the day of registration too."""
        buyer_id = buyer_id or self.random.choice(BUYERS)
        registered = self.random.choice([None, self.now - timedelta(days=20), self.now - timedelta(days=500)])
        known: list[dict[str, int | str | bool]] = [{}, {"level": 3, "tier": ""}, {"tier": "gold"}, {"tier": "lead"}]
        buyer = Buyer(lane_of(buyer_id), buyer_id, registered, None, self.random.choice(known))
        await self.market.registry.put_buyer(buyer, self.now)

    async def govern(self) -> None:
        """People pause, restrict, uncover, and publish."""
        registry, what = self.market.registry, self.random.randrange(5)
        buyer_id = self.random.choice(BUYERS)
        if what == 0:
            await registry.set_pause(Pause(Scope.SHOP, "s2", "", "t", self.now))
        elif what == 1:
            await registry.lift_pause(Scope.SHOP, "s2", by="t", now=self.now)
        elif what == 2:
            until = self.now + timedelta(hours=5)
            row = Restriction(new_id(lane_of(buyer_id)), buyer_id, "", self.now, until, "t")
            await registry.restrict(row)
        elif what == 3:
            covered = self.random.random() < 0.5
            await registry.set_coverage(Coverage(Scope.ITEM, "item-2", covered, "", "t", self.now))
        else:
            self.policy = SECOND if self.policy is FIRST else FIRST

    async def record(self) -> None:
        """A kind turns out to be complete from elsewhere, or is fed by the day."""
        kind = self.random.choice([*KINDS, "shipped"])
        since = self.now - timedelta(days=self.random.choice([1, 25, 3650]))
        fresh = self.random.choice([None, None, self.now, self.now - timedelta(hours=1)])
        await self.market.registry.record_history([HistoryRecord(kind, since, fresh)])


async def play(market: Market, *, requests: int, seed: int) -> Day:
    """Go on until so many requests were decided."""
    day = Day(market, Random(seed))
    await day.open()
    while day.asked < requests:
        await day.step()
    return day
