"""Orders: create or replace, read, list."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Annotated

from litestar.params import FromPath
from msgspec import Meta, field

from jitui.aftersales.commands.intake import put_order
from jitui.aftersales.model.order import Funder, Funding, Hold, OrderLine
from jitui.aftersales.outcomes import Refusal, RefusalCode
from jitui.aftersales.ports import NewOrder, OrderFilter
from jitui.entrypoints.http.cursors import NamedPlace, page_of, read_cursor
from jitui.entrypoints.http.fields import (
    Code,
    Currency,
    Cursor,
    Id,
    Money,
    PageLimit,
    PositiveMoney,
    Quantity,
    Text,
    Time,
)
from jitui.entrypoints.http.mapping import shown, taken
from jitui.entrypoints.http.operation import get, operation, put
from jitui.entrypoints.http.problems import FaultCollector, not_found
from jitui.entrypoints.http.read_body import read_body
from jitui.entrypoints.http.read_query import read_query
from jitui.entrypoints.http.reply import Reply, answer
from jitui.entrypoints.http.request import RequestContext
from jitui.entrypoints.http.resources import sample
from jitui.entrypoints.http.resources.order_view import OrderAnswer, find_order, order_answer
from jitui.entrypoints.http.resources.shared import MOST_LINES, Sent, Shown, id_of_address
from jitui.identity.access import Permission
from jitui.money import MAX_AMOUNT_MINOR, is_currency

# Sent ------------------------------------------------------------------------------------------------------------


class LineSent(Sent, frozen=True, kw_only=True):
    """A line of an order; `paid` is what the buyer paid for all its units, after discounts."""

    line_id: Id
    sku: Code
    item_id: Id
    quantity: Quantity
    paid: Money
    category_id: Id | None = None
    title: Text = ""
    customised: Annotated[bool | None, Meta(description="Not given: as the category table says.")] = None
    virtual: Annotated[bool | None, Meta(description="Not given: as the category table says.")] = None


class FundingSent(Sent, frozen=True, kw_only=True):
    """A share of the price that was paid by somebody other than the buyer."""

    funder: Funder
    amount: PositiveMoney


class OrderSent(Sent, frozen=True, kw_only=True):
    """An order as the platform has it; it can be replaced until it is paid or shipped."""

    buyer_id: Id
    shop_id: Id
    currency: Currency
    placed_at: Time
    lines: Annotated[list[LineSent], Meta(min_length=1, max_length=MOST_LINES)]
    freight: Money | None = None
    funding: Annotated[list[FundingSent], Meta(max_length=3)] = field(default_factory=list)
    hold: Hold = Hold.NONE
    ship_by: Time | None = None


class OrderQuery(Sent, frozen=True, kw_only=True):
    """Filters of the list of orders."""

    shop_id: Id | None = None
    buyer_id: Id | None = None
    cursor: Cursor | None = None
    limit: PageLimit = 50


# Shown -----------------------------------------------------------------------------------------------------------


class OrderTakenAnswer(Shown, frozen=True, kw_only=True):
    """The result: the order was created, replaced or unchanged."""

    order_id: str
    created: bool


class OrderRow(Shown, frozen=True, kw_only=True):
    """An order in a list."""

    order_id: str
    buyer_id: str
    shop_id: str
    currency: str
    hold: Hold
    placed_at: datetime
    paid_at: datetime | None
    completed_at: datetime | None


class OrderPage(Shown, frozen=True, kw_only=True):
    """A page of orders, newest first; `next` is null on the last one."""

    orders: tuple[OrderRow, ...]
    next: str | None


# Handlers --------------------------------------------------------------------------------------------------------

_TAG = ["Orders"]


@put(
    "/v1/orders/{order_id:str}",
    tags=_TAG,
    summary="Put an order",
    description="Creates the order, or replaces it until it is paid or ships. Putting the same paid order again "
    "changes nothing; its hold and `ship_by` may change at any time.",
    opt=operation(
        {201: OrderTakenAnswer, 200: OrderTakenAnswer},
        Permission.ORDERS_WRITE,
        body=OrderSent,
        refusals=(RefusalCode.ORDER_NOT_REPLACEABLE, RefusalCode.ORDER_BELONGS_TO_ANOTHER),
    ),
)
async def put_an_order(request: RequestContext, order_id: FromPath[str]) -> Reply:
    """Create the order, replace it while that is possible, or confirm that it is unchanged."""
    sent = await read_body(request, OrderSent)
    order_id = id_of_address("order_id", order_id)
    _check_order(sent)
    done = await put_order(request.service.store, _new_order(order_id, sent), now=request.service.clock())
    if isinstance(done, Refusal):
        return done
    return answer(OrderTakenAnswer(order_id=order_id, created=done.created), 201 if done.created else 200)


def _check_order(sent: OrderSent) -> None:
    faults = FaultCollector()
    if not is_currency(sent.currency):
        faults.add(
            "currency", f"{sent.currency} is no currency of ISO 4217 with minor units, so no amount can be in it"
        )
    faults.time("placed_at", sent.placed_at)
    faults.time("ship_by", sent.ship_by)
    faults.unique("lines", "line_id", (line.line_id for line in sent.lines))
    faults.unique("funding", "funder", (fund.funder for fund in sent.funding))
    for index, line in enumerate(sent.lines):
        _check_currency(faults, f"lines[{index}].paid", line.paid, sent.currency)
    for index, fund in enumerate(sent.funding):
        _check_currency(faults, f"funding[{index}].amount", fund.amount, sent.currency)
    freight_minor = 0
    if sent.freight is not None:
        freight_minor = sent.freight.amount_minor
        _check_currency(faults, "freight", sent.freight, sent.currency)
    whole_minor = sum(line.paid.amount_minor for line in sent.lines) + freight_minor
    if max(whole_minor, sum(fund.amount.amount_minor for fund in sent.funding)) > MAX_AMOUNT_MINOR:
        faults.add("lines", f"The order's amounts sum to more than {MAX_AMOUNT_MINOR}")
    faults.settle()


def _check_currency(faults: FaultCollector, path: str, money: Money | PositiveMoney, currency: str) -> None:
    if money.currency != currency:
        faults.add(f"{path}.currency", f"The order is in {currency}")


def _new_order(order_id: str, sent: OrderSent) -> NewOrder:
    return taken(
        NewOrder,
        sent,
        order_id=order_id,
        lines=tuple(taken(OrderLine, line, paid_minor=line.paid.amount_minor) for line in sent.lines),
        funding=tuple(Funding(fund.funder, fund.amount.amount_minor) for fund in sent.funding),
        freight_minor=sent.freight.amount_minor if sent.freight is not None else 0,
    )


@get(
    "/v1/orders/{order_id:str}",
    tags=_TAG,
    summary="Read an order",
    opt=operation({200: OrderAnswer}, Permission.ORDERS_READ),
)
async def get_order(request: RequestContext, order_id: FromPath[str]) -> Reply:
    """Return an order with everything that belongs to it."""
    ref = await find_order(request, order_id)
    snapshot = await request.service.store.read_order(ref) if ref is not None else None
    if snapshot is None or not request.may_see(shop_id=snapshot.order.shop_id, buyer_id=snapshot.order.buyer_id):
        return not_found()
    return answer(order_answer(snapshot, request))


@get(
    "/v1/orders",
    tags=_TAG,
    summary="List orders",
    description="Newest first. A shop or buyer key lists its own.",
    opt=operation({200: OrderPage}, Permission.ORDERS_READ, query=OrderQuery),
)
async def list_orders(request: RequestContext) -> Reply:
    """Return orders, newest first."""
    query = read_query(request, OrderQuery)
    if not request.may_filter(shop_id=query.shop_id, buyer_id=query.buyer_id):
        return not_found()
    place = read_cursor(query.cursor, NamedPlace)
    wanted = OrderFilter(
        buyer_id=request.own_buyer or query.buyer_id,
        shop_id=request.own_shop or query.shop_id,
        after=(place.at, place.id) if place is not None else None,
        limit=query.limit + 1,
    )
    found = await request.service.queries.orders(wanted)
    rows, following = page_of(found, query.limit, lambda order: (order.placed_at, order.order_id))
    return answer(OrderPage(orders=tuple(shown(OrderRow, order) for order in rows), next=following))


HANDLERS = (put_an_order, get_order, list_orders)

# Examples --------------------------------------------------------------------------------------------------------

EXAMPLES = (
    OrderSent(
        buyer_id="b-1",
        shop_id="s-1",
        currency="CNY",
        placed_at=sample.PAID_AT,
        lines=[
            LineSent(
                line_id="l1",
                sku="sku-1",
                item_id="i-1",
                quantity=1,
                paid=Money(12900, "CNY"),
                category_id="apparel",
                title="Cotton shirt, white",
            )
        ],
        funding=[FundingSent(funder=Funder.PLATFORM_SUBSIDY, amount=PositiveMoney(1000, "CNY"))],
        ship_by=sample.PAID_AT + timedelta(hours=48),
    ),
    OrderTakenAnswer(order_id="o-1001", created=True),
    OrderPage(
        orders=(
            OrderRow(
                order_id="o-1001",
                buyer_id="b-1",
                shop_id="s-1",
                currency="CNY",
                hold=Hold.NONE,
                placed_at=sample.PAID_AT,
                paid_at=sample.PAID_AT,
                completed_at=None,
            ),
        ),
        next=sample.CURSOR,
    ),
)
