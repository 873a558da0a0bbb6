"""`jitui upgrade-database`: the embedded PostgreSQL's data to the major version that comes with Jitui."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from jitui.entrypoints.cli.output import Json, echo, print_json, say

if TYPE_CHECKING:
    from jitui.settings import Settings

BY = "upgrade-database"


def upgrade_database(
    old_bin: Annotated[
        Path,
        typer.Option(
            metavar="FOLDER",
            help="The programs of the PostgreSQL that made the data, such as /usr/lib/postgresql/15/bin.",
            show_default=False,
        ),
    ],
    as_json: Json = False,
) -> None:
    """Upgrade the embedded PostgreSQL's data to the major version that comes with Jitui, by pg_upgrade.

    Everything of Jitui has to be stopped. The old data stay beside the new ones, as data.15 for example, and need as
    much room again. Refunds are paid afterwards as before: where payouts were held, they are held.
    """
    from functools import partial

    from jitui.adapters.embedded_postgres import ServerOptions, upgrade_data
    from jitui.errors import BadInput
    from jitui.settings import read_settings

    settings = read_settings()
    if settings.database_url is not None:
        raise BadInput(
            "JITUI_DATABASE_URL names a server of yours: docs/how-to/upgrade.md says how its major version changes."
        )
    say(f"Upgrading {settings.embedded_folder}; large data take minutes.")
    done = upgrade_data(
        settings.embedded_folder,
        old_bin,
        ServerOptions(start_seconds=settings.embedded_start_seconds),
        look=partial(_pays, settings),
        finish=_accept,
    )
    if as_json:
        print_json({"upgraded": done is not None, "old": done and done.old, "new": done and done.new})
    elif done is None:
        echo("Nothing to do: the data are of the version that comes with Jitui.")
    else:
        echo(f"Upgraded from PostgreSQL {done.old} to {done.new}. The old data are in {done.kept};")
        echo("delete them when the new ones have served for a while. Next: `jitui migrate`.")


def _pays(settings: Settings, url: str) -> bool:
    """Whether refunds are paid from this database, also by what the home knows of it."""
    import asyncio

    from jitui.adapters.postgres.payout_hold import PostgresPayoutHold
    from jitui.adapters.postgres.pool import make_pool
    from jitui.bootstrap import MARKS, utc_now

    async def look() -> bool:
        async with make_pool(url, max_size=1) as pool:
            async with pool.connection() as connection:
                found = await connection.execute("SELECT to_regprocedure('payouts_allowed()') IS NOT NULL")
                if await found.fetchone() != (True,):
                    return False  # tables older than the hold: the migration that brings it accepts the database
            payouts = PostgresPayoutHold(pool, settings.home / MARKS)
            await payouts.mark(utc_now())
            return (await payouts.status()).allowed

    return asyncio.run(look())


def _accept(url: str, pays: bool) -> None:
    """The new data are another system to PostgreSQL, which would hold payouts; but nothing was lost."""
    import asyncio

    from jitui.adapters.postgres.payout_hold import PostgresPayoutHold
    from jitui.adapters.postgres.pool import make_pool
    from jitui.bootstrap import utc_now

    async def accept() -> None:
        async with make_pool(url, max_size=1) as pool:
            payouts = PostgresPayoutHold(pool, Path())
            await payouts.accept(note="the embedded PostgreSQL's major version", by=BY, now=utc_now())

    if pays:
        asyncio.run(accept())
