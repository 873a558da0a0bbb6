"""Lifting a restriction and covering a place take two people where two approve."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from datetime import timedelta
from uuid import UUID

import pytest

from jitui.adapters.postgres.queue import SeenLog
from jitui.adapters.postgres.store import PostgresStore
from jitui.aftersales.commands.intake import put_order
from jitui.aftersales.governance.loosening import (
    CoverWish,
    LoosenRefusal,
    lift_restriction,
    propose_cover,
    propose_lifting,
    set_coverage,
    unset_coverage,
)
from jitui.aftersales.governance.proposals import Proposal, ProposalRefusal, ProposalState
from jitui.aftersales.governance.publishing import NotAlone
from jitui.aftersales.governance.registry import Category, Coverage, Restriction, Scope, Shop
from jitui.aftersales.model.order import OrderLine
from jitui.aftersales.outcomes import Refusal
from jitui.aftersales.ports import NewOrder
from jitui.ids import lane_of, new_id
from tests.governance.desk import ADA, BO, Desk, open_desk

SHOP = (Scope.SHOP, "shop-1")
WISH = CoverWish(*SHOP)
HOUR = timedelta(hours=1)


async def restricted(desk: Desk, *, ends_in: timedelta | None = None) -> UUID:
    row = Restriction(
        new_id(lane_of("b-1")),
        "b-1",
        "Cancels in series.",
        desk.now,
        None if ends_in is None else desk.now + ends_in,
        ADA,
        desk.now,
    )
    assert await desk.registry.restrict(row)
    return row.restriction_id


def out(desk: Desk, reason: str = "Late.") -> Coverage:
    return Coverage(*SHOP, False, reason, ADA, desk.now)


async def lifting(desk: Desk, restriction_id: UUID, by: str = ADA) -> Proposal | LoosenRefusal:
    return await propose_lifting(
        desk.registry, desk.proposals, restriction_id, by=by, now=desk.now, reason="It was the warehouse."
    )


async def covering(desk: Desk, wish: CoverWish = WISH, by: str = ADA) -> Proposal | LoosenRefusal:
    return await propose_cover(desk.registry, desk.proposals, wish, by=by, now=desk.now, reason="On time again.")


async def stands(desk: Desk, restriction_id: UUID) -> bool:
    found = await desk.registry.restriction(restriction_id)
    assert found is not None
    return found.stands(desk.now)


async def audited(desk: Desk, action: str) -> list[dict[str, object]]:
    async with desk.pool.connection() as connection:
        rows = await connection.execute("SELECT detail FROM audit_event WHERE action = %s ORDER BY number", [action])
        return [json.loads(str(row[0])) for row in await rows.fetchall()]


# A restriction ---------------------------------------------------------------------------------------------------


async def test_a_restriction_is_lifted_by_two_people(desk: Desk) -> None:
    known = await restricted(desk)
    alone = await lift_restriction(desk.registry, desk.policies, known, by=ADA, now=desk.now, reason="")
    assert alone is NotAlone.NEEDS_SECOND_PERSON
    proposal = await lifting(desk, known)
    assert isinstance(proposal, Proposal)
    assert await lifting(desk, known, by=BO) == await desk.proposals.find(proposal.proposal_id)
    assert await desk.approve(proposal, by=ADA) is ProposalRefusal.OWN_PROPOSAL
    assert await stands(desk, known)
    approved = await desk.approve(proposal)
    assert isinstance(approved, Proposal) and approved.state is ProposalState.EXECUTED
    assert not await stands(desk, known)
    lifted = await desk.registry.restriction(known)
    assert lifted is not None and (lifted.lifted_by, lifted.lift_reason) == (BO, "It was the warehouse.")
    assert (await audited(desk, "restriction.lifted"))[-1]["proposed_by"] == ADA


async def test_the_approval_of_an_ended_restriction_lifts_nothing_and_does_not_stand(desk: Desk) -> None:
    known = await restricted(desk, ends_in=HOUR)
    proposal = await lifting(desk, known)
    assert isinstance(proposal, Proposal)
    desk.now += HOUR
    assert await desk.approve(proposal) is ProposalRefusal.CHANGED
    found = await desk.proposals.find(proposal.proposal_id)
    assert found is not None and (found.state, found.approval) == (ProposalState.OPEN, None)
    assert await lifting(desk, known) is LoosenRefusal.NOT_RESTRICTED


async def test_of_two_who_approve_at_once_one_lifts_it(desk: Desk) -> None:
    known = await restricted(desk)
    proposal = await lifting(desk, known)
    assert isinstance(proposal, Proposal)
    done = await asyncio.gather(*(desk.approve(proposal) for _ in range(4)))
    assert sum(isinstance(one, Proposal) for one in done) == 1
    assert len(await audited(desk, "restriction.lifted")) == 1


async def test_nothing_of_the_buyer_is_in_the_proposal(desk: Desk) -> None:
    """An erasure takes the buyer out of the restriction; a proposal never changes."""
    proposal = await lifting(desk, await restricted(desk))
    assert isinstance(proposal, Proposal)
    kept = f"{proposal.subject}{proposal.content}{proposal.evidence}"
    assert "b-1" not in kept and "series" not in kept


async def test_one_person_lifts_where_one_is_enough(database_url: str) -> None:
    async with open_desk(database_url, two_people=False) as desk:
        known = await restricted(desk)
        done = [
            await lift_restriction(desk.registry, desk.policies, known, by=ADA, now=desk.now, reason="x")
            for _ in range(2)
        ]
        assert done == [None, LoosenRefusal.NOT_RESTRICTED]


# A place ---------------------------------------------------------------------------------------------------------


async def test_a_place_is_taken_out_by_one_and_covered_again_by_two(desk: Desk) -> None:
    assert await set_coverage(desk.registry, desk.policies, out(desk)) is None
    back = replace(out(desk), covered=True)
    assert await set_coverage(desk.registry, desk.policies, back) is NotAlone.NEEDS_SECOND_PERSON
    alone = await unset_coverage(desk.registry, desk.policies, SHOP, by=ADA, now=desk.now)
    assert alone is NotAlone.NEEDS_SECOND_PERSON
    proposal = await covering(desk)
    assert isinstance(proposal, Proposal)
    assert await covering(desk, by=BO) == await desk.proposals.find(proposal.proposal_id)
    assert await desk.approve(proposal, by=ADA) is ProposalRefusal.OWN_PROPOSAL
    row = await desk.registry.find_coverage(*SHOP)
    assert row is not None and not row.covered
    assert isinstance(await desk.approve(proposal), Proposal)
    row = await desk.registry.find_coverage(*SHOP)
    assert row is not None and (row.covered, row.reason, row.set_by) == (True, "On time again.", BO)
    assert (await audited(desk, "coverage.set"))[-1]["proposed_by"] == ADA
    assert await covering(desk) is LoosenRefusal.COVERED_BY_HAND


@pytest.mark.parametrize("unset", [False, True])
async def test_what_somebody_sets_meanwhile_is_not_covered_by_an_older_approval(desk: Desk, unset: bool) -> None:
    await desk.registry.set_coverage(out(desk))
    proposal = await covering(desk, replace(WISH, unset=unset))
    assert isinstance(proposal, Proposal)
    await desk.registry.set_coverage(replace(out(desk, "Counterfeits."), set_at=desk.now + HOUR))
    assert await desk.approve(proposal) is ProposalRefusal.CHANGED
    row = await desk.registry.find_coverage(*SHOP)
    assert row is not None and (row.covered, row.reason) == (False, "Counterfeits.")


async def test_a_place_without_a_row_that_is_taken_out_meanwhile_stays_out(desk: Desk) -> None:
    proposal = await covering(desk)
    assert isinstance(proposal, Proposal) and proposal.cover.stands_since is None
    await desk.registry.set_coverage(out(desk))
    assert await desk.approve(proposal) is ProposalRefusal.CHANGED
    row = await desk.registry.find_coverage(*SHOP)
    assert row is not None and not row.covered


async def test_a_row_that_was_taken_back_meanwhile_is_not_covered_by_hand(desk: Desk) -> None:
    await desk.registry.set_coverage(out(desk))
    proposal = await covering(desk)
    assert isinstance(proposal, Proposal)
    assert await desk.registry.unset_coverage(*SHOP, by=BO, now=desk.now)
    assert await desk.approve(proposal) is ProposalRefusal.CHANGED
    assert await desk.registry.find_coverage(*SHOP) is None


async def test_the_row_of_another_place_stands_for_no_row_of_this_one(desk: Desk) -> None:
    """Also when both were set at the same moment."""
    beside = replace(out(desk, "Of another shop."), ref="shop-0")
    await desk.registry.set_coverage(beside)
    assert await desk.registry.find_coverage(*SHOP) is None
    assert await covering(desk, replace(WISH, unset=True)) is LoosenRefusal.NOTHING_SET
    await desk.registry.set_coverage(replace(out(desk), set_at=beside.set_at))
    proposal = await covering(desk)
    assert isinstance(proposal, Proposal)
    assert await desk.registry.unset_coverage(*SHOP, by=BO, now=desk.now)
    assert await desk.approve(proposal) is ProposalRefusal.CHANGED
    assert await desk.registry.find_coverage(*SHOP) is None
    row = await desk.registry.find_coverage(Scope.SHOP, "shop-0")
    assert row is not None and row.reason == "Of another shop."


async def test_two_let_the_gates_decide_again(desk: Desk) -> None:
    assert await covering(desk, replace(WISH, unset=True)) is LoosenRefusal.NOTHING_SET
    await desk.registry.set_coverage(out(desk))
    proposal = await covering(desk, replace(WISH, unset=True))
    assert isinstance(proposal, Proposal)
    assert isinstance(await desk.approve(proposal), Proposal)
    assert await desk.registry.find_coverage(*SHOP) is None
    assert await unset_coverage(desk.registry, desk.policies, SHOP, by=ADA, now=desk.now) is LoosenRefusal.NOTHING_SET


async def test_one_person_covers_where_one_is_enough(database_url: str) -> None:
    async with open_desk(database_url, two_people=False) as desk:
        assert await set_coverage(desk.registry, desk.policies, replace(out(desk), covered=True)) is None
        assert await unset_coverage(desk.registry, desk.policies, SHOP, by=ADA, now=desk.now) is None
        assert await desk.registry.find_coverage(*SHOP) is None


async def test_a_place_is_known_once_it_was_described_set_or_sold_by_the_shop(desk: Desk) -> None:
    knows = desk.registry.knows_place
    for scope in (Scope.SHOP, Scope.CATEGORY, Scope.ITEM):
        assert not await knows(scope, "x", seller="shop-1")
    await desk.registry.put_shop(Shop("x", "X"), desk.now)
    assert (await knows(Scope.SHOP, "x"), await knows(Scope.CATEGORY, "x"), await knows(Scope.ITEM, "x")) == (
        True,
        False,
        False,
    )
    await desk.registry.put_category(Category("x", "X", False, False), desk.now)
    assert (await knows(Scope.CATEGORY, "x"), await knows(Scope.ITEM, "x")) == (True, False)
    await desk.registry.set_coverage(Coverage(Scope.ITEM, "x", False, "Recalled.", ADA, desk.now))
    assert await knows(Scope.ITEM, "x")
    line = OrderLine("l1", "sku", "item-1", 1, 100, "toys", "A kite", False, False)
    new = NewOrder("o-1", "b-1", "shop-1", "CNY", desk.now, (line,))
    assert not isinstance(await put_order(PostgresStore(desk.pool, "UTC", SeenLog()), new, now=desk.now), Refusal)
    for scope, ref in ((Scope.CATEGORY, "toys"), (Scope.ITEM, "item-1")):
        assert [await knows(scope, ref, seller=shop) for shop in ("shop-1", "shop-2", "")] == [True, False, False]
    assert not await knows(Scope.CATEGORY, "item-1", seller="shop-1")
    assert not await knows(Scope.ITEM, "toys", seller="shop-1")
    assert await knows(Scope.SHOP, "shop-1")
