"""Facts of a decision that differ only by their values."""

from __future__ import annotations

import itertools
from datetime import timedelta
from zoneinfo import ZoneInfo

import pytest

from jitui.aftersales.commands.cap_usage import SHORT_CAP_SECONDS, bucket_seconds
from jitui.aftersales.commands.facts import arm_of, gather_facts, is_selected
from jitui.aftersales.deciding import BuyersPolicy
from jitui.aftersales.model.order import Buyer, Order
from jitui.aftersales.model.snapshot import OrderSnapshot
from jitui.aftersales.model.ticket import Arm
from jitui.aftersales.outcomes import Refusal, RefusalCode
from jitui.aftersales.ports import DecisionInputs, HistoryRecord, TicketRef
from jitui.policy import held_out
from tests.aftersales.market import DEFAULT_POLICY, HISTORY_KINDS, NOW, TIME_ZONE, Market, on_both_stores


def test_a_buyer_whom_the_platform_put_on_a_list_is_not_held_out_by_chance() -> None:
    names = (f"b-{number}" for number in itertools.count())
    by_chance = next(name for name in names if held_out(DEFAULT_POLICY, name))
    live = next(name for name in names if not held_out(DEFAULT_POLICY, name))
    assert [arm_of(BuyersPolicy(DEFAULT_POLICY), by_chance, word) for word in (None, "allow", "deny")] == [
        Arm.HOLD_OUT,
        Arm.LIVE,
        Arm.LIVE,
    ]
    assert arm_of(BuyersPolicy(DEFAULT_POLICY), live, None) is Arm.LIVE
    assert [is_selected(DEFAULT_POLICY, by_chance, word) for word in (None, "allow", "deny")] == [False, True, False]


@pytest.mark.parametrize(("over_seconds", "seconds"), [(3600, 60), (7199, 60), (7200, 60), (7201, 3600), (86400, 3600)])
def test_caps_of_up_to_two_hours_are_counted_by_the_minute(over_seconds: int, seconds: int) -> None:
    assert SHORT_CAP_SECONDS == 7200
    assert bucket_seconds(over_seconds) == seconds


@on_both_stores
async def test_what_is_asked_of_a_line_is_a_fact_of_that_line_alone(market: Market) -> None:
    buyer = await market.premium_buyer("b-1")
    await market.paid_order(buyer, "o-1", amounts=(5000, 6000, 7000), quantities=(3, 3, 3))
    ticket = await market.asked(buyer, "o-1", lines=[("l2", 2)])
    decision = await market.queries.decision(TicketRef(ticket.lane, ticket.ticket_id))
    assert decision is not None
    lines = decision.facts["order.lines"]
    assert isinstance(lines, list)
    assert [(line["line_id"], line["requested_quantity"]) for line in lines] == [("l1", 0), ("l2", 2), ("l3", 0)]


@pytest.mark.parametrize("quantity", [0, -1, 4])
@on_both_stores
async def test_units_that_are_none_or_more_than_there_are_cannot_be_asked_for(market: Market, quantity: int) -> None:
    buyer = await market.premium_buyer("b-1")
    await market.paid_order(buyer, "o-1", amounts=(6000,), quantities=(3,))
    refused = await market.ask(buyer, "o-1", lines=[("l1", quantity)])
    assert isinstance(refused, Refusal) and refused.code is RefusalCode.UNITS_NOT_AVAILABLE


def test_a_feature_that_was_not_counted_is_unknown_although_its_history_is_known() -> None:
    """A store that leaves a window out has not said that nothing happened (I5)."""
    history = tuple(HistoryRecord(kind, NOW - timedelta(days=3650)) for kind in HISTORY_KINDS)
    order = Order(0, "o-1", "b-1", "shop-1", "CNY", NOW, 0, paid_at=NOW)
    facts = gather_facts(
        DEFAULT_POLICY,
        OrderSnapshot(order, Buyer(0, "b-1")),
        DecisionInputs(history=history, shop_days_as_of=NOW),
        asked=[],
        amount_minor=0,
        cap_amount_minor=0,
        now=NOW,
        time_zone=ZoneInfo(TIME_ZONE),
    )
    assert not {feature.name for feature in DEFAULT_POLICY.features if facts.get(feature.name) is not None}


@on_both_stores
async def test_a_decision_has_its_moment_in_the_platforms_time_zone(market: Market) -> None:
    buyer = await market.premium_buyer("b-1")
    await market.paid_order(buyer, "o-1")
    ticket = await market.asked(buyer, "o-1")
    decision = await market.queries.decision(TicketRef(ticket.lane, ticket.ticket_id))
    assert decision is not None
    at = decision.decided_at.astimezone(ZoneInfo(TIME_ZONE))
    found = [decision.facts[name] for name in ("request.hour", "request.weekday", "request.date")]
    assert found == [at.hour, int(f"{at:%w}"), f"{at:%Y-%m-%d}"]
