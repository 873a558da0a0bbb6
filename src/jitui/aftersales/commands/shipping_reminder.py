"""Reminds of a shipping risk: one event on the feed for each stage of a risk, whoever and however many look."""

from __future__ import annotations

from datetime import datetime

from jitui.aftersales.changes import Announce, OutgoingEventKind, RecordReminder
from jitui.aftersales.commands.execute import Executed, Plan, execute
from jitui.aftersales.commands.stop_ship import answers_of
from jitui.aftersales.model.order import Shipment, ShipmentStatus
from jitui.aftersales.model.snapshot import OrderSnapshot
from jitui.aftersales.model.ticket import APPROVED_STATES
from jitui.aftersales.outcomes import Refusal
from jitui.aftersales.ports import DecisionInputs, OrderRef, Store
from jitui.aftersales.shipping_risks import WHAT_TO_DO, DueReminder, RiskKind, ShippingRisk, ShippingRisks
from jitui.errors import Overtaken

MOST_AT_ONCE = 200


async def remind_of_risks(store: Store, risks: ShippingRisks, *, now: datetime) -> int:
    """Tell every due reminder; returns how many this call told."""
    told = 0
    for due in await risks.due_reminders(now, MOST_AT_ONCE):
        told += await _remind(store, due, now)
    return told


async def _remind(store: Store, due: DueReminder, now: datetime) -> bool:
    def plan(snapshot: OrderSnapshot, _: DecisionInputs) -> Plan | Refusal:
        return plan_reminder(snapshot, due, now)

    try:
        done = await execute(store, OrderRef(due.risk.lane, due.risk.order_id), plan)
    except Overtaken:  # another worker has told it
        return False
    return isinstance(done, Executed) and bool(done.changes)


def plan_reminder(snapshot: OrderSnapshot, due: DueReminder, now: datetime) -> Plan:
    """The reminder, unless what it is about ended between the look and the locks."""
    risk = due.risk
    if _has_ended(snapshot, risk):
        return Plan()
    body = {
        "risk": risk.risk.value,
        "stage": due.stage,
        "since": risk.since.isoformat(),
        "amount_minor": risk.amount_minor,
        "currency": risk.currency,
        "what_to_do": WHAT_TO_DO[risk.risk],
        **({"carrier": risk.carrier, "tracking_no": risk.tracking_no} if risk.tracking_no is not None else {}),
    }
    return Plan(
        (
            RecordReminder(risk.risk.value, risk.subject, due.stage, now),
            Announce(OutgoingEventKind.SHIPPING_AT_RISK, now, risk.shop_id, body, risk.ticket_id),
        )
    )


def _has_ended(snapshot: OrderSnapshot, risk: ShippingRisk) -> bool:
    match risk.risk:
        case RiskKind.LABEL_NOT_HANDED_OVER:
            shipment = _shipment(snapshot, risk)
            return shipment is None or shipment.degree is not ShipmentStatus.LABEL_PRINTED or snapshot.is_completed
        case RiskKind.SCAN_WITHOUT_TRACKING:
            shipment = _shipment(snapshot, risk)
            return shipment is None or shipment.entered_at is not None or snapshot.is_completed
        case RiskKind.SHIP_BY_NEAR | RiskKind.SHIP_BY_PASSED:
            return snapshot.is_completed or not any(line.free_quantity for line in snapshot.lines)
        case RiskKind.OPEN_TICKET | RiskKind.STOP_SHIP_UNANSWERED:
            assert risk.ticket_id is not None
            ticket = snapshot.ticket(risk.ticket_id)
            return ticket.state not in APPROVED_STATES or bool(answers_of(snapshot, ticket))


def _shipment(snapshot: OrderSnapshot, risk: ShippingRisk) -> Shipment | None:
    return next((one for one in snapshot.shipments if str(one.shipment_id) == risk.subject), None)
