"""A refund that was decided here is carried out on Vendure, once; Vendure's own records are what counts."""

from __future__ import annotations

from datetime import timedelta

import pytest

from jitui.aftersales.commands.execute import Executed
from jitui.aftersales.model.order import ShipmentStatus
from jitui.aftersales.model.refund import RefundState
from jitui.aftersales.model.ticket import TicketState
from jitui.aftersales.operations.platform_refunds import SHIPPED
from jitui.aftersales.outcomes import Refusal, RefusalCode
from tests.platforms.market import ShopMarket
from tests.platforms.vendure.market import open_shop_market
from tests.platforms.vendure.shop import Vendure, admin, books, fulfil, place, refund_by_hand, refunds_in


@pytest.mark.parametrize("method", ["gateway", "by-hand"])
async def test_a_refund_is_paid_and_settled_there(market: ShopMarket, vendure: Vendure, method: str) -> None:
    code = await place(vendure, "ann", [("cup", 2), ("plate", 1)], method=method)
    assert not (await market.sync()).refused
    ticket = await market.asked(code)
    assert ticket.amount_minor == 2 * 3990 + 6000 + 500
    assert await market.pay() == 1

    there = await books(vendure, code)
    (refund,) = refunds_in(there)
    assert there["state"] == "Cancelled"
    assert [line["quantity"] for line in there["lines"]] == [0, 0]
    assert (refund["total"], refund["state"]) == (ticket.amount_minor, "Settled")
    here = await market.order(code)
    assert here.ticket(ticket.ticket_id).state is TicketState.REFUNDED
    assert str(here.attempts[0].attempt_id) in refund["reason"]
    assert here.attempts[0].provider_refund_id == refund["id"]
    assert not (await market.sync()).refused
    assert await market.order(code) == here, "a second reading changes nothing"


async def test_a_part_is_cancelled_and_the_rest_is_shipped(market: ShopMarket, vendure: Vendure) -> None:
    code = await place(vendure, "ann", [("cup", 2), ("plate", 1)])
    await market.sync()
    lines = {line.sku: line.line_id for line in (await market.order(code)).lines}
    await market.asked(code, (lines["cup"], 1))
    await market.pay()
    there = await books(vendure, code)
    assert {line["productVariant"]["sku"]: line["quantity"] for line in there["lines"]} == {"cup": 1, "plate": 1}
    assert [refund["total"] for refund in refunds_in(there)] == [3990]
    assert await fulfil(vendure, code) == ("ItemsAlreadyFulfilledError", ""), "the cancelled cup cannot be shipped"

    await market.asked(code, (lines["cup"], 1), after=timedelta(minutes=2))
    await market.pay(after=timedelta(minutes=3))
    there = await books(vendure, code)
    assert [refund["total"] for refund in refunds_in(there)] == [3990, 3990]
    assert {line["productVariant"]["sku"]: line["quantity"] for line in there["lines"]} == {"cup": 0, "plate": 1}


async def test_a_refund_that_a_person_pays_there_waits_for_them(database_url: str, vendure: Vendure) -> None:
    async with open_shop_market(database_url, vendure.url, vendure.token, settles=False) as market:
        code = await place(vendure, "ann", method="by-hand")
        await market.sync()
        ticket = await market.asked(code)
        await market.pay()
        assert [refund["state"] for refund in refunds_in(await books(vendure, code))] == ["Pending"]
        assert (await market.order(code)).ticket(ticket.ticket_id).state is TicketState.REFUNDING
        await settle_by_hand(vendure, code)
        await market.pay(after=timedelta(days=1))
        assert (await market.order(code)).ticket(ticket.ticket_id).state is TicketState.REFUNDED


async def settle_by_hand(vendure: Vendure, code: str) -> None:
    (refund,) = refunds_in(await books(vendure, code))
    settle = "mutation ($i: SettleRefundInput!) { settleRefund(input: $i) { __typename } }"
    await admin(vendure, settle, i={"id": refund["id"], "transactionId": "bank-1"})


# Shipped there ------------------------------------------------------------------------------------------------------


async def test_what_was_shipped_there_is_not_approved(market: ShopMarket, vendure: Vendure) -> None:
    code = await place(vendure, "ann")
    assert await fulfil(vendure, code) == ("Fulfillment", "Fulfillment")
    await market.sync()
    refused = await market.ask(code)
    assert isinstance(refused, Refusal)
    assert refused.code is RefusalCode.ORDER_ALREADY_SHIPPED
    assert await market.pay() == 0


async def test_a_tracking_number_of_another_buyer_hides_no_shipment(market: ShopMarket, vendure: Vendure) -> None:
    """Two buyers, one number: both orders count as shipped."""
    codes = [await place(vendure, who) for who in ("first", "second")]
    for code in codes:
        await fulfil(vendure, code, "SF-SHARED")
    for _ in range(2):
        assert not (await market.sync()).refused
        for code in codes:
            here = await market.order(code)
            assert [sent.degree for sent in here.shipments] == [ShipmentStatus.SHIPPED]
            assert here.lines[0].left_quantity == 1


@pytest.mark.parametrize("to", ["Pending", "Shipped", "Delivered"])
async def test_what_ships_there_before_the_refund_goes_out_is_not_refunded(
    market: ShopMarket, vendure: Vendure, to: str
) -> None:
    code = await place(vendure, "ann")
    await market.sync()
    ticket = await market.asked(code)
    await fulfil(vendure, code, to="Shipped" if to == "Delivered" else to)
    await market.pay()
    there = await books(vendure, code)
    assert refunds_in(there) == []
    assert [line["quantity"] for line in there["lines"]] == [1], "nothing was cancelled"
    here = await market.order(code)
    assert here.ticket(ticket.ticket_id).state is TicketState.REFUND_FAILED
    assert here.refunds[0].reason == SHIPPED
    await market.sync()
    assert len((await market.order(code)).shipments) == 1


# By hand there ----------------------------------------------------------------------------------------------------


async def test_a_refund_by_hand_is_counted_once(market: ShopMarket, vendure: Vendure) -> None:
    code = await place(vendure, "ann", [("cup", 2)])
    await market.sync()
    await refund_by_hand(vendure, code, 3990, cancel=[(0, 1)])
    for _ in range(2):
        assert not (await market.sync()).refused
        here = await market.order(code)
        assert here.tenders[0].refunded_minor == 3990
        assert here.tenders[0].remaining_minor == 3990 + 500
        assert (here.lines[0].claimed_quantity, here.lines[0].free_quantity) == (1, 1)
    assert await market.jitui.queries.unbalanced_orders(None, 10) == []

    ticket = await market.asked(code)
    assert ticket.amount_minor == 3990
    await market.pay()
    there = await books(vendure, code)
    assert sorted(refund["total"] for refund in refunds_in(there)) == [3990, 3990]
    assert there["state"] == "Cancelled"
    assert not (await market.sync()).refused
    assert (await market.order(code)).tenders[0].remaining_minor == 500, "the freight, for a person to give back"


async def test_a_refund_by_hand_of_everything_leaves_nothing_to_ask_for(market: ShopMarket, vendure: Vendure) -> None:
    code = await place(vendure, "ann")
    await market.sync()
    await refund_by_hand(vendure, code, 4490, cancel=[(0, 1)])
    await market.sync()
    refused = await market.ask(code)
    assert isinstance(refused, Refusal)
    assert refused.code is RefusalCode.NOTHING_TO_REFUND


async def test_a_refund_by_hand_after_the_approval_is_not_paid_on_top(market: ShopMarket, vendure: Vendure) -> None:
    code = await place(vendure, "ann", [("cup", 2)])
    await market.sync()
    lines = [line.line_id for line in (await market.order(code)).lines]
    await market.asked(code, (lines[0], 1))
    await refund_by_hand(vendure, code, 3990, cancel=[(0, 1)])
    await market.pay()
    assert [refund["reason"] for refund in refunds_in(await books(vendure, code))] == ["goodwill"]
    here = await market.order(code)
    assert here.refunds[0].state is RefundState.FAILED
    assert "by hand" in here.refunds[0].reason
    assert not (await market.sync()).refused
    here = await market.order(code)
    assert (here.tenders[0].refunded_minor, here.tenders[0].pending_minor) == (3990, 3990)


async def test_a_gateway_that_declines_is_said_so(market: ShopMarket, vendure: Vendure) -> None:
    code = await place(vendure, "ann")
    await market.sync()
    executed = await market.ask(code)
    assert isinstance(executed, Executed)
    await refund_all_but_one(vendure, code)
    await market.pay()
    assert (await market.order(code)).refunds[0].state is RefundState.FAILED


async def refund_all_but_one(vendure: Vendure, code: str) -> None:
    await refund_by_hand(vendure, code, 4489)
