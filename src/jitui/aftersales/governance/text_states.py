"""Where a policy text is in its life, by the publication log and the proposals. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum

from jitui.aftersales.governance.policies import PolicyText
from jitui.aftersales.governance.proposals import Proposal, ProposalKind, ProposalState
from jitui.aftersales.governance.publication import InForce


class TextState(StrEnum):
    """Where a text is in its life; replaced is only what was live once."""

    LIVE = "live"
    CANARY = "canary"
    SCHEDULED = "scheduled"
    SHADOW = "shadow"
    RETIRED = "retired"
    APPROVED = "approved"
    PROPOSED = "proposed"
    REPLACED = "replaced"
    DRAFT = "draft"


def state_of(
    text: PolicyText, found: InForce | None, were_live: frozenset[str], proposals: Sequence[Proposal]
) -> TextState:
    """The state of a text; `were_live` are the hashes of `once_live`, `proposals` those that are not closed."""
    if found is not None:
        if text.sha256 == found.live.sha256:
            return TextState.LIVE
        if found.canary is not None and text.sha256 == found.canary.sha256:
            return TextState.CANARY
        if text.sha256 in {row.sha256 for row in found.scheduled}:
            return TextState.SCHEDULED
        if found.shadow is not None and text.sha256 == found.shadow.sha256:
            return TextState.SHADOW
    if text.retired_at is not None:
        return TextState.RETIRED
    for one in proposals:
        if one.kind is ProposalKind.POLICY and one.policy.sha256 == text.sha256:
            return TextState.APPROVED if one.state is ProposalState.APPROVED else TextState.PROPOSED
    return TextState.REPLACED if text.sha256 in were_live else TextState.DRAFT
