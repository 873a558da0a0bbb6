"""An order as the API shows it, with its lines, parcels, payments, disputes and tickets."""

from __future__ import annotations

from datetime import datetime, timedelta
from uuid import UUID

from jitui.aftersales.commands.execute import Executed
from jitui.aftersales.model.order import (
    DisputeState,
    FulfillmentStatus,
    Funder,
    Hold,
    ShipmentSource,
    ShipmentStatus,
    captured_minor,
)
from jitui.aftersales.model.snapshot import OrderSnapshot
from jitui.aftersales.model.view import Amount
from jitui.aftersales.ports import OrderRef
from jitui.entrypoints.http.fields import may_name
from jitui.entrypoints.http.mapping import shown
from jitui.entrypoints.http.operation import SHOP
from jitui.entrypoints.http.reply import Answer, answer
from jitui.entrypoints.http.request import RequestContext
from jitui.entrypoints.http.resources import sample
from jitui.entrypoints.http.resources.shared import Shown


class LineAnswer(Shown, frozen=True, kw_only=True):
    """A line, and the state of its units."""

    line_id: str
    sku: str
    item_id: str
    category_id: str | None
    title: str
    customised: bool | None
    virtual: bool | None
    quantity: int
    claimed_quantity: int
    left_quantity: int
    free_quantity: int
    paid: Amount
    claimed: Amount


class UnitsAnswer(Shown, frozen=True, kw_only=True):
    """A number of units of one line."""

    line_id: str
    quantity: int


class ParcelAnswer(Shown, frozen=True, kw_only=True):
    """A parcel."""

    degree: ShipmentStatus
    carrier: str
    tracking_no: str
    source: ShipmentSource
    lines: tuple[UnitsAnswer, ...]
    happened_at: datetime
    recorded_at: datetime


class TenderAnswer(Shown, frozen=True, kw_only=True):
    """A captured payment, what is being refunded and what was; not shown to the shop."""

    tender_id: str
    provider: str
    payment_id: str
    captured: Amount
    pending: Amount
    refunded: Amount
    lost: Amount
    captured_at: datetime


class FundingAnswer(Shown, frozen=True, kw_only=True):
    """A funder's share, and how much of it was returned."""

    funder: Funder
    amount: Amount
    returned: Amount


class DisputeAnswer(Shown, frozen=True, kw_only=True):
    """A card dispute; `lost` is the part of the loss that could still be refunded."""

    dispute_id: str
    tender_id: str
    state: DisputeState
    amount: Amount
    lost: Amount
    opened_at: datetime
    closed_at: datetime | None


class OrderAnswer(Shown, frozen=True, kw_only=True):
    """An order with everything that belongs to it."""

    order_id: str
    buyer_id: str
    shop_id: str
    shipment: FulfillmentStatus
    hold: Hold
    placed_at: datetime
    paid_at: datetime | None
    completed_at: datetime | None
    ship_by: datetime | None
    paid: Amount
    freight: Amount
    lines: tuple[LineAnswer, ...]
    shipments: tuple[ParcelAnswer, ...]
    tenders: tuple[TenderAnswer, ...]
    funding: tuple[FundingAnswer, ...]
    disputes: tuple[DisputeAnswer, ...]
    ticket_ids: tuple[UUID, ...]


def order_answer(snapshot: OrderSnapshot, request: RequestContext) -> OrderAnswer:
    """The order as the caller may see it: a shop does not see how the buyer paid."""
    order, currency = snapshot.order, snapshot.order.currency
    for_shop = request.key_scope is SHOP
    return shown(
        OrderAnswer,
        order,
        shipment=snapshot.fulfillment,
        paid=Amount(captured_minor(snapshot.tenders), currency),
        lines=tuple(shown(LineAnswer, line, currency=currency) for line in snapshot.lines),
        shipments=snapshot.shipments,
        tenders=() if for_shop else tuple(shown(TenderAnswer, tender) for tender in snapshot.tenders),
        disputes=() if for_shop else tuple(shown(DisputeAnswer, dispute) for dispute in snapshot.disputes),
        funding=tuple(shown(FundingAnswer, fund, currency=currency) for fund in snapshot.funding),
        ticket_ids=tuple(ticket.ticket_id for ticket in snapshot.tickets),
    )


def recorded(request: RequestContext, done: Executed) -> Answer:
    """The response: 201 when something was recorded, 200 when it was known."""
    return answer(order_answer(done.snapshot, request), 201 if done.changes else 200)


async def find_order(request: RequestContext, order_id: str) -> OrderRef | None:
    """The order in the address; for a buyer key the lane is known without a look-up."""
    return await request.service.store.find_order(order_id) if may_name(order_id) else None


EXAMPLES = (
    OrderAnswer(
        order_id="o-1001",
        buyer_id="b-1",
        shop_id="s-1",
        shipment=FulfillmentStatus.LABEL_PRINTED,
        hold=Hold.NONE,
        placed_at=sample.PAID_AT,
        paid_at=sample.PAID_AT,
        completed_at=None,
        ship_by=sample.PAID_AT + timedelta(hours=48),
        paid=sample.FULL,
        freight=sample.ZERO,
        lines=(
            LineAnswer(
                line_id="l1",
                sku="sku-1",
                item_id="i-1",
                category_id="apparel",
                title="Cotton shirt, white",
                customised=False,
                virtual=False,
                quantity=1,
                claimed_quantity=0,
                left_quantity=0,
                free_quantity=1,
                paid=sample.FULL,
                claimed=sample.ZERO,
            ),
        ),
        shipments=(
            ParcelAnswer(
                degree=ShipmentStatus.LABEL_PRINTED,
                carrier="sf",
                tracking_no="SF1000000001",
                source=ShipmentSource.MERCHANT,
                lines=(UnitsAnswer(line_id="l1", quantity=1),),
                happened_at=sample.ASKED_AT,
                recorded_at=sample.ASKED_AT,
            ),
        ),
        tenders=(
            TenderAnswer(
                tender_id="t1",
                provider="simulator",
                payment_id="pay-1001",
                captured=sample.FULL,
                pending=sample.ZERO,
                refunded=sample.ZERO,
                lost=sample.ZERO,
                captured_at=sample.PAID_AT,
            ),
        ),
        disputes=(
            DisputeAnswer(
                dispute_id="dp-1",
                tender_id="t1",
                state=DisputeState.WON,
                amount=sample.FULL,
                lost=sample.ZERO,
                opened_at=sample.PAID_AT,
                closed_at=sample.ASKED_AT,
            ),
        ),
        funding=(FundingAnswer(funder=Funder.PLATFORM_SUBSIDY, amount=Amount(1000, "CNY"), returned=sample.ZERO),),
        ticket_ids=(),
    ),
)
