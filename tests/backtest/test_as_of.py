"""Features as of each request: the running sums over a history equal a count event by event."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from jitui.backtest.engine import Engine, EngineName, open_engine
from jitui.backtest.facts import Choice, request_facts
from jitui.backtest.replay import tables_in
from jitui.policy import Feature, Policy
from jitui.policy.facts import ONCE_PER_ORDER
from tests.policy.policy_samples import SMALL

BEGINNING = datetime(2024, 3, 28, tzinfo=UTC)  # the clocks of London and New York change in these days
NEAR = timedelta(minutes=5)
TOO_FAR = NEAR + timedelta(microseconds=1)
ZONES = ("Asia/Shanghai", "Europe/London", "America/New_York")
KINDS = {"buyer": ("order_paid", "dispute_lost"), "shop": ("shipped", "order_paid")}
FEATURES = {
    "buyer.paid_3d": "{count: order_paid, over: 3d}",
    "buyer.paid_1d": "{count: order_paid, over: 1d}",
    "buyer.spent_3d": "{sum: order_paid, over: 3d}",
    "buyer.last_paid": "{last_age_days: order_paid, over: 3d}",
    "buyer.lost_2d": "{count: dispute_lost, over: 2d}",
    "shop.shipped_2d": "{count: shipped, over: 2d}",
    "shop.last_paid": "{last_age_days: order_paid, over: 3d}",
}


@dataclass(frozen=True)
class Event:
    subject: str
    subject_id: str
    kind: str
    at: datetime
    recorded_at: datetime
    amount_minor: int | None
    times: int | None
    retracted_at: datetime | None
    currency: str | None = "CNY"
    order_id: str | None = None


@dataclass(frozen=True)
class Asked:
    buyer_id: str
    shop_id: str
    asked_at: datetime
    registered_at: datetime | None


def policy() -> Policy:
    features = "\n".join(f"  {name}: {text}" for name, text in FEATURES.items())
    plain = SMALL.replace("  buyer.orders: {count: order_paid, over: 90d}", features)
    return Policy.from_text(plain.replace("buyer.orders > 3", "buyer.paid_3d > 3"))


# Moments at the edges of days and at one another are the ones that go wrong.
_HOURS = st.sampled_from([0, 1, 4, 5, 16, 23])
_MOMENTS = st.builds(
    lambda day, hour, extra: BEGINNING + timedelta(days=day, hours=hour, microseconds=extra),
    st.sampled_from([0, 2, 3, 4, 6]),
    _HOURS,
    st.sampled_from([0, 0, 0, -1, 1]),
)


@dataclass(frozen=True)
class Case:
    asked: list[Asked]
    happened: list[Event]
    complete_from: datetime
    fresh_until: datetime | None


@st.composite
def cases(draw: st.DrawFn) -> Case:
    """Few moments and few subjects, so that they meet."""
    moments = st.sampled_from(draw(st.lists(_MOMENTS, min_size=2, max_size=5)))
    asked = st.builds(Asked, st.sampled_from("ab"), st.sampled_from("ab"), moments, st.none() | moments)
    return Case(
        draw(st.lists(asked, min_size=3, max_size=8)),
        draw(st.lists(_events(moments), min_size=6, max_size=25)),
        draw(st.sampled_from([BEGINNING - timedelta(days=9), BEGINNING + timedelta(days=1)])),
        draw(st.none() | moments),
    )


@st.composite
def _events(draw: st.DrawFn, moments: st.SearchStrategy[datetime]) -> Event:
    subject = draw(st.sampled_from(["buyer", "shop"]))
    at = draw(moments)
    # Recorded later; or a date in the future, as platforms send too, just near enough or just too far.
    late = draw(st.sampled_from([*(timedelta(hours=hours) for hours in (0, 0, 0, 0, 1, 30, -20)), -NEAR, -TOO_FAR]))
    return Event(
        subject,
        draw(st.sampled_from("ab")),
        draw(st.sampled_from(KINDS[subject])),
        at,
        at + late,
        draw(st.none() | st.integers(-5, 10**12)),
        draw(st.sampled_from([None, None, 1, 4])),
        draw(st.none() | moments),
        draw(st.sampled_from(["CNY", "CNY", "CNY", "JPY", None])),
        draw(st.sampled_from([None, "o1", "o1", "o2"])),
    )


def write_history(
    folder: Path, asked: list[Asked], happened: list[Event], complete_from: datetime, fresh_until: datetime | None
) -> None:
    text, moment = pa.string(), pa.timestamp("us")
    requests: list[dict[str, Any]] = []
    buyers: list[dict[str, Any]] = []
    for place, one in enumerate(asked):
        buyer = f"{one.buyer_id}"
        requests.append({"request_id": str(place), "order_id": "o", "buyer_id": buyer, "shop_id": one.shop_id})
        requests[-1] |= {"asked_at": one.asked_at, "category_id": None, "tier": None, "closed_at": None}
        requests[-1] |= {"amount_minor": 1, "whole_order": True}
    for buyer in sorted({one.buyer_id for one in asked}):
        registered = next(one.registered_at for one in asked if one.buyer_id == buyer)
        buyers.append({"buyer_id": buyer, "registered_at": registered})
    rows: list[dict[str, Any]] = []
    for place, event in enumerate(happened):
        named = {"subject": event.subject, "subject_id": event.subject_id, "kind": event.kind}
        rows.append(named | {"at": event.at, "recorded_at": event.recorded_at, "event_id": str(place)})
        rows[-1] |= {"amount_minor": event.amount_minor, "times": event.times, "retracts": None}
        rows[-1] |= {"currency": event.currency, "order_id": event.order_id}
        if event.retracted_at is not None:
            rows.append(named | {"at": event.retracted_at, "recorded_at": None, "event_id": f"-{place}"})
            rows[-1] |= {"amount_minor": None, "times": None, "retracts": str(place), "order_id": event.order_id}
            rows[-1] |= {"currency": None}
    records = [
        {"kind": kind, "complete_from": complete_from, "fresh_until": fresh_until}
        for kind in ("order_paid", "dispute_lost", "shipped")
    ]
    shapes: dict[str, tuple[list[dict[str, Any]], dict[str, pa.DataType]]] = {
        "requests": (
            requests,
            dict.fromkeys(("request_id", "order_id", "buyer_id", "shop_id", "category_id", "tier"), text)
            | {"asked_at": moment, "closed_at": moment, "amount_minor": pa.int64(), "whole_order": pa.bool_()},
        ),
        "orders": (
            [{"order_id": "o", "currency": "CNY"}],
            dict.fromkeys(("order_id", "currency", "hold"), text)
            | dict.fromkeys(("placed_at", "paid_at", "hold_until", "completed_at"), moment)
            | dict.fromkeys(("paid_minor", "freight_minor"), pa.int64()),
        ),
        "buyers": (buyers, {"buyer_id": text, "registered_at": moment}),
        "events": (
            rows,
            dict.fromkeys(("subject", "subject_id", "kind", "event_id", "retracts", "currency", "order_id"), text)
            | {"at": moment, "recorded_at": moment, "amount_minor": pa.int64(), "times": pa.int64()},
        ),
        "event_records": (records, {"kind": text, "complete_from": moment, "fresh_until": moment}),
    }
    folder.mkdir(parents=True, exist_ok=True)
    for name, (values, types) in shapes.items():
        plain = [{key: _naive(value) for key, value in row.items()} for row in values]
        pq.write_table(pa.Table.from_pylist(plain, schema=pa.schema(types.items())), folder / f"{name}.parquet")


def _naive(value: object) -> object:
    return value.astimezone(UTC).replace(tzinfo=None) if isinstance(value, datetime) else value


def counted_one_by_one(
    feature: Feature, one: Asked, happened: list[Event], complete_from: datetime, fresh: datetime | None, zone: ZoneInfo
) -> int | None:
    """The rule of 02 written out for one feature of one request."""
    today = one.asked_at.astimezone(zone).date()
    from_day, to_day = today - timedelta(days=feature.days), today - timedelta(days=feature.subject == "shop")
    if fresh is not None and fresh < one.asked_at:
        return None
    opened = one.registered_at
    young = feature.subject == "buyer" and opened is not None and complete_from <= opened <= one.asked_at + NEAR
    if not young and datetime.combine(from_day, time.min, zone) < complete_from:
        return None
    standing = [
        event
        for _, event in sorted(enumerate(happened), key=lambda pair: (pair[1].recorded_at, str(pair[0])))
        if event.subject == feature.subject
        and event.kind == feature.kind
        and event.subject_id == (one.buyer_id if feature.subject == "buyer" else one.shop_id)
        and event.recorded_at < one.asked_at
        and (event.retracted_at is None or event.retracted_at >= one.asked_at)
    ]
    first = {event.order_id: event for event in reversed(standing)}
    repeated = {id(event) for event in standing if event.order_id and event is not first[event.order_id]}
    counting = [event for event in standing if not (feature.kind in ONCE_PER_ORDER and id(event) in repeated)]
    if feature.subject == "buyer" and any(event.at > one.asked_at + NEAR for event in counting):
        return None
    mine = [event for event in counting if from_day <= event.at.astimezone(zone).date() <= to_day]
    times = [event.times or 1 for event in mine]
    if feature.function == "count":
        return sum(times)
    if feature.function == "sum":
        if sum(event.amount_minor or 0 for event in mine if event.currency is None):
            return None
        return sum(event.amount_minor or 0 for event in mine if event.currency == "CNY")
    return min(((today - event.at.astimezone(zone).date()).days for event in mine), default=None)


def check_history(engine: Engine, folder: Path, case: Case, zone: ZoneInfo) -> None:
    registered = {one.buyer_id: one.registered_at for one in reversed(case.asked)}
    asked = [Asked(one.buyer_id, one.shop_id, one.asked_at, registered[one.buyer_id]) for one in case.asked]
    write_history(folder, asked, case.happened, case.complete_from, case.fresh_until)
    loaded = policy()
    facts = request_facts(engine, tables_in(engine, folder), loaded, tuple(FEATURES), Choice(zone))
    rows = {row["request_id"]: row for row in engine.connection.to_pyarrow(facts).to_pylist()}
    assert len(rows) == len(asked)
    for place, one in enumerate(asked):
        found = {feature.name: rows[str(place)][feature.name] for feature in loaded.features}
        wanted = {
            feature.name: counted_one_by_one(feature, one, case.happened, case.complete_from, case.fresh_until, zone)
            for feature in loaded.features
        }
        assert found == wanted, one


@pytest.fixture(scope="module")
def duckdb_engine(tmp_path_factory: pytest.TempPathFactory) -> Any:
    with open_engine(EngineName.DUCKDB, tmp_path_factory.mktemp("work")) as engine:
        yield engine


@given(case=cases(), zone=st.sampled_from(ZONES))
@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_the_sweep_counts_what_counting_one_by_one_counts(
    duckdb_engine: Engine, tmp_path: Path, case: Case, zone: str
) -> None:
    check_history(duckdb_engine, tmp_path, case, ZoneInfo(zone))


def test_what_is_recorded_at_the_very_moment_of_the_request_does_not_count_yet(
    duckdb_engine: Engine, tmp_path: Path
) -> None:
    moment = BEGINNING + timedelta(days=3)
    case = Case(
        [Asked("a", "a", moment, None), Asked("a", "a", moment + timedelta(microseconds=1), None)],
        [Event("buyer", "a", "order_paid", moment, moment, 5, None, None)],
        BEGINNING - timedelta(days=9),
        None,
    )
    check_history(duckdb_engine, tmp_path, case, ZoneInfo("Asia/Shanghai"))


def test_what_is_taken_back_at_the_midnight_at_which_it_begins_still_counts_for_that_moment(
    duckdb_engine: Engine, tmp_path: Path
) -> None:
    """Found by the property above: day, retraction and request on one microsecond."""
    midnight = datetime(2024, 3, 31, 23, tzinfo=UTC)  # in London
    case = Case(
        [Asked("a", "a", midnight, None), Asked("a", "a", midnight + timedelta(microseconds=1), None)],
        [Event("buyer", "a", "order_paid", midnight, midnight - timedelta(hours=20), 5, None, midnight)],
        BEGINNING - timedelta(days=9),
        None,
    )
    check_history(duckdb_engine, tmp_path, case, ZoneInfo("Europe/London"))


@pytest.mark.parametrize(("ahead", "paid"), [(NEAR, 1), (TOO_FAR, None)])
def test_an_event_up_to_five_minutes_ahead_counts_and_one_further_ahead_makes_its_kind_unknown(
    duckdb_engine: Engine, tmp_path: Path, ahead: timedelta, paid: int | None
) -> None:
    moment = BEGINNING + timedelta(days=3)
    event = Event("buyer", "a", "order_paid", moment + ahead, moment - timedelta(hours=1), 5, None, None)
    case = Case([Asked("a", "a", moment, None)], [event], BEGINNING - timedelta(days=9), None)
    zone = ZoneInfo("Asia/Shanghai")
    assert counted_one_by_one(policy().features[0], case.asked[0], [event], case.complete_from, None, zone) == paid
    check_history(duckdb_engine, tmp_path, case, zone)


@pytest.mark.parametrize("registered", [timedelta(0), NEAR, TOO_FAR, timedelta(days=63_000)])
def test_an_account_from_the_future_does_not_make_an_unknown_window_a_known_zero(
    duckdb_engine: Engine, tmp_path: Path, registered: timedelta
) -> None:
    moment = BEGINNING + timedelta(days=3)
    case = Case([Asked("a", "a", moment, moment + registered)], [], BEGINNING + timedelta(days=2), None)
    zone = ZoneInfo("Asia/Shanghai")
    known = counted_one_by_one(policy().features[0], case.asked[0], [], case.complete_from, None, zone)
    assert (known is None) == (registered > NEAR)
    check_history(duckdb_engine, tmp_path, case, zone)


def test_an_event_of_the_year_9999_takes_no_calendar_with_it(duckdb_engine: Engine, tmp_path: Path) -> None:
    moment = BEGINNING + timedelta(days=3)
    far = [
        Event("buyer", "a", "dispute_lost", datetime(year, 12, 31, 23, 59, tzinfo=UTC), moment, 5, None, None)
        for year in (1970, 9999)
    ]
    case = Case([Asked("a", "a", moment, None)], far, BEGINNING - timedelta(days=9), None)
    check_history(duckdb_engine, tmp_path, case, ZoneInfo("Asia/Shanghai"))


def test_a_sum_adds_the_policys_currency_and_is_unknown_where_an_amount_has_none(
    duckdb_engine: Engine, tmp_path: Path
) -> None:
    moment = BEGINNING + timedelta(days=3)
    zone = ZoneInfo("Asia/Shanghai")
    spent = next(feature for feature in policy().features if feature.name == "buyer.spent_3d")
    for number, (currencies, wanted) in enumerate(
        [(("CNY", "JPY"), 5), (("CNY", None), None), (("JPY",), 0), (("CNY", "CNY"), 10)]
    ):
        earlier = moment - timedelta(hours=1)
        events = [Event("buyer", "a", "order_paid", earlier, earlier, 5, None, None, word) for word in currencies]
        case = Case([Asked("a", "a", moment, None)], events, BEGINNING - timedelta(days=9), None)
        assert counted_one_by_one(spent, case.asked[0], events, case.complete_from, None, zone) == wanted
        check_history(duckdb_engine, tmp_path / str(number), case, zone)
