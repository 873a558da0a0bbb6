"""Tracking numbers of many orders at once; each row is judged, and recorded, by itself."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta, field

from jitui.aftersales.commands.bulk_shipments import MOST_ROWS, RowOutcome, TrackingRow, record_rows
from jitui.aftersales.model.order import ShipmentStatus
from jitui.entrypoints.http.fields import Code, Id, Time
from jitui.entrypoints.http.mapping import shown, taken
from jitui.entrypoints.http.operation import operation, post
from jitui.entrypoints.http.problems import FaultCollector
from jitui.entrypoints.http.read_body import read_body
from jitui.entrypoints.http.reply import Reply, answer
from jitui.entrypoints.http.request import RequestContext
from jitui.entrypoints.http.resources import sample
from jitui.entrypoints.http.resources.shared import MOST_LINES, ActingSent, Sent, Shown, UnitsSent, units
from jitui.entrypoints.http.resources.shipments import Carrier
from jitui.identity.access import Permission


class BulkShipmentRow(Sent, frozen=True, kw_only=True):
    """A tracking number of one order. No lines: everything that has not left."""

    order_id: Id
    tracking_no: Code
    carrier: Carrier = None
    degree: ShipmentStatus = ShipmentStatus.SHIPPED
    happened_at: Annotated[Time | None, Meta(description="Not sent: now.")] = None
    lines: Annotated[list[UnitsSent], Meta(max_length=MOST_LINES)] = field(default_factory=list)


class BulkShipmentsSent(ActingSent, frozen=True, kw_only=True):
    """Up to 500 tracking numbers, told by the merchant."""

    rows: Annotated[list[BulkShipmentRow], Meta(min_length=1, max_length=MOST_ROWS)]


class BulkShipmentResult(Shown, frozen=True, kw_only=True):
    """What became of one row; `code`, `detail` and `path` are empty unless it was refused."""

    order_id: str
    tracking_no: str
    outcome: RowOutcome
    code: str = ""
    detail: str = ""
    path: str = ""


class BulkShipmentsAnswer(Shown, frozen=True, kw_only=True):
    """What became of the rows, in the order in which they were sent."""

    done: int
    unchanged: int
    refused: int
    results: tuple[BulkShipmentResult, ...]


@post(
    "/v1/shipments/bulk",
    tags=["Shipping"],
    summary="Record many tracking numbers",
    description="Up to 500 rows of a merchant. Each row is a transaction of its own, as one call of the order's "
    "shipments is: it is done, unchanged because it is known, or refused with a code, and the others are done. "
    "Sending it again changes nothing.",
    opt=operation({200: BulkShipmentsAnswer}, Permission.SHIPMENTS_WRITE, body=BulkShipmentsSent),
)
async def record_shipments(request: RequestContext) -> Reply:
    """Record the shipments, one after another."""
    sent = await read_body(request, BulkShipmentsSent)
    now = request.service.clock()
    faults = FaultCollector()
    for place, row in enumerate(sent.rows):
        faults.time(f"rows[{place}].happened_at", row.happened_at)
        faults.unique(f"rows[{place}].lines", "line_id", (line.line_id for line in row.lines))
    faults.settle()
    rows = [taken(TrackingRow, row, carrier=row.carrier or "", lines=units(row.lines)) for row in sent.rows]
    by = request.actor_for(sent.acting_for, sent.person)
    results = await record_rows(request.service.store, rows, by=by, now=now, shop_id=request.own_shop)
    count = {word.value: sum(one.outcome is word for one in results) for word in RowOutcome}
    return answer(BulkShipmentsAnswer(**count, results=tuple(shown(BulkShipmentResult, one) for one in results)))


HANDLERS = (record_shipments,)

EXAMPLES = (
    BulkShipmentsSent(
        rows=[
            BulkShipmentRow(order_id="o-1001", tracking_no="SF1000000001", carrier="sf"),
            BulkShipmentRow(order_id="o-1002", tracking_no="SF1000000002", carrier="sf", happened_at=sample.ASKED_AT),
        ]
    ),
    BulkShipmentsAnswer(
        done=1,
        unchanged=0,
        refused=1,
        results=(
            BulkShipmentResult(order_id="o-1001", tracking_no="SF1000000001", outcome=RowOutcome.DONE),
            BulkShipmentResult(
                order_id="o-1002",
                tracking_no="SF1000000002",
                outcome=RowOutcome.REFUSED,
                code="units-refunded",
                detail="Line 'l1' was refunded: do not ship these units.",
                path="lines[0]",
            ),
        ),
    ),
)
