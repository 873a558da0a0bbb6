"""Tracking numbers of many orders: each row is a transaction of its own, and what becomes of it is a value."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from jitui.aftersales.commands.execute import Executed, Plan, not_found
from jitui.aftersales.commands.ship import ShipmentUpdate, plan_shipment, record_shipment
from jitui.aftersales.model.order import LineUnits, ShipmentSource, ShipmentStatus
from jitui.aftersales.model.ticket import Actor
from jitui.aftersales.outcomes import Refusal, StoredResponse
from jitui.aftersales.ports import Store, read_order_by_id

MOST_ROWS = 500


class RowOutcome(StrEnum):
    """What became of a row: recorded, known already, or refused with a code and words."""

    DONE = "done"
    UNCHANGED = "unchanged"
    REFUSED = "refused"


@dataclass(frozen=True, slots=True)
class TrackingRow:
    """A tracking number that the merchant tells of an order; without a time: now. No lines: all that has not left."""

    order_id: str
    tracking_no: str
    carrier: str = ""
    degree: ShipmentStatus = ShipmentStatus.SHIPPED
    happened_at: datetime | None = None
    lines: tuple[LineUnits, ...] = ()


@dataclass(frozen=True, slots=True)
class RowResult:
    """What became of one row; `code`, `detail` and `path` are empty unless it was refused."""

    order_id: str
    tracking_no: str
    outcome: RowOutcome
    code: str = ""
    detail: str = ""
    path: str = ""


async def record_rows(
    store: Store, rows: Sequence[TrackingRow], *, by: Actor, now: datetime, shop_id: str | None = None
) -> list[RowResult]:
    """Record each row as the order's own command does, one after another; the results are in the order of the rows."""
    return [await _record(store, row, by, now, shop_id) for row in rows]


async def check_rows(
    store: Store, rows: Sequence[TrackingRow], *, by: Actor, now: datetime, shop_id: str | None = None
) -> list[RowResult]:
    """What would become of each row, and nothing is written. The number's other buyer is known only when it is."""
    return [await _check(store, row, by, now, shop_id) for row in rows]


async def _check(store: Store, row: TrackingRow, by: Actor, now: datetime, shop_id: str | None) -> RowResult:
    snapshot = await read_order_by_id(store, row.order_id)
    own = snapshot is not None and shop_id in (None, snapshot.order.shop_id)
    plan = plan_shipment(snapshot, _update(row, now), by, now) if snapshot is not None and own else not_found()
    return _result(row, plan, plan.changes if isinstance(plan, Plan) else ())


async def _record(store: Store, row: TrackingRow, by: Actor, now: datetime, shop_id: str | None) -> RowResult:
    ref = await store.find_order(row.order_id)
    update = _update(row, now)
    done = not_found() if ref is None else await record_shipment(store, ref, update, by=by, now=now, shop_id=shop_id)
    assert not isinstance(done, StoredResponse), "there is no Idempotency-Key"
    return _result(row, done, done.changes if isinstance(done, Executed) else ())


def _update(row: TrackingRow, now: datetime) -> ShipmentUpdate:
    at = row.happened_at or now
    return ShipmentUpdate(row.degree, row.carrier, row.tracking_no, ShipmentSource.MERCHANT, at, row.lines)


def _result(row: TrackingRow, done: object, changes: Sequence[object]) -> RowResult:
    if isinstance(done, Refusal):
        return RowResult(row.order_id, row.tracking_no, RowOutcome.REFUSED, done.code.value, done.message, done.path)
    return RowResult(row.order_id, row.tracking_no, RowOutcome.DONE if changes else RowOutcome.UNCHANGED)
