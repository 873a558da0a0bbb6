"""Taking in orders and captured payments."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

from jitui.aftersales import ledger
from jitui.aftersales.command import Plan, Render, carry_out
from jitui.aftersales.file import OrderFile
from jitui.aftersales.order import Tender, captured_minor
from jitui.aftersales.outcomes import KeptAnswer, Once, Refusal, RefusalCode
from jitui.aftersales.ports import DecisionInputs, NewOrder, OrderRef, OrderTaken, Store
from jitui.aftersales.writes import (
    Announce,
    BuyerEventKind,
    CaptureTender,
    ChangeKind,
    RecordBuyerEvent,
    Write,
)
from jitui.ids import lane_of


async def put_order(store: Store, new: NewOrder, *, now: datetime) -> OrderTaken | Refusal:
    """Create an order, or replace it while nothing is paid; putting the same paid order again changes nothing.

    Customised and virtual are taken from the line, else from the platform's category table, else unknown (R2, I5).
    """
    ref = OrderRef(lane_of(new.buyer_id), new.order_id)
    return await store.put_order(ref, new, now)


async def capture_payment(
    store: Store,
    ref: OrderRef,
    tender: Tender,
    *,
    now: datetime,
    once: Once | None = None,
    render: Render | None = None,
) -> Plan | Refusal | KeptAnswer:
    """Record a captured payment; the same tender again is the same payment, with another amount it is refused (T28)."""

    def plan(file: OrderFile, _: DecisionInputs) -> Plan | Refusal:
        return plan_payment(file, tender, now)

    return await carry_out(store, ref, plan, once=once, render=render)


def plan_payment(file: OrderFile, tender: Tender, now: datetime) -> Plan | Refusal:
    """The payment, its ledger rows, and for the first one the buyer's history and the feed."""
    order = file.order
    if tender.currency != order.currency:
        return Refusal(
            RefusalCode.CURRENCY_MISMATCH,
            f"The order is in {order.currency}, the payment in {tender.currency}.",
            "amount.currency",
        )
    known = next((other for other in file.tenders if other.tender_id == tender.tender_id), None)
    if known is not None:
        return _repeated(file, known, tender)
    first = not file.tenders
    after = replace(
        file,
        tenders=(*file.tenders, tender),
        order=replace(order, paid_at=order.paid_at or tender.captured_at),
    )
    writes: tuple[Write, ...] = (
        CaptureTender(tender, tender.captured_at),
        ledger.captured(tender),
        *(_first_payment(after, tender, now) if first else ()),
    )
    return Plan(after, writes)


def _repeated(file: OrderFile, known: Tender, tender: Tender) -> Plan | Refusal:
    same = (known.provider, known.payment_id, known.captured_minor)
    if same == (tender.provider, tender.payment_id, tender.captured_minor):
        return Plan(file, ())
    return Refusal(
        RefusalCode.DUPLICATE_PAYMENT_DIFFERS,
        f"Tender {tender.tender_id!r} is known with another amount or payment; a second payment needs its own id.",
        "tender_id",
    )


def _first_payment(file: OrderFile, tender: Tender, now: datetime) -> tuple[Write, ...]:
    order = file.order
    funded = tuple(ledger.funded(fund, order.currency, now) for fund in file.funding)
    paid = RecordBuyerEvent(
        buyer_id=order.buyer_id,
        event_id=f"paid:{order.order_id}",
        kind=BuyerEventKind.ORDER_PAID,
        at=tender.captured_at,
        recorded_at=now,
        order_id=order.order_id,
        amount_minor=captured_minor(file.tenders),
    )
    body = {"amount_minor": tender.captured_minor, "currency": tender.currency}
    return (*funded, paid, Announce(ChangeKind.ORDER_PAID, now, order.shop_id, body))
