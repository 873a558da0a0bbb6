"""Payments of an order, and the card disputes about them."""

from __future__ import annotations

from typing import Annotated

from litestar.params import FromPath
from msgspec import Meta

from jitui.aftersales.commands.dispute import record_dispute
from jitui.aftersales.commands.intake import capture_payment
from jitui.aftersales.model.order import Dispute, DisputeState, Tender
from jitui.aftersales.outcomes import RefusalCode
from jitui.entrypoints.http.fields import Code, Kind, PositiveMinor, PositiveMoney, Text, Time
from jitui.entrypoints.http.mapping import taken
from jitui.entrypoints.http.operation import operation, post
from jitui.entrypoints.http.problems import FaultCollector, not_found
from jitui.entrypoints.http.read_body import read_body
from jitui.entrypoints.http.reply import Reply, respond
from jitui.entrypoints.http.request import RequestContext
from jitui.entrypoints.http.resources import sample
from jitui.entrypoints.http.resources.order_view import OrderAnswer, find_order, recorded
from jitui.entrypoints.http.resources.shared import Sent
from jitui.identity.access import Permission


class PaymentSent(Sent, frozen=True, kw_only=True):
    """A captured payment: `provider` and `payment_id` name it; `amount` is what was captured with it so far."""

    tender_id: Code
    provider: Kind
    payment_id: Code
    amount: PositiveMoney
    captured_at: Time
    payment_total_minor: Annotated[
        PositiveMinor | None,
        Meta(description="For a payment that several orders of the buyer share: all of it, the same on each order."),
    ] = None


class DisputeSent(Sent, frozen=True, kw_only=True):
    """A card dispute on a payment of the order; `amount` is what the buyer claims from the bank."""

    dispute_id: Code
    tender_id: Code
    state: DisputeState
    amount: PositiveMoney
    happened_at: Time
    reason: Text = ""


_TAG = ["Orders"]


@post(
    "/v1/orders/{order_id:str}/payments",
    tags=_TAG,
    summary="Record a captured payment",
    description="201 for new money, 200 for what is known already. Within an order a provider's payment is one "
    "tender: the amount is what was captured with it so far, and a larger one is a later capture. Money for goods "
    "that were refunded already is decided again, and goes back at once or to review.",
    opt=operation(
        {201: OrderAnswer, 200: OrderAnswer},
        Permission.PAYMENTS_WRITE,
        body=PaymentSent,
        idempotent=True,
        refusals=(
            RefusalCode.CURRENCY_MISMATCH,
            RefusalCode.DUPLICATE_PAYMENT_DIFFERS,
            RefusalCode.PAYMENT_BELONGS_TO_ANOTHER,
            RefusalCode.PAYMENT_TOTAL_DIFFERS,
            RefusalCode.PAYMENT_TOTAL_EXCEEDED,
            RefusalCode.PROVIDER_NOT_CONFIGURED,
        ),
    ),
)
async def record_payment(request: RequestContext, order_id: FromPath[str]) -> Reply:
    """Record a captured payment."""
    sent = await read_body(request, PaymentSent)
    faults = FaultCollector()
    faults.time("captured_at", sent.captured_at)
    faults.settle()
    ref = await find_order(request, order_id)
    if ref is None:
        return not_found()
    tender = taken(Tender, sent, currency=sent.amount.currency, captured_minor=sent.amount.amount_minor)
    service = request.service
    decision_settings = await service.decision_settings()
    return await respond(
        request,
        sent,
        lambda reply: capture_payment(
            service.store,
            ref,
            tender,
            decision_settings,
            now=service.clock(),
            reply=reply,
        ),
        lambda done: recorded(request, done),
    )


@post(
    "/v1/orders/{order_id:str}/disputes",
    tags=_TAG,
    summary="Record a card dispute",
    description="While it is `open`, nothing of the order is refunded at once. `lost` lowers what its payment can "
    "still give by the dispute's amount, and opens a task where that was refunded already; `won` frees the order. "
    "The same again changes nothing (200). Stripe tells of its disputes itself.",
    opt=operation(
        {201: OrderAnswer, 200: OrderAnswer},
        Permission.DISPUTES_WRITE,
        body=DisputeSent,
        idempotent=True,
        refusals=(RefusalCode.UNKNOWN_TENDER, RefusalCode.DISPUTE_DIFFERS, RefusalCode.CURRENCY_MISMATCH),
    ),
)
async def record_a_dispute(request: RequestContext, order_id: FromPath[str]) -> Reply:
    """Record that a card dispute was opened, won or lost."""
    sent = await read_body(request, DisputeSent)
    faults = FaultCollector()
    faults.time("happened_at", sent.happened_at)
    faults.settle()
    ref = await find_order(request, order_id)
    if ref is None:
        return not_found()
    told = taken(
        Dispute,
        sent,
        provider="",  # the tender's is used
        amount_minor=sent.amount.amount_minor,
        currency=sent.amount.currency,
        opened_at=sent.happened_at,
        closed_at=None if sent.state is DisputeState.OPEN else sent.happened_at,
    )
    service = request.service
    return await respond(
        request,
        sent,
        lambda reply: record_dispute(
            service.store,
            ref,
            told,
            now=service.clock(),
            reply=reply,
        ),
        lambda done: recorded(request, done),
    )


HANDLERS = (record_payment, record_a_dispute)

EXAMPLES = (
    PaymentSent(
        tender_id="t1",
        provider="simulator",
        payment_id="pay-1001",
        amount=PositiveMoney(12900, "CNY"),
        captured_at=sample.PAID_AT,
    ),
    DisputeSent(
        dispute_id="dp-1",
        tender_id="t1",
        state=DisputeState.OPEN,
        amount=PositiveMoney(12900, "CNY"),
        happened_at=sample.PAID_AT,
        reason="not received",
    ),
)
