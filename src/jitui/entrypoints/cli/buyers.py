"""`jitui restrict` and `jitui select`: what the platform decides about one buyer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from jitui.entrypoints.cli.completing import LISTS
from jitui.entrypoints.cli.exits import FAILED
from jitui.entrypoints.cli.output import Json, echo, print_json, say
from jitui.entrypoints.cli.remote import as_error
from jitui.entrypoints.cli.words import id_of

if TYPE_CHECKING:
    from jitui.aftersales.governance.registry import Restriction, Selection
    from jitui.bootstrap import Service
    from jitui.client import Client

BuyerId = Annotated[str, typer.Argument(metavar="BUYER", help="The platform's id of the buyer.", show_default=False)]
By = Annotated[str, typer.Option(help="Who does this, for the record.")]


def restrict(
    buyer: BuyerId,
    reason: Annotated[str, typer.Option(help="Why; the buyer can read it and appeal.")] = "",
    days: Annotated[int, typer.Option(min=1, max=3650, help="For how long.")] = 90,
    lift: Annotated[bool, typer.Option("--lift", help="Lift every standing restriction instead.")] = False,
    listing: Annotated[bool, typer.Option("--list", help="Only show the buyer's restrictions.")] = False,
    by: By = "command line",
    as_json: Json = False,
) -> None:
    """Withdraw the service from a buyer: requests go to the ordinary review until it ends or is lifted."""
    from jitui.entrypoints.cli.remote import only_by_key
    from jitui.entrypoints.cli.running import on_service

    lifted = 0
    if not lift and not listing:
        id_of(buyer, "buyer")

    def remote(client: Client) -> Sequence[Restriction]:
        nonlocal lifted
        only_by_key(by)
        if lift:
            lifted = _lift_remotely(client, buyer)
        elif not listing:
            _restrict_remotely(client, buyer, reason, days)
        return _restrictions(client, buyer)

    async def work(service: Service) -> Sequence[Restriction]:
        nonlocal lifted
        if lift:
            lifted = await _lift(service, buyer, by)
        elif not listing:
            await _restrict(service, buyer, reason, days, by)
        return await service.registry.restrictions_of(buyer)

    rows = on_service(work, remote)
    if as_json:
        print_json({"buyer_id": buyer, "restrictions": rows})
    else:
        _show(buyer, rows)
    if lift and not lifted:
        say(f"Buyer {buyer} had no standing restriction.")
        raise typer.Exit(FAILED)


async def _restrict(service: Service, buyer: str, reason: str, days: int, by: str) -> None:
    from datetime import timedelta

    from jitui.aftersales.governance.registry import Restriction
    from jitui.ids import lane_of, new_id

    _check_reason(reason)
    now = service.clock()
    row = Restriction(new_id(lane_of(buyer)), buyer, reason, now, now + timedelta(days=days), by)
    await service.registry.restrict(row)


async def _lift(service: Service, buyer: str, by: str) -> int:
    now = service.clock()
    standing = [row for row in await service.registry.restrictions_of(buyer) if row.lifted_at is None]
    return sum([await service.registry.lift_restriction(row.restriction_id, now, by=by) for row in standing])


def _check_reason(reason: str) -> None:
    from jitui.errors import BadInput

    if not reason.strip():
        raise BadInput("A restriction needs a --reason: the buyer can read it.", path="--reason")


def _restrict_remotely(client: Client, buyer: str, reason: str, days: int) -> None:
    from datetime import UTC, datetime, timedelta

    from jitui.client import api

    _check_reason(reason)
    ends_at = datetime.now(UTC) + timedelta(days=days)
    client.send(api.restrict_buyer(api.RestrictionSent(buyer_id=buyer, reason=reason, ends_at=ends_at)))


def _lift_remotely(client: Client, buyer: str) -> int:
    """Lift each that stands; one that somebody else lifted meanwhile does not count."""
    from jitui.client import Problem, api

    standing = [row for row in _restrictions(client, buyer) if row.lifted_at is None]
    outcomes = [client.outcome(api.lift_restriction(row.restriction_id)) for row in standing]
    for outcome in outcomes:
        if isinstance(outcome, Problem) and outcome.kind != "not-found":
            raise as_error(outcome)
    return sum(not isinstance(outcome, Problem) for outcome in outcomes)


def _restrictions(client: Client, buyer: str) -> Sequence[Restriction]:
    from jitui.aftersales.governance.registry import Restriction
    from jitui.client import api

    rows = client.send(api.list_restrictions(buyer_id=buyer)).restrictions
    return [
        Restriction(row.restriction_id, row.buyer_id, row.reason, row.starts_at, row.ends_at, row.set_by, row.lifted_at)
        for row in rows
    ]


def _show(buyer: str, rows: Sequence[Restriction]) -> None:
    for row in rows:
        ends = f"until {row.ends_at.isoformat(timespec='seconds')}" if row.ends_at else "without an end"
        lifted = f", lifted {row.lifted_at.isoformat(timespec='seconds')}" if row.lifted_at else ""
        since = row.starts_at.isoformat(timespec="seconds")
        echo(f"{buyer}: restricted from {since} {ends}{lifted}, by {row.set_by}: {row.reason}")
    if not rows:
        echo(f"{buyer} was never restricted.")


def select(
    buyer: BuyerId,
    verdict: Annotated[
        str,
        typer.Argument(
            metavar="allow|deny",
            help="Which list.",
            show_default=False,
            autocompletion=LISTS,
        ),
    ],
    reason: Annotated[str, typer.Option(help="Why, for the record.")] = "",
    by: By = "command line",
    as_json: Json = False,
) -> None:
    """Put a buyer on the platform's allow or deny list; it goes before the hold-out."""
    from dataclasses import replace

    from jitui.aftersales.governance.registry import Selection, new_selection
    from jitui.entrypoints.cli.remote import only_by_key
    from jitui.entrypoints.cli.running import on_service
    from jitui.errors import BadInput

    if verdict not in ("allow", "deny"):
        raise BadInput(f"A buyer is put on the list 'allow' or 'deny', not {verdict!r}.", path="verdict")

    id_of(buyer, "buyer")

    async def work(service: Service) -> Selection:
        row = new_selection(buyer, verdict, reason, by, service.clock())
        return replace(row, selection_id=await service.registry.select(row))

    def remote(client: Client) -> Selection:
        from jitui.client import api

        only_by_key(by)
        sent = api.SelectionSent(verdict="allow" if verdict == "allow" else "deny", reason=reason)
        row = client.send(api.select_buyer(buyer, sent))
        return Selection(row.buyer_id, row.verdict, row.reason, row.set_by, row.set_at, row.selection_id)

    row = on_service(work, remote)
    if as_json:
        print_json(row)
    else:
        echo(f"{buyer} is on the {verdict} list.")
