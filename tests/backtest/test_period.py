"""A back-test of the last days: which requests and decisions stay."""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import duckdb

from jitui.backtest.period import requests_since
from jitui.backtest.source import Prepared

SINCE = datetime(2026, 11, 2, 8, tzinfo=ZoneInfo("Asia/Shanghai"))  # midnight in UTC, in which a history is written


def test_requests_from_a_moment_on_stay_with_their_decisions(tmp_path: Path) -> None:
    requests, decisions, events = (tmp_path / f"{name}.parquet" for name in ("requests", "decisions", "events"))
    with duckdb.connect() as connection:
        rows = (
            "SELECT * FROM (VALUES ('before', TIMESTAMP '2026-11-01 23:59:59.999999'), ('at', TIMESTAMP '2026-11-02'))"
        )
        connection.execute(f"COPY ({rows} AS r(request_id, asked_at)) TO '{requests}'")
        outcomes = "SELECT * FROM (VALUES ('before', 'instant'), ('at', 'review')) AS d(request_id, outcome)"
        connection.execute(f"COPY ({outcomes}) TO '{decisions}'")
    paths = {"requests": requests, "decisions": decisions, "events": events}
    found = requests_since(Prepared(paths, {"requests": 2, "decisions": 2, "events": 9}, ()), SINCE, tmp_path)
    assert found.rows == {"requests": 1, "decisions": 1, "events": 9}
    assert found.paths["events"] == events, "what happened before stays"
    for name in ("requests", "decisions"):
        with duckdb.connect() as connection:
            rows_left = connection.execute(f"SELECT request_id FROM '{found.paths[name]}'").fetchall()
        assert rows_left == [("at",)]
    later = requests_since(Prepared(paths, {"requests": 2, "decisions": 2}, ()), SINCE + timedelta(days=1), tmp_path)
    assert later.rows == {"requests": 0, "decisions": 0}


def test_a_history_without_decisions_has_none_after_either(tmp_path: Path) -> None:
    requests = tmp_path / "requests.parquet"
    with duckdb.connect() as connection:
        row = "SELECT 'at' AS request_id, TIMESTAMP '2026-11-02' AS asked_at"
        connection.execute(f"COPY ({row}) TO '{requests}'")
    found = requests_since(Prepared({"requests": requests}, {"requests": 1}, ()), SINCE, tmp_path)
    assert set(found.paths) == {"requests"} and found.rows == {"requests": 1}
