"""Shipments: a merchant's ship command may conflict with a refund; a carrier's scan is always recorded (I3)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from uuid import UUID

from jitui.aftersales.apply import apply_all
from jitui.aftersales.changes import (
    AddTimeline,
    Announce,
    BuyerEventKind,
    Change,
    ClaimWaybill,
    CompleteOrder,
    OpenIncident,
    OutgoingEventKind,
    PutShipment,
    RecordBuyerEvent,
    UnitsLeft,
)
from jitui.aftersales.commands.execute import Executed, IdempotentReply, Plan, execute, not_found
from jitui.aftersales.model.order import (
    Hold,
    LineUnits,
    OrderLine,
    Shipment,
    ShipmentSource,
    ShipmentStatus,
    captured_minor,
    has_left,
    is_further,
    waybill_of,
)
from jitui.aftersales.model.snapshot import OrderSnapshot, transition
from jitui.aftersales.model.ticket import APPROVED_STATES, Actor, Ticket, TicketState
from jitui.aftersales.outcomes import Refusal, RefusalCode, StoredResponse
from jitui.aftersales.ports import DecisionInputs, OrderRef, Store
from jitui.ids import new_id


@dataclass(frozen=True, slots=True)
class ShipmentUpdate:
    """A report about a shipment.

    Without lines: the known lines of the shipment, or else everything that is not in another shipment. `is_fact`: a
    merchant tells, after an approval, that goods had left before; it is recorded as a carrier's scan is.
    """

    degree: ShipmentStatus
    carrier: str
    tracking_no: str
    source: ShipmentSource
    happened_at: datetime
    lines: tuple[LineUnits, ...] = ()
    is_fact: bool = False

    @property
    def is_command(self) -> bool:
        """Whether it may be refused because the goods are refunded or asked for."""
        return self.source is ShipmentSource.MERCHANT and not self.is_fact


async def record_shipment(
    store: Store,
    ref: OrderRef,
    update: ShipmentUpdate,
    *,
    by: Actor,
    now: datetime,
    shop_id: str | None = None,
    reply: IdempotentReply | None = None,
) -> Executed | Refusal | StoredResponse:
    """Record a label, a merchant's ship command or a carrier's scan; repeating the waybill changes nothing."""

    def plan(snapshot: OrderSnapshot, _: DecisionInputs) -> Plan | Refusal:
        if shop_id is not None and snapshot.order.shop_id != shop_id:
            return not_found()
        return plan_shipment(snapshot, update, by, now)

    return await execute(store, ref, plan, reply=reply)


async def complete_order(
    store: Store,
    ref: OrderRef,
    *,
    now: datetime,
    completed_at: datetime,
    reply: IdempotentReply | None = None,
) -> Executed | Refusal | StoredResponse:
    """Record that the buyer has the goods; it counts in the buyer's history."""

    def plan(snapshot: OrderSnapshot, _: DecisionInputs) -> Plan | Refusal:
        if snapshot.order.paid_at is None:
            return Refusal(RefusalCode.ORDER_NOT_PAID, "An order that was never paid cannot be completed.")
        if snapshot.order.completed_at is not None:
            return Plan()
        return _plan_completion(snapshot, completed_at, now)

    return await execute(store, ref, plan, reply=reply)


def plan_shipment(snapshot: OrderSnapshot, update: ShipmentUpdate, by: Actor, now: datetime) -> Plan | Refusal:
    """Plan a merchant's command or a carrier's scan.

    Repeating a report, or reporting less than before, changes nothing. More units, a further state or another carrier
    name are recorded.
    """
    known = _shipment(snapshot, update)
    said = _summed(update.lines) if update.lines or known else _summed(_everything_else(snapshot, update))
    ordered = {line.line_id for line in snapshot.lines}
    unknown = next((line_id for line_id in said if line_id not in ordered), None)
    if unknown is not None:
        return Refusal(RefusalCode.UNKNOWN_LINE, f"The order has no line {unknown!r}.", "lines")
    shipment = _shipment_now(snapshot, known, update, said, now)
    moving = _units_moving(known, shipment)
    if known is not None and not moving and shipment.degree is known.degree:
        return _noted(known, shipment)
    if update.is_command and moving:
        refused = _refuse_command(snapshot, moving, update)
        if refused is not None:
            return refused
    return _plan_shipment(snapshot, known, shipment, moving, update, by, now)


def goods_with_carrier(snapshot: OrderSnapshot, ticket_id: UUID) -> bool:
    """Whether units of the ticket must be with a carrier or gone, because too few units remain for it."""
    return bool(_overlapping_lines(snapshot, ticket_id))


# Command or fact -----------------------------------------------------------------------------------------------


def _shipment(snapshot: OrderSnapshot, update: ShipmentUpdate) -> Shipment | None:
    """The order's shipment with this waybill, whichever carrier is named."""
    waybill = waybill_of(update.tracking_no)
    return next((shipment for shipment in snapshot.shipments if waybill_of(shipment.tracking_no) == waybill), None)


def _shipment_now(
    snapshot: OrderSnapshot, known: Shipment | None, update: ShipmentUpdate, said: Mapping[str, int], now: datetime
) -> Shipment:
    """The shipment after this report: it only moves forward, and only gains units."""
    entered_at = now if update.source is ShipmentSource.MERCHANT else None
    if known is None:
        return Shipment(
            shipment_id=new_id(snapshot.order.lane),
            degree=update.degree,
            carrier=update.carrier,
            tracking_no=update.tracking_no,
            source=update.source,
            commanded=False,
            lines=_as_lines(said),
            happened_at=update.happened_at,
            recorded_at=now,
            entered_at=entered_at,
        )
    before = _summed(known.lines)
    units = {line_id: max(before.get(line_id, 0), said.get(line_id, 0)) for line_id in {**before, **said}}
    grown = replace(
        known,
        carrier=update.carrier or known.carrier,
        lines=_as_lines(units),
        entered_at=known.entered_at or entered_at,
    )
    if not is_further(update.degree, known.degree):
        return grown
    return replace(grown, degree=update.degree, source=update.source, happened_at=update.happened_at, recorded_at=now)


def _by_command(shipment: Shipment, leaving: Sequence[LineUnits]) -> Shipment:
    """The shipment after these units have left by a ship command."""
    if not leaving:
        return shipment
    units = _summed((*shipment.commanded_lines, *leaving))
    return replace(shipment, commanded=True, commanded_lines=_as_lines(units))


def _as_lines(units: Mapping[str, int]) -> tuple[LineUnits, ...]:
    return tuple(LineUnits(line_id, quantity) for line_id, quantity in units.items())


def _units_moving(known: Shipment | None, shipment: Shipment) -> tuple[LineUnits, ...]:
    """The units that this report moves; when the shipment had left before, only those that were not in it."""
    gone = _summed(known.lines) if known is not None and has_left(known.degree) else {}
    if known is not None and shipment.degree is known.degree and shipment.lines == known.lines:
        return ()
    moving = ((unit.line_id, unit.quantity - gone.get(unit.line_id, 0)) for unit in shipment.lines)
    return tuple(LineUnits(line_id, quantity) for line_id, quantity in moving if quantity)


def _summed(units: Iterable[LineUnits]) -> dict[str, int]:
    found: dict[str, int] = {}
    for unit in units:
        found[unit.line_id] = found.get(unit.line_id, 0) + unit.quantity
    return found


def _noted(known: Shipment, shipment: Shipment) -> Plan:
    """Record another carrier's name, and that the merchant has entered the number; nothing else has changed."""
    noted = replace(known, carrier=shipment.carrier, entered_at=shipment.entered_at)
    return Plan() if noted == known else Plan((PutShipment(noted, waybill_of(noted.tracking_no)),))


def _everything_else(snapshot: OrderSnapshot, update: ShipmentUpdate) -> tuple[LineUnits, ...]:
    """The units of a report without lines.

    A merchant means all that has not left; a carrier means all that is in no other shipment.
    """
    units = []
    for line in snapshot.lines:
        packed = sum(u.quantity for p in snapshot.shipments for u in p.lines if u.line_id == line.line_id)
        gone = line.left_quantity if update.source is ShipmentSource.MERCHANT else packed
        if line.quantity > gone:
            units.append(LineUnits(line.line_id, line.quantity - gone))
    return tuple(units) or tuple(LineUnits(line.line_id, line.quantity) for line in snapshot.lines)


def _refuse_command(snapshot: OrderSnapshot, moving: Sequence[LineUnits], update: ShipmentUpdate) -> Refusal | None:
    """Why a merchant may not ship: the order is unpaid or held, or units are claimed, refunded or gone (T16, T18)."""
    if snapshot.order.paid_at is None:
        return Refusal(RefusalCode.ORDER_NOT_PAID, "The order is not paid; there is nothing to ship.")
    if snapshot.order.hold is not Hold.NONE:
        return Refusal(
            RefusalCode.ORDER_HELD, f"The order is held ({snapshot.order.hold.value}); it cannot be shipped yet."
        )
    named = [unit.line_id for unit in update.lines] or [unit.line_id for unit in moving]
    for unit in moving:
        line = snapshot.line(unit.line_id)
        if not 1 <= unit.quantity <= line.free_quantity:
            at = named.index(unit.line_id) if unit.line_id in named else 0
            return _why_not_free(snapshot, line, f"lines[{at}]")
    return None


def _why_not_free(snapshot: OrderSnapshot, line: OrderLine, path: str) -> Refusal:
    states = {snapshot.ticket(row.ticket_id).state for row in snapshot.ticket_lines if row.line_id == line.line_id}
    if TicketState.AWAITING_MERCHANT in states:
        return Refusal(
            RefusalCode.REFUND_IN_PROGRESS,
            f"The buyer asks for the money back on line {line.line_id!r}: decide the ticket first, or reject it "
            "with the tracking number.",
            path,
        )
    if states & APPROVED_STATES:
        return Refusal(
            RefusalCode.UNITS_REFUNDED, f"Line {line.line_id!r} was refunded: do not ship these units.", path
        )
    return Refusal(
        RefusalCode.UNITS_NOT_AVAILABLE,
        f"Of line {line.line_id!r}, {line.free_quantity} units can still be shipped.",
        path,
    )


# The shipment ----------------------------------------------------------------------------------------------------


def _plan_shipment(
    snapshot: OrderSnapshot,
    known: Shipment | None,
    shipment: Shipment,
    moving: Sequence[LineUnits],
    update: ShipmentUpdate,
    by: Actor,
    now: datetime,
) -> Plan:
    leaving = moving if has_left(shipment.degree) else ()
    leaves = has_left(shipment.degree) and not (known is not None and has_left(known.degree))
    commanded = update.is_command
    shipment = _by_command(shipment, leaving) if commanded else shipment
    moved: tuple[Change, ...] = (
        *(() if known is not None else (_claim(snapshot, shipment, now),)),
        PutShipment(shipment, waybill_of(shipment.tracking_no)),
        *(_units_left(unit, commanded=commanded) for unit in leaving),
    )
    incidents = _incidents(apply_all(snapshot, moved), shipment, now)
    changes: tuple[Change, ...] = (
        *moved,
        *incidents,
        *_noted_on_tickets(snapshot, shipment, update, by, now),
        *_announcements(snapshot, shipment, incidents, leaves=leaves, now=now),
    )
    return Plan(changes)


def _claim(snapshot: OrderSnapshot, shipment: Shipment, now: datetime) -> ClaimWaybill:
    """The order's place in time bounds what is said of the parcel, so that no said time gets round a claim."""
    at = max(snapshot.order.placed_at, min(shipment.happened_at, now))
    return ClaimWaybill(waybill_of(shipment.tracking_no), shipment.source, at)


def _units_left(unit: LineUnits, *, commanded: bool) -> UnitsLeft:
    return (
        UnitsLeft(unit.line_id, shipped=unit.quantity) if commanded else UnitsLeft(unit.line_id, scanned=unit.quantity)
    )


def _units_with_carrier(snapshot: OrderSnapshot, line_id: str) -> int:
    """Units of a line that a carrier has: in shipments from picked up on."""
    return sum(
        unit.quantity
        for shipment in snapshot.shipments
        for unit in shipment.lines
        if unit.line_id == line_id and shipment.degree is not ShipmentStatus.LABEL_PRINTED
    )


# Incidents and events ----------------------------------------------------------------------------------------


def _incidents(after: OrderSnapshot, shipment: Shipment, now: datetime) -> tuple[OpenIncident, ...]:
    """Incidents for approved tickets whose goods are with the carrier: one per ticket, with the evidence (R9)."""
    if shipment.degree is ShipmentStatus.LABEL_PRINTED:
        return ()
    found = []
    for ticket in after.tickets:
        lines = _overlapping_lines(after, ticket.ticket_id)
        if ticket.state in APPROVED_STATES and lines:
            found.append(_incident(after, ticket, lines, shipment, now))
    return tuple(found)


def _overlapping_lines(snapshot: OrderSnapshot, ticket_id: UUID) -> tuple[str, ...]:
    lines = [snapshot.line(line.line_id) for line in snapshot.lines_of(ticket_id)]
    return tuple(
        line.line_id
        for line in lines
        if _units_with_carrier(snapshot, line.line_id) + line.claimed_quantity > line.quantity
    )


def _incident(
    snapshot: OrderSnapshot, ticket: Ticket, line_ids: Sequence[str], shipment: Shipment, now: datetime
) -> OpenIncident:
    amount = sum(line.amount_minor for line in snapshot.lines_of(ticket.ticket_id) if line.line_id in line_ids)
    evidence = {
        "degree": shipment.degree.value,
        "carrier": shipment.carrier,
        "tracking_no": shipment.tracking_no,
        "lines": list(line_ids),
        "happened_at": shipment.happened_at.isoformat(),
        "recorded_at": now.isoformat(),
        "approved_at": ticket.approved_at.isoformat() if ticket.approved_at else None,
    }
    return OpenIncident(
        incident_id=new_id(ticket.lane),
        ticket_id=ticket.ticket_id,
        shop_id=ticket.shop_id,
        amount_minor=amount,
        currency=ticket.currency,
        evidence=evidence,
        opened_at=now,
    )


def _noted_on_tickets(
    snapshot: OrderSnapshot, shipment: Shipment, update: ShipmentUpdate, by: Actor, now: datetime
) -> tuple[AddTimeline, ...]:
    """A timeline row about a carrier's scan for every ticket that it concerns; the ticket's state stays."""
    if update.source is not ShipmentSource.CARRIER:
        return ()
    touched = {unit.line_id for unit in shipment.lines}
    detail = {"degree": shipment.degree.value, "carrier": shipment.carrier, "tracking_no": shipment.tracking_no}
    events = tuple(
        transition(snapshot, ticket, ticket.state, by=by, why="carrier_scan", now=now, detail=detail)
        for ticket in snapshot.tickets
        if any(line.line_id in touched for line in snapshot.lines_of(ticket.ticket_id))
    )
    return (AddTimeline(events),) if events else ()


def _announcements(
    snapshot: OrderSnapshot, shipment: Shipment, incidents: Sequence[OpenIncident], *, leaves: bool, now: datetime
) -> tuple[Announce, ...]:
    order = snapshot.order
    body: dict[str, object] = {
        "degree": shipment.degree.value,
        "carrier": shipment.carrier,
        "tracking_no": shipment.tracking_no,
        "source": shipment.source.value,
        "lines": [{"line_id": unit.line_id, "quantity": unit.quantity} for unit in shipment.lines],
        "left": leaves,
        "on_time": shipment.happened_at <= order.ship_by if leaves and order.ship_by is not None else None,
    }
    opened = (
        Announce(
            OutgoingEventKind.INCIDENT_OPENED,
            now,
            incident.shop_id,
            {
                "amount_minor": incident.amount_minor,
                "currency": incident.currency,
                "evidence": incident.evidence,
            },
            incident.ticket_id,
        )
        for incident in incidents
    )
    return (Announce(OutgoingEventKind.SHIPMENT_RECORDED, now, order.shop_id, body), *opened)


def _plan_completion(snapshot: OrderSnapshot, completed_at: datetime, now: datetime) -> Plan:
    order = snapshot.order
    event = RecordBuyerEvent(
        buyer_id=order.buyer_id,
        event_id=f"completed:{order.order_id}",
        kind=BuyerEventKind.ORDER_COMPLETED,
        at=completed_at,
        recorded_at=now,
        order_id=order.order_id,
        amount_minor=captured_minor(snapshot.tenders),
    )
    news = Announce(OutgoingEventKind.ORDER_COMPLETED, now, order.shop_id, {"completed_at": completed_at.isoformat()})
    return Plan((CompleteOrder(completed_at), event, news))
