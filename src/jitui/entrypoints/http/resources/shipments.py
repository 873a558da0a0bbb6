"""The shipments of an order."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated

from litestar.params import FromPath
from msgspec import Meta, field

from jitui.aftersales.commands.ship import ShipmentUpdate, record_shipment
from jitui.aftersales.model.order import ShipmentSource, ShipmentStatus
from jitui.aftersales.model.ticket import Actor, ActorKind
from jitui.aftersales.outcomes import RefusalCode
from jitui.entrypoints.http.fields import Code, NameOrNone, Time
from jitui.entrypoints.http.mapping import taken
from jitui.entrypoints.http.operation import PLATFORM, operation, post
from jitui.entrypoints.http.problems import SCOPE_NOT_ALLOWED, FaultCollector, Problem, not_found
from jitui.entrypoints.http.read_body import read_body
from jitui.entrypoints.http.reply import Reply, respond
from jitui.entrypoints.http.request import RequestContext
from jitui.entrypoints.http.resources import sample
from jitui.entrypoints.http.resources.order_view import OrderAnswer, find_order, recorded
from jitui.entrypoints.http.resources.shared import MOST_LINES, ActingSent, UnitsSent, units
from jitui.identity.access import Permission

Carrier = Annotated[NameOrNone | None, Meta(description="Empty or not sent: as it was reported before.")]


class ShipmentSent(ActingSent, frozen=True, kw_only=True):
    """An update about a parcel; the same waybill is the same parcel. No lines: everything not in another parcel."""

    degree: ShipmentStatus
    tracking_no: Code
    happened_at: Time
    carrier: Carrier = None
    source: Annotated[
        ShipmentSource, Meta(description="A merchant's report is a command; a carrier's is always recorded.")
    ] = ShipmentSource.MERCHANT
    lines: Annotated[list[UnitsSent], Meta(max_length=MOST_LINES)] = field(default_factory=list)


def check_shipment(lines: Sequence[UnitsSent], happened_at: datetime, path: str = "") -> None:
    """Check what a schema cannot express."""
    faults = FaultCollector()
    faults.time(f"{path}happened_at", happened_at)
    faults.unique(f"{path}lines", "line_id", (line.line_id for line in lines))
    faults.settle()


@post(
    "/v1/orders/{order_id:str}/shipments",
    tags=["Orders"],
    summary="Record what became of a parcel",
    description="A merchant's word is a command and meets a conflict where units were refunded or are being asked "
    "for; a carrier's scan is a fact, always recorded, and opens an incident where units were refunded. The same "
    "waybill is the same parcel, however carrier and number are spelled; what is known of it already changes "
    "nothing (200).",
    opt=operation(
        {201: OrderAnswer, 200: OrderAnswer},
        Permission.SHIPMENTS_WRITE,
        body=ShipmentSent,
        idempotent=True,
        refusals=(
            RefusalCode.ORDER_NOT_PAID,
            RefusalCode.ORDER_HELD,
            RefusalCode.REFUND_IN_PROGRESS,
            RefusalCode.UNITS_REFUNDED,
            RefusalCode.UNITS_NOT_AVAILABLE,
            RefusalCode.WAYBILL_OF_ANOTHER_BUYER,
            RefusalCode.UNKNOWN_LINE,
        ),
    ),
)
async def record_a_shipment(request: RequestContext, order_id: FromPath[str]) -> Reply:
    """Record a label, a merchant's ship command or a carrier's scan."""
    sent = await read_body(request, ShipmentSent)
    check_shipment(sent.lines, sent.happened_at)
    by_carrier = sent.source is ShipmentSource.CARRIER
    if by_carrier and request.key_scope is not PLATFORM:
        return Problem(SCOPE_NOT_ALLOWED, "Only the platform reports for a carrier.", "source")
    ref = await find_order(request, order_id)
    if ref is None:
        return not_found()
    update = taken(ShipmentUpdate, sent, carrier=sent.carrier or "", lines=units(sent.lines))
    acting = request.actor_for(sent.acting_for, sent.person)
    by = Actor(ActorKind.CARRIER, update.carrier) if by_carrier else acting
    service, shop_id = request.service, request.own_shop
    return await respond(
        request,
        sent,
        lambda reply: record_shipment(
            service.store,
            ref,
            update,
            by=by,
            now=service.clock(),
            shop_id=shop_id,
            reply=reply,
        ),
        lambda done: recorded(request, done),
    )


HANDLERS = (record_a_shipment,)

EXAMPLES = (
    ShipmentSent(
        degree=ShipmentStatus.LABEL_PRINTED,
        carrier="sf",
        tracking_no="SF1000000001",
        happened_at=sample.ASKED_AT,
        lines=[UnitsSent(line_id="l1", quantity=1)],
    ),
)
