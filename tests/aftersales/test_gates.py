"""Coverage by the gates of the policy on PostgreSQL: day by day, beside people, and with two workers."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta

import psycopg
import pytest

from jitui.adapters.postgres.gates import PostgresGates, lock_place
from jitui.aftersales.governance.gates import (
    PlaceInputs,
    PlacePlan,
    PlaceQuery,
    Plan,
    Recomputing,
    as_the_merchant_reads,
    recompute_due,
)
from jitui.aftersales.governance.registry import Coverage, Scope, Shop
from jitui.aftersales.model.ticket import ApprovedBy
from jitui.policy import Policy
from tests.aftersales.gating import DAY, Days, gated_policy, shop
from tests.aftersales.market import Market

PERSON = "li.na"


@pytest.fixture
async def days(market: Market) -> AsyncIterator[Days]:
    yield Days(market, PostgresGates(market.pool), gated_policy())


def after(number: int) -> object:
    return DAY + timedelta(days=number)


async def test_a_shop_is_told_leaves_after_the_notice_and_comes_back(days: Days) -> None:
    await days.put("shop-1", experience_score=59)
    await days.pass_days(1)
    assert await days.news("shop-1") == []
    await days.pass_days(1)  # the second day in a row
    assert await days.news("shop-1") == [(after(2), "notice_given", "experience")]
    assert await days.row("shop-1") is None
    await days.pass_days(3)  # three whole days after the one on which it was told
    assert await days.row("shop-1") is None
    await days.pass_days(1)
    row = await days.row("shop-1")
    assert row is not None
    assert (row.covered, row.by_gate, row.set_by) == (False, "experience", "gate:experience")
    assert (row.reason, row.texts) == (
        "The experience score is below 60",
        {"zh": "体验分低于 60 分", "en": "The experience score is below 60"},
    )
    await days.put("shop-1", experience_score=70)
    await days.pass_days(1)
    assert await days.row("shop-1") == row  # nothing is written anew, so it stands since it left
    await days.pass_days(1)
    assert await days.row("shop-1") is None
    assert [what for _, what, _ in await days.news("shop-1")] == ["notice_given", "left", "returned"]


async def test_the_bounds_themselves_are_exact(days: Days) -> None:
    await days.put("at-60", experience_score=60)
    await days.put("at-59", experience_score=59)
    await days.pass_days(2)
    assert (await days.statuses("at-60"))["experience"] == "in"
    assert (await days.statuses("at-59"))["experience"] == "notice"
    await days.put("at-59", experience_score=69)
    await days.pass_days(4)
    assert (await days.statuses("at-59"))["experience"] == "out"  # 69 is not 70
    await days.put("at-59", experience_score=70)
    await days.pass_days(2)
    assert (await days.statuses("at-59"))["experience"] == "in"


async def test_a_decision_reads_what_the_gates_came_to(days: Days) -> None:
    market = days.market.deciding_by(days.policy)
    await days.put("shop-1", experience_score=59)
    await days.pass_days(5)
    buyer = await market.premium_buyer("b", days.now)
    await market.paid_order(buyer, "o-1", now=days.now)
    assert (await market.asked(buyer, "o-1", now=days.now)).approved_by is ApprovedBy.INSTANT_REFUND
    await days.pass_days(1)
    await market.paid_order(buyer, "o-2", now=days.now)
    assert (await market.asked(buyer, "o-2", now=days.now)).approved_by is None


async def test_features_are_counted_up_to_yesterday(days: Days) -> None:
    await days.shipped("shop-1", 100, 89)
    await days.pass_days()
    assert (await days.statuses("shop-1"))["ships_on_time"] == "out"
    record = next(one for one in await days.gates.of_shop("shop-1") if one.gate_id == "ships_on_time")
    assert record.facts == {"shop.shipped_30d": 100, "shop.shipped_on_time_30d": 89}
    await days.shipped("shop-1", 100, 101)  # 190 of 200
    await days.pass_days()
    assert (await days.statuses("shop-1"))["ships_on_time"] == "in"


async def test_a_window_is_its_days_up_to_yesterday_and_no_other(days: Days) -> None:
    async def counted() -> object:
        found = await days.gates.of_shop("shop-1")
        return next(one for one in found if one.gate_id == "ships_on_time").facts["shop.shipped_30d"]

    await days.shipped("shop-1", 100, 100)
    days.day += timedelta(days=1)
    await days.shipped("shop-1", 7, 7)
    days.day -= timedelta(days=1)
    await days.pass_days()
    assert await counted() == 100, "today is not over"
    await days.pass_days(29)
    assert await counted() == 107
    await days.pass_days()
    assert await counted() == 7, "the first day is 31 days ago"


async def test_what_is_unknown_takes_nobody_out_and_brings_nobody_back(days: Days) -> None:
    await days.put("unknown")
    await days.shipped("left", 100, 0)
    await days.pass_days()
    assert (await days.statuses("left"))["ships_on_time"] == "out"
    async with days.market.pool.connection() as connection:
        await connection.execute("UPDATE history_record SET complete_from = now() WHERE kind = 'shipped_on_time'")
    await days.shipped("left", 10_000, 10_000)
    await days.shipped("unknown", 10_000, 0)
    await days.pass_days(3)
    assert (await days.statuses("left"))["ships_on_time"] == "out"
    assert await days.statuses("unknown") == {"experience": "in", "ships_on_time": "in", "hidden": "in"}
    assert {one.verdict for one in await days.gates.of_shop("unknown")} == {"unknown"}


async def test_nothing_is_computed_before_yesterday_is_counted(days: Days) -> None:
    await days.put("shop-1", experience_score=59)
    days.day += timedelta(days=1)
    assert await recompute_due(days.gates, days.rules, days.now) == 0
    # A person may ask for it; the day is computed again once it is counted.
    (plan,) = await days.again("shop-1")
    assert plan.computed_on is None
    await days.market.feed.roll_up(days.now)
    assert await recompute_due(days.gates, days.rules, days.now) > 0
    assert [record.row_days for record in await days.gates.of_shop("shop-1") if record.gate_id == "experience"] == [1]


async def test_a_day_counts_once_however_often_it_is_computed(days: Days) -> None:
    await days.put("shop-1", experience_score=59)
    assert await days.pass_days() == 3  # the shop, the category and the item
    assert await recompute_due(days.gates, days.rules, days.now) == 0
    before = await days.gates.of_shop("shop-1")
    await days.again()
    await days.again("shop-1")
    assert await days.gates.of_shop("shop-1") == before


async def test_two_workers_at_once_come_to_one_result(days: Days) -> None:
    for number in range(40):
        await days.put(f"shop-{number}", experience_score=59)
    await days.pass_days()
    days.day += timedelta(days=1)
    await days.market.feed.roll_up(days.now)
    await asyncio.gather(*(recompute_due(PostgresGates(days.market.pool), days.rules, days.now) for _ in range(4)))
    for number in range(40):
        assert await days.news(f"shop-{number}") == [(after(2), "notice_given", "experience")]


class Stopping(PostgresGates):
    """A worker that is killed after some places."""

    left = 3

    async def recompute(self, query: PlaceQuery, plan: Plan, how: Recomputing) -> PlacePlan | None:
        if self.left == 0:
            raise asyncio.CancelledError
        self.left -= 1
        return await super().recompute(query, plan, how)


async def test_a_worker_that_is_killed_leaves_whole_places_and_the_next_one_goes_on(days: Days) -> None:
    for number in range(10):
        await days.put(f"shop-{number}", secret_score=901)
    days.day += timedelta(days=1)
    await days.market.feed.roll_up(days.now)
    with pytest.raises(asyncio.CancelledError):
        await recompute_due(Stopping(days.market.pool), days.rules, days.now)
    gone = [number for number in range(10) if await days.row(f"shop-{number}") is not None]
    assert len(gone) == 3
    assert await recompute_due(days.gates, days.rules, days.now) == 12 - 3
    for number in range(10):
        assert [what for _, what, _ in await days.news(f"shop-{number}")] == ["left"]


async def test_a_plan_that_fails_writes_nothing_of_its_place(days: Days) -> None:
    await days.put("shop-1", secret_score=901)
    days.day += timedelta(days=1)
    await days.market.feed.roll_up(days.now)

    class Broken(PostgresGates):
        async def recompute(self, query: PlaceQuery, plan: Plan, how: Recomputing) -> PlacePlan | None:
            def broken(inputs: PlaceInputs) -> PlacePlan | None:
                planned = plan(inputs)
                if planned is None or not planned.entries:
                    return planned
                return replace(planned, entries=(*planned.entries, replace(planned.entries[0], what="nonsense")))

            return await super().recompute(query, broken, how)

    with pytest.raises(psycopg.errors.CheckViolation):
        await recompute_due(Broken(days.market.pool), days.rules, days.now)
    assert (await days.row("shop-1"), await days.news("shop-1"), await days.statuses("shop-1")) == (None, [], {})


async def test_what_a_person_set_stands_above_the_gates_until_it_is_taken_back(days: Days) -> None:
    registry = days.market.registry
    await days.put("shop-1", secret_score=901)
    await registry.set_coverage(Coverage(Scope.SHOP, "shop-1", True, "A pilot.", PERSON, days.now))
    await days.pass_days(2)
    row = await days.row("shop-1")
    assert row is not None
    assert (row.covered, row.by_gate, row.set_by) == (True, None, PERSON)
    assert (await days.statuses("shop-1"))["hidden"] == "out"
    assert await registry.unset_coverage(Scope.SHOP, "shop-1", by=PERSON, now=days.now)
    row = await days.row("shop-1")
    assert row is not None
    assert (row.covered, row.by_gate) == (False, "hidden")
    assert not await registry.unset_coverage(Scope.SHOP, "shop-1", by=PERSON, now=days.now), (
        "a gate's row is no person's"
    )
    assert [what for _, what, _ in await days.news("shop-1")] == ["set", "left", "unset"]


async def test_a_shop_that_a_person_took_out_stays_out_where_every_gate_would_have_it_in(days: Days) -> None:
    await days.put("shop-1", secret_score=1)
    await days.market.registry.set_coverage(Coverage(Scope.SHOP, "shop-1", False, "Counterfeits.", PERSON, days.now))
    await days.pass_days(2)
    assert (await days.statuses("shop-1"))["hidden"] == "in"
    row = await days.row("shop-1")
    assert row is not None and (row.covered, row.set_by) == (False, PERSON)


async def test_a_person_sets_over_a_gate_and_an_earlier_release_does_too(days: Days) -> None:
    await days.put("shop-1", secret_score=901)
    await days.pass_days()
    await days.market.registry.set_coverage(Coverage(Scope.SHOP, "shop-1", True, "", PERSON, days.now))
    await days.pass_days()
    row = await days.row("shop-1")
    assert row is not None
    assert (row.covered, row.gate_id, row.texts) == (True, None, None)
    await days.market.registry.unset_coverage(Scope.SHOP, "shop-1", by=PERSON, now=days.now)
    async with days.market.pool.connection() as connection:  # as an earlier release writes it
        await connection.execute(
            "UPDATE coverage SET covered = true, reason = '', set_by = 'li.na' WHERE ref = 'shop-1'"
        )
    await days.pass_days()
    row = await days.row("shop-1")
    assert row is not None
    assert (row.covered, row.by_gate) == (True, None)


async def test_taking_back_waits_for_a_computation_and_sees_what_it_came_to(days: Days) -> None:
    registry = days.market.registry
    await days.put("shop-1", secret_score=901)
    await registry.set_coverage(Coverage(Scope.SHOP, "shop-1", True, "", PERSON, days.now))
    days.day += timedelta(days=1)
    await days.market.feed.roll_up(days.now)
    async with days.market.pool.connection() as connection:
        await lock_place(connection, shop("shop-1"))
        taking_back = asyncio.create_task(registry.unset_coverage(Scope.SHOP, "shop-1", by=PERSON, now=days.now))
        await asyncio.sleep(0.3)
        assert not taking_back.done()
        await connection.execute(
            "INSERT INTO gate_state SELECT 'shop', 'shop-1', 'hidden', 'out', %s, 0, NULL, NULL, '', 'fails', '{}', "
            """true, '{"zh": "a", "en": "b"}', '{}', 1, 1""",
            (days.day,),
        )
    assert await taking_back
    row = await days.row("shop-1")
    assert row is not None
    assert row.by_gate == "hidden"


async def test_a_worker_passes_by_a_place_that_another_one_is_at_and_a_person_waits(days: Days) -> None:
    await days.put("shop-1")
    await days.pass_days()
    await days.put("shop-1", secret_score=901)
    days.day += timedelta(days=1)
    await days.market.feed.roll_up(days.now)
    async with days.market.pool.connection() as connection:
        await lock_place(connection, shop("shop-1"))
        assert await recompute_due(days.gates, days.rules, days.now) == 2
        waiting = asyncio.create_task(days.again("shop-1"))
        await asyncio.sleep(0.3)
        assert not waiting.done()
    assert (await waiting)[0].takes_out is not None


# The shops beside it ------------------------------------------------------------------------------------------------


async def test_the_gates_of_a_shop_know_nothing_of_another_shop(days: Days) -> None:
    """What one does, what the platform says of it, and what a person sets for it changes nothing of the other."""
    registry = days.market.registry
    for ref, attributes, on_time in (("shop-1", {"secret_score": 1}, 100), ("shop-2", {"secret_score": 901}, 0)):
        await days.put(ref, **attributes)
        await days.shipped(ref, 100, on_time)
    await days.pass_days(2)
    first, second = await days.statuses("shop-1"), await days.statuses("shop-2")
    assert set(first.values()) == {"in"} and (second["hidden"], second["ships_on_time"]) == ("out", "out")
    assert await days.row("shop-1") is None and (await days.row("shop-2")) is not None
    told = [(what, gate) for _, what, gate in await days.news("shop-2")]
    assert await days.news("shop-1") == [] and sorted(told) == [("left", "hidden"), ("left", "ships_on_time")]
    for ref in ("shop-1", "shop-2"):
        await registry.set_coverage(Coverage(Scope.SHOP, ref, False, f"Of {ref}.", PERSON, days.now))
    assert await registry.unset_coverage(Scope.SHOP, "shop-1", by=PERSON, now=days.now)
    row = await days.row("shop-2")
    assert row is not None and (row.set_by, row.reason) == (PERSON, "Of shop-2.")
    assert await days.row("shop-1") is None
    await days.pass_days()
    assert (await days.statuses("shop-1"), await days.statuses("shop-2")) == (first, second)


async def test_of_shops_that_leave_one_after_the_other_each_has_its_own_reason(days: Days) -> None:
    await days.put("shop-2", secret_score=901)
    await days.pass_days()
    await days.put("shop-1", experience_score=90, secret_score=1)
    await days.shipped("shop-1", 100, 0)
    await days.pass_days()
    first, second = await days.row("shop-1"), await days.row("shop-2")
    assert first is not None and second is not None
    assert (first.by_gate, second.by_gate) == ("ships_on_time", "hidden")
    await days.put("shop-2", secret_score=1)
    await days.pass_days()
    assert await days.row("shop-2") is None and await days.row("shop-1") is not None


async def test_the_gate_of_an_item_stays_while_another_items_gate_is_computed(days: Days) -> None:
    one = "- {id: recalled, items: [item-9]"
    two = (
        one.replace("recalled", "banned").replace("item-9", "item-1")
        + ", notice: 0d, public: true, text: {zh: 禁, en: No}}"
    )
    text = days.policy.text
    assert text.count(one) == 1
    days.policy = Policy.from_text(text.replace(one, f"{two}\n    {one}"))
    await days.pass_days(3)
    await days.market.paid_order("b-1", "o-1", amounts=(1,) * 9)
    assert await days.statuses("shop-1") == {"banned": "out", "recalled": "out"}
    assert sorted(await days.news("shop-1")) == [(after(1), "left", "banned"), (after(1), "left", "recalled")]


async def test_a_shop_reads_of_itself_and_of_what_it_sells_and_of_nothing_else(days: Days) -> None:
    """A buyer's orders of both shops lie beside each other; an item that only the other one sells is not its own."""
    days.policy = gated_policy("[item-9]", "[item-2]")
    await days.market.paid_order("b-1", "o-1", shop_id="shop-1")
    await days.market.paid_order("b-1", "o-2", shop_id="shop-2", amounts=(100, 200))
    for ref in ("shop-1", "shop-2"):
        await days.put(ref, secret_score=1)
    await days.pass_days()
    of_platform, of_first, of_both, of_second, of_nobody = (
        (Scope.PLATFORM, ""),
        (Scope.SHOP, "shop-1"),
        (Scope.ITEM, "item-1"),
        (Scope.SHOP, "shop-2"),
        (Scope.CATEGORY, "food"),
    )
    for place in (of_platform, of_first, of_both, (Scope.CATEGORY, "apparel"), of_second, of_nobody):
        await days.market.registry.set_coverage(Coverage(*place, False, "A drill.", PERSON, days.now))
    shared = {of_platform, of_both, (Scope.CATEGORY, "apparel")}
    only_second = (Scope.ITEM, "item-2")
    for ref, own in (("shop-1", {of_first}), ("shop-2", {of_second, only_second})):
        rows = await days.market.registry.coverage_of(ref)
        assert {(row.scope, row.ref) for row in rows} == shared | own
        assert {(row.scope, row.ref) for row in await days.gates.history(ref, 99)} == shared | own
        assert {(row.scope, row.ref) for row in await days.gates.of_shop(ref)} == own


async def test_a_private_gate_says_nothing_of_itself_to_merchants(days: Days) -> None:
    await days.put("shop-1", secret_score=901)
    await days.pass_days()
    row = await days.row("shop-1")
    assert row is not None
    assert row.reason == "Other factors that the platform considers, such as operation and service quality"
    (record,) = [one for one in await days.gates.of_shop("shop-1") if one.gate_id == "hidden"]
    assert "secret" in str(record)
    shown = str(as_the_merchant_reads(record))
    assert "secret" not in shown.lower() and "秘密" not in shown and "901" not in shown and "hidden" not in shown


async def test_the_gate_that_took_it_out_first_is_the_reason_and_the_next_one_follows(days: Days) -> None:
    await days.put("shop-1", secret_score=901)
    await days.pass_days()
    await days.shipped("shop-1", 100, 0)
    await days.pass_days()
    assert (row := await days.row("shop-1")) is not None and row.by_gate == "hidden"
    await days.put("shop-1", secret_score=1)
    await days.pass_days()
    assert (row := await days.row("shop-1")) is not None and row.by_gate == "ships_on_time"


async def test_lists_take_out_what_they_name_and_let_it_back_when_they_do_not(days: Days) -> None:
    async def covered() -> dict[str, bool]:
        async with days.market.pool.connection() as connection:
            rows = await (await connection.execute("SELECT scope || ' ' || ref, covered FROM coverage")).fetchall()
        return {str(name): bool(value) for name, value in rows}

    await days.pass_days()
    assert await covered() == {"item item-9": False}
    await days.pass_days(2)  # one whole day of notice
    assert await covered() == {"item item-9": False, "category jewellery": False}
    days.policy, days.publication = gated_policy("[jewellery]", "[watches]"), 2
    await recompute_due(days.gates, days.rules, days.now)
    assert await covered() == {"item item-9": False}
    async with days.market.pool.connection() as connection:
        rows = await connection.execute("SELECT what FROM coverage_history WHERE ref = 'jewellery' ORDER BY number")
        assert [what for (what,) in await rows.fetchall()] == ["notice_given", "left", "returned"]


async def test_another_policy_is_applied_on_the_same_day(days: Days) -> None:
    await days.put("shop-1", experience_score=59, secret_score=901)
    await days.pass_days(2)
    assert await days.statuses("shop-1") == {"experience": "notice", "ships_on_time": "in", "hidden": "out"}
    days.policy, days.publication = gated_policy("< 60", "< 50"), 2
    assert await recompute_due(days.gates, days.rules, days.now) == 3
    assert await days.statuses("shop-1") == {"experience": "in", "ships_on_time": "in", "hidden": "out"}
    days.policy, days.publication = gated_policy("    - id: hidden", "    - id: secret"), 3
    await recompute_due(days.gates, days.rules, days.now)
    assert await days.statuses("shop-1") == {"experience": "in", "ships_on_time": "in", "secret": "out"}
    assert [(what, gate) for _, what, gate in await days.news("shop-1")] == [
        ("left", "hidden"),
        ("notice_given", "experience"),
        ("notice_withdrawn", "experience"),
        ("left", "secret"),
        ("returned", "hidden"),
    ]
    assert (row := await days.row("shop-1")) is not None and row.by_gate == "secret"


async def test_a_policy_without_gates_lets_everybody_back(days: Days) -> None:
    await days.put("shop-1", secret_score=901)
    await days.pass_days()
    assert await days.row("shop-1") is not None
    days.policy, days.publication = days.market.policy, 2
    await recompute_due(days.gates, days.rules, days.now)
    assert (await days.row("shop-1"), await days.statuses("shop-1")) == (None, {})


async def test_a_worker_that_still_has_the_earlier_policy_changes_nothing(days: Days) -> None:
    await days.put("shop-1", secret_score=901)
    await days.pass_days()
    earlier = days.rules
    days.policy, days.publication = gated_policy("> 900", "> 950"), 2
    await recompute_due(days.gates, days.rules, days.now)
    states = await days.gates.of_shop("shop-1")
    assert await recompute_due(days.gates, earlier, days.now) == 0
    days.policy, days.publication = earlier.policy, earlier.publication
    assert await days.again("shop-1") == []
    assert await days.gates.of_shop("shop-1") == states


async def test_a_dry_run_says_what_would_be_and_writes_nothing(days: Days) -> None:
    await days.put("shop-1", secret_score=901)
    days.day += timedelta(days=1)
    await days.market.feed.roll_up(days.now)
    plans = await days.again(dry_run=True)
    assert {entry.what for plan in plans for entry in plan.entries} == {"left", "notice_given"}
    assert (await days.row("shop-1"), await days.news("shop-1"), await days.statuses("shop-1")) == (None, [], {})
    async with days.market.pool.connection() as connection:
        rows = await (await connection.execute("SELECT count(*) FROM gated_place")).fetchall()
        assert rows == [(0,)]


async def test_shops_are_found_by_what_the_platform_said_and_by_their_history(days: Days) -> None:
    await days.put("described")
    await days.shipped("with-history", 1, 1)
    await days.shipped("another", 1, 1)
    plans = await days.again(dry_run=True)
    assert {plan.place.ref for plan in plans} == {"described", "with-history", "another", "jewellery", "item-9"}


async def test_the_history_is_append_only_and_what_a_person_asked_for_is_written_down(days: Days) -> None:
    await days.put("shop-1", secret_score=901)
    await days.pass_days(0)
    await days.again("shop-1")
    async with days.market.pool.connection() as connection:
        rows = await connection.execute("SELECT actor, subject FROM audit_event WHERE action = 'coverage.recomputed'")
        assert await rows.fetchall() == [(PERSON, "shop shop-1")]
    for statement in ("UPDATE coverage_history SET what = 'left'", "DELETE FROM coverage_history"):
        with pytest.raises(psycopg.errors.RaiseException):
            async with days.market.pool.connection() as connection:
                await connection.execute(statement.encode())


async def test_another_attribute_on_the_same_day_counts_from_the_next_day(days: Days) -> None:
    await days.put("shop-1", secret_score=1)
    await days.pass_days()
    await days.market.registry.put_shop(Shop("shop-1", "", {"secret_score": 901}), days.now)
    await days.again("shop-1")
    assert (await days.statuses("shop-1"))["hidden"] == "in"
    await days.pass_days()
    assert (await days.statuses("shop-1"))["hidden"] == "out"
