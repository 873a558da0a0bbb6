"""One row for each request of a history, with every fact that the policy reads, as it was known at that time.

Logged facts are used as they are; the others are derived from orders, lines, shipments, buyers and events by the
service's own rules. What a history does not have is NULL, which means unknown. A history does not record coverage,
pauses, restrictions and linked accounts: unless these facts were logged, everything is covered, nothing paused, nobody
restricted and nobody linked.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import ibis

from jitui.backtest.as_of import Completeness, Knowledge, feature_facts
from jitui.backtest.calendar import DAY_US, Calendar, calendar
from jitui.backtest.engine import Engine
from jitui.backtest.gaps import GAPS, lost_categories, with_gaps
from jitui.backtest.moments import with_moments
from jitui.backtest.schema import DEGREES
from jitui.policy import CLOCKS_DIFFER_SECONDS, LINE_FIELDS, Feature, Policy
from jitui.policy.facts import LINES
from jitui.policy.moments import MOMENTS
from jitui.policy.selection import held_out_below, hold_out_seed

SECOND_US = 1_000_000
CLOCKS_DIFFER_US = CLOCKS_DIFFER_SECONDS * SECOND_US
CURRENCY = "order.currency"
IDENTITY = (
    "request_id",
    "order_id",
    "buyer_id",
    "shop_id",
    "asked_at",
    "category_id",
    "tier",
    "region",
    "closed_at",
)
ASSUMED = ("buyer.restricted", "buyer.cluster_size", "buyer.cluster_restricted", "shop.covered", "service.paused")
"""The facts for which a history has no table; unless they were logged, they have the value of an ordinary request."""
LEFT_UNRECORDED = "left_unrecorded"
"""The column that says that the parcel had left and the platform did not know yet (R9)."""
Tables = Mapping[str, ibis.Table]


@dataclass(frozen=True, slots=True)
class Choice:
    """How facts are obtained: the time zone of days, and whether logged features are computed again."""

    time_zone: ZoneInfo
    recompute_features: bool = False


def request_facts(engine: Engine, tables: Tables, policy: Policy, names: Sequence[str], choice: Choice) -> ibis.Table:
    """The requests with one column for each fact in `names` that can be known; caps only when they were logged.

    `order.currency` is always included, because no amount has a meaning without it.
    """
    names = tuple(dict.fromkeys((*names, CURRENCY)))
    asked = _asked(engine, tables, policy)
    logged = tables.get("facts")
    features = {feature.name: feature for feature in policy.features}
    believed = set(logged.columns) if logged is not None else set()
    if choice.recompute_features:
        believed -= set(features)
    asked = _with_lines(engine, tables, asked) if LINES in names and LINES not in believed else asked
    if "order.shipment" in names and "order.shipment" not in believed:
        asked = _with_shipment(engine, tables, asked)
    derived = [name for name in names if name not in believed and name not in features]
    rules = {name: rule for name in derived if (rule := _derivation(engine, name, policy)) is not None}
    columns = {name: rule(asked) for name, rule in rules.items()}
    rows = asked.mutate(**columns)
    counted = [features[name] for name in names if name in features and name not in believed]
    rows = _with_features(engine, tables, rows, counted, policy.currency, choice)
    rows = _with_logged(rows, logged, [name for name in names if name in believed])
    rows = with_moments(engine, rows, [name for name in names if name in MOMENTS], choice.time_zone)
    rows = _without_other_currencies(policy, rows, [name for name in names if name in rows.columns], believed)
    rows = _with_unrecorded_departures(engine, tables, rows)
    rows = with_gaps(engine, tables.get(GAPS), rows, derived, counted, LEFT_UNRECORDED)
    present = [name for name in (*names, "cluster_id") if name in rows.columns]
    return rows.select(*IDENTITY, "held_out", LEFT_UNRECORDED, "asked_minor", *present)


# The request and its order and buyer ------------------------------------------------------------------------------


def _asked(engine: Engine, tables: Tables, policy: Policy) -> ibis.Table:
    """The requests with the columns of their order and buyer, times in microseconds."""
    requests = tables["requests"]
    seen_at = requests.seen_at if "seen_at" in requests.columns else ibis.null("timestamp")
    rows = requests.mutate(
        asked_us=engine.epoch_us(requests.asked_at),
        seen_us=engine.epoch_us(ibis.coalesce(seen_at, requests.asked_at)),
        asked_minor=requests.amount_minor,
        region=_column(requests, "region", "string"),
    )
    if "orders" in tables:
        orders = tables["orders"]
        rows = rows.left_join(
            orders.select(
                "order_id",
                "currency",
                "freight_minor",
                "hold",
                order_paid_minor=orders.paid_minor,
                placed_us=engine.epoch_us(orders.placed_at),
                paid_us=engine.epoch_us(orders.paid_at),
                hold_until_us=engine.epoch_us(orders.hold_until),
                completed_us=engine.epoch_us(_column(orders, "completed_at", "timestamp")),
            ),
            "order_id",
        ).drop("order_id_right")
    if "buyers" in tables:
        buyers = tables["buyers"]
        wanted = [name for name in _attributes(policy) if name in buyers.columns]
        attributes = {f"attribute.{name}": buyers[name] for name in wanted}
        known = buyers.select("buyer_id", registered_us=engine.epoch_us(buyers.registered_at), **attributes)
        rows = rows.left_join(known, "buyer_id").drop("buyer_id_right")
    return rows.mutate(held_out=_held_out(policy, rows))


def _attributes(policy: Policy) -> list[str]:
    return [name.removeprefix("buyer.") for name in policy.attributes]


def _held_out(policy: Policy, rows: ibis.Table) -> Any:
    """Whether the buyer is held out, by the same hash as online: its first 16 hexadecimal digits, compared as text."""
    bound = held_out_below(policy)
    if bound is None:
        return ibis.literal(policy.selection.hold_out_percent >= 100)
    return (ibis.literal(f"{hold_out_seed(policy)}:") + rows.buyer_id).hexdigest("sha256").substr(0, 16) < bound


def _with_lines(engine: Engine, tables: Tables, asked: ibis.Table) -> ibis.Table:
    if "order_lines" not in tables:
        return asked
    lines = tables["order_lines"].semi_join(asked, "order_id")
    if "categories" in tables:
        lines = _with_words_of_categories(engine, lines, tables["categories"], lost_categories(tables.get(GAPS)))
    covered = lines.covered.fill_null(True)
    fields = {name: lines[name] for name in LINE_FIELDS if name != "covered"} | {"covered": covered}
    lists = lines.group_by("order_id").agg(**{LINES: ibis.struct(fields).collect()})
    return asked.left_join(lists, "order_id").drop("order_id_right")


def _with_words_of_categories(
    engine: Engine, lines: ibis.Table, categories: ibis.Table, lost: ibis.Table | None
) -> ibis.Table:
    """The lines with their categories' flags: one that says *customised* or *virtual* overrides the other (R2).

    When the row of a category was set aside (`lost`), its flags are unknown, so only a line's own yes counts.
    """
    words = categories.select(
        "category_id", its_customised=categories.customised, its_virtual=categories.virtual, is_there=ibis.literal(True)
    )
    joined = lines.left_join(words, "category_id").drop("category_id_right")
    unheard = ibis.literal(False)
    if lost is not None:
        anywhere = bool(engine.connection.to_pyarrow(lost.filter(lost.lost_id.isnull())).num_rows)
        joined = joined.left_join(lost, joined.category_id == lost.lost_id)
        unheard = joined.lost_id.notnull() | (joined.is_there.isnull() if anywhere else ibis.literal(False))
    columns = {
        name: ibis.cases(
            (joined[name] | joined[f"its_{name}"], ibis.literal(True)),
            (unheard, ibis.null("boolean")),
            else_=ibis.coalesce(joined[name], joined[f"its_{name}"]),
        )
        for name in ("customised", "virtual")
    }
    return joined.mutate(**columns).select(*lines.columns)


def _with_shipment(engine: Engine, tables: Tables, asked: ibis.Table) -> ibis.Table:
    """Add how far the parcel was, by what was recorded before the request; a completed order is delivered."""
    asked = _with_completion(engine, tables, asked)
    if "shipments" not in tables:
        return asked.mutate(shipment=ibis.cases((asked.completed, "delivered"), else_=ibis.null("string")))
    shipments = tables["shipments"]
    steps = shipments.select(
        "order_id",
        step=ibis.cases(*((shipments.degree == word, place) for place, word in enumerate(DEGREES, 1)), else_=0),
        recorded_us=engine.epoch_us(ibis.coalesce(shipments.recorded_at, shipments.at)),
    )
    pairs = asked.select("request_id", "order_id", "asked_us").inner_join(steps, "order_id")
    known = pairs.filter(pairs.recorded_us < pairs.asked_us).group_by("request_id").agg(step=ibis._.step.max())
    rows = asked.left_join(known, "request_id").drop("request_id_right")
    words = ((rows.step == place, word) for place, word in enumerate(DEGREES, 1))
    return rows.mutate(shipment=ibis.cases((rows.completed, "delivered"), *words, else_="unshipped")).drop("step")


def _with_completion(engine: Engine, tables: Tables, asked: ibis.Table) -> ibis.Table:
    """Add whether the order was completed before the request, by the order's own row or the buyer's history."""
    by_order = ibis.literal(False)
    if "completed_us" in asked.columns:
        by_order = (asked.completed_us < asked.asked_us).fill_null(False)
    asked = asked.mutate(completed=by_order)
    if "events" not in tables:
        return asked
    events = tables["events"].filter(ibis._.subject == "buyer")
    told = events.filter(events.kind == "order_completed", events.retracts.isnull(), events.order_id.notnull())
    if not _any_row(engine, told):
        return asked
    told = told.semi_join(asked, "order_id").select(
        "order_id", "subject_id", "event_id", told_us=_recorded_us(engine, told)
    )
    back = events.filter(events.retracts.notnull())
    back = back.select("subject_id", event_id=back.retracts, taken_back_us=_recorded_us(engine, back))
    back = back.group_by("subject_id", "event_id").agg(taken_back_us=back.taken_back_us.min())
    told = told.left_join(back, ["subject_id", "event_id"]).drop("subject_id_right", "event_id_right")
    pairs = asked.select("request_id", "order_id", "buyer_id", "seen_us").inner_join(told, "order_id")
    standing = pairs.taken_back_us.isnull() | (pairs.taken_back_us >= pairs.seen_us)
    done = pairs.filter(pairs.subject_id == pairs.buyer_id, pairs.told_us < pairs.seen_us, standing)
    rows = asked.left_join(done.select("request_id").distinct().mutate(by_history=True), "request_id")
    return rows.mutate(completed=rows.completed | rows.by_history.notnull()).drop("request_id_right", "by_history")


def _any_row(engine: Engine, rows: ibis.Table) -> bool:
    return bool(engine.connection.to_pyarrow(rows.select("subject_id").limit(1)).num_rows)


def _recorded_us(engine: Engine, events: ibis.Table) -> Any:
    return engine.epoch_us(ibis.coalesce(events.recorded_at, events.at))


def _with_unrecorded_departures(engine: Engine, tables: Tables, rows: ibis.Table) -> ibis.Table:
    """Add whether the parcel had left before the request and was only recorded after it (R9)."""
    if "shipments" not in tables:
        return rows.mutate(**{LEFT_UNRECORDED: ibis.null("boolean")})
    shipments = tables["shipments"].filter(ibis._.degree != "label_printed")
    gone = shipments.select(
        "order_id",
        at_us=engine.epoch_us(shipments.at),
        recorded_us=engine.epoch_us(ibis.coalesce(shipments.recorded_at, shipments.at)),
    )
    pairs = rows.select("request_id", "order_id", "asked_us").inner_join(gone, "order_id")
    late = pairs.filter(pairs.at_us < pairs.asked_us, pairs.recorded_us >= pairs.asked_us)
    late = late.select("request_id").distinct().mutate(late=True)
    joined = rows.left_join(late, "request_id").drop("request_id_right")
    return joined.mutate(**{LEFT_UNRECORDED: joined.late.notnull()}).drop("late")


# Facts -----------------------------------------------------------------------------------------------------------


def _derivation(engine: Engine, name: str, policy: Policy) -> Callable[[ibis.Table], Any] | None:
    """How to derive a fact from the columns; None when a history does not tell."""
    if name in policy.attributes:
        column = f"attribute.{name.removeprefix('buyer.')}"
        return lambda rows: _column(rows, column, "string" if policy.attributes[name].type == "string" else None)
    rules: dict[str, Callable[[ibis.Table], Any]] = {
        "buyer.account_age_days": lambda rows: _age(engine, rows, "registered_us", DAY_US),
        "buyer.selected": lambda rows: rows.held_out == False,  # noqa: E712
        "buyer.restricted": lambda _: ibis.literal(False),
        "buyer.cluster_size": lambda _: ibis.literal(1, "int64"),
        "buyer.cluster_restricted": lambda _: ibis.literal(False),
        "request.amount_minor": lambda rows: rows.amount_minor,
        "request.whole_order": lambda rows: rows.whole_order,
        "order.paid_minor": lambda rows: _column(rows, "order_paid_minor", "int64"),
        CURRENCY: lambda rows: _column(rows, "currency", "string"),
        "order.shipment": lambda rows: _column(rows, "shipment", "string"),
        "order.hold": _hold,
        "order.age_seconds": lambda rows: _age(engine, rows, "placed_us", SECOND_US),
        "order.paid_age_seconds": lambda rows: _age(engine, rows, "paid_us", SECOND_US),
        "order.freight_minor": lambda rows: _column(rows, "freight_minor", "int64"),
        "shop.covered": lambda _: ibis.literal(True),
        "service.paused": lambda _: ibis.literal(False),
    }
    return rules.get(name)


def _column(rows: ibis.Table, name: str, kind: str | None) -> Any:
    return rows[name] if name in rows.columns else ibis.null(kind or "int64")


def _age(engine: Engine, rows: ibis.Table, since: str, unit_us: int) -> Any:
    """Whole units from a time to the request, at least 0; unknown when the time is too far ahead of the request."""
    if since not in rows.columns:
        return ibis.null("int64")
    passed = rows.asked_us - rows[since]
    whole = engine.divide(passed, ibis.literal(unit_us, "int64"))
    return ibis.cases(
        (passed < -CLOCKS_DIFFER_US, ibis.null("int64")),
        (passed < 0, ibis.literal(0, "int64")),
        (passed >= 0, whole),
        else_=ibis.null("int64"),
    )


def _without_other_currencies(
    policy: Policy, rows: ibis.Table, names: Sequence[str], logged: Collection[str]
) -> ibis.Table:
    # INVARIANT: amounts are unknown for an order in another currency than the policy's. A derived amount is unknown too
    # when the order's currency is unknown; a logged amount was in the currency of its policy.
    ours = rows[CURRENCY] == policy.currency

    def stands(name: str) -> Any:
        return ours.fill_null(True) if name in logged else ours

    amounts = [name for name in names if policy.facts[name].is_money]
    columns = {name: ibis.cases((stands(name), rows[name]), else_=ibis.null("int64")) for name in amounts}
    if LINES in names and "paid_minor" in policy.programs.condition_reads.line_fields:
        columns[LINES] = ibis.cases((stands(LINES), rows[LINES]), else_=rows[LINES].map(_without_amount))
    return rows.mutate(**columns)


def _without_amount(line: Any) -> Any:
    fields = {name: ibis.null("int64") if name == "paid_minor" else line[name] for name in line.type().names}
    return ibis.struct(fields)


def _hold(rows: ibis.Table) -> Any:
    if "hold" not in rows.columns:
        return ibis.null("string")
    over = rows.hold_until_us <= rows.asked_us
    return ibis.cases((over, ibis.literal("none")), else_=rows.hold)


def _with_logged(rows: ibis.Table, logged: ibis.Table | None, names: Sequence[str]) -> ibis.Table:
    if logged is None or not names:
        return rows
    return rows.left_join(logged.select("request_id", *names), "request_id").drop("request_id_right")


# Features --------------------------------------------------------------------------------------------------------


def _with_features(
    engine: Engine, tables: Tables, rows: ibis.Table, features: Sequence[Feature], currency: str, choice: Choice
) -> ibis.Table:
    if not features or "events" not in tables:
        return rows
    records = Knowledge({one.kind: one for one in event_records(engine, tables)}, _readings(engine, tables))
    days = _calendar_of(engine, tables, features, choice)
    registered = rows.registered_us if "registered_us" in rows.columns else ibis.null("int64")
    asked = rows.select(
        "request_id",
        "buyer_id",
        "shop_id",
        "asked_us",
        "seen_us",
        asked_day=days.day(rows.asked_us),
        registered_us=registered,
    )
    retractions, ahead = _awkward_events(engine, tables["events"])
    days_apart = _any_days_apart(engine, days, asked)
    for subject in ("buyer", "shop"):
        mine = [feature for feature in features if feature.subject == subject]
        if mine:
            counted = feature_facts(
                engine,
                days,
                mine,
                asked,
                tables["events"],
                records,
                currency,
                with_retractions=retractions,
                with_ahead=ahead,
                with_days_apart=days_apart,
            )
            rows = rows.left_join(counted, "request_id").drop("request_id_right")
    return rows


def event_records(engine: Engine, tables: Tables) -> tuple[Completeness, ...]:
    """The completeness of each kind of event; empty when the history has no such table."""
    if "event_records" not in tables:
        return ()
    rows = engine.connection.to_pyarrow(tables["event_records"]).to_pylist()
    return tuple(
        Completeness(row["kind"], _utc(row["complete_from"]), _utc(row["fresh_until"]) if row["fresh_until"] else None)
        for row in rows
    )


def _readings(engine: Engine, tables: Tables) -> ibis.Table | None:
    if "readings" not in tables:
        return None
    rows = tables["readings"]
    return rows.select(
        "request_id",
        "kind",
        complete_us=engine.epoch_us(rows.complete_from),
        fresh_us=engine.epoch_us(rows.fresh_until),
        registered_us=engine.epoch_us(rows.registered_at),
        shop_days_us=engine.epoch_us(rows.shop_days_as_of),
    )


def _calendar_of(engine: Engine, tables: Tables, features: Sequence[Feature], choice: Choice) -> Calendar:
    now = datetime(2020, 1, 1, tzinfo=UTC)  # an empty history has no days
    asked = _span(engine, tables["requests"].asked_at) or (now, now)
    days = max(feature.days for feature in features)
    # Events count by the days near the requests; for events far away (in the year 1 or 9999) the day need not be exact.
    within = (asked[0] - timedelta(days=days + 3), asked[1] + timedelta(days=days + 3))
    first, last = _span(engine, tables["events"].at) or asked
    first, last = max(min(first, asked[0]), within[0]), min(max(last, asked[1]), within[1])
    return calendar(engine, choice.time_zone, first, last, days)


def _span(engine: Engine, moments: Any) -> tuple[datetime, datetime] | None:
    table = moments.as_table()
    column = table[table.columns[0]]
    row = engine.connection.to_pyarrow(table.agg(first=column.min(), last=column.max())).to_pylist()[0]
    return (_utc(row["first"]), _utc(row["last"])) if row["first"] is not None else None


def _awkward_events(engine: Engine, events: ibis.Table) -> tuple[bool, bool]:
    """Whether any event is a retraction, and whether any has a time after it was recorded."""
    counts = events.agg(
        retracting=events.retracts.count(),
        ahead=events.count(where=(events.subject == "buyer") & (events.recorded_at < events.at)),
    )
    found = engine.connection.to_pyarrow(counts).to_pylist()[0]
    return bool(found["retracting"]), bool(found["ahead"])


def _any_days_apart(engine: Engine, days: Calendar, asked: ibis.Table) -> bool:
    apart = asked.filter(days.day(asked.seen_us) != asked.asked_day)
    return bool(engine.connection.to_pyarrow(apart.agg(n=apart.count())).to_pylist()[0]["n"])


def _utc(moment: datetime) -> datetime:
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
