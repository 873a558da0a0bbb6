"""The merchant's list of tickets to review, decisions on many of them at once, and templates of rejections."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial
from uuid import UUID

from litestar import get, post
from litestar.exceptions import ValidationException
from litestar.response import Response

from jitui.aftersales.commands.assignment import assign
from jitui.aftersales.commands.on_ticket import Acting
from jitui.aftersales.commands.review import approve, reject
from jitui.aftersales.governance.review_templates import ReviewTemplate
from jitui.aftersales.model.order import captured_minor
from jitui.aftersales.model.review import RejectionCode
from jitui.aftersales.model.snapshot import OrderSnapshot
from jitui.aftersales.model.sorting import SortOrder
from jitui.aftersales.model.ticket import Actor, ActorKind, Ticket, TicketState
from jitui.aftersales.model.view import TicketView, view_ticket, without_staff
from jitui.aftersales.outcomes import Refusal, RefusalCode
from jitui.aftersales.ports import TicketFilter, TicketRef
from jitui.aftersales.ticket_list import TicketSort, place_of
from jitui.entrypoints.console.merchant.forms import (
    RejectForm,
    from_template,
    read_rejection,
)
from jitui.entrypoints.console.merchant.ticket import Command
from jitui.entrypoints.console.page.access import needs
from jitui.entrypoints.console.page.cursor import begins
from jitui.entrypoints.console.page.form import Form
from jitui.entrypoints.console.page.typed import one_line
from jitui.entrypoints.console.page.visit import ConsoleRequest, Page, Visit, Visiting, go_to, show
from jitui.entrypoints.console.ticket.evidence import LONGEST_REASON
from jitui.entrypoints.console.ticket.why import shop_name
from jitui.entrypoints.list_cursor import TICKETS
from jitui.identity.access import Permission
from jitui.ids import lane_of_id
from jitui.text import why_no_id

TICKETS_PER_PAGE = 20
TICKET_FIELD = "ticket."
ACTIONS = ("approve", "reject", "assign")


def _(message: str) -> str:
    return message


@dataclass(frozen=True, slots=True)
class ReviewRow:
    """A ticket to review with what it takes to decide it at a glance."""

    view: TicketView
    snapshot: OrderSnapshot
    paid_minor: int
    on_timeout: str


@dataclass(frozen=True, slots=True)
class Decided:
    """What became of one ticket: `problem` in words, None when it is done."""

    ticket_id: UUID
    order_id: str
    problem: str | None


@dataclass(frozen=True, slots=True)
class Chosen:
    """What was ticked, with the version that was read, and what was typed."""

    versions: Mapping[UUID, int]
    action: str
    form: RejectForm

    def problem(self) -> str | None:
        """What is wrong with it, as an English text of the catalogues."""
        if not self.versions:
            return _("Please tick at least one ticket.")
        return self.form.problem() if self.action == "reject" else None


@get("/review", opt=needs(Permission.TICKETS_WRITE))
async def review(visit: Visiting, request: ConsoleRequest) -> Page:
    """The tickets that wait for the shop, those first whose deadline comes first."""
    named = request.query_params.get("template")
    template = await visit.service.review_templates.get(visit.reader.subject_id, named) if named else None
    form = from_template(template) if template else RejectForm()
    return await _page(visit, after=request.query_params.get("after", ""), chosen=Chosen({}, "", form))


@post("/review", opt=needs(Permission.TICKETS_WRITE), status_code=200)
async def decide_many(visit: Visiting, data: Form) -> Page:
    """Approve, reject or take on what was ticked, each by itself; the page says what became of each."""
    chosen, after = _read(data), data.get("after", "")
    problem = chosen.problem()
    if problem is not None:
        return await _page(visit, after=after, chosen=chosen, problem=problem, status_code=422)
    command = _command(visit, chosen)
    decided = [await _decide(visit, command, ticket_id, version) for ticket_id, version in chosen.versions.items()]
    left = {row.ticket_id: chosen.versions[row.ticket_id] for row in decided if row.problem}
    return await _page(visit, after=after, chosen=replace(chosen, versions=left), decided=decided)


def _read(data: Mapping[str, str]) -> Chosen:
    """Raises ValidationException for a form that this page did not make."""
    versions = dict[UUID, int]()
    for name, text in data.items():
        if name.startswith(TICKET_FIELD):
            if not (text.isascii() and text.isdigit() and len(text) <= 9):
                raise ValidationException
            try:
                versions[UUID(name.removeprefix(TICKET_FIELD))] = int(text)
            except ValueError as error:
                raise ValidationException from error
    action = data.get("action", "")
    if action not in ACTIONS or len(versions) > TICKETS_PER_PAGE:
        raise ValidationException
    return Chosen(versions, action, read_rejection({**data, "carrier": "", "tracking_no": ""}))


def _command(visit: Visit, chosen: Chosen) -> Command:
    store = visit.service.store
    if chosen.action == "approve":
        return partial(approve, store)
    if chosen.action == "assign":
        return partial(assign, store)
    rejection = chosen.form.rejection()
    return lambda ref, acting: reject(store, ref, rejection, acting)


async def _decide(visit: Visit, command: Command, ticket_id: UUID, version: int) -> Decided:
    ref = TicketRef(lane_of_id(ticket_id), ticket_id)
    by = Actor(ActorKind.MERCHANT, visit.reader.name)
    done = await command(ref, Acting(by, visit.service.clock(), version, shop_id=visit.reader.subject_id))
    if isinstance(done, Refusal) and done.code is RefusalCode.NOT_FOUND:
        return Decided(ticket_id, str(ticket_id), visit.speech.word(done.code))
    snapshot = await visit.service.store.read_order(ref)
    assert snapshot is not None
    problem = visit.speech.word(done.code) if isinstance(done, Refusal) else None
    return Decided(ticket_id, snapshot.order.order_id, problem)


async def _page(
    visit: Visit,
    *,
    after: str,
    chosen: Chosen,
    decided: list[Decided] | None = None,
    problem: str | None = None,
    status_code: int = 200,
) -> Page:
    found, wanted = await _tickets(visit, after)
    shown = found[:TICKETS_PER_PAGE]
    rows = await asyncio.gather(*(_row(visit, ticket) for ticket in shown))
    shop_id = visit.reader.subject_id
    has_more = len(found) > len(shown)
    return show(
        visit,
        "merchant/review.html",
        status_code=status_code,
        rows=[row for row in rows if row.view.state is TicketState.AWAITING_MERCHANT],  # the list is a moment late
        next_page=TICKETS.after(place_of(shown[-1], wanted.sort), wanted.sort, wanted.order) if has_more else "",
        after=after,
        chosen=chosen,
        decided=decided,
        problem=visit.speech.say(problem) if problem else None,
        rejection_codes=tuple(code for code in RejectionCode if code is not RejectionCode.ALREADY_SHIPPED),
        templates=await visit.service.review_templates.list(shop_id),
        shop=await shop_name(visit, shop_id),
        now=visit.service.clock(),
    )


async def _tickets(visit: Visit, after: str) -> tuple[list[Ticket], TicketFilter]:
    sort, order = TicketSort.EXPIRES_AT, SortOrder.ASC
    wanted = TicketFilter(
        shop_id=visit.reader.subject_id,
        state=TicketState.AWAITING_MERCHANT,
        sort=sort,
        order=order,
        after=begins(TICKETS, after, sort, order),
        limit=TICKETS_PER_PAGE + 1,
    )
    return list((await visit.service.queries.tickets(wanted)).tickets), wanted


async def _row(visit: Visit, ticket: Ticket) -> ReviewRow:
    snapshot = await visit.service.store.read_order(TicketRef(ticket.lane, ticket.ticket_id))
    assert snapshot is not None
    view = without_staff(view_ticket(snapshot, ticket.ticket_id), shop=True)
    return ReviewRow(view, snapshot, captured_minor(snapshot.tenders), snapshot.ticket(ticket.ticket_id).on_timeout)


# Templates -------------------------------------------------------------------------------------------------------


@get("/templates", opt=needs(Permission.TICKETS_WRITE))
async def templates(visit: Visiting) -> Page:
    """The shop's templates of rejections."""
    return await _templates(visit)


@post("/templates", opt=needs(Permission.TICKETS_WRITE), status_code=303)
async def put_template(visit: Visiting, data: Form) -> Response[str]:
    """Create or replace a template."""
    name, code, reason = (one_line(data.get(field, "")) for field in ("name", "code", "reason"))
    problem = None
    if why_no_id(name) is not None:
        problem = _("A name has 1 to 128 characters, without spaces and slashes.")
    elif code not in tuple(RejectionCode):
        problem = _("Please choose why you reject the request.")
    elif not reason or len(reason) > LONGEST_REASON:
        problem = _("Please write up to 500 characters: the buyer reads them.")
    if problem is not None:
        return await _templates(visit, (name, code, reason), visit.speech.say(problem), 422)
    by, now = visit.reader, visit.service.clock()
    template = ReviewTemplate(by.subject_id, name, RejectionCode(code), reason, now, by.name)
    before = await visit.service.review_templates.get(by.subject_id, name)
    refused = await visit.service.review_templates.put(template)
    if refused is not None:
        return await _templates(visit, (name, code, reason), visit.speech.word(refused.code), 409)
    replaced = before is not None and (before.reason_code, before.reason) != (template.reason_code, reason)
    return await _templates(visit, undo=before) if replaced else go_to("/merchant/templates")


@post("/templates/delete", opt=needs(Permission.TICKETS_WRITE), status_code=303)
async def drop_template(visit: Visiting, data: Form) -> Response[str]:
    """Delete a template, with the way back on the page; rejections that copied it stay as they are."""
    name, shop_id = data.get("name", ""), visit.reader.subject_id
    before = await visit.service.review_templates.get(shop_id, name) if name.isprintable() else None
    if before is None:
        return go_to("/merchant/templates")
    await visit.service.review_templates.delete(shop_id, name)
    return await _templates(visit, undo=before)


async def _templates(
    visit: Visit,
    typed: tuple[str, str, str] = ("", "", ""),
    problem: str | None = None,
    status_code: int = 200,
    *,
    undo: ReviewTemplate | None = None,
) -> Page:
    """The templates; `undo`: one as it was before it was deleted or replaced just now."""
    shop_id = visit.reader.subject_id
    return show(
        visit,
        "merchant/templates.html",
        status_code=status_code,
        templates=await visit.service.review_templates.list(shop_id),
        typed=typed,
        problem=problem,
        undo=undo,
        rejection_codes=tuple(RejectionCode),
        shop=await shop_name(visit, shop_id),
    )
