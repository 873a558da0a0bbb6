"""A pause stops at once and ends by itself; lifting it takes two where two approve."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jitui.adapters.postgres.queries import PostgresQueries
from jitui.aftersales.governance.confirmations import ConfirmRefusal
from jitui.aftersales.governance.pauses import Lifter, LiftRefusal, lift_pause, propose_lift
from jitui.aftersales.governance.proposals import Proposal, ProposalRefusal, ProposalState
from jitui.aftersales.governance.publishing import NotAlone
from jitui.aftersales.governance.registry import Pause, Scope, later_pause
from jitui.aftersales.model.task import TaskKind
from jitui.aftersales.operations.conditions import Expected, standing_tasks
from tests.aftersales.market import NOW, Market, on_both_stores
from tests.governance.desk import ADA, BO, Desk

SHOP = (Scope.SHOP, "shop-1")
HOUR = timedelta(hours=1)


def pause(at: datetime, ends_at: datetime | None = None, lift_by: str | None = None) -> Pause:
    return Pause(*SHOP, "Moving.", ADA, at, ends_at, lift_by)


async def propose(desk: Desk, by: str = ADA, role: str = "risk") -> Proposal | LiftRefusal:
    return await propose_lift(desk.registry, desk.proposals, SHOP, by=Lifter(by, role), now=desk.now, reason="Over.")


async def test_one_lifts_nothing_alone_and_a_second_person_lifts_what_was_proposed(desk: Desk) -> None:
    await desk.registry.set_pause(pause(desk.now))
    for by in (Lifter("key"), Lifter(ADA, "risk")):
        alone = await lift_pause(desk.registry, desk.policies, SHOP, by=by, now=desk.now)
        assert alone is NotAlone.NEEDS_SECOND_PERSON
    proposal = await propose(desk)
    assert isinstance(proposal, Proposal)
    assert await propose(desk, by=BO) == await desk.proposals.find(proposal.proposal_id)
    assert await desk.approve(proposal, by=ADA) is ProposalRefusal.OWN_PROPOSAL
    assert await desk.registry.find_pause(*SHOP, desk.now) is not None
    approved = await desk.approve(proposal)
    assert isinstance(approved, Proposal) and approved.state is ProposalState.EXECUTED
    assert await desk.registry.find_pause(*SHOP, desk.now) is None


async def test_an_approval_lifts_the_pause_that_was_proposed_and_no_later_one(desk: Desk) -> None:
    await desk.registry.set_pause(pause(desk.now))
    proposal = await propose(desk)
    assert isinstance(proposal, Proposal)
    await desk.registry.set_pause(replace(pause(desk.now + HOUR), reason="Another fault."))
    assert await desk.approve(proposal) is ProposalRefusal.CHANGED
    stands = await desk.proposals.find(proposal.proposal_id)
    assert stands is not None and stands.approval is None
    assert await desk.registry.find_pause(*SHOP, desk.now) is not None


async def test_only_the_role_that_was_named_proposes_to_lift(desk: Desk) -> None:
    await desk.registry.set_pause(pause(desk.now, lift_by="operator"))
    assert await propose(desk) is LiftRefusal.ANOTHER_ROLE
    assert isinstance(await propose(desk, role="operator"), Proposal)


async def test_nothing_is_lifted_where_nothing_is_paused_any_more(desk: Desk) -> None:
    await desk.registry.set_pause(pause(desk.now, desk.now + HOUR))
    desk.now += HOUR
    assert await propose(desk) is LiftRefusal.NOT_PAUSED


async def test_pausing_twice_at_once_keeps_the_later_end(desk: Desk) -> None:
    await asyncio.gather(*(desk.registry.set_pause(pause(desk.now, desk.now + HOUR * hours)) for hours in (1, 3, 2)))
    found = await desk.registry.find_pause(*SHOP, desk.now)
    assert found is not None and found.ends_at == desk.now + 3 * HOUR


ENDS = st.none() | st.integers(1, 5)


@given(ENDS, ENDS, st.integers(0, 6))
def test_pausing_again_never_brings_the_end_forward(first: int | None, second: int | None, after: int) -> None:
    def end(at: datetime, hours: int | None) -> datetime | None:
        return None if hours is None else at + HOUR * hours

    old, at = pause(NOW, end(NOW, first), "risk"), NOW + HOUR * after
    new = later_pause(old, pause(at, end(at, second)))
    if old.stands(at):
        assert new.lift_by == "risk"
        assert new.ends_at is None or (old.ends_at is not None and new.ends_at >= old.ends_at)
    else:
        assert new == pause(at, end(at, second))


@on_both_stores
@pytest.mark.parametrize("again", [None, 1, 5])
async def test_both_stores_keep_the_same_pause(market: Market, again: int | None) -> None:
    for old in (pause(NOW, NOW + 2 * HOUR, "risk"), pause(NOW)):
        await market.registry.set_pause(old)
        at = NOW + HOUR
        new = pause(at, None if again is None else at + HOUR * again, "operator")
        assert await market.registry.set_pause(new) == later_pause(old, new)
        await market.registry.lift_pause(*SHOP, by=ADA, now=NOW)


@on_both_stores
async def test_a_pause_decides_until_the_very_moment_of_its_end(market: Market) -> None:
    await market.registry.set_pause(Pause(Scope.PLATFORM, "", "Maintenance.", ADA, NOW, NOW + HOUR))
    for number, (moment, paused) in enumerate(((NOW + HOUR - timedelta(microseconds=1), True), (NOW + HOUR, False))):
        buyer = await market.premium_buyer(f"buyer-{number}", now=moment)
        await market.paid_order(buyer, f"o-{number}", now=moment)
        ticket = await market.asked(buyer, f"o-{number}", now=moment)
        assert (ticket.review_reason == "service_paused") == paused


@on_both_stores
async def test_an_ended_pause_makes_an_unknown_region_matter_no_more(market: Market) -> None:
    await market.registry.set_pause(Pause(Scope.REGION, "elsewhere", "Flood.", ADA, NOW, NOW + HOUR))
    reasons = []
    for number, moment in enumerate((NOW, NOW + HOUR)):
        buyer = await market.premium_buyer(f"b-{number}", now=moment)
        await market.paid_order(buyer, f"o-{number}", now=moment)
        reasons.append((await market.asked(buyer, f"o-{number}", now=moment)).review_reason)
    assert reasons == ["pause_unknown", None]


async def test_what_nobody_confirms_within_a_day_is_a_task_until_somebody_does(desk: Desk) -> None:
    await desk.registry.set_pause(pause(desk.now))
    (waiting,) = await desk.confirmations.open(limit=10)

    async def open_tasks(at: datetime) -> list[object]:
        state = await PostgresQueries(desk.pool).operations(at)
        standing = standing_tasks(state, (), Expected({}, timedelta(seconds=10)), at)
        return [task.evidence["done_by"] for task in standing if task.kind is TaskKind.CHANGE_UNCONFIRMED]

    assert await open_tasks(waiting.confirm_by) == []  # it may be confirmed until then
    late = waiting.confirm_by + timedelta(microseconds=1)
    assert await open_tasks(late) == [ADA]
    assert not isinstance(await desk.confirmations.confirm(waiting.confirmation_id, by=BO, now=late), ConfirmRefusal)
    assert await open_tasks(late + HOUR) == []
