"""Whether a gate takes a place out, day after day: told first, out after the notice, back by the other bound. Pure.

A day is a calendar day of the platform's time zone. A day on which nothing is known, or nothing was computed, is left
out: it neither counts nor breaks a row.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import date, timedelta
from enum import StrEnum

from jitui.policy import GateVerdict


class GateStatus(StrEnum):
    """How a place stands with a gate: it lets it stay, its merchant was told that it will leave, or it is out."""

    IN = "in"
    NOTICE = "notice"
    OUT = "out"


class GateNews(StrEnum):
    """What a merchant is told."""

    NOTICE_GIVEN = "notice_given"
    NOTICE_WITHDRAWN = "notice_withdrawn"
    LEFT = "left"
    RETURNED = "returned"


@dataclass(frozen=True, slots=True)
class GateDays:
    """Whole days: in a row until the place is told, in a row until it is back, and between being told and leaving."""

    leave_after: int = 1
    return_after: int = 1
    notice: int = 0


@dataclass(frozen=True, slots=True)
class GateState:
    """How a place stands with a gate after a day.

    `row_days`: known days in a row that speak for a change. `leaves_on`: of a notice, the first day without cover.
    `computed_on`: the last day that counted.
    """

    status: GateStatus
    since: date
    row_days: int = 0
    leaves_on: date | None = None
    computed_on: date | None = None


def at_first(today: date) -> GateState:
    """The state of a place that the gate never saw: covered (R2)."""
    return GateState(GateStatus.IN, today)


def next_state(
    state: GateState, verdict: GateVerdict, days: GateDays, today: date
) -> tuple[GateState, GateNews | None]:
    """The state after today's verdict, and what the merchant is told. A day counts once, as soon as it is known."""
    if verdict is GateVerdict.UNKNOWN or (state.computed_on is not None and today <= state.computed_on):
        return state, None
    state = replace(state, computed_on=today)
    match state.status:
        case GateStatus.IN:
            return _while_in(state, verdict, days, today)
        case GateStatus.NOTICE:
            return _while_told(state, verdict, days, today)
        case GateStatus.OUT:
            return _while_out(state, verdict, days, today)


def without_rule(state: GateState, today: date) -> tuple[GateState, GateNews | None]:
    """The state where the gate asks for something else from today on: what the old rule counted is void.

    A notice by the old rule is withdrawn. What is out stays out until the new rule lets it back.
    """
    if state.status is GateStatus.OUT:
        return replace(state, row_days=0, computed_on=None), None
    news = GateNews.NOTICE_WITHDRAWN if state.status is GateStatus.NOTICE else None
    return GateState(GateStatus.IN, today if news else state.since), news


def when_removed(state: GateState) -> GateNews | None:
    """What is told where the policy has no such gate any more: it takes nobody out."""
    told = {GateStatus.NOTICE: GateNews.NOTICE_WITHDRAWN, GateStatus.OUT: GateNews.RETURNED}
    return told.get(state.status)


def last_day_of_notice(told_on: date, days: GateDays) -> date:
    """The day on which a notice is given counts for none of its days, so that they are whole days."""
    return told_on + timedelta(days=days.notice)


def _while_in(state: GateState, verdict: GateVerdict, days: GateDays, today: date) -> tuple[GateState, GateNews | None]:
    if verdict is not GateVerdict.FAILS:
        return replace(state, row_days=0), None
    row = state.row_days + 1
    if row < days.leave_after:
        return replace(state, row_days=row), None
    if days.notice == 0:
        return _out(today), GateNews.LEFT
    leaves_on = last_day_of_notice(today, days) + timedelta(days=1)
    return GateState(GateStatus.NOTICE, today, 0, leaves_on, today), GateNews.NOTICE_GIVEN


def _while_told(
    state: GateState, verdict: GateVerdict, days: GateDays, today: date
) -> tuple[GateState, GateNews | None]:
    """What was told holds until the bound to come back is kept for its days: a place that keeps it is not sent away."""
    if verdict is GateVerdict.MEETS:
        row = state.row_days + 1
        if row < days.return_after:
            return replace(state, row_days=row), None
        return GateState(GateStatus.IN, today, 0, None, today), GateNews.NOTICE_WITHDRAWN
    # ^INVARIANT: nobody leaves before the whole notice has passed, nor on a day on which nothing is known.
    if state.leaves_on is not None and today >= state.leaves_on:
        return _out(today), GateNews.LEFT
    return replace(state, row_days=0), None


def _while_out(
    state: GateState, verdict: GateVerdict, days: GateDays, today: date
) -> tuple[GateState, GateNews | None]:
    if verdict is not GateVerdict.MEETS:
        return replace(state, row_days=0), None
    row = state.row_days + 1
    if row < days.return_after:
        return replace(state, row_days=row), None
    return GateState(GateStatus.IN, today, 0, None, today), GateNews.RETURNED


def _out(today: date) -> GateState:
    return GateState(GateStatus.OUT, today, 0, None, today)
