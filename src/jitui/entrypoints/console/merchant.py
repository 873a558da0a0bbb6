"""The merchant's pages: tickets, one ticket with its decision; `coverage` and `shipping` have the others."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID

from litestar import Router, get, post
from litestar.exceptions import NotFoundException
from litestar.params import FromPath
from litestar.response import Response, Stream

from jitui.aftersales.commands.on_ticket import Acting
from jitui.aftersales.commands.review import Rejection, approve, reject
from jitui.aftersales.commands.ship import ShipmentUpdate, goods_with_carrier
from jitui.aftersales.model.order import LineUnits, ShipmentSource, ShipmentStatus, captured_minor
from jitui.aftersales.model.review import EvidenceItem, RejectionCode
from jitui.aftersales.model.snapshot import OrderSnapshot
from jitui.aftersales.model.ticket import APPROVED_STATES, Actor, ActorKind, ApprovedBy, TicketState
from jitui.aftersales.model.view import view_ticket, without_staff
from jitui.aftersales.outcomes import Refusal, RefusalCode
from jitui.aftersales.ports import TicketRef
from jitui.entrypoints.console.access import needs, own_ticket, pages_of
from jitui.entrypoints.console.benefit import shop_benefit
from jitui.entrypoints.console.coverage import complain, coverage
from jitui.entrypoints.console.progress import steps_of
from jitui.entrypoints.console.shipping import shipping
from jitui.entrypoints.console.start import Form, seen_version
from jitui.entrypoints.console.ticket_list import TABS, csv_of, page_of, read_query
from jitui.entrypoints.console.visit import ConsoleRequest, Page, Visit, Visiting, go_to, show
from jitui.entrypoints.console.why import explained, shop_name
from jitui.entrypoints.console.words import REVIEW_REASONS
from jitui.identity.access import Permission, Role
from jitui.ids import lane_of_id

BENEFIT_DAYS = 30
LONGEST_REASON = 500
LONGEST_WAYBILL = 64
FORM_FIELDS = ("code", "reason", "evidence", "carrier", "tracking_no")


def _(message: str) -> str:
    return message


@dataclass(frozen=True, slots=True)
class RejectForm:
    """What the merchant entered; it is shown again when it is refused."""

    code: str = ""
    reason: str = ""
    evidence: str = ""
    carrier: str = ""
    tracking_no: str = ""

    def problem(self) -> str | None:
        """What is wrong with it, as an English text of the catalogues; None when nothing is."""
        if self.code not in tuple(RejectionCode):
            return _("Please choose why you reject the request.")
        if not self.reason:
            return _("Please write a reason: the buyer reads it.")
        if self.code == RejectionCode.ALREADY_SHIPPED and not self.tracking_no:
            return _("Goods that have left have a tracking number: please enter it.")
        if not self.tracking_no and not self.evidence:
            return _("Please say what shows it, such as the message in which it was agreed.")
        words, codes = (self.reason, self.evidence), (self.carrier, self.tracking_no)
        if max(map(len, words)) > LONGEST_REASON or max(map(len, codes)) > LONGEST_WAYBILL:
            return _("That is too long: 500 characters for reason and evidence, 64 for carrier and tracking number.")
        if bool(self.carrier) != bool(self.tracking_no):
            return _("A tracking number needs its carrier, and a carrier its tracking number.")
        return None


@get("/tickets", opt=needs(Permission.TICKETS_READ))
async def tickets(visit: Visiting, request: ConsoleRequest) -> Page:
    """The shop's tickets, newest first, and the benefit of the guarantee for the shop (R6 to R8, R15)."""
    query = read_query(request.query_params)
    shown, next_page = await page_of(visit, query)
    since = visit.service.clock() - timedelta(days=BENEFIT_DAYS)
    return show(
        visit,
        "merchant/tickets.html",
        query=query,
        tabs=TABS,
        tickets=shown,
        next_page=next_page,
        states=tuple(TicketState),
        approvers=tuple(ApprovedBy),
        benefit=await visit.service.queries.benefit(shop_id=visit.reader.subject_id, since=since),
        benefit_days=BENEFIT_DAYS,
        shop=await shop_name(visit, visit.reader.subject_id),
        now=visit.service.clock(),
    )


@get("/tickets.csv", opt=needs(Permission.TICKETS_READ))
async def tickets_csv(visit: Visiting, request: ConsoleRequest) -> Stream:
    """The list of tickets as a CSV file."""
    return Stream(
        csv_of(visit, read_query(request.query_params)),
        media_type="text/csv; charset=utf-8",
        headers={
            "content-disposition": 'attachment; filename="tickets.csv"',
            "cache-control": "no-store",
            "x-content-type-options": "nosniff",
        },
    )


@get("/tickets/{ticket_id:uuid}", opt=needs(Permission.TICKETS_READ))
async def ticket_page(visit: Visiting, ticket_id: FromPath[UUID]) -> Page:
    """The ticket with its notice (R14), its timeline and the reasons for the decision."""
    return await _ticket_page(visit, await own_ticket(visit, ticket_id), ticket_id)


@post("/tickets/{ticket_id:uuid}/approve", opt=needs(Permission.TICKETS_WRITE), status_code=303)
async def approve_ticket(visit: Visiting, ticket_id: FromPath[UUID], data: Form) -> Response[str]:
    """Approve the ticket."""
    done = await approve(
        visit.service.store,
        TicketRef(lane_of_id(ticket_id), ticket_id),
        _acting(visit, data),
    )
    return await _after(visit, ticket_id, done if isinstance(done, Refusal) else None)


@post("/tickets/{ticket_id:uuid}/reject", opt=needs(Permission.TICKETS_WRITE), status_code=303)
async def reject_ticket(visit: Visiting, ticket_id: FromPath[UUID], data: Form) -> Response[str]:
    """Reject the ticket with a reason; with a tracking number the goods are recorded as shipped in the same step."""
    form = RejectForm(*(_clean(data.get(name, "")) for name in FORM_FIELDS))
    snapshot = await own_ticket(visit, ticket_id)
    problem = form.problem()
    if problem is not None:
        return await _ticket_page(visit, snapshot, ticket_id, form=form, problem=problem, status_code=422)
    done = await reject(
        visit.service.store,
        TicketRef(lane_of_id(ticket_id), ticket_id),
        Rejection(
            RejectionCode(form.code),
            form.reason,
            (EvidenceItem(form.evidence),) if form.evidence else (),
            _shipment(visit, snapshot, ticket_id, form),
        ),
        _acting(visit, data),
    )
    return await _after(visit, ticket_id, done if isinstance(done, Refusal) else None, form)


async def _after(
    visit: Visit, ticket_id: UUID, refusal: Refusal | None, form: RejectForm | None = None
) -> Response[str]:
    """Redirect to the ticket; after a refusal show it as it is now, because that must be decided on."""
    if refusal is None:
        return go_to(f"/merchant/tickets/{ticket_id}")
    if refusal.code is RefusalCode.NOT_FOUND:
        raise NotFoundException
    snapshot = await own_ticket(visit, ticket_id)
    problem = visit.speech.word(refusal.code)
    return await _ticket_page(visit, snapshot, ticket_id, form=form, problem=problem, status_code=409)


async def _ticket_page(
    visit: Visit,
    snapshot: OrderSnapshot,
    ticket_id: UUID,
    *,
    form: RejectForm | None = None,
    problem: str | None = None,
    status_code: int = 200,
) -> Page:
    view = without_staff(view_ticket(snapshot, ticket_id), shop=True)
    return show(
        visit,
        "merchant/ticket.html",
        status_code=status_code,
        view=view,
        order=snapshot.order,
        degree=snapshot.fulfillment,
        labels=[shipment for shipment in snapshot.shipments if shipment.degree is ShipmentStatus.LABEL_PRINTED],
        paid_minor=captured_minor(snapshot.tenders),
        granted=view.state in APPROVED_STATES,
        goods_left=goods_with_carrier(snapshot, ticket_id),
        steps=steps_of(view),
        explanation=await explained(visit, ticket_id),
        review_reasons=REVIEW_REASONS,
        on_timeout=snapshot.ticket(ticket_id).on_timeout,
        form=form or RejectForm(),
        rejection_codes=tuple(RejectionCode),
        problem=visit.speech.say(problem) if problem else None,
        now=visit.service.clock(),
    )


def _shipment(visit: Visit, snapshot: OrderSnapshot, ticket_id: UUID, form: RejectForm) -> ShipmentUpdate | None:
    if not form.tracking_no:
        return None
    return ShipmentUpdate(
        degree=ShipmentStatus.SHIPPED,
        carrier=form.carrier,
        tracking_no=form.tracking_no,
        source=ShipmentSource.MERCHANT,
        happened_at=visit.service.clock(),
        lines=tuple(LineUnits(line.line_id, line.quantity) for line in snapshot.lines_of(ticket_id)),
    )


def _acting(visit: Visit, data: Form) -> Acting:
    by = Actor(ActorKind.MERCHANT, visit.reader.name)
    return Acting(by, visit.service.clock(), seen_version(data), shop_id=visit.reader.subject_id)


def _clean(text: str) -> str:
    """The text as one line of printable characters."""
    return " ".join("".join(sign if sign.isprintable() else " " for sign in text).split())


ROUTER = Router(
    "/merchant",
    route_handlers=[
        tickets,
        tickets_csv,
        ticket_page,
        approve_ticket,
        reject_ticket,
        shipping,
        coverage,
        complain,
        shop_benefit,
    ],
    guards=[pages_of(Role.MERCHANT)],
)
