"""One refund as an operator looks at it: what became of it, and what can be done now. API, console and command line."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum

from jitui.aftersales.commands.settle_refund import ManualPaymentRules, why_not_retried, why_not_settled
from jitui.aftersales.model.refund import Attempt, Refund
from jitui.aftersales.model.snapshot import OrderSnapshot
from jitui.aftersales.model.ticket import TicketEvent, TicketState
from jitui.aftersales.operations.platform_connections import CallSeen, LostCalls, read_call
from jitui.aftersales.ports import RefundRef, Store


class RefundAction(StrEnum):
    """What an operator can do about a refund."""

    RETRY = "retry"
    SETTLE = "settle"
    CONFIRM = "confirm"
    REJECT = "reject"


_NO_CALL = CallSeen()


@dataclass(frozen=True, slots=True)
class RefundDetails:
    """A refund with its attempts, whose it is, its ticket's timeline, and what can be done about it now.

    `call`: how it was asked for at a commerce platform.
    """

    refund: Refund
    attempts: tuple[Attempt, ...]
    buyer_id: str
    shop_id: str
    ticket_state: TicketState
    timeline: tuple[TicketEvent, ...]
    actions: tuple[RefundAction, ...]
    call: CallSeen = _NO_CALL


async def read_refund_and_call(
    store: Store, ref: RefundRef, rules: ManualPaymentRules, calls: LostCalls, now: datetime
) -> RefundDetails | None:
    """The refund as it is now, with how it was asked for at a commerce platform; None where there is none."""
    found = await read_refund(store, ref, rules)
    return None if found is None else replace(found, call=await read_call(calls, found.refund, found.attempts, now))


async def read_refund(store: Store, ref: RefundRef, rules: ManualPaymentRules) -> RefundDetails | None:
    """The refund as it is now; None where there is none."""
    snapshot = await store.read_order(ref)
    if snapshot is None:
        return None
    refund = next(one for one in snapshot.refunds if one.refund_id == ref.refund_id)
    attempts = tuple(attempt for attempt in snapshot.attempts if attempt.refund_id == refund.refund_id)
    return RefundDetails(
        refund=refund,
        attempts=attempts,
        buyer_id=snapshot.order.buyer_id,
        shop_id=snapshot.order.shop_id,
        ticket_state=snapshot.ticket(refund.ticket_id).state,
        timeline=snapshot.timeline_of(refund.ticket_id),
        actions=possible_actions(snapshot, refund, rules),
    )


def possible_actions(snapshot: OrderSnapshot, refund: Refund, rules: ManualPaymentRules) -> tuple[RefundAction, ...]:
    """What would not be refused now; who may do it is another question."""
    can_settle = why_not_settled(snapshot, refund, rules) is None
    if refund.proposal is not None:
        return (*((RefundAction.CONFIRM,) if can_settle else ()), RefundAction.REJECT)
    can_retry = why_not_retried(snapshot, refund, rules) is None
    return (*((RefundAction.RETRY,) if can_retry else ()), *((RefundAction.SETTLE,) if can_settle else ()))
