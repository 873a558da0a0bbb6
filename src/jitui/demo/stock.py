"""What the platform knows before the day: shops, categories, coverage, buyers with their history, keys, people."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import aiohttp

from jitui.aftersales.changes import RecordBuyerEvent
from jitui.aftersales.governance.registry import (
    Category,
    Coverage,
    Restriction,
    Scope,
    Shop,
    new_selection,
)
from jitui.aftersales.model.order import Buyer
from jitui.aftersales.ports import HistoryRecord
from jitui.bootstrap import Service
from jitui.demo.marketplace import CURRENCY, EventKind, Marketplace, PlannedOrder, Shopper
from jitui.errors import Unavailable
from jitui.identity.access import KeyScope, Role
from jitui.identity.keys import issue_key
from jitui.identity.people import Person, enrol
from jitui.ids import lane_of, new_id
from jitui.policy.facts import BUYER_EVENTS, SHOP_EVENTS

BY = "demo"
COMPLETE_FOR = timedelta(days=400)
BUYERS_AT_ONCE = 25
GROUPS_AT_ONCE = 8
PAYMENTS_AT_ONCE = 5_000
KEY_LIFE = timedelta(days=30)
MOST_INSTANT_MINOR = 30_000
"""The limit of the published rule (R3b); used only to choose an order to try."""

Advance = Callable[[int], None]


@dataclass(frozen=True, slots=True)
class DemoKeys:
    """The API keys of the day: the platform's, one per shop, and one per buyer who makes requests with an own key."""

    platform: str
    shops: dict[str, str]
    buyers: dict[str, str]


async def stock(service: Service, market: Marketplace, *, now: datetime, advance: Advance) -> None:
    """Store everything that the platform knows; repeating it changes nothing."""
    kinds = sorted({*BUYER_EVENTS, *SHOP_EVENTS})
    await service.registry.record_history([HistoryRecord(kind, now - COMPLETE_FOR) for kind in kinds])
    for category in market.categories:
        row = Category(category.category_id, category.title, category.customised, category.virtual)
        await service.registry.put_category(row, now)
        if not category.covered:
            await _uncover(service, Scope.CATEGORY, category.category_id, category.reason, now)
    for shop in market.shops:
        await service.registry.put_shop(Shop(shop.shop_id, shop.name), now)
        if not shop.covered:
            await _uncover(service, Scope.SHOP, shop.shop_id, shop.reason, now)
        for goods in shop.goods:
            if not goods.covered:
                await _uncover(service, Scope.ITEM, goods.item_id, goods.reason, now)
    await _stock_buyers(service, market.buyers, now, advance)


async def _uncover(service: Service, scope: Scope, ref: str, reason: str, now: datetime) -> None:
    await service.registry.set_coverage(Coverage(scope, ref, False, reason, BY, now))


async def _stock_buyers(service: Service, buyers: Sequence[Shopper], now: datetime, advance: Advance) -> None:
    gate = asyncio.Semaphore(GROUPS_AT_ONCE)

    async def one_group(group: Sequence[Shopper]) -> None:
        async with gate:
            for buyer in group:
                await _stock_buyer(service, buyer, now)
            await service.registry.record_buyer_events([event for buyer in group for event in _events(buyer)])
            advance(len(group))

    async with asyncio.TaskGroup() as tasks:
        for start in range(0, len(buyers), BUYERS_AT_ONCE):
            tasks.create_task(one_group(buyers[start : start + BUYERS_AT_ONCE]))


async def _stock_buyer(service: Service, buyer: Shopper, now: datetime) -> None:
    row = Buyer(lane_of(buyer.buyer_id), buyer.buyer_id, buyer.registered_at, buyer.region)
    await service.registry.put_buyer(row, now)
    if buyer.selection is not None:
        await service.registry.select(new_selection(buyer.buyer_id, buyer.selection, "", BY, now))
    if buyer.restricted and not await service.registry.restrictions_of(buyer.buyer_id):
        ends_at = now + timedelta(days=90)
        await service.registry.restrict(
            Restriction(new_id(row.lane), buyer.buyer_id, buyer.restricted, now, ends_at, BY)
        )


def _events(buyer: Shopper) -> Iterable[RecordBuyerEvent]:
    """The events of a buyer's history; each is recorded when it happens, as in imports (`history.md`)."""
    for past in buyer.history:
        yield RecordBuyerEvent(
            buyer.buyer_id, past.event_id, past.kind, past.at, past.at, past.order_id, past.amount_minor
        )


async def issue_keys(service: Service, market: Marketplace, asking: Sequence[str], *, now: datetime) -> DemoKeys:
    """Fresh keys for this run; they end by themselves."""

    async def key(scope: KeyScope, subject: str) -> str:
        issued = await issue_key(service.keys, scope, subject, label=BY, now=now, lifetime=KEY_LIFE, by=BY)
        return issued.secret

    return DemoKeys(
        platform=await key(KeyScope.PLATFORM, ""),
        shops={shop.shop_id: await key(KeyScope.SHOP, shop.shop_id) for shop in market.shops},
        buyers={buyer_id: await key(KeyScope.BUYER, buyer_id) for buyer_id in asking},
    )


def _about(zh: str, en: str) -> dict[str, str]:
    return {"zh": zh, "en": en}


async def enrol_people(service: Service, people: Sequence[Person], *, now: datetime) -> None:
    """Register the sample people for the console. They have no password; the demo signs them in by a click."""
    for place, person in enumerate(people):  # the start page lists them in the order of these times
        await enrol(service.people, person, None, now=now + timedelta(microseconds=place))
    # the first buyer is there to be refunded at once, so chance must not hold this buyer out
    await service.registry.select(new_selection(people[0].subject_id, "allow", "", BY, now))


def sample_people(market: Marketplace) -> tuple[Person, ...]:
    """A premium buyer with goods left to refund, a buyer whose requests go to review, and the shops of both.

    The tour asks for two refunds of the premium buyer, who is one still after the first of them.
    """
    asked = {event.order_id for event in market.events if event.kind is EventKind.ASK}
    by_id = {buyer.buyer_id: buyer for buyer in market.buyers}
    asks = Counter(order.buyer_id for order in market.orders if order.order_id in asked)
    open_orders = [order for order in open_instantly(market) if _looks_premium(by_id[order.buyer_id])]
    left = Counter(order.buyer_id for order in open_orders)

    def suits(order: PlannedOrder) -> tuple[int, bool]:
        buyer_id = order.buyer_id
        more = min(2, left[buyer_id], _refunds_in_good_standing(by_id[buyer_id], market) - asks[buyer_id])
        return more, asks[buyer_id] > 0

    loyal = max(open_orders, key=suits, default=market.orders[0])
    asked_for = sorted((o for o in open_orders if o.buyer_id == loyal.buyer_id), key=lambda o: o.placed_at)[-2:]
    other = _to_review(market, [o for o in untouched(market) if not _looks_premium(by_id[o.buyer_id])], loyal.shop_id)
    names = {shop.shop_id: shop.name for shop in market.shops}
    buyers = (
        Person(
            "lin", Role.BUYER, loyal.buyer_id, "林 Lin", _about("下单多、退款少", "orders often, returns little"), True
        ),
        Person(
            "wu", Role.BUYER, other.buyer_id, "吴 Wu", _about("退款申请需商家审核", "requests go to the shop"), True
        ),
    )
    shop_ids = (*(order.shop_id for order in reversed(asked_for)), loyal.shop_id, other.shop_id)
    shops = tuple(
        Person(f"shop{index}", Role.MERCHANT, shop_id, names[shop_id], _about("店铺后台", "the shop's desk"), True)
        for index, shop_id in enumerate(dict.fromkeys(shop_ids), start=1)
    )
    return (*buyers, *shops, *STAFF)


def _to_review(market: Marketplace, spare: Sequence[PlannedOrder], first_shop: str) -> PlannedOrder:
    """An order whose buyer can ask for it still, and for none of a shop that is no sample shop.

    Of several the one whose shop has the most orders left, so that its lists can be filled.
    """
    asked = {event.order_id for event in market.events if event.kind is EventKind.ASK}
    askers = {order.buyer_id for order in market.orders if order.order_id in asked}
    shops: dict[str, set[str]] = {}
    for order in spare:
        shops.setdefault(order.buyer_id, set()).add(order.shop_id)
    alone = [order for order in spare if shops[order.buyer_id] <= {first_shop, order.shop_id}]
    left = Counter(order.shop_id for order in untouched(market))
    elsewhere = sorted((o for o in alone if o.shop_id != first_shop), key=lambda o: -left[o.shop_id])
    chosen = (one for one in (*elsewhere, *alone, *spare) if one.buyer_id in askers)
    return next(chosen, market.orders[-1])


STAFF = tuple(
    Person(name, role, "", shown, _about(zh, en), True)
    for name, role, shown, zh, en in (
        ("su", Role.SUPPORT, "苏 Su", "解答为什么退或没退", "answers why it was, or was not, refunded"),
        ("ran", Role.RISK, "冉 Ran", "管规则、限制和申诉", "policies, restrictions and appeals"),
        (
            "qiao",
            Role.RISK,
            "乔 Qiao",
            "第二位风控，处理对同事所设限制的申诉",
            "a second one, for appeals against the first one's restrictions",
        ),
        ("wei", Role.OPERATOR, "魏 Wei", "处理付款、事件和仲裁", "payments, incidents and arbitrations"),
        ("mei", Role.OPERATOR, "梅 Mei", "第二位运营，用于双人复核", "a second operator, where it takes two"),
        ("shen", Role.AUDITOR, "沈 Shen", "只读，不改任何内容", "reads everything, changes nothing"),
        ("guan", Role.ADMIN, "管 Guan", "管理人员和密钥", "manages people and keys"),
    )
)
"""The platform's own people."""


def open_instantly(market: Marketplace) -> list[PlannedOrder]:
    """Paid orders that were neither requested nor shipped on the day, and whose items allow an instant refund."""
    gone = {event.order_id for event in market.events if event.kind in (EventKind.ASK, EventKind.SHIP, EventKind.SCAN)}
    plain = {
        category.category_id
        for category in market.categories
        if category.covered and not category.customised and not category.virtual
    }
    covered = {shop.shop_id for shop in market.shops if shop.covered}
    paid = {event.order_id for event in market.events if event.kind is EventKind.PAY} - gone
    return [
        order
        for order in market.orders
        if order.order_id in paid
        and order.shop_id in covered
        and order.paid_minor < MOST_INSTANT_MINOR
        and all(line.goods.covered and line.goods.category_id in plain for line in order.lines)
    ]


def untouched(market: Marketplace) -> list[PlannedOrder]:
    """Paid orders with which nothing happened on the day."""
    paid = {event.order_id for event in market.events if event.kind is EventKind.PAY}
    busy = {event.order_id for event in market.events if event.kind not in (EventKind.PLACE, EventKind.PAY)}
    return [order for order in market.orders if order.order_id in paid - busy]


def _refunds_in_good_standing(buyer: Shopper, market: Marketplace) -> int:
    """How many refunds before shipment leave somebody without any a premium buyer: one in five paid orders."""
    since = market.events[-1].at - timedelta(days=90)
    paid = sum(past.kind == "order_paid" and past.at > since for past in buyer.history)
    return paid // 5


def _looks_premium(buyer: Shopper) -> bool:
    cancelled = sum(past.kind == "refund_before_shipment" for past in buyer.history)
    completed = sum(past.kind == "order_completed" for past in buyer.history)
    return buyer.registered_at is not None and completed >= 8 and cancelled == 0 and not buyer.restricted


def payment_id(order_id: str, number: int) -> str:
    """The provider's id of an order's nth payment."""
    return f"pay-{order_id}-{number}"


async def capture_at_provider(url: str, key: str, market: Marketplace) -> None:
    """Record the payments in the simulator. It notifies nobody, so the platform reports them during the day."""
    payments = [
        {"id": payment_id(order.order_id, n), "order_id": order.order_id, "amount_minor": minor, "currency": CURRENCY}
        for order in market.orders
        for n, minor in enumerate(order.tenders_minor, start=1)
    ]
    async with aiohttp.ClientSession(headers={"authorization": f"Bearer {key}"}) as client:
        for start in range(0, len(payments), PAYMENTS_AT_ONCE):
            batch = {"payments": payments[start : start + PAYMENTS_AT_ONCE]}
            async with client.post(f"{url}/payments/batch", json=batch) as response:
                if response.status != 200:
                    raise Unavailable(f"The simulator took no payments: {await response.text()}")
