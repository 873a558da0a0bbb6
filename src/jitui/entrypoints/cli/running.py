"""Runs a command with the service: settings, a migrated database, one event loop."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from jitui.bootstrap import Service
    from jitui.client import Client

_Result = TypeVar("_Result")


def with_app(work: Callable[[Service], Awaitable[_Result]]) -> _Result:
    """Open the configured or embedded database and the service, and run `work` with it.

    Raises NotConfigured for a setting, Unavailable for a database that does not answer.
    """
    from jitui.bootstrap import database, open_service
    from jitui.entrypoints.cli.remote import refuse_remote
    from jitui.logs import configure
    from jitui.settings import read_settings

    refuse_remote("this command")
    settings = read_settings()
    configure(settings)

    async def run(url: str) -> _Result:
        async with open_service(settings, url) as service:
            return await work(service)

    with database(settings) as url:
        return asyncio.run(run(url))


def on_service(local: Callable[[Service], Awaitable[_Result]], remote: Callable[[Client], _Result]) -> _Result:
    """Run `local` with the service of this machine, or `remote` with the client of the one that is named."""
    from jitui.entrypoints.cli.remote import connected, remote_url

    if remote_url() is None:
        return with_app(local)
    with connected() as client:
        return remote(client)
