"""Gathers the facts of a decision from the order snapshot and the decision inputs. Pure.

A fact that cannot be known is left out: an unknown condition never approves (I5).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import date, datetime, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo

from jitui.aftersales.commands.cap_usage import (
    USAGE_MAX_AGE,
    amounts_by_category,
    cap_windows,
    usage_is_fresh,
    usages_of,
    with_usage_beside,
)
from jitui.aftersales.commands.feature_facts import (
    CLOCKS_DIFFER,
    feature_facts,
    feature_windows,
    rule_windows,
    window_facts,
)
from jitui.aftersales.deciding import BuyersPolicy
from jitui.aftersales.model.cluster import ClusterSeen
from jitui.aftersales.model.order import Buyer, LineUnits, OrderLine, captured_minor
from jitui.aftersales.model.snapshot import OrderSnapshot
from jitui.aftersales.model.ticket import Arm
from jitui.aftersales.ports import (
    DecisionInputs,
    DecisionQuery,
    FeatureWindow,
    HistoryRecord,
    RuleWindow,
    ScopedRow,
    WindowValue,
)
from jitui.policy import (
    FACTS,
    FactValue,
    Feature,
    Policy,
    caps_facts,
    held_out,
)
from jitui.policy.moments import moment_facts
from jitui.text import spelled_alike

_BESIDE = "beside "
"""Begins the names of the windows that only a second policy reads."""


def decision_query(
    policy: Policy, now: datetime, time_zone: ZoneInfo, *, beside: Policy | None = None
) -> DecisionQuery:
    """What the deciding statement has to read for this policy, now, and for a second one that decides on the same."""
    today = now.astimezone(time_zone).date()
    windows = feature_windows(policy.deciding_features, today, policy.currency)
    query = _query_of(policy, windows, now, time_zone, rules=rule_windows(policy, today), of=policy)
    if beside is None:
        return query
    own = _query_of(beside, windows, now, time_zone, rules=query.rule_windows, of=policy)
    both = (*query.windows, *_windows_beside(policy, beside, today).values())
    return replace(query, windows=both, beside=None if own == query else own)


def inputs_beside(
    policy: Policy, beside: Policy, inputs: DecisionInputs, now: datetime, time_zone: ZoneInfo
) -> DecisionInputs:
    """The inputs as the second policy of a query has them: its features by their names, and the usage of its caps.

    A feature that both policies declare alike is read once.
    """
    own = _windows_beside(policy, beside, now.astimezone(time_zone).date())
    if own:
        read = {value.name: value for value in inputs.windows}
        windows = tuple(
            replace(read[name], name=feature.name)
            for feature in beside.deciding_features
            if (name := own[feature.name].name if feature.name in own else feature.name) in read
        )
        inputs = replace(inputs, windows=windows)
    usage = inputs.usage_beside
    if usage is None:
        return inputs
    return with_usage_beside(inputs, usage)


def _query_of(
    policy: Policy,
    windows: tuple[FeatureWindow, ...],
    now: datetime,
    time_zone: ZoneInfo,
    *,
    rules: tuple[RuleWindow, ...],
    of: Policy,
) -> DecisionQuery:
    """The query with the caps of `policy`, and the restriction rules of `of`."""
    return DecisionQuery(
        windows=windows,
        now=now,
        ahead_from=now + CLOCKS_DIFFER,
        currency=policy.currency,
        **cap_windows(policy.caps, now),
        policy_id=of.id if of.restrictions else "",
        rule_windows=rules,
        time_zone=time_zone.key,
    )


def gather_facts(
    policy: Policy,
    snapshot: OrderSnapshot,
    inputs: DecisionInputs,
    *,
    asked: Sequence[LineUnits],
    amount_minor: int,
    now: datetime,
    time_zone: ZoneInfo,
    cap_amount_minor: int | None = None,
    line_amounts: Mapping[str, int] | None = None,
    usage_max_age: timedelta = USAGE_MAX_AGE,
) -> dict[str, FactValue]:
    """The facts for one request; unknown ones are absent.

    `cap_amount_minor`: the part of `amount_minor` that the caps do not count yet, if it is less; `line_amounts`: how
    much of that each line has, None for unknown. INVARIANT: no amount is known for an order in another currency than
    the policy's.
    """
    order, buyer = snapshot.order, snapshot.buyer
    in_currency = order.currency == policy.currency
    known: dict[str, FactValue | None] = {
        "buyer.selected": is_selected(policy, buyer.buyer_id, inputs.selection),
        "buyer.restricted": inputs.restricted,
        "request.amount_minor": amount_minor,
        "request.whole_order": _is_whole_order(snapshot.lines, asked),
        **moment_facts(now, time_zone),
        "order.paid_minor": captured_minor(snapshot.tenders),
        "order.currency": order.currency,
        "order.shipment": snapshot.fulfillment.value,
        "order.hold": order.hold.value,
        "order.age_seconds": _age_seconds(order.placed_at, now),
        "order.paid_age_seconds": _age_seconds(order.paid_at, now),
        "order.freight_minor": order.freight_minor,
        "order.lines": [_line_facts(line, asked, inputs, in_currency=in_currency) for line in snapshot.lines],
        "shop.covered": _covered(inputs.coverage, ("shop", order.shop_id), ("platform", "")),
        "service.paused": is_paused(snapshot, inputs),
    }
    known.update(buyer_facts(policy, buyer, inputs, now, time_zone, usage_max_age=usage_max_age))
    uncounted_minor = amount_minor if cap_amount_minor is None else cap_amount_minor
    usages = usages_of(inputs, now, usage_max_age)
    categories = amounts_by_category(snapshot.lines, line_amounts, in_currency=in_currency)
    known.update(caps_facts(policy.caps, usages, uncounted_minor if in_currency else None, categories))
    return {
        name: value
        for name, value in known.items()
        if value is not None and (in_currency or not policy.facts[name].is_money)
    }


def buyer_facts(
    policy: Policy,
    buyer: Buyer,
    inputs: DecisionInputs,
    now: datetime,
    time_zone: ZoneInfo,
    *,
    usage_max_age: timedelta = USAGE_MAX_AGE,
) -> dict[str, FactValue | None]:
    """Features, attributes, the age of the account and the cluster, which need no order; unknown ones are None."""
    values, records = ({one.name: one for one in inputs.windows}, {one.kind: one for one in inputs.history})
    as_of = inputs.shop_days_as_of
    return {
        "buyer.account_age_days": _age_days(buyer.registered_at, now),
        **feature_facts(policy.deciding_features, values, records, as_of, buyer, now, time_zone),
        **_attribute_facts(policy, buyer),
        **_cluster_facts(inputs.cluster, now, usage_max_age),
    }


def _cluster_facts(seen: ClusterSeen | None, now: datetime, max_age: timedelta) -> dict[str, FactValue | None]:
    """What a worker looked at too long ago is unknown, as usage is; a buyer without links is alone at any time."""
    known = seen is not None and seen.is_known(lambda as_of: usage_is_fresh(as_of, now, max_age))
    return {
        "buyer.cluster_size": seen.size if known and seen is not None else None,
        "buyer.cluster_restricted": seen.other_restricted if known and seen is not None else None,
    }


def facts_beside(
    policy: Policy,
    facts: Mapping[str, FactValue],
    beside: Policy,
    snapshot: OrderSnapshot,
    inputs: DecisionInputs,
    *,
    now: datetime,
    time_zone: ZoneInfo,
    amount_minor: int,
    line_amounts: Mapping[str, int],
    usage_max_age: timedelta,
) -> tuple[dict[str, FactValue], frozenset[str]]:
    """The facts of a second policy of the same currency, and the names of those that differ from the first one's.

    They are those of `gather_facts` on `inputs_beside`. What no policy changes is taken from the first one's facts.
    """
    order, buyer = snapshot.order, snapshot.buyer
    in_currency = order.currency == beside.currency
    own_windows = _windows_beside(policy, beside, now.astimezone(time_zone).date())
    usage = inputs.usage_beside
    if usage is not None:
        inputs = with_usage_beside(inputs, usage)
    known: dict[str, FactValue | None] = {"buyer.selected": is_selected(beside, buyer.buyer_id, inputs.selection)}
    known.update((one.name, facts.get(one.name)) for one in beside.deciding_features if one.name not in own_windows)
    if own_windows:
        values, records = ({one.name: one for one in inputs.windows}, {one.kind: one for one in inputs.history})
        as_of = inputs.shop_days_as_of
        known.update(window_facts(own_windows, values, records, as_of, buyer, now, time_zone))
    known.update(_attribute_facts(beside, buyer))
    usages = usages_of(inputs, now, usage_max_age)
    categories = amounts_by_category(snapshot.lines, line_amounts, in_currency=in_currency)
    known.update(caps_facts(beside.caps, usages, amount_minor if in_currency else None, categories))
    found: dict[str, FactValue] = {name: value for name, value in facts.items() if name in FACTS and name not in known}
    found |= {
        name: value
        for name, value in known.items()
        if value is not None and (in_currency or not beside.facts[name].is_money)
    }
    return found, frozenset(name for name in facts.keys() | known.keys() if facts.get(name) != found.get(name))


def history_read(policy: Policy, snapshot: OrderSnapshot, inputs: DecisionInputs) -> dict[str, object]:
    """Why each feature was known or unknown.

    It is stored with the decision, so that a replay does not have to guess (I4).
    """
    kinds = {feature.kind for feature in policy.deciding_features}
    return {
        "records": [record for record in inputs.history if record.kind in kinds],
        "registered_at": snapshot.buyer.registered_at,
        "shop_days_as_of": inputs.shop_days_as_of,
        **({} if snapshot.buyer.history_from is None else {"history_from": snapshot.buyer.history_from}),
    }


def is_paused(snapshot: OrderSnapshot, inputs: DecisionInputs) -> bool | None:
    """Whether instant approvals are paused for this order.

    None when it depends on an unknown region or category, or when a paused place differs from one of the order's only
    in letter case or width, because it may be the same place.
    """
    if not inputs.pauses and not inputs.paused_scopes:
        return False
    places = {("platform", ""), ("shop", snapshot.order.shop_id), ("region", snapshot.buyer.region)}
    places |= {(scope, ref) for line in snapshot.lines for scope, ref in _places_of(line)}
    if any((row.scope, row.ref) in places for row in inputs.pauses):
        return True
    perhaps = ("region" in inputs.paused_scopes and not snapshot.buyer.region) or (
        "category" in inputs.paused_scopes and any(not line.category_id for line in snapshot.lines)
    )
    return None if perhaps or inputs.pauses else False


def arm_of(decides: BuyersPolicy, buyer_id: str, selection: str | None) -> Arm:
    """HOLD_OUT for buyers whom chance alone sends to review, to measure the results without the service (R7)."""
    if selection is None and held_out(decides.policy, buyer_id):
        return Arm.HOLD_OUT
    return Arm.CANARY if decides.in_canary else Arm.LIVE


def is_selected(policy: Policy, buyer_id: str, selection: str | None) -> bool:
    """Whether the buyer is selected: by the allow and deny lists, or else by not being held out (R3a)."""
    if selection is not None:
        return selection == "allow"
    return not held_out(policy, buyer_id)


@lru_cache(maxsize=8)
def _windows_beside(policy: Policy, beside: Policy, today: date) -> Mapping[str, FeatureWindow]:
    """The windows that only the second policy has, by feature, under names that no feature can have."""
    own = feature_windows(policy.deciding_features, today, policy.currency)
    windows = feature_windows(beside.deciding_features, today, beside.currency)
    return {window.name: replace(window, name=_BESIDE + window.name) for window in windows if window not in own}


def _age(since: datetime | None, now: datetime) -> timedelta | None:
    """The time since then, at least 0; None when it is ahead of now by more than CLOCKS_DIFFER."""
    if since is None or since - now > CLOCKS_DIFFER:
        return None
    return max(timedelta(0), now - since)


def _age_days(since: datetime | None, now: datetime) -> int | None:
    """Whole periods of 24 hours, independent of the calendar."""
    age = _age(since, now)
    return None if age is None else age.days


def _age_seconds(since: datetime | None, now: datetime) -> int | None:
    age = _age(since, now)
    return None if age is None else age // timedelta(seconds=1)


def _is_whole_order(lines: Sequence[OrderLine], asked: Sequence[LineUnits]) -> bool:
    wanted = {units.line_id: units.quantity for units in asked}
    return all(wanted.get(line.line_id) == line.quantity for line in lines)


def _line_facts(
    line: OrderLine, asked: Sequence[LineUnits], inputs: DecisionInputs, *, in_currency: bool
) -> Mapping[str, str | int | bool | None]:
    requested = sum(units.quantity for units in asked if units.line_id == line.line_id)
    return {
        "line_id": line.line_id,
        "sku": line.sku,
        "item_id": line.item_id,
        "category_id": line.category_id,
        "quantity": line.quantity,
        "requested_quantity": requested,
        "shipped_quantity": line.left_quantity,
        "paid_minor": line.paid_minor if in_currency else None,
        "customised": line.customised,
        "virtual": line.virtual,
        "covered": _line_covered(line, inputs),
    }


def _line_covered(line: OrderLine, inputs: DecisionInputs) -> bool | None:
    """Whether the item is covered: by its own row, else by its category's, else yes (R2).

    None when the category is unknown and some category is not covered.
    """
    otherwise = True if line.category_id or "category" not in inputs.uncovered_scopes else None
    return _covered(inputs.coverage, *_places_of(line), otherwise=otherwise)


def _places_of(line: OrderLine) -> tuple[tuple[str, str], ...]:
    item = ("item", line.item_id)
    return (item, ("category", line.category_id)) if line.category_id else (item,)


def _covered(rows: Sequence[ScopedRow], *nearest_first: tuple[str, str], otherwise: bool | None = True) -> bool | None:
    """What the row of the nearest place says; without a row every shop and item is covered (R2).

    None when a place that is not covered differs only in letter case or width, because it may be this place.
    """
    for scope, ref in nearest_first if rows else ():
        alike = [row for row in rows if row.scope == scope and spelled_alike(row.ref, ref)]
        said = next((row.covered for row in alike if row.ref == ref), None)
        if said is not None:
            return said
        if not all(row.covered for row in alike):
            return None
    return otherwise


def shop_facts(
    policy: Policy,
    features: tuple[Feature, ...],
    values: Mapping[str, WindowValue],
    records: Mapping[str, HistoryRecord],
    as_of: datetime | None,
    attributes: Mapping[str, FactValue],
    *,
    now: datetime,
    time_zone: ZoneInfo,
) -> dict[str, FactValue]:
    """The facts of a shop alone, for gates; unknown ones are absent. `as_of`: up to when shops' events are counted."""
    known = feature_facts(features, values, records, as_of, None, now, time_zone)
    known |= {name: attributes.get(name.removeprefix("shop.")) for name in policy.shop_attributes}
    return {name: value for name, value in known.items() if value is not None}


def _attribute_facts(policy: Policy, buyer: Buyer) -> dict[str, FactValue | None]:
    return {
        name: buyer.attributes.get(name.removeprefix("buyer."))
        for name in policy.attributes
        if name.startswith("buyer.")
    }
