"""Computes features for each request from the events that had been recorded by then.

An event counts for the requests in one period: from when it was recorded (for shops from the end of its day, up to
which the roll-up counts) until its day leaves the window, or until it is retracted. So each event adds at the start of
its period and subtracts at the end, and a feature is the running sum at the request. One sort serves all features; its
time grows with the number of events, however they are distributed, and the engine may use the disk.

A sum adds amounts in the policy's currency; an amount in an unknown currency makes it unknown. An event whose time lies
further ahead of the request than clocks differ makes every feature of its kind unknown.

Ties: an event or retraction recorded at the very time of a request does not count for it; an event leaves the window
with the last moment of its last day.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import ibis

from jitui.backtest.calendar import Calendar, epoch_us
from jitui.backtest.engine import Engine
from jitui.policy import CLOCKS_DIFFER_SECONDS, Feature
from jitui.policy.facts import ONCE_PER_ORDER


@dataclass(frozen=True, slots=True)
class Completeness:
    """From when on, and up to when, a kind of event is complete; None is up to the end of the history."""

    kind: str
    complete_from: datetime
    fresh_until: datetime | None = None


@dataclass(frozen=True, slots=True)
class Knowledge:
    """How complete the history is: for each kind, and for requests that have `readings` of their own.

    `readings` has request_id, kind, complete_us, fresh_us, registered_us, shop_days_us.
    """

    by_kind: Mapping[str, Completeness]
    readings: ibis.Table | None = None


_NEVER_US = 2**62
_CLOCKS_DIFFER_US = CLOCKS_DIFFER_SECONDS * 1_000_000
_MIDNIGHT, _REQUEST, _RECORDED = 0, 1, 2
"""The order of what happens at the same time."""


def feature_facts(
    engine: Engine,
    calendar: Calendar,
    features: Sequence[Feature],
    asked: ibis.Table,
    events: ibis.Table,
    records: Knowledge,
    currency: str,
    *,
    with_retractions: bool,
    with_days_apart: bool = False,
    with_ahead: bool = True,
) -> ibis.Table:
    """`request_id` and one column for each feature, NULL when the history does not tell (I5).

    `asked` has request_id, buyer_id, shop_id, asked_us, seen_us, asked_day, registered_us; `events` has the columns of
    the history; all features have one subject.
    """
    subject = features[0].subject
    stretches = _stretches(
        engine, calendar, features, asked, events, subject, currency, with_retractions=with_retractions
    )
    swept = _sweep(features, _steps(calendar, features, stretches, asked, subject))
    if with_retractions:
        swept = _with_last_days_of_retracted(features, swept, stretches)
    if with_days_apart and subject == "buyer":
        swept = _with_days_apart(calendar, features, swept, stretches)
    if with_ahead and subject == "buyer":
        swept = _without_kinds_ahead(features, swept, stretches)
    swept = _with_readings(features, swept, records.readings)
    columns = {
        feature.name: ibis.cases(
            (_is_known(calendar, feature, records, swept), _value(feature, swept)),
            else_=ibis.null("int64"),
        )
        for feature in features
    }
    return swept.select("request_id", **columns)


def _stretches(
    engine: Engine,
    calendar: Calendar,
    features: Sequence[Feature],
    asked: ibis.Table,
    events: ibis.Table,
    subject: str,
    currency: str,
    *,
    with_retractions: bool,
) -> ibis.Table:
    """Each event that can count, with its day and the start of its period; `retracted_us` may end the period early."""
    kinds = sorted({feature.kind for feature in features})
    mine = events.filter(events.subject == subject)
    plain = mine.filter(mine.kind.isin(kinds), mine.retracts.isnull())
    wanted = asked.select(subject_id=asked[f"{subject}_id"]).distinct()
    plain = plain.semi_join(wanted, "subject_id")
    at_us = engine.epoch_us(plain.at)
    amount = ibis.coalesce(plain.amount_minor, 0)
    day = calendar.day(at_us)
    timed = plain.select(
        "subject_id",
        "kind",
        "event_id",
        "order_id",
        day=day,
        at_us=at_us,
        recorded_us=ibis.coalesce(engine.epoch_us(plain.recorded_at), at_us),
        times=ibis.coalesce(plain.times, 1),
        amount=ibis.cases((plain.currency == currency, amount), else_=ibis.literal(0, "int64")),
        nameless=ibis.cases((plain.currency.isnull(), amount), else_=ibis.literal(0, "int64")),
    )
    if not with_retractions:
        return _one_per_order(timed.mutate(retracted_us=ibis.null("int64")), calendar, subject, set(kinds))
    taken_back = mine.filter(mine.retracts.notnull())
    taken_back = taken_back.select(
        "subject_id",
        event_id=taken_back.retracts,
        retracted_us=engine.epoch_us(ibis.coalesce(taken_back.recorded_at, taken_back.at)),
    )
    earliest = taken_back.group_by("subject_id", "event_id").agg(retracted_us=taken_back.retracted_us.min())
    joined = timed.left_join(earliest, ["subject_id", "event_id"]).drop("subject_id_right", "event_id_right")
    return _one_per_order(joined, calendar, subject, set(kinds))


def _one_per_order(timed: ibis.Table, calendar: Calendar, subject: str, wanted: set[str]) -> ibis.Table:
    """Let one event of a kind that an order has once count at a time: the first that is not retracted, as online.

    A later one counts from when all that were recorded before it have been retracted, which is usually never.
    """
    if not wanted & set(ONCE_PER_ORDER):
        return _timed(timed, calendar, subject)
    once = timed.kind.isin(ONCE_PER_ORDER) & timed.order_id.notnull()
    window = ibis.window(
        group_by=["subject_id", "kind", "order_id"], order_by=["recorded_us", "event_id"], preceding=(None, 1)
    )
    taken_back_us = ibis.coalesce(timed.retracted_us, _NEVER_US)
    free_us = ibis.cases((once, taken_back_us.max().over(window)), else_=ibis.null("int64"))
    placed = timed.mutate(recorded_us=ibis.greatest(timed.recorded_us, ibis.coalesce(free_us, timed.recorded_us)))
    return _timed(placed.filter(placed.recorded_us < _NEVER_US), calendar, subject)


def _timed(recorded: ibis.Table, calendar: Calendar, subject: str) -> ibis.Table:
    """Add the start of each event's period: when it is recorded and its day has begun (for shops: has ended)."""
    first_midnight = calendar.midnight_us(recorded.day + (1 if subject == "shop" else 0))
    return recorded.mutate(
        from_us=ibis.greatest(recorded.recorded_us, first_midnight),
        from_rank=ibis.cases((recorded.recorded_us >= first_midnight, _RECORDED), else_=_MIDNIGHT),
    ).drop("order_id")


def _steps(
    calendar: Calendar, features: Sequence[Feature], stretches: ibis.Table, asked: ibis.Table, subject: str
) -> ibis.Table:
    """The additions, subtractions and requests in one table."""
    parts = [_requests_as_steps(features, asked, subject)]
    for days in sorted({feature.days for feature in features}):
        mine = [feature for feature in features if feature.days == days]
        counted = stretches.filter(stretches.kind.isin(sorted({feature.kind for feature in mine})))
        leaves = calendar.midnight_us(counted.day + days + 1)
        until = ibis.least(leaves, ibis.coalesce(counted.retracted_us, leaves))
        until_rank = ibis.cases((until < leaves, _RECORDED), else_=_MIDNIGHT)
        lasting = counted.mutate(until_us=until, until_rank=until_rank)
        # An event that is retracted at the midnight at which its period starts still counts for a request of that time.
        at_once = (lasting.from_us == lasting.until_us) & (lasting.from_rank < lasting.until_rank)
        lasting = lasting.filter((lasting.from_us < lasting.until_us) | at_once)
        parts.append(_deltas(features, mine, lasting, lasting.from_us, lasting.from_rank, 1))
        moving = [feature for feature in mine if feature.function != "last_age_days"]
        if moving:
            parts.append(_deltas(features, moving, lasting, lasting.until_us, lasting.until_rank, -1))
    return ibis.union(*parts) if len(parts) > 1 else parts[0]


def _requests_as_steps(features: Sequence[Feature], asked: ibis.Table, subject: str) -> ibis.Table:
    nothing = {name: ibis.null("int64") for name in _delta_names(features)}
    return asked.select(
        subject_id=asked[f"{subject}_id"],
        # A shop's days end before the request; which of a buyer's events had been seen is in `seen_us`.
        at_us=asked.seen_us if subject == "buyer" else asked.asked_us,
        asked_us=asked.asked_us,
        rank=ibis.literal(_REQUEST, "int8"),
        request_id=asked.request_id,
        asked_day=asked.asked_day,
        registered_us=asked.registered_us,
        **nothing,
    )


def _deltas(
    features: Sequence[Feature], mine: Sequence[Feature], events: ibis.Table, at_us: Any, rank: Any, sign: int
) -> ibis.Table:
    """A row for each event, with what it adds to each of the features in `mine`."""
    columns = dict.fromkeys(_delta_names(features), ibis.null("int64"))
    for place, feature in enumerate(features):
        if feature in mine:
            columns[f"d{place}"] = _delta(feature, events, sign)
        if feature in mine and feature.function == "sum":
            columns[f"n{place}"] = ibis.cases(
                (events.kind == feature.kind, events.nameless * sign), else_=ibis.null("int64")
            )
    return events.select(
        subject_id=events.subject_id,
        at_us=at_us,
        asked_us=ibis.null("int64"),
        rank=rank.cast("int8"),
        request_id=ibis.null("string"),
        asked_day=ibis.null("int64"),
        registered_us=ibis.null("int64"),
        **columns,
    )


def _delta_names(features: Sequence[Feature]) -> list[str]:
    """The columns for changes: one per feature, and for a sum also one for amounts in an unknown currency."""
    sums = [f"n{place}" for place, feature in enumerate(features) if feature.function == "sum"]
    return [f"d{place}" for place in range(len(features))] + sums


def _delta(feature: Feature, events: ibis.Table, sign: int) -> Any:
    if feature.function == "last_age_days":
        lasting = (events.kind == feature.kind) & events.retracted_us.isnull()
        return ibis.cases((lasting, events.day), else_=ibis.null("int64"))
    value = events.times if feature.function == "count" else events.amount
    return ibis.cases((events.kind == feature.kind, value * sign), else_=ibis.null("int64"))


def _sweep(features: Sequence[Feature], steps: ibis.Table) -> ibis.Table:
    """The running sums and latest days at each request."""
    window = ibis.window(group_by="subject_id", order_by=["at_us", "rank"], preceding=None, following=0)
    running = {}
    for place, feature in enumerate(features):
        delta = steps[f"d{place}"]
        if feature.function == "last_age_days":
            running[feature.name] = delta.max().over(window)
        elif feature.function == "sum":
            nameless = ibis.coalesce(steps[f"n{place}"].sum().over(window), 0)
            running[feature.name] = _summed(ibis.coalesce(delta.sum().over(window), 0), nameless)
        else:
            running[feature.name] = _fitting(ibis.coalesce(delta.sum().over(window), 0))
    swept = steps.mutate(**running).filter(ibis._.rank == _REQUEST)
    return swept.select("request_id", "subject_id", "at_us", "asked_us", "asked_day", "registered_us", *running)


def _with_last_days_of_retracted(features: Sequence[Feature], swept: ibis.Table, stretches: ibis.Table) -> ibis.Table:
    """Correct the latest days, which cannot be summed: requests before a retraction still see the retracted event."""
    gone = stretches.filter(stretches.retracted_us.notnull())
    for feature in (feature for feature in features if feature.function == "last_age_days"):
        mine = gone.filter(gone.kind == feature.kind).select(
            "subject_id", "day", "from_us", "from_rank", "retracted_us"
        )
        began = (mine.from_us < swept.at_us) | ((mine.from_us == swept.at_us) & (mine.from_rank == _MIDNIGHT))
        pairs = swept.select("request_id", "subject_id", "at_us").inner_join(
            mine, [swept.subject_id == mine.subject_id, began, mine.retracted_us >= swept.at_us]
        )
        latest = pairs.group_by("request_id").agg(latest_day=pairs.day.max())
        joined = swept.left_join(latest, "request_id")
        # greatest() with a NULL is NULL in some engines only
        both = ibis.cases(
            (joined[feature.name].isnull(), joined.latest_day),
            (joined.latest_day.isnull(), joined[feature.name]),
            else_=ibis.greatest(joined[feature.name], joined.latest_day),
        )
        swept = joined.mutate(**{feature.name: both}).select(*swept.columns)
    return swept


def _with_days_apart(
    calendar: Calendar, features: Sequence[Feature], swept: ibis.Table, stretches: ibis.Table
) -> ibis.Table:
    """Count again for requests that were made before a midnight and saw events that were recorded after it.

    The running sums have moved on to the next day's windows by then, but the day of the request decides.
    """
    apart = swept.filter(calendar.day(swept.at_us) != swept.asked_day)
    apart = apart.select("request_id", "subject_id", seen_us=apart.at_us, day_asked=apart.asked_day)
    pairs = apart.inner_join(stretches, "subject_id")
    lasting = pairs.retracted_us.isnull() | (pairs.retracted_us >= pairs.seen_us)
    pairs = pairs.filter((pairs.recorded_us < pairs.seen_us) & lasting & (pairs.day <= pairs.day_asked))
    counted = {}
    for place, feature in enumerate(features):
        mine = (pairs.kind == feature.kind) & (pairs.day >= pairs.day_asked - feature.days)
        value = {"count": pairs.times, "sum": pairs.amount}.get(feature.function)
        counted[f"v{place}"] = pairs.day.max(where=mine) if value is None else value.sum(where=mine)
        if feature.function == "sum":
            counted[f"n{place}"] = pairs.nameless.sum(where=mine)
    found = apart.select("request_id").left_join(pairs.group_by("request_id").agg(**counted), "request_id")
    found = found.drop("request_id_right").mutate(is_apart=True)
    joined = swept.left_join(found, "request_id").drop("request_id_right")
    values = {}
    for place, feature in enumerate(features):
        value = joined[f"v{place}"]
        if feature.function == "sum":
            value = _summed(ibis.coalesce(value, 0), ibis.coalesce(joined[f"n{place}"], 0))
        elif feature.function == "count":
            value = _fitting(ibis.coalesce(value, 0))
        values[feature.name] = ibis.cases((joined.is_apart, value), else_=joined[feature.name])
    return joined.mutate(**values).select(*swept.columns)


def _without_kinds_ahead(features: Sequence[Feature], swept: ibis.Table, stretches: ibis.Table) -> ibis.Table:
    """Make features unknown while an event of their kind has a time ahead of the request (I5)."""
    ahead = stretches.filter(stretches.at_us > stretches.recorded_us)
    ahead = ahead.select("subject_id", "kind", "recorded_us", "retracted_us", ahead_us=ahead.at_us)
    pairs = swept.select("request_id", "subject_id", "at_us", "asked_us").inner_join(ahead, "subject_id")
    standing = pairs.retracted_us.isnull() | (pairs.retracted_us >= pairs.at_us)
    later = pairs.ahead_us > pairs.asked_us + _CLOCKS_DIFFER_US
    pairs = pairs.filter((pairs.recorded_us < pairs.at_us) & later & standing)
    kinds = sorted({feature.kind for feature in features})
    found = pairs.group_by("request_id").agg(**{f"ahead.{kind}": (pairs.kind == kind).max() for kind in kinds})
    joined = swept.left_join(found, "request_id")
    unknown = {
        feature.name: ibis.cases(
            (joined[f"ahead.{feature.kind}"].fill_null(False), ibis.null("int64")), else_=joined[feature.name]
        )
        for feature in features
    }
    return joined.mutate(**unknown).select(*swept.columns)


def _summed(total: Any, nameless: Any) -> Any:
    """A sum; unknown when a part of it is in an unknown currency."""
    return ibis.cases((nameless == 0, _fitting(total)), else_=ibis.null("int64"))


def _fitting(total: Any) -> Any:
    """A sum that fits into 64 bits, else unknown. Ibis assumes a sum to have 64 bits; the engine's is wider."""
    return total.cast("decimal(38,0)").try_cast("int64")


def _value(feature: Feature, swept: ibis.Table) -> Any:
    value = swept[feature.name]
    if feature.function != "last_age_days":
        return value
    age = swept.asked_day - value
    return ibis.cases((age <= feature.days, age), else_=ibis.null("int64"))


def _with_readings(features: Sequence[Feature], swept: ibis.Table, readings: ibis.Table | None) -> ibis.Table:
    """Add to each request that has readings those of each counted kind."""
    if readings is None:
        return swept
    own = readings.select("request_id").distinct().mutate(has_readings=True)
    swept = swept.left_join(own, "request_id").drop("request_id_right")
    for kind in sorted({feature.kind for feature in features}):
        mine = readings.filter(readings.kind == kind)
        named = {f"{kind}.{name}": mine[name] for name in ("complete_us", "fresh_us", "registered_us", "shop_days_us")}
        swept = swept.left_join(mine.select("request_id", **named), "request_id").drop("request_id_right")
    return swept


def _is_known(calendar: Calendar, feature: Feature, records: Knowledge, swept: ibis.Table) -> Any:
    """Whether the feature is known, as online: the kind is complete from before the window up to the request.

    A buyer's feature is also known when the account is younger than the record. An account that was opened after the
    request has no known age.
    """
    record = records.by_kind.get(feature.kind)
    by_record = ibis.literal(False)
    if record is not None:
        fresh_us = ibis.literal(epoch_us(record.fresh_until), "int64") if record.fresh_until else ibis.null("int64")
        complete_us = ibis.literal(epoch_us(record.complete_from), "int64")
        by_record = _reaches(calendar, feature, swept, complete_us, fresh_us, swept.registered_us)
    if records.readings is None:
        return by_record
    complete_us, fresh_us, registered_us, shop_days_us = (
        swept[f"{feature.kind}.{name}"] for name in ("complete_us", "fresh_us", "registered_us", "shop_days_us")
    )
    by_reading = _reaches(calendar, feature, swept, complete_us, fresh_us, registered_us)
    if feature.subject == "shop":
        counted = shop_days_us >= calendar.midnight_us(swept.asked_day)
        by_reading = by_reading & counted.fill_null(False)
    return ibis.cases((swept.has_readings, by_reading), else_=by_record)


def _reaches(
    calendar: Calendar, feature: Feature, swept: ibis.Table, complete_us: Any, fresh_us: Any, registered_us: Any
) -> Any:
    known = calendar.midnight_us(swept.asked_day - feature.days) >= complete_us
    if feature.subject == "buyer":
        young = (registered_us >= complete_us) & (registered_us <= swept.asked_us + _CLOCKS_DIFFER_US)
        known = known | young.fill_null(False)
    return known.fill_null(False) & (fresh_us.isnull() | (swept.asked_us <= fresh_us))
