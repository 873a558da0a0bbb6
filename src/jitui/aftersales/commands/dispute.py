"""Card disputes: the buyer's bank may take back a payment, even when it was refunded already.

While a dispute is open, nothing is refunded at once. A lost dispute reduces what its payment can refund by exactly the
dispute's amount. Where that money had been refunded before, the buyer has it twice: a task is opened, and the ledger
records it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime
from typing import Protocol

from jitui.aftersales import ledger
from jitui.aftersales.changes import Announce, Change, LedgerEntry, OpenTask, OutgoingEventKind, PutDispute
from jitui.aftersales.commands.execute import Executed, IdempotentReply, Plan, execute
from jitui.aftersales.ledger import Cause
from jitui.aftersales.model.order import Dispute, DisputeState, Tender
from jitui.aftersales.model.snapshot import OrderSnapshot
from jitui.aftersales.model.task import NewTask, TaskKind, Tasks
from jitui.aftersales.outcomes import Refusal, RefusalCode, StoredResponse
from jitui.aftersales.ports import DecisionInputs, OrderRef, Store
from jitui.aftersales.provider import ToldDispute


async def record_dispute(
    store: Store, ref: OrderRef, told: Dispute, *, now: datetime, reply: IdempotentReply | None = None
) -> Executed | Refusal | StoredResponse:
    """Record that a card dispute was opened, won or lost; repeating it changes nothing."""

    def plan(snapshot: OrderSnapshot, _: DecisionInputs) -> Plan | Refusal:
        return plan_dispute(snapshot, told, now)

    return await execute(store, ref, plan, reply=reply)


def plan_dispute(snapshot: OrderSnapshot, told: Dispute, now: datetime) -> Plan | Refusal:
    """Plan the changes for a report about a dispute.

    A closed dispute stays as it was closed; a late report that it is open does not reopen it.
    """
    tender = next((tender for tender in snapshot.tenders if tender.tender_id == told.tender_id), None)
    if tender is None:
        return Refusal(RefusalCode.UNKNOWN_TENDER, f"The order has no tender {told.tender_id!r}.", "tender_id")
    if told.currency != tender.currency:
        return Refusal(
            RefusalCode.CURRENCY_MISMATCH,
            f"The payment is in {tender.currency}, the dispute in {told.currency}.",
            "amount.currency",
        )
    known = next((dispute for dispute in snapshot.disputes if dispute.dispute_id == told.dispute_id), None)
    differs = _why_not(tender, known, told)
    if differs:
        return Refusal(RefusalCode.DISPUTE_DIFFERS, differs)
    closed_before = known is not None and known.state is not DisputeState.OPEN
    if closed_before or (known is not None and _same(known, told)):
        return Plan()
    lost_minor = min(told.amount_minor, tender.remaining_minor) if told.state is DisputeState.LOST else 0
    dispute = replace(
        told,
        provider=tender.provider,
        opened_at=known.opened_at if known is not None else told.opened_at,
        lost_minor=lost_minor,
    )
    return Plan((PutDispute(dispute), *_effects(snapshot, dispute, now)))


def _why_not(tender: Tender, known: Dispute | None, told: Dispute) -> str:
    """Why this report contradicts the known dispute or its payment; empty when it does not."""
    if told.amount_minor > tender.captured_minor:
        return f"The payment is {tender.captured_minor}; a dispute of it cannot be about {told.amount_minor}."
    if known is None or known.state is DisputeState.OPEN or told.state is DisputeState.OPEN:
        same = known is None or known.tender_id == told.tender_id
        return "" if same else f"Dispute {told.dispute_id!r} is one of another payment."
    if known.tender_id == told.tender_id and _same(known, told):
        return ""
    return (
        f"Dispute {told.dispute_id!r} was {known.state.value} with {known.amount_minor} on tender {known.tender_id!r}; "
        "a closed dispute stays as it was closed."
    )


def _same(known: Dispute, told: Dispute) -> bool:
    return (known.state, known.amount_minor) == (told.state, told.amount_minor)


def _effects(snapshot: OrderSnapshot, dispute: Dispute, now: datetime) -> tuple[Change, ...]:
    body: dict[str, object] = {
        "dispute_id": dispute.dispute_id,
        "state": dispute.state.value,
        "amount_minor": dispute.amount_minor,
        "currency": dispute.currency,
    }
    changes: tuple[Change, ...] = (Announce(OutgoingEventKind.DISPUTE_RECORDED, now, snapshot.order.shop_id, body),)
    if dispute.state is not DisputeState.LOST:
        return changes
    twice_minor = dispute.amount_minor - dispute.lost_minor
    entries: list[LedgerEntry] = []
    if dispute.lost_minor:
        entries.append(ledger.charged_back(Cause.CHARGED_BACK, dispute, dispute.lost_minor, now))
    if twice_minor:
        entries.append(ledger.charged_back(Cause.CHARGED_BACK_TOO, dispute, twice_minor, now))
    return (*changes, *entries, *((_overlap(snapshot, dispute, twice_minor, now),) if twice_minor else ()))


def _overlap(snapshot: OrderSnapshot, dispute: Dispute, twice_minor: int, now: datetime) -> OpenTask:
    """The task for money that the bank gave back although it was refunded or approved for a refund."""
    task = NewTask(
        name=f"dispute_overlaps:{snapshot.order.order_id}:{dispute.dispute_id}",
        kind=TaskKind.DISPUTE_OVERLAPS,
        provider=dispute.provider,
        order_id=snapshot.order.order_id,
        amount_minor=twice_minor,
        currency=dispute.currency,
        evidence={
            "dispute_id": dispute.dispute_id,
            "tender_id": dispute.tender_id,
            "dispute_minor": dispute.amount_minor,
            "not_sent_yet": [str(refund.refund_id) for refund in snapshot.refunds if refund.closed_at is None],
        },
        opened_at=now,
    )
    return OpenTask(task.task_id, task)


# Reports by a provider -------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class FoundTender:
    """A tender with the provider's payment; `known` is the state and amount of the dispute that is recorded, if any."""

    ref: OrderRef
    tender_id: str
    captured_minor: int
    remaining_minor: int
    known: tuple[DisputeState, int] | None = None

    @property
    def is_closed(self) -> bool:
        """Whether the dispute is recorded as won or lost."""
        return self.known is not None and self.known[0] is not DisputeState.OPEN


class ParkedDisputes(Protocol):
    """Stores reports about disputes whose payment is not known yet."""

    async def find_tenders(self, told: ToldDispute) -> list[FoundTender]:
        """The tenders of the disputed payment, always in the same sequence."""
        ...

    async def park(self, told: ToldDispute, now: datetime) -> None: ...

    async def parked(self, limit: int) -> list[ToldDispute]:
        """The reports whose payment is known by now, oldest first."""
        ...

    async def unpark(self, told: ToldDispute) -> None: ...


async def take_dispute(
    store: Store, parked_disputes: ParkedDisputes, tasks: Tasks, told: ToldDispute, *, now: datetime
) -> bool:
    """Record a provider's report about a dispute.

    Returns False when its payment is not known yet; it is parked (T40).
    """
    found = await parked_disputes.find_tenders(told)
    if not found:
        await parked_disputes.park(told, now)
        return False
    for tender, part in zip(found, _parts(told, found), strict=True):
        done = await record_dispute(store, tender.ref, part, now=now)
        if isinstance(done, Refusal):
            await tasks.open([_differs(told, tender, done, now)])
    return True


async def link_parked(
    store: Store, parked_disputes: ParkedDisputes, tasks: Tasks, *, now: datetime, limit: int = 100
) -> int:
    """Record the parked reports whose payment has become known; returns their number."""
    found = await parked_disputes.parked(limit)
    for told in found:
        if await take_dispute(store, parked_disputes, tasks, told, now=now):
            await parked_disputes.unpark(told)
    return len(found)


def _parts(told: ToldDispute, found: list[FoundTender]) -> list[Dispute]:
    """The dispute for each order that shares the payment. An open one holds its whole amount on each of them."""
    if told.state is DisputeState.LOST:
        return _lost_parts(told, found)
    return [_of(told, one, told.state, min(told.amount_minor, one.captured_minor)) for one in found]


def _lost_parts(told: ToldDispute, found: list[FoundTender]) -> list[Dispute]:
    """The parts of a lost dispute: first from what the orders can still refund, one after another, then from the rest.

    Parts that were recorded before stay, so that repeating the report, even after only some parts were recorded, gives
    the same split.
    """
    lost = [one.known[1] if one.known and one.known[0] is DisputeState.LOST else 0 for one in found]
    left_minor = told.amount_minor - sum(lost)
    for rooms in ([one.remaining_minor for one in found], [one.captured_minor for one in found]):
        for place, room in enumerate(rooms):
            if not found[place].is_closed:
                more_minor = max(0, min(left_minor, room - lost[place]))
                lost[place] += more_minor
                left_minor -= more_minor
    # The dispute exceeds the payment, or differs from an earlier report: this part is refused, and a task is opened.
    if left_minor:
        places = [place for place, one in enumerate(found) if one.is_closed is (left_minor < 0)]
        lost[places[-1] if places else -1] += left_minor
    return [_lost_part(told, one, minor) for one, minor in zip(found, lost, strict=True)]


def _lost_part(told: ToldDispute, tender: FoundTender, lost_minor: int) -> Dispute:
    if lost_minor:
        return _of(told, tender, DisputeState.LOST, lost_minor)
    held_minor = tender.known[1] if tender.known is not None else min(told.amount_minor, tender.captured_minor)
    return _of(told, tender, DisputeState.WON, held_minor)


def _of(told: ToldDispute, tender: FoundTender, state: DisputeState, amount_minor: int) -> Dispute:
    return Dispute(
        dispute_id=told.dispute_id,
        tender_id=tender.tender_id,
        provider=told.provider,
        state=state,
        amount_minor=amount_minor,
        currency=told.currency,
        opened_at=told.at,
        reason=told.reason,
        closed_at=None if state is DisputeState.OPEN else told.at,
    )


def _differs(told: ToldDispute, tender: FoundTender, refusal: Refusal, now: datetime) -> NewTask:
    return NewTask(
        name=f"dispute_differs:{told.provider}:{told.dispute_id}:{told.state}:{told.amount_minor}:{tender.ref.order_id}",
        kind=TaskKind.DISPUTE_DIFFERS,
        provider=told.provider,
        order_id=tender.ref.order_id,
        amount_minor=told.amount_minor,
        currency=told.currency,
        evidence={"dispute_id": told.dispute_id, "state": told.state.value, "why": refusal.message},
        opened_at=now,
    )
