"""`jitui platform`."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import asdict, replace
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer

from jitui.entrypoints.cli.main import new_typer
from jitui.entrypoints.cli.output import Json, echo, print_json, say, warn_of_readers
from jitui.text import visible

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from datetime import datetime
    from pathlib import Path

    from jitui.aftersales.operations.platform_connections import NotDone, PlatformConnection
    from jitui.aftersales.operations.platform_sync import Synced, SyncState
    from jitui.aftersales.queries import PlatformSeen
    from jitui.bootstrap import Service

platform = new_typer("A shop's own system: its orders are read, its refunds are made there.")


_Value = TypeVar("_Value")
Name = Annotated[
    str, typer.Argument(metavar="PLATFORM", help="Such as vendure: docs/reference/platforms.md lists them.")
]
By = Annotated[str, typer.Option(help="Who does this, for the record.")]


@platform.command()
def connect(
    name: Name,
    url: Annotated[str, typer.Option(help="Its address, such as https://shop.example.com.")],
    shop: Annotated[str, typer.Option(help="Id of the shop here that its orders belong to.")],
    secret_file: Annotated[
        str, typer.Option(help="File with its key, for this account alone; without it you are asked for the key.")
    ] = "",
    settles: Annotated[
        bool, typer.Option("--settles", help="Settle refunds that it leaves pending. Only where nobody sends money.")
    ] = False,
    by: By = "command line",
) -> None:
    """Connect a shop's own system, once its key was tried. A failed try changes nothing. Again: a new key."""
    from jitui.entrypoints.cli.running import with_app
    from jitui.entrypoints.cli.words import id_of
    from jitui.settings import values

    id_of(shop, "--shop")
    address = _option(url, "--url", values.shop_url)
    given = _option(secret_file, "--secret-file", values.secret_file) if secret_file else None
    secret = _asked_for_key(name) if given is None else values.read_secret_file(given)
    if given is not None:
        warn_of_readers(given, "--secret-file")

    async def work(service: Service) -> PlatformConnection:
        from jitui.aftersales.operations import platform_connections as its
        from jitui.bootstrap_platforms import normal_address

        path = given or service.settings.home / "platforms" / f"{name}.key"
        root, now = normal_address(name, address), service.clock()
        new = its.PlatformConnection(name, root, str(path), shop, settles, now, by)
        known = await its.connection_of(service.platforms.connections, name)
        if known is not None:
            _refuse(its.why_not_connected(known, new, normal_address(name, known.url)))
        await _try(service, new, secret, known)
        if given is None:
            _keep(secret, path)
        await service.platforms.connections.put(new)
        return new

    done = with_app(work)
    echo(f"{name} is connected: {done.url}, for the shop {done.shop_id}. Its key is in {done.secret_file}.")
    echo("Read its orders once with `jitui platform sync`, then start the worker and the server, or start them again.")


@platform.command()
def disconnect(
    name: Name,
    by: By = "command line",
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
) -> None:
    """Forget a connection. Orders and tickets stay; the file with the key, too."""
    from jitui.entrypoints.cli.running import with_app

    if not yes:
        typer.confirm(f"Disconnect {name}?", abort=True)

    async def work(service: Service) -> None:
        from jitui.aftersales.operations.platform_connections import disconnect_platform

        _refuse(await disconnect_platform(service.platforms.connections, name, by=by, now=service.clock()))

    with_app(work)
    echo(f"{name} is disconnected. Start the worker and the server again: they still have the connection.")


@platform.command()
def resolve(
    refund: Annotated[str, typer.Argument(metavar="REFUND", help="The refund's id.", show_default=False)],
    made: Annotated[
        bool | None,
        typer.Option("--made/--not-made", help="Whether the payment's gateway has the refund.", show_default=False),
    ] = None,
    note: Annotated[str, typer.Option(help="What you have seen at the gateway.")] = "",
    by: By = "command line",
) -> None:
    """Say what became of a refund whose answer was lost, once you have looked at the payment's gateway.

    --not-made: it is asked for once more. --made: it fails, and `jitui refunds settle` closes it with the gateway's
    reference.
    """
    from jitui.entrypoints.cli.refunds import refund_ref
    from jitui.entrypoints.cli.running import with_app
    from jitui.errors import BadInput

    if made is None or not note.strip():
        raise BadInput("Give --made or --not-made, and a --note: what you have seen.", path="--note")
    ref = refund_ref(refund)

    async def work(service: Service) -> None:
        from jitui.aftersales.operations.platform_connections import resolve_lost_call

        calls, now = service.platforms.calls, service.clock()
        _refuse(await resolve_lost_call(service.store, calls, ref, made=bool(made), note=note.strip(), by=by, now=now))

    with_app(work)
    echo("Noted. The worker takes it up when it looks at the refund next, within a quarter of an hour.")


@platform.command()
def doctor(as_json: Json = False) -> None:
    """Ask each connected platform whether it takes our key."""
    from jitui.entrypoints.cli.exits import FAILED
    from jitui.entrypoints.cli.running import with_app

    async def work(service: Service) -> dict[str, dict[str, object]]:
        tried: dict[str, str | None] = {one.source.name: await one.source.check() for one in service.platforms.opened}
        tried.update(service.platforms.unopened)
        seen = await _seen(service)
        return {name: _tried(problem, *seen[name]) for name, problem in tried.items()}

    found = _some(with_app(work))
    if as_json:
        print_json(found)
    else:
        for name, one in found.items():
            echo(f"{name}: {one['problem'] or 'it answers, and takes our key'}")
            if one["problem"]:
                echo(f"  {one['unread']}")
            _say_older(one)
    if any(not one["ok"] for one in found.values()):
        raise typer.Exit(FAILED)


def _tried(problem: str | None, seen: PlatformSeen, older: Sequence[str], now: datetime) -> dict[str, object]:
    """What was found of one platform."""
    from jitui.entrypoints.cli.doctor_platforms import unread

    return {
        "ok": problem is None,
        "problem": problem,
        "last_read_at": seen.read_at,
        "unread": None if problem is None else unread(seen, now),
        "older_workers": older,
    }


async def _seen(service: Service) -> dict[str, tuple[PlatformSeen, Sequence[str], datetime]]:
    """By platform, how it stands, the workers that have its connection as it was before, and the time now."""
    from jitui.aftersales.operations.conditions import started_before
    from jitui.bootstrap_platforms import changed_at

    now = service.clock()
    state = await service.queries.operations(now)
    changed = {one.platform: changed_at(one) for one in await service.platforms.connections.all()}
    return {
        one.platform: (one, started_before(state.workers, changed[one.platform]), now)
        for one in state.platforms
        if one.platform in changed
    }


def _say_older(found: Mapping[str, object]) -> None:
    from jitui.entrypoints.cli.doctor_platforms import UNTIL_STARTED_AGAIN

    older = found["older_workers"]
    if isinstance(older, Sequence) and older:
        echo(f"  The connection was changed after {', '.join(map(str, older))} started. {UNTIL_STARTED_AGAIN}")


@platform.command()
def sync(as_json: Json = False) -> None:
    """Read what changed at each connected platform now, as the worker does again and again."""
    from jitui.entrypoints.cli.exits import FAILED
    from jitui.entrypoints.cli.running import with_app
    from jitui.errors import NotConfigured

    async def work(service: Service) -> dict[str, Synced]:
        from jitui.platform_syncing import sync_one

        for name, problem in service.platforms.unopened.items():
            raise NotConfigured(f"{name}: {problem}")
        return {
            one.source.name: await sync_one(service, one, whole=True, progress=partial(_told, one.source.name))
            for one in service.platforms.opened
        }

    try:
        found = _some(with_app(work))
    except KeyboardInterrupt:
        say("Stopped. What was read is kept: the same command, or the worker, goes on from there.")
        raise
    if as_json:
        print_json({name: {"read": done.read, "refused": done.refused} for name, done in found.items()})
    else:
        for name, done in found.items():
            echo(f"{name}: {done.read} read, {len(done.refused)} of them not taken in or only in part")
            for order_id, reason in done.refused.items():
                echo(f"  {visible(order_id)}: {visible(reason)}")
    if any(done.refused for done in found.values()):
        raise typer.Exit(FAILED)


@platform.command()
def status(as_json: Json = False) -> None:
    """What is connected, how far it was read, and why the last reading ended early, if it did."""
    from jitui.entrypoints.cli.running import with_app

    async def work(service: Service) -> dict[str, tuple[PlatformConnection, SyncState, Sequence[str]]]:
        states, unopened = service.platforms.states, service.platforms.unopened
        connections, seen = await service.platforms.connections.all(), await _seen(service)
        found = {one.platform: (one, await states.state(one.platform)) for one in connections}
        no_policy = await _no_policy(service)
        return {
            name: (one, replace(state, problem=unopened.get(name, state.problem) or no_policy), seen[name][1])
            for name, (one, state) in found.items()
        }

    found = _some(with_app(work))
    told = {
        name: {**asdict(one), **asdict(state), "older_workers": older} for name, (one, state, older) in found.items()
    }
    if as_json:
        print_json(told)
        return
    for name, (one, state, _older) in found.items():
        read = "never" if state.synced_at is None else state.synced_at.isoformat(timespec="seconds")
        echo(f"{name}: {one.url}, for the shop {one.shop_id}; last read to the end: {read}")
        if state.problem:
            echo(f"  {visible(state.problem)}")
        _say_older(told[name])


async def _no_policy(service: Service) -> str:
    """Why nothing is read before a policy is published; empty once one is."""
    from jitui.errors import NotConfigured

    try:
        await service.decision_settings()
    except NotConfigured as error:
        return str(error)
    return ""


@platform.command()
def link(
    order_id: Annotated[str, typer.Argument(metavar="ORDER", help="The order's number.")],
    hours: Annotated[int, typer.Option(min=1, max=2160, help="For how long the link opens the order.")] = 168,
    as_json: Json = False,
) -> None:
    """A link to the refund page of one order, for its buyer."""
    from datetime import timedelta

    from jitui.entrypoints.cli.running import with_app

    async def work(service: Service) -> dict[str, str]:
        from jitui.aftersales.outcomes import Refusal
        from jitui.errors import BadInput, Unavailable
        from jitui.identity.shopper import link_for, signer_of
        from jitui.platform_syncing import take_in_now

        done = await take_in_now(service, order_id)
        if await service.store.find_order(order_id) is None:
            if isinstance(done, Refusal) and done.retry_after_seconds is not None:
                raise Unavailable(done.message)
            raise BadInput(f"There is no order {visible(order_id)}, neither here nor on a connected platform.")
        expires_at = (service.clock() + timedelta(hours=hours)).replace(microsecond=0)
        url = link_for(await signer_of(service.people), service.settings.console_url, order_id, expires_at)
        return {"url": url, "expires_at": expires_at.isoformat()}

    made = with_app(work)
    if as_json:
        print_json(made)
    else:
        echo(made["url"])


def _told(name: str, done: Synced, cursor: datetime | None) -> None:
    """A line on the terminal while a long reading goes on."""
    if done.read:
        up_to = "" if cursor is None else f", up to {cursor.isoformat(timespec='seconds')}"
        say(f"{name}: {done.read} orders read{up_to}")


async def _try(service: Service, new: PlatformConnection, secret: str, known: PlatformConnection | None) -> None:
    """Ask the platform whether it takes the key. Raises NotConfigured with what to do."""
    from jitui.adapters.platforms.access import PlatformAccess
    from jitui.bootstrap_platforms import check_access
    from jitui.errors import NotConfigured

    access = PlatformAccess(new.url, secret, service.settings.provider_timeout_seconds / 2)
    if problem := await check_access(new.platform, access):
        stands = "Nothing is connected." if known is None else f"The connection to {known.url} stays as it was."
        raise NotConfigured(f"{problem.rstrip(' .')}. {stands}")


def _asked_for_key(name: str) -> str:
    """The key as it is typed, unseen. Raises BadInput where nobody can be asked."""
    from getpass import getpass

    from jitui.errors import BadInput

    if not sys.stdin.isatty():
        raise BadInput("Give the file with the key: --secret-file.", path="--secret-file")
    typed = getpass(f"Key of {name}: ", stream=sys.stderr).strip()
    if not typed:
        raise BadInput("No key was given.", path="--secret-file")
    return typed


def _keep(secret: str, path: Path) -> None:
    """Write a typed key into a file for this account alone."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    path.touch(mode=0o600)
    path.chmod(0o600)
    path.write_text(secret + "\n", encoding="utf-8")


def _option(text: str, option: str, parse: Callable[[str], _Value]) -> _Value:
    """The value of an option, by the rule that settings have for it. Raises BadInput."""
    from jitui.errors import BadInput
    from jitui.settings.values import ExpectedValue

    try:
        return parse(text)
    except ExpectedValue as expected:
        given = "" if "@" in text else f", not {text!r}"  # which may be a password
        raise BadInput(f"{option} must be {expected}{given}.", path=option) from None


def _refuse(done: NotDone | None) -> None:
    from jitui.errors import BadInput

    if done is not None:
        raise BadInput(done.reason)


def _some(found: dict[str, Any]) -> dict[str, Any]:
    from jitui.errors import NotConfigured

    if not found:
        raise NotConfigured("No platform is connected: `jitui platform connect` does it.")
    return found
