"""I6: two requests of one buyer at once, on two orders, cannot exceed the buyer's quota."""

from __future__ import annotations

import asyncio
from datetime import timedelta

from jitui.aftersales.model.ticket import ApprovedBy
from tests.aftersales.market import NOW, Market


async def test_ten_orders_asked_at_once_stay_within_three_approvals(market: Market) -> None:
    buyer = await market.premium_buyer("b-1")
    for index in range(10):
        await market.paid_order(buyer, f"o-{index}", amounts=(10000,))
    tickets = await asyncio.gather(*(market.asked(buyer, f"o-{index}") for index in range(10)))
    instant = [ticket for ticket in tickets if ticket.approved_by is ApprovedBy.INSTANT_REFUND]
    assert len(instant) == 3
    assert all(ticket.approved_by is None for ticket in tickets if ticket not in instant)


async def test_the_amount_cap_is_exact_too(market: Market) -> None:
    buyer = await market.premium_buyer("b-1")
    for index in range(4):
        await market.paid_order(buyer, f"o-{index}", amounts=(25000,))
    tickets = await asyncio.gather(*(market.asked(buyer, f"o-{index}") for index in range(4)))
    instant = [ticket for ticket in tickets if ticket.approved_by is ApprovedBy.INSTANT_REFUND]
    assert sum(ticket.amount_minor for ticket in instant) == 50000, "600.00 CNY in 30 days holds two of 250.00"


async def test_the_quota_rolls_over_its_window(market: Market) -> None:
    buyer = await market.premium_buyer("b-1", now=NOW)
    for index in range(4):
        await market.paid_order(buyer, f"o-{index}", amounts=(10000,), now=NOW)
    for index in range(3):
        assert (await market.asked(buyer, f"o-{index}")).approved_by is ApprovedBy.INSTANT_REFUND
    later = NOW + timedelta(days=30, seconds=1)
    await market.feed.roll_up(later)
    assert (await market.asked(buyer, "o-3", now=later)).approved_by is ApprovedBy.INSTANT_REFUND
