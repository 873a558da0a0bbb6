"""The pages of benefits: a shop's own, and those of all shops together for the platform's people (R6 to R8)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

from litestar import Router, get

from jitui.aftersales.queries import Benefit, TimeInterval
from jitui.entrypoints.console.page.access import STAFF, needs, pages_of
from jitui.entrypoints.console.page.visit import ConsoleRequest, Page, Visit, Visiting, show
from jitui.entrypoints.console.ticket.why import shop_name
from jitui.identity.access import Permission

PERIODS_DAYS = (7, 30, 90, 365)
USUAL_DAYS = 30


@dataclass(frozen=True, slots=True)
class TimeRow:
    """How many refunds took so long, at once and reviewed, and their shares of all of their kind in per cent."""

    from_seconds: int
    below_seconds: int | None
    instant: int
    reviewed: int
    instant_percent: float
    reviewed_percent: float


@get("/benefit", opt=needs(Permission.SHOPS_READ))
async def shop_benefit(visit: Visiting, request: ConsoleRequest) -> Page:
    """What the service did for the shop: the same figures as the API's."""
    shop_id = visit.reader.subject_id
    return await _page(visit, request, "/merchant/benefit", shop_id, await shop_name(visit, shop_id))


@get("/benefit", opt=needs(Permission.SHOPS_READ))
async def platform_benefit(visit: Visiting, request: ConsoleRequest) -> Page:
    """What the service did for all shops together."""
    return await _page(visit, request, "/platform/benefit", None, "")


async def _page(visit: Visit, request: ConsoleRequest, address: str, shop_id: str | None, shop: str) -> Page:
    days = _days(request.query_params.get("days", ""))
    since = visit.service.clock() - timedelta(days=days)
    found = await visit.service.queries.benefit(shop_id=shop_id, since=since)
    minutes = visit.service.settings.review_minutes
    return show(
        visit,
        "benefit.html",
        address=address,
        shop=shop,
        days=days,
        periods=PERIODS_DAYS,
        benefit=found,
        review_minutes=minutes,
        minutes_saved=found.instant * minutes,
        disputes=await visit.service.queries.dispute_rate(shop_id=shop_id, since=since),
        times=times_of(found),
    )


def _days(text: str) -> int:
    """The period in the address; the usual one for any other text."""
    return int(text) if text in {str(days) for days in PERIODS_DAYS} else USUAL_DAYS


def times_of(benefit: Benefit) -> Sequence[TimeRow]:
    """The distribution of times to the refund; none while nothing was refunded."""
    instant, reviewed = sum(one.instant for one in benefit.times), sum(one.reviewed for one in benefit.times)
    if not instant and not reviewed:
        return ()
    starts = (0, *(one.below_seconds or 0 for one in benefit.times))
    return [_row(start, one, instant, reviewed) for start, one in zip(starts, benefit.times, strict=False)]


def _row(start: int, one: TimeInterval, instant: int, reviewed: int) -> TimeRow:
    return TimeRow(
        start,
        one.below_seconds,
        one.instant,
        one.reviewed,
        _percent(one.instant, instant),
        _percent(one.reviewed, reviewed),
    )


def _percent(part: int, whole: int) -> float:
    return round(100 * part / whole, 1) if whole else 0.0


ROUTER = Router(
    "/platform",
    route_handlers=[platform_benefit],
    guards=[pages_of(*STAFF)],
)
