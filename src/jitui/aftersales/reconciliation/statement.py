"""What a provider's statement says, in our words, and the time that it covers."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta, tzinfo
from enum import StrEnum
from pathlib import Path
from typing import Protocol

from jitui.errors import BadInput

MOST_UNREADABLE = 1_000
"""More rows than these that cannot be read, and the file is taken for something else."""


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
