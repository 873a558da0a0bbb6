"""An incident in lines for people."""

from __future__ import annotations

from typing import TYPE_CHECKING

from jitui.entrypoints.cli.output import echo
from jitui.text import visible

if TYPE_CHECKING:
    from jitui.aftersales.model.incident import Incident


def show_lines(incident: Incident) -> None:
    """What became of it, and what it waits for."""
    from jitui.entrypoints.cli.speaking import amount, moment

    def money(minor: int) -> str:
        return amount(minor, incident.currency)

    echo(f"{incident.incident_id}  {incident.kind.value}  {incident.state.value}")
    about = f"order {incident.order_id}, shop {incident.shop_id}; since {moment(incident.opened_at)}"
    echo(f"  {money(incident.amount_minor)}, {about}; version {incident.version}")
    if incident.outcome is None:
        return
    shares = {
        "came back": incident.returned_minor,
        "paid again": incident.repaid_minor,
        "borne by the platform": incident.platform_minor,
        "borne by the shop": incident.shop_minor,
    }
    told = ", ".join(f"{money(minor)} {name}" for name, minor in shares.items() if minor)
    echo(f"  {incident.outcome.value}: {told}")
    if incident.reason:
        echo(f"  {visible(incident.reason)}")
    if incident.shop_minor or incident.recovered_minor:
        owing = f"{money(incident.recovered_minor)} recovered, {money(incident.written_off_minor)} written off"
        echo(f"  {owing}, {money(incident.receivable_minor)} still owed, {money(incident.owed_back_minor)} owed back")
    if incident.contest_until is not None:
        echo(f"  the shop can contest it until {moment(incident.contest_until)}")
    if incident.is_contested and incident.contest is not None:
        echo(f"  contested: {visible(incident.contest.reason)}; answer due {moment(incident.contest.answer_by)}")
