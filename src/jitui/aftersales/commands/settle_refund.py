"""What an operator does about a refund that nobody pays: send it again, or settle it with evidence.

Settling says that the money went back outside the provider. Above a limit that takes two persons: the first proposes,
another one confirms or rejects.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime

from jitui.aftersales import ledger
from jitui.aftersales.apply import apply_all
from jitui.aftersales.changes import AddTimeline, Change, HoldTender, ProposeSettlement, SettleRefund
from jitui.aftersales.commands.execute import Executed, IdempotentReply, Plan, execute
from jitui.aftersales.commands.failed_refund import is_taken_back, may_still_be_paid, with_failure_tasks
from jitui.aftersales.commands.refund_updates import move_refund
from jitui.aftersales.commands.ticket_state import with_ticket_following
from jitui.aftersales.model.refund import Refund, RefundState, Settlement, SettlementProposal, same_person
from jitui.aftersales.model.snapshot import OrderSnapshot, transition
from jitui.aftersales.model.ticket import Actor
from jitui.aftersales.outcomes import Refusal, RefusalCode, StoredResponse
from jitui.aftersales.ports import RefundRef, Store
from jitui.errors import Overtaken


@dataclass(frozen=True, slots=True)
class ManualPaymentRules:
    """What may be paid by hand here.

    `providers`: those that are configured; what waits for another one is not going to be paid. `alone_up_to_minor`: by
    currency, in its minor units, the most that one person settles; everything in other currencies takes two.
    """

    providers: frozenset[str]
    alone_up_to_minor: Mapping[str, int]

    def takes_two(self, refund: Refund) -> bool:
        """Whether a second person must confirm."""
        limit_minor = self.alone_up_to_minor.get(refund.currency)
        return limit_minor is None or refund.amount_minor > limit_minor


@dataclass(frozen=True, slots=True)
class ManualPayout:
    """The evidence of a payment outside the provider; the amount must be the refund's."""

    reference: str
    note: str
    amount_minor: int
    currency: str


@dataclass(frozen=True, slots=True)
class RefundSeen:
    """What somebody saw of a refund before they acted on it; `proposed` is the reference of a payment by hand."""

    state: RefundState
    attempt_no: int
    proposed: str | None = None


def seen_of(refund: Refund) -> RefundSeen:
    """What is to be seen of a refund now."""
    return RefundSeen(refund.state, refund.attempt_no, refund.proposal.reference if refund.proposal else None)


Outcome = Executed | Refusal | StoredResponse
_Planner = Callable[[OrderSnapshot, Refund], Plan | Refusal]


async def _execute(
    store: Store,
    ref: RefundRef,
    planner: _Planner,
    now: datetime,
    reply: IdempotentReply | None,
    seen: RefundSeen | None,
) -> Outcome:
    """Run the plan; once more when a worker took the refund meanwhile, and then its new state is seen.

    With `seen`, it is refused where the refund is no longer what the caller saw.
    """

    def plan(snapshot: OrderSnapshot, _: object) -> Plan | Refusal:
        refund = next(refund for refund in snapshot.refunds if refund.refund_id == ref.refund_id)
        if seen is not None and seen != seen_of(refund):
            return _stale(refund)
        planned = planner(snapshot, refund)
        return planned if isinstance(planned, Refusal) else with_failure_tasks(snapshot, planned, now)

    try:
        return await execute(store, ref, plan, reply=reply)
    except Overtaken:
        return await execute(store, ref, plan, reply=reply)


# Sending again -----------------------------------------------------------------------------------------------------


async def retry(
    store: Store,
    ref: RefundRef,
    rules: ManualPaymentRules,
    *,
    by: Actor,
    now: datetime,
    reply: IdempotentReply | None = None,
    seen: RefundSeen | None = None,
) -> Outcome:
    """An operator sends a finally failed refund again, as a new attempt with a new key."""

    def plan(snapshot: OrderSnapshot, refund: Refund) -> Plan | Refusal:
        refused = why_not_retried(snapshot, refund, rules)
        if refused is not None:
            return refused
        queued = move_refund(refund, RefundState.QUEUED, due_at=now, reason="retried")
        return with_ticket_following(snapshot, (queued,), refund.ticket_id, by, "retried", now)

    return await _execute(store, ref, plan, now, reply, seen)


def why_not_retried(snapshot: OrderSnapshot, refund: Refund, rules: ManualPaymentRules) -> Refusal | None:
    """Only FAILED, and only where a new attempt cannot be a second payment."""
    if refund.state is not RefundState.FAILED:
        return Refusal(
            RefusalCode.REFUND_NOT_FAILED,
            f"The refund is {refund.state.value}; only a failed one is retried.",
        )
    if is_taken_back(snapshot, refund):
        return _nothing_owed()
    if may_still_be_paid(snapshot, refund):
        return Refusal(
            RefusalCode.REFUND_NOT_FAILED,
            f"{refund.provider} still holds this refund and may pay it: act there, a new attempt could pay twice.",
        )
    if refund.proposal is not None:
        return _proposed_already(refund.proposal)
    if _is_disputed(snapshot, refund):
        return Refusal(
            RefusalCode.DISPUTE_OPEN,
            "The buyer's bank is asked for the same money: wait until it has decided before you send it again.",
        )
    if refund.provider not in rules.providers:
        return Refusal(
            RefusalCode.PROVIDER_NOT_CONFIGURED,
            f"{refund.provider!r} is not configured here: nobody would send it. Configure it, or settle by hand.",
        )
    return None


def _is_disputed(snapshot: OrderSnapshot, refund: Refund) -> bool:
    """Whether the payment's open disputes are about more than it has left beside what is promised of it."""
    tender = next(tender for tender in snapshot.tenders if tender.tender_id == refund.tender_id)
    return snapshot.disputed_minor(tender) > tender.remaining_minor


# Settling ----------------------------------------------------------------------------------------------------------


async def settle(
    store: Store,
    ref: RefundRef,
    payout: ManualPayout,
    rules: ManualPaymentRules,
    *,
    by: Actor,
    now: datetime,
    reply: IdempotentReply | None = None,
    seen: RefundSeen | None = None,
) -> Outcome:
    """An operator has paid a refund by hand: it is settled with evidence and never sent again.

    Above the limit it is proposed, and waits for another person.
    """

    def plan(snapshot: OrderSnapshot, refund: Refund) -> Plan | Refusal:
        refused = why_not_settled(snapshot, refund, rules) or _differs(refund, payout)
        if refused is not None:
            return refused
        if not rules.takes_two(refund):
            evidence = Settlement(payout.reference, payout.note, by.id, now, attempts=refund.attempt_no)
            return _settlement(snapshot, refund, evidence, by, now)
        if refund.proposal is not None:
            return _proposed_already(refund.proposal, by)
        proposal = SettlementProposal(payout.reference, payout.note, by.id, now)
        proposed = ProposeSettlement(refund.refund_id, proposal)
        return _noted(snapshot, refund, (proposed,), by, "settlement_proposed", now, {"reference": payout.reference})

    return await _execute(store, ref, plan, now, reply, seen)


async def confirm_settlement(
    store: Store,
    ref: RefundRef,
    reference: str,
    rules: ManualPaymentRules,
    *,
    by: Actor,
    now: datetime,
    reply: IdempotentReply | None = None,
    seen: RefundSeen | None = None,
) -> Outcome:
    """Another person confirms a proposed payment by hand, by the reference that was read: the refund is settled."""

    def plan(snapshot: OrderSnapshot, refund: Refund) -> Plan | Refusal:
        proposal = refund.proposal
        refused = why_not_settled(snapshot, refund, rules)
        if refused is not None:
            return refused
        if proposal is None:
            return _not_proposed()
        if same_person(proposal.by, by.id):
            return Refusal(
                RefusalCode.SECOND_PERSON_NEEDED,
                f"{proposal.by} proposed this payment by hand; another person confirms it.",
            )
        if proposal.reference != reference:
            return Refusal(
                RefusalCode.SETTLEMENT_DIFFERS,
                f"Proposed is the payment {proposal.reference!r}; read it again before you confirm it.",
                "reference",
            )
        evidence = Settlement(proposal.reference, proposal.note, proposal.by, now, by.id, refund.attempt_no)
        return _settlement(snapshot, refund, evidence, by, now)

    return await _execute(store, ref, plan, now, reply, seen)


async def reject_settlement(
    store: Store,
    ref: RefundRef,
    note: str,
    *,
    by: Actor,
    now: datetime,
    reply: IdempotentReply | None = None,
    seen: RefundSeen | None = None,
) -> Outcome:
    """A proposed payment by hand is taken back, by who proposed it or by another person; the refund stays as it is."""

    def plan(snapshot: OrderSnapshot, refund: Refund) -> Plan | Refusal:
        if refund.proposal is None:
            return _not_proposed()
        rejected = ProposeSettlement(refund.refund_id, None)
        detail = {"reference": refund.proposal.reference, "note": note}
        return _noted(snapshot, refund, (rejected,), by, "settlement_rejected", now, detail)

    return await _execute(store, ref, plan, now, reply, seen)


def why_not_settled(snapshot: OrderSnapshot, refund: Refund, rules: ManualPaymentRules) -> Refusal | None:
    """Only where the provider neither pays nor has paid: FAILED, or waiting for a provider that is not configured."""
    if is_taken_back(snapshot, refund):
        return _nothing_owed()
    if refund.state is RefundState.FAILED:
        return None
    stranded = refund.state is RefundState.QUEUED and refund.provider not in rules.providers
    if stranded and not may_still_be_paid(snapshot, refund):
        return None
    return Refusal(
        RefusalCode.REFUND_NOT_FAILED,
        f"The refund is {refund.state.value}; only a failed one is settled by hand, or one that waits for a provider "
        "that is not configured here.",
    )


def _nothing_owed() -> Refusal:
    return Refusal(RefusalCode.TICKET_ALREADY_CLOSED, "The ticket's approval was taken back: nothing is owed for it.")


def _stale(refund: Refund) -> Refusal:
    return Refusal(
        RefusalCode.REFUND_STALE,
        f"The refund has changed: it is {refund.state.value} after {refund.attempt_no} attempts. Read it again.",
    )


def _differs(refund: Refund, payout: ManualPayout) -> Refusal | None:
    if (payout.amount_minor, payout.currency) == (refund.amount_minor, refund.currency):
        return None
    return Refusal(
        RefusalCode.SETTLEMENT_DIFFERS,
        f"The refund is {refund.amount_minor} minor units of {refund.currency}; it is settled whole or not at all.",
        "amount",
    )


def _proposed_already(proposal: SettlementProposal, by: Actor | None = None) -> Refusal:
    """Money may have gone by hand already: nobody sends or proposes it a second time meanwhile."""
    own = by is not None and same_person(proposal.by, by.id)
    return Refusal(
        RefusalCode.SECOND_PERSON_NEEDED if own else RefusalCode.SETTLEMENT_PROPOSED,
        f"The payment by hand {proposal.reference!r}, proposed by {proposal.by}, waits for another person to confirm "
        "or reject it.",
    )


def _not_proposed() -> Refusal:
    return Refusal(RefusalCode.SETTLEMENT_NOT_PROPOSED, "No payment by hand of this refund waits for a second person.")


def _settlement(
    snapshot: OrderSnapshot, refund: Refund, evidence: Settlement, by: Actor, now: datetime
) -> Plan | Refusal:
    changes: tuple[Change, ...] = (
        SettleRefund(refund.refund_id, evidence),
        move_refund(refund, RefundState.SUCCEEDED, due_at=None, reason="settled by hand", closed_at=now),
        HoldTender(refund.tender_id, pending_minor=-refund.amount_minor, refunded_minor=refund.amount_minor),
        ledger.settled(refund, now),
    )
    detail = {"reference": evidence.reference, "refund_id": str(refund.refund_id), "amount_minor": refund.amount_minor}
    done = with_ticket_following(snapshot, changes, refund.ticket_id, by, "settled_by_hand", now, detail=detail)
    if done.changes == changes:  # another refund of the ticket is not paid yet: the ticket stays, its timeline tells
        return _noted(snapshot, refund, changes, by, "settled_by_hand", now, detail)
    return done


def _noted(
    snapshot: OrderSnapshot,
    refund: Refund,
    changes: tuple[Change, ...],
    by: Actor,
    why: str,
    now: datetime,
    detail: Mapping[str, object],
) -> Plan:
    """The changes with a line in the ticket's timeline; the ticket itself stays where it is."""
    after = apply_all(snapshot, changes)
    ticket = after.ticket(refund.ticket_id)
    about = {"refund_id": str(refund.refund_id), "amount_minor": refund.amount_minor, **detail}
    event = transition(after, ticket, ticket.state, by=by, why=why, now=now, detail=about)
    return Plan((*changes, AddTimeline((event,))), refund.ticket_id)
