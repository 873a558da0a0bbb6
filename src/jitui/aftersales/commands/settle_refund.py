"""What an operator can do about a failed refund: send it again, or settle it with evidence."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from jitui.aftersales import ledger
from jitui.aftersales.changes import (
    AddTimeline,
    Change,
    HoldTender,
    SettleRefund,
)
from jitui.aftersales.commands.execute import Executed, IdempotentReply, Plan, execute
from jitui.aftersales.commands.refund_updates import move_refund
from jitui.aftersales.commands.ticket_state import with_ticket_following
from jitui.aftersales.model.refund import AttemptState, Refund, RefundState, Settlement
from jitui.aftersales.model.snapshot import OrderSnapshot, transition
from jitui.aftersales.model.ticket import Actor
from jitui.aftersales.outcomes import Refusal, RefusalCode, StoredResponse
from jitui.aftersales.ports import DecisionInputs, RefundRef, Store


async def retry(
    store: Store,
    ref: RefundRef,
    *,
    by: Actor,
    now: datetime,
    reply: IdempotentReply | None = None,
) -> Executed | Refusal | StoredResponse:
    """Send a failed refund again, as a new attempt with a new key."""

    def plan(snapshot: OrderSnapshot, _: DecisionInputs) -> Plan | Refusal:
        refund = next(refund for refund in snapshot.refunds if refund.refund_id == ref.refund_id)
        if refund.state is not RefundState.FAILED:
            return Refusal(
                RefusalCode.REFUND_NOT_FAILED,
                f"The refund is {refund.state.value}; only a failed one is retried.",
            )
        if _may_still_be_paid(snapshot, refund):
            return Refusal(
                RefusalCode.REFUND_NOT_FAILED,
                f"{refund.provider} still holds this refund and may pay it: act there, a new attempt could pay twice.",
            )
        if _is_disputed(snapshot, refund):
            return Refusal(
                RefusalCode.DISPUTE_OPEN,
                "The buyer's bank is asked for the same money: wait until it has decided before you send it again.",
            )
        queued = move_refund(refund, RefundState.QUEUED, due_at=now, reason="retried")
        return with_ticket_following(snapshot, (queued,), refund.ticket_id, by, "retried", now)

    return await execute(store, ref, plan, reply=reply)


def _is_disputed(snapshot: OrderSnapshot, refund: Refund) -> bool:
    """Whether the open disputes of the payment exceed what is left of it after all promised refunds."""
    tender = next(tender for tender in snapshot.tenders if tender.tender_id == refund.tender_id)
    return snapshot.disputed_minor(tender) > tender.remaining_minor


@dataclass(frozen=True, slots=True)
class ManualPayout:
    """The evidence of a payment outside the provider; the amount must be the refund's."""

    reference: str
    note: str
    amount_minor: int
    currency: str


async def settle(
    store: Store,
    ref: RefundRef,
    payout: ManualPayout,
    *,
    by: Actor,
    now: datetime,
    reply: IdempotentReply | None = None,
) -> Executed | Refusal | StoredResponse:
    """Record that an operator paid a failed refund by hand; it is never sent again."""

    def plan(snapshot: OrderSnapshot, _: DecisionInputs) -> Plan | Refusal:
        refund = next(refund for refund in snapshot.refunds if refund.refund_id == ref.refund_id)
        return plan_settlement(snapshot, refund, payout, by, now)

    return await execute(store, ref, plan, reply=reply)


def plan_settlement(
    snapshot: OrderSnapshot, refund: Refund, payout: ManualPayout, by: Actor, now: datetime
) -> Plan | Refusal:
    """Plan the settlement. Only a failed refund is settled: in any other state the provider may pay, or has paid."""
    if refund.state is not RefundState.FAILED:
        return Refusal(
            RefusalCode.REFUND_NOT_FAILED,
            f"The refund is {refund.state.value}; only a failed one is settled by hand.",
        )
    if (payout.amount_minor, payout.currency) != (refund.amount_minor, refund.currency):
        return Refusal(
            RefusalCode.SETTLEMENT_DIFFERS,
            f"The refund is {refund.amount_minor} minor units of {refund.currency}; it is settled whole or not at all.",
            "amount",
        )
    settlement = Settlement(payout.reference, payout.note, by.id, now)
    changes: tuple[Change, ...] = (
        SettleRefund(refund.refund_id, settlement),
        move_refund(refund, RefundState.SUCCEEDED, due_at=None, reason="settled by hand", closed_at=now),
        HoldTender(refund.tender_id, pending_minor=-refund.amount_minor, refunded_minor=refund.amount_minor),
        ledger.settled(refund, now),
    )
    evidence = {"reference": payout.reference, "refund_id": str(refund.refund_id), "amount_minor": refund.amount_minor}
    done = with_ticket_following(snapshot, changes, refund.ticket_id, by, "settled_by_hand", now, detail=evidence)
    # another refund of the ticket is unpaid, so the ticket stays; only its timeline records the settlement
    if done.changes == changes:
        ticket = snapshot.ticket(refund.ticket_id)
        event = transition(snapshot, ticket, ticket.state, by=by, why="settled_by_hand", now=now, detail=evidence)
        return Plan((*changes, AddTimeline((event,))), refund.ticket_id)
    return done


def _may_still_be_paid(snapshot: OrderSnapshot, refund: Refund) -> bool:
    """Whether any attempt is not declined; a refund has one such attempt at most (I2)."""
    return any(
        attempt.refund_id == refund.refund_id and attempt.state is not AttemptState.DECLINED
        for attempt in snapshot.attempts
    )
