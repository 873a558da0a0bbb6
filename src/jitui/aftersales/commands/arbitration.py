"""Arbitration: after a rejection the buyer asks the platform, which decides, with fault and who bears it (R4).

The rejection has released the goods, so the shop may ship while an arbitration is open; an approval takes them again
under the same locks as a request, and is refused where they have left or are asked back by another ticket.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import timedelta

from jitui.aftersales import ledger
from jitui.aftersales.apply import apply_all
from jitui.aftersales.changes import (
    AddTimeline,
    Announce,
    Change,
    ChangeTicketLine,
    ClaimFreight,
    ClaimUnits,
    OutgoingEventKind,
    move_ticket,
)
from jitui.aftersales.commands.execute import Plan
from jitui.aftersales.commands.on_ticket import Acting, Done, on_ticket
from jitui.aftersales.commands.requested_lines import price
from jitui.aftersales.commands.review import plan_approval
from jitui.aftersales.model.order import LineUnits
from jitui.aftersales.model.refund import same_person
from jitui.aftersales.model.review import (
    ARBITRATION_WINDOW,
    MOST_EVIDENCE,
    Arbitration,
    ArbitrationState,
    AtFault,
    EvidenceItem,
    RefundBorneBy,
)
from jitui.aftersales.model.snapshot import OrderSnapshot, transition
from jitui.aftersales.model.ticket import ActorKind, ApprovedBy, Ticket, TicketState
from jitui.aftersales.outcomes import Refusal, RefusalCode
from jitui.aftersales.ports import Store, TicketRef


@dataclass(frozen=True, slots=True)
class ArbitrationDecision:
    """The outcome: who was at fault, who bears an approved refund (None: denied), and the reason, in words for both."""

    at_fault: AtFault
    borne_by: RefundBorneBy | None
    note: str

    @property
    def approves(self) -> bool:
        """Whether the buyer gets the money back."""
        return self.borne_by is not None


async def escalate(
    store: Store, ref: TicketRef, reason: str, evidence: tuple[EvidenceItem, ...], acting: Acting, *, answer_days: int
) -> Done:
    """Ask for arbitration as the buyer, within seven days after the rejection."""

    def plan(snapshot: OrderSnapshot, ticket: Ticket) -> Plan | Refusal:
        too_late = acting.now > (ticket.closed_at or acting.now) + ARBITRATION_WINDOW
        if too_late:
            return Refusal(
                RefusalCode.ARBITRATION_TOO_LATE,
                f"Arbitration can be asked for within {ARBITRATION_WINDOW.days} days after the rejection.",
            )
        opened = Arbitration(
            ArbitrationState.OPEN,
            reason,
            acting.by.id,
            acting.now,
            acting.now + timedelta(days=answer_days),
            tuple(replace(piece, by=ActorKind.BUYER.value) for piece in evidence),
        )
        body = {"answer_by": opened.answer_by.isoformat(), "reason": reason}
        return _moved(snapshot, ticket, opened, acting, OutgoingEventKind.ARBITRATION_OPENED, body)

    return await on_ticket(store, ref, acting, plan, _may_open)


async def withdraw_arbitration(store: Store, ref: TicketRef, acting: Acting) -> Done:
    """Take it back as the buyer; within the seven days it can be asked for again."""

    def plan(snapshot: OrderSnapshot, ticket: Ticket) -> Plan | Refusal:
        withdrawn = replace(_arbitration(ticket), state=ArbitrationState.WITHDRAWN)
        return _moved(snapshot, ticket, withdrawn, acting, OutgoingEventKind.ARBITRATION_WITHDRAWN, {})

    return await on_ticket(store, ref, acting, plan, _is_open)


async def add_evidence(store: Store, ref: TicketRef, evidence: tuple[EvidenceItem, ...], acting: Acting) -> Done:
    """Add evidence to an open arbitration, as either party or for the platform."""
    party = acting.by.kind.value

    def plan(snapshot: OrderSnapshot, ticket: Ticket) -> Plan | Refusal:
        known = _arbitration(ticket)
        if sum(piece.by == party for piece in known.evidence) + len(evidence) > MOST_EVIDENCE:
            return Refusal(
                RefusalCode.EVIDENCE_MISSING, f"At most {MOST_EVIDENCE} pieces of evidence from each party.", "evidence"
            )
        more = replace(known, evidence=(*known.evidence, *(replace(piece, by=party) for piece in evidence)))
        return _moved(snapshot, ticket, more, acting, OutgoingEventKind.ARBITRATION_EVIDENCE_ADDED, {"by": party})

    return await on_ticket(store, ref, acting, plan, _is_open)


async def decide_arbitration(store: Store, ref: TicketRef, decision: ArbitrationDecision, acting: Acting) -> Done:
    """Decide as the platform. An approval takes the units again and queues the refunds in the same transaction."""

    def plan(snapshot: OrderSnapshot, ticket: Ticket) -> Plan | Refusal:
        return plan_decision(snapshot, ticket, decision, acting)

    return await on_ticket(store, ref, acting, plan, _is_open)


def plan_decision(
    snapshot: OrderSnapshot, ticket: Ticket, decision: ArbitrationDecision, acting: Acting
) -> Plan | Refusal:
    """Deny: the ticket is closed. Approve: it is refunded; what the platform bears it owes the shop."""
    if _rejected_by(snapshot, ticket, acting):
        return Refusal(
            RefusalCode.SECOND_PERSON_NEEDED, "Whoever rejected the request does not arbitrate: another person decides."
        )
    decided = replace(
        _arbitration(ticket),
        state=ArbitrationState.APPROVED if decision.approves else ArbitrationState.DENIED,
        at_fault=decision.at_fault,
        borne_by=decision.borne_by,
        note=decision.note,
        decided_by=acting.by.id,
        decided_at=acting.now,
    )
    body = {
        "at_fault": decision.at_fault.value,
        "borne_by": decision.borne_by.value if decision.borne_by is not None else None,
        "reason": decision.note,
    }
    if not decision.approves:
        closed = replace(ticket, state=TicketState.CLOSED, closed_at=acting.now)
        return _moved(snapshot, closed, decided, acting, OutgoingEventKind.ARBITRATION_DECIDED, body, ticket.state)
    return _plan_approval(snapshot, ticket, decided, decision, acting, body)


def _plan_approval(
    snapshot: OrderSnapshot,
    ticket: Ticket,
    decided: Arbitration,
    decision: ArbitrationDecision,
    acting: Acting,
    body: Mapping[str, object],
) -> Plan | Refusal:
    taken = _taken_again(snapshot, ticket)
    if isinstance(taken, Refusal):
        return taken
    changes, priced = taken
    priced = replace(priced, arbitration=decided, closed_at=None)
    approved = plan_approval(
        apply_all(snapshot, changes), priced, ApprovedBy.ARBITRATION, acting.by, acting.now, detail=body
    )
    if isinstance(approved, Refusal):
        return approved
    refunded = apply_all(snapshot, (*changes, *approved.changes)).ticket(ticket.ticket_id)
    borne = decision.borne_by is RefundBorneBy.PLATFORM and refunded.amount_minor
    told = {"state": refunded.state.value, "version": refunded.version, **body}
    return Plan(
        (
            *changes,
            *approved.changes,
            *((ledger.compensated(refunded, acting.now),) if borne else ()),
            Announce(OutgoingEventKind.ARBITRATION_DECIDED, acting.now, ticket.shop_id, told, ticket.ticket_id),
        ),
        ticket.ticket_id,
    )


def _taken_again(snapshot: OrderSnapshot, ticket: Ticket) -> tuple[tuple[Change, ...], Ticket] | Refusal:
    """The claims of the ticket's units, and the ticket with what they are worth now; refused where one is not free."""
    rows = snapshot.lines_of(ticket.ticket_id)
    for row in rows:
        line = snapshot.line(row.line_id)
        if row.quantity <= line.free_quantity:
            continue
        if line.left_quantity:
            return Refusal(
                RefusalCode.ORDER_ALREADY_SHIPPED,
                "These goods have left since; deny it, and use the process for shipped orders.",
            )
        return Refusal(
            RefusalCode.REFUND_IN_PROGRESS,
            "The buyer has asked for these goods again: that ticket decides, so deny this one.",
        )
    priced = price(snapshot, tuple(LineUnits(row.line_id, row.quantity) for row in rows))
    if isinstance(priced, Refusal):
        return priced
    changes: list[Change] = []
    for row in rows:
        amount_minor = priced.amounts[row.line_id]
        changes.append(ClaimUnits(row.line_id, row.quantity, amount_minor))
        if amount_minor != row.amount_minor:
            changes.append(ChangeTicketLine(ticket.ticket_id, row.line_id, amount_minor - row.amount_minor))
    if priced.freight_minor:
        changes.append(ClaimFreight(priced.freight_minor))
    again = replace(ticket, amount_minor=priced.amount_minor, freight_minor=priced.freight_minor)
    return tuple(changes), again


# Small pieces ----------------------------------------------------------------------------------------------------


def _may_open(ticket: Ticket, _: Acting) -> Refusal | None:
    state = ticket.arbitration.state if ticket.arbitration is not None else None
    if state is ArbitrationState.OPEN:
        return Refusal(RefusalCode.ARBITRATION_OPEN, "The platform looks at this ticket already.")
    if state in (ArbitrationState.APPROVED, ArbitrationState.DENIED):
        return _decided()
    if ticket.state is not TicketState.REJECTED:
        return Refusal(
            RefusalCode.TICKET_NOT_REJECTED,
            f"Arbitration follows a rejection; the ticket is {ticket.state.value}.",
        )
    return None


def _is_open(ticket: Ticket, _: Acting) -> Refusal | None:
    arbitration = ticket.arbitration
    if arbitration is not None and arbitration.state is ArbitrationState.OPEN:
        return None
    if arbitration is not None and arbitration.state is not ArbitrationState.WITHDRAWN:
        return _decided()
    return Refusal(RefusalCode.ARBITRATION_NOT_OPEN, "No arbitration is open on this ticket.")


def _rejected_by(snapshot: OrderSnapshot, ticket: Ticket, acting: Acting) -> bool:
    """Whether the one who acts rejected the request, which an operator may do for a shop."""
    rejections = (event for event in snapshot.timeline_of(ticket.ticket_id) if event.why == "rejected")
    return any(event.actor_kind is acting.by.kind and same_person(event.actor_id, acting.by.id) for event in rejections)


def _decided() -> Refusal:
    return Refusal(RefusalCode.ARBITRATION_DECIDED, "The arbitration was decided; a decision is not changed.")


def _arbitration(ticket: Ticket) -> Arbitration:
    assert ticket.arbitration is not None
    return ticket.arbitration


def _moved(
    snapshot: OrderSnapshot,
    ticket: Ticket,
    arbitration: Arbitration,
    acting: Acting,
    kind: OutgoingEventKind,
    body: Mapping[str, object],
    from_state: TicketState | None = None,
) -> Plan:
    """The ticket with the arbitration as it is now: a new version, a timeline row and an event."""
    moved = replace(ticket, arbitration=arbitration, version=ticket.version + 1)
    before = ticket if from_state is None else replace(ticket, state=from_state)
    why = kind.value.replace(".", "_")
    event = transition(snapshot, before, moved.state, by=acting.by, why=why, now=acting.now, detail=body)
    told = {"state": moved.state.value, "version": moved.version, **body}
    return Plan(
        (
            move_ticket(moved),
            AddTimeline((event,)),
            Announce(kind, acting.now, ticket.shop_id, told, ticket.ticket_id),
        ),
        ticket.ticket_id,
    )
