"""What every process does beside its own work: look at the whole service, and do steps again and again."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress

from jitui.aftersales.operations.watch import Watch
from jitui.bootstrap import Service
from jitui.logs import get_logger, tell_failure

WATCH_SECONDS = 20.0
AFTER_FAULT_SECONDS = 1.0

log = get_logger("jitui.watch")


@asynccontextmanager
async def watching(service: Service) -> AsyncIterator[None]:
    """Look at the service from time to time for as long as the block lasts: a dead worker does not look any more.

    The ledger is the workers' to look at; without one nothing is posted for long.
    """
    stop = asyncio.Event()
    looking = asyncio.create_task(watch(service, stop, reads_ledger=False))
    try:
        yield
    finally:
        stop.set()
        await looking


async def watch(
    service: Service,
    stop: asyncio.Event,
    *,
    reads_ledger: bool = True,
    failed: Callable[[str], None] = lambda step: None,
) -> None:
    """Open and close the tasks of what goes on, until `stop` is set."""
    watcher = Watch(reads_ledger)

    async def look() -> bool:
        await watcher.look(service, service.clock())
        return False

    await repeat("watch", stop, look, every_seconds=WATCH_SECONDS, after_fault_seconds=WATCH_SECONDS, failed=failed)


async def repeat(
    name: str,
    stop: asyncio.Event,
    step: Callable[[], Awaitable[bool | int | None]],
    *,
    every_seconds: float,
    after_fault_seconds: float = AFTER_FAULT_SECONDS,
    failed: Callable[[str], None] = lambda step: None,
) -> None:
    """Run a step again and again; at once while it finds work, else after a pause. `failed` hears of each fault."""
    while not stop.is_set():
        pause_seconds = every_seconds
        try:
            if await step():
                continue
        except Exception as error:
            tell_failure(log, "step_failed", error, step=name)
            failed(name)
            pause_seconds = after_fault_seconds
        await pause(stop, pause_seconds)


async def pause(stop: asyncio.Event, seconds: float) -> None:
    """Wait so long, or until `stop` is set."""
    with suppress(TimeoutError):
        await asyncio.wait_for(stop.wait(), seconds)
