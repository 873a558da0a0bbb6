"""The rejection of a ticket as it is sent, and the templates of a shop's rejections."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from litestar.params import FromPath
from msgspec import UNSET, Meta, UnsetType, field

from jitui.aftersales.commands.review import Rejection
from jitui.aftersales.commands.ship import ShipmentUpdate
from jitui.aftersales.governance.review_templates import ReviewTemplate
from jitui.aftersales.model.order import ShipmentSource, ShipmentStatus
from jitui.aftersales.model.review import MOST_EVIDENCE, RejectionCode
from jitui.aftersales.outcomes import RefusalCode
from jitui.entrypoints.http.fields import Code, Id, Time, Why, may_name
from jitui.entrypoints.http.mapping import shown, taken
from jitui.entrypoints.http.operation import delete, get, operation, put
from jitui.entrypoints.http.problems import FaultCollector, not_found, refuse
from jitui.entrypoints.http.read_body import read_body
from jitui.entrypoints.http.read_query import read_query
from jitui.entrypoints.http.reply import NO_CONTENT, Reply, answer
from jitui.entrypoints.http.request import RequestContext
from jitui.entrypoints.http.resources import sample
from jitui.entrypoints.http.resources.shared import (
    MOST_LINES,
    ActingSent,
    Sent,
    Shown,
    UnitsSent,
    id_of_address,
    said,
    units,
)
from jitui.entrypoints.http.resources.shipments import Carrier, check_shipment
from jitui.entrypoints.http.resources.ticket_commands import EvidenceSent, evidence_of
from jitui.entrypoints.http.resources.ticket_view import TICKET_TAG, find_ticket
from jitui.identity.access import Permission

REJECTION_REFUSALS = (
    RefusalCode.TICKET_ASSIGNED,
    RefusalCode.EVIDENCE_MISSING,
    RefusalCode.ORDER_ALREADY_SHIPPED,
    RefusalCode.ORDER_NOT_PAID,
    RefusalCode.ORDER_HELD,
    RefusalCode.REFUND_IN_PROGRESS,
    RefusalCode.UNITS_REFUNDED,
    RefusalCode.UNITS_NOT_AVAILABLE,
    RefusalCode.WAYBILL_OF_ANOTHER_BUYER,
    RefusalCode.UNKNOWN_LINE,
)
"""What a rejection can meet beside the ticket's state: missing evidence, and all that a shipment can meet."""


class ShippedSent(Sent, frozen=True, kw_only=True):
    """The parcel that left; it is recorded together with the rejection."""

    tracking_no: Code
    happened_at: Time
    carrier: Carrier = None
    lines: Annotated[list[UnitsSent], Meta(max_length=MOST_LINES)] = field(default_factory=list)


EvidencePieces = Annotated[list[EvidenceSent], Meta(max_length=MOST_EVIDENCE)]


class RejectionSent(ActingSent, frozen=True, kw_only=True):
    """Why the merchant rejects, and what shows it. With a shipment its units are released and shipped."""

    reason_code: Annotated[
        RejectionCode | UnsetType,
        Meta(description="Needed without a template; with a shipment it is `already_shipped` unless said otherwise."),
    ] = UNSET
    reason: Annotated[
        Why | UnsetType, Meta(description="In words that the buyer reads; needed without a template.")
    ] = UNSET
    template: Annotated[Id | UnsetType, Meta(description="The name of a template of the shop.")] = UNSET
    evidence: EvidencePieces | UnsetType = UNSET
    shipment: ShippedSent | None = None


async def rejection_of(request: RequestContext, sent: RejectionSent, ticket_id: str) -> Rejection:
    """The rejection as the core has it; raises a problem when neither it nor a template says why."""
    template = await _template_of(request, said(sent.template, None), ticket_id)
    code = said(sent.reason_code, template.reason_code if template else None)
    reason = said(sent.reason, template.reason if template else None)
    if code is None and sent.shipment is not None:
        code = RejectionCode.ALREADY_SHIPPED
    faults = FaultCollector()
    if code is None:
        faults.add("reason_code", f"Expected one of {', '.join(RejectionCode)}")
    if reason is None:
        faults.add("reason", "Expected words: the buyer reads them")
    faults.settle()
    assert code is not None and reason is not None
    return Rejection(code, reason.strip(), evidence_of(said(sent.evidence, [])), _shipment(sent.shipment))


async def _template_of(request: RequestContext, name: str | None, ticket_id: str) -> ReviewTemplate | None:
    if name is None:
        return None
    found = await find_ticket(request, ticket_id)
    template = None if found is None else await request.service.review_templates.get(found[1].shop_id, name)
    if found is not None and template is None:
        raise refuse("template", f"The shop has no template {name!r}.")
    return template


def _shipment(parcel: ShippedSent | None) -> ShipmentUpdate | None:
    if parcel is None:
        return None
    check_shipment(parcel.lines, parcel.happened_at, "shipment.")
    return taken(
        ShipmentUpdate,
        parcel,
        degree=ShipmentStatus.SHIPPED,
        carrier=parcel.carrier or "",
        source=ShipmentSource.MERCHANT,
        lines=units(parcel.lines),
    )


# Templates -------------------------------------------------------------------------------------------------------


class TemplateQuery(Sent, frozen=True, kw_only=True):
    """Whose templates; a shop key leaves it out."""

    shop_id: Id | None = None


class TemplateSent(Sent, frozen=True, kw_only=True):
    """The code and the words of a rejection."""

    reason_code: RejectionCode
    reason: Why


class TemplateAnswer(Shown, frozen=True, kw_only=True):
    """A template of a shop."""

    shop_id: str
    name: str
    reason_code: RejectionCode
    reason: str
    updated_at: datetime


class TemplateList(Shown, frozen=True, kw_only=True):
    """All templates of a shop, by name."""

    templates: tuple[TemplateAnswer, ...]


def _shop(request: RequestContext) -> str | None:
    """The shop that is meant; None when it is not the caller's."""
    query = read_query(request, TemplateQuery)
    shop_id = query.shop_id or request.own_shop
    if shop_id is None:
        raise refuse("shop_id", "This parameter is required with a platform key.")
    return shop_id if request.own_shop in (None, shop_id) else None


@get(
    "/v1/review-templates",
    tags=TICKET_TAG,
    summary="List a shop's templates",
    opt=operation({200: TemplateList}, Permission.TICKETS_WRITE, query=TemplateQuery),
)
async def list_review_templates(request: RequestContext) -> Reply:
    """Return the templates of a shop."""
    shop_id = _shop(request)
    if shop_id is None:
        return not_found()
    found = await request.service.review_templates.list(shop_id)
    return answer(TemplateList(templates=tuple(shown(TemplateAnswer, row) for row in found)))


@put(
    "/v1/review-templates/{template_name:str}",
    tags=TICKET_TAG,
    summary="Create or replace a template",
    description="A rejection copies it; a later change changes no rejection.",
    opt=operation(
        {200: TemplateAnswer},
        Permission.TICKETS_WRITE,
        body=TemplateSent,
        query=TemplateQuery,
        refusals=(RefusalCode.TOO_MANY_REVIEW_TEMPLATES,),
    ),
)
async def put_review_template(request: RequestContext, template_name: FromPath[str]) -> Reply:
    """Create or replace a template."""
    sent, shop_id = await read_body(request, TemplateSent), _shop(request)
    if shop_id is None:
        return not_found()
    named, now = id_of_address("template_name", template_name), request.service.clock()
    template = ReviewTemplate(shop_id, named, sent.reason_code, sent.reason.strip(), now, request.actor.id)
    refused = await request.service.review_templates.put(template)
    return answer(shown(TemplateAnswer, template)) if refused is None else refused


@delete(
    "/v1/review-templates/{template_name:str}",
    tags=TICKET_TAG,
    summary="Delete a template",
    opt=operation({204: None}, Permission.TICKETS_WRITE, query=TemplateQuery),
)
async def delete_review_template(request: RequestContext, template_name: FromPath[str]) -> Reply:
    """Delete a template."""
    shop_id = _shop(request)
    if shop_id is None or not may_name(template_name):
        return not_found()
    if not await request.service.review_templates.delete(shop_id, template_name):
        return not_found()
    return NO_CONTENT


HANDLERS = (list_review_templates, put_review_template, delete_review_template)

_TEMPLATE = TemplateAnswer(
    shop_id="s-1",
    name="on-its-way",
    reason_code=RejectionCode.ALREADY_SHIPPED,
    reason="The parcel is on its way.",
    updated_at=sample.ASKED_AT,
)
EXAMPLES = (
    RejectionSent(
        reason_code=RejectionCode.ALREADY_SHIPPED,
        reason="The parcel is on its way.",
        shipment=ShippedSent(tracking_no="SF1000000001", carrier="sf", happened_at=sample.ASKED_AT),
    ),
    TemplateSent(reason_code=_TEMPLATE.reason_code, reason=_TEMPLATE.reason),
    _TEMPLATE,
    TemplateList(templates=(_TEMPLATE,)),
)
