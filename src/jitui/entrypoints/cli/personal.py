"""Personal tokens: `jitui people token`, and who acts with the one that a command is given."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

import typer

from jitui.entrypoints.cli.output import Json, echo, print_json, say
from jitui.entrypoints.cli.running import with_app

if TYPE_CHECKING:
    from jitui.bootstrap import Service
    from jitui.identity.access import Permission


@dataclass(frozen=True, slots=True)
class Acting:
    """A person and the role that the person has now."""

    name: str
    role: str


async def acting(service: Service, permission: Permission, secret: str) -> Acting:
    """The person of a token who has a permission. Raises BadInput for anybody and anything else."""
    from jitui.errors import BadInput
    from jitui.identity.keys import KeyFault, authenticate, key_may

    key = await authenticate(service.keys, secret, service.clock())
    if isinstance(key, KeyFault):
        raise BadInput("The personal token opens nothing here: it is unknown, ended or revoked.", path="--api-key-file")
    if key.person is None or key.role is None:
        raise BadInput(
            "This is an API key, and only people do this: take a personal token (`jitui people token NAME`).",
            path="--api-key-file",
        )
    if not key_may(key, permission):
        raise BadInput(f"{key.person} is {key.role}, who may not do this ({permission}).", path="--api-key-file")
    return Acting(key.person, key.role.value)


def token(
    name: Annotated[str, typer.Argument(metavar="NAME", help="Whose token it is.", show_default=False)],
    days: Annotated[int, typer.Option(min=1, max=365, help="How long it works.")] = 30,
    label: Annotated[str, typer.Option(help="What it is for.")] = "",
    by: Annotated[str, typer.Option(help="Who does this, for the record.")] = "command line",
    as_json: Json = False,
) -> None:
    """Print a personal token, shown once: by it the person acts outside of the console, as the role allows then."""

    async def work(service: Service) -> str:
        from datetime import timedelta

        from jitui.errors import BadInput
        from jitui.identity.keys import issue_personal_token

        found = await service.people.find_account(name)
        if found is None or found[0].disabled_at is not None:
            raise BadInput(f"There is nobody named {name} who may sign in.", path="name")
        role, now = found[0].person.role, service.clock()
        lifetime = timedelta(days=days)
        made = await issue_personal_token(service.keys, name, role, label=label, now=now, lifetime=lifetime, by=by)
        return made.secret

    secret = with_app(work)
    if as_json:
        print_json({"name": name, "token": secret})
        return
    echo(secret)
    say("Keep it in a file that nobody else reads; --api-key-file names it. `jitui keys revoke` ends it.")
