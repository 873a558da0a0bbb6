"""Shared by the ticket pages of buyers and merchants: the decision in sentences, names, and versions."""

from __future__ import annotations

from uuid import UUID

from jitui.aftersales.model.view import TicketView
from jitui.aftersales.ports import TicketRef
from jitui.entrypoints.console.page.visit import Visit
from jitui.ids import lane_of_id
from jitui.policy import Explanation, decision_from_json, explain
from jitui.policy.explain import Audience


async def explained(visit: Visit, ticket_id: UUID, audience: Audience) -> Explanation | None:
    """The stored decision, as far as the reader may see it (R16)."""
    stored = await visit.service.queries.decision(TicketRef(lane_of_id(ticket_id), ticket_id))
    if stored is None:
        return None
    return explain(decision_from_json(stored.decision), visit.speech.texts, audience)


async def shop_name(visit: Visit, shop_id: str) -> str:
    """The shop's name; its id when the platform gave no name."""
    shop = await visit.service.registry.get_shop(shop_id)
    return shop.name if shop is not None and shop.name else shop_id


def version_of(view: TicketView) -> str:
    """A version that changes whenever something on the ticket's page does."""
    paid = sum(refund.closed_at is not None for refund in view.refunds)
    return f"{view.version}.{len(view.timeline)}.{paid}"
