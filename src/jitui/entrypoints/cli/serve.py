"""`jitui serve`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from jitui.demo.outage import SimulatorOutage
    from jitui.settings import Settings


def serve(
    processes: Annotated[int, typer.Option(min=1, max=64, help="How many processes share the port.")] = 1,
    with_worker: Annotated[bool, typer.Option("--with-worker", help="Start a worker beside it.")] = False,
    host: Annotated[str | None, typer.Option(help="Instead of JITUI_HOST.", show_default=False)] = None,
    port: Annotated[
        int | None, typer.Option(min=0, max=65_535, help="Instead of JITUI_PORT.", show_default=False)
    ] = None,
    sample_people: Annotated[
        bool, typer.Option("--sample-people", hidden=True, help="Let a demo's sample people sign in by one click.")
    ] = False,
) -> None:
    """Serve the HTTP API and the console, on the embedded database when none is configured."""
    from contextlib import ExitStack
    from dataclasses import replace
    from functools import partial

    from jitui.bootstrap import database
    from jitui.child import command_of, kept_running
    from jitui.entrypoints.console.mount import console_handlers, require_assets
    from jitui.entrypoints.http.server import WorkerBeside
    from jitui.entrypoints.http.server import serve as serve_http
    from jitui.settings import read_settings

    require_assets()
    settings = read_settings()
    settings = replace(
        settings,
        host=settings.host if host is None else host,
        port=settings.port if port is None else port,
    )
    if sample_people:
        _require_loopback(settings.host)
    with ExitStack() as stack:
        url = stack.enter_context(database(settings))
        _require_policy(settings, url)
        worker = None
        if with_worker:
            worker = WorkerBeside()
            command = command_of("jitui.entrypoints.cli", "worker")
            stack.enter_context(kept_running("worker", command, tell=worker.tell))
        extra = partial(console_handlers, one_click=sample_people, outage=_outage(settings) if sample_people else None)
        serve_http(settings, url, processes=processes, extra=extra, worker=worker)


def _outage(settings: Settings) -> SimulatorOutage | None:
    """In a demo: how a visitor lets the simulated provider fail."""
    from jitui.demo.outage import SimulatorOutage

    if settings.simulator_url is None or settings.simulator_key is None:
        return None
    return SimulatorOutage(settings.simulator_url, settings.simulator_key)


def _require_loopback(host: str) -> None:
    """Raises BadInput for an address at which others than this machine's own people could sign in by a click."""
    from ipaddress import ip_address

    from jitui.errors import BadInput

    try:
        is_own = host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        is_own = False
    if not is_own:
        raise BadInput("Sample people sign in on this machine alone: 127.0.0.1, ::1 or localhost.", path="--host")


def _require_policy(settings: Settings, url: str) -> None:
    """Raises NotConfigured, with what to do, when there is no policy: every request would then be answered 503."""
    import asyncio

    from jitui.bootstrap import open_service

    async def look() -> None:
        async with open_service(settings, url) as service:
            await service.policy_in_force.current()

    asyncio.run(look())
