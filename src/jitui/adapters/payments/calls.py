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

from jitui.aftersales.provider import RefundResult, RefundResultKind

THREADS = 32

_Result = TypeVar("_Result")


def unknown(reason: str, retry_after_seconds: float | None = None) -> RefundResult:
    """The result when a response cannot be read."""
    return RefundResult(RefundResultKind.UNKNOWN, reason, retry_after_seconds=retry_after_seconds)


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
        return unknown("no answer in time")


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
