"""A second person approves what loosens: held by the database, bound to what was approved (I8)."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import timedelta

import psycopg
import pytest

from jitui.adapters.postgres.policies import PostgresPolicies
from jitui.aftersales.governance.policies import NewPublication, PolicyText, text_of
from jitui.aftersales.governance.proposals import (
    ACCOUNT_OLD_ENOUGH,
    Proposal,
    ProposalRefusal,
    ProposalState,
    schedule,
)
from jitui.aftersales.governance.publication import Authority, LogAction, LogEntry, Stage
from jitui.aftersales.governance.publishing import (
    Blocked,
    BlockerCode,
    Candidate,
    NotAlone,
    keep_draft,
    publish_alone,
)
from jitui.aftersales.governance.rollout import publish_approved, start_canary
from jitui.policy import Policy, PublicPolicy, public_view
from tests.aftersales.market import DEFAULT_POLICY
from tests.governance.desk import ADA, BO, CY, Desk, text


async def publish(desk: Desk, proposal: Proposal, by: str = ADA) -> LogEntry | Blocked | ProposalRefusal:
    return await publish_approved(desk.policies, desk.proposals, proposal.proposal_id, by=by, now=desk.now)


async def test_a_text_is_live_after_a_second_person_approved_it_and_not_before(desk: Desk) -> None:
    proposal = await desk.proposed()
    assert await publish(desk, proposal) is ProposalRefusal.NOT_APPROVED
    approved = await desk.approve(proposal)
    assert isinstance(approved, Proposal) and approved.state is ProposalState.APPROVED
    assert await desk.live() == DEFAULT_POLICY.version
    assert isinstance(await publish(desk, proposal), LogEntry)
    assert await desk.live() == "next"
    assert await publish(desk, proposal) is ProposalRefusal.CLOSED
    shown = await desk.policies.publication(None)
    assert shown is not None and (shown.authority, shown.approved_by) == ("two_people", BO)


async def test_nobody_approves_what_they_proposed(desk: Desk) -> None:
    proposal = await desk.proposed()
    assert await desk.approve(proposal, by=ADA) is ProposalRefusal.OWN_PROPOSAL
    with pytest.raises(psycopg.errors.CheckViolation, match="nobody_approves_their_own"):
        await _approve_by_hand(desk, proposal, approved_by=ADA)
    assert await publish(desk, proposal) is ProposalRefusal.NOT_APPROVED


@pytest.mark.parametrize("role", ["admin", "support", "auditor"])
async def test_the_database_takes_no_approval_of_another_role(desk: Desk, role: str) -> None:
    proposal = await desk.proposed()
    with pytest.raises(psycopg.errors.CheckViolation, match="approved_as"):
        await desk.approve(proposal, by=CY, role=role)


async def test_a_name_that_is_nobodys_approves_nothing(desk: Desk) -> None:
    proposal = await desk.proposed()
    with pytest.raises(psycopg.errors.ForeignKeyViolation):
        await _approve_by_hand(desk, proposal, approved_by="nobody")


async def test_an_account_that_the_proposer_made_or_reset_is_no_second_person_for_seven_days(desk: Desk) -> None:
    await desk.people.set_password(BO, "hash", by=ADA, now=desk.now - ACCOUNT_OLD_ENOUGH + timedelta(seconds=1))
    proposal = await desk.proposed()
    assert await desk.approve(proposal) is ProposalRefusal.RECENT_ACCOUNT
    desk.now += timedelta(seconds=1)
    assert isinstance(await desk.approve(proposal), Proposal)


async def test_an_account_that_somebody_else_reset_is_a_second_person(desk: Desk) -> None:
    await desk.people.set_password(BO, "hash", by=CY, now=desk.now)
    await desk.people.set_password(ADA, "hash", by=ADA, now=desk.now)
    assert isinstance(await desk.approve(await desk.proposed()), Proposal)


async def test_an_approval_is_bound_to_what_was_read(desk: Desk) -> None:
    proposal = await desk.proposed()
    read_before = replace(proposal, content_hash=bytes(32))
    assert await desk.approve(read_before) is ProposalRefusal.CHANGED


async def test_another_schedule_voids_an_approval_and_whoever_changed_it_proposes_it(desk: Desk) -> None:
    proposal = await desk.proposed()
    assert isinstance(await desk.approve(proposal), Proposal)
    later = desk.now + timedelta(days=3)
    changed = await schedule(desk.proposals, proposal.proposal_id, later, by=BO, now=desk.now)
    assert isinstance(changed, Proposal)
    assert (changed.state, changed.approval, changed.proposed_by) == (ProposalState.OPEN, None, BO)
    assert await publish(desk, changed) is ProposalRefusal.NOT_APPROVED
    assert await desk.approve(changed, by=BO) is ProposalRefusal.OWN_PROPOSAL
    assert isinstance(await desk.approve(changed, by=ADA), Proposal)
    done = await publish(desk, changed)
    assert isinstance(done, LogEntry) and done.effective_at == later
    assert await desk.live() == DEFAULT_POLICY.version


async def test_the_database_changes_nothing_under_an_approval(desk: Desk) -> None:
    proposal = await desk.proposed()
    assert isinstance(await desk.approve(proposal), Proposal)
    for change in (
        "content = content || ' ', content_hash = sha256(convert_to(content || ' ', 'UTF8'))",
        "proposed_by = 'cy'",
    ):
        with pytest.raises(psycopg.errors.ForeignKeyViolation):
            async with desk.pool.connection() as connection:
                await connection.execute(f"UPDATE proposal SET {change}".encode())
    with pytest.raises(psycopg.errors.CheckViolation):
        async with desk.pool.connection() as connection:
            await connection.execute("UPDATE proposal SET content = content || ' '")


async def test_two_who_approve_at_once_are_one_approval(desk: Desk) -> None:
    from jitui.identity.access import Role
    from jitui.identity.people import Person

    await desk.people.add_person(Person("di", Role.OPERATOR, "", "di"), None, desk.now, by="command line")
    proposal = await desk.proposed()
    got = await asyncio.gather(desk.approve(proposal), desk.approve(proposal, by="di", role="operator"))
    assert sorted(isinstance(one, Proposal) for one in got) == [False, True]
    assert ProposalRefusal.APPROVED_ALREADY in got


async def test_a_change_beside_an_approval_leaves_either_an_approved_old_or_an_open_new_content(desk: Desk) -> None:
    for round_ in range(8):
        proposal = await desk.proposed(text(f"v{round_}"))
        later = desk.now + timedelta(days=1 + round_)
        approved, changed = await asyncio.gather(
            desk.approve(proposal), schedule(desk.proposals, proposal.proposal_id, later, by=ADA, now=desk.now)
        )
        assert isinstance(changed, Proposal)  # it comes first, or voids the approval
        assert isinstance(approved, Proposal) or approved is ProposalRefusal.CHANGED
        stands = await desk.proposals.find(proposal.proposal_id)
        assert stands is not None and (stands.state, stands.approval) == (ProposalState.OPEN, None)
        assert stands.policy.effective_at == later


async def test_two_who_publish_one_approval_at_once_publish_once(desk: Desk) -> None:
    proposal = await desk.proposed()
    await desk.approve(proposal)
    got = await asyncio.gather(*(publish(desk, proposal, by) for by in (ADA, BO)))
    assert sum(isinstance(one, LogEntry) for one in got) == 1
    assert len(await desk.policies.log()) == 2


async def test_of_many_who_append_at_once_to_the_same_log_one_does(desk: Desk) -> None:
    """The others look at the log anew, so that nothing is published on what does not stand any more."""
    proposal = await desk.proposed()
    kept = await desk.policies.text(proposal.policy.sha256)
    assert kept is not None
    row = NewPublication(LogAction.PUBLISH, Stage.SHADOW, kept, Authority.ONE_PERSON, ADA, desk.now, "why")
    for after in (1, 2, 3):
        got = await asyncio.gather(*(desk.policies.append(row, after=after) for _ in range(6)))
        assert sum(one is not None for one in got) == 1


async def test_one_person_publishes_nothing_alone_by_any_authority(desk: Desk) -> None:
    alone = await publish_alone(desk.policies, Candidate(text(), "next.yaml"), by=ADA, now=desk.now)
    assert alone is NotAlone.NEEDS_SECOND_PERSON
    proposal = await desk.proposed()
    kept = await desk.policies.text(proposal.policy.sha256)
    assert kept is not None
    row = NewPublication(LogAction.PUBLISH, Stage.LIVE, kept, Authority.ONE_PERSON, ADA, desk.now, "why")
    forged = await desk.policies.log()
    for authority in Authority:
        with pytest.raises(ValueError):
            await desk.policies.append(replace(row, authority=authority), after=forged[-1].publication)
    with pytest.raises(ValueError):  # what was never live is brought back by nobody
        await desk.policies.append(replace(row, action=LogAction.ROLL_BACK), after=forged[-1].publication)
    assert len(await desk.policies.log()) == 1


async def test_the_mode_for_one_person_is_only_switched_off(desk: Desk) -> None:
    assert not await desk.policies.end_single_person(by=ADA, now=desk.now)
    for statement in (
        "UPDATE approval_mode SET single_person = true, ended_at = NULL, ended_by = NULL",
        "DELETE FROM approval_mode",
        "INSERT INTO approval_mode (single_person) VALUES (true)",
    ):
        with pytest.raises(psycopg.Error):
            async with desk.pool.connection() as connection:
                await connection.execute(statement.encode())
    assert not await desk.policies.single_person()


async def test_a_canary_has_at_most_the_share_that_was_approved(desk: Desk) -> None:
    proposal, standing = await desk.proposed(canary_percent=5), list[str]()

    async def signals(canary: LogEntry) -> list[str]:
        return standing

    async def canary(percent: int) -> LogEntry | Blocked | ProposalRefusal:
        return await start_canary(
            desk.policies, desk.proposals, proposal.proposal_id, percent, by=ADA, now=desk.now, signals=signals
        )

    assert await canary(5) is ProposalRefusal.NOT_APPROVED
    await desk.approve(proposal)
    assert [await canary(percent) for percent in (0, 6)] == [ProposalRefusal.NO_CANARY] * 2
    first = await canary(2)
    standing.append("share_instant: 0.9 against 0.5")
    assert await canary(5) is ProposalRefusal.SIGNAL_STANDS
    assert isinstance(await canary(1), LogEntry)  # a smaller share is no risk
    standing.clear()
    second = await canary(5)
    assert isinstance(first, LogEntry) and isinstance(second, LogEntry)
    assert (first.canary_percent, second.canary_percent) == (2, 5)
    assert first.canary_seed == second.canary_seed
    later = desk.now + timedelta(days=3)
    assert await schedule(desk.proposals, proposal.proposal_id, later, by=BO, now=desk.now) is ProposalRefusal.STARTED


async def test_a_version_names_one_text_for_ever(desk: Desk) -> None:
    await desk.proposed(text("2.0"))
    refused = await desk.propose(text("2.0", **{"over: 30d": "over: 31d"}))
    assert isinstance(refused, Blocked) and [one.code for one in refused.blockers] == [BlockerCode.VERSION_TAKEN]
    for statement in ("UPDATE policy_text SET document = document || ' '", "DELETE FROM policy_text"):
        with pytest.raises(psycopg.errors.RaiseException):
            async with desk.pool.connection() as connection:
                await connection.execute(statement.encode())


async def _approve_by_hand(desk: Desk, proposal: Proposal, *, approved_by: str) -> None:
    async with desk.pool.connection() as connection:
        await connection.execute(
            "INSERT INTO approval (proposal_id, content_hash, proposed_by, approved_by, approved_as, approved_at)"
            " SELECT proposal_id, content_hash, proposed_by, %(by)s, 'risk', now() FROM proposal"
            " WHERE proposal_id = %(id)s",
            {"by": approved_by, "id": proposal.proposal_id},
        )


class OvertakenPolicies(PostgresPolicies):
    """Somebody else pushes another text under the version between the check and the push."""

    rival: str = ""

    async def push(self, text: PolicyText, view: PublicPolicy) -> PolicyText:
        if self.rival:
            policy, self.rival = Policy.from_text(self.rival), ""
            await super().push(text_of(policy, by=BO, now=text.pushed_at), public_view(policy))
        return await super().push(text, view)


async def test_whoever_is_overtaken_under_a_version_is_told_and_not_given_the_other_text(desk: Desk) -> None:
    policies = OvertakenPolicies(desk.pool)
    policies.rival = text("next", **{"over: 30d": "over: 31d"})
    done = await keep_draft(policies, Candidate(text("next"), "next.yaml"), by=ADA, now=desk.now)
    assert isinstance(done, Blocked)
    assert [one.code for one in done.blockers] == [BlockerCode.VERSION_TAKEN]
