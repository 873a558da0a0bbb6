"""`jitui policy announce` and what follows it: what was announced, what people said of it, and the answers (R16)."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Annotated

import typer

from jitui.entrypoints.cli.exits import FAILED
from jitui.entrypoints.cli.output import Json, echo, print_json, say
from jitui.entrypoints.cli.policy_life import VersionArg, Why, announced, as_person, find_text, one_of, tell
from jitui.entrypoints.cli.policy_publish import EffectiveAt, moment_of
from jitui.text import visible

if TYPE_CHECKING:
    from jitui.aftersales.governance.announcing import Announcement, Opinion
    from jitui.bootstrap import Service
    from jitui.entrypoints.cli.personal import Acting

MOST = 200
Announced = Annotated[str, typer.Argument(metavar="VERSION", help="A version that was announced.")]


def announce(version: VersionArg, effective_at: EffectiveAt = "", as_json: Json = False) -> None:
    """Tell everybody that an approved text takes effect, from when on, and what it changes.

    Without a time: when its proposal or the text says, and else as soon as the notice period is over.
    """
    from jitui.identity.access import Permission

    moment = moment_of(effective_at) if effective_at else None

    async def work(service: Service, by: Acting) -> object:
        from jitui.aftersales.governance.rollout import announce

        text = await find_text(service, version)
        return await announce(service.policies, service.proposals, text, moment, by=by.name, now=service.clock())

    tell(as_person(Permission.POLICIES_PROPOSE, work), as_json=as_json)


def unannounce(version: Announced, reason: Why, as_json: Json = False) -> None:
    """Withdraw an announcement; the text has to be announced again before it decides."""
    from jitui.identity.access import Permission

    async def work(service: Service, by: Acting) -> object:
        found = await _announced(service, version)
        return await service.policies.withdraw_announcement(
            found.announcement_id, by=by.name, now=service.clock(), reason=reason
        )

    tell(as_person(Permission.POLICIES_STOP, work), as_json=as_json)


def announcements(as_json: Json = False) -> None:
    """List what was announced, the newest first."""
    from jitui.entrypoints.cli.running import with_app

    async def work(service: Service) -> Sequence[Announcement]:
        return await service.policies.announcements(limit=MOST)

    found = with_app(work)
    if as_json:
        print_json({"announcements": [_without_view(one) for one in found]})
        return
    for one in found:
        echo(announced(one))
    if not found:
        say("Nothing was announced.")


def opinions(version: Announced, as_json: Json = False) -> None:
    """List what people said of an announced text, the newest first, and the answers."""
    from jitui.entrypoints.cli.running import with_app

    async def work(service: Service) -> Sequence[Opinion]:
        found = await _announced(service, version)
        return await service.policies.opinions(found.announcement_id, limit=MOST)

    found = with_app(work)
    if as_json:
        print_json({"opinions": found})
        return
    for one in found:
        echo(f"{one.opinion_id} {one.said_by}, {_minute(one.recorded_at)}, recorded by {visible(one.recorded_by)}")
        echo(f"  {visible(one.said)}")
        if one.answer is not None:
            echo(f"  answered: {visible(one.answer)}")
    if not found:
        say("Nobody has said anything of it.")


def opinion(
    version: Announced,
    said: Annotated[str, typer.Option(metavar="TEXT", help="What was said, without names: everybody reads it.")],
    said_by: Annotated[str, typer.Option("--from", help="buyer, merchant, organisation or other.")] = "other",
    reference: Annotated[str, typer.Option(help="The platform's own id of it, shown to nobody.")] = "",
    as_json: Json = False,
) -> None:
    """Record what somebody said of an announced text; it stays as it was recorded."""
    from jitui.aftersales.governance.announcing import Opinion, OpinionOf
    from jitui.errors import BadInput
    from jitui.identity.access import Permission
    from jitui.ids import new_id

    if said_by not in tuple(OpinionOf) or not said.strip():
        raise BadInput(f"--from is {', '.join(OpinionOf)}, and --said is not empty.", path="--from")

    async def work(service: Service, by: Acting) -> object:
        found = await _announced(service, version)
        group, now = OpinionOf(said_by), service.clock()
        row = Opinion(new_id(0), found.announcement_id, group, said, by.name, now, reference=reference or None)
        return await service.policies.record_opinion(row)

    tell(as_person(Permission.COMPLAINTS_ANSWER, work), as_json=as_json)


def answer(
    version: Announced,
    opinion: Annotated[str, typer.Argument(metavar="OPINION", help="Its id, or the beginning of it.")],
    said: Annotated[str, typer.Option(metavar="TEXT", help="The answer; everybody reads it.")],
    as_json: Json = False,
) -> None:
    """Answer an opinion on an announced text, once."""
    from jitui.identity.access import Permission

    async def work(service: Service, by: Acting) -> object:
        found = await _announced(service, version)
        rows = await service.policies.opinions(found.announcement_id, limit=MOST)
        known = one_of([row.opinion_id for row in rows], opinion, "opinion")
        return await service.policies.answer_opinion(known, said, by=by.name, now=service.clock())

    tell(as_person(Permission.COMPLAINTS_ANSWER, work), as_json=as_json)


def _minute(moment: datetime) -> str:
    return moment.isoformat(timespec="minutes")


def _without_view(one: Announcement) -> dict[str, object]:
    return {name: getattr(one, name) for name in type(one).__slots__ if name != "public_view"}


async def _announced(service: Service, version: str) -> Announcement:
    """The newest announcement of a version. Exit code 1 when there is none."""
    rows = await service.policies.announcements(limit=MOST)
    found = next((one for one in rows if one.version == version), None)
    if found is None:
        say(f"The version {version} was never announced.")
        raise typer.Exit(FAILED)
    return found
