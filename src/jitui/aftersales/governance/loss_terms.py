"""Who bears the loss of an incident: what the policy says that approved the refund, not the one in force today."""

from __future__ import annotations

from jitui.aftersales.governance.policies import Policies
from jitui.aftersales.ports import IncidentRef, TicketRef
from jitui.aftersales.queries import Queries
from jitui.policy import Policy, PolicyRefused
from jitui.policy.sections import Loss


async def loss_terms(queries: Queries, policies: Policies, ref: IncidentRef) -> Loss:
    """The terms of the policy that decided the incident's ticket; where they cannot be read, no shop is charged."""
    found = await queries.incident(ref)
    if found is None:
        return Loss()
    decision = await queries.decision(TicketRef(ref.lane, found.incident.ticket_id))
    text = await policies.text(decision.policy_sha256) if decision is not None else None
    if text is None:
        return Loss()
    try:
        return Policy.from_text(text.document, f"{text.policy_id}.yaml").loss
    except PolicyRefused:  # a text of an earlier release that cannot be read any more
        return Loss()
