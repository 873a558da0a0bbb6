"""What the tools say, in plain sentences that an agent can pass on or act by."""

from __future__ import annotations

from jitui.client import NoAnswer, Problem, WrongAnswer, api
from jitui.money import is_currency, to_decimal_text

_STATES = {
    api.TicketState.AWAITING_MERCHANT: "The shop decides",
    api.TicketState.REFUNDING: "It is approved, and the money is on its way",
    api.TicketState.REFUNDED: "The money is back",
    api.TicketState.REFUND_FAILED: "It is approved, but the payment is held up; the platform looks into it",
    api.TicketState.REJECTED: "The shop rejected it",
    api.TicketState.WITHDRAWN: "The buyer took it back",
    api.TicketState.CLOSED: "It was closed without a refund",
}
_PROBLEMS = {
    "unauthenticated": "The service does not take the API key. Whoever runs this server puts a valid one in its file.",
    "scope-not-allowed": "The API key may not do this. It has to be a buyer's or a platform's key.",
    "permission-missing": "The API key lacks a permission. It needs refund_requests:read and :write, tickets:read and "
    "orders:read.",
    "order-not-paid": "Nothing was paid on this order yet, so there is nothing to refund.",
    "order-already-shipped": "The goods have left. A refund before shipment is no longer possible: the buyer asks the "
    "shop for a return. Do not call this again.",
    "refund-in-progress": "A refund of these goods is being asked for already. Call refund_status with the order.",
    "nothing-to-refund": "Everything on this order was refunded or has left. Call refund_status with the order.",
    "line-request-limit": "A refund of these goods was asked for too often. The buyer asks the shop or support.",
    "idempotency-key-reused": "This request was sent before with something else in it. Call refund_status with the "
    "order.",
}
_LATER = ("rate-limited", "too-many-requests", "platform-unavailable", "unavailable", "request-in-flight")


def eligible_in_words(found: api.EligibilityAnswer) -> str:
    """What a request would come to now."""
    amount = amount_in_words(found.amount)
    if found.outcome == api.Outcome.INSTANT:
        return f"A refund of {amount} would be given at once, as things stand. Nothing was asked for yet."
    missed = [one.sentence.get("en", one.id) for one in found.conditions if one.verdict != api.Verdict.TRUE]
    why = f" Not met or not known: {'; '.join(missed)}." if missed else ""
    return f"A refund of {amount} would go to the shop, which decides.{why} Nothing was asked for yet."


def ticket_in_words(ticket: api.TicketView) -> str:
    """How a ticket stands."""
    state = _STATES.get(ticket.state, f"Its state is {ticket.state}")
    until = ""
    if ticket.state == api.TicketState.AWAITING_MERCHANT and ticket.expires_at is not None:
        until = f", until {ticket.expires_at.isoformat(timespec='minutes')}"
    amount = amount_in_words(ticket.amount)
    return f"Ticket {ticket.ticket_id}, order {ticket.order_id}, {amount}: {state}{until}."


def problem_in_words(problem: Problem, about: str) -> str:
    """What to do about it."""
    if problem.kind == "not-found":
        return (
            f"There is nothing named {about}, or it is not this key's to see. Check it with the buyer; an order that "
            "was placed a moment ago may be known in a minute."
        )
    if problem.kind in _LATER or problem.status in (429, 502, 503, 504):
        seconds = round(problem.retry_after_seconds or 30)
        said = (problem.detail or problem.title).rstrip(".")
        return f"{said}. Call this again in {seconds} seconds, with the same words: it stays one request."
    return _PROBLEMS.get(problem.kind) or f"The service refused it: {problem}"


def away_in_words(trouble: NoAnswer | WrongAnswer) -> str:
    """What to do when no answer came that can be read."""
    if isinstance(trouble, NoAnswer):
        return "The service does not answer. Call this again in 30 seconds, with the same words: it stays one request."
    return "What answered is not this service. Whoever runs this server checks its address."


def amount_in_words(amount: api.Amount) -> str:
    """`129.00 CNY`: no agent has to know how many decimals a currency has."""
    if not is_currency(amount.currency):
        return f"{amount.amount_minor} minor units of {amount.currency}"
    return f"{to_decimal_text(amount.amount_minor, amount.currency)} {amount.currency}"
