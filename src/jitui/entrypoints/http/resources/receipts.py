"""Receipts of requests, and the statement of reasons of a rejection."""

from __future__ import annotations

import asyncio
from base64 import b64encode
from collections.abc import Mapping
from typing import Annotated
from uuid import UUID

from litestar.params import FromPath
from msgspec import Meta

from jitui.aftersales.governance.rejection import rejection_of, statement_of_rejection
from jitui.aftersales.model.receipt import (
    Receipt,
    ReceiptContent,
    ReceiptDecision,
    ReceiptLine,
    ReceiptReason,
)
from jitui.aftersales.model.review import ARBITRATION_WINDOW
from jitui.aftersales.model.ticket import TicketState
from jitui.aftersales.ports import TicketRef
from jitui.entrypoints.http.exchange import Headers
from jitui.entrypoints.http.fields import Time
from jitui.entrypoints.http.operation import JSON, get, operation
from jitui.entrypoints.http.problems import PDF_NOT_AVAILABLE, Problem, not_found
from jitui.entrypoints.http.read_headers import read_accept
from jitui.entrypoints.http.read_query import read_query
from jitui.entrypoints.http.reply import Answer, Reply, answer
from jitui.entrypoints.http.request import RequestContext
from jitui.entrypoints.http.resources import sample
from jitui.entrypoints.http.resources.shared import Sent, Shown
from jitui.entrypoints.http.resources.ticket_view import TICKET_TAG, find_ticket
from jitui.errors import NotConfigured
from jitui.identity.access import Permission
from jitui.notices.model import MailLanguage
from jitui.notices.pages import receipt_html
from jitui.notices.receipt_pdf import receipt_pdf
from jitui.notices.receipt_view import view_receipt
from jitui.settings import Language

HTML, PDF = "text/html", "application/pdf"


class ReceiptQuery(Sent, frozen=True, kw_only=True):
    """In which language a page or a PDF is; the content is the same."""

    language: Annotated[MailLanguage | None, Meta(description="Without it: the platform's.")] = None


class StatementOfReasons(Shown, frozen=True, kw_only=True):
    """Why a request was rejected or closed, as the buyer reads it, and until when the platform can be asked."""

    ticket_id: UUID
    statement: Mapping[str, str]
    contest_by: Annotated[Time | None, Meta(description="Null where there is nothing to contest.")]


@get(
    "/v1/after-sales/{ticket_id:str}/receipt",
    tags=TICKET_TAG,
    summary="Read the receipt of a request",
    description="What was acknowledged when the request was taken in. It never changes: as JSON it is the very text "
    "whose SHA-256 is kept beside it, in `Content-Digest` and `ETag`. `Accept: text/html` gives a page that stands "
    "alone, `Accept: application/pdf` a document. A ticket that no request of the buyer's opened has none.",
    opt=operation(
        {200: ReceiptContent},
        Permission.TICKETS_READ,
        query=ReceiptQuery,
        problems=(PDF_NOT_AVAILABLE,),
        other_media={HTML: str, PDF: bytes},
    ),
)
async def get_receipt(request: RequestContext, ticket_id: FromPath[str]) -> Reply:
    """Return what was acknowledged to the buyer."""
    query = read_query(request, ReceiptQuery)
    found = await find_ticket(request, ticket_id)
    if found is None:
        return not_found()
    ticket = found[1]
    receipt = await request.service.receipts.receipt(TicketRef(ticket.lane, ticket.ticket_id))
    if receipt is None:
        return not_found()
    media = read_accept(request.scope["headers"], (JSON, HTML, PDF))
    if media == JSON:
        return Answer(200, receipt.content.encode(), _headers(receipt))
    view = view_receipt(receipt, query.language or _own_language(request))
    if media == HTML:
        return Answer(200, receipt_html(view), _headers(receipt), f"{HTML}; charset=utf-8")
    try:
        document = await asyncio.to_thread(receipt_pdf, view, receipt.read.requested_at)
    except NotConfigured as error:
        return Problem(PDF_NOT_AVAILABLE, str(error))
    disposition = ("content-disposition", f'attachment; filename="receipt-{ticket.ticket_id}.pdf"')
    return Answer(200, document, (*_headers(receipt), disposition), PDF)


@get(
    "/v1/after-sales/{ticket_id:str}/statement-of-reasons",
    tags=TICKET_TAG,
    summary="Read why a request was rejected",
    description="In both languages, with the way to contest it. A ticket that was not rejected or closed has none.",
    opt=operation({200: StatementOfReasons}, Permission.TICKETS_READ),
)
async def get_statement_of_reasons(request: RequestContext, ticket_id: FromPath[str]) -> Reply:
    """Return the statement of reasons of a rejection."""
    found = await find_ticket(request, ticket_id)
    if found is None:
        return not_found()
    snapshot, ticket = found
    event = rejection_of(snapshot, ticket)
    statement = statement_of_rejection(snapshot, ticket, request.service.settings.time_zone)
    if event is None or statement is None:
        return not_found()
    contest_by = event.at + ARBITRATION_WINDOW if ticket.state is TicketState.REJECTED else None
    return answer(StatementOfReasons(ticket_id=ticket.ticket_id, statement=statement, contest_by=contest_by))


def _headers(receipt: Receipt) -> Headers:
    """Of the content, whichever way it is shown: so a page can be compared with the text that was kept."""
    digest = b64encode(bytes.fromhex(receipt.sha256)).decode()
    return (
        ("etag", f'"{receipt.sha256}"'),
        ("content-digest", f"sha-256=:{digest}:"),
        ("cache-control", "private"),
        ("vary", "Accept, Authorization"),
    )


def _own_language(request: RequestContext) -> MailLanguage:
    return MailLanguage.ZH if request.service.settings.language is Language.ZH_CN else MailLanguage.EN


HANDLERS = (get_receipt, get_statement_of_reasons)

EXAMPLES = (
    ReceiptContent(
        format=1,
        ticket_id=str(sample.TICKET_ID),
        order_id="o-1001",
        shop_id="s-1",
        basis="withdrawal",
        reason="no_longer_wanted",
        requested_at="2026-06-01T20:00:00+08:00",
        time_zone="Asia/Shanghai",
        currency="CNY",
        amount_minor=12900,
        freight_minor=0,
        lines=(ReceiptLine("l1", "sku-1", "Cotton shirt, white", 1, 12900),),
        decision=ReceiptDecision(
            outcome="instant",
            policy_id="statutory-withdrawal",
            policy_version="1",
            reasons=(ReceiptReason("unshipped", "true", {"zh": "订单未发货", "en": "The order is unshipped"}),),
        ),
    ),
    StatementOfReasons(
        ticket_id=sample.TICKET_ID,
        statement={"zh": "商家拒绝的原因：已经发出。", "en": "The shop's reason: it has left."},
        contest_by=sample.REFUNDED_AT,
    ),
)
