"""Proposals: what somebody wants to loosen, and the second person who approves it (I8).

An approval is bound to the hash of what was approved: whoever changes the text or the schedule afterwards voids it.
Only people propose and approve. Nobody approves what they proposed themselves, nor does somebody whose account the
proposer made or reset within the last seven days. The database holds the first two (`proposal`, `approval`); the third
is part of the one statement that writes an approval.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Protocol
from uuid import UUID

import msgspec

from jitui.aftersales.governance.policies import ApprovalRef, NewPublication, Policies, PolicyText
from jitui.aftersales.governance.publication import LogEntry
from jitui.aftersales.governance.publishing import (
    AGAINST_A_PROPOSAL,
    Blocked,
    Candidate,
    Checked,
    failed_cases,
    keep_text,
)
from jitui.ids import new_id
from jitui.policy import Policy
from jitui.policy.difference import differences

ACCOUNT_OLD_ENOUGH = timedelta(days=7)
"""For so long after somebody made or reset an account, its owner is no second person for them."""

MOST_CANARY_PERCENT = 99
MOST_OPEN = 200
"""So many proposals that are not closed are looked at for one that says the same."""


class ProposalKind(StrEnum):
    """What a proposal is about."""

    POLICY = "policy"
    LIFT_PAUSE = "lift_pause"
    LIFT_RESTRICTION = "lift_restriction"
    COVER = "cover"
    ALLOW_BUYER = "allow_buyer"


class ProposalState(StrEnum):
    """How far a proposal has come."""

    OPEN = "open"
    APPROVED = "approved"
    REJECTED = "rejected"
    WITHDRAWN = "withdrawn"
    EXECUTED = "executed"


NOT_CLOSED = (ProposalState.OPEN, ProposalState.APPROVED)


@dataclass(frozen=True, slots=True)
class PolicyContent:
    """What is approved of a policy: the text by its hash, from when on it decides, and the largest canary before.

    `effective_at` None: as soon as it is published. `canary_percent` 0: no canary.
    """

    policy_id: str
    version: str
    sha256: str
    effective_at: datetime | None = None
    canary_percent: int = 0


@dataclass(frozen=True, slots=True)
class LiftPauseContent:
    """What is approved of a pause's end: this very pause, by when it was set."""

    scope: str
    ref: str
    set_at: datetime


@dataclass(frozen=True, slots=True)
class LiftRestrictionContent:
    """What is approved of a restriction's end: which one."""

    restriction_id: UUID


@dataclass(frozen=True, slots=True)
class CoverContent:
    """What is approved of a place: that it is covered for this reason, or that the gates decide on it again (`unset`).

    `stands_since`: the row that stood when it was proposed, by when it was set; None: there was no row.
    """

    scope: str
    ref: str
    reason: str
    unset: bool
    stands_since: datetime | None


@dataclass(frozen=True, slots=True)
class AllowBuyerContent:
    """What is approved of a buyer who is put on the allow list: the entry by its id, which names no buyer.

    `stands_since`: since when the buyer was on a list when it was proposed; None: the buyer was on none.
    """

    selection_id: UUID
    stands_since: datetime | None


Content = PolicyContent | LiftPauseContent | LiftRestrictionContent | CoverContent | AllowBuyerContent


@dataclass(frozen=True, slots=True)
class Approval:
    """The second person's."""

    approved_by: str
    approved_at: datetime
    note: str = ""


@dataclass(frozen=True, slots=True)
class Proposal:
    """A proposal as it is kept. `content` is JSON, whose hash an approval is bound to."""

    proposal_id: UUID
    kind: ProposalKind
    subject: str
    content: str
    content_hash: bytes
    reason: str
    proposed_by: str
    proposed_at: datetime
    state: ProposalState
    evidence: Mapping[str, object] = field(default_factory=dict)
    closed_at: datetime | None = None
    closed_by: str | None = None
    closed_for: str | None = None
    approval: Approval | None = None

    @property
    def policy(self) -> PolicyContent:
        """The content of a proposal of a policy."""
        return msgspec.json.decode(self.content, type=PolicyContent)

    @property
    def lift_pause(self) -> LiftPauseContent:
        """The content of a proposal to lift a pause."""
        return msgspec.json.decode(self.content, type=LiftPauseContent)

    @property
    def lift_restriction(self) -> LiftRestrictionContent:
        """The content of a proposal to lift a restriction."""
        return msgspec.json.decode(self.content, type=LiftRestrictionContent)

    @property
    def cover(self) -> CoverContent:
        """The content of a proposal to cover a place, or to let the gates decide on it."""
        return msgspec.json.decode(self.content, type=CoverContent)

    @property
    def allow_buyer(self) -> AllowBuyerContent:
        """The content of a proposal to put a buyer on the allow list."""
        return msgspec.json.decode(self.content, type=AllowBuyerContent)

    @property
    def content_fields(self) -> Mapping[str, object]:
        """The content as it is shown."""
        fields: Mapping[str, object] = msgspec.json.decode(self.content)
        return fields

    @property
    def approval_ref(self) -> ApprovalRef | None:
        """The approval that it has; None while it has none."""
        if self.approval is None:
            return None
        return ApprovalRef(self.proposal_id, self.content_hash, self.proposed_by, self.approval.approved_by)


class ProposalRefusal(StrEnum):
    """Why nothing was done with a proposal."""

    NOT_FOUND = "not_found"
    OWN_PROPOSAL = "own_proposal"
    RECENT_ACCOUNT = "recent_account"
    CHANGED = "changed"
    STARTED = "started"
    CLOSED = "closed"
    APPROVED_ALREADY = "approved_already"
    NOT_APPROVED = "not_approved"
    NO_CANARY = "no_canary"
    SIGNAL_STANDS = "signal_stands"
    ANOTHER_KIND = "another_kind"
    NOT_THE_PROPOSER = "not_the_proposer"


class Proposals(Protocol):
    """Keeps proposals. Every method writes whole or not at all."""

    async def add(self, proposal: Proposal) -> None: ...

    async def find(self, proposal_id: UUID) -> Proposal | None: ...

    async def list(
        self, *, states: Sequence[ProposalState], limit: int, after: tuple[datetime, UUID] | None = None
    ) -> Sequence[Proposal]:
        """The newest first; `after` is the last row of the page before."""
        ...

    async def change(
        self, proposal: Proposal, *, expected: bytes, by: str, now: datetime
    ) -> Proposal | ProposalRefusal:
        """Another content and proposer in place of the expected content; an approval is void with it."""
        ...

    async def approve(
        self, proposal_id: UUID, content_hash: bytes, *, by: str, role: str, now: datetime, note: str
    ) -> Proposal | ProposalRefusal: ...

    async def close(
        self, proposal_id: UUID, state: ProposalState, *, by: str, now: datetime, reason: str
    ) -> Proposal | ProposalRefusal:
        """Reject it, or withdraw it; one that was executed stays so."""
        ...

    async def execute(
        self, proposal: Proposal, row: NewPublication, *, after: int | None, close: bool
    ) -> LogEntry | None:
        """Append to the log under the proposal's approval, and close the proposal with it.

        None, and nothing is written, when the log's last number is not `after` any more, or the approval was voided.
        """
        ...


def content_of(content: Content) -> tuple[str, bytes]:
    """A content as it is kept, and its hash."""
    text = msgspec.json.encode(content, order="sorted").decode()
    return text, hashlib.sha256(text.encode()).digest()


@dataclass(frozen=True, slots=True)
class PolicyWish:
    """What somebody proposes: a text with its cases, when, with which canary, why, and a back-test's report."""

    candidate: Candidate
    reason: str
    canary_percent: int = 0
    backtest: Mapping[str, object] | None = None


async def propose(
    policies: Policies, proposals: Proposals, wish: PolicyWish, *, by: str, now: datetime
) -> Proposal | Blocked:
    """Push the text and propose it; when anything stands against it, nothing is written and all of it is returned.

    Who says it again gets the proposal that is open already.
    """
    found = await _checked(policies, wish, by=by, now=now)
    if isinstance(found, Blocked):
        return found
    checked, evidence = found
    proposal = _proposal(new_id(0), checked, wish, evidence, by=by, now=now)
    same = [one for one in await same_content(proposals, proposal.content_hash) if one.proposed_by == by]
    if same:
        return same[0]
    await proposals.add(proposal)
    return proposal


@dataclass(frozen=True, slots=True)
class Proposed:
    """What somebody proposes besides a policy: its content, what it is about in words, and what the approver reads."""

    kind: ProposalKind
    subject: str
    content: Content
    evidence: Mapping[str, object]


async def propose_once(proposals: Proposals, what: Proposed, *, by: str, now: datetime, reason: str) -> Proposal:
    """Propose it; who says the same again gets what is open already."""
    content, digest = content_of(what.content)
    same = await same_content(proposals, digest)
    if same:
        return same[0]
    proposal = Proposal(
        proposal_id=new_id(0),
        kind=what.kind,
        subject=what.subject,
        content=content,
        content_hash=digest,
        reason=reason,
        proposed_by=by,
        proposed_at=now,
        state=ProposalState.OPEN,
        evidence=what.evidence,
    )
    await proposals.add(proposal)
    return proposal


async def same_content(proposals: Proposals, content_hash: bytes) -> Sequence[Proposal]:
    """The proposals that are not closed and propose the same, the newest first."""
    waiting = await proposals.list(states=NOT_CLOSED, limit=MOST_OPEN)
    return [one for one in waiting if one.content_hash == content_hash]


async def change(
    policies: Policies,
    proposals: Proposals,
    proposal_id: UUID,
    wish: PolicyWish,
    *,
    by: str,
    now: datetime,
) -> Proposal | Blocked | ProposalRefusal:
    """Propose another text or schedule in place of what stands in a proposal. Who changes it becomes its proposer."""
    old = await proposals.find(proposal_id)
    if old is None:
        return ProposalRefusal.NOT_FOUND
    if old.kind is not ProposalKind.POLICY:
        return ProposalRefusal.ANOTHER_KIND
    found = await _checked(policies, wish, by=by, now=now)
    if isinstance(found, Blocked):
        return found
    checked, evidence = found
    new = _proposal(proposal_id, checked, wish, evidence, by=by, now=now)
    return await proposals.change(new, expected=old.content_hash, by=by, now=now)


async def _checked(
    policies: Policies, wish: PolicyWish, *, by: str, now: datetime
) -> tuple[Checked, Mapping[str, object]] | Blocked:
    found = await keep_text(policies, wish.candidate, by=by, now=now, against=AGAINST_A_PROPOSAL)
    if isinstance(found, Blocked):
        return found
    live = found.standing.in_force
    before = await policies.text(live.live.sha256) if live is not None else None
    return found.checked, _evidence(found.checked, before, wish)


def _proposal(
    proposal_id: UUID, checked: Checked, wish: PolicyWish, evidence: Mapping[str, object], *, by: str, now: datetime
) -> Proposal:
    policy = checked.policy
    content, digest = content_of(
        PolicyContent(policy.id, policy.version, policy.sha256, checked.effective_at, wish.canary_percent)
    )
    return Proposal(
        proposal_id=proposal_id,
        kind=ProposalKind.POLICY,
        subject=policy.id,
        content=content,
        content_hash=digest,
        reason=wish.reason,
        proposed_by=by,
        proposed_at=now,
        state=ProposalState.OPEN,
        evidence=evidence,
    )


def _evidence(checked: Checked, before: PolicyText | None, wish: PolicyWish) -> Mapping[str, object]:
    """What the second person reads: the cases, what changes in words, the advice, the back-test."""
    evidence: dict[str, object] = {
        "cases": {"passed": len(checked.cases) - failed_cases(checked.cases), "failed": failed_cases(checked.cases)},
        "advice": [str(one) for one in checked.policy.advice],
    }
    if before is not None:
        changes = differences(Policy.from_text(before.document), checked.policy)
        evidence["changes"] = [{"name": one.name, "what": one.what, "decides": one.decides} for one in changes]
        evidence["against"] = {"version": before.version, "sha256": before.sha256}
    if wish.backtest is not None:
        evidence["backtest"] = wish.backtest
    return evidence


async def schedule(
    proposals: Proposals, proposal_id: UUID, effective_at: datetime | None, *, by: str, now: datetime
) -> Proposal | ProposalRefusal:
    """Another moment for a proposal's text; an approval that it had is void."""
    old = await proposals.find(proposal_id)
    if old is None:
        return ProposalRefusal.NOT_FOUND
    if old.kind is not ProposalKind.POLICY:
        return ProposalRefusal.ANOTHER_KIND
    content, digest = content_of(replace(old.policy, effective_at=effective_at))
    new = replace(
        old,
        content=content,
        content_hash=digest,
        proposed_by=by,
        proposed_at=now,
        state=ProposalState.OPEN,
        approval=None,
    )
    return await proposals.change(new, expected=old.content_hash, by=by, now=now)
