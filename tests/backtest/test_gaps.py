"""A row that was set aside makes facts unknown, and never lets a request be approved (I5)."""

from __future__ import annotations

import gzip
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from jitui.backtest.engine import EngineName, open_engine
from jitui.backtest.facts import Choice, request_facts
from jitui.backtest.gaps import GAPS
from jitui.backtest.run import Backtest, BacktestSpec, run_backtest
from jitui.backtest.source import prepare
from jitui.bootstrap import default_policy
from jitui.errors import BadInput
from jitui.policy import Policy
from tests.backtest.histories import request, small_history, write_csv

ASKED = "2025-06-01T12:00:00+08:00"
POLICY = Policy.from_text("""
policy: trial
version: "1"
effective_from: 2025-01-01T00:00:00+08:00
currency: CNY
title: {zh: 试, en: A trial}
features:
  buyer.disputes_lost_365d: {count: dispute_lost, over: 365d}
conditions:
  - {id: calm, when: buyer.disputes_lost_365d == 0, public: true, text: {zh: 少, en: calm}}
  - {id: paid, when: order.paid_minor < 30000, public: true, text: {zh: 付, en: paid}}
  - {id: unshipped, when: order.shipment == 'unshipped', public: true, text: {zh: 未, en: unshipped}}
  - {id: goods, when: "order.lines.all(l, !l.customised && !l.virtual)", public: true, text: {zh: 物, en: goods}}
review: {deadline: 48h, on_timeout: approve}
notice: {zh: 过, en: Approved}
""")


def backtested(folder: Path, work: Path, policy: Policy = POLICY) -> Backtest:
    return run_backtest(BacktestSpec(policy, str(folder), ZoneInfo("Asia/Shanghai")), work)


def outcomes(work: Path) -> dict[str, str]:
    rows = pq.read_table(work / "decisions.parquet").to_pylist()
    return {row["request_id"]: row["outcome"] for row in rows}


def history(folder: Path) -> Path:
    return small_history(folder, requests=[request(1, ASKED), request(2, ASKED)])


def appended(folder: Path, table: str, row: str) -> None:
    with (folder / f"{table}.csv").open("a", encoding="utf-8") as file:
        file.write(row + "\n")


def test_the_history_of_these_tests_is_instant(tmp_path: Path) -> None:
    done = backtested(history(tmp_path / "h"), tmp_path / "w")
    assert outcomes(tmp_path / "w") == {"r1": "instant", "r2": "instant"}
    assert (done.prepared.gaps, done.moved_to_review) == (None, 0)


def test_a_broken_row_of_an_order_sends_its_requests_to_review_and_no_others(tmp_path: Path) -> None:
    folder = small_history(tmp_path / "h", requests=[request(number, ASKED) for number in range(1, 8)])
    appended(folder, "order_lines", "o1,2,1,10000,perhaps,false")
    appended(folder, "order_lines", "o2,2,1,12.50,false,false")
    appended(folder, "shipments", "o3,teleported,2025-05-31T00:00:00Z,")
    appended(folder, "shipments", "o4,shipped,yesterday,")
    appended(folder, "order_lines", "o5,1,1,10000,true,false")  # contradicts the good row: unknown without a gap
    appended(folder, "orders", "o6,CNY,2025-06-01T00:00:00Z,2025-06-01T00:01:00Z,10001,0,none")  # contradicts too
    done = backtested(folder, tmp_path / "w")
    assert outcomes(tmp_path / "w") == {f"r{number}": "review" for number in range(1, 7)} | {"r7": "instant"}
    assert done.moved_to_review == 4


@pytest.mark.parametrize(
    ("table", "row"),
    [
        ("order_lines", "6.92E+18,2,1,10000,false,false"),
        ("order_lines", ",2,1,10000,false,false"),
        ("order_lines", "o7,red, white,1"),
        ("shipments", ",shipped,2025-05-31T00:00:00Z,"),
        ("events", "buyer,,dispute_lost,2025-05-30T00:00:00Z"),
        ("events", "byer,good,dispute_lost,2025-05-30T00:00:00Z"),
        ("events", "buyer,good,dispute_lots,2025-05-30T00:00:00Z"),
        ("events", "buyer,good,dispute_lost,someday"),
        ("events", "buyer,good"),
    ],
)
def test_a_row_that_does_not_say_whose_it_is_or_is_of_the_buyer_moves_all_that_it_may_be_of(
    tmp_path: Path, table: str, row: str
) -> None:
    appended(history(tmp_path / "h"), table, row)
    done = backtested(tmp_path / "h", tmp_path / "w")
    assert outcomes(tmp_path / "w") == {"r1": "review", "r2": "review"}
    assert done.moved_to_review == 2


def test_a_broken_event_of_another_buyer_moves_nobody(tmp_path: Path) -> None:
    appended(history(tmp_path / "h"), "events", "buyer,new,dispute_lost,someday")
    assert backtested(tmp_path / "h", tmp_path / "w").moved_to_review == 0
    assert outcomes(tmp_path / "w") == {"r1": "instant", "r2": "instant"}


def test_a_lost_dispute_with_an_amount_that_cannot_be_read_is_not_forgotten(tmp_path: Path) -> None:
    folder = history(tmp_path / "h")
    text = (folder / "events.csv").read_text()
    lines = [f"{line}," for line in text.splitlines()[1:]]
    lost = "buyer,good,dispute_lost,2025-05-30T00:00:00Z,12.50"
    write_csv(folder, "events", "subject,subject_id,kind,at,amount_minor", [*lines, lost])
    assert backtested(folder, tmp_path / "w").moved_to_review == 2


def test_the_same_row_twice_is_one_row(tmp_path: Path) -> None:
    appended(history(tmp_path / "h"), "order_lines", "o1,1,1,10000,false,false")
    done = backtested(tmp_path / "h", tmp_path / "w")
    assert (done.prepared.rows["order_lines"], done.prepared.gaps) == (9, None)
    assert outcomes(tmp_path / "w") == {"r1": "instant", "r2": "instant"}


@pytest.mark.parametrize("amount", ["-1", "99999999999999999", "1000000000000001", "1e3", "1_0", "NaN"])
def test_amounts_that_are_none_are_set_aside(tmp_path: Path, amount: str) -> None:
    folder = history(tmp_path / "h")
    appended(folder, "requests", f"r3,o3,good,s1,{ASKED},{amount},true,c1,")
    prepared = prepare(folder, tmp_path / "w")
    assert [(one.table, one.reason.value, one.column) for one in prepared.set_aside] == [
        ("requests", "misfit", "amount_minor")
    ]


def test_a_history_in_another_encoding_is_refused_until_it_is_named(tmp_path: Path) -> None:
    folder = history(tmp_path / "h")
    text = (folder / "requests.csv").read_text().replace("c1", "订单商品")
    (folder / "requests.csv").write_bytes(text.encode("gb18030"))
    with pytest.raises(BadInput, match="gb18030"):
        prepare(folder, tmp_path / "w")
    prepared = prepare(folder, tmp_path / "w", encoding="gb18030")
    assert prepared.rows["requests"] == 2
    assert pq.read_table(prepared.paths["requests"])["category_id"].to_pylist() == ["订单商品", "订单商品"]


def test_files_of_one_table_with_other_headers_are_refused(tmp_path: Path) -> None:
    folder = history(tmp_path / "h")
    (folder / "order_lines").mkdir()
    (folder / "order_lines.csv").rename(folder / "order_lines" / "1.csv")
    (folder / "order_lines" / "2.csv").write_text("order_id,line_id\no9,2\n")
    with pytest.raises(BadInput, match="their columns differ"):
        prepare(folder, tmp_path / "w")


@pytest.mark.parametrize(
    ("values", "kind", "expected"),
    [
        ([7.0, float("nan")], pa.float64(), [7, None]),
        ([None, None], pa.null(), [None, None]),
        ([1, 0], pa.int64(), [1, 0]),
        (["007", ""], pa.string(), [7, None]),
    ],
)
def test_attributes_have_the_type_of_the_policy(
    tmp_path: Path, values: list[object], kind: pa.DataType, expected: list[object]
) -> None:
    policy = default_policy()
    facts = {**policy.facts, "buyer.level": policy.facts["request.amount_minor"]}
    folder = history(tmp_path / "h")
    (folder / "buyers.csv").unlink()
    table = pa.table({"buyer_id": ["good", "new"], "level": pa.array(values, kind)})
    pq.write_table(table, folder / "buyers.parquet")
    found = pq.read_table(prepare(folder, tmp_path / "w", facts=facts).paths["buyers"]).sort_by("buyer_id")
    assert found["level"].to_pylist() == expected


def test_a_truth_as_a_number_is_one_only_as_0_or_1(tmp_path: Path) -> None:
    policy = default_policy()
    facts = {**policy.facts, "buyer.gold": policy.facts["request.whole_order"]}
    folder = history(tmp_path / "h")
    (folder / "buyers.csv").unlink()
    pq.write_table(pa.table({"buyer_id": ["a", "b", "c"], "gold": [0, 1, 5]}), folder / "buyers.parquet")
    prepared = prepare(folder, tmp_path / "w", facts=facts)
    rows = pq.read_table(prepared.paths["buyers"]).sort_by("buyer_id")
    assert (rows["gold"].to_pylist(), prepared.set_aside[0].column) == ([False, True], "gold")


# What the rows of the other tables would have told ----------------------------------------------------------------


def facts_of(folder: Path, work: Path, *names: str) -> dict[str, dict[str, Any]]:
    prepared = prepare(folder, work)
    with open_engine(EngineName.DUCKDB, work) as engine:
        tables = {name: engine.read(path) for name, path in prepared.paths.items()}
        if prepared.gaps is not None:
            tables[GAPS] = engine.read(prepared.gaps)
        rows = request_facts(engine, tables, default_policy(), names, Choice(ZoneInfo("Asia/Shanghai")))
        return {row["request_id"]: row for row in engine.connection.to_pyarrow(rows).to_pylist()}


@pytest.mark.parametrize(
    ("row", "unknown"),
    [
        ("o1,CNY,2025-06-01T00:00:00Z,,10000,0,none", {"r1"}),  # contradicts the good row of o1
        ("o2,CNY,someday,,10000,0,none", {"r2"}),
        ("6.92E+18,CNY,2025-06-01T00:00:00Z,,10000,0,none", set()),  # both orders have good rows
    ],
)
def test_an_order_whose_row_is_not_believed_may_have_been_completed(
    tmp_path: Path, row: str, unknown: set[str]
) -> None:
    appended(history(tmp_path / "h"), "orders", row)
    found = facts_of(tmp_path / "h", tmp_path / "w", "order.shipment")
    assert {name for name, one in found.items() if one["order.shipment"] is None} == unknown


@pytest.mark.parametrize(
    ("row", "unknown"),
    [
        ("buyer,good,order_completed,someday", {"r1", "r2"}),
        ("buyer,good,order_complete,2025-05-01T00:00:00Z", {"r1", "r2"}),
        ("buyer,new,order_completed,someday", set()),
        ("shop,s1,order_completed,someday", set()),
        ("buyer,good,dispute_lost,someday", set()),
    ],
)
def test_a_completion_that_cannot_be_read_leaves_open_how_far_the_parcel_is(
    tmp_path: Path, row: str, unknown: set[str]
) -> None:
    appended(history(tmp_path / "h"), "events", row)
    found = facts_of(tmp_path / "h", tmp_path / "w", "order.shipment")
    assert {name for name, one in found.items() if one["order.shipment"] is None} == unknown


def test_a_retraction_that_cannot_be_read_may_take_back_an_event_of_any_kind(tmp_path: Path) -> None:
    folder = history(tmp_path / "h")
    lines = [f"{line},," for line in (folder / "events.csv").read_text().splitlines()[1:]]
    lost = "buyer,good,dispute_lost,someday,e9,e1"
    write_csv(folder, "events", "subject,subject_id,kind,at,event_id,retracts", [*lines, lost])
    prepare(folder, tmp_path / "w")
    gaps = pq.read_table(tmp_path / "w" / "gaps.parquet").to_pylist()
    assert gaps == [{"what": "events", "subject": "buyer", "id": "good", "kind": None}]


def test_two_faults_in_one_event_hide_neither(tmp_path: Path) -> None:
    appended(history(tmp_path / "h"), "events", "byer,good,dispute_lots,2025-05-30T00:00:00Z")
    prepare(tmp_path / "h", tmp_path / "w")
    gaps = {(one["what"], one["id"], one["kind"]) for one in pq.read_table(tmp_path / "w" / "gaps.parquet").to_pylist()}
    assert ("events", None, None) in gaps


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        (["c1,false,false"], False),
        (["c1,perhaps,false"], None),
        (["c1,false,false", "c1,true,false"], None),
        (["c2,perhaps,false", "c1,false,false"], False),
        ([",true,false"], None),
        ([",true,false", "c1,false,false"], False),
        (["c1,false"], None),
        (["c1,true,false"], True),
    ],
)
def test_a_line_is_not_customised_only_where_its_category_can_be_read(
    tmp_path: Path, rows: list[str], expected: bool | None
) -> None:
    folder = history(tmp_path / "h")
    write_csv(
        folder, "order_lines", "order_id,line_id,category_id,quantity,customised,virtual", ["o1,1,c1,1,false,false"]
    )
    write_csv(folder, "categories", "category_id,customised,virtual", rows)
    (line,) = facts_of(folder, tmp_path / "w", "order.lines")["r1"]["order.lines"]
    assert line["customised"] is expected


def test_usage_is_unknown_where_a_request_of_the_buyer_was_set_aside(tmp_path: Path) -> None:
    folder = history(tmp_path / "h")
    appended(folder, "requests", f"r3,o3,good,s1,{ASKED},12.50,true,c1,")
    backtested(folder, tmp_path / "w", default_policy())
    assert outcomes(tmp_path / "w") == {"r1": "review", "r2": "review"}


def test_one_table_in_two_formats_is_refused_and_tables_in_different_ones_are_read(tmp_path: Path) -> None:
    folder = history(tmp_path / "h")
    pq.write_table(pa.table({"buyer_id": ["good"], "registered_at": [None]}), folder / "buyers.parquet")
    with pytest.raises(BadInput, match="too; give one of them"):
        prepare(folder, tmp_path / "w")
    (folder / "buyers.csv").unlink()
    assert prepare(folder, tmp_path / "w").rows["buyers"] == 1


def test_a_table_may_be_packed_and_lie_in_folders_of_folders(tmp_path: Path) -> None:
    folder = history(tmp_path / "h")
    text = (folder / "orders.csv").read_text()
    (folder / "orders.csv").unlink()
    head, *rows = text.splitlines(keepends=True)
    for year, part in (("2025", rows[:4]), ("2026", rows[4:])):
        place = folder / "orders" / f"year={year}"
        place.mkdir(parents=True)
        (place / "part.csv.gz").write_bytes(gzip.compress("".join([head, *part]).encode()))
    prepared = prepare(folder, tmp_path / "w")
    assert (prepared.rows["orders"], prepared.set_aside) == (9, ())
    (folder / "orders" / "notes.txt").write_text("two halves")
    with pytest.raises(BadInput, match="neither Parquet nor CSV"):
        prepare(folder, tmp_path / "w")
    (folder / "orders" / "notes.txt").unlink()
    broken = folder / "orders" / "year=2026" / "part.csv.gz"
    broken.write_bytes(broken.read_bytes()[:-9])
    with pytest.raises(BadInput, match="breaks off"):
        prepare(folder, tmp_path / "w")
