"""The report that is read: before and after, by segment and over time, at what loss, and with other caps."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import date
from inspect import signature
from pathlib import Path
from zoneinfo import ZoneInfo

import duckdb
import pytest

from jitui.backtest.cap_trials import CapChange, changed_cap
from jitui.backtest.changes import MOST_ROWS, Segment, changes
from jitui.backtest.drift import Grain, grain_of, spans
from jitui.backtest.findings import Findings
from jitui.backtest.incident_cost import CostRates, check_rates, expected_cost, rates_of
from jitui.backtest.page import chart_library, script_data, script_text
from jitui.backtest.replay import Replayed
from jitui.backtest.report_page import View, render_html
from jitui.backtest.run import Backtest, BacktestSpec, run_backtest
from jitui.backtest.segments import read_segments
from jitui.backtest.words import WORDS
from jitui.entrypoints.cli.backtest import backtest as command
from jitui.errors import BadInput
from jitui.policy import Cap, Policy
from tests.backtest.histories import REQUESTS, request, small_history, write_csv
from tests.policy.policy_samples import DEFAULT, default_policy

SHANGHAI = ZoneInfo("Asia/Shanghai")
BANDS = [("0-3", 4, 4), ("4-8", 5, 1), ("9-13", 5, 0), ("14-18", 5, 0), ("19-", 6, 0)]


def policy(*changes: tuple[str, str]) -> Policy:
    text = DEFAULT.read_text(encoding="utf-8").replace("hold_out_percent: 2", "hold_out_percent: 0")
    for old, new in changes:
        assert old in text
        text = text.replace(old, new)
    return Policy.from_text(text)


def backtested(history: Path, work: Path, *, segments: Sequence[str] = (), against: Policy | None = None) -> Backtest:
    decided_by = policy()
    spec = BacktestSpec(decided_by, str(history), SHANGHAI, against, findings=True)
    return run_backtest(replace(spec, segments=read_segments(segments, decided_by.facts)), work)


def found_in(done: Backtest) -> Findings:
    assert done.findings is not None
    return done.findings


@pytest.fixture(scope="module")
def compared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Backtest]:
    """Five requests of `good` and one of `new` on three days, of which the middle one is empty; own columns."""
    folder = tmp_path_factory.mktemp("compared")
    asked = [
        request(1, "2025-06-01T15:59:59Z", amount_minor=4_000),  # still the first day in Shanghai
        request(2, "2025-06-02T16:00:00Z"),
        request(3, "2025-06-02T16:00:01Z", buyer="new"),
        request(4, "2025-06-02T17:00:00Z"),
        request(5, "2025-06-02T18:00:00Z"),
        request(6, "2025-06-02T19:00:00Z"),
    ]
    history = small_history(folder / "h", requests=[])
    rows = [f"{row},{region},{carrier}" for row, region, carrier in zip(asked, "NNSSS ", "xy</yy", strict=True)]
    write_csv(history, "requests", f"{REQUESTS},region,carrier", rows)
    write_csv(
        history,
        "shipments",
        "order_id,degree,at,recorded_at",
        [
            "o1,shipped,2025-06-01T15:00:00Z,2025-06-01T16:30:00Z",
            "o3,shipped,2025-06-02T15:00:00Z,2025-06-03T00:00:00Z",
        ],
    )
    against = policy(("limit_minor: 30000", "limit_minor: 30001"), ("count: 3,", "count: 1,"))
    yield backtested(history, folder / "w", segments=["Carrier=carrier", "paid=order.paid_minor"], against=against)


def segment(done: Backtest, name: str) -> Segment:
    return next(one for one in found_in(done).changes.segments if one.name == name)


def test_who_gains_and_who_loses(compared: Backtest) -> None:
    total = found_in(compared).changes.total
    assert (total.requests, total.before, total.after, total.gained, total.lost) == (6, 1, 3, 2, 0)
    assert (total.before_minor, total.after_minor, total.gained_minor, total.gaining_buyers) == (
        4000,
        24_000,
        20_000,
        1,
    )
    by_region = {
        row.name: (row.requests, row.before, row.after, row.gained) for row in segment(compared, "region").rows
    }
    assert by_region == {"N": (2, 1, 2, 1), "S": (3, 0, 1, 1), "": (1, 0, 0, 0)}
    assert not segment(compared, "tier").is_known
    own = segment(compared, "Carrier")
    assert {row.name: row.requests for row in own.rows} == {"x": 1, "y": 3, "<": 1, "/": 1}
    assert [(row.name, row.requests) for row in segment(compared, "paid").rows] == [("10000", 6)]


def test_a_day_without_requests_stays_on_the_axis(compared: Backtest) -> None:
    drift = found_in(compared).drift
    days = [(one.name, one.requests, one.before, one.after, one.empty_days) for one in drift.periods]
    assert days == [("2025-06-01", 1, 1, 1, 0), ("2025-06-02", 0, 0, 0, 1), ("2025-06-03", 5, 0, 2, 0)]
    assert (drift.grain, drift.days, drift.empty_days) == (Grain.DAY, 3, 1)
    assert drift.periods[2].stopped["premium_buyer"] == 1
    assert drift.periods[2].stopped["within_caps"] == 2
    option = View(compared, found_in(compared), WORDS["zh"]).charts["share"].option
    assert [series["data"] for series in option["series"]] == [[100.0, None, 0.0], [100.0, None, 40.0]]
    assert option["xAxis"]["data"] == ["2025-06-01", "2025-06-02", "2025-06-03"]


def test_what_only_caps_stopped_and_what_other_caps_would_do(compared: Backtest) -> None:
    trials = found_in(compared).cap_trials
    assert trials.passing == 5  # all but the new buyer's
    of_buyer = {one.change: (one.instant, one.instant_minor) for one in trials.trials if one.scope == "per_buyer"}
    assert of_buyer == {
        CapChange.HALF: (2, 14_000),
        CapChange.DOUBLE: (5, 44_000),
        CapChange.NONE: (5, 44_000),
    }
    assert compared.summary.instant == 3


def test_an_incident_on_record_is_counted_before_and_after(compared: Backtest) -> None:
    losses = found_in(compared).losses
    assert (losses.known, losses.incidents, losses.before, losses.after, losses.after_minor) == (6, 2, 1, 1, 4_000)


def test_the_page_has_the_answer_in_both_languages_and_no_text_ends_a_script(compared: Backtest) -> None:
    page = render_html(compared, "zh")
    assert (
        "would refund 50.0 % of 6 requests at once" in page
        and "That is 2 requests more at once, and 200.00 CNY" in page
    )
    assert "即多 2 笔，金额多 200.00 CNY" in page
    assert "2025-06-03 00:00:00 +08:00" in page and "Asked at (Asia/Shanghai)" in page
    data = page.partition('id="charts">')[2].partition("</script>")[0]
    charts = json.loads(data)
    assert charts.keys() >= {
        "en-segment-0",
        "zh-segment-0",
        "zh-requests",
        "en-conditions",
        "zh-caps",
        "en-obstacles-1",
    }
    assert "<" not in data
    for name in charts:
        assert f'<figure class="chart" id="{name}"' in page


def test_what_the_history_lacks_is_named(tmp_path: Path) -> None:
    history = small_history(tmp_path / "h", requests=[request(1, "2025-06-01T12:00:00Z")])
    for table in ("shipments", "orders"):
        (history / f"{table}.csv").unlink()
    write_csv(history, "facts", "request_id,shop.covered", ["r1,true"])
    done = backtested(history, tmp_path / "w")
    gaps = {gap.fact: (gap.unknown, gap.assumed) for gap in found_in(done).gaps}
    assert gaps["order.shipment"] == gaps["order.paid_minor"] == (1, False)
    assert gaps["service.paused"] == (0, True)
    assert not {"buyer.selected", "shop.covered"} & gaps.keys()  # known, and logged
    sentences = list(View(done, found_in(done), WORDS["en"]).gaps())
    assert "order.shipment: unknown for every request. It would come from shipments." in sentences
    assert any(one.startswith("Losses: no request has a record of its parcel") for one in sentences)
    assert "compared with reviewing every request" in render_html(done, "en")


def test_the_rarest_values_are_one_row_and_numbers_are_banded(tmp_path: Path) -> None:
    """Thirteen shops: the two that are named last share a row, and a number with many values has bands."""
    path = tmp_path / "decisions.parquet"
    with duckdb.connect() as connection:
        connection.execute(f"""COPY (SELECT n::VARCHAR AS request_id, 'b' AS buyer_id, 'CNY' AS currency,
            100 AS amount_minor, NULL AS category_id, NULL AS tier, NULL AS region, n::VARCHAR AS "segment.n",
            's' || lpad((n % {MOST_ROWS + 1})::VARCHAR, 2, '0') AS shop_id,
            CASE WHEN n < 5 THEN 'instant' ELSE 'review' END AS outcome FROM range({2 * MOST_ROWS + 1}) r (n))
            TO '{path}'""")
    (own,) = read_segments(["n=buyer.account_age_days"], policy().facts)
    found = changes(Replayed(policy(), path, 0, 0, 0, 0), None, None, [own])
    shops = next(one for one in found.segments if one.name == "shop")
    assert [row.name for row in shops.rows] == [f"s{n:02}" for n in range(MOST_ROWS)]
    assert shops.others is not None
    assert (shops.values, shops.others.requests, shops.others.after) == (MOST_ROWS + 1, 1, 0)
    banded = next(one for one in found.segments if one.name == "n")
    assert [(row.name, row.requests, row.after) for row in banded.rows] == BANDS
    assert banded.others is None


def test_the_expected_loss_is_exact_and_rounded_half_up() -> None:
    rates = CostRates(0.1, 150.0, 2.5)
    cost = expected_cost(3, 33_333, rates)
    assert (cost.cost_minor, cost.review_minutes_saved) == (50, 8)  # 49.9995 and 7.5
    assert expected_cost(1, 1_000, CostRates(0.05, 100)).cost_minor == 1  # a half
    assert expected_cost(1, 1_000, CostRates(0.35, 100)).cost_minor == 4  # 3.5, though the float 0.35 is a little less
    assert expected_cost(0, 0, rates).cost_minor == 0
    check_rates(CostRates(100.0))
    with pytest.raises(BadInput, match="from 0 to 100"):
        check_rates(CostRates(100.1))
    for rates in (CostRates(float("nan")), CostRates(1, float("inf")), CostRates(1, 1, -1)):
        with pytest.raises(BadInput, match="is a number, 0 or above"):
            check_rates(rates)


def test_the_rates_of_the_command_are_those_of_the_module_and_an_incident_costs_what_the_policy_says() -> None:
    parameters = signature(command).parameters
    given = [parameters[name].default for name in ("incident_percent", "incident_cost_percent", "review_minutes")]
    assert rates_of(default_policy(), *given) == CostRates()
    text = default_policy().text.replace("review: {", "loss: {incident_cost_percent: 60}\nreview: {")
    assert rates_of(Policy.from_text(text), *given).incident_cost_percent == 60
    assert rates_of(Policy.from_text(text), 1, 20, 4) == CostRates(1, 20, 4)


def test_periods_are_days_weeks_or_months() -> None:
    first = date(2025, 1, 1)
    assert [grain_of(first, date(2025, 4, 2)), grain_of(first, date(2025, 4, 3))] == [Grain.DAY, Grain.WEEK]
    assert grain_of(first, date(2028, 6, 1)) is Grain.MONTH
    weeks = [(start.isoformat(), days) for start, days in spans(Grain.WEEK, first, date(2025, 1, 13))]
    assert weeks == [("2024-12-30", 5), ("2025-01-06", 7), ("2025-01-13", 1)]
    months = [(start.isoformat(), days) for start, days in spans(Grain.MONTH, date(2024, 1, 31), date(2024, 3, 1))]
    assert months == [("2024-01-01", 1), ("2024-02-01", 29), ("2024-03-01", 1)]


def test_a_cap_is_halved_upwards_and_doubled() -> None:
    assert changed_cap(Cap(3, 501, 60), CapChange.HALF) == Cap(2, 251, 60)
    assert changed_cap(Cap(3, None, 60), CapChange.DOUBLE) == Cap(6, None, 60)
    assert changed_cap(Cap(1, None, 60), CapChange.HALF) == Cap(1, None, 60)
    assert changed_cap(Cap(3, 501, 60), CapChange.NONE) is None


def test_nothing_inside_a_script_ends_it() -> None:
    assert script_text("a='</SCRIPT>';b='<!--';c=1</d") == "a='<\\/SCRIPT>';b='<\\!--';c=1</d"
    assert json.loads(script_data({"a": "</script><!--&"})) == {"a": "</script><!--&"}
    library = chart_library()
    assert library is not None, "`make setup` brings it"
    assert "</script" not in library.lower() and "<!--" not in library
