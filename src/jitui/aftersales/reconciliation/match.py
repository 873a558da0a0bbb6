"""Matches our movements of one attempt or payment with the provider's, and gives each a verdict. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from uuid import UUID

from jitui.aftersales.ledger import Cause
from jitui.aftersales.model.refund import AttemptState
from jitui.aftersales.model.task import TaskKind
from jitui.aftersales.reconciliation.statement import RowKind, StatementRow, StatementWindow

EDGE = timedelta(minutes=5)
"""How much our clock and the provider's may differ."""


@dataclass(frozen=True, slots=True)
class ProviderMovement:
    """One of our movements at the provider; `possible_from` is the earliest time at which it can have happened."""

    kind: RowKind
    at: datetime
    possible_from: datetime
    amount_minor: int
    currency: str
    posting: str
    payment_id: str | None = None


@dataclass(frozen=True, slots=True)
class MovementGroup:
    """The movements on both sides of one attempt or payment, at any time."""

    key: str
    ours: tuple[ProviderMovement, ...] = ()
    theirs: tuple[StatementRow, ...] = ()
    order_id: str | None = None
    refund_id: UUID | None = None
    attempt_id: UUID | None = None
    attempt_state: AttemptState | None = None


class MovementVerdict(StrEnum):
    """The verdict on a movement. Each of the provider's, and each of ours in the window, gets exactly one."""

    MATCHED = "matched"
    MATCHED_IN_ALL = "matched_in_all"  # one payment with different parts on each side; the sums agree
    UNDONE = "undone"  # one side paid and returned it; the other side never saw it
    NOT_FINAL = "not_final"  # listed, but not paid yet
    EDGE = "edge"  # ours, so close to the window's edge that another statement may list it
    NEWS = "news"  # theirs, about an attempt of ours that we do not know to be paid (or returned)
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
    """The findings for a group, one per movement. Ours outside the window count only when the statement has them."""
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
    """Whether only the sums agree: a payment for several orders, or captured in steps, may have different parts."""
    exact = len(ours) == len(theirs) and all(movement.amount_minor == row.amount_minor for movement, row in pairs)
    if exact or not all(row.final for row in theirs):
        return False
    currencies = {movement.currency for movement in ours} | {row.currency for row in theirs}
    return len(currencies) == 1 and sum(p.amount_minor for p in ours) == sum(r.amount_minor for r in theirs)


def _nearest(ours: list[ProviderMovement], theirs: list[StatementRow]) -> list[tuple[ProviderMovement, StatementRow]]:
    """Pairs of movements: equal amounts first, so that only the wrong amount is reported; then the rest in order."""
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
    elif is_second(movement):
        verdict = MovementVerdict.PAID_TWICE
    else:
        verdict = MovementVerdict.MATCHED if row.final else MovementVerdict.NOT_FINAL
    return Finding(verdict, kind, movement, row)


def is_second(movement: ProviderMovement | None) -> bool:
    """Whether the ledger already has this payment as a second one."""
    return movement is not None and movement.posting.startswith(f"{Cause.PAID_AGAIN}:")


def _money(movement: ProviderMovement | StatementRow) -> tuple[int, str]:
    return movement.amount_minor, movement.currency


def _undone(left: dict[RowKind, tuple[list[ProviderMovement], list[StatementRow]]]) -> list[Finding]:
    """The refunds that one side paid and got back while the other saw neither; they are removed from `left`."""
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
