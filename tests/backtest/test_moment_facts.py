"""Hour, day of the week and date of a request are the same in bulk as online, in every zone and engine."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import ibis
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jitui.backtest.calendar import epoch_us
from jitui.backtest.engine import Engine, EngineName, open_engine
from jitui.backtest.moments import with_moments
from jitui.policy import Policy
from jitui.policy.moments import MOMENTS, moment_facts
from tests.backtest.test_unknown_facts import ASKED, facts_of, history
from tests.policy.policy_samples import small_text

ZONES = ("Asia/Shanghai", "America/New_York", "Australia/Lord_Howe", "Asia/Kathmandu", "UTC", "Pacific/Apia")
MOMENT = datetime(2025, 1, 25, 16, tzinfo=UTC)
EDGES = (MOMENT, datetime(1969, 12, 31, 23, 59, 59, tzinfo=UTC), datetime(2011, 12, 30, 10, tzinfo=UTC))
moments = st.integers(-(2**29), 2**31).map(lambda seconds: datetime.fromtimestamp(seconds, UTC)) | st.sampled_from(
    EDGES
)


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    with open_engine(EngineName.DUCKDB, tmp_path_factory.mktemp("engine")) as opened:
        yield opened


def in_bulk(engine: Engine, asked: Sequence[datetime | None], zone: str) -> list[dict[str, object]]:
    rows = ibis.memtable(
        {"n": list(range(len(asked))), "asked_us": [None if at is None else epoch_us(at) for at in asked]},
        schema={"n": "int64", "asked_us": "int64"},
    )
    found = with_moments(engine, rows, MOMENTS, ZoneInfo(zone)).order_by("n").select(*MOMENTS)
    answer: list[dict[str, object]] = engine.connection.to_pyarrow(found).to_pylist()
    return answer


def online(asked: Sequence[datetime | None], zone: str) -> list[dict[str, object]]:
    unknown = dict.fromkeys(MOMENTS)
    return [{**unknown} if at is None else {**moment_facts(at, ZoneInfo(zone))} for at in asked]


@given(asked=st.lists(moments | st.none(), min_size=1, max_size=8), zone=st.sampled_from(ZONES))
@settings(max_examples=40, deadline=None)
def test_duckdb_makes_of_a_moment_what_the_service_makes_of_it(
    engine: Engine, asked: list[datetime | None], zone: str
) -> None:
    # a calendar over a century for two moments takes long, and no history is like that
    known = [at for at in asked if at is not None]
    near = [at for at in asked if at is None or not known or abs(at - known[0]) < timedelta(days=400)]
    assert in_bulk(engine, near, zone) == online(near, zone)


@pytest.mark.xdist_group("spark")
def test_spark_makes_of_a_moment_what_the_service_makes_of_it(tmp_path: Path) -> None:
    with open_engine(EngineName.SPARK, tmp_path, memory_mib=1024) as spark:
        for first in (datetime(2025, 1, 1, tzinfo=UTC), datetime(1969, 12, 20, tzinfo=UTC)):
            asked = [None, *(first + timedelta(hours=7 * n, seconds=n) for n in range(60))]
            assert in_bulk(spark, asked, ZONES[1]) == online(asked, ZONES[1])


def test_a_history_has_the_moment_of_each_request_and_what_was_logged_of_it(engine: Engine, tmp_path: Path) -> None:
    policy = Policy.from_text(small_text("request.hour < 9 && request.weekday == 0 && request.date < '2030-01-01'"))

    zone = ZoneInfo("Asia/Shanghai")
    folder = history(tmp_path / "plain")
    (plain,) = facts_of(engine, folder, policy, *MOMENTS).values()
    assert {name: plain[name] for name in MOMENTS} == moment_facts(ASKED, zone)
    # a decision stands on what it was made of, also where the platform's time zone was another one
    (folder / "facts.csv").write_text("request_id,request.hour,request.date\nr1,3,\n", encoding="utf-8")
    (logged,) = facts_of(engine, folder, policy, *MOMENTS).values()
    assert [logged[name] for name in MOMENTS] == [3, 0, "2025-06-01"]
