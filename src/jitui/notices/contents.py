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
from jitui.aftersales.governance.statement_of_reasons import statement_of, statement_of_charge
from jitui.aftersales.model.incident import Incident, IncidentKind, IncidentOutcome
from jitui.aftersales.model.receipt import Receipt
from jitui.aftersales.model.review import Arbitration, ArbitrationState
from jitui.aftersales.model.snapshot import OrderSnapshot
from jitui.aftersales.model.task import OperatorTask, Tasks, TaskState
from jitui.aftersales.model.ticket import APPROVED_STATES, ApprovedBy, Basis, Ticket, TicketState
from jitui.aftersales.ports import IncidentRef, Store, TicketRef
from jitui.aftersales.queries import Queries, Receipts
from jitui.ids import lane_of_id
from jitui.money import localised_amount
from jitui.notices import words
from jitui.notices.model import MailLanguage, Notice, NoticeKind, RecipientKind
from jitui.notices.receipt_view import LOCALES
from jitui.notices.task_words import TASKS
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
    queries: Queries
    tasks: Tasks
    time_zone: ZoneInfo
    appeal_answer_days: int
    complaint_answer_days: int
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
    snapshot = await _order_of(sources, notice)
    if snapshot is None:
        return None
    ticket = snapshot.ticket(notice.subject_id)
    if not _still_says(notice.kind, snapshot, ticket):
        return None
    ref = TicketRef(notice.lane, ticket.ticket_id)
    receipt = await sources.receipts.receipt(ref) if notice.kind is NoticeKind.REQUEST_RECEIVED else None
    statement = statement_of_rejection(snapshot, ticket, sources.time_zone) or {}

    def says(language: MailLanguage) -> Content:
        return Content(_ticket_values(sources, ticket, statement, language), receipt)

    return says


async def _order_of(sources: Sources, notice: Notice) -> OrderSnapshot | None:
    """The order of the ticket that a notice is about; None for a buyer who was erased."""
    snapshot = await sources.store.read_order(TicketRef(notice.lane, notice.subject_id))
    return None if snapshot is None or snapshot.buyer.erased else snapshot


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
    return {
        "order": visible(ticket.order_id),
        "amount": _amount(ticket.amount_minor, ticket.currency, language),
        "basis": said(words.BASES, ticket.basis.value, language),
        "requested_at": _moment(ticket.requested_at, sources.time_zone),
        "deadline": "" if ticket.expires_at is None else _moment(ticket.expires_at, sources.time_zone),
        "approved": ticket.approved_by in _AT_ONCE,
        "by_right": ticket.basis is Basis.WITHDRAWAL,
        "silence": said(words.SILENCE, ticket.on_timeout, language),
        "statement": visible(statement.get(language.value, "")),
        "url": _page_of_shop(sources, ticket.ticket_id),
    }


# Of arbitrations and incidents -----------------------------------------------------------------------------------


async def _of_arbitration(sources: Sources, notice: Notice) -> Says | None:
    """Nothing of one that was withdrawn, decided or asked for again meanwhile: the later has a notice of its own."""
    snapshot = await _order_of(sources, notice)
    if snapshot is None:
        return None
    ticket = snapshot.ticket(notice.subject_id)
    case = ticket.arbitration
    if case is None or not _is_at(notice, case):
        return None

    def says(language: MailLanguage) -> Content:
        values = _ticket_values(sources, ticket, {}, language)
        return Content({**values, **_case_values(sources, notice, case, language)})

    return says


def _is_at(notice: Notice, case: Arbitration) -> bool:
    if notice.kind is NoticeKind.ARBITRATION_DECIDED:
        return case.decided_at == notice.subject_at
    return case.state is ArbitrationState.OPEN and case.opened_at == notice.subject_at


def _case_values(sources: Sources, notice: Notice, case: Arbitration, language: MailLanguage) -> dict[str, str | bool]:
    return {
        "to_shop": notice.recipient is RecipientKind.SHOP,
        "answer_by": _moment(case.answer_by, sources.time_zone),
        "why": visible(case.reason).strip().rstrip("。."),
        "refunded": case.state is ArbitrationState.APPROVED,
        "at_fault": said(words.AT_FAULT, case.at_fault or "", language),
        "borne_by": said(words.BORNE_BY, case.borne_by or "", language),
        "note": visible(case.note).strip().rstrip("。."),
    }


async def _of_incident(sources: Sources, notice: Notice) -> Says | None:
    """Nothing of an outcome that was changed meanwhile: the one that holds has a notice of its own."""
    details = await sources.queries.incident(IncidentRef(notice.lane, notice.subject_id))
    if details is None or details.incident.decided_at != notice.subject_at:
        return None
    incident = details.incident
    statement = _charge(sources, incident)

    def says(language: MailLanguage) -> Content:
        values: dict[str, str | bool] = {
            "order": visible(incident.order_id),
            "amount": _amount(incident.amount_minor, incident.currency, language),
            "outcome": said(words.INCIDENT_OUTCOMES, incident.outcome or "", language),
            "reason": visible(incident.reason).strip().rstrip("。."),
            "statement": visible(statement.get(language.value, "")),
            "advance": incident.kind is IncidentKind.PLATFORM_ADVANCE,
            "taken_back": incident.outcome is IncidentOutcome.RETURNED,
            "url": _page_of_shop(sources, incident.ticket_id),
        }
        return Content(values)

    return says


def _charge(sources: Sources, incident: Incident) -> Mapping[str, str]:
    """The statement of reasons of what the shop bears, in each language; empty where it bears nothing."""
    days = sources.complaint_answer_days
    return statement_of_charge(incident, time_zone=sources.time_zone, answer_days=days) or {}


# Of restrictions, appeals and complaints --------------------------------------------------------------------------


async def _of_restriction(sources: Sources, notice: Notice) -> Says | None:
    restriction = await sources.registry.restriction(notice.subject_id)
    if restriction is None or restriction.lifted_at is not None or restriction.buyer_id != notice.recipient_id:
        return None
    statement = statement_of(restriction, time_zone=sources.time_zone, answer_days=sources.appeal_answer_days)
    return lambda language: Content({"statement": visible(statement[language.value])})


async def _of_appeal(sources: Sources, notice: Notice) -> Says | None:
    appeal = await sources.appeals.get(notice.subject_id)
    if appeal is None or appeal.answer is None or appeal.buyer_id != notice.recipient_id:
        return None
    upheld, answer = appeal.state is AppealState.UPHELD, visible(appeal.answer)
    return lambda language: Content({"upheld": upheld, "answer": answer})


async def _of_complaint(sources: Sources, notice: Notice) -> Says | None:
    complaint = await sources.complaints.get(notice.subject_id)
    if complaint is None or complaint.answer is None or complaint.shop_id != notice.recipient_id:
        return None
    upheld, answer = complaint.outcome is ContestOutcome.UPHELD, visible(complaint.answer)
    charge = await _charge_of(sources, complaint.incident_id)
    return lambda language: Content(
        {"upheld": upheld, "answer": answer, "statement": visible(charge.get(language.value, ""))}
    )


async def _charge_of(sources: Sources, incident_id: UUID | None) -> Mapping[str, str]:
    """What the shop bears after its contest was answered."""
    if incident_id is None:
        return {}
    details = await sources.queries.incident(IncidentRef(lane_of_id(incident_id), incident_id))
    return {} if details is None else _charge(sources, details.incident)


# Of tasks --------------------------------------------------------------------------------------------------------


async def _of_task(sources: Sources, notice: Notice) -> Says | None:
    task = await sources.tasks.get(notice.subject_id)
    if task is None or task.state is not TaskState.OPEN:
        return None
    return lambda language: Content(_task_values(sources, task, language))


def _task_values(sources: Sources, task: OperatorTask, language: MailLanguage) -> dict[str, str | bool]:
    known = task.amount_minor is not None and task.currency is not None
    return {
        "what": TASKS[task.kind][language],
        "kind": task.kind.value,
        "task": str(task.task_id),
        "opened_at": _moment(task.opened_at, sources.time_zone),
        "order": visible(task.order_id or ""),
        "amount": _amount(task.amount_minor or 0, task.currency or "", language) if known else "",
        "provider": visible(task.provider),
    }


_READERS: Mapping[NoticeKind, Callable[[Sources, Notice], Awaitable[Says | None]]] = {
    **dict.fromkeys(NoticeKind, _of_ticket),
    NoticeKind.ARBITRATION_OPENED: _of_arbitration,
    NoticeKind.EVIDENCE_ASKED: _of_arbitration,
    NoticeKind.ARBITRATION_DECIDED: _of_arbitration,
    NoticeKind.INCIDENT_DECIDED: _of_incident,
    NoticeKind.TASK_OPENED: _of_task,
    NoticeKind.RESTRICTED: _of_restriction,
    NoticeKind.APPEAL_ANSWERED: _of_appeal,
    NoticeKind.COMPLAINT_ANSWERED: _of_complaint,
}


def _amount(amount_minor: int, currency: str, language: MailLanguage) -> str:
    return f"{localised_amount(amount_minor, currency, LOCALES[language])} ({currency})"


def _page_of_shop(sources: Sources, ticket_id: UUID) -> str:
    """Where the shop sees the ticket; empty where the console's address is not known."""
    return f"{sources.console_url}/merchant/tickets/{ticket_id}" if sources.console_url else ""


def _moment(at: datetime, time_zone: ZoneInfo) -> str:
    local = at.astimezone(time_zone)
    offset = local.isoformat()[-6:]
    return f"{local:%Y-%m-%d %H:%M} UTC{offset} ({time_zone.key})"
