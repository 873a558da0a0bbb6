"""A sample marketplace and one day of it, generated from a seed: plain values, no clock, no I/O.

Calibrated figures were measured, and name their sources. All others are assumptions and say so.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from itertools import accumulate, pairwise
from math import exp, log
from random import Random

from jitui.aftersales.model.order import Funder, Funding, Hold
from jitui.aftersales.model.ticket import Reason
from jitui.demo.catalogue import CATEGORIES, CatalogueCategory, CatalogueShop, Goods, shops
from jitui.money import split_by_weight

CURRENCY = "CNY"
DAY = timedelta(days=1)
SHIP_WITHIN = timedelta(hours=48)

# One Tmall shop, 28,010 orders of February 2020 (public data set "tmall_order_report"): the natural logarithm of the
# paid amount in CNY is near normal; 97 % of the paid orders are under 300 CNY.
AMOUNT_LN_MU, AMOUNT_LN_SIGMA = 4.361, 0.688
# The same orders: share of paid orders that are refunded, by paid amount in CNY; 23.4 % in all.
REFUND_RATE_BELOW_CNY = (
    (20, 0.197), (50, 0.228), (100, 0.222), (200, 0.246), (300, 0.250), (500, 0.257), (float("inf"), 0.346),
)  # fmt: skip
REFUND_SHARE_OF_PAID = 0.2344
# The same orders: share never paid, and seconds from placing to paying.
UNPAID_SHARE = 0.14
PAY_DELAY_SECONDS = ((0.0, 2.0), (0.1, 4.0), (0.5, 8.0), (0.9, 51.0), (0.99, 8978.0), (1.0, 14_400.0))
# Olist, Brazilian marketplace, 2016 to 2018 (public data set): hours from payment to the carrier.
CARRIER_DELAY_HOURS = (
    (0.0, 1.0), (0.1, 11.0), (0.25, 20.8), (0.5, 42.6), (0.75, 86.2), (0.95, 194.9), (1.0, 400.0),
)  # fmt: skip
# UCI Online Retail (public data set): share of buyers who ever cancel; the top tenth of them makes 61 % of the
# cancellations, which a lognormal distribution with this spread gives.
CANCELLERS_SHARE = 0.363
CANCELLATIONS_LN_MU, CANCELLATIONS_LN_SIGMA = 0.4, 1.75

# Assumptions, chosen so that every path of the service is used.
HOUR_WEIGHTS = (9, 5, 3, 2, 2, 3, 6, 12, 20, 28, 33, 34, 36, 33, 31, 31, 32, 34, 40, 52, 66, 70, 48, 22)
ORDERS_PER_BUYER = 1.7
LOYAL_SHARE = 0.8
DISPUTE_LOST_SHARE = 0.015
UNKNOWN_AGE_SHARE = 0.01
PRESALE_SHARE = 0.04
SPLIT_TENDER_SHARE = 0.08
SUBSIDY_SHARE = 0.20
FREIGHT_SHARE = 0.25
PARTIAL_ASK_SHARE = 0.35
"""The share of requests for a part of the order, where a part can be requested."""
RACE_SHARE = 0.04
SCAN_AFTER_ASK_SHARE = 0.02
DOUBLE_CLICK_SHARE = 0.03
DECIDED_SHARE = 0.75
CANCELLER_LIFT = 1.9
MOST_PAST_ORDERS = 150
HISTORY_DAYS = 180

REGIONS = ("浙江", "广东", "江苏", "四川", "山东", "河南", "湖北", "北京", "上海", "辽宁")
CARRIERS = ("SF", "YTO", "ZTO", "STO")


@dataclass(frozen=True, slots=True)
class PastEvent:
    """An event in a buyer's history before the day."""

    event_id: str
    kind: str
    at: datetime
    order_id: str
    amount_minor: int


@dataclass(frozen=True, slots=True)
class Shopper:
    """A buyer, as the platform describes one; `cancels`: has cancelled before."""

    buyer_id: str
    registered_at: datetime | None
    region: str
    cancels: bool
    history: tuple[PastEvent, ...]
    selection: str | None = None
    restricted: str = ""


@dataclass(frozen=True, slots=True)
class PlannedLine:
    """Units of one item, and what the buyer pays for all of them."""

    line_id: str
    goods: Goods
    quantity: int
    paid_minor: int


@dataclass(frozen=True, slots=True)
class PlannedOrder:
    """An order of the day; `tenders_minor` is empty when it is never paid."""

    order_id: str
    buyer_id: str
    shop_id: str
    placed_at: datetime
    ship_by: datetime
    lines: tuple[PlannedLine, ...]
    freight_minor: int
    funding: tuple[Funding, ...]
    hold: Hold
    tenders_minor: tuple[int, ...]

    @property
    def paid_minor(self) -> int:
        """What the buyer pays, freight included."""
        return sum(self.tenders_minor)


class EventKind(StrEnum):
    """The kinds of events of the day."""

    PLACE = "place"
    PAY = "pay"
    LABEL = "label"
    ASK = "ask"
    SHIP = "ship"
    SCAN = "scan"
    DECIDE = "decide"


class MerchantVerdict(StrEnum):
    """What a merchant will decide on a request in review; `ship`: reject, with the tracking number."""

    APPROVE = "approve"
    REJECT = "reject"
    SHIP = "ship"


@dataclass(frozen=True, slots=True)
class OrderEvent:
    """An event of an order.

    `races`: it happens at the same time as the event before it; neither waits for the other. `twice`: a double click.
    """

    at: datetime
    kind: EventKind
    order_id: str
    carrier: str = ""
    tracking_no: str = ""
    reason: Reason = Reason.OTHER
    units: tuple[tuple[str, int], ...] = ()
    verdict: MerchantVerdict | None = None
    races: bool = False
    twice: bool = False


@dataclass(frozen=True, slots=True)
class Marketplace:
    """What the platform knows before the day, and the events of the day, ordered by time."""

    seed: int
    day: int
    shops: tuple[CatalogueShop, ...]
    categories: tuple[CatalogueCategory, ...]
    buyers: tuple[Shopper, ...]
    orders: tuple[PlannedOrder, ...]
    events: tuple[OrderEvent, ...]


def generate(*, seed: int, orders: int, ends_at: datetime, day: int = 1) -> Marketplace:
    """The marketplace of a seed, and its numbered day, which ends at `ends_at`; equal arguments give equal values.

    Buyers and shops depend on the seed alone; orders also on the day.
    """
    all_shops = shops()
    count = max(10, round(orders / ORDERS_PER_BUYER))
    buyers = tuple(_shopper(seed, number, ends_at - DAY) for number in range(1, count + 1))
    made: list[PlannedOrder] = []
    events: list[OrderEvent] = []
    shelves = _Weighted(all_shops, [3.0 / (1 + rank * 0.15) for rank in range(len(all_shops))])
    for number in range(1, orders + 1):
        rng = Random(f"{seed}/{day}/order/{number}")
        buyer, shop = rng.choice(buyers), shelves.pick(rng)
        order = _order(rng, f"d{day}-{number:06d}", buyer, shop, ends_at)
        made.append(order)
        events += _events(rng, order, buyer, shop, ends_at)
    events.sort(key=lambda event: event.at)  # the sort is stable: events of one order at one time keep their order
    return Marketplace(seed, day, all_shops, CATEGORIES, buyers, tuple(made), tuple(events))


# Buyers ----------------------------------------------------------------------------------------------------------


def _shopper(seed: int, number: int, until: datetime) -> Shopper:
    rng = Random(f"{seed}/buyer/{number}")
    buyer_id = f"b{seed}-{number:05d}"
    loyal = rng.random() < LOYAL_SHARE
    cancels = rng.random() < CANCELLERS_SHARE
    paid = rng.randint(7, 22) if loyal else rng.randint(0, 6)
    cancelled = _cancellations(rng) if cancels else 0
    paid = min(MOST_PAST_ORDERS, max(paid, cancelled + rng.randint(1, 4)))
    age_days = rng.randint(100, 2500) if loyal else rng.randint(5, 900)
    history = tuple(_history(rng, buyer_id, paid, cancelled, min(age_days, HISTORY_DAYS), until))
    return Shopper(
        buyer_id=buyer_id,
        registered_at=None if rng.random() < UNKNOWN_AGE_SHARE else until - timedelta(days=age_days, hours=1),
        region=rng.choice(REGIONS),
        cancels=cancels,
        history=history,
        selection={3: "deny", 4: "allow"}.get(number % 200),
        restricted="屡次恶意退款 Repeated abuse of refunds" if number % 200 == 5 else "",
    )


def _cancellations(rng: Random) -> int:
    return min(MOST_PAST_ORDERS - 1, max(1, round(exp(rng.gauss(CANCELLATIONS_LN_MU, CANCELLATIONS_LN_SIGMA)))))


def _history(
    rng: Random, buyer_id: str, paid: int, cancelled: int, over_days: int, until: datetime
) -> Iterator[PastEvent]:
    """The past orders of a buyer: each was paid, then cancelled or completed; some had a lost dispute."""
    for index in range(paid):
        order_id = f"{buyer_id}-past-{index}"
        at = until - timedelta(seconds=rng.uniform(0.02, 0.98) * over_days * DAY.total_seconds())
        amount = _amount_minor(rng)
        yield PastEvent(f"paid:{order_id}", "order_paid", at, order_id, amount)
        later = min(until, at + timedelta(hours=rng.uniform(1, 240)))
        if index < cancelled:
            yield PastEvent(f"refund:{order_id}", "refund_before_shipment", later, order_id, amount)
        else:
            yield PastEvent(f"completed:{order_id}", "order_completed", later, order_id, amount)
    if paid and rng.random() < DISPUTE_LOST_SHARE:
        at = until - timedelta(days=rng.uniform(1, over_days))
        yield PastEvent(f"dispute:{buyer_id}", "dispute_lost", at, f"{buyer_id}-past-0", 0)


# Orders ----------------------------------------------------------------------------------------------------------


def _order(rng: Random, order_id: str, buyer: Shopper, shop: CatalogueShop, ends_at: datetime) -> PlannedOrder:
    total_minor = _amount_minor(rng)
    freight_minor = rng.choice((500, 600, 800, 1000)) if total_minor > 3000 and rng.random() < FREIGHT_SHARE else 0
    placed_at = ends_at - DAY + timedelta(hours=_hour(rng), seconds=rng.uniform(0, 3600))
    presale = rng.random() < PRESALE_SHARE
    return PlannedOrder(
        order_id=order_id,
        buyer_id=buyer.buyer_id,
        shop_id=shop.shop_id,
        placed_at=placed_at,
        ship_by=placed_at + SHIP_WITHIN,
        lines=_lines(rng, shop, total_minor - freight_minor),
        freight_minor=freight_minor,
        funding=_funding(rng, total_minor),
        hold=Hold.PRESALE if presale else Hold.NONE,
        tenders_minor=() if rng.random() < UNPAID_SHARE else _tenders(rng, total_minor),
    )


def _amount_minor(rng: Random) -> int:
    return max(100, round(exp(rng.gauss(AMOUNT_LN_MU, AMOUNT_LN_SIGMA)) * 100))


def _hour(rng: Random) -> int:
    return rng.choices(range(24), cum_weights=_HOURS)[0]


_HOURS = tuple(accumulate(HOUR_WEIGHTS))


def _lines(rng: Random, shop: CatalogueShop, goods_minor: int) -> tuple[PlannedLine, ...]:
    count = rng.choices((1, 2, 3), weights=(72, 20, 8))[0]
    amounts = split_by_weight(goods_minor, [rng.randint(1, 5) for _ in range(count)])
    return tuple(
        PlannedLine(f"l{index}", goods, rng.choices((1, 2, 3), weights=(80, 15, 5))[0], amount)
        for index, (goods, amount) in enumerate(zip(rng.sample(shop.goods, count), amounts, strict=True), start=1)
    )


def _funding(rng: Random, total_minor: int) -> tuple[Funding, ...]:
    if rng.random() >= SUBSIDY_SHARE:
        return ()
    funders = rng.sample(tuple(Funder), rng.choice((1, 1, 2)))
    return tuple(Funding(funder, max(1, total_minor * rng.randint(3, 15) // 100)) for funder in funders)


def _tenders(rng: Random, total_minor: int) -> tuple[int, ...]:
    if rng.random() >= SPLIT_TENDER_SHARE:
        return (total_minor,)
    return split_by_weight(total_minor, (rng.randint(1, 3), rng.randint(4, 9)))


# The day ---------------------------------------------------------------------------------------------------------


def _events(
    rng: Random, order: PlannedOrder, buyer: Shopper, shop: CatalogueShop, ends_at: datetime
) -> Iterator[OrderEvent]:
    """The events of one order before the day ends, ordered by time."""
    yield OrderEvent(order.placed_at, EventKind.PLACE, order.order_id)
    paid_at = order.placed_at + timedelta(seconds=_quantile(rng, PAY_DELAY_SECONDS))
    if not order.tenders_minor or paid_at >= ends_at:
        return
    yield OrderEvent(paid_at, EventKind.PAY, order.order_id)
    goods_ship = order.hold is Hold.NONE and not any(_is_virtual(line.goods) for line in order.lines)
    carrier_at = paid_at + timedelta(hours=_quantile(rng, CARRIER_DELAY_HOURS) * shop.slowness)
    label_at = paid_at + (carrier_at - paid_at) * rng.uniform(0.35, 0.9)
    waybill = (rng.choice(CARRIERS), f"{order.order_id}-{rng.randrange(10**8):08d}")
    if rng.random() < _ask_probability(order, buyer):
        yield from _asked_day(rng, order, paid_at, label_at if goods_ship else ends_at, waybill, ends_at)
        return
    if goods_ship and label_at < ends_at:
        yield OrderEvent(label_at, EventKind.LABEL, order.order_id, *waybill)
    if goods_ship and carrier_at < ends_at:
        yield OrderEvent(carrier_at, EventKind.SHIP, order.order_id, *waybill)
        if carrier_at + timedelta(hours=1) < ends_at:
            yield OrderEvent(carrier_at + timedelta(hours=1), EventKind.SCAN, order.order_id, *waybill)


def _asked_day(
    rng: Random, order: PlannedOrder, paid_at: datetime, label_at: datetime, waybill: tuple[str, str], ends_at: datetime
) -> Iterator[OrderEvent]:
    """The events of an order whose buyer makes a request some time after paying, sometimes while the merchant ships."""
    asked_at = paid_at + (ends_at - paid_at) * rng.random() ** 2
    if label_at < asked_at:
        yield OrderEvent(label_at, EventKind.LABEL, order.order_id, *waybill)
    yield OrderEvent(
        asked_at,
        EventKind.ASK,
        order.order_id,
        reason=rng.choice(tuple(Reason)),
        units=_units_asked(rng, order),
        twice=rng.random() < DOUBLE_CLICK_SHARE,
    )
    drawn = rng.random()
    ships = order.hold is Hold.NONE and not any(_is_virtual(line.goods) for line in order.lines)
    if ships and drawn < RACE_SHARE:
        yield OrderEvent(asked_at, EventKind.SHIP, order.order_id, *waybill, races=True)
        return
    if ships and drawn < RACE_SHARE + SCAN_AFTER_ASK_SHARE:
        yield OrderEvent(asked_at + (ends_at - asked_at) * 0.5, EventKind.SCAN, order.order_id, *waybill)
        return
    if rng.random() < DECIDED_SHARE:
        verdict = rng.choices(tuple(MerchantVerdict), weights=(62, 20, 18 if ships else 0))[0]
        decided_at = asked_at + (ends_at - asked_at) * rng.uniform(0.1, 0.9)
        yield OrderEvent(decided_at, EventKind.DECIDE, order.order_id, *waybill, verdict=verdict)


def _ask_probability(order: PlannedOrder, buyer: Shopper) -> float:
    """The rate for the amount; buyers who have cancelled before request more often, others less; the mean stays."""
    amount_cny = order.paid_minor / 100
    rate = next(rate for below, rate in REFUND_RATE_BELOW_CNY if amount_cny < below)
    others = (1 - CANCELLERS_SHARE * CANCELLER_LIFT) / (1 - CANCELLERS_SHARE)
    return rate * (CANCELLER_LIFT if buyer.cancels else others)


def _units_asked(rng: Random, order: PlannedOrder) -> tuple[tuple[str, int], ...]:
    """The requested units: none named means all; otherwise one line, or some units of it."""
    divisible = len(order.lines) > 1 or order.lines[0].quantity > 1
    if not divisible or rng.random() >= PARTIAL_ASK_SHARE:
        return ()
    line = rng.choice(order.lines)
    return ((line.line_id, rng.randint(1, line.quantity)),)


_VIRTUAL = frozenset(category.category_id for category in CATEGORIES if category.virtual)


def _is_virtual(goods: Goods) -> bool:
    return goods.category_id in _VIRTUAL


# Random draws ----------------------------------------------------------------------------------------------------


def _quantile(rng: Random, points: Sequence[tuple[float, float]]) -> float:
    """A value from a distribution that is given by quantiles, linear in the logarithm between them."""
    drawn = rng.random()
    for (low, low_value), (high, high_value) in pairwise(points):
        if drawn <= high:
            share = (drawn - low) / (high - low)
            return exp(log(low_value) + share * (log(high_value) - log(low_value)))
    return points[-1][1]


class _Weighted:
    """Choices with fixed weights; the cumulative weights are computed once."""

    def __init__(self, shops: Sequence[CatalogueShop], weights: Sequence[float]) -> None:
        self._shops = shops
        self._sums = tuple(accumulate(weights))

    def pick(self, rng: Random) -> CatalogueShop:
        """One of the shops."""
        return rng.choices(self._shops, cum_weights=self._sums)[0]
