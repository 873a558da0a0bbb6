"""Restriction rules of the policy: applied when the buyer asks and by workers, once for the same events."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Any, cast
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jitui.adapters.postgres.restrictions import PostgresRestrictionChecks
from jitui.aftersales.changes import RecordBuyerEvent, RestrictBuyer
from jitui.aftersales.commands.facts import decision_query
from jitui.aftersales.commands.request_refund import RefundRequest, check_eligibility
from jitui.aftersales.commands.restriction_rules import BuyerChecked, RestrictionChecks, check_due
from jitui.aftersales.deciding import Deciding
from jitui.aftersales.governance.registry import Restriction
from jitui.aftersales.memory_store import MemoryStore
from jitui.aftersales.model.order import Buyer
from jitui.aftersales.model.ticket import Ticket, TicketState
from jitui.aftersales.outcomes import Refusal
from jitui.aftersales.ports import HistoryRecord, StoredDecision, TicketRef
from jitui.ids import lane_of, new_id
from jitui.policy import Policy, decide, decision_to_json
from tests.aftersales.market import DEFAULT_POLICY, NOW, TIME_ZONE, Market, memory_market, on_both_stores

BUYER = "b-1"
A_DAY = timedelta(days=1)
ZONE = ZoneInfo(TIME_ZONE)
_RULE = "buyer.refunds_before_shipment_90d >= 10 && buyer.refunds_before_shipment_90d * 2 >= buyer.paid_orders_90d"


def ruled(when: str = "buyer.refunds_before_shipment_90d >= 3", lasts: str = "30d", more: str = "") -> Policy:
    """The default policy with another rule, and premium buyers who may cancel."""
    looser = DEFAULT_POLICY.text.replace("buyer.refunds_before_shipment_90d * 5 <= buyer.paid_orders_90d", "true")
    text = looser.replace(_RULE, when).replace(
        "withdraw: instant_refund\n    for: 90d", f"withdraw: instant_refund\n    for: {lasts}{more}"
    )
    assert when in text and f"for: {lasts}" in text
    return Policy.from_text(text)


POLICY = ruled(more="\n    text: {zh: 近期多次在发货前取消订单, en: Many orders were cancelled before shipment}")


def checks_of(market: Market) -> RestrictionChecks:
    if isinstance(market.store, MemoryStore):
        return market.store.restriction_checks
    return PostgresRestrictionChecks(market.pool)


async def cancelled(
    market: Market, times: int, at: datetime = NOW, buyer_id: str = BUYER, kind: str = "refund_before_shipment"
) -> None:
    events = [RecordBuyerEvent(buyer_id, f"{kind}-{at.isoformat()}-{n}", kind, at, at) for n in range(times)]
    assert await market.registry.record_buyer_events(events) == times


async def work(market: Market, now: datetime = NOW) -> int:
    return await check_due(checks_of(market), Deciding(market.policy), now=now, time_zone=ZONE)


async def restrictions(market: Market, buyer_id: str = BUYER) -> Sequence[Restriction]:
    return await market.registry.restrictions_of(buyer_id)


async def decided(market: Market, ticket: Ticket) -> StoredDecision:
    found = await market.queries.decision(TicketRef(ticket.lane, ticket.ticket_id))
    assert found is not None
    return found


@pytest.fixture
async def ruled_market(market: Market) -> Market:
    market = market.deciding_by(POLICY)
    await market.premium_buyer(BUYER)
    return market


# When the buyer asks ---------------------------------------------------------------------------------------------


@on_both_stores
async def test_a_rule_that_is_true_restricts_the_buyer_who_asks_in_the_same_transaction(ruled_market: Market) -> None:
    market = ruled_market
    await cancelled(market, 3)
    await market.paid_order(BUYER, "o-1")
    ticket = await market.asked(BUYER, "o-1")
    (restriction,) = await restrictions(market)
    assert ticket.state is TicketState.AWAITING_MERCHANT
    assert (restriction.rule_id, restriction.policy_id, restriction.policy_version, restriction.policy_sha256) == (
        "serial_canceller",
        POLICY.id,
        POLICY.version,
        POLICY.sha256,
    )
    assert restriction.facts == {"buyer.refunds_before_shipment_90d": 3}, "what the rule read, and nothing else"
    assert (restriction.starts_at, restriction.ends_at) == (NOW, NOW + timedelta(days=30))
    assert restriction.text["en"] == "Many orders were cancelled before shipment"
    stored = await decided(market, ticket)
    assert stored.facts["buyer.restricted"] is True
    assert decision_to_json(decide(POLICY, cast(Any, stored.facts))) == stored.decision, (
        "the stored facts give the decision again"
    )


@on_both_stores
async def test_a_rule_that_is_not_true_or_unknown_restricts_nobody(ruled_market: Market) -> None:
    market = ruled_market
    await cancelled(market, 2)
    await market.paid_order(BUYER, "o-1")
    assert (await market.asked(BUYER, "o-1")).state is TicketState.REFUNDING
    unknown = market.deciding_by(ruled("buyer.refunds_before_shipment_90d >= 1"))
    await market.registry.record_history([HistoryRecord("refund_before_shipment", NOW - A_DAY)])
    await market.paid_order(BUYER, "o-2")
    await unknown.asked(BUYER, "o-2")
    assert await work(unknown) and await restrictions(market) == []


@on_both_stores
async def test_a_dry_run_says_that_the_buyer_is_restricted_and_writes_nothing(ruled_market: Market) -> None:
    market = ruled_market
    await cancelled(market, 3)
    await market.paid_order(BUYER, "o-1")
    checked = await check_eligibility(market.store, market.decision_settings, RefundRequest(BUYER, "o-1"), now=NOW)
    assert not isinstance(checked, Refusal)
    verdicts = {one.id: one.verdict.value for one in checked.decision.conditions}
    assert verdicts["not_restricted"] == "false"
    assert await restrictions(market) == []


@on_both_stores
async def test_another_rule_and_a_restriction_by_hand_do_not_keep_a_rule_from_restricting(
    ruled_market: Market,
) -> None:
    market = ruled_market
    by_hand = Restriction(new_id(lane_of(BUYER)), BUYER, "abuse", NOW - A_DAY, None, "li.na")
    await market.registry.restrict(by_hand)
    await cancelled(market, 3)
    await work(market)
    assert {one.rule_id for one in await restrictions(market)} == {None, "serial_canceller"}


# As events arrive ------------------------------------------------------------------------------------------------


@on_both_stores
async def test_a_worker_restricts_before_the_buyer_asks_again(ruled_market: Market) -> None:
    market = ruled_market
    await work(market)
    await cancelled(market, 2)
    assert (await work(market), len(await restrictions(market))) == (1, 0)
    await cancelled(market, 1, NOW + timedelta(minutes=1))
    assert (await work(market), len(await restrictions(market))) == (1, 1)
    assert await work(market) == 0, "nobody is due until the next event"
    await market.paid_order(BUYER, "o-1")
    ticket = await market.asked(BUYER, "o-1")
    assert ticket.state is TicketState.AWAITING_MERCHANT
    assert (await decided(market, ticket)).facts["buyer.restricted"] is True
    await work(market)
    assert len(await restrictions(market)) == 1, "one stands, and there is no second one"


@on_both_stores
async def test_without_rules_nobody_stays_due(ruled_market: Market) -> None:
    start = DEFAULT_POLICY.text.index("restrictions:")
    end = DEFAULT_POLICY.text.index("review:")
    none = ruled_market.deciding_by(Policy.from_text(DEFAULT_POLICY.text[:start] + DEFAULT_POLICY.text[end:]))
    await cancelled(ruled_market, 3)
    assert (await work(none), await work(none)) == (1, 0)
    assert await restrictions(ruled_market) == []


@on_both_stores
async def test_an_event_that_is_sent_again_makes_nobody_due_and_a_retraction_does(ruled_market: Market) -> None:
    market = ruled_market
    await cancelled(market, 3)
    await work(market)
    events = [
        RecordBuyerEvent(BUYER, f"refund_before_shipment-{NOW.isoformat()}-0", "refund_before_shipment", NOW, NOW)
    ]
    assert await market.registry.record_buyer_events(events) == 0
    assert await work(market) == 0
    back = RecordBuyerEvent(BUYER, "back", "refund_before_shipment", NOW, NOW, retracts=events[0].event_id)
    await market.registry.record_buyer_events([back])
    assert await work(market) == 1
    assert len(await restrictions(market)) == 1, "a restriction is lifted by people"


async def test_two_workers_and_a_request_at_once_make_one_restriction(ruled_market: Market) -> None:
    market = ruled_market
    await market.paid_order(BUYER, "o-1")
    await cancelled(market, 3)
    await asyncio.gather(*(work(market) for _ in range(4)), market.ask(BUYER, "o-1"), work(market))
    assert len(await restrictions(market)) == 1


async def test_the_database_takes_a_rules_occurrence_once(ruled_market: Market) -> None:
    """Whatever the locks do: the same restriction from two connections is one."""
    market = ruled_market
    await cancelled(market, 3)
    await work(market)
    async with market.pool.connection() as connection:
        with pytest.raises(Exception, match="one_restriction_per_occurrence"):
            await connection.execute(
                "INSERT INTO restriction SELECT (jsonb_populate_record(r, "
                "jsonb_build_object('restriction_id', gen_random_uuid()))).* FROM restriction r"
            )


async def test_a_worker_that_dies_loses_nobody(ruled_market: Market) -> None:
    market = ruled_market
    await cancelled(market, 3)
    query = decision_query(POLICY, NOW, ZONE)

    def dies(_: BuyerChecked) -> Sequence[RestrictBuyer]:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        await checks_of(market).check(lane_of(BUYER), query, dies, limit=9)
    assert (await work(market), len(await restrictions(market))) == (1, 1)


async def test_a_worker_leaves_out_whoever_is_locked_and_comes_back(ruled_market: Market) -> None:
    """Somebody is deciding for the buyer: who writes without the lock could restrict beside that decision."""
    market = ruled_market
    await cancelled(market, 3)
    async with market.pool.connection() as held:
        await held.execute("SELECT 1 FROM buyer WHERE buyer_id = %s FOR UPDATE", [BUYER])
        assert (await work(market), len(await restrictions(market))) == (0, 0)
    assert (await work(market), len(await restrictions(market))) == (1, 1)


async def test_events_that_are_committed_late_are_not_overlooked(ruled_market: Market) -> None:
    """Another buyer's later events are worked on first; the ones that were begun earlier come after them."""
    market = ruled_market
    await work(market)
    async with market.pool.connection() as held:
        await held.execute("SELECT 1 FROM buyer WHERE buyer_id = %s FOR UPDATE", [BUYER])
        late = asyncio.create_task(cancelled(market, 3))
        await asyncio.sleep(0.05)
        await cancelled(market, 3, buyer_id="b-2")
        assert await work(market) == 1
        assert await restrictions(market) == []
    await late
    assert (await work(market), len(await restrictions(market))) == (1, 1)


# Once for the same events ----------------------------------------------------------------------------------------


@on_both_stores
async def test_a_restriction_that_ended_needs_new_events(ruled_market: Market) -> None:
    market = ruled_market
    await cancelled(market, 3)
    await work(market)
    last, end = NOW + timedelta(days=30) - timedelta(microseconds=1), NOW + timedelta(days=30)
    await market.paid_order(BUYER, "o-1", now=last)
    assert (await market.asked(BUYER, "o-1", now=last)).state is TicketState.AWAITING_MERCHANT
    await market.paid_order(BUYER, "o-2", now=end)
    await market.feed.roll_up(end)
    assert (await market.asked(BUYER, "o-2", now=end)).state is TicketState.REFUNDING, "over at its end, not after it"
    await work(market, end)
    assert len(await restrictions(market)) == 1, "the three from before the restriction are still in the window"
    await cancelled(market, 2, end)
    await work(market, end)
    assert len(await restrictions(market)) == 1
    await cancelled(market, 1, end + timedelta(minutes=1))
    await work(market, end + timedelta(minutes=2))
    newest, _ = await restrictions(market)
    assert (newest.occurrence, newest.facts) == (2, {"buyer.refunds_before_shipment_90d": 3})


@on_both_stores
async def test_what_happened_during_a_restriction_counts_when_it_has_ended(ruled_market: Market) -> None:
    market = ruled_market
    await cancelled(market, 3)
    await work(market)
    await cancelled(market, 3, NOW + 2 * A_DAY)
    await work(market, NOW + 2 * A_DAY)
    assert len(await restrictions(market)) == 1, "while one stands there is no second one"
    end = NOW + timedelta(days=30)
    await market.paid_order(BUYER, "o-1", now=end)
    assert (await market.asked(BUYER, "o-1", now=end)).state is TicketState.AWAITING_MERCHANT
    assert [one.starts_at for one in await restrictions(market)] == [end, NOW], "the next one begins as the first ends"


@on_both_stores
async def test_what_a_lifted_restriction_was_lifted_over_does_not_count_again(ruled_market: Market) -> None:
    market = ruled_market
    await cancelled(market, 3)
    await work(market)
    (restriction,) = await restrictions(market)
    await cancelled(market, 3, NOW + 2 * A_DAY)
    lifted_at = NOW + 3 * A_DAY
    assert await market.registry.lift_restriction(restriction.restriction_id, lifted_at, by="wu", reason="A mistake.")
    await work(market, lifted_at)
    await market.paid_order(BUYER, "o-1", now=lifted_at)
    await market.feed.roll_up(lifted_at)
    assert (await market.asked(BUYER, "o-1", now=lifted_at)).state is TicketState.REFUNDING
    await cancelled(market, 3, lifted_at + A_DAY)
    await work(market, lifted_at + A_DAY)
    assert [one.occurrence for one in await restrictions(market)] == [2, 1]


@on_both_stores
async def test_attributes_alone_do_not_restrict_twice(ruled_market: Market) -> None:
    market = ruled_market.deciding_by(ruled("buyer.account_age_days > 3"))
    await work(market)
    (restriction,) = await restrictions(market)
    await market.registry.lift_restriction(restriction.restriction_id, NOW, by="wu", reason="A mistake.")
    await cancelled(market, 1, NOW + A_DAY)
    await work(market, NOW + A_DAY)
    assert len(await restrictions(market)) == 1


@settings(max_examples=60, deadline=None)
@given(
    steps=st.lists(
        st.tuples(st.sampled_from(["cancel", "pay", "lift", "work"]), st.integers(0, 20)), min_size=5, max_size=40
    )
)
def test_whatever_happens_each_restriction_rests_on_events_of_its_own(steps: list[tuple[str, int]]) -> None:
    asyncio.run(_live(steps))


async def _live(steps: list[tuple[str, int]]) -> None:
    """The law: a restriction rests on three events or more of days on which no earlier one of the rule rests."""
    market = (await memory_market()).deciding_by(POLICY)
    await market.registry.put_buyer(Buyer(lane_of(BUYER), BUYER, NOW - 400 * A_DAY), NOW)
    now, days = NOW, list[datetime]()
    for number, (step, wait) in enumerate(steps):
        now += wait * A_DAY
        at = now + timedelta(seconds=number)
        if step == "cancel":
            await cancelled(market, 1, at)
            days.append(now)
        elif step == "pay":
            await cancelled(market, 1, at, kind="order_paid")
        elif step == "lift":
            for one in await restrictions(market):
                await market.registry.lift_restriction(one.restriction_id, now, by="wu", reason="so")
        await work(market, now + timedelta(minutes=1))
    used_until = None
    for one in reversed(await restrictions(market)):
        start = one.starts_at.astimezone(ZONE).date()
        its_own = [day for day in days if used_until is None or day.astimezone(ZONE).date() > used_until]
        assert sum(day.astimezone(ZONE).date() <= start for day in its_own) >= 3
        ended = (one.lifted_at or one.starts_at).astimezone(ZONE).date()
        used_until = ended if used_until is None else max(used_until, ended)
    standing = sorted(await restrictions(market), key=lambda one: one.starts_at)
    for earlier, later in pairwise(standing):
        assert earlier.ends_at is not None
        assert later.starts_at >= min(earlier.ends_at, earlier.lifted_at or earlier.ends_at), "two never stand together"
