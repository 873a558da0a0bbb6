"""What a notice says, read at the moment that it is sent: nothing of it is stored in the queue."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID
from zoneinfo import ZoneInfo

from jitui.aftersales.governance.appeals import Appeals, AppealState
from jitui.aftersales.governance.complaint import Complaints, ContestOutcome
from jitui.aftersales.governance.registry import Registry
from jitui.aftersales.governance.rejection import statement_of_rejection
from jitui.aftersales.governance.statement_of_reasons import statement_of
from jitui.aftersales.model.receipt import Receipt
from jitui.aftersales.model.snapshot import OrderSnapshot
from jitui.aftersales.model.ticket import APPROVED_STATES, ApprovedBy, Basis, Ticket, TicketState
from jitui.aftersales.ports import Store, TicketRef
from jitui.aftersales.queries import Receipts
from jitui.money import localised_amount
from jitui.notices import words
from jitui.notices.model import MailLanguage, Notice, NoticeKind
from jitui.notices.receipt_view import LOCALES
from jitui.notices.words import said
from jitui.text import visible

_AT_ONCE = frozenset({ApprovedBy.INSTANT_REFUND, ApprovedBy.WITHDRAWAL})


@dataclass(frozen=True, slots=True)
class Sources:
    """Where notices read what they say."""

    store: Store
    receipts: Receipts
    registry: Registry
    appeals: Appeals
    complaints: Complaints
    time_zone: ZoneInfo
    appeal_answer_days: int
    console_url: str | None = None


@dataclass(frozen=True, slots=True)
class Content:
    """The values of a notice's template, as texts, and the receipt that goes with it."""

    values: Mapping[str, str | bool]
    receipt: Receipt | None = None


Says = Callable[[MailLanguage], Content]


async def content_of(sources: Sources, notice: Notice) -> Says | None:
    """What the notice says, in whichever language; None when there is nothing to say any more.

    A reminder about a ticket that was decided meanwhile, or a restriction that was lifted, is such a one; so is
    everything about a buyer who was erased.
    """
    return await _READERS[notice.kind](sources, notice)


# Of tickets ------------------------------------------------------------------------------------------------------


async def _of_ticket(sources: Sources, notice: Notice) -> Says | None:
    ref = TicketRef(notice.lane, UUID(notice.subject))
    snapshot = await sources.store.read_order(ref)
    if snapshot is None or snapshot.buyer.erased:
        return None
    ticket = snapshot.ticket(ref.ticket_id)
    if not _still_says(notice.kind, snapshot, ticket):
        return None
    receipt = await sources.receipts.receipt(ref) if notice.kind is NoticeKind.REQUEST_RECEIVED else None
    statement = statement_of_rejection(snapshot, ticket, sources.time_zone) or {}

    def says(language: MailLanguage) -> Content:
        return Content(_ticket_values(sources, ticket, statement, language), receipt)

    return says


def _still_says(kind: NoticeKind, snapshot: OrderSnapshot, ticket: Ticket) -> bool:
    match kind:
        case NoticeKind.REVIEW_ASKED | NoticeKind.REVIEW_REMINDER:
            return ticket.state is TicketState.AWAITING_MERCHANT
        case NoticeKind.REQUEST_APPROVED | NoticeKind.STOP_SHIP:
            return ticket.state in APPROVED_STATES
        case NoticeKind.REFUNDED:
            return ticket.state is TicketState.REFUNDED
        case NoticeKind.REQUEST_REJECTED:
            return ticket.state in (TicketState.REJECTED, TicketState.CLOSED)
    return True


def _ticket_values(
    sources: Sources, ticket: Ticket, statement: Mapping[str, str], language: MailLanguage
) -> dict[str, str | bool]:
    amount = localised_amount(ticket.amount_minor, ticket.currency, LOCALES[language])
    page = f"{sources.console_url}/merchant/tickets/{ticket.ticket_id}" if sources.console_url else ""
    return {
        "order": visible(ticket.order_id),
        "amount": f"{amount} ({ticket.currency})",
        "basis": said(words.BASES, ticket.basis.value, language),
        "requested_at": _moment(ticket.requested_at, sources.time_zone),
        "deadline": "" if ticket.expires_at is None else _moment(ticket.expires_at, sources.time_zone),
        "approved": ticket.approved_by in _AT_ONCE,
        "by_right": ticket.basis is Basis.WITHDRAWAL,
        "silence": said(words.SILENCE, ticket.on_timeout, language),
        "statement": visible(statement.get(language.value, "")),
        "url": page,
    }


# Of restrictions, appeals and complaints --------------------------------------------------------------------------


async def _of_restriction(sources: Sources, notice: Notice) -> Says | None:
    restriction = await sources.registry.restriction(UUID(notice.subject))
    if restriction is None or restriction.lifted_at is not None or restriction.buyer_id != notice.recipient_id:
        return None
    statement = statement_of(restriction, time_zone=sources.time_zone, answer_days=sources.appeal_answer_days)
    return lambda language: Content({"statement": visible(statement[language.value])})


async def _of_appeal(sources: Sources, notice: Notice) -> Says | None:
    appeal = await sources.appeals.get(UUID(notice.subject))
    if appeal is None or appeal.answer is None or appeal.buyer_id != notice.recipient_id:
        return None
    upheld, answer = appeal.state is AppealState.UPHELD, visible(appeal.answer)
    return lambda language: Content({"upheld": upheld, "answer": answer})


async def _of_complaint(sources: Sources, notice: Notice) -> Says | None:
    complaint = await sources.complaints.get(UUID(notice.subject))
    if complaint is None or complaint.answer is None or complaint.shop_id != notice.recipient_id:
        return None
    upheld, answer = complaint.outcome is ContestOutcome.UPHELD, visible(complaint.answer)
    return lambda language: Content({"upheld": upheld, "answer": answer})


_READERS: Mapping[NoticeKind, Callable[[Sources, Notice], Awaitable[Says | None]]] = {
    **dict.fromkeys(NoticeKind, _of_ticket),
    NoticeKind.RESTRICTED: _of_restriction,
    NoticeKind.APPEAL_ANSWERED: _of_appeal,
    NoticeKind.COMPLAINT_ANSWERED: _of_complaint,
}


def _moment(at: datetime, time_zone: ZoneInfo) -> str:
    local = at.astimezone(time_zone)
    offset = local.isoformat()[-6:]
    return f"{local:%Y-%m-%d %H:%M} UTC{offset} ({time_zone.key})"
