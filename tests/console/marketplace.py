"""A small marketplace with people who sign in, for tests of pages, on a real database."""

from __future__ import annotations

import shutil
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from uuid import UUID

from jitui.aftersales.changes import RecordBuyerEvent
from jitui.aftersales.commands.arbitration import escalate
from jitui.aftersales.commands.execute import Executed
from jitui.aftersales.commands.intake import capture_payment, put_order
from jitui.aftersales.commands.offer import offer
from jitui.aftersales.commands.on_ticket import Acting
from jitui.aftersales.commands.request_refund import RefundRequest, request_refund
from jitui.aftersales.commands.review import Rejection, reject
from jitui.aftersales.commands.ship import ShipmentUpdate, record_shipment
from jitui.aftersales.governance.appeals import AppealDecision, new_appeal
from jitui.aftersales.governance.registry import Coverage, Restriction, Scope, Shop, new_selection
from jitui.aftersales.incident_list import IncidentFilter
from jitui.aftersales.model.order import Buyer, LineUnits, OrderLine, ShipmentSource, ShipmentStatus, Tender
from jitui.aftersales.model.review import EvidenceItem, RejectionCode
from jitui.aftersales.model.ticket import Actor, ActorKind, Reason
from jitui.aftersales.outcomes import Refusal
from jitui.aftersales.ports import HistoryRecord, NewOrder, OrderRef, TicketRef
from jitui.bootstrap import Service, install_policy, open_service
from jitui.entrypoints.console.risk.back_test_runs import folder_of
from jitui.identity.access import Role
from jitui.identity.people import Person, enrol
from jitui.ids import lane_of, lane_of_id, new_id
from jitui.settings import Settings
from tests.aftersales.market import HISTORY_KINDS
from tests.provider_simulator.server import SIMULATOR_AWAY

PASSWORD = "correct horse battery"
PREMIUM = Person(
    "lin", Role.BUYER, "buyer-lin", "林晓", {"zh": "平台优质用户", "en": "A premium buyer of the platform"}, True
)
NEWCOMER = Person("zhao", Role.BUYER, "buyer-zhao", "赵一", {"zh": "上周刚注册", "en": "Registered last week"}, True)
SHOP = Person("shan", Role.MERCHANT, "shop-shan", "山野户外", {"zh": "户外用品店", "en": "Sells outdoor goods"}, True)
OTHER_SHOP = Person(
    "chao", Role.MERCHANT, "shop-chao", "潮汐家居", {"zh": "家居用品店", "en": "Sells home goods"}, True
)
SUPPORT = Person("su", Role.SUPPORT, "", "苏晴", {"zh": "平台客服", "en": "Support of the platform"}, True)
OPERATOR = Person("wei", Role.OPERATOR, "", "魏东", {"zh": "平台运营", "en": "Operator of the platform"}, True)
EVERYBODY = (PREMIUM, NEWCOMER, SHOP, OTHER_SHOP, SUPPORT, OPERATOR)

Pay = Callable[[str, int], Awaitable[object]]
"""Tells the payment provider of a payment: its id and amount."""


@dataclass(frozen=True)
class Marketplace:
    """The service, and short ways to make things happen in it."""

    service: Service
    pay: Pay | None = None

    async def order(
        self,
        person: Person,
        order_id: str,
        goods: Sequence[tuple[str, int, int]],
        *,
        shop: Person = SHOP,
        freight_minor: int = 0,
        paid: bool = True,
        placed_ago: timedelta = timedelta(hours=2),
    ) -> OrderRef:
        """Goods are title, units and what was paid for all of them."""
        now = self.service.clock()
        lines = tuple(
            OrderLine(f"l{index}", f"sku-{index}", f"item-{index}", units, minor, "outdoor", title, False, False)
            for index, (title, units, minor) in enumerate(goods, start=1)
        )
        new = NewOrder(
            order_id,
            person.subject_id,
            shop.subject_id,
            "CNY",
            now - placed_ago,
            lines,
            freight_minor=freight_minor,
        )
        taken = await put_order(self.service.store, new, now=now)
        assert not isinstance(taken, Refusal), taken
        if paid:
            await self._capture(taken.ref, sum(minor for _, _, minor in goods) + freight_minor, now)
        return taken.ref

    async def ask(self, person: Person, order_id: str, *lines: tuple[str, int]) -> UUID:
        """The buyer asks, by the core itself; the ticket's id."""
        service = self.service
        wanted = tuple(LineUnits(*line) for line in lines)
        request = RefundRequest(person.subject_id, order_id, Reason.NO_LONGER_WANTED, wanted)
        done = await request_refund(service.store, await service.decision_settings(), request, now=service.clock())
        assert isinstance(done, Executed), done
        assert done.ticket_id is not None
        await service.ticket_list.fill()
        await service.refund_list.fill()
        return done.ticket_id

    async def restricted(self, person: Person, *, by: str = "li.na") -> UUID:
        """Somebody withdraws the service from a buyer for a month."""
        buyer_id, now = person.subject_id, self.service.clock()
        ends_at = now + timedelta(days=30)
        row = Restriction(new_id(lane_of(buyer_id)), buyer_id, "一周内多次取消订单", now, ends_at, by)
        assert await self.service.registry.restrict(row)
        return row.restriction_id

    async def contested(self, person: Person, restriction_id: UUID, *, upheld: bool | None = None) -> UUID:
        """The buyer appeals; another person decides, unless `upheld` is None."""
        appeals, now = self.service.appeals, self.service.clock()
        appeal = new_appeal(restriction_id, person.subject_id, "是店铺要求我取消的", now=now, answer_days=15)
        assert not isinstance(await appeals.open(appeal), Refusal)
        if upheld is not None:
            decision = AppealDecision(upheld, "经核实，情况属实", "wu.lei", now)
            assert not isinstance(await appeals.decide(appeal.appeal_id, decision), Refusal)
        return appeal.appeal_id

    async def parcel(
        self, ref: OrderRef, status: ShipmentStatus, source: ShipmentSource = ShipmentSource.MERCHANT
    ) -> None:
        """Somebody says something of the order's parcel."""
        now = self.service.clock()
        kind = ActorKind.MERCHANT if source is ShipmentSource.MERCHANT else ActorKind.CARRIER
        update = ShipmentUpdate(status, "顺丰", "SF1020304050", source, now)
        done = await record_shipment(self.service.store, ref, update, by=Actor(kind, "somebody"), now=now)
        assert isinstance(done, Executed), done

    async def incident(self, order_id: str = "L-1") -> UUID:
        """Goods that left although they were refunded; the newest incident's id."""
        ref = await self.order(PREMIUM, order_id, [("防潮垫", 1, 3900)])
        await self.parcel(ref, ShipmentStatus.LABEL_PRINTED)
        await self.ask(PREMIUM, order_id)
        await self.parcel(ref, ShipmentStatus.PICKED_UP, ShipmentSource.CARRIER)
        return (await self.service.queries.incidents(IncidentFilter(limit=1)))[0].incident_id

    async def _capture(self, ref: OrderRef, amount_minor: int, now: datetime) -> None:
        payment_id = f"pay-{ref.order_id}"
        if self.pay is not None:
            await self.pay(payment_id, amount_minor)
        tender = Tender("t1", "simulator", payment_id, "CNY", amount_minor, now)
        done = await capture_payment(self.service.store, ref, tender, await self.service.decision_settings(), now=now)
        assert isinstance(done, Executed), done


async def in_review(market: Marketplace) -> tuple[UUID, UUID, UUID]:
    """Three tickets of the newcomer: rejected, rejected with the platform asked to decide, with an offer of a part."""
    store, now = market.service.store, market.service.clock()
    shop, buyer = Actor(ActorKind.MERCHANT, SHOP.name), Actor(ActorKind.BUYER, NEWCOMER.subject_id)
    found = list[UUID]()
    for number in range(3):
        await market.order(NEWCOMER, f"R-{number}", [("登山绳", 3, 6900)])
        ticket_id = await market.ask(NEWCOMER, f"R-{number}")
        ref, acting = TicketRef(lane_of_id(ticket_id), ticket_id), Acting(shop, now)
        shown = (EvidenceItem("聊天记录", "https://files.example/chat"),)
        if number == 2:
            done = await offer(store, ref, (LineUnits("l1", 1),), "两件已裁剪", acting)
        else:
            done = await reject(store, ref, Rejection(RejectionCode.MADE_TO_ORDER, "已按尺寸裁剪", shown), acting)
        assert not isinstance(done, Refusal), done
        if number == 1:
            asked = await escalate(store, ref, "还没有裁剪", shown, Acting(buyer, now), answer_days=7)
            assert not isinstance(asked, Refusal), asked
        found.append(ticket_id)
    await market.service.ticket_list.fill()
    return found[0], found[1], found[2]


@asynccontextmanager
async def open_marketplace(settings: Settings, database_url: str, pay: Pay | None = None) -> AsyncIterator[Marketplace]:
    """With its people, two shops, and one buyer for whom every condition holds."""
    async with open_service(settings, database_url) as service:
        now = service.clock()
        await install_policy(service)
        await service.registry.record_history(
            [HistoryRecord(kind, now - timedelta(days=3650)) for kind in HISTORY_KINDS]
        )
        await service.feed.roll_up(now)
        for person in EVERYBODY:
            await enrol(service.people, person, PASSWORD, now=now)
        for shop in (SHOP, OTHER_SHOP):
            await service.registry.put_shop(Shop(shop.subject_id, shop.display_name), now)
        await _premium(service, PREMIUM, now)
        newcomer = Buyer(lane_of(NEWCOMER.subject_id), NEWCOMER.subject_id, now - timedelta(days=7))
        await service.registry.put_buyer(newcomer, now)
        await service.registry.set_coverage(
            Coverage(Scope.SHOP, OTHER_SHOP.subject_id, False, "近 30 天发货及时率低于 80%", "platform", now)
        )
        yield Marketplace(service, pay)
        back_tests = folder_of(database_url)
        if back_tests is not None:
            shutil.rmtree(back_tests, ignore_errors=True)


def plain_settings(home: Path) -> Settings:
    """The payment provider does not answer: approved refunds stay on their way."""
    return Settings(home=home, **SIMULATOR_AWAY)


async def _premium(service: Service, person: Person, now: datetime) -> None:
    await service.registry.put_buyer(
        Buyer(lane_of(person.subject_id), person.subject_id, now - timedelta(days=900)), now
    )
    events = [
        RecordBuyerEvent(person.subject_id, f"{kind}-{index}", kind, now - timedelta(days=index + 5), now)
        for kind in ("order_paid", "order_completed")
        for index in range(12)
    ]
    await service.registry.record_buyer_events(events)
    await service.registry.select(new_selection(person.subject_id, "allow", "test", "test", now))
