"""A canary decides for its buyers, whole; a shadow decides beside the live policy and changes nothing."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta

import pytest
from psycopg import errors

from jitui.aftersales.commands.intake import capture_payment
from jitui.aftersales.commands.request_refund import Eligibility, RefundRequest, check_eligibility
from jitui.aftersales.deciding import Canary
from jitui.aftersales.governance.publication import Stage
from jitui.aftersales.governance.shadowing import shadow_now
from jitui.aftersales.model.order import Tender
from jitui.aftersales.model.ticket import ApprovedBy, Arm
from jitui.aftersales.ports import OrderRef, StoredDecision, TicketRef
from jitui.ids import lane_of
from jitui.policy import Policy, drawn_for_canary, held_out
from tests.aftersales.market import DEFAULT_POLICY, NOW, Market, on_both_stores
from tests.publishing import put, put_in_force

SEED = "a-seed"


def edited(*edits: tuple[str, str]) -> Policy:
    """The default policy as version 3 with these edits."""
    text = DEFAULT_POLICY.text.replace(f'version: "{DEFAULT_POLICY.version}"', 'version: "3"')
    for old, new in edits:
        assert old in text, old
        text = text.replace(old, new)
    return Policy.from_text(text)


STRICTER = edited(("limit_minor: 30000", "limit_minor: 10000"), ("deadline: 48h", "deadline: 24h"))
"""Sends the market's usual order of 12900 to review, for one day."""

WIDER = edited(("limit_minor: 30000", "limit_minor: 50000"), ("zh: 该用户", "zh: 试行：该用户"))


def buyers(*, in_canary: bool, percent: int = 50, is_held_out: bool = False) -> Iterator[str]:
    names = (f"b-{number}" for number in itertools.count())
    return itertools.filterfalse(
        lambda name: (
            drawn_for_canary(SEED, percent, name) is not in_canary or held_out(DEFAULT_POLICY, name) is not is_held_out
        ),
        names,
    )


async def decision_of(market: Market, buyer_id: str, order_id: str) -> StoredDecision:
    snapshot = await market.store.read_order(OrderRef(lane_of(buyer_id), order_id))
    assert snapshot is not None
    newest = max(snapshot.tickets, key=lambda ticket: ticket.requested_at)
    found = await market.queries.decision(TicketRef(newest.lane, newest.ticket_id))
    assert found is not None
    return found


@on_both_stores
async def test_the_whole_policy_of_a_canary_decides_for_its_buyers_and_the_live_one_for_the_others(
    market: Market,
) -> None:
    market = market.with_beside(canary=Canary(STRICTER, 50, SEED))
    drawn, other = next(buyers(in_canary=True)), next(buyers(in_canary=False))
    for buyer in (drawn, other):
        await market.premium_buyer(buyer)
        await market.paid_order(buyer, f"o-{buyer}")
    canary, live = await market.asked(drawn, f"o-{drawn}"), await market.asked(other, f"o-{other}")
    assert (canary.arm, canary.approved_by) == (Arm.CANARY, None)
    assert canary.expires_at == NOW + timedelta(hours=24)
    assert (live.arm, live.approved_by) == (Arm.LIVE, ApprovedBy.INSTANT_REFUND)
    assert (await decision_of(market, drawn, f"o-{drawn}")).policy_sha256 == STRICTER.sha256
    assert (await decision_of(market, other, f"o-{other}")).policy_sha256 == DEFAULT_POLICY.sha256


@on_both_stores
async def test_a_canary_that_approves_more_approves_with_its_own_notice(market: Market) -> None:
    market = market.with_beside(canary=Canary(WIDER, 50, SEED))
    drawn = await market.premium_buyer(next(buyers(in_canary=True)))
    await market.paid_order(drawn, "o-1", amounts=(40000,))
    ticket = await market.asked(drawn, "o-1")
    assert (ticket.arm, ticket.approved_by) == (Arm.CANARY, ApprovedBy.INSTANT_REFUND)
    assert ticket.notice is not None
    assert ticket.notice["zh"].startswith("试行")


@on_both_stores
async def test_the_dry_run_is_decided_by_the_policy_that_would_decide_the_request(market: Market) -> None:
    market = market.with_beside(canary=Canary(STRICTER, 50, SEED))
    drawn = await market.premium_buyer(next(buyers(in_canary=True)))
    await market.paid_order(drawn, "o-1")
    found = await check_eligibility(market.store, market.decision_settings, RefundRequest(drawn, "o-1"), now=NOW)
    assert isinstance(found, Eligibility)
    assert found.decision.policy_sha256 == STRICTER.sha256
    assert found.decision.outcome == "review"


@on_both_stores
async def test_the_hold_out_comes_before_the_canary(market: Market) -> None:
    market = market.with_beside(canary=Canary(STRICTER, 99, SEED))
    held = next(buyers(in_canary=True, is_held_out=True, percent=99))
    await market.paid_order(held, "o-1")
    ticket = await market.asked(held, "o-1")
    assert (ticket.arm, ticket.approved_by, ticket.expires_at) == (Arm.HOLD_OUT, None, NOW + timedelta(hours=48))
    # Whom the platform put on the list of the selected is not held out, and no canary takes the buyer either.
    await market.premium_buyer(held)
    await market.paid_order(held, "o-2")
    ticket = await market.asked(held, "o-2")
    assert (ticket.arm, ticket.approved_by) == (Arm.LIVE, ApprovedBy.INSTANT_REFUND)


@on_both_stores
async def test_whom_the_canarys_own_hold_out_takes_is_held_out(market: Market) -> None:
    canary = edited(("hold_out_percent: 2", "hold_out_percent: 100"))
    market = market.with_beside(canary=Canary(canary, 50, SEED))
    drawn = next(buyers(in_canary=True))
    await market.paid_order(drawn, "o-1")
    assert (await market.asked(drawn, "o-1")).arm is Arm.HOLD_OUT
    assert (await decision_of(market, drawn, "o-1")).policy_sha256 == canary.sha256


@pytest.mark.parametrize("drawn", [True, False])
@on_both_stores
async def test_money_captured_later_is_decided_by_the_buyers_policy(market: Market, *, drawn: bool) -> None:
    # The canary has a cap of its own over another window, and features of its own.
    canary = edited(
        ("buyer.paid_orders_90d:", "buyer.paid_orders_30d:  {count: order_paid, over: 30d}\n  buyer.paid_orders_90d:"),
        ("when: order.paid_minor < limit_minor", "when: order.paid_minor < 15000 && buyer.paid_orders_30d >= 1"),
    )
    market = market.with_beside(canary=Canary(canary, 50, SEED))
    buyer = await market.premium_buyer(next(buyers(in_canary=drawn)))
    ref = await market.paid_order(buyer, "o-1", amounts=(20000,), tenders=(2000,))
    assert (await market.asked(buyer, "o-1")).approved_by is ApprovedBy.INSTANT_REFUND
    later = Tender("t2", "simulator", "pay-2", "CNY", 18000, NOW)
    await capture_payment(market.store, ref, later, market.decision_settings, now=NOW)
    snapshot = await market.store.read_order(ref)
    assert snapshot is not None
    instant = sum(one.amount_minor for one in snapshot.tickets if one.approved_by is ApprovedBy.INSTANT_REFUND)
    assert instant == (2000 if drawn else 20000)
    assert {one.arm for one in snapshot.tickets} == {Arm.CANARY if drawn else Arm.LIVE}


@on_both_stores
async def test_a_shadow_decides_beside_the_live_policy_with_its_own_features_and_caps(market: Market) -> None:
    shadow = edited(
        ("buyer.paid_orders_90d:", "buyer.paid_orders_7d:  {count: order_paid, over: 7d}\n  buyer.paid_orders_90d:"),
        ("when: order.paid_minor < limit_minor", "when: order.paid_minor < limit_minor && buyer.paid_orders_7d == 4"),
        ("per_buyer: {count: 3, amount_minor: 60000, over: 30d}", "per_buyer: {count: 1, over: 1h}"),
    )
    # Paid 5, 6 and 7 days ago, and now: four within a week.
    market = market.with_beside(shadow=shadow)
    buyer = await market.premium_buyer(next(buyers(in_canary=False)))
    await market.paid_order(buyer, "o-1")
    assert (await market.asked(buyer, "o-1")).approved_by is ApprovedBy.INSTANT_REFUND
    first = await decision_of(market, buyer, "o-1")
    assert first.shadow is not None
    assert (first.shadow["policy_sha256"], first.shadow["policy_version"]) == (shadow.sha256, "3")
    assert (first.shadow["outcome"], first.shadow["differs"], first.shadow["error"]) == ("instant", [], None)
    await market.paid_order(buyer, "o-2")
    assert (await market.asked(buyer, "o-2")).approved_by is ApprovedBy.INSTANT_REFUND
    second = await decision_of(market, buyer, "o-2")
    assert second.shadow is not None
    assert (second.outcome, second.shadow["outcome"]) == ("instant", "review")
    assert second.shadow["differs"] == ["paid_under_300", "within_caps"]


@on_both_stores
async def test_a_shadow_that_cannot_decide_does_not_touch_the_request(market: Market) -> None:
    broken = replace(edited(), programs=None)  # type: ignore[arg-type]
    market = market.with_beside(shadow=broken)
    buyer = await market.premium_buyer(next(buyers(in_canary=False)))
    await market.paid_order(buyer, "o-1")
    assert (await market.asked(buyer, "o-1")).approved_by is ApprovedBy.INSTANT_REFUND
    found = await decision_of(market, buyer, "o-1")
    assert found.shadow is not None
    assert (found.shadow["outcome"], found.shadow["error"]) == (None, "AttributeError")


@on_both_stores
async def test_without_a_shadow_and_in_a_canary_nothing_is_compared(market: Market) -> None:
    plain, drawn = next(buyers(in_canary=False)), next(buyers(in_canary=True))
    for buyer in (plain, drawn):
        await market.premium_buyer(buyer)
        await market.paid_order(buyer, f"o-{buyer}")
    await market.asked(plain, f"o-{plain}")
    await market.with_beside(canary=Canary(WIDER, 50, SEED), shadow=STRICTER).asked(drawn, f"o-{drawn}")
    assert (await decision_of(market, plain, f"o-{plain}")).shadow is None
    assert (await decision_of(market, drawn, f"o-{drawn}")).shadow is None


async def test_the_report_counts_outcomes_and_conditions_and_names_examples(market: Market) -> None:
    await put_in_force(market.policies, DEFAULT_POLICY, now=NOW)
    assert await shadow_now(market.policies, market.queries) is None
    await put(market.policies, STRICTER, now=NOW, stage=Stage.SHADOW)
    beside = market.with_beside(shadow=STRICTER)
    asked = {}
    for number, amount in enumerate((9000, 12900, 12900, 40000)):
        buyer = await market.premium_buyer(f"b-{number}")
        await market.paid_order(buyer, f"o-{number}", amounts=(amount,))
        asked[number] = await beside.asked(buyer, f"o-{number}", now=NOW + timedelta(seconds=number))
    # Another text's results, and what nothing was compared for, are no part of it.
    for name, other in (("other", market.with_beside(shadow=WIDER)), ("none", market)):
        await market.premium_buyer(name)
        await market.paid_order(name, f"o-{name}")
        await other.asked(name, f"o-{name}")
    found = await shadow_now(market.policies, market.queries, examples=1)
    assert found is not None
    assert (found.shadow.version, found.live.version) == ("3", "2")
    report = found.report
    assert (report.requests, report.differ) == (4, 2)
    assert [(cell.live, cell.shadow, cell.requests) for cell in report.cells] == [
        ("instant", "instant", 1),
        ("instant", "review", 2),
        ("review", "review", 1),
    ]
    assert report.cells[1].examples == (asked[2].ticket_id,)
    assert [(one.condition, one.requests, one.examples) for one in report.conditions] == [
        ("paid_under_300", 2, (asked[2].ticket_id,))
    ]
    assert (report.first_at, report.last_at) == (NOW, NOW + timedelta(seconds=3))


async def test_a_ticket_is_in_an_arm_that_there_is(market: Market) -> None:
    buyer = await market.premium_buyer("b-1")
    await market.paid_order(buyer, "o-1")
    await market.asked(buyer, "o-1")
    async with market.pool.connection() as connection:
        with pytest.raises(errors.CheckViolation):
            await connection.execute("UPDATE ticket SET arm = 'canaries'")
