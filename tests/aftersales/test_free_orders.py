"""Orders that cost nothing: paid when placed, shipped, completed, refunded like others, counted in no feature."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from jitui.adapters.postgres.tasks import PostgresTasks
from jitui.aftersales.changes import RecordBuyerEvent
from jitui.aftersales.commands.execute import Executed
from jitui.aftersales.commands.intake import capture_payment, put_order
from jitui.aftersales.commands.ship import complete_order
from jitui.aftersales.model.order import Funder, Funding, LineUnits, OrderLine, Tender
from jitui.aftersales.model.task import TaskFilter, TaskKind
from jitui.aftersales.model.ticket import ApprovedBy, TicketState
from jitui.aftersales.outcomes import Refusal, RefusalCode
from jitui.aftersales.ports import NewOrder, OrderRef, OrderTaken
from jitui.ids import lane_of
from tests.aftersales.market import NOW, Market, on_both_stores
from tests.aftersales.test_intake import balances_of
from tests.known_bugs.steps import snapshot_of

COUPON = (Funding(Funder.PLATFORM_SUBSIDY, 999),)


async def free_order(market: Market, buyer_id: str, order_id: str = "o-1", quantity: int = 3) -> OrderRef:
    line = OrderLine("l1", "sku", "item", quantity, 0, "apparel", customised=False, virtual=False)
    taken = await put_order(
        market.store, NewOrder(order_id, buyer_id, "shop-1", "CNY", NOW - timedelta(hours=1), (line,), COUPON), now=NOW
    )
    assert isinstance(taken, OrderTaken)
    return taken.ref


async def counted(market: Market) -> list[object]:
    """Everything of the day on which the order lived that features count, of buyer and shop."""
    await market.feed.roll_up(NOW)
    async with market.pool.connection() as connection:
        rows = await connection.execute(
            "SELECT kind FROM buyer_day WHERE day = %(day)s UNION ALL SELECT kind FROM shop_day", {"day": NOW.date()}
        )
        return list(await rows.fetchall())


@on_both_stores
async def test_it_is_paid_when_it_is_placed_and_its_funders_are_booked(market: Market) -> None:
    ref = await free_order(market, "b-1")
    order = (await snapshot_of(market, ref)).order
    assert (order.free_of_charge, order.paid_at) == (True, order.placed_at)
    assert await balances_of(market, "o-1") == {"subsidy:platform_subsidy": 999, "escrow": -999}


@on_both_stores
async def test_its_refund_returns_the_funders_stops_the_parcel_and_closes_at_once(market: Market) -> None:
    buyer = await market.premium_buyer("b-1")
    ref = await free_order(market, buyer)
    ticket = await market.asked(buyer, "o-1")
    assert (ticket.state, ticket.approved_by, ticket.amount_minor) == (
        TicketState.REFUNDED,
        ApprovedBy.INSTANT_REFUND,
        0,
    )
    assert ticket.notice and ticket.closed_at == NOW
    snapshot = await snapshot_of(market, ref)
    assert snapshot.refunds == ()
    assert [event.to_state for event in snapshot.timeline][-2:] == [TicketState.REFUNDING, TicketState.REFUNDED]
    assert set((await balances_of(market, "o-1")).values()) == {0}
    kinds = [event.kind for event in await market.feed.events(0, 100)]
    assert kinds == ["order.paid", "ticket.requested", "ticket.approved", "stop_ship", "ticket.refunded"]
    shipped = await market.ship(ref)
    assert isinstance(shipped, Refusal) and shipped.code is RefusalCode.UNITS_REFUNDED


@on_both_stores
async def test_units_of_it_go_back_one_by_one_and_the_funder_gets_the_whole(market: Market) -> None:
    buyer = await market.premium_buyer("b-1")
    await free_order(market, buyer)
    for minutes in range(3):
        now = NOW + timedelta(minutes=2 * minutes)
        await market.feed.roll_up(now)
        assert isinstance(await market.ask(buyer, "o-1", lines=[("l1", 1)], now=now), Executed)
    assert set((await balances_of(market, "o-1")).values()) == {0}


@on_both_stores
async def test_it_ships_and_completes(market: Market) -> None:
    ref = await free_order(market, "b-1")
    assert isinstance(await market.ship(ref), Executed)
    assert isinstance(await complete_order(market.store, ref, now=NOW, completed_at=NOW), Executed)


async def test_completed_by_an_event_it_has_gone_as_any_other(market: Market) -> None:
    buyer = await market.premium_buyer("b-1")
    ref = await free_order(market, buyer)
    other = await free_order(market, buyer, "o-2")
    told = RecordBuyerEvent(buyer, "theirs", "order_completed", NOW, NOW, order_id="o-1")
    retraction = RecordBuyerEvent(buyer, "back", "order_completed", NOW, NOW, order_id="o-2", retracts="other")
    neighbour = next(name for name in (f"n-{number}" for number in range(5000)) if lane_of(name) == lane_of(buyer))
    foreign = RecordBuyerEvent(neighbour, "foreign", "order_completed", NOW, NOW, order_id="o-2")
    paid = RecordBuyerEvent(buyer, "paid", "order_paid", NOW, NOW, order_id="o-2")
    for event in (told, retraction, foreign, paid):
        await market.registry.record_buyer_events([event])
    refused = await market.ask(buyer, "o-1")
    assert isinstance(refused, Refusal) and refused.code is RefusalCode.ORDER_ALREADY_SHIPPED
    assert [(await snapshot_of(market, one)).order.completed_at for one in (ref, other)] == [NOW, None]


async def test_it_counts_in_no_feature_of_buyer_or_shop(market: Market) -> None:
    buyer = await market.premium_buyer("b-1")
    shipped = await free_order(market, buyer, "o-shipped")
    assert isinstance(await market.ship(shipped), Executed)
    assert isinstance(await complete_order(market.store, shipped, now=NOW, completed_at=NOW), Executed)
    await free_order(market, buyer)
    assert isinstance(await market.ask(buyer, "o-1"), Executed)
    told = [
        RecordBuyerEvent(buyer, f"theirs-{kind}", kind, NOW, NOW, order_id="o-shipped")
        for kind in ("order_paid", "order_completed")
    ]
    await market.registry.record_buyer_events(told)
    assert await counted(market) == []
    elsewhere = RecordBuyerEvent(buyer, "elsewhere", "dispute_lost", NOW, NOW)
    await market.registry.record_buyer_events([elsewhere])
    assert await counted(market) == [("dispute_lost",)], "what is not about the free order counts"


@on_both_stores
async def test_a_line_that_costs_nothing_beside_others_brings_nothing_alone(market: Market) -> None:
    buyer = await market.premium_buyer("b-1")
    await market.paid_order(buyer, "o-1", amounts=(0, 500))
    alone = await market.ask(buyer, "o-1", lines=[("l1", 1)])
    assert isinstance(alone, Refusal) and alone.code is RefusalCode.NOTHING_TO_REFUND
    assert (await market.asked(buyer, "o-1")).amount_minor == 500


@on_both_stores
async def test_an_order_that_is_replaced_by_a_free_one_is_paid_then_and_by_a_priced_one_no_more(market: Market) -> None:
    ref = await market.paid_order("b-1", "o-1", amounts=(500,), tenders=())
    assert (await snapshot_of(market, ref)).order.paid_at is None
    line = OrderLine("l1", "sku-1", "item-1", 1, 0, "apparel", customised=False, virtual=False)
    free = NewOrder("o-1", "b-1", "shop-1", "CNY", NOW - timedelta(hours=1), (line,), COUPON)
    assert isinstance(await put_order(market.store, free, now=NOW), OrderTaken)
    assert (await snapshot_of(market, ref)).order.free_of_charge
    assert (await balances_of(market, "o-1"))["escrow"] == -999
    priced = NewOrder("o-1", "b-1", "shop-1", "CNY", NOW - timedelta(hours=1), (replace_paid(line, 700),), COUPON)
    assert isinstance(await put_order(market.store, priced, now=NOW), OrderTaken)
    order = (await snapshot_of(market, ref)).order
    assert (order.free_of_charge, order.paid_at) == (False, None)
    assert (await balances_of(market, "o-1"))["escrow"] == -999, "booked already, and booked once"
    unpaid = await market.ask("b-1", "o-1")
    assert isinstance(unpaid, Refusal) and unpaid.code is RefusalCode.ORDER_NOT_PAID


@on_both_stores
async def test_an_order_is_paid_once_when_it_comes_to_cost_nothing_and_not_by_any_other_change(market: Market) -> None:
    line = OrderLine("l1", "sku-1", "item-1", 1, 0, "apparel", customised=False, virtual=False)
    paid = []
    for amount, title in ((500, ""), (700, ""), (0, ""), (0, "another title")):
        priced = replace(replace_paid(line, amount), title=title)
        new = NewOrder("o-1", "b-1", "shop-1", "CNY", NOW - timedelta(hours=1), (priced,))
        assert isinstance(await put_order(market.store, new, now=NOW), OrderTaken)
        paid.append([change.kind for change in await market.feed.events(0, 100)].count("order.paid"))
    assert paid == [0, 0, 1, 1]


def replace_paid(line: OrderLine, paid_minor: int) -> OrderLine:
    return OrderLine(
        line.line_id,
        line.sku,
        line.item_id,
        line.quantity,
        paid_minor,
        line.category_id,
        customised=False,
        virtual=False,
    )


@on_both_stores
async def test_a_request_for_some_units_leaves_the_others(market: Market) -> None:
    buyer = await market.premium_buyer("b-1")
    ref = await free_order(market, buyer)
    assert isinstance(await market.ask(buyer, "o-1", lines=[("l1", 2)]), Executed)
    snapshot = await snapshot_of(market, ref)
    assert snapshot.lines[0].free_quantity == 1
    assert [LineUnits(row.line_id, row.quantity) for row in snapshot.ticket_lines] == [LineUnits("l1", 2)]


async def tasks_of(market: Market) -> list[tuple[TaskKind, int | None]]:
    return [(task.kind, task.amount_minor) for task in await PostgresTasks(market.pool).list(TaskFilter())]


async def test_money_for_an_order_that_costs_nothing_is_a_task_before_and_after_its_refund(market: Market) -> None:
    buyer = await market.premium_buyer("b-1")
    for order_id, asks_first in (("o-1", True), ("o-2", False)):
        ref = await free_order(market, buyer, order_id)
        if asks_first:
            await market.asked(buyer, order_id)
        tender = Tender("t", "simulator", f"pay-{order_id}", "CNY", 500, NOW)
        for _ in range(2):
            assert isinstance(
                await capture_payment(market.store, ref, tender, market.decision_settings, now=NOW), Executed
            )
    assert await tasks_of(market) == [(TaskKind.CAPTURED_AFTER_REFUND, 500)] * 2


async def test_money_above_an_order_that_was_refunded_whole_is_a_task_and_before_it_is_none(market: Market) -> None:
    buyer = await market.premium_buyer("b-1")
    ref = await market.paid_order(buyer, "o-1", amounts=(1000,), tenders=(1200,))
    assert await tasks_of(market) == [], "a shop may charge for what is no line"
    await market.asked(buyer, "o-1")
    more = Tender("t2", "simulator", "another", "CNY", 300, NOW)
    assert isinstance(await capture_payment(market.store, ref, more, market.decision_settings, now=NOW), Executed)
    assert await tasks_of(market) == [(TaskKind.CAPTURED_AFTER_REFUND, 300)]


@pytest.mark.parametrize(("amount", "taken"), [(1000, True), (999, False), (0, False), (2000, True)])
async def test_a_paid_order_is_not_replaced_by_one_that_leaves_money_without_goods(
    market: Market, amount: int, taken: bool
) -> None:
    await market.paid_order("b-1", "o-1", amounts=(1500,), tenders=(1000,))
    line = OrderLine("l1", "sku-1", "item-1", 1, amount, "apparel", customised=False, virtual=False)
    new = NewOrder("o-1", "b-1", "shop-1", "CNY", NOW - timedelta(hours=1), (line,))
    done = await put_order(market.store, new, now=NOW)
    assert isinstance(done, OrderTaken) is taken
    if isinstance(done, Refusal):
        assert (done.code, done.path) == (RefusalCode.ORDER_NOT_REPLACEABLE, "lines[0].paid")
