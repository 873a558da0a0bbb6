"""The warehouse's answer to a stop-ship: on the timeline, once, and goods that are gone open an incident."""

from __future__ import annotations

from datetime import datetime, timedelta

from jitui.aftersales.commands.execute import Executed
from jitui.aftersales.commands.stop_ship import StopShipAnswer, StopShipOutcome, acknowledge_stop_ship
from jitui.aftersales.incident_list import IncidentFilter
from jitui.aftersales.model.order import ShipmentSource, ShipmentStatus
from jitui.aftersales.model.snapshot import OrderSnapshot
from jitui.aftersales.model.ticket import APPROVED_STATES, Actor, ActorKind, Ticket
from jitui.aftersales.outcomes import Refusal, RefusalCode, StoredResponse
from jitui.aftersales.ports import OrderRef, TicketRef
from tests.aftersales.market import NOW, Market, on_both_stores

WAREHOUSE = Actor(ActorKind.PLATFORM, "warehouse 7")
HELD = StopShipAnswer(StopShipOutcome.HELD, person="wang.fang")
GONE = StopShipAnswer(StopShipOutcome.ALREADY_GONE, "SF1", "sf", NOW - timedelta(minutes=5), "wang.fang")


async def refunded(market: Market, *, label: bool = True) -> tuple[OrderRef, Ticket]:
    """An order of two lines, of which the first was refunded at once."""
    ref = await market.paid_order(await market.premium_buyer("b-1"), "o-1", amounts=(5000, 6000), quantities=(2, 1))
    if label:
        await market.ship(ref, status=ShipmentStatus.LABEL_PRINTED, lines=[("l1", 2)], tracking_no="SF1")
    ticket = await market.asked("b-1", "o-1", lines=[("l1", 2)])
    assert ticket.state in APPROVED_STATES
    return ref, ticket


async def said(
    market: Market, ticket: Ticket, answer: StopShipAnswer, *, shop_id: str | None = None, now: datetime = NOW
) -> Executed | Refusal | StoredResponse:
    ref = TicketRef(ticket.lane, ticket.ticket_id)
    return await acknowledge_stop_ship(
        market.store, market.settings, ref, answer, by=WAREHOUSE, now=now, shop_id=shop_id
    )


async def snapshot_of(market: Market, ref: OrderRef) -> OrderSnapshot:
    snapshot = await market.store.read_order(ref)
    assert snapshot is not None
    return snapshot


async def kinds(market: Market) -> list[str]:
    return [event.kind for event in await market.feed.events(0, 50)][-2:]


@on_both_stores
async def test_held_goods_stand_on_the_timeline_once(market: Market) -> None:
    ref, ticket = await refunded(market)
    for _ in range(3):
        assert isinstance(await said(market, ticket, HELD), Executed)
    snapshot = await snapshot_of(market, ref)
    (event,) = [one for one in snapshot.timeline_of(ticket.ticket_id) if one.why == "stop_ship_held"]
    assert (event.actor_kind, event.actor_id, event.from_state) == (ActorKind.PLATFORM, "warehouse 7", event.to_state)
    assert event.detail == {"outcome": "held", "person": "wang.fang"}
    assert await kinds(market) == ["stop_ship", "stop_ship.acknowledged"]
    assert snapshot.shipments[0].degree is ShipmentStatus.LABEL_PRINTED


@on_both_stores
async def test_goods_that_are_gone_are_a_fact_and_an_incident(market: Market) -> None:
    ref, ticket = await refunded(market)
    for _ in range(2):
        assert isinstance(await said(market, ticket, GONE), Executed)
    snapshot = await snapshot_of(market, ref)
    (parcel,) = snapshot.shipments
    assert (parcel.degree, parcel.source, parcel.commanded) == (
        ShipmentStatus.SHIPPED,
        ShipmentSource.MERCHANT,
        False,
    )
    line = snapshot.line("l1")
    assert (line.claimed_quantity, line.shipped_quantity, line.scanned_quantity) == (2, 0, 2)
    (incident,) = await market.queries.incidents(IncidentFilter(shop_id="shop-1", limit=9))
    assert (incident.ticket_id, incident.amount_minor) == (ticket.ticket_id, ticket.amount_minor)
    assert [item["tracking_no"] for item in incident.evidence] == ["SF1"]
    assert [one.why for one in snapshot.timeline_of(ticket.ticket_id)].count("stop_ship_already_gone") == 1
    feed = [event.kind for event in await market.feed.events(0, 50)]
    assert feed[-3:] == ["shipment.recorded", "incident.opened", "stop_ship.acknowledged"]


@on_both_stores
async def test_held_and_then_found_gone_and_never_the_other_way(market: Market) -> None:
    _, ticket = await refunded(market, label=False)
    assert isinstance(await said(market, ticket, HELD), Executed)
    assert isinstance(await said(market, ticket, GONE), Executed)
    assert isinstance(await said(market, ticket, HELD), Executed), "it was said before, so it is known"
    refused = await said(market, ticket, StopShipAnswer(StopShipOutcome.HELD, "", person="li.na"))
    assert isinstance(refused, Executed) and refused.changes == ()


@on_both_stores
async def test_what_was_said_to_be_gone_is_not_held(market: Market) -> None:
    _, ticket = await refunded(market)
    await said(market, ticket, GONE)
    refused = await said(market, ticket, HELD)
    assert isinstance(refused, Refusal) and refused.code is RefusalCode.STOP_SHIP_ANSWERED


@on_both_stores
async def test_a_second_parcel_that_was_gone_is_evidence_too(market: Market) -> None:
    ref, ticket = await refunded(market)
    await said(market, ticket, GONE)
    second = StopShipAnswer(StopShipOutcome.ALREADY_GONE, "SF2", "sf")
    assert isinstance(await said(market, ticket, second), Executed)
    (incident,) = await market.queries.incidents(IncidentFilter(shop_id="shop-1", limit=9))
    assert [item["tracking_no"] for item in incident.evidence] == ["SF1", "SF2"]
    assert len((await snapshot_of(market, ref)).shipments) == 2


@on_both_stores
async def test_a_scan_before_the_answer_is_the_same_parcel(market: Market) -> None:
    ref, ticket = await refunded(market)
    await market.ship(ref, source=ShipmentSource.CARRIER, tracking_no="sf1")
    assert isinstance(await said(market, ticket, GONE), Executed)
    snapshot = await snapshot_of(market, ref)
    assert snapshot.line("l1").scanned_quantity == 2 and len(snapshot.shipments) == 1
    (incident,) = await market.queries.incidents(IncidentFilter(shop_id="shop-1", limit=9))
    assert len(incident.evidence) == 1


@on_both_stores
async def test_evidence_with_another_buyers_number_is_refused_whole(market: Market) -> None:
    await market.ship(await market.paid_order("b-2", "o-2"), tracking_no="SF9")
    ref, ticket = await refunded(market)
    before = await snapshot_of(market, ref)
    refused = await said(market, ticket, StopShipAnswer(StopShipOutcome.ALREADY_GONE, "SF9"))
    assert isinstance(refused, Refusal) and refused.code is RefusalCode.WAYBILL_OF_ANOTHER_BUYER
    assert await snapshot_of(market, ref) == before
    assert await market.queries.incidents(IncidentFilter(shop_id="shop-1", limit=9)) == []


@on_both_stores
async def test_a_ticket_that_was_not_approved_stops_nothing(market: Market) -> None:
    await market.paid_order("b-1", "o-1")
    ticket = await market.asked("b-1", "o-1")
    refused = await said(market, ticket, HELD)
    assert isinstance(refused, Refusal) and refused.code is RefusalCode.NO_STOP_SHIP


@on_both_stores
async def test_another_shop_sees_no_such_ticket(market: Market) -> None:
    _, ticket = await refunded(market)
    refused = await said(market, ticket, HELD, shop_id="shop-2")
    assert isinstance(refused, Refusal) and refused.code is RefusalCode.NOT_FOUND
    assert isinstance(await said(market, ticket, HELD, shop_id="shop-1"), Executed)
