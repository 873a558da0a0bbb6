"""The warehouse's answer to a stop-ship: the goods are held, or they had left already (R9).

Where a refund waits for the answer, goods that are held in time are refunded.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from jitui.aftersales.apply import apply
from jitui.aftersales.changes import AddTimeline, Announce, OutgoingEventKind
from jitui.aftersales.commands.execute import Executed, IdempotentReply, Plan, execute, not_found
from jitui.aftersales.commands.held_approval import DecidedAgain, decide_on_held
from jitui.aftersales.commands.later_money import capture_query
from jitui.aftersales.commands.request_refund import DecisionSettings
from jitui.aftersales.commands.ship import ShipmentUpdate, plan_shipment
from jitui.aftersales.commands.warehouse_question import answer_by
from jitui.aftersales.model.order import LineUnits, ShipmentSource, ShipmentStatus, waybill_of
from jitui.aftersales.model.snapshot import OrderSnapshot, transition
from jitui.aftersales.model.ticket import APPROVED_STATES, Actor, Ticket, TicketEvent
from jitui.aftersales.outcomes import Refusal, RefusalCode, StoredResponse
from jitui.aftersales.ports import DecisionInputs, OrderRef, Store, TicketRef


class StopShipOutcome(StrEnum):
    """What became of the goods of a ticket at the warehouse."""

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
    settings: Callable[[], Awaitable[DecisionSettings]],
    ref: TicketRef,
    answer: StopShipAnswer,
    *,
    by: Actor,
    now: datetime,
    shop_id: str | None = None,
    reply: IdempotentReply | None = None,
) -> Executed | Refusal | StoredResponse:
    """Record the answer on the ticket's timeline; the same answer again changes nothing.

    Goods that are gone are recorded as left, and open an incident after an approval, as a carrier's scan does. Where
    the refund waits for the answer, the first `held` before its time is over is decided on again, and may approve:
    only for that `settings` is read.
    """
    before = await store.read_order(ref)
    if before is None:
        return not_found()
    asked = answer_by(before, before.ticket(ref.ticket_id)) is not None and answer.outcome is StopShipOutcome.HELD
    read = await settings() if asked else None

    def plan(snapshot: OrderSnapshot, inputs: DecisionInputs) -> Plan | Refusal:
        ticket = snapshot.ticket(ref.ticket_id)
        if shop_id is not None and ticket.shop_id != shop_id:
            return not_found()

        # INVARIANT: it is decided on what was read under these locks, or not at all (I5).
        def decide(noted: OrderSnapshot) -> DecidedAgain:
            return DecidedAgain((), ()) if read is None else decide_on_held(noted, ticket, inputs, read, now)

        return plan_acknowledgement(snapshot, ticket, answer, by, now, decide)

    order = OrderRef(ref.lane, before.order.order_id)
    query = None if read is None else capture_query(read, now)
    return await execute(store, order, plan, query=query, reply=reply)


def plan_acknowledgement(
    snapshot: OrderSnapshot,
    ticket: Ticket,
    answer: StopShipAnswer,
    by: Actor,
    now: datetime,
    decide: Callable[[OrderSnapshot], DecidedAgain],
) -> Plan | Refusal:
    """Plan the timeline row and the event, the shipment of goods that are gone, and what a refund that waits comes to.

    `decide` decides again on the snapshot that has the answer.
    """
    until = answer_by(snapshot, ticket)
    if ticket.state not in APPROVED_STATES and until is None:
        return Refusal(RefusalCode.NO_STOP_SHIP, "Nothing of this ticket was refunded, so no goods are to be stopped.")
    earlier = answers_of(snapshot, ticket)
    if any(_is_same(event, answer) for event in earlier):
        return Plan((), ticket.ticket_id)
    gone = any(event.why == WHY[StopShipOutcome.ALREADY_GONE] for event in earlier)
    if gone and answer.outcome is StopShipOutcome.HELD:
        return _said_gone(ticket)
    shipped = _gone(snapshot, ticket, answer, by, now) if answer.outcome is StopShipOutcome.ALREADY_GONE else Plan()
    if isinstance(shipped, Refusal):
        return shipped
    said: dict[str, object] = {"outcome": answer.outcome.value, **_tracking(answer)}
    again = DecidedAgain((), ())
    if until is not None and answer.outcome is StopShipOutcome.HELD:
        again = decide(_noted(snapshot, ticket, answer, said, by, now)) if now < until else again
        said |= {"approved": bool(again.approval), **({} if now < until else {"too_late": True})}
    event = _event(snapshot, ticket, answer, said, by, now)
    news = Announce(OutgoingEventKind.STOP_SHIP_ACKNOWLEDGED, now, ticket.shop_id, said, ticket.ticket_id)
    changes = (AddTimeline((event,)), *shipped.changes, news, *again.recorded, *again.approval)
    return Plan(changes, ticket.ticket_id)


def _event(
    snapshot: OrderSnapshot,
    ticket: Ticket,
    answer: StopShipAnswer,
    said: Mapping[str, object],
    by: Actor,
    now: datetime,
) -> TicketEvent:
    detail = {**said, **({"person": answer.person} if answer.person else {})}
    return transition(snapshot, ticket, ticket.state, by=by, why=WHY[answer.outcome], now=now, detail=detail)


def _noted(
    snapshot: OrderSnapshot,
    ticket: Ticket,
    answer: StopShipAnswer,
    said: Mapping[str, object],
    by: Actor,
    now: datetime,
) -> OrderSnapshot:
    """With the answer on the timeline, so that what follows is numbered after it."""
    return apply(snapshot, AddTimeline((_event(snapshot, ticket, answer, said, by, now),)))


def _said_gone(ticket: Ticket) -> Refusal:
    what = (
        "and an incident stands; settle that one if they came back."
        if ticket.state in APPROVED_STATES
        else "so the merchant decides on the ticket."
    )
    return Refusal(RefusalCode.STOP_SHIP_ANSWERED, f"These goods were said to be gone, {what}", "outcome")


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
