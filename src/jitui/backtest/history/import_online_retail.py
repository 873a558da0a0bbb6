"""Imports the public invoices with the assumptions of `jitui replay`: the same reader, the same dispatch.

Unlike in a replay, no policy decides here: the merchant answers every request, so a refund is recorded when the
merchant has answered, and the parcel waits until then.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime, time, timedelta
from pathlib import Path

import pyarrow as pa

from jitui.backtest.history.imported import Imported, Tables
from jitui.backtest.history.online_retail import open_online_retail
from jitui.backtest.history.past import History, PastOrder, PastRequest, SetAside, Span, Unmatched
from jitui.errors import BadInput
from jitui.money import share_of_units

KINDS = (
    "order_paid",
    "order_completed",
    "refund_requested",
    "refund_before_shipment",
    "refund_after_shipment",
    "shipped",
)
"""The kinds of events that this history has; every other kind is unknown (I5)."""

ASIDE = "set_aside/rows"
_ASIDE_TYPES: dict[str, pa.DataType] = {
    "row": pa.int64(),
    "document": pa.string(),
    "reason": pa.string(),
    "units": pa.int64(),
    "amount_minor": pa.int64(),
    "detail": pa.string(),
}
_ASIDE_SCHEMA = pa.schema(_ASIDE_TYPES)


@dataclass(frozen=True, slots=True)
class RetailAssumptions:
    """Assumptions for what invoices do not tell; the first three are those of `jitui replay`."""

    dispatch_hours: int = 24  # from the order to the merchant's ship command
    complete_days: int = 7  # from the ship command to a completed order
    merchant_hours: int = 24  # from a request to the merchant's answer
    after_dispatch: int = 1  # 1: what is requested after dispatch is a request too; 0: it is set aside


OnOrder = Callable[[int, int], None]
"""Called with the number of orders that are written, and the number of all orders."""

MAY_BE_ZERO = ("dispatch_hours", "merchant_hours", "after_dispatch")


@dataclass(slots=True)
class _Asked:
    """An order with requests so far: when its parcel leaves, and which units were claimed."""

    left_at: datetime
    claimed: Counter[str] = field(default_factory=Counter)
    requested: Counter[str] = field(default_factory=Counter)
    requests: int = 0
    units_before: int = 0


@dataclass(slots=True)
class _State:
    """The orders for which requests may still come; only lines that a request names are kept."""

    tables: Tables
    history: History
    assumed: RetailAssumptions
    orders: dict[str, PastOrder] = field(default_factory=dict)
    asked: dict[str, _Asked] = field(default_factory=dict)
    aside: dict[str, Counter[str]] = field(default_factory=dict)
    counts: Counter[str] = field(default_factory=Counter)
    buyers: set[str] = field(default_factory=set)


def import_online_retail(
    path: Path, folder: Path, assumed: RetailAssumptions, on_order: OnOrder = lambda _done, _of: None
) -> Imported:
    """Write the tables to an existing folder; memory grows with the requests and their orders only.

    Raises BadInput for a file that cannot be read.
    """
    with open_online_retail(path) as history:
        counts = history.count(Span())
        if counts.first_day is None:
            raise BadInput("There is no row with a readable date in this file.", path=str(path))
        wanted = _orders_asked_about(history)
        with Tables(folder) as tables:
            for name in ("requests", "orders", "order_lines", "shipments", "buyers", "events", "event_records"):
                tables.begin(name)
            tables.begin(ASIDE, _ASIDE_SCHEMA)
            state = _State(tables, history, assumed)
            for event in history.events(Span()):
                match event:
                    case PastOrder():
                        _order(state, event, is_asked=event.order_id in wanted)
                        on_order(state.counts["orders"], counts.orders)
                    case PastRequest():
                        _request(state, event)
                    case SetAside():
                        _row_aside(state, event)
                    case Unmatched():
                        _units_aside(state, event)
            _finish(state, datetime.combine(counts.first_day, time.min, history.time_zone))
            rows = {name: count for name, count in tables.rows.items() if name != ASIDE}
        return Imported(
            folder,
            history.format_name,
            history.currency,
            history.time_zone.key,
            asdict(assumed),
            {path.name: counts.rows},
            rows,
            {name: dict(sorted(reasons.items())) for name, reasons in sorted(state.aside.items())},
            dict(sorted(state.counts.items())),
        )


def _orders_asked_about(history: History) -> frozenset[str]:
    """The orders with requests, from a first pass, so that the second pass can forget all others."""
    return frozenset(event.order_id for event in history.events(Span()) if isinstance(event, PastRequest))


# Orders --------------------------------------------------------------------------------------------------------


def _order(state: _State, order: PastOrder, *, is_asked: bool) -> None:
    state.counts["orders"] += 1
    state.counts["lines"] += len(order.lines)
    row = {
        "order_id": order.order_id,
        "currency": state.history.currency,
        "placed_at": _plain(order.placed_at),
        "paid_at": _plain(order.placed_at),
        "paid_minor": order.paid_minor,
        "freight_minor": 0,
        "hold": "none",
    }
    _event(state, "buyer", order.buyer_id, "order_paid", order.placed_at, order.order_id, order.paid_minor)
    _event(state, "shop", state.history.shop_id, "order_paid", order.placed_at, order.order_id, order.paid_minor)
    left_at = order.placed_at + timedelta(hours=state.assumed.dispatch_hours)
    state.tables.add("orders", row)
    if is_asked:
        state.orders[order.order_id] = order
        state.asked[order.order_id] = _Asked(left_at)
    else:
        _lines(state, order, None)
        _left(state, order, left_at)


def _lines(state: _State, order: PastOrder, asked: _Asked | None) -> None:
    """Write the lines; requested units are a column of the line, so they are unknown for an order with two requests."""
    one = asked if asked is not None and asked.requests == 1 else None
    for line in order.lines:
        row = {
            "order_id": order.order_id,
            "line_id": line.line_id,
            "sku": line.sku,
            "item_id": line.sku,
            "category_id": line.category,
            "quantity": line.quantity,
            "requested_quantity": one.requested[line.line_id] if one else None,
            "paid_minor": line.paid_minor,
            "customised": False,
            "virtual": line.category == "gift-voucher",
        }
        state.tables.add("order_lines", row)


def _left(state: _State, order: PastOrder, left_at: datetime) -> None:
    """Write the ship command, and the completion of the order that follows."""
    moment = _plain(left_at)
    row = {"order_id": order.order_id, "degree": "shipped", "at": moment, "recorded_at": moment}
    state.tables.add("shipments", row)
    _event(state, "shop", state.history.shop_id, "shipped", left_at, order.order_id, order.paid_minor)
    completed_at = left_at + timedelta(days=state.assumed.complete_days)
    _event(state, "buyer", order.buyer_id, "order_completed", completed_at, order.order_id, order.paid_minor)


# Requests ------------------------------------------------------------------------------------------------------


def _request(state: _State, request: PastRequest) -> None:
    order, asked = state.orders[request.order_id], state.asked[request.order_id]
    # a back-test sees what was recorded before the request; in the minute of dispatch nothing had left yet
    before = request.asked_at <= asked.left_at
    state.counts["asked_before_dispatch" if before else "asked_after_dispatch"] += 1
    state.counts["asked_units"] += sum(unit.quantity for unit in request.units)
    state.counts["requests_at_the_minute_of_dispatch"] += request.asked_at == asked.left_at
    closed_at = request.asked_at + timedelta(hours=state.assumed.merchant_hours)
    amount_minor, whole = _claim(order, asked, request)
    if before:
        asked.units_before += sum(unit.quantity for unit in request.units)
        asked.left_at = max(asked.left_at, closed_at)  # the parcel waits for the answer
        _event(state, "buyer", order.buyer_id, "refund_requested", request.asked_at, order.order_id, amount_minor)
    kind = "refund_before_shipment" if before else "refund_after_shipment"
    _event(state, "buyer", order.buyer_id, kind, closed_at, order.order_id, amount_minor)
    _event(state, "shop", state.history.shop_id, kind, closed_at, order.order_id, amount_minor)
    if not before and not state.assumed.after_dispatch:
        _request_aside(state, request, amount_minor)
        return
    asked.requests += 1
    asked.requested.update({units.line_id: units.quantity for units in request.units})
    state.buyers.add(order.buyer_id)
    row = {
        "request_id": request.request_id,
        "order_id": order.order_id,
        "buyer_id": order.buyer_id,
        "shop_id": state.history.shop_id,
        "asked_at": _plain(request.asked_at),
        "amount_minor": amount_minor,
        "whole_order": whole,
        "category_id": max(order.lines, key=lambda line: line.paid_minor).category,
        "closed_at": _plain(closed_at),
    }
    state.tables.add("requests", row)


def _claim(order: PastOrder, asked: _Asked, request: PastRequest) -> tuple[int, bool]:
    """The refund for these units after earlier requests, and whether the request is for the whole order."""
    units = {unit.line_id: unit.quantity for unit in request.units}
    whole = all(units.get(line.line_id, 0) == line.quantity for line in order.lines)
    amount_minor = sum(
        share_of_units(line.paid_minor, line.quantity, asked.claimed[line.line_id], units[line.line_id])
        for line in order.lines
        if line.line_id in units
    )
    asked.claimed.update(units)
    return amount_minor, whole


def _finish(state: _State, first_day: datetime) -> None:
    for order_id, asked in state.asked.items():
        order = state.orders[order_id]
        _lines(state, order, asked)
        _left_if_any(state, order, asked)
    for buyer_id in sorted(state.buyers):
        state.tables.add("buyers", {"buyer_id": buyer_id})
    for kind in KINDS:
        state.tables.add("event_records", {"kind": kind, "complete_from": _plain(first_day)})


def _left_if_any(state: _State, order: PastOrder, asked: _Asked) -> None:
    """Write the shipment, unless all units were requested before dispatch."""
    if asked.units_before < sum(line.quantity for line in order.lines):
        _left(state, order, asked.left_at)
    else:
        state.counts["orders_taken_back_whole_before_dispatch"] += 1


# Left out --------------------------------------------------------------------------------------------------------


def _row_aside(state: _State, row: SetAside) -> None:
    state.aside.setdefault("rows", Counter())[row.reason] += 1
    state.tables.add(ASIDE, _aside(row.row, row.invoice, row.reason, None, None, row.detail))


def _units_aside(state: _State, units: Unmatched) -> None:
    state.aside.setdefault("cancelled_units", Counter())[units.reason] += 1
    detail = f"{units.quantity} cancelled units of {units.sku} have no order"
    state.tables.add(
        ASIDE, _aside(units.row, units.cancellation_id, units.reason, units.quantity, units.credited_minor, detail)
    )


def _request_aside(state: _State, request: PastRequest, amount_minor: int) -> None:
    state.aside.setdefault("requests", Counter())["after_dispatch"] += 1
    units = sum(unit.quantity for unit in request.units)
    detail = f"asked at {request.asked_at.isoformat()}, after the parcel had left"
    state.tables.add(ASIDE, _aside(None, request.request_id, "after_dispatch", units, amount_minor, detail))


def _aside(
    row: int | None, document: str, reason: str, units: int | None, amount_minor: int | None, detail: str
) -> Mapping[str, object]:
    return {
        "row": row,
        "document": document,
        "reason": str(reason),
        "units": units,
        "amount_minor": amount_minor,
        "detail": detail,
    }


# Small pieces --------------------------------------------------------------------------------------------------


def _event(
    state: _State, subject: str, subject_id: str, kind: str, at: datetime, order_id: str, amount_minor: int
) -> None:
    moment = _plain(at)
    row = {
        "subject": subject,
        "subject_id": subject_id,
        "kind": kind,
        "at": moment,
        "recorded_at": moment,
        "order_id": order_id,
        "amount_minor": amount_minor,
        "currency": state.history.currency,
    }
    state.tables.add("events", row)


def _plain(moment: datetime) -> datetime:
    return moment.astimezone(UTC).replace(tzinfo=None)
