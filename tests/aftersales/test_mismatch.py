"""A report about another payment, amount or currency settles nothing, whatever its source and the refund's state."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest

from jitui.adapters.postgres.tasks import PostgresTasks
from jitui.aftersales.apply import apply_all
from jitui.aftersales.commands.execute import Executed, Plan
from jitui.aftersales.commands.refund_updates import RefundUpdate, confirm, plan_refund_update
from jitui.aftersales.model.refund import AttemptState, RefundState
from jitui.aftersales.model.snapshot import OrderSnapshot
from jitui.aftersales.model.task import OperatorTask, TaskFilter, TaskKind
from jitui.aftersales.model.ticket import TicketState
from jitui.aftersales.outcomes import Refusal, RefusalCode
from jitui.aftersales.ports import AttemptRef, ClaimedRefund
from jitui.aftersales.provider import RefundResult, RefundResultKind
from tests.aftersales.market import NOW, Market
from tests.known_bugs.steps import claim, postings, snapshot_of

RIGHT = RefundResult(
    RefundResultKind.SUCCEEDED,
    provider_refund_id="r-1",
    payment_ids=("pay-o-1-1", "another-name-of-it"),
    amount_minor=10000,
    currency="CNY",
    refunds_in_all_minor=10000,
)
WRONG: dict[str, dict[str, Any]] = {
    "another payment": {"payment_ids": ("pay-2",)},
    "two names and neither ours": {"payment_ids": ("pay-2", "PAY-O-1-1")},
    "less": {"amount_minor": 9999},
    "more": {"amount_minor": 10001},
    "nothing": {"amount_minor": 0},
    "a hundredth": {"amount_minor": 100},
    "negative": {"amount_minor": -10000},
    "another currency": {"currency": "USD"},
    "no currency at all": {"currency": ""},
    "less in all": {"amount_minor": None, "refunds_in_all_minor": 9999},
}
TELLERS = {
    "answer": RefundUpdate(RIGHT),
    "look-up": RefundUpdate(RIGHT, looked_up=True),
    "notification": RefundUpdate(RIGHT, provider="simulator"),
}
A_SECOND = timedelta(seconds=1)


async def paying(market: Market) -> ClaimedRefund:
    await market.paid_order(await market.premium_buyer("b-1"), "o-1", amounts=(10000,))
    await market.asked("b-1", "o-1")
    (claimed,) = await claim(market)
    return claimed


def ref_of(claimed: ClaimedRefund) -> AttemptRef:
    return AttemptRef(claimed.lane, claimed.attempt.attempt_id)


async def tasks(market: Market) -> list[OperatorTask]:
    return list(await PostgresTasks(market.pool).list(TaskFilter()))


async def the_file(market: Market, claimed: ClaimedRefund) -> OrderSnapshot:
    return await snapshot_of(market, ref_of(claimed))


async def test_news_about_something_else_pays_nothing_whoever_tells_it(market: Market) -> None:
    claimed = await paying(market)
    snapshot = await the_file(market, claimed)
    for teller in TELLERS.values():
        for wrong, told in WRONG.items():
            update = replace(teller, result=replace(RIGHT, **told))
            planned = plan_refund_update(snapshot, claimed.attempt.attempt_id, update, NOW)
            assert isinstance(planned, Plan)
            kinds = {type(change).__name__ for change in planned.changes}
            assert kinds == {"MoveAttempt", "MoveRefund", "OpenTask", "AddTimeline"}, wrong
            after = apply_all(snapshot, planned.changes)
            (refund,) = after.refunds
            assert (refund.state, after.tickets[0].state) == (RefundState.UNKNOWN, TicketState.REFUNDING), wrong
            assert "the provider reports" in refund.reason


async def test_a_person_is_told_once_of_one_difference(market: Market) -> None:
    claimed = await paying(market)
    update = RefundUpdate(replace(RIGHT, payment_ids=("pay-2",)), provider="simulator")
    for _ in range(3):
        assert isinstance(await confirm(market.store, ref_of(claimed), update, now=NOW + A_SECOND), Executed)
    snapshot = await the_file(market, claimed)
    assert (snapshot.tickets[0].state, snapshot.refunds[0].state) == (TicketState.REFUNDING, RefundState.UNKNOWN)
    assert (snapshot.tenders[0].pending_minor, snapshot.tenders[0].refunded_minor) == (10000, 0)
    assert await postings(market, "o-1") == ["captured", "granted"]
    (task,) = await tasks(market)
    assert (task.kind, task.order_id, task.amount_minor) == (TaskKind.ANSWER_DIFFERS, "o-1", 10000)
    told = [event for event in snapshot.timeline if event.why == "answer_differs"]
    assert [event.detail["task_id"] for event in told] == [str(task.task_id)]
    assert "pay-2" not in str(told[0].detail), "a buyer reads the timeline, and that payment may be another buyer's"


async def test_another_difference_is_told_by_itself(market: Market) -> None:
    claimed = await paying(market)
    differences: list[dict[str, Any]] = [{"payment_ids": ("pay-2",)}, {"payment_ids": ("pay-3",)}, {"amount_minor": 1}]
    for number, told in enumerate(differences):
        update = RefundUpdate(replace(RIGHT, **told), provider="simulator")
        await confirm(market.store, ref_of(claimed), update, now=NOW + number * A_SECOND)
    assert sorted(str(task.evidence["told"]) for task in await tasks(market)) == ["1", "pay-2", "pay-3"]


async def test_a_provider_has_nothing_to_say_of_anothers_attempts(market: Market) -> None:
    claimed = await paying(market)
    before = await the_file(market, claimed)
    for kind in (RefundResultKind.SUCCEEDED, RefundResultKind.DECLINED, RefundResultKind.PENDING):
        update = RefundUpdate(replace(RIGHT, kind=kind), provider="stripe")
        done = await confirm(market.store, ref_of(claimed), update, now=NOW + A_SECOND)
        assert isinstance(done, Refusal) and done.code is RefusalCode.NOT_FOUND
    assert await the_file(market, claimed) == before
    assert await tasks(market) == []


@pytest.mark.parametrize("looked_up", [True, False])
async def test_our_own_call_is_over_once_it_is_answered_so_that_nobody_waits_for_its_lease(
    market: Market, looked_up: bool
) -> None:
    claimed = await paying(market)
    wrong = RefundUpdate(replace(RIGHT, payment_ids=("pay-2",)), looked_up=looked_up)
    await confirm(market.store, ref_of(claimed), wrong, now=NOW + A_SECOND)
    assert len(await claim(market, NOW + 11 * A_SECOND)) == 1


async def test_the_same_money_in_other_words_is_paid(market: Market) -> None:
    claimed = await paying(market)
    snapshot = await the_file(market, claimed)
    same: list[dict[str, Any]] = [{}, {"currency": "cny"}, {"payment_ids": ()}, {"refunds_in_all_minor": 10001}]
    for right in same:
        update = RefundUpdate(replace(RIGHT, **right), provider="simulator")
        planned = plan_refund_update(snapshot, claimed.attempt.attempt_id, update, NOW)
        assert isinstance(planned, Plan)
        assert apply_all(snapshot, planned.changes).tickets[0].state is TicketState.REFUNDED


@pytest.mark.parametrize("kind", [RefundResultKind.DECLINED, RefundResultKind.PENDING])
async def test_a_refusal_or_an_acceptance_of_another_payment_is_not_ours_either(
    market: Market, kind: RefundResultKind
) -> None:
    """A decline would let an operator send it again beside the first; a pending one would keep it from being sent."""
    claimed = await paying(market)
    result = replace(RIGHT, kind=kind, payment_ids=("pay-2",), stuck=kind is RefundResultKind.PENDING)
    await confirm(market.store, ref_of(claimed), RefundUpdate(result, provider="simulator"), now=NOW)
    snapshot = await the_file(market, claimed)
    assert (snapshot.refunds[0].state, snapshot.attempts[0].state) == (RefundState.UNKNOWN, AttemptState.UNKNOWN)


async def test_what_was_paid_stays_paid_whatever_is_told_of_another_payment(market: Market) -> None:
    claimed = await paying(market)
    await confirm(market.store, ref_of(claimed), RefundUpdate(RIGHT), now=NOW)
    for kind in (RefundResultKind.DECLINED, RefundResultKind.SUCCEEDED):
        for update in TELLERS.values():
            other = replace(update, result=replace(RIGHT, kind=kind, payment_ids=("pay-2",)))
            await confirm(market.store, ref_of(claimed), other, now=NOW + A_SECOND)
    snapshot = await the_file(market, claimed)
    assert (snapshot.tickets[0].state, snapshot.tenders[0].refunded_minor) == (TicketState.REFUNDED, 10000)
    assert (snapshot.refunds[0].state, snapshot.refunds[0].due_at) == (RefundState.SUCCEEDED, None)
    assert [task.kind for task in await tasks(market)] == [TaskKind.ANSWER_DIFFERS]


async def test_a_second_payment_of_another_amount_is_no_second_payment_of_ours(market: Market) -> None:
    claimed = await paying(market)
    await confirm(market.store, ref_of(claimed), RefundUpdate(RIGHT), now=NOW)
    snapshot = await the_file(market, claimed)
    old = replace(snapshot.attempts[0], attempt_id=UUID(int=9), attempt_no=0, state=AttemptState.DECLINED)
    before = replace(snapshot, attempts=(*snapshot.attempts, old))
    planned = plan_refund_update(
        before, old.attempt_id, RefundUpdate(replace(RIGHT, amount_minor=1), looked_up=True), NOW
    )
    assert isinstance(planned, Plan)
    assert [type(change).__name__ for change in planned.changes] == ["OpenTask", "AddTimeline"]


async def test_a_rumour_does_not_cut_a_call_short_that_is_under_way(market: Market) -> None:
    """Who holds the lease is asking the provider now; a second worker would ask beside it."""
    claimed = await paying(market)
    rumour = RefundUpdate(replace(RIGHT, payment_ids=("pay-2",)), provider="simulator")
    await confirm(market.store, ref_of(claimed), rumour, now=NOW + A_SECOND)
    assert await claim(market, NOW + 58 * A_SECOND) == []
    (again,) = await claim(market, NOW + 61 * A_SECOND)
    assert again.look_up_first and again.attempt.attempt_id == claimed.attempt.attempt_id


async def test_the_right_answer_after_a_rumour_pays_it(market: Market) -> None:
    claimed = await paying(market)
    rumour = RefundUpdate(replace(RIGHT, payment_ids=("pay-2",)), provider="simulator")
    await confirm(market.store, ref_of(claimed), rumour, now=NOW)
    await confirm(market.store, ref_of(claimed), RefundUpdate(RIGHT), now=NOW + A_SECOND)
    assert (await the_file(market, claimed)).tickets[0].state is TicketState.REFUNDED
