"""Compares a provider's statement with the ledger, and opens tasks for the differences (I7).

One refund or payment is judged at a time, so a statement may have any length; statement formats and the database read
and group the rows. A refund that we did not know to be paid goes through `confirm`, as a webhook would. Nothing is
paid.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol

from jitui.aftersales.commands.failed_refund import paid_twice_name
from jitui.aftersales.commands.pay import Clock, refund_instruction
from jitui.aftersales.commands.refund_updates import RefundUpdate, confirm
from jitui.aftersales.model.task import NewTask, TaskKind, Tasks, TaskState
from jitui.aftersales.ports import AttemptRef, Store
from jitui.aftersales.provider import PaymentProvider, RefundResult, RefundResultKind
from jitui.aftersales.reconciliation.match import (
    DIFFERENCES,
    Finding,
    MovementGroup,
    MovementVerdict,
    ProviderMovement,
    is_second,
    judge,
)
from jitui.aftersales.reconciliation.statement import (
    AnyRow,
    RowKind,
    StatementRow,
    StatementSummary,
    StatementWindow,
    UnreadableRow,
)
from jitui.ids import lane_of_id
from jitui.text import Sentence

MOST_MISSING_NAMED = 20
"""So many of the movements that a statement does not have are named in their one task."""


class StatementStaging(Protocol):
    """Stores a statement next to our movements."""

    def stage(self, provider: str, rows: Iterable[AnyRow]) -> AbstractAsyncContextManager[StagedStatement]: ...

    async def group_of(self, provider: str, group: MovementGroup) -> MovementGroup:
        """The group with our movements as they are now."""
        ...


class StagedStatement(Protocol):
    """A statement that is stored next to our movements."""

    @property
    def summary(self) -> StatementSummary: ...

    def groups(self, window: StatementWindow) -> AsyncIterator[MovementGroup]: ...


@dataclass(slots=True)
class Count:
    """The movements with one verdict, and their money by currency."""

    ours: int = 0
    theirs: int = 0
    ours_minor: defaultdict[str, int] = field(default_factory=lambda: defaultdict(int))
    theirs_minor: defaultdict[str, int] = field(default_factory=lambda: defaultdict(int))

    def add(self, finding: Finding) -> None:
        """Count a finding."""
        if finding.ours is not None:
            self.ours += 1
            self.ours_minor[finding.ours.currency] += finding.ours.amount_minor
        if finding.theirs is not None:
            self.theirs += 1
            self.theirs_minor[finding.theirs.currency] += finding.theirs.amount_minor


@dataclass(frozen=True, slots=True)
class OpenDifference:
    """A difference for the report; its task has the same evidence."""

    task: NewTask
    state: TaskState
    said: str | Sentence = ""
    """Of a row that cannot be read: why, as a page can say it."""


@dataclass(slots=True)
class ReconciliationReport:
    """The result for a statement; `first` has the first differences that nobody has resolved."""

    provider: str
    window: StatementWindow
    rows: Mapping[RowKind, int]
    others: int
    unreadable: int
    counts: dict[tuple[RowKind, MovementVerdict], Count] = field(default_factory=dict)
    first: list[OpenDifference] = field(default_factory=list)
    open: int = 0
    resolved_before: int = 0
    learned: int = 0

    def add(self, finding: Finding) -> None:
        """Count a finding under its verdict."""
        self.counts.setdefault((finding.kind, finding.verdict), Count()).add(finding)


@dataclass(frozen=True, slots=True)
class Reconciling:
    """What reconciling needs; `provider` is None when it is not configured, and then cannot be asked."""

    store: Store
    staging: StatementStaging
    tasks: Tasks
    clock: Clock
    provider: PaymentProvider | None = None
    most_shown: int = 20


async def reconcile(
    parts: Reconciling,
    provider: str,
    rows: Iterable[AnyRow],
    window_of: Callable[[StatementSummary], StatementWindow],
) -> ReconciliationReport:
    """Compare a statement with the ledger, open a task for each difference, and record refunds that were not known.

    Raises BadInput, and writes nothing, when the statement cannot be read or does not tell which time it covers.
    """
    async with parts.staging.stage(provider, rows) as statement:
        summary = statement.summary
        window = window_of(summary)
        report = ReconciliationReport(provider, window, summary.rows, summary.others, len(summary.unreadable))
        rows, missing = summary.unreadable, Missing()
        await _take_in(parts, report, [(_unreadable(provider, row, parts.clock()), row.said) for row in rows])
        async for group in statement.groups(window):
            findings = judge(group, window)
            if any(finding.verdict is MovementVerdict.NEWS for finding in findings):
                findings = await _take_news(parts, report, group, window)
            for finding in findings:
                report.add(finding)
            told = [one for one in findings if one.verdict in DIFFERENCES]
            if not window.is_told:
                told = [one for one in told if not missing.took(one, group)]
            await _take_in(parts, report, [(_task(provider, group, one, parts.clock()), "") for one in told])
        await _take_in(parts, report, [(task, "") for task in missing.tasks(provider, window, parts.clock())])
    return report


@dataclass(slots=True)
class Missing:
    """What a statement does not have where nothing says its period: one task, because the file may be a part of it."""

    count: int = 0
    minor: defaultdict[str, int] = field(default_factory=lambda: defaultdict(int))
    first: list[tuple[MovementGroup, Finding]] = field(default_factory=list)

    def took(self, finding: Finding, group: MovementGroup) -> bool:
        """Count a movement of ours that the statement does not have; False for any other difference."""
        if finding.verdict is not MovementVerdict.OURS_ONLY or finding.ours is None:
            return False
        self.count += 1
        self.minor[finding.ours.currency] += finding.ours.amount_minor
        if len(self.first) < MOST_MISSING_NAMED:
            self.first.append((group, finding))
        return True

    def tasks(self, provider: str, window: StatementWindow, now: datetime) -> Sequence[NewTask]:
        """The one task for all; a single movement has its own, as in a statement that says its period."""
        if self.count < 2:
            return [_task(provider, group, finding, now) for group, finding in self.first]
        sums = dict(sorted(self.minor.items()))
        since, until = window.since.isoformat(), window.until.isoformat()
        evidence = {
            "count": self.count,
            "from": since,
            "until": until,
            "sums_minor": sums,
            "first": [_named(group, finding) for group, finding in self.first],
        }
        name = f"{provider} {MovementVerdict.OURS_ONLY} of {since} {until}: {self.count} {sums}"
        return [NewTask(name, TaskKind.OURS_ONLY, provider, evidence, now)]


def _named(group: MovementGroup, finding: Finding) -> dict[str, object]:
    """A movement of ours among many that are missing."""
    assert finding.ours is not None
    return {"movement": finding.kind.value, "order_id": group.order_id, "ours": _shown(finding.ours)}


async def _take_in(
    parts: Reconciling, report: ReconciliationReport, found: Sequence[tuple[NewTask, str | Sentence]]
) -> None:
    if not found:
        return
    states = await parts.tasks.open([task for task, _ in found])
    for (task, said), state in zip(found, states, strict=True):
        if state is TaskState.RESOLVED:
            report.resolved_before += 1
            continue
        report.open += 1
        if len(report.first) < parts.most_shown:
            report.first.append(OpenDifference(task, state, said))


async def _take_news(
    parts: Reconciling, report: ReconciliationReport, group: MovementGroup, window: StatementWindow
) -> tuple[Finding, ...]:
    """Look the attempt up at the provider, or else believe the statement; then judge the group again."""
    assert group.attempt_id is not None
    ref = AttemptRef(lane_of_id(group.attempt_id), group.attempt_id)
    update = await _refund_update(parts, ref, group)
    if update is not None:
        await confirm(parts.store, ref, update, now=parts.clock())
    after = judge(await parts.staging.group_of(report.provider, group), window)
    report.learned += not any(finding.verdict is MovementVerdict.NEWS for finding in after)
    return tuple(
        Finding(MovementVerdict.THEIRS_ONLY, f.kind, theirs=f.theirs) if f.verdict is MovementVerdict.NEWS else f
        for f in after
    )


async def _refund_update(parts: Reconciling, ref: AttemptRef, group: MovementGroup) -> RefundUpdate | None:
    snapshot = await parts.store.read_order(ref)
    if snapshot is None:
        return None
    attempt = next(attempt for attempt in snapshot.attempts if attempt.attempt_id == ref.attempt_id)
    refund = next(refund for refund in snapshot.refunds if refund.refund_id == attempt.refund_id)
    if parts.provider is not None and parts.provider.capabilities.look_up:
        found = await parts.provider.look_up(refund_instruction(refund, attempt))
        return RefundUpdate(found, looked_up=True, lease=refund.leased_until)
    last = max((row for row in group.theirs if row.final), key=lambda row: (row.at, row.line))
    returned = last.kind is RowKind.REFUND_RETURNED
    result = RefundResult(
        RefundResultKind.DECLINED if returned else RefundResultKind.SUCCEEDED,
        reason="returned, as the statement says" if returned else "",
        provider_refund_id=last.provider_refund_id,
        payment_ids=last.payment_ids,
        amount_minor=last.amount_minor,
        currency=last.currency,
        occurred_at=last.at,
        advanced=None if parts.provider is None else False,
    )
    return RefundUpdate(result, provider=refund.provider)


# Tasks ------------------------------------------------------------------------------------------------------------


def _task(provider: str, group: MovementGroup, finding: Finding, now: datetime) -> NewTask:
    """The task for a difference. Its name says what is wrong, not when it was found or in which line of the file."""
    ours, theirs = finding.ours, finding.theirs
    at = theirs.at.isoformat() if theirs is not None else ""
    told = f"{theirs.amount_minor} {theirs.currency} {theirs.provider_refund_id} {at}" if theirs is not None else ""
    known = paid_twice_name(group.attempt_id) if is_second(ours) and group.attempt_id is not None else None
    name = known or f"{provider} {finding.verdict} {finding.kind} {group.key} {ours.posting if ours else ''} {told}"
    subject = ours or theirs
    assert subject is not None
    return NewTask(
        name=name,
        kind=DIFFERENCES[finding.verdict],
        provider=provider,
        order_id=group.order_id,
        amount_minor=subject.amount_minor,
        currency=subject.currency,
        evidence={
            "movement": finding.kind.value,
            "refund_id": None if group.refund_id is None else str(group.refund_id),
            "attempt_id": None if group.attempt_id is None else str(group.attempt_id),
            "ours": None if ours is None else _shown(ours),
            "theirs": None if theirs is None else _shown(theirs),
        },
        opened_at=now,
    )


def _shown(movement: ProviderMovement | StatementRow) -> dict[str, object]:
    money = {
        "at": movement.at.isoformat(),
        "amount_minor": movement.amount_minor,
        "currency": movement.currency,
    }
    if isinstance(movement, ProviderMovement):
        return {**money, "posting": movement.posting, "payment_id": movement.payment_id}
    return {
        **money,
        "line": movement.line,
        "reference": movement.reference,
        "provider_refund_id": movement.provider_refund_id,
        "payment_ids": list(movement.payment_ids),
    }


def _unreadable(provider: str, row: UnreadableRow, now: datetime) -> NewTask:
    return NewTask(
        name=f"{provider} unreadable {row.text}",
        kind=TaskKind.UNREADABLE_ROW,
        provider=provider,
        evidence={"line": row.line, "reason": row.reason, "text": row.text},
        opened_at=now,
    )
