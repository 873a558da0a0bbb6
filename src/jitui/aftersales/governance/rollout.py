"""The steps of a text after its proposal: shadow, canary, live, called off, stopped, rolled back."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from typing import TypeVar
from uuid import UUID, uuid4

from jitui.aftersales.governance.announcing import Announcement, AnnounceRefusal, Notice, TooEarly
from jitui.aftersales.governance.policies import ApprovalRef, NewPublication, Policies, PolicyText
from jitui.aftersales.governance.proposals import (
    MOST_OPEN,
    Proposal,
    ProposalKind,
    ProposalRefusal,
    Proposals,
    ProposalState,
)
from jitui.aftersales.governance.publication import (
    Authority,
    LogAction,
    LogEntry,
    Stage,
    in_force,
    live_before,
)
from jitui.aftersales.governance.publishing import (
    Blocked,
    Blocker,
    BlockerCode,
    Candidate,
    Checked,
    against_notice,
    check_candidate,
)
from jitui.policy import Policy, public_view

Signals = Callable[[LogEntry], Awaitable[Sequence[str]]]
"""Why the share of a canary is not raised now; nothing when it may be."""

_Refusal = TypeVar("_Refusal")
_Log = tuple[LogEntry, ...]


class StepRefusal(StrEnum):
    """Why a step in a policy's life was not taken."""

    NOTHING_BEFORE = "nothing_before"
    NO_SUCH_STAGE = "no_such_stage"
    NOT_SCHEDULED = "not_scheduled"
    IN_FORCE = "in_force"
    RETIRED = "retired"
    NOT_LIVE = "not_live"


async def _in_turn(
    policies: Policies,
    plan: Callable[[_Log], Awaitable[NewPublication | _Refusal]],
    append: Callable[[NewPublication, int | None], Awaitable[LogEntry | None]] | None = None,
) -> LogEntry | _Refusal:
    """Append what is planned on the log as it is; planned anew when somebody else was faster."""
    while True:
        log = tuple(await policies.log())
        row = await plan(log)
        if not isinstance(row, NewPublication):
            return row
        last = log[-1].publication if log else None
        entry = await (append(row, last) if append is not None else policies.append(row, after=last))
        if entry is not None:
            return entry


# What one person may do at once --------------------------------------------------------------------------------------


async def roll_back(
    policies: Policies, *, by: str, now: datetime, reason: str, version: str | None = None
) -> LogEntry | StepRefusal:
    """Bring back the text that was live before the live one, at once; what is live the database's clock says.

    `version`: the version that the caller saw live; when it is not any more, as when the call is repeated, nothing is
    done.
    """

    async def plan(log: _Log) -> NewPublication | StepRefusal:
        found = in_force(log, read_at := (await policies.standing()).read_at)
        if version is not None and (found is None or found.live.version != version):
            return StepRefusal.NOT_LIVE
        before = live_before(log, read_at)
        text = await policies.text(before.sha256) if before is not None else None
        if text is None or text.retired_at is not None:
            return StepRefusal.NOTHING_BEFORE
        return NewPublication(LogAction.ROLL_BACK, Stage.LIVE, text, Authority.ONE_PERSON, by, now, reason)

    return await _in_turn(policies, plan)


async def stop(
    policies: Policies,
    stage: Stage,
    *,
    by: str,
    now: datetime,
    reason: str,
    authority: Authority = Authority.ONE_PERSON,
    publication: int | None = None,
) -> LogEntry | StepRefusal:
    """End the canary or the shadow at once; its buyers are decided by the live policy again.

    `publication`: only while that is the row which started it.
    """

    async def plan(log: _Log) -> NewPublication | StepRefusal:
        found = in_force(log, (await policies.standing()).read_at)
        standing = None if found is None else {Stage.CANARY: found.canary, Stage.SHADOW: found.shadow}.get(stage)
        if standing is not None and publication not in (None, standing.publication):
            return StepRefusal.NO_SUCH_STAGE
        text = await policies.text(standing.sha256) if standing is not None else None
        if text is None:
            return StepRefusal.NO_SUCH_STAGE
        return NewPublication(LogAction.STOP, stage, text, authority, by, now, reason)

    return await _in_turn(policies, plan)


async def cancel(policies: Policies, number: int, *, by: str, now: datetime, reason: str) -> LogEntry | StepRefusal:
    """Call a scheduled publication off before its moment, by the database's clock; `now` is only written down."""

    async def plan(log: _Log) -> NewPublication | StepRefusal:
        found = in_force(log, (await policies.standing()).read_at)
        row = next((one for one in (found.scheduled if found else ()) if one.publication == number), None)
        text = await policies.text(row.sha256) if row is not None else None
        if row is None or text is None:
            return StepRefusal.NOT_SCHEDULED
        return NewPublication(
            LogAction.CANCEL, row.stage, text, Authority.ONE_PERSON, by, now, reason, cancels=row.publication
        )

    async def append(row: NewPublication, after: int | None) -> LogEntry | None:
        try:
            return await policies.append(row, after=after)
        except ValueError:
            # Its moment came between the look and the row; whoever looks again is told.
            found = in_force(await policies.log(), (await policies.standing()).read_at)
            if found is None or number in {one.publication for one in found.scheduled}:
                raise
            return None

    return await _in_turn(policies, plan, append)


async def start_shadow(
    policies: Policies, text: PolicyText, *, by: str, now: datetime, reason: str
) -> LogEntry | StepRefusal:
    """Let a text decide beside the live policy; nothing that it decides has an effect, so one person may."""

    async def plan(log: _Log) -> NewPublication | StepRefusal:
        found = in_force(log, (await policies.standing()).read_at)
        if text.retired_at is not None:
            return StepRefusal.RETIRED
        if found is None or text.sha256 == found.live.sha256:
            return StepRefusal.IN_FORCE
        return NewPublication(LogAction.PUBLISH, Stage.SHADOW, text, Authority.ONE_PERSON, by, now, reason)

    return await _in_turn(policies, plan)


async def retire(
    policies: Policies, text: PolicyText, *, by: str, now: datetime, reason: str
) -> PolicyText | StepRefusal:
    """End a text for good, unless it is in force or scheduled. Retired once more it stays as it was retired."""
    await policies.retire(text.sha256, by=by, now=now, reason=reason)
    found = await policies.text(text.sha256)
    return StepRefusal.IN_FORCE if found is None or found.retired_at is None else found


async def announce(
    policies: Policies,
    proposals: Proposals,
    text: PolicyText,
    effective_at: datetime | None,
    *,
    by: str,
    now: datetime,
) -> Announcement | Blocked | AnnounceRefusal:
    """Tell everybody that a text takes effect, from when on, and what it changes (R16).

    Without a moment it is that of its approved proposal or of the text, and else as soon as the notice period is over.
    It is one that is still to come: where no period binds, it has to be named.
    """
    policy = Policy.from_text(text.document, f"{text.policy_id}.yaml")
    await policies.keep_public_view(text.sha256, public_view(policy))
    approved = await proposals.list(states=(ProposalState.APPROVED,), limit=MOST_OPEN)
    moments = [one.policy for one in approved if one.kind is ProposalKind.POLICY]
    proposed = next((one.effective_at for one in moments if one.sha256 == text.sha256), None)
    wanted = effective_at or proposed or policy.effective_from
    later = wanted if effective_at is not None or wanted > now else None
    done = await policies.announce(text.sha256, later, by=by, now=now)
    return _too_early(done, later, now) if isinstance(done, TooEarly) else done


def _too_early(found: TooEarly, wanted: datetime | None, now: datetime) -> Blocked:
    if wanted is None:
        message = "the policy in force has no notice period, so say from when on: a moment that is still to come"
        return Blocked((Blocker(BlockerCode.MOMENT_NEEDED, message),))
    moment = found.earliest.isoformat(timespec="seconds")
    if wanted <= now:
        message = f"{wanted.isoformat(timespec='seconds')} is over: announced now, it may decide from {moment} on"
        return Blocked((Blocker(BlockerCode.SCHEDULED_IN_THE_PAST, message),))
    message = f"the notice period would not be over then: announced now, it may decide from {moment} on"
    return Blocked((Blocker(BlockerCode.NOTICE_PERIOD, message),))


# What takes two ------------------------------------------------------------------------------------------------------


async def publish_approved(
    policies: Policies, proposals: Proposals, proposal_id: UUID, *, by: str, now: datetime
) -> LogEntry | Blocked | ProposalRefusal:
    """Make an approved text the live one, at once or at the moment that was approved. It is checked once more."""

    def live(approved: _Approved) -> NewPublication:
        return replace(approved.row, stage=Stage.LIVE, effective_at=approved.checked.effective_at)

    return await _under_approval(policies, proposals, proposal_id, live, by=by, now=now)


async def start_canary(
    policies: Policies,
    proposals: Proposals,
    proposal_id: UUID,
    percent: int,
    *,
    by: str,
    now: datetime,
    signals: Signals,
) -> LogEntry | Blocked | ProposalRefusal:
    """Let an approved text decide for a share of the buyers, at most the share that was approved.

    A canary draws its buyers by a new seed; one that decides already keeps it when its share changes. Its share is not
    raised while a signal stands.
    """
    found = in_force(await policies.log(), now)
    standing = found.canary if found is not None else None
    if standing is not None and percent > (standing.canary_percent or 0) and await signals(standing):
        return ProposalRefusal.SIGNAL_STANDS

    def canary(approved: _Approved) -> NewPublication | ProposalRefusal | Blocked:
        if not 1 <= percent <= approved.proposal.policy.canary_percent:
            return ProposalRefusal.NO_CANARY
        starts = approved.checked.policy.effective_from
        if starts > now:
            message = f"the text says that it applies from {starts.isoformat()} on"
            return Blocked((Blocker(BlockerCode.BEFORE_EFFECTIVE_FROM, message),))
        early = against_notice(approved.checked.policy, approved.notice, None, now)
        if early:
            return Blocked(early)
        found = in_force(approved.log, now)
        running = found.canary if found is not None else None
        same = running is not None and running.sha256 == approved.row.text.sha256
        seed = running.canary_seed if same and running is not None else uuid4().hex
        return replace(approved.row, stage=Stage.CANARY, canary_percent=percent, canary_seed=seed)

    return await _under_approval(policies, proposals, proposal_id, canary, by=by, now=now)


@dataclass(frozen=True, slots=True)
class _Approved:
    """What a step is planned on: the approved proposal, its text checked now, and a row under its approval."""

    proposal: Proposal
    checked: Checked
    row: NewPublication
    log: _Log
    notice: Notice


async def _under_approval(
    policies: Policies,
    proposals: Proposals,
    proposal_id: UUID,
    step: Callable[[_Approved], NewPublication | ProposalRefusal | Blocked],
    *,
    by: str,
    now: datetime,
) -> LogEntry | Blocked | ProposalRefusal:
    proposal = await proposals.find(proposal_id)
    if proposal is None:
        return ProposalRefusal.NOT_FOUND
    if proposal.kind is not ProposalKind.POLICY:
        return ProposalRefusal.ANOTHER_KIND

    async def plan(log: _Log) -> NewPublication | Blocked | ProposalRefusal:
        found = await proposals.find(proposal_id)
        approval = found.approval_ref if found is not None else None
        if found is None or approval is None:
            return ProposalRefusal.NOT_APPROVED
        if found.closed_at is not None:
            return ProposalRefusal.CLOSED
        return await _plan_approved(policies, found, approval, step, log, by=by, now=now)

    async def append(row: NewPublication, after: int | None) -> LogEntry | None:
        try:
            return await proposals.execute(proposal, row, after=after, close=row.stage is Stage.LIVE)
        except ValueError:
            # What it stands on was taken back between the look and the row; whoever looks again is told.
            if isinstance(await plan(tuple(await policies.log())), NewPublication):
                raise
            return None

    return await _in_turn(policies, plan, append)


async def _plan_approved(
    policies: Policies,
    proposal: Proposal,
    approval: ApprovalRef,
    step: Callable[[_Approved], NewPublication | ProposalRefusal | Blocked],
    log: _Log,
    *,
    by: str,
    now: datetime,
) -> NewPublication | Blocked | ProposalRefusal:
    content = proposal.policy
    text = await policies.text(content.sha256)
    assert text is not None, "a proposal names a text that was pushed"
    moment = content.effective_at if content.effective_at is not None and content.effective_at > now else None
    candidate = Candidate(text.document, f"{text.policy_id}.yaml", text.cases, effective_at=moment)
    found = await check_candidate(policies, candidate, now=now)
    if isinstance(found, Blocked):
        return found
    checked, standing = found
    if checked.blockers:
        return Blocked(checked.blockers)
    row = NewPublication(
        LogAction.PUBLISH, Stage.LIVE, text, Authority.TWO_PEOPLE, by, now, proposal.reason, approval=approval
    )
    return step(_Approved(proposal, checked, row, log, standing.notice))
