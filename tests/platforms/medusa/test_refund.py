"""A refund that was decided here is carried out on Medusa, once; Medusa's own records are what counts."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from datetime import timedelta

import pytest

from jitui.aftersales.model.order import ShipmentStatus
from jitui.aftersales.model.refund import RefundState
from jitui.aftersales.model.ticket import TicketState
from jitui.aftersales.outcomes import Refusal, RefusalCode
from jitui.aftersales.platform import PlatformOrder
from tests.platforms.market import ShopMarket
from tests.platforms.medusa.shop import (
    GATEWAY,
    SYSTEM,
    Medusa,
    admin,
    books,
    capture,
    edit,
    fulfil,
    left_in,
    lines_in,
    pack,
    place,
    refund_by_hand,
    refunds_in,
    ship,
)

REMEASURED = 10
REPEATED = 5


@pytest.mark.parametrize("provider", [SYSTEM, GATEWAY])
async def test_a_refund_is_paid_there(market: ShopMarket, medusa: Medusa, provider: str) -> None:
    bought = await place(medusa, "ann", [("cup", 2), ("plate", 1)], provider=provider)
    lines = lines_in(await books(medusa, bought))
    assert not (await market.sync()).refused
    ticket = await market.asked(bought.number)
    assert ticket.amount_minor == 2 * 3990 + 6000 + 500
    assert await market.pay() == 1

    there, here = await books(medusa, bought), await market.order(bought.number)
    assert left_in(there) == {}
    assert there["status"] == "pending", "the order is not cancelled, which would refund by itself"
    assert there["summary"]["pending_difference"] == 0
    assert refunds_in(there) == [(144.8, f"Jitui {here.attempts[0].attempt_id}")]
    assert here.ticket(ticket.ticket_id).state is TicketState.REFUNDED
    assert here.order.buyer_id == f"medusa-{there['customer_id']}"
    for line_id in lines.values():
        status, why = await fulfil(medusa, bought, {line_id: 1})
        assert (status, "does not exist" in why) == (400, True)
    assert not (await market.sync()).refused
    assert await market.order(bought.number) == here, "a second reading changes nothing"


async def test_a_part_is_taken_out_and_the_rest_is_shipped(market: ShopMarket, medusa: Medusa) -> None:
    bought = await place(medusa, "ann", [("cup", 2), ("card", 2)])
    lines = lines_in(await books(medusa, bought))
    await market.sync()
    await market.asked(bought.number, (lines["cup"], 1), (lines["card"], 1))
    await market.pay()
    there = await books(medusa, bought)
    assert left_in(there) == {"cup": 1, "card": 1}
    assert [amount for amount, _ in refunds_in(there)] == [49.9]
    assert (await fulfil(medusa, bought, {lines["cup"]: 2}))[0] == 400
    assert (await fulfil(medusa, bought, {lines["card"]: 2}))[0] == 400, "nor without a managed stock"

    await market.sync()
    await market.asked(bought.number, (lines["cup"], 1), after=timedelta(minutes=2))
    await market.pay(after=timedelta(minutes=3))
    there = await books(medusa, bought)
    assert left_in(there) == {"card": 1}
    assert [amount for amount, _ in refunds_in(there)] == [49.9, 39.9]
    assert await pack(medusa, bought) == (200, ""), "what is left is shipped"


async def test_how_fast(market: ShopMarket, medusa: Medusa) -> None:
    bought = [await place(medusa, f"fast{number}") for number in range(REMEASURED)]
    await market.sync()
    began = time.monotonic()
    for one in bought:
        await market.asked(one.number)
        await market.pay()
    print(f"\nFrom asking to refunded in Medusa: {REMEASURED / (time.monotonic() - began):.2f} a second")
    for one in bought:
        assert len(refunds_in(await books(medusa, one))) == 1


# Shipped there ------------------------------------------------------------------------------------------------------


async def test_what_was_shipped_there_is_not_approved(market: ShopMarket, medusa: Medusa) -> None:
    bought = await place(medusa, "ann")
    await pack(medusa, bought)
    await ship(medusa, bought, "SF1")
    await market.sync()
    refused = await market.ask(bought.number)
    assert isinstance(refused, Refusal)
    assert refused.code is RefusalCode.ORDER_ALREADY_SHIPPED
    (sent,) = (await market.order(bought.number)).shipments
    assert (sent.tracking_no, sent.degree) == ("SF1", ShipmentStatus.SHIPPED)


async def test_what_arrived_is_completed(market: ShopMarket, medusa: Medusa) -> None:
    bought = await place(medusa, "ann")
    await pack(medusa, bought)
    await ship(medusa, bought, delivered=True)
    assert not (await market.sync()).refused
    here = await market.order(bought.number)
    assert here.is_completed
    assert [sent.degree for sent in here.shipments] == [ShipmentStatus.DELIVERED]


@pytest.mark.parametrize("step", ["packed", "sent"])
async def test_what_ships_there_before_the_refund_goes_out_is_not_refunded(
    market: ShopMarket, medusa: Medusa, step: str
) -> None:
    bought = await place(medusa, "ann", [("cup", 2)])
    await market.sync()
    ticket = await market.asked(bought.number)
    line = lines_in(await books(medusa, bought))["cup"]
    assert await fulfil(medusa, bought, {line: 1}) == (200, "")
    if step == "sent":
        await ship(medusa, bought)
    await market.pay()
    there, here = await books(medusa, bought), await market.order(bought.number)
    assert refunds_in(there) == []
    assert left_in(there) == {"cup": 2}, "nothing was taken out"
    assert here.ticket(ticket.ticket_id).state is TicketState.REFUND_FAILED
    assert "shipped at the shop's platform" in here.refunds[0].reason
    await market.sync()
    assert len((await market.order(bought.number)).shipments) == 1


async def test_a_cancelled_fulfilment_is_no_shipment(market: ShopMarket, medusa: Medusa) -> None:
    bought = await place(medusa, "ann")
    await pack(medusa, bought)
    (sent,) = (await books(medusa, bought))["fulfillments"]
    await admin(medusa, "POST", f"orders/{bought.there}/fulfillments/{sent['id']}/cancel", {})
    await market.sync()
    assert (await market.order(bought.number)).shipments == ()
    await market.asked(bought.number)
    await market.pay()
    assert [amount for amount, _ in refunds_in(await books(medusa, bought))] == [44.9]


# By hand there ----------------------------------------------------------------------------------------------------


async def test_a_refund_by_hand_is_counted_once(market: ShopMarket, medusa: Medusa) -> None:
    bought = await place(medusa, "ann", [("cup", 2)])
    await market.sync()
    await edit(medusa, bought, {lines_in(await books(medusa, bought))["cup"]: 1})
    assert (await refund_by_hand(medusa, bought, 39.9))[0] == 200
    for _ in range(2):
        assert not (await market.sync()).refused
        here = await market.order(bought.number)
        assert here.tenders[0].refunded_minor == 3990
        assert here.tenders[0].remaining_minor == 3990 + 500
        assert (here.lines[0].claimed_quantity, here.lines[0].free_quantity) == (1, 1)
    assert await market.jitui.queries.unbalanced_orders(None, 10) == []

    ticket = await market.asked(bought.number)
    assert ticket.amount_minor == 3990
    await market.pay()
    there = await books(medusa, bought)
    assert [amount for amount, _ in refunds_in(there)] == [39.9, 39.9]
    assert left_in(there) == {}


async def test_an_order_cancelled_there_was_refunded_there(market: ShopMarket, medusa: Medusa) -> None:
    """Cancelling refunds every payment: the adapter never does it."""
    bought = await place(medusa, "ann")
    await market.sync()
    await admin(medusa, "POST", f"orders/{bought.there}/cancel", {})
    assert refunds_in(await books(medusa, bought)) == [(44.9, None)]
    assert not (await market.sync()).refused
    refused = await market.ask(bought.number)
    assert isinstance(refused, Refusal)
    assert refused.code is RefusalCode.NOTHING_TO_REFUND


async def test_a_refund_by_hand_after_the_approval_is_not_paid_on_top(market: ShopMarket, medusa: Medusa) -> None:
    bought = await place(medusa, "ann", [("cup", 2)])
    await market.sync()
    lines = lines_in(await books(medusa, bought))
    await market.asked(bought.number, (lines["cup"], 1))
    await refund_by_hand(medusa, bought, 39.9)
    await market.pay()
    assert refunds_in(await books(medusa, bought)) == [(39.9, "goodwill")]
    here = await market.order(bought.number)
    assert here.refunds[0].state is RefundState.FAILED
    assert "by hand" in here.refunds[0].reason


async def test_a_refund_after_an_edit_moves_no_time_there(market: ShopMarket, medusa: Medusa) -> None:
    """Why the orders that are watched are read again: by its time alone this refund would never be found."""
    bought = await place(medusa, "ann", [("cup", 2)])
    await edit(medusa, bought, {lines_in(await books(medusa, bought))["cup"]: 1})
    before = (await books(medusa, bought))["updated_at"]
    await refund_by_hand(medusa, bought, 39.9)
    assert (await books(medusa, bought))["updated_at"] == before


async def test_an_edit_that_somebody_has_open_is_waited_for(market: ShopMarket, medusa: Medusa) -> None:
    bought = await place(medusa, "ann")
    await market.sync()
    await market.asked(bought.number)
    await admin(medusa, "POST", "order-edits", {"order_id": bought.there, "internal_note": "mine"})
    await market.pay()
    assert refunds_in(await books(medusa, bought)) == []
    here = await market.order(bought.number)
    assert here.refunds[0].state is RefundState.UNKNOWN
    assert "already has an existing active order change" in here.refunds[0].reason
    await admin(medusa, "DELETE", f"order-edits/{bought.there}")
    await market.pay(after=timedelta(hours=1))
    assert [amount for amount, _ in refunds_in(await books(medusa, bought))] == [44.9]


# Money --------------------------------------------------------------------------------------------------------------


async def test_money_that_was_not_captured_cannot_be_refunded(market: ShopMarket, medusa: Medusa) -> None:
    bought = await place(medusa, "ann", captured=False)
    assert not (await market.sync()).refused
    assert (await market.order(bought.number)).tenders == ()
    await capture(medusa, bought, 20)
    await market.sync()
    assert [tender.captured_minor for tender in (await market.order(bought.number)).tenders] == [2000]
    await capture(medusa, bought, 24.9)
    await market.sync()
    assert [tender.captured_minor for tender in (await market.order(bought.number)).tenders] == [4490]


async def test_a_discount_with_fractions_of_a_fen(market: ShopMarket, medusa: Medusa) -> None:
    """Medusa says 120.621; lines, freight and payment are rounded so that they fit, and the refund is taken."""
    ten = {"type": "percentage", "target_type": "items", "allocation": "across", "value": 7, "currency_code": "cny"}
    made = {"code": "SEVEN", "type": "standard", "status": "active", "is_automatic": True, "application_method": ten}
    promotion = (await admin(medusa, "POST", "promotions", made))["promotion"]["id"]
    bought = await place(medusa, "ann", [("cup", 3), ("card", 1)])
    await admin(medusa, "DELETE", f"promotions/{promotion}")
    there = await books(medusa, bought)
    assert there["total"] == 125.621
    await edit(medusa, bought, {lines_in(there)["cup"]: 1})
    assert not (await market.sync()).refused
    here = await market.order(bought.number)
    assert {(line.quantity, line.paid_minor) for line in here.lines} == {(3, 11132), (1, 930)}
    assert (here.order.freight_minor, here.tenders[0].captured_minor) == (500, 12562)
    await market.asked(bought.number)
    await market.pay()
    there = await books(medusa, bought)
    assert left_in(there) == {}
    assert (await market.order(bought.number)).refunds[0].state is RefundState.SUCCEEDED


async def test_three_refunds_at_once_are_one(medusa: Medusa) -> None:
    """Medusa's own limit holds."""
    bought = await place(medusa, "ann", [("cup", 2)])
    told = await asyncio.gather(*(refund_by_hand(medusa, bought, 60) for _ in range(3)))
    assert len(refunds_in(await books(medusa, bought))) == 1, told


async def test_a_refusal_does_not_say_that_nothing_was_refunded(market: ShopMarket, medusa: Medusa) -> None:
    """Below that limit every repetition pays. Medusa may refuse one afterwards, when it books the rest of the order.

    It then takes its transaction back, and keeps the refund: nobody can tell it from one that the gateway has not paid.
    """
    outcomes: Counter[str] = Counter()
    for _ in range(REPEATED):
        bought = await place(medusa, "ann", [("cup", 2)])
        told = await asyncio.gather(*(refund_by_hand(medusa, bought, 20) for _ in range(3)))
        assert [amount for amount, _ in refunds_in(await books(medusa, bought))] == [20, 20, 20]
        found = await market.orders.find_order(bought.number)
        assert isinstance(found, PlatformOrder)
        outcomes.update(f"{status} {why[why.find(')') + 1 :]}" for status, why in told)
        outcomes.update(refund.state for refund in found.payments[0].refunds)
        assert found.payments[0].elsewhere_minor == 6000, "all of them are counted"
    print(f"\nThree refunds at once, {REPEATED} rounds: {dict(outcomes)}")
