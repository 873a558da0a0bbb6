"""The merchant's page of shipping risks: what threatens, since when, how much money, and what to do (R9)."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from litestar import get
from litestar.exceptions import ValidationException

from jitui.aftersales.shipping_risks import RiskFilter, RiskKind, ShippingRisk
from jitui.entrypoints.console.access import needs
from jitui.entrypoints.console.cursor import read_place
from jitui.entrypoints.console.visit import ConsoleRequest, Page, Visiting, show
from jitui.entrypoints.console.why import shop_name
from jitui.entrypoints.cursor import to_cursor
from jitui.identity.access import Permission

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


@get("/shipping", opt=needs(Permission.INCIDENTS_READ))
async def shipping(visit: Visiting, request: ConsoleRequest) -> Page:
    """The shop's risks, oldest first: the same list as the API's."""
    wanted = RiskFilter(
        shop_id=visit.reader.subject_id,
        after=_after(request.query_params.get("after", "")),
        limit=RISKS_PER_PAGE + 1,
    )
    now = visit.service.clock()
    found = await visit.service.shipping_risks.risks(wanted, now)
    shown = found[:RISKS_PER_PAGE]
    return show(
        visit,
        "merchant/shipping.html",
        risks=shown,
        next_page=_place(shown[-1]) if len(found) > len(shown) else "",
        is_first=wanted.after is None,
        what_to_do=WHAT_TO_DO,
        shop=await shop_name(visit, visit.reader.subject_id),
        now=now,
    )


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
