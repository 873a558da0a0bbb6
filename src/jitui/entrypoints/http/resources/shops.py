"""Shops, and the benefit of the service for them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from typing import Annotated

from litestar.params import FromPath
from msgspec import UNSET, Meta, UnsetType

from jitui.aftersales.governance.registry import Shop
from jitui.aftersales.queries import TimeInterval
from jitui.entrypoints.http.fields import Attributes, AttributeValues, Text, Time, may_name
from jitui.entrypoints.http.mapping import shown
from jitui.entrypoints.http.operation import PLATFORM, get, operation, put
from jitui.entrypoints.http.problems import FaultCollector, not_found
from jitui.entrypoints.http.read_body import read_body
from jitui.entrypoints.http.read_query import read_query
from jitui.entrypoints.http.reply import Reply, answer
from jitui.entrypoints.http.request import RequestContext
from jitui.entrypoints.http.resources.shared import Sent, Shown, id_of_address, left_out, said
from jitui.identity.access import Permission


class ShopSent(Sent, frozen=True, kw_only=True):
    """What the platform knows of a shop; fields that are not sent stay."""

    name: Text | UnsetType = UNSET
    attributes: Annotated[Attributes | UnsetType, Meta(description="All attributes: others are deleted.")] = UNSET


class BenefitQuery(Sent, frozen=True, kw_only=True):
    """Since when."""

    since: Time | None = None


class ShopAnswer(Shown, frozen=True, kw_only=True):
    """What the platform sent about a shop; attributes only for the platform."""

    shop_id: str
    name: str
    attributes: AttributeValues


class PlatformBenefitQuery(BenefitQuery, frozen=True, kw_only=True):
    """Since when, for all shops together."""


class BenefitAnswer(Shown, frozen=True, kw_only=True):
    """The benefit for a shop, or for all together: requests handled, minutes saved, and how long refunds took."""

    shop_id: str | None
    since: datetime | None
    requests: int
    instant: int
    refunded: int
    awaiting: int
    instant_median_seconds: float | None
    instant_p99_seconds: float | None
    reviewed_median_seconds: float | None
    reviewed_p99_seconds: float | None
    times: tuple[TimeInterval, ...]
    review_minutes: int
    minutes_saved: int
    paid_orders: int
    disputes_before_shipment: int
    disputes_per_1000_orders: float | None


_TAG = ["Shops and coverage"]


@put(
    "/v1/shops/{shop_id:str}",
    tags=_TAG,
    summary="Put a shop",
    description="Replaces what is given; what is not given stays as it was.",
    opt=operation({200: ShopAnswer}, Permission.SHOPS_WRITE, body=ShopSent),
)
async def put_shop(request: RequestContext, shop_id: FromPath[str]) -> Reply:
    """Create or replace the fields of a shop that are sent."""
    sent = await read_body(request, ShopSent)
    shop = Shop(id_of_address("shop_id", shop_id), said(sent.name, ""), dict(said(sent.attributes, {})))
    service = request.service
    return answer(shown(ShopAnswer, await service.registry.put_shop(shop, service.clock(), kept=left_out(sent))))


@get(
    "/v1/shops/{shop_id:str}",
    tags=_TAG,
    summary="Read a shop",
    description="`attributes` are the platform's own and empty for others.",
    opt=operation({200: ShopAnswer}, Permission.SHOPS_READ),
)
async def get_shop(request: RequestContext, shop_id: FromPath[str]) -> Reply:
    """Return what is known of a shop."""
    if not request.may_see(shop_id=shop_id) or not may_name(shop_id):
        return not_found()
    shop = await request.service.registry.get_shop(shop_id)
    if shop is None:
        return not_found()
    return answer(shown(ShopAnswer, shop if request.key_scope is PLATFORM else replace(shop, attributes={})))


@get(
    "/v1/shops/{shop_id:str}/benefit",
    tags=_TAG,
    summary="Read what the service did for a shop",
    description="The formulas are in the how-to about the benefit.",
    opt=operation({200: BenefitAnswer}, Permission.SHOPS_READ, query=BenefitQuery),
)
async def get_benefit(request: RequestContext, shop_id: FromPath[str]) -> Reply:
    """Return the benefit of the service for a shop."""
    since = read_query(request, BenefitQuery).since
    if not request.may_see(shop_id=shop_id) or not may_name(shop_id):
        return not_found()
    faults = FaultCollector()
    faults.time("since", since)
    faults.settle()
    return answer(await _benefit(request, shop_id, since))


@get(
    "/v1/benefit",
    tags=_TAG,
    summary="Read what the service did for all shops",
    description="The formulas are in the how-to about the benefit.",
    opt=operation({200: BenefitAnswer}, Permission.METRICS_READ, query=PlatformBenefitQuery),
)
async def get_platform_benefit(request: RequestContext) -> Reply:
    """Return the benefit of the service for the platform."""
    since = read_query(request, PlatformBenefitQuery).since
    faults = FaultCollector()
    faults.time("since", since)
    faults.settle()
    return answer(await _benefit(request, None, since))


async def _benefit(request: RequestContext, shop_id: str | None, since: datetime | None) -> BenefitAnswer:
    queries, minutes = request.service.queries, request.service.settings.review_minutes
    benefit = await queries.benefit(shop_id=shop_id, since=since)
    rate = await queries.dispute_rate(shop_id=shop_id, since=since)
    return shown(
        BenefitAnswer,
        benefit,
        shop_id=shop_id,
        since=since,
        review_minutes=minutes,
        minutes_saved=benefit.instant * minutes,
        paid_orders=rate.orders,
        disputes_before_shipment=rate.disputes,
        disputes_per_1000_orders=rate.per_1000_orders,
    )


HANDLERS = (put_shop, get_shop, get_benefit, get_platform_benefit)

_ATTRIBUTES: Mapping[str, int | str | bool] = {"experience_score": 92}
EXAMPLES = (
    ShopSent(name="Cotton & Co", attributes=dict(_ATTRIBUTES)),
    ShopAnswer(shop_id="s-1", name="Cotton & Co", attributes=_ATTRIBUTES),
    BenefitAnswer(
        shop_id="s-1",
        since=None,
        requests=120,
        instant=95,
        refunded=110,
        awaiting=6,
        instant_median_seconds=1.9,
        instant_p99_seconds=4.2,
        reviewed_median_seconds=21600.0,
        reviewed_p99_seconds=172800.0,
        times=(TimeInterval(10, 94, 0), TimeInterval(None, 1, 15)),
        review_minutes=4,
        minutes_saved=380,
        paid_orders=4100,
        disputes_before_shipment=2,
        disputes_per_1000_orders=0.49,
    ),
)
