"""`jitui pause`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from jitui.entrypoints.cli.completing import SCOPES
from jitui.entrypoints.cli.exits import FAILED
from jitui.entrypoints.cli.output import Json, echo, print_json, say
from jitui.entrypoints.cli.remote import as_error
from jitui.text import visible

if TYPE_CHECKING:
    from jitui.aftersales.governance.registry import Pause, Scope
    from jitui.bootstrap import Service
    from jitui.client import Client

ScopeWord = Annotated[
    str,
    typer.Argument(
        metavar="[SCOPE]",
        help="platform, shop, category, item or region.",
        autocompletion=SCOPES,
    ),
]


def pause(
    scope: ScopeWord = "platform",
    ref: Annotated[str, typer.Argument(metavar="[REF]", help="Its id; nothing for the platform.")] = "",
    reason: Annotated[str, typer.Option(help="The reason, which tickets show.")] = "",
    lift: Annotated[bool, typer.Option("--lift", help="End the pause.")] = False,
    listing: Annotated[bool, typer.Option("--list", help="Show the pauses in force.")] = False,
    by: Annotated[str, typer.Option(help="Who does this, for the record.")] = "command line",
    as_json: Json = False,
) -> None:
    """Stop instant approvals from the next request on: every request of that place goes to review and says why.

    Pausing again replaces the reason. --lift without a pause ends with exit code 1.
    """
    from jitui.entrypoints.cli.remote import only_by_key
    from jitui.entrypoints.cli.running import on_service

    place = _place(scope, ref)
    lifted = True

    def remote(client: Client) -> Sequence[Pause]:
        nonlocal lifted
        only_by_key(by)
        if lift:
            lifted = _lift_remotely(client, place)
        elif not listing:
            _set_remotely(client, place, reason)
        return _pauses(client)

    async def work(service: Service) -> Sequence[Pause]:
        nonlocal lifted
        if lift:
            lifted = await service.registry.lift_pause(*place, by=by, now=service.clock())
        elif not listing:
            await _set(service, place, reason, by)
        return await service.registry.pauses()

    standing = on_service(work, remote)
    if as_json:
        print_json({"pauses": standing})
    else:
        _show(standing)
    if not lifted:
        say(f"There was no pause of {' '.join(place).strip()} to lift.")
        raise typer.Exit(FAILED)


def _place(scope: str, ref: str) -> tuple[Scope, str]:
    from jitui.aftersales.governance.registry import Scope
    from jitui.entrypoints.cli.words import place_of

    return place_of(scope, ref, tuple(Scope))


def _check(place: tuple[Scope, str], reason: str) -> None:
    from jitui.entrypoints.cli.words import id_of
    from jitui.errors import BadInput

    if not reason.strip():
        raise BadInput("A pause needs a --reason: tickets show it.", path="--reason")
    if place[1]:
        id_of(place[1], "ref")


async def _set(service: Service, place: tuple[Scope, str], reason: str, by: str) -> None:
    from jitui.aftersales.governance.registry import Pause

    _check(place, reason)
    await service.registry.set_pause(Pause(*place, reason, by, service.clock()))


def _set_remotely(client: Client, place: tuple[Scope, str], reason: str) -> None:
    from jitui.client import api

    _check(place, reason)
    client.send(api.set_pause(api.PauseSent(scope=api.Scope(place[0]), ref=place[1], reason=reason)))


def _lift_remotely(client: Client, place: tuple[Scope, str]) -> bool:
    from jitui.aftersales.governance.registry import Scope
    from jitui.client import Problem, api

    scope, ref = place
    places: dict[Scope, Literal["shop", "category", "item", "region"]]
    places = {Scope.SHOP: "shop", Scope.CATEGORY: "category", Scope.ITEM: "item", Scope.REGION: "region"}
    call = api.lift_platform_pause() if scope is Scope.PLATFORM else api.lift_pause(places[scope], ref)
    outcome = client.outcome(call)
    if isinstance(outcome, Problem) and outcome.kind != "not-found":
        raise as_error(outcome)
    return not isinstance(outcome, Problem)


def _pauses(client: Client) -> Sequence[Pause]:
    from jitui.aftersales.governance.registry import Pause, Scope
    from jitui.client import api
    from jitui.entrypoints.cli.remote import our_code

    rows = client.send(api.list_pauses()).pauses
    return [Pause(our_code(Scope, row.scope), row.ref, row.reason, row.set_by, row.set_at) for row in rows]


def _show(standing: Sequence[Pause]) -> None:
    for row in standing:
        place = f"{row.scope} {row.ref}".strip()
        echo(f"{place}: paused since {row.set_at.isoformat(timespec='seconds')} by {row.set_by}: {visible(row.reason)}")
    if not standing:
        echo("Nothing is paused.")
