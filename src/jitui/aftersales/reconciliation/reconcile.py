"""A provider's statement against the ledger: what agrees, what does not, and what becomes of it (I7).

Reading and gathering are others' (statement formats, the database); this judges one refund or payment at a time,
so that a statement may be of any length. Differences become tasks. A payment that we had not heard of is news and
enters at `confirm`, as a webhook would. Nothing here pays.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from datetime import datetime, timedelta, tzinfo
from enum import StrEnum
from pathlib import Path
from typing import Protocol
from uuid import UUID

from jitui.aftersales.commands.pay import Clock, refund_instruction
from jitui.aftersales.commands.refund_updates import RefundUpdate, confirm, paid_twice_name
from jitui.aftersales.ledger import Cause
from jitui.aftersales.model.refund import AttemptState
from jitui.aftersales.model.task import NewTask, TaskKind, Tasks, TaskState
from jitui.aftersales.ports import AttemptRef, Store
from jitui.aftersales.provider import PaymentProvider, RefundResult, RefundResultKind
from jitui.errors import BadInput
from jitui.ids import lane_of_id

EDGE = timedelta(minutes=5)
"""How far our clock and the provider's may be apart."""

MOST_UNREADABLE = 1_000
"""More rows than these that cannot be read, and the file is taken for something else."""

# What a statement says --------------------------------------------------------------------------------------------


class RowKind(StrEnum):
    """What moved; amounts are positive, the kind says which way."""

    PAYMENT = "payment"
    REFUND = "refund"
    REFUND_RETURNED = "refund_returned"  # paid, and the money came back


@dataclass(frozen=True, slots=True)
class StatementRow:
    """A line of a statement in our words; `reference` is the attempt where the provider names it.

    `final` False: the statement lists it and the money has not moved yet.
    """

    line: int
    kind: RowKind
    at: datetime
    amount_minor: int
    currency: str
    reference: str | None = None
    provider_refund_id: str | None = None
    payment_ids: tuple[str, ...] = ()
    final: bool = True


@dataclass(frozen=True, slots=True)
class OtherRow:
    """A line about something that is not ours to compare: fees, payouts, summaries."""

    line: int


@dataclass(frozen=True, slots=True)
class UnreadableRow:
    """A line that should be a payment or a refund and cannot be read."""

    line: int
    reason: str
    text: str


AnyRow = StatementRow | OtherRow | UnreadableRow


class StatementFormat(Protocol):
    """Reads one provider's statements."""

    @property
    def whole_days_in(self) -> tzinfo | None:
        """Its statements cover whole days of this zone; None where they may begin and end at any time."""
        ...

    def read(self, path: Path) -> Iterable[AnyRow]:
        """Line by line. Raises BadInput where the file as a whole is no such statement."""
        ...


# What we have -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class ProviderMovement:
    """One of our movements at the provider; `possible_from`: the provider cannot have made it earlier."""

    kind: RowKind
    at: datetime
    possible_from: datetime
    amount_minor: int
    currency: str
    posting: str
    payment_id: str | None = None


@dataclass(frozen=True, slots=True)
class MovementGroup:
    """All that both sides say of one attempt or one payment, whenever we posted it."""

    key: str
    ours: tuple[ProviderMovement, ...] = ()
    theirs: tuple[StatementRow, ...] = ()
    order_id: str | None = None
    refund_id: UUID | None = None
    attempt_id: UUID | None = None
    attempt_state: AttemptState | None = None


@dataclass(frozen=True, slots=True)
class StatementWindow:
    """What the statement covers: from the first moment, and before the last."""

    since: datetime
    until: datetime

    def covers(self, at: datetime) -> bool:
        """Whether a moment lies inside."""
        return self.since <= at < self.until


@dataclass(frozen=True, slots=True)
class StatementSummary:
    """A statement that was read: what it holds, and when its first and last row happened."""

    rows: Mapping[RowKind, int]
    others: int
    unreadable: tuple[UnreadableRow, ...]
    first_at: datetime | None
    last_at: datetime | None


class StatementStaging(Protocol):
    """Where a statement lies beside our postings."""

    def stage(self, provider: str, rows: Iterable[AnyRow]) -> AbstractAsyncContextManager[StagedStatement]: ...

    async def group_of(self, provider: str, group: MovementGroup) -> MovementGroup:
        """The same group with our side as it is now."""
        ...


class StagedStatement(Protocol):
    """One statement beside our movements."""

    @property
    def summary(self) -> StatementSummary: ...

    def groups(self, window: StatementWindow) -> AsyncIterator[MovementGroup]: ...


def window_of(
    summary: StatementSummary, whole_days_in: tzinfo | None, since: datetime | None, until: datetime | None
) -> StatementWindow:
    """What a statement covers: as it is told, else from its first row to its last, in whole days where it has those.

    Raises BadInput for an empty statement of which nothing is told, and for a window that ends before it begins.
    """
    first = since if since is not None else _day_of(summary.first_at, whole_days_in, timedelta())
    last = until if until is not None else _day_of(summary.last_at, whole_days_in, timedelta(days=1))
    if first is None or last is None:
        raise BadInput("The statement has no rows, so nothing says what it covers: give --from and --until.")
    if first >= last:
        raise BadInput(f"The statement would cover nothing: {first.isoformat()} is not before {last.isoformat()}.")
    return StatementWindow(first, last)


def _day_of(at: datetime | None, zone: tzinfo | None, later: timedelta) -> datetime | None:
    if at is None or zone is None:
        return at if at is None or not later else at + timedelta(microseconds=1)
    return at.astimezone(zone).replace(hour=0, minute=0, second=0, microsecond=0) + later


# Judging: pure ----------------------------------------------------------------------------------------------------


class MovementVerdict(StrEnum):
    """What becomes of a movement; each of ours in the window and each of theirs has exactly one."""

    MATCHED = "matched"
    MATCHED_IN_ALL = "matched_in_all"  # one payment in other parts on each side: the sums agree
    UNDONE = "undone"  # paid and returned before we heard of either, or the other way round
    NOT_FINAL = "not_final"  # listed, not yet paid
    EDGE = "edge"  # ours, so near the window's edge that another statement may list it
    NEWS = "news"  # theirs, of an attempt of ours that we do not know to be paid (or returned)
    OURS_ONLY = "ours_only"
    THEIRS_ONLY = "theirs_only"
    PAYMENT_DIFFERS = "payment_differs"
    AMOUNT_DIFFERS = "amount_differs"
    CURRENCY_DIFFERS = "currency_differs"
    PAID_TWICE = "paid_twice"


DIFFERENCES: Mapping[MovementVerdict, TaskKind] = {
    MovementVerdict.OURS_ONLY: TaskKind.OURS_ONLY,
    MovementVerdict.THEIRS_ONLY: TaskKind.THEIRS_ONLY,
    MovementVerdict.PAYMENT_DIFFERS: TaskKind.PAYMENT_DIFFERS,
    MovementVerdict.AMOUNT_DIFFERS: TaskKind.AMOUNT_DIFFERS,
    MovementVerdict.CURRENCY_DIFFERS: TaskKind.CURRENCY_DIFFERS,
    MovementVerdict.PAID_TWICE: TaskKind.PAID_TWICE,
}


@dataclass(frozen=True, slots=True)
class Finding:
    """A verdict on a movement of one side, or on a pair."""

    verdict: MovementVerdict
    kind: RowKind
    ours: ProviderMovement | None = None
    theirs: StatementRow | None = None


def judge(group: MovementGroup, window: StatementWindow) -> tuple[Finding, ...]:
    """Every movement of a group, each once; ours outside the window count only where the statement names them."""
    findings: list[Finding] = []
    left: dict[RowKind, tuple[list[ProviderMovement], list[StatementRow]]] = {kind: ([], []) for kind in RowKind}
    kinds = {movement.kind for movement in group.ours} | {row.kind for row in group.theirs}
    for kind in sorted(kinds):
        ours = sorted((p for p in group.ours if p.kind is kind), key=lambda p: (not window.covers(p.at), p.at))
        theirs = sorted((r for r in group.theirs if r.kind is kind), key=lambda r: (not r.final, r.at, r.line))
        pairs = _nearest(ours, theirs)
        if kind is RowKind.PAYMENT and _same_in_all_only(ours, theirs, pairs):
            findings += [Finding(MovementVerdict.MATCHED_IN_ALL, kind, ours=movement) for movement in ours]
            findings += [Finding(MovementVerdict.MATCHED_IN_ALL, kind, theirs=row) for row in theirs]
            continue
        findings += [_pair(kind, movement, row) for movement, row in pairs]
        paired = {id(movement) for pair in pairs for movement in pair}
        left[kind] = (
            [movement for movement in ours if id(movement) not in paired and window.covers(movement.at)],
            [row for row in theirs if id(row) not in paired],
        )
    findings += _undone(left)
    for kind, (ours, theirs) in left.items():
        known = any(movement.kind is kind for movement in group.ours)
        findings += [Finding(_of_ours(movement, window), kind, ours=movement) for movement in ours]
        findings += [Finding(_of_theirs(group, row, known), kind, theirs=row) for row in theirs]
    return tuple(findings)


def _same_in_all_only(
    ours: list[ProviderMovement], theirs: list[StatementRow], pairs: list[tuple[ProviderMovement, StatementRow]]
) -> bool:
    """One payment for several orders, or captured in steps: each side may show it in other parts than the other."""
    exact = len(ours) == len(theirs) and all(movement.amount_minor == row.amount_minor for movement, row in pairs)
    if exact or not ours or not theirs or not all(row.final for row in theirs):
        return False
    currencies = {movement.currency for movement in ours} | {row.currency for row in theirs}
    return len(currencies) == 1 and sum(p.amount_minor for p in ours) == sum(r.amount_minor for r in theirs)


def _nearest(ours: list[ProviderMovement], theirs: list[StatementRow]) -> list[tuple[ProviderMovement, StatementRow]]:
    """Equal amounts first, so that one wrong amount among several is named and no other; then in their order."""
    pairs: list[tuple[ProviderMovement, StatementRow]] = []
    rest = list(theirs)
    waiting: list[ProviderMovement] = []
    for movement in ours:
        at = next((at for at, row in enumerate(rest) if _money(row) == _money(movement)), None)
        if at is None:
            waiting.append(movement)
        else:
            pairs.append((movement, rest.pop(at)))
    return [*pairs, *zip(waiting, rest, strict=False)]


def _pair(kind: RowKind, movement: ProviderMovement, row: StatementRow) -> Finding:
    if row.payment_ids and movement.payment_id is not None and movement.payment_id not in row.payment_ids:
        verdict = MovementVerdict.PAYMENT_DIFFERS
    elif row.currency != movement.currency:
        verdict = MovementVerdict.CURRENCY_DIFFERS
    elif row.amount_minor != movement.amount_minor:
        verdict = MovementVerdict.AMOUNT_DIFFERS
    elif _is_second(movement):
        verdict = MovementVerdict.PAID_TWICE
    else:
        verdict = MovementVerdict.MATCHED if row.final else MovementVerdict.NOT_FINAL
    return Finding(verdict, kind, movement, row)


def _is_second(movement: ProviderMovement | None) -> bool:
    """Whether we know already that this payment was one too many."""
    return movement is not None and movement.posting.startswith(f"{Cause.PAID_AGAIN}:")


def _money(movement: ProviderMovement | StatementRow) -> tuple[int, str]:
    return movement.amount_minor, movement.currency


def _undone(left: dict[RowKind, tuple[list[ProviderMovement], list[StatementRow]]]) -> list[Finding]:
    """Takes out of `left` what one side paid and got back while the other saw neither."""
    findings: list[Finding] = []
    paid, back = left[RowKind.REFUND], left[RowKind.REFUND_RETURNED]
    while paid[0] and back[0] and _money(paid[0][0]) == _money(back[0][0]):
        findings.append(Finding(MovementVerdict.UNDONE, RowKind.REFUND, ours=paid[0].pop(0)))
        findings.append(Finding(MovementVerdict.UNDONE, RowKind.REFUND_RETURNED, ours=back[0].pop(0)))
    while paid[1] and back[1] and paid[1][0].final and _money(paid[1][0]) == _money(back[1][0]):
        findings.append(Finding(MovementVerdict.UNDONE, RowKind.REFUND, theirs=paid[1].pop(0)))
        findings.append(Finding(MovementVerdict.UNDONE, RowKind.REFUND_RETURNED, theirs=back[1].pop(0)))
    return findings


def _of_ours(movement: ProviderMovement, window: StatementWindow) -> MovementVerdict:
    inside = window.covers(movement.possible_from - EDGE) and window.covers(movement.at + EDGE)
    return MovementVerdict.OURS_ONLY if inside else MovementVerdict.EDGE


def _of_theirs(group: MovementGroup, row: StatementRow, known: bool) -> MovementVerdict:
    if not row.final:
        return MovementVerdict.NOT_FINAL
    if known:
        return MovementVerdict.PAID_TWICE if row.kind is not RowKind.REFUND_RETURNED else MovementVerdict.THEIRS_ONLY
    return MovementVerdict.NEWS if group.attempt_id is not None else MovementVerdict.THEIRS_ONLY


# Carrying out -----------------------------------------------------------------------------------------------------


@dataclass(slots=True)
class Count:
    """Movements under one verdict, and their money by currency."""

    ours: int = 0
    theirs: int = 0
    ours_minor: defaultdict[str, int] = field(default_factory=lambda: defaultdict(int))
    theirs_minor: defaultdict[str, int] = field(default_factory=lambda: defaultdict(int))

    def add(self, finding: Finding) -> None:
        """One more finding."""
        if finding.ours is not None:
            self.ours += 1
            self.ours_minor[finding.ours.currency] += finding.ours.amount_minor
        if finding.theirs is not None:
            self.theirs += 1
            self.theirs_minor[finding.theirs.currency] += finding.theirs.amount_minor


@dataclass(frozen=True, slots=True)
class OpenDifference:
    """A difference as it is shown; its task carries the same evidence."""

    task: NewTask
    state: TaskState


@dataclass(slots=True)
class ReconciliationReport:
    """What came of a statement; `first` holds the first differences that nobody has resolved."""

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
        """Count a finding."""
        self.counts.setdefault((finding.kind, finding.verdict), Count()).add(finding)


@dataclass(frozen=True, slots=True)
class Reconciling:
    """What reconciling works with; a provider that is not configured here cannot be asked."""

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
    """Compare one statement with the ledger, open a task for each difference, and take in what was news.

    Raises BadInput, and writes nothing, where the statement cannot be read or says no time that it covers.
    """
    async with parts.staging.stage(provider, rows) as statement:
        summary = statement.summary
        window = window_of(summary)
        report = ReconciliationReport(provider, window, summary.rows, summary.others, len(summary.unreadable))
        await _take_in(parts, report, [_unreadable(provider, row, parts.clock()) for row in summary.unreadable])
        async for group in statement.groups(window):
            findings = judge(group, window)
            if any(finding.verdict is MovementVerdict.NEWS for finding in findings):
                findings = await _take_news(parts, report, group, window)
            for finding in findings:
                report.add(finding)
            found = [_task(provider, group, f, parts.clock()) for f in findings if f.verdict in DIFFERENCES]
            await _take_in(parts, report, found)
    return report


async def _take_in(parts: Reconciling, report: ReconciliationReport, found: Sequence[NewTask]) -> None:
    if not found:
        return
    states = await parts.tasks.open(found)
    for task, state in zip(found, states, strict=True):
        if state is TaskState.RESOLVED:
            report.resolved_before += 1
            continue
        report.open += 1
        if len(report.first) < parts.most_shown:
            report.first.append(OpenDifference(task, state))


async def _take_news(
    parts: Reconciling, report: ReconciliationReport, group: MovementGroup, window: StatementWindow
) -> tuple[Finding, ...]:
    """Ask the provider's books about the attempt, else take the statement's word; then look at our side again."""
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
    )
    return RefundUpdate(result, provider=refund.provider)


# Tasks ------------------------------------------------------------------------------------------------------------


def _task(provider: str, group: MovementGroup, finding: Finding, now: datetime) -> NewTask:
    """Named by what is wrong, and not by when it was found or where in the file it stands."""
    ours, theirs = finding.ours, finding.theirs
    at = theirs.at.isoformat() if theirs is not None else ""
    told = f"{theirs.amount_minor} {theirs.currency} {theirs.provider_refund_id} {at}" if theirs is not None else ""
    known = paid_twice_name(group.attempt_id) if _is_second(ours) and group.attempt_id is not None else None
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
