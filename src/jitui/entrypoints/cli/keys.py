"""`jitui keys`."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Annotated

import typer

from jitui.entrypoints.cli.output import Json, echo, print_json, say

if TYPE_CHECKING:
    from jitui.aftersales.governance.registry import KeyScope
    from jitui.bootstrap import Service

keys = typer.Typer(help="Issue API keys.", no_args_is_help=True, add_completion=False, rich_markup_mode=None)


@keys.callback()
def _keys() -> None:
    """Issue API keys."""


@keys.command()
def issue(
    scope: Annotated[str, typer.Option(help="platform, shop or buyer: whose eyes the key sees with.")],
    subject: Annotated[str, typer.Option(help="The shop's or buyer's id; nothing for the platform.")] = "",
    label: Annotated[str, typer.Option(help="What the key is for.")] = "",
    days: Annotated[int | None, typer.Option(min=1, max=3650, help="How long it lives; without: no end.")] = None,
    as_json: Json = False,
) -> None:
    """Issue a key and show it, once: only its hash is kept."""
    from jitui.entrypoints.cli.running import with_app

    whose = _scope(scope, subject)

    async def work(service: Service) -> str:
        from jitui.aftersales.governance.registry import issue_key

        now = service.clock()
        ends = now + timedelta(days=days) if days is not None else None
        return await issue_key(service.registry, whose, subject, label=label, now=now, expires_at=ends)

    key = with_app(work)
    if as_json:
        print_json({"key": key, "scope": whose, "subject_id": subject})
    else:
        echo(key)
        say("Keep it now: it is not shown again.")


def _scope(scope: str, subject: str) -> KeyScope:
    from jitui.aftersales.governance.registry import KeyScope
    from jitui.entrypoints.cli.words import id_of, word_of
    from jitui.errors import BadInput

    whose = word_of(scope, tuple(KeyScope), "the scope")
    if (whose is KeyScope.PLATFORM) == bool(subject):
        needs = "has no --subject" if whose is KeyScope.PLATFORM else f"needs the {whose}'s id as --subject"
        raise BadInput(f"A key for the {whose} {needs}.", path="--subject")
    if subject:
        id_of(subject, "--subject")
    return whose
