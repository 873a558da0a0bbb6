"""Shipping risks, and the warehouse's answer to a stop-ship."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated
from uuid import UUID

from litestar.params import FromPath
from msgspec import Meta

from jitui.aftersales.commands.stop_ship import StopShipAnswer, StopShipOutcome, acknowledge_stop_ship
from jitui.aftersales.model.view import Amount, TicketView
from jitui.aftersales.outcomes import RefusalCode
from jitui.aftersales.shipping_risks import WHAT_TO_DO, RiskFilter, RiskKind, ShippingRisk
from jitui.entrypoints.http.cursors import RiskPlace, page_of, read_cursor
from jitui.entrypoints.http.fields import Code, Cursor, Id, PageLimit, Time
from jitui.entrypoints.http.mapping import shown
from jitui.entrypoints.http.operation import get, operation, post
from jitui.entrypoints.http.problems import FaultCollector, not_found
from jitui.entrypoints.http.read_body import read_body
from jitui.entrypoints.http.read_query import read_query
from jitui.entrypoints.http.reply import Reply, answer, respond
from jitui.entrypoints.http.request import RequestContext
from jitui.entrypoints.http.resources import sample
from jitui.entrypoints.http.resources.shared import Sent, Shown
from jitui.entrypoints.http.resources.shipments import Carrier
from jitui.entrypoints.http.resources.ticket_view import ticket_answer, ticket_ref
from jitui.identity.access import Permission

_TAG = ["Shipping"]


class ShippingRiskQuery(Sent, frozen=True, kw_only=True):
    """Filters of the list of shipping risks."""

    shop_id: Id | None = None
    risk: RiskKind | None = None
    cursor: Cursor | None = None
    limit: PageLimit = 50


class ShippingRiskAnswer(Shown, frozen=True, kw_only=True):
    """One risk: what threatens, since when, how much money, and what to do."""

    risk: RiskKind
    order_id: str
    shop_id: str
    since: datetime
    age_seconds: int
    amount: Amount
    what_to_do: str
    carrier: str | None
    tracking_no: str | None
    ticket_id: UUID | None


class ShippingRiskPage(Shown, frozen=True, kw_only=True):
    """A page of risks, oldest first; `next` is null on the last one."""

    risks: tuple[ShippingRiskAnswer, ...]
    next: str | None


class StopShipSent(Sent, frozen=True, kw_only=True):
    """What became of the goods; where they are gone, the number under which they travel."""

    outcome: StopShipOutcome
    tracking_no: Code | None = None
    carrier: Carrier = None
    happened_at: Annotated[Time | None, Meta(description="When the goods left; not sent: now.")] = None
    person: Annotated[Code | None, Meta(description="Who says it at the warehouse.")] = None


@get(
    "/v1/shipping-risks",
    tags=_TAG,
    summary="List shipping risks",
    description="Where a shop can lose goods and money before a parcel is on its way, oldest first: labels that were "
    "not handed over, `ship_by` near or passed, carriers' scans of which the merchant entered no tracking number, "
    "open tickets (do not ship), and unanswered stop-ships. A shop key lists its own. Tickets may be a second late.",
    opt=operation({200: ShippingRiskPage}, Permission.INCIDENTS_READ, query=ShippingRiskQuery),
)
async def list_shipping_risks(request: RequestContext) -> Reply:
    """Return the risks, oldest first."""
    query = read_query(request, ShippingRiskQuery)
    if not request.may_filter(shop_id=query.shop_id, buyer_id=None):
        return not_found()
    place = read_cursor(query.cursor, RiskPlace)
    now = request.service.clock()
    wanted = RiskFilter(
        request.own_shop or query.shop_id,
        tuple(RiskKind) if query.risk is None else (query.risk,),
        (place.at, place.risk, place.subject) if place is not None else None,
        query.limit + 1,
    )
    found = await request.service.shipping_risks.risks(wanted, now)
    rows, following = page_of(found, query.limit, lambda row: (row.since, row.risk, row.subject))
    return answer(ShippingRiskPage(risks=tuple(_shown(row, now) for row in rows), next=following))


def _shown(row: ShippingRisk, now: datetime) -> ShippingRiskAnswer:
    age_seconds = int((now - row.since).total_seconds())
    return shown(ShippingRiskAnswer, row, age_seconds=age_seconds, what_to_do=WHAT_TO_DO[row.risk])


@post(
    "/v1/stop-ships/{ticket_id:str}/acknowledge",
    tags=_TAG,
    summary="Answer a stop-ship",
    description="The warehouse says what became of the goods of a refunded ticket: `held`, or `already_gone` with the "
    "tracking number, which records the shipment and opens an incident. It stands on the ticket's timeline. The same "
    "answer again changes nothing. Where the refund waits for the answer (`stop_ship.requested`), `held` before "
    "`answer_by` is decided on again and may approve it; later it is recorded, and the merchant decides.",
    opt=operation(
        {200: TicketView},
        Permission.SHIPMENTS_WRITE,
        body=StopShipSent,
        idempotent=True,
        refusals=(
            RefusalCode.NO_STOP_SHIP,
            RefusalCode.STOP_SHIP_ANSWERED,
            RefusalCode.WAYBILL_OF_ANOTHER_BUYER,
        ),
    ),
)
async def acknowledge_a_stop_ship(request: RequestContext, ticket_id: FromPath[str]) -> Reply:
    """Record the warehouse's answer on the ticket."""
    sent = await read_body(request, StopShipSent)
    faults = FaultCollector()
    gone = sent.outcome is StopShipOutcome.ALREADY_GONE
    if gone and sent.tracking_no is None:
        faults.add("tracking_no", "Expected the tracking number of goods that are gone.")
    for name in ("tracking_no", "carrier", "happened_at") if not gone else ():
        if getattr(sent, name) is not None:
            faults.add(name, "Goods that are held have not left; leave it out.")
    faults.time("happened_at", sent.happened_at)
    faults.settle()
    ref = ticket_ref(ticket_id)
    if ref is None:
        return not_found()
    said = StopShipAnswer(sent.outcome, sent.tracking_no or "", sent.carrier or "", sent.happened_at, sent.person or "")
    service, by, shop_id = request.service, request.actor, request.own_shop
    return await respond(
        request,
        sent,
        lambda reply: acknowledge_stop_ship(
            service.store,
            service.decision_settings,
            ref,
            said,
            by=by,
            now=service.clock(),
            shop_id=shop_id,
            reply=reply,
        ),
        lambda done: ticket_answer(request, done.snapshot, ref.ticket_id),
    )


HANDLERS = (list_shipping_risks, acknowledge_a_stop_ship)

EXAMPLES = (
    ShippingRiskPage(
        risks=(
            ShippingRiskAnswer(
                risk=RiskKind.LABEL_NOT_HANDED_OVER,
                order_id="o-1001",
                shop_id="s-1",
                since=sample.ASKED_AT,
                age_seconds=93_600,
                amount=sample.FULL,
                what_to_do=WHAT_TO_DO[RiskKind.LABEL_NOT_HANDED_OVER],
                carrier="sf",
                tracking_no="SF1000000001",
                ticket_id=None,
            ),
        ),
        next=None,
    ),
    StopShipSent(
        outcome=StopShipOutcome.ALREADY_GONE,
        tracking_no="SF1000000001",
        carrier="sf",
        happened_at=sample.ASKED_AT,
        person="wang.fang",
    ),
)
