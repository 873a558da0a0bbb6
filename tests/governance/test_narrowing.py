"""What one person narrows is confirmed by a second one within a day; what allows a buyer takes two beforehand."""

from __future__ import annotations

from datetime import date, timedelta

import pytest

from jitui.adapters.postgres.personal_data import PostgresPersonalData
from jitui.aftersales.governance.confirmations import CONFIRM_WITHIN, Confirmation, ConfirmRefusal
from jitui.aftersales.governance.erasure import Erased
from jitui.aftersales.governance.loosening import (
    CoverWish,
    LoosenRefusal,
    propose_allowing,
    propose_lifting,
    select_buyer,
)
from jitui.aftersales.governance.pauses import Lifter, propose_lift
from jitui.aftersales.governance.proposals import Proposal, ProposalRefusal, ProposalState
from jitui.aftersales.governance.publishing import NotAlone
from jitui.aftersales.governance.registry import Coverage, Pause, Scope, Selection, new_selection
from tests.governance.desk import ADA, BO, Desk
from tests.governance.test_loosening import audited, covering, out, restricted

BUYER = "b-1"


def entry(desk: Desk, verdict: str, by: str = ADA) -> Selection:
    return new_selection(BUYER, verdict, "Invited.", by, desk.now)


async def waiting(desk: Desk) -> list[tuple[str, str]]:
    return [(one.action, one.subject) for one in await desk.confirmations.open(limit=99)]


async def allowing(desk: Desk, by: str = ADA) -> Proposal | LoosenRefusal:
    return await propose_allowing(desk.registry, desk.proposals, entry(desk, "allow", by), by=by, now=desk.now)


async def on_list(desk: Desk) -> str | None:
    found = await desk.registry.selection_of(BUYER)
    return found.verdict if found is not None else None


async def test_what_one_person_narrows_waits_for_a_second_once(desk: Desk) -> None:
    known = await restricted(desk)
    assert await waiting(desk) == [("restriction.set", str(known))]
    denied = await select_buyer(desk.registry, desk.policies, entry(desk, "deny"))
    assert await select_buyer(desk.registry, desk.policies, entry(desk, "deny", BO)) == denied  # denied already
    await desk.registry.set_coverage(out(desk))
    await desk.registry.set_coverage(out(desk, "Later still."))  # out already
    item = Coverage(Scope.ITEM, "i-1", False, "Recalled.", ADA, desk.now)
    await desk.registry.set_coverage(item)
    assert (await waiting(desk))[1:] == [
        ("selection.set", str(denied)),
        ("coverage.set", "shop shop-1"),
        ("coverage.set", "item i-1"),
    ]
    rows = await desk.confirmations.open(limit=99)
    assert {one.confirm_by - one.done_at for one in rows} == {CONFIRM_WITHIN}
    assert [one.reason for one in rows] == ["", "", "Late.", "Recalled."]  # a buyer's reason is the buyer's
    assert await confirm(desk, rows[0], ADA) is ConfirmRefusal.OWN_CHANGE
    assert isinstance(await confirm(desk, rows[0], BO), Confirmation)
    assert len(await waiting(desk)) == 3


async def confirm(desk: Desk, row: Confirmation, by: str) -> Confirmation | ConfirmRefusal:
    return await desk.confirmations.confirm(row.confirmation_id, by=by, now=desk.now)


async def test_what_a_gate_had_taken_out_is_confirmed_when_a_person_keeps_it_out(desk: Desk) -> None:
    async with desk.pool.connection() as connection:
        await connection.execute(
            "INSERT INTO coverage (scope, ref, covered, reason, set_by, set_at, gate_id, texts)"
            " VALUES ('shop', 'shop-1', false, '', 'gate:late', now(), 'late', '{}')"
        )
    await desk.registry.set_coverage(out(desk))
    assert await waiting(desk) == [("coverage.set", "shop shop-1")]


async def test_what_loosens_is_not_confirmed_afterwards(desk: Desk) -> None:
    await desk.registry.set_coverage(Coverage(Scope.SHOP, "shop-1", True, "On time.", ADA, desk.now))
    proposal = await allowing(desk)
    assert isinstance(proposal, Proposal) and isinstance(await desk.approve(proposal), Proposal)
    assert await waiting(desk) == []


async def test_what_two_people_undid_is_no_longer_to_be_confirmed(desk: Desk) -> None:
    known, kept = await restricted(desk), await restricted(desk)
    denied = await select_buyer(desk.registry, desk.policies, entry(desk, "deny"))
    for shop in ("shop-1", "shop-2", "shop-3"):
        await desk.registry.set_coverage(Coverage(Scope.SHOP, shop, False, "Late.", ADA, desk.now))
    await desk.registry.set_pause(Pause(Scope.SHOP, "shop-1", "Moving.", ADA, desk.now))
    stays = [("restriction.set", str(kept)), ("coverage.set", "shop shop-3")]
    assert await waiting(desk) == [
        ("restriction.set", str(known)),
        ("restriction.set", str(kept)),
        ("selection.set", str(denied)),
        *(("coverage.set", f"shop shop-{number}") for number in (1, 2, 3)),
        ("pause.set", "shop shop-1"),
    ]
    by = Lifter(ADA, "risk")
    for undoing in (
        await propose_lifting(desk.registry, desk.proposals, known, by=ADA, now=desk.now, reason="A mistake."),
        await allowing(desk),
        await covering(desk),
        await covering(desk, CoverWish(Scope.SHOP, "shop-2", unset=True)),
        await propose_lift(desk.registry, desk.proposals, (Scope.SHOP, "shop-1"), by=by, now=desk.now, reason="Over."),
    ):
        assert isinstance(undoing, Proposal) and isinstance(await desk.approve(undoing), Proposal)
    assert await waiting(desk) == stays


async def test_what_a_second_person_confirmed_stays_on_record_when_it_is_undone(desk: Desk) -> None:
    known = await restricted(desk)
    (row,) = await desk.confirmations.open(limit=9)
    assert isinstance(await confirm(desk, row, BO), Confirmation)
    assert await desk.registry.lift_restriction(known, desk.now, by=BO)
    assert await confirm(desk, row, BO) is ConfirmRefusal.CONFIRMED_ALREADY


async def test_alone_nothing_is_confirmed_and_one_person_allows(desk_alone: Desk) -> None:
    desk = desk_alone
    await restricted(desk)
    assert not isinstance(await select_buyer(desk.registry, desk.policies, entry(desk, "deny")), NotAlone)
    assert not isinstance(await select_buyer(desk.registry, desk.policies, entry(desk, "allow")), NotAlone)
    assert (await waiting(desk), await on_list(desk)) == ([], "allow")


async def test_a_buyer_is_allowed_by_two_people(desk: Desk) -> None:
    alone = await select_buyer(desk.registry, desk.policies, entry(desk, "allow"))
    assert alone is NotAlone.NEEDS_SECOND_PERSON and await on_list(desk) is None
    proposal = await allowing(desk)
    assert isinstance(proposal, Proposal)
    assert BUYER not in f"{proposal.subject}{proposal.content}{proposal.evidence}"
    assert await allowing(desk, BO) == await desk.proposals.find(proposal.proposal_id)
    asked = await desk.registry.selection_entry(proposal.allow_buyer.selection_id)
    assert asked is not None and (asked.buyer_id, asked.proposed) == (BUYER, True)
    assert await desk.approve(proposal, by=ADA) is ProposalRefusal.OWN_PROPOSAL
    approved = await desk.approve(proposal)
    assert isinstance(approved, Proposal) and approved.state is ProposalState.EXECUTED
    done = await desk.registry.selection_entry(proposal.allow_buyer.selection_id)
    assert done is not None and (done.verdict, done.set_by, done.proposed) == ("allow", BO, False)
    assert (await audited(desk, "selection.set"))[-1]["proposed_by"] == ADA
    assert await allowing(desk) is LoosenRefusal.ALLOWED_ALREADY


@pytest.mark.parametrize("denied_before", [False, True])
async def test_a_buyer_who_is_denied_meanwhile_stays_denied(desk: Desk, denied_before: bool) -> None:
    if denied_before:
        await select_buyer(desk.registry, desk.policies, entry(desk, "deny"))
        desk.now += timedelta(hours=1)
    proposal = await allowing(desk)
    assert isinstance(proposal, Proposal)
    await select_buyer(desk.registry, desk.policies, entry(desk, "deny", BO))
    assert await desk.approve(proposal) is ProposalRefusal.CHANGED
    assert await on_list(desk) == "deny"


async def test_a_denied_buyer_is_allowed_as_was_proposed(desk: Desk) -> None:
    denied = await select_buyer(desk.registry, desk.policies, entry(desk, "deny"))
    proposal = await allowing(desk)
    assert isinstance(proposal, Proposal)
    assert isinstance(await desk.approve(proposal), Proposal)
    found = await desk.registry.selection_of(BUYER)
    assert found is not None and (found.verdict, found.selection_id) == ("allow", denied)


async def test_the_approval_for_an_erased_buyer_allows_nobody(desk: Desk) -> None:
    proposal = await allowing(desk)
    assert isinstance(proposal, Proposal)
    data, day = PostgresPersonalData(desk.pool), date(2030, 1, 1)
    assert isinstance(await data.erase(BUYER, by=BO, now=desk.now, keep_until=day), Erased)
    assert await desk.approve(proposal) is ProposalRefusal.CHANGED
    assert await desk.registry.selection_entry(proposal.allow_buyer.selection_id) is None
