"""Claims a due refund: how a claim changes it, and what the worker may then do at the provider. Pure."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from jitui.aftersales.changes import ClaimRefund
from jitui.aftersales.model.refund import Attempt, AttemptState, Refund, RefundState
from jitui.aftersales.ports import ClaimedRefund


def plan_claim(refund: Refund, *, now: datetime, lease_until: datetime, new_attempt_id: UUID) -> ClaimRefund:
    """A queued refund gets a new attempt; a refund in any other state continues its attempt.

    The due time becomes the end of the lease, so that the refunds of a dead worker are claimed again.
    """
    if refund.state is not RefundState.QUEUED and refund.attempt_no:
        return ClaimRefund(refund.refund_id, lease_until)
    attempt = Attempt(new_attempt_id, refund.refund_id, refund.attempt_no + 1, AttemptState.SENDING, started_at=now)
    return ClaimRefund(refund.refund_id, lease_until, attempt)


def claimed(lane: int, refund: Refund, attempt: Attempt, *, is_new: bool) -> ClaimedRefund:
    """A claimed refund for the worker. An old attempt may have reached the provider, so it must be looked up first."""
    accepted = refund.state in (RefundState.PENDING, RefundState.SUCCEEDED)
    return ClaimedRefund(lane, refund, attempt, look_up_first=not is_new, may_send=not accepted)
