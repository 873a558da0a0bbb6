"""What is a shipping risk, since when, for how much; and that a shop is reminded of each stage once."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from jitui.adapters.postgres.shipping_risks import PostgresShippingRisks
from jitui.aftersales.changes import RecordBuyerEvent
from jitui.aftersales.commands.intake import put_order
from jitui.aftersales.commands.on_ticket import Acting
from jitui.aftersales.commands.review import approve
from jitui.aftersales.commands.ship import complete_order
from jitui.aftersales.commands.shipping_reminder import plan_reminder, remind_of_risks
from jitui.aftersales.commands.stop_ship import StopShipAnswer, StopShipOutcome, acknowledge_stop_ship
from jitui.aftersales.model.order import Hold, ShipmentSource, ShipmentStatus
from jitui.aftersales.model.ticket import Actor, ActorKind
from jitui.aftersales.ports import NewOrder, OrderRef, TicketRef
from jitui.aftersales.shipping_risks import LOOK_BACK, RiskFilter, RiskKind, RiskTimes, ShippingRisk
from tests.aftersales.market import NOW, Market, ticket_of

HOUR = timedelta(hours=1)
TIMES = RiskTimes(24 * HOUR, 12 * HOUR, timedelta(minutes=30))
LABEL, PICKED_UP = ShipmentStatus.LABEL_PRINTED, ShipmentStatus.PICKED_UP
CARRIER = ShipmentSource.CARRIER
MERCHANT = Actor(ActorKind.MERCHANT, "somebody")


def risks_of(market: Market) -> PostgresShippingRisks:
    return PostgresShippingRisks(market.pool, TIMES)


async def risks(
    market: Market, *kinds: RiskKind, now: datetime = NOW, shop_id: str | None = None
) -> Sequence[ShippingRisk]:
    await market.feed.roll_up(now)
    return await risks_of(market).risks(RiskFilter(shop_id, kinds or tuple(RiskKind)), now)


async def found(market: Market, *kinds: RiskKind, now: datetime = NOW) -> list[tuple[str, int]]:
    return [(row.order_id, row.amount_minor) for row in await risks(market, *kinds, now=now)]


async def to_ship_by(market: Market, ref: OrderRef, ship_by: datetime, hold: Hold = Hold.NONE) -> None:
    snapshot = await market.store.read_order(ref)
    assert snapshot is not None
    order = snapshot.order
    lines = tuple(replace(line, claimed_quantity=0, claimed_minor=0) for line in snapshot.lines)
    new = NewOrder(
        order.order_id,
        order.buyer_id,
        order.shop_id,
        "CNY",
        order.placed_at,
        lines,
        (),
        order.freight_minor,
        hold,
        ship_by,
    )
    await put_order(market.store, new, now=NOW)


async def test_a_label_is_a_risk_from_its_hour_on_until_the_parcel_is_handed_over(market: Market) -> None:
    ref = await market.paid_order("b-1", "o-1", amounts=(1000, 2000), quantities=(3, 1))
    await market.ship(ref, status=LABEL, lines=[("l1", 2)], tracking_no="SF1")
    assert await found(market, now=NOW + 24 * HOUR - timedelta(seconds=1)) == []
    (risk,) = await risks(market, now=NOW + 24 * HOUR)
    assert (risk.risk, risk.since, risk.amount_minor, risk.currency) == (
        RiskKind.LABEL_NOT_HANDED_OVER,
        NOW,
        666,
        "CNY",
    )
    assert (risk.tracking_no, risk.carrier, risk.shop_id) == ("SF1", "sf", "shop-1")
    assert await found(market, now=NOW + LOOK_BACK + timedelta(seconds=1)) == []
    await market.ship(ref, status=PICKED_UP, source=CARRIER, tracking_no="SF1")
    assert await found(market, now=NOW + 24 * HOUR) == []


async def test_a_label_of_goods_that_are_asked_for_or_refunded_waits_for_nobody(market: Market) -> None:
    ref = await market.paid_order("b-1", "o-1")
    await market.ship(ref, status=LABEL)
    await market.asked("b-1", "o-1")
    assert await found(market, RiskKind.LABEL_NOT_HANDED_OVER, now=NOW + 25 * HOUR) == []


async def test_a_completed_order_is_at_no_risk_however_that_was_told(market: Market) -> None:
    ref, other = await market.paid_order("b-1", "o-1"), await market.paid_order("b-2", "o-2")
    for one in (ref, other):
        await market.ship(one, status=LABEL)
    await complete_order(market.store, ref, now=NOW, completed_at=NOW)
    event = RecordBuyerEvent("b-2", "done", "order_completed", NOW, NOW, order_id="o-2")
    await market.registry.record_buyer_events([event])
    assert await found(market, now=NOW + 25 * HOUR) == []
    taken_back = RecordBuyerEvent("b-2", "not", "order_completed", NOW, NOW, order_id="o-2", retracts="done")
    await market.registry.record_buyer_events([taken_back])
    assert await found(market, now=NOW + 25 * HOUR) == [("o-2", 12900)]


async def test_ship_by_is_near_and_then_passed_until_everything_has_left(market: Market) -> None:
    ref = await market.paid_order("b-1", "o-1", amounts=(1000, 2000))
    ship_by = NOW + 20 * HOUR
    await to_ship_by(market, ref, ship_by)
    near, passed = RiskKind.SHIP_BY_NEAR, RiskKind.SHIP_BY_PASSED
    for now, kind in ((NOW + 8 * HOUR, near), (ship_by - timedelta(seconds=1), near), (ship_by, passed)):
        assert [(row.risk, row.since, row.amount_minor) for row in await risks(market, now=now)] == [
            (kind, ship_by, 3000)
        ]
    assert await found(market, now=NOW + 8 * HOUR - timedelta(seconds=1)) == []
    await market.ship(ref, lines=[("l1", 1)], tracking_no="A")
    assert await found(market, now=ship_by) == [("o-1", 2000)]
    await market.ship(ref, lines=[("l2", 1)], tracking_no="B")
    assert await found(market, now=ship_by) == []
    async with market.pool.connection() as connection:
        row = await (await connection.execute("SELECT all_left FROM orders")).fetchone()
    assert row == (True,)


async def test_what_is_held_unpaid_or_asked_for_is_not_late(market: Market) -> None:
    for name, tenders in (("held", None), ("unpaid", ()), ("asked", None)):
        ref = await market.paid_order(f"b-{name}", f"o-{name}", tenders=tenders)
        await to_ship_by(market, ref, NOW, Hold.PRESALE if name == "held" else Hold.NONE)
    await market.asked("b-asked", "o-asked")
    assert await found(market, RiskKind.SHIP_BY_PASSED) == []


async def test_a_scan_is_a_risk_until_the_merchant_enters_its_number(market: Market) -> None:
    ref = await market.paid_order("b-1", "o-1")
    await market.ship(ref, status=PICKED_UP, source=CARRIER, tracking_no="YT 9")
    (risk,) = await risks(market)
    assert (risk.risk, risk.tracking_no, risk.amount_minor) == (RiskKind.SCAN_WITHOUT_TRACKING, "YT 9", 12900)
    await market.ship(ref, status=LABEL, tracking_no="yt 9")  # less than is known: the number is entered all the same
    assert await found(market) == []


async def test_a_label_that_the_merchant_printed_is_entered_whoever_tells_more(market: Market) -> None:
    ref = await market.paid_order("b-1", "o-1")
    await market.ship(ref, status=LABEL)
    await market.ship(ref, status=PICKED_UP, source=CARRIER)
    assert await found(market) == []


async def test_an_open_ticket_says_do_not_ship_until_it_is_decided(market: Market) -> None:
    await market.paid_order("b-1", "o-1")
    ticket = await market.asked("b-1", "o-1")
    (risk,) = await risks(market)
    assert (risk.risk, risk.ticket_id, risk.amount_minor) == (RiskKind.OPEN_TICKET, ticket.ticket_id, 12900)
    assert len(await risks(market, now=NOW + 2 * LOOK_BACK)) == 1, "however long it is open"
    ref = TicketRef(ticket.lane, ticket.ticket_id)
    await approve(market.store, ref, Acting(MERCHANT, NOW))
    assert await risks_of(market).risks(RiskFilter(), NOW) == [], "also before the next roll-up"
    assert await found(market, now=NOW + HOUR) == [], "nothing was printed, so nothing has to be stopped"


async def test_a_stop_ship_waits_for_the_warehouses_answer(market: Market) -> None:
    ref = await market.paid_order(await market.premium_buyer("b-1"), "o-1")
    await market.ship(ref, status=LABEL)
    ticket = await market.asked("b-1", "o-1")
    late = NOW + timedelta(minutes=30)
    assert await found(market, now=late - timedelta(seconds=1)) == []
    assert await found(market, RiskKind.STOP_SHIP_UNANSWERED, now=late) == [("o-1", 12900)]
    held = StopShipAnswer(StopShipOutcome.HELD)
    await acknowledge_stop_ship(
        market.store, market.settings, TicketRef(ticket.lane, ticket.ticket_id), held, by=MERCHANT, now=NOW
    )
    assert await risks_of(market).risks(RiskFilter(), late) == [], "also before the next roll-up"
    assert await found(market, now=late) == []
    async with market.pool.connection() as connection:
        assert await (await connection.execute("SELECT * FROM shipping_watch")).fetchall() == []


async def test_an_incident_makes_the_answer_needless(market: Market) -> None:
    ref = await market.paid_order(await market.premium_buyer("b-1"), "o-1")
    await market.ship(ref, status=LABEL)
    await market.asked("b-1", "o-1")
    assert await found(market, now=NOW + HOUR) == [("o-1", 12900)]
    await market.ship(ref, source=CARRIER)
    assert await found(market, now=NOW + HOUR) == []


async def several(market: Market) -> None:
    """Risks of every kind, some at one moment, of two shops."""
    for number in range(4):
        shop = f"shop-{number % 2}"
        ref = await market.paid_order(f"b-{number}", f"o-{number}", amounts=(100, 200, 300), shop_id=shop)
        await to_ship_by(market, ref, NOW - HOUR * (number // 2))
        await market.ship(ref, status=LABEL, lines=[("l1", 1)], tracking_no=f"L{number}", now=NOW - 25 * HOUR)
        await market.ship(ref, status=PICKED_UP, source=CARRIER, lines=[("l2", 1)], tracking_no=f"C{number}")
        await market.asked(f"b-{number}", f"o-{number}", lines=[("l3", 1)])


async def test_pages_have_every_risk_once_in_one_order(market: Market) -> None:
    await several(market)
    whole = await risks(market)
    assert {row.risk for row in whole} == set(RiskKind) - {RiskKind.SHIP_BY_NEAR, RiskKind.STOP_SHIP_UNANSWERED}
    assert len(whole) == 16 and [row.since for row in whole] == sorted(row.since for row in whole)
    for size in (1, 3, 5):
        after, pages = None, list[ShippingRisk]()
        while page := await risks_of(market).risks(RiskFilter(after=after, limit=size), NOW):
            pages += page
            after = page[-1].since, page[-1].risk, page[-1].subject
        assert pages == list(whole)


async def test_a_shop_sees_its_own(market: Market) -> None:
    await several(market)
    rows = await risks(market, shop_id="shop-1")
    assert {row.shop_id for row in rows} == {"shop-1"} and len(rows) == 8


# Reminders -------------------------------------------------------------------------------------------------------


async def reminders(market: Market) -> list[tuple[object, object, str]]:
    events = await market.feed.events(0, 500)
    return [
        (event.body["risk"], event.body["stage"], event.order_id)
        for event in events
        if event.kind == "shipping.at_risk"
    ]


async def remind(market: Market, now: datetime) -> int:
    await market.feed.roll_up(now)
    return await remind_of_risks(market.store, risks_of(market), now=now)


async def test_each_stage_of_a_label_is_told_once(market: Market) -> None:
    await market.ship(await market.paid_order("b-1", "o-1"), status=LABEL)
    told = [await remind(market, NOW + hours * HOUR) for hours in (23, 24, 25, 48, 49, 480)]
    assert told == [0, 1, 0, 1, 0, 0]
    assert await reminders(market) == [("label_not_handed_over", stage, "o-1") for stage in (1, 2)]
    (event, _) = [one for one in await market.feed.events(0, 50) if one.kind == "shipping.at_risk"]
    assert event.shop_id == "shop-1" and event.body["amount_minor"] == 12900 and event.body["what_to_do"]


async def test_a_stage_that_was_slept_through_is_not_told_after_the_next(market: Market) -> None:
    await market.ship(await market.paid_order("b-1", "o-1"), status=LABEL)
    assert [await remind(market, NOW + hours * HOUR) for hours in (60, 61)] == [1, 0]
    assert await reminders(market) == [("label_not_handed_over", 2, "o-1")]


async def test_ship_by_scans_and_stop_ships_are_told_and_tickets_are_not(market: Market) -> None:
    late = await market.paid_order("b-1", "o-1")
    await to_ship_by(market, late, NOW)
    scanned = await market.paid_order("b-2", "o-2")
    await market.ship(scanned, status=PICKED_UP, source=CARRIER)
    await market.ship(await market.paid_order(await market.premium_buyer("b-3"), "o-3"), status=LABEL)
    await market.asked("b-3", "o-3")
    await market.paid_order("b-4", "o-4")
    ticket_of(await market.ask("b-4", "o-4"))
    assert [await remind(market, NOW + span) for span in (timedelta(), HOUR, 2 * HOUR, 24 * HOUR)] == [1, 1, 1, 2]
    assert await reminders(market) == [
        ("ship_by_passed", 1, "o-1"),
        ("stop_ship_unanswered", 1, "o-3"),
        ("stop_ship_unanswered", 2, "o-3"),
        ("scan_without_tracking", 1, "o-2"),
        ("ship_by_passed", 2, "o-1"),
    ]


async def test_two_workers_at_once_tell_each_once(market: Market) -> None:
    for number in range(10):
        await market.ship(await market.paid_order(f"b-{number}", f"o-{number}"), status=LABEL)
    now = NOW + 24 * HOUR
    assert sum(await asyncio.gather(*(remind(market, now) for _ in range(4)))) == 10
    told = await reminders(market)
    assert len(told) == len(set(told)) == 10


async def test_an_end_of_each_kind_before_the_lock_is_seen(market: Market) -> None:
    refs = {name: await market.paid_order(await market.premium_buyer(f"b-{name}"), f"o-{name}") for name in "abc"}
    await to_ship_by(market, refs["a"], NOW)
    await market.ship(refs["b"], status=PICKED_UP, source=CARRIER, tracking_no="B")
    await market.ship(refs["c"], status=LABEL, tracking_no="C")
    ticket = await market.asked("b-c", "o-c")
    await market.feed.roll_up(NOW)
    due = {one.risk.order_id: one for one in await risks_of(market).due_reminders(NOW + 24 * HOUR, 10)}
    assert set(due) == {"o-a", "o-b", "o-c"}

    async def told() -> list[bool]:
        found = [await market.store.read_order(ref) for ref in refs.values()]
        return [bool(plan_reminder(one, due[one.order.order_id], NOW).changes) for one in found if one is not None]

    assert await told() == [True, True, True]
    await market.ship(refs["a"], tracking_no="A")
    await market.ship(refs["b"], status=LABEL, tracking_no="B")
    held = StopShipAnswer(StopShipOutcome.HELD)
    await acknowledge_stop_ship(
        market.store, market.settings, TicketRef(ticket.lane, ticket.ticket_id), held, by=MERCHANT, now=NOW
    )
    assert await told() == [False, False, False]


async def test_what_ended_before_the_lock_is_not_told(market: Market) -> None:
    ref = await market.paid_order("b-1", "o-1")
    await market.ship(ref, status=LABEL)
    (due,) = await risks_of(market).due_reminders(NOW + 24 * HOUR, 10)
    before = await market.store.read_order(ref)
    await market.ship(ref, status=PICKED_UP, source=CARRIER)
    after = await market.store.read_order(ref)
    assert before is not None and after is not None
    assert plan_reminder(before, due, NOW).changes and not plan_reminder(after, due, NOW).changes
