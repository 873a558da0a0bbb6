"""What calls to payment providers have in common: one time-out over an answer, and threads of a provider's own."""

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

from jitui.aftersales.provider import RefundResult, RefundResultKind

THREADS = 32

_Result = TypeVar("_Result")


def unknown(reason: str, retry_after_seconds: float | None = None) -> RefundResult:
    """Whatever keeps us from reading an answer."""
    return RefundResult(RefundResultKind.UNKNOWN, reason, retry_after_seconds=retry_after_seconds)


def doubted(result: RefundResult, asked: Iterable[tuple[str, object, object]]) -> RefundResult:
    """The answer, or UNKNOWN where one of (name, asked, told) is not what was asked.

    What the provider told goes on to `confirm`, which holds it against the refund and tells a person.
    """
    for name, ours, theirs in asked:
        if ours != theirs:
            told = "not told" if theirs in (None, "") else theirs
            reason = f"the answer's {name} is {told}, asked was {ours}"
            return replace(result, kind=RefundResultKind.UNKNOWN, reason=reason, stuck=False)
    return result


def attempt_of(number: str) -> UUID | None:
    """The attempt of which a provider has the 32 hexadecimal digits as the refund's number; None: not made by us."""
    return UUID(number) if re.fullmatch(r"[0-9a-f]{32}", number) else None


async def in_time(asking: Coroutine[Any, Any, RefundResult], timeout_seconds: float) -> RefundResult:
    """One time-out for all calls that an answer needs, the wait for a thread included; UNKNOWN after it.

    The worker's lease counts on it: a look-up and a sending take no longer than twice the time-out.
    """
    try:
        async with asyncio.timeout(timeout_seconds):
            return await asking
    except TimeoutError:
        return unknown("no answer in time")


class Closing(ABC):
    """`async with provider:` closes it at the end."""

    @abstractmethod
    async def close(self) -> None: ...

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()


class Threads:
    """One provider's threads, for a library that waits with the thread: while all of them hang, others go on."""

    def __init__(self, name: str, most: int) -> None:
        self._pool = ThreadPoolExecutor(most, thread_name_prefix=name)

    async def run(self, call: Callable[..., _Result], *arguments: object) -> _Result:
        """A call that no thread has begun is withdrawn with the caller; one that has goes on to its own end."""
        return await asyncio.get_running_loop().run_in_executor(self._pool, call, *arguments)

    def close(self) -> None:
        """Begin no more calls; those under way end with the library's time-out and are not waited for."""
        self._pool.shutdown(wait=False, cancel_futures=True)
