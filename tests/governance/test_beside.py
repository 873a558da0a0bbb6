"""An approval, a confirmation and a lift concern what they name, and nothing that waits or stands beside it."""

from __future__ import annotations

import asyncio
from datetime import timedelta

from jitui.adapters.postgres.audit import AuditEntry, write_audit
from jitui.aftersales.governance.confirmations import Confirmation, ConfirmRefusal
from jitui.aftersales.governance.loosening import propose_allowing
from jitui.aftersales.governance.proposals import Proposal, ProposalState, schedule
from jitui.aftersales.governance.publication import LogEntry
from jitui.aftersales.governance.registry import Restriction, new_selection
from jitui.aftersales.governance.rollout import start_canary
from jitui.identity.audit import AuditAction
from jitui.ids import lane_of, new_id
from tests.governance.desk import ADA, BO, CY, Desk, text

BUYER = "b-1"
NEIGHBOUR = next(f"n-{number}" for number in range(5000) if lane_of(f"n-{number}") == lane_of(BUYER))


async def test_of_two_proposals_only_the_one_that_is_named_is_approved_changed_and_closed(desk: Desk) -> None:
    first, second = await desk.proposed(text("first")), await desk.proposed(text("second"), by=BO)
    assert isinstance(await desk.approve(first), Proposal)
    assert await desk.proposals.find(second.proposal_id) == second
    standing = await desk.approve(second, by=ADA)
    assert isinstance(standing, Proposal) and standing.approval is not None
    assert (standing.approval.approved_by, standing.proposed_by) == (ADA, BO)
    later = desk.now + timedelta(days=3)
    changed = await schedule(desk.proposals, first.proposal_id, later, by=ADA, now=desk.now)
    assert isinstance(changed, Proposal) and changed.state is ProposalState.OPEN
    assert await desk.proposals.find(second.proposal_id) == standing
    closed = await desk.proposals.close(
        first.proposal_id, ProposalState.REJECTED, by=BO, now=desk.now, reason="Not this one."
    )
    assert isinstance(closed, Proposal)
    assert await desk.proposals.find(second.proposal_id) == standing


async def test_of_two_proposals_with_one_content_only_the_one_that_is_named_is_approved_and_changed(desk: Desk) -> None:
    first, twin = await desk.proposed(), await desk.proposed(by=BO)
    assert (first.content_hash, first.proposal_id != twin.proposal_id) == (twin.content_hash, True)
    assert isinstance(await desk.approve(first, by=CY), Proposal)
    assert await desk.proposals.find(twin.proposal_id) == twin
    later = desk.now + timedelta(days=3)
    assert isinstance(await schedule(desk.proposals, first.proposal_id, later, by=ADA, now=desk.now), Proposal)
    assert await desk.proposals.find(twin.proposal_id) == twin


async def test_the_canary_of_one_proposal_keeps_no_other_from_being_changed(desk: Desk) -> None:
    started = await desk.proposed(text("started"), canary_percent=5)
    other = await desk.proposed(text("other"))

    async def no_signals(canary: LogEntry) -> list[str]:
        return []

    assert isinstance(await desk.approve(started), Proposal)
    canary = await start_canary(
        desk.policies, desk.proposals, started.proposal_id, 2, by=ADA, now=desk.now, signals=no_signals
    )
    assert isinstance(canary, LogEntry)
    later = desk.now + timedelta(days=3)
    assert isinstance(await schedule(desk.proposals, other.proposal_id, later, by=ADA, now=desk.now), Proposal)


async def test_only_who_made_an_account_may_still_use_it_and_not_who_did_something_else_about_it(desk: Desk) -> None:
    """Recorded is another act of the proposer whose subject is the approver's name."""
    async with desk.pool.connection() as connection:
        await write_audit(connection, AuditEntry(AuditAction.PAUSE_SET, BO, ADA, desk.now, {}))
    assert isinstance(await desk.approve(await desk.proposed()), Proposal)


def restriction(desk: Desk, buyer_id: str) -> Restriction:
    return Restriction(new_id(lane_of(buyer_id)), buyer_id, "Cancels.", desk.now, desk.now + timedelta(days=9), ADA)


async def test_a_confirmation_and_a_lift_are_of_one_restriction(desk: Desk) -> None:
    rows = [restriction(desk, BUYER), restriction(desk, BUYER), restriction(desk, NEIGHBOUR)]
    for row in rows:
        assert await desk.registry.restrict(row)
    assert [one.restriction_id for one in await desk.registry.restrictions_of(NEIGHBOUR)] == [rows[2].restriction_id]
    for row in rows:
        found_one = await desk.registry.restriction(row.restriction_id)
        assert found_one is not None and found_one.restriction_id == row.restriction_id
    named, *others = await desk.confirmations.open(limit=9)
    unknown = await desk.confirmations.confirm(new_id(0), by=BO, now=desk.now)
    assert unknown is ConfirmRefusal.NOTHING_TO_CONFIRM
    assert isinstance(await desk.confirmations.confirm(named.confirmation_id, by=BO, now=desk.now), Confirmation)
    assert await desk.confirmations.open(limit=9) == others
    lifted = rows[0].restriction_id
    assert await desk.registry.lift_restriction(lifted, desk.now, by=BO, reason="A mistake.")
    assert not await desk.registry.lift_restriction(lifted, desk.now, by=ADA, reason="Again.")
    found = [*await desk.registry.restrictions_of(BUYER), *await desk.registry.restrictions_of(NEIGHBOUR)]
    assert {one.restriction_id: one.lifted_by for one in found} == {
        lifted: BO,
        rows[1].restriction_id: None,
        rows[2].restriction_id: None,
    }
    end = rows[1].ends_at
    assert end is not None
    assert not await desk.registry.lift_restriction(rows[1].restriction_id, end, by=BO, reason="It is over.")
    assert await desk.registry.lift_restriction(
        rows[1].restriction_id, end - timedelta(microseconds=1), by=BO, reason="It is not over yet."
    )


async def test_of_two_buyers_who_are_proposed_the_one_that_is_named_is_allowed(desk: Desk) -> None:
    proposals = []
    for buyer in (BUYER, NEIGHBOUR):
        row = new_selection(buyer, "allow", "Invited.", ADA, desk.now)
        proposal = await propose_allowing(desk.registry, desk.proposals, row, by=ADA, now=desk.now)
        assert isinstance(proposal, Proposal)
        proposals.append(proposal)
    assert await desk.registry.selection_entry(new_id(lane_of(BUYER))) is None
    assert isinstance(await desk.approve(proposals[0]), Proposal)
    allowed = await desk.registry.selection_of(BUYER)
    assert allowed is not None and allowed.verdict == "allow"
    assert await desk.registry.selection_of(NEIGHBOUR) is None
    waiting = await desk.registry.selection_entry(proposals[1].allow_buyer.selection_id)
    assert waiting is not None and (waiting.buyer_id, waiting.proposed) == (NEIGHBOUR, True)
    assert isinstance(await desk.approve(proposals[1]), Proposal)
    assert await desk.registry.selection_of(BUYER) == allowed


async def test_who_is_denied_beside_a_denied_buyer_waits_for_a_confirmation_too(desk: Desk) -> None:
    denied = [
        await desk.registry.select(new_selection(buyer, "deny", "Abuse.", ADA, desk.now))
        for buyer in (BUYER, NEIGHBOUR)
    ]
    assert {one.subject for one in await desk.confirmations.open(limit=9)} == {str(one) for one in denied}


async def test_of_two_who_confirm_at_once_one_does_and_the_other_is_told_so(desk: Desk) -> None:
    assert await desk.registry.restrict(restriction(desk, BUYER))
    (waiting,) = await desk.confirmations.open(limit=9)
    done = await asyncio.gather(
        *(desk.confirmations.confirm(waiting.confirmation_id, by=by, now=desk.now) for by in (BO, CY))
    )
    assert sorted(isinstance(one, Confirmation) for one in done) == [False, True]
    assert ConfirmRefusal.CONFIRMED_ALREADY in done


async def test_an_account_that_whoever_did_it_has_just_reset_confirms_nothing(desk: Desk) -> None:
    assert await desk.registry.restrict(restriction(desk, BUYER))
    (waiting,) = await desk.confirmations.open(limit=9)
    await desk.people.set_password(BO, "hash", by=ADA, now=desk.now)
    refused = await desk.confirmations.confirm(waiting.confirmation_id, by=BO, now=desk.now)
    assert refused is ConfirmRefusal.CONFIRMER_IS_RECENT
