"""Payments that are reported twice, late or by another provider do not damage a good order.

- T6 medusajs/medusa #13301, #12674: a capture that raced with another, or was done already, was taken for a failure,
  and the compensation refunded the customer of a good order.
- T29 pretix/pretix #343: a card was charged twice, one charge was refunded at the provider, and its event cancelled the
  order that the other charge had paid.
- T33 woocommerce-payments #5605: an order was cancelled while its authorisation was being captured; the money came and
  was never given back.
"""

from __future__ import annotations

import asyncio
from uuid import uuid4

from jitui.aftersales.commands.execute import Executed
from jitui.aftersales.commands.intake import capture_payment
from jitui.aftersales.commands.refund_updates import RefundUpdate, confirm
from jitui.aftersales.model.order import Tender
from jitui.aftersales.outcomes import RefusalCode
from jitui.aftersales.ports import AttemptRef
from tests.aftersales.market import NOW, Market
from tests.known_bugs.steps import SUCCEEDED, postings, refused, snapshot_of


async def test_t06_a_capture_that_races_or_is_done_already_refunds_nothing(market: Market) -> None:
    ref = await market.paid_order("b-1", "o-1", amounts=(10000,), tenders=(6000,))
    second = Tender("t2", "simulator", "pay-o-1-2", "CNY", 4000, NOW)
    done = await asyncio.gather(
        *(capture_payment(market.store, ref, second, market.decision_settings, now=NOW) for _ in range(8))
    )
    assert all(isinstance(outcome, Executed) for outcome in done)
    other = Tender("t2", "simulator", "pay-o-1-2", "CNY", 3999, NOW)
    differs = await capture_payment(market.store, ref, other, market.decision_settings, now=NOW)
    assert refused(differs) is RefusalCode.DUPLICATE_PAYMENT_DIFFERS
    snapshot = await snapshot_of(market, ref)
    assert [(tender.captured_minor, tender.remaining_minor) for tender in snapshot.tenders] == [
        (6000, 6000),
        (4000, 4000),
    ]
    assert (snapshot.tickets, snapshot.refunds) == ((), ())
    assert await postings(market, "o-1") == ["captured", "captured"]
    assert isinstance(await market.ship(ref), Executed), "a good order ships"


async def test_t29_refunding_a_duplicate_charge_leaves_the_paid_order_alone(market: Market) -> None:
    """The duplicate went back at the provider; its event names no attempt of ours."""
    buyer = await market.premium_buyer("b-1")
    ref = await market.paid_order(buyer, "o-1", amounts=(10000,), tenders=(10000, 10000))
    before = await snapshot_of(market, ref)
    not_ours = await confirm(market.store, AttemptRef(ref.lane, uuid4()), RefundUpdate(SUCCEEDED), now=NOW)
    assert refused(not_ours) is RefusalCode.NOT_FOUND
    assert await snapshot_of(market, ref) == before
    assert isinstance(await market.ship(ref), Executed), "the order is paid, and ships"


async def test_t29_goods_bring_back_their_price_once_however_often_they_were_charged(market: Market) -> None:
    buyer = await market.premium_buyer("b-1")
    ref = await market.paid_order(buyer, "o-1", amounts=(10000,), tenders=(10000, 10000))
    assert (await market.asked(buyer, "o-1")).amount_minor == 10000
    assert sum(tender.pending_minor for tender in (await snapshot_of(market, ref)).tenders) == 10000


async def test_t33_a_capture_that_arrives_after_the_refund_is_paid_back_once(market: Market) -> None:
    buyer = await market.premium_buyer("b-1")
    ref = await market.paid_order(buyer, "o-1", amounts=(10000,), tenders=(2000,))
    await market.asked(buyer, "o-1")
    balance = Tender("t2", "simulator", "pay-o-1-2", "CNY", 8000, NOW)
    done = await asyncio.gather(
        *(capture_payment(market.store, ref, balance, market.decision_settings, now=NOW) for _ in range(5))
    )
    assert all(isinstance(outcome, Executed) for outcome in done)
    snapshot = await snapshot_of(market, ref)
    assert sorted(refund.amount_minor for refund in snapshot.refunds) == [2000, 8000]
    assert sum(tender.remaining_minor for tender in snapshot.tenders) == 0
