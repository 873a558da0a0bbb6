"""`jitui platform`."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import typer

from jitui.entrypoints.cli.main import new_typer
from jitui.entrypoints.cli.output import Json, echo, print_json
from jitui.text import visible

if TYPE_CHECKING:
    from jitui.aftersales.operations.platform_sync import Synced, SyncState
    from jitui.bootstrap import Service

platform = new_typer("A shop's own system: its orders are read, its refunds are made there.")


@platform.command()
def doctor(as_json: Json = False) -> None:
    """Ask each connected platform whether it takes our key."""
    from jitui.entrypoints.cli.exits import FAILED
    from jitui.entrypoints.cli.running import with_app

    async def work(service: Service) -> dict[str, str | None]:
        return {one.source.name: await one.source.check() for one in service.platforms.connected}

    found = _some(with_app(work))
    if as_json:
        print_json(found)
    else:
        for name, problem in found.items():
            echo(f"{name}: {problem or 'it answers, and takes our key'}")
    if any(found.values()):
        raise typer.Exit(FAILED)


@platform.command()
def sync(as_json: Json = False) -> None:
    """Read what changed at each connected platform now, as the worker does again and again."""
    from jitui.entrypoints.cli.exits import FAILED
    from jitui.entrypoints.cli.running import with_app

    async def work(service: Service) -> dict[str, Synced]:
        from jitui.platform_syncing import sync_one

        return {one.source.name: await sync_one(service, one) for one in service.platforms.connected}

    found = _some(with_app(work))
    if as_json:
        print_json({name: asdict(done) for name, done in found.items()})
    else:
        for name, done in found.items():
            echo(f"{name}: {done.read} orders read, {len(done.refused)} of them not taken in or only in part")
            for order_id, reason in done.refused.items():
                echo(f"  {visible(order_id)}: {visible(reason)}")
    if any(done.refused for done in found.values()):
        raise typer.Exit(FAILED)


@platform.command()
def status(as_json: Json = False) -> None:
    """How far each connected platform was read, and why the last reading ended early, if it did."""
    from jitui.entrypoints.cli.running import with_app

    async def work(service: Service) -> dict[str, SyncState]:
        states = service.platforms.states
        return {one.source.name: await states.state(one.source.name) for one in service.platforms.connected}

    found = _some(with_app(work))
    if as_json:
        print_json({name: asdict(state) for name, state in found.items()})
        return
    for name, state in found.items():
        read = "never" if state.synced_at is None else state.synced_at.isoformat(timespec="seconds")
        echo(f"{name}: last read to the end: {read}")
        if state.problem:
            echo(f"  {visible(state.problem)}")


def _some(found: dict[str, Any]) -> dict[str, Any]:
    from jitui.errors import NotConfigured

    if not found:
        raise NotConfigured("No platform is connected: docs/how-to/connect-vendure.md says what to set.")
    return found
