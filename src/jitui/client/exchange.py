"""How one call is carried out: what is sent, when it is sent again, and what comes of it. No network and no clock here.

A call is sent again only with the same Idempotency-Key and the same body, and only where that is safe:

| what came | sent again |
|---|---|
| no connection | every call: nothing was sent |
| 429 | every call: nothing was done |
| a lost answer, 502, 503, 504 | a call that may be repeated: reads, PUT, DELETE, one with an Idempotency-Key |
| 409 `request-in-flight` | as above: the first try is still being worked on |
"""

from __future__ import annotations

import math
from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass
from typing import Generic, TypeVar, cast

import msgspec

from jitui.client.call import Call, Value
from jitui.client.problem import NoAnswer, Problem, WrongAnswer

LARGEST_ANSWER_BYTES = 64 * 2**20
_FIRST_PAUSE_SECONDS = 0.2
_LONGEST_PAUSE_SECONDS = 8.0
_TOO_MANY, _IN_FLIGHT = 429, "request-in-flight"
_OUTCOME_UNKNOWN = (502, 503, 504)

_Read = TypeVar("_Read")


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """How long and how often. `timeout_seconds` is for one try, `give_up_after_seconds` for all tries of a call."""

    tries: int = 5
    timeout_seconds: float = 10.0
    give_up_after_seconds: float = 60.0


@dataclass(frozen=True, slots=True)
class Answered(Generic[Value]):
    """The service's answer. `replayed`: the stored answer of an earlier try or call with the same Idempotency-Key."""

    value: Value
    status: int
    request_id: str
    replayed: bool = False


@dataclass(frozen=True, slots=True)
class Send:
    """Send the call now."""

    call: Call[object]
    request_id: str
    timeout_seconds: float


@dataclass(frozen=True, slots=True)
class Pause:
    """Wait before the next try."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Received:
    """What came; names of headers are in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True, slots=True)
class Lost:
    """Nothing came, and why; `sent`: the service may have got the call."""

    why: str
    sent: bool


Steps = Generator[Send | Pause, Received | Lost | None, "Answered[Value] | Problem"]


def exchange(
    call: Call[Value],
    limits: Limits,
    *,
    request_id: str,
    clock: Callable[[], float],
    share: Callable[[], float],
) -> Steps[Value]:
    """Carry a call out: yields what is to be done, takes what came of it, returns the answer or the last problem.

    `clock` gives seconds; `share` a number from 0 to 1, by which pauses of many clients differ. Raises NoAnswer and
    WrongAnswer.
    """
    began, may_be_done, tried = clock(), False, 0
    while True:
        tried += 1
        came = yield Send(cast("Call[object]", call), request_id, limits.timeout_seconds + call.wait_seconds)
        assert came is not None
        if isinstance(came, Lost):
            may_be_done = may_be_done or came.sent
            problem, again, pause = None, call.may_repeat or not came.sent, 0.0
        elif came.status in call.statuses:
            return _answered(call, came, request_id)
        else:
            problem = problem_of(came, request_id)
            if may_be_done and call.method == "DELETE" and problem.status == 404:
                return Answered(cast(Value, None), 204, problem.request_id)  # the lost try had deleted it
            again, pause = _is_repeated(call, problem), problem.retry_after_seconds or 0.0
            may_be_done = may_be_done or problem.status in _OUTCOME_UNKNOWN
        pause = max(pause, share() * min(_LONGEST_PAUSE_SECONDS, _FIRST_PAUSE_SECONDS * 2.0**tried))
        if not again or tried >= limits.tries or clock() - began + pause > limits.give_up_after_seconds:
            break
        yield Pause(pause)
    if problem is None:
        assert isinstance(came, Lost)
        raise _no_answer(came, tried, request_id, may_be_done=may_be_done and call.method != "GET")
    return problem


def _is_repeated(call: Call[Value], problem: Problem) -> bool:
    if problem.status == _TOO_MANY:
        return True
    return call.may_repeat and (problem.status in _OUTCOME_UNKNOWN or problem.kind == _IN_FLIGHT)


def _no_answer(came: Lost, tried: int, request_id: str, *, may_be_done: bool) -> NoAnswer:
    tries = "1 try" if tried == 1 else f"{tried} tries"
    done = " The call may have been carried out." if may_be_done else ""
    said = f"The service does not answer: {came.why} ({tries}, request {request_id}).{done}"
    return NoAnswer(said, request_id=request_id, may_be_done=may_be_done)


# Reading what came -------------------------------------------------------------------------------------------------


def _answered(call: Call[Value], came: Received, request_id: str) -> Answered[Value]:
    request_id = came.headers.get("x-request-id", request_id)
    replayed = came.headers.get("idempotency-replayed") == "true"
    if call.answer is type(None):
        return Answered(None, came.status, request_id, replayed)
    value = _read(came, call.answer, f"The answer to {call.method} {call.path}", request_id)
    return Answered(value, came.status, request_id, replayed)


def _read(came: Received, kind: type[_Read], what: str, request_id: str) -> _Read:
    try:
        return msgspec.json.decode(came.body, type=kind)
    except msgspec.ValidationError as error:
        raise WrongAnswer(
            f"{what} has another shape than this client expects: {error} (request {request_id}).",
            request_id=request_id,
        ) from None
    except (msgspec.DecodeError, UnicodeDecodeError):
        said = came.headers.get("content-type", "no media type")
        raise WrongAnswer(f"{what} is not JSON, but {said} (request {request_id}).", request_id=request_id) from None


def problem_of(came: Received, request_id: str) -> Problem:
    """The problem that an answer names. Raises WrongAnswer for a redirect and for a status that is no error."""
    request_id = came.headers.get("x-request-id", request_id)
    if came.status < 400:
        where = came.headers.get("location", "")
        led = f" and leads to {where[:200]}, which is not followed" if where else ""
        raise WrongAnswer(
            f"The service answered {came.status}{led}; is the address right? (request {request_id})",
            request_id=request_id,
        )
    after = _retry_after_seconds(came.headers.get("retry-after", ""))
    if came.headers.get("content-type", "").startswith("application/problem+json"):
        named = _read(came, Problem, "A problem of the service", request_id)
        return msgspec.structs.replace(named, request_id=request_id, retry_after_seconds=after)
    title = f"The service, or a proxy before it, answered {came.status}"
    return Problem(title=title, status=came.status, request_id=request_id, retry_after_seconds=after)


def _retry_after_seconds(text: str) -> float | None:
    """The header's seconds. A date is not read: the service writes seconds."""
    try:
        seconds = float(text)
    except ValueError:
        return None
    return seconds if math.isfinite(seconds) and seconds >= 0 else None
