"""Turns Kuaishou's requests and orders into ours. Its words and numbers stop here."""

from __future__ import annotations

from datetime import UTC, datetime

from jitui.adapters.platforms.kuaishou.answers import Order, RefundRow
from jitui.aftersales.model.order import LineUnits, ShipmentStatus
from jitui.aftersales.platform import PlatformLine, PlatformOrder, PlatformPayment, PlatformShipment, UnreadableOrder
from jitui.aftersales.platform_requests import PlatformRequest, RequestState, UnreadableRequest

CURRENCY = "CNY"
WAITING_STATUS, WAITING_NEGOTIATION, REFUND_ONLY = 10, 1, 10
NEGOTIATION_REFUSED = 3

_STATES = {
    12: RequestState.REFUSED,
    20: RequestState.DISPUTED,
    22: RequestState.RETURNING,
    30: RequestState.RETURNING,
    40: RequestState.RETURNING,
    45: RequestState.RETURNING,
    50: RequestState.APPROVED,
    60: RequestState.REFUNDED,
    70: RequestState.CLOSED,
}
_TO_PAY, _PAID, _SHIPPED, _SIGNED, _DONE, _ENDED = 10, 30, 40, 50, 70, 80


def request_of(row: RefundRow) -> PlatformRequest | UnreadableRequest:
    """The request; whether it waits is told by two fields together."""
    changed_at = _moment(row.update_time)
    if row.refund_fee <= 0 or row.update_time <= 0:
        return UnreadableRequest(str(row.refund_id), changed_at, "The request has no amount, or no time of its change.")
    return PlatformRequest(
        request_id=str(row.refund_id),
        order_id=str(row.oid),
        state=_state(row),
        version=str(row.update_time),
        amount_minor=row.refund_fee,
        currency=CURRENCY,
        refund_only=row.handling_way == REFUND_ONLY and row.special_refund_type == 0,
        requested_at=_moment(row.create_time),
        changed_at=changed_at,
        said=f"status {row.status}, negotiateStatus {row.negotiate_status}",
    )


def _state(row: RefundRow) -> RequestState:
    if row.status != WAITING_STATUS:
        return _STATES.get(row.status, RequestState.UNKNOWN)
    if row.negotiate_status == WAITING_NEGOTIATION:
        return RequestState.WAITING
    return RequestState.REFUSED if row.negotiate_status == NEGOTIATION_REFUSED else RequestState.UNKNOWN


def order_of(order: Order) -> PlatformOrder | UnreadableOrder:
    """The order with its one item; `totalFee` is without shipping costs."""
    base, item = order.order_base_info, order.order_item_info
    order_id, changed_at = str(base.oid), _moment(base.update_time)
    if base.status in (_TO_PAY, _ENDED):
        return UnreadableOrder(order_id, changed_at, "The order is not paid, or has ended.")
    if item.num <= 0 or base.total_fee < 0 or base.express_fee < 0 or base.total_fee + base.express_fee <= 0:
        return UnreadableOrder(order_id, changed_at, "The order has no units, or no amount.")
    if not base.buyer_open_id or base.pay_time <= 0:
        return UnreadableOrder(order_id, changed_at, "The order has no buyer, or no time of its payment.")
    line_id = str(item.order_item_id or base.oid)
    line = PlatformLine(
        line_id=line_id,
        sku=item.sku_nick or str(item.sku_id),
        item_id=str(item.item_id),
        title=item.item_title,
        quantity=item.num,
        paid_minor=base.total_fee,
        category_id=_category(order),
    )
    return PlatformOrder(
        order_id=order_id,
        buyer_id=f"kuaishou-{base.buyer_open_id}",
        currency=CURRENCY,
        placed_at=_moment(base.create_time),
        changed_at=changed_at,
        lines=(line,),
        freight_minor=base.express_fee,
        payments=(PlatformPayment(order_id, base.total_fee + base.express_fee, _moment(base.pay_time)),),
        shipments=_shipments(order, line_id),
        delivered_at=_delivered_at(order),
    )


def _category(order: Order) -> str | None:
    extra = order.order_item_info.item_extra
    told = extra.category_info if extra is not None else None
    return f"kuaishou-{told.item_cid}" if told is not None and told.item_cid else None


def _shipments(order: Order, line_id: str) -> tuple[PlatformShipment, ...]:
    """One shipment of all units from the first sign of one on: which units are in a parcel is not told."""
    base, parcels = order.order_base_info, order.order_logistics_info or []
    delivery = order.order_delivery_info
    sent = delivery is not None and (delivery.delivery_num > 0 or delivery.package_num > 0)
    if base.status == _PAID and not parcels and not sent and base.send_time <= 0:
        return ()
    own_id = f"kuaishou-{base.oid}"
    first = next((parcel for parcel in parcels if parcel.express_no), None)
    return (
        PlatformShipment(
            shipment_id=own_id,
            tracking_no=(first.express_no or own_id) if first else own_id,
            carrier=str(first.express_code) if first else "",
            status=_degree(base.status),
            at=_moment(base.send_time or base.update_time),
            lines=(LineUnits(line_id, order.order_item_info.num),),
        ),
    )


def _degree(status: int) -> ShipmentStatus:
    """A state that is not known, and a parcel of an order that is not said to be shipped, count as picked up."""
    if status in (_SIGNED, _DONE):
        return ShipmentStatus.DELIVERED
    return ShipmentStatus.SHIPPED if status == _SHIPPED else ShipmentStatus.PICKED_UP


def _delivered_at(order: Order) -> datetime | None:
    base = order.order_base_info
    return _moment(base.recv_time or base.update_time) if base.status in (_SIGNED, _DONE) else None


def _moment(milliseconds: int) -> datetime:
    return datetime.fromtimestamp(max(0, milliseconds) / 1000, UTC)


def milliseconds(moment: datetime) -> int:
    """A moment as Kuaishou tells times."""
    return round(moment.timestamp() * 1000)
