"""What the service did for a shop (R6 to R8): counted from tickets, orders and disputes themselves."""

from __future__ import annotations

from datetime import timedelta

from jitui.aftersales.commands.dispute import record_dispute
from jitui.aftersales.commands.execute import Executed
from jitui.aftersales.commands.on_ticket import Acting
from jitui.aftersales.commands.refund_updates import RefundUpdate, confirm
from jitui.aftersales.commands.review import approve
from jitui.aftersales.model.order import Dispute, DisputeState, ShipmentSource, ShipmentStatus
from jitui.aftersales.model.ticket import Actor, ActorKind
from jitui.aftersales.ports import AttemptRef, OrderRef
from jitui.aftersales.queries import DisputeRate, TimeInterval
from tests.aftersales.market import NOW, Market
from tests.known_bugs.steps import SUCCEEDED, where

MERCHANT = Actor(ActorKind.MERCHANT, "shop-1")


async def refunded(market: Market, order_id: str, amount: int, seconds: float, shop_id: str = "shop-1") -> None:
    buyer = await market.premium_buyer(f"b-{order_id}")
    await market.paid_order(buyer, order_id, amounts=(amount,), shop_id=shop_id)
    ticket = await market.asked(buyer, order_id)
    if amount >= 30000:
        assert isinstance(await approve(market.store, where(ticket), Acting(MERCHANT, NOW)), Executed)
    (claimed,) = await market.store.claim_refunds(now=NOW, lease_until=NOW + timedelta(minutes=1), limit=9)
    ref = AttemptRef(claimed.lane, claimed.attempt.attempt_id)
    paid_at = NOW + timedelta(seconds=seconds)
    assert isinstance(await confirm(market.store, ref, RefundUpdate(SUCCEEDED), now=paid_at), Executed)


async def disputed(market: Market, ref: OrderRef, days: int) -> None:
    opened = NOW + timedelta(days=days)
    told = Dispute(f"d-{ref.order_id}", "t1", "", DisputeState.OPEN, 100, "CNY", opened, "not received")
    assert isinstance(await record_dispute(market.store, ref, told, now=opened), Executed)


async def test_times_to_the_refund_stand_in_intervals_at_once_and_reviewed_apart(market: Market) -> None:
    """The end of an interval belongs to the next one."""
    for number, (amount, seconds) in enumerate(((100, 2), (100, 9.9), (100, 10), (40000, 7200), (40000, 259200))):
        await refunded(market, f"o-{number}", amount, seconds)
    await refunded(market, "elsewhere", 100, 2, shop_id="shop-2")
    await market.ticket_list.fill()
    found = await market.queries.benefit(shop_id="shop-1", since=None)
    assert found.times == (
        TimeInterval(10, 2, 0),
        TimeInterval(60, 1, 0),
        TimeInterval(600, 0, 0),
        TimeInterval(3_600, 0, 0),
        TimeInterval(86_400, 0, 1),
        TimeInterval(259_200, 0, 0),
        TimeInterval(None, 0, 1),
    )
    assert (found.instant, found.refunded) == (3, 5)
    assert (await market.queries.benefit(shop_id=None, since=None)).instant == 4


async def test_disputes_count_that_were_opened_before_anything_was_with_a_carrier(market: Market) -> None:
    refs = [await market.paid_order(f"b-{n}", f"o-{n}") for n in range(4)]
    await market.ship(refs[0], tracking_no="SF0", now=NOW + timedelta(days=2))
    await market.ship(refs[1], tracking_no="SF1", now=NOW + timedelta(days=2))
    await market.ship(
        refs[2], tracking_no="SF2", status=ShipmentStatus.LABEL_PRINTED, source=ShipmentSource.MERCHANT, now=NOW
    )
    await disputed(market, refs[0], days=1)
    await disputed(market, refs[1], days=3)
    await disputed(market, refs[2], days=3)
    assert await market.queries.dispute_rate(shop_id="shop-1", since=None) == DisputeRate(2, 4)
    assert (await market.queries.dispute_rate(shop_id="shop-1", since=None)).per_1000_orders == 500.0
    assert await market.queries.dispute_rate(shop_id="shop-9", since=None) == DisputeRate(0, 0)
    assert DisputeRate(0, 0).per_1000_orders is None
    assert await market.queries.dispute_rate(shop_id=None, since=NOW) == DisputeRate(0, 0), "placed before"
