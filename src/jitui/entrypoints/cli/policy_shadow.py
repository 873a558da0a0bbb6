"""`jitui policy shadow-report`: where a policy in shadow decides otherwise."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from jitui.entrypoints.cli.exits import FAILED
from jitui.entrypoints.cli.output import Json, echo, print_json, say

if TYPE_CHECKING:
    from collections.abc import Sequence
    from uuid import UUID

    from jitui.aftersales.governance.shadowing import ShadowNow
    from jitui.bootstrap import Service

Examples = Annotated[int, typer.Option("--examples", min=0, max=100, help="Example tickets for each difference.")]


def shadow_report(examples: Examples = 5, as_json: Json = False) -> None:
    """Compare what the policy in shadow decided with what the live one did: outcomes, conditions, example tickets.

    Exit code 1 when no policy is in shadow.
    """
    from jitui.entrypoints.cli.running import with_app

    async def work(service: Service) -> ShadowNow | None:
        from jitui.aftersales.governance.shadowing import shadow_now

        return await shadow_now(service.policies, service.queries, examples=examples)

    found = with_app(work)
    if as_json:
        print_json(_as_json(found))
    elif found is not None:
        _show(found)
    if found is None:
        say("No policy is in shadow.")
        raise typer.Exit(FAILED)


def _as_json(found: ShadowNow | None) -> dict[str, object]:
    if found is None:
        return {"shadow": None}
    report = found.report
    return {
        "shadow": {"policy": found.shadow.policy_id, "version": found.shadow.version, "sha256": found.shadow.sha256},
        "live": {"policy": found.live.policy_id, "version": found.live.version, "sha256": found.live.sha256},
        "since": found.shadow.takes_effect_at,
        "requests": report.requests,
        "differ": report.differ,
        "outcomes": report.cells,
        "conditions": report.conditions,
    }


def _show(found: ShadowNow) -> None:
    report = found.report
    since = found.shadow.takes_effect_at.isoformat(timespec="seconds")
    echo(f"Version {found.shadow.version} in shadow of version {found.live.version} since {since}:")
    echo(f"{report.requests} requests compared, {report.differ} with another outcome.")
    for cell in report.cells:
        echo(f"  live {cell.live:8} shadow {cell.shadow or 'failed':8} {cell.requests:>9}")
        if cell.live != cell.shadow:
            _examples(cell.examples)
    if report.conditions:
        echo("Conditions that differ:")
    for one in report.conditions:
        echo(f"  {one.condition:32} {one.requests:>9}")
        _examples(one.examples)


def _examples(tickets: Sequence[UUID]) -> None:
    for ticket_id in tickets:
        echo(f"      {ticket_id}")
