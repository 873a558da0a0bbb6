"""What a decision reads for the policy's caps, and what it finds. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from typing import TypedDict

from jitui.aftersales.model.order import OrderLine
from jitui.aftersales.model.usage import Usage, UsageBeside
from jitui.aftersales.ports import DecisionInputs
from jitui.policy import CATEGORIES_UNKNOWN, Cap, Caps, CapUsage, CategoryAmounts, Usages, category_amounts

USAGE_MAX_AGE = timedelta(seconds=10)
"""Usage that was rolled up longer ago is unknown, so without a worker no cap but the buyer's is met.

INVARIANT: the caps of shops, categories, clusters and the platform can be exceeded only by what is approved within
this time.
"""

SHORT_CAP_SECONDS = 7200
"""Caps over windows up to this long are counted in buckets of one minute, longer ones in buckets of one hour."""


class CapWindows(TypedDict):
    """Where the windows of the caps begin, and the length of the buckets in which usage is counted."""

    buyer_cap_from: datetime | None
    shop_cap_from: datetime | None
    shop_cap_bucket_seconds: int
    category_cap_from: datetime | None
    category_cap_bucket_seconds: int
    cluster_cap_from: datetime | None
    cluster_cap_bucket_seconds: int
    platform_cap_from: datetime | None
    platform_cap_bucket_seconds: int


def cap_windows(caps: Caps, now: datetime) -> CapWindows:
    """The windows of a policy's caps, which end now; None for a cap that is not set."""
    return CapWindows(
        buyer_cap_from=_cap_from(caps.per_buyer, now),
        shop_cap_from=_cap_from(caps.per_shop, now),
        shop_cap_bucket_seconds=_buckets_of(caps.per_shop, 60),
        category_cap_from=_cap_from(caps.per_category, now),
        category_cap_bucket_seconds=_buckets_of(caps.per_category, 3600),
        cluster_cap_from=_cap_from(caps.per_cluster, now),
        cluster_cap_bucket_seconds=_buckets_of(caps.per_cluster, 3600),
        platform_cap_from=_cap_from(caps.platform, now),
        platform_cap_bucket_seconds=_buckets_of(caps.platform, 3600),
    )


def bucket_seconds(over_seconds: int) -> int:
    """The length of the buckets in which usage is counted, for a cap over this window."""
    return 60 if over_seconds <= SHORT_CAP_SECONDS else 3600


def _cap_from(cap: Cap | None, now: datetime) -> datetime | None:
    return None if cap is None else now - timedelta(seconds=cap.over_seconds)


def _buckets_of(cap: Cap | None, otherwise: int) -> int:
    return otherwise if cap is None else bucket_seconds(cap.over_seconds)


def usage_is_fresh(as_of: datetime | None, now: datetime, max_age: timedelta) -> bool:
    """Whether usage is not older than `max_age`.

    A time ahead of now shows a wrong clock, so such usage is not fresh.
    """
    return as_of is not None and timedelta(0) <= now - as_of <= max_age


def usages_of(inputs: DecisionInputs, now: datetime, max_age: timedelta) -> Usages:
    """The usage that the caps count; what was rolled up too long ago is unknown."""
    buyer = _used(inputs.buyer_usage) if inputs.buyer_usage is not None else None
    fresh = usage_is_fresh(inputs.usage_as_of, now, max_age)
    cluster = _cluster_used(inputs, now, max_age, rolled_up=fresh)
    if not fresh:
        return Usages(buyer=buyer, cluster=cluster)
    return Usages(
        buyer=buyer,
        shop=_used(inputs.shop_usage),
        platform=_used(inputs.platform_usage),
        categories={category_id: _used(usage) for category_id, usage in inputs.category_usage.items()},
        cluster=cluster,
    )


def _cluster_used(inputs: DecisionInputs, now: datetime, max_age: timedelta, *, rolled_up: bool) -> CapUsage | None:
    """Unknown where the buyer's cluster is; a buyer without links is counted in the deciding transaction."""
    seen, usage = inputs.cluster, inputs.cluster_usage
    if seen is None or usage is None or not seen.is_known(lambda as_of: usage_is_fresh(as_of, now, max_age)):
        return None
    return _used(usage) if rolled_up or seen.as_of is None else None


def _used(usage: Usage) -> CapUsage:
    return CapUsage(usage.approvals, usage.amount_minor)


def with_usage_beside(inputs: DecisionInputs, usage: UsageBeside) -> DecisionInputs:
    """The inputs with the usage of a second policy's caps."""
    return replace(
        inputs,
        buyer_usage=usage.buyer,
        shop_usage=usage.shop,
        platform_usage=usage.platform,
        category_usage=usage.categories,
        cluster_usage=usage.cluster,
    )


def amounts_by_category(
    lines: Iterable[OrderLine], amounts: Mapping[str, int] | None, *, in_currency: bool
) -> CategoryAmounts:
    """What a request asks back in each category, of the lines that have an amount; freight is in none."""
    if amounts is None:
        return CATEGORIES_UNKNOWN
    asked = [line for line in lines if line.line_id in amounts]
    return category_amounts((line.category_id, amounts[line.line_id] if in_currency else None) for line in asked)


def told_categories(lines: Iterable[OrderLine], amounts: Mapping[str, int]) -> dict[str, int]:
    """The amounts by category as an event tells them, from which usage is rolled up; a line without one is in none."""
    told = amounts_by_category(lines, amounts, in_currency=True).amounts
    return {category_id: amount_minor for category_id, amount_minor in told.items() if amount_minor is not None}
