"""How much of the caps is used, and the alerts at shares of a cap.

The buyers' cap is not here: it is counted in the deciding transaction, and rolled up nowhere.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Protocol

from jitui.aftersales.commands.cap_usage import bucket_seconds
from jitui.policy import Cap, Policy

FALLS_BY_PERCENT = 10
"""An alert ends when usage is so many hundredths of the cap below its share, and the window has passed since it began.

So usage that moves about a share tells it once, and one share is never told twice within one window.
"""


class CapScope(StrEnum):
    """Whose usage is rolled up for a cap."""

    PLATFORM = "platform"
    SHOP = "shop"
    CATEGORY = "category"
    CLUSTER = "cluster"


class CapMeasure(StrEnum):
    """What of a cap is used up."""

    COUNT = "count"
    AMOUNT = "amount_minor"


@dataclass(frozen=True, slots=True)
class CapLimit:
    """A cap over the window from `since` until now; `key`: in the policy file. None is no limit."""

    key: str
    scope: CapScope
    count: int | None
    amount_minor: int | None
    over_seconds: int
    since: datetime
    bucket_seconds: int


@dataclass(frozen=True, slots=True)
class CapUse:
    """What a shop, category, cluster or the platform has used of its cap; `percent`: of the nearer limit, whole."""

    scope: CapScope
    ref: str
    approvals: int
    amount_minor: int
    percent: int | None


@dataclass(frozen=True, slots=True)
class CapAlert:
    """Usage passed `percent` of a cap; `ref` is the shop, category or cluster, empty for the platform."""

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
    closed_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class StandingAlerts:
    """How many alerts of a scope and share stand."""

    scope: CapScope
    percent: int
    alerts: int


class CapUsages(Protocol):
    """Reads what was rolled up, and keeps the alerts."""

    async def used(self, limits: Sequence[CapLimit], currency: str, most: int) -> Sequence[CapUse]:
        """Of each cap those that have used most of it, at most `most`."""
        ...

    async def look(
        self, limits: Sequence[CapLimit], currency: str, percents: Sequence[int], now: datetime
    ) -> Sequence[CapAlert]:
        """Open and end alerts, and tell each new one on the feed, in one transaction; returns the new ones.

        Of several who look at the same moment, one opens an alert.
        """
        ...

    async def alerts(self, *, standing: bool, limit: int) -> Sequence[CapAlert]:
        """Newest first."""
        ...

    async def standing(self) -> Sequence[StandingAlerts]: ...


def cap_limits(policy: Policy, now: datetime) -> tuple[CapLimit, ...]:
    """The caps of a policy whose usage is rolled up."""
    caps = policy.caps
    found = (
        ("platform", CapScope.PLATFORM, caps.platform),
        ("per_shop", CapScope.SHOP, caps.per_shop),
        ("per_category", CapScope.CATEGORY, caps.per_category),
        ("per_cluster", CapScope.CLUSTER, caps.per_cluster),
    )
    return tuple(_limit(key, scope, cap, now) for key, scope, cap in found if cap is not None)


def _limit(key: str, scope: CapScope, cap: Cap, now: datetime) -> CapLimit:
    over = cap.over_seconds
    since = now - timedelta(seconds=over)
    return CapLimit(key, scope, cap.count, cap.amount_minor, over, since, bucket_seconds(over))


async def look_at_caps(usages: CapUsages, policy: Policy, now: datetime) -> Sequence[CapAlert]:
    """Open alerts for what has passed a share of a cap of this policy, and end those that are over."""
    return await usages.look(cap_limits(policy, now), policy.currency, policy.caps.alerts_at_percent, now)
