"""The merchant's page of shipping: what threatens and what to do (R9), tracking numbers, answers to stop-ships."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from litestar import get, post
from litestar.exceptions import NotFoundException, ValidationException
from litestar.params import FromPath
from litestar.response import Response

from jitui.aftersales.commands.bulk_shipments import RowResult, TrackingRow, record_rows
from jitui.aftersales.commands.stop_ship import StopShipAnswer, StopShipOutcome, acknowledge_stop_ship
from jitui.aftersales.model.ticket import Actor, ActorKind
from jitui.aftersales.outcomes import Refusal, RefusalCode
from jitui.aftersales.ports import TicketRef
from jitui.aftersales.shipping_risks import RiskFilter, RiskKind, ShippingRisk
from jitui.entrypoints.console.merchant.forms import LONGEST_WAYBILL
from jitui.entrypoints.console.page.access import needs, own_ticket
from jitui.entrypoints.console.page.cursor import read_place
from jitui.entrypoints.console.page.form import Form
from jitui.entrypoints.console.page.typed import one_line
from jitui.entrypoints.console.page.visit import ConsoleRequest, Page, Visit, Visiting, go_to, show
from jitui.entrypoints.console.ticket.why import shop_name
from jitui.entrypoints.cursor import to_cursor
from jitui.identity.access import Permission
from jitui.ids import lane_of_id
from jitui.text import why_no_id

RISKS_PER_PAGE = 25


def _(message: str) -> str:
    return message


WHAT_TO_DO: Mapping[RiskKind, str] = {
    RiskKind.LABEL_NOT_HANDED_OVER: _("Hand the parcel over and record it as shipped, or void the label."),
    RiskKind.SHIP_BY_NEAR: _("Ship these goods in time and record the tracking number."),
    RiskKind.SHIP_BY_PASSED: _("Ship these goods now and record the tracking number, or agree with the buyer."),
    RiskKind.SCAN_WITHOUT_TRACKING: _("Record the tracking number: the carrier has this parcel already."),
    RiskKind.OPEN_TICKET: _("Do not ship: decide the ticket, or reject it with the tracking number if the goods left."),
    RiskKind.STOP_SHIP_UNANSWERED: _("Stop this parcel, and answer the stop-ship: held, or already gone."),
}


@dataclass(frozen=True, slots=True)
class ParcelForm:
    """A tracking number of one order, as it was typed."""

    order_id: str = ""
    carrier: str = ""
    tracking_no: str = ""

    def problem(self) -> str | None:
        """What is wrong with it, as an English text of the catalogues; None when nothing is."""
        if why_no_id(self.order_id) is not None:
            return _("Please enter the order.")
        return _problem_of_number(self.tracking_no, self.carrier)

    @property
    def row(self) -> TrackingRow:
        """As the core has it."""
        return TrackingRow(self.order_id, self.tracking_no, self.carrier)


def _problem_of_number(tracking_no: str, carrier: str) -> str | None:
    if why_no_id(tracking_no, slashes=True) is not None or len(tracking_no) > LONGEST_WAYBILL:
        return _("Please enter the tracking number: up to 64 characters, without spaces.")
    if len(carrier) > LONGEST_WAYBILL:
        return _("The carrier's name has up to 64 characters.")
    return None


def read_parcel(data: Mapping[str, str]) -> ParcelForm:
    """The fields of a tracking number."""
    return ParcelForm(*(one_line(data.get(name, "")) for name in ("order_id", "carrier", "tracking_no")))


@get("/shipping", opt=needs(Permission.INCIDENTS_READ))
async def shipping(visit: Visiting, request: ConsoleRequest) -> Page:
    """The shop's risks, oldest first: the same list as the API's."""
    return await shipping_page(visit, after=request.query_params.get("after", ""))


@post("/shipping", opt=needs(Permission.SHIPMENTS_WRITE), status_code=200)
async def record_parcel(visit: Visiting, data: Form) -> Page:
    """Record one tracking number; the page says what became of it."""
    form = read_parcel(data)
    problem = form.problem()
    if problem is not None:
        return await shipping_page(visit, form=form, problem=problem, status_code=422)
    now, shop_id = visit.service.clock(), visit.reader.subject_id
    results = await record_rows(visit.service.store, [form.row], by=merchant(visit), now=now, shop_id=shop_id)
    refused = any(one.code for one in results)
    return await shipping_page(
        visit, form=form if refused else None, results=results, status_code=409 if refused else 200
    )


@post("/tickets/{ticket_id:uuid}/stop-ship", opt=needs(Permission.SHIPMENTS_WRITE), status_code=303)
async def answer_stop_ship(visit: Visiting, ticket_id: FromPath[UUID], data: Form) -> Response[str]:
    """The warehouse holds the goods, or they had gone; then their number is needed, and an incident is opened."""
    await own_ticket(visit, ticket_id)
    try:
        outcome = StopShipOutcome(data.get("outcome", ""))
    except ValueError as error:
        raise ValidationException from error
    gone = outcome is StopShipOutcome.ALREADY_GONE
    tracking_no, carrier = (one_line(data.get(name, "")) if gone else "" for name in ("tracking_no", "carrier"))
    problem = _problem_of_number(tracking_no, carrier) if gone else None
    if problem is not None:
        return await shipping_page(visit, problem=problem, status_code=422)
    service, by = visit.service, merchant(visit)
    answer = StopShipAnswer(outcome, tracking_no, carrier, None, visit.reader.name)
    ref, shop_id = TicketRef(lane_of_id(ticket_id), ticket_id), visit.reader.subject_id
    done = await acknowledge_stop_ship(
        service.store, service.decision_settings, ref, answer, by=by, now=service.clock(), shop_id=shop_id
    )
    if not isinstance(done, Refusal):
        return go_to(f"/merchant/tickets/{ticket_id}" if gone else "/merchant/shipping")
    if done.code is RefusalCode.NOT_FOUND:
        raise NotFoundException
    return await shipping_page(visit, problem=visit.speech.word(done.code), status_code=409)


def merchant(visit: Visit) -> Actor:
    """The merchant's person who acts."""
    return Actor(ActorKind.MERCHANT, visit.reader.name)


async def shipping_page(
    visit: Visit,
    *,
    after: str = "",
    form: ParcelForm | None = None,
    results: Sequence[RowResult] = (),
    problem: str | None = None,
    status_code: int = 200,
) -> Page:
    """The risks, and the forms; `results`: what became of the tracking numbers that were just sent."""
    wanted = RiskFilter(shop_id=visit.reader.subject_id, after=_after(after), limit=RISKS_PER_PAGE + 1)
    now = visit.service.clock()
    found = await visit.service.shipping_risks.risks(wanted, now)
    shown = found[:RISKS_PER_PAGE]
    return show(
        visit,
        "merchant/shipping.html",
        status_code=status_code,
        risks=shown,
        next_page=_place(shown[-1]) if len(found) > len(shown) else "",
        is_first=wanted.after is None,
        what_to_do=WHAT_TO_DO,
        form=form or ParcelForm(),
        results=results,
        code_words=code_words(visit, results),
        problem=visit.speech.say(problem) if problem else None,
        shop=await shop_name(visit, visit.reader.subject_id),
        now=now,
    )


def code_words(visit: Visit, results: Sequence[RowResult]) -> Mapping[str, str]:
    """The words for the codes of refused rows."""
    return {one.code: visit.speech.word(RefusalCode(one.code)) for one in results if one.code}


def _place(risk: ShippingRisk) -> str:
    return to_cursor(risk.since, f"{risk.risk}:{risk.subject}")


def _after(cursor: str) -> tuple[datetime, RiskKind, str] | None:
    if not cursor:
        return None
    at, named = read_place(cursor)
    kind, _sign, subject = named.partition(":")
    try:
        return at, RiskKind(kind), subject
    except ValueError as error:
        raise ValidationException from error
