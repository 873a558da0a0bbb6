"""Runs a command on one ticket, after the checks that are the same for all of them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from jitui.aftersales.commands.execute import Executed, IdempotentReply, Plan, execute, not_found
from jitui.aftersales.model.snapshot import OrderSnapshot
from jitui.aftersales.model.ticket import APPROVED_STATES, Actor, ActorKind, Ticket, TicketState
from jitui.aftersales.outcomes import Refusal, RefusalCode, StoredResponse
from jitui.aftersales.ports import DecisionInputs, Store, TicketRef

Done = Executed | Refusal | StoredResponse


@dataclass(frozen=True, slots=True)
class Acting:
    """Who acts on a ticket, when, and on which version of it.

    `version` None skips the check that the caller has read the newest one. `shop_id` and `buyer_id`: the ticket must be
    theirs.
    """

    by: Actor
    now: datetime
    version: int | None = None
    shop_id: str | None = None
    buyer_id: str | None = None
    reply: IdempotentReply | None = None


Check = Callable[[Ticket, Acting], Refusal | None]
TicketPlan = Callable[[OrderSnapshot, Ticket], Plan | Refusal]


async def on_ticket(store: Store, ref: TicketRef, acting: Acting, plan: TicketPlan, *checks: Check) -> Done:
    """Run the plan if the ticket is the caller's, all checks pass, and its version is the one that the caller read."""

    def planned(snapshot: OrderSnapshot, _: DecisionInputs) -> Plan | Refusal:
        ticket = snapshot.ticket(ref.ticket_id)
        for check in (_is_own, *checks, _is_current):
            refused = check(ticket, acting)
            if refused is not None:
                return refused
        return plan(snapshot, ticket)

    return await execute(store, ref, planned, reply=acting.reply)


def in_review(ticket: Ticket, _: Acting) -> Refusal | None:
    """The check of a command that needs a ticket in review."""
    if ticket.state in APPROVED_STATES:
        return Refusal(
            RefusalCode.TICKET_ALREADY_APPROVED, f"The ticket was approved already, by {ticket.approved_by}."
        )
    if ticket.state is not TicketState.AWAITING_MERCHANT:
        return Refusal(RefusalCode.TICKET_ALREADY_CLOSED, f"The ticket is {ticket.state.value} already.")
    return None


def not_assigned(ticket: Ticket, acting: Acting) -> Refusal | None:
    """The check of a command that decides a ticket: nobody else works on it."""
    assignment = ticket.assignment
    if assignment is None or not assignment.is_by_another(acting.by.id, acting.now):
        return None
    of_platform = acting.by.kind is ActorKind.MERCHANT and assignment.kind != ActorKind.MERCHANT
    who = "The platform" if of_platform else assignment.person  # a shop does not learn the names of its staff
    until = assignment.until.isoformat(timespec="seconds")
    return Refusal(RefusalCode.TICKET_ASSIGNED, f"{who} works on this ticket until {until}; take it over first.")


def _is_own(ticket: Ticket, acting: Acting) -> Refusal | None:
    own = acting.shop_id in (None, ticket.shop_id) and acting.buyer_id in (None, ticket.buyer_id)
    return None if own else not_found()


def _is_current(ticket: Ticket, acting: Acting) -> Refusal | None:
    if acting.version in (None, ticket.version):
        return None
    return Refusal(
        RefusalCode.TICKET_STALE, f"The ticket is at version {ticket.version}; read it again before you decide."
    )
