"""Orders and payments are created, replaced until paid, repeated, or refused; concurrent requests count once."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from jitui.aftersales.commands.execute import Executed
from jitui.aftersales.commands.intake import capture_payment, put_order
from jitui.aftersales.commands.ship import complete_order
from jitui.aftersales.governance.registry import Category
from jitui.aftersales.ledger import balances
from jitui.aftersales.model.order import Funder, Funding, Hold, OrderLine, Tender
from jitui.aftersales.outcomes import Refusal, RefusalCode
from jitui.aftersales.ports import NewOrder, OrderTaken
from tests.aftersales.market import NOW, Market, on_both_stores

LINE = OrderLine("l1", "sku", "item", 2, 10000, "mugs", "杯子")
ORDER = NewOrder("o-1", "b-1", "shop-1", "CNY", NOW, (LINE,), freight_minor=500)
TENDER = Tender("t1", "simulator", "pay-1", "CNY", 10500, NOW)


@on_both_stores
async def test_an_order_is_replaced_until_something_stands_on_it(market: Market) -> None:
    first = await put_order(market.store, ORDER, now=NOW)
    assert isinstance(first, OrderTaken) and first.created
    cheaper = replace(ORDER, lines=(replace(LINE, paid_minor=9000),))
    again = await put_order(market.store, cheaper, now=NOW)
    assert isinstance(again, OrderTaken) and (again.created, again.changed) == (False, True)
    assert isinstance(
        await capture_payment(market.store, first.ref, TENDER, market.decision_settings, now=NOW), Executed
    )
    paid = await put_order(market.store, ORDER, now=NOW)
    assert isinstance(paid, OrderTaken) and paid.changed, "a payment alone does not fix the goods"
    assert isinstance(await market.ship(first.ref), Executed)
    late = await put_order(market.store, cheaper, now=NOW)
    assert isinstance(late, Refusal) and late.code is RefusalCode.ORDER_NOT_REPLACEABLE
    assert late.path == "lines[0].paid"
    same = await put_order(market.store, replace(ORDER, hold=Hold.PRESALE), now=NOW)
    assert isinstance(same, OrderTaken) and (same.created, same.changed) == (False, False)
    snapshot = await market.store.read_order(first.ref)
    assert snapshot is not None
    assert (snapshot.lines[0].paid_minor, snapshot.order.hold) == (10000, Hold.PRESALE)
    assert [tender.captured_minor for tender in snapshot.tenders] == [10500], "tenders never change by this call"


DIFFERENCES: list[tuple[str, dict[str, Any]]] = [
    ("shop_id", {"shop_id": "shop-2"}),
    ("placed_at", {"placed_at": NOW + timedelta(seconds=1)}),
    ("freight", {"freight_minor": 501}),
    ("lines", {"lines": (LINE, replace(LINE, line_id="l2"))}),
    ("lines[0].sku", {"lines": (replace(LINE, sku="other"),)}),
    ("lines[0].item_id", {"lines": (replace(LINE, item_id="other"),)}),
    ("lines[0].quantity", {"lines": (replace(LINE, quantity=3),)}),
    ("lines[0].category_id", {"lines": (replace(LINE, category_id="cups"),)}),
    ("lines[0].title", {"lines": (replace(LINE, title="other"),)}),
    ("lines[0].customised", {"lines": (replace(LINE, customised=True),)}),
    ("lines[0].virtual", {"lines": (replace(LINE, virtual=False),)}),
    ("funding", {"funding": (Funding(Funder.MERCHANT_COUPON, 100),)}),
]


@pytest.mark.parametrize("stands", ["ticket", "shipment", "completion"])
@on_both_stores
async def test_what_differs_from_an_order_that_something_stands_on_is_named(market: Market, stands: str) -> None:
    taken = await put_order(market.store, ORDER, now=NOW)
    assert isinstance(taken, OrderTaken)
    await capture_payment(market.store, taken.ref, TENDER, market.decision_settings, now=NOW)
    match stands:
        case "ticket":
            assert isinstance(await market.ask("b-1", "o-1"), Executed)
        case "shipment":
            assert isinstance(await market.ship(taken.ref), Executed)
        case _:
            assert isinstance(await complete_order(market.store, taken.ref, now=NOW, completed_at=NOW), Executed)
    for path, changes in DIFFERENCES:
        refused = await put_order(market.store, replace(ORDER, **changes), now=NOW)
        assert isinstance(refused, Refusal), path
        assert (refused.code, refused.path) == (RefusalCode.ORDER_NOT_REPLACEABLE, path)
    before = await market.store.read_order(taken.ref)
    assert isinstance(await put_order(market.store, ORDER, now=NOW), OrderTaken)
    assert await market.store.read_order(taken.ref) == before, "put again, all that stands on it stays"


@on_both_stores
async def test_a_paid_order_keeps_its_shop_and_currency(market: Market) -> None:
    taken = await put_order(market.store, ORDER, now=NOW)
    assert isinstance(taken, OrderTaken)
    await capture_payment(market.store, taken.ref, TENDER, market.decision_settings, now=NOW)
    for path, changed in (
        ("shop_id", replace(ORDER, shop_id="shop-2")),
        ("currency", replace(ORDER, currency="USD")),
    ):
        refused = await put_order(market.store, changed, now=NOW)
        assert isinstance(refused, Refusal) and refused.path == path


@on_both_stores
async def test_what_the_category_said_and_the_line_does_not_repeat_is_no_difference(market: Market) -> None:
    await market.registry.put_category(Category("mugs", customised=True, virtual=False), NOW)
    taken = await put_order(market.store, ORDER, now=NOW)
    assert isinstance(taken, OrderTaken)
    await capture_payment(market.store, taken.ref, TENDER, market.decision_settings, now=NOW)
    assert isinstance(await market.ship(taken.ref), Executed)
    again = await put_order(market.store, ORDER, now=NOW)
    assert isinstance(again, OrderTaken) and not again.changed


@on_both_stores
async def test_the_ledger_follows_the_funding_of_a_paid_order_that_is_replaced(market: Market) -> None:
    """Each share is booked once, whatever it was changed to in between; no payment books it a second time."""
    subsidy, coupon = Funder.PLATFORM_SUBSIDY, Funder.MERCHANT_COUPON
    funded = replace(ORDER, funding=(Funding(subsidy, 300),))
    taken = await put_order(market.store, funded, now=NOW)
    assert isinstance(taken, OrderTaken)
    half = replace(TENDER, captured_minor=5000)
    await capture_payment(market.store, taken.ref, half, market.decision_settings, now=NOW)
    for funding in (
        (Funding(subsidy, 500), Funding(coupon, 70)),
        (Funding(coupon, 70),),
        (Funding(subsidy, 40), Funding(coupon, 20)),
    ):
        assert isinstance(await put_order(market.store, replace(ORDER, funding=funding), now=NOW), OrderTaken)
        balance = await balances_of(market, "o-1")
        shares = {fund.funder: fund.amount_minor for fund in funding}
        for funder in (subsidy, coupon):
            assert balance.get(f"subsidy:{funder}", 0) == shares.get(funder, 0)
        assert balance["escrow"] == -(5000 + sum(shares.values()))
        assert sum(balance.values()) == 0
    second = replace(TENDER, tender_id="t2", payment_id="pay-2", captured_minor=5500)
    await capture_payment(market.store, taken.ref, second, market.decision_settings, now=NOW)
    assert (await balances_of(market, "o-1"))["escrow"] == -(10500 + 60)


async def balances_of(market: Market, order_id: str) -> dict[str, int]:
    ref = await market.store.find_order(order_id)
    assert ref is not None
    return {account: minor for (account, _), minor in balances(await market.queries.ledger(ref)).items()}


@on_both_stores
async def test_two_buyers_racing_for_one_order_id_get_one_order(market: Market) -> None:
    for number in range(20):
        news = [replace(ORDER, order_id=f"o-{number}", buyer_id=buyer) for buyer in ("b-1", "b-2", "b-1", "b-2")]
        done = await asyncio.gather(*(put_order(market.store, new, now=NOW) for new in news))
        taken = {outcome.ref for outcome in done if isinstance(outcome, OrderTaken)}
        refused = {outcome.code for outcome in done if isinstance(outcome, Refusal)}
        assert len(taken) == 1
        assert refused == {RefusalCode.ORDER_BELONGS_TO_ANOTHER}


@on_both_stores
async def test_who_says_customised_wins_the_line_or_its_category_and_silence_of_both_stays_unknown(
    market: Market,
) -> None:
    await market.registry.put_category(Category("mugs", customised=True, virtual=False), NOW)
    lines = (
        LINE,
        replace(LINE, line_id="l2", customised=False),
        replace(LINE, line_id="l3", category_id=None),
    )
    taken = await put_order(market.store, replace(ORDER, lines=lines), now=NOW)
    assert isinstance(taken, OrderTaken)
    snapshot = await market.store.read_order(taken.ref)
    assert snapshot is not None
    assert [(line.customised, line.virtual) for line in snapshot.lines] == [(True, False), (True, False), (None, None)]


async def test_a_repeated_payment_is_one_payment_and_another_amount_is_refused(market: Market) -> None:
    taken = await put_order(market.store, ORDER, now=NOW)
    assert isinstance(taken, OrderTaken)
    results = await asyncio.gather(
        *(capture_payment(market.store, taken.ref, TENDER, market.decision_settings, now=NOW) for _ in range(5))
    )
    assert all(isinstance(result, Executed) for result in results)
    other = await capture_payment(
        market.store, taken.ref, replace(TENDER, captured_minor=1), market.decision_settings, now=NOW
    )
    assert isinstance(other, Refusal) and other.code is RefusalCode.DUPLICATE_PAYMENT_DIFFERS
    foreign = await capture_payment(
        market.store, taken.ref, replace(TENDER, tender_id="t2", currency="USD"), market.decision_settings, now=NOW
    )
    assert isinstance(foreign, Refusal) and foreign.code is RefusalCode.CURRENCY_MISMATCH
    snapshot = await market.store.read_order(taken.ref)
    assert snapshot is not None
    assert [tender.captured_minor for tender in snapshot.tenders] == [10500]
    async with market.pool.connection() as connection:
        cursor = await connection.execute("SELECT kind, events FROM buyer_day WHERE buyer_id = 'b-1'")
        assert await cursor.fetchall() == [("order_paid", 1)], "five messages, one paid order in the history"


@on_both_stores
async def test_a_held_order_is_unshipped_and_not_shippable(market: Market) -> None:
    buyer = await market.premium_buyer("b-1")
    held = replace(ORDER, hold=Hold.PRESALE, placed_at=NOW - timedelta(hours=1))
    taken = await put_order(market.store, held, now=NOW)
    assert isinstance(taken, OrderTaken)
    await capture_payment(market.store, taken.ref, TENDER, market.decision_settings, now=NOW)
    refused = await market.ship(taken.ref)
    assert isinstance(refused, Refusal) and refused.code is RefusalCode.ORDER_HELD
    assert isinstance(await market.ask(buyer, "o-1"), Executed)
