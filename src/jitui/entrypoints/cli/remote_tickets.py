"""`jitui tickets` on a service elsewhere: the calls, and the answers as the core's values."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal
from uuid import UUID

from jitui.aftersales.commands.arbitration import ArbitrationDecision
from jitui.aftersales.commands.review import Rejection
from jitui.aftersales.model.ticket import ApprovedBy, Arm, Reason, Ticket, TicketState
from jitui.aftersales.model.view import TicketView
from jitui.aftersales.outcomes import RefusalCode
from jitui.aftersales.ports import TicketFilter
from jitui.aftersales.queries import ArbitrationFilter, OpenArbitration
from jitui.aftersales.ticket_list import ListedTickets
from jitui.client import Client, Problem, api
from jitui.entrypoints.cli.remote import LARGEST_PAGE, as_error, found_or_none, our_code, our_value, up_to
from jitui.errors import BadInput
from jitui.ids import lane_of_id

Row = dict[str, object]
MOST_AT_ONCE = 100
"""How many tickets one call decides."""


def tickets(client: Client, wanted: TicketFilter) -> ListedTickets:
    """The newest tickets, and how late the first page was."""
    call = api.list_tickets(
        shop_id=wanted.shop_id,
        buyer_id=wanted.buyer_id,
        order_id=wanted.order_id,
        state=None if wanted.state is None else api.TicketState(wanted.state.value),
        limit=min(wanted.limit, LARGEST_PAGE),
    )
    first = client.send(call)
    rows = first.tickets if wanted.limit <= LARGEST_PAGE else up_to(client, call, wanted.limit)
    return ListedTickets([_ticket(row) for row in rows], first.lag_ms)


def view(client: Client, ticket_id: UUID) -> TicketView:
    """One ticket. Raises BadInput where there is none."""
    found: TicketView = our_value(TicketView, _known(client, ticket_id))
    return found


def arbitrations(client: Client, wanted: ArbitrationFilter) -> Sequence[OpenArbitration]:
    """Open arbitrations, those first whose answer is due first."""
    call = api.list_arbitrations(shop_id=wanted.shop_id, limit=min(wanted.limit, LARGEST_PAGE))
    return [
        OpenArbitration(
            row.ticket_id,
            row.order_id,
            row.shop_id,
            row.version,
            row.amount.amount_minor,
            row.amount.currency,
            row.reason,
            row.opened_at,
            row.answer_by,
        )
        for row in up_to(client, call, wanted.limit)
    ]


def approve(client: Client, ids: Sequence[UUID]) -> list[Row]:
    """What became of each."""
    return _bulk(client, ids, "approve")


def assign(client: Client, ids: Sequence[UUID], *, take_over: bool) -> list[Row]:
    """What became of each."""
    return _bulk(client, ids, "assign", take_over=take_over)


def reject(client: Client, ids: Sequence[UUID], told: Rejection) -> list[Row]:
    """What became of each."""
    sent = api.RejectionSent(
        reason_code=api.RejectionCode(told.code.value),
        reason=told.reason,
        evidence=[api.EvidenceSent(text=piece.text, url=piece.url) for piece in told.evidence],
    )
    return _bulk(client, ids, "reject", rejection=sent)


def decide(client: Client, ticket_id: UUID, decision: ArbitrationDecision) -> Row:
    """Decide an arbitration, on the ticket as it is now."""
    sent = api.ArbitrationDecisionSent(
        verdict="approve" if decision.approves else "deny",
        at_fault=api.AtFault(decision.at_fault.value),
        borne_by=None if decision.borne_by is None else api.RefundBorneBy(decision.borne_by.value),
        reason=decision.note,
    )
    version = _known(client, ticket_id).version
    outcome = client.outcome(api.decide_an_arbitration(ticket_id, sent, version=version))
    if not isinstance(outcome, Problem):
        return _done(ticket_id, outcome.value.state)
    if outcome.kind not in set(RefusalCode):
        raise as_error(outcome)
    return {"ticket_id": str(ticket_id), "done": False, "code": outcome.kind, "detail": outcome.detail}


def _bulk(
    client: Client,
    ids: Sequence[UUID],
    action: Literal["approve", "assign", "reject"],
    *,
    rejection: api.RejectionSent | None = None,
    take_over: bool = False,
) -> list[Row]:
    """Each ticket as it is now; what changes between reading and deciding is refused, and named."""
    rows = list[Row]()
    for first in range(0, len(ids), MOST_AT_ONCE):
        some = ids[first : first + MOST_AT_ONCE]
        read = [api.TicketRead(ticket_id=one, version=_version(client, one)) for one in some]
        sent = api.BulkSent(action=action, tickets=read, take_over=take_over)
        if rejection is not None:
            sent = api.BulkSent(action=action, tickets=read, rejection=rejection)
        rows += [_row(row) for row in client.send(api.decide_tickets(sent)).tickets]
    return rows


def _row(row: api.BulkRow) -> Row:
    if row.state is not None:
        return _done(row.ticket_id, row.state)
    return {"ticket_id": str(row.ticket_id), "done": False, "code": row.code, "detail": row.detail}


def _done(ticket_id: UUID, state: api.TicketState) -> Row:
    return {"ticket_id": str(ticket_id), "done": True, "state": our_code(TicketState, state).value}


def _version(client: Client, ticket_id: UUID) -> int:
    """The version as it is read; of a ticket that does not exist any number, and the service says so."""
    found = found_or_none(client, api.get_ticket(ticket_id))
    return 1 if found is None else found.version


def _known(client: Client, ticket_id: UUID) -> api.TicketView:
    found = found_or_none(client, api.get_ticket(ticket_id))
    if found is None:
        raise BadInput(f"There is no ticket {ticket_id} at this service.", path="TICKET")
    return found


def _ticket(row: api.TicketRow) -> Ticket:
    """What the service shows of a ticket in a list; the rest is on the ticket itself."""
    return Ticket(
        lane=lane_of_id(row.ticket_id),
        ticket_id=row.ticket_id,
        order_id=row.order_id,
        buyer_id=row.buyer_id,
        shop_id=row.shop_id,
        state=our_code(TicketState, row.state),
        version=row.version,
        reason=our_code(Reason, row.reason),
        currency=row.amount.currency,
        amount_minor=row.amount.amount_minor,
        freight_minor=0,
        arm=Arm.NONE,
        requested_at=row.requested_at,
        notice=None if row.notice is None else dict(row.notice),
        approved_by=None if row.approved_by is None else our_code(ApprovedBy, row.approved_by),
        expires_at=row.expires_at,
        approved_at=row.approved_at,
        closed_at=row.closed_at,
    )
