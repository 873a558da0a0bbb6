"""The rows of a provider's statement in our terms, and the time that it covers."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta, tzinfo
from enum import StrEnum
from pathlib import Path
from typing import Protocol

from jitui.errors import BadInput
from jitui.text import Sentence, sentence

MOST_UNREADABLE = 1_000
"""With more unreadable rows than this, the file is not a statement of this provider."""


class RowKind(StrEnum):
    """What moved. Amounts are positive; the kind tells the direction."""

    PAYMENT = "payment"
    REFUND = "refund"
    REFUND_RETURNED = "refund_returned"  # a refund was paid, and the money came back


@dataclass(frozen=True, slots=True)
class StatementRow:
    """A row of a statement; `reference` is the attempt's id, if the provider names it.

    `final` False: the row is listed, but the money has not moved yet.
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
    """A row about something that is not compared: fees, payouts, summaries."""

    line: int


@dataclass(frozen=True, slots=True)
class UnreadableRow:
    """A row that should be a payment or a refund, and cannot be read."""

    line: int
    said: str | Sentence
    text: str

    @property
    def reason(self) -> str:
        """The reason in English."""
        return str(self.said)


AnyRow = StatementRow | OtherRow | UnreadableRow


class StatementFormat(Protocol):
    """Reads the statements of one provider."""

    @property
    def whole_days_in(self) -> tzinfo | None:
        """The time zone of the days that a statement covers; None when it may begin and end at any time."""
        ...

    @property
    def tells_its_end(self) -> bool:
        """Whether a file that was read says itself that no row of its days is missing, as by its totals."""
        ...

    def read(self, path: Path) -> Iterable[AnyRow]:
        """The rows of a file, one by one. Raises BadInput when the file is not such a statement."""
        ...


@dataclass(frozen=True, slots=True)
class StatementWindow:
    """The time that a statement covers: `since` is included, `until` is not.

    `is_told` False: nothing but its rows says so, and the file may have a part of them alone.
    """

    since: datetime
    until: datetime
    is_told: bool = True

    def covers(self, at: datetime) -> bool:
        """Whether a time is inside."""
        return self.since <= at < self.until


@dataclass(frozen=True, slots=True)
class StatementSummary:
    """What a statement contains, and the times of its first and last row."""

    rows: Mapping[RowKind, int]
    others: int
    unreadable: tuple[UnreadableRow, ...]
    first_at: datetime | None
    last_at: datetime | None


def window_of(
    summary: StatementSummary,
    whole_days_in: tzinfo | None,
    since: datetime | None,
    until: datetime | None,
    *,
    tells_its_end: bool = False,
) -> StatementWindow:
    """The time that a statement covers: as given, or from its first row to its last, in whole days if it has those.

    Raises BadInput when the statement is empty and no times are given, and when the window would end before it begins.
    """
    first = since if since is not None else _day_of(summary.first_at, whole_days_in, timedelta())
    last = until if until is not None else _day_of(summary.last_at, whole_days_in, timedelta(days=1))
    if first is None or last is None:
        raise BadInput(
            sentence(
                "The statement has no rows, so nothing says what it covers:"
                " say from when (--from) until when (--until)."
            )
        )
    if first >= last:
        ends = {"first": first.isoformat(), "last": last.isoformat()}
        raise BadInput(sentence("The statement would cover nothing: %(first)s is not before %(last)s.", **ends))
    return StatementWindow(first, last, is_told=tells_its_end or (since is not None and until is not None))


def _day_of(at: datetime | None, zone: tzinfo | None, later: timedelta) -> datetime | None:
    if at is None or zone is None:
        return at if at is None or not later else at + timedelta(microseconds=1)
    return at.astimezone(zone).replace(hour=0, minute=0, second=0, microsecond=0) + later
