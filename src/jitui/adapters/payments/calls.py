"""Shared by the payment providers: one time-out for all calls of an operation, and threads per provider."""

from __future__ import annotations

import asyncio
import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Coroutine, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from types import TracebackType
from typing import Any, Self, TypeVar
from uuid import UUID

from jitui.aftersales.provider import CallTrouble, RefundResult, RefundResultKind

THREADS = 32

_Result = TypeVar("_Result")


def unknown(
    reason: str, retry_after_seconds: float | None = None, *, trouble: CallTrouble | None = None
) -> RefundResult:
    """Whatever keeps us from reading an answer; `trouble` where that is the provider's, whichever refund it is."""
    return RefundResult(RefundResultKind.UNKNOWN, reason, retry_after_seconds=retry_after_seconds, trouble=trouble)


def unreadable(reason: str) -> RefundResult:
    """An answer that is not the provider's, or not as it is documented."""
    return unknown(f"unreadable answer: {reason}", trouble=CallTrouble.UNREADABLE)


def no_answer(error: BaseException) -> RefundResult:
    """What a broken call, of whichever library, says of the provider: it was late, or it was not there."""
    chain = [error]
    while (cause := chain[-1].__cause__ or getattr(chain[-1], "reason", None)) is not None:
        if not isinstance(cause, BaseException) or cause in chain:
            break
        chain.append(cause)
    if any(isinstance(one, TimeoutError) or "Timeout" in type(one).__name__ for one in chain):
        return unknown("no answer in time", trouble=CallTrouble.TIMED_OUT)
    return unknown(f"connection broken: {type(error).__name__}", trouble=CallTrouble.UNREACHABLE)


def trouble_of(status: int, code: str | None = None) -> CallTrouble | None:
    """What an HTTP status says of the provider; a documented error below 500, by its code, is about the refund.

    Being asked too often, or twice at the same time, is no trouble.
    """
    if status in (401, 403):
        return CallTrouble.UNAUTHORISED
    if status >= 500:
        return CallTrouble.FAILING
    return None if code or status in (409, 429) else CallTrouble.UNREADABLE


def doubted(result: RefundResult, asked: Iterable[tuple[str, object, object]]) -> RefundResult:
    """The result; UNKNOWN when one of (name, asked, told) differs between the request and the response.

    `confirm` compares the response with the refund too, and opens a task for a person.
    """
    for name, ours, theirs in asked:
        if ours != theirs:
            told = "not told" if theirs in (None, "") else theirs
            reason = f"the answer's {name} is {told}, asked was {ours}"
            return replace(result, kind=RefundResultKind.UNKNOWN, reason=reason, stuck=False)
    return result


def attempt_of(number: str) -> UUID | None:
    """The attempt whose id, as 32 hexadecimal digits, is the refund's number; None for a refund that is not ours."""
    return UUID(number) if re.fullmatch(r"[0-9a-f]{32}", number) else None


async def in_time(asking: Coroutine[Any, Any, RefundResult], timeout_seconds: float) -> RefundResult:
    """Limit all calls of an operation together, including the wait for a thread; UNKNOWN after the time-out.

    The worker's lease relies on it: a look-up and a refund together take no longer than twice the time-out.
    """
    try:
        async with asyncio.timeout(timeout_seconds):
            return await asking
    except TimeoutError:
        return unknown("no answer in time", trouble=CallTrouble.TIMED_OUT)


class Closing(ABC):
    """Closes the provider at the end of `async with provider:`."""

    @abstractmethod
    async def close(self) -> None: ...

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()


class Threads:
    """The threads of one provider, for a library that blocks: when they all hang, other providers are unaffected."""

    def __init__(self, name: str, most: int) -> None:
        self._pool = ThreadPoolExecutor(most, thread_name_prefix=name)

    async def run(self, call: Callable[..., _Result], *arguments: object) -> _Result:
        """Run a call in a thread.

        When the caller is cancelled, a call that has not started is dropped; a started one ends.
        """
        return await asyncio.get_running_loop().run_in_executor(self._pool, call, *arguments)

    def close(self) -> None:
        """Start no more calls; running calls end by the library's time-out, and are not waited for."""
        self._pool.shutdown(wait=False, cancel_futures=True)
