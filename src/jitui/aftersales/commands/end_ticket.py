"""Ends a ticket because its request ended at a commerce platform, also after an approval that was never carried out.

An approval is taken back only where no attempt may still be paid: units and promised money are as they were before it.
Its refunds stay, finally failed, and are never sent again.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime

from jitui.aftersales import ledger
from jitui.aftersales.apply import apply_all
from jitui.aftersales.changes import Change, CloseTask, HoldTender, MoveRefund, OutgoingEventKind
from jitui.aftersales.commands.execute import Executed, Plan
from jitui.aftersales.commands.failed_refund import condition_of, may_still_be_paid
from jitui.aftersales.commands.on_ticket import Acting, on_ticket
from jitui.aftersales.commands.review import plan_closing
from jitui.aftersales.model.refund import Refund, RefundState
from jitui.aftersales.model.snapshot import OrderSnapshot
from jitui.aftersales.model.ticket import OPEN_STATES, Ticket, TicketState
from jitui.aftersales.outcomes import Refusal, RefusalCode, StoredResponse
from jitui.aftersales.ports import Store, TicketRef

TAKEN_BACK = "never carried out: the request ended at the shop's platform"

_KINDS = {
    TicketState.WITHDRAWN: OutgoingEventKind.TICKET_WITHDRAWN,
    TicketState.REJECTED: OutgoingEventKind.TICKET_REJECTED,
    TicketState.CLOSED: OutgoingEventKind.TICKET_REJECTED,
}


@dataclass(frozen=True, slots=True)
class Ending:
    """How a ticket ends, and why; `paid_there_minor`: what the platform paid for the request past this service."""

    state: TicketState
    why: str
    detail: Mapping[str, object]
    paid_there_minor: int = 0


async def end_ticket(
    store: Store, ref: TicketRef, ending: Ending, acting: Acting
) -> Executed | Refusal | StoredResponse:
    """End a ticket that is in review, or whose approval nobody will carry out."""

    def plan(snapshot: OrderSnapshot, ticket: Ticket) -> Plan | Refusal:
        return plan_end(snapshot, ticket, ending, acting)

    return await on_ticket(store, ref, acting, plan)


def plan_end(snapshot: OrderSnapshot, ticket: Ticket, ending: Ending, acting: Acting) -> Plan | Refusal:
    """Plan the end; refused where the ticket has ended, or its money may still move."""
    if ticket.state not in OPEN_STATES:
        return Refusal(RefusalCode.TICKET_ALREADY_CLOSED, f"The ticket is {ticket.state.value} already.")
    refunds = snapshot.refunds_of(ticket.ticket_id)
    if any(refund.state is not RefundState.FAILED or may_still_be_paid(snapshot, refund) for refund in refunds):
        return Refusal(RefusalCode.TICKET_ALREADY_APPROVED, "The approval is being carried out, and may be paid.")
    if any(refund.proposal is not None for refund in refunds):
        return Refusal(
            RefusalCode.SETTLEMENT_PROPOSED, "A payment by hand waits to be confirmed, and may have been made."
        )
    if refunds and ticket.funding_returns:  # orders of platforms have no funders here, and no command undoes a return
        return Refusal(RefusalCode.TICKET_ALREADY_APPROVED, "Funders had their shares back with this approval.")
    back = _taken_back(refunds, acting.now)
    before = replace(ticket, approved_by=None, approved_at=None, notice=None)
    closed = plan_closing(
        snapshot,
        before,
        ending.state,
        ending.why,
        acting.by,
        acting.now,
        _KINDS[ending.state],
        detail=dict(ending.detail),
    )
    changes = (*back, *closed.changes)
    paid = _paid_there(apply_all(snapshot, changes), ticket, ending.paid_there_minor, acting.now)
    return Plan((*changes, *paid), ticket.ticket_id)


def _taken_back(refunds: tuple[Refund, ...], now: datetime) -> tuple[Change, ...]:
    """INVARIANT I7: the postings of the approval are posted back, and nothing stays promised."""
    changes: list[Change] = []
    for refund in refunds:
        changes += (
            MoveRefund(refund.refund_id, RefundState.FAILED, None, TAKEN_BACK, now, refund.tries),
            HoldTender(refund.tender_id, pending_minor=-refund.amount_minor),
            ledger.taken_back(refund, now),
            CloseTask(condition_of(refund.refund_id), TAKEN_BACK, now),
        )
    return tuple(changes)


def _paid_there(after: OrderSnapshot, ticket: Ticket, amount_minor: int, now: datetime) -> tuple[Change, ...]:
    """What the platform paid lowers what is left, counted once: in the transaction that ends the ticket."""
    changes: list[Change] = []
    for tender in after.tenders:
        part_minor = min(amount_minor, tender.remaining_minor)
        if part_minor > 0:
            amount_minor -= part_minor
            changes.append(HoldTender(tender.tender_id, refunded_minor=part_minor))
            changes.append(ledger.refunded_for(tender, ticket.ticket_id, part_minor, now))
    return tuple(changes)
