"""Claiming a due refund: what a worker's claim does to it, and what the worker may then do at the provider. Pure."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from jitui.aftersales.changes import ClaimRefund
from jitui.aftersales.model.refund import Attempt, AttemptState, Refund, RefundState
from jitui.aftersales.ports import ClaimedRefund


def plan_claim(refund: Refund, *, now: datetime, lease_until: datetime, new_attempt_id: UUID) -> ClaimRefund:
    """A queued refund gets a new attempt; anything else is the same attempt again.

    The due time becomes the end of the lease, so that a dead worker's refunds come back by themselves.
    """
    if refund.state is not RefundState.QUEUED and refund.attempt_no:
        return ClaimRefund(refund.refund_id, lease_until)
    attempt = Attempt(new_attempt_id, refund.refund_id, refund.attempt_no + 1, AttemptState.SENDING, started_at=now)
    return ClaimRefund(refund.refund_id, lease_until, attempt)


def claimed(lane: int, refund: Refund, attempt: Attempt, *, is_new: bool) -> ClaimedRefund:
    """What a worker has in hand after its claim: an old attempt may have reached the provider, so it is looked up."""
    accepted = refund.state in (RefundState.PENDING, RefundState.SUCCEEDED)
    return ClaimedRefund(lane, refund, attempt, look_up_first=not is_new, may_send=not accepted)
