"""Incidents: values and calls. Written by scripts/client_api.py."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from uuid import UUID

from jitui.client.api.shared import Amount
from jitui.client.call import ListCall, Shown


class IncidentAnswer(Shown, frozen=True, kw_only=True):
    """Goods that left although they were refunded."""

    incident_id: UUID
    order_id: str
    ticket_id: UUID
    shop_id: str
    kind: str
    state: str
    amount: Amount
    evidence: Sequence[Mapping[str, object]]
    opened_at: datetime


class IncidentPage(Shown, frozen=True, kw_only=True):
    """A page of incidents, newest first; `next` is null on the last one."""

    incidents: tuple[IncidentAnswer, ...]
    next: str | None


def list_incidents(
    *, shop_id: str | None = None, cursor: str | None = None, limit: int | None = None
) -> ListCall[IncidentPage, IncidentAnswer]:
    """List incidents.

    Newest first. A shop key lists its own. Keys of scope: platform, shop. Permission: `incidents:read`.
    """
    return ListCall(
        operation="list_incidents",
        method="GET",
        path="/v1/incidents",
        answer=IncidentPage,
        statuses=(200,),
        query={"shop_id": shop_id, "cursor": cursor, "limit": limit},
        may_repeat=True,
        rows="incidents",
    )
