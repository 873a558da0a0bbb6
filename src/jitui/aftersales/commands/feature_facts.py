"""The windows of a policy's features, and the facts that are counted in them. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, datetime, time, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo

from jitui.aftersales.model.order import Buyer
from jitui.aftersales.ports import (
    FeatureWindow,
    HistoryRecord,
    RuleWindow,
    WindowValue,
)
from jitui.policy import (
    CLOCKS_DIFFER_SECONDS,
    FactValue,
    Feature,
    Policy,
)

CLOCKS_DIFFER = timedelta(seconds=CLOCKS_DIFFER_SECONDS)
"""A time that is ahead of now by up to this much counts as now; one further ahead makes the fact unknown (I5)."""


@lru_cache(maxsize=64)
def feature_windows(features: tuple[Feature, ...], today: date, currency: str = "") -> tuple[FeatureWindow, ...]:
    """The window of each feature; the same all day."""
    return tuple(_window(feature, currency, today) for feature in features)


@lru_cache(maxsize=64)
def rule_windows(policy: Policy, today: date) -> tuple[RuleWindow, ...]:
    """The windows of the features that each restriction rule reads; the same all day."""
    features = {feature.name: _window(feature, policy.currency, today) for feature in policy.features}
    return tuple(
        RuleWindow(program.id, window.name, window.function, window.kind, window.from_day, window.to_day)
        for program in policy.programs.restrictions
        for name in program.reads.facts
        if (window := features.get(name)) is not None
    )


def _window(feature: Feature, currency: str, today: date) -> FeatureWindow:
    # A buyer's window includes today; a shop's ends yesterday, up to which the roll-up counts.
    last = today if feature.subject == "buyer" else today - timedelta(days=1)
    return FeatureWindow(
        name=feature.name,
        subject=feature.subject,
        function=feature.function,
        kind=feature.kind,
        from_day=today - timedelta(days=feature.days),
        to_day=last,
        currency=currency,
    )


def feature_facts(
    features: tuple[Feature, ...],
    values: Mapping[str, WindowValue],
    records: Mapping[str, HistoryRecord],
    shop_days_as_of: datetime | None,
    buyer: Buyer | None,
    now: datetime,
    time_zone: ZoneInfo,
) -> dict[str, FactValue | None]:
    windows = feature_windows(features, now.astimezone(time_zone).date())
    named = {window.name: window for window in windows}
    return window_facts(named, values, records, shop_days_as_of, buyer, now, time_zone)


def window_facts(
    windows: Mapping[str, FeatureWindow],
    values: Mapping[str, WindowValue],
    records: Mapping[str, HistoryRecord],
    shop_days_as_of: datetime | None,
    buyer: Buyer | None,
    now: datetime,
    time_zone: ZoneInfo,
) -> dict[str, FactValue | None]:
    """The values of features, by feature; the window's own name is the one under which it was read."""
    facts: dict[str, FactValue | None] = {}
    for name, window in windows.items():
        known = _is_known(window, records.get(window.kind), buyer, now, time_zone)
        if window.subject == "shop":
            known = known and _rolled_up_through(window, shop_days_as_of, time_zone)
        facts[name] = window_fact(window, values.get(window.name), now, time_zone) if known else None
    return facts


def _is_known(
    window: FeatureWindow, record: HistoryRecord | None, buyer: Buyer | None, now: datetime, time_zone: ZoneInfo
) -> bool:
    """Whether the history of the window is known. History that was never fed is unknown, not zero (I5).

    A buyer's window is also known when the account is younger than the record. An account whose opening time lies ahead
    of now has no known age.
    """
    if record is None or (record.fresh_until is not None and record.fresh_until < now):
        return False
    complete_from = record.complete_from
    if buyer is not None and window.subject == "buyer" and buyer.history_from is not None:
        complete_from = max(complete_from, buyer.history_from)
    if complete_from <= datetime.combine(window.from_day, time.min, time_zone):
        return True
    opened = None if buyer is None else buyer.registered_at
    young = opened is not None and complete_from <= opened <= now + CLOCKS_DIFFER
    return window.subject == "buyer" and young


def _rolled_up_through(window: FeatureWindow, as_of: datetime | None, time_zone: ZoneInfo) -> bool:
    return as_of is not None and as_of.astimezone(time_zone).date() > window.to_day


def window_fact(
    window: FeatureWindow | RuleWindow, value: WindowValue | None, now: datetime, time_zone: ZoneInfo
) -> FactValue | None:
    """The value of a window whose history is known; None for unknown."""
    if value is None:
        return None  # it was not counted
    if value.ahead:
        return None  # an event has a time ahead of now, so the number of events until now is not known
    if window.function == "count":
        return value.events
    if window.function == "sum":
        return value.amount_minor  # None when it exceeds 64 bits or a currency is unknown: the fact is unknown
    if value.last_day is None:
        return None
    return (now.astimezone(time_zone).date() - value.last_day).days
