"""`jitui provider-simulator`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from jitui.entrypoints.cli.output import say

if TYPE_CHECKING:
    from jitui.provider_simulator import SimulatorSettings
    from jitui.settings import Settings


def provider_simulator(
    books: Annotated[
        Path | None, typer.Option(help="The file of its books; by default simulator.books in JITUI_HOME.")
    ] = None,
    host: Annotated[str, typer.Option(help="Where to listen.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65_535, help="0 takes a free port.")] = 8765,
    webhook_url: Annotated[str | None, typer.Option(help="Where webhooks go: …/v1/notifications/simulator.")] = None,
    faults: Annotated[str, typer.Option(help="off, amounts, or seed:NUMBER:NAME=RATE,… ")] = "off",
    latency_ms: Annotated[float, typer.Option(min=0, help="Mean time before it pays.")] = 0.0,
    rate_limit: Annotated[float | None, typer.Option(min=0.1, help="Most refunds a second.")] = None,
) -> None:
    """A payment provider for tests: an HTTP server with durable books of its own. It moves no money.

    Its key and webhook secret are JITUI_SIMULATOR_KEY and JITUI_SIMULATOR_WEBHOOK_SECRET, the same as the service's.
    """
    from jitui.provider_simulator import run
    from jitui.settings import read_settings

    settings = read_settings()
    options = _options(settings, webhook_url, faults, latency_ms, rate_limit)
    run(
        books_path=books or settings.home / "simulator.books",
        settings=options,
        host=host,
        port=port,
        on_ready=lambda url: say(f"The provider simulator listens on {url}; Ctrl-C stops it."),
    )


def _options(
    settings: Settings, webhook_url: str | None, faults: str, latency_ms: float, rate_limit: float | None
) -> SimulatorSettings:
    from jitui.errors import NotConfigured
    from jitui.provider_simulator import SimulatorSettings, parse_faults

    if settings.simulator_key is None:
        raise NotConfigured(
            "Set JITUI_SIMULATOR_KEY, with JITUI_SIMULATOR_URL and JITUI_SIMULATOR_WEBHOOK_SECRET, for the simulator"
            " and the service alike; `jitui demo` does all of it by itself."
        )
    return SimulatorSettings(
        api_key=settings.simulator_key,
        webhook_url=webhook_url,
        webhook_secret=settings.simulator_webhook_secret,
        latency_ms=latency_ms,
        rate_limit_per_second=rate_limit,
        faults=parse_faults(faults),
    )
