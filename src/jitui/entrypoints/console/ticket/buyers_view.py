"""One ticket as its buyer sees it, with or without an account."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from jitui.aftersales.model.review import ARBITRATION_WINDOW, ArbitrationState
from jitui.aftersales.model.snapshot import OrderSnapshot
from jitui.aftersales.model.ticket import TicketState
from jitui.aftersales.model.view import TicketView, view_ticket, without_staff
from jitui.entrypoints.console.page.visit import Visit
from jitui.entrypoints.console.ticket.evidence import EvidenceForm
from jitui.entrypoints.console.ticket.progress import FINAL_STATES, steps_of
from jitui.entrypoints.console.ticket.why import explained, shop_name, version_of
from jitui.entrypoints.console.words.codes import REVIEW_REASONS


async def ticket_values(
    visit: Visit, snapshot: OrderSnapshot, ticket_id: UUID, *, base: str, arbitrates: bool = True
) -> dict[str, Any]:
    """What the ticket's template shows. `base`: where its forms are; `arbitrates`: whether those of arbitration are."""
    view = without_staff(view_ticket(snapshot, ticket_id), shop=False)
    return {
        "view": view,
        "here": f"{base}/{ticket_id}",
        "shop": await shop_name(visit, view.shop_id),
        "steps": steps_of(view),
        "explanation": await explained(visit, ticket_id, "buyer"),
        "review_reasons": REVIEW_REASONS,
        "rejection": view.review.rejection if view.review is not None else None,
        "offer": view.review.offer if view.review is not None and view.state is TicketState.AWAITING_MERCHANT else None,
        "arbitration": view.review.arbitration if arbitrates and view.review is not None else None,
        "may_ask": arbitrates and _may_ask(visit, view),
        "ask_until": view.closed_at + ARBITRATION_WINDOW if view.closed_at is not None else None,
        "titles": {line.line_id: line.title or line.sku for line in snapshot.lines},
        "asked": "",
        "added": EvidenceForm(),
        "seen": version_of(view),
        "final": view.state in FINAL_STATES,
        "now": visit.service.clock(),
        "on_timeout": snapshot.ticket(ticket_id).on_timeout,
    }


def _may_ask(visit: Visit, view: TicketView) -> bool:
    """Whether the form that asks the platform is shown; the command decides again."""
    if view.state is not TicketState.REJECTED or view.closed_at is None:
        return False
    arbitration = view.review.arbitration if view.review is not None else None
    is_asked = arbitration is not None and arbitration.state is not ArbitrationState.WITHDRAWN
    return not is_asked and visit.service.clock() <= view.closed_at + ARBITRATION_WINDOW
