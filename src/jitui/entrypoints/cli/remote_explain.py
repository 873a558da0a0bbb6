"""A ticket of a service elsewhere with its decision, as `jitui explain` shows it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal
from uuid import UUID

from jitui.aftersales.model.view import TicketView
from jitui.client import Client, api
from jitui.entrypoints.cli.explained import ERASED, Explained
from jitui.entrypoints.cli.remote import found_or_none, our_code, our_value
from jitui.errors import BadInput
from jitui.policy import Explanation, ExplanationRow
from jitui.policy.decide import Outcome, Verdict


def explained(client: Client, ticket_id: UUID, language: Literal["zh", "en"]) -> Explained:
    """The ticket and its decision, as far as the key may read them. Raises BadInput where there is none."""
    ticket = found_or_none(client, api.get_ticket(ticket_id))
    if ticket is None:
        raise BadInput(f"There is no ticket {ticket_id} at this service.", path="ticket")
    decision = client.send(api.get_decision(ticket_id))
    rows = tuple(
        ExplanationRow(row.id, our_code(Verdict, row.verdict), row.sentence[language], _facts(row.facts))
        for row in decision.conditions
    )
    all_hold = all(row.verdict is Verdict.TRUE for row in rows)
    return Explained(
        view=our_value(TicketView, ticket),
        decided_at=decision.decided_at,
        policy={"id": decision.policy.policy_id, "version": decision.policy.version, "sha256": decision.policy.sha256},
        explanation=Explanation(Outcome.INSTANT if all_hold else Outcome.REVIEW, rows),
        unknown=decision.unknown,
        erased=ERASED if decision.erased else "",
    )


def _facts(facts: Any) -> dict[str, Any]:
    """The facts with an order's lines as a tuple, as they are when they come from the database."""
    return {
        name: tuple(value) if isinstance(value, Sequence) and not isinstance(value, str) else value
        for name, value in facts.items()
    }
