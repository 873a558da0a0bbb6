"""Records orders and captured payments."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

from jitui.aftersales import ledger
from jitui.aftersales.apply import apply_all
from jitui.aftersales.changes import (
    Announce,
    BuyerEventKind,
    CaptureMore,
    CaptureTender,
    Change,
    ClaimPayment,
    OpenTask,
    OutgoingEventKind,
    RecordBuyerEvent,
    SharePayment,
    StatePaymentTotal,
)
from jitui.aftersales.commands.execute import Executed, IdempotentReply, Plan, execute
from jitui.aftersales.commands.later_money import capture_query, plan_later_money
from jitui.aftersales.commands.request_refund import DecisionSettings
from jitui.aftersales.model.order import Tender, captured_minor
from jitui.aftersales.model.snapshot import OrderSnapshot
from jitui.aftersales.model.task import NewTask, TaskKind
from jitui.aftersales.model.ticket import APPROVED_STATES
from jitui.aftersales.outcomes import Refusal, RefusalCode, StoredResponse
from jitui.aftersales.ports import (
    DecisionInputs,
    KnownPayment,
    NewOrder,
    OrderRef,
    OrderTaken,
    PaymentName,
    Store,
)
from jitui.errors import Overtaken
from jitui.ids import lane_of


async def put_order(store: Store, new: NewOrder, *, now: datetime) -> OrderTaken | Refusal:
    """Create an order, or replace it while it has no ticket, no shipment and no completion; its payments stay.

    A line is customised (or virtual) when the line or its category says so; it is not when one of them says no and
    neither says yes; otherwise it is unknown (R2).
    """
    ref = OrderRef(lane_of(new.buyer_id), new.order_id)
    return await store.put_order(ref, new, now)


async def capture_payment(
    store: Store,
    ref: OrderRef,
    tender: Tender,
    decision_settings: DecisionSettings,
    *,
    now: datetime,
    reply: IdempotentReply | None = None,
) -> Executed | Refusal | StoredResponse:
    """Record how much was captured with a payment so far; a provider's payment is one tender of the order.

    The same amount again changes nothing, a larger one is a later capture, a smaller one is refused (T28). New money
    through a provider that cannot refund it here is refused. Money for goods that were refunded already is decided
    again (T33).
    """
    name = PaymentName(tender.provider, tender.payment_id)
    query = replace(capture_query(decision_settings, now), payment=name)

    def plan(snapshot: OrderSnapshot, inputs: DecisionInputs) -> Plan | Refusal:
        return plan_payment(snapshot, inputs, tender, decision_settings, now)

    try:
        return await execute(store, ref, plan, query=query, reply=reply)
    except Overtaken:  # Another buyer's order recorded the payment meanwhile; a second try sees that, and refuses.
        return await execute(store, ref, plan, query=query, reply=reply)


def plan_payment(
    snapshot: OrderSnapshot, inputs: DecisionInputs, tender: Tender, decision_settings: DecisionSettings, now: datetime
) -> Plan | Refusal:
    """Plan the changes of a capture: payment, ledger, history and feed (first payment only), and later refunds."""
    known = next((other for other in snapshot.tenders if _name(other) == _name(tender)), None)
    refused = _refused(snapshot, inputs.payment, known, tender) or _unrefundable(known, tender, decision_settings)
    if refused is not None:
        return refused
    if known is None:
        captured = _captured(snapshot, inputs.payment, tender, now)
    else:
        captured = (*_captured_more(known, tender, now), *_shared(known, tender))
    if not captured:
        return Plan()
    after = apply_all(snapshot, captured)
    later = plan_later_money(after, inputs, decision_settings, tender, now)
    return Plan((*captured, *later, *_surplus_task(snapshot, after, tender, now)))


def _surplus_task(before: OrderSnapshot, after: OrderSnapshot, tender: Tender, now: datetime) -> tuple[OpenTask, ...]:
    """A task for captured money above the sum of lines and freight, when nothing is left that it could pay for."""
    stated_minor = sum(line.paid_minor for line in after.lines) + after.order.freight_minor
    surplus_minor = captured_minor(after.tenders) - max(stated_minor, captured_minor(before.tenders))
    nothing_left = stated_minor == 0 or any(ticket.state in APPROVED_STATES for ticket in before.tickets)
    if surplus_minor <= 0 or not nothing_left:
        return ()
    task = NewTask(
        name=f"captured_above_order:{after.order.order_id}:{tender.provider}:{tender.payment_id}:{tender.captured_minor}",
        kind=TaskKind.CAPTURED_AFTER_REFUND,
        provider=tender.provider,
        order_id=after.order.order_id,
        amount_minor=surplus_minor,
        currency=tender.currency,
        evidence={"payment_id": tender.payment_id, "captured_above_order_minor": surplus_minor},
        opened_at=now,
    )
    return (OpenTask(task.task_id, task),)


def _name(tender: Tender) -> tuple[str, str]:
    return tender.provider, tender.payment_id


def _refused(snapshot: OrderSnapshot, elsewhere: KnownPayment, known: Tender | None, tender: Tender) -> Refusal | None:
    if tender.currency != snapshot.order.currency:
        return Refusal(
            RefusalCode.CURRENCY_MISMATCH,
            f"The order is in {snapshot.order.currency}, the payment in {tender.currency}.",
            "amount.currency",
        )
    if elsewhere.currency not in (None, tender.currency):
        return Refusal(
            RefusalCode.CURRENCY_MISMATCH,
            f"This payment is in {elsewhere.currency} on another order.",
            "amount.currency",
        )
    if elsewhere.buyer_id not in (None, snapshot.order.buyer_id):
        return Refusal(
            RefusalCode.PAYMENT_BELONGS_TO_ANOTHER,
            f"{tender.provider} payment {tender.payment_id!r} paid another buyer's order.",
            "payment_id",
        )
    if known is None and any(other.tender_id == tender.tender_id for other in snapshot.tenders):
        return Refusal(
            RefusalCode.DUPLICATE_PAYMENT_DIFFERS,
            f"Tender {tender.tender_id!r} is known with another payment; a second payment needs its own id.",
            "tender_id",
        )
    if known is not None and tender.captured_minor < known.captured_minor:
        return Refusal(
            RefusalCode.DUPLICATE_PAYMENT_DIFFERS,
            f"Of this payment {known.captured_minor} was captured already; send what was captured in all.",
            "amount.amount_minor",
        )
    return _total_refused(elsewhere, known, tender)


def _unrefundable(known: Tender | None, tender: Tender, decision_settings: DecisionSettings) -> Refusal | None:
    """Money that nobody here could give back; what is recorded already may be told again."""
    if tender.provider in decision_settings.providers:
        return None
    if known is not None and tender.captured_minor == known.captured_minor:
        return None
    here = ", ".join(sorted(decision_settings.providers)) or "none is configured"
    return Refusal(
        RefusalCode.PROVIDER_NOT_CONFIGURED,
        f"This installation cannot refund through {tender.provider!r} ({here}); configure the provider, then record "
        "the payment.",
        "provider",
    )


def _total_refused(elsewhere: KnownPayment, known: Tender | None, tender: Tender) -> Refusal | None:
    """Why a payment for several orders is refused: every part has the same total, and their sum stays within it."""
    said = tender.payment_total_minor
    before = known.payment_total_minor if known is not None else elsewhere.total_minor
    if said is None and known is None and elsewhere.parts:
        return Refusal(
            RefusalCode.PAYMENT_TOTAL_DIFFERS,
            "This payment is recorded on another order: a payment for several orders says payment_total_minor on each.",
            "payment_total_minor",
        )
    if said is not None and elsewhere.parts and elsewhere.total_minor is None:
        return Refusal(
            RefusalCode.PAYMENT_TOTAL_DIFFERS,
            "This payment is recorded on another order without a total: send that one again with payment_total_minor.",
            "payment_total_minor",
        )
    if None not in (said, before) and said != before:
        return Refusal(
            RefusalCode.PAYMENT_TOTAL_DIFFERS,
            f"The payment's total was said to be {before}, now {said}.",
            "payment_total_minor",
        )
    total_minor = said if said is not None else before
    if total_minor is not None and elsewhere.parts_minor + tender.captured_minor > total_minor:
        return Refusal(
            RefusalCode.PAYMENT_TOTAL_EXCEEDED,
            f"Of {total_minor} captured with this payment, {elsewhere.parts_minor} paid other orders.",
            "amount.amount_minor",
        )
    return None


def _captured(snapshot: OrderSnapshot, elsewhere: KnownPayment, tender: Tender, now: datetime) -> tuple[Change, ...]:
    return (
        *(() if elsewhere.buyer_id is not None else (ClaimPayment(tender.provider, tender.payment_id),)),
        *_share(tender, tender.payment_total_minor, tender.captured_minor),
        CaptureTender(tender),
        ledger.captured(tender),
        *(_first_payment(snapshot, tender, now) if not snapshot.tenders else ()),
    )


def _captured_more(known: Tender, told: Tender, now: datetime) -> tuple[Change, ...]:
    more_minor = told.captured_minor - known.captured_minor
    if more_minor <= 0:
        return ()
    return (
        *_share(known, known.payment_total_minor, more_minor),
        CaptureMore(known.tender_id, more_minor),
        ledger.captured_more(replace(known, captured_minor=told.captured_minor), more_minor, now),
    )


def _shared(known: Tender, told: Tender) -> tuple[Change, ...]:
    """The changes when a payment that was recorded for this order alone is reported as shared with other orders."""
    if known.payment_total_minor is not None or told.payment_total_minor is None:
        return ()
    return (
        *_share(known, told.payment_total_minor, told.captured_minor),
        StatePaymentTotal(known.tender_id, told.payment_total_minor),
    )


def _share(tender: Tender, total_minor: int | None, amount_minor: int) -> tuple[Change, ...]:
    return () if total_minor is None else (SharePayment(tender.provider, tender.payment_id, total_minor, amount_minor),)


def _first_payment(snapshot: OrderSnapshot, tender: Tender, now: datetime) -> tuple[Change, ...]:
    order = snapshot.order
    funded = tuple(ledger.funded(fund, order.currency, now) for fund in snapshot.funding)
    paid = RecordBuyerEvent(
        buyer_id=order.buyer_id,
        event_id=f"paid:{order.order_id}",
        kind=BuyerEventKind.ORDER_PAID,
        at=tender.captured_at,
        recorded_at=now,
        order_id=order.order_id,
        amount_minor=tender.captured_minor,
    )
    body = {"amount_minor": tender.captured_minor, "currency": tender.currency}
    return (*funded, paid, Announce(OutgoingEventKind.ORDER_PAID, now, order.shop_id, body))
