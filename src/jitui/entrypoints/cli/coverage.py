"""`jitui coverage`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from jitui.entrypoints.cli.completing import COVERAGE_SCOPES
from jitui.entrypoints.cli.exits import FAILED
from jitui.entrypoints.cli.main import new_typer
from jitui.entrypoints.cli.output import Json, echo, print_json, say
from jitui.text import visible

if TYPE_CHECKING:
    from jitui.aftersales.governance.gates import CoverageEntry, GateRecord, PlacePlan
    from jitui.aftersales.governance.registry import Coverage, Scope
    from jitui.bootstrap import Service
    from jitui.client import Client
    from jitui.client.api import CoverageEntryView, CoverageRow, GateView

    CoverageScope = Literal["platform", "shop", "category", "item"]

coverage = new_typer("Show and set what the service covers: shops, categories and single items.")


@coverage.command()
def show(
    shop: Annotated[str, typer.Argument(metavar="SHOP", help="The shop's id.", show_default=False)],
    as_json: Json = False,
) -> None:
    """Show every row that applies to a shop, and how it stands with the gates of the policy.

    Without any row everything is covered. A row that a person set stands above the gates.
    """
    from jitui.entrypoints.cli.running import on_service

    async def work(service: Service) -> _Shop:
        rows, gates = await service.registry.coverage_of(shop), await service.gates.of_shop(shop)
        return rows, [_gate(record) for record in gates]

    def remote(client: Client) -> _Shop:
        from jitui.client import api

        found = client.send(api.get_shop_coverage(shop))
        return [_coverage(row) for row in found.rows], [_gate_from_afar(gate) for gate in found.gates]

    rows, gates = on_service(work, remote)
    if as_json:
        told = [
            {name: getattr(row, name) for name in ("scope", "ref", "covered", "reason", "set_by", "set_at")}
            for row in rows
        ]
        print_json({"shop_id": shop, "coverage": told, "gates": gates})
        return
    for row in rows:
        _say(row)
    if not rows:
        echo(f"Shop {shop} is covered, with every item and category.")
    for gate in gates:
        _say_gate(gate)


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
    propose: Annotated[
        bool, typer.Option("--propose", help="Where two people approve: propose it, with --reason.")
    ] = False,
    by: Annotated[str, typer.Option(help="Who sets it, for the record.")] = "command line",
    as_json: Json = False,
) -> None:
    """Cover a place, or take it out.

    A shop is covered by its own row, else by the platform's; a line by its item's, else by its category's. An order is
    covered when its shop is and every line is. Where two people approve, covering is refused: --propose proposes it, as
    the person of the token in --api-key-file, and another one runs `jitui policy approve`.
    """
    from jitui.aftersales.governance.registry import Coverage, Scope
    from jitui.entrypoints.cli.loosening import propose_cover
    from jitui.entrypoints.cli.running import on_service
    from jitui.entrypoints.cli.words import id_of, place_of
    from jitui.errors import BadInput

    place = place_of(scope, ref, tuple(word for word in Scope if word is not Scope.REGION))
    if ref:
        id_of(ref, "ref")
    if not covered and not reason.strip():
        raise BadInput("Taking a place out needs a --reason: the merchant reads it.", path="--reason")
    if propose and not covered:
        raise BadInput("Taking a place out is done at once: leave --propose out.", path="--propose")
    if propose:
        propose_cover(place, reason, unset=False, as_json=as_json)
        return
    row = on_service(
        lambda service: _set(service, Coverage(*place, covered, reason, by, service.clock())),
        lambda client: _set_remotely(client, place, covered, reason, by),
    )
    if as_json:
        print_json(row)
    else:
        _say(row)


async def _set(service: Service, row: Coverage) -> Coverage:
    """Raises BadInput where a second person approves that."""
    from jitui.aftersales.governance.loosening import set_coverage
    from jitui.entrypoints.cli.loosening import refuse_alone

    refused = await set_coverage(service.registry, service.policies, row)
    if refused is not None:
        refuse_alone(refused, "--covered", "--propose")
    return row


@coverage.command("unset")
def unset(
    scope: Annotated[
        str,
        typer.Argument(metavar="SCOPE", help="platform, shop, category or item.", autocompletion=COVERAGE_SCOPES),
    ],
    ref: Annotated[str, typer.Argument(metavar="[REF]", help="Its id; nothing for the platform.")] = "",
    reason: Annotated[str, typer.Option(help="With --propose: why.")] = "",
    propose: Annotated[
        bool, typer.Option("--propose", help="Where two people approve: propose it, with --reason.")
    ] = False,
    by: Annotated[str, typer.Option(help="Who does this, for the record.")] = "command line",
    as_json: Json = False,
) -> None:
    """Take back what a person set, so that the gates of the policy decide again.

    Where no person set anything, the exit code is 1. Where two people approve it is refused, and --propose proposes it.
    """
    from jitui.aftersales.governance.loosening import unset_coverage
    from jitui.aftersales.governance.publishing import NotAlone
    from jitui.aftersales.governance.registry import Scope
    from jitui.entrypoints.cli.loosening import propose_cover, refuse_alone
    from jitui.entrypoints.cli.running import on_service
    from jitui.entrypoints.cli.words import place_of

    place = place_of(scope, ref, tuple(word for word in Scope if word is not Scope.REGION))

    if propose:
        propose_cover(place, reason, unset=True, as_json=as_json)
        return

    async def work(service: Service) -> bool:
        done = await unset_coverage(service.registry, service.policies, place, by=by, now=service.clock())
        if isinstance(done, NotAlone):
            refuse_alone(done, "SCOPE", "--propose")
        return done is None

    named = f"{place[0]} {place[1]}".strip()
    if not on_service(work, lambda client: _unset_remotely(client, place, by)):
        say(f"No person set the coverage of {named}.")
        raise typer.Exit(FAILED)
    if as_json:
        print_json({"scope": place[0], "ref": place[1], "unset": True})
    else:
        echo(f"{named}: the gates of the policy decide again")


def _unset_remotely(client: Client, place: tuple[Scope, str], by: str) -> bool:
    from jitui.aftersales.governance.registry import Scope
    from jitui.client import Problem, api
    from jitui.entrypoints.cli.remote import as_error, only_by_key

    only_by_key(by)
    places: dict[Scope, Literal["shop", "category", "item"]]
    places = {Scope.SHOP: "shop", Scope.CATEGORY: "category", Scope.ITEM: "item"}
    scope, ref = place
    call = api.unset_platform_coverage() if scope is Scope.PLATFORM else api.unset_coverage(places[scope], ref)
    outcome = client.outcome(call)
    if isinstance(outcome, Problem) and outcome.kind != "not-found":
        raise as_error(outcome)
    return not isinstance(outcome, Problem)


@coverage.command("recompute")
def recompute(
    shops: Annotated[list[str] | None, typer.Argument(metavar="[SHOP…]", help="Shops; every place by default.")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would change, and write nothing.")] = False,
    by: Annotated[str, typer.Option(help="Who asks for it, for the record.")] = "command line",
    as_json: Json = False,
) -> None:
    """Compute the gates of the policy now, as the worker does once a day.

    A day counts once, so that computing again changes nothing of what was known that day.
    """
    from jitui.entrypoints.cli.running import on_service

    async def work(service: Service) -> tuple[int, list[_Row]]:
        from jitui.aftersales.governance.gates import Recomputing, recompute_places

        how = Recomputing(service.clock(), by, dry_run)
        plans: Sequence[PlacePlan] = await recompute_places(service.gates, await service.gate_rules(), shops or (), how)
        return len(plans), [_entry(entry) for plan in plans for entry in plan.entries]

    def remote(client: Client) -> tuple[int, list[_Row]]:
        from jitui.client import api
        from jitui.entrypoints.cli.remote import only_by_key
        from jitui.errors import BadInput

        only_by_key(by)
        if not shops:
            raise BadInput("Name the shops: over HTTP not all of them are computed at once.", path="SHOP")
        done = client.send(api.recompute_coverage(api.RecomputeSent(shop_ids=shops, dry_run=dry_run)))
        return done.computed, [_entry_from_afar(entry) for entry in done.history]

    computed, news = on_service(work, remote)
    if as_json:
        print_json({"computed": computed, "dry_run": dry_run, "history": news})
        return
    for entry in news:
        until = f", leaves on {entry['leaves_on']}" if entry["leaves_on"] else ""
        echo(f"{entry['scope']} {entry['ref']}: {entry['what']} by {entry['gate']}{until}")
    places = "1 place" if computed == 1 else f"{computed} places"
    echo(f"{places} computed, {len(news)} changed{'; nothing was written' if dry_run else ''}.")


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


_Row = dict[str, object]
_Shop = tuple[Sequence["Coverage"], list[_Row]]


def _gate(record: GateRecord) -> _Row:
    leaves_on = record.leaves_on.isoformat() if record.leaves_on else None
    return {
        "scope": record.scope.value,
        "ref": record.ref,
        "gate": record.gate_id,
        "status": record.status.value,
        "since": record.since.isoformat(),
        "leaves_on": leaves_on,
        "text": dict(record.texts),
        "figures": dict(record.facts),
    }


def _gate_from_afar(gate: GateView) -> _Row:
    return {
        "scope": str(gate.scope),
        "ref": gate.ref,
        "gate": gate.gate,
        "status": str(gate.status),
        "since": gate.since,
        "leaves_on": gate.leaves_on,
        "text": dict(gate.text),
        "figures": dict(gate.figures),
    }


def _entry(entry: CoverageEntry) -> _Row:
    leaves_on = entry.leaves_on.isoformat() if entry.leaves_on else None
    place = {"scope": entry.scope.value, "ref": entry.ref}
    return {**place, "what": entry.what, "gate": entry.gate_id, "leaves_on": leaves_on, "figures": dict(entry.facts)}


def _entry_from_afar(entry: CoverageEntryView) -> _Row:
    place = {"scope": str(entry.scope), "ref": entry.ref}
    told = {"what": str(entry.what), "gate": entry.gate, "leaves_on": entry.leaves_on}
    return {**place, **told, "figures": dict(entry.figures)}


def _say_gate(gate: _Row) -> None:
    words = {"in": "lets it stay", "notice": f"takes it out on {gate['leaves_on']}", "out": "takes it out"}
    figures, text = gate["figures"], gate["text"]
    assert isinstance(figures, dict) and isinstance(text, dict)
    told = ", ".join(f"{name} {'unknown' if value is None else value}" for name, value in figures.items())
    why = f": {visible(text.get('en', ''))}" if gate["status"] != "in" else ""
    place = f"{gate['scope']} {gate['ref']}"
    status = words.get(str(gate["status"]), str(gate["status"]))
    echo(f"{place}: gate {gate['gate']} {status} since {gate['since']}{why}{f' ({visible(told)})' if told else ''}")


def _say(row: Coverage) -> None:
    place = f"{row.scope} {row.ref}".strip()
    why = f": {visible(row.reason)}" if row.reason else ""
    echo(f"{place}: {'covered' if row.covered else 'not covered'}{why} (by {row.set_by})")
