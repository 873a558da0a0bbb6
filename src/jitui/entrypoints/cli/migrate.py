"""`jitui migrate`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from jitui.entrypoints.cli.exits import FAILED
from jitui.entrypoints.cli.output import Json, echo, print_json

if TYPE_CHECKING:
    from jitui.bootstrap import Service


def migrate(
    current: Annotated[bool, typer.Option("--current", help="Only show the database's revision.")] = False,
    iso_amounts: Annotated[
        str,
        typer.Option(
            "--iso-amounts",
            metavar="CODES",
            help="Currencies whose stored amounts are in ISO 4217's minor units; an error asks for them.",
        ),
    ] = "",
    single_person: Annotated[
        bool,
        typer.Option(
            "--single-person",
            help="An installation for one person, who publishes alone: the first command on a new database.",
        ),
    ] = False,
    two_people: Annotated[
        bool,
        typer.Option(
            "--two-people", help="From now on a second person approves; there is no way back. Needs two who can."
        ),
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", help="With --two-people: do not ask.")] = False,
    as_json: Json = False,
) -> None:
    """Bring the database to this version, forward only, and publish a first policy when none ever was.

    That is JITUI_POLICY_FILE's, else the default one; later ones are published by `jitui policy publish`.

    Running it again changes nothing.
    """
    if two_people:
        _check_two_people(single_person=single_person, current=current, yes=yes)
    before, after, policy = _show() if current else _migrate(iso_amounts, single_person=single_person)
    needed = _newest()
    if two_people:
        _end_single_person()
    if as_json:
        print_json({"before": before, "revision": after, "needed": needed, "policy": policy})
        return
    moved = "" if before == after else f" (was {before or 'empty'})"
    echo(f"Database: revision {after or 'none'}{moved}; this version needs {needed}.")
    if not current:
        echo(f"Policy in force: {policy}.")


def _check_two_people(*, single_person: bool, current: bool, yes: bool) -> None:
    """Raises BadInput for words that contradict it; ends the command when the answer is no."""
    from jitui.errors import BadInput

    if single_person or current:
        raise BadInput("--two-people stands alone.", path="--two-people")
    if not yes and not typer.confirm("From now on nobody publishes alone; there is no way back. Go on?", err=True):
        raise typer.Exit(FAILED)


def _end_single_person() -> None:
    """Switch the mode off. Raises BadInput where two people who could approve each other are not there."""
    from jitui.entrypoints.cli.running import with_app
    from jitui.errors import BadInput
    from jitui.identity.people import missing_second_person

    async def work(service: Service) -> None:
        missing = missing_second_person(await service.people.accounts())
        if missing is not None:
            raise BadInput(missing, path="--two-people")
        await service.policies.end_single_person(by="command line", now=service.clock())

    with_app(work)


def _refuse_single_person(url: str) -> None:
    """Raises BadInput where the choice was made already: a database never goes back to one person."""
    from jitui.adapters.postgres.migrate import needs_two_people
    from jitui.errors import BadInput

    if needs_two_people(url):
        raise BadInput(
            "Nothing was changed: this installation is for two people, as its first command or --two-people made it,"
            " and stays so. Add a second person (docs/how-to/people.md). Or, where nothing in the database has to be"
            " kept, make a new one, and let `jitui migrate --single-person` be the first command on it.",
            path="--single-person",
        )


def _newest() -> str:
    from jitui.adapters.postgres.migrate import newest_revision

    return newest_revision()


def _show() -> tuple[str | None, str | None, str | None]:
    from jitui.adapters.postgres.migrate import current_revision
    from jitui.bootstrap import server
    from jitui.settings import read_settings

    with server(read_settings()) as url:
        revision = current_revision(url)
    return revision, revision, None


def _migrate(iso_amounts: str, *, single_person: bool) -> tuple[str | None, str | None, str | None]:
    from jitui.adapters.postgres.migrate import current_revision, upgrade
    from jitui.bootstrap import server
    from jitui.entrypoints.cli.running import with_app
    from jitui.settings import read_settings

    async def work(service: Service) -> str:
        from jitui.bootstrap import install_policy

        await install_policy(service)
        live = await service.policies.publication(None)
        assert live is not None, "the first policy has just been published"
        return f"{live.policy_id}, version {live.version}"

    settings = read_settings()
    with server(settings) as url:
        before = current_revision(url)
        if single_person:
            _refuse_single_person(url)
        said = [code.strip().upper() for code in iso_amounts.split(",") if code.strip()]
        upgrade(url, time_zone=settings.time_zone.key, iso_amounts=said, single_person=single_person)
        policy = with_app(work)
        return before, current_revision(url), policy
