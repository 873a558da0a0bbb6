"""A waybill that is on another buyer's order: a merchant's is refused whole, a carrier's scan is always recorded."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest

from jitui.aftersales.commands.execute import Executed
from jitui.aftersales.commands.on_ticket import Acting
from jitui.aftersales.commands.review import reject
from jitui.aftersales.commands.ship import ShipmentUpdate, record_shipment
from jitui.aftersales.model.order import WAYBILL_KEPT, LineUnits, Shipment, ShipmentSource, ShipmentStatus
from jitui.aftersales.model.ticket import Actor, ActorKind, TicketState
from jitui.aftersales.outcomes import Refusal, RefusalCode, StoredResponse
from jitui.aftersales.ports import OrderRef, TicketRef
from tests.aftersales.market import NOW, Market, on_both_stores, rejection, ticket_of

MERCHANT = Actor(ActorKind.MERCHANT, "somebody")
Done = Executed | Refusal | StoredResponse


async def told(market: Market, ref: OrderRef, number: str, *, happened_at: datetime = NOW, now: datetime = NOW) -> Done:
    update = ShipmentUpdate(ShipmentStatus.SHIPPED, "sf", number, ShipmentSource.MERCHANT, happened_at)
    return await record_shipment(market.store, ref, update, by=MERCHANT, now=now)


async def shipments(market: Market, ref: OrderRef) -> tuple[Shipment, ...]:
    snapshot = await market.store.read_order(ref)
    assert snapshot is not None
    return snapshot.shipments


def is_refused(done: object) -> bool:
    return isinstance(done, Refusal) and done.code is RefusalCode.WAYBILL_OF_ANOTHER_BUYER


@on_both_stores
@pytest.mark.parametrize("status", [ShipmentStatus.LABEL_PRINTED, ShipmentStatus.SHIPPED])
@pytest.mark.parametrize("number", ["SF 77", "sf 77", "ＳＦ 77"])
async def test_another_buyers_number_is_refused_however_it_is_spelled(
    market: Market, status: ShipmentStatus, number: str
) -> None:
    first, second = await market.paid_order("b-1", "o-1"), await market.paid_order("b-2", "o-2")
    assert isinstance(await market.ship(first, status=status, tracking_no="SF 77"), Executed)
    refused = await market.ship(second, status=status, tracking_no=number)
    assert isinstance(refused, Refusal) and is_refused(refused)
    assert refused.path == "tracking_no" and repr(number) in refused.message and "180 days" in refused.message
    assert await shipments(market, second) == ()
    assert [event.kind for event in await market.feed.events(0, 50) if event.order_id == "o-2"] == ["order.paid"]


@on_both_stores
async def test_one_parcel_for_several_orders_of_a_buyer(market: Market) -> None:
    for order in ("o-1", "o-2", "o-3"):
        assert isinstance(await market.ship(await market.paid_order("b-1", order), tracking_no="SF77"), Executed)


@on_both_stores
async def test_the_same_report_again_is_known_whoever_has_the_number(market: Market) -> None:
    """A carrier's scan put it on both; the second merchant enters what the carrier said."""
    first, second = await market.paid_order("b-1", "o-1"), await market.paid_order("b-2", "o-2")
    await market.ship(first, tracking_no="SF77")
    scan = await market.ship(second, source=ShipmentSource.CARRIER, status=ShipmentStatus.PICKED_UP, tracking_no="SF77")
    assert isinstance(scan, Executed) and scan.changes
    (parcel,) = await shipments(market, second)
    assert (parcel.degree, parcel.entered_at) == (ShipmentStatus.PICKED_UP, None)
    assert isinstance(await market.ship(second, tracking_no="SF77"), Executed)
    third = await market.paid_order("b-3", "o-3")
    assert is_refused(await market.ship(third, tracking_no="SF77"))
    assert is_refused(await market.ship(await market.paid_order("b-2", "o-4"), tracking_no="SF77")), "it stays b-1's"


@on_both_stores
async def test_a_number_that_only_a_carrier_told_is_its_buyers(market: Market) -> None:
    first, second = await market.paid_order("b-1", "o-1"), await market.paid_order("b-2", "o-2")
    await market.ship(first, source=ShipmentSource.CARRIER, status=ShipmentStatus.PICKED_UP, tracking_no="SF77")
    assert is_refused(await market.ship(second, tracking_no="SF77"))


@on_both_stores
async def test_a_rejection_with_that_number_leaves_the_ticket_open(market: Market) -> None:
    await market.ship(await market.paid_order("b-1", "o-1"), tracking_no="SF77")
    ref = await market.paid_order("b-2", "o-2")
    ticket = ticket_of(await market.ask("b-2", "o-2"))
    assert ticket.state is TicketState.AWAITING_MERCHANT
    update = ShipmentUpdate(ShipmentStatus.SHIPPED, "sf", "SF77", ShipmentSource.MERCHANT, NOW, (LineUnits("l1", 1),))
    ticket_ref = TicketRef(ticket.lane, ticket.ticket_id)
    done = await reject(market.store, ticket_ref, rejection("no", update), Acting(MERCHANT, NOW))
    assert is_refused(done)
    snapshot = await market.store.read_order(ref)
    assert snapshot is not None and snapshot.shipments == ()
    assert snapshot.ticket(ticket.ticket_id) == ticket


@on_both_stores
@pytest.mark.parametrize("early", [timedelta(), timedelta(microseconds=1)])
async def test_a_carrier_gives_a_number_out_again_after_180_days(market: Market, early: timedelta) -> None:
    await told(market, await market.paid_order("b-1", "o-1"), "SF77")
    later = NOW + WAYBILL_KEPT - early
    second = await market.paid_order("b-2", "o-2", now=later)
    done = await told(market, second, "SF77", happened_at=later, now=later)
    assert is_refused(done) == bool(early)
    third = await market.paid_order("b-3", "o-3", now=later)
    assert is_refused(await told(market, third, "SF77", happened_at=later, now=later)), "whoever has it now"


@on_both_stores
async def test_a_number_that_is_used_again_counts_from_then_on(market: Market) -> None:
    await told(market, await market.paid_order("b-1", "o-1"), "SF77")
    middle, late = NOW + timedelta(days=100), NOW + timedelta(days=200)
    await told(market, await market.paid_order("b-1", "o-2", now=middle), "SF77", happened_at=middle, now=middle)
    await told(market, await market.paid_order("b-1", "o-4"), "SF77")  # of an earlier time, told last
    second = await market.paid_order("b-2", "o-3", now=late)
    assert is_refused(await told(market, second, "SF77", happened_at=late, now=late))


@on_both_stores
async def test_a_carriers_scan_takes_an_old_number_over_and_no_fresh_one(market: Market) -> None:
    await told(market, await market.paid_order("b-1", "o-1"), "SF77")
    late = NOW + timedelta(days=200)
    for now, ref in ((NOW, await market.paid_order("b-2", "o-2")), (late, await market.paid_order("b-3", "o-3"))):
        await market.ship(ref, source=ShipmentSource.CARRIER, tracking_no="SF77", now=now)
    assert isinstance(
        await told(market, await market.paid_order("b-3", "o-4"), "SF77", happened_at=late, now=late), Executed
    )
    assert is_refused(await told(market, await market.paid_order("b-2", "o-5"), "SF77", happened_at=late, now=late))


@on_both_stores
async def test_no_said_time_gets_round_a_claim(market: Market) -> None:
    await told(market, await market.paid_order("b-1", "o-1"), "SF77")
    second = await market.paid_order("b-2", "o-2")
    for said in (NOW - timedelta(days=400), NOW + timedelta(days=400)):
        assert is_refused(await told(market, second, "SF77", happened_at=said))


@on_both_stores
@pytest.mark.parametrize("short", [timedelta(), timedelta(microseconds=1)])
async def test_an_old_order_that_is_told_late_does_not_take_the_number(market: Market, short: timedelta) -> None:
    """As in a history that is imported: the parcel of half a year ago had its number then."""
    past = NOW - WAYBILL_KEPT + short
    await told(market, await market.paid_order("b-1", "o-1"), "SF77")
    old = await market.paid_order("b-2", "o-2", now=past)
    assert is_refused(await told(market, old, "SF77", happened_at=past)) == bool(short)
    assert is_refused(await told(market, await market.paid_order("b-2", "o-3"), "SF77"))
    assert isinstance(await told(market, await market.paid_order("b-1", "o-4"), "SF77"), Executed)
