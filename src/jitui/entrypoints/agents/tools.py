"""What an agent can do: ask whether a refund would be given, ask for it, and see what became of it. Never an amount.

An answer is a plain sentence, with the same in fields beside it. A problem is a sentence that says what to do.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, TypeVar
from uuid import UUID

import msgspec
from msgspec import Meta, Struct

from jitui.aftersales.model.ticket import Reason
from jitui.client import AsyncClient, Call, NoAnswer, Problem, WrongAnswer, api
from jitui.entrypoints.agents.words import away_in_words, eligible_in_words, problem_in_words, ticket_in_words

_Value = TypeVar("_Value")
_Trouble = Problem | NoAnswer | WrongAnswer
OrderId = Annotated[str, Meta(min_length=1, max_length=200, description="The order's number.")]
MOST_TICKETS = 20
_ASKED_ANEW = (api.TicketState.REJECTED, api.TicketState.WITHDRAWN, api.TicketState.CLOSED)
"""After one of these the same words are a new request."""


class CheckRefund(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which order."""

    order_id: OrderId


class RequestRefund(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which order, and why the buyer wants the money back."""

    order_id: OrderId
    reason: Annotated[Reason, Meta(description="Why. It does not change the decision.")]


class RefundStatus(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which ticket, or which order: one of the two."""

    ticket_id: Annotated[UUID | None, Meta(description="The ticket that request_refund named.")] = None
    order_id: OrderId | None = None


@dataclass(frozen=True, slots=True)
class Told:
    """The answer of a tool."""

    sentence: str
    values: Mapping[str, Any] = field(default_factory=dict)
    is_error: bool = False


async def check_refund(client: AsyncClient, sent: CheckRefund) -> Told:
    """What would be decided now."""
    found = await _of_buyer(client, sent.order_id, lambda asked: api.check_if_eligible(asked))
    if isinstance(found, Told):
        return found
    values = {
        "order_id": sent.order_id,
        "refunded_at_once": found.outcome == api.Outcome.INSTANT,
        "amount": msgspec.to_builtins(found.amount),
        "conditions": [
            {"id": one.id, "verdict": str(one.verdict), "sentence": one.sentence.get("en", "")}
            for one in found.conditions
        ],
    }
    return Told(eligible_in_words(found), values)


async def request_refund(client: AsyncClient, sent: RequestRefund) -> Told:
    """Ask for everything on the order that can be refunded; the same call again is the same request."""
    before = await _tickets_of(client, sent.order_id)
    if isinstance(before, Told):
        return before
    key = idempotency_key(sent, sum(row.state in _ASKED_ANEW for row in before))
    done = await _of_buyer(
        client,
        sent.order_id,
        lambda asked: api.ask_for_a_refund(
            msgspec.structs.replace(asked, reason=api.Reason(sent.reason.value)), idempotency_key=key
        ),
    )
    if isinstance(done, Told):
        return done
    return await _ticket_told(client, done.ticket.ticket_id)  # of a repeated call, what became of it since


async def refund_status(client: AsyncClient, sent: RefundStatus) -> Told:
    """How a ticket stands, or every ticket of an order."""
    if sent.ticket_id is not None and sent.order_id is None:
        return await _ticket_told(client, sent.ticket_id)
    if sent.order_id is None or sent.ticket_id is not None:
        return Told("Name either ticket_id or order_id.", {"problem": "invalid-request"}, is_error=True)
    rows = await _tickets_of(client, sent.order_id)
    if isinstance(rows, Told):
        return rows
    tickets = []
    for row in rows:
        found = await _answer(client, api.get_ticket(row.ticket_id), str(row.ticket_id))
        if isinstance(found, Told):
            return found
        tickets.append(found)
    if not tickets:
        return Told(f"No refund of order {sent.order_id} was asked for, or it is not yours to see.", {"tickets": []})
    return Told(" ".join(map(ticket_in_words, tickets)), {"tickets": [_fields(one) for one in tickets]})


def idempotency_key(sent: RequestRefund, ended_before: int) -> str:
    """The same for the same words, until a request of this order has ended without money."""
    text = "\n".join((sent.order_id, str(sent.reason), str(ended_before)))
    return f"agent-{hashlib.sha256(text.encode('utf-8', 'surrogatepass')).hexdigest()[:40]}"


# Calls -----------------------------------------------------------------------------------------------------------


async def _of_buyer(client: AsyncClient, order_id: str, call: Any) -> Any:
    """The call for the key's own buyer; with a platform's key, for the buyer of the order."""
    outcome = await _outcome(client, call(api.RefundRequestSent(order_id=order_id)))
    if isinstance(outcome, Problem) and (outcome.status, outcome.path) == (400, "buyer_id"):
        order = await _answer(client, api.get_order(order_id), order_id)
        if isinstance(order, Told):
            return order
        outcome = await _outcome(client, call(api.RefundRequestSent(order_id=order_id, buyer_id=order.buyer_id)))
    return _read(outcome, order_id)


async def _tickets_of(client: AsyncClient, order_id: str) -> list[api.TicketRow] | Told:
    found = await _answer(client, api.list_tickets(order_id=order_id, limit=MOST_TICKETS), order_id)
    return found if isinstance(found, Told) else list(found.tickets)


async def _ticket_told(client: AsyncClient, ticket_id: UUID) -> Told:
    found = await _answer(client, api.get_ticket(ticket_id), str(ticket_id))
    return found if isinstance(found, Told) else Told(ticket_in_words(found), _fields(found))


async def _answer(client: AsyncClient, call: Call[_Value], about: str) -> _Value | Told:
    outcome: _Value | _Trouble = await _outcome(client, call)
    return _read(outcome, about)


async def _outcome(client: AsyncClient, call: Call[_Value]) -> _Value | _Trouble:
    try:
        done = await client.outcome(call)
    except (NoAnswer, WrongAnswer) as trouble:
        return trouble
    return done if isinstance(done, Problem) else done.value


def _read(outcome: _Value | _Trouble, about: str) -> _Value | Told:
    if isinstance(outcome, Problem):
        values = {"problem": outcome.kind, "status": outcome.status}
        if outcome.retry_after_seconds is not None:
            values["retry_after_seconds"] = outcome.retry_after_seconds
        return Told(problem_in_words(outcome, about), values, is_error=True)
    if isinstance(outcome, NoAnswer | WrongAnswer):
        return Told(away_in_words(outcome), {"problem": "no-answer"}, is_error=True)
    return outcome


def _fields(ticket: api.TicketView) -> dict[str, Any]:
    """What an agent needs of a ticket: no buyer, no payment."""
    return {
        "ticket_id": str(ticket.ticket_id),
        "order_id": ticket.order_id,
        "state": str(ticket.state),
        "approved_by": None if ticket.approved_by is None else str(ticket.approved_by),
        "amount": msgspec.to_builtins(ticket.amount),
        "requested_at": ticket.requested_at.isoformat(),
        "shop_answers_by": None if ticket.expires_at is None else ticket.expires_at.isoformat(),
    }
