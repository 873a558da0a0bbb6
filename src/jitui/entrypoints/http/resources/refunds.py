"""Refunds: money on its way back, one tender's share each."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated
from uuid import UUID

from litestar.params import FromPath
from msgspec import Meta

from jitui.aftersales.commands.execute import Executed
from jitui.aftersales.commands.settle_refund import ManualPayout, retry, settle
from jitui.aftersales.model.refund import Attempt, AttemptState, Refund, RefundState
from jitui.aftersales.model.view import Amount, TicketView
from jitui.aftersales.outcomes import RefusalCode
from jitui.aftersales.ports import RefundRef
from jitui.entrypoints.http.fields import Code, PositiveMoney, Why, read_uuid
from jitui.entrypoints.http.mapping import shown
from jitui.entrypoints.http.operation import EVERY_SCOPE, NOTHING, PLATFORM, get, operation, post
from jitui.entrypoints.http.problems import not_found
from jitui.entrypoints.http.read_body import read_body
from jitui.entrypoints.http.reply import Answer, Reply, answer, respond
from jitui.entrypoints.http.request import RequestContext
from jitui.entrypoints.http.resources import sample
from jitui.entrypoints.http.resources.shared import Sent, Shown
from jitui.entrypoints.http.resources.ticket_view import headers_of_ticket, ticket_answer
from jitui.ids import lane_of_id


class ManualPayoutSent(Sent, frozen=True, kw_only=True):
    """The evidence that a failed refund was paid outside the provider; the amount must be the refund's."""

    reference: Annotated[Code, Meta(description="The payment's own number, such as the bank's. Shown on the ticket.")]
    note: Annotated[Why, Meta(description="How it was paid and who checked. Shown to the platform alone.")]
    amount: PositiveMoney


class AttemptAnswer(Shown, frozen=True, kw_only=True):
    """One call to the provider."""

    attempt_id: UUID
    attempt_no: int
    state: AttemptState
    started_at: datetime
    news_at: datetime | None
    provider_refund_id: str | None
    reason: str


class SettlementAnswer(Shown, frozen=True, kw_only=True):
    """How an operator paid a failed refund outside its provider."""

    reference: str
    note: str
    by: str
    at: datetime


class RefundAnswer(Shown, frozen=True, kw_only=True):
    """One tender's share of a ticket on its way back; attempts, reasons and settlement only for the platform."""

    refund_id: UUID
    ticket_id: UUID
    order_id: str
    tender_id: str
    provider: str
    state: RefundState
    amount: Amount
    queued_at: datetime
    closed_at: datetime | None
    reason: str
    attempts: tuple[AttemptAnswer, ...]
    settlement: SettlementAnswer | None = None


_TAG = ["Refunds"]


@get(
    "/v1/refunds/{refund_id:str}",
    tags=_TAG,
    summary="Read a refund",
    description="Attempts and reasons are shown to the platform alone.",
    opt=operation({200: RefundAnswer}, EVERY_SCOPE),
)
async def get_refund(request: RequestContext, refund_id: FromPath[str]) -> Reply:
    """One tender's share on its way back."""
    ref = _ref(refund_id)
    found = await request.service.queries.refund(ref) if ref is not None else None
    if ref is None or found is None:
        return not_found()
    if request.key_scope is not PLATFORM:
        snapshot = await request.service.store.read_order(ref)
        if snapshot is None or not request.may_see(shop_id=snapshot.order.shop_id, buyer_id=snapshot.order.buyer_id):
            return not_found()
    return answer(_refund(request, *found))


def _ref(refund_id: str) -> RefundRef | None:
    known = read_uuid(refund_id)
    return RefundRef(lane_of_id(known), known) if known is not None else None


def _refund(request: RequestContext, refund: Refund, attempts: Sequence[Attempt]) -> RefundAnswer:
    if request.key_scope is PLATFORM:
        return shown(RefundAnswer, refund, attempts=tuple(attempts))
    return shown(RefundAnswer, refund, reason="", attempts=(), settlement=None)


@post(
    "/v1/refunds/{refund_id:str}/settle-manually",
    tags=_TAG,
    summary="Settle a failed refund by hand",
    description="The refund was paid outside its provider: it counts as paid, with the evidence, and is never sent "
    "again. Should the provider pay it after all, a task says so. The answer is the ticket.",
    opt=operation(
        {200: TicketView},
        [PLATFORM],
        body=ManualPayoutSent,
        idempotent=True,
        refusals=(RefusalCode.REFUND_NOT_FAILED, RefusalCode.SETTLEMENT_DIFFERS),
    ),
)
async def settle_refund(request: RequestContext, refund_id: FromPath[str]) -> Reply:
    """Say with evidence that a finally failed refund was paid outside its provider."""
    sent = await read_body(request, ManualPayoutSent)
    ref = _ref(refund_id)
    if ref is None:
        return not_found()
    payout = ManualPayout(sent.reference, sent.note, sent.amount.amount_minor, sent.amount.currency)
    service, by = request.service, request.actor
    return await respond(
        request,
        sent,
        lambda reply: settle(
            service.store,
            ref,
            payout,
            by=by,
            now=service.clock(),
            reply=reply,
        ),
        lambda done: _ticket(request, done),
        headers_of_ticket,
    )


@post(
    "/v1/refunds/{refund_id:str}/retry",
    tags=_TAG,
    summary="Retry a failed refund",
    description="A new attempt with a new key; the answer is the ticket.",
    opt=operation(
        {200: TicketView},
        [PLATFORM],
        idempotent=True,
        refusals=(RefusalCode.REFUND_NOT_FAILED, RefusalCode.DISPUTE_OPEN),
    ),
)
async def retry_refund(request: RequestContext, refund_id: FromPath[str]) -> Reply:
    """Send a finally failed refund again, as a new attempt."""
    ref = _ref(refund_id)
    if ref is None:
        return not_found()
    service, by = request.service, request.actor
    return await respond(
        request,
        NOTHING,
        lambda reply: retry(
            service.store,
            ref,
            by=by,
            now=service.clock(),
            reply=reply,
        ),
        lambda done: _ticket(request, done),
        headers_of_ticket,
    )


def _ticket(request: RequestContext, done: Executed) -> Answer:
    assert done.ticket_id is not None
    return ticket_answer(request, done.snapshot, done.ticket_id)


HANDLERS = (get_refund, retry_refund, settle_refund)

EXAMPLES = (
    ManualPayoutSent(
        reference="BANK-20260601-0042",
        note="The card was closed; paid to the buyer's bank account.",
        amount=PositiveMoney(12900, "CNY"),
    ),
    RefundAnswer(
        refund_id=sample.REFUND_ID,
        ticket_id=sample.TICKET_ID,
        order_id="o-1001",
        tender_id="t1",
        provider="simulator",
        state=RefundState.SUCCEEDED,
        amount=sample.FULL,
        queued_at=sample.ASKED_AT,
        closed_at=sample.REFUNDED_AT,
        reason="",
        attempts=(
            AttemptAnswer(
                attempt_id=sample.ATTEMPT_ID,
                attempt_no=1,
                state=AttemptState.SUCCEEDED,
                started_at=sample.ASKED_AT,
                news_at=sample.REFUNDED_AT,
                provider_refund_id="rf_1",
                reason="",
            ),
        ),
    ),
)
