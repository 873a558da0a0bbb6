"""The publication log of policies, and what of it is in force at a moment. Pure.

Every row of the log starts or ends a stage of a text: *shadow* decides beside the live policy and changes nothing,
*canary* decides for a share of the buyers, *live* decides for all others.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum


class Stage(StrEnum):
    """For whom a published text decides."""

    SHADOW = "shadow"
    CANARY = "canary"
    LIVE = "live"


class LogAction(StrEnum):
    """What a row of the log does: it starts a stage, brings an earlier text back, ends a stage, or calls a row off."""

    PUBLISH = "publish"
    ROLL_BACK = "roll_back"
    STOP = "stop"
    CANCEL = "cancel"


class Authority(StrEnum):
    """By what a row of the log was allowed; the database checks it against the approvals."""

    TWO_PEOPLE = "two_people"
    SINGLE_PERSON = "single_person"
    ONE_PERSON = "one_person"
    GUARD = "guard"
    INSTALLATION = "installation"
    BEFORE_APPROVALS = "before_approvals"


@dataclass(frozen=True, slots=True)
class LogEntry:
    """A row of the log, without its text. `effective_at` None: at once, which is at `published_at`.

    `cancels`: the number of a scheduled row that this one calls off. `canary_percent` of the buyers are drawn by a hash
    with `canary_seed`.
    """

    publication: int
    action: LogAction
    stage: Stage
    policy_id: str
    version: str
    sha256: str
    published_at: datetime
    effective_at: datetime | None = None
    cancels: int | None = None
    canary_percent: int | None = None
    canary_seed: str | None = None

    @property
    def takes_effect_at(self) -> datetime:
        """From when on the row counts."""
        return self.effective_at or self.published_at

    def is_due(self, now: datetime) -> bool:
        """Whether the row counts; one without a schedule counts whatever the clock of its writer said."""
        return self.effective_at is None or self.effective_at <= now


@dataclass(frozen=True, slots=True)
class InForce:
    """What decides: the live text, and the canary and the shadow if there are any.

    `scheduled`: rows that are still to come, the next first.
    """

    live: LogEntry
    canary: LogEntry | None = None
    shadow: LogEntry | None = None
    scheduled: tuple[LogEntry, ...] = ()

    @property
    def until(self) -> datetime | None:
        """When the next scheduled row takes effect."""
        return self.scheduled[0].takes_effect_at if self.scheduled else None


def in_force(log: Iterable[LogEntry], now: datetime) -> InForce | None:
    """What decides at a moment; None when nothing was ever live. A new live text ends the canary and the shadow."""
    standing = _not_cancelled(log)
    live: LogEntry | None = None
    beside: dict[Stage, LogEntry | None] = {}
    for row in standing:
        if not row.is_due(now):
            continue
        if row.stage is Stage.LIVE:
            live, beside = row, {}
        else:
            beside[row.stage] = None if row.action is LogAction.STOP else row
    if live is None:
        return None
    coming = tuple(row for row in standing if not row.is_due(now))
    return InForce(live, beside.get(Stage.CANARY), beside.get(Stage.SHADOW), coming)


def once_live(log: Iterable[LogEntry], now: datetime) -> frozenset[str]:
    """The hashes of the texts that are or were live."""
    return frozenset(row.sha256 for row in _not_cancelled(log) if row.stage is Stage.LIVE and row.is_due(now))


def live_before(log: Iterable[LogEntry], now: datetime) -> LogEntry | None:
    """The text that a roll-back brings back: the one that was live before the live one. None: there is none.

    Roll-backs go on back in time: what was rolled back does not come again by rolling back once more.
    """
    stack: list[LogEntry] = []
    for row in _not_cancelled(log):
        if row.stage is not Stage.LIVE or not row.is_due(now):
            continue
        if row.action is LogAction.PUBLISH:
            stack.append(row)
        elif row.action is LogAction.ROLL_BACK:
            while stack and stack[-1].sha256 != row.sha256:
                stack.pop()
    while stack and len(stack) > 1 and stack[-2].sha256 == stack[-1].sha256:
        stack.pop()
    return stack[-2] if len(stack) > 1 else None


def _not_cancelled(log: Iterable[LogEntry]) -> list[LogEntry]:
    """The rows that count or will, in the order in which they take effect."""
    rows = sorted(log, key=lambda row: (row.takes_effect_at, row.publication))
    cancelled = {row.cancels for row in rows}
    return [row for row in rows if row.action is not LogAction.CANCEL and row.publication not in cancelled]
