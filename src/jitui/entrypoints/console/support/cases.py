"""A ticket's whole story for the platform's people, and why it was decided as it was."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from litestar import Router, get
from litestar.exceptions import NotFoundException
from litestar.params import FromPath

from jitui.aftersales.changes import LedgerEntry
from jitui.aftersales.incident_list import IncidentFilter
from jitui.aftersales.ledger import Account, balances, cause_of
from jitui.aftersales.model.order import captured_minor
from jitui.aftersales.model.snapshot import OrderSnapshot
from jitui.aftersales.model.view import view_ticket
from jitui.aftersales.ports import OrderRef, TicketRef
from jitui.entrypoints.console.incidents import decisions, pages
from jitui.entrypoints.console.page.access import STAFF, may, needs, own_ticket, pages_of
from jitui.entrypoints.console.page.language import Speech
from jitui.entrypoints.console.page.visit import Page, Visit, Visiting, show
from jitui.entrypoints.console.support.ticket_list import all_tickets, all_tickets_csv
from jitui.entrypoints.console.ticket.progress import steps_of
from jitui.entrypoints.console.ticket.why import shop_name
from jitui.entrypoints.console.words.cases import CAUSES
from jitui.entrypoints.console.words.codes import REVIEW_REASONS
from jitui.identity.access import Permission
from jitui.ids import lane_of_id
from jitui.notices.model import MailLanguage, NoticeFilter
from jitui.notices.receipt_view import ReceiptView, view_receipt
from jitui.policy import decision_from_json, explain


@dataclass(frozen=True, slots=True)
class PostingRow:
    """A posting as it is read: why, from which account to which, how much."""

    entry: LedgerEntry
    meaning: str
    debit: str
    credit: str


@get("/tickets/{ticket_id:uuid}", opt=needs(Permission.TICKETS_READ))
async def case_page(visit: Visiting, ticket_id: FromPath[UUID]) -> Page:
    """Timeline, money, shipment, arbitration, incident, notices and receipt on one page."""
    snapshot = await own_ticket(visit, ticket_id)
    order, service = snapshot.order, visit.service
    view = view_ticket(snapshot, ticket_id)
    decided = await service.queries.decision(TicketRef(order.lane, ticket_id))
    of_order = await service.queries.incidents(IncidentFilter(order_id=order.order_id))
    return show(
        visit,
        "support/ticket.html",
        view=view,
        snapshot=snapshot,
        order=order,
        shop=await shop_name(visit, order.shop_id),
        paid_minor=captured_minor(snapshot.tenders),
        steps=steps_of(view),
        decided=decided,
        attempts=_attempts(snapshot),
        incidents=[incident for incident in of_order if incident.ticket_id == ticket_id],
        notices=await service.notices.queue.list(NoticeFilter(ticket_id=ticket_id)),
        receipt=await _receipt(visit, ticket_id),
        on_timeout=snapshot.ticket(ticket_id).on_timeout,
        review_reasons=REVIEW_REASONS,
        now=service.clock(),
        **await _books(visit, snapshot),
    )


@get("/tickets/{ticket_id:uuid}/why", opt=needs(Permission.TICKETS_READ))
async def why_page(visit: Visiting, ticket_id: FromPath[UUID]) -> Page:
    """Every condition with its verdict, its sentence and the values that it read; the policy's version (R16)."""
    snapshot = await own_ticket(visit, ticket_id)
    stored = await visit.service.queries.decision(TicketRef(lane_of_id(ticket_id), ticket_id))
    if stored is None:
        raise NotFoundException
    decision = decision_from_json(stored.decision)
    return show(
        visit,
        "support/why.html",
        view=view_ticket(snapshot, ticket_id),
        shop=await shop_name(visit, snapshot.order.shop_id),
        stored=stored,
        decision=decision,
        public={result.id for result in decision.conditions if result.public},
        explanation=explain(decision, visit.speech.texts, "platform"),
        facts=sorted(stored.facts.items()),
        erased=snapshot.buyer.erased,
        review_reasons=REVIEW_REASONS,
    )


def _attempts(snapshot: OrderSnapshot) -> dict[UUID, list[object]]:
    """The attempts of each refund, oldest first."""
    found: dict[UUID, list[object]] = {refund.refund_id: [] for refund in snapshot.refunds}
    for attempt in sorted(snapshot.attempts, key=lambda one: one.attempt_no):
        found[attempt.refund_id].append(attempt)
    return found


async def _books(visit: Visit, snapshot: OrderSnapshot) -> dict[str, Any]:
    """The order's ledger, for whoever may read it."""
    if not may(visit, Permission.LEDGER_READ):
        return {"postings": None, "sums": ()}
    order = snapshot.order
    entries = await visit.service.queries.ledger(OrderRef(order.lane, order.order_id))
    return {
        "postings": [_posting(visit.speech, entry) for entry in entries],
        "sums": _sums(visit.speech, entries),
    }


def _posting(speech: Speech, entry: LedgerEntry) -> PostingRow:
    meaning = speech.say(CAUSES[cause_of(entry)])
    return PostingRow(entry, meaning, account_name(speech, entry.debit), account_name(speech, entry.credit))


def _sums(speech: Speech, entries: Sequence[LedgerEntry]) -> list[tuple[str, int, str]]:
    return [
        (account_name(speech, account), minor, currency) for (account, currency), minor in balances(entries).items()
    ]


def account_name(speech: Speech, account: str) -> str:
    """`provider_clearing:simulator` in words, with the provider or funder behind it."""
    head, _, of = account.partition(":")
    kind = next(one for one in Account if one.value.partition(":")[0] == head)
    return f"{speech.word(kind)} · {of}" if of else speech.word(kind)


async def _receipt(visit: Visit, ticket_id: UUID) -> ReceiptView | None:
    found = await visit.service.receipts.receipt(TicketRef(lane_of_id(ticket_id), ticket_id))
    return None if found is None else view_receipt(found, MailLanguage(visit.speech.texts))


ROUTER = Router(
    "/support",
    route_handlers=[all_tickets, all_tickets_csv, case_page, why_page, *pages.HANDLERS, *decisions.HANDLERS],
    guards=[pages_of(*STAFF)],
)
