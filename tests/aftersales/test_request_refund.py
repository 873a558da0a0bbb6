"""A buyer asks: what is decided at once, what goes to review, and what is refused."""

from __future__ import annotations

from jitui.aftersales.ticket import ApprovedBy, TicketState
from tests.aftersales.market import Market


async def test_a_premium_buyers_unshipped_order_under_300_is_approved_at_once(market: Market) -> None:
    buyer = await market.premium_buyer("b-1")
    await market.paid_order(buyer, "o-1", amounts=(12900,))
    ticket = await market.asked(buyer, "o-1")
    assert (ticket.state, ticket.approved_by) == (TicketState.REFUNDING, ApprovedBy.INSTANT_REFUND)
    assert ticket.amount_minor == 12900
