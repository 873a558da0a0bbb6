"""When a call is sent again, and when not; without a network and without waiting."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

import msgspec
import pytest

from jitui.client import Answered, Call, Limits, NoAnswer, Problem, WrongAnswer, api
from jitui.client.exchange import Lost, Pause, Received, Send, exchange

REFUSED_CONNECTION = Lost("connection refused", sent=False)
CUT = Lost("connection reset", sent=True)
JSON = {"content-type": "application/json", "x-request-id": "theirs"}
ALIVE = Received(200, JSON, b'{"status":"ok"}')

READ = api.healthz()
KEYED = api.ask_for_a_refund(api.RefundRequestSent(order_id="o-1"), idempotency_key="k-1")
NATURAL = api.set_pause(api.PauseSent(scope=api.Scope.PLATFORM, reason="a look"))
ONCE = api.create_webhook_endpoint(api.EndpointSent(url="https://shop.example/"))
DELETE = api.lift_platform_pause()


def problem(status: int, kind: str, *, retry_after: str = "") -> Received:
    body = {"type": f"/problems/{kind}", "title": "T", "status": status, "detail": "D.", "path": "p"}
    headers = {"content-type": "application/problem+json", "x-request-id": "theirs"}
    return Received(status, headers | ({"retry-after": retry_after} if retry_after else {}), msgspec.json.encode(body))


ORDINARY = Limits()


@dataclass
class Played:
    """What came of a call, and what was done for it."""

    outcome: Any = None
    error: Any = None
    sent: list[Send] = field(default_factory=list)
    pauses: list[float] = field(default_factory=list)


def play(call: Call[Any], came: Sequence[Received | Lost], limits: Limits = ORDINARY) -> Played:
    """Carry a call out against these answers; the clock moves by the pauses and by a second a try."""
    played, left, clock = Played(), list(came), [0.0]
    steps = exchange(call, limits, request_id="ours", clock=lambda: clock[0], share=lambda: 0.5)
    answer: Received | Lost | None = None
    try:
        while True:
            step = steps.send(answer)
            if isinstance(step, Pause):
                played.pauses.append(step.seconds)
                clock[0] += step.seconds
                answer = None
            else:
                played.sent.append(step)
                clock[0] += 1
                answer = left.pop(0) if len(left) > 1 else left[0]
    except StopIteration as done:
        played.outcome = done.value
    except (NoAnswer, WrongAnswer) as error:
        played.error = error
    return played


TIMES = 5
UNAVAILABLE, GATEWAY = problem(503, "unavailable"), Received(502, {"content-type": "text/html"}, b"<html>")
LIMITED, IN_FLIGHT = problem(429, "rate-limited", retry_after="3"), problem(409, "request-in-flight")
STALE, BROKEN = problem(412, "ticket-stale"), problem(500, "internal-error")


@pytest.mark.parametrize(
    ("came", "of_read", "of_keyed", "of_natural", "of_once"),
    [
        (REFUSED_CONNECTION, TIMES, TIMES, TIMES, TIMES),
        (CUT, TIMES, TIMES, TIMES, 1),
        (LIMITED, TIMES, TIMES, TIMES, TIMES),
        (UNAVAILABLE, TIMES, TIMES, TIMES, 1),
        (GATEWAY, TIMES, TIMES, TIMES, 1),
        (IN_FLIGHT, TIMES, TIMES, TIMES, 1),
        (STALE, 1, 1, 1, 1),
        (BROKEN, 1, 1, 1, 1),
        (problem(401, "unauthenticated"), 1, 1, 1, 1),
        (problem(404, "not-found"), 1, 1, 1, 1),
    ],
    ids=["no connection", "cut", "429", "503", "502", "in flight", "412", "500", "401", "404"],
)
def test_what_is_sent_again(came: Received | Lost, of_read: int, of_keyed: int, of_natural: int, of_once: int) -> None:
    tried = [len(play(call, [came]).sent) for call in (READ, KEYED, NATURAL, ONCE)]
    assert tried == [of_read, of_keyed, of_natural, of_once]


def test_every_try_has_the_same_key_body_and_request_id() -> None:
    played = play(KEYED, [CUT])
    assert {step.call.header_fields["Idempotency-Key"] for step in played.sent} == {"k-1"}
    assert {step.call.content for step in played.sent} == {KEYED.content}
    assert {step.request_id for step in played.sent} == {"ours"}


def test_the_first_good_answer_ends_it() -> None:
    played = play(READ, [CUT, UNAVAILABLE, ALIVE])
    assert played.outcome == Answered(api.AliveAnswer(status="ok"), 200, "theirs")
    assert len(played.sent) == 3


def test_a_replayed_answer_says_so() -> None:
    played = play(READ, [Received(200, {**JSON, "idempotency-replayed": "true"}, b'{"status":"ok"}')])
    assert played.outcome.replayed


def test_pauses_grow_and_are_shared_out() -> None:
    assert play(READ, [CUT]).pauses == [0.2, 0.4, 0.8, 1.6]
    assert max(play(READ, [CUT], Limits(tries=12)).pauses) == 4.0


def test_the_service_says_when_to_ask_again() -> None:
    assert play(ONCE, [LIMITED]).pauses == [3.0] * 4


def test_nobody_waits_longer_than_the_call_may_take() -> None:
    later = problem(429, "too-many-requests", retry_after="55")
    assert len(play(KEYED, [later], Limits(give_up_after_seconds=50)).sent) == 1
    assert play(KEYED, [later], Limits(give_up_after_seconds=56)).pauses == [55.0]
    assert play(KEYED, [later], Limits(give_up_after_seconds=50)).outcome.retry_after_seconds == 55.0


@pytest.mark.parametrize("text", ["inf", "nan", "-1", "Fri, 27 Nov 2026 06:00:00 GMT", ""])
def test_a_retry_after_that_is_no_number_of_seconds_is_left_out(text: str) -> None:
    assert play(STALE_CALL, [problem(412, "ticket-stale", retry_after=text)]).outcome.retry_after_seconds is None


STALE_CALL = api.approve_ticket(UUID("0197312a-6c00-7a11-b4c5-0d5e6f708a3c"), version=1)


def test_a_retry_after_of_nothing_is_a_number() -> None:
    assert play(STALE_CALL, [problem(412, "ticket-stale", retry_after="0")]).outcome.retry_after_seconds == 0.0


def test_one_try_is_one_try() -> None:
    assert len(play(READ, [CUT], Limits(tries=1)).sent) == 1


def test_a_reader_that_waits_gets_more_time() -> None:
    assert play(api.list_changes(wait_seconds=20), [CUT]).sent[0].timeout_seconds == 30.0
    assert play(api.list_changes(), [CUT]).sent[0].timeout_seconds == 10.0


@pytest.mark.parametrize(
    ("call", "came", "may_be_done"),
    [
        (KEYED, [CUT], True),
        (ONCE, [CUT], True),
        (ONCE, [REFUSED_CONNECTION], False),
        (KEYED, [CUT, REFUSED_CONNECTION], True),
        (KEYED, [GATEWAY, REFUSED_CONNECTION], True),
        (KEYED, [LIMITED, REFUSED_CONNECTION], False),
        (READ, [CUT], False),
    ],
    ids=["keyed", "once", "never sent", "cut, then none", "gateway, then none", "limited, then none", "read"],
)
def test_no_answer_says_whether_it_may_have_been_done(
    call: Call[Any], came: list[Received | Lost], may_be_done: bool
) -> None:
    error = play(call, came).error
    assert isinstance(error, NoAnswer)
    assert (error.may_be_done, error.request_id) == (may_be_done, "ours")
    assert ("may have been carried out" in str(error)) == may_be_done and "ours" in str(error)


def test_a_deletion_whose_answer_was_lost_finds_it_gone() -> None:
    gone = problem(404, "not-found")
    assert play(DELETE, [CUT, gone]).outcome == Answered(None, 204, "theirs")
    assert isinstance(play(DELETE, [gone]).outcome, Problem)
    assert isinstance(play(DELETE, [REFUSED_CONNECTION, gone]).outcome, Problem)
    assert isinstance(play(READ, [CUT, gone]).outcome, Problem)


def test_a_problem_is_a_value_with_its_kind_and_request() -> None:
    named = play(KEYED, [STALE]).outcome
    assert (named.kind, named.status, named.path, named.request_id) == ("ticket-stale", 412, "p", "theirs")
    assert str(named) == "p: D (412, request theirs)."
    unnamed = play(ONCE, [GATEWAY]).outcome
    assert (unnamed.kind, unnamed.type, unnamed.request_id) == ("", "about:blank", "ours")


@pytest.mark.parametrize(
    ("came", "said"),
    [
        (Received(200, JSON, b'{"status":5}'), "another shape than this client expects: Expected `str`, got `int`"),
        (Received(200, JSON, b"[]"), "another shape"),
        (Received(200, {"content-type": "text/html"}, b"<html>"), "is not JSON, but text/html"),
        (Received(200, JSON, b'{"status":"\xff"}'), "is not JSON"),
        (Received(200, {}, b""), "is not JSON, but no media type"),
        (Received(302, {"location": "https://elsewhere.example/"}, b""), "leads to https://elsewhere.example/"),
        (Received(204, {}, b""), "answered 204; is the address right?"),
        (Received(404, {"content-type": "application/problem+json"}, b"{}"), "A problem of the service has another"),
    ],
    ids=["type", "list", "html", "no text", "empty", "redirect", "no content", "problem without fields"],
)
def test_an_answer_of_another_shape_is_told_with_its_request(came: Received, said: str) -> None:
    played = play(READ, [came])
    assert isinstance(played.error, WrongAnswer)
    assert said in str(played.error) and played.error.request_id in str(played.error)
    assert len(played.sent) == 1
