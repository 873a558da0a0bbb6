"""Refunds: money on its way back, one tender's share each; and what an operator does about one that nobody pays."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import Annotated
from uuid import UUID

from litestar.params import FromPath
from msgspec import Meta

from jitui.aftersales.changes import ProposeSettlement
from jitui.aftersales.commands.execute import Executed, IdempotentReply
from jitui.aftersales.commands.settle_refund import (
    ManualPayout,
    Outcome,
    confirm_settlement,
    reject_settlement,
    retry,
    settle,
)
from jitui.aftersales.model.refund import AttemptState, RefundState
from jitui.aftersales.model.sorting import SortOrder
from jitui.aftersales.model.ticket import ApprovedBy
from jitui.aftersales.model.view import Amount, TicketView
from jitui.aftersales.operations.refunds import RefundAction, RefundDetails, read_refund
from jitui.aftersales.outcomes import RefusalCode
from jitui.aftersales.ports import RefundRef
from jitui.aftersales.refund_list import ListedRefund, RefundFilter, RefundSort, place_of_refund
from jitui.entrypoints.http.cursors import place_in, sorted_page
from jitui.entrypoints.http.fields import Code, Cursor, Id, Kind, PageLimit, PositiveMoney, Time, Why, read_uuid
from jitui.entrypoints.http.mapping import shown, taken
from jitui.entrypoints.http.operation import NOTHING, PLATFORM, get, operation, post
from jitui.entrypoints.http.problems import FaultCollector, not_found
from jitui.entrypoints.http.read_body import read_body
from jitui.entrypoints.http.read_query import read_query
from jitui.entrypoints.http.reply import Answer, Reply, answer, respond
from jitui.entrypoints.http.request import RequestContext
from jitui.entrypoints.http.resources import sample
from jitui.entrypoints.http.resources.shared import Sent, Shown
from jitui.entrypoints.http.resources.ticket_view import headers_of_ticket, ticket_answer
from jitui.entrypoints.list_cursor import REFUNDS
from jitui.identity.access import Permission
from jitui.ids import lane_of_id

# Sent ------------------------------------------------------------------------------------------------------------


class RefundQuery(Sent, frozen=True, kw_only=True):
    """Filters of the list of refunds."""

    state: RefundState | None = None
    provider: Kind | None = None
    order_id: Id | None = None
    buyer_id: Id | None = None
    shop_id: Id | None = None
    approved_by: Annotated[ApprovedBy | None, Meta(description="Who approved the ticket.")] = None
    queued_from: Time | None = None
    queued_before: Time | None = None
    sort: Annotated[RefundSort, Meta(description="In one state by time. Amounts are sorted by currency first.")] = (
        RefundSort.QUEUED_AT
    )
    order: SortOrder = SortOrder.DESC
    cursor: Cursor | None = None
    limit: PageLimit = 50


class ManualPayoutSent(Sent, frozen=True, kw_only=True):
    """A refund was paid outside the provider: the evidence. The amount must be the refund's."""

    reference: Annotated[Code, Meta(description="The payment's own number, such as the bank's. Shown on the ticket.")]
    note: Annotated[Why, Meta(description="How it was paid and who checked. Shown to the platform alone.")]
    amount: PositiveMoney


class ConfirmationSent(Sent, frozen=True, kw_only=True):
    """Which proposed payment by hand is confirmed."""

    reference: Annotated[Code, Meta(description="The proposal's, as it was read.")]


class SettlementRejectionSent(Sent, frozen=True, kw_only=True):
    """Why a proposed payment by hand is rejected."""

    note: Why


# Shown -----------------------------------------------------------------------------------------------------------


class ProposalAnswer(Shown, frozen=True, kw_only=True):
    """A payment by hand that waits for a second person."""

    reference: str
    note: str
    by: str
    at: datetime


class RefundRow(Shown, frozen=True, kw_only=True):
    """A refund in a list; `reason` and `proposal` are for the platform alone."""

    refund_id: UUID
    ticket_id: UUID
    order_id: str
    shop_id: str
    tender_id: str
    provider: str
    state: RefundState
    amount: Amount
    approved_by: ApprovedBy | None
    queued_at: datetime
    closed_at: datetime | None
    reason: str
    proposal: ProposalAnswer | None = None


class RefundPage(Shown, frozen=True, kw_only=True):
    """A page of refunds; `next` is null on the last one. Everything that was committed at `as_of` is in it."""

    refunds: tuple[RefundRow, ...]
    next: str | None
    as_of: datetime
    lag_ms: int


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
    """How a refund was paid outside its provider."""

    reference: str
    note: str
    by: str
    at: datetime
    confirmed_by: str | None = None


class RefundAnswer(Shown, frozen=True, kw_only=True):
    """One tender's share of a ticket on its way back; what follows `closed_at` is for the platform alone."""

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
    proposal: ProposalAnswer | None = None
    actions: tuple[RefundAction, ...] = ()


_TAG = ["Refunds"]


# Reading -----------------------------------------------------------------------------------------------------------


@get(
    "/v1/refunds",
    tags=_TAG,
    summary="List refunds",
    description="Newest first, unless `sort` and `order` say otherwise. `queued_before`: those that are older. A "
    "shop's or buyer's key lists its own, without reasons. The list of a buyer or of an order is exact; in any other, "
    "what changed since `as_of` may be missing or stand where it was. Each row is shown as it is now.",
    opt=operation({200: RefundPage}, Permission.REFUNDS_READ, query=RefundQuery),
)
async def list_refunds(request: RequestContext) -> Reply:
    """Money on its way back, and what is held up."""
    query = read_query(request, RefundQuery)
    faults = FaultCollector()
    faults.time("queued_from", query.queued_from)
    faults.time("queued_before", query.queued_before)
    faults.settle()
    if not request.may_filter(shop_id=query.shop_id, buyer_id=query.buyer_id):
        return not_found()
    wanted = taken(
        RefundFilter,
        query,
        buyer_id=request.own_buyer or query.buyer_id,
        shop_id=request.own_shop or query.shop_id,
        after=place_in(REFUNDS, query.cursor, query.sort, query.order),
        limit=query.limit + 1,
    )
    found = await request.service.queries.refunds(wanted)
    rows, following = sorted_page(REFUNDS, found.refunds, query.limit, query.sort, query.order, place_of_refund)
    return answer(
        RefundPage(
            refunds=tuple(_row(request, row) for row in rows),
            next=following,
            as_of=found.as_of(request.service.clock()),
            lag_ms=found.lag_ms,
        )
    )


def _row(request: RequestContext, row: ListedRefund) -> RefundRow:
    of_ticket = {"shop_id": row.shop_id, "approved_by": row.approved_by}
    if request.key_scope is PLATFORM:
        return shown(RefundRow, row.refund, **of_ticket)
    return shown(RefundRow, row.refund, reason="", proposal=None, **of_ticket)


@get(
    "/v1/refunds/{refund_id:str}",
    tags=_TAG,
    summary="Read a refund",
    description="Attempts, reasons, settlement and what can be done now (`actions`) are shown to the platform alone.",
    opt=operation({200: RefundAnswer}, Permission.REFUNDS_READ),
)
async def get_refund(request: RequestContext, refund_id: FromPath[str]) -> Reply:
    """One tender's share on its way back."""
    ref, service = _ref(refund_id), request.service
    found = await read_refund(service.store, ref, service.manual_payment_rules) if ref is not None else None
    if found is None or not request.may_see(shop_id=found.shop_id, buyer_id=found.buyer_id):
        return not_found()
    return answer(_refund(request, found))


def _ref(refund_id: str) -> RefundRef | None:
    known = read_uuid(refund_id)
    return RefundRef(lane_of_id(known), known) if known is not None else None


def _refund(request: RequestContext, found: RefundDetails) -> RefundAnswer:
    if request.key_scope is PLATFORM:
        return shown(RefundAnswer, found.refund, attempts=found.attempts, actions=found.actions)
    return shown(RefundAnswer, found.refund, reason="", attempts=(), settlement=None, proposal=None, actions=())


# What an operator does ---------------------------------------------------------------------------------------------


@post(
    "/v1/refunds/{refund_id:str}/retry",
    tags=_TAG,
    summary="Retry a failed refund",
    description="A new attempt with a new key; the answer is the ticket.",
    opt=operation(
        {200: TicketView},
        Permission.REFUNDS_WRITE,
        idempotent=True,
        refusals=(
            RefusalCode.REFUND_NOT_FAILED,
            RefusalCode.DISPUTE_OPEN,
            RefusalCode.SETTLEMENT_PROPOSED,
            RefusalCode.PROVIDER_NOT_CONFIGURED,
        ),
    ),
)
async def retry_refund(request: RequestContext, refund_id: FromPath[str]) -> Reply:
    """Send a finally failed refund again, as a new attempt."""
    service, by = request.service, request.actor
    return await _done(
        request,
        refund_id,
        NOTHING,
        lambda ref, reply: retry(
            service.store, ref, service.manual_payment_rules, by=by, now=service.clock(), reply=reply
        ),
    )


@post(
    "/v1/refunds/{refund_id:str}/settle-manually",
    tags=_TAG,
    summary="Settle a failed refund by hand",
    description="The refund was paid outside its provider: it counts as paid, with the evidence, and is never sent "
    "again. Should the provider pay it after all, a task says so. Above the amount that one person may settle (a "
    "setting) the answer is 202: it waits for another person, and nothing moves. The answer is the ticket.",
    opt=operation(
        {200: TicketView, 202: TicketView},
        Permission.REFUNDS_WRITE,
        body=ManualPayoutSent,
        idempotent=True,
        refusals=(
            RefusalCode.REFUND_NOT_FAILED,
            RefusalCode.SETTLEMENT_DIFFERS,
            RefusalCode.SETTLEMENT_PROPOSED,
            RefusalCode.SECOND_PERSON_NEEDED,
        ),
    ),
)
async def settle_refund(request: RequestContext, refund_id: FromPath[str]) -> Reply:
    """Say with evidence that a finally failed refund was paid outside its provider."""
    sent = await read_body(request, ManualPayoutSent)
    payout = ManualPayout(sent.reference, sent.note, sent.amount.amount_minor, sent.amount.currency)
    service, by = request.service, request.actor
    return await _done(
        request,
        refund_id,
        sent,
        lambda ref, reply: settle(
            service.store, ref, payout, service.manual_payment_rules, by=by, now=service.clock(), reply=reply
        ),
    )


@post(
    "/v1/refunds/{refund_id:str}/confirm-settlement",
    tags=_TAG,
    summary="Confirm a payment by hand",
    description="By another person (another key) than the one who proposed it: the refund is settled. The answer is "
    "the ticket.",
    opt=operation(
        {200: TicketView},
        Permission.REFUNDS_WRITE,
        body=ConfirmationSent,
        idempotent=True,
        refusals=(
            RefusalCode.SETTLEMENT_NOT_PROPOSED,
            RefusalCode.SECOND_PERSON_NEEDED,
            RefusalCode.SETTLEMENT_DIFFERS,
            RefusalCode.REFUND_NOT_FAILED,
        ),
    ),
)
async def confirm_refund_settlement(request: RequestContext, refund_id: FromPath[str]) -> Reply:
    """The second person's word on a payment by hand."""
    sent = await read_body(request, ConfirmationSent)
    service, by = request.service, request.actor
    return await _done(
        request,
        refund_id,
        sent,
        lambda ref, reply: confirm_settlement(
            service.store, ref, sent.reference, service.manual_payment_rules, by=by, now=service.clock(), reply=reply
        ),
    )


@post(
    "/v1/refunds/{refund_id:str}/reject-settlement",
    tags=_TAG,
    summary="Reject a payment by hand",
    description="A proposed payment by hand is taken back, by who proposed it or by another person; the refund stays "
    "as it was. The answer is the ticket.",
    opt=operation(
        {200: TicketView},
        Permission.REFUNDS_WRITE,
        body=SettlementRejectionSent,
        idempotent=True,
        refusals=(RefusalCode.SETTLEMENT_NOT_PROPOSED,),
    ),
)
async def reject_refund_settlement(request: RequestContext, refund_id: FromPath[str]) -> Reply:
    """A payment by hand is not to count."""
    sent = await read_body(request, SettlementRejectionSent)
    service, by = request.service, request.actor
    return await _done(
        request,
        refund_id,
        sent,
        lambda ref, reply: reject_settlement(service.store, ref, sent.note, by=by, now=service.clock(), reply=reply),
    )


_Command = Callable[[RefundRef, IdempotentReply | None], Awaitable[Outcome]]


async def _done(request: RequestContext, refund_id: str, sent: object, command: _Command) -> Reply:
    """Run a command on a refund; its answer is the ticket, 202 where it waits for a second person."""
    ref = _ref(refund_id)
    if ref is None:
        return not_found()
    return await respond(
        request, sent, lambda reply: command(ref, reply), lambda done: _ticket(request, done), headers_of_ticket
    )


def _ticket(request: RequestContext, done: Executed) -> Answer:
    assert done.ticket_id is not None
    waits = any(isinstance(change, ProposeSettlement) and change.proposal is not None for change in done.changes)
    return ticket_answer(request, done.snapshot, done.ticket_id, status=202 if waits else 200)


HANDLERS = (
    list_refunds,
    get_refund,
    retry_refund,
    settle_refund,
    confirm_refund_settlement,
    reject_refund_settlement,
)

_SUCCEEDED = RefundAnswer(
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
)
EXAMPLES = (
    ManualPayoutSent(
        reference="BANK-20260601-0042",
        note="The card was closed; paid to the buyer's bank account.",
        amount=PositiveMoney(12900, "CNY"),
    ),
    ConfirmationSent(reference="BANK-20260601-0042"),
    SettlementRejectionSent(note="The bank knows no such transfer."),
    _SUCCEEDED,
    RefundPage(
        refunds=(
            shown(
                RefundRow,
                _SUCCEEDED,
                amount=sample.FULL,
                shop_id="s-1",
                approved_by=ApprovedBy.INSTANT_REFUND,
            ),
        ),
        next=None,
        as_of=sample.REFUNDED_AT,
        lag_ms=400,
    ),
)
