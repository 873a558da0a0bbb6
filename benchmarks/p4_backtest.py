"""P4: a back-test of ten million requests with their facts given, against hand-written DuckDB SQL of the same policy.

Both read the same two Parquet files (requests, logged facts) in a DuckDB of the same settings and write the same
decisions to Parquet: every condition's truth, the restriction, the first obstacle, the outcome. They take turns; the
median of each counts, and every row of both must be the same. Logged caps are believed on both sides: replaying caps in
order is no SQL, and what it costs is measured apart.
"""

from __future__ import annotations

import statistics
import tempfile
from pathlib import Path
from time import perf_counter
from zoneinfo import ZoneInfo

import duckdb

from benchmarks.frame import Measured, Run, result
from benchmarks.histories import write_given_facts
from jitui.backtest.engine import Engine, EngineName, open_engine
from jitui.backtest.facts import Choice
from jitui.backtest.replay import ReplayChoice, replay, tables_in
from jitui.bootstrap import default_policy
from jitui.policy import Policy

REQUESTS = 10_000_000
REQUESTS_IN_ORDER = 1_000_000
ROUNDS = 3
AT_MOST = 1.3
_CHOICE = Choice(ZoneInfo("Asia/Shanghai"))


def measure(run: Run) -> Measured:
    """Seconds for all requests; `detail` has each round, and microseconds a request for caps in order."""
    policy = default_policy()
    with tempfile.TemporaryDirectory(prefix="jitui-p4-") as name:
        folder = Path(name)
        run.say(f"   writing {REQUESTS:,} requests with their facts")
        write_given_facts(folder / "history", REQUESTS)
        ours, floor = [], []
        with open_engine(EngineName.DUCKDB, folder) as engine:
            for number in range(ROUNDS):
                run.say(f"   round {number + 1} of {ROUNDS}")
                floor.append(_by_hand(engine, policy, folder))
                ours.append(_by_policy(engine, policy, folder))
            differing = _differing(folder)
        in_order = _in_order(policy, folder, run)
    ours_seconds, floor_seconds = statistics.median(ours), statistics.median(floor)
    ratio = ours_seconds / floor_seconds
    return result(
        "P4",
        ours=round(ours_seconds, 2),
        floor=round(floor_seconds, 2),
        unit="s",
        ratio=round(ratio, 2),
        holds=ratio <= AT_MOST and differing == 0,
        detail={
            "requests": REQUESTS,
            "rounds": [[round(a, 2), round(b, 2)] for a, b in zip(ours, floor, strict=True)],
            "rows_that_differ": differing,
            "caps_in_order_us_a_request": in_order,
        },
    )


def _by_policy(engine: Engine, policy: Policy, folder: Path) -> float:
    tables = tables_in(engine, folder / "history")
    began = perf_counter()
    replay(engine, tables, policy, folder / "ours.parquet", ReplayChoice(_CHOICE, replay_caps=False))
    return perf_counter() - began


def _by_hand(engine: Engine, policy: Policy, folder: Path) -> float:
    sql = _SQL.format(folder=folder, held_out=_held_out(policy))
    began = perf_counter()
    engine.connection.raw_sql(f"COPY ({sql}) TO '{folder}/floor.parquet' (COMPRESSION zstd)")
    return perf_counter() - began


def _held_out(policy: Policy) -> str:
    bound = -(-(policy.selection.hold_out_percent << 64) // 100)
    return f"left(sha256('{policy.id}:' || r.buyer_id), 16) < '{bound:016x}'"


_LINES = (
    'CASE WHEN len(list_filter("order.lines", lambda l: {no})) > 0 THEN false'
    ' WHEN len(list_filter("order.lines", lambda l: ({no}) IS NULL)) > 0 THEN NULL'
    ' WHEN "order.lines" IS NOT NULL THEN true END'
)
_CONDITIONS = {
    "premium_buyer": '"buyer.account_age_days" >= 90 AND "buyer.completed_orders_365d" >= 6'
    ' AND "buyer.disputes_lost_365d" = 0'
    ' AND "buyer.refunds_before_shipment_90d" * 5 <= "buyer.paid_orders_90d"',
    "selected": '"buyer.selected"',
    "paid_under_300": '"order.paid_minor" < 30000',
    "goods_supported": _LINES.format(no="l.customised OR l.virtual"),
    "unshipped": "\"order.shipment\" IN ('unshipped', 'label_printed')",
    "covered": f'"shop.covered" AND ({_LINES.format(no="NOT l.covered")})',
    "not_restricted": 'NOT "buyer.restricted"',
    "within_caps": '"caps.buyer_ok" AND "caps.shop_ok" AND "caps.platform_ok"',
    "not_paused": 'NOT "service.paused"',
}
_RESTRICTION = (
    '"buyer.refunds_before_shipment_90d" >= 10 AND "buyer.refunds_before_shipment_90d" * 2 >= "buyer.paid_orders_90d"'
)
_FAILED = {name: f'"condition.{name}" IS DISTINCT FROM true' for name in _CONDITIONS}
_OBSTACLES = " + ".join(f"({test})::BIGINT" for test in _FAILED.values())
_FIRST = " ".join(f"WHEN {test} THEN '{name}'" for name, test in _FAILED.items())
_COLUMNS = ", ".join(f'{text} AS "condition.{name}"' for name, text in _CONDITIONS.items())
_SQL = f"""
    SELECT *, CASE WHEN obstacles = 0 THEN 'instant' ELSE 'review' END AS outcome FROM (
        SELECT *, {_OBSTACLES} AS obstacles, CASE {_FIRST} END AS first_obstacle
        FROM (SELECT r.request_id, r.order_id, r.buyer_id, r.shop_id, r.asked_at, r.category_id, r.tier, r.closed_at,
                     {{held_out}} AS held_out, NULL::BOOLEAN AS left_unrecorded, r.amount_minor,
                     {_RESTRICTION} AS "restriction.serial_canceller", {_COLUMNS}
              FROM '{{folder}}/history/requests.parquet' r LEFT JOIN '{{folder}}/history/facts.parquet' f
              ON r.request_id = f.request_id))
"""


def _differing(folder: Path) -> int:
    """Rows that only one of the two has."""
    with duckdb.connect() as connection:
        columns = [row[0] for row in connection.execute(f"DESCRIBE FROM '{folder}/floor.parquet'").fetchall()]
        names = ", ".join(f'"{name}"' for name in columns)
        ours, floor = (f"SELECT {names} FROM '{folder}/{side}.parquet'" for side in ("ours", "floor"))
        query = f"SELECT count(*) FROM (({ours} EXCEPT ALL {floor}) UNION ALL ({floor} EXCEPT ALL {ours}))"
        row = connection.execute(query).fetchone()
    assert row is not None
    return int(row[0])


def _in_order(policy: Policy, folder: Path, run: Run) -> float:
    """What caps in order add to each request."""
    run.say(f"   caps in order for {REQUESTS_IN_ORDER:,} requests")
    write_given_facts(folder / "in_order", REQUESTS_IN_ORDER)
    with open_engine(EngineName.DUCKDB, folder) as engine:
        tables = tables_in(engine, folder / "in_order")
        done = replay(engine, tables, policy, folder / "caps.parquet", ReplayChoice(_CHOICE, replay_caps=True))
    return round((done.seconds - done.bulk_seconds) / REQUESTS_IN_ORDER * 1e6, 2)
