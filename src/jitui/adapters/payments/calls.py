"""What calls to payment providers have in common: one time-out over an answer, and threads of a provider's own."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

from jitui.aftersales.provider import Answer, AnswerKind

THREADS = 32

_Result = TypeVar("_Result")


def unknown(reason: str, retry_after_seconds: float | None = None) -> Answer:
    """Whatever keeps us from reading an answer."""
    return Answer(AnswerKind.UNKNOWN, reason, retry_after_seconds=retry_after_seconds)


async def in_time(asking: Coroutine[Any, Any, Answer], timeout_seconds: float) -> Answer:
    """One time-out for all calls that an answer needs, the wait for a thread included; UNKNOWN after it.

    The worker's lease counts on it: a look-up and a sending take no longer than twice the time-out.
    """
    try:
        async with asyncio.timeout(timeout_seconds):
            return await asking
    except TimeoutError:
        return unknown("no answer in time")


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
