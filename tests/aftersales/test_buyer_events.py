"""A buyer's history has one payment, completion and cancellation per order, whatever reported it and however often."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import datetime, timedelta

import psycopg
import pytest

from jitui.adapters.postgres.writing import ONCE_PER_ORDER as IN_STATEMENTS
from jitui.aftersales.changes import RecordBuyerEvent
from jitui.aftersales.commands.execute import Executed
from jitui.aftersales.commands.ship import complete_order
from jitui.ids import lane_of
from jitui.policy import CLOCKS_DIFFER_SECONDS
from jitui.policy.facts import BUYER_EVENTS, ONCE_PER_ORDER
from tests.aftersales.market import NOW, Market

BUYER = "b-1"


def event(
    event_id: str,
    kind: str = "order_completed",
    *,
    order_id: str | None = "o-1",
    at: datetime = NOW,
    amount_minor: int = 100,
    retracts: str | None = None,
) -> RecordBuyerEvent:
    return RecordBuyerEvent(BUYER, event_id, kind, at, NOW, order_id, amount_minor, retracts)


async def counted(market: Market, kind: str = "order_completed") -> tuple[int, int]:
    """Events and money of a kind in the roll-up that decisions read."""
    async with market.pool.connection() as connection:
        rows = await connection.execute(
            "SELECT coalesce(sum(events), 0)::int, coalesce(sum(amount_minor), 0)::int FROM buyer_day WHERE kind = %s",
            (kind,),
        )
        found = await rows.fetchone()
    assert found is not None
    return int(str(found[0])), int(str(found[1]))


async def record(market: Market, *events: RecordBuyerEvent) -> None:
    await market.registry.record_buyer_events(list(events))


@pytest.mark.parametrize("first", ["call", "event"])
async def test_an_order_completed_by_call_and_by_event_is_completed_once(market: Market, first: str) -> None:
    ref = await market.paid_order(BUYER, "o-1")

    async def call() -> None:
        assert isinstance(await complete_order(market.store, ref, now=NOW, completed_at=NOW), Executed)

    if first == "call":
        await call()
    await record(market, event("platform-17"))
    if first == "event":
        await call()
    assert (await counted(market))[0] == 1
    assert (await counted(market, "order_paid"))[0] == 1
    await record(market, event("paid-by-event", "order_paid"))
    assert (await counted(market, "order_paid"))[0] == 1


async def test_two_names_in_one_batch_and_in_two_batches_count_once_each_order(market: Market) -> None:
    await record(market, event("a"), event("b"), event("c", order_id="o-2"), event("d", order_id=None))
    await record(market, event("e"), event("f", order_id="o-2"), event("g", order_id=None), event("a"))
    assert await counted(market) == (4, 400), "two orders, and two events that name none"


async def test_a_completion_that_was_taken_back_can_come_again_under_another_name(market: Market) -> None:
    await record(market, event("a"))
    await record(market, event("back", retracts="a"))
    assert await counted(market) == (0, 0)
    await record(market, event("a"))
    assert await counted(market) == (0, 0), "what was taken back stays taken back"
    await record(market, event("again", amount_minor=300, at=NOW - timedelta(days=3)))
    assert await counted(market) == (1, 300)


async def test_what_another_event_says_stands_when_the_first_is_taken_back(market: Market) -> None:
    yesterday = NOW - timedelta(days=1)
    await record(market, event("a"), event("b", amount_minor=70, at=yesterday), event("c", amount_minor=7))
    assert await counted(market) == (1, 100)
    await record(market, event("back-b", retracts="b"))
    assert await counted(market) == (1, 100), "a word that did not count"
    await record(market, event("back-a", retracts="a"))
    assert await counted(market) == (1, 7)
    await record(market, event("back-c", retracts="c"))
    assert await counted(market) == (0, 0)


@pytest.mark.parametrize("kind", ["dispute_lost", "order_completed"])
async def test_a_retraction_that_comes_before_its_event_keeps_it_out_and_no_other(market: Market, kind: str) -> None:
    await record(market, event("back", kind, retracts="a"))
    await record(market, event("a", kind), event("b", kind, amount_minor=70))
    assert await counted(market, kind) == (1, 70)
    neighbour = next(f"n-{number}" for number in range(5000) if lane_of(f"n-{number}") == lane_of(BUYER))
    await record(market, replace(event("a", kind, order_id="o-9", amount_minor=7), buyer_id=neighbour))
    assert await counted(market, kind) == (2, 77), "the retraction is another buyer's"


async def test_all_in_one_batch_come_out_as_one_after_the_other(market: Market) -> None:
    await record(market, event("back", retracts="a"), event("b", amount_minor=70), event("a"), event("x", retracts="b"))
    assert await counted(market) == (0, 0)


async def test_an_event_that_two_others_take_back_is_taken_back_once(market: Market) -> None:
    lost = "dispute_lost"
    await record(market, event("a", lost), event("b", lost))
    await record(market, event("x", lost, retracts="a"), event("y", lost, retracts="a"))
    assert await counted(market, lost) == (1, 100)
    await record(market, event("z", lost, retracts="a"))
    assert await counted(market, lost) == (1, 100)


async def test_a_retraction_that_is_itself_taken_back_changes_no_count(market: Market) -> None:
    """It was never counted, so nothing is subtracted for it."""
    lost = "dispute_lost"
    await record(market, event("a", lost), event("b", lost, amount_minor=70))
    await record(market, event("x", lost, amount_minor=9, retracts="a"))
    await record(market, event("y", lost, retracts="x"))
    assert await counted(market, lost) == (1, 70)


@pytest.mark.parametrize("together", [True, False], ids=["one batch", "batches"])
@pytest.mark.parametrize("kind", ["dispute_lost", "order_completed"])
async def test_only_the_event_that_is_named_is_taken_back(market: Market, kind: str, together: bool) -> None:
    """Others of the buyer stay, and those of the same name that another buyer of the lane has."""
    neighbour = next(f"n-{number}" for number in range(5000) if lane_of(f"n-{number}") == lane_of(BUYER))
    told = [
        event("a", kind),
        event("b", kind, order_id="o-2", amount_minor=70),
        replace(event("a", kind, order_id="o-3", amount_minor=7), buyer_id=neighbour),
        event("x", kind, retracts="a"),
    ]
    for batch in [told] if together else [[one] for one in told]:
        await record(market, *batch)
    assert await counted(market, kind) == (2, 77)


async def test_what_may_happen_several_times_to_an_order_counts_each_time(market: Market) -> None:
    often = [kind for kind in BUYER_EVENTS if kind not in ONCE_PER_ORDER]
    for kind in often:
        await record(market, event(f"{kind}-1", kind), event(f"{kind}-2", kind))
        assert await counted(market, kind) == (2, 200)


async def test_many_at_once_count_one(market: Market) -> None:
    ref = await market.paid_order(BUYER, "o-1")
    events = [record(market, event(f"e{number}")) for number in range(6)]
    await asyncio.gather(*events, complete_order(market.store, ref, now=NOW, completed_at=NOW))
    assert (await counted(market))[0] == 1


async def test_the_database_refuses_a_second_one_that_counts(market: Market) -> None:
    await record(market, event("a"), event("b"))
    async with market.pool.connection() as connection:
        await connection.execute("UPDATE buyer_event SET counts_for_order = true WHERE event_id = 'b'")
        with pytest.raises(psycopg.errors.ExclusionViolation):
            await connection.commit()


def test_the_statement_and_the_policy_name_the_same_kinds() -> None:
    assert ", ".join(f"'{kind}'" for kind in ONCE_PER_ORDER) == IN_STATEMENTS
    assert set(ONCE_PER_ORDER) < set(BUYER_EVENTS)


async def test_an_event_that_names_another_buyers_order_does_not_count(market: Market) -> None:
    """Whichever lane the two buyers are in."""
    for number in range(3):
        await market.paid_order(f"other-{number}", f"theirs-{number}")
    mine = await market.paid_order(BUYER, "o-1")
    told = [event(f"e{n}", order_id=f"theirs-{n}") for n in range(3)]
    known = [event("mine", order_id=mine.order_id), event("any", order_id="o-unknown"), event("none", order_id=None)]
    refused = await market.registry.refused_events([*told, *known])
    assert [(one.event, one.field) for one in refused] == [(one, "order_id") for one in told]
    assert await market.registry.record_buyer_events([*told, *known]) == 3
    assert (await counted(market))[0] == 3


@pytest.mark.parametrize("first", ["event", "retraction", "together"])
async def test_an_event_of_another_kind_takes_nothing_back(market: Market, first: str) -> None:
    lost = event("lost", "dispute_lost", order_id=None)
    back = event("back", "order_completed", order_id=None, retracts="lost")
    batches = {"event": [[lost], [back]], "retraction": [[back], [lost]], "together": [[back, lost]]}[first]
    for batch in batches[:-1]:
        await record(market, *batch)
    refused = await market.registry.refused_events(batches[-1])
    assert [one.event for one in refused] == [lost if first == "retraction" else back]
    await record(market, *batches[-1])
    assert (await counted(market, "dispute_lost"))[0] == (0 if first == "retraction" else 1)


async def test_an_event_of_the_same_kind_takes_it_back_but_not_from_the_future(market: Market) -> None:
    lost = event("lost", "dispute_lost", order_id=None)
    await record(market, lost)
    ahead = NOW + timedelta(seconds=CLOCKS_DIFFER_SECONDS, microseconds=1)
    await record(market, event("late", "dispute_lost", order_id=None, at=ahead, retracts="lost"))
    assert (await counted(market, "dispute_lost"))[0] == 1
    now = NOW + timedelta(seconds=CLOCKS_DIFFER_SECONDS)
    await record(market, event("back", "dispute_lost", order_id=None, at=now, retracts="lost"))
    assert (await counted(market, "dispute_lost"))[0] == 0
