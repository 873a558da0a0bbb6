"""`jitui secrets`: the keys that encrypt what is stored: seeds of second factors, secrets of webhooks."""

from __future__ import annotations

from typing import TYPE_CHECKING

from jitui.entrypoints.cli.main import new_typer
from jitui.entrypoints.cli.output import Json, echo, print_json, say
from jitui.entrypoints.cli.running import with_app

if TYPE_CHECKING:
    from jitui.bootstrap import Service

secrets = new_typer("The keys that encrypt stored secrets.")


@secrets.callback()
def _secrets() -> None:
    """The keys that encrypt stored secrets."""


@secrets.command("new-key")
def new_key(as_json: Json = False) -> None:
    """Print a new key, a line for the file of JITUI_ENCRYPTION_KEY_FILE."""
    from jitui.encryption import new_key as make

    key = make()
    if as_json:
        print_json({"key": key})
        return
    echo(key)
    say("Put it first into the file of JITUI_ENCRYPTION_KEY_FILE, which only the user of Jitui may read.")


@secrets.command()
def rotate(as_json: Json = False) -> None:
    """Encrypt every stored secret with the first key of the file; the other keys can be taken out then."""

    async def work(service: Service) -> int:
        from jitui.encryption import NO_KEY
        from jitui.errors import NotConfigured
        from jitui.identity.second_factor import renew_seeds
        from jitui.webhooks.endpoints import renew_secrets

        if not service.encryption.is_configured:
            raise NotConfigured(NO_KEY)
        seeds = await renew_seeds(service.second_factors, service.encryption)
        return seeds + await renew_secrets(service.webhooks.endpoints, service.encryption)

    changed = with_app(work)
    if as_json:
        print_json({"changed": changed})
    else:
        echo(f"Encrypted anew: {changed}.")
