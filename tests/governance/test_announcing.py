"""The notice period: what changes is announced first, by the database's clock, and opinions are kept (R16)."""

from __future__ import annotations

import asyncio
import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from uuid import UUID

import psycopg
import pytest

from jitui.adapters.postgres.proposals import PostgresProposals
from jitui.aftersales.governance.announcing import (
    Announcement,
    AnnouncementState,
    AnnounceRefusal,
    Notice,
    Opinion,
    OpinionOf,
)
from jitui.aftersales.governance.policies import NewPublication, PolicyText
from jitui.aftersales.governance.proposals import PolicyWish, Proposal, ProposalRefusal, propose
from jitui.aftersales.governance.publication import LogEntry, Stage
from jitui.aftersales.governance.publishing import (
    Blocked,
    BlockerCode,
    Candidate,
    against_notice,
    check_candidate,
    effective_moment,
    keep_draft,
    publish_alone,
)
from jitui.aftersales.governance.rollout import (
    announce,
    cancel,
    publish_approved,
    roll_back,
    start_canary,
    start_shadow,
    stop,
)
from jitui.ids import new_id
from jitui.policy.difference import differences
from tests.aftersales.market import DEFAULT_POLICY
from tests.governance.desk import ADA, BO, Desk, policy, text

PERIOD = timedelta(days=7)
DAY = timedelta(days=1)


def noticed(version: str, days: int = 7, **changed: str) -> str:
    return f"{text(version, **changed)}notice_period: {days}d\n"


async def approved(desk: Desk, document: str, **more: object) -> Proposal:
    proposal = await desk.proposed(document, **more)
    assert isinstance(await desk.approve(proposal), Proposal)
    return proposal


async def publish(desk: Desk, proposal: Proposal) -> LogEntry | Blocked | ProposalRefusal:
    return await publish_approved(desk.policies, desk.proposals, proposal.proposal_id, by=ADA, now=desk.now)


async def with_notice(desk: Desk) -> None:
    """A text in force whose notice period is a week."""
    desk.now = datetime.now(UTC)
    assert isinstance(await publish(desk, await approved(desk, noticed("n"))), LogEntry)


async def told(desk: Desk, proposal: Proposal, at: datetime | None = None) -> Announcement | Blocked | AnnounceRefusal:
    kept = await desk.policies.text(proposal.policy.sha256)
    assert kept is not None
    return await announce(desk.policies, desk.proposals, kept, at, by=ADA, now=desk.now)


async def announced(desk: Desk, proposal: Proposal, at: datetime | None = None) -> Announcement:
    found = await told(desk, proposal, at)
    assert isinstance(found, Announcement), found
    return found


async def days_pass(desk: Desk, passed: timedelta) -> None:
    """The announcements are older by so much: nobody may say so, and no test waits for a week."""
    async with desk.pool.connection() as connection:
        await connection.execute("ALTER TABLE announcement DISABLE TRIGGER kept")
        await connection.execute(
            "UPDATE announcement SET announced_at = announced_at - %(by)s, takes_effect_at = takes_effect_at - %(by)s",
            {"by": passed},
        )
        await connection.execute("ALTER TABLE announcement ENABLE TRIGGER kept")
    desk.now = datetime.now(UTC)


def codes(found: object) -> list[BlockerCode]:
    assert isinstance(found, Blocked), found
    return [one.code for one in found.blockers]


def test_the_earliest_moment_is_a_period_after_the_announcement() -> None:
    now = datetime(2026, 3, 1, tzinfo=UTC)
    assert Notice(7).earliest(now) == now + PERIOD
    assert Notice(7, now, now + 9 * DAY).earliest(now + DAY) == now + 9 * DAY
    assert Notice(9, now, now + 7 * DAY).earliest(now) == now + 9 * DAY  # the period was lengthened meanwhile
    plan = policy(text())
    soon = now + PERIOD - timedelta(seconds=1)
    assert [one.code for one in against_notice(plan, Notice(7, now, now + PERIOD), soon, now)] == ["notice_period"]
    assert against_notice(plan, Notice(7, now, now + PERIOD), now + PERIOD, now) == ()
    assert against_notice(plan, Notice(), None, now) == ()
    early, late = (against_notice(plan, Notice(7), at, now) for at in (soon, now + PERIOD))
    assert [one.code for one in early] == ["notice_period", "not_announced"]
    assert "2026-03-08T00:00:00+00:00" in early[0].message
    assert [one.code for one in late] == ["not_announced"]
    behind = Notice(7, now, now + PERIOD, read_at=now + PERIOD)  # the database's clock, and not the caller's
    assert against_notice(plan, behind, None, now) == ()
    assert effective_moment(Candidate(plan.text, "p"), plan, now, behind) is None
    chosen = effective_moment(Candidate(plan.text, "p"), plan, now, Notice(9, now, now + PERIOD))
    assert chosen == now + 9 * DAY


def test_the_period_is_of_the_text_and_decides_no_request() -> None:
    assert DEFAULT_POLICY.notice_period_days == 0
    (change,) = [one for one in differences(policy(text("a")), policy(noticed("a"))) if one.name == "notice_period"]
    assert (change.what, change.decides) == ("0d → 7d: later texts are announced longer", False)


async def test_a_proposal_for_before_the_notice_is_over_names_the_earliest_moment(desk: Desk) -> None:
    await with_notice(desk)  # the period binds the next text, not the one that brings it
    early = await desk.propose(effective_at=desk.now + 6 * DAY)
    assert codes(early) == [BlockerCode.NOTICE_PERIOD]
    assert isinstance(early, Blocked)
    (earliest,) = re.findall(r"from (\S+) on,", str(early.blockers[0]))
    assert timedelta(seconds=-1) < datetime.fromisoformat(earliest) - (desk.now + PERIOD) < timedelta(minutes=1)
    assert isinstance(await desk.propose(effective_at=desk.now + 8 * DAY), Proposal)


async def test_a_text_decides_only_after_it_was_announced_long_enough(desk: Desk) -> None:
    await with_notice(desk)
    proposal = await approved(desk, text("later"), canary_percent=5)
    assert codes(await publish(desk, proposal)) == [BlockerCode.NOT_ANNOUNCED]
    assert codes(await canary(desk, proposal)) == [BlockerCode.NOT_ANNOUNCED]
    made = await announced(desk, proposal)
    assert made.takes_effect_at - made.announced_at == PERIOD
    assert (await announced(desk, proposal)).announcement_id == made.announcement_id
    assert codes(await canary(desk, proposal)) == [BlockerCode.NOTICE_PERIOD]
    await days_pass(desk, PERIOD)
    assert isinstance(await canary(desk, proposal), LogEntry)
    live = await publish(desk, proposal)
    assert isinstance(live, LogEntry) and live.effective_at is None
    (used,) = await desk.policies.announcements(limit=9)
    assert (used.state, used.publication) == (AnnouncementState.TOOK_EFFECT, live.publication)
    assert await desk.policies.announcements(limit=9, to_come=True) == []
    assert await desk.policies.announcement_of(live.publication) == used


async def canary(desk: Desk, proposal: Proposal) -> LogEntry | Blocked | ProposalRefusal:
    async def signals(_: LogEntry) -> list[str]:
        return []

    return await start_canary(
        desk.policies, desk.proposals, proposal.proposal_id, 5, by=ADA, now=desk.now, signals=signals
    )


async def test_published_before_its_moment_it_is_scheduled_for_what_was_announced(desk: Desk) -> None:
    await with_notice(desk)
    proposal = await approved(desk, text("later"))
    made = await announced(desk, proposal, desk.now + 8 * DAY)
    row = await publish(desk, proposal)
    assert isinstance(row, LogEntry) and row.effective_at == made.takes_effect_at
    (coming,) = await desk.policies.announcements(limit=9, to_come=True)
    assert coming.state is AnnouncementState.SCHEDULED
    assert isinstance(await cancel(desk.policies, row.publication, by=BO, now=desk.now, reason="No."), LogEntry)
    (off,) = await desk.policies.announcements(limit=9)
    assert off.state is AnnouncementState.CALLED_OFF
    again = await approved(desk, text("later"))
    assert codes(await publish(desk, again)) == [BlockerCode.NOT_ANNOUNCED]  # called off is announced anew


async def test_an_announcement_before_the_period_is_over_is_refused_by_function_and_database(desk: Desk) -> None:
    await with_notice(desk)
    proposal = await approved(desk, text("later"))
    assert codes(await told(desk, proposal, desk.now + PERIOD - timedelta(minutes=1))) == [BlockerCode.NOTICE_PERIOD]
    assert await told(desk, await desk.proposed(text("not-approved"))) is AnnounceRefusal.TEXT_NOT_APPROVED
    sha256 = proposal.policy.sha256
    for values in (
        f"'{sha256}', 'ada', now() - interval '8 days', now() + interval '6 days'",  # the clock is the database's
        f"'{policy(text('not-approved')).sha256}', 'ada', now(), now() + interval '8 days'",
    ):
        with pytest.raises(psycopg.errors.CheckViolation):
            await run(
                desk,
                "INSERT INTO announcement (announcement_id, sha256, announced_by, announced_at, takes_effect_at)"
                f" VALUES (gen_random_uuid(), {values})",
            )


async def test_an_announcement_is_for_a_moment_that_is_still_to_come(desk_alone: Desk) -> None:
    """Also where no period binds: what was over when it was announced would never be told in time."""
    desk = desk_alone
    desk.now = datetime.now(UTC)

    async def kept(document: str) -> PolicyText:
        found = await keep_draft(desk.policies, Candidate(document, "x.yaml"), by=ADA, now=desk.now)
        assert isinstance(found, PolicyText)
        return found

    async def telling(found: PolicyText, at: datetime | None) -> object:
        return await announce(desk.policies, desk.proposals, found, at, by=ADA, now=desk.now)

    draft = await kept(text("draft"))
    for over in (desk.now - DAY, desk.now):
        refused = await telling(draft, over)
        assert codes(refused) == [BlockerCode.SCHEDULED_IN_THE_PAST]
        assert isinstance(refused, Blocked) and over.isoformat(timespec="seconds") in refused.blockers[0].message
    assert codes(await telling(draft, None)) == [BlockerCode.MOMENT_NEEDED]
    made = await telling(draft, desk.now + DAY)
    assert isinstance(made, Announcement) and made.takes_effect_at == desk.now + DAY
    assert await telling(draft, None) == made
    assert isinstance(await telling(await kept(text("soon")), desk.now + timedelta(seconds=30)), Announcement)

    assert isinstance(await publish_alone(desk.policies, Candidate(noticed("n"), "n"), by=ADA, now=desk.now), LogEntry)
    assert await telling(await kept(noticed("n")), None) is AnnounceRefusal.TEXT_IN_FORCE
    bound = await kept(noticed("bound"))
    assert codes(await telling(bound, desk.now - DAY)) == [BlockerCode.SCHEDULED_IN_THE_PAST]
    assert codes(await telling(bound, desk.now + DAY)) == [BlockerCode.NOTICE_PERIOD]
    assert isinstance(await telling(bound, None), Announcement)


async def run(desk: Desk, statement: str) -> None:
    async with desk.pool.connection() as connection:
        await connection.execute(statement.encode())


INTO_LOG = """
        INSERT INTO policy (policy_id, version, sha256, document, published_by, published_at, action, stage, authority,
            reason, proposal_id, content_hash, proposed_by, approved_by, effective_at, canary_percent, canary_seed)
        SELECT t.policy_id, t.version, t.sha256, t.document, 'ada', now(), 'publish', '{stage}', 'two_people', '',
            a.proposal_id, a.content_hash, a.proposed_by, a.approved_by, {at}, {percent}
        FROM policy_text t JOIN approval a ON a.proposal_id = '{proposal}' WHERE t.version = 'later'"""
"""The row of a publication under an approval, as it would be written past every program."""


async def test_the_database_publishes_nothing_before_its_notice_is_over(desk: Desk) -> None:
    """Whatever a program checked."""
    await with_notice(desk)
    proposal = await approved(desk, text("later"), canary_percent=5)
    of = {"proposal": proposal.proposal_id}
    live = {**of, "stage": "live", "percent": "NULL, NULL"}
    beside = {**of, "stage": "canary", "percent": "5, 'seed'"}
    tries = [{**live, "at": at} for at in ("NULL", "now() + interval '30 days'")] + [{**beside, "at": "NULL"}]
    for one in tries:
        with pytest.raises(psycopg.errors.CheckViolation, match="notice period"):
            await run(desk, INTO_LOG.format(**one))
    made = await announced(desk, proposal)
    early = f"'{(made.takes_effect_at - timedelta(seconds=1)).isoformat()}'"
    for one in (tries[0], tries[2], {**live, "at": early}):
        with pytest.raises(psycopg.errors.CheckViolation, match="notice period"):
            await run(desk, INTO_LOG.format(**one))
    await run(desk, INTO_LOG.format(**live, at=f"'{made.takes_effect_at.isoformat()}'"))


async def test_what_protects_money_waits_for_no_notice(desk: Desk) -> None:
    await with_notice(desk)
    proposal = await approved(desk, text("later", **{"over: 30d": "over: 29d"}), canary_percent=5)
    kept = await desk.policies.text(proposal.policy.sha256)
    assert kept is not None
    shadow = await start_shadow(desk.policies, kept, by=ADA, now=desk.now, reason="To see.")
    assert isinstance(shadow, LogEntry)  # decides nothing
    assert isinstance(await stop(desk.policies, Stage.SHADOW, by=ADA, now=desk.now, reason="Seen."), LogEntry)
    assert isinstance(await roll_back(desk.policies, by=ADA, now=desk.now, reason="Incidents."), LogEntry)
    assert await desk.live() == DEFAULT_POLICY.version
    # The text that came back has no period; that of the one before binds all the same.
    assert (await desk.policies.notice(kept.sha256)).days == 7
    assert codes(await publish(desk, proposal)) == [BlockerCode.NOT_ANNOUNCED]


async def test_an_announcement_that_was_withdrawn_counts_no_more(desk: Desk) -> None:
    await with_notice(desk)
    proposal = await approved(desk, text("later"))
    made = await announced(desk, proposal)
    await days_pass(desk, PERIOD)
    take_back = desk.policies.withdraw_announcement
    gone = await take_back(made.announcement_id, by=BO, now=desk.now, reason="Anew.")
    assert isinstance(gone, Announcement) and gone.state is AnnouncementState.CALLED_OFF
    assert codes(await publish(desk, proposal)) == [BlockerCode.NOT_ANNOUNCED]
    row = {"proposal": proposal.proposal_id, "stage": "live", "at": "NULL", "percent": "NULL, NULL"}
    with pytest.raises(psycopg.errors.CheckViolation, match="notice period"):
        await run(desk, INTO_LOG.format(**row))
    again = await take_back(made.announcement_id, by=BO, now=desk.now, reason="Anew.")
    assert again is AnnounceRefusal.NOT_TO_COME
    assert await take_back(new_id(0), by=BO, now=desk.now, reason="?") is AnnounceRefusal.NOT_ANNOUNCED
    with pytest.raises(psycopg.errors.CheckViolation):
        await run(desk, "UPDATE announcement SET withdrawn_at = NULL, withdrawn_by = NULL, withdrawn_for = NULL")


async def test_of_a_withdrawal_and_a_publication_at_once_one_is_first(desk: Desk) -> None:
    await with_notice(desk)
    proposal = await approved(desk, text("later"))
    made = await announced(desk, proposal)
    await days_pass(desk, PERIOD)
    gone, live = await asyncio.gather(
        desk.policies.withdraw_announcement(made.announcement_id, by=BO, now=desk.now, reason="Anew."),
        publish(desk, proposal),
    )
    assert isinstance(gone, Announcement) != isinstance(live, LogEntry)
    if not isinstance(live, LogEntry):
        assert codes(live) == [BlockerCode.NOT_ANNOUNCED]


async def test_an_announcement_that_is_taken_back_between_the_look_and_the_row_is_a_blocker(desk: Desk) -> None:
    """The database refuses the row; whoever publishes is told why, as when it had been taken back before."""

    class Slow(PostgresProposals):
        async def execute(
            self, proposal: Proposal, row: NewPublication, *, after: int | None, close: bool
        ) -> LogEntry | None:
            await desk.policies.withdraw_announcement(made.announcement_id, by=BO, now=desk.now, reason="Anew.")
            return await super().execute(proposal, row, after=after, close=close)

    await with_notice(desk)
    proposal = await approved(desk, text("later"))
    made = await announced(desk, proposal)
    await days_pass(desk, PERIOD)
    slow = replace(desk, proposals=Slow(desk.pool))
    assert codes(await publish(slow, proposal)) == [BlockerCode.NOT_ANNOUNCED]


async def test_alone_the_period_holds_too(desk_alone: Desk) -> None:
    desk = desk_alone
    desk.now = datetime.now(UTC)
    assert isinstance(await alone(desk, noticed("n")), LogEntry)
    assert codes(await alone(desk, text("later"))) == [BlockerCode.NOT_ANNOUNCED]
    wish = PolicyWish(Candidate(text("later"), "next.yaml"), "why")
    assert isinstance(await propose(desk.policies, desk.proposals, wish, by=ADA, now=desk.now), Proposal)
    kept = await desk.policies.find_text(DEFAULT_POLICY.id, "later")
    assert kept is not None
    made = await announce(desk.policies, desk.proposals, kept, None, by=ADA, now=desk.now)
    assert isinstance(made, Announcement)
    row = await alone(desk, text("later"))
    assert isinstance(row, LogEntry) and row.effective_at == made.takes_effect_at


async def alone(desk: Desk, document: str) -> object:
    return await publish_alone(desk.policies, Candidate(document, "next.yaml"), by=ADA, now=desk.now)


async def test_a_check_says_that_it_has_to_be_announced(desk: Desk) -> None:
    await with_notice(desk)
    found = await check_candidate(desk.policies, Candidate(text("later"), "next.yaml"), now=desk.now)
    assert not isinstance(found, Blocked)
    assert codes(Blocked(found[0].blockers)) == [BlockerCode.NOT_ANNOUNCED]


async def test_an_opinion_stays_as_it_was_recorded_and_is_answered_once(desk: Desk) -> None:
    await with_notice(desk)
    made = await announced(desk, await approved(desk, text("later")))

    def opinion(announcement_id: UUID, said: str = "Too much.", reference: str | None = "form-1") -> Opinion:
        return Opinion(new_id(0), announcement_id, OpinionOf.MERCHANT, said, ADA, desk.now, reference)

    first = opinion(made.announcement_id)
    assert await desk.policies.record_opinion(first) == first
    assert await desk.policies.record_opinion(opinion(made.announcement_id, "Other words.")) == first
    other = opinion(made.announcement_id, reference=None)
    assert await desk.policies.record_opinion(other) == other
    assert await desk.policies.record_opinion(opinion(new_id(0))) is AnnounceRefusal.NOT_ANNOUNCED

    reply = desk.policies.answer_opinion
    done = await reply(first.opinion_id, "It stays.", by=BO, now=desk.now)
    assert isinstance(done, Opinion) and (done.answer, done.answered_by) == ("It stays.", BO)
    assert await reply(first.opinion_id, "It stays.", by=ADA, now=desk.now) == done
    assert await reply(first.opinion_id, "No.", by=ADA, now=desk.now) is AnnounceRefusal.ANSWERED_OTHERWISE
    assert await reply(new_id(0), "No.", by=ADA, now=desk.now) is AnnounceRefusal.NO_OPINION
    rows = await desk.policies.opinions(made.announcement_id, limit=9)
    assert [one.opinion_id for one in rows] == [other.opinion_id, first.opinion_id]
    (counted,) = await desk.policies.announcements(limit=9)
    assert counted.opinions == 2
    for statement in (
        "UPDATE opinion SET said = 'Fine.'",
        f"UPDATE opinion SET answer = 'No.' WHERE opinion_id = '{first.opinion_id}'",
        "DELETE FROM opinion",
    ):
        with pytest.raises(psycopg.errors.CheckViolation):
            await run(desk, statement)
