"""Refunds that somebody made at a commerce platform, past this service: they lower what is left of money and units.

It is counted by difference: what the platform has refunded of a payment, less what is counted here. So the same report
again changes nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from jitui.aftersales import ledger
from jitui.aftersales.changes import Change, ClaimUnits, HoldTender, OpenTask
from jitui.aftersales.commands.allocation import net_paid, units_due_minor
from jitui.aftersales.commands.execute import Executed, Plan, execute
from jitui.aftersales.model.order import Tender
from jitui.aftersales.model.snapshot import OrderSnapshot
from jitui.aftersales.model.task import NewTask, TaskKind
from jitui.aftersales.outcomes import Refusal, StoredResponse
from jitui.aftersales.platform import approved_units, claimed_elsewhere, counted_elsewhere_minor
from jitui.aftersales.ports import DecisionInputs, OrderRef, Store


@dataclass(frozen=True, slots=True)
class RefundedElsewhere:
    """What a platform says in all: refunded by payment and not by us, and cancelled units by line."""

    payments_minor: Mapping[tuple[str, str], int]  # by provider and the provider's payment
    cancelled: Mapping[str, int]


async def record_refunded_elsewhere(
    store: Store, ref: OrderRef, told: RefundedElsewhere, *, now: datetime
) -> Executed | Refusal | StoredResponse:
    """Count what was refunded elsewhere; repeating it changes nothing."""

    def plan(snapshot: OrderSnapshot, _: DecisionInputs) -> Plan | Refusal:
        return plan_refunded_elsewhere(snapshot, told, now)

    return await execute(store, ref, plan)


def plan_refunded_elsewhere(snapshot: OrderSnapshot, told: RefundedElsewhere, now: datetime) -> Plan:
    """Plan the money that is gone, the units that were cancelled for it, and a task for money that is promised too."""
    changes: list[Change] = []
    for tender in snapshot.tenders:
        said_minor = told.payments_minor.get((tender.provider, tender.payment_id), 0)
        more_minor = said_minor - counted_elsewhere_minor(snapshot, tender.tender_id)
        # INVARIANT I1: what is promised to the buyer stays promised; the database refuses more than was captured.
        counted_minor = min(more_minor, tender.remaining_minor)
        if counted_minor > 0:
            changes.append(HoldTender(tender.tender_id, refunded_minor=counted_minor))
            changes.append(ledger.refunded_elsewhere(tender, said_minor, counted_minor, now))
        if more_minor > max(counted_minor, 0):
            changes.append(_overlap(snapshot, tender, said_minor, more_minor - max(counted_minor, 0), now))
    if any(isinstance(change, HoldTender) for change in changes):
        changes += _units(snapshot, told.cancelled)
    return Plan(tuple(changes))


def _units(snapshot: OrderSnapshot, cancelled: Mapping[str, int]) -> list[Change]:
    """The cancelled units that neither a ticket nor an earlier report has, so that nobody asks for them again."""
    approved, paid = approved_units(snapshot), net_paid(snapshot)
    found: list[Change] = []
    for line in snapshot.lines:
        known = approved.get(line.line_id, 0) + claimed_elsewhere(snapshot, line.line_id)
        units = min(cancelled.get(line.line_id, 0) - known, line.free_quantity)
        if units > 0:
            found.append(ClaimUnits(line.line_id, units, units_due_minor(line, paid.lines[line.line_id], units)))
    return found


def _overlap(snapshot: OrderSnapshot, tender: Tender, said_minor: int, over_minor: int, now: datetime) -> OpenTask:
    """The task for money that went back elsewhere although it is promised or was refunded here."""
    task = NewTask(
        name=f"refunded_elsewhere:{snapshot.order.order_id}:{tender.provider}:{tender.payment_id}:{said_minor}",
        kind=TaskKind.PAID_TWICE,
        provider=tender.provider,
        order_id=snapshot.order.order_id,
        amount_minor=over_minor,
        currency=tender.currency,
        evidence={"payment_id": tender.payment_id, "refunded_elsewhere_minor": said_minor},
        opened_at=now,
    )
    return OpenTask(task.task_id, task)
