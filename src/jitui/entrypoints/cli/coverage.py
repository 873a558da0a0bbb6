"""`jitui coverage`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from jitui.entrypoints.cli.completing import COVERAGE_SCOPES
from jitui.entrypoints.cli.output import Json, echo, print_json
from jitui.text import visible

if TYPE_CHECKING:
    from jitui.aftersales.governance.registry import Coverage, Scope
    from jitui.bootstrap import Service
    from jitui.client import Client
    from jitui.client.api import CoverageRow

    CoverageScope = Literal["platform", "shop", "category", "item"]

coverage = typer.Typer(
    help="Show and set what the service covers: shops, categories and single items.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
)


@coverage.command()
def show(
    shop: Annotated[str, typer.Argument(metavar="SHOP", help="The shop's id.", show_default=False)],
    as_json: Json = False,
) -> None:
    """Show what a shop sees: every row that applies to it. Without any row everything is covered."""
    from jitui.entrypoints.cli.running import on_service

    async def work(service: Service) -> Sequence[Coverage]:
        return await service.registry.coverage_of(shop)

    def remote(client: Client) -> Sequence[Coverage]:
        from jitui.client import api

        return [_coverage(row) for row in client.send(api.get_shop_coverage(shop)).rows]

    rows = on_service(work, remote)
    if as_json:
        print_json({"shop_id": shop, "coverage": rows})
        return
    for row in rows:
        _say(row)
    if not rows:
        echo(f"Shop {shop} is covered, with every item and category.")


@coverage.command("set")
def set_row(
    scope: Annotated[
        str,
        typer.Argument(
            metavar="SCOPE",
            help="platform, shop, category or item.",
            autocompletion=COVERAGE_SCOPES,
        ),
    ],
    ref: Annotated[str, typer.Argument(metavar="[REF]", help="Its id; nothing for the platform.")] = "",
    covered: Annotated[bool, typer.Option("--covered/--not-covered", help="Whether.")] = True,
    reason: Annotated[str, typer.Option(help="Why, as the merchant reads it.")] = "",
    by: Annotated[str, typer.Option(help="Who sets it, for the record.")] = "command line",
    as_json: Json = False,
) -> None:
    """Cover a place, or take it out.

    A shop is covered by its own row, else by the platform's; a line by its item's, else by its category's. An order is
    covered when its shop is and every line is.
    """
    from jitui.aftersales.governance.registry import Coverage, Scope
    from jitui.entrypoints.cli.running import on_service
    from jitui.entrypoints.cli.words import id_of, place_of
    from jitui.errors import BadInput

    place = place_of(scope, ref, tuple(word for word in Scope if word is not Scope.REGION))
    if ref:
        id_of(ref, "ref")
    if not covered and not reason.strip():
        raise BadInput("Taking a place out needs a --reason: the merchant reads it.", path="--reason")

    async def work(service: Service) -> Coverage:
        row = Coverage(*place, covered, reason, by, service.clock())
        await service.registry.set_coverage(row)
        return row

    row = on_service(work, lambda client: _set_remotely(client, place, covered, reason, by))
    if as_json:
        print_json(row)
    else:
        _say(row)


def _set_remotely(client: Client, place: tuple[Scope, str], covered: bool, reason: str, by: str) -> Coverage:
    from jitui.client import api
    from jitui.entrypoints.cli.remote import only_by_key

    only_by_key(by)
    scopes: dict[str, CoverageScope] = {"platform": "platform", "shop": "shop", "category": "category", "item": "item"}
    sent = api.CoverageSent(scope=scopes[place[0]], ref=place[1], covered=covered, reason=reason)
    return _coverage(client.send(api.put_coverage(sent)))


def _coverage(row: CoverageRow) -> Coverage:
    from jitui.aftersales.governance.registry import Coverage, Scope
    from jitui.entrypoints.cli.remote import our_code

    return Coverage(our_code(Scope, row.scope), row.ref, row.covered, row.reason, row.set_by, row.set_at)


def _say(row: Coverage) -> None:
    place = f"{row.scope} {row.ref}".strip()
    why = f": {visible(row.reason)}" if row.reason else ""
    echo(f"{place}: {'covered' if row.covered else 'not covered'}{why} (by {row.set_by})")
