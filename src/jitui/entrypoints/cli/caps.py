"""`jitui caps`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from jitui.entrypoints.cli.output import Json, echo, print_json
from jitui.text import visible

if TYPE_CHECKING:
    from collections.abc import Sequence

    from jitui.aftersales.governance.cap_usage import CapAlert, CapUse
    from jitui.bootstrap import Service
    from jitui.client import Client

    Found = tuple[Sequence[CapUse], Sequence[CapAlert]]


def caps(
    limit: Annotated[int, typer.Option(min=1, max=200, help="The most shops, categories and clusters to show.")] = 20,
    as_json: Json = False,
) -> None:
    """Show how much of the live policy's caps is used, and which alerts stand.

    A buyer's cap is counted when the buyer asks: `jitui explain` shows it.
    """
    from jitui.entrypoints.cli.running import on_service

    async def work(service: Service) -> Found:
        from jitui.aftersales.governance.cap_usage import cap_limits

        policy = await service.policy_in_force.current()
        limits = cap_limits(policy, service.clock())
        used = await service.cap_usages.used(limits, policy.currency, limit)
        return used, await service.cap_usages.alerts(standing=True, limit=limit)

    used, alerts = on_service(work, lambda client: _remotely(client, limit))
    if as_json:
        print_json({"used": used, "alerts": alerts})
        return
    for use in used:
        percent = "" if use.percent is None else f", {use.percent} % of the cap"
        place = f"{use.scope} {visible(use.ref)}".strip()
        echo(f"{place}: {use.approvals} approvals, {use.amount_minor} minor units{percent}")
    if not used:
        echo("No cap has been used.")
    for alert in alerts:
        place = f"{alert.scope} {visible(alert.ref)}".strip()
        since = alert.opened_at.isoformat(timespec="seconds")
        passed = f"{alert.percent} % of its {alert.measure}: {alert.used} of {alert.cap}"
        echo(f"Alert since {since}: {place} passed {passed}")


def _remotely(client: Client, limit: int) -> Found:
    from jitui.aftersales.governance.cap_usage import CapAlert, CapMeasure, CapScope, CapUse
    from jitui.client import api
    from jitui.entrypoints.cli.remote import our_code

    found = client.send(api.get_caps(limit=limit))
    used = [
        CapUse(our_code(CapScope, cap.scope), use.ref, use.approvals, use.amount_minor, use.percent_used)
        for cap in found.caps
        for use in cap.used
    ]
    alerts = [
        CapAlert(
            row.alert_id,
            our_code(CapScope, row.scope),
            row.ref,
            our_code(CapMeasure, row.measure),
            row.percent,
            row.used,
            row.cap,
            row.currency,
            row.over_seconds,
            row.opened_at,
            row.closed_at,
        )
        for row in found.alerts
    ]
    return used, alerts
