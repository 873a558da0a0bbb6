"""Lists of incidents: what they are sorted and filtered by (decision 0047)."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from jitui.aftersales.model.incident import Incident, IncidentState
from jitui.aftersales.model.sorting import Place, SortOrder


class IncidentSort(StrEnum):
    """What a list of incidents is sorted by; equal ones by the incident's id, those in one state by their time first.

    `due_at` is the next reminder or deadline; an incident without one counts as one that is never due. Amounts of
    different currencies do not compare: they are sorted by the currency's code first.
    """

    OPENED_AT = "opened_at"
    DUE_AT = "due_at"
    AMOUNT = "amount"
    STATE = "state"


@dataclass(frozen=True, slots=True)
class IncidentFilter:
    """A page of incidents; `after` is the place of the previous page's last row in this order (`place_of_incident`)."""

    shop_id: str | None = None
    buyer_id: str | None = None
    order_id: str | None = None
    state: IncidentState | None = None
    sort: IncidentSort = IncidentSort.OPENED_AT
    order: SortOrder = SortOrder.DESC
    after: Place | None = None
    limit: int = 50


def place_of_incident(incident: Incident, sort: IncidentSort) -> Place:
    """Where an incident stands in a list with this order."""
    match sort:
        case IncidentSort.OPENED_AT:
            return incident.opened_at, incident.incident_id
        case IncidentSort.DUE_AT:
            return incident.due_at, incident.incident_id
        case IncidentSort.AMOUNT:
            return incident.currency, incident.amount_minor, incident.incident_id
        case IncidentSort.STATE:
            return incident.state, incident.opened_at, incident.incident_id
