"""`jitui worker`."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from jitui.bootstrap import Service


def worker() -> None:
    """Pay approved refunds, close tickets at their deadline, publish and roll up the feed, send webhooks.

    Several may run on one database. SIGTERM or Ctrl-C: finish the calls in hand, then leave; a second one: leave
    now (what was in hand is looked up by whoever comes next).
    """
    from jitui.entrypoints.cli.running import with_app
    from jitui.settings import share_metrics_in

    share_metrics_in(None)  # what a worker beside the API counts is read at its own port
    if with_app(_work):
        raise KeyboardInterrupt


async def _work(service: Service) -> bool:
    """Whether it was Ctrl-C that ended it."""
    import asyncio
    import os
    import signal

    from jitui import tracing
    from jitui.logs import get_logger
    from jitui.worker import run_worker

    stop = asyncio.Event()
    interrupted = False
    loop = asyncio.get_running_loop()

    def leave(by: signal.Signals) -> None:
        nonlocal interrupted
        interrupted = by is signal.SIGINT
        stop.set()
        for one in (signal.SIGINT, signal.SIGTERM):
            loop.remove_signal_handler(one)
        signal.signal(signal.SIGTERM, signal.SIG_DFL)

    for one in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(one, leave, one)
    providers = ", ".join(service.providers) or "no provider (none is configured)"
    get_logger("jitui.worker").info("working", pays_through=providers, process_id=os.getpid())
    tracing.configure(service.settings, "worker")
    await run_worker(service, stop)
    tracing.stop()
    return interrupted
