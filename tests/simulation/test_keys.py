"""What the simulation checks of Idempotency-Keys: one ticket for as long as responses are kept."""

from __future__ import annotations

from datetime import timedelta

from jitui.demo.simulation.keys import PromisedKeys
from jitui.demo.simulation.messages import Result
from jitui.worker import KEEP_RESPONSES

HOUR = 3600.0


def answered(ticket_id: str, hours: float, kind: str = "plan") -> Result:
    return Result(kind, ticket_id=ticket_id, answered_at=hours * HOUR)


def test_a_key_stands_for_one_ticket_while_its_answer_is_kept() -> None:
    keys = PromisedKeys(KEEP_RESPONSES)
    assert keys.ticket("k", answered("t-1", 0)) is None
    assert keys.ticket("k", answered("t-1", 0, "kept")) is None
    assert keys.ticket("k", answered("t-2", 47.9)) == "one key, two tickets: t-1 and t-2"


def test_a_key_that_is_used_again_after_its_answer_was_forgotten_is_a_new_key() -> None:
    keys = PromisedKeys(timedelta(hours=48))
    assert keys.ticket("k", answered("t-1", 0)) is None
    assert keys.ticket("k", answered("t-2", 48)) is None
    assert keys.ticket("k", answered("t-3", 95.9)) == "one key, two tickets: t-2 and t-3"


def test_the_48_hours_begin_when_the_answer_was_made_and_not_when_a_repeat_brought_it() -> None:
    keys = PromisedKeys(timedelta(hours=48))
    assert keys.ticket("k", answered("t-1", 0, "kept")) is None, "the first answer was lost; this came 40 hours later"
    assert keys.ticket("k", answered("t-2", 50)) is None
    assert keys.refusal("k", "refund-in-progress", 97.9 * HOUR) is not None
    assert keys.refusal("k", "refund-in-progress", 98 * HOUR) is None


def test_an_old_answer_that_is_heard_last_takes_nothing_back() -> None:
    keys = PromisedKeys(timedelta(hours=48))
    assert keys.ticket("k", answered("t-2", 50)) is None
    assert keys.ticket("k", answered("t-1", 0)) is None
    assert keys.ticket("k", answered("t-2", 50, "kept")) is None


def test_a_refusal_counts_only_after_a_ticket_was_told() -> None:
    keys = PromisedKeys(timedelta(hours=48))
    assert keys.refusal("k", "order-not-paid", 0) is None
    keys.ticket("k", answered("t-1", 1))
    assert keys.refusal("other", "order-not-paid", 2 * HOUR) is None
    assert keys.refusal("k", "order-not-paid", 2 * HOUR) is not None
