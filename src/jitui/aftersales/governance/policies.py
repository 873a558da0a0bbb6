"""Policy texts and the publication log: what is kept of them, and how a text comes into force.

A version names one text for ever. Who may append to the log is checked by the database: an approval by a second person,
an installation that said that it is for one, or what one person may always do (`docs/explanation/approvals.md`).
"""

from __future__ import annotations

from asyncio import to_thread
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Protocol
from uuid import UUID

from jitui.aftersales.governance.announcing import Announcements
from jitui.aftersales.governance.publication import Authority, LogAction, LogEntry, Stage
from jitui.aftersales.ports import Publication
from jitui.policy import Policy, PolicyRefused, PublicPolicy, public_view


@dataclass(frozen=True, slots=True)
class PolicyText:
    """A text that was pushed, with its test cases; `document` and `cases` are empty where they were not asked for."""

    sha256: str
    policy_id: str
    version: str
    document: str
    cases: str
    pushed_by: str
    pushed_at: datetime
    retired_at: datetime | None = None
    retired_by: str | None = None
    retired_for: str | None = None
    notice_days: int = 0


@dataclass(frozen=True, slots=True)
class ApprovalRef:
    """The approval under which something is done: of which proposal, of which content, by whom."""

    proposal_id: UUID
    content_hash: bytes
    proposed_by: str
    approved_by: str


@dataclass(frozen=True, slots=True)
class NewPublication:
    """A row to append to the log; see `LogEntry`."""

    action: LogAction
    stage: Stage
    text: PolicyText
    authority: Authority
    by: str
    at: datetime
    reason: str = ""
    effective_at: datetime | None = None
    cancels: int | None = None
    canary_percent: int | None = None
    canary_seed: str | None = None
    approval: ApprovalRef | None = None


@dataclass(frozen=True, slots=True)
class LogReading:
    """The rows of the log that decide now or later, and the database's time at which they were read.

    `single_person`: one person may do alone what else needs two.
    """

    entries: tuple[LogEntry, ...]
    read_at: datetime
    single_person: bool = False


class Policies(Announcements, Protocol):
    """Keeps texts and the log."""

    async def push(self, text: PolicyText, view: PublicPolicy) -> PolicyText:
        """Keep a text; returns the text that has its version, which is another one when the version was taken."""
        ...

    async def text(self, sha256: str) -> PolicyText | None: ...

    async def find_text(self, policy_id: str, version: str) -> PolicyText | None: ...

    async def texts(self, *, limit: int, after: tuple[datetime, str] | None = None) -> Sequence[PolicyText]:
        """The newest first, without documents and cases; `after` is the last row of the page before."""
        ...

    async def retire(self, sha256: str, *, by: str, now: datetime, reason: str) -> bool:
        """Whether the text was retired now; one that is in force or scheduled is not."""
        ...

    async def standing(self) -> LogReading:
        """The newest live row that counts by now, and every row after it that was not called off."""
        ...

    async def log(self) -> Sequence[LogEntry]:
        """All of it, in order of the numbers."""
        ...

    async def append(self, row: NewPublication, *, after: int | None) -> LogEntry | None:
        """Append to the log; None, and nothing is written, when its last number is not `after` any more.

        Raises ValueError when the authority does not hold.
        """
        ...

    async def publications(
        self, *, before: int | None, limit: int, documents: bool = False, announced: bool = False
    ) -> Sequence[Publication]:
        """A page of the log, newest first. `announced`: only what was, is or will be the live policy."""
        ...

    async def publication(self, number: int | None, *, documents: bool = False) -> Publication | None:
        """One row of the log; without a number that of the live policy."""
        ...

    async def keep_public_view(self, sha256: str, view: PublicPolicy | None) -> None: ...

    async def single_person(self) -> bool:
        """Whether one person may do alone what else needs two."""
        ...

    async def end_single_person(self, *, by: str, now: datetime) -> bool:
        """From now on two people are needed, for good. False when it was so already."""
        ...


def text_of(policy: Policy, *, by: str, now: datetime, cases: str = "") -> PolicyText:
    """A loaded policy as it is kept."""
    return PolicyText(
        policy.sha256, policy.id, policy.version, policy.text, cases, by, now, notice_days=policy.notice_period_days
    )


async def install(policies: Policies, policy: Policy, *, by: str, now: datetime) -> bool:
    """Publish the first policy of an installation. Returns False when one was published already."""
    if await policies.log():
        return False
    text = await policies.push(text_of(policy, by=by, now=now), public_view(policy))
    row = NewPublication(LogAction.PUBLISH, Stage.LIVE, text, Authority.INSTALLATION, by, now)
    return await policies.append(row, after=None) is not None


async def with_public_view(policies: Policies, row: Publication) -> Publication:
    """The row with its public view, which is computed once for texts that an earlier release kept without one.

    Compiling takes a while, so a thread does it, and the other requests of the process continue.
    """
    if row.viewed:
        return row
    view = await to_thread(_view_of, row.document)
    await policies.keep_public_view(row.sha256, view)
    return replace(row, viewed=True, public_view=view)


def _view_of(document: str) -> PublicPolicy | None:
    """The public view; None for a version that this release can no longer read."""
    try:
        return public_view(Policy.from_text(document))
    except PolicyRefused:
        return None
