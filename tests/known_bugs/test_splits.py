"""Partial refunds and several payments: each unit and amount is counted once.

- T22 vendurehq/vendure #4135: a refund over two payments recorded its lines once for each payment, so that more units
  counted as refunded than the order had.
- T26 mollie/magento2 #626: the second of two equal partial refunds was taken for a repeat of the first and dropped.
"""

from __future__ import annotations

from tests.aftersales.market import Market
from tests.known_bugs.steps import claim, heard, later, snapshot_of


async def test_t22_over_two_payments_units_are_counted_once(market: Market) -> None:
    buyer = await market.premium_buyer("b-1")
    ref = await market.paid_order(buyer, "o-1", amounts=(8000,), quantities=(2,), tenders=(5000, 3000))
    await market.asked(buyer, "o-1", lines=[("l1", 1)])
    snapshot = await snapshot_of(market, ref)
    assert [(row.quantity, row.amount_minor) for row in snapshot.ticket_lines] == [(1, 4000)]
    assert sorted(refund.amount_minor for refund in snapshot.refunds) == [1500, 2500]
    (line,) = snapshot.lines
    assert (line.claimed_quantity, line.claimed_minor, line.free_quantity) == (1, 4000, 1)
    for claimed in await claim(market):
        await heard(market, claimed)
    assert (await market.asked(buyer, "o-1", now=await later(market))).amount_minor == 4000
    snapshot = await snapshot_of(market, ref)
    assert [line.claimed_quantity for line in snapshot.lines] == [2]
    assert [tender.remaining_minor for tender in snapshot.tenders] == [0, 0]


async def test_t26_two_equal_partial_refunds_are_both_paid(market: Market) -> None:
    """The same line, the same amount, the same payment: two tickets, two refunds, two keys."""
    buyer = await market.premium_buyer("b-1")
    ref = await market.paid_order(buyer, "o-1", amounts=(8000,), quantities=(2,))
    keys = set()
    for minutes in (1, 2):
        ticket = await market.asked(buyer, "o-1", lines=[("l1", 1)], now=await later(market, minutes))
        assert ticket.amount_minor == 4000
        (claimed,) = await claim(market, await later(market, minutes))
        keys.add(claimed.attempt.attempt_id)
        await heard(market, claimed)
    (tender,) = (await snapshot_of(market, ref)).tenders
    assert (tender.refunded_minor, len(keys)) == (8000, 2)
