"""The life of a gate, day by day: no flicker, nobody leaves unannounced, and what is unknown changes nothing."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jitui.aftersales.governance.coverage import (
    GateDays,
    GateNews,
    GateState,
    GateStatus,
    at_first,
    next_state,
    when_removed,
    without_rule,
)
from jitui.policy import GateVerdict

DAY = date(2026, 3, 1)
LETTERS = {"f": GateVerdict.FAILS, "m": GateVerdict.MEETS, "b": GateVerdict.BETWEEN, "u": GateVerdict.UNKNOWN}
FAIR = GateDays(leave_after=3, return_after=2, notice=7)

verdicts = st.sampled_from(GateVerdict)
some_days = st.builds(GateDays, leave_after=st.integers(1, 4), return_after=st.integers(1, 4), notice=st.integers(0, 5))
rows = st.lists(verdicts, max_size=40)


def lived(row: Sequence[GateVerdict] | str, days: GateDays, state: GateState | None = None) -> list[GateState]:
    """The states after each of the days."""
    states = []
    today = DAY if state is None else DAY + timedelta(days=100)
    state = state or at_first(DAY)
    for verdict in row:
        state, _ = next_state(state, LETTERS.get(verdict) or GateVerdict(verdict), days, today)
        states.append(state)
        today += timedelta(days=1)
    return states


def statuses(row: str, days: GateDays) -> str:
    letters = {GateStatus.IN: "i", GateStatus.NOTICE: "n", GateStatus.OUT: "o"}
    return "".join(letters[state.status] for state in lived(row, days))


@pytest.mark.parametrize(
    ("row", "days", "comes"),
    [
        ("fff", FAIR, "iin"),
        ("ffbfff", FAIR, "iiiiin"),  # a row is a row
        ("ffmfff", FAIR, "iiiiin"),
        ("fufuf", FAIR, "iiiin"),  # an unknown day is left out
        ("fff" + "f" * 8, FAIR, "iin" + "n" * 7 + "o"),  # seven whole days after the one on which it is told
        ("fff" + "b" * 8, FAIR, "iin" + "n" * 7 + "o"),  # between the bounds is not back
        ("fff" + "f" * 7 + "uuf", FAIR, "iin" + "n" * 9 + "o"),  # nobody leaves on a day that is unknown
        ("fffmm", FAIR, "iinni"),
        ("fffmbmm", FAIR, "iinnnni"),
        ("fff" + "f" * 6 + "mm", FAIR, "iin" + "n" * 7 + "i"),  # it keeps the bound as the notice ends: it stays
        ("fff" + "f" * 6 + "mf", FAIR, "iin" + "n" * 7 + "o"),
        ("fffmum", FAIR, "iinnni"),
        ("f", GateDays(), "o"),
        ("fm", GateDays(), "oi"),
        ("fbm", GateDays(return_after=1), "ooi"),
        ("fmm", GateDays(return_after=2), "ooi"),
        ("fmbmm", GateDays(return_after=2), "ooooi"),
        ("ff", GateDays(notice=1), "nn"),
        ("fff", GateDays(notice=1), "nno"),
    ],
)
def test_the_days_come_to_this(row: str, days: GateDays, comes: str) -> None:
    assert statuses(row, days) == comes


def test_a_notice_names_the_first_day_without_cover_and_keeps_it() -> None:
    told = lived("fff", FAIR)[-1]
    assert told.since == DAY + timedelta(days=2)
    assert told.leaves_on == told.since + timedelta(days=8)
    later, news = next_state(told, GateVerdict.FAILS, GateDays(3, 2, 30), told.since + timedelta(days=1))
    assert (later.leaves_on, news) == (told.leaves_on, None)


def test_a_day_that_was_not_computed_is_left_out_and_a_late_look_comes_to_the_same() -> None:
    told = lived("fff", FAIR)[-1]
    assert told.leaves_on is not None
    late, news = next_state(told, GateVerdict.FAILS, FAIR, told.leaves_on + timedelta(days=30))
    assert (late.status, news) == (GateStatus.OUT, GateNews.LEFT)


@given(rows, some_days, verdicts)
def test_a_day_counts_once(row: list[GateVerdict], days: GateDays, again: GateVerdict) -> None:
    for state in lived(row, days):
        if state.computed_on is not None:
            assert next_state(state, again, days, state.computed_on) == (state, None)
            assert next_state(state, again, days, state.computed_on - timedelta(days=1)) == (state, None)


@given(rows, some_days, st.lists(st.sampled_from([GateVerdict.BETWEEN, GateVerdict.UNKNOWN]), max_size=30))
def test_between_the_bounds_nobody_comes_and_nobody_is_told(
    row: list[GateVerdict], days: GateDays, between: list[GateVerdict]
) -> None:
    """A settled place stays where it is, however long its figures swing between the bounds."""
    before = (lived(row, days) or [at_first(DAY)])[-1]
    if before.status is not GateStatus.NOTICE:
        assert all(state.status is before.status for state in lived(between, days, before))


@given(rows, some_days)
def test_one_side_alone_never_flickers(row: list[GateVerdict], days: GateDays) -> None:
    """Without a day that meets the bound to come back, a place leaves at most once and never returns."""
    states = lived([GateVerdict.BETWEEN if one is GateVerdict.MEETS else one for one in row], days)
    order = [GateStatus.IN, GateStatus.NOTICE, GateStatus.OUT]
    places = [order.index(state.status) for state in states]
    assert places == sorted(places)


@given(rows, some_days)
def test_a_place_leaves_only_after_its_whole_notice_and_its_days(row: list[GateVerdict], days: GateDays) -> None:
    states = [at_first(DAY), *lived(row, days)]
    for place in range(1, len(states)):
        before, after = states[place - 1], states[place]
        if after.status is GateStatus.OUT and before.status is not GateStatus.OUT:
            today = DAY + timedelta(days=place - 1)
            assert row[place - 1] in (GateVerdict.FAILS, GateVerdict.BETWEEN)
            if days.notice:
                assert before.status is GateStatus.NOTICE
                assert (today - before.since).days > days.notice
            known = [one for one in row[:place] if one is not GateVerdict.UNKNOWN]
            told = [one for one in row[: (before.since - DAY).days + 1] if one is not GateVerdict.UNKNOWN]
            counted = (told if days.notice else known)[-days.leave_after :]
            assert counted == [GateVerdict.FAILS] * days.leave_after


@given(rows, some_days)
def test_a_place_comes_back_only_after_its_days(row: list[GateVerdict], days: GateDays) -> None:
    states = [at_first(DAY), *lived(row, days)]
    for place in range(1, len(states)):
        if states[place].status is GateStatus.IN and states[place - 1].status is not GateStatus.IN:
            known = [one for one in row[:place] if one is not GateVerdict.UNKNOWN]
            assert row[place - 1] is GateVerdict.MEETS
            assert known[-days.return_after :] == [GateVerdict.MEETS] * days.return_after


@given(rows, some_days)
def test_an_unknown_day_changes_nothing_and_counts_when_it_becomes_known(
    row: list[GateVerdict], days: GateDays
) -> None:
    for state in lived(row, days):
        later = DAY + timedelta(days=50)
        assert next_state(state, GateVerdict.UNKNOWN, days, later) == (state, None)
        assert next_state(state, GateVerdict.FAILS, days, later)[0].computed_on == later


@given(rows, some_days)
def test_recovery_during_the_notice_withdraws_it(row: list[GateVerdict], days: GateDays) -> None:
    for state in lived(row, days):
        if state.status is GateStatus.NOTICE:
            back = lived([GateVerdict.MEETS] * days.return_after, days, state)
            assert all(one.status is not GateStatus.OUT for one in back)
            assert (back[-1].status, back[-1].leaves_on) == (GateStatus.IN, None)


@given(rows, some_days, st.integers(0, 3))
def test_longer_days_never_take_a_place_out_sooner(row: list[GateVerdict], days: GateDays, more: int) -> None:
    """Monotone: with a longer notice, or more days to leave, whoever is out was out with fewer too."""
    never_back = [one for one in row if one is not GateVerdict.MEETS]
    longer = (GateDays(days.leave_after + more, days.return_after, days.notice + more),)
    for patient in longer:
        for soon, late in zip(lived(never_back, days), lived(never_back, patient), strict=True):
            assert late.status is not GateStatus.OUT or soon.status is GateStatus.OUT


@given(rows, some_days)
def test_what_is_told_is_what_changed(row: list[GateVerdict], days: GateDays) -> None:
    state, today = at_first(DAY), DAY
    told = {
        (GateStatus.IN, GateStatus.NOTICE): GateNews.NOTICE_GIVEN,
        (GateStatus.NOTICE, GateStatus.IN): GateNews.NOTICE_WITHDRAWN,
        (GateStatus.NOTICE, GateStatus.OUT): GateNews.LEFT,
        (GateStatus.IN, GateStatus.OUT): GateNews.LEFT,
        (GateStatus.OUT, GateStatus.IN): GateNews.RETURNED,
    }
    for verdict in row:
        after, news = next_state(state, verdict, days, today)
        assert news == told.get((state.status, after.status))
        assert (after.leaves_on is not None) == (after.status is GateStatus.NOTICE)
        state, today = after, today + timedelta(days=1)


def test_another_rule_begins_anew_and_withdraws_a_notice_by_the_old_one() -> None:
    told, out, counting = lived("fff", FAIR)[-1], lived("f", GateDays())[-1], lived("ff", FAIR)[-1]
    today = DAY + timedelta(days=2)
    assert without_rule(told, today) == (GateState(GateStatus.IN, today), GateNews.NOTICE_WITHDRAWN)
    assert without_rule(counting, today) == (GateState(GateStatus.IN, DAY), None)
    still_out, news = without_rule(out, today)
    assert (still_out.status, still_out.since, still_out.computed_on, news) == (GateStatus.OUT, DAY, None, None)
    # The day counts for the new rule, also where the old one had it already.
    assert next_state(still_out, GateVerdict.MEETS, GateDays(), DAY)[1] is GateNews.RETURNED


def test_a_gate_that_is_gone_takes_nobody_out() -> None:
    assert when_removed(lived("f", GateDays())[-1]) is GateNews.RETURNED
    assert when_removed(lived("fff", FAIR)[-1]) is GateNews.NOTICE_WITHDRAWN
    assert when_removed(lived("ff", FAIR)[-1]) is None
