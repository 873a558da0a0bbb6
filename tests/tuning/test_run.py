"""A tuning from end to end: the better setting that is planted is found, and what cannot be told is not told."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import duckdb
import numpy as np
import pytest

from jitui.backtest.engine import EngineName, open_engine
from jitui.backtest.facts import Choice
from jitui.backtest.replay import ReplayChoice, replay
from jitui.backtest.source import prepare
from jitui.errors import BadInput
from jitui.policy import Policy
from jitui.tuning import judge
from jitui.tuning.judge import Bounds, Range, passed
from jitui.tuning.render import sentences, terminal_tables
from jitui.tuning.run import WITHOUT_LOSSES, TuneReport, TuneSpec, tune
from tests.tuning.markets import POLICY, market, policy

SPEC = TuneSpec(
    policy=policy(),
    history="",
    tried=("limit_minor=15000:60000:15000", "least_on_time_percent=0,80", "least_age_days=90,180"),
    time_zone=ZoneInfo("Asia/Shanghai"),
    bounds=Bounds(incident_percent=1.5),
    caps=False,
)


@pytest.fixture(scope="module")
def history(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return market(tmp_path_factory.mktemp("planted") / "h")


@pytest.fixture(scope="module")
def found(history: Path, tmp_path_factory: pytest.TempPathFactory) -> TuneReport:
    return tune(replace(SPEC, history=str(history)), tmp_path_factory.mktemp("work"))


def test_the_better_setting_that_is_planted_beats_the_policys_own_on_other_buyers(found: TuneReport) -> None:
    assert found.recommended == {"limit_minor": 60_000, "least_on_time_percent": 80, "least_age_days": 90}
    best = next(one for one in found.front if one.values == found.recommended)
    assert best.judged.share_gained.low > 0.01
    assert best.judged.loss_gained.high < 0
    assert not found.own.passes, "late shops cost it more than the bound"
    assert (
        found.own.judged.buyers_with_incident_at_most_percent > 1.5 > best.judged.buyers_with_incident_at_most_percent
    )
    assert "Recommended: limit_minor = 60000" in "\n".join(sentences(found))


def test_a_tighter_bound_is_kept_by_a_stricter_setting_or_by_none(history: Path, tmp_path: Path) -> None:
    bounds = Bounds(incident_percent=0.02)
    none = tune(replace(SPEC, history=str(history), bounds=bounds), tmp_path)
    assert none.recommended is None
    said = "\n".join(sentences(none))
    assert "No setting keeps to the bounds" in said
    assert "it takes 14,978 buyers to show a bound of 0.02 %" in said


def test_a_setting_that_was_not_reached_is_told_from_one_that_does_not_hold(found: TuneReport) -> None:
    """The first test fails, so no later one counts, whatever its own numbers are."""
    unreached = replace(next(one for one in found.front if one.values == found.recommended), passes=False)
    assert unreached.judged.holds
    (table,) = terminal_tables(replace(found, front=(unreached,), recommended=None))
    passes = next(column for column in table.columns if column.header == "passes")
    assert list(passes.cells)[-1] == "-"
    assert next(iter(passes.cells)) == "no"


def test_no_loss_among_few_is_no_proof(found: TuneReport) -> None:
    best = next(one for one in found.front if one.values == found.recommended)
    none = replace(best.judged, loss_gained=Range(0.0, 0.0, 0.0))
    front = tuple(replace(one, judged=none) if one is best else one for one in found.front)
    said = "\n".join(sentences(replace(found, front=front)))
    assert "so few say little about how often that is" in said
    assert "Loss of 1,000" not in said


def test_the_last_value_that_was_tried_is_said_to_be_it(found: TuneReport) -> None:
    assert "limit_minor = 60000 is the last of its values that was tried." in list(sentences(found))
    assert not any("least_age_days" in one and "was tried" in one for one in sentences(found)), "it is the policy's own"


def test_the_loss_of_money_has_a_bound_of_its_own(found: TuneReport, history: Path, tmp_path: Path) -> None:
    best = next(one for one in found.front if one.values == found.recommended)
    assert best.judged.loss_bound_percent is not None
    bounds = Bounds(incident_percent=50, loss_percent=best.judged.loss_bound_percent)
    again = tune(replace(SPEC, history=str(history), bounds=bounds), tmp_path)
    assert found.own.judged.loss_bound_percent is not None
    assert found.own.judged.loss_bound_percent > best.judged.loss_bound_percent
    assert not again.own.judged.holds
    assert next(one for one in again.front if one.values == found.recommended).judged.holds


def test_a_history_without_losses_says_so_first_and_recommends_nothing(tmp_path: Path) -> None:
    history = market(tmp_path / "h", buyers=600, incidents=False)
    told: list[str] = []
    done: list[str] = []

    def progress(what: str, _done: int, _of: int) -> None:
        done.append(what)
        if "settings" in what:
            assert told == [WITHOUT_LOSSES], "before the work"

    report = tune(replace(SPEC, history=str(history)), tmp_path / "work", progress, told.append)
    assert any("settings" in what for what in done)
    assert report.without_losses
    assert report.recommended is None
    assert next(iter(sentences(report))).startswith("Nothing is recommended")
    assert len(report.front) > 2, "what more would be refunded is shown all the same"


def test_incidents_of_unknown_amounts_are_no_history_without_losses(tmp_path: Path) -> None:
    """Without the orders' currency no amount is known: incidents are weighed, and it is said what is left out."""
    history = market(tmp_path / "h", buyers=3_000, late_shops_percent=30)
    with duckdb.connect() as db:
        db.execute(f"CREATE TABLE o AS SELECT * FROM read_parquet('{history}/orders.parquet')")
        db.execute(f"COPY (SELECT * EXCLUDE (currency), 'USD' AS currency FROM o) TO '{history}/orders.parquet'")
    tuned = Policy.from_text(POLICY.replace(" && order.paid_minor < limit_minor", ""))
    report = tune(
        replace(SPEC, policy=tuned, history=str(history), tried=("least_on_time_percent=0,80",)), tmp_path / "w"
    )
    assert not report.without_losses
    assert report.own.judged.incidents > 10
    assert report.own.judged.money_per_request.value == 0
    assert report.without_amount == report.learnt + report.judged
    assert {one.values["least_on_time_percent"] for one in report.front} == {0, 80}, "incidents are weighed"
    assert any("have no amount in CNY" in one for one in sentences(report))


def test_a_parameter_of_which_no_value_changes_anything_is_named(
    found: TuneReport, history: Path, tmp_path: Path
) -> None:
    assert found.without_effect == ()
    report = tune(replace(SPEC, history=str(history), tried=("limit_minor", "least_age_days=1000,2000")), tmp_path)
    assert report.without_effect == ()
    report = tune(replace(SPEC, history=str(history), tried=("limit_minor", "least_on_time_percent=1,2,3")), tmp_path)
    assert report.without_effect == ("least_on_time_percent",)


def test_a_side_without_requests_is_said(history: Path, tmp_path: Path) -> None:
    for day, word in ((datetime(2020, 1, 1, tzinfo=UTC), "a later"), (datetime(2030, 1, 1, tzinfo=UTC), "an earlier")):
        with pytest.raises(BadInput, match=f"take {word} day with --learn-until"):
            tune(replace(SPEC, history=str(history), learn_before=day), tmp_path)


def test_a_history_without_requests_is_said(tmp_path: Path) -> None:
    history = market(tmp_path / "h", buyers=1)
    with duckdb.connect() as db:
        path = history / "requests.parquet"
        db.execute(f"COPY (SELECT * FROM read_parquet('{path}') LIMIT 0) TO '{history}/none.parquet'")
        (history / "none.parquet").rename(path)
    with pytest.raises(BadInput, match="has no requests"):
        tune(replace(SPEC, history=str(history)), tmp_path / "work")


def test_caps_are_replayed_as_a_back_test_replays_them(tmp_path: Path) -> None:
    history = market(tmp_path / "h", buyers=800)
    capped = Policy.from_text(POLICY.replace("spare: 3", "spare: 1"))
    report = tune(replace(SPEC, policy=capped, history=str(history), caps=True), tmp_path / "work")
    with open_engine(EngineName.DUCKDB, tmp_path) as engine:
        paths = prepare(str(history), tmp_path / "prepared", facts=capped.facts).paths
        tables = {name: engine.read(path) for name, path in paths.items()}
        for one in (report.own, report.front[-1]):
            choice = ReplayChoice(Choice(SPEC.time_zone))
            own = replay(engine, tables, capped.with_parameters(one.values), tmp_path / "replayed.parquet", choice)
            assert one.with_caps is not None
            assert (one.with_caps.requests, one.with_caps.instant) == (own.requests, own.instant)
    whole = tune(replace(SPEC, history=str(history), caps=True), tmp_path / "work")
    assert whole.own.with_caps is not None
    assert report.own.with_caps is not None
    assert whole.own.with_caps.instant > report.own.with_caps.instant, "a larger cap lets more through"


def test_the_order_of_tests_ends_at_the_first_that_does_not_hold() -> None:
    assert passed([3, 1, 2], lambda one: one != 1) == [3]
    assert passed([3, 1, 2], lambda _: True) == [3, 1, 2]
    assert passed([], lambda _: True) == []


def test_settings_at_the_bound_pass_in_at_most_one_of_twenty_runs() -> None:
    """Ten settings whose rate is just the bound, learnt from and judged by chance alone, a thousand times."""
    bounds, buyers = Bounds(incident_percent=1.0), 3_000
    rng = np.random.default_rng(5)
    wrong = 0
    p_value = {count: judge._p_value(count, buyers, bounds) for count in range(buyers // 20)}
    for _ in range(1_000):
        learnt, judging = ([p_value[int(one)] for one in row] for row in rng.binomial(buyers, 0.01, size=(2, 10)))
        order = sorted(range(10), key=learnt.__getitem__)
        holds = [one <= bounds.error for one in judging]
        wrong += bool(passed(order, holds.__getitem__))
    assert wrong <= 65, "five of a hundred, and what chance adds"


def test_few_buyers_prove_nothing() -> None:
    """Without a single incident 298 buyers may still come from a rate of one in a hundred, 299 no longer."""
    bounds = Bounds(incident_percent=1.0)
    assert judge._p_value(0, 298, bounds) > bounds.error >= judge._p_value(0, 299, bounds)
    assert judge._p_value(0, 0, bounds) == 1
    assert judge._at_most_percent(0, 0, bounds) == 100


def test_two_runs_say_the_same(found: TuneReport, history: Path, tmp_path: Path) -> None:
    again = tune(replace(SPEC, history=str(history)), tmp_path)
    assert again.front == found.front
