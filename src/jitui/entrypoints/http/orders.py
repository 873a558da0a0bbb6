"""Orders, payments, shipments, completion."""

from __future__ import annotations

from datetime import datetime

import msgspec

from jitui.aftersales.command import Executed
from jitui.aftersales.dispute import record_dispute
from jitui.aftersales.file import OrderFile
from jitui.aftersales.intake import capture_payment, put_order
from jitui.aftersales.order import (
    Dispute,
    DisputeState,
    Funding,
    LineUnits,
    OrderLine,
    ShipmentSource,
    Tender,
    captured_minor,
)
from jitui.aftersales.outcomes import Refusal, RefusalCode
from jitui.aftersales.ports import NewOrder, OrderFilter, OrderRef
from jitui.aftersales.ship import ShipmentNews, complete_order, record_shipment
from jitui.aftersales.ticket import Actor, ActorKind
from jitui.aftersales.view import Amount
from jitui.entrypoints.http import answers, bodies
from jitui.entrypoints.http.fields import Money, PositiveMoney, may_name
from jitui.entrypoints.http.operation import (
    BUYER,
    PLATFORM,
    SHOP,
    Answer,
    AnyCall,
    Call,
    Done,
    Nothing,
    Operation,
    carried_out,
)
from jitui.entrypoints.http.problems import REFUSALS, SCOPE_NOT_ALLOWED, Problem, not_found
from jitui.entrypoints.http.reading import Faults, NamedPlace, read_cursor, write_cursor
from jitui.entrypoints.http.subjects import id_in
from jitui.money import MAX_AMOUNT_MINOR, is_currency

_encode = msgspec.json.Encoder().encode


# Taking orders ---------------------------------------------------------------------------------------------------


async def put_an_order(call: Call[bodies.OrderSent, Nothing]) -> Done:
    """Create, replace until something stands on it, or put again."""
    order_id = id_in(call, "order_id")
    _check_order(call.body)
    taken = await put_order(call.app.store, _new_order(order_id, call.body), now=call.app.clock())
    if isinstance(taken, Refusal):
        return taken
    body = answers.OrderTakenAnswer(order_id=order_id, created=taken.created)
    return Answer(201 if taken.created else 200, _encode(body))


def _check_order(sent: bodies.OrderSent) -> None:
    faults = Faults()
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


def _check_currency(faults: Faults, path: str, money: Money | PositiveMoney, currency: str) -> None:
    if money.currency != currency:
        faults.add(f"{path}.currency", f"The order is in {currency}")


def _new_order(order_id: str, sent: bodies.OrderSent) -> NewOrder:
    return NewOrder(
        order_id=order_id,
        buyer_id=sent.buyer_id,
        shop_id=sent.shop_id,
        currency=sent.currency,
        placed_at=sent.placed_at,
        lines=tuple(
            OrderLine(
                line_id=line.line_id,
                sku=line.sku,
                item_id=line.item_id,
                quantity=line.quantity,
                paid_minor=line.paid.amount_minor,
                category_id=line.category_id,
                title=line.title,
                customised=line.customised,
                virtual=line.virtual,
            )
            for line in sent.lines
        ),
        funding=tuple(Funding(fund.funder, fund.amount.amount_minor) for fund in sent.funding),
        freight_minor=sent.freight.amount_minor if sent.freight is not None else 0,
        hold=sent.hold,
        ship_by=sent.ship_by,
    )


# Payments, shipments, completion ---------------------------------------------------------------------------------


async def record_payment(call: Call[bodies.PaymentSent, Nothing]) -> Done:
    """Record a captured payment."""
    sent = call.body
    faults = Faults()
    faults.time("captured_at", sent.captured_at)
    faults.settle()
    ref = await _find(call)
    if ref is None:
        return not_found()
    tender = Tender(
        tender_id=sent.tender_id,
        provider=sent.provider,
        payment_id=sent.payment_id,
        currency=sent.amount.currency,
        captured_minor=sent.amount.amount_minor,
        captured_at=sent.captured_at,
        payment_total_minor=sent.payment_total_minor,
    )
    app, once = call.app, call.once(sent)
    terms = await app.terms()
    return await carried_out(
        call,
        lambda keep: capture_payment(app.store, ref, tender, terms, now=app.clock(), once=once, render=keep),
        lambda done: _recorded(call, done),
    )


async def record_a_shipment(call: Call[bodies.ShipmentSent, Nothing]) -> Done:
    """Record a label, a merchant's ship command or a carrier's scan."""
    sent = call.body
    check_shipment(sent.lines, sent.happened_at, "")
    if sent.source is ShipmentSource.CARRIER and call.scope is not PLATFORM:
        return Problem(SCOPE_NOT_ALLOWED, "A carrier's word comes through the platform.", "source")
    ref = await _find(call)
    if ref is None:
        return not_found()
    news = ShipmentNews(
        degree=sent.degree,
        carrier=sent.carrier or "",
        tracking_no=sent.tracking_no,
        source=sent.source,
        happened_at=sent.happened_at,
        lines=units(sent.lines),
    )
    acting = call.actor_for(sent.acting_for, sent.person)
    by = Actor(ActorKind.CARRIER, news.carrier) if sent.source is ShipmentSource.CARRIER else acting
    app, once = call.app, call.once(sent)
    return await carried_out(
        call,
        lambda keep: record_shipment(
            app.store, ref, news, by=by, now=app.clock(), shop_id=call.own_shop, once=once, render=keep
        ),
        lambda done: _recorded(call, done),
    )


def check_shipment(lines: list[bodies.UnitsSent], happened_at: datetime, path: str) -> None:
    """What a schema cannot say of a parcel."""
    faults = Faults()
    faults.time(f"{path}happened_at", happened_at)
    faults.unique(f"{path}lines", "line_id", (line.line_id for line in lines))
    faults.settle()


def units(lines: list[bodies.UnitsSent]) -> tuple[LineUnits, ...]:
    """Units as the core takes them."""
    return tuple(LineUnits(line.line_id, line.quantity) for line in lines)


async def record_a_dispute(call: Call[bodies.DisputeSent, Nothing]) -> Done:
    """Record that a card dispute was opened, won or lost."""
    sent = call.body
    faults = Faults()
    faults.time("happened_at", sent.happened_at)
    faults.settle()
    ref = await _find(call)
    if ref is None:
        return not_found()
    told = Dispute(
        dispute_id=sent.dispute_id,
        tender_id=sent.tender_id,
        provider="",  # the tender's
        state=sent.state,
        amount_minor=sent.amount.amount_minor,
        currency=sent.amount.currency,
        opened_at=sent.happened_at,
        reason=sent.reason,
        closed_at=None if sent.state is DisputeState.OPEN else sent.happened_at,
    )
    app, once = call.app, call.once(sent)
    return await carried_out(
        call,
        lambda keep: record_dispute(app.store, ref, told, now=app.clock(), once=once, render=keep),
        lambda done: _recorded(call, done),
    )


async def record_completion(call: Call[bodies.CompletionSent, Nothing]) -> Done:
    """The order is closed well."""
    sent = call.body
    faults = Faults()
    faults.time("completed_at", sent.completed_at)
    faults.settle()
    ref = await _find(call)
    if ref is None:
        return not_found()
    app, once = call.app, call.once(sent)
    return await carried_out(
        call,
        lambda keep: complete_order(
            app.store, ref, now=app.clock(), completed_at=sent.completed_at, once=once, render=keep
        ),
        lambda done: _recorded(call, done),
    )


def _recorded(call: AnyCall, done: Executed) -> Answer:
    """201 for news, 200 for what was known already."""
    return Answer(201 if done.writes else 200, _encode(order_answer(done.file, call)))


async def _find(call: AnyCall) -> OrderRef | None:
    """The order of the address; a buyer key's lane is known without a look-up."""
    order_id = call.path("order_id")
    return await call.app.store.find_order(order_id) if may_name(order_id) else None


# Reading ---------------------------------------------------------------------------------------------------------


async def get_order(call: Call[Nothing, Nothing]) -> Done:
    """An order with everything that belongs to it."""
    ref = await _find(call)
    file = await call.app.store.read_file(ref) if ref is not None else None
    if file is None or not call.may_see(shop_id=file.order.shop_id, buyer_id=file.order.buyer_id):
        return not_found()
    return Answer(200, _encode(order_answer(file, call)))


async def list_orders(call: Call[Nothing, bodies.OrderQuery]) -> Done:
    """Orders, newest first."""
    query = call.query
    shop_id, buyer_id = query.shop_id, query.buyer_id
    if not call.may_filter(shop_id=shop_id, buyer_id=buyer_id):
        return not_found()
    place = read_cursor(query.cursor, NamedPlace)
    wanted = OrderFilter(
        buyer_id=call.own_buyer or buyer_id,
        shop_id=call.own_shop or shop_id,
        after=(place.at, place.id) if place is not None else None,
        limit=query.limit + 1,
    )
    found = await call.app.shelf.orders(wanted)
    rows = tuple(
        answers.OrderRow(
            order_id=order.order_id,
            buyer_id=order.buyer_id,
            shop_id=order.shop_id,
            currency=order.currency,
            hold=order.hold,
            placed_at=order.placed_at,
            paid_at=order.paid_at,
            completed_at=order.completed_at,
        )
        for order in found[: query.limit]
    )
    last = write_cursor(rows[-1].placed_at, rows[-1].order_id) if len(found) > query.limit else None
    return Answer(200, _encode(answers.OrderPage(orders=rows, next=last)))


def order_answer(file: OrderFile, call: AnyCall) -> answers.OrderAnswer:
    """The order as the caller may see it: a shop does not see how the buyer paid."""
    order, currency = file.order, file.order.currency
    return answers.OrderAnswer(
        order_id=order.order_id,
        buyer_id=order.buyer_id,
        shop_id=order.shop_id,
        shipment=file.degree,
        hold=order.hold,
        placed_at=order.placed_at,
        paid_at=order.paid_at,
        completed_at=order.completed_at,
        ship_by=order.ship_by,
        paid=Amount(captured_minor(file.tenders), currency),
        freight=Amount(order.freight_minor, currency),
        lines=tuple(_line(line, currency) for line in file.lines),
        shipments=_parcels(file),
        tenders=_tenders(file) if call.scope is not SHOP else (),
        disputes=_disputes(file) if call.scope is not SHOP else (),
        funding=tuple(
            answers.FundingAnswer(
                funder=fund.funder,
                amount=Amount(fund.amount_minor, currency),
                returned=Amount(fund.returned_minor, currency),
            )
            for fund in file.funding
        ),
        ticket_ids=tuple(ticket.ticket_id for ticket in file.tickets),
    )


def _line(line: OrderLine, currency: str) -> answers.LineAnswer:
    return answers.LineAnswer(
        line_id=line.line_id,
        sku=line.sku,
        item_id=line.item_id,
        category_id=line.category_id,
        title=line.title,
        customised=line.customised,
        virtual=line.virtual,
        quantity=line.quantity,
        claimed_quantity=line.claimed_quantity,
        left_quantity=line.left_quantity,
        free_quantity=line.free_quantity,
        paid=Amount(line.paid_minor, currency),
        claimed=Amount(line.claimed_minor, currency),
    )


def _parcels(file: OrderFile) -> tuple[answers.ParcelAnswer, ...]:
    return tuple(
        answers.ParcelAnswer(
            degree=parcel.degree,
            carrier=parcel.carrier,
            tracking_no=parcel.tracking_no,
            source=parcel.source,
            lines=tuple(answers.UnitsAnswer(line_id=unit.line_id, quantity=unit.quantity) for unit in parcel.lines),
            happened_at=parcel.happened_at,
            recorded_at=parcel.recorded_at,
        )
        for parcel in file.shipments
    )


def _disputes(file: OrderFile) -> tuple[answers.DisputeAnswer, ...]:
    return tuple(
        answers.DisputeAnswer(
            dispute_id=dispute.dispute_id,
            tender_id=dispute.tender_id,
            state=dispute.state,
            amount=Amount(dispute.amount_minor, dispute.currency),
            lost=Amount(dispute.lost_minor, dispute.currency),
            opened_at=dispute.opened_at,
            closed_at=dispute.closed_at,
        )
        for dispute in file.disputes
    )


def _tenders(file: OrderFile) -> tuple[answers.TenderAnswer, ...]:
    return tuple(
        answers.TenderAnswer(
            tender_id=tender.tender_id,
            provider=tender.provider,
            payment_id=tender.payment_id,
            captured=Amount(tender.captured_minor, tender.currency),
            pending=Amount(tender.pending_minor, tender.currency),
            refunded=Amount(tender.refunded_minor, tender.currency),
            lost=Amount(tender.lost_minor, tender.currency),
            captured_at=tender.captured_at,
        )
        for tender in file.tenders
    )


_TAG = "Orders"
OPERATIONS = (
    Operation(
        "PUT",
        "/v1/orders/{order_id}",
        put_an_order,
        "Put an order",
        _TAG,
        {201: answers.OrderTakenAnswer, 200: answers.OrderTakenAnswer},
        scopes=frozenset({PLATFORM}),
        body=bodies.OrderSent,
        problems=(REFUSALS[RefusalCode.ORDER_NOT_REPLACEABLE], REFUSALS[RefusalCode.ORDER_BELONGS_TO_ANOTHER]),
        description="Creates the order, or replaces it until it is paid or ships. Putting the same paid order again "
        "changes nothing; its hold and `ship_by` may change at any time.",
    ),
    Operation(
        "GET",
        "/v1/orders/{order_id}",
        get_order,
        "Read an order",
        _TAG,
        {200: answers.OrderAnswer},
        scopes=frozenset({PLATFORM, SHOP, BUYER}),
    ),
    Operation(
        "GET",
        "/v1/orders",
        list_orders,
        "List orders",
        _TAG,
        {200: answers.OrderPage},
        scopes=frozenset({PLATFORM, SHOP, BUYER}),
        query=bodies.OrderQuery,
        description="Newest first. A shop or buyer key lists its own.",
    ),
    Operation(
        "POST",
        "/v1/orders/{order_id}/payments",
        record_payment,
        "Record a captured payment",
        _TAG,
        {201: answers.OrderAnswer, 200: answers.OrderAnswer},
        scopes=frozenset({PLATFORM}),
        body=bodies.PaymentSent,
        keyed=True,
        problems=(
            REFUSALS[RefusalCode.CURRENCY_MISMATCH],
            REFUSALS[RefusalCode.DUPLICATE_PAYMENT_DIFFERS],
            REFUSALS[RefusalCode.PAYMENT_BELONGS_TO_ANOTHER],
            REFUSALS[RefusalCode.PAYMENT_TOTAL_DIFFERS],
            REFUSALS[RefusalCode.PAYMENT_TOTAL_EXCEEDED],
        ),
        description="201 for new money, 200 for what is known already. Within an order a provider's payment is one "
        "tender: the amount is what was captured with it so far, and a larger one is a later capture. Money for goods "
        "that were refunded already is decided again, and goes back at once or to review.",
    ),
    Operation(
        "POST",
        "/v1/orders/{order_id}/shipments",
        record_a_shipment,
        "Record what became of a parcel",
        _TAG,
        {201: answers.OrderAnswer, 200: answers.OrderAnswer},
        scopes=frozenset({PLATFORM, SHOP}),
        body=bodies.ShipmentSent,
        keyed=True,
        problems=(
            REFUSALS[RefusalCode.ORDER_NOT_PAID],
            REFUSALS[RefusalCode.ORDER_HELD],
            REFUSALS[RefusalCode.REFUND_IN_PROGRESS],
            REFUSALS[RefusalCode.UNITS_REFUNDED],
            REFUSALS[RefusalCode.UNITS_NOT_AVAILABLE],
            REFUSALS[RefusalCode.UNKNOWN_LINE],
        ),
        description="A merchant's word is a command and meets a conflict where units were refunded or are being asked "
        "for; a carrier's scan is a fact, always recorded, and opens an incident where units were refunded. The same "
        "waybill is the same parcel, however carrier and number are spelled; what is known of it already changes "
        "nothing (200).",
    ),
    Operation(
        "POST",
        "/v1/orders/{order_id}/disputes",
        record_a_dispute,
        "Record a card dispute",
        _TAG,
        {201: answers.OrderAnswer, 200: answers.OrderAnswer},
        scopes=frozenset({PLATFORM}),
        body=bodies.DisputeSent,
        keyed=True,
        problems=(
            REFUSALS[RefusalCode.UNKNOWN_TENDER],
            REFUSALS[RefusalCode.DISPUTE_DIFFERS],
            REFUSALS[RefusalCode.CURRENCY_MISMATCH],
        ),
        description="While it is `open`, nothing of the order is refunded at once. `lost` lowers what its payment can "
        "still give by the dispute's amount, and opens a task where that was refunded already; `won` frees the order. "
        "The same again changes nothing (200). Stripe tells of its disputes itself.",
    ),
    Operation(
        "POST",
        "/v1/orders/{order_id}/completion",
        record_completion,
        "Complete an order",
        _TAG,
        {201: answers.OrderAnswer, 200: answers.OrderAnswer},
        scopes=frozenset({PLATFORM}),
        body=bodies.CompletionSent,
        keyed=True,
        problems=(REFUSALS[RefusalCode.ORDER_NOT_PAID],),
        description="It counts in the buyer's history from then on.",
    ),
)
