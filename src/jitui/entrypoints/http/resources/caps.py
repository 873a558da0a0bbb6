"""Caps: how much of each is used, and the alerts at shares of them."""

from __future__ import annotations

from datetime import datetime

from jitui.aftersales.commands.cap_usage import usage_is_fresh
from jitui.aftersales.governance.cap_usage import CapAlert, CapMeasure, CapScope, CapUse, cap_limits
from jitui.entrypoints.http.fields import PageLimit
from jitui.entrypoints.http.mapping import shown
from jitui.entrypoints.http.operation import get, operation
from jitui.entrypoints.http.read_query import read_query
from jitui.entrypoints.http.reply import Reply, answer
from jitui.entrypoints.http.request import RequestContext
from jitui.entrypoints.http.resources import sample
from jitui.entrypoints.http.resources.shared import Sent, Shown
from jitui.identity.access import Permission


class CapQuery(Sent, frozen=True, kw_only=True):
    """How many of each cap."""

    limit: PageLimit = 50


class CapUseView(Shown, frozen=True, kw_only=True):
    """What one has used within the window."""

    ref: str
    approvals: int
    amount_minor: int
    percent_used: int | None


class CapView(Shown, frozen=True, kw_only=True):
    """A cap of the live policy, with those that have used most of it."""

    cap: str
    scope: CapScope
    count: int | None
    amount_limit_minor: int | None
    over_seconds: int
    used: tuple[CapUseView, ...]


class CapAlertView(Shown, frozen=True, kw_only=True):
    """Usage passed a share of a cap."""

    alert_id: int
    scope: CapScope
    ref: str
    measure: CapMeasure
    percent: int
    used: int
    cap: int
    currency: str
    over_seconds: int
    opened_at: datetime
    closed_at: datetime | None


class CapsAnswer(Shown, frozen=True, kw_only=True):
    """The caps of the live policy, their usage and the alerts that stand."""

    policy_id: str
    policy_version: str
    currency: str
    usage_as_of: datetime | None
    usage_known: bool
    caps: tuple[CapView, ...]
    alerts: tuple[CapAlertView, ...]


@get(
    "/v1/caps",
    tags=["Policies"],
    summary="Read how much of the caps is used",
    description="The rolled-up usage of the live policy's caps on shops, categories, clusters and the platform, those "
    "that have used most first, and the alerts that stand. A buyer's cap is counted when the buyer asks and is not "
    "here.",
    opt=operation({200: CapsAnswer}, Permission.POLICIES_READ, query=CapQuery),
)
async def get_caps(request: RequestContext) -> Reply:
    """Return the usage of the caps."""
    query = read_query(request, CapQuery)
    service = request.service
    now = service.clock()
    policy = await service.policy_in_force.current()
    limits = cap_limits(policy, now)
    used = await service.cap_usages.used(limits, policy.currency, query.limit)
    alerts = await service.cap_usages.alerts(standing=True, limit=query.limit)
    as_of = (await service.queries.health(now)).usage_as_of
    return answer(
        CapsAnswer(
            policy_id=policy.id,
            policy_version=policy.version,
            currency=policy.currency,
            usage_as_of=as_of,
            usage_known=usage_is_fresh(as_of, now, service.settings.usage_max_age),
            caps=tuple(
                CapView(
                    cap=limit.key,
                    scope=limit.scope,
                    count=limit.count,
                    amount_limit_minor=limit.amount_minor,
                    over_seconds=limit.over_seconds,
                    used=tuple(_use(one) for one in used if one.scope is limit.scope),
                )
                for limit in limits
            ),
            alerts=tuple(_alert(one) for one in alerts),
        )
    )


def _use(use: CapUse) -> CapUseView:
    return CapUseView(ref=use.ref, approvals=use.approvals, amount_minor=use.amount_minor, percent_used=use.percent)


def _alert(alert: CapAlert) -> CapAlertView:
    return shown(CapAlertView, alert)


HANDLERS = (get_caps,)

_ALERT = CapAlertView(
    alert_id=7,
    scope=CapScope.CATEGORY,
    ref="apparel",
    measure=CapMeasure.AMOUNT,
    percent=80,
    used=812_000,
    cap=1_000_000,
    currency="CNY",
    over_seconds=86_400,
    opened_at=sample.PAID_AT,
    closed_at=None,
)
_USE = CapUseView(ref="apparel", approvals=41, amount_minor=812_000, percent_used=81)
_CAP = CapView(
    cap="per_category",
    scope=CapScope.CATEGORY,
    count=None,
    amount_limit_minor=1_000_000,
    over_seconds=86_400,
    used=(_USE,),
)
EXAMPLES = (
    _USE,
    _CAP,
    _ALERT,
    CapsAnswer(
        policy_id="unshipped-instant-refund",
        policy_version="1",
        currency="CNY",
        usage_as_of=sample.PAID_AT,
        usage_known=True,
        caps=(_CAP,),
        alerts=(_ALERT,),
    ),
)
