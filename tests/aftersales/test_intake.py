"""Orders and payments coming in: created, replaced until paid, accepted again, refused — once each, whoever races."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import timedelta

from jitui.aftersales.command import Plan
from jitui.aftersales.intake import capture_payment, put_order
from jitui.aftersales.order import Hold, OrderLine, Tender
from jitui.aftersales.outcomes import Refusal, RefusalCode
from jitui.aftersales.ports import NewOrder, OrderTaken
from jitui.aftersales.registry import Category
from tests.aftersales.market import NOW, Market

LINE = OrderLine("l1", "sku", "item", 2, 10000, "mugs", "杯子")
ORDER = NewOrder("o-1", "b-1", "shop-1", "CNY", NOW, (LINE,), freight_minor=500)
TENDER = Tender("t1", "simulator", "pay-1", "CNY", 10500, NOW)


async def test_an_order_is_replaced_until_it_is_paid(market: Market) -> None:
    first = await put_order(market.store, ORDER, now=NOW)
    assert isinstance(first, OrderTaken) and first.created
    cheaper = replace(ORDER, lines=(replace(LINE, paid_minor=9000),))
    again = await put_order(market.store, cheaper, now=NOW)
    assert isinstance(again, OrderTaken) and not again.created
    assert isinstance(await capture_payment(market.store, first.ref, TENDER, now=NOW), Plan)
    late = await put_order(market.store, ORDER, now=NOW)
    assert isinstance(late, Refusal) and late.code is RefusalCode.ORDER_ALREADY_PAID
    same = await put_order(market.store, replace(cheaper, hold=Hold.PRESALE), now=NOW)
    assert isinstance(same, OrderTaken) and not same.created
    file = await market.store.read_file(first.ref)
    assert file is not None
    assert (file.lines[0].paid_minor, file.order.hold) == (9000, Hold.PRESALE)


async def test_two_buyers_racing_for_one_order_id_get_one_order(market: Market) -> None:
    for number in range(20):
        news = [replace(ORDER, order_id=f"o-{number}", buyer_id=buyer) for buyer in ("b-1", "b-2", "b-1", "b-2")]
        done = await asyncio.gather(*(put_order(market.store, new, now=NOW) for new in news))
        taken = {outcome.ref for outcome in done if isinstance(outcome, OrderTaken)}
        refused = {outcome.code for outcome in done if isinstance(outcome, Refusal)}
        assert len(taken) == 1
        assert refused == {RefusalCode.ORDER_BELONGS_TO_ANOTHER}


async def test_customised_comes_from_the_line_else_the_category_else_stays_unknown(market: Market) -> None:
    await market.registry.put_category(Category("mugs", customised=True, virtual=False), NOW)
    lines = (
        LINE,
        replace(LINE, line_id="l2", customised=False),
        replace(LINE, line_id="l3", category_id=None),
    )
    taken = await put_order(market.store, replace(ORDER, lines=lines), now=NOW)
    assert isinstance(taken, OrderTaken)
    file = await market.store.read_file(taken.ref)
    assert file is not None
    assert [(line.customised, line.virtual) for line in file.lines] == [(True, False), (False, False), (None, None)]


async def test_a_repeated_payment_is_one_payment_and_another_amount_is_refused(market: Market) -> None:
    taken = await put_order(market.store, ORDER, now=NOW)
    assert isinstance(taken, OrderTaken)
    results = await asyncio.gather(*(capture_payment(market.store, taken.ref, TENDER, now=NOW) for _ in range(5)))
    assert all(isinstance(result, Plan) for result in results)
    other = await capture_payment(market.store, taken.ref, replace(TENDER, captured_minor=1), now=NOW)
    assert isinstance(other, Refusal) and other.code is RefusalCode.DUPLICATE_PAYMENT_DIFFERS
    foreign = await capture_payment(market.store, taken.ref, replace(TENDER, tender_id="t2", currency="USD"), now=NOW)
    assert isinstance(foreign, Refusal) and foreign.code is RefusalCode.CURRENCY_MISMATCH
    file = await market.store.read_file(taken.ref)
    assert file is not None
    assert [tender.captured_minor for tender in file.tenders] == [10500]
    async with market.pool.connection() as connection:
        cursor = await connection.execute("SELECT kind, events FROM buyer_day WHERE buyer_id = 'b-1'")
        assert await cursor.fetchall() == [("order_paid", 1)], "five messages, one paid order in the history"


async def test_a_held_order_is_unshipped_and_not_shippable(market: Market) -> None:
    buyer = await market.premium_buyer("b-1")
    held = replace(ORDER, hold=Hold.PRESALE, placed_at=NOW - timedelta(hours=1))
    taken = await put_order(market.store, held, now=NOW)
    assert isinstance(taken, OrderTaken)
    await capture_payment(market.store, taken.ref, TENDER, now=NOW)
    refused = await market.ship(taken.ref)
    assert isinstance(refused, Refusal) and refused.code is RefusalCode.ORDER_HELD
    assert isinstance(await market.ask(buyer, "o-1"), Plan)
