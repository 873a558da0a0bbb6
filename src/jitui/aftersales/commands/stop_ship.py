"""The warehouse's answer to a stop-ship: the goods are held, or they had left already (R9)."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from jitui.aftersales.changes import AddTimeline, Announce, OutgoingEventKind
from jitui.aftersales.commands.execute import Executed, IdempotentReply, Plan, execute, not_found
from jitui.aftersales.commands.ship import ShipmentUpdate, plan_shipment
from jitui.aftersales.model.order import LineUnits, ShipmentSource, ShipmentStatus, waybill_of
from jitui.aftersales.model.snapshot import OrderSnapshot, transition
from jitui.aftersales.model.ticket import APPROVED_STATES, Actor, Ticket, TicketEvent
from jitui.aftersales.outcomes import Refusal, RefusalCode, StoredResponse
from jitui.aftersales.ports import DecisionInputs, Store, TicketRef


class StopShipOutcome(StrEnum):
    """What became of the goods of an approved ticket at the warehouse."""

    HELD = "held"
    ALREADY_GONE = "already_gone"


WHY = {StopShipOutcome.HELD: "stop_ship_held", StopShipOutcome.ALREADY_GONE: "stop_ship_already_gone"}
"""The `why` of the timeline row, by which an answer is known."""


@dataclass(frozen=True, slots=True)
class StopShipAnswer:
    """The answer; `tracking_no` is needed where the goods are gone. `person`: who says it at the warehouse."""

    outcome: StopShipOutcome
    tracking_no: str = ""
    carrier: str = ""
    happened_at: datetime | None = None
    person: str = ""


async def acknowledge_stop_ship(
    store: Store,
    ref: TicketRef,
    answer: StopShipAnswer,
    *,
    by: Actor,
    now: datetime,
    shop_id: str | None = None,
    reply: IdempotentReply | None = None,
) -> Executed | Refusal | StoredResponse:
    """Record the answer on the ticket's timeline; the same answer again changes nothing.

    Goods that are gone are recorded as left, and open an incident, as after a carrier's scan.
    """

    def plan(snapshot: OrderSnapshot, _: DecisionInputs) -> Plan | Refusal:
        ticket = snapshot.ticket(ref.ticket_id)
        if shop_id is not None and ticket.shop_id != shop_id:
            return not_found()
        return plan_acknowledgement(snapshot, ticket, answer, by, now)

    return await execute(store, ref, plan, reply=reply)


def plan_acknowledgement(
    snapshot: OrderSnapshot, ticket: Ticket, answer: StopShipAnswer, by: Actor, now: datetime
) -> Plan | Refusal:
    """Plan the timeline row, the event, and for goods that are gone the shipment with its incident."""
    if ticket.state not in APPROVED_STATES:
        return Refusal(RefusalCode.NO_STOP_SHIP, "Nothing of this ticket was refunded, so no goods are to be stopped.")
    earlier = answers_of(snapshot, ticket)
    if any(_is_same(event, answer) for event in earlier):
        return Plan((), ticket.ticket_id)
    gone = any(event.why == WHY[StopShipOutcome.ALREADY_GONE] for event in earlier)
    if gone and answer.outcome is StopShipOutcome.HELD:
        return Refusal(
            RefusalCode.STOP_SHIP_ANSWERED,
            "These goods were said to be gone, and an incident stands; settle that one if they came back.",
            "outcome",
        )
    shipped = _gone(snapshot, ticket, answer, by, now) if answer.outcome is StopShipOutcome.ALREADY_GONE else Plan()
    if isinstance(shipped, Refusal):
        return shipped
    said = {"outcome": answer.outcome.value, **_tracking(answer)}
    detail = {**said, **({"person": answer.person} if answer.person else {})}
    event = transition(snapshot, ticket, ticket.state, by=by, why=WHY[answer.outcome], now=now, detail=detail)
    news = Announce(OutgoingEventKind.STOP_SHIP_ACKNOWLEDGED, now, ticket.shop_id, said, ticket.ticket_id)
    return Plan((AddTimeline((event,)), *shipped.changes, news), ticket.ticket_id)


def answers_of(snapshot: OrderSnapshot, ticket: Ticket) -> tuple[TicketEvent, ...]:
    """The answers that stand on the ticket's timeline, oldest first."""
    return tuple(event for event in snapshot.timeline_of(ticket.ticket_id) if event.why in WHY.values())


def _is_same(event: TicketEvent, answer: StopShipAnswer) -> bool:
    if event.why != WHY[answer.outcome]:
        return False
    return waybill_of(str(event.detail.get("tracking_no", ""))) == waybill_of(answer.tracking_no)


def _tracking(answer: StopShipAnswer) -> dict[str, object]:
    return {"tracking_no": answer.tracking_no, "carrier": answer.carrier} if answer.tracking_no else {}


def _gone(snapshot: OrderSnapshot, ticket: Ticket, answer: StopShipAnswer, by: Actor, now: datetime) -> Plan | Refusal:
    """The shipment of the ticket's goods, as a fact: what has left cannot be refused."""
    update = ShipmentUpdate(
        ShipmentStatus.SHIPPED,
        answer.carrier,
        answer.tracking_no,
        ShipmentSource.MERCHANT,
        answer.happened_at or now,
        tuple(LineUnits(line.line_id, line.quantity) for line in snapshot.lines_of(ticket.ticket_id) if line.quantity),
        is_fact=True,
    )
    return plan_shipment(snapshot, update, by, now)
