"""What a commerce platform says of an order is taken in by the commands of the API; refunds made there count once."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from uuid import uuid4

from jitui.aftersales.changes import OpenTask
from jitui.aftersales.commands.execute import Executed
from jitui.aftersales.commands.platform_orders import PlatformReading
from jitui.aftersales.commands.refunded_elsewhere import RefundedElsewhere, plan_refunded_elsewhere
from jitui.aftersales.commands.request_refund import DecisionSettings, RefundRequest, request_refund
from jitui.aftersales.deciding import Deciding
from jitui.aftersales.model.order import LineUnits, ShipmentStatus
from jitui.aftersales.model.snapshot import OrderSnapshot
from jitui.aftersales.model.ticket import TicketState
from jitui.aftersales.operations.platform_sync import take_order
from jitui.aftersales.outcomes import Refusal, RefusalCode, StoredResponse
from jitui.aftersales.platform import (
    PlatformLine,
    PlatformOrder,
    PlatformPayment,
    PlatformRefund,
    PlatformShipment,
    refunded_units,
)
from tests.aftersales.market import NOW, Market, on_both_stores, ticket_of
from tests.platforms.market import POLICY as EVERYTHING_UNSHIPPED

PLACED = NOW - timedelta(hours=1)
ORDER = PlatformOrder(
    order_id="V-1",
    buyer_id="vendure-1",
    currency="CNY",
    placed_at=PLACED,
    changed_at=PLACED,
    lines=(PlatformLine("l1", "cup", "item-1", "Cup", 3, 3000),),
    freight_minor=500,
    payments=(PlatformPayment("p1", 3500, PLACED),),
)


async def take(market: Market, order: PlatformOrder) -> list[str]:
    settings = market.decision_settings
    deciding = DecisionSettings(Deciding(market.policy), settings.time_zone, frozenset({"vendure"}))
    return await take_order(market.store, deciding, "vendure", "shop-1", order, now=NOW)


async def recorded(market: Market) -> OrderSnapshot:
    ref = await market.store.find_order("V-1")
    assert ref is not None
    found = await market.store.read_order(ref)
    assert found is not None
    return found


def refunded(amount: int, *, cancelled: int = 0, ours: bool = False) -> PlatformOrder:
    """The order after a refund of this amount."""
    refund = PlatformRefund("r1", amount, NOW, uuid4() if ours else None)
    lines = (replace(ORDER.lines[0], cancelled=cancelled),)
    return replace(ORDER, lines=lines, payments=(replace(ORDER.payments[0], refunds=(refund,)),))


def shipped(status: ShipmentStatus, number: str = "SF1") -> PlatformOrder:
    sent = PlatformShipment("vendure-9", number, "sf", status, NOW, (LineUnits("l1", 3),))
    return replace(ORDER, shipments=(sent,))


async def ask(market: Market) -> Executed | Refusal | StoredResponse:
    """The buyer asks for an order that was read for it."""
    deciding = replace(market.decision_settings, reading=PlatformReading.AGREES)
    return await request_refund(market.store, deciding, RefundRequest("vendure-1", "V-1"), now=NOW)


@on_both_stores
async def test_the_same_order_again_changes_nothing(market: Market) -> None:
    assert await take(market, ORDER) == []
    first = await recorded(market)
    assert (first.tenders[0].provider, first.tenders[0].captured_minor, first.order.freight_minor) == (
        "vendure",
        3500,
        500,
    )
    assert await take(market, ORDER) == []
    assert await recorded(market) == first


@on_both_stores
async def test_a_refund_made_there_takes_money_and_units_once(market: Market) -> None:
    await take(market, ORDER)
    for _ in range(2):
        assert await take(market, refunded(1000, cancelled=1)) == []
        found = await recorded(market)
        assert found.tenders[0].remaining_minor == 2500
        assert (found.lines[0].claimed_quantity, found.lines[0].claimed_minor) == (1, 1000)
    assert await take(market, refunded(1500, cancelled=1)) == []
    found = await recorded(market)
    assert (found.tenders[0].remaining_minor, found.lines[0].claimed_quantity) == (2000, 1)
    assert refunded_units(found).units == {"l1": 1}
    assert refunded_units(found).elsewhere_minor == {"p1": 1500}


@on_both_stores
async def test_a_refund_of_ours_is_not_counted_as_theirs(market: Market) -> None:
    await take(market, ORDER)
    assert await take(market, refunded(1000, cancelled=1, ours=True)) == []
    found = await recorded(market)
    assert (found.tenders[0].remaining_minor, found.lines[0].claimed_quantity) == (3500, 0)


@on_both_stores
async def test_units_that_were_cancelled_without_a_refund_may_be_asked_for(market: Market) -> None:
    await take(market, ORDER)
    cancelled = replace(ORDER, lines=(replace(ORDER.lines[0], cancelled=1),))
    assert await take(market, cancelled) == []
    assert (await recorded(market)).lines[0].free_quantity == 3


@on_both_stores
async def test_what_is_promised_stays_promised(market: Market) -> None:
    """The whole payment is promised to the buyer when somebody refunds a part of it there: a task, and no more."""
    await take(market, ORDER)
    ticket = ticket_of(await ask(market.deciding_by(EVERYTHING_UNSHIPPED)))
    assert ticket.state is TicketState.REFUNDING
    before = await recorded(market)
    assert await take(market, refunded(1000, cancelled=1)) == []
    assert await recorded(market) == before
    assert before.tenders[0].pending_minor == 3500
    told = RefundedElsewhere({("vendure", "p1"): 1000}, {"l1": 1})
    (change,) = plan_refunded_elsewhere(before, told, NOW).changes
    assert isinstance(change, OpenTask)
    assert change.task.amount_minor == 1000


@on_both_stores
async def test_a_shipment_there_is_a_fact_and_moves_forward(market: Market) -> None:
    await take(market, ORDER)
    for status in (ShipmentStatus.LABEL_PRINTED, ShipmentStatus.SHIPPED, ShipmentStatus.DELIVERED):
        assert await take(market, shipped(status)) == []
        assert [sent.degree for sent in (await recorded(market)).shipments] == [status]
    refused = await ask(market)
    assert isinstance(refused, Refusal)
    assert refused.code is RefusalCode.ORDER_ALREADY_SHIPPED


@on_both_stores
async def test_what_was_delivered_there_is_completed(market: Market) -> None:
    await take(market, ORDER)
    assert await take(market, replace(shipped(ShipmentStatus.DELIVERED), delivered_at=NOW)) == []
    assert (await recorded(market)).is_completed


@on_both_stores
async def test_cancelled_units_are_claimed_only_for_money_that_went_back(market: Market) -> None:
    await take(market, ORDER)
    before = await recorded(market)
    told = RefundedElsewhere({("vendure", "p1"): 0}, {"l1": 1})
    assert plan_refunded_elsewhere(before, told, NOW).changes == ()
