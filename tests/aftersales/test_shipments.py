"""One waybill is one shipment of an order, however number and carrier are spelled, and whoever reports first."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import psycopg
import pytest

from jitui.aftersales.commands.execute import Executed
from jitui.aftersales.commands.intake import put_order
from jitui.aftersales.commands.on_ticket import Acting
from jitui.aftersales.commands.review import approve
from jitui.aftersales.commands.ship import ShipmentUpdate, record_shipment
from jitui.aftersales.incident_list import IncidentFilter
from jitui.aftersales.model.order import (
    FulfillmentStatus,
    LineUnits,
    OrderLine,
    ShipmentSource,
    ShipmentStatus,
    waybill_of,
)
from jitui.aftersales.model.snapshot import OrderSnapshot
from jitui.aftersales.model.ticket import Actor, ActorKind
from jitui.aftersales.outcomes import Refusal, RefusalCode
from jitui.aftersales.ports import NewOrder, OrderRef, OrderTaken, TicketRef
from tests.aftersales.market import NOW, Market, on_both_stores

LABEL, PICKED_UP, SHIPPED, DELIVERED = ShipmentStatus
SHOP = Actor(ActorKind.MERCHANT, "shop-1")
MERCHANT, CARRIER = ShipmentSource.MERCHANT, ShipmentSource.CARRIER


async def say(
    market: Market,
    ref: OrderRef,
    source: ShipmentSource,
    status: ShipmentStatus,
    *units: tuple[str, int],
    carrier: str = "",
    number: str = "SF1",
) -> Executed | Refusal:
    update = ShipmentUpdate(status, carrier, number, source, NOW, tuple(LineUnits(*unit) for unit in units))
    by = Actor(ActorKind.CARRIER if source is CARRIER else ActorKind.MERCHANT, "somebody")
    done = await record_shipment(market.store, ref, update, by=by, now=NOW)
    assert isinstance(done, Executed | Refusal)
    return done


async def file_of(market: Market, ref: OrderRef) -> OrderSnapshot:
    snapshot = await market.store.read_order(ref)
    assert snapshot is not None
    return snapshot


def left(snapshot: OrderSnapshot) -> dict[str, tuple[int, int]]:
    """Units that left by command and by the carrier's word alone."""
    return {line.line_id: (line.shipped_quantity, line.scanned_quantity) for line in snapshot.lines}


@pytest.mark.parametrize("carrier", ["SF-Express", "SF", "顺丰", ""])
@pytest.mark.parametrize("number", ["sf1", "SF1", "ＳＦ１"])
@on_both_stores
async def test_a_scan_of_the_merchants_parcel_is_no_second_parcel(market: Market, carrier: str, number: str) -> None:
    ref = await market.paid_order("b-1", "o-1", amounts=(5000, 6000))
    await say(market, ref, MERCHANT, SHIPPED, ("l1", 1), carrier="sf", number="SF1")
    await say(market, ref, CARRIER, DELIVERED, carrier=carrier, number=number)
    snapshot = await file_of(market, ref)
    (shipment,) = snapshot.shipments
    assert (shipment.degree, shipment.tracking_no, shipment.carrier) == (DELIVERED, "SF1", carrier or "sf")
    assert left(snapshot) == {"l1": (1, 0), "l2": (0, 0)}, "the second line is in the warehouse"
    assert snapshot.fulfillment is FulfillmentStatus.PARTLY_SHIPPED


@pytest.mark.parametrize("first", [PICKED_UP, SHIPPED, DELIVERED])
@on_both_stores
async def test_the_merchants_word_after_the_carriers_counts_no_unit_again(
    market: Market, first: ShipmentStatus
) -> None:
    ref = await market.paid_order("b-1", "o-1", amounts=(5000, 6000))
    await say(market, ref, CARRIER, first, ("l1", 1), number="sf1")
    assert isinstance(await say(market, ref, MERCHANT, SHIPPED, ("l1", 1), carrier="sf"), Executed)
    snapshot = await file_of(market, ref)
    assert left(snapshot)["l1"] == ((1, 0) if first is PICKED_UP else (0, 1))
    assert [shipment.carrier for shipment in snapshot.shipments] == ["sf"], "filled in later"


@on_both_stores
async def test_a_scan_of_a_label_under_another_spelling_opens_no_incident_on_the_other_goods(market: Market) -> None:
    buyer = await market.premium_buyer("b-1")
    ref = await market.paid_order(buyer, "o-1", amounts=(5000, 6000))
    await say(market, ref, MERCHANT, SHIPPED, ("l2", 1), carrier="sf")
    ticket = await market.asked(buyer, "o-1", lines=[("l1", 1)])
    await say(market, ref, MERCHANT, LABEL, ("l2", 1), carrier="sf", number="sf1")
    await say(market, ref, CARRIER, DELIVERED, carrier="SF EXPRESS", number="sf1")
    assert not await market.queries.incidents(IncidentFilter(shop_id="shop-1", limit=10))
    assert left(await file_of(market, ref)) == {"l1": (0, 0), "l2": (1, 0)}
    assert ticket.order_id == "o-1"


@on_both_stores
async def test_a_later_larger_word_moves_the_units_with_it_and_a_smaller_one_nothing(market: Market) -> None:
    ref = await market.paid_order("b-1", "o-1", amounts=(5000, 6000), quantities=(3, 1))
    await say(market, ref, MERCHANT, SHIPPED, ("l1", 1))
    await say(market, ref, MERCHANT, SHIPPED, ("l1", 2))
    await say(market, ref, CARRIER, SHIPPED, ("l1", 3), ("l2", 1))
    again = await say(market, ref, CARRIER, SHIPPED, ("l1", 1))
    snapshot = await file_of(market, ref)
    assert left(snapshot) == {"l1": (2, 1), "l2": (0, 1)}
    assert isinstance(again, Executed) and not again.changes
    (shipment,) = snapshot.shipments
    assert shipment.lines == (LineUnits("l1", 3), LineUnits("l2", 1))
    assert shipment.commanded_lines == (LineUnits("l1", 2),)
    assert snapshot.fulfillment is FulfillmentStatus.SHIPPED


@on_both_stores
async def test_a_late_word_of_an_earlier_degree_still_says_which_goods_are_inside(market: Market) -> None:
    ref = await market.paid_order("b-1", "o-1", amounts=(5000, 6000))
    await say(market, ref, CARRIER, DELIVERED, ("l1", 1))
    await say(market, ref, MERCHANT, LABEL, ("l1", 1), ("l2", 1))
    snapshot = await file_of(market, ref)
    assert left(snapshot) == {"l1": (0, 1), "l2": (1, 0)}
    assert snapshot.shipments[0].degree is DELIVERED


@on_both_stores
async def test_a_larger_word_meets_the_conflict_that_a_new_parcel_would(market: Market) -> None:
    buyer = await market.premium_buyer("b-1")
    ref = await market.paid_order(buyer, "o-1", amounts=(5000,), quantities=(2,))
    await say(market, ref, MERCHANT, LABEL, ("l1", 1))
    await market.asked(buyer, "o-1", lines=[("l1", 1)])
    assert isinstance(await say(market, ref, MERCHANT, SHIPPED, ("l1", 1)), Executed)
    refused = await say(market, ref, MERCHANT, SHIPPED, ("l1", 2), number="sf1")
    assert isinstance(refused, Refusal) and refused.code is RefusalCode.UNITS_REFUNDED
    assert isinstance(await say(market, ref, MERCHANT, DELIVERED), Executed), "what has left may arrive"
    assert not await market.queries.incidents(IncidentFilter(shop_id="shop-1", limit=10))
    await say(market, ref, CARRIER, DELIVERED, ("l1", 2))
    assert len(await market.queries.incidents(IncidentFilter(shop_id="shop-1", limit=10))) == 1, (
        "a carrier's larger word is a fact"
    )
    assert left(await file_of(market, ref)) == {"l1": (1, 1)}


@on_both_stores
async def test_a_parcel_leaves_once_for_the_shops_figures(market: Market) -> None:
    ref = await market.paid_order("b-1", "o-1", amounts=(5000, 6000))
    for source, units in ((MERCHANT, [("l1", 1)]), (CARRIER, [("l1", 1), ("l2", 1)]), (CARRIER, [])):
        await say(market, ref, source, SHIPPED, *units, carrier="sf")
    changes = [event for event in await market.feed.events(0, 100) if event.kind == "shipment.recorded"]
    assert [event.body["left"] for event in changes] == [True, False]


@on_both_stores
async def test_two_who_speak_of_one_parcel_at_once_make_one(market: Market) -> None:
    for number in range(10):
        ref = await market.paid_order("b-1", f"o-{number}", amounts=(5000, 6000))
        words = [(MERCHANT, "sf", "SF1"), (CARRIER, "SF", "sf1"), (CARRIER, "", "Sf1")]
        await asyncio.gather(*(say(market, ref, s, SHIPPED, ("l1", 1), carrier=c, number=n) for s, c, n in words))
        snapshot = await file_of(market, ref)
        assert len(snapshot.shipments) == 1
        assert sum(left(snapshot)["l1"]) == 1


async def test_the_database_refuses_a_second_parcel_of_a_waybill(market: Market) -> None:
    ref = await market.paid_order("b-1", "o-1")
    await say(market, ref, MERCHANT, SHIPPED)
    async with market.pool.connection() as connection:
        with pytest.raises(psycopg.errors.UniqueViolation):
            await connection.execute(
                'INSERT INTO shipment SELECT (jsonb_populate_record(s, \'{"shipment_id": '
                '"00000000-0000-0000-0000-000000000000", "carrier": "other"}\')).* FROM shipment s'
            )


def test_different_numbers_stay_different_parcels() -> None:
    numbers = ["JDX1-1-12", "JDX11-1-2", "SF1", "SF-1", "SF01", "SF１0"]
    assert len({waybill_of(number) for number in numbers}) == len(numbers)
    assert {waybill_of(f"SF{dash}1") for dash in "-\u2010\u2011\u2012\u2013\u2014\u2212\uff0d\ufe63"} == {"sf-1"}
    assert waybill_of(" ＳＦ１ ") == waybill_of("sf1") == "sf1"


@on_both_stores
async def test_carriers_word_is_on_the_timeline_where_it_says_more_and_not_where_it_only_names_itself(
    market: Market,
) -> None:
    ref = await market.paid_order("b-plain", "o-1", now=NOW - timedelta(minutes=5))
    ticket = await market.asked("b-plain", "o-1")
    for carrier in ("", "sf", "SF"):
        await say(market, ref, CARRIER, PICKED_UP, carrier=carrier)
    snapshot = await file_of(market, ref)
    scans = [event for event in snapshot.timeline_of(ticket.ticket_id) if event.why == "carrier_scan"]
    assert len(scans) == 1
    assert snapshot.shipments[0].carrier == "SF"


@on_both_stores
async def test_a_parcel_is_commanded_once_the_merchant_ships_it_and_not_by_the_carriers_word(market: Market) -> None:
    ref = await market.paid_order("b-1", "o-1", amounts=(5000, 6000))
    await say(market, ref, CARRIER, SHIPPED, ("l1", 1))
    await say(market, ref, MERCHANT, LABEL, ("l2", 1), number="SF2")
    assert [parcel.commanded for parcel in (await file_of(market, ref)).shipments] == [False, False]
    await say(market, ref, MERCHANT, SHIPPED, number="SF2")
    snapshot = await file_of(market, ref)
    assert {parcel.tracking_no: parcel.commanded for parcel in snapshot.shipments} == {"SF1": False, "SF2": True}


@on_both_stores
async def test_an_approval_names_the_printed_labels_of_its_own_goods_alone(market: Market) -> None:
    """Another line's label is still needed, and a parcel that the carrier has is no label to void."""
    buyer = await market.premium_buyer("b-1")
    ref = await market.paid_order(buyer, "o-1", amounts=(5000, 6000), quantities=(2, 1))
    await say(market, ref, MERCHANT, SHIPPED, ("l1", 1), number="SF1")
    await say(market, ref, MERCHANT, LABEL, ("l1", 1), number="SF2")
    await say(market, ref, MERCHANT, LABEL, ("l2", 1), number="SF3")
    ticket = await market.asked(buyer, "o-1", lines=[("l1", 1)])
    done = await approve(market.store, TicketRef(ticket.lane, ticket.ticket_id), Acting(SHOP, NOW))
    assert isinstance(done, Executed), done
    (stop,) = [change.body for change in await market.feed.events(0, 100) if change.kind == "stop_ship"]
    assert stop["labels_printed"] == [{"carrier": "", "tracking_no": "SF2"}]


@pytest.mark.parametrize(
    ("late", "on_time"), [(timedelta(0), True), (timedelta(microseconds=1), False), (timedelta(days=-1), True)]
)
@on_both_stores
async def test_a_parcel_is_on_time_up_to_the_moment_by_which_it_was_to_be_shipped(
    market: Market, late: timedelta, on_time: bool
) -> None:
    line = OrderLine("l1", "sku", "item", 1, 0)
    new = NewOrder("o-1", "b-1", "shop-1", "CNY", NOW - timedelta(hours=1), (line,), ship_by=NOW - late)
    taken = await put_order(market.store, new, now=NOW)
    assert isinstance(taken, OrderTaken)
    await say(market, taken.ref, MERCHANT, SHIPPED)
    await say(market, taken.ref, CARRIER, DELIVERED)
    told = [change for change in await market.feed.events(0, 100) if change.kind == "shipment.recorded"]
    assert [change.body["on_time"] for change in told] == [on_time, None], "said once, when it leaves"
