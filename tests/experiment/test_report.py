"""Which buyers and requests of a history are compared, and what counts of what happened to them."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import duckdb
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jitui.backtest.source import prepare
from jitui.errors import BadInput
from jitui.experiment.compare import ExperimentVerdict
from jitui.experiment.exposures import ARMS, HOLD_OUT, LIVE, Window, expose, sums, sums_by_day, sums_by_shop
from jitui.experiment.intervals import sequential_steps
from jitui.experiment.metrics import MetricId
from jitui.experiment.report import ExperimentReport, ExperimentSpec, run_experiment
from tests.backtest.histories import write_csv
from tests.experiment.histories import planted

SHANGHAI = ZoneInfo("Asia/Shanghai")
WINDOW = Window(SHANGHAI, timedelta(days=14))
REQUESTS = "request_id,order_id,buyer_id,shop_id,asked_at,closed_at,erased"
DECISIONS = "request_id,outcome,arm,eligible,listed,review_reason"
EVENTS = "subject,subject_id,kind,at,event_id,order_id,retracts"
FAR = "buyer,x,order_cancelled,2026-06-01T00:00:00Z,last,o-last,"


def request(buyer: str, number: int, asked_at: str, *, closed_at: str = "", shop: str = "s1", erased: str = "") -> str:
    return f"{buyer}-{number},o-{buyer}-{number},{buyer},{shop},{asked_at},{closed_at},{erased}"


def decision(buyer: str, number: int, arm: str, *, eligible: str = "true", listed: str = "", reason: str = "") -> str:
    outcome = "instant" if arm == "live" and eligible == "true" else "review"
    return f"{buyer}-{number},{outcome},{arm},{eligible},{listed},{reason}"


def dispute(buyer: str, number: int, at: str, *, event: str = "", kind: str = "dispute_lost") -> str:
    return f"buyer,{buyer},{kind},{at},{event or f'd-{buyer}-{number}'},o-{buyer}-{number},"


def history(folder: Path, requests: Sequence[str], decisions: Sequence[str], events: Sequence[str] = ()) -> Path:
    write_csv(folder, "requests", REQUESTS, requests)
    write_csv(folder, "decisions", DECISIONS, decisions)
    write_csv(folder, "events", EVENTS, [*events, FAR])
    return folder


def report(place: Path, tmp_path: Path, *, window: Window = WINDOW, percent: int | None = 50) -> ExperimentReport:
    return run_experiment(ExperimentSpec(str(place), window, percent), tmp_path / "work")


def rate(done: ExperimentReport, metric: MetricId) -> tuple[float | None, float | None]:
    found = done.metric(metric)
    assert found is not None
    return found.all.hold_out, found.all.live


# Planted effects -------------------------------------------------------------------------------------------------


def test_a_planted_difference_is_found_and_none_is_said_where_there_is_none(tmp_path: Path) -> None:
    done = report(planted(tmp_path / "planted", buyers=80_000), tmp_path, percent=2)
    assert done.is_comparable
    disputes, requests, hours = (
        done.metric(one) for one in (MetricId.DISPUTES, MetricId.REQUESTS, MetricId.HOURS_TO_CLOSE)
    )
    assert disputes is not None and requests is not None and hours is not None
    assert disputes.all.verdict is ExperimentVerdict.BETTER
    assert requests.all.verdict is ExperimentVerdict.CANNOT_TELL
    assert hours.all.hold_out == pytest.approx(3.0, abs=0.1)
    assert done.cost.requests == done.exposed.requests[HOLD_OUT]
    assert done.cost.hours == pytest.approx(3.0 * done.cost.requests, rel=0.05)
    assert disputes.by_day[-1].sequential == disputes.all.sequential
    assert len(disputes.by_shop) == 3
    for _, shop in disputes.by_shop:
        assert shop.sequential is not None and shop.standard_error is not None
        steps = sequential_steps(shop.hold_out_units + shop.live_units, 0.02, false_alarm=0.05 / 3)
        assert shop.sequential.upper - shop.sequential.lower == pytest.approx(2 * steps * shop.standard_error)
    assert done.missing == [MetricId.RETURNS_AFTER_SHIPMENT, MetricId.ORDERS_AFTERWARDS]


def test_rows_of_one_arm_that_are_missing_make_the_arms_not_comparable(tmp_path: Path) -> None:
    place = planted(tmp_path / "planted", buyers=40_000)
    with duckdb.connect() as connection:
        connection.execute(
            f"COPY (SELECT d.* FROM '{place}/decisions.parquet' d WHERE arm = 'live' OR hash(request_id) % 5 < 3)"
            f" TO '{place}/less.parquet'"
        )
    (place / "less.parquet").replace(place / "decisions.parquet")
    done = report(place, tmp_path, percent=2)
    assert not done.is_comparable
    assert {one.all.verdict for one in done.metrics} == {ExperimentVerdict.NOT_COMPARABLE}


# Which requests count --------------------------------------------------------------------------------------------


def test_a_buyer_counts_from_the_first_eligible_request_on_with_every_request(tmp_path: Path) -> None:
    days = ["2026-01-01T00:00:00Z", "2026-01-02T00:00:00Z", "2026-01-03T00:00:00Z"]
    place = history(
        tmp_path / "h",
        [request("a", n, at) for n, at in enumerate(days)] + [request("b", n, at) for n, at in enumerate(days)],
        [decision("a", n, "live", eligible="true" if n == 1 else "false") for n in range(3)]
        + [decision("b", n, "hold_out", eligible="true" if n == 1 else "false") for n in range(3)],
    )
    exposed = report(place, tmp_path).exposed
    assert exposed.requests == {HOLD_OUT: 2, LIVE: 2}
    assert exposed.units == {HOLD_OUT: 1, LIVE: 1}
    assert exposed.would_have_been == 1


def test_a_buyer_stays_in_the_arm_of_the_first_request(tmp_path: Path) -> None:
    place = history(
        tmp_path / "h",
        [request("a", 0, "2026-01-01T00:00:00Z"), request("a", 1, "2026-01-02T00:00:00Z")],
        [decision("a", 0, "hold_out"), decision("a", 1, "live")],
    )
    assert report(place, tmp_path).exposed.requests == {HOLD_OUT: 2, LIVE: 0}


@pytest.mark.parametrize("arm", [HOLD_OUT, LIVE])
def test_who_was_not_drawn_by_chance_is_left_out(tmp_path: Path, arm: str) -> None:
    place = history(
        tmp_path / "h",
        [
            request("listed", 0, "2026-01-01T00:00:00Z"),
            request("gone", 0, "2026-01-01T00:00:00Z", erased="true"),
            request("a", 0, "2026-01-01T00:00:00Z"),
            request("canary", 0, "2026-01-01T00:00:00Z"),
        ],
        [
            decision("listed", 0, arm, listed="true"),
            decision("gone", 0, arm),
            decision("a", 0, arm),
            decision("canary", 0, "canary"),
        ],
    )
    exposed = report(place, tmp_path).exposed
    assert (exposed.units[arm], exposed.listed, exposed.erased) == (1, 1, 1)


def test_the_days_and_the_shop_that_are_asked_for(tmp_path: Path) -> None:
    """A day is one of the time zone: midnight in Shanghai is 16:00 UTC of the day before."""
    place = history(
        tmp_path / "h",
        [
            request("before", 0, "2026-01-01T15:59:59Z"),
            request("first", 0, "2026-01-01T16:00:00Z"),
            request("last", 0, "2026-01-02T15:59:59Z"),
            request("after", 0, "2026-01-02T16:00:00Z"),
            request("elsewhere", 0, "2026-01-02T00:00:00Z", shop="s2"),
        ],
        [decision(buyer, 0, "live") for buyer in ("before", "first", "last", "after", "elsewhere")],
    )
    day = datetime(2026, 1, 2, tzinfo=SHANGHAI)
    exposed = report(
        place, tmp_path, window=Window(SHANGHAI, WINDOW.follow, day, day + timedelta(days=1), "s1")
    ).exposed
    assert exposed.units[LIVE] == 2
    assert (exposed.first_day, exposed.last_day) == (date(2026, 1, 2), date(2026, 1, 2))


def test_a_history_without_eligibility_compares_everybody_who_asked_and_says_so(tmp_path: Path) -> None:
    place = history(
        tmp_path / "h",
        [request(buyer, 0, "2026-01-01T00:00:00Z") for buyer in ("a", "b", "c")],
        [
            decision("a", 0, "hold_out", eligible=""),
            decision("b", 0, "live", eligible=""),
            "c-0,instant,live,,,",
        ],
    )
    exposed = report(place, tmp_path).exposed
    assert not exposed.eligible_known
    assert exposed.units == {HOLD_OUT: 1, LIVE: 2}


def test_a_request_that_something_else_sent_to_review_was_not_eligible(tmp_path: Path) -> None:
    """A pause sends both arms to review, so a buyer is not compared because of it."""
    place = history(
        tmp_path / "h",
        [request(buyer, 0, "2026-01-01T00:00:00Z") for buyer in ("paused", "approved", "reviewed", "held")],
        [
            "paused-0,instant,live,,,paused",
            "approved-0,instant,live,,,",
            "reviewed-0,review,live,,,",
            decision("held", 0, "hold_out"),
        ],
    )
    assert report(place, tmp_path).exposed.units == {HOLD_OUT: 1, LIVE: 1}


# What counts of what happened ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("at", "counted"),
    [
        ("2026-01-01T00:00:00Z", 0),  # what was before the request is not its doing
        ("2026-01-01T00:00:01Z", 1),
        ("2026-01-15T00:00:00Z", 1),
        ("2026-01-15T00:00:01Z", 0),
    ],
)
def test_what_happens_within_the_days_after_the_request_counts(tmp_path: Path, at: str, counted: int) -> None:
    place = history(
        tmp_path / "h",
        [request("a", 0, "2026-01-01T00:00:00Z"), request("b", 0, "2026-01-01T00:00:00Z")],
        [decision("a", 0, "hold_out"), decision("b", 0, "live")],
        [dispute("a", 0, at)],
    )
    assert rate(report(place, tmp_path), MetricId.DISPUTES) == (counted, 0)


def test_a_request_too_young_to_be_followed_counts_in_neither_arm(tmp_path: Path) -> None:
    """The history ends on 2026-06-01T00:00:00Z; fourteen days before is 2026-05-18T00:00:00Z."""
    place = history(
        tmp_path / "h",
        [request(f"{arm}{n}", 0, f"2026-05-18T00:00:0{n}Z") for arm in "ab" for n in (0, 1)],
        [decision(f"a{n}", 0, "hold_out") for n in (0, 1)] + [decision(f"b{n}", 0, "live") for n in (0, 1)],
        [dispute("a0", 0, "2026-05-19T00:00:00Z"), dispute("a1", 0, "2026-05-19T00:00:00Z")],
    )
    done = report(place, tmp_path)
    found, buyers = done.metric(MetricId.DISPUTES), done.metric(MetricId.REQUESTS)
    assert found is not None and buyers is not None
    assert (found.all.hold_out_units, found.all.live_units) == (1, 1)
    assert (buyers.all.hold_out_units, buyers.all.live_units) == (1, 1)
    assert done.exposed.units == {HOLD_OUT: 2, LIVE: 2}


def test_a_dispute_of_another_buyer_or_order_and_one_that_was_taken_back_do_not_count(tmp_path: Path) -> None:
    place = history(
        tmp_path / "h",
        [request(buyer, 0, "2026-01-01T00:00:00Z") for buyer in "abc"],
        [decision(buyer, 0, "hold_out") for buyer in "abc"],
        [
            "buyer,a,dispute_lost,2026-01-02T00:00:00Z,e1,o-other,",
            "buyer,b,dispute_lost,2026-01-02T00:00:00Z,e2,o-b-0,",
            "buyer,b,dispute_lost,2026-01-03T00:00:00Z,e3,o-b-0,e2",
            "buyer,b,dispute_lost,2026-01-03T00:00:00Z,e4,o-a-0,",
            dispute("c", 0, "2026-01-02T00:00:00Z", kind="dispute_won"),
            dispute("c", 0, "2026-01-03T00:00:00Z", event="again"),
        ],
    )
    assert rate(report(place, tmp_path), MetricId.DISPUTES)[0] == pytest.approx(1 / 3)


def test_a_request_that_is_not_closed_has_waited_for_as_long_as_it_is_followed(tmp_path: Path) -> None:
    place = history(
        tmp_path / "h",
        [
            request("a", 0, "2026-01-01T00:00:00Z"),
            request("b", 0, "2026-01-01T00:00:00Z", closed_at="2026-01-01T03:00:00Z"),
            request("c", 0, "2026-01-01T00:00:00Z", closed_at="2026-03-01T00:00:00Z"),
        ],
        [decision("a", 0, "hold_out"), decision("b", 0, "live"), decision("c", 0, "hold_out")],
    )
    assert rate(report(place, tmp_path), MetricId.HOURS_TO_CLOSE) == (14 * 24, 3)


def test_orders_paid_before_and_after_the_first_request(tmp_path: Path) -> None:
    paid = [("2025-10-01", 0), ("2025-12-31", 1), ("2026-01-01", 1), ("2026-01-02", 2), ("2026-01-15", 2)]
    place = history(
        tmp_path / "h",
        [request("a", 0, "2026-01-01T00:00:00Z"), request("b", 0, "2026-01-01T00:00:00Z")],
        [decision("a", 0, "hold_out"), decision("b", 0, "live")],
        [f"buyer,a,order_paid,{day}T00:00:00Z,p{n},o-p{n}," for n, (day, _) in enumerate(paid)],
    )
    with closing(duckdb.connect()) as connection:
        expose(connection, prepare(place, tmp_path / "work"), WINDOW)
        held = sums(connection, MetricId.ORDERS_AFTERWARDS)[HOLD_OUT]
    assert (held.units, held.c, held.x) == (1, 2, 2)


# Sums by day and by shop -----------------------------------------------------------------------------------------

MADE = st.lists(
    st.tuples(st.sampled_from("abcdef"), st.integers(0, 20), st.sampled_from(["s1", "s2"]), st.booleans()),
    min_size=1,
    max_size=25,
)


@given(made=MADE)
@settings(max_examples=25, deadline=None)
def test_the_last_day_has_the_sums_of_all_and_a_day_has_those_of_what_was_known_then(
    made: list[tuple[str, int, str, bool]], tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("made")
    numbered = [(f"{n}", *row) for n, row in enumerate(made)]
    start = datetime(2026, 1, 1, tzinfo=UTC)
    arms = {buyer: "hold_out" if buyer < "d" else "live" for buyer in "abcdef"}
    place = history(
        folder / "h",
        [request(b, int(n), (start + timedelta(days=d)).isoformat(), shop=s) for n, b, d, s, _ in numbered],
        [decision(b, int(n), arms[b]) for n, b, *_ in numbered],
        [dispute(b, int(n), (start + timedelta(days=d, hours=1)).isoformat()) for n, b, d, _, bad in numbered if bad],
    )
    with closing(duckdb.connect()) as connection:
        expose(connection, prepare(place, folder / "work"), WINDOW)
        whole = sums(connection, MetricId.DISPUTES)
        by_day = sums_by_day(connection, MetricId.DISPUTES)
        by_shop = sums_by_shop(connection, MetricId.DISPUTES, 20)
    assert by_day[-1][1] == whole
    day = by_day[len(by_day) // 2][0]
    for arm in ARMS:
        known = [
            (b, bad) for _, b, d, _, bad in numbered
            if arms[b] == arm and (start + timedelta(days=d) + WINDOW.follow).astimezone(SHANGHAI).date() <= day
        ]  # fmt: skip
        then = dict(by_day)[day][arm]
        asked = {buyer: sum(1 for b, _ in known if b == buyer) for buyer, _ in known}
        disputed = {buyer: sum(bad for b, bad in known if b == buyer) for buyer in asked}
        assert (then.units, then.y, then.x) == (len(asked), sum(asked.values()), sum(disputed.values()))
        assert then.xy == sum(asked[b] * disputed[b] for b in asked)
        assert then.xx == sum(value**2 for value in disputed.values())
        assert sum(both[arm].y for _, both in by_shop) == whole[arm].y


# Bad input -------------------------------------------------------------------------------------------------------


def test_a_history_without_decisions_is_refused(tmp_path: Path) -> None:
    write_csv(tmp_path / "h", "requests", REQUESTS, [request("a", 0, "2026-01-01T00:00:00Z")])
    with pytest.raises(BadInput, match="nobody knows who was held out"):
        report(tmp_path / "h", tmp_path)


def test_a_history_that_does_not_say_the_share_asks_for_it(tmp_path: Path) -> None:
    place = history(tmp_path / "h", [request("a", 0, "2026-01-01T00:00:00Z")], [decision("a", 0, "live")])
    with pytest.raises(BadInput, match="--hold-out-percent"):
        report(place, tmp_path, percent=None)


def test_an_arm_without_people_is_said(tmp_path: Path) -> None:
    place = history(tmp_path / "h", [request("a", 0, "2026-01-01T00:00:00Z")], [decision("a", 0, "live")])
    done = report(place, tmp_path)
    assert done.exposed.units == {HOLD_OUT: 0, LIVE: 1}
    assert {one.all.verdict for one in done.metrics} == {ExperimentVerdict.TOO_FEW}
