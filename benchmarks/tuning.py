"""What a grid of settings costs beside one back-test pass, and what its bootstrap and its caps cost.

`python -m benchmarks.tuning`: two million requests with their facts given, three parameters of twenty values each.
The back-test decides the same requests by the same policy, without caps, and writes its decisions; the tuning writes
the bits and adds up all 8,000 settings. They take turns.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
from pathlib import Path
from time import perf_counter
from zoneinfo import ZoneInfo

import duckdb

from benchmarks.histories import write_given_facts
from jitui.backtest.engine import EngineName, open_engine
from jitui.backtest.facts import Choice
from jitui.backtest.replay import ReplayChoice, replay, tables_in
from jitui.bootstrap import default_policy
from jitui.policy import Policy
from jitui.tuning.candidates import read_grid
from jitui.tuning.conjuncts import conjuncts
from jitui.tuning.front import GridSums, grid_sums
from jitui.tuning.run import TuneReport, TuneSpec, tune
from jitui.tuning.scan import scan

ZONE = ZoneInfo("Asia/Shanghai")
TRIED = ("limit_minor=3000:60000:3000", "least_orders=0:19:1", "least_days=0:380:20")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--requests", type=int, default=2_000_000)
    parser.add_argument("--rounds", type=int, default=3)
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="jitui-tuning-") as name:
        folder = Path(name)
        history = folder / "history"
        write_given_facts(history, chosen.requests)
        _write_shipments(history)
        policy = tuned_policy()
        passes, grids = [], []
        for number in range(chosen.rounds):
            passes.append(_one_pass(policy, history, folder / f"pass-{number}"))
            seconds, sums = _grid(policy, history, folder / f"grid-{number}")
            grids.append(seconds)
        print(f"one back-test pass   {statistics.median(passes):8.2f} s   {_listed(passes)}")
        print(f"{len(sums.instant):,} settings       {statistics.median(grids):8.2f} s   {_listed(grids)}")
        print(f"ratio                {statistics.median(grids) / statistics.median(passes):8.2f}")
        report = _whole(policy, history, folder / "whole")
        print(f"whole run: {report.seconds}, {report.peak_memory_mib} MiB, recommended {report.recommended}")


def tuned_policy() -> Policy:
    """The shipped policy with two more of its thresholds as parameters."""
    text = default_policy().text
    text = text.replace("limit_minor: 30000", "limit_minor: 30000\n  least_orders: 6\n  least_days: 90")
    text = text.replace("account_age_days >= 90", "account_age_days >= least_days")
    return Policy.from_text(text.replace("completed_orders_365d >= 6", "completed_orders_365d >= least_orders"))


def _write_shipments(history: Path) -> None:
    """Of young accounts three parcels in a hundred had left unseen, of others three in a thousand."""
    with duckdb.connect() as connection:
        connection.execute(
            f"""COPY (SELECT order_id, 'shipped' AS degree, asked_at - INTERVAL 10 MINUTE AS at,
                       asked_at + INTERVAL 1 HOUR AS recorded_at
                FROM read_parquet('{history}/requests.parquet') r
                JOIN read_parquet('{history}/facts.parquet') f USING (request_id)
                WHERE hash(hash(request_id, 'unseen')) % 1000
                      < CASE WHEN "buyer.account_age_days" < 120 THEN 30 ELSE 3 END)
                TO '{history}/shipments.parquet'"""
        )
        connection.execute(
            f"""COPY (SELECT order_id, 'CNY' AS currency, asked_at AS placed_at, NULL::TIMESTAMP AS paid_at,
                       NULL::BIGINT AS paid_minor, NULL::BIGINT AS freight_minor, NULL::VARCHAR AS hold,
                       NULL::TIMESTAMP AS hold_until FROM read_parquet('{history}/requests.parquet'))
                TO '{history}/orders.parquet'"""
        )


def _one_pass(policy: Policy, history: Path, work: Path) -> float:
    work.mkdir()
    with open_engine(EngineName.DUCKDB, work) as engine:
        tables = tables_in(engine, history)
        began = perf_counter()
        replay(engine, tables, policy, work / "decisions.parquet", ReplayChoice(Choice(ZONE), replay_caps=False))
        return perf_counter() - began


def _grid(policy: Policy, history: Path, work: Path) -> tuple[float, GridSums]:
    work.mkdir()
    with open_engine(EngineName.DUCKDB, work) as engine, duckdb.connect() as db:
        tables = tables_in(engine, history)
        middle = db.execute("SELECT median(asked_at) FROM read_parquet(?)", [f"{history}/requests.parquet"]).fetchone()
        assert middle is not None
        grid = read_grid(policy, TRIED)
        began = perf_counter()
        parts = conjuncts(policy, grid.values)
        tried = scan(engine, tables, policy, grid, parts, Choice(ZONE), middle[0], work / "tried.parquet")
        sums = grid_sums(db, tried)
        return perf_counter() - began, sums


def _whole(policy: Policy, history: Path, work: Path) -> TuneReport:
    return tune(TuneSpec(policy, str(history), TRIED, ZONE), work)


def _listed(seconds: list[float]) -> str:
    return " ".join(f"{one:.2f}" for one in seconds)


if __name__ == "__main__":
    main()
