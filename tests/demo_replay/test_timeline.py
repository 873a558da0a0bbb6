"""Steps come in time order, those that approve alone, the others in segments."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from jitui.demo.replay.timeline import ALONE, LARGEST_SEGMENT, SEGMENT, Rank, ReplayStep, Timeline

BEGIN = datetime(2011, 3, 1, tzinfo=UTC)


async def nothing() -> None:
    """These tests only look at the order."""


def step(hours: float, rank: Rank, key: str = "", buyer_id: str = "") -> ReplayStep:
    return ReplayStep(BEGIN + timedelta(hours=hours), rank, key, buyer_id, nothing)


def emptied(timeline: Timeline) -> list[list[ReplayStep]]:
    segments = []
    while segment := timeline.next_segment():
        segments.append(segment)
    return segments


def test_at_the_same_minute_goods_leave_before_they_are_asked_back() -> None:
    together = tuple(step(0, rank) for rank in (Rank.ASK, Rank.SHIP, Rank.ORDER, Rank.DECIDE, Rank.COMPLETE))
    order = [one.rank for segment in emptied(Timeline(iter([together]))) for one in segment]
    assert order == [Rank.ORDER, Rank.COMPLETE, Rank.SHIP, Rank.DECIDE, Rank.ASK]


def test_what_a_step_brings_about_takes_its_place_in_time() -> None:
    timeline = Timeline(iter([(step(0, Rank.ORDER, "a"),), (step(100, Rank.ORDER, "b"),)]))
    assert [one.key for one in timeline.next_segment()] == ["a"]
    timeline.add(step(50, Rank.SHIP, "a"))
    assert [[one.key for one in segment] for segment in emptied(timeline)] == [["a"], ["b"]]


@given(st.lists(st.tuples(st.integers(0, 200), st.sampled_from(list(Rank)), st.integers(0, 30)), max_size=60))
def test_everything_runs_once_and_in_order(drawn: list[tuple[int, Rank, int]]) -> None:
    """Each brings a follower, as an order brings its dispatch."""
    sources = sorted(
        (step(hours, rank, str(number)), step(hours + later, Rank.SHIP, f"{number}+"))
        for number, (hours, rank, later) in enumerate(drawn)
    )
    segments = emptied(Timeline(iter(sources)))
    ran = [one for segment in segments for one in segment]
    assert ran == sorted(one for pair in sources for one in pair)
    for segment in segments:
        assert len(segment) <= LARGEST_SEGMENT
        assert segment[-1].at - segment[0].at <= SEGMENT
        assert len(segment) == 1 or not any(one.rank in ALONE for one in segment)
