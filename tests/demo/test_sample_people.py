"""Whom the demo signs in."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from jitui.demo.marketplace import EventKind, generate
from jitui.demo.stock import open_instantly, sample_people

ENDS_AT = datetime(2026, 6, 1, 12, tzinfo=UTC)


@pytest.mark.parametrize("seed", range(1, 9))
@pytest.mark.parametrize("orders", [300, 2_000])
def test_the_first_buyer_can_ask_for_the_two_refunds_of_the_tour(seed: int, orders: int) -> None:
    """The policy wants five paid orders in 90 days for each refund before shipment."""
    market = generate(seed=seed, orders=orders, ends_at=ENDS_AT)
    first = sample_people(market)[0].subject_id
    (buyer,) = [one for one in market.buyers if one.buyer_id == first]
    paid = [one for one in buyer.history if one.kind == "order_paid" and one.at > ENDS_AT - timedelta(days=90)]
    asked = {event.order_id for event in market.events if event.kind is EventKind.ASK}
    before = [order for order in market.orders if order.buyer_id == first and order.order_id in asked]
    left = [order for order in open_instantly(market) if order.buyer_id == first]
    assert len(left) >= 2
    assert (len(before) + 2) * 5 <= len(paid)
