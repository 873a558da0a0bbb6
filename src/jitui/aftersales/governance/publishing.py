"""Whether a text may come into force, with every reason against it at once; and publishing by one person alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from jitui.aftersales.governance.announcing import Notice
from jitui.aftersales.governance.policies import NewPublication, Policies, PolicyText, text_of
from jitui.aftersales.governance.publication import (
    Authority,
    InForce,
    LogAction,
    LogEntry,
    Stage,
    in_force,
)
from jitui.policy import Policy, PolicyRefused, public_view
from jitui.policy.cases import CaseResult, read_cases, run_case


class BlockerCode(StrEnum):
    """Why a text cannot come into force."""

    TEXT_REFUSED = "text_refused"
    CASES_REFUSED = "cases_refused"
    CASE_FAILS = "case_fails"
    VERSION_TAKEN = "version_taken"
    OTHER_POLICY = "other_policy"
    ALREADY_LIVE = "already_live"
    RETIRED = "retired"
    SCHEDULED_IN_THE_PAST = "scheduled_in_the_past"
    MOMENT_NEEDED = "moment_needed"
    BEFORE_EFFECTIVE_FROM = "before_effective_from"
    SCHEDULE_OVERLAPS = "schedule_overlaps"
    NOTICE_PERIOD = "notice_period"
    NOT_ANNOUNCED = "not_announced"


@dataclass(frozen=True, slots=True)
class Blocker:
    """One reason. `file`, `line` and `column` say where in the text or its cases; 0 and empty: nowhere."""

    code: BlockerCode
    message: str
    file: str = ""
    line: int = 0
    column: int = 0

    def __str__(self) -> str:
        place = ":".join(str(part) for part in (self.file, self.line, self.column) if part)
        return f"{place}: {self.message}" if place else self.message


@dataclass(frozen=True, slots=True)
class Blocked:
    """Nothing was written; `blockers` has every reason."""

    blockers: tuple[Blocker, ...]

    @property
    def is_live_already(self) -> bool:
        """Whether that is all that stands against it: saying it again changes nothing."""
        return {one.code for one in self.blockers} == {BlockerCode.ALREADY_LIVE}


@dataclass(frozen=True, slots=True)
class Candidate:
    """A text that somebody wants in force: as it was written, with its cases, and from when on.

    `effective_at` None: at once, or from the text's own `effective_from` where that is still to come.
    """

    document: str
    name: str
    cases: str = ""
    cases_name: str = "cases.yaml"
    effective_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Checked:
    """A candidate that loads: the policy, its results in its cases, what else is against it, and its moment."""

    policy: Policy
    cases: tuple[CaseResult, ...]
    blockers: tuple[Blocker, ...]
    effective_at: datetime | None


@dataclass(frozen=True, slots=True)
class Standing:
    """What a candidate is checked against: the log and the text that has the candidate's version."""

    log: tuple[LogEntry, ...]
    same_version: PolicyText | None
    now: datetime
    notice: Notice = field(default_factory=Notice)

    @property
    def in_force(self) -> InForce | None:
        """What decides now."""
        return in_force(self.log, self.now)

    @property
    def last(self) -> int | None:
        """The number of the last row of the log."""
        return self.log[-1].publication if self.log else None


def load_candidate(candidate: Candidate) -> Policy | Blocked:
    """The policy of a candidate's text, or every problem of the text."""
    try:
        return Policy.from_text(candidate.document, candidate.name)
    except PolicyRefused as refused:
        code = BlockerCode.TEXT_REFUSED
        return Blocked(tuple(Blocker(code, p.message, p.file, p.line, p.column) for p in refused.problems))


def check(candidate: Candidate, policy: Policy, standing: Standing) -> Checked:
    """Every reason against a candidate whose text loads."""
    cases, of_cases = _run_cases(candidate, policy)
    effective_at = effective_moment(candidate, policy, standing.now, standing.notice)
    blockers = (
        *of_cases,
        *_against_version(policy, standing),
        *_against_live(policy, standing),
        *_against_schedule(candidate, policy, standing, effective_at),
        *against_notice(policy, standing.notice, effective_at, standing.now),
    )
    return Checked(policy, cases, blockers, effective_at)


def effective_moment(
    candidate: Candidate, policy: Policy, now: datetime, notice: Notice | None = None
) -> datetime | None:
    """From when on the candidate would decide; None: at once.

    One that names no moment and was announced decides from the moment on that was announced.
    """
    if candidate.effective_at is None and notice is not None and notice.announced_at is not None:
        now = notice.read_at or now
        wanted = max(policy.effective_from, notice.earliest(now))
    else:
        wanted = candidate.effective_at or policy.effective_from
    return wanted if wanted > now else None


def against_notice(policy: Policy, notice: Notice, effective_at: datetime | None, now: datetime) -> tuple[Blocker, ...]:
    """The notice period that is not over, and the announcement that is missing (R16)."""
    now = notice.read_at or now
    earliest, announced = notice.earliest(now), notice.announced_at
    blockers = []
    moment = earliest.isoformat(timespec="seconds")
    if announced is not None and (effective_at or now) < earliest:
        message = f"it was announced for later: it may decide from {moment} on"
        blockers.append(Blocker(BlockerCode.NOTICE_PERIOD, message))
    if announced is None and effective_at is not None and effective_at < earliest:
        message = (
            f"what changes is announced {notice.days} days before: announced now, it may decide from {moment} on,"
            f" and not from {effective_at.isoformat(timespec='seconds')} on"
        )
        blockers.append(Blocker(BlockerCode.NOTICE_PERIOD, message))
    if notice.days and announced is None:
        message = (
            f"what changes is announced {notice.days} days before, and version {policy.version} is not announced:"
            f" announced now, it may decide from {moment} on"
        )
        blockers.append(Blocker(BlockerCode.NOT_ANNOUNCED, message))
    return tuple(blockers)


def _run_cases(candidate: Candidate, policy: Policy) -> tuple[tuple[CaseResult, ...], list[Blocker]]:
    if not candidate.cases.strip():
        return (), []
    try:
        cases = read_cases(policy, candidate.cases.encode(), candidate.cases_name)
    except PolicyRefused as refused:
        code = BlockerCode.CASES_REFUSED
        return (), [Blocker(code, p.message, p.file, p.line, p.column) for p in refused.problems]
    results = tuple(run_case(policy, case) for case in cases)
    return results, [
        Blocker(
            BlockerCode.CASE_FAILS,
            f"the case {one.case.name!r} fails: "
            + "; ".join(f"{miss.what} is {miss.came}, expected {miss.expected}" for miss in one.mismatches),
            candidate.cases_name,
            one.case.line,
        )
        for one in results
        if one.mismatches
    ]


def _against_version(policy: Policy, standing: Standing) -> list[Blocker]:
    known = standing.same_version
    if known is None:
        return []
    if known.sha256 != policy.sha256:
        day = known.pushed_at.date().isoformat()
        return [
            Blocker(
                BlockerCode.VERSION_TAKEN,
                f"version {policy.version} names another text, of {day} by {known.pushed_by}:"
                " a version names one text for ever, so give this one another",
            )
        ]
    if known.retired_at is not None:
        return [Blocker(BlockerCode.RETIRED, f"this text was retired by {known.retired_by}: {known.retired_for}")]
    return []


def _against_live(policy: Policy, standing: Standing) -> list[Blocker]:
    found = standing.in_force
    if found is None:
        return []
    blockers = []
    if found.live.policy_id != policy.id:
        blockers.append(
            Blocker(
                BlockerCode.OTHER_POLICY,
                f"the policy in force is {found.live.policy_id}, and this text is named {policy.id}:"
                f" write `policy: {found.live.policy_id}` in it, with a version that no text had",
            )
        )
    if found.live.sha256 == policy.sha256:
        blockers.append(Blocker(BlockerCode.ALREADY_LIVE, "this text is in force already"))
    return blockers


def _against_schedule(
    candidate: Candidate, policy: Policy, standing: Standing, effective_at: datetime | None
) -> list[Blocker]:
    blockers = []
    if candidate.effective_at is not None and candidate.effective_at <= standing.now:
        blockers.append(
            Blocker(
                BlockerCode.SCHEDULED_IN_THE_PAST,
                f"{candidate.effective_at.isoformat()} is over; leave the time out to publish at once",
            )
        )
    if candidate.effective_at is not None and candidate.effective_at < policy.effective_from:
        blockers.append(
            Blocker(
                BlockerCode.BEFORE_EFFECTIVE_FROM,
                f"the text says that it applies from {policy.effective_from.isoformat()} on, and it would decide"
                f" from {candidate.effective_at.isoformat()} on",
            )
        )
    found = standing.in_force
    for row in found.scheduled if found is not None else ():
        blockers.append(
            Blocker(
                BlockerCode.SCHEDULE_OVERLAPS,
                f"version {row.version} is scheduled for {row.takes_effect_at.isoformat()}"
                f" (publication {row.publication}): call it off first",
            )
        )
    return blockers


async def standing_of(policies: Policies, policy: Policy, now: datetime) -> Standing:
    """What a policy is checked against now."""
    log = tuple(await policies.log())
    same_version, notice = await policies.find_text(policy.id, policy.version), await policies.notice(policy.sha256)
    return Standing(log, same_version, now, notice)


async def check_candidate(
    policies: Policies, candidate: Candidate, *, now: datetime
) -> tuple[Checked, Standing] | Blocked:
    """Load a candidate and check it against what stands."""
    policy = load_candidate(candidate)
    if isinstance(policy, Blocked):
        return policy
    standing = await standing_of(policies, policy, now)
    return check(candidate, policy, standing), standing


@dataclass(frozen=True, slots=True)
class KeptText:
    """A candidate whose text is kept now, with what it was checked against."""

    checked: Checked
    standing: Standing
    text: PolicyText


AGAINST_A_PROPOSAL = frozenset(BlockerCode) - {BlockerCode.NOT_ANNOUNCED}
"""It is announced after its approval."""
_AGAINST_A_DRAFT = frozenset({BlockerCode.VERSION_TAKEN, BlockerCode.CASES_REFUSED})


async def keep_text(
    policies: Policies,
    candidate: Candidate,
    *,
    by: str,
    now: datetime,
    against: frozenset[BlockerCode] = frozenset(BlockerCode),
) -> KeptText | Blocked:
    """Keep a candidate's text, unless one of the reasons `against` it stands."""
    found = await check_candidate(policies, candidate, now=now)
    if isinstance(found, Blocked):
        return found
    checked, standing = found
    blockers = tuple(one for one in checked.blockers if one.code in against)
    if blockers:
        return Blocked(blockers)
    text = text_of(checked.policy, by=by, now=now, cases=candidate.cases)
    kept = await policies.push(text, public_view(checked.policy))
    if kept.sha256 != text.sha256:  # somebody took the version meanwhile, which the next check says
        return await keep_text(policies, candidate, by=by, now=now, against=against)
    return KeptText(checked, standing, kept)


async def keep_draft(policies: Policies, candidate: Candidate, *, by: str, now: datetime) -> PolicyText | Blocked:
    """Keep a text by which nothing is decided yet: its cases may fail, and it may be what is live."""
    found = await keep_text(policies, candidate, by=by, now=now, against=_AGAINST_A_DRAFT)
    return found if isinstance(found, Blocked) else found.text


class NotAlone(StrEnum):
    """Why one person cannot do this alone."""

    NEEDS_SECOND_PERSON = "needs_second_person"


async def publish_alone(
    policies: Policies, candidate: Candidate, *, by: str, now: datetime
) -> LogEntry | Blocked | NotAlone:
    """Check a text and put it in force, in an installation for one person. All or nothing.

    Somebody who publishes at the same moment comes first or second; the second is checked against the first.
    """
    if not await policies.single_person():
        return NotAlone.NEEDS_SECOND_PERSON
    while True:
        found = await keep_text(policies, candidate, by=by, now=now)
        if isinstance(found, Blocked):
            return found
        moment = found.checked.effective_at
        row = NewPublication(
            LogAction.PUBLISH, Stage.LIVE, found.text, Authority.SINGLE_PERSON, by, now, effective_at=moment
        )
        entry = await policies.append(row, after=found.standing.last)
        if entry is not None:
            return entry


def failed_cases(results: Sequence[CaseResult]) -> int:
    """How many cases did not come out as expected."""
    return sum(bool(one.mismatches) for one in results)
