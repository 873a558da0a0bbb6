"""How much can be refunded: what was captured, less what is refunded or pending, whatever else an order says.

- T1 juspay/hyperswitch #13182: two refunds checked the balance at the same time and both passed.
- T2 hyperswitch PR 11491: a refund of zero or less was let through to the provider.
- T7 medusajs/medusa #10491, #13066: a fully paid order had "nothing outstanding" and so nothing to refund; freight
  could not be refunded at all.
- T8 saleor/saleor #19645: each grant was held against the order's total, not against what other grants had left.
- T9 saleor/saleor-dashboard #4493: pending and succeeded refunds together drove the refundable amount below zero.
- T21 solidusio/solidus #1066: cancelling an order refunded the whole payment again after a partial refund.
- T23 vendurehq/vendure #2393, #2762: goods were refunded at list price although a promotion had made them cheaper.
- T24 vendure #2523: the order was cancelled first, and the refund was then computed from nothing.
- T25 craftcms/commerce #1098: after all but one unit of money was refunded, two more were still accepted.
"""

from __future__ import annotations

import asyncio

import psycopg
import pytest

from jitui.aftersales.commands.execute import Executed
from jitui.aftersales.commands.on_ticket import Acting
from jitui.aftersales.commands.review import approve
from jitui.aftersales.model.ticket import TicketState
from jitui.aftersales.outcomes import RefusalCode
from tests.aftersales.market import NOW, Market, ticket_of
from tests.http.api import BUYER, Api
from tests.known_bugs.steps import MERCHANT, claim, heard, later, refused, snapshot_of, where


async def test_t01_two_requests_at_once_for_the_same_units_end_in_one_refund(market: Market) -> None:
    """Two connections at once; the second waits for the first one's locks and then sees what it wrote."""
    buyer = await market.premium_buyer("b-1")
    ref = await market.paid_order(buyer, "o-1", amounts=(10000,), quantities=(5,))
    done = await asyncio.gather(*(market.ask(buyer, "o-1", lines=[("l1", 3)]) for _ in range(2)))
    assert sorted(isinstance(outcome, Executed) for outcome in done) == [False, True]
    (tender,) = (await snapshot_of(market, ref)).tenders
    assert (tender.pending_minor, tender.remaining_minor) == (6000, 4000)


@pytest.mark.parametrize(
    "units",
    [{"quantity": 0}, {"quantity": -1}, {"quantity": 1, "amount": {"amount_minor": -5, "currency": "CNY"}}],
)
async def test_t02_nothing_and_less_than_nothing_are_refused(api: Api, units: dict[str, object]) -> None:
    await api.paid_order("o-1")
    body = {"order_id": "o-1", "buyer_id": BUYER, "lines": [{"line_id": "l1", **units}]}
    assert (await api.post("/v1/after-sales", body)).status_code == 400
    assert await api.count("ticket") == 0


async def test_t02_the_tables_take_no_refund_of_nothing(market: Market) -> None:
    buyer = await market.premium_buyer("b-1")
    await market.paid_order(buyer, "o-1")
    await market.asked(buyer, "o-1")
    async with market.pool.connection() as connection:
        with pytest.raises(psycopg.errors.CheckViolation, match="refund_amount_minor"):
            await connection.execute("UPDATE refund SET amount_minor = 0")


async def test_t07_a_fully_paid_order_is_refundable_with_its_freight(market: Market) -> None:
    buyer = await market.premium_buyer("b-1")
    ref = await market.paid_order(buyer, "o-1", amounts=(10000, 5000), freight_minor=800)
    ticket = await market.asked(buyer, "o-1")
    assert (ticket.amount_minor, ticket.freight_minor) == (15800, 800)
    assert (await snapshot_of(market, ref)).tenders[0].remaining_minor == 0


async def test_t08_grants_together_with_pending_ones_stay_within_what_remains(market: Market) -> None:
    """Three requests wait, worth 120 together; 20 went back past this service, so only two can be granted."""
    ref = await market.paid_order("b-1", "o-1", amounts=(40000, 40000, 40000))
    tickets = [await market.asked("b-1", "o-1", lines=[(f"l{n}", 1)], now=await later(market, n)) for n in range(1, 4)]
    async with market.pool.connection() as connection:
        await connection.execute("UPDATE tender SET refunded_minor = 20000")
    done = [await approve(market.store, where(t), Acting(MERCHANT, NOW)) for t in tickets]
    assert [isinstance(outcome, Executed) for outcome in done] == [True, True, False]
    assert refused(done[2]) is RefusalCode.AMOUNT_EXCEEDS_REFUNDABLE
    (tender,) = (await snapshot_of(market, ref)).tenders
    assert (tender.pending_minor, tender.remaining_minor) == (80000, 20000)
    async with market.pool.connection() as connection:
        with pytest.raises(psycopg.errors.CheckViolation, match="refund_within_captured"):
            await connection.execute("UPDATE tender SET pending_minor = pending_minor + 20001")


async def test_t09_what_is_refundable_is_never_negative(market: Market) -> None:
    buyer = await market.premium_buyer("b-1")
    ref = await market.paid_order(buyer, "o-1", amounts=(5000, 5000), tenders=(9999, 1))
    seen = []
    for number in (1, 2):
        await market.asked(buyer, "o-1", lines=[(f"l{number}", 1)], now=await later(market, number))
        if number == 1:
            for claimed in await claim(market, await later(market, 1)):
                await heard(market, claimed)
        tenders = (await snapshot_of(market, ref)).tenders
        seen.append((sum(t.pending_minor for t in tenders), sum(t.refunded_minor for t in tenders)))
        assert all(tender.remaining_minor >= 0 for tender in tenders)
    assert seen == [(0, 5000), (5000, 5000)]
    assert refused(await market.ask(buyer, "o-1", now=await later(market, 3))) is RefusalCode.REFUND_IN_PROGRESS


async def test_t21_after_a_partial_refund_only_the_rest_goes_back(market: Market) -> None:
    buyer = await market.premium_buyer("b-1")
    ref = await market.paid_order(buyer, "o-1", amounts=(10000, 3000), quantities=(3, 1), freight_minor=800)
    first = await market.asked(buyer, "o-1", lines=[("l1", 1)])
    (claimed,) = await claim(market)
    await heard(market, claimed)
    rest = await market.asked(buyer, "o-1", now=await later(market))
    assert (first.amount_minor, rest.amount_minor) == (3333, 10467)
    (tender,) = (await snapshot_of(market, ref)).tenders
    assert (tender.refunded_minor, tender.pending_minor, tender.remaining_minor) == (3333, 10467, 0)


async def test_t23_a_discounted_order_gives_back_what_was_paid(market: Market) -> None:
    """The platform sent list prices and captured a quarter less: each line is worth its part of the captured money.

    Before, the first line that was asked for came back at its list price.
    """
    buyer = await market.premium_buyer("b-1")
    await market.paid_order(buyer, "o-1", amounts=(10000, 10000), tenders=(15000,))
    first = await market.asked(buyer, "o-1", lines=[("l1", 1)])
    rest = await market.asked(buyer, "o-1", lines=[("l2", 1)], now=await later(market))
    assert (first.amount_minor, rest.amount_minor) == (7500, 7500)


async def test_t24_units_that_are_already_taken_out_of_the_order_still_bring_their_money(market: Market) -> None:
    """A waiting request has claimed all units: nothing is left to ask for, and the approval still pays all of it."""
    ref = await market.paid_order("b-1", "o-1", amounts=(40000,), quantities=(2,), freight_minor=800)
    ticket = await market.asked("b-1", "o-1")
    assert [line.free_quantity for line in (await snapshot_of(market, ref)).lines] == [0]
    done = ticket_of(await approve(market.store, where(ticket), Acting(MERCHANT, NOW)))
    assert (done.state, done.amount_minor) == (TicketState.REFUNDING, 40800)
    assert [refund.amount_minor for refund in (await snapshot_of(market, ref)).refunds] == [40800]


async def test_t25_all_but_one_unit_then_two_is_refused(market: Market) -> None:
    buyer = await market.premium_buyer("b-1")
    ref = await market.paid_order(buyer, "o-1", amounts=(10000,), quantities=(5,))
    await market.asked(buyer, "o-1", lines=[("l1", 4)])
    (claimed,) = await claim(market)
    await heard(market, claimed)
    now = await later(market)
    too_many = await market.ask(buyer, "o-1", lines=[("l1", 2)], now=now)
    assert refused(too_many) is RefusalCode.UNITS_NOT_AVAILABLE
    await market.asked(buyer, "o-1", lines=[("l1", 1)], now=now)
    assert (await snapshot_of(market, ref)).tenders[0].remaining_minor == 0
