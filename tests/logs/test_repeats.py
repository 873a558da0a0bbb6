"""Errors that repeat are counted: the first at once, one line a minute, one when it ends; by an injected clock."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jitui.logs.repeats import EVERY_SECONDS, MOST_KINDS, MOST_WORDS, QUIET_SECONDS, Repeats, kind_of


@dataclass
class Log:
    """A log in a world whose clock stands until it is moved; `written` has the lines with their time."""

    at: float = 1000.0
    written: list[dict[str, Any]] = field(default_factory=list)
    repeats: Repeats = field(init=False)

    def __post_init__(self) -> None:
        self.repeats = Repeats(seconds=lambda: self.at)

    def say(self, event: str = "step_failed", logger: str = "jitui.watch", **told: Any) -> bool:
        line = {"event": event, "level": "warning", **told}
        is_new = self.repeats.is_new(kind_of(logger, line), line)
        if is_new:
            self.written.append(line)
        return is_new

    def tick(self, **more: Any) -> list[dict[str, Any]]:
        due = [dict(summary.fields) for summary in self.repeats.due(**more)]
        self.written += due
        return due

    def later(self, seconds: float) -> None:
        self.at += seconds


def test_the_first_at_once_then_a_line_a_minute_then_one_when_it_has_ended() -> None:
    log = Log()
    for second in range(121):
        assert log.say(reason="the database is away") == (second == 0)
        log.tick()
        log.later(1)
    counts = [line["again"] for line in log.written[1:]]
    assert counts == [60, 60]
    log.later(QUIET_SECONDS - 1.5)
    assert log.tick() == []
    log.later(0.5)
    (ended,) = log.tick()
    assert (ended["ended"], ended["times"], ended["lasted_seconds"]) == (True, 121, 120.0)
    assert (ended["event"], ended["reason"]) == ("step_failed", "the database is away")
    assert len(log.repeats) == 0
    assert log.tick() == []


def test_what_came_once_is_told_once_and_when_it_comes_back_it_is_told_at_once() -> None:
    log = Log()
    assert log.say(reason="a")
    log.later(QUIET_SECONDS)
    assert log.say(reason="a"), "nobody ticked meanwhile"
    assert log.tick() == []
    log.later(QUIET_SECONDS)
    assert log.tick() == []
    assert len(log.written) == 2


def test_what_ended_between_two_ticks_is_told_as_ended_all_the_same() -> None:
    log = Log()
    log.say(reason="a")
    log.say(reason="a")
    log.later(QUIET_SECONDS)
    assert log.say(reason="a")
    (ended,) = log.tick()
    assert (ended["ended"], ended["times"]) == (True, 2)


def test_nothing_is_left_unsaid_when_the_process_ends() -> None:
    log = Log()
    for _ in range(3):
        log.say(reason="a")
    assert log.tick() == []
    (told,) = log.tick(all_of_them=True)
    assert told["again"] == 2


@pytest.mark.parametrize(
    ("first", "second", "is_repetition"),
    [
        ({"reason": "a"}, {"reason": "a"}, True),
        ({"reason": "a"}, {"reason": "b"}, False),
        ({"reason": "a", "step": "claim"}, {"reason": "a", "step": "roll_up"}, True),
        ({"reason": "a", "refund": "r-1"}, {"reason": "a", "refund": "r-2"}, True),
        ({"reason": "a", "provider": "stripe"}, {"reason": "a", "provider": "alipay"}, False),
        ({"reason": "a", "endpoint": "e-1"}, {"reason": "a", "endpoint": "e-2"}, False),
        ({"reason": "after 10.01 s"}, {"reason": "after 9.99 s"}, True),
        ({"reason": "at 0x7f31"}, {"reason": "at 0x7f99"}, True),
        ({"raised_at": "a.py line 3"}, {"raised_at": "a.py line 4"}, True),
        ({"raised_at": "a.py line 3"}, {"raised_at": "b.py line 3"}, False),
        ({"status": 503, "route": "/a"}, {"status": 503, "route": "/b"}, False),
    ],
    ids=lambda value: str(value) if isinstance(value, bool) else "-".join(map(str, value.values())),
)
def test_the_same_is_the_event_its_reason_and_what_is_in_trouble(
    first: dict[str, Any], second: dict[str, Any], is_repetition: bool
) -> None:
    log = Log()
    assert log.say(**first)
    assert log.say(**second) is not is_repetition


def test_two_loggers_and_two_events_are_two() -> None:
    log = Log()
    assert [log.say("a", "x"), log.say("a", "y"), log.say("b", "x"), log.say("a", "x")] == [True, True, True, False]


def test_a_line_about_many_names_what_differed_and_leaves_out_what_was_of_one() -> None:
    log = Log()
    for number in range(MOST_WORDS + 3):
        log.say(reason="a", step=f"s{number}", request_id=f"q{number}", exception="trace", timestamp=number)
    (told,) = log.tick(all_of_them=True)
    assert told["step"] == " ".join(f"s{number}" for number in range(MOST_WORDS)) + " …"
    assert not {"request_id", "exception", "timestamp"} & set(told)


def test_a_thousand_kinds_are_remembered_and_what_is_forgotten_is_told() -> None:
    log = Log()
    log.say(reason="first")
    log.say(reason="first")
    for number in range(MOST_KINDS):
        log.say(reason="other", provider=f"p{number}")
    assert len(log.repeats) == MOST_KINDS
    assert [line["times"] for line in log.tick()] == [2]


@given(st.lists(st.tuples(st.sampled_from("ab"), st.integers(0, 90)), max_size=60))
def test_every_occurrence_is_told_exactly_once_and_no_kind_more_than_twice_a_minute(
    said: list[tuple[str, int]],
) -> None:
    log = Log()
    began = log.at
    for reason, pause in said:
        log.say(reason=reason)
        log.tick()
        log.later(pause)
    log.later(QUIET_SECONDS)
    log.tick()
    ends = [line for line in log.written if line.get("ended")]
    alone = [line for line in log.written if not line.get("ended") and "again" not in line]
    for reason in "ab":
        times = sum(one == reason for one, _ in said)
        firsts = sum(line["reason"] == reason for line in alone)
        repeated = [line["times"] for line in ends if line["reason"] == reason]
        assert sum(repeated) + firsts - len(repeated) == times
        most = 2 + 2 * (log.at - began) / min(EVERY_SECONDS, QUIET_SECONDS)
        assert sum(line["reason"] == reason for line in log.written) <= most
