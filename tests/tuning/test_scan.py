"""The grid decides each request as the policy with those values does, and its sums are those of its requests."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import duckdb
import pytest

from jitui.backtest.engine import Engine, EngineName, open_engine
from jitui.backtest.facts import Choice, Tables
from jitui.backtest.replay import ReplayChoice, replay
from jitui.backtest.source import prepare
from jitui.errors import BadInput
from jitui.policy import Policy
from jitui.tuning.candidates import Grid, read_grid
from jitui.tuning.conjuncts import conjuncts
from jitui.tuning.front import front, grid_sums
from jitui.tuning.judge import approving
from jitui.tuning.scan import Tried, bit_groups, scan
from tests.tuning.markets import POLICY, market, policy

LEARN_BEFORE = datetime(2026, 2, 1, tzinfo=UTC)
TRIED = ("limit_minor=0:60000:6000", "least_on_time_percent=0,50,61,90", "least_age_days=30,90,300")


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("tuning")


@pytest.fixture(scope="module")
def engine(work: Path) -> Iterator[Engine]:
    with open_engine(EngineName.DUCKDB, work) as opened:
        yield opened


@pytest.fixture(scope="module")
def history(work: Path) -> Path:
    return market(work / "h", buyers=1_500, known_percent=80, late_shops_percent=30, incident=0.01)


def tried(engine: Engine, history: Path, tuned: Policy, *values: str, name: str = "tried") -> Tried:
    grid = read_grid(tuned, values or TRIED)
    parts = conjuncts(tuned, grid.values)
    out = history.parent / f"{name}.parquet"
    return scan(engine, tables(engine, history), tuned, grid, parts, Choice(ZoneInfo("UTC")), LEARN_BEFORE, out)


def tables(engine: Engine, history: Path) -> Tables:
    paths = prepare(history, history.parent / "prepared", facts=policy().facts).paths
    return {name: engine.read(path) for name, path in paths.items()}


def settings(grid: Grid) -> list[int]:
    """Some settings, the first and the last among them."""
    return [0, 1, *range(17, grid.size - 1, 41), grid.size - 1]


def test_a_setting_approves_what_the_policy_with_its_values_approves(engine: Engine, history: Path) -> None:
    found = tried(engine, history, policy())
    unknown = 0
    with duckdb.connect() as db:
        for number in settings(found.grid):
            by_bits = db.execute(
                f"SELECT request_id FROM read_parquet(?) WHERE {approving(found, number)}", [found.source]
            ).fetchall()
            replayed = history.parent / "replayed.parquet"
            own = policy(**found.grid.setting(number), spare=1_000)
            replay(engine, tables(engine, history), own, replayed, ReplayChoice(Choice(ZoneInfo("UTC"))))
            by_policy = db.execute(
                "SELECT request_id FROM read_parquet(?) WHERE outcome = 'instant'", [str(replayed)]
            ).fetchall()
            assert sorted(by_bits) == sorted(by_policy), found.grid.setting(number)
            unknown += len(by_bits) > 0
    assert unknown > len(settings(found.grid)) / 2, "most settings approve something"


def test_neither_a_day_nor_a_buyer_is_on_both_sides(engine: Engine, history: Path) -> None:
    found = tried(engine, history, policy())
    with duckdb.connect() as db:
        rows = db.execute(
            "SELECT half, count(*), count(DISTINCT buyer_id), min(asked_at), max(asked_at) FROM read_parquet(?)"
            " WHERE half IS NOT NULL GROUP BY half ORDER BY half",
            [found.source],
        ).fetchall()
        shared = db.execute(
            "SELECT count(*) FROM (SELECT buyer_id FROM read_parquet(?) WHERE half IS NOT NULL GROUP BY buyer_id"
            " HAVING count(DISTINCT half) > 1)",
            [found.source],
        ).fetchone()
    (judges, _, _, first_judging, _), (learnt, _, _, _, last_learnt) = ((row[0], *row[1:]) for row in rows)
    assert (judges, learnt) == ("judge", "learn")
    assert last_learnt < LEARN_BEFORE.replace(tzinfo=None) <= first_judging
    assert all(row[1] > 500 for row in rows)
    assert shared == (0,)


def test_the_sums_of_the_grid_are_those_of_its_requests(engine: Engine, history: Path) -> None:
    found = tried(engine, history, policy())
    with duckdb.connect() as db:
        sums = grid_sums(db, found)
        for number in settings(found.grid):
            row = db.execute(
                "SELECT count(*), count(*) FILTER (incident), coalesce(sum(amount_minor), 0),"
                f" coalesce(sum(loss_minor), 0) FROM read_parquet(?)"
                f" WHERE half = 'learn' AND {approving(found, number)}",
                [found.source],
            ).fetchone()
            of = (sums.instant, sums.incidents, sums.money_minor, sums.loss_minor)
            assert tuple(int(one[number]) for one in of) == row, found.grid.setting(number)
        by_parts = grid_sums(db, found, cells_at_once=found.grid.size * 7)
        assert [list(one) for one in (by_parts.instant, by_parts.loss_minor)] == [
            list(sums.instant),
            list(sums.loss_minor),
        ]
        wrong = db.execute(
            "SELECT count(*) FROM read_parquet(?)"
            " WHERE loss_minor <> CASE WHEN incident THEN amount_minor // 2 ELSE 0 END",
            [found.source],
        ).fetchone()
    assert sums.incidents.max() > 3
    assert wrong == (0,), "an incident costs half of the amount, as the policy says"


def test_more_values_than_a_column_has_bits(engine: Engine, history: Path) -> None:
    """Two parameters in one comparison: their pairs are tried, in as many columns as it takes."""
    text = POLICY.replace("order.paid_minor < limit_minor", "order.paid_minor < limit_minor + least_age_days * 100")
    text = text.replace("hold_out_percent: 10", "hold_out_percent: 0")
    found = tried(engine, history, Policy.from_text(text), "limit_minor=0:60000:6000", "least_age_days=0:280:40")
    together = next(group for group in found.groups if len(group.names) == 2)
    assert len(together.columns) == 2
    with duckdb.connect() as db:
        for number in range(found.grid.size):
            values = found.grid.setting(number)
            own = f"count(*) FILTER ({approving(found, number)})"
            row = db.execute(
                f"""SELECT {own}, count(*) FILTER (age >= $age AND amount_minor < $most)
                    FROM read_parquet($tried) JOIN (SELECT request_id, "buyer.account_age_days" AS age
                    FROM read_parquet($facts)) USING (request_id)""",
                {
                    "tried": found.source,
                    "facts": str(history / "facts.parquet"),
                    "age": values["least_age_days"],
                    "most": values["limit_minor"] + values["least_age_days"] * 100,
                },
            ).fetchone()
            assert row is not None
            assert row[0] == row[1], values


def test_a_dispute_costs_when_the_buyer_loses_it_within_ninety_days(engine: Engine, work: Path) -> None:
    history = market(work / "disputes" / "h", buyers=200, incidents=False, disputes=True)
    tuned = Policy.from_text(
        POLICY.replace("incident_cost_percent: 50", "incident_cost_percent: 50, lost_dispute_cost_minor: 700")
    )
    found = tried(engine, history, tuned, "limit_minor=30000")
    with duckdb.connect() as db:
        rows = db.execute(
            f"""SELECT request_id, loss_minor, EXISTS (
                    SELECT 1 FROM read_parquet('{history}/events.parquet') e
                    WHERE e.subject_id = t.buyer_id AND e.kind = 'dispute_lost' AND e.event_id IS NOT NULL
                      AND e.event_id NOT LIKE '%-back' AND e.at > t.asked_at AND e.at <= t.asked_at + INTERVAL 90 DAY)
                FROM read_parquet(?) t""",
            [found.source],
        ).fetchall()
    assert {loss for _, loss, _ in rows} == {0, 700}
    assert all((loss == 700) == met for _, loss, met in rows)


def test_what_the_conditions_read_together_is_tried_together() -> None:
    grid = read_grid(policy(), TRIED)
    groups = bit_groups(grid, conjuncts(policy(), grid.values))
    assert sorted(group.names for group in groups) == [
        ("least_age_days",),
        ("least_on_time_percent",),
        ("limit_minor",),
    ]


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ((), "Say what to try"),
        (("limit",), "There is no parameter 'limit'; did you mean limit_minor?"),
        (("limit_minor=1,2", "limit_minor=3"), "limit_minor is given twice"),
        (("limit_minor=9:1:2",), "has no values"),
        (("limit_minor=1:9:0",), "has no values"),
        (("limit_minor=1:60000:1",), "more than 60 values"),
        (("limit_minor=9:1:-2",), "has no values"),
        (("limit_minor=a",), "neither 1,2,3 nor FROM:TO:STEP"),
        (("limit_minor=",), "neither 1,2,3 nor FROM:TO:STEP"),
        (("limit_minor=300,00",), "neither 1,2,3 nor FROM:TO:STEP"),
        (("other=1",), "There is no parameter 'other'; there are limit_minor, least_on_time_percent"),
        (("spare=1,2",), "spare decides nothing here: no condition reads it"),
        (
            ("limit_minor=1:60:1", "least_age_days=1:60:1", "least_on_time_percent=1:60:1"),
            "is the most that is compared",
        ),
    ],
)
def test_what_cannot_be_tried_is_said_in_a_sentence(values: tuple[str, ...], said: str) -> None:
    with pytest.raises(BadInput, match=said.replace("?", r"\?")):
        grid = read_grid(policy(), values)
        bit_groups(grid, conjuncts(policy(), grid.values))


def test_a_policy_without_parameters_says_how_to_get_some() -> None:
    text = POLICY.replace(
        "parameters: {limit_minor: 30000, least_on_time_percent: 0, least_age_days: 90, spare: 3}\n", ""
    )
    for name, value in {
        "limit_minor": "30000",
        "least_on_time_percent": "0",
        "least_age_days": "90",
        "spare": "3",
    }.items():
        text = text.replace(name, value)
    with pytest.raises(BadInput, match="has no parameters to tune"):
        read_grid(Policy.from_text(text), ["limit_minor"])


def test_too_many_pairs_in_one_comparison_are_refused_before_the_work() -> None:
    text = POLICY.replace("order.paid_minor < limit_minor", "order.paid_minor < limit_minor + least_age_days")
    tuned = Policy.from_text(text)
    grid = read_grid(tuned, ["limit_minor=1:40:1", "least_age_days=1:40:1"])
    with pytest.raises(BadInput, match="stand in one comparison"):
        bit_groups(grid, conjuncts(tuned, grid.values))


def test_a_name_alone_tries_twenty_values_about_its_own() -> None:
    values = read_grid(policy(), ["limit_minor"]).values["limit_minor"]
    assert (values[0], values[-1]) == (15_000, 60_000)
    assert 30_000 in values
    assert len(values) in (20, 21)


def test_settings_have_their_numbers() -> None:
    grid = read_grid(policy(), TRIED)
    assert [grid.number(grid.setting(number)) for number in range(grid.size)] == list(range(grid.size))
    assert grid.setting(1)["least_age_days"] == 90
    assert grid.size == 11 * 4 * 3


def test_the_front_has_no_setting_that_another_beats(engine: Engine, history: Path) -> None:
    found = tried(engine, history, policy())
    with duckdb.connect() as db:
        sums = grid_sums(db, found)
    chosen = front(sums, 0)
    assert 2 < len(chosen) <= 20
    points: list[tuple[float, float]] = list(zip(sums.instant, sums.loss_minor, strict=True))
    for number in chosen:
        instant, loss = points[number]
        assert not any(_beats(one, (instant, loss)) for one in points)
    assert [points[number][0] for number in chosen] == sorted(points[number][0] for number in chosen)


def _beats(one: tuple[float, float], other: tuple[float, float]) -> bool:
    return one[0] >= other[0] and one[1] <= other[1] and one != other


@pytest.mark.xdist_group("spark")
def test_spark_sets_the_same_bits(engine: Engine, work: Path) -> None:
    history = market(work / "spark" / "h", buyers=120, known_percent=80, late_shops_percent=30)
    values = ("limit_minor=0:60000:20000", "least_on_time_percent=0,61")
    here = tried(engine, history, policy(), *values)
    with open_engine(EngineName.SPARK, work / "spark") as spark:
        there = tried(spark, history, policy(), *values, name="tried_by_spark")
    columns = "request_id, half, bucket, amount_minor, incident, loss_minor, " + ", ".join(
        column for group in here.groups for column in group.columns
    )
    with duckdb.connect() as db:
        rows = [
            db.execute(f"SELECT {columns} FROM read_parquet(?) ORDER BY request_id", [one.source]).fetchall()
            for one in (here, there)
        ]
    assert rows[0] == rows[1]
    assert len(rows[0]) == 240
