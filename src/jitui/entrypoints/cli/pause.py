"""`jitui pause`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Literal, cast

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
    until: Annotated[
        str, typer.Option(metavar="TIME", help="When it ends by itself, such as 2027-01-01T00:00+08:00.")
    ] = "",
    lift_by: Annotated[str, typer.Option(metavar="ROLE", help="Only risk, or only operator, lifts it.")] = "",
    lift: Annotated[bool, typer.Option("--lift", help="End the pause.")] = False,
    propose_lift: Annotated[
        bool, typer.Option("--propose-lift", help="Where two people approve: propose to end it, with --reason.")
    ] = False,
    listing: Annotated[bool, typer.Option("--list", help="Show the pauses in force.")] = False,
    by: Annotated[str, typer.Option(help="Who does this, for the record.")] = "command line",
    as_json: Json = False,
) -> None:
    """Stop instant approvals from the next request on: every request of that place goes to review and says why.

    Pausing again replaces the reason, and never brings the end forward. --lift without a pause ends with exit code 1,
    and also where two people approve: there --propose-lift proposes it, as the person of the token in --api-key-file,
    and another one runs `jitui policy approve`.
    """
    place = _place(scope, ref)
    if propose_lift:
        from jitui.entrypoints.cli.loosening import propose_pause_lift

        propose_pause_lift(place, reason, as_json=as_json)
        return
    wanted = None if lift or listing else _wanted(place, reason, by, until, lift_by)
    lifted, standing = _changed(place, wanted, lift=lift, by=by)
    _show(standing, as_json=as_json)
    if not lifted:
        say(f"There was no pause of {' '.join(place).strip()} to lift.")
        raise typer.Exit(FAILED)


def _changed(place: tuple[Scope, str], wanted: Pause | None, *, lift: bool, by: str) -> tuple[bool, Sequence[Pause]]:
    """Set the pause that is wanted, or lift what stands; whether there was something to lift, and what is in force."""
    from jitui.entrypoints.cli.remote import only_by_key
    from jitui.entrypoints.cli.running import on_service

    def remote(client: Client) -> tuple[bool, Sequence[Pause]]:
        only_by_key(by)
        if wanted is not None:
            _set_remotely(client, wanted)
        lifted = not lift or _lift_remotely(client, place)
        return lifted, _pauses(client)

    async def work(service: Service) -> tuple[bool, Sequence[Pause]]:
        if wanted is not None:
            await service.registry.set_pause(wanted)
        lifted = not lift or await _lift(service, place, by)
        return lifted, await service.registry.pauses(service.clock())

    return on_service(work, remote)


def _place(scope: str, ref: str) -> tuple[Scope, str]:
    from jitui.aftersales.governance.registry import Scope
    from jitui.entrypoints.cli.words import place_of

    return place_of(scope, ref, tuple(Scope))


def _wanted(place: tuple[Scope, str], reason: str, by: str, until: str, lift_by: str) -> Pause:
    """The pause that the command line asks for. Raises BadInput."""
    from jitui.aftersales.governance.registry import Pause
    from jitui.bootstrap import utc_now
    from jitui.entrypoints.cli.policy_publish import moment_of
    from jitui.entrypoints.cli.words import id_of
    from jitui.errors import BadInput

    if not reason.strip():
        raise BadInput("A pause needs a --reason: tickets show it.", path="--reason")
    if place[1]:
        id_of(place[1], "ref")
    if lift_by not in ("", "risk", "operator"):
        raise BadInput(f"--lift-by is risk or operator, not {lift_by!r}.", path="--lift-by")
    now = utc_now()
    ends_at = moment_of(until, "--until") if until else None
    if ends_at is not None and ends_at <= now:
        raise BadInput(f"{until} is over; --until is a time that is still to come.", path="--until")
    return Pause(*place, reason, by, now, ends_at, lift_by or None)


async def _lift(service: Service, place: tuple[Scope, str], by: str) -> bool:
    """Whether there was a pause to lift. Raises BadInput where somebody else has to say so."""
    from jitui.aftersales.governance.pauses import Lifter, LiftRefusal, lift_pause
    from jitui.aftersales.governance.refusals import refusal_of
    from jitui.errors import BadInput

    done = await lift_pause(service.registry, service.policies, place, by=Lifter(by), now=service.clock())
    if done is None or done is LiftRefusal.NOT_PAUSED:
        return done is None
    raise BadInput(refusal_of(done).message, path="--lift")


def _set_remotely(client: Client, pause: Pause) -> None:
    from jitui.client import api

    sent = api.PauseSent(
        scope=api.Scope(pause.scope),
        ref=pause.ref,
        reason=pause.reason,
        ends_at=pause.ends_at,
        lift_by=cast(Literal["risk", "operator"] | None, pause.lift_by),
    )
    client.send(api.set_pause(sent))


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
    return [
        Pause(our_code(Scope, row.scope), row.ref, row.reason, row.set_by, row.set_at, row.ends_at, row.lift_by)
        for row in rows
    ]


def _show(standing: Sequence[Pause], *, as_json: bool) -> None:
    if as_json:
        print_json({"pauses": standing})
        return
    for row in standing:
        place = f"{row.scope} {row.ref}".strip()
        ends = f" until {row.ends_at.isoformat(timespec='seconds')}" if row.ends_at is not None else ""
        since = row.set_at.isoformat(timespec="seconds")
        echo(f"{place}: paused since {since}{ends} by {row.set_by}: {visible(row.reason)}")
    if not standing:
        echo("Nothing is paused.")
