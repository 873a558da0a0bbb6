"""`jitui encryption`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import typer

from jitui.entrypoints.cli.output import Json, echo, print_json

if TYPE_CHECKING:
    from jitui.bootstrap import Service

encryption = typer.Typer(
    help="Keys for secrets that are stored encrypted.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
)


@encryption.command("new-key")
def make_key(as_json: Json = False) -> None:
    """Make a key and show it. It belongs into the file of JITUI_ENCRYPTION_KEYS_FILE, and into a backup of its own.

    Without it what was encrypted with it cannot be read.
    """
    from jitui.encryption import new_key

    key = new_key()
    if as_json:
        print_json({"key": key})
    else:
        echo(key)


@encryption.command()
def renew(as_json: Json = False) -> None:
    """Encrypt every stored secret with the first of the keys that are set; the others are not needed after that."""
    from jitui.entrypoints.cli.running import with_app

    async def work(service: Service) -> int:
        from jitui.webhooks.endpoints import renew_secrets

        return await renew_secrets(service.webhooks.endpoints, service.encryption)

    renewed = with_app(work)
    if as_json:
        print_json({"webhook_secrets": renewed})
    else:
        echo(f"Secrets of webhook endpoints, now encrypted with the newest key: {renewed}.")
