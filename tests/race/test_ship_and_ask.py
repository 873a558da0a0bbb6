"""I3: no unit of goods is both refunded at once and shipped, however the two commands interleave."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable

import psycopg
import pytest

from jitui.aftersales.commands.execute import Executed
from jitui.aftersales.incident_list import IncidentFilter
from jitui.aftersales.model.order import ShipmentSource, ShipmentStatus
from jitui.aftersales.model.ticket import APPROVED_STATES
from jitui.aftersales.outcomes import Refusal, RefusalCode
from jitui.aftersales.ports import OrderRef
from tests.aftersales.market import Market, ticket_of


async def test_ship_waits_for_an_ask_that_holds_the_locks_and_then_meets_its_conflict(
    market: Market, database_url: str
) -> None:
    buyer = await market.premium_buyer("b-1")
    ref = await market.paid_order(buyer, "o-1")
    async with await psycopg.AsyncConnection.connect(database_url) as other:
        await other.execute("SELECT 1 FROM orders WHERE lane = %s AND order_id = %s FOR UPDATE", (ref.lane, "o-1"))
        shipping = asyncio.create_task(market.ship(ref))
        await asyncio.sleep(0.2)
        assert not shipping.done(), "the ship command went past another transaction's lock on the order"
        await other.rollback()
    assert isinstance(await shipping, Executed)
    refused = await market.ask(buyer, "o-1")
    assert isinstance(refused, Refusal) and refused.code is RefusalCode.ORDER_ALREADY_SHIPPED


async def test_an_ask_that_waited_behind_a_ship_sees_the_shipment(market: Market, database_url: str) -> None:
    """A locking statement that also reads would still see the order as it was before it waited."""
    buyer = await market.premium_buyer("b-1")
    ref = await market.paid_order(buyer, "o-1")
    async with await psycopg.AsyncConnection.connect(database_url) as other:
        await other.execute("SELECT 1 FROM buyer WHERE lane = %s AND buyer_id = %s FOR UPDATE", (ref.lane, buyer))
        asking = asyncio.create_task(market.ask(buyer, "o-1"))
        await asyncio.sleep(0.2)
        await other.execute(
            "UPDATE order_line SET shipped_quantity = quantity WHERE lane = %s AND order_id = %s", (ref.lane, "o-1")
        )
        await other.commit()
    refused = await asking
    assert isinstance(refused, Refusal) and refused.code is RefusalCode.ORDER_ALREADY_SHIPPED


async def test_a_hundred_orders_raced_by_ship_and_ask_end_one_way_each(market: Market) -> None:
    orders = [(await market.premium_buyer(f"b-{i}"), f"o-{i}") for i in range(100)]
    refs = [await market.paid_order(buyer, order, amounts=(5000, 6000), quantities=(2, 1)) for buyer, order in orders]

    async def race(index: int) -> tuple[object, object]:
        buyer, order = orders[index]
        delays = random.Random(index)
        ship = _after(delays.random() / 100, lambda: market.ship(refs[index]))
        ask = _after(delays.random() / 100, lambda: market.ask(buyer, order))
        return await asyncio.gather(ship, ask)

    results = await asyncio.gather(*(race(index) for index in range(100)))
    for shipped, asked in results:
        assert isinstance(shipped, Executed) != isinstance(asked, Executed), (shipped, asked)
    won = sum(isinstance(asked, Executed) for _, asked in results)
    assert 0 < won < 100, "the race was no race: one side always won"
    await _no_unit_twice(market, refs)


async def test_refunding_one_line_does_not_stop_another_from_shipping(market: Market) -> None:
    buyer = await market.premium_buyer("b-1")
    ref = await market.paid_order(buyer, "o-1", amounts=(5000, 6000))
    ticket = await market.asked(buyer, "o-1", lines=[("l1", 1)])
    assert ticket.state in APPROVED_STATES
    assert isinstance(await market.ship(ref, lines=[("l2", 1)]), Executed)
    refused = await market.ship(ref, lines=[("l1", 1)], tracking_no="SF2")
    assert isinstance(refused, Refusal) and refused.code is RefusalCode.UNITS_REFUNDED
    await _no_unit_twice(market, [ref])


async def test_of_three_units_two_refunded_one_ships(market: Market) -> None:
    buyer = await market.premium_buyer("b-1")
    ref = await market.paid_order(buyer, "o-1", amounts=(10000,), quantities=(3,))
    ticket = await market.asked(buyer, "o-1", lines=[("l1", 2)])
    assert ticket.amount_minor == 6666
    refused = await market.ship(ref, lines=[("l1", 2)])
    assert isinstance(refused, Refusal)
    assert isinstance(await market.ship(ref, lines=[("l1", 1)]), Executed)
    await _no_unit_twice(market, [ref])


async def test_the_database_itself_refuses_a_unit_both_refunded_and_shipped(market: Market) -> None:
    buyer = await market.premium_buyer("b-1")
    await market.paid_order(buyer, "o-1")
    await market.asked(buyer, "o-1")
    async with market.pool.connection() as connection:
        with pytest.raises(psycopg.errors.CheckViolation, match="unit_refunded_or_shipped"):
            await connection.execute("UPDATE order_line SET shipped_quantity = 1")


async def test_a_carriers_scan_after_the_approval_is_recorded_and_opens_an_incident(market: Market) -> None:
    buyer = await market.premium_buyer("b-1")
    ref = await market.paid_order(buyer, "o-1")
    assert isinstance(await market.ship(ref, status=ShipmentStatus.LABEL_PRINTED), Executed)
    ticket = await market.asked(buyer, "o-1")
    assert ticket.approved_by is not None, "a printed label alone is still unshipped"
    for status in (ShipmentStatus.PICKED_UP, ShipmentStatus.SHIPPED, ShipmentStatus.SHIPPED):
        assert isinstance(await market.ship(ref, status=status, source=ShipmentSource.CARRIER), Executed)
    (incident,) = await market.queries.incidents(IncidentFilter(shop_id="shop-1", limit=10))
    assert incident.ticket_id == ticket.ticket_id
    assert incident.amount_minor == ticket.amount_minor
    assert [item["degree"] for item in incident.evidence] == ["picked_up", "shipped"]
    snapshot = await market.store.read_order(ref)
    assert snapshot is not None
    assert [event.why for event in snapshot.timeline_of(ticket.ticket_id)][-2:] == ["carrier_scan", "carrier_scan"]


async def test_the_approval_itself_puts_a_stop_ship_for_its_lines_on_the_feed(market: Market) -> None:
    buyer = await market.premium_buyer("b-1")
    ref = await market.paid_order(buyer, "o-1", amounts=(5000, 6000))
    await market.ship(ref, status=ShipmentStatus.LABEL_PRINTED, lines=[("l1", 1)], tracking_no="SF9")
    ticket = ticket_of(await market.ask(buyer, "o-1", lines=[("l1", 1)]))
    changes = await market.feed.events(0, 100)
    (stop,) = [event for event in changes if event.kind == "stop_ship"]
    assert stop.ticket_id == ticket.ticket_id
    assert stop.body["lines"] == [{"sku": "sku-1", "item_id": "item-1", "line_id": "l1", "quantity": 1}]
    assert stop.body["labels_printed"] == [{"carrier": "sf", "tracking_no": "SF9"}]


async def test_the_same_waybill_again_changes_nothing(market: Market) -> None:
    buyer = await market.premium_buyer("b-1")
    ref = await market.paid_order(buyer, "o-1", amounts=(5000,), quantities=(2,))
    for _ in range(3):
        assert isinstance(await market.ship(ref, lines=[("l1", 1)]), Executed)
    snapshot = await market.store.read_order(ref)
    assert snapshot is not None
    assert [line.shipped_quantity for line in snapshot.lines] == [1]


async def _after(delay_seconds: float, act: Callable[[], Awaitable[object]]) -> object:
    await asyncio.sleep(delay_seconds)
    return await act()


async def _no_unit_twice(market: Market, refs: list[OrderRef]) -> None:
    for ref in refs:
        snapshot = await market.store.read_order(ref)
        assert snapshot is not None
        for line in snapshot.lines:
            granted = sum(
                row.quantity
                for row in snapshot.ticket_lines
                if row.line_id == line.line_id and snapshot.ticket(row.ticket_id).state in APPROVED_STATES
            )
            assert granted + line.shipped_quantity <= line.quantity
