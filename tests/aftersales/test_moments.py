"""The exact times at which windows of caps and restrictions begin and end."""

from __future__ import annotations

import itertools
from datetime import datetime, timedelta

import pytest

from jitui.aftersales.commands.facts import decision_query
from jitui.aftersales.governance.registry import Restriction
from jitui.aftersales.model.ticket import ApprovedBy
from jitui.aftersales.model.usage import Usage
from jitui.aftersales.ports import DecisionInputs, OrderRef
from jitui.ids import lane_of, new_id
from tests.aftersales.market import NOW, Market, on_both_stores

A_MOMENT = timedelta(microseconds=1)
HALF_PAST = NOW + timedelta(minutes=30, seconds=30)
"""In the middle of a minute and of an hour; NOW is at the beginning of both."""


async def inputs_at(market: Market, ref: OrderRef, now: datetime) -> DecisionInputs:
    read = await market.store.read_inputs(ref, decision_query(market.policy, now, market.decision_settings.time_zone))
    assert read is not None
    return read[1]


async def used(market: Market, scope: str, seconds: int, bucket: datetime) -> None:
    ref = "shop-1" if scope == "shop" else ""
    async with market.pool.connection() as connection:
        await connection.execute(
            "INSERT INTO usage_bucket (scope, ref, bucket_seconds, bucket, currency, approvals, amount_minor) "
            "VALUES (%s, %s, %s, %s, 'CNY', 1, 700)",
            (scope, ref, seconds, bucket),
        )


@pytest.mark.parametrize(
    ("scope", "seconds", "window"), [("shop", 60, timedelta(hours=1)), ("platform", 3600, timedelta(hours=24))]
)
async def test_a_bucket_that_straddles_the_beginning_of_a_caps_window_counts_whole(
    market: Market, scope: str, seconds: int, window: timedelta
) -> None:
    """What is in it cannot be told apart, and a cap errs on the side of too much used."""
    ref = await market.paid_order(await market.premium_buyer("b-1"), "o-1")
    begins = HALF_PAST - window
    bucket = begins - timedelta(seconds=begins.timestamp() % seconds)
    assert bucket < begins < bucket + timedelta(seconds=seconds)
    await used(market, scope, seconds, bucket)
    await used(market, scope, seconds, bucket - timedelta(seconds=seconds))
    inputs = await inputs_at(market, ref, HALF_PAST)
    assert getattr(inputs, f"{scope}_usage") == Usage(1, 700), "the bucket before it lies outside whole"


@pytest.mark.parametrize(
    ("scope", "seconds", "window"), [("shop", 60, timedelta(hours=1)), ("platform", 3600, timedelta(hours=24))]
)
async def test_a_bucket_that_ends_where_a_caps_window_begins_counts_no_more(
    market: Market, scope: str, seconds: int, window: timedelta
) -> None:
    ref = await market.paid_order(await market.premium_buyer("b-1"), "o-1")
    ending = NOW - window - timedelta(seconds=seconds)
    await used(market, scope, seconds, ending)
    assert getattr(await inputs_at(market, ref, NOW), f"{scope}_usage") == Usage()
    assert getattr(await inputs_at(market, ref, NOW - A_MOMENT), f"{scope}_usage") == Usage(1, 700)


async def test_usage_is_read_at_the_grain_of_the_cap_and_of_its_own_scope(market: Market) -> None:
    ref = await market.paid_order(await market.premium_buyer("b-1"), "o-1")
    await used(market, "shop", 3600, NOW)
    await used(market, "platform", 60, NOW)
    inputs = await inputs_at(market, ref, NOW)
    assert (inputs.shop_usage, inputs.platform_usage) == (Usage(), Usage())


@on_both_stores
async def test_an_approval_leaves_the_buyers_window_exactly_when_the_window_is_over(market: Market) -> None:
    buyer = await market.premium_buyer("b-1")
    ref = await market.paid_order(buyer, "o-1", amounts=(10000,))
    assert (await market.asked(buyer, "o-1")).approved_by is ApprovedBy.INSTANT_REFUND
    thirty_days = NOW + timedelta(days=30)
    assert (await inputs_at(market, ref, thirty_days - A_MOMENT)).buyer_usage == Usage(1, 10000)
    assert (await inputs_at(market, ref, thirty_days)).buyer_usage == Usage()


@on_both_stores
async def test_only_the_buyers_own_instant_approvals_count_against_the_buyers_cap(market: Market) -> None:
    """Not a ticket that waits, nor another buyer's of the same lane."""
    buyer, other = await market.premium_buyer("b-1"), _of_the_same_lane("b-1")
    await market.premium_buyer(other)
    ref = await market.paid_order(buyer, "o-1")
    await market.paid_order(buyer, "o-2", amounts=(40000,))
    await market.paid_order(other, "o-3", amounts=(10000,))
    assert (await market.asked(buyer, "o-2")).approved_by is None
    assert (await market.asked(other, "o-3")).approved_by is ApprovedBy.INSTANT_REFUND
    assert (await inputs_at(market, ref, NOW)).buyer_usage == Usage()


@on_both_stores
async def test_a_restriction_holds_from_its_first_moment_and_no_longer_at_its_last(market: Market) -> None:
    ref = await market.paid_order(await market.premium_buyer("b-1"), "o-1")
    ends = NOW + timedelta(days=1)
    await market.registry.restrict(Restriction(new_id(ref.lane), "b-1", "", NOW, ends, "ops"))
    moments = (NOW - A_MOMENT, NOW, ends - A_MOMENT, ends)
    assert [(await inputs_at(market, ref, at)).restricted for at in moments] == [False, True, True, False]


@on_both_stores
async def test_a_restriction_without_an_end_holds_until_it_is_lifted(market: Market) -> None:
    ref = await market.paid_order(await market.premium_buyer("b-1"), "o-1")
    restriction = Restriction(new_id(ref.lane), "b-1", "", NOW, None, "ops")
    await market.registry.restrict(restriction)
    years_later = NOW + timedelta(days=3650)
    assert (await inputs_at(market, ref, years_later)).restricted
    assert await market.registry.lift_restriction(restriction.restriction_id, NOW, by="t")
    assert not (await inputs_at(market, ref, years_later)).restricted
    assert not await market.registry.lift_restriction(restriction.restriction_id, NOW, by="t"), "it is lifted once"


@on_both_stores
async def test_another_buyers_restriction_says_nothing(market: Market) -> None:
    """Of the same lane, since that is all that the two have in common."""
    ref = await market.paid_order(await market.premium_buyer("b-1"), "o-1")
    other = _of_the_same_lane("b-1")
    await market.premium_buyer(other)
    await market.registry.restrict(Restriction(new_id(ref.lane), other, "", NOW, None, "ops"))
    assert not (await inputs_at(market, ref, NOW)).restricted


def _of_the_same_lane(buyer_id: str) -> str:
    names = (f"{buyer_id}-{number}" for number in itertools.count())
    return next(name for name in names if lane_of(name) == lane_of(buyer_id))
