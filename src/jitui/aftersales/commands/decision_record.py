"""What is stored of a decision with its ticket."""

from __future__ import annotations

from dataclasses import asdict
from datetime import datetime
from uuid import UUID

from jitui.aftersales.changes import RecordDecision
from jitui.aftersales.commands.shadow import ShadowResult
from jitui.policy import Decision, FactValue, decision_to_json


def record_decision(
    ticket_id: UUID,
    decision: Decision,
    facts: dict[str, FactValue],
    read_from: dict[str, object],
    now: datetime,
    *,
    shadow: ShadowResult | None = None,
) -> RecordDecision:
    """The decision as it is stored with its ticket."""
    return RecordDecision(
        ticket_id=ticket_id,
        policy_id=decision.policy_id,
        policy_version=decision.policy_version,
        policy_sha256=decision.policy_sha256,
        outcome=decision.outcome.value,
        decided_at=now,
        facts=facts,
        decision=decision_to_json(decision),
        read_from=read_from,
        shadow=None if shadow is None else {**asdict(shadow), "differs": list(shadow.differs)},
    )
