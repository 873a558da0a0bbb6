"""A refund that was decided here is granted and requested on Saleor, once; its grants are what counts."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest

from jitui.aftersales.commands.pay import pay_claimed
from jitui.aftersales.model.refund import RefundState
from jitui.aftersales.model.ticket import TicketState
from jitui.aftersales.outcomes import Refusal, RefusalCode
from jitui.bootstrap import utc_now
from tests.platforms.market import ShopMarket
from tests.platforms.saleor.server import CANCEL, GRANT, ORDERS, REQUEST, Fault, SaleorServer

A_MINUTE = timedelta(minutes=1)


async def test_a_refund_is_cancelled_granted_requested_and_paid(market: ShopMarket, there: SaleorServer) -> None:
    number = there.place(("39.90", 2), ("60.00", 1))
    assert not (await market.sync()).refused
    ticket = await market.asked(number)
    assert ticket.amount_minor == 10_490
    assert await market.pay() == 1
    (grant,) = there.grants(number)
    assert (str(grant["amount"]["amount"]), grant["status"]) == ("104.90", "PENDING")
    assert there.orders[number]["status"] == "CANCELED"
    here = await market.order(number)
    assert here.refunds[0].state is RefundState.PENDING
    assert str(here.attempts[0].attempt_id) in grant["reason"]

    there.app_reports(number)
    await market.pay(after=A_MINUTE)
    here = await market.order(number)
    assert here.tickets[0].state is TicketState.REFUNDED
    assert here.attempts[0].provider_refund_id == grant["id"]
    assert (len(there.calls(GRANT)), len(there.calls(REQUEST))) == (1, 1)
    assert not (await market.sync()).refused
    assert await market.order(number) == here, "a second reading changes nothing"
    assert await market.jitui.queries.unbalanced_orders(None, 10) == []


async def test_a_part_is_refunded_and_cannot_be_cancelled(market: ShopMarket, there: SaleorServer) -> None:
    number = there.place(("39.90", 2), ("60.00", 1))
    await market.sync()
    await market.asked(number, (f"line-{number}-1", 1))
    await market.pay()
    (grant,) = there.grants(number)
    assert str(grant["amount"]["amount"]) == "19.95"
    assert there.calls(CANCEL) == []
    assert there.orders[number]["status"] == "UNFULFILLED"


@pytest.mark.parametrize("status", ["FULFILLED", "WAITING_FOR_APPROVAL", "RETURNED", "REFUNDED", "MADE_UP"])
async def test_what_ships_there_before_the_refund_goes_out_is_not_refunded(
    market: ShopMarket, there: SaleorServer, status: str
) -> None:
    number = there.place()
    await market.sync()
    await market.asked(number)
    there.ship(number, status)
    await market.pay()
    assert (there.grants(number), there.calls(CANCEL)) == ([], [])
    here = await market.order(number)
    assert here.tickets[0].state is TicketState.REFUND_FAILED
    assert "shipped" in here.refunds[0].reason


async def test_what_was_shipped_there_is_not_approved(market: ShopMarket, there: SaleorServer) -> None:
    number = there.place()
    there.ship(number)
    await market.sync()
    refused = await market.ask(number)
    assert isinstance(refused, Refusal)
    assert refused.code is RefusalCode.ORDER_ALREADY_SHIPPED


async def test_a_refund_by_hand_is_counted_once(market: ShopMarket, there: SaleorServer) -> None:
    number = there.place(("79.80", 2))
    await market.sync()
    there.refund_by_hand(number, "39.90")
    for _ in range(2):
        await market.sync()
        assert (await market.order(number)).tenders[0].refunded_minor == 3_990


async def test_a_refund_by_hand_after_the_approval_is_not_paid_on_top(market: ShopMarket, there: SaleorServer) -> None:
    number = there.place()
    await market.sync()
    await market.asked(number)
    there.refund_by_hand(number, "0.01")
    await market.pay()
    assert there.grants(number) == []
    assert "by hand" in (await market.order(number)).refunds[0].reason


async def test_a_refund_that_the_payment_app_declines_is_said_so(market: ShopMarket, there: SaleorServer) -> None:
    number = there.place()
    await market.sync()
    await market.asked(number)
    await market.pay()
    there.app_reports(number, status="FAILURE")
    await market.pay(after=A_MINUTE)
    assert (await market.order(number)).refunds[0].state is RefundState.FAILED


@pytest.mark.parametrize("lost", [GRANT, REQUEST, CANCEL])
async def test_an_answer_that_is_lost_makes_one_grant_that_is_requested_once(
    market: ShopMarket, there: SaleorServer, lost: str
) -> None:
    number = there.place()
    await market.sync()
    await market.asked(number)
    there.faults[lost] = [Fault.DROPPED_AFTER]
    await market.pay()
    await market.pay(after=A_MINUTE)
    (grant,) = there.grants(number)
    assert grant["status"] == "PENDING"
    there.app_reports(number)
    await market.pay(after=30 * A_MINUTE)
    assert (await market.order(number)).tickets[0].state is TicketState.REFUNDED
    assert len(there.calls(GRANT)) == 1


async def test_a_request_that_never_arrived_is_made_later_for_the_same_grant(
    market: ShopMarket, there: SaleorServer
) -> None:
    number = there.place()
    await market.sync()
    await market.asked(number)
    there.faults[REQUEST] = [Fault.DROPPED_BEFORE, Fault.DROPPED_BEFORE]
    await market.pay()
    assert [grant["status"] for grant in there.grants(number)] == ["NONE"]
    await market.pay(after=A_MINUTE)
    assert [grant["status"] for grant in there.grants(number)] == ["PENDING"]


async def test_a_grant_that_never_arrived_is_for_a_person(market: ShopMarket, there: SaleorServer) -> None:
    number = there.place()
    await market.sync()
    await market.asked(number)
    there.faults[GRANT] = [Fault.DROPPED_BEFORE]
    await market.pay()
    await market.pay(after=A_MINUTE)
    assert there.grants(number) == []
    assert (await market.order(number)).refunds[0].state is RefundState.UNKNOWN


async def test_without_a_payment_app_nothing_is_granted_twice(market: ShopMarket, there: SaleorServer) -> None:
    number = there.place()
    await market.sync()
    await market.asked(number)
    there.has_payment_app = False
    await market.pay()
    await market.pay(after=A_MINUTE)
    here = await market.order(number)
    assert here.refunds[0].state is RefundState.UNKNOWN
    assert "MISSING_TRANSACTION_ACTION_REQUEST_WEBHOOK" in here.refunds[0].reason
    there.has_payment_app = True
    await market.pay(after=30 * A_MINUTE)
    assert [grant["status"] for grant in there.grants(number)] == ["PENDING"]


async def test_two_workers_grant_once(market: ShopMarket, there: SaleorServer) -> None:
    number = there.place()
    await market.sync()
    await market.asked(number)
    (claimed,) = await market.claim()
    there.slow[ORDERS] = 0.1
    sending = (pay_claimed(market.jitui.store, {"saleor": market.provider}, claimed, clock=utc_now) for _ in range(3))
    await asyncio.gather(*sending)
    assert len(there.grants(number)) == 1
    assert len(there.calls(REQUEST)) == 1


async def test_more_than_is_charged_is_refused_for_good(market: ShopMarket, there: SaleorServer) -> None:
    number = there.place()
    await market.sync()
    await market.asked(number)
    paid = there.orders[number]["transactions"][0]
    paid["chargedAmount"] = {**paid["chargedAmount"], "amount": paid["chargedAmount"]["amount"] - 1}
    await market.pay()
    assert (await market.order(number)).refunds[0].state is RefundState.FAILED
    assert there.grants(number) == []
